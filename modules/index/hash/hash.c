/* modules/index/hash/hash.c - hash indexes: the kind's table and its descriptor. */
#include "hash.h"

#include <lumadb/host/host.h>
#include <lumadb/module.h>

const struct luma_host_mem *hash_mem;

static luma_rc
cursor_next(struct luma_ctx *ctx, struct luma_index_cursor *cursor,
            struct luma_index_entry *out_entry, bool *out_more)
{
    return cursor->next(ctx, cursor, out_entry, out_more);
}

static void
cursor_close(struct luma_index_cursor *cursor)
{
    if (cursor != NULL)
        cursor->close(cursor);
}

static luma_rc
hash_init(const struct luma_host *host, const void *conf, struct luma_ctx *ctx, void **out_state)
{
    (void)conf;
    (void)ctx;
    hash_mem = host->mem;
    *out_state = NULL;
    return LUMA_OK;
}

static const struct luma_index_kind hash_kind = {
    .head = LUMA_INDEX_HEAD,
    .wire_id = 0x68617368, /* written in runs and the catalogue: a value is never used twice */
    .caps = LUMA_INDEX_EQUAL | LUMA_INDEX_UNIQUE,
    .hot_create = hash_hot_create,
    .hot_destroy = hash_hot_destroy,
    .hot_insert = hash_hot_insert,
    .hot_remove = hash_hot_remove,
    .hot_bytes = hash_hot_bytes,
    .hot_count = hash_hot_count,
    .hot_find = hash_hot_find,
    .hot_cursor = hash_hot_cursor,
    .run_build = hash_run_build,
    .run_open = hash_run_open,
    .run_close = hash_run_close,
    .run_find = hash_run_find,
    .run_cursor = hash_run_cursor,
    .run_count = hash_run_count,
    .run_estimate = hash_run_estimate,
    .run_verify = hash_run_verify,
    .cursor_next = cursor_next,
    .cursor_close = cursor_close,
};

LUMA_MODULE(.kind = "index", .name = "hash", .version = "1.0.0", .licence = "Apache-2.0",
            .flags = LUMA_MODULE_STORAGE, .author = "LumaDB",
            .summary = "equality in one probe; uniqueness",
            .offers = LUMA_OFFERS({"index.hash", &hash_kind.head}), .init = hash_init);
