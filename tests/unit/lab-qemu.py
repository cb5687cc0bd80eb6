#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
A program in the place of QEMU, for lab-test.py: the sockets, the consoles and the process id that
the lab waits for. Kernel parameters tell a guest's part: fake.silent is never ready, fake.failed
says so. Parameters of the front's or the peer's kernel hold for the VM, too: fake.slow takes a
while until it has its process id, fake.dies ends at once.
"""

import base64
import json
import os
import re
import signal
import socket
import sys
import threading
import time


def serve(path, client):
    """Accepts clients of a socket."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(8)

    def accept():
        while True:
            threading.Thread(target=client, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def agent(sock):
    """A guest agent whose every program prints its arguments and ends with status 3."""
    file = sock.makefile("rwb")
    argv = []
    for line in file:
        request = json.loads(line.lstrip(b"\xff"))
        arguments = request["arguments"]
        answer = {}
        if request["execute"] == "guest-sync-delimited":
            file.write(b"\xff")
            answer = arguments["id"]
        elif request["execute"] == "guest-exec":
            argv = [arguments["path"], *arguments["arg"]]
            answer = {"pid": 7}
        elif request["execute"] == "guest-exec-status":
            out = base64.b64encode(" ".join(argv).encode()).decode()
            answer = {"exited": argv != ["sleep"], "exitcode": 3, "out-data": out, "err-data": None}
        file.write(json.dumps({"return": answer}).encode() + b"\n")
        file.flush()


def monitor(sock):
    """A QMP monitor that obeys and has no properties."""
    file = sock.makefile("rw")
    file.write('{"QMP": {}}\n')
    file.flush()
    for line in file:
        bad = {"error": {"desc": "no such property"}}
        answer = bad if json.loads(line)["execute"] == "qom-get" else {"return": {}}
        file.write(json.dumps(answer) + "\n")
        file.flush()


def main():
    """Plays the VM of the command line until SIGTERM."""
    words = sys.argv[1:]
    append = words[words.index("-append") + 1]
    if "fake.dies" in append:
        print("fake.dies")
        sys.exit(1)
    if "fake.slow" in append:
        time.sleep(0.5)
    parts = [append, "".join(re.findall(",back-append=(.*)", "\n".join(words)))]
    for chardev in [word for word in words if word.startswith("socket,id=")]:
        values = dict(pair.partition("=")[::2] for pair in chardev.split(","))
        kind = values["path"].rpartition(".")[2]
        serve(values["path"], {"ga": agent, "qmp": monitor}.get(kind, lambda _: None))
        if "logfile" in values:
            with open(values["logfile"], "w", encoding="ascii") as log:
                log.write("Linux version\r\n")
                part = parts.pop(0)
                if "fake.failed" in part:
                    log.write("multios: failed: fake.failed\r\n")
                elif "fake.silent" not in part:
                    log.write("multios: ready\r\n")
    with open(words[words.index("-pidfile") + 1], "w", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    while True:
        signal.pause()


main()
