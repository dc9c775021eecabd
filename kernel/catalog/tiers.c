/*
 * catalog/tiers.c - storage_tier, tier_age and tier_bytes of tables: read from their options, and
 * told to the storage when they change.
 */
#include "catalog/catalog_priv.h"
#include "config/config.h"
#include "storage/store.h"

#define VALUE_BYTES_MAX 64

/* The value of an option in "a=b,c=d". false: it is not there. */
static bool
option_find(const char *options, const char *name, struct luma_slice *out)
{
    size_t name_bytes = strlen(name);
    for (const char *p = options; p != NULL && *p != '\0';) {
        size_t bytes = strcspn(p, ",");
        if (bytes > name_bytes && p[name_bytes] == '=' && strncmp(p, name, name_bytes) == 0) {
            *out = luma_slice(p + name_bytes + 1, bytes - name_bytes - 1);
            return true;
        }
        p += bytes + (p[bytes] == ',');
    }
    return false;
}

static luma_rc
bad_value(struct luma_ctx *ctx, const char *name, struct luma_slice value, const char *expected)
{
    return LUMA_FAIL_SQL(
        ctx, LUMA_E_INVALID, "22023", "invalid value for option \"%s\": %.*s: expected %s", name,
        (int)LK_MIN(value.bytes, (size_t)VALUE_BYTES_MAX), (const char *)value.data, expected);
}

static luma_rc
tier_read(struct luma_ctx *ctx, const char *options, struct lk_tier_policy *out)
{
    struct luma_slice value;
    if (!option_find(options, "storage_tier", &value))
        return LUMA_OK;
    for (enum lk_tier tier = LK_TIER_RAM; tier <= LK_TIER_HYBRID; tier++) {
        if (luma_slice_equal(value, luma_slice_text(lk_tier_name(tier)))) {
            out->tier = tier;
            return LUMA_OK;
        }
    }
    return bad_value(ctx, "storage_tier", value, "ram, ssd or hybrid");
}

static luma_rc
limit_read(struct luma_ctx *ctx, const char *options, const char *name,
           bool (*parse)(const char *text, int64_t *out), const char *expected, int64_t *out)
{
    char text[VALUE_BYTES_MAX];
    struct luma_slice value;
    int64_t limit;
    if (!option_find(options, name, &value))
        return LUMA_OK;
    if (value.bytes >= sizeof(text))
        return bad_value(ctx, name, value, expected);
    memcpy(text, value.data, value.bytes);
    text[value.bytes] = '\0';
    if (!parse(text, &limit) || limit < 0)
        return bad_value(ctx, name, value, expected);
    *out = limit == 0 ? LK_TIER_NO_LIMIT : limit;
    return LUMA_OK;
}

luma_rc
lki_catalog_tier_read(struct luma_ctx *ctx, const char *options, struct lk_tier_policy *out)
{
    memset(out, 0, sizeof(*out));
    LUMA_TRY(tier_read(ctx, options, out));
    LUMA_TRY(limit_read(ctx, options, "tier_age", lk_conf_parse_duration,
                        "a time with its unit, such as 7d, or 0", &out->age_us));
    if (out->age_us > 0)
        out->age_us = LK_MAX(out->age_us / 1000, (int64_t)1);
    return limit_read(ctx, options, "tier_bytes", lk_conf_parse_bytes, "a size such as 10GB, or 0",
                      &out->bytes);
}

static void
tell(struct lk_store *store, const struct luma_cat_object *table)
{
    struct lk_tier_policy policy;
    struct lk_ctx c;
    lk_ctx_init(&c, NULL);
    /* What was checked when it was put may be of a newer server: then the default holds. */
    if (lki_catalog_tier_read(&c.ctx, table->options, &policy) != LUMA_OK) {
        lk_log_warn("catalog", "table \"%s\": %s", table->name, c.error.message);
        memset(&policy, 0, sizeof(policy));
    }
    lk_store_set_tier(store, table->id, &policy, table->name);
}

static bool
same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

void
lki_catalog_tiers_follow(const struct luma_cat_view *old, const struct luma_cat_view *view)
{
    struct lk_store *store = lk_store_current();
    size_t k = 0, olds = old == NULL ? 0 : old->entries_count;
    for (size_t i = 0; store != NULL && i < view->entries_count; i++) {
        const struct luma_cat_object *object = &view->entries[i]->object, *before = NULL;
        while (k < olds && old->entries[k]->object.id < object->id)
            k++;
        if (k < olds && old->entries[k]->object.id == object->id)
            before = &old->entries[k]->object;
        if (object->kind != LUMA_CAT_TABLE || before == object)
            continue;
        if (before == NULL ? object->options != NULL
                           : !same_text(before->options, object->options) ||
                                 !same_text(before->name, object->name))
            tell(store, object);
    }
}
