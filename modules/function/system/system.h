/*
 * system.h - function/system: functions about the server, the session and the catalogue.
 *
 * They are written for one row (struct system_row): what they look up costs far more than a call.
 */
#ifndef FUNCTION_SYSTEM_H
#define FUNCTION_SYSTEM_H

#include <lumadb/host/catalog.h>
#include <lumadb/host/host.h>
#include <lumadb/host/sched.h>
#include <lumadb/host/session.h>
#include <lumadb/host/store.h>
#include <lumadb/kind/function.h>

extern const struct luma_host *system_host;

/* One call for one row. The result starts as null; set one of the system_set_ functions. */
struct system_row {
    const struct luma_func_call *call;
    struct luma_ctx *ctx;
    struct luma_arena *arena;
    struct luma_session *session;
    struct luma_txn *txn;
    const struct luma_cat_view *view;
    const struct luma_value *args;
    uint32_t args_count;
    struct luma_value *out;
    bool no_memory; /* for a text on the way: the call fails, whatever it answers */
};

typedef luma_rc (*system_fn)(struct system_row *row);

struct system_func {
    const char *name;
    const char *args; /* one letter each: o oid, c regclass, t text, n name, i int4, l int8, s int2,
                         b bool, f float8, a any, A text[] */
    char result; /* as above; v void, r regtype, N name[], I int4[], z timestamptz, x xid, p regproc
                  */
    uint32_t flags;
    system_fn fn;
};

struct system_list {
    const struct system_func *functions;
    size_t count;
};
extern const struct system_list system_describe, system_session, system_sequence, system_rights;

/* values.c: functions written for batches */
extern const struct luma_func *const system_values;
extern const size_t system_values_count;
extern const struct luma_func *const system_keywords;
extern const size_t system_keywords_count;

luma_rc system_set_text(struct system_row *row, const char *text);
luma_rc system_set_bool(struct system_row *row, bool value);
luma_rc system_set_int(struct system_row *row, int64_t value);
/* The text; where it is NULL there was no memory for it: "", and the call fails in the end. */
const char *system_need(struct system_row *row, const char *text);
/* These and those below that make a text do so by system_need(). */
const char *system_format(struct system_row *row, const char *fmt, ...) LUMA_PRINTF(2, 3);
/* NUL-terminated copy of a text argument. */
const char *system_text(struct system_row *row, uint32_t arg);
uint32_t system_oid(const struct system_row *row, uint32_t arg);
const struct luma_cat_object *system_object(const struct system_row *row, uint64_t id);
/* Schema ids of search_path, pg_catalog first unless it is named. */
uint32_t system_path(const struct system_row *row, uint64_t *ids, uint32_t room);
bool system_visible(const struct system_row *row, const struct luma_cat_object *object);
/* "t", or "s.t" when it is not visible; quoted where needed. */
const char *system_relation_name(struct system_row *row, const struct luma_cat_object *object);
const char *system_quote(struct system_row *row, const char *name);
/* A relation by "name" or "schema.name". */
const struct luma_cat_object *system_find_relation(const struct system_row *row, const char *text);

#define SYSTEM_STABLE (LUMA_FUNC_STRICT | LUMA_FUNC_STABLE)

#endif
