#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Recomputes the ICRC of every RoCEv2 packet in a pcap file.

usage: icrc-check.py [--require N] [--fields] [--verbose] FILE...

Written from the InfiniBand Architecture specification (volume 1, 7.8.1, and annex A17), apart from
the modules' code. Reads classic pcap files of Ethernet, as QEMU's filter-dump writes them: VLAN
tags, IPv4, IPv6, UDP port 4791. Also checks what lies around the ICRC: IPv4 header checksum, UDP
length and, unless zero, checksum.

  --require N   fail if there are fewer than N RoCEv2 packets
  --fields      print "frame opcode destqp psn icrc" of each packet instead of the counts by opcode
  --verbose     print every packet that is wrong (else the first 10)

Last line: "N RoCEv2 packets, N ICRC right, N wrong". Exit status 0: none is wrong and enough were
found; 1: not so; 2: a file cannot be read.
"""

import argparse
import collections
import struct
import sys
import zlib

ETH_VLAN = (0x8100, 0x88A8, 0x9100)
ETH_IPV4, ETH_IPV6 = 0x0800, 0x86DD
UDP, ROCE_PORT = 17, 4791
BTH_LEN, ICRC_LEN = 12, 4

RC = (
    "SEND first",
    "SEND middle",
    "SEND last",
    "SEND last, immediate",
    "SEND only",
    "SEND only, immediate",
    "WRITE first",
    "WRITE middle",
    "WRITE last",
    "WRITE last, immediate",
    "WRITE only",
    "WRITE only, immediate",
    "READ request",
    "READ response first",
    "READ response middle",
    "READ response last",
    "READ response only",
    "ACK",
    "ATOMIC ACK",
    "CMP_SWAP",
    "FETCH_ADD",
    "0x15",
    "SEND last, invalidate",
    "SEND only, invalidate",
)
CLASSES = {0: "RC", 1: "UC", 2: "RD", 3: "UD", 4: "CNP", 5: "XRC"}


class BadFile(Exception):
    pass


def opcode_name(opcode):
    if opcode == 0x81:
        return "CNP"
    rest = opcode & 0x1F
    return (
        f"{CLASSES.get(opcode >> 5, hex(opcode >> 5))} {RC[rest] if rest < len(RC) else hex(rest)}"
    )


def frames(path):
    """Yields (number from 1, captured bytes, original length) of a pcap file."""
    try:
        with open(path, "rb") as f:
            data = f.read()
    except OSError as e:
        raise BadFile(f"{path}: {e.strerror}") from e
    for order in "<", ">":
        if len(data) >= 24 and struct.unpack(order + "I", data[:4])[0] in (0xA1B2C3D4, 0xA1B23C4D):
            break
    else:
        raise BadFile(f"{path}: not a pcap file (pcapng is not read)")
    link = struct.unpack(order + "I", data[20:24])[0] & 0xFFFF
    if link != 1:
        raise BadFile(f"{path}: link type {link}, must be 1 (Ethernet)")
    at, number = 24, 0
    # QEMU may have been stopped while it wrote the last record
    while at + 16 <= len(data):
        captured, original = struct.unpack(order + "II", data[at + 8 : at + 16])
        if at + 16 + captured > len(data):
            break
        number += 1
        yield number, data[at + 16 : at + 16 + captured], original
        at += 16 + captured


def ones_sum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


class Packet:
    """One RoCEv2 packet: ip (network header to the end of the ICRC), faults (strings)."""

    def __init__(self, number, ip, ip_len, version):
        self.number = number
        self.ip = ip
        self.version = version
        self.bth = ip_len + 8
        self.faults = []
        b = ip[self.bth :]
        self.opcode = b[0]
        self.destqp = int.from_bytes(b[5:8], "big")
        self.psn = int.from_bytes(b[9:12], "big")
        self.icrc = ip[-ICRC_LEN:]

    def computed(self):
        """The masked pseudo packet: 8 bytes of ones for LRH and GRH's place, variant fields all ones."""
        p = bytearray(self.ip[:-ICRC_LEN])
        if self.version == 4:
            p[1] = 0xFF  # type of service
            p[8] = 0xFF  # time to live
            p[10:12] = b"\xff\xff"  # header checksum
        else:
            p[0] |= 0x0F  # traffic class, flow label
            p[1:4] = b"\xff\xff\xff"
            p[7] = 0xFF  # hop limit
        p[self.bth - 2 : self.bth] = b"\xff\xff"  # UDP checksum
        p[self.bth + 4] = 0xFF  # BTH resv8a: FECN, BECN, reserved
        return zlib.crc32(bytes(p), zlib.crc32(b"\xff" * 8)).to_bytes(4, "little")

    def check(self):
        want = self.computed()
        if self.icrc != want:
            self.faults.append(f"ICRC is {self.icrc.hex()}, must be {want.hex()}")
        udp = self.bth - 8
        if self.version == 4:
            if ones_sum(self.ip[:udp]) != 0xFFFF:
                self.faults.append("IPv4 header checksum is wrong")
            pseudo = self.ip[12:20]
        else:
            pseudo = self.ip[8:40]
        if self.ip[udp + 6 : udp + 8] != b"\0\0":
            pseudo += struct.pack(">II", len(self.ip) - udp, UDP)
            if ones_sum(pseudo + self.ip[udp:]) != 0xFFFF:
                self.faults.append("UDP checksum is wrong")


def parse(number, frame, original):
    """None: not RoCEv2. A string: RoCEv2 that cannot be checked, and why. Else a Packet."""
    at, kind = 14, int.from_bytes(frame[12:14], "big")
    while kind in ETH_VLAN and len(frame) >= at + 4:
        kind = int.from_bytes(frame[at + 2 : at + 4], "big")
        at += 4
    ip = frame[at:]
    if kind == ETH_IPV4 and len(ip) >= 20 and ip[0] >> 4 == 4:
        head, total, proto = (ip[0] & 15) * 4, int.from_bytes(ip[2:4], "big"), ip[9]
        fragment = int.from_bytes(ip[6:8], "big") & 0x3FFF
        if fragment and proto == UDP:
            if fragment & 0x1FFF or ip[head + 2 : head + 4] != ROCE_PORT.to_bytes(2, "big"):
                return None
            return "a fragment"
        version = 4
    elif kind == ETH_IPV6 and len(ip) >= 40 and ip[0] >> 4 == 6:
        head, total, proto, version = 40, 40 + int.from_bytes(ip[4:6], "big"), ip[6], 6
    else:
        return None
    if (
        proto != UDP
        or len(ip) < head + 8
        or int.from_bytes(ip[head + 2 : head + 4], "big") != ROCE_PORT
    ):
        return None
    if original > len(frame):
        return f"only {len(frame)} of {original} bytes were captured"
    if total > len(ip):
        return f"IP length {total}, {len(ip)} bytes are there"
    if total < head + 8 + BTH_LEN + ICRC_LEN:
        return f"IP length {total} is too short"
    if int.from_bytes(ip[head + 4 : head + 6], "big") != total - head:
        return f"UDP length {int.from_bytes(ip[head + 4:head + 6], 'big')} in {total - head} bytes of IP payload"
    return Packet(number, ip[:total], head, version)


def main():
    ap = argparse.ArgumentParser(usage=__doc__, add_help=True)
    ap.add_argument("--require", type=int, default=1)
    ap.add_argument("--fields", action="store_true")
    ap.add_argument("--verbose", action="store_true")
    ap.add_argument("files", nargs="+")
    args = ap.parse_args()

    by_opcode = collections.Counter()
    total = right = wrong = 0
    try:
        for path in args.files:
            for number, frame, original in frames(path):
                packet = parse(number, frame, original)
                if packet is None:
                    continue
                total += 1
                if isinstance(packet, str):
                    faults = [packet]
                else:
                    packet.check()
                    faults = packet.faults
                    by_opcode[packet.version, packet.opcode] += 1
                    if args.fields:
                        print(number, packet.opcode, packet.destqp, packet.psn, packet.icrc.hex())
                if not faults:
                    right += 1
                    continue
                wrong += 1
                if args.verbose or wrong <= 10:
                    print(f"{path}: frame {number}: {'; '.join(faults)}")
    except BadFile as e:
        print(f"icrc-check: {e}", file=sys.stderr)
        return 2
    if not args.fields:
        for (version, opcode), n in sorted(by_opcode.items()):
            print(f"{n:8}  IPv{version}  0x{opcode:02x}  {opcode_name(opcode)}")
    print(f"{total} RoCEv2 packets, {right} ICRC right, {wrong} wrong")
    if total < args.require:
        print(f"icrc-check: {total} RoCEv2 packets, {args.require} are required", file=sys.stderr)
    return 0 if not wrong and total >= args.require else 1


if __name__ == "__main__":
    sys.exit(main())
