#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares what run.py wrote with our device and with rdma_rxe.

usage: report.py clean OURS         no failure, no error but the KNOWN
       report.py covers OURS RXE    what passes with rxe passes with ours
       report.py fewer OURS RXE     fewer tests are skipped
       report.py table NAME OURS RXE [NAME OURS RXE]...    a table of all of them and of the tests
       that differ

OURS and RXE are results of run.py. Exit status 1 and the tests concerned when the rule is broken.
"""
import collections
import sys

# Errors that are not the device's, with what they say and why.
KNOWN = {
    # librdmacm 60 hands the result of a look-up back through the kernel: WRITE_CM_EVENT, which
    # rdma_ucm of 6.1 and 6.12 lacks.
    "tests.test_rdmacm.CMTestCase.test_rdmacm_async_resolve_addrinfo": "Exception in passive side occurred",
    # librxe has no call for work queues, and this test alone does not skip over that once there are
    # raw packet QPs.
    "tests.test_rss_traffic.RSSTrafficTest.test_rss_traffic": "Failed to create WQ. Errno: 95",
}

OUTCOMES = ("ok", "failed", "error", "skipped")


def read(path):
    """{test: (outcome, reason)} of a whole run; anything less is no result."""
    tests, end = {}, None
    with open(path, encoding="utf-8") as file:
        for line in file:
            field = line.rstrip("\n").split("\t")
            if field[0] == "end":
                end = int(field[1])
            else:
                # A class may fail in its set-up more than once; none of it is lost.
                name = field[1]
                while name in tests:
                    name += "'"
                tests[name] = (field[0], field[3])
    if end is None:
        last = list(tests)[-1] if tests else "none"
        sys.exit(f"{path}: the suite did not get to its end; the last test that ended: {last}")
    if end == 0 or sum(name.startswith("tests.") for name in tests) != end:
        sys.exit(f"{path}: {end} tests run, {len(tests)} results")
    return tests


def count(tests):
    return collections.Counter(outcome for outcome, _ in tests.values())


def verdict(lines):
    print(*lines, sep="\n")
    sys.exit(bool(lines))


def clean(ours):
    known = [
        name
        for name, (outcome, reason) in ours.items()
        if outcome == "error" and name in KNOWN and KNOWN[name] in reason
    ]
    print(*(f"known: {name}: {ours[name][1]}" for name in known), sep="\n")
    verdict(
        [
            f"{outcome} {name}: {reason}"
            for name, (outcome, reason) in ours.items()
            if outcome in ("failed", "error") and name not in known
        ]
    )


def covers(ours, rxe):
    missing = ("missing", "")
    verdict(
        [
            f'{name}: {" ".join(ours.get(name, missing))}'
            for name, (outcome, _) in rxe.items()
            if outcome == "ok" and ours.get(name, missing)[0] != "ok"
        ]
    )


def fewer(ours, rxe):
    a, b = count(ours)["skipped"], count(rxe)["skipped"]
    print(f"skipped: {a} with ours, {b} with rxe")
    sys.exit(a >= b)


def table(*args):
    runs = [(args[i], read(args[i + 1]), read(args[i + 2])) for i in range(0, len(args), 3)]
    print("| suite | device | tests | passed | failed | errors | skipped |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for name, ours, rxe in runs:
        for device, tests in (("multios", ours), ("rdma_rxe", rxe)):
            n = count(tests)
            print(
                f"| {name} | {device} | {len(tests)} |",
                " | ".join(str(n[outcome]) for outcome in OUTCOMES),
                "|",
            )
    print("\n| suite | test that differs | multios | rdma_rxe |\n| --- | --- | --- | --- |")
    for name, ours, rxe in runs:
        for test in sorted(ours.keys() | rxe.keys()):
            a, b = ours.get(test, ("missing", "")), rxe.get(test, ("missing", ""))
            if a[0] != b[0]:
                cells = [" ".join(cell).strip().replace("|", "\\|")[:120] for cell in (a, b)]
                print(f'| {name} | {test.removeprefix("tests.")} | {cells[0]} | {cells[1]} |')


def main():
    rules = {"clean": (clean, 1), "covers": (covers, 2), "fewer": (fewer, 2)}
    if len(sys.argv) < 3 or sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        sys.exit(len(sys.argv) < 3 and 2)
    what, args = sys.argv[1], sys.argv[2:]
    if what == "table" and len(args) % 3 == 0:
        table(*args)
    elif what in rules and len(args) == rules[what][1]:
        rules[what][0](*map(read, args))
    else:
        sys.exit(__doc__)


main()
