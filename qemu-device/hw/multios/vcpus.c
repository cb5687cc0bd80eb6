/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multios: the back's vCPUs
 *
 * The last back-vcpus of -smp are the back's. They are held (stopped, whatever
 * the machine does) unless the back runs: neither the INIT-SIPI broadcast of
 * the front's firmware nor a stray one of the front's kernel reaches a vCPU
 * that does not execute, in TCG and in KVM's in-kernel APIC alike.
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qapi/error.h"
#include "hw/core/cpu.h"
#include "hw/i386/apic.h"
#include "hw/i386/pc.h"
#include "hw/i386/x86.h"
#include "hw/multios/compat.h"
#include "hw/multios/multios.h"
#include "hw/nvram/fw_cfg.h"
#include "hw/xen/xen.h"
#include "system/cpus.h"
#include "system/hw_accel.h"
#include "system/kvm.h"
#include "system/runstate.h"
#include "target/i386/cpu.h"
#include "trace.h"

/*
 * MTRRs on, write-back by default, as firmware sets them up. With MTRRs off,
 * KVM takes all memory for uncached when a device is passed through.
 */
#define MTRR_DEFTYPE (BIT(11) | 6)

/*
 * An MSI's destination and a local APIC's entry in the MADT have 8 bits, of
 * which all ones is everybody. (KVM's extended destinations are not used.)
 */
#define MAX_APIC_ID 254

/* Selectors of the 64-bit boot protocol: __BOOT_CS and __BOOT_DS. */
#define BOOT_CS 0x10
#define BOOT_DS 0x18

bool multios_vcpu_is_back(MultiOSState *s, CPUState *cs)
{
    return cs && cs->cpu_index >= s->first_back_cpu;
}

uint32_t multios_vcpu_apic_id(MultiOSState *s, unsigned nth)
{
    MachineState *ms = MACHINE(qdev_get_machine());

    return ms->possible_cpus->cpus[s->first_back_cpu + nth].arch_id;
}

CPUState *multios_vcpu(MultiOSState *s, unsigned nth)
{
    return qemu_get_cpu(s->first_back_cpu + nth);
}

/*
 * A triple fault, or what KVM cannot execute, in the vCPU's thread: this vCPU
 * must not go on, and what the others and the devices of the back do is settled
 * in the main loop. With one thread for all vCPUs (TCG with thread=single or
 * -icount) current_cpu may be another one, even the front's, when a machine
 * check shuts this vCPU down: that is work of the thread, not of a vCPU that
 * runs. So no cpu_stop_current().
 */
static void shutdown_back(CPUState *cs, void *opaque)
{
    MultiOSState *s = opaque;

    BQL_LOCK_GUARD();
    trace_multios_cpu_shutdown(cs->cpu_index);
    cs->held = true;
    cs->stop = true;
    cpu_exit(cs);
    multios_request(s, MULTIOS_DO_CRASH);
}

bool multios_vcpus_init(MultiOSState *s, Error **errp)
{
    MachineState *ms = MACHINE(qdev_get_machine());
    X86MachineState *x86ms = X86_MACHINE(ms);
    unsigned cpus = ms->smp.cpus;
    X86CPU *cpu;
    uint32_t last_id;

    if (!s->back_vcpus) {
        error_setg(errp, "multios: back-vcpus is 0, it must be at least 1");
        return false;
    }
    if (s->back_vcpus >= cpus) {
        error_setg(errp, "multios: back-vcpus is %u and -smp has %u vCPUs: "
                   "back-vcpus must be at most %u, the front needs at least "
                   "one of -smp", s->back_vcpus, cpus, cpus - 1);
        error_append_hint(errp, "Try -smp %u\n", s->back_vcpus + 1);
        return false;
    }
    if (ms->smp.max_cpus != cpus) {
        error_setg(errp, "multios: -smp has cpus=%u and maxcpus=%u: they must "
                   "be equal, the back's vCPUs are the last ones and CPU "
                   "hotplug would move them", cpus, ms->smp.max_cpus);
        return false;
    }
    cpu = X86_CPU(first_cpu);
    if (cpu->hyperv_features || cpu->hyperv_passthrough ||
        cpu->hyperv_spinlock_attempts != HYPERV_SPINLOCK_NEVER_NOTIFY) {
        error_setg(errp, "multios: the CPU model has Hyper-V enlightenments "
                   "(hv-*), it must have none: a machine has one set of their "
                   "MSRs, and the back's kernel would take it from the front");
        error_append_hint(errp, "Leave hv-* out of -cpu\n");
        return false;
    }
    if (xen_mode != XEN_DISABLED) {
        error_setg(errp, "multios: -accel kvm has xen-version, it must not: "
                   "a machine has one set of Xen's shared pages and event "
                   "channels, and the back's kernel would take it from the "
                   "front");
        error_append_hint(errp, "Leave xen-version out of -accel kvm\n");
        return false;
    }
    if (cpu->phys_bits && cpu->phys_bits < MULTIOS_PHYS_BITS) {
        error_setg(errp, "multios: the CPU model has %u physical address bits,"
                   " it must have at least %u: the back's PCI windows are at "
                   "384 GiB", cpu->phys_bits, MULTIOS_PHYS_BITS);
        return false;
    }

    s->first_back_cpu = cpus - s->back_vcpus;
    last_id = multios_vcpu_apic_id(s, s->back_vcpus - 1);
    if (last_id > MAX_APIC_ID) {
        error_setg(errp, "multios: the last vCPU of the back has APIC ID %u, "
                   "it must be at most %u: MSIs of the back's devices "
                   "do not reach higher ones", last_id, MAX_APIC_ID);
        error_append_hint(errp, "Use an -smp with fewer vCPUs or without gaps "
                          "in its topology\n");
        return false;
    }
    for (unsigned i = 0; i < s->back_vcpus; i++) {
        CPUState *cs = multios_vcpu(s, i);

        cs->held = true;
        cs->private = true;
        cs->shutdown_fn = shutdown_back;
        cs->shutdown_opaque = s;
    }

    /* The front's firmware waits for so many vCPUs and describes them. */
    x86ms->boot_cpus -= s->back_vcpus;
    if (x86ms->rtc) {
        x86_rtc_set_cpus_count(x86ms->rtc, x86ms->boot_cpus);
    }
    fw_cfg_modify_i16(x86ms->fw_cfg, FW_CFG_NB_CPUS, x86ms->boot_cpus);
    return true;
}

/* Machine reset: all vCPUs are stopped already, they only have to stay so. */
void multios_vcpus_held_by_reset(MultiOSState *s)
{
    for (unsigned i = 0; i < s->back_vcpus; i++) {
        multios_vcpu(s, i)->held = true;
    }
}

static void hold_work(CPUState *cs, run_on_cpu_data data)
{
    cs->held = true;
    cs->stop = false;
    cs->stopped = true;
}

/* Main loop only: run_on_cpu() waits for the vCPU's thread. */
void multios_vcpus_hold(MultiOSState *s)
{
    for (unsigned i = 0; i < s->back_vcpus; i++) {
        run_on_cpu(multios_vcpu(s, i), hold_work, RUN_ON_CPU_NULL);
    }
}

/* The state that the 64-bit boot protocol of Linux asks for. */
static void set_boot_state(MultiOSState *s, CPUX86State *env)
{
    hwaddr tables = s->back_base + MULTIOS_OFF_PAGE_TABLES;
    const unsigned code = DESC_G_MASK | DESC_L_MASK | DESC_P_MASK |
                          DESC_S_MASK | DESC_CS_MASK | DESC_R_MASK |
                          DESC_A_MASK;
    const unsigned data = DESC_G_MASK | DESC_B_MASK | DESC_P_MASK |
                          DESC_S_MASK | DESC_W_MASK | DESC_A_MASK;
    const int data_segs[] = { R_DS, R_ES, R_SS, R_FS, R_GS };

    env->efer |= MSR_EFER_LME | MSR_EFER_LMA;
    cpu_x86_update_cr4(env, CR4_PAE_MASK);
    cpu_x86_update_cr3(env, tables);
    cpu_x86_update_cr0(env, CR0_PE_MASK | CR0_PG_MASK | CR0_ET_MASK |
                       CR0_WP_MASK);
    /* Leaving real mode with LME set, update_cr0 works LMA out of hflags. */
    env->efer |= MSR_EFER_LMA;
    env->hflags |= HF_LMA_MASK;

    cpu_x86_load_seg_cache(env, R_CS, BOOT_CS, 0, 0xffffffff, code);
    for (unsigned i = 0; i < ARRAY_SIZE(data_segs); i++) {
        cpu_x86_load_seg_cache(env, data_segs[i], BOOT_DS, 0, 0xffffffff,
                               data);
    }
    env->gdt.base = tables + 0x6000;
    env->gdt.limit = 0x1f;
    env->idt.base = 0;
    env->idt.limit = 0;
    env->eip = s->boot->entry;
    env->regs[R_ESI] = s->back_base + MULTIOS_OFF_BOOT_PARAMS;
    env->eflags = 2; /* interrupts off */
}

/* In the vCPU's thread. */
void multios_vcpu_reset(MultiOSState *s, CPUState *cs)
{
    X86CPU *cpu = X86_CPU(cs);
    bool boot = cs->cpu_index == s->first_back_cpu;

    cpu_synchronize_state(cs);
    cpu_reset(cs);
    /*
     * cpu_reset() sets a running TSC to 1, so that all vCPUs of a machine that
     * is reset begin anew. Written for some vCPUs alone, 1 would be a TSC that
     * does not match the others', and KVM would take the master clock, and with
     * it the stable kvm-clock, from all of them. 0 joins the others' TSC, as a
     * hot-plugged vCPU does.
     */
    cpu->env.tsc = 0;
    /*
     * Linux 6.9 and later takes itself for a crash kernel, and uses one CPU,
     * when it boots on a CPU without this bit. Set before the APIC's reset,
     * which leaves it and makes the other vCPUs wait for a SIPI.
     */
    apic_designate_bsp(cpu->apic_state, boot);
    x86_cpu_after_reset(cpu);
}

static void reset_work(CPUState *cs, run_on_cpu_data data)
{
    MultiOSState *s = data.host_ptr;
    X86CPU *cpu = X86_CPU(cs);
    bool boot = cs->cpu_index == s->first_back_cpu;

    multios_vcpu_reset(s, cs);
    cpu->env.mtrr_deftype = MTRR_DEFTYPE;
    if (boot) {
        set_boot_state(s, &cpu->env);
        cs->halted = 0;
    }
    if (kvm_enabled()) {
        cpu->env.mp_state = boot ? KVM_MP_STATE_RUNNABLE
                                 : KVM_MP_STATE_UNINITIALIZED;
    }
    /* All of it to KVM, where it also drops an INIT that came meanwhile. */
    cpu_synchronize_post_init(cs);
}

/* Main loop only, with all of the back's vCPUs held. */
void multios_vcpus_boot(MultiOSState *s)
{
    for (unsigned i = 0; i < s->back_vcpus; i++) {
        run_on_cpu(multios_vcpu(s, i), reset_work, RUN_ON_CPU_HOST_PTR(s));
    }
}

void multios_vcpus_release(MultiOSState *s)
{
    for (unsigned i = 0; i < s->back_vcpus; i++) {
        CPUState *cs = multios_vcpu(s, i);

        cs->held = false;
        /* Otherwise vm_start() resumes it. */
        if (runstate_is_running()) {
            cpu_resume(cs);
        }
    }
}
