/*
 * lumadb_store.c - what tables consist of, and where it lies: lumadb.segments, lumadb.tiers.
 */
#include <lumadb/module.h>

#include <stdlib.h>

#include "rows.h"

#define UNIX_TO_SQL_US INT64_C(946684800000000) /* 1970 to 2000 */

static luma_rc
parts_each(struct sql_rows *rows, bool (*fn)(void *arg, const struct luma_store_part *part),
           void *arg)
{
    luma_rc rc = sql_host->store->parts(rows->ctx, fn, arg);
    if (rows->rc == LUMA_OK)
        rows->rc = rc;
    return rows->rc;
}

/* ---- lumadb.segments: a row for each hot part, segment and index run ---- */

static bool
segments_part(void *arg, const struct luma_store_part *part)
{
    struct sql_rows *rows = arg;
    const struct luma_cat_object *table = sql_rows_object(rows, part->coll_id);
    const char *index = NULL;
    for (uint32_t i = 0; table != NULL && i < table->indexes_count; i++)
        if (table->indexes[i].id == part->index_id)
            index = table->indexes[i].name;
    if (table != NULL)
        sql_rows_add(rows,
                     "otttt"
                     "lllit"
                     "tllz",
                     (uint32_t)part->coll_id, table->name, index, part->kind,
                     part->object_id == 0
                         ? NULL
                         : sql_rows_format(rows, "%016llx", (unsigned long long)part->object_id),
                     (int64_t)part->rows, (int64_t)part->deleted, (int64_t)part->bytes,
                     (int)part->level, part->damage, part->place, (int64_t)part->memory_bytes,
                     (int64_t)part->kept_bytes,
                     part->born_us == 0 ? INT64_MIN : part->born_us - UNIX_TO_SQL_US);
    return rows->rc == LUMA_OK;
}

static void
fill_segments(struct sql_rows *rows)
{
    (void)parts_each(rows, segments_part, rows);
}

/* ---- lumadb.tiers: a row for each table ---- */

struct tiers {
    struct sql_rows *rows;
    uint64_t coll_id; /* whose parts are being added up; 0: none yet */
    const char *tier;
    int64_t segments, cold_segments, row_count;
    int64_t memory, kept, hot, data, cold, index;
};

static void
tiers_emit(struct tiers *t)
{
    const struct luma_cat_object *table = sql_rows_object(t->rows, t->coll_id);
    if (table != NULL)
        sql_rows_add(t->rows,
                     "ottt"
                     "lll"
                     "llllll",
                     (uint32_t)t->coll_id, sql_rows_name(t->rows, table->schema_id), table->name,
                     t->tier, t->segments, t->cold_segments, t->row_count, t->hot, t->memory,
                     t->kept, t->data, t->cold, t->index);
}

static void
tiers_add(struct tiers *t, const struct luma_store_part *part)
{
    int64_t bytes = (int64_t)part->bytes;
    if (part->index_id != 0) {
        t->index += bytes;
        return;
    }
    t->row_count += (int64_t)part->rows - (int64_t)part->deleted;
    if (part->object_id == 0) {
        t->hot += bytes;
        return;
    }
    bool cold = strcmp(part->place, "cold") == 0;
    t->segments++;
    t->cold_segments += cold;
    t->memory += (int64_t)part->memory_bytes;
    t->kept += (int64_t)part->kept_bytes;
    *(cold ? &t->cold : &t->data) += bytes;
}

/* Parts of a table follow each other. */
static bool
tiers_part(void *arg, const struct luma_store_part *part)
{
    struct tiers *t = arg;
    if (part->coll_id != t->coll_id) {
        tiers_emit(t);
        *t = (struct tiers){.rows = t->rows, .coll_id = part->coll_id, .tier = part->tier};
    }
    tiers_add(t, part);
    return t->rows->rc == LUMA_OK;
}

static void
fill_tiers(struct sql_rows *rows)
{
    struct tiers t = {.rows = rows};
    if (parts_each(rows, tiers_part, &t) == LUMA_OK)
        tiers_emit(&t);
}

static struct sql_virtual tables[] = {
    {"lumadb",
     "segments",
     0,
     "table_id oid, table_name name, index_name name, kind text, object text, rows int8, "
     "deleted int8, bytes int8, level int4, damage text, place text, memory_bytes int8, "
     "kept_bytes int8, born timestamptz",
     fill_segments,
     0,
     NULL,
     {0}},
    {"lumadb",
     "tiers",
     0,
     "table_id oid, schema_name name, table_name name, storage_tier text, segments int8, "
     "cold_segments int8, rows int8, hot_bytes int8, memory_bytes int8, kept_bytes int8, "
     "data_bytes int8, cold_bytes int8, index_bytes int8",
     fill_tiers,
     0,
     NULL,
     {0}},
};

struct sql_virtual_list sql_lumadb_store = {tables, LUMA_COUNTOF(tables)};
