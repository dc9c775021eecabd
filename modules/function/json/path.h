/* function/json/path.h - jsonpath: the tree, and running it. */
#ifndef FUNCTION_JSON_PATH_H
#define FUNCTION_JSON_PATH_H

#include <lumadb/host/jsonpath.h>

#include "js.h"

struct js_subscript {
    struct js_node *from, *to; /* to NULL: one element */
};

struct js_node {
    uint8_t kind, flag;
    struct luma_slice text;
    uint32_t first, last; /* ANY: levels; INDEX: first subscripts */
    struct js_subscript *list;
    struct js_node *left, *right, *next;
};

/* Documents that a path leads to. */
struct js_items {
    struct luma_slice *list;
    uint32_t count, room;
};

/* Borrows the path's bytes. */
luma_rc js_jsonpath_read(const struct luma_func_call *call, const struct luma_str *path,
                         bool *out_lax, struct js_node **out);

/* What a run found; *out_failed: an error that `silent` kept quiet. */
luma_rc js_jsonpath_run(const struct luma_func_call *call, const struct luma_str *path,
                        struct luma_slice doc, struct luma_slice vars, bool silent,
                        struct js_items *out, bool *out_failed);

/* value like_regex pattern: by the regular expressions of function/string. */
luma_rc js_jsonpath_like(const struct luma_func_call *call, struct luma_slice text,
                         const struct js_node *node, bool *out);

#endif
