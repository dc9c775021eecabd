/*
 * storage/segment/formats.c - the codecs, encodings and inner loops found among the modules.
 */
#include <lumadb/host/host.h>

#include <stdio.h>
#include <stdlib.h>

#include "storage/segment/segment_priv.h"

struct collect {
    struct lk_formats *formats;
    const struct luma_host_services *services;
    bool failed;
};

/* A copy of the name behind "codec." that lives as long as formats. */
static const char *
keep_name(struct lk_formats *formats, const char *service)
{
    const char *dot = strchr(service, '.');
    char *out = formats->names[formats->names_count++];
    snprintf(out, sizeof(formats->names[0]), "%s", dot == NULL ? service : dot + 1);
    return out;
}

static void
add_encoding(void *arg, const struct luma_service_info *info)
{
    struct lk_formats *formats = ((struct collect *)arg)->formats;
    const struct luma_encoding *encoding = (const struct luma_encoding *)info->table;
    if (info->table->major != LUMA_ENCODING_MAJOR || formats->encodings_count == LKI_FORMATS_MAX ||
        lki_formats_encoding(formats, encoding->wire_id) != NULL)
        return;
    formats->encoding_names[formats->encodings_count] = keep_name(formats, info->service);
    formats->encodings[formats->encodings_count++] = encoding;
}

static void
add_codec(void *arg, const struct luma_service_info *info)
{
    struct collect *collect = arg;
    struct lk_formats *formats = collect->formats;
    if (info->table->major != LUMA_CODEC_MAJOR || formats->codecs_count == LKI_FORMATS_MAX)
        return;
    struct lki_codec *codec = calloc(1, sizeof(*codec));
    if (codec == NULL) {
        collect->failed = true;
        return;
    }
    codec->codec = (const struct luma_codec *)info->table;
    codec->conf =
        collect->services->state_of == NULL ? NULL : collect->services->state_of(info->table);
    codec->name = keep_name(formats, info->service);
    formats->codecs[formats->codecs_count++] = codec;
}

static struct lki_codec *
codec_named(const struct lk_formats *formats, const char *name)
{
    for (uint32_t i = 0; name != NULL && i < formats->codecs_count; i++)
        if (strcmp(formats->codecs[i]->name, name) == 0)
            return formats->codecs[i];
    return NULL;
}

luma_rc
lk_formats_load(struct luma_ctx *ctx, const struct luma_host_services *services,
                const char *codec_preferred, struct lk_formats **out_formats)
{
    struct lk_formats *formats = calloc(1, sizeof(*formats));
    if (formats == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for the table of formats");
    lk_mutex_init(&formats->lock, LK_LOCK_FORMATS);
    formats->simd = lki_segment_simd_fallback;
    formats->encodings[formats->encodings_count] = &lki_segment_plain;
    formats->encoding_names[formats->encodings_count++] = "plain";
    if (services != NULL) {
        struct collect collect = {formats, services, false};
        services->each("encoding.", add_encoding, &collect);
        services->each("codec.", add_codec, &collect);
        const struct luma_head *simd = services->lookup("simd", LUMA_SIMD_MAJOR);
        if (simd != NULL)
            formats->simd = (const struct luma_simd *)simd;
        if (collect.failed) {
            lk_formats_free(formats);
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for the table of formats");
        }
    }
    if (codec_preferred != NULL && codec_preferred[0] != '\0' &&
        strcmp(codec_preferred, "none") != 0) {
        formats->preferred = codec_named(formats, codec_preferred);
        if (formats->preferred == NULL)
            lk_log_warn("storage", "no module offers codec.%s: segments are written without it",
                        codec_preferred);
    } else if (codec_preferred == NULL) {
        formats->preferred = codec_named(formats, "lz4");
        if (formats->preferred == NULL)
            formats->preferred = codec_named(formats, "zstd");
        else
            formats->dense = codec_named(formats, "zstd");
    }
    *out_formats = formats;
    return LUMA_OK;
}

void
lk_formats_free(struct lk_formats *formats)
{
    if (formats == NULL)
        return;
    for (uint32_t i = 0; i < formats->codecs_count; i++) {
        struct lki_codec *codec = formats->codecs[i];
        for (uint32_t k = 0; k < codec->idle_count; k++)
            if (codec->codec->worker_fini != NULL)
                codec->codec->worker_fini(codec->idle[k]);
        free(codec);
    }
    lk_mutex_fini(&formats->lock);
    free(formats);
}

const struct luma_simd *
lk_formats_simd(const struct lk_formats *formats)
{
    return formats->simd;
}

const struct luma_encoding *
lki_formats_encoding(const struct lk_formats *formats, uint32_t wire_id)
{
    for (uint32_t i = 0; i < formats->encodings_count; i++)
        if (formats->encodings[i]->wire_id == wire_id)
            return formats->encodings[i];
    return NULL;
}

static struct lki_codec *
codec_of(const struct lk_formats *formats, uint32_t wire_id)
{
    for (uint32_t i = 0; i < formats->codecs_count; i++)
        if (formats->codecs[i]->codec->wire_id == wire_id)
            return formats->codecs[i];
    return NULL;
}

void
lki_wire_name(uint32_t wire_id, char out[5])
{
    for (int i = 0; i < 4; i++) {
        char c = (char)(wire_id >> (24 - 8 * i));
        out[i] = c > ' ' && c < 127 ? c : ' ';
    }
    out[4] = '\0';
}

/* --- worker states: used by one thread at a time, kept when it is done --- */

static luma_rc
state_take(const struct lk_formats *formats, struct lki_codec *codec, void **out_state)
{
    struct lk_mutex *lock = (struct lk_mutex *)(uintptr_t)&formats->lock;
    *out_state = NULL;
    if (codec->codec->worker_init == NULL)
        return LUMA_OK;
    lk_mutex_lock(lock);
    if (codec->idle_count > 0)
        *out_state = codec->idle[--codec->idle_count];
    lk_mutex_unlock(lock);
    return *out_state != NULL ? LUMA_OK : codec->codec->worker_init(codec->conf, out_state);
}

static void
state_give(const struct lk_formats *formats, struct lki_codec *codec, void *state)
{
    struct lk_mutex *lock = (struct lk_mutex *)(uintptr_t)&formats->lock;
    if (codec->codec->worker_init == NULL)
        return;
    lk_mutex_lock(lock);
    bool kept = codec->idle_count < LUMA_COUNTOF(codec->idle);
    if (kept)
        codec->idle[codec->idle_count++] = state;
    lk_mutex_unlock(lock);
    if (!kept && codec->codec->worker_fini != NULL)
        codec->codec->worker_fini(state);
}

luma_rc
lki_formats_compress(struct luma_ctx *ctx, const struct lk_formats *formats,
                     struct lki_codec *codec, struct luma_slice src, struct luma_buf *dst)
{
    struct luma_codec_call call = {.ctx = ctx, .conf = codec->conf};
    luma_rc rc = state_take(formats, codec, &call.worker_state);
    if (rc != LUMA_OK)
        return LUMA_FAIL(ctx, rc, "codec %s gave no worker state", codec->name);
    rc = codec->codec->compress(&call, src, dst);
    state_give(formats, codec, call.worker_state);
    return rc;
}

luma_rc
lki_formats_expand(struct luma_ctx *ctx, const struct lk_formats *formats, uint32_t wire_id,
                   struct luma_slice src, struct luma_buf *dst)
{
    struct lki_codec *codec = codec_of(formats, wire_id);
    if (codec == NULL) {
        char name[5];
        lki_wire_name(wire_id, name);
        return LUMA_FAIL(ctx, LUMA_E_MODULE, "the codec module \"%s\" is needed and not loaded",
                         name);
    }
    struct luma_codec_call call = {.ctx = ctx, .conf = codec->conf};
    luma_rc rc = state_take(formats, codec, &call.worker_state);
    if (rc != LUMA_OK)
        return LUMA_FAIL(ctx, rc, "codec %s gave no worker state", codec->name);
    rc = codec->codec->expand(&call, src, dst);
    state_give(formats, codec, call.worker_state);
    return rc;
}
