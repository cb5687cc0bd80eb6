/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multios: the three memory segments
 *
 * The back's and the shared segment are carved from the end of -m beneath
 * 4 GiB; the rest is the front's. Beneath 4 GiB because the boot
 * parameters have 32-bit fields, and because every PCI device reaches it.
 *
 *   0                                             low RAM's end (<= 2.75 GiB)
 *   | front, its firmware's tables at the end | back | shared | initrd |
 *
 * The front's e820 says that its RAM ends where the back's segment begins,
 * and that the rest is reserved. At the end, for OVMF takes the largest end of
 * RAM beneath 4 GiB as that of one piece, whatever is reserved within.
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "hw/i386/pc.h"
#include "hw/i386/x86.h"
#include "hw/multios/compat.h"
#include "hw/multios/multios.h"
#include "hw/pci-host/q35.h"
#include "hw/i386/e820_memory_layout.h"
#include "system/numa.h"
#include "target/i386/cpu.h"
#include "trace.h"

/* Least memory of the front's kernel and firmware (OVMF: about 40 MiB). */
#define FRONT_MIN           (256 * MiB)
#define BACK_MIN            (64 * MiB)
/* Gap of x86_load_linux() above the front's initrd: PC_FW_DATA. */
#define INITRD_GAP          (160 * KiB)

static bool check_size(const char *name, uint64_t size, uint64_t min,
                       Error **errp)
{
    if (!size) {
        error_setg(errp, "multios: %s is 0, it must be at least %" PRIu64
                   " MiB", name, min / MiB);
        return false;
    }
    if (size % MULTIOS_SEGMENT_ALIGN) {
        error_setg(errp, "multios: %s is %" PRIu64 " bytes, it must be a "
                   "multiple of 2 MiB (the kernels map it with 2 MiB pages)",
                   name, size);
        return false;
    }
    if (size < min) {
        error_setg(errp, "multios: %s is %" PRIu64 " MiB, it must be at least %"
                   PRIu64 " MiB", name, size / MiB, min / MiB);
        return false;
    }
    return true;
}

/* Highest end of the initrd for x86_load_linux(), beside low RAM's end. */
static uint64_t front_initrd_limit(MachineState *ms)
{
    uint8_t header[0x260] = { 0 };
    FILE *f = ms->kernel_filename ? fopen(ms->kernel_filename, "rb") : NULL;
    size_t got = 0;

    if (f) {
        got = fread(header, 1, sizeof(header), f);
        fclose(f);
    }
    if (got < sizeof(header) || memcmp(header + 0x202, "HdrS", 4) ||
        (lduw_le_p(header + 0x206) >= 0x20c && (header[0x236] & 2))) {
        return UINT64_MAX;
    }
    return ldl_le_p(header + 0x22c);
}

/*
 * The back's 64-bit PCI windows: at 384 GiB, or above the end of the front's
 * 64-bit hole if that is higher up. Beneath the upper eighth of the address
 * space, where firmware puts large BARs.
 */
static bool place_pci(MultiOSState *s, Error **errp)
{
    Object *q35 = object_resolve_path_type("", TYPE_Q35_HOST_DEVICE, NULL);
    uint64_t size = Q35_HOST_DEVICE(q35)->mch.pci_hole64_size;
    uint64_t start = pc_pci_hole64_start();
    unsigned bits = X86_CPU(first_cpu)->phys_bits ?: MULTIOS_PHYS_BITS;
    uint64_t limit = (1ULL << bits) / 8 * 7 - MULTIOS_PCI_SPACE;
    uint64_t end;

    if (start > limit || size > limit) { /* so the sum cannot wrap */
        end = MAX(start, size);
    } else {
        /* Firmware may put its first BAR, from which q35 counts, higher up. */
        end = start + MAX(size, 32 * GiB) + 32 * GiB;
        end = MAX(ROUND_UP(end, MULTIOS_PCI_SPACE), MULTIOS_PCI_LOWEST);
    }
    if (end > limit) {
        error_setg(errp, "multios: the back's PCI windows (64 GiB) would be at %"
                   PRIu64 " GiB, above the front's RAM and PCI window "
                   "(q35-pcihost.pci-hole64-size is %" PRIu64 " GiB): they "
                   "must be at %" PRIu64 " GiB at most, beneath the upper "
                   "eighth of the CPU model's %u physical address bits",
                   end / GiB, size / GiB, limit / GiB, bits);
        error_append_hint(errp, "Use a smaller -m or pci-hole64-size, or a CPU "
                          "model with more phys-bits\n");
        return false;
    }
    s->pci_base = end;
    return true;
}

/*
 * The back's memory is where low RAM ends, that is on the guest's first NUMA
 * node unless that has less than low RAM; its vCPUs are the last ones, which
 * QEMU puts on the last node unless it is told otherwise.
 */
static void check_numa(MultiOSState *s)
{
    MachineState *ms = MACHINE(qdev_get_machine());
    NumaState *numa = ms->numa_state;
    uint64_t end = 0;
    int node = 0;

    if (!numa || numa->num_nodes < 2) {
        return;
    }
    while (node < numa->num_nodes - 1) {
        end += numa->nodes[node].node_mem;
        if (s->back_base < end) {
            break;
        }
        node++;
    }
    for (unsigned i = 0; i < s->back_vcpus; i++) {
        unsigned cpu = s->first_back_cpu + i;
        int64_t of = ms->possible_cpus->cpus[cpu].props.node_id;

        if (of != node) {
            warn_report("multios: vCPU %u of the back is on NUMA node %" PRId64
                        " and the back's memory on node %d: give the last "
                        "vCPUs of -smp to node %d (-numa cpu or cpus=)",
                        cpu, of, node, node);
            return;
        }
    }
}

bool multios_segments_init(MultiOSState *s, Error **errp)
{
    MachineState *ms = MACHINE(qdev_get_machine());
    X86MachineState *x86ms = X86_MACHINE(ms);
    uint64_t low = x86ms->below_4g_mem_size;
    uint64_t initrd = 0;
    uint64_t need, top, limit;

    if (!check_size("back-mem", s->back_mem, BACK_MIN, errp) ||
        !check_size("shared-mem", s->shared_mem, MULTIOS_SEGMENT_ALIGN, errp)) {
        return false;
    }

    /*
     * x86_load_linux() plans the front's initrd (-initrd) page aligned so far
     * beneath the end of low RAM, and pvh.bin, which loads an ELF kernel, does
     * put it there. linuxboot_dma and OVMF go by the firmware's idea of RAM.
     */
    if (x86ms->initrd_mapped_file) {
        initrd = g_mapped_file_get_length(x86ms->initrd_mapped_file);
        initrd += INITRD_GAP + 4 * KiB;
        initrd = ROUND_UP(initrd, MULTIOS_SEGMENT_ALIGN);
    }

    /* Each alone first, so that the sum cannot wrap. */
    need = FRONT_MIN + initrd;
    if (s->back_mem > low || s->shared_mem > low ||
        s->back_mem + s->shared_mem + need > low) {
        error_setg(errp, "multios: back-mem (%" PRIu64 " MiB) and shared-mem (%"
                   PRIu64 " MiB) with %" PRIu64 " MiB for the front's kernel, "
                   "initrd and firmware must fit beneath 4 GiB, where -m gives "
                   "%" PRIu64 " MiB", s->back_mem / MiB, s->shared_mem / MiB,
                   need / MiB, low / MiB);
        error_append_hint(errp, "Use a larger -m (q35 has up to 2.75 GiB of it "
                          "beneath 4 GiB, and 2 GiB of more than that), or "
                          "less back-mem or shared-mem\n");
        return false;
    }
    if (!place_pci(s, errp)) {
        return false;
    }

    /*
     * A kernel from before 3.8 does not take its initrd above the limit in
     * its header, and the loader goes that far down with it.
     */
    limit = front_initrd_limit(ms);
    if (initrd && limit < low - INITRD_GAP) {
        error_setg(errp, "multios: the front's -kernel %s takes its -initrd "
                   "beneath %" PRIu64 " MiB only, where the segments are: use "
                   "a kernel with XLF_CAN_BE_LOADED_ABOVE_4G (3.8 or later)",
                   ms->kernel_filename, limit / MiB);
        return false;
    }

    top = QEMU_ALIGN_DOWN(low - initrd, MULTIOS_SEGMENT_ALIGN);
    s->shared_base = top - s->shared_mem;
    s->back_base = s->shared_base - s->back_mem;
    check_numa(s);

    /* etc/e820 is made when the machine is done, so this is early enough. */
    e820_add_entry(s->back_base, low - s->back_base, E820_RESERVED);
    e820_add_entry(MULTIOS_LOW_BASE, MULTIOS_LOW_SIZE, E820_RESERVED);
    trace_multios_segments(s->back_base, s->back_mem, s->shared_base,
                           s->shared_mem);
    return true;
}

/*
 * Once all devices are there, for nothing can be added to the e820 after this.
 * fw_cfg hands out this very table, not a copy.
 */
void multios_segments_end_ram(MultiOSState *s)
{
    Object *q35 = object_resolve_path_type("", TYPE_Q35_HOST_DEVICE, NULL);
    struct e820_entry *table;
    int n = e820_get_table(&table);

    /* Firmware's SMM memory (TSEG) is the end of RAM, and not of our segments */
    Q35_HOST_DEVICE(q35)->mch.below_4g_mem_size = s->back_base;

    for (int i = 0; i < n; i++) {
        uint64_t addr = le64_to_cpu(table[i].address);
        uint64_t len = le64_to_cpu(table[i].length);

        if (le32_to_cpu(table[i].type) == E820_RAM && addr < s->back_base) {
            table[i].length = cpu_to_le64(MIN(len, s->back_base - addr));
        }
    }
}
