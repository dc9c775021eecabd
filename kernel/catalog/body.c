/*
 * catalog/body.c - catalogue objects as bytes, for the system collection.
 *
 * A body is a format number and then the members in a fixed order: integers as varints (signed
 * ones zigzag), texts as length + 1 and bytes (0: absent), lists as count and items. The layout is
 * written down in docs/formats/catalog.md.
 */
#include "catalog/catalog_priv.h"

/* 1 had no match, bits and set columns of constraints; 2 no domains of columns and no types */
#define BODY_FORMAT 3
/* No catalogue object has lists anywhere near this long: a larger count is damage. */
#define BODY_LIST_MAX 1000000u

/* --- writing: lk_bytes remembers a failed append, so the calls need no checks --- */

static void
put_u(struct lk_bytes *out, uint64_t v)
{
    (void)lk_bytes_varint(out, v);
}

static void
put_i(struct lk_bytes *out, int64_t v)
{
    put_u(out, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static void
put_text(struct lk_bytes *out, const char *text)
{
    if (text == NULL) {
        put_u(out, 0);
        return;
    }
    size_t bytes = strlen(text);
    put_u(out, bytes + 1);
    (void)lk_bytes_append(out, text, bytes);
}

static void
put_type(struct lk_bytes *out, struct luma_type type)
{
    (void)lk_bytes_u8(out, type.id);
    (void)lk_bytes_u8(out, type.elem);
    put_i(out, type.scale);
    put_i(out, type.mod);
}

static void
put_value(struct lk_bytes *out, const struct luma_value *value)
{
    bool absent = value->is_null || value->type.id == LUMA_TYPE_NONE;
    (void)lk_bytes_u8(out, absent ? 0 : 1);
    if (absent)
        return;
    put_type(out, value->type);
    (void)lk_bytes_u8(out, value->phys);
    put_i(out, value->scale);
    if (value->phys == LUMA_PHYS_STR)
        (void)lk_bytes_sized(out, luma_str_slice(&value->str));
    else
        (void)lk_bytes_append(out, &value->i128, luma_phys_bytes((enum luma_phys)value->phys));
}

static void
put_ids(struct lk_bytes *out, const uint32_t *ids, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        put_u(out, ids[i]);
}

static void
put_column(struct lk_bytes *out, const struct luma_cat_column *col)
{
    put_u(out, col->id);
    put_text(out, col->name);
    put_type(out, col->type);
    (void)lk_bytes_u8(out, col->not_null);
    put_text(out, col->default_sql);
    put_text(out, col->generated_sql);
    (void)lk_bytes_u8(out, (uint8_t)col->identity);
    put_u(out, col->sequence_id);
    put_value(out, &col->missing);
    put_text(out, col->comment);
    put_u(out, col->domain_id);
}

static void
put_index(struct lk_bytes *out, const struct luma_cat_index *index)
{
    put_u(out, index->id);
    put_text(out, index->name);
    put_text(out, index->kind);
    (void)lk_bytes_u8(
        out, (uint8_t)(index->unique | index->primary << 1 | index->nulls_not_distinct << 2));
    put_u(out, index->cols_count);
    for (uint32_t i = 0; i < index->cols_count; i++) {
        put_u(out, index->cols[i].col_id);
        put_u(out, index->cols[i].flags);
    }
    put_text(out, index->comment);
}

static void
put_constraint(struct lk_bytes *out, const struct luma_cat_constraint *con)
{
    put_u(out, con->id);
    put_text(out, con->name);
    (void)lk_bytes_u8(out, (uint8_t)con->kind);
    put_u(out, con->index_id);
    put_u(out, con->cols_count);
    put_ids(out, con->cols, con->cols_count);
    put_text(out, con->check_sql);
    put_u(out, con->ref_table_id);
    (void)lk_bytes_u8(out, con->ref_cols != NULL);
    if (con->ref_cols != NULL)
        put_ids(out, con->ref_cols, con->cols_count);
    (void)lk_bytes_u8(out, (uint8_t)con->on_delete);
    (void)lk_bytes_u8(out, (uint8_t)con->on_update);
    (void)lk_bytes_u8(out, (uint8_t)con->match);
    (void)lk_bytes_u8(out, (uint8_t)(con->deferrable | con->deferred << 1 | con->not_valid << 2));
    put_u(out, con->set_cols_count);
    put_ids(out, con->set_cols, con->set_cols_count);
}

static void
put_table(struct lk_bytes *out, const struct luma_cat_object *o)
{
    put_u(out, o->cols_count);
    for (uint32_t i = 0; i < o->cols_count; i++)
        put_column(out, &o->cols[i]);
    put_u(out, o->col_id_next);
    put_u(out, o->indexes_count);
    for (uint32_t i = 0; i < o->indexes_count; i++)
        put_index(out, &o->indexes[i]);
    put_u(out, o->constraints_count);
    for (uint32_t i = 0; i < o->constraints_count; i++)
        put_constraint(out, &o->constraints[i]);
    put_text(out, o->options);
    (void)lk_bytes_u8(out, (uint8_t)(o->temporary | o->unlogged << 1 | o->flexible << 2));
}

static void
put_sequence(struct lk_bytes *out, const struct luma_cat_object *o)
{
    put_i(out, o->seq_start);
    put_i(out, o->seq_increment);
    put_i(out, o->seq_min);
    put_i(out, o->seq_max);
    put_i(out, o->seq_cache);
    (void)lk_bytes_u8(out, o->seq_cycle);
    put_type(out, o->seq_type);
}

static void
put_role(struct lk_bytes *out, const struct luma_cat_object *o)
{
    (void)lk_bytes_u8(out, (uint8_t)(o->superuser | o->can_login << 1 | o->create_role << 2 |
                                     o->create_db << 3 | o->inherit << 4 | o->first_run << 5));
    put_text(out, o->verifier);
    put_i(out, o->valid_until_us);
    put_u(out, o->members_of_count);
    for (uint32_t i = 0; i < o->members_of_count; i++)
        put_u(out, o->members_of[i]);
    put_u(out, o->settings_count);
    for (uint32_t i = 0; i < o->settings_count; i++)
        put_text(out, o->settings[i]);
}

static void
put_made_type(struct lk_bytes *out, const struct luma_cat_object *o)
{
    (void)lk_bytes_u8(out, (uint8_t)o->type_kind);
    put_u(out, o->labels_count);
    for (uint32_t i = 0; i < o->labels_count; i++) {
        put_u(out, o->labels[i].id);
        put_i(out, o->labels[i].place);
        put_text(out, o->labels[i].name);
    }
}

bool
lki_catalog_body_write(struct lk_bytes *out, const struct luma_cat_object *o)
{
    (void)lk_bytes_u8(out, BODY_FORMAT);
    put_u(out, o->id);
    put_u(out, (uint64_t)o->kind);
    put_text(out, o->name);
    put_u(out, o->schema_id);
    put_u(out, o->owner_id);
    put_text(out, o->comment);
    put_u(out, o->grants_count);
    for (uint32_t i = 0; i < o->grants_count; i++) {
        put_u(out, o->grants[i].role_id);
        put_u(out, o->grants[i].rights);
        put_u(out, o->grants[i].col_id);
        (void)lk_bytes_u8(out, o->grants[i].grantable);
    }
    put_table(out, o);
    put_text(out, o->sql);
    put_u(out, o->table_id);
    put_sequence(out, o);
    put_role(out, o);
    put_made_type(out, o);
    return !out->failed;
}

/* --- reading --- */

struct body_reader {
    struct lk_reader r;
    struct luma_arena *arena;
    bool no_memory;
    uint8_t format;
};

static uint64_t
get_u(struct body_reader *b)
{
    return lk_reader_varint(&b->r);
}

static int64_t
get_i(struct body_reader *b)
{
    uint64_t v = get_u(b);
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static bool
get_bool(struct body_reader *b)
{
    return lk_reader_u8(&b->r) != 0;
}

static const char *
get_text(struct body_reader *b)
{
    uint64_t bytes = get_u(b);
    if (bytes == 0 || b->r.failed)
        return NULL;
    struct luma_slice s = lk_reader_take(&b->r, (size_t)(bytes - 1));
    if (b->r.failed)
        return NULL;
    char *text = luma_arena_text(b->arena, s.data, s.bytes);
    b->no_memory |= text == NULL;
    return text;
}

static struct luma_type
get_type(struct body_reader *b)
{
    struct luma_type type = {0};
    type.id = lk_reader_u8(&b->r);
    type.elem = lk_reader_u8(&b->r);
    type.scale = (int16_t)get_i(b);
    type.mod = (int32_t)get_i(b);
    return type;
}

static struct luma_value
get_value(struct body_reader *b)
{
    struct luma_value value = {.is_null = true};
    if (!get_bool(b))
        return value;
    value.type = get_type(b);
    value.phys = lk_reader_u8(&b->r);
    value.scale = (int16_t)get_i(b);
    if (value.phys == LUMA_PHYS_STR) {
        struct luma_slice s = lk_reader_sized(&b->r);
        const char *copy = luma_arena_text(b->arena, s.data, s.bytes);
        if (copy == NULL) {
            b->no_memory = true;
            return value;
        }
        value.str = luma_str_make(copy, (uint32_t)s.bytes);
    } else if (value.phys == LUMA_PHYS_NONE || value.phys >= LUMA_PHYS_COUNT_) {
        b->r.failed = true;
        return value;
    } else {
        uint32_t bytes = luma_phys_bytes((enum luma_phys)value.phys);
        struct luma_slice s = lk_reader_take(&b->r, bytes);
        if (b->r.failed)
            return value;
        memcpy(&value.i128, s.data, bytes);
    }
    value.is_null = false;
    return value;
}

/* Room for a list whose count comes next; NULL with *out_count 0 when it is empty or broken. */
static void *
get_list(struct body_reader *b, size_t item_bytes, uint32_t *out_count)
{
    uint64_t count = get_u(b);
    *out_count = 0;
    if (count > BODY_LIST_MAX || count > lk_reader_left(&b->r))
        b->r.failed = true;
    if (b->r.failed || count == 0)
        return NULL;
    void *list = luma_arena_zalloc(b->arena, item_bytes * (size_t)count);
    if (list == NULL) {
        b->no_memory = true;
        return NULL;
    }
    *out_count = (uint32_t)count;
    return list;
}

static void
get_column(struct body_reader *b, struct luma_cat_column *col)
{
    col->id = (uint32_t)get_u(b);
    col->name = get_text(b);
    col->type = get_type(b);
    col->not_null = get_bool(b);
    col->default_sql = get_text(b);
    col->generated_sql = get_text(b);
    col->identity = (char)lk_reader_u8(&b->r);
    col->sequence_id = get_u(b);
    col->missing = get_value(b);
    col->comment = get_text(b);
    if (b->format >= 3)
        col->domain_id = get_u(b);
}

static void
get_index(struct body_reader *b, struct luma_cat_index *index)
{
    index->id = get_u(b);
    index->name = get_text(b);
    index->kind = get_text(b);
    uint8_t bits = lk_reader_u8(&b->r);
    index->unique = bits & 1;
    index->primary = (bits >> 1) & 1;
    index->nulls_not_distinct = (bits >> 2) & 1;
    struct luma_store_index_col *cols = get_list(b, sizeof(*cols), &index->cols_count);
    for (uint32_t i = 0; i < index->cols_count; i++) {
        cols[i].col_id = (uint32_t)get_u(b);
        cols[i].flags = (uint32_t)get_u(b);
    }
    index->cols = cols;
    index->comment = get_text(b);
}

static void
get_constraint(struct body_reader *b, struct luma_cat_constraint *con)
{
    con->id = get_u(b);
    con->name = get_text(b);
    con->kind = (enum luma_constraint_kind)lk_reader_u8(&b->r);
    con->index_id = get_u(b);
    uint32_t *cols = get_list(b, sizeof(*cols), &con->cols_count);
    for (uint32_t i = 0; i < con->cols_count; i++)
        cols[i] = (uint32_t)get_u(b);
    con->cols = cols;
    con->check_sql = get_text(b);
    con->ref_table_id = get_u(b);
    if (get_bool(b)) {
        uint32_t *refs = luma_arena_zalloc(b->arena, sizeof(*refs) * (con->cols_count + 1));
        b->no_memory |= refs == NULL;
        for (uint32_t i = 0; refs != NULL && i < con->cols_count; i++)
            refs[i] = (uint32_t)get_u(b);
        con->ref_cols = refs;
    }
    con->on_delete = (char)lk_reader_u8(&b->r);
    con->on_update = (char)lk_reader_u8(&b->r);
    if (b->format < 2)
        return;
    con->match = (char)lk_reader_u8(&b->r);
    uint8_t bits = lk_reader_u8(&b->r);
    con->deferrable = bits & 1;
    con->deferred = (bits >> 1) & 1;
    con->not_valid = (bits >> 2) & 1;
    uint32_t *set = get_list(b, sizeof(*set), &con->set_cols_count);
    for (uint32_t i = 0; i < con->set_cols_count; i++)
        set[i] = (uint32_t)get_u(b);
    con->set_cols = set;
}

static void
get_table(struct body_reader *b, struct luma_cat_object *o)
{
    struct luma_cat_column *cols = get_list(b, sizeof(*cols), &o->cols_count);
    for (uint32_t i = 0; i < o->cols_count; i++)
        get_column(b, &cols[i]);
    o->cols = cols;
    o->col_id_next = (uint32_t)get_u(b);
    struct luma_cat_index *indexes = get_list(b, sizeof(*indexes), &o->indexes_count);
    for (uint32_t i = 0; i < o->indexes_count; i++)
        get_index(b, &indexes[i]);
    o->indexes = indexes;
    struct luma_cat_constraint *cons = get_list(b, sizeof(*cons), &o->constraints_count);
    for (uint32_t i = 0; i < o->constraints_count; i++)
        get_constraint(b, &cons[i]);
    o->constraints = cons;
    o->options = get_text(b);
    uint8_t bits = lk_reader_u8(&b->r);
    o->temporary = bits & 1;
    o->unlogged = (bits >> 1) & 1;
    o->flexible = (bits >> 2) & 1;
}

static void
get_sequence(struct body_reader *b, struct luma_cat_object *o)
{
    o->seq_start = get_i(b);
    o->seq_increment = get_i(b);
    o->seq_min = get_i(b);
    o->seq_max = get_i(b);
    o->seq_cache = get_i(b);
    o->seq_cycle = get_bool(b);
    o->seq_type = get_type(b);
}

static void
get_role(struct body_reader *b, struct luma_cat_object *o)
{
    uint8_t bits = lk_reader_u8(&b->r);
    o->superuser = bits & 1;
    o->can_login = (bits >> 1) & 1;
    o->create_role = (bits >> 2) & 1;
    o->create_db = (bits >> 3) & 1;
    o->inherit = (bits >> 4) & 1;
    o->first_run = (bits >> 5) & 1;
    o->verifier = get_text(b);
    o->valid_until_us = get_i(b);
    uint64_t *members = get_list(b, sizeof(*members), &o->members_of_count);
    for (uint32_t i = 0; i < o->members_of_count; i++)
        members[i] = get_u(b);
    o->members_of = members;
    const char **settings = get_list(b, sizeof(*settings), &o->settings_count);
    for (uint32_t i = 0; i < o->settings_count; i++)
        settings[i] = get_text(b);
    o->settings = settings;
}

static void
get_made_type(struct body_reader *b, struct luma_cat_object *o)
{
    if (b->format < 3)
        return;
    o->type_kind = (char)lk_reader_u8(&b->r);
    struct luma_cat_label *labels = get_list(b, sizeof(*labels), &o->labels_count);
    for (uint32_t i = 0; i < o->labels_count; i++) {
        labels[i].id = get_u(b);
        labels[i].place = get_i(b);
        labels[i].name = get_text(b);
        b->r.failed |= labels[i].name == NULL;
    }
    o->labels = labels;
}

static void
get_object(struct body_reader *b, struct luma_cat_object *o)
{
    o->id = get_u(b);
    o->kind = (enum luma_cat_kind)get_u(b);
    o->name = get_text(b);
    o->schema_id = get_u(b);
    o->owner_id = get_u(b);
    o->comment = get_text(b);
    struct luma_cat_grant *grants = get_list(b, sizeof(*grants), &o->grants_count);
    for (uint32_t i = 0; i < o->grants_count; i++) {
        grants[i].role_id = get_u(b);
        grants[i].rights = (uint32_t)get_u(b);
        grants[i].col_id = (uint32_t)get_u(b);
        grants[i].grantable = get_bool(b);
    }
    o->grants = grants;
    get_table(b, o);
    o->sql = get_text(b);
    o->table_id = get_u(b);
    get_sequence(b, o);
    get_role(b, o);
    get_made_type(b, o);
}

luma_rc
lki_catalog_body_read(struct luma_ctx *ctx, struct luma_slice body, struct luma_arena *arena,
                      struct luma_cat_object *out_object)
{
    struct body_reader b = {.r = lk_reader(body), .arena = arena};
    struct luma_cat_object o = {0};

    uint8_t format = lk_reader_u8(&b.r);
    if (format == 0 || format > BODY_FORMAT)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT,
                         "catalogue object has format %u, this server reads %u", format,
                         BODY_FORMAT);
    b.format = format;
    get_object(&b, &o);
    if (b.no_memory)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory while reading the catalogue");
    if (b.r.failed || lk_reader_left(&b.r) != 0 || o.name == NULL)
        return LUMA_FAIL(ctx, LUMA_E_CORRUPT, "catalogue object %llu cannot be read",
                         (unsigned long long)o.id);
    *out_object = o;
    return LUMA_OK;
}
