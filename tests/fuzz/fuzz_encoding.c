/*
 * tests/fuzz/fuzz_encoding.c - bytes as an encoded column: open refuses them, or everything that
 * may be read lies inside. First byte: which encoding; second: which form; two more: rows.
 */
#include <lumadb/kind/encoding.h>

#include <stdlib.h>

#include "../unit/storage/segment/modules.h"
#include "base/base.h"
#include "storage/segment/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const char *const names[] = {"encoding.bitpack",    "encoding.delta", "encoding.rle",
                                    "encoding.dictionary", "encoding.dod",   "encoding.alp",
                                    "encoding.xor",        "encoding.text",  "encoding.fsst"};
static const struct luma_simd *simd;
static struct luma_arena *arena;

static void
start(void)
{
    static const char *const files[] = {"encoding-bitpack",    "encoding-delta", "encoding-rle",
                                        "encoding-dictionary", "encoding-dod",   "encoding-alp",
                                        "encoding-xor",        "encoding-text",  "encoding-fsst"};
    static struct lk_formats *formats; /* for the life of the process */
    struct lk_ctx c;
    lk_ctx_init(&c, NULL);
    arena = lk_arena_create(NULL, 0);
    for (size_t i = 0; i < LUMA_COUNTOF(files); i++)
        if (!test_module_load(files[i]))
            abort();
    if (lk_formats_load(&c.ctx, NULL, NULL, &formats) != LUMA_OK)
        abort();
    simd = lk_formats_simd(formats);
}

static void
read_all(const struct luma_encoding *enc, const struct luma_enc_view *view)
{
    uint64_t out[LUMA_BATCH_ROWS * 2 + 2], bits[LUMA_BATCH_ROWS / 64];
    struct luma_value c;
    memset(&c, 0, sizeof(c));
    c.phys = view->phys;
    for (uint32_t first = 0; first < view->rows; first += LUMA_BATCH_ROWS) {
        uint32_t n = LK_MIN(view->rows - first, (uint32_t)LUMA_BATCH_ROWS);
        struct luma_vec vec = {.phys = view->phys, .data = out};
        arena->reset(arena);
        if (enc->decode(view, first, n, arena, &vec) != LUMA_OK)
            abort();
        for (uint32_t i = 0; i < n; i++) {
            const struct luma_str *s = luma_vec_at(&vec, i);
            if (view->phys == LUMA_PHYS_STR && s->bytes > 0 && luma_str_data(s)[s->bytes - 1] == 1)
                c.i64 = 1;
        }
        if (enc->filter != NULL)
            (void)enc->filter(view, first, n, (enum luma_cmp)(first / LUMA_BATCH_ROWS % 6), &c,
                              bits);
        if (luma_enc_get(enc, view, first + n - 1, arena, out) != LUMA_OK)
            abort();
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct lk_ctx c;
    if (simd == NULL)
        start();
    if (bytes < 4)
        return 0;
    const struct luma_encoding *enc = (const struct luma_encoding *)test_lookup(
        names[data[0] % LUMA_COUNTOF(names)], LUMA_ENCODING_MAJOR);
    uint8_t phys = (uint8_t)(1 + data[1] % (LUMA_PHYS_COUNT_ - 1));
    if ((enc->phys_mask >> phys & 1) == 0)
        return 0;
    struct luma_enc_view view = {
        .rows = (uint32_t)lk_load_u16(data + 2) + 1, .phys = phys, .simd = simd};
    data += 4;
    bytes -= 4;
    uint8_t *copy = aligned_alloc(64, (bytes + 16 + 63) & ~(size_t)63);
    if (copy == NULL)
        return 0;
    memset(copy + bytes, 0, ((bytes + 16 + 63) & ~(size_t)63) - bytes);
    memcpy(copy, data, bytes);
    view.bytes = luma_slice(copy, bytes);
    size_t room = enc->room_bytes == NULL ? 0 : enc->room_bytes(&view);
    lk_ctx_init(&c, NULL);
    if (room <= bytes * 16 + 4096) {
        view.room = aligned_alloc(64, (room + 64) & ~(size_t)63);
        if (view.room != NULL && enc->open(&c.ctx, &view) == LUMA_OK)
            read_all(enc, &view);
        free(view.room);
    }
    free(copy);
    return 0;
}
