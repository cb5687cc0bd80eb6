// SPDX-License-Identifier: GPL-2.0
/*
 * ethtool -S of a link: what went through each queue in each direction, what was dropped
 * and why, and the bells.
 */
#include <linux/ethtool.h>

#include "link.h"

static const char * const stat_names[MOS_NR_STATS] = {
	[MOS_STAT_PACKETS]	= "packets",
	[MOS_STAT_BYTES]	= "bytes",
	[MOS_STAT_BURSTS]	= "bursts",
	[MOS_STAT_FULL]		= "full",
	[MOS_STAT_DROP_DOWN]	= "drop_down",
	[MOS_STAT_DROP_SIZE]	= "drop_size",
	[MOS_STAT_DROP_MEMORY]	= "drop_memory",
	[MOS_STAT_DROP_HEADER]	= "drop_header",
	[MOS_STAT_DROP_ICRC]	= "drop_icrc",
};

#define NR_BELL_STATS	4
#define NR_LINK_STATS	2

unsigned int mos_link_nr_stats(const struct mos_link *link)
{
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

void mos_link_stat_strings(const struct mos_link *link, u8 *data)
{
	unsigned int i, j;
	char name[16];

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

void mos_link_stat_values(struct mos_link *link, u64 *data)
{
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
