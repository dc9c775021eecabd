/*
 * storage/history.c - marks of commits in time, and what the manifest says of the history.
 */
#include "storage/history.h"

#include <stdlib.h>

#include "storage/core.h"

#define MARKS_MAX (1u << 20)

luma_rc
lk_history_open(struct luma_ctx *ctx, struct lk_store *store)
{
    struct lk_history *h = &store->history;
    h->window_us = (int64_t)(store->conf.history_ns / 1000);
    if (h->window_us == 0)
        return LUMA_OK;
    h->marks = malloc(64 * sizeof(*h->marks));
    if (h->marks == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "history: out of memory");
    h->room = 64;
    h->pin = &store->slots.slots[atomic_fetch_add(&store->slots.used, 1)];
    return LUMA_OK;
}

void
lk_history_close(struct lk_store *store)
{
    free(store->history.marks);
    lk_mutex_fini(&store->history.lock);
}

static void
pin_raise(struct lk_history *h, uint64_t commit)
{
    if (atomic_load(&h->pin->snapshot) < commit + 1)
        atomic_store(&h->pin->snapshot, commit + 1);
}

/* The first mark is the newest one that is older than the window. */
static void
prune(struct lk_history *h, int64_t now_us, int64_t window_us)
{
    uint32_t first = h->first;
    while (first + 1 < h->count && h->marks[first + 1].us <= now_us - window_us)
        first++;
    if (first == h->first)
        return;
    h->first = first;
    pin_raise(h, h->marks[first].commit);
}

/* Makes room for one mark: forgets those before the window, then every second of the older half. */
static bool
marks_room(struct lk_history *h)
{
    if (h->count < h->room)
        return true;
    if (h->first > h->count / 2) {
        h->count -= h->first;
        memmove(h->marks, h->marks + h->first, h->count * sizeof(*h->marks));
        h->first = 0;
        return true;
    }
    if (h->room < MARKS_MAX) {
        struct lk_mark *marks = realloc(h->marks, (size_t)h->room * 2 * sizeof(*marks));
        if (marks != NULL) {
            h->marks = marks;
            h->room *= 2;
            return true;
        }
    }
    uint32_t to = h->first + 1, half = h->first + (h->count - h->first) / 2;
    for (uint32_t i = h->first + 2; i < half; i += 2)
        h->marks[to++] = h->marks[i];
    memmove(h->marks + to, h->marks + half, (h->count - half) * sizeof(*h->marks));
    h->count = to + h->count - half;
    return h->count < h->room;
}

/* The lock is held, or nobody else looks. */
static void
mark_add(struct lk_history *h, int64_t us, uint64_t commit)
{
    struct lk_mark *last = h->count == 0 ? NULL : &h->marks[h->count - 1];
    if (last != NULL && commit <= last->commit)
        return;
    /* The clock stands still, or goes back. */
    if (last != NULL && (us <= last->us || !marks_room(h)))
        h->marks[h->count - 1].commit = commit;
    else
        h->marks[h->count++] = (struct lk_mark){us, commit};
}

void
lk_history_note(struct lk_store *store, int64_t us, int64_t now_us, uint64_t commit)
{
    struct lk_history *h = &store->history;
    if (h->window_us == 0)
        return;
    lk_mutex_lock(&h->lock);
    prune(h, now_us, h->window_us);
    mark_add(h, us, commit);
    lk_mutex_unlock(&h->lock);
}

void
lk_history_prune(struct lk_store *store)
{
    struct lk_history *h = &store->history;
    if (h->window_us == 0)
        return;
    lk_mutex_lock(&h->lock);
    prune(h, lk_io_wall_us(store->conf.io), h->window_us);
    lk_mutex_unlock(&h->lock);
}

void
lk_history_start(struct lk_store *store, uint64_t epoch, uint64_t commit)
{
    struct lk_history *h = &store->history;
    if (h->starts_count > 0 && epoch <= h->starts[h->starts_count - 1].epoch)
        return;
    if (h->starts_count == LK_STARTS_MAX)
        memmove(h->starts, h->starts + 1, --h->starts_count * sizeof(h->starts[0]));
    h->starts[h->starts_count++] = (struct lk_start){epoch, commit};
}

uint64_t
lk_history_last(const struct lk_store *store, uint64_t epoch)
{
    const struct lk_history *h = &store->history;
    uint64_t last = UINT64_MAX;
    for (uint32_t i = 0; i < h->starts_count; i++)
        if (h->starts[i].epoch > epoch)
            last = LK_MIN(last, h->starts[i].commit);
    return last;
}

uint64_t
lk_history_floor(const struct lk_store *store)
{
    const struct lk_history *h = &store->history;
    return h->window_us == 0 ? UINT64_MAX : atomic_load(&h->pin->snapshot) - 1;
}

void
lk_history_hold(struct lk_store *store)
{
    struct lk_history *h = &store->history;
    lk_mutex_lock(&h->lock); /* the pin stays while the slot is set */
    atomic_store(&store->slots.slots[0].snapshot, atomic_load(&h->pin->snapshot));
    lk_mutex_unlock(&h->lock);
}

/* --- the manifest's entry --- */

/* What it says behind the place of the marks. */
struct said {
    struct lk_pack_place marks;
    uint64_t floor;
    int64_t window_us;
};

static bool
said_read(const struct lk_store *store, struct said *out)
{
    struct lk_manifest_key key = {.kind = LK_MANIFEST_HISTORY};
    struct luma_slice bytes = lk_manifest_get(store->manifest, &key);
    struct lk_reader r = lk_reader(bytes);
    if (bytes.data == NULL)
        return false;
    lk_pack_place_take(&r, &out->marks);
    out->floor = lk_reader_varint(&r);
    out->window_us = (int64_t)lk_reader_varint(&r);
    return !r.failed;
}

static luma_rc
marks_read(struct luma_ctx *ctx, struct lk_store *store, struct luma_slice bytes,
           const struct said *said)
{
    struct lk_history *h = &store->history;
    struct lk_reader r = lk_reader(bytes);
    struct lk_mark mark = {0, 0};
    for (uint64_t i = 0; i < said->marks.count; i++) {
        mark.us += (int64_t)lk_reader_varint(&r);
        mark.commit += lk_reader_varint(&r);
        if (r.failed)
            return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "the marks of the history cannot be read");
        if (mark.commit >= said->floor)
            mark_add(h, mark.us, mark.commit);
    }
    while (!r.failed && lk_reader_left(&r) > 0) {
        uint64_t epoch = lk_reader_varint(&r), commit = lk_reader_varint(&r);
        lk_history_start(store, epoch, commit);
    }
    return r.failed ? LUMA_FAIL(ctx, LUMA_E_CORRUPT, "the starts of the history cannot be read")
                    : LUMA_OK;
}

luma_rc
lk_history_load(struct luma_ctx *ctx, struct lk_store *store)
{
    struct lk_history *h = &store->history;
    struct said said;
    if (h->window_us == 0)
        return LUMA_OK;
    atomic_store(&h->pin->snapshot, store->commit + 1);
    h->anew = !said_read(store, &said);
    if (h->anew)
        return LUMA_OK;
    struct lk_bytes bytes;
    lk_bytes_init(&bytes, NULL);
    luma_rc rc = lk_pack_read(ctx, store, &said.marks, &bytes);
    if (rc == LUMA_OK)
        rc = marks_read(ctx, store, lk_bytes_view(&bytes), &said);
    lk_bytes_fini(&bytes);
    if (rc == LUMA_E_CORRUPT || rc == LUMA_E_UNDEFINED) {
        lk_log_error("storage", "the history begins anew: %s", ctx->error->message);
        luma_error_reset(ctx->error);
        h->count = h->starts_count = 0;
        h->anew = true;
        return LUMA_OK;
    }
    if (rc != LUMA_OK)
        return rc;
    /* It may lie in the log that comes next, and there may be no mark yet. */
    atomic_store(&h->pin->snapshot, said.floor + 1);
    /* A longer window reaches back to where the shorter one had let go, a clock that was set back
     * makes nothing younger. */
    int64_t now_us = lk_io_wall_us(store->conf.io);
    if (h->count > 0)
        now_us = LK_MAX(now_us, h->marks[h->count - 1].us);
    prune(h, now_us, LK_MIN(said.window_us, h->window_us));
    return LUMA_OK;
}

void
lk_history_settle(struct lk_store *store)
{
    struct lk_history *h = &store->history;
    if (h->window_us == 0)
        return;
    if (h->anew)
        h->first = h->count = 0;
    h->anew = false;
    if (h->count == 0) {
        mark_add(h, lk_io_wall_us(store->conf.io), store->commit);
        pin_raise(h, store->commit);
    }
}

bool
lk_history_unwritten(const struct lk_store *store)
{
    struct said said;
    return store->history.window_us != 0 && !said_read(store, &said);
}

bool
lk_history_kept(const struct lk_store *store)
{
    return store->history.window_us != 0 && !store->history.anew;
}

bool
lk_history_write(struct lk_store *store, uint64_t commit, int64_t us, struct lk_bytes *out,
                 uint64_t *out_count, uint64_t *out_floor)
{
    struct lk_history *h = &store->history;
    struct lk_mark last = {0, 0};
    bool ok = true;
    *out_count = 0;
    lk_mutex_lock(&h->lock);
    *out_floor = atomic_load(&h->pin->snapshot) - 1;
    uint32_t end = h->first;
    while (end < h->count && h->marks[end].commit <= commit)
        end++;
    for (uint32_t i = h->first; i <= end; i++) {
        struct lk_mark mark = {us, commit};
        if (i < end)
            mark = h->marks[i];
        else if (last.commit == commit && *out_count > 0)
            break;
        else if (end < h->count && h->marks[end].us < us)
            mark.us = h->marks[end].us; /* one time for this commit and those after it */
        mark.us = LK_MAX(mark.us, last.us);
        if (mark.us == 0)
            mark.us = lk_io_wall_us(store->conf.io);
        ok = ok && lk_bytes_varint(out, (uint64_t)(mark.us - last.us)) &&
             lk_bytes_varint(out, mark.commit - last.commit);
        if ((*out_count)++ == 0)
            *out_floor = LK_MAX(*out_floor, mark.commit);
        last = mark;
    }
    lk_mutex_unlock(&h->lock);
    for (uint32_t i = 0; i < h->starts_count; i++)
        ok = ok && lk_bytes_varint(out, h->starts[i].epoch) &&
             lk_bytes_varint(out, h->starts[i].commit);
    return ok;
}

void
lk_history_raise(struct lk_store *store, struct lk_manifest_edit *edit, uint64_t floor)
{
    struct said said;
    struct lk_bytes value;
    if (store->history.window_us == 0 || !said_read(store, &said) || said.floor >= floor)
        return;
    lk_bytes_init(&value, NULL);
    if (lk_pack_place_write(&value, &said.marks) && lk_bytes_varint(&value, floor) &&
        lk_bytes_varint(&value, (uint64_t)said.window_us))
        lk_manifest_put(edit, LK_MANIFEST_HISTORY, 0, 0, lk_bytes_view(&value));
    else
        edit->bytes.failed = true;
    lk_bytes_fini(&value);
}

static luma_rc
entry_forget(void *arg, const struct lk_manifest_key *key, struct luma_slice value)
{
    (void)value;
    lk_manifest_remove(arg, key->kind, key->a, key->b);
    return LUMA_OK;
}

luma_rc
lk_history_forget(struct luma_ctx *ctx, struct lk_store *store)
{
    static const uint32_t kinds[] = {LK_MANIFEST_HISTORY, LK_MANIFEST_PAST, LK_MANIFEST_ENDS,
                                     LK_MANIFEST_BEGINS};
    struct lk_manifest_edit edit;
    luma_rc rc = LUMA_OK;
    if (store->history.window_us != 0)
        return LUMA_OK;
    lk_manifest_edit_init(&edit);
    for (size_t i = 0; rc == LUMA_OK && i < LUMA_COUNTOF(kinds); i++)
        rc = lk_manifest_each(store->manifest, kinds[i], 0, entry_forget, &edit);
    if (rc == LUMA_OK && edit.changes > 0)
        rc = lk_manifest_commit(ctx, store->manifest, &edit);
    lk_manifest_edit_fini(&edit);
    return rc;
}
