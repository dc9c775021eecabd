/*
 * base/fault.h - places that can be told to fail. Debug builds only: a release build folds each to
 * `false`.
 *
 *     if (LK_FAULT("wal.append.full"))
 *         return LUMA_FAIL(ctx, LUMA_E_FULL, "...");
 *
 * Armed by tests through lk_fault_arm or by the environment: LUMA_FAULTS="wal.append.full=1@3"
 * fails once, after three passes; "name" alone fails for ever.
 */
#ifndef LK_BASE_FAULT_H
#define LK_BASE_FAULT_H

#include "base/assert.h"

#define LK_FAULT_FOREVER UINT32_MAX

#if LK_DEBUG
/* True when the fault is armed and it is its turn. Any thread. */
bool lk_fault_hit(const char *name);
#define LK_FAULT(name) lk_fault_hit(name)
#else
#define LK_FAULT(name) false
#endif

/* Fails `times` passes (LK_FAULT_FOREVER: all) after letting `skip` go by. No-op in release. */
void lk_fault_arm(const char *name, uint32_t times, uint32_t skip);
void lk_fault_disarm_all(void);
/* "name[=times][@skip]", comma separated; false: not understood. */
bool lk_fault_arm_text(const char *text);
/* How often the place was passed while armed. */
uint64_t lk_fault_passes(const char *name);

#endif
