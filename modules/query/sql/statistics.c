/*
 * statistics.c - what statements cost: calls, errors, rows and times by text without its constants,
 * shown by lumadb_statements; and the log of slow ones with their plans.
 *
 * Entries are never freed, so that a statement keeps a pointer to its own and counts with atomics
 * alone. Times are kept in buckets of a quarter of an octave: a quantile is right within 19 %.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "rows.h"

#define CHAINS           1024u
#define ENTRIES_MAX      5000u
#define SHOWN_BYTES      1000u
#define BUCKETS          256u
#define SUB_BUCKETS_LOG2 2u

struct sql_stat {
    struct sql_stat *next; /* of its chain; set before it is published */
    uint64_t hash, user_id;
    char *text;
    _Atomic uint64_t calls, errors, rows, total_ns, max_ns;
    _Atomic uint32_t buckets[BUCKETS];
};

static _Atomic(struct sql_stat *) chains[CHAINS];
static pthread_mutex_t insert_lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t entries_count;

/* ---- texts without constants ---- */

static bool
is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

/* Copies text with numbers and strings as '?' and runs of space as one; returns its length. */
static size_t
without_constants(const char *text, size_t bytes, char *out)
{
    size_t n = 0;
    bool in_word = false;
    for (size_t i = 0; i < bytes && n + 2 < SHOWN_BYTES; i++) {
        char c = text[i];
        if (c == '\'') {
            while (i + 1 < bytes && (text[++i] != '\'' || (i + 1 < bytes && text[i + 1] == '\'')))
                i += text[i] == '\'';
            out[n++] = '?';
            in_word = false;
        } else if ((c >= '0' && c <= '9' && !in_word) ||
                   (c == '$' && i + 1 < bytes && text[i + 1] >= '0' && text[i + 1] <= '9')) {
            while (i + 1 < bytes && (is_word(text[i + 1]) || text[i + 1] == '.'))
                i++;
            out[n++] = '?';
        } else if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
            if (n > 0 && out[n - 1] != ' ')
                out[n++] = ' ';
            in_word = false;
        } else {
            out[n++] = c;
            in_word = is_word(c);
        }
    }
    while (n > 0 && (out[n - 1] == ' ' || out[n - 1] == ';'))
        n--;
    out[n] = '\0';
    return n;
}

static uint64_t
hash_of(const char *text, size_t bytes, uint64_t user_id)
{
    uint64_t h = 0xcbf29ce484222325u ^ user_id;
    for (size_t i = 0; i < bytes; i++)
        h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
    return h ^ (h >> 29);
}

static struct sql_stat *
find(uint64_t hash, uint64_t user_id, const char *text)
{
    struct sql_stat *s = atomic_load_explicit(&chains[hash % CHAINS], memory_order_acquire);
    while (s != NULL && (s->hash != hash || s->user_id != user_id || strcmp(s->text, text) != 0))
        s = s->next;
    return s;
}

static struct sql_stat *
insert(uint64_t hash, uint64_t user_id, const char *text)
{
    pthread_mutex_lock(&insert_lock);
    struct sql_stat *s = find(hash, user_id, text);
    if (s == NULL && entries_count < ENTRIES_MAX) {
        s = calloc(1, sizeof(*s));
        char *copy = strdup(text);
        if (s == NULL || copy == NULL) {
            free(s);
            free(copy);
            s = NULL;
        } else {
            s->hash = hash;
            s->user_id = user_id;
            s->text = copy;
            s->next = atomic_load_explicit(&chains[hash % CHAINS], memory_order_relaxed);
            /* pairs with the load in find */
            atomic_store_explicit(&chains[hash % CHAINS], s, memory_order_release);
            entries_count++;
        }
    }
    pthread_mutex_unlock(&insert_lock);
    return s;
}

struct sql_stat *
sql_stat_of(struct luma_session *session, const char *text, size_t bytes)
{
    char plain[SHOWN_BYTES + 2];
    size_t n = without_constants(text, bytes, plain);
    uint64_t user = sql_host->session->user_id(session), hash = hash_of(plain, n, user);
    struct sql_stat *s = find(hash, user, plain);
    return s != NULL ? s : insert(hash, user, plain);
}

/* ---- counting ---- */

static uint32_t
bucket_of(uint64_t ns)
{
    if (ns < 1u << SUB_BUCKETS_LOG2)
        return (uint32_t)ns;
    uint32_t top = 63u - (uint32_t)__builtin_clzll(ns);
    return (top << SUB_BUCKETS_LOG2) |
           (uint32_t)(ns >> (top - SUB_BUCKETS_LOG2) & ((1u << SUB_BUCKETS_LOG2) - 1));
}

/* The upper end of a bucket. */
static double
bucket_ns(uint32_t bucket)
{
    uint32_t top = bucket >> SUB_BUCKETS_LOG2, sub = bucket & ((1u << SUB_BUCKETS_LOG2) - 1);
    if (top < SUB_BUCKETS_LOG2)
        return (double)bucket + 1;
    return (double)((uint64_t)1 << (top - SUB_BUCKETS_LOG2)) *
           (double)((1u << SUB_BUCKETS_LOG2) + sub + 1);
}

void
sql_stat_count(struct sql_stat *s, uint64_t ns, uint64_t rows, bool failed)
{
    if (s == NULL)
        return;
    atomic_fetch_add_explicit(&s->calls, 1, memory_order_relaxed);
    if (failed)
        atomic_fetch_add_explicit(&s->errors, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->rows, rows, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->total_ns, ns, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->buckets[bucket_of(ns)], 1, memory_order_relaxed);
    uint64_t max = atomic_load_explicit(&s->max_ns, memory_order_relaxed);
    while (ns > max && !atomic_compare_exchange_weak_explicit(
                           &s->max_ns, &max, ns, memory_order_relaxed, memory_order_relaxed))
        ;
}

/* ---- slow statements ---- */

static void
log_plan(struct luma_session *session, const struct sql_bound *bound)
{
    struct luma_ctx *ctx = sql_host->session->ctx(session);
    struct luma_txn *txn = sql_host->session->txn(session);
    struct luma_explain_opts opts = {.costs = true};
    const char *const *lines = NULL;
    uint32_t count = 0;
    if (bound == NULL || bound->query == NULL || txn == NULL ||
        sql_engine->explain(ctx, session, txn, bound->query, NULL, 0, &opts, &lines, &count) !=
            LUMA_OK) {
        luma_error_reset(ctx->error);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        sql_host->log->write(LUMA_LOG_WARN, "query.sql", "  plan: %s", lines[i]);
}

void
sql_slow_log(struct luma_session *session, const struct luma_stmt *stmt,
             const struct sql_bound *bound, uint64_t ns, uint64_t rows, luma_rc rc)
{
    char text[SHOWN_BYTES + 2];
    size_t n = 0;
    if (LUMA_LIKELY(sql_conf->slow_statement == 0 || ns < (uint64_t)sql_conf->slow_statement))
        return;
    for (; n < stmt->text_bytes && n < SHOWN_BYTES; n++)
        text[n] = (unsigned char)stmt->text[n] < ' ' ? ' ' : stmt->text[n];
    text[n] = '\0';
    sql_host->log->write(LUMA_LOG_WARN, "query.sql",
                         "slow statement: %.1f ms, %llu rows%s, user %s, database %s: %s",
                         (double)ns / 1e6, (unsigned long long)rows,
                         rc == LUMA_OK ? "" : ", failed", sql_host->session->user(session),
                         sql_host->session->database(session), text);
    if (sql_conf->slow_statement_plans && rc == LUMA_OK)
        log_plan(session, bound);
}

/* ---- lumadb_statements ---- */

static double
quantile_ms(const struct sql_stat *s, double share)
{
    uint64_t total = 0, sum = 0;
    for (uint32_t i = 0; i < BUCKETS; i++)
        total += atomic_load_explicit(&s->buckets[i], memory_order_relaxed);
    for (uint32_t i = 0; i < BUCKETS; i++) {
        sum += atomic_load_explicit(&s->buckets[i], memory_order_relaxed);
        if (total > 0 && (double)sum >= share * (double)total)
            return bucket_ns(i) / 1e6;
    }
    return 0;
}

void
sql_fill_statements(struct sql_rows *rows)
{
    bool all = sql_host->session->is_superuser(rows->session);
    uint64_t own = sql_host->session->user_id(rows->session);
    for (uint32_t c = 0; c < CHAINS; c++)
        for (struct sql_stat *s = atomic_load_explicit(&chains[c], memory_order_acquire); s != NULL;
             s = s->next) {
            uint64_t calls = atomic_load_explicit(&s->calls, memory_order_relaxed);
            if (calls == 0)
                continue;
            double total = (double)atomic_load_explicit(&s->total_ns, memory_order_relaxed) / 1e6;
            double max = (double)atomic_load_explicit(&s->max_ns, memory_order_relaxed) / 1e6;
            double p99 = quantile_ms(s, 0.99);
            sql_rows_add(rows, "ltlllffffft", (int64_t)s->hash,
                         all || s->user_id == own ? s->text : "<insufficient privilege>",
                         (int64_t)calls,
                         (int64_t)atomic_load_explicit(&s->errors, memory_order_relaxed),
                         (int64_t)atomic_load_explicit(&s->rows, memory_order_relaxed), total,
                         total / (double)calls, quantile_ms(s, 0.5), p99 < max ? p99 : max, max,
                         sql_rows_name(rows, s->user_id));
        }
}

void
sql_stats_reset(void)
{
    for (uint32_t c = 0; c < CHAINS; c++)
        for (struct sql_stat *s = atomic_load_explicit(&chains[c], memory_order_acquire); s != NULL;
             s = s->next) {
            atomic_store_explicit(&s->calls, 0, memory_order_relaxed);
            atomic_store_explicit(&s->errors, 0, memory_order_relaxed);
            atomic_store_explicit(&s->rows, 0, memory_order_relaxed);
            atomic_store_explicit(&s->total_ns, 0, memory_order_relaxed);
            atomic_store_explicit(&s->max_ns, 0, memory_order_relaxed);
            for (uint32_t i = 0; i < BUCKETS; i++)
                atomic_store_explicit(&s->buckets[i], 0, memory_order_relaxed);
        }
}
