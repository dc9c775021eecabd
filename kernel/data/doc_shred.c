/*
 * data/doc_shred.c - documents taken apart by a shape, and put together again.
 *
 * Both build bottom up: values are appended to one area, a container that is complete takes the
 * place of its members there. Only what comes back byte for byte goes into a column: an int in the
 * shortest form, a number in the one form that its digits have.
 */
#include "base/base.h"
#include "data/shape.h"

void
lk_data_join_init(struct lk_join *join)
{
    memset(join, 0, sizeof(*join));
}

void
lk_data_join_forget(struct lk_join *join)
{
    for (uint32_t i = 0; i < LK_JOIN_MET; i++)
        lki_doc_plan_free(join->met[i].plan);
    memset(join->met, 0, sizeof(join->met));
}

void
lk_data_join_fini(struct lk_join *join)
{
    lk_data_join_forget(join);
    lk_free(NULL, join->data, join->room);
    join->data = NULL;
    join->room = 0;
}

bool
lki_join_room(struct lk_join *join, size_t bytes)
{
    if (LUMA_LIKELY(join->room - join->used >= bytes))
        return true;
    size_t room = LK_MAX(join->room * 2, (size_t)4096);
    while (room - join->used < bytes)
        room *= 2;
    uint8_t *data = lk_resize(NULL, join->data, join->room, room);
    if (data == NULL)
        return false;
    join->data = data;
    join->room = room;
    return true;
}

static bool
join_copy(struct lk_join *join, struct luma_slice part)
{
    if (!lki_join_room(join, part.bytes))
        return false;
    if (part.bytes > 0)
        memcpy(join->data + join->used, part.data, part.bytes);
    join->used += part.bytes;
    return true;
}

/* --- numbers --- */

/* The document of v / 10^scale (scale below 16, at least 1) in its one form; at most 32 bytes. */
static size_t
decimal_write(int64_t v, uint32_t scale, uint8_t *out)
{
    static const uint64_t pow10[16] = {1,
                                       10,
                                       100,
                                       1000,
                                       10000,
                                       100000,
                                       1000000,
                                       10000000,
                                       100000000,
                                       1000000000,
                                       10000000000,
                                       100000000000,
                                       1000000000000,
                                       10000000000000,
                                       100000000000000,
                                       1000000000000000};
    uint64_t all = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    uint64_t whole = all / pow10[scale], frac = all % pow10[scale];
    uint16_t digits[12], dscale = (uint16_t)scale;
    uint32_t groups = (scale + 3) / 4, first = 0, count = 5 + groups;
    int16_t weight = 4;

    frac *= pow10[groups * 4 - scale];
    for (uint32_t i = 5; i-- > 0; whole /= 10000)
        digits[i] = (uint16_t)(whole % 10000);
    for (uint32_t i = groups; i-- > 0; frac /= 10000)
        digits[5 + i] = (uint16_t)(frac % 10000);
    while (first < count && digits[first] == 0) {
        first++;
        weight--;
    }
    while (count > first && digits[count - 1] == 0)
        count--;
    if (count == first)
        weight = 0;
    out[0] = LKI_DOC_NUMBER;
    out[1] = v < 0 ? LKI_NUM_NEG : LKI_NUM_POS;
    out[2] = 0;
    memcpy(out + 3, &dscale, 2);
    memcpy(out + 5, &weight, 2);
    memcpy(out + 7, digits + first, (size_t)(count - first) * 2);
    return 7 + (size_t)(count - first) * 2;
}

/* The integer of a number document of that scale; false: another scale, too large, or a form that
 * would not come back. */
static bool
decimal_read(struct luma_slice doc, uint32_t scale, int64_t *out)
{
    static const int32_t unit[4] = {1, 10, 100, 1000};
    uint8_t again[40];
    uint16_t dscale, digit;
    int16_t weight;
    luma_i128 v = 0;

    if (doc.bytes < 7 || doc.bytes > 7 + 12 || doc.data[1] > LKI_NUM_NEG)
        return false;
    memcpy(&dscale, doc.data + 3, 2);
    memcpy(&weight, doc.data + 5, 2);
    if (dscale != scale)
        return false;
    int32_t count = (int32_t)(doc.bytes - 7) / 2;
    int32_t exponent = 4 * (weight - count + 1) + (int32_t)scale;
    if (exponent < -3 || exponent > 18)
        return false;
    for (int32_t i = 0; i < count; i++) {
        memcpy(&digit, doc.data + 7 + 2 * (size_t)i, 2);
        v = v * 10000 + digit;
    }
    if (exponent < 0 && v % unit[-exponent] != 0)
        return false;
    v = exponent < 0 ? v / unit[-exponent] : v * lki_pow10[exponent];
    if (v >= lki_pow10[18])
        return false;
    *out = doc.data[1] == LKI_NUM_NEG ? -(int64_t)v : (int64_t)v;
    size_t n = decimal_write(*out, scale, again);
    return n == doc.bytes && memcmp(again, doc.data, n) == 0;
}

static bool
int_read(struct luma_slice doc, int64_t *out)
{
    size_t n = doc.bytes - 1;
    uint64_t v = 0;
    if (n == 0 || n > 8)
        return false;
    memcpy(&v, doc.data + 1, n);
    *out = n == 8 ? (int64_t)v : (int64_t)(v << (64 - 8 * n)) >> (64 - 8 * n);
    return lki_doc_int_bytes(*out) == n;
}

/* --- apart --- */

bool
lk_data_leaf_type_valid(struct luma_type type)
{
    switch (type.id) {
    case LUMA_TYPE_BOOL:
    case LUMA_TYPE_INT8:
    case LUMA_TYPE_TEXT:
    case LUMA_TYPE_JSONB:
        return true;
    case LUMA_TYPE_NUMERIC:
        return luma_type_phys(type) == LUMA_PHYS_I64;
    default:
        return false;
    }
}

bool
lki_leaf_take(const struct lk_leaf *leaf, struct luma_slice doc, struct luma_vec *vec, uint32_t row)
{
    enum lki_doc_kind kind = lki_doc_kind(doc);
    int64_t v;

    switch (leaf->type.id) {
    case LUMA_TYPE_BOOL:
        if (kind != LKI_DOC_TRUE && kind != LKI_DOC_FALSE)
            return false;
        ((uint8_t *)vec->data)[row] = kind == LKI_DOC_TRUE;
        break;
    case LUMA_TYPE_INT8:
        if (kind != LKI_DOC_INT || !int_read(doc, &v))
            return false;
        ((int64_t *)vec->data)[row] = v;
        break;
    case LUMA_TYPE_NUMERIC:
        if (kind != LKI_DOC_NUMBER || !decimal_read(doc, (uint32_t)leaf->type.scale, &v))
            return false;
        ((int64_t *)vec->data)[row] = v;
        break;
    case LUMA_TYPE_TEXT:
        if (kind != LKI_DOC_STRING)
            return false;
        ((struct luma_str *)vec->data)[row] =
            luma_str_make((const char *)doc.data + 1, (uint32_t)(doc.bytes - 1));
        break;
    default:
        if (kind == LKI_DOC_NULL || kind == LKI_DOC_ARRAY || kind == LKI_DOC_OBJECT ||
            kind > LKI_DOC_DATE)
            return false;
        ((struct luma_str *)vec->data)[row] =
            luma_str_make((const char *)doc.data, (uint32_t)doc.bytes);
        break;
    }
    luma_bit_set(vec->valid, row);
    return true;
}

struct apart {
    struct lk_shape *shape;
    struct lk_join *room;
    struct lk_shred_col *cols;
    uint32_t row;
};

static bool apart_at(struct apart *a, const struct lki_shape_node *node, struct luma_slice doc);

/* Values are in the room from `at` on, ends[i] where each ends: the container takes their place. */
static bool
wrap(struct lk_join *room, size_t at, const struct lki_doc_view *view, const uint32_t *ends)
{
    uint8_t *name_ends, *value_ends, *names, *values;
    size_t values_bytes = room->used - at;
    struct lki_doc_layout layout =
        lki_doc_layout_of((enum lki_doc_kind)view->kind, view->count, view->names_bytes,
                          values_bytes, view->order != NULL);
    if (!lki_join_room(room, layout.total_bytes))
        return false;
    uint8_t *to = room->data + room->used;
    uint8_t *order = lki_doc_begin(&layout, to, &name_ends, &value_ends, &names, &values);
    for (uint32_t i = 0; i < view->count; i++) {
        if (view->kind == LKI_DOC_OBJECT)
            lki_doc_put_end(name_ends, layout.width, i,
                            lki_doc_get_end(view->name_ends, view->width, i));
        lki_doc_put_end(value_ends, layout.width, i, ends[i]);
        if (order != NULL)
            lki_doc_put_end(order, layout.width, i, lki_doc_get_end(view->order, view->width, i));
    }
    if (view->names_bytes > 0)
        memcpy(names, view->names, view->names_bytes);
    if (values_bytes > 0)
        memcpy(values, room->data + at, values_bytes);
    memmove(room->data + at, to, layout.total_bytes);
    room->used = at + layout.total_bytes;
    return true;
}

#define ENDS_INLINE 128

static uint32_t *
ends_room(uint32_t *local, uint32_t count)
{
    return count <= ENDS_INLINE ? local : lk_alloc(NULL, count * sizeof(uint32_t));
}

static void
ends_free(uint32_t *local, uint32_t *ends, uint32_t count)
{
    if (ends != local)
        lk_free(NULL, ends, count * sizeof(uint32_t));
}

struct lki_shape_node *
lki_shape_member(const struct lki_doc_view *view, uint32_t i, struct lki_shape_node **inout_node)
{
    struct lki_shape_node *node = *inout_node;
    struct luma_slice name;

    if (view->kind == LKI_DOC_ARRAY)
        return node != NULL && node->index == i ? (*inout_node = node->next, node) : NULL;
    if (!lki_doc_name_at(view, i, &name))
        return NULL;
    while (node != NULL) {
        int c = lki_doc_name_compare(luma_slice(node->name, node->name_bytes), name);
        if (c >= 0) {
            *inout_node = c == 0 ? node->next : node;
            return c == 0 ? node : NULL;
        }
        node = node->next;
    }
    *inout_node = NULL;
    return NULL;
}

static bool
members_apart(struct apart *a, const struct lki_shape_node *node, const struct lki_doc_view *view,
              uint32_t *ends)
{
    size_t at = a->room->used;
    struct lki_shape_node *below = view->kind == LKI_DOC_OBJECT ? node->names : node->items;
    for (uint32_t i = 0; i < view->count; i++) {
        struct luma_slice value;
        if (!lki_doc_value_at(view, i, &value))
            return false;
        const struct lki_shape_node *n = lki_shape_member(view, i, &below);
        if (n != NULL && n->useful ? !apart_at(a, n, value) : !join_copy(a->room, value))
            return false;
        ends[i] = (uint32_t)(a->room->used - at);
    }
    return wrap(a->room, at, view, ends);
}

static bool
container_apart(struct apart *a, const struct lki_shape_node *node, const struct lki_doc_view *view)
{
    uint32_t local[ENDS_INLINE], *ends = ends_room(local, view->count);
    if (ends == NULL)
        return false;
    bool done = members_apart(a, node, view, ends);
    ends_free(local, ends, view->count);
    return done;
}

/* A scalar counts as an array of one: it is found at index 0 too, where no leaf has it. */
static void
count_scalar(struct apart *a, const struct lki_shape_node *node)
{
    const struct lki_shape_node *first = node->items;
    for (; first != NULL && first->index == 0; first = first->items)
        if (first->col >= 0)
            a->cols[first->col].others++;
}

static bool
apart_at(struct apart *a, const struct lki_shape_node *node, struct luma_slice doc)
{
    struct lki_doc_view view;
    enum lki_doc_kind kind = lki_doc_kind(doc);

    if (kind != LKI_DOC_ARRAY && kind != LKI_DOC_OBJECT)
        count_scalar(a, node);
    if (node->col >= 0) {
        struct lk_shred_col *col = &a->cols[node->col];
        if (lki_leaf_take(&a->shape->leaves[node->col], doc, &col->vec, a->row)) {
            uint8_t hole[2] = {LKI_DOC_HOLE, (uint8_t)node->col};
            return join_copy(a->room, luma_slice(hole, 2));
        }
        if (kind == LKI_DOC_NULL)
            col->json_nulls++;
        else
            col->others++;
    }
    bool below = kind == LKI_DOC_OBJECT  ? node->names != NULL
                 : kind == LKI_DOC_ARRAY ? node->items != NULL
                                         : false;
    if (!below || !lki_doc_open(doc, &view))
        return join_copy(a->room, doc);
    return container_apart(a, node, &view);
}

bool
lk_data_shred(struct lk_shape *shape, struct luma_slice doc, uint32_t row,
              struct lk_shred_col *cols, struct luma_slice *out)
{
    struct apart a = {shape, &shape->room, cols, row};
    struct lki_form form;
    bool formed = lki_form_walk(shape, doc, row, cols, &form);
    const struct lki_form *known = formed ? lki_form_find(shape, &form) : NULL;

    if (known != NULL) {
        for (uint32_t i = 0; i < form.nulls_count; i++)
            cols[form.nulls[i]].json_nulls++;
        *out = known->rest;
        return true;
    }
    shape->room.used = 0;
    if (!apart_at(&a, &shape->root, doc))
        return false;
    *out = luma_slice(shape->room.data, shape->room.used);
    if (formed)
        lki_form_keep(shape, &form, *out);
    return true;
}

/* --- together --- */

bool
lk_data_doc_hole(struct luma_slice part, uint32_t *out_col)
{
    if (part.bytes != 2 || part.data[0] != LKI_DOC_HOLE)
        return false;
    *out_col = part.data[1];
    return true;
}

bool
lki_leaf_doc(struct lk_join *join, const struct luma_vec *vec, uint32_t row)
{
    const void *at = luma_vec_at(vec, row);
    const struct luma_str *str = at;
    uint8_t *out;
    int64_t v;

    if (!lki_join_room(join, 40 + (vec->phys == LUMA_PHYS_STR ? (size_t)str->bytes : 0)))
        return false;
    out = join->data + join->used;
    switch (vec->type.id) {
    case LUMA_TYPE_BOOL:
        out[0] = *(const uint8_t *)at != 0 ? LKI_DOC_TRUE : LKI_DOC_FALSE;
        join->used += 1;
        break;
    case LUMA_TYPE_INT8:
        memcpy(&v, at, 8);
        out[0] = LKI_DOC_INT;
        memcpy(out + 1, &v, 8);
        join->used += 1 + lki_doc_int_bytes(v);
        break;
    case LUMA_TYPE_NUMERIC:
        memcpy(&v, at, 8);
        join->used += decimal_write(v, (uint32_t)vec->scale & 15, out);
        break;
    case LUMA_TYPE_TEXT:
        *out++ = LKI_DOC_STRING;
        join->used++;
        /* fall through */
    default:
        memcpy(out, luma_str_data(str), str->bytes);
        join->used += str->bytes;
        break;
    }
    return true;
}

static luma_rc join_at(struct lk_join *join, struct luma_slice part, uint32_t row, int depth);

static luma_rc
join_members(struct lk_join *join, const struct lki_doc_view *view, uint32_t row, int depth,
             uint32_t *ends)
{
    size_t at = join->used;
    for (uint32_t i = 0; i < view->count; i++) {
        struct luma_slice value;
        if (!lki_doc_value_at(view, i, &value))
            return LUMA_E_CORRUPT;
        LUMA_TRY(join_at(join, value, row, depth + 1));
        ends[i] = (uint32_t)(join->used - at);
    }
    return wrap(join, at, view, ends) ? LUMA_OK : LUMA_E_NOMEM;
}

static luma_rc
join_container(struct lk_join *join, const struct lki_doc_view *view, uint32_t row, int depth)
{
    uint32_t local[ENDS_INLINE], *ends = ends_room(local, view->count);
    if (ends == NULL)
        return LUMA_E_NOMEM;
    luma_rc rc = join_members(join, view, row, depth, ends);
    ends_free(local, ends, view->count);
    return rc;
}

static luma_rc
join_at(struct lk_join *join, struct luma_slice part, uint32_t row, int depth)
{
    struct lki_doc_view view;
    uint32_t col;

    if (depth > LKI_DOC_DEPTH_MAX || join->used > 2 * LKI_DOC_BYTES_MAX)
        return LUMA_E_CORRUPT;
    if (lk_data_doc_hole(part, &col)) {
        if (col >= join->cols_count || join->cols[col].data == NULL ||
            luma_vec_is_null(&join->cols[col], row))
            return LUMA_E_CORRUPT;
        return lki_leaf_doc(join, &join->cols[col], row) ? LUMA_OK : LUMA_E_NOMEM;
    }
    if (lki_doc_open(part, &view))
        return join_container(join, &view, row, depth);
    return join_copy(join, part) ? LUMA_OK : LUMA_E_NOMEM;
}

/* Documents of a dictionary come again and again: from the second time on they have a plan. Short
 * ones may lie in a vector, whose bytes change. */
static const struct lki_doc_plan *
plan_of(struct lk_join *join, struct luma_slice part)
{
    struct lk_join_met *met =
        &join->met[lk_hash_u64((uint64_t)(uintptr_t)part.data) & (LK_JOIN_MET - 1)];
    if (part.bytes <= LUMA_STR_INLINE_MAX)
        return NULL;
    if (met->data == part.data && met->bytes == part.bytes) {
        if (met->plan == NULL)
            met->plan = lki_doc_plan_make(part);
        return met->plan;
    }
    lki_doc_plan_free(met->plan);
    *met = (struct lk_join_met){part.data, part.bytes, NULL};
    return NULL;
}

luma_rc
lk_data_join(struct lk_join *join, struct luma_slice part, uint32_t row, struct luma_slice *out)
{
    const struct lki_doc_plan *plan = plan_of(join, part);
    if (plan != NULL)
        return lki_doc_plan_run(plan, join, row, out);
    join->used = 0;
    LUMA_TRY(join_at(join, part, row, 0));
    *out = luma_slice(join->data, join->used);
    return LUMA_OK;
}
