// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sends RoCEv2 packets that are wrong in one way each, by a packet socket: truncated, with lying
 * lengths, broken checksums or ICRC, unknown opcodes, other people's addresses, queue pairs that do
 * not exist or that do, sequence numbers out of any window, extension headers that claim gigabytes,
 * fragments, noise. Statically linked: runs in any guest.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../roce.h"

#define ETH		14

static uint64_t state;

static uint32_t rnd(void)
{
	uint64_t z = (state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return (z ^ (z >> 31)) >> 16;
}

static uint32_t below(uint32_t n)
{
	return rnd() % n;
}

struct target {
	uint8_t dst_mac[6], src_mac[6], src[16], dst[16];
	int v6;
	uint32_t qpn[64];
	int nr_qpn;
	uint32_t stray;		/* first queue pair of those that the queue pair flaw picks from */
	uint32_t mtu;
};

/* Length of the extension headers that an opcode has. */
static int ext_len(uint8_t op)
{
	static const uint8_t rc[32] = {
		[0x03] = 4,  [0x05] = 4,  [0x06] = 16, [0x09] = 4, [0x0a] = 16, [0x0b] = 20,
		[0x0c] = 16, [0x0d] = 4,  [0x0f] = 4,  [0x10] = 4, [0x11] = 4,	[0x12] = 12,
		[0x13] = 28, [0x14] = 28, [0x16] = 4,  [0x17] = 4,
	};

	return op >> 5 == 3 ? ((op & 31) == 5 ? 12 : 8) : rc[op & 31];
}

enum flaw {
	NO_FLAW,
	SHORT_FRAME,
	IP_LEN,
	UDP_LEN,
	IP_SUM,
	UDP_SUM,
	BAD_ICRC,
	OPCODE,
	VERSION,
	PKEY,
	QPN,
	PAD,
	FAR_PSN,
	HUGE_DMALEN,
	AETH,
	FRAGMENT,
	FOREIGN_IP,
	FOREIGN_MAC,
	MULTICAST_MAC,
	NOISE,
	NO_BTH,
	OVERSIZE,
	ODD_PAYLOAD,
	VLAN_TAG,
	NR_FLAWS,
};

static const char *const flaw_name[NR_FLAWS] = {
	"none", "short frame", "IP length", "UDP length", "IP checksum", "UDP checksum", "ICRC", "opcode", "BTH version", "P_Key",
	"queue pair", "pad count", "far PSN", "huge DMA length", "AETH", "fragment", "foreign IP address", "foreign MAC", "multicast MAC",
	"noise", "no BTH", "oversize", "odd payload", "VLAN tag",
};

static int build(const struct target *t, enum flaw flaw, uint8_t *f)
{
	int iph = t->v6 ? 40 : 20,
	    payload = below(4) ? (int)below(64) * 4 : (int)(below(t->mtu / 4) * 4), i, len, udp_len;
	uint8_t *ip = f + ETH, *udp = ip + iph, *bth = udp + 8, *ext = bth + 12, op;
	uint32_t crc;

	op = below(0x18);
	if (!below(6))
		op = 0x64 + below(2);
	if (flaw == OPCODE)
		op = rnd();
	if (payload > (int)t->mtu - 100)
		payload = t->mtu - 100;
	if (flaw == OVERSIZE)
		payload = 4100 + below(20) * 4;
	if (flaw == ODD_PAYLOAD)
		payload |= 1;
	memset(f, 0, ETH + 80);
	memcpy(f, t->dst_mac, 6);
	memcpy(f + 6, t->src_mac, 6);
	roce_put16(f + 12, t->v6 ? 0x86dd : 0x0800);

	len = ext_len(op);
	for (i = 0; i < len + payload; i++)
		ext[i] = rnd();
	if (len >= 16)
		roce_put32(ext + 12, flaw == HUGE_DMALEN ? 0x80000000u | rnd() : below(8192));
	if (op >> 5 == 3)
		roce_put32(ext, 0x1234567);
	if (flaw == AETH)
		for (i = 0; i < 4 && len; i++)
			ext[i] = below(2) ? 0xff : rnd();
	bth[0] = op;
	bth[1] = 0x40;
	roce_put16(bth + 2, flaw == PKEY ? rnd() : 0xffff);
	roce_put32(bth + 4, t->nr_qpn && flaw != QPN ? t->qpn[below(t->nr_qpn)] :
		   t->stray + below(below(4) ? 64 : 0x1000000 - t->stray));
	roce_put32(bth + 8,
		   (below(2) ? 0x80000000u : 0) | (below(2) ? below(16) : rnd() & 0xffffff));
	if (flaw == FAR_PSN)
		bth[9] ^= 0x80;
	if (flaw == VERSION)
		bth[1] |= 1 + below(15);
	if (flaw == PAD)
		bth[1] |= (1 + below(3)) << 4;
	len += 12 + payload;	/* from BTH to before ICRC */
	if (flaw == NO_BTH)
		len = below(12);

	udp_len = 8 + len + 4;
	roce_put16(udp, 0xc000 | (rnd() & 0x3fff));
	roce_put16(udp + 2, ROCE_PORT);
	roce_put16(udp + 4, flaw == UDP_LEN ? rnd() : (uint32_t)udp_len);
	if (flaw == UDP_SUM)
		roce_put16(udp + 6, rnd() | 1);
	if (t->v6) {
		ip[0] = 0x60;
		roce_put16(ip + 4, flaw == IP_LEN ? rnd() : (uint32_t)udp_len);
		ip[6] = flaw == FRAGMENT ? 44 : 17;
		ip[7] = 64;
		memcpy(ip + 8, t->src, 16);
		memcpy(ip + 24, t->dst, 16);
		if (flaw == FOREIGN_IP)
			ip[24 + 15] ^= 0x55;
	} else {
		ip[0] = 0x45;
		roce_put16(ip + 2, flaw == IP_LEN ? rnd() : 20u + udp_len);
		roce_put16(ip + 4, rnd());
		roce_put16(ip + 6, flaw == FRAGMENT ? 0x2000 | below(100) : 0x4000);
		ip[8] = 64;
		ip[9] = 17;
		memcpy(ip + 12, t->src, 4);
		memcpy(ip + 16, t->dst, 4);
		if (flaw == FOREIGN_IP)
			ip[19] ^= 0x55;
		roce_put16(ip + 10, roce_ip_sum(ip, 20) + (flaw == IP_SUM ? 1 + below(1000) : 0));
	}
	crc = roce_icrc(ip, iph + 8 + len);
	if (flaw == BAD_ICRC)
		crc ^= 1u << below(32);
	memcpy(bth + len, &crc, 4);
	len += ETH + iph + 8 + 4;

	if (flaw == FOREIGN_MAC)
		f[5] ^= 0x55;
	if (flaw == MULTICAST_MAC)
		f[0] |= 1;
	if (flaw == NOISE)
		for (i = ETH + below(iph + 30); i < len; i++)
			f[i] = rnd();
	if (flaw == SHORT_FRAME)
		len = ETH + below(len - ETH);
	if (flaw == VLAN_TAG) {
		memmove(f + 16, f + 12, len - 12);
		roce_put16(f + 12, 0x8100);
		roce_put16(f + 14, 1 + below(4094));
		len += 4;
	}
	return len;
}

static void die(const char *what)
{
	fprintf(stderr, "roce-storm: error: %s: %s\n", what, strerror(errno));
	exit(2);
}

static const char usage[] =
"usage: roce-storm IF DST_MAC SRC_IP DST_IP [--count N] [--seed N] [--qpn N]... [--stray N] [--mtu N]\n"
"Sends N (2400) packets of all kinds of flaws from interface IF; --qpn: queue pairs to aim at; --stray: the flaw of a wrong\n"
"queue pair takes none below N (0). Prints what it sent.\n";

int main(int argc, char **argv)
{
	static uint8_t f[6000];
	struct target t = { .mtu = 1500 };
	struct sockaddr_ll sll = { .sll_family = AF_PACKET, .sll_halen = 6 };
	unsigned long count = 2400, i, sent[NR_FLAWS] = { 0 }, refused = 0;
	struct ifreq ifr = { 0 };
	int s, a;

	if (argc < 5) {
		fputs(usage, stderr);
		return 2;
	}
	for (a = 5; a + 1 < argc; a += 2) {
		unsigned long v = strtoul(argv[a + 1], NULL, 0);

		if (!strcmp(argv[a], "--count"))
			count = v;
		else if (!strcmp(argv[a], "--seed"))
			state = v;
		else if (!strcmp(argv[a], "--stray"))
			t.stray = v < 0xffff00 ? v : 0xffff00;
		else if (!strcmp(argv[a], "--mtu"))
			t.mtu = v < 576 ? 576 : v > 4400 ? 4400 : v;
		else if (!strcmp(argv[a], "--qpn") && t.nr_qpn < 64)
			t.qpn[t.nr_qpn++] = v & 0xffffff;
	}
	s = socket(AF_PACKET, SOCK_RAW, 0);
	if (s < 0)
		die("packet socket");
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", argv[1]);
	if (ioctl(s, SIOCGIFHWADDR, &ifr))
		die(argv[1]);
	memcpy(t.src_mac, ifr.ifr_hwaddr.sa_data, 6);
	sll.sll_ifindex = if_nametoindex(argv[1]);
	if (sscanf(argv[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &t.dst_mac[0], &t.dst_mac[1], &t.dst_mac[2],
		   &t.dst_mac[3], &t.dst_mac[4], &t.dst_mac[5]) != 6)
		die(argv[2]);
	t.v6 = !!strchr(argv[3], ':');
	if (inet_pton(t.v6 ? AF_INET6 : AF_INET, argv[3], t.src) != 1 ||
	    inet_pton(t.v6 ? AF_INET6 : AF_INET, argv[4], t.dst) != 1)
		die("address");
	for (i = 0; i < count; i++) {
		enum flaw flaw = i % NR_FLAWS;
		int len = build(&t, flaw, f);

		while (sendto(s, f, len, 0, (struct sockaddr *)&sll, sizeof(sll)) < 0) {
			if (errno != ENOBUFS && errno != EAGAIN) {
				refused++;	/* longer than this interface takes */
				sent[flaw]--;
				break;
			}
			usleep(1000);
		}
		sent[flaw]++;
		if (i % 32 == 31)
			usleep(1000);
	}
	for (i = 0; i < NR_FLAWS; i++)
		printf("%-20s %lu\n", flaw_name[i], sent[i]);
	printf("%lu packets sent, %lu refused by the interface\n", count - refused, refused);
	return 0;
}
