# SPDX-License-Identifier: GPL-2.0-or-later
"""A lab's guests as the benchmark uses them: servers, clients, programs that are put there."""

import os
import shlex
import sys
import time

from cases import PORT, CaseError

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "scripts"))
# pylint: disable=wrong-import-position
from multios_lab import interrupt  # noqa: E402
from multios_lab.lab import Lab  # noqa: E402
from multios_lab.messages import LabError  # noqa: E402
from multios_lab.options import LabOptions  # noqa: E402

__all__ = ["WORK", "BenchLab", "LabError", "LabOptions", "interrupt"]

WORK = "/run/multios-bench"


class BenchLab(Lab):
    """One running lab. `system` is "a" (an ordinary VM) or "b" (multios)."""

    def __init__(self, name, system, log):
        super().__init__(name)
        self.system = system
        self.log = log

    def up(self, options):
        """Boots; the lab's own progress goes to the terminal."""
        start = time.monotonic()
        self.log(f"booting lab {self.name}")
        super().up(options)
        self.log(f"lab {self.name} is up ({time.monotonic() - start:.0f} s)")

    def exec(self, guest, command, seconds=60, check=True):
        """Runs a shell command in a guest: its output."""
        result = self.guest(guest).run(["sh", "-c", command], timeout=seconds)
        if check and result.status:
            text = (result.err + result.out).decode(errors="replace").strip()[-600:]
            raise LabError(f"in {guest}: exit {result.status} of: {command[:160]}\n{text}")
        return result.out.decode(errors="replace")

    def put(self, guest, file, path):
        """Copies a program into a guest."""
        self.exec(guest, f"mkdir -p {WORK}")
        result = self.guest(guest).push(file, path)
        if result.status:
            text = result.err.decode(errors="replace").strip()
            raise LabError(f"push to {guest} failed: {text}")
        self.exec(guest, f"chmod 755 {path}")

    def device(self, guest):
        """The RDMA device of a guest."""
        names = self.exec(guest, "ls /sys/class/infiniband").split()
        if len(names) != 1:
            what = f"{len(names)} RDMA devices, one is needed: {' '.join(names)}"
            raise LabError(f"{guest} has {what}")
        return names[0]

    def start_server(self, argv):
        """Starts a case's server on the peer and waits until it listens."""
        listens = f"^ *[0-9]+: [0-9A-F]+:{PORT:04X} [0-9A-F]+:0000 0A "
        self.exec(
            "peer",
            f"mkdir -p {WORK}; cd {WORK};"
            f" nohup {shlex.join(argv)} >server.log 2>&1 </dev/null & echo $! >{WORK}/server.pid;"
            f" i=0; until grep -qE '{listens}' /proc/net/tcp /proc/net/tcp6 2>/dev/null; do"
            f" i=$((i+1)); if [ $i -gt 300 ] || ! kill -0 $(cat {WORK}/server.pid) 2>/dev/null;"
            f" then cat {WORK}/server.log; exit 1; fi; sleep 0.1; done",
        )

    def start(self, guest, argv, seconds):
        """
        Starts a program in a measured guest between two marks, and leaves it alone: a guest agent
        that is asked for news executes instructions too.
        """
        script = (
            f"cd {WORK}; sleep 0.5; ./mark;"
            f" timeout {int(seconds)} {shlex.join(argv)} >client.log 2>&1 </dev/null;"
            " echo exit=$? >>client.log; ./mark"
        )
        background = f"nohup sh -c {shlex.quote(script)} >/dev/null 2>&1 </dev/null &"
        self.exec(guest, f"rm -f {WORK}/client.log; {background}")

    def finish(self):
        """The client's output; raises CaseError if it failed. Both ends are gone afterwards."""
        out = self.exec("front", f"cat {WORK}/client.log")
        self.exec("peer", f"kill $(cat {WORK}/server.pid) 2>/dev/null; true")
        lines = out.splitlines()
        if "exit=0" not in lines:
            tail = " / ".join(line.strip() for line in lines[-6:] if line.strip(" -"))
            raise CaseError(f"the client failed: {tail}")
        return out
