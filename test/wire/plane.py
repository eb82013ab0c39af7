# SPDX-License-Identifier: Apache-2.0
"""A data plane alone, with resources as a controller would push them and scripted upstreams.

    with Upstream() as up, Plane([rule(0, "/", up)], {"web": up}) as p:
        p.get("/x")

The resources are put into the state folder, which a data plane serves without a controller.
"""
import hashlib
import http.server
import json
import pathlib
import shutil
import tempfile
import threading
import time

from harness import Program, Stack, free_ports, read_response, wait_for

LISTENER = "listener/default/edge/http"


class Upstream:
    """An HTTP/1.1 server on a thread. requests: what it got, as dicts; answer: what it says."""

    def __init__(self, port=None, *, status=200, headers=(), body=b"hello", delay=0.0):
        self.port = port or free_ports(1)[0]
        self.status, self.headers, self.body, self.delay = status, list(headers), body, delay
        self.requests, self.lock = [], threading.Lock()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *args):
                pass

            def read_body(self):
                self.trailers = {}
                if self.headers.get("transfer-encoding") == "chunked":
                    out = b""
                    while size := int(self.rfile.readline().split(b";")[0], 16):
                        out += self.rfile.read(size)
                        self.rfile.readline()
                    while line := self.rfile.readline().strip():
                        k, v = line.decode().split(":", 1)
                        self.trailers[k.lower()] = v.strip()
                    return out
                return self.rfile.read(int(self.headers.get("content-length", 0)))

            def answer(self):
                body = self.read_body()
                fields = {}
                for k, v in self.headers.items():
                    fields.setdefault(k.lower(), []).append(v)
                with owner.lock:
                    owner.requests.append({"method": self.command, "path": self.path,
                                           "headers": fields, "body": body,
                                           "trailers": self.trailers})
                time.sleep(owner.delay)
                owner.reply(self)

            do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_HEAD = answer

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request, client_address):
                pass

        self.server = Server(("127.0.0.1", self.port), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def reply(self, h):
        """Overridden by tests that want more than one piece."""
        h.send_response(self.status)
        for k, v in self.headers:
            h.send_header(k, v)
        h.send_header("Content-Length", str(len(self.body)))
        h.end_headers()
        if h.command != "HEAD":
            h.wfile.write(self.body)

    def wait(self, n=1, seconds=10):
        """The requests, once there are n of them."""
        return wait_for(f"{n} requests at {self.port}",
                        lambda: self.requests[:] if len(self.requests) >= n else None, seconds)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()


# --- resources -------------------------------------------------------------------------------------

def backend(name):
    return f"backend/service/default/{name}/80"


def to(name="web", weight=1, **more):
    return {"backend": backend(name), "weight": weight, **more}


def rule(index=0, prefix="/", backends=(), *, route="web", hostnames=(), match=None, **more):
    """One rule; more: filters, timeouts."""
    path = {"type": "PathPrefix", "value": prefix}
    body = {"route": f"default/{route}", "index": index, "age": f"2026 {index:04}",
            "attach": [{"listener": LISTENER, "hostnames": list(hostnames)}],
            "matches": [{"path": path, **(match or {})}],
            "backends": list(backends), **more}
    return f"rule/default/{route}/{index}", body


def version_of(body):
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Plane:
    """rules: what rule() gives; upstreams: name of a Service -> Upstream, port, or list of them.

    cert: (certificate, key) PEM texts of an HTTPS listener in place of the HTTP one.
    """

    def __init__(self, rules, upstreams, *, dp_args=(), listener=None, port=8080, cert=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tandem-plane-"))
        self.port, self.admin_port = free_ports(2)
        self.resources = {LISTENER: {"gateway": "default/edge", "name": "http", "port": port,
                                     "protocol": "HTTP", **(listener or {})}}
        if cert:
            self.resources[LISTENER].update(protocol="HTTPS",
                                            tls={"certificates": ["tls/default/cert"]})
            self.resources["tls/default/cert"] = {"certificate": cert[0], "key": cert[1]}
        for name, ups in upstreams.items():
            ports = [getattr(u, "port", u) for u in (ups if isinstance(ups, list) else [ups])]
            endpoints = f"endpoints/default/{name}/80"
            self.resources[endpoints] = {"addresses": [{"host": "127.0.0.1", "port": p}
                                                       for p in ports]}
            self.resources[backend(name)] = {"type": "service", "endpoints": endpoints}
        self.resources.update(rules)
        state = self.folder / "state"
        state.mkdir(mode=0o700)
        self.write(state / "snapshot.json")
        self.access_log = self.folder / "access.log"
        self.dp = Program(self.folder, "dataplane", "tandem-dataplane", "--state", state, "--bind",
                          "127.0.0.1", "--port-map", f"{port}={self.port}", "--admin",
                          f"127.0.0.1:{self.admin_port}", "--access-log", self.access_log,
                          "--workers", "1", "--drain-delay", "0s",
                          *([] if "--grace" in dp_args else ["--grace", "5s"]), *dp_args)
        try:
            wait_for("data plane", lambda: Stack.alive(self.dp) and self.admin("/ready"))
            refused = json.loads(self.admin("/config"))["refused"]
            assert not refused, refused
        except BaseException:
            print(self.dp.log()[-4000:])
            self.dp.stop()
            raise

    def write(self, path):
        versions = {name: version_of(body) for name, body in self.resources.items()}
        root = hashlib.sha256("".join(f"{n} {v}\n" for n, v in sorted(versions.items())).encode())
        resources = {n: {"version": versions[n], "body": b} for n, b in self.resources.items()}
        path.write_text(json.dumps({"version": root.hexdigest()[:32], "resources": resources}))
        path.chmod(0o600)

    http = staticmethod(Stack.http)
    admin = Stack.admin
    metric = Stack.metric
    access_lines = Stack.access_lines
    connect = Stack.connect
    raw = Stack.raw
    get = Stack.get

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc, tb):
        status = self.dp.stop()
        log = self.dp.log()
        shutil.rmtree(self.folder, ignore_errors=True)
        if exc_type:
            print(log[-4000:])
        assert status == 0 and "Sanitizer" not in log, f"exit {status}\n{log[-6000:]}"


__all__ = ["Plane", "Upstream", "backend", "read_response", "rule", "to"]
