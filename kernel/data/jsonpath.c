/* data/jsonpath.c - text of a jsonpath to the tree of host/jsonpath.h, by PostgreSQL 15's grammar.
 */
#include "data/jsonpath.h"

#include "data/jsonpath_priv.h"

#define DEPTH_MAX 200u
/* Printed, a level of the tree costs its reader three: what is stored can be read again. */
#define TREE_DEPTH_MAX 60u

struct node {
    uint8_t kind, flags;
    bool predicate, boolean;
    struct luma_slice text;
    uint32_t first, last;
    struct node *next;         /* the accessor that follows */
    struct node *left, *right; /* operands; INDEX: list, and its "to" in right */
    struct node *more;         /* the next subscript of INDEX, which is in left */
};

struct parser {
    struct lki_jsonpath_lexer x;
    uint32_t depth;
};

static luma_rc parse_or(struct parser *p, struct node **out);
static luma_rc parse_add(struct parser *p, struct node **out);

static luma_rc
new_node(struct parser *p, uint8_t kind, struct node **out)
{
    struct node *n = LUMA_NEW(p->x.arena, struct node);
    if (n == NULL)
        return LUMA_FAIL(p->x.ctx, LUMA_E_NOMEM, "out of memory");
    n->kind = kind;
    *out = n;
    return LUMA_OK;
}

static luma_rc
expect(struct parser *p, int token)
{
    if ((int)p->x.token != token)
        return lki_jsonpath_syntax(&p->x);
    return lki_jsonpath_next(&p->x);
}

static bool
is(const struct parser *p, int token)
{
    return (int)p->x.token == token;
}

static luma_rc
deeper(struct parser *p)
{
    if (++p->depth > DEPTH_MAX)
        return LUMA_FAIL_SQL(p->x.ctx, LUMA_E_LIMIT, "54001", "jsonpath is nested too deeply");
    return LUMA_OK;
}

/* ---- accessors ---- */

static void
chain(struct node *n, struct node *accessor)
{
    while (n->next != NULL)
        n = n->next;
    n->next = accessor;
}

static luma_rc
any_level(struct parser *p, uint32_t *out)
{
    uint64_t v = 0;
    if (is(p, LKI_JP_LAST)) {
        *out = UINT32_MAX;
        return lki_jsonpath_next(&p->x);
    }
    if (!is(p, LKI_JP_INT))
        return lki_jsonpath_syntax(&p->x);
    for (size_t i = 0; i < p->x.text.bytes && v < UINT32_MAX; i++)
        v = v * 10 + (uint64_t)(p->x.text.data[i] - '0');
    *out = v >= UINT32_MAX ? UINT32_MAX - 1 : (uint32_t)v;
    return lki_jsonpath_next(&p->x);
}

static luma_rc
any_path(struct parser *p, struct node **out)
{
    LUMA_TRY(new_node(p, LUMA_JSONPATH_ANY, out));
    (*out)->last = UINT32_MAX;
    LUMA_TRY(lki_jsonpath_next(&p->x));
    if (!is(p, '{'))
        return LUMA_OK;
    LUMA_TRY(lki_jsonpath_next(&p->x));
    LUMA_TRY(any_level(p, &(*out)->first));
    (*out)->last = (*out)->first;
    if (is(p, LKI_JP_TO)) {
        LUMA_TRY(lki_jsonpath_next(&p->x));
        LUMA_TRY(any_level(p, &(*out)->last));
    }
    return expect(p, '}');
}

static uint8_t
method_of(enum lki_jsonpath_token token)
{
    switch (token) {
    case LKI_JP_TYPE:
        return LUMA_JSONPATH_TYPE;
    case LKI_JP_SIZE:
        return LUMA_JSONPATH_SIZE;
    case LKI_JP_ABS:
        return LUMA_JSONPATH_ABS;
    case LKI_JP_FLOOR:
        return LUMA_JSONPATH_FLOOR;
    case LKI_JP_CEILING:
        return LUMA_JSONPATH_CEILING;
    case LKI_JP_DOUBLE:
        return LUMA_JSONPATH_DOUBLE;
    case LKI_JP_KEYVALUE:
        return LUMA_JSONPATH_KEYVALUE;
    case LKI_JP_DATETIME:
        return LUMA_JSONPATH_DATETIME;
    default:
        return 0;
    }
}

/* After the dot. */
static luma_rc
member(struct parser *p, struct node **out)
{
    enum lki_jsonpath_token token = p->x.token;
    struct luma_slice text = p->x.text;
    if (token == LKI_JP_ANY)
        return any_path(p, out);
    if ((int)token == '*') {
        LUMA_TRY(new_node(p, LUMA_JSONPATH_ANY_KEY, out));
        return lki_jsonpath_next(&p->x);
    }
    if (token != LKI_JP_IDENT && token != LKI_JP_STRING && token < LKI_JP_IS)
        return lki_jsonpath_syntax(&p->x);
    LUMA_TRY(new_node(p, LUMA_JSONPATH_KEY, out));
    (*out)->text = text;
    LUMA_TRY(lki_jsonpath_next(&p->x));
    if (!is(p, '(') || method_of(token) == 0)
        return LUMA_OK;
    (*out)->kind = method_of(token);
    LUMA_TRY(lki_jsonpath_next(&p->x));
    if (token == LKI_JP_DATETIME && is(p, LKI_JP_STRING)) {
        LUMA_TRY(new_node(p, LUMA_JSONPATH_STRING, &(*out)->left));
        (*out)->left->text = p->x.text;
        LUMA_TRY(lki_jsonpath_next(&p->x));
    }
    return expect(p, ')');
}

static luma_rc
subscript(struct parser *p, struct node *n, struct node **out)
{
    LUMA_TRY(new_node(p, 0, out));
    LUMA_TRY(parse_add(p, &(*out)->left));
    n->first++;
    if ((*out)->left->predicate)
        return lki_jsonpath_syntax(&p->x);
    if (!is(p, LKI_JP_TO))
        return LUMA_OK;
    LUMA_TRY(lki_jsonpath_next(&p->x));
    LUMA_TRY(parse_add(p, &(*out)->right));
    return (*out)->right->predicate ? lki_jsonpath_syntax(&p->x) : LUMA_OK;
}

static luma_rc
brackets(struct parser *p, struct node **out)
{
    LUMA_TRY(lki_jsonpath_next(&p->x));
    if (is(p, '*')) {
        LUMA_TRY(new_node(p, LUMA_JSONPATH_ANY_ARRAY, out));
        LUMA_TRY(lki_jsonpath_next(&p->x));
        return expect(p, ']');
    }
    LUMA_TRY(new_node(p, LUMA_JSONPATH_INDEX, out));
    struct node **at = &(*out)->left;
    for (;;) {
        LUMA_TRY(subscript(p, *out, at));
        at = &(*at)->more;
        if (!is(p, ','))
            return expect(p, ']');
        LUMA_TRY(lki_jsonpath_next(&p->x));
    }
}

static luma_rc
filter(struct parser *p, struct node **out)
{
    LUMA_TRY(new_node(p, LUMA_JSONPATH_FILTER, out));
    LUMA_TRY(lki_jsonpath_next(&p->x));
    LUMA_TRY(expect(p, '('));
    LUMA_TRY(parse_or(p, &(*out)->left));
    if (!(*out)->left->predicate)
        return lki_jsonpath_syntax(&p->x);
    return expect(p, ')');
}

static luma_rc
accessors(struct parser *p, struct node *n)
{
    for (;;) {
        struct node *accessor;
        if (is(p, '.')) {
            LUMA_TRY(lki_jsonpath_next(&p->x));
            LUMA_TRY(member(p, &accessor));
        } else if (is(p, '[')) {
            LUMA_TRY(brackets(p, &accessor));
        } else if (is(p, '?')) {
            LUMA_TRY(filter(p, &accessor));
        } else {
            return LUMA_OK;
        }
        n->predicate = false;
        chain(n, accessor);
    }
}

/* ---- primaries ---- */

static luma_rc
parenthesis(struct parser *p, struct node **out)
{
    LUMA_TRY(deeper(p));
    LUMA_TRY(lki_jsonpath_next(&p->x));
    LUMA_TRY(parse_or(p, out));
    LUMA_TRY(expect(p, ')'));
    p->depth--;
    if (!(*out)->predicate || !is(p, LKI_JP_IS))
        return LUMA_OK;
    struct node *inner = *out;
    LUMA_TRY(lki_jsonpath_next(&p->x));
    LUMA_TRY(expect(p, LKI_JP_UNKNOWN));
    LUMA_TRY(new_node(p, LUMA_JSONPATH_UNKNOWN, out));
    (*out)->left = inner;
    (*out)->predicate = true;
    return LUMA_OK;
}

static luma_rc
number(struct parser *p, struct luma_slice text, struct node **out)
{
    struct luma_value v;
    LUMA_TRY(new_node(p, LUMA_JSONPATH_NUMBER, out));
    LUMA_TRY(lk_data_from_text(p->x.ctx, p->x.arena, luma_type(LUMA_TYPE_NUMERIC), NULL, text, &v));
    const char *plain = lk_data_value_text(&v, NULL, p->x.arena);
    if (plain == NULL)
        return LUMA_FAIL(p->x.ctx, LUMA_E_NOMEM, "out of memory");
    (*out)->text = luma_slice(plain, strlen(plain));
    return LUMA_OK;
}

static luma_rc
primary(struct parser *p, struct node **out)
{
    enum lki_jsonpath_token token = p->x.token;
    struct luma_slice text = p->x.text;
    switch ((int)token) {
    case '(':
        return parenthesis(p, out);
    case LKI_JP_INT:
    case LKI_JP_NUMERIC:
        LUMA_TRY(number(p, text, out));
        break;
    case LKI_JP_STRING:
    case LKI_JP_VARIABLE:
        LUMA_TRY(new_node(p, token == LKI_JP_STRING ? LUMA_JSONPATH_STRING : LUMA_JSONPATH_VARIABLE,
                          out));
        (*out)->text = text;
        break;
    case LKI_JP_TRUE:
    case LKI_JP_FALSE:
        LUMA_TRY(new_node(p, LUMA_JSONPATH_BOOL, out));
        (*out)->boolean = token == LKI_JP_TRUE;
        break;
    case LKI_JP_NULL:
        LUMA_TRY(new_node(p, LUMA_JSONPATH_NULL, out));
        break;
    case LKI_JP_LAST:
        LUMA_TRY(new_node(p, LUMA_JSONPATH_LAST, out));
        break;
    case '$':
        LUMA_TRY(new_node(p, LUMA_JSONPATH_ROOT, out));
        break;
    case '@':
        LUMA_TRY(new_node(p, LUMA_JSONPATH_CURRENT, out));
        break;
    default:
        return lki_jsonpath_syntax(&p->x);
    }
    return lki_jsonpath_next(&p->x);
}

static luma_rc
accessor_expr(struct parser *p, struct node **out)
{
    LUMA_TRY(primary(p, out));
    return accessors(p, *out);
}

/* ---- arithmetic ---- */

static luma_rc
negated_number(struct parser *p, struct node **inout)
{
    size_t bytes = (*inout)->text.bytes;
    const char *digits = (const char *)(*inout)->text.data;
    char *text = luma_arena_alloc_aligned(p->x.arena, bytes + 2, 1);
    if (text == NULL)
        return LUMA_FAIL(p->x.ctx, LUMA_E_NOMEM, "out of memory");
    if (digits[0] == '-') {
        (*inout)->text = luma_slice(digits + 1, bytes - 1);
        return LUMA_OK;
    }
    text[0] = '-';
    memcpy(text + 1, digits, bytes);
    return number(p, luma_slice(text, bytes + 1), inout);
}

static luma_rc
parse_unary(struct parser *p, struct node **out)
{
    if (!is(p, '+') && !is(p, '-'))
        return accessor_expr(p, out);
    bool minus = is(p, '-');
    struct node *arg;
    LUMA_TRY(deeper(p));
    LUMA_TRY(lki_jsonpath_next(&p->x));
    LUMA_TRY(parse_unary(p, &arg));
    p->depth--;
    if (arg->predicate)
        return lki_jsonpath_syntax(&p->x);
    *out = arg;
    if (arg->kind == LUMA_JSONPATH_NUMBER && arg->next == NULL)
        return minus ? negated_number(p, out) : LUMA_OK;
    LUMA_TRY(new_node(p, minus ? LUMA_JSONPATH_MINUS : LUMA_JSONPATH_PLUS, out));
    (*out)->left = arg;
    return LUMA_OK;
}

static luma_rc
binary(struct parser *p, uint8_t kind, struct node *left, struct node *right, bool of_predicates,
       struct node **out)
{
    if (left->predicate != of_predicates || right->predicate != of_predicates)
        return lki_jsonpath_syntax(&p->x);
    LUMA_TRY(new_node(p, kind, out));
    (*out)->left = left;
    (*out)->right = right;
    return LUMA_OK;
}

static luma_rc
parse_mul(struct parser *p, struct node **out)
{
    LUMA_TRY(parse_unary(p, out));
    while (is(p, '*') || is(p, '/') || is(p, '%')) {
        uint8_t kind = is(p, '*')   ? LUMA_JSONPATH_MUL
                       : is(p, '/') ? LUMA_JSONPATH_DIV
                                    : LUMA_JSONPATH_MOD;
        struct node *right;
        LUMA_TRY(lki_jsonpath_next(&p->x));
        LUMA_TRY(parse_unary(p, &right));
        LUMA_TRY(binary(p, kind, *out, right, false, out));
    }
    return LUMA_OK;
}

static luma_rc
parse_add(struct parser *p, struct node **out)
{
    LUMA_TRY(parse_mul(p, out));
    while (is(p, '+') || is(p, '-')) {
        uint8_t kind = is(p, '+') ? LUMA_JSONPATH_ADD : LUMA_JSONPATH_SUB;
        struct node *right;
        LUMA_TRY(lki_jsonpath_next(&p->x));
        LUMA_TRY(parse_mul(p, &right));
        LUMA_TRY(binary(p, kind, *out, right, false, out));
    }
    return LUMA_OK;
}

/* ---- predicates ---- */

static luma_rc
regex_flags(struct parser *p, struct luma_slice text, uint8_t *out)
{
    static const char letters[] = "ismxq";
    for (size_t i = 0; i < text.bytes; i++) {
        const char *at = strchr(letters, text.data[i]);
        if (at == NULL || text.data[i] == '\0') {
            luma_rc rc = LUMA_FAIL_SQL(p->x.ctx, LUMA_E_SYNTAX, "42601",
                                       "invalid input syntax for type jsonpath");
            if (p->x.ctx->error != NULL)
                p->x.ctx->error->detail = "Unrecognized flag character in LIKE_REGEX predicate.";
            return rc;
        }
        *out = (uint8_t)(*out | 1u << (at - letters));
    }
    if ((*out & LUMA_JSONPATH_REGEX_X) != 0 && (*out & LUMA_JSONPATH_REGEX_Q) == 0)
        return LUMA_FAIL_SQL(p->x.ctx, LUMA_E_UNSUPPORTED, "0A000",
                             "XQuery \"x\" flag (expanded regular expressions) is not implemented");
    return LUMA_OK;
}

/* The patterns are compiled when they are used; what is open stays open and is said at once. */
static luma_rc
check_pattern(struct parser *p, struct luma_slice pattern)
{
    int open = 0;
    bool set = false;
    for (size_t i = 0; i < pattern.bytes && open >= 0; i++) {
        char c = (char)pattern.data[i];
        if (c == '\\')
            i++;
        else if (set)
            set = c != ']';
        else if (c == '[')
            set = true;
        else
            open += c == '(' ? 1 : c == ')' ? -1 : 0;
    }
    if (open != 0)
        return LUMA_FAIL_SQL(p->x.ctx, LUMA_E_DATA, "2201B",
                             "invalid regular expression: parentheses () not balanced");
    return LUMA_OK;
}

static luma_rc
like_regex(struct parser *p, struct node *left, struct node **out)
{
    LUMA_TRY(lki_jsonpath_next(&p->x));
    if (!is(p, LKI_JP_STRING))
        return lki_jsonpath_syntax(&p->x);
    LUMA_TRY(new_node(p, LUMA_JSONPATH_REGEX, out));
    (*out)->left = left;
    (*out)->text = p->x.text;
    (*out)->predicate = true;
    LUMA_TRY(lki_jsonpath_next(&p->x));
    if (is(p, LKI_JP_FLAG)) {
        LUMA_TRY(lki_jsonpath_next(&p->x));
        if (!is(p, LKI_JP_STRING))
            return lki_jsonpath_syntax(&p->x);
        LUMA_TRY(regex_flags(p, p->x.text, &(*out)->flags));
        LUMA_TRY(lki_jsonpath_next(&p->x));
    }
    return ((*out)->flags & LUMA_JSONPATH_REGEX_Q) != 0 ? LUMA_OK : check_pattern(p, (*out)->text);
}

static luma_rc
starts_with(struct parser *p, struct node *left, struct node **out)
{
    struct node *right;
    LUMA_TRY(lki_jsonpath_next(&p->x));
    LUMA_TRY(expect(p, LKI_JP_WITH));
    if (!is(p, LKI_JP_STRING) && !is(p, LKI_JP_VARIABLE))
        return lki_jsonpath_syntax(&p->x);
    LUMA_TRY(primary(p, &right));
    LUMA_TRY(binary(p, LUMA_JSONPATH_STARTS, left, right, false, out));
    (*out)->predicate = true;
    return LUMA_OK;
}

static uint8_t
comparison_of(int token)
{
    switch (token) {
    case LKI_JP_EQ:
        return LUMA_JSONPATH_EQ;
    case LKI_JP_NE:
        return LUMA_JSONPATH_NE;
    case LKI_JP_LE:
        return LUMA_JSONPATH_LE;
    case LKI_JP_GE:
        return LUMA_JSONPATH_GE;
    case '<':
        return LUMA_JSONPATH_LT;
    case '>':
        return LUMA_JSONPATH_GT;
    default:
        return 0;
    }
}

static luma_rc
comparison(struct parser *p, struct node **out)
{
    struct node *right;
    LUMA_TRY(parse_add(p, out));
    if ((*out)->predicate)
        return LUMA_OK;
    if (is(p, LKI_JP_REGEX))
        return like_regex(p, *out, out);
    if (is(p, LKI_JP_STARTS))
        return starts_with(p, *out, out);
    uint8_t kind = comparison_of((int)p->x.token);
    if (kind == 0)
        return LUMA_OK;
    LUMA_TRY(lki_jsonpath_next(&p->x));
    LUMA_TRY(parse_add(p, &right));
    LUMA_TRY(binary(p, kind, *out, right, false, out));
    (*out)->predicate = true;
    return LUMA_OK;
}

static luma_rc
exists(struct parser *p, struct node **out)
{
    LUMA_TRY(lki_jsonpath_next(&p->x));
    LUMA_TRY(expect(p, '('));
    LUMA_TRY(new_node(p, LUMA_JSONPATH_EXISTS, out));
    (*out)->predicate = true;
    LUMA_TRY(deeper(p));
    LUMA_TRY(parse_add(p, &(*out)->left));
    p->depth--;
    if ((*out)->left->predicate)
        return lki_jsonpath_syntax(&p->x);
    return expect(p, ')');
}

static luma_rc
parse_not(struct parser *p, struct node **out)
{
    if (is(p, LKI_JP_EXISTS))
        return exists(p, out);
    if (!is(p, '!'))
        return comparison(p, out);
    struct node *arg;
    LUMA_TRY(lki_jsonpath_next(&p->x));
    if (is(p, LKI_JP_EXISTS))
        LUMA_TRY(exists(p, &arg));
    else if (is(p, '('))
        LUMA_TRY(parenthesis(p, &arg));
    else
        return lki_jsonpath_syntax(&p->x);
    if (!arg->predicate)
        return lki_jsonpath_syntax(&p->x);
    LUMA_TRY(new_node(p, LUMA_JSONPATH_NOT, out));
    (*out)->left = arg;
    (*out)->predicate = true;
    return LUMA_OK;
}

static luma_rc
parse_and(struct parser *p, struct node **out)
{
    LUMA_TRY(parse_not(p, out));
    while (is(p, LKI_JP_AND)) {
        struct node *right;
        LUMA_TRY(lki_jsonpath_next(&p->x));
        LUMA_TRY(parse_not(p, &right));
        LUMA_TRY(binary(p, LUMA_JSONPATH_AND, *out, right, true, out));
        (*out)->predicate = true;
    }
    return LUMA_OK;
}

static luma_rc
parse_or(struct parser *p, struct node **out)
{
    LUMA_TRY(deeper(p));
    LUMA_TRY(parse_and(p, out));
    while (is(p, LKI_JP_OR)) {
        struct node *right;
        LUMA_TRY(lki_jsonpath_next(&p->x));
        LUMA_TRY(parse_and(p, &right));
        LUMA_TRY(binary(p, LUMA_JSONPATH_OR, *out, right, true, out));
        (*out)->predicate = true;
    }
    p->depth--;
    return LUMA_OK;
}

/* ---- the tree as bytes ---- */

struct writer {
    struct luma_ctx *ctx;
    uint32_t depth;
    struct lk_bytes out;
};

static void
put_u32(struct writer *w, uint32_t v)
{
    (void)lk_bytes_append(&w->out, &v, sizeof(v));
}

static void
put_bytes(struct writer *w, struct luma_slice text)
{
    put_u32(w, (uint32_t)text.bytes);
    (void)lk_bytes_append(&w->out, text.data, text.bytes);
}

static luma_rc put_node(struct writer *w, const struct node *n, uint32_t filters, bool subscripts);

static luma_rc
put_subscripts(struct writer *w, const struct node *n, uint32_t filters)
{
    put_u32(w, n->first);
    for (const struct node *s = n->left; s != NULL; s = s->more) {
        LUMA_TRY(put_node(w, s->left, filters, true));
        (void)lk_bytes_u8(&w->out, s->right != NULL);
        if (s->right != NULL)
            LUMA_TRY(put_node(w, s->right, filters, true));
    }
    return LUMA_OK;
}

static luma_rc
put_content(struct writer *w, const struct node *n, uint32_t filters, bool subscripts)
{
    switch (n->kind) {
    case LUMA_JSONPATH_BOOL:
        (void)lk_bytes_u8(&w->out, n->boolean);
        return LUMA_OK;
    case LUMA_JSONPATH_NUMBER:
    case LUMA_JSONPATH_STRING:
    case LUMA_JSONPATH_VARIABLE:
    case LUMA_JSONPATH_KEY:
        put_bytes(w, n->text);
        return LUMA_OK;
    case LUMA_JSONPATH_INDEX:
        return put_subscripts(w, n, filters);
    case LUMA_JSONPATH_ANY:
        put_u32(w, n->first);
        put_u32(w, n->last);
        return LUMA_OK;
    case LUMA_JSONPATH_DATETIME:
        (void)lk_bytes_u8(&w->out, n->left != NULL);
        return n->left == NULL ? LUMA_OK : put_node(w, n->left, filters, subscripts);
    case LUMA_JSONPATH_REGEX:
        LUMA_TRY(put_node(w, n->left, filters, subscripts));
        (void)lk_bytes_u8(&w->out, n->flags);
        put_bytes(w, n->text);
        return LUMA_OK;
    case LUMA_JSONPATH_FILTER:
        return put_node(w, n->left, filters + 1, subscripts);
    default:
        break;
    }
    if (n->left != NULL)
        LUMA_TRY(put_node(w, n->left, filters, subscripts));
    return n->right == NULL ? LUMA_OK : put_node(w, n->right, filters, subscripts);
}

static luma_rc
put_node(struct writer *w, const struct node *n, uint32_t filters, bool subscripts)
{
    if (++w->depth > TREE_DEPTH_MAX)
        return LUMA_FAIL_SQL(w->ctx, LUMA_E_LIMIT, "54001", "jsonpath is nested too deeply");
    for (; n != NULL; n = n->next) {
        if (n->kind == LUMA_JSONPATH_CURRENT && filters == 0)
            return LUMA_FAIL_SQL(w->ctx, LUMA_E_SYNTAX, "42601",
                                 "@ is not allowed in root expressions");
        if (n->kind == LUMA_JSONPATH_LAST && !subscripts)
            return LUMA_FAIL_SQL(w->ctx, LUMA_E_SYNTAX, "42601",
                                 "LAST is allowed only in array subscripts");
        (void)lk_bytes_u8(&w->out, n->kind);
        (void)lk_bytes_u8(&w->out, n->next != NULL);
        LUMA_TRY(put_content(w, n, filters, subscripts));
    }
    w->depth--;
    return LUMA_OK;
}

static luma_rc
parse(struct parser *p, bool *out_lax, struct node **out)
{
    LUMA_TRY(lki_jsonpath_next(&p->x));
    *out_lax = !is(p, LKI_JP_STRICT);
    if (is(p, LKI_JP_STRICT) || is(p, LKI_JP_LAX))
        LUMA_TRY(lki_jsonpath_next(&p->x));
    LUMA_TRY(parse_or(p, out));
    return is(p, LKI_JP_END) ? LUMA_OK : lki_jsonpath_syntax(&p->x);
}

luma_rc
lki_jsonpath_parse(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_slice text,
                   struct luma_str *out)
{
    const char *data = (const char *)text.data;
    struct parser p = {.x = {.ctx = ctx, .arena = arena, .at = data, .end = data + text.bytes}};
    struct writer w = {.ctx = ctx};
    struct node *root = NULL;
    bool lax = true;
    if (text.bytes == 0)
        return LUMA_FAIL_SQL(ctx, LUMA_E_DATA, "22P02",
                             "invalid input syntax for type jsonpath: \"\"");
    LUMA_TRY(parse(&p, &lax, &root));
    lk_bytes_init(&w.out, NULL);
    (void)lk_bytes_u8(&w.out, lax);
    luma_rc rc = put_node(&w, root, 0, false);
    struct luma_slice bytes = lk_bytes_view(&w.out);
    char *copy =
        rc == LUMA_OK && !w.out.failed ? luma_arena_copy(arena, bytes.data, bytes.bytes) : NULL;
    if (rc == LUMA_OK && copy == NULL)
        rc = LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    if (rc == LUMA_OK)
        *out = luma_str_make(copy, (uint32_t)bytes.bytes);
    lk_bytes_fini(&w.out);
    return rc;
}
