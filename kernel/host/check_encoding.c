/*
 * host/check_encoding.c - what was encoded comes back by range, by selection and row by row,
 * filters agree with a comparison of plain values, and damaged bytes do no harm.
 */
#include <lumadb/kind/encoding.h>

#include <stdatomic.h>
#include <stdio.h>

#include "host/check_priv.h"

#define PADDING 16

enum shape { CONSTANT = 0, SEQUENCE, RUNS, FEW, SMALL, FULL, SORTED, EXTREMES, SHAPES };

static const char *const phys_names[LUMA_PHYS_COUNT_] = {"none", "bool", "i16", "i32", "i64",
                                                         "i128", "f32",  "f64", "b16", "str"};

/* A column, its encoded form and the view on it. */
struct trial {
    const struct luma_encoding *e;
    struct luma_arena *arena;
    struct luma_vec vec;
    uint32_t rows;
    struct luma_enc_stats stats;
    struct lki_guard packed; /* the encoded bytes and 16 more */
    size_t used;
    struct luma_enc_view view;
    bool encoded;
};

/* --- columns --- */

static uint64_t
shape_number(struct lk_rand *r, enum shape shape, uint32_t row, uint64_t before)
{
    switch (shape) {
    case CONSTANT:
        return 42;
    case SEQUENCE:
        return row * 3;
    case RUNS:
        return lk_rand_percent(r, 95) ? before : lk_rand_below(r, 30);
    case FEW:
        return lk_rand_below(r, 8) * 1000003;
    case SMALL:
        return (uint64_t)lk_rand_between(r, -500, 500);
    case SORTED:
        return before + lk_rand_below(r, 100);
    case EXTREMES:
        return lk_rand_percent(r, 50) ? (uint64_t)INT64_MIN + lk_rand_below(r, 3)
                                      : (uint64_t)INT64_MAX - lk_rand_below(r, 3);
    default:
        return lk_rand_u64(r);
    }
}

static void
put_value(struct luma_vec *vec, struct luma_arena *arena, uint32_t row, uint64_t v)
{
    uint8_t *at = (uint8_t *)vec->data + (size_t)row * luma_phys_bytes((enum luma_phys)vec->phys);
    luma_i128 wide = (luma_i128)(int64_t)v * 1000003;
    double f64 = (double)(int64_t)v * 0.25;
    float f32 = (float)(int64_t)(v % 100000) * 0.5f;
    char text[80];
    int n;
    switch ((enum luma_phys)vec->phys) {
    case LUMA_PHYS_BOOL:
        *at = (uint8_t)(v & 1);
        break;
    case LUMA_PHYS_F32:
        memcpy(at, &f32, sizeof(f32));
        break;
    case LUMA_PHYS_F64:
        memcpy(at, &f64, sizeof(f64));
        break;
    case LUMA_PHYS_I128:
        memcpy(at, &wide, sizeof(wide));
        break;
    case LUMA_PHYS_B16:
        memcpy(at, &v, 8);
        v = lk_hash_u64(v);
        memcpy(at + 8, &v, 8);
        break;
    case LUMA_PHYS_STR:
        n = snprintf(text, sizeof(text), "%.*s%llu", (int)(v % 40),
                     "http://example.org/a/path/of/some/length", (unsigned long long)v);
        n = v % 17 == 0 ? 0 : n;
        ((struct luma_str *)vec->data)[row] =
            luma_str_make(luma_arena_text(arena, text, (size_t)n), (uint32_t)n);
        break;
    default: /* little-endian: the low bytes are the narrow integer */
        memcpy(at, &v, luma_phys_bytes((enum luma_phys)vec->phys));
        break;
    }
}

static struct luma_type
type_of(enum luma_phys phys)
{
    static const uint8_t ids[LUMA_PHYS_COUNT_] = {
        LUMA_TYPE_NONE,    LUMA_TYPE_BOOL,   LUMA_TYPE_INT2,   LUMA_TYPE_INT4, LUMA_TYPE_INT8,
        LUMA_TYPE_NUMERIC, LUMA_TYPE_FLOAT4, LUMA_TYPE_FLOAT8, LUMA_TYPE_UUID, LUMA_TYPE_TEXT};
    return phys == LUMA_PHYS_I128 ? luma_type_numeric(30, 2)
                                  : luma_type((enum luma_type_id)ids[phys]);
}

static bool
same_value(uint8_t phys, const void *a, const void *b)
{
    if (phys == LUMA_PHYS_STR)
        return luma_str_equal(a, b);
    return memcmp(a, b, luma_phys_bytes((enum luma_phys)phys)) == 0;
}

static int64_t
as_int(const struct luma_vec *vec, uint32_t row)
{
    const void *at = luma_vec_at(vec, row);
    int16_t i16;
    int32_t i32;
    int64_t i64;
    switch ((enum luma_phys)vec->phys) {
    case LUMA_PHYS_BOOL:
        return *(const uint8_t *)at;
    case LUMA_PHYS_I16:
        memcpy(&i16, at, sizeof(i16));
        return i16;
    case LUMA_PHYS_I32:
        memcpy(&i32, at, sizeof(i32));
        return i32;
    case LUMA_PHYS_I64:
        memcpy(&i64, at, sizeof(i64));
        return i64;
    default:
        return 0;
    }
}

static uint32_t
count_distinct(const struct luma_vec *vec, uint32_t rows)
{
    struct lk_map seen = {0};
    for (uint32_t i = 0; i < rows; i++) {
        const void *at = luma_vec_at(vec, i);
        struct luma_slice key = vec->phys == LUMA_PHYS_STR
                                    ? luma_str_slice(at)
                                    : luma_slice(at, luma_phys_bytes((enum luma_phys)vec->phys));
        if (lk_map_put(&seen, key, &seen, NULL) != LUMA_OK)
            break;
    }
    uint32_t count = (uint32_t)seen.count;
    lk_map_fini(&seen);
    return count;
}

static void
collect_stats(struct trial *t)
{
    struct luma_enc_stats *s = &t->stats;
    const struct luma_vec *vec = &t->vec;
    *s = (struct luma_enc_stats){.rows = t->rows, .runs = t->rows > 0, .sorted = true};
    s->min = s->max = t->rows == 0 ? 0 : as_int(vec, 0);
    int64_t delta_min = INT64_MAX, delta_max = INT64_MIN;
    for (uint32_t i = 0; i < t->rows; i++) {
        int64_t v = as_int(vec, i);
        s->min = LK_MIN(s->min, v);
        s->max = LK_MAX(s->max, v);
        if (vec->phys == LUMA_PHYS_STR)
            s->text_bytes += ((const struct luma_str *)luma_vec_at(vec, i))->bytes;
        if (i == 0)
            continue;
        int64_t before = as_int(vec, i - 1);
        int64_t delta = (int64_t)((uint64_t)v - (uint64_t)before);
        delta_min = LK_MIN(delta_min, delta);
        delta_max = LK_MAX(delta_max, delta);
        s->runs += !same_value(vec->phys, luma_vec_at(vec, i), luma_vec_at(vec, i - 1));
        s->sorted = s->sorted && (vec->phys <= LUMA_PHYS_I64 ? v >= before : false);
    }
    s->delta_min = t->rows > 1 ? (uint64_t)delta_min : 0;
    s->delta_max = t->rows > 1 ? (uint64_t)delta_max : 0;
    s->distinct = count_distinct(vec, t->rows);
}

/* --- encoding --- */

static bool
open_view(struct lki_check *k, struct trial *t, const uint8_t *bytes, size_t used)
{
    t->view = (struct luma_enc_view){
        .bytes = luma_slice(bytes, used), .rows = t->rows, .phys = t->vec.phys, .simd = k->simd};
    size_t room = 0;
    if (LUMA_HAS(t->e, room_bytes) && t->e->room_bytes != NULL)
        room = t->e->room_bytes(&t->view);
    if (room > used * 16 + 4096)
        return false;
    t->view.room = room == 0 ? NULL : luma_arena_alloc_aligned(t->arena, room, 64);
    return t->e->open(lki_check_ctx(k), &t->view) == LUMA_OK;
}

/* Makes the column and encodes it; t->encoded tells whether the encoding wanted it. */
static bool
trial_init(struct lki_check *k, struct trial *t, const struct luma_encoding *e, enum luma_phys phys,
           enum shape shape, uint32_t rows)
{
    uint64_t v = 0;
    uint32_t cost = 0;
    *t = (struct trial){.e = e, .arena = k->arena, .rows = rows};
    if (!luma_vec_init(&t->vec, t->arena, type_of(phys), rows))
        return lki_check_wrong(k, "no memory");
    t->vec.phys = (uint8_t)phys;
    for (uint32_t i = 0; i < rows; i++) {
        v = shape_number(&k->rand, shape, i, v);
        put_value(&t->vec, t->arena, i, v);
    }
    collect_stats(t);
    if (e->estimate(&t->vec, rows, &t->stats, &cost) == SIZE_MAX)
        return true;
    size_t bound = e->bound(&t->vec, rows, &t->stats);
    struct lki_guard raw;
    if (!lki_guard_init(&raw, bound, 64))
        return lki_check_wrong(k, "no memory for bound() = %zu", bound);
    struct luma_buf dst = {raw.data, bound, 0};
    luma_rc rc = e->encode(lki_check_ctx(k), &t->vec, rows, &t->stats, k->simd, &dst);
    if (!lki_guard_intact(&raw))
        lki_check_wrong(k, "encode wrote outside its room");
    else if (rc != LUMA_OK)
        lki_check_wrong(k, "encode failed: %s", k->c.error.message);
    else if (lki_guard_init(&t->packed, dst.used_bytes + PADDING, 64)) {
        memcpy(t->packed.data, raw.data, dst.used_bytes);
        t->used = dst.used_bytes;
        t->encoded = true;
    }
    lki_guard_fini(&raw);
    if (t->encoded && !open_view(k, t, t->packed.data, t->used))
        lki_check_wrong(k, "open refuses what encode gave: %s", k->c.error.message);
    return k->why == NULL;
}

static void
trial_fini(struct trial *t)
{
    if (t->encoded)
        lki_guard_fini(&t->packed);
    t->arena->reset(t->arena);
}

/* --- reading --- */

static bool
decode_into(struct trial *t, uint32_t first, uint32_t n, const uint16_t *sel, uint32_t sel_rows,
            struct luma_vec *out)
{
    size_t value_bytes = LK_MAX(luma_phys_bytes((enum luma_phys)t->vec.phys), 4u);
    *out = (struct luma_vec){.type = t->vec.type, .phys = t->vec.phys, .scale = t->vec.scale};
    out->data = luma_arena_alloc_aligned(t->arena, value_bytes * (n + 1), 64);
    if (out->data == NULL)
        return false;
    luma_rc rc = sel == NULL ? t->e->decode(&t->view, first, n, t->arena, out)
                             : t->e->decode_sel(&t->view, first, n, sel, sel_rows, t->arena, out);
    return rc == LUMA_OK;
}

static bool
row_is(struct trial *t, const struct luma_vec *out, uint32_t first, uint32_t i)
{
    return same_value(t->vec.phys, luma_vec_at(out, i), luma_vec_at(&t->vec, first + i));
}

static void
check_decode(struct lki_check *k, struct trial *t)
{
    for (uint32_t first = 0; first < t->rows && k->why == NULL;) {
        uint32_t n = 1 + (uint32_t)lk_rand_below(&k->rand, LUMA_BATCH_ROWS);
        n = LK_MIN(n, t->rows - first);
        struct luma_vec out;
        if (!decode_into(t, first, n, NULL, 0, &out)) {
            lki_check_wrong(k, "decode of rows %u .. %u failed", first, first + n - 1);
            return;
        }
        for (uint32_t i = 0; i < n && k->why == NULL; i++)
            if (!row_is(t, &out, first, i))
                lki_check_wrong(k, "decode: row %u of %u has another value", first + i, t->rows);
        first += n;
    }
}

static void
check_selection(struct lki_check *k, struct trial *t)
{
    uint16_t sel[LUMA_BATCH_ROWS] = {0};
    if (t->e->decode_sel == NULL || t->rows == 0)
        return;
    uint32_t first = (uint32_t)lk_rand_below(&k->rand, t->rows), count = 0;
    uint32_t n = LK_MIN(t->rows - first, (uint32_t)LUMA_BATCH_ROWS);
    unsigned percent = (unsigned)lk_rand_below(&k->rand, 101);
    for (uint32_t i = 0; i < n; i++)
        if (lk_rand_percent(&k->rand, percent))
            sel[count++] = (uint16_t)i;
    struct luma_vec out;
    if (!decode_into(t, first, n, sel, count, &out)) {
        lki_check_wrong(k, "decode_sel of %u of %u rows failed", count, n);
        return;
    }
    for (uint32_t i = 0; i < count && k->why == NULL; i++)
        if (!row_is(t, &out, first, sel[i]))
            lki_check_wrong(k, "decode_sel: row %u has another value", first + sel[i]);
}

static void
check_get(struct lki_check *k, struct trial *t)
{
    uint32_t times = LK_MIN(t->rows, 500u);
    for (uint32_t i = 0; i < times && k->why == NULL; i++) {
        uint32_t row = t->rows <= 500 ? i : (uint32_t)lk_rand_below(&k->rand, t->rows);
        luma_i128 room[2] = {0, 0};
        if (luma_enc_get(t->e, &t->view, row, t->arena, room) != LUMA_OK)
            lki_check_wrong(k, "get: row %u of %u is refused", row, t->rows);
        else if (!same_value(t->vec.phys, room, luma_vec_at(&t->vec, row)))
            lki_check_wrong(k, "get: row %u of %u has another value", row, t->rows);
    }
}

static struct luma_value
value_of(const struct luma_vec *vec, uint32_t row)
{
    struct luma_value v = {.type = vec->type, .phys = vec->phys, .scale = vec->scale};
    memcpy(&v.i128, luma_vec_at(vec, row), luma_phys_bytes((enum luma_phys)vec->phys));
    return v;
}

static int
compare_values(const struct luma_vec *vec, uint32_t row, const struct luma_value *c)
{
    const void *at = luma_vec_at(vec, row);
    luma_i128 wide;
    double f64;
    float f32;
    switch ((enum luma_phys)vec->phys) {
    case LUMA_PHYS_STR:
        return luma_str_compare(at, &c->str);
    case LUMA_PHYS_F64:
        memcpy(&f64, at, sizeof(f64));
        return (f64 > c->f64) - (f64 < c->f64);
    case LUMA_PHYS_F32:
        memcpy(&f32, at, sizeof(f32));
        return (f32 > c->f32) - (f32 < c->f32);
    case LUMA_PHYS_I128:
        memcpy(&wide, at, sizeof(wide));
        return (wide > c->i128) - (wide < c->i128);
    case LUMA_PHYS_B16:
        return memcmp(at, &c->uuid, 16);
    default: {
        int64_t a = as_int(vec, row);
        int64_t b = c->phys == LUMA_PHYS_BOOL  ? c->b
                    : c->phys == LUMA_PHYS_I16 ? c->i16
                    : c->phys == LUMA_PHYS_I32 ? c->i32
                                               : c->i64;
        return (a > b) - (a < b);
    }
    }
}

static void
check_filter(struct lki_check *k, struct trial *t, const struct luma_value *constant)
{
    uint64_t bits[LUMA_BIT_WORDS(LUMA_BATCH_ROWS)];
    uint32_t first = (uint32_t)lk_rand_below(&k->rand, t->rows);
    uint32_t n = LK_MIN(t->rows - first, 1 + (uint32_t)lk_rand_below(&k->rand, LUMA_BATCH_ROWS));
    for (int op = LUMA_CMP_EQ; op <= LUMA_CMP_GE && k->why == NULL; op++) {
        memset(bits, 0xee, sizeof(bits));
        if (!t->e->filter(&t->view, first, n, (enum luma_cmp)op, constant, bits))
            continue;
        for (uint32_t i = 0; i < n && k->why == NULL; i++) {
            bool expected =
                luma_cmp_holds((enum luma_cmp)op, compare_values(&t->vec, first + i, constant));
            if (luma_bit_get(bits, i) != expected)
                lki_check_wrong(k, "filter: operator %d is wrong at row %u", op, first + i);
        }
        for (uint32_t i = n; i < LUMA_BIT_WORDS(n) * 64 && k->why == NULL; i++)
            if (luma_bit_get(bits, i))
                lki_check_wrong(k, "filter: bits behind row %u are set", n);
    }
}

static void
check_filters(struct lki_check *k, struct trial *t)
{
    struct luma_vec other;
    if (t->e->filter == NULL || t->rows == 0 || !luma_vec_init(&other, t->arena, t->vec.type, 1))
        return;
    other.phys = t->vec.phys;
    for (int i = 0; i < 6 && k->why == NULL; i++) {
        put_value(&other, t->arena, 0, shape_number(&k->rand, (enum shape)(i + 2), 5, 7));
        struct luma_value present = value_of(&t->vec, (uint32_t)lk_rand_below(&k->rand, t->rows));
        struct luma_value any = value_of(&other, 0);
        check_filter(k, t, &present);
        check_filter(k, t, &any);
    }
}

/* --- the tests --- */

typedef void (*trial_fn)(struct lki_check *k, struct trial *t);

/* Runs fn over columns of every shape and many lengths; gives how many were encoded. */
static unsigned
over_columns(struct lki_check *k, const struct luma_encoding *e, enum luma_phys phys,
             uint32_t rows_max, trial_fn fn)
{
    static const uint32_t sizes[] = {1, 2, 63, 64, 65, 300, 1024, 2048, 2049, 5000, 65536};
    unsigned encoded = 0;
    for (int shape = 0; shape < SHAPES; shape++) {
        for (size_t i = 0; i < LUMA_COUNTOF(sizes) && k->why == NULL; i++) {
            struct trial t;
            if (sizes[i] > rows_max)
                continue;
            if (trial_init(k, &t, e, phys, (enum shape)shape, sizes[i]) && t.encoded) {
                encoded++;
                fn(k, &t);
            }
            trial_fini(&t);
        }
    }
    return encoded;
}

static void
read_all_ways(struct lki_check *k, struct trial *t)
{
    check_decode(k, t);
    for (int i = 0; i < 4; i++)
        check_selection(k, t);
    check_get(k, t);
    check_filters(k, t);
}

static void
short_room(struct lki_check *k, struct trial *t)
{
    for (int i = 0; i < 10 && k->why == NULL; i++) {
        struct lki_guard g;
        size_t room = lk_rand_below(&k->rand, t->used);
        if (!lki_guard_init(&g, room, 1))
            return;
        struct luma_buf dst = {g.data, room, 0};
        luma_rc rc = t->e->encode(lki_check_ctx(k), &t->vec, t->rows, &t->stats, k->simd, &dst);
        if (!lki_guard_intact(&g) || (rc == LUMA_OK && dst.used_bytes > room))
            lki_check_wrong(k, "encode wrote outside a room of %zu", room);
        else if (rc != LUMA_OK && rc != LUMA_E_ROOM)
            lki_check_wrong(k, "encode with too little room gave %s", lk_error_info(rc)->name);
        lki_guard_fini(&g);
    }
}

/* Reads everything of a view that open let through; the values do not matter. */
static void
touch_all(struct lki_check *k, struct trial *t)
{
    struct luma_vec out;
    luma_i128 room[2];
    for (uint32_t first = 0; first < t->rows; first += LUMA_BATCH_ROWS)
        if (decode_into(t, first, LK_MIN(t->rows - first, (uint32_t)LUMA_BATCH_ROWS), NULL, 0,
                        &out))
            for (uint32_t i = 0; i < LK_MIN(t->rows - first, (uint32_t)LUMA_BATCH_ROWS); i++)
                if (t->vec.phys == LUMA_PHYS_STR)
                    (void)luma_str_compare(luma_vec_at(&out, i), luma_vec_at(&out, 0));
    for (uint32_t row = 0; row < t->rows; row++)
        (void)luma_enc_get(t->e, &t->view, row, t->arena, room);
    struct luma_value c = value_of(&t->vec, 0);
    uint64_t bits[LUMA_BIT_WORDS(LUMA_BATCH_ROWS)];
    if (t->e->filter != NULL)
        (void)t->e->filter(&t->view, 0, LK_MIN(t->rows, (uint32_t)LUMA_BATCH_ROWS), LUMA_CMP_LE, &c,
                           bits);
    (void)k;
}

static void
damaged(struct lki_check *k, struct trial *t)
{
    for (int i = 0; i < 60; i++) {
        bool cut = i % 3 == 0;
        size_t used = cut ? lk_rand_below(&k->rand, t->used) : t->used;
        struct lki_guard g;
        if (!lki_guard_init(&g, used + PADDING, 64))
            return;
        memcpy(g.data, t->packed.data, used);
        memset(g.data + used, 0, PADDING);
        for (uint64_t flips = cut ? 0 : 1 + lk_rand_below(&k->rand, 4); flips > 0; flips--)
            g.data[lk_rand_below(&k->rand, used)] ^= (uint8_t)(1u << lk_rand_below(&k->rand, 8));
        if (open_view(k, t, g.data, used))
            touch_all(k, t);
        else if (k->c.error.code != LUMA_OK && k->c.error.code != LUMA_E_CORRUPT)
            lki_check_wrong(k, "open of damaged bytes gave %s, expected CORRUPT",
                            lk_error_info(k->c.error.code)->name);
        lki_guard_fini(&g);
    }
}

struct crowd {
    struct trial *t;
    _Atomic unsigned bad;
};

static void
crowd_member(void *arg, unsigned index)
{
    struct crowd *crowd = arg;
    struct trial t = *crowd->t;
    struct lk_rand r;
    luma_i128 room[2];
    lk_rand_init(&r, index);
    t.arena = lk_arena_create(NULL, 0);
    for (int i = 0; i < 200 && t.arena != NULL; i++) {
        uint32_t first = (uint32_t)lk_rand_below(&r, t.rows);
        uint32_t n = LK_MIN(t.rows - first, 100u);
        struct luma_vec out;
        bool ok = decode_into(&t, first, n, NULL, 0, &out);
        for (uint32_t row = 0; ok && row < n; row++)
            ok = row_is(&t, &out, first, row);
        ok = ok && luma_enc_get(t.e, &t.view, first, t.arena, room) == LUMA_OK;
        ok = ok && same_value(t.vec.phys, room, luma_vec_at(&t.vec, first));
        if (!ok)
            atomic_fetch_add_explicit(&crowd->bad, 1, memory_order_relaxed);
        t.arena->reset(t.arena);
    }
    lk_arena_destroy(t.arena);
}

static void
many_threads(struct lki_check *k, struct trial *t)
{
    struct crowd crowd = {.t = t};
    lki_check_threads(4, crowd_member, &crowd);
    if (crowd.bad > 0)
        lki_check_wrong(k, "%u reads of one view by many threads went wrong", crowd.bad);
}

static void
check_phys(struct lki_check *k, const struct luma_encoding *e, enum luma_phys phys)
{
    char name[96];
    unsigned encoded = over_columns(k, e, phys, LUMA_CHUNK_ROWS_MAX, read_all_ways);
    if (encoded == 0 && k->why == NULL)
        lki_check_wrong(k, "it says it encodes %s and took no column of it", phys_names[phys]);
    snprintf(name, sizeof(name), "%s: decode, selection, get and filter agree", phys_names[phys]);
    lki_check_done(k, name);
    over_columns(k, e, phys, 2048, short_room);
    snprintf(name, sizeof(name), "%s: encode with too little room", phys_names[phys]);
    lki_check_done(k, name);
    over_columns(k, e, phys, 300, damaged);
    snprintf(name, sizeof(name), "%s: truncated and flipped bytes", phys_names[phys]);
    lki_check_done(k, name);
    over_columns(k, e, phys, 2048, many_threads);
    snprintf(name, sizeof(name), "%s: many threads on one view", phys_names[phys]);
    lki_check_done(k, name);
}

static bool
gives_single_values(const struct luma_encoding *e)
{
    return e->get != NULL || (LUMA_HAS(e, get_into) && e->get_into != NULL);
}

void
lki_check_encoding(struct lki_check *k, const struct luma_head *table)
{
    const struct luma_encoding *e = (const struct luma_encoding *)table;
    if (table->size_bytes < offsetof(struct luma_encoding, filter) || e->wire_id == 0 ||
        e->phys_mask == 0 || e->estimate == NULL || e->bound == NULL || e->encode == NULL ||
        e->open == NULL || e->decode == NULL || !gives_single_values(e))
        lki_check_wrong(k, "a function, wire_id or phys_mask is missing");
    lki_check_done(k, "its table is complete");
    if (k->simd == NULL) {
        lki_check_wrong(k, "the module simd-scalar, which encodings call, is not loaded");
        lki_check_done(k, "inner loops");
    }
    if (k->failed > 0)
        return;
    for (int phys = LUMA_PHYS_BOOL; phys < LUMA_PHYS_COUNT_; phys++)
        if (e->phys_mask & (1u << phys))
            check_phys(k, e, (enum luma_phys)phys);
}
