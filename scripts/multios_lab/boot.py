# SPDX-License-Identifier: GPL-2.0-or-later
"""The start of a lab's VMs, and waiting until their guests are ready."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from multios_lab import vm
from multios_lab.guest import Guest
from multios_lab.interrupt import held
from multios_lab.messages import LabError, Trace, log, log_lines
from multios_lab.state import State

QEMU_SECONDS = 15
AGENT_SECONDS = 30
SILENT_SECONDS = 60
NEWS_SECONDS = 10

READY = b"multios: ready"
FAILED = re.compile(rb"multios: failed(?:: )?([^\r\n]*)")
OUR_MODULES = re.compile(rb"multios(_[a-z]*)?: ")
NO_TIMER = re.compile(rb"rcu_preempt kthread timer wakeup didn.t happen")


class Boot:
    """One boot of all VMs. Whoever gives it up calls end_unknown() before the lab's folder goes."""

    def __init__(self, state: State, guests: Sequence[str], trace: Trace):
        self.state = state
        self.guests = guests
        self.trace = trace
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, machine: vm.Vm, wire: int | None) -> None:
        """
        Starts a QEMU, detached from this terminal, and waits until it has its monitor. It inherits
        wire, see Vm.argv().
        """
        folder = self.state.folder
        if not machine.prefix:
            self._make_files(machine)
        argv = machine.argv(wire)
        self.trace(machine.name, argv)
        (folder / f"{machine.name}.cmd").write_text(shlex.join(argv) + "\n", encoding="utf-8")
        with open(folder / f"{machine.name}.qemu.log", "wb") as output, held():
            process = subprocess.Popen(
                argv,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=() if wire is None else (wire,),
            )
            self.processes[machine.name] = process
        deadline = time.monotonic() + QEMU_SECONDS
        while not (is_socket(folder / f"{machine.name}.qmp") and self.state.pid(machine.name)):
            if process.poll() is not None:
                raise LabError(f"QEMU of {machine.name} ended at once")
            if time.monotonic() >= deadline:
                why = f"QEMU of {machine.name} did not start within {QEMU_SECONDS} s"
                raise LabError(why)
            time.sleep(0.02)

    def _make_files(self, machine: vm.Vm) -> None:
        """Makes the files that a VM writes; a VM that takes over from it goes on with them."""
        folder = self.state.folder
        described = json.dumps(dataclasses.asdict(machine))
        (folder / f"{machine.name}.vm").write_text(described, encoding="utf-8")
        if machine.firmware == "ovmf":
            variables = folder / machine.variables
            shutil.copyfile(vm.OVMF_VARS, variables)
            variables.chmod(stat.S_IRUSR | stat.S_IWUSR)
        if machine.overlay:
            image = Path(machine.emulation.qemu).with_name("qemu-img")
            if not image.is_file():
                raise LabError(f"--wire tap needs {image}, which build-qemu makes")
            base = ["-b", machine.emulation.root_image, "-F", "raw"]
            argv = [str(image), "create", "-q", "-f", "qcow2", *base, machine.overlay]
            made = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
            if made.returncode:
                raise LabError(f"{shlex.join(argv)}: {made.stderr.strip()}")

    def wait_ready(self, seconds: int, may_stall: bool) -> str:
        """
        Waits until all guests are up. Returns the name of a guest that has stalled if may_stall,
        else an empty string; raises LabError if one does not get ready.
        """
        deadline = time.monotonic() + seconds
        news = time.monotonic() + NEWS_SECONDS
        while pending := [guest for guest in self.guests if not self._is_ready(guest)]:
            for guest in pending:
                if may_stall and self._has_stalled(guest):
                    return guest
            for name in self.processes:
                if not self.state.pid(name):
                    raise LabError(f"QEMU of {name} ended while booting")
            now = time.monotonic()
            if now >= deadline:
                raise LabError(f"not ready within {seconds} s: {' '.join(pending)}")
            if now >= news:
                for guest in pending:
                    log(f"waiting for {guest}: {self._last_line(guest)}")
                news = now + NEWS_SECONDS
            time.sleep(0.1)
        for guest in self.guests:
            Guest(self.state, guest, self.trace).wait(AGENT_SECONDS)
        return ""

    def _is_ready(self, guest: str) -> bool:
        text = self.state.log(guest)
        if READY in text:
            return True
        failed = FAILED.search(text)
        if failed:
            raise LabError(f"{guest}: {failed[1].decode(errors='replace')}")
        return False

    def _has_stalled(self, guest: str) -> bool:
        """
        The guest's kernel waits for a timer interrupt that does not come, says so or has been
        silent for a minute, before any module of ours is there. It happens under TCG, about once
        in a hundred boots with several vCPUs, whatever the machine.
        """
        text = self.state.log(guest)
        if b"Linux version" not in text or OUR_MODULES.search(text):
            return False
        silent = time.time() - (self.state.folder / f"{guest}.log").stat().st_mtime
        return bool(NO_TIMER.search(text)) or silent > SILENT_SECONDS

    def _last_line(self, guest: str) -> str:
        text = self.state.log(guest)[-300:].decode(errors="replace").replace("\r", "")
        lines = [line for line in text.split("\n") if line.strip()]
        return lines[-1][:100] if lines else ""

    def explain(self) -> None:
        """Prints the last lines of each guest that is not ready, and all that QEMU said."""
        for guest in self.guests:
            text = self.state.log(guest)
            if text and READY not in text:
                log(f"last lines of {guest}'s console:")
                lines = text.decode(errors="replace").replace("\r", "").splitlines()[-15:]
                log_lines("    ", lines)
        for name in self.processes:
            log_lines(f"    QEMU of {name}: ", self.state.qemu_log(name).splitlines())

    def end_unknown(self) -> None:
        """Ends the QEMUs that have not written their process ids yet."""
        for name, process in self.processes.items():
            if process.poll() is None and not self.state.pid(name):
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def is_socket(path: os.PathLike[str]) -> bool:
    """Whether path is a socket."""
    with contextlib.suppress(FileNotFoundError):
        return stat.S_ISSOCK(os.stat(path).st_mode)
    return False
