/* function/datetime/pattern.c - cutting a date template into its fields. */
#include "pattern.h"

#include <strings.h>

/* Longer names first where one begins another. */
static const struct {
    const char *name;
    enum pattern_key key;
    int8_t digits;
} keys[] = {
    {"A.D.", KEY_B_C, 0},     {"A.M.", KEY_A_M, 0},    {"AD", KEY_BC, 0},
    {"AM", KEY_AM, 0},        {"B.C.", KEY_B_C, 0},    {"BC", KEY_BC, 0},
    {"CC", KEY_CC, 0},        {"DAY", KEY_DAY, 0},     {"DDD", KEY_DDD, 0},
    {"DD", KEY_DD, 0},        {"DY", KEY_DY, 0},       {"D", KEY_D, 0},
    {"FF1", KEY_FF, 1},       {"FF2", KEY_FF, 2},      {"FF3", KEY_FF, 3},
    {"FF4", KEY_FF, 4},       {"FF5", KEY_FF, 5},      {"FF6", KEY_FF, 6},
    {"HH24", KEY_HH24, 0},    {"HH12", KEY_HH12, 0},   {"HH", KEY_HH12, 0},
    {"IDDD", KEY_IDDD, 0},    {"ID", KEY_ID, 0},       {"IW", KEY_IW, 0},
    {"IYYY", KEY_ISOYEAR, 4}, {"IYY", KEY_ISOYEAR, 3}, {"IY", KEY_ISOYEAR, 2},
    {"I", KEY_ISOYEAR, 1},    {"J", KEY_J, 0},         {"MI", KEY_MI, 0},
    {"MM", KEY_MM, 0},        {"MONTH", KEY_MONTH, 0}, {"MON", KEY_MON, 0},
    {"MS", KEY_MS, 0},        {"OF", KEY_OF, 0},       {"P.M.", KEY_A_M, 0},
    {"PM", KEY_AM, 0},        {"Q", KEY_Q, 0},         {"RM", KEY_RM, 0},
    {"SSSSS", KEY_SSSS, 0},   {"SSSS", KEY_SSSS, 0},   {"SS", KEY_SS, 0},
    {"TZH", KEY_TZH, 0},      {"TZM", KEY_TZM, 0},     {"TZ", KEY_TZ, 0},
    {"US", KEY_US, 0},        {"WW", KEY_WW, 0},       {"W", KEY_W, 0},
    {"Y,YYY", KEY_Y_YYY, 0},  {"YYYY", KEY_YEAR, 4},   {"YYY", KEY_YEAR, 3},
    {"YY", KEY_YEAR, 2},      {"Y", KEY_YEAR, 1},
};

static enum pattern_case
case_of(const char *p)
{
    if (p[0] >= 'a' && p[0] <= 'z')
        return CASE_LOWER;
    return p[1] >= 'a' && p[1] <= 'z' ? CASE_TITLE : CASE_UPPER;
}

static const char *
take_key(const char *p, const char *end, struct pattern_item *item)
{
    for (size_t i = 0; i < LUMA_COUNTOF(keys); i++) {
        size_t n = strlen(keys[i].name);
        if ((size_t)(end - p) < n || strncasecmp(p, keys[i].name, n) != 0)
            continue;
        item->key = keys[i].key;
        item->digits = keys[i].digits;
        item->letters = case_of(p);
        p += n;
        if (end - p >= 2 && strncasecmp(p, "TH", 2) == 0) {
            item->ordinal = *p == 'T' ? 1 : 2;
            p += 2;
        }
        return p;
    }
    return NULL;
}

luma_rc
pattern_parse(const struct luma_func_call *call, const struct luma_str *text,
              struct pattern_item **out_items, uint32_t *out_count)
{
    struct pattern_item *items =
        luma_arena_zalloc(call->arena, sizeof(*items) * ((size_t)text->bytes + 1));
    char *copy = luma_arena_text(call->arena, luma_str_data(text), text->bytes);
    const char *p = copy, *end;
    uint32_t count = 0;

    if (items == NULL || copy == NULL)
        return luma_func_no_memory(call);
    end = p + text->bytes;
    while (p < end) {
        struct pattern_item *item = &items[count];
        const char *next;
        if (end - p >= 2 && strncasecmp(p, "FM", 2) == 0) {
            item->fill = true;
            p += 2;
        } else if (end - p >= 2 && (strncasecmp(p, "FX", 2) == 0 || strncasecmp(p, "TM", 2) == 0)) {
            p += 2;
        }
        if (p == end)
            break;
        next = take_key(p, end, item);
        if (next != NULL) {
            p = next;
            count++;
            continue;
        }
        item->key = KEY_TEXT;
        if (*p == '"') {
            const char *stop = p + 1;
            while (stop < end && *stop != '"')
                stop++;
            item->text = p + 1;
            item->bytes = (uint32_t)(stop - p - 1);
            p = stop < end ? stop + 1 : stop;
        } else {
            if (*p == '\\' && p + 1 < end)
                p++;
            item->text = p++;
            item->bytes = 1;
        }
        count++;
    }
    *out_items = items;
    *out_count = count;
    return LUMA_OK;
}
