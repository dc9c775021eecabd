/*
 * storage/run/merge.c - several sorted sources as one, runs written from them, and which runs to
 * merge: when four of one size class (a factor of four) have come together they become one of the
 * next, so that there are O(log n) of them.
 */
#include "sched/sched.h"
#include "storage/mutant.h"
#include "storage/run/run_priv.h"

#define TIER_RUNS   4
#define TIER_FACTOR 4
#define YIELD_ROWS  4096

int
lki_entry_compare(const struct luma_index_entry *a, const struct luma_index_entry *b)
{
    int c = luma_slice_compare(a->key, b->key);
    return c != 0 ? c : (a->rowid > b->rowid) - (a->rowid < b->rowid);
}

static luma_rc
advance(struct luma_ctx *ctx, struct lki_source *source)
{
    return source->next(ctx, source, &source->entry, &source->more);
}

/* Steps past the entry given out last, in every source that has it. */
static luma_rc
step(struct luma_ctx *ctx, struct lki_merge *merge)
{
    if (!merge->begun) {
        merge->begun = true;
        for (uint32_t i = 0; i < merge->count; i++)
            LUMA_TRY(advance(ctx, merge->sources[i]));
        return LUMA_OK;
    }
    if (merge->last >= merge->count)
        return LUMA_OK;
    struct lki_source *last = merge->sources[merge->last];
    for (uint32_t i = 0; i < merge->count; i++) {
        struct lki_source *source = merge->sources[i];
        if (source != last && source->more && lki_entry_compare(&source->entry, &last->entry) == 0)
            LUMA_TRY(advance(ctx, source));
    }
    return advance(ctx, last);
}

luma_rc
lki_merge_next(struct luma_ctx *ctx, struct lki_merge *merge, struct luma_index_entry *out_entry,
               bool *out_more)
{
    LUMA_TRY(step(ctx, merge));
    merge->last = merge->count;
    for (uint32_t i = 0; i < merge->count; i++) {
        if (!merge->sources[i]->more)
            continue;
        if (merge->last < merge->count) {
            int c =
                lki_entry_compare(&merge->sources[i]->entry, &merge->sources[merge->last]->entry);
            if (merge->reverse ? c <= 0 : c >= 0)
                continue;
        }
        merge->last = i;
    }
    *out_more = merge->last < merge->count;
    if (*out_more)
        *out_entry = merge->sources[merge->last]->entry;
    return LUMA_OK;
}

void
lki_merge_close(struct lki_merge *merge)
{
    for (uint32_t i = 0; i < merge->count; i++)
        merge->sources[i]->close(merge->sources[i]);
    merge->count = 0;
}

struct cursor_source {
    struct lki_source base;
    const struct luma_index_kind *kind;
    struct luma_index_cursor *cursor;
};

static luma_rc
cursor_source_next(struct luma_ctx *ctx, struct lki_source *base,
                   struct luma_index_entry *out_entry, bool *out_more)
{
    struct cursor_source *source = (struct cursor_source *)base;
    return source->kind->cursor_next(ctx, source->cursor, out_entry, out_more);
}

static void
cursor_source_close(struct lki_source *base)
{
    struct cursor_source *source = (struct cursor_source *)base;
    source->kind->cursor_close(source->cursor);
}

luma_rc
lki_source_cursor(struct luma_ctx *ctx, const struct luma_index_kind *kind,
                  struct luma_index_cursor *cursor, struct luma_arena *arena,
                  struct lki_source **out_source)
{
    struct cursor_source *source = LUMA_NEW(arena, struct cursor_source);
    if (source == NULL) {
        kind->cursor_close(cursor);
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for an index cursor");
    }
    source->base.next = cursor_source_next;
    source->base.close = cursor_source_close;
    source->kind = kind;
    source->cursor = cursor;
    *out_source = &source->base;
    return LUMA_OK;
}

/* --- writing a run --- */

struct build_source {
    struct luma_index_source base;
    struct lki_merge *merge;
    bool (*dead)(void *arg, const struct luma_index_entry *entry);
    void *arg;
    bool unique;
    struct lk_bytes last; /* key given before, when unique */
    struct luma_slice *out_dup;
    uint64_t count;
};

static luma_rc
check_unique(struct luma_ctx *ctx, struct build_source *source,
             const struct luma_index_entry *entry)
{
    if (source->count > 0 && luma_slice_equal(lk_bytes_view(&source->last), entry->key)) {
        if (source->out_dup != NULL)
            *source->out_dup = luma_slice(
                luma_arena_copy(ctx->arena, entry->key.data, entry->key.bytes), entry->key.bytes);
        return LUMA_FAIL(ctx, LUMA_E_UNIQUE, "duplicate key value violates unique constraint");
    }
    lk_bytes_reset(&source->last);
    return lk_bytes_slice(&source->last, entry->key)
               ? LUMA_OK
               : LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to build an index run");
}

static luma_rc
build_next(struct luma_ctx *ctx, struct luma_index_source *base, struct luma_index_entry *out_entry,
           bool *out_more)
{
    struct build_source *source = (struct build_source *)base;
    do {
        LUMA_TRY(lki_merge_next(ctx, source->merge, out_entry, out_more));
    } while (*out_more && source->dead != NULL && source->dead(source->arg, out_entry));
    if (!*out_more)
        return LUMA_OK;
    if (source->unique)
        LUMA_TRY(check_unique(ctx, source, out_entry));
    source->count++;
    if (source->count % YIELD_ROWS == 0 && lk_sched_host.in_task())
        return lk_sched_host.yield(ctx);
    return LUMA_OK;
}

luma_rc
lki_run_write(struct luma_ctx *ctx, struct lk_index *index, struct lki_merge *merge, uint32_t level,
              bool (*dead)(void *arg, const struct luma_index_entry *entry), void *arg, bool unique,
              struct luma_slice *out_dup, struct lk_run_info *out_info)
{
    struct build_source source = {.base.next = build_next,
                                  .merge = merge,
                                  .dead = dead,
                                  .arg = arg,
                                  .unique = unique,
                                  .out_dup = out_dup};
    struct lki_frame_writer writer;
    struct lk_run_info info = {.index_id = index->id, .level = level};

    LUMA_TRY(lki_frame_begin(ctx, index->objects, index->kind->wire_id, index->id, &writer));
    lk_bytes_init(&source.last, NULL);
    luma_rc rc = index->kind->run_build(ctx, &source.base, &writer.base);
    lk_bytes_fini(&source.last);
    if (rc != LUMA_OK) {
        lk_object_abort(writer.object);
        return rc;
    }
    info.object_id = writer.object->id;
    info.entries = source.count;
    LUMA_TRY(lki_frame_end(ctx, &writer, info.entries, level, &info.bytes));
    *out_info = info;
    return LUMA_OK;
}

/* --- merging runs --- */

static uint32_t
tier_of(const struct lk_run_info *info)
{
    uint32_t tier = 0;
    for (uint64_t n = info->entries / 1024; n > 0; n /= TIER_FACTOR)
        tier++;
    return tier;
}

/* The runs of the lowest tier that has enough of them; smaller ones go along. */
static uint32_t
pick(const struct lki_parts *parts, const struct lk_run_judge *judge, struct lki_run *out[16])
{
    for (uint32_t tier = 0; tier < 32; tier++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < parts->runs_count && count < 16; i++) {
            const struct lk_run_info *info = &parts->runs[i]->info;
            if (tier_of(info) <= tier &&
                (judge->may == NULL || judge->may(judge->arg, info->object_id)))
                out[count++] = parts->runs[i];
        }
        if (count >= TIER_RUNS)
            return count;
    }
    return 0;
}

static luma_rc
merge_runs(struct luma_ctx *ctx, struct lk_index *index, struct lki_run **runs, uint32_t count,
           struct luma_arena *arena, const struct lk_run_judge *judge, struct lk_run_merge *out)
{
    struct luma_index_range all = {0};
    struct lki_source *sources[16];
    struct lki_merge merge = {.sources = sources};
    uint32_t level = 0;
    luma_rc rc = LUMA_OK;

    for (uint32_t i = 0; i < count && rc == LUMA_OK; i++) {
        struct luma_index_cursor *cursor;
        level = LK_MAX(level, runs[i]->info.level);
        out->inputs[i] = runs[i]->info;
        if (LK_MUTANT(RUN_MERGE_LOST) && i == 0)
            continue;
        rc = index->kind->run_cursor(ctx, runs[i]->run, &all, arena, &cursor);
        if (rc == LUMA_OK)
            rc = lki_source_cursor(ctx, index->kind, cursor, arena, &sources[merge.count]);
        merge.count += rc == LUMA_OK;
    }
    out->inputs_count = count;
    if (rc == LUMA_OK)
        rc = lki_run_write(ctx, index, &merge, level + 1, judge->dead, judge->arg, false, NULL,
                           &out->output);
    lki_merge_close(&merge);
    return rc;
}

luma_rc
lk_index_merge(struct luma_ctx *ctx, struct lk_index *index, const struct lk_run_judge *judge,
               struct lk_run_merge *out_merge, bool *out_written)
{
    static const struct lk_run_judge keep_all = {0};
    struct lki_parts *parts = lki_parts_hold(index);
    struct lki_run *runs[16];
    judge = judge == NULL ? &keep_all : judge;
    uint32_t count = index->kind->run_cursor == NULL ? 0 : pick(parts, judge, runs);
    luma_rc rc = LUMA_OK;

    *out_written = false;
    if (count > 0) {
        LUMA_CLEANUP(lk_arena_destroy) struct luma_arena *arena = lk_arena_create(NULL, 0);
        rc = arena == NULL ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to merge index runs")
                           : merge_runs(ctx, index, runs, count, arena, judge, out_merge);
        *out_written = rc == LUMA_OK;
    }
    lki_parts_release(index, parts);
    return rc;
}
