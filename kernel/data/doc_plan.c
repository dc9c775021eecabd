/*
 * data/doc_plan.c - putting together many documents of one form: the document with holes is laid
 * open once, then each row takes two walks over its parts, one for their sizes, one to write.
 */
#include "base/base.h"
#include "data/shape.h"

#define NODES_MAX 512
#define NO_NODE   UINT32_MAX

enum part { PART_BYTES, PART_HOLE, PART_CONTAINER };

struct node {
    uint8_t part;
    uint8_t col;     /* HOLE */
    uint32_t parent; /* NO_NODE: the whole */
    uint32_t first, next;
    struct luma_slice bytes;  /* BYTES */
    struct lki_doc_view view; /* CONTAINER */
};

/* Parents come before their children. */
struct lki_doc_plan {
    uint32_t count;
    struct node nodes[];
};

struct build {
    struct node nodes[NODES_MAX];
    uint32_t count;
};

/* Appends part and what is in it; false: too much, or damaged. */
static bool
lay_open(struct build *b, struct luma_slice part, uint32_t parent, int depth)
{
    uint32_t col, me = b->count, last = NO_NODE;
    bool holes = false;

    if (b->count == NODES_MAX || depth > 32)
        return false;
    struct node *node = &b->nodes[b->count++];
    memset(node, 0, sizeof(*node));
    node->parent = parent;
    node->first = node->next = NO_NODE;
    node->bytes = part;
    node->part = PART_BYTES;
    if (lk_data_doc_hole(part, &col)) {
        node->part = PART_HOLE;
        node->col = (uint8_t)col;
        return true;
    }
    if (!lki_doc_open(part, &node->view))
        return true;
    node->part = PART_CONTAINER;
    for (uint32_t i = 0; i < node->view.count; i++) {
        struct luma_slice value;
        uint32_t child = b->count;
        if (!lki_doc_value_at(&node->view, i, &value) || !lay_open(b, value, me, depth + 1))
            return false;
        holes = holes || b->nodes[child].part != PART_BYTES;
        *(last == NO_NODE ? &node->first : &b->nodes[last].next) = child;
        last = child;
    }
    if (!holes) { /* as it is */
        node->part = PART_BYTES;
        node->first = NO_NODE;
        b->count = me + 1;
    }
    return true;
}

struct lki_doc_plan *
lki_doc_plan_make(struct luma_slice part)
{
    struct build *b = lk_alloc(NULL, sizeof(*b));
    struct lki_doc_plan *plan = NULL;
    if (b == NULL)
        return NULL;
    b->count = 0;
    if (lay_open(b, part, NO_NODE, 0)) {
        plan = lk_alloc(NULL, sizeof(*plan) + b->count * sizeof(struct node));
        if (plan != NULL) {
            plan->count = b->count;
            memcpy(plan->nodes, b->nodes, b->count * sizeof(struct node));
        }
    }
    lk_free(NULL, b, sizeof(*b));
    return plan;
}

void
lki_doc_plan_free(struct lki_doc_plan *plan)
{
    if (plan != NULL)
        lk_free(NULL, plan, sizeof(*plan) + plan->count * sizeof(struct node));
}

static inline struct lki_doc_layout
layout_of(const struct node *node, uint32_t values_bytes)
{
    return lki_doc_layout_of((enum lki_doc_kind)node->view.kind, node->view.count,
                             node->view.names_bytes, values_bytes, node->view.order != NULL);
}

/* A container's ends, names and order; its values come where *out_values says. */
static void
write_container(const struct node *node, const struct lki_doc_layout *layout, uint8_t *to,
                uint8_t **out_ends, uint8_t **out_values)
{
    const struct lki_doc_view *view = &node->view;
    uint8_t *name_ends, *names;
    uint8_t *order = lki_doc_begin(layout, to, &name_ends, out_ends, &names, out_values);
    size_t ends_bytes = (size_t)view->count << view->width;

    if (layout->width == view->width) {
        if (view->kind == LKI_DOC_OBJECT)
            memcpy(name_ends, view->name_ends, ends_bytes);
        if (order != NULL)
            memcpy(order, view->order, ends_bytes);
    } else {
        for (uint32_t i = 0; i < view->count && view->kind == LKI_DOC_OBJECT; i++) {
            lki_doc_put_end(name_ends, layout->width, i,
                            lki_doc_get_end(view->name_ends, view->width, i));
            if (order != NULL)
                lki_doc_put_end(order, layout->width, i,
                                lki_doc_get_end(view->order, view->width, i));
        }
    }
    if (view->names_bytes > 0)
        memcpy(names, view->names, view->names_bytes);
}

/* Sizes of the parts, from the last to the first: a container's are complete when it is its turn.
 * Values of holes are written to the work area, one after the other. */
static luma_rc
measure(const struct lki_doc_plan *plan, struct lk_join *join, uint32_t row, uint32_t *sizes,
        uint32_t *inside, uint32_t *places)
{
    memset(inside, 0, plan->count * sizeof(inside[0]));
    for (uint32_t i = plan->count; i-- > 0;) {
        const struct node *node = &plan->nodes[i];
        size_t size = node->bytes.bytes, at = join->used;
        if (node->part == PART_HOLE) {
            if (node->col >= join->cols_count || join->cols[node->col].data == NULL ||
                luma_vec_is_null(&join->cols[node->col], row))
                return LUMA_E_CORRUPT;
            if (!lki_leaf_doc(join, &join->cols[node->col], row))
                return LUMA_E_NOMEM;
            places[i] = (uint32_t)at;
            size = join->used - at;
        } else if (node->part == PART_CONTAINER) {
            size = layout_of(node, inside[i]).total_bytes;
        }
        if (size > LKI_DOC_BYTES_MAX || join->used > LKI_DOC_BYTES_MAX)
            return LUMA_E_CORRUPT;
        sizes[i] = (uint32_t)size;
        if (node->parent != NO_NODE)
            inside[node->parent] += sizes[i];
    }
    return LUMA_OK;
}

luma_rc
lki_doc_plan_run(const struct lki_doc_plan *plan, struct lk_join *join, uint32_t row,
                 struct luma_slice *out)
{
    uint32_t sizes[NODES_MAX], inside[NODES_MAX], holes[NODES_MAX], places[NODES_MAX];

    join->used = 0;
    LUMA_TRY(measure(plan, join, row, sizes, inside, holes));
    size_t start = join->used;
    if (!lki_join_room(join, sizes[0]))
        return LUMA_E_NOMEM;
    places[0] = (uint32_t)start;
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct node *node = &plan->nodes[i];
        uint8_t *to = join->data + places[i], *ends, *values;
        uint32_t end = 0, k = 0;
        if (node->part != PART_CONTAINER) {
            lki_doc_put(to, node->part == PART_HOLE ? join->data + holes[i] : node->bytes.data,
                        sizes[i]);
            continue;
        }
        struct lki_doc_layout layout = layout_of(node, inside[i]);
        write_container(node, &layout, to, &ends, &values);
        for (uint32_t child = node->first; child != NO_NODE; child = plan->nodes[child].next) {
            places[child] = (uint32_t)(values - join->data) + end;
            end += sizes[child];
            lki_doc_put_end(ends, layout.width, k++, end);
        }
    }
    *out = luma_slice(join->data + start, sizes[0]);
    return LUMA_OK;
}
