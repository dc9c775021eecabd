/*
 * sql.c - PostgreSQL's SQL as a query language: the module's beginning and its descriptor.
 */
#include "sql.h"

#include <lumadb/module.h>

const struct luma_host *sql_host;
const struct luma_engine *sql_engine;
const struct luma_simd *sql_simd;
const struct sql_conf *sql_conf;

static const struct luma_conf_item conf_items[] = {
    LUMA_CONF_BYTES(struct sql_conf, statement_bytes_max, .def = 64 << 20, .min = 1024,
                    .max = 1 << 30, .help = "longest statement that is parsed"),
    LUMA_CONF_INT(struct sql_conf, nesting_max, .def = 10000, .min = 100, .max = 50000,
                  .help = "operators, brackets and subqueries a statement may nest"),
    LUMA_CONF_INT(struct sql_conf, cached_statements, .def = 128, .min = 0, .max = 4096,
                  .help = "bound statements a session keeps by their text"),
    LUMA_CONF_DURATION(struct sql_conf, slow_statement, .def = 0, .min = 0, .max = 86400000000000,
                       .help = "statements that take longer are logged with their plan; 0: none"),
    LUMA_CONF_BOOL(struct sql_conf, slow_statement_plans, .def = 1,
                   .help = "plans of slow statements are logged too"),
    LUMA_CONF_END,
};

static luma_rc
sql_init(const struct luma_host *host, const void *conf, struct luma_ctx *ctx, void **out_state)
{
    (void)ctx;
    sql_host = host;
    sql_conf = conf;
    *out_state = (void *)conf;
    return LUMA_OK;
}

static luma_rc
sql_start(void *state, struct luma_ctx *ctx)
{
    (void)state;
    sql_engine =
        (const struct luma_engine *)sql_host->services->lookup("query.engine", LUMA_ENGINE_MAJOR);
    if (sql_engine == NULL)
        return LUMA_FAIL(ctx, LUMA_E_MODULE, "query.engine is not running");
    sql_simd = (const struct luma_simd *)sql_host->services->lookup("simd", LUMA_SIMD_MAJOR);
    sql_virtuals_load();
    return LUMA_OK;
}

LUMA_MODULE(.kind = "query", .name = "sql", .version = "1.0.0", .licence = "Apache-2.0",
            .author = "The LumaDB authors", .summary = "PostgreSQL's SQL",
            .needs = LUMA_NEEDS({"query.engine", LUMA_ENGINE_MAJOR, false}),
            .offers = LUMA_OFFERS({"query.sql", &sql_language.head}), .conf = conf_items,
            .conf_bytes = sizeof(struct sql_conf), .init = sql_init, .start = sql_start);
