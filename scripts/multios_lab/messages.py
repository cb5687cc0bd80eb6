# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages on stderr, errors, and the trace of commands."""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
from collections.abc import Sequence


class LabError(Exception):
    """The lab cannot do what it was asked for; the text says why."""


class ProgramError(LabError):
    """A program of the host failed and has said why on stderr."""

    def __init__(self, program: str, status: int):
        super().__init__(f"{program} failed (exit {status}); its messages are above")
        self.status = status


def program_name() -> str:
    """The name in front of each message."""
    return os.environ.get("MULTIOS_PROG") or "lab"


def log(text: str) -> None:
    """Prints a line about the progress."""
    print(f"{program_name()}: {text}", file=sys.stderr, flush=True)


@dataclasses.dataclass(frozen=True)
class Trace:
    """Shows each command before it runs: `+ front: ip link`; `host` is this machine."""

    verbose: bool = False
    file: str = ""

    @classmethod
    def from_environment(cls, verbose: bool = False) -> Trace:
        """MULTIOS_TRACE=1 is --verbose; MULTIOS_TRACE=/some/file appends to that file."""
        value = os.environ.get("MULTIOS_TRACE", "")
        if "/" in value:
            return cls(verbose, value)
        return cls(verbose or value not in ("", "0"))

    def __call__(self, where: str, argv: Sequence[str]) -> None:
        line = f"+ {where}: {shlex.join(argv)}\n"
        if self.verbose:
            sys.stderr.write(line)
            sys.stderr.flush()
        if self.file:
            try:
                with open(self.file, "a", encoding="utf-8") as out:
                    out.write(line)
            except OSError as err:
                raise LabError(f"MULTIOS_TRACE={self.file}: {err.strerror}") from err


def log_lines(prefix: str, lines: Sequence[str]) -> None:
    """Prints lines of somebody else, below a message of ours."""
    sys.stderr.write("".join(f"{prefix}{line}\n" for line in lines))
    sys.stderr.flush()
