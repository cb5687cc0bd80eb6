# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables of the benchmark, as markdown. Values are medians over the rounds; a missing one is shown as '-'."""


def number(v, digits=0):
    return "-" if v is None else f"{v:,.{digits}f}"


def ratio(b, a):
    return "-" if not a or b is None else f"{b / a:.2f}"


def speed(v):
    """A value with about three digits."""
    return "-" if v is None else number(v, 0 if v >= 100 else 1 if v >= 10 else 2)


def table(head, rows):
    widths = [max(len(str(r[i])) for r in [head, *rows]) for i in range(len(head))]

    def line(cells):
        pad = [
            str(c).ljust(w) if i == 0 else str(c).rjust(w)
            for i, (c, w) in enumerate(zip(cells, widths))
        ]
        return "| " + " | ".join(pad) + " |"

    rule = (
        "| "
        + " | ".join("-" * w if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(widths))
        + " |"
    )
    return [line(head), rule, *(line(r) for r in rows)]


def get(results, system, case, *path):
    value = results["systems"].get(system, {}).get("cases", {}).get(case)
    for key in path:
        if value is None:
            return None
        value = value.get(key)
    return value


def instructions(results, cases):
    rows = []
    for c in cases:
        a = get(results, "a", c.name, "app", "work")
        front, back, total = (
            get(results, "b", c.name, part, "work") for part in ("app", "back", "total")
        )
        rows.append(
            [
                c.label,
                number(a),
                number(front),
                ratio(front, a),
                number(back),
                number(total),
                ratio(total, a),
                number(get(results, "a", c.name, "peer", "kernel")),
                number(get(results, "b", c.name, "peer", "kernel")),
            ]
        )
    return table(
        [
            "kernel instructions per message",
            "(a) app vCPUs",
            "(b) app vCPUs",
            "(b)/(a)",
            "(b) back vCPUs",
            "(b) total",
            "total (b)/(a)",
            "peer of (a)",
            "peer of (b)",
        ],
        rows,
    )


def memory(results, cases):
    rows = []
    for c in cases:
        row = [c.label]
        for field in ("access", "string"):
            a, app = get(results, "a", c.name, "app", field), get(
                results, "b", c.name, "app", field
            )
            row += [
                number(a),
                number(app),
                ratio(app, a),
                number(get(results, "b", c.name, "back", field)),
            ]
        rows.append(row)
    return table(
        [
            "per message",
            "accesses (a) app",
            "(b) app",
            "(b)/(a)",
            "(b) back",
            "string bytes (a) app",
            "(b) app",
            "(b)/(a)",
            "(b) back",
        ],
        rows,
    )


def speeds(results, cases):
    rows = []
    for c in cases:
        if c.latency:
            key, unit, digits = "us", "us", 1
        elif c.size <= 4096:
            key, unit, digits = "rate", "messages/s", 0
        else:
            key, unit, digits = "mbps", "MB/s", 2
        a, b = get(results, "a", c.name, key), get(results, "b", c.name, key)
        mb = [get(results, s, c.name, "mbps") for s in "ab"]
        rows.append(
            [
                c.label,
                unit,
                number(a, digits),
                number(b, digits),
                ratio(b, a),
                speed(mb[0]),
                speed(mb[1]),
            ]
        )
    return table(
        ["speed (indicative)", "unit", "(a)", "(b)", "(b)/(a)", "(a) MB/s", "(b) MB/s"], rows
    )


def baseline(results, cases, rows):
    """Ours against the reference table: {(kernel, mtu, case): (client, server)}. The reference has its ticks in it."""
    out, worst = [], 0.0
    for c in cases:
        ref = rows.get((results["kernel"], results["mtu"], c.name))
        if not ref:
            continue
        app, ticks = get(results, "a", c.name, "app", "kernel"), get(
            results, "a", c.name, "app", "work"
        )
        peer = get(results, "a", c.name, "peer", "kernel")
        row = [c.label, number(ref[0])]
        for ours, theirs in ((ticks, ref[0]), (app, ref[0]), (peer, ref[1])):
            row += [number(ours), f"{(ours / theirs - 1) * 100:+.1f} %" if ours else "-"]
        row.insert(6, number(ref[1]))
        if app:
            worst = max(worst, abs(app / ref[0] - 1))
        out.append(row)
    head = [
        "kernel instructions per message",
        "client, reference",
        "here without ticks",
        "difference",
        "here",
        "difference",
        "server, reference",
        "here",
        "difference",
    ]
    return table(head, out), worst


def failures(results):
    return [
        f"({s}) {case}: {r['error']}"
        for s, sys in results["systems"].items()
        for case, r in sys["cases"].items()
        if "error" in r
    ]


def markdown(results, cases):
    cond = results["conditions"]
    out = [f"## multios bench: kernel {results['kernel']}, link MTU {results['mtu']}", ""]
    out += [f"- {k}: {v}" for k, v in cond.items()]
    out += [
        "",
        "(a) ordinary VM, stock rdma_rxe on virtio-net. (b) front OS of a multios VM. The same stock rxe peer for both.",
        "A message is a verb, in _lat cases a round trip, in tcp_bw 1 MiB. Timer ticks, whose number depends on the speed of the "
        "host, are not counted, except at the peer.",
        "",
    ]
    out += instructions(results, cases) + [""]
    out += memory(results, cases) + [""]
    out += speeds(results, cases) + [""]
    bad = failures(results)
    if bad:
        out += ["Failed cases:", ""] + [f"- {f}" for f in bad] + [""]
    return "\n".join(out)
