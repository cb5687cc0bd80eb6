// SPDX-License-Identifier: GPL-2.0
/*
 * ethtool of both netdevs, above all -S: counters of each queue and direction, drops by reason,
 * doorbells.
 */
#include <linux/ethtool.h>

#include "eth.h"

static const char * const stat_names[MOS_NR_STATS] = {
	[MOS_STAT_PACKETS]	= "packets",
	[MOS_STAT_BYTES]	= "bytes",
	[MOS_STAT_DESCS]	= "descs",
	[MOS_STAT_FULL]		= "full",
	[MOS_STAT_DROP_DOWN]	= "drop_down",
	[MOS_STAT_DROP_SIZE]	= "drop_size",
	[MOS_STAT_DROP_MEMORY]	= "drop_memory",
	[MOS_STAT_DROP_HEADER]	= "drop_header",
	[MOS_STAT_DROP_ICRC]	= "drop_icrc",
};

#define NR_BELL_STATS	4
#define NR_LINK_STATS	2

static int get_sset_count(struct net_device *dev, int sset)
{
	const struct mos_link *link = mos_netdev_link(dev);

	if (sset != ETH_SS_STATS)
		return -EOPNOTSUPP;
	return NR_LINK_STATS + NR_BELL_STATS * MSR_BELL_QUEUE(link->nr_queues) +
	       2 * MOS_NR_STATS * link->nr_queues;
}

static void bell_strings(u8 **data, const char *name)
{
	ethtool_sprintf(data, "%s_bells_sent", name);
	ethtool_sprintf(data, "%s_bells_received", name);
	ethtool_sprintf(data, "%s_bells_absent", name);
	ethtool_sprintf(data, "%s_bells_refused", name);
}

static void get_strings(struct net_device *dev, u32 sset, u8 *data)
{
	const struct mos_link *link = mos_netdev_link(dev);
	unsigned int i, j;
	char name[16];

	if (sset != ETH_SS_STATS)
		return;
	ethtool_sprintf(&data, "link_ups");
	ethtool_sprintf(&data, "link_faults");
	bell_strings(&data, "link");
	for (i = 0; i < link->nr_queues; i++) {
		const struct msr_queue_info *info = &link->queue[i].info;

		snprintf(name, sizeof(name), "%s%u",
			 info->channel == MSR_CHAN_ROCE ? "roce" : "eth", info->index);
		for (j = 0; j < MOS_NR_STATS; j++)
			ethtool_sprintf(&data, "%s_to_ring_%s", name, stat_names[j]);
		for (j = 0; j < MOS_NR_STATS; j++)
			ethtool_sprintf(&data, "%s_from_ring_%s", name, stat_names[j]);
		bell_strings(&data, name);
	}
}

static u64 *bell_values(const struct mos_link *link, unsigned int n, u64 *data)
{
	struct mos_bell_stats stats;

	mos_bell_get_stats(link->bell, n, &stats);
	*data++ = stats.sent;
	*data++ = stats.received;
	*data++ = stats.absent;
	*data++ = stats.refused;
	return data;
}

static void get_ethtool_stats(struct net_device *dev, struct ethtool_stats *stats, u64 *data)
{
	const struct mos_link *link = mos_netdev_link(dev);
	unsigned int i, j;

	*data++ = READ_ONCE(link->ups);
	*data++ = READ_ONCE(link->faults);
	data = bell_values(link, MSR_BELL_LINK, data);
	for (i = 0; i < link->nr_queues; i++) {
		for (j = 0; j < MOS_NR_STATS; j++)
			*data++ = READ_ONCE(link->queue[i].to_ring[j]);
		for (j = 0; j < MOS_NR_STATS; j++)
			*data++ = READ_ONCE(link->queue[i].from_ring[j]);
		data = bell_values(link, MSR_BELL_QUEUE(i), data);
	}
}

static void get_drvinfo(struct net_device *dev, struct ethtool_drvinfo *info)
{
	strscpy(info->driver, KBUILD_MODNAME, sizeof(info->driver));
	strscpy(info->bus_info, dev_name(dev->dev.parent), sizeof(info->bus_info));
	snprintf(info->fw_version, sizeof(info->fw_version), "ring %u", MSR_VERSION);
}

static int get_link_ksettings(struct net_device *dev, struct ethtool_link_ksettings *cmd)
{
	/* A made-up line rate, as veth's: bonding, bridges and ib_core want one. */
	cmd->base.speed = SPEED_10000;
	cmd->base.duplex = DUPLEX_FULL;
	cmd->base.port = PORT_OTHER;
	cmd->base.autoneg = AUTONEG_DISABLE;
	return 0;
}

const struct ethtool_ops mos_ethtool_ops = {
	.get_drvinfo		= get_drvinfo,
	.get_link		= ethtool_op_get_link,
	.get_link_ksettings	= get_link_ksettings,
	.get_sset_count		= get_sset_count,
	.get_strings		= get_strings,
	.get_ethtool_stats	= get_ethtool_stats,
	.get_ts_info		= ethtool_op_get_ts_info,
};
