# SPDX-License-Identifier: Apache-2.0
"""The proxies of the bench, one entry each: how it starts, where it listens, what it logs."""
import base64
import json
import os
import shutil
import subprocess
import time

from machine import Sink, family, http_get, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
LOAD_CORE, PROXY_CORE = 0, 1

# Offsets from BENCH_PORT.
PLAIN, MODEL, WS = 1, 2, 3
NGINX, HAPROXY, SINK, RAW_PLAIN, RAW_MODEL, NGINX_TLS, HAPROXY_TLS, RAW_WS = range(10, 18)
TANDEM, TANDEM_PUSH, TANDEM_CTL_ADMIN, TANDEM_ADMIN, TANDEM_TLS = range(20, 25)
OFFSETS = (PLAIN, MODEL, WS, NGINX, HAPROXY, SINK, RAW_PLAIN, RAW_MODEL, NGINX_TLS, HAPROXY_TLS,
           RAW_WS, TANDEM, TANDEM_PUSH, TANDEM_CTL_ADMIN, TANDEM_ADMIN, TANDEM_TLS)
# What a proxy is asked for: plain HTTP, model requests, WebSockets, and HTTP over TLS.
ALL_KINDS = ("plain", "chat", "ws", "tls")


def make_certificate(folder):
    """One P-256 certificate for all; (certificate, key), both also in bench.pem."""
    cert, key = os.path.join(folder, "bench.crt"), os.path.join(folder, "bench.key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
                   check=True, capture_output=True, timeout=30)
    with open(os.path.join(folder, "bench.pem"), "w") as both:
        both.write(read(cert) + read(key))
    return cert, key


def read(path):
    with open(path) as file:
        return file.read()


def encoded(path):
    return base64.b64encode(read(path).encode()).decode()


class Env:
    def __init__(self, build, folder, base_port, children, files):
        self.build, self.folder, self.base = build, folder, base_port
        self.children, self.files = children, files
        self.cert, self.key = make_certificate(folder)

    def port(self, offset):
        return self.base + offset

    def program(self, name):
        return os.path.join(self.build, name)

    def fill(self, template, name, **values):
        with open(os.path.join(HERE, template)) as source:
            text = source.read()
        values.update(DIR=self.folder, PLAIN=self.port(PLAIN), MODEL=self.port(MODEL),
                      WS=self.port(WS), FILES=self.files, CONNECTIONS=min(16384, self.files // 2 + 2048))
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as out:
            out.write(text)
        return path


class Proxy:
    """name, log (None: it has no duties), pids of what counts as the proxy."""
    name = ""
    has_duties = True
    kinds = ALL_KINDS

    def __init__(self, env):
        self.env = env
        self.children, self.pids = [], []
        self.log = os.path.join(env.folder, self.name + ".log") if self.has_duties else None
        self.log_offset = self.log_lines = self.answers = 0

    def missing(self):
        """Why it cannot take part, or None."""
        return None

    def start(self):
        if self.log:
            open(self.log, "wb").close()
            self.log_offset = 0
        self.launch()
        for kind in self.kinds:
            if kind != "ws":
                wait_for(f"{self.name}: a first {kind} answer", lambda k=kind: self.answers_to(k))
        # Every one of them is up: no more processes appear.
        self.pids = [pid for child in self.counted() for pid in family(child.pid)]
        self.check_duties()
        if self.log:
            time.sleep(1.2)  # logs are buffered for a second
        self.drain_log()

    def launch(self):
        raise NotImplementedError

    def counted(self):
        return self.children

    def port(self, kind):
        raise NotImplementedError

    def answers_to(self, kind):
        self.env.children.check()
        if kind in ("plain", "tls"):
            return http_get(self.port(kind), "/bytes/0", tls=kind == "tls")[0] == 200
        body = json.dumps({"model": "demo-small", "messages": []})
        return http_get(self.port("chat"), "/v1/chat/completions", "POST", body)[0] == 200

    def check_duties(self):
        status, headers, body = http_get(self.port("plain"), "/bytes/1024")
        if status != 200 or body != b"x" * 1024:
            raise RuntimeError(f"{self.name} changes what the upstream says: {status}")
        if self.has_duties and not headers.get("x-request-id"):
            raise RuntimeError(f"{self.name} returns no x-request-id")

    def drain_log(self):
        """Lines since the last time. What was counted is cut out of the file, which would grow to
        gigabytes; cutting at its end instead could lose lines that come at that moment."""
        if not self.log:
            return 0
        lines = 0
        with open(self.log, "rb") as log:
            log.seek(self.log_offset)
            for part in iter(lambda: log.read(1 << 20), b""):
                lines += part.count(b"\n")
                self.log_offset += len(part)
        if self.log_offset:
            subprocess.run(["fallocate", "-p", "-o", "0", "-l", str(self.log_offset), self.log],
                           check=False, stderr=subprocess.DEVNULL)
        return lines

    def stop(self):
        self.env.children.stop(self.children)
        self.children, self.pids = [], []


class Direct(Proxy):
    name = "direct"
    has_duties = False
    kinds = ("plain", "chat", "ws")

    def launch(self):
        pass

    def port(self, kind):
        return self.env.port({"plain": PLAIN, "chat": MODEL, "ws": WS}[kind])


class Raw(Proxy):
    name = "raw"
    has_duties = False
    kinds = ("plain", "chat", "ws")

    def launch(self):
        env, program = self.env, self.env.program("rawfwd")
        for kind, listen, to in (("plain", RAW_PLAIN, PLAIN), ("model", RAW_MODEL, MODEL),
                                 ("ws", RAW_WS, WS)):
            argv = [program, env.port(listen), env.port(to)]
            self.children.append(env.children.start(f"raw-{kind}", PROXY_CORE, argv))

    def port(self, kind):
        return self.env.port({"plain": RAW_PLAIN, "chat": RAW_MODEL, "ws": RAW_WS}[kind])


class Nginx(Proxy):
    name = "nginx"

    def missing(self):
        return None if shutil.which("nginx") else "nginx is not installed"

    def launch(self):
        config = self.env.fill("nginx.conf", "nginx.conf", PORT=self.env.port(NGINX),
                               TLSPORT=self.env.port(NGINX_TLS), LOG=self.log)
        argv = ["nginx", "-c", config, "-e", os.path.join(self.env.folder, "nginx.error.log")]
        self.children = [self.env.children.start(self.name, PROXY_CORE, argv)]

    def port(self, kind):
        return self.env.port(NGINX_TLS if kind == "tls" else NGINX)


class Haproxy(Proxy):
    name = "haproxy"
    sink = None

    def missing(self):
        return None if shutil.which("haproxy") else "haproxy is not installed"

    def launch(self):
        if not self.sink:
            self.sink = Sink(self.env.port(SINK), self.log)
        config = self.env.fill("haproxy.cfg", "haproxy.cfg", PORT=self.env.port(HAPROXY),
                               TLSPORT=self.env.port(HAPROXY_TLS), SINK=self.env.port(SINK))
        self.children = [self.env.children.start(self.name, PROXY_CORE,
                                                 ["haproxy", "-db", "-f", config])]

    def port(self, kind):
        return self.env.port(HAPROXY_TLS if kind == "tls" else HAPROXY)


class Tandem(Proxy):
    name = "tandem"

    def missing(self):
        for program in ("tandem-controller", "tandem-dataplane"):
            if not os.access(self.env.program(program), os.X_OK):
                return f"{self.env.program(program)} is not built"
        return None

    def launch(self):
        env = self.env
        config = env.fill("tandem/bench.yaml", "tandem-config/bench.yaml", PORT=env.port(TANDEM),
                          TLSPORT=env.port(TANDEM_TLS), CERT=encoded(env.cert),
                          KEY=encoded(env.key))
        state = {part: os.path.join(env.folder, f"tandem-{part}") for part in ("ctl", "dp")}
        for folder in state.values():
            shutil.rmtree(folder, ignore_errors=True)
            os.mkdir(folder, 0o700)
        # The controller is no part of the path of a request: it shares the load's core.
        controller = env.children.start("tandem-controller", LOAD_CORE, [
            env.program("tandem-controller"), "--source", "dir:" + os.path.dirname(config),
            "--state", state["ctl"], "--listen", f"127.0.0.1:{env.port(TANDEM_PUSH)}",
            "--admin", f"127.0.0.1:{env.port(TANDEM_CTL_ADMIN)}",
            "--endpoint", f"default/web=127.0.0.1:{env.port(PLAIN)}",
            "--endpoint", f"default/echo=127.0.0.1:{env.port(WS)}"])
        bootstrap = state["ctl"]
        self.children = [controller]
        wait_for("the controller's token",
                 lambda: os.path.isfile(os.path.join(bootstrap, "token")))
        self.children.append(env.children.start("tandem-dataplane", PROXY_CORE, [
            env.program("tandem-dataplane"),
            "--controller", f"127.0.0.1:{env.port(TANDEM_PUSH)}", "--bootstrap", bootstrap,
            "--state", state["dp"], "--admin", f"127.0.0.1:{env.port(TANDEM_ADMIN)}",
            "--bind", "127.0.0.1", "--workers", "1", "--access-log", self.log]))
        wait_for("tandem: /ready", self.is_ready)

    def is_ready(self):
        self.env.children.check()
        return http_get(self.env.port(TANDEM_ADMIN), "/ready")[0] == 200

    def counted(self):
        return self.children[1:]

    def port(self, kind):
        return self.env.port(TANDEM_TLS if kind == "tls" else TANDEM)


ALL = {proxy.name: proxy for proxy in (Direct, Raw, Nginx, Haproxy, Tandem)}
