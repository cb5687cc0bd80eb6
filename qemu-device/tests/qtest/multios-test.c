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
#include "standard-headers/multios/regs.h"
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
#define CPU_HOTPLUG     0xcd8 /* of ICH9: at first a bitmap of present CPUs */
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
    0x8b, 0x77, MULTIOS_REG_SHM_BASE,         /* mov SHM_BASE(%rdi), %esi */
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

/* Further properties of the device. */
static const char *device_options = "back-on-crash=stop";

static void start_with(Machine *m, const char *more)
{
    m->qts = qtest_initf("-machine q35 -nodefaults -m 512M -smp 3 "
                         "-chardev null,id=con -device "
                         "'multios,id=mos0,addr=%x,back-kernel=%s,back-vcpus=2,"
                         "back-mem=128M,shared-mem=16M,mac=52:54:00:01:02:03,"
                         "back-console=con,back-append=hello -- bye,%s' %s",
                         SLOT, kernel_path, device_options, more);
    m->bus = qpci_new_pc(m->qts, NULL);
    m->dev = qpci_device_find(m->bus, QPCI_DEVFN(SLOT, 0));
    g_assert_nonnull(m->dev);
    qpci_device_enable(m->dev);
    m->bar = qpci_iomap(m->dev, 0, NULL);
    m->back_base = qpci_io_readq(m->dev, m->bar, MULTIOS_REG_SHM_BASE) -
                   BACK_MEM;
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

    while ((reg(m, MULTIOS_REG_BACK_GENERATION) != generation ||
            reg(m, MULTIOS_REG_BACK_STATE) != state) &&
           g_get_monotonic_time() < end) {
        g_usleep(1000);
    }
    g_assert_cmpuint(reg(m, MULTIOS_REG_BACK_GENERATION), ==, generation);
    g_assert_cmpuint(reg(m, MULTIOS_REG_BACK_STATE), ==, state);
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
    g_assert_cmphex(reg(&m, MULTIOS_REG_MAGIC), ==, 0x31534f4d);
    g_assert_cmpuint(reg(&m, MULTIOS_REG_VERSION), ==, 1);
    shm = reg(&m, MULTIOS_REG_SHM_BASE) |
          (uint64_t)reg(&m, MULTIOS_REG_SHM_BASE + 4) << 32;
    g_assert_cmphex(shm, ==, qpci_io_readq(m.dev, m.bar, MULTIOS_REG_SHM_BASE));
    g_assert_cmphex(shm % (2 * MiB), ==, 0);
    g_assert_cmphex(shm, <=, RAM - SHARED_MEM);
    g_assert_cmphex(shm, >=, BACK_MEM);
    g_assert_cmphex(qpci_io_readq(m.dev, m.bar, MULTIOS_REG_SHM_SIZE), ==,
                    SHARED_MEM);
    g_assert_cmphex(reg(&m, MULTIOS_REG_MAC), ==, 0x01005452);
    g_assert_cmphex(reg(&m, MULTIOS_REG_MAC + 4), ==, 0x0302);
    g_assert_cmpuint(reg(&m, MULTIOS_REG_BACK_STATE), ==, 0);
    g_assert_cmpuint(reg(&m, MULTIOS_REG_BACK_CTL), ==, 0);
    g_assert_cmpuint(reg(&m, MULTIOS_REG_BACK_GENERATION), ==, 0);
    g_assert_cmpuint(reg(&m, MULTIOS_REG_FRONT_VCPUS), ==, 1);
    g_assert_cmpuint(reg(&m, MULTIOS_REG_BACK_VCPUS), ==, 2);
    g_assert_cmpuint(reg(&m, MULTIOS_REG_IRQ_STATUS), ==, 0);
    g_assert_cmpuint(reg(&m, MULTIOS_REG_IRQ_ENABLE), ==, 0);
    stop(&m);
}

static void test_bad_offsets(void)
{
    static const unsigned holes[] = { 0x40, 0x44, 0x48, 0x4c, 0x50, 0x100, 0xffc };
    static const unsigned read_only[] = {
        MULTIOS_REG_MAGIC, MULTIOS_REG_VERSION,
        MULTIOS_REG_SHM_BASE, MULTIOS_REG_SHM_BASE + 4,
        MULTIOS_REG_SHM_SIZE, MULTIOS_REG_SHM_SIZE + 4,
        MULTIOS_REG_MAC, MULTIOS_REG_MAC + 4,
        MULTIOS_REG_BACK_STATE, MULTIOS_REG_BACK_GENERATION,
        MULTIOS_REG_FRONT_VCPUS, MULTIOS_REG_BACK_VCPUS,
        MULTIOS_REG_BACK_REASON,
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
    set_reg(&m, MULTIOS_REG_BACK_CTL, 0);
    set_reg(&m, MULTIOS_REG_BACK_CTL, 4);
    set_reg(&m, MULTIOS_REG_BACK_CTL, 0xffffffff);
    g_assert_cmpuint(reg(&m, MULTIOS_REG_BACK_STATE), ==, 0);
    /* reserved bits stay 0 */
    set_reg(&m, MULTIOS_REG_IRQ_ENABLE, ~MULTIOS_IRQ_ALL);
    g_assert_cmphex(reg(&m, MULTIOS_REG_IRQ_ENABLE), ==, 0);
    set_reg(&m, MULTIOS_REG_IRQ_STATUS, 0xffffffff);
    g_assert_cmphex(reg(&m, MULTIOS_REG_IRQ_STATUS), ==, 0);
    /* accesses of a size that is not allowed act on nothing */
    qpci_io_writeb(m.dev, m.bar, MULTIOS_REG_BACK_CTL, 1);
    qpci_io_writew(m.dev, m.bar, MULTIOS_REG_BACK_CTL, 1);
    g_assert_cmpuint(reg(&m, MULTIOS_REG_BACK_STATE), ==, 0);
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
    g_assert_cmphex(qtest_readl(m.qts, BACK_PAGE + MULTIOS_REG_MAGIC), ==,
                    MULTIOS_MAGIC);
    g_assert_cmphex(qtest_readl(m.qts, BACK_PAGE + MULTIOS_REG_SHM_BASE), ==,
                    reg(&m, MULTIOS_REG_SHM_BASE));
    g_assert_cmpuint(qtest_readl(m.qts, BACK_PAGE + MULTIOS_REG_BACK_VCPUS), ==,
                     2);
    g_assert_cmphex(qtest_readl(m.qts, BACK_PAGE + MULTIOS_REG_BACK_STATE), ==,
                    0);
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
    char cmdline[128];
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
                    "no_ipi_broadcast=1 reboot=acpi "
                    "console=uart,mmio,0xfef11000,115200 hello -- bye");
    code = ldl_le_p(bp + 0x214);
    g_assert_cmphex(code % (2 * MiB), ==, 0);
    g_assert_cmphex(qtest_readl(m.qts, code), ==, 0x90909090);
    g_assert_cmphex(qtest_readq(m.qts, ldq_le_p(bp + 0x70)), ==,
                    ldq_le_p("RSD PTR "));

    /* a restart writes the image anew */
    qtest_writel(m.qts, code, 0);
    set_reg(&m, MULTIOS_REG_BACK_CTL, 3);
    wait_generation(&m, 2, 1);
    g_assert_cmphex(qtest_readl(m.qts, code), ==, 0x90909090);
    stop(&m);
}

static void test_life_cycle(void)
{
    Machine m;

    start(&m);
    qpci_msix_enable(m.dev);
    set_reg(&m, MULTIOS_REG_IRQ_ENABLE, 1);
    g_assert_false(qpci_msix_pending(m.dev, 0));

    front_takes_over(&m);
    wait_generation(&m, 1, 1);
    g_assert_cmpuint(reg(&m, MULTIOS_REG_IRQ_STATUS), ==, 1);
    g_assert_true(qpci_msix_pending(m.dev, 0));

    /* write 1 to clear, and nothing else clears */
    set_reg(&m, MULTIOS_REG_IRQ_STATUS, 0);
    g_assert_cmpuint(reg(&m, MULTIOS_REG_IRQ_STATUS), ==, 1);
    set_reg(&m, MULTIOS_REG_IRQ_STATUS, 1);
    g_assert_cmpuint(reg(&m, MULTIOS_REG_IRQ_STATUS), ==, 0);

    set_reg(&m, MULTIOS_REG_BACK_CTL, 1); /* runs already */
    set_reg(&m, MULTIOS_REG_BACK_CTL, 2);
    wait_generation(&m, 1, 2);
    g_assert_cmpuint(reg(&m, MULTIOS_REG_IRQ_STATUS), ==, 1);

    /* a second takeover starts nothing that was stopped on purpose */
    qtest_outw(m.qts, PM1_EN, 0);
    g_usleep(20000);
    wait_generation(&m, 1, 2);

    set_reg(&m, MULTIOS_REG_BACK_CTL, 1);
    wait_generation(&m, 2, 1);
    set_reg(&m, MULTIOS_REG_BACK_CTL, 3);
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
    set_reg(&m, MULTIOS_REG_IRQ_ENABLE, 1);
    qtest_writel(m.qts, shm, 0x12345678);
    qtest_system_reset(m.qts);

    qpci_device_enable(m.dev);
    qpci_config_writel(m.dev, 0x10, m.bar.addr);
    g_assert_cmpuint(reg(&m, MULTIOS_REG_BACK_STATE), ==, 0);
    g_assert_cmpuint(reg(&m, MULTIOS_REG_BACK_GENERATION), ==, 1);
    g_assert_cmpuint(reg(&m, MULTIOS_REG_IRQ_STATUS), ==, 0);
    g_assert_cmpuint(reg(&m, MULTIOS_REG_IRQ_ENABLE), ==, 0);
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
    /* QEMU 11 has no bitmap any more, and begins with the modern registers. */
    if (QEMU_VERSION_MAJOR < 11) {
        g_assert_cmphex(qtest_inb(m.qts, CPU_HOTPLUG), ==, 1);
    }
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
    set_reg(&m, MULTIOS_REG_BACK_CTL, 1);
    wait_generation(&m, 2, 1);
    stop(&m);
}

static void test_properties(void)
{
    Machine m;

    start(&m);
    g_assert_true(refused(m.qts, "back-vcpus", "2"));
    g_assert_true(refused(m.qts, "back-mem", "4096"));
    g_assert_true(refused(m.qts, "back-state", "'running'"));
    g_assert_true(refused(m.qts, "back-generation", "7"));
    g_assert_true(refused(m.qts, "back-run", "'yes please'"));
    g_assert_false(refused(m.qts, "back-run", "true"));
    g_assert_cmpuint(reg(&m, MULTIOS_REG_BACK_STATE), ==, 1);
    g_assert_false(refused(m.qts, "back-run", "false"));
    g_assert_cmpuint(reg(&m, MULTIOS_REG_BACK_STATE), ==, 2);
    g_assert_cmpuint(reg(&m, MULTIOS_REG_BACK_GENERATION), ==, 1);
    stop(&m);
}

static char *back_cmdline(Machine *m)
{
    char line[256];

    qtest_memread(m->qts, qtest_readl(m->qts, m->back_base + 0x228), line,
                  sizeof(line));
    line[sizeof(line) - 1] = 0;
    return g_strdup(line);
}

/* Another kernel at run time: checked at once, in effect at the next start. */
static void test_replace(void)
{
    g_autofree char *initrd = make_file("0123456789", 10);
    g_autofree char *boot = g_strdup_printf("{'initrd': '%s', 'append': 'one'}",
                                            initrd);
    g_autofree char *none = g_strdup_printf("{'kernel': '%s', 'append': 'two'}",
                                            initrd);
    char *line;
    Machine m;

    start(&m);
    front_takes_over(&m);
    wait_generation(&m, 1, 1);
    g_assert_true(refused(m.qts, "back-kernel", "'/x'"));
    g_assert_true(refused(m.qts, "back-kernel", "''"));
    g_assert_true(refused(m.qts, "back-initrd", "'/x'"));
    g_assert_false(refused(m.qts, "back-boot", boot));
    line = back_cmdline(&m);
    g_assert_true(g_str_has_suffix(line, " hello -- bye"));
    g_free(line);
    g_assert_cmpuint(qtest_readl(m.qts, m.back_base + 0x21c), ==, 0);

    g_assert_false(refused(m.qts, "back-command", "'restart'"));
    line = back_cmdline(&m);
    g_assert_true(g_str_has_suffix(line, " one"));
    g_free(line);
    g_assert_cmpuint(qtest_readl(m.qts, m.back_base + 0x21c), ==, 10);

    /* all of it or nothing */
    g_assert_true(refused(m.qts, "back-boot", none));
    g_assert_true(refused(m.qts, "back-boot", "{'kernle': '/x'}"));
    g_assert_false(refused(m.qts, "back-initrd", "''"));
    g_assert_false(refused(m.qts, "back-command", "'restart'"));
    line = back_cmdline(&m);
    g_assert_true(g_str_has_suffix(line, " one"));
    g_free(line);
    g_assert_cmpuint(qtest_readl(m.qts, m.back_base + 0x21c), ==, 0);
    stop(&m);
    unlink(initrd);
}

/* The next event of the back, which must have this state and so on. */
static QDict *expect_event(Machine *m, const char *state, const char *reason,
                           int64_t generation)
{
    QDict *event = qtest_qmp_eventwait_ref(m->qts, "MULTIOS_BACK_STATE");
    QDict *data = qdict_get_qdict(event, "data");

    g_assert_cmpstr(qdict_get_str(data, "path"), ==,
                    "/machine/peripheral/mos0");
    g_assert_cmpstr(qdict_get_str(data, "state"), ==, state);
    g_assert_cmpstr(qdict_get_str(data, "reason"), ==, reason);
    g_assert_cmpint(qdict_get_int(data, "generation"), ==, generation);
    return event;
}

/* Saves the machine to a file, and loads that into another one, @to. */
static void save_and_load(Machine *from, Machine *to, const char *more)
{
    g_autofree char *file = make_file("", 0);
    g_autofree char *uri = g_strdup_printf("file:%s", file);
    g_autofree char *options = g_strdup_printf("%s -incoming defer", more);
    const char *status = "";
    QDict *answer;

    start_with(to, options);
    qtest_qmp_assert_success(from->qts, "{ 'execute': 'migrate', 'arguments': "
                             "{ 'uri': %s } }", uri);
    while (strcmp(status, "completed")) {
        answer = qtest_qmp_assert_success_ref(from->qts,
                                              "{ 'execute': 'query-migrate' }");
        status = qdict_get_try_str(answer, "status") ?: "";
        g_assert_cmpstr(status, !=, "failed");
        status = strcmp(status, "completed") ? "" : "completed";
        qobject_unref(answer);
    }
    /* the state is in the file: changes here are refused */
    g_assert_true(refused(from->qts, "back-command", "'restart'"));
    qtest_qmp_assert_success(to->qts, "{ 'execute': 'migrate-incoming', "
                             "'arguments': { 'uri': %s } }", uri);
    qtest_qmp_eventwait(to->qts, "RESUME");
    unlink(file);
}

static void test_migrate(void)
{
    Machine from, to;
    QDict *event;

    start(&from);
    set_reg(&from, MULTIOS_REG_IRQ_ENABLE, MULTIOS_IRQ_ALL);
    front_takes_over(&from);
    wait_generation(&from, 1, MULTIOS_BACK_RUNNING);
    set_reg(&from, MULTIOS_REG_BACK_CTL, MULTIOS_CTL_RESTART);
    wait_generation(&from, 2, MULTIOS_BACK_RUNNING);
    set_reg(&from, MULTIOS_REG_IRQ_STATUS, MULTIOS_IRQ_ALL);
    qtest_writeb(from.qts, BACK_IOAPIC, 0x12);
    qtest_writel(from.qts, from.back_base + BACK_BUFFER, 0x12345678);

    save_and_load(&from, &to, "");
    event = expect_event(&to, "running", "command", 2);
    qobject_unref(event);
    g_assert_cmpuint(reg(&to, MULTIOS_REG_BACK_STATE), ==,
                     MULTIOS_BACK_RUNNING);
    g_assert_cmpuint(reg(&to, MULTIOS_REG_BACK_REASON), ==,
                     MULTIOS_REASON_COMMAND);
    g_assert_cmpuint(reg(&to, MULTIOS_REG_BACK_GENERATION), ==, 2);
    g_assert_cmpuint(reg(&to, MULTIOS_REG_IRQ_ENABLE), ==, MULTIOS_IRQ_ALL);
    g_assert_cmpuint(reg(&to, MULTIOS_REG_IRQ_STATUS), ==, MULTIOS_IRQ_RESUMED);
    g_assert_cmphex(qtest_readb(to.qts, BACK_IOAPIC), ==, 0x12);
    g_assert_cmphex(qtest_readl(to.qts, to.back_base + BACK_BUFFER), ==,
                    0x12345678);
    set_reg(&to, MULTIOS_REG_BACK_CTL, MULTIOS_CTL_RESTART);
    wait_generation(&to, 3, MULTIOS_BACK_RUNNING);
    stop(&from);
    stop(&to);

    /* one that was stopped stays so, also when the front takes over again */
    start(&from);
    front_takes_over(&from);
    wait_generation(&from, 1, MULTIOS_BACK_RUNNING);
    set_reg(&from, MULTIOS_REG_BACK_CTL, MULTIOS_CTL_STOP);
    wait_generation(&from, 1, MULTIOS_BACK_STOPPED);
    save_and_load(&from, &to, "");
    wait_generation(&to, 1, MULTIOS_BACK_STOPPED);
    qtest_outw(to.qts, PM1_EN, 0);
    g_usleep(20000);
    wait_generation(&to, 1, MULTIOS_BACK_STOPPED);
    set_reg(&to, MULTIOS_REG_BACK_CTL, MULTIOS_CTL_START);
    wait_generation(&to, 2, MULTIOS_BACK_RUNNING);
    stop(&from);
    stop(&to);
}

static void test_events(void)
{
    Machine m;
    QDict *event, *begin;

    start(&m);
    front_takes_over(&m);
    event = expect_event(&m, "running", "none", 1);
    begin = qdict_get_qdict(qdict_get_qdict(event, "data"), "start");
    g_assert_cmpint(qdict_get_int(begin, "hold-us"), >=, 0);
    g_assert_cmpint(qdict_get_int(begin, "load-us"), >=, 0);
    g_assert_cmpint(qdict_get_int(begin, "run-us"), >=, 0);
    g_assert_false(qdict_haskey(begin, "alive-ms"));
    qobject_unref(event);
    set_reg(&m, MULTIOS_REG_BACK_CTL, MULTIOS_CTL_STOP);
    qobject_unref(expect_event(&m, "stopped", "command", 1));
    g_assert_false(refused(m.qts, "back-command", "'restart'"));
    qobject_unref(expect_event(&m, "running", "command", 2));
    g_assert_true(refused(m.qts, "back-command", "'reboot'"));
    /* qtest_system_reset() would drop the event while it waits for another */
    qtest_qmp_assert_success(m.qts, "{ 'execute': 'system_reset' }");
    qobject_unref(expect_event(&m, "off", "none", 2));
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

#include "multios-test-dma.c.inc"
#include "multios-test-executing.c.inc"

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
    qtest_add_func("/multios/events", test_events);
    qtest_add_func("/multios/replace", test_replace);
    qtest_add_func("/multios/migrate", test_migrate);
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
    qtest_add_func("/multios/executing/on-crash", test_on_crash);
    qtest_add_func("/multios/executing/heartbeat", test_heartbeat);
    qtest_add_func("/multios/executing/power-down", test_power_down);
    qtest_add_func("/multios/executing/migrate", test_migrate_executing);
    qtest_add_func("/multios/executing/standby", test_standby);
    qtest_add_func("/multios/executing/standby-fails", test_standby_fails);
    qtest_add_func("/multios/executing/cannot-execute", test_cannot_execute);
    qtest_add_func("/multios/executing/ports", test_ports);
    qtest_add_func("/multios/executing/lint", test_lint);
    qtest_add_func("/multios/executing/smi", test_smi);
    qtest_add_func("/multios/executing/one-thread", test_one_thread);
    ret = g_test_run();
    unlink(kernel_path);
    unlink(firmware_path);
    g_free(kernel_path);
    g_free(firmware_path);
    return ret;
}
