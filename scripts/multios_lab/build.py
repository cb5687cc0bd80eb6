# SPDX-License-Identifier: GPL-2.0-or-later
"""What a lab boots from, made by the programs beside this package."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from pathlib import Path

from multios_lab import vm
from multios_lab.interrupt import held
from multios_lab.messages import LabError, ProgramError, Trace
from multios_lab.options import LabOptions
from multios_lab.state import SCRIPTS


@dataclasses.dataclass(frozen=True)
class Parts:
    """Kernels (folders of build-kernels), initrds by guest, and the rest of a lab."""

    emulation: vm.Emulation
    kernel_versions: dict[str, str]
    kernels: dict[str, str]
    initrds: dict[str, str]


def parts(options: LabOptions, trace: Trace) -> Parts:
    """Builds the parts, or finds them in the cache."""
    host = Host(trace)
    host.need(options)
    default = host.script("build-kernels", "--list").split()[0]
    versions = {
        "front": options.front_kernel or default,
        "back": options.back_kernel or default,
        "peer": options.peer_kernel or default,
    }
    kernels = {
        guest: host.last_line("build-kernels", version) for guest, version in versions.items()
    }
    qemu = host.qemu(options.qemu)
    root_image = host.last_line("build-image", "root", "--packages", options.packages)
    initrds = host.initrds(options, versions)
    accel = host.accel(qemu, kernels["front"], options.accel)
    cpu = options.cpu or ("host" if accel == "kvm" else "max")
    emulation = vm.Emulation(qemu, accel, cpu, options.irqchip, root_image)
    return Parts(emulation, versions, kernels, initrds)


class Host:
    """The programs and shell functions of scripts/; each has said why when it fails."""

    def __init__(self, trace: Trace):
        self.trace = trace

    def run(self, name: str, argv: list[str]) -> str:
        """Runs a program; its output. It is ended when this process is interrupted."""
        self.trace("host", argv)
        with held():
            process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        try:
            out = process.communicate()[0]
        except BaseException:
            process.terminate()
            process.wait()
            raise
        if process.returncode:
            raise ProgramError(name, process.returncode)
        return out

    def script(self, name: str, *args: str) -> str:
        """Runs a script of scripts/."""
        return self.run(name, [str(SCRIPTS / name), *args])

    def last_line(self, name: str, *args: str) -> str:
        """The path that a script of scripts/ prints."""
        return self.script(name, *args).strip().rpartition("\n")[2]

    def shell(self, text: str, *args: str) -> str:
        """Runs shell text that knows the functions of lib.sh."""
        argv = ["bash", "-c", f'. "$1/lib.sh"; shift; {text}', "lab", str(SCRIPTS), *args]
        return self.run("bash", argv)

    def need(self, options: LabOptions) -> None:
        """Installs the host's packages."""
        self.shell("need_host")
        if options.firmware == "ovmf":
            self.shell('host_packages <<<"$1 ovmf"', vm.OVMF_CODE)

    def qemu(self, version: str) -> str:
        """The QEMU of this version, else MULTIOS_QEMU, else the default one."""
        named = os.environ.get("MULTIOS_QEMU")
        if named and not version:
            path = Path(named).absolute()
        else:
            arguments = ["--version", version] if version else []
            path = Path(self.last_line("build-qemu", *arguments), "bin/qemu-system-x86_64")
        if not os.access(path, os.X_OK):
            raise LabError(f"no QEMU at {path}")
        return str(path)

    def initrds(self, options: LabOptions, versions: dict[str, str]) -> dict[str, str]:
        """The initrd of each guest."""
        if options.no_modules:
            module = ["--no-kmod"]
        else:
            module = ["--debug"] if options.debug else []
        made = {}
        if options.plain:
            made["front"] = self.last_line("build-image", "peer", versions["front"])
        else:
            made["front"] = self.last_line("build-image", "front", versions["front"], *module)
            made["back"] = self.last_line("build-image", "back", versions["back"], *module)
        if options.peer == "rxe":
            made["peer"] = self.last_line("build-image", "peer", versions["peer"])
        elif options.peer == "multios":
            made["peer"] = self.last_line("build-image", "front", versions["peer"], *module)
            made["peer-back"] = self.last_line("build-image", "back", versions["back"], *module)
        given = {"front": options.front_initrd, "back": options.back_initrd}
        return made | {guest: file for guest, file in given.items() if file}

    def accel(self, qemu: str, kernel: str, wanted: str) -> str:
        """kvm or tcg."""
        library = '. "$MULTIOS_ROOT/scripts/lib-accel.sh"'
        return self.shell(f'{library}; accel_of "$@"', qemu, kernel, wanted).strip()
