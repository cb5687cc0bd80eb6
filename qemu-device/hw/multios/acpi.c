/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multios: the back's ACPI tables
 *
 * RSDP, XSDT, FADT, MADT, MCFG and DSDT of a hardware-reduced machine. They lie
 * in the back's memory at a known address, so all pointers and checksums are
 * final here: there is no firmware and no linker script.
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "hw/acpi/acpi-defs.h"
#include "hw/acpi/aml-build.h"
#include "hw/i386/apic_internal.h"
#include "hw/multios/multios.h"

#define RSDP_SIZE       36
#define FADT_SIZE       276
#define OEM_ID          "MULTOS"
#define OEM_TABLE_ID    "BACK    "

/* FADT, ACPI 6.5, 5.2.9 */
#define FADT_FLAGS                  112
#define FADT_WBINVD                 BIT(0)
#define FADT_PROC_C1                BIT(2)
#define FADT_PWR_BUTTON             BIT(4) /* no fixed power button */
#define FADT_SLP_BUTTON             BIT(5) /* no fixed sleep button */
#define FADT_RESET_REG_SUP          BIT(10)
#define FADT_FORCE_APIC_PHYSICAL    BIT(19)
#define FADT_HW_REDUCED_ACPI        BIT(20)
#define FADT_BOOT_ARCH              109
#define FADT_NO_VGA                 BIT(2)
#define FADT_NO_CMOS_RTC            BIT(5)
#define FADT_RESET_REG              116
#define FADT_RESET_VALUE            128
#define FADT_MINOR_VERSION          131
#define FADT_X_DSDT                 140
#define FADT_SLEEP_CONTROL_REG      244
#define FADT_SLEEP_STATUS_REG       256

/* Starts a table and returns its offset. */
static unsigned table_begin(GArray *b, const char *sig, uint8_t rev)
{
    AcpiTable t = { .sig = sig, .rev = rev,
                    .oem_id = OEM_ID, .oem_table_id = OEM_TABLE_ID };
    unsigned start;

    g_array_set_size(b, ROUND_UP(b->len, 16));
    start = b->len;
    acpi_table_begin(&t, b);
    return start;
}

static uint8_t checksum(const char *data, unsigned len)
{
    uint8_t sum = 0;

    for (unsigned i = 0; i < len; i++) {
        sum += (uint8_t)data[i];
    }
    return -sum;
}

static void table_end(GArray *b, unsigned start)
{
    stl_le_p(b->data + start + 4, b->len - start);
    b->data[start + 9] = checksum(b->data + start, b->len - start);
}

/* A byte register of the control page as Generic Address Structure. */
static void put_gas(char *f, hwaddr reg)
{
    f[0] = AML_AS_SYSTEM_MEMORY;
    f[1] = 8; /* bit width */
    f[3] = 1; /* byte access */
    stq_le_p(f + 4, MULTIOS_PAGE_BASE + reg);
}

static unsigned build_back_fadt(GArray *b, hwaddr dsdt)
{
    unsigned start = table_begin(b, "FACP", 6);
    char *f;

    g_array_set_size(b, start + FADT_SIZE);
    f = b->data + start;
    stw_le_p(f + FADT_BOOT_ARCH, FADT_NO_VGA | FADT_NO_CMOS_RTC);
    /*
     * Physical destinations: the back's logical destination registers stay 0,
     * so no logical (flat) interrupt of the front ever hits the back.
     */
    stl_le_p(f + FADT_FLAGS, FADT_WBINVD | FADT_PROC_C1 | FADT_PWR_BUTTON |
             FADT_SLP_BUTTON | FADT_RESET_REG_SUP | FADT_FORCE_APIC_PHYSICAL |
             FADT_HW_REDUCED_ACPI);
    put_gas(f + FADT_RESET_REG, MULTIOS_REG_RESET);
    f[FADT_RESET_VALUE] = MULTIOS_RESET_VALUE;
    f[FADT_MINOR_VERSION] = 5;
    stq_le_p(f + FADT_X_DSDT, dsdt);
    put_gas(f + FADT_SLEEP_CONTROL_REG, MULTIOS_REG_POWEROFF);
    put_gas(f + FADT_SLEEP_STATUS_REG, MULTIOS_REG_SLEEP_STATUS);
    table_end(b, start);
    return start;
}

static unsigned build_back_madt(MultiOSState *s, GArray *b)
{
    unsigned start = table_begin(b, "APIC", 5);

    build_append_int_noprefix(b, APIC_DEFAULT_ADDRESS, 4);
    build_append_int_noprefix(b, 0, 4); /* no 8259 */
    for (unsigned i = 0; i < s->back_vcpus; i++) {
        build_append_int_noprefix(b, 0, 1); /* local APIC */
        build_append_int_noprefix(b, 8, 1);
        build_append_int_noprefix(b, i, 1); /* processor UID */
        build_append_int_noprefix(b, multios_vcpu_apic_id(s, i), 1);
        build_append_int_noprefix(b, 1, 4); /* enabled */
    }
    /*
     * Without an IOAPIC in the MADT, Linux reads the front's MP table at
     * 0xf0000 and adopts, and masks, the front's IOAPIC.
     */
    build_append_int_noprefix(b, 1, 1);
    build_append_int_noprefix(b, 12, 1);
    build_append_int_noprefix(b, 0, 2); /* id */
    build_append_int_noprefix(b, MULTIOS_IOAPIC_BASE, 4);
    build_append_int_noprefix(b, 0, 4); /* first GSI */
    table_end(b, start);
    return start;
}

static unsigned build_back_mcfg(MultiOSState *s, GArray *b)
{
    unsigned start = table_begin(b, "MCFG", 1);

    build_append_int_noprefix(b, 0, 8);
    build_append_int_noprefix(b, s->pci_base, 8);
    build_append_int_noprefix(b, MULTIOS_PCI_SEGMENT, 2);
    build_append_int_noprefix(b, 0, 1);
    build_append_int_noprefix(b, MULTIOS_BUSES - 1, 1);
    build_append_int_noprefix(b, 0, 4);
    table_end(b, start);
    return start;
}

static Aml *qword_range(AmlCacheable cacheable, uint64_t base, uint64_t size)
{
    return aml_qword_memory(AML_POS_DECODE, AML_MIN_FIXED, AML_MAX_FIXED,
                            cacheable, AML_READ_WRITE, 0, base,
                            base + size - 1, 0, size);
}

/*
 * The back's kernel has root ports and bridges to itself: native hotplug, PME,
 * AER and the PCI Express capability (PCI Firmware Specification 3.3, 4.5).
 */
#define OSC_NATIVE_HOTPLUG  BIT(0)
#define OSC_SHPC            BIT(1)
#define OSC_PME             BIT(2)
#define OSC_AER             BIT(3)
#define OSC_PCIE_CAP        BIT(4)
#define OSC_GRANTED         (OSC_NATIVE_HOTPLUG | OSC_SHPC | OSC_PME | \
                             OSC_AER | OSC_PCIE_CAP)
/* in the first dword of the answer */
#define OSC_BAD_UUID        BIT(2)
#define OSC_BAD_REVISION    BIT(3)
#define OSC_MASKED          BIT(4)

static Aml *aml_or_to(const char *name, unsigned bits)
{
    return aml_or(aml_name("%s", name), aml_int(bits), aml_name("%s", name));
}

static Aml *aml_osc(void)
{
    Aml *osc = aml_method("_OSC", 4, AML_SERIALIZED);
    Aml *ctrl = aml_local(0);
    Aml *ours, *other, *bad, *masked;

    aml_append(osc, aml_create_dword_field(aml_arg(3), aml_int(0), "CDW1"));
    ours = aml_if(aml_equal(aml_arg(0), aml_touuid(
                            "33DB4D5B-1FF7-401C-9657-7441C03DD766")));
    aml_append(ours, aml_create_dword_field(aml_arg(3), aml_int(8), "CDW3"));
    aml_append(ours, aml_and(aml_name("CDW3"), aml_int(OSC_GRANTED), ctrl));
    bad = aml_if(aml_lnot(aml_equal(aml_arg(1), aml_int(1))));
    aml_append(bad, aml_or_to("CDW1", OSC_BAD_REVISION));
    aml_append(ours, bad);
    masked = aml_if(aml_lnot(aml_equal(aml_name("CDW3"), ctrl)));
    aml_append(masked, aml_or_to("CDW1", OSC_MASKED));
    aml_append(ours, masked);
    aml_append(ours, aml_store(ctrl, aml_name("CDW3")));
    aml_append(osc, ours);
    other = aml_else();
    aml_append(other, aml_or_to("CDW1", OSC_BAD_UUID));
    aml_append(osc, other);
    aml_append(osc, aml_return(aml_arg(3)));
    return osc;
}

static Aml *aml_pcihost(MultiOSState *s)
{
    Aml *dev = aml_device("PCI0");
    Aml *cba = aml_method("_CBA", 0, AML_NOTSERIALIZED);
    Aml *crs = aml_resource_template();

    aml_append(dev, aml_name_decl("_HID", aml_eisaid("PNP0A08")));
    aml_append(dev, aml_name_decl("_CID", aml_eisaid("PNP0A03")));
    /* Not segment 0: Linux would use the front's ports CF8 and CFC for it. */
    aml_append(dev, aml_name_decl("_SEG", aml_int(MULTIOS_PCI_SEGMENT)));
    aml_append(dev, aml_name_decl("_BBN", aml_int(0)));
    aml_append(dev, aml_name_decl("_UID", aml_int(0)));
    aml_append(cba, aml_return(aml_int(s->pci_base)));
    aml_append(dev, cba);
    aml_append(dev, aml_osc());

    aml_append(crs, aml_word_bus_number(AML_MIN_FIXED, AML_MAX_FIXED,
                                        AML_POS_DECODE, 0, 0, MULTIOS_BUSES - 1,
                                        0, MULTIOS_BUSES));
    aml_append(crs, aml_dword_memory(AML_POS_DECODE, AML_MIN_FIXED,
                                     AML_MAX_FIXED, AML_NON_CACHEABLE,
                                     AML_READ_WRITE, 0, MULTIOS_MM32_BASE,
                                     MULTIOS_MM32_BASE + MULTIOS_MM32_SIZE - 1,
                                     0, MULTIOS_MM32_SIZE));
    aml_append(crs, qword_range(AML_NON_CACHEABLE, multios_mm64_base(s),
                                MULTIOS_MM64_SIZE));
    aml_append(dev, aml_name_decl("_CRS", crs));
    return dev;
}

static Aml *aml_multios(MultiOSState *s)
{
    Aml *dev = aml_device("MOS0");
    Aml *crs = aml_resource_template();

    aml_append(dev, aml_name_decl("_HID", aml_string(MULTIOS_ACPI_HID)));
    aml_append(dev, aml_name_decl("_UID", aml_int(0)));
    aml_append(crs, qword_range(AML_CACHEABLE, s->shared_base, s->shared_mem));
    aml_append(crs, aml_memory32_fixed(MULTIOS_PAGE_BASE, MULTIOS_PAGE_SIZE,
                                       AML_READ_WRITE));
    aml_append(dev, aml_name_decl("_CRS", crs));
    return dev;
}

static Aml *aml_simple(const char *name, Aml *hid, uint64_t base, uint64_t size)
{
    Aml *dev = aml_device("%s", name);
    Aml *crs = aml_resource_template();

    aml_append(dev, aml_name_decl("_HID", hid));
    aml_append(dev, aml_name_decl("_UID", aml_int(0)));
    if (base + size <= 4 * GiB) {
        aml_append(crs, aml_memory32_fixed(base, size, AML_READ_WRITE));
    } else {
        aml_append(crs, qword_range(AML_NON_CACHEABLE, base, size));
    }
    aml_append(dev, aml_name_decl("_CRS", crs));
    return dev;
}

static unsigned build_back_dsdt(MultiOSState *s, GArray *b)
{
    unsigned start = table_begin(b, "DSDT", 2);
    Aml *dsdt = init_aml_allocator();
    Aml *sb = aml_scope("_SB");
    Aml *s5 = aml_package(4);

    aml_append(sb, aml_pcihost(s));
    aml_append(sb, aml_multios(s));
    if (s->back_console) {
        /* No interrupt: Linux polls such a UART. */
        aml_append(sb, aml_simple("UAR0", aml_eisaid("PNP0501"),
                                  MULTIOS_UART_BASE, 8));
    }
    aml_append(sb, aml_simple("PEVT", aml_string("QEMU0001"),
                              MULTIOS_PANIC_BASE, 1));
    /* Linux uses an ECAM only where a device of the board claims it. */
    aml_append(sb, aml_simple("RES0", aml_eisaid("PNP0C02"),
                              s->pci_base, MULTIOS_ECAM_SIZE));
    aml_append(dsdt, sb);

    aml_append(s5, aml_int(MULTIOS_S5_SLEEP_TYPE));
    aml_append(s5, aml_int(0));
    aml_append(s5, aml_int(0));
    aml_append(s5, aml_int(0));
    aml_append(dsdt, aml_name_decl("\\_S5", s5));

    g_array_append_vals(b, dsdt->buf->data, dsdt->buf->len);
    free_aml_allocator();
    table_end(b, start);
    return start;
}

GArray *multios_acpi_build(MultiOSState *s, hwaddr base)
{
    GArray *b = g_array_new(false, true, 1);
    unsigned dsdt, fadt, madt, mcfg, xsdt;
    char *rsdp;

    g_array_set_size(b, RSDP_SIZE);
    dsdt = build_back_dsdt(s, b);
    fadt = build_back_fadt(b, base + dsdt);
    madt = build_back_madt(s, b);
    mcfg = build_back_mcfg(s, b);

    xsdt = table_begin(b, "XSDT", 1);
    build_append_int_noprefix(b, base + fadt, 8);
    build_append_int_noprefix(b, base + madt, 8);
    build_append_int_noprefix(b, base + mcfg, 8);
    table_end(b, xsdt);

    rsdp = b->data;
    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + 9, OEM_ID, 6);
    rsdp[15] = 2; /* revision: has an XSDT */
    stl_le_p(rsdp + 20, RSDP_SIZE);
    stq_le_p(rsdp + 24, base + xsdt);
    rsdp[8] = checksum(rsdp, 20);
    rsdp[32] = checksum(rsdp, RSDP_SIZE);
    return b;
}
