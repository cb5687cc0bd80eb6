# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's console in this terminal."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import termios
import tty

from multios_lab.state import State

LEAVE = b"\x1d"  # Ctrl-]


def attach(state: State, guest: str) -> None:
    """Passes keys and output on, until Ctrl-] or until the console ends."""
    with state.connect(guest + ".con") as sock:
        print(f"console of {guest}: Ctrl-] leaves", file=sys.stderr)
        if not sys.stdin.isatty():
            _pass_on(sock, interactive=False)
            return
        saved = termios.tcgetattr(0)
        try:
            tty.setraw(0)
            _pass_on(sock, interactive=True)
        finally:
            termios.tcsetattr(0, termios.TCSADRAIN, saved)
            print(file=sys.stderr)


def _pass_on(sock: socket.socket, interactive: bool) -> None:
    while True:
        for ready in select.select([0, sock], [], [])[0]:
            if ready is sock:
                data = sock.recv(4096)
                if not data:
                    return
                os.write(1, data)
                continue
            data = os.read(0, 4096)
            if not data and not interactive:
                _read_to_silence(sock)
                return
            if not data or LEAVE in data:
                return
            sock.sendall(data)


def _read_to_silence(sock: socket.socket) -> None:
    """The answer to what was piped in: the console's output until it is silent for 2 s."""
    sock.settimeout(2)
    with contextlib.suppress(socket.timeout):
        while data := sock.recv(4096):
            os.write(1, data)
