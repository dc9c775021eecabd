/* main/transfer/infer.c - the type of a column that fits all its values: the narrowest of those
 * that keep every value as it is written ("007" stays text, 1.10 keeps its digits). */
#include "main/transfer/record.h"

/* In the order of preference. */
enum {
    CAN_BOOL = 1 << 0,
    CAN_INT = 1 << 1,
    CAN_NUMERIC = 1 << 2,
    CAN_FLOAT = 1 << 3,
    CAN_DATE = 1 << 4,
    CAN_TIMESTAMP = 1 << 5,
    CAN_TIMESTAMPTZ = 1 << 6,
    CAN_UUID = 1 << 7,
    CAN_TEXT = 1 << 8,
    CAN_JSON = 1 << 9,
    CAN_ALL = (1 << 10) - 1,
};

static const char *const names[] = {"boolean",
                                    "bigint",
                                    "numeric",
                                    "double precision",
                                    "date",
                                    "timestamp",
                                    "timestamp with time zone",
                                    "uuid",
                                    "text",
                                    "jsonb"};

void
lki_guess_init(struct lki_guess *guess)
{
    guess->possible = CAN_ALL;
    guess->seen = false;
}

static bool
fits_int8(const char *text, size_t bytes)
{
    int64_t value = 0;
    bool negative = bytes > 0 && text[0] == '-';
    for (size_t i = negative; i < bytes; i++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, text[i] - '0', &value))
            return false;
    return negative || value != INT64_MIN;
}

static uint32_t
number_kinds(const char *text, size_t bytes)
{
    if (!lki_json_is_number(text, bytes))
        return 0;
    if (memchr(text, 'e', bytes) != NULL || memchr(text, 'E', bytes) != NULL)
        return CAN_FLOAT;
    if (memchr(text, '.', bytes) != NULL || !fits_int8(text, bytes))
        return CAN_NUMERIC | (bytes <= 16 ? CAN_FLOAT : 0); /* 15 digits are exact in a float */
    /* -0 is a float's alone. */
    return bytes == 2 && memcmp(text, "-0", 2) == 0 ? CAN_FLOAT : CAN_INT | CAN_NUMERIC | CAN_FLOAT;
}

/* Does text begin like the pattern? 9 stands for a digit. Gives the bytes that matched, 0: no. */
static size_t
matches(const char *text, size_t bytes, const char *pattern)
{
    size_t n = strlen(pattern);
    if (bytes < n)
        return 0;
    for (size_t i = 0; i < n; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        if (pattern[i] == '9' ? !digit : text[i] != pattern[i])
            return 0;
    }
    return n;
}

static int
two(const char *p)
{
    return (p[0] - '0') * 10 + p[1] - '0';
}

static bool
is_date(const char *p)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = two(p) * 100 + two(p + 2), month = two(p + 5), day = two(p + 8);
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return year > 0 && month >= 1 && month <= 12 && day >= 1 &&
           day <= days[month - 1] + (month == 2 && leap);
}

/* Behind the seconds: +01, -0130, +01:30 or Z. */
static bool
is_zone(const char *text, size_t bytes)
{
    static const char *const forms[] = {"99", "9999", "99:99"};
    if (bytes == 1)
        return text[0] == 'Z';
    if (bytes < 3 || (text[0] != '+' && text[0] != '-') || two(text + 1) > 15)
        return false;
    for (size_t i = 0; i < LUMA_COUNTOF(forms); i++)
        if (matches(text + 1, bytes - 1, forms[i]) == bytes - 1)
            return true;
    return false;
}

static uint32_t
time_kinds(const char *text, size_t bytes)
{
    size_t n = matches(text, bytes, "9999-99-99");
    if (n == 0 || !is_date(text))
        return 0;
    if (n == bytes)
        return CAN_DATE | CAN_TIMESTAMP;
    if ((text[n] != ' ' && text[n] != 'T') ||
        matches(text + n + 1, bytes - n - 1, "99:99:99") == 0 || two(text + n + 1) > 23 ||
        two(text + n + 4) > 59 || two(text + n + 7) > 59)
        return 0;
    n += 9;
    if (n < bytes && text[n] == '.') {
        size_t digits = 0;
        while (n + 1 + digits < bytes && text[n + 1 + digits] >= '0' && text[n + 1 + digits] <= '9')
            digits++;
        if (digits == 0 || digits > 6) /* what is finer than microseconds would be lost */
            return 0;
        n += 1 + digits;
    }
    return n == bytes ? CAN_TIMESTAMP : is_zone(text + n, bytes - n) ? CAN_TIMESTAMPTZ : 0;
}

static uint32_t
uuid_kinds(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes && bytes == 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool digit = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
        if (dash ? text[i] != '-' : !digit)
            return 0;
    }
    return bytes == 36 ? CAN_UUID : 0;
}

void
lki_guess_text(struct lki_guess *guess, const char *text, size_t bytes)
{
    bool boolean = (bytes == 4 && memcmp(text, "true", 4) == 0) ||
                   (bytes == 5 && memcmp(text, "false", 5) == 0);
    guess->seen = true;
    guess->possible &= CAN_TEXT | (boolean ? CAN_BOOL : 0) | number_kinds(text, bytes) |
                       time_kinds(text, bytes) | uuid_kinds(text, bytes);
}

void
lki_guess_json(struct lki_guess *guess, enum lki_json kind, const char *text, size_t bytes)
{
    uint32_t kinds = CAN_JSON;
    if (kind == JSON_NULL)
        return;
    if (kind == JSON_BOOL)
        kinds |= CAN_BOOL;
    else if (kind == JSON_NUMBER)
        kinds |= number_kinds(text, bytes);
    else if (kind == JSON_STRING && bytes >= 2)
        kinds |= CAN_TEXT | time_kinds(text + 1, bytes - 2) | uuid_kinds(text + 1, bytes - 2);
    guess->seen = true;
    guess->possible &= kinds;
}

const char *
lki_guess_type(const struct lki_guess *guess)
{
    uint32_t possible = guess->seen && guess->possible != 0 ? guess->possible : CAN_TEXT;
    return names[__builtin_ctz(possible)];
}
