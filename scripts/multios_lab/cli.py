# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: the verbs, their words and their help."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import signal
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from multios_lab import interrupt
from multios_lab.guest import Result
from multios_lab.lab import Lab
from multios_lab.messages import LabError, ProgramError, Trace, log

EXIT_ERROR, EXIT_USAGE = 1, 2
ABOUT = """
A running multios topology: a multios VM (front OS and back OS) whose back's NIC is on one wire with
a peer.
"""
ENVIRONMENT = """
The state is below build/lab/NAME (default name: default). MULTIOS_QEMU names another
qemu-system-x86_64, where --qemu does not. MULTIOS_TRACE=1 is --verbose for every command;
MULTIOS_TRACE=/some/file writes the same to that file.
"""
VERBOSE = "show each command before it runs in a guest or on the host"


class Parser(argparse.ArgumentParser):
    """Wrong words end with status 1 and a message like all others."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings
        )

    def error(self, message: str) -> NoReturn:
        raise LabError(re.sub("^argument ([^:]*):", r"\1", message) + f" (usage: {self.usage})")


def verb_up(lab: Lab, args: argparse.Namespace) -> int:
    """boot it and wait until every guest is ready"""
    from multios_lab import options, up  # pylint: disable=import-outside-toplevel

    names = {field.name for field in dataclasses.fields(options.LabOptions)}
    words = {name: value for name, value in vars(args).items() if name in names}
    interrupt.install()
    up.up(lab.state, options.LabOptions(**words), lab.trace)
    return 0


def verb_exec(lab: Lab, args: argparse.Namespace) -> int:
    """run a command in a guest; its output and exit status are passed on (124: timed out, 125:
    guest lost, 127: no such command)"""
    guest = lab.guest(args.guest)
    if not args.command:
        raise LabError("exec: no command given: lab exec GUEST -- CMD...")
    stdin = sys.stdin.buffer.read() if args.stdin else b""
    return show(guest.run(args.command, stdin, args.timeout))


def verb_push(lab: Lab, args: argparse.Namespace) -> int:
    """copy a file into a guest"""
    if not os.path.exists(args.file):
        raise LabError(f"no file '{args.file}'")
    return show(lab.guest(args.guest).push(args.file, args.dest))


def verb_pull(lab: Lab, args: argparse.Namespace) -> int:
    """copy a file out of a guest"""
    return show(lab.guest(args.guest).pull(args.file, args.dest))


def verb_console(lab: Lab, args: argparse.Namespace) -> int:
    """attach to a guest's console; Ctrl-] leaves"""
    from multios_lab import console  # pylint: disable=import-outside-toplevel

    interrupt.install()
    console.attach(lab.state, lab.guest(args.guest).name)
    return 0


def verb_log(lab: Lab, args: argparse.Namespace) -> int:
    """print what a guest's console printed so far"""
    sys.stdout.buffer.write(lab.state.log(lab.guest(args.guest).name))
    return 0


def verb_capture(lab: Lab, args: argparse.Namespace) -> int:
    """write the packets on the wire at the NIC of the back (or of the plain front) to a pcap"""
    if args.action == "start" and args.file:
        lab.capture_start(os.path.realpath(args.file))
    elif args.action == "stop" and not args.file:
        lab.capture_stop()
    else:
        raise LabError("capture start FILE | capture stop")
    return 0


def verb_qmp(lab: Lab, args: argparse.Namespace) -> int:
    """send one QMP command to that QEMU"""
    try:
        arguments = json.loads(args.arguments)
    except ValueError as err:
        raise LabError(f"qmp: '{args.arguments}' must be JSON: {err}") from err
    answer = lab.qmp(args.vm, args.command, arguments)
    print("{}" if answer == {} else json.dumps(answer, indent=2))
    return 0


def verb_migrate(lab: Lab, args: argparse.Namespace) -> int:
    """move the front's machine, with all that runs in it, to another QEMU (needs --wire tap)"""
    interrupt.install()
    figures = lab.migrate(os.path.realpath(args.through) if args.through else "", args.timeout)
    print(json.dumps(figures, indent=2))
    return 0


def verb_status(lab: Lab, _args: argparse.Namespace) -> int:
    """tell what runs"""
    print("\n".join(lab.status()))
    return 0 if lab.is_alive() else EXIT_ERROR


def verb_wait(lab: Lab, args: argparse.Namespace) -> int:
    """wait until a guest's agent answers (after a restart of the back)"""
    lab.guest(args.guest).wait(args.seconds)
    return 0


def verb_session(_lab: Lab, _args: argparse.Namespace) -> int:
    """run the commands whose files stdin names (for scripts: see lib-session.sh)"""
    from multios_lab import session  # pylint: disable=import-outside-toplevel

    return session.serve(status_of)


def verb_down(lab: Lab, _args: argparse.Namespace) -> int:
    """end it"""
    if lab.down():
        log(f"down: '{lab.name}' (its logs: build/lab/{lab.name}.last)")
    else:
        log(f"no lab '{lab.name}' is running")
    return 0


def show(result: Result) -> int:
    """Passes the output of a guest's command on; returns its status."""
    sys.stdout.buffer.write(result.out)
    sys.stdout.flush()
    sys.stderr.buffer.write(result.err)
    return result.status


def seconds(word: str) -> float:
    """A positive number of seconds."""
    try:
        value = float(word)
    except ValueError:
        value = -1
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{word}: it must be a number of seconds")
    return value


def words_up(parser: Parser) -> None:
    """The options of up are the fields of LabOptions."""
    from multios_lab import options  # pylint: disable=import-outside-toplevel

    for field in dataclasses.fields(options.LabOptions):
        text = field.metadata["help"]
        default: Any = field.default
        if default is False:
            parser.add_argument(options.flag(field), action="store_true", help=text)
            continue
        parser.add_argument(
            options.flag(field),
            action="append" if default == () else "store",
            metavar=field.metadata["metavar"],
            default=list(default) if default == () else default,
            help=f"{text} ({default})" if default else text,
        )


def words_guest(parser: Parser) -> None:
    """console, log"""
    parser.add_argument("guest", metavar="GUEST", help="front, back, peer or peer-back")


def words_exec(parser: Parser) -> None:
    """exec; split_exec() has taken the command away."""
    words_guest(parser)
    parser.add_argument("--timeout", type=seconds, metavar="S", help="end it after S seconds")
    parser.add_argument("--stdin", "-i", action="store_true", help="pass stdin on")


def words_push(parser: Parser) -> None:
    """push, pull"""
    words_guest(parser)
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("dest", metavar="DEST")


def words_wait(parser: Parser) -> None:
    """wait"""
    words_guest(parser)
    parser.add_argument("seconds", type=seconds, nargs="?", default=60, metavar="SECONDS")


def words_capture(parser: Parser) -> None:
    """capture"""
    parser.add_argument("action", metavar="start|stop")
    parser.add_argument("file", nargs="?", metavar="FILE")


def words_qmp(parser: Parser) -> None:
    """qmp"""
    parser.add_argument("vm", metavar="front|peer")
    parser.add_argument("command", metavar="COMMAND")
    parser.add_argument("arguments", nargs="?", default="{}", metavar="JSON")


def words_migrate(parser: Parser) -> None:
    """migrate"""
    parser.add_argument(
        "--through", metavar="FILE", help="by way of this file, and not over a socket"
    )
    parser.add_argument(
        "--timeout", type=seconds, default=120, metavar="S", help="give up after S seconds (120)"
    )


def words_none(_parser: Parser) -> None:
    """status, session, down"""


@dataclasses.dataclass(frozen=True)
class Verb:
    """A command of the lab. The docstring of run is its help."""

    run: Callable[[Lab, argparse.Namespace], int]
    add_words: Callable[[Parser], None]
    synopsis: str

    @property
    def help(self) -> str:
        """A line about the verb."""
        return " ".join((self.run.__doc__ or "").split())


VERBS = {
    "up": Verb(verb_up, words_up, "up [OPTIONS]"),
    "exec": Verb(verb_exec, words_exec, "exec GUEST [--timeout S] [--stdin] -- CMD..."),
    "push": Verb(verb_push, words_push, "push GUEST FILE DEST"),
    "pull": Verb(verb_pull, words_push, "pull GUEST FILE DEST"),
    "console": Verb(verb_console, words_guest, "console GUEST"),
    "log": Verb(verb_log, words_guest, "log GUEST"),
    "capture": Verb(verb_capture, words_capture, "capture start FILE | stop"),
    "qmp": Verb(verb_qmp, words_qmp, "qmp front|peer COMMAND [JSON]"),
    "migrate": Verb(verb_migrate, words_migrate, "migrate [--through FILE] [--timeout S]"),
    "status": Verb(verb_status, words_none, "status"),
    "wait": Verb(verb_wait, words_wait, "wait GUEST [SECONDS]"),
    "session": Verb(verb_session, words_none, "session"),
    "down": Verb(verb_down, words_none, "down"),
}


def usage() -> str:
    """The help of the whole command."""
    lines = ["usage: scripts/lab COMMAND [--name NAME] [-v] ...", ABOUT]
    for verb in VERBS.values():
        indent = " " * 6
        help_text = textwrap.fill(
            verb.help, width=96, initial_indent=indent, subsequent_indent=indent
        )
        lines += [f"  {verb.synopsis}", help_text]
    lines += ["", "scripts/lab COMMAND --help tells the options of a command.", ENVIRONMENT]
    return "\n".join(lines).rstrip()


def parser_of(name: str) -> Parser:
    """The parser of one verb's words."""
    verb = VERBS[name]
    parser = Parser(
        prog=f"scripts/lab {name}",
        usage=f"scripts/lab {name} [--name NAME] [-v] {verb.synopsis.partition(' ')[2]}",
        description=verb.help,
        epilog=ENVIRONMENT,
    )
    parser.add_argument("--name", default="default", metavar="NAME", help="the lab (default)")
    parser.add_argument("-v", "--verbose", action="store_true", help=VERBOSE)
    verb.add_words(parser)
    return parser


def join_values(parser: Parser, words: Sequence[str]) -> list[str]:
    """
    Joins each option and its value with "=": argparse refuses values that begin with a dash, such
    as `--front-arg -device`.
    """
    joined, rest = [], list(words)
    while rest:
        word = rest.pop(0)
        action = parser._option_string_actions.get(word)  # pylint: disable=protected-access
        if action and action.nargs is None and word.startswith("--"):
            if not rest:
                raise LabError(f"{word} needs a value (see --help)")
            word += "=" + rest.pop(0)
        joined.append(word)
    return joined


def split_exec(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of exec itself, and the command: behind "--", or from the second plain word on."""
    guest, i = False, 0
    while i < len(words):
        if words[i] == "--":
            return list(words[:i]), list(words[i + 1 :])
        if words[i].startswith("-"):
            i += 1 + (words[i] in ("--name", "--timeout"))
            continue
        if guest:
            break
        guest = True
        i += 1
    return list(words[:i]), list(words[i:])


def run(words: Sequence[str]) -> int:
    """Runs one command of the lab: its exit status."""
    if not words:
        print(usage(), file=sys.stderr)
        return EXIT_USAGE
    name, *rest = words
    if name in ("-h", "--help", "help"):
        print(usage())
        return 0
    if name not in VERBS:
        raise LabError(f"unknown command '{name}' (see --help)")
    parser = parser_of(name)
    rest, command = split_exec(rest) if name == "exec" else (rest, [])
    args, unknown = parser.parse_known_args(join_values(parser, rest))
    if unknown:
        kind = "option" if unknown[0].startswith("-") else "argument"
        raise LabError(f"{name}: unknown {kind} '{unknown[0].partition('=')[0]}' (see --help)")
    if name == "exec":
        args.command = command
    return VERBS[name].run(Lab(args.name, Trace.from_environment(args.verbose)), args)


def status_of(words: Sequence[str]) -> int:
    """Runs one command; what it cannot do is a message."""
    try:
        return run(words)
    except ProgramError as err:
        return err.status
    except LabError as err:
        log(f"error: {err}")
        return EXIT_ERROR
    except OSError as err:
        log(f"error: {words[0]}: {err}")
        return EXIT_ERROR


def main(words: Sequence[str]) -> int:
    """The whole program."""
    # `lab log front | head` ends quietly.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.umask(0o022)
    return status_of(words)
