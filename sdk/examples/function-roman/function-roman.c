/*
 * function-roman - two SQL functions, roman(int) and from_roman(text), as a module of its own.
 *
 *     SELECT roman(1984);            -- MCMLXXXIV
 *     SELECT from_roman('MMXXVI');   -- 2026
 */
#include <lumadb/kind/function.h>

#define ROMAN_MAX       3999
#define ROMAN_BYTES_MAX 15 /* MMMDCCCLXXXVIII */

static const struct {
    int32_t value;
    const char *text;
} numerals[] = {{1000, "M"}, {900, "CM"}, {500, "D"}, {400, "CD"}, {100, "C"},
                {90, "XC"},  {50, "L"},   {40, "XL"}, {10, "X"},   {9, "IX"},
                {5, "V"},    {4, "IV"},   {1, "I"}};

static uint32_t
write_roman(int32_t value, char *out)
{
    uint32_t used = 0;
    for (size_t i = 0; i < LUMA_COUNTOF(numerals); i++) {
        while (value >= numerals[i].value) {
            size_t n = strlen(numerals[i].text);
            memcpy(out + used, numerals[i].text, n);
            used += (uint32_t)n;
            value -= numerals[i].value;
        }
    }
    return used;
}

/* 0 when the text is no Roman numeral in its usual form. */
static int32_t
read_roman(const char *text, uint32_t bytes)
{
    int32_t value = 0;
    uint32_t at = 0;
    for (size_t i = 0; i < LUMA_COUNTOF(numerals); i++) {
        size_t n = strlen(numerals[i].text);
        while (bytes - at >= n && memcmp(text + at, numerals[i].text, n) == 0 &&
               value + numerals[i].value <= ROMAN_MAX) {
            value += numerals[i].value;
            at += (uint32_t)n;
        }
    }
    char again[ROMAN_BYTES_MAX + 1];
    if (at != bytes || value == 0 || write_roman(value, again) != bytes ||
        memcmp(again, text, bytes) != 0)
        return 0;
    return value;
}

/* Both functions are strict: rows with a null argument may be computed, but must not fail. */
static luma_rc
roman_eval(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
           const uint16_t *sel, uint32_t rows, struct luma_vec *out)
{
    (void)args_count;
    struct luma_str *results = out->data;
    for (uint32_t k = 0; k < rows; k++) {
        uint32_t row = sel == NULL ? k : sel[k];
        if (luma_vec_is_null(&args[0], row))
            continue;
        int32_t value;
        memcpy(&value, luma_vec_at(&args[0], row), sizeof(value));
        if (value < 1 || value > ROMAN_MAX)
            return LUMA_FAIL(call->ctx, LUMA_E_RANGE, "%d has no Roman numeral", value);
        char text[ROMAN_BYTES_MAX + 1];
        uint32_t bytes = write_roman(value, text);
        char *kept = luma_arena_text(call->arena, text, bytes);
        if (kept == NULL)
            return LUMA_FAIL(call->ctx, LUMA_E_NOMEM, "out of memory");
        results[row] = luma_str_make(kept, bytes);
    }
    return LUMA_OK;
}

static luma_rc
from_roman_eval(const struct luma_func_call *call, const struct luma_vec *args, uint32_t args_count,
                const uint16_t *sel, uint32_t rows, struct luma_vec *out)
{
    (void)args_count;
    int32_t *results = out->data;
    for (uint32_t k = 0; k < rows; k++) {
        uint32_t row = sel == NULL ? k : sel[k];
        if (luma_vec_is_null(&args[0], row))
            continue;
        const struct luma_str *text = luma_vec_at(&args[0], row);
        results[row] = read_roman(luma_str_data(text), text->bytes);
        if (results[row] == 0)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_DATA, "22P02", "invalid Roman numeral: \"%.*s\"",
                                 (int)text->bytes, luma_str_data(text));
    }
    return LUMA_OK;
}

static const struct luma_func roman_functions[] = {
    {
        .name = "roman",
        .flags = LUMA_FUNC_STRICT,
        .args_count = 1,
        .args = {{LUMA_TYPE_INT4, 0, 0, -1}},
        .result = {LUMA_TYPE_TEXT, 0, 0, -1},
        .eval = roman_eval,
        .help = "number as a Roman numeral, 1 to 3999",
    },
    {
        .name = "from_roman",
        .flags = LUMA_FUNC_STRICT | LUMA_FUNC_DICT,
        .args_count = 1,
        .args = {{LUMA_TYPE_TEXT, 0, 0, -1}},
        .result = {LUMA_TYPE_INT4, 0, 0, -1},
        .eval = from_roman_eval,
        .help = "value of a Roman numeral",
    },
};

static const struct luma_function_package roman_package = {
    .head = LUMA_FUNCTION_HEAD,
    .functions = roman_functions,
    .functions_count = LUMA_COUNTOF(roman_functions),
};

LUMA_MODULE(.kind = "function", .name = "roman", .version = "1.0.0", .licence = "Apache-2.0",
            .author = "LumaDB examples", .summary = "Roman numerals in SQL",
            .offers = LUMA_OFFERS({"function.roman", &roman_package.head}));
