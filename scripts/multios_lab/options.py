# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of `lab up`: one table, from which command line, help, defaults and checks come."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable
from typing import Any

from multios_lab.messages import LabError

# A rule gets the option's name and its value and returns the value as it is kept.
Rule = Callable[[str, Any], Any]


def one_of(*words: str) -> Rule:
    """The value is one of these words."""
    expected = ", ".join(words[:-1]) + " or " + words[-1]

    def rule(option: str, value: str) -> str:
        if value not in words:
            raise LabError(f"{option} {value}: it must be {expected}")
        return value

    return rule


def number(least: int, most: int) -> Rule:
    """The value is a number in this range."""

    def rule(option: str, value: str | int) -> int:
        if not re.fullmatch("[0-9]{1,9}", str(value)) or not least <= int(value) <= most:
            raise LabError(f"{option} {value}: it must be a number from {least} to {most}")
        return int(value)

    return rule


def new_file(_option: str, value: str) -> str:
    """A file that need not be there yet: its absolute path."""
    return value and os.path.realpath(value)


def old_file(option: str, value: str) -> str:
    """A file that is there: its absolute path."""
    if value and not os.path.isfile(value):
        raise LabError(f"{option} {value}: there is no such file")
    return value and os.path.realpath(value)


def option(default: Any, metavar: str, text: str, rule: Rule | None = None) -> Any:
    """A field that is an option: a flag if False is its default, repeatable if () is."""
    metadata = {"metavar": metavar, "help": text, "rule": rule}
    return dataclasses.field(default=default, metadata=metadata)


VCPUS, MEMORY = number(1, 64), number(1, 1048576)


@dataclasses.dataclass
class LabOptions:
    """A lab to be started. The name of a field is the name of its option."""

    peer: str = option(
        "rxe",
        "rxe|multios|none",
        "the peer: an ordinary VM with stock rdma_rxe, a second multios VM, or nobody",
        one_of("rxe", "multios", "none"),
    )
    plain: bool = option(
        False, "", "the front is an ordinary VM, too: virtio-net and rdma_rxe, no back"
    )
    front_kernel: str = option(
        "",
        "VER",
        "stock kernel of the front, 6.1, 6.12 or newest (default: the oldest that this host's Debian has),"
        " or 6.1-debug: built here on first use (see build-kernels), slower; 2048 MiB and"
        " --timeout 900 suit it",
    )
    back_kernel: str = option("", "VER", "the same for the back")
    peer_kernel: str = option("", "VER", "the same for the peer")
    front_vcpus: int = option(1, "N", "vCPUs of the front", VCPUS)
    back_vcpus: int = option(1, "N", "vCPUs of the back", VCPUS)
    peer_vcpus: int = option(1, "N", "vCPUs of the peer", VCPUS)
    front_mem: int = option(1024, "MIB", "memory of the front", MEMORY)
    back_mem: int = option(512, "MIB", "memory of the back", MEMORY)
    shared_mem: int = option(64, "MIB", "memory that front and back share", MEMORY)
    peer_mem: int = option(1024, "MIB", "memory of the peer", MEMORY)
    mtu: int = option(1500, "N", "MTU of every device on the way", number(576, 9000))
    wire: str = option(
        "socket",
        "socket|tap",
        "the wire: a pair of sockets, or taps on a bridge in a network namespace of the lab's own;"
        " lab migrate needs the latter",
        one_of("socket", "tap"),
    )
    nic: str = option(
        "virtio-net",
        "MODEL",
        "the back's NIC: virtio-net, e1000e, igb, or any PCI NIC model of QEMU",
    )
    net: str = option(
        "bridge",
        "bridge|route|none",
        "how the back joins its NIC and the front",
        one_of("bridge", "route", "none"),
    )
    firmware: str = option(
        "seabios",
        "seabios|ovmf",
        "firmware of the front's machine; ovmf installs the Debian package of that name",
        one_of("seabios", "ovmf"),
    )
    packages: str = option(
        "", "A,B,...", "further Debian packages in the front's and the peer's root file system"
    )
    qemu: str = option("", "VER", "10.0 (default) or newest (see build-qemu)")
    accel: str = option(
        "auto",
        "tcg|kvm|auto",
        "auto: KVM if a stock guest is seen running under it",
        one_of("tcg", "kvm", "auto"),
    )
    irqchip: str = option(
        "on", "on|split", "with KVM: the interrupt controllers' place", one_of("on", "split")
    )
    cpu: str = option("", "MODEL", "CPU model (default: host under KVM, else max)")
    capture: str = option("", "FILE", "record the wire from the start", new_file)
    front_append: str = option("", "STR", "further kernel parameters of the front")
    back_append: str = option("", "STR", "further kernel parameters of the back")
    peer_append: str = option("", "STR", "further kernel parameters of the peer")
    debug: bool = option(False, "", "our modules with assertions that stock kernels compile out")
    standby: bool = option(
        False, "", "the device keeps a state of the back from which a start need not boot"
    )
    no_modules: bool = option(False, "", "do not load our modules: insmod them by hand")
    front_initrd: str = option("", "FILE", "instead of the initrd built here", old_file)
    back_initrd: str = option("", "FILE", "instead of the initramfs built here", old_file)
    front_arg: tuple[str, ...] = option(
        (), "ARG", "one further argument for the front's QEMU (repeatable)"
    )
    peer_arg: tuple[str, ...] = option((), "ARG", "the same for the peer's")
    plugin: tuple[str, ...] = option(
        (), "SO[,ARG=..]", "TCG plugin for the front's QEMU (repeatable)"
    )
    peer_plugin: tuple[str, ...] = option((), "SO[,ARG=..]", "the same for the peer's")
    timeout: int = option(
        300,
        "S",
        "seconds until all guests must be ready; anew when an emulated machine stalls at boot and"
        " is started once more",
        number(1, 86400),
    )
    keep: bool = option(False, "", "keep what runs when a guest does not get ready")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            rule = field.metadata["rule"]
            if rule:
                setattr(self, field.name, rule(flag(field), getattr(self, field.name)))


def flag(field: dataclasses.Field[Any]) -> str:
    """The option of a field, as it is written on the command line."""
    return "--" + field.name.replace("_", "-")
