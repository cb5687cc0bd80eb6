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
#define MULTIOS_REG_BACK_GENERATION 0x28 /* number of starts */
#define MULTIOS_REG_REQUEST         0x54 /* MULTIOS_REQUEST_* */
#define MULTIOS_REG_UPLINK          0x5c /* MULTIOS_UPLINK_*; the back writes */

/* BAR 0 only */
#define MULTIOS_REG_BACK_STATE      0x20 /* MULTIOS_BACK_* */
#define MULTIOS_REG_BACK_CTL        0x24 /* write only: MULTIOS_CTL_* */
#define MULTIOS_REG_IRQ_STATUS      0x34 /* MULTIOS_IRQ_*; write 1 to clear */
#define MULTIOS_REG_IRQ_ENABLE      0x38 /* MULTIOS_IRQ_* */
#define MULTIOS_REG_BACK_REASON     0x3c /* MULTIOS_REASON_* */

/* control page only; ACPI's hardware-reduced registers */
#define MULTIOS_REG_RESET           0x40 /* write only: MULTIOS_RESET_VALUE */
#define MULTIOS_REG_POWEROFF        0x44 /* write only: SLEEP_CONTROL_REG */
#define MULTIOS_REG_SLEEP_STATUS    0x48

/* control page only; health of the back's kernel */
#define MULTIOS_REG_PANIC           0x4c /* write only: MULTIOS_PANIC_* */
#define MULTIOS_REG_HEARTBEAT       0x50 /* reads ms, 0: off; MULTIOS_BEAT_* */

/* control page only; a state to start the back from */
#define MULTIOS_REG_CHECKPOINT      0x58 /* MULTIOS_CHECKPOINT_* */

#define MULTIOS_MAGIC               0x31534f4d /* "MOS1" */
#define MULTIOS_VERSION             1

enum {
    MULTIOS_CTL_START   = 1,
    MULTIOS_CTL_STOP    = 2,
    MULTIOS_CTL_RESTART = 3,
    MULTIOS_CTL_POWER_DOWN = 4,
};

/* The back is asked to shut down. */
#define MULTIOS_REQUEST_POWER_DOWN  (1u << 0)

/* The back's state or generation has changed. */
#define MULTIOS_IRQ_BACK_STATE      (1u << 0)
/* The machine goes on elsewhere or from a snapshot; the wire does not know. */
#define MULTIOS_IRQ_RESUMED         (1u << 1)
/* UPLINK has changed. */
#define MULTIOS_IRQ_UPLINK          (1u << 2)
#define MULTIOS_IRQ_ALL             (MULTIOS_IRQ_BACK_STATE | \
                                     MULTIOS_IRQ_RESUMED | MULTIOS_IRQ_UPLINK)

/* Carrier of the back's uplink: the other ports of the bridge with mos0. */
enum {
    MULTIOS_UPLINK_UNKNOWN  = 0, /* as good as up; older devices and backs */
    MULTIOS_UPLINK_DOWN     = 1,
    MULTIOS_UPLINK_UP       = 2,
};

/* As pvpanic's events */
#define MULTIOS_PANIC_PANICKED      (1u << 0)
#define MULTIOS_PANIC_CRASH_KERNEL  (1u << 1) /* ... and one runs next */

/* Without ALIVE no further write is expected. */
#define MULTIOS_BEAT_ALIVE          (1u << 0)
#define MULTIOS_BEAT_CRASH_KERNEL   (1u << 1) /* one is loaded */

#define MULTIOS_CHECKPOINT_WANTED   (1u << 0) /* write it: take a state now */
#define MULTIOS_CHECKPOINT_BUSY     (1u << 1) /* it is being taken */

#define MULTIOS_RESET_VALUE         1
#define MULTIOS_S5_SLEEP_TYPE       5

enum multios_back_state {
    MULTIOS_BACK_OFF        = 0,
    MULTIOS_BACK_RUNNING    = 1,
    MULTIOS_BACK_STOPPED    = 2, /* by command, by itself, or to restart */
    MULTIOS_BACK_CRASHED    = 3,
    MULTIOS_BACK__MAX
};

/* Why the back's last run ended. */
enum multios_back_reason {
    MULTIOS_REASON_NONE     = 0, /* it was not started, or its first run lasts */
    MULTIOS_REASON_COMMAND  = 1, /* of the front or of management */
    MULTIOS_REASON_POWEROFF = 2, /* its own */
    MULTIOS_REASON_RESET    = 3, /* its own */
    MULTIOS_REASON_PANIC    = 4,
    MULTIOS_REASON_FAULT    = 5, /* a vCPU's triple fault, or KVM's error */
    MULTIOS_REASON_HUNG     = 6, /* no heartbeat */
    MULTIOS_REASON__MAX
};

#endif
