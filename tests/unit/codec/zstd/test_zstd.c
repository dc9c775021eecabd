/* tests/unit/codec/zstd/test_zstd.c - the zstd codec keeps what every codec promises. */
#include "../codec_check.h"

CODEC_TEST("zstd")
