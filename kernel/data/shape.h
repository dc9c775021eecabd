/* data/shape.h - the trie of paths of a shape, for doc_shape.c and doc_shred.c. */
#ifndef LKI_DATA_SHAPE_H
#define LKI_DATA_SHAPE_H

#include "data/doc.h"
#include "data/shred.h"

#define LKI_DOC_HOLE         15 /* the value is in the column whose number follows in a byte */
#define LKI_SHAPE_SCALES     16
#define LKI_SHAPE_PATH_BYTES 1024

/* An object or array as it was met at a node: its head, and the node of each member. (doc_form.c)
 */
struct lki_variant {
    struct lki_variant *next;
    uint16_t id;
    uint8_t head; /* kind, width of lengths, order */
    uint32_t count, names_bytes;
    const uint8_t *name_ends, *order, *names;
    struct lki_shape_node **nodes;
};

struct lki_shape_node {
    struct lki_shape_node *next; /* of the same list, in the order of documents */
    struct lki_shape_node *names, *items;
    const char *name;
    uint32_t name_bytes;
    uint32_t index;
    uint32_t kinds[16];
    uint32_t scales[LKI_SHAPE_SCALES];
    int16_t col; /* -1: none */
    bool useful; /* it or one below has a column */
    struct lki_variant *variants;
};

/* Documents whose containers are the same variants, and whose scalars all go to columns (JSON's
 * null aside), leave the same document with holes. */
#define LKI_FORM_PARTS 64
#define LKI_FORMS      64
struct lki_form {
    uint32_t parts_count, nulls_count;
    uint16_t parts[LKI_FORM_PARTS]; /* variants by id, in the order met */
    int16_t nulls[LKI_FORM_PARTS];  /* columns whose place has JSON's null */
    struct luma_slice rest;
};

struct lk_shape {
    struct luma_arena *arena;
    struct lki_shape_node root;
    uint32_t nodes_count, samples;
    uint32_t leaves_count;
    struct lk_leaf leaves[LK_SHRED_COLS_MAX];
    struct lk_join room; /* documents with holes are built here */
    uint32_t variants_count;
    size_t forms_bytes;
    struct lki_form *forms; /* LKI_FORMS; NULL: none met */
};

/* doc_form.c: puts the scalars into their columns. false: the document is no such; what it did is
 * done again by whoever takes it apart otherwise. */
bool lki_form_walk(struct lk_shape *shape, struct luma_slice doc, uint32_t row,
                   struct lk_shred_col *cols, struct lki_form *out);
const struct lki_form *lki_form_find(const struct lk_shape *shape, const struct lki_form *form);
void lki_form_keep(struct lk_shape *shape, const struct lki_form *form, struct luma_slice rest);
/* doc_shred.c: puts a scalar into its column; false: it is not of the column's type. */
bool lki_leaf_take(const struct lk_leaf *leaf, struct luma_slice doc, struct luma_vec *vec,
                   uint32_t row);
/* doc_shred.c: the node of member i among those behind *inout_node, NULL: none. */
struct lki_shape_node *lki_shape_member(const struct lki_doc_view *view, uint32_t i,
                                        struct lki_shape_node **inout_node);

bool lki_join_room(struct lk_join *join, size_t bytes);
/* doc_plan.c: NULL when it is not worth it, or there is no memory. The plan points into part. */
struct lki_doc_plan *lki_doc_plan_make(struct luma_slice part);
void lki_doc_plan_free(struct lki_doc_plan *plan); /* NULL is fine */
luma_rc lki_doc_plan_run(const struct lki_doc_plan *plan, struct lk_join *join, uint32_t row,
                         struct luma_slice *out);
/* Appends the document of a leaf's value; false: no memory. */
bool lki_leaf_doc(struct lk_join *join, const struct luma_vec *vec, uint32_t row);

#endif
