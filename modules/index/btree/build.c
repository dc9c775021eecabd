/*
 * modules/index/btree/build.c - a run from sorted entries, in one pass: blocks of entries, then one
 * level of index blocks after the other until one block is left, the filter and the trailer.
 */
#define XXH_INLINE_ALL
#include <stdlib.h>
#include <xxhash.h>

#include "btree.h"

uint64_t
btree_key_hash(struct luma_slice key)
{
    return XXH3_64bits(key.data, key.bytes);
}

struct build {
    struct luma_object_writer *writer;
    struct btree_block_writer levels[BTREE_LEVELS_MAX];
    uint32_t levels_count;
    struct luma_buf block; /* the one being written */
    struct luma_buf last;  /* last key of the one being written */
    struct luma_buf hashes;
    uint64_t last_hash;
    struct btree_trailer trailer;
    uint64_t top; /* place of the block written last */
};

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to build an index run");
}

static bool
buf_set(struct luma_buf *buf, const void *data, size_t bytes, bool append)
{
    size_t at = append ? buf->used_bytes : 0;
    if (at + bytes > buf->room_bytes) {
        size_t room = (at + bytes) * 2 + 64;
        uint8_t *grown = realloc(buf->data, room);
        if (grown == NULL)
            return false;
        buf->data = grown;
        buf->room_bytes = room;
    }
    if (bytes > 0)
        memcpy(buf->data + at, data, bytes);
    buf->used_bytes = at + bytes;
    return true;
}

static luma_rc add(struct luma_ctx *ctx, struct build *build, uint32_t level, struct luma_slice key,
                   int64_t rowid);

/* Writes a level's block and tells the level above of it. */
static luma_rc
flush(struct luma_ctx *ctx, struct build *build, uint32_t level)
{
    struct btree_block_writer *writer = &build->levels[level];
    uint32_t from = writer->count < 2 ? 0 : writer->ends[writer->count - 2];
    if (!buf_set(&build->last, writer->keys.data + from, writer->ends[writer->count - 1] - from,
                 false))
        return no_memory(ctx);
    writer->level = (uint16_t)level;
    if (!btree_block_write(writer, &build->block))
        return no_memory(ctx);
    if (build->block.used_bytes > BTREE_PLACE_BYTES_MAX)
        return LUMA_FAIL(ctx, LUMA_E_LIMIT, "an index key of %zu bytes is too long",
                         build->last.used_bytes);
    build->top = btree_place(build->writer->offset(build->writer), build->block.used_bytes);
    build->trailer.blocks++;
    LUMA_TRY(build->writer->append(ctx, build->writer, build->block.data, build->block.used_bytes));
    if (level + 1 >= BTREE_LEVELS_MAX)
        return LUMA_FAIL(ctx, LUMA_E_LIMIT, "an index run grows too high");
    return add(ctx, build, level + 1, luma_slice(build->last.data, build->last.used_bytes),
               (int64_t)build->top);
}

static luma_rc
add(struct luma_ctx *ctx, struct build *build, uint32_t level, struct luma_slice key, int64_t rowid)
{
    struct btree_block_writer *writer = &build->levels[level];
    size_t limit = level == 0 ? BTREE_BLOCK_BYTES : BTREE_INDEX_BYTES;
    if (level >= build->levels_count)
        build->levels_count = level + 1;
    /* An index block has two entries at least, or the tree would never come to one root. */
    if (writer->count >= (level == 0 ? 1u : 2u) &&
        btree_block_bytes(writer) + key.bytes + 8 > limit) {
        /* flush leaves build->last alone only until the level above flushes too: keep the key. */
        struct luma_buf held = {0};
        if (!buf_set(&held, key.data, key.bytes, false))
            return no_memory(ctx);
        luma_rc rc = flush(ctx, build, level);
        if (rc == LUMA_OK &&
            !btree_block_add(writer, luma_slice(held.data, held.used_bytes), rowid))
            rc = no_memory(ctx);
        free(held.data);
        return rc;
    }
    return btree_block_add(writer, key, rowid) ? LUMA_OK : no_memory(ctx);
}

/* The unfinished blocks from below; the one above a single block is not needed. */
static luma_rc
finish_levels(struct luma_ctx *ctx, struct build *build)
{
    for (uint32_t level = 0; level < build->levels_count; level++) {
        bool top = level + 1 == build->levels_count;
        if (top && level > 0 && build->levels[level].count == 1)
            break; /* the block below is the root */
        if (build->levels[level].count > 0)
            LUMA_TRY(flush(ctx, build, level));
        build->trailer.levels = level + 1;
    }
    build->trailer.root = build->top;
    return LUMA_OK;
}

static luma_rc
write_bloom(struct luma_ctx *ctx, struct build *build)
{
    size_t keys = build->hashes.used_bytes / sizeof(uint64_t);
    size_t lines = (keys * BTREE_BLOOM_BITS + BLOOM_LINE_BITS - 1) / BLOOM_LINE_BITS;
    const uint64_t *hashes = (const uint64_t *)(const void *)build->hashes.data;
    if (keys == 0 || lines * BLOOM_LINE_BYTES > UINT32_MAX / 2)
        return LUMA_OK;
    uint64_t *words = calloc(lines, BLOOM_LINE_BYTES);
    if (words == NULL)
        return no_memory(ctx);
    for (size_t k = 0; k < keys; k++)
        bloom_add(words, lines, hashes[k]);
    build->trailer.bloom_offset = build->writer->offset(build->writer);
    build->trailer.bloom_bytes = (uint32_t)(lines * BLOOM_LINE_BYTES);
    luma_rc rc = build->writer->append(ctx, build->writer, words, lines * BLOOM_LINE_BYTES);
    free(words);
    return rc;
}

static luma_rc
take_entries(struct luma_ctx *ctx, struct build *build, struct luma_index_source *source)
{
    struct luma_index_entry entry;
    bool more;
    for (;;) {
        LUMA_TRY(source->next(ctx, source, &entry, &more));
        if (!more)
            return LUMA_OK;
        uint64_t hash = btree_key_hash(entry.key);
        if (build->trailer.count == 0 || hash != build->last_hash)
            if (!buf_set(&build->hashes, &hash, sizeof(hash), true))
                return no_memory(ctx);
        build->last_hash = hash;
        build->trailer.count++;
        LUMA_TRY(add(ctx, build, 0, entry.key, entry.rowid));
    }
}

luma_rc
btree_run_build(struct luma_ctx *ctx, struct luma_index_source *source,
                struct luma_object_writer *writer)
{
    struct build *build = calloc(1, sizeof(*build));
    if (build == NULL)
        return no_memory(ctx);
    build->writer = writer;
    build->trailer.magic = BTREE_RUN_MAGIC;
    luma_rc rc = take_entries(ctx, build, source);
    if (rc == LUMA_OK)
        rc = finish_levels(ctx, build);
    if (rc == LUMA_OK)
        rc = write_bloom(ctx, build);
    if (rc == LUMA_OK)
        rc = writer->append(ctx, writer, &build->trailer, sizeof(build->trailer));
    for (uint32_t i = 0; i < BTREE_LEVELS_MAX; i++)
        btree_block_fini(&build->levels[i]);
    free(build->block.data);
    free(build->last.data);
    free(build->hashes.data);
    free(build);
    return rc;
}
