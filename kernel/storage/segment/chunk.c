/*
 * storage/segment/chunk.c - one column of one group on its way to disk: nulls filled, measured,
 * encoded by what is smallest for its price, packed by the codec where that pays.
 */
#include "storage/segment/segment_priv.h"

#define CODEC_BYTES_MIN    512
#define CODEC_PERCENT      90 /* of the bytes: more is not worth the way back */
#define DENSE_SHARE        8 /* of ten bytes of the quick codec: the dense one must do with so many */
#define CODEC_SAMPLE_BYTES ((size_t)32 << 10)
/* Dense encodings of strings: */
#define TIGHT         2  /* of ten bytes: where so little is stored none does better */
#define CODEC_HELPS   12 /* of ten bytes: more than that a codec on top does not win back */
#define DENSE_PERCENT 95 /* as CODEC_PERCENT */
#define DENSE_GROUPS  15 /* of a column that a comparison holds for */

void
lki_chunk_out_fini(struct luma_budget *budget, struct lki_chunk_out *out)
{
    lk_free(budget, out->raw, out->raw_room);
    lk_free(budget, out->packed, out->packed_room);
    out->raw = out->packed = NULL;
    out->raw_room = out->packed_room = 0;
}

/* Keeps what is there when it is large enough: the buffers serve one group after the other. */
static luma_rc
need_room(struct luma_ctx *ctx, struct luma_budget *budget, uint8_t **p, size_t *room, size_t bytes)
{
    if (bytes <= *room)
        return LUMA_OK;
    lk_free(budget, *p, *room);
    *room = 0;
    *p = lk_alloc(budget, bytes);
    if (*p == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to encode a column of %zu bytes", bytes);
    *room = bytes;
    return LUMA_OK;
}

static uint32_t
count_nulls(const struct luma_vec *vec, uint32_t rows)
{
    if (vec->valid == NULL)
        return 0;
    return rows - (uint32_t)lki_segment_simd_fallback->bits_count(vec->valid, rows);
}

/* A null gets the value before it (the first ones the first there is): it costs an encoding nothing
 * and stretches no range. A null string is empty. */
static void
fill_nulls(struct luma_vec *vec, uint32_t rows)
{
    uint32_t size = luma_phys_bytes((enum luma_phys)vec->phys), from = 0;
    uint8_t *data = vec->data;

    while (from < rows && !luma_bit_get(vec->valid, from))
        from++;
    for (uint32_t i = 0; i < rows; i++) {
        if (luma_bit_get(vec->valid, i))
            from = i;
        else if (vec->phys == LUMA_PHYS_STR)
            memset(data + (size_t)i * size, 0, size);
        else
            memcpy(data + (size_t)i * size, data + (size_t)from * size, size);
    }
}

/* --- bounds --- */

static struct luma_str
keep_text(struct lki_chunk_out *out, size_t at, const struct luma_str *s, uint32_t bytes)
{
    memcpy(out->text + at, luma_str_data(s), bytes);
    return luma_str_make(out->text + at, bytes);
}

/* The shortest string of at most LKI_ZONE_TEXT_BYTES above every string with that prefix; false:
 * there is none. */
static bool
round_up(char *text, uint32_t *inout_bytes)
{
    while (*inout_bytes > 0) {
        uint8_t *last = (uint8_t *)text + *inout_bytes - 1;
        if (*last != 0xff) {
            ++*last;
            return true;
        }
        --*inout_bytes;
    }
    return false;
}

static void
bound_text(struct lki_chunk_out *out, const struct lki_stats *stats)
{
    const struct luma_str *min = &stats->min.str, *max = &stats->max.str;
    struct lki_chunk *chunk = &out->chunk;
    uint32_t bytes = LK_MIN(min->bytes, (uint32_t)LKI_ZONE_TEXT_BYTES);

    out->text_min = keep_text(out, 0, min, bytes);
    chunk->flags |= LKI_CHUNK_MIN | (bytes < min->bytes ? LKI_CHUNK_MIN_CUT : 0);
    bytes = LK_MIN(max->bytes, (uint32_t)LKI_ZONE_TEXT_BYTES);
    char *text = out->text + LKI_CONST_TEXT_BYTES;
    memcpy(text, luma_str_data(max), bytes);
    if (bytes < max->bytes) {
        if (!round_up(text, &bytes))
            return;
        chunk->flags |= LKI_CHUNK_MAX_CUT;
    }
    out->text_max = luma_str_make(text, bytes);
    chunk->flags |= LKI_CHUNK_MAX;
}

static void
bound_chunk(struct lki_chunk_out *out, const struct lki_stats *stats, uint8_t phys)
{
    if (!stats->has_min)
        return;
    if (phys == LUMA_PHYS_STR) {
        bound_text(out, stats);
        return;
    }
    uint32_t size = luma_phys_bytes((enum luma_phys)phys);
    memcpy(&out->chunk.min, &stats->min.uuid, size); /* the union begins with every member */
    memcpy(&out->chunk.max, &stats->max.uuid, size);
    out->chunk.flags |= LKI_CHUNK_MIN | LKI_CHUNK_MAX;
}

/* The value itself in place of a bound; false: too long for the footer. */
static bool
make_const(struct lki_chunk_out *out, const struct luma_vec *vec)
{
    struct lki_chunk *chunk = &out->chunk;
    if (vec->phys == LUMA_PHYS_STR) {
        const struct luma_str *s = vec->data;
        if (s->bytes > LKI_CONST_TEXT_BYTES)
            return false;
        out->text_min = keep_text(out, 0, s, s->bytes);
    } else {
        memset(&chunk->min, 0, sizeof(chunk->min));
        memcpy(&chunk->min, vec->data, luma_phys_bytes((enum luma_phys)vec->phys));
    }
    chunk->flags = LKI_CHUNK_CONST;
    return true;
}

/* --- encoding --- */

/* What reading a row costs more than a plain one is paid in bytes: eight units of cost a byte. */
static const struct luma_encoding *
choose(const struct lk_formats *formats, const struct luma_vec *vec, uint32_t rows,
       const struct luma_enc_stats *stats)
{
    const struct luma_encoding *best = NULL;
    double best_score = 0;
    for (uint32_t i = 0; i < formats->encodings_count; i++) {
        const struct luma_encoding *encoding = formats->encodings[i];
        uint32_t cost = 10;
        if ((encoding->phys_mask >> vec->phys & 1) == 0 ||
            lki_has_flag(encoding, LUMA_ENCODING_DENSE))
            continue;
        size_t bytes = encoding->estimate(vec, rows, stats, &cost);
        if (bytes == SIZE_MAX)
            continue;
        double score = (double)bytes + (double)rows * ((double)cost - 10) / 8;
        if (best == NULL || score < best_score) {
            best = encoding;
            best_score = score;
        }
    }
    return best;
}

static luma_rc
encode_with(struct luma_ctx *ctx, const struct lk_formats *formats, struct luma_budget *budget,
            const struct luma_encoding *encoding, const struct luma_vec *vec, uint32_t rows,
            const struct lki_stats *stats, struct lki_chunk_out *out)
{
    size_t valid_bytes = vec->valid == NULL ? 0 : LUMA_BIT_WORDS(rows) * 8;
    size_t values_at = lk_align_up(valid_bytes, LKI_ALIGN);
    size_t room = values_at + encoding->bound(vec, rows, &stats->enc) + LKI_ALIGN;

    LUMA_TRY(need_room(ctx, budget, &out->raw, &out->raw_room, room));
    memset(out->raw, 0, values_at);
    if (valid_bytes > 0) {
        memcpy(out->raw, vec->valid, valid_bytes);
        if ((rows & 63) != 0)
            ((uint64_t *)(void *)out->raw)[rows / 64] &= ((uint64_t)1 << (rows & 63)) - 1;
    }
    struct luma_buf dst = {out->raw + values_at, out->raw_room - values_at, 0};
    LUMA_TRY(encoding->encode(ctx, vec, rows, &stats->enc, formats->simd, &dst));
    if (values_at + dst.used_bytes > UINT32_MAX / 2)
        return LUMA_FAIL(ctx, LUMA_E_LIMIT, "a column of %zu bytes does not fit a chunk",
                         dst.used_bytes);
    struct luma_enc_view view = {
        .bytes = luma_slice(dst.data, dst.used_bytes), .rows = rows, .phys = vec->phys};
    size_t parsed = LUMA_HAS(encoding, room_bytes) && encoding->room_bytes != NULL
                        ? encoding->room_bytes(&view)
                        : 0;
    out->chunk.values_at = (uint32_t)values_at;
    out->chunk.raw_bytes = (uint32_t)(values_at + dst.used_bytes);
    out->chunk.encoding = encoding->wire_id;
    out->chunk.room_bytes = (uint32_t)parsed;
    return LUMA_OK;
}

/* --- codec --- */

static bool
pays(size_t packed, size_t raw)
{
    return packed * 100 <= raw * CODEC_PERCENT;
}

/* What a codec makes of a sample; SIZE_MAX: nothing. */
static size_t
sample_bytes(struct luma_ctx *ctx, const struct lk_formats *formats, struct lki_codec *codec,
             struct luma_slice sample, struct lki_chunk_out *out)
{
    struct luma_buf dst = {out->packed, out->packed_room, 0};
    if (codec == NULL || lki_formats_compress(ctx, formats, codec, sample, &dst) != LUMA_OK)
        return SIZE_MAX / 16;
    return dst.used_bytes;
}

/* A look at the middle tells, before all of it is tried, whether there is anything to win: the
 * dense codec's longer way back must be worth it. NULL: nothing. */
static struct lki_codec *
promises(struct luma_ctx *ctx, const struct lk_formats *formats, struct lki_chunk_out *out)
{
    size_t raw = out->chunk.raw_bytes, bytes = LK_MIN(raw, CODEC_SAMPLE_BYTES);
    struct luma_slice sample = luma_slice(out->raw + (raw - bytes) / 2, bytes);
    size_t quick = sample_bytes(ctx, formats, formats->preferred, sample, out);
    size_t dense = sample_bytes(ctx, formats, formats->dense, sample, out);

    if (pays(dense, bytes) && dense * 10 <= quick * DENSE_SHARE)
        return formats->dense;
    return pays(quick, bytes) ? formats->preferred : NULL;
}

/* Room for what any codec may make of the bytes. */
static luma_rc
codec_room(struct luma_ctx *ctx, const struct lk_formats *formats, struct luma_budget *budget,
           struct lki_chunk_out *out)
{
    size_t bound = formats->preferred->codec->bound(out->chunk.raw_bytes);
    if (formats->dense != NULL) {
        size_t dense_bound = formats->dense->codec->bound(out->chunk.raw_bytes);
        bound = LK_MAX(bound, dense_bound);
    }
    return need_room(ctx, budget, &out->packed, &out->packed_room, bound);
}

/* What the codec leaves is stored where it is at most so many of a hundred of the bytes. */
static luma_rc
pack_with(struct luma_ctx *ctx, const struct lk_formats *formats, struct lki_codec *codec,
          size_t percent, struct lki_chunk_out *out)
{
    struct lki_chunk *chunk = &out->chunk;
    struct luma_buf dst = {out->packed, out->packed_room, 0};
    luma_rc rc =
        lki_formats_compress(ctx, formats, codec, luma_slice(out->raw, chunk->raw_bytes), &dst);
    if (rc == LUMA_E_ROOM)
        return LUMA_OK;
    LUMA_TRY(rc);
    if (dst.used_bytes * 100 <= chunk->raw_bytes * percent) {
        chunk->codec = codec->codec->wire_id;
        chunk->stored_bytes = (uint32_t)dst.used_bytes;
        out->data = out->packed;
    }
    return LUMA_OK;
}

static luma_rc
pack(struct luma_ctx *ctx, const struct lk_formats *formats, struct luma_budget *budget, bool dense,
     struct lki_chunk_out *out)
{
    struct lki_chunk *chunk = &out->chunk;
    chunk->codec = LKI_CODEC_NONE;
    chunk->stored_bytes = chunk->raw_bytes;
    out->data = out->raw;
    if (formats->preferred == NULL || chunk->raw_bytes < CODEC_BYTES_MIN)
        return LUMA_OK;
    LUMA_TRY(codec_room(ctx, formats, budget, out));
    /* A third of the bytes is left to a codec: less of it is worth the way back. */
    if (dense)
        return pack_with(ctx, formats, formats->dense != NULL ? formats->dense : formats->preferred,
                         DENSE_PERCENT, out);
    struct lki_codec *codec = promises(ctx, formats, out);
    return codec == NULL ? LUMA_OK : pack_with(ctx, formats, codec, CODEC_PERCENT, out);
}

static luma_rc
encode_and_pack(struct luma_ctx *ctx, const struct lk_formats *formats, struct luma_budget *budget,
                const struct luma_encoding *encoding, const struct luma_vec *vec, uint32_t rows,
                const struct lki_stats *stats, struct lki_chunk_out *out)
{
    luma_rc rc = encode_with(ctx, formats, budget, encoding, vec, rows, stats, out);
    if (rc == LUMA_E_ROOM) /* an estimate was wrong: plain always fits */
        rc = encode_with(ctx, formats, budget, &lki_segment_plain, vec, rows, stats, out);
    LUMA_TRY(rc);
    return pack(ctx, formats, budget, lki_has_flag(encoding, LUMA_ENCODING_DENSE), out);
}

/* --- encodings that do a codec's work --- */

/* The dense encoding that may come below what is stored now, with a codec on top if need be; NULL:
 * none does. */
static const struct luma_encoding *
denser(const struct lk_formats *formats, const struct luma_vec *vec, uint32_t rows,
       const struct luma_enc_stats *stats, const struct lki_chunk_out *out)
{
    size_t stored = out->chunk.stored_bytes;
    size_t limit = formats->preferred == NULL ? stored : stored / 10 * CODEC_HELPS;
    const struct luma_encoding *best = NULL;
    for (uint32_t i = 0; i < formats->encodings_count && stored * 10 > stats->text_bytes * TIGHT;
         i++) {
        const struct luma_encoding *encoding = formats->encodings[i];
        uint32_t cost = 10;
        if ((encoding->phys_mask >> vec->phys & 1) == 0 ||
            !lki_has_flag(encoding, LUMA_ENCODING_DENSE))
            continue;
        size_t bytes = encoding->estimate(vec, rows, stats, &cost);
        if (bytes <= limit) {
            best = encoding;
            limit = bytes;
        }
    }
    return best;
}

/* First without, then with: the better one is kept. */
static luma_rc
compare(struct luma_ctx *ctx, const struct lk_formats *formats, struct luma_budget *budget,
        const struct luma_encoding *first, const struct luma_vec *vec, uint32_t rows,
        const struct lki_stats *stats, struct lki_chunk_out *out)
{
    LUMA_TRY(encode_and_pack(ctx, formats, budget, first, vec, rows, stats, out));
    size_t stored = out->chunk.stored_bytes;
    out->dense = denser(formats, vec, rows, &stats->enc, out);
    out->dense_groups = DENSE_GROUPS;
    out->verbatim_permille = (uint32_t)(stored * 1000 / (stats->enc.text_bytes + 1));
    if (out->dense == NULL)
        return LUMA_OK;
    LUMA_TRY(encode_and_pack(ctx, formats, budget, out->dense, vec, rows, stats, out));
    if (out->chunk.stored_bytes <= stored)
        return LUMA_OK;
    out->dense = NULL;
    return encode_and_pack(ctx, formats, budget, first, vec, rows, stats, out);
}

/* Where values would be stored as they are (nothing is known of them that helps to filter or to
 * group), what a codec leaves of them is compared with what a dense encoding does: it opens faster
 * than a codec expands, keeps less memory, and gives single strings without the others. */
static luma_rc
encode_best(struct luma_ctx *ctx, const struct lk_formats *formats, struct luma_budget *budget,
            const struct luma_vec *vec, uint32_t rows, const struct lki_stats *stats,
            struct lki_chunk_out *out)
{
    const struct luma_encoding *first = choose(formats, vec, rows, &stats->enc);
    if (vec->phys != LUMA_PHYS_STR || !lki_has_flag(first, LUMA_ENCODING_VERBATIM))
        return encode_and_pack(ctx, formats, budget, first, vec, rows, stats, out);
    if (out->dense_groups == 0)
        return compare(ctx, formats, budget, first, vec, rows, stats, out);
    out->dense_groups--;
    if (out->dense == NULL)
        return encode_and_pack(ctx, formats, budget, first, vec, rows, stats, out);
    size_t most = (size_t)(stats->enc.text_bytes * out->verbatim_permille / 1000);
    LUMA_TRY(encode_and_pack(ctx, formats, budget, out->dense, vec, rows, stats, out));
    if (out->chunk.stored_bytes > most)
        out->dense_groups = 0; /* the strings have changed: look again */
    return LUMA_OK;
}

luma_rc
lki_chunk_make(struct luma_ctx *ctx, const struct lk_formats *formats, struct luma_budget *budget,
               struct luma_vec *vec, uint32_t rows, struct lki_chunk_out *out)
{
    struct lki_stats stats;
    struct lki_chunk *chunk = &out->chunk;
    uint32_t nulls = count_nulls(vec, rows);

    memset(chunk, 0, sizeof(*chunk));
    memset(out->sketch, 0, sizeof(out->sketch));
    out->data = NULL;
    out->text_bytes = 0;
    chunk->phys = vec->phys;
    chunk->nulls = nulls;
    if (nulls == rows) {
        chunk->flags = LKI_CHUNK_NULL;
        return LUMA_OK;
    }
    if (nulls == 0)
        vec->valid = NULL;
    else
        fill_nulls(vec, rows);
    lki_stats_measure(vec, rows, &stats);
    stats.enc.nulls = nulls;
    memcpy(out->sketch, stats.sketch, sizeof(out->sketch));
    out->text_bytes = stats.enc.text_bytes;
    chunk->distinct = stats.enc.distinct;
    if (nulls == 0 && stats.all_equal && make_const(out, vec))
        return LUMA_OK;
    bound_chunk(out, &stats, vec->phys);
    LUMA_TRY(encode_best(ctx, formats, budget, vec, rows, &stats, out));
    chunk->crc = lk_crc32c(0, out->data, chunk->stored_bytes);
    return LUMA_OK;
}
