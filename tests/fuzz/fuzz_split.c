/* tests/fuzz/fuzz_split.c - any text is cut into statements, the same ones whole and line by line.
 */
#include "main/shell/split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* Ends of all statements of text, mixed into one number. */
static uint64_t
ends(const char *text, size_t bytes, bool by_lines)
{
    struct lki_split split;
    const char *at = text, *end = text + bytes, *shown = by_lines ? text : end;
    uint64_t sum = 0;
    size_t n;
    lki_split_init(&split);
    do {
        const char *newline = by_lines ? memchr(shown, '\n', (size_t)(end - shown)) : NULL;
        shown = newline == NULL ? end : newline + 1;
        while ((n = lki_split_next(&split, at, (size_t)(shown - at))) != 0) {
            LK_ASSERT(n <= (size_t)(shown - at) && at[n - 1] == ';');
            at += n;
            sum = sum * 31 + (uint64_t)(at - text);
            lki_split_init(&split);
        }
        LK_ASSERT(split.at <= (size_t)(shown - at));
        (void)lki_split_mark(&split);
    } while (shown < end);
    return sum;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const char *text = (const char *)data;
    if (bytes > 0)
        LK_ASSERT(ends(text, bytes, false) == ends(text, bytes, true));
    return 0;
}
