/*
 * catalog/catalog.c - which view a transaction sees, and how a new one becomes current.
 *
 * The slot of a transaction holds a list of the views it has asked for, newest first: every one
 * stays valid until the transaction ends. The first is a plain pointer tagged with bit 0, so that
 * the usual transaction allocates nothing.
 */
#include <stdlib.h>

#include "catalog/catalog_priv.h"
#include "storage/store.h"
#include "txn/slot.h"

struct txn_views {
    struct luma_cat_view *view;
    void *older; /* tagged view or another struct txn_views; NULL: none */
};

static struct {
    struct lk_mutex mutex; /* guards current */
    struct luma_cat_view *current;
    uint64_t version;         /* atomic: of current */
    uint64_t version_private; /* atomic: numbers of private views, from the top half */
    int64_t lock_rowid;
    uint64_t (*role_of)(const struct luma_session *session);
} catalog = {.mutex = LK_MUTEX_INIT(LK_LOCK_CATALOG)};

/* Private versions are never equal to committed ones. */
#define VERSION_PRIVATE ((uint64_t)1 << 63)

/* --- the current view --- */

static struct luma_cat_view *
current_ref(void)
{
    lk_mutex_lock(&catalog.mutex);
    struct luma_cat_view *view = catalog.current;
    lki_catalog_view_ref(view);
    lk_mutex_unlock(&catalog.mutex);
    return view;
}

/* Takes the reference. */
static void
publish(struct luma_cat_view *view)
{
    lk_mutex_lock(&catalog.mutex);
    struct luma_cat_view *old = catalog.current;
    view->version = old == NULL ? 1 : old->version + 1;
    view->private = false;
    catalog.current = view;
    __atomic_store_n(&catalog.version, view->version, __ATOMIC_RELEASE);
    lk_mutex_unlock(&catalog.mutex);
    lki_catalog_tiers_follow(old, view);
    lki_catalog_view_unref(old);
}

/* --- the views of a transaction --- */

static struct luma_cat_view *
slot_view(const void *slot)
{
    if (slot == NULL)
        return NULL;
    if ((uintptr_t)slot & 1)
        return (struct luma_cat_view *)((uintptr_t)slot - 1);
    return ((const struct txn_views *)slot)->view;
}

/* Takes the reference; on failure gives it back. */
static bool
slot_push(void **slot, struct luma_cat_view *view)
{
    if (*slot == NULL) {
        *slot = (void *)((uintptr_t)view | 1);
        return true;
    }
    struct txn_views *node = malloc(sizeof(*node));
    if (node == NULL) {
        lki_catalog_view_unref(view);
        return false;
    }
    node->view = view;
    node->older = *slot;
    *slot = node;
    return true;
}

static void
slot_free(void *slot)
{
    while (slot != NULL) {
        struct luma_cat_view *view = slot_view(slot);
        void *older = (uintptr_t)slot & 1 ? NULL : ((struct txn_views *)slot)->older;
        if (((uintptr_t)slot & 1) == 0)
            free(slot);
        lki_catalog_view_unref(view);
        slot = older;
    }
}

static void
txn_ended(void *content, bool committed, uint64_t commit)
{
    (void)commit;
    struct luma_cat_view *view = slot_view(content);
    if (committed && view->private) {
        lki_catalog_view_ref(view);
        publish(view);
    }
    slot_free(content);
}

/* --- private views --- */

static luma_rc
private_begin(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_cat_view *view)
{
    view->private = true;
    view->undo_count = lk_txn_undo_count(txn);
    view->version =
        VERSION_PRIVATE | __atomic_add_fetch(&catalog.version_private, 1, __ATOMIC_RELAXED);
    if (!slot_push(lk_txn_slot(txn), view))
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory for the catalogue");
    return LUMA_OK;
}

/* A rollback to a savepoint may have undone changes: read what is left of them. The lock of DDL may
 * be gone with them, too; it is taken again before anything is believed. */
static luma_rc
private_reload(struct luma_ctx *ctx, struct luma_txn *txn)
{
    struct luma_cat_view *view = NULL;
    int64_t lock_rowid = -1;

    LUMA_TRY(lki_catalog_row_lock(ctx, txn, catalog.lock_rowid));
    LUMA_TRY(lki_catalog_load(ctx, txn, &view, &lock_rowid));
    return private_begin(ctx, txn, view);
}

luma_rc
lki_catalog_private(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_cat_view **out_view)
{
    struct luma_cat_view *view = slot_view(*lk_txn_slot(txn));
    if (lk_txn_host.is_read_only(txn))
        return LUMA_FAIL(ctx, LUMA_E_READONLY,
                         "cannot change the catalogue in a read-only transaction");
    if (view == NULL || !view->private) {
        LUMA_TRY(lki_catalog_row_lock(ctx, txn, catalog.lock_rowid));
        struct luma_cat_view *shared = current_ref();
        struct luma_cat_view *copy = lki_catalog_view_copy(shared);
        lki_catalog_view_unref(shared);
        if (copy == NULL)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory for the catalogue");
        LUMA_TRY(private_begin(ctx, txn, copy));
    } else if (view->undo_count != lk_txn_undo_count(txn)) {
        LUMA_TRY(private_reload(ctx, txn));
    } else {
        view->version =
            VERSION_PRIVATE | __atomic_add_fetch(&catalog.version_private, 1, __ATOMIC_RELAXED);
    }
    *out_view = slot_view(*lk_txn_slot(txn));
    return LUMA_OK;
}

/* --- host/catalog.h: reading --- */

static const struct luma_cat_view *
catalog_view(struct luma_txn *txn)
{
    if (txn == NULL)
        return current_ref();
    void **slot = lk_txn_slot(txn);
    struct luma_cat_view *view = slot_view(*slot);
    if (view != NULL && view->private) {
        struct lk_ctx lc;
        lk_ctx_init(&lc, NULL);
        if (view->undo_count != lk_txn_undo_count(txn) && private_reload(&lc.ctx, txn) != LUMA_OK)
            lk_log_error("catalog", "cannot read the catalogue again after a rollback: %s",
                         lc.error.message);
    } else if (view == NULL ||
               view->version != __atomic_load_n(&catalog.version, __ATOMIC_ACQUIRE)) {
        (void)slot_push(slot, current_ref());
    }
    return slot_view(*slot);
}

static void
catalog_release(const struct luma_cat_view *view)
{
    lki_catalog_view_unref((struct luma_cat_view *)view);
}

static uint64_t
catalog_version(const struct luma_cat_view *view)
{
    return view->version;
}

static uint64_t
catalog_version_now(struct luma_txn *txn)
{
    if (txn != NULL) {
        const struct luma_cat_view *view = slot_view(*lk_txn_slot(txn));
        if (view != NULL && view->private)
            return catalog_view(txn)->version;
    }
    return __atomic_load_n(&catalog.version, __ATOMIC_ACQUIRE);
}

static const struct luma_cat_object *
catalog_by_id(const struct luma_cat_view *view, uint64_t id)
{
    const struct lki_catalog_entry *entry = lki_catalog_view_find(view, id);
    return entry == NULL ? NULL : &entry->object;
}

static const struct luma_cat_object *
catalog_relation(const struct luma_cat_view *view, uint64_t schema_id, const char *name)
{
    return lki_catalog_view_named(view, LUMA_CAT_TABLE, schema_id, name);
}

static const struct luma_cat_object *
catalog_find(const struct luma_cat_view *view, enum luma_cat_kind kind, const char *name)
{
    return lki_catalog_view_named(view, kind, 0, name);
}

static const struct luma_cat_object *
catalog_type(const struct luma_cat_view *view, uint64_t schema_id, const char *name)
{
    return lki_catalog_view_named(view, LUMA_CAT_TYPE, schema_id, name);
}

static void
catalog_each(const struct luma_cat_view *view, enum luma_cat_kind kind,
             bool (*fn)(void *arg, const struct luma_cat_object *object), void *arg)
{
    for (size_t i = 0; i < view->entries_count; i++) {
        const struct luma_cat_object *object = &view->entries[i]->object;
        if ((kind == 0 || object->kind == kind) && !fn(arg, object))
            return;
    }
}

static luma_rc
catalog_check(struct luma_ctx *ctx, const struct luma_cat_view *view,
              const struct luma_cat_object *object, uint32_t col_id, uint32_t rights)
{
    if (ctx->session == NULL || catalog.role_of == NULL)
        return LUMA_OK;
    return lki_catalog_check_role(ctx, view, catalog.role_of(ctx->session), object, col_id, rights);
}

void
lk_catalog_set_identity(uint64_t (*role_of)(const struct luma_session *session))
{
    catalog.role_of = role_of;
}

/* --- life --- */

static luma_rc
open_in(struct luma_ctx *ctx, struct luma_txn *txn)
{
    struct luma_cat_view *view = NULL;
    struct luma_coll *coll = NULL;

    LUMA_TRY(lk_txn_host.statement_begin(ctx, txn));
    if (lk_store_host.open(ctx, txn, LK_CATALOG_COLL_ID, &coll) == LUMA_OK) {
        lk_store_host.close(coll);
    } else {
        luma_error_reset(ctx->error);
        LUMA_TRY(lki_catalog_bootstrap(ctx, txn));
    }
    LUMA_TRY(lki_catalog_load(ctx, txn, &view, &catalog.lock_rowid));
    publish(view);
    return LUMA_OK;
}

luma_rc
lk_catalog_open(struct luma_ctx *ctx)
{
    struct luma_txn_opts opts = {.isolation = LUMA_READ_COMMITTED};
    struct luma_txn *txn = NULL;

    lk_txn_set_slot_end(txn_ended);
    LUMA_TRY(lk_txn_host.begin(ctx, &opts, &txn));
    luma_rc rc = open_in(ctx, txn);
    if (rc != LUMA_OK) {
        lk_txn_host.rollback(txn);
        return rc;
    }
    return lk_txn_host.commit(ctx, txn);
}

void
lk_catalog_close(void)
{
    lki_catalog_view_unref(LUMA_TAKE(catalog.current));
    __atomic_store_n(&catalog.version, 0, __ATOMIC_RELEASE);
}

const struct luma_host_catalog lk_catalog_host = {
    .head = {sizeof(struct luma_host_catalog), 1, 0},
    .view = catalog_view,
    .release = catalog_release,
    .version = catalog_version,
    .by_id = catalog_by_id,
    .relation = catalog_relation,
    .find = catalog_find,
    .each = catalog_each,
    .version_now = catalog_version_now,
    .next_id = lki_catalog_next_id,
    .put = lki_catalog_put,
    .remove = lki_catalog_remove,
    .sequence_next = lki_catalog_sequence_next,
    .sequence_set = lki_catalog_sequence_set,
    .sequence_last = lki_catalog_sequence_last,
    .check = catalog_check,
    .may = lki_catalog_may,
    .make_verifier = lki_catalog_make_verifier,
    .type = catalog_type,
};
