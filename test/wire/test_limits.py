# SPDX-License-Identifier: Apache-2.0
"""Timeouts, caps and back-pressure; clients that are slow, silent, many or write garbage."""
import json
import os
import random
import socket
import threading
import time

import pytest

from harness import GATEWAY, SLOW, Reader, Stack, docs, read_all, read_response, route, service, wait_for
from traffic import Traffic

LLM = """
apiVersion: kgateway.dev/v1alpha1
kind: LLMBackend
metadata: {name: demo}
spec:
  provider: custom
  dialect: chat
  baseURL: http://127.0.0.1:$MODEL/v1
  models: {allow: ["demo-*"]}
"""
YAML = docs(GATEWAY, service("web"), LLM, route("all", """
  - matches: [{path: {type: PathPrefix, value: /v1}}]
    backendRefs: [{group: kgateway.dev, kind: LLMBackend, name: demo}]
  - backendRefs: [{name: web, port: 80}]
"""))
BODY_MAX = 256 * 1024
GET = b"GET %s HTTP/1.1\r\nHost: test\r\n\r\n"
GARBAGE_SECONDS = float(os.environ.get("GARBAGE_SECONDS", "5"))


@pytest.fixture(scope="module")
def t():
    with Stack(YAML, dp_args=["--llm-body-max", BODY_MAX]) as stack:
        yield stack


@pytest.fixture(scope="module")
def hasty():
    """A data plane with short times for each phase."""
    with Stack(YAML, dp_args=["--timeout-head", "1s", "--timeout-idle", "1s", "--timeout-first-byte",
                              "1s", "--timeout-stream", "1s", "--timeout-request", "4s"]) as stack:
        yield stack


def open_clients(t):
    return t.metric("tandem_connections", side="downstream")


def timed(low, high, begin):
    took = time.monotonic() - begin
    assert low <= took <= high * SLOW, took


# --- timeouts -------------------------------------------------------------------------------------


def test_slow_head_is_408(hasty):
    """Bytes that trickle in do not buy more time."""
    with hasty.connect() as s:
        begin = time.monotonic()
        s.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n")
        s.settimeout(0.1)
        for i in range(60):
            try:
                s.sendall(b"X-%d: 1\r\n" % i)
                if s.recv(1, socket.MSG_PEEK):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        s.settimeout(5)
        r = read_response(s)
        assert (r.status, r.header("connection")) == (408, "close")
        timed(0.8, 2, begin)


def test_connection_that_says_nothing_is_closed(hasty):
    with hasty.connect() as s:
        begin = time.monotonic()
        assert read_all(s) == b""
        timed(0.8, 2.5, begin)


def test_body_that_stalls_is_408(hasty):
    for framing in (b"Content-Length: 100\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"):
        with hasty.connect() as s:
            begin = time.monotonic()
            s.sendall(b"POST /x HTTP/1.1\r\nHost: test\r\n" + framing)
            assert read_response(s).status == 408
            timed(0.8, 2.5, begin)


def test_chat_body_that_stalls_is_408_in_dialect(hasty):
    with hasty.connect() as s:
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\n{")
        r = read_response(s)
        assert r.status == 408 and r.json()["error"]["message"]


def test_idle_connection_is_closed(hasty):
    with hasty.connect() as s:
        reader = Reader(s)
        s.sendall(GET % b"/")
        assert reader.response().status == 200
        begin = time.monotonic()
        assert reader.buf + read_all(s) == b""
        timed(0.8, 2, begin)


def test_first_byte_timeout_is_504(hasty):
    for path in ("/?silence=1", "/?delay_ms=3000"):
        begin = time.monotonic()
        r = hasty.get(path)
        assert (r.status, r.json()["code"]) == (504, "timeout")
        timed(0.8, 2, begin)
    # The silent upstream connection is given up.
    wait_for("upstream to see the close", lambda: hasty.upstream_stats()["open_connections"] <= 2)


def test_stream_idle_timeout_cuts_and_does_not_end_cleanly(hasty):
    for path in ("/bytes/1000?hold_ms=3000", "/bytes/1000?hold_ms=3000&chunked=1"):
        begin = time.monotonic()
        r = hasty.get(path)
        assert r.status == 200 and not r.complete
        timed(0.8, 2.5, begin)


def test_model_stream_idle_timeout_is_told_or_cut(hasty):
    r = hasty.chat({"model": "demo-hold-3000", "stream": True, "messages": []})
    assert r.status == 200
    assert "[DONE]" not in r.body.decode()
    assert not r.complete or "error" in r.events()[-1]


def test_whole_request_timeout(hasty):
    """Each pause is short enough; the sum is not."""
    begin = time.monotonic()
    r = hasty.get("/?drip=100&interval_ms=100", timeout=12)
    assert r.status == 200 and not r.complete and 30 <= len(r.body) <= 45
    timed(3.5, 5.5, begin)


def full_backlog():
    """A listening socket whose queue is full: further connections hang in SYN_SENT."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(20):
        s = socket.socket()
        s.settimeout(0.3)
        fillers.append(s)
        try:
            s.connect(listener.getsockname())
        except TimeoutError:
            return listener, fillers
    pytest.skip("the kernel takes every connection")


def test_connect_timeout_is_504():
    listener, fillers = full_backlog()
    try:
        with Stack(docs(GATEWAY, service("web"), route("all", "  - backendRefs: [{name: web, port: 80}]")),
                   endpoints={"default/web": "127.0.0.1:%d" % listener.getsockname()[1]},
                   dp_args=["--timeout-connect", "1s"]) as stack:
            begin = time.monotonic()
            r = stack.get("/")
            assert r.status == 504 and "no connection" in r.json()["detail"]
            timed(0.8, 4, begin)
            # The half-made connection is given up with the request.
            assert stack.metric("tandem_connections", side="upstream") == 0
    finally:
        for s in (listener, *fillers):
            s.close()


# --- caps -----------------------------------------------------------------------------------------


def chat_body(size):
    begin, end = b'{"model":"demo-small","messages":[{"role":"user","content":"', b'"}]}'
    return begin + b"a" * (size - len(begin) - len(end)) + end


def chat(t, body, chunked):
    if not chunked:
        return t.chat(body)
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    with t.connect() as s:
        try:
            s.sendall(head)
            for at in range(0, len(body), 10000):
                piece = body[at:at + 10000]
                s.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            s.sendall(b"0\r\n\r\n")
        except OSError:
            pass  # refused in the middle: the answer is there to be read
        return read_response(s)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("size,status", [(BODY_MAX - 1, 200), (BODY_MAX, 200), (BODY_MAX + 1, 413),
                                         (20 * BODY_MAX, 413)])
def test_limits_05_body_of_a_chat(t, size, status, chunked):
    r = chat(t, chat_body(size), chunked)
    assert (r.status, r.complete) == (status, True)
    if status == 413:
        assert str(BODY_MAX) in r.json()["error"]["message"]


def test_512_connections_at_once(t):
    sockets = []
    try:
        for _ in range(512):
            sockets.append(t.connect())
        for _ in range(2):
            for s in sockets:
                s.sendall(GET % b"/bytes/1024")
            for s in sockets:
                r = read_response(s)
                assert (r.status, len(r.body)) == (200, 1024)
        assert open_clients(t) >= 512
        # Idle ones hold little: 512 more than the bar of the whole process.
        assert SLOW > 1 or t.dp.rss_kib() < 60 * 1024
    finally:
        for s in sockets:
            s.close()
    wait_for("them to be gone", lambda: open_clients(t) < 10)


# --- back-pressure --------------------------------------------------------------------------------

FLOOD = 64 << 20


def slow_clients(t, n, request):
    sockets = []
    for _ in range(n):
        s = socket.socket()
        # The kernel's own buffers are kept small, so that what is held is the program's.
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", t.port))
        s.settimeout(5)
        s.sendall(request)
        sockets.append(s)
    return sockets


def chat_request(model):
    body = json.dumps({"model": model, "stream": True, "messages": []}).encode()
    return (b"POST /v1/chat/completions HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body))


@pytest.mark.parametrize("request_", [GET % b"/?flood_bytes=%d" % FLOOD, chat_request("demo-flood-64")],
                         ids=["plain", "chat"])
def test_limits_06_slow_readers(t, request_):
    t.get("/bytes/1000000")
    before, idle_before = t.dp.rss_kib(), open_clients(t)
    sockets = slow_clients(t, 50, request_)
    try:
        end, most, got = time.monotonic() + 3, 0, 0
        with Traffic(t, "/bytes/1024", clients=4) as quick:
            while time.monotonic() < end:
                for s in sockets:
                    got += len(s.recv(256))
                most = max(most, t.dp.rss_kib())
                time.sleep(0.2)
        # A sanitized build scans the flood ten times slower, and the quick ones share its cores.
        enough = 100 if SLOW == 1 else 3
        assert not quick.lost and quick.answered > enough and quick.slowest < 0.5 * SLOW
        assert SLOW > 1 or most - before < 20 * 1024, f"{most - before} KiB more"
        assert got < 50 * 64 * 1024
    finally:
        for s in sockets:
            s.close()
    wait_for("the slow ones to be gone",
             lambda: open_clients(t) <= idle_before + 4)


def test_limits_06_upstream_is_paused():
    """A backend of our own tells how much it could write."""
    wrote, listener = [0], socket.create_server(("127.0.0.1", 0))

    def serve():
        s, _ = listener.accept()
        with s:
            s.recv(65536)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
            try:
                s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % FLOOD)
                while wrote[0] < FLOOD:
                    wrote[0] += s.send(b"x" * 16384)
            except OSError:
                pass
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listener, Stack(docs(GATEWAY, service("web"), route("all", "  - backendRefs: [{name: web, port: 80}]")),
                         endpoints={"default/web": "127.0.0.1:%d" % listener.getsockname()[1]}) as stack:
        (s,) = slow_clients(stack, 1, GET % b"/")
        with s:
            wait_for("bytes", lambda: wrote[0] > 0)

            def is_still():
                seen = wrote[0]
                time.sleep(0.5)
                return wrote[0] == seen
            wait_for("the upstream to be paused", is_still)
            # Marks of the program and the kernel's socket buffers of both sides.
            assert wrote[0] < FLOOD // 4
            paused_at = wrote[0]
            # And it goes on when the client reads.
            left = 4 << 20
            while left > 0:
                left -= len(s.recv(65536))
            wait_for("the upstream to go on", lambda: wrote[0] > paused_at)
        thread.join(5)
        assert not thread.is_alive()


def test_limits_06_a_client_that_takes_nothing_is_closed(hasty):
    (s,) = slow_clients(hasty, 1, GET % b"/?flood_bytes=%d" % FLOOD)
    with s:
        wait_for("it to be closed", lambda: open_clients(hasty) == 0, 8)
        assert len(read_all(s)) < FLOOD


def test_a_slow_upstream_pauses_the_client(t):
    """The same in the other direction: a request body that nobody takes."""
    before = t.dp.rss_kib()
    with t.connect() as s:
        s.sendall(b"POST /?read_pause_ms=1500 HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % FLOOD)
        s.settimeout(0.5)
        sent = 0
        try:
            while sent < FLOOD:
                sent += s.send(b"x" * 65536)
        except TimeoutError:
            pass
        assert 0 < sent < FLOOD // 2
        assert SLOW > 1 or t.dp.rss_kib() - before < 4096
        s.settimeout(10)
        while sent < FLOOD:
            sent += s.send(b"x" * min(65536, FLOOD - sent))
        r = read_response(s)
        assert r.status == 200 and r.json()["body_bytes"] == FLOOD


# --- garbage --------------------------------------------------------------------------------------

SEEDS = [
    b"GET /bytes/100 HTTP/1.1\r\nHost: test\r\nX-A: b\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b'POST /v1/chat/completions HTTP/1.1\r\nHost: test\r\nContent-Length: 36\r\n\r\n'
    b'{"model":"demo-small","messages":[]}',
    b"HEAD / HTTP/1.0\r\nHost: test\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n\r\n",
]
TOKENS = [b"\r\n", b"\n", b"\r", b"\0", b": ", b"chunked", b"Content-Length: 7\r\n", b"\xff", b"{", b'"',
          b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n", b"99999999999999999999", b"-1", b" ", b"0\r\n\r\n"]


def mutated(rng):
    if rng.random() < 0.2:
        return rng.randbytes(rng.choice([1, 20, 500, 9000]))
    data = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randint(1, 4)):
        at, how = rng.randrange(len(data) + 1), rng.random()
        if how < 0.4:
            data[at:at] = rng.choice(TOKENS)
        elif how < 0.7:
            data[at:at + 1] = bytes([rng.randrange(256)])
        elif how < 0.9:
            del data[at:at + rng.randint(1, 8)]
        else:
            data[at:at] = data[:rng.randint(0, 40)]
    return bytes(data)


def test_garbage_leaves_it_serving(t):
    seed = int(os.environ.get("GARBAGE_SEED", time.time_ns() % 1000000))
    print("GARBAGE_SEED", seed)
    rng, end, sent = random.Random(seed), time.monotonic() + GARBAGE_SECONDS, 0
    before = t.dp.rss_kib()
    with Traffic(t, "/bytes/1024") as load:
        while time.monotonic() < end:
            with t.connect(timeout=2) as s:
                data = mutated(rng)
                cut = rng.randrange(len(data) + 1) if rng.random() < 0.3 else len(data)
                try:
                    s.sendall(data[:cut])
                    if cut < len(data):
                        time.sleep(0.001)
                        s.sendall(data[cut:])
                    if rng.random() < 0.5:
                        s.shutdown(socket.SHUT_WR)
                    s.settimeout(0.02)
                    s.recv(65536)
                except OSError:
                    pass
            sent += 1
    assert sent > GARBAGE_SECONDS * 20
    assert not load.lost and load.answered > 100
    assert t.dp.is_running()
    assert SLOW > 1 or t.dp.rss_kib() - before < 20 * 1024
    wait_for("them to be gone", lambda: open_clients(t) < 10, 15)
