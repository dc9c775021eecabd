/*
 * data/hash.c - hashes of values: equal values alike, whatever their physical form.
 *
 * Integers, dates and times are lk_hash_u64 of the sign-extended value, so that the SIMD loop over
 * 64-bit words gives the same.
 */
#include <math.h>

#include "base/base.h"
#include "data/calendar.h"
#include "data/data_priv.h"
#include "data/doc.h"

#define NULL_HASH UINT64_C(0x9ae16a3b2f90404f)

uint64_t
lki_hash_decimal(luma_i128 v, int32_t scale)
{
    if ((int64_t)v == v) {
        int64_t m = (int64_t)v;
        while (scale > 0 && m % 10 == 0) {
            m /= 10;
            scale--;
            if (m == 0)
                scale = 0;
        }
        return lk_hash_u64((uint64_t)m ^ (uint64_t)scale << 56);
    }
    while (scale > 0 && v % 10 == 0) {
        v /= 10;
        scale--;
    }
    if ((int64_t)v == v)
        return lk_hash_u64((uint64_t)v ^ (uint64_t)scale << 56);
    return lk_hash_combine(lk_hash_u64((uint64_t)v ^ (uint64_t)scale << 56),
                           (uint64_t)((unsigned __int128)v >> 64));
}

uint64_t
lki_hash_numeric(const struct luma_str *str)
{
    const uint8_t *p = (const uint8_t *)luma_str_data(str);
    uint32_t count = str->bytes < 6 ? 0 : (str->bytes - 6) / 2;
    int16_t weight;
    uint16_t last;
    int32_t scale;
    luma_i128 v;

    if (str->bytes < 6 || p[0] >= LKI_NUM_NAN)
        return lk_hash_u64(0x5bd1e995u + (str->bytes < 6 ? 2u : p[0]));
    if (count == 0)
        return lki_hash_decimal(0, 0);
    memcpy(&weight, p + 4, 2);
    memcpy(&last, p + 4 + 2 * (size_t)count, 2);
    scale = 4 * ((int32_t)count - 1 - weight);
    if (scale > 0)
        scale -= last % 1000 == 0 ? 3 : last % 100 == 0 ? 2 : last % 10 == 0 ? 1 : 0;
    if (scale < 0)
        scale = 0;
    if (scale < 39 && lk_data_numeric_to_i128(str, (int16_t)scale, &v) == LUMA_OK)
        return lki_hash_decimal(v, scale);
    return lk_hash_combine(lk_hash_bytes(p + 6, 2 * (size_t)count),
                           (uint64_t)(uint16_t)weight << 8 | p[0]);
}

static uint64_t
hash_f64(double d)
{
    uint64_t bits;

    if (isnan(d))
        bits = UINT64_C(0x7ff8000000000000);
    else if (d == 0)
        bits = 0;
    else
        memcpy(&bits, &d, sizeof(bits));
    return lk_hash_u64(bits);
}

static uint64_t
hash_str(const struct luma_str *str, struct luma_type type)
{
    switch (type.id) {
    case LUMA_TYPE_NUMERIC:
        return lki_hash_numeric(str);
    case LUMA_TYPE_BPCHAR:
        return lk_hash_bytes(luma_str_data(str), lki_bpchar_bytes(str));
    case LUMA_TYPE_JSONB:
        return lki_doc_hash(luma_str_slice(str));
    case LUMA_TYPE_ARRAY:
        return lki_array_hash(str, type);
    default:
        return lk_hash_bytes(luma_str_data(str), str->bytes);
    }
}

static uint64_t
hash_one(const struct luma_vec *vec, uint32_t row)
{
    const void *at;

    if (vec->phys == LUMA_PHYS_NONE || luma_vec_is_null(vec, row))
        return NULL_HASH;
    at = luma_vec_at(vec, row);
    switch (vec->phys) {
    case LUMA_PHYS_BOOL:
        return lk_hash_u64(*(const uint8_t *)at != 0);
    case LUMA_PHYS_I16:
        return lk_hash_u64((uint64_t)(int64_t) * (const int16_t *)at);
    case LUMA_PHYS_I32:
        return lk_hash_u64((uint64_t)(int64_t) * (const int32_t *)at);
    case LUMA_PHYS_I64:
        if (vec->type.id == LUMA_TYPE_NUMERIC)
            return lki_hash_decimal(*(const int64_t *)at, vec->scale);
        return lk_hash_u64(*(const uint64_t *)at);
    case LUMA_PHYS_I128:
        return lki_hash_decimal(*(const luma_i128 *)at, vec->scale);
    case LUMA_PHYS_F32:
        return hash_f64((double)*(const float *)at);
    case LUMA_PHYS_F64:
        return hash_f64(*(const double *)at);
    case LUMA_PHYS_B16: {
        uint64_t w[2];
        if (vec->type.id == LUMA_TYPE_INTERVAL) {
            luma_i128 span = lki_interval_span(at);
            memcpy(w, &span, 16);
        } else {
            memcpy(w, at, 16);
        }
        return lk_hash_combine(lk_hash_u64(w[0]), w[1]);
    }
    default:
        return hash_str(at, vec->type);
    }
}

/* Flat words without nulls, the case that matters. */
static bool
hash_words(const struct luma_vec *vec, const uint16_t *sel, uint32_t rows, bool combine,
           uint64_t *out)
{
    bool wide = vec->phys == LUMA_PHYS_I64 && vec->type.id != LUMA_TYPE_NUMERIC;

    if (vec->form != LUMA_VEC_FLAT || vec->valid != NULL || (!wide && vec->phys != LUMA_PHYS_I32))
        return false;
    for (uint32_t k = 0; k < rows; k++) {
        uint32_t row = sel == NULL ? k : sel[k];
        uint64_t h = lk_hash_u64(wide ? ((const uint64_t *)vec->data)[row]
                                      : (uint64_t)(int64_t)((const int32_t *)vec->data)[row]);
        out[k] = combine ? lk_hash_combine(out[k], h) : h;
    }
    return true;
}

/* Few different values: each is hashed once. */
static bool
hash_dict(const struct luma_vec *vec, const uint16_t *sel, uint32_t rows, bool combine,
          uint64_t *out)
{
    uint64_t hashes[LUMA_BATCH_ROWS];

    if (vec->form != LUMA_VEC_DICT || vec->dict_rows > rows / 2 ||
        vec->dict_rows > LUMA_COUNTOF(hashes))
        return false;
    for (uint32_t code = 0; code < vec->dict_rows; code++)
        hashes[code] = hash_one(vec->dict, code);
    for (uint32_t k = 0; k < rows; k++) {
        uint32_t row = sel == NULL ? k : sel[k];
        bool null = vec->valid != NULL && !luma_bit_get(vec->valid, row);
        uint64_t h = null ? NULL_HASH : hashes[((const uint32_t *)vec->data)[row]];
        out[k] = combine ? lk_hash_combine(out[k], h) : h;
    }
    return true;
}

void
lk_data_hash(const struct luma_vec *vec, const uint16_t *sel, uint32_t rows, bool combine,
             uint64_t *out)
{
    if (hash_words(vec, sel, rows, combine, out) || hash_dict(vec, sel, rows, combine, out))
        return;
    for (uint32_t k = 0; k < rows; k++) {
        uint64_t h = hash_one(vec, sel == NULL ? k : sel[k]);
        out[k] = combine ? lk_hash_combine(out[k], h) : h;
    }
}
