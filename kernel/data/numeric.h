/*
 * data/numeric.h - decimal arithmetic of any precision, for the files of kernel/data.
 *
 * Numbers are base 10000, most significant digit first. Temporary digits live in an arena; when it
 * is exhausted `failed` is set, every further operation gives zero, and the caller reports it once
 * at the end.
 */
#ifndef LKI_DATA_NUMERIC_H
#define LKI_DATA_NUMERIC_H

#include <lumadb/host/data.h>

#define LKI_NUM_BASE             10000
#define LKI_NUM_DIGIT_DECS       4
#define LKI_NUM_DSCALE_MAX       16383
#define LKI_NUM_DISPLAY_MAX      1000 /* digits after the point that a result is given by itself */
#define LKI_NUM_SIG_MIN          16   /* significant digits of a quotient at least */
#define LKI_NUM_WEIGHT_MAX       32767
#define LKI_NUM_HEADER_BYTES     6
#define LKI_NUM_RESULT_SCALE_MAX 2000

enum lki_num_kind {
    LKI_NUM_POS = 0,
    LKI_NUM_NEG = 1,
    LKI_NUM_NAN = 2,
    LKI_NUM_PINF = 3,
    LKI_NUM_NINF = 4
};

struct lki_num {
    uint8_t kind;
    int32_t weight; /* of digits[0] */
    int32_t dscale;
    int32_t count; /* 0: zero; no leading or trailing zero digit once stripped */
    uint16_t *digits;
};

struct lki_calc {
    struct luma_arena *arena;
    bool failed;
};

/* From 10^0 to 10^38. */
extern const luma_i128 lki_pow10[39];

/* --- forms --- */
struct lki_num lki_num_load(struct lki_calc *calc, const struct luma_str *str);
/* LUMA_E_RANGE: too large for the format. */
luma_rc lki_num_store(struct lki_calc *calc, const struct lki_num *num, struct luma_str *out);
struct lki_num lki_num_from_i128(struct lki_calc *calc, luma_i128 v, int32_t scale);
bool lki_num_to_i128(const struct lki_num *num, int32_t scale, luma_i128 *out);
double lki_num_to_f64(const struct lki_num *num);

/* Digits of v / 10^scale into at most 12 places of digits; for comparing without an arena. */
struct lki_num lki_num_of_i128(luma_i128 v, int32_t scale, uint16_t digits[12]);
/* A number whose digits are read where they lie, unaligned. */
int lki_num_compare_str(const struct luma_str *a, const struct luma_str *b);
int lki_num_compare(const struct lki_num *a, const struct lki_num *b);

static inline bool
lki_num_finite(const struct lki_num *num)
{
    return num->kind <= LKI_NUM_NEG;
}

static inline struct lki_num
lki_num_special(enum lki_num_kind kind)
{
    struct lki_num n = {(uint8_t)kind, 0, 0, 0, NULL};
    return n;
}

/* --- arithmetic on finite numbers --- */
struct lki_num lki_num_copy(struct lki_calc *calc, const struct lki_num *a);
struct lki_num lki_num_add(struct lki_calc *calc, const struct lki_num *a, const struct lki_num *b);
struct lki_num lki_num_sub(struct lki_calc *calc, const struct lki_num *a, const struct lki_num *b);
/* rscale < 0: exact */
struct lki_num lki_num_mul(struct lki_calc *calc, const struct lki_num *a, const struct lki_num *b,
                           int32_t rscale);
struct lki_num lki_num_div(struct lki_calc *calc, const struct lki_num *a, const struct lki_num *b,
                           int32_t rscale, bool round);
int32_t lki_num_div_scale(const struct lki_num *a, const struct lki_num *b);
/* In place. Half away from zero; rscale may be negative. */
void lki_num_round(struct lki_num *a, int32_t rscale);
void lki_num_trunc(struct lki_num *a, int32_t rscale);
void lki_num_strip(struct lki_num *a);
int lki_num_compare_abs(const struct lki_num *a, const struct lki_num *b);

/* --- functions (numeric_math.c) --- */
struct lki_num lki_num_sqrt(struct lki_calc *calc, const struct lki_num *a, int32_t rscale);
struct lki_num lki_num_exp(struct lki_calc *calc, const struct lki_num *a, int32_t rscale);
struct lki_num lki_num_ln(struct lki_calc *calc, const struct lki_num *a, int32_t rscale);
int lki_num_ln_dweight(struct lki_calc *calc, const struct lki_num *a);
luma_rc lki_num_power(struct luma_ctx *ctx, struct lki_calc *calc, const struct lki_num *base,
                      const struct lki_num *exp, struct lki_num *out);

/* --- text (numeric_text.c) --- */
enum lki_parse { LKI_PARSE_OK, LKI_PARSE_SYNTAX, LKI_PARSE_RANGE };
enum lki_parse lki_num_parse(struct lki_calc *calc, const char *text, size_t bytes,
                             struct lki_num *out);
/* Decimal integer / 10^scale, rounded half away from zero, with optional exponent: the common case
 * of a declared numeric, without digits in memory. SYNTAX also when it is a case for lki_num_parse
 * (exponents, NaN). */
enum lki_parse lki_num_parse_i128(const char *text, size_t bytes, int32_t scale, luma_i128 *out);
size_t lki_num_text_bound(const struct luma_str *str);
size_t lki_num_text_write(const struct luma_str *str, char *out);
size_t lki_num_text_write_i128(luma_i128 v, int32_t scale,
                               char *out); /* at most 48 bytes + scale */
size_t lki_num_text_write_i64(int64_t v, int32_t scale, char *out);

#endif
