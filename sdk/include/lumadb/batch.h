/*
 * lumadb/batch.h - column batches: the unit of exchange between storage, engine and modules.
 *
 * Up to LUMA_BATCH_ROWS rows in columns. Fixed-width values and validity bitmaps are laid out as
 * the Arrow C data interface lays them out (LSB first, 1 = not null); bool takes a byte, strings
 * are 16-byte views (Arrow's binary view with a pointer in place of buffer index and offset).
 *
 * A vector is FLAT (one value a row), CONST (one value for all rows) or DICT (32-bit codes into a
 * flat dictionary vector). The rows that count are those of the batch's selection, if it has one.
 *
 * Lifetime: a batch and all it points to belong to who produced it and stay valid until the
 * producer is asked for the next one, unless the interface says otherwise.
 */
#ifndef LUMADB_BATCH_H
#define LUMADB_BATCH_H

#include <lumadb/arena.h>
#include <lumadb/type.h>

#define LUMA_BATCH_ROWS 2048

enum luma_vec_form {
    LUMA_VEC_FLAT = 0,
    LUMA_VEC_CONST = 1, /* data holds one value; valid NULL or one bit for it */
    LUMA_VEC_DICT = 2   /* data holds uint32_t codes; valid is of the rows; dict is FLAT, may hold
                           more values than are used and its own validity is NULL */
};

struct luma_vec {
    struct luma_type type;
    uint8_t phys;       /* enum luma_phys of a value; NUMERIC: I64, I128 or STR */
    uint8_t form;       /* enum luma_vec_form */
    int16_t scale;      /* NUMERIC as I64/I128: value = integer / 10^scale */
    uint32_t dict_rows; /* DICT: values in dict */
    void *data;
    uint64_t *valid; /* NULL: no nulls */
    struct luma_vec *dict;
    /* NUMERIC and integers: no |value| (as the integer) exceeds this; 0: not known. Lets arithmetic
     * choose a width that cannot overflow without looking at the values. */
    uint64_t bound;
};

struct luma_batch {
    uint32_t rows;     /* values in each vector */
    uint32_t sel_rows; /* entries of sel; equal to rows when sel is NULL */
    uint16_t *sel;     /* ascending row numbers that count; NULL: all */
    uint32_t cols_count;
    struct luma_vec *cols;
    int64_t *rowids; /* stable row numbers, when the scan was asked for them; else NULL */
};

static inline bool
luma_bit_get(const uint64_t *bits, size_t i)
{
    return bits == NULL || ((bits[i >> 6] >> (i & 63)) & 1);
}

static inline void
luma_bit_set(uint64_t *bits, size_t i)
{
    bits[i >> 6] |= (uint64_t)1 << (i & 63);
}

static inline void
luma_bit_clear(uint64_t *bits, size_t i)
{
    bits[i >> 6] &= ~((uint64_t)1 << (i & 63));
}

#define LUMA_BIT_WORDS(n) (((size_t)(n) + 63) / 64)

/* Index into vec->data (FLAT, CONST) or into dict->data (DICT) of row i. */
static inline size_t
luma_vec_index(const struct luma_vec *vec, size_t i)
{
    return vec->form == LUMA_VEC_FLAT    ? i
           : vec->form == LUMA_VEC_CONST ? 0
                                         : ((const uint32_t *)vec->data)[i];
}

static inline bool
luma_vec_is_null(const struct luma_vec *vec, size_t i)
{
    return vec->valid != NULL && !luma_bit_get(vec->valid, vec->form == LUMA_VEC_CONST ? 0 : i);
}

/* Address of row i's value, whatever the form; undefined content for nulls. */
static inline const void *
luma_vec_at(const struct luma_vec *vec, size_t i)
{
    const struct luma_vec *src = vec->form == LUMA_VEC_DICT ? vec->dict : vec;
    return (const uint8_t *)src->data +
           luma_vec_index(vec, i) * luma_phys_bytes((enum luma_phys)vec->phys);
}

/* Row number of the k-th row that counts. */
static inline uint32_t
luma_batch_row(const struct luma_batch *batch, uint32_t k)
{
    return batch->sel == NULL ? k : batch->sel[k];
}

/* LUMA_BATCH_FOR(batch, row) { ... } visits each row that counts. */
#define LUMA_BATCH_FOR(batch, row)                                                        \
    for (uint32_t luma_k_ = 0, row = 0;                                                   \
         luma_k_ < (batch)->sel_rows && ((row) = luma_batch_row((batch), luma_k_), true); \
         luma_k_++)

/* An empty flat vector with room for `rows` values, data zeroed, no validity; false: no memory. */
static inline bool
luma_vec_init(struct luma_vec *vec, struct luma_arena *arena, struct luma_type type, uint32_t rows)
{
    memset(vec, 0, sizeof(*vec));
    vec->type = type;
    vec->phys = (uint8_t)luma_type_phys(type);
    vec->scale = type.id == LUMA_TYPE_NUMERIC ? type.scale : (int16_t)0;
    vec->data = luma_arena_zalloc(arena, (size_t)(rows == 0 ? 1 : rows) *
                                             luma_phys_bytes((enum luma_phys)vec->phys));
    return vec->data != NULL;
}

/* Gives the vector a validity bitmap with all bits set, unless it has one. */
static inline bool
luma_vec_need_valid(struct luma_vec *vec, struct luma_arena *arena, uint32_t rows)
{
    if (vec->valid == NULL) {
        size_t words = LUMA_BIT_WORDS(rows == 0 ? 1 : rows);
        vec->valid = (uint64_t *)luma_arena_alloc(arena, words * sizeof(uint64_t));
        if (vec->valid == NULL)
            return false;
        memset(vec->valid, 0xff, words * sizeof(uint64_t));
    }
    return true;
}

#endif
