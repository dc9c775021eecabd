/* data/jsonpath_priv.h - the text form of jsonpath, for the files that know every type's. */
#ifndef LKI_DATA_JSONPATH_PRIV_H
#define LKI_DATA_JSONPATH_PRIV_H

#include "base/base.h"

LUMA_NODISCARD luma_rc lki_jsonpath_parse(struct luma_ctx *ctx, struct luma_arena *arena,
                                          struct luma_slice text, struct luma_str *out);
size_t lki_jsonpath_text_bound(const struct luma_str *path);
size_t lki_jsonpath_text_write(const struct luma_str *path, char *out);

#endif
