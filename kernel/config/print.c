/* config/print.c - what holds and why, and the commented files of conf.d. */
#include "config/config_priv.h"

#define COMMENT_COLUMNS 96

bool
lk_conf_print_section(const struct lk_conf *conf, const char *section, struct lk_bytes *out)
{
    const struct lki_section *s = conf->sections;
    while (s != NULL && strcmp(s->name, section) != 0)
        s = s->next;
    bool ok = true;
    if (s == NULL)
        return ok;
    if (s->flags & LK_CONF_MODULE)
        ok = lk_bytes_printf(out, "enabled = %s  # %s\n",
                             lk_conf_enabled(conf, section) ? "true" : "false",
                             lk_conf_origin(conf, section, "enabled"));
    for (const struct luma_conf_item *it = s->items; ok && it != NULL && it->type != 0; it++) {
        if (it->sdef == NULL &&
            (it->type == LUMA_CONF_TYPE_TEXT || it->type == LUMA_CONF_TYPE_PATH) &&
            *(const char *const *)((const uint8_t *)s->values + it->offset) == NULL)
            ok = lk_bytes_printf(out, "# %s is not set\n", it->name);
        else
            ok = lk_bytes_printf(out, "%s = ", it->name) && lki_print_value(out, it, s->values) &&
                 lk_bytes_printf(out, "  # %s\n", lk_conf_origin(conf, section, it->name));
    }
    return ok;
}

bool
lk_conf_print(const struct lk_conf *conf, struct lk_bytes *out)
{
    bool ok = true;
    for (const struct lki_section *s = conf->sections; ok && s != NULL; s = s->next) {
        if (s->flags & LK_CONF_ABSENT)
            continue;
        ok = lk_bytes_printf(out, "%s[%s]\n", out->bytes == 0 ? "" : "\n", s->name) &&
             lk_conf_print_section(conf, s->name, out);
    }
    return ok;
}

/* Words of text as comment lines. */
static bool
print_comment(struct lk_bytes *out, const char *text)
{
    size_t column = 0;
    bool ok = true;
    while (ok && *text != '\0') {
        size_t word = strcspn(text, " ");
        if (column > 0 && column + 1 + word > COMMENT_COLUMNS) {
            ok = lk_bytes_text(out, "\n");
            column = 0;
        }
        ok = ok && lk_bytes_text(out, column == 0 ? "# " : " ") && lk_bytes_append(out, text, word);
        column += word + (column == 0 ? 2 : 1);
        text += word + strspn(text + word, " ");
    }
    return ok && lk_bytes_text(out, "\n");
}

static bool
print_item(struct lk_bytes *out, const struct luma_conf_item *item)
{
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    uint8_t *values = arena == NULL ? NULL : luma_arena_zalloc(arena, item->offset + 64);
    bool ok = values != NULL && lki_fill_default(arena, item, values) == LUMA_OK;
    if (ok) {
        const char *range = lki_range_text(arena, item), *help = item->help ? item->help : "";
        const char *text = lk_arena_printf(
            arena, "%s%s%s%s%s%s%s", help, help[0] != '\0' ? "." : "",
            range[0] != '\0' || item->unit != NULL ? " (" : "", range,
            range[0] != '\0' && item->unit != NULL ? " " : "", item->unit ? item->unit : "",
            range[0] != '\0' || item->unit != NULL ? ")" : "");
        const char *reload =
            (item->flags & LUMA_CONF_RELOAD) ? " A reload changes it while running." : "";
        ok = lk_bytes_text(out, "\n") &&
             print_comment(out, lk_arena_printf(arena, "%s%s", text, reload)) &&
             lk_bytes_printf(out, "#%s = ", item->name) && lki_print_value(out, item, values) &&
             lk_bytes_text(out, "\n");
    }
    lk_arena_destroy(arena);
    return ok;
}

bool
lk_conf_template(const char *kind, const char *name, const char *summary, const char *section,
                 const struct luma_conf_item *items, struct lk_bytes *out)
{
    bool ok = lk_bytes_printf(out, "# %s-%s: %s\n", kind, name, summary) &&
              lk_bytes_text(out, "# The module is loaded because this file is here.\n") &&
              lk_bytes_printf(out, "\n[%s]\n", section) &&
              lk_bytes_text(out, "# false does without the module although this file is here.\n"
                                 "#enabled = true\n");
    for (const struct luma_conf_item *it = items; ok && it != NULL && it->type != 0; it++)
        ok = print_item(out, it);
    return ok;
}

static const char *
type_name(enum luma_conf_type type)
{
    static const char *const names[] = {"",         "true/false", "number", "number", "size",
                                        "duration", "text",       "path",   "word",   "list"};
    return (unsigned)type < LUMA_COUNTOF(names) ? names[type] : "";
}

static bool
reference_item(struct lk_bytes *out, const struct luma_conf_item *item)
{
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    uint8_t *values = arena == NULL ? NULL : luma_arena_zalloc(arena, item->offset + 64);
    bool ok = values != NULL && lki_fill_default(arena, item, values) == LUMA_OK;
    bool is_text = item->type == LUMA_CONF_TYPE_TEXT || item->type == LUMA_CONF_TYPE_PATH;
    if (ok) {
        const char *range = item->type == LUMA_CONF_TYPE_ENUM ? "" : lki_range_text(arena, item);
        ok = lk_bytes_printf(out, "| `%s` | %s%s%s%s%s", item->name, type_name(item->type),
                             item->unit == NULL ? "" : ", ", item->unit == NULL ? "" : item->unit,
                             range[0] == '\0' ? "" : ", ", range);
        if (item->type == LUMA_CONF_TYPE_ENUM) { /* a bar would end the cell */
            ok = ok && lk_bytes_text(out, ": ");
            for (const char *p = item->values; ok && *p != '\0'; p++)
                ok = *p == '|' ? lk_bytes_text(out, ", ") : lk_bytes_u8(out, (uint8_t)*p);
        }
        ok = ok && lk_bytes_text(out, " | ");
        if (ok && is_text && item->sdef == NULL)
            ok = lk_bytes_text(out, "not set");
        else
            ok = ok && lk_bytes_text(out, "`") && lki_print_value(out, item, values) &&
                 lk_bytes_text(out, "`");
        ok = ok && lk_bytes_printf(out, " | %s%s |\n", item->help == NULL ? "" : item->help,
                                   (item->flags & LUMA_CONF_RELOAD) ? " (reload)" : "");
    }
    lk_arena_destroy(arena);
    return ok;
}

bool
lk_conf_reference(const struct lk_conf *conf, struct lk_bytes *out)
{
    bool ok = true;
    for (const struct lki_section *s = conf->sections; ok && s != NULL; s = s->next) {
        if ((s->flags & LK_CONF_ABSENT) || s->items == NULL)
            continue;
        ok = lk_bytes_printf(out,
                             "%s### [%s]\n\n| key | type | default | meaning |\n"
                             "| --- | --- | --- | --- |\n",
                             out->bytes == 0 ? "" : "\n", s->name);
        for (const struct luma_conf_item *it = s->items; ok && it->type != 0; it++)
            ok = reference_item(out, it);
    }
    return ok;
}
