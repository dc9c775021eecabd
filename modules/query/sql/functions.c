/*
 * functions.c - which function is meant: PostgreSQL's overload resolution over the signatures of
 * all function packages (its chapter 10.2 and 10.3).
 */
#include <pthread.h>
#include <stdlib.h>

#include "sql.h"

#define NAMES_LOG2     12
#define NAMES          (1u << NAMES_LOG2)
#define CANDIDATES_MAX 256
#define ARGS_MAX       256

static struct sql_func_entry *calls[NAMES], *operators[NAMES];
static const struct luma_func *casts[LUMA_TYPE_COUNT_][LUMA_TYPE_COUNT_];
static const struct luma_func *array_casts_to[LUMA_TYPE_COUNT_],
    *array_casts_from[LUMA_TYPE_COUNT_];
static struct sql_func_list all;
static uint32_t all_room;
static pthread_once_t loaded = PTHREAD_ONCE_INIT;

static uint32_t
name_hash(const char *name)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *name != '\0'; name++)
        h = (h ^ (uint8_t)*name) * 0x100000001b3u;
    return (uint32_t)(h >> 20) & (NAMES - 1);
}

static void
add_cast(const struct luma_func *f)
{
    struct luma_type from = f->args[0], to = f->result;
    if (from.id == LUMA_TYPE_ARRAY || from.id == LUMA_TYPE_ANYARRAY)
        array_casts_from[to.id] = f;
    else if (to.id == LUMA_TYPE_ARRAY || to.id == LUMA_TYPE_ANYARRAY)
        array_casts_to[from.id] = f;
    else
        casts[from.id][to.id] = f;
}

static void
add_function(const struct luma_func *f, const char *package)
{
    struct sql_func_entry *entry = calloc(1, sizeof(*entry));
    if (entry == NULL)
        return;
    entry->func = f;
    entry->package = package;
    entry->oid = 9000 + all.count;
    if (all.count == all_room) {
        uint32_t room = all_room == 0 ? 1024 : all_room * 2;
        struct sql_func_entry **grown = realloc(all.entries, sizeof(*grown) * room);
        if (grown == NULL) {
            free(entry);
            return;
        }
        all.entries = grown;
        all_room = room;
    }
    all.entries[all.count++] = entry;
    if (f->flags & LUMA_FUNC_CAST) {
        add_cast(f);
        return;
    }
    struct sql_func_entry **slot =
        &((f->flags & LUMA_FUNC_OPERATOR) ? operators : calls)[name_hash(f->name)];
    while (*slot != NULL)
        slot = &(*slot)->next;
    *slot = entry;
}

static void
add_package(void *arg, const struct luma_service_info *info)
{
    (void)arg;
    const struct luma_head *table = sql_host->services->lookup(info->service, LUMA_FUNCTION_MAJOR);
    if (table == NULL)
        return;
    const struct luma_function_package *package = (const struct luma_function_package *)table;
    for (size_t i = 0; i < package->functions_count; i++)
        add_function(&package->functions[i], info->service);
}

static void
load(void)
{
    sql_host->services->each("function.", add_package, NULL);
    for (size_t i = 0; i < sql_own_functions_count; i++)
        add_function(&sql_own_functions[i], "query.sql");
    for (size_t i = 0; i < sql_enum_functions_count; i++)
        add_function(&sql_enum_functions[i], "query.sql");
}

void
sql_functions_load(void)
{
    pthread_once(&loaded, load);
}

const struct sql_func_list *
sql_functions_all(void)
{
    sql_functions_load();
    return &all;
}

const struct luma_func *
sql_cast_func(struct luma_type from, struct luma_type to, enum sql_cast_context context)
{
    const struct luma_func *f = NULL;
    if (from.id == LUMA_TYPE_ARRAY)
        f = to.id == LUMA_TYPE_ARRAY ? NULL : array_casts_from[to.id];
    else if (to.id == LUMA_TYPE_ARRAY)
        f = array_casts_to[from.id];
    else
        f = casts[from.id][to.id];
    if (f == NULL || context == SQL_CAST_EXPLICIT || (f->flags & LUMA_FUNC_CAST_IMPLICIT) != 0)
        return f;
    return context == SQL_CAST_ASSIGN && (f->flags & LUMA_FUNC_CAST_ASSIGN) != 0 ? f : NULL;
}

/* ---- window functions: computed by the engine, known by name ---- */

#define ANYELEMENT                     \
    {                                  \
        LUMA_TYPE_ANYELEMENT, 0, 0, -1 \
    }
#define INT4                     \
    {                            \
        LUMA_TYPE_INT4, 0, 0, -1 \
    }
#define INT8                     \
    {                            \
        LUMA_TYPE_INT8, 0, 0, -1 \
    }
#define FLOAT8                     \
    {                              \
        LUMA_TYPE_FLOAT8, 0, 0, -1 \
    }

static const struct luma_func window_funcs[] = {
    {.name = "row_number", .result = INT8},
    {.name = "rank", .result = INT8},
    {.name = "dense_rank", .result = INT8},
    {.name = "percent_rank", .result = FLOAT8},
    {.name = "cume_dist", .result = FLOAT8},
    {.name = "ntile", .args_count = 1, .args = {INT4}, .result = INT4},
    {.name = "lag", .args_count = 1, .args = {ANYELEMENT}, .result = ANYELEMENT},
    {.name = "lag", .args_count = 2, .args = {ANYELEMENT, INT4}, .result = ANYELEMENT},
    {.name = "lag", .args_count = 3, .args = {ANYELEMENT, INT4, ANYELEMENT}, .result = ANYELEMENT},
    {.name = "lead", .args_count = 1, .args = {ANYELEMENT}, .result = ANYELEMENT},
    {.name = "lead", .args_count = 2, .args = {ANYELEMENT, INT4}, .result = ANYELEMENT},
    {.name = "lead", .args_count = 3, .args = {ANYELEMENT, INT4, ANYELEMENT}, .result = ANYELEMENT},
    {.name = "first_value", .args_count = 1, .args = {ANYELEMENT}, .result = ANYELEMENT},
    {.name = "last_value", .args_count = 1, .args = {ANYELEMENT}, .result = ANYELEMENT},
    {.name = "nth_value", .args_count = 2, .args = {ANYELEMENT, INT4}, .result = ANYELEMENT},
};

const struct luma_func *
sql_window_func(const char *name, uint32_t args_count)
{
    for (size_t i = 0; i < LUMA_COUNTOF(window_funcs); i++)
        if (window_funcs[i].args_count == args_count && strcmp(window_funcs[i].name, name) == 0)
            return &window_funcs[i];
    return NULL;
}

/* ---- overload resolution ---- */

struct candidate {
    const struct luma_func *func;
    struct luma_type args[ARGS_MAX];
};

/* The declared argument types spread over `count` actual ones; false when the counts do not fit. */
static bool
spread(const struct luma_func *f, uint32_t count, struct luma_type *out)
{
    uint32_t fixed = f->args_count;
    if (f->flags & LUMA_FUNC_VARIADIC) {
        fixed = (uint32_t)f->args_count - 1u;
        if (count < fixed || count > ARGS_MAX)
            return false;
    } else if (count != fixed) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        out[i] = f->args[i < fixed ? i : fixed];
        out[i].mod = -1; /* packages may leave it zero */
        out[i].scale = 0;
    }
    return true;
}

static bool
matches(const struct candidate *c, const struct luma_type *args, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!sql_can_coerce(args[i], c->args[i], SQL_CAST_IMPLICIT))
            return false;
    return true;
}

/* In a signature: any enum, but the same one everywhere. */
static bool
is_any_enum(struct luma_type t)
{
    return t.id == LUMA_TYPE_ENUM && t.mod == -1;
}

/* Arguments of ANYELEMENT and ANYARRAY must agree; *out_elem is what they agree on. */
static bool
poly_agree(const struct candidate *c, const struct luma_type *args, uint32_t count,
           struct luma_type *out_elem)
{
    struct luma_type elem = luma_type(LUMA_TYPE_NONE);
    for (uint32_t i = 0; i < count; i++) {
        struct luma_type t = args[i];
        if (t.id == LUMA_TYPE_UNKNOWN)
            continue;
        if (c->args[i].id == LUMA_TYPE_ANYARRAY) {
            if (t.id != LUMA_TYPE_ARRAY)
                return false;
            t = luma_type_elem(t);
        } else if (c->args[i].id != LUMA_TYPE_ANYELEMENT && !is_any_enum(c->args[i])) {
            continue;
        }
        if (elem.id == LUMA_TYPE_NONE)
            elem = t;
        else if (!sql_type_same(elem, t)) {
            if (sql_can_coerce(t, elem, SQL_CAST_IMPLICIT))
                continue;
            if (!sql_can_coerce(elem, t, SQL_CAST_IMPLICIT))
                return false;
            elem = t;
        }
    }
    *out_elem = elem;
    return true;
}

static void
finish(struct sql_bind *b, const struct candidate *c, const struct luma_type *args, uint32_t count,
       struct sql_resolved *out)
{
    struct luma_type elem;
    poly_agree(c, args, count, &elem);
    if (elem.id == LUMA_TYPE_NONE)
        elem = luma_type(LUMA_TYPE_TEXT);
    out->func = c->func;
    out->result = c->func->result;
    out->args = SQL_NEW_ARRAY(b, struct luma_type, count);
    struct luma_type array = luma_type_array_of(elem);
    for (uint32_t i = 0; i < count; i++) {
        struct luma_type want = c->args[i];
        if (want.id == LUMA_TYPE_ANYELEMENT || is_any_enum(want))
            want = elem;
        else if (want.id == LUMA_TYPE_ANYARRAY)
            want = array;
        else if (want.id == LUMA_TYPE_ANY)
            want = args[i].id == LUMA_TYPE_UNKNOWN ? luma_type(LUMA_TYPE_TEXT) : args[i];
        out->args[i] = want;
    }
    if (out->result.id == LUMA_TYPE_ANYELEMENT || is_any_enum(out->result))
        out->result = elem;
    else if (out->result.id == LUMA_TYPE_ANYARRAY)
        out->result = array;
    else if (out->result.mod <= 0)
        out->result.mod = -1; /* packages may leave it zero */
}

struct candidates {
    struct candidate *list[CANDIDATES_MAX];
    uint32_t count;
};

static void
keep_best(struct candidates *set, const uint32_t *scores)
{
    uint32_t best = 0, kept = 0;
    for (uint32_t i = 0; i < set->count; i++)
        best = scores[i] > best ? scores[i] : best;
    for (uint32_t i = 0; i < set->count; i++)
        if (scores[i] == best)
            set->list[kept++] = set->list[i];
    set->count = kept;
}

static void
score_exact(struct candidates *set, const struct luma_type *args, uint32_t count, bool preferred)
{
    uint32_t scores[CANDIDATES_MAX];
    for (uint32_t c = 0; c < set->count; c++) {
        scores[c] = 0;
        for (uint32_t i = 0; i < count; i++) {
            struct luma_type want = set->list[c]->args[i];
            if (args[i].id == LUMA_TYPE_UNKNOWN)
                continue;
            if (sql_type_same(want, args[i]) ||
                (preferred && sql_type_preferred(want) &&
                 sql_type_category(want) == sql_type_category(args[i])))
                scores[c]++;
        }
    }
    keep_best(set, scores);
}

/* Rule 4e: unknown arguments take the category that the candidates offer there, string first. */
static void
narrow_unknown(struct candidates *set, const struct luma_type *args, uint32_t count)
{
    char category[ARGS_MAX] = {0};
    bool prefer[ARGS_MAX] = {false};
    for (uint32_t i = 0; i < count; i++) {
        if (args[i].id != LUMA_TYPE_UNKNOWN)
            continue;
        bool conflict = false;
        for (uint32_t c = 0; c < set->count; c++) {
            struct luma_type want = set->list[c]->args[i];
            char cat = sql_type_category(want);
            if (category[i] == 0) {
                category[i] = cat;
                prefer[i] = sql_type_preferred(want);
            } else if (cat == category[i]) {
                prefer[i] |= sql_type_preferred(want);
            } else if (cat == 'S') {
                category[i] = 'S';
                prefer[i] = sql_type_preferred(want);
                conflict = false;
            } else if (category[i] != 'S') {
                conflict = true;
            }
        }
        if (conflict)
            return;
    }
    uint32_t kept = 0;
    struct candidate *keep[CANDIDATES_MAX];
    for (uint32_t c = 0; c < set->count; c++) {
        bool ok = true;
        for (uint32_t i = 0; i < count && ok; i++) {
            struct luma_type want = set->list[c]->args[i];
            if (args[i].id == LUMA_TYPE_UNKNOWN)
                ok = sql_type_category(want) == category[i] &&
                     (!prefer[i] || sql_type_preferred(want));
        }
        if (ok)
            keep[kept++] = set->list[c];
    }
    if (kept > 0) {
        memcpy(set->list, keep, sizeof(keep[0]) * kept);
        set->count = kept;
    }
}

/* Rule 4f: if all known arguments are of one type, unknown ones are taken to be of it too. */
static void
assume_same(struct candidates *set, const struct luma_type *args, uint32_t count)
{
    struct luma_type known = luma_type(LUMA_TYPE_NONE);
    for (uint32_t i = 0; i < count; i++) {
        if (args[i].id == LUMA_TYPE_UNKNOWN)
            continue;
        if (known.id != LUMA_TYPE_NONE && !sql_type_same(known, args[i]))
            return;
        known = args[i];
    }
    if (known.id == LUMA_TYPE_NONE)
        return;
    struct candidate *found = NULL;
    for (uint32_t c = 0; c < set->count; c++) {
        bool ok = true;
        for (uint32_t i = 0; i < count && ok; i++)
            ok = sql_can_coerce(known, set->list[c]->args[i], SQL_CAST_IMPLICIT);
        if (ok && found != NULL)
            return;
        if (ok)
            found = set->list[c];
    }
    if (found != NULL) {
        set->list[0] = found;
        set->count = 1;
    }
}

static void
narrow(struct candidates *set, const struct luma_type *args, uint32_t count)
{
    if (set->count > 1)
        score_exact(set, args, count, false);
    if (set->count > 1)
        score_exact(set, args, count, true);
    if (set->count > 1)
        narrow_unknown(set, args, count);
    if (set->count > 1)
        assume_same(set, args, count);
}

static bool
is_exact(const struct candidate *c, const struct luma_type *args, uint32_t count, bool operator_)
{
    struct luma_type other = luma_type(LUMA_TYPE_UNKNOWN);
    if (operator_ && count == 2)
        other = args[0].id == LUMA_TYPE_UNKNOWN ? args[1] : args[0];
    for (uint32_t i = 0; i < count; i++) {
        struct luma_type t = args[i].id == LUMA_TYPE_UNKNOWN ? other : args[i];
        if (!sql_type_same(t, c->args[i]))
            return false;
    }
    return true;
}

static void
ambiguous(struct sql_bind *b, enum sql_func_class what, const char *name, int32_t location)
{
    luma_rc rc = LUMA_FAIL_SQL(b->ctx, LUMA_E_TYPE, "42725", "%s %s is not unique",
                               what == SQL_FUNC_OPERATOR ? "operator" : "function", name);
    sql_hint(b, "Could not choose a best candidate %s. You might need to add explicit type casts.",
             what == SQL_FUNC_OPERATOR ? "operator" : "function");
    sql_throw(b, location, rc);
}

static bool
resolve_among(struct sql_bind *b, enum sql_func_class what, const char *name,
              struct candidates *set, const struct luma_type *args, uint32_t count,
              int32_t location, struct sql_resolved *out)
{
    for (uint32_t c = 0; c < set->count; c++)
        if (is_exact(set->list[c], args, count, what == SQL_FUNC_OPERATOR)) {
            finish(b, set->list[c], args, count, out);
            return true;
        }
    uint32_t kept = 0;
    for (uint32_t c = 0; c < set->count; c++) {
        struct luma_type elem;
        if (matches(set->list[c], args, count) && poly_agree(set->list[c], args, count, &elem))
            set->list[kept++] = set->list[c];
    }
    set->count = kept;
    narrow(set, args, count);
    if (set->count == 0)
        return false;
    if (set->count > 1)
        ambiguous(b, what, name, location);
    finish(b, set->list[0], args, count, out);
    return true;
}

/* Of two that take the same arguments, one of them by being variadic, the other one is meant. */
static void
add_candidate(struct candidates *set, struct candidate *c, uint32_t args_count)
{
    for (uint32_t i = 0; i < set->count; i++) {
        struct candidate *other = set->list[i];
        bool variadic = (c->func->flags & LUMA_FUNC_VARIADIC) != 0;
        if (memcmp(other->args, c->args, sizeof(*c->args) * args_count) != 0 ||
            variadic == ((other->func->flags & LUMA_FUNC_VARIADIC) != 0))
            continue;
        if (!variadic)
            set->list[i] = c;
        return;
    }
    set->list[set->count++] = c;
}

bool
sql_resolve(struct sql_bind *b, enum sql_func_class what, const char *name,
            const struct luma_type *args, uint32_t args_count, int32_t location,
            struct sql_resolved *out)
{
    struct candidates set = {.count = 0};
    struct candidate scratch;
    struct sql_func_entry *entry = (what == SQL_FUNC_OPERATOR ? operators : calls)[name_hash(name)];
    if (args_count > ARGS_MAX)
        SQL_THROW(b, location, LUMA_E_LIMIT, "54023",
                  "cannot pass more than %d arguments to a function", ARGS_MAX);
    for (; entry != NULL && set.count < CANDIDATES_MAX; entry = entry->next) {
        if (strcmp(entry->func->name, name) != 0 || !spread(entry->func, args_count, scratch.args))
            continue;
        size_t bytes = offsetof(struct candidate, args) + sizeof(struct luma_type) * args_count;
        struct candidate *c = sql_alloc(b, bytes);
        c->func = entry->func;
        memcpy(c->args, scratch.args, sizeof(struct luma_type) * args_count);
        add_candidate(&set, c, args_count);
    }
    return resolve_among(b, what, name, &set, args, args_count, location, out);
}

/* ---- calls ---- */

static const char *
types_text(struct sql_bind *b, const struct luma_type *args, uint32_t count)
{
    const char *text = "";
    for (uint32_t i = 0; i < count; i++)
        text = sql_format(b, "%s%s%s", text, i == 0 ? "" : ", ", sql_type_text(b, args[i]));
    return text;
}

static void
no_function(struct sql_bind *b, const char *name, const struct luma_type *types, uint32_t count,
            int32_t location)
{
    luma_rc rc = LUMA_FAIL_SQL(b->ctx, LUMA_E_UNDEFINED, "42883", "function %s(%s) does not exist",
                               name, types_text(b, types, count));
    sql_hint(b, "No function matches the given name and argument types. You might need to add "
                "explicit type casts.");
    sql_throw(b, location, rc);
}

static struct luma_expr *
make_call(struct sql_bind *b, const struct sql_resolved *r, struct luma_expr **args, uint32_t count,
          int32_t location)
{
    struct luma_expr *e = sql_expr(b, LUMA_EXPR_CALL, r->result, count);
    e->func = r->func;
    for (uint32_t i = 0; i < count; i++)
        e->args[i] = sql_coerce(b, args[i], r->args[i], SQL_CAST_IMPLICIT, location);
    return e;
}

struct luma_expr *
sql_call(struct sql_bind *b, const char *name, int32_t location, struct luma_expr **args,
         uint32_t args_count)
{
    struct luma_type types[LUMA_FUNC_ARGS_MAX] = {{0}};
    struct sql_resolved r;
    for (uint32_t i = 0; i < args_count && i < LUMA_FUNC_ARGS_MAX; i++)
        types[i] = args[i]->type;
    if (!sql_resolve(b, SQL_FUNC_CALL, name, types, args_count, location, &r))
        no_function(b, name, types, args_count, location);
    return make_call(b, &r, args, args_count, location);
}

static void
no_operator(struct sql_bind *b, const char *name, struct luma_expr *left, struct luma_expr *right,
            int32_t location)
{
    luma_rc rc =
        left == NULL
            ? LUMA_FAIL_SQL(b->ctx, LUMA_E_UNDEFINED, "42883", "operator does not exist: %s %s",
                            name, sql_type_text(b, right->type))
            : LUMA_FAIL_SQL(b->ctx, LUMA_E_UNDEFINED, "42883", "operator does not exist: %s %s %s",
                            sql_type_text(b, left->type), name, sql_type_text(b, right->type));
    sql_hint(b,
             "No operator matches the given name and argument type%s. You might need to add "
             "%s type cast%s.",
             left == NULL ? "" : "s", left == NULL ? "an explicit" : "explicit",
             left == NULL ? "" : "s");
    sql_throw(b, location, rc);
}

struct luma_expr *
sql_operator(struct sql_bind *b, const char *name, int32_t location, struct luma_expr *left,
             struct luma_expr *right)
{
    struct luma_expr *args[2] = {left == NULL ? right : left, right};
    uint32_t count = left == NULL ? 1 : 2;
    struct luma_type types[2] = {args[0]->type, right->type};
    struct sql_resolved r;
    if (strcmp(name, "!=") == 0)
        name = "<>";
    if (!sql_resolve(b, SQL_FUNC_OPERATOR, name, types, count, location, &r))
        no_operator(b, name, left, right, location);
    return make_call(b, &r, args, count, location);
}

const struct luma_func *
sql_operator_func(struct sql_bind *b, const char *name, struct luma_type type, int32_t location)
{
    struct luma_type types[2] = {type, type};
    struct sql_resolved r;
    if (!sql_resolve(b, SQL_FUNC_OPERATOR, name, types, 2, location, &r)) {
        luma_rc rc = LUMA_FAIL_SQL(b->ctx, LUMA_E_UNDEFINED, "42883",
                                   "could not identify an equality operator for type %s",
                                   sql_type_text(b, type));
        sql_throw(b, location, rc);
    }
    return r.func;
}
