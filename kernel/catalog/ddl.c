/*
 * catalog/ddl.c - put and remove: the row, the physical definition below it, the private view.
 */
#include "catalog/catalog_priv.h"
#include "storage/store.h"

/* --- names --- */

static luma_rc
name_taken(struct luma_ctx *ctx, enum luma_cat_kind kind, const char *name)
{
    switch (kind) {
    case LUMA_CAT_DATABASE:
        return LUMA_FAIL_SQL(ctx, LUMA_E_EXISTS, "42P04", "database \"%s\" already exists", name);
    case LUMA_CAT_SCHEMA:
        return LUMA_FAIL_SQL(ctx, LUMA_E_EXISTS, "42P06", "schema \"%s\" already exists", name);
    case LUMA_CAT_ROLE:
        return LUMA_FAIL_SQL(ctx, LUMA_E_EXISTS, "42710", "role \"%s\" already exists", name);
    case LUMA_CAT_TYPE:
        return LUMA_FAIL_SQL(ctx, LUMA_E_EXISTS, "42710", "type \"%s\" already exists", name);
    default:
        return LUMA_FAIL_SQL(ctx, LUMA_E_EXISTS, "42P07", "relation \"%s\" already exists", name);
    }
}

/* The name is free, or its holder is the object itself (or the table an index belongs to). */
static luma_rc
check_name(struct luma_ctx *ctx, const struct luma_cat_view *view, enum luma_cat_kind kind,
           uint64_t schema_id, const char *name, uint64_t id)
{
    const struct luma_cat_object *holder = lki_catalog_view_named(view, kind, schema_id, name);
    return holder == NULL || holder->id == id ? LUMA_OK : name_taken(ctx, kind, name);
}

static luma_rc
check_names(struct luma_ctx *ctx, const struct luma_cat_view *view,
            const struct luma_cat_object *object)
{
    LUMA_TRY(check_name(ctx, view, object->kind, object->schema_id, object->name, object->id));
    for (uint32_t i = 0; i < object->indexes_count; i++) {
        const struct luma_cat_index *index = &object->indexes[i];
        LUMA_TRY(check_name(ctx, view, LUMA_CAT_INDEX, object->schema_id, index->name, index->id));
        bool twice = strcmp(index->name, object->name) == 0;
        for (uint32_t k = 0; k < i; k++)
            twice |= strcmp(index->name, object->indexes[k].name) == 0;
        if (twice)
            return name_taken(ctx, LUMA_CAT_INDEX, index->name);
    }
    return LUMA_OK;
}

/* --- the physical definition --- */

static bool
same_columns(const struct luma_cat_object *a, const struct luma_cat_object *b)
{
    if (a->cols_count != b->cols_count)
        return false;
    for (uint32_t i = 0; i < a->cols_count; i++)
        if (a->cols[i].id != b->cols[i].id ||
            memcmp(&a->cols[i].type, &b->cols[i].type, sizeof(a->cols[i].type)) != 0)
            return false;
    return true;
}

static bool
same_indexes(const struct luma_cat_object *a, const struct luma_cat_object *b)
{
    if (a->indexes_count != b->indexes_count)
        return false;
    for (uint32_t i = 0; i < a->indexes_count; i++)
        if (a->indexes[i].id != b->indexes[i].id || a->indexes[i].unique != b->indexes[i].unique)
            return false;
    return true;
}

static luma_rc
define_storage(struct luma_ctx *ctx, struct luma_txn *txn, const struct luma_cat_object *table,
               struct luma_arena *arena)
{
    struct luma_store_col *cols =
        LUMA_NEW_ARRAY(arena, struct luma_store_col, table->cols_count + 1);
    struct luma_store_index *indexes =
        LUMA_NEW_ARRAY(arena, struct luma_store_index, table->indexes_count + 1);
    if (cols == NULL || indexes == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory for a table definition");
    for (uint32_t i = 0; i < table->cols_count; i++) {
        cols[i] = (struct luma_store_col){.id = table->cols[i].id,
                                          .type = table->cols[i].type,
                                          .missing = table->cols[i].missing};
        if (cols[i].missing.type.id == LUMA_TYPE_NONE)
            cols[i].missing.is_null = true;
    }
    for (uint32_t i = 0; i < table->indexes_count; i++) {
        const struct luma_cat_index *index = &table->indexes[i];
        indexes[i] = (struct luma_store_index){.id = index->id,
                                               .kind = index->kind,
                                               .unique = index->unique,
                                               .nulls_not_distinct = index->nulls_not_distinct,
                                               .primary = index->primary,
                                               .cols_count = index->cols_count,
                                               .cols = index->cols};
    }
    struct luma_store_coll def = {.id = table->id,
                                  .cols_count = table->cols_count,
                                  .cols = cols,
                                  .indexes_count = table->indexes_count,
                                  .indexes = indexes};
    return lk_store_define(ctx, txn, &def);
}

/* --- put and remove --- */

static luma_rc
put_entry(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_cat_view *view,
          struct lki_catalog_entry *entry, struct luma_slice body)
{
    const struct luma_cat_object *object = &entry->object;
    const struct lki_catalog_entry *old = lki_catalog_view_find(view, object->id);

    struct lk_tier_policy tier;
    if (object->kind == LUMA_CAT_TABLE)
        LUMA_TRY(lki_catalog_tier_read(ctx, object->options, &tier));
    if (object->kind == LUMA_CAT_TABLE &&
        (old == NULL || !same_columns(&old->object, object) || !same_indexes(&old->object, object)))
        LUMA_TRY(define_storage(ctx, txn, object, entry->arena));
    if (old == NULL)
        return lki_catalog_row_insert(ctx, txn, object->id, (uint32_t)object->kind, body,
                                      &entry->rowid);
    entry->rowid = old->rowid;
    return lki_catalog_row_update(ctx, txn, entry->rowid, body);
}

static luma_rc
put_body(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_cat_view *view,
         struct luma_slice body)
{
    struct lki_catalog_entry *entry = NULL;

    LUMA_TRY(lki_catalog_entry_create(ctx, body, -1, &entry));
    luma_rc rc = put_entry(ctx, txn, view, entry, body);
    if (rc != LUMA_OK) {
        lki_catalog_entry_unref(entry);
        return rc;
    }
    return lki_catalog_view_put(ctx, view, entry);
}

luma_rc
lki_catalog_put(struct luma_ctx *ctx, struct luma_txn *txn, const struct luma_cat_object *object)
{
    struct luma_cat_view *view = NULL;
    struct lk_bytes body;

    LK_ASSERT(object->id != 0 && object->name != NULL && object->kind != LUMA_CAT_INDEX);
    LUMA_TRY(lki_catalog_private(ctx, txn, &view));
    LUMA_TRY(check_names(ctx, view, object));
    lk_bytes_init(&body, NULL);
    luma_rc rc = lki_catalog_body_write(&body, object)
                     ? put_body(ctx, txn, view, lk_bytes_view(&body))
                     : LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory for a catalogue object");
    lk_bytes_fini(&body);
    return rc;
}

luma_rc
lki_catalog_remove(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t id)
{
    struct luma_cat_view *view = NULL;

    LUMA_TRY(lki_catalog_private(ctx, txn, &view));
    const struct lki_catalog_entry *entry = lki_catalog_view_find(view, id);
    if (entry == NULL || entry->rowid < 0)
        return LUMA_FAIL(ctx, LUMA_E_UNDEFINED, "there is no catalogue object %llu",
                         (unsigned long long)id);
    if (entry->object.kind == LUMA_CAT_TABLE)
        LUMA_TRY(lk_store_drop(ctx, txn, id));
    LUMA_TRY(lki_catalog_row_remove(ctx, txn, entry->rowid));
    lki_catalog_view_remove(view, id);
    return LUMA_OK;
}
