/* tests/unit/encoding/fsst/test_strings.c - what strings of all sorts become: words shrink, any
 * bytes come back, comparisons of codes agree with those of strings. */
#include "../../../lib/suite.h"
#include "../encoding_check.h"

#define ROWS 5000

static struct enc_column col;
static struct luma_str *strings;

static void
column_begin(void)
{
    enc_setup("fsst");
    memset(&col, 0, sizeof(col));
    ck_assert(luma_vec_init(&col.vec, enc_arena, enc_type(LUMA_PHYS_STR), ROWS));
    col.rows = ROWS;
    strings = col.vec.data;
}

static void
column_end(void)
{
    enc_free(&col);
    enc_teardown();
}

static void
put(uint32_t row, const void *data, size_t bytes)
{
    strings[row] = luma_str_make(luma_arena_copy(enc_arena, data, bytes), (uint32_t)bytes);
}

static void
encode(void)
{
    col.stats = enc_stats(&col.vec, ROWS);
    size_t bound = enc->bound(&col.vec, ROWS, &col.stats);
    col.bytes = aligned_alloc(64, (bound + 127) & ~(size_t)63);
    struct luma_buf dst = {col.bytes, bound, 0};
    ck_assert_int_eq(enc->encode(&enc_c.ctx, &col.vec, ROWS, &col.stats, enc_simd, &dst), LUMA_OK);
    col.used = dst.used_bytes;
    memset(col.bytes + col.used, 0, 16);
    ck_assert_int_eq(enc_open(&col, col.bytes, col.used), LUMA_OK);
}

static void
check_all(uint64_t seed)
{
    struct lk_rand r;
    uint16_t sel[4];
    lk_rand_init(&r, seed);
    for (uint32_t first = 0; first < ROWS; first += 1000) {
        for (uint32_t k = 0; k < 4; k++)
            sel[k] = (uint16_t)(k * 250 + lk_rand_below(&r, 250));
        enc_check_rows(&col, first, 1000, NULL, 0);
        enc_check_rows(&col, first, 1000, sel, 4);
        for (int i = 0; i < 20; i++)
            enc_check_filter(&col, &r, first, 1 + (uint32_t)lk_rand_below(&r, 1000));
    }
    for (uint32_t row = 0; row < ROWS; row += 7) {
        uint64_t single[2];
        ck_assert_int_eq(luma_enc_get(enc, &col.view, row, enc_arena, single), LUMA_OK);
        EXPECT(luma_str_equal((const struct luma_str *)(const void *)single, &strings[row]),
               "row %u", row);
    }
}

START_TEST(words_shrink)
{
    static const char *const words[] = {"carefully", "final",   "deposits", "sleep", "furiously",
                                        "regular",   "across",  "the",      "even",  "packages",
                                        "ironic",    "pending", "requests"};
    struct lk_rand r;
    uint32_t cost;
    column_begin();
    lk_rand_init(&r, 1);
    for (uint32_t i = 0; i < ROWS; i++) {
        char text[256];
        size_t n = 0;
        for (uint64_t w = lk_rand_below(&r, 9); w > 0; w--)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s ",
                                  words[lk_rand_below(&r, LUMA_COUNTOF(words))]);
        put(i, text, n);
    }
    encode();
    check_all(1);
    size_t estimate = enc->estimate(&col.vec, ROWS, &col.stats, &cost);
    ck_assert_uint_lt(col.used, col.stats.text_bytes * 35 / 100);
    ck_assert_uint_lt(estimate, col.used + col.used / 10);
    ck_assert_uint_gt(estimate, col.used - col.used / 10);
    column_end();
}
END_TEST

START_TEST(any_bytes_come_back)
{
    struct lk_rand r;
    column_begin();
    lk_rand_init(&r, 2);
    for (uint32_t i = 0; i < ROWS; i++) {
        uint8_t text[64];
        size_t n = lk_rand_below(&r, sizeof(text));
        for (size_t k = 0; k < n; k++)
            text[k] = (uint8_t)(i % 3 == 0   ? lk_rand_below(&r, 256)
                                : i % 3 == 1 ? lk_rand_below(&r, 2) * 255
                                             : lk_rand_below(&r, 3));
        put(i, text, n);
    }
    encode();
    check_all(2);
    column_end();
}
END_TEST

START_TEST(long_and_empty_strings_come_back)
{
    struct lk_rand r;
    char *text = malloc(1 << 20);
    column_begin();
    lk_rand_init(&r, 3);
    for (uint32_t i = 0; i < 1 << 20; i++)
        text[i] = (char)('a' + lk_rand_below(&r, 4));
    for (uint32_t i = 0; i < ROWS; i++)
        put(i, text, i == 77 ? 1 << 20 : i % 100 == 5 ? 3000 + i : i % 20);
    encode();
    check_all(3);
    column_end();
    free(text);
}
END_TEST

/* Strings that share most of what they have: where one ends inside a symbol of the other, and
 * where zeros follow. */
START_TEST(near_strings_are_told_apart)
{
    uint64_t bits[LUMA_BATCH_ROWS / 64];
    static const char all[] = "abcdefghabcdefghabcdefgh\0\0\0\0";
    struct luma_value value = {.phys = LUMA_PHYS_STR};
    column_begin();
    for (uint32_t i = 0; i < ROWS; i++)
        put(i, all, i % sizeof(all));
    encode();
    check_all(4);
    for (uint32_t n = 0; n <= sizeof(all); n++) {
        value.str = luma_str_make(n < sizeof(all) ? all : "abcdefgx", n < sizeof(all) ? n : 8);
        for (int op = LUMA_CMP_EQ; op <= LUMA_CMP_GE; op++) {
            ck_assert(enc->filter(&col.view, 0, 1000, (enum luma_cmp)op, &value, bits));
            for (uint32_t i = 0; i < 1000; i++)
                EXPECT(luma_bit_get(bits, i) ==
                           enc_holds((enum luma_cmp)op, luma_str_compare(&strings[i], &value.str)),
                       "%u bytes, op %d, row %u", n, op, i);
        }
    }
    column_end();
}
END_TEST

START_TEST(a_column_of_one_byte_has_no_symbols_to_spare)
{
    column_begin();
    for (uint32_t i = 0; i < ROWS; i++)
        put(i, "\377", i == 4000);
    encode();
    check_all(5);
    column_end();
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("fsst strings");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, words_shrink);
    tcase_add_test(tc, any_bytes_come_back);
    tcase_add_test(tc, long_and_empty_strings_come_back);
    tcase_add_test(tc, near_strings_are_told_apart);
    tcase_add_test(tc, a_column_of_one_byte_has_no_symbols_to_spare);
    return test_run("fsst strings", tc);
}
