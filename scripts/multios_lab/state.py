# SPDX-License-Identifier: GPL-2.0-or-later
"""The folder of a lab: its config, and which of its processes run. Nothing else knows the paths."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
import shutil
import signal
import socket
import time
from pathlib import Path

from multios_lab import net
from multios_lab.messages import LabError

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"


class State:
    """The folder build/lab/NAME. Its file `config` is there from before the first QEMU starts."""

    def __init__(self, name: str):
        if not re.fullmatch("[A-Za-z0-9._-]+", name) or not name.strip("."):
            raise LabError(f"--name '{name}': letters, digits, dot, dash and underscore only")
        self.name = name
        self.folder = ROOT / "build" / "lab" / name
        # In the command line of each QEMU: a process id alone may be somebody else's by now.
        self.key = hashlib.sha256(str(self.folder).encode()).hexdigest()[:16]

    def beside(self, suffix: str) -> Path:
        """build/lab/NAME.SUFFIX, for the logs that stay."""
        return self.folder.with_name(f"{self.name}.{suffix}")

    @property
    def exists(self) -> bool:
        """Whether a lab was started here and not ended."""
        return (self.folder / "config").is_file()

    def read_config(self) -> dict[str, str]:
        """The config: lines NAME=VALUE, quoted for the shells that source it."""
        text = (self.folder / "config").read_text(encoding="utf-8")
        try:
            words = shlex.split(text)
        except ValueError as err:
            raise LabError(f"{self.folder / 'config'}: {err}; remove {self.folder}") from err
        return {name: value for name, _, value in (word.partition("=") for word in words)}

    def write_config(self, config: dict[str, str]) -> None:
        """Replaces the config at once: nobody reads half of it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{name}={shlex.quote(value)}\n" for name, value in config.items()]
        new = self.folder / "config.new"
        new.write_text("".join(lines), encoding="utf-8")
        new.rename(self.folder / "config")

    def running_config(self) -> dict[str, str]:
        """The config of a lab that was started; raises LabError if there is none."""
        if not self.exists:
            name = "" if self.name == "default" else f" --name {self.name}"
            raise LabError(f"no lab '{self.name}' is running: scripts/lab up{name}")
        config = self.read_config()
        if not config.get("VMS"):
            raise LabError(
                f"lab '{self.name}' was not started to its end: scripts/lab down, then up"
            )
        return config

    def log(self, guest: str) -> bytes:
        """The console of a guest up to now."""
        try:
            return (self.folder / f"{guest}.log").read_bytes()
        except FileNotFoundError:
            return b""

    def qemu_log(self, vm: str) -> str:
        """The output of a VM's QEMU."""
        try:
            return (self.folder / f"{vm}.qemu.log").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def vm_name(self, vm: str) -> str:
        """The -name of a VM's QEMU."""
        return f"multios-lab-{self.key}-{vm}"

    def pid(self, vm: str) -> int | None:
        """The process id of a VM's QEMU; None unless it runs and this lab started it."""
        pid = self._read_pid(f"{vm}.pid")
        return pid if pid and self.vm_name("") in command_line(pid) else None

    def _read_pid(self, name: str) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            return int((self.folder / name).read_text(encoding="ascii"))
        return None

    def end(self) -> None:
        """Ends the lab's processes and removes the folder but for its logs, which go to last."""
        self._end_processes(self.read_config().get("VMS", "").split())
        net.remove(self.key)
        self.keep_logs("last")
        shutil.rmtree(self.folder)

    def _end_processes(self, vms: list[str]) -> None:
        """Ends the QEMUs of these VMs and the agent broker."""
        for vm in vms:
            send_signal(self.pid(vm), signal.SIGTERM)
        for vm in vms:
            self.end_vm(vm)
        pid = self._read_pid("agent.pid")
        if pid and "multios_lab/__main__.py broker" in command_line(pid):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/cwd") == str(self.folder):
                    send_signal(pid, signal.SIGTERM)

    def end_vm(self, vm: str) -> None:
        """Ends the QEMU of a VM, if it runs."""
        send_signal(self.pid(vm), signal.SIGTERM)
        if not self._ended(vm, 5):
            send_signal(self.pid(vm), signal.SIGKILL)
            if not self._ended(vm, 15):
                raise LabError(f"QEMU of {vm}, pid {self.pid(vm)}, does not end")

    def _ended(self, vm: str, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.pid(vm):
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        return True

    def keep_logs(self, suffix: str) -> None:
        """Copies the logs to NAME.SUFFIX."""
        kept = self.beside(suffix)
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        for pattern in ("*.log", "*.cmd"):
            for file in self.folder.glob(pattern):
                shutil.copy(file, kept)

    def connect(self, name: str, seconds: float | None = None) -> socket.socket:
        """A connection to one of the folder's sockets, however long the folder's path is."""
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(seconds)
            sock.connect(f"/proc/self/fd/{folder}/{name}")
        except OSError:
            sock.close()
            raise
        finally:
            os.close(folder)
        return sock


def command_line(pid: int) -> str:
    """The command line of a process, words with a space between them; empty if there is none."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return b" ".join(words).decode(errors="replace")
    return ""


def send_signal(pid: int | None, number: signal.Signals) -> None:
    """Sends a signal to a process that may have ended."""
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
