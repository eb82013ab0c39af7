# SPDX-License-Identifier: Apache-2.0
"""A controller of a real API server and data planes that show it ServiceAccount tokens.

    with Pair(cluster) as t:
        t.cluster.apply(GATEWAY)
        t.start_dataplane()
"""
import pathlib
import shutil
import socket
import tempfile

from harness import Program, Stack, free_ports, wait_for
from line import SHORT_LEASE

CLASS = """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: tandem}
spec: {controllerName: kgateway.dev/tandem}
"""


def gateway(listeners="  - {name: http, protocol: HTTP, port: 8080}", name="edge"):
    return f"""
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: {name}}}
spec:
  gatewayClassName: tandem
  listeners:
{listeners}
"""


def route(name, spec="", parent="{name: edge}"):
    return f"""
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}}}
spec:
  parentRefs: [{parent}]
  {spec}
  rules: [{{matches: [{{path: {{type: PathPrefix, value: /{name}}}}}], backendRefs: [{{name: web, port: 80}}]}}]
"""


SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{name: http, port: 80}]}
"""


def docs(*parts):
    return "\n---\n".join(p.strip("\n") for p in parts)


class Pair:
    def __init__(self, cluster, *, objects=None, ctl_args=()):
        self.cluster = cluster
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tandem-kube-"))
        self.port, self.port2, self.push_port, self.ctl_port = free_ports(4)
        self.programs, self.ctl_args = [], list(ctl_args)
        cluster.apply(objects or docs(CLASS, gateway(), SERVICE))
        try:
            self.start_controller()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            for p in self.programs:
                print(f"--- {p.name}\n{p.log()[-6000:]}")
        self.close()

    def close(self):
        for p in self.programs:
            if p.is_running():
                p.stop()
        faults = [p.name for p in self.programs
                  if "Sanitizer" in p.log() or "runtime error:" in p.log()]
        assert not faults, self.programs[0].log()[-3000:]
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name, *args):
        program = Program(self.folder, name, *args)
        self.programs.append(program)
        return program

    # --- the controller -----------------------------------------------------------------------

    def controller(self, name="controller", push=None, admin=None, extra=()):
        return self.start(name, "tandem-controller", "--source",
                          f"kube:{self.cluster.api.config}", "--namespace", self.cluster.ns,
                          "--listen", f"127.0.0.1:{push or self.push_port}", "--admin",
                          f"127.0.0.1:{admin or self.ctl_port}", *SHORT_LEASE, *self.ctl_args,
                          *extra)

    def start_controller(self):
        self.ctl = self.controller()
        wait_for("controller", lambda: Stack.alive(self.ctl) and self.get("/ready"), 20)

    def get(self, path, port=None):
        return Stack.http(port or self.ctl_port, path)

    def metric(self, name, **labels):
        total = 0.0
        for line in self.get("/metrics").splitlines():
            if line.startswith(name) and line[len(name)] in " {" and all(
                    f'{k}="{v}"' in line for k, v in labels.items()):
                total += float(line.rsplit(" ", 1)[1])
        return total

    def writes(self):
        return self.metric("controller_status_writes_total", result="written")

    # --- data planes --------------------------------------------------------------------------

    def ca_file(self):
        path = self.folder / "ca.crt"
        path.write_text(wait_for("the CA", lambda: self.config_map()["data"]["ca.crt"]))
        return path

    def config_map(self):
        path = f"/api/v1/namespaces/{self.cluster.ns}/configmaps/tandem-ca"
        try:
            return self.cluster.api.call("GET", path)
        except Exception as e:
            raise OSError(str(e)) from e

    def token_file(self, token=None, **kw):
        path = self.folder / f"token-{len(self.programs)}"
        path.write_text(token or self.cluster.token(**kw))
        return path

    def start_dataplane(self, *, gateway=None, ca=None, token=None, args=(), name="dataplane"):
        gateway = f"{self.cluster.ns}/edge" if gateway is None else gateway
        return self.start(name, "tandem-dataplane", "--controller",
                          f"localhost:{self.push_port}", "--ca-file", ca or self.ca_file(),
                          "--token-file", token or self.token_file(), "--node", name,
                          *(["--gateway", gateway] if gateway else []), "--bind", "127.0.0.1",
                          "--port-map", f"8080={self.port}", "--port-map", f"8081={self.port2}",
                          "--admin", "127.0.0.1:0", "--workers", "1", "--access-log", "off",
                          "--address", "127.0.0.1", "--grace", "1s", *args)

    def wait_programmed(self, status="True", reason=None, **kw):
        return self.cluster.wait_condition("Gateway", "edge", "Programmed", status, reason, **kw)


def held_port(port):
    """A listener that keeps a port from everybody else."""
    s = socket.socket()
    s.bind(("127.0.0.1", port))
    s.listen()
    return s
