/*
 * storage/run/frame.c - what lies around a module's blocks: a header, a CRC32C behind each append,
 * a tail. The checksum is looked at once, when a block comes into the cache.
 */
#include "storage/run/run_priv.h"

#define HINT_STRIDE 4096u

/* Of the bytes at a place of an object: a sound block that a disk wrote to another place, or into
 * another run, does not pass there. Version 1 had the bytes alone. */
static uint32_t
place_crc(uint32_t version, uint64_t object_id, uint64_t offset, const void *data, size_t bytes)
{
    uint8_t place[16];
    if (version < 2)
        return lk_crc32c(0, data, bytes);
    lk_store_u64(place, object_id);
    lk_store_u64(place + 8, offset);
    return lk_crc32c(lk_crc32c(0, place, sizeof(place)), data, bytes);
}

static luma_rc
frame_append(struct luma_ctx *ctx, struct luma_object_writer *base, const void *data, size_t bytes)
{
    struct lk_object_writer *writer = ((struct lki_frame_writer *)base)->object;
    struct luma_object_writer *object = &writer->base;
    uint32_t crc = place_crc(LKI_RUN_VERSION, writer->id, object->offset(object), data, bytes);
    LUMA_TRY(object->append(ctx, object, data, bytes));
    return object->append(ctx, object, &crc, sizeof(crc));
}

static uint64_t
frame_offset(const struct luma_object_writer *base)
{
    const struct luma_object_writer *object =
        &((const struct lki_frame_writer *)base)->object->base;
    return object->offset(object);
}

luma_rc
lki_frame_begin(struct luma_ctx *ctx, struct lk_objects *objects, uint32_t kind, uint64_t index_id,
                struct lki_frame_writer *out)
{
    struct lki_run_header header = {
        .magic = LKI_RUN_MAGIC, .version = LKI_RUN_VERSION, .kind = kind, .index_id = index_id};
    LUMA_TRY(lk_object_create(ctx, objects, LK_OBJECT_RUN, &out->object));
    out->base.append = frame_append;
    out->base.offset = frame_offset;
    header.object_id = out->object->id;
    header.crc = lk_crc32c(0, &header, offsetof(struct lki_run_header, crc));
    luma_rc rc = out->object->base.append(ctx, &out->object->base, &header, sizeof(header));
    if (rc != LUMA_OK)
        lk_object_abort(LUMA_TAKE(out->object));
    return rc;
}

luma_rc
lki_frame_end(struct luma_ctx *ctx, struct lki_frame_writer *writer, uint64_t entries,
              uint32_t level, uint64_t *out_bytes)
{
    struct lki_run_tail tail = {
        .entries = entries, .level = level, .version = LKI_RUN_VERSION, .magic = LKI_RUN_MAGIC_END};
    struct lk_object_writer *object = LUMA_TAKE(writer->object);
    tail.crc = place_crc(LKI_RUN_VERSION, object->id, object->base.offset(&object->base), &tail,
                         offsetof(struct lki_run_tail, crc));
    luma_rc rc = object->base.append(ctx, &object->base, &tail, sizeof(tail));
    if (rc != LUMA_OK) {
        lk_object_abort(object);
        return rc;
    }
    return lk_object_finish(ctx, object, out_bytes);
}

/* --- reading --- */

struct load_call {
    struct luma_object_reader *object;
    uint32_t version;
    size_t bytes;
};

static luma_rc
load_frame(struct luma_ctx *ctx, void *arg, uint64_t object_id, uint64_t offset,
           struct lk_cache_block *out_block)
{
    struct load_call *call = arg;
    struct lk_cache *cache = lk_object_cache(call->object);
    size_t framed = call->bytes + LKI_RUN_CRC_BYTES;

    if (offset > call->object->bytes || framed > call->object->bytes - offset)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "index run %s: a block lies beyond its end",
                         lk_object_name(call->object));
    luma_rc rc = lk_cache_room(cache, framed, 0, out_block);
    if (rc != LUMA_OK)
        return LUMA_FAIL(ctx, rc, "no memory to read %s", lk_object_name(call->object));
    uint8_t *data = (uint8_t *)(uintptr_t)out_block->bytes.data;
    rc = lk_object_read(ctx, call->object, data, framed, offset);
    if (rc == LUMA_OK && place_crc(call->version, object_id, offset, data, call->bytes) !=
                             lk_load_u32(data + call->bytes))
        rc = LUMA_FAIL(ctx, LUMA_E_CORRUPT,
                       "index run %s: the checksum of the block at %llu is "
                       "wrong",
                       lk_object_name(call->object), (unsigned long long)offset);
    if (rc != LUMA_OK) {
        lk_cache_room_free(cache, out_block);
        return rc;
    }
    memset(data + call->bytes, 0, LKI_RUN_CRC_BYTES);
    out_block->bytes.bytes = call->bytes;
    return LUMA_OK;
}

static luma_rc
frame_pin(struct luma_ctx *ctx, struct luma_object_reader *base, uint64_t offset, size_t bytes,
          struct luma_pin *out_pin)
{
    const struct lki_frame_reader *reader = (const struct lki_frame_reader *)base;
    struct luma_object_reader *object = reader->object;
    struct load_call call = {object, reader->version, bytes};
    struct lk_cache_block *block;

    struct lk_cache_hint *hint = &reader->hints[offset / HINT_STRIDE & (reader->hints_count - 1)];
    LUMA_TRY(lk_cache_pin_as(ctx, lk_object_cache(object), object->object_id, offset, false, hint,
                             load_frame, &call, &block));
    if (block->bytes.bytes != bytes) {
        lk_cache_unpin(lk_object_cache(object), block);
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "index run %s: a block has another length",
                         lk_object_name(object));
    }
    out_pin->bytes = block->bytes;
    out_pin->opaque = block;
    return LUMA_OK;
}

static void
frame_unpin(struct luma_pin *pin)
{
    if (pin->opaque != NULL)
        lk_cache_unpin(NULL, pin->opaque);
    memset(pin, 0, sizeof(*pin));
}

static bool
tail_sound(const struct luma_object_reader *object, const struct lki_run_tail *tail)
{
    return tail->magic == LKI_RUN_MAGIC_END &&
           tail->crc == place_crc(tail->version, object->object_id, object->bytes - sizeof(*tail),
                                  tail, offsetof(struct lki_run_tail, crc));
}

static luma_rc
check_ends(struct luma_ctx *ctx, struct luma_object_reader *object, uint32_t kind,
           uint64_t index_id, uint32_t *out_version, uint64_t *out_entries)
{
    struct lki_run_header header;
    struct lki_run_tail tail;

    if (object->bytes < sizeof(header) + sizeof(tail) + LKI_RUN_CRC_BYTES)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "index run %s is too short", lk_object_name(object));
    LUMA_TRY(lk_object_read(ctx, object, &header, sizeof(header), 0));
    LUMA_TRY(lk_object_read(ctx, object, &tail, sizeof(tail), object->bytes - sizeof(tail)));
    if (header.magic != LKI_RUN_MAGIC ||
        header.crc != lk_crc32c(0, &header, offsetof(struct lki_run_header, crc)))
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "index run %s does not begin as a run does",
                         lk_object_name(object));
    if (header.version < LKI_RUN_VERSION_MIN || header.version > LKI_RUN_VERSION)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT,
                         "index run %s has format version %u, this program reads up to %u",
                         lk_object_name(object), header.version, LKI_RUN_VERSION);
    if (tail.version != header.version || !tail_sound(object, &tail))
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "index run %s does not end as a run does",
                         lk_object_name(object));
    if (header.kind != kind || header.index_id != index_id || header.object_id != object->object_id)
        return LUMA_FAIL(
            ctx, LUMA_E_CORRUPT,
            "index run %s is of kind %08x, index %llu, object %llu; wanted %08x, %llu, "
            "%llu",
            lk_object_name(object), header.kind, (unsigned long long)header.index_id,
            (unsigned long long)header.object_id, kind, (unsigned long long)index_id,
            (unsigned long long)object->object_id);
    *out_version = header.version;
    *out_entries = tail.entries;
    return LUMA_OK;
}

/* A hint for about each block: they are several times as long as the stride. */
static luma_rc
make_hints(struct luma_ctx *ctx, struct lki_frame_reader *reader)
{
    uint32_t count = 1;
    while ((uint64_t)count * HINT_STRIDE < reader->object->bytes)
        count *= 2;
    reader->hints = lk_zalloc(NULL, count * sizeof(*reader->hints));
    if (reader->hints == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to open an index run");
    reader->hints_count = count;
    return LUMA_OK;
}

void
lki_frame_close(struct lki_frame_reader *reader)
{
    if (reader->hints != NULL)
        lk_free(NULL, reader->hints, reader->hints_count * sizeof(*reader->hints));
    reader->hints = NULL;
    if (reader->object != NULL)
        lk_object_close(LUMA_TAKE(reader->object));
}

luma_rc
lki_frame_open(struct luma_ctx *ctx, struct lk_objects *objects, uint64_t object_id, uint32_t kind,
               uint64_t index_id, struct lki_frame_reader *out, uint64_t *out_entries)
{
    LUMA_TRY(lk_object_open(ctx, objects, LK_OBJECT_RUN, object_id, &out->object));
    luma_rc rc = check_ends(ctx, out->object, kind, index_id, &out->version, out_entries);
    if (rc == LUMA_OK)
        rc = make_hints(ctx, out);
    if (rc != LUMA_OK) {
        lki_frame_close(out);
        return rc;
    }
    out->base.bytes = out->object->bytes - sizeof(struct lki_run_tail) - LKI_RUN_CRC_BYTES;
    out->base.object_id = object_id;
    out->base.pin = frame_pin;
    out->base.unpin = frame_unpin;
    return LUMA_OK;
}
