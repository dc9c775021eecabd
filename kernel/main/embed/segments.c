/*
 * main/embed/segments.c - multi-tier storage: a segment is a table of its own, so that its tier is
 * that of its rows; a table beside them knows all segments and their ranges.
 */
#include <stdlib.h>

#include "data/data.h"
#include "main/embed/embed.h"

#define SCHEMA   "segments"
#define REGISTRY "lumadb_segments"

static const struct lki_embed_def registry_def = {
    .schema = SCHEMA,
    .cols = {{"name", LUMA_TYPE_TEXT},
             {"time_from", LUMA_TYPE_INT8},
             {"time_to", LUMA_TYPE_INT8},
             {"documents", LUMA_TYPE_INT8}},
    .cols_count = 4,
    .key = {0},
    .key_count = 1,
    .primary = true,
};

static const struct lki_embed_def segment_def = {
    .schema = SCHEMA,
    .cols = {{"time", LUMA_TYPE_INT8}, {"doc", LUMA_TYPE_JSON}},
    .cols_count = 2,
    .key = {0},
    .key_count = 1,
};

/* --- a segment being filled --- */

struct document {
    size_t at, bytes;
    int64_t time;
};

struct luma_db_segment {
    char name[LUMA_DB_NAME_BYTES_MAX + 1];
    int64_t from, to;
    char *text; /* of all documents */
    size_t used, room;
    struct document *documents;
    size_t count, count_room;
};

static luma_rc
fail(struct luma_db_error *error, luma_rc code, const char *sqlstate, const char *message)
{
    if (error == NULL)
        return code;
    memset(error, 0, sizeof(*error));
    error->code = code;
    snprintf(error->sqlstate, sizeof(error->sqlstate), "%s",
             sqlstate == NULL ? lk_error_info(code)->sqlstate : sqlstate);
    snprintf(error->message, sizeof(error->message), "%.249s", message);
    return code;
}

luma_rc
luma_db_segment_create(const char *name, int64_t from, int64_t to,
                       struct luma_db_segment **out_segment, struct luma_db_error *error)
{
    size_t n = name == NULL ? 0 : strlen(name);
    if (n == 0 || n > LUMA_DB_NAME_BYTES_MAX || !lki_embed_is_text(name, n) ||
        strcmp(name, REGISTRY) == 0)
        return fail(error, LUMA_E_INVALID, NULL, "this cannot be the name of a segment");
    if (from > to)
        return fail(error, LUMA_E_INVALID, NULL, "the range of time ends before it begins");
    struct luma_db_segment *segment = calloc(1, sizeof(*segment));
    if (segment == NULL)
        return fail(error, LUMA_E_NOMEM, NULL, "out of memory");
    memcpy(segment->name, name, n);
    segment->from = from;
    segment->to = to;
    *out_segment = segment;
    return LUMA_OK;
}

static bool
grow(void **array, size_t *room, size_t wanted, size_t element_bytes)
{
    if (wanted <= *room)
        return true;
    size_t more = LK_MAX(*room * 2, wanted);
    void *new = realloc(*array, more * element_bytes);
    if (new == NULL)
        return false;
    *array = new;
    *room = more;
    return true;
}

luma_rc
luma_db_segment_add(struct luma_db_segment *segment, int64_t time, const char *json,
                    size_t json_bytes, struct luma_db_error *error)
{
    struct lk_ctx c;
    lk_ctx_init(&c, NULL);
    if (time < segment->from || time > segment->to)
        return fail(error, LUMA_E_RANGE, NULL, "the time lies outside the segment's range");
    if (json_bytes >= (size_t)1 << 28)
        return fail(error, LUMA_E_LIMIT, NULL, "a document of 256 MiB or more");
    if (!lki_embed_is_text(json, json_bytes))
        return fail(error, LUMA_E_DATA, "22021", "the document is no text in UTF-8");
    if (lk_data_host.json_check(&c.ctx, luma_slice(json, json_bytes)) != LUMA_OK)
        return fail(error, LUMA_E_DATA, "22P02", c.error.message);
    if (!grow((void **)&segment->documents, &segment->count_room, segment->count + 1,
              sizeof(*segment->documents)) ||
        !grow((void **)&segment->text, &segment->room, segment->used + json_bytes, 1))
        return fail(error, LUMA_E_NOMEM, NULL, "out of memory");
    memcpy(segment->text + segment->used, json, json_bytes);
    segment->documents[segment->count++] = (struct document){segment->used, json_bytes, time};
    segment->used += json_bytes;
    return LUMA_OK;
}

void
luma_db_segment_destroy(struct luma_db_segment *segment)
{
    if (segment == NULL)
        return;
    free(segment->text);
    free(segment->documents);
    free(segment);
}

/* --- ingest --- */

static luma_rc
insert_documents(struct lki_call *call, struct lki_embed_table *table,
                 const struct luma_db_segment *segment)
{
    LUMA_CLEANUP(lk_arena_destroy) struct luma_arena *room = lk_arena_create(NULL, 0);
    struct luma_batch batch;
    if (room == NULL)
        return LUMA_FAIL(&call->c.ctx, LUMA_E_NOMEM, "out of memory");
    for (size_t at = 0; at < segment->count;) {
        uint32_t n = (uint32_t)LK_MIN(segment->count - at, (size_t)LUMA_BATCH_ROWS);
        room->reset(room);
        LUMA_TRY(lki_embed_batch(call, room, &segment_def, n, &batch));
        for (uint32_t i = 0; i < n; i++) {
            const struct document *d = &segment->documents[at + i];
            lki_embed_put_int(&batch, 0, i, d->time);
            lki_embed_put_text(&batch, 1, i, segment->text + d->at, d->bytes);
        }
        LUMA_TRY(
            lk_store_host.insert(&call->c.ctx, call->txn, table->coll, &batch, NULL, NULL, NULL));
        at += n;
    }
    return LUMA_OK;
}

static luma_rc
register_segment(struct lki_call *call, const struct luma_db_segment *segment)
{
    struct lki_embed_table registry;
    struct luma_batch batch;
    luma_rc rc = lki_embed_open(call, SCHEMA, REGISTRY, &registry);
    if (rc == LUMA_E_UNDEFINED) {
        luma_error_reset(&call->c.error);
        rc = lki_embed_create(call, &registry_def, REGISTRY, &registry);
    }
    LUMA_TRY(rc);
    rc = lki_embed_batch(call, call->arena, &registry_def, 1, &batch);
    if (rc == LUMA_OK) {
        lki_embed_put_text(&batch, 0, 0, segment->name, strlen(segment->name));
        lki_embed_put_int(&batch, 1, 0, segment->from);
        lki_embed_put_int(&batch, 2, 0, segment->to);
        lki_embed_put_int(&batch, 3, 0, (int64_t)segment->count);
        rc = lk_store_host.insert(&call->c.ctx, call->txn, registry.coll, &batch, NULL, NULL, NULL);
    }
    return lki_embed_close(&registry, rc);
}

static luma_rc
ingest(struct lki_call *call, const struct luma_db_segment *segment)
{
    struct lki_embed_table table;
    LUMA_TRY(lki_call_txn(call, false));
    luma_rc rc = lki_embed_create(call, &segment_def, segment->name, &table);
    if (rc == LUMA_E_EXISTS) {
        luma_error_reset(&call->c.error);
        return LUMA_FAIL(&call->c.ctx, LUMA_E_EXISTS, "segment \"%s\" is there already",
                         segment->name);
    }
    if (rc == LUMA_OK)
        rc = insert_documents(call, &table, segment);
    LUMA_TRY(lki_embed_close(&table, rc));
    LUMA_TRY(register_segment(call, segment));
    return lki_call_commit(call);
}

luma_rc
luma_db_ingest(struct luma_db *db, const struct luma_db_segment *segment,
               struct luma_db_error *error)
{
    struct lki_call call;
    luma_rc rc = lki_call_begin(&call, db);
    if (rc == LUMA_OK) {
        pthread_mutex_lock(&db->ddl_lock);
        rc = ingest(&call, segment);
        pthread_mutex_unlock(&db->ddl_lock);
    }
    return lki_call_end(&call, rc, error);
}

/* --- tiers --- */

struct tier {
    uint64_t coll_id;
    uint64_t hot_rows, file_bytes;
};

static bool
add_part(void *arg, const struct luma_store_part *part)
{
    struct tier *tier = arg;
    if (part->coll_id == tier->coll_id && part->index_id == 0) {
        if (part->object_id == 0)
            tier->hot_rows += part->rows;
        else
            tier->file_bytes += part->bytes;
    }
    return true;
}

static luma_rc
tier_of(struct lki_call *call, const char *name, struct tier *out)
{
    struct lki_embed_table table;
    LUMA_TRY(lki_embed_open(call, SCHEMA, name, &table));
    memset(out, 0, sizeof(*out));
    out->coll_id = table.id;
    return lki_embed_close(&table, lk_store_host.parts(&call->c.ctx, add_part, out));
}

static luma_rc
known(struct lki_call *call, const char *name)
{
    if (name == NULL || strcmp(name, REGISTRY) == 0)
        return LUMA_FAIL(&call->c.ctx, LUMA_E_UNDEFINED, "there is no such segment");
    return LUMA_OK;
}

luma_rc
luma_db_flush_to_warm(struct luma_db *db, const char *name, struct luma_db_error *error)
{
    struct lki_call call;
    struct tier tier;
    luma_rc rc = lki_call_begin(&call, db);
    if (rc == LUMA_OK)
        rc = known(&call, name);
    if (rc == LUMA_OK)
        rc = lki_call_txn(&call, true);
    if (rc == LUMA_OK)
        rc = tier_of(&call, name, &tier);
    if (rc == LUMA_OK) {
        lk_txn_host.rollback(LUMA_TAKE(call.txn));
        if (tier.hot_rows > 0)
            rc = lk_store_host.flush(&call.c.ctx, tier.coll_id);
    }
    return lki_call_end(&call, rc, error);
}

/* --- reading --- */

static luma_rc
read_documents(struct lki_call *call, struct lki_embed_table *table, int64_t from, int64_t to,
               luma_db_document_fn fn, void *arg)
{
    static const uint32_t cols[] = {1, 2};
    const struct luma_value lo = lki_embed_value(LUMA_TYPE_INT8, from, luma_slice(NULL, 0));
    const struct luma_value hi = lki_embed_value(LUMA_TYPE_INT8, to, luma_slice(NULL, 0));
    const struct luma_key_range range = {.lo = &lo, .hi = &hi, .lo_count = 1, .hi_count = 1};
    const struct luma_scan_spec spec = {.cols = cols, .cols_count = 2};
    struct luma_ctx *ctx = &call->c.ctx;
    struct luma_cursor *cursor = NULL;
    struct luma_batch *batch = NULL;
    bool more = true;
    LUMA_TRY(lk_store_host.index_scan(ctx, call->txn, table->coll, table->index_id, &range, &spec,
                                      &cursor));
    luma_rc rc = LUMA_OK;
    while (more && (rc = lk_store_host.cursor_next(ctx, cursor, &batch)) == LUMA_OK &&
           batch->rows > 0)
        for (uint32_t k = 0; more && k < batch->sel_rows; k++) {
            uint32_t row = luma_batch_row(batch, k);
            struct luma_slice json = lki_embed_text(batch, 1, row);
            more = fn(arg, lki_embed_int(batch, 0, row), (const char *)json.data, json.bytes);
        }
    lk_store_host.cursor_close(cursor);
    return rc;
}

luma_rc
luma_db_segment_read(struct luma_db *db, const char *name, int64_t from, int64_t to,
                     struct luma_db_error *error, luma_db_document_fn fn, void *arg)
{
    struct lki_call call;
    struct lki_embed_table table;
    luma_rc rc = lki_call_begin(&call, db);
    if (rc == LUMA_OK)
        rc = known(&call, name);
    if (rc == LUMA_OK)
        rc = lki_call_txn(&call, true);
    if (rc == LUMA_OK)
        rc = lki_embed_open(&call, SCHEMA, name, &table);
    if (rc == LUMA_OK)
        rc = lki_embed_close(&table, from > to ? LUMA_OK
                                               : read_documents(&call, &table, from, to, fn, arg));
    return lki_call_end(&call, rc, error);
}

/* One row of the registry; *out_more false: the callback has had enough. */
static luma_rc
tell_segment(struct lki_call *call, const struct luma_batch *batch, uint32_t row,
             luma_db_segment_fn fn, void *arg, bool *out_more)
{
    struct luma_slice name = lki_embed_text(batch, 0, row);
    struct tier tier;
    struct luma_db_segment_info info = {.from = lki_embed_int(batch, 1, row),
                                        .to = lki_embed_int(batch, 2, row),
                                        .documents = (uint64_t)lki_embed_int(batch, 3, row)};
    info.name = luma_arena_text(call->arena, name.data, name.bytes);
    if (info.name == NULL)
        return LUMA_FAIL(&call->c.ctx, LUMA_E_NOMEM, "out of memory");
    LUMA_TRY(tier_of(call, info.name, &tier));
    info.tier = tier.hot_rows > 0 ? LUMA_DB_HOT : LUMA_DB_WARM;
    info.file_bytes = tier.file_bytes;
    *out_more = fn(arg, &info);
    return LUMA_OK;
}

static luma_rc
each_segment(struct lki_call *call, int64_t from, int64_t to, luma_db_segment_fn fn, void *arg)
{
    static const uint32_t cols[] = {1, 2, 3, 4};
    const struct luma_scan_spec spec = {.cols = cols, .cols_count = 4};
    const struct luma_key_range all = {0};
    struct luma_ctx *ctx = &call->c.ctx;
    struct lki_embed_table registry;
    struct luma_cursor *cursor = NULL;
    struct luma_batch *batch = NULL;
    bool more = true;
    luma_rc rc = lki_embed_open(call, SCHEMA, REGISTRY, &registry);
    if (rc == LUMA_E_UNDEFINED) { /* nothing was ingested yet */
        luma_error_reset(&call->c.error);
        return LUMA_OK;
    }
    LUMA_TRY(rc);
    rc = lk_store_host.index_scan(ctx, call->txn, registry.coll, registry.index_id, &all, &spec,
                                  &cursor);
    while (rc == LUMA_OK && more) {
        rc = lk_store_host.cursor_next(ctx, cursor, &batch);
        if (rc != LUMA_OK || batch->rows == 0)
            break;
        for (uint32_t k = 0; rc == LUMA_OK && more && k < batch->sel_rows; k++) {
            uint32_t row = luma_batch_row(batch, k);
            if (lki_embed_int(batch, 1, row) <= to && lki_embed_int(batch, 2, row) >= from)
                rc = tell_segment(call, batch, row, fn, arg, &more);
        }
    }
    if (cursor != NULL)
        lk_store_host.cursor_close(cursor);
    return lki_embed_close(&registry, rc);
}

luma_rc
luma_db_segment_each(struct luma_db *db, int64_t from, int64_t to, struct luma_db_error *error,
                     luma_db_segment_fn fn, void *arg)
{
    struct lki_call call;
    luma_rc rc = lki_call_begin(&call, db);
    if (rc == LUMA_OK)
        rc = lki_call_txn(&call, true);
    if (rc == LUMA_OK)
        rc = each_segment(&call, from, to, fn, arg);
    return lki_call_end(&call, rc, error);
}

/* --- drop --- */

static luma_rc
unregister(struct lki_call *call, const char *name)
{
    struct luma_ctx *ctx = &call->c.ctx;
    const struct luma_value key = lki_embed_value(LUMA_TYPE_TEXT, 0, luma_slice_text(name));
    enum luma_lock_result result = LUMA_ROW_GONE;
    struct lki_embed_table registry;
    int64_t rowid = -1;
    LUMA_TRY(lki_embed_open(call, SCHEMA, REGISTRY, &registry));
    luma_rc rc = lk_store_host.get(ctx, call->txn, registry.coll, registry.index_id, &key, 1, NULL,
                                   0, call->arena, NULL, &rowid);
    if (rc == LUMA_OK && rowid >= 0)
        rc = lk_store_host.lock(ctx, call->txn, registry.coll, &rowid, 1, LUMA_LOCK_UPDATE,
                                LUMA_LOCK_WAIT, &result);
    if (rc == LUMA_OK && result == LUMA_ROW_LOCKED)
        rc = lk_store_host.remove(ctx, call->txn, registry.coll, &rowid, 1);
    return lki_embed_close(&registry, rc);
}

static luma_rc
drop(struct lki_call *call, const char *name)
{
    struct lki_embed_table table;
    LUMA_TRY(known(call, name));
    LUMA_TRY(lki_call_txn(call, false));
    LUMA_TRY(lki_embed_open(call, SCHEMA, name, &table));
    (void)lki_embed_close(&table, LUMA_OK);
    LUMA_TRY(unregister(call, name));
    LUMA_TRY(lki_embed_drop(call, &table));
    return lki_call_commit(call);
}

luma_rc
luma_db_segment_drop(struct luma_db *db, const char *name, struct luma_db_error *error)
{
    struct lki_call call;
    luma_rc rc = lki_call_begin(&call, db);
    if (rc == LUMA_OK) {
        pthread_mutex_lock(&db->ddl_lock);
        rc = drop(&call, name);
        pthread_mutex_unlock(&db->ddl_lock);
    }
    return lki_call_end(&call, rc, error);
}
