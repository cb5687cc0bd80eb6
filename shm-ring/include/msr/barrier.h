/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * multios shared ring: memory ordering.
 *
 * The one place where kernel and user space differ. The peer is another
 * kernel on another vCPU even when this kernel runs on one CPU, so kernel
 * code takes the virt_* barriers, which are never compiled away.
 */
#ifndef MSR_BARRIER_H
#define MSR_BARRIER_H

#ifdef __KERNEL__

#include <linux/compiler.h>
#include <linux/prefetch.h>
#include <linux/string.h>
#include <linux/types.h>
#include <asm/barrier.h>

#define msr_load_acquire(p)	virt_load_acquire(p)
#define msr_store_release(p, v)	virt_store_release(p, v)
#define msr_load(p)		READ_ONCE(*(p))
#define msr_store(p, v)		WRITE_ONCE(*(p), v)
#define msr_full_barrier()	virt_mb()
#define msr_prefetch_write(p)	prefetchw(p)

#else

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define msr_load_acquire(p)	__atomic_load_n((p), __ATOMIC_ACQUIRE)
#define msr_store_release(p, v)	__atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define msr_load(p)		__atomic_load_n((p), __ATOMIC_RELAXED)
#define msr_store(p, v)		__atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define msr_full_barrier()	__atomic_thread_fence(__ATOMIC_SEQ_CST)
/* not __builtin_prefetch(p, 1): without -mprfchw it becomes a prefetch for reading */
#define msr_prefetch_write(p)	__asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)(p)))

#endif

#define msr_compiler_barrier()	__asm__ __volatile__("" ::: "memory")

#define msr_prefetch(p)		__builtin_prefetch(p)

/* shared memory in units that are loaded and stored whole, whatever lies in them */
typedef __u64 __attribute__((__may_alias__)) msr_word;

static inline void msr_copy_words(void *to, const void *from, unsigned int bytes)
{
	const msr_word *src = (const msr_word *)from;
	msr_word *dst = (msr_word *)to;
	unsigned int i;

	for (i = 0; i < bytes / sizeof(*dst); i++)
		msr_store(&dst[i], msr_load(&src[i]));
}

/*
 * @x as a word of which the compiler knows nothing but what it can compute now: it does not join
 * its load with others.
 */
#define msr_apart(x)								\
	(__extension__({							\
		__u64 msr_apart_ = (x);						\
		if (!__builtin_constant_p(msr_apart_))				\
			__asm__("" : "+r"(msr_apart_));				\
		msr_apart_;							\
	}))

#define msr_unlikely(x)		__builtin_expect(!!(x), 0)

#define msr_must_check		__attribute__((warn_unused_result))

#endif /* MSR_BARRIER_H */
