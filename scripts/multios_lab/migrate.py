# SPDX-License-Identifier: GPL-2.0-or-later
"""
Moves the front's machine to another QEMU on this host, over a socket while it runs, or by way of a
file. Both QEMUs are on the same wire, on different ports of its bridge.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import Any

from multios_lab import net, qmp
from multios_lab.boot import Boot
from multios_lab.interrupt import held
from multios_lab.messages import LabError, Trace, log
from multios_lab.state import State
from multios_lab.vm import Vm

SOCKET = "migration.sock"
NEWS_SECONDS = 10
VM = "front"


def migrate(state: State, trace: Trace, through: str, seconds: float) -> dict[str, Any]:
    """Moves the machine. Returns QEMU's figures. After a failure it goes on where it was."""
    config = state.running_config()
    if config["wire"] != "tap":
        raise LabError("migrate needs a lab that was started with --wire tap")
    old = Vm.from_dict(json.loads((state.folder / f"{VM}.vm").read_text(encoding="utf-8")))
    # New names for each move: the old QEMU removes its sockets by name when it ends.
    moves = int(config.get("moves", 0)) + 1
    prefix = f"in{moves}."
    config |= {"moves": str(moves)}
    new = old.successor(prefix, state.vm_name(prefix + VM))
    # So that `lab down` finds it, whatever happens.
    state.write_config(config | {"VMS": f"{config['VMS']} {new.name}"})
    boot = Boot(state, [], trace)
    tap = net.add_tap(state.key, old.mtu)
    try:
        boot.start(new, tap)
        figures = move(state, new, through, seconds)
    except BaseException as err:
        with held():
            said = state.qemu_log(new.name).strip()
            boot.end_unknown()
            state.end_vm(new.name)
            drop_files(state, prefix)
            state.write_config(config)
            go_on(state)
        if isinstance(err, LabError) and said:
            raise LabError(f"{err}; the new QEMU said: {said}") from err
        raise
    finally:
        os.close(tap)
    with held():
        state.end_vm(VM)
        for file in state.folder.glob(f"{prefix}*"):
            file.rename(file.with_name(file.name.removeprefix(prefix)))
        state.write_config(config | {"capture": ""})
    return figures


def move(state: State, new: Vm, through: str, seconds: float) -> dict[str, Any]:
    """Migrates, and waits for the end on both sides."""
    uri = f"file:{through}" if through else f"unix:{SOCKET}"
    if not through:
        qmp.command(state, new.name, "migrate-incoming", {"uri": uri})
    limits = {"max-bandwidth": 1 << 40}
    qmp.command(state, VM, "migrate-set-parameters", limits)
    qmp.command(state, VM, "migrate", {"uri": uri})
    figures = finished(state, VM, seconds)
    if through:
        qmp.command(state, new.name, "migrate-incoming", {"uri": uri})
    finished(state, new.name, seconds)
    return figures


def finished(state: State, vm: str, seconds: float) -> dict[str, Any]:
    """Waits until a side has done its part. Returns its query-migrate."""
    deadline, news = time.monotonic() + seconds, time.monotonic() + NEWS_SECONDS
    while True:
        figures: dict[str, Any] = qmp.command(state, vm, "query-migrate")
        status = figures.get("status", "none")
        if status == "completed":
            return figures
        if status in ("failed", "cancelled"):
            raise LabError(f"migrate: {status}: {figures.get('error-desc', 'no reason was given')}")
        now = time.monotonic()
        if now >= deadline:
            with contextlib.suppress(LabError):
                qmp.command(state, VM, "migrate_cancel")
            raise LabError(f"migrate: not done within {seconds:g} s (status {status})")
        if now >= news:
            ram = figures.get("ram", {})
            log(f"{vm}: {status}, {ram.get('remaining', 0) >> 20} MiB of memory are left")
            news = now + NEWS_SECONDS
        time.sleep(0.05)


def go_on(state: State) -> None:
    """Lets the machine go on where it was, as no other QEMU took it over."""
    with contextlib.suppress(LabError):
        if qmp.command(state, VM, "query-status")["status"] == "postmigrate":
            qmp.command(state, VM, "cont")


def drop_files(state: State, prefix: str) -> None:
    """Removes the files of a QEMU that has ended, but for its log."""
    for file in state.folder.glob(f"{prefix}*"):
        if file.suffix != ".log":
            file.unlink()
