/*
 * tests/fuzz/fuzz_pgwire.c - any bytes are a session or its end: the messages of a client that has
 * logged in (fuzz_pgwire), or everything from the first packet on (fuzz_pgstart).
 */
#include <stdlib.h>

#include "fake_conn.h"
#include "pgwire.h"
#include "toy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#ifndef FUZZ_FROM_THE_START
/* Whoever comes is who he says. */
luma_rc
pg_scram(struct pg_conn *c, const char *user)
{
    (void)c;
    (void)user;
    return LUMA_OK;
}
#endif

/* The session must not ask the real network about a fake connection. */
static luma_rc
open_without_conn(const char *frontend, struct luma_conn *conn,
                  const struct luma_session_hooks *hooks, struct luma_session **out)
{
    (void)conn;
    return fake_host.session->open(frontend, NULL, hooks, out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const struct pg_conf conf = {.max_message_size = 1 << 16, .auth_timeout = 1};
    struct luma_host host = fake_host;
    struct luma_host_session session = *fake_host.session;
    struct luma_conn conn;
    session.open = open_without_conn;
    host.session = &session;
    struct pg pg = {.host = &host, .conf = &conf, .sql = &toy_language};
    if (bytes < 1)
        return 0;
    size_t step = data[0] & 0x1f;
    data++;
    bytes--;
#ifndef FUZZ_FROM_THE_START
    static const char hello[] = "\0\0\0\x29\0\3\0\0user\0lumadb\0database\0default\0";
    size_t hello_bytes = sizeof(hello); /* with the last NUL */
    uint8_t *all = malloc(hello_bytes + bytes);
    memcpy(all, hello, hello_bytes);
    all[3] = (uint8_t)hello_bytes;
    memcpy(all + hello_bytes, data, bytes);
    fake_conn_init(&conn, all, hello_bytes + bytes, step);
    pg_serve(&pg, &conn);
    free(all);
#else
    fake_conn_init(&conn, data, bytes, step);
    pg_serve(&pg, &conn);
#endif
    fake_conn_fini(&conn);
    return 0;
}
