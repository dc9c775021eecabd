/*
 * io/sim.h - a disk in memory that behaves as badly as the contract of io.h permits.
 *
 * Each file has a durable and a volatile image. A power cut keeps the durable one plus a random
 * subset of the 512-byte sectors written since, a size between the two, and a random subset of the
 * directory changes that were not synced. Dirty sectors also reach the disk by themselves now and
 * then, so that an overwritten sector may keep any version it had. The seed decides everything.
 *
 * Calls (open, read, write, sync, ...) are numbered from 1. When the power is cut at call n, that
 * call may have any part of its effect and fails with EIO, as do all after it until
 * lk_io_sim_restart. Handles from before a restart fail with EIO; closing them is fine.
 */
#ifndef LK_IO_SIM_H
#define LK_IO_SIM_H

#include "io/io.h"

enum lk_io_call {
    LK_IO_CALL_ANY = 0,
    LK_IO_CALL_OPEN,
    LK_IO_CALL_READ,
    LK_IO_CALL_WRITE,
    LK_IO_CALL_SYNC,
    LK_IO_CALL_SYNC_DIR,
    LK_IO_CALL_TRUNCATE,
    LK_IO_CALL_UNLINK,
    LK_IO_CALL_RENAME,
    LK_IO_CALL_MKDIR, /* and rmdir */
    LK_IO_CALL_STAT,  /* and size, list, space */
    LK_IO_CALL_LOCK,
    LK_IO_CALL_COUNT_
};

enum lk_io_sim_action {
    LK_IO_SIM_EIO = 0,
    LK_IO_SIM_ENOSPC,
    LK_IO_SIM_SHORT,     /* write: a random part of it, then ENOSPC; read: fewer bytes, no error */
    LK_IO_SIM_SYNC_DROP, /* sync: EIO, and what was dirty is never written, though still read back
                          */
    LK_IO_SIM_SYNC_LIE,  /* sync: success without doing it (a disk that lies; must be noticed by
                            checks after a crash, cannot be survived) */
    LK_IO_SIM_BIT_FLIP,  /* read: success, one bit wrong */
    LK_IO_SIM_ASTRAY,    /* write: success, but it landed elsewhere: in this file or another */
    LK_IO_SIM_HOLES,     /* write: success, but some of its sectors were never written */
    LK_IO_SIM_POWER_CUT
};

/* What goes wrong and when. Zero members match everything. */
struct lk_io_sim_rule {
    enum lk_io_call call;
    enum lk_io_sim_action action;
    const char *path_part; /* the path contains it; NULL: any path */
    const char *phase;     /* the label equals it; NULL: any */
    uint64_t skip;         /* matching calls let through first */
    uint64_t times;        /* 0: for ever */
};

struct lk_io *lk_io_sim_create(uint64_t seed); /* NULL: out of memory */
void lk_io_sim_destroy(struct lk_io *io);      /* NULL is fine; no handle is open */

/* Rules are tried in the order they were added; path_part and phase are copied. */
void lk_io_sim_rule(struct lk_io *io, const struct lk_io_sim_rule *rule);
void lk_io_sim_rules_clear(struct lk_io *io);

/* Cut the power at call number `call_index` (as lk_io_sim_calls counts); 0: never. */
void lk_io_sim_cut_at(struct lk_io *io, uint64_t call_index);
/* Cut it now. Calls fail from here on. */
void lk_io_sim_crash(struct lk_io *io);
/* When the power was last cut, as lk_io_now_ns. */
uint64_t lk_io_sim_cut_ns(struct lk_io *io);
/* True after a cut, until the restart. */
bool lk_io_sim_is_dead(struct lk_io *io);
/* The label of the call at which the power was last cut; "" when outside any. */
const char *lk_io_sim_cut_phase(struct lk_io *io);
/* Power returns: the disk holds what survived. Clears no rules and no counts. */
void lk_io_sim_restart(struct lk_io *io);

/* The file that a write was last kept from (ASTRAY, HOLES), and how many writes files of its
 * directory have had since; false: no write ever was. */
bool lk_io_sim_lost_write(struct lk_io *io, const char **out_path, uint64_t *out_writes_since);

/* Calls so far: all, of a kind, in a phase. */
uint64_t lk_io_sim_calls(struct lk_io *io);
uint64_t lk_io_sim_calls_of(struct lk_io *io, enum lk_io_call call);
uint64_t lk_io_sim_calls_in(struct lk_io *io, const char *phase);

/* fn is called before each call on a file or a directory, with no lock of the simulation held: a
 * test lets others go on there. NULL: nobody is. */
void lk_io_sim_on_call(struct lk_io *io, void (*fn)(void *arg), void *arg);

/* Bytes the disk holds before writes give LUMA_E_FULL; 0: no limit. */
void lk_io_sim_set_capacity(struct lk_io *io, uint64_t bytes);
/* Flip a bit of a file, on the disk and in memory; false: no such file or byte. */
bool lk_io_sim_corrupt(struct lk_io *io, const char *path, uint64_t offset, unsigned bit);
/* The clock moves 1 us per call and by what is added here. */
void lk_io_sim_advance(struct lk_io *io, uint64_t nanoseconds);
/* Sectors not yet durable, over all files: 0 right after everything was synced. */
uint64_t lk_io_sim_dirty_sectors(struct lk_io *io);

#endif
