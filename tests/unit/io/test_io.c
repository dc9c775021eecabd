/* tests/unit/io/test_io.c - the contract of io.h on the machine's files and on the simulation, and
 * what the simulation loses when the power goes. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../lib/suite.h"
#include "io/io.h"
#include "io/sim.h"

#define OK(call) ck_assert_int_eq((call), LUMA_OK)

static char posix_dir[64];

static void
contract(struct lk_io *io, const char *root)
{
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lk_ctx c;
    lk_ctx_init(&c, arena);
    char dir[128], path[160], other[160];
    snprintf(dir, sizeof(dir), "%s/a/b", root);
    snprintf(path, sizeof(path), "%s/one", dir);
    snprintf(other, sizeof(other), "%s/two", dir);
    OK(lk_io_mkdir_all(&c.ctx, io, dir));
    OK(lk_io_mkdir(&c.ctx, io, dir));
    struct lk_file *f = NULL;
    ck_assert_int_eq(lk_io_open(NULL, io, path, 0, &f), LUMA_E_UNDEFINED);
    OK(lk_io_open(&c.ctx, io, path, LK_IO_WRITE | LK_IO_CREATE | LK_IO_EXCLUSIVE, &f));
    struct lk_file *again = NULL;
    ck_assert_int_eq(
        lk_io_open(NULL, io, path, LK_IO_WRITE | LK_IO_CREATE | LK_IO_EXCLUSIVE, &again),
        LUMA_E_EXISTS);
    OK(lk_io_write(&c.ctx, f, "hello world", 11, 0));
    struct lk_io_vec vec[3] = {{"AB", 2}, {"", 0}, {"CDE", 3}};
    OK(lk_io_writev(&c.ctx, f, vec, 3, 6));
    char buf[64] = "";
    OK(lk_io_read_exact(&c.ctx, f, buf, 11, 0));
    ck_assert_str_eq(buf, "hello ABCDE");
    size_t got = 0;
    OK(lk_io_read(&c.ctx, f, buf, sizeof(buf), 6, &got));
    ck_assert_uint_eq(got, 5);
    ck_assert_int_eq(lk_io_read_exact(NULL, f, buf, 12, 0), LUMA_E_CORRUPT);
    char left[5] = "", right[8] = "";
    struct lk_io_vec in[2] = {{left, 4}, {right, 7}};
    OK(lk_io_readv(&c.ctx, f, in, 2, 0));
    ck_assert_str_eq(left, "hell");
    ck_assert_str_eq(right, "o ABCDE");
    OK(lk_io_allocate(&c.ctx, f, 11, (1 << 20) + 5));
    uint64_t bytes = 0;
    OK(lk_io_size(&c.ctx, f, &bytes));
    ck_assert_uint_eq(bytes, (1 << 20) + 16);
    OK(lk_io_truncate(&c.ctx, f, 5));
    OK(lk_io_truncate(&c.ctx, f, 8));
    OK(lk_io_read(&c.ctx, f, buf, sizeof(buf), 0, &got));
    ck_assert_uint_eq(got, 8);
    ck_assert_int_eq(memcmp(buf, "hello\0\0\0", 8), 0);
    OK(lk_io_sync(&c.ctx, f));
    OK(lk_io_sync_full(&c.ctx, f));
    lk_io_close(f);

    OK(lk_io_rename(&c.ctx, io, path, other));
    ck_assert(!lk_io_exists(io, path));
    OK(lk_io_write_file(&c.ctx, io, path, "xyz", 3));
    OK(lk_io_sync_dir(&c.ctx, io, dir));
    const char *const *names = NULL;
    size_t count = 0;
    OK(lk_io_list_sorted(&c.ctx, io, dir, arena, &names, &count));
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(names[0], "one");
    ck_assert_str_eq(names[1], "two");
    struct lk_bytes whole = {0};
    OK(lk_io_read_file(&c.ctx, io, path, 100, &whole));
    ck_assert(luma_slice_equal(lk_bytes_view(&whole), luma_slice_text("xyz")));
    ck_assert_int_eq(lk_io_read_file(NULL, io, path, 2, &whole), LUMA_E_LIMIT);
    lk_bytes_fini(&whole);

    struct lk_file *lock = NULL, *lock2 = NULL;
    OK(lk_io_lock(&c.ctx, io, path, &lock));
    ck_assert_int_eq(lk_io_lock(NULL, io, path, &lock2), LUMA_E_BUSY);
    lk_io_close(lock);
    OK(lk_io_lock(&c.ctx, io, path, &lock2));
    lk_io_close(lock2);

    OK(lk_io_open(&c.ctx, io, path, LK_IO_WRITE | LK_IO_APPEND, &f));
    OK(lk_io_write(&c.ctx, f, "!", 1, 0));
    lk_io_close(f);
    struct lk_io_stat stat;
    OK(lk_io_stat(&c.ctx, io, path, &stat));
    ck_assert_uint_eq(stat.bytes, 4);
    ck_assert(!stat.is_dir);
    ck_assert_int_ne(lk_io_rmdir(NULL, io, dir), LUMA_OK);
    OK(lk_io_unlink(&c.ctx, io, path));
    OK(lk_io_unlink(&c.ctx, io, other));
    OK(lk_io_rmdir(&c.ctx, io, dir));
    ck_assert_int_eq(lk_io_unlink(&c.ctx, io, path), LUMA_E_UNDEFINED);
    ck_assert_ptr_nonnull(strstr(c.error.message, "/one\""));
    uint64_t then = lk_io_now_ns(io), random[2] = {0};
    ck_assert_uint_ge(lk_io_now_ns(io), then);
    ck_assert_int_gt(lk_io_wall_us(io), 1600000000000000);
    lk_io_random(io, random, sizeof(random));
    ck_assert_uint_ne(random[0], random[1]);
    ck_assert_str_eq(lk_io_dirname(arena, "a/b/c"), "a/b");
    ck_assert_str_eq(lk_io_dirname(arena, "c"), ".");
    ck_assert_str_eq(lk_io_dirname(arena, "/c"), "/");
    lk_arena_destroy(arena);
}

START_TEST(posix_keeps_the_contract)
{
    contract(lk_io_posix(), posix_dir);
}
END_TEST

START_TEST(sim_keeps_the_contract)
{
    struct lk_io *io = lk_io_sim_create(1);
    contract(io, "data");
    contract(io, "/abs");
    lk_io_sim_destroy(io);
}
END_TEST

static struct lk_file *
sim_file(struct lk_io *io, const char *path)
{
    struct lk_file *f = NULL;
    OK(lk_io_open(NULL, io, path, LK_IO_WRITE | LK_IO_CREATE, &f));
    return f;
}

/* What was synced survives every crash; what was not is lost in some and torn in others. */
START_TEST(crash_keeps_what_was_synced)
{
    int lost = 0, kept = 0, torn = 0, name_lost = 0, old_kept = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct lk_io *io = lk_io_sim_create(seed);
        uint8_t block[4096], back[4096];
        struct lk_file *f = sim_file(io, "log");
        memset(block, 1, sizeof(block));
        OK(lk_io_write(NULL, f, block, sizeof(block), 0));
        OK(lk_io_sync(NULL, f));
        OK(lk_io_sync_dir(NULL, io, "."));
        ck_assert_uint_eq(lk_io_sim_dirty_sectors(io), 0);
        memset(block, 2, sizeof(block));
        OK(lk_io_write(NULL, f, block, sizeof(block), 4096)); /* not synced */
        struct lk_file *g = sim_file(io, "unsynced-name");
        OK(lk_io_write(NULL, g, block, 100, 0));
        OK(lk_io_sync(NULL, g));
        if (seed % 2 == 1)
            OK(lk_io_unlink(NULL, io, "log"));
        lk_io_sim_crash(io);
        ck_assert_int_eq(lk_io_write(NULL, f, block, 1, 0), LUMA_E_IO);
        lk_io_sim_restart(io);
        ck_assert_int_eq(lk_io_write(NULL, f, block, 1, 0), LUMA_E_IO); /* an old handle */
        lk_io_close(f);
        lk_io_close(g);
        name_lost += !lk_io_exists(io, "unsynced-name");
        if (!lk_io_exists(io, "log")) {
            ck_assert_uint_eq(seed % 2, 1);
            lk_io_sim_destroy(io);
            continue;
        }
        old_kept++;
        OK(lk_io_open(NULL, io, "log", 0, &f));
        OK(lk_io_read_exact(NULL, f, back, sizeof(back), 0));
        for (size_t i = 0; i < sizeof(back); i++)
            ck_assert_uint_eq(back[i], 1);
        size_t got = 0, twos = 0;
        OK(lk_io_read(NULL, f, back, sizeof(back), 4096, &got));
        for (size_t i = 0; i < got; i++)
            twos += back[i] == 2;
        lost += twos == 0;
        kept += twos == sizeof(back);
        torn += twos > 0 && twos < sizeof(back);
        lk_io_close(f);
        lk_io_sim_destroy(io);
    }
    ck_assert_int_gt(lost, 5);
    ck_assert_int_gt(kept, 5);
    ck_assert_int_gt(torn, 5);
    ck_assert_int_gt(name_lost, 5);
    ck_assert_int_gt(old_kept, 200);
    ck_assert_int_lt(old_kept, 295);
}
END_TEST

START_TEST(power_goes_at_any_call)
{
    uint64_t total = 0;
    for (uint64_t cut = 0; cut <= total || total == 0; cut++) {
        struct lk_io *io = lk_io_sim_create(cut);
        lk_io_sim_cut_at(io, cut);
        luma_rc rc = lk_io_mkdir_all(NULL, io, "d/e");
        bool made = rc == LUMA_OK;
        rc = rc != LUMA_OK ? rc : lk_io_write_file(NULL, io, "d/e/f", "first", 5);
        bool first = rc == LUMA_OK;
        {
            LK_IO_PHASE("second");
            rc = rc != LUMA_OK ? rc : lk_io_write_file(NULL, io, "d/e/f", "other", 5);
        }
        bool second = rc == LUMA_OK;
        if (cut == 0) {
            ck_assert(second);
            total = lk_io_sim_calls(io);
            ck_assert_uint_gt(lk_io_sim_calls_in(io, "second"), 4);
            ck_assert_uint_eq(lk_io_sim_calls_of(io, LK_IO_CALL_RENAME), 2);
        } else {
            ck_assert(!second);
            ck_assert_str_eq(lk_io_sim_cut_phase(io), first ? "second" : "");
        }
        if (cut == 0)
            lk_io_sim_crash(io);
        lk_io_sim_cut_at(io, 0);
        lk_io_sim_restart(io);
        ck_assert(!made || lk_io_exists(io, "d/e"));
        struct lk_bytes b = {0};
        rc = lk_io_read_file(NULL, io, "d/e/f", 100, &b);
        bool is_first = luma_slice_equal(lk_bytes_view(&b), luma_slice_text("first"));
        bool is_other = luma_slice_equal(lk_bytes_view(&b), luma_slice_text("other"));
        ck_assert(second ? is_other : first ? is_first || is_other : rc != LUMA_OK || is_first);
        lk_bytes_fini(&b);
        lk_io_sim_destroy(io);
    }
    ck_assert_uint_gt(total, 10);
}
END_TEST

static void
rule(struct lk_io *io, enum lk_io_call call, enum lk_io_sim_action action, uint64_t skip,
     uint64_t times)
{
    struct lk_io_sim_rule r = {.call = call, .action = action, .skip = skip, .times = times};
    lk_io_sim_rule(io, &r);
}

START_TEST(rules_fail_the_calls_they_name)
{
    struct lk_io *io = lk_io_sim_create(5);
    uint8_t block[8192] = {0}, back[8192];
    struct lk_file *f = sim_file(io, "f");
    rule(io, LK_IO_CALL_WRITE, LK_IO_SIM_EIO, 1, 1);
    OK(lk_io_write(NULL, f, block, sizeof(block), 0));
    ck_assert_int_eq(lk_io_write(NULL, f, block, 10, 0), LUMA_E_IO);
    OK(lk_io_write(NULL, f, block, 10, 0));
    lk_io_sim_rules_clear(io);
    rule(io, LK_IO_CALL_WRITE, LK_IO_SIM_SHORT, 0, 1);
    ck_assert_int_eq(lk_io_write(NULL, f, block, 4096, 8192), LUMA_E_FULL);
    rule(io, LK_IO_CALL_READ, LK_IO_SIM_SHORT, 0, 3);
    OK(lk_io_read_exact(NULL, f, back, sizeof(back), 0)); /* short reads are continued */
    rule(io, LK_IO_CALL_READ, LK_IO_SIM_BIT_FLIP, 0, 1);
    OK(lk_io_read_exact(NULL, f, back, sizeof(back), 0));
    ck_assert_int_ne(memcmp(back, block, sizeof(back)), 0);
    OK(lk_io_read_exact(NULL, f, back, sizeof(back), 0));
    ck_assert_int_eq(memcmp(back, block, sizeof(back)), 0);

    /* A sync that failed drops what it covered, although it can still be read. */
    OK(lk_io_sync(NULL, f));
    OK(lk_io_sync_dir(NULL, io, "."));
    memset(block, 9, sizeof(block));
    lk_io_sim_rules_clear(io);
    rule(io, LK_IO_CALL_SYNC, LK_IO_SIM_SYNC_DROP, 0, 1);
    OK(lk_io_write(NULL, f, block, 512, 0));
    ck_assert_int_eq(lk_io_sync(NULL, f), LUMA_E_IO);
    OK(lk_io_sync(NULL, f));
    OK(lk_io_read_exact(NULL, f, back, 512, 0));
    ck_assert_uint_eq(back[0], 9);
    lk_io_close(f);
    lk_io_sim_restart(io);
    OK(lk_io_open(NULL, io, "f", 0, &f));
    OK(lk_io_read_exact(NULL, f, back, 512, 0));
    ck_assert_uint_eq(back[0], 0);
    ck_assert(lk_io_sim_corrupt(io, "f", 3, 0));
    OK(lk_io_read_exact(NULL, f, back, 512, 0));
    ck_assert_uint_eq(back[3], 1);
    lk_io_close(f);
    lk_io_sim_destroy(io);
}
END_TEST

START_TEST(writes_go_astray)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct lk_io *io = lk_io_sim_create(seed);
        uint8_t block[4096] = {0}, back[8192];
        const char *path = NULL;
        uint64_t since = 1, wrong = 0;
        struct lk_file *f = sim_file(io, "f"), *g = sim_file(io, "g");
        OK(lk_io_write(NULL, f, block, sizeof(block), 0));
        OK(lk_io_write(NULL, g, block, sizeof(block), 0));
        ck_assert(!lk_io_sim_lost_write(io, &path, &since));
        memset(block, 7, sizeof(block));
        rule(io, LK_IO_CALL_WRITE, seed % 2 == 0 ? LK_IO_SIM_ASTRAY : LK_IO_SIM_HOLES, 0, 1);
        OK(lk_io_write(NULL, f, block, sizeof(block), sizeof(block)));
        ck_assert(lk_io_sim_lost_write(io, &path, &since));
        ck_assert_str_eq(path, "f");
        ck_assert_uint_eq(since, 0);
        OK(lk_io_write(NULL, g, block, 1, 0));
        ck_assert(lk_io_sim_lost_write(io, &path, &since));
        ck_assert_uint_eq(since, 1);
        OK(lk_io_read_exact(NULL, f, back, sizeof(back), 0)); /* the size is right */
        for (size_t i = 0; i < sizeof(back); i++)
            wrong += (back[i] == 7) != (i >= sizeof(block));
        ck_assert(seed % 2 == 0 || wrong % LK_IO_SECTOR_BYTES == 0);
        ck_assert(wrong > 0 || seed % 2 == 0);
        lk_io_close(f);
        lk_io_close(g);
        lk_io_sim_destroy(io);
    }
}
END_TEST

START_TEST(a_full_disk_says_so)
{
    struct lk_io *io = lk_io_sim_create(6);
    uint8_t block[4096] = {0};
    lk_io_sim_set_capacity(io, 10000);
    struct lk_file *f = sim_file(io, "f");
    OK(lk_io_write(NULL, f, block, 4096, 0));
    OK(lk_io_write(NULL, f, block, 4096, 4096));
    ck_assert_int_eq(lk_io_write(NULL, f, block, 4096, 8192), LUMA_E_FULL);
    OK(lk_io_write(NULL, f, block, 4096, 0)); /* overwriting needs no room */
    uint64_t left = 1;
    OK(lk_io_space(NULL, io, ".", &left));
    ck_assert_uint_eq(left, 0);
    OK(lk_io_truncate(NULL, f, 0));
    OK(lk_io_write(NULL, f, block, 4096, 0));
    lk_io_close(f);
    lk_io_sim_destroy(io);
}
END_TEST

/* The same seed and the same calls give the same disk. */
START_TEST(a_seed_reproduces)
{
    uint64_t hashes[2];
    for (int round = 0; round < 2; round++) {
        struct lk_io *io = lk_io_sim_create(77);
        struct lk_file *f = sim_file(io, "f");
        uint8_t block[20000];
        for (int i = 0; i < 50; i++) {
            memset(block, i, sizeof(block));
            OK(lk_io_write(NULL, f, block, sizeof(block), (uint64_t)i * 700));
            if (i % 10 == 0)
                OK(lk_io_sync(NULL, f));
            if (i == 0)
                OK(lk_io_sync_dir(NULL, io, "."));
        }
        lk_io_close(f);
        lk_io_sim_restart(io);
        struct lk_bytes b = {0};
        OK(lk_io_read_file(NULL, io, "f", 1 << 20, &b));
        hashes[round] = lk_hash_bytes(b.data, b.bytes);
        lk_bytes_fini(&b);
        lk_io_sim_destroy(io);
    }
    ck_assert_uint_eq(hashes[0], hashes[1]);
}
END_TEST

START_TEST(direct_files_want_alignment)
{
    struct lk_io *io = lk_io_sim_create(8);
    struct lk_file *f = NULL;
    OK(lk_io_open(NULL, io, "d", LK_IO_WRITE | LK_IO_CREATE | LK_IO_DIRECT, &f));
    uint8_t *page = lk_pages_alloc(NULL, 8192);
    OK(lk_io_write(NULL, f, page, 4096, 4096));
    ck_assert_int_ne(lk_io_write(NULL, f, page + 1, 4096, 0), LUMA_OK);
    ck_assert_int_ne(lk_io_write(NULL, f, page, 100, 0), LUMA_OK);
    OK(lk_io_allocate(NULL, f, 0, 8192));
    lk_pages_free(NULL, page, 8192);
    lk_io_close(f);
    lk_io_sim_destroy(io);
}
END_TEST

int
main(void)
{
    snprintf(posix_dir, sizeof(posix_dir), "/tmp/lumadb-io-XXXXXX");
    if (mkdtemp(posix_dir) == NULL)
        return EXIT_FAILURE;
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, posix_keeps_the_contract);
    tcase_add_test(tc, sim_keeps_the_contract);
    tcase_add_test(tc, crash_keeps_what_was_synced);
    tcase_add_test(tc, power_goes_at_any_call);
    tcase_add_test(tc, rules_fail_the_calls_they_name);
    tcase_add_test(tc, writes_go_astray);
    tcase_add_test(tc, a_full_disk_says_so);
    tcase_add_test(tc, a_seed_reproduces);
    tcase_add_test(tc, direct_files_want_alignment);
    int rc = test_run("io", tc);
    char cleanup[96];
    snprintf(cleanup, sizeof(cleanup), "%s/a", posix_dir);
    rmdir(cleanup);
    rmdir(posix_dir);
    return rc;
}
