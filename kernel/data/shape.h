/* data/shape.h - the trie of paths of a shape, for doc_shape.c and doc_shred.c. */
#ifndef LKI_DATA_SHAPE_H
#define LKI_DATA_SHAPE_H

#include "data/doc.h"
#include "data/shred.h"

#define LKI_DOC_HOLE         15 /* the value is in the column whose number follows in a byte */
#define LKI_SHAPE_SCALES     16
#define LKI_SHAPE_PATH_BYTES 1024

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
};

struct lk_shape {
    struct luma_arena *arena;
    struct lki_shape_node root;
    uint32_t nodes_count, samples;
    uint32_t leaves_count;
    struct lk_leaf leaves[LK_SHRED_COLS_MAX];
    struct lk_join room; /* documents with holes are built here */
};

bool lki_join_room(struct lk_join *join, size_t bytes);
/* doc_plan.c: NULL when it is not worth it, or there is no memory. The plan points into part. */
struct lki_doc_plan *lki_doc_plan_make(struct luma_slice part);
void lki_doc_plan_free(struct lki_doc_plan *plan); /* NULL is fine */
luma_rc lki_doc_plan_run(const struct lki_doc_plan *plan, struct lk_join *join, uint32_t row,
                         struct luma_slice *out);
/* Appends the document of a leaf's value; false: no memory. */
bool lki_leaf_doc(struct lk_join *join, const struct luma_vec *vec, uint32_t row);

#endif
