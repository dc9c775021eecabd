/* modules/index/btree/block.c - blocks of sorted entries. */
#include <stdlib.h>

#include "btree.h"

static inline size_t
align4(size_t v)
{
    return (v + 3) & ~(size_t)3;
}

bool
btree_block_open(struct luma_slice bytes, struct btree_block *out)
{
    struct btree_block_header h;
    if (bytes.bytes < sizeof(h))
        return false;
    memcpy(&h, bytes.data, sizeof(h));
    if (h.rowid_bytes > 8 || h.fixed > 1 || h.count == 0)
        return false;
    uint64_t offsets_at = align4(sizeof(h) + (uint64_t)h.prefix_bytes);
    uint64_t suffixes_at = offsets_at + (h.fixed != 0 ? 0 : ((uint64_t)h.count + 1) * 4);
    uint64_t suffixes = h.fixed != 0 ? (uint64_t)h.count * h.suffix_bytes : h.suffix_bytes;
    uint64_t rowids_at = suffixes_at + suffixes;
    if (rowids_at + (uint64_t)h.count * h.rowid_bytes != bytes.bytes)
        return false;
    out->count = h.count;
    out->level = h.level;
    out->rowid_bytes = h.rowid_bytes;
    out->fixed = h.fixed != 0;
    out->suffix_bytes = h.suffix_bytes;
    out->rowid_base = h.rowid_base;
    out->prefix = luma_slice(bytes.data + sizeof(h), h.prefix_bytes);
    out->offsets = (const uint32_t *)(const void *)(bytes.data + offsets_at);
    out->suffixes = bytes.data + suffixes_at;
    out->rowids = bytes.data + rowids_at;
    return true;
}

static inline uint64_t
load_head(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap64(v);
}

/*
 * Suffixes of one length: their first 8 bytes as a number decide nearly all comparisons. Reading
 * them where the suffix is shorter is safe (16 bytes follow every block) and masked away.
 */
static uint32_t
seek_fixed(const struct btree_block *block, struct luma_slice rest, bool after)
{
    uint8_t head[8] = {0};
    size_t shared = rest.bytes < block->suffix_bytes ? rest.bytes : block->suffix_bytes;
    shared = shared < 8 ? shared : 8;
    uint64_t mask = shared == 8 ? ~(uint64_t)0 : ~(~(uint64_t)0 >> (shared * 8));
    memcpy(head, rest.data, shared);
    uint64_t target = load_head(head);
    const uint8_t *base = block->suffixes;
    uint32_t lo = 0, hi = block->count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        uint64_t v = load_head(base + (size_t)mid * block->suffix_bytes) & mask;
        bool before = v < target ||
                      (v == target && btree_before(btree_block_suffix(block, mid), rest, after));
        if (before)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The prefix decides for all entries, or none of it is left to compare. */
uint32_t
btree_block_seek(const struct btree_block *block, struct luma_slice bound, bool after)
{
    int c = btree_compare(block->prefix, bound);
    if (c > 0 || (c == 0 && !after))
        return 0; /* c == 0: every key begins with the whole bound */
    if (c == 0)
        return block->count;
    /* The prefix is less: a proper part of the bound, or before it in the first different byte. */
    if (bound.bytes <= block->prefix.bytes ||
        memcmp(block->prefix.data, bound.data, block->prefix.bytes) != 0)
        return block->count;
    struct luma_slice rest =
        luma_slice(bound.data + block->prefix.bytes, bound.bytes - block->prefix.bytes);
    if (block->fixed)
        return seek_fixed(block, rest, after);
    uint32_t lo = 0, hi = block->count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (btree_before(btree_block_suffix(block, mid), rest, after))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* --- making one --- */

static bool
grow_buf(struct luma_buf *buf, size_t more)
{
    if (more <= buf->room_bytes - buf->used_bytes)
        return true;
    size_t room = buf->room_bytes * 2 + more + 4096;
    uint8_t *data = realloc(buf->data, room);
    if (data == NULL)
        return false;
    buf->data = data;
    buf->room_bytes = room;
    return true;
}

bool
btree_block_add(struct btree_block_writer *writer, struct luma_slice key, int64_t rowid)
{
    if (writer->count == writer->room) {
        uint32_t room = writer->room == 0 ? 512 : writer->room * 2;
        uint32_t *ends = realloc(writer->ends, room * sizeof(*ends));
        if (ends == NULL)
            return false;
        writer->ends = ends;
        int64_t *rowids = realloc(writer->rowids, room * sizeof(*rowids));
        if (rowids == NULL)
            return false;
        writer->rowids = rowids;
        writer->room = room;
    }
    if (!grow_buf(&writer->keys, key.bytes))
        return false;
    if (key.bytes > 0)
        memcpy(writer->keys.data + writer->keys.used_bytes, key.data, key.bytes);
    writer->keys.used_bytes += key.bytes;
    writer->ends[writer->count] = (uint32_t)writer->keys.used_bytes;
    writer->rowids[writer->count++] = rowid;
    return true;
}

size_t
btree_block_bytes(const struct btree_block_writer *writer)
{
    return writer->keys.used_bytes + (size_t)writer->count * 8;
}

static struct luma_slice
key_at(const struct btree_block_writer *writer, uint32_t i)
{
    uint32_t from = i == 0 ? 0 : writer->ends[i - 1];
    return luma_slice(writer->keys.data + from, writer->ends[i] - from);
}

/* Keys ascend: what the first and the last share all share. */
static uint32_t
common_prefix(const struct btree_block_writer *writer)
{
    struct luma_slice a = key_at(writer, 0), b = key_at(writer, writer->count - 1);
    uint32_t n = 0;
    while (n < a.bytes && n < b.bytes && a.data[n] == b.data[n])
        n++;
    return n;
}

static void
measure(const struct btree_block_writer *writer, struct btree_block_header *h)
{
    int64_t min = writer->rowids[0], max = min;
    size_t bytes = key_at(writer, 0).bytes;
    h->fixed = 1;
    for (uint32_t i = 0; i < writer->count; i++) {
        min = writer->rowids[i] < min ? writer->rowids[i] : min;
        max = writer->rowids[i] > max ? writer->rowids[i] : max;
        h->fixed = h->fixed != 0 && key_at(writer, i).bytes == bytes;
    }
    uint64_t span = (uint64_t)max - (uint64_t)min;
    h->rowid_base = min;
    h->rowid_bytes = span == 0 ? 0 : (uint8_t)((64 - (uint32_t)__builtin_clzll(span) + 7) / 8);
    h->suffix_bytes = h->fixed != 0
                          ? (uint32_t)bytes - h->prefix_bytes
                          : (uint32_t)writer->keys.used_bytes - writer->count * h->prefix_bytes;
}

bool
btree_block_write(struct btree_block_writer *writer, struct luma_buf *out)
{
    struct btree_block_header h = {.level = writer->level, .count = writer->count};
    h.prefix_bytes = common_prefix(writer);
    measure(writer, &h);
    out->used_bytes = 0;
    size_t need = sizeof(h) + h.prefix_bytes + 4 + ((size_t)writer->count + 1) * 4 +
                  writer->keys.used_bytes + (size_t)writer->count * 8 + 8;
    if (!grow_buf(out, need))
        return false;
    uint8_t *p = out->data;
    memcpy(p, &h, sizeof(h));
    p += sizeof(h);
    if (h.prefix_bytes > 0)
        memcpy(p, writer->keys.data, h.prefix_bytes);
    size_t at = align4(sizeof(h) + h.prefix_bytes);
    memset(p + h.prefix_bytes, 0, at - sizeof(h) - h.prefix_bytes);
    p = out->data + at;
    uint32_t offset = 0;
    for (uint32_t i = 0; h.fixed == 0 && i <= writer->count; i++, p += 4) {
        memcpy(p, &offset, 4);
        if (i < writer->count)
            offset += (uint32_t)key_at(writer, i).bytes - h.prefix_bytes;
    }
    for (uint32_t i = 0; i < writer->count; i++) {
        struct luma_slice key = key_at(writer, i);
        if (key.bytes > h.prefix_bytes)
            memcpy(p, key.data + h.prefix_bytes, key.bytes - h.prefix_bytes);
        p += key.bytes - h.prefix_bytes;
    }
    for (uint32_t i = 0; i < writer->count; i++, p += h.rowid_bytes) {
        uint64_t v = (uint64_t)writer->rowids[i] - (uint64_t)h.rowid_base;
        memcpy(p, &v, 8); /* room has 8 more */
    }
    out->used_bytes = (size_t)(p - out->data);
    writer->count = 0;
    writer->keys.used_bytes = 0;
    return true;
}

void
btree_block_fini(struct btree_block_writer *writer)
{
    free(writer->keys.data);
    free(writer->ends);
    free(writer->rowids);
    memset(writer, 0, sizeof(*writer));
}
