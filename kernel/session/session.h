/*
 * session/session.h - sessions for the kernel: starting, stopping, and the table of
 * host/session.h.
 */
#ifndef LK_SESSION_SESSION_H
#define LK_SESSION_SESSION_H

#include <lumadb/conf.h>
#include <lumadb/host/catalog.h>
#include <lumadb/host/data.h>
#include <lumadb/host/session.h>
#include <lumadb/host/txn.h>

/* Section [session]. */
struct lk_session_conf {
    int64_t token_ttl;           /* nanoseconds a bearer token lives at most */
    int64_t tokens_max;          /* live tokens */
    int64_t auth_failures;       /* failed logins of one address a minute before it must wait */
    int64_t requests_per_second; /* of one bearer token; 0: no limit */
    int64_t statement_memory; /* bytes one session's statements may hold; 0: the server's budget */
    const char *timezone;     /* default of TimeZone */
};

extern const struct luma_conf_item lk_session_conf_items[];

/* What sessions stand on; tests put others in their place. */
struct lk_session_parts {
    const struct luma_host_txn *txn;
    const struct luma_host_catalog *catalog;
    const struct luma_host_data *data;
};

LUMA_NODISCARD luma_rc lk_session_start(struct luma_ctx *ctx, const struct lk_session_conf *conf,
                                        const struct lk_session_parts *parts);
/* A reload: sessions that are open keep their settings. conf is kept. */
void lk_session_reload(const struct lk_session_conf *conf);
void lk_session_stop(void);

/* Role id of a session's user, 0 before login: what the catalogue asks. */
uint64_t lk_session_role(const struct luma_session *session);

extern const struct luma_host_session lk_session_host;

#endif
