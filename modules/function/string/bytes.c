/* function/string/bytes.c - encodings, digests, single bytes. */
#include <openssl/evp.h>

#include "str.h"

static const char hex_digits[] = "0123456789abcdef";

static void
put_hex(const uint8_t *bytes, size_t count, char *out)
{
    for (size_t i = 0; i < count; i++) {
        out[2 * i] = hex_digits[bytes[i] >> 4];
        out[2 * i + 1] = hex_digits[bytes[i] & 15];
    }
}

/* --- digests --- */

static luma_rc
digest(const struct luma_func_call *call, const EVP_MD *md, const struct luma_str *s,
       uint8_t out[EVP_MAX_MD_SIZE], unsigned *out_bytes)
{
    if (EVP_Digest(luma_str_data(s), s->bytes, out, out_bytes, md, NULL) != 1)
        return LUMA_FAIL(call->ctx, LUMA_E_INTERNAL, "could not compute the digest");
    return LUMA_OK;
}

STRING_EVAL(md5)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        uint8_t sum[EVP_MAX_MD_SIZE];
        unsigned bytes = 0;
        char *hex = luma_func_room(call, 32);
        if (hex == NULL)
            return luma_func_no_memory(call);
        LUMA_TRY(digest(call, EVP_md5(), luma_arg_str(&args[0], i), sum, &bytes));
        put_hex(sum, 16, hex);
        r[i] = luma_str_make(hex, 32);
    }
    return LUMA_OK;
}

STRING_EVAL(sha)
{
    const char *name = call->func->name;
    const EVP_MD *md = strcmp(name, "sha224") == 0   ? EVP_sha224()
                       : strcmp(name, "sha256") == 0 ? EVP_sha256()
                       : strcmp(name, "sha384") == 0 ? EVP_sha384()
                                                     : EVP_sha512();
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        unsigned bytes = 0;
        uint8_t *sum = (uint8_t *)luma_func_room(call, EVP_MAX_MD_SIZE);
        if (sum == NULL)
            return luma_func_no_memory(call);
        LUMA_TRY(digest(call, md, luma_arg_str(&args[0], i), sum, &bytes));
        r[i] = luma_str_make((const char *)sum, bytes);
    }
    return LUMA_OK;
}

/* --- encode and decode --- */

enum encoding { ENC_NONE, ENC_HEX, ENC_BASE64, ENC_ESCAPE };

static enum encoding
encoding_of(const struct luma_str *name)
{
    static const struct {
        const char *name;
        enum encoding encoding;
    } names[] = {{"hex", ENC_HEX}, {"base64", ENC_BASE64}, {"escape", ENC_ESCAPE}};

    for (size_t i = 0; i < LUMA_COUNTOF(names); i++)
        if (strlen(names[i].name) == name->bytes &&
            memcmp(names[i].name, luma_str_data(name), name->bytes) == 0)
            return names[i].encoding;
    return ENC_NONE;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Lines of 76 characters, as MIME and PostgreSQL have it. */
static void
put_base64(struct string_buf *buf, const uint8_t *p, size_t bytes)
{
    size_t column = 0;

    for (size_t i = 0; i < bytes; i += 3) {
        size_t n = bytes - i < 3 ? bytes - i : 3;
        uint32_t v =
            (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (n > 2 ? p[i + 2] : 0);
        char four[4] = {base64_digits[v >> 18], base64_digits[v >> 12 & 63],
                        n > 1 ? base64_digits[v >> 6 & 63] : '=',
                        n > 2 ? base64_digits[v & 63] : '='};
        string_put(buf, four, 4);
        column += 4;
        if (column == 76) {
            string_put(buf, "\n", 1);
            column = 0;
        }
    }
    if (buf->bytes > 0 && buf->data[buf->bytes - 1] == '\n')
        buf->bytes--;
}

static void
put_escape(struct string_buf *buf, const uint8_t *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        char octal[4] = {'\\', (char)('0' + (p[i] >> 6)), (char)('0' + (p[i] >> 3 & 7)),
                         (char)('0' + (p[i] & 7))};
        if (p[i] == 0 || p[i] >= 0x80)
            string_put(buf, octal, 4);
        else if (p[i] == '\\')
            string_put(buf, "\\\\", 2);
        else
            string_put(buf, (const char *)&p[i], 1);
    }
}

static luma_rc
no_encoding(const struct luma_func_call *call, const struct luma_str *name)
{
    return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023", "unrecognized encoding: \"%.*s\"",
                         (int)name->bytes, luma_str_data(name));
}

STRING_EVAL(encode)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i), *name = luma_arg_str(&args[1], i);
        const uint8_t *p = (const uint8_t *)luma_str_data(s);
        struct string_buf buf = {.call = call};
        char *hex;
        switch (encoding_of(name)) {
        case ENC_HEX:
            hex = luma_func_room(call, (size_t)s->bytes * 2);
            if (hex == NULL)
                return luma_func_no_memory(call);
            put_hex(p, s->bytes, hex);
            r[i] = luma_str_make(hex, s->bytes * 2);
            continue;
        case ENC_BASE64:
            put_base64(&buf, p, s->bytes);
            break;
        case ENC_ESCAPE:
            put_escape(&buf, p, s->bytes);
            break;
        default:
            return no_encoding(call, name);
        }
        LUMA_TRY(string_done(&buf, &r[i]));
    }
    return LUMA_OK;
}

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static luma_rc
decode_hex(const struct luma_func_call *call, const struct luma_str *s, struct string_buf *buf)
{
    const char *p = luma_str_data(s), *end = p + s->bytes;

    while (p < end) {
        int high, low;
        char byte;
        if (is_blank(*p)) {
            p++;
            continue;
        }
        high = hex_value(*p);
        if (high < 0)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023",
                                 "invalid hexadecimal digit: \"%c\"", *p);
        if (p + 1 == end)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023",
                                 "invalid hexadecimal data: odd number of digits");
        low = hex_value(p[1]);
        if (low < 0)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023",
                                 "invalid hexadecimal digit: \"%c\"", p[1]);
        byte = (char)(high << 4 | low);
        string_put(buf, &byte, 1);
        p += 2;
    }
    return LUMA_OK;
}

static luma_rc
decode_base64(const struct luma_func_call *call, const struct luma_str *s, struct string_buf *buf)
{
    const char *p = luma_str_data(s), *end = p + s->bytes;
    uint32_t v = 0, digits = 0, padding = 0;

    for (; p < end; p++) {
        const char *at = *p == '\0' ? NULL : strchr(base64_digits, *p);
        if (is_blank(*p))
            continue;
        if (*p == '=' && digits >= 2) {
            padding++;
        } else if (at == NULL || padding > 0) {
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023",
                                 "invalid symbol \"%c\" found while decoding base64 sequence", *p);
        }
        v = v << 6 | (*p == '=' ? 0 : (uint32_t)(at - base64_digits));
        if (++digits == 4) {
            char three[3] = {(char)(v >> 16), (char)(v >> 8), (char)v};
            string_put(buf, three, 3 - padding);
            digits = 0;
            v = 0;
        }
    }
    if (digits != 0)
        return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "22023", "invalid base64 end sequence");
    return LUMA_OK;
}

static luma_rc
decode_escape(const struct luma_func_call *call, const struct luma_str *s, struct string_buf *buf)
{
    const char *p = luma_str_data(s), *end = p + s->bytes;

    while (p < end) {
        if (*p != '\\') {
            string_put(buf, p++, 1);
        } else if (end - p >= 2 && p[1] == '\\') {
            string_put(buf, p, 1);
            p += 2;
        } else if (end - p >= 4 && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' &&
                   p[3] >= '0' && p[3] <= '7') {
            char byte = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
            string_put(buf, &byte, 1);
            p += 4;
        } else {
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_DATA, "22P02",
                                 "invalid input syntax for type bytea");
        }
    }
    return LUMA_OK;
}

STRING_EVAL(decode)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i), *name = luma_arg_str(&args[1], i);
        struct string_buf buf = {.call = call};
        switch (encoding_of(name)) {
        case ENC_HEX:
            LUMA_TRY(decode_hex(call, s, &buf));
            break;
        case ENC_BASE64:
            LUMA_TRY(decode_base64(call, s, &buf));
            break;
        case ENC_ESCAPE:
            LUMA_TRY(decode_escape(call, s, &buf));
            break;
        default:
            return no_encoding(call, name);
        }
        LUMA_TRY(string_done(&buf, &r[i]));
    }
    return LUMA_OK;
}

/* --- single bytes and bits --- */

STRING_EVAL(get_byte)
{
    int32_t *r = out->data;
    bool bit = strcmp(call->func->name, "get_bit") == 0;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i);
        int64_t n = bit ? luma_arg_i64(&args[1], i) : luma_arg_i32(&args[1], i);
        if (n < 0 || n >= (int64_t)s->bytes * (bit ? 8 : 1))
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "2202E",
                                 "index %lld out of valid range, 0..%lld", (long long)n,
                                 (long long)s->bytes * (bit ? 8 : 1) - 1);
        if (bit)
            r[i] = luma_str_data(s)[n / 8] >> (n % 8) & 1;
        else
            r[i] = (uint8_t)luma_str_data(s)[n];
    }
    return LUMA_OK;
}

STRING_EVAL(set_byte)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i);
        int32_t n = luma_arg_i32(&args[1], i);
        char *copy;
        if (n < 0 || (uint32_t)n >= s->bytes)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_INVALID, "2202E",
                                 "index %d out of valid range, 0..%lld", n,
                                 (long long)s->bytes - 1);
        copy = luma_func_room(call, s->bytes);
        if (copy == NULL)
            return luma_func_no_memory(call);
        memcpy(copy, luma_str_data(s), s->bytes);
        copy[n] = (char)luma_arg_i32(&args[2], i);
        r[i] = luma_str_make(copy, s->bytes);
    }
    return LUMA_OK;
}

STRING_EVAL(convert_from)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i);
        if (!string_host->data->utf8_valid(luma_str_data(s), s->bytes) ||
            memchr(luma_str_data(s), 0, s->bytes) != NULL)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_DATA, "22021",
                                 "invalid byte sequence for encoding \"UTF8\"");
        r[i] = *s;
    }
    return LUMA_OK;
}

STRING_EVAL(convert_to)
{
    struct luma_str *r = out->data;

    (void)call;
    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        r[i] = *luma_arg_str(&args[0], i);
    }
    return LUMA_OK;
}

#define HEX_EVAL(name_, T, UT)                                               \
    STRING_EVAL(name_)                                                       \
    {                                                                        \
        const T *px = args[0].data;                                          \
        size_t sx = luma_vec_stride(&args[0]);                               \
        struct luma_str *r = out->data;                                      \
        (void)args_count;                                                    \
        LUMA_ROWS(sel, rows, i)                                              \
        {                                                                    \
            char text[16], *p = text + sizeof(text), *copy;                  \
            UT v = (UT)px[i * sx];                                           \
            do                                                               \
                *--p = hex_digits[v & 15];                                   \
            while ((v >>= 4) != 0);                                          \
            copy = luma_func_room(call, 16);                                 \
            if (copy == NULL)                                                \
                return luma_func_no_memory(call);                            \
            memcpy(copy, p, (size_t)(text + sizeof(text) - p));              \
            r[i] = luma_str_make(copy, (uint32_t)(text + sizeof(text) - p)); \
        }                                                                    \
        return LUMA_OK;                                                      \
    }

HEX_EVAL(to_hex_int4, int32_t, uint32_t)
HEX_EVAL(to_hex_int8, int64_t, uint64_t)

#define BYTEA LUMA_T(BYTEA)

static const struct luma_func bytes_functions[] = {
    LUMA_FUNC("md5", DICT, TEXT, md5, TEXT),
    LUMA_FUNC("md5", STRICT, TEXT, md5, BYTEA),
    LUMA_FUNC("sha224", STRICT, BYTEA, sha, BYTEA),
    LUMA_FUNC("sha256", STRICT, BYTEA, sha, BYTEA),
    LUMA_FUNC("sha384", STRICT, BYTEA, sha, BYTEA),
    LUMA_FUNC("sha512", STRICT, BYTEA, sha, BYTEA),
    LUMA_FUNC("encode", STRICT, TEXT, encode, BYTEA, TEXT),
    LUMA_FUNC("decode", STRICT, BYTEA, decode, TEXT, TEXT),
    LUMA_FUNC("get_byte", STRICT, INT, get_byte, BYTEA, INT),
    LUMA_FUNC("get_bit", STRICT, INT, get_byte, BYTEA, LUMA_T(INT8)),
    LUMA_FUNC("set_byte", STRICT, BYTEA, set_byte, BYTEA, INT, INT),
    LUMA_FUNC("convert_from", STRICT, TEXT, convert_from, BYTEA, TEXT),
    LUMA_FUNC("convert_to", STRICT, BYTEA, convert_to, TEXT, TEXT),
    LUMA_FUNC("to_hex", STRICT, TEXT, to_hex_int4, INT),
    LUMA_FUNC("to_hex", STRICT, TEXT, to_hex_int8, LUMA_T(INT8)),
};

const struct luma_func_part string_bytes = {bytes_functions, LUMA_COUNTOF(bytes_functions)};
