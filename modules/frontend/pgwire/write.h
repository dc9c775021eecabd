/*
 * write.h - building messages right in the connection's output buffer, and reading their parts.
 *
 * pg_out opens room of a known bound; pg_out_* fill it; pg_out_end writes the length and commits.
 * After a failure of the connection everything written goes nowhere.
 */
#ifndef PGWIRE_WRITE_H
#define PGWIRE_WRITE_H

#include "pgwire.h"

struct pg_out {
    uint8_t *start, *at;
};

static inline void
pg_put16(uint8_t *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, 2);
}

static inline void
pg_put32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, 4);
}

static inline void
pg_put64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
}

static inline uint16_t
pg_get16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return __builtin_bswap16(v);
}

static inline uint32_t
pg_get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}

/* False: the connection is gone. body_bound: most bytes the body will have. */
static inline bool
pg_out_begin(struct pg_conn *c, struct pg_out *out, uint8_t type, size_t body_bound)
{
    if (LUMA_UNLIKELY(c->io != LUMA_OK))
        return false;
    luma_rc rc = c->net->reserve(c->conn, body_bound + 5, &out->start);
    if (LUMA_UNLIKELY(rc != LUMA_OK)) {
        c->io = rc;
        return false;
    }
    out->start[0] = type;
    out->at = out->start + 5;
    return true;
}

static inline void
pg_out_8(struct pg_out *out, uint8_t v)
{
    *out->at++ = v;
}

static inline void
pg_out_16(struct pg_out *out, uint16_t v)
{
    pg_put16(out->at, v);
    out->at += 2;
}

static inline void
pg_out_32(struct pg_out *out, uint32_t v)
{
    pg_put32(out->at, v);
    out->at += 4;
}

static inline void
pg_out_bytes(struct pg_out *out, const void *data, size_t bytes)
{
    if (bytes > 0)
        memcpy(out->at, data, bytes);
    out->at += bytes;
}

/* With its NUL. */
static inline void
pg_out_text(struct pg_out *out, const char *text)
{
    pg_out_bytes(out, text, strlen(text) + 1);
}

static inline void
pg_out_end(struct pg_conn *c, struct pg_out *out)
{
    pg_put32(out->start + 1, (uint32_t)(out->at - out->start - 1));
    c->net->commit(c->conn, (size_t)(out->at - out->start));
}

/* A message without a body. */
static inline void
pg_out_empty(struct pg_conn *c, uint8_t type)
{
    struct pg_out out;
    if (pg_out_begin(c, &out, type, 0))
        pg_out_end(c, &out);
}

/* --- taking a body apart: a short one sets bad and gives zeros --- */

struct pg_in {
    const uint8_t *at, *end;
    bool bad;
};

static inline struct pg_in
pg_in(struct luma_slice body)
{
    struct pg_in in = {body.data, body.data + body.bytes, false};
    return in;
}

static inline const uint8_t *
pg_in_take(struct pg_in *in, size_t bytes)
{
    static const uint8_t zeros[8];
    if (LUMA_UNLIKELY((size_t)(in->end - in->at) < bytes)) {
        in->bad = true;
        in->at = in->end;
        return bytes <= sizeof(zeros) ? zeros : NULL;
    }
    const uint8_t *p = in->at;
    in->at += bytes;
    return p;
}

static inline uint8_t
pg_in_8(struct pg_in *in)
{
    return *pg_in_take(in, 1);
}

static inline uint16_t
pg_in_16(struct pg_in *in)
{
    return pg_get16(pg_in_take(in, 2));
}

static inline uint32_t
pg_in_32(struct pg_in *in)
{
    return pg_get32(pg_in_take(in, 4));
}

/* NUL-terminated, inside the body. */
static inline const char *
pg_in_text(struct pg_in *in)
{
    const uint8_t *nul = in->at == in->end ? NULL : memchr(in->at, 0, (size_t)(in->end - in->at));
    if (LUMA_UNLIKELY(nul == NULL)) {
        in->bad = true;
        in->at = in->end;
        return "";
    }
    const char *text = (const char *)in->at;
    in->at = nul + 1;
    return text;
}

#endif
