/* storage/backup/files.c - copying files, and which files a state consists of. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "storage/backup/backup_priv.h"
#include "storage/redo.h"
#include "storage/wal/wal_file.h"

#define COPY_BYTES ((size_t)1 << 20)

luma_rc
lki_copy_init(struct lki_copy *copy, struct luma_ctx *ctx, struct lk_io *io,
              const struct lk_backup_say *say)
{
    memset(copy, 0, sizeof(*copy));
    copy->ctx = ctx;
    copy->io = io;
    copy->say = say;
    copy->buffer = malloc(COPY_BYTES);
    return copy->buffer == NULL ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "backup: out of memory") : LUMA_OK;
}

void
lki_copy_fini(struct lki_copy *copy)
{
    free(copy->buffer);
}

void
lki_copy_skip(struct lki_copy *copy, uint64_t bytes)
{
    copy->done += bytes;
    if (copy->say != NULL && copy->say->progress != NULL)
        copy->say->progress(copy->say->arg, copy->done, LK_MAX(copy->done, copy->all));
}

static luma_rc
content_copy(struct lki_copy *copy, struct lk_file *from, struct lk_file *to)
{
    uint64_t at = 0;
    for (;;) {
        size_t got = 0;
        LUMA_TRY(lk_io_read(copy->ctx, from, copy->buffer, COPY_BYTES, at, &got));
        if (got == 0)
            return lk_io_sync_full(copy->ctx, to);
        LUMA_TRY(lk_io_write(copy->ctx, to, copy->buffer, got, at));
        at += got;
        copy->copied += got;
        lki_copy_skip(copy, got);
    }
}

luma_rc
lki_copy_file(struct lki_copy *copy, const char *from, const char *to)
{
    struct lk_file *in = NULL, *out = NULL;
    char *part = lki_backup_path(copy->ctx, "%s.part", to);
    if (part == NULL)
        return LUMA_E_NOMEM;
    luma_rc rc = lk_io_open(copy->ctx, copy->io, from, LK_IO_SEQUENTIAL, &in);
    if (rc == LUMA_OK)
        rc = lk_io_open(copy->ctx, copy->io, part, LK_IO_WRITE | LK_IO_CREATE | LK_IO_TRUNCATE,
                        &out);
    if (rc == LUMA_OK)
        rc = content_copy(copy, in, out);
    lk_io_close(in);
    lk_io_close(out);
    if (rc == LUMA_OK)
        rc = lk_io_rename(copy->ctx, copy->io, part, to);
    return rc;
}

char *
lki_backup_path(struct luma_ctx *ctx, const char *format, ...)
{
    char *text = NULL, *kept = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n >= 0) {
        kept = luma_arena_text(ctx->arena, text, (size_t)n);
        free(text);
    }
    if (kept == NULL) {
        luma_rc rc = LUMA_FAIL(ctx, LUMA_E_NOMEM, "backup: out of memory");
        (void)rc;
    }
    return kept;
}

/* --- what a state consists of --- */

struct gather {
    struct luma_ctx *ctx;
    const struct lk_manifest *manifest;
    struct lki_objects *out;
};

static luma_rc
object_add(struct gather *g, enum lk_object_kind kind, uint64_t id, uint64_t bytes)
{
    struct lki_objects *out = g->out;
    for (size_t i = out->count; kind == LK_OBJECT_DELETES && i > 0; i--)
        if (out->items[i - 1].kind == kind && out->items[i - 1].id == id)
            return LUMA_OK;
    if (out->count == out->room) {
        size_t room = out->room == 0 ? 64 : out->room * 2;
        struct lki_object *items = realloc(out->items, room * sizeof(*items));
        if (items == NULL)
            return LUMA_FAIL(g->ctx, LUMA_E_NOMEM, "backup: out of memory");
        out->items = items;
        out->room = room;
    }
    out->items[out->count++] = (struct lki_object){(uint32_t)kind, id, bytes, NULL};
    return LUMA_OK;
}

/* Where the manifest says that a segment lies; in ctx->arena, NULL: in the data folder. */
static const char *
elsewhere(const struct gather *g, uint64_t id)
{
    struct lk_manifest_key lies = {.kind = LK_MANIFEST_LIES, .a = id};
    struct luma_slice bytes = lk_manifest_get(g->manifest, &lies);
    struct lk_reader r = lk_reader(bytes);
    struct lk_manifest_key place = {.kind = LK_MANIFEST_PLACE};
    place.b = bytes.data == NULL ? 0 : lk_reader_varint(&r);
    struct luma_slice dir = lk_manifest_get(g->manifest, &place);
    return dir.data == NULL ? NULL : luma_arena_text(g->ctx->arena, dir.data, dir.bytes);
}

static luma_rc
segment_entry(void *arg, const struct lk_manifest_key *key, struct luma_slice value)
{
    struct gather *g = arg;
    struct lk_reader r = lk_reader(value);
    struct lk_segment_info info;
    lk_segment_info_read(&r, &info);
    LUMA_TRY(object_add(g, LK_OBJECT_SEGMENT, key->b, r.failed ? 0 : info.bytes));
    g->out->items[g->out->count - 1].elsewhere = elsewhere(g, key->b);
    return LUMA_OK;
}

static luma_rc
run_entry(void *arg, const struct lk_manifest_key *key, struct luma_slice value)
{
    struct lk_reader r = lk_reader(value);
    struct lk_run_info info;
    lk_run_info_read(&r, &info);
    return object_add(arg, LK_OBJECT_RUN, key->b, r.failed ? 0 : info.bytes);
}

static luma_rc
pack_entry(void *arg, const struct lk_manifest_key *key, struct luma_slice value)
{
    struct lk_pack_place place;
    (void)key;
    return lk_pack_place_read(value, &place)
               ? object_add(arg, LK_OBJECT_DELETES, place.object_id, 0)
               : LUMA_OK;
}

static luma_rc
log_record(void *arg, struct luma_ctx *ctx, const struct lk_wal_record *record)
{
    struct gather *g = arg;
    struct lk_redo_seen seen;
    struct lk_reader r = lk_reader(record->payload);
    while (lk_redo_walk(&r, &seen)) {
        if (seen.op == LK_REDO_SEGMENT)
            LUMA_TRY(object_add(g, LK_OBJECT_SEGMENT, seen.object_id, seen.bytes));
        if (seen.op == LK_REDO_RUN)
            LUMA_TRY(object_add(g, LK_OBJECT_RUN, seen.object_id, seen.bytes));
    }
    return r.failed ? LUMA_FAIL(ctx, LUMA_E_CORRUPT, "backup: the record of commit %llu is damaged",
                                (unsigned long long)record->commit)
                    : LUMA_OK;
}

static luma_rc
manifest_state(struct luma_ctx *ctx, const struct lk_manifest *m, lk_lsn *out_lsn,
               uint64_t *out_commit)
{
    struct lk_manifest_key key = {.kind = LK_MANIFEST_STATE};
    struct luma_slice bytes = lk_manifest_get(m, &key);
    *out_lsn = *out_commit = 0;
    if (bytes.data == NULL)
        return LUMA_OK;
    struct lk_reader r = lk_reader(bytes);
    *out_commit = lk_reader_varint(&r);
    *out_lsn = lk_reader_u64(&r);
    return r.failed ? LUMA_FAIL(ctx, LUMA_E_CORRUPT, "backup: the manifest's state is damaged")
                    : LUMA_OK;
}

static luma_rc
manifest_open(struct luma_ctx *ctx, struct lk_io *io, const char *dir, struct lk_manifest **out)
{
    bool is_new = false;
    char *path = lki_backup_path(ctx, "%s/manifest", dir);
    if (path == NULL)
        return LUMA_E_NOMEM;
    if (!lk_io_exists(io, path))
        return LUMA_FAIL(ctx, LUMA_E_UNDEFINED, "%s holds no store", dir);
    return lk_manifest_open(ctx, io, path, true, out, &is_new);
}

luma_rc
lki_backup_state(struct luma_ctx *ctx, struct lk_io *io, const char *dir, uint64_t *out_store_id,
                 uint64_t *out_log)
{
    struct lk_manifest *m = NULL;
    lk_lsn lsn = 0;
    uint64_t commit = 0;
    LUMA_TRY(manifest_open(ctx, io, dir, &m));
    luma_rc rc = manifest_state(ctx, m, &lsn, &commit);
    *out_store_id = lk_manifest_store_id(m);
    *out_log = lsn >> 32;
    lk_manifest_close(m);
    return rc;
}

luma_rc
lki_backup_objects(struct luma_ctx *ctx, struct lk_io *io, const char *dir, struct lki_objects *out,
                   uint64_t *out_commit)
{
    struct gather g = {ctx, NULL, out};
    struct lk_manifest *m = NULL;
    struct lk_wal_end end = {0};
    lk_lsn lsn = 0;
    LUMA_TRY(manifest_open(ctx, io, dir, &m));
    g.manifest = m;
    luma_rc rc = manifest_state(ctx, m, &lsn, out_commit);
    if (rc == LUMA_OK)
        rc = lk_manifest_each(m, LK_MANIFEST_SEGMENT, 0, segment_entry, &g);
    if (rc == LUMA_OK)
        rc = lk_manifest_each(m, LK_MANIFEST_RUN, 0, run_entry, &g);
    if (rc == LUMA_OK)
        rc = lk_packs_each(m, pack_entry, &g);
    struct lk_wal_conf wal = {.io = io, .store_id = lk_manifest_store_id(m)};
    wal.dir = lki_backup_path(ctx, "%s/wal", dir);
    if (rc == LUMA_OK && wal.dir == NULL)
        rc = LUMA_E_NOMEM;
    if (rc == LUMA_OK)
        rc = lk_wal_read(ctx, &wal, lsn, log_record, &g, &end);
    *out_commit = LK_MAX(*out_commit, end.commit);
    lk_manifest_close(m);
    return rc;
}

char *
lki_backup_object_name(struct luma_ctx *ctx, const struct lki_object *object)
{
    return lki_backup_path(ctx, "%016llx.%s", (unsigned long long)object->id,
                           lk_object_kind_name((enum lk_object_kind)object->kind));
}

/* --- log files --- */

struct log_list {
    struct luma_ctx *ctx;
    struct lk_io *io;
    const char *dir;
    uint64_t store_id;
    struct lki_log *items;
    size_t count, room;
};

static luma_rc
log_found(void *arg, const char *name, bool is_dir)
{
    struct log_list *list = arg;
    size_t bytes = strlen(name);
    struct lk_wal_file_id id;
    if (is_dir || bytes < 5 || strcmp(name + bytes - 4, ".wal") != 0)
        return LUMA_OK;
    char *path = lki_backup_path(list->ctx, "%s/%s", list->dir, name);
    if (path == NULL)
        return LUMA_E_NOMEM;
    bool known = false;
    LUMA_TRY(lk_wal_file_look(list->ctx, list->io, path, list->store_id, &id, &known));
    if (!known)
        return LUMA_OK; /* a spare */
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 16 : list->room * 2;
        struct lki_log *items = LUMA_NEW_ARRAY(list->ctx->arena, struct lki_log, room);
        if (items == NULL)
            return LUMA_FAIL(list->ctx, LUMA_E_NOMEM, "backup: out of memory");
        if (list->count > 0)
            memcpy(items, list->items, list->count * sizeof(*items));
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = (struct lki_log){path, id.number, id.epoch};
    return LUMA_OK;
}

static int
by_number(const void *a, const void *b)
{
    const struct lki_log *la = a, *lb = b;
    if (la->number != lb->number)
        return la->number < lb->number ? -1 : 1;
    return (la->epoch > lb->epoch) - (la->epoch < lb->epoch);
}

luma_rc
lki_backup_logs(struct luma_ctx *ctx, struct lk_io *io, const char *dir, uint64_t store_id,
                struct lki_log **out_logs, size_t *out_count)
{
    struct log_list list = {.ctx = ctx, .io = io, .dir = dir, .store_id = store_id};
    LUMA_TRY(lk_io_list(ctx, io, dir, log_found, &list));
    if (list.count > 1)
        qsort(list.items, list.count, sizeof(list.items[0]), by_number);
    *out_logs = list.items;
    *out_count = list.count;
    return LUMA_OK;
}
