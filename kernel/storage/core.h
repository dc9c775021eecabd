/*
 * storage/core.h - the store from inside: what kernel/txn builds rows and commits on.
 *
 * A collection's rows lie in hot tables and segments; a view names all of them at one moment. Views
 * are immutable and counted: a reader takes one after its snapshot and needs no lock from then on.
 * Changes (new versions, ends, stamps of a commit) hold the collection's latch shared, so that the
 * publication of a new view, which holds it alone, sees none half done.
 */
#ifndef LK_STORAGE_CORE_H
#define LK_STORAGE_CORE_H

#include <lumadb/host/host.h>

#include <roaring/roaring.h>

#include "base/mem.h"
#include "data/data.h"
#include "storage/cache/cache.h"
#include "storage/history.h"
#include "storage/hot/hot.h"
#include "storage/manifest/manifest.h"
#include "storage/run/run.h"
#include "storage/segment/segment.h"
#include "storage/store.h"
#include "storage/wait.h"
#include "storage/wal/wal.h"

struct lk_coll;

#define LK_INDEX_COLS_MAX 32

/* --- definitions --- */

/* A definition with what is derived from it; immutable, counted. */
struct lk_def {
    _Atomic uint32_t refs;
    struct luma_arena *arena;
    struct luma_store_coll coll;
    struct lk_tuple_column *tuple_cols; /* ascending id */
    uint32_t *positions;                /* of tuple_cols in coll.cols */
    uint32_t ids_known;                 /* highest column id */
};

LUMA_NODISCARD luma_rc lk_def_create(const struct luma_store_coll *coll, struct lk_def **out_def);
void lk_def_ref(struct lk_def *def);
void lk_def_unref(struct lk_def *def);
/* Position of a column in def->coll.cols, or -1. */
int32_t lk_def_col(const struct lk_def *def, uint32_t col_id);
LUMA_NODISCARD bool lk_def_write(const struct luma_store_coll *coll, struct lk_bytes *out);
LUMA_NODISCARD luma_rc lk_def_read(struct luma_slice bytes, struct lk_def **out_def);

/* A run and the commit (or the transaction in progress) that brought it. */
struct lk_cidx_run {
    struct lk_run_info info;
    _Atomic uint64_t begin;
};

/* An index of a collection, shared by the views that have it. */
struct lk_cidx {
    _Atomic uint32_t refs;
    struct lk_mutex runs_lock; /* CIDX_RUNS */
    struct lk_cidx_run *runs;
    uint32_t runs_count, runs_room;
    struct lk_def *def; /* holds `index` */
    const struct luma_store_index *index_def;
    struct lk_index *index;
    struct luma_type types[LK_INDEX_COLS_MAX];
    _Atomic bool damaged; /* a run cannot be read: nothing is looked up before it is rebuilt */
    char *damage;         /* what was found; under runs_lock */
    _Atomic uint64_t heal_after_ns; /* it could not be rebuilt: no attempt before */
    /* While it is built: segments that bulk loads brought, whose rows it lacks; under runs_lock. */
    struct lk_seg **missed;
    uint32_t missed_count, missed_room;
};

/* --- segments in use --- */

/* Deletes of rows of one group that are younger than the delete map. */
struct lk_young_entry {
    uint32_t row_plus1; /* 0: free; UINT32_MAX: was used */
    uint32_t command;
    _Atomic uint64_t stamp;
};
struct lk_young_group {
    uint32_t count, used, room;
    struct lk_young_entry *entries;
};

/* Ends of many rows of a segment: a large transaction's delete map, or what an old snapshot does
 * not see yet. */
struct lk_claim {
    struct lk_claim *next;
    _Atomic uint64_t stamp;
    uint32_t command;
    bool weak; /* no key was changed: who locks FOR KEY SHARE does not mind */
    roaring_bitmap_t *rows;
};

struct lk_seg {
    _Atomic uint32_t refs;
    struct lk_segment *segment; /* NULL: it could not be opened, broken says why */
    char *broken;
    struct lk_objects *objects;
    struct lk_segment_info info;
    _Atomic uint64_t begin; /* stamp of the bulk load that brings it; 0: rows have their own */
    uint32_t begin_command;
    _Atomic bool remove;  /* no manifest names it any more: the object goes with the last ref */
    _Atomic bool dirty;   /* deletes since its delete map was written */
    struct lk_mutex lock; /* SEG_YOUNG: the rest */
    _Atomic bool has_deletes;
    roaring_bitmap_t *dead; /* deleted for every snapshot; NULL: none */
    uint32_t groups_count;
    struct lk_young_group *young; /* per group */
    uint64_t young_count;
    struct lk_claim *claims;
    _Atomic int64_t born_us;     /* when its youngest rows came into a segment, since 1970 */
    struct lk_segment_kept kept; /* stays in memory; the background work's */
    _Atomic size_t kept_bytes;   /* of it */
    bool move_failed;            /* the same of moving it */
    bool keep_failed;            /* it could not be read: the background work tries no more */
    /* A merge took the rows over: where the young deletes that it carried have gone. */
    struct lk_seg *moved_to;
    int64_t *moved_rows; /* new row of each old one, -1: dropped; NULL: not moved */
};

LUMA_NODISCARD luma_rc lk_seg_create(struct luma_ctx *ctx, struct lk_store *store,
                                     uint64_t object_id, struct lk_seg **out_seg);
/* Stands for a segment that cannot be opened: who needs its rows is told why, the rest goes on. */
LUMA_NODISCARD luma_rc lk_seg_create_broken(struct luma_ctx *ctx, struct lk_store *store,
                                            const struct lk_segment_info *info, const char *why,
                                            struct lk_seg **out_seg);
/* LUMA_E_CORRUPT for one of those. */
LUMA_NODISCARD luma_rc lk_seg_usable(struct luma_ctx *ctx, const struct lk_seg *seg);
void lk_seg_ref(struct lk_seg *seg);
void lk_seg_unref(struct lk_seg *seg); /* NULL is fine */
/* Sets or replaces the end of a row. */
LUMA_NODISCARD luma_rc lk_seg_end(struct lk_seg *seg, uint32_t row, uint64_t stamp,
                                  uint32_t command);
/* The end changes from `from` to `to`, if it is `from` still; to NONE takes it away. */
void lk_seg_restamp(struct lk_seg *seg, uint32_t row, uint64_t from, uint64_t to);
/* End stamp of a row: LK_STAMP_NONE when it has none, 1 when it is dead for all. */
uint64_t lk_seg_end_of(struct lk_seg *seg, const struct lk_slots *slots, uint32_t row,
                       uint32_t *out_command);
/* Clears the bits of rows first .. first + n - 1 (of one group) that the snapshot sees deleted. */
LUMA_NODISCARD luma_rc lk_seg_live(struct lk_seg *seg, struct lk_snapshot *snap, uint32_t first,
                                   uint32_t n, uint64_t *bits);
/* When the first of its rows may have begun. */
uint64_t lk_seg_born(const struct lk_seg *seg, const struct lk_slots *slots);
/* Clears the bits of rows first .. first + n - 1 (of one group) that nobody needs any more. */
void lk_seg_needed(struct lk_seg *seg, const struct lk_slots *slots, const struct lk_needs *needs,
                   uint32_t first, uint32_t n, uint64_t *bits);
/* How many rows nobody needs any more. */
uint64_t lk_seg_gone(struct lk_seg *seg, const struct lk_slots *slots,
                     const struct lk_needs *needs);
/* Rows deleted at or before commit, as a new bitmap, for the disk; they leave the young table. */
LUMA_NODISCARD luma_rc lk_seg_fold(struct lk_seg *seg, const struct lk_slots *slots,
                                   uint64_t commit, const struct lk_needs *needs,
                                   roaring_bitmap_t **out_bitmap);
/* Puts the deletes of `from` into `to`; rows: its row of each old one, -1: none. */
LUMA_NODISCARD luma_rc lk_seg_carry(struct lk_seg *from, struct lk_seg *to, const int64_t *rows);
/* Adds the rows of the result of a merge whose old ones have ended at or before `commit`. */
void lk_seg_carried(struct lk_seg *from, const struct lk_slots *slots, uint64_t commit,
                    const int64_t *rows, roaring_bitmap_t *ended);
/* --- claims.c: ends of many rows at once --- */
/* Rows that the transaction with this stamp has ended, or (at recovery) a commit: their young
 * entries with the same stamp go. They join a claim of the same stamp whose command is at least
 * `floor`, which gets the later command of the two. rows is borrowed. */
LUMA_NODISCARD luma_rc lk_seg_claim(struct lk_seg *seg, uint64_t stamp, uint32_t command,
                                    uint32_t floor, bool weak, const roaring_bitmap_t *rows);
/* Takes rows out of the claims with this stamp. */
void lk_seg_unclaim(struct lk_seg *seg, uint64_t stamp, const roaring_bitmap_t *rows);
/* All claims with stamp `from` become final. */
void lk_seg_claims_restamp(struct lk_seg *seg, uint64_t from, uint64_t to);
/* Is the row's end in a claim? Weakly: in one that changed no key. */
enum lk_claimed { LK_CLAIMED_NOT, LK_CLAIMED_WEAKLY, LK_CLAIMED };
enum lk_claimed lk_seg_claimed(struct lk_seg *seg, uint32_t row);
/* Used by seg.c, the segment's lock held. */
struct lk_claim *lk_claim_of(const struct lk_seg *seg, uint32_t row);
/* The rows of the claim with this commit number, which may be a new one; NULL: out of memory. */
roaring_bitmap_t *lk_claim_like(struct lk_seg *seg, uint64_t stamp);
/* Young entries with this stamp go. */
void lk_young_take_out(struct lk_seg *seg, uint64_t stamp, const roaring_bitmap_t *rows);
LUMA_NODISCARD luma_rc lk_claims_carry(const struct lk_seg *from, struct lk_seg *to,
                                       const int64_t *rows);
void lk_claims_free(struct lk_seg *seg);

/* --- when rows ended, for a history that outlives the process (ends.c) --- */

struct lk_end {
    uint64_t commit;
    uint32_t row;
};
struct lk_ends {
    struct lk_end *items;
    size_t count, room;
};
void lk_ends_fini(struct lk_ends *ends);
/* Rows that ended after `from` and up to `to`; rows: their numbers in a segment that took them over
 * (-1: not there), NULL: as they are. LUMA_E_NOMEM. */
LUMA_NODISCARD luma_rc lk_ends_gather(struct lk_seg *seg, const struct lk_slots *slots,
                                      uint64_t from, uint64_t to, const int64_t *rows,
                                      struct lk_ends *out);
/* Sorts them; base: all of them came later. */
LUMA_NODISCARD bool lk_ends_write(struct lk_ends *ends, uint64_t base, struct lk_bytes *out);
/* Rows of the segment's delete map that ended after `floor` leave it for ends of their own, as if
 * they had been deleted since the start. LUMA_E_CORRUPT: some may have. */
LUMA_NODISCARD luma_rc lk_ends_read(struct luma_ctx *ctx, struct lk_seg *seg,
                                    struct luma_slice bytes, uint64_t floor);

/* Takes bitmap: at recovery. */
void lk_seg_set_dead(struct lk_seg *seg, roaring_bitmap_t *bitmap);
uint64_t lk_seg_deleted(struct lk_seg *seg); /* rows, roughly */
/* Is the row's begin seen? */
LUMA_NODISCARD luma_rc lk_seg_begin_seen(struct luma_ctx *ctx, struct lk_seg *seg, uint32_t row,
                                         struct lk_snapshot *snap, bool *out_seen);
/* Does the snapshot see every row's begin, without a look at each? */
bool lk_seg_begin_all(struct lk_seg *seg, struct lk_snapshot *snap);
bool lk_seg_begin_none(struct lk_seg *seg, struct lk_snapshot *snap);

/* --- views --- */

struct lk_view {
    _Atomic uint32_t refs;
    uint64_t gen;
    struct lk_coll *coll;
    struct lk_view *live_next, **live_link; /* in the collection's list of views in use */
    struct lk_def *def;
    uint32_t hots_count; /* hots[0] takes new versions */
    struct lk_hot **hots;
    uint32_t segs_count;
    struct lk_seg **segs; /* ascending rowid_min */
    int64_t *reach;       /* highest rowid_max of segs[0..i] */
    uint32_t idx_count;
    struct lk_cidx **idx; /* as in def, then those being built: writers give them entries too */
    uint32_t building_count;
};

/* Copies of the lists (idx has idx_count + building_count); every element gets a reference of the
 * view's own. */
LUMA_NODISCARD luma_rc lk_view_create(struct lk_coll *coll, struct lk_def *def,
                                      struct lk_hot *const *hots, uint32_t hots_count,
                                      struct lk_seg *const *segs, uint32_t segs_count,
                                      struct lk_cidx *const *idx, uint32_t idx_count,
                                      uint32_t building_count, uint64_t gen,
                                      struct lk_view **out_view);
void lk_view_ref(struct lk_view *view);
void lk_view_unref(struct lk_view *view); /* NULL is fine */
/* The oldest generation of a view in use that has this hot table; UINT64_MAX: none has. */
uint64_t lk_view_oldest(struct lk_coll *coll, const struct lk_hot *hot);
struct lk_cidx *lk_view_index(const struct lk_view *view, uint64_t index_id);

LUMA_NODISCARD luma_rc lk_cidx_create(struct luma_ctx *ctx, struct lk_store *store,
                                      struct lk_def *def, const struct luma_store_index *index_def,
                                      struct lk_cidx **out_cidx);
/* Remembers a run that lk_index has: what a checkpoint names. begin 0: every checkpoint. */
LUMA_NODISCARD luma_rc lk_cidx_run_add(struct lk_cidx *cidx, const struct lk_run_info *info,
                                       uint64_t begin);
void lk_cidx_run_remove(struct lk_cidx *cidx, uint64_t object_id);
void lk_cidx_run_restamp(struct lk_cidx *cidx, uint64_t from, uint64_t to);
/* Runs stamped `stamp` are given up: their files go when nobody reads them any more. */
void lk_cidx_runs_discard(struct lk_store *store, struct lk_cidx *cidx, uint64_t stamp);
/* The same for one run, if it has not been given up yet. */
void lk_cidx_run_discard(struct lk_store *store, struct lk_cidx *cidx, uint64_t object_id);
/* A bulk load brings a segment to a collection while the index is being built. */
LUMA_NODISCARD luma_rc lk_cidx_missed_add(struct lk_cidx *cidx, struct lk_seg *seg);
/* Takes the list: *out_segs is freed by the caller, with the references in it. */
void lk_cidx_missed_take(struct lk_cidx *cidx, struct lk_seg ***out_segs, uint32_t *out_count);
/* Are all runs named by the manifest (or by nothing that is ever read again)? */
bool lk_cidx_settled(const struct lk_store *store, struct lk_cidx *cidx);
/* The same of one run; its runs_lock is held. */
bool lk_cidx_run_settled(const struct lk_store *store, const struct lk_cidx_run *run);
void lk_cidx_ref(struct lk_cidx *cidx);
void lk_cidx_unref(struct lk_cidx *cidx);

struct lk_coll {
    uint64_t id;
    struct lk_store *store;
    struct lk_coll *next; /* in the table */
    struct lk_rwlock latch;
    struct lk_mutex view_lock;
    struct lk_view *view;      /* NULL: dropped, or not committed yet; under view_lock */
    struct lk_view *pending;   /* what pending_txn sees instead: DDL, TRUNCATE */
    struct lk_mutex live_lock; /* COLL_LIVE */
    struct lk_view *live;      /* every view somebody holds, under live_lock */
    struct luma_txn *pending_txn;
    _Atomic uint64_t view_serial; /* grows with each publication */
    _Atomic int64_t next_rowid;
    _Atomic uint64_t touched;      /* newest commit that changed it */
    _Atomic uint64_t history_from; /* what older snapshots saw is gone: TRUNCATE, other columns */
    uint64_t gen;                  /* of views, grows with each flush */
    uint64_t published_gen;        /* newest one that is in a view; under the latch */
    uint64_t rows_pack;            /* object that holds its few rows; 0: none. Checkpoint's. */
    uint64_t covered;              /* commit its objects describe. Checkpoint's. */
    struct lk_coll *left_next;     /* in the store's list `left` */
    bool is_left;
    uint64_t merge_after;       /* no segments are merged before what ended here is not needed */
    struct lk_tier_policy tier; /* what the catalogue says; under view_lock, with its name */
    char tier_name[64];
    bool tiered;       /* its segments may have other places than the default. Tiers' */
    bool tier_short;   /* it was said that they do not all fit into memory. Tiers' */
    char *rows_broken; /* its few rows in a pack cannot be read, for this reason */
};

/* NULL: there is none. Collections live as long as the store. */
struct lk_coll *lk_coll_find(struct lk_store *store, uint64_t coll_id);
LUMA_NODISCARD luma_rc lk_coll_ensure(struct luma_ctx *ctx, struct lk_store *store,
                                      uint64_t coll_id, struct lk_coll **out_coll);
/* The view txn works with (NULL txn: the committed one), with a reference; NULL: none. */
struct lk_view *lk_coll_view(struct lk_coll *coll, const struct luma_txn *txn);
/* Replaces the committed view; takes the reference. The latch is held alone. */
void lk_coll_publish(struct lk_coll *coll, struct lk_view *view);
/*
 * A view for a definition, built on `old` (NULL: nothing is there yet): indexes that both have are
 * shared, new ones are those of `built`, or empty. empty: no rows either, and every index anew.
 */
LUMA_NODISCARD luma_rc lk_view_define(struct luma_ctx *ctx, struct lk_coll *coll,
                                      struct lk_def *def, const struct lk_view *old, bool empty,
                                      struct lk_cidx *const *built, uint32_t built_count,
                                      struct lk_view **out_view);
/* What a publication changes; applied to the committed view and to a pending one alike. */
struct lk_view_edit {
    struct lk_hot *hot_front; /* takes new versions from here on; NULL: as before */
    const struct lk_hot *const *hots_gone;
    uint32_t hots_gone_count;
    struct lk_seg *const *segs_new;
    uint32_t segs_new_count;
    struct lk_seg *const *segs_gone;
    uint32_t segs_gone_count;
    struct lk_cidx *building_new;        /* writers give it entries from here on */
    const struct lk_cidx *building_gone; /* no longer */
    uint64_t gen;                        /* 0: as before */
};
/* Does the new view show older snapshots what the old one did? */
bool lk_view_same_rows(const struct lk_view *old, const struct lk_view *view);
/* Publishes; the latch is held alone. LUMA_E_NOMEM: nothing changed. */
LUMA_NODISCARD luma_rc lk_coll_edit(struct lk_coll *coll, const struct lk_view_edit *edit);
/* The same for what only the transaction with the pending view sees. */
LUMA_NODISCARD luma_rc lk_coll_edit_pending(struct lk_coll *coll, const struct lk_view_edit *edit);
/* Adds segments, taking the latch. */
LUMA_NODISCARD luma_rc lk_coll_add_segs(struct luma_ctx *ctx, struct lk_coll *coll,
                                        struct lk_seg *const *segs, uint32_t count);
LUMA_NODISCARD luma_rc lk_colls_each(struct lk_store *store,
                                     luma_rc (*fn)(void *arg, struct lk_coll *coll), void *arg);

/* --- tier/ --- */

/* What the manifest says of places, and one in conf.cold_dir. */
LUMA_NODISCARD luma_rc lk_places_open(struct luma_ctx *ctx, struct lk_store *store, bool read_only);
void lk_places_close(struct lk_store *store);
/* Moves a segment's object, if the manifest names it. The merge lock is held. */
LUMA_NODISCARD luma_rc lk_seg_move(struct luma_ctx *ctx, struct lk_store *store, struct lk_seg *seg,
                                   uint32_t place);
/* The policy in force, defaults filled in: age_us and bytes 0: no limit. */
void lk_coll_tier(struct lk_coll *coll, struct lk_tier_policy *out);

/* --- rows in a view --- */

/* Where a version is. */
struct lk_place {
    struct lk_hot *hot; /* NULL: in a segment */
    struct lk_version *version;
    struct lk_seg *seg;
    uint32_t row;
    uint64_t begin; /* resolved */
};

/* The version of a row that the snapshot sees. May park on a segment. */
LUMA_NODISCARD luma_rc lk_row_find(struct luma_ctx *ctx, struct lk_view *view, int64_t rowid,
                                   struct lk_snapshot *snap, struct lk_place *out_place,
                                   bool *out_found);
/*
 * The version that is current for a writer with stamp `own`: begun by a commit or by itself, and
 * not ended by either. *out_other: the stamp of a transaction in progress that has ended it (0:
 * none). keep: who holds no lock of the row gets a copy of a hot version there; NULL: the
 * version itself, which nobody else can end or take back.
 */
LUMA_NODISCARD luma_rc lk_row_current(struct luma_ctx *ctx, struct lk_view *view,
                                      const struct lk_slots *slots, int64_t rowid, uint64_t own,
                                      struct lk_bytes *keep, struct lk_place *out_place,
                                      bool *out_found, uint64_t *out_other);
/* A version of the row that another transaction in progress has begun; *out_other: its stamp. */
LUMA_NODISCARD luma_rc lk_row_pending(struct luma_ctx *ctx, struct lk_view *view,
                                      const struct lk_slots *slots, int64_t rowid, uint64_t own,
                                      struct lk_bytes *keep, struct lk_place *out_place,
                                      bool *out_found, uint64_t *out_other);
/* One column of a version. Bytes borrow the tuple (held with the view) or lie in arena. */
LUMA_NODISCARD luma_rc lk_place_value(struct luma_ctx *ctx, const struct lk_view *view,
                                      const struct lk_place *place, uint32_t col_id,
                                      struct luma_arena *arena, struct luma_value *out);

/* --- keys --- */

/* Appends the key of these values (in order of the index's columns, count of them). *out_null (may
 * be NULL): one of them is null. */
LUMA_NODISCARD luma_rc lk_key_values(struct lk_bytes *out, const struct lk_cidx *cidx,
                                     const struct luma_value *values, uint32_t count,
                                     bool *out_null);
/* The key of row `row` of a batch whose columns are def's, in def's order. */
LUMA_NODISCARD luma_rc lk_key_batch(struct lk_bytes *out, const struct lk_cidx *cidx,
                                    const struct lk_def *def, const struct luma_vec *const *cols,
                                    uint32_t row, bool *out_null);
LUMA_NODISCARD luma_rc lk_key_place(struct luma_ctx *ctx, struct lk_bytes *out,
                                    const struct lk_view *view, const struct lk_cidx *cidx,
                                    const struct lk_place *place, struct luma_arena *arena,
                                    bool *out_null);
LUMA_NODISCARD luma_rc lk_key_tuple(struct lk_bytes *out, const struct lk_def *def,
                                    const struct lk_cidx *cidx, const uint8_t *tuple,
                                    bool *out_null);
/* A value as a constant vector that points into it. */
struct luma_vec lk_vec_of(const struct luma_value *value, uint64_t *valid_room);

/* --- entries of rows that are there already (entries.c) --- */

struct lk_entries {
    const struct lk_slots *slots;
    const struct lk_def *def; /* of the rows */
    struct lk_cidx *cidx;
    uint64_t horizon; /* versions that ended up to here are left out */
    /* Takes some entries; nulls: the key has a null in it. May park. */
    luma_rc (*add)(void *arg, struct luma_ctx *ctx, const struct luma_index_entry *entries,
                   const bool *nulls, uint32_t count);
    void *arg;
};
/* Of every version that somebody may see, now or after a commit. A snapshot is registered that
 * keeps them. Segments that cannot be opened are left out of a view's. */
LUMA_NODISCARD luma_rc lk_entries_of_seg(struct luma_ctx *ctx, const struct lk_entries *spec,
                                         struct lk_seg *seg);
LUMA_NODISCARD luma_rc lk_entries_of_hot(struct luma_ctx *ctx, const struct lk_entries *spec,
                                         struct lk_hot *hot);
/* Of some shards, given all at once. */
LUMA_NODISCARD luma_rc lk_entries_of_shards(struct luma_ctx *ctx, const struct lk_entries *spec,
                                            struct lk_hot *hot, uint32_t first, uint32_t count);
LUMA_NODISCARD luma_rc lk_entries_of_view(struct luma_ctx *ctx, const struct lk_entries *spec,
                                          const struct lk_view *view);

/* --- damaged indexes (heal.c) --- */

/* A run cannot be read: nothing is looked up in the index until it is rebuilt. */
void lk_cidx_damage(struct lk_coll *coll, struct lk_cidx *cidx, const char *why);
/* Rebuilds a damaged index from the rows, or waits until somebody has. Takes the work lock. */
LUMA_NODISCARD luma_rc lk_cidx_heal(struct luma_ctx *ctx, struct lk_coll *coll,
                                    struct lk_cidx *cidx);
static inline luma_rc
lk_cidx_usable(struct luma_ctx *ctx, struct lk_coll *coll, struct lk_cidx *cidx)
{
    if (LUMA_LIKELY(!atomic_load_explicit(&cidx->damaged, memory_order_acquire)))
        return LUMA_OK;
    return lk_cidx_heal(ctx, coll, cidx);
}
/* lk_index_find; an index that turns out to be damaged is rebuilt first. */
LUMA_NODISCARD luma_rc lk_cidx_find(struct luma_ctx *ctx, struct lk_coll *coll,
                                    struct lk_cidx *cidx, const struct luma_slice *keys,
                                    size_t count,
                                    void (*emit)(void *arg, size_t key_index, int64_t rowid),
                                    void *arg);
/* Builds a sound index anew. */
LUMA_NODISCARD luma_rc lk_cidx_rebuild(struct luma_ctx *ctx, struct lk_coll *coll,
                                       struct lk_cidx *cidx);
/* Background work: every damaged index, if there is one. */
void lk_store_heal(struct lk_store *store);

/* --- the store --- */

struct lk_sequence {
    uint64_t id;
    struct lk_sequence *next;
    int64_t last;    /* given out last, when has_last */
    int64_t logged;  /* value of the newest log record */
    uint64_t ahead;  /* values that may be given out before the next record */
    uint64_t commit; /* of that record */
    bool has_last, gone;
    bool uncalled; /* `last` itself comes next */
    bool logged_uncalled;
};

struct lk_store_stats {
    struct luma_stat *commits, *rollbacks, *conflicts, *deadlocks, *wal_bytes, *wal_syncs,
        *wal_records, *checkpoints, *checkpoint_ns, *hot_bytes, *segments_written,
        *segment_bytes_written, *merges, *commit_wait, *index_damages, *snapshots_too_old;
};

#define LK_COLLS_BUCKETS     4096
#define LK_SEQUENCES_BUCKETS 256

struct lk_store {
    struct lk_store_conf conf;
    char *dir, *wal_dir;
    struct lk_file *lock_file;
    uint64_t id;
    bool is_new;
    bool settling; /* a checkpoint is made even if nothing has changed */
    struct luma_budget *budget, *hot_budget;
    struct lk_cache *cache;
    struct lk_objects *objects;
    struct lk_formats *formats;
    struct lk_manifest *manifest;
    struct lk_wal *wal;
    uint32_t cold_place; /* where old segments go; 0: nowhere */
    struct lk_file *place_locks[LK_PLACES_MAX];
    struct lk_slots slots;
    struct lk_history history;

    struct lk_rwlock colls_lock;
    struct lk_coll *colls[LK_COLLS_BUCKETS];

    struct lk_mutex commit_lock; /* STORE_COMMIT */
    uint64_t commit;             /* newest commit number given out; visible follows at once */
    struct lk_sequence *sequences[LK_SEQUENCES_BUCKETS];

    struct luma_event refill_lock; /* of sequences */
    struct luma_event work_lock;   /* checkpoints, rebuilding, and the publication of merges */
    struct luma_event merge_lock;  /* merges, from choosing to publication; before work_lock */
    uint64_t checkpoint_commit;    /* what the manifest describes */
    lk_lsn checkpoint_lsn;
    _Atomic uint64_t checkpoint_at_ns;
    _Atomic bool checkpoint_wanted;
    _Atomic uint64_t checkpoints; /* done */
    struct lk_coll *left;         /* collections with frozen hot tables; under the work lock */
    _Atomic uint64_t left_bytes;  /* of those tables */
    _Atomic uint32_t loads;       /* bulk loads since the last one */
    struct luma_event wake;       /* background work */
    struct luma_event ended;
    _Atomic bool stopping, running;
    _Atomic bool heal_wanted;     /* an index is damaged */
    struct lk_mutex archive_lock; /* STORE_ARCHIVE */
    struct lk_archive_item *archive;
    struct luma_cancel stop_cancel;
    struct lk_store_stats stats;
    void *txns; /* kernel/txn's own */

    /* Recovery: objects that the log names. */
    uint64_t *named;
    size_t named_count, named_room;
};

/* Recovery (storage/recovery): fills the store from manifest and log, drops what nothing names. */
LUMA_NODISCARD luma_rc lk_recover(struct luma_ctx *ctx, struct lk_store *store, bool read_only,
                                  struct lk_wal_end *out_end);

/* Reads a section of a pack object, checked; *out_bytes in arena. */
struct lk_pack_place {
    uint64_t object_id, offset, bytes, count;
    uint32_t crc;
};
LUMA_NODISCARD bool lk_pack_place_write(struct lk_bytes *out, const struct lk_pack_place *place);
LUMA_NODISCARD bool lk_pack_place_read(struct luma_slice bytes, struct lk_pack_place *out);
/* The same where more follows. */
void lk_pack_place_take(struct lk_reader *r, struct lk_pack_place *out);
/* Every entry of the manifest whose value begins with a place in a pack. */
LUMA_NODISCARD luma_rc lk_packs_each(const struct lk_manifest *manifest,
                                     luma_rc (*fn)(void *arg, const struct lk_manifest_key *key,
                                                   struct luma_slice value),
                                     void *arg);
LUMA_NODISCARD luma_rc lk_pack_read(struct luma_ctx *ctx, struct lk_store *store,
                                    const struct lk_pack_place *place, struct lk_bytes *out);

/* Opens everything and recovers; kernel/txn adds its own and calls it lk_store_open. */
LUMA_NODISCARD luma_rc lk_core_open(struct luma_ctx *ctx, const struct lk_store_conf *conf,
                                    bool read_only, struct lk_store **out_store);
void lk_core_close(struct lk_store *store);
/* Bytes of hot rows now. */
uint64_t lk_core_hot_bytes(const struct lk_store *store);
/* Is there so much in it that a checkpoint must, or should soon, write it out? What an earlier one
 * left is not counted: it cannot write that. */
bool lk_core_hot_full(const struct lk_store *store);
bool lk_core_hot_much(const struct lk_store *store);
/* Waits while the hot tier is over its limit and a checkpoint can help. LUMA_E_NOMEM: it cannot. */
LUMA_NODISCARD luma_rc lk_core_throttle(struct luma_ctx *ctx, struct lk_store *store);
/* --- sweep.c: what checkpoints leave in memory; the work lock is held --- */
#define LK_SWEEP_TABLES 64 /* that leave a view at once */
/* The collection has frozen tables still. */
void lk_sweep_want(struct lk_coll *coll);
/* Gives back what nobody needs. true: more goes when readers have let go of older views. */
bool lk_sweep(struct lk_store *store);

/* --- archive.c: objects that the log names, copied to conf.wal_archive --- */
#define LK_ARCHIVE_OBJECTS "objects-%016llx" /* folder of the archive, by store id */
void lk_archive_add(struct lk_store *store, enum lk_object_kind kind, uint64_t object_id);
/* Copies what is queued. */
void lk_archive_drain(struct lk_store *store);
void lk_archive_forget(struct lk_store *store);
/* A checkpoint that leaves nothing of the log to be replayed, not even what was not applied. */
LUMA_NODISCARD luma_rc lk_store_settle(struct luma_ctx *ctx, struct lk_store *store);
/* A checkpoint, unless whoever made one before has brought the hot tier below its limit. */
LUMA_NODISCARD luma_rc lk_store_make_room(struct luma_ctx *ctx, struct lk_store *store);
/* Which old versions somebody may see, of those that ended at or before `commit`, which is durable.
 */
void lk_core_needs(struct lk_store *store, uint64_t commit, struct lk_needs *out);
/* Asks for a checkpoint soon. */
void lk_core_want_checkpoint(struct lk_store *store);
struct lk_sequence *lk_core_sequence(struct lk_store *store, uint64_t seq_id, bool create);

#endif
