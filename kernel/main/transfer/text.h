/* main/transfer/text.h - bytes that grow. A client that runs out of memory says so and ends: the
 * server then rolls back what it had sent. */
#ifndef LK_MAIN_TRANSFER_TEXT_H
#define LK_MAIN_TRANSFER_TEXT_H

#include "base/base.h"

struct lki_text {
    char *bytes;
    size_t used, room;
};

/* Room for `more` bytes and a NUL behind them; gives where they go. */
char *lki_text_room(struct lki_text *text, size_t more);
void lki_text_add(struct lki_text *text, const char *bytes, size_t count);
void lki_text_put(struct lki_text *text, char c);
/* A string, and a NUL behind the text that does not count. */
void lki_text_say(struct lki_text *text, const char *string);
/* An identifier between double quotes. */
void lki_text_name(struct lki_text *text, const char *name, size_t bytes);
/* A string between single quotes, as SQL writes it. */
void lki_text_literal(struct lki_text *text, const char *string);
void lki_text_fini(struct lki_text *text);

/* realloc that ends the program when there is no memory. */
void *lki_grow(void *old, size_t bytes);

#endif
