// SPDX-License-Identifier: GPL-2.0-or-later
/* Options, the agreement between client and server, and the loop of rounds. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "vc.h"

#define ROUNDS_PER_SETUP	40	/* then all queue pairs, queues and regions are made anew */

static const char usage[] =
"usage: verbs-check [OPTIONS]            server: takes one client and its options\n"
"       verbs-check [OPTIONS] HOST       client\n"
"\n"
"Exchanges random messages over RC, UC and UD queue pairs and checks every byte on both ends, guard bytes around them too.\n"
"SIGUSR1 to either ends both as if the seconds were over.\n"
"Last line: N messages, N bytes, N wrong. Exit 0: none wrong; 1: some wrong; 2: could not run or a request failed; 3: stuck.\n"
"\n"
"  -s, --seconds N      stop after N seconds (10)\n"
"  -n, --messages N     stop after N messages\n"
"  -S, --seed N         repeat the run of this seed (else a new one, printed)\n"
"  -q, --qps N          RC queue pairs, 1-16 (3)\n"
"  -m, --path-mtu N     256, 512, 1024, 2048 or 4096 (the ports' active MTU)\n"
"  -z, --max-size N     bytes of a message, up to 64 MiB (4 MiB)\n"
"  -o, --ops LIST       of write,write_imm,read,send,send_imm,cas,add,ud,uc (all)\n"
"  -t, --timeout N      transport timer, 4.096 us << N (18)\n"
"  -T, --stall N        seconds without progress that count as stuck (60)\n"
"  -k, --keep           keep the queue pairs to the end (else new ones every %d rounds)\n"
"  -l, --lossy          datagrams and UC messages may get lost or come twice\n"
"  -P, --patience MS    without any of those that are missing, until they count as lost (1000, else 5000)\n"
"  -e, --errors         the error cases instead: wrong keys, ranges, rights, no receive, queue pair gone, ...\n"
"  -M, --memory         or what keys open: memory windows, invalidation, re-registration; the client's device\n"
"  -X, --states         or the states of queue pairs: all transitions, attributes, flush; the client's device\n"
"  -b, --big N          or one WRITE to the server and one READ from it of N bytes, up to 2 GiB\n"
"  -r, --reads N        or READs of N bytes without end, until the server's SENDs beside them have come\n"
"  -Q, --queues         the queue cases instead: shared receive queues, resizing, overrun, events\n"
"  -6, --ipv6           use a GID with a global IPv6 address (else IPv4)\n"
"own to each side:\n"
"  -d, --device NAME    RDMA device (the first)\n"
"  -g, --gid-index N    GID (the first of RoCE v2 that fits)\n"
"  -p, --port N         TCP port (18600)\n"
"  -w, --wait N         seconds to wait for the other side (60)\n";

static uint64_t number(const char *option, const char *s, uint64_t min, uint64_t max)
{
	char *end;
	uint64_t n = strtoull(s, &end, 0);

	if (!*s || *end || *s == '-' || n < min || n > max)
		vc_die("%s is '%s': must be a number from %llu to %llu", option, s, (unsigned long long)min, (unsigned long long)max);
	return n;
}

static uint32_t op_list(char *s)
{
	static const char *const names[VC_NR_OPS] = { "write", "write_imm", "read", "send", "send_imm", "cas", "add", "ud", "uc" };
	uint32_t ops = 0;
	char *word;
	int i;

	for (word = strtok(s, ","); word; word = strtok(NULL, ",")) {
		for (i = 0; i < VC_NR_OPS && strcmp(word, names[i]); i++)
			;
		if (i == VC_NR_OPS)
			vc_die("--ops names '%s': must be of write,write_imm,read,send,send_imm,cas,add,ud,uc", word);
		ops |= 1u << i;
	}
	if (!ops)
		vc_die("--ops names nothing");
	return ops;
}

static const struct option options[] = {
	{ "seconds", 1, NULL, 's' }, { "messages", 1, NULL, 'n' }, { "seed", 1, NULL, 'S' }, { "qps", 1, NULL, 'q' },
	{ "path-mtu", 1, NULL, 'm' }, { "max-size", 1, NULL, 'z' }, { "ops", 1, NULL, 'o' }, { "timeout", 1, NULL, 't' },
	{ "stall", 1, NULL, 'T' }, { "keep", 0, NULL, 'k' }, { "lossy", 0, NULL, 'l' },
	{ "patience", 1, NULL, 'P' }, { "errors", 0, NULL, 'e' }, { "memory", 0, NULL, 'M' },
	{ "queues", 0, NULL, 'Q' }, { "states", 0, NULL, 'X' },
	{ "big", 1, NULL, 'b' }, { "reads", 1, NULL, 'r' }, { "ipv6", 0, NULL, '6' },
	{ "device", 1, NULL, 'd' }, { "gid-index", 1, NULL, 'g' }, { "port", 1, NULL, 'p' }, { "wait", 1, NULL, 'w' },
	{ "help", 0, NULL, 'h' }, { NULL, 0, NULL, 0 },
};

static void parse(struct vc *vc, int argc, char **argv, const char **port, int *wait)
{
	struct vc_config *c = &vc->cfg;
	int o;

	while ((o = getopt_long(argc, argv, "s:n:S:q:m:z:o:t:T:klP:eMQ6Xb:r:d:g:p:w:h", options, NULL)) != -1) {
		switch (o) {
		case 's': c->seconds = number("--seconds", optarg, 1, 1000000); break;
		case 'n': c->messages = number("--messages", optarg, 1, UINT64_MAX); break;
		case 'S': c->seed = number("--seed", optarg, 0, UINT64_MAX); break;
		case 'q': c->qps = number("--qps", optarg, 1, VC_MAX_QPS); break;
		case 'm':
			c->path_mtu = number("--path-mtu", optarg, 256, 4096);
			if (c->path_mtu & (c->path_mtu - 1))
				vc_die("--path-mtu is %u: must be 256, 512, 1024, 2048 or 4096", c->path_mtu);
			break;
		case 'z': c->max_size = number("--max-size", optarg, 1, 64 << 20); break;
		case 'o': c->ops = op_list(optarg); break;
		case 't': c->timeout = number("--timeout", optarg, 1, 31); break;
		case 'T': c->stall = number("--stall", optarg, 1, 3600); break;
		case 'k': c->keep = 1; break;
		case 'l': c->lossy = 1; break;
		case 'P': c->patience = number("--patience", optarg, 1, 60000); break;
		case 'e': c->errors = 1; break;
		case 'M': c->memory = 1; break;
		case 'Q': c->queues = 1; break;
		case 'X': c->states = 1; break;
		case 'b': c->big = number("--big", optarg, 1, 1u << 31); break;
		case 'r': c->beside = number("--reads", optarg, 1, 1u << 31); break;
		case '6': c->ipv6 = 1; break;
		case 'd': vc->device = optarg; break;
		case 'g': vc->gid_index = number("--gid-index", optarg, 0, 1023); break;
		case 'p': *port = optarg; number("--port", optarg, 1, 65535); break;
		case 'w': *wait = number("--wait", optarg, 1, 3600); break;
		case 'h': printf(usage, ROUNDS_PER_SETUP); exit(0);
		default: exit(2);
		}
	}
	if (!c->seconds && !c->messages)
		c->seconds = 10;
	if (!c->patience)
		c->patience = c->lossy ? 1000 : 5000;
	if (c->errors)
		c->ops = (1u << VC_NR_OPS) - 1;
}

static void agree(struct vc *vc)
{
	/*
	 * Nothing sensible takes longer than this on the control connection, not even a message of
	 * 2 GiB.
	 */
	struct timeval t = { .tv_sec = 900 };
	uint64_t hello = 0x76636865636b0005ULL, theirs = 0;
	int gid_index = vc->gid_index;

	setsockopt(vc->tcp, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	vc_swap(vc, &hello, &theirs, sizeof(hello));
	if (theirs != hello)
		vc_die("the other side is not a verbs-check of this version");
	if (vc->side == 0)
		vc_send(vc, &vc->cfg, sizeof(vc->cfg));
	else
		vc_recv(vc, &vc->cfg, sizeof(vc->cfg));
	vc->gid_index = gid_index;
	vc_note("seed %llu", (unsigned long long)vc->cfg.seed);
}

/* It stays blocked: no call is interrupted. */
static void block_end(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static bool told_to_end(void)
{
	sigset_t set;

	return !sigpending(&set) && sigismember(&set, SIGUSR1);
}

static void rounds(struct vc *vc)
{
	double end = vc_now() + vc->cfg.seconds;
	uint32_t round = 0, stop = 0, theirs;
	bool rc = vc->cfg.ops & VC_RC_OPS, ud = vc->cfg.ops & (1u << VC_UD),
	     uc = vc->cfg.ops & (1u << VC_UC);

	block_end();
	while (!stop) {
		vc_make_plan(vc, round);
		if (rc)
			vc_rc_round(vc);
		if (ud && (!rc || round % 3 == 0))
			vc_ud_round(vc, round);
		if (uc && (!rc || round % 3 == 1))
			vc_uc_round(vc, round);
		round++;
		stop = (vc->cfg.seconds && vc_now() >= end) ||
		       (vc->cfg.messages && vc->messages >= vc->cfg.messages) || vc->wrong ||
		       told_to_end();
		/* Either side may end it: a wrong byte is seen by one of them only. */
		vc_swap(vc, &stop, &theirs, sizeof(stop));
		stop |= theirs;
		if (!stop && !vc->cfg.keep && round % ROUNDS_PER_SETUP == 0) {
			vc_alive("making everything anew", vc->cfg.stall);
			vc_teardown(vc);
			vc_setup(vc);
		}
	}
	vc_note("%u rounds", round);
}

static void report(struct vc *vc)
{
	int i;

	for (i = 0; i < VC_NR_OPS && !vc->cfg.errors && !vc->cfg.memory && !vc->cfg.queues &&
		    !vc->cfg.states && !vc->cfg.big && !vc->cfg.beside;
	     i++)
		if (vc->cfg.ops & (1u << i))
			vc_note("%-9s %llu", vc_op_name[i], (unsigned long long)vc->count[i]);
	if (vc->cfg.lossy)
		vc_note("datagrams lost %llu, twice %llu; UC messages lost %llu", (unsigned long long)vc->ud_lost,
			(unsigned long long)vc->ud_twice, (unsigned long long)vc->uc_lost);
	vc_note("%llu messages, %llu bytes, %llu wrong", (unsigned long long)vc->messages,
		(unsigned long long)vc->bytes, (unsigned long long)vc->wrong);
}

int main(int argc, char **argv)
{
	static struct vc vc = {
		.gid_index = -1,
		.cfg = { .qps = 3,
			 .max_size = 4 << 20,
			 .timeout = 18,
			 .stall = 60,
			 .ops = (1u << VC_NR_OPS) - 1 },
	};
	const char *port = "18600";
	int wait = 60;

	vc.cfg.seed = time(NULL) * 1000003ULL + getpid();
	parse(&vc, argc, argv, &port, &wait);
	if (optind < argc - 1)
		vc_die("one host at most, '%s' is too many (see --help)", argv[optind + 1]);
	vc.side = optind == argc;
	vc.tcp = vc.side ? vc_listen(port, wait) : vc_connect(argv[optind], port, wait);
	agree(&vc);
	vc_alive("opening the device and connecting", vc.cfg.stall);
	vc_open(&vc);
	vc_setup(&vc);
	vc_note("path MTU %u, GID index %d", vc.mtu, vc.gid_index);
	if (vc.cfg.errors)
		vc_errors(&vc);
	else if (vc.cfg.memory)
		vc_memory(&vc);
	else if (vc.cfg.queues)
		vc_queues(&vc);
	else if (vc.cfg.states)
		vc_states(&vc);
	else if (vc.cfg.big)
		vc_big(&vc);
	else if (vc.cfg.beside)
		vc_beside(&vc);
	else
		rounds(&vc);
	vc_alive("closing", vc.cfg.stall);
	vc_teardown(&vc);
	vc_close(&vc);
	report(&vc);
	return vc.wrong ? 1 : 0;
}
