/* start fails after init worked, and the drain never ends before its deadline. */
#include <lumadb/module.h>

#include <unistd.h>

static luma_rc
slow_start(void *state, struct luma_ctx *ctx)
{
    (void)state;
    return LUMA_FAIL(ctx, LUMA_E_INTERNAL, "could not start");
}

static void
slow_stop(void *state, uint64_t deadline_ns)
{
    (void)state;
    (void)deadline_ns;
    sleep(1);
}

LUMA_MODULE(.kind = "frontend", .name = "slow", .version = "1", .start = slow_start,
            .stop = slow_stop);
