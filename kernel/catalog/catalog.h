/*
 * catalog/catalog.h - names: the kernel's side of host/catalog.h.
 *
 * Catalogue objects are rows (id, kind, body) of one system collection and so are versioned,
 * logged and recovered like any row. In memory a state of the catalogue is a struct luma_cat_view:
 * immutable, reference counted, replaced as a whole when a transaction with DDL commits.
 */
#ifndef LK_CATALOG_CATALOG_H
#define LK_CATALOG_CATALOG_H

#include <lumadb/host/catalog.h>

/* The system collection of objects, and the sequence that ids of new objects come from. */
#define LK_CATALOG_COLL_ID     1
#define LK_CATALOG_SEQUENCE_ID 1

/*
 * Loads the catalogue of the opened store; on a store without one, makes the first objects: the
 * schemas, the database `default` and the first-run role lumadb.
 *
 * Errors:  LUMA_E_CORRUPT when an object cannot be read: names its id.
 * Threads: once, at start, before sessions.
 */
LUMA_NODISCARD luma_rc lk_catalog_open(struct luma_ctx *ctx);
void lk_catalog_close(void);

/* Who asks: the role id of a session. Sessions rank above the catalogue, so the server tells it at
 * start; until then, and for the kernel's own contexts (no session), everything is allowed. */
void lk_catalog_set_identity(uint64_t (*role_of)(const struct luma_session *session));

extern const struct luma_host_catalog lk_catalog_host;

#endif
