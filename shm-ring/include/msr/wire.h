/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * multios shared ring: everything that lies in the shared segment.
 *
 * The segment is cut into two sections of equal size, the front OS's first.
 * A side writes its own section only and reads the other's; nothing in the
 * peer's section is trusted (check.h). Fields are little-endian and naturally
 * aligned; the only architecture is x86-64, so they are plain integers.
 * Positions are byte offsets, never pointers. Reserved fields are zero.
 *
 * A change of layout or meaning raises MSR_VERSION and edits SPEC.md, this
 * file and its assertions in one commit.
 */
#ifndef MSR_WIRE_H
#define MSR_WIRE_H

#include <linux/types.h>

#define MSR_MAGIC		0x31525348534f4dULL	/* "MOSHSR1" */
#define MSR_VERSION		3

#define MSR_CACHE_LINE		64
#define MSR_PAGE		4096

#define MSR_SEGMENT_MIN		(2u << 20)	/* bytes */
#define MSR_SEGMENT_MAX		(1u << 30)	/* offsets of a section fit 31 bits */

#define MSR_MAX_QUEUES		16	/* queue pairs in a section */
#define MSR_MIN_RING_LOG2	4	/* descriptors in a ring */
#define MSR_MAX_RING_LOG2	14
#define MSR_MIN_DATA_LOG2	18	/* bytes; half of them hold the largest frame */
#define MSR_MAX_DATA_LOG2	28

enum msr_role {
	MSR_ROLE_FRONT	= 1,
	MSR_ROLE_BACK	= 2,
};

enum msr_channel {
	MSR_CHAN_ETH	= 1,	/* MSR_DESC_FRAME */
	MSR_CHAN_ROCE	= 2,	/* MSR_DESC_BURST */
};

/*
 * One queue pair as its owner describes it: the ring that the owner fills
 * (descriptors and data area) and where the owner keeps the two index lines.
 * Queue i of one section is joined with queue i of the other; channel and
 * index must agree. Offsets count from the start of the owner's section.
 */
struct msr_queue_info {
	__u32	channel;	/* enum msr_channel */
	__u32	index;		/* number of this queue within its channel */
	__u32	ring_log2;	/* descriptors, log2 */
	__u32	ring_off;	/* struct msr_desc[1 << ring_log2] */
	__u32	prod_off;	/* struct msr_prod of the ring this side fills */
	__u32	cons_off;	/* struct msr_cons of the ring the peer fills */
	__u32	data_off;	/* payload area of the ring this side fills */
	__u32	data_log2;	/* bytes, log2 */
	__u32	reserved[8];
};

/*
 * Doorbell of its owner, one 64-bit word so that a peer reads target and vector
 * together. 0 means "none".
 */
#define MSR_BELL_VALID		(1ULL << 63)
#define MSR_BELL_VECTOR_MASK	0xffULL		/* interrupt vector, 32..255 */
#define MSR_BELL_APIC_SHIFT	8		/* physical APIC id, 32 bits */
#define MSR_BELL_APIC_MASK	(0xffffffffULL << MSR_BELL_APIC_SHIFT)

#define MSR_BELL_LINK		0		/* change of link state */
#define MSR_BELL_QUEUE(i)	(1 + (i))
#define MSR_MAX_BELLS		(1 + MSR_MAX_QUEUES)

/*
 * MAC addresses to which the owner's RDMA device listens: RoCE packets to one of them belong into
 * the peer's ROCE queue, all others are frames. The front's section alone has entries; they change
 * at run time. A slot is loaded and stored whole: 0, or MSR_MAC_VALID and the address, its first
 * byte in bits 47..40.
 */
#define MSR_MAC_VALID		(1ULL << 63)
#define MSR_MAX_MACS		128

struct msr_macs {
	__u32	nr;		/* slots up to the last one in use; mac.h */
	__u32	reserved[15];
	__u64	mac[MSR_MAX_MACS];
};

/*
 * First page of a section. The identity and the queue table are written while
 * epoch is 0 and stand still from the store of epoch until it is 0 again.
 */
struct msr_section {
	/* identity */
	__u64	magic;
	__u32	version;
	__u32	role;		/* enum msr_role */
	__u64	segment_size;	/* bytes, both sections */
	__u32	features;	/* MSR_FEATURE_*; none defined in version 3 */
	__u32	nr_queues;
	__u32	reserved0[8];

	/* link state (SPEC.md "Link"): own line, changes at run time */
	__u32	epoch;		/* this incarnation of the owner's rings; 0: none */
	__u32	peer_epoch;	/* incarnation of the peer it is attached to; 0: none */
	__u32	broken;		/* enum msr_fault: why the owner refuses the peer */
	__u32	reserved1[13];

	__u64	bell[MSR_MAX_BELLS];
	__u64	reserved2[7];

	struct msr_queue_info queue[MSR_MAX_QUEUES];

	struct msr_macs macs;
};

/* Why a side gave up on its peer: for the peer's log, never acted upon. */
enum msr_fault {
	MSR_FAULT_NONE		= 0,
	MSR_FAULT_SECTION	= 1,	/* identity or queue table out of its rules */
	MSR_FAULT_INDEX		= 2,	/* a ring index jumped further than the ring is long */
	MSR_FAULT_DESC		= 3,	/* a descriptor that msr_check_desc refuses */
};

/*
 * Producer's lines of a ring, in the producer's section. Indices run free. The event has a line of
 * its own: the peer reads it after each store of its index, and it changes only before a sleep.
 */
struct msr_prod {
	__u32	idx;		/* descriptors published */
	__u32	reserved0[15];
	__u32	space_event;	/* ring my bell when cons.idx passes this */
	__u32	reserved1[15];
};

/* Consumer's lines of a ring, in the consumer's section. As above. */
struct msr_cons {
	__u32	idx;		/* descriptors released: slot and data are the producer's again */
	__u32	reserved0[15];
	__u32	data_event;	/* ring my bell when prod.idx passes this */
	__u32	reserved1[15];
};

enum msr_desc_type {
	MSR_DESC_FRAME	= 1,
	MSR_DESC_BURST	= 2,
};

/* flags of a frame */
#define MSR_FRAME_CSUM_PARTIAL	0x01	/* to be made: csum_start, csum_offset */
#define MSR_FRAME_CSUM_VALID	0x02	/* checksum was verified by the sender */
#define MSR_FRAME_FLAGS		0x03

enum msr_gso {
	MSR_GSO_NONE	= 0,
	MSR_GSO_TCPV4	= 1,
	MSR_GSO_TCPV6	= 2,
	MSR_GSO_UDP	= 3,	/* UDP segmentation (USO), either family */
};
#define MSR_GSO_ECN		0x80	/* or-ed to the TCP types: first segment carries CWR */

/* flags of a burst */
#define MSR_BURST_ICRC_OK	0x01	/* set by the back, which checked it; no reader tests it */
#define MSR_BURST_ACK_REQ	0x02	/* BTH.AckReq is set in the last packet, in no other */
#define MSR_BURST_SOLICITED	0x04	/* BTH.SE is set in the last packet, in no other */
#define MSR_BURST_FLAGS		0x07

/*
 * Ethernet frame, or a super-frame that the receiver's stack or NIC segments.
 * Data: the frame from its destination address on, without FCS.
 */
struct msr_frame {
	__u16	csum_start;	/* from the start of the frame; MSR_FRAME_CSUM_PARTIAL */
	__u16	csum_offset;	/* from csum_start */
	__u8	gso_type;	/* enum msr_gso, | MSR_GSO_ECN */
	__u8	reserved0;
	__u16	gso_size;	/* payload bytes a segment; 0 with MSR_GSO_NONE */
	__u32	hash;		/* flow hash of the sender, 0: none */
	__u32	reserved1;
};

/*
 * RoCEv2 packets of one message that differ by rule only:
 *
 * Data: Ethernet (with an 802.1Q tag or without), IPv4 or IPv6, UDP, BTH, ext_first bytes of
 * extension headers, ext_last bytes of extension headers, [gap up to hdr_len,] payload.
 * With nseg == 1 there is one packet: its extension headers are ext_first
 * followed by ext_last, its payload is all of it. With nseg > 1, packet i has
 *  - BTH.PSN + i, IPv4 identification + i,
 *  - BTH opcode of the template for i == 0, op_mid between, op_last at the end,
 *  - the first ext_first bytes for i == 0, none between, the ext_last bytes at the end,
 *  - seg_len bytes of payload, the last what remains (1..seg_len),
 *  - BTH.AckReq and BTH.SE by the flags above, BTH.PadCnt for its own payload.
 * Lengths and checksums in the IP and UDP headers of the template are 0 from front to back, and
 * from back to front as they were in the first packet. ICRC and pad bytes are not part of the data:
 * the back adds them to packets for the wire and takes them off packets from the wire.
 */
struct msr_burst {
	__u16	nseg;		/* packets, 1..MSR_MAX_SEGS */
	__u16	seg_len;	/* payload bytes of all packets but the last (SPEC.md) */
	__u8	op_mid;		/* BTH opcodes; equal to op_last when nseg < 3 */
	__u8	op_last;
	__u8	ext_first;	/* bytes, multiple of 4 */
	__u8	ext_last;	/* bytes, multiple of 4 */
	__u32	reserved[2];
};

#define MSR_MAX_SEGS		256
#define MSR_MAX_BURST_HDR	256		/* bytes, gap included */
#define MSR_MAX_BURST_DATA	(64u << 10)	/* payload bytes of one burst */
#define MSR_MAX_FRAME		((64u << 10) + 256)	/* TSO super-frame with its headers */
#define MSR_MIN_FRAME		14

struct msr_desc {
	__u32	off;		/* data, from the start of the producer's data area */
	__u32	len;		/* bytes of data */
	__u8	type;		/* enum msr_desc_type */
	__u8	flags;		/* MSR_FRAME_* or MSR_BURST_* */
	__u16	hdr_len;	/* burst: bytes before the payload; frame: 0 or bytes of headers */
	__u32	reserved;
	union {
		struct msr_frame frame;
		struct msr_burst burst;
	};
};

/* doc: SPEC.md "Sizes" repeats these numbers */
#define MSR_ASSERT(name, cond)	_Static_assert(cond, #name)
MSR_ASSERT(desc, sizeof(struct msr_desc) == 32);
MSR_ASSERT(frame, sizeof(struct msr_frame) == 16);
MSR_ASSERT(burst, sizeof(struct msr_burst) == 16);
MSR_ASSERT(prod, sizeof(struct msr_prod) == 2 * MSR_CACHE_LINE);
MSR_ASSERT(cons, sizeof(struct msr_cons) == 2 * MSR_CACHE_LINE);
MSR_ASSERT(qinfo, sizeof(struct msr_queue_info) == MSR_CACHE_LINE);
MSR_ASSERT(epoch, __builtin_offsetof(struct msr_section, epoch) == 64);
MSR_ASSERT(bell, __builtin_offsetof(struct msr_section, bell) == 128);
MSR_ASSERT(queue, __builtin_offsetof(struct msr_section, queue) == 320);
MSR_ASSERT(macs, sizeof(struct msr_macs) == 1088 &&
	   __builtin_offsetof(struct msr_section, macs) == 1344);
MSR_ASSERT(section, sizeof(struct msr_section) == 2432 &&
	   sizeof(struct msr_section) <= MSR_PAGE);

#endif /* MSR_WIRE_H */
