/*
 * fake_conn.h - a connection whose other end is a fuzzer: reads come from its bytes, piece by
 * piece, writes go into memory and are thrown away. Everything else is the kernel's.
 */
#ifndef FAKE_CONN_H
#define FAKE_CONN_H

#include <lumadb/host/host.h>
#include <lumadb/host/net.h>
#include <lumadb/host/sched.h>
#include <lumadb/host/session.h>

#include "base/base.h"

struct luma_conn {
    const uint8_t *data;
    size_t bytes, at, shown; /* shown: how far peek has let the reader see */
    size_t step, input_max;
    uint8_t *out;
    size_t out_room;
};

/* The tables of a module under test. */
extern const struct luma_host fake_host;

/* step: bytes that arrive at once, 0: all. */
void fake_conn_init(struct luma_conn *conn, const uint8_t *data, size_t bytes, size_t step);
void fake_conn_fini(struct luma_conn *conn);

#endif
