/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * multios shared ring: the table of MAC addresses that an RDMA device listens to. Its owner
 * changes it at any time; the peer's packet classifier reads it for each packet, without a lock.
 * A wrong table misdirects the packets of its owner and does no other harm.
 */
#ifndef MSR_MAC_H
#define MSR_MAC_H

#include "barrier.h"
#include "wire.h"

/* The slot's content for the six bytes at @addr */
static inline __u64 msr_mac_word(const __u8 *addr)
{
	__u64 word = 0;
	int i;

	for (i = 0; i < 6; i++)
		word = word << 8 | addr[i];
	return MSR_MAC_VALID | word;
}

/* Owner, in its private copy: stores @word, or 0, in slot @i. One call at a time. */
static inline void msr_mac_set(struct msr_macs *macs, __u32 i, __u64 word)
{
	__u32 nr = msr_load(&macs->nr);

	msr_store(&macs->mac[i], word);
	if (word && nr <= i)
		nr = i + 1;
	while (!word && nr && !msr_load(&macs->mac[nr - 1]))
		nr--;
	msr_store(&macs->nr, nr);
}

/*
 * Any context. Returns true if the address of six bytes at @addr is in the table. No barriers: an
 * address that is being added or removed is found or not.
 */
static inline msr_must_check bool msr_mac_listed(const struct msr_macs *macs, const __u8 *addr)
{
	__u64 word = msr_mac_word(addr);
	__u32 nr = msr_load(&macs->nr);
	__u32 i;

	if (msr_unlikely(nr > MSR_MAX_MACS))
		nr = MSR_MAX_MACS;
	for (i = 0; i < nr; i++)
		if (msr_load(&macs->mac[i]) == word)
			return true;
	return false;
}

#endif /* MSR_MAC_H */
