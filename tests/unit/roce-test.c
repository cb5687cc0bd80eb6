// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The back's RoCEv2 parser and ICRC (guest-kmod-net-back/roce.c) on what stock rdma_rxe put
 * on the wire (first argument, a pcap file as tests/vm/golden/record.sh makes it).
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
static u32 packet_len(const u8 *p, const struct mnet_roce *r)
{
	return r->ipv6 ? r->l3 + 40u + get_unaligned_be16(p + r->l3 + 4) :
	       r->l3 + get_unaligned_be16(p + r->l3 + 2);
}

static u32 icrc(const u8 *p, const struct mnet_roce *r, u32 len)
{
	u32 at = r->bth + MNET_BTH_LEN;

	return mnet_roce_icrc(crc32_le(mnet_roce_crc_base(p, r), p + at, len - MNET_ICRC_LEN - at));
}

static void every_icrc(void **state)
{
	u32 n = 0, other = 0, len, wire;
	struct mnet_roce r;
	size_t at = 0;
	const u8 *p;

	(void)state;
	while ((p = frame(&at, &len))) {
		if (!mnet_roce_parse(p, len, &r)) {
			other++;
			continue;
		}
		assert_in_range(packet_len(p, &r), r.bth + 16, len);
		len = packet_len(p, &r);
		assert_true(mnet_roce_ext_len(p[r.bth]) >= 0);
		assert_true(r.bth + MNET_BTH_LEN + (u32)mnet_roce_ext_len(p[r.bth]) + 4 <= len);
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
	struct mnet_roce whole, r;
	size_t at = 0;
	const u8 *p;
	u32 len, n;
	u8 *copy;

	(void)state;
	while ((p = frame(&at, &len))) {
		bool ours = mnet_roce_parse(p, len, &whole);

		for (n = 0; n <= (len < 100 ? len : 100); n++) {
			copy = malloc(n ? n : 1);
			assert_non_null(copy);
			memcpy(copy, p, n);
			assert_int_equal(mnet_roce_parse(copy, n, &r),
					 ours && n >= whole.bth + (u32)MNET_BTH_LEN);
			free(copy);
		}
	}
}

static void tags(void **state)
{
	static const u8 tag[4] = { 0x81, 0x00, 0x00, 0x05 };
	struct mnet_roce r, plain;
	size_t at = 0;
	u8 copy[200];
	const u8 *p;
	u32 len = 0, i;

	(void)state;
	do {
		p = frame(&at, &len);
		assert_non_null(p);
	} while (!mnet_roce_parse(p, len, &plain) || len > 150);
	memcpy(copy, p, len);
	for (i = 1; i <= 3; i++) {
		memmove(copy + 16, copy + 12, len - 12);
		memcpy(copy + 12, tag, 4);
		len += 4;
		assert_int_equal(mnet_roce_parse(copy, len, &r), i <= 2);
		if (i > 2)
			break;
		assert_int_equal(r.l3, 14 + 4 * i);
		assert_int_equal(r.bth, plain.bth + 4 * i);
		/* the ICRC does not cover the tag */
		assert_int_equal(mnet_roce_crc_base(copy, &r), mnet_roce_crc_base(p, &plain));
	}
}

static void runs(void **state)
{
	struct mnet_roce_run run;
	int op, begins = 0;

	(void)state;
	for (op = 0; op < 256; op++) {
		if (!mnet_roce_run((u8)op, &run))
			continue;
		begins++;
		assert_true(mnet_roce_ext_len((u8)op) >= 0);
		assert_int_equal(mnet_roce_ext_len(run.mid), 0);
		assert_true(mnet_roce_ext_len(run.last) >= 0);
		assert_true(mnet_roce_ext_len(run.last_ext) >= mnet_roce_ext_len(run.last));
		/* one transport */
		assert_int_equal(run.mid & 0xe0, op & 0xe0);
		assert_int_equal(run.last & 0xe0, op & 0xe0);
		assert_int_equal(run.last_ext & 0xe0, op & 0xe0);
		/* what continues a run continues it from the middle as well */
		assert_true(mnet_roce_run(run.mid, &(struct mnet_roce_run){ 0 }));
		assert_false(mnet_roce_run(run.last, &(struct mnet_roce_run){ 0 }));
	}
	assert_true(begins >= 6);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_icrc),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(tags),
		cmocka_unit_test(runs),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: roce-test CAPTURE\n");
		return 2;
	}
	path = argv[1];
	return cmocka_run_group_tests_name("roce", tests, load, unload);
}
