/*
 * tree.h - short names for libpg_query's parse tree.
 */
#ifndef LUMADB_QUERY_SQL_TREE_H
#define LUMADB_QUERY_SQL_TREE_H

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>
#pragma GCC diagnostic pop

#define PGN(name)       PG_QUERY__NODE__NODE_##name
#define PG_AEXPR(name)  PG_QUERY__A__EXPR__KIND__AEXPR_##name
#define PG_LINK(name)   PG_QUERY__SUB_LINK_TYPE__##name##_SUBLINK
#define PG_JOIN(name)   PG_QUERY__JOIN_TYPE__JOIN_##name
#define PG_SETOP(name)  PG_QUERY__SET_OPERATION__SETOP_##name
#define PG_CONSTR(name) PG_QUERY__CONSTR_TYPE__CONSTR_##name
#define PG_AT(name)     PG_QUERY__ALTER_TABLE_TYPE__AT_##name
#define PG_OBJECT(name) PG_QUERY__OBJECT_TYPE__OBJECT_##name
#define PG_TRANS(name)  PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_##name
#define PG_VAR(name)    PG_QUERY__VARIABLE_SET_KIND__VAR_##name

#endif
