/* tests/unit/encoding/xor/test_xor.c - the xor encoding keeps what every encoding promises. */
#include "../encoding_check.h"

ENCODING_TEST("xor", LUMA_PHYS_F32, LUMA_PHYS_F64)
