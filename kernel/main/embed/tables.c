/* main/embed/tables.c - calls, and the tables that liblumadb keeps its data in: made through the
 * catalogue, read and written through the store, without a query language. */
#include "catalog/catalog.h"
#include "data/data.h"
#include "main/embed/embed.h"

/* --- calls --- */

luma_rc
lki_call_begin(struct lki_call *call, struct luma_db *db)
{
    memset(call, 0, sizeof(*call));
    call->db = db;
    call->arena = lk_arena_create(NULL, 0);
    lk_ctx_init(&call->c, call->arena);
    if (call->arena == NULL)
        return LUMA_FAIL(&call->c.ctx, LUMA_E_NOMEM, "out of memory");
    if (db == NULL || db->magic != LKI_DB_MAGIC)
        return LUMA_FAIL(&call->c.ctx, LUMA_E_INVALID, "this is no open store");
    return LUMA_OK;
}

luma_rc
lki_call_txn(struct lki_call *call, bool read_only)
{
    const struct luma_txn_opts opts = {.isolation =
                                           read_only ? LUMA_REPEATABLE_READ : LUMA_READ_COMMITTED,
                                       .read_only = read_only};
    LUMA_TRY(lk_txn_host.begin(&call->c.ctx, &opts, &call->txn));
    return lk_txn_host.statement_begin(&call->c.ctx, call->txn);
}

luma_rc
lki_call_commit(struct lki_call *call)
{
    struct luma_txn *txn = LUMA_TAKE(call->txn);
    return lk_txn_host.commit(&call->c.ctx, txn);
}

luma_rc
lki_call_end(struct lki_call *call, luma_rc rc, struct luma_db_error *error)
{
    lk_txn_host.rollback(call->txn);
    if (rc != LUMA_OK && error != NULL) {
        (void)lk_ctx_ensure(&call->c.ctx, rc);
        memset(error, 0, sizeof(*error));
        error->code = rc;
        memcpy(error->sqlstate, call->c.error.sqlstate, sizeof(error->sqlstate));
        snprintf(error->message, sizeof(error->message), "%.249s", call->c.error.message);
    }
    lk_arena_destroy(call->arena);
    return rc;
}

/* --- tables --- */

bool
lki_embed_is_text(const char *text, size_t bytes)
{
    return memchr(text, 0, bytes) == NULL && lk_data_host.utf8_valid(text, bytes);
}

luma_rc
lki_embed_open(struct lki_call *call, const char *schema_name, const char *name,
               struct lki_embed_table *out)
{
    struct luma_ctx *ctx = &call->c.ctx;
    const struct luma_cat_view *view = lk_catalog_host.view(call->txn);
    const struct luma_cat_object *schema, *table = NULL;
    memset(out, 0, sizeof(*out));
    schema = lk_catalog_host.find(view, LUMA_CAT_SCHEMA, schema_name);
    if (schema != NULL)
        table = lk_catalog_host.relation(view, schema->id, name);
    if (table == NULL || table->kind != LUMA_CAT_TABLE || table->indexes_count == 0)
        return LUMA_FAIL(ctx, LUMA_E_UNDEFINED, "there is no %s \"%s\"", schema_name, name);
    out->id = table->id;
    out->index_id = table->indexes[0].id;
    return lk_store_host.open(ctx, call->txn, table->id, &out->coll);
}

luma_rc
lki_embed_close(struct lki_embed_table *table, luma_rc rc)
{
    lk_store_host.close(table->coll);
    table->coll = NULL;
    return rc;
}

/* The schema of this name, which is made if it is not there. */
static luma_rc
need_schema(struct lki_call *call, const char *name, uint64_t *out_id)
{
    struct luma_ctx *ctx = &call->c.ctx;
    const struct luma_cat_object *there =
        lk_catalog_host.find(lk_catalog_host.view(call->txn), LUMA_CAT_SCHEMA, name);
    if (there != NULL) {
        *out_id = there->id;
        return LUMA_OK;
    }
    struct luma_cat_object schema = {
        .kind = LUMA_CAT_SCHEMA, .name = name, .owner_id = LUMA_CAT_ID_ROLE_LUMADB};
    schema.id = lk_catalog_host.next_id(ctx, call->txn);
    if (schema.id == 0)
        return ctx->error->code;
    *out_id = schema.id;
    return lk_catalog_host.put(ctx, call->txn, &schema);
}

struct draft {
    struct luma_cat_column cols[4];
    struct luma_store_index_col key[2], second;
    struct luma_cat_index indexes[2];
    struct luma_cat_constraint constraint;
    uint32_t key_cols[2];
    char index_name[80], second_name[80];
};

static void
draft_columns(struct draft *d, const struct lki_embed_def *def)
{
    for (uint32_t i = 0; i < def->cols_count; i++)
        d->cols[i] = (struct luma_cat_column){.id = i + 1,
                                              .name = def->cols[i].name,
                                              .type = luma_type(def->cols[i].type),
                                              .not_null = true,
                                              .missing = {.is_null = true}};
    for (uint32_t i = 0; i < def->key_count; i++)
        d->key_cols[i] = d->key[i].col_id = def->key[i] + 1;
    d->second.col_id = def->second + 1;
}

static luma_rc
draft_indexes(struct lki_call *call, struct draft *d, const struct lki_embed_def *def,
              const char *name, struct luma_cat_object *table)
{
    struct luma_ctx *ctx = &call->c.ctx;
    snprintf(d->index_name, sizeof(d->index_name), "%.63s_%s", name, def->primary ? "pkey" : "idx");
    d->indexes[0] = (struct luma_cat_index){.id = lk_catalog_host.next_id(ctx, call->txn),
                                            .name = d->index_name,
                                            .kind = "btree",
                                            .unique = def->primary,
                                            .primary = def->primary,
                                            .cols_count = def->key_count,
                                            .cols = d->key};
    table->indexes = d->indexes;
    table->indexes_count = 1;
    if (def->second != 0) {
        snprintf(d->second_name, sizeof(d->second_name), "%.60s_idx", name);
        d->indexes[1] = (struct luma_cat_index){.id = lk_catalog_host.next_id(ctx, call->txn),
                                                .name = d->second_name,
                                                .kind = "btree",
                                                .cols_count = 1,
                                                .cols = &d->second};
        table->indexes_count = 2;
    }
    if (def->primary) {
        d->constraint = (struct luma_cat_constraint){.id = lk_catalog_host.next_id(ctx, call->txn),
                                                     .name = d->index_name,
                                                     .kind = LUMA_CONSTRAINT_PRIMARY,
                                                     .index_id = d->indexes[0].id,
                                                     .cols_count = def->key_count,
                                                     .cols = d->key_cols};
        table->constraints = &d->constraint;
        table->constraints_count = 1;
    }
    return ctx->error->code;
}

luma_rc
lki_embed_create(struct lki_call *call, const struct lki_embed_def *def, const char *name,
                 struct lki_embed_table *out)
{
    struct luma_ctx *ctx = &call->c.ctx;
    struct draft *d = LUMA_NEW(call->arena, struct draft);
    struct luma_cat_object table = {.kind = LUMA_CAT_TABLE,
                                    .name = name,
                                    .owner_id = LUMA_CAT_ID_ROLE_LUMADB,
                                    .cols_count = def->cols_count,
                                    .col_id_next = def->cols_count + 1};
    if (d == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    LUMA_TRY(need_schema(call, def->schema, &table.schema_id));
    draft_columns(d, def);
    table.cols = d->cols;
    LUMA_TRY(draft_indexes(call, d, def, name, &table));
    table.id = lk_catalog_host.next_id(ctx, call->txn);
    if (table.id == 0)
        return ctx->error->code;
    LUMA_TRY(lk_catalog_host.put(ctx, call->txn, &table));
    lk_txn_host.command_end(call->txn);
    return lki_embed_open(call, def->schema, name, out);
}

luma_rc
lki_embed_drop(struct lki_call *call, const struct lki_embed_table *table)
{
    return lk_catalog_host.remove(&call->c.ctx, call->txn, table->id);
}

/* --- rows --- */

luma_rc
lki_embed_batch(struct lki_call *call, struct luma_arena *arena, const struct lki_embed_def *def,
                uint32_t rows, struct luma_batch *out)
{
    memset(out, 0, sizeof(*out));
    out->rows = out->sel_rows = rows;
    out->cols_count = def->cols_count;
    out->cols = LUMA_NEW_ARRAY(arena, struct luma_vec, def->cols_count);
    bool ok = out->cols != NULL;
    for (uint32_t i = 0; ok && i < def->cols_count; i++)
        ok = luma_vec_init(&out->cols[i], arena, luma_type(def->cols[i].type), rows);
    return ok ? LUMA_OK : LUMA_FAIL(&call->c.ctx, LUMA_E_NOMEM, "out of memory");
}

void
lki_embed_put_text(struct luma_batch *batch, uint32_t col, uint32_t row, const char *text,
                   size_t bytes)
{
    ((struct luma_str *)batch->cols[col].data)[row] = luma_str_make(text, (uint32_t)bytes);
}

void
lki_embed_put_int(struct luma_batch *batch, uint32_t col, uint32_t row, int64_t value)
{
    ((int64_t *)batch->cols[col].data)[row] = value;
}

int64_t
lki_embed_int(const struct luma_batch *batch, uint32_t col, uint32_t row)
{
    int64_t value;
    memcpy(&value, luma_vec_at(&batch->cols[col], row), sizeof(value));
    return value;
}

struct luma_slice
lki_embed_text(const struct luma_batch *batch, uint32_t col, uint32_t row)
{
    return luma_str_slice(luma_vec_at(&batch->cols[col], row));
}

struct luma_value
lki_embed_value(enum luma_type_id type, int64_t i64, struct luma_slice text)
{
    struct luma_value value;
    memset(&value, 0, sizeof(value));
    value.type = luma_type(type);
    value.phys = (uint8_t)luma_type_phys(value.type);
    if (value.phys == LUMA_PHYS_STR)
        value.str = luma_str_make((const char *)text.data, (uint32_t)text.bytes);
    else
        value.i64 = i64;
    return value;
}
