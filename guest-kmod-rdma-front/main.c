// SPDX-License-Identifier: GPL-2.0
/*
 * multios_rdma: the front OS's end of a multios VM. Binds to the device's PCI function,
 * starts the back OS if nobody did, and orders what hangs on it: link, Ethernet vNIC, RDMA.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/acpi.h>
#include <linux/delay.h>
#include <linux/etherdevice.h>
#include <linux/fs.h>
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/pm.h>
#include <linux/reboot.h>
#include <linux/slab.h>

#include <asm/setup.h>

#include "chan.h"
#include "follow.h"
#include "front.h"
#include "rx.h"
#include "../guest-kmod-common/regs.h"

/*
 * Result of the probe of the one device, for a module that was loaded in vain. Set by probe alone.
 */
static int probe_result = -ENODEV;

/* How the back's last run ended, NULL: it has not, or the device does not tell */
static const char *reason_name(u32 reason)
{
	static const char * const names[] = {
		[MULTIOS_REASON_COMMAND]	= "command",
		[MULTIOS_REASON_POWEROFF]	= "power-off",
		[MULTIOS_REASON_RESET]		= "a reset of its own",
		[MULTIOS_REASON_PANIC]		= "a panic",
		[MULTIOS_REASON_FAULT]		= "a fault of a vCPU",
		[MULTIOS_REASON_HUNG]		= "a hang",
	};

	return reason < ARRAY_SIZE(names) ? names[reason] : NULL;
}

/* Softirq. Packets come before the RDMA device is there, and after it. */
static u32 receive_burst(struct mrdma_chan *ch, const struct msr_desc *d, const u8 *data)
{
	struct mrdma_front *front = container_of(ch, struct mrdma_front, chan);
	/* partner: the store-release in mrdma_ib_register; the device is complete */
	struct mrdma_dev *dev = smp_load_acquire(&front->ib);

	return dev ? mrdma_rx(dev, d, data) : 1;
}

static void receive_end(struct mrdma_chan *ch)
{
	struct mrdma_dev *dev = READ_ONCE(container_of(ch, struct mrdma_front, chan)->ib);

	if (dev)
		mrdma_rx_flush(dev);
}

static void resume(struct mrdma_chan *ch)
{
	struct mrdma_front *front = container_of(ch, struct mrdma_front, chan);
	struct mrdma_dev *dev;

	/* mrdma_ib_unregister() waits for this */
	rcu_read_lock();
	dev = smp_load_acquire(&front->ib);	/* partner: as in receive_burst() */
	if (dev)
		mrdma_resume(dev);
	rcu_read_unlock();
}

static const struct mrdma_chan_ops chan_ops = {
	.rx = receive_burst,
	.rx_end = receive_end,
	.resume = resume,
};

static irqreturn_t hard_interrupt(int irq, void *data)
{
	struct mrdma_front *front = data;
	u32 status = readl(front->regs + MULTIOS_REG_IRQ_STATUS);

	if (!status)
		return IRQ_NONE;
	writel(status, front->regs + MULTIOS_REG_IRQ_STATUS);
	/* partner: xchg in thread_interrupt(), which runs after this */
	if (status & MULTIOS_IRQ_RESUMED)
		WRITE_ONCE(front->resumed, true);
	return status & MULTIOS_IRQ_ALL ? IRQ_WAKE_THREAD : IRQ_HANDLED;
}

static irqreturn_t thread_interrupt(int irq, void *data)
{
	struct mrdma_front *front = data;
	const char *ended;
	u32 state, generation;

	mutex_lock(&front->state_lock);
	state = readl(front->regs + MULTIOS_REG_BACK_STATE);
	generation = readl(front->regs + MULTIOS_REG_BACK_GENERATION);
	if (state != front->back_state || generation != front->back_generation) {
		ended = reason_name(readl(front->regs + MULTIOS_REG_BACK_REASON));
		dev_info(&front->pdev->dev, "back OS is %s (start %u%s%s)\n", mrdma_back_state_name(state),
			 generation, ended ? ", the last run ended by " : "", ended ?: "");
		/* a dead back's section does not change any more: do not wait for it */
		if (state != MULTIOS_BACK_RUNNING || generation != front->back_generation)
			mos_link_peer_gone(&front->link);
		front->back_state = state;
		front->back_generation = generation;
	}
	mutex_unlock(&front->state_lock);
	mrdma_outage_look(front);
	if (xchg(&front->resumed, false)) {
		dev_info(&front->pdev->dev, "the machine goes on from a saved state or on another host\n");
		mrdma_outage_moved(front);
	}
	return IRQ_HANDLED;
}

static void link_up(struct mos_link *link)
{
	struct mrdma_front *front = container_of(link, struct mrdma_front, link);

	mrdma_outage_end(front);
	mrdma_stall_begin(front);
}

static void link_down(struct mos_link *link)
{
	mrdma_outage_begin(container_of(link, struct mrdma_front, link));
}

static void link_bell(struct mos_link *link, struct mos_queue *q)
{
	struct mrdma_front *front = container_of(link, struct mrdma_front, link);

	if (q == front->chan.q)
		mrdma_chan_bell(&front->chan);
	else if (q == front->eth.q)
		mos_eth_bell(&front->eth);
}

static const struct mos_link_ops link_ops = {
	.up	= link_up,
	.down	= link_down,
	.bell	= link_bell,
};

static int map_registers(struct mrdma_front *front)
{
	struct pci_dev *pdev = front->pdev;
	u32 value;
	int err;

	err = pcim_enable_device(pdev);
	if (err)
		return err;
	err = pcim_iomap_regions(pdev, BIT(0), KBUILD_MODNAME);
	if (err)
		return err;
	front->regs = pcim_iomap_table(pdev)[0];
	value = readl(front->regs + MULTIOS_REG_MAGIC);
	if (value != MULTIOS_MAGIC) {
		dev_err(&pdev->dev, "magic register is %#x, must be %#x: not a multios device\n",
			value, MULTIOS_MAGIC);
		return -ENODEV;
	}
	value = readl(front->regs + MULTIOS_REG_VERSION);
	if (value != MULTIOS_VERSION) {
		dev_err(&pdev->dev, "device version is %u, this module knows %u: QEMU and module are not of the same multios\n",
			value, MULTIOS_VERSION);
		return -ENODEV;
	}
	pci_set_master(pdev);
	return 0;
}

static int start_link(struct mrdma_front *front)
{
	struct mos_link_config cfg = {
		.name			= KBUILD_MODNAME,
		.role			= MSR_ROLE_FRONT,
		.base			= mos_reg_read64(front->regs, MULTIOS_REG_SHM_BASE),
		.size			= mos_reg_read64(front->regs, MULTIOS_REG_SHM_SIZE),
		.nr_queues[MSR_CHAN_ETH]	= 1,
		.nr_queues[MSR_CHAN_ROCE]	= 1,
		.ops			= &link_ops,
		.dev			= &front->pdev->dev,
	};

	return mos_link_init(&front->link, &cfg);
}

/*
 * The front's power-off or reset is the whole machine's, so the back shuts down first. The device
 * bounds the wait (back-shutdown-limit). Not for kexec: the back goes on beside the next kernel.
 */
static int rebooting(struct notifier_block *nb, unsigned long event, void *command)
{
	struct mrdma_front *front = container_of(nb, struct mrdma_front, reboot);
	unsigned long begin = jiffies, said = begin;

	/* all that a module can see of kernel_kexec() */
	if (command && !strcmp(command, "kexec reboot"))
		return NOTIFY_DONE;
	mrdma_back_command(front, MULTIOS_CTL_POWER_DOWN);
	/* the command takes effect some time after the write; an older device has none */
	while (!mrdma_back_is_asked(front) && time_before(jiffies, begin + HZ / 5))
		msleep(5);
	while (mrdma_back_is_asked(front)) {
		if (time_after(jiffies, said + 5 * HZ)) {
			dev_info(&front->pdev->dev, "waiting for the back OS to shut down\n");
			said = jiffies;
		}
		msleep(20);
	}
	return NOTIFY_DONE;
}

static int probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct mrdma_front *front;
	u8 mac[ETH_ALEN];
	int err;

	front = kzalloc(sizeof(*front), GFP_KERNEL);
	if (!front)
		return -ENOMEM;
	front->pdev = pdev;
	mutex_init(&front->state_lock);
	mrdma_outage_init(front);
	mrdma_stall_init(front);
	pci_set_drvdata(pdev, front);

	err = map_registers(front);
	if (err)
		goto err_free;
	err = start_link(front);
	if (err)
		goto err_free;
	mos_reg_read_mac(front->regs, mac);
	err = mrdma_netdev_create(front, mac, &chan_ops);
	if (err)
		goto err_link;
	err = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSIX);
	if (err < 0) {
		dev_err(&pdev->dev, "no MSI-X vector (%pe)\n", ERR_PTR(err));
		goto err_netdev;
	}
	err = request_threaded_irq(pci_irq_vector(pdev, 0), hard_interrupt, thread_interrupt, 0,
				   KBUILD_MODNAME "-state", front);
	if (err)
		goto err_vectors;
	err = register_netdev(front->netdev);
	if (err)
		goto err_irq;
	err = mrdma_ib_register(front);
	if (err)
		goto err_unregister;

	mutex_lock(&front->state_lock);
	front->back_state = readl(front->regs + MULTIOS_REG_BACK_STATE);
	front->back_generation = readl(front->regs + MULTIOS_REG_BACK_GENERATION);
	mutex_unlock(&front->state_lock);
	mrdma_outage_look(front);
	mos_link_start(&front->link);
	writel(MULTIOS_IRQ_ALL, front->regs + MULTIOS_REG_IRQ_ENABLE);
	if (front->back_state == MULTIOS_BACK_OFF)
		writel(MULTIOS_CTL_START, front->regs + MULTIOS_REG_BACK_CTL);
	netdev_info(front->netdev, "multios front: shared segment of %llu KiB, back OS is %s\n",
		    front->link.cfg.size >> 10, mrdma_back_state_name(front->back_state));
	front->reboot.notifier_call = rebooting;
	/* after notifiers that may need the network */
	front->reboot.priority = INT_MIN;
	register_reboot_notifier(&front->reboot);
	probe_result = 0;
	return 0;

err_unregister:
	unregister_netdev(front->netdev);
err_irq:
	free_irq(pci_irq_vector(pdev, 0), front);
err_vectors:
	pci_free_irq_vectors(pdev);
err_netdev:
	mrdma_netdev_destroy(front);
err_link:
	mos_link_uninit(&front->link);
err_free:
	kfree(front);
	probe_result = err;
	return err;
}

static void remove(struct pci_dev *pdev)
{
	struct mrdma_front *front = pci_get_drvdata(pdev);

	unregister_reboot_notifier(&front->reboot);
	writel(0, front->regs + MULTIOS_REG_IRQ_ENABLE);
	free_irq(pci_irq_vector(pdev, 0), front);
	pci_free_irq_vectors(pdev);
	mrdma_ib_unregister(front);
	mos_link_stop(&front->link);
	mrdma_stall_stop(front);
	mrdma_outage_stop(front);
	unregister_netdev(front->netdev);
	mos_link_uninit(&front->link);
	mrdma_netdev_destroy(front);
	kfree(front);
}

/* Before another kernel, by kexec, has our vectors. */
static void shutdown(struct pci_dev *pdev)
{
	struct mrdma_front *front = pci_get_drvdata(pdev);

	writel(0, front->regs + MULTIOS_REG_IRQ_ENABLE);
	mos_link_stop(&front->link);
	mrdma_stall_stop(front);
	mrdma_outage_stop(front);
}

/* Before an image of memory is made, or replaced: the device must be quiet. */
static int freeze(struct device *dev)
{
	struct mrdma_front *front = dev_get_drvdata(dev);

	writel(0, front->regs + MULTIOS_REG_IRQ_ENABLE);
	return 0;
}

/* A change of state that came meanwhile is still in IRQ_STATUS: the message follows now. */
static int thaw(struct device *dev)
{
	struct mrdma_front *front = dev_get_drvdata(dev);

	writel(MULTIOS_IRQ_ALL, front->regs + MULTIOS_REG_IRQ_ENABLE);
	return 0;
}

/*
 * Back from disk. The machine was reset since: the back OS is another one, even if it has the same
 * number, and the kernel that loaded the image may have taken the message about it.
 */
static int restore(struct device *dev)
{
	struct mrdma_front *front = dev_get_drvdata(dev);

	mutex_lock(&front->state_lock);
	front->back_state = readl(front->regs + MULTIOS_REG_BACK_STATE);
	front->back_generation = readl(front->regs + MULTIOS_REG_BACK_GENERATION);
	dev_info(dev, "resumed from disk, back OS is %s (start %u)\n",
		 mrdma_back_state_name(front->back_state), front->back_generation);
	mos_link_peer_gone(&front->link);
	if (front->back_state == MULTIOS_BACK_OFF)
		writel(MULTIOS_CTL_START, front->regs + MULTIOS_REG_BACK_CTL);
	mutex_unlock(&front->state_lock);
	mrdma_outage_look(front);
	return thaw(dev);
}

static const struct dev_pm_ops pm_ops = {
	.freeze		= pm_sleep_ptr(freeze),
	.thaw		= pm_sleep_ptr(thaw),
	.restore	= pm_sleep_ptr(restore),
};

static const struct pci_device_id ids[] = {
	{ PCI_DEVICE(MULTIOS_PCI_VENDOR_ID, MULTIOS_PCI_DEVICE_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, ids);

static struct pci_driver driver = {
	.name		= KBUILD_MODNAME,
	.id_table	= ids,
	.probe		= probe,
	.remove		= remove,
	.shutdown	= shutdown,
	.dev_groups	= mrdma_control_groups,
	.driver.pm	= pm_sleep_ptr(&pm_ops),
	/* mrdma_init looks at probe_result */
	.driver.probe_type = PROBE_FORCE_SYNCHRONOUS,
};

/* Value of no_ipi_broadcast= on a command line; the last one counts, as for the kernel. */
static bool broadcast_off(char *line)
{
	static const char name[] = "no_ipi_broadcast=";
	bool off = false;
	char *word;
	int value;

	while ((word = strsep(&line, " \t\n"))) {
		if (!strcmp(word, "--"))
			break;
		if (!strncmp(word, name, strlen(name)) &&
		    !kstrtoint(word + strlen(name), 0, &value))
			off = value;
	}
	return off;
}

/*
 * A kernel that uses the "all but self" shorthand interrupts the back's CPUs as well. Whether it
 * does is no exported symbol's business, so read what it was told.
 */
static int check_command_line(void)
{
	struct file *file;
	ssize_t len;
	loff_t pos = 0;
	char *line;
	int err = 0;

	if (num_possible_cpus() == 1)
		return 0;
	line = kzalloc(COMMAND_LINE_SIZE + 1, GFP_KERNEL);
	if (!line)
		return -ENOMEM;
	file = filp_open("/proc/cmdline", O_RDONLY, 0);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		pr_err("cannot read /proc/cmdline (%pe) to see whether no_ipi_broadcast=1 is set\n", file);
		goto out;
	}
	len = kernel_read(file, line, COMMAND_LINE_SIZE, &pos);
	fput(file);
	if (len < 0 || !broadcast_off(line)) {
		pr_err("the kernel command line must have no_ipi_broadcast=1: this kernel has %u CPUs, and its broadcast interrupts would reach the back OS\n",
		       num_possible_cpus());
		err = -EINVAL;
	}
out:
	kfree(line);
	return err;
}

static int __init mrdma_init(void)
{
	struct pci_dev *pdev;
	int err;

	pdev = pci_get_device(MULTIOS_PCI_VENDOR_ID, MULTIOS_PCI_DEVICE_ID, NULL);
	pci_dev_put(pdev);
	if (!pdev) {
		if (acpi_dev_present(MULTIOS_ACPI_HID, NULL, -1))
			pr_err("this is the back OS of a multios VM: multios_net belongs here, multios_rdma into the front OS\n");
		else
			pr_err("no multios device (PCI %04x:%04x) in this machine: start QEMU with -device multios\n",
			       MULTIOS_PCI_VENDOR_ID, MULTIOS_PCI_DEVICE_ID);
		return -ENODEV;
	}
	err = check_command_line();
	if (err)
		return err;
	err = mrdma_follow_register();
	if (err)
		return err;
	err = pci_register_driver(&driver);
	if (err)
		goto err_unregister_follow;
	err = probe_result;
	if (err)
		goto err_unregister_driver;
	return 0;

err_unregister_driver:
	pci_unregister_driver(&driver);
err_unregister_follow:
	mrdma_follow_unregister();
	return err;
}

static void __exit mrdma_exit(void)
{
	pci_unregister_driver(&driver);
	mrdma_follow_unregister();
}

module_init(mrdma_init);
module_exit(mrdma_exit);

MODULE_DESCRIPTION("multios front: RDMA and Ethernet vNIC");
MODULE_LICENSE("GPL");
