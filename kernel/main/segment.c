/*
 * main/segment.c - `lumadb segment FILE`: what is in a segment, from its footer alone; with
 * --verify everything in it is read.
 */
#include "storage/segment/segment.h"

#include <stdio.h>
#include <stdlib.h>

#include "main/main_priv.h"
#include "storage/cache/cache.h"

#define CACHE_BYTES ((size_t)1 << 20)

static void
print_line(void *arg, const char *line)
{
    (void)arg;
    printf("%s\n", line);
}

static void
verify_progress(void *arg, uint64_t done, uint64_t all)
{
    (void)all;
    lki_progress_rows(arg, done);
}

/* "<folder>/<16 hex digits>.segment" */
static luma_rc
object_id(struct luma_ctx *ctx, const char *file, uint64_t *out_id)
{
    const char *slash = strrchr(file, '/');
    const char *name = slash == NULL ? file : slash + 1;
    char *end;
    unsigned long long id = strtoull(name, &end, 16);
    if (end != name + 16 || strcmp(end, ".segment") != 0)
        return LUMA_FAIL(ctx, LUMA_E_INVALID, "\"%s\" is not named as segments are", file);
    if (!lk_io_exists(lk_io_posix(), file))
        return LUMA_FAIL(ctx, LUMA_E_UNDEFINED, "there is no segment \"%s\"", file);
    *out_id = id;
    return LUMA_OK;
}

/* Codecs and encodings of the configuration. */
static luma_rc
load_modules(struct luma_ctx *ctx, const struct lki_options *options, struct lk_formats **out)
{
    struct lki_settings settings;
    LUMA_TRY(lki_settings_load(ctx, options, &settings));
    LUMA_TRY(lk_host_order(ctx, settings.conf));
    LUMA_TRY(lk_host_init(ctx, lki_host_tables(), true));
    return lk_formats_load(ctx, &lk_services_host, NULL, out);
}

static luma_rc
verify(struct luma_ctx *ctx, struct lk_segment *segment, const char *file)
{
    struct lki_progress progress;
    lki_progress_begin(&progress, "groups");
    luma_rc rc = lk_segment_verify(ctx, segment, verify_progress, &progress);
    lki_progress_end(&progress);
    LUMA_TRY(rc);
    printf("%s is sound: %llu rows\n", file, (unsigned long long)lk_segment_info(segment)->rows);
    return LUMA_OK;
}

static luma_rc
look_into(struct luma_ctx *ctx, const struct lki_options *options, struct lk_objects *objects,
          uint64_t id)
{
    struct lk_formats *formats = NULL;
    struct lk_segment *segment = NULL;
    luma_rc rc = options->verify ? load_modules(ctx, options, &formats)
                                 : lk_formats_load(ctx, NULL, NULL, &formats);
    if (rc == LUMA_OK)
        rc = lk_segment_open(ctx, objects, formats, id, &segment);
    if (rc == LUMA_OK && options->verify)
        rc = verify(ctx, segment, options->rest[0]);
    else if (rc == LUMA_OK)
        rc = lk_segment_describe(ctx, segment, print_line, NULL);
    lk_segment_unref(segment);
    lk_formats_free(formats);
    return rc;
}

static luma_rc
open_and_look(struct luma_ctx *ctx, const struct lki_options *options)
{
    const char *file = options->rest[0];
    struct lk_cache *cache = NULL;
    struct lk_objects *objects = NULL;
    uint64_t id = 0;
    LUMA_TRY(object_id(ctx, file, &id));
    const char *dir = lk_io_dirname(ctx->arena, file);
    luma_rc rc = dir == NULL ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to read a segment")
                             : lk_cache_create(NULL, CACHE_BYTES, &cache);
    if (rc == LUMA_OK)
        rc = lk_objects_open(ctx, lk_io_posix(), dir, cache, &objects);
    if (rc == LUMA_OK)
        rc = look_into(ctx, options, objects, id);
    lk_objects_close(objects);
    lk_cache_destroy(cache);
    return rc;
}

int
lki_cmd_segment(const struct lki_options *options)
{
    LUMA_CLEANUP(lk_arena_destroy) struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lk_ctx c;
    lk_ctx_init(&c, arena);
    luma_rc rc = options->rest_count == 0
                     ? LUMA_FAIL(&c.ctx, LUMA_E_INVALID, "which segment? lumadb segment FILE")
                     : open_and_look(&c.ctx, options);
    if (options->verify)
        lk_host_fini();
    return rc == LUMA_OK ? EXIT_OK : lki_complain(&c.error);
}
