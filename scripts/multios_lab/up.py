# SPDX-License-Identifier: GPL-2.0-or-later
"""The start of a lab, and leaving nothing behind when it fails or is interrupted."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import time
from collections.abc import Sequence

from multios_lab import build, net
from multios_lab.boot import Boot
from multios_lab.interrupt import held
from multios_lab.messages import LabError, Trace, log
from multios_lab.options import LabOptions
from multios_lab.state import State
from multios_lab.topology import Topology
from multios_lab.vm import Vm

# A machine that stalls is started once more, and then once more.
BOOTS = 3


def up(state: State, options: LabOptions, trace: Trace) -> None:
    """Boots a lab and waits until every guest is ready."""
    start = time.monotonic()
    make_room(state)
    parts = build.parts(options, trace)
    topology = Topology(options, parts, state)
    for boots in range(1, BOOTS + 1):
        may_stall = parts.emulation.accel == "tcg" and boots < BOOTS
        stalled = boot_once(topology, trace, may_stall)
        if not stalled:
            break
        log(
            f"{stalled} has stalled: its kernel waits for a timer of the emulated machine"
            f" (logs: build/lab/{state.name}.stalled). Once more."
        )
        with held():
            state.end()
            shutil.rmtree(state.beside("stalled"), ignore_errors=True)
            state.beside("last").rename(state.beside("stalled"))
    config, versions = topology.config(), parts.kernel_versions
    back = "" if options.plain else f", back {versions['back']}"
    log(
        f"up: {config['GUESTS']}, {config['ACCEL']}, front {versions['front']}{back},"
        f" MTU {options.mtu} ({time.monotonic() - start:.0f} s)"
    )


def make_room(state: State) -> None:
    """Removes the rest of a lab whose QEMUs have ended; raises LabError if one runs."""
    if not state.exists:
        return
    if any(state.pid(vm) for vm in state.read_config().get("VMS", "").split()):
        raise LabError(
            f"lab '{state.name}' is already running: scripts/lab down first,"
            " or take another --name"
        )
    with held():
        state.end()


def start_all(boot: Boot, vms: Sequence[Vm]) -> None:
    """Makes the wire and starts the QEMUs on it."""
    # Each QEMU has inherited its end by the time this closes them.
    with contextlib.ExitStack() as ends:
        wire: list[int | None] = [None]
        if vms[0].wire == "tap":
            net.create(boot.state.key, vms[0].mtu)
            wire = []
            for _ in vms:
                wire.append(net.add_tap(boot.state.key, vms[0].mtu))
                ends.callback(os.close, wire[-1])
        elif len(vms) == 2:
            wire = [ends.enter_context(end).fileno() for end in socket.socketpair()]
        for vm, end in zip(vms, wire, strict=True):
            boot.start(vm, end)


def boot_once(topology: Topology, trace: Trace, may_stall: bool) -> str:
    """One boot: returns the name of a guest that has stalled, else an empty string."""
    state, config = topology.state, topology.config()
    kvm = config["ACCEL"] == "kvm"
    how = "KVM, hardware virtualisation" if kvm else "TCG, no KVM"
    boot = Boot(state, config["GUESTS"].split(), trace)
    try:
        state.write_config(config)
        log(f"booting: {config['GUESTS']} ({how})")
        start_all(boot, topology.vms())
        return boot.wait_ready(topology.options.timeout, may_stall)
    except BaseException as err:
        if isinstance(err, LabError):
            boot.explain()
            if topology.options.keep:
                log("kept: scripts/lab status, log GUEST; end it with scripts/lab down")
                raise
        with held():
            state.keep_logs("failed")
            boot.end_unknown()
            state.end()
        log(f"the logs are in build/lab/{state.name}.failed")
        raise
