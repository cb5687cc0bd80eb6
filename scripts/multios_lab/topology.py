# SPDX-License-Identifier: GPL-2.0-or-later
"""The VMs of a lab: front and back, the peer, the wire between them, and their addresses."""

from __future__ import annotations

import dataclasses

from multios_lab import vm
from multios_lab.build import Parts
from multios_lab.options import LabOptions
from multios_lab.state import State


def vm_names(options: LabOptions) -> list[str]:
    """The QEMUs of the lab."""
    return ["front"] if options.peer == "none" else ["front", "peer"]


def guest_names(options: LabOptions) -> list[str]:
    """The OSes of the lab."""
    peers: dict[str, list[str]] = {"none": [], "rxe": ["peer"], "multios": ["peer", "peer-back"]}
    backs = [] if options.plain else ["back"]
    return ["front", *backs, *peers[options.peer]]


def addresses(options: LabOptions) -> dict[str, str]:
    """
    The kernel parameters of each guest that hold its addresses. With routing, each back stands
    between the wire's net and a net of its front.
    """
    ip = {
        "front": "multios.ip4=10.77.0.1/24 multios.ip6=fd77::1/64",
        "peer": "multios.ip4=10.77.0.2/24 multios.ip6=fd77::2/64",
        "back": "multios.ip4=10.77.0.3/24 multios.ip6=fd77::3/64",
        "peer-back": "multios.ip4=10.77.0.4/24 multios.ip6=fd77::4/64",
    }
    if options.net != "route" or options.plain:
        return ip
    ip["front"] = (
        "multios.ip4=10.77.1.1/24 multios.ip6=fd77:0:0:1::1/64"
        " multios.route4=10.77.0.0/16,10.77.1.3 multios.route6=fd77::/48,fd77:0:0:1::3"
    )
    ip["back"] += " multios.mos4=10.77.1.3/24 multios.mos6=fd77:0:0:1::3/64"
    to_front = " multios.route4=10.77.1.0/24,10.77.0.3 multios.route6=fd77:0:0:1::/64,fd77::3"
    if options.peer != "multios":
        ip["peer"] += to_front
        return ip
    ip["peer"] = (
        "multios.ip4=10.77.2.1/24 multios.ip6=fd77:0:0:2::1/64"
        " multios.route4=10.77.0.0/16,10.77.2.3 multios.route6=fd77::/48,fd77:0:0:2::3"
    )
    ip["peer-back"] += " multios.mos4=10.77.2.3/24 multios.mos6=fd77:0:0:2::3/64" + to_front
    ip["back"] += " multios.route4=10.77.2.0/24,10.77.0.4 multios.route6=fd77:0:0:2::/64,fd77::4"
    return ip


@dataclasses.dataclass(frozen=True)
class Topology:
    """The VMs of a lab and what connects them."""

    options: LabOptions
    parts: Parts
    state: State

    def vms(self) -> list[vm.Vm]:
        """The VMs, in the order in which they are started."""
        return [self.front()] if self.options.peer == "none" else [self.peer(), self.front()]

    def config(self) -> dict[str, str]:
        """The lab's config, which `lab status` and the suites read."""
        o, emulation = self.options, self.parts.emulation
        config = {
            "NAME": self.state.name,
            "ID": self.state.key,
            "VMS": " ".join(vm_names(o)),
            "GUESTS": " ".join(guest_names(o)),
            "QEMU": emulation.qemu,
            "ACCEL": emulation.accel,
            "plain": str(int(o.plain)),
        }
        for guest, version in self.parts.kernel_versions.items():
            config[f"{guest}_kernel"] = version
        for name in (
            *("peer", "mtu", "nic", "net", "capture", "firmware", "wire"),
            *("front_vcpus", "back_vcpus", "peer_vcpus"),
        ):
            config[name] = str(getattr(o, name))
        return config

    def front(self) -> vm.Vm:
        """The VM under test: a multios VM, or an ordinary one with --plain."""
        o = self.options
        back = None
        if not o.plain:
            back = self._back("back", "52:54:00:77:00:03")
        return vm.Vm(
            name="front",
            process_name=self.state.vm_name("front"),
            emulation=self.parts.emulation,
            os=self._os(
                "front",
                _words(
                    "no_ipi_broadcast=1",
                    f"multios.role={'plain' if o.plain else 'front'}",
                    self._common("front"),
                    o.front_append,
                    self._blacklist("rdma"),
                ),
                o.front_vcpus,
                o.front_mem,
            ),
            back=back,
            mac="52:54:00:77:00:01",
            mtu=o.mtu,
            firmware=o.firmware,
            capture=o.capture,
            wire=o.wire,
            arguments=(*o.front_arg, *_each("-plugin", o.plugin)),
        )

    def peer(self) -> vm.Vm:
        """The VM at the other end of the wire."""
        o = self.options
        if o.peer == "multios":
            back = self._back("peer-back", "52:54:00:77:00:04")
            role = _words("no_ipi_broadcast=1", "multios.role=front")
        else:
            back, role = None, "multios.role=plain"
        append = _words(role, self._common("peer"), o.peer_append)
        return vm.Vm(
            name="peer",
            process_name=self.state.vm_name("peer"),
            emulation=self.parts.emulation,
            os=self._os("peer", append, o.peer_vcpus, o.peer_mem),
            back=back,
            mac="52:54:00:77:00:02",
            mtu=o.mtu,
            firmware="seabios",
            capture="",
            wire=o.wire,
            arguments=(*o.peer_arg, *_each("-plugin", o.peer_plugin)),
        )

    def _back(self, guest: str, nic_mac: str) -> vm.Back:
        o = self.options
        nic = f"virtio-net-pci,host_mtu={o.mtu}" if o.nic == "virtio-net" else o.nic
        append = _words(
            self._common(guest, f"multios.net={o.net}"),
            "multios.standby=1" if o.standby else "",
            o.back_append,
            self._blacklist("net"),
        )
        os = self._os(guest, append, o.back_vcpus, o.back_mem)
        return vm.Back(os, o.shared_mem, nic, nic_mac, o.standby)

    def _os(self, guest: str, append: str, vcpus: int, mem: int) -> vm.Os:
        kernel = self.parts.kernels["back" if guest == "peer-back" else guest]
        return vm.Os(guest, kernel, self.parts.initrds[guest], append, vcpus, mem)

    def _common(self, guest: str, *more: str) -> str:
        mtu = f"multios.mtu={self.options.mtu}"
        return _words(f"multios.name={guest}", mtu, *more, addresses(self.options)[guest])

    def _blacklist(self, module: str) -> str:
        return f"modprobe.blacklist=multios_{module}" if self.options.no_modules else ""


def _words(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _each(option: str, values: tuple[str, ...]) -> list[str]:
    return [word for value in values for word in (option, value)]
