/*
 * foreign_bind.c - which foreign keys a change of a table touches: the rules of its plan.
 */
#include <stdlib.h>

#include "foreign.h"

/* ---- who refers to a table, per session and catalogue version ---- */

struct referrers {
    struct sql_session *own;
    bool failed;
};

static bool
list_referrers(void *arg, const struct luma_cat_object *table)
{
    struct referrers *r = arg;
    for (uint32_t i = 0; i < table->constraints_count; i++) {
        const struct luma_cat_constraint *con = &table->constraints[i];
        if (con->kind != LUMA_CONSTRAINT_FOREIGN)
            continue;
        struct sql_session *own = r->own;
        if (own->foreign_refs_count == own->foreign_refs_room) {
            uint32_t room = own->foreign_refs_room == 0 ? 16 : own->foreign_refs_room * 2;
            struct sql_foreign_ref *grown = realloc(own->foreign_refs, sizeof(*grown) * room);
            if (grown == NULL) {
                r->failed = true;
                return false;
            }
            own->foreign_refs = grown;
            own->foreign_refs_room = room;
        }
        own->foreign_refs[own->foreign_refs_count++] =
            (struct sql_foreign_ref){con->ref_table_id, table->id};
    }
    return true;
}

static void
refresh_referrers(struct sql_bind *b)
{
    struct sql_session *own = b->own;
    uint64_t version = sql_host->catalog->version(b->view);
    if (own->foreign_refs_version == version)
        return;
    struct referrers r = {own, false};
    own->foreign_refs_count = 0;
    sql_host->catalog->each(b->view, LUMA_CAT_TABLE, list_referrers, &r);
    if (r.failed)
        SQL_THROW(b, -1, LUMA_E_NOMEM, "53200", "out of memory");
    own->foreign_refs_version = version;
}

/* ---- rules ---- */

struct rules {
    const struct luma_cat_object *table;
    struct luma_plan_change *change;
    struct sql_foreign_rule *list;
    uint32_t count, room;
    bool *captured; /* by column position */
};

static uint32_t
position_of(const struct luma_cat_object *table, uint32_t col_id)
{
    uint32_t i = 0;
    while (i < table->cols_count && table->cols[i].id != col_id)
        i++;
    return i;
}

static void
add_rule(struct sql_bind *b, struct rules *r, const struct luma_cat_object *child,
         const struct luma_cat_constraint *con, enum sql_foreign_event event)
{
    uint32_t n = con->cols_count;
    const uint32_t *ids = event == SQL_FOREIGN_CHILD ? con->cols : con->ref_cols;
    if (n > SQL_FOREIGN_COLS_MAX)
        SQL_THROW(b, -1, LUMA_E_LIMIT, "54011", "a foreign key can have at most %u columns",
                  SQL_FOREIGN_COLS_MAX);
    uint32_t *pos = SQL_NEW_ARRAY(b, uint32_t, n);
    struct luma_type *types = SQL_NEW_ARRAY(b, struct luma_type, n);
    for (uint32_t i = 0; i < n; i++) {
        pos[i] = position_of(r->table, ids[i]);
        if (pos[i] == r->table->cols_count)
            return; /* a column that is gone takes its constraints along */
        types[i] = r->table->cols[pos[i]].type;
        r->captured[pos[i]] = true;
    }
    if (r->count == r->room) {
        struct sql_foreign_rule *grown = SQL_NEW_ARRAY(b, struct sql_foreign_rule, r->room * 2 + 8);
        if (r->count > 0)
            memcpy(grown, r->list, sizeof(*grown) * r->count);
        r->list = grown;
        r->room = r->room * 2 + 8;
    }
    r->list[r->count++] = (struct sql_foreign_rule){.constraint_id = con->id,
                                                    .child_id = child->id,
                                                    .event = event,
                                                    .match_full = con->match == 'f',
                                                    .count = n,
                                                    .pos = pos,
                                                    .types = types,
                                                    .name = sql_text(b, con->name),
                                                    .table_name = r->change->table_name,
                                                    .schema_name = r->change->schema_name};
}

static bool
sets_any(const struct rules *r, const uint32_t *ids, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < r->change->set_count; k++)
            if (r->table->cols[r->change->set_cols[k]].id == ids[i])
                return true;
    return false;
}

static void
rules_of_child(struct sql_bind *b, struct rules *r, bool inserts)
{
    for (uint32_t i = 0; i < r->table->constraints_count; i++) {
        const struct luma_cat_constraint *con = &r->table->constraints[i];
        if (con->kind == LUMA_CONSTRAINT_FOREIGN &&
            (inserts || sets_any(r, con->cols, con->cols_count)))
            add_rule(b, r, r->table, con, SQL_FOREIGN_CHILD);
    }
}

static void
rules_of_parent(struct sql_bind *b, struct rules *r, bool removes)
{
    refresh_referrers(b);
    uint64_t done = 0;
    for (uint32_t i = 0; i < b->own->foreign_refs_count; i++) {
        const struct sql_foreign_ref *ref = &b->own->foreign_refs[i];
        if (ref->parent_id != r->table->id || ref->child_id == done)
            continue;
        done = ref->child_id; /* a table's constraints stand together in the list */
        const struct luma_cat_object *child = sql_host->catalog->by_id(b->view, done);
        for (uint32_t c = 0; child != NULL && c < child->constraints_count; c++) {
            const struct luma_cat_constraint *con = &child->constraints[c];
            if (con->kind != LUMA_CONSTRAINT_FOREIGN || con->ref_table_id != r->table->id)
                continue;
            if (removes)
                add_rule(b, r, child, con, SQL_FOREIGN_GONE);
            else if (sets_any(r, con->ref_cols, con->cols_count))
                add_rule(b, r, child, con, SQL_FOREIGN_MOVED);
        }
    }
}

void
sql_foreign_bind(struct sql_bind *b, const struct luma_cat_object *table,
                 struct luma_plan_change *change, enum luma_plan_kind kind)
{
    struct rules r = {.table = table, .change = change};
    bool has_key = false;
    for (uint32_t i = 0; i < table->indexes_count; i++)
        has_key |= table->indexes[i].unique;
    r.captured = SQL_NEW_ARRAY(b, bool, table->cols_count);
    if (kind != LUMA_PLAN_DELETE)
        rules_of_child(b, &r, kind == LUMA_PLAN_INSERT);
    if (has_key && (kind == LUMA_PLAN_DELETE || change->set_count > 0)) {
        rules_of_parent(b, &r, kind == LUMA_PLAN_DELETE);
    }
    if (r.count == 0)
        return;
    struct sql_foreign *foreign = SQL_NEW(b, struct sql_foreign);
    uint32_t *cols = SQL_NEW_ARRAY(b, uint32_t, table->cols_count);
    for (uint32_t i = 0; i < table->cols_count; i++)
        if (r.captured[i])
            cols[change->captured_count++] = i;
    foreign->count = r.count;
    foreign->rules = r.list;
    change->captured_cols = cols;
    change->captured = sql_foreign_captured;
    change->captured_arg = foreign;
}
