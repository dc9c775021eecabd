/* data/zone_file.c - reads one file of the system's time zone database. */
#include "data/zone_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

size_t
lki_zone_file_read(const char *name, void *out, size_t room_bytes)
{
    char path[128];
    size_t used = 0;
    int fd;

    snprintf(path, sizeof(path), LKI_ZONE_DIR "%s", name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    while (used < room_bytes) {
        ssize_t n = read(fd, (char *)out + used, room_bytes - used);
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    close(fd);
    return used == room_bytes ? 0 : used;
}
