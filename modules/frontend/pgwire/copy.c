/*
 * copy.c - COPY between a statement and the client.
 */
#include "write.h"

static struct pg_conn *
conn_of(struct luma_copy_io *io)
{
    return (struct pg_conn *)(void *)((char *)io - offsetof(struct pg_conn, copy_io));
}

static luma_rc
gone(struct luma_ctx *ctx, luma_rc rc)
{
    return LUMA_FAIL(ctx, rc, "connection to client lost");
}

static luma_rc
begin(struct luma_ctx *ctx, struct pg_conn *c, uint8_t type, bool binary, uint32_t cols)
{
    struct pg_out out;
    if (!pg_out_begin(c, &out, type, 3 + (size_t)cols * 2))
        return gone(ctx, c->io);
    pg_out_8(&out, binary);
    pg_out_16(&out, (uint16_t)cols);
    for (uint32_t i = 0; i < cols; i++)
        pg_out_16(&out, binary);
    pg_out_end(c, &out);
    return LUMA_OK;
}

static luma_rc
copy_begin_in(struct luma_ctx *ctx, struct luma_copy_io *io, bool binary, uint32_t cols)
{
    struct pg_conn *c = conn_of(io);
    LUMA_TRY(begin(ctx, c, 'G', binary, cols));
    luma_rc rc = pg_flush(c);
    if (rc != LUMA_OK)
        return gone(ctx, rc);
    c->copying_in = true;
    return LUMA_OK;
}

static luma_rc
copy_failed(struct luma_ctx *ctx, const struct pg_message *m)
{
    struct pg_in in = pg_in(m->body);
    const char *why = pg_in_text(&in);
    return LUMA_FAIL(ctx, LUMA_E_CANCELED, "COPY from stdin failed: %.900s", why);
}

static luma_rc
copy_read(struct luma_ctx *ctx, struct luma_copy_io *io, struct luma_slice *out)
{
    struct pg_conn *c = conn_of(io);
    while (c->copying_in) {
        struct pg_message m;
        luma_rc rc = pg_read(c, &m);
        if (rc != LUMA_OK) {
            c->copying_in = false;
            return rc == LUMA_E_SHUTDOWN ? LUMA_FAIL(ctx, rc,
                                                     "terminating connection due to "
                                                     "administrator command")
                                         : gone(ctx, rc);
        }
        switch (m.type) {
        case 'd':
            if (m.body.bytes == 0)
                continue;
            *out = m.body; /* valid until the next message is read */
            return LUMA_OK;
        case 'c':
            c->copying_in = false;
            break;
        case 'f':
            c->copying_in = false;
            return copy_failed(ctx, &m);
        case 'H':
        case 'S': /* a client may send them ahead; the end of COPY is what counts */
            break;
        default:
            c->copying_in = false;
            return LUMA_FAIL(ctx, LUMA_E_PROTOCOL,
                             "unexpected message type 0x%02X during COPY from stdin", m.type);
        }
    }
    *out = luma_slice(NULL, 0);
    return LUMA_OK;
}

static luma_rc
copy_begin_out(struct luma_ctx *ctx, struct luma_copy_io *io, bool binary, uint32_t cols)
{
    return begin(ctx, conn_of(io), 'H', binary, cols);
}

static luma_rc
copy_write(struct luma_ctx *ctx, struct luma_copy_io *io, const void *data, size_t bytes)
{
    struct pg_conn *c = conn_of(io);
    struct pg_out out;
    if (!pg_out_begin(c, &out, 'd', bytes))
        return gone(ctx, c->io);
    pg_out_bytes(&out, data, bytes);
    pg_out_end(c, &out);
    return LUMA_OK;
}

static luma_rc
copy_end_out(struct luma_ctx *ctx, struct luma_copy_io *io)
{
    struct pg_conn *c = conn_of(io);
    pg_out_empty(c, 'c');
    return c->io == LUMA_OK ? LUMA_OK : gone(ctx, c->io);
}

void
pg_copy_init(struct pg_conn *c)
{
    c->copy_io = (struct luma_copy_io){
        .begin_in = copy_begin_in,
        .read = copy_read,
        .begin_out = copy_begin_out,
        .write = copy_write,
        .end_out = copy_end_out,
    };
}
