/*
 * tests/fuzz/fuzz_segment.c - a small segment with changes at the places the input names, its
 * checksums made right again: what a checksum cannot see must be refused or be harmless.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "data/data.h"
#include "io/sim.h"
#include "storage/cache/cache.h"
#include "storage/segment/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define TAIL_BYTES 32
#define PATH       "objects/0000000000000001.segment"

#define ROWS 300
#define COLS 6

static const struct luma_store_col cols[COLS] = {
    {.id = 1, .type = {LUMA_TYPE_INT4, 0, 0, -1}},
    {.id = 2, .type = {LUMA_TYPE_TEXT, 0, 0, -1}},
    {.id = 3, .type = {LUMA_TYPE_ARRAY, LUMA_TYPE_TEXT, 0, -1}},
    {.id = 4, .type = {LUMA_TYPE_NUMERIC, 0, 0, -1}},
    {.id = 5, .type = {LUMA_TYPE_JSONB, 0, 0, -1}},
    {.id = 6, .type = {LUMA_TYPE_JSONB, 0, 0, -1}},
};
static const uint32_t ids[COLS] = {1, 2, 3, 4, 5, 6};
static const struct luma_store_coll def = {.id = 5, .cols_count = COLS, .cols = cols};
static struct luma_arena *arena;
static struct lk_formats *formats;
static struct lk_bytes base;

static void
must(luma_rc rc)
{
    if (rc != LUMA_OK)
        abort();
}

/* Rows of one value become a constant of the footer, those of others chunks. */
static void
fill_column(struct lk_ctx *c, uint32_t i, struct luma_vec *vec)
{
    static const char *const texts[COLS] = {NULL, NULL, "{a,NULL,\"some more letters\"}",
                                            "-1234567.00890", "{\"kind\":\"all alike\"}"};
    char text[128];

    if (!luma_vec_init(vec, arena, cols[i].type, ROWS))
        abort();
    for (int row = 0; row < ROWS; row++) {
        struct luma_value value;
        if (i == 5)
            snprintf(text, sizeof(text),
                     "{\"n\":%d,\"tags\":[\"a\",%d.5],\"m\":{\"deep\":\"x%d\"}}", row, row % 7,
                     row);
        else
            snprintf(text, sizeof(text), "%s", texts[i]);
        must(lk_data_from_text(&c->ctx, arena, cols[i].type, NULL, luma_slice_text(text), &value));
        must(lk_data_vec_set(arena, vec, (uint32_t)row, &value));
    }
}

static void
fill_plain(struct luma_vec vecs[2], int64_t rowids[ROWS])
{
    if (!luma_vec_init(&vecs[0], arena, cols[0].type, ROWS) ||
        !luma_vec_init(&vecs[1], arena, cols[1].type, ROWS) ||
        !luma_vec_need_valid(&vecs[1], arena, ROWS))
        abort();
    for (int i = 0; i < ROWS; i++) {
        ((int32_t *)vecs[0].data)[i] = i * 7 % 50;
        ((struct luma_str *)vecs[1].data)[i] =
            luma_str_make("a string that is not short", (uint32_t)(i % 26));
        if (i % 5 == 0)
            luma_bit_clear(vecs[1].valid, (size_t)i);
        rowids[i] = i * 3;
    }
}

static void
write_base(struct lk_ctx *c, struct lk_objects *objects)
{
    struct lk_segment_writer *writer;
    struct lk_segment_info info;
    struct luma_vec vecs[COLS];
    int64_t rowids[ROWS];

    fill_plain(vecs, rowids);
    for (uint32_t i = 2; i < COLS; i++)
        fill_column(c, i, &vecs[i]);
    struct luma_batch batch = {.rows = ROWS, .sel_rows = ROWS, .cols_count = COLS, .cols = vecs};
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
    struct luma_scan_spec spec = {.cols = ids, .cols_count = COLS, .rowids = true};
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
        for (uint32_t id = 1; id <= COLS; id++) {
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
