/*
 * base/huge.c - huge pages that are kept for the next who wants one. Getting a page from the system
 * clears it and, on a virtual machine, may make the host find it first: an aggregation spent most
 * of its time so. Kept pages are marked as free to the system, which takes them when it needs
 * memory and leaves them alone otherwise.
 */
#include <sys/mman.h>

#include "base/base.h"
#include "base/mem.h"

#define KEEP_MAX   256 /* pages: 512 MiB */
#define KEEP_SHARE 32  /* of the memory budget, which does not count them */

static struct {
    struct lk_mutex lock;
    uint32_t count;
    void *pages[KEEP_MAX];
} kept = {.lock = LK_MUTEX_INIT(LK_LOCK_HUGE)};

static uint32_t
keep_max(void)
{
    size_t limit = lk_budget_limit(NULL) / KEEP_SHARE / LK_HUGE_BYTES;
    return limit < KEEP_MAX ? (uint32_t)limit : KEEP_MAX;
}

void *
lk_huge_alloc(struct luma_budget *budget)
{
    void *p = NULL;
    if (LK_FAULT("base.alloc") || !lk_budget_reserve(budget, LK_HUGE_BYTES))
        return NULL;
    lk_mutex_lock(&kept.lock);
    if (kept.count > 0)
        p = kept.pages[--kept.count];
    lk_mutex_unlock(&kept.lock);
    if (p == NULL)
        p = lki_map_pages(LK_HUGE_BYTES);
    if (p == NULL)
        lk_budget_unreserve(budget, LK_HUGE_BYTES);
    return p;
}

void
lk_huge_free(struct luma_budget *budget, void *p)
{
    bool keep = false;
    if (p == NULL)
        return;
    /* Before another may have it. */
    bool marked = keep_max() > 0 && madvise(p, LK_HUGE_BYTES, MADV_FREE) == 0;
    lk_mutex_lock(&kept.lock);
    if (marked && kept.count < keep_max()) {
        kept.pages[kept.count++] = p;
        keep = true;
    }
    lk_mutex_unlock(&kept.lock);
    if (!keep) {
        int rc = munmap(p, LK_HUGE_BYTES);
        LK_ASSERT(rc == 0);
    }
    lk_budget_unreserve(budget, LK_HUGE_BYTES);
}
