// SPDX-License-Identifier: GPL-2.0
/*
 * The standby state of the back: the device copies this OS, and later starts the back from the copy
 * instead of booting it. The copy is taken before any PCI device has a driver, so that this OS has
 * no state outside memory and CPUs. Each such start continues in wait_until_taken(), where only the
 * clock has changed.
 */
#include <linux/io.h>
#include <linux/moduleparam.h>
#include <linux/nmi.h>
#include <linux/platform_device.h>
#include <linux/random.h>
#include <linux/stop_machine.h>
#include <linux/timekeeping.h>

#include "../guest-kmod-common/regs.h"
#include "mnet.h"

static bool checkpoint;
module_param(checkpoint, bool, 0444);
MODULE_PARM_DESC(checkpoint, "let the device copy this OS and start the back from the copy; load before any PCI device has a driver (default N)");

/* In stop_machine(): all other CPUs wait with interrupts off. */
static int wait_until_taken(void *data)
{
	void __iomem *reg = (void __iomem __force *)data;

	writel(MULTIOS_CHECKPOINT_WANTED, reg);
	while (readl(reg) & MULTIOS_CHECKPOINT_BUSY)
		cpu_relax();
	/* the clock may have jumped by hours: no lockup report */
	touch_nmi_watchdog();
	return 0;
}

/* Starts from one state draw the same random numbers until the kernel reseeds from this pool. */
static void reseed(u32 generation)
{
	struct {
		u64 cycles;
		ktime_t now;
		u32 generation;
	} seed = {
		.cycles = get_cycles(),
		.now = ktime_get(),
		.generation = generation,
	};

	add_device_randomness(&seed, sizeof(seed));
}

void mnet_checkpoint(struct mnet *mnet)
{
	void __iomem *reg = mnet->regs + MULTIOS_REG_CHECKPOINT;
	struct device *dev = &mnet->pdev->dev;
	u32 generation, now;

	if (!checkpoint)
		return;
	if (!(readl(reg) & MULTIOS_CHECKPOINT_WANTED)) {
		dev_info(dev, "the device asks for no standby state (see back-standby)\n");
		return;
	}
	generation = readl(mnet->regs + MULTIOS_REG_BACK_GENERATION);
	stop_machine(wait_until_taken, (void __force *)reg, NULL);
	now = readl(mnet->regs + MULTIOS_REG_BACK_GENERATION);
	reseed(now);
	if (now != generation)
		dev_info(dev, "start %u, from the standby state of start %u\n", now, generation);
}
