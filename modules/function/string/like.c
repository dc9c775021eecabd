/*
 * function/string/like.c - LIKE and ILIKE.
 *
 * A pattern is cut at its % into pieces; the first is anchored at the start, the last at the end,
 * the others are searched for from left to right. A constant pattern is cut once, at bind.
 */
#include "str.h"

struct piece {
    char *text;   /* escapes resolved */
    uint8_t *any; /* any[k]: byte k stands for _; NULL: none */
    uint32_t bytes;
};

struct like {
    struct piece *pieces;
    uint32_t count;   /* at least one */
    bool fold;        /* ILIKE: pieces are lower case */
    bool lone_escape; /* ends with an escape character: an error when it is reached */
};

static luma_rc
compile(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_slice pattern, int escape,
        struct like *out)
{
    const char *p = (const char *)pattern.data, *end = p + pattern.bytes;
    uint32_t count = 1;
    struct piece *piece;

    memset(out, 0, sizeof(*out));
    for (const char *q = p; q < end; q++)
        count += *q == '%';
    out->pieces = luma_arena_zalloc(arena, sizeof(*out->pieces) * count);
    if (out->pieces == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    piece = out->pieces;
    piece->text = luma_arena_alloc_aligned(arena, pattern.bytes + 1, 1);
    for (; p < end; p++) {
        if (piece->text == NULL)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
        if (escape >= 0 && *p == (char)escape) {
            if (++p == end) {
                out->lone_escape = true;
                break;
            }
            piece->text[piece->bytes++] = *p;
        } else if (*p == '%') {
            piece++;
            piece->text = luma_arena_alloc_aligned(arena, (size_t)(end - p), 1);
        } else if (*p == '_') {
            if (piece->any == NULL)
                piece->any = luma_arena_zalloc(arena, pattern.bytes + 1);
            if (piece->any == NULL)
                return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
            piece->any[piece->bytes] = 1;
            piece->text[piece->bytes++] = '_';
        } else {
            piece->text[piece->bytes++] = *p;
        }
    }
    out->count = (uint32_t)(piece - out->pieces) + 1;
    return LUMA_OK;
}

/* Bytes that the piece takes at p; -1: it does not fit there. */
static ptrdiff_t
fits(const struct piece *piece, const char *p, const char *end)
{
    const char *q = p;

    if (piece->any == NULL) {
        if ((size_t)(end - p) < piece->bytes || memcmp(p, piece->text, piece->bytes) != 0)
            return -1;
        return piece->bytes;
    }
    for (uint32_t k = 0; k < piece->bytes; k++) {
        if (q == end)
            return -1;
        if (piece->any[k])
            q += string_char_bytes(q, (size_t)(end - q));
        else if (*q++ != piece->text[k])
            return -1;
    }
    return q - p;
}

/* Where the piece begins at the earliest in [p, end); NULL: nowhere. */
static const char *
search(const struct piece *piece, const char *p, const char *end, ptrdiff_t *out_bytes)
{
    if (piece->any == NULL) {
        *out_bytes = piece->bytes;
        return string_find(p, (size_t)(end - p), piece->text, piece->bytes);
    }
    for (; p <= end; p += p < end ? string_char_bytes(p, (size_t)(end - p)) : 1) {
        *out_bytes = fits(piece, p, end);
        if (*out_bytes >= 0)
            return p;
    }
    return NULL;
}

/* The last piece must end where the text ends. */
static bool
ends_with(const struct piece *piece, const char *p, const char *end)
{
    if (piece->any == NULL)
        return (size_t)(end - p) >= piece->bytes &&
               memcmp(end - piece->bytes, piece->text, piece->bytes) == 0;
    for (; p <= end; p += p < end ? string_char_bytes(p, (size_t)(end - p)) : 1) {
        ptrdiff_t n = fits(piece, p, end);
        if (n >= 0 && p + n == end)
            return true;
    }
    return false;
}

static bool
matches(const struct like *like, const char *p, size_t bytes)
{
    const char *end = p + bytes;
    ptrdiff_t n = fits(&like->pieces[0], p, end);

    if (n < 0)
        return false;
    p += n;
    if (like->count == 1)
        return p == end;
    for (uint32_t k = 1; k + 1 < like->count; k++) {
        p = search(&like->pieces[k], p, end, &n);
        if (p == NULL)
            return false;
        p += n;
    }
    return ends_with(&like->pieces[like->count - 1], p, end);
}

static bool
is_fold(const struct luma_func *func)
{
    const char *name = func->name;
    return name[strlen(name) - 1] == '*' || strstr(name, "ilike") != NULL;
}

static luma_rc
like_bind(struct luma_func_call *call, const struct luma_type *arg_types,
          const struct luma_value *const *consts, uint32_t args_count)
{
    struct luma_str pattern;
    struct like *like;

    (void)arg_types;
    (void)args_count;
    if (consts[1] == NULL || consts[1]->is_null)
        return LUMA_OK;
    like = LUMA_NEW(call->arena, struct like);
    if (like == NULL)
        return luma_func_no_memory(call);
    pattern = consts[1]->str;
    if (is_fold(call->func))
        LUMA_TRY(string_lower(call, luma_str_slice(&consts[1]->str), &pattern));
    LUMA_TRY(compile(call->ctx, call->arena, luma_str_slice(&pattern), '\\', like));
    like->fold = is_fold(call->func);
    call->bound = like;
    return LUMA_OK;
}

static luma_rc
match_row(const struct luma_func_call *call, const struct like *like, const struct luma_str *s,
          bool *out)
{
    struct luma_str folded;

    if (like->lone_escape)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22025",
                             "LIKE pattern must not end with escape character");
    if (like->fold) {
        LUMA_TRY(string_lower(call, luma_str_slice(s), &folded));
        s = &folded;
    }
    *out = matches(like, luma_str_data(s), s->bytes);
    return LUMA_OK;
}

STRING_EVAL(like_eval)
{
    bool negate = call->func->name[0] == '!' || strncmp(call->func->name, "not", 3) == 0;
    const struct like *like = call->bound;
    uint8_t *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct like fresh;
        bool hit = false;
        if (call->bound == NULL) {
            struct luma_str pattern = *luma_arg_str(&args[1], i);
            if (is_fold(call->func))
                LUMA_TRY(string_lower(call, luma_str_slice(luma_arg_str(&args[1], i)), &pattern));
            LUMA_TRY(compile(call->ctx, call->arena, luma_str_slice(&pattern), '\\', &fresh));
            fresh.fold = is_fold(call->func);
            like = &fresh;
        }
        LUMA_TRY(match_row(call, like, luma_arg_str(&args[0], i), &hit));
        r[i] = hit != negate;
    }
    return LUMA_OK;
}

/* like_escape(pattern, escape): the same pattern with backslash as its escape. */
STRING_EVAL(like_escape)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i), *e = luma_arg_str(&args[1], i);
        const char *p = luma_str_data(s), *end = p + s->bytes;
        struct string_buf buf = {.call = call};
        if (string_chars(luma_str_data(e), e->bytes) > 1)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22019", "invalid escape string");
        while (p < end) {
            if (e->bytes > 0 && (size_t)(end - p) >= e->bytes &&
                memcmp(p, luma_str_data(e), e->bytes) == 0) {
                size_t n;
                string_put(&buf, "\\", 1);
                p += e->bytes;
                if (p == end)
                    break;
                n = string_char_bytes(p, (size_t)(end - p));
                string_put(&buf, p, n);
                p += n;
            } else {
                if (*p == '\\')
                    string_put(&buf, "\\", 1);
                string_put(&buf, p++, 1);
            }
        }
        LUMA_TRY(string_done(&buf, &r[i]));
    }
    return LUMA_OK;
}

#define LIKE(name_, op_, flags_)                                                               \
    LUMA_FUNC_OP_(name_, DICT | (flags_), op_, like_eval, TEXT, TEXT), .result = LUMA_T(BOOL), \
                                                                       .bind = like_bind       \
    }
#define OPERATOR LUMA_FUNC_OPERATOR

static const struct luma_func like_functions[] = {
    LIKE("~~", LUMA_OP_LIKE, OPERATOR),
    LIKE("!~~", LUMA_OP_NOT_LIKE, OPERATOR),
    LIKE("~~*", LUMA_OP_NONE, OPERATOR),
    LIKE("!~~*", LUMA_OP_NONE, OPERATOR),
    LIKE("like", LUMA_OP_LIKE, LUMA_FUNC_HIDDEN),
    LIKE("notlike", LUMA_OP_NOT_LIKE, LUMA_FUNC_HIDDEN),
    LUMA_FUNC("like_escape", STRICT | LUMA_FUNC_HIDDEN, TEXT, like_escape, TEXT, TEXT),
};

const struct luma_func_part string_like = {like_functions, LUMA_COUNTOF(like_functions)};
