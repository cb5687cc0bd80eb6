// SPDX-License-Identifier: GPL-2.0
/*
 * Health of the back's kernel, as the device is told of it: a heartbeat, and a panic.
 *
 * The heartbeat is written by a work item: it stops when interrupts are off, softirqs do not end or
 * the scheduler is dead. Whether a crash kernel is loaded goes along, for panic() jumps into one
 * before it calls its notifiers, and the device then waits for that kernel's reset.
 */
#include <linux/kexec.h>
#include <linux/notifier.h>
#include <linux/panic_notifier.h>

#include "../guest-kmod-common/kcompat.h"
#include "../guest-kmod-common/regs.h"
#include "mnet.h"

/* Writes in the time that the device waits for one. */
#define BEATS	5

static bool crash_kernel_loaded(void)
{
#ifdef CONFIG_KEXEC_CORE
	return kexec_crash_loaded();
#else
	return false;
#endif
}

static void beat(struct work_struct *work)
{
	struct mnet *mnet = container_of(to_delayed_work(work), struct mnet, heartbeat);

	writel(MULTIOS_BEAT_ALIVE | (crash_kernel_loaded() ? MULTIOS_BEAT_CRASH_KERNEL : 0),
	       mnet->regs + MULTIOS_REG_HEARTBEAT);
	queue_delayed_work(system_highpri_wq, &mnet->heartbeat, mnet->heartbeat_period);
}

/* Any context, other CPUs stopped. The device may stop this one before the write returns. */
static int panicked(struct notifier_block *nb, unsigned long event, void *text)
{
	struct mnet *mnet = container_of(nb, struct mnet, panic);

	/* notified before it: crash_kexec_post_notifiers */
	writel(crash_kernel_loaded() ? MULTIOS_PANIC_CRASH_KERNEL : MULTIOS_PANIC_PANICKED,
	       mnet->regs + MULTIOS_REG_PANIC);
	return NOTIFY_DONE;
}

void mnet_health_start(struct mnet *mnet)
{
	/* ms; 0: off, or a device that has no such register */
	u32 limit = readl(mnet->regs + MULTIOS_REG_HEARTBEAT);

	mnet->panic.notifier_call = panicked;
	/* last: what others have to print is on the console then */
	mnet->panic.priority = INT_MIN;
	atomic_notifier_chain_register(&panic_notifier_list, &mnet->panic);
	INIT_DELAYED_WORK(&mnet->heartbeat, beat);
	mnet->heartbeat_period = max(msecs_to_jiffies(limit / BEATS), 1UL);
	if (limit)
		queue_delayed_work(system_highpri_wq, &mnet->heartbeat, 0);
}

void mnet_health_stop(struct mnet *mnet)
{
	cancel_delayed_work_sync(&mnet->heartbeat);
	writel(0, mnet->regs + MULTIOS_REG_HEARTBEAT);
	atomic_notifier_chain_unregister(&panic_notifier_list, &mnet->panic);
}
