/* io/sim_nodes.c - files with a volatile and a durable image, sector by sector. */
#include <stdlib.h>

#include "io/sim_priv.h"

#define SECTOR LK_IO_SECTOR_BYTES

struct sim_node *
lki_sim_node_create(struct sim *sim, bool is_dir)
{
    struct sim_node *node = calloc(1, sizeof(*node));
    LK_ASSERT(node != NULL);
    node->is_dir = is_dir;
    lk_list_push_back(&sim->nodes, &node->link);
    return node;
}

void
lki_sim_node_ref(struct sim_node *node)
{
    node->refs++;
}

void
lki_sim_node_unref(struct sim *sim, struct sim_node *node)
{
    LK_ASSERT(node->refs > 0);
    if (--node->refs > 0)
        return;
    sim->used -= node->bytes;
    lk_list_remove(&node->link);
    free(node->data);
    free(node->disk);
    free(node->dirty);
    free(node);
}

static void *
grow_zeroed(void *p, uint64_t old_bytes, uint64_t new_bytes)
{
    uint8_t *moved = realloc(p, new_bytes);
    LK_ASSERT(moved != NULL);
    memset(moved + old_bytes, 0, new_bytes - old_bytes);
    return moved;
}

bool
lki_sim_node_room(struct sim_node *node, uint64_t bytes)
{
    if (bytes <= node->room)
        return true;
    if (bytes > (uint64_t)1 << 40)
        return false;
    uint64_t room = LK_MAX(node->room * 2, lk_align_up(bytes, SECTOR * 64));
    node->data = grow_zeroed(node->data, node->room, room);
    node->disk = grow_zeroed(node->disk, node->room, room);
    node->dirty = grow_zeroed(node->dirty, node->room / SECTOR / 8, room / SECTOR / 8);
    node->room = lk_align_up(room, SECTOR * 64);
    return true;
}

static void
mark_dirty(struct sim_node *node, uint64_t offset, uint64_t bytes)
{
    if (bytes == 0)
        return;
    for (uint64_t s = offset / SECTOR; s <= (offset + bytes - 1) / SECTOR; s++)
        node->dirty[s / 64] |= (uint64_t)1 << (s % 64);
}

void
lki_sim_node_write(struct sim_node *node, uint64_t offset, const void *src, uint64_t bytes)
{
    if (bytes == 0)
        return;
    memcpy(node->data + offset, src, bytes);
    mark_dirty(node, offset, bytes);
}

void
lki_sim_node_resize(struct sim *sim, struct sim_node *node, uint64_t bytes)
{
    if (bytes < node->bytes) { /* what is cut off reads as zeros if the file grows again */
        memset(node->data + bytes, 0, node->bytes - bytes);
        mark_dirty(node, bytes, node->bytes - bytes);
    }
    sim->used = sim->used - node->bytes + bytes;
    node->bytes = bytes;
}

static void
sector_to_disk(struct sim_node *node, uint64_t s)
{
    memcpy(node->disk + s * SECTOR, node->data + s * SECTOR, SECTOR);
    node->dirty[s / 64] &= ~((uint64_t)1 << (s % 64));
}

/* Calls fn for each dirty sector; fn may clean it. */
#define FOR_DIRTY(node, s)                               \
    for (uint64_t s = 0; s < (node)->room / SECTOR; s++) \
        if ((node)->dirty[s / 64] == 0)                  \
            s |= 63;                                     \
        else if (((node)->dirty[s / 64] >> (s % 64)) & 1)

void
lki_sim_node_sync(struct sim_node *node)
{
    FOR_DIRTY(node, s)
    sector_to_disk(node, s);
    node->disk_bytes = node->bytes;
}

void
lki_sim_node_forget_dirty(struct sim_node *node)
{
    if (node->room > 0)
        memset(node->dirty, 0, node->room / SECTOR / 8);
}

uint64_t
lki_sim_node_dirty(const struct sim_node *node)
{
    uint64_t count = 0;
    FOR_DIRTY(node, s)
    count++;
    return count + (node->bytes != node->disk_bytes ? 1 : 0);
}

/* The kernel's flusher: one dirty sector reaches the disk before anybody asked. */
void
lki_sim_node_writeback(struct sim *sim, struct sim_node *node)
{
    uint64_t sectors = node->room / SECTOR;
    if (sectors == 0 || !lk_rand_percent(&sim->rand, 12))
        return;
    uint64_t start = lk_rand_below(&sim->rand, sectors);
    for (uint64_t i = 0; i < LK_MIN(sectors, (uint64_t)256); i++) {
        uint64_t s = (start + i) % sectors;
        if ((node->dirty[s / 64] >> (s % 64)) & 1) {
            sector_to_disk(node, s);
            return;
        }
    }
}

void
lki_sim_node_crash(struct sim *sim, struct sim_node *node, unsigned percent)
{
    FOR_DIRTY(node, s)
    {
        if (lk_rand_percent(&sim->rand, percent))
            sector_to_disk(node, s);
    }
    if (node->bytes != node->disk_bytes && lk_rand_percent(&sim->rand, LK_MAX(percent, 1u))) {
        uint64_t low = LK_MIN(node->bytes, node->disk_bytes);
        uint64_t high = LK_MAX(node->bytes, node->disk_bytes);
        bool between = lk_rand_percent(&sim->rand, 30);
        node->disk_bytes = between ? low + lk_rand_below(&sim->rand, high - low + 1) : node->bytes;
    }
    lki_sim_node_forget_dirty(node);
    if (node->room > 0) {
        memset(node->disk + node->disk_bytes, 0, node->room - node->disk_bytes);
        memcpy(node->data, node->disk, node->room);
    }
    sim->used = sim->used - node->bytes + node->disk_bytes;
    node->bytes = node->disk_bytes;
    node->locked_by = NULL;
}
