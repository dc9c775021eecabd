/* tests/unit/encoding/alp/test_alp.c - the alp encoding keeps what every encoding promises. */
#include "../encoding_check.h"

ENCODING_TEST("alp", LUMA_PHYS_F64)
