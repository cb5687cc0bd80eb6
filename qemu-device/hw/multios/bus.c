/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multios: the back's PCIe root
 *
 * A generic PCIe host bridge of the back's own, named "<id>.pcie", with MMIO
 * where the front's firmware never allocates. The back's kernel assigns the
 * BARs itself. The bridge's interrupt pins are left unconnected: devices of
 * the back need MSI or MSI-X.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "exec/address-spaces.h"
#include "hw/boards.h"
#include "hw/multios/multios.h"
#include "hw/pci/pci_bridge.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci-host/gpex.h"
#include "hw/sysbus.h"

#define TYPE_MULTIOS_PCIHOST "multios-pcihost"

/*
 * Device paths, which name RAM blocks (option ROMs) and migration state, must
 * differ from those of the front's devices in the same slots.
 */
static const char *root_bus_path(PCIHostState *host, PCIBus *bus)
{
    return "0001:00";
}

static void multios_pcihost_class_init(ObjectClass *klass, void *data)
{
    PCI_HOST_BRIDGE_CLASS(klass)->root_bus_path = root_bus_path;
    DEVICE_CLASS(klass)->desc = "multios PCIe host bridge of the back OS";
}

static const TypeInfo multios_pcihost_info = {
    .name = TYPE_MULTIOS_PCIHOST,
    .parent = TYPE_GPEX_HOST,
    .class_init = multios_pcihost_class_init,
};

/* Flash and firmware, which may be as large as the user likes, are there. */
static bool map_alias(MultiOSState *s, MemoryRegion *alias, const char *name,
                      int nth, hwaddr offset, hwaddr base, uint64_t size,
                      Error **errp)
{
    MemoryRegion *mr = sysbus_mmio_get_region(SYS_BUS_DEVICE(s->pcihost), nth);
    MemoryRegionSection sec = memory_region_find(get_system_memory(), base,
                                                 size);

    if (sec.mr) {
        error_setg(errp, "multios: '%s' is at 0x%" HWADDR_PRIx ", but 0x%"
                   HWADDR_PRIx "-0x%" HWADDR_PRIx " must be free for the back's "
                   "PCI bus", memory_region_name(sec.mr),
                   sec.offset_within_address_space, base, base + size - 1);
        error_append_hint(errp, "Flash and -bios must not be larger than 8 "
                          "MiB\n");
        memory_region_unref(sec.mr);
        return false;
    }
    memory_region_init_alias(alias, OBJECT(s), name, mr, offset, size);
    memory_region_add_subregion(get_system_memory(), base, alias);
    return true;
}

bool multios_bus_init(MultiOSState *s, Error **errp)
{
    g_autofree char *name = g_strdup_printf("%s.back", DEVICE(s)->id);
    BusState *bus;

    /*
     * On a system bus beneath this device and not on the main one: QEMU puts
     * a device without bus= on the first PCI bus that it finds, and that must
     * stay the front's.
     */
    s->sysbus = qbus_new(TYPE_SYSTEM_BUS, DEVICE(s), name);
    s->pcihost = qdev_new(TYPE_MULTIOS_PCIHOST);
    object_property_add_child(OBJECT(s), "pcihost", OBJECT(s->pcihost));
    if (!qdev_realize_and_unref(s->pcihost, s->sysbus, errp)) {
        return false;
    }
    s->bus = PCI_HOST_BRIDGE(s->pcihost)->bus;
    /* The bridge has named it "pcie.0", as is the front's. */
    bus = BUS(s->bus);
    g_free(bus->name);
    bus->name = g_strdup_printf("%s.pcie", DEVICE(s)->id);

    return map_alias(s, &s->ecam, "multios-ecam", 0, 0, MULTIOS_ECAM_BASE,
                     MULTIOS_ECAM_SIZE, errp) &&
           map_alias(s, &s->mm32, "multios-mmio32", 1, MULTIOS_MM32_BASE,
                     MULTIOS_MM32_BASE, MULTIOS_MM32_SIZE, errp) &&
           map_alias(s, &s->mm64, "multios-mmio64", 1, MULTIOS_MM64_BASE,
                     MULTIOS_MM64_BASE, MULTIOS_MM64_SIZE, errp);
}

void multios_bus_reset(MultiOSState *s)
{
    bus_cold_reset(BUS(s->bus));
}

typedef struct Found {
    unsigned nics;
    PCIDevice *first_nic;
    PCIDevice *no_msi;
} Found;

static void look_at(PCIBus *bus, PCIDevice *d, void *opaque)
{
    Found *f = opaque;
    uint16_t class = pci_get_word(d->config + PCI_CLASS_DEVICE);

    if (IS_PCI_BRIDGE(d)) {
        pci_for_each_device_under_bus(pci_bridge_get_sec_bus(PCI_BRIDGE(d)),
                                      look_at, f);
        return;
    }
    if (class == PCI_CLASS_BRIDGE_HOST) {
        return;
    }
    if (class >> 8 == PCI_BASE_CLASS_NETWORK) {
        f->nics++;
        f->first_nic = f->first_nic ?: d;
    }
    if (!(d->cap_present & (QEMU_PCI_CAP_MSI | QEMU_PCI_CAP_MSIX))) {
        f->no_msi = f->no_msi ?: d;
    }
}

static const char *device_name(PCIDevice *d)
{
    return DEVICE(d)->id ?: "without id";
}

/* Once all devices are there. */
bool multios_bus_check(MultiOSState *s, Error **errp)
{
    Found back = { 0 }, front = { 0 };
    const char *bus = BUS(s->bus)->name;

    pci_for_each_device_under_bus(s->bus, look_at, &back);
    pci_for_each_device_under_bus(pci_get_bus(&s->parent_obj), look_at, &front);

    if (back.no_msi) {
        error_setg(errp, "multios: device %s (%s) on bus=%s has neither MSI "
                   "nor MSI-X: a device of the back must have one of them, "
                   "the back has no interrupt lines",
                   object_get_typename(OBJECT(back.no_msi)),
                   device_name(back.no_msi), bus);
        error_append_hint(errp, "Use virtio-net-pci, e1000e, igb or another "
                          "device with MSI-X\n");
        return false;
    }
    if (front.nics && !back.nics) {
        warn_report("multios: NIC %s (%s) is on the front's bus and none is "
                    "on the back's: give it bus=%s",
                    object_get_typename(OBJECT(front.first_nic)),
                    device_name(front.first_nic), bus);
    }
    return true;
}

static void multios_pcihost_register(void)
{
    type_register_static(&multios_pcihost_info);
}

type_init(multios_pcihost_register)
