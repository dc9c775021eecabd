/* tests/unit/encoding/dod/test_dod.c - the dod encoding keeps what every encoding promises. */
#include "../encoding_check.h"

ENCODING_TEST("dod", LUMA_PHYS_I32, LUMA_PHYS_I64)
