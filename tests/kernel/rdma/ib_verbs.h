/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part of the kernel's verbs that the transport uses; numbers that user space sees are as
 * there.
 */
#ifndef TESTS_KERNEL_IB_VERBS_H
#define TESTS_KERNEL_IB_VERBS_H

#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/ib_user_verbs.h>

#include "../kernel.h"

enum ib_qp_state {
	IB_QPS_RESET,
	IB_QPS_INIT,
	IB_QPS_RTR,
	IB_QPS_RTS,
	IB_QPS_SQD,
	IB_QPS_SQE,
	IB_QPS_ERR
};
enum ib_mig_state { IB_MIG_MIGRATED };
enum ib_mtu { IB_MTU_256 = 1, IB_MTU_512, IB_MTU_1024, IB_MTU_2048, IB_MTU_4096 };
enum ib_sig_type { IB_SIGNAL_ALL_WR, IB_SIGNAL_REQ_WR };
enum ib_port_state { IB_PORT_NOP, IB_PORT_DOWN, IB_PORT_INIT, IB_PORT_ARMED, IB_PORT_ACTIVE };
enum ib_gid_type { IB_GID_TYPE_IB, IB_GID_TYPE_ROCE, IB_GID_TYPE_ROCE_UDP_ENCAP };
enum rdma_network_type {
	RDMA_NETWORK_IB,
	RDMA_NETWORK_ROCE_V1,
	RDMA_NETWORK_IPV4,
	RDMA_NETWORK_IPV6
};
enum ib_cq_notify_flags { IB_CQ_SOLICITED = 1, IB_CQ_NEXT_COMP = 2 };
enum ib_mr_type { IB_MR_TYPE_MEM_REG };
enum ib_mw_type { IB_MW_TYPE_1 = 1, IB_MW_TYPE_2 };

enum ib_qp_type {
	IB_QPT_SMI,
	IB_QPT_GSI,
	IB_QPT_RC = IB_UVERBS_QPT_RC,
	IB_QPT_UC = IB_UVERBS_QPT_UC,
	IB_QPT_UD = IB_UVERBS_QPT_UD,
	IB_QPT_RAW_PACKET = IB_UVERBS_QPT_RAW_PACKET,
};

enum ib_event_type {
	IB_EVENT_CQ_ERR,
	IB_EVENT_QP_FATAL,
	IB_EVENT_QP_REQ_ERR,
	IB_EVENT_QP_ACCESS_ERR,
	IB_EVENT_COMM_EST,
	IB_EVENT_SQ_DRAINED,
	IB_EVENT_PATH_MIG,
	IB_EVENT_PATH_MIG_ERR,
	IB_EVENT_DEVICE_FATAL,
	IB_EVENT_PORT_ACTIVE,
	IB_EVENT_PORT_ERR,
	IB_EVENT_LID_CHANGE,
	IB_EVENT_PKEY_CHANGE,
	IB_EVENT_SM_CHANGE,
	IB_EVENT_SRQ_ERR,
	IB_EVENT_SRQ_LIMIT_REACHED,
	IB_EVENT_QP_LAST_WQE_REACHED,
};

enum ib_wr_opcode {
	IB_WR_RDMA_WRITE = IB_UVERBS_WR_RDMA_WRITE,
	IB_WR_RDMA_WRITE_WITH_IMM = IB_UVERBS_WR_RDMA_WRITE_WITH_IMM,
	IB_WR_SEND = IB_UVERBS_WR_SEND,
	IB_WR_SEND_WITH_IMM = IB_UVERBS_WR_SEND_WITH_IMM,
	IB_WR_RDMA_READ = IB_UVERBS_WR_RDMA_READ,
	IB_WR_ATOMIC_CMP_AND_SWP = IB_UVERBS_WR_ATOMIC_CMP_AND_SWP,
	IB_WR_ATOMIC_FETCH_AND_ADD = IB_UVERBS_WR_ATOMIC_FETCH_AND_ADD,
	IB_WR_BIND_MW = IB_UVERBS_WR_BIND_MW,
	IB_WR_SEND_WITH_INV = IB_UVERBS_WR_SEND_WITH_INV,
	IB_WR_LOCAL_INV = IB_UVERBS_WR_LOCAL_INV,
	IB_WR_REG_MR = 0x20,
};

enum ib_wc_status {
	IB_WC_SUCCESS,
	IB_WC_LOC_LEN_ERR,
	IB_WC_LOC_QP_OP_ERR,
	IB_WC_LOC_EEC_OP_ERR,
	IB_WC_LOC_PROT_ERR,
	IB_WC_WR_FLUSH_ERR,
	IB_WC_MW_BIND_ERR,
	IB_WC_BAD_RESP_ERR,
	IB_WC_LOC_ACCESS_ERR,
	IB_WC_REM_INV_REQ_ERR,
	IB_WC_REM_ACCESS_ERR,
	IB_WC_REM_OP_ERR,
	IB_WC_RETRY_EXC_ERR,
	IB_WC_RNR_RETRY_EXC_ERR,
};

enum ib_wc_opcode {
	IB_WC_SEND = IB_UVERBS_WC_SEND,
	IB_WC_RDMA_WRITE = IB_UVERBS_WC_RDMA_WRITE,
	IB_WC_RDMA_READ = IB_UVERBS_WC_RDMA_READ,
	IB_WC_COMP_SWAP = IB_UVERBS_WC_COMP_SWAP,
	IB_WC_FETCH_ADD = IB_UVERBS_WC_FETCH_ADD,
	IB_WC_BIND_MW = IB_UVERBS_WC_BIND_MW,
	IB_WC_LOCAL_INV = IB_UVERBS_WC_LOCAL_INV,
	IB_WC_REG_MR = 8,
	IB_WC_RECV = 1 << 7,
	IB_WC_RECV_RDMA_WITH_IMM,
};

enum ib_wc_flags {
	IB_WC_GRH = 1,
	IB_WC_WITH_IMM = 2,
	IB_WC_WITH_INVALIDATE = 4,
	IB_WC_IP_CSUM_OK = 8,
	IB_WC_WITH_SMAC = 16,
	IB_WC_WITH_VLAN = 32,
	IB_WC_WITH_NETWORK_HDR_TYPE = 64,
};

enum ib_send_flags {
	IB_SEND_FENCE = 1, IB_SEND_SIGNALED = 2, IB_SEND_SOLICITED = 4, IB_SEND_INLINE = 8,
};

enum ib_access_flags {
	IB_ACCESS_LOCAL_WRITE = 1,
	IB_ACCESS_REMOTE_WRITE = 2,
	IB_ACCESS_REMOTE_READ = 4,
	IB_ACCESS_REMOTE_ATOMIC = 8,
	IB_ACCESS_MW_BIND = 16,
};

enum ib_qp_attr_mask {
	IB_QP_STATE = 1 << 0,
	IB_QP_CUR_STATE = 1 << 1,
	IB_QP_EN_SQD_ASYNC_NOTIFY = 1 << 2,
	IB_QP_ACCESS_FLAGS = 1 << 3,
	IB_QP_PKEY_INDEX = 1 << 4,
	IB_QP_PORT = 1 << 5,
	IB_QP_QKEY = 1 << 6,
	IB_QP_AV = 1 << 7,
	IB_QP_PATH_MTU = 1 << 8,
	IB_QP_TIMEOUT = 1 << 9,
	IB_QP_RETRY_CNT = 1 << 10,
	IB_QP_RNR_RETRY = 1 << 11,
	IB_QP_RQ_PSN = 1 << 12,
	IB_QP_MAX_QP_RD_ATOMIC = 1 << 13,
	IB_QP_ALT_PATH = 1 << 14,
	IB_QP_MIN_RNR_TIMER = 1 << 15,
	IB_QP_SQ_PSN = 1 << 16,
	IB_QP_MAX_DEST_RD_ATOMIC = 1 << 17,
	IB_QP_PATH_MIG_STATE = 1 << 18,
	IB_QP_CAP = 1 << 19,
	IB_QP_DEST_QPN = 1 << 20,
	IB_QP_ATTR_STANDARD_BITS = (1 << 21) - 1,
};

enum {
	IB_OPCODE_RC_SEND_FIRST,
	IB_OPCODE_RC_SEND_MIDDLE,
	IB_OPCODE_RC_SEND_LAST,
	IB_OPCODE_RC_SEND_LAST_WITH_IMMEDIATE,
	IB_OPCODE_RC_SEND_ONLY,
	IB_OPCODE_RC_SEND_ONLY_WITH_IMMEDIATE,
	IB_OPCODE_RC_RDMA_WRITE_FIRST,
	IB_OPCODE_RC_RDMA_WRITE_MIDDLE,
	IB_OPCODE_RC_RDMA_WRITE_LAST,
	IB_OPCODE_RC_RDMA_WRITE_LAST_WITH_IMMEDIATE,
	IB_OPCODE_RC_RDMA_WRITE_ONLY,
	IB_OPCODE_RC_RDMA_WRITE_ONLY_WITH_IMMEDIATE,
	IB_OPCODE_RC_RDMA_READ_REQUEST,
	IB_OPCODE_RC_RDMA_READ_RESPONSE_FIRST,
	IB_OPCODE_RC_RDMA_READ_RESPONSE_MIDDLE,
	IB_OPCODE_RC_RDMA_READ_RESPONSE_LAST,
	IB_OPCODE_RC_RDMA_READ_RESPONSE_ONLY,
	IB_OPCODE_RC_ACKNOWLEDGE,
	IB_OPCODE_RC_ATOMIC_ACKNOWLEDGE,
	IB_OPCODE_RC_COMPARE_SWAP,
	IB_OPCODE_RC_FETCH_ADD,
	IB_OPCODE_RC_SEND_LAST_WITH_INVALIDATE = 0x16,
	IB_OPCODE_RC_SEND_ONLY_WITH_INVALIDATE,
	IB_OPCODE_UC = 0x20,
	IB_OPCODE_UC_SEND_FIRST = 0x20,
	IB_OPCODE_UC_SEND_MIDDLE,
	IB_OPCODE_UC_SEND_LAST,
	IB_OPCODE_UC_SEND_LAST_WITH_IMMEDIATE,
	IB_OPCODE_UC_SEND_ONLY,
	IB_OPCODE_UC_SEND_ONLY_WITH_IMMEDIATE,
	IB_OPCODE_UC_RDMA_WRITE_FIRST,
	IB_OPCODE_UC_RDMA_WRITE_MIDDLE,
	IB_OPCODE_UC_RDMA_WRITE_LAST,
	IB_OPCODE_UC_RDMA_WRITE_LAST_WITH_IMMEDIATE,
	IB_OPCODE_UC_RDMA_WRITE_ONLY,
	IB_OPCODE_UC_RDMA_WRITE_ONLY_WITH_IMMEDIATE,
	IB_OPCODE_UD_SEND_ONLY = 0x64,
	IB_OPCODE_UD_SEND_ONLY_WITH_IMMEDIATE,
};

#define IB_QP1_QKEY	0x80010000u

union ib_gid {
	u8 raw[16];
};

struct ib_device { struct net_device *netdev; };
struct ib_client { int unused; };
struct ib_event_handler { int unused; };
struct ib_ucontext { struct ib_device *device; };
struct ib_pd { struct ib_device *device; };
struct ib_cq { struct ib_device *device; };
struct ib_ah { struct ib_device *device; struct ib_pd *pd; };
struct ib_umem { int unused; };
struct rdma_user_mmap_entry { int unused; };
struct rdma_hw_stats { int unused; };
struct scatterlist { int unused; };
struct vm_area_struct { int unused; };
struct ib_cq_init_attr { unsigned int cqe; };
struct rdma_ah_init_attr { int unused; };
struct uverbs_attr_bundle { int unused; };
struct ib_mr { struct ib_device *device; struct ib_pd *pd; u32 lkey, rkey; u64 iova, length; };
struct ib_mw { struct ib_device *device; struct ib_pd *pd; u32 rkey; enum ib_mw_type type; };

/* Of a user: where the answer goes, and whose context it is */
struct ib_udata { void *outbuf; size_t outlen; struct ib_ucontext *context; };

struct ib_gid_attr {
	struct net_device *ndev;
	union ib_gid gid;
	enum ib_gid_type gid_type;
	int refs;
};

struct ib_global_route {
	const struct ib_gid_attr *sgid_attr;
	union ib_gid dgid;
	u32 flow_label;
	u8 sgid_index, hop_limit, traffic_class;
};

struct rdma_ah_attr {
	struct ib_global_route grh;
	u8 sl;
	u32 port_num;
	u8 ah_flags;
	struct { u8 dmac[ETH_ALEN]; } roce;
};

struct ib_qp_cap { u32 max_send_wr, max_recv_wr, max_send_sge, max_recv_sge, max_inline_data; };

struct ib_qp_attr {
	enum ib_qp_state qp_state, cur_qp_state;
	enum ib_mtu path_mtu;
	enum ib_mig_state path_mig_state;
	u32 qkey, rq_psn, sq_psn, dest_qp_num;
	int qp_access_flags;
	struct ib_qp_cap cap;
	struct rdma_ah_attr ah_attr, alt_ah_attr;
	u16 pkey_index, alt_pkey_index;
	u8 en_sqd_async_notify, sq_draining, max_rd_atomic, max_dest_rd_atomic, min_rnr_timer;
	u32 port_num;
	u8 timeout, retry_cnt, rnr_retry;
};

struct ib_qp;

struct ib_event {
	struct ib_device *device;
	union {
		struct ib_qp *qp;
		struct ib_cq *cq;
		struct ib_srq *srq;
	} element;
	enum ib_event_type event;
};

enum ib_srq_attr_mask { IB_SRQ_MAX_WR = 1, IB_SRQ_LIMIT = 2 };
struct ib_srq_attr { u32 max_wr, max_sge, srq_limit; };
struct ib_srq_init_attr { struct ib_srq_attr attr; };

struct ib_srq {
	struct ib_device *device;
	struct ib_pd *pd;
	void (*event_handler)(struct ib_event *event, void *context);
	void *srq_context;
};

struct ib_qp_init_attr {
	void (*event_handler)(struct ib_event *event, void *context);
	void *qp_context;
	struct ib_cq *send_cq, *recv_cq;
	struct ib_srq *srq;
	struct ib_qp_cap cap;
	enum ib_sig_type sq_sig_type;
	enum ib_qp_type qp_type;
	u32 create_flags, port_num;
	void *rwq_ind_tbl;
};

struct ib_qp {
	struct ib_device *device;
	struct ib_pd *pd;
	struct ib_cq *send_cq, *recv_cq;
	struct ib_srq *srq;
	void (*event_handler)(struct ib_event *event, void *context);
	void *qp_context;
	u32 qp_num;
	enum ib_qp_type qp_type;
};

struct ib_sge { u64 addr; u32 length, lkey; };

struct ib_send_wr {
	struct ib_send_wr *next;
	u64 wr_id;
	struct ib_sge *sg_list;
	int num_sge;
	enum ib_wr_opcode opcode;
	int send_flags;
	union {
		__be32 imm_data;
		u32 invalidate_rkey;
	} ex;
};

struct ib_rdma_wr { struct ib_send_wr wr; u64 remote_addr; u32 rkey; };
struct ib_atomic_wr { struct ib_send_wr wr; u64 remote_addr, compare_add, swap; u32 rkey; };
struct ib_ud_wr { struct ib_send_wr wr; struct ib_ah *ah; u32 remote_qpn, remote_qkey; };
struct ib_reg_wr { struct ib_send_wr wr; struct ib_mr *mr; u32 key; int access; };
struct ib_recv_wr { struct ib_recv_wr *next; u64 wr_id; struct ib_sge *sg_list; int num_sge; };

#define rdma_wr(w)	container_of(w, struct ib_rdma_wr, wr)
#define atomic_wr(w)	container_of(w, struct ib_atomic_wr, wr)
#define ud_wr(w)	container_of(w, struct ib_ud_wr, wr)
#define reg_wr(w)	container_of(w, struct ib_reg_wr, wr)

struct ib_wc {
	u64 wr_id;
	enum ib_wc_status status;
	enum ib_wc_opcode opcode;
	u32 vendor_err, byte_len;
	struct ib_qp *qp;
	union {
		__be32 imm_data;
		u32 invalidate_rkey;
	} ex;
	u32 src_qp, slid;
	int wc_flags;
	u16 pkey_index;
	u8 sl, dlid_path_bits;
	u32 port_num;
	u8 smac[ETH_ALEN];
	u16 vlan_id;
	u8 network_hdr_type;
};

struct ib_grh { u8 bytes[40]; };

static inline int ib_mtu_enum_to_int(enum ib_mtu mtu)
{
	return 128 << mtu;
}

/*
 * The transitions alone; which attributes one needs is the caller's, that is, the test's, to know.
 */
static inline bool ib_modify_qp_is_ok(enum ib_qp_state cur, enum ib_qp_state next,
				      enum ib_qp_type type, int mask)
{
	(void)type;
	(void)mask;
	if (next == IB_QPS_RESET || next == IB_QPS_ERR || cur == next)
		return true;
	switch (cur) {
	case IB_QPS_RESET:
		return next == IB_QPS_INIT;
	case IB_QPS_INIT:
		return next == IB_QPS_RTR;
	case IB_QPS_RTR:
	case IB_QPS_SQE:
		return next == IB_QPS_RTS;
	case IB_QPS_RTS:
		return next == IB_QPS_SQD;
	case IB_QPS_SQD:
		return next == IB_QPS_RTS;
	default:
		return false;
	}
}

#define rdma_udata_to_drv_context(udata, t, m) \
	((udata) ? container_of((udata)->context, t, m) : (t *)NULL)

static inline int ib_copy_to_udata(struct ib_udata *udata, const void *from, size_t len)
{
	if (len > udata->outlen)
		return -EFAULT;
	memcpy(udata->outbuf, from, len);
	return 0;
}

static inline bool rdma_is_multicast_addr(const struct in6_addr *a)
{
	return a->s6_addr[0] == 0xff || (ipv6_addr_v4mapped(a) && (a->s6_addr[12] & 0xf0) == 0xe0);
}

static inline enum rdma_network_type rdma_gid_attr_network_type(const struct ib_gid_attr *attr)
{
	return ipv6_addr_v4mapped((const struct in6_addr *)&attr->gid) ? RDMA_NETWORK_IPV4
								       : RDMA_NETWORK_IPV6;
}

static inline int rdma_read_gid_l2_fields(const struct ib_gid_attr *attr, u16 *vlan, u8 *smac)
{
	if (vlan)
		*vlan = 0xffff;
	if (smac)
		ether_addr_copy(smac, attr->ndev->dev_addr);
	return 0;
}

static inline u16 rdma_get_udp_sport(u32 flow, u32 lqpn, u32 rqpn)
{
	return 0xc000 | ((flow ^ lqpn ^ rqpn) & 0x3fff);
}

/* the test's: has the device this address? */
const struct ib_gid_attr *rdma_find_gid_by_port(struct ib_device *device, const union ib_gid *gid,
						enum ib_gid_type type, u32 port,
						struct net_device *ndev);

/* attr is part of a device of the test, and not constant */
static inline void rdma_hold_gid_attr(const struct ib_gid_attr *attr)
{
	((struct ib_gid_attr *)attr)->refs++;
}

static inline void rdma_put_gid_attr(const struct ib_gid_attr *attr)
{
	KERNEL_MUST(((struct ib_gid_attr *)attr)->refs-- > 0);
}

#endif /* TESTS_KERNEL_IB_VERBS_H */
