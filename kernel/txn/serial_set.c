/*
 * txn/serial_set.c - what a serializable transaction has read and written.
 *
 * Reads are predicates: a range of an index, conditions on columns, or both. Writes are the
 * contents of the versions that were made or ended. Many of either widen to the whole collection:
 * that costs others an abort now and then, never this one its memory.
 */
#include <stdlib.h>

#include "txn/serial.h"

#define READS_MAX  4096u       /* predicates a transaction remembers of one collection */
#define WRITES_MAX 4096u       /* versions a transaction remembers of one collection */
#define BYTES_MAX  (16u << 20) /* of both, in a transaction */

struct lki_serial_read_item {
    struct lki_serial_read_item *next;
    struct lk_cidx *cidx; /* held; NULL: no range */
    struct lk_bytes lo, hi;
    bool lo_exclusive, hi_exclusive;
    uint32_t preds_count;
    uint32_t *col_ids;       /* per predicate */
    struct luma_pred *preds; /* values are copies */
    size_t bytes;
};

struct lki_serial_write_item {
    struct lki_serial_write_item *next;
    struct lk_def *def; /* held */
    size_t bytes;
    uint8_t tuple[];
};

struct lki_serial_coll {
    struct lki_serial_coll *next;
    uint64_t id;
    bool all_read, all_written;
    uint32_t reads_count, writes_count;
    struct lki_serial_read_item *reads;
    struct lki_serial_write_item *writes;
};

/* --- items --- */

/* Values and the bytes of long strings, in one piece. */
static struct luma_value *
values_copy(const struct luma_pred *pred, size_t *out_bytes)
{
    size_t bytes = pred->values_count * sizeof(struct luma_value);
    for (uint32_t i = 0; i < pred->values_count; i++) {
        const struct luma_value *v = &pred->values[i];
        if (!v->is_null && v->phys == LUMA_PHYS_STR && v->str.bytes > LUMA_STR_INLINE_MAX)
            bytes += v->str.bytes;
    }
    struct luma_value *values = malloc(bytes + 1);
    if (values == NULL)
        return NULL;
    char *to = (char *)(values + pred->values_count);
    for (uint32_t i = 0; i < pred->values_count; i++) {
        struct luma_value *v = &values[i];
        *v = pred->values[i];
        if (v->is_null || v->phys != LUMA_PHYS_STR || v->str.bytes <= LUMA_STR_INLINE_MAX)
            continue;
        memcpy(to, v->str.ptr, v->str.bytes);
        v->str = luma_str_make(to, v->str.bytes);
        to += v->str.bytes;
    }
    *out_bytes = bytes;
    return values;
}

static bool
preds_copy(struct lki_serial_read_item *item, const struct luma_scan_spec *spec)
{
    if (spec == NULL || spec->preds_count == 0)
        return true;
    item->preds = calloc(spec->preds_count, sizeof(*item->preds));
    item->col_ids = calloc(spec->preds_count, sizeof(*item->col_ids));
    if (item->preds == NULL || item->col_ids == NULL)
        return false;
    item->bytes += spec->preds_count * (sizeof(*item->preds) + sizeof(*item->col_ids));
    for (uint32_t i = 0; i < spec->preds_count; i++) {
        const struct luma_pred *from = &spec->preds[i];
        size_t bytes = 0;
        /* A filter of a join stands for rows of another table: those may change as well. */
        if (from->op == LUMA_PRED_BLOOM)
            continue;
        struct luma_value *values = values_copy(from, &bytes);
        if (values == NULL)
            return false;
        struct luma_pred *to = &item->preds[item->preds_count];
        *to = *from;
        to->values = values;
        to->col = 0;
        item->col_ids[item->preds_count++] = spec->cols[from->col];
        item->bytes += bytes;
    }
    return true;
}

static bool
range_copy(struct lki_serial_read_item *item, struct lk_cidx *cidx,
           const struct luma_index_range *range)
{
    lk_bytes_init(&item->lo, NULL);
    lk_bytes_init(&item->hi, NULL);
    if (cidx == NULL || range == NULL)
        return true;
    lk_cidx_ref(cidx);
    item->cidx = cidx;
    item->lo_exclusive = range->lo_exclusive;
    item->hi_exclusive = range->hi_exclusive;
    item->bytes += range->lo.bytes + range->hi.bytes;
    return lk_bytes_slice(&item->lo, range->lo) && lk_bytes_slice(&item->hi, range->hi);
}

struct lki_serial_read_item *
lki_serial_read_new(struct lk_cidx *cidx, const struct luma_index_range *range,
                    const struct luma_scan_spec *spec)
{
    struct lki_serial_read_item *item = calloc(1, sizeof(*item));
    if (item == NULL)
        return NULL;
    item->bytes = sizeof(*item);
    if (range_copy(item, cidx, range) && preds_copy(item, spec) &&
        (item->cidx != NULL || item->preds_count > 0))
        return item;
    lki_serial_read_free(item); /* no condition at all: the collection */
    return NULL;
}

void
lki_serial_read_free(struct lki_serial_read_item *item)
{
    while (item != NULL) {
        struct lki_serial_read_item *next = item->next;
        lk_bytes_fini(&item->lo);
        lk_bytes_fini(&item->hi);
        lk_cidx_unref(item->cidx);
        for (uint32_t i = 0; i < item->preds_count; i++)
            free((void *)(uintptr_t)item->preds[i].values);
        free(item->preds);
        free(item->col_ids);
        free(item);
        item = next;
    }
}

struct lki_serial_write_item *
lki_serial_write_new(struct lk_def *def, struct luma_slice tuple)
{
    struct lki_serial_write_item *item = malloc(sizeof(*item) + tuple.bytes);
    if (item == NULL)
        return NULL;
    item->next = NULL;
    item->bytes = sizeof(*item) + tuple.bytes;
    item->def = def;
    lk_def_ref(def);
    memcpy(item->tuple, tuple.data, tuple.bytes);
    return item;
}

void
lki_serial_write_free(struct lki_serial_write_item *item)
{
    while (item != NULL) {
        struct lki_serial_write_item *next = item->next;
        lk_def_unref(item->def);
        free(item);
        item = next;
    }
}

/* --- does a row satisfy a predicate? When in doubt it does. --- */

/* Of a key and a bound that may be a prefix. */
static int
bound_compare(struct luma_slice key, struct luma_slice bound)
{
    size_t n = LK_MIN(key.bytes, bound.bytes);
    int c = n == 0 ? 0 : memcmp(key.data, bound.data, n);
    return c != 0 ? c : key.bytes < bound.bytes ? -1 : 0;
}

static bool
in_range(const struct lki_serial_read_item *item, const struct lki_serial_write_item *row)
{
    struct lk_bytes key;
    bool null = false, in = true;
    lk_bytes_init(&key, NULL);
    if (lk_key_tuple(&key, row->def, item->cidx, row->tuple, &null) == LUMA_OK) {
        if (item->lo.bytes > 0) {
            int c = bound_compare(lk_bytes_view(&key), lk_bytes_view(&item->lo));
            in = item->lo_exclusive ? c > 0 : c >= 0;
        }
        if (in && item->hi.bytes > 0) {
            int c = bound_compare(lk_bytes_view(&key), lk_bytes_view(&item->hi));
            in = item->hi_exclusive ? c < 0 : c <= 0;
        }
    }
    lk_bytes_fini(&key);
    return in;
}

static bool
satisfies(const struct luma_pred *pred, uint32_t col_id, const struct lki_serial_write_item *row)
{
    int32_t at = lk_def_col(row->def, col_id);
    if (at < 0)
        return true; /* the column came or went meanwhile */
    const struct luma_store_col *col = &row->def->coll.cols[at];
    struct luma_value value;
    memset(&value, 0, sizeof(value));
    value.type = col->type;
    value.phys = (uint8_t)luma_type_phys(col->type);
    enum lk_tuple_found found = lk_tuple_get(row->tuple, col_id, col->type, &value);
    if (found == LK_TUPLE_MISSING)
        value = col->missing;
    value.is_null = value.is_null || found == LK_TUPLE_NULL;
    for (uint32_t i = 0; i < pred->values_count; i++)
        if (pred->values[i].type.id != col->type.id)
            return true;
    uint64_t valid;
    uint16_t sel[LUMA_BATCH_ROWS];
    struct luma_vec vec = lk_vec_of(&value, &valid);
    struct luma_scan_spec spec = {.preds = pred, .preds_count = 1};
    struct luma_batch batch = {.rows = 1, .sel_rows = 1, .cols_count = 1, .cols = &vec};
    return lki_preds_apply(&spec, &batch, sel) > 0;
}

static bool
falls_into(const struct lki_serial_read_item *item, const struct lki_serial_write_item *row)
{
    if (item->cidx != NULL && !in_range(item, row))
        return false;
    for (uint32_t i = 0; i < item->preds_count; i++)
        if (!satisfies(&item->preds[i], item->col_ids[i], row))
            return false;
    return true;
}

/* --- sets --- */

static struct lki_serial_coll *
coll_find(const struct lki_serial_sets *sets, uint64_t coll_id)
{
    struct lki_serial_coll *coll = sets->colls;
    while (coll != NULL && coll->id != coll_id)
        coll = coll->next;
    return coll;
}

bool
lki_serial_reads(const struct lki_serial_read_item *item, const struct lki_serial_sets *writer,
                 uint64_t coll_id)
{
    const struct lki_serial_coll *coll = coll_find(writer, coll_id);
    if (coll == NULL || (!coll->all_written && coll->writes == NULL))
        return false;
    if (coll->all_written || item == NULL)
        return true;
    for (const struct lki_serial_write_item *w = coll->writes; w != NULL; w = w->next)
        if (falls_into(item, w))
            return true;
    return false;
}

bool
lki_serial_writes(const struct lki_serial_write_item *item, const struct lki_serial_sets *reader,
                  uint64_t coll_id)
{
    const struct lki_serial_coll *coll = coll_find(reader, coll_id);
    if (coll == NULL || (!coll->all_read && coll->reads == NULL))
        return false;
    if (coll->all_read || item == NULL)
        return true;
    for (const struct lki_serial_read_item *r = coll->reads; r != NULL; r = r->next)
        if (falls_into(r, item))
            return true;
    return false;
}

static struct lki_serial_coll *
coll_need(struct lki_serial_sets *sets, uint64_t coll_id)
{
    struct lki_serial_coll *coll = coll_find(sets, coll_id);
    if (coll == NULL && (coll = calloc(1, sizeof(*coll))) != NULL) {
        coll->id = coll_id;
        coll->next = sets->colls;
        sets->colls = coll;
    }
    return coll;
}

bool
lki_serial_add_read(struct lki_serial_sets *sets, uint64_t coll_id,
                    struct lki_serial_read_item *item, struct lki_serial_read_item **out_freed)
{
    struct lki_serial_coll *coll = coll_need(sets, coll_id);
    *out_freed = item;
    if (coll == NULL)
        return false;
    if (coll->all_read)
        return true;
    if (item != NULL && coll->reads_count < READS_MAX && sets->bytes + item->bytes <= BYTES_MAX) {
        *out_freed = NULL;
        item->next = coll->reads;
        coll->reads = item;
        coll->reads_count++;
        sets->bytes += item->bytes;
        return true;
    }
    if (item != NULL)
        item->next = coll->reads;
    else
        *out_freed = coll->reads;
    for (struct lki_serial_read_item *r = coll->reads; r != NULL; r = r->next)
        sets->bytes -= r->bytes;
    coll->reads = NULL;
    coll->reads_count = 0;
    coll->all_read = true;
    return true;
}

bool
lki_serial_add_write(struct lki_serial_sets *sets, uint64_t coll_id,
                     struct lki_serial_write_item *item, struct lki_serial_write_item **out_freed)
{
    struct lki_serial_coll *coll = coll_need(sets, coll_id);
    *out_freed = item;
    if (coll == NULL)
        return false;
    if (coll->all_written)
        return true;
    if (item != NULL && coll->writes_count < WRITES_MAX && sets->bytes + item->bytes <= BYTES_MAX) {
        *out_freed = NULL;
        item->next = coll->writes;
        coll->writes = item;
        coll->writes_count++;
        sets->bytes += item->bytes;
        return true;
    }
    if (item != NULL)
        item->next = coll->writes;
    else
        *out_freed = coll->writes;
    for (struct lki_serial_write_item *w = coll->writes; w != NULL; w = w->next)
        sets->bytes -= w->bytes;
    coll->writes = NULL;
    coll->writes_count = 0;
    coll->all_written = true;
    return true;
}

void
lki_serial_sets_fini(struct lki_serial_sets *sets)
{
    while (sets->colls != NULL) {
        struct lki_serial_coll *coll = sets->colls;
        sets->colls = coll->next;
        lki_serial_read_free(coll->reads);
        lki_serial_write_free(coll->writes);
        free(coll);
    }
    sets->bytes = 0;
}
