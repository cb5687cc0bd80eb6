# SPDX-License-Identifier: GPL-2.0-or-later
"""
Many commands from one process: to start Python and this package takes several times as long as a
command in a guest.

A line on stdin is the prefix of four file names. PREFIX.words is a command line of scripts/lab,
each word ended by a NUL. A thread runs it with its output in PREFIX.out and PREFIX.err, and then
writes its exit status to the FIFO PREFIX.status, which it holds open from its start: end of file
without a status tells the reader that there will be none. lib-session.sh is the client.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any, TextIO

Run = Callable[[Sequence[str]], int]
EXIT_ERROR = 1


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
                code = run(file.read().split("\0")[:-1])
        except SystemExit as end:  # --help
            code = end.code if isinstance(end.code, int) else EXIT_ERROR
        except Exception:  # pylint: disable=broad-exception-caught # the command's, not ours
            traceback.print_exc()
        out.own.stream.flush()
        err.own.stream.flush()
        status.write(f"{code}")


def serve(run: Run) -> int:
    """Serves until stdin ends. Commands that still run then end with the process."""
    out, err = Stream(sys.stdout), Stream(sys.stderr)
    sys.stdout, sys.stderr = out, err  # type: ignore[assignment]
    for line in sys.stdin.buffer:
        words = (os.fsdecode(line.rstrip(b"\n")), run, out, err)
        threading.Thread(target=answer, args=words, daemon=True).start()
    os._exit(0)
