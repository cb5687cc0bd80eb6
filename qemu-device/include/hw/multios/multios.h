/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multios: a second operating system in the same machine
 *
 * QEMU interface:
 *  + PCI function 1af4:10f1 on q35's pcie.0 (the front OS's view), see
 *    MULTIOS_REG_*; one MSI-X vector in BAR 1
 *  + PCIe root bus "<id>.pcie" for the devices of the back OS
 *  + a page of registers, a UART and an IOAPIC for the back OS at fixed
 *    addresses, see MULTIOS_*_BASE
 *  + properties: back-vcpus, back-mem, shared-mem, back-console, mac,
 *    back-on-crash, back-heartbeat, back-dump-limit, back-shutdown-limit,
 *    back-standby; both there and at run time back-kernel, back-initrd,
 *    back-append; at run time back-boot, back-run, back-command and, read only,
 *    back-state, back-reason, back-generation, back-restart-delay,
 *    back-standby-ready
 *  + event MULTIOS_BACK_STATE
 *  + migration sections "<path>/multios" and "<path>/multios-machine"
 *
 * The user's side of all this is qemu-device/SPEC.md.
 */

#ifndef HW_MULTIOS_H
#define HW_MULTIOS_H

#include "qemu/units.h"
#include "hw/pci/pci_device.h"
#include "hw/core/cpu.h"
#include "qemu/event_notifier.h"
#include "qemu/timer.h"
#include "net/net.h"
#include "qapi/qapi-types-multios.h"
#include "qom/object.h"
#include "standard-headers/multios/regs.h"

#define TYPE_MULTIOS "multios"
OBJECT_DECLARE_SIMPLE_TYPE(MultiOSState, MULTIOS)

/* Property back-on-crash */
typedef enum {
    MULTIOS_ON_CRASH_RESTART,
    MULTIOS_ON_CRASH_STOP,
    MULTIOS_ON_CRASH_PAUSE,
    MULTIOS_ON_CRASH__MAX,
} MultiOSOnCrash;

/* ms */
#define MULTIOS_HEARTBEAT_MIN   50
#define MULTIOS_HEARTBEAT_MAX   60000

/*
 * The back's MMIO. 0xfef00000-0xfeffbfff is free on q35: beneath are the
 * IOAPIC, HPET, TPM, RCBA, the IOMMUs and the local APIC with its MSI window,
 * above are KVM's identity map and TSS.
 */
#define MULTIOS_PAGE_BASE       0xfef10000ULL
#define MULTIOS_PAGE_SIZE       0x1000
#define MULTIOS_UART_BASE       0xfef11000ULL
#define MULTIOS_PANIC_BASE      0xfef12000ULL
#define MULTIOS_IOAPIC_BASE     0xfef20000ULL

/*
 * The back's PCI windows. The front's firmware allocates 32-bit BARs beneath
 * the IOAPIC, and flash is at most 8 MiB beneath 4 GiB. The 64-bit part, ECAM
 * and then a window, is above the front's 64-bit hole and beneath the upper
 * eighth of the address space (where SeaBIOS and OVMF place large BARs): at
 * 384 GiB, which is within 39 bits because many client CPUs that KVM runs on
 * have no more, or higher if the front needs the room. See segments.c.
 */
#define MULTIOS_MM32_BASE       0xff000000ULL
#define MULTIOS_MM32_SIZE       (8 * MiB)
#define MULTIOS_PCI_LOWEST      (384 * GiB)
#define MULTIOS_PCI_SPACE       (64 * GiB)
#define MULTIOS_BUSES           16
#define MULTIOS_ECAM_SIZE       (MULTIOS_BUSES * 1 * MiB)
#define MULTIOS_MM64_OFFSET     (1 * GiB)
#define MULTIOS_MM64_SIZE       (32 * GiB)
#define MULTIOS_PHYS_BITS       39
#define MULTIOS_PCI_SEGMENT     1

/*
 * Memory below 1 MiB that the back gets for the real-mode trampoline which
 * starts its second vCPU. No firmware or boot loader needs this range.
 */
#define MULTIOS_LOW_BASE        0x70000
#define MULTIOS_LOW_SIZE        0x10000

/* Layout of the back's segment, offsets from its base. */
#define MULTIOS_OFF_BOOT_PARAMS 0x00000 /* one page */
#define MULTIOS_OFF_PAGE_TABLES 0x01000 /* MULTIOS_PAGE_TABLES_SIZE */
#define MULTIOS_PAGE_TABLES_SIZE 0x7000
#define MULTIOS_OFF_CMDLINE     0x08000 /* to 0x10000 */
#define MULTIOS_CMDLINE_SPACE   0x08000
#define MULTIOS_OFF_ACPI        0x10000
#define MULTIOS_ACPI_SPACE      0x10000
#define MULTIOS_OFF_FREE        0x20000
#define MULTIOS_OFF_KERNEL      0x200000 /* at least; then kernel_alignment */

#define MULTIOS_SEGMENT_ALIGN   (2 * MiB)

/* A range of I/O ports that the back does not see, see views.c. */
typedef struct MultiOSPortView {
    MultiOSState *s;
    MemoryRegion mr;
    unsigned base;
    unsigned len;
    MemoryRegion **under; /* per port: what the front's access reaches */
    hwaddr *under_offset;
} MultiOSPortView;

/* Bytes that boot.c writes into the back's segment at each start. */
typedef struct MultiOSBlob {
    hwaddr addr;
    gsize len;
    const void *data;
    void *buffer; /* which holds data */
} MultiOSBlob;

/* Kernel, initrd and command line of the next starts */
typedef struct MultiOSBoot {
    MultiOSBackBoot *names; /* initrd, append: NULL or empty is none */
    unsigned nth;  /* no two have the same */
    GArray *blobs; /* of MultiOSBlob */
    uint64_t entry;
} MultiOSBoot;

typedef struct MultiOSCheckpoint MultiOSCheckpoint;

/* A thread in the eyes of the host's scheduler. In ns */
typedef struct MultiOSSched {
    int thread;
    bool back; /* a vCPU of the back */
    int fd; /* of schedstat; -1: the host has none */
    int64_t at; /* when this was read; 0: not yet */
    uint64_t ran;
    uint64_t waited; /* for a CPU */
} MultiOSSched;

/* The machine's shape: the destination of a migration must have the same. */
typedef struct MultiOSShape {
    uint32_t front_vcpus;
    uint32_t back_vcpus;
    uint64_t back_base;
    uint64_t back_mem;
    uint64_t shared_base;
    uint64_t shared_mem;
    uint64_t pci_base;
    uint8_t mac[6];
} MultiOSShape;

#define MULTIOS_DMA_WINDOWS 5

struct MultiOSState {
    PCIDevice parent_obj;

    /* properties */
    MultiOSBackBoot boot_names; /* until realize, then see boot */
    char *back_console;
    char *mac_str;
    char *on_crash_str;
    uint32_t heartbeat_ms; /* 0: off */
    uint32_t dump_limit;   /* s; 0: none */
    uint32_t shutdown_limit; /* s; 0: none */
    bool standby;
    uint32_t back_vcpus;
    uint64_t back_mem;   /* bytes */
    uint64_t shared_mem; /* bytes */

    /* fixed from realize on */
    MACAddr mac;
    MultiOSOnCrash on_crash;
    unsigned first_back_cpu; /* index; the back's are this one to the last */
    uint64_t back_base;
    uint64_t shared_base;
    uint64_t pci_base; /* ECAM, and MULTIOS_MM64_OFFSET higher the window */
    uint64_t tsc_khz; /* 0: not known */
    Notifier machine_done;

    /* boot.c */
    MultiOSBoot *boot;

    /* checkpoint.c, protected by the BQL */
    MultiOSCheckpoint *checkpoint; /* NULL: none */
    unsigned started_boot;   /* nth of the boot that runs */
    bool checkpoint_busy;    /* the back waits for one to be taken */
    uint32_t checkpoint_refused; /* the start whose state was not kept */

    /* life cycle, protected by the BQL */
    enum multios_back_state state;
    enum multios_back_reason reason;
    uint32_t generation;
    MultiOSBackStart start;  /* the last one, its phases */
    bool front_took_over; /* since the last machine reset */
    EventNotifier requested;
    uint32_t pending; /* MULTIOS_DO_*, atomic: set by vCPU threads */
    uint32_t irq_status;
    uint32_t irq_enable;
    uint32_t uplink;         /* as the back said last */
    int64_t started_at;      /* ms of the virtual clock */
    int64_t restart_gap;     /* ms from a start to the next by RESET */
    QEMUTimer restart_timer;
    bool restart_waits;      /* for the timer */
    QEMUTimer power_down_timer;
    bool power_down;         /* the back is asked to shut down */
    int64_t start_again;     /* see note_start() */

    /* migration.c, protected by the BQL */
    bool changing;           /* by multios_make_changes(), in thread changer */
    QemuThread changer;
    QemuCond unchanging;
    bool loaded;             /* a saved state; the machine does not run yet */
    uint8_t *held;           /* for each back vCPU; in the stream */
    MultiOSShape shape;      /* in the stream */

    /* heartbeat.c, protected by the BQL */
    QEMUTimer heartbeat_timer;
    int64_t beat_due;        /* ms of the virtual clock */
    GArray *sched;           /* of MultiOSSched: vCPUs and main loop */
    bool crash_kernel;       /* one is loaded, as the last write said */
    bool dumps;              /* crashed, vCPUs go on: it may be dumping */

    /* front's view */
    MemoryRegion bar;

    /* back's view */
    BusState *sysbus;
    DeviceState *pcihost;
    PCIBus *bus;
    MemoryRegion ecam, mm32, mm64;
    AddressSpace dma_as; /* of the devices on the bus */
    MemoryRegion dma, dma_window[MULTIOS_DMA_WINDOWS];
    MemoryRegion page;
    MemoryRegion panic;
    MemoryRegion ioapic;
    uint8_t ioapic_select;
    uint32_t ioapic_reg[0x40];
    uint8_t cmos_index;

    MemoryRegion takeover; /* the front's PM1_EN register, see takeover.c */
    GArray *port_views;    /* of MultiOSPortView * */
};

/* Requests to multios.c, in the order in which they are met. */
enum {
    /*
     * by vCPUs of the back, or because of them: holding the vCPUs drops those
     * that are still pending
     */
    MULTIOS_DO_CRASH    = 1 << 0, /* a vCPU has shut down */
    MULTIOS_DO_PANIC    = 1 << 1, /* the back says so */
    MULTIOS_DO_RESET    = 1 << 2,
    MULTIOS_DO_POWEROFF = 1 << 3,
    MULTIOS_DO_KDUMP    = 1 << 9,  /* with PANIC: a crash kernel runs next */
    MULTIOS_DO_HUNG     = 1 << 10, /* the heartbeat's timer: no write came */
    MULTIOS_DO_ALIVE    = 1 << 11, /* a heartbeat, of a crashed back */
    MULTIOS_DO_CHECKPOINT = 1 << 13, /* take a standby state now */
    MULTIOS_DO_BY_BACK  = MULTIOS_DO_CRASH | MULTIOS_DO_PANIC |
                          MULTIOS_DO_KDUMP | MULTIOS_DO_HUNG |
                          MULTIOS_DO_ALIVE | MULTIOS_DO_CHECKPOINT |
                          MULTIOS_DO_RESET | MULTIOS_DO_POWEROFF,
    /* by the front and by management */
    MULTIOS_DO_STOP     = 1 << 4,
    MULTIOS_DO_RESTART  = 1 << 5,
    MULTIOS_DO_START    = 1 << 6,
    MULTIOS_DO_TAKEOVER = 1 << 7, /* the front OS is up: first start */
    MULTIOS_DO_POWER_DOWN = 1 << 12, /* ask it to shut down */
    MULTIOS_DO_COMMANDS = MULTIOS_DO_STOP | MULTIOS_DO_RESTART |
                          MULTIOS_DO_START | MULTIOS_DO_POWER_DOWN,
    /* by the timer */
    MULTIOS_DO_AGAIN    = 1 << 8, /* the back reset itself a while ago */
};

/* request.c: changes of the back's state, asked for from any thread */
void multios_request(MultiOSState *s, unsigned what);

/* multios.c: carries requests out; main loop only, not nested */
void multios_make_changes(MultiOSState *s);
/* Sets IRQ_STATUS and IRQ_ENABLE, and sends the front's interrupt if due. */
void multios_update_irq(MultiOSState *s, uint32_t status, uint32_t enable);

/* properties.c */
void multios_properties_add(ObjectClass *klass);

/* event.c: QMP's event */
void multios_event(MultiOSState *s);

/* migration.c: state of the device in a stream */
extern const VMStateDescription vmstate_multios;
bool multios_migration_init(MultiOSState *s, Error **errp);
bool multios_migration_freezes(void);
void multios_migration_change(MultiOSState *s, bool begins);

/* heartbeat.c: whether the back's kernel is alive */
bool multios_heartbeat_init(MultiOSState *s, Error **errp);
void multios_heartbeat_watch(MultiOSState *s);
void multios_heartbeat_loaded(MultiOSState *s);
void multios_heartbeat(MultiOSState *s, uint64_t val);
void multios_heartbeat_stop(MultiOSState *s);
void multios_heartbeat_dump(MultiOSState *s);
/* After a start from the standby state: expects the first HEARTBEAT in time. */
void multios_heartbeat_await(MultiOSState *s);
bool multios_heartbeat_expected(MultiOSState *s);

/* segments.c: where the back and the shared segment are */
bool multios_segments_init(MultiOSState *s, Error **errp);
void multios_segments_end_ram(MultiOSState *s);

/*
 * boot.c: what the back's first vCPU finds in memory. multios_boot_set(), main
 * loop only, reads the files of the next starts. Returns false if they cannot
 * be used: the former ones stay.
 */
bool multios_boot_set(MultiOSState *s, const MultiOSBackBoot *names,
                      Error **errp);
void multios_boot_load(MultiOSState *s);

/*
 * checkpoint.c: a state of the back to start it from, of the present kernel,
 * initrd and command line; main loop. With vCPUs held and devices reset,
 * multios_checkpoint_restore() returns false if there is none.
 */
bool multios_checkpoint_wanted(MultiOSState *s);
void multios_checkpoint_take(MultiOSState *s);
bool multios_checkpoint_restore(MultiOSState *s);
void multios_checkpoint_drop(MultiOSState *s);

/* acpi.c: the back's tables */
GArray *multios_acpi_build(MultiOSState *s, hwaddr base);

/* bus.c: the back's PCIe root */
bool multios_bus_init(MultiOSState *s, Error **errp);
bool multios_bus_check(MultiOSState *s, Error **errp);
void multios_bus_reset(MultiOSState *s);
void multios_bus_class_init(ObjectClass *klass);

static inline hwaddr multios_mm64_base(MultiOSState *s)
{
    return s->pci_base + MULTIOS_MM64_OFFSET;
}

/* page.c: the back's control page, UART, panic register and IOAPIC */
bool multios_page_init(MultiOSState *s, Error **errp);
void multios_page_reset(MultiOSState *s);
/* A register that the front's BAR has, too. Returns false if @addr is none. */
bool multios_ro_register(MultiOSState *s, hwaddr addr, uint64_t *val);

/* Of regions over those of a PC's own devices. */
#define MULTIOS_VIEW_PRIORITY 1000

/* views.c: who sees which I/O ports */
void multios_views_init(MultiOSState *s);

/* takeover.c: the front OS's power management registers */
bool multios_takeover_init(MultiOSState *s, Error **errp);
/* After multios_takeover_init() has found them. */
void multios_hide_s3(void);

/* vcpus.c: which vCPUs are the back's and what they do */
bool multios_vcpus_init(MultiOSState *s, Error **errp);
bool multios_vcpu_is_back(MultiOSState *s, CPUState *cs);
uint32_t multios_vcpu_apic_id(MultiOSState *s, unsigned nth);
void multios_vcpus_held_by_reset(MultiOSState *s);
void multios_vcpus_hold(MultiOSState *s);
/* Resets them for a boot; they stay held. */
void multios_vcpus_boot(MultiOSState *s);
void multios_vcpu_reset(MultiOSState *s, CPUState *cs);
void multios_vcpus_release(MultiOSState *s);
CPUState *multios_vcpu(MultiOSState *s, unsigned nth);

#endif
