/*
 * storage/segment/writer.c - rows in, groups of chunks out, a footer at the end.
 *
 * Rows are kept as flat columns until a group is full; then every column is encoded by itself and
 * appended. Nothing of a group stays in memory but its 80 bytes a chunk of the footer.
 */
#include "sched/sched.h"
#include "storage/segment/segment_priv.h"

#define WRITER_ROOM_MIN 1024 /* rows */
#define GROUP_SHARE     64   /* of the memory budget */
#define GROUP_BYTES_MIN (512u << 10)
#define STEP_ROWS       256u

struct lk_segment_writer {
    struct lk_object_writer *object;
    const struct lk_formats *formats;
    struct luma_budget *budget;
    struct luma_arena *texts;      /* bytes of long strings of the group that fills */
    struct lki_write_col *columns; /* cols, then the specials */
    uint32_t cols, cols_all;
    struct lki_shredder *shredders; /* per column; those of jsonb and json columns are at work */
    uint32_t leaves;                /* of all of them */
    uint32_t rows;                  /* in the group that fills */
    uint32_t room;                  /* of the columns: small segments take little memory */
    uint32_t row_bytes;             /* of a row in the columns */
    size_t group_bytes_max;         /* a group of rows and texts of so many ends early */
    struct lk_segment_info info;
    struct lk_bytes group_rows; /* uint32_t each */
    struct lk_bytes chunks;     /* struct lki_chunk each */
    struct lk_bytes heap;
    size_t held_bytes;
};

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory to write a segment");
}

static luma_rc
column_init(struct luma_ctx *ctx, struct lk_segment_writer *writer, struct lki_write_col *column,
            uint32_t id, struct luma_type type)
{
    column->id = id;
    column->type = type;
    column->phys = (uint8_t)luma_type_phys(type);
    column->size = luma_phys_bytes((enum luma_phys)column->phys);
    column->room = writer->room;
    column->data = lk_alloc(writer->budget, (size_t)column->room * column->size);
    column->valid = lk_alloc(writer->budget, LK_GROUP_ROWS / 8);
    if (column->data == NULL || column->valid == NULL)
        return no_memory(ctx);
    memset(column->valid, 0xff, LK_GROUP_ROWS / 8);
    writer->held_bytes += (size_t)writer->room * column->size + LK_GROUP_ROWS / 8;
    writer->row_bytes += column->size;
    return LUMA_OK;
}

/* Room for four times the rows, up to a group. */
static luma_rc
grow_columns(struct luma_ctx *ctx, struct lk_segment_writer *writer)
{
    uint32_t room = LK_MIN(writer->room * 4, (uint32_t)LK_GROUP_ROWS);
    for (uint32_t i = 0; i < writer->cols_all; i++) {
        struct lki_write_col *column = &writer->columns[i];
        size_t old_bytes = (size_t)column->room * column->size;
        if (column->room == room)
            continue; /* grown before memory ran out */
        uint8_t *data =
            lk_resize(writer->budget, column->data, old_bytes, (size_t)room * column->size);
        if (data == NULL)
            return no_memory(ctx);
        column->data = data;
        column->room = room;
        writer->held_bytes += (size_t)room * column->size - old_bytes;
    }
    writer->room = room;
    return LUMA_OK;
}

/* A writer holds its group up to three times, as values, encoded and packed, and several write at
 * once; who reads the group later holds it, too. */
static size_t
group_bytes_max(void)
{
    size_t share = lk_budget_limit(NULL) / GROUP_SHARE;
    share = LK_MAX(share, (size_t)GROUP_BYTES_MIN);
    return LK_MIN(share, LKI_GROUP_BYTES);
}

static luma_rc
writer_init(struct luma_ctx *ctx, struct lk_segment_writer *writer,
            const struct luma_store_coll *def)
{
    writer->room = WRITER_ROOM_MIN;
    writer->group_bytes_max = group_bytes_max();
    writer->cols = def->cols_count;
    writer->cols_all = def->cols_count + LKI_SPECIALS;
    lk_bytes_init(&writer->group_rows, writer->budget);
    lk_bytes_init(&writer->chunks, writer->budget);
    lk_bytes_init(&writer->heap, writer->budget);
    writer->texts = lk_arena_create(writer->budget, (size_t)1 << 16);
    writer->columns = lk_zalloc(writer->budget, writer->cols_all * sizeof(*writer->columns));
    writer->shredders = lk_zalloc(writer->budget, writer->cols_all * sizeof(*writer->shredders));
    if (writer->texts == NULL || writer->columns == NULL || writer->shredders == NULL)
        return no_memory(ctx);
    for (uint32_t i = 0; i < writer->cols; i++)
        LUMA_TRY(column_init(ctx, writer, &writer->columns[i], def->cols[i].id, def->cols[i].type));
    for (uint32_t i = 0; i < LKI_SPECIALS; i++)
        LUMA_TRY(column_init(ctx, writer, &writer->columns[writer->cols + i], UINT32_MAX - i,
                             luma_type(LUMA_TYPE_INT8)));
    writer->info.coll_id = def->id;
    writer->info.rowid_min = INT64_MAX;
    writer->info.rowid_max = INT64_MIN;
    writer->info.commit_min = UINT64_MAX;
    return LUMA_OK;
}

static void
writer_free(struct lk_segment_writer *writer)
{
    struct luma_budget *budget = writer->budget;
    for (uint32_t i = 0; writer->shredders != NULL && i < writer->cols; i++)
        lki_shredder_fini(budget, &writer->shredders[i]);
    lk_free(budget, writer->shredders, writer->cols_all * sizeof(*writer->shredders));
    for (uint32_t i = 0; writer->columns != NULL && i < writer->cols_all; i++)
        lki_write_col_fini(budget, &writer->columns[i]);
    lk_free(budget, writer->columns, writer->cols_all * sizeof(*writer->columns));
    lk_bytes_fini(&writer->group_rows);
    lk_bytes_fini(&writer->chunks);
    lk_bytes_fini(&writer->heap);
    lk_arena_destroy(writer->texts);
    lk_free(budget, writer, sizeof(*writer));
}

static luma_rc
write_header(struct luma_ctx *ctx, struct lk_segment_writer *writer)
{
    struct lki_segment_header header = {.magic = LKI_SEGMENT_MAGIC,
                                        .version = LKI_SEGMENT_VERSION,
                                        .coll_id = writer->info.coll_id,
                                        .object_id = writer->object->id};
    header.crc = lk_crc32c(0, &header, offsetof(struct lki_segment_header, crc));
    return writer->object->base.append(ctx, &writer->object->base, &header, sizeof(header));
}

luma_rc
lk_segment_write_begin(struct luma_ctx *ctx, struct lk_objects *objects,
                       const struct lk_formats *formats, const struct luma_store_coll *def,
                       struct lk_segment_writer **out_writer)
{
    struct lk_segment_writer *writer = lk_zalloc(NULL, sizeof(*writer));
    if (writer == NULL)
        return no_memory(ctx);
    writer->formats = formats;
    luma_rc rc = def->cols_count > LKI_COLS_MAX
                     ? LUMA_FAIL(ctx, LUMA_E_LIMIT, "%u columns are more than a segment holds",
                                 def->cols_count)
                     : writer_init(ctx, writer, def);
    if (rc == LUMA_OK)
        rc = lk_object_create(ctx, objects, LK_OBJECT_SEGMENT, &writer->object);
    if (rc == LUMA_OK)
        rc = write_header(ctx, writer);
    if (rc != LUMA_OK) {
        lk_segment_write_abort(writer);
        return rc;
    }
    writer->info.object_id = writer->object->id;
    *out_writer = writer;
    return LUMA_OK;
}

void
lk_segment_write_abort(struct lk_segment_writer *writer)
{
    if (writer == NULL)
        return;
    lk_object_abort(writer->object);
    writer_free(writer);
}

size_t
lk_segment_write_bytes(const struct lk_segment_writer *writer)
{
    return writer->held_bytes + lk_arena_bytes(writer->texts);
}

void
lk_segment_write_level(struct lk_segment_writer *writer, uint32_t level)
{
    writer->info.level = level;
}

/* --- a full group --- */

/* Row ids that follow each other need no bytes. */
static bool
make_affine(struct lki_write_col *column, uint32_t rows)
{
    const int64_t *ids = (const int64_t *)(const void *)column->data;
    if (ids[rows - 1] - ids[0] != (int64_t)rows - 1)
        return false;
    struct lki_chunk *chunk = &column->out.chunk;
    memset(chunk, 0, sizeof(*chunk));
    memset(column->out.sketch, 0, sizeof(column->out.sketch));
    column->out.data = NULL;
    chunk->phys = LUMA_PHYS_I64;
    chunk->flags = LKI_CHUNK_AFFINE | LKI_CHUNK_MIN | LKI_CHUNK_MAX;
    chunk->distinct = rows;
    chunk->min.i64 = ids[0];
    chunk->max.i64 = ids[rows - 1];
    return true;
}

/* Columns in the order of the footer: the table's, the leaves of those that are shredded, the
 * specials. */
static struct lki_write_col *
column_at(struct lk_segment_writer *writer, uint32_t i)
{
    if (i < writer->cols)
        return &writer->columns[i];
    i -= writer->cols;
    if (i >= writer->leaves)
        return &writer->columns[writer->cols + i - writer->leaves];
    uint32_t k = 0;
    while (i >= writer->shredders[k].leaves_count)
        i -= writer->shredders[k++].leaves_count;
    return &writer->shredders[k].leaves[i];
}

static uint32_t
columns_count(const struct lk_segment_writer *writer)
{
    return writer->cols_all + writer->leaves;
}

static luma_rc
encode_column(struct luma_ctx *ctx, struct lk_segment_writer *writer, uint32_t i)
{
    struct lki_write_col *column = column_at(writer, i);
    struct luma_vec vec = {.type = column->type,
                           .phys = column->phys,
                           .form = LUMA_VEC_FLAT,
                           .scale = column->type.id == LUMA_TYPE_NUMERIC ? column->type.scale
                                                                         : (int16_t)0,
                           .data = column->data,
                           .valid = column->has_nulls ? column->valid : NULL};
    if (column == &writer->columns[writer->cols + LKI_ROWID] && make_affine(column, writer->rows))
        return LUMA_OK;
    LUMA_TRY(
        lki_chunk_make(ctx, writer->formats, writer->budget, &vec, writer->rows, &column->out));
    column->out.chunk.marks = column->marks;
    return LUMA_OK;
}

static luma_rc
encode_part(void *arg, uint32_t part, struct luma_ctx *ctx)
{
    return encode_column(ctx, arg, part);
}

static luma_rc
encode_group(struct luma_ctx *ctx, struct lk_segment_writer *writer)
{
    if (writer->rows >= LK_GROUP_ROWS / 4 && lk_sched_host.in_task() && lk_sched_host.workers() > 1)
        return lk_sched_host.parallel(ctx, columns_count(writer), encode_part, writer);
    for (uint32_t i = 0; i < columns_count(writer); i++)
        LUMA_TRY(encode_column(ctx, writer, i));
    return LUMA_OK;
}

/* Strings of bounds go to the heap: their places are what the chunk keeps. */
static bool
heap_text(struct lk_segment_writer *writer, const struct luma_str *s, union lki_bound *out)
{
    memset(out, 0, sizeof(*out));
    out->heap.at = (uint32_t)writer->heap.bytes;
    out->heap.bytes_count = s->bytes;
    return lk_bytes_append(&writer->heap, luma_str_data(s), s->bytes);
}

static luma_rc
append_chunk(struct luma_ctx *ctx, struct lk_segment_writer *writer, struct lki_write_col *column)
{
    static const uint8_t zeros[LKI_ALIGN];
    struct luma_object_writer *object = &writer->object->base;
    struct lki_chunk *chunk = &column->out.chunk;

    if (column->phys == LUMA_PHYS_STR) {
        bool fits = true;
        if ((chunk->flags & (LKI_CHUNK_MIN | LKI_CHUNK_CONST)) != 0)
            fits = heap_text(writer, &column->out.text_min, &chunk->min);
        if (fits && (chunk->flags & LKI_CHUNK_MAX) != 0)
            fits = heap_text(writer, &column->out.text_max, &chunk->max);
        if (!fits || writer->heap.bytes > UINT32_MAX / 2)
            return no_memory(ctx);
    }
    chunk->offset = object->offset(object);
    if (column->out.data != NULL) {
        LUMA_TRY(object->append(ctx, object, column->out.data, chunk->stored_bytes));
        size_t pad = lk_align_up(chunk->stored_bytes, 16) - chunk->stored_bytes;
        LUMA_TRY(object->append(ctx, object, zeros, pad));
    }
    column->nulls_all += chunk->nulls;
    column->text_bytes_all += column->out.text_bytes;
    lk_sketch_merge(column->sketch, column->out.sketch);
    return lk_bytes_append(&writer->chunks, chunk, sizeof(*chunk)) ? LUMA_OK : no_memory(ctx);
}

/* Documents of the group are taken apart; the first group decides which fields get columns. */
static luma_rc
shred_group(struct luma_ctx *ctx, struct lk_segment_writer *writer)
{
    bool first = writer->group_rows.bytes == 0;
    for (uint32_t i = 0; i < writer->cols; i++) {
        struct lki_write_col *column = &writer->columns[i];
        if (column->type.id != LUMA_TYPE_JSONB && column->type.id != LUMA_TYPE_JSON)
            continue;
        struct lki_shredder *shredder = &writer->shredders[i];
        if (first) {
            LUMA_TRY(lki_shredder_learn(ctx, writer->budget, column, writer->texts, writer->rows,
                                        shredder));
            writer->leaves += shredder->leaves_count;
        }
        if (shredder->leaves_count > 0)
            LUMA_TRY(lki_shredder_split(ctx, writer->budget, writer->texts, column, writer->rows,
                                        shredder));
    }
    return LUMA_OK;
}

static luma_rc
flush_group(struct luma_ctx *ctx, struct lk_segment_writer *writer)
{
    if (writer->rows == 0)
        return LUMA_OK;
    LUMA_TRY(shred_group(ctx, writer));
    LUMA_TRY(encode_group(ctx, writer));
    for (uint32_t i = 0; i < columns_count(writer); i++)
        LUMA_TRY(append_chunk(ctx, writer, column_at(writer, i)));
    if (!lk_bytes_u32(&writer->group_rows, writer->rows))
        return no_memory(ctx);
    for (uint32_t i = 0; i < writer->cols_all; i++) {
        struct lki_write_col *column = &writer->columns[i];
        if (column->has_nulls)
            memset(column->valid, 0xff, LK_GROUP_ROWS / 8);
        column->has_nulls = false;
        column->text_bytes = 0;
    }
    writer->texts->reset(writer->texts);
    writer->rows = 0;
    return LUMA_OK;
}

/* --- rows --- */

static bool
keep_string(struct lk_segment_writer *writer, const struct luma_str *s, struct luma_str *out)
{
    if (s->bytes <= LUMA_STR_INLINE_MAX) {
        *out = *s;
        return true;
    }
    char *copy = luma_arena_alloc_aligned(writer->texts, s->bytes, 1);
    if (copy == NULL)
        return false;
    memcpy(copy, s->ptr, s->bytes);
    *out = luma_str_make(copy, s->bytes);
    return true;
}

static bool
take_strings(struct lk_segment_writer *writer, struct lki_write_col *column,
             const struct luma_vec *vec, const struct luma_batch *batch, uint32_t from, uint32_t n)
{
    struct luma_str *out = (struct luma_str *)(void *)column->data + writer->rows;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t row = luma_batch_row(batch, from + k);
        if (luma_vec_is_null(vec, row)) {
            memset(&out[k], 0, sizeof(out[k]));
            continue;
        }
        const struct luma_str *s = luma_vec_at(vec, row);
        column->text_bytes += s->bytes;
        if (!keep_string(writer, s, &out[k]))
            return false;
    }
    return true;
}

static void
take_fixed(struct lk_segment_writer *writer, struct lki_write_col *column,
           const struct luma_vec *vec, const struct luma_batch *batch, uint32_t from, uint32_t n)
{
    uint32_t size = column->size;
    uint8_t *out = column->data + (size_t)writer->rows * size;
    if (vec->form == LUMA_VEC_FLAT && batch->sel == NULL) {
        memcpy(out, (const uint8_t *)vec->data + (size_t)from * size, (size_t)n * size);
        return;
    }
    for (uint32_t k = 0; k < n; k++)
        memcpy(out + (size_t)k * size, luma_vec_at(vec, luma_batch_row(batch, from + k)), size);
}

static void
take_nulls(struct lk_segment_writer *writer, struct lki_write_col *column,
           const struct luma_vec *vec, const struct luma_batch *batch, uint32_t from, uint32_t n)
{
    if (vec->valid == NULL)
        return;
    for (uint32_t k = 0; k < n; k++) {
        if (!luma_vec_is_null(vec, luma_batch_row(batch, from + k)))
            continue;
        luma_bit_clear(column->valid, writer->rows + k);
        column->has_nulls = true;
    }
}

static luma_rc
take_columns(struct luma_ctx *ctx, struct lk_segment_writer *writer, const struct luma_batch *batch,
             uint32_t from, uint32_t n)
{
    for (uint32_t i = 0; i < writer->cols; i++) {
        struct lki_write_col *column = &writer->columns[i];
        const struct luma_vec *vec = &batch->cols[i];
        if (vec->phys != column->phys)
            return LUMA_FAIL(ctx, LUMA_E_INTERNAL,
                             "column %u comes in physical form %u, its type has %u", column->id,
                             vec->phys, column->phys);
        take_nulls(writer, column, vec, batch, from, n);
        if (column->phys != LUMA_PHYS_STR)
            take_fixed(writer, column, vec, batch, from, n);
        else if (!take_strings(writer, column, vec, batch, from, n))
            return no_memory(ctx);
    }
    return LUMA_OK;
}

struct numbers {
    const int64_t *rowids;
    int64_t rowid_base;
    const uint64_t *begins;
    uint64_t begin;
    const uint64_t *ends;
};

static luma_rc
take_numbers(struct luma_ctx *ctx, struct lk_segment_writer *writer, const struct numbers *nums,
             uint32_t from, uint32_t n)
{
    struct lki_write_col *special = &writer->columns[writer->cols];
    int64_t *ids = (int64_t *)(void *)special[LKI_ROWID].data + writer->rows;
    uint64_t *begins = (uint64_t *)(void *)special[LKI_BEGIN].data + writer->rows;
    uint64_t *ends = (uint64_t *)(void *)special[LKI_END].data + writer->rows;

    for (uint32_t k = 0; k < n; k++) {
        int64_t id =
            nums->rowids == NULL ? nums->rowid_base + (int64_t)(from + k) : nums->rowids[from + k];
        if (id <= writer->info.rowid_max && writer->info.rows > 0)
            return LUMA_FAIL(ctx, LUMA_E_INTERNAL, "row ids of a segment must ascend");
        uint64_t begin = nums->begins == NULL ? nums->begin : nums->begins[from + k];
        ids[k] = id;
        begins[k] = begin;
        ends[k] = nums->ends == NULL ? 0 : nums->ends[from + k];
        writer->info.rowid_min = LK_MIN(writer->info.rowid_min, id);
        writer->info.rowid_max = id;
        writer->info.commit_min = LK_MIN(writer->info.commit_min, begin);
        writer->info.commit_max = LK_MAX(writer->info.commit_max, begin);
        writer->info.rows++;
    }
    return LUMA_OK;
}

static size_t
group_bytes(const struct lk_segment_writer *writer)
{
    size_t bytes = (size_t)writer->rows * writer->row_bytes;
    for (uint32_t i = 0; i < writer->cols; i++)
        bytes += writer->columns[i].text_bytes;
    return bytes;
}

/* How many of n rows, STEP_ROWS at most, the group takes until it is full: one at least. */
static uint32_t
rows_that_fit(const struct lk_segment_writer *writer, const struct luma_batch *batch, uint32_t from,
              uint32_t n)
{
    size_t bytes[STEP_ROWS], sum = group_bytes(writer);
    for (uint32_t k = 0; k < n; k++)
        bytes[k] = writer->row_bytes;
    for (uint32_t i = 0; i < writer->cols; i++) {
        const struct luma_vec *vec = &batch->cols[i];
        for (uint32_t k = 0; vec->phys == LUMA_PHYS_STR && k < n; k++) {
            uint32_t row = luma_batch_row(batch, from + k);
            if (!luma_vec_is_null(vec, row))
                bytes[k] += ((const struct luma_str *)luma_vec_at(vec, row))->bytes;
        }
    }
    for (uint32_t k = 0; k < n; k++) {
        sum += bytes[k];
        if (sum >= writer->group_bytes_max)
            return k + 1;
    }
    return n;
}

luma_rc
lk_segment_write_append(struct luma_ctx *ctx, struct lk_segment_writer *writer,
                        const struct luma_batch *batch, const int64_t *rowids, int64_t rowid_base,
                        const uint64_t *begins, uint64_t begin, const uint64_t *ends)
{
    const struct numbers nums = {rowids, rowid_base, begins, begin, ends};
    for (uint32_t from = 0; from < batch->sel_rows;) {
        uint32_t n = LK_MIN(batch->sel_rows - from, LK_GROUP_ROWS - writer->rows);
        n = rows_that_fit(writer, batch, from, LK_MIN(n, STEP_ROWS));
        if (writer->rows + n > writer->room)
            LUMA_TRY(grow_columns(ctx, writer));
        LUMA_TRY(take_columns(ctx, writer, batch, from, n));
        LUMA_TRY(take_numbers(ctx, writer, &nums, from, n));
        writer->rows += n;
        from += n;
        if (writer->rows == LK_GROUP_ROWS || group_bytes(writer) >= writer->group_bytes_max)
            LUMA_TRY(flush_group(ctx, writer));
    }
    return LUMA_OK;
}

/* --- the footer --- */

/* Few registers are set in a small segment: pairs of (index, value), else all of them. */
static bool
heap_sketch(struct lk_segment_writer *writer, const uint8_t *registers, struct lki_segment_col *col)
{
    uint32_t set = 0;
    for (uint32_t i = 0; i < LKI_SKETCH_REGISTERS; i++)
        set += registers[i] != 0;
    bool fits = true;
    col->sketch_at = (uint32_t)writer->heap.bytes;
    if (set * 3 >= LKI_SKETCH_REGISTERS)
        fits = lk_bytes_append(&writer->heap, registers, LKI_SKETCH_REGISTERS);
    for (uint32_t i = 0; set * 3 < LKI_SKETCH_REGISTERS && i < LKI_SKETCH_REGISTERS; i++)
        if (registers[i] != 0)
            fits = fits && lk_bytes_u16(&writer->heap, (uint16_t)i) &&
                   lk_bytes_u8(&writer->heap, registers[i]);
    col->sketch_bytes = (uint32_t)writer->heap.bytes - col->sketch_at;
    return fits;
}

static bool
footer_columns(struct lk_segment_writer *writer, struct lk_bytes *footer)
{
    for (uint32_t i = 0; i < columns_count(writer); i++) {
        const struct lki_write_col *column = column_at(writer, i);
        struct lki_segment_col col = {.id = column->id,
                                      .role = column->role,
                                      .type_id = column->type.id,
                                      .type_elem = column->type.elem,
                                      .type_scale = column->type.scale,
                                      .type_mod = column->type.mod,
                                      .phys = column->phys,
                                      .nulls = column->nulls_all,
                                      .text_bytes = column->text_bytes_all};
        if (i < writer->cols + writer->leaves && !heap_sketch(writer, column->sketch, &col))
            return false;
        col.path_at = (uint32_t)writer->heap.bytes;
        col.path_bytes = (uint32_t)column->path.bytes;
        if (!lk_bytes_slice(&writer->heap, column->path))
            return false;
        if (!lk_bytes_append(footer, &col, sizeof(col)))
            return false;
    }
    return true;
}

static bool
footer_make(struct lk_segment_writer *writer, struct lk_bytes *footer)
{
    const struct lk_segment_info *info = &writer->info;
    struct lki_segment_footer head = {.coll_id = info->coll_id,
                                      .rows = info->rows,
                                      .rowid_min = info->rowid_min,
                                      .rowid_max = info->rowid_max,
                                      .commit_min = info->commit_min,
                                      .commit_max = info->commit_max,
                                      .level = info->level,
                                      .groups = (uint32_t)(writer->group_rows.bytes / 4),
                                      .cols = writer->cols + writer->leaves};
    if (!lk_bytes_append(footer, &head, sizeof(head)) || !footer_columns(writer, footer) ||
        !lk_bytes_slice(footer, lk_bytes_view(&writer->group_rows)))
        return false;
    if ((head.groups & 1) != 0 && !lk_bytes_u32(footer, 0))
        return false;
    head.heap_bytes = (uint32_t)writer->heap.bytes;
    memcpy(footer->data, &head, sizeof(head));
    return lk_bytes_slice(footer, lk_bytes_view(&writer->chunks)) &&
           lk_bytes_slice(footer, lk_bytes_view(&writer->heap));
}

static luma_rc
write_footer(struct luma_ctx *ctx, struct lk_segment_writer *writer)
{
    struct luma_object_writer *object = &writer->object->base;
    struct lk_bytes footer;
    struct lki_segment_tail tail = {.footer_offset = object->offset(object),
                                    .version = LKI_SEGMENT_VERSION,
                                    .magic = LKI_SEGMENT_MAGIC_END};

    lk_bytes_init(&footer, writer->budget);
    luma_rc rc =
        footer_make(writer, &footer) && footer.bytes < UINT32_MAX ? LUMA_OK : no_memory(ctx);
    if (rc == LUMA_OK)
        rc = object->append(ctx, object, footer.data, footer.bytes);
    if (rc == LUMA_OK) {
        tail.footer_bytes = (uint32_t)footer.bytes;
        tail.footer_crc = lk_crc32c(0, footer.data, footer.bytes);
        tail.crc = lk_crc32c(0, &tail, offsetof(struct lki_segment_tail, crc));
        rc = object->append(ctx, object, &tail, sizeof(tail));
    }
    lk_bytes_fini(&footer);
    return rc;
}

luma_rc
lk_segment_write_end(struct luma_ctx *ctx, struct lk_segment_writer *writer,
                     struct lk_segment_info *out_info)
{
    luma_rc rc = flush_group(ctx, writer);
    if (rc == LUMA_OK && writer->info.rows == 0) {
        writer->info.rowid_min = 0;
        writer->info.rowid_max = -1;
        writer->info.commit_min = 0;
    }
    if (rc == LUMA_OK)
        rc = write_footer(ctx, writer);
    if (rc != LUMA_OK) {
        lk_segment_write_abort(writer);
        return rc;
    }
    rc = lk_object_finish(ctx, LUMA_TAKE(writer->object), &writer->info.bytes);
    if (rc == LUMA_OK)
        *out_info = writer->info;
    writer_free(writer);
    return rc;
}
