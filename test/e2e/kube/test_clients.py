# SPDX-License-Identifier: Apache-2.0
"""Real clients through one Gateway whose objects kubectl applied: curl with every version of HTTP,
grpcio and websockets, over a plain listener and over TLS."""
import json
import os
import socket
import subprocess

import grpc
import pytest
import websockets.exceptions
import websockets.sync.client

from certs import Ca, secret
from cluster import Cluster
from grpc_server import OPTIONS, Server, call
from harness import SLOW, free_ports, wait_for
from line import Plane, docs, gateway, route, service
from ws_server import Echo

LISTENERS = """
- {name: http, protocol: HTTP, port: 8080}
- {name: a, protocol: HTTPS, port: 8443, hostname: a.test, tls: {certificateRefs: [{name: a}]}}
- {name: b, protocol: HTTPS, port: 8443, hostname: "*.b.test", tls: {certificateRefs: [{name: b}]}}
"""
ROUTES = docs(route("web", "- backendRefs: [{name: web, port: 80}]"), route("calls", """
- matches: [{path: {value: /test.Service}}]
  backendRefs: [{name: calls, port: 80}]
- matches: [{path: {value: /test.Nobody}}]
  backendRefs: [{name: nobody, port: 80}]
- matches: [{path: {value: /test.Nothing}}]
  backendRefs: [{name: nothing, port: 80}]
"""), route("ws", """
- matches: [{path: {value: /ws}}]
  backendRefs: [{name: ws, port: 80}]
- matches: [{path: {value: /plain}}]
  backendRefs: [{name: ws-plain, port: 80}]
"""), route("only-a", """
- matches: [{path: {value: /only-a}}]
  backendRefs: [{name: web, port: 80}]
""", parents="[{name: edge, sectionName: a}]"))


class Served:
    """What all tests of the file share: servers, objects, one data plane."""

    def __init__(self, api, controller, backend):
        host = backend.address
        self.cluster, self.ca, ws_port = Cluster(api), Ca(), free_ports(1)[0]
        self.calls, self.echo, self.plane = Server(host=host), Echo(ws_port, host), None
        try:
            self.cluster.apply(docs(
                gateway(listeners=LISTENERS), ROUTES, service(backend),
                secret("a", *self.ca.leaf("a.test")), secret("b", *self.ca.leaf("*.b.test")),
                service(backend, "calls", slice_port=self.calls.port, protocol="kubernetes.io/h2c"),
                service(backend, "nobody", slice_port=free_ports(1)[0],
                        protocol="kubernetes.io/h2c"),
                service(backend, "ws", slice_port=ws_port, protocol="kubernetes.io/ws"),
                service(backend, "ws-plain", slice_port=ws_port)))
            self.plane = Plane(controller, f"{self.cluster.ns}/edge", token=self.cluster.token(),
                               ports=(8080, 8443))
            for name in ("web", "calls", "ws", "only-a"):
                self.cluster.wait_condition("HTTPRoute", name, "Programmed")
            self.cluster.wait_condition("Gateway", "edge", "Programmed")
        except BaseException:
            if self.plane:
                print(self.plane.logs())
            self.close()
            raise

    def close(self):
        self.cluster.close()
        self.echo.close()
        self.calls.__exit__()
        if self.plane:
            self.plane.close()

    def port(self, scheme):
        return self.plane.ports[8443 if scheme in ("https", "wss") else 8080]

    def curl(self, url, *args):
        """A command that asks this data plane, whatever the host of the URL."""
        to = f"::127.0.0.1:{self.port(url.partition(':')[0])}"
        return ["curl", "-sS", "--noproxy", "*", "--max-time", str(20 * SLOW), "--cacert",
                str(self.ca.pem), "--connect-to", to, *args, url]


@pytest.fixture(scope="module")
def served(api, controller, backend):
    made = Served(api, controller, backend)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def logs(served, request):
    yield
    if getattr(request.node, "failed", False):
        print(served.plane.logs())


# --- curl -----------------------------------------------------------------------------------------

class Curl:
    """What curl says of one URL: exit status, HTTP status and version, body, its complaints."""

    def __init__(self, served, url, *args):
        done = subprocess.run(served.curl(url, "-w", "\n%{http_code} %{http_version}", *args),
                              capture_output=True, timeout=60 * SLOW)
        self.body, _, last = done.stdout.rpartition(b"\n")
        status, self.version = last.decode().split()
        self.exit, self.status, self.err = done.returncode, int(status), done.stderr.decode()


# curl's arguments -> what it must have spoken
PLAIN = [(["--http1.1"], "1.1"), (["--http1.0"], "1.1"), (["--http2-prior-knowledge"], "2"),
         (["--http2"], "1.1")]  # the last asks for an upgrade, which is not taken (RFC 9113 3.1)
TLS = [(["--http1.1"], "1.1"), (["--http2"], "2"), (["--http2", "--no-alpn"], "1.1"),
       (["--http2", "--tls-max", "1.2"], "2"), (["--http1.1", "--tls-max", "1.2"], "1.1")]
EVERY = [("http://x.test", *case) for case in PLAIN] + [
    (f"https://{host}", *case) for host, case in
    zip(("a.test", "x.b.test", "a.test", "x.b.test", "a.test"), TLS)]


def name_of(value):
    return " ".join(value) if isinstance(value, list) else value


@pytest.mark.parametrize("base,args,version", EVERY, ids=name_of)
def test_curl(served, base, args, version):
    """One port takes every version; the backend sees HTTP/1.1 and the same request each time."""
    r = Curl(served, f"{base}/echo?q=1", *args, "-H", "x-mine: 1")
    assert (r.exit, r.status, r.version) == (0, 200, version), r.err
    seen = json.loads(r.body)
    headers = {k.lower(): v for k, v in dict(seen["headers"]).items()}
    assert (seen["path"], seen["query"], headers["x-mine"]) == ("/echo", "q=1", "1")
    assert headers["host"] == base.partition("://")[2]
    assert headers["x-forwarded-proto"] == base.partition(":")[0]
    assert "upgrade" not in headers and "http2-settings" not in headers


@pytest.mark.parametrize("base,args", [(b, a) for b, a, _ in EVERY if "--http1.0" not in a],
                         ids=name_of)
def test_curl_large_bodies(served, base, args, tmp_path):
    file = tmp_path / "body"
    file.write_bytes(os.urandom(3 << 20))
    r = Curl(served, f"{base}/?echo=1", *args, "--data-binary", f"@{file}")
    assert (r.exit, r.status) == (0, 200), r.err
    assert r.body == file.read_bytes()


@pytest.mark.parametrize("url", ["https://c.test/", "https://b.test/", "https://127.0.0.1/"])
def test_curl_a_name_that_nobody_serves(served, url):
    """No certificate at all is shown, with any version of HTTP: curl says which alert came."""
    for args in (["--http2"], ["--http1.1"], ["--http1.1", "-k"]):
        r = Curl(served, url, *args)
        assert (r.exit, r.status) == (35, 0), r.err
        assert "unrecognized name" in r.err


def test_curl_old_tls_is_refused(served):
    r = Curl(served, "https://a.test/", "--tls-max", "1.1", "--ciphers", "ALL:@SECLEVEL=0")
    assert r.exit == 35 and "protocol" in r.err, r.err


@pytest.mark.parametrize("args", [["--http2"], ["--http1.1"]], ids=name_of)
def test_curl_wrong_host(served, args):
    """Another listener's host over a connection: 421. One that nobody knows: 404."""
    for host, status in (("x.b.test", 421), ("nobody.test", 404), ("a.test:443", 200),
                         ("A.TEST", 200)):
        r = Curl(served, "https://a.test/", *args, "-H", f"Host: {host}")
        assert (r.exit, r.status) == (0, status), (host, r.body)


def log_line(served, member, value):
    """The one line of the access log whose member has the value."""
    def read():
        text = (served.plane.folder / "access.log").read_text()
        return [e for e in map(json.loads, text.splitlines()) if e.get(member) == value]
    (line,) = wait_for(f"the line of {value}", read)
    return line


def test_curl_a_route_of_one_listener(served):
    wanted = {"https://a.test": "only-a", "https://x.b.test": "web", "http://a.test": "web"}
    paths = {base: "/only-a/" + base.replace("://", "-") for base in wanted}
    for base, path in paths.items():
        assert Curl(served, base + path).status == 200
    for base, name in wanted.items():
        line = log_line(served, "path", paths[base])
        assert line["route"] == f"{served.cluster.ns}/{name}", base


def test_curl_to_a_service_that_speaks_h2c(served, tmp_path):
    """A call of gRPC as bytes; the log knows what both sides spoke."""
    file = tmp_path / "message"
    file.write_bytes(b"\0\0\0\0\5hello")
    r = Curl(served, "http://x.test/test.Service/Echo", "--http2-prior-knowledge", "-H",
             "te: trailers", "-H", "content-type: application/grpc", "-H", "x-request-id: by-curl",
             "--data-binary", f"@{file}")
    assert (r.exit, r.status, r.body) == (0, 200, file.read_bytes()), r.err
    line = log_line(served, "request_id", "by-curl")
    assert (line["protocol"], line["upstream_status"]) == ("HTTP/2", 200)


def test_curl_many_versions_on_one_port_at_once(served):
    """Each port serves both protocols side by side."""
    for base, flag in (("http://x.test", "--http2-prior-knowledge"), ("https://a.test", "--http2")):
        # Some versions of curl cannot use a connection of prior knowledge twice.
        urls = "/bytes/1000" if base.startswith("http:") else "/bytes/[1000-1009]"
        running = [subprocess.Popen(served.curl(
            base + urls, "-o", "/dev/null", "-w", "%{http_code}/%{http_version}\\n", version),
            stdout=subprocess.PIPE, text=True) for version in (flag, "--http1.1") * 4]
        said = [set(p.communicate(timeout=60 * SLOW)[0].split()) for p in running]
        assert said == [{"200/2"}, {"200/1.1"}] * 4


# --- gRPC -----------------------------------------------------------------------------------------

@pytest.fixture(params=["http", "https"])
def channel(served, request):
    target = f"127.0.0.1:{served.port(request.param)}"
    if request.param == "http":
        made = grpc.insecure_channel(target, options=OPTIONS)
    else:
        trust = grpc.ssl_channel_credentials(served.ca.pem.read_bytes())
        made = grpc.secure_channel(target, trust, options=[
            *OPTIONS, ("grpc.ssl_target_name_override", "a.test")])
    with made as c:
        yield c


def refusal(rpc, **kw):
    with pytest.raises(grpc.RpcError) as e:
        rpc(b"x", timeout=10 * SLOW, **kw)
    return e.value


def test_grpc_refusals(channel):
    e = refusal(call(channel, "Fail"))
    assert (e.code(), e.details()) == (grpc.StatusCode.NOT_FOUND, "no such thing: \u00e4%")
    assert dict(e.trailing_metadata())["grpc-status-details-bin"] == b"\x08\x05details"
    assert refusal(call(channel, "Unknown")).code() == grpc.StatusCode.UNIMPLEMENTED
    # What the gateway itself says: no endpoint that answers, no such Service.
    e = refusal(channel.unary_unary("/test.Nobody/Echo"))
    assert e.code() == grpc.StatusCode.UNAVAILABLE and "cannot connect" in e.details()
    e = refusal(channel.unary_unary("/test.Nothing/Echo"))
    assert e.code() == grpc.StatusCode.UNKNOWN  # HTTP's 500, in the words of gRPC
    assert "cannot be resolved (BackendNotFound)" in e.details()
    answers = call(channel, "FailLate", "unary_stream")(b"x", timeout=10 * SLOW)
    assert next(answers) == b"first"
    with pytest.raises(grpc.RpcError) as late:
        next(answers)
    assert (late.value.code(), late.value.details()) == (grpc.StatusCode.INTERNAL, "then it broke")


def test_grpc_unary_metadata_and_trailers(channel):
    data = os.urandom(1 << 20)
    answer, info = call(channel, "Echo").with_call(
        data, metadata=[("x-ask", "why"), ("x-bin", b"\0\1\xff")], timeout=20 * SLOW)
    assert answer == data
    first, last = dict(info.initial_metadata()), dict(info.trailing_metadata())
    assert (first["x-first"], first["bin-bin"]) == ("why", b"\0\1\xff")
    assert last["x-last"] == str(len(data))


def test_grpc_streams(channel):
    timeout = 20 * SLOW
    assert list(call(channel, "Count", "unary_stream")(b"300", timeout=timeout)) == [
        b"%d" % i for i in range(300)]
    parts = [b"%d" % i for i in range(300)]
    assert call(channel, "Collect", "stream_unary")(iter(parts), timeout=timeout) == \
        b",".join(parts)
    answers = call(channel, "Chat", "stream_stream")(iter(parts), timeout=timeout)
    assert list(answers) == [b"re: " + p for p in parts]


def test_grpc_cancelling_reaches_the_server(channel, served):
    served.calls.cancelled.clear()
    served.calls.started.clear()
    running = call(channel, "HangStream", "stream_stream")(iter([b"x"]), timeout=20 * SLOW)
    assert next(running) == b"x"
    assert served.calls.started.wait(10 * SLOW)
    running.cancel()
    assert served.calls.cancelled.wait(2 * SLOW)


# --- WebSocket ------------------------------------------------------------------------------------

def websocket(served, scheme, path, **kw):
    sock = socket.create_connection(("127.0.0.1", served.port(scheme)), 10)
    tls = {"ssl": served.ca.context()} if scheme == "wss" else {}
    return websockets.sync.client.connect(
        f"{scheme}://a.test{path}", sock=sock, proxy=None, max_size=None, ping_interval=None,
        open_timeout=10 * SLOW, close_timeout=5 * SLOW, **tls, **kw)


# The Service's port says kubernetes.io/ws, or nothing: a tunnel either way.
@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("path", ["/ws", "/plain"])
def test_websocket(served, scheme, path):
    with pytest.raises(websockets.exceptions.InvalidStatus) as e:
        websocket(served, scheme, path + "/refuse")
    assert e.value.response.status_code == 403
    with websocket(served, scheme, path, subprotocols=["one", "two"]) as c:
        assert c.subprotocol == "two"
        c.send("text")
        assert c.recv(5 * SLOW) == "text"
        data = os.urandom(1 << 20)
        c.send(data)
        assert c.recv(20 * SLOW) == data
        assert c.ping().wait(5 * SLOW)
        c.close(4001, f"{scheme}{path}")
    wait_for("the code", lambda: (4001, f"{scheme}{path}") in [x[:2] for x in served.echo.closed])
    with websocket(served, scheme, path + "/close") as c:
        with pytest.raises(websockets.exceptions.ConnectionClosed):
            c.recv(5 * SLOW)
        assert (c.close_code, c.close_reason) == (4321, "enough")


def test_websocket_to_a_service_that_speaks_h2c_is_no_tunnel(served):
    with pytest.raises(websockets.exceptions.InvalidStatus) as e:
        websocket(served, "ws", "/test.Service/Echo")
    assert e.value.response.status_code != 101
