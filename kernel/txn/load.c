/*
 * txn/load.c - sorted index runs from batches of rows.
 */
#include "txn/load.h"

#include <stdlib.h>

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "index build: out of memory");
}

luma_rc
lki_load_begin(struct luma_ctx *ctx, struct lk_cidx *cidx, uint32_t parts, struct lki_load *out)
{
    memset(out, 0, sizeof(*out));
    const struct luma_store_index *def = cidx->index_def;
    lk_cidx_ref(cidx);
    out->cidx = cidx;
    out->parts = calloc(parts, sizeof(*out->parts));
    if (out->parts == NULL)
        return no_memory(ctx);
    out->parts_count = parts;
    for (uint32_t i = 0; i < parts; i++) {
        out->parts[i] = calloc(1, sizeof(**out->parts));
        if (out->parts[i] == NULL)
            return no_memory(ctx);
    }
    LUMA_TRY(lk_run_sorter_create(ctx, cidx->index, parts, &out->sorter));
    if (def->unique && !def->primary && !def->nulls_not_distinct)
        return lk_run_sorter_create(ctx, cidx->index, parts, &out->sorter_null);
    return LUMA_OK;
}

luma_rc
lki_load_add(struct luma_ctx *ctx, struct lki_load *load, uint32_t part, const struct lk_def *def,
             const struct luma_vec *const *cols, const struct luma_batch *batch,
             const int64_t *rowids)
{
    struct lki_load_part *p = load->parts[part];
    uint32_t n = 0, null_count = 0;
    lk_bytes_reset(&p->keys);
    for (uint32_t k = 0; k < batch->sel_rows; k++) {
        if (lk_key_batch(&p->keys, load->cidx, def, cols, luma_batch_row(batch, k), &p->nulls[k]) !=
            LUMA_OK)
            return no_memory(ctx);
        p->ends[k] = (uint32_t)p->keys.bytes;
        p->nulls[k] = p->nulls[k] && load->sorter_null != NULL;
    }
    /* The buffer no longer moves: entries may point into it. Nulls last. */
    for (uint32_t k = 0; k < batch->sel_rows; k++) {
        uint32_t begin = k == 0 ? 0 : p->ends[k - 1];
        uint32_t at = p->nulls[k] ? batch->sel_rows - ++null_count : n++;
        p->entries[at].key = luma_slice(p->keys.data + begin, p->ends[k] - begin);
        p->entries[at].rowid = rowids[k];
    }
    if (n > 0)
        LUMA_TRY(lk_run_sorter_add(ctx, load->sorter, part, p->entries, n));
    if (null_count > 0)
        LUMA_TRY(lk_run_sorter_add(ctx, load->sorter_null, part, p->entries + n, null_count));
    return LUMA_OK;
}

static luma_rc
sorter_finish(struct luma_ctx *ctx, struct luma_txn *txn, struct lki_load *load,
              struct lk_run_sorter *sorter, bool check_unique)
{
    struct lk_run_info info;
    struct luma_slice dup = luma_slice(NULL, 0);
    bool written = false;
    luma_rc rc = lk_run_sorter_finish(ctx, sorter, check_unique, &dup, &info, &written);
    if (rc == LUMA_E_UNIQUE && ctx->error->constraint == NULL) {
        if (ctx->error->code == LUMA_OK)
            return lki_unique_error(ctx, load->cidx);
        rc = lki_unique_error(ctx, load->cidx); /* adds the constraint's name */
    }
    LUMA_TRY(rc);
    if (!written)
        return LUMA_OK;
    LUMA_TRY(lk_index_attach(ctx, load->cidx->index, &info));
    if (lk_cidx_run_add(load->cidx, &info, txn->stamp) != LUMA_OK)
        return no_memory(ctx);
    return LUMA_OK;
}

luma_rc
lki_load_finish(struct luma_ctx *ctx, struct luma_txn *txn, struct lki_load *load)
{
    LUMA_TRY(sorter_finish(ctx, txn, load, LUMA_TAKE(load->sorter), load->cidx->index_def->unique));
    if (load->sorter_null == NULL)
        return LUMA_OK;
    return sorter_finish(ctx, txn, load, LUMA_TAKE(load->sorter_null), false);
}

void
lki_load_fini(struct lki_load *load)
{
    if (load->sorter != NULL)
        lk_run_sorter_abort(load->sorter);
    if (load->sorter_null != NULL)
        lk_run_sorter_abort(load->sorter_null);
    for (uint32_t i = 0; i < load->parts_count; i++) {
        if (load->parts[i] != NULL)
            lk_bytes_fini(&load->parts[i]->keys);
        free(load->parts[i]);
    }
    free(load->parts);
    lk_cidx_unref(load->cidx);
    memset(load, 0, sizeof(*load));
}
