/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multios: the back's standby state, from which it starts without a boot
 *
 * The back's kernel writes CHECKPOINT when it has booted and no PCI device has
 * a driver yet. The device keeps a copy: memory that is not zero, vCPUs, and
 * the configuration of the PCI devices, whose reset clears the addresses that
 * the kernel assigned. A start restores all of it, and the kernel goes on to
 * probe its NIC.
 *
 * The TSC is not restored, as it belongs to both OSes: the back sees a jump of
 * time, as after a suspend. A machine reset or a snapshot sets the TSC back, so
 * it drops the copy.
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "hw/i386/apic_internal.h"
#include "hw/multios/compat.h"
#include "hw/multios/multios.h"
#include "hw/pci/pci_bridge.h"
#include "hw/pci/pci_bus.h"
#include "io/channel-buffer.h"
#include "migration/qemu-file.h"
#include "migration/vmstate.h"
#include "system/hw_accel.h"
#include "target/i386/cpu.h"
#include "trace.h"

#define PAGE        (4 * KiB)

/* A range of the back's memory; @data: its non-zero pages, one after another */
typedef struct KeptRange {
    hwaddr base;
    uint64_t pages;
    unsigned long *filled;
    uint8_t *data;
} KeptRange;

typedef struct Config {
    PCIDevice *dev; /* with a reference */
    uint8_t data[PCI_CONFIG_SPACE_SIZE];
} Config;

/* The parts of a vCPU's state */
enum { STATE_X86, STATE_COMMON, STATE_APIC, STATES };

struct MultiOSCheckpoint {
    KeptRange segment;
    KeptRange low;
    GArray *configs;   /* of Config */
    GByteArray **states; /* STATES for each vCPU */
    uint8_t ioapic_select;
    uint32_t ioapic_reg[0x40];
};

bool multios_checkpoint_wanted(MultiOSState *s)
{
    return s->standby && s->state == MULTIOS_BACK_RUNNING &&
           s->started_boot == s->boot->nth &&
           s->checkpoint_refused != s->generation &&
           !s->checkpoint;
}

/* Host address of RAM below 4 GiB, which is all in one memory region. */
static uint8_t *host_memory(hwaddr base, uint64_t size)
{
    MemoryRegionSection sec = memory_region_find(get_system_memory(), base,
                                                 size);
    uint8_t *host = memory_region_get_ram_ptr(sec.mr) +
                    sec.offset_within_region;

    /* no reference needed: the region lives as long as the machine */
    memory_region_unref(sec.mr);
    return host;
}

/* Returns false without memory for the copy. Adds its size to *@bytes. */
static bool keep_range(KeptRange *r, hwaddr base, uint64_t size,
                       uint64_t *bytes)
{
    const uint8_t *host = host_memory(base, size);
    uint64_t n = 0;
    uint8_t *to;

    r->base = base;
    r->pages = size / PAGE;
    r->filled = bitmap_new(r->pages);
    for (uint64_t i = 0; i < r->pages; i++) {
        if (!buffer_is_zero(host + i * PAGE, PAGE)) {
            set_bit(i, r->filled);
            n++;
        }
    }
    to = r->data = g_try_malloc(n * PAGE);
    if (n && !to) {
        return false;
    }
    for (uint64_t i = 0; i < r->pages; i++) {
        if (test_bit(i, r->filled)) {
            memcpy(to, host + i * PAGE, PAGE);
            to += PAGE;
        }
    }
    *bytes += n * PAGE;
    return true;
}

/* Writes the pages that differ. Returns how many. */
static uint64_t put_range(const KeptRange *r)
{
    static const uint8_t zero[PAGE];
    const uint8_t *host = host_memory(r->base, r->pages * PAGE);
    const uint8_t *from = r->data;
    uint64_t n = 0;

    for (uint64_t i = 0; i < r->pages; i++) {
        bool filled = test_bit(i, r->filled);
        const uint8_t *page = filled ? from : zero;

        from += filled ? PAGE : 0;
        if (filled ? memcmp(host + i * PAGE, page, PAGE)
                   : !buffer_is_zero(host + i * PAGE, PAGE)) {
            address_space_write(&address_space_memory, r->base + i * PAGE,
                                MEMTXATTRS_UNSPECIFIED, page, PAGE);
            n++;
        }
    }
    return n;
}

static const VMStateDescription *vmsd_of(unsigned state)
{
    static const VMStateDescription *const vmsd[STATES] = {
        [STATE_X86] = &vmstate_x86_cpu,
        [STATE_COMMON] = &vmstate_cpu_common,
        [STATE_APIC] = &vmstate_apic_common,
    };

    return vmsd[state];
}

static void *opaque_of(CPUState *cs, unsigned state)
{
    return state == STATE_APIC ? (void *)X86_CPU(cs)->apic_state : (void *)cs;
}

/* Returns NULL if the state cannot be saved. */
static GByteArray *keep_state(const VMStateDescription *vmsd, void *opaque)
{
    QIOChannelBuffer *channel = qio_channel_buffer_new(4 * KiB);
    QEMUFile *f = qemu_file_new_output(QIO_CHANNEL(channel));
    GByteArray *bytes = NULL;

    if (!vmstate_save_state(f, vmsd, opaque, NULL) &&
        !qemu_fflush(f)) {
        bytes = g_byte_array_new();
        g_byte_array_append(bytes, channel->data, channel->usage);
    }
    qemu_fclose(f);
    object_unref(OBJECT(channel));
    return bytes;
}

static bool put_state(const VMStateDescription *vmsd, void *opaque,
                      const GByteArray *bytes)
{
    QIOChannelBuffer *channel = qio_channel_buffer_new(bytes->len);
    QEMUFile *f;
    bool ok;

    memcpy(channel->data, bytes->data, bytes->len);
    channel->usage = bytes->len;
    f = qemu_file_new_input(QIO_CHANNEL(channel));
    ok = multios_load_state(f, vmsd, opaque) >= 0;
    qemu_fclose(f);
    object_unref(OBJECT(channel));
    return ok;
}

typedef struct PutVcpu {
    MultiOSState *s;
    GByteArray **states;
    bool ok;
} PutVcpu;

/*
 * Resets the vCPU first: a saved state leaves out parts that were not in use,
 * and these must not stay as the dead kernel left them.
 */
static void put_vcpu(CPUState *cs, run_on_cpu_data data)
{
    PutVcpu *put = data.host_ptr;

    multios_vcpu_reset(put->s, cs);
    for (unsigned i = 0; i < STATES; i++) {
        put->ok &= put_state(vmsd_of(i), opaque_of(cs, i), put->states[i]);
    }
    /* joins the TSC of the others, see multios_vcpu_reset() */
    X86_CPU(cs)->env.tsc = 0;
    cpu_synchronize_post_init(cs);
}

/* A bridge comes before the devices behind it. */
static void keep_config(PCIBus *bus, PCIDevice *d, void *opaque)
{
    MultiOSCheckpoint *c = opaque;
    Config config = { .dev = d };

    object_ref(OBJECT(d));
    memcpy(config.data, d->config, sizeof(config.data));
    g_array_append_val(c->configs, config);
    if (IS_PCI_BRIDGE(d)) {
        pci_for_each_device_under_bus(pci_bridge_get_sec_bus(PCI_BRIDGE(d)),
                                      keep_config, c);
    }
}

/*
 * Writes the registers that differ, in the kernel's order: addresses first,
 * then the command register, which makes the device respond to them. A device
 * that was unplugged since is no longer realized.
 */
static void put_config(const Config *config)
{
    PCIDevice *d = config->dev;

    if (!DEVICE(d)->realized) {
        return;
    }
    for (unsigned at = PCI_CACHE_LINE_SIZE; at < sizeof(config->data);
         at += 4) {
        uint32_t val = pci_get_long(config->data + at);

        if (val != pci_get_long(d->config + at)) {
            d->config_write(d, at, val, 4);
        }
    }
    d->config_write(d, PCI_COMMAND, pci_get_word(config->data + PCI_COMMAND),
                    2);
}

/* Returns a device that is bus master, so it has a driver; NULL: none. */
static PCIDevice *busy_device(MultiOSCheckpoint *c)
{
    for (guint i = 0; i < c->configs->len; i++) {
        Config *config = &g_array_index(c->configs, Config, i);

        if (!IS_PCI_BRIDGE(config->dev) &&
            (pci_get_word(config->data + PCI_COMMAND) & PCI_COMMAND_MASTER)) {
            return config->dev;
        }
    }
    return NULL;
}

static void range_free(KeptRange *r)
{
    g_free(r->filled);
    g_free(r->data);
}

static void checkpoint_free(MultiOSState *s, MultiOSCheckpoint *c)
{
    for (guint i = 0; i < c->configs->len; i++) {
        object_unref(OBJECT(g_array_index(c->configs, Config, i).dev));
    }
    g_array_free(c->configs, true);
    for (unsigned i = 0; i < s->back_vcpus * STATES; i++) {
        if (c->states[i]) {
            g_byte_array_free(c->states[i], true);
        }
    }
    g_free(c->states);
    range_free(&c->segment);
    range_free(&c->low);
    g_free(c);
}

void multios_checkpoint_drop(MultiOSState *s)
{
    if (s->checkpoint) {
        checkpoint_free(s, s->checkpoint);
        s->checkpoint = NULL;
    }
}

/* Returns false, with a message, if the back's state cannot be kept. */
static bool keep(MultiOSState *s, MultiOSCheckpoint *c)
{
    PCIDevice *busy;
    int64_t begin = get_clock();
    uint64_t bytes = 0;
    bool room;

    pci_for_each_device_under_bus(s->bus, keep_config, c);
    busy = busy_device(c);
    if (busy) {
        warn_report("multios: no standby state: device %s of the back has a "
                    "driver, it must have none yet when the back asks for it",
                    object_get_typename(OBJECT(busy)));
        return false;
    }
    for (unsigned i = 0; i < s->back_vcpus; i++) {
        CPUState *cs = multios_vcpu(s, i);

        cpu_synchronize_state(cs);
        for (unsigned n = 0; n < STATES; n++) {
            c->states[i * STATES + n] = keep_state(vmsd_of(n),
                                                   opaque_of(cs, n));
            if (!c->states[i * STATES + n]) {
                warn_report("multios: no standby state: %s of a vCPU cannot be "
                            "saved", vmsd_of(n)->name);
                return false;
            }
        }
    }
    memcpy(c->ioapic_reg, s->ioapic_reg, sizeof(c->ioapic_reg));
    c->ioapic_select = s->ioapic_select;
    /* Nobody writes to it: vCPUs are held, and no device is bus master. */
    bql_unlock();
    room = keep_range(&c->segment, s->back_base, s->back_mem, &bytes) &&
           keep_range(&c->low, MULTIOS_LOW_BASE, MULTIOS_LOW_SIZE, &bytes);
    bql_lock();
    if (!room) {
        warn_report("multios: no standby state: there is no memory for a copy "
                    "of the back's (back-mem is %" PRIu64 " MiB)",
                    s->back_mem / MiB);
        return false;
    }
    trace_multios_checkpoint_taken(bytes, (get_clock() - begin) / SCALE_US);
    return true;
}

void multios_checkpoint_take(MultiOSState *s)
{
    MultiOSCheckpoint *c = g_new0(MultiOSCheckpoint, 1);

    c->configs = g_array_new(false, false, sizeof(Config));
    c->states = g_new0(GByteArray *, s->back_vcpus * STATES);
    multios_vcpus_hold(s);
    if (qatomic_read(&s->pending) & MULTIOS_DO_BY_BACK) {
        /* It has ended or crashed meanwhile: multios_make_changes() is next. */
        checkpoint_free(s, c);
        return;
    }
    if (keep(s, c)) {
        s->checkpoint = c;
    } else {
        s->checkpoint_refused = s->generation;
        checkpoint_free(s, c);
    }
    multios_vcpus_release(s);
}

bool multios_checkpoint_restore(MultiOSState *s)
{
    MultiOSCheckpoint *c = s->checkpoint;
    PutVcpu put = { .s = s, .ok = true };
    int64_t begin = get_clock();
    uint64_t pages;

    if (!c) {
        return false;
    }
    /* as in multios_boot_load() */
    bql_unlock();
    pages = put_range(&c->segment) + put_range(&c->low);
    bql_lock();
    for (guint i = 0; i < c->configs->len; i++) {
        put_config(&g_array_index(c->configs, Config, i));
    }
    memcpy(s->ioapic_reg, c->ioapic_reg, sizeof(s->ioapic_reg));
    s->ioapic_select = c->ioapic_select;
    for (unsigned i = 0; i < s->back_vcpus; i++) {
        put.states = c->states + i * STATES;
        run_on_cpu(multios_vcpu(s, i), put_vcpu, RUN_ON_CPU_HOST_PTR(&put));
    }
    if (!put.ok) {
        warn_report("multios: the standby state cannot be loaded: the back "
                    "boots");
        multios_checkpoint_drop(s);
        multios_bus_reset(s);
        return false;
    }
    trace_multios_checkpoint_restored(pages, (get_clock() - begin) / SCALE_US);
    return true;
}
