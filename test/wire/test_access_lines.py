# SPDX-License-Identifier: Apache-2.0
"""The access log: exactly one line for every request that was begun, whatever became of it, and
none for what is no request. Each case has a client address of its own, by which its lines are
found; all cases run first, so that the log's delay is waited for once."""
import json
import socket
import ssl
import struct
import time

import pytest

from certs import Ca
from h2raw import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, H2, HEADERS, PING, PREFACE,
                   REFUSED_STREAM, RST, SETTINGS, frame, section)
from harness import SLOW, read_all, wait_for
from plane import Plane, Upstream, rule, to


class Server(Upstream):
    """/slow takes 3 s, /ws becomes a tunnel whose upstream ends after the first bytes, /cut says
    less than it promised."""

    def reply(self, h):
        if h.path == "/slow":
            time.sleep(3)
        if h.path == "/ws":
            h.send_response(101)
            h.send_header("Connection", "upgrade")
            h.send_header("Upgrade", "websocket")
            h.end_headers()
            h.connection.recv(100)
            h.close_connection = True
            return
        if h.path == "/cut":
            h.send_response(200)
            h.send_header("Content-Length", "100")
            h.end_headers()
            h.wfile.write(b"some")
            h.close_connection = True
            return
        super().reply(h)


class Client:
    """Connections from an address of their own."""

    def __init__(self, p, address):
        self.p, self.address, self.open = p, address, []

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.p.port), 10,
                                     source_address=(self.address, 0))
        s.settimeout(10 * SLOW)
        self.open.append(s)
        return s

    def h2(self, **kw):
        c = H2(self.connect(), **kw)
        if kw.get("hello", True):
            assert c.ping()
        return c

    def close(self):
        for s in self.open:
            s.close()


# --- HTTP/1.1 ----------------------------------------------------------------------------------------

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


def says(data, read=True):
    def run(c):
        s = c.connect()
        s.sendall(data)
        if read:
            read_all(s)
        s.close()
    return run


def resets(data, pause=0.2):
    """Sends, waits a moment, and is gone without a goodbye."""
    def run(c):
        s = c.connect()
        s.sendall(data)
        time.sleep(pause)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
    return run


def h1_head_that_stalls(c):
    s = c.connect()
    s.sendall(b"GET / HTTP/1.1\r\nHo")
    assert b" 408 " in read_all(s)


WEBSOCKET = (b"GET /ws HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
             b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")


def h1_tunnel(c):
    s = c.connect()
    s.sendall(WEBSOCKET)
    while b"\r\n\r\n" not in s.recv(4096):
        pass
    s.sendall(b"bye")
    read_all(s)


def h1_tunnel_left(c):
    s = c.connect()
    s.sendall(WEBSOCKET)
    while b"\r\n\r\n" not in s.recv(4096):
        pass
    s.close()


# --- HTTP/2 ------------------------------------------------------------------------------------------

def head(c, stream, *args, end=True, **kw):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, c.head(*args, **kw))


def rst(stream, code=8):
    return frame(RST, 0, stream, struct.pack(">I", code))


def h2_answers(c):
    with c.h2() as h:
        h.request(1)
        h.request(3, "GET", "/nowhere", host="other")
        assert [h.answer(1).status, h.answer(3).status] == [200, 404]


def h2_opened_and_reset(c):
    with c.h2() as h:
        h.send(b"".join(head(h, i, "GET", f"/reset{i}") + rst(i) for i in (1, 3)))
        assert h.ping()


def h2_opened_and_reset_before_settings(c):
    with c.h2(hello=False) as h:
        h.send(PREFACE + frame(SETTINGS) + head(h, 1, "GET", "/reset") + rst(1))
        assert h.ping()


def h2_reset_while_waiting(c):
    with c.h2() as h:
        h.request(1, "GET", "/slow")
        time.sleep(0.2)
        h.reset(1)
        assert h.ping()


def h2_over_the_cap(c):
    with c.h2() as h:
        for i in range(128):
            h.request(2 * i + 1, "POST", "/held", end=False)
        h.request(257, "GET", "/over")
        h.request(259, "GET", "/over")
        assert [h.answer(s).reset for s in (257, 259)] == [REFUSED_STREAM] * 2
        for i in range(128):
            h.data(2 * i + 1, b"x", end=True)
        assert {h.answer(2 * i + 1).status for i in range(128)} == {200}
        h.request(261)
        assert h.answer(261).status == 200 and h.goaway is None


def h2_malformed(c):
    with c.h2() as h:
        h.request(1, "GET", "/", ("connection", "close"))
        assert h.answer(1).reset is not None
        h.request(3, "GET", "/", ("Upper", "x"))
        assert h.answer(3).reset is not None


def h2_malformed_and_reset(c):
    with c.h2() as h:
        h.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, section([(":method", "GET")])) + rst(1))
        assert h.ping()


def h2_too_large(c):
    with c.h2() as h:
        h.request(1, "GET", "/", *((f"x-{i}", "1") for i in range(200)))
        assert h.answer(1).status == 431


def h2_connect(c):
    with c.h2() as h:
        h.frame(HEADERS, END_HEADERS, 1, section([(":method", "CONNECT"), (":authority", "a:1")]))
        h.answer(1)


def h2_body_too_long(c):
    with c.h2() as h:
        h.request(1, "POST", "/", ("content-length", "1"), end=False)
        h.data(1, b"more", end=True)
        assert h.answer(1).reset is not None


def h2_trailers_that_go_on(c):
    with c.h2() as h:
        h.request(1, "POST", "/", end=False)
        h.frame(HEADERS, END_HEADERS, 1, section([("x", "1")]))
        assert h.answer(1).reset is not None


def h2_left_in_a_head(c):
    with c.h2() as h:
        h.frame(HEADERS, END_STREAM, 1, h.head())


def h2_left_in_a_body(c):
    with c.h2() as h:
        h.request(1, "POST", "/", end=False)
        h.data(1, b"some")
        assert h.ping()


def h2_left_at_once(c):
    """The connection ends with the read that brings the request."""
    with c.h2() as h:
        h.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        h.request(1, "GET", "/slow")
        time.sleep(0.2)


def h2_flood(c):
    with c.h2() as h:
        h.request(1, "GET", "/slow")
        time.sleep(0.2)
        h.send(frame(PING, 0, 0, b"12345678") * 1000)
        h.until(lambda: h.closed, 5)
        assert h.goaway[1] == 11


def h2_flood_with_requests_in_it(c):
    """Heads that come in the read that ends the connection are begun by nobody."""
    with c.h2() as h:
        h.send(head(h, 1, "GET", "/slow") + frame(PING, 0, 0, b"12345678") * 600
               + head(h, 3, "GET", "/slow"))
        h.until(lambda: h.closed, 5)
        assert h.goaway[1] == 11


def h2_bomb(c):
    with c.h2() as h:
        fill = b"\x40\x01x\x7f\x81\x1e" + b"v" * 4000
        h.frame(HEADERS, END_HEADERS | END_STREAM, 1, h.head() + fill + b"\xbe" * 10000)
        h.until(lambda: h.closed, 5)


def h2_broken_frames(c):
    with c.h2() as h:
        h.request(1, "GET", "/slow")
        time.sleep(0.2)
        h.frame(DATA, 0, 0, b"of no stream")
        h.until(lambda: h.closed, 5)
        assert h.goaway[1] == 1


def h2_broken_head(c):
    with c.h2() as h:
        h.frame(HEADERS, 0, 1, h.head())
        h.frame(PING, 0, 0, b"12345678")
        h.until(lambda: h.closed, 5)


def h2_past_goaway(c):
    """Idle for longer than --timeout-idle; what comes behind GOAWAY is nobody's."""
    with c.h2() as h:
        h.request(1)
        assert h.answer(1).status == 200
        assert h.until(lambda: h.goaway, 5)
        try:
            h.request(3, "GET", "/late")
        except OSError:
            pass
        h.until(lambda: h.closed, 3)
        assert not h.answers[3].heads


# name: (what the client does, what its lines say: status (0: none was sent), path, error)
CASES = {
    "h1 answer": (says(CLOSE), [(200, "/", None)]),
    "h1 pipelined": (says(GET + CLOSE), [(200, "/", None)] * 2),
    "h1 nothing": (says(b"", read=False), []),
    "h1 head cut": (says(b"GET / HTTP/1.1\r\nHost: te", read=False), [(0, None, "middle of a head")]),
    "h1 head reset": (resets(b"GET / HTTP/1.1\r\nHost: te"), [(0, None, "middle of a head")]),
    "h1 head stalls": (h1_head_that_stalls, [(408, None, "head of the request")]),
    "h1 malformed": (says(b"GET / HTTP/1.1\r\nBad Name: x\r\n\r\n"), [(400, None, "")]),
    "h1 tls": (says(b"\x16\x03\x01\x00\xa0\x01\x00\x00\x9c\x03\x03"), [(400, None, "")]),
    "h1 no route": (says(b"GET / HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n"), [(404, "/", "")]),
    "h1 connect": (says(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), [(501, None, "")]),
    "h1 dead upstream": (says(CLOSE.replace(b"/ ", b"/dead ")), [(503, "/dead", "")]),
    "h1 cut upstream": (says(CLOSE.replace(b"/ ", b"/cut ")), [(200, "/cut", "")]),
    "h1 left waiting": (resets(GET.replace(b"/ ", b"/slow ")), [(0, "/slow", "the client left")]),
    "h1 left in a body": (resets(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nsome"),
                          [(0, "/", "the client left")]),
    "h1 tunnel": (h1_tunnel, [(101, "/ws", None)]),
    "h1 tunnel left": (h1_tunnel_left, [(101, "/ws", None)]),
    "preface alone": (says(PREFACE, read=False), []),
    "half a preface": (says(PREFACE[:10], read=False), []),
    "h2 answers": (h2_answers, [(200, "/", None), (404, "/nowhere", "")]),
    "h2 opened and reset": (h2_opened_and_reset, [(0, "/reset1", "reset the stream: CANCEL"),
                                                  (0, "/reset3", "reset the stream: CANCEL")]),
    "h2 opened and reset first": (h2_opened_and_reset_before_settings,
                                  [(0, "/reset", "reset the stream: CANCEL")]),
    "h2 reset waiting": (h2_reset_while_waiting, [(0, "/slow", "reset the stream: CANCEL")]),
    "h2 over the cap": (h2_over_the_cap, [(200, "/held", None)] * 128 + [(200, "/", None)]
                        + [(0, "/over", "128 streams are open")] * 2),
    "h2 malformed": (h2_malformed, [(400, None, "")] * 2),
    "h2 malformed and reset": (h2_malformed_and_reset, [(400, None, "")]),
    "h2 too large": (h2_too_large, [(431, None, "")]),
    "h2 connect": (h2_connect, [(501, None, "")]),
    "h2 body too long": (h2_body_too_long, [(400, None, "Content-Length")]),
    "h2 trailers go on": (h2_trailers_that_go_on, [(400, "/", "trailers")]),
    "h2 left in a head": (h2_left_in_a_head, [(0, None, "the client left")]),
    "h2 left in a body": (h2_left_in_a_body, [(0, "/", "the client left")]),
    "h2 left at once": (h2_left_at_once, [(0, "/slow", "the client left")]),
    "h2 flood": (h2_flood, [(0, "/slow", "too many frames that move nothing")]),
    "h2 flood with requests": (h2_flood_with_requests_in_it,
                               [(0, "/slow", "too many frames that move nothing")]),
    "h2 bomb": (h2_bomb, [(0, None, "field section")]),
    "h2 broken frames": (h2_broken_frames, [(0, "/slow", "broke the protocol")]),
    "h2 broken head": (h2_broken_head, [(0, None, "broke the protocol")]),
    "h2 past goaway": (h2_past_goaway, [(200, "/", None)]),
}


# Those of which an upstream heard, and whose client has no answer.
SENT = ("h1 left waiting", "h1 left in a body", "h2 reset waiting", "h2 left in a body",
        "h2 left at once", "h2 flood", "h2 broken frames")


def settled(p):
    """All lines, once the log has stood still for longer than it is held back."""
    seen, since = None, time.monotonic()
    end = since + 20
    while time.monotonic() < end:
        now = p.access_log.read_text()
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > 1.5:
            break
        time.sleep(0.05)
    return [json.loads(l) for l in seen.splitlines()]


@pytest.fixture(scope="module")
def lines():
    """name -> lines, of all cases; an exception where its client failed."""
    failed = {}
    with Server() as up, Plane([rule(0, "/dead", [to("dead")], hostnames=["test"]),
                                rule(1, "/", [to()], hostnames=["test"])],
                               {"web": up, "dead": 1},
                               dp_args=["--timeout-head", "1s", "--timeout-idle", "1s"]) as p:
        for i, (name, (run, _)) in enumerate(CASES.items()):
            c = Client(p, f"127.0.1.{i + 1}")
            try:
                run(c)
            except Exception as e:
                failed[name] = e
            finally:
                c.close()
        found = {name: [] for name in CASES}
        names = list(CASES)
        for line in settled(p):
            found[names[int(line["client"].rsplit(".", 1)[1]) - 1]].append(line)
        yield {**found, **failed}


@pytest.mark.parametrize("name", CASES)
def test_one_line_for_every_outcome(lines, name):
    want = CASES[name][1]
    if isinstance(lines[name], Exception):
        raise lines[name]
    got = sorted(lines[name], key=lambda l: (l.get("path", ""), l.get("status", 0)))
    want = sorted(want, key=lambda w: (w[1] or "", w[0] or 0))
    assert len(got) == len(want), got
    for line, (status, path, error) in zip(got, want):
        assert line["request_id"] and line["duration_us"] >= 0
        assert line["status"] == status, line
        assert path is None or line.get("path") == path, line
        assert status or name in SENT or not line["attempts"], line
        if error is None:
            assert "error" not in line, line
        else:
            assert error in line["error"], line


def test_what_a_drain_cuts_has_its_line():
    with Server() as up, Plane([rule(0, "/", [to()])], {"web": up}, dp_args=["--grace", "1s"]) as p:
        with p.connect() as s, H2(p.connect()) as h:
            s.sendall(GET.replace(b"/ ", b"/slow "))
            h.request(1, "GET", "/slow")
            up.wait(2)
            p.dp.process.terminate()
            assert h.answer(1).reset is not None and read_all(s) == b""
        lines = settled(p)
        assert [(l["status"], l["error"]) for l in lines] == [(0, "the data plane ended")] * 2


def test_handshakes_are_counted_and_no_requests():
    ca = Ca()
    with Upstream() as up, Plane([rule(0, "/", [to()])], {"web": up}, cert=ca.leaf("a.test"),
                                 listener={"hostname": "a.test"},
                                 dp_args=["--timeout-head", "1s"]) as p:
        def handshakes(result):
            return p.metric("tandem_tls_handshakes_total", result=result)
        p.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")  # no handshake at all
        with p.connect() as s:
            s.sendall(b"\x16\x03\x01")  # half of one
            read_all(s)
        with pytest.raises(ssl.SSLError):
            ca.connect(p.port, "b.test")
        wait_for("the counts", lambda: [handshakes(r) for r in ("failed", "timeout", "unserved")]
                 == [1, 1, 1])
        with ca.connect(p.port, "a.test") as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
            assert b" 200 " in read_all(s)
        assert [l["status"] for l in settled(p)] == [200]
