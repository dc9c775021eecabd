/*
 * tests/unit/data/test_values.c - values as text, binary, keys and hashes; decimal arithmetic;
 * zones.
 *
 * golden_values.h holds PostgreSQL 15's answers. Each value that parses also goes through its
 * binary form and its key and must come back equal, with an equal hash.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/ctx.h"
#include "data/data.h"
#include "golden_values.h"

static struct luma_arena *arena;
static struct lk_ctx c;
static struct luma_format format;

/* Splits a line at its tabs. */
static int
cut(char *line, char *parts[6])
{
    int n = 0;

    for (char *p = line; n < 6 && p != NULL; n++) {
        parts[n] = p;
        p = strchr(p, '\t');
        if (p != NULL)
            *p++ = '\0';
    }
    return n;
}

static void
check_round_trips(const struct luma_value *v, const char *line)
{
    struct luma_vec vec, back_vec;
    struct luma_value back;
    uint64_t h1, h2;
    char *bytes;
    uint8_t *key;
    size_t n;

    ck_assert_msg(lk_data_value_valid(v), "not valid: %s", line);
    ck_assert_int_eq(lk_data_vec_const(arena, v, &vec), LUMA_OK);
    bytes = malloc(lk_data_binary_bound(&vec, 0) + 1);
    n = lk_data_binary_write(&vec, 0, bytes);
    ck_assert_msg(n <= lk_data_binary_bound(&vec, 0), "binary bound: %s", line);
    ck_assert_msg(lk_data_from_binary(&c.ctx, arena, v->type, luma_slice(bytes, n), &back) ==
                      LUMA_OK,
                  "binary form: %s", line);
    ck_assert_str_eq(lk_data_value_text(v, &format, arena),
                     lk_data_value_text(&back, &format, arena));
    ck_assert_int_eq(lk_data_vec_const(arena, &back, &back_vec), LUMA_OK);
    lk_data_hash(&vec, NULL, 1, false, &h1);
    lk_data_hash(&back_vec, NULL, 1, false, &h2);
    ck_assert_msg(h1 == h2, "hash: %s", line);
    key = malloc(lk_data_key_bound(&vec, 0) + 1);
    for (uint32_t flags = 0; flags < 2; flags++) {
        size_t pos = 0;
        n = lk_data_key_write(&vec, 0, flags, key);
        ck_assert_msg(n <= lk_data_key_bound(&vec, 0), "key bound: %s", line);
        ck_assert_msg(lk_data_key_read(arena, luma_slice(key, n), &pos, v->type, flags, &back) ==
                              LUMA_OK &&
                          pos == n,
                      "key: %s", line);
        ck_assert_msg(lk_data_value_compare(v, &back) == 0, "key gives another value: %s", line);
    }
    free(key);
    free(bytes);
}

static luma_rc
parse(const char *type_name, int mod, int scale, const char *text, struct luma_value *out)
{
    const struct luma_type_info *info = lk_data_type_by_name(type_name);

    ck_assert_ptr_nonnull(info);
    struct luma_type type = info->type;
    type.mod = mod < 0 ? -1 : mod;
    type.scale = (int16_t)scale;
    return lk_data_from_text(&c.ctx, arena, type, &format, luma_slice_text(text), out);
}

static luma_rc
run(char *parts[6], const char *line, struct luma_value *v)
{
    struct luma_value a = {0}, b = {0};

    if (strcmp(parts[0], "cast") == 0) {
        LUMA_TRY(parse(parts[1], atoi(parts[2]), atoi(parts[3]), parts[4], v));
        check_round_trips(v, line);
        return LUMA_OK;
    }
    LUMA_TRY(parse("numeric", -1, 0, parts[2], &a));
    *v = a;
    if (strcmp(parts[0], "fn") == 0)
        return lk_data_numeric_fn(&c.ctx, arena, (enum luma_numeric_fn)atoi(parts[1]), &a.str,
                                  &v->str);
    LUMA_TRY(parse("numeric", -1, 0, parts[3], &b));
    return lk_data_numeric_op(&c.ctx, arena, (enum luma_numeric_op)atoi(parts[1]), &a.str, &b.str,
                              &v->str);
}

START_TEST(values_are_what_postgresql_answers)
{
    format = lk_data_format_default;
    for (size_t i = 0; i < LUMA_COUNTOF(golden); i++) {
        char line[512], got[512], *parts[6] = {0};
        struct luma_value v = {0};
        snprintf(line, sizeof(line), "%s", golden[i].line);
        arena->reset(arena);
        lk_ctx_init(&c, arena);
        cut(line, parts);
        if (strcmp(parts[0], "set") == 0) {
            format.zone = lk_data_zone_find(parts[2]);
            ck_assert_ptr_nonnull(format.zone);
            continue;
        }
        if (run(parts, golden[i].line, &v) != LUMA_OK)
            snprintf(got, sizeof(got), "ERR %s", c.error.sqlstate);
        else
            snprintf(got, sizeof(got), "%s", lk_data_value_text(&v, &format, arena));
        ck_assert_msg(strcmp(got, golden[i].result) == 0, "%s: %s instead of %s", golden[i].line,
                      got, golden[i].result);
    }
}
END_TEST

/* --- order of keys --- */

static struct luma_value
random_value(struct lk_rand *r, enum luma_type_id id)
{
    struct luma_value v = {.type = luma_type(id), .phys = (uint8_t)luma_type_phys(luma_type(id))};
    static char room[8][24];
    static int next;

    switch (id) {
    case LUMA_TYPE_INT4:
        v.i32 = (int32_t)lk_rand_between(r, -3, 3) * (lk_rand_percent(r, 50) ? 1 : 1000000);
        break;
    case LUMA_TYPE_FLOAT8:
        v.f64 = (double)lk_rand_between(r, -1000, 1000) / 8;
        break;
    case LUMA_TYPE_NUMERIC:
        if (lk_rand_percent(r, 50)) {
            v.phys = LUMA_PHYS_I64;
            v.scale = (int16_t)lk_rand_below(r, 4);
            v.i64 = lk_rand_between(r, -20000, 20000);
        } else {
            if (lk_data_numeric_from_i128(arena, lk_rand_between(r, -20000, 20000),
                                          (int16_t)lk_rand_below(r, 6), &v.str) != LUMA_OK)
                abort();
        }
        break;
    default: {
        char *p = room[next++ % 8];
        uint32_t n = (uint32_t)lk_rand_below(r, 20);
        for (uint32_t i = 0; i < n; i++)
            p[i] = (char)lk_rand_below(r, 3);
        v.str = luma_str_make(p, n);
        break;
    }
    }
    return v;
}

static int
sign(int v)
{
    return (v > 0) - (v < 0);
}

START_TEST(keys_order_as_values_do)
{
    static const enum luma_type_id ids[] = {LUMA_TYPE_INT4, LUMA_TYPE_FLOAT8, LUMA_TYPE_NUMERIC,
                                            LUMA_TYPE_BYTEA};
    struct lk_rand r;

    lk_rand_init(&r, 11);
    for (int round = 0; round < 20000; round++) {
        enum luma_type_id id = ids[lk_rand_below(&r, LUMA_COUNTOF(ids))];
        struct luma_value a, b;
        uint8_t ka[256], kb[256];
        arena->reset(arena);
        a = random_value(&r, id);
        b = random_value(&r, id);
        for (uint32_t flags = 0; flags < 2; flags++) {
            size_t na = lk_data_key_write_value(&a, flags, ka);
            size_t nb = lk_data_key_write_value(&b, flags, kb);
            int order = sign(luma_slice_compare(luma_slice(ka, na), luma_slice(kb, nb)));
            int want = sign(lk_data_value_compare(&a, &b));
            ck_assert_int_eq(order, flags & LUMA_KEY_DESC ? -want : want);
        }
    }
}
END_TEST

START_TEST(equal_numbers_hash_alike_in_every_form)
{
    struct lk_rand r;

    lk_rand_init(&r, 5);
    for (int round = 0; round < 5000; round++) {
        struct luma_value narrow = {.type = luma_type(LUMA_TYPE_NUMERIC), .phys = LUMA_PHYS_I64};
        struct luma_value wide = narrow, variable = narrow;
        struct luma_vec vecs[3];
        uint64_t h[3];
        arena->reset(arena);
        narrow.i64 = lk_rand_between(&r, -100000, 100000) * 10;
        narrow.scale = (int16_t)lk_rand_below(&r, 8);
        wide.phys = LUMA_PHYS_I128;
        wide.scale = (int16_t)(narrow.scale + 5);
        wide.i128 = (luma_i128)narrow.i64 * 100000;
        variable.phys = LUMA_PHYS_STR;
        ck_assert_int_eq(lk_data_numeric_from_i128(arena, narrow.i64, narrow.scale, &variable.str),
                         LUMA_OK);
        ck_assert_int_eq(lk_data_vec_const(arena, &narrow, &vecs[0]), LUMA_OK);
        ck_assert_int_eq(lk_data_vec_const(arena, &wide, &vecs[1]), LUMA_OK);
        ck_assert_int_eq(lk_data_vec_const(arena, &variable, &vecs[2]), LUMA_OK);
        for (int k = 0; k < 3; k++)
            lk_data_hash(&vecs[k], NULL, 1, false, &h[k]);
        ck_assert(h[0] == h[1] && h[1] == h[2]);
        ck_assert_int_eq(lk_data_compare(&vecs[0], 0, &vecs[1], 0), 0);
        ck_assert_int_eq(lk_data_compare(&vecs[1], 0, &vecs[2], 0), 0);
    }
}
END_TEST

START_TEST(columns_parse_like_single_values)
{
    static const char *const texts[] = {"1",  "-12.34", "0.5", "999999.99", ".5",        "1e2",
                                        "+7", " 3",     "0",   "-0.01",     "12345678.9"};
    struct luma_slice fields[LUMA_COUNTOF(texts) + 1];
    struct luma_type type = luma_type_numeric(15, 2);
    struct luma_vec vec;
    uint32_t bad = 0;

    lk_ctx_init(&c, arena);
    for (size_t i = 0; i < LUMA_COUNTOF(texts); i++)
        fields[i] = luma_slice_text(texts[i]);
    fields[LUMA_COUNTOF(texts)] = luma_slice(NULL, 0);
    ck_assert(luma_vec_init(&vec, arena, type, LUMA_COUNTOF(fields)));
    ck_assert_int_eq(lk_data_column_from_text(&c.ctx, arena, type, NULL, fields,
                                              LUMA_COUNTOF(fields), &vec, &bad),
                     LUMA_OK);
    for (uint32_t i = 0; i < LUMA_COUNTOF(texts); i++) {
        struct luma_value one, v = lk_data_vec_value(&vec, i);
        ck_assert_int_eq(lk_data_from_text(&c.ctx, arena, type, NULL, fields[i], &one), LUMA_OK);
        ck_assert_int_eq(lk_data_value_compare(&one, &v), 0);
    }
    ck_assert(luma_vec_is_null(&vec, LUMA_COUNTOF(texts)));
    fields[3] = luma_slice_text("12x");
    ck_assert_int_ne(lk_data_column_from_text(&c.ctx, arena, type, NULL, fields,
                                              LUMA_COUNTOF(fields), &vec, &bad),
                     LUMA_OK);
    ck_assert_uint_eq(bad, 3);
    ck_assert_str_eq(c.error.sqlstate, "22P02");
}
END_TEST

START_TEST(documents_find_fields_and_refuse_damage)
{
    static const char json[] = "{\"name\":\"x\",\"n\":[1,2.50,{\"deep\":null}],\"b\":true}";
    struct luma_slice doc, found, name = luma_slice_text("n");
    struct luma_str str;
    uint8_t *copy;

    lk_ctx_init(&c, arena);
    ck_assert_int_eq(lk_data_doc_from_json(&c.ctx, arena, luma_slice(json, sizeof(json) - 1), &str),
                     LUMA_OK);
    doc = luma_str_slice(&str);
    ck_assert(lk_data_doc_valid(doc));
    ck_assert(lk_data_doc_field(doc, name, &found));
    ck_assert_uint_eq(lk_data_doc_count(found), 3);
    ck_assert(lk_data_doc_element(found, -1, &found));
    ck_assert_int_eq(lk_data_doc_kind(found), 'o');
    ck_assert(!lk_data_doc_field(doc, luma_slice_text("zz"), &found));
    /* Any flipped byte: an answer or a refusal, nothing read outside (the sanitizers watch). */
    copy = malloc(doc.bytes);
    for (size_t i = 0; i < doc.bytes; i++)
        for (int bit = 0; bit < 8; bit++) {
            memcpy(copy, doc.data, doc.bytes);
            copy[i] = (uint8_t)(copy[i] ^ 1u << bit);
            (void)lk_data_doc_valid(luma_slice(copy, doc.bytes));
            (void)lk_data_doc_field(luma_slice(copy, doc.bytes), name, &found);
        }
    free(copy);
}
END_TEST

/* Whatever the bytes: refused, or read without a step outside of them (the sanitizers watch). */
static bool
use_bytes(const struct luma_value *like, const void *data, size_t bytes)
{
    struct luma_value v = *like;
    char *exact = malloc(bytes > 0 ? bytes : 1);
    struct luma_vec vec;
    uint64_t hash;

    memcpy(exact, data, bytes);
    v.str = luma_str_make(exact, (uint32_t)bytes);
    bool valid = lk_data_value_valid(&v);
    if (valid) {
        ck_assert_int_eq(lk_data_vec_const(arena, &v, &vec), LUMA_OK);
        ck_assert_ptr_nonnull(lk_data_value_text(&v, &format, arena));
        (void)lk_data_value_compare(&v, like);
        lk_data_hash(&vec, NULL, 1, false, &hash);
        uint8_t *key = malloc(lk_data_key_bound(&vec, 0) + 1);
        ck_assert_uint_le(lk_data_key_write(&vec, 0, 0, key), lk_data_key_bound(&vec, 0));
        free(key);
    }
    free(exact);
    return valid;
}

START_TEST(values_of_a_file_are_judged_before_use)
{
    static const char *const values[][2] = {{"numeric", "-1234567.00890"},
                                            {"jsonb", "{\"a\":[1,2.5,\"x\"],\"b\":{}}"},
                                            {"int4[]", "{1,NULL,3}"},
                                            {"text[]", "{a,NULL,\"some more letters\"}"},
                                            {"numeric[]", "{1.5,-20000,NaN}"},
                                            {"jsonb[]", "{\"[1,2]\",NULL}"},
                                            {"vector", "[1,2,3]"},
                                            {"bool[]", "{t,f,NULL}"}};
    size_t refused = 0, tried = 0;

    format = lk_data_format_default;
    for (size_t i = 0; i < LUMA_COUNTOF(values); i++) {
        struct luma_value v;
        arena->reset(arena);
        ck_assert_int_eq(parse(values[i][0], -1, 0, values[i][1], &v), LUMA_OK);
        size_t bytes = v.str.bytes;
        const char *data = luma_str_data(&v.str);
        ck_assert_msg(use_bytes(&v, data, bytes), "%s", values[i][0]);
        for (size_t n = 0; n < bytes; n++, tried++)
            refused += !use_bytes(&v, data, n);
        char *copy = malloc(bytes);
        for (size_t at = 0; at < bytes * 8; at++, tried++) {
            memcpy(copy, data, bytes);
            copy[at / 8] = (char)((unsigned char)copy[at / 8] ^ 1u << at % 8);
            refused += !use_bytes(&v, copy, bytes);
        }
        free(copy);
    }
    ck_assert_uint_gt(refused, tried / 3);
    struct luma_value numbers;
    ck_assert_int_eq(parse("int4[]", -1, 0, "{1,2}", &numbers), LUMA_OK);
    numbers.type = lk_data_type_by_name("text[]")->type;
    ck_assert(!lk_data_value_valid(&numbers));
}
END_TEST

static void
setup(void)
{
    arena = lk_arena_create(NULL, 0);
    lk_ctx_init(&c, arena);
}

static void
teardown(void)
{
    lk_arena_destroy(arena);
}

int
main(void)
{
    Suite *suite = suite_create("values");
    TCase *tc = tcase_create("all");
    suite_add_tcase(suite, tc);
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, values_are_what_postgresql_answers);
    tcase_add_test(tc, keys_order_as_values_do);
    tcase_add_test(tc, equal_numbers_hash_alike_in_every_form);
    tcase_add_test(tc, columns_parse_like_single_values);
    tcase_add_test(tc, documents_find_fields_and_refuse_damage);
    tcase_add_test(tc, values_of_a_file_are_judged_before_use);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
