/* data/jsonpath.h - what the files of jsonpath share. */
#ifndef LK_DATA_JSONPATH_H
#define LK_DATA_JSONPATH_H

#include <lumadb/host/jsonpath.h>

#include "base/base.h"
#include "data/data.h"

/* Single characters are tokens of their own value. */
enum lki_jsonpath_token {
    LKI_JP_END = 0,
    LKI_JP_IDENT = 256,
    LKI_JP_STRING,
    LKI_JP_VARIABLE,
    LKI_JP_INT,
    LKI_JP_NUMERIC,
    LKI_JP_AND,
    LKI_JP_OR,
    LKI_JP_EQ,
    LKI_JP_NE,
    LKI_JP_LE,
    LKI_JP_GE,
    LKI_JP_ANY,
    /* keywords, which are names of members too */
    LKI_JP_IS,
    LKI_JP_TO,
    LKI_JP_ABS,
    LKI_JP_LAX,
    LKI_JP_FLAG,
    LKI_JP_LAST,
    LKI_JP_NULL,
    LKI_JP_SIZE,
    LKI_JP_TRUE,
    LKI_JP_TYPE,
    LKI_JP_WITH,
    LKI_JP_FALSE,
    LKI_JP_FLOOR,
    LKI_JP_DOUBLE,
    LKI_JP_EXISTS,
    LKI_JP_STARTS,
    LKI_JP_STRICT,
    LKI_JP_CEILING,
    LKI_JP_UNKNOWN,
    LKI_JP_DATETIME,
    LKI_JP_KEYVALUE,
    LKI_JP_REGEX
};

struct lki_jsonpath_lexer {
    struct luma_ctx *ctx;
    struct luma_arena *arena;
    const char *at, *end;
    const char *begin; /* of the token */
    enum lki_jsonpath_token token;
    struct luma_slice text; /* of names, strings, variables and numbers */
};

LUMA_NODISCARD luma_rc lki_jsonpath_next(struct lki_jsonpath_lexer *x);
/* "syntax error at or near the token" */
LUMA_NODISCARD luma_rc lki_jsonpath_syntax(struct lki_jsonpath_lexer *x);

#endif
