/* main/shell/describe.c - \d and its family: queries over pg_catalog. */
#include "main/shell/shell.h"

#define NOT_SYSTEM                                                    \
    "n.nspname <> 'pg_catalog' AND n.nspname <> 'information_schema'" \
    " AND n.nspname !~ '^pg_toast'"

/* A pattern of psql as one of LIKE: * and ? are its % and _; a dot parts schema and name. */
static void
make_like(const char *from, size_t bytes, char *out, size_t room)
{
    size_t n = 0;
    bool quoted = false;
    for (size_t i = 0; i < bytes && n + 3 < room; i++) {
        char c = from[i];
        if (c == '"') {
            quoted = !quoted;
            continue;
        }
        if (c == '_' || c == '%' || c == '\\')
            out[n++] = '\\';
        if (!quoted && (c == '*' || c == '?'))
            c = c == '*' ? '%' : '_';
        else if (!quoted && c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        out[n++] = c;
    }
    out[n] = 0;
}

struct pattern {
    char schema[256], name[256];
};

static void
parse_pattern(const char *text, struct pattern *out)
{
    const char *dot = strchr(text, '.');
    if (dot != NULL && strchr(text, '"') != NULL && strchr(text, '"') < dot)
        dot = strchr(strrchr(text, '"') < dot ? strrchr(text, '"') : dot, '.');
    make_like(text, dot == NULL ? 0 : (size_t)(dot - text), out->schema, sizeof(out->schema));
    make_like(dot == NULL ? text : dot + 1, strlen(dot == NULL ? text : dot + 1), out->name,
              sizeof(out->name));
}

/* Runs sql with $1: schema pattern, $2: name pattern; both may be NULL. Shows rows unless none and
 * `none` is given. */
static bool
show(struct lki_shell *shell, const char *sql, const char *schema, const char *name,
     const char *title)
{
    const char *values[] = {schema, name};
    const Oid types[] = {25, 25};
    PGresult *result = PQexecParams(shell->conn, sql, 2, types, values, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        lki_shell_error(shell, PQresultErrorMessage(result));
        PQclear(result);
        return false;
    }
    struct lki_printer printer = {.shell = shell};
    if (title != NULL && (shell->format == SHELL_TABLE || shell->format == SHELL_EXPANDED))
        fprintf(shell->out, "%s\n", title);
    bool ok = true;
    if (PQntuples(result) > 0) {
        PGresult *end = PQcopyResult(result, PG_COPYRES_ATTRS);
        ok = lki_printer_take(&printer, result);
        return lki_printer_end(&printer, end) && ok;
    }
    return lki_printer_end(&printer, result) && ok;
}

static bool
list_relations(struct lki_shell *shell, const char *kinds, const struct pattern *p, bool plus)
{
    char sql[2048];
    snprintf(sql, sizeof(sql),
             "SELECT n.nspname AS \"Schema\", c.relname AS \"Name\", CASE c.relkind WHEN 'r' THEN "
             "'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'i' THEN 'index' "
             "WHEN 'S' THEN 'sequence' ELSE 'table' END AS \"Type\", "
             "pg_catalog.pg_get_userbyid(c.relowner) AS \"Owner\"%s "
             "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
             "WHERE c.relkind::text = ANY (string_to_array('%s', ',')) "
             "AND ($1 IS NOT NULL OR (" NOT_SYSTEM
             ")) AND ($1 IS NULL OR n.nspname LIKE $1) AND ($2 IS NULL OR c.relname LIKE $2) "
             "ORDER BY 1, 2",
             plus ? ", pg_catalog.pg_size_pretty(pg_catalog.pg_total_relation_size(c.oid)) AS "
                    "\"Size\", pg_catalog.obj_description(c.oid, 'pg_class') AS \"Description\""
                  : "",
             kinds);
    return show(shell, sql, p->schema[0] == 0 ? NULL : p->schema, p->name[0] == 0 ? NULL : p->name,
                NULL);
}

/* The parts of one relation; $1 is its oid as text, $2 unused. */
static const struct {
    const char *title, *sql;
} parts[] = {
    {NULL, "SELECT a.attname AS \"Column\", pg_catalog.format_type(a.atttypid, a.atttypmod) AS "
           "\"Type\", CASE WHEN a.attnotnull THEN 'not null' ELSE '' END AS \"Nullable\", "
           "coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '') AS \"Default\" "
           "FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d "
           "ON d.adrelid = a.attrelid AND d.adnum = a.attnum "
           "WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped AND $2 IS NULL "
           "ORDER BY a.attnum"},
    {"Indexes", "SELECT c.relname AS \"Name\", CASE WHEN i.indisprimary THEN 'primary key' WHEN "
                "i.indisunique THEN 'unique' ELSE '' END AS \"Kind\", "
                "pg_catalog.pg_get_indexdef(i.indexrelid) AS \"Definition\" "
                "FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid "
                "WHERE i.indrelid = $1::oid AND $2 IS NULL ORDER BY i.indisprimary DESC, 1"},
    {"Constraints", "SELECT conname AS \"Name\", pg_catalog.pg_get_constraintdef(oid) AS "
                    "\"Definition\" FROM pg_catalog.pg_constraint WHERE conrelid = $1::oid "
                    "AND contype IN ('c', 'f') AND $2 IS NULL ORDER BY contype, 1"},
    {"Referenced by",
     "SELECT conrelid::regclass AS \"Table\", conname AS \"Name\", "
     "pg_catalog.pg_get_constraintdef(oid) AS \"Definition\" FROM pg_catalog.pg_constraint "
     "WHERE confrelid = $1::oid AND contype = 'f' AND $2 IS NULL ORDER BY 1, 2"},
    {"View", "SELECT pg_catalog.pg_get_viewdef(oid) AS \"Definition\" FROM pg_catalog.pg_class "
             "WHERE oid = $1::oid AND relkind IN ('v', 'm') AND $2 IS NULL"},
};

static bool
describe_one(struct lki_shell *shell, const char *oid, const char *schema, const char *name)
{
    const char *values[] = {oid, NULL};
    const Oid types[] = {25, 25};
    bool ok = true, header = shell->header;
    fprintf(shell->out, "%s.%s\n", schema, name);
    for (size_t i = 0; ok && i < LUMA_COUNTOF(parts); i++) {
        PGresult *result = PQexecParams(shell->conn, parts[i].sql, 2, types, values, NULL, NULL, 0);
        bool any = PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) > 0;
        PQclear(result);
        if (any)
            ok = show(shell, parts[i].sql, oid, NULL, parts[i].title);
    }
    shell->header = header;
    return ok;
}

static bool
describe_relations(struct lki_shell *shell, const struct pattern *p)
{
    const char *values[] = {p->schema[0] == 0 ? NULL : p->schema, p->name};
    const Oid types[] = {25, 25};
    PGresult *found = PQexecParams(
        shell->conn,
        "SELECT c.oid::text, n.nspname, c.relname FROM pg_catalog.pg_class c "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relname LIKE $2 AND "
        "(CASE WHEN $1 IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname LIKE $1 "
        "END) ORDER BY 2, 3 LIMIT 200",
        2, types, values, NULL, NULL, 0);
    bool ok = PQresultStatus(found) == PGRES_TUPLES_OK;
    if (!ok) {
        lki_shell_error(shell, PQresultErrorMessage(found));
    } else if (PQntuples(found) == 0) {
        lki_shell_error(shell, "no relation has that name");
        ok = false;
    }
    for (int i = 0; ok && i < PQntuples(found); i++)
        ok = describe_one(shell, PQgetvalue(found, i, 0), PQgetvalue(found, i, 1),
                          PQgetvalue(found, i, 2));
    PQclear(found);
    return ok;
}

static const char functions_sql[] =
    "SELECT n.nspname AS \"Schema\", p.proname AS \"Name\", "
    "pg_catalog.pg_get_function_result(p.oid) AS \"Result\", "
    "pg_catalog.pg_get_function_arguments(p.oid) AS \"Arguments\" FROM pg_catalog.pg_proc p "
    "JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace "
    "WHERE ($1 IS NULL OR n.nspname LIKE $1) AND ($2 IS NULL OR p.proname LIKE $2) "
    "AND ($2 IS NOT NULL OR n.nspname <> 'pg_catalog') ORDER BY 1, 2, 4";
static const char schemas_sql[] =
    "SELECT n.nspname AS \"Name\", pg_catalog.pg_get_userbyid(n.nspowner) AS \"Owner\" "
    "FROM pg_catalog.pg_namespace n WHERE $1 IS NULL AND ($2 IS NOT NULL OR (" NOT_SYSTEM
    ")) AND ($2 IS NULL OR n.nspname LIKE $2) ORDER BY 1";
static const char users_sql[] =
    "SELECT rolname AS \"Name\", rolsuper AS \"Superuser\", rolcanlogin AS \"Login\" "
    "FROM pg_catalog.pg_roles WHERE $1 IS NULL AND ($2 IS NULL OR rolname LIKE $2) ORDER BY 1";
static const char databases_sql[] =
    "SELECT datname AS \"Name\", pg_catalog.pg_get_userbyid(datdba) AS \"Owner\" "
    "FROM pg_catalog.pg_database WHERE $1 IS NULL AND ($2 IS NULL OR datname LIKE $2) ORDER BY 1";

bool
lki_shell_describe(struct lki_shell *shell, const char *name, const char *text)
{
    static const struct {
        const char *name, *kinds, *sql;
    } lists[] = {
        {"dt", "r,p", NULL},         {"dv", "v", NULL},         {"dm", "m", NULL},
        {"di", "i", NULL},           {"ds", "S", NULL},         {"d", "r,p,v,m,S", NULL},
        {"df", NULL, functions_sql}, {"dn", NULL, schemas_sql}, {"du", NULL, users_sql},
        {"l", NULL, databases_sql},
    };
    struct pattern p;
    size_t n = strlen(name);
    bool plus = n > 1 && name[n - 1] == '+';
    char plain[16];
    snprintf(plain, sizeof(plain), "%.*s", (int)(n - plus), name);
    parse_pattern(text, &p);
    if (strcmp(plain, "d") == 0 && p.name[0] != 0)
        return describe_relations(shell, &p);
    for (size_t i = 0; i < LUMA_COUNTOF(lists); i++) {
        if (strcmp(plain, lists[i].name) != 0)
            continue;
        if (lists[i].kinds != NULL)
            return list_relations(shell, lists[i].kinds, &p, plus);
        return show(shell, lists[i].sql, p.schema[0] == 0 ? NULL : p.schema,
                    p.name[0] == 0 ? NULL : p.name, NULL);
    }
    lki_shell_error(shell, "no such command; \\? lists them");
    return false;
}
