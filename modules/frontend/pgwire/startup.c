/*
 * startup.c - from the first packet to ReadyForQuery: TLS, cancel requests, parameters, who it is.
 */
#include <stdio.h>
#include <stdlib.h>

#include "write.h"

#define STARTUP_BYTES_MAX 10000
#define CODE_CANCEL       80877102u
#define CODE_SSL          80877103u
#define CODE_GSS          80877104u
#define PROTOCOL_3_0      (3u << 16)
#define OPTIONS_MAX       64

struct parameters {
    char packet[STARTUP_BYTES_MAX + 1];
    size_t bytes;
    uint32_t version;
    const char *user, *database, *options;
};

/* One packet without a type byte. */
static luma_rc
read_packet(struct pg_conn *c, uint32_t *out_code, char *out, size_t *out_bytes)
{
    struct luma_slice view;
    LUMA_TRY(c->net->peek(c->conn, 8, &view));
    uint32_t bytes = pg_get32(view.data);
    if (bytes < 8 || bytes > STARTUP_BYTES_MAX)
        return LUMA_FAIL(c->ctx, LUMA_E_PROTOCOL, "invalid length of startup packet");
    LUMA_TRY(c->net->peek(c->conn, bytes, &view));
    *out_code = pg_get32(view.data + 4);
    memcpy(out, view.data + 8, bytes - 8);
    out[bytes - 8] = '\0';
    *out_bytes = bytes - 8;
    c->net->consume(c->conn, bytes);
    return LUMA_OK;
}

static luma_rc
answer_byte(struct pg_conn *c, char byte)
{
    LUMA_TRY(c->net->write(c->conn, &byte, 1));
    return c->net->flush(c->conn);
}

static luma_rc
answer_tls(struct pg_conn *c)
{
    if (c->tls || !c->net->tls_available())
        return answer_byte(c, 'N');
    LUMA_TRY(answer_byte(c, 'S'));
    LUMA_TRY(c->net->start_tls(c->ctx, c->conn, NULL));
    c->tls = true;
    return LUMA_OK;
}

static void
cancel(struct pg_conn *c, const char *body, size_t bytes)
{
    if (bytes != 8)
        return;
    const uint8_t *p = (const uint8_t *)body;
    (void)c->ses->cancel(pg_get32(p), pg_get32(p + 4)); /* says nothing either way */
}

/* Goes on until the packet that starts a session; LUMA_E_END after a cancel request. */
static luma_rc
negotiate(struct pg_conn *c, struct parameters *params)
{
    for (int round = 0; round < 4; round++) {
        LUMA_TRY(read_packet(c, &params->version, params->packet, &params->bytes));
        if (params->version == CODE_CANCEL) {
            cancel(c, params->packet, params->bytes);
            return LUMA_E_END;
        }
        if (params->version == CODE_SSL)
            LUMA_TRY(answer_tls(c));
        else if (params->version == CODE_GSS)
            LUMA_TRY(answer_byte(c, 'N'));
        else
            return LUMA_OK;
    }
    return pg_violation(c->ctx, "too many requests for encryption");
}

/* --- parameters --- */

/* The next name and value; false at the end. */
static bool
next_pair(const struct parameters *params, size_t *inout_at, const char **out_name,
          const char **out_value)
{
    size_t at = *inout_at;
    if (at >= params->bytes || params->packet[at] == '\0')
        return false;
    *out_name = params->packet + at;
    at += strlen(*out_name) + 1;
    *out_value = at < params->bytes ? params->packet + at : "";
    at += strlen(*out_value) + 1;
    *inout_at = at;
    return true;
}

static bool
is_own(const char *name)
{
    return strcmp(name, "user") == 0 || strcmp(name, "database") == 0 ||
           strcmp(name, "options") == 0 || strcmp(name, "replication") == 0 ||
           strncmp(name, "_pq_.", 5) == 0;
}

/* A newer minor version or unknown protocol options: say what we speak and go on. */
static void
negotiate_version(struct pg_conn *c, const struct parameters *params)
{
    const char *name, *value, *unknown[OPTIONS_MAX];
    uint32_t count = 0;
    size_t bytes = 0;
    for (size_t at = 0; next_pair(params, &at, &name, &value);) {
        if (strncmp(name, "_pq_.", 5) == 0 && count < OPTIONS_MAX) {
            unknown[count++] = name;
            bytes += strlen(name) + 1;
        }
    }
    struct pg_out out;
    if ((count == 0 && params->version <= PROTOCOL_3_0) || !pg_out_begin(c, &out, 'v', bytes + 8))
        return;
    pg_out_32(&out, PROTOCOL_3_0);
    pg_out_32(&out, count);
    for (uint32_t i = 0; i < count; i++)
        pg_out_text(&out, unknown[i]);
    pg_out_end(c, &out);
}

static luma_rc
check_version(struct pg_conn *c, const struct parameters *params)
{
    uint32_t major = params->version >> 16, minor = params->version & 0xffff;
    if (major != 3)
        return LUMA_FAIL(c->ctx, LUMA_E_UNSUPPORTED,
                         "unsupported frontend protocol %u.%u: server supports 3.0", major, minor);
    return LUMA_OK;
}

static luma_rc
find_parameters(struct pg_conn *c, struct parameters *params)
{
    const char *name, *value;
    if (params->bytes == 0 || params->packet[params->bytes - 1] != '\0')
        return pg_violation(c->ctx, "invalid startup packet layout: expected terminator as last "
                                    "byte");
    for (size_t at = 0; next_pair(params, &at, &name, &value);) {
        if (strcmp(name, "user") == 0)
            params->user = value;
        else if (strcmp(name, "database") == 0)
            params->database = value;
        else if (strcmp(name, "options") == 0)
            params->options = value;
        else if (strcmp(name, "replication") == 0 && strcmp(value, "false") != 0 &&
                 strcmp(value, "0") != 0 && strcmp(value, "off") != 0 && strcmp(value, "no") != 0)
            return LUMA_FAIL(c->ctx, LUMA_E_UNSUPPORTED,
                             "replication connections are not supported");
    }
    if (params->user == NULL || params->user[0] == '\0')
        return LUMA_FAIL_SQL(c->ctx, LUMA_E_AUTH, "28000",
                             "no PostgreSQL user name specified in startup packet");
    if (params->database == NULL || params->database[0] == '\0')
        params->database = params->user;
    return pg_check_text(c, c->ctx, luma_slice_text(params->user));
}

/* "-c name=value --name=value", with backslashes before what is meant literally. */
static luma_rc
apply_options(struct pg_conn *c, const char *options)
{
    char word[1024];
    bool wants_value = false;
    for (const char *at = options; *at != '\0';) {
        size_t n = 0;
        while (*at == ' ')
            at++;
        for (; *at != '\0' && *at != ' ' && n + 1 < sizeof(word); at++) {
            if (*at == '\\' && at[1] != '\0')
                at++;
            word[n++] = *at;
        }
        word[n] = '\0';
        if (n == 0)
            break;
        char *setting = wants_value                   ? word
                        : strncmp(word, "--", 2) == 0 ? word + 2
                        : strncmp(word, "-c", 2) == 0 ? word + 2
                                                      : NULL;
        wants_value = setting != NULL && *setting == '\0';
        if (wants_value)
            continue;
        char *eq = setting == NULL ? NULL : strchr(setting, '=');
        if (eq == NULL)
            return LUMA_FAIL(c->ctx, LUMA_E_SYNTAX, "invalid command-line argument: %.100s", word);
        *eq = '\0';
        for (char *dash = setting; *dash != '\0'; dash++)
            if (*dash == '-')
                *dash = '_';
        LUMA_TRY(c->ses->setting_set(c->ctx, c->session, setting, eq + 1, false));
    }
    return LUMA_OK;
}

static luma_rc
apply_parameters(struct pg_conn *c, const struct parameters *params)
{
    const char *name, *value;
    if (params->options != NULL)
        LUMA_TRY(apply_options(c, params->options));
    for (size_t at = 0; next_pair(params, &at, &name, &value);) {
        LUMA_TRY(pg_check_text(c, c->ctx, luma_slice_text(value)));
        if (!is_own(name))
            LUMA_TRY(c->ses->setting_set(c->ctx, c->session, name, value, false));
    }
    return LUMA_OK;
}

/* --- what the client hears then --- */

static void
report_setting(void *arg, const struct luma_setting_info *info)
{
    if (info->report)
        pg_parameter_hook(arg, info->name, info->value);
}

static void
welcome(struct pg_conn *c)
{
    struct pg_out out;
    if (pg_out_begin(c, &out, 'R', 4)) {
        pg_out_32(&out, 0); /* AuthenticationOk */
        pg_out_end(c, &out);
    }
    c->started = true;
    c->ses->setting_each(c->session, report_setting, c);
    uint32_t pid = 0, secret = 0;
    c->ses->cancel_key(c->session, &pid, &secret);
    if (pg_out_begin(c, &out, 'K', 8)) {
        pg_out_32(&out, pid);
        pg_out_32(&out, secret);
        pg_out_end(c, &out);
    }
    pg_ready(c);
}

static luma_rc
enter(struct pg_conn *c, struct parameters *params)
{
    LUMA_TRY(check_version(c, params));
    LUMA_TRY(find_parameters(c, params));
    if (c->pg->conf->require_tls && !c->tls && !c->net->peer_is_loopback(c->conn))
        return LUMA_FAIL_SQL(c->ctx, LUMA_E_AUTH, "28000", "this server wants TLS");
    negotiate_version(c, params);
    LUMA_TRY(pg_scram(c, params->user));
    LUMA_TRY(c->ses->login(c->ctx, c->session, params->user, params->database));
    return apply_parameters(c, params);
}

luma_rc
pg_startup(struct pg_conn *c)
{
    struct parameters *params = calloc(1, sizeof(*params));
    if (params == NULL)
        return LUMA_E_NOMEM;
    c->net->set_idle_timeout(c->conn, (uint64_t)c->pg->conf->auth_timeout);
    c->net->set_input_max(c->conn, STARTUP_BYTES_MAX);
    luma_rc rc = negotiate(c, params);
    if (rc == LUMA_OK)
        rc = enter(c, params);
    free(params);
    if (rc == LUMA_OK) {
        welcome(c);
    } else if (c->ctx->error->code != LUMA_OK) {
        c->host->log->write(LUMA_LOG_INFO, PG_WHO, "%s: %s (%s)", c->net->peer(c->conn),
                            c->ctx->error->message, c->ctx->error->sqlstate);
        pg_error(c, "FATAL", c->ctx->error);
        (void)pg_flush(c);
    } else if (rc == LUMA_E_SHUTDOWN) {
        pg_fatal(c, "57P01", "terminating connection due to administrator command");
    } else if (rc == LUMA_E_LIMIT) {
        pg_fatal(c, "08P01", "invalid message length");
    }
    return rc;
}

/* One connection too many: it hears so in its own words. The first packets are read, because
 * closing with unread bytes may take the answer away from the client. */
void
pg_refuse(void *arg, struct luma_conn *conn)
{
    struct pg *pg = arg;
    struct pg_conn *c = calloc(1, sizeof(*c));
    struct parameters *params = calloc(1, sizeof(*params));
    if (c != NULL && params != NULL &&
        pg->host->session->open("pgwire", conn, NULL, &c->session) == LUMA_OK) {
        c->pg = pg;
        c->host = pg->host;
        c->net = pg->host->net;
        c->ses = pg->host->session;
        c->conn = conn;
        c->ctx = c->ses->ctx(c->session);
        c->net->set_idle_timeout(conn, 1000000000u);
        if (negotiate(c, params) == LUMA_OK)
            pg_fatal(c, "53300", "sorry, too many clients already");
        c->ses->close(c->session);
    }
    free(params);
    free(c);
}
