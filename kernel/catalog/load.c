/*
 * catalog/load.c - the catalogue as rows: the system collection (id, kind, body), reading all of
 * it, changing one row, and making the first objects.
 *
 * Row 0 of the collection (object id 0, kind 0, no body) is no object: DDL locks it, so that
 * transactions with DDL come one after the other and take part in deadlock detection and lock
 * timeouts like any row lock.
 */
#include "catalog/catalog_priv.h"
#include "storage/store.h"

enum { COL_ID = 1, COL_KIND = 2, COL_BODY = 3, COLS = 3 };

static const uint32_t coll_col_ids[COLS] = {COL_ID, COL_KIND, COL_BODY};

static luma_rc
define_collection(struct luma_ctx *ctx, struct luma_txn *txn)
{
    struct luma_store_col cols[COLS] = {
        {.id = COL_ID, .type = luma_type(LUMA_TYPE_INT8), .missing = {.is_null = true}},
        {.id = COL_KIND, .type = luma_type(LUMA_TYPE_INT4), .missing = {.is_null = true}},
        {.id = COL_BODY, .type = luma_type(LUMA_TYPE_BYTEA), .missing = {.is_null = true}},
    };
    struct luma_store_coll def = {.id = LK_CATALOG_COLL_ID, .cols_count = COLS, .cols = cols};
    return lk_store_define(ctx, txn, &def);
}

/* Opens the collection, calls fn with it, closes it. */
static luma_rc
with_collection(struct luma_ctx *ctx, struct luma_txn *txn,
                luma_rc (*fn)(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *coll,
                              void *arg),
                void *arg)
{
    struct luma_coll *coll = NULL;

    LUMA_TRY(lk_store_host.open(ctx, txn, LK_CATALOG_COLL_ID, &coll));
    luma_rc rc = fn(ctx, txn, coll, arg);
    lk_store_host.close(coll);
    return rc;
}

/* --- changing rows --- */

struct row_change {
    uint64_t id;
    uint32_t kind;
    struct luma_slice body;
    int64_t rowid;
};

static struct luma_vec
one_value(enum luma_type_id type, enum luma_phys phys, void *data)
{
    struct luma_vec vec = {
        .type = luma_type(type), .phys = (uint8_t)phys, .form = LUMA_VEC_FLAT, .data = data};
    return vec;
}

static luma_rc
row_insert(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *coll, void *arg)
{
    struct row_change *change = arg;
    int64_t id = (int64_t)change->id;
    int32_t kind = (int32_t)change->kind;
    struct luma_str body =
        luma_str_make((const char *)change->body.data, (uint32_t)change->body.bytes);
    struct luma_vec cols[COLS] = {one_value(LUMA_TYPE_INT8, LUMA_PHYS_I64, &id),
                                  one_value(LUMA_TYPE_INT4, LUMA_PHYS_I32, &kind),
                                  one_value(LUMA_TYPE_BYTEA, LUMA_PHYS_STR, &body)};
    struct luma_batch batch = {.rows = 1, .sel_rows = 1, .cols_count = COLS, .cols = cols};
    struct luma_insert_opts opts = {.conflict = LUMA_CONFLICT_FAIL};
    return lk_store_host.insert(ctx, txn, coll, &batch, &opts, &change->rowid, NULL);
}

static luma_rc
row_lock(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *coll, void *arg)
{
    const struct row_change *change = arg;
    enum luma_lock_result result = LUMA_ROW_LOCKED;
    LUMA_TRY(lk_store_host.lock(ctx, txn, coll, &change->rowid, 1, LUMA_LOCK_UPDATE, LUMA_LOCK_WAIT,
                                &result));
    if (result != LUMA_ROW_LOCKED)
        return LUMA_FAIL_SQL(ctx, LUMA_E_CONFLICT, "XX000", "tuple concurrently updated");
    return LUMA_OK;
}

static luma_rc
row_update(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *coll, void *arg)
{
    struct row_change *change = arg;
    static const uint32_t body_col[1] = {COL_BODY};
    struct luma_str body =
        luma_str_make((const char *)change->body.data, (uint32_t)change->body.bytes);
    struct luma_vec cols[1] = {one_value(LUMA_TYPE_BYTEA, LUMA_PHYS_STR, &body)};
    struct luma_batch batch = {.rows = 1, .sel_rows = 1, .cols_count = 1, .cols = cols};

    LUMA_TRY(row_lock(ctx, txn, coll, change));
    return lk_store_host.update(ctx, txn, coll, &change->rowid, 1, body_col, &batch);
}

static luma_rc
row_remove(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *coll, void *arg)
{
    const struct row_change *change = arg;

    LUMA_TRY(row_lock(ctx, txn, coll, arg));
    return lk_store_host.remove(ctx, txn, coll, &change->rowid, 1);
}

luma_rc
lki_catalog_row_insert(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t id, uint32_t kind,
                       struct luma_slice body, int64_t *out_rowid)
{
    struct row_change change = {.id = id, .kind = kind, .body = body, .rowid = -1};
    LUMA_TRY(with_collection(ctx, txn, row_insert, &change));
    *out_rowid = change.rowid;
    lk_txn_host.command_end(txn);
    return LUMA_OK;
}

luma_rc
lki_catalog_row_update(struct luma_ctx *ctx, struct luma_txn *txn, int64_t rowid,
                       struct luma_slice body)
{
    struct row_change change = {.body = body, .rowid = rowid};
    LUMA_TRY(with_collection(ctx, txn, row_update, &change));
    lk_txn_host.command_end(txn);
    return LUMA_OK;
}

luma_rc
lki_catalog_row_remove(struct luma_ctx *ctx, struct luma_txn *txn, int64_t rowid)
{
    struct row_change change = {.rowid = rowid};
    LUMA_TRY(with_collection(ctx, txn, row_remove, &change));
    lk_txn_host.command_end(txn);
    return LUMA_OK;
}

luma_rc
lki_catalog_row_lock(struct luma_ctx *ctx, struct luma_txn *txn, int64_t rowid)
{
    struct row_change change = {.rowid = rowid};
    return with_collection(ctx, txn, row_lock, &change);
}

/* --- reading all --- */

struct load {
    struct luma_cat_view *view;
    int64_t lock_rowid;
};

static luma_rc
load_batch(struct luma_ctx *ctx, const struct luma_batch *batch, struct load *load)
{
    for (uint32_t k = 0; k < batch->sel_rows; k++) {
        uint32_t row = luma_batch_row(batch, k);
        const int32_t *kind = luma_vec_at(&batch->cols[COL_KIND - 1], row);
        const struct luma_str *body = luma_vec_at(&batch->cols[COL_BODY - 1], row);
        if (*kind == 0) {
            load->lock_rowid = batch->rowids[row];
            continue;
        }
        struct lki_catalog_entry *entry = NULL;
        LUMA_TRY(lki_catalog_entry_create(ctx, luma_str_slice(body), batch->rowids[row], &entry));
        LUMA_TRY(lki_catalog_view_put(ctx, load->view, entry));
    }
    return LUMA_OK;
}

static luma_rc
load_scan(struct luma_ctx *ctx, struct luma_scan *scan, struct load *load)
{
    struct luma_cursor *cursor = NULL;
    luma_rc rc = lk_store_host.cursor_open(ctx, scan, &cursor);
    while (rc == LUMA_OK) {
        struct luma_batch *batch = NULL;
        rc = lk_store_host.cursor_next(ctx, cursor, &batch);
        if (rc != LUMA_OK || batch->rows == 0)
            break;
        rc = load_batch(ctx, batch, load);
    }
    if (cursor != NULL)
        lk_store_host.cursor_close(cursor);
    return rc;
}

static luma_rc
load_rows(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *coll, void *arg)
{
    struct luma_scan_spec spec = {.cols = coll_col_ids, .cols_count = COLS, .rowids = true};
    struct luma_scan *scan = NULL;

    LUMA_TRY(lk_store_host.scan_open(ctx, txn, coll, &spec, &scan));
    luma_rc rc = load_scan(ctx, scan, arg);
    lk_store_host.scan_close(scan);
    return rc;
}

luma_rc
lki_catalog_load(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_cat_view **out_view,
                 int64_t *out_lock_rowid)
{
    struct load load = {.view = lki_catalog_view_create(), .lock_rowid = -1};

    if (load.view == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory for the catalogue");
    luma_rc rc = with_collection(ctx, txn, load_rows, &load);
    if (rc == LUMA_OK && load.lock_rowid < 0)
        rc = LUMA_FAIL(ctx, LUMA_E_CORRUPT, "the catalogue has lost the row that DDL locks");
    if (rc != LUMA_OK) {
        lki_catalog_view_unref(load.view);
        return rc;
    }
    *out_view = load.view;
    *out_lock_rowid = load.lock_rowid;
    return LUMA_OK;
}

/* --- the first objects --- */

static luma_rc
insert_object(struct luma_ctx *ctx, struct luma_txn *txn, const struct luma_cat_object *object)
{
    struct lk_bytes body;
    int64_t rowid = -1;

    lk_bytes_init(&body, NULL);
    luma_rc rc = lki_catalog_body_write(&body, object)
                     ? lki_catalog_row_insert(ctx, txn, object->id, (uint32_t)object->kind,
                                              lk_bytes_view(&body), &rowid)
                     : LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory for the catalogue");
    lk_bytes_fini(&body);
    return rc;
}

luma_rc
lki_catalog_bootstrap(struct luma_ctx *ctx, struct luma_txn *txn)
{
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    if (arena == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory for the catalogue");

    const char *verifier = NULL;
    luma_rc rc = lki_catalog_make_verifier(ctx, "lumadb", arena, &verifier);
    const struct luma_cat_grant public_usage[] = {
        {.role_id = 0, .rights = LUMA_RIGHT_USAGE | LUMA_RIGHT_CREATE}};
    const struct luma_cat_grant usage[] = {{.role_id = 0, .rights = LUMA_RIGHT_USAGE}};
    const struct luma_cat_grant connect[] = {{.role_id = 0, .rights = LUMA_RIGHT_CONNECT}};
    const struct luma_cat_object first[] = {
        {.id = LUMA_CAT_ID_ROLE_LUMADB,
         .kind = LUMA_CAT_ROLE,
         .name = "lumadb",
         .superuser = true,
         .can_login = true,
         .create_role = true,
         .create_db = true,
         .inherit = true,
         .first_run = true,
         .verifier = verifier},
        {.id = LUMA_CAT_ID_DATABASE_DEFAULT,
         .kind = LUMA_CAT_DATABASE,
         .name = "default",
         .owner_id = LUMA_CAT_ID_ROLE_LUMADB,
         .grants_count = 1,
         .grants = connect},
        {.id = LUMA_CAT_ID_PG_CATALOG,
         .kind = LUMA_CAT_SCHEMA,
         .name = "pg_catalog",
         .owner_id = LUMA_CAT_ID_ROLE_LUMADB,
         .grants_count = 1,
         .grants = usage,
         .comment = "system catalog schema"},
        {.id = LUMA_CAT_ID_INFORMATION_SCHEMA,
         .kind = LUMA_CAT_SCHEMA,
         .name = "information_schema",
         .owner_id = LUMA_CAT_ID_ROLE_LUMADB,
         .grants_count = 1,
         .grants = usage},
        {.id = LUMA_CAT_ID_PUBLIC,
         .kind = LUMA_CAT_SCHEMA,
         .name = "public",
         .owner_id = LUMA_CAT_ID_ROLE_LUMADB,
         .grants_count = 1,
         .grants = public_usage,
         .comment = "standard public schema"},
    };
    if (rc == LUMA_OK)
        rc = define_collection(ctx, txn);
    if (rc == LUMA_OK) {
        int64_t rowid = -1;
        rc = lki_catalog_row_insert(ctx, txn, 0, 0, luma_slice("", 0), &rowid);
    }
    for (size_t i = 0; rc == LUMA_OK && i < LUMA_COUNTOF(first); i++)
        rc = insert_object(ctx, txn, &first[i]);
    lk_arena_destroy(arena);
    return rc;
}
