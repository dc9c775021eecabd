/*
 * opt_path.c - fields of documents instead of documents.
 *
 * doc->'a'->>'b' over a jsonb or json column of a table becomes a column of the scan: storage has
 * the common fields as columns of their own and reads just those. Runs when conditions and joins
 * are in their places. The field travels up through nodes that pass their rows on; where rows are
 * positional (set operations, changes) or locked and read again, documents stay what they are.
 *
 * A cast of such a text to a number asks for the stored numbers: xp_path.c casts those, or their
 * text where a segment has something else there.
 */
#include <stdio.h>

#include "opt.h"

#define STEPS_MAX 16

struct paths {
    struct prep *pp;
    struct rel *rel;   /* whose expressions are looked at */
    struct rel *below; /* the node that gives it its rows; rel itself for a scan's conditions */
    bool numbers;      /* casts may ask for stored numbers */
};

/* --- the columns --- */

/* Can the node hand a column of its child on? */
static bool
hands_on(const struct rel *rel)
{
    return rel->kind == REL_FILTER || rel->kind == REL_SORT || rel->kind == REL_LIMIT ||
           rel->kind == REL_JOIN;
}

static bool
has_out(const struct rel *rel, uint32_t var)
{
    for (uint32_t i = 0; i < rel->outs_count; i++)
        if (rel->outs[i] == var)
            return true;
    return false;
}

/* Does the column come up unchanged from the scan to rel's output? */
static bool
comes_up(const struct rel *rel, const struct rel *scan, uint32_t var)
{
    if (rel == scan)
        return true;
    if (rel == NULL || !hands_on(rel) || !has_out(rel, var))
        return false;
    return comes_up(rel->child[0], scan, var) ||
           (rel->kind == REL_JOIN && comes_up(rel->child[1], scan, var));
}

static void
add_out(struct prep *pp, struct rel *rel, uint32_t var)
{
    if (has_out(rel, var))
        return;
    uint32_t *outs = PP_ARRAY(pp, uint32_t, rel->outs_count + 1);
    memcpy(outs, rel->outs, sizeof(*outs) * rel->outs_count);
    outs[rel->outs_count++] = var;
    rel->outs = outs;
}

static void
bring_up(struct prep *pp, struct rel *rel, const struct rel *scan, uint32_t base, uint32_t var)
{
    add_out(pp, rel, var);
    if (rel == scan)
        return;
    if (comes_up(rel->child[0], scan, base))
        bring_up(pp, rel->child[0], scan, base, var);
    else
        bring_up(pp, rel->child[1], scan, base, var);
}

static bool
same_path(const struct luma_path *a, const struct luma_path *b)
{
    if (a->steps_count != b->steps_count || a->type.id != b->type.id || a->any_type != b->any_type)
        return false;
    for (uint32_t i = 0; i < a->steps_count; i++)
        if (a->steps[i].is_index != b->steps[i].is_index ||
            a->steps[i].index != b->steps[i].index ||
            !luma_slice_equal(a->steps[i].name, b->steps[i].name))
            return false;
    return true;
}

/* j->'a'->>'b', for EXPLAIN. */
static const char *
path_name(struct prep *pp, const char *base, const struct luma_path *path)
{
    size_t room = strlen(base) + 1;
    for (uint32_t i = 0; i < path->steps_count; i++)
        room += path->steps[i].name.bytes + 16;
    char *name = PP_ARRAY(pp, char, room);
    size_t n = (size_t)snprintf(name, room, "%s", base);
    for (uint32_t i = 0; i < path->steps_count; i++) {
        const struct luma_path_step *step = &path->steps[i];
        bool last = i + 1 == path->steps_count && path->type.id == LUMA_TYPE_TEXT;
        const char *arrow = last ? "->>" : "->";
        if (step->is_index)
            n += (size_t)snprintf(name + n, room - n, "%s%u", arrow, step->index);
        else
            n += (size_t)snprintf(name + n, room - n, "%s'%.*s'", arrow, (int)step->name.bytes,
                                  (const char *)step->name.data);
    }
    return name;
}

static uint32_t
path_var(struct prep *pp, struct rel *scan, uint32_t base, const struct luma_path *path)
{
    for (uint32_t i = 0; i < scan->path_vars_count; i++) {
        const struct var *v = &pp->vars[scan->path_vars[i]];
        if (v->path_of == base && same_path(v->path, path))
            return scan->path_vars[i];
    }
    uint32_t var = eng_var_new(pp, path->type, scan);
    struct luma_path *copy = PP_NEW(pp, struct luma_path);
    struct luma_path_step *steps = PP_ARRAY(pp, struct luma_path_step, path->steps_count);
    memcpy(steps, path->steps, sizeof(*steps) * path->steps_count);
    *copy = *path;
    copy->steps = steps;
    pp->vars[var].path = copy;
    pp->vars[var].path_of = base;
    pp->vars[var].col_id = pp->vars[base].col_id;
    pp->vars[var].name = path_name(pp, pp->vars[base].name, copy);
    uint32_t *vars = PP_ARRAY(pp, uint32_t, scan->path_vars_count + 1);
    if (scan->path_vars_count > 0)
        memcpy(vars, scan->path_vars, sizeof(*vars) * scan->path_vars_count);
    vars[scan->path_vars_count++] = var;
    scan->path_vars = vars;
    return var;
}

/* --- the expressions --- */

static bool
step_of(const struct ex *ex, struct luma_path_step *out)
{
    if (ex->kind != LUMA_EXPR_CONST || ex->value.is_null)
        return false;
    if (ex->value.phys == LUMA_PHYS_STR) {
        *out = (struct luma_path_step){.name = luma_str_slice(&ex->value.str)};
        return ex->value.str.bytes <= UINT16_MAX;
    }
    if (ex->value.phys != LUMA_PHYS_I32 || ex->value.i32 < 0)
        return false;
    *out = (struct luma_path_step){.is_index = true, .index = (uint32_t)ex->value.i32};
    return true;
}

static bool
is_document(struct luma_type type)
{
    return type.id == LUMA_TYPE_JSONB || type.id == LUMA_TYPE_JSON;
}

/* Is ex a chain of -> with constant steps over a jsonb or json column? The steps go to the end of
 * steps. */
static bool
chain(const struct prep *pp, const struct ex *ex, struct luma_path_step *steps,
      uint32_t *inout_free, uint32_t *out_base)
{
    for (; ex->kind == LUMA_EXPR_CALL; ex = ex->args[0]) {
        const char *name = ex->func->name;
        if (ex->args_count != 2 || !is_document(ex->args[0]->type) ||
            (strcmp(name, "->") != 0 && strcmp(name, "->>") != 0) || *inout_free == 0 ||
            !step_of(ex->args[1], &steps[*inout_free - 1]))
            return false;
        --*inout_free;
    }
    *out_base = (uint32_t)ex->index;
    return ex->kind == LUMA_EXPR_COL && pp->vars[*out_base].coll_id != 0 &&
           pp->vars[*out_base].path == NULL && is_document(pp->vars[*out_base].type) &&
           pp->vars[*out_base].def != NULL && pp->vars[*out_base].def->kind == REL_SCAN;
}

/* A number is wanted of the text. */
static bool
wants_number(const struct ex *cast)
{
    switch (cast->type.id) {
    case LUMA_TYPE_INT2:
    case LUMA_TYPE_INT4:
    case LUMA_TYPE_INT8:
    case LUMA_TYPE_FLOAT8:
        return true;
    case LUMA_TYPE_NUMERIC:
        return cast->type.mod <= 0;
    default:
        return false;
    }
}

/* The field in place of ex, or NULL. */
static struct ex *
field(struct paths *p, const struct ex *ex, bool number)
{
    struct luma_path_step steps[STEPS_MAX];
    uint32_t from = STEPS_MAX, base;

    if (ex->kind != LUMA_EXPR_CALL || ex->args_count != 2 || !chain(p->pp, ex, steps, &from, &base))
        return NULL;
    struct rel *scan = p->pp->vars[base].def;
    if (!comes_up(p->below, scan, base))
        return NULL;
    const struct luma_path path = {.steps = steps + from,
                                   .steps_count = STEPS_MAX - from,
                                   .any_type = number && p->numbers && p->below == scan,
                                   .type = ex->type,
                                   .of = p->pp->vars[base].type};
    uint32_t var = path_var(p->pp, scan, base, &path);
    if (p->rel != scan)
        bring_up(p->pp, p->below, scan, base, var);
    return eng_ex_col(p->pp, var);
}

static void replace(void *arg, struct ex **slot);

static void
replace_parts(struct paths *p, struct ex *ex)
{
    for (uint32_t i = 0; i < ex->args_count; i++)
        replace(p, &ex->args[i]);
    if (ex->filter != NULL)
        replace(p, &ex->filter);
    for (uint32_t i = 0; i < ex->order_count; i++)
        replace(p, &ex->order[i].expr);
    if (ex->sub != NULL)
        eng_paths(p->pp, ex->sub);
}

/* Expressions may be shared: a changed one is a new one. */
static void
replace(void *arg, struct ex **slot)
{
    struct paths *p = arg;
    struct ex *ex = *slot, *found = field(p, ex, false);

    if (found != NULL) {
        *slot = found;
        return;
    }
    struct ex *copy = PP_NEW(p->pp, struct ex);
    *copy = *ex;
    copy->args = PP_ARRAY(p->pp, struct ex *, ex->args_count);
    if (ex->args_count > 0)
        memcpy(copy->args, ex->args, sizeof(*ex->args) * ex->args_count);
    *slot = copy;
    if (copy->kind == LUMA_EXPR_CALL && copy->func->op == LUMA_OP_CAST && copy->args_count >= 1 &&
        copy->args[0]->type.id == LUMA_TYPE_TEXT && wants_number(copy)) {
        found = field(p, copy->args[0], true);
        if (found != NULL) {
            copy->args[0] = found;
            return;
        }
    }
    replace_parts(p, copy);
}

static bool
positional(const struct rel *rel)
{
    return rel->kind == REL_CHANGE || rel->kind == REL_LOCK;
}

void
eng_paths(struct prep *pp, struct rel *rel)
{
    if (rel == NULL || positional(rel))
        return;
    struct paths p = {pp, rel, rel->kind == REL_SCAN ? rel : rel->child[0], true};
    if (rel->kind == REL_SCAN || rel->kind == REL_AGG || rel->kind == REL_PROJECT ||
        rel->kind == REL_PROJECT_SET || rel->kind == REL_FILTER || rel->kind == REL_SORT)
        if (p.below != NULL)
            eng_rel_each_ex(rel, replace, &p);
    struct rel *set = rel->kind == REL_JOIN ? eng_set_of_lateral(rel) : NULL;
    if (set != NULL) {
        struct paths of_set = {pp, set, rel->child[0], false};
        eng_rel_each_ex(set, replace, &of_set);
    }
    eng_paths(pp, rel->child[0]);
    eng_paths(pp, rel->child[1]);
}
