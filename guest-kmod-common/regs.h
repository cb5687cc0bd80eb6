/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Registers of the multios device: the front's BAR 0 and the back's control page, which
 * shows the identity part of the same. qemu-device/SPEC.md has their meaning.
 */
#ifndef MOS_REGS_H
#define MOS_REGS_H

#include <linux/bits.h>
#include <linux/io.h>

#define MOS_PCI_VENDOR		0x1af4
#define MOS_PCI_DEVICE		0x10f1
#define MOS_ACPI_HID		"MTOS0001"

#define MOS_REG_MAGIC		0x00
#define MOS_REG_VERSION		0x04
#define MOS_REG_SHM_BASE	0x08	/* 64 bits */
#define MOS_REG_SHM_SIZE	0x10	/* 64 bits; bytes */
#define MOS_REG_MAC		0x18	/* 6 bytes; of the front's vNIC */
#define MOS_REG_BACK_STATE	0x20	/* front only, as all below */
#define MOS_REG_BACK_CTL	0x24
#define MOS_REG_BACK_GENERATION	0x28	/* number of starts */
#define MOS_REG_IRQ_STATUS	0x34	/* write 1 to clear */
#define MOS_REG_IRQ_ENABLE	0x38

#define MOS_MAGIC		0x31534f4d	/* "MOS1" */
#define MOS_VERSION		1

#define MOS_IRQ_BACK_STATE	BIT(0)

#define MOS_BACK_CTL_START	1

enum mos_back_state {
	MOS_BACK_OFF		= 0,
	MOS_BACK_RUNNING	= 1,
	MOS_BACK_STOPPED	= 2,	/* by command or by itself */
	MOS_BACK_CRASHED	= 3,
};

static inline u64 mos_reg_read64(const void __iomem *regs, unsigned int reg)
{
	return readl(regs + reg) | (u64)readl(regs + reg + 4) << 32;
}

static inline void mos_reg_read_mac(const void __iomem *regs, u8 *mac)
{
	u64 value = mos_reg_read64(regs, MOS_REG_MAC);
	int i;

	for (i = 0; i < 6; i++)
		mac[i] = value >> (8 * i);
}

#endif /* MOS_REGS_H */
