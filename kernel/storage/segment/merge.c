/*
 * storage/segment/merge.c - many segments into one, by row id.
 *
 * Each input has a cursor with a window; the one with the smallest row id gives rows until another
 * one's turn comes. Inputs that do not interleave, the usual case, give whole windows.
 */
#include "storage/segment/merge.h"

#include "sched/sched.h"
#include "storage/segment/segment_priv.h"

#define WINDOW      LUMA_BATCH_ROWS
#define TIER_COUNT  4
#define TIER_FACTOR 4
#define MERGED_ROWS ((uint64_t)64 << 20) /* larger ones are merged for their dead rows only */
#define SMALL_ROWS  4096

struct input {
    struct lk_segment *segment;
    struct lk_segment_cursor *cursor;
    const struct lk_segment_merge_opts *opts;
    uint32_t index;
    uint32_t group; /* next one */
    struct luma_batch *batch;
    uint32_t at; /* among the rows that count */
    bool done;
    uint64_t begins[WINDOW], ends[WINDOW]; /* of the window's rows */
};

struct merge {
    const struct lk_segment_merge_opts *opts;
    struct input *inputs;
    uint32_t *col_ids;
    struct luma_scan_spec spec;
    struct lk_segment_writer *writer;
    int64_t last_rowid;
    bool any;
    uint32_t level;
};

/* Commit numbers of a window, and who is dead by them. */
static luma_rc
input_live(void *arg, uint32_t first_row, uint32_t n, uint64_t *bits)
{
    struct input *input = arg;
    const struct lk_segment_merge_opts *opts = input->opts;
    const uint64_t *begins, *ends;
    struct lk_ctx c;

    lk_ctx_init(&c, NULL);
    LUMA_TRY(lk_segment_cursor_commits(&c.ctx, input->cursor, first_row, n, &begins, &ends));
    for (uint32_t i = 0; i < n; i++) {
        uint64_t begin = begins == NULL ? input->segment->info.commit_min : begins[i];
        if (begin == LK_COMMIT_OWN && opts->published != NULL)
            begin = opts->published[input->index];
        input->begins[i] = begin <= opts->horizon ? LK_COMMIT_SETTLED : begin;
        input->ends[i] = ends == NULL ? 0 : ends[i];
        if (input->ends[i] != 0 && input->ends[i] <= opts->horizon)
            luma_bit_clear(bits, i);
    }
    return opts->live == NULL ? LUMA_OK : opts->live(opts->arg, input->index, first_row, n, bits);
}

static luma_rc
input_window(struct luma_ctx *ctx, struct input *input)
{
    bool more = false;
    input->at = 0;
    for (;;) {
        if (input->group > 0) {
            luma_rc rc =
                lk_segment_cursor_next(ctx, input->cursor, input_live, input, &input->batch, &more);
            if (rc != LUMA_OK || more)
                return lk_ctx_ensure(ctx, rc);
        }
        if (input->group == input->segment->groups) {
            input->done = true;
            return LUMA_OK;
        }
        LUMA_TRY(lk_segment_cursor_seek(ctx, input->cursor, input->segment, input->group++));
    }
}

static inline int64_t
input_rowid(const struct input *input)
{
    return input->batch->rowids[luma_batch_row(input->batch, input->at)];
}

/* --- one turn --- */

/* Rows of the input up to the next one's row id, or to the window's end. */
static luma_rc
give_rows(struct luma_ctx *ctx, struct merge *merge, struct input *input, int64_t until)
{
    uint16_t sel[WINDOW];
    int64_t rowids[WINDOW];
    uint64_t begins[WINDOW], ends[WINDOW];
    uint32_t n = 0;

    for (; input->at < input->batch->sel_rows && input_rowid(input) < until; input->at++, n++) {
        uint32_t row = luma_batch_row(input->batch, input->at);
        sel[n] = (uint16_t)row;
        rowids[n] = input->batch->rowids[row];
        begins[n] = input->begins[row];
        ends[n] = input->ends[row];
    }
    struct luma_batch part = *input->batch;
    part.sel = n == part.rows ? NULL : sel;
    part.sel_rows = n;
    merge->last_rowid = rowids[n - 1];
    merge->any = true;
    return lk_segment_write_append(ctx, merge->writer, &part, rowids, 0, begins, 0, ends);
}

static luma_rc
turn(struct luma_ctx *ctx, struct merge *merge, bool *out_more)
{
    struct input *first = NULL;
    int64_t until = INT64_MAX;

    for (uint32_t i = 0; i < merge->opts->inputs_count; i++) {
        struct input *input = &merge->inputs[i];
        if (input->done)
            continue;
        if (first == NULL || input_rowid(input) < input_rowid(first)) {
            if (first != NULL)
                until = input_rowid(first);
            first = input;
        } else {
            until = LK_MIN(until, input_rowid(input));
        }
    }
    *out_more = first != NULL;
    if (first == NULL)
        return LUMA_OK;
    if (input_rowid(first) == until || (merge->any && input_rowid(first) == merge->last_rowid))
        return LUMA_FAIL(ctx, LUMA_E_AGAIN, "two versions of row %lld may still be seen",
                         (long long)input_rowid(first));
    LUMA_TRY(give_rows(ctx, merge, first, until));
    if (first->at < first->batch->sel_rows)
        return LUMA_OK;
    if (lk_sched_host.in_task())
        LUMA_TRY(lk_sched_host.yield(ctx));
    return input_window(ctx, first);
}

/* --- all of it --- */

static luma_rc
merge_init(struct luma_ctx *ctx, struct merge *merge, const struct luma_store_coll *def)
{
    uint32_t count = merge->opts->inputs_count;
    merge->inputs = lk_zalloc(NULL, count * sizeof(*merge->inputs));
    merge->col_ids = lk_zalloc(NULL, (def->cols_count + 1) * sizeof(*merge->col_ids));
    if (merge->inputs == NULL || merge->col_ids == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to merge segments");
    for (uint32_t i = 0; i < def->cols_count; i++)
        merge->col_ids[i] = def->cols[i].id;
    merge->spec.cols = merge->col_ids;
    merge->spec.cols_count = def->cols_count;
    merge->spec.rowids = true;
    for (uint32_t i = 0; i < count; i++) {
        struct input *input = &merge->inputs[i];
        input->segment = merge->opts->inputs[i];
        input->opts = merge->opts;
        input->index = i;
        merge->level = LK_MAX(merge->level, input->segment->info.level);
        LUMA_TRY(lk_segment_cursor_open(ctx, def, &merge->spec, &input->cursor));
        LUMA_TRY(input_window(ctx, input));
    }
    return LUMA_OK;
}

static void
merge_fini(struct merge *merge, const struct luma_store_coll *def)
{
    uint32_t count = merge->opts->inputs_count;
    for (uint32_t i = 0; merge->inputs != NULL && i < count; i++)
        lk_segment_cursor_close(merge->inputs[i].cursor);
    lk_free(NULL, merge->inputs, count * sizeof(*merge->inputs));
    lk_free(NULL, merge->col_ids, (def->cols_count + 1) * sizeof(*merge->col_ids));
    lk_segment_write_abort(merge->writer);
}

static luma_rc
merge_run(struct luma_ctx *ctx, struct merge *merge, struct lk_objects *objects,
          const struct lk_formats *formats, const struct luma_store_coll *def,
          struct lk_segment_info *out_info)
{
    bool more;
    LUMA_TRY(merge_init(ctx, merge, def));
    LUMA_TRY(lk_segment_write_begin(ctx, objects, formats, def, &merge->writer));
    lk_segment_write_level(merge->writer, merge->level + 1);
    do {
        LUMA_TRY(turn(ctx, merge, &more));
    } while (more);
    if (!merge->any)
        return LUMA_OK;
    return lk_segment_write_end(ctx, LUMA_TAKE(merge->writer), out_info);
}

luma_rc
lk_segment_merge(struct luma_ctx *ctx, struct lk_objects *objects, const struct lk_formats *formats,
                 const struct luma_store_coll *def, const struct lk_segment_merge_opts *opts,
                 struct lk_segment_info *out_info, bool *out_written)
{
    struct merge merge = {.opts = opts};
    luma_rc rc = merge_run(ctx, &merge, objects, formats, def, out_info);
    *out_written = rc == LUMA_OK && merge.any;
    merge_fini(&merge, def);
    return rc;
}

/* --- what to merge --- */

static uint32_t
tier_of(uint64_t rows)
{
    uint32_t tier = 0;
    for (rows /= SMALL_ROWS; rows > 0; rows /= TIER_FACTOR)
        tier++;
    return tier;
}

uint32_t
lk_segment_merge_pick(const struct lk_segment_info *infos, const uint64_t *dead, uint32_t count,
                      uint32_t *out, uint32_t room)
{
    for (uint32_t i = 0; i < count && room > 0; i++) {
        if (dead[i] * 3 > infos[i].rows) {
            out[0] = i;
            return 1;
        }
    }
    for (uint32_t tier = 0; tier < 32; tier++) {
        uint32_t n = 0;
        uint64_t rows = 0;
        for (uint32_t i = 0; i < count && n < room; i++) {
            if (tier_of(infos[i].rows) > tier || rows + infos[i].rows > MERGED_ROWS)
                continue;
            rows += infos[i].rows;
            out[n++] = i;
        }
        if (n >= TIER_COUNT)
            return n;
    }
    return 0;
}
