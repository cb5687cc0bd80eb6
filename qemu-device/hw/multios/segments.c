/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multios: the three memory segments
 *
 * The back's and the shared segment are carved from the end of -m beneath
 * 4 GiB; what is left is the front's. Beneath 4 GiB because the boot
 * parameters have 32-bit fields, and because every PCI device reaches it.
 *
 *   0                                             low RAM's end (<= 2 GiB)
 *   | front, its firmware's tables at the end | back | shared | initrd |
 *
 * The front's e820 says that its RAM ends where the back's segment begins,
 * and that the rest is reserved. At the end, for OVMF takes the largest end of
 * RAM beneath 4 GiB as that of one piece, whatever is reserved within.
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qapi/error.h"
#include "exec/address-spaces.h"
#include "hw/boards.h"
#include "hw/i386/pc.h"
#include "hw/i386/x86.h"
#include "hw/multios/multios.h"
#include "hw/pci-host/q35.h"
#include "hw/i386/e820_memory_layout.h"
#include "trace.h"

/* What the front's kernel and firmware (OVMF: about 40 MiB) need. */
#define FRONT_MIN           (256 * MiB)
#define BACK_MIN            (64 * MiB)
/* What x86_load_linux() leaves free above the front's initrd: PC_FW_DATA. */
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

/* Where x86_load_linux() puts the initrd at most, beside low RAM's end. */
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

static uint64_t pci_hole64_size(void)
{
    Object *q35 = object_resolve_path_type("", TYPE_Q35_HOST_DEVICE, NULL);

    return Q35_HOST_DEVICE(q35)->mch.pci_hole64_size;
}

bool multios_segments_init(MultiOSState *s, Error **errp)
{
    MachineState *ms = MACHINE(qdev_get_machine());
    X86MachineState *x86ms = X86_MACHINE(ms);
    uint64_t low = x86ms->below_4g_mem_size;
    uint64_t initrd = 0;
    uint64_t need, top, limit, hole_size, hole_max;

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
        error_append_hint(errp, "Use a larger -m (q35 has up to 2 GiB of it "
                          "beneath 4 GiB), or less back-mem or shared-mem\n");
        return false;
    }
    if (pc_pci_hole64_start() > MULTIOS_ECAM_BASE - 64 * GiB) {
        error_setg(errp, "multios: -m is %" PRIu64 " GiB, it must be at most "
                   "256 GiB: the back's PCI windows are at 384 GiB",
                   (uint64_t)ms->maxram_size / GiB);
        return false;
    }
    /* The firmware may put its first BAR, from which q35 counts, higher up. */
    hole_size = pci_hole64_size();
    hole_max = MULTIOS_ECAM_BASE - 32 * GiB - pc_pci_hole64_start();
    if (hole_size > hole_max) {
        error_setg(errp, "multios: q35-pcihost.pci-hole64-size is %" PRIu64
                   " GiB, it must be at most %" PRIu64 " GiB: the front's "
                   "64-bit PCI window must end beneath the back's",
                   hole_size / GiB, hole_max / GiB);
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

    /* etc/e820 is made when the machine is done, so this is early enough. */
    e820_add_entry(s->back_base, low - s->back_base, E820_RESERVED);
    e820_add_entry(MULTIOS_LOW_BASE, MULTIOS_LOW_SIZE, E820_RESERVED);
    trace_multios_segments(s->back_base, s->back_mem, s->shared_base,
                           s->shared_mem);
    return true;
}

/*
 * Once all devices are there, for nothing can be added to the e820 after this.
 * What fw_cfg hands out is this table and no copy.
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
