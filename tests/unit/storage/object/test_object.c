/* tests/unit/storage/object/test_object.c - objects on real files and on a disk that loses power.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../../lib/suite.h"
#include "base/base.h"
#include "io/sim.h"
#include "storage/cache/cache.h"
#include "storage/object/object.h"

static struct lk_ctx c;
static struct lk_cache *cache;
static struct lk_objects *objects;

static void
store_open(struct lk_io *io, const char *dir)
{
    lk_ctx_init(&c, NULL);
    ck_assert_int_eq(lk_cache_create(NULL, 1 << 20, &cache), LUMA_OK);
    ck_assert_int_eq(lk_objects_open(&c.ctx, io, dir, cache, &objects), LUMA_OK);
}

static void
store_close(void)
{
    lk_objects_close(objects);
    lk_cache_destroy(cache);
}

/* `blocks` blocks of 1000 bytes, block i full of i. */
static luma_rc
write_object(uint32_t blocks, uint64_t *out_id)
{
    struct lk_object_writer *writer;
    uint8_t block[1000];
    uint64_t bytes;

    LUMA_TRY(lk_object_create(&c.ctx, objects, LK_OBJECT_SEGMENT, &writer));
    *out_id = writer->id;
    for (uint32_t i = 0; i < blocks; i++) {
        memset(block, (int)i, sizeof(block));
        ck_assert_uint_eq(writer->base.offset(&writer->base), (uint64_t)i * sizeof(block));
        luma_rc rc = writer->base.append(&c.ctx, &writer->base, block, sizeof(block));
        if (rc != LUMA_OK) {
            lk_object_abort(writer);
            return rc;
        }
    }
    LUMA_TRY(lk_object_finish(&c.ctx, writer, &bytes));
    ck_assert_uint_eq(bytes, (uint64_t)blocks * sizeof(block));
    return LUMA_OK;
}

static void
check_object(uint64_t id, uint32_t blocks)
{
    struct luma_object_reader *reader;
    struct luma_pin pin;
    ck_assert_int_eq(lk_object_open(&c.ctx, objects, LK_OBJECT_SEGMENT, id, &reader), LUMA_OK);
    ck_assert_uint_eq(reader->bytes, (uint64_t)blocks * 1000);
    for (uint32_t i = 0; i < blocks; i++) {
        ck_assert_int_eq(reader->pin(&c.ctx, reader, (uint64_t)i * 1000, 1000, &pin), LUMA_OK);
        ck_assert_uint_eq(pin.bytes.bytes, 1000);
        ck_assert_uint_eq(pin.bytes.data[0], (uint8_t)i);
        ck_assert_uint_eq(pin.bytes.data[999], (uint8_t)i);
        reader->unpin(&pin);
    }
    ck_assert_int_eq(reader->pin(&c.ctx, reader, (uint64_t)blocks * 1000 - 10, 20, &pin),
                     LUMA_E_CORRUPT);
    lk_object_close(reader);
}

static void
count_objects(void *arg, enum lk_object_kind kind, uint64_t id, uint64_t bytes)
{
    (void)kind;
    (void)id;
    (void)bytes;
    ++*(uint32_t *)arg;
}

static uint32_t
objects_there(void)
{
    uint32_t n = 0;
    ck_assert_int_eq(lk_objects_each(&c.ctx, objects, count_objects, &n), LUMA_OK);
    return n;
}

START_TEST(written_objects_read_back_from_files)
{
    char dir[] = "/tmp/lumadb-test-object-XXXXXX", cmd[128];
    uint64_t id, big;
    ck_assert_ptr_nonnull(mkdtemp(dir));
    store_open(lk_io_posix(), dir);
    ck_assert_int_eq(write_object(3, &id), LUMA_OK);
    ck_assert_int_eq(write_object(2000, &big), LUMA_OK);
    ck_assert_uint_ne(id, big);
    check_object(id, 3);
    check_object(big, 2000);
    ck_assert_uint_eq(objects_there(), 2);
    store_close();
    store_open(lk_io_posix(), dir);
    check_object(big, 2000);
    lk_object_remove(objects, LK_OBJECT_SEGMENT, big);
    ck_assert_uint_eq(objects_there(), 1);
    store_close();
    snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
    ck_assert_int_eq(system(cmd), 0);
}
END_TEST

START_TEST(a_removed_object_stays_readable_until_closed)
{
    struct lk_io *io = lk_io_sim_create(1);
    struct luma_object_reader *reader;
    struct luma_pin pin;
    uint64_t id;
    store_open(io, "objects");
    ck_assert_int_eq(write_object(2, &id), LUMA_OK);
    ck_assert_int_eq(lk_object_open(&c.ctx, objects, LK_OBJECT_SEGMENT, id, &reader), LUMA_OK);
    lk_object_remove(objects, LK_OBJECT_SEGMENT, id);
    ck_assert_int_eq(reader->pin(&c.ctx, reader, 1000, 1000, &pin), LUMA_OK);
    ck_assert_uint_eq(pin.bytes.data[5], 1);
    reader->unpin(&pin);
    ck_assert_uint_eq(objects_there(), 1);
    lk_object_close(reader);
    ck_assert_uint_eq(objects_there(), 0);
    store_close();
    lk_io_sim_destroy(io);
}
END_TEST

START_TEST(a_finished_object_survives_a_power_cut)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct lk_io *io = lk_io_sim_create(seed);
        uint64_t id, other;
        store_open(io, "objects");
        ck_assert_int_eq(write_object(300, &id), LUMA_OK);
        lk_io_sim_cut_at(io, lk_io_sim_calls(io) + 1 + seed % 5);
        (void)write_object(900, &other);
        store_close();
        lk_io_sim_restart(io);
        lk_io_sim_cut_at(io, 0);
        store_open(io, "objects");
        check_object(id, 300);
        store_close();
        lk_io_sim_destroy(io);
    }
}
END_TEST

START_TEST(a_full_disk_is_reported_and_leaves_nothing)
{
    struct lk_io *io = lk_io_sim_create(3);
    uint64_t id;
    store_open(io, "objects");
    lk_io_sim_set_capacity(io, 600000);
    ck_assert_int_eq(write_object(1000, &id), LUMA_E_FULL);
    ck_assert_uint_eq(objects_there(), 0);
    store_close();
    lk_io_sim_destroy(io);
}
END_TEST

START_TEST(a_failed_sync_fails_the_object)
{
    struct lk_io *io = lk_io_sim_create(4);
    struct lk_io_sim_rule rule = {.call = LK_IO_CALL_SYNC, .action = LK_IO_SIM_EIO, .times = 1};
    uint64_t id;
    store_open(io, "objects");
    lk_io_sim_rule(io, &rule);
    ck_assert_int_eq(write_object(10, &id), LUMA_E_IO);
    ck_assert_uint_eq(objects_there(), 0);
    ck_assert_int_eq(write_object(10, &id), LUMA_OK);
    check_object(id, 10);
    store_close();
    lk_io_sim_destroy(io);
}
END_TEST

START_TEST(ids_grow_above_their_floor)
{
    struct lk_io *io = lk_io_sim_create(5);
    store_open(io, "objects");
    lk_objects_id_floor(objects, 41);
    lk_objects_id_floor(objects, 7);
    ck_assert_uint_eq(lk_objects_next_id(objects), 42);
    ck_assert_uint_eq(lk_objects_next_id(objects), 43);
    store_close();
    lk_io_sim_destroy(io);
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("object");
    tcase_add_test(tc, written_objects_read_back_from_files);
    tcase_add_test(tc, a_removed_object_stays_readable_until_closed);
    tcase_add_test(tc, a_finished_object_survives_a_power_cut);
    tcase_add_test(tc, a_full_disk_is_reported_and_leaves_nothing);
    tcase_add_test(tc, a_failed_sync_fails_the_object);
    tcase_add_test(tc, ids_grow_above_their_floor);
    return test_run("object", tc);
}
