# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmark's cases: what runs on the peer, what in the measured guest, and how to read what it prints."""

import dataclasses
import json
import re

PORT = 18515

# A TCP ping-pong; perl-base is in every Debian system.
TCP_LAT_SERVER = (
    "use Socket; socket(L,PF_INET,SOCK_STREAM,0); setsockopt(L,SOL_SOCKET,SO_REUSEADDR,1);"
    "bind(L,sockaddr_in({port},INADDR_ANY)) or die qq(bind: $!\\n); listen(L,1); accept(S,L);"
    "setsockopt(S,IPPROTO_TCP,TCP_NODELAY,1); while (sysread(S,$b,{size})) {{ syswrite(S,$b) }}"
)
TCP_LAT_CLIENT = (
    "use Socket; use Time::HiRes qw(time); socket(S,PF_INET,SOCK_STREAM,0);"
    "connect(S,sockaddr_in({port},inet_aton(q({host})))) or die qq(connect: $!\\n);"
    "setsockopt(S,IPPROTO_TCP,TCP_NODELAY,1); $m=q(x)x{size}; $t=time;"
    "for (1..{n}) {{ syswrite(S,$m); $g=0; while ($g<{size}) {{ $r=sysread(S,$b,{size}) or die qq(closed\\n); $g+=$r }} }}"
    "printf qq(round_trip_us %.2f\\n),(time-$t)*1e6/{n}"
)


class CaseError(Exception):
    """The programs of a case failed; the text says how."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One row of the table. A message is a verb (bw), a round trip (lat) or `size` bytes (tcp_bw)."""

    test: str  # perftest's name without ib_, or tcp_bw, tcp_lat
    size: int
    short: int  # messages of the short run
    limit: int  # at most as many in the long run
    events: bool = (
        False  # perftest -e: sleep for completions, as a program that shares its CPU does
    )

    @property
    def name(self):
        return f"{self.test}:{self.size}"

    @property
    def label(self):
        return f"{self.test} {self.size}" + (" (-e)" if self.events else "")

    @property
    def latency(self):
        return self.test.endswith("_lat")

    def _perftest(self, n, device):
        # A busy host delays packets by more than perftest's default transport timer of 67 ms: -u 18
        # is 1 s.
        args = [f"ib_{self.test}", "-d", device, "-F", "-p", str(PORT), "-n", str(n), "-u", "18"]
        if not self.test.startswith("atomic"):
            args += ["-s", str(self.size)]
        if self.events:
            args.append("-e")
        return args

    def server(self, n, device):
        """argv for the peer."""
        if self.test == "tcp_bw":
            return ["iperf3", "-s", "-1", "-p", str(PORT)]
        if self.test == "tcp_lat":
            return ["perl", "-e", TCP_LAT_SERVER.format(port=PORT, size=self.size)]
        return self._perftest(n, device)

    def client(self, n, device, host):
        """argv for the measured guest."""
        if self.test == "tcp_bw":
            return ["iperf3", "-c", host, "-p", str(PORT), "-n", str(n * self.size), "-J"]
        if self.test == "tcp_lat":
            return ["perl", "-e", TCP_LAT_CLIENT.format(port=PORT, host=host, size=self.size, n=n)]
        return self._perftest(n, device) + [host]

    def parse(self, out):
        """What the client says of speed: {"mbps", "rate"} or {"us"}; also {"path_mtu"} where it tells."""
        if self.test == "tcp_bw":
            return self._parse_iperf(out)
        if self.test == "tcp_lat":
            m = re.search(r"round_trip_us ([\d.]+)", out)
            if not m:
                raise CaseError("the TCP ping-pong printed no time")
            return {"us": float(m[1]) / 2}
        return self._parse_perftest(out)

    def _parse_iperf(self, out):
        try:
            end = json.loads(out[out.index("{") : out.rindex("}") + 1])["end"]
            mbps = end["sum_received"]["bits_per_second"] / 8e6
        except (ValueError, KeyError) as e:
            raise CaseError("iperf3 printed no summary") from e
        return {"mbps": mbps, "rate": mbps * 1e6 / self.size}

    def _parse_perftest(self, out):
        row = re.findall(r"^ (\d+) +(\d+) +([\d.].*)$", out, re.M)
        if not row:
            raise CaseError("perftest printed no result line")
        values = [float(v) for v in row[-1][2].split()]
        mtu = re.search(r"^ Mtu +: (\d+)", out, re.M)
        result = {"path_mtu": int(mtu[1])} if mtu else {}
        if self.latency:
            # t_min, t_max, t_typical, t_avg, ...
            result["us"] = values[2]
        else:
            # peak, average (MB/s in units of 2^20), message rate (Mpps)
            result["mbps"] = values[1] * 1.048576
            result["rate"] = values[2] * 1e6
        return result


CASES = [
    Case("write_bw", 64, 500, 40000),
    Case("write_bw", 4096, 500, 20000),
    Case("write_bw", 65536, 100, 8000),
    Case("write_bw", 1048576, 8, 1000),
    Case("send_bw", 4096, 500, 20000, events=True),
    Case("read_bw", 4096, 500, 20000, events=True),
    Case("write_lat", 64, 150, 20000),
    Case("send_lat", 64, 150, 20000, events=True),
    Case("read_lat", 64, 150, 20000, events=True),
    Case("atomic_lat", 8, 150, 20000, events=True),
    Case("tcp_bw", 1048576, 16, 2000),
    Case("tcp_lat", 64, 150, 20000),
]
QUICK = ("write_bw:64", "write_bw:65536", "read_bw:4096", "send_lat:64", "tcp_bw:1048576")


def select(names):
    """The cases of these names; raises KeyError with the first unknown one."""
    known = {c.name: c for c in CASES}
    return [known[n.replace(" ", ":")] for n in names]
