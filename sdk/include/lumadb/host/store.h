/*
 * lumadb/host/store.h - rows of collections: scans, lookups, changes, bulk loads.
 *
 * Storage knows no names: collections, columns and indexes are ids from the catalogue. A row has a
 * 64-bit row id for life. All calls may park. Columns of batches handed in are FLAT, CONST or DICT,
 * of the column's type (NUMERIC: of the table's physical form, see numeric_vec_as).
 */
#ifndef LUMADB_HOST_STORE_H
#define LUMADB_HOST_STORE_H

#include <lumadb/batch.h>
#include <lumadb/error.h>
#include <lumadb/host/txn.h>
#include <lumadb/kind/simd.h>

struct luma_coll;   /* a collection opened under a transaction */
struct luma_scan;   /* one scan, shared by the parts that run it */
struct luma_cursor; /* one reader of a scan or an index range */
struct luma_bulk;

/* Physical definition of a column: what storage must know. */
struct luma_store_col {
    uint32_t id; /* never reused within the collection; 1.. */
    struct luma_type type;
    struct luma_value
        missing; /* value of rows written before the column was added; bytes borrowed */
};

struct luma_store_index_col {
    uint32_t col_id;
    uint32_t flags; /* enum luma_key_flags */
};

struct luma_store_index {
    uint64_t id;      /* of the catalogue, never reused */
    const char *kind; /* "btree" */
    bool unique;
    bool nulls_not_distinct; /* unique: nulls equal each other (NULLS NOT DISTINCT) */
    bool primary;
    uint32_t cols_count;
    const struct luma_store_index_col *cols;
};

struct luma_store_coll {
    uint64_t id; /* of the catalogue, never reused */
    uint32_t cols_count;
    const struct luma_store_col *cols; /* all that live, in attribute order */
    uint32_t indexes_count;
    const struct luma_store_index *indexes;
};

enum luma_pred_op {
    LUMA_PRED_EQ,
    LUMA_PRED_NE,
    LUMA_PRED_LT,
    LUMA_PRED_LE,
    LUMA_PRED_GT,
    LUMA_PRED_GE, /* as luma_cmp */
    LUMA_PRED_IN, /* values[0..values_count) */
    LUMA_PRED_IS_NULL,
    LUMA_PRED_NOT_NULL,
    LUMA_PRED_BLOOM,   /* values[0].str.ptr: struct luma_pred_bloom; may let wrong rows pass */
    LUMA_PRED_CONTAINS /* of luma_field_pred only: the document contains values[0], as @> */
};

/* A runtime join filter: min/max of the keys and a blocked bloom filter over data->hash values of
 * the one column. Null keys never pass. The values are borrowed until scan_close. */
struct luma_pred_bloom {
    const uint64_t *words;
    uint32_t words_log2; /* 1 .. 40 */
    bool has_range;
    struct luma_value min, max;
};

/* The bits of a hash: four of one word, which the top bits of the hash name. */
static inline uint64_t
luma_bloom_mask(uint64_t hash)
{
    return (uint64_t)1 << (hash & 63) | (uint64_t)1 << ((hash >> 6) & 63) |
           (uint64_t)1 << ((hash >> 12) & 63) | (uint64_t)1 << ((hash >> 18) & 63);
}

static inline bool
luma_bloom_has(const struct luma_pred_bloom *bloom, uint64_t hash)
{
    uint64_t mask = luma_bloom_mask(hash);
    return (bloom->words[hash >> (64 - bloom->words_log2)] & mask) == mask;
}

/* One conjunct: column op constant. Every row that comes back satisfies all of them (BLOOM aside).
 */
struct luma_pred {
    uint32_t col; /* position in luma_scan_spec.cols */
    enum luma_pred_op op;
    uint32_t values_count;
    const struct luma_value *values; /* of the column's type and physical form, not null */
};

/* A step into a document: a member's name, or an element's index from 0. */
struct luma_path_step {
    bool is_index;
    uint32_t index;
    struct luma_slice name;
};

/*
 * A field of a jsonb or json column in place of the column: what `->` (the type) or `->>` (text)
 * gives at the end of the steps, null where there is none. Segments keep common fields as columns
 * of their own: then only those are read.
 *
 * any_type: the vector may come as the numbers that are stored, int8 or numeric with a scale, where
 * text was asked and the text is that of those numbers; its type says so.
 */
struct luma_path {
    const struct luma_path_step *steps;
    uint32_t steps_count; /* 0: the column itself */
    bool any_type;
    struct luma_type type;
    struct luma_type of; /* the column's: jsonb or json */
};

/*
 * A condition on documents or on one of their fields, judged where segments keep the fields as
 * columns: by their zone maps and encoded values. Where storage cannot judge it, rows that do not
 * satisfy it come too, and cursor_fields says so.
 */
struct luma_field_pred {
    uint32_t col; /* position in luma_scan_spec.cols, of a column with a path; CONTAINS: or of
                     jsonb */
    enum luma_pred_op op; /* a comparison, IN, IS_NULL, NOT_NULL or CONTAINS */
    /* What the field's text is cast to before it is compared: TEXT (it is not), INT2, INT4, INT8,
     * FLOAT8, NUMERIC without digits, BOOL. A text that is no such value is an error, so storage
     * judges only where there is none. */
    struct luma_type as;
    uint32_t values_count;
    const struct luma_value *values; /* of that type, not null; CONTAINS: jsonb */
};

#define LUMA_FIELD_PREDS_MAX 64

struct luma_scan_spec {
    const uint32_t *cols; /* column ids, in the order wanted */
    uint32_t cols_count;
    const struct luma_pred *preds;
    uint32_t preds_count;
    bool rowids;                   /* fill batch->rowids */
    bool sample;                   /* for estimates: does not count as read (SERIALIZABLE) */
    const bool *lazy;              /* per column: not decoded until `load`; NULL: none */
    const struct luma_path *paths; /* per column; NULL: no column has one. No predicate is on one */
    const struct luma_field_pred *fields; /* at most LUMA_FIELD_PREDS_MAX */
    uint32_t fields_count;
};

struct luma_scan_stats {
    uint64_t segments, groups, groups_skipped, rows_hot, rows_read, rows_out, bytes_read;
};

/* Bounds on a prefix of an index's columns. Values are of the columns' types. */
struct luma_key_range {
    const struct luma_value *lo, *hi; /* values of the first lo_count / hi_count columns */
    uint32_t lo_count, hi_count;
    bool lo_exclusive, hi_exclusive;
    bool reverse;
};

enum luma_lock_mode {
    LUMA_LOCK_UPDATE = 0,
    LUMA_LOCK_NO_KEY_UPDATE = 1,
    LUMA_LOCK_SHARE = 2,
    LUMA_LOCK_KEY_SHARE = 3
};
enum luma_lock_wait { LUMA_LOCK_WAIT = 0, LUMA_LOCK_NOWAIT = 1, LUMA_LOCK_SKIP = 2 };
enum luma_lock_result {
    LUMA_ROW_LOCKED = 0,  /* as the snapshot saw it */
    LUMA_ROW_CHANGED = 1, /* locked, but a newer version is there: fetch newest, evaluate again */
    LUMA_ROW_GONE = 2,    /* deleted meanwhile */
    LUMA_ROW_SKIPPED = 3  /* LUMA_LOCK_SKIP and somebody holds it */
};

enum luma_conflict_mode {
    LUMA_CONFLICT_FAIL = 0,  /* LUMA_E_UNIQUE, constraint named by its index id in error->constraint
                                as decimal text; the language puts the name in its place */
    LUMA_CONFLICT_SKIP = 1,  /* rows in conflict are left out: ON CONFLICT DO NOTHING */
    LUMA_CONFLICT_REPORT = 2 /* left out, and the conflicting row is locked and told: DO UPDATE */
};

struct luma_insert_opts {
    enum luma_conflict_mode conflict;
    uint64_t conflict_index; /* only this index decides; 0: any unique index */
};

struct luma_col_stats {
    bool known;
    uint64_t rows, nulls;
    double distinct;            /* estimate */
    struct luma_value min, max; /* valid while coll is open; is_null when unknown */
    double width_bytes;         /* average */
};

/* A piece of what a collection consists of. */
struct luma_store_part {
    uint64_t coll_id;
    uint64_t index_id;  /* of runs; 0: rows */
    uint64_t object_id; /* its file; 0: in memory */
    const char *kind;   /* "hot", "segment", "index run", "index hot" */
    uint64_t rows;      /* versions of rows, or entries */
    uint64_t deleted;   /* of them, roughly */
    uint64_t bytes;
    uint32_t level;     /* how often merged */
    const char *damage; /* why it cannot be read; NULL: sound as far as is known */
    /* Since: 0.1 */
    const char *tier;      /* of the collection: "ram", "ssd", "hybrid" */
    const char *place;     /* "memory", "data" (the data folder), "cold" */
    uint64_t memory_bytes; /* in memory now: all of a hot part; cached blocks of an object */
    uint64_t kept_bytes;   /* of them, what stays there */
    int64_t born_us;       /* segments: when their youngest rows came, since 1970 */
};

struct luma_host_store {
    struct luma_head head;

    /* Opens under txn's snapshot and holds the definition; LUMA_E_NOTFOUND. */
    luma_rc (*open)(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t coll_id,
                    struct luma_coll **out_coll);
    void (*close)(struct luma_coll *coll); /* NULL is fine */
    const struct luma_store_coll *(*def)(const struct luma_coll *coll);
    uint64_t (*rows_estimate)(struct luma_coll *coll);
    void (*col_stats)(struct luma_coll *coll, uint32_t col_id, struct luma_col_stats *out);
    uint64_t (*bytes)(struct luma_coll *coll); /* on disk, indexes excluded */
    uint64_t (*index_bytes)(struct luma_coll *coll, uint64_t index_id);

    /* --- scans: in no order; parts run cursors side by side --- */
    luma_rc (*scan_open)(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *coll,
                         const struct luma_scan_spec *spec, struct luma_scan **out_scan);
    uint32_t (*scan_morsels)(
        const struct luma_scan *scan); /* pieces of work left, for choosing parts */
    void (*scan_stats)(const struct luma_scan *scan, struct luma_scan_stats *out);
    void (*scan_close)(struct luma_scan *scan); /* after its cursors */
    /* A reader that takes morsels from the shared scan; ctx is the part's own. */
    luma_rc (*cursor_open)(struct luma_ctx *ctx, struct luma_scan *scan,
                           struct luma_cursor **out_cursor);
    /* Next batch with at least one row, visible and satisfying the predicates; rows 0: end. The
     * batch and what it points to stay valid until the next call on this cursor. The caller may
     * narrow batch->sel before it loads lazy columns. */
    luma_rc (*cursor_next)(struct luma_ctx *ctx, struct luma_cursor *cursor,
                           struct luma_batch **out_batch);
    /* Fills a lazy column for the rows batch->sel names now. */
    luma_rc (*cursor_load)(struct luma_ctx *ctx, struct luma_cursor *cursor,
                           struct luma_batch *batch, uint32_t col);
    void (*cursor_close)(struct luma_cursor *cursor);

    /* --- by row id --- */
    /* Rows by id under the snapshot (newest: the newest version, of rows this transaction has
     * locked). out (arena) has the rows that exist; out_found[i] is row i's position in out or -1.
     */
    luma_rc (*fetch)(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *coll,
                     const int64_t *rowids, uint32_t count, const uint32_t *cols,
                     uint32_t cols_count, bool newest, struct luma_arena *arena,
                     struct luma_batch *out, int32_t *out_found);

    /* --- by index --- */
    /* The one row of a unique index under a full key, columns as values (in arena); *out_rowid -1:
     * none. The point lookup: a few microseconds, usually without parking. */
    luma_rc (*get)(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *coll,
                   uint64_t index_id, const struct luma_value *key, uint32_t key_count,
                   const uint32_t *cols, uint32_t cols_count, struct luma_arena *arena,
                   struct luma_value *out_values, int64_t *out_rowid);
    /* Equality on a full or prefix key for many keys at once: rows in out, out_key_index[i] says
     * which key row i answers. Up to LUMA_BATCH_ROWS rows a call; *inout_state (start at 0)
     * continues; rows 0: end. Vectors keys[0..key_count) have keys_rows rows. */
    luma_rc (*probe)(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *coll,
                     uint64_t index_id, const struct luma_vec *keys, uint32_t key_count,
                     uint32_t keys_rows, const uint32_t *cols, uint32_t cols_count, bool rowids,
                     struct luma_arena *arena, struct luma_batch *out, uint32_t *out_key_index,
                     uint64_t *inout_state);
    /* A range in key order (ORDERED kinds) as a cursor for cursor_next; preds of spec are applied.
     */
    luma_rc (*index_scan)(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *coll,
                          uint64_t index_id, const struct luma_key_range *range,
                          const struct luma_scan_spec *spec, struct luma_cursor **out_cursor);
    uint64_t (*index_estimate)(struct luma_ctx *ctx, struct luma_coll *coll, uint64_t index_id,
                               const struct luma_key_range *range);

    /* --- changes: visible to the transaction after command_end --- */
    /* batch has all columns of the definition in its order. out_rowids (batch->sel_rows of them,
     * may be NULL) gets the new ids; with SKIP/REPORT -1 for rows left out, and REPORT fills
     * out_conflicts with the locked row in the way (-1: none). A row proposed twice in one batch:
     * 21000. */
    luma_rc (*insert)(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *coll,
                      const struct luma_batch *batch, const struct luma_insert_opts *opts,
                      int64_t *out_rowids, int64_t *out_conflicts);
    /* Locks rows for a change. results has count entries. LUMA_E_CONFLICT (REPEATABLE READ and up),
     * LUMA_E_LOCKED (NOWAIT, lock timeout), LUMA_E_DEADLOCK. */
    luma_rc (*lock)(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *coll,
                    const int64_t *rowids, uint32_t count, enum luma_lock_mode mode,
                    enum luma_lock_wait wait, enum luma_lock_result *results);
    /* New values of some columns for rows this transaction has locked; other columns keep theirs. A
     * row named twice is changed once (the first). batch->cols follow col_ids; dense rows, no sel.
     */
    luma_rc (*update)(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *coll,
                      const int64_t *rowids, uint32_t count, const uint32_t *col_ids,
                      const struct luma_batch *batch);
    luma_rc (*remove)(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *coll,
                      const int64_t *rowids, uint32_t count); /* locked rows */
    luma_rc (*truncate)(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *coll);

    /* --- bulk: columns become private segments that the commit publishes --- */
    luma_rc (*bulk_open)(struct luma_ctx *ctx, struct luma_txn *txn, struct luma_coll *coll,
                         uint32_t parts, struct luma_bulk **out_bulk);
    /* Any thread, one at a time per part. All columns of the definition. */
    luma_rc (*bulk_append)(struct luma_ctx *ctx, struct luma_bulk *bulk, uint32_t part,
                           const struct luma_batch *batch);
    /* Builds what is left, index runs too, checks unique constraints. */
    luma_rc (*bulk_finish)(struct luma_ctx *ctx, struct luma_bulk *bulk, uint64_t *out_rows);
    void (*bulk_abort)(struct luma_bulk *bulk);

    /* --- the store itself --- */
    /* Moves everything committed into objects; on return it is done. Since: 0.1 */
    luma_rc (*checkpoint)(struct luma_ctx *ctx);
    /* Builds an index of the collection (0: each) anew from the rows; others go on writing, and
     * wait when they look something up in it. Since: 0.1 */
    luma_rc (*reindex)(struct luma_ctx *ctx, uint64_t coll_id, uint64_t index_id);
    /* What committed collections consist of, until fn says false. Since: 0.1 */
    luma_rc (*parts)(struct luma_ctx *ctx,
                     bool (*fn)(void *arg, const struct luma_store_part *part), void *arg);
    /* Which of the scan's field conditions, by bit, every row of the cursor's last batch satisfies;
     * the others were not judged. Since: 0.1 */
    uint64_t (*cursor_fields)(const struct luma_cursor *cursor);
    /* As checkpoint; committed rows of this collection go to segments of its own, few as they may
     * be. Since: 0.1 */
    luma_rc (*flush)(struct luma_ctx *ctx, uint64_t coll_id);
};

#endif
