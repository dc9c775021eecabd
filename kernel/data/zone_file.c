/* data/zone_file.c - reads one file of the system's time zone database. */
#include "data/zone_file.h"

#include <stdio.h>

#include "base/base.h"
#include "base/bytes.h"
#include "base/ctx.h"
#include "io/io.h"

size_t
lki_zone_file_read(const char *name, void *out, size_t room_bytes)
{
    struct lk_io *io = lk_io_posix();
    struct lk_bytes bytes = {0};
    struct lk_ctx c;
    char path[128];
    size_t used = 0;

    lk_ctx_init(&c, NULL);
    snprintf(path, sizeof(path), LKI_ZONE_DIR "%s", name);
    if (lk_io_exists(io, path) &&
        lk_io_read_file(&c.ctx, io, path, room_bytes, &bytes) == LUMA_OK) {
        used = bytes.bytes;
        memcpy(out, bytes.data, used);
    }
    lk_bytes_fini(&bytes);
    return used;
}
