# SPDX-License-Identifier: Apache-2.0
"""Peers that mean harm, on both sides: what they hold, what they spoil, and what others see of it."""
import os
import pathlib
import random
import socket
import struct
import threading
import time

import pytest

from harness import GATEWAY, SLOW, Reader, Stack, docs, read_all, read_response, route, service, wait_for
from traffic import Traffic

HOSTILE_SECONDS = float(os.environ.get("HOSTILE_SECONDS", "5"))
GET = b"GET %s HTTP/1.1\r\nHost: test\r\n\r\n"


class Upstream:
    """A backend whose answers are Python functions of a socket and the head it read."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.heads, self.ended = [], threading.Event()
        self.closed = 0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        with s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            head = b""
            try:
                while b"\r\n\r\n" not in head:
                    piece = s.recv(65536)
                    if not piece:
                        return
                    head += piece
                self.heads.append(head)
                getattr(self, head.split(b" ")[1].split(b"/")[-1].split(b"?")[0].decode())(s)
            except OSError:
                pass

    @staticmethod
    def reset(s):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def plain(self, s):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    def until_reset(self, s):
        s.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1000)
        time.sleep(0.2)
        self.reset(s)

    def until_fin(self, s):
        s.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1000)

    def flood_reset(self, s):
        s.settimeout(1)
        try:
            s.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (32 << 20))
        except TimeoutError:
            pass
        self.reset(s)

    def deaf(self, s):
        self.ended.wait(20)

    def deaf_reset(self, s):
        time.sleep(1)
        self.reset(s)

    def silent(self, s):
        while s.recv(65536):
            pass
        self.closed += 1

    def early(self, s):
        s.sendall(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
        self.ended.wait(1)

    def head_body(self, s):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nHTTP/1.1 299 Bad\r\n\r\n")
        self.ended.wait(1)

    def interims(self, s):
        s.sendall((b"HTTP/1.1 103 Early Hints\r\nLink: " + b"a" * 30000 + b"\r\n\r\n") * 40)
        self.plain(s)

    def tiny_chunks(self, s):
        s.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 50000 + b"0\r\n\r\n")
        self.ended.wait(1)

    def completions(self, s):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for _ in range(4000):
            s.sendall(b": a\n\n")
            time.sleep(0.0002)
        s.sendall(b'data: {"choices":[{"delta":{"content":"x"}}]}\n\ndata: [DONE]\n\n')

    def close(self):
        self.ended.set()
        self.listener.close()


def yaml(port, timeouts="{}"):
    llm = f"""
apiVersion: kgateway.dev/v1alpha1
kind: LLMBackend
metadata: {{name: model}}
spec: {{provider: custom, dialect: chat, baseURL: "http://127.0.0.1:{port}/v1", timeouts: {timeouts}}}
"""
    return docs(GATEWAY, service("web"), service("bad"), llm, route("all", """
  - matches: [{path: {type: PathPrefix, value: /bad}}]
    backendRefs: [{name: bad, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /v1}}]
    backendRefs: [{group: kgateway.dev, kind: LLMBackend, name: model}]
  - matches: [{path: {type: PathPrefix, value: /w}}, {path: {type: PathPrefix, value: /bytes}}]
    backendRefs: [{name: web, port: 80}]
"""))


@pytest.fixture(scope="module")
def up():
    upstream = Upstream()
    yield upstream
    upstream.close()


@pytest.fixture(scope="module")
def t(up):
    with Stack(yaml(up.port), endpoints={"default/bad": f"127.0.0.1:{up.port}"}) as stack:
        yield stack


@pytest.fixture(scope="module")
def hasty(up):
    with Stack(yaml(up.port), endpoints={"default/bad": f"127.0.0.1:{up.port}"},
               dp_args=["--timeout-stream", "1s", "--timeout-idle", "1s"]) as stack:
        yield stack


def small_client(t, data=b""):
    """A client whose kernel takes little of an answer."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect(("127.0.0.1", t.port))
    s.settimeout(10)
    s.sendall(data)
    return s


def cpu_seconds(program):
    fields = pathlib.Path(f"/proc/{program.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def drain(s):
    """Bytes until the end, and whether that was a clean one."""
    n = 0
    try:
        while piece := s.recv(1 << 20):
            n += len(piece)
        return n, True
    except OSError:
        return n, False


# --- what a client may cost --------------------------------------------------------------------


def test_pipelining_without_reading_is_bounded(t):
    """Requests whose answers nobody takes are not read either; once they are taken it goes on."""
    before, sent, most = t.dp.rss_kib(), 0, 24 << 20
    piece = GET % b"/bytes/20000" * 500
    with small_client(t) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        s.settimeout(1.5)
        try:
            while sent < most:
                sent += s.send(piece[sent % len(piece):])
        except TimeoutError:
            pass
        assert sent < most
        assert SLOW > 1 or t.dp.rss_kib() - before < 2048
        s.settimeout(10)
        reader = Reader(s)
        for _ in range(1000):
            assert len(reader.response().body) == 20000


def test_local_answers_nobody_reads(t):
    with small_client(t) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        s.settimeout(1.5)
        piece, sent = GET % b"/nowhere" * 1000, 0
        try:
            while sent < 24 << 20:
                sent += s.send(piece[sent % len(piece):])
        except TimeoutError:
            pass
        assert sent < 24 << 20
        s.settimeout(10)
        reader = Reader(s)
        for _ in range(3000):
            assert reader.response().status == 404


def test_an_upstream_that_breaks_off_under_a_slow_client_is_no_spin(t):
    with small_client(t, GET % b"/bad/flood_reset") as s:
        time.sleep(1.6)
        begin = cpu_seconds(t.dp)
        time.sleep(1)
        assert cpu_seconds(t.dp) - begin < 0.2
        r = read_response(s)
        assert r.status == 200 and not r.complete


def test_half_closed_and_stalled_clients_are_no_spin(t):
    sockets = [small_client(t, data) for data in
               (b"", b"GET ", GET % b"/w?silence=1" + b"GET", GET % b"/bytes/9000000" * 3,
                b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")]
    sockets[1].shutdown(socket.SHUT_WR)
    sockets[3].shutdown(socket.SHUT_WR)
    sockets[4].shutdown(socket.SHUT_WR)
    time.sleep(0.3)
    begin = cpu_seconds(t.dp)
    time.sleep(0.7)
    assert cpu_seconds(t.dp) - begin < 0.2
    for s in sockets:
        s.close()


def test_events_before_the_first_content_pin_no_memory(t):
    """A provider that says "wait" in thousands of packets."""
    before = t.dp.rss_kib()
    body = b'{"model":"m","stream":true,"messages":[]}'
    clients = [threading.Thread(target=t.chat, args=(body,)) for _ in range(4)]
    for c in clients:
        c.start()
    most = 0
    while any(c.is_alive() for c in clients):
        most = max(most, t.dp.rss_kib())
        time.sleep(0.05)
    assert SLOW > 1 or most - before < 8 * 1024, f"{most - before} KiB more"


def test_a_client_that_leaves_behind_a_pipelined_request_frees_the_upstream(t, up):
    before = up.closed
    s = t.connect()
    s.sendall(GET % b"/bad/silent")
    time.sleep(0.2)
    s.sendall(GET % b"/bytes/1")
    time.sleep(0.2)
    s.close()
    wait_for("the upstream's connection closes", lambda: up.closed > before, 3)


# --- ends that must not look like others -----------------------------------------------------


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_a_reset_is_no_end_of_an_answer(t, version):
    with t.connect() as s:
        s.sendall(b"GET /bad/until_reset HTTP/%s\r\nHost: test\r\n\r\n" % version)
        if version == b"1.1":
            assert not read_response(s).complete
        else:
            assert drain(s)[1] is False


def test_a_fin_is_an_end_of_an_answer(t):
    r = t.get("/bad/until_fin")
    assert r.complete and len(r.body) == 1000


@pytest.mark.parametrize("how", ["stall", "half-close"])
def test_what_was_not_sent_is_no_clean_end(hasty, how):
    """The end of the connection is the end of these answers: a short one must not have it."""
    sizes = list(range(100000, 4000000, 65000))
    request = b"GET /w/x?chunked=1&flood_bytes=%d HTTP/1.0\r\n\r\n"
    sockets = [small_client(hasty, request % n) for n in sizes]
    time.sleep(0.5)
    if how == "stall":
        time.sleep(2.2)
    else:
        for s in sockets:
            s.shutdown(socket.SHUT_WR)
        time.sleep(0.3)
    most = 0
    for n, s in zip(sizes, sockets):
        got, clean = drain(s)
        s.close()
        most = max(most, got)
        assert got == 0 or got >= n or not clean, (n, got)
    assert most > 0


@pytest.mark.parametrize("version,connection", [(b"1.1", b"close"), (b"1.0", b"x")])
def test_close_is_kept_where_the_upstream_fails(t, version, connection):
    with t.connect() as s:
        s.settimeout(3)
        s.sendall(b"GET /w/a?noreply_close=1 HTTP/%s\r\nHost: a\r\nConnection: %s\r\n\r\n"
                  % (version, connection))
        reader = Reader(s)
        r = reader.response()
        assert (r.status, r.header("connection")) == (502, "close")
        assert s.recv(1) == b""


def test_keep_alive_is_kept_where_the_upstream_fails(t):
    with t.connect() as s:
        reader = Reader(s)
        for version, path, want in ((b"1.0", b"/w/a?noreply_close=1", 502), (b"1.1", b"/bytes/3", 200)):
            s.sendall(b"GET %s HTTP/%s\r\nHost: a\r\nConnection: keep-alive\r\n\r\n" % (path, version))
            assert reader.response().status == want


def test_head_with_a_body_spoils_no_other_answer(t):
    with t.connect() as s:
        reader = Reader(s)
        for _ in range(5):
            s.sendall(b"HEAD /bad/head_body HTTP/1.1\r\nHost: a\r\n\r\n")
            assert reader.response(head_only=True).status == 200
            s.sendall(GET % b"/bad/plain")
            assert reader.response().body == b"ok"


def test_a_train_of_interim_answers_is_refused(t):
    r = t.get("/bad/interims")
    assert r.status == 502 and r.complete


def test_tiny_chunks_arrive(t):
    r = t.get("/bad/tiny_chunks")
    assert r.complete and r.body == b"a" * 50000


# --- uploads -----------------------------------------------------------------------------------


def upload(t, path, size=32 << 20):
    with t.connect() as s:
        s.settimeout(6)
        s.sendall(b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (path, size))
        s.setblocking(False)
        end, sent = time.monotonic() + 1, 0
        while time.monotonic() < end:
            try:
                sent += s.send(b"x" * min(size - sent, 65536))
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                break
        s.settimeout(6)
        return read_response(s)


def test_an_upstream_that_takes_no_body_is_not_the_clients_fault(hasty):
    begin = time.monotonic()
    r = upload(hasty, b"/bad/deaf")
    assert r.status == 504, r.body
    assert time.monotonic() - begin < 4


def test_an_upstream_that_breaks_off_in_a_body_is_502(t):
    begin = time.monotonic()
    assert upload(t, b"/bad/deaf_reset").status == 502
    assert time.monotonic() - begin < 4


def test_an_early_answer_arrives(t):
    r = upload(t, b"/bad/early")
    assert (r.status, r.body, r.header("connection")) == (413, b"no", "close")


# --- what upstreams are told ------------------------------------------------------------------


def fields(head, name):
    lines = [l.split(b": ", 1) for l in head.split(b"\r\n")[1:] if b": " in l]
    return [v for k, v in lines if k.lower() == name]


def test_the_peer_is_the_last_of_forwarded_for(t, up):
    """However many lines a client sends: what is behind the peer's address is what the peer is."""
    t.get("/bad/plain", headers=[("X-Forwarded-For", "1.1.1.1"), ("x-forwarded-for", "6.6.6.6")])
    seen = b", ".join(fields(up.heads[-1], b"x-forwarded-for"))
    assert seen.split(b", ")[-1] == b"127.0.0.1", seen


def test_there_is_one_request_id(t, up):
    for ids in (["good-1", "other-2"], ["bad id", "other-2"]):
        r = t.get("/bad/plain", headers=[("x-request-id", i) for i in ids])
        assert fields(up.heads[-1], b"x-request-id") == [r.header("x-request-id").encode()]


# --- time --------------------------------------------------------------------------------------


def test_time_of_the_connection_is_not_that_of_a_request():
    """A request that comes late in a connection's time for a head has all its own time; the time
    of the whole ends it, and no attempt follows."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = [socket.socket() for _ in range(8)]
    for s in fillers:
        s.setblocking(False)
        s.connect_ex(listener.getsockname())
    try:
        port = listener.getsockname()[1]
        with Stack(yaml(port, "{request: 1s}"), endpoints={"default/bad": f"127.0.0.1:{port}"},
                   dp_args=["--timeout-head", "1s", "--timeout-connect", "2s", "--timeout-request",
                            "3s"]) as stack, stack.connect() as s:
            time.sleep(0.5)
            begin = time.monotonic()
            s.sendall(GET % b"/bad/plain")
            r = read_response(s)
            assert r.status == 504, r.body
            assert 2.5 < time.monotonic() - begin < 4
            begin = time.monotonic()
            assert stack.chat({"model": "m", "messages": []}).status == 504
            assert 0.8 < time.monotonic() - begin < 1.8
    finally:
        for s in (listener, *fillers):
            s.close()


# --- everything at once -------------------------------------------------------------------------

VALID = [
    GET % b"/bytes/100", GET % b"/bytes/300000", GET % b"/nowhere", GET % b"/bad/plain",
    GET % b"/bad/until_reset", GET % b"/bad/head_body", GET % b"/w/a?chunked=1&trailers=1",
    GET % b"/w/a?cut=10", GET % b"/w/a?noreply_close=1", GET % b"/w/a?early=1", GET % b"/bad/tiny_chunks",
    b"HEAD /bytes/100 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /w/a?chunked=1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"POST /w/x?echo=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n" + b"b" * 50000,
    b"POST /w/x?echo=1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"3\r\nabc\r\n" * 900
    + b"0\r\nX-T: 1\r\n\r\n",
    b"POST /bad/early HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n" + b"c" * 5000,
    b'POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 41\r\n\r\n'
    b'{"model":"m","stream":true,"messages":[]}',
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n1\r\n]\r\n0\r\n\r\n",
]
INVALID = [
    b"\r\n", b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\xa5",
    b"POST /w/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
    b"POST /w/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    b"POST /w/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 40000 + b"\r\n\r\n",
]


def step(rng, t, open_):
    """One random thing to one of the connections."""
    if len(open_) < 30 and rng.random() < 0.3:
        s = small_client(t) if rng.random() < 0.3 else t.connect()
        s.setblocking(False)
        open_.append([s, b""])
        return
    if not open_:
        return
    i = rng.randrange(len(open_))
    s, todo = open_[i]
    how = rng.random()
    try:
        if how < 0.55:
            todo = todo or b"".join(rng.choice(INVALID if rng.random() < 0.1 else VALID)
                                    for _ in range(rng.choice([1, 1, 1, 2, 6])))
            cut = len(todo) if rng.random() < 0.5 else rng.randint(1, min(len(todo), 4000))
            open_[i][1] = todo[s.send(todo[:cut]):]
        elif how < 0.85:
            s.recv(rng.choice([1, 1000, 1 << 20]))
        elif how < 0.9:
            s.shutdown(socket.SHUT_WR)
        else:
            if rng.random() < 0.5:
                Upstream.reset(s)
            s.close()
            open_.pop(i)
    except BlockingIOError:
        time.sleep(0.0005)
    except OSError:
        s.close()
        open_.pop(i)


def test_random_peers_leave_it_serving(t):
    seed = int(os.environ.get("HOSTILE_SEED", time.time_ns() % 1000000))
    print("HOSTILE_SEED", seed)
    rng, open_, steps = random.Random(seed), [], 0
    before = t.dp.rss_kib()
    with Traffic(t, "/bytes/1024") as load:
        end = time.monotonic() + HOSTILE_SECONDS
        while time.monotonic() < end:
            step(rng, t, open_)
            steps += 1
        for s, _ in open_:
            s.close()
    assert steps > HOSTILE_SECONDS * 50
    assert not load.lost and load.answered > 50
    wait_for("all of them to be gone", lambda: t.metric("tandem_connections", side="downstream") <= 2)
    assert SLOW > 1 or t.dp.rss_kib() - before < 32 * 1024


def test_zz_log_has_one_line_per_request(t):
    """After all of the above, what is written is whole lines with a request id each."""
    lines = t.access_lines(10)
    ids = [l["request_id"] for l in lines]
    assert len(ids) - len(set(ids)) <= sum(i in ("good-1",) for i in ids)
