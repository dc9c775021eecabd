/*
 * manifest/manifest.c - the map in memory and its two files. docs/formats/manifest.md draws them.
 */
#include "storage/manifest/manifest.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "storage/mutant.h"

#define MANIFEST_MAGIC        0x314e414d414d554cULL /* "LUMAMAN1" */
#define MANIFEST_VERSION      2u
#define MANIFEST_VERSION_MIN  1u /* knows no history: what an edit names of it would be lost */
#define MANIFEST_HEADER_BYTES 512u
#define MANIFEST_RECORD_BYTES 24u
#define MANIFEST_EDITS_MIN    (256u << 10) /* bytes of edits that are always allowed */
#define MANIFEST_BYTES_MAX    (1u << 30)
#define MANIFEST_PUT          1u
#define MANIFEST_REMOVE       2u

struct header {
    uint64_t magic;
    uint32_t version;
    uint32_t crc; /* CRC-32C of this struct with the field 0 */
    uint64_t store_id;
    uint64_t generation;     /* the higher one of the two files counts */
    uint64_t snapshot_bytes; /* of the record that holds the whole map */
    uint32_t snapshot_crc;
    uint32_t zero;
};

struct record {
    uint32_t crc; /* CRC-32C of the generation, the rest of this header and the payload */
    uint32_t bytes;
    uint64_t position; /* of this record in the file */
    uint64_t durable;  /* everything before was durable when this was written */
};
_Static_assert(sizeof(struct record) == MANIFEST_RECORD_BYTES, "on disk");

struct entry {
    struct lk_manifest_key key;
    uint32_t bytes;
    uint8_t *value;
};

struct lk_manifest {
    struct lk_io *io;
    char *dir;
    struct lk_file *files[2];
    char *paths[2];
    uint64_t store_id, generation, position, snapshot_bytes;
    bool torn, read_only;  /* torn: the present file may end in half an edit */
    struct entry *entries; /* ascending */
    size_t count, room;
};

static int
key_compare(const struct lk_manifest_key *a, const struct lk_manifest_key *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->a != b->a)
        return a->a < b->a ? -1 : 1;
    return (a->b > b->b) - (a->b < b->b);
}

/* First entry not below key. */
static size_t
entry_seek(const struct lk_manifest *m, const struct lk_manifest_key *key)
{
    size_t lo = 0, hi = m->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (key_compare(&m->entries[mid].key, key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct luma_slice
lk_manifest_get(const struct lk_manifest *manifest, const struct lk_manifest_key *key)
{
    size_t i = entry_seek(manifest, key);
    if (i == manifest->count || key_compare(&manifest->entries[i].key, key) != 0)
        return luma_slice(NULL, 0);
    return luma_slice(manifest->entries[i].value, manifest->entries[i].bytes);
}

luma_rc
lk_manifest_each(const struct lk_manifest *manifest, uint32_t kind, uint64_t a,
                 luma_rc (*fn)(void *arg, const struct lk_manifest_key *key,
                               struct luma_slice value),
                 void *arg)
{
    struct lk_manifest_key from = {.kind = kind, .a = a};
    for (size_t i = entry_seek(manifest, &from); i < manifest->count; i++) {
        const struct entry *e = &manifest->entries[i];
        if (e->key.kind != kind || (a != 0 && e->key.a != a))
            break;
        LUMA_TRY(fn(arg, &e->key, luma_slice(e->value, e->bytes)));
    }
    return LUMA_OK;
}

static bool
entries_reserve(struct lk_manifest *m, size_t more)
{
    size_t room = m->room == 0 ? 64 : m->room;
    while (room < m->count + more)
        room *= 2;
    if (room == m->room)
        return true;
    struct entry *entries = realloc(m->entries, room * sizeof(*entries));
    if (entries == NULL)
        return false;
    m->entries = entries;
    m->room = room;
    return true;
}

/* Takes copy, the value; there is room for one more. */
static void
entry_put(struct lk_manifest *m, const struct lk_manifest_key *key, uint8_t *copy, size_t bytes)
{
    size_t i = entry_seek(m, key);
    if (i == m->count || key_compare(&m->entries[i].key, key) != 0) {
        memmove(&m->entries[i + 1], &m->entries[i], (m->count - i) * sizeof(m->entries[0]));
        m->count++;
    } else {
        free(m->entries[i].value);
    }
    m->entries[i] = (struct entry){*key, (uint32_t)bytes, copy};
}

static void
entry_remove(struct lk_manifest *m, const struct lk_manifest_key *key)
{
    size_t i = entry_seek(m, key);
    if (i == m->count || key_compare(&m->entries[i].key, key) != 0)
        return;
    free(m->entries[i].value);
    m->count--;
    memmove(&m->entries[i], &m->entries[i + 1], (m->count - i) * sizeof(m->entries[0]));
}

/* The next change of an edit; false: the end, or it cannot be read (r->failed). */
static bool
edit_next(struct lk_reader *r, uint8_t *out_op, struct lk_manifest_key *out_key,
          struct luma_slice *out_value)
{
    if (lk_reader_left(r) == 0 || r->failed)
        return false;
    *out_op = lk_reader_u8(r);
    *out_key = (struct lk_manifest_key){.kind = lk_reader_u8(r)};
    out_key->a = lk_reader_varint(r);
    out_key->b = lk_reader_varint(r);
    *out_value = luma_slice(NULL, 0);
    if (*out_op == MANIFEST_PUT)
        *out_value = lk_reader_sized(r);
    else if (*out_op != MANIFEST_REMOVE)
        r->failed = true;
    return !r->failed;
}

/* Copies of all values of an edit in one chain, so that applying it cannot fail half way. */
struct value_copy {
    struct value_copy *next;
    uint8_t *bytes;
};

static void
copies_free(struct value_copy *first)
{
    while (first != NULL) {
        struct value_copy *copy = first;
        first = copy->next;
        free(copy->bytes);
        free(copy);
    }
}

/* Everything that applying an edit takes. Its bytes were checked by CRC, so a surprise is a fault
 * of ours or a clash of versions. */
static luma_rc
edit_prepare(struct luma_ctx *ctx, struct lk_manifest *m, struct luma_slice bytes, const char *path,
             struct value_copy **out_copies)
{
    struct lk_reader r = lk_reader(bytes);
    struct value_copy *first = NULL, **last = &first;
    struct lk_manifest_key key;
    struct luma_slice value;
    size_t count = 0;
    bool ok = true;
    uint8_t op;
    while (ok && edit_next(&r, &op, &key, &value)) {
        if (op != MANIFEST_PUT)
            continue;
        struct value_copy *copy = calloc(1, sizeof(*copy));
        ok = copy != NULL && (copy->bytes = malloc(value.bytes + 1)) != NULL;
        if (copy == NULL)
            break;
        if (ok && value.bytes > 0)
            memcpy(copy->bytes, value.data, value.bytes);
        *last = copy;
        last = &copy->next;
        count++;
    }
    ok = ok && entries_reserve(m, count);
    if (ok && !r.failed) {
        *out_copies = first;
        return LUMA_OK;
    }
    copies_free(first);
    return r.failed ? LUMA_FAIL(ctx, LUMA_E_CORRUPT, "%s: an edit cannot be read", path)
                    : LUMA_FAIL(ctx, LUMA_E_NOMEM, "manifest: out of memory");
}

/* Takes what edit_prepare made of these bytes. */
static void
edit_apply(struct lk_manifest *m, struct luma_slice bytes, struct value_copy *copies)
{
    struct lk_reader r = lk_reader(bytes);
    struct value_copy *copy = copies;
    struct lk_manifest_key key;
    struct luma_slice value;
    uint8_t op;
    while (edit_next(&r, &op, &key, &value)) {
        if (op == MANIFEST_REMOVE) {
            entry_remove(m, &key);
            continue;
        }
        entry_put(m, &key, LUMA_TAKE(copy->bytes), value.bytes);
        copy = copy->next;
    }
    copies_free(copies);
}

static luma_rc
edit_take(struct luma_ctx *ctx, struct lk_manifest *m, struct luma_slice bytes, const char *path)
{
    struct value_copy *copies = NULL;
    LUMA_TRY(edit_prepare(ctx, m, bytes, path, &copies));
    edit_apply(m, bytes, copies);
    return LUMA_OK;
}

void
lk_manifest_edit_init(struct lk_manifest_edit *edit)
{
    lk_bytes_init(&edit->bytes, NULL);
    edit->changes = 0;
}

void
lk_manifest_edit_fini(struct lk_manifest_edit *edit)
{
    lk_bytes_fini(&edit->bytes);
}

static void
edit_key(struct lk_manifest_edit *edit, uint32_t op, uint32_t kind, uint64_t a, uint64_t b)
{
    bool ok = lk_bytes_u8(&edit->bytes, (uint8_t)op) && lk_bytes_u8(&edit->bytes, (uint8_t)kind) &&
              lk_bytes_varint(&edit->bytes, a) && lk_bytes_varint(&edit->bytes, b);
    edit->bytes.failed = edit->bytes.failed || !ok;
    edit->changes++;
}

void
lk_manifest_put(struct lk_manifest_edit *edit, uint32_t kind, uint64_t a, uint64_t b,
                struct luma_slice value)
{
    edit_key(edit, MANIFEST_PUT, kind, a, b);
    if (!lk_bytes_sized(&edit->bytes, value))
        edit->bytes.failed = true;
}

void
lk_manifest_remove(struct lk_manifest_edit *edit, uint32_t kind, uint64_t a, uint64_t b)
{
    edit_key(edit, MANIFEST_REMOVE, kind, a, b);
}

static uint32_t
header_crc(const struct header *header)
{
    struct header copy = *header;
    copy.crc = 0;
    return lk_crc32c(0, &copy, sizeof(copy));
}

static uint32_t
record_crc(uint64_t generation, const struct record *record, const void *payload)
{
    uint32_t crc = lk_crc32c(0, &generation, sizeof(generation));
    crc = lk_crc32c(crc, (const uint8_t *)record + sizeof(record->crc),
                    sizeof(*record) - sizeof(record->crc));
    return lk_crc32c(crc, payload, record->bytes);
}

static bool
record_at(const struct lk_bytes *data, uint64_t generation, uint64_t at, struct record *out)
{
    if (at + sizeof(*out) > data->bytes)
        return false;
    memcpy(out, data->data + at, sizeof(*out));
    return out->position == at && out->bytes <= data->bytes - at - sizeof(*out) &&
           (LK_MUTANT(MANIFEST_UNCHECKED) ||
            out->crc == record_crc(generation, out, data->data + at + sizeof(*out)));
}

/* Edits behind the snapshot, to the torn end if there is one. */
static luma_rc
edits_read(struct luma_ctx *ctx, struct lk_manifest *m, struct lk_bytes *data, const char *path)
{
    uint64_t at = MANIFEST_HEADER_BYTES + m->snapshot_bytes;
    struct record record;
    bool again = true;
    for (;;) {
        if (!record_at(data, m->generation, at, &record)) {
            if (at == data->bytes || !again)
                break;
            again = false; /* a torn end, or the disk has misread it */
            lk_bytes_reset(data);
            LUMA_TRY(lk_io_read_file(ctx, m->io, path, MANIFEST_BYTES_MAX, data));
            continue;
        }
        struct luma_slice payload = luma_slice(data->data + at + sizeof(record), record.bytes);
        LUMA_TRY(edit_take(ctx, m, payload, path));
        at += sizeof(record) + record.bytes;
    }
    for (uint64_t later = at + 1; later + sizeof(record) <= data->bytes; later++)
        if (record_at(data, m->generation, later, &record) && record.durable > at)
            return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "%s: the edit at offset %llu is damaged", path,
                             (unsigned long long)at);
    m->torn = at != data->bytes;
    m->position = at;
    return LUMA_OK;
}

/* Loads a file whose header is sound; everything the header promises was durable before it. */
static luma_rc
file_load(struct luma_ctx *ctx, struct lk_manifest *m, const struct header *header,
          const char *path)
{
    struct lk_bytes data;
    lk_bytes_init(&data, NULL);
    luma_rc rc = lk_io_read_file(ctx, m->io, path, MANIFEST_BYTES_MAX, &data);
    if (rc == LUMA_OK) {
        if (data.bytes >= MANIFEST_HEADER_BYTES + header->snapshot_bytes &&
            lk_crc32c(0, data.data + MANIFEST_HEADER_BYTES, header->snapshot_bytes) !=
                header->snapshot_crc) { /* the disk may have misread it */
            lk_bytes_reset(&data);
            rc = lk_io_read_file(ctx, m->io, path, MANIFEST_BYTES_MAX, &data);
        }
    }
    if (rc == LUMA_OK) {
        const uint8_t *snapshot = data.data + MANIFEST_HEADER_BYTES;
        m->store_id = header->store_id;
        m->generation = header->generation;
        m->snapshot_bytes = header->snapshot_bytes;
        if (data.bytes < MANIFEST_HEADER_BYTES + header->snapshot_bytes ||
            lk_crc32c(0, snapshot, header->snapshot_bytes) != header->snapshot_crc)
            rc = LUMA_FAIL(ctx, LUMA_E_CORRUPT, "%s: the state at offset %u is damaged", path,
                           MANIFEST_HEADER_BYTES);
        if (rc == LUMA_OK)
            rc = edit_take(ctx, m, luma_slice(snapshot, header->snapshot_bytes), path);
        if (rc == LUMA_OK)
            rc = edits_read(ctx, m, &data, path);
        /* The next commit writes the other file, in the present form. */
        m->torn = m->torn || header->version != MANIFEST_VERSION;
    }
    lk_bytes_fini(&data);
    return rc;
}

static luma_rc
header_read(struct luma_ctx *ctx, struct lk_manifest *m, const char *path, struct header *out,
            bool *out_valid)
{
    struct lk_file *file = NULL;
    size_t got = 0;
    *out_valid = false;
    bool found = false;
    LUMA_TRY(lk_io_find(ctx, m->io, path, &found));
    if (!found)
        return LUMA_OK;
    LUMA_TRY(lk_io_open(ctx, m->io, path, 0, &file));
    luma_rc rc = LUMA_OK;
    /* Once more, when it is neither sound nor empty: the disk may have misread it. */
    for (int i = 0; rc == LUMA_OK && i < 2 && !*out_valid; i++) {
        rc = lk_io_read(ctx, file, out, sizeof(*out), 0, &got);
        *out_valid = rc == LUMA_OK && got == sizeof(*out) && out->magic == MANIFEST_MAGIC &&
                     out->crc == header_crc(out);
    }
    lk_io_close(file);
    static const struct header empty;
    if (rc == LUMA_OK && !*out_valid && got == sizeof(*out) &&
        memcmp(out, &empty, sizeof(empty)) != 0)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "%s: the header is damaged", path);
    if (*out_valid && (out->version < MANIFEST_VERSION_MIN || out->version > MANIFEST_VERSION))
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "%s has version %u, this program reads %u to %u",
                         path, out->version, MANIFEST_VERSION_MIN, MANIFEST_VERSION);
    return rc;
}

/* The whole map to the file that is not in use; its header, written last, makes it the one. */
static luma_rc
snapshot_write(struct luma_ctx *ctx, struct lk_manifest *m)
{
    LK_IO_PHASE("manifest switch");
    uint64_t generation = m->generation + 1;
    struct lk_file **file = &m->files[generation & 1];
    const char *path = m->paths[generation & 1];
    bool exists = false;
    LUMA_TRY(lk_io_find(ctx, m->io, path, &exists));
    if (*file == NULL)
        LUMA_TRY(lk_io_open(ctx, m->io, path, LK_IO_WRITE | LK_IO_CREATE, file));
    if (!exists)
        LUMA_TRY(lk_io_sync_dir(ctx, m->io, m->dir));

    struct lk_manifest_edit all;
    lk_manifest_edit_init(&all);
    for (size_t i = 0; i < m->count; i++) {
        const struct entry *e = &m->entries[i];
        lk_manifest_put(&all, e->key.kind, e->key.a, e->key.b, luma_slice(e->value, e->bytes));
    }
    struct header header = {.magic = MANIFEST_MAGIC, .version = MANIFEST_VERSION};
    header.store_id = m->store_id;
    header.generation = generation;
    header.snapshot_bytes = all.bytes.bytes;
    header.snapshot_crc = lk_crc32c(0, all.bytes.data, all.bytes.bytes);
    header.crc = header_crc(&header);
    uint8_t page[MANIFEST_HEADER_BYTES] = {0};

    luma_rc rc =
        all.bytes.failed ? LUMA_FAIL(ctx, LUMA_E_NOMEM, "manifest: out of memory") : LUMA_OK;
    /* The old generation's header must be gone before its content is overwritten. */
    if (rc == LUMA_OK)
        rc = lk_io_write(ctx, *file, page, sizeof(page), 0);
    if (rc == LUMA_OK)
        rc = lk_io_truncate(ctx, *file, MANIFEST_HEADER_BYTES);
    if (rc == LUMA_OK)
        rc = lk_io_sync_full(ctx, *file);
    if (rc == LUMA_OK && all.bytes.bytes > 0)
        rc = lk_io_write(ctx, *file, all.bytes.data, all.bytes.bytes, MANIFEST_HEADER_BYTES);
    if (rc == LUMA_OK)
        rc = lk_io_sync_full(ctx, *file);
    memcpy(page, &header, sizeof(header));
    if (rc == LUMA_OK)
        rc = lk_io_write(ctx, *file, page, sizeof(page), 0);
    if (rc == LUMA_OK)
        rc = lk_io_sync(ctx, *file);
    /* The file before is out of date from here on: were it to be believed after damage to the new
     * one, edits would be lost in silence. */
    struct lk_file *old = m->files[(generation - 1) & 1];
    memset(page, 0, sizeof(page));
    if (rc == LUMA_OK && old != NULL)
        rc = lk_io_write(ctx, old, page, sizeof(page), 0);
    if (rc == LUMA_OK && old != NULL)
        rc = lk_io_sync(ctx, old);
    if (rc == LUMA_OK) {
        m->generation = generation;
        m->snapshot_bytes = all.bytes.bytes;
        m->position = MANIFEST_HEADER_BYTES + all.bytes.bytes;
        m->torn = false;
    }
    lk_manifest_edit_fini(&all);
    return rc;
}

static luma_rc
edit_append(struct luma_ctx *ctx, struct lk_manifest *m, const struct lk_manifest_edit *edit)
{
    LK_IO_PHASE("manifest switch");
    struct lk_file *file = m->files[m->generation & 1];
    struct record record = {.bytes = (uint32_t)edit->bytes.bytes, .position = m->position};
    record.durable = m->position;
    record.crc = record_crc(m->generation, &record, edit->bytes.data);
    struct lk_io_vec vec[2] = {{&record, sizeof(record)}, {edit->bytes.data, edit->bytes.bytes}};
    m->torn = true;
    LUMA_TRY(lk_io_writev(ctx, file, vec, 2, m->position));
    if (!LK_MUTANT(MANIFEST_UNSYNCED))
        LUMA_TRY(lk_io_sync_full(ctx, file));
    m->torn = false;
    m->position += sizeof(record) + record.bytes;
    return LUMA_OK;
}

luma_rc
lk_manifest_commit(struct luma_ctx *ctx, struct lk_manifest *manifest,
                   const struct lk_manifest_edit *edit)
{
    if (edit->bytes.failed)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "manifest: out of memory");
    if (edit->bytes.bytes == 0)
        return LUMA_OK;
    uint64_t edits = manifest->position - MANIFEST_HEADER_BYTES - manifest->snapshot_bytes;
    if (manifest->torn || edits > LK_MAX(manifest->snapshot_bytes, (uint64_t)MANIFEST_EDITS_MIN))
        LUMA_TRY(snapshot_write(ctx, manifest));
    /* Memory first: what is on the disk then must be followed. */
    struct luma_slice bytes = lk_bytes_view(&edit->bytes);
    struct value_copy *copies = NULL;
    LUMA_TRY(edit_prepare(ctx, manifest, bytes, "manifest", &copies));
    luma_rc rc = edit_append(ctx, manifest, edit);
    if (rc == LUMA_OK)
        edit_apply(manifest, bytes, copies);
    else
        copies_free(copies);
    return rc;
}

uint64_t
lk_manifest_store_id(const struct lk_manifest *manifest)
{
    return manifest->store_id;
}

void
lk_manifest_close(struct lk_manifest *manifest)
{
    if (manifest == NULL)
        return;
    for (size_t i = 0; i < manifest->count; i++)
        free(manifest->entries[i].value);
    free(manifest->entries);
    for (int i = 0; i < 2; i++) {
        lk_io_close(manifest->files[i]);
        free(manifest->paths[i]);
    }
    free(manifest->dir);
    free(manifest);
}

static luma_rc
manifest_load(struct luma_ctx *ctx, struct lk_manifest *m, bool *out_new)
{
    struct header headers[2];
    bool valid[2];
    for (int i = 0; i < 2; i++)
        LUMA_TRY(header_read(ctx, m, m->paths[i], &headers[i], &valid[i]));
    if (!valid[0] && !valid[1]) {
        *out_new = true;
        if (m->read_only)
            return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "%s: no manifest that can be read", m->dir);
        do
            lk_io_random(m->io, &m->store_id, sizeof(m->store_id));
        while (m->store_id == 0);
        return snapshot_write(ctx, m);
    }
    *out_new = false;
    int best = !valid[0] || (valid[1] && headers[1].generation > headers[0].generation);
    LUMA_TRY(file_load(ctx, m, &headers[best], m->paths[best]));
    if (m->read_only)
        return LUMA_OK;
    LUMA_TRY(lk_io_open(ctx, m->io, m->paths[best], LK_IO_WRITE, &m->files[best]));
    /* What was read may not be durable yet; what is built on it must be. */
    return lk_io_sync_full(ctx, m->files[best]);
}

luma_rc
lk_manifest_open(struct luma_ctx *ctx, struct lk_io *io, const char *dir, bool read_only,
                 struct lk_manifest **out_manifest, bool *out_new)
{
    struct lk_manifest *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "manifest: out of memory");
    m->io = io;
    m->read_only = read_only;
    m->dir = strdup(dir);
    for (int i = 0; i < 2; i++)
        if (asprintf(&m->paths[i], "%s/%d.manifest", dir, i) < 0)
            m->paths[i] = NULL;
    luma_rc rc = LUMA_OK;
    if (m->dir == NULL || m->paths[0] == NULL || m->paths[1] == NULL)
        rc = LUMA_FAIL(ctx, LUMA_E_NOMEM, "manifest: out of memory");
    if (rc == LUMA_OK)
        rc = manifest_load(ctx, m, out_new);
    if (rc != LUMA_OK) {
        lk_manifest_close(m);
        return rc;
    }
    *out_manifest = m;
    return LUMA_OK;
}
