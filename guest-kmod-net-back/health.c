// SPDX-License-Identifier: GPL-2.0
/*
 * Tells the device that this kernel is alive (heartbeat) or has panicked. Each beat also reads
 * REQUEST, by which the device asks the back to shut down, as a power button would.
 *
 * A work item writes the heartbeat, on each CPU in turn. The beats stop when one CPU does not run
 * the item for as long as the device waits: interrupts are off, softirqs do not end, or a task does
 * not give the CPU up (of a higher scheduling class, or in a kernel without preemption). A beat
 * also says whether a crash kernel is loaded: panic() jumps into it before it calls its notifiers,
 * and the device then waits for that kernel's reset.
 */
#include <linux/cpu.h>
#include <linux/kexec.h>
#include <linux/notifier.h>
#include <linux/panic_notifier.h>
#include <linux/platform_device.h>
#include <linux/reboot.h>
#include <linux/suspend.h>

#include "../guest-kmod-common/kcompat.h"
#include "../guest-kmod-common/regs.h"
#include "mnet.h"

/* Beats in the time that the device waits for one; if it waits for none, one each second */
#define BEATS	5
#define SLOW	HZ

static bool crash_kernel_loaded(void)
{
#ifdef CONFIG_KEXEC_CORE
	return kexec_crash_loaded();
#else
	return false;
#endif
}

/* User space shuts down in order; without its poweroff command the kernel powers off at once. */
static void look_for_request(struct mnet *mnet)
{
	if (mnet->powers_off ||
	    !(readl(mnet->regs + MULTIOS_REG_REQUEST) & MULTIOS_REQUEST_POWER_DOWN))
		return;
	mnet->powers_off = true;
	dev_info(&mnet->pdev->dev, "asked to power off\n");
	orderly_poweroff(true);
}

static void beat(struct work_struct *work)
{
	struct mnet *mnet = container_of(to_delayed_work(work), struct mnet, heartbeat);
	unsigned int cpu;

	writel(MULTIOS_BEAT_ALIVE | (crash_kernel_loaded() ? MULTIOS_BEAT_CRASH_KERNEL : 0),
	       mnet->regs + MULTIOS_REG_HEARTBEAT);
	look_for_request(mnet);
	/* on each CPU in turn: one may hang while others go on. The lock keeps @cpu online. */
	cpus_read_lock();
	cpu = cpumask_next(raw_smp_processor_id(), cpu_online_mask);
	if (cpu >= nr_cpu_ids)
		cpu = cpumask_first(cpu_online_mask);
	queue_delayed_work_on(cpu, mnet->health_wq, &mnet->heartbeat, mnet->heartbeat_period);
	cpus_read_unlock();
}

static void start_beat(struct mnet *mnet)
{
	queue_delayed_work(mnet->health_wq, &mnet->heartbeat, 0);
}

static void stop_beat(struct mnet *mnet)
{
	cancel_delayed_work_sync(&mnet->heartbeat);
	writel(0, mnet->regs + MULTIOS_REG_HEARTBEAT);
}

/* Suspend and hibernation stop the work queues for longer than the device waits. */
static int suspended(struct notifier_block *nb, unsigned long event, void *unused)
{
	struct mnet *mnet = container_of(nb, struct mnet, pm);

	switch (event) {
	case PM_HIBERNATION_PREPARE:
	case PM_SUSPEND_PREPARE:
	case PM_RESTORE_PREPARE:
		stop_beat(mnet);
		break;
	case PM_POST_HIBERNATION:
	case PM_POST_SUSPEND:
	case PM_POST_RESTORE:
		start_beat(mnet);
		break;
	}
	return NOTIFY_DONE;
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

int mnet_health_start(struct mnet *mnet)
{
	/* ms; 0: off, or a device that has no such register */
	u32 limit = readl(mnet->regs + MULTIOS_REG_HEARTBEAT);

	/* its own queue: it has a rescuer, and no long work of others delays a beat */
	mnet->health_wq = alloc_workqueue("multios_health",
					  WQ_HIGHPRI | WQ_MEM_RECLAIM | WQ_PERCPU, 0);
	if (!mnet->health_wq)
		return -ENOMEM;
	mnet->panic.notifier_call = panicked;
	/* last: the other notifiers have printed by then, as the device may stop this CPU */
	mnet->panic.priority = INT_MIN;
	atomic_notifier_chain_register(&panic_notifier_list, &mnet->panic);
	INIT_DELAYED_WORK(&mnet->heartbeat, beat);
	mnet->heartbeat_period = limit ? max(msecs_to_jiffies(limit / BEATS), 1UL) : SLOW;
	start_beat(mnet);
	mnet->pm.notifier_call = suspended;
	register_pm_notifier(&mnet->pm);
	return 0;
}

void mnet_health_stop(struct mnet *mnet)
{
	unregister_pm_notifier(&mnet->pm);
	stop_beat(mnet);
	atomic_notifier_chain_unregister(&panic_notifier_list, &mnet->panic);
	destroy_workqueue(mnet->health_wq);
}
