/* host/check_codec.c - round trips, short room, damaged input, many threads. */
#include <lumadb/kind/codec.h>

#include <stdatomic.h>
#include <stdio.h>

#include "host/check_priv.h"

#define INPUT_BYTES_MAX ((size_t)1 << 20)
#define THREADS         4

enum shape { ZEROS = 0, RANDOM, TEXT, RUNS, SHAPES };

static const char *const shape_names[] = {"zeros", "random bytes", "text", "runs"};

static void
fill(struct lk_rand *r, enum shape shape, uint8_t *p, size_t bytes)
{
    static const char words[] = "the quick brown fox jumps over the lazy dog and 0123456789 ";
    for (size_t i = 0; i < bytes;) {
        size_t n = 1 + lk_rand_below(r, 40);
        uint8_t c = (uint8_t)lk_rand_u64(r);
        for (size_t k = 0; k < n && i < bytes; k++, i++)
            p[i] = shape == ZEROS    ? 0
                   : shape == RANDOM ? (uint8_t)lk_rand_u64(r)
                   : shape == TEXT   ? (uint8_t)words[(i * 7 + c) % (sizeof(words) - 1)]
                                     : c;
    }
}

/* A codec in use by one thread. */
struct user {
    struct lk_ctx c;
    struct luma_codec_call call;
    const struct luma_codec *codec;
};

static bool
user_init(struct user *u, const struct luma_codec *codec, const void *conf)
{
    lk_ctx_init(&u->c, NULL);
    u->codec = codec;
    u->call = (struct luma_codec_call){.ctx = &u->c.ctx, .conf = conf};
    return codec->worker_init == NULL || codec->worker_init(conf, &u->call.worker_state) == LUMA_OK;
}

static void
user_fini(struct user *u)
{
    if (u->codec->worker_fini != NULL)
        u->codec->worker_fini(u->call.worker_state);
}

static luma_rc
compress(struct user *u, struct luma_slice src, struct luma_buf *dst)
{
    luma_error_reset(&u->c.error);
    return u->codec->compress(&u->call, src, dst);
}

static luma_rc
expand(struct user *u, struct luma_slice src, struct luma_buf *dst)
{
    luma_error_reset(&u->c.error);
    return u->codec->expand(&u->call, src, dst);
}

/* Compresses src into packed (of the codec's bound) and back; NULL or what went wrong. */
static const char *
round_trip(struct user *u, struct luma_slice src, struct lki_guard *packed, size_t *out_used)
{
    struct lki_guard plain;
    struct luma_buf dst = {packed->data, packed->bytes, 0};
    if (compress(u, src, &dst) != LUMA_OK)
        return "compress failed although it had the room bound() asks for";
    if (dst.used_bytes > dst.room_bytes || !lki_guard_intact(packed))
        return "compress wrote outside its room";
    if (!lki_guard_init(&plain, src.bytes, 1))
        return "no memory";
    struct luma_buf back = {plain.data, src.bytes, 0};
    const char *why = NULL;
    if (expand(u, luma_slice(dst.data, dst.used_bytes), &back) != LUMA_OK)
        why = "expand failed on what compress gave";
    else if (back.used_bytes != src.bytes)
        why = "expand says another length";
    else if (src.bytes > 0 && memcmp(plain.data, src.data, src.bytes) != 0)
        why = "expand gives other bytes back";
    else if (!lki_guard_intact(&plain))
        why = "expand wrote outside its room";
    lki_guard_fini(&plain);
    *out_used = dst.used_bytes;
    return why;
}

static size_t
test_size(struct lk_rand *r, int i)
{
    static const size_t sizes[] = {0, 1, 2, 15, 16, 17, 255, 4096, 65536, INPUT_BYTES_MAX};
    return i < (int)LUMA_COUNTOF(sizes) ? sizes[i] : lk_rand_below(r, 200000);
}

static void
check_round_trips(struct lki_check *k, struct user *u, uint8_t *input, enum shape shape)
{
    char name[64];
    for (int i = 0; i < 25 && k->why == NULL; i++) {
        size_t bytes = test_size(&k->rand, i), used = 0;
        struct lki_guard packed;
        fill(&k->rand, shape, input, bytes);
        if (!lki_guard_init(&packed, u->codec->bound(bytes), 1)) {
            lki_check_wrong(k, "no memory for bound(%zu) = %zu", bytes, u->codec->bound(bytes));
            break;
        }
        const char *why = round_trip(u, luma_slice(input, bytes), &packed, &used);
        if (why != NULL)
            lki_check_wrong(k, "%zu bytes: %s", bytes, why);
        lki_guard_fini(&packed);
    }
    snprintf(name, sizeof(name), "round trips: %s", shape_names[shape]);
    lki_check_done(k, name);
}

/* Any room below the bound: it works within the room or says LUMA_E_ROOM. */
static void
check_short_room(struct lki_check *k, struct user *u, uint8_t *input)
{
    for (int i = 0; i < 200 && k->why == NULL; i++) {
        size_t bytes = lk_rand_below(&k->rand, 5000);
        fill(&k->rand, (enum shape)(i % SHAPES), input, bytes);
        struct lki_guard g;
        size_t room = lk_rand_below(&k->rand, u->codec->bound(bytes) + 1);
        if (!lki_guard_init(&g, room, 1))
            continue;
        struct luma_buf dst = {g.data, room, 0};
        luma_rc rc = compress(u, luma_slice(input, bytes), &dst);
        if (!lki_guard_intact(&g) || (rc == LUMA_OK && dst.used_bytes > room))
            lki_check_wrong(k, "compress of %zu bytes wrote outside a room of %zu", bytes, room);
        else if (rc != LUMA_OK && rc != LUMA_E_ROOM)
            lki_check_wrong(k, "compress with too little room gave %s, expected ROOM",
                            lk_error_info(rc)->name);
        lki_guard_fini(&g);
    }
    lki_check_done(k, "compress with too little room");
}

/* Expands `packed` (in memory that ends at a trap) into exactly `room` bytes. */
static luma_rc
expand_guarded(struct lki_check *k, struct user *u, struct luma_slice packed, size_t room)
{
    struct lki_guard in, out;
    if (!lki_guard_init(&in, packed.bytes, 1))
        return LUMA_E_NOMEM;
    if (!lki_guard_init(&out, room, 1)) {
        lki_guard_fini(&in);
        return LUMA_E_NOMEM;
    }
    if (packed.bytes > 0)
        memcpy(in.data, packed.data, packed.bytes);
    struct luma_buf dst = {out.data, room, 0};
    luma_rc rc = expand(u, luma_slice(in.data, packed.bytes), &dst);
    if (!lki_guard_intact(&out) || (rc == LUMA_OK && dst.used_bytes > room))
        lki_check_wrong(k, "expand wrote outside its room");
    lki_guard_fini(&in);
    lki_guard_fini(&out);
    return rc;
}

struct damage_input {
    struct lki_guard packed;
    size_t used, bytes;
};

static bool
damage_init(struct lki_check *k, struct user *u, uint8_t *input, int i, struct damage_input *d)
{
    d->bytes = 1 + lk_rand_below(&k->rand, 8000);
    fill(&k->rand, (enum shape)(i % SHAPES), input, d->bytes);
    if (!lki_guard_init(&d->packed, u->codec->bound(d->bytes), 1))
        return false;
    return round_trip(u, luma_slice(input, d->bytes), &d->packed, &d->used) == NULL;
}

static void
check_truncated(struct lki_check *k, struct user *u, uint8_t *input)
{
    for (int i = 0; i < 40 && k->why == NULL; i++) {
        struct damage_input d;
        if (!damage_init(k, u, input, i, &d))
            continue;
        for (int cut = 0; cut < 20; cut++) {
            size_t n = lk_rand_below(&k->rand, d.used);
            luma_rc rc = expand_guarded(k, u, luma_slice(d.packed.data, n), d.bytes);
            if (rc == LUMA_OK)
                lki_check_wrong(k, "expand took %zu of %zu bytes for the whole", n, d.used);
            else if (rc != LUMA_E_CORRUPT)
                lki_check_wrong(k, "expand gave %s, expected CORRUPT", lk_error_info(rc)->name);
        }
        lki_guard_fini(&d.packed);
    }
    lki_check_done(k, "expand of truncated input");
}

static void
check_wrong_size(struct lki_check *k, struct user *u, uint8_t *input)
{
    for (int i = 0; i < 40 && k->why == NULL; i++) {
        struct damage_input d;
        if (!damage_init(k, u, input, i, &d))
            continue;
        size_t other = i % 2 == 0 ? d.bytes - 1 : d.bytes + 1 + lk_rand_below(&k->rand, 100);
        luma_rc rc = expand_guarded(k, u, luma_slice(d.packed.data, d.used), other);
        if (rc == LUMA_OK)
            lki_check_wrong(k, "expand of %zu bytes into room for %zu did not fail", d.bytes,
                            other);
        lki_guard_fini(&d.packed);
    }
    lki_check_done(k, "expand to another length than the original");
}

/* A flipped bit need not be noticed (the kernel has checksums), but must do no harm. */
static void
check_flipped(struct lki_check *k, struct user *u, uint8_t *input)
{
    for (int i = 0; i < 60 && k->why == NULL; i++) {
        struct damage_input d;
        if (!damage_init(k, u, input, i, &d))
            continue;
        for (int flip = 0; flip < 20 && d.used > 0; flip++) {
            d.packed.data[lk_rand_below(&k->rand, d.used)] ^=
                (uint8_t)(1u << lk_rand_below(&k->rand, 8));
            luma_rc rc = expand_guarded(k, u, luma_slice(d.packed.data, d.used), d.bytes);
            if (rc > 0)
                lki_check_wrong(k, "expand gave %d, which is no code", rc);
        }
        lki_guard_fini(&d.packed);
    }
    lki_check_done(k, "expand of flipped bits and garbage");
}

struct crowd {
    const struct luma_codec *codec;
    const void *conf;
    _Atomic unsigned bad;
};

static void
crowd_member(void *arg, unsigned index)
{
    struct crowd *crowd = arg;
    struct user u;
    struct lk_rand r;
    uint8_t *input = lk_alloc(NULL, 70000);
    bool ok = input != NULL && user_init(&u, crowd->codec, crowd->conf);
    lk_rand_init(&r, index);
    for (int i = 0; ok && i < 60; i++) {
        size_t bytes = lk_rand_below(&r, 70000), used;
        struct lki_guard packed;
        fill(&r, (enum shape)(i % SHAPES), input, bytes);
        ok = lki_guard_init(&packed, crowd->codec->bound(bytes), 1);
        if (!ok)
            break;
        ok = round_trip(&u, luma_slice(input, bytes), &packed, &used) == NULL;
        lki_guard_fini(&packed);
    }
    if (!ok)
        atomic_fetch_add_explicit(&crowd->bad, 1, memory_order_relaxed);
    if (input != NULL)
        user_fini(&u);
    lk_free(NULL, input, 70000);
}

void
lki_check_codec(struct lki_check *k, const struct luma_head *table)
{
    const struct luma_codec *codec = (const struct luma_codec *)table;
    struct user u;
    if (table->size_bytes < sizeof(*codec) || codec->wire_id == 0 || codec->bound == NULL ||
        codec->compress == NULL || codec->expand == NULL)
        lki_check_wrong(k, "wire_id, bound, compress and expand must all be there");
    lki_check_done(k, "its table is complete");
    if (k->failed > 0)
        return;
    uint8_t *input = lk_alloc(NULL, INPUT_BYTES_MAX);
    if (input == NULL || !user_init(&u, codec, k->module->values)) {
        lki_check_wrong(k, "no worker state");
        lki_check_done(k, "worker_init");
        return;
    }
    for (int shape = 0; shape < SHAPES; shape++)
        check_round_trips(k, &u, input, (enum shape)shape);
    check_short_room(k, &u, input);
    check_truncated(k, &u, input);
    check_wrong_size(k, &u, input);
    check_flipped(k, &u, input);
    user_fini(&u);
    lk_free(NULL, input, INPUT_BYTES_MAX);
    struct crowd crowd = {.codec = codec, .conf = k->module->values};
    lki_check_threads(THREADS, crowd_member, &crowd);
    if (crowd.bad > 0)
        lki_check_wrong(k, "%u of %d threads failed", crowd.bad, THREADS);
    lki_check_done(k, "many threads at once");
}
