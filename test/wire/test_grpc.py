# SPDX-License-Identifier: Apache-2.0
"""gRPC from end to end: a client and a server of another make, HTTP/2 on both sides of the gateway."""
import threading
import time
from concurrent import futures

import grpc
import pytest

from harness import SLOW, free_ports
from plane import Plane, backend, rule, to

SECONDS = 10 * SLOW


class Server:
    """One service of byte messages; what its methods saw of cancellations."""

    def __init__(self, port=None):
        self.port = port or free_ports(1)[0]
        self.cancelled = threading.Event()
        self.metadata = {}

        def unary(request, context):
            self.metadata = dict(context.invocation_metadata())
            context.set_trailing_metadata((("x-end", "here"),))
            return request[::-1]

        def missing(request, context):
            context.abort(grpc.StatusCode.NOT_FOUND, "not found")

        def late(request, context):
            yield b"one"
            context.abort(grpc.StatusCode.INTERNAL, "broke later")

        def count(request, context):
            for i in range(int(request)):
                yield b"%d" % i

        def total(requests, context):
            return b"%d" % sum(len(r) for r in requests)

        def chat(requests, context):
            for r in requests:
                yield b"re: " + r

        def forever(request, context):
            context.add_callback(self.cancelled.set)
            while not self.cancelled.wait(0.05):
                yield b"x"

        handlers = {
            "Unary": grpc.unary_unary_rpc_method_handler(unary),
            "Missing": grpc.unary_unary_rpc_method_handler(missing),
            "Late": grpc.unary_stream_rpc_method_handler(late),
            "Count": grpc.unary_stream_rpc_method_handler(count),
            "Total": grpc.stream_unary_rpc_method_handler(total),
            "Chat": grpc.stream_stream_rpc_method_handler(chat),
            "Forever": grpc.unary_stream_rpc_method_handler(forever),
        }
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
        assert self.server.add_insecure_port(f"127.0.0.1:{self.port}") == self.port
        self.server.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cancelled.set()
        self.server.stop(0).wait(10)


class GrpcPlane(Plane):
    def write(self, path):
        self.resources[backend("web")]["protocol"] = "h2c"
        super().write(path)


@pytest.fixture(scope="module")
def server():
    with Server() as s:
        yield s


@pytest.fixture(scope="module")
def plane(server):
    with GrpcPlane([rule(0, "/t.T", [to("web")])], {"web": server}) as p:
        yield p


@pytest.fixture()
def channel(plane):
    with grpc.insecure_channel(f"127.0.0.1:{plane.port}") as c:
        yield c


def refused(call):
    with pytest.raises(grpc.RpcError) as e:
        call()
    return e.value.code(), e.value.details()


# --- what fails -----------------------------------------------------------------------------------

def test_http_04_trailers_only(channel):
    """http-04: one HEADERS frame with END_STREAM is a whole answer, and its status arrives."""
    call = channel.unary_unary("/t.T/Missing")
    assert refused(lambda: call(b"x", timeout=SECONDS)) == (grpc.StatusCode.NOT_FOUND, "not found")


def test_http_04_trailers_behind_a_message(channel):
    got = []
    assert refused(lambda: got.extend(channel.unary_stream("/t.T/Late")(b"", timeout=SECONDS))) == \
        (grpc.StatusCode.INTERNAL, "broke later")
    assert got == [b"one"]


def test_unknown_methods_and_routes(channel):
    assert refused(lambda: channel.unary_unary("/t.T/Nothing")(b"", timeout=SECONDS))[0] == \
        grpc.StatusCode.UNIMPLEMENTED
    # No route: an HTTP 404, which clients translate (gRPC's http-grpc-status-mapping).
    assert refused(lambda: channel.unary_unary("/other/X")(b"", timeout=SECONDS))[0] == \
        grpc.StatusCode.UNIMPLEMENTED


def test_deadlines_cancel_the_server(channel, server):
    server.cancelled.clear()
    got = []
    code, _ = refused(lambda: got.extend(channel.unary_stream("/t.T/Forever")(b"", timeout=1)))
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED and got
    assert server.cancelled.wait(3 * SLOW)


def test_cancelled_calls_cancel_the_server(channel, server):
    server.cancelled.clear()
    call = channel.unary_stream("/t.T/Forever")(b"", timeout=SECONDS)
    assert next(call) == b"x"
    call.cancel()
    assert server.cancelled.wait(3 * SLOW)


def test_a_server_that_dies_is_unavailable():
    with Server() as s, GrpcPlane([rule(0, "/t.T", [to("web")])], {"web": s}) as p, \
            grpc.insecure_channel(f"127.0.0.1:{p.port}") as c:
        call = c.unary_stream("/t.T/Forever")(b"", timeout=SECONDS)
        assert next(call) == b"x"
        s.server.stop(0)
        with pytest.raises(grpc.RpcError) as e:
            for _ in call:
                pass
        assert e.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL,
                                  grpc.StatusCode.CANCELLED)


# --- what works -----------------------------------------------------------------------------------

def test_unary(channel, server):
    answer, call = channel.unary_unary("/t.T/Unary").with_call(
        b"abc", timeout=SECONDS, metadata=(("x-mine", "1"), ("x-bin", b"\0\1\2")))
    assert answer == b"cba"
    assert dict(call.trailing_metadata())["x-end"] == "here"
    assert server.metadata["x-mine"] == "1" and server.metadata["x-bin"] == b"\0\1\2"


@pytest.mark.parametrize("n", [0, 1, 100000, 3000000])
def test_messages_of_any_size(channel, n):
    assert channel.unary_unary("/t.T/Unary")(b"z" * n, timeout=SECONDS) == b"z" * n


def test_streams_of_either_side(channel):
    assert list(channel.unary_stream("/t.T/Count")(b"500", timeout=SECONDS)) == \
        [b"%d" % i for i in range(500)]
    assert channel.stream_unary("/t.T/Total")(iter([b"12345"] * 1000), timeout=SECONDS) == b"5000"


def test_both_sides_at_once(channel):
    """Each message is answered before the next is sent."""
    turn, words = threading.Semaphore(1), [b"a", b"b", b"c"]

    def say():
        for w in words:
            assert turn.acquire(timeout=SECONDS)
            yield w
    got = []
    for r in channel.stream_stream("/t.T/Chat")(say(), timeout=SECONDS):
        got.append(r)
        turn.release()
    assert got == [b"re: " + w for w in words]


def test_many_calls_of_a_channel(channel):
    call = channel.unary_unary("/t.T/Unary")
    begin = time.monotonic()
    pending = [call.future(b"%d" % i, timeout=SECONDS) for i in range(300)]
    assert [f.result() for f in pending] == [(b"%d" % i)[::-1] for i in range(300)]
    assert time.monotonic() - begin < 5 * SLOW
