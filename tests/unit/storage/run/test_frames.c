/* tests/unit/storage/run/test_frames.c - runs as bytes: both versions of the frame, blocks that lie
 * where they do not belong; what a lookup reads behind the filters. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../../lib/suite.h"
#include "../segment/modules.h"
#include "base/base.h"
#include "io/sim.h"
#include "storage/cache/cache.h"
#include "storage/run/run.h"

#define INDEX_ID 9

static struct lk_ctx c;
static struct luma_arena *arena;
static struct lk_io *io;
static struct lk_cache *cache;
static struct lk_objects *objects;
static const char *kind_name = "btree";

static void
setup(void)
{
    if (test_services_count == 0) {
        ck_assert(test_module_load("index-btree"));
        ck_assert(test_module_load("index-hash"));
    }
    arena = lk_arena_create(NULL, 0);
    lk_ctx_init(&c, arena);
    io = lk_io_sim_create(1);
    ck_assert_int_eq(lk_cache_create(NULL, 64 << 20, &cache), LUMA_OK);
    ck_assert_int_eq(lk_objects_open(&c.ctx, io, "objects", cache, &objects), LUMA_OK);
}

static void
teardown(void)
{
    lk_objects_close(objects);
    lk_cache_destroy(cache);
    lk_io_sim_destroy(io);
    lk_arena_destroy(arena);
}

static struct lk_index *
index_make(void)
{
    struct luma_store_index def = {.id = INDEX_ID, .kind = kind_name};
    struct lk_index *index;
    ck_assert_int_eq(lk_index_create(&c.ctx, objects, NULL, &test_host_services, &def, &index),
                     LUMA_OK);
    return index;
}

static const struct luma_index_kind *
kind_of(void)
{
    char service[32];
    snprintf(service, sizeof(service), "index.%s", kind_name);
    return (const struct luma_index_kind *)test_lookup(service, LUMA_INDEX_MAJOR);
}

/* --- a run written by hand, as docs/formats/run.md has it --- */

#define FRAMES_MAX 4096

struct by_hand {
    struct luma_object_writer base;
    struct lk_object_writer *object;
    uint32_t version;
    uint32_t count;
    uint64_t at[FRAMES_MAX];
    size_t bytes[FRAMES_MAX];
};

static uint32_t
checksum(const struct by_hand *run, const void *data, size_t bytes)
{
    uint64_t place[2] = {run->object->id, run->object->base.offset(&run->object->base)};
    uint32_t seed = run->version == 1 ? 0 : lk_crc32c_plain(0, place, sizeof(place));
    return lk_crc32c_plain(seed, data, bytes);
}

static luma_rc
by_hand_append(struct luma_ctx *ctx, struct luma_object_writer *base, const void *data,
               size_t bytes)
{
    struct by_hand *run = (struct by_hand *)base;
    uint32_t crc = checksum(run, data, bytes);
    ck_assert_uint_lt(run->count, FRAMES_MAX);
    run->at[run->count] = run->object->base.offset(&run->object->base);
    run->bytes[run->count++] = bytes;
    LUMA_TRY(run->object->base.append(ctx, &run->object->base, data, bytes));
    return run->object->base.append(ctx, &run->object->base, &crc, sizeof(crc));
}

static uint64_t
by_hand_offset(const struct luma_object_writer *base)
{
    const struct by_hand *run = (const struct by_hand *)base;
    return run->object->base.offset(&run->object->base);
}

/* Keys first, first + step, ... as a column of whole numbers has them; row id = number. */
struct numbers {
    struct luma_index_source base;
    uint64_t at, step, left;
    uint8_t key[9];
};

static struct luma_slice
number_key(uint8_t *room, uint64_t number)
{
    room[0] = 1;
    lk_store_be64(room + 1, number);
    return luma_slice(room, 9);
}

static luma_rc
numbers_next(struct luma_ctx *ctx, struct luma_index_source *base,
             struct luma_index_entry *out_entry, bool *out_more)
{
    struct numbers *numbers = (struct numbers *)base;
    (void)ctx;
    *out_more = numbers->left > 0;
    if (!*out_more)
        return LUMA_OK;
    out_entry->key = number_key(numbers->key, numbers->at);
    out_entry->rowid = (int64_t)numbers->at;
    numbers->at += numbers->step;
    numbers->left--;
    return LUMA_OK;
}

static struct lk_run_info
write_by_hand(struct by_hand *run, uint32_t version, uint64_t first, uint64_t step, uint64_t count)
{
    struct numbers numbers = {.base.next = numbers_next, .at = first, .step = step, .left = count};
    struct lk_run_info info = {.index_id = INDEX_ID, .entries = count};
    uint8_t header[64] = "LUMARUN1", tail[32] = {0};

    memset(run, 0, sizeof(*run));
    run->base.append = by_hand_append;
    run->base.offset = by_hand_offset;
    run->version = version;
    ck_assert_int_eq(lk_object_create(&c.ctx, objects, LK_OBJECT_RUN, &run->object), LUMA_OK);
    struct luma_object_writer *object = &run->object->base;
    info.object_id = run->object->id;
    memset(header + 8, 0, 56);
    lk_store_u32(header + 8, version);
    lk_store_u32(header + 12, kind_of()->wire_id);
    lk_store_u64(header + 16, INDEX_ID);
    lk_store_u64(header + 24, info.object_id);
    lk_store_u32(header + 60, lk_crc32c_plain(0, header, 60));
    ck_assert_int_eq(object->append(&c.ctx, object, header, 64), LUMA_OK);
    ck_assert_int_eq(kind_of()->run_build(&c.ctx, &numbers.base, &run->base), LUMA_OK);
    lk_store_u64(tail, count);
    lk_store_u32(tail + 16, version);
    lk_store_u32(tail + 20, checksum(run, tail, 20));
    memcpy(tail + 24, "LUMARUNE", 8);
    ck_assert_int_eq(object->append(&c.ctx, object, tail, 32), LUMA_OK);
    ck_assert_int_eq(lk_object_finish(&c.ctx, run->object, &info.bytes), LUMA_OK);
    return info;
}

static void
count_found(void *arg, size_t key_index, int64_t rowid)
{
    (void)key_index;
    (void)rowid;
    ++*(uint64_t *)arg;
}

static luma_rc
find(struct lk_index *index, uint64_t number, uint64_t *out_found)
{
    uint8_t room[9];
    struct luma_slice key = number_key(room, number);
    *out_found = 0;
    return lk_index_find(&c.ctx, index, &key, 1, count_found, out_found);
}

static void
read_version(uint32_t version)
{
    static struct by_hand run;
    struct lk_index *index = index_make();
    struct lk_run_info info = write_by_hand(&run, version, 7, 3, 5000);
    uint64_t found;
    ck_assert_int_eq(lk_index_attach(&c.ctx, index, &info), LUMA_OK);
    ck_assert_int_eq(lk_index_verify(&c.ctx, index), LUMA_OK);
    for (uint64_t i = 0; i < 15000; i += 7) {
        ck_assert_int_eq(find(index, 7 + i, &found), LUMA_OK);
        ck_assert_uint_eq(found, i % 3 == 0);
    }
    lk_index_destroy(index);
}

START_TEST(both_versions_are_read)
{
    for (int k = 0; k < 2; k++) {
        kind_name = k == 0 ? "btree" : "hash";
        setup();
        read_version(1);
        read_version(2);
        teardown();
    }
}
END_TEST

START_TEST(a_newer_version_is_refused_by_name)
{
    static struct by_hand run;
    setup();
    struct lk_index *index = index_make();
    struct lk_run_info info = write_by_hand(&run, 3, 7, 3, 100);
    ck_assert_int_eq(lk_index_attach(&c.ctx, index, &info), LUMA_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(c.ctx.error->message, "has format version 3, this program reads "
                                                       "up to 2"));
    lk_index_destroy(index);
    teardown();
}
END_TEST

/* What a disk does that writes to the wrong place. */
static void
copy_bytes(uint64_t from_id, uint64_t from, uint64_t to_id, uint64_t to, size_t bytes)
{
    struct lk_file *file;
    char path[64];
    uint8_t *data = malloc(bytes);
    snprintf(path, sizeof(path), "objects/%016llx.run", (unsigned long long)from_id);
    ck_assert_int_eq(lk_io_open(&c.ctx, io, path, 0, &file), LUMA_OK);
    ck_assert_int_eq(lk_io_read_exact(&c.ctx, file, data, bytes, from), LUMA_OK);
    lk_io_close(file);
    snprintf(path, sizeof(path), "objects/%016llx.run", (unsigned long long)to_id);
    ck_assert_int_eq(lk_io_open(&c.ctx, io, path, LK_IO_WRITE, &file), LUMA_OK);
    ck_assert_int_eq(lk_io_write(&c.ctx, file, data, bytes, to), LUMA_OK);
    lk_io_close(file);
    free(data);
}

/* Blocks of whole numbers are equally long, so that one may lie in another's place unseen by
 * anything but its checksum. Every frame but the last block of a level has such a twin. */
static uint32_t
twin_of(const struct by_hand *run, uint32_t frame)
{
    for (uint32_t i = 0; i < run->count; i++)
        if (i != frame && run->bytes[i] == run->bytes[frame])
            return i;
    return frame;
}

START_TEST(a_block_in_anothers_place_is_noticed)
{
    static struct by_hand run;
    uint32_t tried = 0, frames = 1;
    for (uint32_t frame = 0; frame < frames; frame++) {
        uint64_t found;
        kind_name = "btree";
        setup();
        struct lk_index *index = index_make();
        struct lk_run_info info = write_by_hand(&run, 2, 0, 1, 6000);
        uint32_t twin = twin_of(&run, frame);
        frames = run.count;
        if (twin != frame) {
            copy_bytes(info.object_id, run.at[twin], info.object_id, run.at[frame],
                       run.bytes[frame] + 4);
            ck_assert_int_eq(lk_index_attach(&c.ctx, index, &info), LUMA_OK);
            ck_assert_int_eq(lk_index_verify(&c.ctx, index), LUMA_E_CORRUPT);
            luma_rc rc = LUMA_OK;
            for (uint64_t i = 0; i < 6000 && rc == LUMA_OK; i++) {
                rc = find(index, i, &found);
                ck_assert(rc != LUMA_OK || found == 1);
            }
            ck_assert_int_eq(rc, LUMA_E_CORRUPT);
            tried++;
        }
        lk_index_destroy(index);
        teardown();
    }
    ck_assert_uint_gt(tried, 3);
}
END_TEST

/* Two runs with the same numbers of keys: every block of one fits the other. */
START_TEST(a_block_of_another_run_is_noticed)
{
    static struct by_hand run, other;
    for (uint32_t k = 0; k < 2; k++) {
        kind_name = k == 0 ? "btree" : "hash";
        setup();
        struct lk_run_info info = write_by_hand(&run, 2, 0, 2, 3000);
        struct lk_run_info from = write_by_hand(&other, 2, 1, 2, 3000);
        ck_assert_uint_eq(run.count, other.count);
        for (uint32_t i = 0; i < run.count; i++) {
            if (run.at[i] != other.at[i] || run.bytes[i] != other.bytes[i])
                continue;
            struct lk_index *index = index_make();
            copy_bytes(from.object_id, run.at[i], info.object_id, run.at[i], run.bytes[i] + 4);
            luma_rc rc = lk_index_attach(&c.ctx, index, &info);
            if (rc == LUMA_OK)
                rc = lk_index_verify(&c.ctx, index);
            ck_assert_int_eq(rc, LUMA_E_CORRUPT);
            lk_index_destroy(index);
            lk_cache_forget(cache, info.object_id);
            info = write_by_hand(&run, 2, 0, 2, 3000);
        }
        /* All of it under the wrong name: the ids in it say so. */
        struct lk_index *index = index_make();
        copy_bytes(from.object_id, 0, info.object_id, 0, info.bytes);
        ck_assert_int_eq(lk_index_attach(&c.ctx, index, &info), LUMA_E_CORRUPT);
        lk_index_destroy(index);
        teardown();
    }
}
END_TEST

/* --- filters --- */

#define RUNS     24
#define RUN_KEYS 4000

/* Blocks that lookups of `lookups` numbers from `first` on read, each looked for by itself with an
 * empty cache: what the runs keep pinned from their opening on does not count. */
static uint64_t
blocks_read(struct lk_index *index, uint64_t first, uint64_t step, uint64_t lookups,
            uint64_t expected)
{
    struct lk_cache_stats before, after;
    uint64_t found, all = 0;
    for (uint64_t i = 0; i < lookups; i++) {
        for (uint64_t id = 1; id < 64; id++)
            lk_cache_forget(cache, id);
        lk_cache_stats(cache, &before);
        ck_assert_int_eq(find(index, first + i * step, &found), LUMA_OK);
        ck_assert_uint_eq(found, expected);
        lk_cache_stats(cache, &after);
        all += after.misses - before.misses;
    }
    return all;
}

START_TEST(lookups_read_one_run_of_many)
{
    static struct by_hand run;
    for (int k = 0; k < 2; k++) {
        kind_name = k == 0 ? "btree" : "hash";
        setup();
        struct lk_index *index = index_make();
        /* Run r has the numbers r, r + 100, ...: each spans the range of all. */
        for (uint64_t r = 0; r < RUNS; r++) {
            struct lk_run_info info = write_by_hand(&run, 2, r, 100, RUN_KEYS);
            ck_assert_int_eq(lk_index_attach(&c.ctx, index, &info), LUMA_OK);
        }
        ck_assert_int_eq(lk_index_verify(&c.ctx, index), LUMA_OK);
        uint64_t height = k == 0 ? 1 : 3; /* a block; a page of slots, one of places, a block */
        uint64_t absent = blocks_read(index, 50, 100, 2000, 0);
        uint64_t present = blocks_read(index, 5, 100, 2000, 1);
        /* One lookup in fifty of a run that has not the key passes the filter at most. */
        ck_assert_uint_le(absent, 2000 * RUNS * height / 50);
        ck_assert_uint_ge(present, 2000 * height);
        ck_assert_uint_le(present - 2000 * height, 2000 * (RUNS - 1) * height / 50);
        printf("%s: %u runs, blocks read a lookup: absent key %.3f, present key %.3f\n", kind_name,
               RUNS, (double)absent / 2000, (double)present / 2000);
        lk_index_destroy(index);
        teardown();
    }
}
END_TEST

START_TEST(filters_of_few_keys)
{
    static struct by_hand run;
    for (int k = 0; k < 2; k++) {
        kind_name = k == 0 ? "btree" : "hash";
        for (uint64_t count = 0; count < 5; count++) {
            uint64_t found;
            setup();
            struct lk_index *index = index_make();
            struct lk_run_info info = write_by_hand(&run, 2, 1000, 5, count);
            ck_assert_int_eq(lk_index_attach(&c.ctx, index, &info), LUMA_OK);
            ck_assert_int_eq(lk_index_verify(&c.ctx, index), LUMA_OK);
            for (uint64_t i = 990; i < 1040; i++) {
                ck_assert_int_eq(find(index, i, &found), LUMA_OK);
                ck_assert_uint_eq(found, i >= 1000 && i % 5 == 0 && i < 1000 + 5 * count);
            }
            lk_index_destroy(index);
            teardown();
        }
    }
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("frames");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, both_versions_are_read);
    tcase_add_test(tc, a_newer_version_is_refused_by_name);
    tcase_add_test(tc, a_block_in_anothers_place_is_noticed);
    tcase_add_test(tc, a_block_of_another_run_is_noticed);
    tcase_add_test(tc, lookups_read_one_run_of_many);
    tcase_add_test(tc, filters_of_few_keys);
    return test_run("frames", tc);
}
