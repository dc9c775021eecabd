/*
 * toy.h - a query language and transactions of a few lines, so that frontends can be tested and
 * measured without an engine.
 *
 * Statements: "select N" | "rows N" (n int4, t text, f float8) | "echo $1 $2 ..." (parameters as
 * text) | "lookup ... $1" (one int4) | "insert" | "begin" | "commit" | "rollback" | "savepoint x" |
 * "rollback to x" | "set NAME VALUE" | "show NAME" | "copy in" | "copy out N" | "sleep MS" |
 * "fail SQLSTATE MESSAGE" | "notice TEXT" | "broken commit"; several of them with ';' between.
 */
#ifndef TOY_H
#define TOY_H

#include <lumadb/host/catalog.h>
#include <lumadb/host/host.h>
#include <lumadb/kind/query.h>

extern const struct luma_language toy_language;
extern const struct luma_host_txn toy_txn;
extern const struct luma_host_catalog toy_catalog;

void toy_init(const struct luma_host *host);
/* The password of the users "lumadb" and "bob" is "pencil". */

#endif
