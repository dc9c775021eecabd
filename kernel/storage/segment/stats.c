/*
 * storage/segment/stats.c - one pass over a column: what encodings choose by, the zone map, and a
 * sketch of the distinct values (HyperLogLog, Flajolet et al. 2007, 2^10 registers: 3 % error).
 */
#include <math.h>

#include "storage/segment/segment_priv.h"

static inline void
sketch_add(uint8_t *registers, uint64_t hash)
{
    /* Ten bits name the register; the bit set below them ends the count of zeros. */
    uint8_t rank = (uint8_t)(__builtin_clzll(hash << 10 | (uint64_t)1 << 9) + 1);
    uint8_t *at = &registers[hash >> 54];
    if (rank > *at)
        *at = rank;
}

double
lk_sketch_estimate(const uint8_t *registers)
{
    const double m = LKI_SKETCH_REGISTERS;
    double sum = 0;
    uint32_t zeros = 0;
    for (uint32_t i = 0; i < LKI_SKETCH_REGISTERS; i++) {
        sum += 1.0 / (double)((uint64_t)1 << registers[i]);
        zeros += registers[i] == 0;
    }
    double estimate = 0.7213 / (1 + 1.079 / m) * m * m / sum;
    if (estimate <= 2.5 * m && zeros > 0)
        estimate = m * log(m / zeros); /* few values: count the empty registers */
    return estimate;
}

void
lk_sketch_merge(uint8_t *into, const uint8_t *from)
{
    for (uint32_t i = 0; i < LKI_SKETCH_REGISTERS; i++)
        into[i] = from[i] > into[i] ? from[i] : into[i];
}

enum lki_order
lki_order_of(struct luma_type type, uint8_t phys)
{
    switch (type.id) {
    case LUMA_TYPE_OID: /* unsigned */
    case LUMA_TYPE_REGCLASS:
    case LUMA_TYPE_REGTYPE:
    case LUMA_TYPE_REGPROC:
    case LUMA_TYPE_REGNAMESPACE:
    case LUMA_TYPE_XID:
    case LUMA_TYPE_BPCHAR: /* blanks at the end do not count */
        return LKI_ORDER_OTHER;
    case LUMA_TYPE_UUID:
        return LKI_ORDER_BYTES;
    default:
        break;
    }
    switch (phys) {
    case LUMA_PHYS_BOOL:
    case LUMA_PHYS_I16:
    case LUMA_PHYS_I32:
    case LUMA_PHYS_I64:
    case LUMA_PHYS_I128:
        return LKI_ORDER_INT;
    case LUMA_PHYS_F32:
    case LUMA_PHYS_F64:
        return LKI_ORDER_FLOAT;
    case LUMA_PHYS_STR:
        return type.id == LUMA_TYPE_TEXT || type.id == LUMA_TYPE_VARCHAR ||
                       type.id == LUMA_TYPE_NAME || type.id == LUMA_TYPE_BYTEA
                   ? LKI_ORDER_BYTES
                   : LKI_ORDER_OTHER;
    default:
        return LKI_ORDER_OTHER;
    }
}

/* Integers up to 64 bits: runs, order, differences, bounds and sketch in one loop. */
#define DEFINE_MEASURE_INT(name, type)                                               \
    static void name(const type *x, uint32_t rows, struct lki_stats *out)            \
    {                                                                                \
        int64_t previous = x[0], min = previous, max = previous, dmin = 0, dmax = 0; \
        uint32_t runs = 1;                                                           \
        bool sorted = true;                                                          \
        sketch_add(out->sketch, lk_hash_u64((uint64_t)previous));                    \
        for (uint32_t i = 1; i < rows; i++) {                                        \
            int64_t v = x[i];                                                        \
            if (v == previous) {                                                     \
                dmin = dmin < 0 ? dmin : 0;                                          \
                dmax = dmax > 0 ? dmax : 0;                                          \
                continue;                                                            \
            }                                                                        \
            int64_t d = (int64_t)((uint64_t)v - (uint64_t)previous);                 \
            dmin = i == 1 || d < dmin ? d : dmin;                                    \
            dmax = i == 1 || d > dmax ? d : dmax;                                    \
            min = v < min ? v : min;                                                 \
            max = v > max ? v : max;                                                 \
            sorted = sorted && v > previous;                                         \
            runs++;                                                                  \
            sketch_add(out->sketch, lk_hash_u64((uint64_t)v));                       \
            previous = v;                                                            \
        }                                                                            \
        out->enc.runs = runs;                                                        \
        out->enc.sorted = sorted;                                                    \
        out->enc.min = min;                                                          \
        out->enc.max = max;                                                          \
        out->enc.delta_min = (uint64_t)dmin;                                         \
        out->enc.delta_max = (uint64_t)dmax;                                         \
    }

DEFINE_MEASURE_INT(measure_u8, uint8_t)
DEFINE_MEASURE_INT(measure_i16, int16_t)
DEFINE_MEASURE_INT(measure_i32, int32_t)
DEFINE_MEASURE_INT(measure_i64, int64_t)

static void
bound_int(struct lki_stats *out, uint8_t phys)
{
    out->has_min = out->has_max = true;
    switch (phys) {
    case LUMA_PHYS_BOOL:
        out->min.b = out->enc.min != 0;
        out->max.b = out->enc.max != 0;
        break;
    case LUMA_PHYS_I16:
        out->min.i16 = (int16_t)out->enc.min;
        out->max.i16 = (int16_t)out->enc.max;
        break;
    case LUMA_PHYS_I32:
        out->min.i32 = (int32_t)out->enc.min;
        out->max.i32 = (int32_t)out->enc.max;
        break;
    default:
        out->min.i64 = out->enc.min;
        out->max.i64 = out->enc.max;
        break;
    }
}

static void
measure_i128(const luma_i128 *x, uint32_t rows, struct lki_stats *out)
{
    out->min.i128 = out->max.i128 = x[0];
    out->has_min = out->has_max = true;
    out->enc.runs = 1;
    for (uint32_t i = 0; i < rows; i++) {
        luma_i128 v = x[i];
        if (i > 0 && v == x[i - 1])
            continue;
        out->enc.runs += i > 0;
        out->min.i128 = v < out->min.i128 ? v : out->min.i128;
        out->max.i128 = v > out->max.i128 ? v : out->max.i128;
        sketch_add(out->sketch,
                   lk_hash_u64((uint64_t)v ^ lk_hash_u64((uint64_t)((unsigned __int128)v >> 64))));
    }
}

/* PostgreSQL's order: NaN equals itself and is above everything. */
static inline int
compare_f64(double a, double b)
{
    if (isnan(a) || isnan(b))
        return (isnan(a) ? 1 : 0) - (isnan(b) ? 1 : 0);
    return (a > b) - (a < b);
}

static inline double
float_at(const struct luma_vec *vec, uint32_t row)
{
    return vec->phys == LUMA_PHYS_F32 ? (double)((const float *)vec->data)[row]
                                      : ((const double *)vec->data)[row];
}

static void
measure_float(const struct luma_vec *vec, uint32_t rows, struct lki_stats *out)
{
    uint32_t size = luma_phys_bytes((enum luma_phys)vec->phys);
    const uint8_t *data = vec->data;
    double min = float_at(vec, 0), max = min;
    out->enc.runs = 1;
    for (uint32_t i = 0; i < rows; i++) {
        if (i > 0 && memcmp(data + (size_t)i * size, data + (size_t)(i - 1) * size, size) == 0)
            continue;
        double v = float_at(vec, i);
        uint64_t bits;
        memcpy(&bits, &v, sizeof(bits));
        out->enc.runs += i > 0;
        min = compare_f64(v, min) < 0 ? v : min;
        max = compare_f64(v, max) > 0 ? v : max;
        sketch_add(out->sketch, lk_hash_u64(bits));
    }
    out->has_min = out->has_max = true;
    if (vec->phys == LUMA_PHYS_F32) {
        out->min.f32 = (float)min;
        out->max.f32 = (float)max;
    } else {
        out->min.f64 = min;
        out->max.f64 = max;
    }
}

static void
measure_b16(const struct luma_vec *vec, uint32_t rows, struct lki_stats *out)
{
    const uint8_t *data = vec->data, *min = data, *max = data;
    bool ordered = lki_order_of(vec->type, vec->phys) == LKI_ORDER_BYTES;
    out->enc.runs = 1;
    for (uint32_t i = 0; i < rows; i++) {
        const uint8_t *v = data + (size_t)i * 16;
        if (i > 0 && memcmp(v, v - 16, 16) == 0)
            continue;
        out->enc.runs += i > 0;
        if (ordered && memcmp(v, min, 16) < 0)
            min = v;
        if (ordered && memcmp(v, max, 16) > 0)
            max = v;
        sketch_add(out->sketch, lk_hash_bytes(v, 16));
    }
    out->has_min = out->has_max = ordered;
    memcpy(&out->min.uuid, min, 16);
    memcpy(&out->max.uuid, max, 16);
}

static inline uint64_t
string_hash(const struct luma_str *s)
{
    uint64_t w[2];
    if (s->bytes > LUMA_STR_INLINE_MAX)
        return lk_hash_bytes(s->ptr, s->bytes);
    memcpy(w, s, sizeof(w));
    return lk_hash_u64(w[0] ^ lk_hash_u64(w[1] + 1));
}

static void
measure_str(const struct luma_vec *vec, uint32_t rows, struct lki_stats *out)
{
    const struct luma_str *x = vec->data, *min = NULL, *max = NULL;
    bool ordered = lki_order_of(vec->type, vec->phys) == LKI_ORDER_BYTES;
    out->enc.runs = 1;
    for (uint32_t i = 0; i < rows; i++) {
        out->enc.text_bytes += x[i].bytes;
        bool same = i > 0 && luma_str_equal(&x[i], &x[i - 1]);
        out->enc.runs += i > 0 && !same;
        if (!luma_bit_get(vec->valid, i) || (same && luma_bit_get(vec->valid, i - 1)))
            continue;
        sketch_add(out->sketch, string_hash(&x[i]));
        if (!ordered)
            continue;
        min = min == NULL || luma_str_compare(&x[i], min) < 0 ? &x[i] : min;
        max = max == NULL || luma_str_compare(&x[i], max) > 0 ? &x[i] : max;
    }
    if (min != NULL) {
        out->has_min = out->has_max = true;
        out->min.str = *min;
        out->max.str = *max;
    }
}

static void
measure_values(const struct luma_vec *vec, uint32_t rows, struct lki_stats *out)
{
    switch (vec->phys) {
    case LUMA_PHYS_BOOL:
        measure_u8(vec->data, rows, out);
        break;
    case LUMA_PHYS_I16:
        measure_i16(vec->data, rows, out);
        break;
    case LUMA_PHYS_I32:
        measure_i32(vec->data, rows, out);
        break;
    case LUMA_PHYS_I64:
        measure_i64(vec->data, rows, out);
        break;
    case LUMA_PHYS_I128:
        measure_i128(vec->data, rows, out);
        return;
    case LUMA_PHYS_F32:
    case LUMA_PHYS_F64:
        measure_float(vec, rows, out);
        return;
    case LUMA_PHYS_B16:
        measure_b16(vec, rows, out);
        return;
    default:
        measure_str(vec, rows, out);
        return;
    }
    if (lki_order_of(vec->type, vec->phys) == LKI_ORDER_INT)
        bound_int(out, vec->phys);
}

void
lki_stats_measure(const struct luma_vec *vec, uint32_t rows, struct lki_stats *out)
{
    memset(out, 0, sizeof(*out));
    out->enc.rows = rows;
    out->min.type = out->max.type = vec->type;
    out->min.phys = out->max.phys = vec->phys;
    out->min.scale = out->max.scale = vec->scale;
    if (rows == 0)
        return;
    measure_values(vec, rows, out);
    out->all_equal = out->enc.runs == 1;
    double distinct = out->all_equal ? 1 : lk_sketch_estimate(out->sketch);
    out->enc.distinct = distinct >= out->enc.runs ? out->enc.runs : (uint32_t)(distinct + 0.5);
    if (out->enc.distinct == 0)
        out->enc.distinct = 1;
}
