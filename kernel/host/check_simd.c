/*
 * host/check_simd.c - a variant against the scalar loops, on random input of odd lengths and
 * alignments. Output memory ends at a pattern that must stay.
 */
#include <math.h>
#include <stdio.h>

#include "host/check_priv.h"

#define ROWS_MAX 400
#define SLACK    8

union lane {
    int16_t i16[ROWS_MAX + SLACK];
    int32_t i32[ROWS_MAX + SLACK];
    int64_t i64[ROWS_MAX + SLACK];
    uint32_t u32[ROWS_MAX + SLACK];
    uint64_t u64[ROWS_MAX + SLACK];
    uint16_t u16[ROWS_MAX + SLACK];
    double f64[ROWS_MAX + SLACK];
    uint8_t u8[(ROWS_MAX + SLACK) * 8];
};

/* One comparison: the same input, two outputs. */
struct duel {
    const struct luma_simd *a, *b; /* variant, scalar */
    struct lk_rand r;
    size_t n;
    union lane x, y, out_a, out_b;
    uint16_t sel[ROWS_MAX];
    uint32_t idx[ROWS_MAX];
};

/* Small numbers often, so that comparisons are true now and then; extremes sometimes. */
static uint64_t
some_number(struct lk_rand *r)
{
    switch (lk_rand_below(r, 8)) {
    case 0:
        return lk_rand_u64(r);
    case 1:
        return lk_rand_percent(r, 50) ? (uint64_t)INT64_MIN : (uint64_t)INT64_MAX;
    case 2:
        return (uint64_t)lk_rand_between(r, INT32_MIN, INT32_MAX);
    default:
        return (uint64_t)lk_rand_between(r, -5, 5);
    }
}

static double
some_double(struct lk_rand *r)
{
    switch (lk_rand_below(r, 8)) {
    case 0:
        return NAN;
    case 1:
        return lk_rand_percent(r, 50) ? INFINITY : -INFINITY;
    case 2:
        return lk_rand_percent(r, 50) ? 0.0 : -0.0;
    default:
        return (double)lk_rand_between(r, -5, 5) * 0.5;
    }
}

static void
duel_reset(struct duel *d)
{
    memset(&d->out_a, 0x5a, sizeof(d->out_a));
    memset(&d->out_b, 0x5a, sizeof(d->out_b));
}

static bool
duel_same(const struct duel *d)
{
    return memcmp(&d->out_a, &d->out_b, sizeof(d->out_a)) == 0;
}

static void
fill_u64(struct duel *d)
{
    for (size_t i = 0; i < ROWS_MAX + SLACK; i++) {
        d->x.u64[i] = some_number(&d->r);
        d->y.u64[i] = some_number(&d->r);
    }
}

/* Bounded so that sums and products fit. */
static void
fill_small(struct duel *d)
{
    for (size_t i = 0; i < ROWS_MAX + SLACK; i++) {
        d->x.i64[i] = lk_rand_between(&d->r, -2000000000, 2000000000);
        d->y.i64[i] = lk_rand_between(&d->r, -2000000000, 2000000000);
    }
}

/* DUEL(name): both run with the same arguments; OUT stands for the output of the one that runs. */
#define DUEL(d, fn, ...)                   \
    do {                                   \
        duel_reset(d);                     \
        {                                  \
            union lane *OUT = &(d)->out_a; \
            (d)->a->fn(__VA_ARGS__);       \
        }                                  \
        {                                  \
            union lane *OUT = &(d)->out_b; \
            (d)->b->fn(__VA_ARGS__);       \
        }                                  \
        if (!duel_same(d))                 \
            return #fn;                    \
    } while (0)

#define DUEL_VALUE(d, fn, ...)                                  \
    do {                                                        \
        if ((d)->a->fn(__VA_ARGS__) != (d)->b->fn(__VA_ARGS__)) \
            return #fn;                                         \
    } while (0)

static const char *
duel_compare(struct duel *d)
{
    for (int op = LUMA_CMP_EQ; op <= LUMA_CMP_GE; op++) {
        enum luma_cmp cmp = (enum luma_cmp)op;
        fill_u64(d);
        int64_t y = (int64_t)some_number(&d->r);
        size_t off = lk_rand_below(&d->r, SLACK);
        DUEL(d, cmp_i16, cmp, d->x.i16 + off, (int16_t)y, d->n, OUT->u64);
        DUEL(d, cmp_i32, cmp, d->x.i32 + off, (int32_t)y, d->n, OUT->u64);
        DUEL(d, cmp_i64, cmp, d->x.i64 + off, y, d->n, OUT->u64);
        DUEL(d, cmp_u8, cmp, d->x.u8 + off, (uint8_t)y, d->n, OUT->u64);
        DUEL(d, cmp2_i32, cmp, d->x.i32 + off, d->y.i32, d->n, OUT->u64);
        DUEL(d, cmp2_i64, cmp, d->x.i64 + off, d->y.i64, d->n, OUT->u64);
        for (size_t i = 0; i < ROWS_MAX + SLACK; i++)
            d->x.f64[i] = some_double(&d->r);
        double z = some_double(&d->r);
        DUEL(d, cmp_f64, cmp, d->x.f64 + off, z, d->n, OUT->u64);
    }
    fill_u64(d);
    int64_t lo = (int64_t)some_number(&d->r), hi = (int64_t)some_number(&d->r);
    DUEL(d, between_i32, d->x.i32 + 1, (int32_t)lo, (int32_t)hi, d->n, OUT->u64);
    DUEL(d, between_i64, d->x.i64 + 1, lo, hi, d->n, OUT->u64);
    return NULL;
}

static const char *
duel_selections(struct duel *d)
{
    size_t count = 0;
    fill_u64(d);
    DUEL_VALUE(d, bits_count, d->x.u64, d->n);
    DUEL_VALUE(d, bits_to_sel, d->x.u64, d->n, d->sel);
    DUEL(d, bits_to_sel, d->x.u64, d->n, OUT->u16);
    for (size_t i = 0; i < d->n; i++) {
        if (lk_rand_percent(&d->r, 40))
            d->sel[count++] = (uint16_t)i;
        d->idx[i] = (uint32_t)lk_rand_below(&d->r, ROWS_MAX);
    }
    DUEL(d, sel_to_bits, d->sel, count, d->n, OUT->u64);
    DUEL(d, take_32, d->x.u32 + 1, d->sel, count, OUT->u32);
    DUEL(d, take_64, d->x.u64 + 1, d->sel, count, OUT->u64);
    DUEL(d, gather_32, d->x.u32, d->idx, d->n, OUT->u32);
    DUEL(d, gather_64, d->x.u64, d->idx, d->n, OUT->u64);
    return NULL;
}

static const char *
duel_packing(struct duel *d)
{
    uint32_t bits = (uint32_t)lk_rand_below(&d->r, 65);
    uint64_t base = some_number(&d->r), mask = bits == 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
    size_t n = d->n - d->n % 2, first = n == 0 ? 0 : lk_rand_below(&d->r, n);
    for (size_t i = 0; i < ROWS_MAX; i++)
        d->x.u64[i] = base + (lk_rand_u64(&d->r) & mask);
    /* Eight bytes behind the packed area are the caller's padding: compared up to its end. */
    size_t bytes = (n * bits + 7) / 8;
    memset(&d->out_a, 0, sizeof(d->out_a));
    memset(&d->out_b, 0, sizeof(d->out_b));
    d->a->pack_64(d->x.u64, base, bits, n, d->out_a.u8);
    d->b->pack_64(d->x.u64, base, bits, n, d->out_b.u8);
    if (memcmp(d->out_a.u8, d->out_b.u8, bytes) != 0)
        return "pack_64";
    memcpy(&d->y, &d->out_b, sizeof(d->y));
    DUEL(d, unpack_64, d->y.u8, bits, base, first, n - first, OUT->u64);
    for (size_t i = first; i < n; i++)
        if (d->out_a.u64[i - first] != d->x.u64[i])
            return "unpack_64 of pack_64";
    if (bits <= 32)
        DUEL(d, unpack_32, d->y.u8, bits, (uint32_t)base, first, n - first, OUT->u32);
    return NULL;
}

static const char *
duel_arithmetic(struct duel *d)
{
    fill_small(d);
    int64_t y = lk_rand_between(&d->r, -2000000000, 2000000000);
    DUEL(d, add_i64, d->x.i64, d->y.i64 + 1, d->n, OUT->i64);
    DUEL(d, sub_i64, d->x.i64, d->y.i64 + 1, d->n, OUT->i64);
    DUEL(d, mul_i64, d->x.i64, d->y.i64 + 1, d->n, OUT->i64);
    DUEL(d, add_i64_const, d->x.i64 + 1, y, d->n, OUT->i64);
    DUEL(d, rsub_i64_const, d->x.i64 + 1, y, d->n, OUT->i64);
    DUEL(d, mul_i64_const, d->x.i64 + 1, y, d->n, OUT->i64);
    fill_u64(d);
    DUEL(d, widen_i32, d->x.i32 + 1, d->n, OUT->i64);
    DUEL(d, widen_i16, d->x.i16 + 1, d->n, OUT->i64);
    DUEL(d, prefix_i64, d->x.i64, y, d->n, OUT->i64);
    DUEL(d, hash_64, d->x.u64 + 1, d->n, OUT->u64);
    DUEL_VALUE(d, sum_i64, d->x.i64 + 1, d->n);
    DUEL_VALUE(d, sum_i32, d->x.i32 + 1, d->n);
    if (d->n > 0) {
        DUEL(d, minmax_i32, d->x.i32 + 1, d->n, OUT->i32, OUT->i32 + 1);
        DUEL(d, minmax_i64, d->x.i64 + 1, d->n, OUT->i64, OUT->i64 + 1);
    }
    for (size_t i = 0; i < ROWS_MAX + SLACK; i++)
        d->x.f64[i] = lk_rand_double(&d->r) * 1e6 - 3e5;
    double a = d->a->sum_f64(d->x.f64 + 1, d->n), b = d->b->sum_f64(d->x.f64 + 1, d->n);
    return memcmp(&a, &b, sizeof(a)) == 0 ? NULL : "sum_f64"; /* to the last bit */
}

static const char *
duel_bytes(struct duel *d)
{
    char text[ROWS_MAX], needle[8];
    size_t needle_bytes = lk_rand_below(&d->r, sizeof(needle) + 1);
    unsigned letters = 1 + (unsigned)lk_rand_below(&d->r, 4);
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('a' + lk_rand_below(&d->r, letters));
    for (size_t i = 0; i < sizeof(needle); i++)
        needle[i] = (char)('a' + lk_rand_below(&d->r, letters));
    size_t bytes = LK_MIN(d->n, sizeof(text) - 3);
    DUEL_VALUE(d, find, text + 3, bytes, needle, needle_bytes);
    DUEL_VALUE(d, find_any4, text + 1, bytes, 'd', 'x', '\n', 'b');
    DUEL_VALUE(d, crc32c, (uint32_t)d->n, text + 3, bytes);
    /* Mostly valid UTF-8 with a byte changed now and then. */
    static const char euro[] = "\xe2\x82\xac";
    static const char clef[] = "\xf0\x9d\x84\x9e";
    for (size_t i = 0; i + 4 < sizeof(text); i += 5)
        if (lk_rand_percent(&d->r, 30))
            memcpy(text + i, i % 2 == 0 ? euro : clef, i % 2 == 0 ? 3 : 4);
    if (lk_rand_percent(&d->r, 60) && d->n > 0)
        text[lk_rand_below(&d->r, d->n)] = (char)lk_rand_u64(&d->r);
    DUEL_VALUE(d, utf8_valid, text, d->n);
    return NULL;
}

const char *
lki_simd_compare(const struct luma_simd *variant, const struct luma_simd *scalar, uint64_t seed,
                 unsigned rounds)
{
    const char *wrong = NULL;
    struct duel *d = lk_alloc(NULL, sizeof(*d));
    if (d == NULL)
        return "(no memory)";
    *d = (struct duel){.a = variant, .b = scalar};
    lk_rand_init(&d->r, seed);
    for (unsigned round = 0; round < rounds && wrong == NULL; round++) {
        size_t bound = round % 2 == 0 ? LK_MIN(2 + (size_t)round, (size_t)ROWS_MAX) : ROWS_MAX;
        d->n = lk_rand_below(&d->r, bound);
        wrong = duel_compare(d);
        wrong = wrong != NULL ? wrong : duel_selections(d);
        wrong = wrong != NULL ? wrong : duel_packing(d);
        wrong = wrong != NULL ? wrong : duel_arithmetic(d);
        wrong = wrong != NULL ? wrong : duel_bytes(d);
    }
    lk_free(NULL, d, sizeof(*d));
    return wrong;
}

/* The scalar loops are what the others are held to: known answers for them. */
static void
check_known(struct lki_check *k, const struct luma_simd *s)
{
    int64_t x[] = {3, -1, 7, 7, 0};
    uint64_t bits = 0;
    s->cmp_i64(LUMA_CMP_GE, x, 3, 5, &bits);
    if (bits != 0x0d)
        lki_check_wrong(k, "cmp_i64 GE gave bits %llx", (unsigned long long)bits);
    if (s->sum_i64(x, 5) != 16 || s->bits_count(&bits, 5) != 3)
        lki_check_wrong(k, "sum_i64 or bits_count is wrong");
    if (s->crc32c(0, "123456789", 9) != 0xe3069283u)
        lki_check_wrong(k, "crc32c is not CRC-32C");
    if (s->find("abcabd", 6, "abd", 3) != 3 || s->find("abc", 3, "x", 1) != 3)
        lki_check_wrong(k, "find is wrong");
    if (!s->utf8_valid("\xe2\x82\xac", 3) || s->utf8_valid("\xed\xa0\x80", 3) ||
        s->utf8_valid("\xc0\x80", 2))
        lki_check_wrong(k, "utf8_valid is wrong");
    uint64_t in = 12345, out = 0;
    s->hash_64(&in, 1, &out);
    if (out != lk_hash_u64(in))
        lki_check_wrong(k, "hash_64 is not the kernel's hash");
    lki_check_done(k, "known answers");
}

static bool
is_complete(const struct luma_simd *s)
{
    if (s->head.size_bytes < sizeof(*s) || s->name == NULL)
        return false;
    const void *const *fn = (const void *const *)(const void *)&s->usable;
    const void *const *end = (const void *const *)(const void *)(s + 1);
    for (; fn < end; fn++)
        if (*fn == NULL)
            return false;
    return true;
}

void
lki_check_simd(struct lki_check *k, const struct luma_head *table)
{
    const struct luma_simd *s = (const struct luma_simd *)table;
    if (!is_complete(s))
        lki_check_wrong(k, "a function is missing");
    lki_check_done(k, "its table is complete");
    if (k->failed > 0)
        return;
    if (!s->usable()) {
        lki_check_done(k, "this processor has not what it wants: nothing to compare");
        return;
    }
    check_known(k, s);
    if (k->simd == NULL)
        lki_check_wrong(k, "the module simd-scalar, to compare with, is not loaded");
    const char *wrong = k->simd == NULL ? NULL : lki_simd_compare(s, k->simd, 7, 3000);
    if (wrong != NULL)
        lki_check_wrong(k, "%s differs from the scalar one", wrong);
    lki_check_done(k, "3,000 rounds of random input give what the scalar loops give");
}
