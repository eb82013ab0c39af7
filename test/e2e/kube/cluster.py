# SPDX-License-Identifier: Apache-2.0
"""A real API server for a session (hack/kube/apiserver.sh), and what a test does with it.

    ApiServer   etcd and kube-apiserver, the CRDs; requests and kubectl
    Cluster     one test's namespace: apply, get, wait_condition, events, token, traffic
Every wait is bounded. What a test applied is deleted at its end, because a controller sees all.
"""
import base64
import http.client
import json
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.parse

from harness import ROOT, SLOW, wait_for

KUBE_HOME = pathlib.Path(os.environ.get("KUBE_HOME", pathlib.Path.home() / ".cache/tandem/kube"))
SCRIPT = ROOT / "hack" / "kube" / "apiserver.sh"

# kind -> (path below the server's root, plural)
KINDS = {
    "Namespace": ("/api/v1", "namespaces"),
    "Service": ("/api/v1", "services"),
    "Secret": ("/api/v1", "secrets"),
    "Event": ("/api/v1", "events"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "EndpointSlice": ("/apis/discovery.k8s.io/v1", "endpointslices"),
    "GatewayClass": ("/apis/gateway.networking.k8s.io/v1", "gatewayclasses"),
    "Gateway": ("/apis/gateway.networking.k8s.io/v1", "gateways"),
    "HTTPRoute": ("/apis/gateway.networking.k8s.io/v1", "httproutes"),
    "ReferenceGrant": ("/apis/gateway.networking.k8s.io/v1", "referencegrants"),
    "LLMBackend": ("/apis/kgateway.dev/v1alpha1", "llmbackends"),
    "CustomResourceDefinition": ("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
}
CLUSTER_WIDE = {"Namespace", "GatewayClass", "CustomResourceDefinition"}
GATEWAY_CRDS = KUBE_HOME / "crds" / os.environ.get("GATEWAY_CRDS", "experimental.yaml")
OWN_CRDS = ROOT / "crds"


class ApiError(Exception):
    """An answer other than 2xx; status is HTTP's."""

    def __init__(self, status, text):
        super().__init__(f"{status}: {text}")
        self.status = status


class ApiServer:
    def __init__(self, audit=False):
        self.env = {**os.environ, "AUDIT": "1" if audit else ""}
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tandem-api-"))
        self.dir = self.folder / "api"
        self.config = self.dir / "admin.conf"
        self.script("up")
        text = self.config.read_text()
        self.url = re.search(r"server: (\S+)", text).group(1)
        self.port = int(self.url.rsplit(":", 1)[1])
        self.ca_pem = base64.b64decode(re.search(r"authority-data: (\S+)", text).group(1)).decode()
        self.tls = ssl.create_default_context(cadata=self.ca_pem)
        self.tls.load_cert_chain(self.dir / "pki" / "admin.crt", self.dir / "pki" / "admin.key")

    def kubeconfig(self, path, token):
        """Writes one for a bearer of a token."""
        ca = base64.b64encode(self.ca_pem.encode()).decode()
        path.write_text(f"""
apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "{self.url}", certificate-authority-data: {ca}}}}}]
users: [{{name: u, user: {{token: {token}}}}}]
contexts: [{{name: x, context: {{cluster: c, user: u}}}}]
current-context: x
""")
        return path

    def script(self, verb, *args):
        done = subprocess.run([SCRIPT, verb, self.dir, *args], timeout=120, text=True, env=self.env,
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert done.returncode == 0, f"apiserver.sh {verb}: {done.stderr}"

    def stop(self, name="kube-apiserver"):
        self.script("stop", name)

    def kill(self, name="kube-apiserver"):
        self.script("kill", name)

    def start(self, name="kube-apiserver"):
        self.script("start", name)

    def close(self):
        self.script("down")
        shutil.rmtree(self.folder, ignore_errors=True)

    def kubectl(self, *args, stdin=None, check=True, config=None, seconds=60):
        """Runs kubectl; returns its output (with the errors, where check is off: and the status)."""
        done = subprocess.run([KUBE_HOME / "bin" / "kubectl", *map(str, args)], input=stdin,
                              text=True, capture_output=True, timeout=seconds * SLOW,
                              env={"KUBECONFIG": str(config or self.config), "PATH": os.environ["PATH"],
                                   "HOME": str(self.folder)})
        if check:
            assert done.returncode == 0, f"kubectl {' '.join(map(str, args))}:\n{done.stderr}"
            return done.stdout
        return done.returncode, done.stdout + done.stderr

    def call(self, method, path, body=None, content_type="application/json"):
        """One request as an administrator; the answer's JSON, or ApiError."""
        c = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=self.tls)
        try:
            c.request(method, path, None if body is None else json.dumps(body),
                      {"Content-Type": content_type, "Accept": "application/json"})
            r = c.getresponse()
            text = r.read().decode()
            if r.status >= 300:
                raise ApiError(r.status, text)
            return json.loads(text)
        finally:
            c.close()

    @staticmethod
    def path(kind, name=None, namespace=None, subresource=None):
        prefix, plural = KINDS[kind]
        where = "" if kind in CLUSTER_WIDE or namespace is None else f"/namespaces/{namespace}"
        return f"{prefix}{where}/{plural}" + (f"/{name}" if name else "") + (
            f"/{subresource}" if subresource else "")

    def install_crds(self):
        """The Gateway API's (experimental channel) and ours, by kubectl, until they are served."""
        self.kubectl("apply", "--server-side", "-f", GATEWAY_CRDS, "-f", OWN_CRDS)
        self.wait_served()

    def wait_served(self):
        for kind in ("GatewayClass", "HTTPRoute", "ReferenceGrant", "LLMBackend"):
            wait_for(f"{kind} is served", lambda k=kind: self.served(k))

    def served(self, kind):
        try:
            return self.call("GET", self.path(kind) + "?limit=1")
        except ApiError as e:
            raise OSError(str(e)) from e


class Cluster:
    """A test's own namespace, and names below it. Objects it applied go at its end."""

    count = 0

    def __init__(self, api, namespace=None):
        Cluster.count += 1
        self.api = api
        self.ns = namespace or f"t{Cluster.count}"
        self.applied = []
        self.make_namespace(self.ns)

    def make_namespace(self, name, labels=None):
        """No controller makes a namespace's default ServiceAccount here."""
        self.api.call("POST", "/api/v1/namespaces",
                      {"metadata": {"name": name, "labels": labels or {}}})
        self.api.call("POST", f"/api/v1/namespaces/{name}/serviceaccounts",
                      {"metadata": {"name": "default"}})

    def kubectl(self, *args, **kw):
        return self.api.kubectl("-n", self.ns, *args, **kw)

    def apply(self, yaml):
        self.applied.append(yaml)
        return self.kubectl("apply", "-f", "-", stdin=yaml)

    def apply_in(self, namespace, yaml):
        """In another namespace; the test's end does not take it away."""
        return self.api.kubectl("-n", namespace, "apply", "-f", "-", stdin=yaml)

    def delete(self, kind, name, ns=None):
        return self.api.call("DELETE", self.api.path(kind, name, ns or self.ns))

    def get(self, kind, name, ns=None):
        return self.api.call("GET", self.api.path(kind, name, ns or self.ns))

    def list(self, kind, ns=None):
        return self.api.call("GET", self.api.path(kind, None, ns or self.ns))["items"]

    def patch(self, kind, name, body, ns=None, subresource=None):
        """A JSON merge patch."""
        return self.api.call("PATCH", self.api.path(kind, name, ns or self.ns, subresource), body,
                             "application/merge-patch+json")

    def events(self, kind=None, name=None, ns=None):
        """Events on an object, as `kubectl describe` lists them."""
        found = self.list("Event", ns)
        return [e for e in found if kind in (None, e["involvedObject"]["kind"]) and
                name in (None, e["involvedObject"]["name"])]

    def token(self, account="default", ns=None, audience=None):
        """A ServiceAccount's token, as a pod gets it."""
        spec = {"audiences": [audience]} if audience else {}
        made = self.api.call("POST", self.api.path("ServiceAccount", account, ns or self.ns, "token"),
                             {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                              "spec": spec})
        return made["status"]["token"]

    # --- status -----------------------------------------------------------------------------------

    def conditions(self, kind, name, ns=None, parent=0, listener=None):
        """type -> condition."""
        status = self.get(kind, name, ns)["status"]
        if listener:
            status = next(l for l in status["listeners"] if l["name"] == listener)
        for key in ("parents", "ancestors"):
            if key in status:
                status = status[key][parent]
        return {c["type"]: c for c in status["conditions"]}

    def wait_condition(self, kind, name, type_, status="True", reason=None, seconds=10, **kw):
        """The condition, once it has the status and reason at the object's latest generation."""
        last = None

        def check():
            nonlocal last
            generation = self.get(kind, name, kw.get("ns"))["metadata"]["generation"]
            last = self.conditions(kind, name, **kw)
            c = last[type_]
            return c if (c["status"] == status and reason in (None, c["reason"]) and
                         c.get("observedGeneration") == generation) else None
        try:
            return wait_for(f"{kind}/{name} {type_}={status}/{reason}", check, seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}: {json.dumps(last, indent=1)}") from None

    def close(self):
        for yaml in reversed(self.applied):
            self.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=yaml,
                         check=False)


def without_times(value):
    """An object without what differs from run to run: times, and the server's bookkeeping."""
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items()
                if k not in ("lastTransitionTime", "resourceVersion", "uid", "managedFields",
                             "creationTimestamp")}
    if isinstance(value, list):
        return [without_times(v) for v in value]
    return value


def quote(text):
    return urllib.parse.quote(text, safe="")


def settle(seconds):
    """Gives something the time to go wrong; for what must not happen."""
    time.sleep(seconds * SLOW)
