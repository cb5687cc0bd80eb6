# SPDX-License-Identifier: GPL-2.0-or-later
"""
Measures the cases of cases.py on an ordinary VM (a) and on the front of a multios VM (b), one after
the other.

For each case a short and a long run, several times; the counters' difference divided by the
difference in messages is the cost of a message, free of start and end. The number of messages of
the long run is set so that it takes a few seconds.

The timer tick comes with time, not with messages, and on a busy host a message takes any time. So
ticks are counted, their cost is found by letting an application spin for a while, and "work" is
kernel instructions less the ticks'.
"""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import cases as cases_mod
import profile as profile_mod
import report
from cases import CaseError
from counters import FIELDS, Counters, difference, total
from lab import WORK, BenchLab, LabError, LabOptions, interrupt

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PEER_IP = "10.77.0.2"
VALUES = (*FIELDS, "ticks", "work")


def log(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


class System:
    """One booted lab, measured."""

    def __init__(self, lab, opts, vm, peer):
        self.lab, self.opts, self.vm, self.peer = lab, opts, vm, peer
        n = len(vm.read())
        self.app = range(opts.front_vcpus)
        self.back = range(opts.front_vcpus, n)
        self.devices = {g: lab.device(g) for g in ("front", "peer")}
        lab.put("front", opts.mark, f"{WORK}/mark")
        # The timer interrupt's entry, for each kernel; the peer's own ticks stay in its figures.
        self.tick_entry = {
            g: self._address(g, "asm_sysvec_apic_timer_interrupt")
            for g in ["front"] + (["back"] if self.back else [])
        }
        self.tick_cost = self._tick_cost()
        log(f"({lab.system}) a timer tick is {self.tick_cost:,.0f} kernel instructions")
        self.symbols = {}
        if opts.profile:
            for guest in ["front"] + (["back"] if self.back else []):
                self.symbols[guest] = profile_mod.Symbols(
                    lab.exec(guest, "cat /proc/kallsyms", 300)
                )

    def _address(self, guest, name):
        text = self.lab.exec(guest, f"grep ' {name}$' /proc/kallsyms").split()
        return int(text[0], 16)

    def _ticks(self):
        """Timer interrupts so far, of all vCPUs of each guest."""
        return {
            g: sum(self.vm.block(a)[v] for v in (self.app if g == "front" else self.back))
            for g, a in self.tick_entry.items()
        }

    def _tick_cost(self):
        """Kernel instructions of one timer interrupt while a program spins in the front; the back's cost is taken to be the same."""
        at = []
        for seconds in (1, 5):
            done, ticks = self.vm.marks(), self._ticks()["front"]
            self.lab.start(
                "front", ["timeout", str(seconds), "sh", "-c", "while :; do :; done"], 60
            )
            if not self.vm.wait(done + 2, 120):
                raise LabError("front: the spinning program did not end")
            delta = difference(self.vm.mark(done + 2), self.vm.mark(done + 1))
            at.append((total(delta, self.app)["kernel"], self._ticks()["front"] - ticks))
        (k1, t1), (k2, t2) = at
        if t2 - t1 < 50:
            raise LabError(f"front: only {t2 - t1} timer interrupts in 4 s of spinning")
        return (k2 - k1) / (t2 - t1)

    def run(self, case, n, seconds):
        """One run of n messages: (counters of each part, speed, block counts)."""
        self.lab.start_server(case.server(n, self.devices["peer"]))
        done = self.vm.marks()
        blocks = self._blocks()
        self.lab.start("front", case.client(n, self.devices["front"], PEER_IP), seconds)
        if not self.vm.wait(done + 1, 60):
            raise CaseError("the client was not started within 60 s")
        peer, ticks = self.peer.read(), self._ticks()
        if not self.vm.wait(done + 2, seconds + 30):
            raise CaseError(f"no end within {seconds:.0f} s")
        peer = difference(self.peer.read(), peer)
        ticks = {g: n - ticks[g] for g, n in self._ticks().items()}
        blocks = profile_mod.subtract(self._blocks(), blocks) if blocks is not None else None
        delta = difference(self.vm.mark(done + 2), self.vm.mark(done + 1))
        speed = case.parse(self.lab.finish())
        counts = {
            "app": total(delta, self.app),
            "back": total(delta, self.back),
            "peer": total(peer, range(len(peer))),
        }
        for part, guest in (("app", "front"), ("back", "back"), ("peer", None)):
            counts[part]["ticks"] = ticks.get(guest, 0)
            counts[part]["work"] = counts[part]["kernel"] - ticks.get(guest, 0) * self.tick_cost
        counts["total"] = {f: counts["app"][f] + counts["back"][f] for f in VALUES}
        return counts, speed, blocks

    def _blocks(self):
        if not self.opts.profile:
            return None
        with tempfile.NamedTemporaryFile(prefix="multios-bench-") as f:
            return self.vm.profile(f.name)

    def measure(self, case):
        """All rounds of a case."""
        opts, rounds = self.opts, []
        # The first run reads the programs from the disk; it also tells how many messages a few
        # seconds are.
        n = self._long(case, self.run(case, case.short, opts.timeout)[1])
        for i in range(opts.rounds):
            start = time.monotonic()
            short, _, short_blocks = self.run(case, case.short, opts.timeout)
            long, speed, long_blocks = self.run(case, n, opts.timeout)
            per = {
                part: {f: (long[part][f] - short[part][f]) / (n - case.short) for f in VALUES}
                for part in long
            }
            rounds.append({"messages": [case.short, n], "per_message": per, "speed": speed})
            log(
                f"({self.lab.system}) {case.label}: round {i + 1}/{opts.rounds}: app {per['app']['work']:,.0f}"
                + (f", back {per['back']['work']:,.0f}" if self.back else "")
                + " kernel instructions per message"
                + f" without ticks ({per['total']['kernel']:,.0f} with), {n} messages, {time.monotonic() - start:.0f} s"
            )
        result = {
            part: {f: statistics.median(r["per_message"][part][f] for r in rounds) for f in VALUES}
            for part in rounds[0]["per_message"]
        }
        result.update(
            {k: statistics.median(r["speed"][k] for r in rounds) for k in rounds[0]["speed"]}
        )
        work = [r["per_message"]["app"]["work"] for r in rounds]
        result["spread"] = (
            (max(work) - min(work)) / result["app"]["work"] if result["app"]["work"] > 0 else None
        )
        result["rounds"] = rounds
        if opts.profile:
            result["profile"] = self._profile(short_blocks, long_blocks, n - case.short)
        return result

    def _long(self, case, speed):
        """Messages of the long run: those of opts.seconds at the speed of the short one, as far as it tells."""
        rate = (
            speed["rate"]
            if "rate" in speed
            else 1e6 / (speed["us"] * (1 if case.test in ("read_lat", "atomic_lat") else 2))
        )
        return int(min(max(rate * self.opts.seconds, 5 * case.short), case.limit))

    def _profile(self, short, long, messages):
        sides = {"front": self.app, "back": self.back} if self.back else {"front": self.app}
        out = {}
        for guest, vcpus in sides.items():
            sym = self.symbols[guest]
            out[guest] = profile_mod.lines(
                profile_mod.per_message(
                    profile_mod.by_function(long, vcpus, sym),
                    profile_mod.by_function(short, vcpus, sym),
                    messages,
                ),
                self.opts.top,
            )
        return out

    def versions(self):
        packages = "perftest libibverbs1 iperf3"
        text = self.lab.exec(
            "front",
            f"uname -r; dpkg-query -W -f '${{Package}} ${{Version}}\\n' {packages} 2>/dev/null || true",
        ).split("\n")
        peer = self.lab.exec("peer", "uname -r").strip()
        return {
            "kernel": text[0],
            "peer kernel": peer,
            "packages": ", ".join(t for t in text[1:] if t),
        }


def lab_options(opts, system, sockets):
    """The lab of a system; both are to be measured alike."""
    # On a busy host a guest finds its clocks at fault: it panics for a late timer, or leaves the
    # TSC and then enters the kernel for each look at the time.
    clocks = "tsc=reliable no_timer_check"
    return LabOptions(
        # Plugins count under TCG only.
        accel="tcg",
        timeout=600,
        plain=system == "a",
        front_kernel=opts.kernel,
        back_kernel=opts.back_kernel or opts.kernel,
        peer_kernel=opts.kernel,
        front_vcpus=opts.front_vcpus,
        back_vcpus=opts.back_vcpus,
        mtu=opts.mtu,
        front_append=clocks,
        back_append=clocks,
        peer_append=clocks,
        plugin=(f"{opts.plugin},socket={sockets}/vm",),
        peer_plugin=(f"{opts.plugin},socket={sockets}/peer",),
    )


def measure_system(opts, system, cases, results):
    with tempfile.TemporaryDirectory(prefix="mbench.") as sockets:
        lab = BenchLab(f"bench-{system}", system, log)
        vm = peer = None
        out = results["systems"].setdefault(system, {"cases": {}})
        try:
            lab.up(lab_options(opts, system, sockets))
            vm, peer = Counters(f"{sockets}/vm"), Counters(f"{sockets}/peer")
            s = System(lab, opts, vm, peer)
            out["versions"] = s.versions()
            for case in cases:
                try:
                    out["cases"][case.name] = s.measure(case)
                except (CaseError, LabError) as e:
                    log(f"({system}) {case.label}: FAILED: {e}")
                    out["cases"][case.name] = {"error": str(e)}
                    lab.exec("front", "pkill ib_; pkill iperf3; pkill perl; true", check=False)
                    lab.exec("peer", f"kill $(cat {WORK}/server.pid); true", check=False)
                write(opts, results, cases_of(results))
        finally:
            for c in (vm, peer):
                if c:
                    c.close()
            if not opts.keep:
                lab.down()


def cases_of(results):
    return [
        c for c in cases_mod.CASES if any(c.name in s["cases"] for s in results["systems"].values())
    ]


def write(opts, results, cases):
    os.makedirs(opts.results, exist_ok=True)
    with open(os.path.join(opts.results, "bench.json"), "w", encoding="utf-8") as f:
        json.dump(results, f, indent=1)
        f.write("\n")
    text = report.markdown(results, cases)
    for system, s in results["systems"].items():
        for name, r in s["cases"].items():
            for guest, lines in r.get("profile", {}).items():
                text += (
                    f"\n### ({system}) {name}: kernel instructions per message by function, {guest}\n\n"
                    + "\n".join(lines)
                    + "\n"
                )
    with open(os.path.join(opts.results, "bench.md"), "w", encoding="utf-8") as f:
        f.write(text)


def load_baseline():
    rows = {}
    with open(os.path.join(HERE, "baseline.tsv"), encoding="utf-8") as f:
        for line in f:
            if not line.startswith("#") and line.strip():
                v = line.rstrip("\n").split("\t")
                rows[v[0], int(v[1]), v[2]] = (int(v[3]), int(v[-1]))
    return rows


def conditions(opts):
    def say(*argv):
        try:
            return (
                subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10)
                .stdout.strip()
                .split("\n")[0]
            )
        except OSError:
            return ""

    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%F %R UTC"),
        "source": say("git", "-C", ROOT, "describe", "--always", "--dirty") or "unknown",
        "emulator": f"{say(opts.qemu, '--version')}, TCG, -cpu max",
        "host": f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} at the start",
        "vCPUs": f"application {opts.front_vcpus} in (a) and (b); back {opts.back_vcpus} in (b) only",
        "method": f"median of {opts.rounds} rounds, long run minus short run, long runs of about {opts.seconds:g} s",
    }


def parse_args():
    p = argparse.ArgumentParser(prog="scripts/bench", add_help=False)
    p.add_argument("--kernel", required=True)
    p.add_argument("--back-kernel")
    p.add_argument("--mtu", type=int, required=True)
    p.add_argument("--front-vcpus", type=int, required=True)
    p.add_argument("--back-vcpus", type=int, required=True)
    p.add_argument("--cases", default="")
    p.add_argument("--systems", default="ab")
    p.add_argument("--rounds", type=int, required=True)
    p.add_argument("--seconds", type=float, required=True)
    p.add_argument("--timeout", type=float, default=180)
    p.add_argument("--profile", action="store_true")
    p.add_argument("--top", type=int, default=40)
    p.add_argument("--check-baseline", action="store_true")
    p.add_argument("--keep", action="store_true")
    p.add_argument("--results", required=True)
    p.add_argument("--plugin", required=True)
    p.add_argument("--mark", required=True)
    p.add_argument("--qemu", required=True)
    return p.parse_args()


def main():
    opts = parse_args()
    interrupt.install()
    cases = cases_mod.select(opts.cases.split(",")) if opts.cases else cases_mod.CASES
    results = {
        "kernel": opts.kernel,
        "mtu": opts.mtu,
        "conditions": conditions(opts),
        "systems": {},
    }
    start = time.monotonic()
    broken = []
    for system in opts.systems:
        try:
            measure_system(opts, system, cases, results)
        except (LabError, OSError, ValueError) as e:
            log(f"({system}): {e}")
            broken.append(f"({system}) {e}".split("\n", maxsplit=1)[0])
    for system, s in results["systems"].items():
        if "versions" in s:
            results["conditions"][f"guests of ({system})"] = "; ".join(
                f"{k} {v}" for k, v in s["versions"].items()
            )
    write(opts, results, cases)
    if any(r for s in results["systems"].values() for r in s["cases"].values()):
        print(report.markdown(results, cases))
    if opts.check_baseline and any(
        "app" in r for r in results["systems"].get("a", {"cases": {}})["cases"].values()
    ):
        lines, worst = report.baseline(results, cases, load_baseline())
        print("\n".join(lines))
        print(f"\nlargest difference {worst * 100:.1f} %\n")
    bad = report.failures(results) + broken
    where = os.path.relpath(opts.results)
    if bad:
        log(
            f"FAILED: {len(bad)} of {len(cases) * len(opts.systems)} measurements: {bad[0]} (all in {where}/bench.md)"
        )
        return 1
    log(
        f"done: {len(cases)} cases in {(time.monotonic() - start) / 60:.0f} min; results in {where}/bench.md and bench.json"
    )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
