/* function/json - operators and functions of json and jsonb. */
#ifndef FUNCTION_JSON_JS_H
#define FUNCTION_JSON_JS_H

#include <lumadb/kind/function_util.h>

extern const struct luma_host *js_host;
extern const struct luma_func_part js_get, js_change, js_build, js_sets, js_aggregates, js_paths;

#define JS_EVAL(name_)                                                                   \
    static luma_rc name_(const struct luma_func_call *call, const struct luma_vec *args, \
                         uint32_t args_count, const uint16_t *sel, uint32_t rows,        \
                         struct luma_vec *out)

#define STRICT LUMA_FUNC_STRICT
#define OP     (LUMA_FUNC_STRICT | LUMA_FUNC_OPERATOR)
#define TEXT   LUMA_T(TEXT)
#define INT    LUMA_T(INT4)
#define JSON   LUMA_T(JSON)
#define JSONB  LUMA_T(JSONB)
#define BOOL   LUMA_T(BOOL)

/* Row's document; json text is parsed into the batch arena. */
luma_rc js_doc_at(const struct luma_func_call *call, const struct luma_vec *vec, uint32_t row,
                  struct luma_slice *out);
/* A document as a value of `type`: jsonb as it is, json as text, text as ->> has it. */
luma_rc js_result(const struct luma_func_call *call, struct luma_slice doc, enum luma_type_id type,
                  struct luma_str *out);
/* Text of a document as ->> gives it; false: it is null. */
luma_rc js_text(const struct luma_func_call *call, struct luma_slice doc, struct luma_str *out,
                bool *out_null);
/* Elements of a text[] argument. */
luma_rc js_path(const struct luma_func_call *call, const struct luma_vec *vec, uint32_t row,
                struct luma_str **out_items, bool **out_nulls, uint32_t *out_count);
/* A whole number in text; false: it is none. */
bool js_index(const struct luma_str *text, int64_t *out);
/* Member or element by a step of a path. */
bool js_step(struct luma_slice doc, const struct luma_str *step, struct luma_slice *out);
/* Members of a container. */
luma_rc js_members(const struct luma_func_call *call, struct luma_slice doc,
                   struct luma_slice **out_names, struct luma_slice **out_docs, uint32_t spare,
                   uint32_t *out_count);

#endif
