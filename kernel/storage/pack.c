/*
 * storage/pack.c - objects that hold small things of many collections: few rows, delete maps.
 */
#include "base/hash.h"
#include "storage/checkpoint.h"

bool
lk_pack_place_write(struct lk_bytes *out, const struct lk_pack_place *place)
{
    return lk_bytes_u64(out, place->object_id) && lk_bytes_varint(out, place->offset) &&
           lk_bytes_varint(out, place->bytes) && lk_bytes_varint(out, place->count) &&
           lk_bytes_u32(out, place->crc);
}

void
lk_pack_place_take(struct lk_reader *r, struct lk_pack_place *out)
{
    out->object_id = lk_reader_u64(r);
    out->offset = lk_reader_varint(r);
    out->bytes = lk_reader_varint(r);
    out->count = lk_reader_varint(r);
    out->crc = lk_reader_u32(r);
}

bool
lk_pack_place_read(struct luma_slice bytes, struct lk_pack_place *out)
{
    struct lk_reader r = lk_reader(bytes);
    lk_pack_place_take(&r, out);
    return !r.failed;
}

luma_rc
lk_packs_each(const struct lk_manifest *manifest,
              luma_rc (*fn)(void *arg, const struct lk_manifest_key *key, struct luma_slice value),
              void *arg)
{
    static const uint32_t kinds[] = {LK_MANIFEST_DELETES, LK_MANIFEST_ROWS, LK_MANIFEST_HISTORY,
                                     LK_MANIFEST_PAST,    LK_MANIFEST_ENDS, LK_MANIFEST_BEGINS};
    for (size_t i = 0; i < LUMA_COUNTOF(kinds); i++)
        LUMA_TRY(lk_manifest_each(manifest, kinds[i], 0, fn, arg));
    return LUMA_OK;
}

luma_rc
lk_pack_name(struct luma_ctx *ctx, struct lk_store *store, struct lk_pack_writer *pack,
             struct luma_slice bytes, uint64_t count, const struct lk_manifest_key *key,
             struct lk_manifest_edit *edit)
{
    struct lk_pack_place place;
    struct lk_bytes value;
    LUMA_TRY(lk_pack_add(ctx, store, pack, bytes, count, &place));
    lk_bytes_init(&value, NULL);
    bool ok = lk_pack_place_write(&value, &place);
    if (ok)
        lk_manifest_put(edit, key->kind, key->a, key->b, lk_bytes_view(&value));
    lk_bytes_fini(&value);
    return ok ? LUMA_OK : LUMA_FAIL(ctx, LUMA_E_NOMEM, "pack: out of memory");
}

luma_rc
lk_pack_add(struct luma_ctx *ctx, struct lk_store *store, struct lk_pack_writer *pack,
            struct luma_slice bytes, uint64_t count, struct lk_pack_place *out_place)
{
    if (pack->writer == NULL) {
        LUMA_TRY(lk_object_create(ctx, store->objects, LK_OBJECT_DELETES, &pack->writer));
        pack->object_id = pack->writer->id;
    }
    struct luma_object_writer *base = &pack->writer->base;
    out_place->object_id = pack->object_id;
    out_place->offset = base->offset(base);
    out_place->bytes = bytes.bytes;
    out_place->count = count;
    out_place->crc = lk_crc32c(0, bytes.data, bytes.bytes);
    return base->append(ctx, base, bytes.data, bytes.bytes);
}

luma_rc
lk_pack_finish(struct luma_ctx *ctx, struct lk_pack_writer *pack)
{
    uint64_t bytes = 0;
    if (pack->writer == NULL)
        return LUMA_OK;
    return lk_object_finish(ctx, LUMA_TAKE(pack->writer), &bytes);
}

luma_rc
lk_deletes_pack(struct luma_ctx *ctx, struct lk_store *store, struct lk_pack_writer *pack,
                roaring_bitmap_t *bitmap, uint64_t segment_id, struct lk_bytes *scratch,
                struct lk_manifest_edit *edit)
{
    struct lk_pack_place place;
    roaring_bitmap_run_optimize(bitmap);
    lk_bytes_reset(scratch);
    char *to = (char *)lk_bytes_extend(scratch, roaring_bitmap_portable_size_in_bytes(bitmap));
    if (to == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "delete map: out of memory");
    roaring_bitmap_portable_serialize(bitmap, to);
    LUMA_TRY(lk_pack_add(ctx, store, pack, lk_bytes_view(scratch),
                         roaring_bitmap_get_cardinality(bitmap), &place));
    lk_bytes_reset(scratch);
    if (!lk_pack_place_write(scratch, &place))
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "delete map: out of memory");
    lk_manifest_put(edit, LK_MANIFEST_DELETES, segment_id, 0, lk_bytes_view(scratch));
    return LUMA_OK;
}

void
lk_pack_abort(struct lk_pack_writer *pack)
{
    if (pack->writer != NULL)
        lk_object_abort(LUMA_TAKE(pack->writer));
}

luma_rc
lk_pack_read(struct luma_ctx *ctx, struct lk_store *store, const struct lk_pack_place *place,
             struct lk_bytes *out)
{
    struct luma_object_reader *reader = NULL;
    LUMA_TRY(lk_object_open(ctx, store->objects, LK_OBJECT_DELETES, place->object_id, &reader));
    luma_rc rc = LUMA_OK;
    uint8_t *to = NULL;
    if (place->offset > reader->bytes || place->bytes > reader->bytes - place->offset)
        rc = LUMA_FAIL(ctx, LUMA_E_CORRUPT, "%s is shorter than the manifest says",
                       lk_object_name(reader));
    if (rc == LUMA_OK) {
        to = lk_bytes_extend(out, place->bytes);
        rc = to == NULL && place->bytes > 0 ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "pack: out of memory")
                                            : LUMA_OK;
    }
    /* Once more, when it is not what was written: the disk may have misread it, and what is taken
     * for damage is not looked at again before the next start. */
    bool sound = false;
    for (int i = 0; rc == LUMA_OK && i < 2 && !sound; i++) {
        if (place->bytes > 0)
            rc = lk_object_read(ctx, reader, to, place->bytes, place->offset);
        sound = rc == LUMA_OK && lk_crc32c(0, to, place->bytes) == place->crc;
    }
    if (rc == LUMA_OK && !sound)
        rc = LUMA_FAIL(ctx, LUMA_E_CORRUPT, "%s: the section at offset %llu is damaged",
                       lk_object_name(reader), (unsigned long long)place->offset);
    lk_object_close(reader);
    return rc;
}
