# SPDX-License-Identifier: Apache-2.0
"""Clients that speak HTTP/2: many requests on a connection, both protocols on a port, bodies, early
answers, cuts, time limits, reload and drain."""
import json
import os
import pathlib
import signal
import struct
import subprocess
import time

import pytest

from certs import Ca, listener, secret
from h2raw import (H2, INTERNAL_ERROR, NO_ERROR, PREFACE, PROTOCOL_ERROR, SETTINGS, WINDOW, frame)
from harness import GATEWAY, SLOW, Stack, docs, read_all, route, service, wait_for

TOOLS = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "tandem/kube/bin"


@pytest.fixture(scope="module")
def t():
    yaml = docs(GATEWAY, service("web"), service("dead"), route("web", """
  - matches: [{path: {type: PathPrefix, value: /dead}}]
    backendRefs: [{name: dead, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /w}}, {path: {type: PathPrefix, value: /bytes}}, {path: {type: Exact, value: "/__count"}}]
    backendRefs: [{name: web, port: 80}]
"""))
    with Stack(yaml, endpoints={"default/dead": "127.0.0.1:1"}) as stack:
        yield stack


@pytest.fixture
def c(t):
    with H2(t.connect()) as client:
        yield client


def curl(t, *args):
    p = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "--max-time", "10", *args],
                       capture_output=True, text=True, timeout=20)
    return p


# --- both protocols on one port -------------------------------------------------------------------

def test_preface_byte_by_byte(t):
    with H2(t.connect(), hello=False) as c:
        for b in PREFACE + frame(SETTINGS):
            c.send(bytes([b]))
            time.sleep(0.002)
        c.request(1, "GET", "/bytes/16")
        assert (c.answer(1).status, c.answer(1).body) == (200, b"x" * 16)


@pytest.mark.parametrize("begin, rest, status", [
    (b"P", b"UT /bytes/3 HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n", b"200"),
    (b"PR", b"OP /bytes/3 HTTP/1.1\r\nHost: test\r\n\r\n", b"200"),
    (b"PRI * HTTP/2.0\r\n", b"Host: test\r\n\r\n", b"505"),
])
def test_requests_that_begin_like_a_preface(t, begin, rest, status):
    with t.connect() as s:
        s.sendall(begin)
        time.sleep(0.05)
        s.sendall(rest)
        assert s.recv(65536).startswith(b"HTTP/1.1 " + status)


def test_half_a_preface_times_out():
    with Stack(dp_args=["--timeout-head", "500ms"]) as t, t.connect() as s:
        s.sendall(PREFACE[:10])
        begin = time.monotonic()
        assert read_all(s) == b""
        assert 0.3 < time.monotonic() - begin < 3 * SLOW


def test_upgrade_h2c_is_ignored(t):
    r = t.get("/bytes/4", headers=[("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"),
                                   ("HTTP2-Settings", "AAMAAABkAAQAAP__")])
    assert (r.status, r.body) == (200, b"xxxx")


def test_curl(t):
    url = f"http://127.0.0.1:{t.port}"
    assert curl(t, f"{url}/bytes/300000", "-o", "/dev/null", "-w", "%{http_version} %{size_download}").stdout == "2 300000"
    assert curl(t, "-d", "hello", f"{url}/w?echo=1").stdout == "hello"
    assert "content-length: 100" in curl(t, "-I", f"{url}/bytes/100").stdout


# --- messages -------------------------------------------------------------------------------------

@pytest.mark.parametrize("n", [0, 1, 16384, 100000, 5000000])
def test_sizes(c, n):
    c.request(1, "GET", f"/bytes/{n}")
    a = c.answer(1, 30)
    assert (a.status, len(a.body), a.ended, a.reset) == (200, n, True, None)


def test_many_requests_of_a_connection(c):
    for i in range(100):
        c.request(2 * i + 1, "GET", f"/bytes/{i * 100}")
    for i in range(100):
        a = c.answer(2 * i + 1)
        assert (a.status, len(a.body)) == (200, i * 100)


def test_slow_requests_do_not_hold_up_others(c):
    c.request(1, "GET", "/w?delay_ms=1500")
    c.request(3, "GET", "/bytes/10")
    begin = time.monotonic()
    assert c.answer(3).status == 200
    assert time.monotonic() - begin < 1
    assert c.answer(1).status == 200


def test_head_204_304(c):
    c.request(1, "HEAD", "/bytes/77")
    a = c.answer(1)
    assert (a.status, a.header("content-length"), a.body, a.ended) == (200, "77", b"", True)
    for i, status in enumerate([204, 304]):
        c.request(3 + 2 * i, "GET", f"/w?status={status}")
        a = c.answer(3 + 2 * i)
        assert (a.status, a.body, a.ended) == (status, b"", True)


def test_request_fields_arrive(t, c):
    c.request(1, "POST", "/w?a=1", ("x-a", "1"), ("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers"), end=False)
    c.data(1, b"one")
    c.data(1, b"two")
    c.trailers(1, ("x-end", "1"))
    got = json.loads(c.answer(1).body)
    assert got["method"] == "POST" and got["query"] == "a=1" and got["body_bytes"] == 6
    h = got["headers"]
    assert h["host"] == "test" and h["x-a"] == "1" and h["cookie"] == "a=1; b=2"
    assert h["transfer-encoding"] == "chunked" and "te" not in h


def test_content_length_is_kept(c):
    c.request(1, "POST", "/w", ("content-length", "5"), end=False)
    c.data(1, b"hello", end=True)
    h = json.loads(c.answer(1).body)["headers"]
    assert h["content-length"] == "5" and "transfer-encoding" not in h


def test_trailers_of_answers(c):
    c.request(1, "GET", "/w?trailers=1")
    a = c.answer(1)
    assert a.status == 200 and "x-demo-trailer" in a.trailers and a.ended


def test_large_bodies_both_ways(c):
    body = os.urandom(1 << 20)
    c.until(lambda: any(f.type == SETTINGS for f in c.frames))
    c.request(1, "POST", "/w?echo=1", end=False)
    # The window is the gateway's to give: send what it allows, as it allows it.
    credit = {0: 65535, 1: 131072}
    seen, sent = 0, 0
    while sent < len(body):
        for f in c.frames[seen:]:
            if f.type == WINDOW:
                credit[f.stream] = credit.get(f.stream, 0) + struct.unpack(">I", f.payload)[0]
        seen = len(c.frames)
        n = min(16384, credit[0], credit[1], len(body) - sent)
        if n == 0:
            assert c.read()
            continue
        c.data(1, body[sent:sent + n], end=sent + n == len(body))
        credit[0] -= n
        credit[1] -= n
        sent += n
    a = c.answer(1, 30)
    assert a.status == 200 and a.body == body


def test_100_continue(c):
    c.request(1, "POST", "/w?echo=1", ("expect", "100-continue"), ("content-length", "4"), end=False)
    a = c.answers[1]
    assert c.until(lambda: a.status == 100)
    c.data(1, b"body", end=True)
    a = c.answer(1)
    assert (a.status, a.body) == (200, b"body")


def test_interim_answers_pass(c):
    c.request(1, "GET", "/w?early=1")
    a = c.answer(1)
    assert [dict(h)[":status"] for h in a.heads] == ["103", "200"]


def test_drips_flow_at_once(c):
    """limits-05: what an upstream says is not held back."""
    c.request(1, "GET", "/w?drip=5&interval_ms=200")
    a = c.answers[1]
    begin = time.monotonic()
    assert c.until(lambda: len(a.body) >= 1)
    assert time.monotonic() - begin < 0.6 * SLOW
    assert len(c.answer(1).body) == 5


# --- ends that are not clean ----------------------------------------------------------------------

@pytest.mark.parametrize("knob", ["cut=10", "cut=10&reset=1", "cutchunk=1"])
def test_cut_answers_are_resets(c, knob):
    c.request(1, "GET", f"/w?{knob}")
    a = c.answer(1)
    assert (a.reset, a.ended) == (INTERNAL_ERROR, False)
    c.request(3, "GET", "/bytes/1")
    assert c.answer(3).status == 200


def test_dead_upstream_is_an_answer(c):
    c.request(1, "GET", "/dead")
    a = c.answer(1)
    assert (a.status, a.ended) in ((502, True), (503, True))
    assert json.loads(a.body)["code"]


def test_limits_03_client_resets_cancel_at_once(t, c):
    """limits-03: the upstream sees the close of a request whose client reset its stream."""
    stats = t.upstream_stats()
    before, seen = stats["client_closes_seen"], stats["requests_seen"]
    for stream, path in ((1, "/w?drip=1000&interval_ms=50"), (3, "/w?delay_ms=20000")):
        c.request(stream, "GET", path)
    assert c.until(lambda: c.answers[1].body)
    wait_for("the requests", lambda: t.upstream_stats()["requests_seen"] >= seen + 2)
    c.reset(1)
    c.reset(3)
    wait_for("upstream closes", lambda: t.upstream_stats()["client_closes_seen"] >= before + 2, 3)
    c.request(5, "GET", "/bytes/1")
    assert c.answer(5).status == 200


def test_limits_03_lost_connections_cancel_all(t):
    before = t.upstream_stats()
    with H2(t.connect()) as c:
        for i in range(5):
            c.request(2 * i + 1, "GET", "/w?delay_ms=20000")
        wait_for("the requests", lambda: t.upstream_stats()["requests_seen"] >= before["requests_seen"] + 5)
    wait_for("upstream closes",
             lambda: t.upstream_stats()["client_closes_seen"] >= before["client_closes_seen"] + 5, 3)


def test_http_09_early_answers(t, c):
    """http-09: an answer that comes before the body is whole, then RST_STREAM NO_ERROR."""
    c.request(1, "POST", "/nowhere", end=False)
    c.data(1, b"x" * 1000)
    a = c.answers[1]
    assert c.until(lambda: a.reset is not None)
    assert (a.status, a.ended, a.reset) == (404, True, NO_ERROR)
    c.request(3, "GET", "/bytes/1")
    assert c.answer(3).status == 200


def test_malformed_requests_cost_their_stream(t, c):
    c.request(1, "GET", "/w", ("Bad", "1"))
    c.request(3, "GET", "/w", ("connection", "close"))
    c.request(5, "POST", "/w", ("content-length", "3"), end=False)
    c.data(5, b"more than three")
    c.request(7, "GET", "/bytes/1")
    assert c.answer(7).status == 200
    for stream in (1, 3, 5):
        assert c.answer(stream).reset == PROTOCOL_ERROR
    wait_for("the line", lambda: "bad byte in the name" in t.access_log.read_text(), 5)


def test_too_large_is_an_answer(c):
    many = [(f"x-{i}", "1") for i in range(200)]
    c.request(1, "GET", "/w", *many)
    c.request(3, "GET", "/" + "a" * 9000)
    assert c.answer(1).status == 431
    assert c.answer(3).status == 414
    c.request(5, "CONNECT", "/w")
    assert c.answer(5).status == 501


# --- time -----------------------------------------------------------------------------------------

def test_idle_connections_end_with_goaway():
    with Stack(dp_args=["--timeout-idle", "500ms", "--timeout-head", "500ms"]) as t:
        with H2(t.connect()) as c:
            c.request(1, "GET", "/bytes/1")
            assert c.answer(1).status == 200
            assert c.until(lambda: c.closed, 5 * SLOW)
            assert c.goaway == (1, NO_ERROR)
        with H2(t.connect()) as c:  # never asked
            assert c.until(lambda: c.closed, 5 * SLOW)
            assert c.goaway == (0, NO_ERROR)


def test_bodies_that_stop_are_408():
    with Stack(dp_args=["--timeout-stream", "500ms"]) as t, H2(t.connect()) as c:
        c.request(1, "POST", "/w", end=False)
        c.data(1, b"some")
        assert c.answer(1).status in (408, 504)
        c.request(3, "GET", "/bytes/1")
        assert c.answer(3).status == 200


# --- reload and drain -----------------------------------------------------------------------------

def test_requests_keep_their_configuration():
    with Stack() as t, H2(t.connect()) as c:
        c.request(1, "GET", "/w?drip=20&interval_ms=100")
        assert c.until(lambda: c.answers[1].body)
        t.write("main.yaml", docs(GATEWAY, service("web"), route("web", """
  - matches: [{path: {type: Exact, value: /only}}]
    backendRefs: [{name: web, port: 80}]
""")))
        wait_for("reload", lambda: t.get("/bytes/1").status == 404)
        a = c.answer(1)
        assert (a.ended, len(a.body)) == (True, 20)
        c.request(3, "GET", "/bytes/1")
        assert c.answer(3).status == 404


def test_drain_lets_streams_finish():
    with Stack() as t:
        with H2(t.connect()) as c, H2(t.connect()) as idle:
            c.request(1, "GET", "/w?drip=20&interval_ms=100")
            idle.request(1, "GET", "/bytes/1")
            assert idle.answer(1).status == 200
            assert c.until(lambda: c.answers[1].body)
            t.dp.signal(signal.SIGTERM)
            assert c.until(lambda: c.goaway is not None, 5)
            assert c.goaway == (0x7fffffff, NO_ERROR)
            a = c.answer(1)
            assert (a.ended, len(a.body), a.reset) == (True, 20, None)
            assert c.until(lambda: c.closed, 5) and c.goaway == (1, NO_ERROR)
            assert idle.until(lambda: idle.closed, 5) and idle.goaway == (1, NO_ERROR)
        wait_for("end", lambda: not t.dp.is_running(), 10)
        assert t.dp.stop() == 0


def test_drain_cuts_what_is_left():
    with Stack(dp_args=["--grace", "2s"]) as t:
        with H2(t.connect()) as c:
            c.request(1, "GET", "/w?drip=1000&interval_ms=100")
            assert c.until(lambda: c.answers[1].body)
            t.dp.signal(signal.SIGTERM)
            a = c.answer(1, 10)
            assert not a.ended
        wait_for("end", lambda: not t.dp.is_running(), 10)
        assert t.dp.stop() == 0


# --- other implementations ------------------------------------------------------------------------

def test_h2load(t):
    p = subprocess.run(["h2load", "-n", "1000", "-c", "3", "-m", "30", f"http://127.0.0.1:{t.port}/bytes/20000"],
                       capture_output=True, text=True, timeout=60)
    assert "1000 succeeded, 0 failed, 0 errored" in p.stdout, p.stdout


def h2spec(port, *args):
    """The names of what failed."""
    p = subprocess.run([TOOLS / "h2spec", "-h", "127.0.0.1", "-p", str(port), "-P", "/bytes/16", "-o",
                        str(3 * SLOW), *args, "generic", "hpack", "http2"],
                       capture_output=True, text=True, timeout=300)
    assert "145 tests" in p.stdout, p.stdout + p.stderr
    if "Failures:" not in p.stdout:
        return [], p.stdout
    return [l.strip() for l in p.stdout.split("Failures:")[1].splitlines() if "×" in l], p.stdout


def test_h2spec(t):
    failed, out = h2spec(t.port)
    # On a port of both protocols this is an HTTP/1.1 request, and its answer a 400 of HTTP/1.1.
    assert [f for f in failed if f != "× 2: Sends invalid connection preface"] == [], out


# --- over TLS -------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def tls():
    ca = Ca()
    yaml = docs(GATEWAY.rstrip("\n") + "\n" + listener("any", None, "a") + listener("b", "b.test", "a"),
                service("web"), route("web", "\n  - backendRefs: [{name: web, port: 80}]"),
                secret("a", *ca.leaf("a.test", "b.test")))
    with Stack(yaml) as stack:
        wait_for("the port", lambda: stack.is_open(stack.port2))
        yield stack, ca


def test_alpn_chooses(tls):
    t, ca = tls
    for offered, chosen in ((["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), (["h2"], "h2"), ([], None)):
        with ca.connect(t.port2, "a.test", context=ca.context(alpn=offered)) as s:
            assert s.selected_alpn_protocol() == chosen
            if chosen == "h2":
                c = H2(s)
                c.request(1, "GET", "/bytes/100000", host="a.test", scheme="https")
                a = c.answer(1)
                assert (a.status, len(a.body)) == (200, 100000)
                c.request(3, "GET", "/w", host="a.test", scheme="https")
                assert json.loads(c.answer(3).body)["headers"]["x-forwarded-proto"] == "https"
            else:
                s.sendall(b"GET /bytes/3 HTTP/1.1\r\nHost: a.test\r\n\r\n")
                assert s.recv(65536).startswith(b"HTTP/1.1 200")


def test_no_preface_without_alpn(tls):
    t, ca = tls
    with ca.connect(t.port2, "a.test") as s:
        s.sendall(PREFACE + frame(SETTINGS))
        assert s.recv(65536).startswith(b"HTTP/1.1 ")


def test_hosts_of_other_listeners_are_misdirected(tls):
    t, ca = tls
    with ca.connect(t.port2, "a.test", context=ca.context(alpn=["h2"])) as s:
        c = H2(s)
        c.request(1, "GET", "/bytes/1", host="b.test", scheme="https")
        c.request(3, "GET", "/bytes/1", host="a.test", scheme="https")
        assert c.answer(1).status == 421
        assert c.answer(3).status == 200


def test_h2spec_over_tls(tls):
    failed, out = h2spec(tls[0].port2, "-t", "-k")
    assert failed == [], out
