/* values.c - random uuids, sizes, and other functions that need no names. */
#include <lumadb/kind/function_util.h>

#include <stdio.h>

#include "system.h"

#define SYSTEM_EVAL(name_)                                                               \
    static luma_rc name_(const struct luma_func_call *call, const struct luma_vec *args, \
                         uint32_t args_count, const uint16_t *sel, uint32_t rows,        \
                         struct luma_vec *out)

/* RFC 4122, version 4; drawn for the whole batch at once. */
SYSTEM_EVAL(random_uuid)
{
    uint32_t highest = rows == 0 ? 0 : sel == NULL ? rows - 1 : sel[rows - 1];
    struct luma_uuid *r = out->data;

    (void)call;
    (void)args;
    (void)args_count;
    system_host->sched->random(r, ((size_t)highest + 1) * sizeof(*r));
    LUMA_ROWS(sel, rows, i)
    {
        r[i].bytes[6] = (uint8_t)((r[i].bytes[6] & 0x0f) | 0x40);
        r[i].bytes[8] = (uint8_t)((r[i].bytes[8] & 0x3f) | 0x80);
    }
    return LUMA_OK;
}

/* 1234 bytes, 12 kB, 34 MB, ...: halves up, and the next unit from ten of it on. */
static void
size_text(int64_t size, char out[32])
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
    uint64_t v = size < 0 ? -(uint64_t)size : (uint64_t)size;
    int unit = 0;

    if (v >= 10240) {
        v >>= 9; /* one bit more than the unit, for rounding */
        unit = 1;
        while (unit < 5 && v >= 20 * 1024 - 1) {
            v >>= 10;
            unit++;
        }
        v = (v + 1) / 2;
    }
    snprintf(out, 32, "%s%llu %s", size < 0 ? "-" : "", (unsigned long long)v, units[unit]);
}

SYSTEM_EVAL(size_pretty)
{
    struct luma_str *r = out->data;

    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        char text[32], *copy;
        size_text(luma_arg_i64(&args[0], i), text);
        copy = luma_func_room(call, sizeof(text));
        if (copy == NULL)
            return luma_func_no_memory(call);
        memcpy(copy, text, strlen(text));
        r[i] = luma_str_make(copy, (uint32_t)strlen(text));
    }
    return LUMA_OK;
}

/* Bytes a value takes, its own header included where it has one. */
SYSTEM_EVAL(column_size)
{
    int32_t *r = out->data;

    (void)call;
    (void)args_count;
    LUMA_ROWS(sel, rows, i)
    {
        r[i] = args[0].phys == LUMA_PHYS_STR
                   ? (int32_t)((const struct luma_str *)luma_vec_at(&args[0], i))->bytes + 4
                   : (int32_t)luma_phys_bytes((enum luma_phys)args[0].phys);
    }
    return LUMA_OK;
}

/* num_nulls(...), num_nonnulls(...) */
SYSTEM_EVAL(count_nulls)
{
    bool nulls = strcmp(call->func->name, "num_nulls") == 0;
    int32_t *r = out->data;

    LUMA_ROWS(sel, rows, i)
    {
        int32_t n = 0;
        for (uint32_t a = 0; a < args_count; a++)
            n += luma_vec_is_null(&args[a], i) == nulls;
        r[i] = n;
    }
    return LUMA_OK;
}

static const struct luma_func functions[] = {
    LUMA_FUNC0("gen_random_uuid", LUMA_FUNC_VOLATILE, LUMA_T(UUID), random_uuid),
    /* uuid-ossp's name for it: schemas that TypeORM makes have it as a default */
    LUMA_FUNC0("uuid_generate_v4", LUMA_FUNC_VOLATILE | LUMA_FUNC_HIDDEN, LUMA_T(UUID),
               random_uuid),
    LUMA_FUNC("pg_size_pretty", LUMA_FUNC_STRICT, LUMA_T(TEXT), size_pretty, LUMA_T(INT8)),
    LUMA_FUNC("pg_column_size", LUMA_FUNC_STRICT | LUMA_FUNC_STABLE, LUMA_T(INT4), column_size,
              LUMA_T(ANY)),
    LUMA_FUNC("num_nulls", LUMA_FUNC_VARIADIC, LUMA_T(INT4), count_nulls, LUMA_T(ANY)),
    LUMA_FUNC("num_nonnulls", LUMA_FUNC_VARIADIC, LUMA_T(INT4), count_nulls, LUMA_T(ANY)),
};

const struct luma_func *const system_values = functions;
const size_t system_values_count = LUMA_COUNTOF(functions);
