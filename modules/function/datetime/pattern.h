/* datetime/pattern.h - the templates of to_char, to_date and to_timestamp. */
#ifndef FUNCTION_DATETIME_PATTERN_H
#define FUNCTION_DATETIME_PATTERN_H

#include "datetime.h"

enum pattern_key {
    KEY_TEXT, /* literal bytes */
    KEY_HH24,
    KEY_HH12,
    KEY_MI,
    KEY_SS,
    KEY_SSSS,
    KEY_MS,
    KEY_US,
    KEY_FF,
    KEY_AM,
    KEY_A_M,
    KEY_Y_YYY,
    KEY_YEAR,
    KEY_ISOYEAR,
    KEY_BC,
    KEY_B_C,
    KEY_MONTH,
    KEY_MON,
    KEY_MM,
    KEY_RM,
    KEY_DAY,
    KEY_DY,
    KEY_DDD,
    KEY_IDDD,
    KEY_DD,
    KEY_D,
    KEY_ID,
    KEY_W,
    KEY_WW,
    KEY_IW,
    KEY_CC,
    KEY_J,
    KEY_Q,
    KEY_TZ,
    KEY_TZH,
    KEY_TZM,
    KEY_OF
};

/* How the letters of the template were written: it decides the case of words. */
enum pattern_case { CASE_UPPER, CASE_TITLE, CASE_LOWER };

struct pattern_item {
    enum pattern_key key;
    enum pattern_case letters;
    bool fill;      /* FM: no padding */
    int8_t digits;  /* YEAR, ISOYEAR: how many of them; FF: decimals */
    int8_t ordinal; /* 0 none, 1 TH, 2 th */
    const char *text;
    uint32_t bytes;
};

/* Cuts a template into items in the arena. */
luma_rc pattern_parse(const struct luma_func_call *call, const struct luma_str *text,
                      struct pattern_item **out_items, uint32_t *out_count);

#endif
