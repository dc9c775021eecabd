/* function/string/string.c - the package, and what its files share. */
#include "str.h"

const struct luma_host *string_host;

const char *
string_find(const char *hay, size_t hay_bytes, const char *needle, size_t needle_bytes)
{
    if (needle_bytes == 0)
        return hay;
    return memmem(hay, hay_bytes, needle, needle_bytes);
}

void
string_put(struct string_buf *buf, const char *data, size_t bytes)
{
    if (buf->failed || bytes == 0)
        return;
    if (bytes > buf->room_bytes - buf->bytes) {
        size_t room = (buf->bytes + bytes) * 2 + 32;
        char *more = room > UINT32_MAX / 2 ? NULL : luma_func_room(buf->call, room);
        if (more == NULL) {
            buf->failed = true;
            return;
        }
        if (buf->bytes > 0)
            memcpy(more, buf->data, buf->bytes);
        buf->data = more;
        buf->room_bytes = room;
    }
    memcpy(buf->data + buf->bytes, data, bytes);
    buf->bytes += bytes;
}

luma_rc
string_done(struct string_buf *buf, struct luma_str *out)
{
    if (buf->failed)
        return luma_func_no_memory(buf->call);
    *out = luma_str_make(buf->data == NULL ? "" : buf->data, (uint32_t)buf->bytes);
    return LUMA_OK;
}

static struct luma_function_package string_package = {.head = LUMA_FUNCTION_HEAD};

static luma_rc
string_init(const struct luma_host *host, const void *conf, struct luma_ctx *ctx, void **out_state)
{
    const struct luma_func_part parts[] = {string_basic, string_case,   string_like, string_regex,
                                           string_bytes, string_format, string_array};

    (void)conf;
    string_host = host;
    if (!luma_function_package_join(&string_package, parts, LUMA_COUNTOF(parts)))
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
    *out_state = NULL;
    return LUMA_OK;
}

LUMA_MODULE(.kind = "function", .name = "string", .version = "1.0.0", .licence = "Apache-2.0",
            .author = "LumaDB", .summary = "text, patterns, bytes, arrays of text",
            .offers = LUMA_OFFERS({"function.string", &string_package.head}), .init = string_init);
