/*
 * The log on a disk that loses what was not synced: what was waited for is there after a crash, in
 * order; what is damaged before the end is an error; bytes of an earlier life of a file are never
 * taken for records.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../../lib/quiet.h"
#include "../../../lib/suite.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rand.h"
#include "io/sim.h"
#include "storage/wal/wal.h"

struct seen {
    uint64_t first, last, count;
    uint64_t wrong;
};

static void
payload_fill(uint64_t commit, uint8_t *out, size_t bytes)
{
    struct lk_rand r;
    lk_rand_init(&r, commit);
    for (size_t i = 0; i < bytes; i++)
        out[i] = (uint8_t)lk_rand_u64(&r);
}

static size_t
payload_bytes(uint64_t commit)
{
    uint64_t h = lk_hash_u64(commit);
    return h % 61 == 0 ? (size_t)(h >> 8) % 100000 : (size_t)(h >> 8) % 300;
}

static luma_rc
record_seen(void *arg, struct luma_ctx *ctx, const struct lk_wal_record *record)
{
    (void)ctx;
    struct seen *seen = arg;
    size_t bytes = payload_bytes(record->commit);
    uint8_t *want = malloc(bytes + 1);
    payload_fill(record->commit, want, bytes);
    if (seen->count > 0 && record->commit != seen->last + 1)
        seen->wrong++;
    if (record->payload.bytes != bytes || memcmp(record->payload.data, want, bytes) != 0)
        seen->wrong++;
    if (seen->count == 0)
        seen->first = record->commit;
    seen->last = record->commit;
    seen->count++;
    free(want);
    return LUMA_OK;
}

static struct lk_wal_conf
conf_of(struct lk_io *io)
{
    struct lk_wal_conf conf = {.io = io, .dir = "/wal", .store_id = 7};
    conf.file_bytes = 64u << 10;
    conf.inline_write = true;
    return conf;
}

static luma_rc
append_one(struct luma_ctx *ctx, struct lk_wal *wal, uint64_t commit)
{
    size_t bytes = payload_bytes(commit);
    uint8_t *data = malloc(bytes + 1);
    lk_lsn lsn = 0;
    payload_fill(commit, data, bytes);
    luma_rc rc;
    do {
        rc = lk_wal_room(ctx, wal, bytes);
        if (rc == LUMA_OK)
            rc = lk_wal_append(wal, commit, luma_slice(data, bytes), lk_crc32c(0, data, bytes),
                               &lsn);
    } while (rc == LUMA_E_AGAIN);
    free(data);
    return rc;
}

/* One life: read, append until the power goes, wait for some. */
static void
one_seed(uint64_t seed, uint64_t *crashes)
{
    struct lk_io *io = lk_io_sim_create(seed);
    struct lk_wal_conf conf = conf_of(io);
    struct lk_rand r;
    lk_rand_init(&r, seed);
    uint64_t durable = 0, next = 1;
    uint64_t trimmed_commit = 0; /* the caller's to know: what is before `trimmed` is not read */
    lk_lsn trimmed = 0;
    ck_assert_int_eq(lk_io_mkdir_all(NULL, io, "/wal"), LUMA_OK);
    for (int life = 0; life < 5; life++) {
        struct lk_ctx c;
        struct seen seen = {0, 0, 0, 0};
        struct lk_wal_end end;
        struct lk_wal *wal = NULL;
        lk_ctx_init(&c, NULL);
        if (life > 0 || lk_rand_percent(&r, 50))
            lk_io_sim_cut_at(io, lk_io_sim_calls(io) + 1 + lk_rand_below(&r, 120));
        luma_rc rc = lk_wal_read(&c.ctx, &conf, trimmed, record_seen, &seen, &end);
        if (rc == LUMA_OK && !lk_io_sim_is_dead(io)) {
            end.commit = LK_MAX(end.commit, trimmed_commit);
            ck_assert_msg(seen.wrong == 0, "seed %llu: wrong record", (unsigned long long)seed);
            ck_assert_msg(end.commit >= durable,
                          "seed %llu: commit %llu was acknowledged, the log "
                          "ends at %llu",
                          (unsigned long long)seed, (unsigned long long)durable,
                          (unsigned long long)end.commit);
            next = end.commit + 1;
            rc = lk_wal_open(&c.ctx, &conf, &end, &wal);
        } else {
            ck_assert_msg(lk_io_sim_is_dead(io), "seed %llu: %s", (unsigned long long)seed,
                          c.error.message);
        }
        while (wal != NULL && !lk_io_sim_is_dead(io) && next < (uint64_t)(life + 1) * 400) {
            lk_ctx_init(&c, NULL);
            if (append_one(&c.ctx, wal, next) != LUMA_OK)
                break;
            next++;
            if (lk_rand_percent(&r, 30) && lk_wal_wait(&c.ctx, wal, next - 1) == LUMA_OK)
                durable = next - 1;
            if (lk_rand_percent(&r, 1) && durable == next - 1) {
                trimmed = lk_wal_position(wal);
                trimmed_commit = next - 1;
                lk_wal_trim(wal, trimmed);
            }
        }
        if (!lk_io_sim_is_dead(io))
            lk_io_sim_crash(io);
        lk_wal_close(wal);
        ++*crashes;
        lk_io_sim_cut_at(io, 0);
        lk_io_sim_restart(io);
    }
    lk_io_sim_destroy(io);
}

START_TEST(crashes_lose_nothing_waited_for)
{
    uint64_t crashes = 0;
    for (uint64_t seed = 1; seed <= 300; seed++)
        one_seed(seed, &crashes);
    ck_assert_uint_gt(crashes, 1000);
}
END_TEST

START_TEST(damage_before_the_end_is_an_error)
{
    struct lk_io *io = lk_io_sim_create(1);
    struct lk_wal_conf conf = conf_of(io);
    struct lk_ctx c;
    struct lk_wal_end end = {0, 0, 0, 0, 0};
    struct lk_wal *wal = NULL;
    struct seen seen = {0, 0, 0, 0};
    lk_ctx_init(&c, NULL);
    ck_assert_int_eq(lk_io_mkdir_all(NULL, io, "/wal"), LUMA_OK);
    ck_assert_int_eq(lk_wal_open(&c.ctx, &conf, &end, &wal), LUMA_OK);
    for (uint64_t i = 1; i <= 50; i++) {
        ck_assert_int_eq(append_one(&c.ctx, wal, i), LUMA_OK);
        ck_assert_int_eq(lk_wal_wait(&c.ctx, wal, i), LUMA_OK);
    }
    lk_wal_close(wal);
    ck_assert_int_eq(lk_wal_read(&c.ctx, &conf, 0, record_seen, &seen, &end), LUMA_OK);
    ck_assert_uint_eq(seen.count, 50);
    ck_assert_uint_eq(seen.wrong, 0);
    ck_assert(lk_io_sim_corrupt(io, "/wal/000000.wal", 4096 + 60, 3));
    ck_assert_int_eq(lk_wal_read(&c.ctx, &conf, 0, record_seen, &seen, &end), LUMA_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(c.error.message, "000000.wal"));
    ck_assert_ptr_nonnull(strstr(c.error.message, "offset 4096"));
    lk_io_sim_destroy(io);
}
END_TEST

START_TEST(a_failed_sync_is_not_believed_again)
{
    struct lk_io *io = lk_io_sim_create(2);
    struct lk_wal_conf conf = conf_of(io);
    struct lk_ctx c;
    struct lk_wal_end end = {0, 0, 0, 0, 0};
    struct lk_wal *wal = NULL;
    lk_ctx_init(&c, NULL);
    ck_assert_int_eq(lk_io_mkdir_all(NULL, io, "/wal"), LUMA_OK);
    ck_assert_int_eq(lk_wal_open(&c.ctx, &conf, &end, &wal), LUMA_OK);
    ck_assert_int_eq(append_one(&c.ctx, wal, 1), LUMA_OK);
    ck_assert_int_eq(lk_wal_wait(&c.ctx, wal, 1), LUMA_OK);
    struct lk_io_sim_rule rule = {.call = LK_IO_CALL_SYNC, .action = LK_IO_SIM_SYNC_DROP};
    rule.times = 1;
    lk_io_sim_rule(io, &rule);
    ck_assert_int_eq(append_one(&c.ctx, wal, 2), LUMA_OK);
    ck_assert_int_eq(lk_wal_wait(&c.ctx, wal, 2), LUMA_E_IO);
    lk_ctx_init(&c, NULL);
    ck_assert_int_eq(append_one(&c.ctx, wal, 3), LUMA_E_IO);
    ck_assert_int_eq(lk_wal_wait(&c.ctx, wal, 2), LUMA_E_IO);
    ck_assert_uint_eq(lk_wal_durable(wal), 1);
    lk_wal_close(wal);
    lk_io_sim_destroy(io);
}
END_TEST

/* However commits come, the oldest one that is not on the disk yet waits no longer than was said.
 */
START_TEST(an_asynchronous_log_keeps_its_time)
{
    char dir[64], command[128];
    snprintf(dir, sizeof(dir), "/tmp/luma-wal-%d", (int)getpid());
    struct lk_wal_conf conf = conf_of(lk_io_posix());
    struct lk_wal_end end = {0};
    struct lk_wal *wal = NULL;
    struct lk_ctx c;
    conf.dir = dir;
    conf.inline_write = false;
    conf.async = true;
    conf.async_flush_ns = 500000000;
    lk_ctx_init(&c, NULL);
    ck_assert_int_eq(lk_io_mkdir_all(&c.ctx, conf.io, dir), LUMA_OK);
    ck_assert_int_eq(lk_wal_open(&c.ctx, &conf, &end, &wal), LUMA_OK);
    uint64_t begun_ns = lk_io_now_ns(conf.io), commit = 0;
    /* The last of them is written a moment before the first must be on the disk. */
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(append_one(&c.ctx, wal, ++commit), LUMA_OK);
        ck_assert_int_eq(lk_wal_wait(&c.ctx, wal, commit), LUMA_OK);
        usleep(90000);
    }
    while (lk_wal_synced(wal) < 2 && lk_io_now_ns(conf.io) - begun_ns < 5000000000)
        usleep(1000);
    ck_assert_uint_lt(lk_io_now_ns(conf.io) - begun_ns, 800000000);
    lk_wal_close(wal);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(a_full_disk_is_said_before_anything_happens)
{
    struct lk_io *io = lk_io_sim_create(3);
    struct lk_wal_conf conf = conf_of(io);
    struct lk_ctx c;
    struct lk_wal_end end = {0, 0, 0, 0, 0};
    struct lk_wal *wal = NULL;
    lk_ctx_init(&c, NULL);
    ck_assert_int_eq(lk_io_mkdir_all(NULL, io, "/wal"), LUMA_OK);
    ck_assert_int_eq(lk_wal_open(&c.ctx, &conf, &end, &wal), LUMA_OK);
    lk_io_sim_set_capacity(io, 300u << 10);
    uint64_t next = 1;
    luma_rc rc = LUMA_OK;
    while (next < 100000 && (rc = append_one(&c.ctx, wal, next)) == LUMA_OK) {
        ck_assert_int_eq(lk_wal_wait(&c.ctx, wal, next), LUMA_OK);
        next++;
    }
    ck_assert_int_eq(rc, LUMA_E_FULL);
    ck_assert(!lk_wal_failed(wal));
    /* A checkpoint makes room. */
    lk_ctx_init(&c, NULL);
    lk_wal_trim(wal, lk_wal_position(wal));
    ck_assert_int_eq(append_one(&c.ctx, wal, next), LUMA_OK);
    ck_assert_int_eq(lk_wal_wait(&c.ctx, wal, next), LUMA_OK);
    lk_wal_close(wal);
    lk_io_sim_destroy(io);
}
END_TEST

int
main(void)
{
    lk_log_set_level(LUMA_LOG_ERROR);
    test_quiet();
    TCase *tc = tcase_create("wal");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, crashes_lose_nothing_waited_for);
    tcase_add_test(tc, damage_before_the_end_is_an_error);
    tcase_add_test(tc, a_failed_sync_is_not_believed_again);
    tcase_add_test(tc, an_asynchronous_log_keeps_its_time);
    tcase_add_test(tc, a_full_disk_is_said_before_anything_happens);
    return test_run("wal", tc);
}
