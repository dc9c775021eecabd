/*
 * ddl_options.c - WITH (storage_tier = ram, ...) of tables, kept as "name=value,name=value".
 */
#include <lumadb/module.h>

#include "ddl.h"

static const char *
option_value(struct sql_bind *b, const PgQuery__Node *arg)
{
    if (arg == NULL)
        return "true";
    switch (arg->node_case) {
    case PGN(INTEGER):
        return sql_format(b, "%d", arg->integer->ival);
    case PGN(FLOAT):
        return arg->float_->fval;
    case PGN(BOOLEAN):
        return arg->boolean->boolval ? "true" : "false";
    case PGN(TYPE_NAME):
        return sql_name_parts(arg->type_name->names, arg->type_name->n_names, NULL);
    default:
        return sql_string(arg);
    }
}

/* Adds "name=value", or the name alone. */
static const char *
option_add(struct sql_bind *b, const char *text, const char *option, size_t bytes)
{
    return sql_format(b, "%s%s%.*s", text != NULL ? text : "", text != NULL ? "," : "", (int)bytes,
                      option);
}

/* The options of "a=b,c=d" that the list does not name. */
static const char *
options_without(struct sql_bind *b, const char *old, PgQuery__Node *const *options, size_t count)
{
    const char *text = NULL;
    for (const char *p = old; p != NULL && *p != '\0';) {
        size_t bytes = strcspn(p, ","), name = strcspn(p, "=,");
        bool named = false;
        for (size_t i = 0; i < count && !named; i++) {
            const char *wanted = options[i]->def_elem->defname;
            named = strlen(wanted) == name && strncmp(wanted, p, name) == 0;
        }
        if (!named)
            text = option_add(b, text, p, bytes);
        p += bytes + (p[bytes] == ',');
    }
    return text;
}

const char *
sql_storage_options_reset(struct sql_bind *b, const char *old, PgQuery__Node *const *options,
                          size_t count)
{
    return options_without(b, old, options, count);
}

const char *
sql_storage_options(struct sql_bind *b, const char *old, PgQuery__Node *const *options,
                    size_t count)
{
    const char *text = options_without(b, old, options, count);
    for (size_t i = 0; i < count; i++) {
        const PgQuery__DefElem *def = options[i]->def_elem;
        const char *value = option_value(b, def->arg);
        if (strcmp(def->defname, "oids") == 0) {
            if (strcmp(value, "false") != 0)
                SQL_THROW(b, def->location, LUMA_E_UNSUPPORTED, "0A000",
                          "tables declared WITH OIDS are not supported");
            continue;
        }
        for (size_t k = 0; k < i; k++)
            if (strcmp(options[k]->def_elem->defname, def->defname) == 0)
                SQL_THROW(b, def->location, LUMA_E_INVALID, "22023",
                          "parameter \"%s\" specified more than once", def->defname);
        if (strchr(value, ',') != NULL)
            SQL_THROW(b, def->location, LUMA_E_INVALID, "22023",
                      "invalid value for option \"%s\": %s", def->defname, value);
        const char *option = sql_format(b, "%s=%s", def->defname, value);
        text = option_add(b, text, option, strlen(option));
    }
    return text;
}
