/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Registers of the multios device: how the guest reads those that are wider than 32 bits.
 */
#ifndef MOS_REGS_H
#define MOS_REGS_H

#include <linux/io.h>
#include <linux/types.h>

#include <multios/regs.h>

static inline u64 mos_reg_read64(const void __iomem *regs, unsigned int reg)
{
	return readl(regs + reg) | (u64)readl(regs + reg + 4) << 32;
}

static inline void mos_reg_read_mac(const void __iomem *regs, u8 *mac)
{
	u64 value = mos_reg_read64(regs, MULTIOS_REG_MAC);
	int i;

	for (i = 0; i < 6; i++)
		mac[i] = value >> (8 * i);
}

#endif /* MOS_REGS_H */
