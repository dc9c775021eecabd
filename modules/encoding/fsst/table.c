/*
 * modules/encoding/fsst/table.c - which symbols a column gets: start with none, write a sample with
 * what there is, count which symbols and which neighbours occur, take the 255 that save most of
 * those and of the neighbours put together; five times over.
 */
#include <stdlib.h>

#include "fsst.h"

#define SAMPLE_BYTES 32768u
#define PIECE_BYTES  512u /* of one string */
#define PIECES_MAX   4096u
#define ROUNDS       5
#define LITERALS     256u /* what counts are of: 0 .. 255 a byte, beyond that a symbol */
#define WORDS        512u
#define NOTHING      WORDS
#define CANDIDATES   16384u /* power of two */

struct fsst_sample {
    uint32_t bytes, pieces;
    uint32_t ends[PIECES_MAX];
    char data[SAMPLE_BYTES + PIECE_BYTES + FSST_SYMBOL_BYTES];
};

struct candidate {
    uint64_t value;
    uint32_t gain;
    uint8_t bytes; /* 0: free */
};

/* What a round keeps. */
struct learn {
    uint32_t ones[WORDS];
    uint16_t twos[WORDS][WORDS];
    uint32_t candidates_count;
    struct candidate candidates[CANDIDATES];
};

struct fsst_sample *
fsst_sample_create(void)
{
    struct fsst_sample *sample = malloc(sizeof(*sample));
    if (sample != NULL)
        sample->bytes = sample->pieces = 0;
    return sample;
}

void
fsst_sample_destroy(struct fsst_sample *sample)
{
    free(sample);
}

bool
fsst_sample_add(struct fsst_sample *sample, const char *data, size_t bytes)
{
    if (sample->bytes >= SAMPLE_BYTES || sample->pieces == PIECES_MAX)
        return false;
    uint32_t n = bytes < PIECE_BYTES ? (uint32_t)bytes : PIECE_BYTES;
    if (n > 0)
        memcpy(sample->data + sample->bytes, data, n);
    sample->bytes += n;
    sample->ends[sample->pieces++] = sample->bytes;
    return true;
}

/* --- matching --- */

static inline uint64_t
mask_of(uint32_t bytes)
{
    return bytes >= 8 ? ~(uint64_t)0 : ((uint64_t)1 << (bytes * 8)) - 1;
}

static inline uint32_t
slot_of(uint64_t word)
{
    return (uint32_t)((word & 0xffffff) * 2971215073u >> 15) & (FSST_SLOTS - 1);
}

static void
matcher_reset(struct fsst_matcher *m)
{
    for (uint32_t i = 0; i < 256; i++)
        m->singles[i] = FSST_ESCAPE | 1 << 8;
    for (uint32_t i = 0; i < 65536; i++)
        m->shorts[i] = FSST_ESCAPE | 1 << 8;
    for (uint32_t i = 0; i < FSST_SLOTS; i++) {
        m->slots[i].bytes = 255;
        m->slots[i].value = 0;
        m->slots[i].mask = 0;
    }
    m->table.count = 0;
    memset(m->table.bytes, 1, sizeof(m->table.bytes));
    memset(m->table.values, 0, sizeof(m->table.values));
}

/* false: another symbol has its slot. */
static bool
matcher_add(struct fsst_matcher *m, uint64_t value, uint32_t bytes)
{
    uint8_t code = (uint8_t)m->table.count;
    if (bytes >= 3) {
        uint32_t slot = slot_of(value);
        if (m->slots[slot].bytes != 255)
            return false;
        m->slots[slot].value = value;
        m->slots[slot].mask = mask_of(bytes);
        m->slots[slot].bytes = (uint8_t)bytes;
        m->slots[slot].code = code;
    } else if (bytes == 2) {
        m->shorts[value & 0xffff] = (uint16_t)(code | 2 << 8);
    } else {
        m->singles[value & 0xff] = (uint16_t)(code | 1 << 8);
        for (uint32_t i = 0; i < 256; i++)
            if (m->shorts[(value & 0xff) | i << 8] >> 8 < 2)
                m->shorts[(value & 0xff) | i << 8] = (uint16_t)(code | 1 << 8);
    }
    m->table.values[code] = value;
    m->table.bytes[code] = (uint8_t)bytes;
    m->table.count++;
    return true;
}

/* The longest symbol of at most `left` bytes that `word` begins with, or the escape: its code and
 * its bytes << 8. Which one it is cannot be foreseen, so there is no branch. */
static inline uint32_t
match(const struct fsst_matcher *m, uint64_t word, size_t left)
{
    uint32_t slot = slot_of(word);
    uint32_t found = left < 2 ? m->singles[word & 0xff] : m->shorts[word & 0xffff];
    uint32_t longer = m->slots[slot].code | (uint32_t)m->slots[slot].bytes << 8;
    bool holds = ((word ^ m->slots[slot].value) & m->slots[slot].mask) == 0;
    bool fits = m->slots[slot].bytes <= left;
    return (holds & fits) ? longer : found;
}

static inline uint64_t
load_word(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

static inline uint8_t *
put(const struct fsst_matcher *m, uint64_t word, size_t left, uint8_t *out, uint32_t *out_step)
{
    uint32_t found = match(m, word, left);
    *out_step = found >> 8;
    out[0] = (uint8_t)found;
    out[1] = (uint8_t)word;
    return out + 1 + ((found & 0xff) == FSST_ESCAPE);
}

size_t
fsst_compress(const struct fsst_matcher *matcher, const char *data, size_t bytes, uint8_t *out)
{
    const char *at = data, *end = data + bytes;
    char tail[16] = {0};
    uint8_t *to = out;
    uint32_t step;
    while (end - at > FSST_SYMBOL_BYTES) {
        to = put(matcher, load_word(at), FSST_SYMBOL_BYTES, to, &step);
        at += step;
    }
    size_t left = (size_t)(end - at);
    if (left > 0)
        memcpy(tail, at, left);
    for (size_t done = 0; done < left; done += step)
        to = put(matcher, load_word(tail + done), left - done, to, &step);
    return (size_t)(to - out);
}

size_t
fsst_compress_few(const struct fsst_table *table, const char *data, size_t bytes, uint8_t *out,
                  size_t room)
{
    size_t codes = 0;
    for (size_t at = 0; at < bytes;) {
        char rest[8] = {0};
        size_t left = bytes - at < 8 ? bytes - at : 8;
        memcpy(rest, data + at, left);
        uint64_t word = load_word(rest);
        uint32_t code = 0;
        while (code < table->count && (table->bytes[code] > left ||
                                       (word & mask_of(table->bytes[code])) != table->values[code]))
            code++;
        if (codes + 2 > room)
            return SIZE_MAX;
        if (code == table->count) {
            out[codes++] = FSST_ESCAPE;
            out[codes++] = (uint8_t)word;
            at++;
        } else {
            out[codes++] = (uint8_t)code;
            at += table->bytes[code];
        }
    }
    return codes;
}

/* --- learning --- */

struct symbol {
    uint64_t value;
    uint32_t bytes;
};

static inline struct symbol
symbol_of(const struct fsst_matcher *m, uint32_t word)
{
    if (word < LITERALS)
        return (struct symbol){word, 1};
    return (struct symbol){m->table.values[word - LITERALS], m->table.bytes[word - LITERALS]};
}

/* Words of a piece, and which follow which. Of a longer symbol the first byte counts as well: what
 * the piece would have without it. */
static void
count_piece(struct learn *learn, const struct fsst_matcher *m, const char *at, const char *end)
{
    uint32_t before = NOTHING;
    while (at < end) {
        size_t left = (size_t)(end - at) < 8 ? (size_t)(end - at) : 8;
        uint64_t text = load_word(at) & mask_of((uint32_t)left);
        uint32_t found = match(m, text, left);
        uint32_t literal = (uint32_t)(text & 0xff), bytes = found >> 8;
        uint32_t word = (found & 0xff) == FSST_ESCAPE ? literal : LITERALS + (found & 0xff);
        learn->ones[word]++;
        if (bytes > 1)
            learn->ones[literal]++;
        if (before != NOTHING) {
            learn->twos[before][word]++;
            if (bytes > 1)
                learn->twos[before][literal]++;
        }
        before = word;
        at += bytes;
    }
}

static void
add_candidate(struct learn *learn, struct symbol symbol, uint32_t gain)
{
    uint64_t hash = (symbol.value ^ symbol.bytes) * 0x9e3779b97f4a7c15ULL;
    uint32_t at = (uint32_t)(hash >> 40) & (CANDIDATES - 1);
    while (learn->candidates[at].bytes != 0) {
        struct candidate *c = &learn->candidates[at];
        if (c->value == symbol.value && c->bytes == symbol.bytes) {
            c->gain += gain;
            return;
        }
        at = (at + 1) & (CANDIDATES - 1);
    }
    if (learn->candidates_count >= CANDIDATES / 4 * 3)
        return;
    learn->candidates_count++;
    learn->candidates[at] = (struct candidate){symbol.value, gain, (uint8_t)symbol.bytes};
}

static void
find_candidates(struct learn *learn, const struct fsst_matcher *m, bool pairs, uint32_t least)
{
    memset(learn->candidates, 0, sizeof(learn->candidates));
    learn->candidates_count = 0;
    for (uint32_t a = 0; a < WORDS; a++) {
        if (learn->ones[a] == 0)
            continue;
        struct symbol first = symbol_of(m, a);
        /* A byte without a symbol takes two: single bytes are worth more than they save. */
        add_candidate(learn, first, learn->ones[a] * first.bytes * (first.bytes == 1 ? 8 : 1));
        if (!pairs || first.bytes == FSST_SYMBOL_BYTES)
            continue;
        for (uint32_t b = 0; b < WORDS; b++) {
            if (learn->twos[a][b] < least)
                continue;
            struct symbol second = symbol_of(m, b);
            uint32_t bytes = first.bytes + second.bytes;
            bytes = bytes < FSST_SYMBOL_BYTES ? bytes : FSST_SYMBOL_BYTES;
            struct symbol both = {
                (first.value | second.value << (first.bytes * 8)) & mask_of(bytes), bytes};
            add_candidate(learn, both, learn->twos[a][b] * bytes);
        }
    }
}

static int
by_gain(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->gain != y->gain)
        return x->gain < y->gain ? 1 : -1;
    return (x->value > y->value) - (x->value < y->value);
}

static int
by_length(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return (x->value > y->value) - (x->value < y->value);
}

static inline uint32_t
bits_of(uint32_t v)
{
    return v == 0 ? 0 : 32 - (uint32_t)__builtin_clz(v);
}

/* Those with the highest gain to the front; of the rest the order does not matter. */
static uint32_t
gather(struct learn *learn)
{
    struct candidate *all = learn->candidates;
    uint32_t count = 0, kept = 0, floor = 0, tally[33] = {0}, above = 0;
    for (uint32_t i = 0; i < CANDIDATES; i++)
        if (all[i].bytes != 0)
            all[count++] = all[i];
    for (uint32_t i = 0; i < count; i++)
        tally[bits_of(all[i].gain)]++;
    for (uint32_t bits = 33; bits-- > 0 && above < 2 * FSST_SYMBOLS_MAX; floor = bits)
        above += tally[bits];
    for (uint32_t i = 0; i < count; i++)
        if (bits_of(all[i].gain) >= floor)
            all[kept++] = all[i];
    qsort(all, kept, sizeof(*all), by_gain);
    return kept;
}

/* The matcher of the best candidates; of those in one slot the best. */
static void
take_best(struct learn *learn, struct fsst_matcher *out)
{
    struct candidate best[FSST_SYMBOLS_MAX];
    uint32_t kept = gather(learn), count = 0;
    matcher_reset(out);
    for (uint32_t i = 0; i < kept && count < FSST_SYMBOLS_MAX; i++)
        if (matcher_add(out, learn->candidates[i].value, learn->candidates[i].bytes))
            best[count++] = learn->candidates[i];
    qsort(best, count, sizeof(best[0]), by_length);
    matcher_reset(out);
    for (uint32_t i = 0; i < count; i++)
        (void)matcher_add(out, best[i].value, best[i].bytes);
}

bool
fsst_learn(const struct fsst_sample *sample, struct fsst_matcher *out)
{
    static const uint32_t shares[ROUNDS] = {8, 38, 68, 98, 128}; /* of 128 pieces */
    struct learn *learn = malloc(sizeof(*learn));
    if (learn == NULL)
        return false;
    matcher_reset(out);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        memset(learn->ones, 0, sizeof(learn->ones));
        memset(learn->twos, 0, sizeof(learn->twos));
        for (uint32_t i = 0; i < sample->pieces; i++) {
            const char *from = sample->data + (i == 0 ? 0 : sample->ends[i - 1]);
            if (i * 37 % 128 < shares[round])
                count_piece(learn, out, from, sample->data + sample->ends[i]);
        }
        uint32_t least = 5 * shares[round] / 128;
        find_candidates(learn, out, round + 1 < ROUNDS, least < 2 ? 2 : least);
        take_best(learn, out);
    }
    free(learn);
    return true;
}

void
fsst_sample_measure(const struct fsst_sample *sample, const struct fsst_matcher *matcher,
                    size_t *out_bytes, size_t *out_codes)
{
    uint8_t codes[PIECE_BYTES * 2 + 2];
    *out_bytes = sample->bytes;
    *out_codes = 0;
    for (uint32_t i = 0; i < sample->pieces; i++) {
        uint32_t from = i == 0 ? 0 : sample->ends[i - 1];
        *out_codes += fsst_compress(matcher, sample->data + from, sample->ends[i] - from, codes);
    }
}
