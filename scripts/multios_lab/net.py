# SPDX-License-Identifier: GPL-2.0-or-later
"""
The wire of --wire tap: a bridge with taps, as libvirt sets it up, in a network namespace of the
lab's own. Nothing of the host's network is touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import struct
import subprocess

from multios_lab.messages import LabError

NAMESPACES = "/run/netns"
BRIDGE = "wire"
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000


def namespace(key: str) -> str:
    """The name of the network namespace of the lab with this key."""
    return f"multios-{key}"


def ip(*words: str) -> None:
    """Runs ip; raises LabError if it fails."""
    try:
        result = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError as err:
        raise LabError("--wire tap: there is no program ip: install iproute2") from err
    if result.returncode:
        raise LabError(f"ip {' '.join(words)}: {result.stderr.strip()}")


def create(key: str, mtu: int) -> None:
    """Makes the namespace with its bridge."""
    remove(key)
    name = namespace(key)
    ip("netns", "add", name)
    # With snooping but no querier, a bridge stops forwarding multicast after minutes.
    ip("-n", name, "link", "add", BRIDGE, "mtu", str(mtu), "type", "bridge", "mcast_snooping", "0")
    ip("-n", name, "link", "set", BRIDGE, "up")


def remove(key: str) -> None:
    """Removes the namespace, if it is there."""
    if os.path.exists(f"{NAMESPACES}/{namespace(key)}"):
        ip("netns", "del", namespace(key))


def add_tap(key: str, mtu: int) -> int:
    """Adds a port to the bridge. Returns the descriptor of its tap; closing it removes the tap."""
    for number in itertools.count():
        name = f"mt{key[:8]}.{number}"
        file = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        try:
            request = struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
            fcntl.ioctl(file, TUNSETIFF, request)
            ip("link", "set", name, "netns", namespace(key))
            ip("-n", namespace(key), "link", "set", name, "mtu", str(mtu), "master", BRIDGE, "up")
            return file
        except LabError as err:
            os.close(file)
            # In the namespace another VM's tap has this name: try the next.
            if "exists" not in str(err) or number > 99:
                raise
        except OSError as err:
            with contextlib.suppress(OSError):
                os.close(file)
            raise LabError(f"--wire tap: no tap from /dev/net/tun: {err.strerror}") from err
    raise AssertionError
