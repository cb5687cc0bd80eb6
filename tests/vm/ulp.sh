#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tests/vm/ulp.sh [OPTIONS]
#
# Kernel users of the RDMA vNIC, stock and with their defaults, each with the front on either side: NVMe over RDMA (nvme-rdma,
# nvmet-rdma) with a file system on it, and NFS over RDMA (version 4.2). What one side writes is compared by its sum with what
# the other has, through the RDMA connection and past it.

# shellcheck disable=SC2016,SC2086,SC2317 # scripts for guests are quoted; functions are called by their names
. "$(dirname "$(readlink -f "$0")")/lib.sh"
vm_begin "$@"
vm_up $SHARED_LAB || tap_abort "lab up"
check "MTU 4200 on every device" set_mtu 4200

declare -A ADDRESS=([front]=$front_ip [peer]=$peer_ip)
RANDOM_MIB=12

# random_file GUEST: makes it once per guest; its sum.
random_file() {
	on "$1" "[ -s /tmp/random.ulp ] || dd if=/dev/urandom of=/tmp/random.ulp bs=1M count=$RANDOM_MIB 2>/dev/null; sha256sum </tmp/random.ulp"
}

# same NAME SUM SUM: two sums of files that exist.
same() {
	[[ ${#2} -gt 60 && $2 == "$3" ]] || {
		echo "$1: $2 and $3"
		return 1
	}
}

### NVMe

nvmet_start() { # GUEST ADDRESS
	on "$1" -t 60 'modprobe nvmet-rdma && modprobe brd rd_nr=1 rd_size=65536 &&
		{ [ -d /sys/kernel/config/nvmet ] || mount -t configfs none /sys/kernel/config; } &&
		cd /sys/kernel/config/nvmet && mkdir -p subsystems/ulp/namespaces/1 ports/1 && cd subsystems/ulp &&
		echo 1 >attr_allow_any_host && echo -n /dev/ram0 >namespaces/1/device_path && echo 1 >namespaces/1/enable &&
		cd ../../ports/1 && echo rdma >addr_trtype && echo ipv4 >addr_adrfam && echo $1 >addr_traddr && echo 4420 >addr_trsvcid &&
		ln -s /sys/kernel/config/nvmet/subsystems/ulp subsystems/ulp' "$2"
}
nvmet_stop() {
	on "$1" -t 60 'cd /sys/kernel/config/nvmet && rm ports/1/subsystems/ulp && rmdir ports/1 subsystems/ulp/namespaces/1 subsystems/ulp &&
		cd / && rmmod nvmet-rdma && rmmod nvmet && rmmod brd'
}
nvme_connect() { # GUEST ADDRESS
	on "$1" -t 90 'modprobe nvme-rdma && echo "transport=rdma,traddr=$1,trsvcid=4420,nqn=ulp" >/dev/nvme-fabrics &&
		i=0; until [ -b /dev/nvme0n1 ]; do i=$((i + 1)); [ $i -lt 100 ] || exit 1; sleep 0.1; done' "$2"
}
nvme_disconnect() {
	on "$1" -t 60 'echo 1 >/sys/class/nvme/nvme0/delete_controller; i=0; while [ -e /sys/class/nvme/nvme0 ]; do
		i=$((i + 1)); [ $i -lt 100 ] || exit 1; sleep 0.1; done; rmmod nvme-rdma'
}
nvme_write() {
	on "$1" -t 120 'mkfs.ext4 -q -F /dev/nvme0n1 && mkdir -p /tmp/ulp && mount /dev/nvme0n1 /tmp/ulp && cp /tmp/random.ulp /tmp/ulp/big &&
		mkdir /tmp/ulp/d && i=0; while [ $i -lt 50 ]; do echo $i >/tmp/ulp/d/$i || exit 1; i=$((i + 1)); done; umount /tmp/ulp'
}
# Mounted anew, so that nothing comes from the page cache.
nvme_read() {
	on "$1" -t 120 'mount /dev/nvme0n1 /tmp/ulp && sha256sum </tmp/ulp/big && [ "$(cat /tmp/ulp/d/* | sort -n | tail -n 1)" = 49 ]; rc=$?
		umount /tmp/ulp; exit $rc'
}
# What the target has, read there without RDMA.
nvmet_content() {
	on "$1" -t 120 'fsck.ext4 -f -n /dev/ram0 >/tmp/fsck.out 2>&1 || { cat /tmp/fsck.out; exit 1; }
		mkdir -p /tmp/ulp && mount -o ro /dev/ram0 /tmp/ulp && sha256sum </tmp/ulp/big; rc=$?; umount /tmp/ulp; exit $rc'
}

nvme() { # HOST TARGET
	local host=$1 target=$2 name="NVMe, target on the $2" sum
	sum=$(random_file "$host")
	check "$name: starts" nvmet_start "$target" "${ADDRESS[$target]}" || return
	check "$name: connected" nvme_connect "$host" "${ADDRESS[$target]}" || return
	check "$name: file system made and written" nvme_write "$host"
	check "$name: read back" same read "$sum" "$(nvme_read "$host")"
	check "$name: disconnected" nvme_disconnect "$host"
	check "$name: fsck and content there" same content "$sum" "$(nvmet_content "$target")"
	check "$name: stopped" nvmet_stop "$target"
}

### NFS

nfsd_start() {
	on "$1" -t 60 'modprobe rpcrdma && mkdir -p /tmp/export && mount -t tmpfs none /tmp/export && mkdir -p /run/rpc_pipefs /var/lib/nfs/v4recovery &&
		{ [ -e /proc/fs/nfsd/threads ] || { modprobe nfsd && mount -t nfsd none /proc/fs/nfsd; }; } &&
		exportfs -o rw,insecure,no_root_squash,no_subtree_check,fsid=0 "*:/tmp/export" && rpc.mountd -N 3 &&
		rpc.nfsd -N 3 -G 10 --rdma=20049 2 && grep "^rdma 20049" /proc/fs/nfsd/portlist && echo Y >/proc/fs/nfsd/v4_end_grace'
}
nfsd_stop() {
	on "$1" -t 60 'rpc.nfsd 0; exportfs -au; kill $(pidof rpc.mountd); umount /tmp/export'
}
nfs_mount() { # GUEST ADDRESS
	on "$1" -t 90 'modprobe rpcrdma && mkdir -p /tmp/nfs && mount -i -t nfs4 -o "vers=4.2,proto=rdma,port=20049,addr=$1,clientaddr=0.0.0.0" "$1:/" /tmp/nfs &&
		grep -q "proto=rdma" /proc/mounts' "$2"
}
nfs_write() {
	on "$1" -t 120 'cp /tmp/random.ulp /tmp/nfs/big && mkdir /tmp/nfs/d && i=0
		while [ $i -lt 50 ]; do echo $i >/tmp/nfs/d/$i || exit 1; i=$((i + 1)); done; umount /tmp/nfs'
}
nfs_read() {
	on "$1" -t 120 'sha256sum </tmp/nfs/big && [ "$(cat /tmp/nfs/d/* | sort -n | tail -n 1)" = 49 ]'
}

nfs() { # CLIENT SERVER
	local client=$1 server=$2 name="NFS, server on the $2" sum
	sum=$(random_file "$client")
	check "$name: starts" nfsd_start "$server" || return
	check "$name: mounted" nfs_mount "$client" "${ADDRESS[$server]}" || return
	check "$name: written" nfs_write "$client"
	check "$name: content there" same content "$sum" "$(on "$server" 'sha256sum </tmp/export/big')"
	check "$name: mounted again" nfs_mount "$client" "${ADDRESS[$server]}"
	check "$name: read back" same read "$sum" "$(nfs_read "$client")"
	check "$name: unmounted" on "$client" -t 60 "umount /tmp/nfs"
	check "$name: stopped" nfsd_stop "$server"
}

# The front's objects, but for completion queues: those that kernel users share stay with the device.
left_over() { objects front | sed 's/ cq [0-9]*//'; }

before=$(left_over)
nvme front peer
nvme peer front
nfs front peer
nfs peer front
check_eq "nothing is left in the front" "$(left_over)" "$before"
check_logs "after all of it"
vm_end
