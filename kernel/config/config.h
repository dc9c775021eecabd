/*
 * config/config.h - configuration: files become documents, schemas make sections of them, and what
 * holds in the end is known with its origin.
 *
 * Order, later ones win: defaults < conf.d < config.toml < --set. Every problem is found, not only
 * the first, and names file, line and key. A loaded configuration is immutable: a reload makes a
 * new one.
 *
 * Threads: one; the structs handed to others are read-only.
 */
#ifndef LK_CONFIG_CONFIG_H
#define LK_CONFIG_CONFIG_H

#include <lumadb/conf.h>

#include "base/base.h"

#define LK_CONF_FILE_BYTES_MAX ((size_t)4 << 20)

enum lk_conf_kind {
    LK_CONF_STR = 0,
    LK_CONF_INT,
    LK_CONF_FLOAT,
    LK_CONF_BOOL,
    LK_CONF_LIST /* of scalars, kept as text */
};

struct lk_conf_value {
    enum lk_conf_kind kind;
    const char *text; /* STR: the content; others: as written; LIST: comma separated */
    int64_t i;
    double f;
    bool b;
    const char *const *items;
    size_t items_count;
};

/* One key of a document. */
struct lk_conf_entry {
    struct lk_conf_entry *next;
    const char *path; /* "postgres.port" */
    struct lk_conf_value value;
    int line;
};

/* One table header ([postgres]) of a document. */
struct lk_conf_table {
    struct lk_conf_table *next;
    const char *path;
    int line;
};

enum lk_conf_source { LK_CONF_FROM_CONF_D = 0, LK_CONF_FROM_FILE = 1, LK_CONF_FROM_SET = 2 };

struct lk_conf_doc {
    struct lk_conf_doc *next;
    enum lk_conf_source source;
    const char *file; /* as messages name it; "--set" */
    const char *dir;  /* relative paths start here; "" for the working folder */
    struct lk_conf_entry *entries, *entries_last; /* in order of the text */
    struct lk_conf_table *tables, *tables_last;
};

/*
 * Parse a TOML 1.0 document: everything but dates, arrays of tables, and keys with other characters
 * than A-Z a-z 0-9 _ -, which no configuration of ours uses and which are refused by name.
 *
 * Owns:    text is borrowed; the document lives in arena.
 * Errors:  LUMA_E_CONFIG, the message begins with "file:line: ".
 */
LUMA_NODISCARD luma_rc lk_conf_parse_toml(struct luma_ctx *ctx, struct luma_arena *arena,
                                          const char *file, struct luma_slice text,
                                          struct lk_conf_doc **out_doc);

/* The same content as YAML: mappings of mappings and scalars, lists of scalars. No anchors, tags or
 * second documents. */
LUMA_NODISCARD luma_rc lk_conf_parse_yaml(struct luma_ctx *ctx, struct luma_arena *arena,
                                          const char *file, struct luma_slice text,
                                          struct lk_conf_doc **out_doc);

/* "section.key=value"; the value is TOML, or text when it is not. Adds to doc. */
LUMA_NODISCARD luma_rc lk_conf_parse_set(struct luma_ctx *ctx, struct luma_arena *arena,
                                         const char *assignment, struct lk_conf_doc *doc);

/* --- a configuration --- */

struct lk_conf;

enum lk_conf_section_flags {
    LK_CONF_MODULE = 1, /* has `enabled` besides its items */
    LK_CONF_ABSENT = 2  /* belongs to a module that is not here: its keys are not looked at */
};

struct lk_conf *lk_conf_create(void); /* NULL: out of memory */
void lk_conf_destroy(struct lk_conf *conf);
struct luma_arena *lk_conf_arena(struct lk_conf *conf); /* lives as long as it does */

/* An empty document in conf's arena, not yet added. */
struct lk_conf_doc *lk_conf_doc_create(struct luma_arena *arena, enum lk_conf_source source,
                                       const char *file);
void lk_conf_add_doc(struct lk_conf *conf, struct lk_conf_doc *doc);

/* items NULL: no keys of its own. items are kept as long as the configuration lives. A name that is
 * known already keeps its first items, unless those were LK_CONF_ABSENT. */
LUMA_NODISCARD luma_rc lk_conf_add_section(struct lk_conf *conf, const char *name,
                                           const struct luma_conf_item *items, size_t bytes,
                                           uint32_t flags);

/* A text key before schemas are known; relative paths start at the file that sets it. NULL: not
 * set. */
const char *lk_conf_peek_path(struct lk_conf *conf, const char *section, const char *key);

/* Effective `enabled` of a section; true when nobody sets it. */
bool lk_conf_enabled(const struct lk_conf *conf, const char *section);

/*
 * Check every key against the sections and fill their structs.
 *
 * Errors:  LUMA_E_CONFIG: the first problem is in ctx, all of them are listed by lk_conf_problems.
 */
LUMA_NODISCARD luma_rc lk_conf_resolve(struct luma_ctx *ctx, struct lk_conf *conf);

struct lk_conf_problem {
    struct lk_conf_problem *next;
    enum luma_log_level level; /* ERROR: it does not start; WARN; INFO */
    const char *text;
};
const struct lk_conf_problem *lk_conf_problems(const struct lk_conf *conf);

/* The filled struct of a section; NULL: no such section, or it has none. */
const void *lk_conf_values(const struct lk_conf *conf, const char *section);

/* "config.toml:12", "--set", "default"; in conf's arena. */
const char *lk_conf_origin(const struct lk_conf *conf, const char *section, const char *key);

/* Effective settings as TOML with the origin of each in a comment. */
bool lk_conf_print(const struct lk_conf *conf, struct lk_bytes *out);
/* One section's "key = value" lines with origins. */
bool lk_conf_print_section(const struct lk_conf *conf, const char *section, struct lk_bytes *out);

/* All sections with their keys as Markdown tables: the reference in docs/configuration.md. */
bool lk_conf_reference(const struct lk_conf *conf, struct lk_bytes *out);

/* The conf.d file of a module: every key commented out, with default, range and help. */
bool lk_conf_template(const char *kind, const char *name, const char *summary, const char *section,
                      const struct luma_conf_item *items, struct lk_bytes *out);

/*
 * What a reload changes: old and new values of one section, which has the same items. Keys that may
 * not change while running keep the old value in the new struct, and fn(arg, key, false) says so;
 * fn(arg, key, true) names those that take effect. True when any does.
 */
bool lk_conf_compare(const struct luma_conf_item *items, const void *old_values, void *new_values,
                     void (*fn)(void *arg, const char *key, bool applied), void *arg);

/* "64MB", "1 GiB", "4096" -> bytes; kB, MB, GB, TB are powers of 1024, as PostgreSQL's are. */
bool lk_conf_parse_bytes(const char *text, int64_t *out_bytes);
/* "30s", "200ms", "1h", "1.5 min" -> nanoseconds; "0" needs no unit. */
bool lk_conf_parse_duration(const char *text, int64_t *out_ns);

#endif
