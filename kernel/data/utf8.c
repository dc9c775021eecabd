/* data/utf8.c - UTF-8: validity and counting characters. */
#include "data/data_priv.h"

/* Bytes of the sequence at p (RFC 3629); 0: not valid. */
static size_t
sequence(const uint8_t *p, const uint8_t *end)
{
    size_t n;

    if (p[0] < 0xc2)
        return 0;
    n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (n == 0 || (size_t)(end - p) < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

bool
lk_data_utf8_valid(const void *data, size_t bytes)
{
    const uint8_t *p = data, *end = p + bytes;

    while (p < end) {
        size_t n;
        while (end - p >= 8) {
            uint64_t w;
            memcpy(&w, p, 8);
            if ((w & UINT64_C(0x8080808080808080)) != 0)
                break;
            p += 8;
        }
        if (p == end)
            break;
        if (*p < 0x80) {
            p++;
            continue;
        }
        n = sequence(p, end);
        if (n == 0)
            return false;
        p += n;
    }
    return true;
}

size_t
lki_utf8_chars(const char *text, size_t bytes)
{
    size_t n = 0;

    for (size_t i = 0; i < bytes; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

size_t
lki_utf8_prefix(const char *text, size_t bytes, size_t chars)
{
    for (size_t i = 0; i < bytes; i++)
        if (((unsigned char)text[i] & 0xc0) != 0x80 && chars-- == 0)
            return i;
    return bytes;
}
