/*
 * base/assert.h - assertions are for our own mistakes, never for the world's: bytes from disk or
 * wire return LUMA_E_CORRUPT or LUMA_E_PROTOCOL instead.
 */
#ifndef LK_BASE_ASSERT_H
#define LK_BASE_ASSERT_H

#include <lumadb/base.h>

#if defined(__SANITIZE_ADDRESS__)
#define LK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LK_ASAN 1
#endif
#endif
#ifndef LK_ASAN
#define LK_ASAN 0
#endif

#if defined(LUMA_DEBUG) && LUMA_DEBUG
#define LK_DEBUG 1
#else
#define LK_DEBUG 0
#endif

/* Writes the place and the condition to stderr and aborts. */
_Noreturn void lk_assert_failed(const char *cond, const char *file, int line);

/* One condition each; stays on in release builds. */
#define LK_ASSERT(cond)                                  \
    do {                                                 \
        if (LUMA_UNLIKELY(!(cond)))                      \
            lk_assert_failed(#cond, __FILE__, __LINE__); \
    } while (0)

/* For checks too dear for a hot path: debug builds only. */
#if LK_DEBUG
#define LK_ASSERT_SLOW(cond) LK_ASSERT(cond)
#else
#define LK_ASSERT_SLOW(cond) ((void)sizeof(cond))
#endif

#define LK_CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define LK_MIN(a, b)                   \
    ({                                 \
        __typeof__(a) lk_a_ = (a);     \
        __typeof__(b) lk_b_ = (b);     \
        lk_a_ < lk_b_ ? lk_a_ : lk_b_; \
    })
#define LK_MAX(a, b)                   \
    ({                                 \
        __typeof__(a) lk_a_ = (a);     \
        __typeof__(b) lk_b_ = (b);     \
        lk_a_ > lk_b_ ? lk_a_ : lk_b_; \
    })

#define LK_CACHE_LINE   64
#define LK_ALIGNED_LINE __attribute__((aligned(LK_CACHE_LINE)))

#endif
