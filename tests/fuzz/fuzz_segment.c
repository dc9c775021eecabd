/*
 * tests/fuzz/fuzz_segment.c - a small segment with changes at the places the input names, its
 * checksums made right again: what a checksum cannot see must be refused or be harmless.
 */
#include <stdlib.h>

#include "base/base.h"
#include "io/sim.h"
#include "storage/cache/cache.h"
#include "storage/segment/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define TAIL_BYTES 32
#define PATH       "objects/0000000000000001.segment"

static const struct luma_store_col cols[] = {{.id = 1, .type = {LUMA_TYPE_INT4, 0, 0, -1}},
                                             {.id = 2, .type = {LUMA_TYPE_TEXT, 0, 0, -1}}};
static const struct luma_store_coll def = {.id = 5, .cols_count = 2, .cols = cols};
static struct luma_arena *arena;
static struct lk_formats *formats;
static struct lk_bytes base;

static void
must(luma_rc rc)
{
    if (rc != LUMA_OK)
        abort();
}

static void
write_base(struct lk_ctx *c, struct lk_objects *objects)
{
    struct lk_segment_writer *writer;
    struct lk_segment_info info;
    struct luma_vec vecs[2];
    int64_t rowids[300];
    if (!luma_vec_init(&vecs[0], arena, cols[0].type, 300) ||
        !luma_vec_init(&vecs[1], arena, cols[1].type, 300) ||
        !luma_vec_need_valid(&vecs[1], arena, 300))
        abort();
    for (int i = 0; i < 300; i++) {
        ((int32_t *)vecs[0].data)[i] = i * 7 % 50;
        ((struct luma_str *)vecs[1].data)[i] =
            luma_str_make("a string that is not short", (uint32_t)(i % 26));
        if (i % 5 == 0)
            luma_bit_clear(vecs[1].valid, (size_t)i);
        rowids[i] = i * 3;
    }
    struct luma_batch batch = {.rows = 300, .sel_rows = 300, .cols_count = 2, .cols = vecs};
    must(lk_segment_write_begin(&c->ctx, objects, formats, &def, &writer));
    must(lk_segment_write_append(&c->ctx, writer, &batch, rowids, 0, NULL, 9, NULL));
    must(lk_segment_write_end(&c->ctx, writer, &info));
}

static void
start(void)
{
    struct lk_ctx c;
    struct lk_io *io = lk_io_sim_create(1);
    struct lk_cache *cache;
    struct lk_objects *objects;
    arena = lk_arena_create(NULL, 0);
    lk_ctx_init(&c, arena);
    must(lk_formats_load(&c.ctx, NULL, NULL, &formats));
    must(lk_cache_create(NULL, 1 << 20, &cache));
    must(lk_objects_open(&c.ctx, io, "objects", cache, &objects));
    write_base(&c, objects);
    must(lk_io_read_file(&c.ctx, io, PATH, 1 << 24, &base));
    lk_objects_close(objects);
    lk_cache_destroy(cache);
    lk_io_sim_destroy(io);
}

/* Changes are triples: u16 place, counted from the end, and the new byte. */
static void
mend(uint8_t *file, size_t size, const uint8_t *data, size_t bytes)
{
    for (size_t i = 0; i + 3 <= bytes; i += 3)
        file[size - 1 - lk_load_u16(data + i) % size] = data[i + 2];
    uint8_t *tail = file + size - TAIL_BYTES;
    uint64_t at = lk_load_u64(tail);
    uint32_t footer = lk_load_u32(tail + 8);
    if (at <= size && footer <= size - at)
        lk_store_u32(tail + 12, lk_crc32c(0, file + at, footer));
    lk_store_u32(tail + 20, lk_crc32c(0, tail, 20));
    lk_store_u32(file + 60, lk_crc32c(0, file, 60));
}

static void
ignore_line(void *arg, const char *text)
{
    (void)arg;
    (void)text;
}

static void
read_rows(struct lk_ctx *c, struct lk_segment *segment)
{
    static const uint32_t ids[] = {1, 2};
    struct luma_scan_spec spec = {.cols = ids, .cols_count = 2, .rowids = true};
    struct lk_segment_cursor *cursor;
    struct luma_batch *batch;
    bool more = true;
    must(lk_segment_cursor_open(&c->ctx, &def, &spec, &cursor));
    for (uint32_t g = 0; g < lk_segment_groups(segment); g++) {
        if (lk_segment_cursor_seek(&c->ctx, cursor, segment, g) != LUMA_OK)
            break;
        while (lk_segment_cursor_next(&c->ctx, cursor, NULL, NULL, &batch, &more) == LUMA_OK &&
               more)
            continue;
    }
    lk_segment_cursor_close(cursor);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct lk_ctx c;
    struct lk_cache *cache;
    struct lk_objects *objects;
    struct lk_segment *segment;
    if (formats == NULL)
        start();
    struct lk_io *io = lk_io_sim_create(1);
    uint8_t *file = malloc(base.bytes);
    lk_ctx_init(&c, arena);
    memcpy(file, base.data, base.bytes);
    mend(file, base.bytes, data, bytes);
    must(lk_cache_create(NULL, 1 << 20, &cache));
    must(lk_objects_open(&c.ctx, io, "objects", cache, &objects));
    must(lk_io_write_file(&c.ctx, io, PATH, file, base.bytes));
    if (lk_segment_open(&c.ctx, objects, formats, 1, &segment) == LUMA_OK) {
        int64_t row;
        (void)lk_segment_verify(&c.ctx, segment, NULL, NULL);
        (void)lk_segment_describe(&c.ctx, segment, ignore_line, NULL);
        read_rows(&c, segment);
        for (int64_t id = 0; id < 900; id += 31)
            (void)lk_segment_find(&c.ctx, segment, id, &row);
        for (uint32_t id = 1; id <= 2; id++) {
            struct luma_col_stats stats;
            (void)lk_segment_col_stats(segment, id, &stats);
        }
        lk_segment_unref(segment);
    }
    lk_objects_close(objects);
    lk_cache_destroy(cache);
    lk_io_sim_destroy(io);
    free(file);
    arena->reset(arena);
    return 0;
}
