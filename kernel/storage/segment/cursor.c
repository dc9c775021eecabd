/*
 * storage/segment/cursor.c - a group in windows of 2048 rows.
 *
 * A window starts as bits of all its rows; the caller takes out what its snapshot must not see,
 * predicates what they refuse, on encoded values as far as possible. Columns are decoded for what
 * is left, lazy ones not before they are asked for. Chunks stay pinned until the cursor moves to
 * another group, so strings and dictionaries of a batch need no copy.
 */
#include "storage/segment/cursor.h"

static const struct luma_store_col rowid_def = {
    .id = UINT32_MAX,
    .type = {LUMA_TYPE_INT8, 0, 0, -1},
};

static const struct luma_store_col *
def_of(const struct luma_store_coll *def, uint32_t col_id)
{
    for (uint32_t i = 0; i < def->cols_count; i++)
        if (def->cols[i].id == col_id)
            return &def->cols[i];
    return NULL;
}

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for a scan");
}

static luma_rc
cursor_init(struct luma_ctx *ctx, struct lk_segment_cursor *cursor)
{
    const struct luma_scan_spec *spec = cursor->spec;
    uint32_t count = spec->cols_count + LKI_SPECIALS;

    cursor->columns_count = count;
    cursor->columns = lk_zalloc(NULL, count * sizeof(*cursor->columns));
    cursor->preds = lk_zalloc(NULL, (spec->preds_count + 1) * sizeof(*cursor->preds));
    cursor->vecs = lk_zalloc(NULL, (spec->cols_count + 1) * sizeof(*cursor->vecs));
    cursor->memory_bytes = (size_t)count * WINDOW * 16 + 64;
    cursor->memory = lk_alloc(NULL, cursor->memory_bytes);
    if (cursor->columns == NULL || cursor->preds == NULL || cursor->vecs == NULL ||
        cursor->memory == NULL)
        return no_memory(ctx);
    uint8_t *buffer = (uint8_t *)(uintptr_t)lk_align_up((uintptr_t)cursor->memory, 64);
    for (uint32_t i = 0; i < count; i++, buffer += (size_t)WINDOW * 16) {
        cursor->columns[i].buffer = buffer;
        cursor->columns[i].def =
            i < spec->cols_count ? def_of(cursor->def, spec->cols[i]) : &rowid_def;
        if (spec->paths != NULL && i < spec->cols_count && spec->paths[i].steps_count > 0)
            cursor->columns[i].path = &spec->paths[i];
        if (cursor->columns[i].def == NULL)
            return LUMA_FAIL(ctx, LUMA_E_INTERNAL, "a scan asks for column %u, which is not there",
                             spec->cols[i]);
    }
    for (uint32_t i = 0; i < spec->preds_count; i++) {
        const struct luma_store_col *col = cursor->columns[spec->preds[i].col].def;
        cursor->preds[i].pred = &spec->preds[i];
        cursor->preds[i].order = lki_order_of(col->type, (uint8_t)luma_type_phys(col->type));
    }
    cursor->batch.cols = cursor->vecs;
    cursor->batch.cols_count = spec->cols_count;
    return lki_fields_init(ctx, cursor);
}

luma_rc
lk_segment_cursor_open(struct luma_ctx *ctx, const struct luma_store_coll *def,
                       const struct luma_scan_spec *spec, struct lk_segment_cursor **out_cursor)
{
    struct lk_segment_cursor *cursor = lk_zalloc(NULL, sizeof(*cursor));
    if (cursor == NULL)
        return no_memory(ctx);
    cursor->def = def;
    cursor->spec = spec;
    luma_rc rc = cursor_init(ctx, cursor);
    if (rc != LUMA_OK) {
        lk_segment_cursor_close(cursor);
        return rc;
    }
    *out_cursor = cursor;
    return LUMA_OK;
}

void
lki_cursor_col_leave(struct lk_segment_cursor *cursor, struct lki_cursor_col *column)
{
    if (column->block != NULL)
        lk_cache_unpin(lk_object_cache(cursor->segment->reader), column->block);
    column->block = NULL;
    column->loaded = NULL;
}

static void
leave_group(struct lk_segment_cursor *cursor)
{
    if (cursor->segment == NULL)
        return;
    for (uint32_t i = 0; i < cursor->columns_count; i++) {
        struct lki_cursor_col *column = &cursor->columns[i];
        lki_cursor_col_leave(cursor, column);
        for (uint32_t k = 0; k < column->leaves_count; k++)
            lki_cursor_col_leave(cursor, &column->leaves[k]);
        column->leaves_count = 0;
    }
    /* A dictionary's address may come again with the next chunk. */
    for (uint32_t i = 0; i < cursor->spec->preds_count; i++)
        cursor->preds[i].dict = NULL;
    lki_fields_leave(cursor);
    lk_segment_unref(cursor->segment);
    cursor->segment = NULL;
}

void
lk_segment_cursor_close(struct lk_segment_cursor *cursor)
{
    if (cursor == NULL)
        return;
    leave_group(cursor);
    if (cursor->preds != NULL)
        for (uint32_t i = 0; i < cursor->spec->preds_count; i++)
            lki_pred_fini(&cursor->preds[i]);
    lki_fields_fini(cursor);
    for (uint32_t i = 0; cursor->columns != NULL && i < cursor->columns_count; i++)
        lki_cursor_doc_fini(&cursor->columns[i]);
    lk_arena_destroy(cursor->arena);
    lk_arena_destroy(cursor->arena_paths);
    lk_free(NULL, cursor->columns, cursor->columns_count * sizeof(*cursor->columns));
    lk_free(NULL, cursor->preds, (cursor->spec->preds_count + 1) * sizeof(*cursor->preds));
    lk_free(NULL, cursor->vecs, (cursor->spec->cols_count + 1) * sizeof(*cursor->vecs));
    lk_free(NULL, cursor->memory, cursor->memory_bytes);
    lk_free(NULL, cursor, sizeof(*cursor));
}

/* --- a new group --- */

static void
fix_column(struct lki_cursor_col *column, const struct luma_value *value)
{
    column->value = *value;
    column->value_valid = value->is_null ? 0 : 1;
    column->fixed = (struct luma_vec){.type = column->type,
                                      .phys = (uint8_t)luma_type_phys(column->type),
                                      .form = LUMA_VEC_CONST,
                                      .data = &column->value.uuid,
                                      .valid = value->is_null ? &column->value_valid : NULL};
    if (column->type.id == LUMA_TYPE_NUMERIC)
        column->fixed.scale = column->type.scale;
    column->is_fixed = true;
}

luma_rc
lki_cursor_enter(struct luma_ctx *ctx, struct lk_segment_cursor *cursor,
                 struct lki_cursor_col *column, int32_t at)
{
    const struct lk_segment *segment = cursor->segment;
    struct luma_value value;

    column->at = at;
    column->is_fixed = false;
    column->chunk = NULL;
    if (at < 0) {
        fix_column(column, &column->def->missing);
        return LUMA_OK;
    }
    column->chunk = lki_segment_chunk(segment, cursor->group, (uint32_t)at);
    if (column->chunk->phys != luma_type_phys(column->type))
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "segment %s: column %u has another type",
                         lk_object_name(segment->reader), column->def->id);
    memset(&value, 0, sizeof(value));
    value.type = column->type;
    value.is_null = (column->chunk->flags & LKI_CHUNK_NULL) != 0;
    if ((column->chunk->flags & LKI_CHUNK_CONST) != 0)
        (void)lki_chunk_min(segment, column->chunk, column->type, &value);
    if ((column->chunk->flags & (LKI_CHUNK_CONST | LKI_CHUNK_NULL)) != 0) {
        fix_column(column, &value);
        column->fixed.bound = lki_chunk_bound(column->chunk);
    }
    return LUMA_OK;
}

/* A predicate that a column of documents with holes, or of fields, can be asked as it lies. */
static bool
asks_nulls(const struct lki_cursor_col *column, const struct luma_pred *pred)
{
    return column->path == NULL &&
           (pred->op == LUMA_PRED_IS_NULL || pred->op == LUMA_PRED_NOT_NULL);
}

static void
judge_preds(struct lk_segment_cursor *cursor)
{
    for (uint32_t i = 0; i < cursor->spec->preds_count; i++) {
        struct lki_pred *p = &cursor->preds[i];
        const struct lki_cursor_col *column = &cursor->columns[p->pred->col];
        if (column->chunk == NULL) {
            struct luma_value value = column->def->missing;
            value.type = column->def->type;
            p->verdict = lki_pred_test(p->pred, &value) ? LKI_ALWAYS : LKI_NEVER;
        } else if (column->way != LKI_WAY_CHUNK && !asks_nulls(column, p->pred)) {
            p->verdict = LKI_SOME;
        } else {
            p->verdict = lki_pred_judge(cursor->segment, column->chunk, column->def->type, p->pred);
        }
        if (p->verdict == LKI_NEVER)
            cursor->dead = true;
    }
}

luma_rc
lk_segment_cursor_seek(struct luma_ctx *ctx, struct lk_segment_cursor *cursor,
                       struct lk_segment *segment, uint32_t group)
{
    bool same = cursor->segment == segment;
    lk_segment_ref(segment);
    leave_group(cursor);
    cursor->segment = segment;
    cursor->simd = segment->formats->simd;
    cursor->group = group;
    cursor->group_rows = segment->group_rows[group];
    cursor->first = cursor->window_first = 0;
    cursor->dead = false;
    for (uint32_t i = 0; i < cursor->columns_count; i++) {
        struct lki_cursor_col *column = &cursor->columns[i];
        int32_t at = i >= cursor->spec->cols_count
                         ? (int32_t)(segment->cols + i - cursor->spec->cols_count)
                     : same && column->def->type.id != LUMA_TYPE_JSONB &&
                             column->def->type.id != LUMA_TYPE_JSON
                         ? column->at
                         : lki_segment_col(segment, column->def->id);
        column->type = column->def->type;
        LUMA_TRY(lki_cursor_doc_enter(ctx, cursor, column, &at));
        LUMA_TRY(lki_cursor_enter(ctx, cursor, column, at));
    }
    judge_preds(cursor);
    cursor->judged = 0;
    return cursor->dead ? LUMA_OK : lki_fields_enter(ctx, cursor);
}

bool
lk_segment_cursor_dead(const struct lk_segment_cursor *cursor)
{
    return cursor->dead;
}

uint64_t
lk_segment_cursor_fields(const struct lk_segment_cursor *cursor)
{
    return cursor->judged;
}

/* --- decoding --- */

luma_rc
lki_cursor_pin(struct luma_ctx *ctx, struct lk_segment_cursor *cursor,
               struct lki_cursor_col *column)
{
    if (column->block != NULL)
        return LUMA_OK;
    LUMA_TRY(lki_segment_load(ctx, cursor->segment, cursor->group, (uint32_t)column->at,
                              &column->block));
    column->loaded = lki_loaded(column->block);
    return LUMA_OK;
}

/* One value for all rows, but some of them null: the value goes into every row. */
static void
spread(struct luma_vec *vec, uint8_t *buffer, uint32_t n)
{
    uint32_t size = luma_phys_bytes((enum luma_phys)vec->phys);
    uint8_t value[16];
    memcpy(value, vec->data, size);
    for (uint32_t i = 0; i < n; i++)
        memcpy(buffer + (size_t)i * size, value, size);
    vec->data = buffer;
    vec->form = LUMA_VEC_FLAT;
}

luma_rc
lki_cursor_decode(struct luma_ctx *ctx, struct lk_segment_cursor *cursor,
                  struct lki_cursor_col *column, uint32_t n, const uint16_t *sel, uint32_t sel_rows,
                  struct luma_vec *vec)
{
    if (column->is_fixed) {
        *vec = column->fixed;
        return LUMA_OK;
    }
    LUMA_TRY(lki_cursor_pin(ctx, cursor, column));
    const struct lki_loaded *loaded = column->loaded;
    const struct luma_encoding *encoding = loaded->encoding;
    uint32_t first = cursor->window_first;
    *vec = (struct luma_vec){.type = column->type,
                             .phys = loaded->view.phys,
                             .scale = column->type.id == LUMA_TYPE_NUMERIC ? column->type.scale
                                                                           : (int16_t)0,
                             .data = column->buffer};
    struct luma_arena *arena = ctx->arena;
    if (lki_makes_strings(encoding)) {
        LUMA_TRY(lki_cursor_need_arena(ctx, cursor));
        arena = cursor->arena; /* a window's strings go with it */
    }
    luma_rc rc = sel != NULL && encoding->decode_sel != NULL
                     ? encoding->decode_sel(&loaded->view, first, n, sel, sel_rows, arena, vec)
                     : encoding->decode(&loaded->view, first, n, arena, vec);
    if (rc != LUMA_OK)
        return LUMA_FAIL(ctx, rc, "a column cannot be read");
    if (loaded->valid != NULL) {
        vec->valid = (uint64_t *)(uintptr_t)loaded->valid + first / 64;
        if (vec->form == LUMA_VEC_CONST)
            spread(vec, column->buffer, n);
    }
    vec->bound = lki_chunk_bound(column->chunk);
    return LUMA_OK;
}

static luma_rc
decode(struct luma_ctx *ctx, struct lk_segment_cursor *cursor, struct lki_cursor_col *column,
       uint32_t n, const uint16_t *sel, uint32_t sel_rows, struct luma_vec *vec)
{
    if (column->way == LKI_WAY_CHUNK)
        return lki_cursor_decode(ctx, cursor, column, n, sel, sel_rows, vec);
    return lki_cursor_doc_decode(ctx, cursor, column, n, sel, sel_rows, vec);
}

static luma_rc
apply_pred(struct luma_ctx *ctx, struct lk_segment_cursor *cursor, struct lki_pred *p, uint32_t n,
           uint64_t *bits)
{
    struct lki_cursor_col *column = &cursor->columns[p->pred->col];
    struct luma_vec *vec = &cursor->vecs[p->pred->col];
    uint64_t tmp[WINDOW_WORDS];

    if (!column->decoded) {
        if (column->way == LKI_WAY_CHUNK || asks_nulls(column, p->pred)) {
            LUMA_TRY(lki_cursor_pin(ctx, cursor, column));
            if (lki_pred_encoded(p, column->loaded, cursor->window_first, n, tmp, bits))
                return LUMA_OK;
        }
        LUMA_TRY(decode(ctx, cursor, column, n, NULL, 0, vec));
        column->decoded = true;
    }
    return lki_pred_decoded(ctx, cursor->simd, p, vec, n, tmp, bits);
}

static bool
any_bit(const uint64_t *bits, uint32_t n)
{
    uint64_t any = 0;
    for (uint32_t i = 0; i < LUMA_BIT_WORDS(n); i++)
        any |= bits[i];
    return any != 0;
}

static luma_rc
apply_preds(struct luma_ctx *ctx, struct lk_segment_cursor *cursor, uint32_t n, uint64_t *bits)
{
    for (uint32_t i = 0; i < cursor->spec->preds_count; i++) {
        if (cursor->preds[i].verdict != LKI_SOME)
            continue;
        LUMA_TRY(apply_pred(ctx, cursor, &cursor->preds[i], n, bits));
        if (!any_bit(bits, n))
            break;
    }
    return LUMA_OK;
}

/* Numbers of a special column for the window; kept says where, when they lie ready. */
static luma_rc
special_window(struct luma_ctx *ctx, struct lk_segment_cursor *cursor, uint32_t which,
               uint32_t first, uint32_t n, int64_t **out)
{
    struct lki_cursor_col *column = &cursor->columns[cursor->spec->cols_count + which];
    const struct lki_chunk *chunk = column->chunk;
    int64_t *values = (int64_t *)(void *)column->buffer;

    *out = values;
    if (!lki_chunk_has_bytes(chunk)) {
        int64_t step = (chunk->flags & LKI_CHUNK_AFFINE) != 0 ? 1 : 0;
        int64_t base = chunk->min.i64 + step * (int64_t)first;
        for (uint32_t i = 0; i < n; i++)
            values[i] = base + step * (int64_t)i;
        return LUMA_OK;
    }
    LUMA_TRY(lki_cursor_pin(ctx, cursor, column));
    struct luma_vec vec = {.phys = LUMA_PHYS_I64, .data = values};
    LUMA_TRY(column->loaded->encoding->decode(&column->loaded->view, first, n, ctx->arena, &vec));
    if (vec.form == LUMA_VEC_CONST)
        spread(&vec, column->buffer, n);
    *out = vec.data;
    return LUMA_OK;
}

static luma_rc
fill_batch(struct luma_ctx *ctx, struct lk_segment_cursor *cursor, uint32_t n, const uint64_t *bits)
{
    struct luma_batch *batch = &cursor->batch;
    const struct luma_scan_spec *spec = cursor->spec;

    batch->rows = n;
    batch->sel_rows = (uint32_t)cursor->simd->bits_count(bits, n);
    batch->sel = NULL;
    if (batch->sel_rows < n) {
        cursor->simd->bits_to_sel(bits, n, cursor->sel);
        batch->sel = cursor->sel;
    }
    for (uint32_t i = 0; i < spec->cols_count; i++) {
        struct lki_cursor_col *column = &cursor->columns[i];
        if (column->decoded || (spec->lazy != NULL && spec->lazy[i]))
            continue;
        LUMA_TRY(decode(ctx, cursor, column, n, batch->sel, batch->sel_rows, &cursor->vecs[i]));
    }
    batch->rowids = NULL;
    if (spec->rowids)
        LUMA_TRY(special_window(ctx, cursor, LKI_ROWID, cursor->window_first, n, &batch->rowids));
    return LUMA_OK;
}

luma_rc
lk_segment_cursor_next(struct luma_ctx *ctx, struct lk_segment_cursor *cursor,
                       luma_rc (*live)(void *arg, uint32_t first_row, uint32_t n, uint64_t *bits),
                       void *arg, struct luma_batch **out_batch, bool *out_more)
{
    uint64_t bits[WINDOW_WORDS];

    while (!cursor->dead && cursor->first < cursor->group_rows) {
        uint32_t n = LK_MIN(cursor->group_rows - cursor->first, (uint32_t)WINDOW);
        cursor->window_first = cursor->first;
        cursor->first += n;
        for (uint32_t i = 0; i < cursor->columns_count; i++)
            cursor->columns[i].decoded = false;
        if (cursor->arena != NULL)
            cursor->arena->reset(cursor->arena);
        luma_bits_all(bits, n, true);
        if (live != NULL)
            LUMA_TRY(live(arg, lk_segment_cursor_first_row(cursor), n, bits));
        if (!any_bit(bits, n))
            continue;
        LUMA_TRY(apply_preds(ctx, cursor, n, bits));
        if (any_bit(bits, n))
            LUMA_TRY(lki_fields_apply(ctx, cursor, n, bits));
        if (!any_bit(bits, n))
            continue;
        LUMA_TRY(fill_batch(ctx, cursor, n, bits));
        *out_batch = &cursor->batch;
        *out_more = true;
        return LUMA_OK;
    }
    *out_more = false;
    return LUMA_OK;
}

luma_rc
lk_segment_cursor_load(struct luma_ctx *ctx, struct lk_segment_cursor *cursor,
                       struct luma_batch *batch, uint32_t col)
{
    struct lki_cursor_col *column = &cursor->columns[col];
    if (column->decoded)
        return LUMA_OK;
    return decode(ctx, cursor, column, batch->rows, batch->sel, batch->sel_rows,
                  &cursor->vecs[col]);
}

uint32_t
lk_segment_cursor_first_row(const struct lk_segment_cursor *cursor)
{
    return cursor->segment->group_first[cursor->group] + cursor->window_first;
}

luma_rc
lk_segment_cursor_commits(struct luma_ctx *ctx, struct lk_segment_cursor *cursor,
                          uint32_t first_row, uint32_t n, const uint64_t **out_begins,
                          const uint64_t **out_ends)
{
    const struct lk_segment *segment = cursor->segment;
    uint32_t first = first_row - segment->group_first[cursor->group];
    const struct lki_chunk *begin =
        lki_segment_chunk(segment, cursor->group, segment->cols + LKI_BEGIN);
    const struct lki_chunk *end =
        lki_segment_chunk(segment, cursor->group, segment->cols + LKI_END);
    int64_t *values = NULL;

    *out_begins = *out_ends = NULL;
    if ((begin->flags & LKI_CHUNK_CONST) == 0 ||
        segment->info.commit_min != segment->info.commit_max) {
        LUMA_TRY(special_window(ctx, cursor, LKI_BEGIN, first, n, &values));
        *out_begins = (const uint64_t *)values;
    }
    if ((end->flags & LKI_CHUNK_CONST) == 0 || end->min.i64 != 0) {
        LUMA_TRY(special_window(ctx, cursor, LKI_END, first, n, &values));
        *out_ends = (const uint64_t *)values;
    }
    return LUMA_OK;
}
