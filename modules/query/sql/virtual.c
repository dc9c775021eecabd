/*
 * virtual.c - pg_catalog and information_schema as row sources: the columns a view declares, the
 * rows its function fills in, batches for the engine.
 */
#include <stdio.h>
#include <stdlib.h>

#include "rows.h"

#define CHUNK_ROWS 512u /* rows of most views; several chunks make the larger ones */

struct sql_rows_chunk {
    struct sql_rows_chunk *next;
    struct luma_batch batch;
};

/* ---- adding rows ---- */

static struct sql_rows_chunk *
chunk_new(struct sql_rows *rows)
{
    struct sql_rows_chunk *chunk = LUMA_NEW(rows->arena, struct sql_rows_chunk);
    uint32_t n = rows->virt->cols_count;
    if (chunk == NULL)
        return NULL;
    chunk->batch.cols_count = n;
    chunk->batch.cols = LUMA_NEW_ARRAY(rows->arena, struct luma_vec, n);
    if (chunk->batch.cols == NULL)
        return NULL;
    for (uint32_t i = 0; i < n; i++)
        if (!luma_vec_init(&chunk->batch.cols[i], rows->arena, rows->virt->cols[i].type,
                           CHUNK_ROWS))
            return NULL;
    if (rows->last != NULL)
        rows->last->next = chunk;
    else
        rows->first = chunk;
    rows->last = chunk;
    return chunk;
}

static bool
put_value(struct sql_rows *rows, struct luma_vec *vec, uint32_t row, const struct luma_value *value)
{
    luma_rc rc = sql_host->data->vec_set(rows->arena, vec, row, value);
    if (rc != LUMA_OK && rows->rc == LUMA_OK)
        rows->rc = LUMA_FAIL(rows->ctx, LUMA_E_NOMEM, "out of memory");
    return rc == LUMA_OK;
}

static bool
put_null(struct sql_rows *rows, struct luma_vec *vec, uint32_t row)
{
    if (!luma_vec_need_valid(vec, rows->arena, CHUNK_ROWS)) {
        rows->rc = LUMA_FAIL(rows->ctx, LUMA_E_NOMEM, "out of memory");
        return false;
    }
    luma_bit_clear(vec->valid, row);
    return true;
}

static struct luma_value
text_value(struct luma_type type, const char *text, size_t bytes)
{
    struct luma_value v = {.type = type, .phys = LUMA_PHYS_STR};
    v.str = luma_str_make(text, (uint32_t)bytes);
    return v;
}

static struct luma_value
int_value(struct luma_type type, int64_t n)
{
    struct luma_value v = {.type = type, .phys = (uint8_t)luma_type_phys(type)};
    switch (v.phys) {
    case LUMA_PHYS_BOOL:
        v.b = n != 0;
        break;
    case LUMA_PHYS_I16:
        v.i16 = (int16_t)n;
        break;
    case LUMA_PHYS_I32:
        v.i32 = (int32_t)n;
        break;
    case LUMA_PHYS_F32:
        v.f32 = (float)n;
        break;
    case LUMA_PHYS_F64:
        v.f64 = (double)n;
        break;
    default:
        v.i64 = n;
        break;
    }
    return v;
}

static bool
put_array(struct sql_rows *rows, struct luma_vec *vec, uint32_t row, const void *items,
          uint32_t count, char kind)
{
    enum luma_type_id elem = (enum luma_type_id)vec->type.elem;
    struct luma_value *values = LUMA_NEW_ARRAY(rows->arena, struct luma_value, count + 1);
    struct luma_value array = {.type = vec->type, .phys = LUMA_PHYS_STR};
    if (values == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (kind == 'T') {
            const char *text = ((const char *const *)items)[i];
            values[i] = text_value(luma_type(elem), text, strlen(text));
        } else {
            int64_t n = kind == 'S' ? (int64_t)((const int16_t *)items)[i]
                                    : (int64_t)((const uint32_t *)items)[i];
            values[i] = int_value(luma_type(elem), n);
        }
    }
    if (sql_host->data->array_make(rows->arena, elem, values, count, &array.str) != LUMA_OK)
        return false;
    return put_value(rows, vec, row, &array);
}

static bool
put_arg(struct sql_rows *rows, struct luma_vec *vec, uint32_t row, char kind, va_list *args)
{
    struct luma_value v;
    const char *text;
    const void *items;
    switch (kind) {
    case 'o':
        v = int_value(vec->type, va_arg(*args, uint32_t));
        return put_value(rows, vec, row, &v);
    case 'b':
    case 's':
    case 'i':
        v = int_value(vec->type, va_arg(*args, int));
        return put_value(rows, vec, row, &v);
    case 'l':
        v = int_value(vec->type, va_arg(*args, int64_t));
        return put_value(rows, vec, row, &v);
    case 'z':
        v = int_value(vec->type, va_arg(*args, int64_t));
        return v.i64 == INT64_MIN ? put_null(rows, vec, row) : put_value(rows, vec, row, &v);
    case 'f':
        v = int_value(vec->type, 0);
        if (v.phys == LUMA_PHYS_F32)
            v.f32 = (float)va_arg(*args, double);
        else
            v.f64 = va_arg(*args, double);
        return put_value(rows, vec, row, &v);
    case 't':
        text = va_arg(*args, const char *);
        if (text == NULL)
            return put_null(rows, vec, row);
        v = text_value(vec->type, text, strlen(text));
        return put_value(rows, vec, row, &v);
    case 'c': {
        char c = (char)va_arg(*args, int);
        v = text_value(vec->type, &c, c == 0 ? 0 : 1);
        return put_value(rows, vec, row, &v);
    }
    case 'n':
        return put_null(rows, vec, row);
    default:
        items = va_arg(*args, const void *);
        uint32_t count = va_arg(*args, uint32_t);
        return items == NULL ? put_null(rows, vec, row)
                             : put_array(rows, vec, row, items, count, kind);
    }
}

void
sql_rows_add(struct sql_rows *rows, const char *kinds, ...)
{
    struct sql_rows_chunk *chunk = rows->last;
    if (rows->rc != LUMA_OK)
        return;
    if (chunk == NULL || chunk->batch.rows == CHUNK_ROWS)
        chunk = chunk_new(rows);
    if (chunk == NULL) {
        rows->rc = LUMA_FAIL(rows->ctx, LUMA_E_NOMEM, "out of memory");
        return;
    }
    uint32_t row = chunk->batch.rows++;
    chunk->batch.sel_rows = chunk->batch.rows;
    va_list args;
    va_start(args, kinds);
    for (uint32_t i = 0; i < rows->virt->cols_count; i++) {
        char kind = *kinds != '\0' ? *kinds++ : 'n'; /* columns left out are null */
        if (!put_arg(rows, &chunk->batch.cols[i], row, kind, &args))
            break;
    }
    va_end(args);
}

char *
sql_rows_format(struct sql_rows *rows, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int bytes = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = luma_arena_alloc(rows->arena, (size_t)bytes + 1);
    if (text != NULL)
        vsnprintf(text, (size_t)bytes + 1, fmt, again);
    else
        rows->rc = LUMA_FAIL(rows->ctx, LUMA_E_NOMEM, "out of memory");
    va_end(again);
    return text;
}

/* ---- helpers of the views ---- */

const struct luma_cat_object *
sql_rows_object(const struct sql_rows *rows, uint64_t id)
{
    return id == 0 ? NULL : sql_host->catalog->by_id(rows->view, id);
}

const char *
sql_rows_name(const struct sql_rows *rows, uint64_t id)
{
    const struct luma_cat_object *object = sql_rows_object(rows, id);
    return object != NULL ? object->name : NULL;
}

void
sql_rows_each(struct sql_rows *rows, enum luma_cat_kind kind,
              bool (*fn)(void *arg, const struct luma_cat_object *object))
{
    sql_host->catalog->each(rows->view, kind, fn, rows);
}

static const char *
rights_text(struct sql_rows *rows, uint32_t rights, bool grantable)
{
    static const struct {
        uint32_t right;
        char letter;
    } letters[] = {
        {LUMA_RIGHT_INSERT, 'a'},  {LUMA_RIGHT_SELECT, 'r'},   {LUMA_RIGHT_UPDATE, 'w'},
        {LUMA_RIGHT_DELETE, 'd'},  {LUMA_RIGHT_TRUNCATE, 'D'}, {LUMA_RIGHT_REFERENCES, 'x'},
        {LUMA_RIGHT_TRIGGER, 't'}, {LUMA_RIGHT_EXECUTE, 'X'},  {LUMA_RIGHT_USAGE, 'U'},
        {LUMA_RIGHT_CREATE, 'C'},  {LUMA_RIGHT_CONNECT, 'c'}};
    char text[40];
    size_t n = 0;
    for (size_t i = 0; i < LUMA_COUNTOF(letters); i++)
        if (rights & letters[i].right) {
            text[n++] = letters[i].letter;
            if (grantable)
                text[n++] = '*';
        }
    text[n] = '\0';
    return sql_rows_format(rows, "%s", text);
}

const char *const *
sql_rows_acl(struct sql_rows *rows, const struct luma_cat_object *object, uint32_t col_id,
             uint32_t *out_count)
{
    uint32_t n = 0;
    const char **list = LUMA_NEW_ARRAY(rows->arena, const char *, object->grants_count + 1);
    const char *owner = sql_rows_name(rows, object->owner_id);
    *out_count = 0;
    if (list == NULL) {
        rows->rc = LUMA_FAIL(rows->ctx, LUMA_E_NOMEM, "out of memory");
        return NULL;
    }
    for (uint32_t i = 0; i < object->grants_count; i++) {
        const struct luma_cat_grant *g = &object->grants[i];
        if (g->col_id != col_id)
            continue;
        if (n == 0 && col_id == 0 && owner != NULL)
            list[n++] = sql_rows_format(rows, "%s=%s/%s", owner,
                                        object->kind == LUMA_CAT_SCHEMA     ? "UC"
                                        : object->kind == LUMA_CAT_SEQUENCE ? "rwU"
                                        : object->kind == LUMA_CAT_DATABASE ? "CTc"
                                                                            : "arwdDxt",
                                        owner);
        const char *who = g->role_id == 0 ? "" : sql_rows_name(rows, g->role_id);
        if (n > object->grants_count)
            break;
        list[n++] = sql_rows_format(rows, "%s=%s/%s", who != NULL ? who : "?",
                                    rights_text(rows, g->rights, g->grantable),
                                    owner != NULL ? owner : "?");
    }
    *out_count = n;
    return n == 0 ? NULL : list;
}

uint32_t
sql_default_oid(uint64_t table_id, uint32_t col_id)
{
    return SQL_OID_DEFAULTS + (uint32_t)(table_id * 1600 + col_id);
}

uint32_t
sql_kind_am(const char *kind)
{
    return strcmp(kind, "hash") == 0 ? SQL_OID_AM_HASH : SQL_OID_AM_BTREE;
}

uint32_t
sql_type_oid_of(struct luma_type type)
{
    return sql_host->data->type_oid(type);
}

/* ---- as a provider ---- */

struct provider_state {
    struct sql_rows rows;
    struct sql_rows_chunk *at;
};

static luma_rc
provider_open(struct luma_ctx *ctx, struct luma_txn *txn, void *arg, struct luma_arena *arena,
              void **out_state)
{
    struct provider_state *state = LUMA_NEW(arena, struct provider_state);
    if (state == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    state->rows = (struct sql_rows){.ctx = ctx,
                                    .txn = txn,
                                    .view = sql_host->catalog->view(txn),
                                    .session = ctx->session,
                                    .arena = arena,
                                    .virt = arg};
    if (state->rows.virt->fill != NULL)
        state->rows.virt->fill(&state->rows);
    state->at = state->rows.first;
    *out_state = state;
    return state->rows.rc;
}

static luma_rc
provider_next(struct luma_ctx *ctx, void *arg, struct luma_batch *out)
{
    (void)ctx;
    struct provider_state *state = arg;
    if (state->at == NULL) {
        memset(out, 0, sizeof(*out));
        return LUMA_OK;
    }
    *out = state->at->batch;
    state->at = state->at->next;
    return LUMA_OK;
}

static void
provider_close(void *state)
{
    (void)state; /* all of it lies in the arena */
}

/* ---- the list of all ---- */

static struct sql_virtual *virtuals[SQL_VIRTUALS_MAX];
static size_t virtuals_count;

static struct luma_type
column_type(const char *name)
{
    struct luma_type type;
    size_t bytes = strlen(name);
    if (bytes > 2 && strcmp(name + bytes - 2, "[]") == 0) {
        char elem[64];
        snprintf(elem, sizeof(elem), "%.*s", (int)(bytes - 2), name);
        return sql_type_by_name(elem, &type) ? luma_type_array_of(type)
                                             : luma_type_array(LUMA_TYPE_TEXT);
    }
    if (strcmp(name, "char") == 0)
        return luma_type(LUMA_TYPE_CHAR1);
    return sql_type_by_name(name, &type) ? type : luma_type(LUMA_TYPE_TEXT);
}

static void
parse_columns(struct sql_virtual *virt)
{
    uint32_t n = 1, at = 0;
    for (const char *p = virt->columns; *p != '\0'; p++)
        n += *p == ',';
    virt->cols = calloc(n, sizeof(*virt->cols));
    char *text = strdup(virt->columns), *save = NULL;
    if (virt->cols == NULL || text == NULL)
        abort(); /* at start, with nothing to serve yet */
    for (char *item = strtok_r(text, ",", &save); item != NULL; item = strtok_r(NULL, ",", &save)) {
        while (*item == ' ')
            item++;
        char *type = strchr(item, ' ');
        if (type != NULL)
            *type++ = '\0';
        virt->cols[at] = (struct luma_plan_col){.name = item,
                                                .type = column_type(type != NULL ? type : "text"),
                                                .table_id = virt->oid,
                                                .col_id = at + 1};
        at++;
    }
    virt->cols_count = at;
}

static void
add_list(struct sql_virtual_list *list)
{
    for (size_t i = 0; i < list->count && virtuals_count < SQL_VIRTUALS_MAX; i++) {
        struct sql_virtual *virt = &list->tables[i];
        if (virt->oid == 0)
            virt->oid = (list == &sql_information_schema ? 13100u : 12000u) + (uint32_t)i;
        if (list == &sql_pg_empty && virt->oid >= 12000u && virt->oid < 12100u)
            virt->oid += 300u; /* views and empty tables are numbered apart */
        if (list == &sql_lumadb_store)
            virt->oid += 600u;
        if (list == &sql_pg_types && virt->oid >= 12000u && virt->oid < 12100u)
            virt->oid += 100u;
        parse_columns(virt);
        virt->provider = (struct luma_provider){.name = virt->name,
                                                .open = provider_open,
                                                .next = provider_next,
                                                .close = provider_close,
                                                .arg = virt,
                                                .rows_estimate = virt->fill != NULL ? 200 : 1};
        virtuals[virtuals_count++] = virt;
    }
}

void
sql_virtuals_load(void)
{
    add_list(&sql_pg_relations);
    add_list(&sql_pg_types);
    add_list(&sql_pg_functions);
    add_list(&sql_pg_views);
    add_list(&sql_lumadb_store);
    add_list(&sql_pg_empty);
    add_list(&sql_information_schema);
}

const struct sql_virtual *
sql_virtual_at(size_t index)
{
    return index < virtuals_count ? virtuals[index] : NULL;
}

const struct sql_virtual *
sql_virtual_find(const char *schema, const char *name)
{
    for (size_t i = 0; i < virtuals_count; i++)
        if (strcmp(virtuals[i]->name, name) == 0 && strcmp(virtuals[i]->schema, schema) == 0)
            return virtuals[i];
    return NULL;
}

const struct sql_virtual *
sql_virtual_by_oid(uint32_t oid)
{
    for (size_t i = 0; i < virtuals_count; i++)
        if (virtuals[i]->oid == oid)
            return virtuals[i];
    return NULL;
}
