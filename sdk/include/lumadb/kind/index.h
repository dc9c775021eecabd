/*
 * lumadb/kind/index.h - index kinds.
 *
 * An index is a set of entries (key bytes, row id). Keys come encoded so that memcmp order is the
 * index order (host/data.h key_write); the row id is unique within equal keys. One mutable hot part
 * takes new entries; a checkpoint freezes it and writes a run; runs merge on their own schedule.
 * Modules answer candidates: an entry may be stale (the row was deleted or has another key now).
 * The kernel judges visibility, rechecks the key, keeps uniqueness and key locks, and says at a
 * merge which entries are dead.
 *
 * Service "index.<name>" version 1.
 */
#ifndef LUMADB_KIND_INDEX_H
#define LUMADB_KIND_INDEX_H

#include <lumadb/error.h>
#include <lumadb/host/mem.h>
#include <lumadb/host/object.h>
#include <lumadb/module.h>

#define LUMA_INDEX_MAJOR 1

enum luma_index_caps {
    LUMA_INDEX_ORDERED = 1, /* range and prefix cursors, both directions, in key order */
    LUMA_INDEX_EQUAL = 2,   /* exact lookups */
    LUMA_INDEX_UNIQUE = 4,  /* may carry a unique constraint */
    LUMA_INDEX_REBUILD = 8  /* merge by rebuilding from rows, not from runs */
};

struct luma_index_entry {
    struct luma_slice key;
    int64_t rowid;
};

/* A stretch of key space: lo <= key (or < if exclusive) and key <= hi. A bound with NULL data is
 * open. Prefix semantics: a key that begins with the whole of hi counts as equal to hi; likewise lo
 * when exclusive. */
struct luma_index_range {
    struct luma_slice lo, hi;
    bool lo_exclusive, hi_exclusive;
    bool reverse;
};

struct luma_index_cursor; /* the module's own */

/* Source of entries in ascending (key, rowid) order, for building runs. *out_more false: end. Keys
 * stay valid until the next call. */
struct luma_index_source {
    luma_rc (*next)(struct luma_ctx *ctx, struct luma_index_source *source,
                    struct luma_index_entry *out_entry, bool *out_more);
};

struct luma_index_kind {
    struct luma_head head;
    uint32_t wire_id; /* written in runs and the catalogue: a value is never used twice */
    uint32_t caps;

    /* --- hot part: any number of readers and writers at once --- */
    luma_rc (*hot_create)(struct luma_ctx *ctx, struct luma_budget *budget, void **out_hot);
    void (*hot_destroy)(void *hot);
    /* Adds entries (in any order); an entry that is there already is kept once. Never parks. */
    luma_rc (*hot_insert)(struct luma_ctx *ctx, void *hot, const struct luma_index_entry *entries,
                          size_t count);
    /* Takes an entry out again (a rolled back insert); absent is fine. */
    void (*hot_remove)(void *hot, const struct luma_index_entry *entry);
    size_t (*hot_bytes)(const void *hot);
    size_t (*hot_count)(const void *hot);
    /* Row ids under exactly `key`: up to room of them; *out_count is the number there are. Entries
     * added while it runs may or may not be seen. */
    luma_rc (*hot_find)(struct luma_ctx *ctx, void *hot, struct luma_slice key, int64_t *out_rowids,
                        size_t room, size_t *out_count);
    /* ORDERED: cursor over a range; stays usable while others insert (sees them or not). */
    luma_rc (*hot_cursor)(struct luma_ctx *ctx, void *hot, const struct luma_index_range *range,
                          struct luma_arena *arena, struct luma_index_cursor **out_cursor);

    /* --- runs: immutable objects --- */
    /* Writes a run from source; the kernel adds framing and checksums of blocks it is told of by
     * separate appends. */
    luma_rc (*run_build)(struct luma_ctx *ctx, struct luma_index_source *source,
                         struct luma_object_writer *writer);
    /* Opens a run: reads and checks its footer; blocks are checked when they are read. */
    luma_rc (*run_open)(struct luma_ctx *ctx, struct luma_object_reader *reader, void **out_run);
    void (*run_close)(void *run);
    /* Batched exact lookup: for each key its row ids are appended to out (a filter spares runs that
     * cannot have it). emit is called with the index of the key. */
    luma_rc (*run_find)(struct luma_ctx *ctx, void *run, const struct luma_slice *keys,
                        size_t count, void (*emit)(void *arg, size_t key_index, int64_t rowid),
                        void *arg);
    luma_rc (*run_cursor)(struct luma_ctx *ctx, void *run, const struct luma_index_range *range,
                          struct luma_arena *arena, struct luma_index_cursor **out_cursor);
    uint64_t (*run_count)(const void *run);
    /* Roughly how many entries lie in range (planner). */
    uint64_t (*run_estimate)(struct luma_ctx *ctx, void *run, const struct luma_index_range *range);
    /* Reads everything: order, checksums, counts. LUMA_E_CORRUPT with what and where. */
    luma_rc (*run_verify)(struct luma_ctx *ctx, void *run);

    /* --- cursors of both parts --- */
    /* Next entry in the cursor's direction. Keys stay valid until the next call on it. */
    luma_rc (*cursor_next)(struct luma_ctx *ctx, struct luma_index_cursor *cursor,
                           struct luma_index_entry *out_entry, bool *out_more);
    void (*cursor_close)(struct luma_index_cursor *cursor); /* NULL is fine */
};

#define LUMA_INDEX_HEAD                                     \
    {                                                       \
        sizeof(struct luma_index_kind), LUMA_INDEX_MAJOR, 0 \
    }

#endif
