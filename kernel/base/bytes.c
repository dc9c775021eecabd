/* base/bytes.c - growing byte buffers, text in them. */
#include "base/bytes.h"

#include <stdio.h>

#include "base/mem.h"

#define BYTES_ROOM_MIN 64

void
lk_bytes_fini(struct lk_bytes *b)
{
    lk_free(b->budget, b->data, b->room);
    struct luma_budget *budget = b->budget;
    memset(b, 0, sizeof(*b));
    b->budget = budget;
}

bool
lk_bytes_grow(struct lk_bytes *b, size_t more)
{
    if (more <= b->room - b->bytes)
        return true;
    if (more > SIZE_MAX / 4 - b->bytes) {
        b->failed = true;
        return false;
    }
    size_t need = b->bytes + more;
    size_t room = b->room * 2 < BYTES_ROOM_MIN ? BYTES_ROOM_MIN : b->room * 2;
    if (room < need)
        room = (size_t)lk_align_up(need, BYTES_ROOM_MIN);
    uint8_t *data = lk_resize(b->budget, b->data, b->room, room);
    if (data == NULL) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->room = room;
    return true;
}

bool
lk_bytes_vprintf(struct lk_bytes *b, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    size_t room = b->room - b->bytes;
    int n = vsnprintf(room == 0 ? NULL : (char *)b->data + b->bytes, room, fmt, args);
    bool ok = n >= 0;
    if (ok && (size_t)n >= room) {
        ok = lk_bytes_grow(b, (size_t)n + 1);
        if (ok)
            vsnprintf((char *)b->data + b->bytes, (size_t)n + 1, fmt, again);
    }
    if (ok)
        b->bytes += (size_t)n;
    va_end(again);
    return ok;
}

bool
lk_bytes_printf(struct lk_bytes *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    bool ok = lk_bytes_vprintf(b, fmt, args);
    va_end(args);
    return ok;
}

const char *
lk_bytes_cstr(struct lk_bytes *b)
{
    if (!lk_bytes_reserve(b, 1))
        return "";
    b->data[b->bytes] = '\0';
    return (const char *)b->data;
}

/* Bytes of the valid UTF-8 sequence at p, 0 when there is none. */
static size_t
utf8_sequence(const uint8_t *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    size_t n = p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
    if (n == 0 || p[0] > 0xf4 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool outside = (p[0] == 0xed && p[1] >= 0xa0) || (p[0] == 0xf4 && p[1] >= 0x90);
    return overlong || outside ? 0 : n;
}

static bool
json_ascii(struct lk_bytes *b, uint8_t c)
{
    switch (c) {
    case '"':
        return lk_bytes_text(b, "\\\"");
    case '\\':
        return lk_bytes_text(b, "\\\\");
    case '\n':
        return lk_bytes_text(b, "\\n");
    case '\r':
        return lk_bytes_text(b, "\\r");
    case '\t':
        return lk_bytes_text(b, "\\t");
    default:
        return c < 0x20 || c == 0x7f ? lk_bytes_printf(b, "\\u%04x", c) : lk_bytes_u8(b, c);
    }
}

bool
lk_bytes_json(struct lk_bytes *b, struct luma_slice text)
{
    bool ok = lk_bytes_u8(b, '"');
    for (size_t i = 0; ok && i < text.bytes;) {
        size_t n = utf8_sequence(text.data + i, text.bytes - i);
        if (n == 1)
            ok = json_ascii(b, text.data[i]);
        else if (n == 0)
            ok = lk_bytes_text(b, "\xef\xbf\xbd");
        else
            ok = lk_bytes_append(b, text.data + i, n);
        i += n == 0 ? 1 : n;
    }
    return ok && lk_bytes_u8(b, '"');
}
