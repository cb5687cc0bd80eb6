// SPDX-License-Identifier: GPL-2.0
/*
 * multios_net: the back OS's end of a multios VM. Binds to the ACPI device that describes the
 * shared segment and orders link and netdev.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/acpi.h>
#include <linux/crash_dump.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/slab.h>

#include "../guest-kmod-common/kcompat.h"
#include "../guest-kmod-common/regs.h"
#include "mnet.h"
#include "roce.h"

/* Result of the one device's probe, so that insmod fails with it. Set by probe alone. */
static int probe_result = -ENODEV;

static void link_up(struct mos_link *link)
{
	mnet_netdev_up(container_of(link, struct mnet, link));
}

static void link_down(struct mos_link *link)
{
	mnet_netdev_down(container_of(link, struct mnet, link));
}

static void link_bell(struct mos_link *link, struct mos_queue *q)
{
	struct mnet *mnet = container_of(link, struct mnet, link);

	if (q == mnet->roce.q)
		napi_schedule(&mnet->roce.napi);
	else if (q == mnet->eth.q)
		mos_eth_bell(&mnet->eth);
}

static const struct mos_link_ops link_ops = {
	.up	= link_up,
	.down	= link_down,
	.bell	= link_bell,
};

static int map_registers(struct mnet *mnet)
{
	struct device *dev = &mnet->pdev->dev;
	struct resource *res;
	void *regs;
	u32 value;

	res = platform_get_resource(mnet->pdev, IORESOURCE_MEM, 1);
	if (!res) {
		dev_err(dev, "no control page (second resource of " MULTIOS_ACPI_HID ")\n");
		return -ENODEV;
	}
	/*
	 * Write-back like ACPI's own mapping of this page (reset and sleep registers of the FADT):
	 * another memory type beside it is refused. The page is emulated and never cached.
	 */
	regs = devm_memremap(dev, res->start, resource_size(res), MEMREMAP_WB);
	if (IS_ERR(regs)) {
		dev_err(dev, "control page %pR cannot be mapped (%pe)\n", res, regs);
		return PTR_ERR(regs);
	}
	mnet->regs = (void __iomem __force *)regs;
	value = readl(mnet->regs + MULTIOS_REG_MAGIC);
	if (value != MULTIOS_MAGIC) {
		dev_err(dev, "magic register is %#x, must be %#x: not a multios device\n", value, MULTIOS_MAGIC);
		return -ENODEV;
	}
	value = readl(mnet->regs + MULTIOS_REG_VERSION);
	if (value != MULTIOS_VERSION) {
		dev_err(dev, "device version is %u, this module knows %u: QEMU and module are not of the same multios\n",
			value, MULTIOS_VERSION);
		return -ENODEV;
	}
	mos_reg_read_mac(mnet->regs, mnet->front_mac);
	return 0;
}

static int init_link(struct mnet *mnet)
{
	struct device *dev = &mnet->pdev->dev;
	struct mos_link_config cfg = {
		.name			= KBUILD_MODNAME,
		.role			= MSR_ROLE_BACK,
		.nr_queues[MSR_CHAN_ETH]	= 1,
		.nr_queues[MSR_CHAN_ROCE]	= 1,
		.ops			= &link_ops,
		.dev			= dev,
	};
	u64 base = mos_reg_read64(mnet->regs, MULTIOS_REG_SHM_BASE);
	u64 size = mos_reg_read64(mnet->regs, MULTIOS_REG_SHM_SIZE);
	struct resource *res;

	res = platform_get_resource(mnet->pdev, IORESOURCE_MEM, 0);
	if (!res || res->start != base || resource_size(res) != size) {
		dev_err(dev, "shared segment is %pR to ACPI, %llu bytes at %#llx to the device\n",
			res, size, base);
		return -ENODEV;
	}
	cfg.base = base;
	cfg.size = size;
	return mos_link_init(&mnet->link, &cfg);
}

static int bind_device(struct platform_device *pdev)
{
	struct mnet *mnet;
	int err;

	mnet = kzalloc(sizeof(*mnet), GFP_KERNEL);
	if (!mnet)
		return -ENOMEM;
	mnet->pdev = pdev;
	platform_set_drvdata(pdev, mnet);
	err = map_registers(mnet);
	if (err)
		goto err_free;
	mnet_checkpoint(mnet);
	err = init_link(mnet);
	if (err)
		goto err_free;
	err = mnet_health_start(mnet);
	if (err)
		goto err_link;
	err = mnet_uplink_start(mnet);
	if (err)
		goto err_health;
	err = mnet_netdev_create(mnet);
	if (err)
		goto err_uplink;
	mos_link_start(&mnet->link);
	netdev_info(mnet->netdev, "multios back: shared segment of %llu KiB, front is %pM\n",
		    mnet->link.cfg.size >> 10, mnet->front_mac);
	return 0;

err_uplink:
	mnet_uplink_stop(mnet);
err_health:
	mnet_health_stop(mnet);
err_link:
	mos_link_uninit(&mnet->link);
err_free:
	kfree(mnet);
	return err;
}

static int mnet_probe(struct platform_device *pdev)
{
	probe_result = bind_device(pdev);
	return probe_result;
}

static void mnet_remove(struct platform_device *pdev)
{
	struct mnet *mnet = platform_get_drvdata(pdev);

	mos_link_stop(&mnet->link);
	unregister_netdev(mnet->netdev);
	mnet_roce_drain(&mnet->roce);
	mnet_uplink_stop(mnet);
	mnet_health_stop(mnet);
	mos_link_uninit(&mnet->link);
	/* bells use the netdev until mos_link_uninit() */
	mnet_netdev_destroy(mnet);
	kfree(mnet);
}

/* Retracts the doorbells before a kexec'ed kernel uses their vectors. */
static void mnet_shutdown(struct platform_device *pdev)
{
	struct mnet *mnet = platform_get_drvdata(pdev);

	/* first: this kernel is going down already, REQUEST has nothing more to say to it */
	mnet_health_stop(mnet);
	mos_link_stop(&mnet->link);
}

static const struct acpi_device_id ids[] = {
	{ MULTIOS_ACPI_HID },
	{ }
};
MODULE_DEVICE_TABLE(acpi, ids);

static struct platform_driver driver = {
	.probe			= mnet_probe,
	.mos_platform_remove	= mnet_remove,
	.shutdown		= mnet_shutdown,
	.driver = {
		.name			= KBUILD_MODNAME,
		.acpi_match_table	= ids,
		/* mnet_init looks at probe_result */
		.probe_type		= PROBE_FORCE_SYNCHRONOUS,
	},
};

static int __init mnet_init(void)
{
	struct pci_dev *pdev;
	int err;

	/* a crash kernel has a dump to write, and its beats would pass for those of a live back */
	if (is_kdump_kernel()) {
		pr_info("this is a crash kernel: nothing to do\n");
		return -ENODEV;
	}
	if (!acpi_dev_present(MULTIOS_ACPI_HID, NULL, -1)) {
		pdev = pci_get_device(MULTIOS_PCI_VENDOR_ID, MULTIOS_PCI_DEVICE_ID, NULL);
		pci_dev_put(pdev);
		if (pdev)
			pr_err("this is the front OS of a multios VM: multios_rdma belongs here, multios_net into the back OS\n");
		else
			pr_err("no multios device (ACPI " MULTIOS_ACPI_HID ") in this machine: this module belongs into the back OS of a multios VM\n");
		return -ENODEV;
	}
	mnet_roce_init();
	err = platform_driver_register(&driver);
	if (err)
		goto err_roce;
	if (probe_result) {
		err = probe_result;
		goto err_driver;
	}
	return 0;

err_driver:
	platform_driver_unregister(&driver);
err_roce:
	mnet_roce_exit();
	return err;
}

static void __exit mnet_exit(void)
{
	platform_driver_unregister(&driver);
	mnet_roce_exit();
}

module_init(mnet_init);
module_exit(mnet_exit);

MODULE_DESCRIPTION("multios back: netdev to the front OS");
/* without it crc.c computes CRCs at several times the cost */
MODULE_SOFTDEP("pre: crc32-pclmul");
MODULE_LICENSE("GPL");
