/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multios: what the back's first vCPU finds in memory
 *
 * The 64-bit boot protocol of Linux (Documentation/arch/x86/boot.rst), without
 * firmware: protected-mode kernel, boot_params, command line, initrd, ACPI
 * tables and identity page tables in the back's segment, entry at the kernel's
 * load address + 0x200.
 *
 * All of it is written anew at each start, and so from copies of our own
 * instead of ROM blobs: a kernel that ran has destroyed its image, and only a
 * machine reset, without which the back restarts, reloads a ROM blob. The
 * files are not mapped, though that would save their size in memory: a file
 * that is overwritten in place would end QEMU with SIGBUS, or boot in parts.
 *
 * Kernel, initrd and command line can be replaced at run time, together: they
 * are checked as at the machine's start, and the back's next start uses them.
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qapi/clone-visitor.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-multios.h"
#include "hw/i386/x86.h"
#include "hw/multios/compat.h"
#include "hw/multios/multios.h"
#include "system/cpu-timers.h"
#include "system/kvm.h"
#include "system/qtest.h"
#include "target/i386/cpu.h"
#include "hw/i386/e820_memory_layout.h"
#include "trace.h"

/* Offsets in boot_params, which starts with the bzImage's setup header. */
#define BP_ACPI_RSDP        0x070
#define BP_EXT_RAMDISK_IMG  0x0c0
#define BP_EXT_RAMDISK_SIZE 0x0c4
#define BP_EXT_CMDLINE_PTR  0x0c8
#define BP_E820_ENTRIES     0x1e8
#define BP_HEADER           0x1f1
#define BP_E820_TABLE       0x2d0
#define BP_E820_ENTRY_SIZE  20
#define BP_SIZE             0x1000

#define HDR_SETUP_SECTS     0x1f1
#define HDR_END_OFFSET      0x201
#define HDR_MAGIC           0x202
#define HDR_VERSION         0x206
#define HDR_TYPE_OF_LOADER  0x210
#define HDR_LOADFLAGS       0x211
#define HDR_CODE32_START    0x214
#define HDR_RAMDISK_IMAGE   0x218
#define HDR_RAMDISK_SIZE    0x21c
#define HDR_CMD_LINE_PTR    0x228
#define HDR_KERNEL_ALIGN    0x230
#define HDR_RELOCATABLE     0x234
#define HDR_XLOADFLAGS      0x236
#define HDR_CMDLINE_SIZE    0x238
#define HDR_INIT_SIZE       0x260
#define HDR_MIN_FILE        0x268

#define LOADED_HIGH         1
#define XLF_KERNEL_64       1
#define LOADER_TYPE_UNKNOWN 0xff
/*
 * Linux 5.5. From 4.20 on the kernel takes the RSDP's address from boot_params
 * (an older one finds the front's in low memory); that change's number, 2.14,
 * was withdrawn again.
 */
#define MIN_PROTOCOL        0x20f
#define ENTRY_64            0x200

/* @data lies in @buffer, which the blob takes over. */
static void add_blob_of(MultiOSBoot *b, hwaddr addr, const void *data,
                        gsize len, void *buffer)
{
    MultiOSBlob blob = { addr, len, data, buffer };

    g_array_append_val(b->blobs, blob);
}

static void add_blob(MultiOSBoot *b, hwaddr addr, const void *data, gsize len)
{
    void *copy = g_memdup2(data, len);

    add_blob_of(b, addr, copy, len, copy);
}

/* Returns the reason why the image cannot be started; NULL: none */
static char *why_not_bootable(const uint8_t *img, gsize len)
{
    if (len < HDR_MIN_FILE || memcmp(img + HDR_MAGIC, "HdrS", 4)) {
        return g_strdup("no setup header is in it");
    }
    if (lduw_le_p(img + HDR_VERSION) < MIN_PROTOCOL) {
        return g_strdup_printf("its boot protocol is %u.%02u, 2.15 or later "
                               "(Linux 5.5) is needed", img[HDR_VERSION + 1],
                               img[HDR_VERSION]);
    }
    if (!(img[HDR_LOADFLAGS] & LOADED_HIGH)) {
        return g_strdup("it is a zImage");
    }
    if (!(lduw_le_p(img + HDR_XLOADFLAGS) & XLF_KERNEL_64)) {
        return g_strdup("it has no 64-bit entry point (XLF_KERNEL_64)");
    }
    if (!img[HDR_RELOCATABLE]) {
        return g_strdup("it is not relocatable (CONFIG_RELOCATABLE)");
    }
    if (!is_power_of_2(ldl_le_p(img + HDR_KERNEL_ALIGN))) {
        return g_strdup("its kernel_alignment is no power of two");
    }
    if (((img[HDR_SETUP_SECTS] ?: 4) + 1) * 512 >= len) {
        return g_strdup("it is cut off");
    }
    return NULL;
}

/* Identity map of the low 4 GiB with 2 MiB pages, and the GDT behind it. */
static void add_page_tables(MultiOSState *s, MultiOSBoot *b)
{
    hwaddr base = s->back_base + MULTIOS_OFF_PAGE_TABLES;
    g_autofree uint8_t *t = g_malloc0(MULTIOS_PAGE_TABLES_SIZE);

    stq_le_p(t, (base + 0x1000) | 3);
    for (uint64_t i = 0; i < 4; i++) {
        stq_le_p(t + 0x1000 + 8 * i, (base + 0x2000 + i * 0x1000) | 3);
    }
    for (uint64_t i = 0; i < 4 * 512; i++) {
        stq_le_p(t + 0x2000 + 8 * i, (i << 21) | 0x83);
    }
    stq_le_p(t + 0x6010, 0x00af9a000000ffffULL); /* __BOOT_CS */
    stq_le_p(t + 0x6018, 0x00cf92000000ffffULL); /* __BOOT_DS */
    add_blob(b, base, t, MULTIOS_PAGE_TABLES_SIZE);
}

static void add_e820(uint8_t *bp, hwaddr addr, uint64_t len, uint32_t type)
{
    uint8_t *e = bp + BP_E820_TABLE + bp[BP_E820_ENTRIES] * BP_E820_ENTRY_SIZE;

    stq_le_p(e, addr);
    stq_le_p(e + 8, len);
    stl_le_p(e + 16, type);
    bp[BP_E820_ENTRIES]++;
}

/*
 * The back has no PIT, HPET or PM timer to calibrate its TSC by. KVM knows the
 * frequency (and tells it by kvm-clock too, unless the CPU model lacks that);
 * 0 if it does not. TCG's TSC is the host's, and one of 1 GHz with -icount.
 */
static uint64_t measure_tsc_khz(void)
{
    uint64_t best_span = UINT64_MAX, khz = 0;

    if (qtest_enabled()) {
        return 0;
    }
    if (kvm_enabled()) {
        return MAX(X86_CPU(first_cpu)->env.tsc_khz, 0);
    }
    if (icount_enabled()) {
        return 1000000;
    }
    /* Take the try that other processes of the host disturbed least. */
    for (int i = 0; i < 3; i++) {
        int64_t t0 = get_clock();
        int64_t c0 = cpu_get_host_ticks();
        int64_t t1 = get_clock();
        int64_t t2, c1, t3;

        g_usleep(10 * 1000);
        t2 = get_clock();
        c1 = cpu_get_host_ticks();
        t3 = get_clock();
        if ((t1 - t0) + (t3 - t2) < best_span) {
            best_span = (t1 - t0) + (t3 - t2);
            khz = (c1 - c0) * 1000000.0 / ((t2 + t3) / 2.0 - (t0 + t1) / 2.0);
        }
    }
    return khz;
}

static bool add_cmdline(MultiOSState *s, MultiOSBoot *b, const uint8_t *img,
                        Error **errp)
{
    /*
     * First no_ipi_broadcast: the all-but-self shorthand would reach the
     * front's vCPUs. On a hardware-reduced machine Linux would try EFI and then
     * all but ACPI to reboot.
     */
    g_autoptr(GString) cmd = g_string_new("no_ipi_broadcast=1 reboot=acpi");
    uint32_t limit = MIN(ldl_le_p(img + HDR_CMDLINE_SIZE),
                         MULTIOS_CMDLINE_SPACE - 1);
    gsize own;

    if (s->tsc_khz) {
        g_string_append_printf(cmd, " tsc_early_khz=%" PRIu64, s->tsc_khz);
    }
    /*
     * The UART by its address. By name Linux takes ttyS0 for the PC's COM1
     * until it finds this one, and since its consoles print from threads of
     * their own (6.13) one of them may print while the port is exchanged.
     */
    if (s->back_console) {
        g_string_append_printf(cmd, " console=uart,mmio,0x%" PRIx64 ",115200",
                               (uint64_t)MULTIOS_UART_BASE);
    }
    /* The user's behind ours: they may end with " -- " and init's arguments. */
    g_string_append_c(cmd, ' ');
    own = cmd->len;
    g_string_append(cmd, b->names->append ?: "");
    if (cmd->len > limit) {
        error_setg(errp, "multios: back-append has %zu characters, it must "
                   "have at most %zu: %s takes %u and %zu are the device's",
                   cmd->len - own, limit > own ? limit - own : 0,
                   b->names->kernel, limit, own);
        return false;
    }
    add_blob(b, s->back_base + MULTIOS_OFF_CMDLINE, cmd->str, cmd->len + 1);
    return true;
}

/* Drops the BQL at run time: reading a file takes long. */
static bool read_file(const char *name, uint8_t **data, gsize *len,
                      GError **gerr)
{
    bool unlock = phase_check(PHASE_MACHINE_READY);
    bool ok;

    if (unlock) {
        bql_unlock();
    }
    ok = g_file_get_contents(name, (char **)data, len, gerr);
    if (unlock) {
        bql_lock();
    }
    return ok;
}

static bool add_initrd(MultiOSState *s, MultiOSBoot *b, uint8_t *bp,
                       hwaddr lowest, Error **errp)
{
    hwaddr end = s->back_base + s->back_mem;
    g_autofree uint8_t *data = NULL;
    GError *gerr = NULL;
    gsize len;
    hwaddr addr;

    if (!b->names->initrd || !*b->names->initrd) {
        return true;
    }
    if (!read_file(b->names->initrd, &data, &len, &gerr)) {
        error_setg(errp, "multios: back-initrd=%s cannot be read: %s; it must "
                   "be an initramfs for the back kernel", b->names->initrd,
                   gerr->message);
        g_error_free(gerr);
        return false;
    }
    if (!len) {
        error_setg(errp, "multios: back-initrd=%s is empty, it must be an "
                   "initramfs for the back kernel", b->names->initrd);
        return false;
    }
    if (len > end - lowest) {
        error_setg(errp, "multios: back-initrd=%s has %zu KiB, it must have at "
                   "most %" PRIu64 " KiB: that is what the kernel leaves of "
                   "back-mem (%" PRIu64 " MiB)", b->names->initrd, len / KiB,
                   (end - lowest) / KiB, s->back_mem / MiB);
        error_append_hint(errp, "Use a larger back-mem\n");
        return false;
    }
    addr = QEMU_ALIGN_DOWN(end - len, 4 * KiB);
    add_blob_of(b, addr, data, len, data);
    data = NULL;
    stl_le_p(bp + HDR_RAMDISK_IMAGE, addr);
    stl_le_p(bp + BP_EXT_RAMDISK_IMG, addr >> 32);
    stl_le_p(bp + HDR_RAMDISK_SIZE, len);
    stl_le_p(bp + BP_EXT_RAMDISK_SIZE, len >> 32);
    return true;
}

static void boot_free(MultiOSBoot *b)
{
    for (guint i = 0; i < b->blobs->len; i++) {
        g_free(g_array_index(b->blobs, MultiOSBlob, i).buffer);
    }
    g_array_free(b->blobs, true);
    qapi_free_MultiOSBackBoot(b->names);
    g_free(b);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(MultiOSBoot, boot_free)

/* Reads the files and lays out the blobs of @b, whose names are set. */
static bool lay_out(MultiOSState *s, MultiOSBoot *b, Error **errp)
{
    g_autofree uint8_t *bp = g_malloc0(BP_SIZE);
    hwaddr base = s->back_base;
    hwaddr acpi = base + MULTIOS_OFF_ACPI;
    hwaddr cmdline = base + MULTIOS_OFF_CMDLINE;
    g_autofree uint8_t *img = NULL;
    g_autofree char *why = NULL;
    GError *gerr = NULL;
    GArray *tables;
    gsize len, setup;
    uint64_t init_size;
    hwaddr load;

    if (!b->names->kernel || !*b->names->kernel) {
        error_setg(errp, "multios: back-kernel is missing, it must name the "
                   "bzImage that the back boots (such as /boot/vmlinuz-...)");
        return false;
    }
    if (!read_file(b->names->kernel, &img, &len, &gerr)) {
        error_setg(errp, "multios: back-kernel=%s cannot be read: %s; it must "
                   "be a bzImage", b->names->kernel, gerr->message);
        g_error_free(gerr);
        return false;
    }
    why = why_not_bootable(img, len);
    if (why) {
        error_setg(errp, "multios: back-kernel=%s must be an x86-64 bzImage, "
                   "but %s", b->names->kernel, why);
        return false;
    }

    setup = ((img[HDR_SETUP_SECTS] ?: 4) + 1) * 512;
    load = ROUND_UP(base + MULTIOS_OFF_KERNEL,
                    (uint64_t)ldl_le_p(img + HDR_KERNEL_ALIGN));
    /* init_size: memory that the kernel uses before it has read the e820. */
    init_size = MAX((uint64_t)ldl_le_p(img + HDR_INIT_SIZE), len - setup);
    if (load + init_size > base + s->back_mem) {
        error_setg(errp, "multios: back-kernel=%s needs %" PRIu64 " MiB, but "
                   "back-mem is %" PRIu64 " MiB: it must be at least %" PRIu64
                   " MiB and room for the initrd", b->names->kernel,
                   DIV_ROUND_UP(init_size, MiB), s->back_mem / MiB,
                   ROUND_UP(load + init_size - base, MULTIOS_SEGMENT_ALIGN) /
                   MiB);
        return false;
    }

    memcpy(bp + BP_HEADER, img + BP_HEADER,
           HDR_MAGIC + img[HDR_END_OFFSET] - BP_HEADER);
    if (!add_cmdline(s, b, img, errp) ||
        !add_initrd(s, b, bp, load + init_size, errp)) {
        return false;
    }
    bp[HDR_TYPE_OF_LOADER] = LOADER_TYPE_UNKNOWN;
    stl_le_p(bp + HDR_CODE32_START, load);
    stl_le_p(bp + HDR_CMD_LINE_PTR, cmdline);
    stl_le_p(bp + BP_EXT_CMDLINE_PTR, cmdline >> 32);
    stq_le_p(bp + BP_ACPI_RSDP, acpi);
    /*
     * About 32 KiB beneath 1 MiB hold the trampoline that starts the second
     * vCPU in real mode. The shared segment is listed so that nothing else
     * is ever put there.
     */
    add_e820(bp, MULTIOS_LOW_BASE, MULTIOS_LOW_SIZE, E820_RAM);
    add_e820(bp, base, MULTIOS_OFF_ACPI, E820_RAM);
    add_e820(bp, acpi, MULTIOS_ACPI_SPACE, E820_ACPI);
    add_e820(bp, base + MULTIOS_OFF_FREE, s->back_mem - MULTIOS_OFF_FREE,
             E820_RAM);
    add_e820(bp, s->shared_base, s->shared_mem, E820_RESERVED);

    add_blob_of(b, load, img + setup, len - setup, img);
    img = NULL;
    add_blob(b, base + MULTIOS_OFF_BOOT_PARAMS, bp, BP_SIZE);
    add_page_tables(s, b);
    tables = multios_acpi_build(s, acpi);
    assert(tables->len <= MULTIOS_ACPI_SPACE);
    add_blob(b, acpi, tables->data, tables->len);
    g_array_free(tables, true);

    b->entry = load + ENTRY_64;
    return true;
}

bool multios_boot_set(MultiOSState *s, const MultiOSBackBoot *names,
                      Error **errp)
{
    g_autoptr(MultiOSBoot) b = g_new0(MultiOSBoot, 1);
    MultiOSBoot *old = s->boot;
    static unsigned nth;

    b->nth = ++nth;
    b->names = QAPI_CLONE(MultiOSBackBoot, names);
    b->blobs = g_array_new(false, false, sizeof(MultiOSBlob));
    if (!s->tsc_khz) {
        s->tsc_khz = measure_tsc_khz();
    }
    if (!lay_out(s, b, errp)) {
        return false;
    }
    s->boot = g_steal_pointer(&b);
    if (old) {
        boot_free(old);
        multios_checkpoint_drop(s); /* of the old boot */
    }
    return true;
}

/*
 * Main loop only. The back's vCPUs are held and its devices reset, so nobody
 * else writes there, and RAM is written without the BQL: 100 MB take their
 * time, in which the front's vCPUs may want it.
 */
void multios_boot_load(MultiOSState *s)
{
    bql_unlock();
    for (guint i = 0; i < s->boot->blobs->len; i++) {
        MultiOSBlob *b = &g_array_index(s->boot->blobs, MultiOSBlob, i);

        address_space_write(&address_space_memory, b->addr,
                            MEMTXATTRS_UNSPECIFIED, b->data, b->len);
    }
    bql_lock();
    trace_multios_load(s->boot->entry);
}
