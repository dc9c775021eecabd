/*
 * storage/redo_rows.c - rows of the log, applied by many threads.
 *
 * Row operations are gathered, sorted by the shard of hot tables that their row id belongs to, and
 * applied shard by shard: operations of one row keep their order, and no two threads meet in a
 * shard. What is not about a single row (definitions, segments, maps of deletes) is applied between
 * two such batches. Index entries are made at the end, of the rows that are left, in bulk.
 */
#include <stdlib.h>

#include "storage/mutant.h"
#include "storage/redo.h"

#define BATCH_OPS        16384u
#define BATCH_BYTES      ((size_t)2 << 20) /* fits the caches */
#define BATCH_COLLS      256u
#define TARGETS_SEARCHED 8u
#define AHEAD            8 /* operations whose memory is asked for early */
#define OP_ENDED         255 /* not in the log: a version that ended with the commit before its tuple */
/* Entries given to an index at once: many, so that few steps lie between one and the next. */
#define INDEX_ROWS ((uint64_t)1 << 20)

struct row_op {
    uint64_t commit;
    int64_t rowid;
    size_t offset; /* of the tuple in the batch's data */
    uint32_t bytes;
    uint16_t target;
    uint8_t op; /* enum lk_redo_op, OP_ENDED */
};

/* A collection that the batch changes. */
struct target {
    struct lk_coll *coll;
    struct lk_view *view;
};

struct shard_ops {
    struct row_op *ops;
    uint32_t count, room;
};

struct lk_redo_rows {
    struct lk_store *store;
    struct shard_ops shards[LK_HOT_SHARDS];
    struct target *targets;
    uint32_t targets_count, targets_room, ops;
    uint32_t last; /* target of the newest operation */
    struct lk_bytes data;
};

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "recovery: out of memory");
}

/* --- on all cores --- */

static luma_rc
run_parts(struct luma_ctx *ctx, struct lk_store *store, uint32_t parts,
          luma_rc (*fn)(void *arg, uint32_t part, struct luma_ctx *ctx), void *arg)
{
    if (store->conf.sched != NULL)
        return store->conf.sched->parallel(ctx, parts, fn, arg);
    for (uint32_t i = 0; i < parts; i++)
        LUMA_TRY(fn(arg, i, ctx));
    return LUMA_OK;
}

/* --- gathering --- */

luma_rc
lk_redo_rows_create(struct luma_ctx *ctx, struct lk_store *store, struct lk_redo_rows **out_rows)
{
    struct lk_redo_rows *rows = calloc(1, sizeof(*rows));
    if (rows == NULL)
        return no_memory(ctx);
    rows->store = store;
    lk_bytes_init(&rows->data, NULL);
    *out_rows = rows;
    return LUMA_OK;
}

static void
rows_reset(struct lk_redo_rows *rows)
{
    for (uint32_t i = 0; i < LK_HOT_SHARDS; i++)
        rows->shards[i].count = 0;
    for (uint32_t i = 0; i < rows->targets_count; i++)
        lk_view_unref(rows->targets[i].view);
    rows->targets_count = rows->ops = 0;
    lk_bytes_reset(&rows->data);
}

void
lk_redo_rows_destroy(struct lk_redo_rows *rows)
{
    if (rows == NULL)
        return;
    rows_reset(rows);
    for (uint32_t i = 0; i < LK_HOT_SHARDS; i++)
        free(rows->shards[i].ops);
    free(rows->targets);
    lk_bytes_fini(&rows->data);
    free(rows);
}

struct lk_coll *
lk_redo_rows_coll(struct lk_redo_rows *rows, uint64_t coll_id)
{
    for (uint32_t i = 0; i < LK_MIN(rows->targets_count, TARGETS_SEARCHED); i++)
        if (rows->targets[i].coll->id == coll_id)
            return rows->targets[i].coll;
    return lk_coll_find(rows->store, coll_id);
}

static luma_rc
target_of(struct luma_ctx *ctx, struct lk_redo_rows *rows, struct lk_coll *coll,
          uint32_t *out_target)
{
    struct target *targets = rows->targets;
    uint32_t at = rows->last;
    if (at >= rows->targets_count || targets[at].coll != coll)
        for (at = 0; at < rows->targets_count && targets[at].coll != coll;)
            at++;
    *out_target = rows->last = at;
    if (at < rows->targets_count)
        return LUMA_OK;
    if (at == rows->targets_room) {
        uint32_t room = at == 0 ? 16 : at * 2;
        targets = realloc(targets, room * sizeof(*targets));
        if (targets == NULL)
            return no_memory(ctx);
        rows->targets = targets;
        rows->targets_room = room;
    }
    struct lk_view *view = lk_coll_view(coll, NULL);
    if (view == NULL)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "recovery: a row of dropped collection %llu",
                         (unsigned long long)coll->id);
    targets[rows->targets_count++] = (struct target){coll, view};
    return LUMA_OK;
}

static struct row_op *
op_room(struct shard_ops *shard)
{
    if (shard->count == shard->room) {
        uint32_t room = shard->room == 0 ? 256 : shard->room * 2;
        struct row_op *ops = realloc(shard->ops, room * sizeof(*ops));
        if (ops == NULL)
            return NULL;
        shard->ops = ops;
        shard->room = room;
    }
    return &shard->ops[shard->count];
}

/* A place for one more operation, whose tuple comes next in the data. */
static luma_rc
op_add(struct luma_ctx *ctx, struct lk_redo_rows *rows, struct lk_coll *coll, int64_t rowid,
       struct row_op **out_op)
{
    if (rows->ops == BATCH_OPS || rows->data.bytes >= BATCH_BYTES ||
        rows->targets_count == BATCH_COLLS)
        LUMA_TRY(lk_redo_rows_settle(ctx, rows));
    uint32_t target = 0;
    LUMA_TRY(target_of(ctx, rows, coll, &target));
    struct shard_ops *shard = &rows->shards[lk_hot_shard(rowid)];
    struct row_op *to = op_room(shard);
    if (to == NULL)
        return no_memory(ctx);
    *to = (struct row_op){.rowid = rowid, .offset = rows->data.bytes, .target = (uint16_t)target};
    shard->count++;
    rows->ops++;
    *out_op = to;
    return LUMA_OK;
}

luma_rc
lk_redo_rows_add(struct luma_ctx *ctx, struct lk_redo_rows *rows, struct lk_coll *coll,
                 uint64_t commit, enum lk_redo_op op, int64_t rowid, struct luma_slice tuple)
{
    struct row_op *to = NULL;
    LUMA_TRY(op_add(ctx, rows, coll, rowid, &to));
    to->commit = commit;
    to->bytes = (uint32_t)tuple.bytes;
    to->op = (uint8_t)op;
    if (tuple.bytes > LK_TUPLE_BYTES_MAX || !lk_bytes_slice(&rows->data, tuple))
        return no_memory(ctx);
    if (op != LK_REDO_DELETE &&
        rowid >= atomic_load_explicit(&coll->next_rowid, memory_order_relaxed))
        atomic_store_explicit(&coll->next_rowid, rowid + 1, memory_order_relaxed);
    return LUMA_OK;
}

luma_rc
lk_redo_rows_ended(struct luma_ctx *ctx, struct lk_redo_rows *rows, struct lk_coll *coll,
                   uint64_t begin, uint64_t end, int64_t rowid, struct luma_slice tuple)
{
    struct row_op *to = NULL;
    LUMA_TRY(op_add(ctx, rows, coll, rowid, &to));
    to->commit = begin;
    to->bytes = (uint32_t)tuple.bytes;
    to->op = OP_ENDED;
    return lk_bytes_u64(&rows->data, end) && lk_bytes_slice(&rows->data, tuple) ? LUMA_OK
                                                                                : no_memory(ctx);
}

uint64_t
lk_redo_rows_bytes(const struct lk_redo_rows *rows)
{
    return rows->data.bytes;
}

/* --- applying --- */

luma_rc
lk_redo_row_end(struct luma_ctx *ctx, struct lk_coll *coll, struct lk_view *view, uint64_t commit,
                int64_t rowid)
{
    struct lk_place place;
    bool found = false;
    uint64_t other = 0;
    luma_rc rc =
        lk_row_current(ctx, view, &coll->store->slots, rowid, 0, NULL, &place, &found, &other);
    if (rc == LUMA_E_CORRUPT) {
        /* It lay in a segment that cannot be read: there is nothing that could be ended. */
        lk_log_error("storage", "row %lld of collection %llu: %s", (long long)rowid,
                     (unsigned long long)coll->id, ctx->error->message);
        luma_error_reset(ctx->error);
        return LUMA_OK;
    }
    LUMA_TRY(rc);
    if (!found)
        return LUMA_OK; /* a merge may have dropped it after it was deleted */
    rc = place.hot != NULL ? lk_hot_end(place.hot, place.version, commit, 0)
                           : lk_seg_end(place.seg, place.row, commit, 0);
    return rc == LUMA_OK ? rc : no_memory(ctx);
}

/* What the threads of a batch share. */
struct shards_job {
    const struct lk_redo_rows *rows;
    uint64_t floor; /* versions that ended up to here are read by nobody */
};

static luma_rc
op_apply(struct luma_ctx *ctx, const struct shards_job *job, const struct row_op *op,
         struct lk_hot_tally *tally, struct lk_hot_grant *grant)
{
    const struct lk_redo_rows *rows = job->rows;
    const struct target *target = &rows->targets[op->target];
    struct lk_view *view = target->view;
    struct lk_hot *hot = view->hots[0];
    const uint8_t *data = rows->data.data + op->offset;
    if (op->op == OP_ENDED) {
        struct luma_slice ended = luma_slice(data + sizeof(uint64_t), op->bytes);
        luma_rc rc =
            lk_hot_replay_ended(hot, tally, grant, op->rowid, ended, op->commit, lk_load_u64(data));
        return rc == LUMA_OK ? rc : no_memory(ctx);
    }
    struct luma_slice tuple = luma_slice(data, op->bytes);
    if (op->op != LK_REDO_DELETE &&
        lk_tuple_check(tuple, view->def->tuple_cols, view->def->coll.cols_count) != LUMA_OK)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "recovery: row %lld of collection %llu is damaged",
                         (long long)op->rowid, (unsigned long long)target->coll->id);
    if (op->op != LK_REDO_INSERT && !lk_hot_replay_end(hot, op->rowid, op->commit))
        LUMA_TRY(lk_redo_row_end(ctx, target->coll, view, op->commit, op->rowid));
    if (op->op == LK_REDO_DELETE)
        return LUMA_OK;
    luma_rc rc = lk_hot_replay_put(hot, tally, grant, op->rowid, tuple, op->commit,
                                   LK_MIN(op->commit, job->floor), op->op == LK_REDO_INSERT);
    return rc == LUMA_OK ? rc : no_memory(ctx);
}

static void
ahead(const struct lk_redo_rows *rows, const struct shard_ops *shard, uint32_t at, int step)
{
    if (at >= shard->count)
        return;
    const struct row_op *op = &shard->ops[at];
    if (step == 0)
        __builtin_prefetch(rows->data.data + op->offset);
    lk_hot_replay_ahead(rows->targets[op->target].view->hots[0], op->rowid, step);
}

static luma_rc
shard_apply(void *arg, uint32_t part, struct luma_ctx *ctx)
{
    const struct shards_job *job = arg;
    const struct lk_redo_rows *rows = job->rows;
    const struct shard_ops *shard = &rows->shards[part];
    if (shard->count == 0)
        return LUMA_OK;
    struct lk_hot_tally *tallies = calloc(rows->targets_count, sizeof(*tallies));
    struct lk_hot_grant grant = {rows->store->hot_budget, 0};
    luma_rc rc = tallies == NULL ? no_memory(ctx) : LUMA_OK;
    for (uint32_t i = 0; rc == LUMA_OK && i < shard->count; i++) {
        const struct row_op *op = &shard->ops[i];
        ahead(rows, shard, i + AHEAD, 0);
        ahead(rows, shard, i + AHEAD / 2, 1);
        rc = op_apply(ctx, job, op, &tallies[op->target], &grant);
    }
    for (uint32_t i = 0; tallies != NULL && i < rows->targets_count; i++)
        lk_hot_replay_settle(rows->targets[i].view->hots[0], &tallies[i]);
    lk_hot_grant_end(&grant);
    free(tallies);
    return rc;
}

luma_rc
lk_redo_rows_settle(struct luma_ctx *ctx, struct lk_redo_rows *rows)
{
    if (rows->ops == 0)
        return LUMA_OK;
    struct shards_job job = {rows, lk_history_floor(rows->store)};
    if (LK_MUTANT(PAST_PRUNED))
        job.floor = UINT64_MAX;
    luma_rc rc = run_parts(ctx, rows->store, LK_HOT_SHARDS, shard_apply, &job);
    rows_reset(rows);
    return rc;
}

/* --- indexes --- */

/* Entries to be made: of one shard of a hot table, or of all. */
struct index_job {
    struct lk_view *view; /* held */
    struct lk_hot *hot;
    uint32_t shard, shards;
};

struct index_jobs {
    struct lk_store *store;
    struct luma_ctx *ctx;
    struct index_job *jobs;
    uint32_t count, room;
};

static luma_rc
job_add(struct index_jobs *jobs, struct lk_view *view, struct lk_hot *hot, uint32_t shard,
        uint32_t shards)
{
    if (jobs->count == jobs->room) {
        uint32_t room = jobs->room == 0 ? 256 : jobs->room * 2;
        struct index_job *list = realloc(jobs->jobs, room * sizeof(*list));
        if (list == NULL)
            return no_memory(jobs->ctx);
        jobs->jobs = list;
        jobs->room = room;
    }
    lk_view_ref(view);
    jobs->jobs[jobs->count++] = (struct index_job){view, hot, shard, shards};
    return LUMA_OK;
}

static luma_rc
coll_jobs(void *arg, struct lk_coll *coll)
{
    struct lk_view *view = lk_coll_view(coll, NULL);
    luma_rc rc = LUMA_OK;
    if (view == NULL)
        return LUMA_OK;
    for (uint32_t i = 0; view->idx_count > 0 && i < view->hots_count; i++) {
        struct lk_hot *hot = view->hots[i];
        uint64_t versions = atomic_load(&hot->versions);
        uint32_t step = LK_HOT_SHARDS;
        while (step > 1 && versions * step / LK_HOT_SHARDS > INDEX_ROWS)
            step /= 2;
        for (uint32_t s = 0; versions > 0 && rc == LUMA_OK && s < LK_HOT_SHARDS; s += step)
            rc = job_add(arg, view, hot, s, step);
    }
    lk_view_unref(view);
    return rc;
}

static luma_rc
entries_insert(void *arg, struct luma_ctx *ctx, const struct luma_index_entry *entries,
               const bool *nulls, uint32_t count)
{
    (void)nulls;
    return lk_index_insert(ctx, arg, entries, count);
}

static luma_rc
job_run(void *arg, uint32_t part, struct luma_ctx *ctx)
{
    const struct index_jobs *jobs = arg;
    const struct index_job *job = &jobs->jobs[part];
    struct lk_entries spec = {.slots = &jobs->store->slots, .def = job->view->def};
    /* Nobody has a snapshot yet; of the past some may be read. */
    spec.horizon = LK_MIN(jobs->store->commit, lk_history_floor(jobs->store));
    spec.add = entries_insert;
    for (uint32_t i = 0; i < job->view->idx_count; i++) {
        spec.cidx = job->view->idx[i];
        spec.arg = spec.cidx->index;
        LUMA_TRY(lk_entries_of_shards(ctx, &spec, job->hot, job->shard, job->shards));
    }
    return LUMA_OK;
}

luma_rc
lk_redo_rows_index(struct luma_ctx *ctx, struct lk_store *store)
{
    struct index_jobs jobs = {.store = store, .ctx = ctx};
    luma_rc rc = lk_colls_each(store, coll_jobs, &jobs);
    if (rc == LUMA_OK && jobs.count > 0)
        rc = run_parts(ctx, store, jobs.count, job_run, &jobs);
    for (uint32_t i = 0; i < jobs.count; i++)
        lk_view_unref(jobs.jobs[i].view);
    free(jobs.jobs);
    return rc;
}
