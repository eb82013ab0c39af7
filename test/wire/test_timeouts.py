# SPDX-License-Identifier: Apache-2.0
"""Timeouts of rules: of the whole request, and of one attempt."""
import time

import pytest
from harness import SLOW
from plane import Plane, Upstream, rule, to


class Drip(Upstream):
    """Answers in pieces, one each 100 ms, for 3 s."""

    def reply(self, h):
        h.send_response(200)
        h.send_header("Content-Type", "text/event-stream")
        h.send_header("Transfer-Encoding", "chunked")
        h.end_headers()
        try:
            for i in range(30):
                h.wfile.write(b"3\r\n%02d\n\r\n" % i)
                time.sleep(0.1)
            h.wfile.write(b"0\r\n\r\n")
        except OSError:
            pass


def timed(fn):
    begin = time.monotonic()
    r = fn()
    return r, time.monotonic() - begin


@pytest.mark.parametrize("timeouts, word", [
    ({"request_ms": 300}, "the request took longer than allowed"),
    ({"backend_ms": 300}, "the upstream took longer than allowed"),
    ({"request_ms": 5000, "backend_ms": 300}, "the upstream took longer than allowed")])
def test_a_slow_upstream_is_504(timeouts, word):
    with Upstream(delay=1.5) as up:
        with Plane([rule(backends=[to()], timeouts=timeouts)], {"web": up}) as p:
            r, seconds = timed(lambda: p.get("/"))
            assert (r.status, r.json()["code"], r.json()["detail"]) == (504, "timeout", word)
            assert 0.29 <= seconds < 1.2 * SLOW


@pytest.mark.parametrize("timeouts", [
    {"request_ms": 0}, {"backend_ms": 0}, {"request_ms": 0, "backend_ms": 0},
    {"request_ms": 60000}, {"backend_ms": 60000}])
def test_what_the_rule_says_wins_over_the_flags(timeouts):
    args = ["--timeout-first-byte", "300ms"]
    if "request_ms" in timeouts:
        args += ["--timeout-request", "300ms"]
    with Upstream(delay=1.0) as up:
        rules = [rule(0, "/", [to()], timeouts=timeouts), rule(1, "/plain", [to()])]
        with Plane(rules, {"web": up}, dp_args=args) as p:
            assert p.get("/").status == 200
            assert p.get("/plain").status == 504


@pytest.mark.parametrize("timeouts", [{"request_ms": 600}, {"backend_ms": 600}])
def test_a_stream_is_cut_when_its_time_is_over(timeouts):
    with Drip() as up, Plane([rule(backends=[to()], timeouts=timeouts)], {"web": up}) as p:
        r, seconds = timed(lambda: p.get("/"))
        assert r.status == 200 and not r.complete
        assert 1 <= len(r.body.split()) < 20
        assert 0.5 <= seconds < 2.0 * SLOW
        (line,) = p.access_lines(1)
        assert "longer than allowed" in line["error"]


def test_a_slow_client_is_under_the_time_of_the_whole():
    with Upstream() as up, Plane([rule(backends=[to()], timeouts={"request_ms": 400})],
                                 {"web": up}) as p:
        begin = time.monotonic()
        answer = p.raw(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        assert answer.startswith(b"HTTP/1.1 504 ")
        assert time.monotonic() - begin < 3 * SLOW


def test_quick_requests_on_one_connection_do_not_inherit_the_time():
    with Upstream() as up, Plane([rule(0, "/t", [to()], timeouts={"request_ms": 300}),
                                  rule(1, "/", [to()])], {"web": up}) as p, p.connect() as s:
        from harness import Reader
        reader = Reader(s)
        s.sendall(b"GET /t HTTP/1.1\r\nHost: a\r\n\r\n")
        assert reader.response().status == 200
        up.delay = 0.8
        s.sendall(b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n")
        assert reader.response().status == 200
