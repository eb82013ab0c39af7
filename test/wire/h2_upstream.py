# SPDX-License-Identifier: Apache-2.0
"""An HTTP/2 server without TLS that does what a test tells it, on the h2 package.

    with H2Upstream() as up:
        up.on_request = lambda s: s.answer(200, body=b"hi")
"""
import socket
import struct
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from harness import free_ports, wait_for


class Stream:
    """One request: head as a dict, body as it comes; what it answers is sent at once."""

    def __init__(self, conn, stream_id, headers):
        self.conn, self.id = conn, stream_id
        self.headers = {k.decode(): v.decode() for k, v in headers}
        self.path = self.headers[":path"]
        self.body, self.trailers = b"", {}
        self.ended, self.reset = threading.Event(), threading.Event()
        self.reset_code = None
        self.window = threading.Condition(conn.lock)

    def head(self, status=200, headers=(), end=False):
        with self.conn.lock:
            self.conn.h2.send_headers(self.id, [(":status", str(status)), *headers], end)
            self.conn.flush()

    def data(self, data, end=False):
        """Sends all of it, as the windows allow."""
        view = memoryview(data)
        with self.conn.lock:
            while True:
                room = min(self.conn.h2.local_flow_control_window(self.id),
                           self.conn.h2.max_outbound_frame_size)
                piece = view[:room]
                view = view[room:]
                if piece or not len(data):
                    self.conn.h2.send_data(self.id, bytes(piece), end and not len(view))
                    self.conn.flush()
                if not len(view):
                    return
                if room == 0 and not self.window.wait(20):
                    raise TimeoutError("no window")
                if self.reset.is_set() or self.conn.closed.is_set():
                    raise ConnectionError("reset")

    def end(self, trailers=None):
        with self.conn.lock:
            if trailers:
                self.conn.h2.send_headers(self.id, trailers, end_stream=True)
            else:
                self.conn.h2.end_stream(self.id)
            self.conn.flush()

    def refuse(self, code=7):
        with self.conn.lock:
            self.conn.h2.reset_stream(self.id, code)
            self.conn.flush()

    def answer(self, status=200, headers=(), body=b"", trailers=None):
        self.head(status, headers, end=not body and not trailers)
        if body:
            self.data(body, end=not trailers)
        if trailers:
            self.end(trailers)


class Conn:
    def __init__(self, owner, sock):
        self.owner, self.sock = owner, sock
        self.lock = threading.RLock()
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.streams, self.closed, self.pings, self.goaway = {}, threading.Event(), 0, False

    def flush(self):
        try:
            self.sock.sendall(self.h2.data_to_send())
        except OSError:
            self.closed.set()

    def run(self):
        with self.lock:
            codes = h2.settings.SettingCodes
            self.h2.local_settings = h2.settings.Settings(client=False, initial_values={
                codes.MAX_CONCURRENT_STREAMS: self.owner.max_streams,
                codes.MAX_HEADER_LIST_SIZE: 65536})
            self.h2.initiate_connection()
            if self.owner.silent:
                self.h2.data_to_send()
            self.flush()
        try:
            while not self.closed.is_set():
                data = self.sock.recv(65536)
                if not data:
                    break
                with self.lock:
                    events = self.h2.receive_data(data)
                    for e in events:
                        self.on_event(e)
                    if not self.owner.silent:
                        self.flush()
        except (OSError, h2.exceptions.ProtocolError) as e:
            self.owner.errors.append(e)
        self.closed.set()
        for s in self.streams.values():
            with self.lock:
                s.window.notify_all()
        self.sock.close()

    def on_event(self, e):
        s = self.streams.get(getattr(e, "stream_id", None))
        if isinstance(e, h2.events.RequestReceived):
            s = self.streams[e.stream_id] = Stream(self, e.stream_id, e.headers)
            self.owner.requests.append(s)
            threading.Thread(target=self.owner.run_request, args=(s,), daemon=True).start()
        elif isinstance(e, h2.events.DataReceived):
            s.body += e.data
            if self.owner.credit:
                self.h2.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
        elif isinstance(e, h2.events.TrailersReceived):
            s.trailers = {k.decode(): v.decode() for k, v in e.headers}
        elif isinstance(e, h2.events.StreamEnded):
            s.ended.set()
        elif isinstance(e, h2.events.StreamReset):
            s.reset_code = e.error_code
            s.reset.set()
            s.window.notify_all()
        elif isinstance(e, h2.events.WindowUpdated):
            for other in self.streams.values():
                other.window.notify_all()
        elif isinstance(e, h2.events.PingReceived):
            self.pings += 1
        elif isinstance(e, h2.events.ConnectionTerminated):
            self.goaway = True

    def raw_goaway(self, last, code=0):
        """By hand: the package would hold the connection closed, but its streams go on."""
        with self.lock:
            self.sock.sendall(b"\0\0\x08\7\0\0\0\0\0" + struct.pack(">II", last, code))

    def send_raw_data(self, stream_id, data, end):
        with self.lock:
            head = struct.pack(">I", len(data))[1:] + bytes([0, 1 if end else 0])
            self.sock.sendall(head + struct.pack(">I", stream_id) + data)

    def close(self, reset=False):
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.closed.set()
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class H2Upstream:
    def __init__(self, port=None, max_streams=100):
        self.port = port or free_ports(1)[0]
        self.max_streams = max_streams
        self.silent = False  # says nothing at all
        self.credit = True   # grants windows for what it gets
        self.conns, self.requests, self.errors = [], [], []
        self.on_request = lambda s: s.answer(200, body=b"hello")
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            conn = Conn(self, sock)
            self.conns.append(conn)
            threading.Thread(target=conn.run, daemon=True).start()

    def run_request(self, s):
        try:
            self.on_request(s)
        except (OSError, TimeoutError, h2.exceptions.ProtocolError) as e:
            self.errors.append(e)

    def wait(self, n=1, seconds=10):
        return wait_for(f"{n} requests", lambda: self.requests[:] if len(self.requests) >= n else None,
                        seconds)

    def close(self):
        self.listener.close()
        for c in self.conns:
            c.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
