/* test_engine_plans.c - plans over random rows, each answer compared with a model of a few lines.
 */
#include <check.h>
#include <stdlib.h>

#include "../../../lib/suite.h"
#include "host_double.h"

#define ROWS_MAX 3000
#define NONE     INT32_MIN /* stands for null in the model */

static struct lk_ctx request;
static struct luma_arena *arena;

/* --- functions the plans call --- */

static luma_rc
eval_eq(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
        const uint16_t *sel, uint32_t rows, struct luma_vec *out)
{
    (void)call;
    (void)args_count;
    for (uint32_t k = 0; k < rows; k++) {
        uint32_t row = sel == NULL ? k : sel[k];
        ((uint8_t *)out->data)[row] = *(const int32_t *)luma_vec_at(&args[0], row) ==
                                      *(const int32_t *)luma_vec_at(&args[1], row);
    }
    return LUMA_OK;
}

static luma_rc
eval_less(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
          const uint16_t *sel, uint32_t rows, struct luma_vec *out)
{
    (void)call;
    (void)args_count;
    for (uint32_t k = 0; k < rows; k++) {
        uint32_t row = sel == NULL ? k : sel[k];
        ((uint8_t *)out->data)[row] = *(const int32_t *)luma_vec_at(&args[0], row) <
                                      *(const int32_t *)luma_vec_at(&args[1], row);
    }
    return LUMA_OK;
}

static const struct luma_func func_eq = {
    .name = "=", .flags = LUMA_FUNC_STRICT | LUMA_FUNC_OPERATOR, .op = LUMA_OP_EQ, .eval = eval_eq};
static const struct luma_func func_less = {.name = "<",
                                           .flags = LUMA_FUNC_STRICT | LUMA_FUNC_OPERATOR,
                                           .op = LUMA_OP_LT,
                                           .eval = eval_less};
static const struct luma_func func_count = {
    .name = "count", .flags = LUMA_FUNC_AGGREGATE, .op = LUMA_OP_COUNT_STAR};
static const struct luma_func func_sum = {
    .name = "sum", .flags = LUMA_FUNC_AGGREGATE, .op = LUMA_OP_SUM};

/* --- plans --- */

static struct luma_type
int4(void)
{
    return luma_type(LUMA_TYPE_INT4);
}

static struct luma_expr *
expr_new(enum luma_expr_kind kind, struct luma_type type)
{
    struct luma_expr *e = LUMA_NEW(arena, struct luma_expr);
    e->kind = kind;
    e->type = type;
    return e;
}

static struct luma_expr *
col(int32_t index, struct luma_type type)
{
    struct luma_expr *e = expr_new(LUMA_EXPR_COL, type);
    e->index = index;
    return e;
}

static struct luma_expr *
call2(const struct luma_func *func, struct luma_expr *a, struct luma_expr *b)
{
    struct luma_expr *e = expr_new(LUMA_EXPR_CALL, luma_type(LUMA_TYPE_BOOL));
    e->func = func;
    e->args_count = 2;
    e->args = LUMA_NEW_ARRAY(arena, struct luma_expr *, 2);
    e->args[0] = a;
    e->args[1] = b;
    return e;
}

static struct luma_plan *
plan_new(enum luma_plan_kind kind, uint32_t cols, struct luma_plan *left, struct luma_plan *right)
{
    struct luma_plan *plan = LUMA_NEW(arena, struct luma_plan);
    struct luma_plan_col *made = LUMA_NEW_ARRAY(arena, struct luma_plan_col, cols + 1);
    for (uint32_t i = 0; i < cols; i++)
        made[i] = (struct luma_plan_col){.name = "c", .type = int4()};
    plan->kind = kind;
    plan->cols_count = cols;
    plan->cols = made;
    plan->children[0] = left;
    plan->children[1] = right;
    plan->children_count = right != NULL ? 2 : left != NULL ? 1 : 0;
    return plan;
}

/* Rows of two columns. */
static struct luma_plan *
values(const int32_t (*rows)[2], uint32_t count)
{
    struct luma_plan *plan = plan_new(LUMA_PLAN_VALUES, 2, NULL, NULL);
    plan->values_rows = count;
    plan->exprs_count = count * 2;
    plan->exprs = LUMA_NEW_ARRAY(arena, struct luma_expr *, count * 2 + 1);
    for (uint32_t i = 0; i < count * 2; i++) {
        struct luma_expr *e = expr_new(LUMA_EXPR_CONST, int4());
        int32_t v = rows[i / 2][i % 2];
        e->value.type = int4();
        e->value.phys = LUMA_PHYS_I32;
        e->value.is_null = v == NONE;
        e->value.i32 = v;
        plan->exprs[i] = e;
    }
    return plan;
}

static int64_t
cell(const struct luma_vec *vec, uint32_t row)
{
    struct luma_value v = lk_data_host.vec_value(vec, row);
    return v.is_null                  ? NONE
           : v.phys == LUMA_PHYS_F64  ? (int64_t)(v.f64 * 1e9)
           : v.phys == LUMA_PHYS_I64  ? v.i64
           : v.phys == LUMA_PHYS_I128 ? (int64_t)v.i128
                                      : v.i32;
}

struct answer {
    uint32_t count, cols;
    int64_t (*rows)[4];
};

static size_t grant; /* bytes of memory a plan may take; 0: what it likes */

static void
limit_memory(size_t bytes)
{
    struct luma_budget *all = lk_budget_root();
    lk_budget_set_limit(all, bytes == 0 ? 0 : lk_budget_used(all) + bytes);
}

static void
run(const struct luma_plan *plan, struct answer *out)
{
    struct luma_query *query;
    struct luma_result *result;
    struct luma_ctx *ctx = &request.ctx;
    memset(out, 0, sizeof(*out));
    out->cols = plan->cols_count;
    out->rows = malloc(sizeof(*out->rows) * 4000000 / 4);
    ck_assert_int_eq(eng_engine.prepare(ctx, NULL, NULL, plan, NULL, 0, &query), LUMA_OK);
    limit_memory(grant);
    luma_rc rc = eng_engine.open(ctx, NULL, NULL, query, NULL, 0, &result);
    ck_assert_msg(rc == LUMA_OK, "%s", request.error.message);
    for (;;) {
        struct luma_batch *batch;
        rc = result->next(ctx, result, &batch);
        ck_assert_msg(rc == LUMA_OK, "%s", request.error.message);
        if (batch->sel_rows == 0)
            break;
        for (uint32_t k = 0; k < batch->sel_rows; k++, out->count++) {
            ck_assert_uint_lt(out->count, 1000000);
            for (uint32_t c = 0; c < out->cols; c++)
                out->rows[out->count][c] = cell(&batch->cols[c], luma_batch_row(batch, k));
            for (uint32_t c = out->cols; c < 4; c++)
                out->rows[out->count][c] = 0;
        }
    }
    ck_assert_uint_eq(result->rows_done, out->count);
    result->close(result);
    limit_memory(0);
    eng_engine.release(query);
}

static int
row_order(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    for (int i = 0; i < 4; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

static void
same_rows(struct answer *got, struct answer *want)
{
    ck_assert_uint_eq(got->count, want->count);
    qsort(got->rows, got->count, sizeof(*got->rows), row_order);
    qsort(want->rows, want->count, sizeof(*want->rows), row_order);
    for (uint32_t i = 0; i < got->count; i++)
        ck_assert_msg(row_order(got->rows[i], want->rows[i]) == 0, "row %u differs", i);
    free(got->rows);
    free(want->rows);
}

/* --- the model --- */

static int32_t left_rows[ROWS_MAX][2], right_rows[ROWS_MAX][2];

static void
fill(int32_t (*rows)[2], uint32_t count, int32_t keys)
{
    for (uint32_t i = 0; i < count; i++) {
        rows[i][0] = rand() % 20 == 0 ? NONE : rand() % keys;
        rows[i][1] = rand() % 50;
    }
}

static void
add(struct answer *out, int64_t a, int64_t b, int64_t c, int64_t d)
{
    int64_t row[4] = {a, b, c, d};
    memcpy(out->rows[out->count++], row, sizeof(row));
}

static bool
pair_holds(uint32_t i, uint32_t k, bool less)
{
    return left_rows[i][0] != NONE && left_rows[i][0] == right_rows[k][0] &&
           (!less || left_rows[i][1] < right_rows[k][1]);
}

static void
model_join(enum luma_join join, uint32_t nl, uint32_t nr, bool less, struct answer *out)
{
    static bool right_matched[ROWS_MAX];
    memset(out, 0, sizeof(*out));
    memset(right_matched, 0, sizeof(right_matched));
    out->rows = malloc(sizeof(*out->rows) * 1000000);
    bool one_side = join == LUMA_JOIN_SEMI || join == LUMA_JOIN_ANTI;
    for (uint32_t i = 0; i < nl; i++) {
        bool matched = false;
        for (uint32_t k = 0; k < nr; k++) {
            if (!pair_holds(i, k, less))
                continue;
            matched = right_matched[k] = true;
            if (!one_side)
                add(out, left_rows[i][0], left_rows[i][1], right_rows[k][0], right_rows[k][1]);
        }
        if (one_side && matched == (join == LUMA_JOIN_SEMI))
            add(out, left_rows[i][0], left_rows[i][1], 0, 0);
        if (!matched && (join == LUMA_JOIN_LEFT || join == LUMA_JOIN_FULL))
            add(out, left_rows[i][0], left_rows[i][1], NONE, NONE);
    }
    for (uint32_t k = 0; k < nr && (join == LUMA_JOIN_RIGHT || join == LUMA_JOIN_FULL); k++)
        if (!right_matched[k])
            add(out, NONE, NONE, right_rows[k][0], right_rows[k][1]);
}

static void
setup(void)
{
    arena = lk_arena_create(NULL, 0);
    lk_ctx_init(&request, arena);
    double_host();
    srand(20261121);
}

static void
teardown(void)
{
    lk_arena_destroy(arena);
}

START_TEST(joins_of_every_kind)
{
    /* few and many keys, sides of very different sizes: either may be built, in place or densely */
    static const uint32_t sizes[][3] = {{200, 300, 40}, {3000, 20, 1000}, {15, 2500, 10},
                                        {500, 500, 3},  {0, 50, 5},       {50, 0, 5}};
    enum luma_join join = (enum luma_join)(LUMA_JOIN_INNER + _i / 2);
    bool less = _i % 2 == 1;
    for (uint32_t s = 0; s < LUMA_COUNTOF(sizes); s++) {
        struct answer got, want;
        fill(left_rows, sizes[s][0], (int32_t)sizes[s][2]);
        fill(right_rows, sizes[s][1], (int32_t)sizes[s][2]);
        bool one_side = join == LUMA_JOIN_SEMI || join == LUMA_JOIN_ANTI;
        struct luma_plan *plan =
            plan_new(LUMA_PLAN_JOIN, one_side ? 2 : 4, values(left_rows, sizes[s][0]),
                     values(right_rows, sizes[s][1]));
        plan->join = join;
        plan->filter = call2(&func_eq, col(0, int4()), col(2, int4()));
        if (less) {
            struct luma_expr *both = expr_new(LUMA_EXPR_AND, luma_type(LUMA_TYPE_BOOL));
            both->args_count = 2;
            both->args = LUMA_NEW_ARRAY(arena, struct luma_expr *, 2);
            both->args[0] = plan->filter;
            both->args[1] = call2(&func_less, col(1, int4()), col(3, int4()));
            plan->filter = both;
        }
        run(plan, &got);
        model_join(join, sizes[s][0], sizes[s][1], less, &want);
        same_rows(&got, &want);
    }
}
END_TEST

static struct luma_expr *
aggregate(const struct luma_func *func, struct luma_expr *arg)
{
    struct luma_expr *e = expr_new(LUMA_EXPR_AGG, luma_type(LUMA_TYPE_INT8));
    e->func = func;
    if (arg != NULL) {
        e->args_count = 1;
        e->args = LUMA_NEW_ARRAY(arena, struct luma_expr *, 1);
        e->args[0] = arg;
    }
    return e;
}

START_TEST(groups_in_order)
{
    static const int32_t keys_of[] = {1, 5, 40, 2000};
    int32_t keys = keys_of[_i];
    int64_t count[2001] = {0}, sum[2001] = {0};
    struct answer got;
    fill(left_rows, ROWS_MAX, keys);
    struct luma_plan *agg = plan_new(LUMA_PLAN_AGGREGATE, 3, values(left_rows, ROWS_MAX), NULL);
    agg->exprs_count = 1;
    agg->exprs = LUMA_NEW_ARRAY(arena, struct luma_expr *, 1);
    agg->exprs[0] = col(0, int4());
    agg->aggs_count = 2;
    agg->aggs = LUMA_NEW_ARRAY(arena, struct luma_expr *, 2);
    agg->aggs[0] = aggregate(&func_count, NULL);
    agg->aggs[1] = aggregate(&func_sum, col(1, int4()));
    struct luma_plan *sort = plan_new(LUMA_PLAN_SORT, 3, agg, NULL);
    struct luma_sort_key *key = LUMA_NEW(arena, struct luma_sort_key);
    key->expr = col(0, int4());
    key->desc = true;
    key->nulls_first = true;
    sort->sort_count = 1;
    sort->sort = key;
    run(sort, &got);
    uint32_t groups = 0;
    for (uint32_t i = 0; i < ROWS_MAX; i++) {
        int32_t k = left_rows[i][0] == NONE ? 2000 : left_rows[i][0];
        groups += count[k]++ == 0;
        sum[k] += left_rows[i][1];
    }
    ck_assert_uint_eq(got.count, groups);
    int64_t before = INT64_MAX;
    for (uint32_t i = 0; i < got.count; i++) {
        int64_t k = got.rows[i][0] == NONE ? 2000 : got.rows[i][0];
        ck_assert_int_lt(k, before); /* nulls first, then down */
        before = k;
        ck_assert_int_eq(got.rows[i][1], count[k]);
        ck_assert_int_eq(got.rows[i][2], sum[k]);
    }
    free(got.rows);
}
END_TEST

/* Top-N keeps what a whole sort would put first. */
START_TEST(top_rows)
{
    struct answer all, top;
    fill(left_rows, ROWS_MAX, 1000000);
    struct luma_sort_key *keys = LUMA_NEW_ARRAY(arena, struct luma_sort_key, 2);
    keys[0].expr = col(1, int4());
    keys[1].expr = col(0, int4());
    keys[1].desc = true;
    struct luma_plan *sort = plan_new(LUMA_PLAN_SORT, 2, values(left_rows, ROWS_MAX), NULL);
    sort->sort_count = 2;
    sort->sort = keys;
    run(sort, &all);
    struct luma_plan *limit = plan_new(LUMA_PLAN_LIMIT, 2, sort, NULL);
    limit->limit = expr_new(LUMA_EXPR_CONST, luma_type(LUMA_TYPE_INT8));
    limit->limit->value =
        (struct luma_value){.type = luma_type(LUMA_TYPE_INT8), .phys = LUMA_PHYS_I64, .i64 = 40};
    limit->offset = expr_new(LUMA_EXPR_CONST, luma_type(LUMA_TYPE_INT8));
    limit->offset->value = limit->limit->value;
    limit->offset->value.i64 = 7;
    run(limit, &top);
    ck_assert_uint_eq(all.count, ROWS_MAX);
    ck_assert_uint_eq(top.count, 40);
    for (uint32_t i = 0; i < top.count; i++)
        ck_assert_int_eq(row_order(top.rows[i], all.rows[i + 7]), 0);
    free(all.rows);
    free(top.rows);
}
END_TEST

static uint32_t
times(const int32_t (*rows)[2], uint32_t count, const int32_t *row)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++)
        n += rows[i][0] == row[0] && rows[i][1] == row[1];
    return n;
}

START_TEST(set_operations)
{
    enum luma_setop what = (enum luma_setop)(LUMA_SETOP_UNION + _i / 2);
    bool all = _i % 2 == 1;
    struct answer got, want = {.rows = malloc(sizeof(*want.rows) * 10000)};
    const uint32_t n = 700;
    for (uint32_t i = 0; i < n; i++) {
        left_rows[i][0] = rand() % 30 == 0 ? NONE : rand() % 9;
        left_rows[i][1] = rand() % 9;
        right_rows[i][0] = rand() % 30 == 0 ? NONE : rand() % 12;
        right_rows[i][1] = rand() % 6;
    }
    struct luma_plan *plan =
        plan_new(LUMA_PLAN_SETOP, 2, values(left_rows, n), values(right_rows, n));
    plan->setop = what;
    plan->all = all;
    run(plan, &got);
    for (int32_t a = -1; a < 12; a++)
        for (int32_t b = 0; b < 9; b++) {
            int32_t row[2] = {a < 0 ? NONE : a, b};
            uint32_t l = times(left_rows, n, row), r = times(right_rows, n, row);
            uint32_t k = what == LUMA_SETOP_UNION       ? l + r
                         : what == LUMA_SETOP_INTERSECT ? (l < r ? l : r)
                         : all                          ? (l > r ? l - r : 0)
                                                        : (r == 0 ? l : 0);
            for (uint32_t i = 0; i < (all || k == 0 ? k : 1); i++)
                add(&want, row[0], row[1], 0, 0);
        }
    same_rows(&got, &want);
}
END_TEST

/* --- more rows than memory: the same answers by way of files --- */

#define SPILL_ROWS 10000

static int32_t many_rows[2][SPILL_ROWS][2];

static void
same_when_short(const struct luma_plan *plan, size_t bytes)
{
    struct answer want, got;
    uint64_t before = double_temps.bytes;
    run(plan, &want);
    ck_assert_uint_eq(double_temps.bytes, before);
    grant = bytes;
    run(plan, &got);
    grant = 0;
    ck_assert_uint_gt(double_temps.bytes, before);
    ck_assert_uint_eq(double_temps.open, 0);
    same_rows(&got, &want);
}

START_TEST(set_operations_on_disk)
{
    for (uint32_t i = 0; i < SPILL_ROWS * 2; i++) {
        int32_t *row = many_rows[i % 2][i / 2];
        row[0] = rand() % 50 == 0 ? NONE : rand() % 1500;
        row[1] = rand() % 2;
    }
    struct luma_plan *plan = plan_new(LUMA_PLAN_SETOP, 2, values(many_rows[0], SPILL_ROWS),
                                      values(many_rows[1], SPILL_ROWS));
    plan->setop = (enum luma_setop)(LUMA_SETOP_UNION + 1 + _i / 2);
    plan->all = _i % 2 == 1;
    same_when_short(plan, (size_t)1000 << 10);
}
END_TEST

static const struct luma_func window_funcs[] = {
    {.name = "row_number"},   {.name = "rank"},      {.name = "dense_rank"},
    {.name = "percent_rank"}, {.name = "cume_dist"}, {.name = "ntile"},
    {.name = "lag"},          {.name = "lead"},      {.name = "first_value"},
    {.name = "last_value"},   {.name = "nth_value"},
};

static struct luma_expr *
const_int4(int32_t v)
{
    struct luma_expr *e = expr_new(LUMA_EXPR_CONST, int4());
    e->value = (struct luma_value){.type = int4(), .phys = LUMA_PHYS_I32, .i32 = v};
    return e;
}

/* A frame from somewhere to somewhere behind it. */
static void
random_frame(struct luma_window *w)
{
    static const int32_t offsets[] = {0, 1, 3, 700, 100000};
    uint32_t a = (uint32_t)rand() % 5, b = (uint32_t)rand() % 5;
    w->start = (enum luma_frame_bound)(a < b ? a : b);
    w->end = (enum luma_frame_bound)(a < b ? b : a);
    if (w->start == LUMA_BOUND_UNBOUNDED_FOLLOWING)
        w->start = LUMA_BOUND_CURRENT;
    if (w->end == LUMA_BOUND_UNBOUNDED_PRECEDING)
        w->end = LUMA_BOUND_CURRENT;
    w->start_offset = const_int4(offsets[rand() % 5]);
    w->end_offset = const_int4(offsets[rand() % 5]);
    w->exclude = (uint8_t)(rand() % 3 == 0 ? rand() % 4 : 0);
}

/* By the first column, and where it matters which of its equals comes first, by the second, too. */
static struct luma_window *
random_window(bool unique)
{
    struct luma_window *w = LUMA_NEW(arena, struct luma_window);
    struct luma_sort_key *order = LUMA_NEW_ARRAY(arena, struct luma_sort_key, 2);
    w->mode = (enum luma_frame_mode)(unique ? 2 * (rand() % 2) : 1 + rand() % 2);
    w->partition_count = (uint32_t)rand() % 2;
    w->partition = LUMA_NEW_ARRAY(arena, struct luma_expr *, 1);
    w->partition[0] = col(0, int4());
    order[0] = (struct luma_sort_key){col(0, int4()), rand() % 2 == 0, rand() % 2 == 0};
    order[1] = (struct luma_sort_key){col(1, int4()), rand() % 2 == 0, false};
    w->order = order;
    w->order_count = unique ? 2 : 1;
    random_frame(w);
    return w;
}

static struct luma_expr *
random_function(void)
{
    uint32_t which = (uint32_t)rand() % (LUMA_COUNTOF(window_funcs) + 4);
    bool ranks = which >= 1 && which <= 4, sums = which >= LUMA_COUNTOF(window_funcs);
    const struct luma_func *func =
        sums ? (which % 2 == 0 ? &func_sum : &func_count) : &window_funcs[which];
    struct luma_type type = luma_type(which == 3 || which == 4 ? LUMA_TYPE_FLOAT8 : LUMA_TYPE_INT8);
    struct luma_expr *e = expr_new(LUMA_EXPR_WINDOW, which >= 6 && !sums ? int4() : type);
    e->func = func;
    e->window = random_window(!ranks && !(sums && rand() % 2 == 0));
    e->args = LUMA_NEW_ARRAY(arena, struct luma_expr *, 3);
    if (which == 5) {
        e->args[e->args_count++] = const_int4(1 + rand() % 9);
    } else if (which > 5 && func != &func_count) {
        e->args[e->args_count++] = col(1, int4());
        if (which == 6 || which == 7 || which == 10)
            e->args[e->args_count++] = const_int4(1 + rand() % (rand() % 2 == 0 ? 5 : 3000));
        if ((which == 6 || which == 7) && rand() % 2 == 0)
            e->args[e->args_count++] = const_int4(-7);
    }
    return e;
}

START_TEST(window_functions_on_disk)
{
    static const int32_t keys_of[] = {1, 6, SPILL_ROWS};
    srand((unsigned)_i);
    for (int32_t i = 0; i < SPILL_ROWS; i++) {
        many_rows[0][i][0] = rand() % 50 == 0 ? NONE : rand() % keys_of[_i % 3];
        many_rows[0][i][1] = (int32_t)((int64_t)i * 7919 % SPILL_ROWS);
    }
    struct luma_plan *plan = plan_new(LUMA_PLAN_WINDOW, 4, values(many_rows[0], SPILL_ROWS), NULL);
    plan->windows_count = 2;
    plan->windows = LUMA_NEW_ARRAY(arena, struct luma_expr *, 2);
    plan->windows[0] = random_function();
    plan->windows[1] = random_function();
    same_when_short(plan, (size_t)1600 << 10);
}
END_TEST

int
main(void)
{
    TCase *t = tcase_create("plans");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, joins_of_every_kind, 0, 12);
    tcase_add_loop_test(t, groups_in_order, 0, 4);
    tcase_add_test(t, top_rows);
    tcase_add_loop_test(t, set_operations, 0, 6);
    tcase_add_loop_test(t, set_operations_on_disk, 0, 4);
    const char *full = getenv("LUMA_TEST_FULL");
    tcase_add_loop_test(t, window_functions_on_disk, 0,
                        full != NULL && strcmp(full, "1") == 0 ? 2000 : 24);
    return test_run("engine_plans", t);
}
