/*
 * lumadb/kind/encoding.h - column encodings: how one column of up to 65,536 rows lies in memory and
 * (under a codec) on disk. Unlike codecs they are understood while encoded: one row in O(1), a
 * range or selection decoded, a predicate answered without decoding.
 *
 * Nulls are not the encoding's business: the chunk keeps a validity bitmap beside it; values at
 * null rows are anything on encode (the kernel writes zero/empty) and anything on decode.
 */
#ifndef LUMADB_KIND_ENCODING_H
#define LUMADB_KIND_ENCODING_H

#include <lumadb/batch.h>
#include <lumadb/error.h>
#include <lumadb/kind/simd.h>
#include <lumadb/module.h>

#define LUMA_ENCODING_MAJOR 1
#define LUMA_CHUNK_ROWS_MAX 65536

/* An encoded column opened for reading; the module may keep parsed pointers in words[]. The bytes
 * stay valid and unchanged while it is open. Several threads read one view. */
struct luma_enc_view {
    struct luma_slice bytes;
    uint32_t rows;
    uint8_t phys; /* enum luma_phys of the values */
    uint64_t words[8];
    const struct luma_simd *simd;
    void *room; /* room_bytes of memory that live as long as the view, 64-byte aligned; or NULL */
};

/* Everything a chooser wants to know of a column chunk before it encodes. */
struct luma_enc_stats {
    uint32_t rows, nulls;
    uint32_t runs;                 /* of equal neighbours */
    uint32_t distinct;             /* exact up to 65,536 by sampling or hashing; estimate */
    bool sorted;                   /* ascending */
    int64_t min, max;              /* integers up to 64 bits; else 0 */
    uint64_t delta_min, delta_max; /* of neighbours, as int64 bit patterns */
    uint64_t text_bytes;           /* STR: sum of lengths */
};

enum luma_encoding_flags {
    /* Does a codec's work: it is tried where a VERBATIM one and a codec on top leave more bytes. */
    LUMA_ENCODING_DENSE = 1,
    /* Values as they are, one behind the other. */
    LUMA_ENCODING_VERBATIM = 2
};

struct luma_encoding {
    struct luma_head head;
    uint32_t wire_id;   /* written in segment files: a value is never used twice */
    uint32_t phys_mask; /* 1 << enum luma_phys of what it can encode */
    /* Bytes the column would take, roughly, and in *out_cost the relative price of reading a row
     * (10: plain). SIZE_MAX: not for this column. Must be cheap: looks at stats and a sample. */
    size_t (*estimate)(const struct luma_vec *vec, uint32_t rows,
                       const struct luma_enc_stats *stats, uint32_t *out_cost);
    /* Upper bound of encode's output. */
    size_t (*bound)(const struct luma_vec *vec, uint32_t rows, const struct luma_enc_stats *stats);
    /* vec is FLAT. Output is padded so that reading 16 bytes past used_bytes is the caller's care.
     */
    luma_rc (*encode)(struct luma_ctx *ctx, const struct luma_vec *vec, uint32_t rows,
                      const struct luma_enc_stats *stats, const struct luma_simd *simd,
                      struct luma_buf *dst);
    /* Memory that open wants beside the bytes (a parsed dictionary, say); view has bytes, rows and
     * phys. The bytes are not checked yet: any answer up to 16 times their number + 4 KiB is
     * served, a larger one is LUMA_E_CORRUPT. NULL: none. */
    size_t (*room_bytes)(const struct luma_enc_view *view);
    /* Checks everything that later calls rely on (bytes come from disk): LUMA_E_CORRUPT. bytes,
     * rows, phys, simd and room of view are set; bytes are 64-byte aligned and followed by 16
     * readable bytes. */
    luma_rc (*open)(struct luma_ctx *ctx, struct luma_enc_view *view);
    /*
     * Rows first .. first+n-1 (n <= LUMA_BATCH_ROWS) into out: FLAT into out->data (room for n
     * values is there), or, where it is cheaper, DICT (codes into out->data, which has room for n
     * uint32_t; out->dict stays valid while the view is open) or CONST. Strings may point into view
     * bytes, or into arena where get_into is there.
     */
    luma_rc (*decode)(const struct luma_enc_view *view, uint32_t first, uint32_t n,
                      struct luma_arena *arena, struct luma_vec *out);
    /* Values at first + sel[i] land in out row sel[i]; the others are undefined. NULL: kernel
     * decodes all. */
    luma_rc (*decode_sel)(const struct luma_enc_view *view, uint32_t first, uint32_t n,
                          const uint16_t *sel, uint32_t sel_rows, struct luma_arena *arena,
                          struct luma_vec *out);
    /* One value, O(1) or O(log runs). out points at luma_phys_bytes(phys). NULL: get_into is there.
     */
    void (*get)(const struct luma_enc_view *view, uint32_t row, void *out);
    /* Bitmap of rows first..first+n-1 whose value op constant; constant has the view's phys (and
     * scale). Answers false when it cannot (the kernel then decodes). May be NULL. */
    bool (*filter)(const struct luma_enc_view *view, uint32_t first, uint32_t n, enum luma_cmp op,
                   const struct luma_value *constant, uint64_t *out_bits);
    uint32_t flags; /* enum luma_encoding_flags */
    /* As get, for values that have to be put together: a string's bytes lie in arena. */
    luma_rc (*get_into)(const struct luma_enc_view *view, uint32_t row, struct luma_arena *arena,
                        void *out);
};

/* One value, whichever way the encoding has. */
static inline luma_rc
luma_enc_get(const struct luma_encoding *encoding, const struct luma_enc_view *view, uint32_t row,
             struct luma_arena *arena, void *out)
{
    if (LUMA_HAS(encoding, get_into) && encoding->get_into != NULL)
        return encoding->get_into(view, row, arena, out);
    encoding->get(view, row, out);
    return LUMA_OK;
}

/* Value `row` of packed values of `bits` (0..64) each, as luma_simd packs them. Reads up to 16
 * bytes from the value's first byte on. */
static inline uint64_t
luma_packed_get(const uint8_t *packed, uint32_t bits, size_t row)
{
    if (bits == 0)
        return 0;
    size_t at = row * bits;
    uint64_t lo;
    memcpy(&lo, packed + (at >> 3), sizeof(lo));
    uint32_t shift = (uint32_t)(at & 7);
    lo >>= shift;
    if (shift + bits > 64)
        lo |= (uint64_t)packed[(at >> 3) + 8] << (64 - shift);
    return bits == 64 ? lo : lo & (((uint64_t)1 << bits) - 1);
}

/* Bytes of n packed values. */
static inline size_t
luma_packed_bytes(uint32_t bits, size_t n)
{
    return (n * bits + 7) / 8;
}

/* Sets bits first .. first+n-1. */
static inline void
luma_bits_fill(uint64_t *bits, size_t first, size_t n)
{
    for (; n > 0 && (first & 63) != 0; first++, n--)
        bits[first >> 6] |= (uint64_t)1 << (first & 63);
    for (; n >= 64; first += 64, n -= 64)
        bits[first >> 6] = ~(uint64_t)0;
    if (n > 0)
        bits[first >> 6] |= (((uint64_t)1 << n) - 1);
}

/* All of n bits zero or one; the tail of the last word is zero. */
static inline void
luma_bits_all(uint64_t *bits, size_t n, bool one)
{
    memset(bits, 0, LUMA_BIT_WORDS(n) * sizeof(uint64_t));
    if (one)
        luma_bits_fill(bits, 0, n);
}

#define LUMA_ENCODING_HEAD                                   \
    {                                                        \
        sizeof(struct luma_encoding), LUMA_ENCODING_MAJOR, 0 \
    }

#endif
