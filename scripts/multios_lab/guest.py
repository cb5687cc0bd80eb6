# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands and files in a guest, by way of the broker (broker.py says why there is one)."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from multios_lab.messages import LabError, Trace
from multios_lab.state import ROOT, SCRIPTS, State

BROKER = "agent.sock"
EXIT_TIMEOUT, EXIT_LOST, EXIT_NOT_FOUND = 124, 125, 127
# The broker itself ends a command that is late; it may have to wait for a busy guest before.
BROKER_SECONDS = 120
PUSH_BYTES = 1 << 20
PULL_BLOCKS = 8  # of 1 MiB


@dataclasses.dataclass(frozen=True)
class Result:
    """The end of a command in a guest."""

    status: int
    out: bytes = b""
    err: bytes = b""


class Guest:
    """One guest of a running lab."""

    def __init__(self, state: State, name: str, trace: Trace):
        self.state = state
        self.name = name
        self.trace = trace

    def run(self, argv: Sequence[str], stdin: bytes = b"", timeout: float | None = None) -> Result:
        """Runs a command to its end. Status 124: timed out, 125: guest lost, 127: not found."""
        self.trace(self.name, argv)
        request: dict[str, Any] = {"guest": self.name, "argv": list(argv), "timeout": timeout}
        if stdin:
            request["stdin"] = base64.b64encode(stdin).decode()
        answer = self._ask(request, timeout + BROKER_SECONDS if timeout else None)
        if "lost" in answer:
            return self._no_result(EXIT_LOST, answer["lost"])
        if "error" in answer:
            not_found = "execute child" in answer["error"]
            return self._no_result(EXIT_NOT_FOUND if not_found else EXIT_LOST, answer["error"])
        if answer.get("timeout"):
            why = f"not done after {timeout:g} s, ended: {' '.join(argv)}"
            return self._no_result(EXIT_TIMEOUT, why)
        err = base64.b64decode(answer["err-data"] or "")
        if answer.get("out-truncated"):
            err += b"lab: warning: output beyond 16 MiB is cut off\n"
        status = 128 + answer["signal"] if answer["signal"] else answer["exitcode"]
        return Result(status, base64.b64decode(answer["out-data"] or ""), err)

    def wait(self, seconds: float) -> None:
        """Waits until the agent answers; raises LabError if it does not."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            request = {"guest": self.name, "execute": "guest-ping", "seconds": 3}
            if "return" in self._ask(request):
                return
            time.sleep(0.1)
        raise LabError(f"the guest agent of {self.name} did not answer within {seconds:.0f} s")

    def push(self, source: str, dest: str) -> Result:
        """Copies a file into the guest, with its mode."""
        with open(source, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            script = 'cat >"$1"'
            chunk = file.read(PUSH_BYTES)
            while True:
                result = self.run(["sh", "-c", script, "sh", dest], chunk)
                chunk = file.read(PUSH_BYTES)
                if result.status or not chunk:
                    break
                script = 'cat >>"$1"'
        return result if result.status else self.run(["chmod", f"{mode:o}", dest])

    def pull(self, source: str, dest: str) -> Result:
        """Copies a file out of the guest."""
        with open(dest, "wb") as file:
            skip = 0
            while True:
                block = ["bs=1048576", f"skip={skip}", f"count={PULL_BLOCKS}"]
                result = self.run(["dd", f"if={source}", *block])
                if result.status:
                    return result
                file.write(result.out)
                if len(result.out) < PULL_BLOCKS << 20:
                    return Result(0)
                skip += PULL_BLOCKS

    def _no_result(self, status: int, why: str) -> Result:
        return Result(status, b"", f"lab: error: guest {self.name}: {why}\n".encode())

    def _ask(self, request: dict[str, Any], seconds: float | None = None) -> dict[str, Any]:
        """One request to the broker, which has `seconds` to answer it."""
        try:
            with self._broker() as sock, sock.makefile("rb") as file:
                sock.settimeout(seconds)
                sock.sendall(json.dumps(request).encode() + b"\n")
                line = file.readline()
        except TimeoutError:
            return {"lost": f"the agent broker gave no answer within {seconds:g} s"}
        answer: dict[str, Any] = json.loads(line or b'{"lost": "the agent broker ended"}')
        return answer

    def _broker(self) -> socket.socket:
        """A connection to the broker, which is started when it does not run."""
        deadline = time.monotonic() + 5
        started = False
        while True:
            try:
                return self.state.connect(BROKER)
            except OSError as err:
                if time.monotonic() > deadline:
                    why = "the agent broker did not start: see agent.log in the lab's folder"
                    raise LabError(why) from err
            if not started:
                started = True
                self._start_broker()
            time.sleep(0.03)

    def _start_broker(self) -> None:
        cache = f"pycache_prefix={ROOT / 'build' / 'pycache'}"
        program = str(SCRIPTS / "multios_lab" / "__main__.py")
        with open(self.state.folder / "agent.log", "ab") as out:
            subprocess.Popen(
                [sys.executable, "-P", "-S", "-X", cache, program, "broker"],
                cwd=self.state.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
