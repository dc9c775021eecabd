/*
 * tests/unit/sdk/test_abi.c - linked with sdk/abi/layout.c, which does not compile when a public
 * layout changed; and what the headers compute inline.
 */
#include <lumadb/batch.h>
#include <lumadb/module.h>

#include <check.h>
#include <stdlib.h>

#include "../../lib/suite.h"

struct small_table {
    struct luma_head head;
    int (*first)(void);
    int (*second)(void);
};

START_TEST(an_older_table_has_fewer_members)
{
    struct small_table t = {.head = {offsetof(struct small_table, second), 1, 0}};
    ck_assert(LUMA_HAS(&t, first));
    ck_assert(!LUMA_HAS(&t, second));
    t.head.size_bytes = sizeof(t);
    ck_assert(LUMA_HAS(&t, second));
}
END_TEST

START_TEST(strings_compare_bytewise_short_or_long)
{
    static const char *const texts[] = {
        "", "a", "ab", "abcdefghijkl", "abcdefghijklm", "abcdefghijkln", "abcdffghijkln", "b"};
    for (size_t i = 0; i < LUMA_COUNTOF(texts); i++) {
        struct luma_str a = luma_str_make(texts[i], (uint32_t)strlen(texts[i]));
        for (size_t j = 0; j < LUMA_COUNTOF(texts); j++) {
            struct luma_str b = luma_str_make(texts[j], (uint32_t)strlen(texts[j]));
            ck_assert_int_eq(luma_str_equal(&a, &b), i == j);
            ck_assert_int_eq(luma_str_compare(&a, &b) < 0, i < j);
        }
    }
}
END_TEST

START_TEST(numeric_types_take_the_narrowest_form)
{
    ck_assert_int_eq(luma_type_phys(luma_type_numeric(18, 2)), LUMA_PHYS_I64);
    ck_assert_int_eq(luma_type_phys(luma_type_numeric(19, 2)), LUMA_PHYS_I128);
    ck_assert_int_eq(luma_type_phys(luma_type_numeric(39, 2)), LUMA_PHYS_STR);
    ck_assert_int_eq(luma_type_phys(luma_type(LUMA_TYPE_NUMERIC)), LUMA_PHYS_STR);
    ck_assert_uint_eq(luma_phys_bytes(LUMA_PHYS_STR), sizeof(struct luma_str));
}
END_TEST

START_TEST(error_codes_are_negative_and_never_move)
{
    ck_assert_int_eq(LUMA_E_AUTH, -999);
    ck_assert_int_eq(LUMA_E_INTERNAL, -995);
    ck_assert_int_eq(LUMA_E_CORRUPT, LUMA_E_AUTH + 26);
    ck_assert_int_lt(LUMA_ERROR_END_, 0);
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, an_older_table_has_fewer_members);
    tcase_add_test(tc, strings_compare_bytewise_short_or_long);
    tcase_add_test(tc, numeric_types_take_the_narrowest_form);
    tcase_add_test(tc, error_codes_are_negative_and_never_move);
    return test_run("abi", tc);
}
