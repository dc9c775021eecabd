/* tests/unit/encoding/text/test_text.c - the text encoding keeps what every encoding promises. */
#include "../encoding_check.h"

ENCODING_TEST("text", LUMA_PHYS_STR)
