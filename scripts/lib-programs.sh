# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The unmodified RDMA programs that the demo and the test suite run between two guests of a lab: one table, one runner.
# Source after lib-session.sh, with LAB_NAME set; needs nothing else of the scripts.

# Columns, separated by |: name | how to know that the server waits | server | client | what is shown of the client's output.
#   waits   tcp:PORT    it listens on PORT          cm   it waits for an event of rdma_cm
#           listen      a cm_id of it listens            out:TEXT   it says TEXT
#           listen forever    the same, and will after the client has gone: it is ended
#           listen either     the same, or it ends with its client: cmtime does from rdma-core 56 on
#   {dev} {gid} are the guest's own RDMA device and the index of its IPv4 GID, {addr} the server's address,
#   {own} the guest's own.
#   shows   bw, lat (perftest's last line), pp (pingpong), count (lines that tell of a message), status and end (return value),
#           stream, copy, cmtime, qperf (what these print)
# The time-out -u 18 (1 s) is for busy hosts: with perftest's default of 67 ms they cause retransmissions.
programs_table() {
	cat <<-'END'
		ibv_rc_pingpong|tcp:18515|ibv_rc_pingpong -d {dev} -g {gid} -n 200|ibv_rc_pingpong -d {dev} -g {gid} -n 200 {addr}|pp
		ibv_ud_pingpong|tcp:18515|ibv_ud_pingpong -d {dev} -g {gid} -s 1024 -n 200|ibv_ud_pingpong -d {dev} -g {gid} -s 1024 -n 200 {addr}|pp
		rping|listen|rping -s -a {addr} -C 10 -v -S 1000|rping -c -a {addr} -C 10 -v -S 1000|count
		ucmatose|cm|ucmatose -b {addr} -C 50|ucmatose -s {addr} -C 50|status
		udaddy|cm|udaddy -b {addr} -C 50|udaddy -s {addr} -C 50|status
		mckey|out:receiving|stdbuf -oL mckey -b {addr} -m 239.77.0.7 -C 50|mckey -s -b {own} -m 239.77.0.7 -C 50|status
	END
	local test cm kind
	for cm in '' ' -R'; do
		for test in ib_send_bw ib_send_lat ib_write_bw ib_write_lat ib_read_bw ib_read_lat; do
			kind=${test##*_}
			printf '%s|%s|%s|%s {addr}|%s\n' "$test$cm" "$([[ -n $cm ]] && echo cm || echo tcp:18515)" \
				"$test -d {dev} -u 18 -F -n 100$cm" "$test -d {dev} -u 18 -F -n 100$cm" "$kind"
		done
	done
}

# programs_exec GUEST SECONDS SCRIPT [ARG...]
programs_exec() { session exec --name "${LAB_NAME:-default}" "$1" --timeout "$2" -- sh -c "$3" sh "${@:4}"; }

# programs_dev GUEST: its RDMA device.
programs_dev() { programs_exec "$1" 20 'ls /sys/class/infiniband' | head -n 1; }

# programs_gid GUEST DEV ADDRESS: index of the GID that is ADDRESS (IPv4).
programs_gid() {
	# shellcheck disable=SC2016
	programs_exec "$1" 20 'want=$(printf "0000:0000:0000:0000:0000:ffff:%02x%02x:%02x%02x" $(echo "$2" | tr . " "))
		for g in /sys/class/infiniband/$1/ports/1/gids/*; do
			[ "$(cat "$g" 2>/dev/null)" != "$want" ] || { echo "${g##*/}"; exit 0; }
		done; exit 1' "$2" "$3"
}

# Modes of the same programs, and further ones, that Soft-RoCE takes: each value of each option (operation, transport, SRQ, rdma_cm,
# events, inline, both directions, queue pairs, lists and moderation of work requests) with several of the others.
programs_modes() {
	cat <<-'END'
		ibv_rc_pingpong -c -e|tcp:18515|ibv_rc_pingpong -d {dev} -g {gid} -n 200 -c -e|ibv_rc_pingpong -d {dev} -g {gid} -n 200 -c -e {addr}|pp
		ibv_rc_pingpong -N|tcp:18515|ibv_rc_pingpong -d {dev} -g {gid} -n 200 -N|ibv_rc_pingpong -d {dev} -g {gid} -n 200 -N {addr}|pp
		ibv_uc_pingpong|tcp:18515|ibv_uc_pingpong -d {dev} -g {gid} -n 200|ibv_uc_pingpong -d {dev} -g {gid} -n 200 {addr}|pp
		ibv_uc_pingpong -e|tcp:18515|ibv_uc_pingpong -d {dev} -g {gid} -n 200 -e|ibv_uc_pingpong -d {dev} -g {gid} -n 200 -e {addr}|pp
		ibv_ud_pingpong -e|tcp:18515|ibv_ud_pingpong -d {dev} -g {gid} -s 1024 -n 200 -e|ibv_ud_pingpong -d {dev} -g {gid} -s 1024 -n 200 -e {addr}|pp
		ibv_srq_pingpong|tcp:18515|ibv_srq_pingpong -d {dev} -g {gid} -q 4 -n 200|ibv_srq_pingpong -d {dev} -g {gid} -q 4 -n 200 {addr}|pp
		ibv_srq_pingpong -e|tcp:18515|ibv_srq_pingpong -d {dev} -g {gid} -q 8 -n 200 -e|ibv_srq_pingpong -d {dev} -g {gid} -q 8 -n 200 -e {addr}|pp
		rping -V, 60 KB|listen|rping -s -a {addr} -C 5 -V -v -S 60000|rping -c -a {addr} -C 5 -V -v -S 60000|count
		ucmatose, 8 connections|cm|ucmatose -b {addr} -c 8 -C 20 -S 4000|ucmatose -s {addr} -c 8 -C 20 -S 4000|status
		rdma_client|listen|rdma_server|rdma_client -s {addr}|end
		rdma_xclient|listen|rdma_xserver -c r|rdma_xclient -s {addr} -c r|end
		rstream|listen|rstream -S 16384 -C 50|rstream -s {addr} -S 16384 -C 50|stream
		riostream|listen|riostream -S 16384 -C 50|riostream -s {addr} -S 16384 -C 50|stream
		rcopy|listen forever|rcopy|rcopy /bin/busybox {addr}:/tmp/rcopy.out|copy
		cmtime|listen either|cmtime -c 20|cmtime -s {addr} -c 20|cmtime
		qperf -cm 1|tcp:19765|qperf|qperf -cm 1 -t 1 {addr} rc_bi_bw rc_lat rc_rdma_read_bw rc_rdma_write_lat rc_rdma_write_poll_lat ver_rc_compare_swap ver_rc_fetch_add rc_compare_swap_mr quit|qperf
	END
	local test args
	while read -r test args; do
		printf '%s %s|%s|%s|%s {addr}|%s\n' "$test" "$args" "$([[ $args == *-R* ]] && echo cm || echo tcp:18515)" \
			"$test -d {dev} -u 18 -F $args" "$test -d {dev} -u 18 -F $args" "${test##*_}"
	done <<-'END'
		ib_atomic_bw -A CMP_AND_SWAP -n 100
		ib_atomic_bw -A FETCH_AND_ADD -n 100 -b -q 2 -e
		ib_atomic_lat -A CMP_AND_SWAP -n 100 -e
		ib_atomic_lat -A FETCH_AND_ADD -n 100 -R
		ib_atomic_bw -A FETCH_AND_ADD -n 100 -R -o 4
		ib_send_bw -c UC -n 100 -b -q 2
		ib_send_lat -c UC -n 100 -e -I 64 -s 64
		ib_write_bw -c UC -n 100 -I 64 -s 64 -q 2
		ib_write_lat -c UC -n 100
		ib_write_bw -c UC -a -n 5
		ib_send_bw -c UC -n 100 -e
		ib_send_bw -c UD -n 200 -s 1000 -b -e
		ib_send_lat -c UD -n 200 -s 8 -I 8
		ib_send_bw -c UD -n 200 -s 1000 -q 2 -R
		ib_send_bw --use-srq -q 4 -n 100
		ib_send_bw --use-srq -n 100 -e -R
		ib_send_lat --use-srq -n 100 -s 9000
		ib_write_bw -n 200 -R -b -t 16 -Q 4 -l 4
		ib_write_lat -n 100 -R -I 200 -s 200
		ib_read_bw -n 100 -b -t 16 -Q 1 -o 1
		ib_read_lat -n 100 -R -e -o 4
		ib_send_bw -n 200 -b -q 4 -l 8 -r 64
		ib_write_bw -q 4 -n 100
		ib_send_bw -q 4 -n 100 -e -R
		ib_read_bw -q 2 -n 100 -e -m 512
		ib_send_lat -n 100 -e -m 256 -s 5000
		ib_send_bw -n 5 -a
		ib_read_bw -n 5 -a
		ib_write_bw -n 5 -a
	END
}

# What runs in the server's guest: the program in the background, then waiting for it to wait.
# shellcheck disable=SC2016
PROGRAMS_SERVE='
	rm -f /tmp/program.rc /tmp/program.out
	(sh -c "exec $1"; echo $? >/tmp/program.rc) >/tmp/program.out 2>&1 </dev/null &
	i=0
	while [ $i -lt 200 ]; do
		pid=$(pgrep -n -x "$(echo "${1%% *}" | cut -c1-15)")
		case $2 in
		tcp:*) [ -z "$(ss -ltnH "sport = :${2#tcp:}")" ] || exit 0 ;;
		listen*) ! rdma resource show cm_id 2>/dev/null | grep -q "state LISTEN" || exit 0 ;;
		out:*) ! grep -q "${2#out:}" /tmp/program.out || exit 0 ;;
		cm) [ -z "$pid" ] || ! cat /proc/$pid/task/*/stack 2>/dev/null | grep -q ucma_get_event || exit 0 ;;
		esac
		if [ -e /tmp/program.rc ]; then break; fi
		i=$((i + 1))
		sleep 0.1
	done
	echo "the server does not wait for clients:"
	cat /tmp/program.out
	exit 1'

# shellcheck disable=SC2016
PROGRAMS_END='
	i=0
	case $2 in
	*forever | *either)
		cat /tmp/program.out
		if [ -e /tmp/program.rc ]; then
			echo "the server has ended"
			[ "${2##* }" = either ] || exit 1
			exit "$(cat /tmp/program.rc)"
		fi
		pkill -x "$(echo "${1%% *}" | cut -c1-15)"
		exit 0
		;;
	esac
	while [ ! -s /tmp/program.rc ] && [ $i -lt 100 ]; do
		i=$((i + 1))
		sleep 0.1
	done
	[ -s /tmp/program.rc ] || {
		pkill -x "$(echo "${1%% *}" | cut -c1-15)"
		echo "the server did not end within 10 s of the client"
		cat /tmp/program.out
		exit 124
	}
	cat /tmp/program.out
	exit "$(cat /tmp/program.rc)"'

# programs_figure KIND: what is shown of the client's output on stdin. perftest's latency is "inf" where the guest's clock
# jitters too much for it to find the TSC's rate.
programs_figure() {
	awk -v kind="$1" '
		kind == "bw" && $1 ~ /^[0-9]+$/ && NF >= 5 { figure = $4 " MB/s" }
		kind == "lat" && $1 ~ /^[0-9]+$/ && NF >= 5 { figure = $5 == "inf" ? "no clock rate" : $5 " us" }
		kind == "pp" && /usec\/iter/ { figure = $(NF - 1) " us/iteration" }
		kind == "count" && /^ping data/ { n++; figure = n " messages" }
		kind == "status" && /^return status/ { figure = "status " $3 }
		kind == "end" && / end / { figure = "status " $NF }
		kind == "stream" && /^custom/ { figure = $(NF - 1) " Gb/s" }
		kind == "copy" && / bytes in / { figure = $1 " bytes" }
		kind == "cmtime" && /^connect / { figure = $NF " us/connect" }
		kind == "cmtime" && /^full connect / { figure = $3 " us/connect" }
		kind == "qperf" && /^ +(bw|latency|msg_rate) +=/ { n++; figure = n " measures" }
		END { print figure }'
}

# programs_know GUEST: notes its RDMA device and the GID of its address; false when it has not both.
programs_know() {
	PROGRAMS_DEV[$1]=$(programs_dev "$1") && PROGRAMS_GID[$1]=$(programs_gid "$1" "${PROGRAMS_DEV[$1]:-none}" "${PROGRAMS_ADDRESS[$1]}")
}

# program_run SERVER CLIENT ADDRESS SECONDS WAITS SERVER-CMD CLIENT-CMD SHOWS: one program between two guests. PROGRAM_FIGURE
# and PROGRAM_OUTPUT are set; false when either side failed or the client printed no result.
program_run() {
	local server=$1 client=$2 address=$3 seconds=$4 waits=$5 server_cmd=$6 client_cmd=$7 shows=$8 rc=0 key try
	PROGRAM_FIGURE='' PROGRAM_OUTPUT=''
	for key in server client; do
		local dev gid cmd=${key}_cmd guest=${!key} own=$address
		[[ $key == server ]] || own=${PROGRAMS_ADDRESS[$guest]}
		[[ -n ${PROGRAMS_GID[$guest]:-} ]] || programs_know "$guest" || true
		dev=${PROGRAMS_DEV[$guest]:-} gid=${PROGRAMS_GID[$guest]:-}
		if [[ -z $dev || -z $gid ]]; then
			PROGRAM_OUTPUT="$guest: RDMA device '${dev:-none}', no GID for its address"
			return 1
		fi
		local line=${!cmd}
		line=${line//\{dev\}/$dev} line=${line//\{gid\}/$gid} line=${line//\{addr\}/$address} line=${line//\{own\}/${PROGRAMS_ADDRESS[$guest]:-$own}}
		printf -v "$cmd" '%s' "$line"
	done
	# A child of its server crashes at the end of each test over rdma_cm, with Soft-RoCE on both sides as well.
	[[ ${server_cmd%% *} != qperf ]] || programs_exec "$server" 20 "echo multios-program: may crash: qperf >/dev/kmsg" || true
	# With -R perftest connects twice, as qperf does for each test, and its client may be there before its server listens again:
	# "no such service" (8).
	for ((try = 0; try < 3; try++)); do
		rc=0
		PROGRAM_OUTPUT=$(programs_exec "$server" 40 "$PROGRAMS_SERVE" "$server_cmd" "$waits" 2>&1) || return 1
		PROGRAM_OUTPUT=$(programs_exec "$client" "$seconds" "exec $client_cmd" 2>&1) || rc=$?
		PROGRAM_FIGURE=$(programs_figure "$shows" <<<"$PROGRAM_OUTPUT")
		PROGRAM_OUTPUT+=$'\n--- server:\n'$(programs_exec "$server" 30 "$PROGRAMS_END" "$server_cmd" "$waits" 2>&1) || rc=${rc/#0/1}
		# mckey counts datagrams, of which a busy host loses some.
		[[ $server_cmd != *mckey* || $PROGRAM_OUTPUT != *'did not end within'* ]] || continue
		[[ $PROGRAM_OUTPUT == *'RDMA_CM_EVENT_REJECTED; error: 8.'* || $PROGRAM_OUTPUT == *'Event rejected'* ]] || break
		# The client may crash over it: whoever reads the kernel log is told whose fault that is.
		programs_exec "$client" 20 "echo multios-program: may crash: ${client_cmd%% *} >/dev/kmsg" || true
	done
	((rc == 0)) && [[ -n $PROGRAM_FIGURE && $PROGRAM_FIGURE != 'status '[1-9-]* ]]
}
declare -A PROGRAMS_DEV=() PROGRAMS_GID=()
# shellcheck disable=SC2034
declare -A PROGRAMS_ADDRESS=([front]=10.77.0.1 [peer]=10.77.0.2)
