/*
 * sequence.c - nextval, currval, setval, lastval. What a session last got from each sequence is
 * kept in the module's slot of the session.
 */
#include <stdlib.h>

#include "system.h"

struct last_value {
    uint64_t id;
    int64_t value;
};

struct last_values {
    struct last_value *list;
    uint32_t count, room;
    uint64_t newest; /* sequence of lastval(); 0: none */
};

static const char slot_owner = 's';

static void
values_fini(void *content)
{
    struct last_values *values = content;
    if (values != NULL)
        free(values->list);
    free(values);
}

static struct last_values *
values_of(struct luma_session *session)
{
    void **slot = system_host->session->slot(session, &slot_owner, values_fini);
    if (*slot == NULL)
        *slot = calloc(1, sizeof(struct last_values));
    return *slot;
}

static struct last_value *
value_of(struct last_values *values, uint64_t id)
{
    for (uint32_t i = 0; values != NULL && i < values->count; i++)
        if (values->list[i].id == id)
            return &values->list[i];
    return NULL;
}

static luma_rc
remember(struct system_row *row, uint64_t id, int64_t value, bool newest)
{
    struct last_values *values = values_of(row->session);
    struct last_value *at = value_of(values, id);
    if (values == NULL)
        return LUMA_FAIL(row->ctx, LUMA_E_NOMEM, "out of memory");
    if (at == NULL) {
        if (values->count == values->room) {
            uint32_t room = values->room == 0 ? 8 : values->room * 2;
            struct last_value *grown = realloc(values->list, sizeof(*grown) * room);
            if (grown == NULL)
                return LUMA_FAIL(row->ctx, LUMA_E_NOMEM, "out of memory");
            values->list = grown;
            values->room = room;
        }
        at = &values->list[values->count++];
        at->id = id;
    }
    at->value = value;
    if (newest)
        values->newest = id;
    return LUMA_OK;
}

static luma_rc
sequence_of(struct system_row *row, uint32_t rights, const struct luma_cat_object **out)
{
    uint32_t oid = system_oid(row, 0);
    const struct luma_cat_object *seq = system_object(row, oid);
    if (seq == NULL)
        return LUMA_FAIL_SQL(row->ctx, LUMA_E_NOTFOUND, "42P01",
                             "relation with OID %u does not exist", oid);
    if (seq->kind != LUMA_CAT_SEQUENCE)
        return LUMA_FAIL_SQL(row->ctx, LUMA_E_TYPE, "42809", "\"%s\" is not a sequence", seq->name);
    if (system_host->catalog->may(row->view, system_host->session->user_id(row->session), seq, 0,
                                  rights) ||
        system_host->catalog->may(row->view, system_host->session->user_id(row->session), seq, 0,
                                  LUMA_RIGHT_UPDATE)) {
        *out = seq;
        return LUMA_OK;
    }
    return LUMA_FAIL_SQL(row->ctx, LUMA_E_DENIED, "42501", "permission denied for sequence %s",
                         seq->name);
}

static luma_rc
nextval(struct system_row *row)
{
    const struct luma_cat_object *seq = NULL;
    int64_t value = 0;
    uint32_t count = 0;
    LUMA_TRY(sequence_of(row, LUMA_RIGHT_USAGE, &seq));
    if (system_host->txn->is_read_only(row->txn))
        return LUMA_FAIL_SQL(row->ctx, LUMA_E_READONLY, "25006",
                             "cannot execute nextval() in a read-only transaction");
    LUMA_TRY(system_host->catalog->sequence_next(row->ctx, row->txn, seq, 1, &value, &count));
    LUMA_TRY(remember(row, seq->id, value, true));
    return system_set_int(row, value);
}

static luma_rc
currval(struct system_row *row)
{
    const struct luma_cat_object *seq = NULL;
    LUMA_TRY(sequence_of(row, LUMA_RIGHT_SELECT, &seq));
    const struct last_value *last = value_of(values_of(row->session), seq->id);
    if (last == NULL)
        return LUMA_FAIL_SQL(row->ctx, LUMA_E_TXNSTATE, "55000",
                             "currval of sequence \"%s\" is not yet defined in this session",
                             seq->name);
    return system_set_int(row, last->value);
}

static luma_rc
lastval(struct system_row *row)
{
    struct last_values *values = values_of(row->session);
    const struct last_value *last =
        values != NULL && values->newest != 0 ? value_of(values, values->newest) : NULL;
    if (last == NULL)
        return LUMA_FAIL_SQL(row->ctx, LUMA_E_TXNSTATE, "55000",
                             "lastval is not yet defined in this session");
    return system_set_int(row, last->value);
}

static luma_rc
setval(struct system_row *row)
{
    const struct luma_cat_object *seq = NULL;
    int64_t value = row->args[1].i64;
    bool called = row->args_count < 3 || row->args[2].b;
    LUMA_TRY(sequence_of(row, LUMA_RIGHT_UPDATE, &seq));
    if (value < seq->seq_min || value > seq->seq_max)
        return LUMA_FAIL_SQL(row->ctx, LUMA_E_RANGE, "22003",
                             "setval: value %lld is out of bounds for sequence \"%s\" (%lld..%lld)",
                             (long long)value, seq->name, (long long)seq->seq_min,
                             (long long)seq->seq_max);
    LUMA_TRY(system_host->catalog->sequence_set(row->ctx, row->txn, seq, value, called));
    if (called)
        LUMA_TRY(remember(row, seq->id, value, false));
    return system_set_int(row, value);
}

static luma_rc
sequence_last(struct system_row *row)
{
    const struct luma_cat_object *seq = system_object(row, system_oid(row, 0));
    int64_t value = 0;
    if (seq == NULL || seq->kind != LUMA_CAT_SEQUENCE ||
        !system_host->catalog->sequence_last(seq, &value))
        return LUMA_OK;
    return system_set_int(row, value);
}

static luma_rc
serial_sequence(struct system_row *row)
{
    const struct luma_cat_object *table = system_find_relation(row, system_text(row, 0));
    const char *column = system_text(row, 1);
    if (table == NULL)
        return LUMA_FAIL_SQL(row->ctx, LUMA_E_NOTFOUND, "42P01", "relation \"%s\" does not exist",
                             system_text(row, 0));
    for (uint32_t i = 0; i < table->cols_count; i++) {
        if (strcmp(table->cols[i].name, column) != 0)
            continue;
        const struct luma_cat_object *seq = system_object(row, table->cols[i].sequence_id);
        const struct luma_cat_object *schema =
            seq != NULL ? system_object(row, seq->schema_id) : NULL;
        if (schema == NULL)
            return LUMA_OK;
        return system_set_text(row, system_format(row, "%s.%s", system_quote(row, schema->name),
                                                  system_quote(row, seq->name)));
    }
    return LUMA_FAIL_SQL(row->ctx, LUMA_E_UNDEFINED, "42703",
                         "column \"%s\" of relation \"%s\" does not exist", column, table->name);
}

#define VO (LUMA_FUNC_STRICT | LUMA_FUNC_VOLATILE)

static const struct system_func list[] = {
    {"nextval", "c", 'l', VO, nextval},
    {"currval", "c", 'l', VO, currval},
    {"lastval", "", 'l', VO, lastval},
    {"setval", "cl", 'l', VO, setval},
    {"setval", "clb", 'l', VO, setval},
    {"pg_sequence_last_value", "c", 'l', VO, sequence_last},
    {"pg_get_serial_sequence", "tt", 't', SYSTEM_STABLE, serial_sequence},
};

const struct system_list system_sequence = {list, LUMA_COUNTOF(list)};
