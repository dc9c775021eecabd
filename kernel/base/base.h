/*
 * base/base.h - what every kernel file stands on: assertions, errors, memory, hashing, messages,
 * counters, locks. One header for users; each idea has a file of its own.
 */
#ifndef LK_BASE_BASE_H
#define LK_BASE_BASE_H

#include <lumadb/arena.h>
#include <lumadb/base.h>
#include <lumadb/error.h>

#include "base/assert.h"
#include "base/bits.h"
#include "base/bytes.h"
#include "base/ctx.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/stats.h"

#endif
