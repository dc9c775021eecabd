/*
 * bloom.h - the filter before a run, of any kind of index: a bloom filter in lines of 64 bytes. A
 * key has its bits in one line, so that asking costs one miss of the processor's cache.
 *
 * With 10 bits a key one absent key in a hundred is let through. A binary fuse filter of 9 bits
 * lets one in 256 through and costs three misses: behind the filter waits a block that is mostly in
 * memory, and most of what is asked is asked of every run.
 */
#ifndef INDEX_BLOOM_H
#define INDEX_BLOOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOOM_LINE_BYTES 64
#define BLOOM_LINE_BITS  512
#define BLOOM_PROBES     6

static inline size_t
bloom_line(size_t lines, uint64_t hash)
{
    return (size_t)(((unsigned __int128)hash * lines) >> 64);
}

static inline void
bloom_add(uint64_t *words, size_t lines, uint64_t hash)
{
    uint64_t *line = words + bloom_line(lines, hash) * 8;
    uint64_t h = hash * 0x9e3779b97f4a7c15ULL;
    for (int i = 0; i < BLOOM_PROBES; i++, h >>= 9)
        line[h >> 6 & 7] |= (uint64_t)1 << (h & 63);
}

/* False: no key with that hash was added. */
static inline bool
bloom_has(const uint64_t *words, size_t lines, uint64_t hash)
{
    const uint64_t *line = words + bloom_line(lines, hash) * 8;
    uint64_t h = hash * 0x9e3779b97f4a7c15ULL;
    for (int i = 0; i < BLOOM_PROBES; i++, h >>= 9)
        if ((line[h >> 6 & 7] >> (h & 63) & 1) == 0)
            return false;
    return true;
}

#endif
