/*
 * storage/check.c - `lumadb check`: everything there is, read and compared: the manifest with the
 * files, checksums and structure of every segment and run, every row with every index. Damage is
 * said and counted, and the rest is looked at all the same.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "storage/core.h"
#include "storage/redo.h"

struct file {
    uint32_t kind; /* enum lk_object_kind */
    bool named;
    uint64_t id, bytes;
};

/* A segment, or an index with all its runs. */
struct job {
    struct lk_coll *coll;
    struct lk_view *view; /* held */
    struct lk_seg *seg;   /* NULL: an index */
    struct lk_cidx *cidx;
    uint64_t bytes;
};

struct check {
    struct luma_ctx *ctx;
    struct lk_store *store;
    const struct lk_check_say *say;
    struct luma_event said; /* the mutex of what is said and counted */
    uint64_t segments, rows, entries, indexes, damaged;
    uint64_t bytes_done, bytes_all;
    struct job *jobs;
    uint32_t jobs_count, jobs_room;
    struct file *files;
    size_t files_count, files_room;
    bool failed; /* no memory for the list of files */
};

static void __attribute__((format(printf, 2, 3))) line(struct check *c, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    lk_wait_lock(c->store->conf.sched, &c->said);
    if (c->say->line != NULL)
        c->say->line(c->say->arg, text);
    lk_wait_unlock(c->store->conf.sched, &c->said);
}

static void __attribute__((format(printf, 2, 3))) damage(struct check *c, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    lk_wait_lock(c->store->conf.sched, &c->said);
    c->damaged++;
    if (c->say->damage != NULL)
        c->say->damage(c->say->arg, text);
    lk_wait_unlock(c->store->conf.sched, &c->said);
}

/* Damage is told and no reason to stop; anything else is. */
static luma_rc
judge(struct check *c, struct luma_ctx *ctx, luma_rc rc, const char *what, uint64_t id)
{
    if (rc != LUMA_E_CORRUPT && rc != LUMA_E_UNDEFINED && rc != LUMA_E_IO)
        return rc;
    damage(c, "%s %llu: %s", what, (unsigned long long)id, ctx->error->message);
    luma_error_reset(ctx->error);
    return LUMA_OK;
}

/* What one job has found. */
static void
counted(struct check *c, const struct check *found)
{
    lk_wait_lock(c->store->conf.sched, &c->said);
    c->segments += found->segments;
    c->rows += found->rows;
    c->entries += found->entries;
    c->indexes += found->indexes;
    c->bytes_done += found->bytes_done;
    if (c->say->progress != NULL)
        c->say->progress(c->say->arg, c->bytes_done, c->bytes_all);
    lk_wait_unlock(c->store->conf.sched, &c->said);
}

/* --- the manifest and the files --- */

static void
file_found(void *arg, enum lk_object_kind kind, uint64_t id, uint64_t bytes)
{
    struct check *c = arg;
    if (c->files_count == c->files_room) {
        size_t room = c->files_room == 0 ? 64 : c->files_room * 2;
        struct file *files = realloc(c->files, room * sizeof(*files));
        if (files == NULL) {
            c->failed = true;
            return;
        }
        c->files = files;
        c->files_room = room;
    }
    c->files[c->files_count++] = (struct file){(uint32_t)kind, false, id, bytes};
}

static int
by_kind_and_id(const void *a, const void *b)
{
    const struct file *fa = a, *fb = b;
    if (fa->kind != fb->kind)
        return fa->kind < fb->kind ? -1 : 1;
    return (fa->id > fb->id) - (fa->id < fb->id);
}

static struct file *
file_of(struct check *c, enum lk_object_kind kind, uint64_t id)
{
    struct file key = {.kind = (uint32_t)kind, .id = id};
    if (c->files_count == 0)
        return NULL;
    return bsearch(&key, c->files, c->files_count, sizeof(key), by_kind_and_id);
}

/* bytes 0: not known. */
static void
file_named(struct check *c, enum lk_object_kind kind, const char *what, uint64_t id, uint64_t bytes)
{
    struct file *file = file_of(c, kind, id);
    if (file == NULL) {
        damage(c, "%s %016llx: the file is missing", what, (unsigned long long)id);
        return;
    }
    file->named = true;
    if (bytes != 0 && bytes != file->bytes)
        damage(c, "%s %016llx: the file has %llu bytes, the manifest says %llu", what,
               (unsigned long long)id, (unsigned long long)file->bytes, (unsigned long long)bytes);
    c->bytes_all += file->bytes;
}

static luma_rc
segment_named(void *arg, const struct lk_manifest_key *key, struct luma_slice value)
{
    struct lk_reader r = lk_reader(value);
    struct lk_segment_info info;
    lk_segment_info_read(&r, &info);
    file_named(arg, LK_OBJECT_SEGMENT, "segment", key->b, info.bytes);
    return LUMA_OK;
}

static luma_rc
run_named(void *arg, const struct lk_manifest_key *key, struct luma_slice value)
{
    struct lk_reader r = lk_reader(value);
    struct lk_run_info info;
    lk_run_info_read(&r, &info);
    file_named(arg, LK_OBJECT_RUN, "index run", key->b, info.bytes);
    return LUMA_OK;
}

static luma_rc
pack_named(void *arg, const struct lk_manifest_key *key, struct luma_slice value)
{
    struct check *c = arg;
    struct lk_pack_place place;
    (void)key;
    if (!lk_pack_place_read(value, &place))
        return LUMA_OK;
    struct file *file = file_of(c, LK_OBJECT_DELETES, place.object_id);
    if (file == NULL || !file->named)
        file_named(c, LK_OBJECT_DELETES, "pack", place.object_id, 0);
    return LUMA_OK;
}

/* What is read with a history only. */
static luma_rc
past_check(void *arg, const struct lk_manifest_key *key, struct luma_slice value)
{
    struct check *c = arg;
    struct lk_pack_place place;
    struct lk_bytes bytes;
    lk_bytes_init(&bytes, NULL);
    luma_rc rc = !lk_pack_place_read(value, &place)
                     ? LUMA_FAIL(c->ctx, LUMA_E_CORRUPT, "the manifest's entry cannot be read")
                     : lk_pack_read(c->ctx, c->store, &place, &bytes);
    lk_bytes_fini(&bytes);
    return judge(c, c->ctx, rc, "the history of", key->a);
}

static luma_rc
files_check(struct check *c)
{
    struct lk_manifest *m = c->store->manifest;
    LUMA_TRY(lk_objects_each(c->ctx, c->store->objects, file_found, c));
    if (c->failed)
        return LUMA_FAIL(c->ctx, LUMA_E_NOMEM, "check: out of memory");
    if (c->files_count > 1)
        qsort(c->files, c->files_count, sizeof(c->files[0]), by_kind_and_id);
    LUMA_TRY(lk_manifest_each(m, LK_MANIFEST_SEGMENT, 0, segment_named, c));
    LUMA_TRY(lk_manifest_each(m, LK_MANIFEST_RUN, 0, run_named, c));
    LUMA_TRY(lk_packs_each(m, pack_named, c));
    static const uint32_t past[] = {LK_MANIFEST_HISTORY, LK_MANIFEST_PAST, LK_MANIFEST_ENDS,
                                    LK_MANIFEST_BEGINS};
    for (size_t i = 0; i < LUMA_COUNTOF(past); i++)
        LUMA_TRY(lk_manifest_each(m, past[i], 0, past_check, c));
    uint64_t count = 0, bytes = 0;
    for (size_t i = 0; i < c->files_count; i++) {
        for (size_t k = 0; k < c->store->named_count && !c->files[i].named; k++)
            c->files[i].named = c->store->named[k] == c->files[i].id;
        count += !c->files[i].named;
        bytes += c->files[i].named ? 0 : c->files[i].bytes;
    }
    if (count > 0)
        line(c, "%llu files of %llu bytes that nothing names: the next start removes them",
             (unsigned long long)count, (unsigned long long)bytes);
    return LUMA_OK;
}

/* --- rows and indexes --- */

/* Entries as hashes of key and row id: an open table, of a part of them at a time. */
#define HASHES_MAX (16u << 20)
#define AHEAD      64 /* under way at a time: the table is not in the caches */

struct hashes {
    uint64_t *slots; /* 0: free */
    size_t count, room;
    uint64_t part, parts; /* of all hashes: this one of so many */
    uint64_t ahead[AHEAD];
    size_t ahead_count;
};

/* Room for `count`, all free. */
static bool
hashes_begin(struct hashes *h, size_t count)
{
    size_t room = 4096;
    while (room < count * 2)
        room *= 2;
    free(h->slots);
    h->slots = calloc(room, sizeof(*h->slots));
    h->count = 0;
    h->room = h->slots == NULL ? 0 : room;
    return h->slots != NULL;
}

static size_t
hashes_find(const struct hashes *h, uint64_t hash)
{
    size_t at = hash & (h->room - 1);
    while (h->slots[at] != 0 && h->slots[at] != hash)
        at = (at + 1) & (h->room - 1);
    return at;
}

static bool
hashes_add(struct hashes *h, uint64_t hash)
{
    if (h->count * 4 > h->room * 3) {
        struct hashes more = {0};
        if (!hashes_begin(&more, h->room))
            return false;
        for (size_t i = 0; i < h->room; i++)
            if (h->slots[i] != 0)
                more.slots[hashes_find(&more, h->slots[i])] = h->slots[i];
        free(h->slots);
        h->slots = more.slots;
        h->room = more.room;
    }
    size_t at = hashes_find(h, hash);
    h->count += h->slots[at] == 0;
    h->slots[at] = hash;
    return true;
}

static bool
hashes_settle(struct hashes *h)
{
    for (; h->ahead_count > 0; h->ahead_count--)
        if (!hashes_add(h, h->ahead[h->ahead_count - 1]))
            return false;
    return true;
}

/* As hashes_add, some time later. */
static bool
hashes_put(struct hashes *h, uint64_t hash)
{
    if (h->ahead_count == AHEAD && !hashes_settle(h))
        return false;
    __builtin_prefetch(&h->slots[hash & (h->room - 1)], 1);
    h->ahead[h->ahead_count++] = hash;
    return true;
}

static uint64_t
entry_hash(const struct luma_index_entry *entry)
{
    uint64_t hash = lk_hash_seeded(entry->key.data, entry->key.bytes, (uint64_t)entry->rowid);
    return hash == 0 ? 1 : hash;
}

/* The high bits choose the part, the low ones the slot. */
static bool
in_part(const struct hashes *h, uint64_t hash)
{
    return h->parts == 1 || (hash >> 40) % h->parts == h->part;
}

struct comparison {
    struct check *c;
    struct luma_ctx *ctx;
    uint64_t entries;
    struct lk_coll *coll;
    struct lk_cidx *cidx;
    struct hashes there; /* in the index */
    uint64_t missing;
};

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "check: out of memory");
}

static void
entry_missing(struct comparison *m, const struct luma_index_entry *entry)
{
    if (m->missing++ == 0)
        damage(m->c, "collection %llu: row %lld is missing in index %llu",
               (unsigned long long)m->coll->id, (long long)entry->rowid,
               (unsigned long long)m->cidx->index_def->id);
}

static luma_rc
entries_compare(void *arg, struct luma_ctx *ctx, const struct luma_index_entry *entries,
                const bool *nulls, uint32_t count)
{
    struct comparison *m = arg;
    const struct hashes *h = &m->there;
    (void)ctx, (void)nulls;
    for (uint32_t from = 0; from < count; from += AHEAD) {
        uint32_t n = LK_MIN(count - from, (uint32_t)AHEAD);
        uint64_t hashes[AHEAD];
        for (uint32_t i = 0; i < n; i++) {
            hashes[i] = entry_hash(&entries[from + i]);
            __builtin_prefetch(&h->slots[hashes[i] & (h->room - 1)]);
        }
        for (uint32_t i = 0; i < n; i++) {
            if (!in_part(h, hashes[i]))
                continue;
            m->entries++;
            if (h->slots[hashes_find(h, hashes[i])] == 0)
                entry_missing(m, &entries[from + i]);
        }
    }
    return LUMA_OK;
}

static luma_rc
index_hashes(struct comparison *m)
{
    LUMA_CLEANUP(lk_arena_destroy) struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct luma_index_range all = {0};
    struct lk_index_cursor *cursor = NULL;
    bool more = true;
    if (arena == NULL ||
        !hashes_begin(&m->there, lk_index_entries(m->cidx->index) / m->there.parts + 1))
        return no_memory(m->ctx);
    LUMA_TRY(lk_index_cursor_open(m->ctx, m->cidx->index, &all, arena, &cursor));
    luma_rc rc = LUMA_OK;
    while (rc == LUMA_OK && more) {
        struct luma_index_entry entry;
        rc = lk_index_cursor_next(m->ctx, cursor, &entry, &more);
        uint64_t hash = rc == LUMA_OK && more ? entry_hash(&entry) : 0;
        if (hash != 0 && in_part(&m->there, hash) && !hashes_put(&m->there, hash))
            rc = no_memory(m->ctx);
    }
    lk_index_cursor_close(cursor);
    if (rc == LUMA_OK && !hashes_settle(&m->there))
        rc = no_memory(m->ctx);
    return rc;
}

/* Kinds without order: a lookup each. */
struct lookup {
    const struct luma_index_entry *entry;
    bool found;
};

static void
entry_found(void *arg, size_t key_index, int64_t rowid)
{
    struct lookup *l = arg;
    (void)key_index;
    l->found = l->found || rowid == l->entry->rowid;
}

static luma_rc
entries_look(void *arg, struct luma_ctx *ctx, const struct luma_index_entry *entries,
             const bool *nulls, uint32_t count)
{
    struct comparison *m = arg;
    (void)nulls;
    for (uint32_t i = 0; i < count; i++) {
        struct lookup l = {&entries[i], false};
        LUMA_TRY(lk_index_find(ctx, m->cidx->index, &entries[i].key, 1, entry_found, &l));
        m->entries++;
        if (!l.found)
            entry_missing(m, &entries[i]);
    }
    return LUMA_OK;
}

static luma_rc
rows_compare(struct comparison *m, const struct lk_view *view, struct lk_entries *spec)
{
    struct check *c = m->c;
    struct luma_ctx *ctx = m->ctx;
    uint64_t id = m->cidx->index_def->id;
    luma_rc rc = LUMA_OK;
    for (uint32_t i = 0; rc == LUMA_OK && i < view->segs_count; i++)
        if (view->segs[i]->segment != NULL)
            rc = judge(c, ctx, lk_entries_of_seg(ctx, spec, view->segs[i]), "index", id);
    for (uint32_t i = 0; rc == LUMA_OK && i < view->hots_count; i++)
        rc = judge(c, ctx, lk_entries_of_hot(ctx, spec, view->hots[i]), "index", id);
    return rc;
}

/* Every current row has its entry. */
static luma_rc
rows_indexed(struct check *c, struct luma_ctx *ctx, const struct job *job, uint64_t *out_entries)
{
    struct lk_cidx *cidx = job->cidx;
    struct comparison m = {.c = c, .ctx = ctx, .coll = job->coll, .cidx = cidx};
    struct lk_entries spec = {.slots = &c->store->slots, .def = job->view->def, .cidx = cidx};
    luma_rc rc = LUMA_OK;
    spec.horizon = LK_COMMIT_NEWEST;
    spec.arg = &m;
    if (lk_index_is_ordered(cidx->index)) {
        m.there.parts = 1 + lk_index_entries(cidx->index) / HASHES_MAX;
        spec.add = entries_compare;
        for (; rc == LUMA_OK && m.there.part < m.there.parts; m.there.part++) {
            rc = index_hashes(&m);
            if (rc == LUMA_OK)
                rc = rows_compare(&m, job->view, &spec);
        }
        rc = judge(c, ctx, rc, "index", cidx->index_def->id);
        free(m.there.slots);
    } else {
        spec.add = entries_look;
        rc = rows_compare(&m, job->view, &spec);
    }
    if (m.missing > 1)
        damage(c, "index %llu: %llu rows are missing in all",
               (unsigned long long)cidx->index_def->id, (unsigned long long)m.missing);
    *out_entries = m.entries;
    return rc;
}

static luma_rc
index_check(struct check *c, struct luma_ctx *ctx, const struct job *job)
{
    struct lk_cidx *cidx = job->cidx;
    struct check found = {.indexes = 1, .bytes_done = job->bytes};
    uint64_t id = cidx->index_def->id;
    luma_rc rc = LUMA_OK;
    bool sound = !atomic_load(&cidx->damaged);
    if (!sound)
        damage(c, "index %llu of collection %llu: %s", (unsigned long long)id,
               (unsigned long long)job->coll->id, cidx->damage == NULL ? "" : cidx->damage);
    if (sound) {
        rc = lk_index_verify(ctx, cidx->index);
        sound = rc == LUMA_OK;
        rc = judge(c, ctx, rc, "index", id);
    }
    if (sound) /* a damaged one is rebuilt from the rows anyway */
        rc = rows_indexed(c, ctx, job, &found.entries);
    counted(c, &found);
    return rc;
}

static luma_rc
segment_check(struct check *c, struct luma_ctx *ctx, const struct job *job)
{
    struct check found = {.segments = 1, .bytes_done = job->bytes};
    struct lk_seg *seg = job->seg;
    luma_rc rc = lk_seg_usable(ctx, seg);
    if (rc == LUMA_OK)
        rc = lk_segment_verify(ctx, seg->segment, NULL, NULL);
    found.rows = seg->info.rows;
    rc = judge(c, ctx, rc, "collection", seg->info.coll_id);
    counted(c, &found);
    return rc;
}

/* --- all of it, on all cores --- */

static luma_rc
job_add(struct check *c, const struct job *job)
{
    if (c->jobs_count == c->jobs_room) {
        uint32_t room = c->jobs_room == 0 ? 64 : c->jobs_room * 2;
        struct job *jobs = realloc(c->jobs, room * sizeof(*jobs));
        if (jobs == NULL)
            return no_memory(c->ctx);
        c->jobs = jobs;
        c->jobs_room = room;
    }
    lk_view_ref(job->view);
    c->jobs[c->jobs_count++] = *job;
    return LUMA_OK;
}

static luma_rc
coll_jobs(void *arg, struct lk_coll *coll)
{
    struct check *c = arg;
    struct job job = {.coll = coll, .view = lk_coll_view(coll, NULL)};
    struct lk_view *view = job.view;
    luma_rc rc = LUMA_OK;
    if (view == NULL)
        return LUMA_OK;
    line(c, "collection %llu: %u segments, %u indexes", (unsigned long long)coll->id,
         view->segs_count, view->idx_count);
    if (coll->rows_broken != NULL)
        damage(c, "collection %llu: %s", (unsigned long long)coll->id, coll->rows_broken);
    for (uint32_t i = 0; i < view->hots_count; i++)
        c->rows += atomic_load(&view->hots[i]->versions);
    for (uint32_t i = 0; rc == LUMA_OK && i < view->segs_count; i++) {
        job.seg = view->segs[i];
        job.bytes = job.seg->info.bytes;
        rc = job_add(c, &job);
    }
    job.seg = NULL;
    for (uint32_t i = 0; rc == LUMA_OK && i < view->idx_count; i++) {
        job.cidx = view->idx[i];
        job.bytes = lk_index_bytes(job.cidx->index);
        rc = job_add(c, &job);
    }
    lk_view_unref(view);
    return rc;
}

/* The largest first: nobody waits for one that was begun last. */
static int
by_size(const void *a, const void *b)
{
    uint64_t ba = ((const struct job *)a)->bytes, bb = ((const struct job *)b)->bytes;
    return (ba < bb) - (ba > bb);
}

static luma_rc
job_check(void *arg, uint32_t part, struct luma_ctx *ctx)
{
    struct check *c = arg;
    const struct job *job = &c->jobs[part];
    return job->seg != NULL ? segment_check(c, ctx, job) : index_check(c, ctx, job);
}

static luma_rc
jobs_run(struct check *c)
{
    const struct luma_host_sched *sched = c->store->conf.sched;
    luma_rc rc = lk_colls_each(c->store, coll_jobs, c);
    if (c->jobs_count > 1)
        qsort(c->jobs, c->jobs_count, sizeof(c->jobs[0]), by_size);
    if (rc == LUMA_OK && sched != NULL)
        rc = sched->parallel(c->ctx, c->jobs_count, job_check, c);
    for (uint32_t i = 0; rc == LUMA_OK && sched == NULL && i < c->jobs_count; i++)
        rc = job_check(c, i, c->ctx);
    for (uint32_t i = 0; i < c->jobs_count; i++)
        lk_view_unref(c->jobs[i].view);
    free(c->jobs);
    return rc;
}

luma_rc
lk_store_check(struct luma_ctx *ctx, const struct lk_store_conf *conf,
               const struct lk_check_say *say)
{
    static const struct lk_check_say silence;
    struct check c = {.ctx = ctx, .say = say == NULL ? &silence : say};
    LUMA_TRY(lk_core_open(ctx, conf, true, &c.store));
    luma_rc rc = files_check(&c);
    if (rc == LUMA_OK)
        rc = jobs_run(&c);
    if (rc == LUMA_OK)
        line(&c, "%llu rows, %llu segments, %llu indexes, %llu index entries looked up: %s",
             (unsigned long long)c.rows, (unsigned long long)c.segments,
             (unsigned long long)c.indexes, (unsigned long long)c.entries,
             c.damaged == 0 ? "sound" : "damaged");
    if (rc == LUMA_OK && c.damaged > 0)
        rc = LUMA_FAIL(ctx, LUMA_E_CORRUPT, "%s: %llu things are damaged", c.store->dir,
                       (unsigned long long)c.damaged);
    free(c.files);
    lk_core_close(c.store);
    return rc;
}
