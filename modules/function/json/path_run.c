/* function/json/path_run.c - jsonpath over a document: PostgreSQL's rules, lax and strict. */
#include "path.h"

/* What a step came to: an error that is kept quiet goes up as FAILED. */
enum result { DONE, NONE, FAILED };
enum truth { IS_FALSE, IS_TRUE, IS_UNKNOWN };

struct run {
    const struct luma_func_call *call;
    const struct luma_host_data *data;
    struct luma_slice root, vars, current;
    bool lax, forgive;   /* structural errors are no errors */
    bool silent;         /* errors are results */
    int64_t array_count; /* of the innermost array that is subscripted; -1: none */
    luma_rc rc;          /* an error that nothing keeps quiet */
};

static enum result run_node(struct run *r, const struct js_node *n, struct luma_slice doc,
                            struct js_items *found, bool unwrap);

/* ---- errors ---- */

#define FAIL(r, state, ...) \
    ((r)->silent ? FAILED   \
                 : fatal((r), LUMA_FAIL_SQL((r)->call->ctx, LUMA_E_DATA, (state), __VA_ARGS__)))

static enum result
fatal(struct run *r, luma_rc rc)
{
    r->rc = rc;
    return FAILED;
}

static bool
is_failed(enum result res)
{
    return res == FAILED;
}

/* ---- items ---- */

static enum result
add(struct run *r, struct js_items *items, struct luma_slice doc)
{
    if (items->count == items->room) {
        uint32_t room = items->room == 0 ? 8 : items->room * 2;
        struct luma_slice *list = LUMA_NEW_ARRAY(r->call->arena, struct luma_slice, room);
        if (list == NULL)
            return fatal(r, luma_func_no_memory(r->call));
        if (items->count > 0)
            memcpy(list, items->list, sizeof(*list) * items->count);
        items->list = list;
        items->room = room;
    }
    items->list[items->count++] = doc;
    return DONE;
}

static char
kind_of(const struct run *r, struct luma_slice doc)
{
    char kind = r->data->doc_kind(doc);
    return strchr("oanbz", kind) != NULL ? kind : 's';
}

static enum result
make(struct run *r, const struct luma_value *value, struct luma_slice *out)
{
    struct luma_str *made = LUMA_NEW(r->call->arena, struct luma_str);
    if (made == NULL)
        return fatal(r, luma_func_no_memory(r->call));
    luma_rc rc =
        r->data->doc_make_value(r->call->ctx, r->call->arena, r->call->format, value, made);
    if (rc != LUMA_OK)
        return fatal(r, rc);
    *out = luma_str_slice(made);
    return DONE;
}

static enum result
make_number(struct run *r, struct luma_str number, struct luma_slice *out)
{
    struct luma_value v = {.type = luma_type(LUMA_TYPE_NUMERIC), .phys = LUMA_PHYS_STR};
    v.str = number;
    return make(r, &v, out);
}

static enum result
make_int(struct run *r, int64_t number, struct luma_slice *out)
{
    struct luma_value v = {.type = luma_type(LUMA_TYPE_INT8), .phys = LUMA_PHYS_I64};
    v.i64 = number;
    return make(r, &v, out);
}

static enum result
make_text(struct run *r, struct luma_slice text, struct luma_slice *out)
{
    struct luma_value v = {.type = luma_type(LUMA_TYPE_TEXT), .phys = LUMA_PHYS_STR};
    v.str = luma_str_make((const char *)text.data, (uint32_t)text.bytes);
    return make(r, &v, out);
}

static enum result
make_truth(struct run *r, enum truth truth, struct luma_slice *out)
{
    struct luma_value v = {.type = luma_type(LUMA_TYPE_BOOL), .phys = LUMA_PHYS_BOOL};
    v.is_null = truth == IS_UNKNOWN;
    v.b = truth == IS_TRUE;
    return make(r, &v, out);
}

/* A number in the variable form. */
static bool
number_of(struct run *r, struct luma_slice doc, struct luma_str *out)
{
    struct luma_value v;
    if (r->data->doc_kind(doc) != 'n' || !r->data->doc_scalar(doc, r->call->arena, &v))
        return false;
    if (v.type.id == LUMA_TYPE_NUMERIC && v.phys == LUMA_PHYS_STR) {
        *out = v.str;
        return true;
    }
    const char *text = r->data->value_text(&v, NULL, r->call->arena);
    struct luma_value n;
    if (text == NULL ||
        r->data->from_text(r->call->ctx, r->call->arena, luma_type(LUMA_TYPE_NUMERIC), NULL,
                           luma_slice(text, strlen(text)), &n) != LUMA_OK)
        return false;
    *out = n.str;
    return true;
}

static bool
text_of(struct run *r, struct luma_slice doc, struct luma_str *out)
{
    bool null = false;
    return kind_of(r, doc) == 's' && js_text(r->call, doc, out, &null) == LUMA_OK && !null;
}

/* ---- going on ---- */

static enum result
go_on(struct run *r, const struct js_node *n, struct luma_slice doc, struct js_items *found)
{
    if (n->next != NULL)
        return run_node(r, n->next, doc, found, r->lax);
    return found != NULL ? add(r, found, doc) : DONE;
}

/* Each of a sequence: the first that leads somewhere is enough when nobody collects. */
static bool
enough(enum result res, const struct js_items *found)
{
    return is_failed(res) || (res == DONE && found == NULL);
}

static enum result
element(struct run *r, struct luma_slice doc, uint32_t i, struct luma_slice *out)
{
    struct luma_slice name;
    if (!r->data->doc_at(doc, i, &name, out))
        return fatal(r, LUMA_FAIL(r->call->ctx, LUMA_E_CORRUPT, "a stored document is not sound"));
    return DONE;
}

/* The node for each element of an array, which is not unwrapped further. */
static enum result
run_elements(struct run *r, const struct js_node *n, struct luma_slice array,
             struct js_items *found)
{
    enum result res = NONE;
    for (uint32_t i = 0, count = r->data->doc_count(array); i < count && !enough(res, found); i++) {
        struct luma_slice doc;
        if (is_failed(element(r, array, i, &doc)))
            return FAILED;
        enum result one = run_node(r, n, doc, found, false);
        res = one == NONE ? res : one;
    }
    return res;
}

static enum result
members(struct run *r, const struct js_node *n, struct luma_slice doc, struct js_items *found)
{
    enum result res = NONE;
    for (uint32_t i = 0, count = r->data->doc_count(doc); i < count && !enough(res, found); i++) {
        struct luma_slice sub;
        if (is_failed(element(r, doc, i, &sub)))
            return FAILED;
        enum result one = go_on(r, n, sub, found);
        res = one == NONE ? res : one;
    }
    return res;
}

/* .**: level counts from 0, the document itself. */
static enum result
descend(struct run *r, const struct js_node *n, struct luma_slice doc, uint32_t level,
        struct js_items *found)
{
    char kind = kind_of(r, doc);
    bool container = kind == 'o' || kind == 'a', leaves = n->first == UINT32_MAX;
    enum result res = NONE;
    if (leaves ? !container : level >= n->first && level <= n->last) {
        bool saved = r->forgive;
        r->forgive = true;
        res = go_on(r, n, doc, found);
        r->forgive = saved;
    }
    if (!container || (!leaves && level >= n->last) || level >= 1000)
        return res;
    for (uint32_t i = 0, count = r->data->doc_count(doc); i < count && !enough(res, found); i++) {
        struct luma_slice sub;
        if (is_failed(element(r, doc, i, &sub)))
            return FAILED;
        enum result one = descend(r, n, sub, level + 1, found);
        res = one == NONE ? res : one;
    }
    return res;
}

/* Everything a node leads to; arrays taken apart in lax mode. */
static enum result
collect(struct run *r, const struct js_node *n, struct luma_slice doc, bool unwrap,
        struct js_items *out)
{
    struct js_items raw = {NULL, 0, 0};
    enum result res = run_node(r, n, doc, unwrap && r->lax ? &raw : out, r->lax);
    if (is_failed(res) || !unwrap || !r->lax)
        return res;
    for (uint32_t i = 0; i < raw.count; i++) {
        if (kind_of(r, raw.list[i]) != 'a') {
            if (is_failed(add(r, out, raw.list[i])))
                return FAILED;
            continue;
        }
        for (uint32_t k = 0, count = r->data->doc_count(raw.list[i]); k < count; k++) {
            struct luma_slice sub;
            if (is_failed(element(r, raw.list[i], k, &sub)) || is_failed(add(r, out, sub)))
                return FAILED;
        }
    }
    return res;
}

/* ---- arithmetic ---- */

static const char *
sign_of(uint8_t kind)
{
    static const char *const signs[] = {"+", "-", "*", "/", "%"};
    return signs[kind - LUMA_JSONPATH_ADD];
}

static enum result
operand(struct run *r, const struct js_node *n, const struct js_node *side, struct luma_slice doc,
        const char *which, struct luma_str *out)
{
    struct js_items items = {NULL, 0, 0};
    if (is_failed(collect(r, side, doc, true, &items)))
        return FAILED;
    if (items.count != 1 || !number_of(r, items.list[0], out))
        return FAIL(r, "22038", "%s operand of jsonpath operator %s is not a single numeric value",
                    which, sign_of(n->kind));
    return DONE;
}

static enum result
arithmetic(struct run *r, const struct js_node *n, struct luma_slice doc, struct js_items *found)
{
    static const enum luma_numeric_op ops[] = {LUMA_NUMERIC_ADD, LUMA_NUMERIC_SUB, LUMA_NUMERIC_MUL,
                                               LUMA_NUMERIC_DIV, LUMA_NUMERIC_MOD};
    struct luma_str left, right, made;
    struct luma_slice out;
    if (is_failed(operand(r, n, n->left, doc, "left", &left)) ||
        is_failed(operand(r, n, n->right, doc, "right", &right)))
        return FAILED;
    luma_rc rc = r->data->numeric_op(r->call->ctx, r->call->arena, ops[n->kind - LUMA_JSONPATH_ADD],
                                     &left, &right, &made);
    if (rc != LUMA_OK && r->silent) {
        luma_error_reset(r->call->ctx->error);
        return FAILED;
    }
    if (rc != LUMA_OK)
        return fatal(r, rc);
    return is_failed(make_number(r, made, &out)) ? FAILED : go_on(r, n, out, found);
}

static enum result
sign(struct run *r, const struct js_node *n, struct luma_slice doc, struct js_items *found)
{
    struct js_items items = {NULL, 0, 0};
    enum result res = NONE;
    if (is_failed(collect(r, n->left, doc, true, &items)))
        return FAILED;
    for (uint32_t i = 0; i < items.count && !enough(res, found); i++) {
        struct luma_str number;
        struct luma_slice out;
        if (!number_of(r, items.list[i], &number)) {
            if (found == NULL && n->next == NULL)
                continue;
            return FAIL(r, "2203B", "operand of unary jsonpath operator %s is not a numeric value",
                        n->kind == LUMA_JSONPATH_MINUS ? "-" : "+");
        }
        if (n->kind == LUMA_JSONPATH_MINUS &&
            r->data->numeric_fn(r->call->ctx, r->call->arena, LUMA_NUMERIC_NEG, &number, &number) !=
                LUMA_OK)
            return fatal(r, luma_func_no_memory(r->call));
        if (is_failed(make_number(r, number, &out)))
            return FAILED;
        enum result one = go_on(r, n, out, found);
        res = one == NONE ? res : one;
    }
    return res;
}

/* ---- predicates ---- */

static bool
in_order(int c, uint8_t kind)
{
    switch (kind) {
    case LUMA_JSONPATH_EQ:
        return c == 0;
    case LUMA_JSONPATH_NE:
        return c != 0;
    case LUMA_JSONPATH_LT:
        return c < 0;
    case LUMA_JSONPATH_GT:
        return c > 0;
    case LUMA_JSONPATH_LE:
        return c <= 0;
    default:
        return c >= 0;
    }
}

static enum truth
compare(struct run *r, const struct js_node *n, struct luma_slice a, struct luma_slice b)
{
    char kind = kind_of(r, a), other = kind_of(r, b);
    if (kind != other) {
        if (kind == 'z' || other == 'z')
            return n->kind == LUMA_JSONPATH_NE ? IS_TRUE : IS_FALSE;
        return IS_UNKNOWN;
    }
    if (kind == 'o' || kind == 'a')
        return IS_UNKNOWN;
    struct luma_str x, y;
    int c = 0;
    if (kind == 'n') {
        if (!number_of(r, a, &x) || !number_of(r, b, &y))
            return IS_UNKNOWN;
        c = r->data->numeric_compare(&x, &y);
    } else if (kind == 's') {
        if (!text_of(r, a, &x) || !text_of(r, b, &y))
            return IS_UNKNOWN;
        c = luma_str_compare(&x, &y);
    } else {
        c = r->data->doc_compare(a, b);
    }
    return in_order(c, n->kind) ? IS_TRUE : IS_FALSE;
}

static enum truth
starts_with(struct run *r, struct luma_slice text, struct luma_slice start)
{
    struct luma_str x, y;
    if (!text_of(r, text, &x) || !text_of(r, start, &y))
        return IS_UNKNOWN;
    return y.bytes <= x.bytes && memcmp(luma_str_data(&x), luma_str_data(&y), y.bytes) == 0
               ? IS_TRUE
               : IS_FALSE;
}

static enum truth
like_regex(struct run *r, const struct js_node *n, struct luma_slice text)
{
    struct luma_str x;
    bool matches = false;
    if (!text_of(r, text, &x))
        return IS_UNKNOWN;
    luma_rc rc = js_jsonpath_like(r->call, luma_str_slice(&x), n, &matches);
    if (rc != LUMA_OK) {
        r->rc = rc;
        return IS_UNKNOWN;
    }
    return matches ? IS_TRUE : IS_FALSE;
}

static enum truth
judge(struct run *r, const struct js_node *n, struct luma_slice left, struct luma_slice right)
{
    return n->kind == LUMA_JSONPATH_STARTS  ? starts_with(r, left, right)
           : n->kind == LUMA_JSONPATH_REGEX ? like_regex(r, n, left)
                                            : compare(r, n, left, right);
}

/* True for any pair: at once in lax mode; in strict mode nothing may be unknown. */
static enum truth
pairs(struct run *r, const struct js_node *n, struct luma_slice doc)
{
    struct js_items left = {NULL, 0, 0}, right = {NULL, 0, 0};
    bool saved = r->silent, found = false, unknown = false;
    r->silent = true;
    bool failed = is_failed(collect(r, n->left, doc, true, &left)) ||
                  (n->right != NULL &&
                   is_failed(collect(r, n->right, doc, n->kind != LUMA_JSONPATH_STARTS, &right)));
    r->silent = saved;
    if (failed)
        return IS_UNKNOWN;
    uint32_t count = n->right != NULL ? right.count : 1;
    for (uint32_t i = 0; i < left.count; i++)
        for (uint32_t k = 0; k < count; k++) {
            enum truth truth =
                judge(r, n, left.list[i], n->right != NULL ? right.list[k] : left.list[i]);
            if (truth == IS_UNKNOWN && !r->lax)
                return IS_UNKNOWN;
            if (truth == IS_TRUE && r->lax)
                return IS_TRUE;
            unknown |= truth == IS_UNKNOWN;
            found |= truth == IS_TRUE;
        }
    return found ? IS_TRUE : unknown ? IS_UNKNOWN : IS_FALSE;
}

static enum truth
exists(struct run *r, const struct js_node *n, struct luma_slice doc)
{
    struct js_items items = {NULL, 0, 0};
    bool saved = r->silent;
    r->silent = true;
    enum result res =
        r->lax ? run_node(r, n->left, doc, NULL, true) : collect(r, n->left, doc, false, &items);
    r->silent = saved;
    if (is_failed(res))
        return IS_UNKNOWN;
    return (r->lax ? res == DONE : items.count > 0) ? IS_TRUE : IS_FALSE;
}

static enum truth
predicate(struct run *r, const struct js_node *n, struct luma_slice doc)
{
    enum truth left, right;
    switch (n->kind) {
    case LUMA_JSONPATH_AND:
        left = predicate(r, n->left, doc);
        if (left == IS_FALSE)
            return IS_FALSE;
        right = predicate(r, n->right, doc);
        return right == IS_TRUE ? left : right;
    case LUMA_JSONPATH_OR:
        left = predicate(r, n->left, doc);
        if (left == IS_TRUE)
            return IS_TRUE;
        right = predicate(r, n->right, doc);
        return right == IS_FALSE ? left : right;
    case LUMA_JSONPATH_NOT:
        left = predicate(r, n->left, doc);
        return left == IS_UNKNOWN ? IS_UNKNOWN : left == IS_TRUE ? IS_FALSE : IS_TRUE;
    case LUMA_JSONPATH_UNKNOWN:
        return predicate(r, n->left, doc) == IS_UNKNOWN ? IS_TRUE : IS_FALSE;
    case LUMA_JSONPATH_EXISTS:
        return exists(r, n, doc);
    default:
        return pairs(r, n, doc);
    }
}

static enum result
filter(struct run *r, const struct js_node *n, struct luma_slice doc, struct js_items *found)
{
    struct luma_slice saved = r->current;
    r->current = doc;
    enum truth truth = predicate(r, n->left, doc);
    r->current = saved;
    if (r->rc != LUMA_OK)
        return FAILED;
    return truth == IS_TRUE ? go_on(r, n, doc, found) : NONE;
}

/* ---- subscripts ---- */

static enum result
subscript(struct run *r, const struct js_node *n, struct luma_slice doc, int64_t *out)
{
    struct js_items items = {NULL, 0, 0};
    struct luma_str number, whole;
    luma_i128 v = 0;
    if (is_failed(collect(r, n, doc, false, &items)))
        return FAILED;
    if (items.count != 1 || !number_of(r, items.list[0], &number))
        return FAIL(r, "22033", "jsonpath array subscript is not a single numeric value");
    if (r->data->numeric_round(r->call->arena, &number, 0, true, &whole) != LUMA_OK ||
        r->data->numeric_to_i128(&whole, 0, &v) != LUMA_OK || v < INT32_MIN || v > INT32_MAX)
        return FAIL(r, "22033", "jsonpath array subscript is out of integer range");
    *out = (int64_t)v;
    return DONE;
}

static enum result
one_subscript(struct run *r, const struct js_node *n, const struct js_subscript *s,
              struct luma_slice doc, struct js_items *found)
{
    bool array = kind_of(r, doc) == 'a';
    int64_t count = r->array_count, from, to;
    enum result res = NONE;
    if (is_failed(subscript(r, s->from, doc, &from)))
        return FAILED;
    to = from;
    if (s->to != NULL && is_failed(subscript(r, s->to, doc, &to)))
        return FAILED;
    if (!r->lax && !r->forgive && (from < 0 || from > to || to >= count))
        return FAIL(r, "22033", "jsonpath array subscript is out of bounds");
    from = from < 0 ? 0 : from;
    to = to >= count ? count - 1 : to;
    for (int64_t i = from; i <= to && !enough(res, found); i++) {
        struct luma_slice sub = doc;
        if (array && is_failed(element(r, doc, (uint32_t)i, &sub)))
            return FAILED;
        enum result one = go_on(r, n, sub, found);
        res = one == NONE ? res : one;
    }
    return res;
}

static enum result
subscripts(struct run *r, const struct js_node *n, struct luma_slice doc, struct js_items *found)
{
    bool array = kind_of(r, doc) == 'a';
    int64_t saved = r->array_count;
    enum result res = NONE;
    if (!array && !r->lax)
        return r->forgive
                   ? NONE
                   : FAIL(r, "22039", "jsonpath array accessor can only be applied to an array");
    for (uint32_t i = 0; i < n->first && !enough(res, found); i++) {
        r->array_count = array ? (int64_t)r->data->doc_count(doc) : 1;
        enum result one = one_subscript(r, n, &n->list[i], doc, found);
        res = one == NONE ? res : one;
    }
    r->array_count = saved;
    return res;
}

/* ---- accessors and methods ---- */

static enum result
key(struct run *r, const struct js_node *n, struct luma_slice doc, struct js_items *found,
    bool unwrap)
{
    struct luma_slice sub;
    char kind = kind_of(r, doc);
    if (kind == 'o' && r->data->doc_field(doc, n->text, &sub))
        return go_on(r, n, sub, found);
    if (kind == 'o')
        return r->lax || r->forgive ? NONE
                                    : FAIL(r, "2203A", "JSON object does not contain key \"%.*s\"",
                                           (int)n->text.bytes, (const char *)n->text.data);
    if (kind == 'a' && unwrap)
        return run_elements(r, n, doc, found);
    return r->lax || r->forgive
               ? NONE
               : FAIL(r, "2203A", "jsonpath member accessor can only be applied to an object");
}

static enum result
wildcard(struct run *r, const struct js_node *n, struct luma_slice doc, struct js_items *found,
         bool unwrap)
{
    char kind = kind_of(r, doc);
    if (n->kind == LUMA_JSONPATH_ANY_ARRAY) {
        if (kind == 'a')
            return members(r, n, doc, found);
        if (r->lax)
            return go_on(r, n, doc, found);
        return r->forgive
                   ? NONE
                   : FAIL(r, "22039",
                          "jsonpath wildcard array accessor can only be applied to an array");
    }
    if (kind == 'o')
        return members(r, n, doc, found);
    if (kind == 'a' && unwrap)
        return run_elements(r, n, doc, found);
    return r->lax || r->forgive
               ? NONE
               : FAIL(r, "2203C",
                      "jsonpath wildcard member accessor can only be applied to an object");
}

static const char *
method_name(uint8_t kind)
{
    static const char *const names[] = {"type",    "size",   "abs",      "floor",
                                        "ceiling", "double", "keyvalue", "datetime"};
    return names[kind - LUMA_JSONPATH_TYPE];
}

static enum result
type_name(struct run *r, const struct js_node *n, struct luma_slice doc, struct js_items *found)
{
    static const char kinds[] = "oasnbz";
    static const char *const names[] = {"object", "array", "string", "number", "boolean", "null"};
    const char *name = names[strchr(kinds, kind_of(r, doc)) - kinds];
    struct luma_slice out;
    return is_failed(make_text(r, luma_slice(name, strlen(name)), &out)) ? FAILED
                                                                         : go_on(r, n, out, found);
}

static enum result
size(struct run *r, const struct js_node *n, struct luma_slice doc, struct js_items *found)
{
    bool array = kind_of(r, doc) == 'a';
    struct luma_slice out;
    if (!array && !r->lax)
        return r->forgive ? NONE
                          : FAIL(r, "22039",
                                 "jsonpath item method .size() can only be applied to an array");
    return is_failed(make_int(r, array ? (int64_t)r->data->doc_count(doc) : 1, &out))
               ? FAILED
               : go_on(r, n, out, found);
}

static enum result
numeric_method(struct run *r, const struct js_node *n, struct luma_slice doc,
               struct js_items *found)
{
    struct luma_str number;
    struct luma_slice out;
    enum luma_numeric_fn fn = n->kind == LUMA_JSONPATH_ABS     ? LUMA_NUMERIC_ABS
                              : n->kind == LUMA_JSONPATH_FLOOR ? LUMA_NUMERIC_FLOOR
                                                               : LUMA_NUMERIC_CEIL;
    if (!number_of(r, doc, &number))
        return FAIL(r, "22036", "jsonpath item method .%s() can only be applied to a numeric value",
                    method_name(n->kind));
    luma_rc rc = r->data->numeric_fn(r->call->ctx, r->call->arena, fn, &number, &number);
    if (rc != LUMA_OK)
        return fatal(r, rc);
    return is_failed(make_number(r, number, &out)) ? FAILED : go_on(r, n, out, found);
}

static enum result
to_double(struct run *r, const struct js_node *n, struct luma_slice doc, struct js_items *found)
{
    struct luma_str text;
    struct luma_value v = {.is_null = true};
    struct luma_slice out;
    bool number = number_of(r, doc, &text);
    if (number) {
        struct luma_value in = {.type = luma_type(LUMA_TYPE_NUMERIC), .phys = LUMA_PHYS_STR};
        in.str = text;
        const char *plain = r->data->value_text(&in, NULL, r->call->arena);
        if (plain == NULL)
            return fatal(r, luma_func_no_memory(r->call));
        text = luma_str_make(plain, (uint32_t)strlen(plain));
    } else if (!text_of(r, doc, &text)) {
        return FAIL(r, "22036",
                    "jsonpath item method .double() can only be applied to a string or numeric "
                    "value");
    }
    luma_rc rc = r->data->from_text(r->call->ctx, r->call->arena, luma_type(LUMA_TYPE_FLOAT8), NULL,
                                    luma_str_slice(&text), &v);
    if (rc != LUMA_OK || v.f64 != v.f64 || v.f64 - v.f64 != 0) {
        luma_error_reset(r->call->ctx->error);
        return FAIL(r, "22036",
                    number ? "numeric argument of jsonpath item method .double() is out of range "
                             "for type double precision"
                           : "string argument of jsonpath item method .double() is not a valid "
                             "representation of a double precision number");
    }
    if (number)
        return go_on(r, n, doc, found);
    return is_failed(make(r, &v, &out)) ? FAILED : go_on(r, n, out, found);
}

static enum result
keyvalue(struct run *r, const struct js_node *n, struct luma_slice doc, struct js_items *found)
{
    static const char *const names[] = {"key", "value", "id"};
    enum result res = NONE;
    if (kind_of(r, doc) != 'o')
        return FAIL(r, "2203C",
                    "jsonpath item method .keyvalue() can only be applied to an object");
    for (uint32_t i = 0, count = r->data->doc_count(doc); i < count && !enough(res, found); i++) {
        struct luma_slice parts[3], keys[3], name;
        struct luma_str *made = LUMA_NEW(r->call->arena, struct luma_str);
        int64_t place = doc.data >= r->root.data && doc.data < r->root.data + r->root.bytes
                            ? (int64_t)(doc.data - r->root.data)
                            : 0;
        if (made == NULL || !r->data->doc_at(doc, i, &name, &parts[1]))
            return fatal(r, luma_func_no_memory(r->call));
        if (is_failed(make_text(r, name, &parts[0])) || is_failed(make_int(r, place, &parts[2])))
            return FAILED;
        for (int k = 0; k < 3; k++)
            keys[k] = luma_slice(names[k], strlen(names[k]));
        luma_rc rc = r->data->doc_make_object(r->call->ctx, r->call->arena, keys, parts, 3, made);
        if (rc != LUMA_OK)
            return fatal(r, rc);
        enum result one = go_on(r, n, luma_str_slice(made), found);
        res = one == NONE ? res : one;
    }
    return res;
}

static enum result
method(struct run *r, const struct js_node *n, struct luma_slice doc, struct js_items *found,
       bool unwrap)
{
    if (n->kind == LUMA_JSONPATH_TYPE)
        return type_name(r, n, doc, found);
    if (n->kind == LUMA_JSONPATH_SIZE)
        return size(r, n, doc, found);
    if (unwrap && kind_of(r, doc) == 'a')
        return run_elements(r, n, doc, found);
    if (n->kind == LUMA_JSONPATH_DOUBLE)
        return to_double(r, n, doc, found);
    if (n->kind == LUMA_JSONPATH_KEYVALUE)
        return keyvalue(r, n, doc, found);
    if (n->kind == LUMA_JSONPATH_DATETIME)
        return fatal(r, LUMA_FAIL_SQL(r->call->ctx, LUMA_E_UNSUPPORTED, "0A000",
                                      "jsonpath item method .datetime() is not supported"));
    return numeric_method(r, n, doc, found);
}

/* ---- values ---- */

static enum result
variable(struct run *r, const struct js_node *n, struct luma_slice *out)
{
    if (r->vars.bytes > 0 && r->data->doc_field(r->vars, n->text, out))
        return DONE;
    return fatal(r, LUMA_FAIL_SQL(r->call->ctx, LUMA_E_UNDEFINED, "42704",
                                  "could not find jsonpath variable \"%.*s\"", (int)n->text.bytes,
                                  (const char *)n->text.data));
}

static enum result
value_of(struct run *r, const struct js_node *n, struct luma_slice *out)
{
    struct luma_value number;
    luma_rc rc;
    switch (n->kind) {
    case LUMA_JSONPATH_NULL:
        return make_truth(r, IS_UNKNOWN, out);
    case LUMA_JSONPATH_BOOL:
        return make_truth(r, n->flag != 0 ? IS_TRUE : IS_FALSE, out);
    case LUMA_JSONPATH_STRING:
        return make_text(r, n->text, out);
    case LUMA_JSONPATH_VARIABLE:
        return variable(r, n, out);
    case LUMA_JSONPATH_NUMBER:
        rc = r->data->from_text(r->call->ctx, r->call->arena, luma_type(LUMA_TYPE_NUMERIC), NULL,
                                n->text, &number);
        return rc == LUMA_OK ? make_number(r, number.str, out) : fatal(r, rc);
    case LUMA_JSONPATH_ROOT:
        *out = r->root;
        return DONE;
    case LUMA_JSONPATH_CURRENT:
        *out = r->current;
        return DONE;
    default: /* LAST */
        return make_int(r, r->array_count - 1, out);
    }
}

static enum result
run_node(struct run *r, const struct js_node *n, struct luma_slice doc, struct js_items *found,
         bool unwrap)
{
    struct luma_slice out;
    if (r->rc != LUMA_OK)
        return FAILED;
    if (n->kind <= LUMA_JSONPATH_LAST)
        return is_failed(value_of(r, n, &out)) ? FAILED : go_on(r, n, out, found);
    if (n->kind >= LUMA_JSONPATH_ADD && n->kind <= LUMA_JSONPATH_MOD)
        return arithmetic(r, n, doc, found);
    if (n->kind >= LUMA_JSONPATH_TYPE && n->kind <= LUMA_JSONPATH_DATETIME)
        return method(r, n, doc, found, unwrap);
    switch (n->kind) {
    case LUMA_JSONPATH_PLUS:
    case LUMA_JSONPATH_MINUS:
        return sign(r, n, doc, found);
    case LUMA_JSONPATH_FILTER:
        if (unwrap && kind_of(r, doc) == 'a')
            return run_elements(r, n, doc, found);
        return filter(r, n, doc, found);
    case LUMA_JSONPATH_KEY:
        return key(r, n, doc, found, unwrap);
    case LUMA_JSONPATH_ANY_KEY:
    case LUMA_JSONPATH_ANY_ARRAY:
        return wildcard(r, n, doc, found, unwrap);
    case LUMA_JSONPATH_INDEX:
        return subscripts(r, n, doc, found);
    case LUMA_JSONPATH_ANY:
        return descend(r, n, doc, 0, found);
    default: {
        enum truth truth = predicate(r, n, doc);
        if (r->rc != LUMA_OK || is_failed(make_truth(r, truth, &out)))
            return FAILED;
        return go_on(r, n, out, found);
    }
    }
}

luma_rc
js_jsonpath_run(const struct luma_func_call *call, const struct luma_str *path,
                struct luma_slice doc, struct luma_slice vars, bool silent, struct js_items *out,
                bool *out_failed)
{
    struct run r = {.call = call,
                    .data = js_host->data,
                    .root = doc,
                    .current = doc,
                    .vars = vars,
                    .silent = silent,
                    .array_count = -1};
    struct js_node *root = NULL;
    LUMA_TRY(js_jsonpath_read(call, path, &r.lax, &root));
    memset(out, 0, sizeof(*out));
    *out_failed = is_failed(run_node(&r, root, doc, out, r.lax));
    return r.rc;
}
