# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's monitor."""

from __future__ import annotations

import json
from typing import Any

from multios_lab.messages import LabError
from multios_lab.state import State

SECONDS = 30


def command(state: State, vm: str, name: str, arguments: dict[str, Any] | None = None) -> Any:
    """One QMP command to the QEMU of a VM: its return value; raises LabError with QEMU's error."""
    try:
        sock = state.connect(f"{vm}.qmp", SECONDS)
    except OSError as err:
        raise LabError(f"the QEMU of {vm} has no monitor: {err}") from err
    try:
        with sock, sock.makefile("rw") as file:
            file.readline()
            hello = {"execute": "qmp_capabilities"}
            for request in (hello, {"execute": name, "arguments": arguments or {}}):
                file.write(json.dumps(request) + "\n")
                file.flush()
                answer: dict[str, Any] = {}
                while "return" not in answer and "error" not in answer:
                    answer = json.loads(file.readline())
    except (OSError, ValueError) as err:
        raise LabError(f"{name}: the QEMU of {vm} gave no answer: {err}") from err
    if "error" in answer:
        raise LabError(f"{name}: {answer['error']['desc']}")
    return answer["return"]
