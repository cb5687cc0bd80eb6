// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The RoCEv2 parser (guest-kmod-common/roce.c) on frames from a hostile wire: it stays
 * inside the bytes it is given, and so does the ICRC of what it accepts.
 */
#include "input.h"

#include "../../guest-kmod-net-back/roce.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t v4[] = { 0x08, 0x00, 0x45, 0 }, v6[] = { 0x86, 0xdd, 0x60, 0 };
	struct mos_op_run run;
	struct mos_roce r;
	uint8_t *head, mode;
	bool ours;

	if (!size)
		return 0;
	mode = *data++;
	size--;
	head = malloc(size ? size : 1);
	MUST(head);
	memcpy(head, data, size);
	/* near enough to one of ours that the rest is reached */
	if (mode & 1 && size >= 62) {
		memcpy(head + 12, mode & 2 ? v6 : v4, 4);
		if (mode & 2) {
			head[20] = 17;
			head[56] = 0x12;
			head[57] = 0xb7;
		} else {
			head[20] &= 0x40;
			head[21] = 0;
			head[23] = 17;
			head[36] = 0x12;
			head[37] = 0xb7;
		}
	}
	ours = mos_roce_parse(head, (unsigned int)size, &r);
	if (ours) {
		MUST(r.l3 >= 14 && r.l3 <= 18 && (r.udp == r.l3 + 20 || r.udp == r.l3 + 40));
		MUST(r.bth == r.udp + 8 && r.bth + MOS_BTH_LEN <= size);
		(void)mnet_roce_crc_base(head, &r);
		MUST(mos_op_ext_len(head[r.bth]) >= -1 && mos_op_ext_len(head[r.bth]) <= 64);
		if (mos_op_run(head[r.bth], &run))
			MUST(mos_op_ext_len(run.mid) == 0 && mos_op_ext_len(run.last) >= 0);
		MUST(mnet_roce_same_flow(head, head, &r));
	}
	free(head);
	return 0;
}
