/*
 * storage/segment/pred.c - predicates: judged by zone maps, answered on encoded values, and on
 * decoded ones when an encoding cannot.
 */
#include <math.h>

#include "data/data.h"
#include "storage/segment/segment_priv.h"

#define IN_ENCODED_MAX 16 /* more values are tested on decoded ones */
#define WINDOW         LUMA_BATCH_ROWS

/* --- single values --- */

static inline int
compare_f64(double a, double b)
{
    if (LUMA_UNLIKELY(isnan(a) || isnan(b)))
        return (isnan(a) ? 1 : 0) - (isnan(b) ? 1 : 0);
    return (a > b) - (a < b);
}

static inline luma_i128
int_of(const struct luma_value *v)
{
    switch (v->phys) {
    case LUMA_PHYS_BOOL:
        return v->b;
    case LUMA_PHYS_I16:
        return v->i16;
    case LUMA_PHYS_I32:
        return v->i32;
    case LUMA_PHYS_I64:
        return v->i64;
    default:
        return v->i128;
    }
}

static inline double
float_of(const struct luma_value *v)
{
    return v->phys == LUMA_PHYS_F32 ? (double)v->f32 : v->f64;
}

int
lki_value_compare(const struct luma_value *a, const struct luma_value *b)
{
    if (a->phys == b->phys && a->type.id == b->type.id && a->scale == b->scale) {
        switch (lki_order_of(a->type, a->phys)) {
        case LKI_ORDER_INT: {
            luma_i128 x = int_of(a), y = int_of(b);
            return (x > y) - (x < y);
        }
        case LKI_ORDER_FLOAT:
            return compare_f64(float_of(a), float_of(b));
        case LKI_ORDER_BYTES:
            return a->phys == LUMA_PHYS_STR ? luma_str_compare(&a->str, &b->str)
                                            : memcmp(&a->uuid, &b->uuid, sizeof(a->uuid));
        default:
            break;
        }
    }
    return lk_data_value_compare(a, b);
}

bool
lki_pred_holds(enum luma_pred_op op, int c)
{
    switch (op) {
    case LUMA_PRED_EQ:
        return c == 0;
    case LUMA_PRED_NE:
        return c != 0;
    case LUMA_PRED_LT:
        return c < 0;
    case LUMA_PRED_LE:
        return c <= 0;
    case LUMA_PRED_GT:
        return c > 0;
    default:
        return c >= 0;
    }
}

static bool
bloom_test(const struct luma_pred *pred, const struct luma_value *value)
{
    const struct luma_pred_bloom *bloom = (const void *)pred->values[0].str.ptr;
    struct luma_vec vec = {.type = value->type,
                           .phys = value->phys,
                           .scale = value->scale,
                           .data = (void *)(uintptr_t)&value->uuid};
    uint64_t hash;
    lk_data_hash(&vec, NULL, 1, false, &hash);
    return luma_bloom_has(bloom, hash);
}

bool
lki_pred_test(const struct luma_pred *pred, const struct luma_value *value)
{
    switch (pred->op) {
    case LUMA_PRED_IS_NULL:
        return value->is_null;
    case LUMA_PRED_NOT_NULL:
        return !value->is_null;
    case LUMA_PRED_IN:
        for (uint32_t i = 0; !value->is_null && i < pred->values_count; i++)
            if (lki_value_compare(value, &pred->values[i]) == 0)
                return true;
        return false;
    case LUMA_PRED_BLOOM:
        return !value->is_null && bloom_test(pred, value);
    default:
        return !value->is_null &&
               lki_pred_holds(pred->op, lki_value_compare(value, &pred->values[0]));
    }
}

/* --- zone maps --- */

/* Every value v of the chunk has lo <= v <= hi; exact says that both are values of it. */
struct range {
    struct luma_value lo, hi;
    bool exact;
    bool nulls;
};

static enum lki_verdict
judge_compare(const struct luma_pred *pred, const struct range *r)
{
    int lo = lki_value_compare(&r->lo, &pred->values[0]);
    int hi = lki_value_compare(&r->hi, &pred->values[0]);
    bool never, always;

    switch (pred->op) {
    case LUMA_PRED_EQ:
        never = lo > 0 || hi < 0;
        always = r->exact && lo == 0 && hi == 0;
        break;
    case LUMA_PRED_NE:
        never = r->exact && lo == 0 && hi == 0;
        always = lo > 0 || hi < 0;
        break;
    case LUMA_PRED_LT:
        never = lo >= 0;
        always = hi < 0;
        break;
    case LUMA_PRED_LE:
        never = lo > 0;
        always = hi <= 0;
        break;
    case LUMA_PRED_GT:
        never = hi <= 0;
        always = lo > 0;
        break;
    default:
        never = hi < 0;
        always = lo >= 0;
        break;
    }
    return never ? LKI_NEVER : always && !r->nulls ? LKI_ALWAYS : LKI_SOME;
}

static enum lki_verdict
judge_range(const struct luma_pred *pred, const struct range *r)
{
    if (pred->op == LUMA_PRED_BLOOM) {
        const struct luma_pred_bloom *bloom = (const void *)pred->values[0].str.ptr;
        return bloom->has_range && (lki_value_compare(&r->hi, &bloom->min) < 0 ||
                                    lki_value_compare(&r->lo, &bloom->max) > 0)
                   ? LKI_NEVER
                   : LKI_SOME;
    }
    if (pred->op != LUMA_PRED_IN)
        return judge_compare(pred, r);
    for (uint32_t i = 0; i < pred->values_count; i++)
        if (lki_value_compare(&r->lo, &pred->values[i]) <= 0 &&
            lki_value_compare(&r->hi, &pred->values[i]) >= 0)
            return LKI_SOME;
    return LKI_NEVER;
}

enum lki_verdict
lki_pred_judge(const struct lk_segment *segment, const struct lki_chunk *chunk,
               struct luma_type type, const struct luma_pred *pred)
{
    struct range r;

    if ((chunk->flags & LKI_CHUNK_NULL) != 0)
        return pred->op == LUMA_PRED_IS_NULL ? LKI_ALWAYS : LKI_NEVER;
    if (pred->op == LUMA_PRED_IS_NULL)
        return chunk->nulls == 0 ? LKI_NEVER : LKI_SOME;
    if (pred->op == LUMA_PRED_NOT_NULL)
        return chunk->nulls == 0 ? LKI_ALWAYS : LKI_SOME;
    if (!lki_chunk_min(segment, chunk, type, &r.lo))
        return LKI_SOME;
    if ((chunk->flags & LKI_CHUNK_CONST) != 0)
        return lki_pred_test(pred, &r.lo) ? LKI_ALWAYS : LKI_NEVER;
    if (!lki_chunk_max(segment, chunk, type, &r.hi))
        return LKI_SOME;
    r.exact = (chunk->flags & (LKI_CHUNK_MIN_CUT | LKI_CHUNK_MAX_CUT)) == 0;
    r.nulls = chunk->nulls > 0;
    return judge_range(pred, &r);
}

bool
lk_segment_group_may(const struct lk_segment *segment, uint32_t group,
                     const struct luma_scan_spec *spec)
{
    for (uint32_t i = 0; i < spec->preds_count; i++) {
        int32_t at = lki_segment_col(segment, spec->cols[spec->preds[i].col]);
        /* The bounds of documents with holes say nothing of the whole ones. */
        if (at >= 0 && segment->col[at].role == LKI_SHREDDED &&
            spec->preds[i].op != LUMA_PRED_IS_NULL && spec->preds[i].op != LUMA_PRED_NOT_NULL)
            continue;
        if (at >= 0 &&
            lki_pred_judge(segment, lki_segment_chunk(segment, group, (uint32_t)at),
                           lki_segment_col_type(&segment->col[at]), &spec->preds[i]) == LKI_NEVER)
            return false;
    }
    return true;
}

/* --- on encoded values --- */

static inline void
and_bits(uint64_t *bits, const uint64_t *more, uint32_t n)
{
    for (uint32_t i = 0; i < LUMA_BIT_WORDS(n); i++)
        bits[i] &= more[i];
}

static void
and_valid(uint64_t *bits, const uint64_t *valid, uint32_t n, bool want)
{
    if (valid != NULL)
        for (uint32_t i = 0; i < LUMA_BIT_WORDS(n); i++)
            bits[i] &= want ? valid[i] : ~valid[i];
    else if (!want)
        memset(bits, 0, LUMA_BIT_WORDS(n) * sizeof(*bits));
}

/* Is the encoding's order (signed integers, bytes) that of the type, as far as op asks? */
static bool
order_agrees(const struct lki_pred *p, uint8_t phys)
{
    if (p->order == LKI_ORDER_INT || (p->order == LKI_ORDER_BYTES && phys == LUMA_PHYS_STR))
        return true;
    bool unsigned_int = p->order == LKI_ORDER_OTHER && phys == LUMA_PHYS_I32;
    return unsigned_int && (p->pred->op == LUMA_PRED_EQ || p->pred->op == LUMA_PRED_NE ||
                            p->pred->op == LUMA_PRED_IN);
}

bool
lki_pred_encoded(struct lki_pred *p, const struct lki_loaded *loaded, uint32_t first, uint32_t n,
                 uint64_t *tmp, uint64_t *bits)
{
    const struct luma_pred *pred = p->pred;
    const uint64_t *valid = loaded->valid == NULL ? NULL : loaded->valid + first / 64;
    uint64_t any[WINDOW / 64] = {0};

    if (pred->op == LUMA_PRED_IS_NULL || pred->op == LUMA_PRED_NOT_NULL) {
        and_valid(bits, valid, n, pred->op == LUMA_PRED_NOT_NULL);
        return true;
    }
    if (loaded->encoding->filter == NULL || pred->op == LUMA_PRED_BLOOM ||
        !order_agrees(p, loaded->view.phys))
        return false;
    if (pred->op != LUMA_PRED_IN) {
        if (!loaded->encoding->filter(&loaded->view, first, n, (enum luma_cmp)pred->op,
                                      &pred->values[0], tmp))
            return false;
        and_bits(bits, tmp, n);
    } else {
        if (pred->values_count > IN_ENCODED_MAX)
            return false;
        for (uint32_t i = 0; i < pred->values_count; i++) {
            if (!loaded->encoding->filter(&loaded->view, first, n, LUMA_CMP_EQ, &pred->values[i],
                                          tmp))
                return false;
            for (uint32_t w = 0; w < LUMA_BIT_WORDS(n); w++)
                any[w] |= tmp[w];
        }
        and_bits(bits, any, n);
    }
    and_valid(bits, valid, n, true);
    return true;
}

/* --- on decoded values --- */

void
lki_pred_fini(struct lki_pred *p)
{
    lk_free(NULL, p->dict_ok, p->dict_words * sizeof(uint64_t));
    p->dict_ok = NULL;
    p->dict = NULL;
    p->dict_words = 0;
}

/* value op constant for a flat vector of integers, by the machine's own loops. */
static bool
compare_flat(const struct luma_simd *simd, enum luma_pred_op op, const struct luma_vec *vec,
             const struct luma_value *c, uint32_t n, uint64_t *out)
{
    enum luma_cmp cmp = (enum luma_cmp)op;
    switch (vec->phys) {
    case LUMA_PHYS_BOOL:
        simd->cmp_u8(cmp, vec->data, (uint8_t)c->b, n, out);
        return true;
    case LUMA_PHYS_I16:
        simd->cmp_i16(cmp, vec->data, c->i16, n, out);
        return true;
    case LUMA_PHYS_I32:
        simd->cmp_i32(cmp, vec->data, c->i32, n, out);
        return true;
    case LUMA_PHYS_I64:
        simd->cmp_i64(cmp, vec->data, c->i64, n, out);
        return true;
    default:
        return false;
    }
}

static struct luma_value
value_at(const struct luma_vec *vec, size_t index)
{
    struct luma_value v;
    uint32_t size = luma_phys_bytes((enum luma_phys)vec->phys);
    memset(&v, 0, sizeof(v));
    v.type = vec->type;
    v.phys = vec->phys;
    v.scale = vec->scale;
    memcpy(&v.uuid, (const uint8_t *)vec->data + index * size, size);
    return v;
}

/* Judges the dictionary once; every window of the chunk then tests bits by code. */
static luma_rc
judge_dict(struct luma_ctx *ctx, struct lki_pred *p, const struct luma_vec *vec)
{
    size_t words = LUMA_BIT_WORDS(vec->dict_rows);
    if (p->dict == vec->dict)
        return LUMA_OK;
    if (words > p->dict_words) {
        uint64_t *grown = lk_resize(NULL, p->dict_ok, p->dict_words * 8, words * 8);
        if (grown == NULL)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to test a dictionary");
        p->dict_ok = grown;
        p->dict_words = words;
    }
    memset(p->dict_ok, 0, words * sizeof(uint64_t));
    struct luma_vec typed = *vec->dict;
    typed.type = vec->type;
    typed.scale = vec->scale;
    for (uint32_t i = 0; i < vec->dict_rows; i++) {
        struct luma_value v = value_at(&typed, i);
        if (lki_pred_test(p->pred, &v))
            luma_bit_set(p->dict_ok, i);
    }
    p->dict = vec->dict;
    return LUMA_OK;
}

static void
test_dict(const struct lki_pred *p, const struct luma_vec *vec, uint32_t n, uint64_t *out)
{
    const uint32_t *codes = vec->data;
    for (uint32_t i = 0; i < n; i += 64) {
        uint32_t m = n - i < 64 ? n - i : 64;
        uint64_t word = 0;
        for (uint32_t k = 0; k < m; k++)
            word |= (uint64_t)luma_bit_get(p->dict_ok, codes[i + k]) << k;
        out[i / 64] = word;
    }
}

static void
test_floats(enum luma_pred_op op, const struct luma_vec *vec, double c, uint32_t n, uint64_t *out)
{
    for (uint32_t i = 0; i < n; i++) {
        double v = vec->phys == LUMA_PHYS_F32 ? (double)((const float *)vec->data)[i]
                                              : ((const double *)vec->data)[i];
        if (lki_pred_holds(op, compare_f64(v, c)))
            luma_bit_set(out, i);
    }
}

static void
test_strings(enum luma_pred_op op, const struct luma_vec *vec, const struct luma_str *c,
             const uint64_t *wanted, uint32_t n, uint64_t *out)
{
    const struct luma_str *x = vec->data;
    bool equality = op == LUMA_PRED_EQ || op == LUMA_PRED_NE;
    for (uint32_t i = 0; i < n; i++) {
        if (!luma_bit_get(wanted, i) || !luma_bit_get(vec->valid, i))
            continue;
        bool ok = equality ? luma_str_equal(&x[i], c) == (op == LUMA_PRED_EQ)
                           : lki_pred_holds(op, luma_str_compare(&x[i], c));
        if (ok)
            luma_bit_set(out, i);
    }
}

static void
test_bloom(const struct luma_pred *pred, const struct luma_vec *vec, uint32_t n, uint64_t *out)
{
    const struct luma_pred_bloom *bloom = (const void *)pred->values[0].str.ptr;
    uint64_t hashes[WINDOW / 4];
    struct luma_vec part = *vec;
    uint32_t size = vec->form == LUMA_VEC_DICT ? 4 : luma_phys_bytes((enum luma_phys)vec->phys);

    part.valid = NULL; /* nulls are taken out afterwards */
    for (uint32_t done = 0; done < n; done += WINDOW / 4) {
        uint32_t m = LK_MIN(n - done, (uint32_t)WINDOW / 4);
        part.data = (uint8_t *)vec->data + (size_t)done * size;
        lk_data_hash(&part, NULL, m, false, hashes);
        for (uint32_t i = 0; i < m; i++)
            if (luma_bloom_has(bloom, hashes[i]))
                luma_bit_set(out, done + i);
    }
}

static void
test_each(const struct luma_pred *pred, const struct luma_vec *vec, const uint64_t *wanted,
          uint32_t n, uint64_t *out)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!luma_bit_get(wanted, i) || !luma_bit_get(vec->valid, i))
            continue;
        struct luma_value v = value_at(vec, i);
        if (lki_pred_test(pred, &v))
            luma_bit_set(out, i);
    }
}

static void
test_flat(const struct luma_simd *simd, const struct lki_pred *p, const struct luma_vec *vec,
          uint32_t n, const uint64_t *wanted, uint64_t *out)
{
    const struct luma_pred *pred = p->pred;
    bool compares = pred->op <= LUMA_PRED_GE;

    if (compares && pred->values[0].phys == vec->phys && order_agrees(p, vec->phys) &&
        compare_flat(simd, pred->op, vec, &pred->values[0], n, out))
        return;
    luma_bits_all(out, n, false);
    if (compares && p->order == LKI_ORDER_FLOAT)
        test_floats(pred->op, vec, float_of(&pred->values[0]), n, out);
    else if (compares && p->order == LKI_ORDER_BYTES && vec->phys == LUMA_PHYS_STR)
        test_strings(pred->op, vec, &pred->values[0].str, wanted, n, out);
    else if (pred->op == LUMA_PRED_BLOOM)
        test_bloom(pred, vec, n, out);
    else
        test_each(pred, vec, wanted, n, out);
}

luma_rc
lki_pred_decoded(struct luma_ctx *ctx, const struct luma_simd *simd, struct lki_pred *p,
                 const struct luma_vec *vec, uint32_t n, uint64_t *tmp, uint64_t *bits)
{
    const struct luma_pred *pred = p->pred;

    if (pred->op == LUMA_PRED_IS_NULL || pred->op == LUMA_PRED_NOT_NULL) {
        and_valid(bits, vec->valid, n, pred->op == LUMA_PRED_NOT_NULL);
        return LUMA_OK;
    }
    if (vec->form == LUMA_VEC_CONST) {
        struct luma_value v = value_at(vec, 0);
        v.is_null = luma_vec_is_null(vec, 0);
        if (!lki_pred_test(pred, &v))
            luma_bits_all(bits, n, false);
        return LUMA_OK;
    }
    if (vec->form == LUMA_VEC_DICT && vec->dict_rows <= n * 16) {
        LUMA_TRY(judge_dict(ctx, p, vec));
        test_dict(p, vec, n, tmp);
    } else if (vec->form == LUMA_VEC_DICT) {
        luma_bits_all(tmp, n, false);
        struct luma_vec dict = *vec->dict;
        dict.type = vec->type;
        for (uint32_t i = 0; i < n; i++) {
            struct luma_value v = value_at(&dict, ((const uint32_t *)vec->data)[i]);
            if (luma_bit_get(bits, i) && luma_bit_get(vec->valid, i) && lki_pred_test(pred, &v))
                luma_bit_set(tmp, i);
        }
    } else {
        test_flat(simd, p, vec, n, bits, tmp);
    }
    and_bits(bits, tmp, n);
    and_valid(bits, vec->valid, n, true);
    return LUMA_OK;
}
