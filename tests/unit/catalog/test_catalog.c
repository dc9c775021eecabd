/*
 * test_catalog.c - bodies, views and rights of the catalogue, without a store.
 */
#include <lumadb/host/data.h>

#include <check.h>
#include <stdio.h>

#include "../../lib/suite.h"
#include "catalog/catalog_priv.h"

static struct luma_cat_object
sample_table(uint64_t id, const char *name)
{
    static struct luma_cat_column cols[2];
    static struct luma_store_index_col key[1] = {{.col_id = 1, .flags = LUMA_KEY_DESC}};
    static struct luma_cat_index indexes[1];
    static struct luma_cat_constraint cons[1];
    static const uint32_t con_cols[1] = {1};
    static const struct luma_cat_grant grants[2] = {
        {.role_id = 50, .rights = LUMA_RIGHT_SELECT},
        {.role_id = 51, .rights = LUMA_RIGHT_SELECT, .col_id = 2}};

    cols[0] = (struct luma_cat_column){.id = 1,
                                       .name = "k",
                                       .type = luma_type(LUMA_TYPE_INT8),
                                       .not_null = true,
                                       .missing = {.is_null = true}};
    cols[1] = (struct luma_cat_column){
        .id = 2,
        .name = "v",
        .type = luma_type(LUMA_TYPE_TEXT),
        .default_sql = "'x'",
        .missing = {.type = luma_type(LUMA_TYPE_TEXT),
                    .phys = LUMA_PHYS_STR,
                    .str = luma_str_make("a value longer than inline", 26)}};
    indexes[0] = (struct luma_cat_index){.id = id + 1,
                                         .name = "t_pkey",
                                         .kind = "btree",
                                         .unique = true,
                                         .primary = true,
                                         .cols_count = 1,
                                         .cols = key};
    cons[0] = (struct luma_cat_constraint){.id = id + 2,
                                           .name = "t_pkey",
                                           .index_id = id + 1,
                                           .kind = LUMA_CONSTRAINT_PRIMARY,
                                           .cols_count = 1,
                                           .cols = con_cols};
    return (struct luma_cat_object){.id = id,
                                    .kind = LUMA_CAT_TABLE,
                                    .name = name,
                                    .schema_id = LUMA_CAT_ID_PUBLIC,
                                    .owner_id = 49,
                                    .cols_count = 2,
                                    .cols = cols,
                                    .col_id_next = 3,
                                    .indexes_count = 1,
                                    .indexes = indexes,
                                    .constraints_count = 1,
                                    .constraints = cons,
                                    .grants_count = 2,
                                    .grants = grants,
                                    .options = "fillfactor=90"};
}

static struct lki_catalog_entry *
entry_of(const struct luma_cat_object *object)
{
    struct lk_ctx lc;
    struct lk_bytes body;
    struct lki_catalog_entry *entry = NULL;

    lk_ctx_init(&lc, NULL);
    lk_bytes_init(&body, NULL);
    ck_assert(lki_catalog_body_write(&body, object));
    ck_assert_int_eq(lki_catalog_entry_create(&lc.ctx, lk_bytes_view(&body), 7, &entry), LUMA_OK);
    lk_bytes_fini(&body);
    return entry;
}

START_TEST(body_keeps_everything)
{
    struct luma_cat_object table = sample_table(20000, "t");
    struct lki_catalog_entry *entry = entry_of(&table);
    const struct luma_cat_object *o = &entry->object;

    ck_assert_uint_eq(o->id, 20000);
    ck_assert_str_eq(o->name, "t");
    ck_assert_uint_eq(o->cols_count, 2);
    ck_assert_str_eq(o->cols[1].default_sql, "'x'");
    ck_assert(o->cols[0].missing.is_null);
    ck_assert(luma_str_equal(&o->cols[1].missing.str, &table.cols[1].missing.str));
    ck_assert_uint_eq(o->indexes[0].cols[0].flags, LUMA_KEY_DESC);
    ck_assert(o->indexes[0].unique && o->indexes[0].primary);
    ck_assert_int_eq(o->constraints[0].kind, LUMA_CONSTRAINT_PRIMARY);
    ck_assert_str_eq(o->options, "fillfactor=90");
    ck_assert_uint_eq(o->grants[1].col_id, 2);
    lki_catalog_entry_unref(entry);
}
END_TEST

START_TEST(damaged_bodies_are_refused)
{
    struct luma_cat_object table = sample_table(20000, "t");
    struct lk_bytes body;
    struct lk_ctx lc;

    lk_bytes_init(&body, NULL);
    ck_assert(lki_catalog_body_write(&body, &table));
    for (size_t n = 0; n < body.bytes; n++) {
        struct lki_catalog_entry *entry = NULL;
        lk_ctx_init(&lc, NULL);
        ck_assert_int_eq(lki_catalog_entry_create(&lc.ctx, luma_slice(body.data, n), 1, &entry),
                         LUMA_E_CORRUPT);
    }
    for (size_t n = 0; n < body.bytes * 8; n++) {
        struct lki_catalog_entry *entry = NULL;
        body.data[n / 8] ^= (uint8_t)(1u << (n % 8));
        lk_ctx_init(&lc, NULL);
        if (lki_catalog_entry_create(&lc.ctx, lk_bytes_view(&body), 1, &entry) == LUMA_OK)
            lki_catalog_entry_unref(entry); /* another valid object: checksums are storage's */
        body.data[n / 8] ^= (uint8_t)(1u << (n % 8));
    }
    lk_bytes_fini(&body);
}
END_TEST

START_TEST(views_find_by_id_and_name)
{
    struct luma_cat_view *view = lki_catalog_view_create();
    struct lk_ctx lc;
    char name[16];

    lk_ctx_init(&lc, NULL);
    for (uint64_t i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "t%03u", (unsigned)(i * 7 % 500));
        struct luma_cat_object table = sample_table(20000 + i * 3, name);
        struct luma_cat_index index = table.indexes[0];
        char index_name[24];
        snprintf(index_name, sizeof(index_name), "%s_pkey", name);
        index.name = index_name;
        table.indexes = &index;
        ck_assert_int_eq(lki_catalog_view_put(&lc.ctx, view, entry_of(&table)), LUMA_OK);
    }
    for (uint64_t i = 0; i < 500; i += 2)
        lki_catalog_view_remove(view, 20000 + i * 3);
    for (uint64_t i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "t%03u", (unsigned)(i * 7 % 500));
        const struct luma_cat_object *o =
            lki_catalog_view_named(view, LUMA_CAT_VIEW, LUMA_CAT_ID_PUBLIC, name);
        ck_assert((o != NULL) == (i % 2 == 1));
        ck_assert((lki_catalog_view_find(view, 20000 + i * 3) != NULL) == (i % 2 == 1));
        strcat(name, "_pkey");
        o = lki_catalog_view_named(view, LUMA_CAT_INDEX, LUMA_CAT_ID_PUBLIC, name);
        ck_assert((o != NULL) == (i % 2 == 1));
        if (o != NULL)
            ck_assert_uint_eq(o->table_id, 20000 + i * 3);
    }
    ck_assert_ptr_null(
        lki_catalog_view_named(view, LUMA_CAT_TABLE, LUMA_CAT_ID_PG_CATALOG, "t007"));
    lki_catalog_view_unref(view);
}
END_TEST

START_TEST(a_copy_does_not_follow_its_origin)
{
    struct luma_cat_view *view = lki_catalog_view_create();
    struct luma_cat_object table = sample_table(20000, "t");
    struct lk_ctx lc;

    lk_ctx_init(&lc, NULL);
    ck_assert_int_eq(lki_catalog_view_put(&lc.ctx, view, entry_of(&table)), LUMA_OK);
    struct luma_cat_view *copy = lki_catalog_view_copy(view);
    lki_catalog_view_remove(copy, 20000);
    ck_assert_ptr_nonnull(lki_catalog_view_find(view, 20000));
    ck_assert_ptr_null(lki_catalog_view_find(copy, 20000));
    ck_assert_ptr_null(lki_catalog_view_find(copy, 20001));
    lki_catalog_view_unref(view);
    lki_catalog_view_unref(copy);
}
END_TEST

START_TEST(rights_add_up)
{
    struct luma_cat_view *view = lki_catalog_view_create();
    struct luma_cat_object table = sample_table(20000, "t");
    static const uint64_t member_of[1] = {50};
    struct luma_cat_object member = {.id = 60,
                                     .kind = LUMA_CAT_ROLE,
                                     .name = "m",
                                     .members_of_count = 1,
                                     .members_of = member_of};
    struct luma_cat_object super = {
        .id = 61, .kind = LUMA_CAT_ROLE, .name = "s", .superuser = true};
    struct lk_ctx lc;

    lk_ctx_init(&lc, NULL);
    ck_assert_int_eq(lki_catalog_view_put(&lc.ctx, view, entry_of(&table)), LUMA_OK);
    ck_assert_int_eq(lki_catalog_view_put(&lc.ctx, view, entry_of(&member)), LUMA_OK);
    ck_assert_int_eq(lki_catalog_view_put(&lc.ctx, view, entry_of(&super)), LUMA_OK);

    ck_assert(lki_catalog_may(view, 49, &table, 0, LUMA_RIGHT_DELETE)); /* the owner */
    ck_assert(lki_catalog_may(view, 61, &table, 0, LUMA_RIGHT_DELETE));
    ck_assert(lki_catalog_may(view, 60, &table, 1, LUMA_RIGHT_SELECT)); /* through its role */
    ck_assert(!lki_catalog_may(view, 60, &table, 0, LUMA_RIGHT_INSERT));
    ck_assert(lki_catalog_may(view, 51, &table, 2, LUMA_RIGHT_SELECT)); /* one column */
    ck_assert(!lki_catalog_may(view, 51, &table, 1, LUMA_RIGHT_SELECT));
    ck_assert(!lki_catalog_may(view, 51, &table, 0, LUMA_RIGHT_SELECT));
    ck_assert_int_eq(lki_catalog_check_role(&lc.ctx, view, 51, &table, 0, LUMA_RIGHT_SELECT),
                     LUMA_E_DENIED);
    ck_assert_str_eq(lc.error.message, "permission denied for table t");
    lki_catalog_view_unref(view);
}
END_TEST

int
main(void)
{
    TCase *tc = tcase_create("catalog");

    tcase_add_test(tc, body_keeps_everything);
    tcase_add_test(tc, damaged_bodies_are_refused);
    tcase_add_test(tc, views_find_by_id_and_name);
    tcase_add_test(tc, a_copy_does_not_follow_its_origin);
    tcase_add_test(tc, rights_add_up);

    return test_run("catalog", tc);
}
