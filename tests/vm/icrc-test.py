#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests icrc-check.py on the golden capture of stock rdma_rxe.

usage: icrc-test.py [CAPTURE]

Every ICRC of the capture is right; a changed bit of a packet is found, unless it belongs to a field
that the ICRC leaves out; what cannot be checked counts as wrong; tshark finds the same packets with
the same opcode, QP, PSN and ICRC. Without tshark that last part is skipped, and the exit status is
77.
"""

import importlib.util
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
CHECKER = HERE / "icrc-check.py"
LEAST = 250
FAILED = []


def say(ok, what):
    print(f"{'ok    ' if ok else 'FAILED'} {what}")
    if not ok:
        FAILED.append(what)


def run(*args):
    return subprocess.run(
        [sys.executable, str(CHECKER), *map(str, args)], text=True, capture_output=True, timeout=60
    )


def pcap(path, records, magic=0xA1B2C3D4, order="<", link=1):
    with open(path, "wb") as f:
        f.write(struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link))
        for frame, original in records:
            f.write(struct.pack(order + "IIII", 0, 0, len(frame), original))
            f.write(frame)


def golden(capture):
    r = run("--require", LEAST, capture)
    say(r.returncode == 0, f"stock rxe: {r.stdout.splitlines()[-1]}")
    for want in (
        "RC SEND first",
        "RC WRITE only",
        "RC READ response middle",
        "UD SEND only",
        "UC WRITE last",
        "RC ACK",
    ):
        say(want in r.stdout, f"the capture has {want}")
    say("IPv4" in r.stdout and "IPv6" in r.stdout, "over IPv4 and IPv6")
    say(run("--require", 100000, capture).returncode == 1, "too few packets fail")


def every_bit(checker, capture):
    """Each byte of some packets of each kind is changed, one bit at a time."""
    seen, missed, blamed, changed = set(), 0, 0, 0
    for number, frame, original in checker.frames(capture):
        p = checker.parse(number, frame, original)
        if not isinstance(p, checker.Packet) or (p.version, p.opcode) in seen:
            continue
        seen.add((p.version, p.opcode))
        udp = p.bth - 8
        # what the ICRC leaves out, and the lengths, which the parser checks first
        if p.version == 4:
            free, parsed = {1, 8, 10, 11}, {0, 2, 3, 6, 7, 9}
        else:
            free, parsed = {1, 2, 3, 7}, {0, 4, 5, 6}
        free |= {udp + 6, udp + 7, p.bth + 4}
        parsed |= {udp + 2, udp + 3, udp + 4, udp + 5}
        for at in range(len(p.ip)):
            if at in parsed:
                continue
            b = bytearray(p.ip)
            b[at] ^= 1 << at % 8
            q = checker.Packet(number, bytes(b), udp, p.version)
            same = q.icrc == q.computed()
            changed += 1
            missed += same and at not in free
            blamed += not same and at in free
    say(len(seen) >= 20, f"{len(seen)} kinds of packets, {changed} changes of a bit")
    say(not missed, "each change of what the ICRC covers is found")
    say(not blamed, "none is reported of what it leaves out")


def odd_files(checker, capture, work):
    frames = [f for f in checker.frames(capture) if isinstance(checker.parse(*f), checker.Packet)]
    _, frame, _ = frames[0]
    out = work / "odd.pcap"

    def count(records, **kw):
        pcap(out, records, **kw)
        r = run(out)
        return r.returncode, r.stdout.splitlines()[-1] if r.stdout else r.stderr

    good = "1 RoCEv2 packets, 1 ICRC right, 0 wrong"
    wrong = (1, "1 RoCEv2 packets, 0 ICRC right, 1 wrong")
    say(count([(frame, len(frame))]) == (0, good), "a file of one packet")
    say(count([(frame, len(frame))], order=">") == (0, good), "big-endian file")
    say(count([(frame, len(frame))], magic=0xA1B23C4D) == (0, good), "nanosecond file")
    tagged = frame[:12] + bytes((0x81, 0, 0, 5)) + frame[12:]
    say(count([(tagged, len(tagged))]) == (0, good), "VLAN tag")
    say(count([(frame + bytes(9), len(frame) + 9)]) == (0, good), "padding after the packet")
    say(count([(frame[:-8], len(frame))]) == wrong, "a packet captured in part is not right")
    say(count([(frame[:-1], len(frame) - 1)]) == wrong, "a packet cut short is not right")
    ip = frame[12:14] == b"\x08\x00"
    fragment = bytearray(frame)
    fragment[20] |= 0x20
    say(not ip or count([(bytes(fragment), len(fragment))]) == wrong, "a fragment is not right")
    say(
        count([(b"\xff" * 12 + b"\x08\x06" + bytes(46), 60)])
        == (1, "0 RoCEv2 packets, 0 ICRC right, 0 wrong"),
        "other traffic alone is not enough",
    )
    say(count([], link=113)[0] == 2, "not Ethernet")
    out.write_bytes(b"\x0a\x0d\x0d\x0a" + bytes(60))
    say(run(out).returncode == 2, "pcapng")
    say(run(work / "none").returncode == 2, "no such file")
    # every cut of every kind of frame is parsed without an exception
    kinds = {}
    for n, f, o in checker.frames(capture):
        kinds.setdefault((f[12:14], len(f)), (n, f, o))
    bad = 0
    for n, f, o in kinds.values():
        for cut in range(14, min(len(f), 120)):
            try:
                p = checker.parse(n, f[:cut], cut)
                bad += isinstance(p, checker.Packet) and cut < 58
            except (IndexError, struct.error):
                bad += 1
    say(not bad, "frames of every length are parsed")


def tshark(capture):
    tool = shutil.which("tshark")
    if not tool:
        print("SKIP: tshark is not installed (scripts/setup installs it)")
        return 77
    fields = (
        "frame.number",
        "infiniband.bth.opcode",
        "infiniband.bth.destqp",
        "infiniband.bth.psn",
        "infiniband.invariant.crc",
    )
    # Ethernet over IB is what Wireshark 4.4 takes random payload for; the ICRC behind it is lost
    # when that goes wrong.
    r = subprocess.run(
        [
            tool,
            "-r",
            capture,
            "--disable-heuristic",
            "eth_over_ib",
            "-Y",
            "infiniband",
            "-T",
            "fields",
            "-E",
            "separator=|",
            *sum((["-e", f] for f in fields), []),
        ],
        text=True,
        capture_output=True,
        timeout=100,
    )
    theirs = []
    for line in r.stdout.splitlines():
        number, opcode, qp, psn, icrc = line.split("|")
        theirs.append((int(number), int(opcode), int(qp, 0), int(psn), int(icrc, 0)))
    ours = []
    for line in run("--fields", capture).stdout.splitlines()[:-1]:
        number, opcode, qp, psn, icrc = line.split()
        ours.append((int(number), int(opcode), int(qp), int(psn), int(icrc, 16)))
    say(len(theirs) >= LEAST, f"tshark finds {len(theirs)} RoCEv2 packets")
    say(theirs == ours, "tshark and the checker agree on number, opcode, QP, PSN and ICRC of each")
    for a, b in zip(theirs, ours):
        if a != b:
            print(f"       tshark {a}, checker {b}")
            break
    return 0


def main():
    capture = sys.argv[1] if len(sys.argv) > 1 else str(HERE / "golden" / "stock-rxe.pcap")
    spec = importlib.util.spec_from_file_location("icrc_check", CHECKER)
    checker = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    spec.loader.exec_module(checker)
    golden(capture)
    every_bit(checker, capture)
    with tempfile.TemporaryDirectory() as work:
        odd_files(checker, capture, pathlib.Path(work))
    status = tshark(capture)
    if FAILED:
        print(f"{len(FAILED)} failed")
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
