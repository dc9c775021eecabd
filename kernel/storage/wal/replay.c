/*
 * wal/replay.c - reading the log from a position to its end.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "storage/mutant.h"
#include "storage/wal/wal_priv.h"

struct found {
    struct lki_wal_header header;
    char *path;
};

struct replay {
    struct luma_ctx *ctx;
    const struct lk_wal_conf *conf;
    struct found *files;
    size_t files_count;
    struct lk_bytes data;  /* one file */
    struct lk_bytes parts; /* payload being put together */
    lk_lsn parts_lsn;
    luma_rc (*fn)(void *arg, struct luma_ctx *ctx, const struct lk_wal_record *record);
    void *arg;
    struct lk_wal_end *end;
    uint64_t done_bytes, all_bytes;
};

static void
replay_fini(struct replay *r)
{
    for (size_t i = 0; i < r->files_count; i++)
        free(r->files[i].path);
    free(r->files);
    lk_bytes_fini(&r->data);
    lk_bytes_fini(&r->parts);
}

static luma_rc
file_found(void *arg, const char *name, bool is_dir)
{
    struct replay *r = arg;
    size_t bytes = strlen(name);
    if (is_dir || bytes < 5 || strcmp(name + bytes - 4, ".wal") != 0)
        return LUMA_OK;
    struct found found;
    memset(&found, 0, sizeof(found));
    if (asprintf(&found.path, "%s/%s", r->conf->dir, name) < 0)
        return LUMA_FAIL(r->ctx, LUMA_E_NOMEM, "log: out of memory");
    struct lk_file *file = NULL;
    size_t got = 0;
    luma_rc rc = lk_io_open(r->ctx, r->conf->io, found.path, 0, &file);
    bool valid = false;
    /* Once more, when it is neither sound nor empty: the disk may have misread it. */
    for (int i = 0; rc == LUMA_OK && i < 2 && !valid; i++) {
        rc = lk_io_read(r->ctx, file, &found.header, sizeof(found.header), 0, &got);
        valid = rc == LUMA_OK && got == sizeof(found.header) &&
                found.header.magic == LKI_WAL_MAGIC &&
                found.header.crc == lki_wal_header_crc(&found.header);
    }
    lk_io_close(file);
    if (valid && found.header.store_id != r->conf->store_id)
        rc = LUMA_FAIL(r->ctx, LUMA_E_CORRUPT, "%s belongs to another store", found.path);
    else if (valid && found.header.version != LKI_WAL_VERSION)
        rc = LUMA_FAIL(r->ctx, LUMA_E_CORRUPT, "%s has version %u, this program reads %u",
                       found.path, found.header.version, LKI_WAL_VERSION);
    struct found *files = NULL;
    if (rc == LUMA_OK && valid)
        files = realloc(r->files, (r->files_count + 1) * sizeof(*files));
    if (files == NULL) {
        free(found.path);
        return rc != LUMA_OK || !valid ? rc : LUMA_E_NOMEM;
    }
    r->files = files;
    r->files[r->files_count++] = found;
    return LUMA_OK;
}

static int
by_number(const void *a, const void *b)
{
    uint64_t na = ((const struct found *)a)->header.file;
    uint64_t nb = ((const struct found *)b)->header.file;
    if (na != nb)
        return na > nb ? 1 : -1;
    uint64_t ea = ((const struct found *)a)->header.epoch;
    uint64_t eb = ((const struct found *)b)->header.epoch;
    return (ea > eb) - (ea < eb);
}

/*
 * Files left over by an owner that crashed, whose numbers its successor used again or will: of one
 * number the highest epoch counts, and epochs never fall from one file to the next.
 */
static void
drop_stale(struct replay *r)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->files_count; i++) {
        const struct lki_wal_header *header = &r->files[i].header;
        const struct lki_wal_header *next = i + 1 < r->files_count ? &r->files[i + 1].header : NULL;
        bool stale = (next != NULL && next->file == header->file) ||
                     (kept > 0 && header->epoch < r->files[kept - 1].header.epoch);
        if (stale)
            free(r->files[i].path);
        else
            r->files[kept++] = r->files[i];
    }
    r->files_count = kept;
}

/* The whole record at `offset` of the file in r->data; false: there is none. */
static bool
record_at(const struct replay *r, const struct found *file, uint64_t offset,
          struct lki_wal_record *out)
{
    const struct lki_wal_header *header = &file->header;
    if (offset + sizeof(*out) > r->data.bytes)
        return false;
    memcpy(out, r->data.data + offset, sizeof(*out));
    bool sound = out->crc == lki_wal_record_crc(header->file, header->epoch, out) &&
                 out->lsn == lki_wal_lsn(header->file, offset);
    if (LK_MUTANT(STALE_REPLAYED)) {
        struct lki_wal_record stale = *out;
        sound = out->crc == lki_wal_record_crc(0, 0, &stale) && (uint32_t)out->lsn == offset;
    }
    if (!sound)
        return false;
    if (out->payload_bytes > r->data.bytes - offset - sizeof(*out))
        return false;
    return LK_MUTANT(CRC_UNCHECKED) || lk_crc32c(0, r->data.data + offset + sizeof(*out),
                                                 out->payload_bytes) == out->payload_crc;
}

/* Does anything behind `offset` say that offset had been durable? Then it is not a torn end. */
static bool
was_durable(const struct replay *r, const struct found *file, uint64_t offset)
{
    struct lki_wal_record record;
    for (uint64_t at = offset + LKI_WAL_ALIGN; at + sizeof(record) <= r->data.bytes;
         at += LKI_WAL_ALIGN) {
        if (lk_load_u32(r->data.data + at) == 0)
            continue;
        if (record_at(r, file, at, &record) &&
            record.durable > lki_wal_lsn(file->header.file, offset))
            return true;
    }
    return false;
}

static luma_rc
record_take(struct replay *r, const struct lki_wal_record *record, struct luma_slice payload)
{
    struct lk_wal_record whole = {record->lsn,   record->commit, payload,
                                  r->done_bytes, r->all_bytes,   r->end->epoch};
    if ((record->flags & LKI_WAL_CONTINUED) || r->parts.bytes > 0) {
        if (r->parts.bytes == 0)
            r->parts_lsn = record->lsn;
        if (!lk_bytes_slice(&r->parts, payload))
            return LUMA_FAIL(r->ctx, LUMA_E_NOMEM, "log: out of memory");
        if (record->flags & LKI_WAL_CONTINUED)
            return LUMA_OK;
        whole.lsn = r->parts_lsn;
        whole.payload = lk_bytes_view(&r->parts);
    }
    r->end->commit = record->commit;
    r->end->records++;
    luma_rc rc = r->fn(r->arg, r->ctx, &whole);
    lk_bytes_reset(&r->parts);
    return rc;
}

/* All records of a file from `offset`; next: the file after it, NULL: it is the last. */
static luma_rc
file_replay(struct replay *r, const struct found *file, uint64_t offset, const struct found *next)
{
    uint64_t number = file->header.file;
    lk_bytes_reset(&r->data);
    LUMA_TRY(lk_io_read_file(r->ctx, r->conf->io, file->path, UINT32_MAX, &r->data));
    uint64_t end = next != NULL ? next->header.prev_end : UINT64_MAX;
    bool again = true;
    while (offset < end) {
        struct lki_wal_record record;
        if (!record_at(r, file, offset, &record)) {
            /* Something is there: a torn end, or the disk has misread it. */
            if (again && offset + 4 <= r->data.bytes && lk_load_u32(r->data.data + offset) != 0) {
                again = false;
                lk_bytes_reset(&r->data);
                LUMA_TRY(lk_io_read_file(r->ctx, r->conf->io, file->path, UINT32_MAX, &r->data));
                continue;
            }
            if (LK_MUTANT(ASYNC_HOLES) && offset + 2 * LKI_WAL_ALIGN < r->data.bytes) {
                offset += LKI_WAL_ALIGN;
                continue;
            }
            if (next == NULL && !was_durable(r, file, offset))
                break;
            return LUMA_FAIL(r->ctx, LUMA_E_CORRUPT, "%s: the record at offset %llu is damaged",
                             file->path, (unsigned long long)offset);
        }
        struct luma_slice payload =
            luma_slice(r->data.data + offset + sizeof(record), record.payload_bytes);
        LUMA_TRY(record_take(r, &record, payload));
        uint64_t bytes = sizeof(record) + lki_wal_padded(record.payload_bytes);
        offset += bytes;
        r->done_bytes += bytes;
        /* The parts of a payload belong together: the log ends before the first. */
        if (r->parts.bytes == 0) {
            r->end->file = number;
            r->end->offset = offset;
        }
    }
    return LUMA_OK;
}

/* How much there is from file i on: the last file may be filled in part only. */
static luma_rc
log_measure(struct replay *r, size_t i, uint64_t offset)
{
    uint64_t end = 0;
    for (; i < r->files_count; i++, offset = LKI_WAL_HEADER_BYTES) {
        struct lk_io_stat stat;
        if (i + 1 < r->files_count) {
            end = r->files[i + 1].header.prev_end;
        } else {
            LUMA_TRY(lk_io_stat(r->ctx, r->conf->io, r->files[i].path, &stat));
            end = stat.bytes;
        }
        r->all_bytes += end > offset ? end - offset : 0;
    }
    return LUMA_OK;
}

static luma_rc
replay_files(struct replay *r, lk_lsn from)
{
    uint64_t start = from == 0 ? 1 : from >> 32;
    uint64_t offset = from == 0 ? LKI_WAL_HEADER_BYTES : from & UINT32_MAX;
    size_t i = 0;
    while (i < r->files_count && r->files[i].header.file < start)
        i++;
    if (i == r->files_count ? from != 0 : r->files[i].header.file != start)
        return LUMA_FAIL(r->ctx, LUMA_E_CORRUPT, "%s: log file %llu is missing", r->conf->dir,
                         (unsigned long long)start);
    LUMA_TRY(log_measure(r, i, offset));
    for (; i < r->files_count; i++) {
        const struct found *file = &r->files[i];
        const struct found *next = i + 1 < r->files_count ? &r->files[i + 1] : NULL;
        if (next != NULL && next->header.file != file->header.file + 1)
            return LUMA_FAIL(r->ctx, LUMA_E_CORRUPT, "%s: log file %llu is missing", r->conf->dir,
                             (unsigned long long)(file->header.file + 1));
        r->end->epoch = LK_MAX(r->end->epoch, file->header.epoch);
        if (r->parts.bytes == 0) {
            r->end->file = file->header.file;
            r->end->offset = offset;
            r->end->commit = LK_MAX(r->end->commit, file->header.commit);
        }
        LUMA_TRY(file_replay(r, file, offset, next));
        offset = LKI_WAL_HEADER_BYTES;
    }
    return LUMA_OK;
}

/* Is this the file that would come next, without its header? A record in it that says that the
 * header had been durable tells it from what a crash leaves. */
static luma_rc
headless_look(void *arg, const char *name, bool is_dir)
{
    struct replay *r = arg;
    struct found found = {.header = {.file = r->end->file + 1}};
    struct lki_wal_record record;
    struct lk_file *file = NULL;
    size_t bytes = strlen(name), got = 0;
    if (is_dir || bytes < 5 || strcmp(name + bytes - 4, ".wal") != 0)
        return LUMA_OK;
    if (asprintf(&found.path, "%s/%s", r->conf->dir, name) < 0)
        return LUMA_FAIL(r->ctx, LUMA_E_NOMEM, "log: out of memory");
    luma_rc rc = lk_io_open(r->ctx, r->conf->io, found.path, 0, &file);
    if (rc == LUMA_OK)
        rc = lk_io_read(r->ctx, file, &record, sizeof(record), LKI_WAL_HEADER_BYTES, &got);
    lk_io_close(file);
    bool next = rc == LUMA_OK && got == sizeof(record) && record.lsn >> 32 == found.header.file;
    for (int i = 0; next && i < 2; i++) { /* the last owner's, or the one's after it */
        found.header.epoch = r->end->epoch + (uint64_t)i;
        if (record.crc != lki_wal_record_crc(found.header.file, found.header.epoch, &record))
            continue;
        lk_bytes_reset(&r->data);
        rc = lk_io_read_file(r->ctx, r->conf->io, found.path, UINT32_MAX, &r->data);
        if (rc == LUMA_OK && was_durable(r, &found, 0))
            rc = LUMA_FAIL(r->ctx, LUMA_E_CORRUPT, "%s: the header at offset 0 is damaged",
                           found.path);
        break;
    }
    free(found.path);
    return rc;
}

luma_rc
lk_wal_read(struct luma_ctx *ctx, const struct lk_wal_conf *conf, lk_lsn from,
            luma_rc (*fn)(void *arg, struct luma_ctx *ctx, const struct lk_wal_record *record),
            void *arg, struct lk_wal_end *out_end)
{
    struct replay r = {.ctx = ctx, .conf = conf, .fn = fn, .arg = arg, .end = out_end};
    memset(out_end, 0, sizeof(*out_end));
    luma_rc rc = lk_io_list(ctx, conf->io, conf->dir, file_found, &r);
    if (rc == LUMA_OK) {
        if (r.files_count > 1)
            qsort(r.files, r.files_count, sizeof(r.files[0]), by_number);
        drop_stale(&r);
        rc = replay_files(&r, from);
    }
    if (rc == LUMA_OK)
        rc = lk_io_list(ctx, conf->io, conf->dir, headless_look, &r);
    replay_fini(&r);
    return rc;
}
