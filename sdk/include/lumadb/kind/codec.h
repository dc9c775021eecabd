/*
 * lumadb/kind/codec.h - byte codecs: they lie below the cache, on whole column chunks and blocks.
 */
#ifndef LUMADB_KIND_CODEC_H
#define LUMADB_KIND_CODEC_H

#include <lumadb/error.h>
#include <lumadb/module.h>

#define LUMA_CODEC_MAJOR 1

struct luma_codec_call {
    struct luma_ctx *ctx;
    const void *conf;   /* the module's configuration */
    void *worker_state; /* what worker_init made; used by one thread at a time */
};

struct luma_codec {
    struct luma_head head;
    uint32_t wire_id; /* written in files: a value is never used twice */
    /* Room that compress never needs more than, for src_bytes of input. */
    size_t (*bound)(size_t src_bytes);
    luma_rc (*worker_init)(const void *conf, void **out_worker_state); /* may be NULL */
    void (*worker_fini)(void *worker_state);
    /* Fills dst->used_bytes. LUMA_E_ROOM when dst has too little room: nothing is promised of dst.
     */
    luma_rc (*compress)(const struct luma_codec_call *call, struct luma_slice src,
                        struct luma_buf *dst);
    /* dst->room_bytes is the exact size of the original. Any other length, truncated or changed
     * input: LUMA_E_CORRUPT, never a write outside dst. */
    luma_rc (*expand)(const struct luma_codec_call *call, struct luma_slice src,
                      struct luma_buf *dst);
};

#define LUMA_CODEC_HEAD                                \
    {                                                  \
        sizeof(struct luma_codec), LUMA_CODEC_MAJOR, 0 \
    }

#endif
