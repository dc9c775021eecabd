/*
 * wal/wal.c - the log's files and its append side.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "storage/mutant.h"
#include "storage/wait.h"
#include "storage/wal/wal_priv.h"

#define WAL_PART_BYTES_MAX (1u << 20)

uint32_t
lki_wal_record_crc(uint64_t file, uint64_t epoch, const struct lki_wal_record *record)
{
    uint64_t chain[2] = {file, epoch};
    if (LK_MUTANT(STALE_REPLAYED))
        memset(chain, 0, sizeof(chain));
    uint32_t seed = lk_crc32c(0, chain, sizeof(chain));
    return lk_crc32c(seed, (const uint8_t *)record + sizeof(record->crc),
                     sizeof(*record) - sizeof(record->crc));
}

uint32_t
lki_wal_header_crc(const struct lki_wal_header *header)
{
    struct lki_wal_header copy = *header;
    copy.crc = 0;
    return lk_crc32c(0, &copy, sizeof(copy));
}

static void
file_free(struct lki_wal_file *file)
{
    if (file == NULL)
        return;
    lk_io_close(file->file);
    free(file->path);
    free(file);
}

/* A file of the configured size, really written, under a name nobody has. */
static luma_rc
file_make(struct luma_ctx *ctx, struct lk_wal *wal, struct lki_wal_file **out_file)
{
    LK_IO_PHASE("log roll");
    struct lki_wal_file *file = calloc(1, sizeof(*file));
    luma_rc rc = LUMA_E_NOMEM;
    if (file == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "log: out of memory");
    bool taken = true;
    while (taken) {
        free(file->path);
        if (asprintf(&file->path, "%s/%06u.wal", wal->dir, wal->names++) < 0)
            file->path = NULL;
        rc = file->path == NULL ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "log: out of memory")
                                : lk_io_find(ctx, wal->conf.io, file->path, &taken);
        taken = taken && rc == LUMA_OK;
    }
    if (rc == LUMA_OK)
        rc = lk_io_open(ctx, wal->conf.io, file->path, LK_IO_WRITE | LK_IO_CREATE | LK_IO_EXCLUSIVE,
                        &file->file);
    if (rc == LUMA_OK)
        rc = lk_io_allocate(ctx, file->file, 0, wal->conf.file_bytes);
    if (rc == LUMA_OK)
        rc = lk_io_sync_full(ctx, file->file);
    if (rc == LUMA_OK)
        rc = lk_io_sync_dir(ctx, wal->conf.io, wal->dir);
    if (rc != LUMA_OK) {
        if (file->file != NULL && lk_io_unlink(NULL, wal->conf.io, file->path) != LUMA_OK)
            lk_log_warn("storage.wal", "%s could not be removed", file->path);
        file_free(file);
        return rc;
    }
    *out_file = file;
    return LUMA_OK;
}

luma_rc
lki_wal_prepare(struct luma_ctx *ctx, struct lk_wal *wal, uint32_t count)
{
    luma_rc rc = LUMA_OK;
    lk_mutex_lock(&wal->prepare_lock);
    for (;;) {
        lk_mutex_lock(&wal->lock);
        bool enough = wal->spares_count >= count;
        lk_mutex_unlock(&wal->lock);
        if (enough)
            break;
        struct lki_wal_file *file = NULL;
        rc = file_make(ctx, wal, &file);
        if (rc != LUMA_OK)
            break;
        lk_mutex_lock(&wal->lock);
        file->next = wal->spares;
        wal->spares = file;
        wal->spares_count++;
        wal->stats.files++;
        lk_mutex_unlock(&wal->lock);
    }
    lk_mutex_unlock(&wal->prepare_lock);
    return rc;
}

static struct lki_wal_batch *
batch_new(struct lk_wal *wal)
{
    struct lki_wal_batch *batch = wal->batches_free;
    if (batch != NULL) {
        wal->batches_free = batch->next;
        lk_bytes_reset(&batch->data);
        batch->next = NULL;
    } else {
        batch = calloc(1, sizeof(*batch));
        if (batch == NULL)
            return NULL;
    }
    batch->file = wal->files_tail;
    batch->offset = wal->offset;
    batch->commit = wal->last_commit;
    batch->opens = false;
    if (wal->batches_tail == NULL)
        wal->batches = batch;
    else
        wal->batches_tail->next = batch;
    wal->batches_tail = batch;
    return batch;
}

/* Goes on in a spare file; its header leads the batch. WAL is held. */
static luma_rc
wal_roll(struct lk_wal *wal)
{
    struct lki_wal_file *file = wal->spares;
    if (file == NULL)
        return LUMA_E_AGAIN;
    struct lki_wal_header header = {.magic = LKI_WAL_MAGIC, .version = LKI_WAL_VERSION};
    header.store_id = wal->conf.store_id;
    header.file = wal->files_tail->number + 1;
    header.epoch = wal->epoch;
    header.prev_end = wal->offset;
    header.commit = wal->last_commit;
    header.crc = lki_wal_header_crc(&header);

    struct lki_wal_file *tail = wal->files_tail;
    uint64_t offset = wal->offset;
    wal->files_tail = file;
    wal->offset = 0;
    struct lki_wal_batch *batch = batch_new(wal);
    uint8_t *page = batch == NULL ? NULL : lk_bytes_extend(&batch->data, LKI_WAL_HEADER_BYTES);
    if (page == NULL) {
        wal->files_tail = tail;
        wal->offset = offset;
        return LUMA_E_NOMEM;
    }
    memset(page, 0, LKI_WAL_HEADER_BYTES);
    memcpy(page, &header, sizeof(header));
    batch->opens = true;
    wal->spares = file->next;
    wal->spares_count--;
    file->next = NULL;
    file->number = header.file;
    tail->next = file;
    wal->offset = LKI_WAL_HEADER_BYTES;
    return LUMA_OK;
}

static uint64_t
parts_bytes(const struct lk_wal *wal, uint64_t payload_bytes)
{
    uint64_t parts = payload_bytes / wal->part_bytes + 1;
    return lki_wal_padded(payload_bytes) + parts * (LKI_WAL_RECORD_BYTES + LKI_WAL_ALIGN);
}

/* Files that must be spare so that `bytes` fit behind the present position. A file's end may stay
 * unused for almost one part. */
static uint32_t
spares_needed(const struct lk_wal *wal, uint64_t bytes)
{
    uint64_t here = wal->conf.file_bytes - wal->offset;
    if (bytes <= here)
        return 0;
    uint64_t usable = wal->conf.file_bytes - LKI_WAL_HEADER_BYTES - wal->part_bytes -
                      LKI_WAL_RECORD_BYTES - LKI_WAL_ALIGN;
    return (uint32_t)(bytes / usable + 1);
}

luma_rc
lk_wal_room(struct luma_ctx *ctx, struct lk_wal *wal, uint64_t bytes)
{
    lk_mutex_lock(&wal->lock);
    uint32_t need = spares_needed(wal, parts_bytes(wal, bytes));
    bool enough = need <= wal->spares_count;
    lk_mutex_unlock(&wal->lock);
    if (LUMA_LIKELY(enough))
        return LUMA_OK;
    return lki_wal_prepare(ctx, wal, need);
}

/* One record. WAL is held and there is room. */
static luma_rc
append_part(struct lk_wal *wal, uint64_t commit, struct luma_slice part, uint32_t crc,
            uint32_t flags, lk_lsn *out_lsn)
{
    uint64_t bytes = LKI_WAL_RECORD_BYTES + lki_wal_padded(part.bytes);
    if (wal->offset + bytes > wal->conf.file_bytes)
        LUMA_TRY(wal_roll(wal));
    struct lki_wal_batch *batch = wal->batches_tail;
    if (batch == NULL)
        batch = batch_new(wal);
    uint8_t *to = batch == NULL ? NULL : lk_bytes_extend(&batch->data, bytes);
    if (to == NULL)
        return LUMA_E_NOMEM;

    struct lki_wal_record record = {.payload_bytes = (uint32_t)part.bytes, .commit = commit};
    record.durable = atomic_load_explicit(&wal->durable_lsn, memory_order_relaxed);
    record.lsn = lki_wal_lsn(wal->files_tail->number, wal->offset);
    record.payload_crc = crc;
    record.flags = flags;
    record.crc = lki_wal_record_crc(wal->files_tail->number, wal->epoch, &record);
    memcpy(to, &record, sizeof(record));
    if (part.bytes > 0)
        memcpy(to + sizeof(record), part.data, part.bytes);
    memset(to + sizeof(record) + part.bytes, 0, bytes - sizeof(record) - part.bytes);
    wal->offset += bytes;
    if (!(flags & LKI_WAL_CONTINUED))
        batch->commit = commit; /* it is whole with this part, which may be in a later batch */
    wal->stats.bytes += bytes;
    *out_lsn = record.lsn;
    return LUMA_OK;
}

/* All parts. Room was checked, so only memory can fail: that fails the log, because a part that is
 * in the batch cannot be taken back. */
static luma_rc
append_parts(struct lk_wal *wal, uint64_t commit, struct luma_slice payload, uint32_t payload_crc,
             lk_lsn *out_lsn)
{
    bool first = true;
    do {
        struct luma_slice part = payload;
        uint32_t flags = 0;
        if (part.bytes > wal->part_bytes) {
            part.bytes = wal->part_bytes;
            flags = LKI_WAL_CONTINUED;
        }
        bool whole = first && flags == 0;
        uint32_t crc = whole ? payload_crc : lk_crc32c(0, part.data, part.bytes);
        lk_lsn lsn = 0;
        luma_rc rc = append_part(wal, commit, part, crc, flags, &lsn);
        if (rc != LUMA_OK) {
            if (!first)
                atomic_store(&wal->failed, true);
            return rc;
        }
        if (first)
            *out_lsn = lsn;
        first = false;
        payload = luma_slice(payload.data + part.bytes, payload.bytes - part.bytes);
    } while (payload.bytes > 0);
    return LUMA_OK;
}

luma_rc
lk_wal_append(struct lk_wal *wal, uint64_t commit, struct luma_slice payload, uint32_t payload_crc,
              lk_lsn *out_lsn)
{
    luma_rc rc = LUMA_E_IO;
    bool wake = false;
    lk_mutex_lock(&wal->lock);
    if (!atomic_load(&wal->failed) && !wal->sealed) {
        rc = spares_needed(wal, parts_bytes(wal, payload.bytes)) > wal->spares_count
                 ? LUMA_E_AGAIN
                 : append_parts(wal, commit, payload, payload_crc, out_lsn);
        if (rc == LUMA_OK) {
            wal->last_commit = commit;
            wal->stats.records++;
            wake = wal->sleeping;
        }
    }
    if (wake)
        lk_cond_signal(&wal->work);
    lk_mutex_unlock(&wal->lock);
    return rc;
}

uint64_t
lk_wal_epoch(const struct lk_wal *wal)
{
    return wal->epoch;
}

uint64_t
lk_wal_durable(const struct lk_wal *wal)
{
    return atomic_load_explicit(&wal->durable_commit, memory_order_acquire);
}

uint64_t
lk_wal_synced(const struct lk_wal *wal)
{
    if (LK_MUTANT(ASYNC_HORIZON))
        return lk_wal_durable(wal);
    return atomic_load_explicit(&wal->synced_commit, memory_order_acquire);
}

bool
lk_wal_failed(const struct lk_wal *wal)
{
    return atomic_load_explicit(&wal->failed, memory_order_acquire);
}

lk_lsn
lk_wal_position(struct lk_wal *wal)
{
    lk_mutex_lock(&wal->lock);
    lk_lsn lsn = lki_wal_lsn(wal->files_tail->number, wal->offset);
    lk_mutex_unlock(&wal->lock);
    return lsn;
}

void
lk_wal_stats(struct lk_wal *wal, struct lk_wal_stats *out)
{
    lk_mutex_lock(&wal->lock);
    *out = wal->stats;
    lk_mutex_unlock(&wal->lock);
}

void
lk_wal_trim(struct lk_wal *wal, lk_lsn lsn)
{
    struct lki_wal_file *drop = NULL;
    lk_mutex_lock(&wal->lock);
    while (wal->files != wal->files_tail && wal->files->number < lsn >> 32) {
        struct lki_wal_file *file = wal->files;
        if (wal->conf.archive_dir != NULL && file->file != NULL && !file->archived)
            break;
        wal->files = file->next;
        file->archived = false;
        bool keep = file->file != NULL && wal->spares_count < LKI_WAL_SPARES;
        struct lki_wal_file **list = keep ? &wal->spares : &drop;
        file->next = *list;
        *list = file;
        wal->spares_count += keep;
    }
    lk_mutex_unlock(&wal->lock);
    while (drop != NULL) {
        struct lki_wal_file *next = drop->next;
        if (drop->path != NULL && lk_io_unlink(NULL, wal->conf.io, drop->path) != LUMA_OK)
            lk_log_warn("storage.wal", "%s could not be removed", drop->path);
        file_free(drop);
        drop = next;
    }
}

static void
wal_free(struct lk_wal *wal)
{
    struct lki_wal_file *lists[2] = {wal->files, wal->spares};
    for (int i = 0; i < 2; i++) {
        while (lists[i] != NULL) {
            struct lki_wal_file *next = lists[i]->next;
            file_free(lists[i]);
            lists[i] = next;
        }
    }
    struct lki_wal_batch *batches[2] = {wal->batches, wal->batches_free};
    for (int i = 0; i < 2; i++) {
        while (batches[i] != NULL) {
            struct lki_wal_batch *next = batches[i]->next;
            lk_bytes_fini(&batches[i]->data);
            free(batches[i]);
            batches[i] = next;
        }
    }
    lk_cond_fini(&wal->work);
    lk_mutex_fini(&wal->lock);
    lk_mutex_fini(&wal->prepare_lock);
    free(wal->dir);
    free(wal);
}

/* Files of the log that are there: those of old numbers wait for trim, others become spares. */
struct adopt {
    struct lk_wal *wal;
    const struct lk_wal_end *end;
    struct luma_ctx *ctx;
    struct lki_wal_file *others;
};

static luma_rc
file_adopt(void *arg, const char *name, bool is_dir)
{
    struct adopt *adopt = arg;
    struct lk_wal *wal = adopt->wal;
    size_t bytes = strlen(name);
    if (is_dir || bytes < 5 || strcmp(name + bytes - 4, ".wal") != 0)
        return LUMA_OK;
    struct lki_wal_file *file = calloc(1, sizeof(*file));
    if (file == NULL || asprintf(&file->path, "%s/%s", wal->dir, name) < 0) {
        free(file);
        return LUMA_FAIL(adopt->ctx, LUMA_E_NOMEM, "log: out of memory");
    }
    struct lki_wal_header header;
    uint64_t size = 0;
    memset(&header, 0, sizeof(header));
    luma_rc rc = lk_io_open(adopt->ctx, wal->conf.io, file->path, LK_IO_WRITE, &file->file);
    if (rc == LUMA_OK)
        rc = lk_io_size(adopt->ctx, file->file, &size);
    if (rc == LUMA_OK && size >= sizeof(header))
        rc = lk_io_read_exact(adopt->ctx, file->file, &header, sizeof(header), 0);
    if (rc != LUMA_OK) {
        file_free(file);
        return rc;
    }
    bool valid = header.magic == LKI_WAL_MAGIC && header.crc == lki_wal_header_crc(&header) &&
                 header.store_id == wal->conf.store_id && header.file != 0 &&
                 header.file <= adopt->end->file;
    if (!valid) {
        file->next = adopt->others;
        adopt->others = file;
        return LUMA_OK;
    }
    /* Kept in order of number, and of epoch within a number. */
    struct lki_wal_file **link = &wal->files;
    while (*link != NULL && ((*link)->number < header.file ||
                             ((*link)->number == header.file && (*link)->epoch < header.epoch)))
        link = &(*link)->next;
    file->number = header.file;
    file->epoch = header.epoch;
    file->next = *link;
    *link = file;
    return LUMA_OK;
}

/* Left over by an owner that crashed: see drop_stale in replay.c. */
static void
stale_leave(struct adopt *adopt)
{
    struct lki_wal_file **link = &adopt->wal->files;
    uint64_t epoch = 0;
    while (*link != NULL) {
        struct lki_wal_file *file = *link;
        bool stale =
            file->epoch < epoch || (file->next != NULL && file->next->number == file->number);
        if (stale) {
            *link = file->next;
            file->number = 0;
            file->next = adopt->others;
            adopt->others = file;
        } else {
            epoch = file->epoch;
            link = &file->next;
        }
    }
}

/* What is no part of the log any more becomes spare, or goes. */
static luma_rc
others_settle(struct adopt *adopt)
{
    struct lk_wal *wal = adopt->wal;
    luma_rc rc = LUMA_OK;
    while (adopt->others != NULL) {
        struct lki_wal_file *file = adopt->others;
        uint64_t size = 0;
        adopt->others = file->next;
        if (rc == LUMA_OK)
            rc = lk_io_size(adopt->ctx, file->file, &size);
        if (rc == LUMA_OK && size == wal->conf.file_bytes && wal->spares_count < LKI_WAL_SPARES) {
            file->next = wal->spares;
            wal->spares = file;
            wal->spares_count++;
            continue;
        }
        if (rc == LUMA_OK)
            rc = lk_io_unlink(adopt->ctx, wal->conf.io, file->path);
        file_free(file);
    }
    return rc;
}

static luma_rc
wal_adopt(struct luma_ctx *ctx, struct lk_wal *wal, const struct lk_wal_end *end)
{
    struct adopt adopt = {.wal = wal, .end = end, .ctx = ctx};
    luma_rc rc = lk_io_list(ctx, wal->conf.io, wal->dir, file_adopt, &adopt);
    stale_leave(&adopt);
    luma_rc settled = others_settle(&adopt);
    LUMA_TRY(rc);
    LUMA_TRY(settled);
    struct lki_wal_file *tail = wal->files;
    while (tail != NULL && tail->next != NULL)
        tail = tail->next;
    if (tail != NULL && tail->number == end->file) {
        LUMA_TRY(lk_io_sync(ctx, tail->file));
    } else if (end->file != 0) {
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "%s: log file %llu has gone", wal->dir,
                         (unsigned long long)end->file);
    } else {
        /* Number 0 stands before the first file, so that rolling is the only way to a new one. */
        tail = calloc(1, sizeof(*tail));
        if (tail == NULL)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "log: out of memory");
        wal->files = tail;
    }
    wal->files_tail = tail;
    wal->offset = end->offset;
    return LUMA_OK;
}

/* The first file of this owner: its header fences the old one's tail. */
static luma_rc
wal_begin(struct luma_ctx *ctx, struct lk_wal *wal)
{
    LUMA_TRY(lki_wal_prepare(ctx, wal, 1));
    lk_mutex_lock(&wal->lock);
    luma_rc rc = wal_roll(wal);
    if (rc == LUMA_OK)
        lki_wal_flush(wal);
    lk_mutex_unlock(&wal->lock);
    if (rc == LUMA_OK && lk_wal_failed(wal))
        rc = LUMA_E_IO;
    if (rc != LUMA_OK)
        return LUMA_FAIL(ctx, rc, "%s: the log could not be opened for writing", wal->dir);
    if (!wal->conf.inline_write) {
        if (pthread_create(&wal->thread, NULL, lki_wal_thread, wal) != 0)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "log: the writer's thread could not be started");
        wal->has_thread = true;
    }
    return LUMA_OK;
}

luma_rc
lk_wal_open(struct luma_ctx *ctx, const struct lk_wal_conf *conf, const struct lk_wal_end *end,
            struct lk_wal **out_wal)
{
    struct lk_wal *wal = calloc(1, sizeof(*wal));
    if (wal == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "log: out of memory");
    wal->conf = *conf;
    wal->conf.file_bytes = LK_MAX(conf->file_bytes, LK_WAL_FILE_BYTES_MIN);
    wal->part_bytes =
        LK_MIN((wal->conf.file_bytes - LKI_WAL_HEADER_BYTES) / 4, (uint64_t)WAL_PART_BYTES_MAX);
    wal->epoch = end->epoch + 1;
    wal->last_commit = end->commit;
    atomic_init(&wal->durable_commit, end->commit);
    atomic_init(&wal->synced_commit, end->commit);
    lk_mutex_init(&wal->lock, LK_LOCK_WAL);
    lk_mutex_init(&wal->prepare_lock, LK_LOCK_WAL_PREPARE);
    lk_cond_init(&wal->work);
    wal->dir = strdup(conf->dir);
    luma_rc rc = wal->dir == NULL ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "log: out of memory")
                                  : wal_adopt(ctx, wal, end);
    if (rc == LUMA_OK)
        rc = wal_begin(ctx, wal);
    if (rc != LUMA_OK) {
        wal_free(wal);
        return rc;
    }
    *out_wal = wal;
    return LUMA_OK;
}

luma_rc
lk_wal_seal(struct luma_ctx *ctx, struct lk_wal *wal)
{
    lk_mutex_lock(&wal->lock);
    wal->sealed = true;
    uint64_t commit = wal->last_commit;
    lk_mutex_unlock(&wal->lock);
    return lk_wal_wait(ctx, wal, commit);
}

void
lk_wal_close(struct lk_wal *wal)
{
    if (wal == NULL)
        return;
    lk_mutex_lock(&wal->lock);
    wal->sealed = wal->closing = true;
    lk_cond_broadcast(&wal->work);
    lk_mutex_unlock(&wal->lock);
    if (wal->has_thread)
        pthread_join(wal->thread, NULL);
    lk_mutex_lock(&wal->lock);
    lki_wal_flush(wal);
    lk_mutex_unlock(&wal->lock);
    wal_free(wal);
}
