/* The descriptor names another module than the file. */
#include <lumadb/module.h>

LUMA_MODULE(.kind = "codec", .name = "someone", .version = "1");
