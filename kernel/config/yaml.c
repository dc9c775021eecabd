/* config/yaml.c - the same documents out of YAML, through libyaml's events. */
#include <stdio.h>
#include <yaml.h>

#include "config/config_priv.h"

#define DEPTH_MAX 32

struct reader {
    struct luma_ctx *ctx;
    struct luma_arena *arena;
    struct lk_conf_doc *doc;
    const char *file;
    yaml_parser_t yaml;
    yaml_event_t event; /* the current one */
    bool has_event;
    struct lk_map seen; /* paths of keys and sections */
};

static int
line_of(const struct reader *r)
{
    return (int)r->event.start_mark.line + 1;
}

static luma_rc yaml_fail(struct reader *r, int line, const char *fmt, ...) LUMA_PRINTF(3, 4);

static luma_rc
yaml_fail(struct reader *r, int line, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return LUMA_FAIL(r->ctx, LUMA_E_CONFIG, "%s:%d: %s", r->file, line, text);
}

static luma_rc
next_event(struct reader *r)
{
    if (r->has_event)
        yaml_event_delete(&r->event);
    r->has_event = false;
    if (!yaml_parser_parse(&r->yaml, &r->event))
        return yaml_fail(r, (int)r->yaml.problem_mark.line + 1, "%s",
                         r->yaml.problem == NULL ? "not YAML" : r->yaml.problem);
    r->has_event = true;
    if (r->event.type == YAML_ALIAS_EVENT)
        return yaml_fail(r, line_of(r), "aliases are not used in configuration");
    const yaml_char_t *anchor = r->event.type == YAML_SCALAR_EVENT ? r->event.data.scalar.anchor
                                : r->event.type == YAML_MAPPING_START_EVENT
                                    ? r->event.data.mapping_start.anchor
                                    : NULL;
    const yaml_char_t *tag = r->event.type == YAML_SCALAR_EVENT ? r->event.data.scalar.tag
                             : r->event.type == YAML_MAPPING_START_EVENT
                                 ? r->event.data.mapping_start.tag
                                 : NULL;
    if (anchor != NULL || tag != NULL)
        return yaml_fail(r, line_of(r), "anchors and tags are not used in configuration");
    return LUMA_OK;
}

/* Text of the current scalar; quoted ones are text whatever they look like. */
static luma_rc
scalar_value(struct reader *r, struct lk_conf_value *out_value)
{
    const char *raw = (const char *)r->event.data.scalar.value;
    size_t bytes = r->event.data.scalar.length;
    if (memchr(raw, '\0', bytes) != NULL)
        return yaml_fail(r, line_of(r), "a NUL character in a value");
    char *text = luma_arena_text(r->arena, raw, bytes);
    if (text == NULL)
        return yaml_fail(r, line_of(r), "out of memory");
    bool plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (!plain || !lki_scalar(text, out_value))
        *out_value = (struct lk_conf_value){.kind = LK_CONF_STR, .text = text};
    return LUMA_OK;
}

static luma_rc
read_list(struct reader *r, struct lk_conf_value *out_value)
{
    const char *items[256];
    size_t count = 0;
    for (;;) {
        LUMA_TRY(next_event(r));
        if (r->event.type == YAML_SEQUENCE_END_EVENT)
            break;
        if (r->event.type != YAML_SCALAR_EVENT)
            return yaml_fail(r, line_of(r), "lists here hold plain values only");
        if (count == LUMA_COUNTOF(items))
            return yaml_fail(r, line_of(r), "more than %zu values in a list", LUMA_COUNTOF(items));
        struct lk_conf_value item;
        LUMA_TRY(scalar_value(r, &item));
        items[count++] = item.text;
    }
    *out_value = (struct lk_conf_value){.kind = LK_CONF_LIST, .items_count = count};
    const char **copy = LUMA_NEW_ARRAY(r->arena, const char *, count + 1);
    if (copy == NULL)
        return yaml_fail(r, line_of(r), "out of memory");
    memcpy(copy, items, count * sizeof(*copy));
    out_value->items = copy;
    if (lki_list_text(r->arena, out_value) != LUMA_OK)
        return yaml_fail(r, line_of(r), "out of memory");
    return LUMA_OK;
}

static luma_rc
read_key(struct reader *r, const char *base, const char **out_path)
{
    if (r->event.type != YAML_SCALAR_EVENT)
        return yaml_fail(r, line_of(r), "a key must be plain text");
    const char *key = (const char *)r->event.data.scalar.value;
    if (strlen(key) != r->event.data.scalar.length || !lki_key_is_plain(key, strlen(key)))
        return yaml_fail(r, line_of(r), "no key has a name like \"%.60s\"", key);
    const char *path = lki_join(r->arena, base, key);
    void *old = NULL;
    if (path == NULL || lk_map_put(&r->seen, luma_slice_text(path), r, &old) != LUMA_OK)
        return yaml_fail(r, line_of(r), "out of memory");
    if (old != NULL)
        return yaml_fail(r, line_of(r), "\"%s\" is set twice", path);
    *out_path = path;
    return LUMA_OK;
}

/* Behind the start of a mapping, up to and with its end. */
static luma_rc
read_mapping(struct reader *r, const char *base, int depth)
{
    if (depth > DEPTH_MAX)
        return yaml_fail(r, line_of(r), "nested too deeply");
    for (;;) {
        const char *path = "";
        struct lk_conf_value value = {0};
        LUMA_TRY(next_event(r));
        if (r->event.type == YAML_MAPPING_END_EVENT)
            return LUMA_OK;
        int line = line_of(r);
        LUMA_TRY(read_key(r, base, &path));
        LUMA_TRY(next_event(r));
        if (r->event.type == YAML_MAPPING_START_EVENT) {
            if (lki_doc_add_table(r->arena, r->doc, path, line) != LUMA_OK)
                return yaml_fail(r, line, "out of memory");
            LUMA_TRY(read_mapping(r, path, depth + 1));
            continue;
        }
        bool is_list = r->event.type == YAML_SEQUENCE_START_EVENT;
        LUMA_TRY(is_list ? read_list(r, &value) : scalar_value(r, &value));
        /* "postgres:" with nothing behind it is an empty section. */
        bool empty = !is_list && value.kind == LK_CONF_STR && value.text[0] == '\0' &&
                     r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        luma_rc rc = empty ? lki_doc_add_table(r->arena, r->doc, path, line)
                           : lki_doc_add(r->arena, r->doc, path, &value, line);
        if (rc != LUMA_OK)
            return yaml_fail(r, line, "out of memory");
    }
}

static luma_rc
read_document(struct reader *r)
{
    LUMA_TRY(next_event(r)); /* stream start */
    LUMA_TRY(next_event(r));
    if (r->event.type == YAML_STREAM_END_EVENT)
        return LUMA_OK;
    LUMA_TRY(next_event(r));
    if (r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.length == 0)
        return LUMA_OK;
    if (r->event.type != YAML_MAPPING_START_EVENT)
        return yaml_fail(r, line_of(r), "expected sections with keys");
    LUMA_TRY(read_mapping(r, "", 0));
    LUMA_TRY(next_event(r)); /* document end */
    LUMA_TRY(next_event(r));
    if (r->event.type != YAML_STREAM_END_EVENT)
        return yaml_fail(r, line_of(r), "a second document in the file");
    return LUMA_OK;
}

luma_rc
lk_conf_parse_yaml(struct luma_ctx *ctx, struct luma_arena *arena, const char *file,
                   struct luma_slice text, struct lk_conf_doc **out_doc)
{
    struct reader r = {.ctx = ctx, .arena = arena, .file = file};
    r.doc = lk_conf_doc_create(arena, LK_CONF_FROM_FILE, file);
    if (r.doc == NULL || !yaml_parser_initialize(&r.yaml))
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "%s: out of memory", file);
    yaml_parser_set_encoding(&r.yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.yaml, text.bytes == 0 ? (const uint8_t *)"" : text.data,
                                 text.bytes);
    luma_rc rc = read_document(&r);
    if (r.has_event)
        yaml_event_delete(&r.event);
    yaml_parser_delete(&r.yaml);
    lk_map_fini(&r.seen);
    if (rc == LUMA_OK)
        *out_doc = r.doc;
    return rc;
}
