# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 clients that are slow, greedy or hostile: what they hold is bounded, what they spoil is
their own, and each attack has its answer."""
import json
import os
import struct
import subprocess
import threading
import time

import pytest

from h2raw import (CONTINUATION, DATA, END_HEADERS, ENHANCE_YOUR_CALM, H2, HEADERS, NO_ERROR, PING,
                   PRIORITY, REFUSED_STREAM, SETTINGS, frame, section)
from harness import GATEWAY, SLOW, Stack, docs, route, service, wait_for
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
CHAT = ("content-type", "application/json")


@pytest.fixture(scope="module")
def t():
    with Stack(YAML, dp_args=["--llm-body-max", BODY_MAX]) as stack:
        yield stack


@pytest.fixture(scope="module")
def hasty():
    with Stack(YAML, dp_args=["--timeout-head", "1s", "--timeout-idle", "1s", "--timeout-stream", "1s"]) as stack:
        yield stack


def open_clients(t):
    return t.metric("tandem_connections", side="downstream")


# --- models -----------------------------------------------------------------------------------------

def test_a_model_answers(t):
    with H2(t.connect()) as c:
        body = json.dumps({"model": "demo-small", "messages": [{"role": "user", "content": "hi"}]}).encode()
        c.request(1, "POST", "/v1/chat/completions", CHAT, end=False)
        c.data(1, body, end=True)
        a = c.answer(1)
        assert a.status == 200 and json.loads(a.body)["choices"]


def test_a_model_streams(t):
    with H2(t.connect()) as c:
        body = json.dumps({"model": "demo-small", "stream": True,
                           "messages": [{"role": "user", "content": "a b c d"}]}).encode()
        c.request(1, "POST", "/v1/chat/completions", CHAT, end=False)
        c.data(1, body, end=True)
        a = c.answer(1)
        assert a.status == 200 and a.ended and a.body.rstrip().endswith(b"data: [DONE]")


def test_limits_05_bodies_of_models_are_capped(t):
    """limits-05, HTTP/2: 413 as soon as the cap is passed, then RST_STREAM NO_ERROR."""
    with H2(t.connect()) as c:
        c.request(1, "POST", "/v1/chat/completions", CHAT, end=False)
        a, sent = c.answers[1], 0
        piece = b'{"model": "demo-small", "pad": "' + b"x" * 8000
        while sent < 4 * BODY_MAX and not a.ended:
            c.data(1, piece)
            piece, sent = b"x" * 8192, sent + 8192
            c.until(lambda: a.ended, 0.01)
        c.until(lambda: a.reset is not None)
        assert (a.status, a.ended, a.reset) == (413, True, NO_ERROR)
        assert sent < 3 * BODY_MAX
        c.request(3, "GET", "/bytes/1")
        assert c.answer(3).status == 200


# --- readers that do not read -----------------------------------------------------------------------

def test_limits_06_streams_with_a_window_of_one(t):
    """limits-06, HTTP/2: 200 streams with a window of 1, each flooded by its upstream."""
    t.get("/bytes/1000000")
    before = t.dp.rss_kib()
    slow = [H2(t.connect(), window=1, credit=False) for _ in range(2)]
    try:
        for c in slow:
            c.ping()
            for i in range(100):
                c.request(2 * i + 1, "GET", "/?flood_bytes=10000000")
        most, end = 0, time.monotonic() + 3
        with Traffic(t, "/bytes/1024", clients=2) as quick:
            while time.monotonic() < end:
                for c in slow:
                    for i in range(0, 100, 7):
                        if c.answers[2 * i + 1].heads:
                            c.update(2 * i + 1, 1)
                    c.until(lambda: False, 0.1)
                most = max(most, t.dp.rss_kib())
        assert not quick.lost and quick.answered > (100 if SLOW == 1 else 10)
        assert sum(len(a.body) for c in slow for a in c.answers.values()) > 100
        assert not any(a.reset for c in slow for a in c.answers.values())
        # A queue of each stream, and what its upstream connection has read: under 200 KiB each.
        assert SLOW > 1 or most - before < 200 * 200, f"{most - before} KiB more"
    finally:
        for c in slow:
            c.s.close()
    wait_for("upstream connections to be gone",
             lambda: t.metric("tandem_connections", side="upstream") < 20)


def test_a_stuck_stream_does_not_stop_its_neighbours(t):
    with H2(t.connect(), credit=False) as c:
        for i in range(20):
            c.request(2 * i + 1, "GET", "/?flood_bytes=1000000")
        c.until(lambda: False, 0.5)
        c.update(0, 1 << 20)  # the connection's window was used up by the twenty
        c.request(101, "GET", "/bytes/1000")
        c.update(101, 1 << 20)
        a = c.answers[101]
        assert c.until(lambda: c.update(0, 65536) or a.ended, 10) or a.ended
        assert len(a.body) == 1000


def test_readers_that_take_nothing_are_reset(hasty):
    with H2(hasty.connect(), window=0) as c:
        c.ping()
        c.request(1, "GET", "/?flood_bytes=1000000")
        c.request(3, "GET", "/bytes/100")  # whole, and waiting
        begin = time.monotonic()
        assert c.answer(1, 8).reset is not None
        assert c.answer(3, 8).reset is not None
        assert time.monotonic() - begin < 4 * SLOW
    wait_for("nobody", lambda: open_clients(hasty) == 0, 5)


def test_peers_that_read_no_frames_are_closed(hasty):
    """Answers that the socket does not take: the connection ends, and with it what it holds."""
    c = H2(hasty.connect(), window=1 << 30)
    try:
        c.ping()
        c.update(0, 1 << 30)
        for i in range(50):
            c.request(2 * i + 1, "GET", "/?flood_bytes=100000000")
        wait_for("it to be closed", lambda: open_clients(hasty) == 0, 10)
    finally:
        c.s.close()


def test_a_slow_upstream_holds_back_its_stream_alone(t):
    with H2(t.connect()) as c:
        c.request(1, "POST", "/w?delay_ms=3000", end=False)
        c.request(3, "POST", "/w?echo=1", end=False)
        c.data(1, b"x" * 60000)
        c.data(3, b"quick", end=True)
        assert c.answer(3, 2).body == b"quick"


# --- many -------------------------------------------------------------------------------------------

def test_more_streams_than_allowed(t):
    """Before it has read our SETTINGS a client cannot know better: REFUSED_STREAM, and no harm."""
    with H2(t.connect(), hello=False) as c:
        out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS)
        for i in range(140):
            out += frame(HEADERS, END_HEADERS | 1, 2 * i + 1, c.head("GET", "/w?delay_ms=300"))
        c.send(out)
        answers = [c.answer(2 * i + 1) for i in range(140)]
        refused = [a for a in answers if a.reset == REFUSED_STREAM]
        assert [a.status for a in answers if a.reset is None] == [200] * 128
        assert len(refused) == 12
        assert c.goaway is None


def test_a_busy_connection_does_not_starve_others(t):
    """Ten thousand requests on one connection, and a client of another that asks one by one."""
    with Traffic(t, "/bytes/16", clients=2) as quick:
        p = subprocess.run(["h2load", "-n", "4000", "-c", "1", "-m", "100",
                            f"http://127.0.0.1:{t.port}/bytes/1024"],
                           capture_output=True, text=True, timeout=100)
    assert "4000 succeeded" in p.stdout
    assert not quick.lost and quick.slowest < 1 * SLOW


# --- floods -----------------------------------------------------------------------------------------

def flooded(t, flood, first=True):
    """Sends a flood until the gateway hangs up; the GOAWAY's code."""
    with H2(t.connect()) as c:
        if first:
            c.request(1, "POST", "/w", end=False)
        c.ping()
        try:
            for i in range(200):
                c.send(flood(i, c))
                c.until(lambda: c.goaway, 0.001)
                if c.goaway:
                    break
        except OSError:
            pass
        c.until(lambda: c.closed, 5)
        assert c.closed
        return c.goaway and c.goaway[1]


FLOODS = {
    "ping": lambda i, c: frame(PING, 0, 0, b"12345678") * 100,
    "settings": lambda i, c: frame(SETTINGS) * 100,
    "priority": lambda i, c: frame(PRIORITY, 0, 2 * i + 1, b"\0\0\0\0\1") * 100,
    "empty data": lambda i, c: frame(DATA, 0, 1) * 100,
    "unknown": lambda i, c: frame(0x99, 0, 0, b"x") * 100,
    "window": lambda i, c: frame(8, 0, 0, struct.pack(">I", 1)) * 100,
}


@pytest.mark.parametrize("name", FLOODS)
def test_floods_are_sent_away(t, name):
    with Traffic(t, "/bytes/16", clients=1) as quick:
        assert flooded(t, FLOODS[name]) == ENHANCE_YOUR_CALM
    assert not quick.lost


def test_rapid_reset(t):
    """CVE-2023-44487: the upstream never hears of streams that are reset at once."""
    before = t.upstream_stats()["requests_seen"]

    def flood(i, c):
        out = b""
        for k in range(20):
            stream = 2 * (20 * i + k) + 3
            out += frame(HEADERS, END_HEADERS | 1, stream, c.head("GET", "/w?delay_ms=1000"))
            out += frame(3, 0, stream, struct.pack(">I", 8))
        return out
    assert flooded(t, flood) == ENHANCE_YOUR_CALM
    assert t.upstream_stats()["requests_seen"] - before < 300


def test_made_you_reset(t):
    """CVE-2025-8671: streams that the gateway has to reset, for what the client sends on them."""
    def flood(i, c):
        out = b""
        for k in range(10):
            stream = 2 * (10 * i + k) + 3
            out += frame(HEADERS, END_HEADERS | 1, stream, c.head("GET", "/w?delay_ms=1000"))
            out += frame(8, 0, stream, struct.pack(">I", 0x7fffffff))
        return out
    assert flooded(t, flood) == ENHANCE_YOUR_CALM


def test_continuation_flood(t):
    def flood(i, c):
        head = frame(HEADERS, 0, 1, c.head()) if i == 0 else b""
        return head + frame(CONTINUATION, 0, 1, section([("x", "1")])) * 20
    flooded(t, flood, first=False)


def test_hpack_bomb(t):
    def flood(i, c):
        fill = b"\x40\x01x\x7f\x81\x1e" + b"v" * 4000
        return frame(HEADERS, END_HEADERS | 1, 2 * i + 1, c.head() + fill + b"\xbe" * 10000)
    before = t.dp.rss_kib()
    assert flooded(t, flood, first=False) == ENHANCE_YOUR_CALM
    assert t.dp.rss_kib() - before < 8192 * SLOW


def test_garbage(t):
    """Random frames: nothing breaks, and others are served."""
    end = time.monotonic() + float(os.environ.get("GARBAGE_SECONDS", "3"))

    def spoil():
        while time.monotonic() < end:
            try:
                with H2(t.connect()) as c:
                    for _ in range(30):
                        r = os.urandom(4)
                        c.frame(r[0] % 11, r[1], r[2] % 8, os.urandom(r[3]))
                    c.until(lambda: c.closed, 0.05)
            except (OSError, AssertionError, struct.error, Exception):  # what comes back is not judged
                pass
    threads = [threading.Thread(target=spoil) for _ in range(2)]
    with Traffic(t, "/bytes/16", clients=1) as quick:
        for x in threads:
            x.start()
        for x in threads:
            x.join()
    assert not quick.lost
    assert t.get("/bytes/3").status == 200
