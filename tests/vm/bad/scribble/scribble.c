// SPDX-License-Identifier: GPL-2.0
/*
 * A hostile neighbour for tests: writes garbage of a chosen kind into one section of the shared
 * segment, behind the back of the module that owns that section. Loading it does the deed; what the
 * other OS makes of it is the test.
 */
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/sched/signal.h>
#include <linux/string.h>

#include <asm/apic.h>
#include <asm/msr.h>

#include <msr/wire.h>

static ulong base;
module_param(base, ulong, 0444);
MODULE_PARM_DESC(base, "physical address of the segment (default: what the multios PCI function says)");
static ulong size;
module_param(size, ulong, 0444);
MODULE_PARM_DESC(size, "bytes of the segment");
static char *side = "back";
module_param(side, charp, 0444);
MODULE_PARM_DESC(side, "whose section: front or back");
static char *kind = "";
module_param(kind, charp, 0444);
MODULE_PARM_DESC(kind, "show, version, identity, table, link, restart, bells, index, jump, desc, plausible, payload or all");
static uint count = 200;
module_param(count, uint, 0444);
MODULE_PARM_DESC(count, "how often");
static uint pause_us = 500;
module_param(pause_us, uint, 0444);
MODULE_PARM_DESC(pause_us, "microseconds between two strokes");
static ulong seed = 1;
module_param(seed, ulong, 0444);
MODULE_PARM_DESC(seed, "of the random numbers");

static struct rnd_state rnd;

static u32 r32(void)
{
	return prandom_u32_state(&rnd);
}

/* Garbage with a taste for limits. */
static u32 nasty(void)
{
	static const u32 edge[] = { 0,	    1,	     0xffffffff, 0x80000000, 0x7fffffff,
				    0xffff, 0x10000, 4096,	 65536 };

	return r32() & 1 ? edge[r32() % ARRAY_SIZE(edge)] + (r32() % 3) - 1 : r32();
}

static void find_segment(void)
{
	struct pci_dev *pdev = pci_get_device(0x1af4, 0x10f1, NULL);
	void __iomem *reg;

	if (!pdev)
		return;
	reg = pci_iomap(pdev, 0, 4096);
	if (reg) {
		base = readl(reg + 0x08) | (u64)readl(reg + 0x0c) << 32;
		size = readl(reg + 0x10) | (u64)readl(reg + 0x14) << 32;
		pci_iounmap(pdev, reg);
	}
	pci_dev_put(pdev);
}

struct victim {
	struct msr_section *s, *other;
	u32 len;
	u32 index;	/* of the queue that this stroke is about */
	struct msr_prod *prod;
	struct msr_cons *cons;
	struct msr_desc *ring;
	u32 slots, data_len;
	u8 *data;
};

/* The table is our own OS's, but an earlier stroke may have spoilt it. */
static bool pick_queue(struct victim *v)
{
	u32 nr = min_t(u32, READ_ONCE(v->s->nr_queues), MSR_MAX_QUEUES);
	struct msr_queue_info q;

	if (!nr)
		return false;
	v->index = r32() % nr;
	q = v->s->queue[v->index];
	if (q.ring_log2 > MSR_MAX_RING_LOG2 || q.data_log2 > MSR_MAX_DATA_LOG2 ||
	    q.prod_off > v->len - sizeof(*v->prod) || q.cons_off > v->len - sizeof(*v->cons) ||
	    q.ring_off > v->len - (32u << q.ring_log2) || q.data_off > v->len - (1u << q.data_log2))
		return false;
	v->prod = (void *)v->s + q.prod_off;
	v->cons = (void *)v->s + q.cons_off;
	v->ring = (void *)v->s + q.ring_off;
	v->slots = 1u << q.ring_log2;
	v->data = (void *)v->s + q.data_off;
	v->data_len = 1u << q.data_log2;
	return true;
}

static void random_desc(struct victim *v, bool plausible)
{
	struct msr_desc *d = &v->ring[READ_ONCE(v->prod->idx) & (v->slots - 1)];
	struct msr_desc n;
	u32 i;

	for (i = 0; i < sizeof(n) / 4; i++)
		((u32 *)&n)[i] = nasty();
	if (plausible) {
		n.type = v->s->queue[v->index].channel == MSR_CHAN_ETH ? MSR_DESC_FRAME
								       : MSR_DESC_BURST;
		n.flags &= r32() & 3 ? MSR_FRAME_FLAGS : 0xff;
		n.len = r32() & 3 ? r32() % 9000 : nasty();
		n.off = (r32() % v->data_len) & ~63u;
		n.reserved = 0;
		n.hdr_len = r32() % 300;
		if (n.type == MSR_DESC_FRAME) {
			n.frame.gso_type = r32() & 1 ? 0 : r32() % 5;
			n.frame.gso_size = n.frame.gso_type ? r32() % 3000 : 0;
			n.frame.reserved0 = 0;
			n.frame.reserved1 = 0;
			/*
			 * now and then behind what the victim keeps linear; half of the time as TCP
			 * or UDP have it
			 */
			n.frame.csum_start = r32() % (r32() & 7 ? 200 : 2000);
			n.frame.csum_offset = r32() & 1				? r32() % 40
					      : n.frame.gso_type == MSR_GSO_UDP ? 6
										: 16;
		} else {
			n.burst.nseg = r32() & 1 ? 1 : r32() % 300;
			n.burst.seg_len = 256u << (r32() % 5);
			n.burst.ext_first = (r32() % 10) * 4;
			n.burst.ext_last = (r32() % 10) * 4;
			n.burst.reserved[0] = 0;
			n.burst.reserved[1] = 0;
		}
	}
	*d = n;
	smp_store_release(&v->prod->idx, v->prod->idx + 1);
}

/* To the victim's link bell. */
static void ring(struct victim *v)
{
	u64 word = READ_ONCE(v->other->bell[MSR_BELL_LINK]);
	u32 apicid = (word & MSR_BELL_APIC_MASK) >> MSR_BELL_APIC_SHIFT;
	u32 icr = APIC_DM_FIXED | APIC_DEST_PHYSICAL | (word & MSR_BELL_VECTOR_MASK);
	unsigned long flags;

	if (!word)
		return;
	mb();
	if (x2apic_mode) {
		wrmsrl(APIC_BASE_MSR + (APIC_ICR >> 4), (u64)apicid << 32 | icr);
		return;
	}
	local_irq_save(flags);
	native_apic_mem_write(APIC_ICR2, SET_XAPIC_DEST_FIELD(apicid));
	native_apic_mem_write(APIC_ICR, icr);
	local_irq_restore(flags);
}

/* A peer that starts over, by the rules, as soon as the link is up. */
static void restart(struct victim *v)
{
	u32 epoch = r32() | 1;
	int ms;

	/* the victim's own identity and queues, in our role, are good ones */
	memcpy(v->s, v->other, offsetof(struct msr_section, epoch));
	memcpy(v->s->queue, v->other->queue, sizeof(v->s->queue));
	v->s->role = MSR_ROLE_FRONT + MSR_ROLE_BACK - v->other->role;
	WRITE_ONCE(v->s->peer_epoch, 0);
	smp_store_release(&v->s->epoch, epoch);
	ring(v);
	for (ms = 0; ms < 3000 && smp_load_acquire(&v->other->peer_epoch) != epoch; ms++)
		usleep_range(1000, 1100);
	smp_store_release(&v->s->peer_epoch, READ_ONCE(v->other->epoch));
	ring(v);
	msleep(20);
}

static void stroke(struct victim *v)
{
	struct msr_section *s = v->s;
	u32 i;

	if (!strcmp(kind, "version")) {
		s->magic = MSR_MAGIC;
		s->version = MSR_VERSION + 1;
		s->role = !strcmp(side, "front") ? MSR_ROLE_FRONT : MSR_ROLE_BACK;
		s->segment_size = size;
		s->peer_epoch = 0;
		smp_store_release(&s->epoch, 1 + r32() % 1000);
	} else if (!strcmp(kind, "identity")) {
		((u32 *)s)[r32() % 16] = nasty();
		if (!s->epoch)
			smp_store_release(&s->epoch, r32() | 1);
	} else if (!strcmp(kind, "table")) {
		((u32 *)&s->queue[r32() % 4])[r32() % 16] = nasty();
		smp_store_release(&s->epoch, r32() | 1);
	} else if (!strcmp(kind, "link")) {
		WRITE_ONCE(s->epoch, nasty());
		WRITE_ONCE(s->peer_epoch, nasty());
		if (r32() & 1)
			WRITE_ONCE(s->broken, nasty());
	} else if (!strcmp(kind, "restart")) {
		restart(v);
	} else if (!strcmp(kind, "bells")) {
		for (i = 0; i < MSR_MAX_BELLS; i++)
			WRITE_ONCE(s->bell[i], (u64)nasty() << 32 | nasty());
		/* well-formed ones too: any vector at any processor, the victim's own included */
		WRITE_ONCE(s->bell[r32() % 4],
			   MSR_BELL_VALID | (r32() % 4) << MSR_BELL_APIC_SHIFT | (r32() & 0xff));
	} else if (!strcmp(kind, "payload") && pick_queue(v)) {
		for (i = 0; i < 256; i++)
			v->data[r32() % v->data_len] = r32();
	} else if (!strcmp(kind, "all")) {
		prandom_bytes_state(&rnd, (u8 *)s + (r32() % (v->len / 4096)) * 4096, 4096);
		prandom_bytes_state(&rnd, s, sizeof(*s));
	} else if (!pick_queue(v)) {
		return;
	} else if (!strcmp(kind, "index")) {
		WRITE_ONCE(v->prod->idx, nasty());
		WRITE_ONCE(v->cons->idx, nasty());
		WRITE_ONCE(v->prod->space_event, nasty());
		WRITE_ONCE(v->cons->data_event, nasty());
	} else if (!strcmp(kind, "jump")) {
		/* within the ring's length: descriptors of long ago come again */
		WRITE_ONCE(v->prod->idx, v->prod->idx + r32() % v->slots);
		WRITE_ONCE(v->cons->idx, v->cons->idx + r32() % 3);
	} else if (!strcmp(kind, "desc")) {
		random_desc(v, false);
	} else if (!strcmp(kind, "plausible")) {
		random_desc(v, true);
	}
}

static bool known(const char *k)
{
	static const char *const kinds[] = { "show", "version", "identity", "table", "link", "restart", "bells", "index", "jump", "desc",
					     "plausible", "payload", "all" };
	int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(k, kinds[i]))
			return true;
	return false;
}

static int __init scribble_init(void)
{
	struct victim v = { 0 };
	void *p;
	u32 i;

	if (!base || !size)
		find_segment();
	if (!base || size < MSR_SEGMENT_MIN) {
		pr_err("no multios PCI function here: say base= and size=\n");
		return -ENODEV;
	}
	if (!known(kind)) {
		pr_err("kind='%s' is not one of those that modinfo lists\n", kind);
		return -EINVAL;
	}
	pr_info("multios_scribble: base=%#lx size=%lu kind=%s\n", base, size, kind);
	p = memremap(base, size, MEMREMAP_WB);
	if (!p)
		return -ENOMEM;
	v.len = size / 2;
	v.s = p + (!strcmp(side, "front") ? 0 : v.len);
	v.other = p + (!strcmp(side, "front") ? v.len : 0);
	prandom_seed_state(&rnd, seed);
	for (i = 0; i < count && strcmp(kind, "show") && !signal_pending(current); i++) {
		stroke(&v);
		usleep_range(pause_us, pause_us + 50);
	}
	pr_info("multios_scribble: done, %u strokes\n", i);
	memunmap(p);
	return 0;
}

static void __exit scribble_exit(void)
{
}

module_init(scribble_init);
module_exit(scribble_exit);
MODULE_DESCRIPTION("multios test: garbage in the shared segment");
MODULE_LICENSE("GPL");
