/* rows.c - rows at rest: one after the other in chunks, for joins, groups, sorts and the like. */
#include "exec.h"

static enum row_cmp
cmp_kind(struct luma_type type, enum luma_phys phys)
{
    if (phys == LUMA_PHYS_F32)
        return ROW_CMP_F32;
    if (phys == LUMA_PHYS_F64)
        return ROW_CMP_F64;
    switch (type.id) {
    case LUMA_TYPE_TEXT:
    case LUMA_TYPE_VARCHAR:
    case LUMA_TYPE_NAME:
    case LUMA_TYPE_BYTEA:
    case LUMA_TYPE_CHAR1:
    case LUMA_TYPE_UNKNOWN:
        return ROW_CMP_STR;
    case LUMA_TYPE_INTERVAL:
        return ROW_CMP_GENERIC;
    default:
        return phys == LUMA_PHYS_STR ? ROW_CMP_GENERIC : ROW_CMP_RAW;
    }
}

luma_rc
eng_rowlay_init(struct luma_arena *arena, const struct luma_type *types, uint32_t cols,
                uint32_t extra_bytes, struct rowlay *lay)
{
    memset(lay, 0, sizeof(*lay));
    lay->cols = cols;
    lay->types = types;
    lay->off = LUMA_NEW_ARRAY(arena, uint32_t, cols + 1);
    lay->phys = LUMA_NEW_ARRAY(arena, uint8_t, cols + 1);
    lay->cmp = LUMA_NEW_ARRAY(arena, uint8_t, cols + 1);
    if (lay->off == NULL || lay->phys == NULL || lay->cmp == NULL)
        return LUMA_E_NOMEM;
    uint32_t at = 16;
    static const uint32_t sizes[] = {16, 8, 4, 2, 1, 0};
    for (uint32_t s = 0; s < LUMA_COUNTOF(sizes); s++)
        for (uint32_t c = 0; c < cols; c++) {
            enum luma_phys phys = luma_type_phys(types[c]);
            if (luma_phys_bytes(phys) != sizes[s])
                continue;
            lay->phys[c] = (uint8_t)phys;
            lay->cmp[c] = (uint8_t)cmp_kind(types[c], phys);
            lay->off[c] = at;
            at += sizes[s];
        }
    lay->null_off = at;
    at += (cols + 7) / 8;
    lay->matched_off = at++;
    at = (at + 15) & ~15u;
    lay->extra_off = at;
    lay->bytes = (at + extra_bytes + 15) & ~15u;
    return LUMA_OK;
}

void
eng_rows_init(struct rows *rows, const struct rowlay *lay, struct luma_arena *arena)
{
    memset(rows, 0, sizeof(*rows));
    rows->lay = lay;
    rows->arena = arena;
    rows->chunk_bytes = (2u << 20) - 256; /* a huge page, the arena's header beside it */
}

/* Chunks double until they are as large as they may be. */
static uint32_t
chunk_room(const struct rows *rows)
{
    const uint32_t full = rows->chunk_bytes / rows->lay->bytes;
    if (rows->last == NULL)
        return 32;
    if (rows->last->room >= full / 2)
        return full > 32 ? full : 32;
    return rows->last->room * 2;
}

static luma_rc
chunk_need(struct luma_ctx *ctx, struct rows *rows)
{
    struct row_chunk *last = rows->last;
    if (last != NULL && last->count < last->room)
        return LUMA_OK;
    uint32_t bytes = rows->lay->bytes, room = chunk_room(rows);
    struct row_chunk *chunk = luma_arena_alloc(rows->arena, sizeof(*chunk));
    ENG_NEED(ctx, chunk, "keeping rows");
    memset(chunk, 0, sizeof(*chunk));
    chunk->data = luma_arena_alloc(rows->arena, (size_t)room * bytes);
    ENG_NEED(ctx, chunk->data, "keeping rows");
    chunk->room = room;
    if (last == NULL)
        rows->first = chunk;
    else
        last->next = chunk;
    rows->last = chunk;
    return LUMA_OK;
}

static luma_rc
own_str(struct luma_ctx *ctx, struct luma_arena *arena, const struct luma_str *from,
        struct luma_str *to)
{
    *to = *from;
    if (from->bytes <= LUMA_STR_INLINE_MAX)
        return LUMA_OK;
    char *copy = luma_arena_alloc_aligned(arena, from->bytes, 1);
    ENG_NEED(ctx, copy, "keeping rows");
    memcpy(copy, from->ptr, from->bytes);
    to->ptr = copy;
    return LUMA_OK;
}

#define SCATTER(ctype)                                     \
    do {                                                   \
        const ctype *from_ = vec->data;                    \
        for (uint32_t k_ = 0; k_ < n; k_++)                \
            *(ctype *)(void *)(base + (size_t)k_ * step) = \
                from_[is_const ? 0 : eng_sel_at(sel, k_)]; \
    } while (0)

static luma_rc
scatter(struct xenv *e, struct rows *rows, uint32_t c, const struct luma_vec *vec,
        const uint16_t *sel, uint32_t n, uint8_t *first)
{
    const struct rowlay *lay = rows->lay;
    uint32_t step = lay->bytes;
    uint8_t *base = first + lay->off[c];
    bool is_const = vec->form == LUMA_VEC_CONST;
    if (vec->valid != NULL)
        for (uint32_t k = 0; k < n; k++)
            if (luma_vec_is_null(vec, eng_sel_at(sel, k)))
                first[(size_t)k * step + lay->null_off + (c >> 3)] |= (uint8_t)(1u << (c & 7));
    switch (luma_phys_bytes(lay->phys[c])) {
    case 0:
        break;
    case 1:
        SCATTER(uint8_t);
        break;
    case 2:
        SCATTER(uint16_t);
        break;
    case 4:
        SCATTER(uint32_t);
        break;
    case 8:
        SCATTER(uint64_t);
        break;
    default: {
        const struct luma_str *from = vec->data;
        for (uint32_t k = 0; k < n; k++) {
            uint32_t row = is_const ? 0 : eng_sel_at(sel, k);
            uint8_t *to = base + (size_t)k * step;
            if (luma_vec_is_null(vec, row))
                memset(to, 0, 16);
            else if (lay->phys[c] == LUMA_PHYS_STR)
                LUMA_TRY(own_str(e->ctx, rows->arena, &from[row], (struct luma_str *)(void *)to));
            else
                memcpy(to, &from[row], 16);
        }
        break;
    }
    }
    return LUMA_OK;
}

luma_rc
eng_rows_append(struct xenv *e, struct rows *rows, const struct luma_vec *vecs, const uint16_t *sel,
                uint32_t n, uint32_t vec_rows, const uint64_t *hashes, uint8_t **out_ptrs)
{
    const struct rowlay *lay = rows->lay;
    struct luma_vec few[16], *flat = few;
    if (lay->cols > LUMA_COUNTOF(few)) {
        flat = luma_arena_alloc(e->arena, sizeof(*flat) * lay->cols);
        ENG_NEED(e->ctx, flat, "keeping rows");
    }
    for (uint32_t c = 0; c < lay->cols; c++)
        LUMA_TRY(eng_vec_table_form(e, lay->types[c], &vecs[c], sel, n, vec_rows, &flat[c]));
    uint16_t dense[LUMA_BATCH_ROWS];
    for (uint32_t done = 0; done < n;) {
        LUMA_TRY(chunk_need(e->ctx, rows));
        struct row_chunk *chunk = rows->last;
        uint32_t room = chunk->room - chunk->count, more = n - done < room ? n - done : room;
        uint8_t *first = chunk->data + (size_t)chunk->count * lay->bytes;
        memset(first, 0, (size_t)more * lay->bytes);
        const uint16_t *part = sel == NULL ? NULL : sel + done;
        if (sel == NULL && done > 0) {
            for (uint32_t k = 0; k < more; k++)
                dense[k] = (uint16_t)(done + k);
            part = dense;
        }
        for (uint32_t c = 0; c < lay->cols; c++)
            LUMA_TRY(scatter(e, rows, c, &flat[c], part, more, first));
        for (uint32_t k = 0; k < more; k++) {
            uint8_t *row = first + (size_t)k * lay->bytes;
            if (hashes != NULL)
                ROW_HASH(row) = hashes[done + k];
            if (out_ptrs != NULL)
                out_ptrs[done + k] = row;
        }
        chunk->count += more;
        done += more;
    }
    rows->count += n;
    return LUMA_OK;
}

luma_rc
eng_rows_append_room(struct luma_ctx *ctx, struct rows *rows, uint8_t **out_ptr)
{
    LUMA_TRY(chunk_need(ctx, rows));
    struct row_chunk *chunk = rows->last;
    *out_ptr = chunk->data + (size_t)chunk->count * rows->lay->bytes;
    chunk->count++;
    rows->count++;
    return LUMA_OK;
}

luma_rc
eng_rows_append_one(struct luma_ctx *ctx, struct rows *rows, const struct luma_vec *vecs,
                    uint32_t at, uint64_t hash, uint8_t **out_ptr)
{
    const struct rowlay *lay = rows->lay;
    LUMA_TRY(chunk_need(ctx, rows));
    struct row_chunk *chunk = rows->last;
    uint8_t *row = chunk->data + (size_t)chunk->count * lay->bytes;
    memset(row, 0, lay->bytes);
    for (uint32_t c = 0; c < lay->cols; c++) {
        if (luma_vec_is_null(&vecs[c], at)) {
            row[lay->null_off + (c >> 3)] |= (uint8_t)(1u << (c & 7));
            continue;
        }
        const void *from = luma_vec_at(&vecs[c], at);
        if (lay->phys[c] == LUMA_PHYS_STR)
            LUMA_TRY(
                own_str(ctx, rows->arena, from, (struct luma_str *)(void *)(row + lay->off[c])));
        else
            memcpy(row + lay->off[c], from, luma_phys_bytes(lay->phys[c]));
    }
    ROW_HASH(row) = hash;
    chunk->count++;
    rows->count++;
    *out_ptr = row;
    return LUMA_OK;
}

#define GATHER(ctype)                                                                             \
    do {                                                                                          \
        ctype *to_ = out->data;                                                                   \
        for (uint32_t i_ = 0; i_ < n; i_++)                                                       \
            to_[pos == NULL ? i_ : pos[i_]] =                                                     \
                ptrs[i_] == NULL ? zero_##ctype : *(const ctype *)(const void *)(ptrs[i_] + off); \
    } while (0)

struct pair64 {
    uint64_t a, b;
};
typedef struct pair64 pair64;
static const uint8_t zero_uint8_t;
static const uint16_t zero_uint16_t;
static const uint32_t zero_uint32_t;
static const uint64_t zero_uint64_t;
static const pair64 zero_pair64;

luma_rc
eng_rows_gather(struct xenv *e, const struct rowlay *lay, uint32_t c, uint8_t *const *ptrs,
                const uint16_t *pos, uint32_t n, uint32_t vec_rows, struct luma_vec *out)
{
    LUMA_TRY(eng_vec_room(e, lay->types[c], lay->phys[c], vec_rows, out));
    uint32_t off = lay->off[c];
    switch (luma_phys_bytes(lay->phys[c])) {
    case 0:
        break;
    case 1:
        GATHER(uint8_t);
        break;
    case 2:
        GATHER(uint16_t);
        break;
    case 4:
        GATHER(uint32_t);
        break;
    case 8:
        GATHER(uint64_t);
        break;
    default:
        GATHER(pair64);
        break;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (ptrs[i] != NULL && !ROW_NULL(lay, ptrs[i], c))
            continue;
        if (out->valid == NULL)
            LUMA_TRY(eng_vec_bits(e, vec_rows, true, &out->valid));
        luma_bit_clear(out->valid, pos == NULL ? i : pos[i]);
    }
    return LUMA_OK;
}

void
eng_row_vec(const struct rowlay *lay, const uint8_t *row, uint32_t c, struct luma_vec *out)
{
    if (ROW_NULL(lay, row, c)) {
        eng_vec_null(out, lay->types[c]);
        return;
    }
    memset(out, 0, sizeof(*out));
    out->type = lay->types[c];
    out->phys = lay->phys[c];
    out->scale = out->type.id == LUMA_TYPE_NUMERIC ? out->type.scale : (int16_t)0;
    out->form = LUMA_VEC_CONST;
    out->data = (void *)(uintptr_t)(row + lay->off[c]);
}

struct luma_value
eng_row_value(const struct rowlay *lay, const uint8_t *row, uint32_t c)
{
    struct luma_vec vec;
    eng_row_vec(lay, row, c, &vec);
    return eng.data->vec_value(&vec, 0);
}

static bool
value_equal(const struct rowlay *lay, const uint8_t *row, uint32_t c, const struct luma_vec *vec,
            uint32_t at)
{
    const uint8_t *a = row + lay->off[c], *b = luma_vec_at(vec, at);
    switch (lay->cmp[c]) {
    case ROW_CMP_STR:
        return luma_str_equal((const struct luma_str *)(const void *)a,
                              (const struct luma_str *)(const void *)b);
    case ROW_CMP_RAW:
        switch (luma_phys_bytes(lay->phys[c])) {
        case 8:
            return memcmp(a, b, 8) == 0;
        case 4:
            return memcmp(a, b, 4) == 0;
        default:
            return memcmp(a, b, luma_phys_bytes(lay->phys[c])) == 0;
        }
    default: {
        struct luma_vec mine;
        eng_row_vec(lay, row, c, &mine);
        return eng.data->compare(&mine, 0, vec, at) == 0;
    }
    }
}

bool
eng_row_equal(const struct rowlay *lay, const uint8_t *row, uint32_t cols,
              const struct luma_vec *vecs, uint32_t at, bool nulls_equal)
{
    for (uint32_t c = 0; c < cols; c++) {
        bool na = ROW_NULL(lay, row, c), nb = luma_vec_is_null(&vecs[c], at);
        if (na || nb) {
            if (!nulls_equal || na != nb)
                return false;
        } else if (!value_equal(lay, row, c, &vecs[c], at)) {
            return false;
        }
    }
    return true;
}

uint32_t
eng_rows_read(struct rows_reader *reader, uint32_t row_bytes, uint8_t **out_ptrs, uint32_t max)
{
    uint32_t n = 0;
    while (reader->chunk != NULL && n < max) {
        if (reader->at == reader->chunk->count) {
            reader->chunk = reader->chunk->next;
            reader->at = 0;
            continue;
        }
        out_ptrs[n++] = reader->chunk->data + (size_t)reader->at++ * row_bytes;
    }
    return n;
}
