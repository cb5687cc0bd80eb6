// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * SPEC.md (first argument) against the compiler: every constant, and offset and
 * size of every field of what lies in shared memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <msr/check.h>
#include <msr/wire.h>

static const char *spec_path;
static char *spec;

static int load(void **state)
{
	FILE *f = fopen(spec_path, "r");
	size_t n;

	(void)state;
	spec = calloc(1, 1 << 20);
	if (!f || !spec)
		return -1;
	n = fread(spec, 1, (1 << 20) - 1, f);
	fclose(f);
	return n ? 0 : -1;
}

static int unload(void **state)
{
	(void)state;
	free(spec);
	return 0;
}

/* The part of the page below the heading of @name, up to the next heading */
static char *part(const char *name, size_t size)
{
	char heading[100], *at, *end;

	snprintf(heading, sizeof(heading), "\n### struct %s, %zu bytes\n", name, size);
	at = strstr(spec, heading);
	if (!at)
		fail_msg("SPEC.md: no heading '%s'", heading + 1);
	at = strdup(at + strlen(heading));
	assert_non_null(at);
	end = strstr(at, "\n#");
	if (end)
		*end = '\0';
	return at;
}

static void field(char *text, size_t *next, const char *name, size_t offset, size_t size)
{
	char row[100];

	/* one after the other: nothing in between, nothing left out */
	if (offset != *next)
		fail_msg("%s is at %zu, the field before ends at %zu", name, offset, *next);
	*next = offset + size;
	snprintf(row, sizeof(row), "\n| %zu | %zu | %s |", offset, size, name);
	if (!strstr(text, row))
		fail_msg("SPEC.md: no row '%s'", row + 1);
}

#define BEGIN(type)	do {							\
		char *text = part(#type, sizeof(struct type));			\
		size_t next = 0, all = sizeof(struct type)

#define FIELD(type, name)							\
		field(text, &next, #name, offsetof(struct type, name),		\
		      sizeof(((struct type *)0)->name))

#define END									\
		assert_int_equal(next, all);					\
		free(text);							\
	} while (0)

static void structs(void **state)
{
	(void)state;
	BEGIN(msr_section);
	FIELD(msr_section, magic);
	FIELD(msr_section, version);
	FIELD(msr_section, role);
	FIELD(msr_section, segment_size);
	FIELD(msr_section, features);
	FIELD(msr_section, nr_queues);
	FIELD(msr_section, reserved0);
	FIELD(msr_section, epoch);
	FIELD(msr_section, peer_epoch);
	FIELD(msr_section, broken);
	FIELD(msr_section, reserved1);
	FIELD(msr_section, bell);
	FIELD(msr_section, reserved2);
	FIELD(msr_section, queue);
	FIELD(msr_section, macs);
	END;
	BEGIN(msr_macs);
	FIELD(msr_macs, nr);
	FIELD(msr_macs, reserved);
	FIELD(msr_macs, mac);
	END;
	BEGIN(msr_queue_info);
	FIELD(msr_queue_info, channel);
	FIELD(msr_queue_info, index);
	FIELD(msr_queue_info, ring_log2);
	FIELD(msr_queue_info, ring_off);
	FIELD(msr_queue_info, prod_off);
	FIELD(msr_queue_info, cons_off);
	FIELD(msr_queue_info, data_off);
	FIELD(msr_queue_info, data_log2);
	FIELD(msr_queue_info, reserved);
	END;
	BEGIN(msr_prod);
	FIELD(msr_prod, idx);
	FIELD(msr_prod, reserved0);
	FIELD(msr_prod, space_event);
	FIELD(msr_prod, reserved1);
	END;
	BEGIN(msr_cons);
	FIELD(msr_cons, idx);
	FIELD(msr_cons, reserved0);
	FIELD(msr_cons, data_event);
	FIELD(msr_cons, reserved1);
	END;
	BEGIN(msr_desc);
	FIELD(msr_desc, off);
	FIELD(msr_desc, len);
	FIELD(msr_desc, type);
	FIELD(msr_desc, flags);
	FIELD(msr_desc, hdr_len);
	FIELD(msr_desc, reserved);
	FIELD(msr_desc, frame);
	END;
	assert_int_equal(offsetof(struct msr_desc, burst), offsetof(struct msr_desc, frame));
	BEGIN(msr_frame);
	FIELD(msr_frame, csum_start);
	FIELD(msr_frame, csum_offset);
	FIELD(msr_frame, gso_type);
	FIELD(msr_frame, reserved0);
	FIELD(msr_frame, gso_size);
	FIELD(msr_frame, hash);
	FIELD(msr_frame, reserved1);
	END;
	BEGIN(msr_burst);
	FIELD(msr_burst, nseg);
	FIELD(msr_burst, seg_len);
	FIELD(msr_burst, op_mid);
	FIELD(msr_burst, op_last);
	FIELD(msr_burst, ext_first);
	FIELD(msr_burst, ext_last);
	FIELD(msr_burst, reserved);
	END;
}

static void number(const char *name, unsigned long long value)
{
	char head[100], *at;

	snprintf(head, sizeof(head), "\n| %s | ", name);
	at = strstr(spec, head);
	if (!at)
		fail_msg("SPEC.md: no row for %s", name);
	if (strtoull(at + strlen(head), NULL, 0) != value)
		fail_msg("SPEC.md: %s is %llu", name, value);
}

#define NUMBER(name) number(#name, name)

static void numbers(void **state)
{
	(void)state;
	NUMBER(MSR_MAGIC);
	NUMBER(MSR_VERSION);
	NUMBER(MSR_CACHE_LINE);
	NUMBER(MSR_PAGE);
	NUMBER(MSR_SEGMENT_MIN);
	NUMBER(MSR_SEGMENT_MAX);
	NUMBER(MSR_MAX_QUEUES);
	NUMBER(MSR_MAX_BELLS);
	NUMBER(MSR_MAX_MACS);
	NUMBER(MSR_MIN_RING_LOG2);
	NUMBER(MSR_MAX_RING_LOG2);
	NUMBER(MSR_MIN_DATA_LOG2);
	NUMBER(MSR_MAX_DATA_LOG2);
	NUMBER(MSR_MIN_FRAME);
	NUMBER(MSR_MAX_FRAME);
	NUMBER(MSR_MIN_BURST_HDR);
	NUMBER(MSR_MAX_BURST_HDR);
	NUMBER(MSR_MAX_BURST_DATA);
	NUMBER(MSR_MAX_SEGS);
	assert_memory_equal(&(__u64){ MSR_MAGIC }, "MOSHSR1", 8);
}

/* The descriptor of the worked example, byte by byte as the page prints it */
static void example(void **state)
{
	static const char *const rows[] = {
		"00 10 00 00   off", "0d 0a 00 00   len", "02            type", "02            flags",
		"48 00         hdr_len", "03 00         nseg", "00 04         seg_len", "07            op_mid",
		"08            op_last", "10 00         ext_first",
	};
	static const __u8 bytes[32] = {
		0x00, 0x10, 0x00, 0x00, 0x0d, 0x0a, 0x00, 0x00, 0x02, 0x02, 0x48, 0x00, 0, 0, 0, 0,
		0x03, 0x00, 0x00, 0x04, 0x07, 0x08, 0x10, 0x00,
	};
	struct msr_desc d;
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strstr(spec, rows[i]))
			fail_msg("SPEC.md: no '%s'", rows[i]);
	memcpy(&d, bytes, sizeof(d));
	assert_int_equal(d.off, 0x1000);
	assert_int_equal(d.len, 72 + 2501);
	assert_int_equal(d.type, MSR_DESC_BURST);
	assert_int_equal(d.flags, MSR_BURST_ACK_REQ);
	assert_int_equal(d.hdr_len, 72);
	assert_int_equal(d.burst.nseg, 3);
	assert_int_equal(d.burst.seg_len, 1024);
	assert_int_equal(d.burst.op_mid, 0x07);
	assert_int_equal(d.burst.op_last, 0x08);
	assert_int_equal(d.burst.ext_first, 16);
	assert_int_equal(d.burst.ext_last, 0);
	assert_true(msr_check_desc(&d, MSR_CHAN_ROCE, 1u << MSR_MIN_DATA_LOG2));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(structs),
		cmocka_unit_test(numbers),
		cmocka_unit_test(example),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: layout-test SPEC.md\n");
		return 2;
	}
	spec_path = argv[1];
	return cmocka_run_group_tests_name("layout", tests, load, unload);
}
