/* tests/fuzz/fuzz_toml.c - any bytes are a configuration or an error, in TOML and in YAML. */
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    struct lk_ctx c;
    struct lk_conf_doc *doc = NULL;
    lk_ctx_init(&c, arena);
    luma_rc rc = lk_conf_parse_toml(&c.ctx, arena, "f", luma_slice(data, bytes), &doc);
    LK_ASSERT((rc == LUMA_OK) == (c.error.code == LUMA_OK));
    luma_error_reset(&c.error);
    rc = lk_conf_parse_yaml(&c.ctx, arena, "f", luma_slice(data, bytes), &doc);
    LK_ASSERT((rc == LUMA_OK) == (c.error.code == LUMA_OK));
    lk_arena_destroy(arena);
    return 0;
}
