/*
 * storage/run/run_priv.h - an index as a list of parts, and the framing of runs.
 */
#ifndef LK_STORAGE_RUN_PRIV_H
#define LK_STORAGE_RUN_PRIV_H

#include <stdatomic.h>

#include "base/base.h"
#include "storage/cache/cache.h"
#include "storage/run/run.h"

#define LKI_RUN_MAGIC       0x314e5552414d554cULL /* "LUMARUN1" */
#define LKI_RUN_MAGIC_END   0x454e5552414d554cULL /* "LUMARUNE" */
#define LKI_RUN_VERSION     2
#define LKI_RUN_VERSION_MIN 1 /* checksums without the place */
#define LKI_RUN_CRC_BYTES   4
#define LKI_FROZEN_MAX      8

struct lki_run_header {
    uint64_t magic;
    uint32_t version;
    uint32_t kind; /* wire id of the index kind */
    uint64_t index_id;
    uint64_t object_id;
    uint8_t zero[28];
    uint32_t crc; /* of what is before it */
};
LUMA_STATIC_ASSERT(sizeof(struct lki_run_header) == 64, "as on disk");

struct lki_run_tail {
    uint64_t entries;
    uint32_t level;
    uint32_t zero;
    uint32_t version;
    uint32_t crc; /* of the 20 bytes before it, as that of a block */
    uint64_t magic;
};
LUMA_STATIC_ASSERT(sizeof(struct lki_run_tail) == 32, "as on disk");

/* --- frame.c: every append of the module with a checksum behind it --- */

struct lki_frame_writer {
    struct luma_object_writer base; /* first: what the module gets */
    struct lk_object_writer *object;
};

luma_rc lki_frame_begin(struct luma_ctx *ctx, struct lk_objects *objects, uint32_t kind,
                        uint64_t index_id, struct lki_frame_writer *out);
luma_rc lki_frame_end(struct luma_ctx *ctx, struct lki_frame_writer *writer, uint64_t entries,
                      uint32_t level, uint64_t *out_bytes); /* takes the object */

struct lki_frame_reader {
    struct luma_object_reader base; /* first; its bytes end where the module's last append does */
    struct luma_object_reader *object;
    uint32_t version;
    uint32_t hints_count;        /* power of two */
    struct lk_cache_hint *hints; /* of blocks, by place */
};

luma_rc lki_frame_open(struct luma_ctx *ctx, struct lk_objects *objects, uint64_t object_id,
                       uint32_t kind, uint64_t index_id, struct lki_frame_reader *out,
                       uint64_t *out_entries);
void lki_frame_close(struct lki_frame_reader *reader);

/* --- parts --- */

struct lki_hot {
    _Atomic uint32_t refs;
    _Atomic uint32_t writers; /* inserts under way */
    _Atomic uint32_t frozen;  /* takes no inserts any more */
    void *part;               /* the module's */
};

struct lki_run {
    _Atomic uint32_t refs;
    struct lk_run_info info;
    struct lki_frame_reader reader;
    void *run; /* the module's */
};

/*
 * What an index is made of at one time. Immutable while anybody holds it; descriptors are
 * type-stable (they live as long as the index), so that a reader may add to `holders` of one that
 * is about to go, see DEAD, and take it back.
 */
struct lki_parts {
    _Atomic uint32_t holders;
    struct lki_hot *hot;
    struct lki_hot *frozen[LKI_FROZEN_MAX];
    uint32_t frozen_count;
    uint32_t runs_count;
    struct lki_run **runs;
    struct lki_parts *next_free, *next_all;
};

struct lk_index {
    struct lk_objects *objects;
    struct luma_budget *budget;
    const struct luma_index_kind *kind;
    uint64_t id;
    char kind_name[32];
    struct lki_parts *_Atomic current;
    struct lk_mutex list_lock; /* INDEX_LIST: changes of current */
    struct lk_mutex lock;      /* INDEX: the lists below */
    struct lki_parts *free, *all;
    bool freezing; /* between freeze and publish or unfreeze */
};

/* The present parts, held until released. */
struct lki_parts *lki_parts_hold(struct lk_index *index);
void lki_parts_release(struct lk_index *index, struct lki_parts *parts);
void lki_run_unref(const struct luma_index_kind *kind, struct lki_run *run);

/* --- merge.c: entries of several sorted sources as one, equal ones once --- */

struct lki_source {
    /* As luma_index_kind.cursor_next. */
    luma_rc (*next)(struct luma_ctx *ctx, struct lki_source *source,
                    struct luma_index_entry *out_entry, bool *out_more);
    void (*close)(struct lki_source *source);
    struct luma_index_entry entry; /* the present one */
    bool more;
};

struct lki_merge {
    struct lki_source **sources;
    uint32_t count;
    uint32_t last; /* source of the entry given out, count: none */
    bool reverse, begun;
};

luma_rc lki_merge_next(struct luma_ctx *ctx, struct lki_merge *merge,
                       struct luma_index_entry *out_entry, bool *out_more);
void lki_merge_close(struct lki_merge *merge);
int lki_entry_compare(const struct luma_index_entry *a, const struct luma_index_entry *b);

/* A module's cursor as a source; from the arena. */
luma_rc lki_source_cursor(struct luma_ctx *ctx, const struct luma_index_kind *kind,
                          struct luma_index_cursor *cursor, struct luma_arena *arena,
                          struct lki_source **out_source);

/* Builds a run of what merge gives; dead may be NULL. */
luma_rc lki_run_write(struct luma_ctx *ctx, struct lk_index *index, struct lki_merge *merge,
                      uint32_t level, bool (*dead)(void *arg, const struct luma_index_entry *entry),
                      void *arg, bool unique, struct luma_slice *out_dup,
                      struct lk_run_info *out_info);

#endif
