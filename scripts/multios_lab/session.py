# SPDX-License-Identifier: GPL-2.0-or-later
"""
Runs many commands in one process: starting Python and this package takes several times as long as
a command in a guest.

A line on stdin is the prefix of four file names. PREFIX.words is a command line of scripts/lab,
each word ended by a NUL. A thread runs it with its output in PREFIX.out and PREFIX.err, and then
writes its exit status to the FIFO PREFIX.status, which it holds open from its start: end of file
without a status tells the reader that there will be none. lib-session.sh is the client.

Working directory and environment are those of the session's start. A command whose client is killed
goes on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any, TextIO

Run = Callable[[Sequence[str]], int]
EXIT_ERROR = 1
# These need a terminal, stdin or the main thread's signals.
REFUSED = ("up", "down", "migrate", "console", "session")


class Stream:
    """stdout or stderr of the thread that asks; of the process where a thread has none."""

    def __init__(self, default: TextIO):
        self.default = default
        self.own = threading.local()

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(self.own, "stream", self.default), name)


def answer(prefix: str, run: Run, out: Stream, err: Stream) -> None:
    """Runs one command."""
    with (
        open(f"{prefix}.status", "w", encoding="ascii") as status,
        open(f"{prefix}.out", "w", encoding="utf-8") as out.own.stream,
        open(f"{prefix}.err", "w", encoding="utf-8") as err.own.stream,
    ):
        code = EXIT_ERROR
        try:
            with open(f"{prefix}.words", encoding="utf-8", errors="surrogateescape") as file:
                words = file.read().split("\0")[:-1]
            if words[0] in REFUSED:
                print(f"lab: error: {words[0]} is no command of a session", file=sys.stderr)
            else:
                code = run(words)
        except SystemExit as end:  # --help
            code = end.code if isinstance(end.code, int) else EXIT_ERROR
        except Exception:  # pylint: disable=broad-exception-caught # the command's, not ours
            traceback.print_exc()
        out.own.stream.flush()
        err.own.stream.flush()
        with contextlib.suppress(BrokenPipeError):  # a client that was killed
            status.write(f"{code}")
            status.flush()


def serve(run: Run) -> int:
    """Serves until stdin ends. Commands that still run then end with the process."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    out, err = Stream(sys.stdout), Stream(sys.stderr)
    sys.stdout, sys.stderr = out, err  # type: ignore[assignment]
    for line in sys.stdin.buffer:
        words = (os.fsdecode(line.rstrip(b"\n")), run, out, err)
        threading.Thread(target=answer, args=words, daemon=True).start()
    os._exit(0)
