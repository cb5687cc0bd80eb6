/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RoCEv2 packets for test programs: bytes, checksums and the ICRC of annex A17. Shares no code with
 * the modules, so that it cannot share their errors.
 */
#ifndef ROCE_H
#define ROCE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ROCE_PORT	4791
#define ROCE_FRAME	4600	/* bytes of the longest that is built */

static inline void roce_put16(uint8_t *p, uint32_t v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static inline void roce_put32(uint8_t *p, uint32_t v)
{
	roce_put16(p, v >> 16);
	roce_put16(p + 2, v);
}

static inline uint32_t roce_get16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

/* Of an even number of bytes */
static inline uint32_t roce_ip_sum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i < len; i += 2)
		sum += roce_get16(p + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

static inline uint32_t roce_crc32(uint32_t crc, const uint8_t *p, size_t len)
{
	static uint32_t table[256];
	uint32_t i, k, c;

	if (!table[1])
		for (i = 0; i < 256; table[i++] = c)
			for (c = i, k = 0; k < 8; k++)
				c = c >> 1 ^ (c & 1 ? 0xedb88320 : 0);
	while (len--)
		crc = crc >> 8 ^ table[(crc ^ *p++) & 255];
	return crc;
}

/*
 * From the IP header on; what may change under way counts as ones, eight bytes of ones stand for
 * the LRH.
 */
static inline uint32_t roce_icrc(const uint8_t *ip, size_t len)
{
	static const uint8_t ones[8] = { 255, 255, 255, 255, 255, 255, 255, 255 };
	size_t udp = ip[0] >> 4 == 6 ? 40 : 20;
	uint8_t m[ROCE_FRAME];

	memcpy(m, ip, len);
	if (udp == 40) {
		m[0] |= 0x0f;
		m[1] = m[2] = m[3] = m[7] = 255;
	} else {
		m[1] = m[8] = m[10] = m[11] = 255;
	}
	m[udp + 6] = m[udp + 7] = m[udp + 8 + 4] = 255;
	return ~roce_crc32(roce_crc32(~0u, ones, 8), m, len);
}

#endif
