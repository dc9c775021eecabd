/*
 * tests/fuzz/fuzz_run.c - an index run with changed bytes, handed to the kinds without the kernel's
 * checksums: open, lookups, cursors and verify stay inside whatever it says.
 */
#include <stdlib.h>

#include "../unit/storage/segment/modules.h"
#include "base/base.h"
#include "storage/run/run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define ENTRIES 900

struct memory {
    struct luma_object_writer writer;
    struct luma_object_reader reader;
    uint8_t *data;
    size_t bytes;
};

static const struct luma_index_kind *kinds[2];
static struct memory bases[2];
static struct luma_arena *arena;

static luma_rc
append(struct luma_ctx *ctx, struct luma_object_writer *writer, const void *data, size_t bytes)
{
    struct memory *m = (struct memory *)writer;
    (void)ctx;
    m->data = realloc(m->data, m->bytes + bytes + 1);
    memcpy(m->data + m->bytes, data, bytes);
    m->bytes += bytes;
    return LUMA_OK;
}

static uint64_t
offset(const struct luma_object_writer *writer)
{
    return ((const struct memory *)writer)->bytes;
}

/* Each pin is a copy of its own, so that a sanitizer sees what is read outside. */
static luma_rc
pin(struct luma_ctx *ctx, struct luma_object_reader *reader, uint64_t at, size_t bytes,
    struct luma_pin *out_pin)
{
    struct memory *m = LK_CONTAINER_OF(reader, struct memory, reader);
    (void)ctx;
    if (at > m->bytes || bytes > m->bytes - at)
        return LUMA_E_CORRUPT;
    uint8_t *copy = aligned_alloc(64, (bytes + 16 + 63) & ~(size_t)63);
    memset(copy, 0, (bytes + 16 + 63) & ~(size_t)63);
    memcpy(copy, m->data + at, bytes);
    out_pin->bytes = luma_slice(copy, bytes);
    out_pin->opaque = copy;
    return LUMA_OK;
}

static void
unpin(struct luma_pin *p)
{
    free(p->opaque);
    memset(p, 0, sizeof(*p));
}

struct source {
    struct luma_index_source base;
    uint32_t at;
    char key[64];
};

static luma_rc
next(struct luma_ctx *ctx, struct luma_index_source *base, struct luma_index_entry *out_entry,
     bool *out_more)
{
    struct source *source = (struct source *)base;
    (void)ctx;
    *out_more = source->at < ENTRIES;
    int n = snprintf(source->key, sizeof(source->key), "key %06u%s", source->at / 3,
                     source->at / 3 % 4 == 0 ? " and more" : "");
    out_entry->key = luma_slice(source->key, (size_t)n);
    out_entry->rowid = source->at++;
    return LUMA_OK;
}

static void
start(void)
{
    static const char *const names[2][2] = {{"index-btree", "index.btree"},
                                            {"index-hash", "index.hash"}};
    struct lk_ctx c;
    arena = lk_arena_create(NULL, 0);
    lk_ctx_init(&c, arena);
    for (int k = 0; k < 2; k++) {
        struct source source = {.base.next = next};
        if (!test_module_load(names[k][0]))
            abort();
        kinds[k] = (const struct luma_index_kind *)test_lookup(names[k][1], LUMA_INDEX_MAJOR);
        bases[k].writer.append = append;
        bases[k].writer.offset = offset;
        if (kinds[k]->run_build(&c.ctx, &source.base, &bases[k].writer) != LUMA_OK)
            abort();
    }
}

static void
emit(void *arg, size_t key_index, int64_t rowid)
{
    (void)key_index;
    *(uint64_t *)arg += (uint64_t)rowid; /* any bits are an id here: a sum that may wrap */
}

static void
use(struct lk_ctx *c, const struct luma_index_kind *kind, void *run)
{
    struct luma_slice keys[3] = {luma_slice_text("key 000007"),
                                 luma_slice_text("key 000100 and more"), luma_slice_text("no")};
    struct luma_index_entry entry;
    uint64_t sum = 0;
    bool more;
    (void)kind->run_find(&c->ctx, run, keys, 3, emit, &sum);
    for (int reverse = 0; reverse < 2; reverse++) {
        struct luma_index_range range = {.lo = keys[0], .hi = keys[1], .reverse = reverse != 0};
        struct luma_index_cursor *cursor;
        (void)kind->run_estimate(&c->ctx, run, &range);
        if (kind->run_cursor(&c->ctx, run, &range, arena, &cursor) != LUMA_OK)
            continue;
        for (int i = 0; i < 5000; i++)
            if (kind->cursor_next(&c->ctx, cursor, &entry, &more) != LUMA_OK || !more)
                break;
        kind->cursor_close(cursor);
    }
    (void)kind->run_verify(&c->ctx, run);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct lk_ctx c;
    void *run;
    if (arena == NULL)
        start();
    if (bytes < 1)
        return 0;
    const struct luma_index_kind *kind = kinds[data[0] & 1];
    struct memory m = {.bytes = bases[data[0] & 1].bytes};
    m.data = malloc(m.bytes);
    memcpy(m.data, bases[data[0] & 1].data, m.bytes);
    for (size_t i = 1; i + 3 <= bytes; i += 3)
        m.data[lk_load_u16(data + i) % m.bytes] = data[i + 2];
    m.reader.bytes = m.bytes;
    m.reader.pin = pin;
    m.reader.unpin = unpin;
    lk_ctx_init(&c, arena);
    if (kind->run_open(&c.ctx, &m.reader, &run) == LUMA_OK) {
        use(&c, kind, run);
        kind->run_close(run);
    }
    free(m.data);
    arena->reset(arena);
    return 0;
}
