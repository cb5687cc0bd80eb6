# SPDX-License-Identifier: GPL-2.0-or-later
"""
The broker: one process per lab, in the lab's folder, owns the sockets of the guests' agents, so
that several commands can run at once in one guest (an agent's socket takes one client, and a
reconnect costs 100 ms). guest.py is its client and starts it.

A request is one line of JSON: {"guest", "argv", "stdin", "timeout"} runs a command, {"guest",
"execute", "arguments", "seconds"} is one call of the agent's own protocol. The answer is one line,
too: the status of guest-exec-status or {"return"}; {"timeout"}, {"error"} or {"lost"} otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import random
import signal
import time
from typing import Any

from multios_lab.guest import BROKER

LIMIT = 64 << 20
# An agent that is alive answers in milliseconds; this covers a guest whose vCPUs are starved by a
# busy host.
ANSWER_SECONDS = 30
# Prints the processes that have $1 as ancestor, and itself, and ends them.
KILL_TREE = r"""
for p in $(cat /proc/[0-9]*/stat 2>/dev/null | sed 's/ (.*)//' | awk -v r="$1" '
    { up[$1] = $3 }
    END { for (p in up) { q = p; while (q > 1 && q != r) q = up[q]; if (q == r) print p } }')
do kill $p; done
"""


class AgentLost(Exception):
    """The agent gave no answer: guest down, restarted or stuck."""


class AgentError(Exception):
    """The agent answered with an error."""


class Agent:
    """One guest's agent: requests one after the other over a connection that stays."""

    def __init__(self, guest: str):
        self.path = guest + ".ga"
        self.lock = asyncio.Lock()
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def drop(self) -> None:
        """Closes the connection: the next call opens another."""
        if self.streams:
            self.streams[1].close()
        self.streams = None

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connects and synchronises with the agent."""
        self.streams = await asyncio.open_unix_connection(self.path, limit=LIMIT)
        reader, writer = self.streams
        token = random.randrange(1, 1 << 40)
        request = {"execute": "guest-sync-delimited", "arguments": {"id": token}}
        writer.write(b"\xff" + json.dumps(request).encode() + b"\n")
        while True:
            # Whatever an earlier client left behind ends with the 0xff before the answer.
            line = await reader.readline()
            if not line:
                raise ConnectionError("closed")
            with contextlib.suppress(ValueError):
                if json.loads(line.rsplit(b"\xff", 1)[-1]).get("return") == token:
                    return self.streams

    async def call(
        self, command: str, arguments: dict[str, Any] | None = None, seconds: float = ANSWER_SECONDS
    ) -> Any:
        """One command of the agent: its return value."""
        async with self.lock:
            try:
                return await asyncio.wait_for(self._call(command, arguments), seconds)
            except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, ValueError) as err:
                self.drop()
                why = str(err) or type(err).__name__
                raise AgentLost(f"no answer to {command} ({why})") from err
            except asyncio.CancelledError:
                self.drop()
                raise

    async def _call(self, command: str, arguments: dict[str, Any] | None) -> Any:
        # The machine may have moved to another QEMU.
        if self.streams and self.streams[0].at_eof():
            self.drop()
        reader, writer = self.streams or await self.connect()
        request = {"execute": command, "arguments": arguments or {}}
        writer.write(json.dumps(request).encode() + b"\n")
        line = await reader.readline()
        if not line:
            raise ConnectionError("closed")
        answer = json.loads(line)
        if "error" in answer:
            raise AgentError(answer["error"].get("desc", str(answer["error"])))
        return answer["return"]


async def run_command(agent: Agent, request: dict[str, Any]) -> dict[str, Any]:
    """guest-exec, then its status until it ended; returns the client's answer."""
    path, *words = request["argv"]
    arguments = {"path": path, "arg": words, "capture-output": True}
    if request.get("stdin"):
        arguments["input-data"] = request["stdin"]
    pid = (await agent.call("guest-exec", arguments))["pid"]
    start = time.monotonic()
    try:
        while True:
            status = await agent.call("guest-exec-status", {"pid": pid})
            if status["exited"]:
                keys = ("exitcode", "signal", "out-data", "err-data", "out-truncated")
                return {key: status.get(key) for key in keys}
            spent = time.monotonic() - start
            if request.get("timeout") and spent > request["timeout"]:
                await kill(agent, pid)
                return {"timeout": True}
            await asyncio.sleep(min(max(0.02, spent / 20), 0.25))
    except asyncio.CancelledError:
        await asyncio.shield(kill(agent, pid))
        raise


async def kill(agent: Agent, pid: int) -> None:
    """Ends a process of the guest and its descendants."""
    with contextlib.suppress(AgentLost, AgentError):
        arguments = {"path": "sh", "arg": ["-c", KILL_TREE, "sh", str(pid)]}
        await agent.call("guest-exec", arguments)


async def answer_of(
    agent: Agent, request: dict[str, Any], reader: asyncio.StreamReader
) -> dict[str, Any] | None:
    """The answer to a request; None if the client went away before."""
    try:
        if "argv" not in request:
            arguments, seconds = request.get("arguments"), request.get("seconds", 5)
            return {"return": await agent.call(request["execute"], arguments, seconds)}
        work = asyncio.ensure_future(run_command(agent, request))
        # A client that goes away (Ctrl-C) takes its command with it.
        gone = asyncio.ensure_future(reader.read(1))
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            gone.cancel()
            return work.result()
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        return None
    except AgentError as err:
        return {"error": str(err)}
    except AgentLost as err:
        return {"lost": str(err)}


async def serve() -> None:
    """Serves until the lab's folder goes."""
    agents: dict[str, Agent] = {}

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = json.loads(await reader.readline())
            agent = agents.setdefault(request["guest"], Agent(request["guest"]))
            answer = await answer_of(agent, request, reader)
            if answer is not None and not writer.is_closing():
                with contextlib.suppress(OSError):
                    writer.write(json.dumps(answer).encode() + b"\n")
                    await writer.drain()
        finally:
            writer.close()

    with contextlib.suppress(FileNotFoundError):
        os.unlink(BROKER)
    server = await asyncio.start_unix_server(client, BROKER, limit=LIMIT)
    async with server:
        inode = os.stat(BROKER).st_ino
        with contextlib.suppress(FileNotFoundError):
            while os.stat(BROKER).st_ino == inode:
                await asyncio.sleep(2)


def main() -> int:
    """Serves, unless another broker of this lab does."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    with open("agent.pid", "a", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        asyncio.run(serve())
    return 0
