/*
 * login.c - a password gives a bearer token.
 */
#include <jansson.h>
#include <stdio.h>
#include <time.h>

#include "rest.h"

static luma_rc
login_as(struct rest_call *call, const char *user, const char *password, const char *database,
         char *out_token, int64_t *out_expires_us)
{
    const struct luma_host_session *ses = call->host->session;
    uint64_t ttl_s = (uint64_t)call->rest->conf->token_ttl / 1000000000u;
    LUMA_TRY(ses->check_password(call->ctx, call->session, user, password));
    LUMA_TRY(ses->login(call->ctx, call->session, user, database));
    return ses->token_issue(call->ctx, call->session, ttl_s, out_token, out_expires_us);
}

static luma_rc
answer_token(struct rest_call *call, const char *token, int64_t expires_us)
{
    struct rest_text text = {.mem = call->host->mem};
    char when[40] = "", line[100];
    time_t seconds = (time_t)(expires_us / 1000000);
    struct tm tm;
    if (gmtime_r(&seconds, &tm) != NULL)
        strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
    int64_t left = expires_us - call->host->sched->wall_us();
    snprintf(line, sizeof(line), "\"expires_at\":\"%s\",\"expires_in\":%lld}", when,
             (long long)((left + 999999) / 1000000));
    rest_text_puts(&text, "{\"token\":\"");
    rest_text_puts(&text, token);
    rest_text_puts(&text, "\",\"token_type\":\"Bearer\",");
    rest_text_puts(&text, line);
    luma_rc rc = rest_answer_json(call, 200, &text);
    rest_text_fini(&text);
    return rc;
}

luma_rc
rest_login(struct rest_call *call)
{
    char token[65];
    int64_t expires_us = 0;
    struct luma_slice body = call->request->body;
    const char *user = NULL, *password = NULL, *database = NULL;
    json_t *json = json_loadb((const char *)body.data, body.bytes, JSON_REJECT_DUPLICATES, NULL);
    luma_rc rc = LUMA_OK;
    if (json_unpack(json, "{s:s, s:s, s?s}", "username", &user, "password", &password, "database",
                    &database) != 0)
        rc = LUMA_FAIL(call->ctx, LUMA_E_INVALID,
                       "want {\"username\": \"...\", \"password\": \"...\"}");
    else
        rc = login_as(call, user, password,
                      database == NULL ? call->rest->conf->database : database, token, &expires_us);
    json_decref(json);
    return rc == LUMA_OK ? answer_token(call, token, expires_us) : rest_answer_error(call);
}

luma_rc
rest_logout(struct rest_call *call)
{
    const char *header = http_header(call->http, "authorization");
    if (rest_authorize(call) != LUMA_OK ||
        call->host->session->token_revoke(call->ctx, header + strlen("Bearer ")) != LUMA_OK)
        return rest_answer_error(call);
    return http_respond(call->http, 204, NULL, NULL, NULL, 0);
}
