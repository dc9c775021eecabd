/* function/string/case.c - upper, lower, initcap, characters and code points. */
#include <utf8proc.h>

#include "str.h"

enum letter_case { TO_LOWER, TO_UPPER, TO_TITLE };

static bool
is_ascii(const char *p, size_t bytes)
{
    unsigned char any = 0;

    for (size_t i = 0; i < bytes; i++)
        any |= (unsigned char)p[i];
    return any < 0x80;
}

static char
ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static char
ascii_upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}

static bool
is_word(utf8proc_int32_t c)
{
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
        return true;
    default:
        return false;
    }
}

static luma_rc
change_unicode(const struct luma_func_call *call, const char *p, size_t bytes, enum letter_case to,
               struct luma_str *out)
{
    char *room = luma_func_room(call, bytes * 3 + 4), *q = room;
    bool in_word = false;

    if (room == NULL)
        return luma_func_no_memory(call);
    for (size_t at = 0; at < bytes;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n =
            utf8proc_iterate((const utf8proc_uint8_t *)p + at, (utf8proc_ssize_t)(bytes - at), &c);
        if (n <= 0) {
            *q++ = p[at++];
            continue;
        }
        at += (size_t)n;
        if (to == TO_UPPER || (to == TO_TITLE && !in_word))
            c = c == 0xdf ? c : utf8proc_toupper(c); /* sharp s has no capital in common use */
        else
            c = utf8proc_tolower(c);
        in_word = is_word(c);
        q += utf8proc_encode_char(c, (utf8proc_uint8_t *)q);
    }
    *out = luma_str_make(room, (uint32_t)(q - room));
    return LUMA_OK;
}

static luma_rc
change(const struct luma_func_call *call, struct luma_slice in, enum letter_case to,
       struct luma_str *out)
{
    const char *p = (const char *)in.data;
    bool in_word = false;
    char *room;

    if (!is_ascii(p, in.bytes))
        return change_unicode(call, p, in.bytes, to, out);
    room = luma_func_room(call, in.bytes);
    if (room == NULL)
        return luma_func_no_memory(call);
    switch (to) {
    case TO_LOWER:
        for (size_t i = 0; i < in.bytes; i++)
            room[i] = ascii_lower(p[i]);
        break;
    case TO_UPPER:
        for (size_t i = 0; i < in.bytes; i++)
            room[i] = ascii_upper(p[i]);
        break;
    case TO_TITLE:
        for (size_t i = 0; i < in.bytes; i++) {
            room[i] = in_word ? ascii_lower(p[i]) : ascii_upper(p[i]);
            in_word = (ascii_lower(p[i]) >= 'a' && ascii_lower(p[i]) <= 'z') ||
                      (p[i] >= '0' && p[i] <= '9');
        }
        break;
    }
    *out = luma_str_make(room, (uint32_t)in.bytes);
    return LUMA_OK;
}

luma_rc
string_lower(const struct luma_func_call *call, struct luma_slice in, struct luma_str *out)
{
    return change(call, in, TO_LOWER, out);
}

#define CHANGE(name_, to_)                                                                 \
    STRING_EVAL(name_)                                                                     \
    {                                                                                      \
        struct luma_str *r = out->data;                                                    \
        (void)args_count;                                                                  \
        LUMA_ROWS(sel, rows, i)                                                            \
        {                                                                                  \
            LUMA_TRY(change(call, luma_str_slice(luma_arg_str(&args[0], i)), to_, &r[i])); \
        }                                                                                  \
        return LUMA_OK;                                                                    \
    }

CHANGE(lower, TO_LOWER)
CHANGE(upper, TO_UPPER)
CHANGE(initcap, TO_TITLE)

STRING_EVAL(ascii)
{
    int32_t *r = out->data;

    (void)call;
    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i);
        utf8proc_int32_t c = 0;
        if (s->bytes > 0 && utf8proc_iterate((const utf8proc_uint8_t *)luma_str_data(s),
                                             (utf8proc_ssize_t)s->bytes, &c) <= 0)
            c = (unsigned char)luma_str_data(s)[0];
        r[i] = c;
    }
    return LUMA_OK;
}

STRING_EVAL(chr)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        int32_t c = luma_arg_i32(&args[0], i);
        utf8proc_uint8_t bytes[4];
        if (c == 0)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_LIMIT, "54000", "null character not permitted");
        if (c < 0)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_LIMIT, "54000",
                                 "character number must be positive");
        if (!utf8proc_codepoint_valid(c))
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_LIMIT, "54000",
                                 "requested character not valid for encoding: %d", c);
        r[i] = luma_str_make((const char *)bytes, (uint32_t)utf8proc_encode_char(c, bytes));
    }
    return LUMA_OK;
}

static const struct luma_func case_functions[] = {
    LUMA_FUNC("lower", DICT, TEXT, lower, TEXT),     LUMA_FUNC("upper", DICT, TEXT, upper, TEXT),
    LUMA_FUNC("initcap", DICT, TEXT, initcap, TEXT), LUMA_FUNC("ascii", DICT, INT, ascii, TEXT),
    LUMA_FUNC("chr", STRICT, TEXT, chr, INT),
};

const struct luma_func_part string_case = {case_functions, LUMA_COUNTOF(case_functions)};
