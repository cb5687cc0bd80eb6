// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * RoCEv2 packets to and from a packet socket: headers, extension headers, ICRC, and what is wrong
 * in a packet that came.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "cf.h"

static void put64(uint8_t *p, uint64_t v)
{
	roce_put32(p, v >> 32);
	roce_put32(p + 4, v);
}

static uint32_t get32(const uint8_t *p)
{
	return roce_get16(p) << 16 | roce_get16(p + 2);
}

static uint64_t get64(const uint8_t *p)
{
	return (uint64_t)get32(p) << 32 | get32(p + 4);
}

/*
 * Extension headers by opcode, one letter each: R RETH, A AETH, O AtomicAckETH, T AtomicETH, I
 * ImmDt, V IETH, D DETH, F FETH
 */
static const char *ext_of(uint8_t op)
{
	static const char *const rc[32] = {
		[SEND_LAST_IMM] = "I", [SEND_ONLY_IMM] = "I", [WRITE_FIRST] = "R", [WRITE_LAST_IMM] = "I",
		[WRITE_ONLY] = "R", [WRITE_ONLY_IMM] = "RI", [READ_REQ] = "R", [RESP_FIRST] = "A", [RESP_LAST] = "A",
		[RESP_ONLY] = "A", [ACK] = "A", [ATOMIC_ACK] = "AO", [CMP_SWAP] = "T", [FETCH_ADD] = "T",
		[SEND_LAST_INV] = "V", [SEND_ONLY_INV] = "V", [FLUSH] = "FR",
		[ATOMIC_WRITE] = "R",
	};
	const char *ext = rc[op & 31];

	if (op == UD_ONLY)
		return "D";
	if (op == UD_ONLY_IMM)
		return "DI";
	return ext && op >> 5 < 2 ? ext : "";
}

const char *cf_op_name(uint8_t op)
{
	static const char *const name[32] = {
		"SEND_FIRST", "SEND_MIDDLE", "SEND_LAST", "SEND_LAST_IMM", "SEND_ONLY", "SEND_ONLY_IMM", "WRITE_FIRST",
		"WRITE_MIDDLE", "WRITE_LAST", "WRITE_LAST_IMM", "WRITE_ONLY", "WRITE_ONLY_IMM", "READ_REQUEST",
		"READ_RESPONSE_FIRST", "READ_RESPONSE_MIDDLE", "READ_RESPONSE_LAST", "READ_RESPONSE_ONLY", "ACKNOWLEDGE",
		"ATOMIC_ACKNOWLEDGE", "COMPARE_SWAP", "FETCH_ADD", NULL, "SEND_LAST_INVALIDATE", "SEND_ONLY_INVALIDATE",
		[FLUSH] = "FLUSH", [ATOMIC_WRITE] = "ATOMIC_WRITE",
	};

	return name[op & 31] ?: "reserved";
}

static uint8_t *put_ext(uint8_t *e, const struct cf_pkt *p)
{
	const char *k;

	for (k = ext_of(p->op); *k; k++) {
		switch (*k) {
		case 'R':
			put64(e, p->va);
			roce_put32(e + 8, p->rkey);
			roce_put32(e + 12, p->dmalen);
			e += 16;
			break;
		case 'A':
			roce_put32(e, (uint32_t)p->synd << 24 | (p->msn & 0xffffff));
			e += 4;
			break;
		case 'O':
			put64(e, p->orig);
			e += 8;
			break;
		case 'T':
			put64(e, p->va);
			roce_put32(e + 8, p->rkey);
			put64(e + 12, p->swap);
			put64(e + 20, p->cmp);
			e += 28;
			break;
		case 'V':
			roce_put32(e, p->rkey);
			e += 4;
			break;
		case 'D':
			roce_put32(e, p->qkey);
			roce_put32(e + 4, p->sqpn);
			e += 8;
			break;
		case 'F':
			roce_put32(e, p->feth);
			e += 4;
			break;
		case 'I':
			roce_put32(e, p->imm);
			e += 4;
			break;
		}
	}
	return e;
}

static const uint8_t *get_ext(const uint8_t *e, struct cf_pkt *p)
{
	const char *k;

	for (k = ext_of(p->op); *k; k++) {
		switch (*k) {
		case 'R':
			p->va = get64(e);
			p->rkey = get32(e + 8);
			p->dmalen = get32(e + 12);
			e += 16;
			break;
		case 'A':
			p->synd = e[0];
			p->msn = get32(e) & 0xffffff;
			e += 4;
			break;
		case 'O':
			p->orig = get64(e);
			e += 8;
			break;
		case 'T':
			p->va = get64(e);
			p->rkey = get32(e + 8);
			p->swap = get64(e + 12);
			p->cmp = get64(e + 20);
			e += 28;
			break;
		case 'V':
			p->rkey = get32(e);
			e += 4;
			break;
		case 'D':
			p->qkey = get32(e);
			p->sqpn = get32(e + 4);
			e += 8;
			break;
		case 'F':
			p->feth = get32(e);
			e += 4;
			break;
		case 'I':
			p->imm = get32(e);
			e += 4;
			break;
		}
	}
	return e;
}

uint64_t cf_sum(const uint8_t *area)
{
	uint64_t sum = 0, v;
	size_t i;

	for (i = 0; i < CF_AREA; i += sizeof(v)) {
		memcpy(&v, area + i, sizeof(v));
		sum = (sum ^ v) * 0x9e3779b97f4a7c15ULL;
		sum ^= sum >> 29;
	}
	return sum;
}

int cf_build(const struct cf_net *net, bool ipv6, const struct cf_pkt *p, uint32_t psn,
	     uint32_t dqpn, uint8_t *f)
{
	uint32_t pad = p->unpadded ? 0 : -p->len & 3, iph = ipv6 ? 40 : 20, udp_len, crc;
	uint8_t *ip = f + ETH_HLEN, *udp = ip + iph, *bth = udp + 8, *e;

	memset(f, 0, ETH_HLEN + iph + 8 + 12);
	memcpy(f, net->mac[1], 6);
	memcpy(f + 6, net->mac[0], 6);
	f[5] ^= p->mac_xor;
	roce_put16(f + 12, ipv6 ? ETH_P_IPV6 : ETH_P_IP);
	bth[0] = p->op;
	bth[1] = (p->se ? 0x80 : 0) | ((p->m_xor ? 0 : 0x40)) | ((pad + p->pad_add) & 3) << 4 |
		 p->tver;
	roce_put16(bth + 2, 0xffff ^ p->pkey_xor);
	roce_put32(bth + 4, (uint32_t)p->resv << 24 | ((dqpn ^ p->qpn_xor) & 0xffffff));
	roce_put32(bth + 8, (p->ack ? 0x80000000u : 0) | (psn & 0xffffff));
	e = put_ext(bth + 12, p);
	if (p->len)
		memcpy(e, p->data, p->len);
	memset(e + p->len, 0, pad);
	e += p->len + pad;

	udp_len = e - udp + 4;
	roce_put16(udp, 0xc000 ^ p->sport_xor);
	roce_put16(udp + 2, ROCE_PORT);
	roce_put16(udp + 4, udp_len);
	if (ipv6) {
		roce_put32(ip, 0x60000000u | (uint32_t)p->tos << 20);
		roce_put16(ip + 4, udp_len);
		ip[6] = 17;
		ip[7] = p->ttl ? p->ttl : 64;
		memcpy(ip + 8, net->ip6[0], 16);
		memcpy(ip + 24, net->ip6[1], 16);
		ip[8 + 15] ^= p->src_xor;
		ip[24 + 15] ^= p->dst_xor;
	} else {
		ip[0] = 0x45;
		ip[1] = p->tos;
		roce_put16(ip + 2, 20 + udp_len);
		roce_put16(ip + 6, 0x4000);
		ip[8] = p->ttl ? p->ttl : 64;
		ip[9] = 17;
		memcpy(ip + 12, net->ip4[0], 4);
		memcpy(ip + 16, net->ip4[1], 4);
		ip[15] ^= p->src_xor;
		ip[19] ^= p->dst_xor;
		roce_put16(ip + 10, roce_ip_sum(ip, 20));
	}
	crc = roce_icrc(ip, e - ip) ^ p->icrc_xor;
	memcpy(e, &crc, 4);
	return e + 4 - f;
}

int cf_parse(const struct cf_net *net, const uint8_t *f, int len, struct cf_pkt *p,
	     const char **why)
{
	const uint8_t *ip = f + ETH_HLEN, *udp, *bth, *e, *end;
	bool ipv6 = len > ETH_HLEN && roce_get16(f + 12) == ETH_P_IPV6;
	uint32_t crc;

	if (len < ETH_HLEN + (ipv6 ? 40 : 20) + 8 || (!ipv6 && roce_get16(f + 12) != ETH_P_IP))
		return 0;
	if (ipv6 ? ip[6] != 17 || memcmp(ip + 24, net->ip6[0], 16)
		 : ip[9] != 17 || memcmp(ip + 16, net->ip4[0], 4))
		return 0;
	udp = ip + (ipv6 ? 40 : 20);
	if (roce_get16(udp + 2) != ROCE_PORT)
		return 0;
	bth = udp + 8;
	*why = "lengths of IP and UDP disagree (A17)";
	end = udp + roce_get16(udp + 4);
	if (roce_get16(ip + (ipv6 ? 4 : 2)) != (uint32_t)(end - (ipv6 ? udp : ip)) ||
	    end > f + len || end < bth + 16)
		return -1;
	*why = "IPv4 header: options, fragment or checksum (A17)";
	if (!ipv6 && (ip[0] != 0x45 || roce_get16(ip + 6) & 0xbfff || roce_ip_sum(ip, 20)))
		return -1;
	*why = "source address (A17)";
	if (ipv6 ? memcmp(ip + 8, net->ip6[1], 16) : memcmp(ip + 12, net->ip4[1], 4))
		return -1;
	*why = "ICRC (A17)";
	memcpy(&crc, end - 4, 4);
	if (roce_icrc(ip, end - 4 - ip) != crc)
		return -1;
	end -= 4;

	*p = (struct cf_pkt){
		.op = bth[0],
		.se = bth[1] & 0x80,
		.m = bth[1] & 0x40,
		.pad = bth[1] >> 4 & 3,
		.tver = bth[1] & 15,
		.pkey = roce_get16(bth + 2),
		.resv = bth[4],
		.dqpn = get32(bth + 4) & 0xffffff,
		.ack = bth[8] & 0x80,
		.psn = get32(bth + 8) & 0xffffff,
		.sport = roce_get16(udp),
	};
	*why = "transport header version (9.2.5)";
	if (p->tver)
		return -1;
	*why = "P_Key (9.2.6)";
	if ((p->pkey & 0x7fff) != 0x7fff)
		return -1;
	*why = "reserved bits of the BTH (9.2)";
	if (p->resv || bth[8] & 0x7f)
		return -1;
	*why = "UDP source port below the dynamic ones (A17)";
	if (p->sport < 0xc000)
		return -1;
	*why = "pad count or length (9.2.4)";
	e = get_ext(bth + 12, p);
	if (end < e + p->pad || (end - e) & 3)
		return -1;
	p->data = e;
	p->len = end - e - p->pad;
	return 1;
}

void cf_open_net(struct cf_net *net, const char *ifname)
{
	struct sockaddr_ll sll = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct ifreq ifr = { 0 };
	int size = 8 << 20;

	net->fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	if (net->fd < 0)
		vc_die("packet socket: %s", strerror(errno));
	strncpy(ifr.ifr_name, ifname, sizeof(ifr.ifr_name) - 1);
	if (ioctl(net->fd, SIOCGIFHWADDR, &ifr))
		vc_die("%s: %s", ifname, strerror(errno));
	memcpy(net->mac[0], ifr.ifr_hwaddr.sa_data, 6);
	net->ifindex = sll.sll_ifindex = if_nametoindex(ifname);
	if (bind(net->fd, (struct sockaddr *)&sll, sizeof(sll)))
		vc_die("%s: %s", ifname, strerror(errno));
	setsockopt(net->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
}
