/* tests/unit/storage/temp/test_temp.c - temporary files: room, limit, removal. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../../lib/suite.h"
#include "base/base.h"
#include "storage/temp/temp.h"

static struct lk_ctx c;
static char dir[64];

static void
begin(uint64_t limit)
{
    lk_ctx_init(&c, NULL);
    ck_assert_int_eq(lk_temp_start(&c.ctx, lk_io_posix(), dir, limit), LUMA_OK);
}

static uint32_t files;

static luma_rc
count_one(void *arg, const char *name, bool is_dir)
{
    (void)arg;
    (void)name;
    (void)is_dir;
    files++;
    return LUMA_OK;
}

static uint32_t
count_files(void)
{
    char path[80];
    (void)snprintf(path, sizeof(path), "%s/temp", dir);
    files = 0;
    ck_assert_int_eq(lk_io_list(&c.ctx, lk_io_posix(), path, count_one, NULL), LUMA_OK);
    return files;
}

START_TEST(what_is_written_is_read)
{
    struct luma_temp *t;
    uint64_t first, second;
    char got[6];
    begin(0);
    ck_assert_int_eq(lk_temp_host.create(&c.ctx, &t), LUMA_OK);
    ck_assert_uint_eq(count_files(), 1);
    ck_assert_int_eq(lk_temp_host.write(&c.ctx, t, "hello", 6, &first), LUMA_OK);
    ck_assert_int_eq(lk_temp_host.write(&c.ctx, t, "world", 6, &second), LUMA_OK);
    ck_assert_uint_eq(lk_temp_host.bytes(t), 12);
    ck_assert_uint_eq(lk_temp_used(), 12);
    ck_assert_int_eq(lk_temp_host.read(&c.ctx, t, got, 6, second), LUMA_OK);
    ck_assert_str_eq(got, "world");
    ck_assert_int_eq(lk_temp_host.read(&c.ctx, t, got, 6, first), LUMA_OK);
    ck_assert_str_eq(got, "hello");
    lk_temp_host.close(t);
    ck_assert_uint_eq(lk_temp_used(), 0);
    ck_assert_uint_eq(count_files(), 0);
    lk_temp_host.close(NULL);
    lk_temp_stop();
}
END_TEST

START_TEST(the_limit_is_of_all_files)
{
    struct luma_temp *a, *b;
    uint64_t offset;
    begin(10);
    ck_assert_int_eq(lk_temp_host.create(&c.ctx, &a), LUMA_OK);
    ck_assert_int_eq(lk_temp_host.create(&c.ctx, &b), LUMA_OK);
    ck_assert_int_eq(lk_temp_host.write(&c.ctx, a, "123456", 6, &offset), LUMA_OK);
    ck_assert_int_eq(lk_temp_host.write(&c.ctx, b, "12345", 5, &offset), LUMA_E_FULL);
    ck_assert_str_eq(c.ctx.error->sqlstate, "53400");
    ck_assert_int_eq(lk_temp_host.write(&c.ctx, b, "1234", 4, &offset), LUMA_OK);
    lk_temp_host.close(a);
    ck_assert_int_eq(lk_temp_host.write(&c.ctx, b, "123456", 6, &offset), LUMA_OK);
    lk_temp_host.close(b);
    lk_temp_stop();
}
END_TEST

START_TEST(a_start_removes_what_was_left)
{
    char path[96];
    begin(0);
    (void)snprintf(path, sizeof(path), "%s/temp/00000000000000ff.tmp", dir);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_uint_eq(count_files(), 1);
    lk_temp_stop();
    begin(0);
    ck_assert_uint_eq(count_files(), 0);
    lk_temp_stop();
}
END_TEST

int
main(void)
{
    (void)snprintf(dir, sizeof(dir), "%s", "/tmp/lumadb-temp.XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    TCase *t = tcase_create("temp");
    tcase_add_test(t, what_is_written_is_read);
    tcase_add_test(t, the_limit_is_of_all_files);
    tcase_add_test(t, a_start_removes_what_was_left);
    int rc = test_run("temp", t);
    char path[80];
    (void)snprintf(path, sizeof(path), "%s/temp", dir);
    (void)rmdir(path);
    (void)rmdir(dir);
    return rc;
}
