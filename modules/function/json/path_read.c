/* function/json/path_read.c - a jsonpath value as a tree to walk. */
#include "path.h"

#define DEPTH_MAX 1000u

struct reader {
    const struct luma_func_call *call;
    const uint8_t *p, *end;
    uint32_t depth;
};

static luma_rc
broken(struct reader *r)
{
    return LUMA_FAIL(r->call->ctx, LUMA_E_CORRUPT, "a stored jsonpath is not sound");
}

static luma_rc
get(struct reader *r, void *out, size_t bytes)
{
    if ((size_t)(r->end - r->p) < bytes)
        return broken(r);
    memcpy(out, r->p, bytes);
    r->p += bytes;
    return LUMA_OK;
}

static luma_rc
get_text(struct reader *r, struct luma_slice *out)
{
    uint32_t bytes = 0;
    LUMA_TRY(get(r, &bytes, sizeof(bytes)));
    if ((size_t)(r->end - r->p) < bytes)
        return broken(r);
    *out = luma_slice(r->p, bytes);
    r->p += bytes;
    return LUMA_OK;
}

static luma_rc read_node(struct reader *r, struct js_node **out);

static luma_rc
read_subscripts(struct reader *r, struct js_node *n)
{
    LUMA_TRY(get(r, &n->first, sizeof(n->first)));
    if (n->first > (size_t)(r->end - r->p))
        return broken(r);
    n->list = LUMA_NEW_ARRAY(r->call->arena, struct js_subscript, n->first + 1);
    if (n->list == NULL)
        return luma_func_no_memory(r->call);
    for (uint32_t i = 0; i < n->first; i++) {
        uint8_t has = 0;
        LUMA_TRY(read_node(r, &n->list[i].from));
        LUMA_TRY(get(r, &has, 1));
        if (has != 0)
            LUMA_TRY(read_node(r, &n->list[i].to));
    }
    return LUMA_OK;
}

static luma_rc
read_content(struct reader *r, struct js_node *n)
{
    if (n->kind >= LUMA_JSONPATH_AND && n->kind <= LUMA_JSONPATH_STARTS) {
        LUMA_TRY(read_node(r, &n->left));
        return read_node(r, &n->right);
    }
    if (n->kind >= LUMA_JSONPATH_NOT && n->kind <= LUMA_JSONPATH_FILTER)
        return read_node(r, &n->left);
    switch (n->kind) {
    case LUMA_JSONPATH_BOOL:
        return get(r, &n->flag, 1);
    case LUMA_JSONPATH_NUMBER:
    case LUMA_JSONPATH_STRING:
    case LUMA_JSONPATH_VARIABLE:
    case LUMA_JSONPATH_KEY:
        return get_text(r, &n->text);
    case LUMA_JSONPATH_INDEX:
        return read_subscripts(r, n);
    case LUMA_JSONPATH_ANY:
        LUMA_TRY(get(r, &n->first, sizeof(n->first)));
        return get(r, &n->last, sizeof(n->last));
    case LUMA_JSONPATH_DATETIME:
        LUMA_TRY(get(r, &n->flag, 1));
        return n->flag != 0 ? read_node(r, &n->left) : LUMA_OK;
    case LUMA_JSONPATH_REGEX:
        LUMA_TRY(read_node(r, &n->left));
        LUMA_TRY(get(r, &n->flag, 1));
        return get_text(r, &n->text);
    default:
        return LUMA_OK;
    }
}

static luma_rc
read_node(struct reader *r, struct js_node **out)
{
    uint8_t head[2] = {0, 1};
    if (++r->depth > DEPTH_MAX)
        return broken(r);
    while (head[1] != 0) {
        LUMA_TRY(get(r, head, sizeof(head)));
        if (head[0] == 0 || head[0] >= LUMA_JSONPATH_COUNT_)
            return broken(r);
        struct js_node *n = LUMA_NEW(r->call->arena, struct js_node);
        if (n == NULL)
            return luma_func_no_memory(r->call);
        n->kind = head[0];
        LUMA_TRY(read_content(r, n));
        *out = n;
        out = &n->next;
    }
    r->depth--;
    return LUMA_OK;
}

luma_rc
js_jsonpath_read(const struct luma_func_call *call, const struct luma_str *path, bool *out_lax,
                 struct js_node **out)
{
    struct luma_slice s = luma_str_slice(path);
    struct reader r = {.call = call, .p = s.data, .end = s.data + s.bytes};
    uint8_t mode = 0;
    LUMA_TRY(get(&r, &mode, 1));
    *out_lax = mode != 0;
    return read_node(&r, out);
}
