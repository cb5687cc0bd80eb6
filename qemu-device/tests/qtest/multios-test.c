/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multios: registers, segments, start and stop, without a guest
 *
 * qtest vCPUs execute nothing, so a "kernel" needs a valid header only.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "standard-headers/linux/qemu_fw_cfg.h"
#include "libqtest.h"
#include "libqos/fw_cfg.h"
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
#define BACK_ECAM       0x6000000000ULL

#define LPC_DEVFN       QPCI_DEVFN(0x1f, 0)
#define LPC_PMBASE      0x40
#define LPC_ACPI_CTRL   0x44
#define PMBASE          0x600
#define PM1_EN          (PMBASE + 2)

static char *kernel_path;

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

/* The smallest file that passes for a kernel: header and one sector of code */
static void make_kernel(void)
{
    uint8_t img[0x600] = { 0 };
    GError *err = NULL;
    int fd = g_file_open_tmp("multios-test-XXXXXX", &kernel_path, &err);

    g_assert_no_error(err);
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
    g_assert_cmpint(write(fd, img, sizeof(img)), ==, sizeof(img));
    close(fd);
}

static void start(Machine *m)
{
    m->qts = qtest_initf("-machine q35 -nodefaults -m 512M -smp 3 -device "
                         "multios,id=mos0,addr=%x,back-kernel=%s,back-vcpus=2,"
                         "back-mem=128M,shared-mem=16M,mac=52:54:00:01:02:03,"
                         "back-append=hello", SLOT, kernel_path);
    m->bus = qpci_new_pc(m->qts, NULL);
    m->dev = qpci_device_find(m->bus, QPCI_DEVFN(SLOT, 0));
    g_assert_nonnull(m->dev);
    qpci_device_enable(m->dev);
    m->bar = qpci_iomap(m->dev, 0, NULL);
    m->back_base = qpci_io_readq(m->dev, m->bar, REG_SHM_BASE) - BACK_MEM;
}

static void stop(Machine *m)
{
    g_free(m->dev);
    qpci_free_pc(m->bus);
    qtest_quit(m->qts);
}

static void wait_generation(Machine *m, uint32_t generation, uint32_t state)
{
    gint64 end = g_get_monotonic_time() + 10 * G_TIME_SPAN_SECOND;

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
    /* the host bridge of the back's bus */
    g_assert_cmphex(qtest_readl(m.qts, BACK_ECAM), ==, 0x00081b36);

    /* RESET and POWEROFF act for vCPUs of the back only, which this is not */
    front_takes_over(&m);
    wait_generation(&m, 1, 1);
    qtest_writel(m.qts, BACK_PAGE + 0x40, 1);
    qtest_writeb(m.qts, BACK_PAGE + 0x44, 0x20 | 5 << 2);
    qtest_writeb(m.qts, BACK_PAGE + 0x2000, 1);
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
    g_assert_true(g_str_has_prefix(cmdline, "hello no_ipi_broadcast=1"));
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

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    make_kernel();
    qtest_add_func("/multios/defaults", test_defaults);
    qtest_add_func("/multios/bad-offsets", test_bad_offsets);
    qtest_add_func("/multios/memory-map", test_memory_map);
    qtest_add_func("/multios/back-page", test_back_page);
    qtest_add_func("/multios/boot", test_boot);
    qtest_add_func("/multios/life-cycle", test_life_cycle);
    qtest_add_func("/multios/reset", test_reset);
    qtest_add_func("/multios/properties", test_properties);
    ret = g_test_run();
    unlink(kernel_path);
    g_free(kernel_path);
    return ret;
}
