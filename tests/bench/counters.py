# SPDX-License-Identifier: GPL-2.0-or-later
"""Client of the plugin insn-count: counters of a running QEMU, one socket each."""

import json
import socket

FIELDS = ("kernel", "user", "access", "string")


class Counters:
    """One VM's counters. A snapshot is a list with one list of FIELDS for each vCPU."""

    def __init__(self, path):
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(path)
        self.file = self.sock.makefile("r")

    def close(self):
        self.file.close()
        self.sock.close()

    def _ask(self, line, timeout=30):
        self.sock.settimeout(timeout)
        self.sock.sendall(line.encode() + b"\n")
        answer = self.file.readline()
        if not answer:
            raise ConnectionError(f"{self.path}: the VM is gone")
        answer = json.loads(answer)
        if "error" in answer:
            raise ValueError(f"{self.path}: {line}: {answer['error']}")
        return answer

    def read(self):
        return self._ask("read")["vcpus"]

    def marks(self):
        """Marks that the guest has executed so far."""
        return self._ask("wait 0 0")["marks"]

    def wait(self, n, seconds):
        """Waits for the n-th mark: True when it is there."""
        return self._ask(f"wait {n} {int(seconds * 1000)}", seconds + 30)["marks"] >= n

    def mark(self, i):
        return self._ask(f"mark {i}")["vcpus"]

    def block(self, addr):
        """How often each vCPU executed the kernel block at this address."""
        return self._ask(f"block {addr:x}")["vcpus"]

    def profile(self, path):
        """{(vcpu, address of the block): instructions}"""
        self._ask(f"profile {path}")
        table = {}
        with open(path, encoding="ascii") as f:
            for line in f:
                vcpu, addr, n = line.split()
                table[int(vcpu), int(addr, 16)] = int(n)
        return table


def difference(after, before):
    return [[x - y for x, y in zip(a, b)] for a, b in zip(after, before)]


def total(snapshot, vcpus):
    """Sums of FIELDS over some of the vCPUs."""
    return {name: sum(snapshot[v][i] for v in vcpus) for i, name in enumerate(FIELDS)}
