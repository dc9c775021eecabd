/* simd/scalar - the inner loops in plain C: what every other variant is held to. */
#define SIMD_NAME   "scalar"
#define SIMD_RANK   0
#define SIMD_USABLE true

#include <lumadb/kind/simd_body.def>

SIMD_MODULE("scalar", "inner loops in plain C");
