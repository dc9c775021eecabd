/* tests/unit/encoding/dictionary/test_dictionary.c - the dictionary encoding keeps what every
 * encoding promises. */
#include "../encoding_check.h"

ENCODING_TEST("dictionary", LUMA_PHYS_I16, LUMA_PHYS_I32, LUMA_PHYS_I64, LUMA_PHYS_I128,
              LUMA_PHYS_F32, LUMA_PHYS_F64, LUMA_PHYS_B16, LUMA_PHYS_STR)
