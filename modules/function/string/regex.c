/*
 * function/string/regex.c - ~ and regexp_*: PostgreSQL's regular expressions on PCRE2.
 *
 * The few escapes that mean something else there are rewritten; . matches newlines and $ only the
 * very end, as PostgreSQL has it. A constant pattern is compiled once, at bind. Work is limited, so
 * that no pattern runs for ever.
 */
#include "str.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define MATCH_LIMIT    10000000
#define HEAP_LIMIT_KIB 65536

struct regex {
    pcre2_code *code;
    bool global;
};

static void *
arena_malloc(size_t bytes, void *arena)
{
    return luma_arena_alloc(arena, bytes);
}

static void
arena_free(void *p, void *arena)
{
    (void)p;
    (void)arena;
}

static luma_rc
bad_regex(const struct luma_func_call *call, const char *reason)
{
    return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "2201B", "invalid regular expression: %s",
                         reason);
}

/* \m \M \y \Y \Z of PostgreSQL in the words of PCRE2. */
static luma_rc
translate(const struct luma_func_call *call, struct luma_slice in, bool fold, struct luma_str *out)
{
    static const struct {
        char letter;
        const char *text;
    } escapes[] = {
        {'m', "\\b(?=\\w)"}, {'M', "\\b(?<=\\w)"}, {'y', "\\b"}, {'Y', "\\B"}, {'Z', "\\z"}};
    const char *p = (const char *)in.data, *end = p + in.bytes;
    struct string_buf buf = {.call = call};
    bool in_class = false;

    if (in.bytes >= 4 && memcmp(p, "***:", 4) == 0)
        p += 4;
    if (in.bytes >= 4 && memcmp(p, "***=", 4) == 0) { /* the rest is literal */
        string_put(&buf, "\\Q", 2);
        string_put(&buf, p + 4, (size_t)(end - p - 4));
        return string_done(&buf, out);
    }
    while (p < end) {
        if (*p == '\\' && p + 1 < end) {
            const char *text = NULL;
            for (size_t i = 0; i < LUMA_COUNTOF(escapes) && !in_class; i++)
                if (escapes[i].letter == p[1])
                    text = escapes[i].text;
            if (text != NULL)
                string_put(&buf, text, strlen(text));
            else
                string_put(&buf, p, 2);
            p += 2;
            continue;
        }
        if (*p == '[' && !in_class) {
            in_class = true;
            string_put(&buf, p++, 1);
            if (p < end && *p == '^')
                string_put(&buf, p++, 1);
            if (p < end && *p == ']')
                string_put(&buf, "\\]", 2), p++;
            continue;
        }
        if (*p == '[' && in_class && p + 1 < end && (p[1] == ':' || p[1] == '=' || p[1] == '.')) {
            const char *stop = p + 2;
            while (stop + 1 < end && !(stop[0] == p[1] && stop[1] == ']'))
                stop++;
            if (fold && stop - p == 7 &&
                (memcmp(p, "[:upper", 7) == 0 || memcmp(p, "[:lower", 7) == 0))
                string_put(&buf, "[:alpha", 7);
            else
                string_put(&buf, p, (size_t)(stop - p));
            p = stop;
            if (p + 1 < end) {
                string_put(&buf, p, 2);
                p += 2;
            }
            continue;
        }
        if (*p == '[' && in_class) {
            string_put(&buf, "\\[", 2);
            p++;
            continue;
        }
        if (*p == ']')
            in_class = false;
        string_put(&buf, p++, 1);
    }
    return string_done(&buf, out);
}

/* PostgreSQL's flags: i c n p w s m x e q t g b */
static luma_rc
read_flags(const struct luma_func_call *call, struct luma_slice flags, uint32_t *options,
           bool *global, bool *literal)
{
    *options |= PCRE2_DOTALL;
    for (size_t i = 0; i < flags.bytes; i++)
        switch (flags.data[i]) {
        case 'g':
            *global = true;
            break;
        case 'i':
            *options |= PCRE2_CASELESS;
            break;
        case 'c':
            *options &= ~(uint32_t)PCRE2_CASELESS;
            break;
        case 'n':
        case 'm':
            *options = (*options & ~(uint32_t)PCRE2_DOTALL) | PCRE2_MULTILINE;
            break;
        case 'p':
            *options &= ~(uint32_t)PCRE2_DOTALL;
            break;
        case 'w':
            *options |= PCRE2_MULTILINE;
            break;
        case 's':
        case 't':
        case 'e':
        case 'b':
            break;
        case 'x':
            *options |= PCRE2_EXTENDED;
            break;
        case 'q':
            *literal = true;
            break;
        default:
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023",
                                 "invalid regular expression option: \"%c\"", flags.data[i]);
        }
    return LUMA_OK;
}

static luma_rc
compile(const struct luma_func_call *call, struct luma_slice pattern, struct luma_slice flags,
        bool fold, struct regex *out)
{
    pcre2_general_context *general =
        pcre2_general_context_create(arena_malloc, arena_free, call->arena);
    pcre2_compile_context *context = general == NULL ? NULL : pcre2_compile_context_create(general);
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C |
                       (fold ? PCRE2_CASELESS : 0);
    bool literal = false;
    struct luma_str text;
    PCRE2_SIZE at;
    int error;

    out->global = false;
    if (context == NULL)
        return luma_func_no_memory(call);
    LUMA_TRY(read_flags(call, flags, &options, &out->global, &literal));
    if (literal) {
        options = PCRE2_LITERAL | PCRE2_UTF | (options & PCRE2_CASELESS);
        text = luma_str_make((const char *)pattern.data, (uint32_t)pattern.bytes);
    } else {
        LUMA_TRY(translate(call, pattern, (options & PCRE2_CASELESS) != 0, &text));
    }
    pcre2_set_parens_nest_limit(context, 200);
    out->code =
        pcre2_compile((PCRE2_SPTR)luma_str_data(&text), text.bytes, options, &error, &at, context);
    if (out->code == NULL) {
        PCRE2_UCHAR reason[160];
        if (error == PCRE2_ERROR_HEAP_FAILED)
            return luma_func_no_memory(call);
        pcre2_get_error_message(error, reason, sizeof(reason));
        return bad_regex(call, (const char *)reason);
    }
    return LUMA_OK;
}

/* Which argument is the pattern, which the flags (0: none). */
static void
places(const struct luma_func *func, uint32_t args_count, uint32_t *pattern, uint32_t *flags)
{
    bool replace = strcmp(func->name, "regexp_replace") == 0;

    *pattern = 1;
    *flags = 0;
    if (func->flags & LUMA_FUNC_OPERATOR)
        return;
    if (replace)
        *flags = args_count > 3 ? 3 : 0;
    else
        *flags = args_count > 2 ? 2 : 0;
}

static bool
is_fold(const struct luma_func *func)
{
    return (func->flags & LUMA_FUNC_OPERATOR) != 0 && func->name[strlen(func->name) - 1] == '*';
}

static luma_rc
regex_bind(struct luma_func_call *call, const struct luma_type *arg_types,
           const struct luma_value *const *consts, uint32_t args_count)
{
    struct luma_slice flags = {NULL, 0};
    uint32_t pattern_at, flags_at;
    struct regex *regex;

    (void)arg_types;
    places(call->func, args_count, &pattern_at, &flags_at);
    if (consts[pattern_at] == NULL || consts[pattern_at]->is_null ||
        (flags_at != 0 && (consts[flags_at] == NULL || consts[flags_at]->is_null)))
        return LUMA_OK;
    if (flags_at != 0)
        flags = luma_str_slice(&consts[flags_at]->str);
    regex = LUMA_NEW(call->arena, struct regex);
    if (regex == NULL)
        return luma_func_no_memory(call);
    LUMA_TRY(
        compile(call, luma_str_slice(&consts[pattern_at]->str), flags, is_fold(call->func), regex));
    call->bound = regex;
    return LUMA_OK;
}

/* What one batch needs to match. */
struct matcher {
    const struct luma_func_call *call;
    const struct luma_vec *args;
    uint32_t pattern_at, flags_at;
    struct regex fresh;
    const struct regex *regex;
    pcre2_general_context *general;
    pcre2_match_context *context;
    pcre2_match_data *data;
};

static luma_rc
matcher_begin(struct matcher *m, const struct luma_func_call *call, const struct luma_vec *args,
              uint32_t args_count)
{
    memset(m, 0, sizeof(*m));
    m->call = call;
    m->args = args;
    places(call->func, args_count, &m->pattern_at, &m->flags_at);
    m->general = pcre2_general_context_create(arena_malloc, arena_free, call->arena);
    if (m->general == NULL) /* without one, what follows would come from malloc */
        return luma_func_no_memory(call);
    m->context = pcre2_match_context_create(m->general);
    m->data = pcre2_match_data_create(100, m->general);
    if (m->context == NULL || m->data == NULL)
        return luma_func_no_memory(call);
    pcre2_set_match_limit(m->context, MATCH_LIMIT);
    pcre2_set_heap_limit(m->context, HEAP_LIMIT_KIB);
    m->regex = call->bound;
    return LUMA_OK;
}

/* The pattern of row i. */
static luma_rc
matcher_row(struct matcher *m, uint32_t row)
{
    struct luma_slice flags = {NULL, 0};

    if (m->call->bound != NULL)
        return LUMA_OK;
    if (m->flags_at != 0)
        flags = luma_str_slice(luma_arg_str(&m->args[m->flags_at], row));
    m->regex = &m->fresh;
    return compile(m->call, luma_str_slice(luma_arg_str(&m->args[m->pattern_at], row)), flags,
                   is_fold(m->call->func), &m->fresh);
}

/* Groups matched from `at` on; 0: none. */
static luma_rc
match(struct matcher *m, const struct luma_str *s, size_t at, int *out_groups)
{
    int rc = pcre2_match(m->regex->code, (PCRE2_SPTR)luma_str_data(s), s->bytes, at,
                         PCRE2_NO_UTF_CHECK, m->data, m->context);

    if (rc > 0) {
        *out_groups = rc;
        return LUMA_OK;
    }
    *out_groups = 0;
    if (rc == PCRE2_ERROR_NOMATCH)
        return LUMA_OK;
    if (rc == PCRE2_ERROR_NOMEMORY)
        return luma_func_no_memory(m->call);
    return LUMA_FAIL_SQL(m->call->ctx, LUMA_E_LIMIT, "54001",
                         "regular expression is too complex for this text");
}

/* Where to look next after a match: past it, or one character on when it was empty. */
static size_t
next_start(const struct luma_str *s, const PCRE2_SIZE *o)
{
    if (o[1] > o[0] || o[1] >= s->bytes)
        return o[1] + (o[1] == o[0]);
    return o[1] + string_char_bytes(luma_str_data(s) + o[1], s->bytes - o[1]);
}

STRING_EVAL(regex_match_op)
{
    bool negate = call->func->name[0] == '!';
    uint8_t *r = out->data;
    struct matcher m;

    LUMA_TRY(matcher_begin(&m, call, args, args_count));
    LUMA_ROWS(sel, rows, i)
    {
        int groups = 0;
        LUMA_TRY(matcher_row(&m, i));
        LUMA_TRY(match(&m, luma_arg_str(&args[0], i), 0, &groups));
        r[i] = (groups > 0) != negate;
    }
    return LUMA_OK;
}

/* --- replacing --- */

/* \1 .. \9, \& and \\ */
static void
put_replacement(struct string_buf *buf, const struct luma_str *with, const struct luma_str *s,
                const PCRE2_SIZE *o, int groups)
{
    const char *p = luma_str_data(with), *end = p + with->bytes;

    for (; p < end; p++) {
        int group = -1;
        if (*p != '\\' || p + 1 == end) {
            string_put(buf, p, 1);
            continue;
        }
        p++;
        if (*p == '&')
            group = 0;
        else if (*p >= '1' && *p <= '9')
            group = *p - '0';
        else if (*p == '\\')
            string_put(buf, p, 1);
        else
            string_put(buf, p - 1, 2);
        if (group >= 0 && group < groups && o[2 * group] != PCRE2_UNSET)
            string_put(buf, luma_str_data(s) + o[2 * group], o[2 * group + 1] - o[2 * group]);
    }
}

STRING_EVAL(regexp_replace)
{
    struct luma_str *r = out->data;
    struct matcher m;

    LUMA_TRY(matcher_begin(&m, call, args, args_count));
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i), *with = luma_arg_str(&args[2], i);
        const PCRE2_SIZE *o = pcre2_get_ovector_pointer(m.data);
        struct string_buf buf = {.call = call};
        size_t at = 0, copied = 0;
        int groups = 0;
        LUMA_TRY(matcher_row(&m, i));
        do {
            LUMA_TRY(match(&m, s, at, &groups));
            if (groups == 0)
                break;
            string_put(&buf, luma_str_data(s) + copied, o[0] - copied);
            put_replacement(&buf, with, s, o, groups);
            copied = o[1];
            at = next_start(s, o);
        } while (m.regex->global && at <= s->bytes);
        if (copied == 0 && buf.bytes == 0 && groups == 0) {
            r[i] = *s;
            continue;
        }
        string_put(&buf, luma_str_data(s) + copied, s->bytes - copied);
        LUMA_TRY(string_done(&buf, &r[i]));
    }
    return LUMA_OK;
}

/* --- taking matches apart --- */

static void
text_value(struct luma_value *out, const struct luma_str *s, size_t from, size_t to)
{
    memset(out, 0, sizeof(*out));
    out->type = luma_type(LUMA_TYPE_TEXT);
    out->phys = LUMA_PHYS_STR;
    if (from == PCRE2_UNSET)
        out->is_null = true;
    else
        out->str = luma_str_make(luma_str_data(s) + from, (uint32_t)(to - from));
}

/* The groups of the match, or the whole of it when there are none, as text[]. */
static luma_rc
groups_array(struct matcher *m, const struct luma_str *s, int groups, struct luma_str *out)
{
    const PCRE2_SIZE *o = pcre2_get_ovector_pointer(m->data);
    struct luma_value values[100];
    uint32_t total = 0, count;

    pcre2_pattern_info(m->regex->code, PCRE2_INFO_CAPTURECOUNT, &total);
    count = total == 0 ? 1 : total > 99 ? 99 : total;
    for (uint32_t k = 0; k < count; k++) {
        uint32_t group = total == 0 ? 0 : k + 1;
        bool set = group < (uint32_t)groups;
        text_value(&values[k], s, set ? o[2 * group] : PCRE2_UNSET, set ? o[2 * group + 1] : 0);
    }
    if (string_host->data->array_make(m->call->arena, LUMA_TYPE_TEXT, values, count, out) !=
        LUMA_OK)
        return luma_func_no_memory(m->call);
    return LUMA_OK;
}

STRING_EVAL(regexp_match)
{
    struct luma_str *r = out->data;
    struct matcher m;

    LUMA_TRY(matcher_begin(&m, call, args, args_count));
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i);
        int groups = 0;
        LUMA_TRY(matcher_row(&m, i));
        LUMA_TRY(match(&m, s, 0, &groups));
        if (groups == 0)
            LUMA_TRY(luma_out_null(call, out, sel, rows, i));
        else
            LUMA_TRY(groups_array(&m, s, groups, &r[i]));
    }
    return LUMA_OK;
}

/* substring(text from pattern), regexp_substr: the first group, or the whole match. */
STRING_EVAL(regexp_substring)
{
    struct luma_str *r = out->data;
    struct matcher m;

    LUMA_TRY(matcher_begin(&m, call, args, args_count));
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i);
        const PCRE2_SIZE *o = pcre2_get_ovector_pointer(m.data);
        uint32_t total = 0, group;
        int groups = 0;
        LUMA_TRY(matcher_row(&m, i));
        LUMA_TRY(match(&m, s, 0, &groups));
        pcre2_pattern_info(m.regex->code, PCRE2_INFO_CAPTURECOUNT, &total);
        group = total > 0 && strcmp(call->func->name, "regexp_substr") != 0 ? 1 : 0;
        if (groups == 0 || (int)group >= groups || o[2 * group] == PCRE2_UNSET)
            LUMA_TRY(luma_out_null(call, out, sel, rows, i));
        else
            r[i] = luma_str_make(luma_str_data(s) + o[2 * group],
                                 (uint32_t)(o[2 * group + 1] - o[2 * group]));
    }
    return LUMA_OK;
}

STRING_EVAL(regexp_count)
{
    int32_t *r = out->data;
    bool only_one = strcmp(call->func->name, "regexp_like") == 0;
    struct matcher m;

    LUMA_TRY(matcher_begin(&m, call, args, args_count));
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i);
        int32_t count = 0;
        int groups = 1;
        LUMA_TRY(matcher_row(&m, i));
        for (size_t at = 0; at <= s->bytes && groups > 0 && !(only_one && count > 0);) {
            LUMA_TRY(match(&m, s, at, &groups));
            if (groups > 0) {
                count++;
                at = next_start(s, pcre2_get_ovector_pointer(m.data));
            }
        }
        if (only_one)
            ((uint8_t *)out->data)[i] = count > 0;
        else
            r[i] = count;
    }
    return LUMA_OK;
}

/* The pieces between matches; one array or one row each. */
static luma_rc
split_pieces(struct matcher *m, const struct luma_str *s, struct luma_value **out_values,
             uint32_t *out_count)
{
    const PCRE2_SIZE *o = pcre2_get_ovector_pointer(m->data);
    struct luma_value *values = NULL;
    uint32_t count = 0, room = 0;
    size_t start = 0, at = 0;
    int groups = 1;

    for (;;) {
        if (count == room) {
            struct luma_value *more =
                luma_arena_alloc(m->call->arena, sizeof(*more) * (room * 2 + 16));
            if (more == NULL)
                return luma_func_no_memory(m->call);
            if (count > 0)
                memcpy(more, values, sizeof(*more) * count);
            values = more;
            room = room * 2 + 16;
        }
        groups = 0;
        while (at <= s->bytes) {
            LUMA_TRY(match(m, s, at, &groups));
            if (groups == 0)
                break;
            at = next_start(s, o);
            /* An empty match at the start of a piece or at the end splits nothing. */
            if (o[1] > o[0] || (o[0] > start && o[0] < s->bytes))
                break;
            groups = 0;
        }
        if (groups == 0)
            break;
        text_value(&values[count++], s, start, o[0]);
        start = o[1];
    }
    text_value(&values[count++], s, start, s->bytes);
    *out_values = values;
    *out_count = count;
    return LUMA_OK;
}

STRING_EVAL(regexp_split_array)
{
    struct luma_str *r = out->data;
    struct matcher m;

    LUMA_TRY(matcher_begin(&m, call, args, args_count));
    LUMA_ROWS(sel, rows, i)
    {
        struct luma_value *values = NULL;
        uint32_t count = 0;
        LUMA_TRY(matcher_row(&m, i));
        LUMA_TRY(split_pieces(&m, luma_arg_str(&args[0], i), &values, &count));
        if (string_host->data->array_make(call->arena, LUMA_TYPE_TEXT, values, count, &r[i]) !=
            LUMA_OK)
            return luma_func_no_memory(call);
    }
    return LUMA_OK;
}

/* --- sets: regexp_matches, regexp_split_to_table --- */

struct listed {
    struct luma_str *items;
    uint32_t count, at;
    struct luma_vec col;
};

static luma_rc
list_matches(struct matcher *m, const struct luma_str *s, struct listed *list)
{
    uint32_t room = 0;
    size_t at = 0;
    int groups;

    do {
        LUMA_TRY(match(m, s, at, &groups));
        if (groups == 0)
            break;
        if (list->count == room) {
            struct luma_str *more =
                luma_arena_alloc(m->call->arena, sizeof(*more) * (room * 2 + 16));
            if (more == NULL)
                return luma_func_no_memory(m->call);
            if (list->count > 0)
                memcpy(more, list->items, sizeof(*more) * list->count);
            list->items = more;
            room = room * 2 + 16;
        }
        LUMA_TRY(groups_array(m, s, groups, &list->items[list->count++]));
        at = next_start(s, pcre2_get_ovector_pointer(m->data));
    } while (m->regex->global && at <= s->bytes);
    return LUMA_OK;
}

static luma_rc
list_open(const struct luma_func_call *call, const struct luma_value *args, uint32_t args_count,
          void **out_state)
{
    struct listed *list = LUMA_NEW(call->arena, struct listed);
    struct luma_vec vecs[3];
    struct matcher m;

    if (list == NULL)
        return luma_func_no_memory(call);
    *out_state = list;
    for (uint32_t i = 0; i < args_count; i++) {
        if (args[i].is_null)
            return LUMA_OK;
        if (string_host->data->vec_const(call->arena, &args[i], &vecs[i]) != LUMA_OK)
            return luma_func_no_memory(call);
    }
    LUMA_TRY(matcher_begin(&m, call, vecs, args_count));
    LUMA_TRY(matcher_row(&m, 0));
    if (call->func->result.id == LUMA_TYPE_ARRAY)
        return list_matches(&m, luma_arg_str(&vecs[0], 0), list);
    {
        struct luma_value *values = NULL;
        LUMA_TRY(split_pieces(&m, luma_arg_str(&vecs[0], 0), &values, &list->count));
        list->items = luma_arena_alloc(call->arena, sizeof(*list->items) * list->count);
        if (list->items == NULL)
            return luma_func_no_memory(call);
        for (uint32_t i = 0; i < list->count; i++)
            list->items[i] = values[i].str;
    }
    return LUMA_OK;
}

static luma_rc
list_next(const struct luma_func_call *call, void *state, struct luma_batch *out)
{
    struct listed *list = state;
    uint32_t n = list->count - list->at;

    if (n > LUMA_BATCH_ROWS)
        n = LUMA_BATCH_ROWS;
    list->col = (struct luma_vec){.type = call->func->result, .phys = LUMA_PHYS_STR};
    if (n > 0)
        list->col.data = list->items + list->at;
    list->at += n;
    luma_set_rows(out, &list->col, n);
    return LUMA_OK;
}

static const struct luma_func_set list_set = {.open = list_open, .next = list_next};

#define REGEX(name_, flags_, result_, eval_, ...)                                      \
    LUMA_FUNC_OP_(name_, flags_, LUMA_OP_NONE, eval_, __VA_ARGS__), .result = result_, \
                                                                    .bind = regex_bind \
    }
#define REGEX_SET(name_, result_, ...)                                             \
    LUMA_FUNC_OP_(name_, STRICT | LUMA_FUNC_SET, LUMA_OP_NONE, NULL, __VA_ARGS__), \
        .result = result_, .set = &list_set                                        \
    }
#define BOOL LUMA_T(BOOL)

static const struct luma_func regex_functions[] = {
    REGEX("~", DICT | LUMA_FUNC_OPERATOR, BOOL, regex_match_op, TEXT, TEXT),
    REGEX("~*", DICT | LUMA_FUNC_OPERATOR, BOOL, regex_match_op, TEXT, TEXT),
    REGEX("!~", DICT | LUMA_FUNC_OPERATOR, BOOL, regex_match_op, TEXT, TEXT),
    REGEX("!~*", DICT | LUMA_FUNC_OPERATOR, BOOL, regex_match_op, TEXT, TEXT),
    REGEX("regexp_replace", DICT, TEXT, regexp_replace, TEXT, TEXT, TEXT),
    REGEX("regexp_replace", DICT, TEXT, regexp_replace, TEXT, TEXT, TEXT, TEXT),
    REGEX("regexp_match", DICT, LUMA_TA(TEXT), regexp_match, TEXT, TEXT),
    REGEX("regexp_match", DICT, LUMA_TA(TEXT), regexp_match, TEXT, TEXT, TEXT),
    REGEX("substring", DICT, TEXT, regexp_substring, TEXT, TEXT),
    REGEX("regexp_substr", DICT, TEXT, regexp_substring, TEXT, TEXT),
    REGEX("regexp_count", DICT, INT, regexp_count, TEXT, TEXT),
    REGEX("regexp_like", DICT, BOOL, regexp_count, TEXT, TEXT),
    REGEX("regexp_like", DICT, BOOL, regexp_count, TEXT, TEXT, TEXT),
    REGEX("regexp_split_to_array", DICT, LUMA_TA(TEXT), regexp_split_array, TEXT, TEXT),
    REGEX("regexp_split_to_array", DICT, LUMA_TA(TEXT), regexp_split_array, TEXT, TEXT, TEXT),
    REGEX_SET("regexp_matches", LUMA_TA(TEXT), TEXT, TEXT),
    REGEX_SET("regexp_matches", LUMA_TA(TEXT), TEXT, TEXT, TEXT),
    REGEX_SET("regexp_split_to_table", TEXT, TEXT, TEXT),
    REGEX_SET("regexp_split_to_table", TEXT, TEXT, TEXT, TEXT),
};

const struct luma_func_part string_regex = {regex_functions, LUMA_COUNTOF(regex_functions)};
