/*
 * storage/def.c - definitions of collections: deep copies, and their form in log and manifest.
 */
#include <stdlib.h>

#include "storage/core.h"

#define DEF_FORMAT 1

static bool
value_copy(struct luma_arena *arena, const struct luma_value *from, struct luma_value *to)
{
    *to = *from;
    if (from->is_null || from->phys != LUMA_PHYS_STR || from->str.bytes <= LUMA_STR_INLINE_MAX)
        return true;
    const char *bytes = luma_arena_copy(arena, from->str.ptr, from->str.bytes);
    if (bytes == NULL)
        return false;
    to->str = luma_str_make(bytes, from->str.bytes);
    return true;
}

static bool
index_copy(struct luma_arena *arena, const struct luma_store_index *from,
           struct luma_store_index *to)
{
    *to = *from;
    to->kind = luma_arena_text(arena, from->kind, strlen(from->kind));
    to->cols = luma_arena_copy(arena, from->cols, from->cols_count * sizeof(*from->cols));
    return to->kind != NULL && to->cols != NULL;
}

static int
by_id(const void *a, const void *b)
{
    const struct lk_tuple_column *ca = a, *cb = b;
    return (ca->id > cb->id) - (ca->id < cb->id);
}

static bool
def_derive(struct lk_def *def)
{
    const struct luma_store_coll *coll = &def->coll;
    size_t count = coll->cols_count;
    def->tuple_cols = LUMA_NEW_ARRAY(def->arena, struct lk_tuple_column, count + 1);
    def->positions = LUMA_NEW_ARRAY(def->arena, uint32_t, count + 1);
    if (def->tuple_cols == NULL || def->positions == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        def->tuple_cols[i].id = coll->cols[i].id;
        def->tuple_cols[i].type = coll->cols[i].type;
        def->ids_known = LK_MAX(def->ids_known, coll->cols[i].id);
    }
    qsort(def->tuple_cols, count, sizeof(def->tuple_cols[0]), by_id);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < count; k++)
            if (coll->cols[k].id == def->tuple_cols[i].id)
                def->positions[i] = k;
    return true;
}

static bool
def_fill(struct lk_def *def, const struct luma_store_coll *coll)
{
    struct luma_store_col *cols =
        LUMA_NEW_ARRAY(def->arena, struct luma_store_col, coll->cols_count + 1);
    struct luma_store_index *indexes =
        LUMA_NEW_ARRAY(def->arena, struct luma_store_index, coll->indexes_count + 1);
    if (cols == NULL || indexes == NULL)
        return false;
    def->coll = *coll;
    def->coll.cols = cols;
    def->coll.indexes = indexes;
    for (uint32_t i = 0; i < coll->cols_count; i++) {
        cols[i] = coll->cols[i];
        if (!value_copy(def->arena, &coll->cols[i].missing, &cols[i].missing))
            return false;
        if (cols[i].missing.type.id == LUMA_TYPE_NONE) {
            cols[i].missing.type = cols[i].type;
            cols[i].missing.phys = (uint8_t)luma_type_phys(cols[i].type);
            cols[i].missing.is_null = true;
        }
    }
    for (uint32_t i = 0; i < coll->indexes_count; i++)
        if (!index_copy(def->arena, &coll->indexes[i], &indexes[i]))
            return false;
    return def_derive(def);
}

luma_rc
lk_def_create(const struct luma_store_coll *coll, struct lk_def **out_def)
{
    struct lk_def *def = calloc(1, sizeof(*def));
    if (def == NULL)
        return LUMA_E_NOMEM;
    atomic_init(&def->refs, 1);
    def->arena = lk_arena_create(NULL, 512);
    if (def->arena == NULL || !def_fill(def, coll)) {
        lk_def_unref(def);
        return LUMA_E_NOMEM;
    }
    *out_def = def;
    return LUMA_OK;
}

void
lk_def_ref(struct lk_def *def)
{
    atomic_fetch_add_explicit(&def->refs, 1, memory_order_relaxed);
}

void
lk_def_unref(struct lk_def *def)
{
    if (def == NULL || atomic_fetch_sub_explicit(&def->refs, 1, memory_order_acq_rel) != 1)
        return;
    lk_arena_destroy(def->arena);
    free(def);
}

int32_t
lk_def_col(const struct lk_def *def, uint32_t col_id)
{
    const struct luma_store_coll *coll = &def->coll;
    if (col_id >= 1 && col_id <= coll->cols_count && coll->cols[col_id - 1].id == col_id)
        return (int32_t)col_id - 1;
    for (uint32_t i = 0; i < coll->cols_count; i++)
        if (coll->cols[i].id == col_id)
            return (int32_t)i;
    return -1;
}

static bool
type_write(struct lk_bytes *out, struct luma_type type)
{
    return lk_bytes_u8(out, type.id) && lk_bytes_u8(out, type.elem) &&
           lk_bytes_u16(out, (uint16_t)type.scale) && lk_bytes_u32(out, (uint32_t)type.mod);
}

static struct luma_type
type_read(struct lk_reader *r)
{
    struct luma_type type;
    type.id = lk_reader_u8(r);
    type.elem = lk_reader_u8(r);
    type.scale = (int16_t)lk_reader_u16(r);
    type.mod = (int32_t)lk_reader_u32(r);
    if (type.id >= LUMA_TYPE_COUNT_)
        r->failed = true;
    return type;
}

static bool
value_write(struct lk_bytes *out, const struct luma_value *value)
{
    if (value->type.id == LUMA_TYPE_NONE || value->is_null)
        return lk_bytes_u8(out, 0);
    bool ok = lk_bytes_u8(out, 1) && lk_bytes_u8(out, value->phys) &&
              lk_bytes_u16(out, (uint16_t)value->scale);
    if (value->phys == LUMA_PHYS_STR)
        return ok && lk_bytes_sized(out, luma_str_slice(&value->str));
    return ok && lk_bytes_append(out, &value->b, luma_phys_bytes((enum luma_phys)value->phys));
}

static void
value_read(struct lk_reader *r, struct luma_type type, struct luma_value *out)
{
    memset(out, 0, sizeof(*out));
    out->type = type;
    out->phys = (uint8_t)luma_type_phys(type);
    out->is_null = lk_reader_u8(r) == 0;
    if (out->is_null)
        return;
    out->phys = lk_reader_u8(r);
    out->scale = (int16_t)lk_reader_u16(r);
    if (out->phys >= LUMA_PHYS_COUNT_) {
        r->failed = true;
        return;
    }
    struct luma_slice s = out->phys == LUMA_PHYS_STR
                              ? lk_reader_sized(r)
                              : lk_reader_take(r, luma_phys_bytes((enum luma_phys)out->phys));
    if (out->phys == LUMA_PHYS_STR)
        out->str = luma_str_make((const char *)s.data, (uint32_t)s.bytes);
    else if (s.bytes > 0)
        memcpy(&out->b, s.data, s.bytes);
}

static bool
index_write(struct lk_bytes *out, const struct luma_store_index *index)
{
    uint8_t flags = (uint8_t)(index->unique | index->nulls_not_distinct << 1 | index->primary << 2);
    bool ok = lk_bytes_varint(out, index->id) &&
              lk_bytes_sized(out, luma_slice_text(index->kind)) && lk_bytes_u8(out, flags) &&
              lk_bytes_varint(out, index->cols_count);
    for (uint32_t i = 0; ok && i < index->cols_count; i++)
        ok = lk_bytes_varint(out, index->cols[i].col_id) &&
             lk_bytes_varint(out, index->cols[i].flags);
    return ok;
}

bool
lk_def_write(const struct luma_store_coll *coll, struct lk_bytes *out)
{
    bool ok = lk_bytes_u8(out, DEF_FORMAT) && lk_bytes_varint(out, coll->id) &&
              lk_bytes_varint(out, coll->cols_count);
    for (uint32_t i = 0; ok && i < coll->cols_count; i++)
        ok = lk_bytes_varint(out, coll->cols[i].id) && type_write(out, coll->cols[i].type) &&
             value_write(out, &coll->cols[i].missing);
    ok = ok && lk_bytes_varint(out, coll->indexes_count);
    for (uint32_t i = 0; ok && i < coll->indexes_count; i++)
        ok = index_write(out, &coll->indexes[i]);
    return ok;
}

/* *out_no_memory: why it is false. */
static bool
index_read(struct lk_reader *r, struct luma_arena *arena, struct luma_store_index *out,
           bool *out_no_memory)
{
    out->id = lk_reader_varint(r);
    struct luma_slice kind = lk_reader_sized(r);
    uint8_t flags = lk_reader_u8(r);
    uint64_t count = lk_reader_varint(r);
    if (r->failed || count > LK_INDEX_COLS_MAX)
        return false;
    struct luma_store_index_col *cols = LUMA_NEW_ARRAY(arena, struct luma_store_index_col, count);
    out->kind = luma_arena_text(arena, kind.data, kind.bytes);
    out->unique = flags & 1;
    out->nulls_not_distinct = (flags & 2) != 0;
    out->primary = (flags & 4) != 0;
    out->cols_count = (uint32_t)count;
    out->cols = cols;
    *out_no_memory = cols == NULL || out->kind == NULL;
    if (*out_no_memory)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        cols[i].col_id = (uint32_t)lk_reader_varint(r);
        cols[i].flags = (uint32_t)lk_reader_varint(r);
    }
    return !r->failed;
}

static bool
coll_read(struct lk_reader *r, struct luma_arena *arena, struct luma_store_coll *out,
          bool *out_no_memory)
{
    memset(out, 0, sizeof(*out));
    if (lk_reader_u8(r) != DEF_FORMAT)
        return false;
    out->id = lk_reader_varint(r);
    uint64_t cols_count = lk_reader_varint(r);
    if (r->failed || cols_count > LK_TUPLE_ID_MAX)
        return false;
    struct luma_store_col *cols = LUMA_NEW_ARRAY(arena, struct luma_store_col, cols_count);
    *out_no_memory = cols == NULL;
    if (*out_no_memory)
        return false;
    for (uint64_t i = 0; i < cols_count; i++) {
        cols[i].id = (uint32_t)lk_reader_varint(r);
        cols[i].type = type_read(r);
        value_read(r, cols[i].type, &cols[i].missing);
    }
    uint64_t indexes_count = lk_reader_varint(r);
    if (r->failed || indexes_count > LK_TUPLE_ID_MAX)
        return false;
    struct luma_store_index *indexes =
        LUMA_NEW_ARRAY(arena, struct luma_store_index, indexes_count);
    *out_no_memory = indexes == NULL;
    if (*out_no_memory)
        return false;
    for (uint64_t i = 0; i < indexes_count; i++)
        if (!index_read(r, arena, &indexes[i], out_no_memory))
            return false;
    out->cols_count = (uint32_t)cols_count;
    out->cols = cols;
    out->indexes_count = (uint32_t)indexes_count;
    out->indexes = indexes;
    return !r->failed;
}

luma_rc
lk_def_read(struct luma_slice bytes, struct lk_def **out_def)
{
    LUMA_CLEANUP(lk_arena_destroy) struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct luma_store_coll coll;
    struct lk_reader r = lk_reader(bytes);
    if (arena == NULL)
        return LUMA_E_NOMEM;
    bool no_memory = false;
    if (!coll_read(&r, arena, &coll, &no_memory))
        return no_memory ? LUMA_E_NOMEM : LUMA_E_CORRUPT;
    return lk_def_create(&coll, out_def);
}
