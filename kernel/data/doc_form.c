/*
 * data/doc_form.c - documents that are built alike are taken apart alike.
 *
 * A document is walked once: each container is recognized by its head (names and counts, compared
 * as bytes) among the variants its node has met, scalars go straight to their columns. The variants
 * in the order met say what is left: a document with holes that an earlier one has made. Anything
 * else in it (a scalar of another type, a field without a column) ends the walk, and doc_shred.c
 * takes the document apart by itself.
 */
#include "base/base.h"
#include "data/shape.h"

#define VARIANTS_MAX    1024 /* of a shape */
#define VARIANTS_TRIED  8    /* of a node */
#define FORMS_BYTES_MAX ((size_t)1 << 20)
#define PART_NULL       UINT16_MAX

struct walk {
    struct lk_shape *shape;
    struct lk_shred_col *cols;
    uint32_t row;
    struct lki_form *form;
};

static bool
push(struct lki_form *form, uint16_t part)
{
    if (form->parts_count == LKI_FORM_PARTS)
        return false;
    form->parts[form->parts_count++] = part;
    return true;
}

/* --- variants --- */

static bool
is_variant(const struct lki_variant *v, const struct lki_doc_view *view, uint8_t head)
{
    size_t ends = (size_t)view->count << view->width;
    if (v->head != head || v->count != view->count)
        return false;
    return view->kind == LKI_DOC_ARRAY || view->count == 0 ||
           (v->names_bytes == view->names_bytes &&
            memcmp(v->name_ends, view->name_ends, ends) == 0 &&
            (view->names_bytes == 0 || memcmp(v->names, view->names, view->names_bytes) == 0) &&
            (view->order == NULL || memcmp(v->order, view->order, ends) == 0));
}

static struct lki_variant *
variant_new(struct lk_shape *shape, struct lki_shape_node *node, const struct lki_doc_view *view,
            uint8_t head)
{
    struct luma_arena *arena = shape->arena;
    size_t ends = (size_t)view->count << view->width;
    struct lki_shape_node *below = view->kind == LKI_DOC_OBJECT ? node->names : node->items;

    if (shape->variants_count == VARIANTS_MAX || view->count > LKI_FORM_PARTS ||
        (view->kind == LKI_DOC_OBJECT && view->count > 0 && view->names_bytes == 0))
        return NULL;
    struct lki_variant *v = LUMA_NEW(arena, struct lki_variant);
    struct lki_shape_node **nodes =
        LUMA_NEW_ARRAY(arena, struct lki_shape_node *, view->count + (size_t)1);
    if (v == NULL || nodes == NULL)
        return NULL;
    v->head = head;
    v->count = view->count;
    v->nodes = nodes;
    for (uint32_t i = 0; i < view->count; i++)
        nodes[i] = lki_shape_member(view, i, &below);
    if (view->kind == LKI_DOC_OBJECT && view->count > 0) {
        v->names_bytes = (uint32_t)view->names_bytes;
        v->name_ends = luma_arena_copy(arena, view->name_ends, ends);
        v->names = luma_arena_copy(arena, view->names, view->names_bytes);
        v->order = view->order == NULL ? NULL : luma_arena_copy(arena, view->order, ends);
        if (v->name_ends == NULL || v->names == NULL || (view->order != NULL && v->order == NULL))
            return NULL;
    }
    v->id = (uint16_t)shape->variants_count++;
    v->next = node->variants;
    node->variants = v;
    return v;
}

static struct lki_variant *
variant_of(struct lk_shape *shape, struct lki_shape_node *node, const struct lki_doc_view *view,
           uint8_t head)
{
    struct lki_variant **at = &node->variants;
    for (uint32_t i = 0; *at != NULL; at = &(*at)->next, i++) {
        struct lki_variant *v = *at;
        if (i == VARIANTS_TRIED)
            return NULL;
        if (!is_variant(v, view, head))
            continue;
        *at = v->next; /* the next document is likely to have it too */
        v->next = node->variants;
        node->variants = v;
        return v;
    }
    return variant_new(shape, node, view, head);
}

/* --- the walk --- */

static bool
scalar(struct walk *w, const struct lki_shape_node *node, struct luma_slice doc)
{
    if (node->col < 0 || node->items != NULL)
        return false;
    if (lki_doc_kind(doc) != LKI_DOC_NULL)
        return lki_leaf_take(&w->shape->leaves[node->col], doc, &w->cols[node->col].vec, w->row);
    if (!push(w->form, PART_NULL))
        return false;
    w->form->nulls[w->form->nulls_count++] = node->col;
    return true;
}

static bool
walk_at(struct walk *w, struct lki_shape_node *node, struct luma_slice doc)
{
    enum lki_doc_kind kind = lki_doc_kind(doc);
    struct lki_doc_view view;

    if (kind != LKI_DOC_ARRAY && kind != LKI_DOC_OBJECT)
        return scalar(w, node, doc);
    if (node->col >= 0 || (kind == LKI_DOC_OBJECT ? node->names : node->items) == NULL ||
        !lki_doc_open(doc, &view))
        return false;
    const struct lki_variant *v = variant_of(w->shape, node, &view, doc.data[0]);
    if (v == NULL || !push(w->form, v->id))
        return false;
    for (uint32_t i = 0; i < view.count; i++) {
        struct luma_slice value;
        if (v->nodes[i] == NULL || !v->nodes[i]->useful || !lki_doc_value_at(&view, i, &value) ||
            !walk_at(w, v->nodes[i], value))
            return false;
    }
    return true;
}

bool
lki_form_walk(struct lk_shape *shape, struct luma_slice doc, uint32_t row,
              struct lk_shred_col *cols, struct lki_form *out)
{
    struct walk w = {shape, cols, row, out};
    out->parts_count = out->nulls_count = 0;
    return walk_at(&w, &shape->root, doc);
}

/* --- forms --- */

static uint64_t
slot_of(const struct lki_form *form)
{
    return lk_hash_bytes(form->parts, form->parts_count * sizeof(form->parts[0])) % LKI_FORMS;
}

static bool
same_form(const struct lki_form *a, const struct lki_form *b)
{
    return a->parts_count == b->parts_count && a->nulls_count == b->nulls_count &&
           memcmp(a->parts, b->parts, a->parts_count * sizeof(a->parts[0])) == 0 &&
           memcmp(a->nulls, b->nulls, a->nulls_count * sizeof(a->nulls[0])) == 0;
}

const struct lki_form *
lki_form_find(const struct lk_shape *shape, const struct lki_form *form)
{
    const struct lki_form *at = shape->forms == NULL ? NULL : &shape->forms[slot_of(form)];
    return at != NULL && at->rest.data != NULL && same_form(at, form) ? at : NULL;
}

void
lki_form_keep(struct lk_shape *shape, const struct lki_form *form, struct luma_slice rest)
{
    if (shape->forms == NULL)
        shape->forms = LUMA_NEW_ARRAY(shape->arena, struct lki_form, LKI_FORMS);
    if (shape->forms == NULL || shape->forms_bytes + rest.bytes > FORMS_BYTES_MAX)
        return;
    void *copy = luma_arena_copy(shape->arena, rest.data, rest.bytes);
    if (copy == NULL)
        return;
    struct lki_form *at = &shape->forms[slot_of(form)];
    *at = *form;
    at->rest = luma_slice(copy, rest.bytes);
    shape->forms_bytes += rest.bytes;
}
