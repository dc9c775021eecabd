/* config/config_priv.h - shared by the parsers and the checker. */
#ifndef LK_CONFIG_CONFIG_PRIV_H
#define LK_CONFIG_CONFIG_PRIV_H

#include "config/config.h"

struct lki_section {
    struct lki_section *next;
    const char *name;
    const struct luma_conf_item *items;
    size_t bytes;
    uint32_t flags;
    void *values;
};

struct lk_conf {
    struct luma_arena *arena;
    struct lk_conf_doc *docs; /* the one that wins first */
    struct lki_section *sections, *sections_last;
    struct lk_conf_problem *problems, *problems_last;
};

/* --- documents --- */
LUMA_NODISCARD luma_rc lki_doc_add(struct luma_arena *arena, struct lk_conf_doc *doc,
                                   const char *path, const struct lk_conf_value *value, int line);
LUMA_NODISCARD luma_rc lki_doc_add_table(struct luma_arena *arena, struct lk_conf_doc *doc,
                                         const char *path, int line);
bool lki_key_is_plain(const char *key, size_t bytes);
/* a.b, or b when a is empty. */
const char *lki_join(struct luma_arena *arena, const char *a, const char *b);
/* Sets kind and number of a scalar written without quotes; false: it is none of bool, int, float.
 */
bool lki_scalar(const char *text, struct lk_conf_value *out_value);
/* The comma separated text of a list. */
LUMA_NODISCARD luma_rc lki_list_text(struct luma_arena *arena, struct lk_conf_value *value);
/* One TOML value that takes all of text; false: it is none. */
bool lki_toml_value(struct luma_arena *arena, const char *text, struct lk_conf_value *out_value);
bool lki_utf8_valid(struct luma_slice text, size_t *out_offset);

/* --- values --- */
/* Stores value in the struct; false: *out_why says what was expected. */
bool lki_fill(struct luma_arena *arena, const struct luma_conf_item *item,
              const struct lk_conf_entry *entry, const struct lk_conf_doc *doc, void *values,
              const char **out_why);
LUMA_NODISCARD luma_rc lki_fill_default(struct luma_arena *arena, const struct luma_conf_item *item,
                                        void *values);
/* "1 .. 65535", "one of a, b", "" */
const char *lki_range_text(struct luma_arena *arena, const struct luma_conf_item *item);
bool lki_print_value(struct lk_bytes *out, const struct luma_conf_item *item, const void *values);
bool lki_print_bytes(struct lk_bytes *out, int64_t bytes);
bool lki_print_duration(struct lk_bytes *out, int64_t ns);

/* Effective entry of "section.key": NULL when nobody sets it. */
const struct lk_conf_entry *lki_find(const struct lk_conf *conf, const char *section,
                                     const char *key, const struct lk_conf_doc **out_doc);

#endif
