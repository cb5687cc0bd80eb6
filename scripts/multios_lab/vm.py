# SPDX-License-Identifier: GPL-2.0-or-later
"""The QEMU command line of one VM. Nothing is started here."""

from __future__ import annotations

import dataclasses
from typing import Any

# Modules that udev would load for a virtual machine's left-overs and for ciphers that nothing here
# uses: seconds under TCG. A guest that wants one of them, such as KVM, loads it by name.
UNUSED_MODULES = (
    "kvm_amd,kvm_intel,iTCO_wdt,i2c_i801,lpc_ich,pcspkr,psmouse,evdev,button,joydev,serio_raw,"
    "aesni_intel,ghash_clmulni_intel,sha1_ssse3,sha256_ssse3,sha512_ssse3"
)
# A build without SMM.
OVMF_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
OVMF_VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"


@dataclasses.dataclass(frozen=True)
class Emulation:
    """The properties that all VMs of a lab have in common."""

    qemu: str
    accel: str  # tcg or kvm
    cpu: str
    irqchip: str
    root_image: str


@dataclasses.dataclass(frozen=True)
class Os:
    """An OS of a VM: the front, the back, or an ordinary VM's only one."""

    guest: str
    kernel: str  # folder of build-kernels
    initrd: str
    append: str
    vcpus: int
    mem: int  # MiB


@dataclasses.dataclass(frozen=True)
class Back:
    """The multios device: a back OS with a NIC of its own."""

    os: Os
    shared_mem: int  # MiB
    nic: str  # QEMU's model, with its properties
    nic_mac: str
    standby: bool


@dataclasses.dataclass(frozen=True)
class Vm:
    """A VM of the lab."""

    name: str
    process_name: str
    emulation: Emulation
    os: Os
    back: Back | None
    mac: str  # of the RDMA NIC: multios, or virtio-net without a back
    mtu: int
    firmware: str
    capture: str
    wire: str  # socket or tap
    arguments: tuple[str, ...]
    # Of socket names. Not empty: the VM takes over from one whose sockets have no prefix.
    prefix: str = ""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Vm:
        """Reverses dataclasses.asdict(), also after JSON."""
        back = values["back"]
        if back:
            back = Back(**(back | {"os": Os(**back["os"])}))
        own = {"emulation": Emulation(**values["emulation"]), "os": Os(**values["os"])}
        return cls(**(values | own | {"back": back, "arguments": tuple(values["arguments"])}))

    def successor(self, prefix: str, process_name: str) -> Vm:
        """The VM that takes over the state of this one."""
        return dataclasses.replace(
            self,
            name=prefix + self.name,
            process_name=process_name,
            prefix=prefix,
            capture="",
        )

    def argv(self, wire: int | None) -> list[str]:
        """
        The command line, to be run in the folder of the lab: sockets and logs are relative. wire is
        a file descriptor that QEMU inherits, a tap or an end of a pair of sockets; None: no VM is
        there at the other end, but a program may connect to wire.sock.
        """
        words = [self.emulation.qemu, *self._machine(), *self._disks()]
        words += [*self._agent("front", self.os.guest), "-netdev", netdev(self.wire, wire)]
        words += self._multios(self.back) if self.back else self._plain_nic()
        if self.firmware == "ovmf":
            words += [
                *("-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={OVMF_CODE}"),
                *("-drive", f"if=pflash,unit=1,format=raw,file={self.variables}"),
            ]
        if self.capture:
            dump = f"filter-dump,id=capture,netdev=wire,file={escape(self.capture)}"
            words += ["-object", dump]
        if self.prefix:
            words += ["-incoming", "defer"]
        return [*words, *self.arguments]

    @property
    def variables(self) -> str:
        """The file of OVMF's variables."""
        return f"{self.os.guest}.vars"

    @property
    def overlay(self) -> str:
        """The file with the changes of the root disk, for a VM that takes over; empty: none."""
        return f"{self.os.guest}.qcow2" if self.wire == "tap" else ""

    def _console(self, chardev: str, guest: str) -> str:
        """The chardev of a guest's console: a socket, and a log of all output."""
        path = f"{self.prefix}{guest}.con"
        log = f"logfile={guest}.log,logappend=on"
        return f"socket,id={chardev},path={path},server=on,wait=off,{log}"

    def _agent(self, side: str, guest: str) -> list[str]:
        """The virtio-serial port of a guest's agent, on the front's bus or on the back's."""
        if side == "front":
            bus, chardev, port, place = "vser", "ga", 0, ""
        else:
            bus, chardev, port, place = "bvser", "bga", 1, ",bus=mos0.pcie"
        name = f"org.qemu.guest_agent.{port}"
        path = f"{self.prefix}{guest}.ga"
        return [
            *("-device", f"virtio-serial-pci,id={bus}{place}"),
            *("-chardev", f"socket,id={chardev},path={path},server=on,wait=off"),
            *("-device", f"virtserialport,bus={bus}.0,chardev={chardev},name={name}"),
        ]

    def _machine(self) -> list[str]:
        kvm = self.emulation.accel == "kvm"
        machine = "q35,sata=off,smbus=off"
        if kvm:
            machine += f",kernel-irqchip={self.emulation.irqchip}"
        append = ["console=ttyS0", self.os.append, f"modprobe.blacklist={UNUSED_MODULES}"]
        if not kvm:
            # On a busy host too few ticks of an emulated timer arrive in time, and the kernel
            # panics over it; under KVM it knows.
            append.append("no_timer_check")
        vcpus, mem = self.os.vcpus, self.os.mem
        if self.back:
            vcpus += self.back.os.vcpus
            mem += self.back.os.mem + self.back.shared_mem
        return [
            *("-name", self.process_name, "-nodefaults", "-no-user-config", "-display", "none"),
            *("-M", machine, "-cpu", self.emulation.cpu),
            *("-accel", "kvm" if kvm else "tcg,thread=multi", "-smp", str(vcpus), "-m", f"{mem}M"),
            *("-pidfile", f"{self.name}.pid"),
            *("-chardev", f"socket,id=qmp,path={self.name}.qmp,server=on,wait=off"),
            *("-mon", "chardev=qmp,mode=control"),
            *("-chardev", self._console("con", self.os.guest), "-serial", "chardev:con"),
            *("-kernel", f"{self.os.kernel}/vmlinuz", "-initrd", self.os.initrd),
            *("-append", " ".join(append)),
        ]

    def _disks(self) -> list[str]:
        root = f"format=raw,snapshot=on,file={escape(self.emulation.root_image)}"
        if self.overlay:
            root = f"format=qcow2,cache=unsafe,file={self.overlay}"
        modules = escape(f"{self.os.kernel}/modules.img")
        return [
            *("-drive", f"if=none,id=root,{root}"),
            *("-device", "virtio-blk-pci,drive=root,serial=root"),
            *("-drive", f"if=none,id=modules,format=raw,readonly=on,file={modules}"),
            *("-device", "virtio-blk-pci,drive=modules,serial=modules"),
        ]

    def _plain_nic(self) -> list[str]:
        nic = f"virtio-net-pci,netdev=wire,mac={self.mac},host_mtu={self.mtu},romfile="
        return ["-device", nic]

    def _multios(self, back: Back) -> list[str]:
        properties = (
            f"multios,id=mos0,back-kernel={escape(back.os.kernel)}/vmlinuz"
            f",back-initrd={escape(back.os.initrd)},back-vcpus={back.os.vcpus}"
            f",back-mem={back.os.mem}M,shared-mem={back.shared_mem}M,back-console=bcon"
            f",mac={self.mac},back-standby={'on' if back.standby else 'off'}"
            f",back-append={escape(back.os.append)}"
        )
        nic = f"{back.nic},netdev=wire,bus=mos0.pcie,mac={back.nic_mac},romfile="
        return [
            *("-chardev", self._console("bcon", back.os.guest)),
            *("-device", properties, "-device", nic),
            *self._agent("back", back.os.guest),
        ]


def netdev(kind: str, wire: int | None) -> str:
    """
    The VM's end of the wire. Both ends of a socket pair are client ends to QEMU: a server's socket
    blocks (QEMU 10.0 and 10.2), and stalls its whole VM while the other end takes no packets, as
    when its back OS hangs. Without a VM at the other end it is a server, for programs to connect.
    """
    if kind == "tap":
        return f"tap,id=wire,fd={wire},vhost=off"
    if wire is None:
        return "stream,id=wire,server=on,addr.type=unix,addr.path=wire.sock"
    return f"stream,id=wire,server=off,addr.type=fd,addr.str={wire}"


def escape(value: str) -> str:
    """A value of a QEMU option: commas are doubled."""
    return value.replace(",", ",,")
