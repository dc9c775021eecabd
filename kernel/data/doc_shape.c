/*
 * data/doc_shape.c - which paths of documents are common enough for a column of their own.
 *
 * A trie of the paths that samples have, with counts of what was met at each. Members of a node are
 * kept in the order that documents have them, so that walking both side by side finds all.
 */
#include "base/base.h"
#include "data/shape.h"

#define NODES_MAX 4096
#define DEPTH_MAX 12
#define SHARE     32 /* a path in one of so many documents gets a column */
#define MAJORITY  9  /* of ten scalars must be of a column's type, else it takes any */

struct lk_shape *
lk_data_shape_create(struct luma_budget *budget)
{
    struct luma_arena *arena = lk_arena_create(budget, (size_t)1 << 14);
    struct lk_shape *shape = arena == NULL ? NULL : LUMA_NEW(arena, struct lk_shape);
    if (shape == NULL) {
        lk_arena_destroy(arena);
        return NULL;
    }
    shape->arena = arena;
    shape->root.col = -1;
    lk_data_join_init(&shape->room);
    return shape;
}

void
lk_data_shape_destroy(struct lk_shape *shape)
{
    if (shape == NULL)
        return;
    lk_data_join_fini(&shape->room);
    lk_arena_destroy(shape->arena);
}

/* --- samples --- */

static struct lki_shape_node *
node_new(struct lk_shape *shape)
{
    if (shape->nodes_count == NODES_MAX)
        return NULL;
    struct lki_shape_node *node = LUMA_NEW(shape->arena, struct lki_shape_node);
    if (node != NULL) {
        shape->nodes_count++;
        node->col = -1;
    }
    return node;
}

/* The member of that name, made when it is new; *inout_at is where the search goes on. */
static struct lki_shape_node *
named(struct lk_shape *shape, struct lki_shape_node ***inout_at, struct luma_slice name)
{
    struct lki_shape_node **at = *inout_at;
    int c = 1;
    while (*at != NULL &&
           (c = lki_doc_name_compare(luma_slice((*at)->name, (*at)->name_bytes), name)) < 0)
        at = &(*at)->next;
    *inout_at = at;
    if (*at != NULL && c == 0)
        return *at;
    struct lki_shape_node *node = node_new(shape);
    if (node == NULL)
        return NULL;
    node->name = luma_arena_copy(shape->arena, name.data, name.bytes);
    node->name_bytes = (uint32_t)name.bytes;
    if (node->name == NULL)
        return NULL;
    node->next = *at;
    *at = node;
    return node;
}

static struct lki_shape_node *
element(struct lk_shape *shape, struct lki_shape_node ***inout_at, uint32_t index)
{
    struct lki_shape_node **at = *inout_at;
    if (*at == NULL) {
        *at = node_new(shape);
        if (*at != NULL)
            (*at)->index = index;
    }
    return *at;
}

static void
sample_at(struct lk_shape *shape, struct lki_shape_node *node, struct luma_slice doc, int depth)
{
    enum lki_doc_kind kind = lki_doc_kind(doc);
    struct lki_doc_view view;

    node->kinds[kind]++;
    if (kind == LKI_DOC_NUMBER) {
        struct luma_str str = luma_str_make((const char *)doc.data + 1, (uint32_t)(doc.bytes - 1));
        uint32_t scale = (uint32_t)lk_data_numeric_dscale(&str);
        if (scale < LKI_SHAPE_SCALES)
            node->scales[scale]++;
    }
    if (depth == DEPTH_MAX || !lki_doc_open(doc, &view))
        return;
    bool object = view.kind == LKI_DOC_OBJECT;
    struct lki_shape_node **at = object ? &node->names : &node->items;
    uint32_t count = object ? view.count : LK_MIN(view.count, (uint32_t)LK_SHRED_ITEMS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct luma_slice name, value;
        struct lki_shape_node *below = NULL;
        if (!lki_doc_value_at(&view, i, &value) || (object && !lki_doc_name_at(&view, i, &name)))
            return;
        if (object && name.bytes <= UINT16_MAX)
            below = named(shape, &at, name);
        else if (!object)
            below = element(shape, &at, i);
        if (below == NULL)
            continue;
        sample_at(shape, below, value, depth + 1);
        at = &below->next;
    }
}

bool
lk_data_shape_sample(struct lk_shape *shape, struct luma_slice doc)
{
    shape->samples++;
    sample_at(shape, &shape->root, doc, 0);
    return true;
}

/* --- choice --- */

/* The type that most scalars of a node have; false: too few scalars. */
static bool
leaf_type(const struct lki_shape_node *node, uint32_t enough, struct luma_type *out)
{
    uint32_t scale = 0, bools = node->kinds[LKI_DOC_TRUE] + node->kinds[LKI_DOC_FALSE];
    uint32_t all = 0, most;

    for (uint32_t k = 0; k < LUMA_COUNTOF(node->kinds); k++)
        if (k != LKI_DOC_NULL && k != LKI_DOC_ARRAY && k != LKI_DOC_OBJECT)
            all += node->kinds[k];
    if (all == 0 || all < enough)
        return false;
    for (uint32_t s = 1; s < LKI_SHAPE_SCALES; s++)
        scale = node->scales[s] > node->scales[scale] ? s : scale;
    *out = luma_type(LUMA_TYPE_TEXT);
    most = node->kinds[LKI_DOC_STRING];
    if (bools > most) {
        *out = luma_type(LUMA_TYPE_BOOL);
        most = bools;
    }
    if (node->kinds[LKI_DOC_INT] > most) {
        *out = luma_type(LUMA_TYPE_INT8);
        most = node->kinds[LKI_DOC_INT];
    }
    if (scale > 0 && node->scales[scale] > most) {
        *out = (struct luma_type){LUMA_TYPE_NUMERIC, 0, (int16_t)scale, 18};
        most = node->scales[scale];
    }
    if ((uint64_t)most * 10 < (uint64_t)all * MAJORITY)
        *out = luma_type(LUMA_TYPE_JSONB);
    return true;
}

/* Columns below node with at least `enough` samples; assigns numbers when leaves are kept. */
static uint32_t
choose_at(struct lk_shape *shape, struct lki_shape_node *node, uint32_t enough, bool keep,
          uint8_t *path, size_t bytes)
{
    struct luma_type type;
    uint32_t count = 0;

    if (bytes > 0 && leaf_type(node, enough, &type)) {
        count++;
        if (keep) {
            struct lk_leaf *leaf = &shape->leaves[shape->leaves_count];
            void *copy = luma_arena_copy(shape->arena, path, bytes);
            if (copy != NULL) {
                *leaf = (struct lk_leaf){luma_slice(copy, bytes), type};
                node->col = (int16_t)shape->leaves_count++;
            }
        }
    }
    for (int pass = 0; pass < 2; pass++)
        for (struct lki_shape_node *n = pass == 0 ? node->names : node->items; n; n = n->next) {
            size_t step = pass == 0 ? 3 + (size_t)n->name_bytes : 3;
            if (bytes + step > LKI_SHAPE_PATH_BYTES)
                continue;
            uint16_t v = (uint16_t)(pass == 0 ? n->name_bytes : n->index);
            path[bytes] = pass == 0 ? 1 : 2;
            memcpy(path + bytes + 1, &v, 2);
            if (pass == 0)
                memcpy(path + bytes + 3, n->name, n->name_bytes);
            count += choose_at(shape, n, enough, keep, path, bytes + step);
        }
    node->useful = count > 0;
    return count;
}

uint32_t
lk_data_shape_choose(struct lk_shape *shape, uint32_t cols_max)
{
    uint8_t path[LKI_SHAPE_PATH_BYTES];
    uint32_t enough = LK_MAX(shape->samples / SHARE, 1u);

    cols_max = LK_MIN(cols_max, (uint32_t)LK_SHRED_COLS_MAX);
    while (choose_at(shape, &shape->root, enough, false, path, 0) > cols_max)
        enough += enough / 4 + 1;
    shape->leaves_count = 0;
    (void)choose_at(shape, &shape->root, enough, true, path, 0);
    return shape->leaves_count;
}

const struct lk_leaf *
lk_data_shape_leaf(const struct lk_shape *shape, uint32_t i)
{
    return &shape->leaves[i];
}
