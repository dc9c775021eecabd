/*
 * base/bytes.h - a growable byte buffer, counted against a budget.
 *
 * Zero-initialized is empty and uncounted. Growing doubles. After a failed append the buffer is
 * unchanged, except that lk_bytes_* on it may be checked once at the end through `failed`.
 */
#ifndef LK_BASE_BYTES_H
#define LK_BASE_BYTES_H

#include <lumadb/base.h>

#include "base/bits.h"

struct luma_budget;

struct lk_bytes {
    uint8_t *data;
    size_t bytes; /* filled */
    size_t room;
    struct luma_budget *budget; /* NULL: not counted */
    bool failed;                /* an append found no memory */
};

static inline void
lk_bytes_init(struct lk_bytes *b, struct luma_budget *budget)
{
    memset(b, 0, sizeof(*b));
    b->budget = budget;
}

void lk_bytes_fini(struct lk_bytes *b);

/* Empties, keeps the memory. */
static inline void
lk_bytes_reset(struct lk_bytes *b)
{
    b->bytes = 0;
    b->failed = false;
}

/* Makes room for `more` bytes behind the filled ones; false: no memory. */
LUMA_NODISCARD bool lk_bytes_grow(struct lk_bytes *b, size_t more);

LUMA_NODISCARD static inline bool
lk_bytes_reserve(struct lk_bytes *b, size_t more)
{
    return LUMA_LIKELY(more <= b->room - b->bytes) || lk_bytes_grow(b, more);
}

/* Appends `bytes` uninitialized bytes and gives their address; NULL: no memory. */
static inline uint8_t *
lk_bytes_extend(struct lk_bytes *b, size_t bytes)
{
    if (!lk_bytes_reserve(b, bytes))
        return NULL;
    uint8_t *p = b->data + b->bytes;
    b->bytes += bytes;
    return p;
}

static inline bool
lk_bytes_append(struct lk_bytes *b, const void *src, size_t bytes)
{
    if (bytes == 0)
        return true;
    uint8_t *p = lk_bytes_extend(b, bytes);
    if (p == NULL)
        return false;
    memcpy(p, src, bytes);
    return true;
}

static inline bool
lk_bytes_slice(struct lk_bytes *b, struct luma_slice s)
{
    return lk_bytes_append(b, s.data, s.bytes);
}

static inline bool
lk_bytes_text(struct lk_bytes *b, const char *text)
{
    return lk_bytes_append(b, text, strlen(text));
}

static inline bool
lk_bytes_u8(struct lk_bytes *b, uint8_t v)
{
    return lk_bytes_append(b, &v, 1);
}

static inline bool
lk_bytes_u16(struct lk_bytes *b, uint16_t v)
{
    return lk_bytes_append(b, &v, sizeof(v));
}

static inline bool
lk_bytes_u32(struct lk_bytes *b, uint32_t v)
{
    return lk_bytes_append(b, &v, sizeof(v));
}

static inline bool
lk_bytes_u64(struct lk_bytes *b, uint64_t v)
{
    return lk_bytes_append(b, &v, sizeof(v));
}

static inline bool
lk_bytes_varint(struct lk_bytes *b, uint64_t v)
{
    if (!lk_bytes_reserve(b, LK_VARINT_BYTES_MAX))
        return false;
    b->bytes = (size_t)(lk_varint_put(b->data + b->bytes, v) - b->data);
    return true;
}

/* Length as a varint, then the bytes. */
static inline bool
lk_bytes_sized(struct lk_bytes *b, struct luma_slice s)
{
    return lk_bytes_varint(b, s.bytes) && lk_bytes_slice(b, s);
}

bool lk_bytes_printf(struct lk_bytes *b, const char *fmt, ...) LUMA_PRINTF(2, 3);
bool lk_bytes_vprintf(struct lk_bytes *b, const char *fmt, va_list args) LUMA_PRINTF(2, 0);

/* The content with a NUL behind it that is not counted; "" when there is no memory. */
const char *lk_bytes_cstr(struct lk_bytes *b);

/* Appends text as a JSON string with its quotes; invalid UTF-8 becomes U+FFFD. */
bool lk_bytes_json(struct lk_bytes *b, struct luma_slice text);

static inline struct luma_slice
lk_bytes_view(const struct lk_bytes *b)
{
    return luma_slice(b->data, b->bytes);
}

/* A cursor over bytes from disk or wire: every take checks the end and remembers a failure. */
struct lk_reader {
    const uint8_t *p, *end;
    bool failed; /* something did not fit; what was returned since is zero or empty */
};

static inline struct lk_reader
lk_reader(struct luma_slice s)
{
    struct lk_reader r = {s.data, s.data == NULL ? NULL : s.data + s.bytes, false};
    return r;
}

static inline size_t
lk_reader_left(const struct lk_reader *r)
{
    return (size_t)(r->end - r->p);
}

static inline struct luma_slice
lk_reader_take(struct lk_reader *r, size_t bytes)
{
    if (r->failed || bytes > lk_reader_left(r)) {
        r->failed = true;
        return luma_slice(NULL, 0);
    }
    struct luma_slice s = luma_slice(r->p, bytes);
    if (bytes > 0)
        r->p += bytes;
    return s;
}

static inline uint8_t
lk_reader_u8(struct lk_reader *r)
{
    struct luma_slice s = lk_reader_take(r, 1);
    return s.bytes == 0 ? 0 : s.data[0];
}

static inline uint16_t
lk_reader_u16(struct lk_reader *r)
{
    struct luma_slice s = lk_reader_take(r, 2);
    return s.bytes == 0 ? (uint16_t)0 : lk_load_u16(s.data);
}

static inline uint32_t
lk_reader_u32(struct lk_reader *r)
{
    struct luma_slice s = lk_reader_take(r, 4);
    return s.bytes == 0 ? 0 : lk_load_u32(s.data);
}

static inline uint64_t
lk_reader_u64(struct lk_reader *r)
{
    struct luma_slice s = lk_reader_take(r, 8);
    return s.bytes == 0 ? 0 : lk_load_u64(s.data);
}

static inline uint64_t
lk_reader_varint(struct lk_reader *r)
{
    uint64_t v = 0;
    const uint8_t *next = r->failed ? NULL : lk_varint_get(r->p, r->end, &v);
    if (next == NULL) {
        r->failed = true;
        return 0;
    }
    r->p = next;
    return v;
}

static inline struct luma_slice
lk_reader_sized(struct lk_reader *r)
{
    uint64_t bytes = lk_reader_varint(r);
    return lk_reader_take(r, bytes > SIZE_MAX / 2 ? SIZE_MAX : (size_t)bytes);
}

#endif
