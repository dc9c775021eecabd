/*
 * data/doc_parse.c - JSON text: checking it, and making binary documents of it.
 *
 * No recursion: open containers are a chain of nodes. Nodes lie in the order of the text, parents
 * before children, so that sizes add up when a container closes and one walk over the nodes writes
 * the result.
 */
#include <stdio.h>

#include "data/doc.h"

struct node {
    uint8_t kind;
    uint8_t width;
    uint32_t parent, count;
    uint32_t first, last; /* children */
    uint32_t next;        /* sibling; 0: none */
    uint32_t name_bytes;
    uint32_t text_bytes; /* of strings, numbers and ints: the payload */
    uint32_t names_bytes, values_bytes;
    uint32_t offset; /* in the result */
    const char *name;
    const char *text;
    uint64_t size;
};

struct parser {
    struct luma_ctx *ctx;
    struct luma_arena *arena; /* NULL: only check */
    const char *start, *p, *end;
    struct node *nodes; /* nodes[0] is not used */
    uint32_t count, room;
    uint32_t depth;
    const char *reason; /* of the first error */
    const char *where;
    const char *sqlstate;
    luma_rc rc;
};

static bool
fail(struct parser *ps, const char *where, const char *reason)
{
    if (ps->rc == LUMA_OK) {
        ps->rc = LUMA_E_DATA;
        ps->sqlstate = "22P02";
        ps->reason = reason;
        ps->where = where;
    }
    return false;
}

static bool
fail_with(struct parser *ps, luma_rc rc, const char *sqlstate, const char *reason)
{
    if (ps->rc == LUMA_OK) {
        ps->rc = rc;
        ps->sqlstate = sqlstate;
        ps->reason = reason;
        ps->where = ps->p;
    }
    return false;
}

static inline void
skip_space(struct parser *ps)
{
    while (ps->p < ps->end && (*ps->p == ' ' || *ps->p == '\n' || *ps->p == '\t' || *ps->p == '\r'))
        ps->p++;
}

/* --- strings --- */

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
hex_four(struct parser *ps, const char *p, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        int d = p + i < ps->end ? hex_digit(p[i]) : -1;
        if (d < 0)
            return fail(ps, p, "\"\\u\" must be followed by four hexadecimal digits.");
        *out = *out << 4 | (uint32_t)d;
    }
    return true;
}

static char *
put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 63));
        *out++ = (char)(0x80 | (c & 63));
    } else {
        *out++ = (char)(0xf0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 63));
        *out++ = (char)(0x80 | (c >> 6 & 63));
        *out++ = (char)(0x80 | (c & 63));
    }
    return out;
}

/* \uXXXX, p behind the u; a high surrogate takes the low one along. */
static const char *
unescape_unicode(struct parser *ps, const char *p, char **out)
{
    uint32_t c, low;

    if (!hex_four(ps, p, &c))
        return NULL;
    p += 4;
    if (ps->arena == NULL) /* json keeps what is written, pairs or not */
        return p;
    if (c >= 0xd800 && c < 0xdc00) {
        if (ps->end - p < 6 || p[0] != '\\' || p[1] != 'u' || !hex_four(ps, p + 2, &low) ||
            low < 0xdc00 || low > 0xdfff) {
            fail(ps, p, "Unicode high surrogate must be followed by a low surrogate.");
            return NULL;
        }
        p += 6;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    } else if (c >= 0xdc00 && c < 0xe000) {
        fail(ps, p, "Unicode low surrogate must follow a high surrogate.");
        return NULL;
    }
    if (out == NULL)
        return p;
    if (c == 0) {
        fail_with(ps, LUMA_E_DATA, "22P05", "unsupported Unicode escape sequence");
        return NULL;
    }
    *out = put_utf8(*out, c);
    return p;
}

/* p at a backslash; writes to *out unless out is NULL. */
static const char *
unescape(struct parser *ps, const char *p, char **out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at;

    if (p + 1 == ps->end) {
        fail(ps, p, "The input string ended unexpectedly.");
        return NULL;
    }
    if (p[1] == 'u')
        return unescape_unicode(ps, p + 2, out);
    at = p[1] == '\0' ? NULL : strchr(from, p[1]);
    if (at == NULL) {
        fail(ps, p, "Escape sequence is invalid.");
        return NULL;
    }
    if (out != NULL)
        *(*out)++ = to[at - from];
    return p + 2;
}

/* From the opening quote; text is NULL when only checking. */
static bool
take_string(struct parser *ps, const char **text, uint32_t *bytes)
{
    const char *start = ++ps->p, *p = start;
    bool escaped = false;
    char *out, *first;

    while (p < ps->end && *p != '"') {
        if ((unsigned char)*p < 0x20)
            return fail(ps, p, "Character with value less than 0x20 must be escaped.");
        if (*p == '\\') {
            escaped = true;
            p = unescape(ps, p, NULL);
            if (p == NULL)
                return false;
        } else {
            p++;
        }
    }
    if (p >= ps->end)
        return fail(ps, start - 1, "The input string ended unexpectedly.");
    ps->p = p + 1;
    if (ps->arena == NULL)
        return true;
    if (!escaped) {
        *text = start;
        *bytes = (uint32_t)(p - start);
        return true;
    }
    first = out = luma_arena_alloc_aligned(ps->arena, (size_t)(p - start), 1);
    if (out == NULL)
        return fail_with(ps, LUMA_E_NOMEM, "53200", "out of memory");
    for (const char *q = start; q < p;) {
        if (*q != '\\') {
            *out++ = *q++;
            continue;
        }
        q = unescape(ps, q, &out);
        if (q == NULL)
            return false;
    }
    *text = first;
    *bytes = (uint32_t)(out - first);
    return true;
}

/* --- scalars --- */

static const char *
scan_number(const char *p, const char *end)
{
    const char *start;

    if (p < end && *p == '-')
        p++;
    if (p < end && *p == '0') {
        p++;
    } else {
        for (start = p; p < end && *p >= '0' && *p <= '9'; p++)
            ;
        if (p == start)
            return NULL;
    }
    if (p < end && *p == '.') {
        for (start = ++p; p < end && *p >= '0' && *p <= '9'; p++)
            ;
        if (p == start)
            return NULL;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        for (start = p; p < end && *p >= '0' && *p <= '9'; p++)
            ;
        if (p == start)
            return NULL;
    }
    return p;
}

/* Small integers are ints, everything else the variable form of numeric. */
static bool
number_payload(struct parser *ps, const char *p, size_t bytes, struct node *node)
{
    struct lki_calc calc = {ps->arena, false};
    struct lki_num num;
    struct luma_str str;
    char *copy;
    bool plain = bytes <= 18;
    int64_t v = 0;

    for (size_t i = *p == '-'; i < bytes && plain; i++) {
        plain = p[i] >= '0' && p[i] <= '9';
        v = v * 10 + (p[i] - '0');
    }
    if (plain) {
        v = *p == '-' ? -v : v;
        node->kind = LKI_DOC_INT;
        node->text_bytes = (uint32_t)lki_doc_int_bytes(v);
        node->text = luma_arena_copy(ps->arena, &v, 8);
        return node->text != NULL || fail_with(ps, LUMA_E_NOMEM, "53200", "out of memory");
    }
    luma_rc rc = lki_num_parse(&calc, p, bytes, &num) == LKI_PARSE_OK || calc.failed
                     ? lki_num_store(&calc, &num, &str)
                     : LUMA_E_RANGE;
    if (rc == LUMA_E_RANGE)
        return fail_with(ps, LUMA_E_RANGE, "22003", "value overflows numeric format");
    copy = rc == LUMA_OK ? luma_arena_copy(ps->arena, luma_str_data(&str), str.bytes) : NULL;
    if (copy == NULL)
        return fail_with(ps, LUMA_E_NOMEM, "53200", "out of memory");
    node->kind = LKI_DOC_NUMBER;
    node->text = copy;
    node->text_bytes = str.bytes;
    return true;
}

static inline bool
word_char(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' ||
           (unsigned char)c >= 0x80;
}

static bool
take_word(struct parser *ps, struct node *node)
{
    static const struct {
        const char *word;
        uint8_t kind;
    } words[] = {{"null", LKI_DOC_NULL}, {"false", LKI_DOC_FALSE}, {"true", LKI_DOC_TRUE}};
    const char *p = ps->p;

    while (p < ps->end && word_char(*p))
        p++;
    for (size_t i = 0; i < LUMA_COUNTOF(words); i++)
        if (strlen(words[i].word) == (size_t)(p - ps->p) &&
            memcmp(words[i].word, ps->p, (size_t)(p - ps->p)) == 0) {
            node->kind = words[i].kind;
            ps->p = p;
            return true;
        }
    return fail(ps, ps->p, NULL);
}

static bool
take_scalar(struct parser *ps, struct node *node)
{
    const char *stop;

    if (*ps->p == '"') {
        node->kind = LKI_DOC_STRING;
        return take_string(ps, &node->text, &node->text_bytes);
    }
    if (*ps->p != '-' && (*ps->p < '0' || *ps->p > '9'))
        return take_word(ps, node);
    stop = scan_number(ps->p, ps->end);
    if (stop == NULL || (stop < ps->end && word_char(*stop)))
        return fail(ps, ps->p, NULL);
    node->kind = LKI_DOC_NUMBER;
    if (ps->arena != NULL && !number_payload(ps, ps->p, (size_t)(stop - ps->p), node))
        return false;
    ps->p = stop;
    return true;
}

/* --- the tree --- */

static bool
grow_nodes(struct parser *ps)
{
    uint32_t room = ps->room == 0 ? 64 : ps->room * 2;
    struct node *nodes;

    if (ps->arena == NULL) { /* checking needs the open containers only */
        return fail_with(ps, LUMA_E_LIMIT, "54001", "stack depth limit exceeded");
    }
    nodes = luma_arena_alloc(ps->arena, (size_t)room * sizeof(*nodes));
    if (nodes == NULL)
        return fail_with(ps, LUMA_E_NOMEM, "53200", "out of memory");
    if (ps->count > 0)
        memcpy(nodes, ps->nodes, (size_t)ps->count * sizeof(*nodes));
    ps->nodes = nodes;
    ps->room = room;
    return true;
}

static uint32_t
new_node(struct parser *ps, uint32_t parent)
{
    uint32_t i = ps->count;

    if (i == ps->room && !grow_nodes(ps))
        return 0;
    ps->count++;
    memset(&ps->nodes[i], 0, sizeof(ps->nodes[i]));
    ps->nodes[i].parent = parent;
    return i;
}

/* Members sorted by name; of equal ones only the last stays. */
static bool
sort_members(struct parser *ps, struct node *object)
{
    uint32_t n = 0, kept = 0, *order;

    order = luma_arena_alloc(ps->arena, sizeof(*order) * (2 * (size_t)object->count + 1));
    if (order == NULL)
        return fail_with(ps, LUMA_E_NOMEM, "53200", "out of memory");
    for (uint32_t i = object->first; i != 0; i = ps->nodes[i].next)
        order[n++] = i;
    /* Merge sort keeps equal names in the order of the text. */
    for (uint32_t run = 1; run < n; run *= 2)
        for (uint32_t low = 0; low < n; low += 2 * run) {
            uint32_t mid = low + run < n ? low + run : n,
                     high = low + 2 * run < n ? low + 2 * run : n;
            uint32_t a = low, b = mid, *merged = order + object->count;
            for (uint32_t k = low; k < high; k++) {
                bool left = b >= high;
                if (a < mid && b < high) {
                    const struct node *x = &ps->nodes[order[a]], *y = &ps->nodes[order[b]];
                    left = lki_doc_name_compare(luma_slice(x->name, x->name_bytes),
                                                luma_slice(y->name, y->name_bytes)) <= 0;
                }
                merged[k - low] = left ? order[a++] : order[b++];
            }
            memcpy(order + low, merged, sizeof(*order) * (high - low));
        }
    for (uint32_t i = 0; i < n; i++) {
        const struct node *x = &ps->nodes[order[i]];
        if (i + 1 < n) {
            const struct node *y = &ps->nodes[order[i + 1]];
            if (x->name_bytes == y->name_bytes && memcmp(x->name, y->name, x->name_bytes) == 0)
                continue;
        }
        order[kept++] = order[i];
    }
    object->first = kept == 0 ? 0 : order[0];
    for (uint32_t i = 0; i < kept; i++)
        ps->nodes[order[i]].next = i + 1 < kept ? order[i + 1] : 0;
    object->count = kept;
    return true;
}

static bool
finish_node(struct parser *ps, uint32_t at)
{
    struct node *node = &ps->nodes[at];
    uint64_t names = 0, values = 0;
    struct lki_doc_layout layout;

    if (ps->arena == NULL)
        return true;
    if (node->kind != LKI_DOC_ARRAY && node->kind != LKI_DOC_OBJECT) {
        node->size = 1 + (uint64_t)node->text_bytes;
        return true;
    }
    if (node->kind == LKI_DOC_OBJECT && !sort_members(ps, node))
        return false;
    for (uint32_t i = node->first; i != 0; i = ps->nodes[i].next) {
        names += ps->nodes[i].name_bytes;
        values += ps->nodes[i].size;
    }
    if (names + values > LKI_DOC_BYTES_MAX)
        return fail_with(ps, LUMA_E_LIMIT, "54000", "total size of jsonb value is too large");
    layout = lki_doc_layout_of((enum lki_doc_kind)node->kind, node->count, names, values, false);
    node->width = layout.width;
    node->names_bytes = (uint32_t)names;
    node->values_bytes = (uint32_t)values;
    node->size = layout.total_bytes;
    return true;
}

/* The name and colon of a member. */
static bool
take_name(struct parser *ps, const char **name, uint32_t *bytes)
{
    if (ps->p >= ps->end || *ps->p != '"')
        return fail(ps, ps->p, NULL);
    if (!take_string(ps, name, bytes))
        return false;
    skip_space(ps);
    if (ps->p >= ps->end || *ps->p != ':')
        return fail(ps, ps->p, NULL);
    ps->p++;
    skip_space(ps);
    return true;
}

static void
append_child(struct parser *ps, uint32_t parent, uint32_t child)
{
    struct node *up = &ps->nodes[parent];

    if (ps->arena == NULL)
        return;
    if (up->first == 0)
        up->first = child;
    else
        ps->nodes[up->last].next = child;
    up->last = child;
    up->count++;
}

/* After a value: a comma, or as many closings as there are. The open container, 0: all done. */
static bool
close_values(struct parser *ps, uint32_t *inout_open)
{
    uint32_t open = *inout_open;

    for (;;) {
        char closing;
        if (open == 0)
            break;
        skip_space(ps);
        closing = ps->nodes[open].kind == LKI_DOC_ARRAY ? ']' : '}';
        if (ps->p >= ps->end)
            return fail(ps, ps->p, NULL);
        if (*ps->p == ',') {
            ps->p++;
            break;
        }
        if (*ps->p != closing)
            return fail(ps, ps->p, NULL);
        ps->p++;
        if (!finish_node(ps, open))
            return false;
        ps->depth--;
        if (ps->arena == NULL)
            ps->count = open; /* only open containers are kept when checking */
        open = ps->nodes[open].parent;
    }
    *inout_open = open;
    return true;
}

static bool
parse_values(struct parser *ps)
{
    uint32_t open = 0;

    if (new_node(ps, 0) != 0 || ps->rc != LUMA_OK) /* nodes[0] */
        return false;
    do {
        const char *name = NULL;
        uint32_t name_bytes = 0, at;
        skip_space(ps);
        if (open != 0 && ps->nodes[open].kind == LKI_DOC_OBJECT &&
            !take_name(ps, &name, &name_bytes))
            return false;
        if (ps->p >= ps->end)
            return fail(ps, ps->p, NULL);
        at = new_node(ps, open);
        if (at == 0)
            return false;
        ps->nodes[at].name = name;
        ps->nodes[at].name_bytes = name_bytes;
        append_child(ps, open, at);
        if (*ps->p == '{' || *ps->p == '[') {
            char closing = *ps->p == '{' ? '}' : ']';
            ps->nodes[at].kind = *ps->p++ == '{' ? LKI_DOC_OBJECT : LKI_DOC_ARRAY;
            if (++ps->depth > LKI_DOC_DEPTH_MAX)
                return fail_with(ps, LUMA_E_LIMIT, "54001", "stack depth limit exceeded");
            skip_space(ps);
            open = at;
            if (ps->p >= ps->end || *ps->p != closing)
                continue;
        } else {
            if (!take_scalar(ps, &ps->nodes[at]) || !finish_node(ps, at))
                return false;
            if (ps->arena == NULL)
                ps->count = at;
        }
        if (!close_values(ps, &open))
            return false;
    } while (open != 0);
    skip_space(ps);
    if (ps->p != ps->end)
        return fail(ps, ps->p, NULL);
    return true;
}

/* --- writing --- */

static void
write_node(struct parser *ps, const struct node *node, uint8_t *out)
{
    uint8_t *at = out + node->offset, *name_ends, *value_ends, *names, *values;
    struct lki_doc_layout layout;
    uint32_t n = 0, name_end = 0, value_end = 0;

    if (node->kind != LKI_DOC_ARRAY && node->kind != LKI_DOC_OBJECT) {
        at[0] = node->kind;
        if (node->text_bytes > 0)
            memcpy(at + 1, node->text, node->text_bytes);
        return;
    }
    layout = lki_doc_layout_of((enum lki_doc_kind)node->kind, node->count, node->names_bytes,
                               node->values_bytes, false);
    (void)lki_doc_begin(&layout, at, &name_ends, &value_ends, &names, &values);
    for (uint32_t i = node->first; i != 0; i = ps->nodes[i].next, n++) {
        struct node *child = &ps->nodes[i];
        if (node->kind == LKI_DOC_OBJECT) {
            if (child->name_bytes > 0)
                memcpy(names + name_end, child->name, child->name_bytes);
            name_end += child->name_bytes;
            lki_doc_put_end(name_ends, layout.width, n, name_end);
        }
        child->offset = (uint32_t)(values - out) + value_end;
        value_end += (uint32_t)child->size;
        lki_doc_put_end(value_ends, layout.width, n, value_end);
    }
}

static luma_rc
report(struct parser *ps)
{
    luma_rc rc;

    if (ps->rc != LUMA_E_DATA || strcmp(ps->sqlstate, "22P02") != 0)
        return LUMA_FAIL_SQL(ps->ctx, ps->rc, ps->sqlstate, "%s", ps->reason);
    rc = LUMA_FAIL_SQL(ps->ctx, LUMA_E_DATA, "22P02", "invalid input syntax for type json");
    if (ps->ctx->error != NULL && ps->ctx->arena != NULL) {
        char detail[160];
        int n = 0;
        const char *p = ps->where;
        while (p + n < ps->end && n < 60 && word_char(p[n]))
            n++;
        if (n == 0 && p < ps->end)
            n = 1;
        if (ps->reason != NULL)
            snprintf(detail, sizeof(detail), "%s", ps->reason);
        else if (p >= ps->end)
            snprintf(detail, sizeof(detail), "The input string ended unexpectedly.");
        else
            snprintf(detail, sizeof(detail), "Token \"%.*s\" is invalid.", n, p);
        ps->ctx->error->detail = luma_arena_text(ps->ctx->arena, detail, strlen(detail));
    }
    return rc;
}

luma_rc
lk_data_doc_from_json(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_slice json,
                      struct luma_str *out)
{
    if (lki_doc_fast(arena, json, false, out))
        return LUMA_OK;
    return lki_doc_careful(ctx, arena, json, out);
}

luma_rc
lki_doc_careful(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_slice json,
                struct luma_str *out)
{
    struct parser ps = {.ctx = ctx, .arena = arena};
    uint8_t *bytes;

    ps.start = ps.p = (const char *)json.data;
    ps.end = ps.p + json.bytes;
    if (json.bytes > LKI_DOC_BYTES_MAX)
        return LUMA_FAIL_SQL(ctx, LUMA_E_LIMIT, "54000", "total size of jsonb value is too large");
    if (!parse_values(&ps))
        return report(&ps);
    bytes = luma_arena_alloc_aligned(arena, ps.nodes[1].size, 1);
    if (bytes == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    ps.nodes[1].offset = 0;
    ps.nodes[1].parent = UINT32_MAX; /* reached */
    write_node(&ps, &ps.nodes[1], bytes);
    /* Values of repeated names that lost are unreachable: their parent did not give them a place,
     * so only nodes reached through a chain of children are written. */
    for (uint32_t i = 1; i < ps.count; i++) {
        if (ps.nodes[i].parent != UINT32_MAX)
            continue;
        for (uint32_t c = ps.nodes[i].first; c != 0; c = ps.nodes[c].next) {
            ps.nodes[c].parent = UINT32_MAX;
            write_node(&ps, &ps.nodes[c], bytes);
        }
    }
    *out = luma_str_make((const char *)bytes, (uint32_t)ps.nodes[1].size);
    return LUMA_OK;
}

luma_rc
lk_data_json_check(struct luma_ctx *ctx, struct luma_slice json)
{
    struct node open[64];
    struct parser ps = {.ctx = ctx, .arena = NULL, .nodes = open, .room = LUMA_COUNTOF(open)};

    ps.start = ps.p = (const char *)json.data;
    ps.end = ps.p + json.bytes;
    if (parse_values(&ps))
        return LUMA_OK;
    if (ps.rc == LUMA_E_LIMIT && ps.depth <= LKI_DOC_DEPTH_MAX && ctx->arena != NULL) {
        /* Deeper than the nodes on the stack: once more with as many as are allowed. */
        struct parser deep = {.ctx = ctx, .room = LKI_DOC_DEPTH_MAX + 4};
        deep.nodes = luma_arena_alloc(ctx->arena, sizeof(struct node) * deep.room);
        if (deep.nodes == NULL)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
        deep.start = deep.p = (const char *)json.data;
        deep.end = deep.p + json.bytes;
        return parse_values(&deep) ? LUMA_OK : report(&deep);
    }
    return report(&ps);
}
