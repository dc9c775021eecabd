/*
 * tests/unit/function/core/test_functions.c - all function packages against PostgreSQL 15's
 * answers.
 *
 * The modules of the build are loaded as they are. Each call runs twice, with flat vectors and with
 * constants known at bind, and both must agree. Aggregates are fed in two halves and merged.
 */
#include <lumadb/host/host.h>
#include <lumadb/host/sched.h>
#include <lumadb/kind/function.h>
#include <lumadb/module.h>

#include <check.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../../lib/suite.h"
#include "base/base.h"
#include "base/ctx.h"
#include "data/data.h"
#include "golden_functions.h"

#define FUNCTIONS_MAX 4000
#define ARGS_MAX      8
#define ROWS          3

static const struct luma_func *functions[FUNCTIONS_MAX];
static size_t functions_count;
static bool complete = true; /* every package was there to load */
static struct luma_host_sched sched;
static struct luma_host host;
static struct luma_arena *arena;
static struct luma_format format;

static int64_t
fixed_clock(void)
{
    return INT64_C(1777777777000000);
}

static void
fixed_random(void *out, size_t bytes)
{
    memset(out, 7, bytes);
}

static void
load(const char *name)
{
    const struct luma_function_package *package;
    const struct luma_module *module;
    struct lk_ctx c;
    char path[128];
    void *handle, *state;

    snprintf(path, sizeof(path), "./.libs/function-%s.so", name);
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        complete = false;
        return;
    }
    module = dlsym(handle, "luma_module_v1");
    ck_assert_ptr_nonnull(module);
    lk_ctx_init(&c, arena);
    ck_assert_int_eq(module->init(&host, NULL, &c.ctx, &state), LUMA_OK);
    package = (const struct luma_function_package *)(const void *)module->offers[0].table;
    for (size_t i = 0; i < package->functions_count && functions_count < FUNCTIONS_MAX; i++)
        functions[functions_count++] = &package->functions[i];
}

static void
load_all(void)
{
    static const char *const names[] = {"core", "numeric",   "string", "datetime",
                                        "json", "aggregate", "system"};

    arena = lk_arena_create(NULL, 0);
    sched.wall_us = fixed_clock;
    sched.random = fixed_random;
    host.data = &lk_data_host;
    host.sched = &sched;
    format = lk_data_format_default;
    for (size_t i = 0; i < LUMA_COUNTOF(names); i++)
        load(names[i]);
}

/* --- finding the signature --- */

static bool
takes(struct luma_type want, struct luma_type have)
{
    switch (want.id) {
    case LUMA_TYPE_ANY:
        return true;
    case LUMA_TYPE_ANYELEMENT:
        return have.id != LUMA_TYPE_ARRAY;
    case LUMA_TYPE_ANYARRAY:
        return have.id == LUMA_TYPE_ARRAY;
    default:
        return want.id == have.id && want.elem == have.elem;
    }
}

static bool
fits(const struct luma_func *f, const char *kind, const char *name, const struct luma_type *types,
     uint32_t count)
{
    bool variadic = (f->flags & LUMA_FUNC_VARIADIC) != 0;

    if (f->flags & LUMA_FUNC_AGGREGATE)
        return strcmp(kind, "agg") == 0 && strcmp(f->name, name) == 0 && f->args_count > 0 &&
               takes(f->args[0], types[0]);
    if (strcmp(kind, "agg") == 0)
        return false;
    if (f->flags & LUMA_FUNC_CAST)
        return strcmp(kind, "cast") == 0 && takes(f->args[0], types[0]) &&
               f->result.id == lk_data_type_by_name(name)->type.id;
    if (strcmp(kind, "cast") == 0 || strcmp(f->name, name) != 0 ||
        ((f->flags & LUMA_FUNC_OPERATOR) != 0) != (strcmp(kind, "op") == 0))
        return false;
    if (variadic ? count + 1 < f->args_count : count != f->args_count)
        return false;
    for (uint32_t a = 0; a < count; a++)
        if (!takes(f->args[a < f->args_count ? a : f->args_count - 1u], types[a]))
            return false;
    return true;
}

static const struct luma_func *
find(const char *kind, const char *name, const struct luma_type *types, uint32_t count)
{
    for (size_t i = 0; i < functions_count; i++)
        if (fits(functions[i], kind, name, types, count))
            return functions[i];
    return NULL;
}

static struct luma_type
result_type(const struct luma_func *f, const struct luma_type *types, uint32_t count)
{
    for (uint32_t a = 0; a < count; a++) {
        if (f->result.id == LUMA_TYPE_ANYARRAY && types[a].id == LUMA_TYPE_ARRAY)
            return types[a];
        if (f->result.id == LUMA_TYPE_ANYARRAY && (f->flags & LUMA_FUNC_AGGREGATE))
            return luma_type_array((enum luma_type_id)types[a].id);
        if (f->result.id == LUMA_TYPE_ANYELEMENT)
            return types[a].id == LUMA_TYPE_ARRAY ? luma_type((enum luma_type_id)types[a].elem)
                                                  : types[a];
    }
    return f->result;
}

/* --- calling --- */

static const char *
text_of(const struct luma_value *v)
{
    return v->is_null ? "NULL" : lk_data_value_text(v, &format, arena);
}

static void
vec_of(const struct luma_value *v, bool constant, struct luma_vec *out)
{
    struct luma_vec one;

    ck_assert_int_eq(lk_data_vec_const(arena, v, constant ? out : &one), LUMA_OK);
    if (!constant)
        ck_assert_int_eq(lk_data_vec_copy(arena, &one, NULL, ROWS, false, out), LUMA_OK);
}

static luma_rc
list_rows(const struct luma_func_call *call, const struct luma_value *vals, uint32_t count,
          char *out, size_t room)
{
    struct luma_batch batch;
    void *state = NULL;
    size_t n = 0;
    int listed = 0;

    LUMA_TRY(call->func->set->open(call, vals, count, &state));
    for (;;) {
        LUMA_TRY(call->func->set->next(call, state, &batch));
        if (batch.rows == 0 || listed >= 50)
            return LUMA_OK;
        for (uint32_t row = 0; row < batch.rows && listed < 50; row++, listed++)
            for (uint32_t k = 0; k < batch.cols_count; k++) {
                struct luma_value v = lk_data_vec_value(&batch.cols[k], row);
                n += (size_t)snprintf(out + n, room - n, "%s%s",
                                      k > 0        ? "="
                                      : listed > 0 ? ";"
                                                   : "",
                                      text_of(&v));
            }
    }
}

static void
call_once(const struct luma_func *f, const struct luma_value *vals, const struct luma_type *types,
          uint32_t count, bool constant, char *out, size_t room)
{
    const struct luma_value *consts[ARGS_MAX];
    struct luma_vec vecs[ARGS_MAX], result;
    struct luma_func_call call = {.arena = arena, .func = f, .format = &format};
    struct luma_value v;
    struct lk_ctx c;
    bool null = false;
    luma_rc rc = LUMA_OK;

    lk_ctx_init(&c, arena);
    call.ctx = &c.ctx;
    call.result = result_type(f, types, count);
    for (uint32_t a = 0; a < count; a++) {
        consts[a] = constant ? &vals[a] : NULL;
        null |= vals[a].is_null;
        vec_of(&vals[a], constant, &vecs[a]);
    }
    out[0] = '\0';
    if (f->bind != NULL)
        rc = f->bind(&call, types, consts, count);
    if (rc == LUMA_OK && f->set != NULL) {
        rc = list_rows(&call, vals, count, out, room);
    } else if (rc == LUMA_OK && null && (f->flags & LUMA_FUNC_STRICT)) {
        snprintf(out, room, "NULL");
    } else if (rc == LUMA_OK) {
        ck_assert(luma_vec_init(&result, arena, call.result, ROWS));
        rc = f->eval(&call, vecs, count, NULL, constant ? 1 : ROWS, &result);
        if (rc == LUMA_OK) {
            v = lk_data_vec_value(&result, constant ? 0 : ROWS - 1);
            snprintf(out, room, "%s", text_of(&v));
        }
    }
    if (rc != LUMA_OK)
        snprintf(out, room, "ERR %s", c.error.sqlstate);
}

static void
aggregate(const struct luma_func *f, struct luma_type type, char **texts, int count, char *out,
          size_t room)
{
    struct luma_func_call call = {.arena = arena, .func = f, .format = &format};
    struct luma_value v, between = {.type = luma_type(LUMA_TYPE_TEXT), .phys = LUMA_PHYS_STR};
    void *halves[2];
    struct lk_ctx c;
    luma_rc rc = LUMA_OK;

    lk_ctx_init(&c, arena);
    call.ctx = &c.ctx;
    call.result = result_type(f, &type, 1);
    between.str = luma_str_make(", ", 2);
    for (int h = 0; h < 2; h++)
        halves[h] = luma_arena_zalloc(arena, f->aggregate->state_bytes);
    for (int i = 0; i < count && rc == LUMA_OK; i++) {
        void *const state[1] = {halves[i * 2 >= count]};
        struct luma_vec vecs[2];
        memset(&v, 0, sizeof(v));
        v.type = type;
        v.phys = (uint8_t)luma_type_phys(type);
        v.is_null = strcmp(texts[i], "\\N") == 0;
        if (v.is_null && f->aggregate->ignores_nulls)
            continue;
        if (!v.is_null)
            rc = lk_data_from_text(&c.ctx, arena, type, &format, luma_slice_text(texts[i]), &v);
        vec_of(&v, true, &vecs[0]);
        vec_of(f->args_count > 1 && f->args[1].id == LUMA_TYPE_TEXT ? &between : &v, true,
               &vecs[1]);
        if (rc == LUMA_OK)
            rc = f->aggregate->update(&call, vecs, f->args_count, NULL, 1, state);
    }
    if (rc == LUMA_OK)
        rc = f->aggregate->merge(&call, halves[0], halves[1]);
    if (rc == LUMA_OK)
        rc = f->aggregate->finish(&call, halves[0], &v);
    if (rc != LUMA_OK)
        snprintf(out, room, "ERR %s", c.error.sqlstate);
    else
        snprintf(out, room, "%s", text_of(&v));
}

/* --- the golden lines --- */

/* "type:text" into a value; false: the text is refused. */
static bool
argument(char *part, struct luma_value *v, char *error, size_t room)
{
    char *colon = strchr(part, ':');
    struct lk_ctx c;

    *colon = '\0';
    memset(v, 0, sizeof(*v));
    v->type = lk_data_type_by_name(part)->type;
    v->phys = (uint8_t)luma_type_phys(v->type);
    v->is_null = strcmp(colon + 1, "\\N") == 0;
    if (v->is_null)
        return true;
    lk_ctx_init(&c, arena);
    if (lk_data_from_text(&c.ctx, arena, v->type, &format, luma_slice_text(colon + 1), v) ==
        LUMA_OK)
        return true;
    snprintf(error, room, "ERR %s", c.error.sqlstate);
    return false;
}

static void
run(char *line, char *got, size_t room)
{
    char *parts[16] = {0}, again[1024];
    struct luma_value vals[ARGS_MAX];
    struct luma_type types[ARGS_MAX];
    const struct luma_func *f;
    uint32_t count = 0;
    int n = 0;

    for (char *p = line; p != NULL && n < 16; n++) {
        parts[n] = p;
        p = strchr(p, '\t');
        if (p != NULL)
            *p++ = '\0';
    }
    if (strcmp(parts[0], "agg") == 0) {
        types[0] = lk_data_type_by_name(parts[2])->type;
        f = find("agg", parts[1], types, 1);
        if (f == NULL)
            snprintf(got, room, "no such function");
        else
            aggregate(f, types[0], parts + 3, n - 3, got, room);
        return;
    }
    for (int i = 2; i < n && parts[i][0] != '\0'; i++, count++) {
        if (!argument(parts[i], &vals[count], got, room))
            return;
        types[count] = vals[count].type;
    }
    f = find(parts[0], parts[1], types, count);
    if (f == NULL) {
        snprintf(got, room, "no such function");
        return;
    }
    call_once(f, vals, types, count, false, got, room);
    call_once(f, vals, types, count, true, again, sizeof(again));
    if (strcmp(got, again) != 0)
        snprintf(got, room, "another answer when constant: %.100s", again);
}

START_TEST(functions_are_what_postgresql_answers)
{
    load_all();
    for (size_t i = 0; i < LUMA_COUNTOF(golden); i++) {
        char line[512], got[1024] = "";
        snprintf(line, sizeof(line), "%s", golden[i].line);
        arena->reset(arena);
        run(line, got, sizeof(got));
        if (!complete && strcmp(got, "no such function") == 0)
            continue;
        ck_assert_msg(strcmp(got, golden[i].result) == 0, "%s: %s instead of %s", golden[i].line,
                      got, golden[i].result);
    }
    lk_arena_destroy(arena);
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, functions_are_what_postgresql_answers);
    return test_run("functions", tc);
}
