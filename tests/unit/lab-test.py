#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Tests scripts/multios_lab without a virtual machine: options, QEMU command lines, and whole labs
whose QEMU is lab-qemu.py: up, exec, failures, interruptions at any time, down.
"""

import contextlib
import io
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time
import unittest
from unittest import mock

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parents[1] / "scripts"))
# pylint: disable=wrong-import-position
from multios_lab import build, cli, interrupt, up, vm  # noqa: E402
from multios_lab.lab import Lab  # noqa: E402
from multios_lab.messages import LabError, Trace  # noqa: E402
from multios_lab.options import LabOptions  # noqa: E402
from multios_lab.state import State, command_line  # noqa: E402
from multios_lab.topology import Topology  # noqa: E402

QEMU = HERE / "lab-qemu.py"
NAME = f"unit-{os.getpid()}"
SEED = int(os.environ.get("LAB_TEST_SEED", time.time()))


def parts(options, _trace=None):
    """The parts of a lab, none of which is built."""
    guests = ("front", "back", "peer", "peer-back")
    return build.Parts(
        emulation=vm.Emulation(str(QEMU), "tcg", "max", options.irqchip, "/r,oot"),
        kernel_versions={guest: "6.1" for guest in guests[:3]},
        kernels={guest: f"/k,{guest}" for guest in guests[:3]},
        initrds={guest: f"/i,{guest}" for guest in guests},
    )


def command_lines(**options):
    """The QEMU command lines of a lab, by VM."""
    values = LabOptions(**options)
    topology = Topology(values, parts(values), State(NAME))
    vms = topology.vms()
    return {machine.name: machine.argv(7 if len(vms) > 1 else None) for machine in vms}


def after(words, option):
    """The values of a QEMU option."""
    return [value for name, value in zip(words, words[1:]) if name == option]


class Words(unittest.TestCase):
    """Command line and options."""

    def message(self, *words):
        """The error of a command line, which ends with status 1."""
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            self.assertEqual(cli.main(words), 1)
        return err.getvalue().strip()

    def test_errors_tell_option_found_and_expected(self):
        expected = {
            ("up", "--mtu", "5"): "--mtu 5: it must be a number from 576 to 9000",
            ("up", "--mtu=x"): "--mtu x: it must be a number from 576 to 9000",
            ("up", "--back-vcpus", "0"): "--back-vcpus 0: it must be a number from 1 to 64",
            ("up", "--peer", "you"): "--peer you: it must be rxe, multios or none",
            ("up", "--accel", "x"): "--accel x: it must be tcg, kvm or auto",
            ("up", "--front-initrd", "/x"): "--front-initrd /x: there is no such file",
            ("up", "--mtu"): "--mtu needs a value (see --help)",
            ("up", "--zz=3"): "up: unknown option '--zz' (see --help)",
            ("up", "zz"): "up: unknown argument 'zz' (see --help)",
            ("up", "--name", ".."): "--name '..': letters, digits, dot, dash and underscore only",
            ("zz",): "unknown command 'zz' (see --help)",
            ("status", "--name", NAME): f"no lab '{NAME}' is running: scripts/lab up --name {NAME}",
            ("capture", "start"): "capture start FILE | capture stop",
        }
        for words, message in expected.items():
            with self.subTest(words):
                self.assertEqual(self.message(*words), "lab: error: " + message)

    def test_help_names_each_verb_and_option(self):
        for name in cli.VERBS:
            self.assertIn(f"  {name}", cli.usage())
            self.assertIn("--name", cli.parser_of(name).format_help())
        self.assertIn("--shared-mem", cli.parser_of("up").format_help())

    def test_exec_leaves_the_command_alone(self):
        cases = {
            "front -- ls -l --": ("front", "ls -l --"),
            "--name x front --timeout 5 -i -- sh": ("--name x front --timeout 5 -i", "sh"),
            "-v front ls --timeout 3": ("-v front", "ls --timeout 3"),
            "front": ("front", ""),
        }
        for words, (own, command) in cases.items():
            with self.subTest(words):
                self.assertEqual(cli.split_exec(words.split()), (own.split(), command.split()))

    def test_a_value_may_begin_with_a_dash(self):
        parser = cli.parser_of("up")
        words = cli.join_values(parser, ["--front-arg", "-device", "--front-arg=x", "--keep"])
        args = parser.parse_args(words)
        self.assertEqual((args.front_arg, args.keep), (["-device", "x"], True))


class CommandLines(unittest.TestCase):
    """The VMs of a topology."""

    def test_a_wire_listens_only_without_a_peer(self):
        for peer in ("rxe", "multios", "none"):
            lines = command_lines(peer=peer)
            ends = [end for words in lines.values() for end in after(words, "-netdev")]
            self.assertEqual(sum("server=on" in end for end in ends), peer == "none", peer)
            self.assertEqual(sum("addr.str=7" in end for end in ends), 2 * (peer != "none"), peer)
        self.assertEqual(list(command_lines()), ["peer", "front"])

    def test_a_vm_has_the_memory_and_the_vcpus_of_both(self):
        lines = command_lines(front_vcpus=2, back_vcpus=3, front_mem=700, back_mem=300)
        self.assertEqual(after(lines["front"], "-smp"), ["5"])
        self.assertEqual(after(lines["front"], "-m"), ["1064M"])
        self.assertEqual(after(lines["peer"], "-smp"), ["1"])
        plain = command_lines(plain=True, front_mem=700)
        self.assertEqual(after(plain["front"], "-m"), ["700M"])

    def test_commas_are_escaped(self):
        lines = command_lines(capture="/a,b", back_append="x=1,2")
        text = " ".join(lines["front"])
        for value in ("file=/a,,b", "x=1,,2", "back-kernel=/k,,back/", "file=/r,,oot"):
            self.assertIn(value, text)
        self.assertIn("/k,front/vmlinuz", lines["front"])

    def test_mac_addresses_differ(self):
        for options in ({"peer": "multios"}, {"plain": True}):
            text = " ".join(word for words in command_lines(**options).values() for word in words)
            macs = [word[4:] for word in text.split(",") if word.startswith("mac=")]
            self.assertEqual(len(macs), len(set(macs)), macs)

    def test_routing_gives_each_front_a_net(self):
        lines = command_lines(net="route", peer="multios")
        kernels = [after(words, "-append")[0] for words in lines.values()]
        nets = [append.partition("multios.ip4=")[2][:7] for append in kernels]
        self.assertEqual(nets, ["10.77.2", "10.77.1"])


class WholeLabs(unittest.TestCase):
    """Labs with lab-qemu.py."""

    def setUp(self):
        self.lab = Lab(NAME, Trace())
        patch = mock.patch.object(build, "parts", parts)
        patch.start()
        self.addCleanup(patch.stop)
        self.addCleanup(self.remove)
        self.err = io.StringIO()
        redirect = contextlib.redirect_stderr(self.err)
        redirect.__enter__()
        self.addCleanup(redirect.__exit__, None, None, None)

    def remove(self):
        """Nothing of the lab stays."""
        self.lab.down()
        for suffix in ("last", "failed", "stalled"):
            shutil.rmtree(self.lab.state.beside(suffix), ignore_errors=True)

    def running(self):
        """The processes of the lab, whoever knows of them."""
        found = []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            words = command_line(int(folder.name))
            if f"multios-lab-{self.lab.state.key}-" in words:
                found.append(words[:80])
        return found

    def fails(self, **options):
        """The message of an up that fails, after which nothing runs."""
        with self.assertRaises(LabError) as caught:
            self.lab.up(LabOptions(**options))
        return str(caught.exception)

    def test_up_exec_down(self):
        self.lab.up(LabOptions(peer="multios", mtu=9000))
        self.assertIn("up: front back peer peer-back, tcg, front 6.1", self.err.getvalue())
        self.assertTrue(self.lab.is_alive())
        self.assertIn("back is   lab: error: qom-get: no such property, start", self.status())
        result = self.lab.guest("peer-back").run(["echo", "a b"])
        self.assertEqual((result.status, result.out), (3, b"echo a b"))
        result = self.lab.guest("front").run(["sleep"], timeout=0.3)
        self.assertEqual(result.status, 124)
        self.assertIn(b"not done after 0.3 s", result.err)
        self.lab.capture_start("/x y")
        config = self.lab.state.folder / "config"
        shell = f'. "{config}"; echo "$VMS, $GUESTS, $mtu, $capture"'
        out = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True).stdout
        self.assertEqual(out, "front peer, front back peer peer-back, 9000, /x y\n")
        self.assertIn("already running", self.fails())
        with self.assertRaisesRegex(LabError, "guest 'x': this lab has front back peer"):
            self.lab.guest("x")
        self.assertTrue(self.lab.down())
        self.assertEqual(self.running(), [])
        self.assertFalse(self.lab.down())

    def status(self):
        """The text of status."""
        return "\n".join(self.lab.status())

    def test_trace_shows_commands(self):
        self.lab.up(LabOptions(peer="none"))
        self.lab.trace = Trace(verbose=True)
        self.lab.guest("back").run(["ip", "-4", "a b"])
        self.assertTrue(self.err.getvalue().endswith("+ back: ip -4 'a b'\n"))

    def test_failures_leave_nothing(self):
        cases = {
            "QEMU of peer ended at once": {"peer_append": "fake.dies"},
            "QEMU of front ended at once": {"front_append": "fake.dies"},
            "back: fake.failed": {"back_append": "fake.failed"},
            "not ready within 1 s: peer": {"peer_append": "fake.silent", "timeout": 1},
        }
        for message, options in cases.items():
            with self.subTest(message):
                self.assertEqual(self.fails(**options), message)
                self.assertEqual(self.running(), [])
                self.assertFalse(self.lab.state.exists)
                self.assertTrue(any(self.lab.state.beside("failed").iterdir()))

    def test_keep(self):
        self.assertEqual(self.fails(back_append="fake.failed", keep=True), "back: fake.failed")
        self.assertTrue(self.lab.is_alive())
        self.lab.down()
        self.assertEqual(self.running(), [])

    def test_a_vm_that_ended_is_seen(self):
        self.lab.up(LabOptions())
        os.kill(self.lab.state.pid("front"), signal.SIGKILL)
        deadline = time.monotonic() + 10
        while self.lab.is_alive() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertFalse(self.lab.is_alive())
        self.assertIn("front     QEMU ENDED", self.status())
        with self.assertRaisesRegex(LabError, "already running"):
            self.lab.up(LabOptions())

    def test_interruptions_leave_nothing(self):
        rng = random.Random(SEED)
        for number in 3 * [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]:
            delay = rng.uniform(0, 2)
            with self.subTest(f"signal {number} after {delay:.2f} s, seed {SEED}"):
                argv = [sys.executable, __file__, "--interrupted", NAME]
                pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
                with subprocess.Popen(argv, **pipes) as child:
                    child.stdout.readline()
                    time.sleep(delay)
                    child.send_signal(number)
                    err = child.communicate(timeout=60)[1]
                self.assertEqual(child.returncode, 130, err)
                self.assertEqual(self.running(), [], err)
                self.assertFalse(self.lab.state.exists)


def interrupted(name):
    """The child of test_interruptions_leave_nothing: a lab that does not get ready by itself."""
    interrupt.install()
    options = LabOptions(front_append="fake.slow", peer_append="fake.slow fake.silent")
    with mock.patch.object(build, "parts", parts):
        try:
            print("begins", flush=True)
            up.up(State(name), options, Trace())
        except KeyboardInterrupt:
            return 130
    return 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--interrupted"]:
        sys.exit(interrupted(sys.argv[2]))
    os.environ.pop("MULTIOS_TRACE", None)
    os.environ.pop("MULTIOS_PROG", None)
    unittest.main(verbosity=2)
