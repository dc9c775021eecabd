/* modules/codec/lz4/lz4.c - LZ4 blocks. */
#include <lumadb/kind/codec.h>

#include <limits.h>
#include <lz4.h>
#include <stdlib.h>

struct lz4_conf {
    int64_t acceleration;
};

static const struct luma_conf_item lz4_conf_items[] = {
    LUMA_CONF_INT(struct lz4_conf, acceleration, .def = 1, .min = 1, .max = 64,
                  .help = "1 packs tightest, more is faster"),
    LUMA_CONF_END,
};

static size_t
lz4_bound(size_t src_bytes)
{
    return src_bytes + src_bytes / 255 + 16;
}

static luma_rc
lz4_compress(const struct luma_codec_call *call, struct luma_slice src, struct luma_buf *dst)
{
    const struct lz4_conf *conf = call->conf;
    int acceleration = conf == NULL ? 1 : (int)conf->acceleration;

    if (src.bytes > LZ4_MAX_INPUT_SIZE)
        return LUMA_FAIL(call->ctx, LUMA_E_CODEC, "lz4: %zu bytes are too many for one block",
                         src.bytes);
    int room = dst->room_bytes > INT_MAX ? INT_MAX : (int)dst->room_bytes;
    int n = LZ4_compress_fast_extState(call->worker_state, (const char *)src.data,
                                       (char *)dst->data, (int)src.bytes, room, acceleration);
    if (n <= 0)
        return LUMA_E_ROOM;
    dst->used_bytes = (size_t)n;
    return LUMA_OK;
}

static luma_rc
lz4_expand(const struct luma_codec_call *call, struct luma_slice src, struct luma_buf *dst)
{
    if (src.bytes > INT_MAX || dst->room_bytes > INT_MAX)
        return LUMA_FAIL(call->ctx, LUMA_E_CORRUPT, "lz4: a block of %zu bytes", src.bytes);
    int n = LZ4_decompress_safe((const char *)src.data, (char *)dst->data, (int)src.bytes,
                                (int)dst->room_bytes);
    if (n < 0)
        return LUMA_FAIL(call->ctx, LUMA_E_CORRUPT, "lz4: the block is damaged");
    if ((size_t)n != dst->room_bytes)
        return LUMA_FAIL(call->ctx, LUMA_E_CORRUPT, "lz4: %d bytes where %zu were written", n,
                         dst->room_bytes);
    dst->used_bytes = (size_t)n;
    return LUMA_OK;
}

static luma_rc
lz4_worker_init(const void *conf, void **out_worker_state)
{
    (void)conf;
    *out_worker_state = malloc((size_t)LZ4_sizeofState());
    return *out_worker_state == NULL ? LUMA_E_NOMEM : LUMA_OK;
}

static void
lz4_worker_fini(void *worker_state)
{
    free(worker_state);
}

/* The kernel hands a codec's state back as call->conf. */
static luma_rc
lz4_init(const struct luma_host *host, const void *conf, struct luma_ctx *ctx, void **out_state)
{
    (void)host;
    (void)ctx;
    *out_state = (void *)(uintptr_t)conf;
    return LUMA_OK;
}

static const struct luma_codec lz4_codec = {
    .head = LUMA_CODEC_HEAD,
    .wire_id = 0x6c7a3462, /* written in segment files: a value is never used twice */
    .bound = lz4_bound,
    .worker_init = lz4_worker_init,
    .worker_fini = lz4_worker_fini,
    .compress = lz4_compress,
    .expand = lz4_expand,
};

LUMA_MODULE(.kind = "codec", .name = "lz4", .version = "1.0.0", .licence = "Apache-2.0",
            .flags = LUMA_MODULE_STORAGE, .author = "LumaDB",
            .summary = "LZ4 blocks: the quickest to expand", .conf = lz4_conf_items,
            .conf_bytes = sizeof(struct lz4_conf),
            .offers = LUMA_OFFERS({"codec.lz4", &lz4_codec.head}), .init = lz4_init);
