/*
 * storage/store.h - the store: one data folder with its log, manifest, objects and hot rows.
 *
 * Storage knows no names. Physical definitions (columns, indexes) are redo operations of the
 * transaction that makes them; they live in log and manifest, so that recovery needs no catalogue.
 * Collections with ids below LK_STORE_SYSTEM_END belong to the kernel.
 *
 * Rows are reached through lk_store_host, transactions through lk_txn_host; both work on the store
 * that was opened last (there is one a process; tests open one after the other).
 */
#ifndef LK_STORAGE_STORE_H
#define LK_STORAGE_STORE_H

#include <lumadb/host/sched.h>
#include <lumadb/host/store.h>
#include <lumadb/host/txn.h>

struct lk_io;
struct lk_store;
struct luma_budget;
struct luma_host_services;

#define LK_STORE_SYSTEM_END 1000
#define LK_STORE_RESTORING  "restoring" /* a file that is there while a folder is restored */

/*
 * Where the segments of a collection lie. RAM: all in memory, as far as half the cache goes. SSD:
 * on disk; what is read once takes no memory from others. HYBRID: as RAM would have no room for:
 * the cache has what is used, except that segments older than `age_us`, or beyond the newest
 * `bytes` of the collection, are as SSD.
 */
enum lk_tier { LK_TIER_DEFAULT = 0, LK_TIER_RAM = 1, LK_TIER_SSD = 2, LK_TIER_HYBRID = 3 };
#define LK_TIER_NO_LIMIT (-1)
struct lk_tier_policy {
    enum lk_tier tier;
    int64_t age_us, bytes; /* 0: as configured; LK_TIER_NO_LIMIT */
};
const char *lk_tier_name(enum lk_tier tier);

struct lk_store_conf {
    struct lk_io *io;
    const char *dir;                           /* made when it is not there */
    const struct luma_host_services *services; /* index kinds, codecs, encodings; NULL: none */
    const struct luma_host_sched *sched;       /* NULL: waiting blocks the thread (tools, tests) */
    struct luma_budget *budget;                /* parent of the store's budgets; NULL: the root */
    const char *codec;                         /* byte codec of new segments; NULL: best there is */
    bool async;                                /* commits wait for the OS, not for the disk */
    uint64_t async_flush_ns;                   /* at most so long between syncs then */
    uint64_t hot_bytes;                        /* limit of rows not yet in segments */
    uint64_t
        large_bytes; /* changes of a transaction beyond this become objects; 0: half of hot_bytes */
    uint64_t replay_bytes; /* rows of the log that recovery gathers before it writes them to
                              objects; 0: half of hot_bytes */
    uint64_t cache_bytes;
    uint64_t wal_file_bytes;
    uint64_t checkpoint_wal_bytes;  /* log since the last checkpoint that asks for the next */
    uint64_t checkpoint_ns;         /* time after which a checkpoint is due if anything changed */
    uint64_t snapshot_age_ns;       /* older snapshots are taken away; 0: none is */
    uint64_t history_ns;            /* past that stays readable; 0: none */
    uint64_t small_bytes;           /* hot rows below this share an object with other collections */
    const char *wal_archive;        /* folder for copies of full log files; NULL: none are made */
    bool restoring;                 /* the folder is being restored; else such a one is refused */
    uint64_t until_commit;          /* a restore replays no commit after this one; 0: all */
    int64_t until_us;               /* nor after this time */
    uint64_t build_rows;            /* collections from this size on are indexed beside writers */
    void (*build_pause)(void *arg); /* tests: called in the middle of such a build; NULL: none */
    void *build_pause_arg;
    void (*merge_pause)(void *arg); /* and of a merge, before it judges or is published */
    void *merge_pause_arg;
    const char *cold_dir;       /* folder for old segments of hybrid collections; NULL: none */
    struct lk_tier_policy tier; /* of collections that say nothing else */
    bool wal_inline;            /* committers write the log themselves: no thread is started */
};

/* Defaults of everything but io and dir. */
void lk_store_conf_default(struct lk_store_conf *conf);

/*
 * Opens or makes the data folder, recovers, and makes it the store of the host tables.
 *
 * Keeps:   conf's pointers until lk_store_close; dir is copied.
 * Errors:  LUMA_E_CORRUPT names file and offset; LUMA_E_BUSY another process has the folder open;
 *          LUMA_E_MODULE an index kind or codec that stored data needs is absent.
 */
LUMA_NODISCARD luma_rc lk_store_open(struct luma_ctx *ctx, const struct lk_store_conf *conf,
                                     struct lk_store **out_store);
/* Background work: checkpoints when due, merges. Needs conf->sched. */
LUMA_NODISCARD luma_rc lk_store_start(struct luma_ctx *ctx, struct lk_store *store);
/* Ends background work; waits for what is under way. Called before the scheduler stops. */
void lk_store_stop(struct lk_store *store);
/* No transaction is open any more. NULL is fine. Does not checkpoint: recovery replays the log. */
void lk_store_close(struct lk_store *store);

/* Moves everything committed into objects and trims the log. */
LUMA_NODISCARD luma_rc lk_store_checkpoint(struct luma_ctx *ctx, struct lk_store *store);
/* The same, and the committed rows of a collection are in segments then, even if they are few. */
LUMA_NODISCARD luma_rc lk_store_flush(struct luma_ctx *ctx, struct lk_store *store,
                                      uint64_t coll_id);
/* Gives back what checkpoints left in memory and nobody needs any more. true: more can go when
 * readers let go of it, in a moment. */
bool lk_store_sweep(struct lk_store *store);
/* Merges segments and runs that are due; *out_work false: nothing was. */
LUMA_NODISCARD luma_rc lk_store_merge(struct luma_ctx *ctx, struct lk_store *store, bool *out_work);

/* The policy of a collection, with what messages call it; background work follows. Not stored: the
 * catalogue says it again after each start. */
void lk_store_set_tier(struct lk_store *store, uint64_t coll_id,
                       const struct lk_tier_policy *policy, const char *name);
/* One pass over all collections: what their policies ask, done. */
LUMA_NODISCARD luma_rc lk_store_tiers(struct luma_ctx *ctx, struct lk_store *store);

/* True when the folder held no store before lk_store_open. */
bool lk_store_is_new(const struct lk_store *store);
/* Identity of the data folder, made at random once. */
uint64_t lk_store_id(const struct lk_store *store);

/* --- definitions: by the catalogue, in the transaction that changes its rows --- */
/* Creates the collection, or gives it this definition: columns and indexes that are new or gone.
 * Locks it against other writers until the transaction ends; a new index is built from the rows
 * (LUMA_E_UNIQUE when they break it). def is borrowed. */
LUMA_NODISCARD luma_rc lk_store_define(struct luma_ctx *ctx, struct luma_txn *txn,
                                       const struct luma_store_coll *def);
LUMA_NODISCARD luma_rc lk_store_drop(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t coll_id);

/* --- sequences: not undone by a rollback --- */
struct lk_sequence_spec {
    int64_t start, increment, min, max;
    bool cycle;
};
/* The next count values: *out_first, *out_first + increment, ... (fewer when the end is near:
 * *out_count). LUMA_E_RANGE (2200H) at the end of a sequence that does not cycle. spec is what the
 * catalogue holds; the store keeps the position only. The commit of txn makes it durable. */
LUMA_NODISCARD luma_rc lk_store_sequence_next(struct luma_ctx *ctx, struct luma_txn *txn,
                                              uint64_t seq_id, const struct lk_sequence_spec *spec,
                                              uint32_t count, int64_t *out_first,
                                              uint32_t *out_count);
/* The next value given out will be `value` (called false) or the one after it (called true). */
LUMA_NODISCARD luma_rc lk_store_sequence_set(struct luma_ctx *ctx, struct luma_txn *txn,
                                             uint64_t seq_id, int64_t value, bool called);
/* Last value given out by anyone; false: none yet. */
bool lk_store_sequence_peek(struct lk_store *store, uint64_t seq_id, int64_t *out_last);
void lk_store_sequence_forget(struct luma_txn *txn, uint64_t seq_id); /* dropped by txn's commit */

/* --- `lumadb check DIR`: the folder is not open elsewhere; reads everything, changes nothing ---
 */

/* What a check says; each may be NULL. */
struct lk_check_say {
    void (*line)(void *arg, const char *text);   /* what was looked at */
    void (*damage)(void *arg, const char *text); /* what is not as it was written */
    void (*progress)(void *arg, uint64_t done_bytes, uint64_t all_bytes);
    void *arg;
};
/* LUMA_E_CORRUPT when anything is damaged; it is all said before. say NULL: nothing is. */
LUMA_NODISCARD luma_rc lk_store_check(struct luma_ctx *ctx, const struct lk_store_conf *conf,
                                      const struct lk_check_say *say);

/* The store the host tables work on; NULL: none is open. */
struct lk_store *lk_store_current(void);

extern const struct luma_host_txn lk_txn_host;
extern const struct luma_host_store lk_store_host;

#endif
