/* data/float.h - binary floating point to and from text. */
#ifndef LKI_DATA_FLOAT_H
#define LKI_DATA_FLOAT_H

#include "data/numeric.h"

#define LKI_FLOAT_POW10_MIN  (-292)
#define LKI_FLOAT_POW10_MAX  324
#define LKI_FLOAT_TEXT_BYTES 32

struct lki_pow10_128 {
    uint64_t high, low;
};
extern const struct lki_pow10_128 lki_float_pow10[LKI_FLOAT_POW10_MAX - LKI_FLOAT_POW10_MIN + 1];

/* PostgreSQL's output; extra_float_digits > 0: the shortest text that reads back the same. At most
 * LKI_FLOAT_TEXT_BYTES, no NUL. */
size_t lki_float8_write(double v, int extra_float_digits, char *out);
size_t lki_float4_write(float v, int extra_float_digits, char *out);

enum lki_parse lki_float8_parse(const char *text, size_t bytes, double *out);
enum lki_parse lki_float4_parse(const char *text, size_t bytes, float *out);

#endif
