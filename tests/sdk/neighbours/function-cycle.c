/* Needs what it offers itself: the smallest cycle. */
#include <lumadb/module.h>

static const struct luma_head table = {sizeof(struct luma_head), 1, 0};

LUMA_MODULE(.kind = "function", .name = "cycle", .version = "1",
            .needs = LUMA_NEEDS({"cycle.self", 1, false}),
            .offers = LUMA_OFFERS({"cycle.self", &table}));
