/* data/text_in.h - values from text, for the files of kernel/data. */
#ifndef LKI_DATA_TEXT_IN_H
#define LKI_DATA_TEXT_IN_H

#include "data/data_priv.h"

/* "invalid input syntax for type integer: "x"" and its kin. */
luma_rc lki_text_syntax(struct luma_ctx *ctx, const char *type_name, struct luma_slice text);
luma_rc lki_text_range(struct luma_ctx *ctx, const char *type_name, struct luma_slice text);
/* A whole number in [min, max], blanks around it allowed. */
enum lki_parse lki_int_parse(const char *text, size_t bytes, int64_t min, int64_t max,
                             int64_t *out);
/* text(n): too long unless only blanks are cut; bpchar is padded. */
luma_rc lki_text_fit(struct luma_ctx *ctx, struct luma_arena *arena, struct luma_type type,
                     struct luma_slice text, struct luma_str *out);

#endif
