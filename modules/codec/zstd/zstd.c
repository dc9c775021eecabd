/* modules/codec/zstd/zstd.c - Zstandard blocks. */
#include <lumadb/kind/codec.h>

#include <zstd.h>
#include <zstd_errors.h>

struct zstd_conf {
    int64_t level;
};

static const struct luma_conf_item zstd_conf_items[] = {
    LUMA_CONF_INT(struct zstd_conf, level, .def = 1, .min = 1, .max = 19,
                  .help = "1 is fastest, 19 packs tightest"),
    LUMA_CONF_END,
};

static luma_rc
zstd_compress(const struct luma_codec_call *call, struct luma_slice src, struct luma_buf *dst)
{
    const struct zstd_conf *conf = call->conf;
    int level = conf == NULL ? 1 : (int)conf->level;
    ZSTD_CCtx *cctx = call->worker_state; /* one per worker, made by zstd_worker_init */
    size_t n = ZSTD_compressCCtx(cctx, dst->data, dst->room_bytes, src.data, src.bytes, level);
    if (ZSTD_isError(n))
        return ZSTD_getErrorCode(n) == ZSTD_error_dstSize_tooSmall
                   ? LUMA_E_ROOM
                   : LUMA_FAIL(call->ctx, LUMA_E_CODEC, "zstd: %s", ZSTD_getErrorName(n));
    dst->used_bytes = n;
    return LUMA_OK;
}

static luma_rc
zstd_expand(const struct luma_codec_call *call, struct luma_slice src, struct luma_buf *dst)
{
    size_t n = ZSTD_decompress(dst->data, dst->room_bytes, src.data, src.bytes);
    if (ZSTD_isError(n))
        return LUMA_FAIL(call->ctx, LUMA_E_CORRUPT, "zstd: %s", ZSTD_getErrorName(n));
    if (n != dst->room_bytes)
        return LUMA_FAIL(call->ctx, LUMA_E_CORRUPT, "zstd: %zu bytes where %zu were written", n,
                         dst->room_bytes);
    dst->used_bytes = n;
    return LUMA_OK;
}

static luma_rc
zstd_worker_init(const void *conf, void **out_worker_state)
{
    (void)conf;
    ZSTD_CCtx *cctx = ZSTD_createCCtx();
    if (cctx == NULL)
        return LUMA_E_NOMEM;
    *out_worker_state = cctx;
    return LUMA_OK;
}

static void
zstd_worker_fini(void *worker_state)
{
    ZSTD_freeCCtx(worker_state);
}

/* The kernel hands a codec's state back as call->conf. */
static luma_rc
zstd_init(const struct luma_host *host, const void *conf, struct luma_ctx *ctx, void **out_state)
{
    (void)host;
    (void)ctx;
    *out_state = (void *)(uintptr_t)conf;
    return LUMA_OK;
}

static const struct luma_codec zstd_codec = {
    .head = LUMA_CODEC_HEAD,
    .wire_id = 0x7a737464, /* written in segment files: a value is never used twice */
    .bound = ZSTD_compressBound,
    .worker_init = zstd_worker_init,
    .worker_fini = zstd_worker_fini,
    .compress = zstd_compress,
    .expand = zstd_expand,
};

LUMA_MODULE(.kind = "codec", .name = "zstd", .version = "1.0.0", .licence = "Apache-2.0",
            .flags = LUMA_MODULE_STORAGE, .author = "LumaDB",
            .summary = "Zstandard blocks: tighter than lz4, still quick to expand",
            .conf = zstd_conf_items, .conf_bytes = sizeof(struct zstd_conf),
            .offers = LUMA_OFFERS({"codec.zstd", &zstd_codec.head}), .init = zstd_init);
