# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel instructions by function and by part, from the block counts of the plugin and a guest's /proc/kallsyms."""

import bisect
import collections
import re

# By name; everything else by module, or by its place: the functions of net/ are next to each other
# in a stock kernel.
CRC = re.compile(r"^(__)?crc32")
COPY = re.compile(
    r"^(__)?(memcpy|memmove|memset|copy_user|rep_movs|rep_stos|_copy_(to|from)_(user|iter)|copy_page|clear_page|clear_user"
    r"|skb_copy_bits|__skb_datagram_iter|csum_partial_copy|simple_copy_to_iter|rxe_mr_copy)"
)


class Symbols:
    """A guest's kallsyms."""

    def __init__(self, text):
        table = []
        for line in text.splitlines():
            f = line.split()
            if len(f) >= 3 and f[1] in "tTwW":
                table.append((int(f[0], 16), f[2], f[3].strip("[]") if len(f) > 3 else ""))
        table.sort()
        self.addrs = [t[0] for t in table]
        self.table = table
        core = {t[1]: t[0] for t in table if not t[2]}
        net = [
            core[n]
            for n in (
                "sock_release",
                "__alloc_skb",
                "dev_queue_xmit_nit",
                "netif_receive_skb",
                "ip_rcv",
                "tcp_sendmsg",
                "udp_sendmsg",
                "ip6_output",
                "ipv6_rcv",
                "unix_stream_sendmsg",
                "packet_rcv",
                "devm_free_netdev",
                "sock_alloc_file",
                "switchdev_deferred_process",
                "__sys_sendto",
            )
            if n in core
        ]
        self.net = (min(net), max(net)) if net else (0, 0)

    def find(self, addr):
        i = bisect.bisect_right(self.addrs, addr) - 1
        return self.table[i] if i >= 0 else (0, "?", "")

    def part(self, sym):
        addr, name, module = sym
        if CRC.search(name) or module.startswith(("crc32", "libcrc32")):
            return "crc"
        if COPY.match(name):
            return "copies"
        if module:
            return module
        return "net" if self.net[0] <= addr <= self.net[1] else "kernel"


def by_function(blocks, vcpus, symbols):
    """Counter {(part, function): instructions} of these vCPUs."""
    result = collections.Counter()
    for (vcpu, addr), n in blocks.items():
        if vcpu in vcpus:
            sym = symbols.find(addr)
            result[symbols.part(sym), sym[1]] += n
    return result


def subtract(after, before):
    return {k: n - before.get(k, 0) for k, n in after.items() if n != before.get(k, 0)}


def per_message(long, short, messages):
    """{(part, function): instructions per message}, what rounds to zero left out."""
    result = {k: (long.get(k, 0) - short.get(k, 0)) / messages for k in set(long) | set(short)}
    return {k: v for k, v in result.items() if abs(v) >= 1}


def lines(functions, top):
    """Markdown: parts, then the largest functions."""
    parts = collections.Counter()
    for (part, _), n in functions.items():
        parts[part] += n
    out = ["parts: " + ", ".join(f"{p} {n:,.0f}" for p, n in parts.most_common(12) if n >= 1), ""]
    for (part, name), n in sorted(functions.items(), key=lambda kv: -kv[1])[:top]:
        out.append(f"    {n:12,.0f}  {part:14} {name}")
    return out
