/* main/embed/embed.h - what the files of liblumadb share. Public: sdk/include/lumadb/embed.h. */
#ifndef LK_MAIN_EMBED_EMBED_H
#define LK_MAIN_EMBED_EMBED_H

#include <lumadb/embed.h>
#include <lumadb/host/catalog.h>
#include <lumadb/host/store.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/base.h"
#include "storage/store.h"

#define LKI_DB_MAGIC 0x6c756462u

struct lki_series;

struct luma_db {
    uint32_t magic;
    struct luma_arena *arena; /* as long as the store is open */
    pthread_mutex_t ddl_lock; /* tables are made and dropped one at a time; held over a commit */

    /* metrics.c; series are never forgotten before the close */
    pthread_mutex_t series_lock; /* what follows, and new series; held over a commit */
    bool series_loaded;
    struct lk_map series_by_key;
    struct lk_map series_by_name; /* the newest of a metric; the others hang on it */
    int64_t series_id_last;
};

/* One call from outside: its context, its memory, its transaction. */
struct lki_call {
    struct lk_ctx c;
    struct luma_arena *arena;
    struct luma_db *db;
    struct luma_txn *txn; /* NULL: none is open */
};

/* LUMA_OK, or why the call cannot be served. */
luma_rc lki_call_begin(struct lki_call *call, struct luma_db *db);
luma_rc lki_call_txn(struct lki_call *call, bool read_only);
luma_rc lki_call_commit(struct lki_call *call);
/* Rolls back what is open, frees everything, fills error; gives rc. */
luma_rc lki_call_end(struct lki_call *call, luma_rc rc, struct luma_db_error *error);

/* --- tables (tables.c) --- */

struct lki_embed_col {
    const char *name;
    enum luma_type_id type;
};

/* A table as this library makes it: all columns not null, one index. */
struct lki_embed_def {
    const char *schema;
    struct lki_embed_col cols[4];
    uint32_t cols_count;
    uint32_t key[2]; /* positions in cols */
    uint32_t key_count;
    bool primary;
    uint32_t second; /* position in cols of a second, plain index; 0: none */
};

/* A table that is open under the call's transaction. */
struct lki_embed_table {
    struct luma_coll *coll;
    uint64_t id, index_id;
};

/* LUMA_E_UNDEFINED: there is none. */
luma_rc lki_embed_open(struct lki_call *call, const char *schema, const char *name,
                       struct lki_embed_table *out_table);
/* Makes it (and its schema) in the call's transaction and opens it; the caller holds ddl_lock.
 * LUMA_E_EXISTS. */
luma_rc lki_embed_create(struct lki_call *call, const struct lki_embed_def *def, const char *name,
                         struct lki_embed_table *out_table);
luma_rc lki_embed_drop(struct lki_call *call, const struct lki_embed_table *table);
/* Gives rc. */
luma_rc lki_embed_close(struct lki_embed_table *table, luma_rc rc);
bool lki_embed_is_text(const char *text, size_t bytes);

/* A batch of `rows` values for all columns of def, data zeroed. */
luma_rc lki_embed_batch(struct lki_call *call, struct luma_arena *arena,
                        const struct lki_embed_def *def, uint32_t rows, struct luma_batch *out);
void lki_embed_put_text(struct luma_batch *batch, uint32_t col, uint32_t row, const char *text,
                        size_t bytes);
void lki_embed_put_int(struct luma_batch *batch, uint32_t col, uint32_t row, int64_t value);
int64_t lki_embed_int(const struct luma_batch *batch, uint32_t col, uint32_t row);
struct luma_slice lki_embed_text(const struct luma_batch *batch, uint32_t col, uint32_t row);
struct luma_value lki_embed_value(enum luma_type_id type, int64_t i64, struct luma_slice text);

#endif
