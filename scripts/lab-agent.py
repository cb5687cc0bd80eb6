#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Talks to the guests of a running lab; scripts/lab calls it in the lab's folder.

  serve              the broker: one process per lab owns the guest agents' sockets, so that several commands can run
                     at once in one guest (an agent's socket takes one client, and a reconnect costs 100 ms)
  ping GUEST SECONDS wait until GUEST's agent answers
  exec GUEST [--timeout S] [--stdin] [--] CMD...
  push GUEST FILE DEST, pull GUEST FILE DEST
  console GUEST      interactive console, left with Ctrl-]
  qmp VM COMMAND [JSON-ARGUMENTS]
"""

import asyncio
import base64
import contextlib
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import termios
import time
import tty

BROKER = "agent.sock"
LIMIT = 64 << 20
# An agent that is alive answers in milliseconds; this covers a guest whose vCPUs are starved by a busy host.
ANSWER_SECONDS = 30
EXIT_TIMEOUT, EXIT_LOST, EXIT_NOT_FOUND = 124, 125, 127


class AgentLost(Exception):
    """The agent gave no answer: guest down, restarted or stuck."""


class AgentError(Exception):
    """The agent answered with an error."""


class Agent:
    """One guest's agent: requests one after the other over a connection that stays."""

    def __init__(self, guest):
        self.path = guest + ".ga"
        self.lock = asyncio.Lock()
        self.reader = self.writer = None

    def drop(self):
        if self.writer:
            self.writer.close()
        self.reader = self.writer = None

    async def connect(self):
        self.reader, self.writer = await asyncio.open_unix_connection(self.path, limit=LIMIT)
        token = random.randrange(1, 1 << 40)
        request = {"execute": "guest-sync-delimited", "arguments": {"id": token}}
        self.writer.write(b"\xff" + json.dumps(request).encode() + b"\n")
        while True:
            # Whatever an earlier client left behind ends with the 0xff that comes before the answer.
            line = await self.reader.readline()
            if not line:
                raise ConnectionError("closed")
            with contextlib.suppress(ValueError):
                if json.loads(line.rsplit(b"\xff", 1)[-1]).get("return") == token:
                    return

    async def call(self, command, arguments=None, seconds=ANSWER_SECONDS):
        async with self.lock:
            try:
                return await asyncio.wait_for(self.locked_call(command, arguments), seconds)
            except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, ValueError) as err:
                self.drop()
                raise AgentLost(f"no answer to {command} ({str(err) or type(err).__name__})") from err
            except asyncio.CancelledError:
                self.drop()
                raise

    async def locked_call(self, command, arguments):
        if not self.writer:
            await self.connect()
        self.writer.write(json.dumps({"execute": command, "arguments": arguments or {}}).encode() + b"\n")
        line = await self.reader.readline()
        if not line:
            raise ConnectionError("closed")
        answer = json.loads(line)
        if "error" in answer:
            raise AgentError(answer["error"].get("desc", str(answer["error"])))
        return answer["return"]


async def run_command(agent, request):
    """guest-exec, then its status until it ended; returns the client's answer."""
    arguments = {"path": request["argv"][0], "arg": request["argv"][1:], "capture-output": True}
    if request.get("stdin"):
        arguments["input-data"] = request["stdin"]
    pid = (await agent.call("guest-exec", arguments))["pid"]
    start = time.monotonic()
    try:
        while True:
            status = await agent.call("guest-exec-status", {"pid": pid})
            if status["exited"]:
                return {key: status.get(key) for key in ("exitcode", "signal", "out-data", "err-data", "out-truncated")}
            spent = time.monotonic() - start
            if request.get("timeout") and spent > request["timeout"]:
                await kill(agent, pid)
                return {"timeout": True}
            await asyncio.sleep(min(max(0.02, spent / 20), 0.25))
    except asyncio.CancelledError:
        await asyncio.shield(kill(agent, pid))
        raise


async def kill(agent, pid):
    """Ends what runs as pid and what it started."""
    script = ("for p in $(cat /proc/[0-9]*/stat 2>/dev/null | sed 's/ (.*)//' | awk -v r=" + str(pid) + " '{ up[$1] = $3 } "
              "END { for (p in up) { q = p; while (q > 1 && q != r) q = up[q]; if (q == r) print p } }'); do kill $p; done")
    with contextlib.suppress(AgentLost, AgentError):
        await agent.call("guest-exec", {"path": "sh", "arg": ["-c", script]})


async def serve():
    agents = {}

    async def client(reader, writer):
        request = json.loads(await reader.readline())
        agent = agents.setdefault(request["guest"], Agent(request["guest"]))
        try:
            if "argv" in request:
                work = asyncio.ensure_future(run_command(agent, request))
                # A client that goes away (Ctrl-C) takes its command with it.
                gone = asyncio.ensure_future(reader.read(1))
                await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not work.done():
                    work.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await work
                    return
                gone.cancel()
                answer = work.result()
            else:
                answer = {"return": await agent.call(request["execute"], request.get("arguments"), request.get("seconds", 5))}
        except AgentError as err:
            answer = {"error": str(err)}
        except AgentLost as err:
            answer = {"lost": str(err)}
        finally:
            with contextlib.suppress(OSError):
                if not writer.is_closing() and "answer" in locals():
                    writer.write(json.dumps(answer).encode() + b"\n")
                    await writer.drain()
            writer.close()

    with contextlib.suppress(FileNotFoundError):
        os.unlink(BROKER)
    server = await asyncio.start_unix_server(client, BROKER, limit=LIMIT)
    async with server:
        # The lab's folder goes when the lab ends.
        inode = os.stat(BROKER).st_ino
        while True:
            await asyncio.sleep(2)
            try:
                if os.stat(BROKER).st_ino != inode:
                    return
            except FileNotFoundError:
                return


def start_broker():
    with open("agent.log", "ab") as out:
        proc = subprocess.Popen([sys.executable, os.path.abspath(__file__), "serve"], stdin=subprocess.DEVNULL, stdout=out,
                                stderr=out, start_new_session=True)
    with open("agent.pid", "w", encoding="ascii") as file:
        file.write(f"{proc.pid}\n")


def ask(request):
    """One request to the broker, which is started when it does not run."""
    deadline = time.monotonic() + 5
    started = False
    while True:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(BROKER)
            break
        except OSError:
            sock.close()
            if time.monotonic() > deadline:
                sys.exit("lab: error: the agent broker did not start: see agent.log in the lab's folder")
            if not started:
                started = True
                start_broker()
            time.sleep(0.03)
    sock.sendall(json.dumps(request).encode() + b"\n")
    with sock, sock.makefile("rb") as file:
        line = file.readline()
    return json.loads(line) if line else {"lost": "the agent broker ended"}


def ping(guest, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if "return" in ask({"guest": guest, "execute": "guest-ping", "seconds": 3}):
            return 0
        time.sleep(0.1)
    print(f"lab: error: the guest agent of {guest} did not answer within {seconds:.0f} s", file=sys.stderr)
    return 1


def run(guest, argv, data=None, timeout=None):
    """Runs argv in guest; returns (exit status, stdout, stderr)."""
    request = {"guest": guest, "argv": argv, "timeout": timeout}
    if data:
        request["stdin"] = base64.b64encode(data).decode()
    answer = ask(request)
    if "lost" in answer:
        return EXIT_LOST, b"", f"lab: error: guest {guest}: {answer['lost']}\n".encode()
    if "error" in answer:
        not_found = "execute child" in answer["error"]
        return EXIT_NOT_FOUND if not_found else EXIT_LOST, b"", f"lab: error: guest {guest}: {answer['error']}\n".encode()
    if answer.get("timeout"):
        return EXIT_TIMEOUT, b"", f"lab: error: guest {guest}: not done after {timeout:g} s, ended: {' '.join(argv)}\n".encode()
    out = base64.b64decode(answer["out-data"] or "")
    err = base64.b64decode(answer["err-data"] or "")
    if answer.get("out-truncated"):
        err += b"lab: warning: output beyond 16 MiB is cut off\n"
    if answer["signal"]:
        return 128 + answer["signal"], out, err
    return answer["exitcode"], out, err


def command_exec(guest, args):
    timeout, data = None, None
    while args and args[0].startswith("-"):
        option = args.pop(0)
        if option == "--":
            break
        if option == "--timeout" and args:
            timeout = float(args.pop(0))
        elif option in ("--stdin", "-i"):
            data = sys.stdin.buffer.read()
        else:
            sys.exit(f"lab: error: exec: unknown option {option} (--timeout SECONDS, --stdin, then -- CMD...)")
    if not args:
        sys.exit("lab: error: exec: no command given: lab exec GUEST -- CMD...")
    status, out, err = run(guest, args, data, timeout)
    sys.stdout.buffer.write(out)
    sys.stdout.flush()
    sys.stderr.buffer.write(err)
    return status


def command_push(guest, source, dest):
    with open(source, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode & 0o777
        redirect = ">"
        while True:
            chunk = file.read(1 << 20)
            if not chunk and redirect == ">>":
                break
            status, _, err = run(guest, ["sh", "-c", f'cat {redirect} "$1"', "sh", dest], chunk)
            if status:
                sys.stderr.buffer.write(err)
                return status
            redirect = ">>"
    return run(guest, ["chmod", f"{mode:o}", dest])[0]


def command_pull(guest, source, dest):
    with open(dest, "wb") as file:
        block = 0
        while True:
            status, out, err = run(guest, ["dd", f"if={source}", "bs=1048576", f"skip={block * 8}", "count=8"])
            if status:
                sys.stderr.buffer.write(err)
                return status
            file.write(out)
            if len(out) < 8 << 20:
                return 0
            block += 1


def command_console(guest):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(guest + ".con")
    print(f"console of {guest}: Ctrl-] leaves", file=sys.stderr)
    interactive = sys.stdin.isatty()
    saved = termios.tcgetattr(0) if interactive else None
    try:
        if interactive:
            tty.setraw(0)
        sources = [0, sock]
        while True:
            for ready in select.select(sources, [], [])[0]:
                if ready is sock:
                    data = sock.recv(4096)
                    if not data:
                        return 0
                    os.write(1, data)
                    continue
                data = os.read(0, 4096)
                if not data and not interactive:
                    # What was piped in shall have its answer: read on until the console is silent.
                    sources = [sock]
                    sock.settimeout(2)
                    with contextlib.suppress(socket.timeout):
                        while True:
                            os.write(1, sock.recv(4096))
                    return 0
                if b"\x1d" in data:
                    return 0
                sock.sendall(data)
    finally:
        if saved:
            termios.tcsetattr(0, termios.TCSADRAIN, saved)
            print(file=sys.stderr)


def command_qmp(name, command, arguments="{}"):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(30)
    try:
        sock.connect(name + ".qmp")
    except OSError as err:
        sys.exit(f"lab: error: the QEMU of {name} has no monitor: {err}")
    with sock, sock.makefile("rw") as file:
        file.readline()
        for request in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": json.loads(arguments)}):
            file.write(json.dumps(request) + "\n")
            file.flush()
            while True:
                answer = json.loads(file.readline())
                if "return" in answer or "error" in answer:
                    break
    if "error" in answer:
        print(f"lab: error: {command}: {answer['error']['desc']}", file=sys.stderr)
        return 1
    print(json.dumps(answer["return"], indent=2) if answer["return"] != {} else "{}")
    return 0


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    what, args = sys.argv[1], sys.argv[2:]
    if what == "serve":
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        return asyncio.run(serve())
    if what == "ping":
        return ping(args[0], float(args[1]))
    if what == "exec":
        return command_exec(args[0], args[1:])
    commands = {"push": command_push, "pull": command_pull, "console": command_console, "qmp": command_qmp}
    try:
        return commands[what](*args)
    except OSError as err:
        sys.exit(f"lab: error: {what}: {err}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
