// SPDX-License-Identifier: GPL-2.0
/*
 * Hardware counters, by the names that rdma_rxe and mlx5 have made known, and our own for the
 * reasons for which a packet is dropped. CNPs are ignored (mlx5: rp_cnp_ignored), as there is no
 * congestion control that could handle them.
 */
#include "mrdma.h"
#include "stats.h"

static const struct rdma_stat_desc descs[MRDMA_NR_COUNTERS] = {
	[MRDMA_CNT_SENT_PKTS].name	= "sent_pkts",
	[MRDMA_CNT_RCVD_PKTS].name	= "rcvd_pkts",
	[MRDMA_CNT_DUP_REQ].name	= "duplicate_request",
	[MRDMA_CNT_OUT_OF_SEQ].name	= "out_of_seq_request",
	[MRDMA_CNT_RCV_RNR].name	= "rcvd_rnr_err",
	[MRDMA_CNT_SND_RNR].name	= "send_rnr_err",
	[MRDMA_CNT_RCV_SEQ_ERR].name	= "rcvd_seq_err",
	[MRDMA_CNT_RETRY_EXCEEDED].name	= "retry_exceeded_err",
	[MRDMA_CNT_RNR_EXCEEDED].name	= "retry_rnr_exceeded_err",
	[MRDMA_CNT_RETRY].name		= "completer_retry_err",
	[MRDMA_CNT_SEND_ERR].name	= "send_err",
	[MRDMA_CNT_LINK_DOWNED].name	= "link_downed",
	[MRDMA_CNT_SENDS].name		= "rdma_sends",
	[MRDMA_CNT_RECVS].name		= "rdma_recvs",
	[MRDMA_CNT_NOT_SENT].name	= "send_dropped_pkts",
	[MRDMA_CNT_MALFORMED].name	= "rcvd_malformed_pkts",
	[MRDMA_CNT_BAD_ADDRESS].name	= "rcvd_bad_address_pkts",
	[MRDMA_CNT_BAD_PKEY].name	= "rcvd_bad_pkey_pkts",
	[MRDMA_CNT_NO_QP].name		= "rcvd_unknown_qp_pkts",
	[MRDMA_CNT_QP_STATE].name	= "rcvd_wrong_state_pkts",
	[MRDMA_CNT_PORT_DOWN].name	= "rcvd_port_down_pkts",
	[MRDMA_CNT_CNP].name		= "rp_cnp_ignored",
	[MRDMA_CNT_BAD_QKEY].name	= "rcvd_bad_qkey_pkts",
	[MRDMA_CNT_NO_BUFFER].name	= "out_of_buffer",
	[MRDMA_CNT_REFUSED].name	= "rcvd_refused_pkts",
	[MRDMA_CNT_ECN].name		= "np_ecn_marked_roce_packets",
	[MRDMA_CNT_PATH_UPDATES].name	= "path_updates",
};

struct rdma_hw_stats *mrdma_alloc_hw_port_stats(struct ib_device *ibdev, u32 port)
{
	return rdma_alloc_hw_stats_struct(descs, ARRAY_SIZE(descs),
					  RDMA_HW_STATS_DEFAULT_LIFESPAN);
}

int mrdma_get_hw_stats(struct ib_device *ibdev, struct rdma_hw_stats *stats, u32 port, int index)
{
	struct mrdma_dev *dev = to_mrdma_dev(ibdev);
	int cpu, i;

	if (!port || !stats)
		return -EINVAL;
	for (i = 0; i < MRDMA_NR_COUNTERS; i++) {
		u64 sum = 0;

		for_each_possible_cpu(cpu)
			sum += READ_ONCE(per_cpu_ptr(dev->stats, cpu)->count[i]);
		stats->value[i] = sum;
	}
	return MRDMA_NR_COUNTERS;
}
