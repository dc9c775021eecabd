/* io/sim_ops.c - the calls of the simulated disk. Each begins by asking the rules how it goes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/sim_priv.h"

#define WALL_START_US 1700000000000000

static int
open_node(struct sim *sim, const char *name, uint32_t flags, struct sim_node **out_node)
{
    struct sim_node *node = lki_sim_find(sim, name);
    if (node != NULL && (flags & LK_IO_CREATE) && (flags & LK_IO_EXCLUSIVE))
        return EEXIST;
    if (node != NULL && node->is_dir && (flags & LK_IO_WRITE))
        return EISDIR;
    if (node != NULL && (flags & LK_IO_TRUNCATE))
        lki_sim_node_resize(sim, node, 0);
    if (node == NULL) {
        char *parent = lki_sim_parent(name);
        bool has_parent = lki_sim_is_dir(sim, parent);
        free(parent);
        if (!(flags & LK_IO_CREATE) || !has_parent)
            return ENOENT;
        node = lki_sim_node_create(sim, false);
        lki_sim_change(sim, NULL, name, node);
    }
    *out_node = node;
    return 0;
}

static int
sim_open(struct lk_io *io, const char *path, uint32_t flags, struct lk_file **out_file)
{
    struct sim *sim = lki_sim_of(io);
    struct sim_file *file = calloc(1, sizeof(*file));
    int action, err;
    LK_ASSERT(file != NULL);
    file->name = lki_sim_path(path);
    file->pub = (struct lk_file){.io = io, .path = strdup(path), .flags = flags};
    lki_sim_enter(sim);
    err = lki_sim_begin(sim, LK_IO_CALL_OPEN, path, &action);
    if (err == 0)
        err = open_node(sim, file->name, flags, &file->node);
    if (err == 0) {
        lki_sim_node_ref(file->node);
        file->epoch = sim->epoch;
    }
    err = lki_sim_end(sim, action, err);
    if (err != 0 && file->node != NULL)
        lki_sim_node_unref(sim, file->node);
    lk_mutex_unlock(&sim->lock);
    if (err != 0) {
        free(file->name);
        free(file->pub.path);
        free(file);
        return err;
    }
    *out_file = &file->pub;
    return 0;
}

static void
sim_close(struct lk_file *pub)
{
    struct sim_file *file = (struct sim_file *)pub;
    struct sim *sim = lki_sim_of(pub->io);
    lk_mutex_lock(&sim->lock);
    if (file->node->locked_by == pub)
        file->node->locked_by = NULL;
    lki_sim_node_unref(sim, file->node);
    lk_mutex_unlock(&sim->lock);
    free(file->name);
    free(pub->path);
    free(file);
}

/* Begins a call on an open file; a handle from before a power cut is dead. */
static int
begin_file(struct sim *sim, struct lk_file *pub, enum lk_io_call call, int *out_action)
{
    int err = lki_sim_begin(sim, call, pub->path, out_action);
    if (err == 0 && ((struct sim_file *)pub)->epoch != sim->epoch) {
        *out_action = LKI_SIM_NORMAL;
        err = EIO;
    }
    return err;
}

static bool
direct_is_wrong(const struct lk_file *file, const struct lk_io_vec *vec, int count, uint64_t offset)
{
    uint64_t bits = offset;
    for (int i = 0; i < count; i++)
        bits |= (uintptr_t)vec[i].data | vec[i].bytes;
    return (file->flags & LK_IO_DIRECT) && (bits & (LK_IO_DIRECT_ALIGN - 1)) != 0;
}

static size_t
vec_bytes(const struct lk_io_vec *vec, int count)
{
    size_t bytes = 0;
    for (int i = 0; i < count; i++)
        bytes += vec[i].bytes;
    return bytes;
}

static int
sim_readv(struct lk_file *pub, const struct lk_io_vec *vec, int vec_count, uint64_t offset,
          size_t *out_bytes)
{
    struct sim *sim = lki_sim_of(pub->io);
    struct sim_node *node = ((struct sim_file *)pub)->node;
    int action;
    lki_sim_enter(sim);
    int err = begin_file(sim, pub, LK_IO_CALL_READ, &action);
    if (err == 0 && direct_is_wrong(pub, vec, vec_count, offset))
        err = EINVAL;
    size_t done = 0;
    if (err == 0) {
        uint64_t there = offset < node->bytes ? node->bytes - offset : 0;
        size_t left = (size_t)LK_MIN((uint64_t)vec_bytes(vec, vec_count), there);
        if (action == LK_IO_SIM_SHORT && left > 1)
            left = 1 + (size_t)lk_rand_below(&sim->rand, left - 1);
        for (int i = 0; i < vec_count && left > 0; i++) {
            size_t n = LK_MIN(vec[i].bytes, left);
            memcpy(vec[i].data, node->data + offset + done, n);
            if (action == LK_IO_SIM_BIT_FLIP && done == 0 && n > 0)
                ((uint8_t *)vec[i].data)[lk_rand_below(&sim->rand, n)] ^=
                    (uint8_t)(1u << lk_rand_below(&sim->rand, 8));
            done += n;
            left -= n;
        }
        *out_bytes = done;
    }
    err = lki_sim_end(sim, action, err);
    lk_mutex_unlock(&sim->lock);
    return err;
}

/* Bytes of `bytes` at offset that the disk has room for. */
static size_t
bytes_that_fit(const struct sim *sim, const struct sim_node *node, uint64_t offset, size_t bytes)
{
    uint64_t end = offset + bytes;
    if (sim->capacity == 0 || end <= node->bytes)
        return bytes;
    uint64_t free_bytes = sim->capacity > sim->used ? sim->capacity - sim->used : 0;
    uint64_t end_max = LK_MAX(node->bytes, offset) + free_bytes;
    if (offset > node->bytes)
        end_max = node->bytes + free_bytes;
    return end <= end_max ? bytes : end_max > offset ? (size_t)(end_max - offset) : 0;
}

static int
write_node(struct sim *sim, struct sim_node *node, const struct lk_io_vec *vec, int vec_count,
           uint64_t offset, size_t bytes, size_t *out_bytes)
{
    size_t done = 0;
    if (!lki_sim_node_room(node, offset + bytes))
        return EFBIG;
    if (offset + bytes > node->bytes)
        lki_sim_node_resize(sim, node, offset + bytes);
    for (int i = 0; i < vec_count && done < bytes; i++) {
        size_t n = LK_MIN(vec[i].bytes, bytes - done);
        lki_sim_node_write(node, offset + done, vec[i].data, n);
        done += n;
    }
    node->modified_us = WALL_START_US + (int64_t)(sim->clock_ns / 1000);
    *out_bytes = done;
    return 0;
}

/* --- writes that the disk says it has done --- */

static bool
same_dir(const char *a, const char *b)
{
    const char *end = strrchr(a, '/');
    size_t bytes = end == NULL ? 0 : (size_t)(end - a) + 1;
    return strncmp(a, b, bytes) == 0 && strchr(b + bytes, '/') == NULL;
}

static void
lost_count(struct sim *sim, const char *path, bool lost)
{
    if (lost) {
        snprintf(sim->lost_path, sizeof(sim->lost_path), "%s", path);
        sim->lost_since = 0;
    } else if (sim->lost_path[0] != '\0' && same_dir(sim->lost_path, path)) {
        sim->lost_since++;
    }
}

/* Any file with something in it, the right one as often as all others. */
static struct sim_node *
wrong_node(struct sim *sim, struct sim_node *right)
{
    struct sim_node *found = right;
    uint64_t count = 0;
    if (right->bytes > 0 && lk_rand_percent(&sim->rand, 50))
        return right;
    LK_LIST_FOR (&sim->nodes, node, struct sim_node, link)
        if (!node->is_dir && node->bytes > 0 && node != right &&
            lk_rand_below(&sim->rand, ++count) == 0)
            found = node;
    return found;
}

/* The file has its new size, and the data is wherever the disk's head was. */
static int
write_lost(struct sim *sim, struct sim_node *node, const struct lk_io_vec *vec, int vec_count,
           uint64_t offset, bool astray, size_t *out_bytes)
{
    size_t bytes = vec_bytes(vec, vec_count), done = 0;
    uint8_t *data = malloc(bytes + 1);
    LK_ASSERT(data != NULL);
    for (int i = 0; i < vec_count; done += vec[i++].bytes)
        memcpy(data + done, vec[i].data, vec[i].bytes);
    *out_bytes = bytes;
    if (!lki_sim_node_room(node, offset + bytes)) {
        free(data);
        return EFBIG;
    }
    if (offset + bytes > node->bytes)
        lki_sim_node_resize(sim, node, offset + bytes);
    uint64_t skew = offset % LK_IO_SECTOR_BYTES;
    struct sim_node *to = astray ? wrong_node(sim, node) : node;
    uint64_t sectors = to->bytes / LK_IO_SECTOR_BYTES;
    uint64_t at =
        astray ? lk_rand_below(&sim->rand, sectors + 1) * LK_IO_SECTOR_BYTES + skew : offset;
    for (size_t i = 0; i < bytes && at + i < to->bytes;) {
        size_t n = LK_MIN((size_t)(LK_IO_SECTOR_BYTES - (at + i) % LK_IO_SECTOR_BYTES), bytes - i);
        n = (size_t)LK_MIN((uint64_t)n, to->bytes - at - i);
        if (astray || lk_rand_percent(&sim->rand, 50))
            lki_sim_node_write(to, at + i, data + i, n);
        i += n;
    }
    free(data);
    return 0;
}

static int
sim_writev(struct lk_file *pub, const struct lk_io_vec *vec, int vec_count, uint64_t offset,
           size_t *out_bytes)
{
    struct sim *sim = lki_sim_of(pub->io);
    struct sim_node *node = ((struct sim_file *)pub)->node;
    int action;
    lki_sim_enter(sim);
    int err = begin_file(sim, pub, LK_IO_CALL_WRITE, &action);
    if (err == 0 && !(pub->flags & LK_IO_WRITE))
        err = EBADF;
    if (err == 0 && direct_is_wrong(pub, vec, vec_count, offset))
        err = EINVAL;
    if (err == 0) {
        if (pub->flags & LK_IO_APPEND)
            offset = node->bytes;
        size_t want = vec_bytes(vec, vec_count);
        size_t bytes = bytes_that_fit(sim, node, offset, want);
        bool lost = action == LK_IO_SIM_ASTRAY || action == LK_IO_SIM_HOLES;
        lost_count(sim, pub->path, lost);
        bool is_short = action == LK_IO_SIM_SHORT || bytes < want;
        if (action == LK_IO_SIM_SHORT && bytes > 0)
            bytes = (size_t)lk_rand_below(&sim->rand, bytes);
        if (lost && bytes == want)
            err = write_lost(sim, node, vec, vec_count, offset, action == LK_IO_SIM_ASTRAY,
                             out_bytes);
        else if (bytes > 0)
            err = write_node(sim, node, vec, vec_count, offset, bytes, out_bytes);
        lki_sim_node_writeback(sim, node);
        if (err == 0 && is_short)
            err = ENOSPC;
    }
    err = lki_sim_end(sim, action, err);
    lk_mutex_unlock(&sim->lock);
    return err;
}

static int
sim_sync(struct lk_file *pub, bool data_only)
{
    struct sim *sim = lki_sim_of(pub->io);
    struct sim_node *node = ((struct sim_file *)pub)->node;
    int action;
    (void)data_only;
    lki_sim_enter(sim);
    int err = begin_file(sim, pub, LK_IO_CALL_SYNC, &action);
    if (err == 0 && action == LK_IO_SIM_SYNC_DROP) {
        lki_sim_node_forget_dirty(node);
        err = EIO;
    } else if (err == 0 && action != LK_IO_SIM_SYNC_LIE) {
        /* Power may go right before or right after the disk has it all. */
        if (action != LK_IO_SIM_POWER_CUT || lk_rand_percent(&sim->rand, 50))
            lki_sim_node_sync(node);
    }
    err = lki_sim_end(sim, action, err);
    lk_mutex_unlock(&sim->lock);
    return err;
}

static int
sim_truncate(struct lk_file *pub, uint64_t bytes)
{
    struct sim *sim = lki_sim_of(pub->io);
    struct sim_node *node = ((struct sim_file *)pub)->node;
    int action;
    lk_mutex_lock(&sim->lock);
    int err = begin_file(sim, pub, LK_IO_CALL_TRUNCATE, &action);
    if (err == 0 && !(pub->flags & LK_IO_WRITE))
        err = EBADF;
    if (err == 0 && !lki_sim_node_room(node, bytes))
        err = EFBIG;
    if (err == 0)
        lki_sim_node_resize(sim, node, bytes);
    err = lki_sim_end(sim, action, err);
    lk_mutex_unlock(&sim->lock);
    return err;
}

static int
sim_size(struct lk_file *pub, uint64_t *out_bytes)
{
    struct sim *sim = lki_sim_of(pub->io);
    int action;
    lk_mutex_lock(&sim->lock);
    int err = begin_file(sim, pub, LK_IO_CALL_STAT, &action);
    if (err == 0)
        *out_bytes = ((struct sim_file *)pub)->node->bytes;
    err = lki_sim_end(sim, action, err);
    lk_mutex_unlock(&sim->lock);
    return err;
}

static int
sim_lock(struct lk_file *pub)
{
    struct sim *sim = lki_sim_of(pub->io);
    struct sim_node *node = ((struct sim_file *)pub)->node;
    int action;
    lk_mutex_lock(&sim->lock);
    int err = begin_file(sim, pub, LK_IO_CALL_LOCK, &action);
    if (err == 0 && node->locked_by != NULL && node->locked_by != pub)
        err = EWOULDBLOCK;
    if (err == 0)
        node->locked_by = pub;
    err = lki_sim_end(sim, action, err);
    lk_mutex_unlock(&sim->lock);
    return err;
}

/* The shape of all calls on one name. */
static int
with_name(struct lk_io *io, enum lk_io_call call, const char *path,
          int (*fn)(struct sim *sim, const char *name, void *arg), void *arg)
{
    struct sim *sim = lki_sim_of(io);
    char *name = lki_sim_path(path);
    int action;
    lki_sim_enter(sim);
    int err = lki_sim_begin(sim, call, path, &action);
    /* Power may go right before or right after a directory is on the disk. */
    bool skip = call == LK_IO_CALL_SYNC_DIR &&
                (action == LK_IO_SIM_SYNC_LIE ||
                 (action == LK_IO_SIM_POWER_CUT && lk_rand_percent(&sim->rand, 50)));
    if (err == 0 && !skip)
        err = fn(sim, name, arg);
    err = lki_sim_end(sim, action, err);
    lk_mutex_unlock(&sim->lock);
    free(name);
    return err;
}

static int
stat_name(struct sim *sim, const char *name, void *arg)
{
    struct lk_io_stat *out = arg;
    const struct sim_node *node = lki_sim_find(sim, name);
    bool is_dir = lki_sim_is_dir(sim, name);
    if (node == NULL && !is_dir)
        return ENOENT;
    *out = (struct lk_io_stat){.bytes = node == NULL ? 0 : node->bytes,
                               .is_dir = is_dir,
                               .modified_us = node == NULL ? 0 : node->modified_us};
    return 0;
}

static int
sim_stat(struct lk_io *io, const char *path, struct lk_io_stat *out_stat)
{
    return with_name(io, LK_IO_CALL_STAT, path, stat_name, out_stat);
}

static int
unlink_name(struct sim *sim, const char *name, void *arg)
{
    const struct sim_node *node = lki_sim_find(sim, name);
    (void)arg;
    if (node == NULL)
        return ENOENT;
    if (node->is_dir)
        return EISDIR;
    lki_sim_change(sim, name, NULL, NULL);
    return 0;
}

static int
sim_unlink(struct lk_io *io, const char *path)
{
    return with_name(io, LK_IO_CALL_UNLINK, path, unlink_name, NULL);
}

/* Files only: nothing here renames directories. */
static int
rename_name(struct sim *sim, const char *from, void *arg)
{
    const char *to = arg;
    struct sim_node *node = lki_sim_find(sim, from);
    char *parent = lki_sim_parent(to);
    bool has_parent = lki_sim_is_dir(sim, parent);
    free(parent);
    if (node == NULL || !has_parent)
        return ENOENT;
    if (node->is_dir || lki_sim_is_dir(sim, to))
        return EISDIR;
    if (strcmp(from, to) != 0)
        lki_sim_change(sim, from, to, node);
    return 0;
}

static int
sim_rename(struct lk_io *io, const char *from, const char *to)
{
    char *name = lki_sim_path(to);
    int err = with_name(io, LK_IO_CALL_RENAME, from, rename_name, name);
    free(name);
    return err;
}

static int
mkdir_name(struct sim *sim, const char *name, void *arg)
{
    (void)arg;
    if (lki_sim_find(sim, name) != NULL || lki_sim_is_dir(sim, name))
        return EEXIST;
    char *parent = lki_sim_parent(name);
    bool has_parent = lki_sim_is_dir(sim, parent);
    free(parent);
    if (!has_parent)
        return ENOENT;
    lki_sim_change(sim, NULL, name, lki_sim_node_create(sim, true));
    return 0;
}

static int
sim_mkdir(struct lk_io *io, const char *path)
{
    return with_name(io, LK_IO_CALL_MKDIR, path, mkdir_name, NULL);
}

static bool
is_child(const char *name, const char *dir)
{
    char *parent = lki_sim_parent(name);
    bool child = strcmp(parent, dir) == 0;
    free(parent);
    return child;
}

static int
rmdir_name(struct sim *sim, const char *name, void *arg)
{
    const struct lk_map_entry *e;
    size_t cursor = 0;
    (void)arg;
    if (lki_sim_find(sim, name) == NULL)
        return ENOENT;
    if (!lki_sim_is_dir(sim, name))
        return ENOTDIR;
    while ((e = lk_map_next(&sim->live, &cursor)) != NULL)
        if (is_child(e->key, name))
            return ENOTEMPTY;
    lki_sim_change(sim, name, NULL, NULL);
    return 0;
}

static int
sim_rmdir(struct lk_io *io, const char *path)
{
    return with_name(io, LK_IO_CALL_MKDIR, path, rmdir_name, NULL);
}

static int
sync_dir_name(struct sim *sim, const char *name, void *arg)
{
    (void)arg;
    if (!lki_sim_is_dir(sim, name))
        return ENOENT;
    lki_sim_sync_names(sim, name);
    return 0;
}

static int
sim_sync_dir(struct lk_io *io, const char *path)
{
    return with_name(io, LK_IO_CALL_SYNC_DIR, path, sync_dir_name, NULL);
}

struct listing {
    char *name;
    bool is_dir;
    struct listing *next;
};

static int
list_name(struct sim *sim, const char *name, void *arg)
{
    struct listing **out = arg;
    const struct lk_map_entry *e;
    size_t cursor = 0;
    if (!lki_sim_is_dir(sim, name))
        return ENOENT;
    while ((e = lk_map_next(&sim->live, &cursor)) != NULL) {
        if (!is_child(e->key, name))
            continue;
        const char *slash = strrchr(e->key, '/');
        struct listing *item = calloc(1, sizeof(*item));
        LK_ASSERT(item != NULL);
        item->name = strdup(slash == NULL ? e->key : slash + 1);
        item->is_dir = ((struct sim_node *)e->value)->is_dir;
        item->next = *out;
        *out = item;
    }
    return 0;
}

static int
sim_list(struct lk_io *io, const char *path, int (*fn)(void *arg, const char *name, bool is_dir),
         void *arg)
{
    struct listing *items = NULL;
    int err = with_name(io, LK_IO_CALL_STAT, path, list_name, &items);
    while (items != NULL) {
        struct listing *item = items;
        items = item->next;
        if (err == 0)
            err = fn(arg, item->name, item->is_dir);
        free(item->name);
        free(item);
    }
    return err;
}

static int
space_name(struct sim *sim, const char *name, void *arg)
{
    (void)name;
    uint64_t capacity = sim->capacity == 0 ? (uint64_t)1 << 40 : sim->capacity;
    *(uint64_t *)arg = capacity > sim->used ? capacity - sim->used : 0;
    return 0;
}

static int
sim_space(struct lk_io *io, const char *path, uint64_t *out_free_bytes)
{
    return with_name(io, LK_IO_CALL_STAT, path, space_name, out_free_bytes);
}

static uint64_t
sim_now_ns(struct lk_io *io)
{
    struct sim *sim = lki_sim_of(io);
    lk_mutex_lock(&sim->lock);
    uint64_t now = sim->clock_ns;
    lk_mutex_unlock(&sim->lock);
    return now;
}

static int64_t
sim_wall_us(struct lk_io *io)
{
    return WALL_START_US + (int64_t)(sim_now_ns(io) / 1000);
}

static void
sim_random(struct lk_io *io, void *out, size_t bytes)
{
    struct sim *sim = lki_sim_of(io);
    uint8_t *p = out;
    lk_mutex_lock(&sim->lock);
    for (size_t i = 0; i < bytes; i++)
        p[i] = (uint8_t)lk_rand_u64(&sim->rand);
    lk_mutex_unlock(&sim->lock);
}

const struct lk_io_ops lki_sim_ops = {
    .name = "sim",
    .open = sim_open,
    .close = sim_close,
    .readv = sim_readv,
    .writev = sim_writev,
    .sync = sim_sync,
    .truncate = sim_truncate,
    .size = sim_size,
    .lock = sim_lock,
    .stat = sim_stat,
    .unlink = sim_unlink,
    .rename = sim_rename,
    .mkdir = sim_mkdir,
    .rmdir = sim_rmdir,
    .sync_dir = sim_sync_dir,
    .list = sim_list,
    .space = sim_space,
    .now_ns = sim_now_ns,
    .wall_us = sim_wall_us,
    .random = sim_random,
};
