/*
 * lumadb/kind/frontend.h - protocol frontends. A frontend listens in start (host->net), translates,
 * and owns no data. Service "frontend.<name>" version 1 says what it serves.
 */
#ifndef LUMADB_KIND_FRONTEND_H
#define LUMADB_KIND_FRONTEND_H

#include <lumadb/base.h>
#include <lumadb/host/net.h>
#include <lumadb/module.h>

#define LUMA_FRONTEND_MAJOR 1

struct luma_frontend {
    struct luma_head head;
    const char *protocol; /* "PostgreSQL wire protocol 3" */
    /* How to connect, for people: "psql -h localhost -p 5432 -U lumadb -d default". state is the
     * module's; out has room bytes. */
    void (*how)(void *state, char *out, size_t room);
    uint16_t (*port)(void *state); /* bound port, 0: not listening */
};

#define LUMA_FRONTEND_HEAD                                   \
    {                                                        \
        sizeof(struct luma_frontend), LUMA_FRONTEND_MAJOR, 0 \
    }

#endif
