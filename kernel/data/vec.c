/* data/vec.c - values and vectors: getting, setting, copying, comparing, numeric forms. */
#include <math.h>

#include "data/calendar.h"
#include "data/data_priv.h"

struct luma_vec
lki_value_vec(const struct luma_value *value)
{
    static uint64_t none;
    struct luma_vec vec = {.type = value->type,
                           .phys = value->phys,
                           .form = LUMA_VEC_CONST,
                           .scale = value->scale,
                           .data = (void *)(uintptr_t)&value->b,
                           .valid = value->is_null ? &none : NULL};
    return vec;
}

struct luma_value
lk_data_vec_value(const struct luma_vec *vec, uint32_t row)
{
    struct luma_value v = {.type = vec->type, .phys = vec->phys, .scale = vec->scale};

    if (vec->phys == LUMA_PHYS_NONE || luma_vec_is_null(vec, row)) {
        v.is_null = true;
        return v;
    }
    memcpy(&v.b, luma_vec_at(vec, row), luma_phys_bytes((enum luma_phys)vec->phys));
    return v;
}

static luma_rc
copy_str(struct luma_arena *arena, struct luma_str *str)
{
    char *copy;

    if (str->bytes <= LUMA_STR_INLINE_MAX)
        return LUMA_OK;
    copy = luma_arena_alloc_aligned(arena, str->bytes, 8);
    if (copy == NULL)
        return LUMA_E_NOMEM;
    memcpy(copy, str->ptr, str->bytes);
    str->ptr = copy;
    return LUMA_OK;
}

/* A numeric value in the form that the vector has. */
static luma_rc
numeric_in_form(struct luma_arena *arena, const struct luma_value *value, uint8_t phys,
                int16_t scale, struct luma_value *out)
{
    struct luma_str str;
    luma_i128 v;

    *out = *value;
    if (value->phys == phys && (phys == LUMA_PHYS_STR || value->scale == scale))
        return LUMA_OK;
    out->phys = phys;
    out->scale = phys == LUMA_PHYS_STR ? (int16_t)0 : scale;
    if (value->phys == LUMA_PHYS_STR) {
        LUMA_TRY(lk_data_numeric_to_i128(&value->str, scale, &v));
    } else {
        v = value->phys == LUMA_PHYS_I64 ? value->i64 : value->i128;
        if (phys == LUMA_PHYS_STR) {
            LUMA_TRY(lk_data_numeric_from_i128(arena, v, value->scale, &str));
            out->str = str;
            return LUMA_OK;
        }
        if (scale != value->scale) {
            LUMA_TRY(lk_data_numeric_from_i128(arena, v, value->scale, &str));
            LUMA_TRY(lk_data_numeric_to_i128(&str, scale, &v));
        }
    }
    if (phys == LUMA_PHYS_I64) {
        if ((int64_t)v != v)
            return LUMA_E_RANGE;
        out->i64 = (int64_t)v;
    } else {
        out->i128 = v;
    }
    return LUMA_OK;
}

luma_rc
lk_data_vec_set(struct luma_arena *arena, struct luma_vec *out, uint32_t row,
                const struct luma_value *value)
{
    uint32_t width = luma_phys_bytes((enum luma_phys)out->phys);
    struct luma_value v = *value;

    if (value->is_null) {
        if (out->valid == NULL && !luma_vec_need_valid(out, arena, LUMA_BATCH_ROWS))
            return LUMA_E_NOMEM;
        luma_bit_clear(out->valid, row);
        return LUMA_OK;
    }
    if (out->valid != NULL)
        luma_bit_set(out->valid, row);
    if (out->type.id == LUMA_TYPE_NUMERIC)
        LUMA_TRY(numeric_in_form(arena, value, out->phys, out->scale, &v));
    if (out->phys == LUMA_PHYS_STR)
        LUMA_TRY(copy_str(arena, &v.str));
    memcpy((uint8_t *)out->data + (size_t)row * width, &v.b, width);
    return LUMA_OK;
}

luma_rc
lk_data_vec_const(struct luma_arena *arena, const struct luma_value *value, struct luma_vec *out)
{
    struct luma_value v = *value;

    memset(out, 0, sizeof(*out));
    out->type = value->type;
    out->form = LUMA_VEC_CONST;
    out->phys = value->phys;
    if (out->phys == LUMA_PHYS_NONE)
        out->phys = (uint8_t)luma_type_phys(value->type);
    out->scale = value->scale;
    out->data = luma_arena_zalloc(arena, 16);
    if (out->data == NULL)
        return LUMA_E_NOMEM;
    if (value->is_null) {
        out->valid = luma_arena_zalloc(arena, sizeof(uint64_t));
        return out->valid == NULL ? LUMA_E_NOMEM : LUMA_OK;
    }
    if (out->phys == LUMA_PHYS_STR)
        LUMA_TRY(copy_str(arena, &v.str));
    memcpy(out->data, &v.b, luma_phys_bytes((enum luma_phys)out->phys));
    if (out->phys == LUMA_PHYS_I64)
        out->bound = v.i64 < 0 ? -(uint64_t)v.i64 : (uint64_t)v.i64;
    return LUMA_OK;
}

static void
copy_width(const struct luma_vec *vec, const uint16_t *sel, uint32_t rows, uint32_t width,
           void *out)
{
    const uint8_t *base = (const uint8_t *)(vec->form == LUMA_VEC_DICT ? vec->dict : vec)->data;

    if (vec->form == LUMA_VEC_FLAT && sel == NULL) {
        memcpy(out, base, (size_t)rows * width);
        return;
    }
#define COPY_AS(type_)                  \
    for (uint32_t k = 0; k < rows; k++) \
    ((type_ *)out)[k] = ((const type_ *)base)[luma_vec_index(vec, sel == NULL ? k : sel[k])]
    switch (width) {
    case 1:
        COPY_AS(uint8_t);
        break;
    case 2:
        COPY_AS(uint16_t);
        break;
    case 4:
        COPY_AS(uint32_t);
        break;
    case 8:
        COPY_AS(uint64_t);
        break;
    case 16: {
        struct two {
            uint64_t a, b;
        };
        COPY_AS(struct two);
        break;
    }
    default:
        break;
    }
#undef COPY_AS
}

luma_rc
lk_data_vec_copy(struct luma_arena *arena, const struct luma_vec *vec, const uint16_t *sel,
                 uint32_t rows, bool deep, struct luma_vec *out)
{
    uint32_t width = luma_phys_bytes((enum luma_phys)vec->phys);

    memset(out, 0, sizeof(*out));
    out->type = vec->type;
    out->phys = vec->phys;
    out->scale = vec->scale;
    out->bound = vec->bound;
    out->data = luma_arena_alloc(arena, (size_t)(rows == 0 ? 1 : rows) * (width == 0 ? 1 : width));
    if (out->data == NULL)
        return LUMA_E_NOMEM;
    if (width > 0 && rows > 0)
        copy_width(vec, sel, rows, width, out->data);
    if (vec->valid != NULL || vec->phys == LUMA_PHYS_NONE) {
        if (!luma_vec_need_valid(out, arena, rows))
            return LUMA_E_NOMEM;
        for (uint32_t k = 0; k < rows; k++)
            if (vec->phys == LUMA_PHYS_NONE || luma_vec_is_null(vec, sel == NULL ? k : sel[k])) {
                luma_bit_clear(out->valid, k);
                if (width > 0)
                    memset((uint8_t *)out->data + (size_t)k * width, 0, width);
            }
    }
    if (deep && vec->phys == LUMA_PHYS_STR)
        for (uint32_t k = 0; k < rows; k++)
            LUMA_TRY(copy_str(arena, (struct luma_str *)out->data + k));
    return LUMA_OK;
}

/* --- numeric forms --- */

static luma_rc
overflow(struct luma_ctx *ctx, struct luma_type type)
{
    return lki_numeric_overflow(ctx, type);
}

static uint64_t
bound_of_type(struct luma_type type)
{
    return type.mod > 0 && type.mod <= 18 ? (uint64_t)lki_pow10[type.mod] - 1 : 0;
}

/* The integer of one value at the scale of `type`. */
static luma_rc
scaled_integer(const struct luma_vec *vec, uint32_t row, int16_t scale, luma_i128 *out)
{
    const void *at = luma_vec_at(vec, row);
    luma_i128 v, unit;
    int32_t shift = scale - vec->scale;

    if (vec->phys == LUMA_PHYS_STR)
        return lk_data_numeric_to_i128(at, scale, out);
    v = vec->phys == LUMA_PHYS_I64 ? *(const int64_t *)at : *(const luma_i128 *)at;
    if (shift >= 0) {
        if (shift > 38 || __builtin_mul_overflow(v, lki_pow10[shift], out))
            return v == 0 ? (*out = 0, LUMA_OK) : LUMA_E_RANGE;
        return LUMA_OK;
    }
    if (shift < -38) {
        *out = 0;
        return LUMA_OK;
    }
    unit = lki_pow10[-shift];
    *out = v / unit;
    if ((v % unit < 0 ? -(v % unit) : v % unit) >= unit - unit / 2)
        *out += v < 0 ? -1 : 1;
    return LUMA_OK;
}

static luma_rc
to_str_form(struct luma_ctx *ctx, struct luma_arena *arena, const struct luma_vec *vec,
            uint32_t row, struct luma_type type, struct luma_str *out)
{
    const void *at = luma_vec_at(vec, row);
    struct luma_str str;

    if (vec->phys == LUMA_PHYS_STR)
        str = *(const struct luma_str *)at;
    else if (lk_data_numeric_from_i128(
                 arena, vec->phys == LUMA_PHYS_I64 ? *(const int64_t *)at : *(const luma_i128 *)at,
                 vec->scale, &str) != LUMA_OK)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    if (type.mod > 0) { /* a declared precision above 38 digits */
        int16_t weight;
        if (lk_data_numeric_round(arena, &str, type.scale, false, &str) != LUMA_OK)
            return overflow(ctx, type);
        memcpy(&weight, luma_str_data(&str) + 4, 2);
        if (str.bytes > 6 && luma_str_data(&str)[0] <= LKI_NUM_NEG) {
            uint16_t first;
            int32_t digits;
            memcpy(&first, luma_str_data(&str) + 6, 2);
            digits = weight * 4 + (first >= 1000 ? 4 : first >= 100 ? 3 : first >= 10 ? 2 : 1);
            if (digits > type.mod - type.scale)
                return overflow(ctx, type);
        } else if (luma_str_data(&str)[0] > LKI_NUM_NAN) {
            return overflow(ctx, type);
        }
    }
    *out = str;
    return LUMA_OK;
}

luma_rc
lk_data_numeric_vec_as(struct luma_ctx *ctx, struct luma_arena *arena, const struct luma_vec *vec,
                       const uint16_t *sel, uint32_t rows, struct luma_type type,
                       struct luma_vec *out)
{
    enum luma_phys phys = luma_type_phys(type);
    uint32_t room = 0;
    struct luma_vec made;

    for (uint32_t k = 0; k < rows; k++) {
        uint32_t row = sel == NULL ? k : sel[k];
        if (row >= room)
            room = row + 1;
    }
    /* Rows stay where they are: the same selection applies to the result. */
    if (!luma_vec_init(&made, arena, type, room))
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    made.bound = bound_of_type(type);
    for (uint32_t k = 0; k < rows; k++) {
        uint32_t row = sel == NULL ? k : sel[k];
        luma_i128 v;
        if (luma_vec_is_null(vec, row)) {
            if (!luma_vec_need_valid(&made, arena, room))
                return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
            luma_bit_clear(made.valid, row);
            continue;
        }
        if (phys == LUMA_PHYS_STR) {
            LUMA_TRY(to_str_form(ctx, arena, vec, row, type, (struct luma_str *)made.data + row));
            continue;
        }
        if (scaled_integer(vec, row, type.scale, &v) != LUMA_OK || !lki_decimal_fits(v, type.mod))
            return overflow(ctx, type);
        if (phys == LUMA_PHYS_I64)
            ((int64_t *)made.data)[row] = (int64_t)v;
        else
            ((luma_i128 *)made.data)[row] = v;
    }
    *out = made;
    return LUMA_OK;
}

/* --- order --- */

static int
compare_f64(double a, double b)
{
    if (isnan(a) || isnan(b))
        return (isnan(a) != 0) - (isnan(b) != 0);
    return (a > b) - (a < b);
}

static int
compare_i128(luma_i128 a, luma_i128 b)
{
    return (a > b) - (a < b);
}

struct luma_str
lki_num_str_in(const struct lki_num *num, uint8_t bytes[32])
{
    bytes[0] = num->kind;
    bytes[1] = 0;
    memcpy(bytes + 2, &(uint16_t){(uint16_t)num->dscale}, 2);
    memcpy(bytes + 4, &(int16_t){(int16_t)num->weight}, 2);
    if (num->count > 0)
        memcpy(bytes + 6, num->digits, (size_t)num->count * 2);
    return luma_str_make((const char *)bytes, 6 + 2 * (uint32_t)num->count);
}

static struct luma_str
numeric_str_at(const struct luma_vec *vec, const void *at, uint8_t bytes[32])
{
    uint16_t digits[12];
    struct lki_num num;

    if (vec->phys == LUMA_PHYS_STR)
        return *(const struct luma_str *)at;
    num =
        lki_num_of_i128(vec->phys == LUMA_PHYS_I64 ? *(const int64_t *)at : *(const luma_i128 *)at,
                        vec->scale, digits);
    return lki_num_str_in(&num, bytes);
}

static int
compare_numeric(const struct luma_vec *a, const void *pa, const struct luma_vec *b, const void *pb)
{
    uint8_t ba[32], bb[32];
    struct luma_str sa, sb;

    if (a->phys != LUMA_PHYS_STR && b->phys != LUMA_PHYS_STR && a->scale == b->scale)
        return compare_i128(
            a->phys == LUMA_PHYS_I64 ? *(const int64_t *)pa : *(const luma_i128 *)pa,
            b->phys == LUMA_PHYS_I64 ? *(const int64_t *)pb : *(const luma_i128 *)pb);
    sa = numeric_str_at(a, pa, ba);
    sb = numeric_str_at(b, pb, bb);
    return lki_num_compare_str(&sa, &sb);
}

static int
compare_str(struct luma_type type, const struct luma_str *a, const struct luma_str *b)
{
    switch (type.id) {
    case LUMA_TYPE_BPCHAR:
        return luma_slice_compare(luma_slice(luma_str_data(a), lki_bpchar_bytes(a)),
                                  luma_slice(luma_str_data(b), lki_bpchar_bytes(b)));
    case LUMA_TYPE_JSONB:
        return lk_data_doc_compare(luma_str_slice(a), luma_str_slice(b));
    case LUMA_TYPE_ARRAY:
        return lki_array_compare(a, b, type);
    case LUMA_TYPE_VECTOR: {
        uint32_t na = a->bytes / 4, nb = b->bytes / 4;
        for (uint32_t i = 0; i < na && i < nb; i++) {
            float fa, fb;
            int c;
            memcpy(&fa, luma_str_data(a) + 4 * (size_t)i, 4);
            memcpy(&fb, luma_str_data(b) + 4 * (size_t)i, 4);
            c = compare_f64((double)fa, (double)fb);
            if (c != 0)
                return c;
        }
        return (na > nb) - (na < nb);
    }
    default:
        return luma_str_compare(a, b);
    }
}

static bool
is_unsigned(struct luma_type type)
{
    switch (type.id) {
    case LUMA_TYPE_OID:
    case LUMA_TYPE_REGCLASS:
    case LUMA_TYPE_REGTYPE:
    case LUMA_TYPE_REGPROC:
    case LUMA_TYPE_REGNAMESPACE:
    case LUMA_TYPE_XID:
        return true;
    default:
        return false;
    }
}

int
lk_data_compare(const struct luma_vec *a, uint32_t row_a, const struct luma_vec *b, uint32_t row_b)
{
    const void *pa = luma_vec_at(a, row_a), *pb = luma_vec_at(b, row_b);

    if (a->type.id == LUMA_TYPE_NUMERIC)
        return compare_numeric(a, pa, b, pb);
    switch (a->phys) {
    case LUMA_PHYS_BOOL:
        return (*(const uint8_t *)pa != 0) - (*(const uint8_t *)pb != 0);
    case LUMA_PHYS_I16:
        return (int)*(const int16_t *)pa - (int)*(const int16_t *)pb;
    case LUMA_PHYS_I32: {
        int32_t x = *(const int32_t *)pa, y = *(const int32_t *)pb;
        if (is_unsigned(a->type))
            return ((uint32_t)x > (uint32_t)y) - ((uint32_t)x < (uint32_t)y);
        return (x > y) - (x < y);
    }
    case LUMA_PHYS_I64: {
        int64_t x = *(const int64_t *)pa, y = *(const int64_t *)pb;
        return (x > y) - (x < y);
    }
    case LUMA_PHYS_I128:
        return compare_i128(*(const luma_i128 *)pa, *(const luma_i128 *)pb);
    case LUMA_PHYS_F32:
        return compare_f64((double)*(const float *)pa, (double)*(const float *)pb);
    case LUMA_PHYS_F64:
        return compare_f64(*(const double *)pa, *(const double *)pb);
    case LUMA_PHYS_B16:
        if (a->type.id == LUMA_TYPE_INTERVAL)
            return compare_i128(lki_interval_span(pa), lki_interval_span(pb));
        return memcmp(pa, pb, 16);
    case LUMA_PHYS_STR:
        return compare_str(a->type, pa, pb);
    default:
        return 0;
    }
}

int
lk_data_value_compare(const struct luma_value *a, const struct luma_value *b)
{
    struct luma_vec x = lki_value_vec(a), y = lki_value_vec(b);

    return lk_data_compare(&x, 0, &y, 0);
}

bool
lki_num_valid(const struct luma_str *str)
{
    const uint8_t *p = (const uint8_t *)luma_str_data(str);
    uint32_t count;

    if (str->bytes < 6 || str->bytes % 2 != 0 || p[0] > LKI_NUM_NINF || p[1] != 0)
        return false;
    count = (str->bytes - 6) / 2;
    if (p[0] >= LKI_NUM_NAN)
        return count == 0;
    for (uint32_t i = 0; i < count; i++) {
        uint16_t d;
        memcpy(&d, p + 6 + 2 * (size_t)i, 2);
        if (d >= LKI_NUM_BASE || (d == 0 && (i == 0 || i == count - 1)))
            return false;
    }
    return count > 0 || p[0] == LKI_NUM_POS;
}
