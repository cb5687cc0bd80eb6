#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs rdma-core's test suite in a guest and writes one line a test.

usage: run.py TESTS RESULTS --dev DEVICE [options and test names of the suite]

TESTS is the suite's folder as installed by python3-pyverbs. RESULTS gets a line "outcome, test,
seconds, reason" for each test, tab-separated and written as soon as the test is over, then "end"
and the number of tests: without it the suite did not get there. A test that does not end within
LIMIT seconds is an error.
"""
import os
import signal
import sys
import time
import unittest

LIMIT = 60


class TooLong(BaseException):
    pass


def too_long(_signum, _frame):
    raise TooLong(f"not done within {LIMIT} s")


def reason_of(err):
    return f"{err[0].__name__}: {err[1]}"


class Result(unittest.TextTestResult):
    """Keeps the worst outcome of a test and its subtests, and writes it when the test stops."""

    worst = ("ok", "skipped", "failed", "error")

    def __init__(self, *args, out=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.out = out
        self.now = None

    def note(self, outcome, reason=""):
        # An error outside of a test: in the set-up of a class or a module.
        if self.now is None:
            self.write(outcome, "set-up", 0, reason)
        elif self.worst.index(outcome) > self.worst.index(self.now[0]):
            self.now = (outcome, reason)

    def write(self, outcome, name, seconds, reason):
        line = "\t".join((outcome, name, f"{seconds:.1f}", " ".join(reason.split())))
        self.out.write(line + "\n")
        self.out.flush()

    def startTest(self, test):
        super().startTest(test)
        self.now = ("ok", "")
        self.pid = os.getpid()
        self.start = time.monotonic()
        signal.alarm(LIMIT)

    def stopTest(self, test):
        signal.alarm(0)
        # A child that forgot to leave must not report in its parent's place.
        if os.getpid() != self.pid:
            os._exit(1)
        self.write(self.now[0], test.id(), time.monotonic() - self.start, self.now[1])
        self.now = None
        super().stopTest(test)

    def addError(self, test, err):
        super().addError(test, err)
        self.note("error", reason_of(err))

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.note("failed", reason_of(err))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.note("skipped", reason)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.note(
                "failed" if issubclass(err[0], test.failureException) else "error", reason_of(err)
            )

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.note("failed", "unexpected success")


def main():
    folder, results = os.path.abspath(sys.argv[1]), sys.argv[2]
    sys.argv = [sys.argv[0], *sys.argv[3:]]
    sys.path[:0] = [folder, os.path.dirname(folder)]
    # Its modules do "from args_parser import parser" as well as "from tests.base import ...".
    suite = __import__(os.path.basename(folder))
    suite.parser.parse_args()
    signal.signal(signal.SIGALRM, too_long)
    with open(results, "w", encoding="utf-8") as out:

        def result(*args, **kwargs):
            return Result(*args, out=out, **kwargs)

        runner = unittest.TextTestRunner(resultclass=result, verbosity=2)
        program = unittest.main(module=suite, argv=sys.argv, testRunner=runner, exit=False)
        out.write(f"end\t{program.result.testsRun}\n")


main()
