/*
 * catalog/catalog_priv.h - entries, views and object bodies, for the files of this folder.
 */
#ifndef LK_CATALOG_CATALOG_PRIV_H
#define LK_CATALOG_CATALOG_PRIV_H

#include "base/base.h"
#include "catalog/catalog.h"

/* One object as views share it. Immutable once it is in a view. */
struct lki_catalog_entry {
    uint32_t refs; /* atomic */
    int64_t rowid; /* in the system collection; -1: derived (an index, described by its table) */
    struct luma_arena *arena;
    struct luma_cat_object object;
};

/*
 * A state of the catalogue: entries by ascending id, and an open-addressing table over the names
 * that must be unique. Private views (of a transaction with DDL) change in place; shared ones
 * never.
 */
struct luma_cat_view {
    uint32_t refs;       /* atomic */
    bool private;        /* of one transaction, which has changed it */
    uint64_t undo_count; /* private: lk_txn_undo_count when it was made */
    uint64_t version;
    struct lki_catalog_entry **entries;
    size_t entries_count, entries_room;
    struct lki_catalog_entry **names;
    size_t names_room; /* power of two */
};

/* --- body.c: objects as bytes --- */
LUMA_NODISCARD bool lki_catalog_body_write(struct lk_bytes *out,
                                           const struct luma_cat_object *object);
/* Everything the object points to is in arena. LUMA_E_CORRUPT when the bytes are not a body. */
LUMA_NODISCARD luma_rc lki_catalog_body_read(struct luma_ctx *ctx, struct luma_slice body,
                                             struct luma_arena *arena,
                                             struct luma_cat_object *out_object);

/* --- view.c --- */
LUMA_NODISCARD luma_rc lki_catalog_entry_create(struct luma_ctx *ctx, struct luma_slice body,
                                                int64_t rowid,
                                                struct lki_catalog_entry **out_entry);
void lki_catalog_entry_unref(struct lki_catalog_entry *entry); /* NULL is fine */
struct luma_cat_view *lki_catalog_view_create(void);           /* empty; NULL: no memory */
/* A private copy that shares the entries; NULL: no memory. */
struct luma_cat_view *lki_catalog_view_copy(const struct luma_cat_view *view);
void lki_catalog_view_ref(struct luma_cat_view *view);
void lki_catalog_view_unref(struct luma_cat_view *view); /* NULL is fine */
struct lki_catalog_entry *lki_catalog_view_find(const struct luma_cat_view *view, uint64_t id);
/* Another object (id differs from `id`) that has this name where names must be unique, or NULL. */
const struct luma_cat_object *lki_catalog_view_named(const struct luma_cat_view *view,
                                                     enum luma_cat_kind kind, uint64_t schema_id,
                                                     const char *name);
/* Puts an entry in, replacing the one of its id, with the indexes a table describes; keeps the
 * reference it is given. Takes it out again with them. Private views only. */
LUMA_NODISCARD luma_rc lki_catalog_view_put(struct luma_ctx *ctx, struct luma_cat_view *view,
                                            struct lki_catalog_entry *entry);
void lki_catalog_view_remove(struct luma_cat_view *view, uint64_t id);

/* --- verifier.c --- */
LUMA_NODISCARD luma_rc lki_catalog_make_verifier(struct luma_ctx *ctx, const char *password,
                                                 struct luma_arena *arena,
                                                 const char **out_verifier);

/* --- tiers.c --- */
struct lk_tier_policy;
/* Of a table's options. LUMA_E_INVALID (22023) names what is wrong. */
LUMA_NODISCARD luma_rc lki_catalog_tier_read(struct luma_ctx *ctx, const char *options,
                                             struct lk_tier_policy *out);
/* Tells the storage the tiers of tables that differ from those of `old` (NULL: none). */
void lki_catalog_tiers_follow(const struct luma_cat_view *old, const struct luma_cat_view *view);

/* --- rights.c --- */
bool lki_catalog_may(const struct luma_cat_view *view, uint64_t role_id,
                     const struct luma_cat_object *object, uint32_t col_id, uint32_t rights);
LUMA_NODISCARD luma_rc lki_catalog_check_role(struct luma_ctx *ctx,
                                              const struct luma_cat_view *view, uint64_t role_id,
                                              const struct luma_cat_object *object, uint32_t col_id,
                                              uint32_t rights);

/* --- ddl.c --- */
LUMA_NODISCARD luma_rc lki_catalog_put(struct luma_ctx *ctx, struct luma_txn *txn,
                                       const struct luma_cat_object *object);
LUMA_NODISCARD luma_rc lki_catalog_remove(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t id);

/* --- load.c --- */
/* A view of the rows as txn sees them, own changes included. *out_lock_rowid: the row that DDL
 * locks. */
LUMA_NODISCARD luma_rc lki_catalog_load(struct luma_ctx *ctx, struct luma_txn *txn,
                                        struct luma_cat_view **out_view, int64_t *out_lock_rowid);
/* Is there a catalogue in the store? Makes the system collection and the first objects if not. */
LUMA_NODISCARD luma_rc lki_catalog_bootstrap(struct luma_ctx *ctx, struct luma_txn *txn);
LUMA_NODISCARD luma_rc lki_catalog_row_insert(struct luma_ctx *ctx, struct luma_txn *txn,
                                              uint64_t id, uint32_t kind, struct luma_slice body,
                                              int64_t *out_rowid);
LUMA_NODISCARD luma_rc lki_catalog_row_update(struct luma_ctx *ctx, struct luma_txn *txn,
                                              int64_t rowid, struct luma_slice body);
LUMA_NODISCARD luma_rc lki_catalog_row_remove(struct luma_ctx *ctx, struct luma_txn *txn,
                                              int64_t rowid);
LUMA_NODISCARD luma_rc lki_catalog_row_lock(struct luma_ctx *ctx, struct luma_txn *txn,
                                            int64_t rowid);

/* --- catalog.c --- */
/* The private view of a transaction with DDL, made (and the DDL lock taken) by the first call. */
LUMA_NODISCARD luma_rc lki_catalog_private(struct luma_ctx *ctx, struct luma_txn *txn,
                                           struct luma_cat_view **out_view);

/* --- sequence.c --- */
LUMA_NODISCARD luma_rc lki_catalog_sequence_next(struct luma_ctx *ctx, struct luma_txn *txn,
                                                 const struct luma_cat_object *sequence,
                                                 uint32_t count, int64_t *out_first,
                                                 uint32_t *out_count);
LUMA_NODISCARD luma_rc lki_catalog_sequence_set(struct luma_ctx *ctx, struct luma_txn *txn,
                                                const struct luma_cat_object *sequence,
                                                int64_t value, bool is_called);
bool lki_catalog_sequence_last(const struct luma_cat_object *sequence, int64_t *out_last);
uint64_t lki_catalog_next_id(struct luma_ctx *ctx, struct luma_txn *txn);

#endif
