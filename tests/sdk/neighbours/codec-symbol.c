/* A shared object without the one symbol. */
#include <lumadb/module.h>

LUMA_EXPORT extern const int something_else;
LUMA_EXPORT const int something_else = 1;
