# SPDX-License-Identifier: Apache-2.0
"""gRPC through a data plane, with the client and the server of the grpcio package as they are."""
import os
import threading
import time

import grpc
import pytest
from certs import Ca, listener, secret
from grpc_server import OPTIONS, Server, call
from h2_upstream import H2Upstream
from harness import GATEWAY, SLOW, Stack, docs, free_ports, route, service, wait_for
from test_h2_upstream import H2Plane

BIG = 8 << 20


@pytest.fixture(scope="module")
def server():
    with Server() as s:
        yield s


@pytest.fixture(scope="module")
def plane(server):
    with H2Plane(server) as p:
        yield p


@pytest.fixture()
def channel(plane):
    with connect(plane) as c:
        yield c


def connect(plane):
    return grpc.insecure_channel(f"127.0.0.1:{plane.port}", options=OPTIONS)


# --- errors -------------------------------------------------------------------------------------------

def test_http_04_an_error_at_once(channel):
    """Trailers-Only: the head of the answer ends the stream."""
    with pytest.raises(grpc.RpcError) as e:
        call(channel, "Fail")(b"x", timeout=10 * SLOW)
    assert e.value.code() == grpc.StatusCode.NOT_FOUND
    assert e.value.details() == "no such thing: \u00e4%"
    assert dict(e.value.trailing_metadata())["grpc-status-details-bin"] == b"\x08\x05details"


def test_http_04_an_error_behind_a_message(channel):
    answers = call(channel, "FailLate", "unary_stream")(b"x", timeout=10 * SLOW)
    assert next(answers) == b"first"
    with pytest.raises(grpc.RpcError) as e:
        next(answers)
    assert e.value.code() == grpc.StatusCode.INTERNAL
    assert e.value.details() == "then it broke"


def test_an_unknown_method(channel):
    with pytest.raises(grpc.RpcError) as e:
        call(channel, "Nothing")(b"x", timeout=10 * SLOW)
    assert e.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_no_upstream_is_unavailable():
    with H2Plane(free_ports(1)[0]) as p, connect(p) as c:
        with pytest.raises(grpc.RpcError) as e:
            call(c, "Echo")(b"x", timeout=10 * SLOW)
        assert e.value.code() == grpc.StatusCode.UNAVAILABLE
        assert "cannot connect to the upstream" in e.value.details()
        assert dict(e.value.trailing_metadata())["x-request-id"]


def test_no_route_is_unimplemented(server):
    with H2Plane(server, match={"method": "GET"}) as p, connect(p) as c:
        with pytest.raises(grpc.RpcError) as e:
            call(c, "Echo")(b"x", timeout=10 * SLOW)
        assert e.value.code() == grpc.StatusCode.UNIMPLEMENTED
        assert e.value.details() == "no route matches this request"


def test_a_deadline_is_passed_on_and_cancels(channel, server):
    server.cancelled.clear()
    server.remaining.clear()
    begin = time.monotonic()
    with pytest.raises(grpc.RpcError) as e:
        call(channel, "Hang")(b"x", timeout=1 * SLOW)
    assert e.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - begin < 3 * SLOW
    assert 0 < server.remaining[0] <= 1 * SLOW
    assert server.cancelled.wait(2 * SLOW)


@pytest.mark.parametrize("kind", ["unary", "stream"])
def test_limits_03_cancelling_reaches_the_server(channel, server, kind):
    server.cancelled.clear()
    server.started.clear()
    if kind == "unary":
        running = call(channel, "Hang").future(b"x", timeout=20 * SLOW)
    else:
        running = call(channel, "HangStream", "stream_stream")(
            iter([b"x"]), timeout=20 * SLOW)
        assert next(running) == b"x"
    assert server.started.wait(10 * SLOW)
    at = time.monotonic()
    running.cancel()
    assert server.cancelled.wait(5 * SLOW)
    assert time.monotonic() - at < 1 * SLOW


# --- calls --------------------------------------------------------------------------------------------

def test_unary_and_metadata(channel):
    answer, info = call(channel, "Echo").with_call(
        b"hello", metadata=[("x-ask", "why"), ("x-bin", b"\0\1\xff")], timeout=10 * SLOW)
    assert answer == b"hello"
    first, last = dict(info.initial_metadata()), dict(info.trailing_metadata())
    assert (first["x-first"], first["bin-bin"], last["x-last"]) == ("why", b"\0\1\xff", "5")
    assert first["x-request-id"]


@pytest.mark.parametrize("size", [0, 1, 65535, BIG])
def test_messages_of_every_size(channel, size):
    data = os.urandom(size)
    assert call(channel, "Echo")(data, timeout=30 * SLOW) == data


def test_server_streaming(channel):
    answers = call(channel, "Count", "unary_stream")(b"1000", timeout=20 * SLOW)
    assert list(answers) == [b"%d" % i for i in range(1000)]


def test_client_streaming(channel):
    parts = [b"%d" % i for i in range(1000)]
    assert call(channel, "Collect", "stream_unary")(iter(parts), timeout=20 * SLOW) == b",".join(parts)


def test_bidirectional_streaming_is_not_held(channel):
    """Each message is answered before the next one is sent."""
    go = [threading.Event() for _ in range(20)]
    def messages():
        for i, event in enumerate(go):
            assert event.wait(10 * SLOW)
            yield b"%d" % i
    go[0].set()
    answers = call(channel, "Chat", "stream_stream")(messages(), timeout=30 * SLOW)
    for i, event in enumerate(go):
        event.set()
        assert next(answers) == b"re: %d" % i
    assert list(answers) == []


def test_streams_of_big_messages(channel):
    parts = [os.urandom(1 << 20) for _ in range(8)]
    answers = call(channel, "Chat", "stream_stream")(iter(parts), timeout=60 * SLOW)
    assert [a[4:] for a in answers] == parts


def test_a_hundred_calls_at_once(plane, server, channel):
    before = plane.metric("tandem_upstream_connects_total")
    echo_call = call(channel, "Echo")
    data = [os.urandom(5000) for _ in range(100)]
    running = [echo_call.future(d, timeout=30 * SLOW) for d in data]
    assert [r.result() for r in running] == data
    assert plane.metric("tandem_upstream_connects_total") - before <= 1


def test_a_slow_reader_bounds_the_memory(plane, channel):
    before = plane.dp.rss_kib()
    answers = call(channel, "Chat", "stream_stream")((bytes(1 << 20) for _ in range(64)),
                                                     timeout=60 * SLOW)
    assert len(next(answers)) == (1 << 20) + 4
    time.sleep(1)
    assert plane.dp.rss_kib() - before < 16 * 1024 * SLOW
    assert sum(1 for _ in answers) == 63


def test_the_log_tells_of_calls(plane, channel):
    call(channel, "Echo")(b"logged", metadata=[("x-request-id", "grpc-log")], timeout=10 * SLOW)
    lines = wait_for("the line", lambda: [l for l in plane.access_lines()
                                          if l.get("request_id") == "grpc-log"])
    assert (lines[0]["status"], lines[0]["path"]) == (200, "/test.Service/Echo")
    assert lines[0]["protocol"] == "HTTP/2"
    assert (lines[0]["bytes_in"], lines[0]["bytes_out"]) == (11, 11)


def test_many_calls_of_a_channel(channel):
    """Neither side waits for the other's delayed acknowledgements."""
    begin = time.monotonic()
    running = [call(channel, "Echo").future(b"%d" % i, timeout=30 * SLOW) for i in range(300)]
    assert [r.result() for r in running] == [b"%d" % i for i in range(300)]
    assert time.monotonic() - begin < 5 * SLOW


def test_over_tls(server):
    """A secure channel, to a Service whose port says kubernetes.io/h2c."""
    ca = Ca()
    svc = service("g").replace("port: 80", "port: 80, appProtocol: kubernetes.io/h2c")
    yaml = docs(GATEWAY.rstrip("\n") + "\n" + listener("a", "a.test", "a"), svc,
                secret("a", *ca.leaf("a.test")),
                route("g", "  - backendRefs: [{name: g, port: 80}]"))
    trust = grpc.ssl_channel_credentials(ca.pem.read_bytes())
    options = [*OPTIONS, ("grpc.ssl_target_name_override", "a.test")]
    with Stack(yaml, endpoints={"default/g": f"127.0.0.1:{server.port}"}) as s, \
            grpc.secure_channel(f"127.0.0.1:{s.port2}", trust, options=options) as c:
        data = os.urandom(BIG)
        assert call(c, "Echo")(data, timeout=30 * SLOW) == data
        answers = call(c, "Chat", "stream_stream")(iter([b"1", b"2"]), timeout=20 * SLOW)
        assert list(answers) == [b"re: 1", b"re: 2"]
        with pytest.raises(grpc.RpcError) as e:
            call(c, "Fail")(b"x", timeout=10 * SLOW)
        assert e.value.code() == grpc.StatusCode.NOT_FOUND


def test_te_trailers_is_passed_on():
    """Some servers refuse gRPC calls without it."""
    with H2Upstream() as up, H2Plane(up) as p, connect(p) as c:
        up.on_request = lambda s: s.answer(200, [("content-type", "application/grpc"),
                                                 ("grpc-status", "8"), ("grpc-message", "enough")])
        with pytest.raises(grpc.RpcError) as e:
            call(c, "Echo")(b"x", timeout=10 * SLOW)
        assert e.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        seen = up.requests[0].headers
        assert (seen["te"], seen["content-type"]) == ("trailers", "application/grpc")


def test_refused_streams_are_repeated():
    """REFUSED_STREAM before a byte of the message: safe for every method (RFC 9113 8.7)."""
    with Server() as real, H2Upstream() as up, H2Plane([up, real]) as p, connect(p) as c:
        up.on_request = lambda s: s.refuse(7)
        got = {"ok": 0, "unavailable": 0}
        for _ in range(10):
            try:
                call(c, "Collect", "stream_unary")(iter([]), timeout=10 * SLOW)
                got["ok"] += 1
            except grpc.RpcError as e:
                assert e.code() == grpc.StatusCode.UNAVAILABLE
                got["unavailable"] += 1
        assert got["ok"] == 10 and up.requests


def test_a_server_that_dies_in_the_middle():
    with Server() as s, H2Plane(s) as p, connect(p) as c:
        running = call(c, "HangStream", "stream_stream")(iter([b"x"]), timeout=20 * SLOW)
        assert next(running) == b"x"
        s.server.stop(0)
        with pytest.raises(grpc.RpcError) as e:
            next(running)
        assert e.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL,
                                  grpc.StatusCode.CANCELLED)


def test_a_server_that_restarts():
    """New calls are answered by the new one."""
    with Server() as first, H2Plane(first) as p, connect(p) as c:
        assert call(c, "Echo")(b"1", timeout=10 * SLOW) == b"1"
        first.server.stop(0).wait(10)
        with pytest.raises(grpc.RpcError):
            call(c, "Echo")(b"2", timeout=10 * SLOW)
        with Server(first.port):
            assert call(c, "Echo")(b"3", timeout=10 * SLOW) == b"3"
