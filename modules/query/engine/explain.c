/* explain.c - EXPLAIN (ANALYZE): the operators as a tree, as text like PostgreSQL's or as JSON. */
#include "explain.h"

#include <lumadb/host/temp.h>

#include <math.h>
#include <stdio.h>

#include "phys.h"
#include "spill.h"

#define EXPLAIN_DEPTH_MAX 200

struct explain {
    struct luma_ctx *ctx;
    struct luma_query *query;
    struct exec *x; /* analyzed; NULL: only planned */
    const struct luma_explain_opts *opts;
    bool json, failed, first_prop;
    uint32_t indent;
    uint32_t count, room;
    const char **lines;
};

const struct exec *
eng_explain_exec(const struct explain *ex)
{
    return ex->x;
}

static void
line(struct explain *ex, const char *text, size_t bytes)
{
    struct luma_arena *arena = ex->ctx->arena;
    if (ex->count + 1 >= ex->room) {
        uint32_t room = ex->room * 2 + 32;
        const char **lines = luma_arena_alloc(arena, sizeof(*lines) * room);
        if (lines == NULL) {
            ex->failed = true;
            return;
        }
        if (ex->count > 0)
            memcpy(lines, ex->lines, sizeof(*lines) * ex->count);
        ex->lines = lines;
        ex->room = room;
    }
    char *copy = luma_arena_alloc(arena, bytes + ex->indent + 1);
    if (copy == NULL) {
        ex->failed = true;
        return;
    }
    memset(copy, ' ', ex->indent);
    memcpy(copy + ex->indent, text, bytes);
    copy[ex->indent + bytes] = '\0';
    ex->lines[ex->count++] = copy;
}

LUMA_PRINTF(2, 3)
static void
linef(struct explain *ex, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    line(ex, text, n < 0 ? 0 : n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

/* --- JSON: a comma goes to the end of the previous line --- */

static void
comma(struct explain *ex)
{
    if (ex->count == 0 || ex->first_prop) {
        ex->first_prop = false;
        return;
    }
    const char *last = ex->lines[ex->count - 1];
    size_t n = strlen(last);
    char *copy = luma_arena_alloc(ex->ctx->arena, n + 2);
    if (copy == NULL) {
        ex->failed = true;
        return;
    }
    memcpy(copy, last, n);
    copy[n] = ',';
    copy[n + 1] = '\0';
    ex->lines[ex->count - 1] = copy;
}

static void
json_escape(const char *text, char *out, size_t room)
{
    size_t n = 0;
    for (; *text != '\0' && n + 8 < room; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            out[n++] = '\\';
            out[n++] = (char)c;
        } else if (c < 0x20) {
            n += (size_t)snprintf(out + n, room - n, "\\u%04x", c);
        } else {
            out[n++] = (char)c;
        }
    }
    out[n] = '\0';
}

void
eng_explain_text(struct explain *ex, const char *key, const char *text)
{
    if (ex->json) {
        char quoted[1900];
        json_escape(text, quoted, sizeof(quoted));
        comma(ex);
        linef(ex, "\"%s\": \"%s\"", key, quoted);
        return;
    }
    linef(ex, "%s: %s", key, text);
}

void
eng_explain_num(struct explain *ex, const char *key, double value)
{
    if (ex->json) {
        comma(ex);
        linef(ex, "\"%s\": %.15g", key, value);
    } else {
        linef(ex, "%s: %.15g", key, value);
    }
}

/* --- expressions in words --- */

struct words {
    char text[1200];
    size_t n;
    struct explain *ex;
    uint32_t depth;
};

static void
say(struct words *w, const char *part)
{
    size_t more = strlen(part);
    if (w->n + more + 1 >= sizeof(w->text))
        more = sizeof(w->text) - w->n - 1;
    memcpy(w->text + w->n, part, more);
    w->n += more;
    w->text[w->n] = '\0';
}

static void say_ex(struct words *w, const struct ex *ex);

static void
say_list(struct words *w, struct ex *const *exs, uint32_t count, const char *between)
{
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            say(w, between);
        say_ex(w, exs[i]);
    }
}

static void
say_const(struct words *w, const struct ex *ex)
{
    if (ex->value.is_null) {
        say(w, "NULL");
        return;
    }
    struct luma_value v = ex->value;
    const char *text =
        eng.data->value_text(&v, eng.session->format(w->ex->ctx->session), w->ex->ctx->arena);
    w->ex->failed = w->ex->failed || text == NULL;
    bool quote = ex->value.phys == LUMA_PHYS_STR
                     ? ex->type.id != LUMA_TYPE_NUMERIC
                     : ex->type.id == LUMA_TYPE_DATE || ex->type.id == LUMA_TYPE_TIMESTAMP ||
                           ex->type.id == LUMA_TYPE_TIMESTAMPTZ;
    if (quote)
        say(w, "'");
    say(w, text == NULL ? "?" : text);
    if (quote)
        say(w, "'");
}

static void
say_var(struct words *w, uint32_t var)
{
    struct luma_query *query = w->ex->query;
    const char *name = var < query->var_names_count ? query->var_names[var] : NULL;
    char text[32];
    if (name == NULL)
        (void)snprintf(text, sizeof(text), "column%u", var);
    say(w, name != NULL ? name : text);
}

static void
say_call(struct words *w, const struct ex *ex)
{
    if (ex->func->op == LUMA_OP_CAST || (ex->func->flags & LUMA_FUNC_CAST)) {
        const char *type = eng.data->type_text(ex->type, w->ex->ctx->arena);
        w->ex->failed = w->ex->failed || type == NULL;
        say_list(w, ex->args, ex->args_count > 0 ? 1 : 0, "");
        say(w, "::");
        say(w, type == NULL ? "?" : type);
        return;
    }
    if ((ex->func->flags & LUMA_FUNC_OPERATOR) && ex->args_count == 2) {
        say(w, "(");
        say_ex(w, ex->args[0]);
        say(w, " ");
        say(w, ex->func->name);
        say(w, " ");
        say_ex(w, ex->args[1]);
        say(w, ")");
        return;
    }
    say(w, ex->func->name);
    say(w, "(");
    say_list(w, ex->args, ex->args_count, ", ");
    say(w, ")");
}

static void
say_ex(struct words *w, const struct ex *ex)
{
    if (++w->depth > EXPLAIN_DEPTH_MAX || w->n + 8 > sizeof(w->text)) {
        w->depth--;
        return;
    }
    switch (ex->kind) {
    case LUMA_EXPR_COL:
        say_var(w, (uint32_t)ex->index);
        break;
    case LUMA_EXPR_CONST:
        say_const(w, ex);
        break;
    case LUMA_EXPR_PARAM: {
        char text[16];
        (void)snprintf(text, sizeof(text), "$%d", ex->index + 1);
        say(w, text);
        break;
    }
    case LUMA_EXPR_CALL:
    case LUMA_EXPR_AGG:
    case LUMA_EXPR_WINDOW:
    case LUMA_EXPR_SET:
        say_call(w, ex);
        break;
    case LUMA_EXPR_AND:
    case LUMA_EXPR_OR:
        say(w, "(");
        say_list(w, ex->args, ex->args_count, ex->kind == LUMA_EXPR_AND ? " AND " : " OR ");
        say(w, ")");
        break;
    case LUMA_EXPR_NOT:
        say(w, "(NOT ");
        say_ex(w, ex->args[0]);
        say(w, ")");
        break;
    case LUMA_EXPR_IS_NULL:
        say(w, "(");
        say_ex(w, ex->args[0]);
        say(w, ex->negated ? " IS NOT NULL)" : " IS NULL)");
        break;
    case LUMA_EXPR_IN:
        say(w, "(");
        say_ex(w, ex->args[0]);
        say(w, ex->negated ? " NOT IN (" : " IN (");
        say_list(w, ex->args + 1, ex->args_count - 1, ", ");
        say(w, "))");
        break;
    case LUMA_EXPR_ANY:
        say(w, "(");
        say_ex(w, ex->args[0]);
        say(w, ex->negated ? " = ALL (" : " = ANY (");
        say_ex(w, ex->args[1]);
        say(w, "))");
        break;
    case LUMA_EXPR_CASE:
        say(w, "CASE ... END");
        break;
    case LUMA_EXPR_SUBLINK:
        say(w, "(SubPlan)");
        break;
    case LUMA_EXPR_COALESCE:
        say(w, "COALESCE(");
        say_list(w, ex->args, ex->args_count, ", ");
        say(w, ")");
        break;
    default:
        say(w, "(...)");
        break;
    }
    w->depth--;
}

void
eng_explain_exprs(struct explain *ex, const char *key, struct ex *const *exs, uint32_t count)
{
    struct words w = {.n = 0, .ex = ex};
    if (count == 0 || (strcmp(key, "Output") == 0 && !ex->opts->verbose))
        return;
    say_list(&w, exs, count, ", ");
    eng_explain_text(ex, key, w.text);
}

void
eng_explain_list(struct explain *ex, const char *key, const struct ex_list *list)
{
    struct words w = {.n = 0, .ex = ex};
    if (list->count == 0)
        return;
    say_list(&w, list->items, list->count, " AND ");
    eng_explain_text(ex, key, w.text);
}

void
eng_explain_conds(struct explain *ex, const char *key, const struct rel *rel)
{
    if (rel != NULL)
        eng_explain_list(ex, key, &rel->conds);
}

void
eng_explain_keys(struct explain *ex, const char *key, const struct ex_key *keys, uint32_t count)
{
    struct words w = {.n = 0, .ex = ex};
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            say(&w, ", ");
        say_ex(&w, keys[i].expr);
        if (keys[i].desc)
            say(&w, " DESC");
        if (keys[i].nulls_first != keys[i].desc)
            say(&w, keys[i].nulls_first ? " NULLS FIRST" : " NULLS LAST");
    }
    eng_explain_text(ex, key, w.text);
}

void
eng_explain_spill(struct explain *ex, const struct spill *spill)
{
    uint64_t bytes = eng_spill_bytes(spill);
    if (bytes > 0)
        eng_explain_num(ex, "Spilled Bytes", (double)bytes);
}

/* --- the tree --- */

static struct op_stat
stat_of(const struct explain *ex, const struct op *op)
{
    struct op_stat sum = {0, 0, 0, 0};
    for (uint32_t i = 0; ex->x != NULL && i < ex->x->parts_max; i++) {
        const struct part *p = ex->x->parts[i];
        if (p == NULL || p->stat == NULL)
            continue;
        sum.rows += p->stat[op->id].rows;
        sum.loops += p->stat[op->id].loops;
        sum.ns = p->stat[op->id].ns > sum.ns ? p->stat[op->id].ns : sum.ns;
    }
    return sum;
}

static void
head(struct explain *ex, const struct op *op, const char *arrow, bool in_main)
{
    struct words w = {.n = 0, .ex = ex};
    const struct luma_plan *plan = op->rel == NULL ? NULL : op->rel->plan;
    say(&w, arrow);
    say(&w, eng_scan_title(op));
    if (eng_scan_index(op) != NULL) {
        say(&w, " using ");
        say(&w, eng_scan_index(op));
    }
    if (plan != NULL && plan->table_name != NULL &&
        (plan->kind == LUMA_PLAN_SCAN || plan->kind == LUMA_PLAN_VIRTUAL) && op->child[0] == NULL) {
        say(&w, " on ");
        say(&w, plan->table_name);
        if (plan->alias != NULL && strcmp(plan->alias, plan->table_name) != 0) {
            say(&w, " ");
            say(&w, plan->alias);
        }
    }
    char more[160];
    double cost = op->rel == NULL ? 0 : op->rel->cost;
    if (ex->opts->costs) {
        (void)snprintf(more, sizeof(more), "  (cost=0.00..%.2f rows=%.0f width=0)",
                       cost > 0 ? cost / 100 : op->rows_est / 100, op->rows_est);
        say(&w, more);
    }
    if (ex->x != NULL && in_main) {
        struct op_stat stat = stat_of(ex, op);
        if (ex->opts->timing)
            (void)snprintf(more, sizeof(more), " (actual time=0.000..%.3f rows=%llu loops=%llu)",
                           (double)stat.ns / 1e6, (unsigned long long)stat.rows,
                           (unsigned long long)(stat.loops == 0 ? 1 : stat.loops));
        else
            (void)snprintf(more, sizeof(more), " (actual rows=%llu loops=%llu)",
                           (unsigned long long)stat.rows,
                           (unsigned long long)(stat.loops == 0 ? 1 : stat.loops));
        say(&w, more);
    }
    line(ex, w.text, w.n);
}

static void
text_tree(struct explain *ex, const struct op *op, const char *arrow, bool in_main)
{
    head(ex, op, arrow, in_main);
    uint32_t indent = ex->indent;
    ex->indent += arrow[0] == '\0' ? 2 : 6;
    struct exec *x = ex->x;
    if (!in_main)
        ex->x = NULL;
    if (op->cls->explain != NULL)
        op->cls->explain(ex, op);
    for (uint32_t i = 0; i < 2; i++)
        if (op->child[i] != NULL)
            text_tree(ex, op->child[i], "->  ", in_main);
    ex->x = x;
    ex->indent = indent;
}

static void
json_tree(struct explain *ex, const struct op *op, bool in_main)
{
    const struct luma_plan *plan = op->rel == NULL ? NULL : op->rel->plan;
    line(ex, "{", 1);
    ex->indent += 2;
    ex->first_prop = true;
    eng_explain_text(ex, "Node Type", eng_scan_title(op));
    if (eng_scan_index(op) != NULL)
        eng_explain_text(ex, "Index Name", eng_scan_index(op));
    if (plan != NULL && plan->table_name != NULL && op->child[0] == NULL) {
        eng_explain_text(ex, "Relation Name", plan->table_name);
        eng_explain_text(ex, "Alias", plan->alias == NULL ? plan->table_name : plan->alias);
    }
    eng_explain_num(ex, "Plan Rows", floor(op->rows_est));
    if (ex->x != NULL && in_main) {
        struct op_stat stat = stat_of(ex, op);
        eng_explain_num(ex, "Actual Total Time", (double)stat.ns / 1e6);
        eng_explain_num(ex, "Actual Rows", (double)stat.rows);
        eng_explain_num(ex, "Actual Loops", stat.loops == 0 ? 1 : (double)stat.loops);
    }
    if (op->cls->explain != NULL)
        op->cls->explain(ex, op);
    if (op->child[0] != NULL || op->child[1] != NULL) {
        comma(ex);
        line(ex, "\"Plans\": [", 10);
        ex->indent += 2;
        bool first = true;
        for (uint32_t i = 0; i < 2; i++) {
            if (op->child[i] == NULL)
                continue;
            if (!first)
                comma(ex);
            first = false;
            json_tree(ex, op->child[i], in_main);
        }
        ex->indent -= 2;
        line(ex, "]", 1);
    }
    ex->indent -= 2;
    line(ex, "}", 1);
    ex->first_prop = false;
}

void
eng_explain_prog(struct explain *ex, const char *what, const struct prog *prog)
{
    if (ex->json) {
        comma(ex);
        linef(ex, "\"%s\": ", what);
        json_tree(ex, prog->root, false);
        return;
    }
    text_tree(ex, prog->root, "->  ", false);
}

static void
subplans(struct explain *ex)
{
    for (uint32_t i = 0; i < ex->query->subs_count && !ex->json; i++) {
        ex->indent = 2;
        linef(ex, "InitPlan %u", i + 1);
        text_tree(ex, ex->query->subs[i]->root, "->  ", false);
        ex->indent = 0;
    }
}

static luma_rc
analyze(struct explain *ex, struct luma_session *session, struct luma_txn *txn,
        const struct luma_value *params, uint32_t params_count)
{
    struct luma_query *query = ex->query;
    LUMA_TRY(eng_exec_create(ex->ctx, query, query->main, session, txn, params, params_count, NULL,
                             NULL, &ex->x));
    ex->x->analyze = true;
    struct part *p = ex->x->parts[0];
    p->stat = LUMA_NEW_ARRAY(ex->x->arena, struct op_stat, query->main->ops_count + 1);
    ENG_NEED(ex->ctx, p->stat, "EXPLAIN ANALYZE");
    LUMA_TRY(eng_exec_open(ex->ctx, ex->x));
    for (;;) {
        struct luma_batch *batch;
        LUMA_TRY(eng_exec_next(ex->ctx, ex->x, &batch));
        if (batch == NULL)
            return LUMA_OK;
    }
}

luma_rc
eng_explain(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn,
            struct luma_query *query, const struct luma_value *params, uint32_t params_count,
            const struct luma_explain_opts *opts, const char *const **out_lines,
            uint32_t *out_count)
{
    struct explain ex = {
        .ctx = ctx, .query = query, .opts = opts, .json = opts->format == LUMA_EXPLAIN_JSON};
    uint64_t start = eng.sched->now_ns();
    luma_rc rc = opts->analyze ? analyze(&ex, session, txn, params, params_count) : LUMA_OK;
    double ms = (double)(eng.sched->now_ns() - start) / 1e6;
    if (rc == LUMA_OK && ex.json) {
        line(&ex, "[", 1);
        line(&ex, "  {", 3);
        ex.indent = 4;
        ex.first_prop = true;
        comma(&ex);
        line(&ex, "\"Plan\": ", 8);
        json_tree(&ex, query->main->root, true);
        if (opts->analyze)
            eng_explain_num(&ex, "Execution Time", ms);
        ex.indent = 0;
        line(&ex, "  }", 3);
        line(&ex, "]", 1);
    } else if (rc == LUMA_OK) {
        text_tree(&ex, query->main->root, "", true);
        subplans(&ex);
        if (opts->analyze && opts->summary)
            linef(&ex, "Execution Time: %.3f ms", ms);
    }
    eng_exec_close(ex.x);
    if (rc == LUMA_OK && ex.failed)
        rc = ENG_NOMEM(ctx, "EXPLAIN");
    if (rc == LUMA_OK) {
        *out_lines = ex.lines;
        *out_count = ex.count;
    }
    return rc;
}
