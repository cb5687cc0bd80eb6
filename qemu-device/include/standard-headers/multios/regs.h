/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Registers of the multios device: offsets in the front's BAR 0 and in the
 * back's control page. SPEC.md has their meaning. The device, both guest
 * modules and the device's tests include this file.
 */
#ifndef MULTIOS_REGS_H
#define MULTIOS_REGS_H

#define MULTIOS_PCI_VENDOR_ID       0x1af4
#define MULTIOS_PCI_DEVICE_ID       0x10f1
#define MULTIOS_ACPI_HID            "MTOS0001" /* of the control page */

/* BAR 0 and control page */
#define MULTIOS_REG_MAGIC           0x00
#define MULTIOS_REG_VERSION         0x04
#define MULTIOS_REG_SHM_BASE        0x08 /* 64 bits; physical address */
#define MULTIOS_REG_SHM_SIZE        0x10 /* 64 bits; bytes */
#define MULTIOS_REG_MAC             0x18 /* 6 bytes; of the front's vNIC */
#define MULTIOS_REG_FRONT_VCPUS     0x2c
#define MULTIOS_REG_BACK_VCPUS      0x30

/* BAR 0 only */
#define MULTIOS_REG_BACK_STATE      0x20 /* MULTIOS_BACK_* */
#define MULTIOS_REG_BACK_CTL        0x24 /* write only: MULTIOS_CTL_* */
#define MULTIOS_REG_BACK_GENERATION 0x28 /* number of starts */
#define MULTIOS_REG_IRQ_STATUS      0x34 /* MULTIOS_IRQ_*; write 1 to clear */
#define MULTIOS_REG_IRQ_ENABLE      0x38 /* MULTIOS_IRQ_* */

/* control page only; ACPI's hardware-reduced registers */
#define MULTIOS_REG_RESET           0x40 /* write only: MULTIOS_RESET_VALUE */
#define MULTIOS_REG_POWEROFF        0x44 /* write only: SLEEP_CONTROL_REG */
#define MULTIOS_REG_SLEEP_STATUS    0x48

#define MULTIOS_MAGIC               0x31534f4d /* "MOS1" */
#define MULTIOS_VERSION             1

enum {
    MULTIOS_CTL_START   = 1,
    MULTIOS_CTL_STOP    = 2,
    MULTIOS_CTL_RESTART = 3,
};

/* The back's state or generation has changed. */
#define MULTIOS_IRQ_BACK_STATE      (1u << 0)

#define MULTIOS_RESET_VALUE         1
#define MULTIOS_S5_SLEEP_TYPE       5

enum multios_back_state {
    MULTIOS_BACK_OFF        = 0,
    MULTIOS_BACK_RUNNING    = 1,
    MULTIOS_BACK_STOPPED    = 2, /* by command, by itself, or to restart */
    MULTIOS_BACK_CRASHED    = 3,
    MULTIOS_BACK__MAX
};

#endif
