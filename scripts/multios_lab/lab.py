# SPDX-License-Identifier: GPL-2.0-or-later
"""A lab as a whole: up, down, and what can be asked of one that runs."""

from __future__ import annotations

import re
import shutil
import time
from typing import TYPE_CHECKING, Any

from multios_lab import qmp
from multios_lab.guest import Guest
from multios_lab.interrupt import held
from multios_lab.messages import LabError, Trace, log
from multios_lab.state import State

if TYPE_CHECKING:
    from multios_lab.options import LabOptions
    from multios_lab.topology import Topology

# A machine that stalls is started once more, and then once more.
BOOTS = 3
# The last message of a guest's start.
START = re.compile(r"multios: (?:ready|failed)[^\r\n]*")
MULTIOS_DEVICE = "/machine/peripheral/mos0"


class Lab:
    """A lab by its name, whether it runs or not."""

    def __init__(self, name: str = "default", trace: Trace | None = None):
        self.state = State(name)
        self.name = name
        self.trace = trace or Trace.from_environment()

    # Start and end

    def up(self, options: LabOptions) -> None:
        """Boots a lab with these LabOptions and waits until every guest is ready."""
        # Only this command needs them; the suites run the others thousands of times.
        from multios_lab import build, topology  # pylint: disable=import-outside-toplevel

        start = time.monotonic()
        self._make_room()
        parts = build.parts(options, self.trace)
        for boots in range(1, BOOTS + 1):
            lab = topology.Topology(options, parts, self.state)
            may_stall = parts.emulation.accel == "tcg" and boots < BOOTS
            stalled = self._boot(lab, may_stall)
            if not stalled:
                break
            log(
                f"{stalled} has stalled: its kernel waits for a timer of the emulated machine"
                f" (logs: build/lab/{self.name}.stalled). Once more."
            )
            with held():
                self._end()
                shutil.rmtree(self.state.beside("stalled"), ignore_errors=True)
                self.state.beside("last").rename(self.state.beside("stalled"))
        versions = parts.kernel_versions
        back = "" if options.plain else f", back {versions['back']}"
        log(
            f"up: {' '.join(topology.guest_names(options))}, {parts.emulation.accel},"
            f" front {versions['front']}{back}, MTU {options.mtu}"
            f" ({time.monotonic() - start:.0f} s)"
        )

    def down(self) -> bool:
        """Ends the lab. Returns false if none is running."""
        if not self.state.exists:
            return False
        with held():
            self._end()
        return True

    def _make_room(self) -> None:
        """Removes the rest of a lab whose QEMUs have ended; refuses if one runs."""
        if not self.state.exists:
            return
        vms = self.state.read_config().get("VMS", "").split()
        if any(self.state.pid(name) for name in vms):
            raise LabError(
                f"lab '{self.name}' is already running: scripts/lab down first,"
                " or take another --name"
            )
        with held():
            self._end()

    def _boot(self, lab: Topology, may_stall: bool) -> str:
        """One boot: the name of a guest that has stalled, else an empty string."""
        from multios_lab.boot import Boot  # pylint: disable=import-outside-toplevel

        config = lab.config()
        kvm = config["ACCEL"] == "kvm"
        how = "KVM, hardware virtualisation" if kvm else "TCG, no KVM"
        boot = Boot(self.state, config["GUESTS"].split(), self.trace)
        try:
            self.state.write_config(config)
            log(f"booting: {config['GUESTS']} ({how})")
            for machine in lab.vms():
                boot.start(machine)
            return boot.wait_ready(lab.options.timeout, may_stall)
        except BaseException as err:
            if isinstance(err, LabError):
                boot.explain()
                if lab.options.keep:
                    log("kept: scripts/lab status, log GUEST; end it with scripts/lab down")
                    raise
            with held():
                self.state.keep_logs("failed")
                boot.end_unknown()
                self._end()
            log(f"the logs are in build/lab/{self.name}.failed")
            raise

    def _end(self) -> None:
        # Without a config the folder was never a lab's.
        if self.state.exists:
            self.state.end_processes(self.state.read_config().get("VMS", "").split())
            self.state.remove()

    # A lab that runs

    def config(self) -> dict[str, str]:
        """What the lab was started with; raises LabError if none is running."""
        return self.state.running_config()

    def guest(self, name: str) -> Guest:
        """A guest of the running lab."""
        guests = self.config()["GUESTS"]
        if name not in guests.split():
            raise LabError(f"guest '{name}': this lab has {guests}")
        return Guest(self.state, name, self.trace)

    def qmp(self, vm: str, command: str, arguments: dict[str, Any] | None = None) -> Any:
        """One QMP command to the QEMU of a VM: its return value."""
        vms = self.config()["VMS"]
        if vm not in vms.split():
            raise LabError(f"qmp '{vm}': this lab has the QEMUs {vms}")
        return qmp.command(self.state, vm, command, arguments)

    def capture_start(self, file: str) -> None:
        """Writes all packets of the wire to a file from now on."""
        dump = {"qom-type": "filter-dump", "id": "capture", "netdev": "wire", "file": file}
        self.qmp("front", "object-add", dump)
        self.state.write_config(self.config() | {"capture": file})

    def capture_stop(self) -> None:
        """Ends capture_start() or the option --capture."""
        self.qmp("front", "object-del", {"id": "capture"})
        self.state.write_config(self.config() | {"capture": ""})

    def is_alive(self) -> bool:
        """Whether each QEMU runs."""
        return all(self.state.pid(vm) for vm in self.config()["VMS"].split())

    def status(self) -> list[str]:
        """Lines about the lab, its VMs and its guests."""
        config = self.config()
        lines = [
            f"lab       {self.name}, {config['ACCEL']}, MTU {config['mtu']},"
            f" NIC {config['nic']}, net {config['net']}",
            f"QEMU      {config['QEMU']}",
        ]
        for vm in config["VMS"].split():
            pid = self.state.pid(vm)
            if pid:
                lines.append(f"{vm:9} QEMU runs, pid {pid}")
            else:
                said = self.state.qemu_log(vm).splitlines()
                lines.append(f"{vm:9} QEMU ENDED: {said[-1] if said else ''}")
        for guest in config["GUESTS"].split():
            said = START.findall(self.state.log(guest).decode(errors="replace"))
            lines.append(f"{guest:9} {said[-1] if said else ''}")
        if config["plain"] == "0" and self.state.pid("front"):
            state, starts = self._back("back-state"), self._back("back-generation")
            lines.append(f"back is   {state}, start number {starts}")
        if config["capture"]:
            lines.append(f"capture   {config['capture']}")
        return lines

    def _back(self, name: str) -> str:
        arguments = {"path": MULTIOS_DEVICE, "property": name}
        try:
            return str(self.qmp("front", "qom-get", arguments))
        except LabError as err:
            return f"lab: error: {err}"
