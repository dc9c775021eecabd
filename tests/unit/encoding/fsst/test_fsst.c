/* tests/unit/encoding/fsst/test_fsst.c - the fsst encoding keeps what every encoding promises. */
#include "../encoding_check.h"

ENCODING_TEST("fsst", LUMA_PHYS_STR)
