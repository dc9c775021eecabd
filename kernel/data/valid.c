/*
 * data/valid.c - are these bytes a value of their type? Asked of what comes from a file, before
 * the functions that trust a value see it.
 */
#include "base/base.h"
#include "data/data_priv.h"

/* An array has no arrays in it: this goes one step down. */
static bool
array_valid(const struct luma_str *array, struct luma_type elem)
{
    if (!lki_array_valid(array, elem))
        return false;
    for (uint32_t i = 0; i < lk_data_array_count(array); i++) {
        struct luma_value value;
        if (!lki_array_value(array, elem, i, &value))
            continue;
        if (value.phys != LUMA_PHYS_STR)
            break; /* numbers may be any */
        if (!lk_data_value_valid(&value))
            return false;
    }
    return true;
}

bool
lk_data_value_valid(const struct luma_value *value)
{
    if (value->is_null || value->phys != LUMA_PHYS_STR)
        return true;
    switch (value->type.id) {
    case LUMA_TYPE_NUMERIC:
        return lki_num_valid(&value->str);
    case LUMA_TYPE_JSONB:
        return lk_data_doc_valid(luma_str_slice(&value->str));
    case LUMA_TYPE_ARRAY:
        return array_valid(&value->str, luma_type_elem(value->type));
    case LUMA_TYPE_VECTOR:
        return value->str.bytes % 4 == 0;
    default: /* texts and bytes; what reads a jsonpath checks it */
        return true;
    }
}
