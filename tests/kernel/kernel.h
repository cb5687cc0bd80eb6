/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * As much of a kernel as the files of the front module need to run as a program: one CPU, no
 * interrupts. Timers and tasklets run when the test says so, jiffies pass when it says so, and a
 * lock that is not held where it must be, or held where it must not be, ends the program. The
 * headers below linux/ and rdma/ that a module's file asks for lead here.
 */
#ifndef TESTS_KERNEL_KERNEL_H
#define TESTS_KERNEL_KERNEL_H

#include <errno.h>
#include <limits.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/types.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "prelude.h"

/* assertions of guest-kmod-common/debug.h count, and lockdep_assert_held() is the one below */
#define MULTIOS_DEBUG
#define CONFIG_LOCKDEP

typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
typedef unsigned int gfp_t;
typedef u64 phys_addr_t;
typedef struct { int counter; } atomic_t;

#define KERNEL_MUST(cond)	do { if (!(cond)) { fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #cond); abort(); } } while (0)

/* ---- arithmetic, byte order, memory ---- */

#define likely(x)		(x)
#define unlikely(x)		(x)
#define BIT(n)			(1UL << (n))
#define BIT_ULL(n)		(1ULL << (n))
#define U8_MAX			UINT8_MAX
#define U16_MAX			UINT16_MAX
#define U32_MAX			UINT32_MAX
#define U64_MAX			UINT64_MAX
#define S32_MAX			INT32_MAX
#define PAGE_SHIFT		12
#define PAGE_SIZE		4096UL
#define PAGE_MASK		(~(PAGE_SIZE - 1))
#define HZ			250
#define static_assert		_Static_assert_1
#define _Static_assert_1(...)	_Static_assert_2(__VA_ARGS__, "")
#define _Static_assert_2(c, ...) _Static_assert(c, #c)
#ifndef __packed
#define __packed		__attribute__((packed))
#endif
#define __must_check		__attribute__((warn_unused_result))
#define __percpu
#define __iomem
#define __user
#define __rcu
#define __force
#define __aligned(n)	__attribute__((aligned(n)))
#define ____cacheline_aligned
#define fallthrough		__attribute__((fallthrough))
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define container_of(p, t, m)	((t *)((char *)(p) - offsetof(t, m)))
#define min(a, b) \
	({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ < b_ ? a_ : b_; })
#define max(a, b) \
	({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ > b_ ? a_ : b_; })
#define min_t(t, a, b)		min((t)(a), (t)(b))
#define max_t(t, a, b)		max((t)(a), (t)(b))
#define clamp(v, lo, hi)	min(max(v, lo), hi)
#define DIV_ROUND_UP(n, d)	(((n) + (d) - 1) / (d))
#define round_down(x, y)	((x) & ~((__typeof__(x))((y) - 1)))
#define ALIGN(x, a)		(((x) + (a) - 1) & ~((__typeof__(x))(a) - 1))
#define BUILD_BUG_ON(c)		_Static_assert(!(c), #c)
#define swap(a, b)		do { __typeof__(a) t_ = (a); (a) = (b); (b) = t_; } while (0)
#define for_each_set_bit(bit, p, n) for ((bit) = 0; (bit) < (n); (bit)++) if (*(p) >> (bit) & 1)

static inline unsigned long roundup_pow_of_two(unsigned long n)
{
	unsigned long p = 1;

	while (p < n)
		p <<= 1;
	return p;
}

#define cpu_to_be16(x)		((__be16)__builtin_bswap16(x))
#define cpu_to_be32(x)		((__be32)__builtin_bswap32(x))
#define cpu_to_be64(x)		((__be64)__builtin_bswap64(x))
#define be16_to_cpu(x)		__builtin_bswap16(x)
#define be32_to_cpu(x)		__builtin_bswap32(x)
#define be64_to_cpu(x)		__builtin_bswap64(x)
#define htons			cpu_to_be16
#define htonl			cpu_to_be32
#define ntohs			be16_to_cpu
#define ntohl			be32_to_cpu

#define READ_ONCE(x)		(*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v)	(*(volatile __typeof__(x) *)&(x) = (v))
#define smp_load_acquire(p)	READ_ONCE(*(p))
#define smp_store_release(p, v)	WRITE_ONCE(*(p), v)
#define smp_mb()		__sync_synchronize()
static inline bool xchg(bool *p, bool v) { bool old = *p; *p = v; return old; }
static inline int atomic_cmpxchg(atomic_t *v, int old, int new)
{
	int was = v->counter;

	if (was == old)
		v->counter = new;
	return was;
}

#define GFP_KERNEL		0u
#define GFP_KERNEL_ACCOUNT	0u
#define GFP_ATOMIC		0u
#define __GFP_NOWARN		0u
#define __GFP_RETRY_MAYFAIL	0u
#define kmalloc(n, gfp)		malloc(n)
#define kzalloc(n, gfp)		calloc(1, n)
#define kcalloc(n, size, gfp)	calloc(n, size)
#define kvcalloc		kcalloc
#define kvzalloc		kzalloc
#define struct_size(p, m, n)	(offsetof(__typeof__(*(p)), m) + (n) * sizeof((p)->m[0]))
#define kvmalloc_array(n, size, gfp) malloc((size_t)(n) * (size))
#define kfree(p)		free((void *)(p))
#define kvfree			kfree

#define MAX_ERRNO		4095
static inline void *ERR_PTR(long err) { return (void *)err; }
static inline bool IS_ERR(const void *p) { return (unsigned long)p >= (unsigned long)-MAX_ERRNO; }
static inline long PTR_ERR(const void *p) { return (long)p; }

#define WARN_ON_ONCE(cond)	({ bool w_ = !!(cond); KERNEL_MUST(!w_); w_; })
#define WARN_ON			WARN_ON_ONCE

/* ---- lists ---- */

struct list_head { struct list_head *next, *prev; };

#define LIST_HEAD(name)		struct list_head name = { &(name), &(name) }
static inline void INIT_LIST_HEAD(struct list_head *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list_head *l) { return l->next == l; }

static inline bool list_empty_careful(const struct list_head *l) { return list_empty(l); }

static inline void list_add(struct list_head *e, struct list_head *l)
{
	e->prev = l;
	e->next = l->next;
	l->next->prev = e;
	l->next = e;
}

static inline void list_add_tail(struct list_head *e, struct list_head *l) { list_add(e, l->prev); }

static inline void list_del(struct list_head *e)
{
	e->prev->next = e->next;
	e->next->prev = e->prev;
	e->next = e->prev = NULL;
}

static inline void list_del_init(struct list_head *e)
{
	list_del(e);
	INIT_LIST_HEAD(e);
}

#define list_for_each_entry_safe(p, n, l, m)                                                 \
	for ((p) = list_first_entry(l, __typeof__(*(p)), m);                                 \
	     &(p)->m != (l) && ((n) = container_of((p)->m.next, __typeof__(*(p)), m), true); \
	     (p) = (n))
#define list_entry		container_of
#define list_first_entry(l, t, m) list_entry((l)->next, t, m)
#define list_first_entry_or_null(l, t, m) (list_empty(l) ? NULL : container_of((l)->next, t, m))

/* ---- locks: held or not ---- */

typedef struct { bool held; } spinlock_t;
typedef spinlock_t rwlock_t;
struct mutex { bool held; };
struct rcu_head { int unused; };

static inline void lock_any(spinlock_t *l) { KERNEL_MUST(!l->held); l->held = true; }
static inline void unlock_any(spinlock_t *l) { KERNEL_MUST(l->held); l->held = false; }
#define spin_lock_init(l)	((l)->held = false)
#define rwlock_init		spin_lock_init
#define spin_lock		lock_any
#define spin_lock_bh		lock_any
#define spin_lock_irqsave(l, f)	((f) = 0, lock_any(l))
#define spin_unlock		unlock_any
#define spin_unlock_bh		unlock_any
#define spin_unlock_irqrestore(l, f) ((void)(f), unlock_any(l))
#define lockdep_assert_held(l)	KERNEL_MUST((l)->held)
typedef struct { int unused; } local_lock_t;
#define local_lock_init(l)	((void)(l))
#define rcu_read_lock()		((void)0)
#define rcu_read_unlock()	((void)0)

#define DECLARE_HASHTABLE(name, bits) int name
struct hrtimer { int unused; };
struct notifier_block { int priority; };
struct work_struct { int unused; };
struct delayed_work { int unused; };
#define system_wq		NULL
/* Only mos_link_kick() after a fault would call this: no peer here breaks the ring's rules. */
static inline void mod_delayed_work(void *wq, struct delayed_work *work, unsigned long delay)
{
	(void)wq;
	(void)work;
	KERNEL_MUST(delay);
}
struct ida { int unused; };

struct kref { int n; };
static inline void kref_init(struct kref *k) { k->n = 1; }
static inline void kref_get(struct kref *k) { KERNEL_MUST(k->n++ > 0); }
static inline bool kref_get_unless_zero(struct kref *k) { return k->n ? k->n++ : 0; }

static inline int kref_put(struct kref *k, void (*release)(struct kref *k))
{
	KERNEL_MUST(k->n > 0);
	if (--k->n)
		return 0;
	release(k);
	return 1;
}

/* Nothing else runs, so a wait would last for ever: an error. */
struct completion { bool done; };
static inline void init_completion(struct completion *c) { c->done = false; }
static inline void complete(struct completion *c) { c->done = true; }
static inline void wait_for_completion(struct completion *c) { KERNEL_MUST(c->done); }

/* ---- time, timers, tasklets: the test makes them run ---- */

extern unsigned long jiffies;

#define time_after(a, b)	((long)((b) - (a)) < 0)
#define time_before(a, b)	time_after(b, a)
static inline unsigned long nsecs_to_jiffies(u64 ns) { return ns / (1000000000 / HZ); }
static inline unsigned long usecs_to_jiffies(u32 us) { return DIV_ROUND_UP(us, 1000000 / HZ); }

struct timer_list {
	void (*function)(struct timer_list *t);
	unsigned long expires;
	bool pending;
};

#define timer_setup(t, f, flags) (*(t) = (struct timer_list){ .function = (f) })
#define from_timer(var, t, m)	container_of(t, __typeof__(*(var)), m)

static inline int mod_timer(struct timer_list *t, unsigned long expires)
{
	t->expires = expires;
	t->pending = true;
	return 0;
}

static inline int del_timer_sync(struct timer_list *t)
{
	t->pending = false;
	return 0;
}

/* In the order in which they were scheduled, as the kernel runs them */
struct tasklet_struct {
	void (*function)(struct tasklet_struct *t);
	bool scheduled;
	struct list_head entry;
};

extern struct list_head tasklets;

#define tasklet_setup(t, f)	(*(t) = (struct tasklet_struct){ .function = (f) })
#define from_tasklet(var, t, m)	container_of(t, __typeof__(*(var)), m)

static inline void tasklet_schedule(struct tasklet_struct *t)
{
	if (t->scheduled)
		return;
	t->scheduled = true;
	list_add_tail(&t->entry, &tasklets);
}

static inline void tasklet_kill(struct tasklet_struct *t)
{
	if (t->scheduled) {
		t->scheduled = false;
		list_del(&t->entry);
		t->function(t);
	}
}

/* ---- one CPU ---- */

#define alloc_percpu(t)		((t *)calloc(1, sizeof(t)))
#define free_percpu(p)		free(p)
#define this_cpu_ptr(p)		(p)
#define per_cpu_ptr(p, cpu)	((void)(cpu), (p))
#define this_cpu_add(x, n)	((x) += (n))
#define for_each_possible_cpu(c) for ((c) = 0; (c) < 1; (c)++)

/* ---- arrays by index: small numbers here ---- */

struct xarray {
	spinlock_t lock;
	void **slot;
	size_t slots;
};

struct xa_limit { u32 min, max; };

#define XA_LIMIT(lo, hi)	((struct xa_limit){ (lo), (hi) })
#define xa_lock_bh(xa)		lock_any(&(xa)->lock)
#define xa_unlock_bh(xa)	unlock_any(&(xa)->lock)

static inline void *xa_load(struct xarray *xa, unsigned long index)
{
	return index < xa->slots ? xa->slot[index] : NULL;
}

#define XA_PRESENT	8
static inline void *xa_find(struct xarray *xa, unsigned long *index, unsigned long max, int filter)
{
	(void)filter;
	for (; *index < xa->slots && *index <= max; ++*index)
		if (xa_load(xa, *index))
			return xa_load(xa, *index);
	return NULL;
}

static inline int __xa_insert(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp)
{
	size_t n = roundup_pow_of_two(index + 1);

	(void)gfp;
	KERNEL_MUST(index < 1 << 16);
	if (xa_load(xa, index))
		return -EBUSY;
	if (n > xa->slots) {
		xa->slot = realloc(xa->slot, n * sizeof(*xa->slot));
		KERNEL_MUST(xa->slot);
		memset(xa->slot + xa->slots, 0, (n - xa->slots) * sizeof(*xa->slot));
		xa->slots = n;
	}
	xa->slot[index] = entry;
	return 0;
}

static inline int __xa_alloc_cyclic(struct xarray *xa, u32 *index, void *entry,
				    struct xa_limit limit, u32 *next, gfp_t gfp)
{
	if (*next < limit.min || *next > limit.max)
		*next = limit.min;
	*index = (*next)++;
	return __xa_insert(xa, *index, entry, gfp);
}

static inline void *xa_erase_bh(struct xarray *xa, unsigned long index)
{
	void *entry = xa_load(xa, index);

	lock_any(&xa->lock);
	if (entry)
		xa->slot[index] = NULL;
	unlock_any(&xa->lock);
	return entry;
}

static inline void xa_destroy(struct xarray *xa)
{
	free(xa->slot);
	xa->slot = NULL;
	xa->slots = 0;
}

/* ---- network ---- */

#define VLAN_HLEN		4
#define VLAN_N_VID		4096
#define VLAN_VID_MASK		0x0fff
#define VLAN_PRIO_SHIFT		13
#define IP_DF			0x4000
#define IP_MF			0x2000
#define IP_OFFSET		0x1fff

struct sk_buff;
struct device;
struct pci_dev;
struct netdev_queue;
struct ethtool_ops;
struct rtnl_link_stats64;
typedef u64 netdev_features_t;
typedef int netdev_tx_t;

struct net_device {
	u8 dev_addr[ETH_ALEN];
	unsigned int mtu;
	void *priv;
};

static inline void *netdev_priv(const struct net_device *dev) { return dev->priv; }

/* Polled when the test says so */
struct napi_struct {
	int (*poll)(struct napi_struct *napi, int budget);
	bool enabled, scheduled;
};

static inline void netif_napi_add(struct net_device *dev, struct napi_struct *napi,
				  int (*poll)(struct napi_struct *, int))
{
	(void)dev;
	*napi = (struct napi_struct){ .poll = poll };
}

static inline void napi_enable(struct napi_struct *napi) { napi->enabled = true; }
static inline void cond_resched(void) {}

static inline void napi_disable(struct napi_struct *napi)
{
	napi->enabled = napi->scheduled = false;
}
static inline void napi_schedule(struct napi_struct *napi) { napi->scheduled = napi->enabled; }
static inline bool napi_complete_done(struct napi_struct *napi, int work)
{
	(void)napi;
	(void)work;
	return true;
}
static inline bool napi_complete(struct napi_struct *napi) { return napi_complete_done(napi, 0); }
#define local_bh_disable()	((void)0)
#define local_bh_enable()	((void)0)

static inline bool ipv6_addr_v4mapped(const struct in6_addr *a)
{
	static const u8 prefix[12] = { [10] = 0xff, [11] = 0xff };

	return !memcmp(a, prefix, sizeof(prefix));
}

static inline void ipv6_addr_set_v4mapped(__be32 v4, struct in6_addr *a)
{
	memset(a, 0, sizeof(*a));
	memset((u8 *)a + 10, 0xff, 2);
	memcpy((u8 *)a + 12, &v4, sizeof(v4));
}

static inline void ip6_flow_hdr(struct ipv6hdr *ip, unsigned int tclass, __be32 flow)
{
	*(__be32 *)ip = htonl(0x60000000 | tclass << 20) | flow;
}

static inline bool ipv4_is_multicast(__be32 a) { return (ntohl(a) & 0xf0000000) == 0xe0000000; }
static inline bool ipv6_addr_is_multicast(const struct in6_addr *a)
{
	return a->s6_addr[0] == 0xff;
}

/* Always up, and without VLANs */
static inline bool netif_running(const struct net_device *dev) { return dev; }

static inline struct net_device *__vlan_find_dev_deep_rcu(struct net_device *dev, __be16 proto,
							  u16 id)
{
	(void)dev;
	(void)proto;
	(void)id;
	return NULL;
}

static inline bool ether_addr_equal(const u8 *a, const u8 *b) { return !memcmp(a, b, ETH_ALEN); }
static inline void ether_addr_copy(u8 *to, const u8 *from) { memcpy(to, from, ETH_ALEN); }
static inline bool is_zero_ether_addr(const u8 *a)
{
	return !(a[0] | a[1] | a[2] | a[3] | a[4] | a[5]);
}
static inline bool is_multicast_ether_addr(const u8 *a) { return a[0] & 1; }

#endif /* TESTS_KERNEL_KERNEL_H */
