/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multios: the back's PCIe root
 *
 * A generic PCIe host bridge of the back's own, named "<id>.pcie", with MMIO
 * where the front's firmware never allocates. The back's kernel assigns the
 * BARs itself. The bridge's interrupt pins are left unconnected: devices of
 * the back need MSI or MSI-X.
 *
 * The devices on it reach the back's memory, not the front's: see dma_init().
 * The front's IOMMU, if there is one, has nothing to do with them.
 *
 * The device is also the hotplug handler of the buses behind the back's root
 * ports. It checks a device, as multios_bus_check() checks those that are
 * there from the start, and leaves the rest to the root port.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "hw/i386/apic_internal.h"
#include "hw/multios/compat.h"
#include "hw/multios/multios.h"
#include "hw/pci/pci_bridge.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_host.h"
#include "hw/pci-host/gpex.h"

#define TYPE_MULTIOS_PCIHOST "multios-pcihost"

/*
 * Device paths, which name RAM blocks (option ROMs) and migration state, must
 * differ from those of the front's devices in the same slots.
 */
static const char *root_bus_path(PCIHostState *host, PCIBus *bus)
{
    return "0001:00";
}

static void multios_pcihost_class_init(ObjectClass *klass,
                                       MultiOSClassData *data)
{
    PCI_HOST_BRIDGE_CLASS(klass)->root_bus_path = root_bus_path;
    DEVICE_CLASS(klass)->desc = "multios PCIe host bridge of the back OS";
}

static const TypeInfo multios_pcihost_info = {
    .name = TYPE_MULTIOS_PCIHOST,
    .parent = TYPE_GPEX_HOST,
    .class_init = multios_pcihost_class_init,
};

static AddressSpace *bus_address_space(PCIBus *bus, void *opaque, int devfn)
{
    return &MULTIOS(opaque)->dma_as;
}

static const PCIIOMMUOps bus_iommu_ops = {
    .get_address_space = bus_address_space,
    .untranslated = true,
};

static void dma_window(MultiOSState *s, unsigned nth, const char *name,
                       hwaddr base, uint64_t size)
{
    assert(nth < MULTIOS_DMA_WINDOWS);
    memory_region_init_alias(&s->dma_window[nth], OBJECT(s), name,
                             get_system_memory(), base, size);
    memory_region_add_subregion(&s->dma, base, &s->dma_window[nth]);
}

/*
 * The back's devices reach, at the machine's own addresses, the memory of the
 * back's kernel (segment and trampoline), the shared segment, the local APICs
 * (an MSI is a write to them) and each other's BARs. Other addresses are not
 * backed by anything. vfio-pci maps, and pins, no more than this.
 */
static void dma_init(MultiOSState *s)
{
    unsigned n = 0;

    memory_region_init(&s->dma, OBJECT(s), "multios-dma", UINT64_MAX);
    dma_window(s, n++, "multios-dma-segments", s->back_base,
               s->back_mem + s->shared_mem);
    dma_window(s, n++, "multios-dma-low", MULTIOS_LOW_BASE, MULTIOS_LOW_SIZE);
    dma_window(s, n++, "multios-dma-msi", APIC_DEFAULT_ADDRESS,
               APIC_SPACE_SIZE);
    dma_window(s, n++, "multios-dma-mmio32", MULTIOS_MM32_BASE,
               MULTIOS_MM32_SIZE);
    dma_window(s, n++, "multios-dma-mmio64", multios_mm64_base(s),
               MULTIOS_MM64_SIZE);
    address_space_init(&s->dma_as, &s->dma, BUS(s->bus)->name);
    pci_setup_iommu(s->bus, &bus_iommu_ops, s);
}

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
    /* No IOMMU table (DMAR, IVRS, VIOT) of the front speaks of this bus. */
    qdev_prop_set_bit(s->pcihost, PCI_HOST_BYPASS_IOMMU, true);
    if (!qdev_realize_and_unref(s->pcihost, s->sysbus, errp)) {
        return false;
    }
    s->bus = PCI_HOST_BRIDGE(s->pcihost)->bus;
    /* The bridge has named it "pcie.0", as is the front's. */
    bus = BUS(s->bus);
    g_free(bus->name);
    bus->name = g_strdup_printf("%s.pcie", DEVICE(s)->id);

    if (!map_alias(s, &s->ecam, "multios-ecam", 0, 0, s->pci_base,
                   MULTIOS_ECAM_SIZE, errp) ||
        !map_alias(s, &s->mm32, "multios-mmio32", 1, MULTIOS_MM32_BASE,
                   MULTIOS_MM32_BASE, MULTIOS_MM32_SIZE, errp) ||
        !map_alias(s, &s->mm64, "multios-mmio64", 1, multios_mm64_base(s),
                   multios_mm64_base(s), MULTIOS_MM64_SIZE, errp)) {
        return false;
    }
    dma_init(s);
    return true;
}

void multios_bus_reset(MultiOSState *s)
{
    bus_cold_reset(BUS(s->bus));
}

static const char *device_name(PCIDevice *d)
{
    return DEVICE(d)->id ?: "without id";
}

/*
 * Types that reach past the bus, by their names, for they need not be built:
 * the balloon discards pages of the machine's memory by their number, memory
 * devices become memory of the front, and an IOMMU gets into its ACPI tables.
 */
static const char *const not_for_the_back[] = {
    "virtio-balloon-pci-base", "virtio-mem-pci-base", "virtio-pmem-pci-base",
    "virtio-iommu-pci", "pxb-pcie", "pxb-cxl",
};

static bool fit_for_back(MultiOSState *s, PCIDevice *d, Error **errp)
{
    const char *bus = BUS(s->bus)->name;

    for (unsigned i = 0; i < ARRAY_SIZE(not_for_the_back); i++) {
        if (object_dynamic_cast(OBJECT(d), not_for_the_back[i])) {
            error_setg(errp, "multios: device %s (%s) cannot be on bus=%s: its "
                       "effects are not confined to the back, it must be on "
                       "the front's bus", object_get_typename(OBJECT(d)),
                       device_name(d), bus);
            return false;
        }
    }
    if (IS_PCI_BRIDGE(d) ||
        pci_get_word(d->config + PCI_CLASS_DEVICE) == PCI_CLASS_BRIDGE_HOST ||
        (d->cap_present & (QEMU_PCI_CAP_MSI | QEMU_PCI_CAP_MSIX))) {
        return true;
    }
    error_setg(errp, "multios: device %s (%s) on bus=%s has neither MSI nor "
               "MSI-X: a device of the back must have one of them, the back "
               "has no interrupt lines", object_get_typename(OBJECT(d)),
               device_name(d), bus);
    error_append_hint(errp, "Use virtio-net-pci, e1000e, igb or another device "
                      "with MSI-X\n");
    return false;
}

/* The root port plugs the device after fit_for_back() accepted it. */
static void take_hotplug(MultiOSState *s, PCIDevice *bridge)
{
    BusState *sec = BUS(pci_bridge_get_sec_bus(PCI_BRIDGE(bridge)));

    if (sec->hotplug_handler) {
        qbus_set_hotplug_handler(sec, OBJECT(s));
    }
}

static HotplugHandler *slot_of(DeviceState *dev)
{
    return HOTPLUG_HANDLER(qdev_get_parent_bus(dev)->parent);
}

static void bus_pre_plug(HotplugHandler *h, DeviceState *dev, Error **errp)
{
    hotplug_handler_pre_plug(slot_of(dev), dev, errp);
}

static void bus_plug(HotplugHandler *h, DeviceState *dev, Error **errp)
{
    MultiOSState *s = MULTIOS(h);
    PCIDevice *d = PCI_DEVICE(dev);

    if (!fit_for_back(s, d, errp)) {
        return;
    }
    /* in the standby state the slot is empty */
    multios_checkpoint_drop(s);
    hotplug_handler_plug(slot_of(dev), dev, errp);
    if (IS_PCI_BRIDGE(d)) {
        take_hotplug(s, d);
    }
}

static void bus_unplug_request(HotplugHandler *h, DeviceState *dev,
                               Error **errp)
{
    hotplug_handler_unplug_request(slot_of(dev), dev, errp);
}

static void bus_unplug(HotplugHandler *h, DeviceState *dev, Error **errp)
{
    multios_checkpoint_drop(MULTIOS(h));
    hotplug_handler_unplug(slot_of(dev), dev, errp);
}

static bool bus_is_hotpluggable(HotplugHandler *h, BusState *bus)
{
    HotplugHandler *slot = HOTPLUG_HANDLER(bus->parent);
    HotplugHandlerClass *hc = HOTPLUG_HANDLER_GET_CLASS(slot);

    return !hc->is_hotpluggable_bus || hc->is_hotpluggable_bus(slot, bus);
}

void multios_bus_class_init(ObjectClass *klass)
{
    HotplugHandlerClass *hc = HOTPLUG_HANDLER_CLASS(klass);

    hc->pre_plug = bus_pre_plug;
    hc->plug = bus_plug;
    hc->unplug_request = bus_unplug_request;
    hc->unplug = bus_unplug;
    hc->is_hotpluggable_bus = bus_is_hotpluggable;
}

typedef struct Found {
    MultiOSState *s; /* of the back's bus only: check the devices */
    unsigned nics;
    PCIDevice *first_nic;
    Error *err;      /* about the first unfit device */
} Found;

static void look_at(PCIBus *bus, PCIDevice *d, void *opaque)
{
    Found *f = opaque;
    uint16_t class = pci_get_word(d->config + PCI_CLASS_DEVICE);

    if (f->s && !f->err) {
        fit_for_back(f->s, d, &f->err);
    }
    if (IS_PCI_BRIDGE(d)) {
        if (f->s) {
            take_hotplug(f->s, d);
        }
        pci_for_each_device_under_bus(pci_bridge_get_sec_bus(PCI_BRIDGE(d)),
                                      look_at, f);
    } else if (class >> 8 == PCI_BASE_CLASS_NETWORK) {
        f->nics++;
        f->first_nic = f->first_nic ?: d;
    }
}

/* Once all devices are there. */
bool multios_bus_check(MultiOSState *s, Error **errp)
{
    Found back = { .s = s }, front = { 0 };

    pci_for_each_device_under_bus(s->bus, look_at, &back);
    pci_for_each_device_under_bus(pci_get_bus(&s->parent_obj), look_at, &front);

    if (back.err) {
        error_propagate(errp, back.err);
        return false;
    }
    if (front.nics && !back.nics) {
        warn_report("multios: NIC %s (%s) is on the front's bus and none is "
                    "on the back's: give it bus=%s",
                    object_get_typename(OBJECT(front.first_nic)),
                    device_name(front.first_nic), BUS(s->bus)->name);
    }
    return true;
}

static void multios_pcihost_register(void)
{
    type_register_static(&multios_pcihost_info);
}

type_init(multios_pcihost_register)
