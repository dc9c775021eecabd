/* A wrong magic number: not one of ours. */
#include <lumadb/module.h>

LUMA_EXPORT extern const struct luma_module luma_module_v1;
LUMA_EXPORT const struct luma_module luma_module_v1 = {
    .magic = 0x12345678,
    .abi_major = LUMA_ABI_MAJOR,
    .abi_minor = LUMA_ABI_MINOR,
    .size_bytes = sizeof(struct luma_module),
    .kind = "codec",
    .name = "magic",
    .version = "1",
    .build = LUMA_MODULE_BUILD,
};
