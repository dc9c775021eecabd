/* modules/encoding/dictionary/dictionary.h - the header of an encoded column and the values' order.
 */
#ifndef DICTIONARY_H
#define DICTIONARY_H

#include <lumadb/kind/encoding.h>
#include <lumadb/module.h>

struct dictionary_header {
    uint8_t bits;
    uint8_t phys;
    uint16_t zero;
    uint32_t rows;
    uint32_t count;
    uint32_t codes_offset;
    uint32_t values_bytes;
    uint8_t pad[12];
};
LUMA_STATIC_ASSERT(sizeof(struct dictionary_header) == 32, "as on disk");

#define DICTIONARY_PHYS_MASK                                                                  \
    (1u << LUMA_PHYS_I16 | 1u << LUMA_PHYS_I32 | 1u << LUMA_PHYS_I64 | 1u << LUMA_PHYS_I128 | \
     1u << LUMA_PHYS_F32 | 1u << LUMA_PHYS_F64 | 1u << LUMA_PHYS_B16 | 1u << LUMA_PHYS_STR)

/* The order of the dictionary. */
int dictionary_compare(uint8_t phys, const void *a, const void *b);

#endif
