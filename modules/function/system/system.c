/*
 * system.c - the package: its table of functions made from the lists of its files, and what those
 * files share.
 */
#include "system.h"

#include <lumadb/kind/function_util.h>

#include <stdio.h>
#include <stdlib.h>

#define FUNCTIONS_MAX 256u

const struct luma_host *system_host;

static struct luma_func functions[FUNCTIONS_MAX];
static system_fn bodies[FUNCTIONS_MAX]; /* of functions[i] */

/* ---- values ---- */

luma_rc
system_set_text(struct system_row *row, const char *text)
{
    if (text == NULL)
        return LUMA_OK;
    const char *copy = luma_arena_text(row->arena, text, strlen(text));
    if (copy == NULL)
        return LUMA_FAIL(row->ctx, LUMA_E_NOMEM, "out of memory");
    row->out->is_null = false;
    row->out->phys = LUMA_PHYS_STR;
    row->out->str = luma_str_make(copy, (uint32_t)strlen(copy));
    return LUMA_OK;
}

luma_rc
system_set_bool(struct system_row *row, bool value)
{
    row->out->is_null = false;
    row->out->b = value;
    return LUMA_OK;
}

luma_rc
system_set_int(struct system_row *row, int64_t value)
{
    row->out->is_null = false;
    if (row->out->phys == LUMA_PHYS_I32)
        row->out->i32 = (int32_t)value;
    else if (row->out->phys == LUMA_PHYS_I16)
        row->out->i16 = (int16_t)value;
    else
        row->out->i64 = value;
    return LUMA_OK;
}

const char *
system_format(struct system_row *row, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int bytes = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = luma_arena_alloc(row->arena, (size_t)bytes + 1);
    if (text != NULL)
        vsnprintf(text, (size_t)bytes + 1, fmt, again);
    va_end(again);
    return system_need(row, text);
}

const char *
system_need(struct system_row *row, const char *text)
{
    row->no_memory = row->no_memory || text == NULL;
    return text != NULL ? text : "";
}

const char *
system_text(struct system_row *row, uint32_t arg)
{
    const struct luma_str *s = &row->args[arg].str;
    return system_need(row, luma_arena_text(row->arena, luma_str_data(s), s->bytes));
}

uint32_t
system_oid(const struct system_row *row, uint32_t arg)
{
    return (uint32_t)row->args[arg].i32;
}

const struct luma_cat_object *
system_object(const struct system_row *row, uint64_t id)
{
    return row->view != NULL && id != 0 ? system_host->catalog->by_id(row->view, id) : NULL;
}

/* ---- names ---- */

static const char *
path_item(const char *p, char *out, size_t room)
{
    size_t n = 0;
    while (*p == ' ' || *p == ',')
        p++;
    if (*p == '\0')
        return NULL;
    bool quoted = *p == '"';
    for (p += quoted; *p != '\0' && (quoted ? *p != '"' : *p != ',' && *p != ' '); p++)
        if (n + 1 < room)
            out[n++] = *p;
    out[n] = '\0';
    return p + (quoted && *p == '"');
}

uint32_t
system_path(const struct system_row *row, uint64_t *ids, uint32_t room)
{
    const char *text = system_host->session->setting(row->session, "search_path");
    uint32_t n = 0;
    char name[128];
    if (text == NULL)
        text = "\"$user\", public";
    if (strstr(text, "pg_catalog") == NULL && n < room)
        ids[n++] = LUMA_CAT_ID_PG_CATALOG;
    for (const char *p = path_item(text, name, sizeof(name)); p != NULL && n < room;
         p = path_item(p, name, sizeof(name))) {
        const char *wanted =
            strcmp(name, "$user") == 0 ? system_host->session->user(row->session) : name;
        const struct luma_cat_object *schema =
            wanted != NULL ? system_host->catalog->find(row->view, LUMA_CAT_SCHEMA, wanted) : NULL;
        if (schema != NULL)
            ids[n++] = schema->id;
    }
    return n;
}

bool
system_visible(const struct system_row *row, const struct luma_cat_object *object)
{
    uint64_t ids[32];
    uint32_t n = system_path(row, ids, 32);
    for (uint32_t i = 0; i < n; i++) {
        if (ids[i] == object->schema_id)
            return true;
        if (system_host->catalog->relation(row->view, ids[i], object->name) != NULL)
            return false; /* hidden by one that comes earlier */
    }
    return object->temporary;
}

const char *
system_quote(struct system_row *row, const char *name)
{
    bool plain = (name[0] >= 'a' && name[0] <= 'z') || name[0] == '_';
    for (const char *p = name; *p != '\0' && plain; p++)
        plain = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_';
    if (plain)
        return name;
    char *out = luma_arena_alloc(row->arena, strlen(name) * 2 + 3);
    size_t n = 0;
    if (out == NULL)
        return system_need(row, NULL);
    out[n++] = '"';
    for (const char *p = name; *p != '\0'; p++) {
        if (*p == '"')
            out[n++] = '"';
        out[n++] = *p;
    }
    out[n++] = '"';
    out[n] = '\0';
    return out;
}

const char *
system_relation_name(struct system_row *row, const struct luma_cat_object *object)
{
    const struct luma_cat_object *schema = system_object(row, object->schema_id);
    const char *name = system_quote(row, object->name);
    if (schema == NULL || system_visible(row, object))
        return name;
    return system_format(row, "%s.%s", system_quote(row, schema->name), name);
}

const struct luma_cat_object *
system_find_relation(const struct system_row *row, const char *text)
{
    char part[2][128];
    uint32_t parts = 0;
    for (const char *p = text; parts < 2; p++) {
        size_t n = 0;
        bool quoted = *p == '"';
        for (p += quoted; *p != '\0' && (quoted ? *p != '"' || p[1] == '"' : *p != '.'); p++) {
            p += quoted && *p == '"';
            if (n + 1 < sizeof(part[0]))
                part[parts][n++] = !quoted && *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
        }
        part[parts++][n] = '\0';
        p += quoted && *p == '"';
        if (*p != '.')
            break;
    }
    if (parts == 2) {
        const struct luma_cat_object *schema =
            system_host->catalog->find(row->view, LUMA_CAT_SCHEMA, part[0]);
        return schema != NULL ? system_host->catalog->relation(row->view, schema->id, part[1])
                              : NULL;
    }
    uint64_t ids[32];
    uint32_t n = system_path(row, ids, 32);
    for (uint32_t i = 0; i < n; i++) {
        const struct luma_cat_object *object =
            system_host->catalog->relation(row->view, ids[i], part[0]);
        if (object != NULL)
            return object;
    }
    return NULL;
}

/* ---- evaluation ---- */

static luma_rc
eval_row(struct system_row *row, system_fn fn, const struct luma_vec *args, uint32_t at,
         struct luma_vec *out)
{
    struct luma_value values[LUMA_FUNC_ARGS_MAX];
    for (uint32_t i = 0; i < row->args_count; i++) {
        values[i] = system_host->data->vec_value(&args[i], at);
        values[i].is_null = luma_vec_is_null(&args[i], at);
    }
    struct luma_value result = {.type = row->call->result,
                                .phys = (uint8_t)luma_type_phys(row->call->result),
                                .is_null = true};
    row->args = values;
    row->out = &result;
    LUMA_TRY(fn(row));
    if (row->no_memory)
        return LUMA_FAIL(row->ctx, LUMA_E_NOMEM, "out of memory");
    if (result.is_null) {
        if (!luma_vec_need_valid(out, row->arena, LUMA_BATCH_ROWS))
            return LUMA_FAIL(row->ctx, LUMA_E_NOMEM, "out of memory");
        luma_bit_clear(out->valid, at);
        return LUMA_OK;
    }
    return system_host->data->vec_set(row->arena, out, at, &result);
}

static luma_rc
eval(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
     const uint16_t *sel, uint32_t rows, struct luma_vec *out)
{
    system_fn fn = bodies[call->func - functions];
    struct system_row row = {.call = call,
                             .ctx = call->ctx,
                             .arena = call->arena,
                             .session = call->ctx->session,
                             .args_count = args_count};
    if (row.session == NULL)
        return LUMA_FAIL(call->ctx, LUMA_E_UNSUPPORTED, "%s() needs a session", call->func->name);
    row.txn = system_host->session->txn(row.session);
    row.view = row.txn != NULL ? system_host->catalog->view(row.txn) : NULL;
    if (row.view == NULL)
        return LUMA_FAIL(call->ctx, LUMA_E_TXNSTATE, "%s() needs a transaction", call->func->name);
    for (uint32_t i = 0; i < rows; i++)
        LUMA_TRY(eval_row(&row, fn, args, sel != NULL ? sel[i] : i, out));
    return LUMA_OK;
}

/* ---- pg_partition_ancestors: a relation is its own only ancestor ---- */

struct ancestors {
    struct luma_vec vec;
    bool done;
};

static luma_rc
ancestors_open(const struct luma_func_call *call, const struct luma_value *args,
               uint32_t args_count, void **out_state)
{
    struct ancestors *state = LUMA_NEW(call->arena, struct ancestors);
    (void)args_count;
    if (state == NULL || !luma_vec_init(&state->vec, call->arena, luma_type(LUMA_TYPE_REGCLASS), 1))
        return LUMA_FAIL(call->ctx, LUMA_E_NOMEM, "out of memory");
    state->done = args[0].is_null;
    *(int32_t *)state->vec.data = args[0].i32;
    *out_state = state;
    return LUMA_OK;
}

static luma_rc
ancestors_next(const struct luma_func_call *call, void *arg, struct luma_batch *out)
{
    struct ancestors *state = arg;
    (void)call;
    memset(out, 0, sizeof(*out));
    if (state->done)
        return LUMA_OK;
    state->done = true;
    luma_set_rows(out, &state->vec, 1);
    return LUMA_OK;
}

static luma_rc
ancestors_columns(const struct luma_func_call *call, const struct luma_value *args,
                  uint32_t args_count, uint32_t *out_count, const char *const **out_names,
                  const struct luma_type **out_types)
{
    static const char *const names[] = {"relid"};
    static const struct luma_type types[] = {{LUMA_TYPE_REGCLASS, 0, 0, -1}};
    (void)call;
    (void)args;
    (void)args_count;
    *out_count = 1;
    *out_names = names;
    *out_types = types;
    return LUMA_OK;
}

static void
ancestors_close(void *state)
{
    (void)state;
}

static const struct luma_func_set ancestors_set = {.columns = ancestors_columns,
                                                   .open = ancestors_open,
                                                   .next = ancestors_next,
                                                   .close = ancestors_close};

/* ---- the table ---- */

static struct luma_type
type_of(char letter)
{
    switch (letter) {
    case 'o':
        return luma_type(LUMA_TYPE_OID);
    case 'c':
        return luma_type(LUMA_TYPE_REGCLASS);
    case 't':
        return luma_type(LUMA_TYPE_TEXT);
    case 'n':
        return luma_type(LUMA_TYPE_NAME);
    case 'i':
        return luma_type(LUMA_TYPE_INT4);
    case 's':
        return luma_type(LUMA_TYPE_INT2);
    case 'b':
        return luma_type(LUMA_TYPE_BOOL);
    case 'f':
        return luma_type(LUMA_TYPE_FLOAT8);
    case 'v':
        return luma_type(LUMA_TYPE_VOID);
    case 'r':
        return luma_type(LUMA_TYPE_REGTYPE);
    case 'p':
        return luma_type(LUMA_TYPE_REGPROC);
    case 'S':
        return luma_type(LUMA_TYPE_REGNAMESPACE);
    case 'z':
        return luma_type(LUMA_TYPE_TIMESTAMPTZ);
    case 'N':
        return luma_type_array(LUMA_TYPE_NAME);
    case 'I':
        return luma_type_array(LUMA_TYPE_INT4);
    case 'A':
        return luma_type_array(LUMA_TYPE_TEXT);
    case 'a':
        return luma_type(LUMA_TYPE_ANY);
    case 'C':
        return luma_type(LUMA_TYPE_CHAR1);
    default:
        return luma_type(LUMA_TYPE_INT8);
    }
}

static uint32_t
add_list(const struct system_list *list, uint32_t at)
{
    for (size_t i = 0; i < list->count && at < FUNCTIONS_MAX; i++, at++) {
        const struct system_func *from = &list->functions[i];
        struct luma_func *f = &functions[at];
        f->name = from->name;
        f->flags = from->flags;
        f->args_count = (uint8_t)strlen(from->args);
        for (uint32_t k = 0; k < f->args_count; k++)
            f->args[k] = type_of(from->args[k]);
        f->result = type_of(from->result);
        f->eval = eval;
        bodies[at] = from->fn;
    }
    return at;
}

static struct luma_function_package package = {LUMA_FUNCTION_HEAD, functions, 0};

static luma_rc
system_init(const struct luma_host *host, const void *conf, struct luma_ctx *ctx, void **out_state)
{
    (void)conf;
    (void)ctx;
    system_host = host;
    uint32_t n = add_list(&system_describe, 0);
    n = add_list(&system_session, n);
    n = add_list(&system_sequence, n);
    n = add_list(&system_rights, n);
    if (n < FUNCTIONS_MAX)
        functions[n++] = (struct luma_func){.name = "pg_partition_ancestors",
                                            .flags = LUMA_FUNC_STRICT | LUMA_FUNC_SET,
                                            .args_count = 1,
                                            .args = {{LUMA_TYPE_REGCLASS, 0, 0, -1}},
                                            .result = {LUMA_TYPE_REGCLASS, 0, 0, -1},
                                            .set = &ancestors_set};
    for (size_t i = 0; i < system_values_count && n < FUNCTIONS_MAX; i++)
        functions[n++] = system_values[i];
    for (size_t i = 0; i < system_keywords_count && n < FUNCTIONS_MAX; i++)
        functions[n++] = system_keywords[i];
    package.functions_count = n;
    *out_state = &package;
    return LUMA_OK;
}

LUMA_MODULE(.kind = "function", .name = "system", .version = "1.0.0", .licence = "Apache-2.0",
            .author = "The LumaDB authors",
            .summary = "functions about the server, the session and the catalogue",
            .offers = LUMA_OFFERS({"function.system", &package.head}), .init = system_init);
