/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multios: the MMIO that the back's ACPI tables speak of
 *
 * Control page (registers), UART, panic register and IOAPIC stub. The front
 * can reach these addresses as well, for there is one physical address space;
 * reads are harmless and writes of the front are ignored where they would act.
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qapi/error.h"
#include "chardev/char.h"
#include "hw/char/serial-mm.h"
#include "hw/multios/compat.h"
#include "hw/multios/multios.h"
#include "trace.h"

#define SLP_EN              0x20
#define SLP_TYP_SHIFT       2
#define SLP_TYP_MASK        7

/* Events of the panic register, see docs/specs/pvpanic.rst. */
#define PANIC_EVENTS  (MULTIOS_PANIC_PANICKED | MULTIOS_PANIC_CRASH_KERNEL)

#define IOAPIC_REGSEL       0x00
#define IOAPIC_REGWIN       0x10
#define IOAPIC_PINS         24
#define IOAPIC_REG_ID       0
#define IOAPIC_REG_VER      1
#define IOAPIC_REG_REDTBL   0x10
#define IOAPIC_REDTBL_END   (IOAPIC_REG_REDTBL + 2 * IOAPIC_PINS)
#define IOAPIC_VERSION      0x11
#define IOAPIC_MASKED       (1u << 16)

/* The registers that front and back have in common. */
bool multios_ro_register(MultiOSState *s, hwaddr addr, uint64_t *val)
{
    const uint8_t *mac = s->mac.a;

    switch (addr) {
    case MULTIOS_REG_MAGIC:
        *val = MULTIOS_MAGIC;
        return true;
    case MULTIOS_REG_VERSION:
        *val = MULTIOS_VERSION;
        return true;
    case MULTIOS_REG_SHM_BASE:
        *val = extract64(s->shared_base, 0, 32);
        return true;
    case MULTIOS_REG_SHM_BASE + 4:
        *val = extract64(s->shared_base, 32, 32);
        return true;
    case MULTIOS_REG_SHM_SIZE:
        *val = extract64(s->shared_mem, 0, 32);
        return true;
    case MULTIOS_REG_SHM_SIZE + 4:
        *val = extract64(s->shared_mem, 32, 32);
        return true;
    case MULTIOS_REG_MAC:
        *val = ldl_le_p(mac);
        return true;
    case MULTIOS_REG_MAC + 4:
        *val = lduw_le_p(mac + 4);
        return true;
    case MULTIOS_REG_FRONT_VCPUS:
        *val = s->first_back_cpu;
        return true;
    case MULTIOS_REG_BACK_VCPUS:
        *val = s->back_vcpus;
        return true;
    case MULTIOS_REG_BACK_GENERATION:
        *val = s->generation;
        return true;
    case MULTIOS_REG_UPLINK:
        *val = s->uplink;
        return true;
    case MULTIOS_REG_REQUEST:
        *val = s->power_down ? MULTIOS_REQUEST_POWER_DOWN : 0;
        return true;
    }
    return false;
}

static bool from_back(MultiOSState *s, const char *what)
{
    if (multios_vcpu_is_back(s, current_cpu)) {
        return true;
    }
    qemu_log_mask(LOG_GUEST_ERROR, "multios: write to the back's %s is not "
                  "from the back, ignored\n", what);
    return false;
}

static uint64_t page_read(void *opaque, hwaddr addr, unsigned size)
{
    MultiOSState *s = opaque;
    uint64_t val = 0;

    if (addr == MULTIOS_REG_HEARTBEAT) {
        return s->heartbeat_ms;
    }
    if (addr == MULTIOS_REG_CHECKPOINT) {
        return (multios_checkpoint_wanted(s) ? MULTIOS_CHECKPOINT_WANTED : 0) |
               (s->checkpoint_busy ? MULTIOS_CHECKPOINT_BUSY : 0);
    }
    /* SLEEP_STATUS reads 0: nothing ever wakes from S5 in place. */
    if (!multios_ro_register(s, addr, &val) && addr != MULTIOS_REG_RESET &&
        addr != MULTIOS_REG_POWEROFF && addr != MULTIOS_REG_SLEEP_STATUS &&
        addr != MULTIOS_REG_PANIC) {
        qemu_log_mask(LOG_GUEST_ERROR, "multios: read of offset 0x%" HWADDR_PRIx
                      " of the back's control page\n", addr);
    }
    return val;
}

static void panicked(MultiOSState *s, uint64_t events)
{
    unsigned kdump = events & MULTIOS_PANIC_CRASH_KERNEL ? MULTIOS_DO_KDUMP : 0;

    if (events & PANIC_EVENTS) {
        trace_multios_panic(events);
        multios_request(s, MULTIOS_DO_PANIC | kdump);
    }
}

static void page_write(void *opaque, hwaddr addr, uint64_t val, unsigned size)
{
    MultiOSState *s = opaque;

    trace_multios_page_write(addr, val);
    switch (addr) {
    case MULTIOS_REG_RESET:
        if (from_back(s, "RESET") && val == MULTIOS_RESET_VALUE) {
            multios_request(s, MULTIOS_DO_RESET);
        }
        break;
    case MULTIOS_REG_POWEROFF:
        if (from_back(s, "POWEROFF") && (val & SLP_EN) &&
            ((val >> SLP_TYP_SHIFT) & SLP_TYP_MASK) == MULTIOS_S5_SLEEP_TYPE) {
            multios_request(s, MULTIOS_DO_POWEROFF);
        }
        break;
    case MULTIOS_REG_PANIC:
        if (from_back(s, "PANIC")) {
            panicked(s, val);
        }
        break;
    case MULTIOS_REG_HEARTBEAT:
        if (from_back(s, "HEARTBEAT")) {
            multios_heartbeat(s, val);
        }
        break;
    case MULTIOS_REG_UPLINK:
        if (from_back(s, "UPLINK") && val <= MULTIOS_UPLINK_UP &&
            val != s->uplink) {
            s->uplink = val;
            multios_update_irq(s, s->irq_status | MULTIOS_IRQ_UPLINK,
                               s->irq_enable);
        }
        break;
    case MULTIOS_REG_CHECKPOINT:
        if (from_back(s, "CHECKPOINT") && (val & MULTIOS_CHECKPOINT_WANTED) &&
            multios_checkpoint_wanted(s)) {
            s->checkpoint_busy = true;
            multios_request(s, MULTIOS_DO_CHECKPOINT);
        }
        break;
    case MULTIOS_REG_SLEEP_STATUS: /* ACPI clears the wake status first */
        break;
    default:
        qemu_log_mask(LOG_GUEST_ERROR, "multios: write of 0x%" PRIx64 " to "
                      "offset 0x%" HWADDR_PRIx " of the back's control page\n",
                      val, addr);
    }
}

static const MemoryRegionOps page_ops = {
    .read = page_read,
    .write = page_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8 },
    .impl = { .min_access_size = 1, .max_access_size = 4 },
};

static uint64_t panic_read(void *opaque, hwaddr addr, unsigned size)
{
    return PANIC_EVENTS;
}

static void panic_write(void *opaque, hwaddr addr, uint64_t val, unsigned size)
{
    MultiOSState *s = opaque;

    if (from_back(s, "panic register")) {
        panicked(s, val);
    }
}

static const MemoryRegionOps panic_ops = {
    .read = panic_read,
    .write = panic_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 1 },
};

/*
 * An IOAPIC that nothing is connected to: it only remembers what Linux writes.
 * It exists so that Linux does not take the front's.
 */
static uint64_t ioapic_read(void *opaque, hwaddr addr, unsigned size)
{
    MultiOSState *s = opaque;

    switch (addr) {
    case IOAPIC_REGSEL:
        return s->ioapic_select;
    case IOAPIC_REGWIN:
        if (s->ioapic_select == IOAPIC_REG_VER) {
            return IOAPIC_VERSION | ((IOAPIC_PINS - 1) << 16);
        }
        if (s->ioapic_select < ARRAY_SIZE(s->ioapic_reg)) {
            return s->ioapic_reg[s->ioapic_select];
        }
    }
    return 0;
}

static void ioapic_write(void *opaque, hwaddr addr, uint64_t val, unsigned size)
{
    MultiOSState *s = opaque;
    uint8_t sel = s->ioapic_select;

    if (addr == IOAPIC_REGSEL) {
        s->ioapic_select = val;
    } else if (addr == IOAPIC_REGWIN &&
               (sel == IOAPIC_REG_ID ||
                (sel >= IOAPIC_REG_REDTBL && sel < IOAPIC_REDTBL_END))) {
        s->ioapic_reg[sel] = val;
    }
}

static const MemoryRegionOps ioapic_ops = {
    .read = ioapic_read,
    .write = ioapic_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 4 },
};

static void map_io(MultiOSState *s, MemoryRegion *mr, const MemoryRegionOps *ops,
                   const char *name, hwaddr base, uint64_t size)
{
    memory_region_init_io(mr, OBJECT(s), ops, s, name, size);
    memory_region_add_subregion(get_system_memory(), base, mr);
}

static bool uart_init(MultiOSState *s, Error **errp)
{
    DeviceState *dev;

    if (!s->back_console) {
        return true;
    }
    if (!qemu_chr_find(s->back_console)) {
        error_setg(errp, "multios: back-console=%s: there is no such character"
                   " device, it must be the id of a -chardev", s->back_console);
        return false;
    }
    dev = qdev_new(TYPE_SERIAL_MM);
    object_property_add_child(OBJECT(s), "uart", OBJECT(dev));
    qdev_prop_set_uint8(dev, "endianness", DEVICE_LITTLE_ENDIAN);
    qdev_prop_set_uint32(dev, "baudbase", 115200);
    if (!object_property_set_str(OBJECT(dev), "chardev", s->back_console,
                                 errp)) {
        error_prepend(errp, "multios: back-console=%s must be a -chardev that "
                      "nothing else uses: ", s->back_console);
        return false;
    }
    if (!qdev_realize_and_unref(dev, s->sysbus, errp)) {
        return false;
    }
    sysbus_mmio_map(SYS_BUS_DEVICE(dev), 0, MULTIOS_UART_BASE);
    return true;
}

bool multios_page_init(MultiOSState *s, Error **errp)
{
    map_io(s, &s->page, &page_ops, "multios-page", MULTIOS_PAGE_BASE,
           MULTIOS_PAGE_SIZE);
    map_io(s, &s->panic, &panic_ops, "multios-panic", MULTIOS_PANIC_BASE, 1);
    map_io(s, &s->ioapic, &ioapic_ops, "multios-ioapic", MULTIOS_IOAPIC_BASE,
           0x1000);
    multios_page_reset(s);
    return uart_init(s, errp);
}

void multios_page_reset(MultiOSState *s)
{
    s->ioapic_select = 0;
    memset(s->ioapic_reg, 0, sizeof(s->ioapic_reg));
    for (int i = IOAPIC_REG_REDTBL; i < IOAPIC_REDTBL_END; i += 2) {
        s->ioapic_reg[i] = IOAPIC_MASKED;
    }
}
