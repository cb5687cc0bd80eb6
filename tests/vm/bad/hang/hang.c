// SPDX-License-Identifier: GPL-2.0
/*
 * multios_hang: a kernel that hangs, on demand. A timer begins the endless loop some time after
 * insmod, on the CPU that ran insmod.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/string.h>
#include <linux/timer.h>

static char *kind = "interrupts";
module_param(kind, charp, 0);
MODULE_PARM_DESC(kind, "interrupts: they are off; softirq: one does not end");

static struct timer_list begin;

static void loop(struct timer_list *unused)
{
	pr_info("%s: now\n", kind);
	if (!strcmp(kind, "interrupts"))
		local_irq_disable();
	for (;;)
		cpu_relax();
}

static int __init hang_init(void)
{
	if (strcmp(kind, "interrupts") && strcmp(kind, "softirq")) {
		pr_err("kind=%s: it must be interrupts or softirq\n", kind);
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
