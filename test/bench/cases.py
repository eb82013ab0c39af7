# SPDX-License-Identifier: Apache-2.0
"""What is measured, and how one measurement is made."""
import array
import json
import os
import subprocess
import time

from machine import cpu_ns, http_get, rss_kib
from proxies import LOAD_CORE, MODEL, PLAIN

RATES = {1: 4000, 32: 20000, 512: 20000}  # requests a second in all, by connections
CHAT_RATE, CHAT_CONNECTIONS = 10000, 32
STREAM_RATE = 200
# 10 events (role, 6 words, finish, usage, [DONE]) are 9 pauses of 71 ms: 200 streams a second that
# last 0.64 s are 128 open ones.
STREAM_MODEL = "demo-slow-stream-71"
# HTTP over TLS 1.3: kept connections by HTTP/1.1 and by HTTP/2, and a new connection each request.
TLS_RATE, TLS_CONNECTIONS = 10000, 32
H2_STREAMS = 8
HANDSHAKE_RATE = 600
WS_RATE, WS_CONNECTIONS = 20000, 32
IDLE_CONNECTIONS, OPEN_STREAMS = 10000, 2000
SETTLE_SECONDS = 0.3  # from the last connection to the window, and from the window to the end
RATE_REACHED = 0.97   # below this share of the asked rate a row is marked


class Case:
    def __init__(self, group, name, kind, target, connections, rate, body=None, http="1.1"):
        self.group, self.name, self.kind, self.target = group, name, kind, target
        self.connections, self.rate, self.body, self.http = connections, rate, body, http


def size_name(size):
    return f"{size // 1024} KiB" if size else "0 B"


def make_cases(folder, only):
    """Cases in the order of the table; bodies are written to folder."""
    cases = []
    for size in (0, 1024, 16384) if only in (None, "plain") else ():
        for connections, rate in RATES.items():
            cases.append(Case("plain", f"plain {size_name(size)}, {connections} conn", "plain",
                              f"/bytes/{size}", connections, rate))
    for kib in (1, 16) if only in (None, "chat") else ():
        # The bar of chat compares with plain HTTP at chat's own rate and connections.
        cases.append(Case("reference", f"plain {kib} KiB at chat's rate", "plain",
                          f"/bytes/{kib * 1024}", CHAT_CONNECTIONS, CHAT_RATE))
        body = chat_body(f"demo-size-{kib}", kib * 1024)
        path = write_body(folder, f"chat-{kib}.json", body)
        cases.append(Case("chat", f"chat {kib} KiB", "chat", "/v1/chat/completions",
                          CHAT_CONNECTIONS, CHAT_RATE, path))
    for size in (1024, 16384) if only in (None, "tls") else ():
        cases.append(Case("tls", f"TLS, {size_name(size)}", "tls", f"/bytes/{size}",
                          TLS_CONNECTIONS, TLS_RATE))
    for size in (1024, 16384) if only in (None, "h2") else ():
        cases.append(Case("h2", f"HTTP/2, {size_name(size)}", "tls", f"/bytes/{size}",
                          TLS_CONNECTIONS, TLS_RATE, http="2"))
    if only in (None, "handshake"):
        cases.append(Case("handshake", "TLS handshake and 0 B", "tls", "/bytes/0", 0,
                          HANDSHAKE_RATE))
    if only in (None, "ws"):
        cases.append(Case("ws", "WebSocket echo", "ws", "/ws", WS_CONNECTIONS, WS_RATE))
    if only in (None, "stream"):
        body = {"model": STREAM_MODEL, "stream": True, "stream_options": {"include_usage": True},
                "messages": [{"role": "user", "content": "tell me something slowly"}]}
        path = write_body(folder, "stream.json", json.dumps(body))
        cases.append(Case("stream", "128 streams, 200/s", "chat", None, 128, STREAM_RATE, path))
    return cases


def chat_body(model, size):
    """A request of about size bytes."""
    text = ("the quick brown fox jumps over the lazy dog and then runs home. " * (size // 64))
    frame = json.dumps({"model": model, "messages": [{"role": "user", "content": ""}]})
    return json.dumps({"model": model,
                       "messages": [{"role": "user", "content": text[:size - len(frame)]}]})


def write_body(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w") as out:
        out.write(text)
    return path


class Sample:
    """One measurement of one proxy: a round of a case."""

    def __init__(self):
        self.cpu_us = None  # of the proxy, per answer, inside the window
        self.rate = 0.0     # answers a second inside the window
        self.latency_us = array.array("I")
        self.rss_kib = 0
        self.problem = None
        self.answers = 0


def upstream_count(env, kind):
    port = env.port(MODEL if kind == "chat" else PLAIN)
    return int(http_get(port, "/__count", timeout=20)[2])


def window(env, proxy, kind, seconds):
    """(answers, cpu ns, seconds) between two looks at upstream and proxy."""
    looks = []
    for pause in (seconds, 0):
        count = upstream_count(env, kind)
        looks.append((count, cpu_ns(proxy.pids), time.monotonic()))
        time.sleep(pause)
    (count0, cpu0, at0), (count1, cpu1, at1) = looks
    return count1 - count0, cpu1 - cpu0, at1 - at0


def pinned(argv):
    return ["taskset", "-c", str(LOAD_CORE)] + [str(a) for a in argv]


def opening_ms(connections):
    """Milliseconds between two new connections. h2load looks at its rate every 10 ms: connections
    opened together would fire in step, and 7 ms apart reach every phase of the 10."""
    return 7 if connections <= 64 else 1


def load_plan(case, seconds):
    """(flags of h2load, requests in all)"""
    flags = ["--h1"] if case.http == "1.1" else ["-m", H2_STREAMS]
    if not case.connections:  # a connection for each request
        requests = round(case.rate * seconds)
        return flags + ["-c", requests, "-r", case.rate // 100, "--rate-period=10ms"], requests
    each = case.rate / case.connections
    requests = case.connections * round(seconds * each)
    return flags + ["-c", case.connections, "-r", 1,
                    f"--rate-period={opening_ms(case.connections)}ms", f"--rps={each}"], requests


def measure_load(env, proxy, case, seconds):
    """The same open-loop rate for every proxy, by h2load."""
    ramp = case.connections * opening_ms(case.connections) / 1000
    plan, requests = load_plan(case, ramp + seconds + 2 * SETTLE_SECONDS)
    log = os.path.join(env.folder, "h2load.log")
    if os.path.exists(log):
        os.unlink(log)  # h2load appends
    argv = ["h2load", *plan, "-n", requests, f"--log-file={log}"]
    if case.body:
        argv += ["-d", case.body, "-H", "content-type: application/json"]
    scheme = "https" if case.kind == "tls" else "http"
    argv.append(f"{scheme}://127.0.0.1:{proxy.port(case.kind)}{case.target}")

    sample = Sample()
    before = upstream_count(env, case.kind)
    load = subprocess.Popen(pinned(argv), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True)
    try:
        time.sleep(ramp + SETTLE_SECONDS)
        begin = time.time()
        answers, cpu, took = window(env, proxy, case.kind, seconds)
        end = time.time()
        sample.rss_kib = rss_kib(proxy.pids)
        output = load.communicate(timeout=seconds * 4 + 60)[0]
    finally:
        if load.poll() is None:
            load.kill()
            load.wait(5)
    sample.answers = upstream_count(env, case.kind) - before
    sample.rate = answers / took
    sample.cpu_us = cpu / 1000 / answers if answers and proxy.pids else None
    succeeded, total = read_log(log, begin * 1e6, end * 1e6, sample)
    if succeeded != requests:
        sample.problem = f"{succeeded} of {requests} answered with 200 ({total} logged): " + " ".join(
            line for line in output.splitlines() if line.startswith(("requests:", "status codes:")))
    elif sample.answers != requests:
        sample.problem = f"the upstream answered {sample.answers}, the load saw {requests}"
    return sample


def read_log(path, begin_us, end_us, sample):
    succeeded = total = 0
    with open(path) as log:
        for line in log:
            start, status, latency = line.split("\t")[:3]
            total += 1
            if status != "200":
                continue
            succeeded += 1
            if begin_us <= int(start) <= end_us:
                sample.latency_us.append(int(latency))
    return succeeded, total


def measure_streams(env, proxy, case, seconds):
    """Time to first token, from when each stream was due."""
    seconds += 2  # until 128 are open
    samples = os.path.join(env.folder, "ttft.txt")
    argv = [env.program("openloop"), "stream", proxy.port("chat"), case.body, STREAM_RATE, seconds,
            samples]
    sample = Sample()
    before, cpu_before = upstream_count(env, "chat"), cpu_ns(proxy.pids)
    done = subprocess.run(pinned(argv), capture_output=True, text=True, timeout=seconds + 60)
    cpu = cpu_ns(proxy.pids) - cpu_before
    sample.rss_kib = rss_kib(proxy.pids)
    result = json.loads(done.stdout) if done.stdout else {"ok": 0, "failed": 0, "streams": 0}
    sample.answers = upstream_count(env, "chat") - before
    sample.rate = result["ok"] / seconds
    sample.cpu_us = cpu / 1000 / result["ok"] if result["ok"] and proxy.pids else None
    with open(samples) as times:
        first = STREAM_RATE  # the first second is warm-up
        sample.latency_us.extend(int(line) for line in times.read().split()[first:])
    if result["failed"] or result["ok"] != STREAM_RATE * seconds:
        sample.problem = f"streams: {result} {done.stderr.strip()}"
    elif sample.answers != result["ok"]:
        sample.problem = f"the upstream ended {sample.answers} streams, the load {result['ok']}"
    return sample


def measure_echoes(env, proxy, case, seconds):
    """Messages on open WebSockets; the load's own count of echoes is the upstream's."""
    samples = os.path.join(env.folder, "echo.txt")
    whole = seconds + 2 * round(SETTLE_SECONDS + 0.5)
    argv = [env.program("wsload"), "run", proxy.port("ws"), case.connections, case.rate, whole,
            samples]
    sample = Sample()
    load = subprocess.Popen(pinned(argv), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        ready = load.stdout.readline().strip()
        time.sleep(SETTLE_SECONDS)
        cpu, began = cpu_ns(proxy.pids), time.monotonic()
        time.sleep(seconds)
        cpu, took = cpu_ns(proxy.pids) - cpu, time.monotonic() - began
        sample.rss_kib = rss_kib(proxy.pids)
        output, errors = load.communicate(timeout=whole + 60)
    finally:
        if load.poll() is None:
            load.kill()
            load.wait(5)
    if ready != "ready" or load.returncode != 0:
        sample.problem = f"echoes: {ready} {output.strip()} {errors.strip()}"
        return sample
    sample.rate = case.rate
    sample.answers = case.connections  # one line of the log for each of them
    sample.cpu_us = cpu / 1000 / (case.rate * took) if proxy.pids else None
    with open(samples) as times:
        sample.latency_us.extend(int(line) for line in times.read().split()[case.rate // 2:])
    return sample


def measure(env, proxy, case, seconds):
    env.children.check()
    if case.group == "ws":
        return measure_echoes(env, proxy, case, seconds)
    if case.group == "stream":
        return measure_streams(env, proxy, case, seconds)
    return measure_load(env, proxy, case, seconds)


# --- memory ---------------------------------------------------------------------------------------

def warm_up(env, proxy, count=2000):
    """Some requests, so that what is allocated once is not taken for the price of a connection."""
    argv = ["h2load", "--h1", "-c", 32, "-n", count,
            f"http://127.0.0.1:{proxy.port('plain')}/bytes/1024"]
    subprocess.run(pinned(argv), capture_output=True, timeout=60, check=True)


def measure_held(env, proxy, what, count):
    """(bytes of RSS for each held connection, problem). The proxy was just started."""
    if what == "idle":
        argv = ["idle", proxy.port("plain"), "/bytes/1024", count, 2000]
    else:
        body = json.dumps({"model": "demo-hold-600000", "stream": True,
                           "messages": [{"role": "user", "content": "hold"}]})
        argv = ["hold", proxy.port("chat"), write_body(env.folder, "hold.json", body), count, 1000]
    warm_up(env, proxy)
    time.sleep(0.5)
    before = rss_kib(proxy.pids)
    load = subprocess.Popen(pinned([env.program("openloop")] + argv), stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)
    try:
        words = load.stdout.readline().split()
        time.sleep(0.5)
        after = rss_kib(proxy.pids)
        load.stdin.close()
        load.wait(20)
    finally:
        if load.poll() is None:
            load.kill()
            load.wait(5)
    problem = None
    if words != ["ready", str(count), "0"] or load.returncode != 0:
        problem = f"{what}: wanted {count} held, got {' '.join(words)}, exit {load.returncode}"
    return (after - before) * 1024 / count, problem
