/* main/embed/db.c - opening and closing a store inside a program. */
#include <stdlib.h>

#include "main/embed/embed.h"
#include "main/main.h"

static _Atomic bool taken; /* the kernel's parts are there once in a process */

const char *
luma_db_version(void)
{
    return LUMA_VERSION;
}

static void
say_nothing(void *arg, const char *line, size_t bytes)
{
    (void)arg;
    (void)line;
    (void)bytes;
}

/* The caller's options as this library knows them: what an older caller does not have is zero. */
static luma_rc
take_opts(struct luma_ctx *ctx, const struct luma_db_opts *from, struct luma_db_opts *out)
{
    memset(out, 0, sizeof(*out));
    if (from == NULL)
        return LUMA_OK;
    if (from->size_bytes < offsetof(struct luma_db_opts, memory_bytes))
        return LUMA_FAIL(ctx, LUMA_E_INVALID, "size_bytes of the options is not set");
    memcpy(out, from, LK_MIN((size_t)from->size_bytes, sizeof(*out)));
    return LUMA_OK;
}

static struct luma_db *
db_create(void)
{
    struct luma_db *db = calloc(1, sizeof(*db));
    if (db == NULL)
        return NULL;
    db->arena = lk_arena_create(NULL, 0);
    if (db->arena == NULL) {
        free(db);
        return NULL;
    }
    pthread_mutex_init(&db->ddl_lock, NULL);
    pthread_mutex_init(&db->series_lock, NULL);
    db->magic = LKI_DB_MAGIC;
    return db;
}

static void
db_destroy(struct luma_db *db)
{
    if (db == NULL)
        return;
    db->magic = 0;
    lk_map_fini(&db->series_by_key);
    lk_map_fini(&db->series_by_name);
    pthread_mutex_destroy(&db->ddl_lock);
    pthread_mutex_destroy(&db->series_lock);
    lk_arena_destroy(db->arena);
    free(db);
}

luma_rc
luma_db_open(const char *dir, const struct luma_db_opts *opts, struct luma_db **out_db,
             struct luma_db_error *error)
{
    struct lki_call call;
    struct luma_db_opts o;
    struct luma_db *db = db_create();
    bool mine = false, none = false;
    luma_rc rc = lki_call_begin(&call, db);
    struct luma_ctx *ctx = &call.c.ctx;
    if (rc == LUMA_OK && (dir == NULL || dir[0] == '\0'))
        rc = LUMA_FAIL(ctx, LUMA_E_INVALID, "a store wants a folder");
    if (rc == LUMA_OK)
        rc = take_opts(ctx, opts, &o);
    if (rc == LUMA_OK) {
        mine = atomic_compare_exchange_strong(&taken, &none, true);
        if (!mine)
            rc = LUMA_FAIL(ctx, LUMA_E_INVALID, "a store is open in this process already");
    }
    if (rc == LUMA_OK) {
        lk_log_set_level(LUMA_LOG_WARN);
        lk_log_set_sink(o.quiet ? say_nothing : NULL, NULL);
        rc = lk_main_start(ctx, db->arena, dir, &o);
    }
    rc = lki_call_end(&call, rc, error);
    if (rc != LUMA_OK) {
        if (mine)
            taken = false;
        db_destroy(db);
        return rc;
    }
    *out_db = db;
    return LUMA_OK;
}

luma_rc
luma_db_close(struct luma_db *db, struct luma_db_error *error)
{
    struct lki_call call;
    if (db == NULL)
        return LUMA_OK;
    luma_rc rc = lki_call_begin(&call, db);
    if (rc == LUMA_OK)
        lk_main_stop();
    rc = lki_call_end(&call, rc, error);
    if (rc == LUMA_OK) {
        db_destroy(db);
        taken = false;
    }
    return rc;
}

luma_rc
luma_db_checkpoint(struct luma_db *db, struct luma_db_error *error)
{
    struct lki_call call;
    luma_rc rc = lki_call_begin(&call, db);
    if (rc == LUMA_OK)
        rc = lk_store_host.checkpoint(&call.c.ctx);
    return lki_call_end(&call, rc, error);
}
