/* host/simd.c - which inner loops this process uses: service "simd" version 1. */
#include <stdio.h>

#include "host/check_priv.h"

#define COMPARE_ROUNDS 40 /* a few milliseconds; `modules --check` does 3,000 */

struct choice {
    const struct luma_simd *best;
    const struct luma_simd *scalar;
    const char *forced;
    const char *rejected; /* name of the variant that was found wrong in this pass */
    int32_t below;        /* rank bound: variants at or above were found wrong */
};

static void
consider(void *arg, const struct luma_service_info *info)
{
    struct choice *choice = arg;
    const struct luma_simd *s = (const struct luma_simd *)info->table;
    if (s->head.major != LUMA_SIMD_MAJOR || s->head.size_bytes < sizeof(*s))
        return;
    if (choice->forced != NULL && strcmp(choice->forced, s->name) != 0)
        return;
    if (!s->usable() || s->rank >= choice->below)
        return;
    if (choice->best == NULL || s->rank > choice->best->rank)
        choice->best = s;
}

const struct luma_simd *
lki_simd_choose(const char *forced)
{
    struct choice choice = {.below = INT32_MAX, .forced = forced};
    choice.scalar =
        (const struct luma_simd *)lk_services_host.lookup("simd.scalar", LUMA_SIMD_MAJOR);
    for (;;) {
        choice.best = NULL;
        lk_services_host.each("simd.", consider, &choice);
        if (choice.best == NULL || choice.best == choice.scalar || choice.scalar == NULL)
            break;
        const char *wrong = lki_simd_compare(choice.best, choice.scalar, 1, COMPARE_ROUNDS);
        if (wrong == NULL)
            break;
        lk_log_error("host", "simd %s is not used: its %s differs from the scalar one",
                     choice.best->name, wrong);
        choice.below = choice.best->rank;
    }
    if (choice.best == NULL && forced != NULL) {
        lk_log_warn("host", "[simd] use = \"%s\" is not there or not usable on this machine",
                    forced);
        return lki_simd_choose(NULL);
    }
    if (choice.best != NULL)
        lk_log_debug("host", "inner loops: %s", choice.best->name);
    return choice.best;
}
