/* main/shell/split.h - where a statement ends, in text that comes line by line. */
#ifndef LK_MAIN_SHELL_SPLIT_H
#define LK_MAIN_SHELL_SPLIT_H

#include "base/base.h"

enum lki_split_state {
    SPLIT_PLAIN,
    SPLIT_QUOTE,
    SPLIT_ESCAPES,
    SPLIT_NAME,
    SPLIT_DOLLAR,
    SPLIT_COMMENT
};

struct lki_split {
    size_t at;      /* looked at so far */
    uint32_t depth; /* of comments */
    uint32_t parentheses;
    enum lki_split_state state;
    bool blank;         /* nothing but spaces and comments so far */
    uint32_t tag_bytes; /* of $tag$, both dollars included */
    size_t tag_at;
};
void lki_split_init(struct lki_split *split);
/*
 * Looks on in text, which holds the statement from its start and may have grown since. Gives the
 * length of the statement with its semicolon, or 0: not ended yet. Call lki_split_init after one.
 */
size_t lki_split_next(struct lki_split *split, const char *text, size_t bytes);
/* What the prompt shows: '=' fresh, '-' in a statement, '\'' '"' '$' '*' '(' inside of that. */
char lki_split_mark(const struct lki_split *split);

#endif
