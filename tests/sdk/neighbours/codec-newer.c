/* Built against an ABI the server does not know. */
#include <lumadb/module.h>

LUMA_EXPORT extern const struct luma_module luma_module_v1;
LUMA_EXPORT const struct luma_module luma_module_v1 = {
    .magic = LUMA_MODULE_MAGIC,
    .abi_major = LUMA_ABI_MAJOR + 1,
    .abi_minor = LUMA_ABI_MINOR,
    .size_bytes = sizeof(struct luma_module),
    .kind = "codec",
    .name = "newer",
    .version = "1",
    .build = LUMA_MODULE_BUILD,
};
