/*
 * spill.c - spools: blocks of columns in a temporary file.
 *
 * A block: values of each column (fixed width, strings as their 16-byte views with an offset in the
 * pointer's place), then a bit per row and column for nulls, then the text of long strings.
 */
#include "spill.h"

#include <lumadb/host/temp.h>

#define ALIGN      ((size_t)16)
#define TEXT_SHARE 1024 /* of the memory there is: partitions and runs have a block each */
#define TEXT_MIN   ((size_t)16 << 10)
#define TEXT_MAX   ((size_t)256 << 10)

static size_t
aligned(size_t bytes)
{
    return (bytes + ALIGN - 1) & ~(ALIGN - 1);
}

/* --- when --- */

static size_t
left_of(const struct luma_budget *budget)
{
    size_t limit = eng.mem->limit_bytes(budget), used = eng.mem->used_bytes(budget);
    return limit == SIZE_MAX ? SIZE_MAX : used >= limit ? 0 : limit - used;
}

/* The statement's own limit, or the server's, whichever is nearer. */
static size_t
memory_left(const struct exec *x)
{
    size_t mine = x->budget == NULL ? SIZE_MAX : left_of(x->budget);
    size_t all = left_of(eng.mem->root());
    return mine < all ? mine : all;
}

bool
eng_spill_due(const struct exec *x, size_t mine)
{
    return eng.temp != NULL && mine >= SPILL_SMALL_BYTES && mine > memory_left(x) / 2;
}

size_t
eng_spill_share(const struct exec *x, uint32_t parts)
{
    size_t left = memory_left(x);
    return left == SIZE_MAX ? left : left / 2 / (parts == 0 ? 1 : parts);
}

static luma_rc
spill_file(struct luma_ctx *ctx, struct spill *spill, struct luma_temp **out)
{
    *out = __atomic_load_n(&spill->file, __ATOMIC_ACQUIRE);
    if (*out != NULL)
        return LUMA_OK;
    LUMA_TRY(eng.sched->mutex_lock(ctx, &spill->lock));
    luma_rc rc = LUMA_OK;
    *out = __atomic_load_n(&spill->file, __ATOMIC_ACQUIRE);
    if (*out == NULL) {
        rc = eng.temp->create(ctx, out);
        if (rc == LUMA_OK)
            __atomic_store_n(&spill->file, *out, __ATOMIC_RELEASE);
    }
    eng.sched->mutex_unlock(&spill->lock);
    return rc;
}

void
eng_spill_close(struct exec *x, struct spill *spill)
{
    if (spill->file == NULL)
        return;
    uint64_t bytes = eng.temp->bytes(spill->file);
    __atomic_fetch_add(&x->root->spilled, bytes, __ATOMIC_RELAXED);
    eng.temp->close(spill->file);
    spill->file = NULL;
    spill->gone += bytes;
}

uint64_t
eng_spill_bytes(const struct spill *spill)
{
    return spill->gone + (spill->file == NULL ? 0 : eng.temp->bytes(spill->file));
}

/* --- writing --- */

void
eng_spool_init(struct spool *s, struct spill *spill, struct luma_budget *budget,
               const struct luma_type *types, uint32_t cols, uint32_t block_rows)
{
    memset(s, 0, sizeof(*s));
    s->spill = spill;
    s->budget = budget;
    s->types = types;
    s->cols = cols;
    s->block_rows = block_rows;
    size_t full = eng.mem->limit_bytes(budget) / TEXT_SHARE;
    s->text_full = (uint32_t)(full < TEXT_MIN ? TEXT_MIN : full > TEXT_MAX ? TEXT_MAX : full);
}

static uint32_t
col_bytes(const struct spool *s, uint32_t c)
{
    return luma_phys_bytes(luma_type_phys(s->types[c]));
}

static size_t
bits_bytes(uint32_t rows)
{
    return LUMA_BIT_WORDS(rows) * sizeof(uint64_t);
}

/* Bytes of a block of so many rows, text excluded. */
static size_t
fixed_bytes(const struct spool *s, uint32_t rows)
{
    size_t bytes = 0;
    for (uint32_t c = 0; c < s->cols; c++)
        bytes += aligned((size_t)rows * col_bytes(s, c)) + aligned(bits_bytes(rows));
    return bytes;
}

static luma_rc
fill_need(struct luma_ctx *ctx, struct spool *s)
{
    if (s->fill != NULL)
        return LUMA_OK;
    s->fill_bytes = fixed_bytes(s, s->block_rows) + ALIGN;
    s->fill = eng.mem->alloc(s->budget, s->fill_bytes);
    ENG_NEED(ctx, s->fill, "writing rows to disk");
    s->fill_rows = 0;
    return LUMA_OK;
}

static luma_rc
text_need(struct luma_ctx *ctx, struct spool *s, uint32_t more)
{
    if (s->text_room - s->text_bytes >= more)
        return LUMA_OK;
    if (more > UINT32_MAX / 4 || s->text_bytes > UINT32_MAX / 4)
        return ENG_NOMEM(ctx, "writing rows to disk");
    uint32_t need = s->text_bytes + more;
    uint32_t room = need < s->text_full / 2 ? need * 2 + 2048 : need + need / 4;
    char *text = eng.mem->resize(s->budget, s->text, s->text_room, room);
    ENG_NEED(ctx, text, "writing rows to disk");
    s->text = text;
    s->text_room = room;
    return LUMA_OK;
}

#define COPY(ctype)                                              \
    do {                                                         \
        ctype *to_ = (ctype *)(void *)base + s->fill_rows;       \
        const ctype *from_ = vec->data;                          \
        for (uint32_t k_ = 0; k_ < n; k_++)                      \
            to_[k_] = from_[is_const ? 0 : eng_sel_at(sel, k_)]; \
    } while (0)

static luma_rc
fill_strings(struct luma_ctx *ctx, struct spool *s, uint8_t *base, const struct luma_vec *vec,
             const uint16_t *sel, uint32_t n)
{
    struct luma_str *to = (struct luma_str *)(void *)base + s->fill_rows;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t row = eng_sel_at(sel, k);
        const struct luma_str *from = luma_vec_at(vec, row);
        if (luma_vec_is_null(vec, row)) {
            memset(&to[k], 0, sizeof(to[k]));
            continue;
        }
        to[k] = *from;
        if (from->bytes <= LUMA_STR_INLINE_MAX)
            continue;
        LUMA_TRY(text_need(ctx, s, from->bytes));
        memcpy(s->text + s->text_bytes, from->ptr, from->bytes);
        to[k].ptr = (const char *)(uintptr_t)s->text_bytes;
        s->text_bytes += from->bytes;
    }
    return LUMA_OK;
}

static void
fill_nulls(const struct spool *s, uint64_t *bits, const struct luma_vec *vec, const uint16_t *sel,
           uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        uint32_t at = s->fill_rows + k;
        if ((at & 63) == 0)
            bits[at >> 6] = 0;
        if (vec->valid == NULL || !luma_vec_is_null(vec, eng_sel_at(sel, k)))
            luma_bit_set(bits, at);
    }
}

static luma_rc
fill_column(struct luma_ctx *ctx, struct spool *s, uint32_t c, uint8_t *base,
            const struct luma_vec *vec, const uint16_t *sel, uint32_t n)
{
    bool is_const = vec->form == LUMA_VEC_CONST;
    if (luma_type_phys(s->types[c]) == LUMA_PHYS_STR)
        return fill_strings(ctx, s, base, vec, sel, n);
    if (is_const && luma_vec_is_null(vec, 0)) {
        uint32_t size = col_bytes(s, c);
        memset(base + (size_t)s->fill_rows * size, 0, (size_t)n * size);
        return LUMA_OK;
    }
    switch (col_bytes(s, c)) {
    case 0:
        break;
    case 1:
        COPY(uint8_t);
        break;
    case 2:
        COPY(uint16_t);
        break;
    case 4:
        COPY(uint32_t);
        break;
    case 8:
        COPY(uint64_t);
        break;
    default: {
        struct luma_str *to = (struct luma_str *)(void *)base + s->fill_rows;
        const struct luma_str *from = vec->data;
        for (uint32_t k = 0; k < n; k++)
            to[k] = from[is_const ? 0 : eng_sel_at(sel, k)];
        break;
    }
    }
    return LUMA_OK;
}

/* How many of n rows go into the block before its text is full: one at least. */
static uint32_t
rows_until_full(const struct spool *s, const struct luma_vec *vecs, const uint16_t *sel, uint32_t n)
{
    size_t text = s->text_bytes;
    uint32_t k = 0;
    do {
        for (uint32_t c = 0; c < s->cols; c++) {
            uint32_t row = eng_sel_at(sel, k);
            if (vecs[c].phys != LUMA_PHYS_STR || luma_vec_is_null(&vecs[c], row))
                continue;
            const struct luma_str *str = luma_vec_at(&vecs[c], row);
            text += str->bytes > LUMA_STR_INLINE_MAX ? str->bytes : 0;
        }
    } while (++k < n && text < s->text_full);
    return k;
}

luma_rc
eng_spool_append(struct xenv *e, struct spool *s, const struct luma_vec *vecs, const uint16_t *sel,
                 uint32_t n, uint32_t vec_rows)
{
    struct luma_vec few[16], *flat = few;
    uint16_t dense[LUMA_BATCH_ROWS];
    bool has_text = false;
    if (s->cols > LUMA_COUNTOF(few)) {
        flat = luma_arena_alloc(e->arena, sizeof(*flat) * s->cols);
        ENG_NEED(e->ctx, flat, "writing rows to disk");
    }
    for (uint32_t c = 0; c < s->cols; c++) {
        LUMA_TRY(eng_vec_table_form(e, s->types[c], &vecs[c], sel, n, vec_rows, &flat[c]));
        has_text = has_text || flat[c].phys == LUMA_PHYS_STR;
    }
    for (uint32_t done = 0; done < n;) {
        LUMA_TRY(fill_need(e->ctx, s));
        uint32_t room = s->block_rows - s->fill_rows, more = n - done < room ? n - done : room;
        const uint16_t *part = sel == NULL ? NULL : sel + done;
        if (sel == NULL && done > 0) {
            for (uint32_t k = 0; k < more; k++)
                dense[k] = (uint16_t)(done + k);
            part = dense;
        }
        if (has_text)
            more = rows_until_full(s, flat, part, more);
        uint8_t *base = s->fill;
        for (uint32_t c = 0; c < s->cols; c++) {
            LUMA_TRY(fill_column(e->ctx, s, c, base, &flat[c], part, more));
            base += aligned((size_t)s->block_rows * col_bytes(s, c));
            fill_nulls(s, (uint64_t *)(void *)base, &flat[c], part, more);
            base += aligned(bits_bytes(s->block_rows));
        }
        s->fill_rows += more;
        done += more;
        if (s->fill_rows == s->block_rows || s->text_bytes >= s->text_full)
            LUMA_TRY(eng_spool_flush(e->ctx, s));
    }
    s->rows += n;
    return LUMA_OK;
}

static luma_rc
block_room(struct luma_ctx *ctx, struct spool *s)
{
    if (s->count < s->room)
        return LUMA_OK;
    uint32_t room = s->room == 0 ? 8 : s->room * 2;
    struct spool_block *blocks =
        eng.mem->resize(s->budget, s->blocks, s->room * sizeof(*blocks), room * sizeof(*blocks));
    ENG_NEED(ctx, blocks, "writing rows to disk");
    s->blocks = blocks;
    s->room = room;
    return LUMA_OK;
}

/* Moves the columns together, so that a block that is not full is written as small as it is. */
static size_t
pack_columns(const struct spool *s)
{
    const uint8_t *from = s->fill;
    uint8_t *to = s->fill;
    for (uint32_t c = 0; c < s->cols; c++) {
        size_t size = (size_t)s->fill_rows * col_bytes(s, c), bits = bits_bytes(s->fill_rows);
        memmove(to, from, size);
        to += aligned(size);
        from += aligned((size_t)s->block_rows * col_bytes(s, c));
        memmove(to, from, bits);
        to += aligned(bits);
        from += aligned(bits_bytes(s->block_rows));
    }
    return (size_t)(to - s->fill);
}

luma_rc
eng_spool_flush(struct luma_ctx *ctx, struct spool *s)
{
    struct luma_temp *file;
    uint64_t offset, text_offset;
    if (s->fill_rows == 0)
        return LUMA_OK;
    LUMA_TRY(block_room(ctx, s));
    LUMA_TRY(spill_file(ctx, s->spill, &file));
    size_t bytes = s->fill_rows == s->block_rows ? fixed_bytes(s, s->block_rows) : pack_columns(s);
    if (s->text_bytes > 0) {
        /* Both pieces in one write: other parts write into the file, too. */
        size_t fixed = bytes;
        LUMA_TRY(text_need(ctx, s, (uint32_t)fixed));
        memmove(s->text + fixed, s->text, s->text_bytes);
        memcpy(s->text, s->fill, fixed);
        bytes += s->text_bytes;
        LUMA_TRY(eng.temp->write(ctx, file, s->text, bytes, &text_offset));
        offset = text_offset;
    } else {
        LUMA_TRY(eng.temp->write(ctx, file, s->fill, bytes, &offset));
    }
    const struct spool_block *last = s->count == 0 ? NULL : &s->blocks[s->count - 1];
    uint64_t first = last == NULL ? 0 : last->first + last->rows;
    s->blocks[s->count++] = (struct spool_block){offset, (uint32_t)bytes, s->fill_rows, first};
    s->bytes += bytes;
    s->fill_rows = s->text_bytes = 0;
    return LUMA_OK;
}

void
eng_spool_settle(struct spool *s)
{
    if (s->fill != NULL)
        eng.mem->release(s->budget, s->fill, s->fill_bytes);
    if (s->text != NULL)
        eng.mem->release(s->budget, s->text, s->text_room);
    s->fill = NULL;
    s->text = NULL;
    s->text_room = s->text_bytes = 0;
}

void
eng_spool_fini(struct spool *s)
{
    eng_spool_settle(s);
    if (s->blocks != NULL)
        eng.mem->release(s->budget, s->blocks, s->room * sizeof(*s->blocks));
    s->blocks = NULL;
    s->count = s->room = 0;
}

/* --- reading --- */

void
eng_spool_reader_init(struct spool_reader *r, const struct spool *s)
{
    memset(r, 0, sizeof(*r));
    r->spool = s;
}

static luma_rc
reader_room(struct luma_ctx *ctx, struct spool_reader *r, struct luma_arena *arena, size_t bytes)
{
    struct luma_budget *budget = r->spool->budget;
    if (r->cols == NULL) {
        r->cols = luma_arena_alloc(arena, sizeof(*r->cols) * (r->spool->cols + 1));
        ENG_NEED(ctx, r->cols, "reading rows from disk");
    }
    if (bytes <= r->buffer_bytes)
        return LUMA_OK;
    if (r->buffer != NULL)
        eng.mem->release(budget, r->buffer, r->buffer_bytes);
    r->buffer_bytes = 0;
    r->buffer = eng.mem->alloc(budget, bytes);
    ENG_NEED(ctx, r->buffer, "reading rows from disk");
    r->buffer_bytes = bytes;
    return LUMA_OK;
}

luma_rc
eng_spool_read(struct luma_ctx *ctx, struct spool_reader *r, struct luma_arena *arena,
               struct luma_batch **out)
{
    const struct spool *s = r->spool;
    *out = NULL;
    if (r->next == s->count)
        return LUMA_OK;
    const struct spool_block *block = &s->blocks[r->next];
    LUMA_TRY(reader_room(ctx, r, arena, block->bytes));
    LUMA_TRY(eng.temp->read(ctx, s->spill->file, r->buffer, block->bytes, block->offset));
    r->next++;
    const char *text = (const char *)r->buffer + fixed_bytes(s, block->rows);
    uint8_t *at = r->buffer;
    for (uint32_t c = 0; c < s->cols; c++) {
        struct luma_vec *vec = &r->cols[c];
        memset(vec, 0, sizeof(*vec));
        vec->type = s->types[c];
        vec->phys = (uint8_t)luma_type_phys(vec->type);
        vec->scale = vec->type.id == LUMA_TYPE_NUMERIC ? vec->type.scale : (int16_t)0;
        vec->data = at;
        at += aligned((size_t)block->rows * col_bytes(s, c));
        uint64_t *bits = (uint64_t *)(void *)at;
        at += aligned(bits_bytes(block->rows));
        bool nulls = eng.simd->bits_count(bits, block->rows) < block->rows;
        vec->valid = nulls ? bits : NULL;
        struct luma_str *str = vec->data;
        for (uint32_t i = 0; vec->phys == LUMA_PHYS_STR && i < block->rows; i++)
            if (str[i].bytes > LUMA_STR_INLINE_MAX)
                str[i].ptr = text + (uintptr_t)str[i].ptr;
    }
    r->batch = (struct luma_batch){
        .rows = block->rows, .sel_rows = block->rows, .cols_count = s->cols, .cols = r->cols};
    *out = &r->batch;
    return LUMA_OK;
}

void
eng_spool_reader_fini(struct spool_reader *r)
{
    if (r->buffer != NULL)
        eng.mem->release(r->spool->budget, r->buffer, r->buffer_bytes);
    r->buffer = NULL;
    r->buffer_bytes = 0;
    r->cols = NULL;
}

/* --- partitions --- */

void
eng_spools_init(struct spools *s, struct spill *spill, struct luma_budget *budget,
                const struct luma_type *types, uint32_t cols)
{
    for (uint32_t i = 0; i < SPILL_FANOUT; i++)
        eng_spool_init(&s->of[i], spill, budget, types, cols, SPILL_PART_ROWS);
}

luma_rc
eng_spools_append(struct xenv *e, struct spools *s, const struct luma_vec *vecs,
                  const uint64_t *hashes, uint32_t level, const uint16_t *sel, uint32_t n,
                  uint32_t vec_rows)
{
    uint16_t first[SPILL_FANOUT + 1] = {0}, at[SPILL_FANOUT], rows[LUMA_BATCH_ROWS];
    uint32_t cols = s->of[0].cols;
    struct luma_vec *flat = luma_arena_alloc(e->arena, sizeof(*flat) * (cols + 1));
    ENG_NEED(e->ctx, flat, "writing rows to disk");
    for (uint32_t c = 0; c < cols; c++) /* once, not for each partition */
        LUMA_TRY(eng_vec_table_form(e, s->of[0].types[c], &vecs[c], sel, n, vec_rows, &flat[c]));
    for (uint32_t k = 0; k < n; k++)
        first[eng_spill_partition(hashes[k], level) + 1]++;
    for (uint32_t i = 0; i < SPILL_FANOUT; i++) {
        first[i + 1] = (uint16_t)(first[i + 1] + first[i]);
        at[i] = first[i];
    }
    for (uint32_t k = 0; k < n; k++)
        rows[at[eng_spill_partition(hashes[k], level)]++] = (uint16_t)eng_sel_at(sel, k);
    for (uint32_t i = 0; i < SPILL_FANOUT; i++)
        if (first[i + 1] > first[i])
            LUMA_TRY(eng_spool_append(e, &s->of[i], flat, rows + first[i],
                                      (uint32_t)(first[i + 1] - first[i]), vec_rows));
    return LUMA_OK;
}

luma_rc
eng_spools_flush(struct luma_ctx *ctx, struct spools *s)
{
    for (uint32_t i = 0; i < SPILL_FANOUT; i++) {
        LUMA_TRY(eng_spool_flush(ctx, &s->of[i]));
        eng_spool_settle(&s->of[i]);
    }
    return LUMA_OK;
}

void
eng_spools_fini(struct spools *s)
{
    for (uint32_t i = 0; i < SPILL_FANOUT; i++)
        eng_spool_fini(&s->of[i]);
}
