# SPDX-License-Identifier: Apache-2.0
"""What the bench knows of the machine: ports, processes, CPU time, memory."""
import atexit
import http.client
import os
import resource
import signal
import socket
import ssl
import subprocess
import time

CPUCLOCK_SCHED = 2


def listening_ports():
    """Ports that anything listens on, by any address. A bind() would not show it: SO_REUSEPORT."""
    ports = set()
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(name) as table:
                rows = table.read().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == "0A":  # TCP_LISTEN
                ports.add(int(fields[1].rsplit(":", 1)[1], 16))
    return ports


def raise_file_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def family(pid):
    """pid and all its descendants."""
    children = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as stat:
                parent = int(stat.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo.extend(children.get(one, []))
    return found


def _schedstat_ns(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat") as stat:
                total += int(stat.read().split()[0])
        except OSError:
            continue
    return total


def cpu_ns(pids):
    """On-CPU time: the larger of the threads' schedstat and the process clock, which knows the
    threads that ended."""
    total = 0
    for pid in pids:
        try:
            clock = time.clock_gettime_ns((~pid << 3) | CPUCLOCK_SCHED)
            total += max(clock, _schedstat_ns(pid))
        except OSError:
            continue
    return total


def rss_kib(pids):
    """Of the largest process: a master that only waits is no cost of a connection."""
    largest = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/status") as status:
                for line in status:
                    if line.startswith("VmRSS:"):
                        largest = max(largest, int(line.split()[1]))
        except OSError:
            continue
    return largest


def http_get(port, target, method="GET", body=None, timeout=5, tls=False):
    """(status, headers in lower case, body)"""
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        conn = http.client.HTTPSConnection("localhost", port, timeout=timeout, context=context)
    else:
        conn = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        conn.request(method, target, body)
        answer = conn.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, headers, answer.read()
    finally:
        conn.close()


def wait_for(what, check, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if check():
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.05)
    raise RuntimeError(f"{what} did not happen within {seconds} s")


class Children:
    """The processes that the bench started, and only those; ended by pid."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []
        atexit.register(self.stop_all)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number, _frame):
        raise SystemExit(128 + number)

    def start(self, name, core, argv):
        path = os.path.join(self.folder, name + ".out")
        with open(path, "wb") as out:
            child = subprocess.Popen(["taskset", "-c", str(core)] + [str(a) for a in argv],
                                     stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        child.bench_name, child.bench_out = name, path
        self.running.append(child)
        return child

    def check(self):
        """Says which child ended on its own, and its last words."""
        for child in self.running:
            if child.poll() is not None:
                with open(child.bench_out, errors="replace") as out:
                    words = out.read()[-800:]
                raise RuntimeError(f"{child.bench_name} ended with {child.returncode}: {words}")

    def stop(self, children):
        for child in children:
            if child.poll() is None:
                child.terminate()
        for child in children:
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(5)
            if child in self.running:
                self.running.remove(child)

    def stop_all(self):
        self.stop(list(self.running))


class Sink:
    """Takes HAProxy's log by TCP and writes it to a file. One thread, large reads."""

    def __init__(self, port, path):
        import threading
        self.path = path
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            with conn, open(self.path, "ab", buffering=0) as out:
                while True:
                    part = conn.recv(1 << 18)
                    if not part:
                        break
                    out.write(part)

    def close(self):
        self.listener.close()
