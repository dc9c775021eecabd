/* tests/unit/encoding/bitpack/test_bitpack.c - the bitpack encoding keeps what every encoding
 * promises. */
#include "../encoding_check.h"

ENCODING_TEST("bitpack", LUMA_PHYS_BOOL, LUMA_PHYS_I16, LUMA_PHYS_I32, LUMA_PHYS_I64,
              LUMA_PHYS_I128)
