/*
 * host/check_function.c - every declared signature: well formed, called with nulls, selections and
 * constants on random values, the same answer twice.
 */
#include <lumadb/kind/function.h>

#include <stdio.h>

#include "host/check_priv.h"

#define ROWS 64

static const struct luma_format plain_format = {.extra_float_digits = 1};

static bool
is_concrete(struct luma_type t)
{
    return t.id != LUMA_TYPE_NONE && t.id != LUMA_TYPE_ANY && t.id != LUMA_TYPE_ANYARRAY &&
           t.id != LUMA_TYPE_ANYELEMENT && t.id != LUMA_TYPE_RECORD && t.id != LUMA_TYPE_VOID &&
           t.id < LUMA_TYPE_COUNT_;
}

static void
check_signature(struct lki_check *k, const struct luma_func *f)
{
    bool cast = (f->flags & LUMA_FUNC_CAST) != 0;
    int bodies = (f->eval != NULL) + (f->aggregate != NULL) + (f->set != NULL);
    if (!cast && (f->name == NULL || f->name[0] == '\0'))
        lki_check_wrong(k, "a function has no name");
    else if (f->args_count > LUMA_FUNC_ARGS_MAX)
        lki_check_wrong(k, "%s has more than %d arguments", f->name, LUMA_FUNC_ARGS_MAX);
    else if (bodies != 1)
        lki_check_wrong(k, "%s: exactly one of eval, aggregate and set must be there", f->name);
    else if (f->aggregate != NULL && !(f->flags & LUMA_FUNC_AGGREGATE))
        lki_check_wrong(k, "%s has an aggregate without the flag", f->name);
    else if (f->set != NULL && !(f->flags & LUMA_FUNC_SET))
        lki_check_wrong(k, "%s returns rows without the flag", f->name);
    else if (cast && f->args_count < 1)
        lki_check_wrong(k, "a cast has no argument");
    for (const char *p = cast ? NULL : f->name; k->why == NULL && p != NULL && *p != '\0'; p++)
        if (*p >= 'A' && *p <= 'Z')
            lki_check_wrong(k, "%s: names are lower case", f->name);
}

static bool
same_signature(const struct luma_func *a, const struct luma_func *b)
{
    if (((a->flags | b->flags) & LUMA_FUNC_CAST) || strcmp(a->name, b->name) != 0 ||
        a->args_count != b->args_count ||
        (a->flags & LUMA_FUNC_OPERATOR) != (b->flags & LUMA_FUNC_OPERATOR))
        return false;
    for (uint8_t i = 0; i < a->args_count; i++)
        if (a->args[i].id != b->args[i].id || a->args[i].elem != b->args[i].elem)
            return false;
    return true;
}

static void
check_signatures(struct lki_check *k, const struct luma_function_package *p)
{
    for (size_t i = 0; i < p->functions_count; i++)
        check_signature(k, &p->functions[i]);
    lki_check_done(k, "every signature is well formed");
    for (size_t i = 0; i < p->functions_count && k->failed == 0; i++)
        for (size_t j = 0; j < i; j++)
            if (same_signature(&p->functions[i], &p->functions[j]))
                lki_check_wrong(k, "%s has the same arguments twice", p->functions[i].name);
    lki_check_done(k, "no signature twice");
}

/* Plain values of a type that has a fixed width, and short texts; false: no values made for it. */
static bool
fill_arg(struct lki_check *k, struct luma_vec *vec, struct luma_type type, uint32_t rows)
{
    static const char *const texts[] = {"", "a", "42", "Hello, world", "\xe2\x82\xac uro", "  x  "};
    if (!luma_vec_init(vec, k->arena, type, rows))
        return false;
    for (uint32_t i = 0; i < rows; i++) {
        int64_t n = lk_rand_between(&k->rand, -100, 100);
        const char *text = texts[lk_rand_below(&k->rand, LUMA_COUNTOF(texts))];
        switch (type.id) {
        case LUMA_TYPE_BOOL:
            ((uint8_t *)vec->data)[i] = (uint8_t)(n & 1);
            break;
        case LUMA_TYPE_INT2:
            ((int16_t *)vec->data)[i] = (int16_t)n;
            break;
        case LUMA_TYPE_INT4:
        case LUMA_TYPE_DATE:
        case LUMA_TYPE_OID:
            ((int32_t *)vec->data)[i] = (int32_t)n;
            break;
        case LUMA_TYPE_TIME:
            ((int64_t *)vec->data)[i] = (n + 100) * 400000000;
            break;
        case LUMA_TYPE_INT8:
        case LUMA_TYPE_TIMESTAMP:
        case LUMA_TYPE_TIMESTAMPTZ:
            ((int64_t *)vec->data)[i] = n;
            break;
        case LUMA_TYPE_FLOAT4:
            ((float *)vec->data)[i] = (float)n * 0.5f;
            break;
        case LUMA_TYPE_FLOAT8:
            ((double *)vec->data)[i] = (double)n * 0.25;
            break;
        case LUMA_TYPE_INTERVAL:
            ((struct luma_interval *)vec->data)[i] = (struct luma_interval){n * 1000, (int)n, 1};
            break;
        case LUMA_TYPE_UUID:
            memset((uint8_t *)vec->data + (size_t)i * 16, (int)(n & 0xff), 16);
            break;
        case LUMA_TYPE_TEXT:
        case LUMA_TYPE_VARCHAR:
        case LUMA_TYPE_BPCHAR:
        case LUMA_TYPE_NAME:
        case LUMA_TYPE_BYTEA:
            ((struct luma_str *)vec->data)[i] = luma_str_make(text, (uint32_t)strlen(text));
            break;
        default:
            return false;
        }
    }
    return true;
}

/* One call of a scalar function on fresh arguments. */
struct trial {
    struct luma_func_call call;
    struct luma_vec args[LUMA_FUNC_ARGS_MAX];
    struct luma_vec out;
    uint16_t sel[ROWS];
    uint32_t count;
};

static bool
trial_args(struct lki_check *k, struct trial *t, const struct luma_func *f)
{
    for (uint8_t i = 0; i < f->args_count; i++)
        if (!is_concrete(f->args[i]) || !fill_arg(k, &t->args[i], f->args[i], ROWS))
            return false;
    if (!is_concrete(f->result))
        return false;
    t->call = (struct luma_func_call){.ctx = lki_check_ctx(k),
                                      .arena = k->arena,
                                      .func = f,
                                      .format = &plain_format,
                                      .result = f->result};
    const struct luma_value *consts[LUMA_FUNC_ARGS_MAX] = {NULL};
    return f->bind == NULL || f->bind(&t->call, f->args, consts, f->args_count) == LUMA_OK;
}

static luma_rc
trial_call(struct lki_check *k, struct trial *t, const uint16_t *sel, uint32_t rows)
{
    t->call.ctx = lki_check_ctx(k);
    if (!luma_vec_init(&t->out, k->arena, t->call.result, ROWS))
        return LUMA_E_NOMEM;
    /* As the engine does: the nulls of a strict call are known before it. */
    for (uint8_t i = 0; (t->call.func->flags & LUMA_FUNC_STRICT) && i < t->call.func->args_count;
         i++) {
        if (t->args[i].valid == NULL)
            continue;
        if (!luma_vec_need_valid(&t->out, k->arena, ROWS))
            return LUMA_E_NOMEM;
        for (uint32_t row = 0; row < ROWS; row++)
            if (luma_vec_is_null(&t->args[i], row))
                luma_bit_clear(t->out.valid, row);
    }
    return t->call.func->eval(&t->call, t->args, t->call.func->args_count, sel, rows, &t->out);
}

static bool
out_is_sane(const struct luma_vec *out, uint32_t row)
{
    if (out->form > LUMA_VEC_DICT || out->phys >= LUMA_PHYS_COUNT_ || out->data == NULL)
        return false;
    if (out->phys != LUMA_PHYS_STR || luma_vec_is_null(out, row))
        return true;
    const struct luma_str *s = luma_vec_at(out, row);
    unsigned sum = 0; /* reads every byte: an address sanitizer or a trap has its say */
    for (uint32_t i = 0; i < s->bytes; i++)
        sum += (uint8_t)luma_str_data(s)[i];
    return sum < UINT32_MAX;
}

/* Functions may refuse values (an error for all rows); what they answer must be sane. */
static void
check_rows(struct lki_check *k, struct trial *t, const struct luma_func *f)
{
    luma_rc rc = trial_call(k, t, NULL, ROWS);
    if (rc > 0)
        lki_check_wrong(k, "%s gave %d, which is no code", f->name, rc);
    if (rc != LUMA_OK)
        return;
    for (uint32_t i = 0; i < ROWS; i++)
        if (!out_is_sane(&t->out, i))
            lki_check_wrong(k, "%s: row %u of the result is malformed", f->name, i);
    struct luma_vec all = t->out;
    uint32_t count = 0;
    for (uint16_t i = 0; i < ROWS; i++)
        if (lk_rand_percent(&k->rand, 50))
            t->sel[count++] = i;
    if ((f->flags & LUMA_FUNC_VOLATILE) || trial_call(k, t, t->sel, count) != LUMA_OK)
        return;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = t->sel[i];
        bool null_a = luma_vec_is_null(&all, row), null_b = luma_vec_is_null(&t->out, row);
        if (null_a != null_b || all.phys != t->out.phys)
            lki_check_wrong(k, "%s: a selection changes the answer of row %u", f->name, row);
        else if (!null_a && all.phys == LUMA_PHYS_STR
                     ? !luma_str_equal(luma_vec_at(&all, row), luma_vec_at(&t->out, row))
                     : !null_a && memcmp(luma_vec_at(&all, row), luma_vec_at(&t->out, row),
                                         luma_phys_bytes((enum luma_phys)all.phys)) != 0)
            lki_check_wrong(k, "%s: a selection changes the answer of row %u", f->name, row);
    }
}

/* Strict functions see rows without nulls only; others see all and the nulls among them. */
static void
check_nulls(struct lki_check *k, struct trial *t, const struct luma_func *f)
{
    bool strict = (f->flags & LUMA_FUNC_STRICT) != 0;
    uint32_t count = 0;
    uint64_t some = lk_rand_u64(&k->rand);
    for (uint8_t i = 0; i < f->args_count; i++) {
        size_t bytes = luma_phys_bytes((enum luma_phys)t->args[i].phys);
        if (!luma_vec_need_valid(&t->args[i], k->arena, ROWS))
            return;
        t->args[i].valid[0] = some;
        for (uint32_t row = 0; row < ROWS; row++)
            if (!luma_bit_get(t->args[i].valid, row)) /* what the kernel keeps at nulls */
                memset((uint8_t *)t->args[i].data + row * bytes, 0, bytes);
    }
    for (uint16_t row = 0; row < ROWS; row++)
        if (!strict || (some >> row & 1))
            t->sel[count++] = row;
    luma_rc rc = trial_call(k, t, t->sel, count);
    for (uint32_t i = 0; rc == LUMA_OK && i < count; i++)
        if (!out_is_sane(&t->out, t->sel[i]))
            lki_check_wrong(k, "%s: row %u of the result is malformed", f->name, t->sel[i]);
}

static void
check_consts(struct lki_check *k, struct trial *t, const struct luma_func *f)
{
    for (uint8_t i = 0; i < f->args_count; i++)
        t->args[i].form = LUMA_VEC_CONST;
    luma_rc rc = trial_call(k, t, NULL, ROWS);
    for (uint32_t i = 0; rc == LUMA_OK && i < ROWS; i++)
        if (!out_is_sane(&t->out, i))
            lki_check_wrong(k, "%s: with constants, row %u is malformed", f->name, i);
}

static void
check_calls(struct lki_check *k, const struct luma_function_package *p, const char *name,
            void (*fn)(struct lki_check *k, struct trial *t, const struct luma_func *f))
{
    size_t called = 0;
    char line[128];
    for (size_t i = 0; i < p->functions_count && k->why == NULL; i++) {
        const struct luma_func *f = &p->functions[i];
        struct trial t = {.count = 0};
        /* What depends on a session cannot run without a server. */
        bool pure = !(f->flags & (LUMA_FUNC_STABLE | LUMA_FUNC_VOLATILE));
        if (pure && f->eval != NULL && trial_args(k, &t, f)) {
            fn(k, &t, f);
            called++;
        }
        k->arena->reset(k->arena);
    }
    snprintf(line, sizeof(line), "%s (%zu of %zu signatures)", name, called, p->functions_count);
    lki_check_done(k, line);
}

void
lki_check_function(struct lki_check *k, const struct luma_head *table)
{
    const struct luma_function_package *p = (const struct luma_function_package *)table;
    if (table->size_bytes < sizeof(*p) || p->functions == NULL || p->functions_count == 0)
        lki_check_wrong(k, "it has no functions");
    lki_check_done(k, "its table is complete");
    if (k->failed == 0)
        check_signatures(k, p);
    if (k->failed > 0)
        return;
    check_calls(k, p, "values and selections", check_rows);
    check_calls(k, p, "nulls", check_nulls);
    check_calls(k, p, "constants", check_consts);
}
