/* tests/unit/encoding/delta/test_delta.c - the delta encoding keeps what every encoding promises.
 */
#include "../encoding_check.h"

ENCODING_TEST("delta", LUMA_PHYS_I32, LUMA_PHYS_I64)
