/*
 * host/check_index.c - an index kind against a sorted array: the hot part, a run built from it,
 * exact lookups, ranges in both directions, damaged objects, many threads.
 */
#include <lumadb/kind/index.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/check_priv.h"

#define ENTRIES   3000
#define KEY_BYTES 24

struct entry {
    uint8_t key[KEY_BYTES];
    size_t bytes;
    int64_t rowid;
};

struct model {
    struct entry *list; /* sorted by (key, rowid), no duplicates */
    size_t count;
};

static struct luma_slice
key_of(const struct entry *e)
{
    return luma_slice(e->key, e->bytes);
}

static int
entry_order(const void *x, const void *y)
{
    const struct entry *a = x, *b = y;
    int c = luma_slice_compare(key_of(a), key_of(b));
    return c != 0 ? c : (a->rowid > b->rowid) - (a->rowid < b->rowid);
}

/* Few distinct bytes, so that keys share prefixes and repeat; some are long, none is a prefix of
 * another without the kernel's terminator. */
static void
make_entry(struct lk_rand *r, struct entry *e, int64_t rowid)
{
    size_t n = 1 + lk_rand_below(r, lk_rand_percent(r, 80) ? 4 : KEY_BYTES - 2);
    for (size_t i = 0; i < n; i++)
        e->key[i] = (uint8_t)('a' + lk_rand_below(r, 6));
    e->key[n] = 0;
    e->bytes = n + 1;
    e->rowid = rowid;
}

static bool
model_init(struct lki_check *k, struct model *m)
{
    m->list = calloc(ENTRIES, sizeof(*m->list));
    if (m->list == NULL)
        return lki_check_wrong(k, "no memory");
    for (size_t i = 0; i < ENTRIES; i++)
        make_entry(&k->rand, &m->list[i], (int64_t)i * 7 - 1000);
    qsort(m->list, ENTRIES, sizeof(*m->list), entry_order);
    m->count = ENTRIES;
    return true;
}

/* --- objects in memory --- */

struct memory_writer {
    struct luma_object_writer pub;
    struct lk_bytes bytes;
};

struct memory_reader {
    struct luma_object_reader pub;
    const uint8_t *data;
    _Atomic unsigned pins;
};

static luma_rc
memory_append(struct luma_ctx *ctx, struct luma_object_writer *writer, const void *data,
              size_t bytes)
{
    struct memory_writer *w = (struct memory_writer *)writer;
    if (!lk_bytes_append(&w->bytes, data, bytes))
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory");
    return LUMA_OK;
}

static uint64_t
memory_offset(const struct luma_object_writer *writer)
{
    return ((const struct memory_writer *)writer)->bytes.bytes;
}

/* Each pin is memory of its own, with a trap behind the padding of 16 bytes the cache has. */
static luma_rc
memory_pin(struct luma_ctx *ctx, struct luma_object_reader *reader, uint64_t offset, size_t bytes,
           struct luma_pin *out_pin)
{
    struct memory_reader *r = (struct memory_reader *)reader;
    if (offset > r->pub.bytes || bytes > r->pub.bytes - offset)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "a block lies behind the end of the object");
    uint8_t *copy = malloc(bytes + 16);
    if (copy == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory");
    memcpy(copy, r->data + offset, bytes);
    memset(copy + bytes, 0, 16);
    atomic_fetch_add_explicit(&r->pins, 1, memory_order_relaxed);
    *out_pin = (struct luma_pin){luma_slice(copy, bytes), r};
    ((uint8_t *)copy)[bytes] = 0;
    return LUMA_OK;
}

static void
memory_unpin(struct luma_pin *pin)
{
    struct memory_reader *r = pin->opaque;
    if (r == NULL)
        return;
    free((void *)(uintptr_t)pin->bytes.data);
    atomic_fetch_sub_explicit(&r->pins, 1, memory_order_relaxed);
    *pin = (struct luma_pin){.opaque = NULL};
}

static struct memory_reader
memory_reader(const uint8_t *data, size_t bytes)
{
    return (struct memory_reader){
        .pub = {.bytes = bytes, .object_id = 1, .pin = memory_pin, .unpin = memory_unpin},
        .data = data};
}

/* --- one part under test --- */

struct part {
    const struct luma_index_kind *kind;
    void *hot; /* one of both */
    void *run;
};

struct found {
    int64_t rowids[ENTRIES];
    size_t count;
    size_t key_index; /* the only one asked for */
    bool other_key;
};

static void
emit(void *arg, size_t key_index, int64_t rowid)
{
    struct found *f = arg;
    f->other_key = f->other_key || key_index != f->key_index;
    if (f->count < ENTRIES)
        f->rowids[f->count++] = rowid;
}

static luma_rc
part_find(struct lki_check *k, const struct part *p, struct luma_slice key, struct found *f)
{
    f->count = 0;
    f->key_index = 0;
    f->other_key = false;
    if (p->hot != NULL)
        return p->kind->hot_find(lki_check_ctx(k), p->hot, key, f->rowids, ENTRIES, &f->count);
    return p->kind->run_find(lki_check_ctx(k), p->run, &key, 1, emit, f);
}

static int
rowid_order(const void *x, const void *y)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return (a > b) - (a < b);
}

static void
check_find_key(struct lki_check *k, const struct part *p, const struct model *m,
               struct luma_slice key, struct found *f)
{
    size_t expected = 0;
    if (part_find(k, p, key, f) != LUMA_OK || f->other_key) {
        lki_check_wrong(k, "a lookup failed: %s", k->c.error.message);
        return;
    }
    qsort(f->rowids, f->count, sizeof(f->rowids[0]), rowid_order);
    for (size_t i = 0; i < m->count; i++) {
        if (!luma_slice_equal(key_of(&m->list[i]), key))
            continue;
        if (expected >= f->count || f->rowids[expected] != m->list[i].rowid) {
            lki_check_wrong(k, "row %lld is not found under its key", (long long)m->list[i].rowid);
            return;
        }
        expected++;
    }
    if (expected != f->count)
        lki_check_wrong(k, "%zu rows under a key that has %zu", f->count, expected);
}

static void
check_finds(struct lki_check *k, const struct part *p, const struct model *m, const char *name)
{
    struct found *f = calloc(1, sizeof(*f));
    for (int i = 0; f != NULL && i < 300 && k->why == NULL; i++) {
        struct entry stranger;
        make_entry(&k->rand, &stranger, 0);
        const struct entry *e =
            i % 3 == 0 ? &stranger : &m->list[lk_rand_below(&k->rand, m->count)];
        check_find_key(k, p, m, key_of(e), f);
    }
    free(f);
    lki_check_done(k, name);
}

/* --- ranges --- */

static bool
in_range(const struct luma_index_range *r, struct luma_slice key)
{
    if (r->lo.data != NULL) {
        size_t n = LK_MIN(key.bytes, r->lo.bytes);
        bool prefix = r->lo.bytes <= key.bytes && memcmp(key.data, r->lo.data, n) == 0;
        int c = luma_slice_compare(key, r->lo);
        if (r->lo_exclusive ? prefix || c <= 0 : c < 0)
            return false;
    }
    if (r->hi.data != NULL) {
        size_t n = LK_MIN(key.bytes, r->hi.bytes);
        bool prefix = r->hi.bytes <= key.bytes && memcmp(key.data, r->hi.data, n) == 0;
        int c = luma_slice_compare(key, r->hi);
        if (r->hi_exclusive ? prefix || c >= 0 : !prefix && c > 0)
            return false;
    }
    return true;
}

static struct luma_index_range
some_range(struct lki_check *k, const struct model *m)
{
    struct luma_index_range r = {.reverse = lk_rand_percent(&k->rand, 50),
                                 .lo_exclusive = lk_rand_percent(&k->rand, 50),
                                 .hi_exclusive = lk_rand_percent(&k->rand, 50)};
    size_t a = lk_rand_below(&k->rand, m->count), b = lk_rand_below(&k->rand, m->count);
    if (lk_rand_percent(&k->rand, 85)) {
        r.lo = key_of(&m->list[LK_MIN(a, b)]);
        r.lo.bytes -= lk_rand_percent(&k->rand, 30) ? 1 : 0; /* a prefix */
    }
    if (lk_rand_percent(&k->rand, 85)) {
        r.hi = key_of(&m->list[LK_MAX(a, b)]);
        r.hi.bytes -= lk_rand_percent(&k->rand, 30) ? 1 : 0;
    }
    return r;
}

static void
walk_range(struct lki_check *k, const struct part *p, const struct model *m,
           const struct luma_index_range *range, struct luma_index_cursor *cursor)
{
    size_t at = range->reverse ? m->count : 0;
    for (;;) {
        struct luma_index_entry e;
        bool more = false;
        if (p->kind->cursor_next(lki_check_ctx(k), cursor, &e, &more) != LUMA_OK) {
            lki_check_wrong(k, "a cursor failed: %s", k->c.error.message);
            return;
        }
        const struct entry *expected = NULL; /* the next of the model in the range */
        while (expected == NULL && (range->reverse ? at > 0 : at < m->count)) {
            const struct entry *c = range->reverse ? &m->list[--at] : &m->list[at++];
            expected = in_range(range, key_of(c)) ? c : NULL;
        }
        if (!more && expected == NULL)
            return;
        if (!more || expected == NULL || !luma_slice_equal(e.key, key_of(expected)) ||
            e.rowid != expected->rowid) {
            lki_check_wrong(k, "a range gives %s, expected row %lld",
                            more ? "another entry" : "its end",
                            expected == NULL ? -1LL : (long long)expected->rowid);
            return;
        }
    }
}

static void
check_ranges(struct lki_check *k, const struct part *p, const struct model *m, const char *name)
{
    for (int i = 0; i < 200 && k->why == NULL; i++) {
        struct luma_index_range range = some_range(k, m);
        struct luma_index_cursor *cursor = NULL;
        luma_rc rc = p->hot != NULL
                         ? p->kind->hot_cursor(lki_check_ctx(k), p->hot, &range, k->arena, &cursor)
                         : p->kind->run_cursor(lki_check_ctx(k), p->run, &range, k->arena, &cursor);
        if (rc != LUMA_OK)
            lki_check_wrong(k, "no cursor: %s", k->c.error.message);
        else
            walk_range(k, p, m, &range, cursor);
        p->kind->cursor_close(cursor);
        k->arena->reset(k->arena);
    }
    lki_check_done(k, name);
}

/* --- the hot part --- */

static bool
fill_hot(struct lki_check *k, const struct luma_index_kind *kind, const struct model *m, void **out)
{
    if (kind->hot_create(lki_check_ctx(k), k->host->mem->root(), out) != LUMA_OK)
        return lki_check_wrong(k, "hot_create: %s", k->c.error.message);
    /* In an order of its own, in pieces, some of them twice. */
    for (size_t step = 0; step < m->count; step++) {
        const struct entry *e = &m->list[(step * 1237) % m->count];
        struct luma_index_entry pieces[2] = {{key_of(e), e->rowid}, {key_of(e), e->rowid}};
        if (kind->hot_insert(lki_check_ctx(k), *out, pieces, 1 + step % 2) != LUMA_OK)
            return lki_check_wrong(k, "hot_insert: %s", k->c.error.message);
    }
    return true;
}

static void
check_hot(struct lki_check *k, const struct luma_index_kind *kind, const struct model *m)
{
    struct part p = {.kind = kind};
    if (fill_hot(k, kind, m, &p.hot)) {
        if (kind->hot_count(p.hot) != m->count)
            lki_check_wrong(k, "hot_count is %zu, expected %zu", kind->hot_count(p.hot), m->count);
        if (kind->hot_bytes(p.hot) == 0)
            lki_check_wrong(k, "hot_bytes is 0");
    }
    lki_check_done(k, "hot part: inserts in any order, twice is once");
    if (p.hot == NULL)
        return;
    check_finds(k, &p, m, "hot part: exact lookups");
    if (kind->caps & LUMA_INDEX_ORDERED)
        check_ranges(k, &p, m, "hot part: ranges, both directions");
    struct model half = {.list = calloc(m->count, sizeof(*m->list))};
    for (size_t i = 0; half.list != NULL && i < m->count; i++) {
        struct luma_index_entry e = {key_of(&m->list[i]), m->list[i].rowid};
        if (i % 2 == 0)
            half.list[half.count++] = m->list[i];
        else
            kind->hot_remove(p.hot, &e);
    }
    if (half.list != NULL)
        check_finds(k, &p, &half, "hot part: entries taken out are gone, the others stay");
    free(half.list);
    kind->hot_destroy(p.hot);
}

struct crowd {
    const struct luma_index_kind *kind;
    const struct model *m;
    void *hot;
    _Atomic unsigned bad;
};

static void
crowd_member(void *arg, unsigned index)
{
    struct crowd *c = arg;
    struct lk_ctx ctx;
    int64_t rowids[64];
    size_t there;
    lk_ctx_init(&ctx, NULL);
    for (size_t i = index; i < c->m->count; i += 4) {
        const struct entry *e = &c->m->list[i];
        struct luma_index_entry entry = {key_of(e), e->rowid};
        bool ok = c->kind->hot_insert(&ctx.ctx, c->hot, &entry, 1) == LUMA_OK &&
                  c->kind->hot_find(&ctx.ctx, c->hot, entry.key, rowids, 64, &there) == LUMA_OK &&
                  there > 0;
        if (!ok)
            atomic_fetch_add_explicit(&c->bad, 1, memory_order_relaxed);
    }
}

static void
check_crowd(struct lki_check *k, const struct luma_index_kind *kind, const struct model *m)
{
    struct crowd c = {.kind = kind, .m = m};
    if (kind->hot_create(lki_check_ctx(k), k->host->mem->root(), &c.hot) == LUMA_OK) {
        lki_check_threads(4, crowd_member, &c);
        if (c.bad > 0 || kind->hot_count(c.hot) != m->count)
            lki_check_wrong(k, "%u inserts or lookups went wrong, %zu of %zu entries", c.bad,
                            kind->hot_count(c.hot), m->count);
        kind->hot_destroy(c.hot);
    } else {
        lki_check_wrong(k, "hot_create: %s", k->c.error.message);
    }
    lki_check_done(k, "hot part: many threads insert and look up");
}

/* --- runs --- */

struct model_source {
    struct luma_index_source pub;
    const struct model *m;
    size_t at;
};

static luma_rc
source_next(struct luma_ctx *ctx, struct luma_index_source *source,
            struct luma_index_entry *out_entry, bool *out_more)
{
    struct model_source *s = (struct model_source *)source;
    (void)ctx;
    *out_more = s->at < s->m->count;
    if (*out_more) {
        const struct entry *e = &s->m->list[s->at++];
        *out_entry = (struct luma_index_entry){key_of(e), e->rowid};
    }
    return LUMA_OK;
}

static bool
build_run(struct lki_check *k, const struct luma_index_kind *kind, const struct model *m,
          struct memory_writer *w)
{
    struct model_source source = {.pub = {.next = source_next}, .m = m};
    *w = (struct memory_writer){.pub = {.append = memory_append, .offset = memory_offset}};
    if (kind->run_build(lki_check_ctx(k), &source.pub, &w->pub) != LUMA_OK)
        return lki_check_wrong(k, "run_build: %s", k->c.error.message);
    return true;
}

static void
check_run(struct lki_check *k, const struct luma_index_kind *kind, const struct model *m,
          const struct memory_writer *w)
{
    struct memory_reader r = memory_reader(w->bytes.data, w->bytes.bytes);
    struct part p = {.kind = kind};
    if (kind->run_open(lki_check_ctx(k), &r.pub, &p.run) != LUMA_OK)
        lki_check_wrong(k, "run_open: %s", k->c.error.message);
    else if (kind->run_count(p.run) != m->count)
        lki_check_wrong(k, "run_count is not what was built");
    else if (kind->run_verify(lki_check_ctx(k), p.run) != LUMA_OK)
        lki_check_wrong(k, "run_verify: %s", k->c.error.message);
    lki_check_done(k, "run: built, opened, verified");
    if (p.run == NULL)
        return;
    if (m->count > 0) {
        check_finds(k, &p, m, "run: exact lookups");
        if (kind->caps & LUMA_INDEX_ORDERED)
            check_ranges(k, &p, m, "run: ranges, both directions");
    }
    kind->run_close(p.run);
    if (r.pins != 0)
        lki_check_wrong(k, "%u blocks are still pinned", r.pins);
    lki_check_done(k, "run: every block is unpinned");
}

static void
touch_run(struct lki_check *k, const struct luma_index_kind *kind, const struct model *m,
          struct memory_reader *r)
{
    struct part p = {.kind = kind};
    struct found *f = calloc(1, sizeof(*f));
    if (f == NULL || kind->run_open(lki_check_ctx(k), &r->pub, &p.run) != LUMA_OK) {
        free(f);
        return;
    }
    (void)!kind->run_verify(lki_check_ctx(k), p.run);
    for (int i = 0; i < 5; i++)
        (void)!part_find(k, &p, key_of(&m->list[lk_rand_below(&k->rand, m->count)]), f);
    struct luma_index_range all = {.reverse = lk_rand_percent(&k->rand, 50)};
    struct luma_index_cursor *cursor = NULL;
    if ((kind->caps & LUMA_INDEX_ORDERED) &&
        kind->run_cursor(lki_check_ctx(k), p.run, &all, k->arena, &cursor) == LUMA_OK) {
        struct luma_index_entry e;
        bool more = true;
        for (size_t i = 0; more && i < ENTRIES * 2; i++)
            if (kind->cursor_next(lki_check_ctx(k), cursor, &e, &more) != LUMA_OK)
                break;
    }
    kind->cursor_close(cursor);
    kind->run_close(p.run);
    free(f);
    k->arena->reset(k->arena);
}

/* Damage in blocks is the kernel's to notice (checksums); here it must do no harm. */
static void
check_damaged(struct lki_check *k, const struct luma_index_kind *kind, const struct model *m,
              const struct memory_writer *w)
{
    for (int i = 0; i < 200 && w->bytes.bytes > 0; i++) {
        size_t bytes = i % 4 == 0 ? lk_rand_below(&k->rand, w->bytes.bytes) : w->bytes.bytes;
        uint8_t *copy = malloc(bytes + 1);
        if (copy == NULL)
            return;
        memcpy(copy, w->bytes.data, bytes);
        for (int flip = 0; i % 4 != 0 && flip < 3; flip++)
            copy[lk_rand_below(&k->rand, bytes)] ^= (uint8_t)(1u << lk_rand_below(&k->rand, 8));
        struct memory_reader r = memory_reader(copy, bytes);
        touch_run(k, kind, m, &r);
        if (r.pins != 0)
            lki_check_wrong(k, "%u blocks stay pinned after an error", r.pins);
        free(copy);
    }
    lki_check_done(k, "run: truncated and flipped bytes");
}

static bool
is_complete(const struct luma_index_kind *i)
{
    bool hot = i->hot_create != NULL && i->hot_destroy != NULL && i->hot_insert != NULL &&
               i->hot_remove != NULL && i->hot_bytes != NULL && i->hot_count != NULL &&
               i->hot_find != NULL;
    bool run = i->run_build != NULL && i->run_open != NULL && i->run_close != NULL &&
               i->run_find != NULL && i->run_count != NULL && i->run_verify != NULL;
    bool ordered = !(i->caps & LUMA_INDEX_ORDERED) ||
                   (i->hot_cursor != NULL && i->run_cursor != NULL && i->cursor_next != NULL);
    return i->head.size_bytes >= sizeof(*i) && i->wire_id != 0 && hot && run && ordered &&
           i->cursor_close != NULL;
}

void
lki_check_index(struct lki_check *k, const struct luma_head *table)
{
    const struct luma_index_kind *kind = (const struct luma_index_kind *)table;
    struct model m = {0}, empty = {0};
    struct memory_writer w;
    if (!is_complete(kind))
        lki_check_wrong(k, "a function that its capabilities ask for, or wire_id, is missing");
    lki_check_done(k, "its table is complete");
    if (k->failed > 0 || !model_init(k, &m))
        return;
    check_hot(k, kind, &m);
    check_crowd(k, kind, &m);
    if (build_run(k, kind, &empty, &w))
        check_run(k, kind, &empty, &w);
    lk_bytes_fini(&w.bytes);
    if (build_run(k, kind, &m, &w)) {
        check_run(k, kind, &m, &w);
        check_damaged(k, kind, &m, &w);
    }
    lk_bytes_fini(&w.bytes);
    lki_check_done(k, "run: built from sorted entries");
    free(m.list);
}
