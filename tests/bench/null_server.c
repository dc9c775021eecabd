/*
 * tests/bench/null_server.c - answers every query of the PostgreSQL protocol with one constant row:
 * what client, kernel and wire allow a server to show. null_server PORT, until it is ended.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM   ((size_t)256 << 10)
#define EVENTS 64

struct conn {
    int fd;
    int started;
    size_t in_bytes, out_bytes;
    unsigned char in[ROOM], out[ROOM];
};

static uint32_t
be32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void
put(struct conn *c, const void *bytes, size_t n)
{
    if (n > sizeof(c->out) - c->out_bytes)
        return;
    memcpy(c->out + c->out_bytes, bytes, n);
    c->out_bytes += n;
}

/* Messages as they go over the wire; sizeof counts the final zero of the literal. */
#define PUT(c, literal) put(c, literal, sizeof(literal) - 1)

static void
put_row_description(struct conn *c)
{
    PUT(c, "T\0\0\0\x21\0\1abalance\0\0\0\0\0\0\0\0\0\0\x17\0\4\xff\xff\xff\xff\0\0");
}

static void
put_row(struct conn *c)
{
    PUT(c, "D\0\0\0\x0b\0\1\0\0\0\1"
           "0");
    PUT(c, "C\0\0\0\x0dSELECT 1\0");
}

static void
put_ready(struct conn *c)
{
    PUT(c, "Z\0\0\0\5I");
}

static void
answer(struct conn *c, unsigned char type, const unsigned char *body, size_t bytes)
{
    switch (type) {
    case 'Q':
        put_row_description(c);
        put_row(c);
        put_ready(c);
        break;
    case 'P':
        PUT(c, "1\0\0\0\4");
        break;
    case 'B':
        PUT(c, "2\0\0\0\4");
        break;
    case 'D':
        if (bytes > 0 && body[0] == 'S')
            PUT(c, "t\0\0\0\x0a\0\1\0\0\0\x17");
        put_row_description(c);
        break;
    case 'E':
        put_row(c);
        break;
    case 'C':
        PUT(c, "3\0\0\0\4");
        break;
    case 'S':
        put_ready(c);
        break;
    default:
        break;
    }
}

/* Takes one message off; 0: it is not whole, -1: the client has gone. */
static int
take(struct conn *c, size_t *inout_at)
{
    const unsigned char *p = c->in + *inout_at;
    size_t left = c->in_bytes - *inout_at, head = c->started ? 1 : 0;
    if (left < head + 4)
        return 0;
    size_t bytes = be32(p + head);
    if (bytes < 4 || bytes > ROOM / 2)
        return -1;
    if (left < head + bytes)
        return 0;
    *inout_at += head + bytes;
    if (c->started) {
        answer(c, p[0], p + 5, bytes - 4);
        return p[0] == 'X' ? -1 : 1;
    }
    if (bytes == 8) { /* asks for encryption */
        PUT(c, "N");
        return 1;
    }
    c->started = 1;
    PUT(c, "R\0\0\0\x08\0\0\0\0");
    PUT(c, "S\0\0\0\x18server_version\0"
           "15.0\0");
    PUT(c, "S\0\0\0\x19"
           "client_encoding\0UTF8\0");
    put_ready(c);
    return 1;
}

static int
serve(struct conn *c)
{
    ssize_t n = recv(c->fd, c->in + c->in_bytes, sizeof(c->in) - c->in_bytes, 0);
    size_t at = 0;
    int rc = 1;
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
    c->in_bytes += (size_t)n;
    while (rc > 0)
        rc = take(c, &at);
    memmove(c->in, c->in + at, c->in_bytes - at);
    c->in_bytes -= at;
    for (size_t sent = 0; sent < c->out_bytes;) {
        ssize_t k = send(c->fd, c->out + sent, c->out_bytes - sent, MSG_NOSIGNAL);
        if (k < 0)
            return -1;
        sent += (size_t)k;
    }
    c->out_bytes = 0;
    return rc;
}

static int
add(int poll_fd, int fd, void *data)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = data};
    return epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void
welcome(int poll_fd, int listener)
{
    int one = 1, fd = accept(listener, NULL, NULL);
    struct conn *c = fd < 0 ? NULL : calloc(1, sizeof(*c));
    if (c == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    c->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (add(poll_fd, fd, c) == 0)
        return;
    close(fd);
    free(c);
}

int
main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), poll_fd = epoll_create1(0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(listener, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(listener, 256) != 0 ||
        add(poll_fd, listener, NULL) != 0) {
        perror("null_server");
        return 1;
    }
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(poll_fd, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (c == NULL) {
                welcome(poll_fd, listener);
            } else if (serve(c) < 0) {
                close(c->fd);
                free(c);
            }
        }
    }
}
