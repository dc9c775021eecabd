/* base/fault.c - the table of armed faults. */
#include "base/fault.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/lock.h"

#if LK_DEBUG

#define FAULTS_MAX       32
#define FAULT_NAME_BYTES 64

struct fault {
    char name[FAULT_NAME_BYTES];
    uint32_t times, skip;
    uint64_t passes;
};

static struct fault faults[FAULTS_MAX];
static _Atomic uint32_t faults_count; /* read without the lock: the usual case is none */
static struct lk_mutex faults_lock = LK_MUTEX_INIT(LK_LOCK_FAULT);

static struct fault *
fault_find(const char *name)
{
    uint32_t count = atomic_load_explicit(&faults_count, memory_order_relaxed);
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(faults[i].name, name) == 0)
            return &faults[i];
    return NULL;
}

bool
lk_fault_hit(const char *name)
{
    if (LUMA_LIKELY(atomic_load_explicit(&faults_count, memory_order_relaxed) == 0))
        return false;
    lk_mutex_lock(&faults_lock);
    struct fault *f = fault_find(name);
    bool hit = false;
    if (f != NULL) {
        f->passes++;
        if (f->skip > 0) {
            f->skip--;
        } else if (f->times > 0) {
            f->times -= f->times == LK_FAULT_FOREVER ? 0 : 1;
            hit = true;
        }
    }
    lk_mutex_unlock(&faults_lock);
    return hit;
}

void
lk_fault_arm(const char *name, uint32_t times, uint32_t skip)
{
    lk_mutex_lock(&faults_lock);
    struct fault *f = fault_find(name);
    if (f == NULL) {
        uint32_t count = atomic_load_explicit(&faults_count, memory_order_relaxed);
        LK_ASSERT(count < FAULTS_MAX);
        f = &faults[count];
        memset(f, 0, sizeof(*f));
        strncpy(f->name, name, sizeof(f->name) - 1);
        atomic_store_explicit(&faults_count, count + 1, memory_order_release);
    }
    f->times = times;
    f->skip = skip;
    lk_mutex_unlock(&faults_lock);
}

void
lk_fault_disarm_all(void)
{
    lk_mutex_lock(&faults_lock);
    atomic_store_explicit(&faults_count, 0, memory_order_relaxed);
    lk_mutex_unlock(&faults_lock);
}

uint64_t
lk_fault_passes(const char *name)
{
    lk_mutex_lock(&faults_lock);
    struct fault *f = fault_find(name);
    uint64_t passes = f == NULL ? 0 : f->passes;
    lk_mutex_unlock(&faults_lock);
    return passes;
}

#else

void
lk_fault_arm(const char *name, uint32_t times, uint32_t skip)
{
    (void)name, (void)times, (void)skip;
}

void
lk_fault_disarm_all(void)
{
}

uint64_t
lk_fault_passes(const char *name)
{
    (void)name;
    return 0;
}

#endif

static bool
fault_arm_one(const char *p, size_t bytes)
{
    char spec[96];
    if (bytes == 0 || bytes >= sizeof(spec))
        return false;
    memcpy(spec, p, bytes);
    spec[bytes] = '\0';
    uint32_t times = LK_FAULT_FOREVER, skip = 0;
    char *at = strchr(spec, '@'), *end;
    if (at != NULL) {
        *at = '\0';
        skip = (uint32_t)strtoul(at + 1, &end, 10);
        if (end == at + 1 || *end != '\0')
            return false;
    }
    char *eq = strchr(spec, '=');
    if (eq != NULL) {
        *eq = '\0';
        times = (uint32_t)strtoul(eq + 1, &end, 10);
        if (end == eq + 1 || *end != '\0')
            return false;
    }
    lk_fault_arm(spec, times, skip);
    return spec[0] != '\0';
}

bool
lk_fault_arm_text(const char *text)
{
    for (const char *p = text; *p != '\0';) {
        size_t bytes = strcspn(p, ",");
        if (!fault_arm_one(p, bytes))
            return false;
        p += bytes + (p[bytes] == ',' ? 1 : 0);
    }
    return true;
}
