/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multios: which I/O ports an operating system sees
 *
 * The PC's legacy devices are the front's. The back's kernel probes them all
 * the same, and one write to the wrong port (8042, CF9) resets the machine.
 * So a region of higher priority lies over them and checks which vCPU makes
 * the access: the back finds nothing there but the date, all others reach the
 * devices beneath. This works alike in TCG and in KVM, where
 * current_cpu is the vCPU whose exit is being handled; only the PIT and PIC in
 * KVM's kernel cannot be hidden, and the ACPI tables keep Linux off those.
 *
 * The other view here is of the front: see takeover_write().
 */

#include "qemu/osdep.h"
#include "qemu/bcd.h"
#include "qapi/error.h"
#include "hw/acpi/ich9.h"
#include "hw/multios/compat.h"
#include "hw/multios/multios.h"
#include "hw/nvram/fw_cfg.h"
#include "hw/rtc/mc146818rtc_regs.h"
#include "hw/southbridge/ich9.h"
#include "system/rtc.h"
#include "trace.h"

/* Over every region that a PC puts there. */
#define VIEW_PRIORITY 1000

#define PIT_BASE    0x40
#define PIT_END     0x43
#define NMI_STATUS  0x61
#define NMI_STATUS_TIMER2_OUT 0x20
#define CMOS_INDEX  0x70
#define CMOS_DATA   0x71

static const struct {
    unsigned base;
    unsigned len;
} hidden_ports[] = {
    { 0x020, 2 },  /* PIC */
    { 0x040, 4 },  /* PIT */
    { 0x060, 5 },  /* i8042, speaker and NMI status */
    { 0x070, 2 },  /* CMOS RTC */
    { 0x092, 1 },  /* system control port A: A20, reset */
    { 0x0a0, 2 },  /* PIC */
    { 0x0b2, 2 },  /* APM: SMI */
    { 0x2e8, 8 },  /* COM4 */
    { 0x2f8, 8 },  /* COM2 */
    { 0x3e8, 8 },  /* COM3 */
    { 0x3f8, 8 },  /* COM1 */
    { 0x4d0, 2 },  /* ELCR */
    { 0xcf8, 8 },  /* PCI configuration, and CF9: reset */
};

/*
 * The time of day, as a CMOS RTC tells it: Linux reads it once when it boots.
 * The index is the back's own.
 */
static uint8_t back_cmos_read(MultiOSState *s)
{
    struct tm tm;

    qemu_get_timedate(&tm, 0);
    switch (s->cmos_index) {
    case RTC_SECONDS:
        return to_bcd(tm.tm_sec);
    case RTC_MINUTES:
        return to_bcd(tm.tm_min);
    case RTC_HOURS:
        return to_bcd(tm.tm_hour);
    case RTC_DAY_OF_WEEK:
        return to_bcd(tm.tm_wday + 1);
    case RTC_DAY_OF_MONTH:
        return to_bcd(tm.tm_mday);
    case RTC_MONTH:
        return to_bcd(tm.tm_mon + 1);
    case RTC_YEAR:
        return to_bcd(tm.tm_year % 100);
    case RTC_CENTURY:
        return to_bcd((tm.tm_year + 1900) / 100);
    case RTC_REG_A:
        return 0x26; /* 32768 Hz, no update in progress */
    case RTC_REG_B:
        return REG_B_24H;
    case RTC_REG_D:
        return 0x80; /* valid */
    }
    return 0;
}

static uint64_t back_port_read(MultiOSState *s, unsigned port)
{
    /*
     * A PIT that does not count: with all ones Linux would poll it 100000
     * times before it gives up calibrating the TSC by it.
     */
    if (port >= PIT_BASE && port <= PIT_END) {
        return 0;
    }
    if (port == CMOS_DATA) {
        return back_cmos_read(s);
    }
    /*
     * Nothing has raised an NMI: with all ones, Linux would take each one that
     * no handler claims for a PCI system error. The timer's output is set, for
     * Linux waits for that where it calibrates the TSC.
     */
    if (port == NMI_STATUS) {
        return NMI_STATUS_TIMER2_OUT;
    }
    return ~0ULL;
}

static uint64_t view_read(void *opaque, hwaddr addr, unsigned size)
{
    MultiOSPortView *v = opaque;
    uint64_t val = ~0ULL;

    if (multios_vcpu_is_back(v->s, current_cpu)) {
        trace_multios_hidden_port("read", v->base + addr);
        val = back_port_read(v->s, v->base + addr);
    } else if (v->under[addr]) {
        memory_region_dispatch_read(v->under[addr], v->under_offset[addr], &val,
                                    size_memop(size) | MO_LE,
                                    MEMTXATTRS_UNSPECIFIED);
    }
    return val;
}

static void view_write(void *opaque, hwaddr addr, uint64_t val, unsigned size)
{
    MultiOSPortView *v = opaque;

    if (multios_vcpu_is_back(v->s, current_cpu)) {
        trace_multios_hidden_port("write", v->base + addr);
        if (v->base + addr == CMOS_INDEX) {
            v->s->cmos_index = val & 0x7f;
        }
    } else if (v->under[addr]) {
        memory_region_dispatch_write(v->under[addr], v->under_offset[addr], val,
                                     size_memop(size) | MO_LE,
                                     MEMTXATTRS_UNSPECIFIED);
    }
}

static const MemoryRegionOps view_ops = {
    .read = view_read,
    .write = view_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 4, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 4, .unaligned = true },
};

/*
 * Once all devices are there. The regions beneath are looked up here and not
 * at each access, for these devices of a PC do not move.
 */
void multios_views_init(MultiOSState *s)
{
    s->port_views = g_array_new(false, false, sizeof(MultiOSPortView *));
    for (unsigned i = 0; i < ARRAY_SIZE(hidden_ports); i++) {
        MultiOSPortView *v = g_new0(MultiOSPortView, 1);
        g_autofree char *name = g_strdup_printf("multios-view-%03x",
                                                hidden_ports[i].base);

        v->s = s;
        v->base = hidden_ports[i].base;
        v->len = hidden_ports[i].len;
        v->under = g_new0(MemoryRegion *, v->len);
        v->under_offset = g_new0(hwaddr, v->len);
        for (unsigned p = 0; p < v->len; p++) {
            /* Takes a reference, which is held as long as the machine is. */
            MemoryRegionSection sec = memory_region_find(get_system_io(),
                                                         v->base + p, 1);

            v->under[p] = sec.mr;
            v->under_offset[p] = sec.offset_within_region;
        }
        memory_region_init_io(&v->mr, OBJECT(s), &view_ops, v, name, v->len);
        /* The view only forwards, to devices with guards of their own. */
        v->mr.disable_reentrancy_guard = true;
        memory_region_add_subregion_overlap(get_system_io(), v->base, &v->mr,
                                            VIEW_PRIORITY);
        g_array_append_val(s->port_views, v);
    }
}

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

/*
 * No suspend to RAM for the front: waking up resets the machine, and the back
 * with it. As if with -global ICH9-LPC.disable_s3=1, for firmware (fw_cfg) and
 * the OS (the _S3 object, which is made when the machine is done).
 */
static void hide_s3(ICH9LPCPMRegs *pm)
{
    const uint8_t states[6] = {
        128, 0, 0, 1, pm->s4_val | (pm->disable_s4 ? 0 : 128), 128,
    };

    pm->disable_s3 = true;
    g_free(fw_cfg_modify_file(fw_cfg_find(), "etc/system-states",
                              g_memdup2(states, sizeof(states)),
                              sizeof(states)));
}

bool multios_takeover_init(MultiOSState *s, Error **errp)
{
    ICH9LPCPMRegs *pm = find_pm();

    if (!pm) {
        error_setg(errp, "multios: the machine has no ICH9 with ACPI, it must "
                   "be q35");
        return false;
    }
    hide_s3(pm);
    memory_region_init_io(&s->takeover, OBJECT(s), &takeover_ops, s,
                          "multios-takeover", 2);
    s->takeover.disable_reentrancy_guard = true;
    /* Within the block, which the firmware moves. */
    memory_region_add_subregion_overlap(&pm->io, PM1_EN, &s->takeover,
                                        VIEW_PRIORITY);
    return true;
}
