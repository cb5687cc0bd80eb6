# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/lab and its guests, as the benchmark uses them."""

import os
import shlex
import subprocess
import time

from cases import PORT, CaseError

WORK = "/run/multios-bench"


class LabError(Exception):
    """The lab did not do what it was asked."""


class Lab:
    """One running lab. `system` is "a" (an ordinary VM) or "b" (multios)."""

    def __init__(self, root, name, system, log):
        self.script = os.path.join(root, "scripts", "lab")
        self.name = name
        self.system = system
        self.log = log

    def _run(self, args, seconds, stdin=None):
        try:
            return subprocess.run(
                [self.script, *args], stdin=stdin or subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired as e:
            raise LabError(f"scripts/lab {' '.join(args[:4])}: no end within {seconds} s") from e

    def up(self, args):
        """Boots; the lab's own progress goes to the terminal."""
        start = time.monotonic()
        argv = [self.script, "up", "--name", self.name, *args]
        self.log(" ".join([os.path.relpath(argv[0]), *argv[1:]]))
        try:
            rc = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=1800, check=False).returncode
        except subprocess.TimeoutExpired as e:
            raise LabError("scripts/lab up: no end within 30 min") from e
        if rc:
            raise LabError(f"scripts/lab up failed (exit {rc}); its messages are above")
        self.log(f"lab {self.name} is up ({time.monotonic() - start:.0f} s)")

    def down(self):
        self._run(["down", "--name", self.name], 120)

    def exec(self, guest, command, seconds=60, check=True):
        """Runs a shell command in a guest: its output."""
        p = self._run(["exec", "--name", self.name, guest, "--timeout", str(seconds), "--", "sh", "-c", command], seconds + 30)
        if check and p.returncode:
            text = (p.stderr + p.stdout).decode(errors="replace").strip()[-600:]
            raise LabError(f"in {guest}: exit {p.returncode} of: {command[:160]}\n{text}")
        return p.stdout.decode(errors="replace")

    def put(self, guest, file, path):
        """Copies a program into a guest."""
        self.exec(guest, f"mkdir -p {WORK}")
        p = self._run(["push", "--name", self.name, guest, file, path], 60)
        if p.returncode:
            raise LabError(f"push to {guest} failed: {p.stderr.decode(errors='replace').strip()}")
        self.exec(guest, f"chmod 755 {path}")

    def device(self, guest):
        """The RDMA device of a guest."""
        names = self.exec(guest, "ls /sys/class/infiniband").split()
        if len(names) != 1:
            raise LabError(f"{guest} has {len(names)} RDMA devices, one is needed: {' '.join(names)}")
        return names[0]

    def start_server(self, argv):
        """Starts a case's server on the peer and waits until it listens."""
        hexport = f"{PORT:04X}"
        self.exec(
            "peer",
            f"mkdir -p {WORK}; cd {WORK}; nohup {shlex.join(argv)} >server.log 2>&1 </dev/null & echo $! >{WORK}/server.pid;"
            f" i=0; until grep -qE '^ *[0-9]+: [0-9A-F]+:{hexport} [0-9A-F]+:0000 0A ' /proc/net/tcp /proc/net/tcp6 2>/dev/null; do"
            f" i=$((i+1)); if [ $i -gt 300 ] || ! kill -0 $(cat {WORK}/server.pid) 2>/dev/null; then cat {WORK}/server.log; exit 1; fi;"
            " sleep 0.1; done",
        )

    def start(self, guest, argv, seconds):
        """
        Starts a program in a measured guest between two marks, and leaves it alone: a guest agent that is asked for news executes
        instructions too.
        """
        script = (
            f"cd {WORK}; sleep 0.5; ./mark; timeout {int(seconds)} {shlex.join(argv)} >client.log 2>&1 </dev/null;"
            " echo exit=$? >>client.log; ./mark"
        )
        self.exec(guest, f"rm -f {WORK}/client.log; nohup sh -c {shlex.quote(script)} >/dev/null 2>&1 </dev/null &")

    def finish(self):
        """The client's output; raises CaseError if it failed. Both ends are gone afterwards."""
        out = self.exec("front", f"cat {WORK}/client.log")
        self.exec("peer", f"kill $(cat {WORK}/server.pid) 2>/dev/null; true")
        if "exit=0" not in out.splitlines():
            tail = " / ".join(line.strip() for line in out.splitlines()[-6:] if line.strip(" -"))
            raise CaseError(f"the client failed: {tail}")
        return out
