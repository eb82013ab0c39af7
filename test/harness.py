# SPDX-License-Identifier: Apache-2.0
"""Starts real programs on free loopback ports for wire and end-to-end tests, and ends them by pid.

    with Stack(yaml) as t:
        t.raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

Every wait is bounded. Logs stay in the stack's folder until it is closed.
"""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("TANDEM_BUILD", "build/debug"))
BUILD = BUILD if BUILD.is_absolute() else ROOT / BUILD
# Sanitized programs start and answer more slowly.
SLOW = 4 if BUILD.name in ("asan", "tsan") else 1

GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: tandem}
spec: {controllerName: kgateway.dev/tandem}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: tandem
  listeners:
  - {name: http, protocol: HTTP, port: 8080}
"""


def service(name, port=80):
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{ports: [{{name: http, port: {port}}}]}}
"""


def route(name, rules, extra=""):
    return f"""
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}}}
spec:
  parentRefs: [{{name: edge}}]
  {extra}
  rules:
{rules}
"""


def docs(*parts):
    return "\n---\n".join(p.strip("\n") for p in parts)


PLAIN = docs(GATEWAY, service("web"), route("web", "  - backendRefs: [{name: web, port: 80}]"))


def free_ports(n):
    """n different ports below the ephemeral range, so that no outgoing connection takes one."""
    found = []
    start = 20000 + (os.getpid() * 37 + time.monotonic_ns() // 1000) % 11000
    for i in range(4000):
        port = 20000 + (start - 20000 + i) % 12000
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == n:
            return found
    raise RuntimeError("no free ports")


def wait_for(what, fn, seconds=10.0):
    end = time.monotonic() + seconds * SLOW
    last = None
    while time.monotonic() < end:
        try:
            value = fn()
            if value:
                return value
        except (OSError, AssertionError, KeyError, IndexError, ValueError) as e:
            last = e
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds * SLOW} s ({last})")


class Program:
    """A child process with its log in a file."""

    def __init__(self, folder, name, *args, env=None):
        self.name = name
        self.log_path = folder / f"{name}-{time.monotonic_ns()}.log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [str(BUILD / args[0]), *map(str, args[1:])],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **(env or {})})

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return self.log_path.read_text(errors="replace")

    def is_running(self):
        return self.process.poll() is None

    def signal(self, sig):
        self.process.send_signal(sig)

    def stop(self, seconds=15):
        """TERM, then the exit status; -9 where it had to be killed."""
        if self.is_running():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def rss_kib(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")


class Stack:
    """Demo servers, a controller with a folder, and one data plane."""

    def __init__(self, yaml=PLAIN, *, dataplane=True, dp_args=(), ctl_args=(), env=None,
                 endpoints=None, demo_args=(), ready=True):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tandem-test-"))
        self.source = self.folder / "objects"
        self.source.mkdir()
        (self.port, self.port2, self.admin_port, self.push_port, self.ctl_port, self.web_port,
         self.model_port) = free_ports(7)
        self.env, self.ctl_args, self.dp_args = env, list(ctl_args), list(dp_args)
        self.programs = []
        self.endpoints = {"default/web": f"127.0.0.1:{self.web_port}", **(endpoints or {})}
        self.write("main.yaml", yaml)
        try:
            self.demo = self.start("demo", "tandem-demo", "--plain", f"127.0.0.1:{self.web_port}",
                                   "--model", f"127.0.0.1:{self.model_port}", *demo_args)
            wait_for("demo", lambda: self.is_open(self.web_port) and self.is_open(self.model_port))
            self.start_controller()
            self.dp = None
            if dataplane:
                self.start_dataplane(ready=ready)
        except BaseException:
            self.show_logs()
            self.close()
            raise

    def expand(self, text):
        """Port names of the stack in a YAML text: $MODEL, $WEB, $PORT2."""
        return (text.replace("$MODEL", str(self.model_port)).replace("$WEB", str(self.web_port))
                .replace("$PORT2", str(self.port2)))

    def write(self, name, text):
        """Replaces a file as editors do: write beside it, then rename."""
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temp = self.folder / "edit.tmp"
        temp.write_text(self.expand(text))
        temp.rename(path)

    def start(self, name, *args, env=None):
        program = Program(self.folder, name, *args, env=env)
        self.programs.append(program)
        return program

    def start_controller(self):
        args = []
        for key, value in self.endpoints.items():
            args += ["--endpoint", f"{key}={value}"]
        self.ctl = self.start("controller", "tandem-controller", "--source", f"dir:{self.source}",
                              "--state", self.folder / "ctl", "--listen",
                              f"127.0.0.1:{self.push_port}", "--admin",
                              f"127.0.0.1:{self.ctl_port}", *args, *self.ctl_args, env=self.env)
        wait_for("controller", lambda: self.alive(self.ctl) and self.ctl_get("/healthz"))

    def start_dataplane(self, ready=True, controller=True):
        self.access_log = self.folder / "access.log"
        to = ["--controller", f"127.0.0.1:{self.push_port}", "--bootstrap", self.folder / "ctl"]
        self.dp = self.start("dataplane", "tandem-dataplane", *(to if controller else []),
                             "--state", self.folder / "dp", "--bind", "127.0.0.1", "--port-map",
                             f"8080={self.port}", "--admin", f"127.0.0.1:{self.admin_port}",
                             "--access-log", self.access_log, "--workers", "2",
                             *([] if "--grace" in self.dp_args else
                               ["--grace", "5s", "--drain-delay", "0s"]),
                             *self.dp_args, env=self.env)
        if ready:
            wait_for("data plane", lambda: self.alive(self.dp) and self.admin("/ready"))

    @staticmethod
    def alive(program):
        if not program.is_running():
            raise RuntimeError(f"{program.name} ended:\n{program.log()}")
        return True

    @staticmethod
    def is_open(port):
        with socket.create_connection(("127.0.0.1", port), 1):
            return True

    # --- asking -------------------------------------------------------------------------------

    @staticmethod
    def http(port, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as r:
            return r.read().decode()

    def admin(self, path):
        return self.http(self.admin_port, path)

    def ctl_get(self, path):
        return self.http(self.ctl_port, path)

    def metric(self, name, port=None, **labels):
        """Sum of the samples of a metric whose labels include these."""
        total, seen = 0.0, False
        for line in self.http(port or self.admin_port, "/metrics").splitlines():
            if not line.startswith(name) or line[len(name)] not in " {":
                continue
            if all(f'{k}="{v}"' in line for k, v in labels.items()):
                total += float(line.rsplit(" ", 1)[1])
                seen = True
        return total if seen else 0.0

    def object(self, kind, name, namespace="default"):
        text = self.ctl_get(f"/objects?kind={kind}&namespace={namespace}&name={name}")
        found = json.loads(text)
        return found["items"][0] if "items" in found else found

    def conditions(self, kind, name, namespace="default", parent=0, listener=None):
        """type -> condition, of an object's status."""
        status = self.object(kind, name, namespace)["status"]
        if listener:
            status = [l for l in status["listeners"] if l["name"] == listener][0]
        for key in ("parents", "ancestors"):
            if key in status:
                status = status[key][parent]
        return {c["type"]: c for c in status["conditions"]}

    def wait_condition(self, kind, name, type_, status="True", reason=None, **kw):
        def check():
            c = self.conditions(kind, name, **kw)[type_]
            return c if c["status"] == status and reason in (None, c["reason"]) else None
        return wait_for(f"{kind}/{name} {type_}={status}/{reason}", check)

    def upstream_stats(self, model=False):
        return json.loads(self.http(self.model_port if model else self.web_port, "/__stats"))

    def access_lines(self, n=1, seconds=5):
        """The access log, once it has at least n lines."""
        def lines():
            found = [json.loads(l) for l in self.access_log.read_text().splitlines()]
            return found if len(found) >= n else None
        return wait_for(f"{n} access log lines", lines, seconds)

    # --- traffic --------------------------------------------------------------------------------

    def connect(self, port=None, timeout=10):
        s = socket.create_connection(("127.0.0.1", port or self.port), timeout)
        s.settimeout(timeout * SLOW)
        return s

    def raw(self, data, port=None, timeout=10):
        """Sends bytes, reads until the peer closes (or goes silent for the time); returns bytes."""
        with self.connect(port, timeout) as s:
            s.sendall(data)
            return read_all(s)

    def get(self, path="/", *, method="GET", headers=(), body=b"", port=None, host="test",
            timeout=10):
        """One request on a connection of its own; returns a Response."""
        head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        for k, v in headers:
            head += f"{k}: {v}\r\n"
        if body or method in ("POST", "PUT"):
            head += f"Content-Length: {len(body)}\r\n"
        with self.connect(port, timeout) as s:
            s.sendall(head.encode() + b"\r\n" + body)
            return read_response(s, head_only=method == "HEAD")

    def chat(self, body, headers=(), path="/v1/chat/completions", timeout=20):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.get(path, method="POST", body=data, timeout=timeout,
                        headers=[("Content-Type", "application/json"), *headers])

    # --- end --------------------------------------------------------------------------------------

    def show_logs(self):
        for p in self.programs:
            print(f"--- {p.name} (exit {p.process.poll()})\n{p.log()[-4000:]}")

    def close(self):
        bad = []
        for p in reversed(self.programs):
            was_running = p.is_running()
            status = p.stop()
            # Sanitizers and assertions end a program with another status or a signal.
            if was_running and p.name != "demo" and status != 0:
                bad.append(f"{p.name}: exit {status}\n{p.log()[-6000:]}")
            elif "Sanitizer" in p.log() or "assertion" in p.log():
                bad.append(f"{p.name}:\n{p.log()[-6000:]}")
        shutil.rmtree(self.folder, ignore_errors=True)
        assert not bad, "\n".join(bad)

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc, tb):
        if exc_type:
            self.show_logs()
        self.close()


# --- HTTP/1.1 as bytes --------------------------------------------------------------------------


def read_all(s):
    out = b""
    try:
        while True:
            piece = s.recv(65536)
            if not piece:
                return out
            out += piece
    except (TimeoutError, ConnectionResetError):
        return out


class Response:
    """status, headers (lower case -> list), body; complete is False where it was cut."""

    def __init__(self):
        self.status, self.reason, self.headers, self.body = 0, "", {}, b""
        self.complete, self.interim, self.trailers, self.framing = False, [], {}, ""

    def header(self, name):
        values = self.headers.get(name.lower(), [])
        assert len(values) < 2, f"{name} occurs {len(values)} times"
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)

    def events(self):
        return [e for e in self.body.decode().split("\n\n") if e]


class Reader:
    """Reads messages from a socket, keeping what comes after one."""

    def __init__(self, s):
        self.s, self.buf = s, b""

    def more(self):
        piece = self.s.recv(65536)
        self.buf += piece
        return bool(piece)

    def line(self):
        while b"\r\n" not in self.buf:
            if not self.more():
                raise ConnectionError(f"closed in a line: {self.buf!r}")
        line, self.buf = self.buf.split(b"\r\n", 1)
        return line

    def take(self, n):
        while len(self.buf) < n:
            if not self.more():
                raise ConnectionError("closed in a body")
        data, self.buf = self.buf[:n], self.buf[n:]
        return data

    def head(self, r):
        status = self.line().decode().split(" ", 2)
        r.status, r.reason = int(status[1]), status[2] if len(status) > 2 else ""
        r.headers = {}
        while line := self.line():
            k, v = line.decode("latin-1").split(":", 1)
            r.headers.setdefault(k.lower(), []).append(v.strip())

    def response(self, head_only=False):
        r = Response()
        self.head(r)
        while 100 <= r.status < 200:
            r.interim.append((r.status, r.headers))
            self.head(r)
        try:
            self.body(r, head_only)
            r.complete = True
        except (ConnectionError, TimeoutError):
            pass
        return r

    def body(self, r, head_only):
        if head_only or r.status in (204, 304):
            return
        if r.header("transfer-encoding") == "chunked":
            assert r.header("content-length") is None, "two framings"
            r.framing = "chunked"
            while size := int(self.line().split(b";")[0], 16):
                while size:
                    if not self.buf and not self.more():
                        raise ConnectionError("closed in a chunk")
                    piece = self.take(min(size, len(self.buf)))
                    r.body += piece
                    size -= len(piece)
                assert self.take(2) == b"\r\n"
            while line := self.line():
                k, v = line.decode().split(":", 1)
                r.trailers[k.lower()] = v.strip()
        elif r.header("content-length") is not None:
            r.framing = "length"
            left = int(r.header("content-length"))
            while left:
                if not self.buf and not self.more():
                    raise ConnectionError("closed in a body")
                piece = self.take(min(left, len(self.buf)))
                r.body += piece
                left -= len(piece)
        else:
            r.framing = "close"
            r.body = self.buf + read_all(self.s)


def read_response(s, head_only=False):
    return Reader(s).response(head_only)
