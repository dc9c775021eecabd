/*
 * data/tuple.h - the row-wise tuple of the hot tier and the log.
 *
 * A tuple says itself where its columns lie, by column id: no catalogue is needed to read it, and
 * a column added after it was written simply is not in it ("missing": the reader takes the value
 * that ADD COLUMN stored). Dropped columns may stay in old tuples; nobody asks for their ids.
 *
 *   uint32_t bytes      the whole tuple, this header included
 *   uint16_t ids        the tuple knows column ids 1 .. ids; higher ones are missing
 *   uint16_t flags      0
 *   uint8_t  low[]      one bit a column id, (ids + 7) / 8 bytes
 *   uint8_t  high[]     the same; the two bits together say what the column has in the slots:
 *                         low 0, high 0   null: nothing
 *                         low 1, high 0   4 bytes: bool, int2, int4, date, oid, float4
 *                         low 0, high 1   8 bytes: int8, float8, time, timestamp, numeric(<=18)
 *                         low 1, high 1   4 bytes: where its bytes END, counted from the start of
 *                                         the variable part: strings, and values of 16 bytes
 *   slots               in id order, packed
 *   variable part       bytes of the variable columns in id order, packed to the end
 *
 * The place of a slot is two population counts away: O(1) for the first 64 columns, one more step
 * for every 64 after that. Everything is little endian and unaligned.
 */
#ifndef LK_DATA_TUPLE_H
#define LK_DATA_TUPLE_H

#include <lumadb/batch.h>
#include <lumadb/error.h>

#define LK_TUPLE_HEADER_BYTES 8
#define LK_TUPLE_ID_MAX       65535
#define LK_TUPLE_BYTES_MAX    (1u << 30)

struct lk_tuple_column {
    uint32_t id; /* 1 .. LK_TUPLE_ID_MAX, never reused within a collection */
    struct luma_type type;
};

enum lk_tuple_found {
    LK_TUPLE_VALUE,
    LK_TUPLE_NULL,
    LK_TUPLE_MISSING /* written before the column existed */
};

/* Size of a tuple, header included. */
static inline uint32_t
lk_tuple_bytes(const uint8_t *tuple)
{
    uint32_t bytes;
    memcpy(&bytes, tuple, sizeof(bytes));
    return bytes;
}

/*
 * Exact size, then bytes, of the tuple that row `row` of the vectors makes. cols are in ascending
 * order of id; cols[i] is taken from vecs[i] (NULL: null). Columns not given are null up to
 * ids_known, the highest id the collection has. Numeric vectors must be in the table form of their
 * column (data->numeric_vec_as). Any vector form. 0: larger than LK_TUPLE_BYTES_MAX.
 */
size_t lk_tuple_size(const struct lk_tuple_column *cols, uint32_t count, uint32_t ids_known,
                     const struct luma_vec *const *vecs, uint32_t row);
size_t lk_tuple_write(const struct lk_tuple_column *cols, uint32_t count, uint32_t ids_known,
                      const struct luma_vec *const *vecs, uint32_t row, uint8_t *out);

/* Both, into the arena. LUMA_E_LIMIT, LUMA_E_NOMEM. */
LUMA_NODISCARD luma_rc lk_tuple_make(struct luma_arena *arena, const struct lk_tuple_column *cols,
                                     uint32_t count, uint32_t ids_known,
                                     const struct luma_vec *const *vecs, uint32_t row,
                                     const uint8_t **out_tuple);

/* One column; its bytes stay in the tuple. The tuple was checked, or written by this process. */
enum lk_tuple_found lk_tuple_get(const uint8_t *tuple, uint32_t id, struct luma_type type,
                                 struct luma_value *out);

/*
 * Columns of many tuples into flat vectors made with luma_vec_init for at least first + rows
 * values: row i of tuples goes to first + i. missing[c] (may be NULL altogether, or type NONE) is
 * the value of a column that a tuple does not know. Strings borrow the tuples' bytes unless deep.
 * Vectors get a validity bitmap for vec_rows values when the first null is met.
 */
LUMA_NODISCARD luma_rc lk_tuple_decode(struct luma_arena *arena, const uint8_t *const *tuples,
                                       uint32_t first, uint32_t rows, uint32_t vec_rows,
                                       const struct lk_tuple_column *cols, uint32_t count,
                                       const struct luma_value *missing, bool deep,
                                       struct luma_vec *const *out);

/*
 * Are these bytes (from a log or a disk) one whole, sound tuple of these columns? After it
 * lk_tuple_get and lk_tuple_decode with the same columns read nothing outside. LUMA_E_CORRUPT.
 */
LUMA_NODISCARD luma_rc lk_tuple_check(struct luma_slice bytes, const struct lk_tuple_column *cols,
                                      uint32_t count);

#endif
