/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multios: registers, segments, start and stop
 *
 * qtest vCPUs execute nothing, so a "kernel" needs a valid header only. Where
 * vCPUs must execute (TCG, or what MULTIOS_TEST_ACCEL names), firmware and
 * kernel are a few instructions that do what a mailbox in memory asks for.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "standard-headers/linux/qemu_fw_cfg.h"
#include "libqtest.h"
#include "libqos/fw_cfg.h"
#include "libqos/libqos.h"
#include "libqos/malloc-pc.h"
#include "libqos/pci-pc.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"

#define SLOT            4
#define RAM             (512 * MiB)
#define BACK_MEM        (128 * MiB)
#define SHARED_MEM      (16 * MiB)

#define REG_MAGIC       0x00
#define REG_VERSION     0x04
#define REG_SHM_BASE    0x08
#define REG_SHM_SIZE    0x10
#define REG_MAC         0x18
#define REG_STATE       0x20
#define REG_CTL         0x24
#define REG_GENERATION  0x28
#define REG_FRONT_VCPUS 0x2c
#define REG_BACK_VCPUS  0x30
#define REG_IRQ_STATUS  0x34
#define REG_IRQ_ENABLE  0x38

#define BACK_PAGE       0xfef10000
#define BACK_IOAPIC     0xfef20000
#define BACK_PANIC      (BACK_PAGE + 0x2000)
#define BACK_ECAM       0x6000000000ULL
#define BACK_MM32       0xff000000
#define BACK_MM64       (BACK_ECAM + 1 * GiB)

/* Memory of the front, and of the back behind what its boot needs. */
#define FRONT_BUFFER    (16 * MiB)
#define BACK_BUFFER     (64 * MiB) /* from back_base */

#define LPC_DEVFN       QPCI_DEVFN(0x1f, 0)
#define LPC_PMBASE      0x40
#define LPC_ACPI_CTRL   0x44
#define PMBASE          0x600
#define PM1_EN          (PMBASE + 2)
#define SMI_EN          (PMBASE + 0x30)
#define SMI_EN_APMC     0x20
#define APM_CNT         0xb2
#define CPU_HOTPLUG     0xcd8 /* of ICH9: first the bitmap of present CPUs */
#define PIC             0x20

#define MCH_DEVFN       QPCI_DEVFN(0, 0)
#define MCH_SMRAM       0x9d
#define MCH_ESMRAMC     0x9e
#define SMRAM_G_SMRAME  0x08
#define ESMRAMC_T_EN    0x01 /* and 1 MiB */

/* of the SMI handler: how often it ran; at SMBASE + 0x8000 */
#define SMI_COUNT       0x9000
#define SMI_ENTRY       0x38000

/* mailbox of the front's program: register or 0, two values to write to it */
#define FRONT_MAILBOX   0x1000
/* of the back's, in the shared segment: an action below, or an address and */
/* a byte to write to it */
#define BACK_MAILBOX    0x100
#define ACTION_FAULT      1
#define ACTION_RUN_MMIO   2
#define ACTION_READ_PORT  3 /* the byte says which; the result is at RESULT */
#define ACTION_OPEN_LINT1 4 /* for NMIs, as Linux does on its first CPU */
#define ACTION_OPEN_LINT0 5 /* for the PIC, and enable interrupts */
#define BACK_RESULT       0x108

/*
 * At the reset vector, CS base 0xffff0000: to 32-bit protected mode, then wait
 * for a register and write both values as fast as can be.
 */
static const uint8_t front_start[] = {
    0xfa,                                     /* cli */
    0x2e, 0x66, 0x0f, 0x01, 0x16, 0x80, 0x00, /* lgdtl %cs:0x80 */
    0x0f, 0x20, 0xc0,                         /* mov %cr0, %eax */
    0x0c, 0x01,                               /* or $1, %al */
    0x0f, 0x22, 0xc0,                         /* mov %eax, %cr0 */
    0x66, 0xea, 0x40, 0x00, 0xff, 0xff, 8, 0, /* ljmpl $8, $0xffff0040 */
};
static const uint8_t front_program[] = {
    0x66, 0xb8, 0x10, 0x00,                   /* mov $0x10, %ax */
    0x8e, 0xd8,                               /* mov %ax, %ds */
    0xbe, 0x00, 0x10, 0x00, 0x00,             /* mov $FRONT_MAILBOX, %esi */
    0xf3, 0x90,                               /* 1: pause */
    0x8b, 0x16,                               /* mov (%esi), %edx */
    0x85, 0xd2,                               /* test %edx, %edx */
    0x74, 0xf8,                               /* jz 1b */
    0x8b, 0x46, 0x04,                         /* mov 4(%esi), %eax */
    0x8b, 0x4e, 0x08,                         /* mov 8(%esi), %ecx */
    0x89, 0x02,                               /* mov %eax, (%edx) */
    0x89, 0x0a,                               /* mov %ecx, (%edx) */
    0xc7, 0x06, 0, 0, 0, 0,                   /* movl $0, (%esi) */
    0xeb, 0xe6,                               /* jmp 1b */
};
/*
 * Limit and address of the GDT behind it: null, flat code, flat data. With the
 * accessed bit, which the CPU cannot set in ROM.
 */
static const uint8_t front_gdt[] = {
    0x17, 0x00, 0x88, 0x00, 0xff, 0xff, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9b, 0xcf, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x93, 0xcf, 0x00,
};

static const uint8_t back_program[] = {
    0xbf, 0x00, 0x00, 0xf1, 0xfe,             /* mov $BACK_PAGE, %edi */
    0x8b, 0x77, 0x08,                         /* mov REG_SHM_BASE(%rdi), %esi */
    0xf3, 0x90,                               /* 1: pause */
    0x31, 0xc0,                               /* xor %eax, %eax */
    0x87, 0x86, 0x00, 0x01, 0x00, 0x00,       /* xchg %eax, 0x100(%rsi) */
    0x8a, 0x9e, 0x04, 0x01, 0x00, 0x00,       /* mov 0x104(%rsi), %bl */
    0x85, 0xc0,                               /* test %eax, %eax */
    0x74, 0xec,                               /* jz 1b */
    0x83, 0xf8, ACTION_FAULT,                 /* cmp $ACTION_FAULT, %eax */
    0x74, 0x18,                               /* je 2f */
    0x83, 0xf8, ACTION_RUN_MMIO,              /* cmp $ACTION_RUN_MMIO, %eax */
    0x74, 0x15,                               /* je 3f */
    0x83, 0xf8, ACTION_READ_PORT,             /* cmp $ACTION_READ_PORT, %eax */
    0x74, 0x12,                               /* je 4f */
    0x83, 0xf8, ACTION_OPEN_LINT1,            /* cmp $ACTION_OPEN_LINT1, %eax */
    0x74, 0x19,                               /* je 5f */
    0x83, 0xf8, ACTION_OPEN_LINT0,            /* cmp $ACTION_OPEN_LINT0, %eax */
    0x74, 0x2f,                               /* je 6f */
    0x88, 0x18,                               /* mov %bl, (%rax) */
    0xeb, 0xcf,                               /* jmp 1b */
    0x0f, 0x0b,                               /* 2: ud2, without an IDT */
    0xff, 0xe7,                               /* 3: jmp *%rdi */
    0x0f, 0xb6, 0xd3,                         /* 4: movzbl %bl, %edx */
    0xec,                                     /* in (%dx), %al */
    0x88, 0x86, 0x08, 0x01, 0x00, 0x00,       /* mov %al, 0x108(%rsi) */
    0xeb, 0xbf,                               /* jmp 1b */
    0xba, 0x00, 0x00, 0xe0, 0xfe,             /* 5: mov $APIC, %edx */
    0xc7, 0x82, 0xf0, 0x00, 0x00, 0x00,       /* movl $0x1ff, SPIV(%rdx) */
                0xff, 0x01, 0x00, 0x00,
    0xc7, 0x82, 0x60, 0x03, 0x00, 0x00,       /* movl $NMI, LVT1(%rdx) */
                0x00, 0x04, 0x00, 0x00,
    0xeb, 0xa4,                               /* jmp 1b */
    0xba, 0x00, 0x00, 0xe0, 0xfe,             /* 6: mov $APIC, %edx */
    0xc7, 0x82, 0x50, 0x03, 0x00, 0x00,       /* movl $EXTINT, LVT0(%rdx) */
                0x00, 0x07, 0x00, 0x00,
    0xfb,                                     /* sti */
    0xeb, 0x92,                               /* jmp 1b */
};

/* 16 bits, DS base 0 */
static const uint8_t smi_handler[] = {
    0xf0, 0x66, 0xff, 0x06, 0x00, 0x90,       /* lock incl SMI_COUNT */
    0x0f, 0xaa,                               /* rsm */
};

static char *kernel_path, *firmware_path;

typedef struct Machine {
    QTestState *qts;
    QPCIBus *bus;
    QPCIDevice *dev;
    QPCIBar bar;
    uint64_t back_base;
} Machine;

static uint32_t reg(Machine *m, unsigned offset)
{
    return qpci_io_readl(m->dev, m->bar, offset);
}

static void set_reg(Machine *m, unsigned offset, uint32_t val)
{
    qpci_io_writel(m->dev, m->bar, offset, val);
}

static char *make_file(const void *data, size_t len)
{
    char *path;
    GError *err = NULL;
    int fd = g_file_open_tmp("multios-test-XXXXXX", &path, &err);

    g_assert_no_error(err);
    g_assert_cmpint(write(fd, data, len), ==, len);
    close(fd);
    return path;
}

/* The smallest file that passes for a kernel: header and two sectors of code */
static void make_kernel(void)
{
    uint8_t img[0x800] = { 0 };

    img[0x1f1] = 1;                     /* setup_sects */
    img[0x201] = 0x66;                  /* end of the header */
    memcpy(img + 0x202, "HdrS", 4);
    stw_le_p(img + 0x206, 0x20f);       /* protocol */
    img[0x211] = 1;                     /* LOADED_HIGH */
    stl_le_p(img + 0x230, 2 * MiB);     /* kernel_alignment */
    img[0x234] = 1;                     /* relocatable */
    stw_le_p(img + 0x236, 1);           /* XLF_KERNEL_64 */
    stl_le_p(img + 0x238, 2047);        /* cmdline_size */
    stl_le_p(img + 0x260, 1 * MiB);     /* init_size */
    memset(img + 0x400, 0x90, 0x200);
    memcpy(img + 0x600, back_program, sizeof(back_program)); /* 64-bit entry */
    kernel_path = make_file(img, sizeof(img));
}

static void make_firmware(void)
{
    static const uint8_t reset_vector[] = { 0xe9, 0x0d, 0x00 }; /* jmp 0 */
    g_autofree uint8_t *img = g_malloc0(64 * KiB);

    memcpy(img, front_start, sizeof(front_start));
    memcpy(img + 0x40, front_program, sizeof(front_program));
    memcpy(img + 0x80, front_gdt, sizeof(front_gdt));
    memcpy(img + 0xfff0, reset_vector, sizeof(reset_vector));
    firmware_path = make_file(img, 64 * KiB);
}

static void start_with(Machine *m, const char *more)
{
    m->qts = qtest_initf("-machine q35 -nodefaults -m 512M -smp 3 -device "
                         "'multios,id=mos0,addr=%x,back-kernel=%s,back-vcpus=2,"
                         "back-mem=128M,shared-mem=16M,mac=52:54:00:01:02:03,"
                         "back-append=hello -- bye' %s", SLOT, kernel_path,
                         more);
    m->bus = qpci_new_pc(m->qts, NULL);
    m->dev = qpci_device_find(m->bus, QPCI_DEVFN(SLOT, 0));
    g_assert_nonnull(m->dev);
    qpci_device_enable(m->dev);
    m->bar = qpci_iomap(m->dev, 0, NULL);
    m->back_base = qpci_io_readq(m->dev, m->bar, REG_SHM_BASE) - BACK_MEM;
}

static void start(Machine *m)
{
    start_with(m, "");
}

static void start_executing(Machine *m)
{
    const char *accel = getenv("MULTIOS_TEST_ACCEL") ?: "tcg";
    g_autofree char *more = g_strdup_printf("-accel %s -bios %s", accel,
                                            firmware_path);

    start_with(m, more);
}

static void stop(Machine *m)
{
    g_free(m->dev);
    qpci_free_pc(m->bus);
    qtest_quit(m->qts);
}

static void wait_generation(Machine *m, uint32_t generation, uint32_t state)
{
    gint64 end = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;

    while ((reg(m, REG_GENERATION) != generation ||
            reg(m, REG_STATE) != state) && g_get_monotonic_time() < end) {
        g_usleep(1000);
    }
    g_assert_cmpuint(reg(m, REG_GENERATION), ==, generation);
    g_assert_cmpuint(reg(m, REG_STATE), ==, state);
}

/* What an ACPI operating system does when it takes over from the firmware. */
static void front_takes_over(Machine *m)
{
    QPCIDevice *lpc = qpci_device_find(m->bus, LPC_DEVFN);

    qpci_config_writel(lpc, LPC_PMBASE, PMBASE | 1);
    qpci_config_writeb(lpc, LPC_ACPI_CTRL, 0x80);
    g_free(lpc);
    qtest_outw(m->qts, PM1_EN, 0x20);
    g_assert_cmphex(qtest_inw(m->qts, PM1_EN), ==, 0x20);
}

static void test_defaults(void)
{
    Machine m;
    uint64_t shm;

    start(&m);
    g_assert_cmphex(qpci_config_readw(m.dev, 0), ==, 0x1af4);
    g_assert_cmphex(qpci_config_readw(m.dev, 2), ==, 0x10f1);
    g_assert_cmphex(reg(&m, REG_MAGIC), ==, 0x31534f4d);
    g_assert_cmpuint(reg(&m, REG_VERSION), ==, 1);
    shm = reg(&m, REG_SHM_BASE) | (uint64_t)reg(&m, REG_SHM_BASE + 4) << 32;
    g_assert_cmphex(shm, ==, qpci_io_readq(m.dev, m.bar, REG_SHM_BASE));
    g_assert_cmphex(shm % (2 * MiB), ==, 0);
    g_assert_cmphex(shm, <=, RAM - SHARED_MEM);
    g_assert_cmphex(shm, >=, BACK_MEM);
    g_assert_cmphex(qpci_io_readq(m.dev, m.bar, REG_SHM_SIZE), ==, SHARED_MEM);
    g_assert_cmphex(reg(&m, REG_MAC), ==, 0x01005452);
    g_assert_cmphex(reg(&m, REG_MAC + 4), ==, 0x0302);
    g_assert_cmpuint(reg(&m, REG_STATE), ==, 0);
    g_assert_cmpuint(reg(&m, REG_CTL), ==, 0);
    g_assert_cmpuint(reg(&m, REG_GENERATION), ==, 0);
    g_assert_cmpuint(reg(&m, REG_FRONT_VCPUS), ==, 1);
    g_assert_cmpuint(reg(&m, REG_BACK_VCPUS), ==, 2);
    g_assert_cmpuint(reg(&m, REG_IRQ_STATUS), ==, 0);
    g_assert_cmpuint(reg(&m, REG_IRQ_ENABLE), ==, 0);
    stop(&m);
}

static void test_bad_offsets(void)
{
    static const unsigned holes[] = { 0x3c, 0x40, 0x44, 0x48, 0x100, 0xffc };
    static const unsigned read_only[] = {
        REG_MAGIC, REG_VERSION, REG_SHM_BASE, REG_SHM_BASE + 4, REG_SHM_SIZE,
        REG_SHM_SIZE + 4, REG_MAC, REG_MAC + 4, REG_STATE, REG_GENERATION,
        REG_FRONT_VCPUS, REG_BACK_VCPUS,
    };
    Machine m;

    start(&m);
    for (unsigned i = 0; i < ARRAY_SIZE(holes); i++) {
        set_reg(&m, holes[i], 0xffffffff);
        g_assert_cmphex(reg(&m, holes[i]), ==, 0);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(read_only); i++) {
        uint32_t was = reg(&m, read_only[i]);

        set_reg(&m, read_only[i], ~was);
        g_assert_cmphex(reg(&m, read_only[i]), ==, was);
    }
    /* no such command */
    set_reg(&m, REG_CTL, 0);
    set_reg(&m, REG_CTL, 4);
    set_reg(&m, REG_CTL, 0xffffffff);
    g_assert_cmpuint(reg(&m, REG_STATE), ==, 0);
    /* reserved bits stay 0 */
    set_reg(&m, REG_IRQ_ENABLE, 0xfffffffe);
    g_assert_cmphex(reg(&m, REG_IRQ_ENABLE), ==, 0);
    set_reg(&m, REG_IRQ_STATUS, 0xffffffff);
    g_assert_cmphex(reg(&m, REG_IRQ_STATUS), ==, 0);
    /* accesses of a size that is not allowed act on nothing */
    qpci_io_writeb(m.dev, m.bar, REG_CTL, 1);
    qpci_io_writew(m.dev, m.bar, REG_CTL, 1);
    g_assert_cmpuint(reg(&m, REG_STATE), ==, 0);
    stop(&m);
}

static void test_memory_map(void)
{
    Machine m;
    QFWCFG *fw_cfg;
    uint8_t table[64 * 20];
    size_t size;
    bool segments = false, low = false, ram = false;

    start(&m);
    fw_cfg = pc_fw_cfg_init(m.qts);
    g_assert_cmpuint(qfw_cfg_get_u16(fw_cfg, FW_CFG_NB_CPUS), ==, 1);
    size = qfw_cfg_get_file(fw_cfg, "etc/e820", table, sizeof(table));
    g_assert_cmpuint(size, <=, sizeof(table));
    for (size_t i = 0; i + 20 <= size; i += 20) {
        uint64_t addr = ldq_le_p(table + i), len = ldq_le_p(table + i + 8);
        uint32_t type = ldl_le_p(table + i + 16);

        segments |= type == 2 && addr == m.back_base &&
                    len == BACK_MEM + SHARED_MEM;
        low |= type == 2 && addr == 0x70000 && len == 0x10000;
        /* OVMF goes by where RAM beneath 4 GiB ends. */
        ram |= type == 1 && addr == 0 && len == m.back_base;
        g_assert_true(type != 1 || addr + len <= m.back_base ||
                      addr >= 0x100000000ULL);
    }
    g_assert_true(ram);
    g_assert_true(segments);
    g_assert_true(low);
    /* no S3: waking up would reset the back */
    size = qfw_cfg_get_file(fw_cfg, "etc/system-states", table, sizeof(table));
    g_assert_cmpuint(size, ==, 6);
    g_assert_cmphex(table[3] & 0x80, ==, 0);
    pc_fw_cfg_uninit(fw_cfg);
    stop(&m);
}

static void test_back_page(void)
{
    Machine m;

    start(&m);
    g_assert_cmphex(qtest_readl(m.qts, BACK_PAGE + REG_MAGIC), ==, 0x31534f4d);
    g_assert_cmphex(qtest_readl(m.qts, BACK_PAGE + REG_SHM_BASE), ==,
                    reg(&m, REG_SHM_BASE));
    g_assert_cmpuint(qtest_readl(m.qts, BACK_PAGE + REG_BACK_VCPUS), ==, 2);
    g_assert_cmphex(qtest_readl(m.qts, BACK_PAGE + REG_STATE), ==, 0);
    g_assert_cmphex(qtest_readl(m.qts, BACK_PAGE + 0x800), ==, 0);
    /* an IOAPIC of 24 pins, all masked */
    qtest_writel(m.qts, BACK_IOAPIC, 1);
    g_assert_cmphex(qtest_readl(m.qts, BACK_IOAPIC + 0x10), ==, 0x170011);
    qtest_writel(m.qts, BACK_IOAPIC, 0x10 + 2 * 23);
    g_assert_cmphex(qtest_readl(m.qts, BACK_IOAPIC + 0x10), ==, 0x10000);
    qtest_writel(m.qts, BACK_IOAPIC, 0xff);
    qtest_writel(m.qts, BACK_IOAPIC + 0x10, 0xffffffff);
    g_assert_cmphex(qtest_readl(m.qts, BACK_IOAPIC + 0x10), ==, 0);
    /* events of the panic register: panicked, crashloaded */
    g_assert_cmphex(qtest_readb(m.qts, BACK_PANIC), ==, 3);
    /* the host bridge of the back's bus */
    g_assert_cmphex(qtest_readl(m.qts, BACK_ECAM), ==, 0x00081b36);

    /* RESET and POWEROFF act for vCPUs of the back only, which this is not */
    front_takes_over(&m);
    wait_generation(&m, 1, 1);
    qtest_writel(m.qts, BACK_PAGE + 0x40, 1);
    qtest_writeb(m.qts, BACK_PAGE + 0x44, 0x20 | 5 << 2);
    qtest_writeb(m.qts, BACK_PANIC, 1);
    g_usleep(20000);
    wait_generation(&m, 1, 1);
    stop(&m);
}

static void test_boot(void)
{
    Machine m;
    uint8_t bp[0x300];
    char cmdline[64];
    uint32_t code;

    start(&m);
    front_takes_over(&m);
    wait_generation(&m, 1, 1);
    qtest_memread(m.qts, m.back_base, bp, sizeof(bp));
    g_assert_cmpint(memcmp(bp + 0x202, "HdrS", 4), ==, 0);
    g_assert_cmphex(bp[0x210], ==, 0xff);
    g_assert_cmpuint(bp[0x1e8], ==, 5);
    qtest_memread(m.qts, ldl_le_p(bp + 0x228), cmdline, sizeof(cmdline));
    cmdline[sizeof(cmdline) - 1] = 0;
    /* The device's own parameters are the kernel's, not init's. */
    g_assert_cmpstr(cmdline, ==,
                    "no_ipi_broadcast=1 reboot=acpi hello -- bye");
    code = ldl_le_p(bp + 0x214);
    g_assert_cmphex(code % (2 * MiB), ==, 0);
    g_assert_cmphex(qtest_readl(m.qts, code), ==, 0x90909090);
    g_assert_cmphex(qtest_readq(m.qts, ldq_le_p(bp + 0x70)), ==,
                    ldq_le_p("RSD PTR "));

    /* a restart writes the image anew */
    qtest_writel(m.qts, code, 0);
    set_reg(&m, REG_CTL, 3);
    wait_generation(&m, 2, 1);
    g_assert_cmphex(qtest_readl(m.qts, code), ==, 0x90909090);
    stop(&m);
}

static void test_life_cycle(void)
{
    Machine m;

    start(&m);
    qpci_msix_enable(m.dev);
    set_reg(&m, REG_IRQ_ENABLE, 1);
    g_assert_false(qpci_msix_pending(m.dev, 0));

    front_takes_over(&m);
    wait_generation(&m, 1, 1);
    g_assert_cmpuint(reg(&m, REG_IRQ_STATUS), ==, 1);
    g_assert_true(qpci_msix_pending(m.dev, 0));

    /* write 1 to clear, and nothing else clears */
    set_reg(&m, REG_IRQ_STATUS, 0);
    g_assert_cmpuint(reg(&m, REG_IRQ_STATUS), ==, 1);
    set_reg(&m, REG_IRQ_STATUS, 1);
    g_assert_cmpuint(reg(&m, REG_IRQ_STATUS), ==, 0);

    set_reg(&m, REG_CTL, 1); /* runs already */
    set_reg(&m, REG_CTL, 2);
    wait_generation(&m, 1, 2);
    g_assert_cmpuint(reg(&m, REG_IRQ_STATUS), ==, 1);

    /* a second takeover starts nothing that was stopped on purpose */
    qtest_outw(m.qts, PM1_EN, 0);
    g_usleep(20000);
    wait_generation(&m, 1, 2);

    set_reg(&m, REG_CTL, 1);
    wait_generation(&m, 2, 1);
    set_reg(&m, REG_CTL, 3);
    wait_generation(&m, 3, 1);
    qpci_msix_disable(m.dev);
    stop(&m);
}

static void test_reset(void)
{
    Machine m;
    uint64_t shm;

    start(&m);
    shm = m.back_base + BACK_MEM;
    front_takes_over(&m);
    wait_generation(&m, 1, 1);
    set_reg(&m, REG_IRQ_ENABLE, 1);
    qtest_writel(m.qts, shm, 0x12345678);
    qtest_system_reset(m.qts);

    qpci_device_enable(m.dev);
    qpci_config_writel(m.dev, 0x10, m.bar.addr);
    g_assert_cmpuint(reg(&m, REG_STATE), ==, 0);
    g_assert_cmpuint(reg(&m, REG_GENERATION), ==, 1);
    g_assert_cmpuint(reg(&m, REG_IRQ_STATUS), ==, 0);
    g_assert_cmpuint(reg(&m, REG_IRQ_ENABLE), ==, 0);
    g_assert_cmphex(qtest_readl(m.qts, shm), ==, 0);
    front_takes_over(&m);
    wait_generation(&m, 2, 1);
    stop(&m);
}

/* Firmware and OS of the front find its own CPU alone in the registers. */
static void test_cpu_hotplug(void)
{
    Machine m;

    start(&m);
    g_assert_cmphex(qtest_inb(m.qts, CPU_HOTPLUG), ==, 1);
    /* to the modern registers, as firmware and ACPI tables do */
    qtest_outl(m.qts, CPU_HOTPLUG, 0);
    g_assert_cmphex(qtest_inb(m.qts, CPU_HOTPLUG + 4), ==, 1);
    qtest_outl(m.qts, CPU_HOTPLUG, 1);
    g_assert_cmphex(qtest_inb(m.qts, CPU_HOTPLUG + 4), ==, 0);
    stop(&m);
}

/* SMM's memory is at the end of the front's RAM, where firmware expects it. */
static void test_tseg(void)
{
    Machine m;
    QPCIDevice *mch;
    uint64_t shm_end;

    start(&m);
    shm_end = m.back_base + BACK_MEM + SHARED_MEM;
    mch = qpci_device_find(m.bus, MCH_DEVFN);
    qpci_config_writeb(mch, MCH_SMRAM, SMRAM_G_SMRAME);
    qpci_config_writeb(mch, MCH_ESMRAMC, ESMRAMC_T_EN);
    qtest_writel(m.qts, m.back_base - 4, 0x12345678);
    g_assert_cmphex(qtest_readl(m.qts, m.back_base - 4), ==, 0xffffffff);
    qtest_writel(m.qts, shm_end - 4, 0x12345678);
    g_assert_cmphex(qtest_readl(m.qts, shm_end - 4), ==, 0x12345678);
    g_free(mch);
    stop(&m);
}

static bool refused(QTestState *qts, const char *prop, const char *json)
{
    g_autofree char *cmd = g_strdup_printf(
        "{ 'execute': 'qom-set', 'arguments': { 'path': "
        "'/machine/peripheral/mos0', 'property': '%s', 'value': %s } }",
        prop, json);
    QDict *rsp = qtest_qmp(qts, "%p", qobject_from_json(cmd, &error_abort));
    bool err = qdict_haskey(rsp, "error");

    qobject_unref(rsp);
    return err;
}

/*
 * Machine checks: a shutdown by one of the back's is the end of the back, and
 * neither OS's are broadcast to the other. No CPU has machine checks enabled
 * here, so an uncorrected one shuts down whoever gets it.
 */
static void test_machine_check(void)
{
    Machine m;
    g_autofree char *corrected = NULL, *uncorrected = NULL;

    start_with(&m, "-cpu Penryn"); /* of Intel's, which broadcast them */
    front_takes_over(&m);
    wait_generation(&m, 1, 1);
    corrected = qtest_hmp(m.qts, "mce -b 0 1 0x8000000000000000 0 0 0");
    g_assert_cmpstr(corrected, ==, "");
    /* what that asked for is done when the next command is answered */
    g_assert_false(refused(m.qts, "back-run", "true"));
    wait_generation(&m, 1, 1);

    uncorrected = qtest_hmp(m.qts, "mce -b 1 1 0xa000000000000000 0 0 0");
    g_assert_nonnull(strstr(uncorrected, "CPU 1: MCE capability is not"));
    g_assert_nonnull(strstr(uncorrected, "CPU 2: MCE capability is not"));
    g_assert_null(strstr(uncorrected, "CPU 0:"));
    wait_generation(&m, 1, 3);
    set_reg(&m, REG_CTL, 1);
    wait_generation(&m, 2, 1);
    stop(&m);
}

static void test_properties(void)
{
    Machine m;

    start(&m);
    g_assert_true(refused(m.qts, "back-kernel", "'/x'"));
    g_assert_true(refused(m.qts, "back-vcpus", "2"));
    g_assert_true(refused(m.qts, "back-mem", "4096"));
    g_assert_true(refused(m.qts, "back-state", "'running'"));
    g_assert_true(refused(m.qts, "back-generation", "7"));
    g_assert_true(refused(m.qts, "back-run", "'yes please'"));
    g_assert_false(refused(m.qts, "back-run", "true"));
    g_assert_cmpuint(reg(&m, REG_STATE), ==, 1);
    g_assert_false(refused(m.qts, "back-run", "false"));
    g_assert_cmpuint(reg(&m, REG_STATE), ==, 2);
    g_assert_cmpuint(reg(&m, REG_GENERATION), ==, 1);
    stop(&m);
}

/* Accesses of any width reach what is beneath a view as if there were none. */
static void test_front_ports(void)
{
    Machine m;

    start(&m);
    qtest_outw(m.qts, 0x70, 0x5a << 8 | 0x3f); /* index and data of the CMOS */
    qtest_outb(m.qts, 0x70, 0x3f);
    g_assert_cmphex(qtest_inb(m.qts, 0x71), ==, 0x5a);
    qtest_outb(m.qts, 0xb3, 0xa5); /* APM */
    g_assert_cmphex(qtest_inw(m.qts, 0xb2) >> 8, ==, 0xa5);
    qtest_outl(m.qts, 0xcf8, 0x80000000);
    g_assert_cmphex(qtest_inl(m.qts, 0xcf8), ==, 0x80000000);
    g_assert_cmphex(qtest_inl(m.qts, 0xcfc), ==, 0x29c08086);
    stop(&m);
}

/* The back's bus, programmed as the back's kernel would. */
static uint64_t back_config(unsigned bus, unsigned slot, unsigned offset)
{
    return BACK_ECAM + (bus << 20) + (slot << 15) + offset;
}

static void back_device_enable(Machine *m, unsigned bus, unsigned slot,
                               unsigned bar, uint64_t addr)
{
    uint64_t cfg = back_config(bus, slot, 0);

    qtest_writel(m->qts, cfg + 0x10 + 4 * bar, addr);
    if (addr >> 32) {
        qtest_writel(m->qts, cfg + 0x14 + 4 * bar, addr >> 32);
    }
    qtest_writew(m->qts, cfg + 4, 6); /* memory, bus master */
}

/* The next capability @id behind @from (0: the first); 0 if there is none */
static unsigned back_capability(Machine *m, unsigned slot, unsigned from,
                                uint8_t id)
{
    uint64_t cfg = back_config(0, slot, 0);
    unsigned cap = qtest_readb(m->qts, cfg + (from ? from + 1 : 0x34));

    while (cap && qtest_readb(m->qts, cfg + cap) != id) {
        cap = qtest_readb(m->qts, cfg + cap + 1);
    }
    return cap;
}

#define EDU_SRC         0x80
#define EDU_DST         0x88
#define EDU_COUNT       0x90
#define EDU_COMMAND     0x98
#define EDU_BUFFER      0x40000
#define EDU_RUN         1
#define EDU_TO_MEMORY   2
#define EDU_IRQ         4

static void edu_dma(Machine *m, uint64_t edu, uint64_t src, uint64_t dst,
                    uint64_t count, unsigned command)
{
    qtest_writeq(m->qts, edu + EDU_SRC, src);
    qtest_writeq(m->qts, edu + EDU_DST, dst);
    qtest_writeq(m->qts, edu + EDU_COUNT, count);
    qtest_writeq(m->qts, edu + EDU_COMMAND, command | EDU_RUN);
    qtest_clock_step(m->qts, 200 * 1000 * 1000);
    g_assert_cmphex(qtest_readq(m->qts, edu + EDU_COMMAND) & EDU_RUN, ==, 0);
}

/* A device copies 8 bytes of the back's memory to @dst. */
static void edu_writes(Machine *m, uint64_t edu, uint64_t val, uint64_t dst,
                       unsigned more)
{
    uint64_t src = m->back_base + BACK_BUFFER;

    qtest_writeq(m->qts, src, val);
    edu_dma(m, edu, src, EDU_BUFFER, 8, 0);
    edu_dma(m, edu, EDU_BUFFER, dst, 8, EDU_TO_MEMORY | more);
}

static void check_confined(Machine *m, uint64_t edu)
{
    const uint64_t inside[] = {
        m->back_base, m->back_base + BACK_BUFFER + 0x1000,
        m->back_base + BACK_MEM - 8, m->back_base + BACK_MEM,
        m->back_base + BACK_MEM + SHARED_MEM - 8, 0x70000, 0x7fff8,
    };
    const uint64_t outside[] = {
        0, 0x1000, 0x6fff8, 0x80000, FRONT_BUFFER, m->back_base - 8,
    };
    uint64_t val = 0x1122334455667788;

    for (unsigned i = 0; i < ARRAY_SIZE(inside); i++) {
        edu_writes(m, edu, ++val, inside[i], 0);
        g_assert_cmphex(qtest_readq(m->qts, inside[i]), ==, val);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(outside); i++) {
        qtest_writeq(m->qts, outside[i], 0xf407f407f407f407);
        edu_writes(m, edu, ++val, outside[i], 0);
        g_assert_cmphex(qtest_readq(m->qts, outside[i]), ==,
                        0xf407f407f407f407);
        /* nor can it read what is there */
        qtest_writeq(m->qts, inside[1], val);
        edu_dma(m, edu, outside[i], EDU_BUFFER, 8, 0);
        edu_dma(m, edu, EDU_BUFFER, inside[1], 8, EDU_TO_MEMORY);
        g_assert_cmphex(qtest_readq(m->qts, inside[1]), !=,
                        0xf407f407f407f407);
    }
}

static bool irr_has(Machine *m, unsigned apic_id, unsigned vector)
{
    g_autofree char *out = qtest_hmp(m->qts, "info lapic %u", apic_id);
    g_autofree char *text = g_strdup_printf(" %u", vector);
    const char *irr = strstr(out, "IRR");

    g_assert_nonnull(irr);
    return strstr(irr, text);
}

static void test_dma(void)
{
    const uint64_t edu0 = BACK_MM32, edu1 = BACK_MM32 + 1 * MiB;
    const uint64_t edu2 = BACK_MM32 + 2 * MiB;
    Machine m;
    uint64_t cfg;
    unsigned msi;

    start_with(&m, "-device edu,bus=mos0.pcie,addr=2,dma_mask=0xffffffffffff "
               "-device edu,bus=mos0.pcie,addr=3,dma_mask=0xffffffffffff "
               "-device pcie-root-port,id=rp0,bus=mos0.pcie,addr=4,chassis=1 "
               "-device edu,bus=rp0,dma_mask=0xffffffffffff "
               "-device edu,id=front,addr=5,dma_mask=0xffffffffffff");
    back_device_enable(&m, 0, 2, 0, edu0);
    back_device_enable(&m, 0, 3, 0, edu1);
    cfg = back_config(0, 4, 0);
    qtest_writel(m.qts, cfg + 0x18, 0x010100);
    qtest_writew(m.qts, cfg + 0x20, edu2 >> 16); /* memory base and limit */
    qtest_writew(m.qts, cfg + 0x22, edu2 >> 16);
    qtest_writew(m.qts, cfg + 4, 6);
    back_device_enable(&m, 1, 0, 0, edu2);
    check_confined(&m, edu0);
    check_confined(&m, edu2);

    /* peer to peer: the other one's register 4 holds the inverse */
    qtest_writel(m.qts, m.back_base + BACK_BUFFER, 0x12345678);
    edu_dma(&m, edu0, m.back_base + BACK_BUFFER, EDU_BUFFER, 4, 0);
    edu_dma(&m, edu0, EDU_BUFFER, edu1 + 4, 4, EDU_TO_MEMORY);
    g_assert_cmphex(qtest_readl(m.qts, edu1 + 4), ==, ~0x12345678u);

    /* an MSI to the back's first vCPU, which is held */
    msi = back_capability(&m, 2, 0, 5);
    g_assert_cmphex(msi, !=, 0);
    cfg = back_config(0, 2, msi);
    qtest_writel(m.qts, cfg + 4, 0xfee01000);
    qtest_writel(m.qts, cfg + 8, 0);
    qtest_writew(m.qts, cfg + 12, 0x55);
    qtest_writew(m.qts, cfg + 2, qtest_readw(m.qts, cfg + 2) | 1);
    g_assert_false(irr_has(&m, 1, 0x55));
    edu_writes(&m, edu0, 1, m.back_base + BACK_BUFFER, EDU_IRQ);
    g_assert_true(irr_has(&m, 1, 0x55));
    g_assert_false(irr_has(&m, 0, 0x55));

    /* one whose "address" is the front's memory is lost */
    qtest_writel(m.qts, FRONT_BUFFER, 0xf407f407);
    qtest_writel(m.qts, cfg + 4, FRONT_BUFFER);
    edu_writes(&m, edu0, 1, m.back_base + BACK_BUFFER, EDU_IRQ);
    g_assert_cmphex(qtest_readl(m.qts, FRONT_BUFFER), ==, 0xf407f407);
    stop(&m);
}

/* What a device on the front's bus reaches is as ever: all of memory. */
static void test_dma_front(void)
{
    QPCIDevice *edu;
    QPCIBar bar;
    Machine m;

    start_with(&m, "-device edu,addr=5,dma_mask=0xffffffffffff");
    edu = qpci_device_find(m.bus, QPCI_DEVFN(5, 0));
    g_assert_nonnull(edu);
    qpci_device_enable(edu);
    bar = qpci_iomap(edu, 0, NULL);
    edu_writes(&m, bar.addr, 0x1234, FRONT_BUFFER, 0);
    g_assert_cmphex(qtest_readq(m.qts, FRONT_BUFFER), ==, 0x1234);
    g_free(edu);
    stop(&m);
}

/* virtio 1.2, 4.1.4: where the structures are, and the common one's fields */
#define VIRTIO_BAR              4
#define VIRTIO_CAP_COMMON       1
#define VIRTIO_CAP_NOTIFY       2
#define VIRTIO_DEVICE_FEATURE_SELECT 0x00
#define VIRTIO_DEVICE_FEATURE   0x04
#define VIRTIO_DRIVER_FEATURE_SELECT 0x08
#define VIRTIO_DRIVER_FEATURE   0x0c
#define VIRTIO_STATUS           0x14
#define VIRTIO_QUEUE_SELECT     0x16
#define VIRTIO_QUEUE_SIZE       0x18
#define VIRTIO_QUEUE_ENABLE     0x1c
#define VIRTIO_QUEUE_DESC       0x20
#define VIRTIO_QUEUE_DRIVER     0x28
#define VIRTIO_QUEUE_DEVICE     0x30

#define QUEUE_SIZE      8
#define BUFFER_LEN      64

typedef struct VirtioRng {
    uint64_t common;
    uint64_t notify;
    uint64_t desc, avail, used;
    uint32_t features; /* bits 32 and up */
    uint16_t added;
} VirtioRng;

static void rng_find(Machine *m, unsigned slot, VirtioRng *v)
{
    unsigned cap = 0;

    memset(v, 0, sizeof(*v));
    back_device_enable(m, 0, slot, VIRTIO_BAR, BACK_MM64);
    while ((cap = back_capability(m, slot, cap, 9))) {
        uint64_t cfg = back_config(0, slot, cap);
        uint64_t at = BACK_MM64 + qtest_readl(m->qts, cfg + 8);

        switch (qtest_readb(m->qts, cfg + 3)) {
        case VIRTIO_CAP_COMMON:
            v->common = at;
            break;
        case VIRTIO_CAP_NOTIFY:
            v->notify = at;
        }
    }
    g_assert_cmphex(v->common, !=, 0);
    g_assert_cmphex(v->notify, !=, 0);
}

static uint8_t rng_status(Machine *m, VirtioRng *v)
{
    return qtest_readb(m->qts, v->common + VIRTIO_STATUS);
}

static void rng_start(Machine *m, VirtioRng *v, uint64_t desc, uint64_t avail,
                      uint64_t used)
{
    v->desc = desc;
    v->avail = avail;
    v->used = used;
    v->added = 0;
    qtest_memset(m->qts, avail, 0, 0x100);
    qtest_memset(m->qts, used, 0, 0x100);
    qtest_writeb(m->qts, v->common + VIRTIO_STATUS, 0);
    qtest_writeb(m->qts, v->common + VIRTIO_STATUS, 1 | 2);
    qtest_writel(m->qts, v->common + VIRTIO_DRIVER_FEATURE_SELECT, 1);
    qtest_writel(m->qts, v->common + VIRTIO_DRIVER_FEATURE, v->features);
    qtest_writeb(m->qts, v->common + VIRTIO_STATUS, 1 | 2 | 8);
    g_assert_cmphex(rng_status(m, v), ==, 1 | 2 | 8);
    qtest_writew(m->qts, v->common + VIRTIO_QUEUE_SELECT, 0);
    qtest_writew(m->qts, v->common + VIRTIO_QUEUE_SIZE, QUEUE_SIZE);
    for (unsigned half = 0; half < 2; half++) {
        qtest_writel(m->qts, v->common + VIRTIO_QUEUE_DESC + 4 * half,
                     desc >> (32 * half));
        qtest_writel(m->qts, v->common + VIRTIO_QUEUE_DRIVER + 4 * half,
                     avail >> (32 * half));
        qtest_writel(m->qts, v->common + VIRTIO_QUEUE_DEVICE + 4 * half,
                     used >> (32 * half));
    }
    qtest_writew(m->qts, v->common + VIRTIO_QUEUE_ENABLE, 1);
    qtest_writeb(m->qts, v->common + VIRTIO_STATUS, 1 | 2 | 4 | 8);
}

static bool is_filled_with(Machine *m, uint64_t addr, uint8_t val)
{
    uint8_t got[BUFFER_LEN];

    qtest_memread(m->qts, addr, got, sizeof(got));
    for (unsigned i = 0; i < sizeof(got); i++) {
        if (got[i] != val) {
            return false;
        }
    }
    return true;
}

/* Asks the device to fill a buffer with random bytes. */
static void rng_add(Machine *m, VirtioRng *v, uint64_t buffer)
{
    uint64_t desc = v->desc + 16 * (v->added % QUEUE_SIZE);

    qtest_writeq(m->qts, desc, buffer);
    qtest_writel(m->qts, desc + 8, BUFFER_LEN);
    qtest_writel(m->qts, desc + 12, 2); /* flags: the device writes */
    qtest_writew(m->qts, v->avail + 4 + 2 * (v->added % QUEUE_SIZE),
                 v->added % QUEUE_SIZE);
    qtest_writew(m->qts, v->avail + 2, ++v->added);
    qtest_writew(m->qts, v->notify, 0);
}

static void rng_wait_used(Machine *m, VirtioRng *v)
{
    gint64 end = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;

    while (qtest_readw(m->qts, v->used + 2) != v->added &&
           g_get_monotonic_time() < end) {
        g_usleep(1000);
    }
    g_assert_cmpuint(qtest_readw(m->qts, v->used + 2), ==, v->added);
}

static void rng_wait_filled(Machine *m, uint64_t buffer)
{
    gint64 end = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;

    while (is_filled_with(m, buffer, 0x5a) && g_get_monotonic_time() < end) {
        g_usleep(1000);
    }
    g_assert_false(is_filled_with(m, buffer, 0x5a));
}

/* virtio goes by the address space of its bus, with and without an IOMMU. */
static void test_dma_virtio(const void *options)
{
    g_autofree char *more = g_strdup_printf("-device virtio-rng-pci,"
        "bus=mos0.pcie,addr=2,disable-legacy=on%s", (const char *)options);
    Machine m;
    VirtioRng v;
    uint64_t rings, buffer;

    start_with(&m, more);
    rings = m.back_base + BACK_BUFFER;
    buffer = rings + 0x10000;
    rng_find(&m, 2, &v);
    /* What the device has of these: VERSION_1 and ACCESS_PLATFORM */
    qtest_writel(m.qts, v.common + VIRTIO_DEVICE_FEATURE_SELECT, 1);
    v.features = qtest_readl(m.qts, v.common + VIRTIO_DEVICE_FEATURE) & 3;
    g_assert_cmphex(v.features, ==, *(const char *)options ? 3 : 1);
    rng_start(&m, &v, rings, rings + 0x1000, rings + 0x2000);

    qtest_memset(m.qts, buffer, 0x5a, BUFFER_LEN);
    rng_add(&m, &v, buffer);
    rng_wait_used(&m, &v);
    g_assert_false(is_filled_with(&m, buffer, 0x5a));
    qtest_memset(m.qts, FRONT_BUFFER, 0x5a, BUFFER_LEN);
    rng_add(&m, &v, FRONT_BUFFER);
    rng_wait_used(&m, &v);
    g_assert_true(is_filled_with(&m, FRONT_BUFFER, 0x5a));

    /*
     * The ring that the device writes in the front's memory. It does so when
     * it has filled the buffer, before QEMU listens to this program again.
     */
    rng_start(&m, &v, rings, rings + 0x1000, FRONT_BUFFER);
    qtest_memset(m.qts, FRONT_BUFFER, 0x5a, BUFFER_LEN);
    qtest_memset(m.qts, buffer, 0x5a, BUFFER_LEN);
    rng_add(&m, &v, buffer);
    rng_wait_filled(&m, buffer);
    g_assert_true(is_filled_with(&m, FRONT_BUFFER, 0x5a));
    stop(&m);
}

/* Copies one of the front's ACPI tables, and returns its size. */
static size_t front_table(Machine *m, const char *signature, uint8_t revision,
                          uint8_t *table, size_t max)
{
    g_autofree uint8_t *all = g_malloc0(256 * KiB);
    QFWCFG *fw_cfg = pc_fw_cfg_init(m->qts);
    size_t size = qfw_cfg_get_file(fw_cfg, "etc/acpi/tables", all, 256 * KiB);
    size_t len = 0;

    pc_fw_cfg_uninit(fw_cfg);
    for (size_t i = 0; i + 36 <= size; i++) {
        if (!memcmp(all + i, signature, 4) && all[i + 8] == revision) {
            len = ldl_le_p(all + i + 4);
            g_assert_cmpuint(len, <=, max);
            memcpy(table, all + i, len);
            break;
        }
    }
    g_assert_cmpuint(len, >, 36);
    return len;
}

#define BACK_SLOT 9 /* of a device of the back; the front has none there */

/* The front's IOMMU is not said to be that of the back's devices. */
static void test_iommu_tables(void)
{
    const char *back = "-device e1000e,bus=mos0.pcie,addr=9";
    g_autofree char *intel = g_strdup_printf("-device intel-iommu %s", back);
    g_autofree char *amd = g_strdup_printf("-device amd-iommu %s", back);
    g_autofree char *virtio = g_strdup_printf("-device virtio-iommu-pci %s",
                                              back);
    bool ours = false;
    uint8_t t[1024];
    size_t len;
    Machine m;

    start_with(&m, intel);
    front_table(&m, "DMAR", 1, t, sizeof(t));
    g_assert_cmpuint(lduw_le_p(t + 48), ==, 0); /* DRHD */
    for (size_t i = 48 + 16; i < 48 + lduw_le_p(t + 50); i += t[i + 1]) {
        ours |= t[i] == 1 && t[i + 6] == SLOT;
        g_assert_false(t[i] == 1 && t[i + 6] == BACK_SLOT);
    }
    g_assert_true(ours);
    stop(&m);

    start_with(&m, amd);
    len = front_table(&m, "IVRS", 1, t, sizeof(t));
    ours = false;
    for (size_t i = 48; i + 4 <= len; i++) {
        ours |= t[i] == 2 && t[i + 1] == SLOT << 3 && !t[i + 2] && !t[i + 3];
        g_assert_false(t[i] == 2 && t[i + 1] == BACK_SLOT << 3 && !t[i + 2] &&
                       !t[i + 3]);
    }
    g_assert_true(ours);
    stop(&m);

    start_with(&m, virtio);
    front_table(&m, "VIOT", 0, t, sizeof(t));
    g_assert_cmpuint(lduw_le_p(t + 36), ==, 2); /* the IOMMU and one PCI range */
    stop(&m);
}

static void wait_zero(Machine *m, uint64_t addr)
{
    gint64 end = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;

    while (qtest_readl(m->qts, addr) && g_get_monotonic_time() < end) {
        g_usleep(1000);
    }
    g_assert_cmpuint(qtest_readl(m->qts, addr), ==, 0);
}

/* Two writes of the front to BACK_CTL with nothing in between */
static void two_commands(Machine *m, uint32_t first, uint32_t second)
{
    qtest_writel(m->qts, FRONT_MAILBOX + 4, first);
    qtest_writel(m->qts, FRONT_MAILBOX + 8, second);
    qtest_writel(m->qts, FRONT_MAILBOX, m->bar.addr + REG_CTL);
    wait_zero(m, FRONT_MAILBOX);
}

static void back_does(Machine *m, uint32_t action, uint8_t val)
{
    uint64_t mailbox = m->back_base + BACK_MEM + BACK_MAILBOX;

    qtest_writel(m->qts, mailbox + 4, val);
    qtest_writel(m->qts, mailbox, action);
}

/* The last of two commands wins, whether the first was acted upon or not. */
static void test_last_command(void)
{
    Machine m;
    uint32_t generation = 1;

    start_executing(&m);
    set_reg(&m, REG_CTL, 1);
    wait_generation(&m, generation, 1);
    for (int i = 0; i < 20; i++) {
        two_commands(&m, 2, 1);
        wait_generation(&m, ++generation, 1);
        two_commands(&m, 2, 3);
        wait_generation(&m, ++generation, 1);
        two_commands(&m, 1, 2); /* no effect on a running back, then stop */
        wait_generation(&m, generation, 2);
        set_reg(&m, REG_CTL, 1);
        wait_generation(&m, ++generation, 1);
        two_commands(&m, 3, 2);
        wait_generation(&m, reg(&m, REG_GENERATION), 2);
        generation = reg(&m, REG_GENERATION);
        set_reg(&m, REG_CTL, 3);
        wait_generation(&m, ++generation, 1);
    }
    stop(&m);
}

static void test_back_executes(void)
{
    Machine m;

    start_executing(&m);
    set_reg(&m, REG_CTL, 1);
    wait_generation(&m, 1, 1);
    back_does(&m, BACK_PAGE + 0x40, 1); /* RESET */
    wait_generation(&m, 2, 1);
    back_does(&m, BACK_PAGE + 0x44, 0x20 | 5 << 2); /* POWEROFF */
    wait_generation(&m, 2, 2);
    set_reg(&m, REG_CTL, 1);
    wait_generation(&m, 3, 1);

    /* a panic, after which the back resets itself */
    back_does(&m, BACK_PANIC, 1);
    wait_generation(&m, 3, 3);
    back_does(&m, BACK_PAGE + 0x40, 1);
    wait_generation(&m, 4, 1);

    /* a panic after which the crash kernel runs, which ends with a reset */
    back_does(&m, BACK_PANIC, 2);
    wait_generation(&m, 4, 3);
    set_reg(&m, REG_CTL, 3);
    wait_generation(&m, 5, 1);

    /* a triple fault, of a running back and of one in panic */
    back_does(&m, ACTION_FAULT, 0);
    wait_generation(&m, 5, 3);
    set_reg(&m, REG_CTL, 3);
    wait_generation(&m, 6, 1);
    back_does(&m, BACK_PANIC, 1);
    wait_generation(&m, 6, 3);
    back_does(&m, ACTION_FAULT, 0);
    wait_zero(&m, m.back_base + BACK_MEM + BACK_MAILBOX);
    g_usleep(20000);
    wait_generation(&m, 6, 3);
    /* held, so it does not do this */
    back_does(&m, BACK_PAGE + 0x40, 1);
    g_usleep(20000);
    wait_generation(&m, 6, 3);
    back_does(&m, 0, 0);
    set_reg(&m, REG_CTL, 1);
    wait_generation(&m, 7, 1);
    stop(&m);
}

static uint64_t restart_delay(Machine *m)
{
    QDict *rsp = qtest_qmp(m->qts, "{ 'execute': 'qom-get', 'arguments': { "
                           "'path': '/machine/peripheral/mos0', "
                           "'property': 'back-restart-delay' } }");
    uint64_t ms = qdict_get_int(rsp, "return");

    qobject_unref(rsp);
    return ms;
}

/*
 * The back resets itself until it has to wait for its next start, which is
 * after few times even where this process rarely gets to look: the wait
 * doubles. Returns the generation that has ended.
 */
static uint32_t reset_and_wait(Machine *m)
{
    uint32_t generation;

    do {
        generation = reg(m, REG_GENERATION);
        back_does(m, BACK_PAGE + 0x40, 1);
        while (reg(m, REG_GENERATION) == generation &&
               reg(m, REG_STATE) == 1) {
            g_usleep(1000);
        }
    } while (reg(m, REG_GENERATION) != generation);
    return generation;
}

/*
 * A back that resets itself at once, again and again. A busy host makes the
 * times longer, never shorter.
 */
static void test_restart_gap(void)
{
    gint64 begin = g_get_monotonic_time();
    uint32_t generation;
    Machine m;

    start_executing(&m);
    set_reg(&m, REG_CTL, 1);
    wait_generation(&m, 1, 1);
    for (unsigned i = 0, gaps = 1; i < 2; i++, gaps += 1 << i) {
        g_assert_cmpuint(restart_delay(&m), ==, 0);
        back_does(&m, BACK_PAGE + 0x40, 1);
        wait_generation(&m, 2 + i, 1);
        g_assert_cmpint(g_get_monotonic_time() - begin, >=,
                        gaps * G_TIME_SPAN_SECOND);
    }

    /* while it waits, a command is obeyed and ends the wait */
    generation = reset_and_wait(&m);
    g_assert_cmpuint(restart_delay(&m), <=, 30000);
    set_reg(&m, REG_CTL, 1);
    wait_generation(&m, generation + 1, 1);
    g_assert_cmpuint(restart_delay(&m), ==, 0);
    reset_and_wait(&m);
    set_reg(&m, REG_CTL, 2);
    while (restart_delay(&m)) {
        g_usleep(1000);
    }
    wait_generation(&m, reg(&m, REG_GENERATION), 2);
    stop(&m);
}

static bool on_kvm(void)
{
    return !g_strcmp0(getenv("MULTIOS_TEST_ACCEL"), "kvm");
}

/* KVM cannot execute what lies in MMIO: the end of the back, not of the VM */
static void test_cannot_execute(void)
{
    Machine m;
    QDict *rsp;

    if (!on_kvm()) {
        g_test_skip("KVM only");
        return;
    }
    start_executing(&m);
    set_reg(&m, REG_CTL, 1);
    wait_generation(&m, 1, 1);
    back_does(&m, ACTION_RUN_MMIO, 0);
    wait_generation(&m, 1, 3);
    rsp = qtest_qmp(m.qts, "{ 'execute': 'query-status' }");
    g_assert_true(qdict_get_bool(qdict_get_qdict(rsp, "return"), "running"));
    qobject_unref(rsp);
    set_reg(&m, REG_CTL, 1);
    wait_generation(&m, 2, 1);
    stop(&m);
}

static uint8_t back_reads_port(Machine *m, uint8_t port)
{
    uint64_t result = m->back_base + BACK_MEM + BACK_RESULT;
    gint64 end = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;
    uint16_t val;

    /* It has taken what it was told before. */
    wait_zero(m, m->back_base + BACK_MEM + BACK_MAILBOX);
    qtest_writew(m->qts, result, 0xeeee);
    back_does(m, ACTION_READ_PORT, port);
    do {
        g_usleep(1000);
        val = qtest_readw(m->qts, result);
    } while (val == 0xeeee && g_get_monotonic_time() < end);
    g_assert_cmphex(val, !=, 0xeeee);
    return val;
}

/*
 * The back finds no legacy devices, and no reason for an NMI either. With KVM,
 * port 61 may be the PIT's in the kernel.
 */
static void test_ports(void)
{
    Machine m;

    start_executing(&m);
    set_reg(&m, REG_CTL, 1);
    wait_generation(&m, 1, 1);
    g_assert_cmphex(back_reads_port(&m, 0x60), ==, 0xff);
    if (on_kvm()) {
        g_assert_cmphex(back_reads_port(&m, 0x61) & 0xc0, ==, 0);
    } else {
        g_assert_cmphex(back_reads_port(&m, 0x61), ==, 0x20);
    }
    stop(&m);
}

/*
 * NMIs and the PIC's interrupts are the front's, whatever the back's local
 * APICs let in. It has no IDT: either would be its triple fault.
 */
static void test_lint(void)
{
    Machine m;
    gint64 end = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;

    start_executing(&m);
    set_reg(&m, REG_CTL, 1);
    wait_generation(&m, 1, 1);
    back_does(&m, ACTION_OPEN_LINT1, 0);
    back_reads_port(&m, 0x60);
    qtest_qmp_assert_success(m.qts, "{ 'execute': 'inject-nmi' }");
    back_reads_port(&m, 0x60);
    wait_generation(&m, 1, 1);

    /* In KVM's kernel the PIC is anybody's. */
    if (!on_kvm()) {
        /* the PIT's interrupt waits, for the front has it masked */
        qtest_outb(m.qts, PIC, 0x0a);
        while (!(qtest_inb(m.qts, PIC) & 1) && g_get_monotonic_time() < end) {
            g_usleep(1000);
        }
        g_assert_cmphex(qtest_inb(m.qts, PIC) & 1, ==, 1);
        back_does(&m, ACTION_OPEN_LINT0, 0);
        back_reads_port(&m, 0x60);
        wait_generation(&m, 1, 1);
    }
    stop(&m);
}

/* An SMI that firmware has asked to be sent to all CPUs is for the front's. */
static void test_smi(void)
{
    Machine m;
    QFWCFG *fw_cfg;
    QOSState qs = { 0 };
    uint64_t broadcast = cpu_to_le64(1);
    uint8_t ok = 0;
    gint64 end = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;

    if (on_kvm()) {
        g_test_skip("not every KVM has SMM");
        return;
    }
    start_executing(&m);
    front_takes_over(&m); /* which also maps SMI_EN */
    wait_generation(&m, 1, 1);

    fw_cfg = pc_fw_cfg_init(m.qts);
    qs.qts = m.qts;
    pc_alloc_init(&qs.alloc, m.qts, ALLOC_NO_FLAGS);
    g_assert_cmpuint(qfw_cfg_write_file(fw_cfg, &qs,
                                        "etc/smi/requested-features",
                                        &broadcast, 8), ==, 8);
    qfw_cfg_get_file(fw_cfg, "etc/smi/features-ok", &ok, 1);
    g_assert_cmpuint(ok, ==, 1);
    alloc_destroy(&qs.alloc);
    pc_fw_cfg_uninit(fw_cfg);

    qtest_memwrite(m.qts, SMI_ENTRY, smi_handler, sizeof(smi_handler));
    qtest_outl(m.qts, SMI_EN, SMI_EN_APMC);
    qtest_outb(m.qts, APM_CNT, 0x55);
    while (!qtest_readl(m.qts, SMI_COUNT) && g_get_monotonic_time() < end) {
        g_usleep(1000);
    }
    back_reads_port(&m, 0x60);
    g_assert_cmpuint(qtest_readl(m.qts, SMI_COUNT), ==, 1);
    stop(&m);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    make_kernel();
    make_firmware();
    qtest_add_func("/multios/defaults", test_defaults);
    qtest_add_func("/multios/bad-offsets", test_bad_offsets);
    qtest_add_func("/multios/memory-map", test_memory_map);
    qtest_add_func("/multios/back-page", test_back_page);
    qtest_add_func("/multios/boot", test_boot);
    qtest_add_func("/multios/life-cycle", test_life_cycle);
    qtest_add_func("/multios/reset", test_reset);
    qtest_add_func("/multios/properties", test_properties);
    qtest_add_func("/multios/cpu-hotplug", test_cpu_hotplug);
    qtest_add_func("/multios/tseg", test_tseg);
    qtest_add_func("/multios/machine-check", test_machine_check);
    qtest_add_func("/multios/front-ports", test_front_ports);
    qtest_add_func("/multios/dma/edu", test_dma);
    qtest_add_func("/multios/dma/front", test_dma_front);
    qtest_add_data_func("/multios/dma/virtio", "", test_dma_virtio);
    qtest_add_data_func("/multios/dma/virtio-iommu-platform",
                        ",iommu_platform=on", test_dma_virtio);
    qtest_add_func("/multios/iommu-tables", test_iommu_tables);
    qtest_add_func("/multios/executing/restart-gap", test_restart_gap);
    qtest_add_func("/multios/executing/last-command", test_last_command);
    qtest_add_func("/multios/executing/back", test_back_executes);
    qtest_add_func("/multios/executing/cannot-execute", test_cannot_execute);
    qtest_add_func("/multios/executing/ports", test_ports);
    qtest_add_func("/multios/executing/lint", test_lint);
    qtest_add_func("/multios/executing/smi", test_smi);
    ret = g_test_run();
    unlink(kernel_path);
    unlink(firmware_path);
    g_free(kernel_path);
    g_free(firmware_path);
    return ret;
}
