/*
 * storage/segment/fallback.c - the inner loops in plain C, for a server without any simd module:
 * what it has stored it must be able to read.
 */
#include "storage/segment/segment_priv.h"

#define SIMD_NAME   "plain"
#define SIMD_RANK   (-1)
#define SIMD_USABLE true

#include <lumadb/kind/simd_body.def>

const struct luma_simd *const lki_segment_simd_fallback = &simd_table;
