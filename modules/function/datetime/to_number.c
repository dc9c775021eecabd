/* function/datetime/to_number.c - to_char of numbers, and to_number. */
#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "datetime.h"

enum num_key {
    NUM_TEXT,
    NUM_NINE,
    NUM_ZERO,
    NUM_POINT,
    NUM_COMMA,
    NUM_SIGN,
    NUM_MINUS,
    NUM_PLUS,
    NUM_SG,
    NUM_PR,
    NUM_CURRENCY,
    NUM_TH,
    NUM_ROMAN
};

struct num_item {
    enum num_key key;
    char letter;
};

struct num_pattern {
    struct num_item *items;
    uint32_t count;
    int32_t before, after; /* digit places */
    int32_t first_zero;    /* place from the left at which zeros begin; before: none */
    bool fill, sign_end, sign_start, has_sign, has_pr, lower_th, roman, v_shift;
    int32_t shift;
};

static luma_rc
num_parse(const struct luma_func_call *call, const struct luma_str *text, struct num_pattern *out)
{
    const char *p = luma_str_data(text), *end = p + text->bytes;
    bool after_point = false;

    memset(out, 0, sizeof(*out));
    out->items = luma_arena_zalloc(call->arena, sizeof(*out->items) * ((size_t)text->bytes + 1));
    if (out->items == NULL)
        return luma_func_no_memory(call);
    out->first_zero = INT32_MAX;
    while (p < end) {
        struct num_item *item = &out->items[out->count++];
        size_t left = (size_t)(end - p);
        item->letter = *p;
        if (left >= 2 && strncasecmp(p, "FM", 2) == 0) {
            out->fill = true;
            out->count--;
            p += 2;
            continue;
        }
        if (left >= 2 && (strncasecmp(p, "MI", 2) == 0 || strncasecmp(p, "PL", 2) == 0 ||
                          strncasecmp(p, "SG", 2) == 0 || strncasecmp(p, "PR", 2) == 0 ||
                          strncasecmp(p, "TH", 2) == 0 || strncasecmp(p, "RN", 2) == 0)) {
            char c = (char)toupper((unsigned char)p[0]);
            item->key = c == 'M'                              ? NUM_MINUS
                        : c == 'S'                            ? NUM_SG
                        : c == 'T'                            ? NUM_TH
                        : c == 'R'                            ? NUM_ROMAN
                        : toupper((unsigned char)p[1]) == 'L' ? NUM_PLUS
                                                              : NUM_PR;
            out->has_sign |= item->key == NUM_MINUS || item->key == NUM_SG || item->key == NUM_PR;
            out->has_pr |= item->key == NUM_PR;
            out->roman |= item->key == NUM_ROMAN;
            p += 2;
            continue;
        }
        switch (toupper((unsigned char)*p)) {
        case '9':
        case '0':
            item->key = *p == '9' ? NUM_NINE : NUM_ZERO;
            if (after_point) {
                out->after++;
            } else {
                if (*p == '0' && out->first_zero > out->before)
                    out->first_zero = out->before;
                if (out->v_shift)
                    out->shift++;
                out->before++;
            }
            break;
        case '.':
        case 'D':
            item->key = NUM_POINT;
            after_point = true;
            break;
        case ',':
        case 'G':
            item->key = NUM_COMMA;
            break;
        case 'S':
            item->key = NUM_SIGN;
            out->has_sign = true;
            if (out->before + out->after == 0)
                out->sign_start = true;
            else
                out->sign_end = true;
            break;
        case 'L':
            item->key = NUM_CURRENCY;
            break;
        case 'V':
            out->v_shift = true;
            out->count--;
            break;
        case '"':
            out->count--;
            for (p++; p < end && *p != '"'; p++) {
                out->items[out->count].key = NUM_TEXT;
                out->items[out->count++].letter = *p;
            }
            break;
        default:
            item->key = NUM_TEXT;
            break;
        }
        p++;
    }
    return LUMA_OK;
}

static const char *
ordinal_of(const char *digits, size_t count)
{
    int last = digits[count - 1] - '0', tens = count > 1 ? digits[count - 2] - '0' : 0;

    if (tens == 1 || last > 3 || last == 0)
        return "TH";
    return last == 1 ? "ST" : last == 2 ? "ND" : "RD";
}

static luma_rc
roman_of(const struct luma_func_call *call, const struct num_pattern *pat, const char *digits,
         bool negative, struct luma_str *out)
{
    static const struct {
        int value;
        const char *text;
    } steps[] = {{1000, "M"}, {900, "CM"}, {500, "D"}, {400, "CD"}, {100, "C"},
                 {90, "XC"},  {50, "L"},   {40, "XL"}, {10, "X"},   {9, "IX"},
                 {5, "V"},    {4, "IV"},   {1, "I"}};
    int v = strlen(digits) > 4 ? 0 : atoi(digits);
    char text[16] = "", *room = luma_func_room(call, 32);

    if (room == NULL)
        return luma_func_no_memory(call);
    if (v < 1 || v > 3999 || negative) {
        memset(room, '#', 15);
        *out = luma_str_make(room, 15);
        return LUMA_OK;
    }
    for (size_t i = 0; i < LUMA_COUNTOF(steps); i++)
        for (; v >= steps[i].value; v -= steps[i].value)
            strcat(text, steps[i].text);
    *out = luma_str_make(room, (uint32_t)sprintf(room, pat->fill ? "%s" : "%15s", text));
    return LUMA_OK;
}

/* Digits before and after the point, without sign. */
struct digits {
    const char *whole, *frac;
    int32_t whole_count;
    bool negative, special; /* special: NaN or infinite, no digits to show */
};

struct writer {
    char *p;
    const struct num_pattern *pat;
    const struct digits *d;
    bool overflow;
    int32_t place; /* digit place from the left */
    int32_t first; /* place of the first digit shown */
    bool sign_done;
    int32_t frac_place, frac_keep;
};

/* The sign stands before the first digit that is shown. */
static void
put_sign(struct writer *w)
{
    const struct num_pattern *pat = w->pat;

    if (w->sign_done)
        return;
    w->sign_done = true;
    if (pat->has_pr) {
        if (w->d->negative)
            *w->p++ = '<';
        else if (!pat->fill)
            *w->p++ = ' ';
    } else if (pat->sign_start) {
        *w->p++ = w->d->negative ? '-' : '+';
    } else if (!pat->has_sign) {
        if (w->d->negative)
            *w->p++ = '-';
        else if (!pat->fill)
            *w->p++ = ' ';
    }
}

static void
put_whole_digit(struct writer *w)
{
    int32_t at = w->place - (w->pat->before - w->d->whole_count);

    if (w->place < w->first) {
        if (!w->pat->fill)
            *w->p++ = ' ';
    } else {
        put_sign(w);
        *w->p++ = w->overflow ? '#' : at >= 0 ? w->d->whole[at] : '0';
    }
    w->place++;
}

static void
put_item(struct writer *w, const struct num_item *item, bool after_point)
{
    switch (item->key) {
    case NUM_NINE:
    case NUM_ZERO:
        if (!after_point) {
            put_whole_digit(w);
        } else {
            put_sign(w);
            if (w->frac_place < w->frac_keep)
                *w->p++ = w->overflow ? '#' : w->d->frac[w->frac_place];
            w->frac_place++;
        }
        break;
    case NUM_POINT:
        put_sign(w);
        *w->p++ = '.';
        break;
    case NUM_COMMA:
        if (w->place > w->first)
            *w->p++ = ',';
        else if (!w->pat->fill)
            *w->p++ = ' ';
        break;
    case NUM_SIGN:
        if (w->pat->sign_end && !w->pat->sign_start)
            *w->p++ = w->d->negative ? '-' : '+';
        break;
    case NUM_MINUS:
        if (w->d->negative)
            *w->p++ = '-';
        else if (!w->pat->fill)
            *w->p++ = ' ';
        break;
    case NUM_PLUS:
        if (!w->d->negative)
            *w->p++ = '+';
        else if (!w->pat->fill)
            *w->p++ = ' ';
        break;
    case NUM_SG:
        *w->p++ = w->d->negative ? '-' : '+';
        break;
    case NUM_PR:
        if (w->d->negative)
            *w->p++ = '>';
        else if (!w->pat->fill)
            *w->p++ = ' ';
        break;
    case NUM_CURRENCY:
        if (!w->pat->fill)
            *w->p++ = ' ';
        break;
    case NUM_TH:
        if (!w->d->negative && w->d->whole_count > 0 && !w->overflow) {
            const char *th = ordinal_of(w->d->whole, (size_t)w->d->whole_count);
            *w->p++ = (char)(item->letter == 't' ? th[0] + 32 : th[0]);
            *w->p++ = (char)(item->letter == 't' ? th[1] + 32 : th[1]);
        }
        break;
    case NUM_TEXT:
        *w->p++ = item->letter;
        break;
    case NUM_ROMAN:
        break;
    }
}

/* Decimals that FM keeps: up to the last 0 of the template or the last digit that is not zero. */
static int32_t
frac_kept(const struct num_pattern *pat, const char *frac)
{
    int32_t keep = 0, place = 0;
    bool after = false;

    if (!pat->fill)
        return pat->after;
    for (uint32_t i = 0; i < pat->count; i++) {
        after |= pat->items[i].key == NUM_POINT;
        if (!after || (pat->items[i].key != NUM_NINE && pat->items[i].key != NUM_ZERO))
            continue;
        if (pat->items[i].key == NUM_ZERO || frac[place] != '0')
            keep = place + 1;
        place++;
    }
    return keep;
}

static luma_rc
write_number(const struct luma_func_call *call, const struct num_pattern *pat,
             const struct digits *d, struct luma_str *out)
{
    char *text = luma_func_room(call, (size_t)pat->count * 2 + 64);
    struct writer w = {.p = text, .pat = pat, .d = d};
    bool after_point = false;

    if (text == NULL)
        return luma_func_no_memory(call);
    w.overflow = d->whole_count > pat->before;
    w.frac_keep = d->special ? 0 : frac_kept(pat, d->frac);
    w.first = pat->before - d->whole_count;
    if (d->whole_count == 1 && d->whole[0] == '0') {
        /* A zero before the point is shown when nothing else would be. */
        w.first =
            pat->after > 0 && !(pat->fill && w.frac_keep == 0) ? pat->before : pat->before - 1;
    }
    if (w.overflow)
        w.first = 0;
    if (pat->first_zero < w.first)
        w.first = pat->first_zero;
    if (w.first < 0)
        w.first = 0;
    for (uint32_t i = 0; i < pat->count; i++) {
        after_point |= pat->items[i].key == NUM_POINT;
        put_item(&w, &pat->items[i], after_point);
    }
    *out = luma_str_make(text, (uint32_t)(w.p - text));
    return LUMA_OK;
}

/* The number as text with as many decimals as the template has. */
static luma_rc
digits_of(const struct luma_func_call *call, const struct luma_vec *vec, uint32_t row,
          const struct num_pattern *pat, struct digits *out)
{
    const struct luma_host_data *data = dt_host->data;
    struct luma_value v = data->vec_value(vec, row), n;
    const char *text = data->value_text(&v, NULL, call->arena);
    char *copy, *point;

    if (text == NULL)
        return luma_func_no_memory(call);
    LUMA_TRY(data->from_text(call->ctx, call->arena, luma_type(LUMA_TYPE_NUMERIC), NULL,
                             luma_slice_text(text), &n));
    if (pat->shift > 0) {
        struct luma_str unit;
        if (data->numeric_from_i128(call->arena, 10, 0, &unit) != LUMA_OK)
            return luma_func_no_memory(call);
        for (int32_t k = 0; k < pat->shift; k++)
            LUMA_TRY(
                data->numeric_op(call->ctx, call->arena, LUMA_NUMERIC_MUL, &n.str, &unit, &n.str));
    }
    if (data->numeric_round(call->arena, &n.str, pat->after, false, &n.str) != LUMA_OK)
        return dt_out_of_range(call, "numeric");
    text = data->value_text(&n, NULL, call->arena);
    copy = text == NULL ? NULL : luma_arena_text(call->arena, text, strlen(text));
    if (copy == NULL)
        return luma_func_no_memory(call);
    memset(out, 0, sizeof(*out));
    if (*copy == '-') {
        out->negative = true;
        copy++;
    }
    point = strchr(copy, '.');
    out->frac = "";
    if (point != NULL) {
        *point = '\0';
        out->frac = point + 1;
    }
    out->whole = copy;
    out->whole_count = (int32_t)strlen(copy);
    return LUMA_OK;
}

DT_EVAL(to_char_number)
{
    struct luma_str *r = out->data;
    struct num_pattern pat = {0};

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        struct digits d;
        if (pat.items == NULL || args[1].form != LUMA_VEC_CONST)
            LUMA_TRY(num_parse(call, luma_arg_str(&args[1], i), &pat));
        LUMA_TRY(digits_of(call, &args[0], i, &pat, &d));
        if (d.whole[0] == 'N' || d.whole[0] == 'I') {
            d.whole_count = INT16_MAX;
            d.special = true;
        }
        LUMA_TRY(pat.roman ? roman_of(call, &pat, d.whole, d.negative, &r[i])
                           : write_number(call, &pat, &d, &r[i]));
    }
    return LUMA_OK;
}

/* --- to_number: the digits of the text, the template says what else may stand there --- */

DT_EVAL(to_number)
{
    uint32_t highest = rows == 0 ? 0 : sel == NULL ? rows - 1 : sel[rows - 1];
    struct luma_str *r = luma_arena_zalloc(call->arena, sizeof(*r) * ((size_t)highest + 1));

    (void)args_count;
    if (r == NULL)
        return luma_func_no_memory(call);
    out->phys = LUMA_PHYS_STR;
    out->scale = 0;
    out->data = r;
    LUMA_ROWS(sel, rows, i)
    {
        const struct luma_str *s = luma_arg_str(&args[0], i);
        const char *p = luma_str_data(s), *end = p + s->bytes;
        char *text = luma_func_room(call, s->bytes + 2), *q = text + 1;
        bool negative = false, point = false, digit = false;
        struct luma_value v;
        if (text == NULL)
            return luma_func_no_memory(call);
        for (; p < end; p++) {
            if (*p == '-' || *p == '<') {
                negative = true;
            } else if (*p >= '0' && *p <= '9') {
                *q++ = *p;
                digit = true;
            } else if (*p == '.' && !point) {
                *q++ = *p;
                point = true;
            }
        }
        if (!digit)
            return LUMA_FAIL_SQL(call->ctx, LUMA_E_DATA, "22P02",
                                 "invalid input syntax for type numeric: \"%.*s\"", (int)s->bytes,
                                 luma_str_data(s));
        text[0] = negative ? '-' : '+';
        LUMA_TRY(dt_host->data->from_text(call->ctx, call->arena, luma_type(LUMA_TYPE_NUMERIC),
                                          NULL, luma_slice(text, (size_t)(q - text)), &v));
        r[i] = v.str;
    }
    return LUMA_OK;
}

static const struct luma_func to_number_functions[] = {
    LUMA_FUNC("to_char", STRICT, TEXT, to_char_number, INT, TEXT),
    LUMA_FUNC("to_char", STRICT, TEXT, to_char_number, LUMA_T(INT8), TEXT),
    LUMA_FUNC("to_char", STRICT, TEXT, to_char_number, LUMA_T(FLOAT4), TEXT),
    LUMA_FUNC("to_char", STRICT, TEXT, to_char_number, FLOAT8, TEXT),
    LUMA_FUNC("to_char", STRICT, TEXT, to_char_number, LUMA_T(NUMERIC), TEXT),
    LUMA_FUNC("to_number", STRICT, LUMA_T(NUMERIC), to_number, TEXT, TEXT),
};

const struct luma_func_part dt_to_number = {to_number_functions, LUMA_COUNTOF(to_number_functions)};
