/* host/check_priv.h - conformance runs: one file per kind, and what they share. */
#ifndef LK_HOST_CHECK_PRIV_H
#define LK_HOST_CHECK_PRIV_H

#include <lumadb/batch.h>
#include <lumadb/kind/simd.h>

#include "host/host_priv.h"

/* One run over one module. */
struct lki_check {
    struct lk_ctx c; /* reset before each call that may fail */
    struct luma_arena *arena;
    const struct luma_host *host;
    const struct lk_host_module *module;
    const struct luma_simd *simd; /* scalar loops; NULL: none loaded */
    struct lk_rand rand;
    void (*say)(void *arg, bool ok, const char *line);
    void *arg;
    size_t tests, failed;
    const char *why; /* what the current test found wrong first; NULL: nothing */
    char why_text[256];
};

/* Reports one test under its name, with what lki_check_wrong noted meanwhile, and clears that. */
void lki_check_done(struct lki_check *k, const char *name);
/* Notes what is wrong, once per test; gives false, so that `return lki_check_wrong(...)` reads. */
bool lki_check_wrong(struct lki_check *k, const char *fmt, ...) LUMA_PRINTF(2, 3);
struct luma_ctx *lki_check_ctx(struct lki_check *k); /* with the error reset */

/* `bytes` of memory right before a page that traps; writing behind it ends the process, which is
 * the verdict. The page before is filled with a pattern that lki_guard_intact looks at. */
struct lki_guard {
    uint8_t *data;
    size_t bytes;
    uint8_t *map;
    size_t map_bytes;
};
bool lki_guard_init(struct lki_guard *g, size_t bytes, size_t align);
bool lki_guard_intact(const struct lki_guard *g);
void lki_guard_fini(struct lki_guard *g);

/* Runs fn(arg, i) on `count` threads and waits. */
void lki_check_threads(unsigned count, void (*fn)(void *arg, unsigned index), void *arg);

void lki_check_codec(struct lki_check *k, const struct luma_head *table);
void lki_check_encoding(struct lki_check *k, const struct luma_head *table);
void lki_check_index(struct lki_check *k, const struct luma_head *table);
void lki_check_function(struct lki_check *k, const struct luma_head *table);
void lki_check_simd(struct lki_check *k, const struct luma_head *table);
void lki_check_frontend(struct lki_check *k, const struct luma_head *table);

/* Compares a variant with the scalar one over random input; NULL: all alike, else the name of the
 * first function that differs. */
const char *lki_simd_compare(const struct luma_simd *variant, const struct luma_simd *scalar,
                             uint64_t seed, unsigned rounds);

#endif
