# SPDX-License-Identifier: Apache-2.0
"""Services that speak HTTP/2 without TLS (appProtocol kubernetes.io/h2c), HTTP/1.1 clients in front."""
import json
import os
import socket
import struct
import threading
import time

import pytest
from h2_upstream import H2Upstream
from harness import SLOW, Reader, free_ports, read_all, read_response, wait_for
from plane import Plane, Upstream, backend, rule, to


class H2Plane(Plane):
    """One rule to the Service web, which speaks h2c, and one to plain, which does not."""

    def __init__(self, up, *, dp_args=(), plain=None, **more):
        rules = [rule(0, "/", [to("web")], **more)]
        services = {"web": up}
        if plain:
            rules.append(rule(1, "/plain", [to("plain")]))
            services["plain"] = plain
        super().__init__(rules, services, dp_args=dp_args)

    def write(self, path):
        self.resources[backend("web")]["protocol"] = "h2c"
        super().write(path)


@pytest.fixture()
def up():
    with H2Upstream() as u:
        yield u
        assert not [e for e in u.errors if "Protocol" in type(e).__name__], u.errors


def post(p, path, body, *, headers="", chunks=None, trailers=""):
    s = p.connect()
    if chunks is None:
        head = f"POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        s.sendall(head.encode() + body)
    else:
        head = f"POST {path} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n{headers}\r\n"
        s.sendall(head.encode())
        for c in chunks:
            s.sendall(b"%x\r\n%s\r\n" % (len(c), c))
        s.sendall(b"0\r\n" + trailers.encode() + b"\r\n")
    return s


def echo(s):
    assert s.ended.wait(20 * SLOW)
    s.answer(200, [("x-seen", json.dumps(s.headers))], body=s.body,
             trailers=[("x-end", str(len(s.body))), *s.trailers.items()])


# --- faults -------------------------------------------------------------------------------------------

def test_an_upstream_that_speaks_http11_is_502(up):
    with Upstream() as plain, H2Plane(plain) as p:
        r = p.get("/")
        assert r.status == 502
        assert plain.requests == []


def test_no_upstream_is_503():
    with H2Plane(free_ports(1)[0]) as p:
        r = p.get("/")
        assert r.status == 503
        assert "cannot connect" in r.json()["detail"]


def test_an_upstream_without_settings_is_504(up):
    up.silent = True
    with H2Plane(up, dp_args=["--timeout-connect", f"{SLOW}s"]) as p:
        begin = time.monotonic()
        assert p.get("/").status == 504
        assert time.monotonic() - begin < 8 * SLOW


def test_an_upstream_that_closes_without_a_word_is_502():
    listener = socket.create_server(("127.0.0.1", 0))
    def run():
        try:
            while True:
                s, _ = listener.accept()
                s.recv(100)
                s.close()
        except OSError:
            pass
    threading.Thread(target=run, daemon=True).start()
    with H2Plane(listener.getsockname()[1]) as p:
        r = p.get("/")
        assert r.status == 502
        assert "HTTP/2" in r.json()["detail"]
    listener.close()


@pytest.mark.parametrize("code", [2, 8, 11])
def test_a_reset_before_the_answer_is_502(up, code):
    up.on_request = lambda s: s.refuse(code)
    with H2Plane(up) as p:
        assert p.get("/").status == 502
        assert len(up.requests) == 1


def test_an_answer_that_is_reset_in_the_middle_is_cut(up):
    def some(s):
        s.head(200, [("content-length", "100")])
        s.data(b"x" * 10)
        time.sleep(0.3)
        s.refuse(2)
    up.on_request = some
    with H2Plane(up) as p, p.connect() as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        assert not read_response(s).complete
        assert p.access_lines()[0]["error"]


def test_a_connection_that_is_lost_in_the_middle_is_cut(up):
    def some(s):
        s.head(200)
        s.data(b"x" * 10)
        time.sleep(0.3)
        s.conn.close()
    up.on_request = some
    with H2Plane(up) as p, p.connect() as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        assert not read_response(s).complete


# --- messages -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("size", [0, 1, 16384, 100000, 8 << 20])
def test_bodies_of_every_size_both_ways(up, size):
    up.on_request = echo
    data = os.urandom(size)
    with H2Plane(up) as p:
        for chunks in (None, [data[i:i + 50000] for i in range(0, size, 50000)]):
            with post(p, "/x", data, chunks=chunks) as s:
                r = read_response(s)
            assert (r.status, r.body == data) == (200, True)
            assert r.trailers["x-end"] == str(size)


def test_heads(up):
    up.on_request = echo
    with H2Plane(up) as p:
        with post(p, "/a%20b?q=1", b"", headers="X-Up: Case\r\nConnection: keep-alive, x-gone\r\n"
                  "X-Gone: 1\r\nCookie: a=1; b=2\r\n") as s:
            seen = json.loads(read_response(s).header("x-seen"))
    assert (seen[":method"], seen[":path"], seen[":scheme"]) == ("POST", "/a%20b?q=1", "http")
    assert (seen[":authority"], seen["x-up"], seen["cookie"]) == ("t", "Case", "a=1; b=2")
    assert seen["x-forwarded-for"] == "127.0.0.1"
    for absent in ("host", "connection", "x-gone", "transfer-encoding", "upgrade"):
        assert absent not in seen


def test_trailers_of_requests(up):
    up.on_request = echo
    with H2Plane(up) as p, post(p, "/", b"", chunks=[b"abc"], trailers="X-Sum: 7\r\n") as s:
        r = read_response(s)
        assert (r.body, r.trailers["x-sum"]) == (b"abc", "7")


def test_http_04_an_answer_that_ends_with_its_head(up):
    up.on_request = lambda s: s.answer(200, [("content-type", "application/grpc"),
                                             ("grpc-status", "5"), ("grpc-message", "not%20found")])
    with H2Plane(up) as p:
        r = p.get("/")
        assert (r.status, r.body, r.header("grpc-status")) == (200, b"", "5")
        assert r.header("grpc-message") == "not%20found"


def test_head_204_and_304(up):
    def any_of(s):
        status = int(s.path[1:])
        s.answer(status, [("content-length", "7")] if status != 204 else [])
    up.on_request = any_of
    with H2Plane(up) as p, p.connect() as s:
        reader = Reader(s)
        for method, status in (("HEAD", 200), ("GET", 204), ("GET", 304), ("HEAD", 404)):
            s.sendall(f"{method} /{status} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
            assert reader.response(head_only=True).status == status
        assert len(up.conns) == 1


def test_interim_answers(up):
    def hints(s):
        s.conn.h2.config.validate_outbound_headers = False
        with s.conn.lock:
            s.conn.h2.send_headers(s.id, [(":status", "103"), ("link", "</a>")])
            s.conn.flush()
        s.answer(200, body=b"ok")
    up.on_request = hints
    with H2Plane(up) as p:
        got = p.raw(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        assert got.startswith(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n")
        assert b"\r\n\r\nHTTP/1.1 200 OK\r\n" in got


def test_an_early_answer_ends_the_body(up):
    """The upstream answers without reading on: the answer arrives, the connection goes on."""
    up.credit = False
    def early(s):
        s.answer(413, body=b"too large")
        with s.conn.lock:
            s.conn.h2.reset_stream(s.id, 0)
            s.conn.flush()
    up.on_request = early
    with H2Plane(up) as p:
        s = p.connect()
        s.sendall(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 50000000\r\n\r\n" + bytes(100000))
        r = read_response(s)
        assert (r.status, r.body) == (413, b"too large")
        s.close()
        up.on_request = lambda s: s.answer(200, body=b"hello")
        assert p.get("/").body == b"hello"
        assert len(up.conns) == 1


# --- back-pressure and cancelling -----------------------------------------------------------------------

def test_a_slow_client_holds_its_upstream_back_and_nobody_else(up):
    sent = []
    def flood(s):
        if s.path != "/flood":
            s.answer(200, body=b"x" * 10000)
            return
        s.head(200)
        while True:
            s.data(bytes(16384))
            sent.append(16384)
    up.on_request = flood
    with H2Plane(up) as p:
        before = int(p.dp.rss_kib())
        slow = [p.connect() for _ in range(4)]
        for s in slow:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            s.sendall(b"GET /flood HTTP/1.1\r\nHost: t\r\n\r\n")
        time.sleep(1)
        for _ in range(20):
            assert len(p.get("/").body) == 10000
        first = sum(sent)
        time.sleep(0.5)
        assert sum(sent) == first
        assert p.dp.rss_kib() - before < 8 * 1024 * SLOW
        assert len(up.conns) == 1
        for s in slow:
            s.close()
        wait_for("resets", lambda: all(r.reset.is_set() for r in up.requests if r.path == "/flood"))


def test_a_slow_upstream_holds_the_client_back(up):
    up.credit = False
    up.on_request = lambda s: s.ended.wait(20)
    with H2Plane(up) as p, p.connect() as s:
        before = p.dp.rss_kib()
        s.sendall(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 500000000\r\n\r\n")
        s.settimeout(1)
        sent = 0
        with pytest.raises(socket.timeout):
            while True:
                sent += s.send(bytes(1 << 20))
        assert sent < 32 << 20
        assert p.dp.rss_kib() - before < 8 * 1024 * SLOW


@pytest.mark.parametrize("when", ["waiting", "streaming"])
def test_limits_03_a_client_that_leaves_cancels_the_stream(up, when):
    def slow(s):
        if when == "streaming":
            s.head(200)
            s.data(b"first")
        s.reset.wait(10)
    up.on_request = slow
    with H2Plane(up) as p:
        s = p.connect()
        s.sendall(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        up.wait(1)
        if when == "streaming":
            got = b""
            while b"first" not in got:
                got += s.recv(4096)
        at = time.monotonic()
        s.close()
        assert up.requests[0].reset.wait(1 * SLOW)
        assert time.monotonic() - at < 1 * SLOW
        assert up.requests[0].reset_code == 8
        up.on_request = lambda s: s.answer(200, body=b"hello")
        assert p.get("/").body == b"hello"
        assert len(up.conns) == 1


def test_a_request_that_takes_too_long_is_cancelled(up):
    up.on_request = lambda s: s.reset.wait(10)
    with H2Plane(up, timeouts={"request_ms": 500}) as p:
        assert p.get("/").status == 504
        assert up.requests[0].reset.wait(1 * SLOW)


# --- connections --------------------------------------------------------------------------------------------

def many(p, n, path="/"):
    """n requests at once; their statuses."""
    conns = [p.connect() for _ in range(n)]
    for s in conns:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
    found = [read_response(s).status for s in conns]
    for s in conns:
        s.close()
    return found


def test_requests_share_a_connection(up):
    gate = threading.Barrier(50)
    up.on_request = lambda s: (gate.wait(20), s.answer(200, body=b"x"))
    with H2Plane(up) as p:
        assert many(p, 50) == [200] * 50
        assert len(up.conns) == 1
        assert p.metric("tandem_connections", side="upstream") == 1


@pytest.mark.parametrize("limit", [1, 3, 10])
def test_the_upstreams_limit_is_kept(limit):
    with H2Upstream(max_streams=limit) as up:
        gate = threading.Barrier(20)
        up.on_request = lambda s: (gate.wait(20), s.answer(200, body=b"x"))
        with H2Plane(up) as p:
            assert many(p, 20) == [200] * 20
            assert not up.errors
            assert 20 // limit <= len(up.conns) <= 20 // limit + 2
            assert p.metric("tandem_upstream_retries_total") == 0


def test_connections_are_bounded_and_requests_wait():
    """With one stream each, 64 connections; the 65th request waits for a place, not for ever."""
    with H2Upstream(max_streams=1) as up:
        go = threading.Event()
        up.on_request = lambda s: (go.wait(20), s.answer(200, body=b"x"))
        with H2Plane(up, dp_args=["--timeout-connect", f"{3 * SLOW}s"]) as p:
            conns = [p.connect() for _ in range(70)]
            for s in conns:
                s.sendall(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
            up.wait(64, 20)
            time.sleep(0.5)
            assert (len(up.conns), len(up.requests)) == (64, 64)
            go.set()
            assert [read_response(s).status for s in conns] == [200] * 70
            assert len(up.conns) == 64
            for s in conns:
                s.close()


def test_no_place_in_time_is_504():
    with H2Upstream(max_streams=0) as up:
        with H2Plane(up, dp_args=["--timeout-connect", f"{SLOW}s"]) as p:
            assert p.get("/").status == 504
            assert up.requests == []


@pytest.mark.parametrize("body", [None, b"", b"some"])
def test_a_refused_stream_is_sent_elsewhere(body):
    """REFUSED_STREAM (RFC 9113 8.7): nothing was done, so that any method may be repeated."""
    with H2Upstream() as one, H2Upstream() as two:
        both = [one, two]
        def refuse(s):
            if sum(len(u.requests) for u in both) == 1:
                s.refuse(7)
            else:
                s.answer(200, body=b"done")
        one.on_request = two.on_request = refuse
        with H2Plane(both) as p:
            if body is None:
                assert p.get("/").body == b"done"
            else:
                with post(p, "/", body, chunks=[body] if body else []) as s:
                    r = read_response(s)
                # The body was on its way already: it cannot be sent again.
                assert r.status == (502 if body else 200)
            if not body:
                assert (len(one.requests), len(two.requests)) == (1, 1)


def test_goaway_repeats_what_was_not_seen_and_lets_the_rest_finish(up):
    """Streams above the last one go elsewhere, others end well, and so does the connection."""
    def work(s):
        if s.path == "/long":
            s.head(200)
            s.data(b"begin ")
            release.wait(10)
            s.conn.send_raw_data(s.id, b"end", True)
        elif len(up.conns) == 1:
            last = max(i for i in s.conn.streams if s.conn.streams[i].path == "/long")
            s.conn.raw_goaway(last)
        else:
            s.answer(200, body=b"again")
    release = threading.Event()
    up.on_request = work
    with H2Plane(up) as p:
        long = p.connect()
        long.sendall(b"GET /long HTTP/1.1\r\nHost: t\r\n\r\n")
        up.wait(1)
        with post(p, "/new", b"") as s:
            r = read_response(s)
        assert (r.status, r.body) == (200, b"again")
        assert len(up.conns) == 2
        release.set()
        assert read_response(long).body == b"begin end"
        assert p.get("/more").body == b"again"
        assert len(up.conns) == 2
        wait_for("the old connection's end", up.conns[0].closed.is_set)
        long.close()


def test_a_dead_pooled_connection_is_not_the_requests_fault(up):
    up.on_request = lambda s: s.conn.close() if len(up.requests) == 2 else s.answer(200, body=b"x")
    with H2Plane(up) as p:
        assert p.get("/").status == 200
        assert p.get("/").status == 200
        assert len(up.conns) == 2
        assert p.access_lines(2)[1]["attempts"] == 2


def test_what_may_have_been_done_is_not_repeated(up):
    up.on_request = lambda s: s.conn.close() if len(up.requests) == 2 else s.answer(200, body=b"x")
    with H2Plane(up) as p:
        assert p.get("/").status == 200
        with post(p, "/", b"") as s:
            assert read_response(s).status == 502
        assert len(up.requests) == 2


def test_a_restarted_upstream(up):
    """All connections are gone at once; the next requests find the new ones."""
    with H2Plane(up) as p:
        for _ in range(3):
            assert many(p, 10) == [200] * 10
            for c in up.conns:
                c.close()
        assert many(p, 10) == [200] * 10


def test_upstream_metrics_and_log(up):
    with H2Plane(up) as p:
        for _ in range(3):
            assert p.get("/x").status == 200
        label = f"127.0.0.1:{up.port}"
        assert p.metric("tandem_upstream_requests_total", endpoint=label) == 3
        assert p.metric("tandem_upstream_connects_total", endpoint=label) == 1
        line = p.access_lines(3)[0]
        assert (line["upstream"], line["upstream_status"], line["attempts"]) == (label, 200, 1)


def test_a_websocket_request_is_passed_on_without_its_upgrade(up):
    with H2Plane(up) as p:
        r = p.get("/", headers=[("Connection", "Upgrade"), ("Upgrade", "websocket")])
        assert r.status == 200
        assert "upgrade" not in up.requests[0].headers
