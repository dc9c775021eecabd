/* main/segment.c - `lumadb segment FILE`: what is in a segment, from its footer alone. */
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

static luma_rc
describe(struct luma_ctx *ctx, struct lk_objects *objects, uint64_t id)
{
    struct lk_formats *formats = NULL;
    struct lk_segment *segment = NULL;
    luma_rc rc = lk_formats_load(ctx, NULL, NULL, &formats);
    if (rc == LUMA_OK)
        rc = lk_segment_open(ctx, objects, formats, id, &segment);
    if (rc == LUMA_OK)
        rc = lk_segment_describe(ctx, segment, print_line, NULL);
    lk_segment_unref(segment);
    lk_formats_free(formats);
    return rc;
}

static luma_rc
open_and_describe(struct luma_ctx *ctx, const char *file)
{
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
        rc = describe(ctx, objects, id);
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
                     : open_and_describe(&c.ctx, options->rest[0]);
    return rc == LUMA_OK ? EXIT_OK : lki_complain(&c.error);
}
