# SPDX-License-Identifier: Apache-2.0
"""An API server for tests: lists in pages, watches, and every fault that a script asks for.

HTTP/1.1 over TLS, objects in memory; of all that is written it takes Leases alone. `api.faults[path]` is a function that answers in the server's
place; it returns False where the server shall answer after all.
"""
import copy
import http.server
import json
import pathlib
import ssl
import subprocess
import threading
import time
import urllib.parse

GATEWAY_API = "gateway.networking.k8s.io"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
PATHS = {
    "GatewayClass": f"/apis/{GATEWAY_API}/v1/gatewayclasses",
    "Gateway": f"/apis/{GATEWAY_API}/v1/gateways",
    "HTTPRoute": f"/apis/{GATEWAY_API}/v1/httproutes",
    "ReferenceGrant": f"/apis/{GATEWAY_API}/v1/referencegrants",
    "LLMBackend": "/apis/kgateway.dev/v1alpha1/llmbackends",
    "Service": "/api/v1/services",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/endpointslices",
    "Secret": "/api/v1/secrets",
    "Namespace": "/api/v1/namespaces",
    "CustomResourceDefinition": CRDS,
}
LEASES = "/apis/coordination.k8s.io/"
TOKEN = "token-that-no-log-shows"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        api = self.server.api
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        api.requests.append((url.path, query, dict(self.headers)))
        fault = api.faults.get(url.path)
        try:
            if fault and fault(self, query) is not False:
                return
            if api.tokens and self.headers.get("Authorization") not in [f"Bearer {t}" for t in api.tokens]:
                self.status(401, "Unauthorized", "Unauthorized")
            elif url.path.startswith(LEASES):
                self.lease(url.path)
            elif url.path not in api.store:
                self.status(404, "NotFound", "the server could not find the requested resource")
            elif query.get("watch"):
                self.watch(url.path, query)
            else:
                self.list(url.path, query)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.close_connection = True

    # --- the Lease: a store with optimistic concurrency ---------------------------------------------

    def lease(self, path):
        api = self.server.api
        length = int(self.headers.get("Content-Length", "0"))
        body = json.loads(self.rfile.read(length)) if length else None
        with api.lock:
            old = api.leases.get(path)
            if self.command == "POST":
                path = f"{path}/{body['metadata']['name']}"
                old, code = api.leases.get(path), 201
                if old:
                    return self.status(409, "AlreadyExists", "the Lease is there")
            elif not old:
                return self.status(404, "NotFound", "leases.coordination.k8s.io not found")
            elif self.command == "GET":
                return self.send(200, old)
            elif body["metadata"]["resourceVersion"] != old["metadata"]["resourceVersion"]:
                return self.status(409, "Conflict", "the Lease has been modified")
            else:
                code = 200
            api.rv += 1
            body["metadata"]["resourceVersion"] = str(api.rv)
            api.leases[path] = body
        self.send(code, body)

    def do_POST(self):
        self.write()

    def do_PUT(self):
        self.write()

    def write(self):
        if not self.path.startswith(LEASES):
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.status(405, "MethodNotAllowed", "nothing but Leases is written here")
        else:
            self.lease(self.path)

    def send(self, code, body, content_type="application/json", headers=()):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def status(self, code, reason, message, headers=()):
        self.send(code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                         "reason": reason, "message": message}, headers=headers)

    def list(self, path, query):
        api = self.server.api
        with api.lock:
            items = [copy.deepcopy(o) for _, o in sorted(api.store[path].items())]
            rv = api.rv
        first = int(query.get("continue", "0") or 0)
        limit = int(query.get("limit", "0") or 0) or len(items)
        meta = {"resourceVersion": str(rv)}
        if first + limit < len(items):
            meta["continue"] = str(first + limit)
        self.send(200, {"kind": "XList", "apiVersion": "v1", "metadata": meta,
                        "items": items[first:first + limit]})

    def stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()

    def chunk(self, data):
        data = data if isinstance(data, bytes) else (json.dumps(data) + "\n").encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def end_stream(self):
        self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def watch(self, path, query):
        api = self.server.api
        at = int(query["resourceVersion"])
        with api.lock:
            if at < api.oldest:
                expired = True
            else:
                expired = False
                epoch = api.epoch
        if expired:
            self.status(410, "Expired", "too old resource version")
            return
        self.stream()
        while True:
            with api.lock:
                while (not api.closing and api.epoch == epoch
                       and not [e for e in api.events if e[0] > at and e[1] == path]):
                    api.lock.wait(0.5)
                if api.closing or api.epoch != epoch:
                    break
                news = [e for e in api.events if e[0] > at and e[1] == path]
            for rv, _, event in news:
                at = rv
                self.chunk(event)
        if api.clean_end:
            self.end_stream()
        else:
            self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # a client that leaves is the ordinary case


class FakeApi:
    def __init__(self, folder, port, crds=("GatewayClass", "Gateway", "HTTPRoute", "ReferenceGrant", "LLMBackend")):
        self.folder = pathlib.Path(folder)
        self.port = port
        self.lock = threading.Condition()
        self.rv = 100
        self.oldest = 0
        self.epoch = 0
        self.clean_end = True
        self.closing = False
        self.events = []
        self.requests = []
        self.faults = {}
        self.tokens = [TOKEN]
        self.leases = {}
        self.store = {p: {} for k, p in PATHS.items() if k in crds or not p.startswith(("/apis/gateway", "/apis/kgateway"))}
        for kind in crds:
            self.put_crd(kind)
        self.certificates()
        self.start()

    def certificates(self):
        run = lambda *a: subprocess.run(["openssl", *a], cwd=self.folder, check=True, capture_output=True)
        for name in ("ca", "other"):
            run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt")
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=api",
            "-keyout", "api.key", "-out", "api.csr")
        (self.folder / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
        run("x509", "-req", "-in", "api.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-out", "api.crt", "-extfile", "ext")

    def start(self):
        self.closing = False
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "api.crt", self.folder / "api.key")
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.server.api = self
        # The handshake happens in the connection's own thread.
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        with self.lock:
            self.closing = True
            self.lock.notify_all()
        self.server.shutdown()
        self.server.server_close()

    def kubeconfig(self, ca="ca.crt"):
        (self.folder / "token").write_text(self.tokens[0] if self.tokens else TOKEN)
        path = self.folder / "config"
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "k", "cluster": {"server": f"https://127.0.0.1:{self.port}", "certificate-authority": ca}}],
            "users": [{"name": "u", "user": {"tokenFile": "token"}}],
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}]}))
        return path

    # --- objects -------------------------------------------------------------------------------

    def _event(self, path, kind, obj):
        self.rv += 1
        obj["metadata"]["resourceVersion"] = str(self.rv)
        self.events.append((self.rv, path, {"type": kind, "object": copy.deepcopy(obj)}))
        self.lock.notify_all()

    def put(self, kind, name, ns="default", path=None, **members):
        path = path or PATHS[kind]
        with self.lock:
            old = self.store[path].get((ns, name))
            same = old and all(old.get(m) == v for m, v in members.items() if m != "status")
            meta = {"name": name, "uid": f"u-{name}", "creationTimestamp": "2026-01-01T00:00:00Z",
                    "generation": (old["metadata"]["generation"] + (not same)) if old else 1,
                    "managedFields": [{"manager": "test"}]}
            if ns:
                meta["namespace"] = ns
            meta.update(members.pop("metadata", {}))
            obj = {"metadata": meta, **members}
            self.store[path][(ns, name)] = obj
            self._event(path, "MODIFIED" if old else "ADDED", obj)
            return obj

    def delete(self, kind, name, ns="default", path=None, quietly=False):
        path = path or PATHS[kind]
        with self.lock:
            obj = self.store[path].pop((ns, name))
            if quietly:
                self.rv += 1
            else:
                self._event(path, "DELETED", obj)

    def put_crd(self, kind, version="v1.7.0"):
        path = PATHS[kind]
        self.store.setdefault(path, {})
        notes = {"gateway.networking.k8s.io/bundle-version": version} if version else {}
        self.put("CustomResourceDefinition", f"{path.split('/')[-1]}.{path.split('/')[2]}", ns="",
                 metadata={"annotations": notes})

    def drop_crd(self, kind):
        path = PATHS[kind]
        with self.lock:
            self.store.pop(path)
        self.delete("CustomResourceDefinition", f"{path.split('/')[-1]}.{path.split('/')[2]}", ns="")

    def bookmark(self, kind):
        with self.lock:
            self.rv += 1
            self.events.append((self.rv, PATHS[kind], {"type": "BOOKMARK", "object": {
                "kind": kind, "metadata": {"resourceVersion": str(self.rv)}}}))
            self.lock.notify_all()
            return self.rv

    def say(self, kind, event):
        """An event as it stands, to all who watch."""
        with self.lock:
            self.rv += 1
            self.events.append((self.rv, PATHS[kind], event))
            self.lock.notify_all()

    def cut(self, clean=True):
        """Ends every watch."""
        with self.lock:
            self.clean_end = clean
            self.epoch += 1
            self.lock.notify_all()

    def expire(self):
        """Every version handed out so far is too old from now on."""
        with self.lock:
            self.events.clear()
            self.rv += 1
            self.oldest = self.rv

    # --- what was asked ------------------------------------------------------------------------

    def asked(self, kind, watch=False):
        return [q for p, q, _ in list(self.requests) if p == PATHS[kind] and bool(q.get("watch")) == watch]

    def base(self):
        """A Gateway with a Service and a route."""
        self.put("Namespace", "default", ns="")
        self.put("GatewayClass", "tandem", ns="", spec={"controllerName": "kgateway.dev/tandem"})
        self.put("Gateway", "edge", spec={"gatewayClassName": "tandem",
                                          "listeners": [{"name": "http", "protocol": "HTTP", "port": 8080}]})
        self.put("Service", "web", spec={"ports": [{"name": "http", "port": 80}]})
        self.put("EndpointSlice", "web-1", metadata={"labels": {"kubernetes.io/service-name": "web"}},
                 addressType="IPv4", endpoints=[{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}],
                 ports=[{"name": "http", "port": 8000, "protocol": "TCP"}])
        self.route("web")


    def route(self, name, host=None, **more):
        spec = {"parentRefs": [{"name": "edge"}], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]}
        if host:
            spec["hostnames"] = [host]
        spec.update(more)
        return self.put("HTTPRoute", name, spec=spec)
