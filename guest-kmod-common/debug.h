/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Assertions that debug builds look at (scripts/build-kmod --debug).
 *
 * mos_assert(cond): an invariant.
 *
 * Stock kernels are built without lockdep, and lockdep_assert_held() is empty there. A debug build
 * warns if nobody holds the lock; whether the caller is the holder cannot be told.
 */
#ifndef MOS_DEBUG_H
#define MOS_DEBUG_H

#include <linux/bug.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>

#ifdef MULTIOS_DEBUG
#define mos_assert(cond)	WARN_ON_ONCE(!(cond))
#ifndef CONFIG_LOCKDEP
#undef lockdep_assert_held
#define lockdep_assert_held(l) \
	WARN_ON_ONCE(!_Generic((l), \
		spinlock_t *: spin_is_locked((spinlock_t *)(l)), \
		struct mutex *: mutex_is_locked((struct mutex *)(l)), \
		default: true))
#endif
#else
#define mos_assert(cond)	BUILD_BUG_ON_INVALID(cond)
#endif

#endif /* MOS_DEBUG_H */
