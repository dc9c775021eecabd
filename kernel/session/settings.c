/*
 * settings.c - SET and SHOW of one session, with PostgreSQL's rules about transactions: a rollback
 * takes changes back, SET LOCAL lasts to the end of the transaction, RESET goes back to what the
 * session began with.
 */
#include <stdlib.h>
#include <strings.h>

#include "session/session_priv.h"

const struct lki_setting_def lki_setting_defs[LKI_SETTINGS_COUNT] = {
#define LKI_SETTING(id, name_, type_, def_, min_, max_, unit_, values_, flags_, help_) \
    [LKI_SET_##id] = {.name = (name_),                                                 \
                      .type = LKI_SETTING_##type_,                                     \
                      .def = (def_),                                                   \
                      .min = (min_),                                                   \
                      .max = (max_),                                                   \
                      .unit = (unit_),                                                 \
                      .values = (values_),                                             \
                      .flags = (flags_),                                               \
                      .help = (help_)},
#include "session/settings.def"
#undef LKI_SETTING
};

/* --- texts --- */

static struct lki_text *
text_make(const char *s)
{
    size_t bytes = strlen(s);
    struct lki_text *text = lk_alloc(NULL, sizeof(*text) + bytes + 1);
    if (text != NULL) {
        text->refs = 1;
        text->bytes = (uint32_t)bytes;
        memcpy(text->s, s, bytes + 1);
    }
    return text;
}

static struct lki_text *
text_ref(struct lki_text *text)
{
    if (text != NULL)
        text->refs++;
    return text;
}

static void
text_unref(struct lki_text *text)
{
    if (text != NULL && --text->refs == 0)
        lk_free(NULL, text, sizeof(*text) + text->bytes + 1);
}

static void
text_assign(struct lki_text **place, struct lki_text *text)
{
    text_ref(text);
    text_unref(*place);
    *place = text;
}

/* --- finding --- */

static int
def_find(const char *name)
{
    if (strcasecmp(name, "session_timezone") == 0 || strcasecmp(name, "time zone") == 0)
        return LKI_SET_TIMEZONE;
    for (int i = 0; i < LKI_SETTINGS_COUNT; i++)
        if (strcasecmp(name, lki_setting_defs[i].name) == 0)
            return i;
    return -1;
}

static int
custom_find(const struct luma_session *s, const char *name)
{
    for (uint32_t i = 0; i < s->customs_count; i++)
        if (strcasecmp(name, s->customs[i].name) == 0)
            return (int)(LKI_SETTINGS_COUNT + i);
    return -1;
}

static struct lki_setting *
setting_of(struct luma_session *s, uint32_t index)
{
    return index < LKI_SETTINGS_COUNT ? &s->settings[index]
                                      : &s->customs[index - LKI_SETTINGS_COUNT].value;
}

static const char *
default_of(uint32_t index)
{
    if (index == LKI_SET_TIMEZONE) {
        const struct lk_session_conf *conf = atomic_load(&lki_sessions.conf);
        if (conf != NULL && conf->timezone != NULL && conf->timezone[0] != '\0')
            return conf->timezone;
    }
    return index < LKI_SETTINGS_COUNT ? lki_setting_defs[index].def : "";
}

static const char *
value_of(struct luma_session *s, uint32_t index)
{
    const struct lki_setting *setting = setting_of(s, index);
    return setting->current != NULL ? setting->current->s : default_of(index);
}

const char *
lki_setting_at(struct luma_session *s, enum lki_setting_id id)
{
    return value_of(s, (uint32_t)id);
}

const char *
lki_setting_get(struct luma_session *s, const char *name)
{
    int index = def_find(name);
    if (index == LKI_SET_TRANSACTION_ISOLATION)
        return lki_block_isolation_text(s);
    if (index == LKI_SET_TRANSACTION_READ_ONLY)
        return lki_block_read_only(s) ? "on" : "off";
    if (index == LKI_SET_TRANSACTION_DEFERRABLE)
        return lki_block_deferrable(s) ? "on" : "off";
    if (index == LKI_SET_LUMADB_LAST_COMMIT)
        return s->last_commit;
    if (index < 0)
        index = custom_find(s, name);
    return index < 0 ? NULL : value_of(s, (uint32_t)index);
}

/* --- effects --- */

static void
apply_format(struct luma_session *s, uint32_t index, const char *value)
{
    switch (index) {
    case LKI_SET_TIMEZONE:
        s->format.zone = lki_sessions.parts.data->zone_find(value);
        break;
    case LKI_SET_DATESTYLE: {
        struct lk_ctx c;
        lk_ctx_init(&c, NULL);
        (void)lki_setting_datestyle(&c.ctx, value, &s->format.date_style, &s->format.date_order);
        break;
    }
    case LKI_SET_INTERVALSTYLE:
        s->format.interval_style = strcmp(value, "postgres_verbose") == 0 ? 1
                                   : strcmp(value, "sql_standard") == 0   ? 2
                                   : strcmp(value, "iso_8601") == 0       ? 3
                                                                          : 0;
        break;
    case LKI_SET_BYTEA_OUTPUT:
        s->format.bytea_escape = strcmp(value, "escape") == 0;
        break;
    case LKI_SET_EXTRA_FLOAT_DIGITS:
        s->format.extra_float_digits =
            (int8_t)lki_setting_int(&lki_setting_defs[LKI_SET_EXTRA_FLOAT_DIGITS], value);
        break;
    default:
        break;
    }
}

/* A value has changed: what depends on it follows, the client hears of it. */
static void
apply(struct luma_session *s, uint32_t index)
{
    if (index >= LKI_SETTINGS_COUNT)
        return;
    const struct lki_setting_def *def = &lki_setting_defs[index];
    const char *value = value_of(s, index);
    apply_format(s, index, value);
    if (index == LKI_SET_STATEMENT_TIMEOUT)
        s->statement_timeout_ns = (uint64_t)lki_setting_int(def, value) * 1000000u;
    if (index == LKI_SET_LOCK_TIMEOUT) {
        s->lock_timeout_ns = (uint64_t)lki_setting_int(def, value) * 1000000u;
        s->lock_timeout_changed = true;
    }
    if (index == LKI_SET_IDLE_SESSION_TIMEOUT)
        s->idle_ns = (uint64_t)lki_setting_int(def, value) * 1000000u;
    if (index == LKI_SET_IDLE_IN_TRANSACTION_SESSION_TIMEOUT)
        s->idle_block_ns = (uint64_t)lki_setting_int(def, value) * 1000000u;
    if (index == LKI_SET_APPLICATION_NAME) {
        lk_mutex_lock(&s->lock);
        strncpy(s->application, value, sizeof(s->application) - 1);
        lk_mutex_unlock(&s->lock);
    }
    if ((def->flags & LKI_SETTING_REPORT) && s->hooks.parameter != NULL)
        s->hooks.parameter(s->hooks.arg, def->name, value);
}

/* --- changing --- */

static bool
undo_push(struct luma_session *s, uint32_t index)
{
    if (s->undo_count == s->undo_room) {
        uint32_t room = s->undo_room == 0 ? 8 : s->undo_room * 2;
        struct lki_undo *undo = realloc(s->undo, room * sizeof(*undo));
        if (undo == NULL)
            return false;
        s->undo = undo;
        s->undo_room = room;
    }
    struct lki_setting *setting = setting_of(s, index);
    s->undo[s->undo_count++] = (struct lki_undo){.setting = index,
                                                 .current = text_ref(setting->current),
                                                 .session = text_ref(setting->session)};
    return true;
}

/* text NULL: the default. */
static luma_rc
change(struct luma_ctx *ctx, struct luma_session *s, uint32_t index, const char *text, bool local)
{
    struct lki_setting *setting = setting_of(s, index);
    struct lki_text *value = text == NULL ? text_ref(setting->reset) : text_make(text);
    if (text != NULL && value == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for a setting");
    bool in_transaction = s->txn != NULL || s->block != LUMA_BLOCK_IDLE;
    if (in_transaction && !undo_push(s, index)) {
        text_unref(value);
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for a setting");
    }
    text_assign(&setting->current, value);
    if (!local)
        text_assign(&setting->session, value);
    if (s->starting)
        text_assign(&setting->reset, value);
    text_unref(value);
    apply(s, index);
    return LUMA_OK;
}

static int
custom_add(struct luma_session *s, const char *name)
{
    struct lki_custom *customs =
        realloc(s->customs, (s->customs_count + 1) * sizeof(struct lki_custom));
    if (customs == NULL)
        return -1;
    s->customs = customs;
    memset(&customs[s->customs_count], 0, sizeof(*customs));
    customs[s->customs_count].name = strdup(name);
    if (customs[s->customs_count].name == NULL)
        return -1;
    return (int)(LKI_SETTINGS_COUNT + s->customs_count++);
}

static luma_rc
set_custom(struct luma_ctx *ctx, struct luma_session *s, const char *name, const char *value,
           bool local)
{
    int index = custom_find(s, name);
    if (index < 0 && (strchr(name, '.') == NULL || s->customs_count >= 1000))
        return LUMA_FAIL(ctx, LUMA_E_UNDEFINED, "unrecognized configuration parameter \"%.200s\"",
                         name);
    if (index < 0)
        index = custom_add(s, name);
    if (index < 0)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for a setting");
    return change(ctx, s, (uint32_t)index, value, local);
}

static luma_rc
set_transaction(struct luma_ctx *ctx, struct luma_session *s, int index, const char *value)
{
    const char *text = NULL;
    if (value == NULL)
        value = lki_setting_at(
            s, index == LKI_SET_TRANSACTION_ISOLATION   ? LKI_SET_DEFAULT_TRANSACTION_ISOLATION
               : index == LKI_SET_TRANSACTION_READ_ONLY ? LKI_SET_DEFAULT_TRANSACTION_READ_ONLY
                                                        : LKI_SET_DEFAULT_TRANSACTION_DEFERRABLE);
    LUMA_TRY(lki_setting_canonical(ctx, &lki_setting_defs[index], value, &text));
    if (index == LKI_SET_TRANSACTION_ISOLATION)
        return lki_block_set_isolation(ctx, s, text);
    if (index == LKI_SET_TRANSACTION_DEFERRABLE)
        return lki_block_set_deferrable(ctx, s, strcmp(text, "on") == 0);
    return lki_block_set_read_only(ctx, s, strcmp(text, "on") == 0);
}

luma_rc
lki_setting_set(struct luma_ctx *ctx, struct luma_session *s, const char *name, const char *value,
                bool local)
{
    int index = def_find(name);
    if (index < 0)
        return set_custom(ctx, s, name, value, local);
    const struct lki_setting_def *def = &lki_setting_defs[index];
    if (def->flags & LKI_SETTING_INTERNAL) {
        if (index == LKI_SET_SESSION_AUTHORIZATION &&
            (value == NULL || strcmp(value, s->user) == 0))
            return LUMA_OK;
        return LUMA_FAIL_SQL(ctx, LUMA_E_INVALID, "55P02", "parameter \"%s\" cannot be changed",
                             def->name);
    }
    if (index == LKI_SET_TRANSACTION_ISOLATION || index == LKI_SET_TRANSACTION_READ_ONLY ||
        index == LKI_SET_TRANSACTION_DEFERRABLE)
        return set_transaction(ctx, s, index, value);
    if (local && s->block == LUMA_BLOCK_IDLE && s->txn == NULL) {
        lki_session_notice(s, "WARNING", "25P01",
                           "SET LOCAL can only be used in transaction blocks");
        return LUMA_OK;
    }
    const char *text = NULL;
    if (index == LKI_SET_DATESTYLE && value != NULL) {
        uint8_t style = s->format.date_style, order = s->format.date_order;
        LUMA_TRY(lki_setting_datestyle(ctx, value, &style, &order));
        text = lki_setting_datestyle_text(style, order);
    } else if (value != NULL) {
        LUMA_TRY(lki_setting_canonical(ctx, def, value, &text));
        if (text == NULL)
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for a setting");
    }
    uint64_t commit = 0;
    if (index == LKI_SET_LUMADB_AS_OF && text != NULL && text[0] != '\0')
        LUMA_TRY(lki_block_as_of(ctx, s, text, &commit));
    if (index == LKI_SET_LUMADB_WAIT_FOR && text != NULL && text[0] != '\0') {
        LUMA_TRY(lki_sessions.parts.txn->token_read(ctx, text, &commit));
        LUMA_TRY(lki_sessions.parts.txn->wait_for(ctx, commit));
    }
    return change(ctx, s, (uint32_t)index, text, local);
}

luma_rc
lki_setting_force(struct luma_ctx *ctx, struct luma_session *s, enum lki_setting_id id,
                  const char *value)
{
    return change(ctx, s, (uint32_t)id, value, false);
}

/* --- the end of a transaction --- */

static void
undo_drop(struct lki_undo *undo)
{
    text_unref(undo->current);
    text_unref(undo->session);
}

void
lki_settings_undo_to(struct luma_session *s, uint32_t count)
{
    while (s->undo_count > count) {
        struct lki_undo *undo = &s->undo[--s->undo_count];
        struct lki_setting *setting = setting_of(s, undo->setting);
        text_assign(&setting->current, undo->current);
        text_assign(&setting->session, undo->session);
        undo_drop(undo);
        apply(s, undo->setting);
    }
}

void
lki_settings_end(struct luma_session *s, bool committed)
{
    if (LUMA_LIKELY(s->undo_count == 0))
        return;
    if (!committed) {
        lki_settings_undo_to(s, 0);
        return;
    }
    while (s->undo_count > 0) {
        struct lki_undo *undo = &s->undo[--s->undo_count];
        struct lki_setting *setting = setting_of(s, undo->setting);
        if (setting->current != setting->session) { /* it was LOCAL */
            text_assign(&setting->current, setting->session);
            apply(s, undo->setting);
        }
        undo_drop(undo);
    }
}

/* --- life, and looking at all --- */

void
lki_settings_init(struct luma_session *s)
{
    s->format.extra_float_digits = 1;
    s->format.zone = lki_sessions.parts.data->zone_find(default_of(LKI_SET_TIMEZONE));
}

static void
setting_fini(struct lki_setting *setting)
{
    text_unref(setting->current);
    text_unref(setting->session);
    text_unref(setting->reset);
}

void
lki_settings_fini(struct luma_session *s)
{
    while (s->undo_count > 0)
        undo_drop(&s->undo[--s->undo_count]);
    free(s->undo);
    for (uint32_t i = 0; i < LKI_SETTINGS_COUNT; i++)
        setting_fini(&s->settings[i]);
    for (uint32_t i = 0; i < s->customs_count; i++) {
        setting_fini(&s->customs[i].value);
        free(s->customs[i].name);
    }
    free(s->customs);
}

void
lki_setting_each(struct luma_session *s,
                 void (*fn)(void *arg, const struct luma_setting_info *info), void *arg)
{
    static const char *const types[] = {"bool", "integer", "real", "string", "enum"};
    for (uint32_t i = 0; i < LKI_SETTINGS_COUNT; i++) {
        const struct lki_setting_def *def = &lki_setting_defs[i];
        struct luma_setting_info info = {
            .name = def->name,
            .value = lki_setting_get(s, def->name),
            .def = default_of(i),
            .type = types[def->type],
            .unit = def->unit,
            .help = def->help,
            .source = s->settings[i].current == NULL ? "default" : "session",
            .values = def->values,
            .report = (def->flags & LKI_SETTING_REPORT) != 0,
        };
        fn(arg, &info);
    }
    for (uint32_t i = 0; i < s->customs_count; i++) {
        struct luma_setting_info info = {.name = s->customs[i].name,
                                         .value = value_of(s, LKI_SETTINGS_COUNT + i),
                                         .def = "",
                                         .type = "string",
                                         .help = "",
                                         .source = "session"};
        fn(arg, &info);
    }
}
