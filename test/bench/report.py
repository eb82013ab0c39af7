# SPDX-License-Identifier: Apache-2.0
"""The table, the bars, and the same as markdown."""
import platform
import statistics
import subprocess

from cases import RATE_REACHED


def percentile(values, share):
    return values[min(len(values) - 1, int(len(values) * share))] if values else None


class Results:
    def __init__(self):
        self.samples = {}  # (case name, proxy name) -> [Sample], one a round
        self.memory = {}   # (what, proxy name) -> bytes each

    def add(self, case, proxy, sample):
        self.samples.setdefault((case.name, proxy.name), []).append(sample)

    def of(self, case_name, proxy_name):
        return self.samples.get((case_name, proxy_name), [])

    def median(self, case_name, proxy_name, field):
        values = [getattr(s, field) for s in self.of(case_name, proxy_name)]
        values = [v for v in values if v is not None]
        return statistics.median(values) if values else None

    def latency(self, case_name, proxy_name, share):
        pooled = sorted(v for s in self.of(case_name, proxy_name) for v in s.latency_us)
        return percentile(pooled, share)

    def cpu_ratio(self, case_name, proxy_name, other_name, other_case=None):
        """Median over the rounds of the ratio inside one round: a machine that drifts drifts for
        both."""
        ours = self.of(case_name, proxy_name)
        theirs = self.of(other_case or case_name, other_name)
        pairs = [a.cpu_us / b.cpu_us for a, b in zip(ours, theirs) if a.cpu_us and b.cpu_us]
        return statistics.median(pairs) if pairs else None


def show(value, digits=0):
    return "-" if value is None else f"{value:.{digits}f}"


HEADER = ["case", "proxy", "answers/s", "p50 us", "p99 us", "CPU us", "RSS MiB", "x raw", "x nginx"]


def table(results, cases, proxies):
    rows = []
    for case in cases:
        for proxy in proxies:
            if not results.of(case.name, proxy.name):
                continue
            rate = results.median(case.name, proxy.name, "rate")
            mark = "" if rate >= case.rate * RATE_REACHED or case.group == "stream" else " (!)"
            rss = results.median(case.name, proxy.name, "rss_kib")
            counted = proxy.name != "direct"
            rows.append([
                case.name, proxy.name, show(rate) + mark,
                show(results.latency(case.name, proxy.name, 0.50)),
                show(results.latency(case.name, proxy.name, 0.99)),
                show(results.median(case.name, proxy.name, "cpu_us"), 2),
                show(rss / 1024, 1) if counted else "-",
                show(results.cpu_ratio(case.name, proxy.name, "raw"), 2) if counted else "-",
                show(results.cpu_ratio(case.name, proxy.name, "nginx"), 2) if counted else "-"])
    return rows


def memory_rows(results):
    units = {"idle": "idle connection", "hold": "open stream"}
    return [[units[what], proxy, f"{each / 1024:.2f}"]
            for (what, proxy), each in sorted(results.memory.items())]


class Bars:
    """name, value, limit; a value that was not measured is a missed bar."""

    def __init__(self):
        self.lines = []

    def add(self, name, value, limit, digits=2):
        verdict = "ok" if value is not None and value <= limit else "missed"
        self.lines.append(f"bar {name} {show(value, digits)} {limit} {verdict}")

    def at_least(self, name, value, limit, digits=2):
        verdict = "ok" if value is not None and value >= limit else "missed"
        self.lines.append(f"bar {name} {show(value, digits)} >={limit} {verdict}")

    def missed(self):
        return [line for line in self.lines if line.endswith("missed")]


def bars(results, cases, only):
    made = Bars()
    for case in cases:
        short = case.target.rsplit("/", 1)[1] if case.group == "plain" else ""
        if case.group == "plain":
            ratio = results.cpu_ratio(case.name, "tandem", "nginx")
            made.add(f"plain-{short}B-c{case.connections}-cpu-x-nginx", ratio, 0.95)
        elif case.group == "chat":
            kib = case.name.split()[1]
            reference = f"plain {kib} KiB at chat's rate"
            ratio = results.cpu_ratio(case.name, "tandem", "nginx", reference)
            made.add(f"chat-{kib}KiB-cpu-x-nginx-plain", ratio, 1.4)
        elif case.group in ("tls", "h2"):
            name = "h2" if case.group == "h2" else "tls-keepalive"
            made.add(f"{name}-{case.target.rsplit('/', 1)[1]}B-cpu-x-nginx",
                     results.cpu_ratio(case.name, "tandem", "nginx"), 1.0)
        elif case.group == "handshake":
            # Handshakes a second of a core are the inverse of the CPU that each takes.
            ratio = results.cpu_ratio(case.name, "nginx", "tandem")
            made.at_least("handshakes-per-core-x-nginx", ratio, 0.95)
        elif case.group == "ws":
            made.add("websocket-echo-cpu-x-nginx",
                     results.cpu_ratio(case.name, "tandem", "nginx"), 1.0)
        elif case.group == "stream":
            ours = results.latency(case.name, "tandem", 0.5)
            direct = results.latency(case.name, "direct", 0.5)
            known = ours is not None and direct is not None
            made.add("stream-first-token-ms-above-direct",
                     (ours - direct) / 1000 if known else None, 0.2, 3)
    full = [c for c in cases if c.group == "plain" and c.connections == 512]
    if full:
        peaks = [s.rss_kib for c in full for s in results.of(c.name, "tandem")]
        made.add("rss-MiB-512-connections", max(peaks) / 1024 if peaks else None, 30, 1)
    if only in (None, "memory"):
        for what, name, limit in (("idle", "idle-connection-KiB", 2), ("hold", "open-stream-KiB", 10)):
            each = results.memory.get((what, "tandem"))
            made.add(name, each / 1024 if each is not None else None, limit)
    return made


def aligned(header, rows):
    widths = [max(len(str(row[i])) for row in [header] + rows) for i in range(len(header))]
    lines = []
    for row in [header] + rows:
        cells = [cell.ljust(width) if i < 2 else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown(header, rows):
    lines = ["| " + " | ".join(header) + " |",
             "|" + "|".join("---" if i < 2 else "---:" for i in range(len(header))) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def first_line(argv):
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10)
    except OSError:
        return None
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines else None


def machine_lines():
    model = "unknown CPU"
    with open("/proc/cpuinfo") as info:
        for line in info:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    lines = [f"{model}, Linux {platform.release()}"]
    for argv in (["nginx", "-v"], ["haproxy", "-v"], ["h2load", "--version"]):
        line = first_line(argv)
        if line:
            lines.append(line)
    return lines
