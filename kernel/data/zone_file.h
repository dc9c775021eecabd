/* data/zone_file.h - where the system keeps its time zones. */
#ifndef LKI_DATA_ZONE_FILE_H
#define LKI_DATA_ZONE_FILE_H

#include <stddef.h>

#define LKI_ZONE_DIR "/usr/share/zoneinfo/"

/* Bytes of the zone's file; 0: there is none, or it does not fit. */
size_t lki_zone_file_read(const char *name, void *out, size_t room_bytes);

#endif
