/* data/tuple.c - row-wise tuples: see tuple.h for the format. */
#include "data/tuple.h"

#include "base/bits.h"

enum slot_class { SLOT_NULL = 0, SLOT_4 = 1, SLOT_8 = 2, SLOT_VAR = 3 };

static enum slot_class
class_of_phys(enum luma_phys phys)
{
    switch (phys) {
    case LUMA_PHYS_BOOL:
    case LUMA_PHYS_I16:
    case LUMA_PHYS_I32:
    case LUMA_PHYS_F32:
        return SLOT_4;
    case LUMA_PHYS_I64:
    case LUMA_PHYS_F64:
        return SLOT_8;
    case LUMA_PHYS_I128:
    case LUMA_PHYS_B16:
    case LUMA_PHYS_STR:
        return SLOT_VAR;
    default:
        return SLOT_NULL;
    }
}

/* --- writing --- */

static inline bool
source_is_null(const struct luma_vec *vec, uint32_t row)
{
    return vec == NULL || vec->phys == LUMA_PHYS_NONE || luma_vec_is_null(vec, row);
}

static size_t
var_bytes_of(const struct luma_vec *vec, uint32_t row)
{
    if (vec->phys != LUMA_PHYS_STR)
        return 16;
    return ((const struct luma_str *)luma_vec_at(vec, row))->bytes;
}

size_t
lk_tuple_size(const struct lk_tuple_column *cols, uint32_t count, uint32_t ids_known,
              const struct luma_vec *const *vecs, uint32_t row)
{
    size_t bytes = LK_TUPLE_HEADER_BYTES + 2 * (((size_t)ids_known + 7) / 8);

    (void)cols;
    for (uint32_t i = 0; i < count; i++) {
        if (source_is_null(vecs[i], row))
            continue;
        switch (class_of_phys((enum luma_phys)vecs[i]->phys)) {
        case SLOT_4:
            bytes += 4;
            break;
        case SLOT_8:
            bytes += 8;
            break;
        case SLOT_VAR:
            bytes += 4 + var_bytes_of(vecs[i], row);
            break;
        case SLOT_NULL:
            break;
        }
    }
    return bytes > LK_TUPLE_BYTES_MAX ? 0 : bytes;
}

static inline void
write_slot4(uint8_t *slot, const struct luma_vec *vec, const void *at)
{
    int32_t v;

    switch (vec->phys) {
    case LUMA_PHYS_BOOL:
        v = *(const uint8_t *)at != 0;
        break;
    case LUMA_PHYS_I16:
        v = *(const int16_t *)at;
        break;
    default:
        memcpy(&v, at, sizeof(v));
        break;
    }
    memcpy(slot, &v, sizeof(v));
}

size_t
lk_tuple_write(const struct lk_tuple_column *cols, uint32_t count, uint32_t ids_known,
               const struct luma_vec *const *vecs, uint32_t row, uint8_t *out)
{
    size_t plane_bytes = ((size_t)ids_known + 7) / 8;
    uint8_t *low = out + LK_TUPLE_HEADER_BYTES, *high = low + plane_bytes;
    uint8_t *slot = high + plane_bytes, *var, *var_start;

    memset(out, 0, LK_TUPLE_HEADER_BYTES + 2 * plane_bytes);
    var = slot;
    for (uint32_t i = 0; i < count; i++) {
        enum slot_class class;
        uint32_t bit = cols[i].id - 1;
        if (source_is_null(vecs[i], row))
            continue;
        class = class_of_phys((enum luma_phys)vecs[i]->phys);
        if (class & 1)
            low[bit >> 3] = (uint8_t)(low[bit >> 3] | 1u << (bit & 7));
        if (class & 2)
            high[bit >> 3] = (uint8_t)(high[bit >> 3] | 1u << (bit & 7));
        var += class == SLOT_8 ? 8 : class == SLOT_NULL ? 0 : 4;
    }
    var_start = var;
    for (uint32_t i = 0; i < count; i++) {
        const void *at;
        if (source_is_null(vecs[i], row))
            continue;
        at = luma_vec_at(vecs[i], row);
        switch (class_of_phys((enum luma_phys)vecs[i]->phys)) {
        case SLOT_4:
            write_slot4(slot, vecs[i], at);
            slot += 4;
            break;
        case SLOT_8:
            memcpy(slot, at, 8);
            slot += 8;
            break;
        case SLOT_VAR: {
            size_t n = var_bytes_of(vecs[i], row);
            const void *src =
                vecs[i]->phys == LUMA_PHYS_STR ? luma_str_data((const struct luma_str *)at) : at;
            if (n > 0)
                memcpy(var, src, n);
            var += n;
            lk_store_u32(slot, (uint32_t)(var - var_start));
            slot += 4;
            break;
        }
        case SLOT_NULL:
            break;
        }
    }
    lk_store_u32(out, (uint32_t)(var - out));
    out[4] = (uint8_t)ids_known;
    out[5] = (uint8_t)(ids_known >> 8);
    return (size_t)(var - out);
}

luma_rc
lk_tuple_make(struct luma_arena *arena, const struct lk_tuple_column *cols, uint32_t count,
              uint32_t ids_known, const struct luma_vec *const *vecs, uint32_t row,
              const uint8_t **out_tuple)
{
    size_t bytes = lk_tuple_size(cols, count, ids_known, vecs, row);
    uint8_t *tuple;

    if (bytes == 0)
        return LUMA_E_LIMIT;
    tuple = luma_arena_alloc_aligned(arena, bytes, 8);
    if (tuple == NULL)
        return LUMA_E_NOMEM;
    lk_tuple_write(cols, count, ids_known, vecs, row, tuple);
    *out_tuple = tuple;
    return LUMA_OK;
}

/* --- reading --- */

/* The two planes of up to 64 columns beginning with bit 64 * word. */
static inline void
load_planes(const uint8_t *low, const uint8_t *high, size_t plane_bytes, size_t word,
            uint64_t *out_low, uint64_t *out_high)
{
    size_t at = word * 8, n = plane_bytes - at < 8 ? plane_bytes - at : 8;

    *out_low = *out_high = 0;
    memcpy(out_low, low + at, n);
    memcpy(out_high, high + at, n);
}

static inline uint32_t
slots_bytes(uint64_t low, uint64_t high)
{
    return 4 * (uint32_t)__builtin_popcountll(low) +
           8 * (uint32_t)__builtin_popcountll(high & ~low);
}

/* All slots together: where the variable part begins, counted from the first slot. */
static uint32_t
slots_total(const uint8_t *low, const uint8_t *high, size_t plane_bytes)
{
    uint32_t total = 0;

    for (size_t word = 0; word * 8 < plane_bytes; word++) {
        uint64_t l, h;
        load_planes(low, high, plane_bytes, word, &l, &h);
        total += slots_bytes(l, h);
    }
    return total;
}

struct slot_place {
    enum slot_class class;
    uint32_t offset;     /* of the slot, from the first slot */
    int64_t prev_offset; /* VAR: slot of the variable column before it; -1: none */
};

static struct slot_place
place_of(const uint8_t *low, const uint8_t *high, size_t plane_bytes, uint32_t bit)
{
    struct slot_place place = {SLOT_NULL, 0, -1};
    size_t word_last = bit >> 6;
    uint64_t l = 0, h = 0;

    for (size_t word = 0;; word++) {
        uint64_t below = word < word_last ? ~(uint64_t)0 : ((uint64_t)1 << (bit & 63)) - 1;
        uint64_t vars;
        load_planes(low, high, plane_bytes, word, &l, &h);
        vars = l & h & below;
        if (vars != 0) {
            uint64_t under = ((uint64_t)1 << (63 - __builtin_clzll(vars))) - 1;
            place.prev_offset = place.offset + slots_bytes(l & under, h & under);
        }
        place.offset += slots_bytes(l & below, h & below);
        if (word == word_last)
            break;
    }
    place.class = (enum slot_class)((l >> (bit & 63) & 1) | (h >> (bit & 63) & 1) << 1);
    return place;
}

static void
value_from_slot(struct luma_value *out, const uint8_t *at, size_t bytes)
{
    switch (out->phys) {
    case LUMA_PHYS_BOOL:
        out->b = lk_load_u32(at) != 0;
        break;
    case LUMA_PHYS_I16:
        out->i16 = (int16_t)lk_load_u32(at);
        break;
    case LUMA_PHYS_I32:
    case LUMA_PHYS_F32:
        memcpy(&out->i32, at, 4);
        break;
    case LUMA_PHYS_I64:
    case LUMA_PHYS_F64:
        memcpy(&out->i64, at, 8);
        break;
    case LUMA_PHYS_I128:
    case LUMA_PHYS_B16:
        memcpy(&out->i128, at, 16);
        break;
    default:
        out->str = luma_str_make((const char *)at, (uint32_t)bytes);
        break;
    }
}

enum lk_tuple_found
lk_tuple_get(const uint8_t *tuple, uint32_t id, struct luma_type type, struct luma_value *out)
{
    uint32_t ids = lk_load_u16(tuple + 4);
    size_t plane_bytes = ((size_t)ids + 7) / 8;
    const uint8_t *low = tuple + LK_TUPLE_HEADER_BYTES, *high = low + plane_bytes;
    const uint8_t *slots = high + plane_bytes, *at;
    struct slot_place place;
    size_t bytes = 0;

    if (id > ids)
        return LK_TUPLE_MISSING;
    place = place_of(low, high, plane_bytes, id - 1);
    if (place.class == SLOT_NULL)
        return LK_TUPLE_NULL;
    at = slots + place.offset;
    if (place.class == SLOT_VAR) {
        uint32_t start = place.prev_offset < 0 ? 0 : lk_load_u32(slots + place.prev_offset);
        bytes = lk_load_u32(at) - start;
        at = slots + slots_total(low, high, plane_bytes) + start;
    }
    memset(out, 0, offsetof(struct luma_value, b));
    out->type = type;
    out->phys = (uint8_t)luma_type_phys(type);
    out->scale = type.id == LUMA_TYPE_NUMERIC ? type.scale : (int16_t)0;
    value_from_slot(out, at, bytes);
    return LK_TUPLE_VALUE;
}

/* --- many tuples into vectors --- */

/* Where the wanted columns lie in tuples with the same planes as the one seen last. */
struct decode_plan {
    const uint8_t *like; /* a tuple with these planes; NULL: none yet */
    uint32_t ids;
    size_t plane_bytes;
    uint32_t var_start; /* from the first slot */
    struct slot_place *places;
};

static bool
plan_fits(const struct decode_plan *plan, const uint8_t *tuple)
{
    return plan->like != NULL && lk_load_u16(tuple + 4) == plan->ids &&
           memcmp(plan->like + LK_TUPLE_HEADER_BYTES, tuple + LK_TUPLE_HEADER_BYTES,
                  2 * plan->plane_bytes) == 0;
}

static void
plan_make(struct decode_plan *plan, const uint8_t *tuple, const struct lk_tuple_column *cols,
          uint32_t count)
{
    const uint8_t *low = tuple + LK_TUPLE_HEADER_BYTES, *high;

    plan->like = tuple;
    plan->ids = lk_load_u16(tuple + 4);
    plan->plane_bytes = ((size_t)plan->ids + 7) / 8;
    high = low + plan->plane_bytes;
    plan->var_start = slots_total(low, high, plan->plane_bytes);
    for (uint32_t c = 0; c < count; c++)
        if (cols[c].id <= plan->ids)
            plan->places[c] = place_of(low, high, plan->plane_bytes, cols[c].id - 1);
}

static inline luma_rc
put_str(struct luma_arena *arena, struct luma_vec *vec, uint32_t row, const char *data,
        uint32_t bytes, bool deep)
{
    if (deep && bytes > LUMA_STR_INLINE_MAX) {
        char *copy = luma_arena_alloc_aligned(arena, bytes, 1);
        if (copy == NULL)
            return LUMA_E_NOMEM;
        memcpy(copy, data, bytes);
        data = copy;
    }
    ((struct luma_str *)vec->data)[row] = luma_str_make(data, bytes);
    return LUMA_OK;
}

static luma_rc
put_null(struct luma_arena *arena, struct luma_vec *vec, uint32_t row, uint32_t vec_rows)
{
    if (!luma_vec_need_valid(vec, arena, vec_rows))
        return LUMA_E_NOMEM;
    luma_bit_clear(vec->valid, row);
    return LUMA_OK;
}

static luma_rc
put_missing(struct luma_arena *arena, struct luma_vec *vec, uint32_t row, uint32_t vec_rows,
            const struct luma_value *value)
{
    if (value == NULL || value->type.id == LUMA_TYPE_NONE || value->is_null)
        return put_null(arena, vec, row, vec_rows);
    if (vec->phys == LUMA_PHYS_STR)
        return put_str(arena, vec, row, luma_str_data(&value->str), value->str.bytes, true);
    memcpy((uint8_t *)vec->data + (size_t)row * luma_phys_bytes((enum luma_phys)vec->phys),
           &value->b, luma_phys_bytes((enum luma_phys)vec->phys));
    return LUMA_OK;
}

static luma_rc
put_slot(struct luma_arena *arena, struct luma_vec *vec, uint32_t row, const uint8_t *slots,
         uint32_t var_start, const struct slot_place *place, bool deep)
{
    const uint8_t *at = slots + place->offset;
    uint32_t start;

    switch (vec->phys) {
    case LUMA_PHYS_BOOL:
        ((uint8_t *)vec->data)[row] = lk_load_u32(at) != 0;
        return LUMA_OK;
    case LUMA_PHYS_I16:
        ((int16_t *)vec->data)[row] = (int16_t)lk_load_u32(at);
        return LUMA_OK;
    case LUMA_PHYS_I32:
    case LUMA_PHYS_F32:
        memcpy((uint32_t *)vec->data + row, at, 4);
        return LUMA_OK;
    case LUMA_PHYS_I64:
    case LUMA_PHYS_F64:
        memcpy((uint64_t *)vec->data + row, at, 8);
        return LUMA_OK;
    default:
        break;
    }
    start = place->prev_offset < 0 ? 0 : lk_load_u32(slots + place->prev_offset);
    if (vec->phys == LUMA_PHYS_STR)
        return put_str(arena, vec, row, (const char *)slots + var_start + start,
                       lk_load_u32(at) - start, deep);
    memcpy((uint8_t *)vec->data + (size_t)row * 16, slots + var_start + start, 16);
    return LUMA_OK;
}

luma_rc
lk_tuple_decode(struct luma_arena *arena, const uint8_t *const *tuples, uint32_t first,
                uint32_t rows, uint32_t vec_rows, const struct lk_tuple_column *cols,
                uint32_t count, const struct luma_value *missing, bool deep,
                struct luma_vec *const *out)
{
    struct decode_plan plan = {0};

    plan.places = luma_arena_alloc(arena, sizeof(*plan.places) * (count == 0 ? 1 : count));
    if (plan.places == NULL)
        return LUMA_E_NOMEM;
    for (uint32_t i = 0; i < rows; i++) {
        const uint8_t *tuple = tuples[i], *slots;
        if (!plan_fits(&plan, tuple))
            plan_make(&plan, tuple, cols, count);
        slots = tuple + LK_TUPLE_HEADER_BYTES + 2 * plan.plane_bytes;
        for (uint32_t c = 0; c < count; c++) {
            if (cols[c].id > plan.ids)
                LUMA_TRY(put_missing(arena, out[c], first + i, vec_rows,
                                     missing == NULL ? NULL : &missing[c]));
            else if (plan.places[c].class == SLOT_NULL)
                LUMA_TRY(put_null(arena, out[c], first + i, vec_rows));
            else
                LUMA_TRY(put_slot(arena, out[c], first + i, slots, plan.var_start, &plan.places[c],
                                  deep));
        }
    }
    return LUMA_OK;
}

/* --- untrusted bytes --- */

static luma_rc
check_var_ends(const uint8_t *low, const uint8_t *high, size_t ids, const uint8_t *slots,
               uint32_t var_bytes)
{
    uint32_t end_before = 0, offset = 0;

    for (size_t bit = 0; bit < ids; bit++) {
        bool l = low[bit >> 3] >> (bit & 7) & 1, h = high[bit >> 3] >> (bit & 7) & 1;
        if (l && h) {
            uint32_t end = lk_load_u32(slots + offset);
            if (end < end_before || end > var_bytes)
                return LUMA_E_CORRUPT;
            end_before = end;
        }
        offset += l ? 4 : h ? 8 : 0;
    }
    return end_before == var_bytes ? LUMA_OK : LUMA_E_CORRUPT;
}

static luma_rc
check_column(const uint8_t *tuple, const struct lk_tuple_column *col)
{
    uint32_t ids = lk_load_u16(tuple + 4);
    size_t plane_bytes = ((size_t)ids + 7) / 8;
    const uint8_t *low = tuple + LK_TUPLE_HEADER_BYTES, *high = low + plane_bytes;
    const uint8_t *slots = high + plane_bytes;
    enum luma_phys phys = luma_type_phys(col->type);
    struct slot_place place;

    if (col->id == 0 || col->id > ids)
        return LUMA_OK;
    place = place_of(low, high, plane_bytes, col->id - 1);
    if (place.class == SLOT_NULL)
        return LUMA_OK;
    if (place.class != class_of_phys(phys))
        return LUMA_E_CORRUPT;
    if (place.class == SLOT_VAR && phys != LUMA_PHYS_STR) {
        uint32_t start = place.prev_offset < 0 ? 0 : lk_load_u32(slots + place.prev_offset);
        if (lk_load_u32(slots + place.offset) - start != 16)
            return LUMA_E_CORRUPT;
    }
    return LUMA_OK;
}

luma_rc
lk_tuple_check(struct luma_slice bytes, const struct lk_tuple_column *cols, uint32_t count)
{
    const uint8_t *low, *high, *slots;
    size_t ids, plane_bytes, slots_bytes_all;

    if (bytes.bytes < LK_TUPLE_HEADER_BYTES || bytes.bytes > LK_TUPLE_BYTES_MAX ||
        lk_tuple_bytes(bytes.data) != bytes.bytes || lk_load_u16(bytes.data + 6) != 0)
        return LUMA_E_CORRUPT;
    ids = lk_load_u16(bytes.data + 4);
    plane_bytes = (ids + 7) / 8;
    if (bytes.bytes < LK_TUPLE_HEADER_BYTES + 2 * plane_bytes)
        return LUMA_E_CORRUPT;
    low = bytes.data + LK_TUPLE_HEADER_BYTES;
    high = low + plane_bytes;
    slots = high + plane_bytes;
    if ((ids & 7) != 0 &&
        ((low[plane_bytes - 1] >> (ids & 7)) != 0 || (high[plane_bytes - 1] >> (ids & 7)) != 0))
        return LUMA_E_CORRUPT;
    slots_bytes_all = slots_total(low, high, plane_bytes);
    if (bytes.bytes - (size_t)(slots - bytes.data) < slots_bytes_all)
        return LUMA_E_CORRUPT;
    LUMA_TRY(
        check_var_ends(low, high, ids, slots,
                       (uint32_t)(bytes.bytes - (size_t)(slots - bytes.data) - slots_bytes_all)));
    for (uint32_t i = 0; i < count; i++)
        LUMA_TRY(check_column(bytes.data, &cols[i]));
    return LUMA_OK;
}
