/* main/transfer/stream.c - the file of an import or export: as it is, or through zlib or zstd. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "main/transfer/transfer.h"

#define ROOM ((size_t)1 << 17)

enum form { PLAIN, GZIP, ZSTD };

struct lki_stream {
    int fd;
    bool writes, owned, ended, finished;
    enum form form;
    char *name, *temporary; /* of a file that is written */
    uint64_t done, all;     /* bytes of the file */
    z_stream zlib;
    ZSTD_DCtx *expand;
    ZSTD_CCtx *compress;
    bool partial; /* inside of a frame */
    char error[256];
    size_t at, used; /* of room, for reading */
    char room[ROOM];
};

const char *
lki_stream_error(const struct lki_stream *stream)
{
    return stream->error;
}

void
lki_stream_place(const struct lki_stream *stream, uint64_t *out_done, uint64_t *out_all)
{
    *out_done = stream->done;
    *out_all = stream->all;
}

static bool
fail(struct lki_stream *s, const char *why)
{
    snprintf(s->error, sizeof(s->error), "%s", why == NULL ? "not sound" : why);
    return false;
}

/* --- reading --- */

/* More of the file; false: an error. At the end nothing comes. */
static bool
fill(struct lki_stream *s)
{
    ssize_t n;
    if (s->at > 0) {
        memmove(s->room, s->room + s->at, s->used - s->at);
        s->used -= s->at;
        s->at = 0;
    }
    if (s->ended || s->used == ROOM)
        return true;
    do
        n = read(s->fd, s->room + s->used, ROOM - s->used);
    while (n < 0 && errno == EINTR && !lki_shell_stopped());
    if (n < 0)
        return fail(s, strerror(errno));
    s->ended = n == 0;
    s->used += (size_t)n;
    s->done += (size_t)n;
    return true;
}

static bool
begin_reading(struct lki_stream *s)
{
    struct stat about;
    if (fstat(s->fd, &about) == 0 && S_ISREG(about.st_mode))
        s->all = (uint64_t)about.st_size;
    while (s->used < 4 && !s->ended)
        if (!fill(s))
            return false;
    const unsigned char *p = (const unsigned char *)s->room;
    if (s->used >= 2 && p[0] == 0x1f && p[1] == 0x8b) {
        s->form = GZIP;
        return inflateInit2(&s->zlib, 15 + 16) == Z_OK;
    }
    if (s->used >= 4 && p[0] == 0x28 && p[1] == 0xb5 && p[2] == 0x2f && p[3] == 0xfd) {
        s->form = ZSTD;
        s->expand = ZSTD_createDCtx();
        return s->expand != NULL;
    }
    return true;
}

struct lki_stream *
lki_stream_read_open(const char *file)
{
    struct lki_stream *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->owned = file != NULL;
    s->fd = file == NULL ? STDIN_FILENO
                         : open(file, O_RDONLY | O_CLOEXEC); /* os-door: the person's own file */
    if (s->fd < 0) {
        free(s);
        return NULL;
    }
    if (!begin_reading(s) && s->error[0] == 0)
        (void)fail(s, "out of memory");
    return s;
}

static ssize_t
read_plain(struct lki_stream *s, char *out, size_t room)
{
    if (s->at == s->used && !fill(s))
        return -1;
    size_t n = LK_MIN(room, s->used - s->at);
    memcpy(out, s->room + s->at, n);
    s->at += n;
    return (ssize_t)n;
}

/* One step of the decompressor: *out_n bytes more; false: an error. */
static bool
step_gzip(struct lki_stream *s, char *out, size_t room, size_t *out_n)
{
    s->zlib.next_in = (Bytef *)(s->room + s->at);
    s->zlib.avail_in = (uInt)(s->used - s->at);
    s->zlib.next_out = (Bytef *)out;
    s->zlib.avail_out = (uInt)LK_MIN(room, (size_t)1 << 30);
    uInt all = s->zlib.avail_out;
    int rc = inflate(&s->zlib, Z_NO_FLUSH);
    s->at = s->used - s->zlib.avail_in;
    *out_n = all - s->zlib.avail_out;
    s->partial = rc != Z_STREAM_END;
    if (rc == Z_STREAM_END) /* another member may follow */
        return inflateReset(&s->zlib) == Z_OK;
    return rc == Z_OK || rc == Z_BUF_ERROR || fail(s, s->zlib.msg);
}

static bool
step_zstd(struct lki_stream *s, char *out, size_t room, size_t *out_n)
{
    ZSTD_inBuffer in = {s->room, s->used, s->at};
    ZSTD_outBuffer to = {out, room, 0};
    size_t rc = ZSTD_decompressStream(s->expand, &to, &in);
    s->at = in.pos;
    *out_n = to.pos;
    s->partial = rc != 0;
    return !ZSTD_isError(rc) || fail(s, ZSTD_getErrorName(rc));
}

ssize_t
lki_stream_read(struct lki_stream *s, char *out, size_t room)
{
    size_t n = 0;
    if (s->error[0] != 0)
        return -1;
    if (s->form == PLAIN)
        return read_plain(s, out, room);
    while (n == 0) {
        size_t before = s->at;
        if (s->at == s->used) {
            if (!fill(s))
                return -1;
            if (s->used == 0)
                return s->partial && !fail(s, "the compressed data ends too early") ? -1 : 0;
            before = s->at;
        }
        if (!(s->form == GZIP ? step_gzip : step_zstd)(s, out, room, &n))
            return -1;
        if (n == 0 && s->at == before && s->ended)
            return fail(s, "the compressed data ends too early") ? 0 : -1;
        if (n == 0 && s->at == before && !fill(s))
            return -1;
    }
    return (ssize_t)n;
}

/* --- writing --- */

static bool
ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool
begin_writing(struct lki_stream *s, const char *file)
{
    if (ends_with(file, ".gz")) {
        s->form = GZIP;
        return deflateInit2(&s->zlib, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    }
    if (ends_with(file, ".zst")) {
        s->form = ZSTD;
        s->compress = ZSTD_createCCtx();
        return s->compress != NULL;
    }
    return true;
}

/* A file that is there and is none (a pipe, a device) is written as it is. */
static bool
open_target(struct lki_stream *s, const char *file)
{
    struct stat about;
    s->owned = true;
    if (stat(file, &about) == 0 && !S_ISREG(about.st_mode)) {
        s->fd = open(file, O_WRONLY | O_CLOEXEC); /* os-door: the person's own file */
        return s->fd >= 0;
    }
    s->name = strdup(file);
    if (s->name == NULL || asprintf(&s->temporary, "%s.%d.part", file, (int)getpid()) < 0)
        return false;
    s->fd = open(s->temporary, /* os-door: the person's own file */
                 O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return s->fd >= 0;
}

struct lki_stream *
lki_stream_write_open(const char *file)
{
    struct lki_stream *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->writes = true;
    s->fd = STDOUT_FILENO;
    if (file == NULL || (open_target(s, file) && begin_writing(s, file)))
        return s;
    int saved = errno;
    lki_stream_close(s);
    errno = saved;
    return NULL;
}

static bool
put(struct lki_stream *s, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t n = write(s->fd, bytes, count);
        if (n < 0 && errno == EINTR && !lki_shell_stopped())
            continue;
        if (n < 0)
            return fail(s, strerror(errno));
        bytes += n;
        count -= (size_t)n;
        s->done += (size_t)n;
    }
    return true;
}

static bool
put_gzip(struct lki_stream *s, const char *bytes, size_t count, bool last)
{
    int rc;
    s->zlib.next_in = (Bytef *)(uintptr_t)bytes;
    s->zlib.avail_in = (uInt)count; /* a line of COPY has less than 2 GiB */
    do {
        s->zlib.next_out = (Bytef *)s->room;
        s->zlib.avail_out = (uInt)ROOM;
        rc = deflate(&s->zlib, last ? Z_FINISH : Z_NO_FLUSH);
        if (rc == Z_STREAM_ERROR || !put(s, s->room, ROOM - s->zlib.avail_out))
            return rc == Z_STREAM_ERROR ? fail(s, s->zlib.msg) : false;
    } while (last ? rc != Z_STREAM_END : s->zlib.avail_out == 0);
    return true;
}

static bool
put_zstd(struct lki_stream *s, const char *bytes, size_t count, bool last)
{
    ZSTD_inBuffer in = {bytes, count, 0};
    size_t rc;
    do {
        ZSTD_outBuffer to = {s->room, ROOM, 0};
        rc = ZSTD_compressStream2(s->compress, &to, &in, last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(rc))
            return fail(s, ZSTD_getErrorName(rc));
        if (!put(s, s->room, to.pos))
            return false;
    } while (last ? rc != 0 : in.pos < in.size);
    return true;
}

static bool
write_packed(struct lki_stream *s, const char *bytes, size_t count, bool last)
{
    return s->form == GZIP ? put_gzip(s, bytes, count, last) : put_zstd(s, bytes, count, last);
}

bool
lki_stream_write(struct lki_stream *s, const char *bytes, size_t count)
{
    if (s->form != PLAIN)
        return write_packed(s, bytes, count, false);
    if (s->used + count > ROOM) {
        size_t held = s->used;
        s->used = 0;
        if (!put(s, s->room, held))
            return false;
    }
    if (count > ROOM / 2)
        return put(s, bytes, count);
    memcpy(s->room + s->used, bytes, count);
    s->used += count;
    return true;
}

bool
lki_stream_finish(struct lki_stream *s)
{
    bool ok = s->form == PLAIN ? put(s, s->room, s->used) : write_packed(s, NULL, 0, true);
    if (ok && s->owned && close(s->fd) != 0)
        ok = fail(s, strerror(errno));
    if (ok && s->owned)
        s->fd = -1;
    if (ok && s->temporary != NULL &&
        rename(s->temporary, s->name) != 0) /* os-door: the person's own file */
        ok = fail(s, strerror(errno));
    s->finished = ok;
    return ok;
}

void
lki_stream_close(struct lki_stream *s)
{
    if (s == NULL)
        return;
    if (s->owned && s->fd >= 0)
        close(s->fd);
    if (s->temporary != NULL && !s->finished)
        unlink(s->temporary); /* os-door: the person's own file */
    if (s->form == GZIP)
        (void)(s->writes ? deflateEnd(&s->zlib) : inflateEnd(&s->zlib));
    ZSTD_freeDCtx(s->expand);
    ZSTD_freeCCtx(s->compress);
    free(s->name);
    free(s->temporary);
    free(s);
}
