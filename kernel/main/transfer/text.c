/* main/transfer/text.c - bytes that grow. */
#include "main/transfer/text.h"

#include <stdio.h>
#include <stdlib.h>

void *
lki_grow(void *old, size_t bytes)
{
    void *new = realloc(old, bytes);
    if (new == NULL) {
        fputs("lumadb: out of memory\n", stderr);
        exit(1);
    }
    return new;
}

char *
lki_text_room(struct lki_text *text, size_t more)
{
    size_t wanted = text->used + more + 1;
    if (wanted > text->room) {
        size_t doubled = LK_MAX(text->room * 2, (size_t)256);
        text->room = LK_MAX(wanted, doubled);
        text->bytes = lki_grow(text->bytes, text->room);
    }
    return text->bytes + text->used;
}

void
lki_text_add(struct lki_text *text, const char *bytes, size_t count)
{
    char *to = lki_text_room(text, count);
    if (count > 0)
        memcpy(to, bytes, count);
    text->used += count;
}

void
lki_text_put(struct lki_text *text, char c)
{
    *lki_text_room(text, 1) = c;
    text->used++;
}

void
lki_text_say(struct lki_text *text, const char *string)
{
    lki_text_add(text, string, strlen(string));
    text->bytes[text->used] = 0;
}

static void
add_doubled(struct lki_text *text, const char *bytes, size_t count, char quote)
{
    lki_text_put(text, quote);
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] == quote)
            lki_text_put(text, quote);
        lki_text_put(text, bytes[i]);
    }
    lki_text_put(text, quote);
}

void
lki_text_name(struct lki_text *text, const char *name, size_t bytes)
{
    add_doubled(text, name, bytes, '"');
}

void
lki_text_literal(struct lki_text *text, const char *string)
{
    if (strchr(string, '\\') != NULL) { /* means the same with and without standard strings */
        lki_text_say(text, " E'");
        for (const char *p = string; *p != 0; p++) {
            if (*p == '\\' || *p == '\'')
                lki_text_put(text, *p);
            lki_text_put(text, *p);
        }
        lki_text_put(text, '\'');
        return;
    }
    add_doubled(text, string, strlen(string), '\'');
}

void
lki_text_fini(struct lki_text *text)
{
    free(text->bytes);
    memset(text, 0, sizeof(*text));
}
