/*
 * storage/manifest - what the store consists of: a small durable map from (kind, a, b) to bytes.
 *
 * An edit changes any number of entries in one step: it is one checksummed append. Two files take
 * turns: when the edits outgrow the map, the whole map is written to the other file, which takes
 * over with the write of its header; no rename is needed.
 *
 * Callers serialize edits. Phase (io.h): "manifest switch".
 */
#ifndef LK_STORAGE_MANIFEST_H
#define LK_STORAGE_MANIFEST_H

#include "io/io.h"

/* Kinds of entries. Written: values are never reused. */
enum lk_manifest_kind {
    LK_MANIFEST_STATE = 1,    /* (0, 0): where the log goes on, floors of ids */
    LK_MANIFEST_COLL = 2,     /* (collection, 0): its definition */
    LK_MANIFEST_SEGMENT = 3,  /* (collection, object) */
    LK_MANIFEST_DELETES = 4,  /* (segment's object, 0): where its delete map lies in a pack */
    LK_MANIFEST_ROWS = 5,     /* (collection, 0): where its few rows lie in a pack */
    LK_MANIFEST_RUN = 6,      /* (index, object) */
    LK_MANIFEST_SEQUENCE = 7, /* (sequence, 0) */
    LK_MANIFEST_PLACE = 8,    /* (0, number): a folder of segments beside the data folder */
    LK_MANIFEST_LIES = 9,     /* (segment's object, 0): in which place it lies */
    LK_MANIFEST_HISTORY = 10, /* (0, 0): how far the past that can be read reaches back */
    LK_MANIFEST_PAST = 11,    /* (collection, commit): versions that ended up to this commit */
    LK_MANIFEST_ENDS = 12,    /* (segment's object, 0): when rows of its delete map ended */
    LK_MANIFEST_BEGINS = 13   /* (collection, 0): when its few rows began */
};

struct lk_manifest_key {
    uint64_t a, b;
    uint32_t kind;
};

struct lk_manifest;

/* Opens or makes the manifest in dir. *out_new: there was none; it has a random store id now. */
LUMA_NODISCARD luma_rc lk_manifest_open(struct luma_ctx *ctx, struct lk_io *io, const char *dir,
                                        bool read_only, struct lk_manifest **out_manifest,
                                        bool *out_new);
void lk_manifest_close(struct lk_manifest *manifest);
uint64_t lk_manifest_store_id(const struct lk_manifest *manifest);

/* An entry's bytes, valid until the next commit; data NULL: absent. */
struct luma_slice lk_manifest_get(const struct lk_manifest *manifest,
                                  const struct lk_manifest_key *key);
/* Entries of a kind (a 0: of any a) in ascending order of key; fn's error ends it. */
LUMA_NODISCARD luma_rc lk_manifest_each(const struct lk_manifest *manifest, uint32_t kind,
                                        uint64_t a,
                                        luma_rc (*fn)(void *arg, const struct lk_manifest_key *key,
                                                      struct luma_slice value),
                                        void *arg);

/* Changes being put together; several threads may not. */
struct lk_manifest_edit {
    struct lk_bytes bytes;
    uint32_t changes;
};
void lk_manifest_edit_init(struct lk_manifest_edit *edit);
void lk_manifest_edit_fini(struct lk_manifest_edit *edit);
void lk_manifest_put(struct lk_manifest_edit *edit, uint32_t kind, uint64_t a, uint64_t b,
                     struct luma_slice value);
void lk_manifest_remove(struct lk_manifest_edit *edit, uint32_t kind, uint64_t a, uint64_t b);

/*
 * Makes the edit durable, then applies it. On an error the map is as before; after LUMA_E_IO or
 * LUMA_E_FULL the file on disk may hold a torn edit, so the next commit writes the other file.
 */
LUMA_NODISCARD luma_rc lk_manifest_commit(struct luma_ctx *ctx, struct lk_manifest *manifest,
                                          const struct lk_manifest_edit *edit);

#endif
