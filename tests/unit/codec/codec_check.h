/*
 * tests/unit/codec/codec_check.h - what every byte codec must do: round trips, too little room,
 * truncated and damaged input, another length than was written, many threads.
 */
#ifndef CODEC_CHECK_H
#define CODEC_CHECK_H

#include <lumadb/kind/codec.h>

#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#include "../../lib/suite.h"
#include "../storage/segment/modules.h"
#include "base/base.h"

static const struct luma_codec *codec;

static inline void
codec_setup(const char *name)
{
    char file[64], service[64];
    snprintf(file, sizeof(file), "codec-%s", name);
    snprintf(service, sizeof(service), "codec.%s", name);
    if (test_lookup(service, LUMA_CODEC_MAJOR) == NULL)
        ck_assert(test_module_load(file));
    codec = (const struct luma_codec *)test_lookup(service, LUMA_CODEC_MAJOR);
}

/* shape 0: noise; 1: text; 2: zeros; 3: packed numbers */
static inline void
codec_fill(struct lk_rand *r, uint8_t *out, size_t bytes, int shape)
{
    for (size_t i = 0; i < bytes; i++)
        out[i] = shape == 0   ? (uint8_t)lk_rand_u64(r)
                 : shape == 1 ? (uint8_t) "the quick brown fox "[(i * 7 + lk_rand_below(r, 2)) % 20]
                 : shape == 2 ? 0
                              : (uint8_t)(i % 8 == 0 ? lk_rand_below(r, 16) : 0);
}

static inline bool
codec_round_trip(struct lk_rand *r, size_t bytes, int shape)
{
    struct lk_ctx c;
    struct luma_codec_call call = {.ctx = &c.ctx};
    uint8_t *src = malloc(bytes + 1), *back = malloc(bytes + 1);
    size_t bound = codec->bound(bytes);
    uint8_t *packed = malloc(bound);
    struct luma_buf dst = {packed, bound, 0}, out = {back, bytes, 0};
    lk_ctx_init(&c, NULL);
    codec_fill(r, src, bytes, shape);
    bool ok = codec->worker_init == NULL || codec->worker_init(NULL, &call.worker_state) == LUMA_OK;
    ok = ok && codec->compress(&call, luma_slice(src, bytes), &dst) == LUMA_OK &&
         dst.used_bytes <= bound &&
         codec->expand(&call, luma_slice(packed, dst.used_bytes), &out) == LUMA_OK &&
         out.used_bytes == bytes && memcmp(src, back, bytes) == 0;
    if (codec->worker_fini != NULL)
        codec->worker_fini(call.worker_state);
    free(src);
    free(back);
    free(packed);
    return ok;
}

static inline void
codec_check_round_trips(const char *name)
{
    struct lk_rand r;
    codec_setup(name);
    lk_rand_init(&r, 1);
    for (int shape = 0; shape < 4; shape++) {
        for (size_t bytes = 0; bytes < 300; bytes += 1 + bytes / 8)
            ck_assert(codec_round_trip(&r, bytes, shape));
        ck_assert(codec_round_trip(&r, 100000, shape));
        ck_assert(codec_round_trip(&r, 3000000, shape));
    }
}

static inline void
codec_check_damage(const char *name)
{
    enum { BYTES = 5000 };
    struct lk_rand r;
    struct lk_ctx c;
    struct luma_codec_call call = {.ctx = &c.ctx};
    uint8_t src[BYTES];
    codec_setup(name);
    lk_ctx_init(&c, NULL);
    lk_rand_init(&r, 2);
    codec_fill(&r, src, BYTES, 1);
    size_t bound = codec->bound(BYTES);
    uint8_t *packed = malloc(bound);
    struct luma_buf dst = {packed, bound, 0};
    if (codec->worker_init != NULL)
        ck_assert_int_eq(codec->worker_init(NULL, &call.worker_state), LUMA_OK);
    ck_assert_int_eq(codec->compress(&call, luma_slice(src, BYTES), &dst), LUMA_OK);
    for (size_t room = 0; room < dst.used_bytes; room += 1 + room / 16) {
        uint8_t *exact = malloc(room == 0 ? 1 : room); /* a sanitizer sees a write behind it */
        struct luma_buf small = {exact, room, 0};
        ck_assert_int_eq(codec->compress(&call, luma_slice(src, BYTES), &small), LUMA_E_ROOM);
        free(exact);
    }
    for (int round = 0; round < 2000; round++) {
        size_t used = round % 2 == 0 ? dst.used_bytes : lk_rand_below(&r, dst.used_bytes);
        size_t room = round % 5 == 0 ? lk_rand_below(&r, BYTES * 2) : BYTES;
        uint8_t *bad = malloc(used + 1), *back = malloc(room + 1);
        memcpy(bad, packed, used);
        if (round % 2 == 0 && round % 5 != 0)
            bad[lk_rand_below(&r, used)] ^= (uint8_t)(1 + lk_rand_below(&r, 255));
        struct luma_buf out = {back, room, 0};
        luma_rc rc = codec->expand(&call, luma_slice(bad, used), &out);
        /* A changed byte may go unnoticed by a codec without a checksum: the chunk has one. */
        ck_assert(rc == LUMA_E_CORRUPT || (rc == LUMA_OK && room == BYTES));
        luma_error_reset(c.ctx.error);
        free(bad);
        free(back);
    }
    if (codec->worker_fini != NULL)
        codec->worker_fini(call.worker_state);
    free(packed);
}

static inline void *
codec_thread(void *arg)
{
    struct lk_rand r;
    lk_rand_init(&r, (uint64_t)(uintptr_t)arg);
    for (int i = 0; i < 50; i++)
        if (!codec_round_trip(&r, 20000, i % 4))
            return arg;
    return NULL;
}

static inline void
codec_check_threads(const char *name)
{
    pthread_t threads[4];
    codec_setup(name);
    for (uintptr_t i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, codec_thread, (void *)(i + 1)), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        ck_assert_ptr_null(failed);
    }
}

#define CODEC_TEST(module)                       \
    START_TEST(bytes_come_back)                  \
    {                                            \
        codec_check_round_trips(module);         \
    }                                            \
    END_TEST                                     \
    START_TEST(damage_is_told)                   \
    {                                            \
        codec_check_damage(module);              \
    }                                            \
    END_TEST                                     \
    START_TEST(threads_do_not_meet)              \
    {                                            \
        codec_check_threads(module);             \
    }                                            \
    END_TEST                                     \
    int main(void)                               \
    {                                            \
        TCase *tc = tcase_create(module);        \
        tcase_add_test(tc, bytes_come_back);     \
        tcase_add_test(tc, damage_is_told);      \
        tcase_add_test(tc, threads_do_not_meet); \
        return test_run(module, tc);             \
    }

#endif
