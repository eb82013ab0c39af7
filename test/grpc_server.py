# SPDX-License-Identifier: Apache-2.0
"""A gRPC server of the grpcio package without TLS, and how tests call it.

    with Server() as s, grpc.insecure_channel(f"127.0.0.1:{s.port}", options=OPTIONS) as c:
        call(c, "Echo")(b"hello")
"""
import threading
from concurrent import futures

import grpc

from harness import free_ports

OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
           ("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]


def echo(request, context):
    meta = dict(context.invocation_metadata())
    context.send_initial_metadata([("x-first", meta.get("x-ask", "")),
                                   ("bin-bin", meta.get("x-bin", b"\0\xff"))])
    context.set_trailing_metadata([("x-last", str(len(request)))])
    return request


def fail(request, context):
    context.set_trailing_metadata([("grpc-status-details-bin", b"\x08\x05details")])
    context.abort(grpc.StatusCode.NOT_FOUND, "no such thing: \u00e4%")


def fail_late(request, context):
    yield b"first"
    context.abort(grpc.StatusCode.INTERNAL, "then it broke")


def count(request, context):
    for i in range(int(request)):
        yield b"%d" % i


def collect(requests, context):
    return b",".join(requests)


def chat(requests, context):
    for r in requests:
        yield b"re: " + r


class Server:
    """Service test.Service at a port of an address; what it is asked for is the method's name."""

    def __init__(self, port=None, workers=120, host="127.0.0.1"):
        self.cancelled, self.started = threading.Event(), threading.Event()
        self.remaining = []
        self.port = port or free_ports(1)[0]
        self.server = grpc.server(futures.ThreadPoolExecutor(workers), options=OPTIONS)
        methods = {
            "Echo": grpc.unary_unary_rpc_method_handler(echo),
            "Fail": grpc.unary_unary_rpc_method_handler(fail),
            "FailLate": grpc.unary_stream_rpc_method_handler(fail_late),
            "Count": grpc.unary_stream_rpc_method_handler(count),
            "Collect": grpc.stream_unary_rpc_method_handler(collect),
            "Chat": grpc.stream_stream_rpc_method_handler(chat),
            "Hang": grpc.unary_unary_rpc_method_handler(self.hang),
            "HangStream": grpc.stream_stream_rpc_method_handler(self.hang_stream),
        }
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("test.Service", methods),))
        assert self.server.add_insecure_port(f"{host}:{self.port}") == self.port
        self.server.start()

    def hang(self, request, context):
        context.add_callback(self.cancelled.set)
        self.remaining.append(context.time_remaining())
        self.started.set()
        self.cancelled.wait(20)
        return b""

    def hang_stream(self, requests, context):
        context.add_callback(self.cancelled.set)
        yield next(requests)
        self.started.set()
        self.cancelled.wait(20)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.server.stop(0).wait(10)


def call(channel, name, kind="unary_unary"):
    return getattr(channel, kind)(f"/test.Service/{name}")
