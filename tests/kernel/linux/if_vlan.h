/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_KERNEL_IF_VLAN_H
#define TESTS_KERNEL_IF_VLAN_H

#define VLAN_HLEN	4

#endif /* TESTS_KERNEL_IF_VLAN_H */
