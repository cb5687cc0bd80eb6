# SPDX-License-Identifier: GPL-2.0-or-later
"""Signals that end a program become KeyboardInterrupt, but not in the middle of a hand-over."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def install() -> None:
    """SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt from now on."""
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """
    Delays the signals until the block has ended: a process that was started is always known to
    the caller, and a lab is taken down as a whole.
    """
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt
