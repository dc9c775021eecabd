/*
 * data/doc.h - binary documents (jsonb), for the files of kernel/data.
 *
 * A document is one head byte and a payload; its end is known from outside.
 *
 *   head   bits 0-3 kind, bits 4-5 width w of lengths: 0 one byte, 1 two, 2 four; bit 6: an object
 *          that keeps the order of its names; bit 7 zero
 *   null, false, true   nothing
 *   int                 1 .. 8 bytes, little endian, two's complement
 *   number              numeric in the variable form
 *   string, bytes       the bytes
 *   timestamp           8 bytes, microseconds since 2000-01-01 UTC
 *   uuid                16 bytes
 *   vector              4-byte floats
 *   date                4 bytes, days since 2000-01-01
 *   array               count, count ends of values, values
 *   object              count, count ends of names, count ends of values, order, names, values
 *
 * Counts and ends take w bytes each; ends count from the start of the area of names or values.
 * Names are sorted by length, then bytes, so a field is found by binary search; names are unique.
 * Order is there with bit 6 only: for each place as written, w bytes with the index of the name.
 */
#ifndef LKI_DATA_DOC_H
#define LKI_DATA_DOC_H

#include "data/data_priv.h"

enum lki_doc_kind {
    LKI_DOC_NULL = 0,
    LKI_DOC_FALSE = 1,
    LKI_DOC_TRUE = 2,
    LKI_DOC_INT = 3,
    LKI_DOC_NUMBER = 4,
    LKI_DOC_STRING = 5,
    LKI_DOC_ARRAY = 6,
    LKI_DOC_OBJECT = 7,
    LKI_DOC_TIMESTAMP = 8,
    LKI_DOC_BYTES = 9,
    LKI_DOC_UUID = 10,
    LKI_DOC_VECTOR = 11,
    LKI_DOC_DATE = 12
};

#define LKI_DOC_ORDERED   0x40
#define LKI_DOC_DEPTH_MAX 1000
#define LKI_DOC_BYTES_MAX ((size_t)1 << 28)

/* An array or object laid open. */
struct lki_doc_view {
    uint8_t kind, width;
    uint32_t count;
    const uint8_t *name_ends, *value_ends, *names, *values;
    const uint8_t *order; /* NULL: names were written as they are sorted */
    size_t names_bytes, values_bytes;
};

static inline enum lki_doc_kind
lki_doc_kind(struct luma_slice doc)
{
    return doc.bytes == 0 ? LKI_DOC_NULL : (enum lki_doc_kind)(doc.data[0] & 15);
}

/* False: no container, or not sound. */
bool lki_doc_open(struct luma_slice doc, struct lki_doc_view *out);
/* i < count */
bool lki_doc_value_at(const struct lki_doc_view *view, uint32_t i, struct luma_slice *out);
bool lki_doc_name_at(const struct lki_doc_view *view, uint32_t i, struct luma_slice *out);
bool lki_doc_find(const struct lki_doc_view *view, struct luma_slice name, uint32_t *out_index);
int lki_doc_name_compare(struct luma_slice a, struct luma_slice b);
/* Compares the numbers of two int or number documents. */
int lki_doc_number_compare(struct luma_slice a, struct luma_slice b);
uint64_t lki_doc_hash(struct luma_slice doc);
/* JSON text without spaces; at most lk_data_doc_text_bound bytes. */
size_t lki_doc_text_compact(struct luma_slice doc, char *out);
size_t lki_json_string_bound(size_t bytes);
/* With the quotes. */
size_t lki_json_string_write(const char *text, size_t bytes, char *out);

/* Lays a container out: lengths are known, the caller fills names and values. */
struct lki_doc_layout {
    uint8_t kind, width;
    bool ordered;
    uint32_t count;
    size_t names_bytes, values_bytes, total_bytes;
};
struct lki_doc_layout lki_doc_layout_of(enum lki_doc_kind kind, uint32_t count, size_t names_bytes,
                                        size_t values_bytes, bool ordered);
/* Writes head and count; gives where ends, names and values go, and the order, if there is one. */
uint8_t *lki_doc_begin(const struct lki_doc_layout *layout, uint8_t *out, uint8_t **name_ends,
                       uint8_t **value_ends, uint8_t **names, uint8_t **values);
/* Index of the member written at a place. */
bool lki_doc_written(const struct lki_doc_view *view, uint32_t place, uint32_t *out_index);
/* doc_fast.c: JSON text as a document; false: the text wants doc_parse.c. keep_order: objects keep
 * the order of their names, and a name given twice is refused. */
bool lki_doc_fast(struct luma_arena *arena, struct luma_slice json, bool keep_order,
                  struct luma_str *out);
/* doc_parse.c: the same document, or an error that says what is wrong. */
luma_rc lki_doc_careful(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_slice json,
                        struct luma_str *out);

static inline void
lki_doc_put_end(uint8_t *ends, uint8_t width, uint32_t i, uint32_t v)
{
    memcpy(ends + ((size_t)i << width), &v, (size_t)1 << width);
}

static inline uint32_t
lki_doc_get_end(const uint8_t *ends, uint8_t width, uint32_t i)
{
    uint32_t v = 0;
    memcpy(&v, ends + ((size_t)i << width), (size_t)1 << width);
    return v;
}

/* Names and scalars are short: no call for them. */
static inline void
lki_doc_put(uint8_t *to, const void *from, size_t n)
{
    const uint8_t *p = from;
    if (n >= 8 && n <= 16) {
        uint64_t a, b;
        memcpy(&a, p, 8);
        memcpy(&b, p + n - 8, 8);
        memcpy(to, &a, 8);
        memcpy(to + n - 8, &b, 8);
    } else if (n >= 4 && n < 8) {
        uint32_t a, b;
        memcpy(&a, p, 4);
        memcpy(&b, p + n - 4, 4);
        memcpy(to, &a, 4);
        memcpy(to + n - 4, &b, 4);
    } else if (n < 4) {
        for (size_t i = 0; i < n; i++)
            to[i] = p[i];
    } else {
        memcpy(to, p, n);
    }
}

/* Bytes an int document's payload takes. */
static inline size_t
lki_doc_int_bytes(int64_t v)
{
    size_t n = 1;
    while (n < 8 && (v < -(INT64_C(1) << (8 * n - 1)) || v >= (INT64_C(1) << (8 * n - 1))))
        n++;
    return n;
}

#endif
