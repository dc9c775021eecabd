/* data/data_priv.h - what the files of kernel/data share. */
#ifndef LKI_DATA_PRIV_H
#define LKI_DATA_PRIV_H

#include "data/data.h"
#include "data/numeric.h"

/* Hashes of numbers: equal ones alike, whatever the form (hash.c). */
uint64_t lki_hash_decimal(luma_i128 v, int32_t scale);
uint64_t lki_hash_numeric(const struct luma_str *str);

/* The variable form of a small number, in the caller's 32 bytes. */
struct luma_str lki_num_str_in(const struct lki_num *num, uint8_t bytes[32]);
/* Sound bytes of the variable form? */
bool lki_num_valid(const struct luma_str *str);

/* A vector of one value, for functions that take a vector and a row. */
struct luma_vec lki_value_vec(const struct luma_value *value);
/* Length of a bpchar without its padding. */
static inline uint32_t
lki_bpchar_bytes(const struct luma_str *str)
{
    const char *p = luma_str_data(str);
    uint32_t n = str->bytes;

    while (n > 0 && p[n - 1] == ' ')
        n--;
    return n;
}

/* Number of characters in valid UTF-8. */
size_t lki_utf8_chars(const char *text, size_t bytes);
/* Bytes that the first `chars` characters take. */
size_t lki_utf8_prefix(const char *text, size_t bytes, size_t chars);

/* `v`, at `scale`, fits numeric(precision, scale)? */
static inline bool
lki_decimal_fits(luma_i128 v, int32_t precision)
{
    return precision > 38 || (v < lki_pow10[precision] && v > -lki_pow10[precision]);
}
luma_rc lki_numeric_overflow(struct luma_ctx *ctx, struct luma_type type);

/* --- arrays (array.c): '{1,NULL,"a b"}' --- */
luma_rc lki_array_parse(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_type type,
                        const struct luma_format *format, struct luma_slice text,
                        struct luma_str *out);
size_t lki_array_text_bound(const struct luma_str *array, struct luma_type type);
size_t lki_array_text_write(const struct luma_str *array, struct luma_type type,
                            const struct luma_format *format, char *out);
int lki_array_compare(const struct luma_str *a, const struct luma_str *b, struct luma_type type);
uint64_t lki_array_hash(const struct luma_str *a, struct luma_type type);
/* One element as a value; false: null. */
bool lki_array_value(const struct luma_str *array, struct luma_type elem, uint32_t index,
                     struct luma_value *out);
/* Its parts lie within it and are as wide as elements of that type. The elements themselves are not
 * looked at. */
bool lki_array_valid(const struct luma_str *array, struct luma_type elem);

#endif
