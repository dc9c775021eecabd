/*
 * codec-runs - a byte codec for columns with long runs, as a module of its own.
 *
 * The form is PackBits with longer runs. Each piece starts with a byte h:
 *     h < 128:  the next h + 1 bytes stand for themselves
 *     h >= 128: the next byte stands (h - 128) + 3 times
 */
#include <lumadb/kind/codec.h>

#define LITERAL_MAX 128
#define RUN_MIN     3
#define RUN_MAX     (127 + RUN_MIN)

struct runs_conf {
    int64_t run_min; /* shorter runs are written as they are */
};

static const struct luma_conf_item runs_conf_items[] = {
    LUMA_CONF_INT(struct runs_conf, run_min, .def = RUN_MIN, .min = RUN_MIN, .max = RUN_MAX,
                  .help = "shortest run that is written as a run"),
    LUMA_CONF_END,
};

/* The worst case is all literals: one head for each 128 bytes. */
static size_t
runs_bound(size_t src_bytes)
{
    return src_bytes + src_bytes / LITERAL_MAX + 1;
}

static size_t
run_length(const uint8_t *at, const uint8_t *end)
{
    size_t n = 1;
    while (at + n < end && n < RUN_MAX && at[n] == at[0])
        n++;
    return n;
}

/* Writes literals [from, to); false when dst is full. */
static bool
put_literals(struct luma_buf *dst, size_t *used, const uint8_t *from, const uint8_t *to)
{
    while (from < to) {
        size_t n = (size_t)(to - from) < LITERAL_MAX ? (size_t)(to - from) : LITERAL_MAX;
        if (dst->room_bytes - *used < n + 1)
            return false;
        dst->data[(*used)++] = (uint8_t)(n - 1);
        memcpy(dst->data + *used, from, n);
        *used += n;
        from += n;
    }
    return true;
}

static luma_rc
runs_compress(const struct luma_codec_call *call, struct luma_slice src, struct luma_buf *dst)
{
    const struct runs_conf *conf = call->conf;
    size_t run_min = conf == NULL ? RUN_MIN : (size_t)conf->run_min, used = 0;
    const uint8_t *end = src.data + src.bytes, *literals = src.data;

    for (const uint8_t *at = src.data; at < end;) {
        size_t n = run_length(at, end);
        if (n < run_min) {
            at += n;
            continue;
        }
        if (!put_literals(dst, &used, literals, at) || dst->room_bytes - used < 2)
            return LUMA_E_ROOM;
        dst->data[used++] = (uint8_t)(128 + n - RUN_MIN);
        dst->data[used++] = *at;
        at += n;
        literals = at;
    }
    if (!put_literals(dst, &used, literals, end))
        return LUMA_E_ROOM;
    dst->used_bytes = used;
    return LUMA_OK;
}

static luma_rc
runs_expand(const struct luma_codec_call *call, struct luma_slice src, struct luma_buf *dst)
{
    size_t from = 0, to = 0;
    while (from < src.bytes) {
        uint8_t head = src.data[from++];
        size_t n = head < 128 ? (size_t)head + 1 : (size_t)head - 128 + RUN_MIN;
        size_t takes = head < 128 ? n : 1;
        if (src.bytes - from < takes || dst->room_bytes - to < n)
            return LUMA_FAIL(call->ctx, LUMA_E_CORRUPT, "runs: piece at byte %zu is too long",
                             from);
        if (head < 128)
            memcpy(dst->data + to, src.data + from, n);
        else
            memset(dst->data + to, src.data[from], n);
        from += takes;
        to += n;
    }
    if (to != dst->room_bytes)
        return LUMA_FAIL(call->ctx, LUMA_E_CORRUPT, "runs: %zu bytes instead of %zu", to,
                         dst->room_bytes);
    dst->used_bytes = to;
    return LUMA_OK;
}

static const struct luma_codec runs_codec = {
    .head = LUMA_CODEC_HEAD,
    .wire_id = 0x72756e73, /* "runs": written in files, never used for another form */
    .bound = runs_bound,
    .compress = runs_compress,
    .expand = runs_expand,
};

LUMA_MODULE(.kind = "codec", .name = "runs", .version = "1.0.0", .licence = "Apache-2.0",
            .author = "LumaDB examples", .summary = "run-length coding of bytes",
            .flags = LUMA_MODULE_STORAGE, .conf = runs_conf_items,
            .conf_bytes = sizeof(struct runs_conf),
            .offers = LUMA_OFFERS({"codec.runs", &runs_codec.head}));
