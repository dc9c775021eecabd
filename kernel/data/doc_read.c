/* data/doc_read.c - reading binary documents: fields, elements, order, containment. */
#include "base/base.h"
#include "data/doc.h"

static inline uint32_t
end_at(const uint8_t *ends, uint8_t width, uint32_t i)
{
    return lki_doc_get_end(ends, width, i);
}

struct lki_doc_layout
lki_doc_layout_of(enum lki_doc_kind kind, uint32_t count, size_t names_bytes, size_t values_bytes,
                  bool ordered)
{
    struct lki_doc_layout l = {(uint8_t)kind, 0, ordered, count, names_bytes, values_bytes, 0};
    size_t lists = kind == LKI_DOC_OBJECT ? (ordered ? 3 : 2) : 1;
    size_t most = names_bytes > values_bytes ? names_bytes : values_bytes;

    if (count > most)
        most = count;
    l.width = most < 1u << 8 ? 0 : most < 1u << 16 ? 1 : 2;
    l.total_bytes = 1 + (((size_t)count * lists + 1) << l.width) + names_bytes + values_bytes;
    return l;
}

uint8_t *
lki_doc_begin(const struct lki_doc_layout *layout, uint8_t *out, uint8_t **name_ends,
              uint8_t **value_ends, uint8_t **names, uint8_t **values)
{
    uint8_t *p = out, *order = NULL;

    *p++ = (uint8_t)(layout->kind | layout->width << 4 | (layout->ordered ? LKI_DOC_ORDERED : 0));
    memcpy(p, &layout->count, (size_t)1 << layout->width);
    p += (size_t)1 << layout->width;
    *name_ends = p;
    if (layout->kind == LKI_DOC_OBJECT)
        p += (size_t)layout->count << layout->width;
    *value_ends = p;
    p += (size_t)layout->count << layout->width;
    if (layout->ordered) {
        order = p;
        p += (size_t)layout->count << layout->width;
    }
    *names = p;
    *values = p + layout->names_bytes;
    return order;
}

bool
lki_doc_open(struct luma_slice doc, struct lki_doc_view *out)
{
    enum lki_doc_kind kind = lki_doc_kind(doc);
    size_t head, ends, lists = kind == LKI_DOC_OBJECT ? 2 : 1;

    if (kind != LKI_DOC_ARRAY && kind != LKI_DOC_OBJECT)
        return false;
    out->kind = (uint8_t)kind;
    out->width = doc.data[0] >> 4 & 3;
    if (out->width > 2)
        return false;
    out->order = NULL;
    if (kind == LKI_DOC_OBJECT && (doc.data[0] & LKI_DOC_ORDERED) != 0)
        lists = 3;
    head = 1 + ((size_t)1 << out->width);
    if (doc.bytes < head)
        return false;
    out->count = end_at(doc.data + 1, out->width, 0);
    ends = (size_t)out->count << out->width;
    if ((doc.bytes - head) / lists < ends)
        return false;
    out->name_ends = doc.data + head;
    out->value_ends = out->name_ends + (kind == LKI_DOC_OBJECT ? ends : 0);
    out->names = out->value_ends + ends;
    if (lists == 3) {
        out->order = out->names;
        out->names += ends;
    }
    out->names_bytes = 0;
    if (kind == LKI_DOC_OBJECT && out->count > 0)
        out->names_bytes = end_at(out->name_ends, out->width, out->count - 1);
    if (out->names_bytes > (size_t)(doc.data + doc.bytes - out->names))
        return false;
    out->values = out->names + out->names_bytes;
    out->values_bytes = (size_t)(doc.data + doc.bytes - out->values);
    return true;
}

static bool
part_at(const uint8_t *ends, uint8_t width, uint32_t i, const uint8_t *area, size_t area_bytes,
        struct luma_slice *out)
{
    uint32_t start = i == 0 ? 0 : end_at(ends, width, i - 1), end = end_at(ends, width, i);

    if (start > end || end > area_bytes)
        return false;
    *out = luma_slice(area + start, end - start);
    return true;
}

bool
lki_doc_value_at(const struct lki_doc_view *view, uint32_t i, struct luma_slice *out)
{
    return part_at(view->value_ends, view->width, i, view->values, view->values_bytes, out);
}

bool
lki_doc_name_at(const struct lki_doc_view *view, uint32_t i, struct luma_slice *out)
{
    return part_at(view->name_ends, view->width, i, view->names, view->names_bytes, out);
}

bool
lki_doc_written(const struct lki_doc_view *view, uint32_t place, uint32_t *out_index)
{
    *out_index = view->order == NULL ? place : end_at(view->order, view->width, place);
    return *out_index < view->count;
}

int
lki_doc_name_compare(struct luma_slice a, struct luma_slice b)
{
    if (a.bytes != b.bytes)
        return a.bytes < b.bytes ? -1 : 1;
    return a.bytes == 0 ? 0 : memcmp(a.data, b.data, a.bytes);
}

bool
lki_doc_find(const struct lki_doc_view *view, struct luma_slice name, uint32_t *out_index)
{
    uint32_t low = 0, high = view->count;

    if (view->kind != LKI_DOC_OBJECT)
        return false;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        struct luma_slice at;
        int c;
        if (!lki_doc_name_at(view, mid, &at))
            return false;
        c = lki_doc_name_compare(name, at);
        if (c == 0) {
            *out_index = mid;
            return true;
        }
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return false;
}

bool
lk_data_doc_field(struct luma_slice doc, struct luma_slice name, struct luma_slice *out)
{
    struct lki_doc_view view;
    uint32_t i;

    return lki_doc_open(doc, &view) && lki_doc_find(&view, name, &i) &&
           lki_doc_value_at(&view, i, out);
}

bool
lk_data_doc_element(struct luma_slice doc, int64_t index, struct luma_slice *out)
{
    struct lki_doc_view view;

    if (!lki_doc_open(doc, &view) || view.kind != LKI_DOC_ARRAY)
        return false;
    if (index < 0)
        index += view.count;
    return index >= 0 && index < view.count && lki_doc_value_at(&view, (uint32_t)index, out);
}

uint32_t
lk_data_doc_count(struct luma_slice doc)
{
    struct lki_doc_view view;

    return lki_doc_open(doc, &view) ? view.count : 0;
}

bool
lk_data_doc_at(struct luma_slice doc, uint32_t i, struct luma_slice *out_name,
               struct luma_slice *out)
{
    struct lki_doc_view view;

    if (!lki_doc_open(doc, &view) || i >= view.count)
        return false;
    *out_name = luma_slice(NULL, 0);
    if (view.kind == LKI_DOC_OBJECT && !lki_doc_name_at(&view, i, out_name))
        return false;
    return lki_doc_value_at(&view, i, out);
}

char
lk_data_doc_kind(struct luma_slice doc)
{
    static const char letters[16] = {'z', 'b', 'b', 'n', 'n', 's', 'a', 'o',
                                     't', 'x', 'u', 'v', 'd', 'z', 'z', 'z'};

    return letters[lki_doc_kind(doc)];
}

static int64_t
int_of(struct luma_slice doc)
{
    uint64_t v = 0;
    size_t n = doc.bytes - 1 < 8 ? doc.bytes - 1 : 8;

    if (n == 0)
        return 0;
    memcpy(&v, doc.data + 1, n);
    return n == 8 ? (int64_t)v : (int64_t)(v << (64 - 8 * n)) >> (64 - 8 * n);
}

/* The numeric of a number document; its bytes stay in the document. */
static struct luma_str
number_str(struct luma_slice doc)
{
    return luma_str_make((const char *)doc.data + 1, (uint32_t)(doc.bytes - 1));
}

bool
lk_data_doc_scalar(struct luma_slice doc, struct luma_arena *arena, struct luma_value *out)
{
    struct luma_value v = {.type = luma_type(LUMA_TYPE_TEXT), .phys = LUMA_PHYS_STR};

    (void)arena;
    switch (lki_doc_kind(doc)) {
    case LKI_DOC_NULL:
        v.is_null = true;
        break;
    case LKI_DOC_FALSE:
    case LKI_DOC_TRUE:
        v.type = luma_type(LUMA_TYPE_BOOL);
        v.phys = LUMA_PHYS_BOOL;
        v.b = lki_doc_kind(doc) == LKI_DOC_TRUE;
        break;
    case LKI_DOC_INT:
        v.type = luma_type(LUMA_TYPE_NUMERIC);
        v.phys = LUMA_PHYS_I64;
        v.i64 = int_of(doc);
        break;
    case LKI_DOC_NUMBER:
        v.type = luma_type(LUMA_TYPE_NUMERIC);
        v.str = number_str(doc);
        break;
    case LKI_DOC_STRING:
    case LKI_DOC_BYTES:
        if (lki_doc_kind(doc) == LKI_DOC_BYTES)
            v.type = luma_type(LUMA_TYPE_BYTEA);
        v.str = luma_str_make((const char *)doc.data + 1, (uint32_t)(doc.bytes - 1));
        break;
    case LKI_DOC_TIMESTAMP:
        if (doc.bytes != 9)
            return false;
        v.type = luma_type(LUMA_TYPE_TIMESTAMPTZ);
        v.phys = LUMA_PHYS_I64;
        memcpy(&v.i64, doc.data + 1, 8);
        break;
    case LKI_DOC_DATE:
        if (doc.bytes != 5)
            return false;
        v.type = luma_type(LUMA_TYPE_DATE);
        v.phys = LUMA_PHYS_I32;
        memcpy(&v.i32, doc.data + 1, 4);
        break;
    case LKI_DOC_UUID:
        if (doc.bytes != 17)
            return false;
        v.type = luma_type(LUMA_TYPE_UUID);
        v.phys = LUMA_PHYS_B16;
        memcpy(&v.uuid, doc.data + 1, 16);
        break;
    default:
        return false;
    }
    *out = v;
    return true;
}

/* --- order --- */

/* PostgreSQL's: Null < String < Number < Boolean < Array < Object. */
static int
rank_of(enum lki_doc_kind kind)
{
    switch (kind) {
    case LKI_DOC_NULL:
        return 0;
    case LKI_DOC_STRING:
    case LKI_DOC_BYTES:
    case LKI_DOC_UUID:
    case LKI_DOC_TIMESTAMP:
    case LKI_DOC_DATE:
    case LKI_DOC_VECTOR:
        return 1;
    case LKI_DOC_INT:
    case LKI_DOC_NUMBER:
        return 2;
    case LKI_DOC_FALSE:
    case LKI_DOC_TRUE:
        return 3;
    case LKI_DOC_ARRAY:
        return 4;
    default:
        return 5;
    }
}

int
lki_doc_number_compare(struct luma_slice a, struct luma_slice b)
{
    uint16_t da[12], db[12];
    struct luma_value va, vb;
    struct luma_str sa, sb;
    struct lki_num na, nb;
    uint8_t ba[32], bb[32];

    if (lki_doc_kind(a) == LKI_DOC_INT && lki_doc_kind(b) == LKI_DOC_INT) {
        int64_t x = int_of(a), y = int_of(b);
        return (x > y) - (x < y);
    }
    (void)va;
    (void)vb;
    na = lki_num_of_i128(lki_doc_kind(a) == LKI_DOC_INT ? int_of(a) : 0, 0, da);
    nb = lki_num_of_i128(lki_doc_kind(b) == LKI_DOC_INT ? int_of(b) : 0, 0, db);
    sa = lki_doc_kind(a) == LKI_DOC_INT ? lki_num_str_in(&na, ba) : number_str(a);
    sb = lki_doc_kind(b) == LKI_DOC_INT ? lki_num_str_in(&nb, bb) : number_str(b);
    return lki_num_compare_str(&sa, &sb);
}

static int compare_at(struct luma_slice a, struct luma_slice b, int depth);

static int
compare_containers(struct luma_slice a, struct luma_slice b, int depth)
{
    struct lki_doc_view x, y;

    if (!lki_doc_open(a, &x) || !lki_doc_open(b, &y))
        return luma_slice_compare(a, b);
    if (x.count != y.count)
        return x.count < y.count ? -1 : 1;
    for (uint32_t i = 0; i < x.count; i++) {
        struct luma_slice p, q;
        int c;
        if (x.kind == LKI_DOC_OBJECT) {
            if (!lki_doc_name_at(&x, i, &p) || !lki_doc_name_at(&y, i, &q))
                return 0;
            c = luma_slice_compare(p, q);
            if (c != 0)
                return c;
        }
        if (!lki_doc_value_at(&x, i, &p) || !lki_doc_value_at(&y, i, &q))
            return 0;
        c = compare_at(p, q, depth + 1);
        if (c != 0)
            return c;
    }
    return 0;
}

static int
compare_at(struct luma_slice a, struct luma_slice b, int depth)
{
    enum lki_doc_kind ka = lki_doc_kind(a), kb = lki_doc_kind(b);
    int ra = rank_of(ka), rb = rank_of(kb);

    if (ra != rb)
        return ra < rb ? -1 : 1;
    switch (ra) {
    case 0:
        return 0;
    case 2:
        return lki_doc_number_compare(a, b);
    case 3:
        return (int)ka - (int)kb;
    case 1:
        if (ka != kb)
            return ka < kb ? -1 : 1;
        return luma_slice_compare(luma_slice(a.data + 1, a.bytes - 1),
                                  luma_slice(b.data + 1, b.bytes - 1));
    default:
        return depth > LKI_DOC_DEPTH_MAX ? 0 : compare_containers(a, b, depth);
    }
}

int
lk_data_doc_compare(struct luma_slice a, struct luma_slice b)
{
    int ra = rank_of(lki_doc_kind(a)), rb = rank_of(lki_doc_kind(b));

    /* At the top a scalar counts as an array of one element, below a real one of the same length.
     */
    if (ra < 4 && rb == 4)
        return lk_data_doc_count(b) == 0 ? 1 : -1;
    if (rb < 4 && ra == 4)
        return lk_data_doc_count(a) == 0 ? -1 : 1;
    return compare_at(a, b, 0);
}

/* --- containment --- */

static bool contains_at(struct luma_slice a, struct luma_slice b, int depth);

static bool
array_has(const struct lki_doc_view *a, struct luma_slice wanted, int depth)
{
    enum lki_doc_kind kind = lki_doc_kind(wanted);

    for (uint32_t i = 0; i < a->count; i++) {
        struct luma_slice at;
        if (!lki_doc_value_at(a, i, &at))
            return false;
        if (kind == LKI_DOC_ARRAY || kind == LKI_DOC_OBJECT) {
            if (lki_doc_kind(at) == kind && contains_at(at, wanted, depth + 1))
                return true;
        } else if (compare_at(at, wanted, depth + 1) == 0) {
            return true;
        }
    }
    return false;
}

static bool
contains_at(struct luma_slice a, struct luma_slice b, int depth)
{
    struct lki_doc_view x, y;

    if (depth > LKI_DOC_DEPTH_MAX)
        return false;
    if (!lki_doc_open(b, &y))
        return compare_at(a, b, depth) == 0;
    if (lki_doc_kind(a) != lki_doc_kind(b) || !lki_doc_open(a, &x))
        return false;
    for (uint32_t i = 0; i < y.count; i++) {
        struct luma_slice name, wanted, have;
        uint32_t at;
        if (!lki_doc_value_at(&y, i, &wanted))
            return false;
        if (y.kind == LKI_DOC_ARRAY) {
            if (!array_has(&x, wanted, depth))
                return false;
        } else if (!lki_doc_name_at(&y, i, &name) || !lki_doc_find(&x, name, &at) ||
                   !lki_doc_value_at(&x, at, &have) || !contains_at(have, wanted, depth + 1)) {
            return false;
        }
    }
    return true;
}

bool
lk_data_doc_contains(struct luma_slice a, struct luma_slice b)
{
    struct lki_doc_view x;

    /* ["a", "b"] @> "a": only at the top. */
    if (rank_of(lki_doc_kind(b)) < 4 && lki_doc_kind(a) == LKI_DOC_ARRAY && lki_doc_open(a, &x))
        return array_has(&x, b, 0);
    return contains_at(a, b, 0);
}

/* --- hash: equal documents alike, whatever the form of their numbers --- */

static uint64_t
hash_at(struct luma_slice doc, int depth)
{
    enum lki_doc_kind kind = lki_doc_kind(doc);
    struct lki_doc_view view;
    uint64_t h = (uint64_t)rank_of(kind);

    if (kind == LKI_DOC_INT)
        return lk_hash_combine(h, lki_hash_decimal(int_of(doc), 0));
    if (kind == LKI_DOC_NUMBER) {
        struct luma_str str = number_str(doc);
        return lk_hash_combine(h, lki_hash_numeric(&str));
    }
    if (!lki_doc_open(doc, &view) || depth > LKI_DOC_DEPTH_MAX)
        return lk_hash_combine(h, lk_hash_bytes(doc.data, doc.bytes));
    for (uint32_t i = 0; i < view.count; i++) {
        struct luma_slice part;
        if (view.kind == LKI_DOC_OBJECT && lki_doc_name_at(&view, i, &part))
            h = lk_hash_combine(h, lk_hash_bytes(part.data, part.bytes));
        if (lki_doc_value_at(&view, i, &part))
            h = lk_hash_combine(h, hash_at(part, depth + 1));
    }
    return h;
}

uint64_t
lki_doc_hash(struct luma_slice doc)
{
    return hash_at(doc, 0);
}

/* --- untrusted bytes --- */

/* Is the order of an object each of its indexes once? In stretches, so that a few words of bits do
 * for any number. */
static bool
order_valid(const struct lki_doc_view *view)
{
    uint64_t seen[64];

    for (uint32_t from = 0; view->order != NULL && from < view->count; from += 4096) {
        uint32_t wanted = LK_MIN(view->count - from, 4096u), found = 0;
        memset(seen, 0, sizeof(seen));
        for (uint32_t i = 0; i < view->count; i++) {
            uint32_t at = end_at(view->order, view->width, i);
            if (at < from || at - from >= wanted)
                continue;
            found += !luma_bit_get(seen, at - from);
            luma_bit_set(seen, at - from);
        }
        if (found != wanted)
            return false;
    }
    return true;
}

static bool
valid_at(struct luma_slice doc, int depth)
{
    struct lki_doc_view view;
    struct luma_slice before = {NULL, 0};

    if (doc.bytes == 0 || depth > LKI_DOC_DEPTH_MAX || doc.data[0] >> 7 != 0 ||
        ((doc.data[0] & LKI_DOC_ORDERED) != 0 && lki_doc_kind(doc) != LKI_DOC_OBJECT))
        return false;
    switch (lki_doc_kind(doc)) {
    case LKI_DOC_NULL:
    case LKI_DOC_FALSE:
    case LKI_DOC_TRUE:
        return doc.bytes == 1;
    case LKI_DOC_INT:
        return doc.bytes >= 2 && doc.bytes <= 9;
    case LKI_DOC_NUMBER: {
        struct luma_str str = luma_str_make((const char *)doc.data + 1, (uint32_t)(doc.bytes - 1));
        return lki_num_valid(&str);
    }
    case LKI_DOC_STRING:
        return lk_data_utf8_valid(doc.data + 1, doc.bytes - 1);
    case LKI_DOC_BYTES:
        return true;
    case LKI_DOC_TIMESTAMP:
        return doc.bytes == 9;
    case LKI_DOC_DATE:
        return doc.bytes == 5;
    case LKI_DOC_UUID:
        return doc.bytes == 17;
    case LKI_DOC_VECTOR:
        return (doc.bytes - 1) % 4 == 0;
    case LKI_DOC_ARRAY:
    case LKI_DOC_OBJECT:
        break;
    default:
        return false;
    }
    if (!lki_doc_open(doc, &view) || !order_valid(&view))
        return false;
    for (uint32_t i = 0; i < view.count; i++) {
        struct luma_slice part;
        if (view.kind == LKI_DOC_OBJECT) {
            if (!lki_doc_name_at(&view, i, &part) || !lk_data_utf8_valid(part.data, part.bytes) ||
                (i > 0 && lki_doc_name_compare(before, part) >= 0))
                return false;
            before = part;
        }
        if (!lki_doc_value_at(&view, i, &part) || !valid_at(part, depth + 1))
            return false;
    }
    return view.count == 0
               ? view.values_bytes == 0
               : end_at(view.value_ends, view.width, view.count - 1) == view.values_bytes;
}

bool
lk_data_doc_valid(struct luma_slice doc)
{
    return valid_at(doc, 0);
}
