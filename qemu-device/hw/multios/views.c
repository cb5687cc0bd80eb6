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
 */

#include "qemu/osdep.h"
#include "qemu/bcd.h"
#include "hw/multios/compat.h"
#include "hw/multios/multios.h"
#include "hw/rtc/mc146818rtc_regs.h"
#include "system/rtc.h"
#include "trace.h"

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
                                            MULTIOS_VIEW_PRIORITY);
        g_array_append_val(s->port_views, v);
    }
}
