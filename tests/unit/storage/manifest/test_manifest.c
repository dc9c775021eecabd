/*
 * The manifest on a disk that loses what was not synced: after any crash it is the map before or
 * after the edit under way, never a mixture, and never older than the last edit that succeeded.
 */
#include <check.h>
#include <stdlib.h>

#include "../../../lib/suite.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rand.h"
#include "io/sim.h"
#include "storage/manifest/manifest.h"

#define KEYS 40u

/* Entry (k, 0) holds the number of the edit that wrote it, and padding. */
static uint64_t
value_of(struct lk_manifest *m, uint64_t k)
{
    struct lk_manifest_key key = {.kind = LK_MANIFEST_COLL, .a = k};
    struct luma_slice s = lk_manifest_get(m, &key);
    return s.data == NULL ? 0 : lk_load_u64(s.data);
}

static luma_rc
edit_some(struct luma_ctx *ctx, struct lk_manifest *m, struct lk_rand *r, uint64_t number,
          uint64_t *model)
{
    struct lk_manifest_edit edit;
    lk_manifest_edit_init(&edit);
    uint64_t changes = 1 + lk_rand_below(r, 8);
    for (uint64_t i = 0; i < changes; i++) {
        uint64_t k = 1 + lk_rand_below(r, KEYS);
        uint8_t value[3000];
        memset(value, (int)number, sizeof(value));
        lk_store_u64(value, number);
        if (lk_rand_percent(r, 20)) {
            lk_manifest_remove(&edit, LK_MANIFEST_COLL, k, 0);
            model[k] = 0;
        } else {
            lk_manifest_put(&edit, LK_MANIFEST_COLL, k, 0,
                            luma_slice(value, 8 + lk_rand_below(r, 2900)));
            model[k] = number;
        }
    }
    luma_rc rc = lk_manifest_commit(ctx, m, &edit);
    lk_manifest_edit_fini(&edit);
    return rc;
}

static bool
is_model(struct lk_manifest *m, const uint64_t *model)
{
    for (uint64_t k = 1; k <= KEYS; k++)
        if (value_of(m, k) != model[k])
            return false;
    return true;
}

START_TEST(an_edit_is_there_or_not)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct lk_io *io = lk_io_sim_create(seed);
        struct lk_rand r;
        uint64_t model[KEYS + 1] = {0}, before[KEYS + 1] = {0}, number = 0, store_id = 0;
        lk_rand_init(&r, seed);
        ck_assert_int_eq(lk_io_mkdir_all(NULL, io, "/m"), LUMA_OK);
        for (int life = 0; life < 6; life++) {
            struct lk_ctx c;
            struct lk_manifest *m = NULL;
            bool is_new = false;
            lk_ctx_init(&c, NULL);
            lk_io_sim_cut_at(io, lk_io_sim_calls(io) + 1 + lk_rand_below(&r, 400));
            luma_rc rc = lk_manifest_open(&c.ctx, io, "/m", false, &m, &is_new);
            if (rc == LUMA_OK && !lk_io_sim_is_dead(io)) {
                ck_assert_msg(store_id == 0 || store_id == lk_manifest_store_id(m),
                              "seed %llu: the store has another id", (unsigned long long)seed);
                store_id = lk_manifest_store_id(m);
                bool after = is_model(m, model);
                ck_assert_msg(after || is_model(m, before), "seed %llu: neither before nor after",
                              (unsigned long long)seed);
                memcpy(after ? before : model, after ? model : before, sizeof(model));
            } else {
                ck_assert_msg(lk_io_sim_is_dead(io), "seed %llu: %s", (unsigned long long)seed,
                              c.error.message);
            }
            while (rc == LUMA_OK && !lk_io_sim_is_dead(io)) {
                rc = edit_some(&c.ctx, m, &r, ++number, model);
                if (rc == LUMA_OK)
                    memcpy(before, model, sizeof(model));
            }
            lk_manifest_close(m);
            lk_io_sim_cut_at(io, 0);
            lk_io_sim_restart(io);
        }
        lk_io_sim_destroy(io);
    }
}
END_TEST

/* A disk with a manifest of so many edits. */
static struct lk_io *
manifest_made(uint64_t edits, uint64_t *model)
{
    struct lk_io *io = lk_io_sim_create(1);
    struct lk_ctx c;
    struct lk_manifest *m = NULL;
    struct lk_rand r;
    bool is_new = false;
    lk_rand_init(&r, 1);
    lk_ctx_init(&c, NULL);
    ck_assert_int_eq(lk_io_mkdir_all(NULL, io, "/m"), LUMA_OK);
    ck_assert_int_eq(lk_manifest_open(&c.ctx, io, "/m", false, &m, &is_new), LUMA_OK);
    ck_assert(is_new);
    for (uint64_t i = 1; i <= edits; i++)
        ck_assert_int_eq(edit_some(&c.ctx, m, &r, i, model), LUMA_OK);
    lk_manifest_close(m);
    return io;
}

START_TEST(damage_is_named)
{
    uint64_t model[KEYS + 1] = {0};
    struct lk_io *io = manifest_made(5, model);
    struct lk_ctx c;
    struct lk_manifest *m = NULL;
    bool is_new = false;
    lk_ctx_init(&c, NULL);
    ck_assert(lk_io_sim_corrupt(io, "/m/1.manifest", 600, 0));
    ck_assert_int_eq(lk_manifest_open(&c.ctx, io, "/m", false, &m, &is_new), LUMA_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(c.error.message, "/m/1.manifest"));
    lk_io_sim_destroy(io);
}
END_TEST

/* The header's version becomes another one. */
static void
version_set(struct lk_io *io, const char *path, uint32_t version)
{
    uint8_t header[48];
    struct lk_file *file = NULL;
    size_t got = 0;
    ck_assert_int_eq(lk_io_open(NULL, io, path, LK_IO_WRITE, &file), LUMA_OK);
    ck_assert_int_eq(lk_io_read(NULL, file, header, sizeof(header), 0, &got), LUMA_OK);
    ck_assert_uint_eq(got, sizeof(header));
    lk_store_u32(header + 8, version);
    lk_store_u32(header + 12, 0);
    lk_store_u32(header + 12, lk_crc32c(0, header, sizeof(header)));
    ck_assert_int_eq(lk_io_write(NULL, file, header, sizeof(header), 0), LUMA_OK);
    ck_assert_int_eq(lk_io_sync(NULL, file), LUMA_OK);
    lk_io_close(file);
}

START_TEST(an_older_version_is_read_and_a_newer_refused)
{
    uint64_t model[KEYS + 1] = {0};
    struct lk_io *io = manifest_made(1, model);
    struct lk_ctx c;
    struct lk_manifest *m = NULL;
    struct lk_rand r;
    bool is_new = false;
    lk_rand_init(&r, 2);
    lk_ctx_init(&c, NULL);
    version_set(io, "/m/1.manifest", 1);
    ck_assert_int_eq(lk_manifest_open(&c.ctx, io, "/m", false, &m, &is_new), LUMA_OK);
    ck_assert(is_model(m, model));
    ck_assert_int_eq(edit_some(&c.ctx, m, &r, 2, model), LUMA_OK);
    lk_manifest_close(m); /* the other file has it now, in the present form */
    ck_assert_int_eq(lk_manifest_open(&c.ctx, io, "/m", false, &m, &is_new), LUMA_OK);
    ck_assert(is_model(m, model));
    lk_manifest_close(m);
    version_set(io, "/m/0.manifest", 3);
    ck_assert_int_eq(lk_manifest_open(&c.ctx, io, "/m", false, &m, &is_new), LUMA_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(c.error.message, "/m/0.manifest has version 3"));
    lk_io_sim_destroy(io);
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("manifest");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, an_edit_is_there_or_not);
    tcase_add_test(tc, damage_is_named);
    tcase_add_test(tc, an_older_version_is_read_and_a_newer_refused);
    return test_run("manifest", tc);
}
