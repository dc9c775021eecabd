/* init says no. */
#include <lumadb/module.h>

static luma_rc
fails_init(const struct luma_host *host, const void *conf, struct luma_ctx *ctx, void **out_state)
{
    (void)host;
    (void)conf;
    (void)out_state;
    return LUMA_FAIL(ctx, LUMA_E_INTERNAL, "out of order today");
}

LUMA_MODULE(.kind = "frontend", .name = "fails", .version = "1", .init = fails_init);
