/*
 * data/data.h - types and values for the kernel: the functions of host/data.h by name.
 *
 * Contracts are those of lumadb/host/data.h. Modules get the same functions as the table
 * lk_data_host. Pure: any thread, no parking; only the first use of a time zone reads a file.
 */
#ifndef LK_DATA_DATA_H
#define LK_DATA_DATA_H

#include <lumadb/host/data.h>

extern const struct luma_host_data lk_data_host;

/* Settings of a session that changed none: UTC, ISO dates, hex bytea. */
extern const struct luma_format lk_data_format_default;

const struct luma_type_info *lk_data_type_info(struct luma_type type);
const struct luma_type_info *lk_data_type_by_oid(uint32_t oid);
const struct luma_type_info *lk_data_type_by_name(const char *name);
const struct luma_type_info *lk_data_type_at(size_t index);
uint32_t lk_data_type_oid(struct luma_type type);
const char *lk_data_type_text(struct luma_type type, struct luma_arena *arena);
int32_t lk_data_type_typmod(struct luma_type type);
LUMA_NODISCARD luma_rc lk_data_from_text(struct luma_ctx *ctx, struct luma_arena *arena,
                                         struct luma_type type, const struct luma_format *format,
                                         struct luma_slice text, struct luma_value *out);
LUMA_NODISCARD luma_rc lk_data_column_from_text(struct luma_ctx *ctx, struct luma_arena *arena,
                                                struct luma_type type,
                                                const struct luma_format *format,
                                                const struct luma_slice *fields, uint32_t rows,
                                                struct luma_vec *out, uint32_t *out_bad);
size_t lk_data_text_bound(const struct luma_vec *vec, uint32_t row);
size_t lk_data_text_write(const struct luma_vec *vec, uint32_t row,
                          const struct luma_format *format, char *out);
const char *lk_data_value_text(const struct luma_value *value, const struct luma_format *format,
                               struct luma_arena *arena);
LUMA_NODISCARD luma_rc lk_data_from_binary(struct luma_ctx *ctx, struct luma_arena *arena,
                                           struct luma_type type, struct luma_slice bytes,
                                           struct luma_value *out);
LUMA_NODISCARD luma_rc lk_data_from_binary_as(struct luma_ctx *ctx, struct luma_arena *arena,
                                              struct luma_type type,
                                              const struct luma_format *format,
                                              struct luma_slice bytes, struct luma_value *out);
size_t lk_data_binary_bound(const struct luma_vec *vec, uint32_t row);
size_t lk_data_binary_write(const struct luma_vec *vec, uint32_t row, char *out);
size_t lk_data_binary_write_as(const struct luma_vec *vec, uint32_t row,
                               const struct luma_format *format, char *out);
struct luma_value lk_data_vec_value(const struct luma_vec *vec, uint32_t row);
LUMA_NODISCARD luma_rc lk_data_vec_set(struct luma_arena *arena, struct luma_vec *out, uint32_t row,
                                       const struct luma_value *value);
LUMA_NODISCARD luma_rc lk_data_vec_const(struct luma_arena *arena, const struct luma_value *value,
                                         struct luma_vec *out);
LUMA_NODISCARD luma_rc lk_data_vec_copy(struct luma_arena *arena, const struct luma_vec *vec,
                                        const uint16_t *sel, uint32_t rows, bool deep,
                                        struct luma_vec *out);
LUMA_NODISCARD luma_rc lk_data_numeric_vec_as(struct luma_ctx *ctx, struct luma_arena *arena,
                                              const struct luma_vec *vec, const uint16_t *sel,
                                              uint32_t rows, struct luma_type type,
                                              struct luma_vec *out);
int lk_data_compare(const struct luma_vec *a, uint32_t row_a, const struct luma_vec *b,
                    uint32_t row_b);
int lk_data_value_compare(const struct luma_value *a, const struct luma_value *b);
void lk_data_hash(const struct luma_vec *vec, const uint16_t *sel, uint32_t rows, bool combine,
                  uint64_t *out);
size_t lk_data_key_bound(const struct luma_vec *vec, uint32_t row);
size_t lk_data_key_write(const struct luma_vec *vec, uint32_t row, uint32_t flags, uint8_t *out);
size_t lk_data_key_write_value(const struct luma_value *value, uint32_t flags, uint8_t *out);
LUMA_NODISCARD luma_rc lk_data_key_read(struct luma_arena *arena, struct luma_slice key,
                                        size_t *inout_pos, struct luma_type type, uint32_t flags,
                                        struct luma_value *out);
LUMA_NODISCARD luma_rc lk_data_numeric_from_i128(struct luma_arena *arena, luma_i128 v,
                                                 int16_t scale, struct luma_str *out);
LUMA_NODISCARD luma_rc lk_data_numeric_to_i128(const struct luma_str *num, int16_t scale,
                                               luma_i128 *out);
LUMA_NODISCARD luma_rc lk_data_numeric_from_f64(struct luma_ctx *ctx, struct luma_arena *arena,
                                                double v, struct luma_str *out);
double lk_data_numeric_to_f64(const struct luma_str *num);
LUMA_NODISCARD luma_rc lk_data_numeric_op(struct luma_ctx *ctx, struct luma_arena *arena,
                                          enum luma_numeric_op op, const struct luma_str *a,
                                          const struct luma_str *b, struct luma_str *out);
LUMA_NODISCARD luma_rc lk_data_numeric_fn(struct luma_ctx *ctx, struct luma_arena *arena,
                                          enum luma_numeric_fn fn, const struct luma_str *a,
                                          struct luma_str *out);
LUMA_NODISCARD luma_rc lk_data_numeric_round(struct luma_arena *arena, const struct luma_str *a,
                                             int32_t dscale, bool truncate, struct luma_str *out);
int lk_data_numeric_compare(const struct luma_str *a, const struct luma_str *b);
int lk_data_numeric_dscale(const struct luma_str *a);
const struct luma_zone *lk_data_zone_find(const char *name);
const char *lk_data_zone_name(const struct luma_zone *zone);
void lk_data_civil_from_timestamp(int64_t us, const struct luma_zone *zone, struct luma_civil *out);
LUMA_NODISCARD luma_rc lk_data_timestamp_from_civil(const struct luma_civil *civil,
                                                    const struct luma_zone *zone, int64_t *out_us);
int32_t lk_data_date_from_ymd(int32_t year, int32_t month, int32_t day);
void lk_data_ymd_from_date(int32_t date, int32_t *year, int32_t *month, int32_t *day);
LUMA_NODISCARD luma_rc lk_data_timestamp_add_interval(int64_t us, const struct luma_interval *iv,
                                                      const struct luma_zone *zone,
                                                      int64_t *out_us);
LUMA_NODISCARD luma_rc lk_data_doc_from_json(struct luma_ctx *ctx, struct luma_arena *arena,
                                             struct luma_slice json, struct luma_str *out);
LUMA_NODISCARD luma_rc lk_data_json_check(struct luma_ctx *ctx, struct luma_slice json);
size_t lk_data_doc_text_bound(struct luma_slice doc);
size_t lk_data_doc_text_write(struct luma_slice doc, bool pretty, char *out);
bool lk_data_doc_field(struct luma_slice doc, struct luma_slice name, struct luma_slice *out);
bool lk_data_doc_element(struct luma_slice doc, int64_t index, struct luma_slice *out);
uint32_t lk_data_doc_count(struct luma_slice doc);
bool lk_data_doc_at(struct luma_slice doc, uint32_t i, struct luma_slice *out_name,
                    struct luma_slice *out);
char lk_data_doc_kind(struct luma_slice doc);
bool lk_data_doc_scalar(struct luma_slice doc, struct luma_arena *arena, struct luma_value *out);
int lk_data_doc_compare(struct luma_slice a, struct luma_slice b);
bool lk_data_doc_contains(struct luma_slice a, struct luma_slice b);
LUMA_NODISCARD luma_rc lk_data_array_make(struct luma_arena *arena, enum luma_type_id elem,
                                          const struct luma_value *values, uint32_t count,
                                          struct luma_str *out);
uint32_t lk_data_array_count(const struct luma_str *array);
LUMA_NODISCARD luma_rc lk_data_array_get(const struct luma_str *array, struct luma_type elem,
                                         uint32_t index, struct luma_value *out);
bool lk_data_utf8_valid(const void *data, size_t bytes);
LUMA_NODISCARD luma_rc lk_data_doc_make_object(struct luma_ctx *ctx, struct luma_arena *arena,
                                               const struct luma_slice *names,
                                               const struct luma_slice *docs, uint32_t count,
                                               struct luma_str *out);
LUMA_NODISCARD luma_rc lk_data_doc_make_array(struct luma_ctx *ctx, struct luma_arena *arena,
                                              const struct luma_slice *docs, uint32_t count,
                                              struct luma_str *out);
LUMA_NODISCARD luma_rc lk_data_doc_make_value(struct luma_ctx *ctx, struct luma_arena *arena,
                                              const struct luma_format *format,
                                              const struct luma_value *value, struct luma_str *out);
LUMA_NODISCARD luma_rc lk_data_json_from_value(struct luma_ctx *ctx, struct luma_arena *arena,
                                               const struct luma_format *format,
                                               const struct luma_value *value,
                                               struct luma_str *out);
bool lk_data_doc_valid(struct luma_slice doc);
/* A sound value of its type: reading, comparing and writing it stays within its bytes. For what
 * comes from a file; takes time in proportion to the bytes. */
bool lk_data_value_valid(const struct luma_value *value);

#endif
