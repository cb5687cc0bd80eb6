// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The plan of a round: which messages, of what size, from and to where; and the images of both
 * areas before and after. Everything comes from (seed, round), so both processes hold the same plan
 * without a word.
 */
#include <stdio.h>
#include <string.h>

#include "vc.h"

const char *const vc_op_name[VC_NR_OPS] = { "WRITE", "WRITE_IMM", "READ", "SEND", "SEND_IMM", "CAS", "ADD", "UD", "UC" };

static uint64_t image_seed(const struct vc *vc, int side, int area)
{
	struct vc_rng r = { vc->cfg.seed ^ ((uint64_t)vc->plan.round << 20) ^ (side << 1) ^ area };

	return vc_rand(&r);
}

/*
 * Sizes at which something changes: packets, bursts of packets, cache lines, pages; and any size
 * between.
 */
static uint32_t pick_size(struct vc *vc, struct vc_rng *r)
{
	static const uint16_t segs[] = { 1,  2,	 3,  4,	 5,  7,	  8,   15,  16,	 17,  31,
					 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257 };
	uint32_t n, around = vc_below(r, 3), bits;

	switch (vc_below(r, 8)) {
	case 0:
		n = vc_below(r, 2);
		break;
	case 1:
		n = vc_below(r, 65);
		break;
	case 2:
	case 3:
		n = vc->mtu * segs[vc_below(r, sizeof(segs) / sizeof(segs[0]))] + around - 1;
		break;
	case 4:
		n = 64 * (1 + vc_below(r, 130)) + around - 1;
		break;
	case 5:
		n = 65536 * (1 + vc_below(r, 5)) + around - 1;
		break;
	default:
		bits = 2 + vc_below(r, 31 - __builtin_clz(vc->cfg.max_size | 4));
		n = vc_below(r, 1u << bits);
	}
	return n > vc->cfg.max_size ? n % (vc->cfg.max_size + 1) : n;
}

/*
 * A piece of an area, at any alignment, apart from its neighbours by at least one byte that nobody
 * may write.
 */
static struct vc_range place(struct vc *vc, struct vc_rng *r, int side, int area, uint32_t len)
{
	uint32_t *used = &vc->plan.used[side][area];
	struct vc_range range = { .len = len };

	*used += 1 + vc_below(r, vc_below(r, 4) ? 32 : 5000);
	range.off = *used;
	*used += len;
	return range;
}

static int place_pieces(struct vc *vc, struct vc_rng *r, int side, int area, uint32_t len,
			struct vc_range *out)
{
	uint32_t max = vc->me.max_sge < vc->peer.max_sge ? vc->me.max_sge : vc->peer.max_sge;
	uint32_t cut;
	int n = 0, pieces;

	if (!len)
		return 0;
	if (max > VC_MAX_SGE)
		max = VC_MAX_SGE;
	pieces = vc_below(r, 2) ? 1 : 1 + vc_below(r, max);
	while (n < pieces - 1 && len > 1) {
		cut = 1 + vc_below(r, len - 1);
		out[n++] = place(vc, r, side, area, cut);
		len -= cut;
	}
	out[n++] = place(vc, r, side, area, len);
	return n;
}

/* Eight bytes that an atomic operation can work on. */
static struct vc_range place_word(struct vc *vc, struct vc_rng *r, int side)
{
	uint32_t *used = &vc->plan.used[side][1];
	struct vc_range range;

	*used += 1 + vc_below(r, 64);
	*used += -(*used + VC_SKEW) & 7;
	range = (struct vc_range){ .off = *used, .len = 8 };
	*used += 8;
	return range;
}

/* The eight bytes at an offset of an area as filled for this round. */
static uint64_t word_before(const struct vc *vc, int side, int area, uint32_t off)
{
	uint8_t bytes[16];
	uint64_t v;

	vc_fill_at(bytes, sizeof(bytes), image_seed(vc, side, area), off / 8);
	memcpy(&v, bytes + off % 8, 8);
	return v;
}

static bool fits(const struct vc *vc, uint32_t len)
{
	/* two areas a side, gaps of up to 5000 bytes around each piece */
	uint32_t need = len + (2 * VC_MAX_SGE + 2) * 5002 + 2 * VC_GUARD;
	int i;

	for (i = 0; i < 4; i++)
		if (vc->plan.used[i >> 1][i & 1] + need > vc->area - VC_GUARD)
			return false;
	return true;
}

static void plan_op(struct vc *vc, struct vc_rng *r, struct vc_op *op)
{
	uint32_t slack;
	int from = op->dir, to = !op->dir;

	op->imm = vc_rand(r);
	op->solicited = !vc_below(r, 4);
	switch (op->opcode) {
	case VC_WRITE:
	case VC_WRITE_IMM:
		op->nlocal = place_pieces(vc, r, from, 0, op->len, op->local);
		op->target = place(vc, r, to, 1, op->len);
		if (op->opcode == VC_WRITE_IMM)
			op->npeer = place_pieces(vc, r, to, 1, vc_below(r, 100), op->peer);
		break;
	case VC_READ:
		op->nlocal = place_pieces(vc, r, from, 1, op->len, op->local);
		op->target = place(vc, r, to, 0, op->len);
		break;
	case VC_CAS:
		op->nlocal = place_pieces(vc, r, from, 1, 8, op->local);
		op->target = place_word(vc, r, to);
		op->found = word_before(vc, to, 1, op->target.off);
		op->compare = vc_below(r, 2) ? op->found : op->found ^ (1ULL << vc_below(r, 64));
		op->swap = vc_rand(r);
		break;
	case VC_ADD:
		op->nlocal = place_pieces(vc, r, from, 1, 8, op->local);
		op->target = vc->plan.counter[from];
		break;
	default:
		slack = vc_below(r, 2) ? 0 : vc_below(r, 3000);
		op->nlocal = place_pieces(vc, r, from, 0, op->len, op->local);
		op->npeer = place_pieces(vc, r, to, 1, op->len + slack, op->peer);
	}
	op->inlined = op->opcode != VC_READ && op->opcode != VC_CAS && op->opcode != VC_ADD &&
		      op->len <= vc->me.max_inline && op->len <= vc->peer.max_inline &&
		      !vc_below(r, 3);
}

void vc_make_plan(struct vc *vc, uint32_t round)
{
	struct vc_rng r = { vc->cfg.seed + round * 0x1234567ULL };
	struct vc_plan *p = &vc->plan;
	int depth[2][VC_MAX_QPS] = { 0 }, unsignaled[2][VC_MAX_QPS] = { 0 };
	int i, want, every;

	memset(p, 0, offsetof(struct vc_plan, op));
	p->round = round;
	p->events = vc_below(&r, 2);
	p->late = !vc_below(&r, 10);
	for (i = 0; i < 4; i++)
		p->used[i >> 1][i & 1] = VC_GUARD;
	for (i = 0; i < 2; i++) {
		p->counter[i] = place_word(vc, &r, !i);
		p->counted[i] = word_before(vc, !i, 1, p->counter[i].off);
	}
	want = 1 + vc_below(&r, vc_below(&r, 3) ? 16 : VC_MAX_OPS);
	if (!(vc->cfg.ops & VC_RC_OPS))
		want = 0;
	every = vc_below(&r, 2) ? 1 : 1 + vc_below(&r, 8);
	for (i = 0; i < want; i++) {
		struct vc_op *op = &p->op[p->nops];

		memset(op, 0, sizeof(*op));
		op->dir = vc_below(&r, 2);
		op->qp = vc_below(&r, vc->cfg.qps);
		do {
			op->opcode = vc_below(&r, VC_UD);
		} while (!(vc->cfg.ops & (1u << op->opcode)));
		op->len = pick_size(vc, &r);
		if (op->opcode == VC_CAS || op->opcode == VC_ADD)
			op->len = 8;
		if (depth[op->dir][op->qp] == VC_DEPTH - 2 || !fits(vc, op->len))
			continue;
		depth[op->dir][op->qp]++;
		plan_op(vc, &r, op);
		op->signaled = ++unsignaled[op->dir][op->qp] >= every;
		if (op->signaled)
			unsignaled[op->dir][op->qp] = 0;
		p->nops++;
	}
	/*
	 * The last of each queue is signaled: only its completion frees the slots of those before.
	 */
	for (i = p->nops - 1; i >= 0; i--) {
		struct vc_op *op = &p->op[i];

		if (depth[op->dir][op->qp]) {
			op->signaled = 1;
			depth[op->dir][op->qp] = 0;
		}
	}
}

/* Moves the bytes of a message from the pieces it leaves to the pieces it reaches. */
static void copy_pieces(uint8_t *dst, const struct vc_range *to, const uint8_t *src,
			const struct vc_range *from, uint32_t len)
{
	uint32_t d = 0, s = 0, n;

	while (len) {
		n = to->len - d < from->len - s ? to->len - d : from->len - s;
		if (n > len)
			n = len;
		memcpy(dst + to->off + d, src + from->off + s, n);
		len -= n;
		d += n;
		s += n;
		if (d == to->len) {
			to++;
			d = 0;
		}
		if (s == from->len) {
			from++;
			s = 0;
		}
	}
}

/* Fills tx and rx, and computes what rx must look like when the round is over. */
void vc_make_images(struct vc *vc)
{
	struct vc_plan *p = &vc->plan;
	int me = vc->side, i;

	vc_fill(vc->tx, p->used[me][0] + VC_GUARD, image_seed(vc, me, 0));
	vc_fill(vc->rx, p->used[me][1] + VC_GUARD, image_seed(vc, me, 1));
	vc_fill(vc->peer_tx, p->used[!me][0] + VC_GUARD, image_seed(vc, !me, 0));
	memcpy(vc->want, vc->rx, p->used[me][1] + VC_GUARD);
	for (i = 0; i < p->nops; i++) {
		struct vc_op *op = &p->op[i];
		bool mine = op->dir == me;

		if (op->opcode == VC_READ) {
			if (mine)
				copy_pieces(vc->want, op->local, vc->peer_tx, &op->target, op->len);
		} else if (op->opcode == VC_CAS) {
			const struct vc_range word = { .len = 8 };

			if (mine)
				copy_pieces(vc->want, op->local, (uint8_t *)&op->found, &word, 8);
			else if (op->compare == op->found)
				memcpy(vc->want + op->target.off, &op->swap, 8);
		} else if (op->opcode == VC_ADD) {
			uint64_t n;

			if (mine)
				continue; /* what it finds depends on the others: check_adds() */
			memcpy(&n, vc->want + op->target.off, 8);
			n++;
			memcpy(vc->want + op->target.off, &n, 8);
		} else if (!mine) {
			bool write = op->opcode == VC_WRITE || op->opcode == VC_WRITE_IMM;

			copy_pieces(vc->want, write ? &op->target : op->peer, vc->peer_tx,
				    op->local, op->len);
		}
	}
}

static bool same(struct vc *vc, const char *what, const struct vc_op *op, const uint8_t *have,
		 const uint8_t *want, uint32_t off, uint32_t len)
{
	uint32_t i, bad = 0, first = 0, last = 0;

	if (!memcmp(have + off, want + off, len))
		return true;
	for (i = off; i < off + len; i++)
		if (have[i] != want[i]) {
			if (!bad++)
				first = i;
			last = i;
		}
	if (op)
		vc_wrong(vc, "%s: %s of %u bytes on QP %u, started by the %s: %u of %u bytes at %u differ, from %u to %u (%02x, must be %02x)",
			 what, vc_op_name[op->opcode], op->len, op->qp, op->dir ? "server" : "client",
			 bad, len, off, first, last, have[first], want[first]);
	else
		vc_wrong(vc, "%s: %u bytes differ, from %u to %u (%02x, must be %02x)",
			 what, bad, first, last, have[first], want[first]);
	return false;
}

bool vc_check_range(struct vc *vc, const struct vc_op *op, struct vc_range r, const char *when)
{
	return same(vc, when, op, vc->rx, vc->want, r.off, r.len);
}

/*
 * The values that our ADDs found: the counter's, each once, and rising on every queue pair.
 * Then the area may hold them.
 */
static void check_adds(struct vc *vc)
{
	struct vc_plan *p = &vc->plan;
	uint64_t found, next[VC_MAX_QPS] = { 0 };
	bool seen[VC_MAX_OPS] = { false };
	const struct vc_range word = { .len = 8 };
	int me = vc->side, i, n = 0;

	for (i = 0; i < p->nops; i++)
		n += p->op[i].dir == me && p->op[i].opcode == VC_ADD;
	for (i = 0; i < p->nops; i++) {
		struct vc_op *op = &p->op[i];

		if (op->dir != me || op->opcode != VC_ADD)
			continue;
		copy_pieces((uint8_t *)&found, &word, vc->rx, op->local, 8);
		copy_pieces(vc->want, op->local, (uint8_t *)&found, &word, 8);
		found -= p->counted[me];
		if (found >= (uint64_t)n || seen[found] || found < next[op->qp]) {
			vc_wrong(vc, "ADD %d on QP %u found the counter at %lld of %d: %s", i, op->qp, (long long)found, n,
				 found >= (uint64_t)n ? "out of range" : seen[found] ? "as another had" : "out of turn");
			return;
		}
		seen[found] = true;
		next[op->qp] = found + 1;
	}
}

/*
 * Messages one by one first, for a report that names them; then everything else that must not have
 * changed.
 */
void vc_check_images(struct vc *vc)
{
	struct vc_plan *p = &vc->plan;
	uint64_t before = vc->wrong;
	int me = vc->side, i, k;

	check_adds(vc);
	for (i = 0; i < p->nops; i++) {
		struct vc_op *op = &p->op[i];
		bool mine = op->dir == me;

		if ((op->opcode == VC_READ || op->opcode == VC_CAS) && mine) {
			for (k = 0; k < op->nlocal; k++)
				vc_check_range(vc, op, op->local[k], "at the end");
		} else if (op->opcode != VC_READ && !mine) {
			if (op->opcode != VC_SEND && op->opcode != VC_SEND_IMM)
				vc_check_range(vc, op, op->target, "at the end");
			for (k = 0; k < op->npeer; k++)
				vc_check_range(vc, op, op->peer[k], "receive buffer at the end");
		}
	}
	if (vc->wrong == before)
		same(vc, "rx area beside the messages", NULL, vc->rx, vc->want, 0, p->used[me][1] + VC_GUARD);
	/* vc->want has done its duty: it serves as the untouched image of tx. */
	vc_fill(vc->want, p->used[me][0] + VC_GUARD, image_seed(vc, me, 0));
	same(vc, "tx area, which nobody may write", NULL, vc->tx, vc->want, 0, p->used[me][0] + VC_GUARD);
}
