/*
 * pgwire - the PostgreSQL wire protocol, version 3.
 */
#include "pgwire.h"

#include <lumadb/kind/frontend.h>
#include <lumadb/module.h>

#include <stdio.h>
#include <stdlib.h>

static const struct luma_conf_item pg_conf_items[] = {
    LUMA_CONF_TEXT(struct pg_conf, host, .sdef = "127.0.0.1",
                   .help = "address to listen on; * or 0.0.0.0: every one"),
    LUMA_CONF_INT(struct pg_conf, port, .def = 5432, .min = 0, .max = 65535,
                  .help = "port; 0 lets the system choose"),
    LUMA_CONF_INT(struct pg_conf, max_connections, .def = 100, .min = 1, .max = 262143,
                  .unit = "connections", .help = "one more is refused (53300)"),
    LUMA_CONF_BYTES(struct pg_conf, max_message_size, .def = 256 << 20, .min = 1 << 16,
                    .max = 1073741823, .flags = LUMA_CONF_RELOAD,
                    .help = "longest message of a client that has logged in"),
    LUMA_CONF_DURATION(struct pg_conf, auth_timeout, .def = 60000000000, .min = 100000000,
                       .max = 3600000000000, .flags = LUMA_CONF_RELOAD,
                       .help = "longest silence before a client has logged in"),
    LUMA_CONF_BOOL(struct pg_conf, require_tls, .def = 0, .flags = LUMA_CONF_RELOAD,
                   .help = "clients from other machines must use TLS"),
    LUMA_CONF_END,
};

static luma_rc
pg_init(const struct luma_host *host, const void *conf, struct luma_ctx *ctx, void **out_state)
{
    struct pg *pg = calloc(1, sizeof(*pg));
    if (pg == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory");
    pg->host = host;
    pg->conf = conf;
    pg->connections = host->stats->open(LUMA_STAT_GAUGE, "lumadb_pg_connections", "", "connections",
                                        "connections of PostgreSQL clients");
    pg->statements = host->stats->open(LUMA_STAT_COUNTER, "lumadb_pg_statements_total", "",
                                       "statements", "statements run for PostgreSQL clients");
    pg->errors = host->stats->open(LUMA_STAT_COUNTER, "lumadb_pg_errors_total", "", "errors",
                                   "errors sent to PostgreSQL clients");
    pg->seconds = host->stats->open(LUMA_STAT_HISTOGRAM, "lumadb_pg_request_seconds", "", "seconds",
                                    "time from a request's first message to its last answer");
    *out_state = pg;
    return LUMA_OK;
}

static luma_rc
pg_start(void *state, struct luma_ctx *ctx)
{
    struct pg *pg = state;
    const struct pg_conf *conf = pg->conf;
    pg->sql =
        (const struct luma_language *)pg->host->services->lookup("query.sql", LUMA_QUERY_MAJOR);
    if (pg->sql == NULL || !LUMA_HAS(pg->sql, retain))
        return LUMA_FAIL(ctx, LUMA_E_MODULE, "no module offers query.sql");
    struct luma_listen_spec spec = {
        .name = PG_WHO,
        .host = conf->host,
        .port = (uint16_t)conf->port,
        .connections_max = (uint32_t)conf->max_connections,
        .conf_origin = "[postgres] port",
        .serve = pg_serve,
        .refuse = pg_refuse,
        .arg = pg,
    };
    return pg->host->net->listen(ctx, &spec, &pg->listener);
}

static void
pg_reload(void *state, const void *conf)
{
    struct pg *pg = state;
    pg->conf = conf;
}

static void
pg_stop(void *state, uint64_t deadline_ns)
{
    struct pg *pg = state;
    if (pg->listener != NULL)
        pg->host->net->unlisten(pg->listener, deadline_ns);
    pg->listener = NULL;
}

static void
pg_fini(void *state)
{
    free(state);
}

static uint16_t
pg_port(void *state)
{
    struct pg *pg = state;
    return pg->listener == NULL ? 0 : pg->host->net->listener_port(pg->listener);
}

static void
pg_how(void *state, char *out, size_t room)
{
    struct pg *pg = state;
    const struct pg_conf *conf = pg->conf;
    bool any = conf->host == NULL || strcmp(conf->host, "*") == 0 ||
               strcmp(conf->host, "0.0.0.0") == 0 || strcmp(conf->host, "127.0.0.1") == 0;
    if (pg->listener != NULL)
        snprintf(out, room, "psql -h %s -p %u -U lumadb -d default", any ? "localhost" : conf->host,
                 pg_port(pg));
    else if (room > 0)
        out[0] = '\0';
}

static const struct luma_frontend pg_frontend = {
    .head = LUMA_FRONTEND_HEAD,
    .protocol = "PostgreSQL wire protocol 3",
    .how = pg_how,
    .port = pg_port,
};

LUMA_MODULE(.kind = "frontend", .name = "pgwire", .version = "1.0.0", .licence = "Apache-2.0",
            .author = "LumaDB", .summary = "PostgreSQL wire protocol: psql and every driver",
            .section = "postgres", .needs = LUMA_NEEDS({"query.sql", LUMA_QUERY_MAJOR, false}),
            .offers = LUMA_OFFERS({"frontend.pgwire", &pg_frontend.head}), .conf = pg_conf_items,
            .conf_bytes = sizeof(struct pg_conf), .init = pg_init, .start = pg_start,
            .reload = pg_reload, .stop = pg_stop, .fini = pg_fini);
