/*
 * kernel/storage/object - immutable objects: files of the data folder that are written once.
 *
 * An object's id is globally unique (store id, counter); its file is <id as 16 hex>.<kind> in their
 * folder. Nothing is ever overwritten; an object that no manifest names is garbage and goes at
 * start-up.
 */
#ifndef LK_STORAGE_OBJECT_H
#define LK_STORAGE_OBJECT_H

#include <lumadb/host/object.h>

#include "io/io.h"

struct lk_cache;

enum lk_object_kind {
    LK_OBJECT_SEGMENT = 1,
    LK_OBJECT_RUN = 2,
    LK_OBJECT_DELETES = 3,
    LK_OBJECT_SPILL = 4 /* of a sort: never named by a manifest */
};

/* Where objects are and what reads them; one per store, shared by all. */
struct lk_objects;

LUMA_NODISCARD luma_rc lk_objects_open(struct luma_ctx *ctx, struct lk_io *io, const char *dir,
                                       struct lk_cache *cache, struct lk_objects **out_objects);
void lk_objects_close(struct lk_objects *objects); /* NULL is fine */

/* Ids above everything seen: the caller recovers the floor from manifest, log and folder. */
uint64_t lk_objects_next_id(struct lk_objects *objects);
void lk_objects_id_floor(struct lk_objects *objects, uint64_t id);

/* A new object. finish makes content and name durable (fdatasync and fsync of the folder); abort or
 * a crash before that leaves garbage only. Every append is framed by its author, not here. */
struct lk_object_writer {
    struct luma_object_writer base; /* first: what modules get */
    uint64_t id;
};
LUMA_NODISCARD luma_rc lk_object_create(struct luma_ctx *ctx, struct lk_objects *objects,
                                        enum lk_object_kind kind,
                                        struct lk_object_writer **out_writer);
/* Takes the writer. Many objects may be finished with one lk_objects_sync. */
LUMA_NODISCARD luma_rc lk_object_finish(struct luma_ctx *ctx, struct lk_object_writer *writer,
                                        uint64_t *out_bytes);
void lk_object_abort(struct lk_object_writer *writer);

/* Reading goes through the cache; readers are counted: a removed object's file goes when the last
 * one closes. */
LUMA_NODISCARD luma_rc lk_object_open(struct luma_ctx *ctx, struct lk_objects *objects,
                                      enum lk_object_kind kind, uint64_t id,
                                      struct luma_object_reader **out_reader);
void lk_object_close(struct luma_object_reader *reader);
/* Past the cache: exactly bytes at offset, LUMA_E_CORRUPT beyond the end. For loaders of blocks. */
LUMA_NODISCARD luma_rc lk_object_read(struct luma_ctx *ctx, struct luma_object_reader *reader,
                                      void *buf, size_t bytes, uint64_t offset);
/* The cache its reads go through. */
struct lk_cache *lk_object_cache(struct luma_object_reader *reader);
/* What a message calls it: "0000000000000007.segment". */
const char *lk_object_name(const struct luma_object_reader *reader);
void lk_object_remove(struct lk_objects *objects, enum lk_object_kind kind, uint64_t id);
/* Is a backup being taken? Then nothing of an older state may go. */
bool lk_objects_pinned(struct lk_objects *objects);
/* --- places.c: segments may lie in other folders than the data folder --- */

#define LK_PLACES_MAX 16 /* 0: the data folder */
/* Names a place; before any object of it is opened. dir is copied. */
LUMA_NODISCARD luma_rc lk_objects_place_set(struct luma_ctx *ctx, struct lk_objects *objects,
                                            uint32_t place, const char *dir);
const char *lk_objects_place(const struct lk_objects *objects, uint32_t place); /* NULL: none */
uint32_t lk_objects_place_of(struct lk_objects *objects, enum lk_object_kind kind, uint64_t id);
/* A segment lies in this place: what the manifest says. born_us: see core.h. */
LUMA_NODISCARD luma_rc lk_objects_lies(struct luma_ctx *ctx, struct lk_objects *objects,
                                       uint64_t id, uint32_t place, int64_t born_us);
void lk_objects_lies_forget(struct lk_objects *objects, enum lk_object_kind kind, uint64_t id);
/* When a segment that lies elsewhere was born, or the file of another one was written. 0: not
 * known. */
int64_t lk_object_born_us(struct lk_objects *objects, uint64_t id);
/* Copies a segment to a place; durable, with its name, when it returns. Reads go on as before. */
LUMA_NODISCARD luma_rc lk_object_copy(struct luma_ctx *ctx, struct lk_objects *objects, uint64_t id,
                                      uint32_t place);
/* Such a copy is not wanted. */
void lk_object_copy_drop(struct lk_objects *objects, uint64_t id, uint32_t place);
/* The manifest says that the copy counts: reads turn to it, and the file in the old place goes. */
void lk_object_moved(struct lk_objects *objects, uint64_t id, uint32_t place, int64_t born_us);
/* At the start: copies in other places that do not count go. */
LUMA_NODISCARD luma_rc lk_objects_settle(struct luma_ctx *ctx, struct lk_objects *objects);

const char *lk_object_kind_name(enum lk_object_kind kind);
#define LK_OBJECTS_PIN "backup.lock" /* held by who takes a backup */
/* Puts a damaged object aside, in the folder "quarantine" of the data folder, for people to look
 * at. Who has it open reads on. */
void lk_object_quarantine(struct lk_objects *objects, enum lk_object_kind kind, uint64_t id);
/* Every object file there is: start-up garbage collection, backup, check. */
LUMA_NODISCARD luma_rc lk_objects_each(struct luma_ctx *ctx, struct lk_objects *objects,
                                       void (*fn)(void *arg, enum lk_object_kind kind, uint64_t id,
                                                  uint64_t bytes),
                                       void *arg);

#endif
