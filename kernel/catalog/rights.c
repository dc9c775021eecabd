/*
 * catalog/rights.c - may this role do that?
 *
 * A role holds what is granted to it, to PUBLIC, and to the roles it is a member of. Owners and
 * superusers hold everything. A right on an object covers its columns; rights on columns add up.
 */
#include "catalog/catalog_priv.h"

/* Chains of membership longer than this are not followed (and PostgreSQL refuses cycles anyway). */
#define ROLES_MAX 256

struct role_set {
    uint64_t ids[ROLES_MAX];
    uint32_t count;
    bool superuser;
};

static bool
set_has(const struct role_set *set, uint64_t id)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (set->ids[i] == id)
            return true;
    return false;
}

/* The role and all it is a member of, each once. */
static void
collect_roles(const struct luma_cat_view *view, uint64_t role_id, struct role_set *out)
{
    out->count = 0;
    out->superuser = false;
    out->ids[out->count++] = role_id;
    for (uint32_t i = 0; i < out->count; i++) {
        const struct lki_catalog_entry *entry = lki_catalog_view_find(view, out->ids[i]);
        if (entry == NULL)
            continue;
        const struct luma_cat_object *role = &entry->object;
        if (i == 0)
            out->superuser = role->superuser;
        for (uint32_t m = 0; m < role->members_of_count && out->count < ROLES_MAX; m++)
            if (!set_has(out, role->members_of[m]))
                out->ids[out->count++] = role->members_of[m];
    }
}

static const char *
kind_name(enum luma_cat_kind kind)
{
    switch (kind) {
    case LUMA_CAT_DATABASE:
        return "database";
    case LUMA_CAT_SCHEMA:
        return "schema";
    case LUMA_CAT_TABLE:
        return "table";
    case LUMA_CAT_VIEW:
        return "view";
    case LUMA_CAT_INDEX:
        return "index";
    case LUMA_CAT_SEQUENCE:
        return "sequence";
    case LUMA_CAT_ROLE:
        return "role";
    case LUMA_CAT_FUNCTION:
        return "function";
    case LUMA_CAT_TYPE:
        return "type";
    }
    return "object";
}

static uint32_t
granted(const struct role_set *roles, const struct luma_cat_object *object, uint32_t col_id)
{
    uint32_t rights = 0;
    for (uint32_t i = 0; i < object->grants_count; i++) {
        const struct luma_cat_grant *grant = &object->grants[i];
        bool to_us = grant->role_id == 0 || set_has(roles, grant->role_id);
        bool covers = grant->col_id == 0 || (col_id != 0 && grant->col_id == col_id);
        if (to_us && covers)
            rights |= grant->rights;
    }
    return rights;
}

bool
lki_catalog_may(const struct luma_cat_view *view, uint64_t role_id,
                const struct luma_cat_object *object, uint32_t col_id, uint32_t rights)
{
    struct role_set roles;

    collect_roles(view, role_id, &roles);
    return roles.superuser || set_has(&roles, object->owner_id) ||
           (granted(&roles, object, col_id) & rights) == rights;
}

luma_rc
lki_catalog_check_role(struct luma_ctx *ctx, const struct luma_cat_view *view, uint64_t role_id,
                       const struct luma_cat_object *object, uint32_t col_id, uint32_t rights)
{
    if (lki_catalog_may(view, role_id, object, col_id, rights))
        return LUMA_OK;
    return LUMA_FAIL(ctx, LUMA_E_DENIED, "permission denied for %s %s", kind_name(object->kind),
                     object->name);
}
