/*
 * storage/object/object_priv.h - what the files of this folder share.
 */
#ifndef LK_STORAGE_OBJECT_PRIV_H
#define LK_STORAGE_OBJECT_PRIV_H

#include <stdatomic.h>

#include "base/base.h"
#include "storage/object/object.h"

#define LKI_OBJECT_BUCKETS    256
#define LKI_OBJECT_NAME_BYTES 48

/* An open file, counted: who reads it while the object moves reads on. */
struct lki_object_file {
    _Atomic uint32_t refs;
    struct lk_file *file;
};

struct lki_object {
    struct luma_object_reader base; /* first: what callers hold */
    struct lk_objects *objects;
    struct lki_object *next;      /* in its bucket */
    struct lki_object_file *file; /* replaced when it moves; under the lock */
    enum lk_object_kind kind;
    uint32_t refs; /* under the lock */
    bool removed;  /* the file goes with the last reference */
    char name[LKI_OBJECT_NAME_BYTES];
};

/* An object that lies elsewhere than in the data folder. */
struct lki_lies {
    uint64_t id;
    uint32_t place;
    int64_t born_us;
};

struct lk_objects {
    struct lk_io *io;
    struct lk_cache *cache;
    char *dirs[LK_PLACES_MAX]; /* 0: the data folder; NULL: there is no such place */
    _Atomic uint64_t id_last;
    struct lk_mutex lock;
    struct lki_object *buckets[LKI_OBJECT_BUCKETS];
    struct luma_stat *bytes_written;
    struct lki_lies *lies; /* ascending ids; under the lock */
    size_t lies_count, lies_room;
    /* What could not go because a backup was being taken. */
    struct lki_object_kept {
        enum lk_object_kind kind;
        uint64_t id;
        uint32_t place;
    } * kept;
    size_t kept_count, kept_room;
};

void lki_object_name(enum lk_object_kind kind, uint64_t id, char *out);
/* Path of an object in a place; free it. NULL: no memory. */
char *lki_object_path(const struct lk_objects *objects, uint32_t place, enum lk_object_kind kind,
                      uint64_t id);
/* "<16 hex>.<kind>" */
bool lki_object_parse(const char *name, enum lk_object_kind *out_kind, uint64_t *out_id);
struct lki_object **lki_object_find(struct lk_objects *objects, enum lk_object_kind kind,
                                    uint64_t id); /* the lock is held */
LUMA_NODISCARD luma_rc lki_object_file_open(struct luma_ctx *ctx, struct lk_objects *objects,
                                            uint32_t place, enum lk_object_kind kind, uint64_t id,
                                            struct lki_object_file **out_file);
void lki_object_file_unref(struct lki_object_file *file); /* NULL is fine */
/* The file in a place goes, or is kept until a backup has been taken. */
void lki_object_unlink(struct lk_objects *objects, uint32_t place, enum lk_object_kind kind,
                       uint64_t id);

#endif
