/*
 * lumadb/host/object.h - immutable objects: what segments, index runs and delete maps are kept in.
 * Written once from front to back, then only read, through the kernel's cache.
 */
#ifndef LUMADB_HOST_OBJECT_H
#define LUMADB_HOST_OBJECT_H

#include <lumadb/error.h>

/* A stretch of an object held in the cache; release it soon. */
struct luma_pin {
    struct luma_slice bytes;
    void *opaque;
};

struct luma_object_writer {
    luma_rc (*append)(struct luma_ctx *ctx, struct luma_object_writer *writer, const void *data,
                      size_t bytes);
    uint64_t (*offset)(const struct luma_object_writer *writer); /* bytes appended so far */
};

struct luma_object_reader {
    uint64_t bytes;
    uint64_t object_id;
    /* Pins [offset, offset + bytes): a block of the object as its author delimited it; the same
     * (offset, bytes) pair hits the cache. May park on disk. */
    luma_rc (*pin)(struct luma_ctx *ctx, struct luma_object_reader *reader, uint64_t offset,
                   size_t bytes, struct luma_pin *out_pin);
    void (*unpin)(struct luma_pin *pin);
};

#endif
