#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: vlan-count.py PCAP VLAN MINIMUM: at least MINIMUM RoCEv2 packets over IPv4 in that VLAN,
# none without a tag.

import struct
import sys


def main():
    path, vlan, minimum = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    tagged = other = 0
    with open(path, "rb") as f:
        order = "<" if f.read(24)[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
        while len(head := f.read(16)) == 16:
            packet = f.read(struct.unpack(order + "4I", head)[2])
            proto, tci, inner = struct.unpack("!HHH", packet[12:18])
            ip = packet[18:] if proto == 0x8100 and inner == 0x0800 else packet[14:]
            if len(ip) < 28 or ip[0] != 0x45 or ip[9] != 17 or ip[22:24] != b"\x12\xb7":
                continue
            if proto == 0x8100 and tci & 0xFFF == vlan:
                tagged += 1
            else:
                other += 1
    print(f"{tagged} in VLAN {vlan}, {other} not")
    return tagged < minimum or other > 0


sys.exit(main())
