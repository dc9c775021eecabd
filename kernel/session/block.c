/*
 * block.c - the transaction of a session: implicit ones, BEGIN ... COMMIT, savepoints by name.
 *
 * A block's transaction begins with its first statement, so that SET TRANSACTION may still choose
 * the level. A block that has failed keeps its transaction only while there is a savepoint to go
 * back to: its locks are given up at once otherwise.
 */
#include <stdlib.h>

#include "data/data.h"
#include "session/session_priv.h"

static const struct luma_host_txn *
txns(void)
{
    return lki_sessions.parts.txn;
}

/* --- levels --- */

static const char *const level_texts[] = {
    [LUMA_READ_COMMITTED] = "read committed",
    [LUMA_REPEATABLE_READ] = "repeatable read",
    [LUMA_SERIALIZABLE] = "serializable",
};

static enum luma_isolation
level_of(const char *text)
{
    for (size_t i = 0; i < LUMA_COUNTOF(level_texts); i++)
        if (strcmp(text, level_texts[i]) == 0)
            return (enum luma_isolation)i;
    return LUMA_READ_COMMITTED; /* "read uncommitted" too, as in PostgreSQL */
}

static struct luma_txn_opts
default_opts(struct luma_session *s)
{
    struct luma_txn_opts opts = {
        .isolation = level_of(lki_setting_at(s, LKI_SET_DEFAULT_TRANSACTION_ISOLATION)),
        .read_only = strcmp(lki_setting_at(s, LKI_SET_DEFAULT_TRANSACTION_READ_ONLY), "on") == 0,
        .deferrable = strcmp(lki_setting_at(s, LKI_SET_DEFAULT_TRANSACTION_DEFERRABLE), "on") == 0,
        .lock_timeout_ns = s->lock_timeout_ns,
    };
    return opts;
}

const char *
lki_block_isolation_text(struct luma_session *s)
{
    if (s->txn != NULL)
        return level_texts[txns()->isolation(s->txn)];
    if (s->block == LUMA_BLOCK_OPEN)
        return level_texts[s->block_opts.isolation];
    return lki_setting_at(s, LKI_SET_DEFAULT_TRANSACTION_ISOLATION);
}

bool
lki_block_read_only(struct luma_session *s)
{
    if (s->txn != NULL)
        return txns()->is_read_only(s->txn);
    if (s->block == LUMA_BLOCK_OPEN)
        return s->block_opts.read_only;
    return strcmp(lki_setting_at(s, LKI_SET_DEFAULT_TRANSACTION_READ_ONLY), "on") == 0;
}

bool
lki_block_deferrable(struct luma_session *s)
{
    if (s->block == LUMA_BLOCK_OPEN)
        return s->block_opts.deferrable;
    return strcmp(lki_setting_at(s, LKI_SET_DEFAULT_TRANSACTION_DEFERRABLE), "on") == 0;
}

luma_rc
lki_block_set_isolation(struct luma_ctx *ctx, struct luma_session *s, const char *text)
{
    enum luma_isolation level = level_of(text);
    if (s->block != LUMA_BLOCK_OPEN) {
        lki_session_notice(s, "WARNING", "25P01",
                           "SET TRANSACTION can only be used in transaction blocks");
        return LUMA_OK;
    }
    if (s->txn != NULL && txns()->isolation(s->txn) != level)
        return LUMA_FAIL_SQL(ctx, LUMA_E_TXNSTATE, "25001",
                             "SET TRANSACTION ISOLATION LEVEL must be called before any query");
    s->block_opts.isolation = level;
    return LUMA_OK;
}

luma_rc
lki_block_set_read_only(struct luma_ctx *ctx, struct luma_session *s, bool read_only)
{
    if (s->txn != NULL) {
        if (!read_only && txns()->is_read_only(s->txn))
            return LUMA_FAIL_SQL(ctx, LUMA_E_TXNSTATE, "25001",
                                 "transaction read-write mode must be set before any query");
        txns()->set_read_only(s->txn, read_only);
    } else if (s->block != LUMA_BLOCK_OPEN) {
        lki_session_notice(s, "WARNING", "25P01",
                           "SET TRANSACTION can only be used in transaction blocks");
    }
    s->block_opts.read_only = read_only;
    return LUMA_OK;
}

luma_rc
lki_block_set_deferrable(struct luma_ctx *ctx, struct luma_session *s, bool deferrable)
{
    if (s->block != LUMA_BLOCK_OPEN)
        lki_session_notice(s, "WARNING", "25P01",
                           "SET TRANSACTION can only be used in transaction blocks");
    else if (s->txn != NULL)
        return LUMA_FAIL_SQL(ctx, LUMA_E_TXNSTATE, "25001",
                             "SET TRANSACTION [NOT] DEFERRABLE must be called before any query");
    s->block_opts.deferrable = deferrable;
    return LUMA_OK;
}

/* --- the end of a transaction --- */

static void
savepoints_drop(struct luma_session *s, uint32_t count)
{
    while (s->savepoints_count > count)
        free(s->savepoints[--s->savepoints_count].name);
}

/* The state after a transaction, however it ended. */
static void
block_over(struct luma_session *s, bool committed)
{
    s->txn = NULL;
    s->implicit = false;
    s->block = LUMA_BLOCK_IDLE;
    s->before_commit = NULL;
    savepoints_drop(s, 0);
    lki_settings_end(s, committed);
}

static void
roll_back(struct luma_session *s)
{
    txns()->rollback(s->txn);
    block_over(s, false);
}

/* The session's newest commit, for who wants to read it elsewhere. */
static void
committed(struct luma_session *s, uint64_t number)
{
    txns()->token_text(number, s->last_commit);
    if (s->hooks.parameter != NULL &&
        strcmp(lki_setting_at(s, LKI_SET_LUMADB_REPORT_COMMITS), "on") == 0)
        s->hooks.parameter(s->hooks.arg, "lumadb.last_commit", s->last_commit);
}

static luma_rc
commit(struct luma_ctx *ctx, struct luma_session *s)
{
    if (s->before_commit != NULL && s->txn != NULL) {
        luma_rc (*fn)(struct luma_ctx *, struct luma_session *, struct luma_txn *, void *) =
            LUMA_TAKE(s->before_commit);
        luma_rc checked = fn(ctx, s, s->txn, s->before_commit_arg);
        if (checked != LUMA_OK) {
            roll_back(s);
            return checked;
        }
    }
    struct luma_txn *txn = LUMA_TAKE(s->txn);
    uint64_t number = 0;
    luma_rc rc = txn == NULL ? LUMA_OK : txns()->commit_get(ctx, txn, &number);
    block_over(s, rc == LUMA_OK);
    if (number != 0)
        committed(s, number);
    return rc;
}

void
lki_block_drop(struct luma_session *s)
{
    roll_back(s);
    free(s->savepoints);
    s->savepoints = NULL;
    s->savepoints_room = 0;
}

/* --- statements --- */

#define LKI_EPOCH_2000_US 946684800000000 /* of timestamps, from 1970 */

luma_rc
lki_block_as_of(struct luma_ctx *ctx, struct luma_session *s, const char *text,
                uint64_t *out_commit)
{
    struct luma_value when;
    bool token = strspn(text, "0123456789abcdef") == 16 && text[16] == '-';
    if (token)
        return txns()->token_read(ctx, text, out_commit);
    memset(&when, 0, sizeof(when));
    LUMA_TRY(lk_data_from_text(ctx, ctx->arena, luma_type(LUMA_TYPE_TIMESTAMPTZ), &s->format,
                               luma_slice_text(text), &when));
    if (when.is_null || when.i64 == INT64_MAX || when.i64 == INT64_MIN)
        return LUMA_FAIL(ctx, LUMA_E_INVALID, "lumadb.as_of wants a time or a token");
    return txns()->commit_at(ctx, when.i64 + LKI_EPOCH_2000_US, out_commit);
}

static luma_rc
need_txn(struct luma_ctx *ctx, struct luma_session *s)
{
    if (s->txn != NULL) {
        if (LUMA_UNLIKELY(s->lock_timeout_changed))
            txns()->set_lock_timeout(s->txn, s->lock_timeout_ns);
        s->lock_timeout_changed = false;
        return LUMA_OK;
    }
    struct luma_txn_opts opts = s->block == LUMA_BLOCK_OPEN ? s->block_opts : default_opts(s);
    opts.lock_timeout_ns = s->lock_timeout_ns;
    opts.owner = s->pid;
    const char *as_of = lki_setting_at(s, LKI_SET_LUMADB_AS_OF);
    if (LUMA_UNLIKELY(as_of[0] != '\0')) {
        LUMA_TRY(lki_block_as_of(ctx, s, as_of, &opts.as_of));
        opts.read_only = true;
    }
    LUMA_TRY(txns()->begin(ctx, &opts, &s->txn));
    s->implicit = s->block == LUMA_BLOCK_IDLE;
    s->lock_timeout_changed = false;
    return LUMA_OK;
}

static luma_rc
refuse_failed(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_ABORTED,
                     "current transaction is aborted, commands ignored until end of transaction "
                     "block");
}

luma_rc
lki_statement_begin(struct luma_ctx *ctx, struct luma_session *s, struct luma_txn **out_txn)
{
    if (LUMA_UNLIKELY(s->block == LUMA_BLOCK_FAILED))
        return refuse_failed(ctx);
    LUMA_TRY(need_txn(ctx, s));
    luma_rc rc = txns()->statement_begin(ctx, s->txn);
    if (rc != LUMA_OK) {
        lki_statement_end(s, rc);
        return rc;
    }
    s->format.now_us = txns()->start_us(s->txn) - LKI_EPOCH_2000_US;
    s->format.statement_us = s->statement_started_us - LKI_EPOCH_2000_US;
    *out_txn = s->txn;
    return LUMA_OK;
}

void
lki_statement_end(struct luma_session *s, luma_rc rc)
{
    if (LUMA_LIKELY(rc == LUMA_OK))
        return;
    if (s->block == LUMA_BLOCK_IDLE) {
        if (s->txn != NULL)
            roll_back(s);
        return;
    }
    s->block = LUMA_BLOCK_FAILED;
    if (s->savepoints_count == 0 && s->txn != NULL) {
        txns()->rollback(s->txn);
        s->txn = NULL;
    }
}

luma_rc
lki_implicit_commit(struct luma_ctx *ctx, struct luma_session *s)
{
    if (s->block != LUMA_BLOCK_IDLE || s->txn == NULL)
        return LUMA_OK;
    return commit(ctx, s);
}

/* --- blocks --- */

luma_rc
lki_block_begin(struct luma_ctx *ctx, struct luma_session *s, const struct luma_txn_opts *opts)
{
    if (s->block == LUMA_BLOCK_FAILED)
        return refuse_failed(ctx);
    if (s->block == LUMA_BLOCK_OPEN) {
        lki_session_notice(s, "WARNING", "25001", "there is already a transaction in progress");
        return LUMA_OK;
    }
    s->block_opts = opts == NULL ? default_opts(s) : *opts;
    s->block = LUMA_BLOCK_OPEN; /* what the same message did before joins it */
    s->implicit = false;
    return LUMA_OK;
}

luma_rc
lki_block_commit(struct luma_ctx *ctx, struct luma_session *s, bool *out_rolled_back)
{
    *out_rolled_back = s->block == LUMA_BLOCK_FAILED;
    if (s->block == LUMA_BLOCK_IDLE)
        lki_session_notice(s, "WARNING", "25P01", "there is no transaction in progress");
    if (*out_rolled_back) {
        roll_back(s);
        return LUMA_OK;
    }
    return commit(ctx, s);
}

luma_rc
lki_block_rollback(struct luma_ctx *ctx, struct luma_session *s)
{
    (void)ctx;
    if (s->block == LUMA_BLOCK_IDLE)
        lki_session_notice(s, "WARNING", "25P01", "there is no transaction in progress");
    roll_back(s);
    return LUMA_OK;
}

/* --- savepoints --- */

static luma_rc
need_block(struct luma_ctx *ctx, struct luma_session *s, const char *what)
{
    if (s->block == LUMA_BLOCK_IDLE)
        return LUMA_FAIL_SQL(ctx, LUMA_E_TXNSTATE, "25P01",
                             "%s can only be used in transaction blocks", what);
    return LUMA_OK;
}

static luma_rc
savepoint_room(struct luma_ctx *ctx, struct luma_session *s)
{
    if (s->savepoints_count < s->savepoints_room)
        return LUMA_OK;
    uint32_t room = s->savepoints_room == 0 ? 4 : s->savepoints_room * 2;
    struct lki_savepoint *all = realloc(s->savepoints, room * sizeof(*all));
    if (all == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for a savepoint");
    s->savepoints = all;
    s->savepoints_room = room;
    return LUMA_OK;
}

luma_rc
lki_block_savepoint(struct luma_ctx *ctx, struct luma_session *s, const char *name)
{
    LUMA_TRY(need_block(ctx, s, "SAVEPOINT"));
    if (s->block == LUMA_BLOCK_FAILED)
        return refuse_failed(ctx);
    LUMA_TRY(need_txn(ctx, s));
    LUMA_TRY(savepoint_room(ctx, s));
    char *copy = strdup(name);
    if (copy == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for a savepoint");
    struct lki_savepoint sp = {.name = copy, .undo_count = s->undo_count};
    luma_rc rc = txns()->savepoint(ctx, s->txn, &sp.id);
    if (rc != LUMA_OK) {
        free(copy);
        return rc;
    }
    s->savepoints[s->savepoints_count++] = sp;
    return LUMA_OK;
}

static luma_rc
savepoint_find(struct luma_ctx *ctx, struct luma_session *s, const char *name, uint32_t *out_index)
{
    for (uint32_t i = s->savepoints_count; i-- > 0;) {
        if (strcmp(s->savepoints[i].name, name) == 0) {
            *out_index = i;
            return LUMA_OK;
        }
    }
    return LUMA_FAIL_SQL(ctx, LUMA_E_TXNSTATE, "3B001", "savepoint \"%.100s\" does not exist",
                         name);
}

luma_rc
lki_block_rollback_to(struct luma_ctx *ctx, struct luma_session *s, const char *name)
{
    uint32_t index = 0;
    LUMA_TRY(need_block(ctx, s, "ROLLBACK TO SAVEPOINT"));
    LUMA_TRY(savepoint_find(ctx, s, name, &index));
    LUMA_TRY(txns()->rollback_to(ctx, s->txn, s->savepoints[index].id));
    lki_settings_undo_to(s, s->savepoints[index].undo_count);
    savepoints_drop(s, index + 1); /* it stays itself */
    s->block = LUMA_BLOCK_OPEN;
    return LUMA_OK;
}

luma_rc
lki_block_release(struct luma_ctx *ctx, struct luma_session *s, const char *name)
{
    uint32_t index = 0;
    LUMA_TRY(need_block(ctx, s, "RELEASE SAVEPOINT"));
    if (s->block == LUMA_BLOCK_FAILED)
        return refuse_failed(ctx);
    LUMA_TRY(savepoint_find(ctx, s, name, &index));
    txns()->release(s->txn, s->savepoints[index].id);
    savepoints_drop(s, index);
    return LUMA_OK;
}
