// SPDX-License-Identifier: GPL-2.0
/*
 * multios_hang: a kernel that hangs, on demand. A timer begins the endless loop some time after
 * insmod, on the CPU that ran insmod. With kind=ring all goes on but the polls of mos0: the back
 * takes nothing out of its rings.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/string.h>
#include <linux/timer.h>

static char *kind = "interrupts";
module_param(kind, charp, 0);
MODULE_PARM_DESC(kind, "interrupts: they are off; softirq: one does not end; ring: no poll of mos0");

static struct timer_list begin;

static void loop(struct timer_list *unused)
{
	pr_info("%s: now\n", kind);
	if (!strcmp(kind, "interrupts"))
		local_irq_disable();
	for (;;)
		cpu_relax();
}

static int stop_polls(void)
{
	struct net_device *dev;
	struct napi_struct *napi;

	rtnl_lock();
	dev = __dev_get_by_name(&init_net, "mos0");
	if (dev) {
		pr_info("%s: now\n", kind);
		/* for good: whoever disables them once more waits for ever */
		list_for_each_entry(napi, &dev->napi_list, dev_list)
			napi_disable(napi);
	}
	rtnl_unlock();
	return dev ? 0 : -ENODEV;
}

static int __init hang_init(void)
{
	if (!strcmp(kind, "ring"))
		return stop_polls();
	if (strcmp(kind, "interrupts") && strcmp(kind, "softirq")) {
		pr_err("kind=%s: it must be interrupts, softirq or ring\n", kind);
		return -EINVAL;
	}
	timer_setup(&begin, loop, 0);
	mod_timer(&begin, jiffies + HZ / 2);
	return 0;
}

/* No exit: a kernel that has begun to hang cannot unload. */
module_init(hang_init);

MODULE_DESCRIPTION("Test of the multios device: hang the kernel");
MODULE_LICENSE("GPL");
