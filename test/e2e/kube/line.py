# SPDX-License-Identifier: Apache-2.0
"""Controllers and data planes as processes beside an API server, and the objects that tests apply.

    Address     an address of this machine that is not loopback: EndpointSlices may hold no other
    Controller  tandem-controller --source kube, with the rights of examples/kube/rbac.yaml
    Plane       tandem-dataplane of one Gateway, with its ServiceAccount's token
"""
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

from harness import ROOT, SLOW, Program, free_ports, read_response, wait_for

SYSTEM = "tandem-system"
RBAC = ROOT / "examples" / "kube" / "rbac.yaml"
# A controller that was killed leaves its Lease held; tests do not wait a quarter of a minute.
SHORT_LEASE = ["--lease-duration", "4s", "--lease-renew-deadline", "3s", "--lease-retry", "300ms"]


class Address:
    """10.79.x.y on lo, labelled with our pid; those of runs that were killed are taken away."""

    def __init__(self):
        self.clean()
        pid = pathlib.Path("/proc/self").resolve().name
        number = int(pid) % 65000 + 256
        self.text = f"10.79.{number // 256}.{number % 256}"
        done = subprocess.run(["ip", "address", "add", f"{self.text}/32", "dev", "lo", "label",
                               f"lo:{pid}"], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"'ip address add' on lo needs root: {done.stderr.strip()}")

    @staticmethod
    def clean():
        listed = subprocess.run(["ip", "-o", "address", "show", "dev", "lo"], capture_output=True,
                                text=True, check=True).stdout
        for address, pid in re.findall(r"inet (10\.79\.[\d.]+/32) .* lo:(\d+)\\", listed):
            if not pathlib.Path("/proc", pid).exists():
                subprocess.run(["ip", "address", "del", address, "dev", "lo"], capture_output=True)

    def close(self):
        subprocess.run(["ip", "address", "del", f"{self.text}/32", "dev", "lo"],
                       capture_output=True)


class Processes:
    """What a fixture started, with a folder for logs; ended in reverse order."""

    def __init__(self, name):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"tandem-{name}-"))
        self.programs = []

    def start(self, name, *args, env=None):
        program = Program(self.folder, name, *args, env=env)
        self.programs.append(program)
        return program

    def logs(self):
        return "\n".join(f"--- {p.name} (exit {p.process.poll()})\n{p.log()[-6000:]}"
                         for p in self.programs)

    def close(self):
        bad = []
        for p in reversed(self.programs):
            was_running, status = p.is_running(), p.stop()
            if (was_running and p.name != "demo" and status != 0) or "Sanitizer" in p.log() or \
                    "assertion" in p.log():
                bad.append(f"{p.name}: exit {status}\n{p.log()[-6000:]}")
        shutil.rmtree(self.folder, ignore_errors=True)
        assert not bad, "\n".join(bad)


class Backend(Processes):
    """The demo servers, at an address that an EndpointSlice may hold."""

    def __init__(self, address):
        super().__init__("backend")
        self.address = address
        self.port, self.model_port = free_ports(2)
        self.start("demo", "tandem-demo", "--plain", f"{address}:{self.port}", "--model",
                   f"{address}:{self.model_port}")
        wait_for("demo", lambda: [socket.create_connection((address, p), 1).close()
                                  for p in (self.port, self.model_port)])


class Controller(Processes):
    def __init__(self, api, *, config=None, namespace=SYSTEM, args=(), ready=True,
                 lease=SHORT_LEASE):
        super().__init__("controller")
        self.api, self.namespace, self.args = api, namespace, [*lease, *args]
        self.config = config or api.config
        self.port, self.admin_port = free_ports(2)
        self.run(ready)

    def run(self, ready=True):
        self.program = self.start(
            "controller", "tandem-controller", "--source", f"kube:{self.config}", "--namespace",
            self.namespace, "--listen", f"127.0.0.1:{self.port}", "--admin",
            f"127.0.0.1:{self.admin_port}", *self.args)
        if ready:
            wait_for("controller", self.is_ready)

    def is_ready(self):
        if not self.program.is_running():
            raise RuntimeError(f"the controller ended:\n{self.program.log()}")
        return self.get("/ready")

    def get(self, path):
        import urllib.error
        import urllib.request
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{path}", timeout=10) as r:
            return r.read().decode()

    def metric(self, name, **labels):
        return metric_of(self.get("/metrics"), name, **labels)

    def kill(self):
        self.program.kill()

    def ca_file(self):
        """The push CA, from the ConfigMap that data planes mount."""
        path = self.folder / "ca.crt"
        def read():
            data = self.api.call("GET", f"/api/v1/namespaces/{self.namespace}/configmaps/tandem-ca")
            return data["data"]["ca.crt"]
        from cluster import ApiError
        def there():
            try:
                return read()
            except ApiError as e:
                raise OSError(str(e)) from e
        path.write_text(wait_for("ConfigMap tandem-ca", there))
        return path


class Plane(Processes):
    """One data plane of Gateway ns/name. ports: of its listeners, each bound to a free one."""

    def __init__(self, controller, gateway, *, token, ports=(8080,), args=(), ready=True,
                 ca=None):
        super().__init__("plane")
        self.controller, self.gateway, self.args = controller, gateway, list(args)
        self.ca, self.token_file = ca or controller.ca_file(), self.folder / "token"
        self.write_token(token)
        free = free_ports(len(ports) + 1)
        self.admin_port, self.ports = free[0], dict(zip(ports, free[1:]))
        self.port = self.ports[ports[0]]
        self.run(ready)

    def write_token(self, token):
        self.token_file.write_text(token)

    def run(self, ready=True):
        maps = [a for listener, port in self.ports.items()
                for a in ("--port-map", f"{listener}={port}")]
        self.program = self.start(
            "dataplane", "tandem-dataplane", "--controller", f"127.0.0.1:{self.controller.port}",
            "--ca-file", self.ca, "--token-file", self.token_file, "--gateway", self.gateway,
            "--state", self.folder / "state", "--bind", "127.0.0.1", *maps, "--admin",
            f"127.0.0.1:{self.admin_port}", "--access-log", self.folder / "access.log",
            "--workers", "2", *([] if "--grace" in self.args else ["--grace", "5s"]), *self.args)
        if ready:
            wait_for("data plane", self.is_ready)

    def is_ready(self):
        if not self.program.is_running():
            raise RuntimeError(f"the data plane ended:\n{self.program.log()}")
        return self.admin("/ready")

    def admin(self, path):
        import urllib.request
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{path}", timeout=10) as r:
            return r.read().decode()

    def connect(self, port=None, timeout=10):
        s = socket.create_connection(("127.0.0.1", port or self.port), timeout)
        s.settimeout(timeout * SLOW)
        return s

    def get(self, path="/", host="test", headers=(), port=None):
        lines = "".join(f"{k}: {v}\r\n" for k, v in headers)
        with self.connect(port) as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n"
                      .encode())
            return read_response(s)

    def curl(self, path, *args, port=None, scheme="http"):
        """curl's output, with the status alone on a last line."""
        done = subprocess.run(
            ["curl", "-sS", "--max-time", "10", "-w", "\n%{http_code}", *args,
             f"{scheme}://127.0.0.1:{port or self.port}{path}"],
            capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    def wait_status(self, path, status=200, seconds=10, **kw):
        """How long it took until a request was answered with the status."""
        begin = time.monotonic()
        def asked():
            r = self.get(path, **kw)
            assert r.status == status, f"{r.status} {r.body[:200]!r}"
            return r
        wait_for(f"{path} to answer {status}", asked, seconds)
        return time.monotonic() - begin


def metric_of(text, name, **labels):
    """Sum of the samples whose labels include these."""
    total = 0.0
    for line in text.splitlines():
        if line.startswith(name) and line[len(name)] in " {" and \
                all(f'{k}="{v}"' in line for k, v in labels.items()):
            total += float(line.rsplit(" ", 1)[1])
    return total


# --- objects ------------------------------------------------------------------------------------

CLASS = """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: tandem}
spec: {controllerName: kgateway.dev/tandem}
"""


def gateway(name="edge", listeners="- {name: http, protocol: HTTP, port: 8080}"):
    body = "\n".join("  " + line for line in listeners.strip("\n").splitlines())
    return f"""
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: {name}}}
spec:
  gatewayClassName: tandem
  listeners:
{body}
"""


def service(backend, name="web", port=80, slice_port=None, addresses=None, protocol=None):
    """A Service with one EndpointSlice, as the cluster's own controller would make it."""
    speaks = f", appProtocol: {protocol}" if protocol else ""
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{ports: [{{name: http, port: {port}{speaks}}}]}}
---
{endpoint_slice(backend, name, slice_port, addresses)}
"""


def endpoint_slice(backend, name="web", port=None, addresses=None):
    return f"""
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
endpoints: [{{addresses: [{', '.join(addresses or [backend.address])}]}}]
ports: [{{name: http, port: {port or backend.port}}}]
"""


def route(name="web", rules="- backendRefs: [{name: web, port: 80}]", parents="[{name: edge}]",
          extra=""):
    body = "\n".join("  " + line for line in rules.strip("\n").splitlines())
    return f"""
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}}}
spec:
  parentRefs: {parents}
  {extra}
  rules:
{body}
"""


def docs(*parts):
    return "\n---\n".join(p.strip("\n") for p in parts)
