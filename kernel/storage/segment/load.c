/*
 * storage/segment/load.c - a chunk on its way into the cache: read, checksum, codec, encoding.
 */
#include "storage/segment/segment_priv.h"

struct load_call {
    struct lk_segment *segment;
    const struct lki_chunk *chunk;
    uint32_t group, col;
};

static luma_rc
bad_chunk(struct luma_ctx *ctx, const struct load_call *call, const char *what)
{
    return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "segment %s, group %u, column %u: %s",
                     lk_object_name(call->segment->reader), call->group,
                     call->segment->col[call->col].id, what);
}

/* Reads the stored bytes to where raw ones go, through a buffer when a codec lies between. */
static luma_rc
fetch(struct luma_ctx *ctx, const struct load_call *call, uint8_t *raw)
{
    const struct lki_chunk *chunk = call->chunk;
    struct lk_segment *segment = call->segment;
    bool packed = chunk->codec != LKI_CODEC_NONE;
    uint8_t *stored = packed ? lk_alloc(NULL, chunk->stored_bytes) : raw;

    if (stored == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to read a chunk");
    luma_rc rc = LUMA_OK;
    bool sound = false;
    for (int i = 0; rc == LUMA_OK && i < 2 && !sound; i++) { /* the disk may have misread it */
        rc = lk_object_read(ctx, segment->reader, stored, chunk->stored_bytes, chunk->offset);
        sound = rc == LUMA_OK && lk_crc32c(0, stored, chunk->stored_bytes) == chunk->crc;
    }
    if (rc == LUMA_OK && !sound)
        rc = bad_chunk(ctx, call, "the checksum is wrong");
    if (rc == LUMA_OK && packed) {
        struct luma_buf dst = {raw, chunk->raw_bytes, 0};
        rc = lki_formats_expand(ctx, segment->formats, chunk->codec,
                                luma_slice(stored, chunk->stored_bytes), &dst);
    }
    if (packed)
        lk_free(NULL, stored, chunk->stored_bytes);
    return rc;
}

/* The dictionary of strings is of the column's type: consumers look at it. */
static void
type_dictionary(const struct load_call *call, const struct lki_loaded *loaded)
{
    uint32_t code[4];
    struct luma_vec vec = {.phys = loaded->view.phys, .data = code};
    if (loaded->view.phys != LUMA_PHYS_STR || loaded->view.rows == 0 ||
        loaded->encoding == &lki_segment_plain || lki_makes_strings(loaded->encoding))
        return;
    if (loaded->encoding->decode(&loaded->view, 0, 1, NULL, &vec) == LUMA_OK &&
        vec.form == LUMA_VEC_DICT && vec.dict != NULL)
        vec.dict->type = lki_segment_col_type(&call->segment->col[call->col]);
}

static luma_rc
open_view(struct luma_ctx *ctx, const struct load_call *call, struct lk_cache_block *block)
{
    const struct lki_chunk *chunk = call->chunk;
    struct lki_loaded *loaded = block->parsed;
    const uint8_t *raw = block->bytes.data;
    const struct luma_encoding *encoding =
        lki_formats_encoding(call->segment->formats, chunk->encoding);

    if (encoding == NULL) {
        char name[5];
        lki_wire_name(chunk->encoding, name);
        return LUMA_FAIL(ctx, LUMA_E_MODULE,
                         "segment %s: the encoding module \"%s\" is needed and not loaded",
                         lk_object_name(call->segment->reader), name);
    }
    memset(loaded, 0, sizeof(*loaded));
    loaded->encoding = encoding;
    loaded->valid = chunk->nulls > 0 ? (const uint64_t *)(const void *)raw : NULL;
    loaded->view.bytes = luma_slice(raw + chunk->values_at, chunk->raw_bytes - chunk->values_at);
    loaded->view.rows = call->segment->group_rows[call->group];
    loaded->view.phys = chunk->phys;
    loaded->view.simd = call->segment->formats->simd;
    size_t room = LUMA_HAS(encoding, room_bytes) && encoding->room_bytes != NULL
                      ? encoding->room_bytes(&loaded->view)
                      : 0;
    if (room > chunk->room_bytes)
        return bad_chunk(ctx, call, "it wants more room than its writer knew of");
    if (room > 0)
        loaded->view.room =
            (uint8_t *)block->parsed + lk_align_up(sizeof(struct lki_loaded), LKI_ALIGN);
    LUMA_TRY(encoding->open(ctx, &loaded->view));
    type_dictionary(call, loaded);
    return LUMA_OK;
}

static luma_rc
load(struct luma_ctx *ctx, void *arg, uint64_t object_id, uint64_t offset,
     struct lk_cache_block *out_block)
{
    const struct load_call *call = arg;
    struct lk_cache *cache = lk_object_cache(call->segment->reader);
    size_t parsed = lki_chunk_parsed_bytes(call->chunk);

    (void)object_id;
    (void)offset;
    luma_rc rc = lk_cache_room(cache, call->chunk->raw_bytes, parsed, out_block);
    if (rc != LUMA_OK)
        return LUMA_FAIL(ctx, rc, "no memory to read a chunk of %u bytes", call->chunk->raw_bytes);
    rc = fetch(ctx, call, (uint8_t *)(uintptr_t)out_block->bytes.data);
    if (rc == LUMA_OK)
        rc = open_view(ctx, call, out_block);
    if (rc != LUMA_OK)
        lk_cache_room_free(cache, out_block);
    return rc;
}

luma_rc
lki_segment_load(struct luma_ctx *ctx, struct lk_segment *segment, uint32_t group, uint32_t col,
                 struct lk_cache_block **out_block)
{
    struct load_call call = {segment, lki_segment_chunk(segment, group, col), group, col};
    bool trial = atomic_load_explicit(&segment->trial, memory_order_relaxed);
    return lk_cache_pin_as(
        ctx, lk_object_cache(segment->reader), segment->info.object_id, call.chunk->offset, trial,
        &segment->hints[(size_t)group * segment->cols_all + col], load, &call, out_block);
}
