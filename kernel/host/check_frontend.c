/*
 * host/check_frontend.c - a frontend that listens (the caller has started it on a port of the
 * system's choice): strangers' bytes, half messages, connections that say nothing, then the drain.
 */
#include <lumadb/host/sched.h>
#include <lumadb/kind/frontend.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/check_priv.h"

#define SILENT_CONNECTIONS 20

static int
dial(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval patience = {.tv_usec = 20000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        close(fd);
        return -1;
    }
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return fd;
}

/* Sends, waits a moment for an answer, closes. False: nobody listens any more. */
static bool
throw_at(uint16_t port, const uint8_t *bytes, size_t n)
{
    char answer[512];
    int fd = dial(port);
    if (fd < 0)
        return false;
    ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
    ssize_t got = sent > 0 ? recv(fd, answer, sizeof(answer), 0) : 0;
    (void)got; /* whether and how it answers is the protocol's */
    close(fd);
    return true;
}

static void
check_strangers(struct lki_check *k, uint16_t port)
{
    uint8_t bytes[2000];
    for (int i = 0; i < 60 && k->why == NULL; i++) {
        size_t n = lk_rand_below(&k->rand, sizeof(bytes)) + 1;
        for (size_t b = 0; b < n; b++)
            bytes[b] = i % 2 == 0 ? (uint8_t)lk_rand_u64(&k->rand)
                                  : (uint8_t)(' ' + lk_rand_below(&k->rand, 90));
        if (i % 5 == 0)
            memset(bytes, 0xff, LK_MIN(n, (size_t)8)); /* a length of 4 GiB, or nearly */
        if (!throw_at(port, bytes, n))
            lki_check_wrong(k, "it does not accept connections any more");
    }
    lki_check_done(k, "random bytes, lengths out of range, half messages");
}

static void
check_silent(struct lki_check *k, uint16_t port)
{
    int fds[SILENT_CONNECTIONS];
    for (int i = 0; i < SILENT_CONNECTIONS; i++)
        fds[i] = dial(port);
    if (!throw_at(port, (const uint8_t *)"x", 1))
        lki_check_wrong(k, "%d silent connections keep others out", SILENT_CONNECTIONS);
    for (int i = 0; i < SILENT_CONNECTIONS; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    lki_check_done(k, "connections that say nothing");
}

void
lki_check_frontend(struct lki_check *k, const struct luma_head *table)
{
    const struct luma_frontend *f = (const struct luma_frontend *)table;
    if (table->size_bytes < sizeof(*f) || f->protocol == NULL || f->how == NULL || f->port == NULL)
        lki_check_wrong(k, "protocol, how and port must all be there");
    lki_check_done(k, "its table is complete");
    if (k->failed > 0 || k->module->state != LK_HOST_RUNNING)
        return;
    uint16_t port = f->port(k->module->module_state);
    char how[256] = "";
    f->how(k->module->module_state, how, sizeof(how));
    if (port == 0)
        lki_check_wrong(k, "it runs and says that it does not listen");
    else if (how[0] == '\0')
        lki_check_wrong(k, "it does not say how to connect");
    lki_check_done(k, "it listens and says how to connect");
    if (port == 0)
        return;
    check_strangers(k, port);
    check_silent(k, port);
    int open_fd = dial(port);
    uint64_t begun = k->host->sched->now_ns(), limit = 3000000000u;
    k->module->desc.stop(k->module->module_state, begun + limit / 3);
    ((struct lk_host_module *)(uintptr_t)k->module)->state = LK_HOST_STOPPED;
    if (k->host->sched->now_ns() - begun > limit)
        lki_check_wrong(k, "stop went on after its deadline");
    if (open_fd >= 0)
        close(open_fd);
    int late = dial(port);
    if (late >= 0) {
        lki_check_wrong(k, "it still accepts connections after stop");
        close(late);
    }
    lki_check_done(k, "stop drains by its deadline and closes the port");
}
