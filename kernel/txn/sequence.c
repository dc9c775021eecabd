/*
 * txn/sequence.c - sequences: positions that no rollback takes back, logged ahead in blocks.
 */
#include "storage/redo.h"
#include "txn/txn_priv.h"

#define SEQUENCE_AHEAD 32u

/* The value after `last`; false: the sequence ends there. */
static bool
step(const struct lk_sequence_spec *spec, bool first, int64_t last, int64_t *out)
{
    int64_t next;
    if (first) {
        *out = spec->start;
        return true;
    }
    bool over = __builtin_add_overflow(last, spec->increment, &next);
    if (!over && next >= spec->min && next <= spec->max) {
        *out = next;
        return true;
    }
    *out = spec->increment > 0 ? spec->min : spec->max;
    return spec->cycle;
}

struct taken {
    int64_t first;
    uint32_t count;
    uint64_t commit;
};

/* Takes up to `count` values without a turn in between. STORE_COMMIT is held; false: the block that
 * was logged has not enough left. */
static bool
take(struct lk_sequence *seq, const struct lk_sequence_spec *spec, uint32_t count,
     struct taken *out)
{
    if (seq->ahead < count)
        return false;
    out->count = 0;
    out->commit = seq->commit;
    while (out->count < count) {
        int64_t value = seq->last;
        if (!seq->uncalled && !step(spec, !seq->has_last, seq->last, &value))
            break;
        int64_t follows = out->first + (int64_t)out->count * spec->increment;
        if (out->count > 0 && value != follows)
            break;
        if (out->count == 0)
            out->first = value;
        seq->last = value;
        seq->has_last = true;
        seq->uncalled = false;
        seq->ahead--;
        out->count++;
    }
    return true;
}

void
lki_sequence_placed(struct lk_sequence_block *block, uint64_t commit)
{
    struct lk_sequence *seq = block->seq;
    seq->commit = commit;
    seq->logged = block->position;
    seq->logged_uncalled = block->uncalled;
    seq->ahead = block->ahead;
    seq->gone = false;
    if (block->set) {
        seq->last = block->position;
        seq->has_last = true;
        seq->uncalled = block->uncalled;
    }
}

static luma_rc
block_log(struct luma_ctx *ctx, struct lk_store *store, struct lk_sequence_block *block)
{
    struct lk_bytes payload;
    uint64_t commit = 0;
    lk_bytes_init(&payload, NULL);
    luma_rc rc = lk_redo_sequence(&payload, block->seq->id,
                                  block->uncalled ? LK_SEQUENCE_UNCALLED : LK_SEQUENCE_CALLED,
                                  block->position)
                     ? lki_log(ctx, store, lk_bytes_view(&payload), block, &commit)
                     : LUMA_FAIL(ctx, LUMA_E_NOMEM, "sequence: out of memory");
    lk_bytes_fini(&payload);
    return rc;
}

/* Logs a position beyond the next `count` values. The refill lock is held: nobody else does. */
static luma_rc
refill(struct luma_ctx *ctx, struct lk_store *store, struct lk_sequence *seq,
       const struct lk_sequence_spec *spec, uint32_t count)
{
    lk_mutex_lock(&store->commit_lock);
    int64_t at = seq->last;
    bool first = !seq->has_last, uncalled = seq->uncalled;
    lk_mutex_unlock(&store->commit_lock);
    struct lk_sequence_block block = {.seq = seq};
    bool ends = false;
    while (block.ahead < (uint64_t)count + SEQUENCE_AHEAD && !ends) {
        int64_t value = at;
        ends = !uncalled && !step(spec, first, at, &value);
        if (ends)
            break;
        at = value;
        first = uncalled = false;
        block.ahead++;
    }
    if (block.ahead == 0)
        return LUMA_FAIL_SQL(ctx, LUMA_E_RANGE, "2200H",
                             "nextval: reached %s value of sequence (%lld)",
                             spec->increment > 0 ? "maximum" : "minimum",
                             (long long)(spec->increment > 0 ? spec->max : spec->min));
    block.position = at;
    return block_log(ctx, store, &block);
}

static struct lk_sequence *
sequence_get(struct lk_store *store, uint64_t seq_id)
{
    lk_mutex_lock(&store->commit_lock);
    struct lk_sequence *seq = lk_core_sequence(store, seq_id, true);
    lk_mutex_unlock(&store->commit_lock);
    return seq;
}

luma_rc
lk_store_sequence_next(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t seq_id,
                       const struct lk_sequence_spec *spec, uint32_t count, int64_t *out_first,
                       uint32_t *out_count)
{
    struct lk_store *store = txn->store;
    struct lk_sequence *seq = sequence_get(store, seq_id);
    struct taken taken = {0, 0, 0};
    if (seq == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "sequence: out of memory");
    lk_mutex_lock(&store->commit_lock);
    bool enough = take(seq, spec, count, &taken);
    lk_mutex_unlock(&store->commit_lock);
    if (!enough) {
        lk_wait_lock(store->conf.sched, &store->refill_lock);
        luma_rc rc = refill(ctx, store, seq, spec, count);
        lk_mutex_lock(&store->commit_lock);
        /* Near the end there may be fewer values than were asked for. */
        uint64_t ahead = seq->ahead;
        if (rc == LUMA_OK)
            (void)take(seq, spec, ahead < count ? (uint32_t)ahead : count, &taken);
        lk_mutex_unlock(&store->commit_lock);
        lk_wait_unlock(store->conf.sched, &store->refill_lock);
        LUMA_TRY(rc);
    }
    lk_txn_saw(txn, taken.commit);
    *out_first = taken.first;
    *out_count = taken.count;
    return LUMA_OK;
}

luma_rc
lk_store_sequence_set(struct luma_ctx *ctx, struct luma_txn *txn, uint64_t seq_id, int64_t value,
                      bool called)
{
    struct lk_store *store = txn->store;
    struct lk_sequence *seq = sequence_get(store, seq_id);
    if (seq == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "sequence: out of memory");
    struct lk_sequence_block block = {.seq = seq, .position = value, .set = true};
    block.uncalled = !called;
    lk_wait_lock(store->conf.sched, &store->refill_lock);
    luma_rc rc = block_log(ctx, store, &block);
    lk_wait_unlock(store->conf.sched, &store->refill_lock);
    lk_mutex_lock(&store->commit_lock);
    uint64_t commit = seq->commit;
    lk_mutex_unlock(&store->commit_lock);
    lk_txn_saw(txn, commit);
    return rc;
}

bool
lk_store_sequence_peek(struct lk_store *store, uint64_t seq_id, int64_t *out_last)
{
    lk_mutex_lock(&store->commit_lock);
    const struct lk_sequence *seq = lk_core_sequence(store, seq_id, false);
    bool known = seq != NULL && seq->has_last && !seq->uncalled && !seq->gone;
    if (known)
        *out_last = seq->last;
    lk_mutex_unlock(&store->commit_lock);
    return known;
}

struct forget {
    struct lk_store *store;
    uint64_t seq_id;
};

static void
forget_end(void *arg, bool committed)
{
    struct forget *forget = arg;
    struct lk_store *store = forget->store;
    lk_mutex_lock(&store->commit_lock);
    struct lk_sequence *seq = lk_core_sequence(store, forget->seq_id, false);
    if (committed && seq != NULL) {
        seq->gone = true;
        seq->has_last = seq->uncalled = false;
        seq->ahead = 0;
        seq->commit = store->commit; /* the next checkpoint takes it out of the manifest */
    }
    lk_mutex_unlock(&store->commit_lock);
    lk_free(NULL, forget, sizeof(*forget));
}

void
lk_store_sequence_forget(struct luma_txn *txn, uint64_t seq_id)
{
    struct lk_ctx c;
    struct forget *forget = lk_alloc(NULL, sizeof(*forget));
    lk_ctx_init(&c, NULL);
    if (!lk_redo_sequence(&txn->redo, seq_id, LK_SEQUENCE_GONE, 0))
        txn->redo.failed = true; /* the commit says so */
    if (forget == NULL)
        return; /* its position stays: ids are never used again */
    *forget = (struct forget){txn->store, seq_id};
    if (lk_txn_host.on_end(&c.ctx, txn, forget_end, forget) != LUMA_OK)
        lk_free(NULL, forget, sizeof(*forget));
}
