// SPDX-License-Identifier: GPL-2.0
/*
 * Doorbells. Receiving: an irq domain of our own on top of x86_vector_domain gives an
 * interrupt per bell; target CPU and vector are published in the own section, and again
 * whenever the interrupt moves. Sending: an IPI to what the peer has published.
 */
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/irq.h>
#include <linux/irqdomain.h>
#include <linux/slab.h>
#include <linux/smp.h>

#include <asm/apic.h>
#include <asm/hw_irq.h>
#include <asm/irqdomain.h>
#include <asm/msr.h>
#include <asm/processor.h>

#include <msr/barrier.h>
#include <msr/check.h>

#include "bell.h"
#include "kcompat.h"

struct bell_slot {
	struct mos_bell *bell;
	u64 word;		/* lock; as published in the own section */
	u64 peer_ok;		/* last word of the peer that passed the checks; racy, a cache */
	atomic64_t sent;
	atomic64_t absent;
	atomic64_t refused;
	u64 received;		/* written by its interrupt alone */
	char name[24];		/* in /proc/interrupts */
};

struct mos_bell {
	u64 *own;
	const u64 *peer;
	void (*handler)(void *arg, unsigned int n);
	void *arg;
	raw_spinlock_t lock;	/* the own words; inside an irq descriptor's lock */
	bool retracted;		/* lock */
	struct fwnode_handle *fwnode;
	struct irq_domain *domain;
	int virq;		/* first of nr */
	unsigned int nr;
	struct bell_slot slot[];
};

static void publish_word(struct mos_bell *bell, unsigned int n, u64 word)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&bell->lock, flags);
	if (!bell->retracted) {
		bell->slot[n].word = word;
		msr_store(&bell->own[n], word);
	}
	raw_spin_unlock_irqrestore(&bell->lock, flags);
}

/* Under the irq descriptor's lock, or before anybody else knows the interrupt. */
static void publish(struct irq_data *d)
{
	struct mos_bell *bell = irq_data_get_irq_chip_data(d);
	unsigned int cpu = cpumask_first(irq_data_get_effective_affinity_mask(d));
	struct irq_cfg *cfg = irqd_cfg(d);

	if (!cfg || cpu >= nr_cpu_ids)
		return;
	/* not cfg->dest_apicid: in flat mode that is a logical mask */
	publish_word(bell, irqd_to_hwirq(d), MSR_BELL_VALID | cfg->vector |
		     (u64)per_cpu(x86_cpu_to_apicid, cpu) << MSR_BELL_APIC_SHIFT);
}

static int bell_set_affinity(struct irq_data *d, const struct cpumask *mask, bool force)
{
	struct irq_data *parent = d->parent_data;
	int err = parent->chip->irq_set_affinity(parent, mask, force);

	/* the old vector stays valid until the first interrupt on the new one */
	if (err >= 0)
		publish(d);
	return err;
}

static struct irq_chip bell_chip = {
	.name			= "multios-bell",
	.irq_ack		= irq_chip_ack_parent,
	.irq_set_affinity	= bell_set_affinity,
	.irq_retrigger		= irq_chip_retrigger_hierarchy,
};

static int domain_alloc(struct irq_domain *domain, unsigned int virq, unsigned int nr, void *info)
{
	unsigned int i;
	int err;

	err = irq_domain_alloc_irqs_parent(domain, virq, nr, info);
	if (err < 0)
		return err;
	for (i = 0; i < nr; i++) {
		irq_domain_set_info(domain, virq + i, i, &bell_chip, domain->host_data,
				    handle_edge_irq, NULL, NULL);
		mos_irq_move_in_process_context(virq + i);
	}
	return 0;
}

static int domain_activate(struct irq_domain *domain, struct irq_data *d, bool reserve)
{
	if (!reserve)
		publish(d);
	return 0;
}

static void domain_deactivate(struct irq_domain *domain, struct irq_data *d)
{
	publish_word(irq_data_get_irq_chip_data(d), irqd_to_hwirq(d), 0);
}

static const struct irq_domain_ops bell_domain_ops = {
	.alloc		= domain_alloc,
	.free		= irq_domain_free_irqs_common,
	.activate	= domain_activate,
	.deactivate	= domain_deactivate,
};

static irqreturn_t bell_interrupt(int irq, void *data)
{
	struct bell_slot *slot = data;

	WRITE_ONCE(slot->received, slot->received + 1);
	slot->bell->handler(slot->bell->arg, slot - slot->bell->slot);
	return IRQ_HANDLED;
}

/* Returns false if the word, which a faulty peer may have made up, would interrupt this OS. */
static bool target_ok(u64 word)
{
	u32 apicid = (word & MSR_BELL_APIC_MASK) >> MSR_BELL_APIC_SHIFT;
	unsigned int cpu;

	/* not the kernel's own vectors: one of them (0xff) would block that CPU for good */
	if (!msr_check_bell(word) || (word & MSR_BELL_VECTOR_MASK) >= LOCAL_TIMER_VECTOR)
		return false;
	/* the highest id is "all CPUs", of both systems */
	if (x2apic_mode ? apicid == U32_MAX : apicid >= 0xff)
		return false;
	for_each_possible_cpu(cpu)
		if (per_cpu(x86_cpu_to_apicid, cpu) == apicid)
			return false;
	return true;
}

static void send_ipi(u64 word)
{
	u32 apicid = (word & MSR_BELL_APIC_MASK) >> MSR_BELL_APIC_SHIFT;
	u32 icr = APIC_DM_FIXED | APIC_DEST_PHYSICAL | (word & MSR_BELL_VECTOR_MASK);
	unsigned long flags;

	if (x2apic_mode) {
		/* The MSR write orders nothing: make stores before the bell visible first. */
		weak_wrmsr_fence();
		wrmsrq(APIC_BASE_MSR + (APIC_ICR >> 4), (u64)apicid << 32 | icr);
		return;
	}
	/* The two writes stay together: an IPI of the kernel in between would take our target. */
	local_irq_save(flags);
	while (native_apic_mem_read(APIC_ICR) & APIC_ICR_BUSY)
		cpu_relax();
	native_apic_mem_write(APIC_ICR2, SET_XAPIC_DEST_FIELD(apicid));
	native_apic_mem_write(APIC_ICR, icr);
	local_irq_restore(flags);
}

void mos_bell_ring(struct mos_bell *bell, unsigned int n)
{
	struct bell_slot *slot = &bell->slot[n];
	u64 word = msr_load(&bell->peer[n]);

	if (!word) {
		atomic64_inc(&slot->absent);
		return;
	}
	if (word != READ_ONCE(slot->peer_ok)) {
		if (!target_ok(word)) {
			atomic64_inc(&slot->refused);
			return;
		}
		WRITE_ONCE(slot->peer_ok, word);
	}
	send_ipi(word);
	atomic64_inc(&slot->sent);
}

void mos_bell_get_stats(const struct mos_bell *bell, unsigned int n, struct mos_bell_stats *stats)
{
	const struct bell_slot *slot = &bell->slot[n];

	stats->sent = atomic64_read(&slot->sent);
	stats->received = READ_ONCE(slot->received);
	stats->absent = atomic64_read(&slot->absent);
	stats->refused = atomic64_read(&slot->refused);
}

/* irq_domain_free_irqs() is not exported; this comes down to it, one by one */
static void dispose(struct mos_bell *bell)
{
	unsigned int i;

	for (i = 0; i < bell->nr; i++)
		irq_dispose_mapping(bell->virq + i);
}

struct mos_bell *mos_bell_create(const char *name, u64 *own, const u64 *peer, unsigned int nr,
				 void (*handler)(void *arg, unsigned int n), void *arg)
{
	struct irq_alloc_info info;
	struct mos_bell *bell;
	unsigned int i;
	int err;

	bell = kzalloc(struct_size(bell, slot, nr), GFP_KERNEL);
	if (!bell)
		return ERR_PTR(-ENOMEM);
	raw_spin_lock_init(&bell->lock);
	bell->own = own;
	bell->peer = peer;
	bell->nr = nr;
	bell->handler = handler;
	bell->arg = arg;
	bell->fwnode = irq_domain_alloc_named_fwnode(name);
	if (!bell->fwnode) {
		err = -ENOMEM;
		goto err_free;
	}
	bell->domain = irq_domain_create_hierarchy(x86_vector_domain, 0, nr, bell->fwnode,
						   &bell_domain_ops, bell);
	if (!bell->domain) {
		err = -ENOMEM;
		goto err_fwnode;
	}
	/* init_irq_alloc_info() is not exported */
	memset(&info, 0, sizeof(info));
	info.type = X86_IRQ_ALLOC_TYPE_PCI_MSI;
	bell->virq = irq_domain_alloc_irqs(bell->domain, nr, NUMA_NO_NODE, &info);
	if (bell->virq < 0) {
		err = bell->virq;
		goto err_domain;
	}
	for (i = 0; i < nr; i++) {
		struct bell_slot *slot = &bell->slot[i];

		slot->bell = bell;
		snprintf(slot->name, sizeof(slot->name), "%s-bell%u", name, i);
		err = request_irq(bell->virq + i, bell_interrupt, 0, slot->name, slot);
		if (err)
			goto err_irqs;
	}
	return bell;

err_irqs:
	mos_bell_retract(bell);
	while (i--)
		free_irq(bell->virq + i, &bell->slot[i]);
	dispose(bell);
err_domain:
	irq_domain_remove(bell->domain);
err_fwnode:
	irq_domain_free_fwnode(bell->fwnode);
err_free:
	kfree(bell);
	return ERR_PTR(err);
}

void mos_bell_retract(struct mos_bell *bell)
{
	unsigned long flags;
	unsigned int i;

	raw_spin_lock_irqsave(&bell->lock, flags);
	bell->retracted = true;
	for (i = 0; i < bell->nr; i++) {
		bell->slot[i].word = 0;
		msr_store(&bell->own[i], 0);
	}
	raw_spin_unlock_irqrestore(&bell->lock, flags);
}

void mos_bell_restore(struct mos_bell *bell)
{
	unsigned long flags;
	unsigned int i;

	raw_spin_lock_irqsave(&bell->lock, flags);
	for (i = 0; i < bell->nr; i++)
		if (msr_load(&bell->own[i]) != bell->slot[i].word)
			msr_store(&bell->own[i], bell->slot[i].word);
	raw_spin_unlock_irqrestore(&bell->lock, flags);
}

void mos_bell_destroy(struct mos_bell *bell)
{
	unsigned int i;

	mos_bell_retract(bell);
	for (i = 0; i < bell->nr; i++)
		free_irq(bell->virq + i, &bell->slot[i]);
	dispose(bell);
	irq_domain_remove(bell->domain);
	irq_domain_free_fwnode(bell->fwnode);
	kfree(bell);
}
