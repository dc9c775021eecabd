/* data/doc_make.c - documents and JSON text from values and from other documents. */
#include "data/calendar.h"
#include "data/doc.h"

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory");
}

/* Order of names without moving them; stable, so that the last of equal ones is the last given. */
static void
sort_names(const struct luma_slice *names, uint32_t *order, uint32_t *spare, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    for (uint32_t run = 1; run < count; run *= 2) {
        for (uint32_t low = 0; low < count; low += 2 * run) {
            uint32_t mid = low + run < count ? low + run : count;
            uint32_t high = low + 2 * run < count ? low + 2 * run : count, a = low, b = mid;
            for (uint32_t k = low; k < high; k++) {
                bool left = a < mid && (b >= high || lki_doc_name_compare(names[order[a]],
                                                                          names[order[b]]) <= 0);
                spare[k] = left ? order[a++] : order[b++];
            }
        }
        memcpy(order, spare, sizeof(*order) * count);
    }
}

static luma_rc
make_container(struct luma_ctx *ctx, struct luma_arena *arena, enum lki_doc_kind kind,
               const struct luma_slice *names, const struct luma_slice *docs, const uint32_t *order,
               uint32_t count, struct luma_str *out)
{
    uint8_t *bytes, *name_ends, *value_ends, *name_at, *value_at;
    size_t names_bytes = 0, values_bytes = 0;
    uint32_t name_end = 0, value_end = 0;
    struct lki_doc_layout layout;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = order == NULL ? i : order[i];
        names_bytes += names == NULL ? 0 : names[at].bytes;
        values_bytes += docs[at].bytes;
    }
    if (names_bytes + values_bytes > LKI_DOC_BYTES_MAX)
        return LUMA_FAIL_SQL(ctx, LUMA_E_LIMIT, "54000", "total size of jsonb value is too large");
    layout = lki_doc_layout_of(kind, count, names_bytes, values_bytes, false);
    bytes = luma_arena_alloc_aligned(arena, layout.total_bytes, 1);
    if (bytes == NULL)
        return no_memory(ctx);
    (void)lki_doc_begin(&layout, bytes, &name_ends, &value_ends, &name_at, &value_at);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = order == NULL ? i : order[i];
        if (names != NULL) {
            if (names[at].bytes > 0)
                memcpy(name_at + name_end, names[at].data, names[at].bytes);
            name_end += (uint32_t)names[at].bytes;
            lki_doc_put_end(name_ends, layout.width, i, name_end);
        }
        memcpy(value_at + value_end, docs[at].data, docs[at].bytes);
        value_end += (uint32_t)docs[at].bytes;
        lki_doc_put_end(value_ends, layout.width, i, value_end);
    }
    *out = luma_str_make((const char *)bytes, (uint32_t)layout.total_bytes);
    return LUMA_OK;
}

luma_rc
lk_data_doc_make_array(struct luma_ctx *ctx, struct luma_arena *arena,
                       const struct luma_slice *docs, uint32_t count, struct luma_str *out)
{
    return make_container(ctx, arena, LKI_DOC_ARRAY, NULL, docs, NULL, count, out);
}

luma_rc
lk_data_doc_make_object(struct luma_ctx *ctx, struct luma_arena *arena,
                        const struct luma_slice *names, const struct luma_slice *docs,
                        uint32_t count, struct luma_str *out)
{
    uint32_t *order = luma_arena_alloc(arena, sizeof(*order) * 2 * ((size_t)count + 1)), kept = 0;

    if (order == NULL)
        return no_memory(ctx);
    sort_names(names, order, order + count, count);
    for (uint32_t i = 0; i < count; i++)
        if (i + 1 == count || !luma_slice_equal(names[order[i]], names[order[i + 1]]))
            order[kept++] = order[i];
    return make_container(ctx, arena, LKI_DOC_OBJECT, names, docs, order, kept, out);
}

static luma_rc
make_payload(struct luma_ctx *ctx, struct luma_arena *arena, enum lki_doc_kind kind,
             const void *payload, size_t bytes, struct luma_str *out)
{
    uint8_t *doc = luma_arena_alloc_aligned(arena, bytes + 1, 1);

    if (doc == NULL)
        return no_memory(ctx);
    doc[0] = (uint8_t)kind;
    if (bytes > 0)
        memcpy(doc + 1, payload, bytes);
    *out = luma_str_make((const char *)doc, (uint32_t)bytes + 1);
    return LUMA_OK;
}

static luma_rc
make_int(struct luma_ctx *ctx, struct luma_arena *arena, int64_t v, struct luma_str *out)
{
    return make_payload(ctx, arena, LKI_DOC_INT, &v, lki_doc_int_bytes(v), out);
}

/* NaN and the infinities have no JSON number: they become strings. */
static luma_rc
make_numeric(struct luma_ctx *ctx, struct luma_arena *arena, const struct luma_value *value,
             struct luma_str *out)
{
    struct luma_str str = value->str;
    uint8_t kind;

    if (value->phys != LUMA_PHYS_STR) {
        luma_i128 v = value->phys == LUMA_PHYS_I64 ? value->i64 : value->i128;
        if (value->scale == 0 && (int64_t)v == v)
            return make_int(ctx, arena, (int64_t)v, out);
        if (lk_data_numeric_from_i128(arena, v, value->scale, &str) != LUMA_OK)
            return no_memory(ctx);
    }
    kind = (uint8_t)luma_str_data(&str)[0];
    if (kind > LKI_NUM_NEG) {
        const char *text = lk_data_value_text(value, NULL, arena);
        return text == NULL ? no_memory(ctx)
                            : make_payload(ctx, arena, LKI_DOC_STRING, text, strlen(text), out);
    }
    if (lk_data_numeric_dscale(&str) == 0) {
        luma_i128 v;
        if (lk_data_numeric_to_i128(&str, 0, &v) == LUMA_OK && (int64_t)v == v)
            return make_int(ctx, arena, (int64_t)v, out);
    }
    return make_payload(ctx, arena, LKI_DOC_NUMBER, luma_str_data(&str), str.bytes, out);
}

/* The text that JSON uses for a value: ISO dates with a T, whatever the session's style. */
static const char *
json_value_text(const struct luma_value *value, const struct luma_format *format,
                struct luma_arena *arena)
{
    struct luma_format iso = format == NULL ? lk_data_format_default : *format;
    const char *text;
    char *space;

    if (value->type.id != LUMA_TYPE_DATE && value->type.id != LUMA_TYPE_TIMESTAMP &&
        value->type.id != LUMA_TYPE_TIMESTAMPTZ)
        return lk_data_value_text(value, format, arena);
    iso.date_style = 0;
    text = lk_data_value_text(value, &iso, arena);
    space = text == NULL || value->type.id == LUMA_TYPE_DATE ? NULL : strchr(text, ' ');
    if (space != NULL && space[1] >= '0' && space[1] <= '9')
        *space = 'T';
    if (text != NULL && value->type.id == LUMA_TYPE_TIMESTAMPTZ) {
        /* +hh becomes +hh:mm */
        size_t n = strlen(text);
        if (n > 3 && (text[n - 3] == '+' || text[n - 3] == '-') && space != NULL) {
            char *longer = luma_arena_alloc_aligned(arena, n + 4, 1);
            if (longer == NULL)
                return NULL;
            memcpy(longer, text, n);
            memcpy(longer + n, ":00", 4);
            return longer;
        }
    }
    return text;
}

static luma_rc
array_elements(struct luma_ctx *ctx, struct luma_arena *arena, const struct luma_format *format,
               const struct luma_value *value, struct luma_slice **out_docs, uint32_t *out_count)
{
    uint32_t count = lk_data_array_count(&value->str);
    struct luma_str *strs = luma_arena_alloc(arena, sizeof(*strs) * ((size_t)count + 1));
    struct luma_slice *docs = luma_arena_alloc(arena, sizeof(*docs) * ((size_t)count + 1));

    if (docs == NULL || strs == NULL)
        return no_memory(ctx);
    for (uint32_t i = 0; i < count; i++) {
        struct luma_value v;
        lki_array_value(&value->str, luma_type_elem(value->type), i, &v);
        LUMA_TRY(lk_data_doc_make_value(ctx, arena, format, &v, &strs[i]));
        docs[i] = luma_str_slice(&strs[i]);
    }
    *out_docs = docs;
    *out_count = count;
    return LUMA_OK;
}

luma_rc
lk_data_doc_make_value(struct luma_ctx *ctx, struct luma_arena *arena,
                       const struct luma_format *format, const struct luma_value *value,
                       struct luma_str *out)
{
    const char *text;

    if (value->is_null)
        return make_payload(ctx, arena, LKI_DOC_NULL, NULL, 0, out);
    switch (value->type.id) {
    case LUMA_TYPE_BOOL:
        return make_payload(ctx, arena, value->b ? LKI_DOC_TRUE : LKI_DOC_FALSE, NULL, 0, out);
    case LUMA_TYPE_INT2:
        return make_int(ctx, arena, value->i16, out);
    case LUMA_TYPE_INT4:
        return make_int(ctx, arena, value->i32, out);
    case LUMA_TYPE_INT8:
        return make_int(ctx, arena, value->i64, out);
    case LUMA_TYPE_NUMERIC:
        return make_numeric(ctx, arena, value, out);
    case LUMA_TYPE_FLOAT4:
    case LUMA_TYPE_FLOAT8: {
        struct luma_error ignored = {0};
        text = lk_data_value_text(value, NULL, arena);
        (void)ignored;
        if (text == NULL)
            return no_memory(ctx);
        if (text[0] == 'N' || text[0] == 'I' || text[1] == 'I')
            return make_payload(ctx, arena, LKI_DOC_STRING, text, strlen(text), out);
        return lk_data_doc_from_json(ctx, arena, luma_slice_text(text), out);
    }
    case LUMA_TYPE_JSON:
        return lk_data_doc_from_json(ctx, arena, luma_str_slice(&value->str), out);
    case LUMA_TYPE_JSONB:
        *out = value->str;
        return LUMA_OK;
    case LUMA_TYPE_ARRAY: {
        struct luma_slice *docs = NULL;
        uint32_t count = 0;
        LUMA_TRY(array_elements(ctx, arena, format, value, &docs, &count));
        return lk_data_doc_make_array(ctx, arena, docs, count, out);
    }
    case LUMA_TYPE_TEXT:
    case LUMA_TYPE_VARCHAR:
    case LUMA_TYPE_BPCHAR:
    case LUMA_TYPE_NAME:
    case LUMA_TYPE_UNKNOWN:
        return make_payload(ctx, arena, LKI_DOC_STRING, luma_str_data(&value->str),
                            value->str.bytes, out);
    default:
        text = json_value_text(value, format, arena);
        return text == NULL ? no_memory(ctx)
                            : make_payload(ctx, arena, LKI_DOC_STRING, text, strlen(text), out);
    }
}

/* --- JSON text --- */

static luma_rc
json_text(struct luma_ctx *ctx, struct luma_arena *arena, const char *text, size_t bytes,
          bool quoted, struct luma_str *out)
{
    char *copy = luma_arena_alloc_aligned(arena, lki_json_string_bound(bytes), 1);

    if (copy == NULL)
        return no_memory(ctx);
    if (quoted) {
        bytes = lki_json_string_write(text, bytes, copy);
    } else {
        memcpy(copy, text, bytes);
    }
    *out = luma_str_make(copy, (uint32_t)bytes);
    return LUMA_OK;
}

static luma_rc
json_array(struct luma_ctx *ctx, struct luma_arena *arena, const struct luma_format *format,
           const struct luma_value *value, struct luma_str *out)
{
    uint32_t count = lk_data_array_count(&value->str);
    struct luma_str *parts = luma_arena_alloc(arena, sizeof(*parts) * ((size_t)count + 1));
    size_t total = 2;
    char *text, *p;

    if (parts == NULL)
        return no_memory(ctx);
    for (uint32_t i = 0; i < count; i++) {
        struct luma_value v;
        lki_array_value(&value->str, luma_type_elem(value->type), i, &v);
        LUMA_TRY(lk_data_json_from_value(ctx, arena, format, &v, &parts[i]));
        total += parts[i].bytes + 1;
    }
    text = p = luma_arena_alloc_aligned(arena, total, 1);
    if (text == NULL)
        return no_memory(ctx);
    *p++ = '[';
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            *p++ = ',';
        memcpy(p, luma_str_data(&parts[i]), parts[i].bytes);
        p += parts[i].bytes;
    }
    *p++ = ']';
    *out = luma_str_make(text, (uint32_t)(p - text));
    return LUMA_OK;
}

luma_rc
lk_data_json_from_value(struct luma_ctx *ctx, struct luma_arena *arena,
                        const struct luma_format *format, const struct luma_value *value,
                        struct luma_str *out)
{
    const char *text;
    bool number = false;

    if (value->is_null)
        return json_text(ctx, arena, "null", 4, false, out);
    switch (value->type.id) {
    case LUMA_TYPE_BOOL:
        text = value->b ? "true" : "false";
        return json_text(ctx, arena, text, strlen(text), false, out);
    case LUMA_TYPE_JSON:
        *out = value->str;
        return LUMA_OK;
    case LUMA_TYPE_ARRAY:
        return json_array(ctx, arena, format, value, out);
    case LUMA_TYPE_INT2:
    case LUMA_TYPE_INT4:
    case LUMA_TYPE_INT8:
    case LUMA_TYPE_FLOAT4:
    case LUMA_TYPE_FLOAT8:
    case LUMA_TYPE_NUMERIC:
        number = true;
        break;
    case LUMA_TYPE_TEXT:
    case LUMA_TYPE_VARCHAR:
    case LUMA_TYPE_BPCHAR:
    case LUMA_TYPE_NAME:
    case LUMA_TYPE_UNKNOWN:
        return json_text(ctx, arena, luma_str_data(&value->str), value->str.bytes, true, out);
    default:
        break;
    }
    text = json_value_text(value, format, arena);
    if (text == NULL)
        return no_memory(ctx);
    if (number) /* NaN and the infinities go in quotes */
        number = (text[0] >= '0' && text[0] <= '9') || (text[0] == '-' && text[1] != 'I');
    return json_text(ctx, arena, text, strlen(text), !number && value->type.id != LUMA_TYPE_JSONB,
                     out);
}
