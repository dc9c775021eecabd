/*
 * lumadb/base.h - what every header here builds on: result codes, slices, attributes.
 *
 * Ownership words used in all SDK comments: the callee *borrows* (until it returns), *keeps*
 * (until a named event), *takes* (and frees), *gives* (the caller frees, with the named function).
 */
#ifndef LUMADB_BASE_H
#define LUMADB_BASE_H

#include <lumadb/version.h>

#include <stdalign.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
#define LUMA_STATIC_ASSERT(cond, text) static_assert(cond, text)
#else
#define LUMA_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#endif

#define LUMA_NODISCARD                    __attribute__((warn_unused_result))
#define LUMA_EXPORT                       __attribute__((visibility("default")))
#define LUMA_PRINTF(fmt_index, arg_index) __attribute__((format(printf, fmt_index, arg_index)))
#define LUMA_LIKELY(x)                    __builtin_expect(!!(x), 1)
#define LUMA_UNLIKELY(x)                  __builtin_expect(!!(x), 0)
#define LUMA_UNUSED                       __attribute__((unused))
#define LUMA_COUNTOF(a)                   (sizeof(a) / sizeof((a)[0]))

/* 0 or a negative LUMA_E_* of errors.def; out_ parameters change on success only. */
typedef int32_t luma_rc;

#define LUMA_OK 0
enum luma_error_code {
    LUMA_ERROR_FIRST_ = -1000,
#define LUMA_ERROR(name, ecode, sqlstate, http, grpc, text) LUMA_E_##name,
#include <lumadb/errors.def>
#undef LUMA_ERROR
    LUMA_ERROR_END_
};

/* Borrowed bytes; data may be NULL when bytes is 0. */
struct luma_slice {
    const uint8_t *data;
    size_t bytes;
};

/* Room somebody else owns: used_bytes of room_bytes are filled. */
struct luma_buf {
    uint8_t *data;
    size_t room_bytes;
    size_t used_bytes;
};

static inline struct luma_slice
luma_slice(const void *data, size_t bytes)
{
    struct luma_slice s = {(const uint8_t *)data, bytes};
    return s;
}

static inline struct luma_slice
luma_slice_text(const char *text)
{
    return luma_slice(text, text == NULL ? 0 : strlen(text));
}

static inline bool
luma_slice_equal(struct luma_slice a, struct luma_slice b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

/* Bytewise order, the shorter first when one is a prefix of the other. */
static inline int
luma_slice_compare(struct luma_slice a, struct luma_slice b)
{
    size_t n = a.bytes < b.bytes ? a.bytes : b.bytes;
    int c = n == 0 ? 0 : memcmp(a.data, b.data, n);
    return c != 0 ? c : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

/* First member of every table of function pointers: how far it goes and which version it is. */
struct luma_head {
    uint32_t size_bytes; /* sizeof the whole table as its author's compiler saw it */
    uint16_t major;      /* of the interface: differs means refused */
    uint16_t minor;      /* grows when members join at the end */
};

/* True when `table` is long enough to hold `member`. */
#define LUMA_HAS(table, member) \
    ((table)->head.size_bytes >= offsetof(__typeof__(*(table)), member) + sizeof((table)->member))

/* __attribute__((cleanup)) glue: LUMA_CLEANUP(x_close) struct x *x = NULL; calls x_close(x). */
#define LUMA_CLEANUP(fn) __attribute__((cleanup(fn##_cleanup_)))
#define LUMA_DEFINE_CLEANUP(type, fn)         \
    static inline void fn##_cleanup_(type *p) \
    {                                         \
        if (*p)                               \
            fn(*p);                           \
    }
#define LUMA_TAKE(p)                     \
    ({                                   \
        __typeof__(p) luma_taken_ = (p); \
        (p) = NULL;                      \
        luma_taken_;                     \
    })

#endif
