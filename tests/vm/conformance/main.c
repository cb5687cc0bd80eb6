// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cf.h"

static const char usage[] =
"usage: conformance --device [-d DEVICE]\n"
"       conformance [-s SEED] [-o NAME] -i IF -4 ADDRESS -6 ADDRESS -m DUT_MAC DUT_HOST\n"
"       conformance --list\n"
"The first serves a verbs device, the DUT. The second plays its peer with packets of its own from interface IF and\n"
"addresses that nobody has (the DUT needs static neighbours for them), one line a case:\n"
"ok|differs|absent <tab> name <tab> IBTA volume 1 section <tab> what was found; and a dump of the packets.\n"
"-o NAME: only cases whose name contains NAME.\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "device", no_argument, NULL, 'D' }, { "list", no_argument, NULL, 'l' }, { "help", no_argument, NULL, 'h' }, { 0 },
	};
	const char *device = NULL, *ip4 = NULL, *ip6 = NULL, *mac = NULL;
	struct cf_options o = { .seed = 1 };
	struct cf_net net = { 0 };
	bool serve = false;
	int c;

	signal(SIGPIPE, SIG_IGN);
	while ((c = getopt_long(argc, argv, "d:s:o:i:4:6:m:h", options, NULL)) >= 0) {
		switch (c) {
		case 'D':
			serve = true;
			break;
		case 'l':
			o.list = true;
			break;
		case 'd':
			device = optarg;
			break;
		case 's':
			o.seed = strtoull(optarg, NULL, 0);
			break;
		case 'o':
			o.only = optarg;
			break;
		case 'i':
			o.ifname = optarg;
			break;
		case '4':
			ip4 = optarg;
			break;
		case '6':
			ip6 = optarg;
			break;
		case 'm':
			mac = optarg;
			break;
		default:
			fputs(usage, c == 'h' ? stdout : stderr);
			return c == 'h' ? 0 : 2;
		}
	}
	if (serve)
		return cf_device(device, 60);
	if (o.list)
		return cf_run(NULL, &o);
	if (optind + 1 != argc || !o.ifname || !ip4 || !ip6 || !mac ||
	    inet_pton(AF_INET, ip4, net.ip4[0]) != 1 || inet_pton(AF_INET6, ip6, net.ip6[0]) != 1 ||
	    sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &net.mac[1][0], &net.mac[1][1], &net.mac[1][2], &net.mac[1][3],
		   &net.mac[1][4], &net.mac[1][5]) != 6) {
		fputs(usage, stderr);
		return 2;
	}
	o.host = argv[optind];
	return cf_run(&net, &o);
}
