/* host/host_priv.h - shared by loading, ordering and running modules. */
#ifndef LK_HOST_HOST_PRIV_H
#define LK_HOST_HOST_PRIV_H

#include "host/host.h"

struct luma_simd;

struct lki_host {
    struct lk_host_module **modules;
    size_t count, room;
    struct lk_conf *conf; /* in force */
};

extern struct lki_host lki_host;

LUMA_NODISCARD luma_rc lki_host_add(struct luma_ctx *ctx, const char *label, const char *conf_file,
                                    struct lk_host_module **out_module);
/* Sets state and reason; the reason is logged by whoever calls. */
void lki_host_refuse(struct lk_host_module *m, enum lk_host_state state, const char *fmt, ...)
    LUMA_PRINTF(3, 4);
/* Name of the module in messages: its conf file, or its file. */
const char *lki_host_where(const struct lk_host_module *m);

/* Is file a shared object of this machine, whole? false: *out_why. Reads headers only. */
bool lki_elf_check(struct lk_io *io, const char *file, char *out_why, size_t why_bytes);

/* dlopen and all checks of the descriptor; on refusal m says why. */
void lki_host_open(struct lk_io *io, struct lk_host_module *m, const char *file);
/* The checks alone, of a descriptor known to have symbol_bytes (0: built in, trusted). */
bool lki_host_judge(struct lk_host_module *m, const struct luma_module *desc, size_t symbol_bytes);

void lki_services_publish(const struct lk_host_module *m);
void lki_services_withdraw(const struct lk_host_module *m);
void lki_services_clear(void);
/* The module (of any state but refused, disabled, failed) that offers a service; *out_other_major
 * is set when only another version is offered. */
struct lk_host_module *lki_host_offering(const char *service, uint16_t major, int *out_other_major);

/* The best variant of inner loops that is usable and right; forced: that one, if it is. NULL: none.
 * Warns about what it rejects. */
const struct luma_simd *lki_simd_choose(const char *forced);
/* Publishes the kernel's choice as service "simd". */
void lki_services_publish_kernel(const char *name, const struct luma_head *table);

#endif
