// SPDX-License-Identifier: GPL-2.0
/*
 * The back OS in sysfs, beside the device's PCI function: its state, and commands to it.
 */
#include <linux/device.h>
#include <linux/io.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "../guest-kmod-common/regs.h"
#include "front.h"

static const char * const state_names[] = {
	[MULTIOS_BACK_OFF]	= "off",
	[MULTIOS_BACK_RUNNING]	= "running",
	[MULTIOS_BACK_STOPPED]	= "stopped",
	[MULTIOS_BACK_CRASHED]	= "crashed",
};

static const char * const reason_names[] = {
	[MULTIOS_REASON_NONE]		= "none",
	[MULTIOS_REASON_COMMAND]	= "command",
	[MULTIOS_REASON_POWEROFF]	= "power-off",
	[MULTIOS_REASON_RESET]		= "reset",
	[MULTIOS_REASON_PANIC]		= "panic",
	[MULTIOS_REASON_FAULT]		= "fault",
	[MULTIOS_REASON_HUNG]		= "hung",
};

static const char * const commands[] = {
	[MULTIOS_CTL_START - 1]		= "start",
	[MULTIOS_CTL_STOP - 1]		= "stop",
	[MULTIOS_CTL_RESTART - 1]	= "restart",
	[MULTIOS_CTL_POWER_DOWN - 1]	= "power-down",
};

static u32 read_reg(struct device *dev, unsigned int reg)
{
	struct mrdma_front *front = dev_get_drvdata(dev);

	return readl(front->regs + reg);
}

const char *mrdma_back_state_name(u32 state)
{
	return state < ARRAY_SIZE(state_names) ? state_names[state] : "unknown";
}

void mrdma_back_command(struct mrdma_front *front, u32 command)
{
	writel(command, front->regs + MULTIOS_REG_BACK_CTL);
}

bool mrdma_back_is_asked(struct mrdma_front *front)
{
	return readl(front->regs + MULTIOS_REG_REQUEST) & MULTIOS_REQUEST_POWER_DOWN;
}

static ssize_t back_state_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n",
			  mrdma_back_state_name(read_reg(dev, MULTIOS_REG_BACK_STATE)));
}
static DEVICE_ATTR_RO(back_state);

static ssize_t back_reason_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	u32 reason = read_reg(dev, MULTIOS_REG_BACK_REASON);

	return sysfs_emit(buf, "%s\n",
			  reason < ARRAY_SIZE(reason_names) ? reason_names[reason] : "unknown");
}
static DEVICE_ATTR_RO(back_reason);

static ssize_t back_generation_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", read_reg(dev, MULTIOS_REG_BACK_GENERATION));
}
static DEVICE_ATTR_RO(back_generation);

static ssize_t back_command_store(struct device *dev, struct device_attribute *attr,
				  const char *buf, size_t count)
{
	struct mrdma_front *front = dev_get_drvdata(dev);
	int i = sysfs_match_string(commands, buf);

	if (i < 0)
		return i;
	mrdma_back_command(front, i + 1);
	return count;
}
static DEVICE_ATTR_WO(back_command);

static struct attribute *control_attrs[] = {
	&dev_attr_back_state.attr,
	&dev_attr_back_reason.attr,
	&dev_attr_back_generation.attr,
	&dev_attr_back_command.attr,
	NULL
};

static const struct attribute_group control_group = {
	.attrs = control_attrs,
};

const struct attribute_group *mrdma_control_groups[] = { &control_group, NULL };
