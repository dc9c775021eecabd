/* host_double.h - the tables the engine needs, small enough for tests: one thread, no storage. */
#ifndef TEST_ENGINE_HOST_DOUBLE_H
#define TEST_ENGINE_HOST_DOUBLE_H

#include <lumadb/host/temp.h>

#include <stdlib.h>

#include "base/ctx.h"
#include "base/mem.h"
#include "data/data.h"
#include "engine.h"

static luma_rc
double_yield(struct luma_ctx *ctx)
{
    (void)ctx;
    return LUMA_OK;
}

static uint64_t
double_now(void)
{
    return 0;
}

static uint32_t
double_workers(void)
{
    return 3;
}

/* Parts one after the other: what the engine merges does not depend on who was first. */
static luma_rc
double_parallel(struct luma_ctx *ctx, uint32_t parts,
                luma_rc (*fn)(void *arg, uint32_t part, struct luma_ctx *ctx), void *arg)
{
    for (uint32_t i = 0; i < parts; i++)
        LUMA_TRY(fn(arg, i, ctx));
    return LUMA_OK;
}

static luma_rc
double_lock(struct luma_ctx *ctx, struct luma_event *mutex)
{
    (void)ctx;
    (void)mutex;
    return LUMA_OK;
}

static void
double_unlock(struct luma_event *mutex)
{
    (void)mutex;
}

static const struct luma_format *
double_format(struct luma_session *session)
{
    (void)session;
    return &lk_data_format_default;
}

static size_t
double_bits_to_sel(const uint64_t *bits, size_t n, uint16_t *out)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (luma_bit_get(bits, i))
            out[count++] = (uint16_t)i;
    return count;
}

static size_t
double_bits_count(const uint64_t *bits, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += luma_bit_get(bits, i);
    return count;
}

static void
double_take_32(const uint32_t *x, const uint16_t *sel, size_t n, uint32_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[sel[i]];
}

static int64_t
double_sum_i32(const int32_t *x, size_t n)
{
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

static bool
double_holds(enum luma_cmp op, int32_t x, int32_t y)
{
    return op == LUMA_CMP_EQ   ? x == y
           : op == LUMA_CMP_NE ? x != y
           : op == LUMA_CMP_LT ? x < y
           : op == LUMA_CMP_LE ? x <= y
           : op == LUMA_CMP_GT ? x > y
                               : x >= y;
}

static void
double_cmp_i32(enum luma_cmp op, const int32_t *x, int32_t y, size_t n, uint64_t *out)
{
    memset(out, 0, LUMA_BIT_WORDS(n) * sizeof(uint64_t));
    for (size_t i = 0; i < n; i++)
        if (double_holds(op, x[i], y))
            luma_bit_set(out, i);
}

static void
double_cmp2_i32(enum luma_cmp op, const int32_t *x, const int32_t *y, size_t n, uint64_t *out)
{
    memset(out, 0, LUMA_BIT_WORDS(n) * sizeof(uint64_t));
    for (size_t i = 0; i < n; i++)
        if (double_holds(op, x[i], y[i]))
            luma_bit_set(out, i);
}

/* --- temporary files, in memory that no budget counts --- */

struct luma_temp {
    uint8_t *data;
    size_t bytes, room;
};

static struct {
    uint64_t bytes; /* written to all files */
    uint32_t open;
} double_temps;

static luma_rc
double_temp_create(struct luma_ctx *ctx, struct luma_temp **out_file)
{
    (void)ctx;
    *out_file = calloc(1, sizeof(**out_file));
    double_temps.open++;
    return *out_file == NULL ? LUMA_E_NOMEM : LUMA_OK;
}

static luma_rc
double_temp_write(struct luma_ctx *ctx, struct luma_temp *file, const void *data, size_t bytes,
                  uint64_t *out_offset)
{
    (void)ctx;
    if (file->bytes + bytes > file->room) {
        file->room = (file->bytes + bytes) * 2;
        file->data = realloc(file->data, file->room);
    }
    memcpy(file->data + file->bytes, data, bytes);
    *out_offset = file->bytes;
    file->bytes += bytes;
    double_temps.bytes += bytes;
    return LUMA_OK;
}

static luma_rc
double_temp_read(struct luma_ctx *ctx, struct luma_temp *file, void *buf, size_t bytes,
                 uint64_t offset)
{
    (void)ctx;
    if (offset + bytes > file->bytes)
        return LUMA_E_CORRUPT;
    memcpy(buf, file->data + offset, bytes);
    return LUMA_OK;
}

static uint64_t
double_temp_bytes(const struct luma_temp *file)
{
    return file->bytes;
}

static void
double_temp_close(struct luma_temp *file)
{
    if (file == NULL)
        return;
    free(file->data);
    free(file);
    double_temps.open--;
}

static const struct luma_host_temp double_temp = {
    .create = double_temp_create,
    .write = double_temp_write,
    .read = double_temp_read,
    .bytes = double_temp_bytes,
    .close = double_temp_close,
};

static const struct luma_host_sched double_sched = {
    .yield = double_yield,
    .now_ns = double_now,
    .workers = double_workers,
    .parallel = double_parallel,
    .mutex_lock = double_lock,
    .mutex_unlock = double_unlock,
};

static const struct luma_host_session double_session = {.format = double_format};

static const struct luma_simd double_simd = {
    .name = "double",
    .bits_to_sel = double_bits_to_sel,
    .bits_count = double_bits_count,
    .take_32 = double_take_32,
    .sum_i32 = double_sum_i32,
    .cmp_i32 = double_cmp_i32,
    .cmp2_i32 = double_cmp2_i32,
};

static void
double_host(void)
{
    eng.mem = &lk_mem_host;
    eng.data = &lk_data_host;
    eng.sched = &double_sched;
    eng.session = &double_session;
    eng.simd = &double_simd;
    eng.temp = &double_temp;
}

#endif
