# SPDX-License-Identifier: GPL-2.0-or-later
"""A lab as a whole: up, down, and what can be asked of one that runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from multios_lab import qmp
from multios_lab.guest import Guest
from multios_lab.interrupt import held
from multios_lab.messages import LabError, Trace
from multios_lab.state import State

if TYPE_CHECKING:
    from multios_lab.options import LabOptions

# The last message of a guest's start.
START = re.compile(r"multios: (?:ready|failed)[^\r\n]*")
MULTIOS_DEVICE = "/machine/peripheral/mos0"


class Lab:
    """A lab by its name, whether it runs or not."""

    def __init__(self, name: str = "default", trace: Trace | None = None):
        self.state = State(name)
        self.name = name
        self.trace = trace or Trace.from_environment()

    def up(self, options: LabOptions) -> None:
        """Boots a lab with these options and waits until every guest is ready."""
        # Only this command needs it; the others start sooner without.
        from multios_lab import up  # pylint: disable=import-outside-toplevel

        up.up(self.state, options, self.trace)

    def down(self) -> bool:
        """Ends the lab, whatever state it is in. Returns false if there is none."""
        if not self.state.exists:
            return False
        with held():
            self.state.end()
        return True

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

    def migrate(self, through: str = "", seconds: float = 120) -> dict[str, Any]:
        """Moves the front's machine to another QEMU. Returns query-migrate of the old one."""
        from multios_lab import migrate  # pylint: disable=import-outside-toplevel

        return migrate.migrate(self.state, self.trace, through, seconds)

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
