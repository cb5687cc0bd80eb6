// SPDX-License-Identifier: GPL-2.0-or-later
/* The base of the transport when it runs as a program, see nic.h. */
#include <sys/mman.h>

#include "nic.h"

#ifndef msr_tx_reserve
#error "tests/kernel must be searched before the ring's own headers"
#endif

unsigned long jiffies = 1000;
struct list_head tasklets = { &tasklets, &tasklets };

static struct nic *nic_of(struct ib_device *ibdev)
{
	return container_of(to_mrdma_dev(ibdev), struct nic, dev);
}

/* ---- memory ---- */

static struct nic_mem *find(struct nic *nic, struct ib_pd *pd, u32 key, u64 va, u32 len, int access)
{
	u32 i;

	for (i = 0; i < NIC_MEMS; i++) {
		struct nic_mem *m = &nic->mem[i];

		if (m->bytes && m->key == key && m->pd == pd && (m->access & access) == access &&
		    va >= m->va && va - m->va <= m->len && len <= m->len - (va - m->va))
			return m;
	}
	return NULL;
}

struct nic_mem *nic_reg(struct nic *nic, u32 len, int access)
{
	u32 i;

	for (i = 0; i < NIC_MEMS; i++) {
		struct nic_mem *m = &nic->mem[i];

		if (m->bytes)
			continue;
		*m = (struct nic_mem){
			.key = (i + 1) << 8 | 0x5a,
			.access = access,
			.pd = &nic->pd,
			.va = 0x10000000ULL * (i + 1),
			.len = len,
			.bytes = calloc(1, len),
		};
		KERNEL_MUST(m->bytes);
		return m;
	}
	KERNEL_MUST(!"room for one more region");
	return NULL;
}

static int copy(struct ib_pd *pd, u32 key, u64 va, void *buf, u32 len, int access,
		enum mrdma_dir dir)
{
	struct nic_mem *m;

	if (!len)
		return 0;
	m = find(nic_of(pd->device), pd, key, va, len, access);
	if (!m)
		return -EACCES;
	if (dir == MRDMA_TO_MR)
		memcpy(m->bytes + (va - m->va), buf, len);
	else
		memcpy(buf, m->bytes + (va - m->va), len);
	return 0;
}

int mrdma_mem_check(struct mrdma_qp *qp, u32 key, u64 va, u32 len, int access)
{
	return find(nic_of(qp->ibqp.device), qp->ibqp.pd, key, va, len, access) ? 0 : -EACCES;
}

/* Any part of it will do. */
int mrdma_mem_check_key(struct mrdma_qp *qp, u32 key, int access)
{
	struct nic *nic = nic_of(qp->ibqp.device);
	u32 i;

	for (i = 0; i < NIC_MEMS; i++)
		if (nic->mem[i].bytes && nic->mem[i].key == key && nic->mem[i].pd == qp->ibqp.pd &&
		    (nic->mem[i].access & access) == access)
			return 0;
	return -EACCES;
}

int mrdma_mem_copy(struct mrdma_qp *qp, u32 key, u64 va, void *buf, u32 len, int access,
		   enum mrdma_dir dir)
{
	lockdep_assert_held(&qp->lock);
	return copy(qp->ibqp.pd, key, va, buf, len, access, dir);
}

int mrdma_sge_copy(struct ib_pd *pd, const struct rxe_sge *sge, u32 num_sge, u32 off, void *buf,
		   u32 len, enum mrdma_dir dir)
{
	int access = dir == MRDMA_TO_MR ? IB_ACCESS_LOCAL_WRITE : 0;
	u32 i, n;

	for (i = 0; len && i < num_sge; i++) {
		if (off >= sge[i].length) {
			off -= sge[i].length;
			continue;
		}
		n = min(len, sge[i].length - off);
		if (copy(pd, sge[i].lkey, sge[i].addr + off, buf, n, access, dir))
			return -EACCES;
		buf += n;
		len -= n;
		off = 0;
	}
	return len ? -EACCES : 0;
}

int mrdma_mem_atomic(struct mrdma_qp *qp, u32 key, u64 va, int access, struct mrdma_atomic *op)
{
	struct nic_mem *m = find(nic_of(qp->ibqp.device), qp->ibqp.pd, key, va, sizeof(u64),
				 access);
	u64 v;

	if (!m)
		return -EACCES;
	memcpy(&op->orig, m->bytes + (va - m->va), sizeof(v));
	v = op->kind == MRDMA_FETCH_ADD ? op->orig + op->swap_add :
	    op->kind == MRDMA_STORE || op->orig == op->compare ? op->swap_add : op->orig;
	memcpy(m->bytes + (va - m->va), &v, sizeof(v));
	return 0;
}

/* Fast registrations and windows are not made here: no key can be invalidated. */
int mrdma_mr_invalidate(struct mrdma_qp *qp, u32 key, bool remote)
{
	(void)qp;
	(void)key;
	(void)remote;
	return -EINVAL;
}

int mrdma_mr_fast_reg(struct mrdma_qp *qp, u32 key, int access)
{
	(void)qp;
	(void)key;
	(void)access;
	return -EINVAL;
}

int mrdma_mw_bind(struct mrdma_qp *qp, const struct mrdma_bind *b)
{
	(void)qp;
	(void)b;
	return -EINVAL;
}

void mrdma_mw_unbind_all(struct mrdma_qp *qp)
{
	/* those of a queue pair that goes are unbound without its lock */
	KERNEL_MUST(!qp->lock.held && list_empty(&qp->windows));
}

/* ---- queues ---- */

int mrdma_queue_create(struct mrdma_queue *q, struct ib_ucontext *uctx, u32 depth, u32 elem_size,
		       struct mminfo *mi)
{
	u32 n = roundup_pow_of_two(depth + 1);

	(void)uctx;
	(void)mi;
	q->shift = __builtin_ctz(roundup_pow_of_two(elem_size));
	q->mask = n - 1;
	q->buf = calloc(1, sizeof(*q->buf) + ((size_t)n << q->shift));
	return q->buf ? 0 : -ENOMEM;
}

void mrdma_queue_destroy(struct mrdma_queue *q)
{
	free(q->buf);
	q->buf = NULL;
}

bool mrdma_cq_post(struct mrdma_cq *cq, const struct ib_wc *wc, bool solicited)
{
	struct nic_qp *q = container_of(wc->qp, struct nic_qp, qp.ibqp);
	bool recv = wc->opcode & IB_WC_RECV;

	(void)solicited;
	lockdep_assert_held(&q->qp.lock);
	KERNEL_MUST(cq == (recv ? &q->rcq : &q->scq));
	q->wc[recv][q->nwc[recv] % NIC_MAX_WC] = *wc;
	q->nwc[recv]++;
	return true;
}

/* No raw packet QPs here: they are no part of the transport. */
u32 mrdma_raw_max(const struct mrdma_dev *dev)
{
	return dev->netdev->mtu;
}

enum ib_wc_status mrdma_raw_send(struct mrdma_qp *qp, const struct mrdma_swqe *w)
{
	(void)qp;
	(void)w;
	return IB_WC_LOC_QP_OP_ERR;
}

/* Every datagram QP is a member of every group, of what comes from outside. */
bool mrdma_mcast_wanted(struct mrdma_dev *dev, const struct mrdma_av *av)
{
	(void)dev;
	(void)av;
	return false;
}

u32 mrdma_mcast_rx(struct mrdma_dev *dev, const struct mrdma_burst *b, mrdma_mcast_fn deliver)
{
	struct nic *nic = container_of(dev, struct nic, dev);
	u32 i, n = 0;

	for (i = 0; i < NIC_QPS; i++)
		if (nic->qp[i] && nic->qp[i]->qp.ibqp.qp_type == IB_QPT_UD) {
			kref_get(&nic->qp[i]->qp.ref);
			deliver(dev, &nic->qp[i]->qp, b);
			n++;
		}
	return n;
}

void mrdma_cq_raise_error(struct mrdma_cq *cq)
{
	(void)cq;
}

struct rxe_send_wqe *nic_sq_next(struct nic_qp *q)
{
	struct mrdma_queue *sq = &q->qp.sq.q;

	if (((q->sq_prod + 1) & sq->mask) == mrdma_queue_cons(sq))
		return NULL;
	return mrdma_queue_elem(sq, q->sq_prod);
}

struct rxe_send_wqe *nic_sq_wqe(struct nic_qp *q, u8 opcode, const struct nic_mem *from,
				const struct nic_mem *to, u32 len)
{
	struct rxe_send_wqe *w = nic_sq_next(q);

	if (!w)
		return NULL;
	memset(w, 0, sizeof(*w));
	w->wr.opcode = opcode;
	w->wr.send_flags = IB_SEND_SIGNALED;
	w->dma.length = len;
	w->dma.num_sge = 1;
	w->dma.sge[0] = (struct rxe_sge){ .addr = from->va, .length = len, .lkey = from->key };
	w->wr.wr.rdma.remote_addr = to->va;
	w->wr.wr.rdma.rkey = to->key;
	return w;
}

void nic_sq_post(struct nic_qp *q)
{
	const struct ib_send_wr *bad;

	q->sq_prod++;
	mrdma_queue_set_prod(&q->qp.sq.q, q->sq_prod);
	(void)mrdma_post_send(&q->qp.ibqp, NULL, &bad);
}

struct rxe_recv_wqe *nic_rq_next(struct nic_qp *q)
{
	struct mrdma_queue *rq = &q->qp.rq.q;

	if (((q->rq_prod + 1) & rq->mask) == mrdma_queue_cons(rq))
		return NULL;
	return mrdma_queue_elem(rq, q->rq_prod);
}

void nic_rq_post(struct nic_qp *q)
{
	q->rq_prod++;
	mrdma_queue_set_prod(&q->qp.rq.q, q->rq_prod);
}

/* ---- the ring and the back's end of it ---- */

static struct mos_queue *queue(struct nic *nic)
{
	return nic->front.chan.q;
}

void mos_bell_ring(struct mos_bell *bell, unsigned int n)
{
	(void)n;
	bell->rung = true;
}

static u32 data_bytes(const struct mos_queue *q)
{
	return 1u << q->info.data_log2;
}

/* Both ends anew, as when the link comes up. */
static void init_rings(struct nic *nic)
{
	struct mos_queue *q = queue(nic);
	u8 *front = nic->section[0], *back = nic->section[1];

	msr_tx_init(&q->tx, front, &q->info);
	msr_rx_init(&q->rx, front, &q->info);
	msr_tx_init(&nic->back_tx, back, &q->info);
	msr_rx_init(&nic->back_rx, back, &q->info);
	msr_tx_attach(&q->tx, back, &q->info);
	msr_rx_attach(&q->rx, back, &q->info);
	msr_tx_attach(&nic->back_tx, front, &q->info);
	msr_rx_attach(&nic->back_rx, front, &q->info);
	ASAN_POISON_MEMORY_REGION(q->tx.data, data_bytes(q));
	ASAN_POISON_MEMORY_REGION(nic->back_tx.data, data_bytes(q));
	KERNEL_MUST(msr_rx_arm(&nic->back_rx) == MSR_EMPTY);
}

static u32 receive(struct mrdma_chan *ch, const struct msr_desc *d, const u8 *data)
{
	return mrdma_rx(&container_of(ch, struct nic, front.chan)->dev, d, data);
}

static void receive_end(struct mrdma_chan *ch)
{
	mrdma_rx_flush(&container_of(ch, struct nic, front.chan)->dev);
}

static void resume(struct mrdma_chan *ch)
{
	mrdma_run_all(&container_of(ch, struct nic, front.chan)->dev);
}

static const struct mrdma_chan_ops chan_ops = {
	.rx = receive,
	.rx_end = receive_end,
	.resume = resume,
};

static void create_rings(struct nic *nic, u32 ring_log2)
{
	u32 ring_off = 2 * MSR_PAGE, data_off;
	struct mos_queue *q = &nic->front.link.queue[0];

	data_off = ring_off + ALIGN((u32)sizeof(struct msr_desc) << ring_log2, MSR_PAGE);
	q->link = &nic->front.link;
	q->link->bell = &nic->bell;
	q->info = (struct msr_queue_info){
		.channel = MSR_CHAN_ROCE, .ring_log2 = ring_log2,
		.data_log2 = max(ring_log2 + 14, (u32)MSR_MIN_DATA_LOG2),
		.prod_off = MSR_PAGE, .cons_off = MSR_PAGE + sizeof(struct msr_prod),
		.ring_off = ring_off, .data_off = data_off,
	};
	nic->section_size = data_off + data_bytes(q);
	nic->section[0] = mmap(NULL, 2 * nic->section_size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	KERNEL_MUST(nic->section[0] != MAP_FAILED);
	nic->section[1] = nic->section[0] + nic->section_size;
	mrdma_chan_init(&nic->front.chan, &nic->netdev, q, &chan_ops);
	init_rings(nic);
	q->link->up = true;
	mrdma_chan_up(&nic->front.chan);
}

static void destroy_rings(struct nic *nic)
{
	ASAN_UNPOISON_MEMORY_REGION(queue(nic)->tx.data, data_bytes(queue(nic)));
	ASAN_UNPOISON_MEMORY_REGION(nic->back_tx.data, data_bytes(queue(nic)));
	KERNEL_MUST(!munmap(nic->section[0], 2 * nic->section_size));
}

void nic_link(struct nic *nic, bool up)
{
	if (up == nic->front.link.up)
		return;
	nic->front.link.up = up;
	if (up) {
		init_rings(nic);
		mrdma_chan_up(&nic->front.chan);
	} else {
		mrdma_chan_down(&nic->front.chan, nic->outage);
	}
}

static struct nic_pkt *new_pkt(const struct msr_desc *d)
{
	struct nic_pkt *pkt = calloc(1, sizeof(*pkt));

	KERNEL_MUST(pkt);
	pkt->d = *d;
	pkt->data = malloc(d->len);
	KERNEL_MUST(pkt->data);
	return pkt;
}

u32 nic_queued(const struct nic *nic)
{
	return nic->front.link.up ? nic->front.chan.q->tx.published - nic->back_rx.next : 0;
}

struct nic_pkt *nic_next(struct nic *nic)
{
	struct msr_rx *rx = &nic->back_rx;
	enum msr_result result;
	struct nic_pkt *pkt;
	struct msr_desc d;
	u8 *data;

	if (!nic->front.link.up)
		return NULL;
	result = msr_rx_next(rx, &d);
	if (result == MSR_EMPTY) {
		KERNEL_MUST(msr_rx_arm(rx) == MSR_EMPTY);
		return NULL;
	}
	KERNEL_MUST(result == MSR_OK);
	data = queue(nic)->tx.data + d.off;
	pkt = new_pkt(&d);
	pkt->d.off = 0;
	memcpy(pkt->data, data, d.len);
	ASAN_POISON_MEMORY_REGION(data, msr_round_up(d.len));
	return pkt;
}

void nic_release(struct nic *nic, u32 n)
{
	msr_rx_release(&nic->back_rx, n);
	if (msr_rx_need_bell(&nic->back_rx))
		mrdma_chan_bell(&nic->front.chan);
}

struct nic_pkt *nic_take(struct nic *nic)
{
	struct nic_pkt *pkt = nic_next(nic);

	if (pkt)
		nic_release(nic, 1);
	return pkt;
}

void nic_receive(struct nic *nic, const struct nic_pkt *pkt)
{
	struct msr_tx *tx = &nic->back_tx;
	enum msr_result result;
	struct msr_desc d;
	u8 *data;

	if (!nic->front.link.up)
		return;
	d = pkt->d;
	data = msr_tx_reserve(tx, d.len, &d.off, &result);
	KERNEL_MUST(data);
	memcpy(data, pkt->data, d.len);
	msr_tx_commit(tx, &d);
	msr_tx_publish(tx);
	if (msr_tx_need_bell(tx))
		mrdma_chan_bell(&nic->front.chan);
}

void nic_free(struct nic_pkt *pkt)
{
	if (pkt)
		free(pkt->data);
	free(pkt);
}

struct nic_pkt *nic_copy(const struct nic_pkt *pkt)
{
	struct nic_pkt *c = new_pkt(&pkt->d);

	memcpy(c->data, pkt->data, pkt->d.len);
	return c;
}

static u32 bth_at(const struct nic_pkt *p)
{
	return ETH_HLEN + (p->data[12] == 0x86 ? 40 : 20) + 8;
}

/* As the back OS cuts them: opcode, number, extension headers and flags by the packet's place. */
struct nic_pkt *nic_packet(const struct nic_pkt *b, u32 i)
{
	const struct msr_burst *m = &b->d.burst;
	u32 at = bth_at(b), base = at + sizeof(struct mos_bth);
	u32 last = m->nseg - 1, body = b->d.len - b->d.hdr_len;
	u32 len = i < last ? m->seg_len : body - last * m->seg_len;
	u32 ext = !last	      ? m->ext_first + m->ext_last
		  : !i	      ? m->ext_first
		  : i == last ? m->ext_last
			      : 0;
	struct mos_bth bth;
	struct nic_pkt *p;
	struct msr_desc d;
	u32 apsn;

	d = (struct msr_desc){
		.len = base + ext + len,
		.type = MSR_DESC_BURST,
		.hdr_len = base + ext,
		.flags = i == last ? b->d.flags : 0,
		.burst = { .nseg = 1, .seg_len = len, .ext_first = ext },
	};
	p = new_pkt(&d);
	memcpy(p->data, b->data, base);
	memcpy(p->data + base, b->data + base + (i ? m->ext_first : 0), ext);
	memcpy(p->data + base + ext, b->data + b->d.hdr_len + i * m->seg_len, len);
	memcpy(&bth, b->data + at, sizeof(bth));
	if (i)
		bth.opcode = i < last ? m->op_mid : m->op_last;
	p->d.burst.op_mid = p->d.burst.op_last = bth.opcode;
	apsn = ntohl(bth.apsn);
	bth.apsn = htonl((i == last && b->d.flags & MSR_BURST_ACK_REQ ? MOS_BTH_ACKREQ : 0) |
			 mos_psn_add(apsn & MOS_PSN_MASK, i));
	bth.flags = (bth.flags & ~(MOS_BTH_SE | MOS_BTH_PAD_MASK << MOS_BTH_PAD_SHIFT)) |
		    (-len & 3) << MOS_BTH_PAD_SHIFT |
		    (i == last && b->d.flags & MSR_BURST_SOLICITED ? MOS_BTH_SE : 0);
	memcpy(p->data + at, &bth, sizeof(bth));
	return p;
}

struct nic_pkt *nic_join(const struct nic_pkt *a, const struct nic_pkt *b)
{
	const struct msr_burst *m = &a->d.burst, *n = &b->d.burst;
	u32 base = bth_at(a) + sizeof(struct mos_bth), body = a->d.len - a->d.hdr_len,
	    len = b->d.len - b->d.hdr_len;
	u32 before = mos_op[m->op_last].flags, after = mos_op[n->op_last].flags;
	struct mos_bth x, y;
	struct msr_desc d;
	struct nic_pkt *p;

	memcpy(&x, a->data + bth_at(a), sizeof(x));
	memcpy(&y, b->data + bth_at(b), sizeof(y));
	if (n->nseg != 1 || bth_at(a) != bth_at(b) || x.qpn != y.qpn ||
	    !(before & after & MOP_PAYLOAD) ||
	    (before ^ after) & (MOP_KIND | MOP_RESP | MOP_RC | MOP_UC) || before & MOP_END ||
	    after & MOP_START || body != m->nseg * m->seg_len || !len || len > m->seg_len ||
	    (len < m->seg_len && !(after & MOP_END)) ||
	    a->d.flags & (MSR_BURST_ACK_REQ | MSR_BURST_SOLICITED) || m->nseg == MSR_MAX_SEGS ||
	    body + len > MSR_MAX_BURST_DATA ||
	    mos_psn_add(ntohl(x.apsn) & MOS_PSN_MASK, m->nseg) !=
		    (ntohl(y.apsn) & MOS_PSN_MASK))
		return NULL;
	d = a->d;
	d.hdr_len = base + m->ext_first + n->ext_first;
	d.len = d.hdr_len + body + len;
	d.flags = b->d.flags;
	d.burst.nseg++;
	d.burst.op_mid = m->nseg > 1 ? m->op_last : n->op_last;
	d.burst.op_last = n->op_last;
	d.burst.ext_last = n->ext_first;
	p = new_pkt(&d);
	memcpy(p->data, a->data, base + m->ext_first);
	memcpy(p->data + base + m->ext_first, b->data + base, n->ext_first);
	memcpy(p->data + d.hdr_len, a->data + a->d.hdr_len, body);
	memcpy(p->data + d.hdr_len + body, b->data + b->d.hdr_len, len);
	return p;
}

void nic_deliver(struct nic *nic, const struct nic_pkt *pkt)
{
	mrdma_rx(&nic->dev, &pkt->d, pkt->data);
}

void nic_end(struct nic *nic)
{
	mrdma_rx_flush(&nic->dev);
}

/* ---- what runs by itself ---- */

u32 nic_work(struct nic *nic)
{
	struct napi_struct *napi = &nic->front.chan.napi;
	struct tasklet_struct *task;
	u32 runs = 0, rounds = 0;
	struct list_head *last;
	bool more;

	while (napi->scheduled || !list_empty(&tasklets)) {
		if (napi->scheduled) {
			napi->scheduled = false;
			if (napi->poll(napi, 64) == 64)
				napi->scheduled = true;
		}
		/* those that are scheduled now; what they schedule comes after NAPI */
		last = tasklets.prev;
		for (more = !list_empty(&tasklets); more; runs++) {
			task = list_first_entry(&tasklets, struct tasklet_struct, entry);
			more = &task->entry != last;
			list_del(&task->entry);
			task->scheduled = false;
			task->function(task);
		}
		/* whatever they do, it ends */
		KERNEL_MUST(rounds++ < 100000);
	}
	return runs;
}

static void run_timer(struct timer_list *t)
{
	if (!t->pending || time_before(jiffies, t->expires))
		return;
	t->pending = false;
	t->function(t);
}

void nic_timers(struct nic *nic)
{
	u32 i;

	for (i = 0; i < nic->nqps; i++)
		if (nic->qp[i]) {
			run_timer(&nic->qp[i]->qp.timer);
			run_timer(&nic->qp[i]->qp.rnr_timer);
		}
}

unsigned long nic_next_timer(const struct nic *nic)
{
	unsigned long next = jiffies;
	u32 i, k;

	for (i = 0; i < nic->nqps; i++)
		for (k = 0; nic->qp[i] && k < 2; k++) {
			const struct timer_list *t = k ? &nic->qp[i]->qp.timer
						       : &nic->qp[i]->qp.rnr_timer;

			if (t->pending && (next == jiffies || time_before(t->expires, next)))
				next = time_before(jiffies, t->expires) ? t->expires : jiffies + 1;
		}
	return next;
}

/* ---- the device and its queue pairs ---- */

int mrdma_object_get(struct mrdma_dev *dev, enum mrdma_object what)
{
	dev->objects[what].counter++;
	return 0;
}

void mrdma_object_put(struct mrdma_dev *dev, enum mrdma_object what)
{
	KERNEL_MUST(dev->objects[what].counter-- > 0);
}

/* Nobody moves here, but the transport must ask. */
void mrdma_follow_broken(struct mrdma_dev *dev)
{
	container_of(dev, struct nic, dev)->followed++;
}

struct mrdma_netdev_id mrdma_gid_netdev(const struct ib_gid_attr *gid)
{
	(void)gid;
	return (struct mrdma_netdev_id){ .ifindex = 1 };
}

bool mrdma_next_hop(const struct ib_gid_attr *sgid, const union ib_gid *dgid, u8 *dmac)
{
	(void)sgid;
	(void)dgid;
	(void)dmac;
	return false;
}

/* AH number n is the address of device n. */
bool mrdma_ah_get_av(struct mrdma_dev *dev, struct ib_pd *pd, u32 num, struct mrdma_av *av)
{
	struct nic *nic = container_of(dev, struct nic, dev);
	struct rdma_ah_attr attr = {
		.grh = { .sgid_attr = &nic->gid, .dgid = nic->gid.gid, .hop_limit = 64 },
		.roce = { .dmac = { 2, 0, 0, 0, 0, num } },
	};

	(void)pd;
	attr.grh.dgid.raw[15] = num;
	return num < 16 && !mrdma_av_init(dev, &attr, 0, 0, true, av);
}

const struct ib_gid_attr *rdma_find_gid_by_port(struct ib_device *device, const union ib_gid *gid,
						enum ib_gid_type type, u32 port,
						struct net_device *ndev)
{
	struct nic *nic = nic_of(device);

	(void)type;
	(void)port;
	(void)ndev;
	if (memcmp(gid, &nic->gid.gid, sizeof(*gid)))
		return ERR_PTR(-ENOENT);
	rdma_hold_gid_attr(&nic->gid);
	return &nic->gid;
}

struct nic *nic_create(u8 number, u32 ring_log2)
{
	struct nic *nic = calloc(1, sizeof(*nic));

	KERNEL_MUST(nic);
	nic->netdev = (struct net_device){ .dev_addr = { 2, 0, 0, 0, 0, number }, .mtu = 9000 };
	nic->gid = (struct ib_gid_attr){
		.ndev = &nic->netdev,
		.gid = { { [10] = 0xff, [11] = 0xff, [12] = 10, [15] = number } },
		.gid_type = IB_GID_TYPE_ROCE_UDP_ENCAP,
	};
	nic->dev.netdev = &nic->netdev;
	nic->dev.front = &nic->front;
	nic->front.netdev = &nic->netdev;
	nic->dev.chan = &nic->front.chan;
	msr_mac_set(&nic->dev.macs.table, 0, msr_mac_word(nic->netdev.dev_addr));
	nic->dev.stats = alloc_percpu(struct mrdma_stats);
	nic->pd.device = nic->other_pd.device = &nic->dev.ibdev;
	nic->uctx.ibuc.device = &nic->dev.ibdev;
	create_rings(nic, ring_log2);
	mrdma_loop_init(&nic->dev, mrdma_rx_burst, mrdma_rx_flush);
	KERNEL_MUST(!mrdma_rx_init(&nic->dev));
	return nic;
}

void nic_destroy(struct nic *nic)
{
	u32 i;

	for (i = 0; i < nic->nqps; i++)
		if (nic->qp[i])
			nic_qp_destroy(nic->qp[i]);
	/* whatever became of them, all turns have come back */
	KERNEL_MUST(!nic->front.chan.turns.promised && list_empty(&nic->front.chan.turns.line));
	KERNEL_MUST(!nic->dev.loop.turns.promised && list_empty(&nic->dev.loop.turns.line));
	mrdma_loop_stop(&nic->dev);
	destroy_rings(nic);
	xa_destroy(&nic->dev.qps);
	for (i = 0; i < NIC_MEMS; i++)
		free(nic->mem[i].bytes);
	mrdma_rx_uninit(&nic->dev);
	KERNEL_MUST(!nic->gid.refs);
	free_percpu(nic->dev.stats);
	free(nic);
}

static void on_event(struct ib_event *event, void *context)
{
	struct nic_qp *q = context;

	/* a kernel user may post from here */
	KERNEL_MUST(!q->qp.lock.held);
	q->events |= BIT(event->event);
}

struct nic_qp *nic_qp_create(struct nic *nic, enum ib_qp_type type, u32 depth, u32 max_sge)
{
	struct nic_qp *q = calloc(1, sizeof(*q));
	struct rxe_create_qp_resp resp;
	struct ib_udata udata = { .outbuf = &resp,
				  .outlen = sizeof(resp),
				  .context = &nic->uctx.ibuc };
	struct ib_qp_init_attr init = {
		.event_handler = on_event, .qp_context = q, .send_cq = &q->scq.ibcq,
		.recv_cq = &q->rcq.ibcq, .qp_type = type,
		.cap = {
			.max_send_wr = depth, .max_recv_wr = depth, .max_send_sge = max_sge,
			.max_recv_sge = max_sge,
			.max_inline_data = 64,
		},
	};
	u32 i;

	KERNEL_MUST(q);
	for (i = 0; i < NIC_QPS && nic->qp[i]; i++)
		;
	KERNEL_MUST(i < NIC_QPS);
	nic->nqps = max(nic->nqps, i + 1);
	q->nic = nic;
	q->qp.ibqp = (struct ib_qp){
		.device = &nic->dev.ibdev,
		.pd = &nic->pd,
		.send_cq = &q->scq.ibcq,
		.recv_cq = &q->rcq.ibcq,
		.event_handler = on_event,
		.qp_context = q,
		.qp_type = type,
	};
	if (mrdma_create_qp(&q->qp.ibqp, &init, &udata)) {
		free(q);
		return NULL;
	}
	nic->qp[i] = q;
	return q;
}

void nic_qp_destroy(struct nic_qp *q)
{
	struct nic *nic = q->nic;
	u32 i;

	KERNEL_MUST(!mrdma_destroy_qp(&q->qp.ibqp, NULL));
	for (i = 0; i < NIC_QPS; i++)
		if (nic->qp[i] == q)
			nic->qp[i] = NULL;
	free(q);
}

int nic_qp_init(struct nic_qp *q)
{
	struct ib_qp_attr attr = {
		.qp_state = IB_QPS_INIT,
		.port_num = 1,
		.qkey = 0x1234,
		.qp_access_flags = IB_ACCESS_REMOTE_WRITE | IB_ACCESS_REMOTE_READ |
				   IB_ACCESS_REMOTE_ATOMIC,
	};

	return mrdma_modify_qp(
		&q->qp.ibqp, &attr,
		IB_QP_STATE | IB_QP_PORT | IB_QP_PKEY_INDEX |
			(q->qp.ibqp.qp_type == IB_QPT_UD ? IB_QP_QKEY : IB_QP_ACCESS_FLAGS),
		NULL);
}

int nic_qp_connect(struct nic_qp *q, const struct nic *peer, u32 dqpn, enum ib_mtu mtu, u32 rq_psn,
		   u32 sq_psn)
{
	bool rc = q->qp.ibqp.qp_type == IB_QPT_RC, ud = q->qp.ibqp.qp_type == IB_QPT_UD;
	struct ib_qp_attr attr = {
		.qp_state = IB_QPS_RTR,
		.path_mtu = mtu,
		.dest_qp_num = dqpn,
		.rq_psn = rq_psn,
		.max_dest_rd_atomic = 4,
		.min_rnr_timer = 1,
		.ah_attr = { .grh = { .sgid_attr = &q->nic->gid,
				      .dgid = peer->gid.gid,
				      .hop_limit = 64 },
			     .port_num = 1 },
	};
	int err;

	memcpy(attr.ah_attr.roce.dmac, peer->netdev.dev_addr, ETH_ALEN);
	err = mrdma_modify_qp(
		&q->qp.ibqp, &attr,
		IB_QP_STATE | (ud ? 0 : IB_QP_AV | IB_QP_PATH_MTU | IB_QP_DEST_QPN | IB_QP_RQ_PSN) |
			(rc ? IB_QP_MAX_DEST_RD_ATOMIC | IB_QP_MIN_RNR_TIMER : 0),
		NULL);
	if (err)
		return err;
	attr = (struct ib_qp_attr){
		.qp_state = IB_QPS_RTS,
		.sq_psn = sq_psn,
		.timeout = 12,
		.retry_cnt = 7,
		.rnr_retry = 7,
		.max_rd_atomic = 4,
	};
	return mrdma_modify_qp(&q->qp.ibqp, &attr,
			       IB_QP_STATE | IB_QP_SQ_PSN |
				       (rc ? IB_QP_TIMEOUT | IB_QP_RETRY_CNT | IB_QP_RNR_RETRY |
							IB_QP_MAX_QP_RD_ATOMIC
					   : 0),
			       NULL);
}
