/* Needs a service that nobody offers. */
#include <lumadb/module.h>

LUMA_MODULE(.kind = "frontend", .name = "needy", .version = "1",
            .needs = LUMA_NEEDS({"query.klingon", 1, false}));
