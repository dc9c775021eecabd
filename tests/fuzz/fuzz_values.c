/*
 * tests/fuzz/fuzz_values.c - any bytes are a value or an error: text of every type, JSON,
 * documents, keys, tuples. The first byte says which type, the rest is the input.
 */
#include "base/base.h"
#include "base/ctx.h"
#include "data/data.h"
#include "data/doc.h"
#include "data/shred.h"
#include "data/tuple.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* What was parsed must print and come back through its binary form. */
static void
through_text(struct lk_ctx *c, struct luma_arena *arena, struct luma_type type,
             struct luma_slice text)
{
    struct luma_value v, back;
    struct luma_vec vec;
    char *room;
    size_t n;

    if (lk_data_from_text(&c->ctx, arena, type, NULL, text, &v) != LUMA_OK) {
        LK_ASSERT(c->error.code != LUMA_OK);
        return;
    }
    LK_ASSERT(lk_data_value_text(&v, NULL, arena) != NULL);
    LK_ASSERT(lk_data_vec_const(arena, &v, &vec) == LUMA_OK);
    room = luma_arena_alloc(arena, lk_data_binary_bound(&vec, 0) + 1);
    LK_ASSERT(room != NULL);
    n = lk_data_binary_write(&vec, 0, room);
    LK_ASSERT(n <= lk_data_binary_bound(&vec, 0));
    if (lk_data_from_binary(&c->ctx, arena, type, luma_slice(room, n), &back) == LUMA_OK)
        LK_ASSERT(back.type.id == type.id || back.is_null);
    room = luma_arena_alloc(arena, lk_data_key_bound(&vec, 0) + 1);
    LK_ASSERT(room != NULL);
    LK_ASSERT(lk_data_key_write(&vec, 0, 0, (uint8_t *)room) <= lk_data_key_bound(&vec, 0));
}

static void
as_document(struct luma_arena *arena, struct luma_slice in)
{
    struct luma_slice name = luma_slice_text("a"), found;

    if (lk_data_doc_valid(in)) {
        char *text = luma_arena_alloc(arena, lk_data_doc_text_bound(in) + 1);
        LK_ASSERT(text != NULL);
        LK_ASSERT(lk_data_doc_text_write(in, true, text) <= lk_data_doc_text_bound(in));
    }
    (void)lk_data_doc_field(in, name, &found);
    (void)lk_data_doc_element(in, 0, &found);
}

/* The quick reader takes what the careful one takes, and makes the same of it. */
static void
as_json(struct lk_ctx *c, struct luma_arena *arena, struct luma_slice in)
{
    struct luma_str quick, careful, kept, found;

    if (lki_doc_fast(arena, in, false, &quick)) {
        LK_ASSERT(lki_doc_careful(&c->ctx, arena, in, &careful) == LUMA_OK);
        LK_ASSERT(luma_slice_equal(luma_str_slice(&quick), luma_str_slice(&careful)));
    }
    static const struct luma_path_step steps[] = {
        {.name = {(const uint8_t *)"a", 1}}, {.is_index = true, .index = 1}, {.is_index = true}};
    bool null;
    for (uint32_t n = 0; n <= LUMA_COUNTOF(steps); n++)
        if (lk_data_json_path(&c->ctx, arena, in, steps, n, n > 1, &found, &null) == LUMA_OK &&
            !null)
            LK_ASSERT(found.bytes <= in.bytes);
    if (lki_doc_fast(arena, in, true, &kept))
        LK_ASSERT(lk_data_doc_compare(luma_str_slice(&kept), luma_str_slice(&quick)) == 0);
}

static void
as_tuple(struct luma_slice in)
{
    static const struct lk_tuple_column cols[] = {
        {1, {LUMA_TYPE_INT4, 0, 0, -1}},
        {2, {LUMA_TYPE_TEXT, 0, 0, -1}},
        {3, {LUMA_TYPE_UUID, 0, 0, -1}},
        {9, {LUMA_TYPE_INT8, 0, 0, -1}},
    };
    struct luma_value v;

    if (lk_tuple_check(in, cols, LUMA_COUNTOF(cols)) != LUMA_OK)
        return;
    for (size_t i = 0; i < LUMA_COUNTOF(cols); i++)
        if (lk_tuple_get(in.data, cols[i].id, cols[i].type, &v) == LK_TUPLE_VALUE &&
            v.phys == LUMA_PHYS_STR && v.str.bytes > 0)
            LK_ASSERT(luma_str_data(&v.str) + v.str.bytes <= (const char *)in.data + in.bytes ||
                      v.str.bytes <= LUMA_STR_INLINE_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct luma_arena *arena;
    const struct luma_type_info *info;
    struct luma_slice in;
    struct lk_ctx c;
    struct luma_value v;
    size_t pos = 0;

    if (bytes == 0)
        return 0;
    arena = lk_arena_create(NULL, 0);
    lk_ctx_init(&c, arena);
    in = luma_slice(data + 1, bytes - 1);
    info = lk_data_type_at(data[0] & 63);
    if (info != NULL && info->category != 'P') {
        through_text(&c, arena, info->type, in);
        luma_error_reset(&c.error);
        if (lk_data_from_binary(&c.ctx, arena, info->type, in, &v) == LUMA_OK)
            LK_ASSERT(lk_data_value_text(&v, NULL, arena) != NULL);
        if (lk_data_key_read(arena, in, &pos, info->type, data[0] >> 7, &v) == LUMA_OK)
            LK_ASSERT(pos <= in.bytes && lk_data_value_text(&v, NULL, arena) != NULL);
    }
    as_document(arena, in);
    as_json(&c, arena, in);
    as_tuple(in);
    lk_arena_destroy(arena);
    return 0;
}
