/*
 * rights.c - has_table_privilege and its kin, pg_has_role, access lists.
 */
#include <strings.h>

#include "system.h"

static uint32_t
right_of(const char *name, size_t bytes)
{
    static const struct {
        const char *name;
        uint32_t right;
    } rights[] = {{"SELECT", LUMA_RIGHT_SELECT},     {"INSERT", LUMA_RIGHT_INSERT},
                  {"UPDATE", LUMA_RIGHT_UPDATE},     {"DELETE", LUMA_RIGHT_DELETE},
                  {"TRUNCATE", LUMA_RIGHT_TRUNCATE}, {"REFERENCES", LUMA_RIGHT_REFERENCES},
                  {"TRIGGER", LUMA_RIGHT_TRIGGER},   {"USAGE", LUMA_RIGHT_USAGE},
                  {"CREATE", LUMA_RIGHT_CREATE},     {"CONNECT", LUMA_RIGHT_CONNECT},
                  {"EXECUTE", LUMA_RIGHT_EXECUTE},   {"TEMPORARY", LUMA_RIGHT_CREATE},
                  {"TEMP", LUMA_RIGHT_CREATE}};
    for (size_t i = 0; i < LUMA_COUNTOF(rights); i++)
        if (strlen(rights[i].name) == bytes && strncasecmp(rights[i].name, name, bytes) == 0)
            return rights[i].right;
    return 0;
}

/* "SELECT, INSERT WITH GRANT OPTION": any of them is enough. */
static luma_rc
check_any(struct system_row *row, uint64_t role_id, const struct luma_cat_object *object,
          uint32_t col_id, const char *list)
{
    bool any = false;
    for (const char *p = list; *p != '\0';) {
        while (*p == ' ' || *p == ',')
            p++;
        size_t bytes = strcspn(p, ", ");
        uint32_t right = right_of(p, bytes);
        if (right == 0)
            return LUMA_FAIL_SQL(row->ctx, LUMA_E_INVALID, "22023",
                                 "unrecognized privilege type: \"%.*s\"", (int)bytes, p);
        any |= system_host->catalog->may(row->view, role_id, object, col_id, right);
        p += strcspn(p, ",");
    }
    return system_set_bool(row, any);
}

/* The arguments: an optional role (name or oid), the object, [column,] the rights. */
struct asked {
    uint64_t role_id;
    uint32_t object_arg;
};

static luma_rc
asked_of(struct system_row *row, uint32_t with_role, struct asked *out)
{
    out->role_id = system_host->session->user_id(row->session);
    out->object_arg = 0;
    if (row->args_count < with_role)
        return LUMA_OK;
    out->object_arg = 1;
    if (row->args[0].type.id == LUMA_TYPE_OID) {
        out->role_id = system_oid(row, 0);
        return LUMA_OK;
    }
    const char *name = system_text(row, 0);
    const struct luma_cat_object *role = system_host->catalog->find(row->view, LUMA_CAT_ROLE, name);
    if (role == NULL && strcmp(name, "public") != 0)
        return LUMA_FAIL_SQL(row->ctx, LUMA_E_UNDEFINED, "42704", "role \"%s\" does not exist",
                             name);
    out->role_id = role != NULL ? role->id : 0;
    return LUMA_OK;
}

static const struct luma_cat_object *
asked_object(struct system_row *row, uint32_t arg, enum luma_cat_kind kind)
{
    if (row->args[arg].type.id == LUMA_TYPE_OID || row->args[arg].type.id == LUMA_TYPE_REGCLASS)
        return system_object(row, system_oid(row, arg));
    const char *name = system_text(row, arg);
    return kind == LUMA_CAT_SCHEMA || kind == LUMA_CAT_DATABASE
               ? system_host->catalog->find(row->view, kind, name)
               : system_find_relation(row, name);
}

static luma_rc
has_right(struct system_row *row, enum luma_cat_kind kind, const char *word, const char *state)
{
    struct asked asked;
    LUMA_TRY(asked_of(row, 3, &asked));
    bool by_oid = row->args[asked.object_arg].type.id == LUMA_TYPE_OID;
    const struct luma_cat_object *object = asked_object(row, asked.object_arg, kind);
    if (object == NULL && by_oid)
        return system_oid(row, asked.object_arg) < LUMA_CAT_ID_USER_FIRST
                   ? system_set_bool(row, true)
                   : LUMA_OK;
    if (object == NULL)
        return LUMA_FAIL_SQL(row->ctx, LUMA_E_NOTFOUND, state, "%s \"%s\" does not exist", word,
                             system_text(row, asked.object_arg));
    return check_any(row, asked.role_id, object, 0, system_text(row, asked.object_arg + 1));
}

static luma_rc
has_table(struct system_row *row)
{
    return has_right(row, LUMA_CAT_TABLE, "relation", "42P01");
}

static luma_rc
has_schema(struct system_row *row)
{
    return has_right(row, LUMA_CAT_SCHEMA, "schema", "3F000");
}

static luma_rc
has_database(struct system_row *row)
{
    return has_right(row, LUMA_CAT_DATABASE, "database", "3D000");
}

static luma_rc
has_column(struct system_row *row)
{
    struct asked asked;
    LUMA_TRY(asked_of(row, 4, &asked));
    const struct luma_cat_object *table = asked_object(row, asked.object_arg, LUMA_CAT_TABLE);
    if (table == NULL)
        return LUMA_OK;
    bool by_number = row->args[asked.object_arg + 1].type.id == LUMA_TYPE_INT2;
    uint32_t col_id = 0;
    for (uint32_t i = 0; i < table->cols_count; i++)
        if (by_number ? table->cols[i].id == (uint32_t)row->args[asked.object_arg + 1].i16
                      : strcmp(table->cols[i].name, system_text(row, asked.object_arg + 1)) == 0)
            col_id = table->cols[i].id;
    if (col_id == 0)
        return LUMA_OK;
    return check_any(row, asked.role_id, table, col_id, system_text(row, asked.object_arg + 2));
}

static luma_rc
always(struct system_row *row)
{
    return system_set_bool(row, true);
}

/* The rights that come with an object of a kind: everybody's and the owner's. */
static const struct default_acl {
    char kind;
    const char *everybody, *owner;
} default_acls[] = {{'r', NULL, "arwdDxt"}, {'s', NULL, "rwU"}, {'d', "Tc", "CTc"},
                    {'f', "X", "X"},        {'l', "U", "U"},    {'L', NULL, "rw"},
                    {'n', NULL, "UC"},      {'t', NULL, "C"},   {'F', NULL, "U"},
                    {'S', NULL, "U"},       {'T', "U", "U"},    {'c', NULL, NULL},
                    {'p', NULL, NULL}};

static luma_rc
set_texts(struct system_row *row, const char *const *texts, uint32_t count)
{
    struct luma_value values[2];
    row->out->phys = LUMA_PHYS_STR;
    for (uint32_t i = 0; i < count; i++) {
        values[i] = (struct luma_value){.type = luma_type(LUMA_TYPE_TEXT), .phys = LUMA_PHYS_STR};
        values[i].str = luma_str_make(texts[i], (uint32_t)strlen(texts[i]));
    }
    row->out->is_null = false;
    return system_host->data->array_make(row->arena, LUMA_TYPE_TEXT, values, count, &row->out->str);
}

static luma_rc
default_acl(struct system_row *row)
{
    const struct default_acl *found = NULL;
    const struct luma_cat_object *owner = system_object(row, system_oid(row, 1));
    char kind = row->args[0].str.bytes > 0 ? luma_str_data(&row->args[0].str)[0] : ' ';
    const char *texts[2];
    uint32_t count = 0;
    for (size_t i = 0; i < LUMA_COUNTOF(default_acls); i++)
        if (default_acls[i].kind == kind)
            found = &default_acls[i];
    if (found == NULL)
        return LUMA_FAIL(row->ctx, LUMA_E_INVALID, "unrecognized object type abbreviation: %c",
                         kind);
    const char *name = owner != NULL ? system_quote(row, owner->name) : "unknown";
    if (found->everybody != NULL)
        texts[count++] = system_format(row, "=%s/%s", found->everybody, name);
    if (found->owner != NULL)
        texts[count++] = system_format(row, "%s=%s/%s", name, found->owner, name);
    return set_texts(row, texts, count);
}

static bool
member_of(const struct system_row *row, uint64_t role_id, uint64_t of, uint32_t depth)
{
    const struct luma_cat_object *role = system_object(row, role_id);
    if (role_id == of || (role != NULL && role->superuser))
        return true;
    for (uint32_t i = 0; role != NULL && depth < 32 && i < role->members_of_count; i++)
        if (member_of(row, role->members_of[i], of, depth + 1))
            return true;
    return false;
}

static luma_rc
has_role(struct system_row *row)
{
    struct asked asked;
    LUMA_TRY(asked_of(row, 3, &asked));
    uint64_t of = 0;
    if (row->args[asked.object_arg].type.id == LUMA_TYPE_OID) {
        of = system_oid(row, asked.object_arg);
    } else {
        const struct luma_cat_object *role = system_host->catalog->find(
            row->view, LUMA_CAT_ROLE, system_text(row, asked.object_arg));
        if (role == NULL)
            return LUMA_FAIL_SQL(row->ctx, LUMA_E_UNDEFINED, "42704", "role \"%s\" does not exist",
                                 system_text(row, asked.object_arg));
        of = role->id;
    }
    return system_set_bool(row, member_of(row, asked.role_id, of, 0));
}

#define ST SYSTEM_STABLE
#define ASK(name, fn)                                                                 \
    {name, "tt", 'b', ST, fn}, {name, "ot", 'b', ST, fn}, {name, "ntt", 'b', ST, fn}, \
        {name, "not", 'b', ST, fn}, {name, "oot", 'b', ST, fn},                       \
    {                                                                                 \
        name, "ott", 'b', ST, fn                                                      \
    }

static const struct system_func list[] = {
    ASK("has_table_privilege", has_table),
    ASK("has_any_column_privilege", has_table),
    ASK("has_sequence_privilege", has_table),
    ASK("has_schema_privilege", has_schema),
    ASK("has_database_privilege", has_database),
    ASK("has_function_privilege", always),
    ASK("has_type_privilege", always),
    ASK("has_language_privilege", always),
    ASK("has_tablespace_privilege", always),
    ASK("has_foreign_data_wrapper_privilege", always),
    ASK("has_server_privilege", always),
    {"has_column_privilege", "ttt", 'b', ST, has_column},
    {"has_column_privilege", "ott", 'b', ST, has_column},
    {"has_column_privilege", "ost", 'b', ST, has_column},
    {"has_column_privilege", "nttt", 'b', ST, has_column},
    {"has_column_privilege", "nott", 'b', ST, has_column},
    {"acldefault", "Co", 'A', SYSTEM_STABLE, default_acl},
    {"pg_has_role", "nt", 'b', ST, has_role},
    {"pg_has_role", "ot", 'b', ST, has_role},
    {"pg_has_role", "nnt", 'b', ST, has_role},
    {"pg_has_role", "not", 'b', ST, has_role},
};

const struct system_list system_rights = {list, LUMA_COUNTOF(list)};
