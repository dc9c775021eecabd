/*
 * storage/recovery/recovery.c - from a data folder to a store: manifest, log, garbage.
 *
 * Until everything has been read nothing is changed on disk but by whole checkpoints, which more
 * log than memory asks for; so recovery may be interrupted anywhere and begun again. Phase (io.h):
 * "recovery".
 */
#include <stdio.h>
#include <stdlib.h>

#include "storage/checkpoint.h"
#include "storage/core.h"
#include "storage/mutant.h"
#include "storage/redo.h"

#define PROGRESS_NS      2000000000u
#define PROGRESS_RECORDS 64
#define GIB              (double)(1u << 30)

struct recovery {
    struct luma_ctx *ctx;
    struct lk_store *store;
    struct lk_redo_rows *rows;
    struct lk_seg **segs; /* of the collection being loaded */
    uint32_t segs_count, segs_room;
    bool stopped; /* a restore goes no further */
    uint64_t began_ns, said_ns, log_bytes, records;
    uint64_t full_bytes; /* of rows in memory that are written to objects; 0: never */
    bool floored;        /* ids of all objects that exist are known */
    bool past_lost;      /* of the collection being loaded: earlier states cannot be told */
    int64_t now_us;
};

static luma_rc
damaged(const struct recovery *r, const char *what, uint64_t id)
{
    return LUMA_FAIL(r->ctx, LUMA_E_CORRUPT, "%s: the manifest's entry for %s %llu cannot be read",
                     r->store->dir, what, (unsigned long long)id);
}

static luma_rc
load_state(struct recovery *r)
{
    struct lk_store *store = r->store;
    struct lk_manifest_key key = {.kind = LK_MANIFEST_STATE};
    struct luma_slice bytes = lk_manifest_get(store->manifest, &key);
    store->commit = 1;
    if (bytes.data == NULL)
        return LUMA_OK;
    struct lk_reader rd = lk_reader(bytes);
    store->checkpoint_commit = lk_reader_varint(&rd);
    store->checkpoint_lsn = lk_reader_u64(&rd);
    uint64_t floor = lk_reader_u64(&rd);
    if (rd.failed)
        return damaged(r, "state", 0);
    store->commit = LK_MAX(store->commit, store->checkpoint_commit);
    lk_objects_id_floor(store->objects, floor);
    return LUMA_OK;
}

static luma_rc
load_sequence(void *arg, const struct lk_manifest_key *key, struct luma_slice value)
{
    struct recovery *r = arg;
    struct lk_sequence *seq = lk_core_sequence(r->store, key->a, true);
    if (seq == NULL)
        return LUMA_FAIL(r->ctx, LUMA_E_NOMEM, "recovery: out of memory");
    struct lk_reader rd = lk_reader(value);
    seq->last = seq->logged = (int64_t)lk_reader_u64(&rd);
    seq->has_last = true;
    seq->uncalled = seq->logged_uncalled = lk_reader_u8(&rd) != 0;
    return rd.failed ? damaged(r, "sequence", key->a) : LUMA_OK;
}

static luma_rc
load_deletes(struct recovery *r, struct lk_seg *seg)
{
    struct lk_manifest_key key = {.kind = LK_MANIFEST_DELETES, .a = seg->info.object_id};
    struct luma_slice bytes = lk_manifest_get(r->store->manifest, &key);
    if (bytes.data == NULL)
        return LUMA_OK;
    struct lk_pack_place place;
    if (!lk_pack_place_read(bytes, &place))
        return damaged(r, "deletes of segment", seg->info.object_id);
    struct lk_bytes data;
    lk_bytes_init(&data, NULL);
    luma_rc rc = lk_pack_read(r->ctx, r->store, &place, &data);
    roaring_bitmap_t *bitmap = NULL;
    if (rc == LUMA_OK) {
        bitmap = roaring_bitmap_portable_deserialize_safe((const char *)data.data, data.bytes);
        if (bitmap == NULL)
            rc = LUMA_FAIL(r->ctx, LUMA_E_CORRUPT, "the delete map of segment %016llx is damaged",
                           (unsigned long long)seg->info.object_id);
    }
    if (rc == LUMA_OK)
        lk_seg_set_dead(seg, bitmap);
    lk_bytes_fini(&data);
    return rc;
}

/* What tells of the past only may be damaged: the present is whole. */
static luma_rc
past_judge(struct recovery *r, luma_rc rc)
{
    if (rc != LUMA_E_CORRUPT && rc != LUMA_E_UNDEFINED)
        return rc;
    lk_log_error("storage", "%s", r->ctx->error->message);
    luma_error_reset(r->ctx->error);
    r->past_lost = true;
    return LUMA_OK;
}

/* A section for the history; *out_found false: there is none, or none is kept. */
static luma_rc
past_section(struct recovery *r, uint32_t kind, uint64_t a, struct lk_bytes *out,
             uint64_t *out_count, bool *out_found)
{
    struct lk_manifest_key key = {.kind = kind, .a = a};
    struct lk_pack_place place;
    *out_found = false;
    if (lk_history_floor(r->store) == UINT64_MAX)
        return LUMA_OK;
    struct luma_slice bytes = lk_manifest_get(r->store->manifest, &key);
    *out_found = bytes.data != NULL;
    if (!*out_found)
        return LUMA_OK;
    if (!lk_pack_place_read(bytes, &place))
        return damaged(r, "the past of", a);
    *out_count = place.count;
    return lk_pack_read(r->ctx, r->store, &place, out);
}

static luma_rc
load_ends(struct recovery *r, struct lk_seg *seg)
{
    struct lk_bytes data;
    uint64_t count = 0;
    bool found = false;
    lk_bytes_init(&data, NULL);
    luma_rc rc = past_section(r, LK_MANIFEST_ENDS, seg->info.object_id, &data, &count, &found);
    if (rc == LUMA_OK && found)
        rc = lk_ends_read(r->ctx, seg, lk_bytes_view(&data), lk_history_floor(r->store));
    atomic_store(&seg->dirty, false); /* it is all on disk */
    lk_bytes_fini(&data);
    return past_judge(r, rc);
}

static luma_rc
load_segment(void *arg, const struct lk_manifest_key *key, struct luma_slice value)
{
    struct recovery *r = arg;
    struct lk_segment_info info;
    struct lk_reader rd = lk_reader(value);
    lk_segment_info_read(&rd, &info);
    if (rd.failed || info.object_id != key->b)
        return damaged(r, "segment", key->b);
    if (r->segs_count == r->segs_room) {
        uint32_t room = r->segs_room == 0 ? 16 : r->segs_room * 2;
        struct lk_seg **segs = realloc(r->segs, room * sizeof(*segs));
        if (segs == NULL)
            return LUMA_FAIL(r->ctx, LUMA_E_NOMEM, "recovery: out of memory");
        r->segs = segs;
        r->segs_room = room;
    }
    struct lk_seg *seg = NULL;
    lk_objects_id_floor(r->store->objects, info.object_id);
    LUMA_TRY(lk_redo_segment_open(r->ctx, r->store, &info, &seg));
    if (seg->info.commit_min == LK_COMMIT_OWN)
        atomic_store(&seg->begin, info.commit_min);
    seg->info = info;
    luma_rc rc = load_deletes(r, seg);
    if (rc == LUMA_E_CORRUPT || rc == LUMA_E_UNDEFINED) {
        /* Which of its rows are deleted is not known: none can be shown. */
        lk_seg_unref(LUMA_TAKE(seg));
        rc = lk_redo_segment_broken(r->ctx, r->store, &info, &seg);
    }
    if (rc == LUMA_OK)
        rc = load_ends(r, seg);
    if (seg != NULL)
        r->segs[r->segs_count++] = seg;
    return rc;
}

struct run_load {
    struct recovery *r;
    struct lk_coll *coll;
    struct lk_view *view;
};

static luma_rc
load_run(void *arg, const struct lk_manifest_key *key, struct luma_slice value)
{
    struct run_load *load = arg;
    struct lk_run_info info;
    struct lk_reader rd = lk_reader(value);
    lk_run_info_read(&rd, &info);
    struct lk_cidx *cidx = lk_view_index(load->view, info.index_id);
    if (rd.failed || info.object_id != key->b || cidx == NULL)
        return damaged(load->r, "index run", key->b);
    lk_objects_id_floor(load->r->store->objects, info.object_id);
    LUMA_TRY(lk_redo_attach(load->r->ctx, load->coll, cidx, &info));
    if (lk_cidx_run_add(cidx, &info, 0) != LUMA_OK)
        return LUMA_FAIL(load->r->ctx, LUMA_E_NOMEM, "recovery: out of memory");
    return LUMA_OK;
}

/* When the few rows began; nothing: it is not told. */
static luma_rc
load_begins(struct recovery *r, const struct lk_coll *coll, uint64_t rows, struct lk_bytes *out)
{
    uint64_t count = 0;
    bool found = false;
    luma_rc rc = past_section(r, LK_MANIFEST_BEGINS, coll->id, out, &count, &found);
    if (rc == LUMA_OK && found && count != rows)
        rc = damaged(r, "begins of rows of collection", coll->id);
    if (rc != LUMA_OK)
        lk_bytes_reset(out);
    return past_judge(r, rc);
}

static luma_rc
load_rows(struct recovery *r, struct lk_coll *coll, const struct lk_def *def)
{
    struct lk_manifest_key key = {.kind = LK_MANIFEST_ROWS, .a = coll->id};
    struct luma_slice bytes = lk_manifest_get(r->store->manifest, &key);
    if (bytes.data == NULL)
        return LUMA_OK;
    struct lk_pack_place place;
    if (!lk_pack_place_read(bytes, &place))
        return damaged(r, "rows of collection", coll->id);
    struct lk_bytes data, begins;
    lk_bytes_init(&data, NULL);
    lk_bytes_init(&begins, NULL);
    luma_rc rc = load_begins(r, coll, place.count, &begins);
    if (rc == LUMA_OK)
        rc = lk_pack_read(r->ctx, r->store, &place, &data);
    struct lk_reader rd = lk_reader(lk_bytes_view(&data));
    struct lk_reader at = lk_reader(lk_bytes_view(&begins));
    for (uint64_t i = 0; rc == LUMA_OK && i < place.count; i++) {
        int64_t rowid = (int64_t)lk_reader_varint(&rd);
        struct luma_slice tuple = lk_reader_sized(&rd);
        /* Without begins it was written before the history began. */
        uint64_t begin =
            lk_reader_left(&at) > 0 ? lk_reader_varint(&at) : lk_history_floor(r->store);
        rc = rd.failed || lk_tuple_check(tuple, def->tuple_cols, def->coll.cols_count) != LUMA_OK
                 ? damaged(r, "rows of collection", coll->id)
                 : lk_redo_rows_add(r->ctx, r->rows, coll, LK_MIN(begin, r->store->commit),
                                    LK_REDO_INSERT, rowid, tuple);
    }
    lk_bytes_fini(&data);
    lk_bytes_fini(&begins);
    coll->rows_pack = place.object_id;
    if ((rc == LUMA_E_CORRUPT || rc == LUMA_E_UNDEFINED) && coll->id >= LK_STORE_SYSTEM_END) {
        /* This collection cannot be read; everything else can. */
        coll->rows_broken = strdup(r->ctx->error->message);
        if (coll->rows_broken == NULL)
            return LUMA_FAIL(r->ctx, LUMA_E_NOMEM, "recovery: out of memory");
        lk_log_error("storage", "collection %llu: %s", (unsigned long long)coll->id,
                     coll->rows_broken);
        luma_error_reset(r->ctx->error);
        return LUMA_OK;
    }
    return rc;
}

static luma_rc
load_coll(void *arg, const struct lk_manifest_key *key, struct luma_slice value)
{
    struct recovery *r = arg;
    struct lk_store *store = r->store;
    struct lk_reader rd = lk_reader(value);
    uint64_t next_rowid = lk_reader_varint(&rd);
    struct luma_slice def_bytes = lk_reader_sized(&rd);
    uint64_t history_from = lk_reader_left(&rd) > 0 ? lk_reader_varint(&rd) : 0;
    struct lk_def *def = NULL;
    r->past_lost = false;
    luma_rc rc = rd.failed ? LUMA_E_CORRUPT : lk_def_read(def_bytes, &def);
    if (rc == LUMA_E_NOMEM)
        return LUMA_FAIL(r->ctx, rc, "recovery: out of memory");
    if (rc != LUMA_OK)
        return damaged(r, "collection", key->a);

    struct lk_coll *coll = NULL;
    struct lk_view *bare = NULL;
    rc = lk_coll_ensure(r->ctx, store, key->a, &coll);
    if (rc == LUMA_OK)
        rc = lk_view_define(r->ctx, coll, def, NULL, true, NULL, 0, &bare);
    if (rc == LUMA_OK) {
        struct run_load load = {r, coll, bare};
        atomic_store(&coll->next_rowid, (int64_t)next_rowid);
        atomic_store(&coll->history_from, history_from);
        coll->covered = store->checkpoint_commit;
        lk_coll_publish(coll, bare);
        rc = lk_manifest_each(store->manifest, LK_MANIFEST_RUN, key->a, load_run, &load);
    }
    r->segs_count = 0;
    if (rc == LUMA_OK)
        rc = lk_manifest_each(store->manifest, LK_MANIFEST_SEGMENT, key->a, load_segment, r);
    if (rc == LUMA_OK && r->segs_count > 0)
        rc = lk_coll_add_segs(r->ctx, coll, r->segs, r->segs_count);
    for (uint32_t i = 0; i < r->segs_count; i++)
        lk_seg_unref(r->segs[i]);
    if (rc == LUMA_OK)
        rc = load_rows(r, coll, def);
    if (rc == LUMA_OK && lk_history_floor(store) != UINT64_MAX)
        rc = past_judge(r, lk_past_load(r->ctx, r->rows, coll, def));
    if (r->past_lost)
        atomic_store(&coll->history_from, LK_MAX(history_from, store->checkpoint_commit));
    lk_def_unref(def);
    return rc;
}

static double
seconds_since(const struct recovery *r, uint64_t now_ns)
{
    return (double)(now_ns - r->began_ns) / 1e9;
}

/* A long recovery says how far it is. */
static void
progress(struct recovery *r, const struct lk_wal_record *record)
{
    r->log_bytes = record->done_bytes;
    if (r->records++ % PROGRESS_RECORDS != 0)
        return;
    uint64_t now_ns = lk_io_now_ns(r->store->conf.io);
    if (now_ns - r->said_ns < PROGRESS_NS)
        return;
    r->said_ns = now_ns;
    double all = (double)LK_MAX(record->all_bytes, (uint64_t)1);
    lk_log_info("storage", "recovering: %.0f%% of %.1f GiB of log, %.1f s",
                100 * (double)record->done_bytes / all, all / GIB, seconds_since(r, now_ns));
}

/* --- more log than memory --- */

static void
object_seen(void *arg, enum lk_object_kind kind, uint64_t id, uint64_t bytes)
{
    (void)kind, (void)bytes;
    struct recovery *r = arg;
    lk_objects_id_floor(r->store->objects, id);
}

static luma_rc
file_sync(void *arg, const char *name, bool is_dir)
{
    struct recovery *r = arg;
    struct lk_file *file = NULL;
    char *path = NULL;
    if (is_dir)
        return LUMA_OK;
    if (asprintf(&path, "%s/%s", r->store->wal_dir, name) < 0)
        return LUMA_FAIL(r->ctx, LUMA_E_NOMEM, "recovery: out of memory");
    luma_rc rc = lk_io_open(r->ctx, r->store->conf.io, path, LK_IO_WRITE, &file);
    if (rc == LUMA_OK)
        rc = lk_io_sync(r->ctx, file);
    lk_io_close(file);
    free(path);
    return rc;
}

/*
 * What was applied goes to objects, and memory is free for the rest; a crash from here on replays
 * from here on. New objects take ids that none has that later records name, and the manifest names
 * a place in the log that was made durable.
 */
static luma_rc
make_room(struct recovery *r, lk_lsn lsn)
{
    struct lk_store *store = r->store;
    if (!r->floored) {
        LUMA_TRY(lk_objects_each(r->ctx, store->objects, object_seen, r));
        LUMA_TRY(lk_io_list(r->ctx, store->conf.io, store->wal_dir, file_sync, r));
        LUMA_TRY(lk_io_sync_dir(r->ctx, store->conf.io, store->wal_dir));
        r->floored = true;
    }
    LUMA_TRY(lk_history_forget(r->ctx, store));
    LUMA_TRY(lk_redo_rows_settle(r->ctx, r->rows));
    LUMA_TRY(lk_redo_rows_index(r->ctx, store));
    LUMA_TRY(lk_checkpoint_replayed(r->ctx, store, lsn));
    r->full_bytes = LK_MAX(r->full_bytes, 2 * lk_core_hot_bytes(store)); /* what stays is little */
    return LUMA_OK;
}

static bool
is_full(const struct recovery *r)
{
    return r->full_bytes != 0 &&
           lk_core_hot_bytes(r->store) + lk_redo_rows_bytes(r->rows) > r->full_bytes;
}

static luma_rc
replay_record(void *arg, struct luma_ctx *ctx, const struct lk_wal_record *record)
{
    struct recovery *r = arg;
    if (LK_MUTANT(STALE_REPLAYED))
        return lk_redo_apply(ctx, r->store, r->rows, r->store->commit, record->payload, "log");
    if (record->commit <= r->store->checkpoint_commit || r->stopped)
        return LUMA_OK;
    const struct lk_store_conf *conf = &r->store->conf;
    r->stopped = (conf->until_commit != 0 && record->commit > conf->until_commit) ||
                 (conf->until_us != 0 && lk_redo_time(record->payload) > conf->until_us);
    if (r->stopped)
        return LUMA_OK;
    if (record->commit != r->store->commit + 1)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT,
                         "%s: commit %llu follows commit %llu in the log: records are missing",
                         r->store->wal_dir, (unsigned long long)record->commit,
                         (unsigned long long)r->store->commit);
    progress(r, record);
    if (is_full(r) && r->store->commit > r->store->checkpoint_commit)
        LUMA_TRY(make_room(r, record->lsn));
    r->store->commit = record->commit;
    /* Snapshots of recovery see what was replayed. */
    atomic_store(&r->store->slots.visible, record->commit);
    if (r->store->history.window_us != 0) {
        lk_history_start(r->store, record->epoch, record->commit - 1);
        int64_t us = lk_redo_time(record->payload);
        if (us != 0) /* a sequence's says none; a clock may have been set back since */
            lk_history_note(r->store, us, LK_MAX(r->now_us, us), record->commit);
    }
    return lk_redo_apply(ctx, r->store, r->rows, record->commit, record->payload,
                         r->store->wal_dir);
}

/* --- objects that nothing names --- */

struct garbage {
    struct recovery *r;
    uint64_t *ids;
    enum lk_object_kind *kinds;
    size_t count, room;
    bool failed;
};

static int
by_number(const void *a, const void *b)
{
    uint64_t na = *(const uint64_t *)a, nb = *(const uint64_t *)b;
    return (na > nb) - (na < nb);
}

/* The list is sorted. */
static bool
is_named(const struct lk_store *store, uint64_t id)
{
    return store->named_count > 0 &&
           bsearch(&id, store->named, store->named_count, sizeof(id), by_number) != NULL;
}

static luma_rc
name_by_b(void *arg, const struct lk_manifest_key *key, struct luma_slice value)
{
    (void)value;
    struct recovery *r = arg;
    struct lk_store *store = r->store;
    if (store->named_count == store->named_room) {
        size_t room = store->named_room == 0 ? 64 : store->named_room * 2;
        uint64_t *named = realloc(store->named, room * sizeof(*named));
        if (named == NULL)
            return LUMA_FAIL(r->ctx, LUMA_E_NOMEM, "recovery: out of memory");
        store->named = named;
        store->named_room = room;
    }
    store->named[store->named_count++] = key->b;
    return LUMA_OK;
}

static luma_rc
name_pack(void *arg, const struct lk_manifest_key *key, struct luma_slice value)
{
    struct recovery *r = arg;
    struct lk_pack_place place;
    struct lk_manifest_key named = {.kind = key->kind};
    if (!lk_pack_place_read(value, &place))
        return damaged(r, "pack", key->a);
    named.b = place.object_id;
    lk_objects_id_floor(r->store->objects, place.object_id);
    return name_by_b(r, &named, value);
}

static void
garbage_found(void *arg, enum lk_object_kind kind, uint64_t id, uint64_t bytes)
{
    (void)bytes;
    struct garbage *g = arg;
    lk_objects_id_floor(g->r->store->objects, id);
    if (is_named(g->r->store, id))
        return;
    if (g->count == g->room) {
        size_t room = g->room == 0 ? 64 : g->room * 2;
        uint64_t *ids = realloc(g->ids, room * sizeof(*ids));
        enum lk_object_kind *kinds = realloc(g->kinds, room * sizeof(*kinds));
        if (ids != NULL)
            g->ids = ids;
        if (kinds != NULL)
            g->kinds = kinds;
        if (ids == NULL || kinds == NULL)
            return; /* it stays until the next start */
        g->room = room;
    }
    g->ids[g->count] = id;
    g->kinds[g->count++] = kind;
}

static luma_rc
garbage_collect(struct recovery *r, bool read_only)
{
    struct lk_manifest *m = r->store->manifest;
    LUMA_TRY(lk_manifest_each(m, LK_MANIFEST_SEGMENT, 0, name_by_b, r));
    LUMA_TRY(lk_manifest_each(m, LK_MANIFEST_RUN, 0, name_by_b, r));
    LUMA_TRY(lk_packs_each(m, name_pack, r));
    struct garbage g = {.r = r};
    if (r->store->named_count > 1)
        qsort(r->store->named, r->store->named_count, sizeof(*r->store->named), by_number);
    luma_rc rc = lk_objects_each(r->ctx, r->store->objects, garbage_found, &g);
    for (size_t i = 0; rc == LUMA_OK && !read_only && i < g.count; i++)
        lk_object_remove(r->store->objects, g.kinds[i], g.ids[i]);
    free(g.ids);
    free(g.kinds);
    if (read_only)
        return rc; /* a check looks at the list */
    free(r->store->named);
    r->store->named = NULL;
    r->store->named_count = r->store->named_room = 0;
    return rc;
}

luma_rc
lk_recover(struct luma_ctx *ctx, struct lk_store *store, bool read_only, struct lk_wal_end *out_end)
{
    LK_IO_PHASE("recovery");
    struct recovery r = {.ctx = ctx, .store = store};
    struct lk_wal_conf wal_conf = {.io = store->conf.io, .dir = store->wal_dir};
    wal_conf.store_id = store->id;

    LUMA_TRY(lk_redo_rows_create(ctx, store, &r.rows));
    if (!read_only)
        r.full_bytes =
            store->conf.replay_bytes != 0 ? store->conf.replay_bytes : store->conf.hot_bytes / 2;
    r.began_ns = r.said_ns = lk_io_now_ns(store->conf.io);
    r.now_us = lk_io_wall_us(store->conf.io);
    luma_rc rc = load_state(&r);
    atomic_store(&store->slots.visible, store->commit);
    if (rc == LUMA_OK)
        rc = lk_history_load(ctx, store);
    if (rc == LUMA_OK)
        rc = lk_places_open(ctx, store, read_only);
    if (rc == LUMA_OK)
        rc = lk_manifest_each(store->manifest, LK_MANIFEST_SEQUENCE, 0, load_sequence, &r);
    if (rc == LUMA_OK)
        rc = lk_manifest_each(store->manifest, LK_MANIFEST_COLL, 0, load_coll, &r);
    if (rc == LUMA_OK)
        rc = lk_wal_read(ctx, &wal_conf, store->checkpoint_lsn, replay_record, &r, out_end);
    if (rc == LUMA_OK)
        rc = lk_redo_rows_settle(ctx, r.rows);
    lk_redo_rows_destroy(LUMA_TAKE(r.rows));
    if (rc == LUMA_OK)
        rc = lk_redo_rows_index(ctx, store);
    if (rc == LUMA_OK)
        lk_history_settle(store);
    if (rc == LUMA_OK && !read_only)
        rc = lk_history_forget(ctx, store);
    if (rc == LUMA_OK)
        rc = garbage_collect(&r, read_only);
    if (rc == LUMA_OK && !read_only)
        rc = lk_objects_settle(ctx, store->objects);
    uint64_t now_ns = lk_io_now_ns(store->conf.io);
    if (rc == LUMA_OK && r.said_ns != r.began_ns)
        lk_log_info("storage", "recovered: %.1f GiB of log, %.1f s", (double)r.log_bytes / GIB,
                    seconds_since(&r, now_ns));
    free(r.segs);
    out_end->commit = store->commit;
    return rc;
}
