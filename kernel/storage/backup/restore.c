/* storage/backup/restore.c - which backups there are, and a data folder from one of them. */
#include <stdio.h>
#include <stdlib.h>

#include "storage/backup/backup_priv.h"
#include "storage/core.h"

/* --- what there is --- */

static bool
info_line(struct lk_backup_info *info, const char *key, const char *value)
{
    static const struct {
        const char *key;
        size_t offset;
    } numbers[] = {
        {"begun_us", offsetof(struct lk_backup_info, begun_us)},
        {"ended_us", offsetof(struct lk_backup_info, ended_us)},
        {"commit", offsetof(struct lk_backup_info, commit)},
        {"objects", offsetof(struct lk_backup_info, objects)},
        {"bytes", offsetof(struct lk_backup_info, bytes)},
        {"bytes_copied", offsetof(struct lk_backup_info, bytes_copied)},
    };
    if (strcmp(key, "format") == 0)
        return strtoull(value, NULL, 10) == LKI_BACKUP_FORMAT;
    if (strcmp(key, "store") == 0) {
        info->store_id = strtoull(value, NULL, 16);
        return true;
    }
    for (size_t i = 0; i < LUMA_COUNTOF(numbers); i++) {
        uint64_t number = strtoull(value, NULL, 10);
        if (strcmp(key, numbers[i].key) == 0)
            memcpy((uint8_t *)info + numbers[i].offset, &number, sizeof(number));
    }
    return true;
}

static luma_rc
info_read(struct luma_ctx *ctx, struct lk_io *io, const char *place, const char *name,
          struct lk_backup_info *out)
{
    struct lk_bytes bytes;
    char *path = lki_backup_path(ctx, "%s/%s/backup", place, name), *save = NULL;
    memset(out, 0, sizeof(*out));
    snprintf(out->name, sizeof(out->name), "%s", name);
    if (path == NULL)
        return LUMA_E_NOMEM;
    lk_bytes_init(&bytes, NULL);
    luma_rc rc = lk_io_read_file(ctx, io, path, 1u << 16, &bytes);
    char *text =
        rc == LUMA_OK ? luma_arena_text(ctx->arena, (const char *)bytes.data, bytes.bytes) : NULL;
    lk_bytes_fini(&bytes);
    for (char *line = text == NULL ? NULL : strtok_r(text, "\n", &save);
         rc == LUMA_OK && line != NULL; line = strtok_r(NULL, "\n", &save)) {
        char *value = strchr(line, ' ');
        if (value != NULL)
            *value++ = '\0';
        if (value == NULL || !info_line(out, line, value))
            rc = LUMA_FAIL(ctx, LUMA_E_CORRUPT, "%s cannot be understood", path);
    }
    return rc;
}

luma_rc
lk_backup_each(struct luma_ctx *ctx, struct lk_io *io, const char *place,
               luma_rc (*fn)(void *arg, const struct lk_backup_info *info), void *arg)
{
    const char *const *names = NULL;
    size_t count = 0;
    LUMA_TRY(lk_io_list_sorted(ctx, io, place, ctx->arena, &names, &count));
    for (size_t i = 0; i < count; i++) {
        struct lk_backup_info info;
        char *seal = lki_backup_path(ctx, "%s/%s/backup", place, names[i]);
        if (seal == NULL)
            return LUMA_E_NOMEM;
        if (!lk_io_exists(io, seal))
            continue; /* not a backup, or one that was not finished */
        LUMA_TRY(info_read(ctx, io, place, names[i], &info));
        LUMA_TRY(fn(arg, &info));
    }
    return LUMA_OK;
}

/* --- choosing --- */

struct choice {
    const struct lk_backup_until *until;
    struct lk_backup_info best;
    bool found;
};

static luma_rc
backup_judge(void *arg, const struct lk_backup_info *info)
{
    struct choice *c = arg;
    const struct lk_backup_until *u = c->until;
    bool fits = u->backup != NULL ? strcmp(u->backup, info->name) == 0
                                  : (u->time_us == 0 || info->ended_us <= u->time_us) &&
                                        (u->commit == 0 || info->commit <= u->commit);
    if (fits) {
        c->best = *info;
        c->found = true;
    }
    return LUMA_OK;
}

/* --- the folder --- */

struct restore {
    struct luma_ctx *ctx;
    struct lk_io *io;
    const char *dir, *place, *from; /* from: PLACE/NAME */
    const struct lk_backup_until *until;
    struct lk_backup_info info;
    struct lki_copy copy;
    struct lki_objects objects;
};

struct empty_look {
    const char *found;
    struct luma_ctx *ctx;
};

static luma_rc
entry_look(void *arg, const char *name, bool is_dir)
{
    struct empty_look *look = arg;
    (void)is_dir;
    if (look->found == NULL || strcmp(name, LK_STORE_RESTORING) == 0)
        look->found = luma_arena_text(look->ctx->arena, name, strlen(name));
    return LUMA_OK;
}

/* Empty, absent, or left over from a restore that did not end. */
static luma_rc
folder_begin(struct restore *r)
{
    struct empty_look look = {NULL, r->ctx};
    char *mark = lki_backup_path(r->ctx, "%s/" LK_STORE_RESTORING, r->dir);
    if (mark == NULL)
        return LUMA_E_NOMEM;
    if (lk_io_exists(r->io, r->dir))
        LUMA_TRY(lk_io_list(r->ctx, r->io, r->dir, entry_look, &look));
    if (look.found != NULL && strcmp(look.found, LK_STORE_RESTORING) != 0)
        return LUMA_FAIL(r->ctx, LUMA_E_EXISTS, "%s is not empty: there is \"%s\" in it", r->dir,
                         look.found);
    LUMA_TRY(lk_io_mkdir_all(r->ctx, r->io, r->dir));
    return lk_io_write_file(r->ctx, r->io, mark, r->info.name, strlen(r->info.name));
}

static luma_rc
folder_copy(struct restore *r, const char *what)
{
    const char *const *names = NULL;
    size_t count = 0;
    char *from = lki_backup_path(r->ctx, "%s/%s", r->from, what);
    char *to = lki_backup_path(r->ctx, "%s/%s", r->dir, what);
    if (from == NULL || to == NULL)
        return LUMA_E_NOMEM;
    LUMA_TRY(lk_io_mkdir_all(r->ctx, r->io, to));
    LUMA_TRY(lk_io_list_sorted(r->ctx, r->io, to, r->ctx->arena, &names, &count));
    for (size_t i = 0; i < count; i++) { /* of an attempt before */
        char *old = lki_backup_path(r->ctx, "%s/%s", to, names[i]);
        if (old == NULL)
            return LUMA_E_NOMEM;
        LUMA_TRY(lk_io_unlink(r->ctx, r->io, old));
    }
    LUMA_TRY(lk_io_list_sorted(r->ctx, r->io, from, r->ctx->arena, &names, &count));
    for (size_t i = 0; i < count; i++) {
        char *file = lki_backup_path(r->ctx, "%s/%s", from, names[i]);
        char *copy = lki_backup_path(r->ctx, "%s/%s", to, names[i]);
        if (file == NULL || copy == NULL)
            return LUMA_E_NOMEM;
        LUMA_TRY(lki_copy_file(&r->copy, file, copy));
    }
    return lk_io_sync_dir(r->ctx, r->io, to);
}

static luma_rc
objects_copy(struct restore *r)
{
    uint64_t commit = 0;
    LUMA_TRY(lki_backup_objects(r->ctx, r->io, r->from, &r->objects, &commit));
    for (size_t i = 0; i < r->objects.count; i++)
        r->copy.all += r->objects.items[i].bytes;
    for (size_t i = 0; i < r->objects.count; i++) {
        char *name = lki_backup_object_name(r->ctx, &r->objects.items[i]);
        char *from = name == NULL ? NULL : lki_backup_path(r->ctx, "%s/objects/%s", r->place, name);
        char *to = from == NULL ? NULL : lki_backup_path(r->ctx, "%s/%s", r->dir, name);
        if (to == NULL)
            return LUMA_E_NOMEM;
        LUMA_TRY(lki_copy_file(&r->copy, from, to));
    }
    return lk_io_sync_dir(r->ctx, r->io, r->dir);
}

/* Whether the folder's log has this file, as whole as the other: then where. */
static luma_rc
log_place(struct restore *r, const struct lki_log *log, uint64_t first, char **out_path)
{
    struct lki_log *have = NULL;
    size_t count = 0;
    char *dir = lki_backup_path(r->ctx, "%s/wal", r->dir);
    if (dir == NULL)
        return LUMA_E_NOMEM;
    *out_path = NULL;
    if (log->number < first)
        return LUMA_OK;
    LUMA_TRY(lki_backup_logs(r->ctx, r->io, dir, r->info.store_id, &have, &count));
    for (size_t i = 0; i < count; i++)
        if (have[i].number == log->number && have[i].epoch == log->epoch)
            *out_path = have[i].path; /* that of the backup may end early */
    if (*out_path == NULL)
        *out_path =
            lki_backup_path(r->ctx, "%s/later-%010llu-%llu.wal", dir,
                            (unsigned long long)log->number, (unsigned long long)log->epoch);
    return *out_path == NULL ? LUMA_E_NOMEM : LUMA_OK;
}

static luma_rc
logs_add(struct restore *r, const char *from)
{
    struct lki_log *logs = NULL;
    size_t count = 0;
    uint64_t id = 0, first = 0;
    LUMA_TRY(lki_backup_state(r->ctx, r->io, r->dir, &id, &first));
    LUMA_TRY(lki_backup_logs(r->ctx, r->io, from, r->info.store_id, &logs, &count));
    for (size_t i = 0; i < count; i++) {
        char *to = NULL;
        LUMA_TRY(log_place(r, &logs[i], first, &to));
        if (to != NULL)
            LUMA_TRY(lki_copy_file(&r->copy, logs[i].path, to));
    }
    return LUMA_OK;
}

/* Bulk loads after the backup: their objects are in the archive, or in the lost folder. */
static luma_rc
objects_add(struct restore *r)
{
    struct lki_objects objects = {NULL, 0, 0};
    uint64_t commit = 0;
    luma_rc rc = lki_backup_objects(r->ctx, r->io, r->dir, &objects, &commit);
    for (size_t i = 0; rc == LUMA_OK && i < objects.count; i++) {
        char *name = lki_backup_object_name(r->ctx, &objects.items[i]);
        char *to = name == NULL ? NULL : lki_backup_path(r->ctx, "%s/%s", r->dir, name);
        rc = to == NULL ? LUMA_E_NOMEM : LUMA_OK;
        for (uint32_t k = 0; rc == LUMA_OK && k < r->until->logs_count; k++) {
            char *beside =
                lki_backup_path(r->ctx, "%s/" LK_ARCHIVE_OBJECTS "/%s", r->until->logs[k],
                                (unsigned long long)r->info.store_id, name);
            char *above = lki_backup_path(r->ctx, "%s/../%s", r->until->logs[k], name);
            if (beside == NULL || above == NULL)
                rc = LUMA_E_NOMEM;
            else if (!lk_io_exists(r->io, to) && lk_io_exists(r->io, beside))
                rc = lki_copy_file(&r->copy, beside, to);
            else if (!lk_io_exists(r->io, to) && lk_io_exists(r->io, above))
                rc = lki_copy_file(&r->copy, above, to);
        }
    }
    free(objects.items);
    return rc;
}

/* Opens it, which replays the log up to the end that was asked for, and makes that the state: what
 * came after it is gone from the log. */
static luma_rc
folder_settle(struct restore *r, const struct lk_store_conf *given)
{
    struct lk_store_conf conf = *given;
    struct lk_store *store = NULL;
    char *mark = lki_backup_path(r->ctx, "%s/" LK_STORE_RESTORING, r->dir);
    if (mark == NULL)
        return LUMA_E_NOMEM;
    conf.restoring = true;
    conf.wal_archive = NULL;
    conf.until_us = r->until->time_us;
    conf.until_commit = r->until->commit;
    LUMA_TRY(lk_core_open(r->ctx, &conf, false, &store));
    luma_rc rc = lk_store_settle(r->ctx, store);
    r->info.commit = store->commit;
    lk_core_close(store);
    if (rc == LUMA_OK)
        rc = lk_io_unlink(r->ctx, r->io, mark);
    return rc == LUMA_OK ? lk_io_sync_dir(r->ctx, r->io, r->dir) : rc;
}

static luma_rc
restore_run(struct restore *r, const struct lk_store_conf *conf)
{
    LUMA_TRY(folder_begin(r));
    LUMA_TRY(folder_copy(r, "manifest"));
    LUMA_TRY(folder_copy(r, "wal"));
    LUMA_TRY(objects_copy(r));
    for (uint32_t i = 0; i < r->until->logs_count; i++)
        LUMA_TRY(logs_add(r, r->until->logs[i]));
    if (r->until->logs_count > 0)
        LUMA_TRY(objects_add(r));
    return folder_settle(r, conf);
}

luma_rc
lk_backup_restore(struct luma_ctx *ctx, const struct lk_store_conf *conf, const char *place,
                  const struct lk_backup_until *until, const struct lk_backup_say *say,
                  struct lk_backup_info *out_info)
{
    struct choice choice = {.until = until};
    struct restore r = {.ctx = ctx, .io = conf->io, .dir = conf->dir, .place = place};
    LUMA_TRY(lk_backup_each(ctx, conf->io, place, backup_judge, &choice));
    if (!choice.found)
        return LUMA_FAIL(ctx, LUMA_E_UNDEFINED,
                         until->backup != NULL ? "%s has no such backup"
                                               : "%s has no backup that is old enough",
                         place);
    r.until = until;
    r.info = choice.best;
    r.from = lki_backup_path(ctx, "%s/%s", place, r.info.name);
    if (r.from == NULL)
        return LUMA_E_NOMEM;
    luma_rc rc = lki_copy_init(&r.copy, ctx, conf->io, say);
    if (rc == LUMA_OK)
        rc = restore_run(&r, conf);
    lki_copy_fini(&r.copy);
    free(r.objects.items);
    if (rc == LUMA_OK)
        *out_info = r.info;
    return rc;
}
