/*
 * base/rand.h - seeded pseudo-random numbers (xoshiro256++) for tests, simulation and sampling.
 * Not for secrets: those come from lk_io.random.
 */
#ifndef LK_BASE_RAND_H
#define LK_BASE_RAND_H

#include <lumadb/base.h>

struct lk_rand {
    uint64_t s[4];
};

static inline void
lk_rand_init(struct lk_rand *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) { /* splitmix64, as its authors advise */
        uint64_t z = (seed += 0x9e3779b97f4a7c15ULL);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        r->s[i] = z ^ (z >> 31);
    }
}

static inline uint64_t
lk_rand_rotl_(uint64_t v, int k)
{
    return (v << k) | (v >> (64 - k));
}

static inline uint64_t
lk_rand_u64(struct lk_rand *r)
{
    uint64_t *s = r->s;
    uint64_t result = lk_rand_rotl_(s[0] + s[3], 23) + s[0];
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = lk_rand_rotl_(s[3], 45);
    return result;
}

/* 0 .. bound - 1; bound > 0. */
static inline uint64_t
lk_rand_below(struct lk_rand *r, uint64_t bound)
{
    return (uint64_t)(((unsigned __int128)lk_rand_u64(r) * bound) >> 64);
}

/* min .. max, both possible. */
static inline int64_t
lk_rand_between(struct lk_rand *r, int64_t min, int64_t max)
{
    uint64_t span = (uint64_t)max - (uint64_t)min + 1;
    return (int64_t)((uint64_t)min + (span == 0 ? lk_rand_u64(r) : lk_rand_below(r, span)));
}

/* True in `percent` of 100 cases. */
static inline bool
lk_rand_percent(struct lk_rand *r, unsigned percent)
{
    return lk_rand_below(r, 100) < percent;
}

/* 0 <= x < 1 */
static inline double
lk_rand_double(struct lk_rand *r)
{
    return (double)(lk_rand_u64(r) >> 11) * 0x1.0p-53;
}

#endif
