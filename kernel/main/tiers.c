/*
 * main/tiers.c - `lumadb tiers`: what lies where. Of a folder that nobody uses it looks itself; a
 * server that has it open is asked by SQL.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "catalog/catalog.h"
#include "main/main_priv.h"
#include "storage/store.h"

/* What a running server is asked. */
static const char server_query[] =
    "SELECT schema_name, table_name, storage_tier, rows, segments, cold_segments, hot_bytes, "
    "memory_bytes, kept_bytes, data_bytes, cold_bytes, index_bytes FROM lumadb.tiers ORDER BY "
    "schema_name, table_name";

struct sums {
    uint64_t coll_id;
    char tier[8];
    uint64_t rows, segments, cold_segments, hot, memory, kept, data, cold, index;
};

struct tiers {
    const struct luma_cat_view *view;
    bool json;
    struct sums *all;
    size_t count, room;
    bool failed;
};

static struct sums *
sums_of(struct tiers *t, const struct luma_store_part *part)
{
    if (t->count > 0 && t->all[t->count - 1].coll_id == part->coll_id)
        return &t->all[t->count - 1];
    if (t->count == t->room) {
        size_t room = t->room == 0 ? 64 : t->room * 2;
        struct sums *all = realloc(t->all, room * sizeof(*all));
        t->failed = all == NULL;
        if (t->failed)
            return NULL;
        t->all = all;
        t->room = room;
    }
    struct sums *sums = &t->all[t->count++];
    *sums = (struct sums){.coll_id = part->coll_id};
    snprintf(sums->tier, sizeof(sums->tier), "%s", part->tier);
    return sums;
}

/* Parts of a collection follow each other. */
static bool
part_add(void *arg, const struct luma_store_part *part)
{
    struct sums *sums = sums_of(arg, part);
    if (sums == NULL)
        return false;
    bool cold = strcmp(part->place, "cold") == 0;
    if (part->index_id != 0) {
        sums->index += part->bytes;
        return true;
    }
    sums->rows += part->rows - LK_MIN(part->deleted, part->rows);
    if (part->object_id == 0) {
        sums->hot += part->bytes;
        return true;
    }
    sums->segments++;
    sums->cold_segments += cold;
    sums->memory += part->memory_bytes;
    sums->kept += part->kept_bytes;
    *(cold ? &sums->cold : &sums->data) += part->bytes;
    return true;
}

struct line {
    const char *schema, *table;
    const struct sums *sums;
};

static int
by_name(const void *a, const void *b)
{
    const struct line *la = a, *lb = b;
    int order = strcmp(la->schema, lb->schema);
    return order != 0 ? order : strcmp(la->table, lb->table);
}

static void
json_text(const char *text)
{
    struct lk_bytes out = {0};
    if (lk_bytes_json(&out, luma_slice_text(text)))
        fwrite(out.data, 1, out.bytes, stdout);
    lk_bytes_fini(&out);
}

static void
print_json(const struct line *line, bool first)
{
    const struct sums *s = line->sums;
    printf("%s\n  {\"schema_name\": ", first ? "" : ",");
    json_text(line->schema);
    printf(", \"table_name\": ");
    json_text(line->table);
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"rows", s->rows},       {"segments", s->segments},   {"cold_segments", s->cold_segments},
        {"hot_bytes", s->hot},   {"memory_bytes", s->memory}, {"kept_bytes", s->kept},
        {"data_bytes", s->data}, {"cold_bytes", s->cold},     {"index_bytes", s->index}};
    printf(", \"storage_tier\": \"%s\"", s->tier);
    for (size_t i = 0; i < LUMA_COUNTOF(numbers); i++)
        printf(", \"%s\": %llu", numbers[i].name, (unsigned long long)numbers[i].value);
    printf("}");
}

static void
print_row(const struct line *line)
{
    const struct sums *s = line->sums;
    char name[128];
    snprintf(name, sizeof(name), "%s.%s", line->schema, line->table);
    printf("%-32s %-6s %12llu %8llu %8llu %14llu %14llu %14llu %14llu\n", name, s->tier,
           (unsigned long long)s->rows, (unsigned long long)s->segments,
           (unsigned long long)s->cold_segments, (unsigned long long)s->hot,
           (unsigned long long)s->data, (unsigned long long)s->cold, (unsigned long long)s->index);
}

static void
print_all(const struct tiers *t, const struct line *lines, size_t count)
{
    if (t->json)
        printf("[");
    else
        printf("%-32s %-6s %12s %8s %8s %14s %14s %14s %14s\n", "table", "tier", "rows", "segments",
               "of cold", "bytes hot", "bytes on disk", "bytes cold", "of indexes");
    for (size_t i = 0; i < count; i++) {
        if (t->json)
            print_json(&lines[i], i == 0);
        else
            print_row(&lines[i]);
    }
    if (t->json)
        printf("\n]\n");
}

static luma_rc
tables_print(struct luma_ctx *ctx, struct tiers *t)
{
    struct line *lines = LUMA_NEW_ARRAY(ctx->arena, struct line, t->count + 1);
    size_t count = 0;
    if (lines == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "tiers: out of memory");
    for (size_t i = 0; i < t->count; i++) {
        const struct luma_cat_object *table = lk_catalog_host.by_id(t->view, t->all[i].coll_id);
        const struct luma_cat_object *schema =
            table == NULL ? NULL : lk_catalog_host.by_id(t->view, table->schema_id);
        if (schema != NULL)
            lines[count++] = (struct line){schema->name, table->name, &t->all[i]};
    }
    qsort(lines, count, sizeof(lines[0]), by_name);
    print_all(t, lines, count);
    return LUMA_OK;
}

static luma_rc
folder_look(struct luma_ctx *ctx, const struct lki_options *options)
{
    struct lki_settings settings;
    struct tiers t = {.json = options->json};
    LUMA_TRY(lki_settings_load(ctx, options, &settings));
    LUMA_TRY(lk_host_order(ctx, settings.conf));
    const char *dir = settings.general->data_dir;
    char manifest[PATH_MAX];
    snprintf(manifest, sizeof(manifest), "%s/manifest", dir);
    if (!lk_io_exists(lk_io_posix(), manifest)) /* else opening would make it a data folder */
        return LUMA_FAIL(ctx, LUMA_E_UNDEFINED, "there is no data folder \"%s\"", dir);
    LUMA_TRY(lki_kernel_start(ctx, &settings, lk_io_posix(), dir));
    luma_rc rc = lk_store_host.parts(ctx, part_add, &t);
    if (rc == LUMA_OK && t.failed)
        rc = LUMA_FAIL(ctx, LUMA_E_NOMEM, "tiers: out of memory");
    t.view = lk_catalog_host.view(NULL);
    if (rc == LUMA_OK)
        rc = tables_print(ctx, &t);
    lk_catalog_host.release(t.view);
    free(t.all);
    return rc;
}

static int
ask_server(bool json)
{
    const char *format = json ? "json" : "table";
    const char *arguments[] = {"sql", "--format", format, "--command", server_query, NULL};
    fflush(stdout);
    return lki_run_shell((char **)(uintptr_t)arguments);
}

int
lki_cmd_tiers(const struct lki_options *options)
{
    LUMA_CLEANUP(lk_arena_destroy) struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lk_ctx c;
    lk_ctx_init(&c, arena);
    lk_log_set_level(LUMA_LOG_ERROR);
    luma_rc rc = folder_look(&c.ctx, options);
    lki_parts_stop(0);
    if (rc == LUMA_E_BUSY)
        return ask_server(options->json);
    return rc == LUMA_OK ? EXIT_OK : lki_complain(&c.error);
}
