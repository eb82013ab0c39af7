# SPDX-License-Identifier: Apache-2.0
"""WebSocket over HTTP/1.1: what becomes a tunnel and what must not, bytes both ways, and its end."""
import base64
import os
import signal
import socket
import struct
import threading
import time

import pytest
import websockets.exceptions
import websockets.sync.client

from certs import Ca, listener, secret
from harness import GATEWAY, SLOW, Reader, Stack, docs, free_ports, read_all, route, service, wait_for
from plane import Plane, backend, rule, to
from ws_server import Echo

RULES = """
  - matches: [{path: {type: PathPrefix, value: /ws}}]
    filters:
    - type: ResponseHeaderModifier
      responseHeaderModifier: {set: [{name: x-answer, value: changed}]}
    backendRefs: [{name: ws, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /raw}}]
    backendRefs: [{name: raw, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /}}]
    backendRefs: [{name: web, port: 80}]
"""
YAML = docs(GATEWAY, service("web"), service("ws"), service("raw"), route("web", RULES))
ASK = ("GET {path} HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
       "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n")
GRANT = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


class Raw:
    """An upstream that answers with the bytes it is told, and keeps what it gets."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.answer = GRANT
        self.connections = []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            s.settimeout(20)
            got = b""
            while b"\r\n\r\n" not in got:
                piece = s.recv(65536)
                if not piece:
                    break
                got += piece
            if not got:
                s.close()
                continue
            self.connections.append((s, got))
            s.sendall(self.answer)

    def last(self, n=1):
        wait_for("a connection at the upstream", lambda: len(self.connections) >= n)
        return self.connections[-1]


@pytest.fixture(scope="module")
def up():
    class Up:
        ws_port, raw_port = free_ports(2)
        ws, raw = Echo(ws_port), Raw(raw_port)
    yield Up
    Up.ws.close()
    Up.raw.listener.close()


def stack(up, *dp_args, yaml=YAML):
    return Stack(yaml, dp_args=dp_args, endpoints={"default/ws": f"127.0.0.1:{up.ws_port}",
                                                   "default/raw": f"127.0.0.1:{up.raw_port}"})


@pytest.fixture(scope="module")
def t(up):
    with stack(up) as s:
        yield s


def connect(t, path, **kw):
    kw = {"compression": None, "max_size": None, "ping_interval": None, **kw}
    return websockets.sync.client.connect(f"ws://127.0.0.1:{t.port}{path}", proxy=None,
                                          open_timeout=10 * SLOW, close_timeout=5 * SLOW, **kw)


def ask(t, path, more=""):
    """A raw client whose request was sent."""
    s = t.connect()
    s.sendall(ASK.format(path=path, more=more).encode())
    return s


def frame(payload, opcode=2):
    mask = os.urandom(4)
    body = bytes(b ^ mask[i & 3] for i, b in enumerate(payload))
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + body


def lines_of(t, path):
    return [l for l in t.access_lines() if l.get("path") == path]


# --- what must not become a tunnel -----------------------------------------------------------------

@pytest.mark.parametrize("name,head", [
    ("h2c", "GET {p} HTTP/1.1\r\nHost: t\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
            "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"),
    ("unknown", "GET {p} HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: x/1\r\n\r\n"),
    ("unnamed", "GET {p} HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\n\r\n"),
    ("post", "POST {p} HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             "Content-Length: 0\r\n\r\n"),
    ("body", "GET {p} HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             "Content-Length: 2\r\n\r\nhi"),
])
def test_another_upgrade_is_passed_on_without_it(t, up, name, head):
    up.raw.answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    n = len(up.raw.connections)
    with t.connect() as s:
        s.sendall(head.replace("{p}", "/raw/" + name).encode())
        assert Reader(s).response().body == b"ok"
    assert b"upgrade" not in up.raw.last(n + 1)[1].lower()
    assert b"http2-settings" not in up.raw.last(n + 1)[1].lower()


@pytest.mark.parametrize("head", [
    b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 101 S\r\n\r\n",
])
def test_a_101_to_something_else_is_502(t, up, head):
    up.raw.answer = head
    with ask(t, "/raw/odd") as s:
        r = Reader(s).response()
        assert r.status == 502
        assert "101" in r.json()["detail"]


def test_a_101_that_nobody_asked_for_is_502(t, up):
    up.raw.answer = GRANT
    assert t.get("/raw/plain").status == 502


@pytest.mark.parametrize("status", ["426 Upgrade Required", "200 OK", "301 Moved Permanently"])
def test_smuggling_another_answer_is_no_tunnel(t, up, status):
    """What follows the request is the next request, judged by its own route."""
    up.raw.answer = (f"HTTP/1.1 {status}\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"
                     "Content-Length: 2\r\n\r\nno").encode()
    n = len(up.raw.connections)
    with ask(t, "/raw/no") as s:
        s.sendall(b"GET /bytes/3 HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        reader = Reader(s)
        first, second = reader.response(), reader.response()
    assert (first.status, first.body) == (int(status[:3]), b"no")
    assert first.header("upgrade") is None
    assert (second.status, len(second.body)) == (200, 3)
    assert b"/bytes/3" not in up.raw.last(n + 1)[1]


def test_a_refusal_is_an_ordinary_answer(t, up):
    with pytest.raises(websockets.exceptions.InvalidStatus) as e:
        connect(t, "/ws/refuse")
    assert e.value.response.status_code == 403
    assert e.value.response.body == b"not you\n"


# --- a tunnel -----------------------------------------------------------------------------------------

def test_upgrade_fields_are_passed_on(t, up):
    up.raw.answer = GRANT
    n = len(up.raw.connections)
    with ask(t, "/raw/head", "Origin: http://a\r\nSec-WebSocket-Protocol: x\r\n") as s:
        head = up.raw.last(n + 1)[1].decode().lower()
        answer = s.recv(4096)
    assert head.count("connection: upgrade\r\n") == 1
    assert head.count("upgrade: websocket\r\n") == 1
    for field in ("sec-websocket-key: dghlihnhbxbszsbub25jzq==", "sec-websocket-version: 13",
                  "sec-websocket-protocol: x", "origin: http://a", "x-request-id: "):
        assert field in head
    assert answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"\r\nUpgrade: websocket\r\n" in answer
    assert b"\r\nConnection: Upgrade\r\n" in answer
    for absent in (b"content-length", b"transfer-encoding", b"connection: close"):
        assert absent not in answer.lower()


def test_echo_subprotocol_and_filters(t):
    with connect(t, "/ws/echo", subprotocols=["a"]) as c:
        assert c.subprotocol == "a"
        assert c.response.headers["x-answer"] == "changed"
        assert c.response.headers["x-request-id"]
        c.send("hello")
        assert c.recv(5) == "hello"
        c.send(b"\x00\xff")
        assert c.recv(5) == b"\x00\xff"
        assert c.ping().wait(5)


def test_compressed_frames_are_not_looked_at(t):
    with connect(t, "/ws/deflate", compression="deflate") as c:
        c.send("x" * 100000)
        assert c.recv(10) == "x" * 100000


def test_large_messages(t):
    with connect(t, "/ws/large") as c:
        for size in (125, 126, 65536, 1 << 20, 16 << 20):
            data = os.urandom(size)
            c.send(data)
            assert c.recv(30 * SLOW) == data


def test_both_directions_at_once(t):
    n, size = 400, 20000
    with connect(t, "/ws/both") as c:
        def send():
            for i in range(n):
                c.send(struct.pack(">I", i) + bytes(size))
        sender = threading.Thread(target=send)
        sender.start()
        for i in range(n):
            assert c.recv(20 * SLOW)[:4] == struct.pack(">I", i)
        sender.join(20 * SLOW)
        assert not sender.is_alive()


def test_bytes_that_come_before_the_answer_wait_for_it(t, up):
    """A client may not send frames before the 101; where it does, they are the tunnel's."""
    with ask(t, "/ws/early") as s:
        s.sendall(frame(b"early"))
        got = b""
        while b"\x82\x05early" not in got:
            piece = s.recv(4096)
            assert piece
            got += piece


def test_a_slow_reader_holds_the_sender_back(t):
    before = t.dp.rss_kib()
    with ask(t, "/ws/flood") as s:
        time.sleep(1.5)
        grown = t.dp.rss_kib() - before
        assert grown < 8 * 1024 * SLOW
        assert s.recv(100).startswith(b"HTTP/1.1 101")


def test_a_slow_upstream_holds_the_client_back(t, up):
    up.raw.answer = GRANT
    before = t.dp.rss_kib()
    with ask(t, "/raw/slow") as s:
        assert s.recv(4096).startswith(b"HTTP/1.1 101")
        s.settimeout(1)
        sent = 0
        with pytest.raises(socket.timeout):
            while sent < 256 << 20:
                sent += s.send(bytes(1 << 20))
        assert sent < 64 << 20
        assert t.dp.rss_kib() - before < 8 * 1024 * SLOW


def test_over_tls(up):
    """wss from a client, to a Service whose port says kubernetes.io/ws."""
    ca = Ca()
    ws = service("ws").replace("port: 80", "port: 80, appProtocol: kubernetes.io/ws")
    yaml = docs(GATEWAY.rstrip("\n") + "\n" + listener("a", "a.test", "a"), ws,
                secret("a", *ca.leaf("a.test")),
                route("ws", "  - backendRefs: [{name: ws, port: 80}]"))
    with Stack(yaml, endpoints={"default/ws": f"127.0.0.1:{up.ws_port}"}) as s:
        raw = socket.create_connection(("127.0.0.1", s.port2), 10)
        with websockets.sync.client.connect("wss://a.test/tls", sock=raw, ssl=ca.context(),
                                            proxy=None, compression=None, max_size=None) as c:
            for size in (1, 70000, 4 << 20):
                data = os.urandom(size)
                c.send(data)
                assert c.recv(20 * SLOW) == data
            assert c.ping().wait(5)
            c.close(4000, "over")
        wait_for("the code", lambda: (4000, "over") in [c[:2] for c in up.ws.closed])
        assert wait_for("the line", lambda: lines_of(s, "/tls"))[0]["status"] == 101


# --- its end --------------------------------------------------------------------------------------------

def test_close_codes_pass_both_ways(t, up):
    with connect(t, "/ws/close") as c:
        with pytest.raises(websockets.exceptions.ConnectionClosed):
            c.recv(5)
        assert (c.close_code, c.close_reason) == (4321, "enough")
    with connect(t, "/ws/code") as c:
        c.send("x")
        assert c.recv(5) == "x"
        c.close(4567, "bye")
    wait_for("the code", lambda: (4567, "bye") in [c[:2] for c in up.ws.closed])


def test_access_log_line_at_the_end(t):
    with connect(t, "/ws/log") as c:
        for _ in range(3):
            c.send(b"12345")
            assert c.recv(5) == b"12345"
        time.sleep(0.3)
        assert lines_of(t, "/ws/log") == []
    line = wait_for("the line", lambda: lines_of(t, "/ws/log"))[0]
    assert (line["status"], line["upstream_status"]) == (101, 101)
    # Masked frames in, plain ones out, and a close frame each.
    assert line["bytes_in"] == 3 * (5 + 6) + 8
    assert line["bytes_out"] == 3 * (5 + 2) + 4
    assert line["duration_us"] >= 300000
    assert "error" not in line
    assert line["route"] == "default/web"


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_a_client_that_vanishes_is_told_to_the_upstream(t, up, how):
    with ask(t, "/ws/gone-" + how) as s:
        while b"\r\n\r\n" not in s.recv(4096):
            pass
        n = len(wait_for("others' ends", lambda: len(up.ws.closed) == len(up.ws.paths) - 1
                         and up.ws.closed))
        if how == "reset":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        at = time.monotonic()
    ended = wait_for("the upstream's end", lambda: up.ws.closed[n:])[0]
    assert ended[0] == 1006
    assert ended[2] - at < 1 * SLOW
    assert wait_for("the line", lambda: lines_of(t, "/ws/gone-" + how))[0]["status"] == 101


def test_a_client_that_vanishes_while_the_upstream_is_silent(t, up):
    """The upstream neither reads nor ends: the tunnel is over all the same."""
    up.raw.answer = GRANT
    n = len(up.raw.connections)
    with ask(t, "/raw/mute") as s:
        assert s.recv(4096).startswith(b"HTTP/1.1 101")
        upstream = up.raw.last(n + 1)[0]
    at = time.monotonic()
    assert read_all(upstream) == b""
    assert time.monotonic() - at < 1 * SLOW
    line = wait_for("the line", lambda: lines_of(t, "/raw/mute"), 5)[0]
    assert line["status"] == 101


def test_what_was_sent_before_the_end_arrives(t, up):
    up.raw.answer = GRANT
    n = len(up.raw.connections)
    data = os.urandom(3 << 20)
    with ask(t, "/raw/rest") as s:
        assert s.recv(4096).startswith(b"HTTP/1.1 101")
        upstream = up.raw.last(n + 1)[0]
        got = []
        reader = threading.Thread(target=lambda: got.append(read_all(upstream)))
        reader.start()
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        reader.join(10 * SLOW)
        assert got and got[0] == data
        # The other direction still has a moment: a closing handshake's answer comes through.
        upstream.sendall(b"\x88\x00")
        upstream.close()
        assert read_all(s) == b"\x88\x00"


def test_an_upstream_that_closes_ends_both(t, up):
    up.raw.answer = GRANT + b"last words"
    n = len(up.raw.connections)
    with ask(t, "/raw/ends") as s:
        upstream = up.raw.last(n + 1)[0]
        upstream.shutdown(socket.SHUT_WR)
        assert read_all(s).endswith(b"\r\n\r\nlast words")
        upstream.settimeout(5)
        assert upstream.recv(1) == b""


def test_an_upstream_that_breaks_off_is_a_reset(t, up):
    up.raw.answer = GRANT
    n = len(up.raw.connections)
    with ask(t, "/raw/breaks") as s:
        assert s.recv(4096).startswith(b"HTTP/1.1 101")
        upstream = up.raw.last(n + 1)[0]
        upstream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        upstream.close()
        with pytest.raises(ConnectionResetError):
            while s.recv(4096):
                pass
    assert wait_for("the line", lambda: lines_of(t, "/raw/breaks"))[0]["error"]


def test_the_connection_is_not_used_again(t, up):
    """Neither the upstream's nor the client's: what follows the tunnel is nobody's."""
    before = t.metric("tandem_upstream_connects_total", endpoint=f"127.0.0.1:{up.ws_port}")
    for _ in range(3):
        with connect(t, "/ws/again") as c:
            c.send("x")
            assert c.recv(5) == "x"
    after = t.metric("tandem_upstream_connects_total", endpoint=f"127.0.0.1:{up.ws_port}")
    assert after - before == 3


def test_requests_of_model_routes_do_not_upgrade(up):
    yaml = docs(YAML, """
apiVersion: kgateway.dev/v1alpha1
kind: LLMBackend
metadata: {name: m}
spec: {provider: custom, dialect: chat, baseURL: "http://127.0.0.1:$MODEL/v1"}
""", route("models", """
  - matches: [{path: {type: PathPrefix, value: /v1}}]
    backendRefs: [{group: kgateway.dev, kind: LLMBackend, name: m}]
"""))
    with stack(up, yaml=yaml) as s:
        with ask(s, "/v1/chat/completions") as c:
            r = Reader(c).response()
            assert r.status == 405
            assert r.json()["error"]


# --- times -----------------------------------------------------------------------------------------------

def test_times_of_a_tunnel(up):
    """Silence ends it, a whole request's time does not."""
    with stack(up, "--timeout-stream", f"{1 * SLOW}s", "--timeout-request", f"{2 * SLOW}s") as s:
        with connect(s, "/ws/busy") as c:
            end = time.monotonic() + 3 * SLOW
            while time.monotonic() < end:
                assert c.ping().wait(5)
                time.sleep(0.2)
            at = time.monotonic() - 0.2
            with pytest.raises(websockets.exceptions.ConnectionClosed):
                c.recv(10 * SLOW)
            assert 0.9 * SLOW < time.monotonic() - at < 3 * SLOW
        line = wait_for("the line", lambda: lines_of(s, "/ws/busy"))[0]
        assert line["status"] == 101
        assert "nothing moved" in line["error"]


@pytest.mark.parametrize("timeouts,is_cut", [({"request_ms": 1500 * SLOW}, True),
                                             ({"backend_ms": 500 * SLOW}, False)])
def test_times_of_the_route(up, timeouts, is_cut):
    """The whole request's is for tunnels too, that of an attempt ends with the 101."""
    class Ws(Plane):
        def write(self, path):
            self.resources[backend("ws")]["protocol"] = "ws"
            super().write(path)
    with Ws([rule(backends=[to("ws")], timeouts=timeouts)], {"ws": up.ws_port}) as p:
        with connect(p, "/timed") as c:
            at = time.monotonic()
            try:
                while time.monotonic() - at < 3 * SLOW:
                    pong = c.ping()
                    # Nobody answers a ping that met the cut: the next one says so.
                    assert pong.wait(1) or is_cut
                    time.sleep(0.1)
                assert not is_cut
            except websockets.exceptions.ConnectionClosed:
                assert is_cut
                assert SLOW < time.monotonic() - at
        line = wait_for("the line", lambda: lines_of(p, "/timed"))[0]
        assert line["status"] == 101
        assert ("lasted longer" in line.get("error", "")) == is_cut


def test_drain_gives_tunnels_the_grace_period(up):
    with stack(up, "--grace", f"{3 * SLOW}s") as s:
        with connect(s, "/ws/kept") as kept, connect(s, "/ws/ended") as ended:
            at = time.monotonic()
            s.dp.signal(signal.SIGTERM)
            time.sleep(1.5 * SLOW)
            for c in (kept, ended):
                c.send("still here")
                assert c.recv(5) == "still here"
            ended.close()
            with pytest.raises(websockets.exceptions.ConnectionClosed):
                kept.recv(10 * SLOW)
            assert 2.5 * SLOW < time.monotonic() - at < 6 * SLOW
        assert s.dp.process.wait(10 * SLOW) == 0
