# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 as frames made by hand, for tests that a proper client could not do.

    with H2(stack.connect()) as c:
        c.request(1, "GET", "/")
        assert c.answer(1).status == 200
"""
import collections
import socket
import struct
import time

import hpack

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
STREAM_CLOSED, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 5, 7, 8, 11
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

Frame = collections.namedtuple("Frame", "type flags stream payload")


def frame(type_, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([type_, flags]) + struct.pack(">I", stream) + payload


def section(fields):
    """Literals that enter no table: what is sent is what is written here."""
    def text(s):
        b = s if isinstance(s, bytes) else s.encode()
        if len(b) < 127:
            return bytes([len(b)]) + b
        n, out = len(b) - 127, [127]
        while n >= 128:
            out.append(n % 128 | 128)
            n //= 128
        return bytes([*out, n]) + b
    return b"".join(b"\0" + text(k) + text(v) for k, v in fields)


class Answer:
    def __init__(self):
        self.heads, self.body, self.trailers = [], b"", None
        self.ended, self.reset, self.first_at = False, None, None

    @property
    def status(self):
        return int(dict(self.heads[-1])[":status"]) if self.heads else None

    def header(self, name):
        return dict(self.heads[-1]).get(name)


class H2:
    def __init__(self, s, *, window=None, settings=b"", credit=True, hello=True):
        self.s, self.credit = s, credit
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.decoder = hpack.Decoder()
        self.answers = collections.defaultdict(Answer)
        self.frames, self.goaway, self.closed = [], None, False
        self.buffer = b""
        if window is not None:
            settings += struct.pack(">HI", 4, window)
        if hello:
            self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    # --- sending --------------------------------------------------------------------------------

    def send(self, data):
        self.s.sendall(data)

    def frame(self, *args):
        self.send(frame(*args))

    def head(self, method="GET", path="/", *extra, host="test", scheme="http"):
        return section([(":method", method), (":scheme", scheme), (":authority", host),
                        (":path", path), *extra])

    def request(self, stream, method="GET", path="/", *extra, end=True, **kw):
        self.frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream,
                   self.head(method, path, *extra, **kw))

    def data(self, stream, data, end=False):
        while len(data) > 16384:
            self.frame(DATA, 0, stream, data[:16384])
            data = data[16384:]
        self.frame(DATA, END_STREAM if end else 0, stream, data)

    def trailers(self, stream, *fields):
        self.frame(HEADERS, END_HEADERS | END_STREAM, stream, section(fields))

    def reset(self, stream, code=CANCEL):
        self.frame(RST, 0, stream, struct.pack(">I", code))

    def update(self, stream, n):
        self.frame(WINDOW, 0, stream, struct.pack(">I", n))

    # --- receiving ------------------------------------------------------------------------------

    def take(self, f):
        a = self.answers[f.stream]
        if f.type in (HEADERS, CONTINUATION):
            assert f.flags & END_HEADERS
            fields = self.decoder.decode(f.payload)
            if any(k == ":status" for k, _ in fields):
                a.heads.append(fields)
            else:
                a.trailers = dict(fields)
        elif f.type == DATA:
            a.first_at = a.first_at or time.monotonic()
            a.body += f.payload
            if self.credit and f.payload:
                self.update(0, len(f.payload))
                if not f.flags & END_STREAM:
                    self.update(f.stream, len(f.payload))
        elif f.type == RST:
            a.reset = struct.unpack(">I", f.payload)[0]
        elif f.type == SETTINGS and not f.flags & ACK:
            self.frame(SETTINGS, ACK)
        elif f.type == PING and not f.flags & ACK:
            self.frame(PING, ACK, 0, f.payload)
        elif f.type == GOAWAY:
            self.goaway = struct.unpack(">II", f.payload[:8])
        if f.type in (DATA, HEADERS) and f.flags & END_STREAM:
            a.ended = True

    def read(self):
        """One frame; None: the peer closed."""
        while True:
            n = int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) >= 9 + n:
                head, payload = self.buffer[:9], self.buffer[9:9 + n]
                self.buffer = self.buffer[9 + n:]
                f = Frame(head[3], head[4], struct.unpack(">I", head[5:])[0] & 0x7fffffff, payload)
                self.frames.append(f)
                self.take(f)
                return f
            try:
                piece = self.s.recv(65536)
            except (ConnectionResetError, BrokenPipeError):
                piece = b""
            if not piece:
                self.closed = True
                return None
            self.buffer += piece

    def until(self, check, seconds=10):
        """Reads until check() is true, the peer closes, or the time is over."""
        end = time.monotonic() + seconds
        timeout = self.s.gettimeout()
        try:
            while not check() and not self.closed:
                left = end - time.monotonic()
                if left <= 0:
                    break
                self.s.settimeout(left)
                try:
                    self.read()
                except (TimeoutError, socket.timeout):
                    break
                except (ConnectionResetError, BrokenPipeError):
                    self.closed = True
        finally:
            self.s.settimeout(timeout)
        return check()

    def answer(self, stream, seconds=10):
        a = self.answers[stream]
        self.until(lambda: a.ended or a.reset is not None, seconds)
        return a

    def ping(self, seconds=10):
        """True once everything sent before has been read by the peer."""
        self.frame(PING, 0, 0, b"testping")
        n = len(self.frames)
        return self.until(lambda: any(f.type == PING and f.flags & ACK for f in self.frames[n:]), seconds)
