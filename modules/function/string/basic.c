/* function/string/basic.c - lengths, parts, places, trimming, padding, joining. */
#include "str.h"

STRING_EVAL(char_length)
{
    int32_t *r = out->data;

    (void)call;
    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i);
        r[i] = (int32_t)string_chars(luma_str_data(s), s->bytes);
    }
    return LUMA_OK;
}

STRING_EVAL(octet_length)
{
    int32_t *r = out->data;
    int32_t unit = strcmp(call->func->name, "bit_length") == 0 ? 8 : 1;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        r[i] = (int32_t)luma_arg_str(&args[0], i)->bytes * unit;
    }
    return LUMA_OK;
}

/* --- parts --- */

/* Characters [from, from + count), 1-based, as SQL counts: what lies before the first is cut off.
 */
static luma_rc
substring_of(const struct luma_func_call *call, const struct luma_str *s, int64_t from,
             int64_t count, bool bounded, bool by_bytes, struct luma_str *out)
{
    const char *p = luma_str_data(s);
    size_t start, end;
    int64_t stop;

    if (bounded && count < 0)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22011",
                             "negative substring length not allowed");
    stop = bounded ? from + count : INT64_MAX;
    if (from < 1)
        from = 1;
    if (stop <= from) {
        *out = luma_str_make("", 0);
        return LUMA_OK;
    }
    if (by_bytes) {
        start = (size_t)from - 1 < s->bytes ? (size_t)from - 1 : s->bytes;
        end = (uint64_t)stop - 1 < s->bytes ? (size_t)stop - 1 : s->bytes;
    } else {
        start = string_prefix(p, s->bytes, (size_t)from - 1);
        end = stop == INT64_MAX
                  ? s->bytes
                  : start + string_prefix(p + start, s->bytes - start, (size_t)(stop - from));
    }
    *out = luma_str_make(p + start, (uint32_t)(end - start));
    return LUMA_OK;
}

STRING_EVAL(substring)
{
    struct luma_str *r = out->data;
    bool by_bytes = call->func->args[0].id == LUMA_TYPE_BYTEA;

    LUMA_ROWS(sel, rows, i)
    {
        LUMA_TRY(substring_of(call, luma_arg_str(&args[0], i), luma_arg_i32(&args[1], i),
                              args_count > 2 ? luma_arg_i32(&args[2], i) : 0, args_count > 2,
                              by_bytes, &r[i]));
    }
    return LUMA_OK;
}

/* A negative count leaves out that many characters at the other end. */
static size_t
count_from(const struct luma_str *s, int32_t n)
{
    size_t chars;

    if (n >= 0)
        return (size_t)n;
    chars = string_chars(luma_str_data(s), s->bytes);
    return (size_t) - (int64_t)n >= chars ? 0 : chars - (size_t) - (int64_t)n;
}

STRING_EVAL(left)
{
    struct luma_str *r = out->data;

    (void)call;
    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i);
        const char *p = luma_str_data(s);
        r[i] = luma_str_make(
            p, (uint32_t)string_prefix(p, s->bytes, count_from(s, luma_arg_i32(&args[1], i))));
    }
    return LUMA_OK;
}

STRING_EVAL(right)
{
    struct luma_str *r = out->data;

    (void)call;
    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i);
        const char *p = luma_str_data(s);
        size_t keep = count_from(s, luma_arg_i32(&args[1], i)), chars = string_chars(p, s->bytes);
        size_t skip = keep >= chars ? 0 : string_prefix(p, s->bytes, chars - keep);
        r[i] = luma_str_make(p + skip, s->bytes - (uint32_t)skip);
    }
    return LUMA_OK;
}

STRING_EVAL(split_part)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i), *d = luma_arg_str(&args[1], i);
        const char *p = luma_str_data(s), *end = p + s->bytes, *between = luma_str_data(d), *hit;
        int64_t field = luma_arg_i32(&args[2], i), parts = 1;
        if (field == 0)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023",
                                 "field position must not be zero");
        if (d->bytes > 0 && field < 0) {
            for (const char *q = p; (q = string_find(q, (size_t)(end - q), between, d->bytes));
                 q += d->bytes)
                parts++;
            field = parts + field + 1;
        } else if (d->bytes == 0 && field < 0) {
            field = field == -1 ? 1 : 0;
        }
        r[i] = luma_str_make("", 0);
        for (int64_t k = 1; k <= field; k++) {
            hit = d->bytes == 0 ? NULL : string_find(p, (size_t)(end - p), between, d->bytes);
            if (k == field) {
                r[i] = luma_str_make(p, (uint32_t)((hit == NULL ? end : hit) - p));
                break;
            }
            if (hit == NULL)
                break;
            p = hit + d->bytes;
        }
    }
    return LUMA_OK;
}

/* --- places --- */

STRING_EVAL(position)
{
    int32_t *r = out->data;
    bool by_bytes = call->func->args[0].id == LUMA_TYPE_BYTEA;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i), *n = luma_arg_str(&args[1], i);
        const char *p = luma_str_data(s);
        const char *hit = string_find(p, s->bytes, luma_str_data(n), n->bytes);
        r[i] = hit == NULL ? 0
               : by_bytes  ? (int32_t)(hit - p) + 1
                           : (int32_t)string_chars(p, (size_t)(hit - p)) + 1;
    }
    return LUMA_OK;
}

STRING_EVAL(starts_with)
{
    uint8_t *r = out->data;

    (void)call;
    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i), *n = luma_arg_str(&args[1], i);
        r[i] = s->bytes >= n->bytes && memcmp(luma_str_data(s), luma_str_data(n), n->bytes) == 0;
    }
    return LUMA_OK;
}

/* --- trimming --- */

static bool
in_set(const char *c, size_t bytes, const struct luma_str *set)
{
    const char *p = luma_str_data(set), *end = p + set->bytes;

    while (p < end) {
        size_t n = string_char_bytes(p, (size_t)(end - p));
        if (n == bytes && memcmp(p, c, n) == 0)
            return true;
        p += n;
    }
    return false;
}

static void
trim(const struct luma_str *s, const struct luma_str *set, bool front, bool back,
     struct luma_str *out)
{
    const char *p = luma_str_data(s), *end = p + s->bytes;

    while (front && p < end) {
        size_t n = string_char_bytes(p, (size_t)(end - p));
        if (!in_set(p, n, set))
            break;
        p += n;
    }
    while (back && p < end) {
        const char *last = end - 1;
        while (last > p && !string_starts_char(*last))
            last--;
        if (!in_set(last, (size_t)(end - last), set))
            break;
        end = last;
    }
    *out = luma_str_make(p, (uint32_t)(end - p));
}

STRING_EVAL(trim_eval)
{
    struct luma_str *r = out->data, blank = luma_str_make(" ", 1);
    char which = call->func->name[0]; /* btrim, ltrim, rtrim */

    LUMA_ROWS(sel, rows, i)
    {
        trim(luma_arg_str(&args[0], i), args_count > 1 ? luma_arg_str(&args[1], i) : &blank,
             which != 'r', which != 'l', &r[i]);
    }
    return LUMA_OK;
}

/* --- padding and repeating --- */

static luma_rc
pad(const struct luma_func_call *call, const struct luma_str *s, int32_t length,
    const struct luma_str *fill, bool at_left, struct luma_str *out)
{
    const char *p = luma_str_data(s), *f = luma_str_data(fill);
    size_t chars = string_chars(p, s->bytes), want = length < 0 ? 0 : (size_t)length, at = 0;
    struct string_buf buf = {.call = call};

    if (chars >= want || fill->bytes == 0) {
        *out = luma_str_make(p, (uint32_t)string_prefix(p, s->bytes, want));
        return LUMA_OK;
    }
    if (want > 100000000)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_LIMIT, "54000", "requested length too large");
    if (!at_left)
        string_put(&buf, p, s->bytes);
    for (; chars < want; chars++) {
        size_t n = string_char_bytes(f + at, fill->bytes - at);
        string_put(&buf, f + at, n);
        at = at + n == fill->bytes ? 0 : at + n;
    }
    if (at_left)
        string_put(&buf, p, s->bytes);
    return string_done(&buf, out);
}

STRING_EVAL(pad_eval)
{
    struct luma_str *r = out->data, blank = luma_str_make(" ", 1);

    LUMA_ROWS(sel, rows, i)
    {
        LUMA_TRY(pad(call, luma_arg_str(&args[0], i), luma_arg_i32(&args[1], i),
                     args_count > 2 ? luma_arg_str(&args[2], i) : &blank,
                     call->func->name[0] == 'l', &r[i]));
    }
    return LUMA_OK;
}

STRING_EVAL(repeat)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i);
        int32_t count = luma_arg_i32(&args[1], i);
        size_t bytes = count <= 0 ? 0 : (size_t)count * s->bytes;
        char *room;
        if (bytes > 1u << 30)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_LIMIT, "54000", "requested length too large");
        room = luma_func_room(call, bytes);
        if (room == NULL)
            return luma_func_no_memory(call);
        for (size_t at = 0; at < bytes; at += s->bytes)
            memcpy(room + at, luma_str_data(s), s->bytes);
        r[i] = luma_str_make(room, (uint32_t)bytes);
    }
    return LUMA_OK;
}

/* --- joining and replacing --- */

STRING_EVAL(concat_two)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *a = luma_arg_str(&args[0], i), *b = luma_arg_str(&args[1], i);
        size_t bytes = (size_t)a->bytes + b->bytes;
        char *room = luma_func_room(call, bytes);
        if (room == NULL)
            return luma_func_no_memory(call);
        memcpy(room, luma_str_data(a), a->bytes);
        memcpy(room + a->bytes, luma_str_data(b), b->bytes);
        r[i] = luma_str_make(room, (uint32_t)bytes);
    }
    return LUMA_OK;
}

/* A value of any type as text, into the buffer. */
static luma_rc
put_value(struct string_buf *buf, const struct luma_vec *vec, uint32_t row)
{
    const struct luma_host_data *data = string_host->data;
    char *room;

    room = luma_func_room(buf->call, data->text_bound(vec, row));
    if (room == NULL)
        return luma_func_no_memory(buf->call);
    string_put(buf, room, data->text_write(vec, row, buf->call->format, room));
    return LUMA_OK;
}

/* || of text with anything. */
STRING_EVAL(concat_any)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct string_buf buf = {.call = call};
        LUMA_TRY(put_value(&buf, &args[0], i));
        LUMA_TRY(put_value(&buf, &args[1], i));
        LUMA_TRY(string_done(&buf, &r[i]));
    }
    return LUMA_OK;
}

/* concat(...): nulls are nothing. */
STRING_EVAL(concat)
{
    struct luma_str *r = out->data;

    LUMA_ROWS(sel, rows, i)
    {
        struct string_buf buf = {.call = call};
        for (uint32_t a = 0; a < args_count; a++)
            if (!luma_vec_is_null(&args[a], i))
                LUMA_TRY(put_value(&buf, &args[a], i));
        LUMA_TRY(string_done(&buf, &r[i]));
    }
    return LUMA_OK;
}

STRING_EVAL(concat_ws)
{
    struct luma_str *r = out->data;

    LUMA_ROWS(sel, rows, i)
    {
        struct string_buf buf = {.call = call};
        bool first = true;
        if (luma_vec_is_null(&args[0], i)) {
            LUMA_TRY(luma_out_null(call, out, sel, rows, i));
            continue;
        }
        for (uint32_t a = 1; a < args_count; a++) {
            if (luma_vec_is_null(&args[a], i))
                continue;
            if (!first)
                LUMA_TRY(put_value(&buf, &args[0], i));
            first = false;
            LUMA_TRY(put_value(&buf, &args[a], i));
        }
        LUMA_TRY(string_done(&buf, &r[i]));
    }
    return LUMA_OK;
}

STRING_EVAL(replace)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i), *from = luma_arg_str(&args[1], i);
        const struct luma_str *to = luma_arg_str(&args[2], i);
        const char *p = luma_str_data(s), *end = p + s->bytes, *hit;
        struct string_buf buf = {.call = call};
        hit = from->bytes == 0 ? NULL : string_find(p, s->bytes, luma_str_data(from), from->bytes);
        if (hit == NULL) {
            r[i] = *s;
            continue;
        }
        for (; hit != NULL;
             hit = string_find(p, (size_t)(end - p), luma_str_data(from), from->bytes)) {
            string_put(&buf, p, (size_t)(hit - p));
            string_put(&buf, luma_str_data(to), to->bytes);
            p = hit + from->bytes;
        }
        string_put(&buf, p, (size_t)(end - p));
        LUMA_TRY(string_done(&buf, &r[i]));
    }
    return LUMA_OK;
}

/* Each character of `from` becomes the one at the same place of `to`, or nothing. */
STRING_EVAL(translate)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i), *from = luma_arg_str(&args[1], i);
        const struct luma_str *to = luma_arg_str(&args[2], i);
        struct string_buf buf = {.call = call};
        for (uint32_t at = 0; at < s->bytes;) {
            const char *c = luma_str_data(s) + at, *f = luma_str_data(from), *t = luma_str_data(to);
            const char *f_end = f + from->bytes, *t_end = t + to->bytes;
            size_t n = string_char_bytes(c, s->bytes - at);
            bool found = false;
            while (f < f_end && !found) {
                size_t fn = string_char_bytes(f, (size_t)(f_end - f));
                size_t tn = t < t_end ? string_char_bytes(t, (size_t)(t_end - t)) : 0;
                if (fn == n && memcmp(f, c, n) == 0) {
                    found = true;
                    string_put(&buf, t, tn);
                }
                f += fn;
                t += tn;
            }
            if (!found)
                string_put(&buf, c, n);
            at += (uint32_t)n;
        }
        LUMA_TRY(string_done(&buf, &r[i]));
    }
    return LUMA_OK;
}

STRING_EVAL(overlay)
{
    struct luma_str *r = out->data;
    bool by_bytes = call->func->args[0].id == LUMA_TYPE_BYTEA;

    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i), *with = luma_arg_str(&args[1], i);
        int64_t from = luma_arg_i32(&args[2], i);
        int64_t count = args_count > 3 ? luma_arg_i32(&args[3], i)
                        : by_bytes     ? with->bytes
                                       : (int64_t)string_chars(luma_str_data(with), with->bytes);
        struct luma_str front, back;
        struct string_buf buf = {.call = call};
        if (from <= 0)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22011",
                                 "negative substring length not allowed");
        LUMA_TRY(substring_of(call, s, 1, from - 1, true, by_bytes, &front));
        LUMA_TRY(substring_of(call, s, from + count, 0, false, by_bytes, &back));
        string_put(&buf, luma_str_data(&front), front.bytes);
        string_put(&buf, luma_str_data(with), with->bytes);
        string_put(&buf, luma_str_data(&back), back.bytes);
        LUMA_TRY(string_done(&buf, &r[i]));
    }
    return LUMA_OK;
}

STRING_EVAL(reverse)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i);
        const char *p = luma_str_data(s);
        char *room = luma_func_room(call, s->bytes);
        if (room == NULL)
            return luma_func_no_memory(call);
        for (uint32_t at = 0; at < s->bytes;) {
            size_t n = string_char_bytes(p + at, s->bytes - at);
            memcpy(room + s->bytes - at - n, p + at, n);
            at += (uint32_t)n;
        }
        r[i] = luma_str_make(room, s->bytes);
    }
    return LUMA_OK;
}

#define OP  (STRICT | LUMA_FUNC_OPERATOR)
#define ANY LUMA_T(ANY)

static const struct luma_func basic_functions[] = {
    LUMA_FUNC("length", DICT, INT, char_length, TEXT),
    LUMA_FUNC("char_length", DICT, INT, char_length, TEXT),
    LUMA_FUNC("character_length", DICT, INT, char_length, TEXT),
    LUMA_FUNC("octet_length", DICT, INT, octet_length, TEXT),
    LUMA_FUNC("bit_length", DICT, INT, octet_length, TEXT),
    LUMA_FUNC("length", STRICT, INT, octet_length, LUMA_T(BYTEA)),
    LUMA_FUNC("octet_length", STRICT, INT, octet_length, LUMA_T(BYTEA)),
    LUMA_FUNC("bit_length", STRICT, INT, octet_length, LUMA_T(BYTEA)),
    LUMA_FUNC("substr", DICT, TEXT, substring, TEXT, INT),
    LUMA_FUNC("substr", DICT, TEXT, substring, TEXT, INT, INT),
    LUMA_FUNC("substring", DICT, TEXT, substring, TEXT, INT),
    LUMA_FUNC("substring", DICT, TEXT, substring, TEXT, INT, INT),
    LUMA_FUNC("substr", STRICT, LUMA_T(BYTEA), substring, LUMA_T(BYTEA), INT),
    LUMA_FUNC("substr", STRICT, LUMA_T(BYTEA), substring, LUMA_T(BYTEA), INT, INT),
    LUMA_FUNC("substring", STRICT, LUMA_T(BYTEA), substring, LUMA_T(BYTEA), INT),
    LUMA_FUNC("substring", STRICT, LUMA_T(BYTEA), substring, LUMA_T(BYTEA), INT, INT),
    LUMA_FUNC("left", DICT, TEXT, left, TEXT, INT),
    LUMA_FUNC("right", DICT, TEXT, right, TEXT, INT),
    LUMA_FUNC("split_part", DICT, TEXT, split_part, TEXT, TEXT, INT),
    LUMA_FUNC("position", DICT, INT, position, TEXT, TEXT),
    LUMA_FUNC("strpos", DICT, INT, position, TEXT, TEXT),
    LUMA_FUNC("position", STRICT, INT, position, LUMA_T(BYTEA), LUMA_T(BYTEA)),
    LUMA_FUNC_OP("starts_with", DICT, LUMA_OP_PREFIX, LUMA_T(BOOL), starts_with, TEXT, TEXT),
    LUMA_FUNC_OP("^@", DICT | LUMA_FUNC_OPERATOR, LUMA_OP_PREFIX, LUMA_T(BOOL), starts_with, TEXT,
                 TEXT),
    LUMA_FUNC("btrim", DICT, TEXT, trim_eval, TEXT),
    LUMA_FUNC("btrim", DICT, TEXT, trim_eval, TEXT, TEXT),
    LUMA_FUNC("ltrim", DICT, TEXT, trim_eval, TEXT),
    LUMA_FUNC("ltrim", DICT, TEXT, trim_eval, TEXT, TEXT),
    LUMA_FUNC("rtrim", DICT, TEXT, trim_eval, TEXT),
    LUMA_FUNC("rtrim", DICT, TEXT, trim_eval, TEXT, TEXT),
    LUMA_FUNC("lpad", DICT, TEXT, pad_eval, TEXT, INT),
    LUMA_FUNC("lpad", DICT, TEXT, pad_eval, TEXT, INT, TEXT),
    LUMA_FUNC("rpad", DICT, TEXT, pad_eval, TEXT, INT),
    LUMA_FUNC("rpad", DICT, TEXT, pad_eval, TEXT, INT, TEXT),
    LUMA_FUNC("repeat", STRICT, TEXT, repeat, TEXT, INT),
    LUMA_FUNC("||", OP, TEXT, concat_two, TEXT, TEXT),
    LUMA_FUNC("||", OP, LUMA_T(BYTEA), concat_two, LUMA_T(BYTEA), LUMA_T(BYTEA)),
    LUMA_FUNC("||", OP | LUMA_FUNC_STABLE, TEXT, concat_any, TEXT, ANY),
    LUMA_FUNC("||", OP | LUMA_FUNC_STABLE, TEXT, concat_any, ANY, TEXT),
    LUMA_FUNC("concat", LUMA_FUNC_VARIADIC | LUMA_FUNC_STABLE, TEXT, concat, ANY),
    LUMA_FUNC("concat_ws", LUMA_FUNC_VARIADIC | LUMA_FUNC_STABLE, TEXT, concat_ws, TEXT, ANY),
    LUMA_FUNC("replace", DICT, TEXT, replace, TEXT, TEXT, TEXT),
    LUMA_FUNC("translate", DICT, TEXT, translate, TEXT, TEXT, TEXT),
    LUMA_FUNC("overlay", STRICT, TEXT, overlay, TEXT, TEXT, INT),
    LUMA_FUNC("overlay", STRICT, TEXT, overlay, TEXT, TEXT, INT, INT),
    LUMA_FUNC("overlay", STRICT, LUMA_T(BYTEA), overlay, LUMA_T(BYTEA), LUMA_T(BYTEA), INT),
    LUMA_FUNC("overlay", STRICT, LUMA_T(BYTEA), overlay, LUMA_T(BYTEA), LUMA_T(BYTEA), INT, INT),
    LUMA_FUNC("reverse", DICT, TEXT, reverse, TEXT),
};

const struct luma_func_part string_basic = {basic_functions, LUMA_COUNTOF(basic_functions)};
