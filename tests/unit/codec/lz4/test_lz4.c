/* tests/unit/codec/lz4/test_lz4.c - the lz4 codec keeps what every codec promises. */
#include "../codec_check.h"

CODEC_TEST("lz4")
