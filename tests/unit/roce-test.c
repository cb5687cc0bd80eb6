// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The RoCEv2 parser (guest-kmod-common/roce.c) and the ICRC (guest-kmod-net-back/roce.c) on packets
 * of stock rdma_rxe (first argument, a pcap file as tests/vm/golden/record.sh makes it).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <linux/crc32.h>

#include "../../guest-kmod-net-back/roce.h"

static const char *path;
static u8 *file;
static size_t file_size;

static int load(void **state)
{
	FILE *f = fopen(path, "rb");

	(void)state;
	file = malloc(1 << 20);
	if (!f || !file)
		return -1;
	file_size = fread(file, 1, 1 << 20, f);
	fclose(f);
	return file_size > 24 ? 0 : -1;
}

static int unload(void **state)
{
	(void)state;
	free(file);
	return 0;
}

/* The next frame of the file at *@at, NULL at its end */
static const u8 *frame(size_t *at, u32 *len)
{
	const u8 *p;

	if (!*at)
		*at = 24;
	if (*at + 16 > file_size)
		return NULL;
	memcpy(len, file + *at + 8, 4);
	p = file + *at + 16;
	*at += 16 + *len;
	return *at <= file_size ? p : NULL;
}

/* IP length and offset say where the packet ends: Ethernet may have padded it */
static u32 packet_len(const u8 *p, const struct mos_roce *r)
{
	return r->ipv6 ? r->l3 + 40u + get_unaligned_be16(p + r->l3 + 4) :
	       r->l3 + get_unaligned_be16(p + r->l3 + 2);
}

static u32 icrc(const u8 *p, const struct mos_roce *r, u32 len)
{
	u32 at = r->bth + MOS_BTH_LEN;

	return mnet_roce_icrc(crc32_le(mnet_roce_crc_base(p, r), p + at, len - MOS_ICRC_LEN - at));
}

static void every_icrc(void **state)
{
	u32 n = 0, other = 0, len, wire;
	struct mos_roce r;
	size_t at = 0;
	const u8 *p;

	(void)state;
	while ((p = frame(&at, &len))) {
		if (!mos_roce_parse(p, len, &r)) {
			other++;
			continue;
		}
		assert_in_range(packet_len(p, &r), r.bth + 16, len);
		len = packet_len(p, &r);
		assert_true(mos_op_ext_len(p[r.bth]) >= 0);
		assert_true(r.bth + MOS_BTH_LEN + (u32)mos_op_ext_len(p[r.bth]) + 4 <= len);
		memcpy(&wire, p + len - 4, 4);
		assert_int_equal(icrc(p, &r, len), wire);
		n++;
	}
	print_message("%u RoCEv2 packets, %u other frames\n", n, other);
	assert_true(n >= 250);
	assert_true(other > 0);
}

/* A frame that ends before the BTH does is none of ours; nothing behind the end is read (ASan) */
static void cut_short(void **state)
{
	struct mos_roce whole, r;
	size_t at = 0;
	const u8 *p;
	u32 len, n;
	u8 *copy;

	(void)state;
	while ((p = frame(&at, &len))) {
		bool ours = mos_roce_parse(p, len, &whole);

		for (n = 0; n <= (len < 100 ? len : 100); n++) {
			copy = malloc(n ? n : 1);
			assert_non_null(copy);
			memcpy(copy, p, n);
			assert_int_equal(mos_roce_parse(copy, n, &r),
					 ours && n >= whole.bth + (u32)MOS_BTH_LEN);
			free(copy);
		}
	}
}

/* At most one 802.1Q tag: what has more, or another, is a frame of the Ethernet channel. */
static void tags(void **state)
{
	static const u8 tag[4] = { 0x81, 0x00, 0x00, 0x05 };
	struct mos_roce r, plain;
	size_t at = 0;
	u8 copy[200];
	const u8 *p;
	u32 len = 0, i;

	(void)state;
	do {
		p = frame(&at, &len);
		assert_non_null(p);
	} while (!mos_roce_parse(p, len, &plain) || len > 150);
	memcpy(copy, p, len);
	for (i = 1; i <= 2; i++) {
		memmove(copy + 16, copy + 12, len - 12);
		memcpy(copy + 12, tag, 4);
		len += 4;
		assert_int_equal(mos_roce_parse(copy, len, &r), i <= 1);
		if (i > 1)
			break;
		assert_int_equal(r.l3, 14 + 4 * i);
		assert_int_equal(r.bth, plain.bth + 4 * i);
		/* the ICRC does not cover the tag */
		assert_int_equal(mnet_roce_crc_base(copy, &r), mnet_roce_crc_base(p, &plain));
		/* 802.1ad */
		copy[12] = 0x88;
		copy[13] = 0xa8;
		assert_false(mos_roce_parse(copy, len, &r));
		copy[12] = tag[0];
		copy[13] = tag[1];
	}
}

/* IPv4 with options, and each kind of fragment, is not RoCE. */
static void ip_headers(void **state)
{
	struct mos_roce r;
	size_t at = 0;
	u8 copy[200];
	const u8 *p;
	u32 len = 0;

	(void)state;
	do {
		p = frame(&at, &len);
		assert_non_null(p);
	} while (!mos_roce_parse(p, len, &r) || r.ipv6 || len > 150);
	memcpy(copy, p, len);
	copy[r.l3] = 0x46;
	assert_false(mos_roce_parse(copy, len, &r));
	copy[r.l3] = 0x45;
	assert_true(mos_roce_parse(copy, len, &r));
	copy[r.l3 + 6] |= 0x20;	/* more fragments */
	assert_false(mos_roce_parse(copy, len, &r));
	copy[r.l3 + 6] &= ~0x20;
	copy[r.l3 + 7] = 1;	/* not the first */
	assert_false(mos_roce_parse(copy, len, &r));
	copy[r.l3 + 7] = 0;
	copy[r.udp + 3] ^= 1;	/* another port */
	assert_false(mos_roce_parse(copy, len, &r));
}

/* Lengths by IBTA volume 1, table 38 and annexes A17, A19, written down apart from the module. */
static void ext_lengths(void **state)
{
	static const struct {
		u8 first, last;
		int len;
	} rows[] = {
		{ 0x00, 0x02, 0 }, { 0x03, 0x03, 4 }, { 0x04, 0x04, 0 }, { 0x05, 0x05, 4 },
		{ 0x06, 0x06, 16 }, { 0x07, 0x08, 0 }, { 0x09, 0x09, 4 }, { 0x0a, 0x0a, 16 },
		{ 0x0b, 0x0b, 20 }, { 0x0c, 0x0c, 16 }, { 0x0d, 0x0d, 4 }, { 0x0e, 0x0e, 0 },
		{ 0x0f, 0x11, 4 }, { 0x12, 0x12, 12 }, { 0x13, 0x14, 28 }, { 0x15, 0x15, 0 },
		{ 0x16, 0x17, 4 }, { 0x18, 0x1b, 0 }, { 0x1c, 0x1c, 20 }, { 0x1d, 0x1d, 16 },
		{ 0x1e, 0x1f, 0 },
		{ 0x20, 0x22, 0 }, { 0x23, 0x23, 4 }, { 0x24, 0x24, 0 }, { 0x25, 0x25, 4 },
		{ 0x26, 0x26, 16 }, { 0x27, 0x28, 0 }, { 0x29, 0x29, 4 }, { 0x2a, 0x2a, 16 },
		{ 0x2b, 0x2b, 20 }, { 0x64, 0x64, 8 }, { 0x65, 0x65, 12 }, { 0x81, 0x81, 16 },
	};
	int want[256];
	u32 i;
	int op;

	(void)state;
	for (op = 0; op < 256; op++)
		want[op] = -1;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (op = rows[i].first; op <= rows[i].last; op++)
			want[op] = rows[i].len;
	for (op = 0; op < 256; op++)
		assert_int_equal(mos_op_ext_len((u8)op), want[op]);
}

static void runs(void **state)
{
	struct mos_op_run run;
	int op, begins = 0;

	(void)state;
	for (op = 0; op < 256; op++) {
		if (!mos_op_run((u8)op, &run))
			continue;
		begins++;
		assert_true(mos_op_ext_len((u8)op) >= 0);
		assert_int_equal(mos_op_ext_len(run.mid), 0);
		assert_true(mos_op_ext_len(run.last) >= 0);
		assert_true(mos_op_ext_len(run.last_ext) >= mos_op_ext_len(run.last));
		/* one transport */
		assert_int_equal(run.mid & 0xe0, op & 0xe0);
		assert_int_equal(run.last & 0xe0, op & 0xe0);
		assert_int_equal(run.last_ext & 0xe0, op & 0xe0);
		/* what continues a run continues it from the middle as well */
		assert_true(mos_op_run(run.mid, &(struct mos_op_run){ 0 }));
		assert_false(mos_op_run(run.last, &(struct mos_op_run){ 0 }));
	}
	/* SEND, WRITE of RC and UC, READ response: first and middle of each */
	assert_int_equal(begins, 10);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_icrc),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(tags),
		cmocka_unit_test(ip_headers),
		cmocka_unit_test(ext_lengths),
		cmocka_unit_test(runs),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: roce-test CAPTURE\n");
		return 2;
	}
	path = argv[1];
	return cmocka_run_group_tests_name("roce", tests, load, unload);
}
