/* modules/index/btree/btree.c - ordered indexes: the kind's table and its descriptor. */
#include "btree.h"

#include <lumadb/host/host.h>
#include <lumadb/module.h>

const struct luma_host_mem *btree_mem;

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
btree_init(const struct luma_host *host, const void *conf, struct luma_ctx *ctx, void **out_state)
{
    (void)conf;
    (void)ctx;
    btree_mem = host->mem;
    *out_state = NULL;
    return LUMA_OK;
}

static const struct luma_index_kind btree_kind = {
    .head = LUMA_INDEX_HEAD,
    .wire_id = 0x62747265, /* written in runs and the catalogue: a value is never used twice */
    .caps = LUMA_INDEX_ORDERED | LUMA_INDEX_EQUAL | LUMA_INDEX_UNIQUE,
    .hot_create = btree_hot_create,
    .hot_destroy = btree_hot_destroy,
    .hot_insert = btree_hot_insert,
    .hot_remove = btree_hot_remove,
    .hot_bytes = btree_hot_bytes,
    .hot_count = btree_hot_count,
    .hot_find = btree_hot_find,
    .hot_cursor = btree_hot_cursor,
    .run_build = btree_run_build,
    .run_open = btree_run_open,
    .run_close = btree_run_close,
    .run_find = btree_run_find,
    .run_cursor = btree_run_cursor,
    .run_count = btree_run_count,
    .run_estimate = btree_run_estimate,
    .run_verify = btree_run_verify,
    .cursor_next = cursor_next,
    .cursor_close = cursor_close,
};

LUMA_MODULE(.kind = "index", .name = "btree", .version = "1.0.0", .licence = "Apache-2.0",
            .flags = LUMA_MODULE_STORAGE, .author = "LumaDB",
            .summary = "ordered keys: equality, ranges, prefixes, uniqueness",
            .offers = LUMA_OFFERS({"index.btree", &btree_kind.head}), .init = btree_init);
