/*
 * main/embed/metrics.c - series and samples. Every series is known in memory by its key, the name
 * and labels in the notation of Prometheus; new ones are committed before samples refer to them.
 */
#include <stdlib.h>

#include "data/data.h"
#include "main/embed/embed.h"

#define SCHEMA        "metrics"
#define EPOCH_US      INT64_C(946684800000000)     /* timestamps count from 2000 */
#define TIMESTAMP_MIN INT64_C(-211813488000000000) /* 4714 BC */
#define TIMESTAMP_MAX INT64_C(9223371331199999999) /* 294276 AD */

struct lki_series {
    int64_t id;
    const char *metric;
    struct luma_db_label *labels;
    uint32_t labels_count;
    struct lki_series *next; /* of the same metric */
};

static const struct lki_embed_def series_def = {
    .schema = SCHEMA,
    .cols = {{"id", LUMA_TYPE_INT8},
             {"key", LUMA_TYPE_TEXT},
             {"name", LUMA_TYPE_TEXT},
             {"labels", LUMA_TYPE_JSONB}},
    .cols_count = 4,
    .key = {0},
    .key_count = 1,
    .primary = true,
    .second = 2,
};

static const struct lki_embed_def samples_def = {
    .schema = SCHEMA,
    .cols = {{"series", LUMA_TYPE_INT8},
             {"time", LUMA_TYPE_TIMESTAMPTZ},
             {"value", LUMA_TYPE_FLOAT8}},
    .cols_count = 3,
    .key = {0, 1},
    .key_count = 2,
    .primary = true,
};

static luma_rc
no_memory(struct lki_call *call)
{
    return LUMA_FAIL(&call->c.ctx, LUMA_E_NOMEM, "out of memory");
}

/* --- names --- */

static bool
is_name(const char *name, bool metric)
{
    if (name == NULL || name[0] == '\0')
        return false;
    for (const char *p = name; *p != '\0'; p++) {
        bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || *p == '_' ||
                      (metric && *p == ':');
        if (!letter && (p == name || *p < '0' || *p > '9'))
            return false;
    }
    return strlen(name) <= 250;
}

static int
compare_labels(const void *a, const void *b)
{
    return strcmp(((const struct luma_db_label *)a)->name, ((const struct luma_db_label *)b)->name);
}

/* The labels in order, checked. */
static luma_rc
sort_labels(struct lki_call *call, const char *metric, const struct luma_db_label *labels,
            uint32_t count, struct luma_db_label **out)
{
    struct luma_ctx *ctx = &call->c.ctx;
    if (!is_name(metric, true))
        return LUMA_FAIL(ctx, LUMA_E_INVALID, "this cannot be the name of a metric");
    if (count > LUMA_DB_LABELS_MAX)
        return LUMA_FAIL(ctx, LUMA_E_INVALID, "a series has at most %d labels", LUMA_DB_LABELS_MAX);
    *out = LUMA_NEW_ARRAY(call->arena, struct luma_db_label, count + 1);
    if (*out == NULL)
        return no_memory(call);
    for (uint32_t i = 0; i < count; i++) {
        if (!is_name(labels[i].name, false))
            return LUMA_FAIL(ctx, LUMA_E_INVALID, "this cannot be the name of a label");
        (*out)[i] = labels[i];
    }
    qsort(*out, count, sizeof(**out), compare_labels);
    for (uint32_t i = 0; i < count; i++) {
        const struct luma_db_label *l = &(*out)[i];
        if (i > 0 && strcmp(l->name, l[-1].name) == 0)
            return LUMA_FAIL(ctx, LUMA_E_INVALID, "label %s is given twice", l->name);
        if (l->value == NULL || !lki_embed_is_text(l->value, strlen(l->value)))
            return LUMA_FAIL_SQL(ctx, LUMA_E_DATA, "22021", "the value of %s is no text in UTF-8",
                                 l->name);
    }
    return LUMA_OK;
}

static bool
put_quoted(struct lk_bytes *out, const char *text)
{
    bool ok = lk_bytes_append(out, "\"", 1);
    for (const char *p = text; ok && *p != '\0'; p++) {
        if (*p == '\n')
            ok = lk_bytes_append(out, "\\n", 2);
        else if (*p == '"' || *p == '\\')
            ok = lk_bytes_append(out, "\\", 1) && lk_bytes_append(out, p, 1);
        else
            ok = lk_bytes_append(out, p, 1);
    }
    return ok && lk_bytes_append(out, "\"", 1);
}

/* up{instance="a:9100",job="node"} */
static luma_rc
make_key(struct lki_call *call, const char *metric, const struct luma_db_label *labels,
         uint32_t count, struct luma_slice *out)
{
    struct lk_bytes key;
    lk_bytes_init(&key, NULL);
    bool ok = lk_bytes_append(&key, metric, strlen(metric)) && lk_bytes_append(&key, "{", 1);
    for (uint32_t i = 0; ok && i < count; i++)
        ok = (i == 0 || lk_bytes_append(&key, ",", 1)) &&
             lk_bytes_append(&key, labels[i].name, strlen(labels[i].name)) &&
             lk_bytes_append(&key, "=", 1) && put_quoted(&key, labels[i].value);
    ok = ok && lk_bytes_append(&key, "}", 1);
    struct luma_slice view = lk_bytes_view(&key);
    const char *text = ok ? luma_arena_text(call->arena, view.data, view.bytes) : NULL;
    *out = luma_slice(text, view.bytes);
    lk_bytes_fini(&key);
    return text == NULL ? no_memory(call) : LUMA_OK;
}

/* --- series in memory; series_lock is held --- */

static luma_rc
remember(struct lki_call *call, struct luma_slice key, struct lki_series *series)
{
    struct luma_db *db = call->db;
    struct luma_slice name = luma_slice_text(series->metric);
    series->next = lk_map_get(&db->series_by_name, name);
    if (lk_map_put(&db->series_by_key, key, series, NULL) != LUMA_OK)
        return no_memory(call);
    if (lk_map_put(&db->series_by_name, name, series, NULL) != LUMA_OK) {
        (void)lk_map_remove(&db->series_by_key, key);
        return no_memory(call);
    }
    db->series_id_last = LK_MAX(db->series_id_last, series->id);
    return LUMA_OK;
}

/* In the store's arena: as long as it is open. */
static struct lki_series *
series_create(struct luma_db *db, int64_t id, const char *metric,
              const struct luma_db_label *labels, uint32_t count)
{
    struct luma_arena *arena = db->arena;
    struct lki_series *s = LUMA_NEW(arena, struct lki_series);
    bool ok = s != NULL;
    if (!ok)
        return NULL;
    s->id = id;
    s->labels_count = count;
    s->metric = luma_arena_text(arena, metric, strlen(metric));
    s->labels = LUMA_NEW_ARRAY(arena, struct luma_db_label, count + 1);
    ok = s->metric != NULL && s->labels != NULL;
    for (uint32_t i = 0; ok && i < count; i++) {
        s->labels[i].name = luma_arena_text(arena, labels[i].name, strlen(labels[i].name));
        s->labels[i].value = luma_arena_text(arena, labels[i].value, strlen(labels[i].value));
        ok = s->labels[i].name != NULL && s->labels[i].value != NULL;
    }
    return ok ? s : NULL;
}

/* Labels back from the key, in place. */
static bool
parse_key(char *key, struct luma_db_label *labels, uint32_t *out_count)
{
    char *p = strchr(key, '{');
    uint32_t n = 0;
    if (p == NULL)
        return false;
    *p++ = '\0';
    while (*p != '}' && n < LUMA_DB_LABELS_MAX) {
        char *equals = strchr(p, '=');
        if (equals == NULL || equals[1] != '"')
            return false;
        *equals = '\0';
        labels[n].name = p;
        char *to = equals + 2;
        labels[n].value = to;
        for (p = to; *p != '"' && *p != '\0'; p++) {
            bool escaped = *p == '\\' && p[1] != '\0';
            p += escaped;
            *to++ = escaped && *p == 'n' ? '\n' : *p;
        }
        if (*p == '\0')
            return false;
        p++;
        *to = '\0';
        n++;
        p += *p == ',';
    }
    *out_count = n;
    return *p == '}';
}

static luma_rc
load_batch(struct lki_call *call, const struct luma_batch *batch)
{
    struct luma_db_label labels[LUMA_DB_LABELS_MAX];
    for (uint32_t k = 0; k < batch->sel_rows; k++) {
        uint32_t row = luma_batch_row(batch, k), count = 0;
        struct luma_slice key = lki_embed_text(batch, 1, row);
        char *text = luma_arena_text(call->arena, key.data, key.bytes);
        if (text == NULL)
            return no_memory(call);
        if (!parse_key(text, labels, &count))
            return LUMA_FAIL(&call->c.ctx, LUMA_E_CORRUPT, "metrics.series holds the key %.100s",
                             text);
        struct lki_series *s =
            series_create(call->db, lki_embed_int(batch, 0, row), text, labels, count);
        if (s == NULL)
            return no_memory(call);
        LUMA_TRY(remember(call, key, s));
    }
    return LUMA_OK;
}

static luma_rc
load_rows(struct lki_call *call, struct lki_embed_table *table)
{
    static const uint32_t cols[] = {1, 2};
    const struct luma_scan_spec spec = {.cols = cols, .cols_count = 2};
    struct luma_ctx *ctx = &call->c.ctx;
    struct luma_scan *scan = NULL;
    struct luma_cursor *cursor = NULL;
    struct luma_batch *batch = NULL;
    LUMA_TRY(lk_store_host.scan_open(ctx, call->txn, table->coll, &spec, &scan));
    luma_rc rc = lk_store_host.cursor_open(ctx, scan, &cursor);
    while (rc == LUMA_OK && (rc = lk_store_host.cursor_next(ctx, cursor, &batch)) == LUMA_OK &&
           batch->rows > 0)
        rc = load_batch(call, batch);
    if (cursor != NULL)
        lk_store_host.cursor_close(cursor);
    lk_store_host.scan_close(scan);
    return rc;
}

/* All series of the store, once. What a failure left half is taken again. */
static luma_rc
load_series(struct lki_call *call)
{
    struct lki_embed_table table;
    struct luma_db *db = call->db;
    if (db->series_loaded)
        return LUMA_OK;
    lk_map_fini(&db->series_by_key);
    lk_map_fini(&db->series_by_name);
    memset(&db->series_by_key, 0, sizeof(db->series_by_key));
    memset(&db->series_by_name, 0, sizeof(db->series_by_name));
    LUMA_TRY(lki_call_txn(call, true));
    luma_rc rc = lki_embed_open(call, SCHEMA, "series", &table);
    if (rc == LUMA_OK) {
        rc = lki_embed_close(&table, load_rows(call, &table));
    } else if (rc == LUMA_E_UNDEFINED) {
        luma_error_reset(&call->c.error);
        rc = LUMA_OK;
    }
    lk_txn_host.rollback(LUMA_TAKE(call->txn));
    db->series_loaded = rc == LUMA_OK;
    return rc;
}

/* --- new series --- */

struct fresh {
    struct lki_series *series;
    struct luma_slice key;
};

static bool
put_json_string(struct lk_bytes *out, const char *text)
{
    char code[8];
    bool ok = lk_bytes_append(out, "\"", 1);
    for (const char *p = text; ok && *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20) {
            snprintf(code, sizeof(code), "\\u%04x", (unsigned)*p);
            ok = lk_bytes_append(out, code, 6);
        } else {
            ok = ((*p != '"' && *p != '\\') || lk_bytes_append(out, "\\", 1)) &&
                 lk_bytes_append(out, p, 1);
        }
    }
    return ok && lk_bytes_append(out, "\"", 1);
}

static luma_rc
labels_document(struct lki_call *call, const struct lki_series *s, struct luma_str *out)
{
    struct lk_bytes json;
    lk_bytes_init(&json, NULL);
    bool ok = lk_bytes_append(&json, "{", 1);
    for (uint32_t i = 0; ok && i < s->labels_count; i++)
        ok = (i == 0 || lk_bytes_append(&json, ",", 1)) &&
             put_json_string(&json, s->labels[i].name) && lk_bytes_append(&json, ":", 1) &&
             put_json_string(&json, s->labels[i].value);
    ok = ok && lk_bytes_append(&json, "}", 1);
    luma_rc rc =
        ok ? lk_data_host.doc_from_json(&call->c.ctx, call->arena, lk_bytes_view(&json), out)
           : no_memory(call);
    lk_bytes_fini(&json);
    return rc;
}

static luma_rc
insert_series(struct lki_call *call, struct lki_embed_table *table, const struct fresh *fresh,
              size_t count)
{
    for (size_t at = 0; at < count;) {
        uint32_t n = (uint32_t)LK_MIN(count - at, (size_t)LUMA_BATCH_ROWS);
        struct luma_batch batch;
        LUMA_TRY(lki_embed_batch(call, call->arena, &series_def, n, &batch));
        for (uint32_t i = 0; i < n; i++) {
            const struct fresh *f = &fresh[at + i];
            lki_embed_put_int(&batch, 0, i, f->series->id);
            lki_embed_put_text(&batch, 1, i, (const char *)f->key.data, f->key.bytes);
            lki_embed_put_text(&batch, 2, i, f->series->metric, strlen(f->series->metric));
            LUMA_TRY(labels_document(call, f->series, (struct luma_str *)batch.cols[3].data + i));
        }
        LUMA_TRY(
            lk_store_host.insert(&call->c.ctx, call->txn, table->coll, &batch, NULL, NULL, NULL));
        at += n;
    }
    return LUMA_OK;
}

/* Makes the tables if they are not there. */
static luma_rc
open_series(struct lki_call *call, struct lki_embed_table *out)
{
    struct lki_embed_table samples;
    luma_rc rc = lki_embed_open(call, SCHEMA, "series", out);
    if (rc != LUMA_E_UNDEFINED)
        return rc;
    luma_error_reset(&call->c.error);
    LUMA_TRY(lki_embed_create(call, &samples_def, "samples", &samples));
    (void)lki_embed_close(&samples, LUMA_OK);
    return lki_embed_create(call, &series_def, "series", out);
}

static luma_rc
commit_series(struct lki_call *call, const struct fresh *fresh, size_t count)
{
    struct lki_embed_table table;
    LUMA_TRY(lki_call_txn(call, false));
    LUMA_TRY(open_series(call, &table));
    LUMA_TRY(lki_embed_close(&table, insert_series(call, &table, fresh, count)));
    LUMA_TRY(lki_call_commit(call));
    for (size_t i = 0; i < count; i++)
        LUMA_TRY(remember(call, fresh[i].key, fresh[i].series));
    return LUMA_OK;
}

/* --- insert --- */

struct point {
    int64_t series, time;
    double value;
    size_t order;
};

static int
compare_points(const void *left, const void *right)
{
    const struct point *a = left, *b = right;
    if (a->series != b->series)
        return a->series < b->series ? -1 : 1;
    if (a->time != b->time)
        return a->time < b->time ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* The series of one sample, from memory or among the new ones. */
static luma_rc
find_series(struct lki_call *call, const struct luma_db_sample *sample, struct lk_map *made,
            struct fresh *fresh, size_t *inout_fresh, int64_t *out_id)
{
    struct luma_db *db = call->db;
    struct luma_db_label *labels = NULL;
    struct luma_slice key;
    LUMA_TRY(sort_labels(call, sample->metric, sample->labels, sample->labels_count, &labels));
    LUMA_TRY(make_key(call, sample->metric, labels, sample->labels_count, &key));
    struct lki_series *s = lk_map_get(&db->series_by_key, key);
    if (s == NULL)
        s = lk_map_get(made, key);
    if (s == NULL) {
        s = series_create(db, db->series_id_last + 1 + (int64_t)*inout_fresh, sample->metric,
                          labels, sample->labels_count);
        if (s == NULL || lk_map_put(made, key, s, NULL) != LUMA_OK)
            return no_memory(call);
        fresh[*inout_fresh] = (struct fresh){s, key};
        ++*inout_fresh;
    }
    *out_id = s->id;
    return LUMA_OK;
}

/* Gives every sample its series; new ones are committed. series_lock is held. */
static luma_rc
resolve(struct lki_call *call, const struct luma_db_sample *samples, size_t count,
        struct point *points)
{
    struct lk_map made = {0};
    size_t fresh_count = 0;
    LUMA_TRY(load_series(call));
    struct fresh *fresh = LUMA_NEW_ARRAY(call->arena, struct fresh, count);
    luma_rc rc = fresh == NULL ? no_memory(call) : LUMA_OK;
    for (size_t i = 0; rc == LUMA_OK && i < count; i++) {
        int64_t us = samples[i].time_us;
        if (us < TIMESTAMP_MIN + EPOCH_US || us > TIMESTAMP_MAX)
            rc = LUMA_FAIL(&call->c.ctx, LUMA_E_INVALID, "a time beyond the calendar");
        else
            points[i] = (struct point){0, us - EPOCH_US, samples[i].value, i};
        if (rc == LUMA_OK)
            rc = find_series(call, &samples[i], &made, fresh, &fresh_count, &points[i].series);
    }
    lk_map_fini(&made);
    if (rc == LUMA_OK && fresh_count > 0)
        rc = commit_series(call, fresh, fresh_count);
    return rc;
}

static void
put_point(struct luma_batch *batch, uint32_t row, const struct point *p)
{
    lki_embed_put_int(batch, 0, row, p->series);
    lki_embed_put_int(batch, 1, row, p->time);
    ((double *)batch->cols[2].data)[row] = p->value;
}

/* Points whose place is taken: the rows there are locked and get the new value. */
static luma_rc
replace_values(struct lki_call *call, struct lki_embed_table *table, const struct point *points,
               const int64_t *conflicts, uint32_t n)
{
    static const uint32_t value_col[] = {3};
    int64_t rowids[LUMA_BATCH_ROWS];
    struct luma_batch batch;
    uint32_t count = 0;
    LUMA_TRY(lki_embed_batch(call, call->arena, &samples_def, n, &batch));
    for (uint32_t i = 0; i < n; i++)
        if (conflicts[i] >= 0) {
            ((double *)batch.cols[2].data)[count] = points[i].value;
            rowids[count++] = conflicts[i];
        }
    if (count == 0)
        return LUMA_OK;
    batch.rows = batch.sel_rows = count;
    batch.cols_count = 1;
    batch.cols = &batch.cols[2];
    return lk_store_host.update(&call->c.ctx, call->txn, table->coll, rowids, count, value_col,
                                &batch);
}

static luma_rc
insert_points(struct lki_call *call, struct lki_embed_table *table, const struct point *points,
              size_t count)
{
    const struct luma_insert_opts opts = {.conflict = LUMA_CONFLICT_REPORT};
    int64_t rowids[LUMA_BATCH_ROWS], conflicts[LUMA_BATCH_ROWS];
    for (size_t at = 0; at < count;) {
        uint32_t n = (uint32_t)LK_MIN(count - at, (size_t)LUMA_BATCH_ROWS);
        struct luma_batch batch;
        LUMA_TRY(lki_embed_batch(call, call->arena, &samples_def, n, &batch));
        for (uint32_t i = 0; i < n; i++) {
            put_point(&batch, i, &points[at + i]);
            conflicts[i] = -1;
        }
        LUMA_TRY(lk_store_host.insert(&call->c.ctx, call->txn, table->coll, &batch, &opts, rowids,
                                      conflicts));
        LUMA_TRY(replace_values(call, table, points + at, conflicts, n));
        at += n;
    }
    return LUMA_OK;
}

static luma_rc
insert_samples(struct lki_call *call, const struct luma_db_sample *samples, size_t count)
{
    struct lki_embed_table table;
    struct point *points = LUMA_NEW_ARRAY(call->arena, struct point, count);
    if (points == NULL)
        return no_memory(call);
    pthread_mutex_lock(&call->db->series_lock);
    luma_rc rc = resolve(call, samples, count, points);
    pthread_mutex_unlock(&call->db->series_lock);
    LUMA_TRY(rc);
    /* Sorted, so that two calls lock rows in one order; the last of equal ones stays. */
    qsort(points, count, sizeof(*points), compare_points);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (i + 1 == count || points[i].series != points[i + 1].series ||
            points[i].time != points[i + 1].time)
            points[kept++] = points[i];
    LUMA_TRY(lki_call_txn(call, false));
    LUMA_TRY(lki_embed_open(call, SCHEMA, "samples", &table));
    LUMA_TRY(lki_embed_close(&table, insert_points(call, &table, points, kept)));
    return lki_call_commit(call);
}

luma_rc
luma_db_insert_samples(struct luma_db *db, const struct luma_db_sample *samples, size_t count,
                       struct luma_db_error *error)
{
    struct lki_call call;
    luma_rc rc = lki_call_begin(&call, db);
    if (rc == LUMA_OK && count > 0)
        rc = insert_samples(&call, samples, count);
    return lki_call_end(&call, rc, error);
}

/* --- read --- */

static bool
has_labels(const struct lki_series *s, const struct luma_db_label *wanted, uint32_t count)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++) { /* both are in order */
        while (at < s->labels_count && strcmp(s->labels[at].name, wanted[i].name) < 0)
            at++;
        if (at == s->labels_count || strcmp(s->labels[at].name, wanted[i].name) != 0 ||
            strcmp(s->labels[at].value, wanted[i].value) != 0)
            return false;
    }
    return true;
}

/* The series wanted, in the order in which they were made. */
static luma_rc
choose(struct lki_call *call, const char *metric, const struct luma_db_label *labels,
       uint32_t count, struct lki_series ***out_list, size_t *out_count)
{
    size_t n = 0, all = 0;
    LUMA_TRY(load_series(call));
    struct lki_series *first = lk_map_get_text(&call->db->series_by_name, metric);
    for (struct lki_series *s = first; s != NULL; s = s->next)
        all++;
    *out_list = LUMA_NEW_ARRAY(call->arena, struct lki_series *, all + 1);
    if (*out_list == NULL)
        return no_memory(call);
    for (struct lki_series *s = first; s != NULL; s = s->next)
        if (has_labels(s, labels, count))
            (*out_list)[all - ++n] = s;
    *out_list += all - n;
    *out_count = n;
    return LUMA_OK;
}

static luma_rc
tell_points(struct luma_ctx *ctx, struct luma_cursor *cursor, const struct lki_series *s,
            luma_db_series_fn fn, void *arg, bool *inout_more)
{
    struct luma_db_point points[LUMA_BATCH_ROWS];
    struct luma_db_series series = {.metric = s->metric,
                                    .labels = s->labels,
                                    .labels_count = s->labels_count,
                                    .points = points};
    struct luma_batch *batch = NULL;
    while (*inout_more) {
        LUMA_TRY(lk_store_host.cursor_next(ctx, cursor, &batch));
        if (batch->rows == 0)
            return LUMA_OK;
        for (uint32_t k = 0; k < batch->sel_rows; k++) {
            uint32_t row = luma_batch_row(batch, k);
            points[k].time_us = lki_embed_int(batch, 0, row) + EPOCH_US;
            memcpy(&points[k].value, luma_vec_at(&batch->cols[1], row), sizeof(double));
        }
        series.points_count = batch->sel_rows;
        *inout_more = series.points_count == 0 || fn(arg, &series);
    }
    return LUMA_OK;
}

static luma_rc
tell_series(struct lki_call *call, struct lki_embed_table *table, const struct lki_series *s,
            int64_t from, int64_t to, luma_db_series_fn fn, void *arg, bool *inout_more)
{
    static const uint32_t cols[] = {2, 3};
    const struct luma_slice none = {NULL, 0};
    const struct luma_value lo[] = {lki_embed_value(LUMA_TYPE_INT8, s->id, none),
                                    lki_embed_value(LUMA_TYPE_TIMESTAMPTZ, from, none)};
    const struct luma_value hi[] = {lo[0], lki_embed_value(LUMA_TYPE_TIMESTAMPTZ, to, none)};
    const struct luma_key_range range = {.lo = lo, .hi = hi, .lo_count = 2, .hi_count = 2};
    const struct luma_scan_spec spec = {.cols = cols, .cols_count = 2};
    struct luma_cursor *cursor = NULL;
    LUMA_TRY(lk_store_host.index_scan(&call->c.ctx, call->txn, table->coll, table->index_id, &range,
                                      &spec, &cursor));
    luma_rc rc = tell_points(&call->c.ctx, cursor, s, fn, arg, inout_more);
    lk_store_host.cursor_close(cursor);
    return rc;
}

static luma_rc
read_samples(struct lki_call *call, const char *metric, const struct luma_db_label *labels,
             uint32_t count, int64_t from_us, int64_t to_us, luma_db_series_fn fn, void *arg)
{
    struct lki_embed_table table;
    struct lki_series **list = NULL;
    struct luma_db_label *sorted = NULL;
    size_t n = 0;
    bool more = true;
    LUMA_TRY(sort_labels(call, metric, labels, count, &sorted));
    pthread_mutex_lock(&call->db->series_lock);
    luma_rc rc = choose(call, metric, sorted, count, &list, &n);
    pthread_mutex_unlock(&call->db->series_lock);
    LUMA_TRY(rc);
    from_us = LK_MAX(from_us, TIMESTAMP_MIN + EPOCH_US) - EPOCH_US;
    to_us = to_us < TIMESTAMP_MIN + EPOCH_US ? INT64_MIN : LK_MIN(to_us, TIMESTAMP_MAX) - EPOCH_US;
    if (n == 0 || from_us > to_us)
        return LUMA_OK;
    LUMA_TRY(lki_call_txn(call, true));
    LUMA_TRY(lki_embed_open(call, SCHEMA, "samples", &table));
    for (size_t i = 0; rc == LUMA_OK && more && i < n; i++)
        rc = tell_series(call, &table, list[i], from_us, to_us, fn, arg, &more);
    return lki_embed_close(&table, rc);
}

luma_rc
luma_db_read_samples(struct luma_db *db, const char *metric, const struct luma_db_label *labels,
                     uint32_t labels_count, int64_t from_us, int64_t to_us,
                     struct luma_db_error *error, luma_db_series_fn fn, void *arg)
{
    struct lki_call call;
    luma_rc rc = lki_call_begin(&call, db);
    if (rc == LUMA_OK)
        rc = read_samples(&call, metric, labels, labels_count, from_us, to_us, fn, arg);
    return lki_call_end(&call, rc, error);
}
