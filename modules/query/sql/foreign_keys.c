/*
 * foreign_keys.c - the keys of changed rows: collected while a change runs, read back as a
 * relation.
 */
#include "foreign.h"

struct sql_keys_slot {
    uint64_t hash;
    struct sql_keys_chunk *chunk; /* NULL: free */
    uint32_t row;
};

void
sql_keys_free(struct sql_keys *keys)
{
    while (keys != NULL) {
        struct sql_keys *next = keys->next;
        sql_host->mem->arena_destroy(keys->arena);
        keys = next;
    }
}

/* ---- collecting ---- */

static struct sql_keys *
keys_of(struct luma_ctx *ctx, struct sql_session *own, const struct sql_foreign_rule *rule)
{
    struct sql_keys **at = &own->foreign_now;
    for (; *at != NULL; at = &(*at)->next)
        if ((*at)->constraint_id == rule->constraint_id && (*at)->event == rule->event)
            return *at;
    struct luma_arena *arena = sql_host->mem->arena_create(sql_host->session->budget(own->session),
                                                           sizeof(struct sql_keys) + 4096);
    struct sql_keys *keys = arena != NULL ? LUMA_NEW(arena, struct sql_keys) : NULL;
    if (keys == NULL) {
        sql_host->mem->arena_destroy(arena);
        (void)LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory for the keys of constraint \"%s\"",
                        rule->name);
        return NULL;
    }
    keys->arena = arena;
    keys->constraint_id = rule->constraint_id;
    keys->child_id = rule->child_id;
    keys->event = rule->event;
    keys->count = rule->count;
    memcpy(keys->types, rule->types, sizeof(*rule->types) * rule->count);
    *at = keys;
    return keys;
}

static luma_rc
mixed_nulls(struct luma_ctx *ctx, const struct sql_foreign_rule *rule)
{
    luma_rc rc =
        LUMA_FAIL_SQL(ctx, LUMA_E_FOREIGN, "23503",
                      "insert or update on table \"%s\" violates foreign key constraint \"%s\"",
                      rule->table_name, rule->name);
    ctx->error->detail = "MATCH FULL does not allow mixing of null and nonnull key values.";
    ctx->error->schema = rule->schema_name;
    ctx->error->table = rule->table_name;
    ctx->error->constraint = rule->name;
    return rc;
}

static bool
same_value(const struct luma_vec *a, uint32_t row_a, const struct luma_vec *b, uint32_t row_b)
{
    bool null_a = luma_vec_is_null(a, row_a), null_b = luma_vec_is_null(b, row_b);
    return null_a || null_b ? null_a == null_b : sql_host->data->compare(a, row_a, b, row_b) == 0;
}

static bool
same_key(const struct sql_foreign_rule *rule, const struct luma_batch *a, uint32_t row_a,
         const struct luma_batch *b, uint32_t row_b)
{
    for (uint32_t i = 0; i < rule->count; i++)
        if (!same_value(&a->cols[rule->pos[i]], row_a, &b->cols[rule->pos[i]], row_b))
            return false;
    return true;
}

/* Does the key of this row count? Keys with nulls refer to nothing and are referred to by nobody.
 */
static luma_rc
key_counts(struct luma_ctx *ctx, const struct sql_foreign_rule *rule, const struct luma_batch *rows,
           uint32_t row, bool *out)
{
    uint32_t nulls = 0;
    for (uint32_t i = 0; i < rule->count; i++)
        nulls += luma_vec_is_null(&rows->cols[rule->pos[i]], row);
    *out = nulls == 0;
    if (nulls > 0 && nulls < rule->count && rule->match_full && rule->event == SQL_FOREIGN_CHILD)
        return mixed_nulls(ctx, rule);
    return LUMA_OK;
}

static luma_rc
grow_slots(struct sql_keys *keys)
{
    uint64_t room = keys->slots_count == 0 ? 64 : keys->slots_count * 4;
    struct sql_keys_slot *slots = LUMA_NEW_ARRAY(keys->arena, struct sql_keys_slot, room);
    if (slots == NULL)
        return LUMA_E_NOMEM;
    for (uint64_t i = 0; i < keys->slots_count; i++) {
        if (keys->slots[i].chunk == NULL)
            continue;
        uint64_t at = keys->slots[i].hash & (room - 1);
        while (slots[at].chunk != NULL)
            at = (at + 1) & (room - 1);
        slots[at] = keys->slots[i];
    }
    keys->slots = slots;
    keys->slots_count = room;
    return LUMA_OK;
}

static bool
slot_has(const struct sql_keys_slot *slot, const struct sql_foreign_rule *rule,
         const struct luma_batch *rows, uint32_t row)
{
    for (uint32_t i = 0; i < rule->count; i++)
        if (sql_host->data->compare(&slot->chunk->batch.cols[i], slot->row,
                                    &rows->cols[rule->pos[i]], row) != 0)
            return false;
    return true;
}

/* Narrows keys->sel to those that are new, and enters them as rows of `chunk`. */
static luma_rc
only_new(struct sql_keys *keys, const struct sql_foreign_rule *rule, const struct luma_batch *rows,
         uint32_t *inout_count, struct sql_keys_chunk *chunk)
{
    uint32_t n = *inout_count, kept = 0;
    while ((keys->rows + n) * 2 > keys->slots_count)
        LUMA_TRY(grow_slots(keys));
    for (uint32_t i = 0; i < rule->count; i++)
        sql_host->data->hash(&rows->cols[rule->pos[i]], keys->sel, n, i > 0, keys->hashes);
    /* the chunk's columns are compared before they are copied: they borrow the rows till then */
    for (uint32_t k = 0; k < n; k++) {
        uint64_t hash = keys->hashes[k], at = hash & (keys->slots_count - 1);
        uint16_t row = keys->sel[k];
        bool found = false;
        for (; keys->slots[at].chunk != NULL && !found; at = (at + 1) & (keys->slots_count - 1)) {
            const struct sql_keys_slot *slot = &keys->slots[at];
            if (slot->hash != hash)
                continue;
            if (slot->chunk == chunk) {
                bool same = true;
                for (uint32_t i = 0; i < rule->count && same; i++)
                    same = sql_host->data->compare(&rows->cols[rule->pos[i]], keys->sel[slot->row],
                                                   &rows->cols[rule->pos[i]], row) == 0;
                found = same;
            } else {
                found = slot_has(slot, rule, rows, row);
            }
        }
        if (found)
            continue;
        keys->sel[kept] = row;
        keys->slots[at] = (struct sql_keys_slot){hash, chunk, kept++};
    }
    *inout_count = kept;
    return LUMA_OK;
}

static luma_rc
copy_columns(struct sql_keys *keys, const struct sql_foreign_rule *rule,
             const struct luma_batch *rows, const uint16_t *sel, uint32_t n, struct luma_vec *out)
{
    for (uint32_t i = 0; i < rule->count; i++) {
        LUMA_TRY(sql_host->data->vec_copy(keys->arena, &rows->cols[rule->pos[i]], sel, n, true,
                                          &out[i]));
        out[i].type = rule->types[i];
    }
    return LUMA_OK;
}

static luma_rc
add_rows(struct sql_keys *keys, const struct sql_foreign_rule *rule, const struct luma_batch *old,
         const struct luma_batch *fresh, uint32_t n)
{
    struct sql_keys_chunk *chunk = LUMA_NEW(keys->arena, struct sql_keys_chunk);
    struct luma_vec *cols = LUMA_NEW_ARRAY(keys->arena, struct luma_vec, rule->count * 2);
    if (chunk == NULL || cols == NULL)
        return LUMA_E_NOMEM;
    if (rule->event == SQL_FOREIGN_CHILD)
        LUMA_TRY(only_new(keys, rule, fresh, &n, chunk));
    if (n == 0)
        return LUMA_OK;
    chunk->batch = (struct luma_batch){.rows = n, .sel_rows = n, .cols = cols};
    chunk->batch.cols_count = rule->count * (rule->event == SQL_FOREIGN_MOVED ? 2 : 1);
    LUMA_TRY(copy_columns(keys, rule, rule->event == SQL_FOREIGN_CHILD ? fresh : old, keys->sel, n,
                          cols));
    if (rule->event == SQL_FOREIGN_MOVED)
        LUMA_TRY(copy_columns(keys, rule, fresh, keys->sel_new, n, cols + rule->count));
    if (keys->last != NULL)
        keys->last->next = chunk;
    else
        keys->first = chunk;
    keys->last = chunk;
    keys->rows += n;
    return LUMA_OK;
}

/* Rows first .. of before and after, at most a batch of them. */
static luma_rc
collect(struct luma_ctx *ctx, struct sql_session *own, const struct sql_foreign_rule *rule,
        const struct luma_batch *before, const struct luma_batch *after, uint32_t first,
        uint32_t end)
{
    const struct luma_batch *rows = rule->event == SQL_FOREIGN_CHILD ? after : before;
    struct sql_keys *keys = NULL;
    uint32_t n = 0;
    for (uint32_t k = first; k < end; k++) {
        uint32_t row = luma_batch_row(rows, k);
        bool counts = true;
        if (before != NULL && after != NULL &&
            same_key(rule, before, luma_batch_row(before, k), after, luma_batch_row(after, k)))
            continue;
        LUMA_TRY(key_counts(ctx, rule, rows, row, &counts));
        if (!counts)
            continue;
        if (keys == NULL)
            keys = keys_of(ctx, own, rule);
        if (keys == NULL)
            return LUMA_E_NOMEM;
        keys->sel[n] = (uint16_t)row;
        keys->sel_new[n++] = after != NULL ? (uint16_t)luma_batch_row(after, k) : 0;
    }
    if (n == 0)
        return LUMA_OK;
    if (add_rows(keys, rule, before, after, n) != LUMA_OK)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory for the keys of constraint \"%s\"",
                         rule->name);
    return LUMA_OK;
}

luma_rc
sql_foreign_captured(struct luma_ctx *ctx, struct luma_session *session, const void *arg,
                     const struct luma_batch *before, const struct luma_batch *after)
{
    const struct sql_foreign *foreign = arg;
    struct sql_session *own = sql_session_of(session);
    uint32_t total = after != NULL ? after->sel_rows : before->sel_rows;
    luma_rc rc = LUMA_OK;
    /* parts of a load come at the same time; nothing below parks */
    while (atomic_flag_test_and_set_explicit(&own->foreign_lock, memory_order_acquire))
        ;
    for (uint32_t i = 0; i < foreign->count && rc == LUMA_OK; i++) {
        const struct sql_foreign_rule *rule = &foreign->rules[i];
        bool meant = rule->event == SQL_FOREIGN_CHILD  ? after != NULL
                     : rule->event == SQL_FOREIGN_GONE ? after == NULL
                                                       : before != NULL && after != NULL;
        for (uint32_t at = 0; meant && at < total && rc == LUMA_OK; at += LUMA_BATCH_ROWS) {
            uint32_t end = at + LUMA_BATCH_ROWS < total ? at + LUMA_BATCH_ROWS : total;
            rc = collect(ctx, own, rule, before, after, at, end);
        }
    }
    atomic_flag_clear_explicit(&own->foreign_lock, memory_order_release);
    return rc;
}

/* ---- as a relation ---- */

struct keys_reader {
    const struct sql_keys_chunk *at;
};

static luma_rc
source_open(struct luma_ctx *ctx, struct luma_txn *txn, void *arg, struct luma_arena *arena,
            void **out_state)
{
    (void)txn;
    (void)arg;
    struct keys_reader *reader = LUMA_NEW(arena, struct keys_reader);
    if (reader == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    const struct sql_keys *keys = sql_session_of(ctx->session)->foreign_run;
    reader->at = keys != NULL ? keys->first : NULL;
    *out_state = reader;
    return LUMA_OK;
}

static luma_rc
source_next(struct luma_ctx *ctx, void *arg, struct luma_batch *out)
{
    (void)ctx;
    struct keys_reader *reader = arg;
    if (reader->at == NULL) {
        memset(out, 0, sizeof(*out));
        return LUMA_OK;
    }
    *out = reader->at->batch;
    reader->at = reader->at->next;
    return LUMA_OK;
}

static void
source_close(void *state)
{
    (void)state; /* lies in the arena */
}

static const struct luma_provider few = {"changed keys", source_open, source_next,
                                         source_close,   NULL,        1};
static const struct luma_provider many = {"changed keys", source_open, source_next,
                                          source_close,   NULL,        100000};

struct luma_plan *
sql_foreign_source(struct sql_bind *b, const char *name)
{
    const struct sql_keys *keys = b->own->foreign_run;
    bool is_many = strcmp(name, SQL_FOREIGN_MANY) == 0;
    if (!is_many && strcmp(name, SQL_FOREIGN_FEW) != 0)
        return NULL;
    struct luma_plan *plan = sql_plan(b, LUMA_PLAN_VIRTUAL, NULL);
    uint32_t n = keys->count * (keys->event == SQL_FOREIGN_MOVED ? 2 : 1);
    struct luma_plan_col *cols = SQL_NEW_ARRAY(b, struct luma_plan_col, n);
    for (uint32_t i = 0; i < n; i++)
        cols[i] = (struct luma_plan_col){
            .name = sql_format(b, "%c%u", i < keys->count ? 'c' : 'n', i % keys->count + 1),
            .type = keys->types[i % keys->count]};
    plan->provider = is_many ? &many : &few;
    plan->table_name = "changed keys";
    plan->cols_count = n;
    plan->cols = cols;
    return plan;
}
