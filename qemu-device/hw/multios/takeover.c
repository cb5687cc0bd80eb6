/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multios: the front OS's power management registers
 *
 * Its first write to one of them shows that it has taken over from its
 * firmware, so that the back can start. Suspend to RAM is not offered.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/acpi/ich9.h"
#include "hw/multios/compat.h"
#include "hw/multios/multios.h"
#include "hw/nvram/fw_cfg.h"
#include "hw/southbridge/ich9.h"

/* Offset of PM1_EN in the ICH9's power management I/O block. */
#define PM1_EN 2

static ICH9LPCPMRegs *find_pm(void)
{
    Object *lpc = object_resolve_path_type("", TYPE_ICH9_LPC_DEVICE, NULL);

    return lpc ? &ICH9_LPC_DEVICE(lpc)->pm : NULL;
}

static uint64_t takeover_read(void *opaque, hwaddr addr, unsigned size)
{
    uint64_t val = 0;

    memory_region_dispatch_read(&find_pm()->acpi_regs.pm1.evt.io, PM1_EN + addr,
                                &val, size_memop(size) | MO_LE,
                                MEMTXATTRS_UNSPECIFIED);
    return val;
}

/*
 * The sign that the front's OS has taken over from its firmware. Enabling
 * ACPI's fixed events is an operating system's business: every ACPI OS writes
 * PM1_EN when it starts, after all its CPUs have been started, and neither
 * SeaBIOS nor OVMF nor a boot loader does. (The change to ACPI mode is no such
 * sign: OVMF makes it itself.)
 */
static void takeover_write(void *opaque, hwaddr addr, uint64_t val,
                           unsigned size)
{
    MultiOSState *s = opaque;

    memory_region_dispatch_write(&find_pm()->acpi_regs.pm1.evt.io,
                                 PM1_EN + addr, val, size_memop(size) | MO_LE,
                                 MEMTXATTRS_UNSPECIFIED);
    if (!s->front_took_over && !multios_vcpu_is_back(s, current_cpu)) {
        s->front_took_over = true;
        multios_request(s, MULTIOS_DO_TAKEOVER);
    }
}

static const MemoryRegionOps takeover_ops = {
    .read = takeover_read,
    .write = takeover_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 2 },
    .impl = { .min_access_size = 1, .max_access_size = 2 },
};

bool multios_takeover_init(MultiOSState *s, Error **errp)
{
    ICH9LPCPMRegs *pm = find_pm();

    if (!pm) {
        error_setg(errp, "multios: the machine has no ICH9 with ACPI, it must "
                   "be q35");
        return false;
    }
    memory_region_init_io(&s->takeover, OBJECT(s), &takeover_ops, s,
                          "multios-takeover", 2);
    s->takeover.disable_reentrancy_guard = true;
    /* Within the block, which the firmware moves. */
    memory_region_add_subregion_overlap(&pm->io, PM1_EN, &s->takeover,
                                        MULTIOS_VIEW_PRIORITY);
    return true;
}

/*
 * No suspend to RAM for the front: waking up resets the machine, and the back
 * with it. As if with -global ICH9-LPC.disable_s3=1, for firmware (fw_cfg) and
 * the OS (the _S3 object, which is made when the machine is done).
 */
void multios_hide_s3(void)
{
    ICH9LPCPMRegs *pm = find_pm();
    const uint8_t states[6] = {
        128, 0, 0, 1, pm->s4_val | (pm->disable_s4 ? 0 : 128), 128,
    };

    pm->disable_s3 = true;
    g_free(fw_cfg_modify_file(fw_cfg_find(), "etc/system-states",
                              g_memdup2(states, sizeof(states)),
                              sizeof(states)));
}
