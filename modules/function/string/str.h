/* function/string - functions on text and bytes. */
#ifndef FUNCTION_STRING_STR_H
#define FUNCTION_STRING_STR_H

#include <lumadb/kind/function_util.h>

extern const struct luma_host *string_host;
extern const struct luma_func_part string_basic, string_case, string_like, string_regex,
    string_bytes, string_format, string_array;

#define STRING_EVAL(name_)                                                               \
    static luma_rc name_(const struct luma_func_call *call, const struct luma_vec *args, \
                         uint32_t args_count, const uint16_t *sel, uint32_t rows,        \
                         struct luma_vec *out)

#define STRICT LUMA_FUNC_STRICT
#define DICT   (LUMA_FUNC_STRICT | LUMA_FUNC_DICT)
#define TEXT   LUMA_T(TEXT)
#define INT    LUMA_T(INT4)

static inline bool
string_starts_char(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

static inline size_t
string_chars(const char *p, size_t bytes)
{
    size_t n = 0;

    for (size_t i = 0; i < bytes; i++)
        n += string_starts_char(p[i]);
    return n;
}

/* Bytes of the first `chars` characters. */
static inline size_t
string_prefix(const char *p, size_t bytes, size_t chars)
{
    for (size_t i = 0; i < bytes; i++)
        if (string_starts_char(p[i]) && chars-- == 0)
            return i;
    return bytes;
}

/* Bytes of the character at p. */
static inline size_t
string_char_bytes(const char *p, size_t left)
{
    size_t n = 1;

    while (n < left && !string_starts_char(p[n]))
        n++;
    return n;
}

/* First occurrence; NULL: none. An empty needle is found at once. */
const char *string_find(const char *hay, size_t hay_bytes, const char *needle, size_t needle_bytes);

/* A growing piece of text in the batch arena. */
struct string_buf {
    const struct luma_func_call *call;
    char *data;
    size_t bytes, room_bytes;
    bool failed;
};
void string_put(struct string_buf *buf, const char *data, size_t bytes);
/* The result, or the error. */
luma_rc string_done(struct string_buf *buf, struct luma_str *out);

/* Text in the case asked for; ASCII stays in place where it can. */
luma_rc string_lower(const struct luma_func_call *call, struct luma_slice in, struct luma_str *out);

#endif
