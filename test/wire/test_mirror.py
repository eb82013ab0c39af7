# SPDX-License-Identifier: Apache-2.0
"""RequestMirror: copies go to other backends, and the original never notices."""
import contextlib
import random
import socket
import time

import pytest
from h2_upstream import H2Upstream
from h2raw import H2
from harness import SLOW, free_ports, read_all, wait_for
from plane import Plane, Upstream, backend, rule, to


def mirror(name="copy", **share):
    return {"type": "RequestMirror", "backend": backend(name), **share}


def outcomes(p):
    names = ("answered", "failed", "slow", "incomplete", "limit")
    found = {n: int(p.metric("tandem_mirrors_total", outcome=n)) for n in names}
    return {n: v for n, v in found.items() if v}


class Silent:
    """Accepts and never reads or answers."""

    def __init__(self):
        self.port = free_ports(1)[0]
        self.s = socket.socket()
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.s.bind(("127.0.0.1", self.port))
        self.s.listen(512)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.s.close()


def test_head_and_body_are_copied_and_the_answer_is_dropped():
    filters = [{"type": "RequestHeaderModifier", "set": [{"name": "x-a", "value": "1"}]}, mirror()]
    with Upstream() as up, Upstream(status=500, body=b"mirror" * 9999) as copy:
        with Plane([rule(backends=[to()], filters=filters)], {"web": up, "copy": copy}) as p:
            body = b"0123456789" * 20000
            r = p.get("/x?q=1", method="POST", body=body, host="a.example",
                      headers=[("X-Request-Id", "id-1"), ("X-B", "2")])
            assert (r.status, r.body) == (200, b"hello")
            (original,), (copied,) = up.wait(1), copy.wait(1)
            assert copied == original
            assert copied["body"] == body and copied["path"] == "/x?q=1"
            assert copied["headers"]["host"] == ["a.example"]
            assert copied["headers"]["x-request-id"] == ["id-1"]
            assert copied["headers"]["x-a"] == ["1"] and copied["headers"]["x-b"] == ["2"]
            wait_for("the copy's end", lambda: outcomes(p) == {"answered": 1})
            # One request of a client is one line and one count, and its connection is kept.
            assert len(p.access_lines(1)) == 1
            assert p.metric("tandem_requests_total", route="default/web") == 1
            assert p.get("/again").status == 200
            copy.wait(2)
            wait_for("the copy's end", lambda: outcomes(p) == {"answered": 2})
            assert p.metric("tandem_upstream_connects_total", endpoint=f"127.0.0.1:{copy.port}") == 1


def test_chunked_bodies_several_mirrors_and_those_of_a_backend():
    ours = [{"type": "URLRewrite", "path": {"type": "ReplaceFullPath", "value": "/b"}}, mirror("c")]
    with Upstream() as up, Upstream() as a, Upstream() as b, Upstream() as c:
        rules = [rule(backends=[to(filters=ours)], filters=[mirror("a"), mirror("b")])]
        with Plane(rules, {"web": up, "a": a, "b": b, "c": c}) as p:
            raw = p.raw(b"PUT /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
                        b"Connection: close\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
            assert raw.startswith(b"HTTP/1.1 200 ")
            for u, path in ((up, "/b"), (a, "/p"), (b, "/p"), (c, "/b")):
                (got,) = u.wait(1)
                assert (got["method"], got["path"], got["body"]) == ("PUT", path, b"hello world")


class Mixed(Plane):
    """Of h2c: the names given."""

    def __init__(self, *args, h2c=(), **more):
        self.h2c = h2c
        super().__init__(*args, **more)

    def write(self, path):
        for name in self.h2c:
            self.resources[backend(name)]["protocol"] = "h2c"
        super().write(path)


@contextlib.contextmanager
def mixed(h2c):
    """A plane whose backends named in h2c speak HTTP/2, and both servers: plane, HTTP/2, HTTP/1.1."""
    def answer(s):
        assert s.ended.wait(10 * SLOW)
        s.answer(200, body=b"hello")

    with H2Upstream() as h2, Upstream() as h1:
        h2.on_request = answer
        ports = {name: (h2 if name in h2c else h1).port for name in ("copy", "web")}
        with Mixed([rule(backends=[to()], filters=[mirror()])], ports, h2c=h2c) as p:
            yield p, h2, h1


@pytest.mark.parametrize("h2c", [["copy"], ["web"], ["copy", "web"]])
def test_backends_that_speak_http2(h2c):
    body = b"0123456789" * 15000
    with mixed(h2c) as (p, h2, h1):
        for data in (body, b""):
            assert p.get("/x", method="POST", body=data).status == 200
        wait_for("the copies' ends", lambda: sum(outcomes(p).values()) == 2)
        assert outcomes(p) == {"answered": 2}
        over_h2 = sorted(s.body for s in h2.wait(2 * len(h2c)))
        assert over_h2 == sorted([body, b""] * len(h2c))
        assert sorted(r["body"] for r in h1.requests) == sorted([body, b""] * (2 - len(h2c)))


SUMS = {"x-sum": "abc", "x-more": "1"}


@pytest.mark.parametrize("h2c", [[], ["copy"], ["web"], ["copy", "web"]])
@pytest.mark.parametrize("body", [b"hello", b"0123456789" * 5000, b""], ids=["short", "long", "none"])
def test_trailers_are_copied(h2c, body):
    with mixed(h2c) as (p, h2, h1):
        chunk = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
        raw = p.raw(b"PUT /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
                    b"Connection: close\r\n\r\n" + chunk + b"0\r\nX-Sum: abc\r\nX-More: 1\r\n\r\n")
        assert raw.startswith(b"HTTP/1.1 200 ")
        with H2(p.connect()) as c:
            c.request(1, "POST", "/", end=False)
            if body:
                c.data(1, body)
            c.trailers(1, ("x-sum", "abc"), ("x-more", "1"))
            assert c.answer(1).status == 200
        wait_for("the copies' ends", lambda: sum(outcomes(p).values()) == 2)
        assert outcomes(p) == {"answered": 2}
        for got in h2.wait(2 * len(h2c)) if h2c else []:
            assert (got.body, dict(got.trailers)) == (body, SUMS)
        for got in h1.wait(2 * (2 - len(h2c))) if len(h2c) < 2 else []:
            assert (got["body"], got["trailers"]) == (body, SUMS)


def test_methods_without_a_body():
    with Upstream() as up, Upstream() as copy:
        with Plane([rule(backends=[to()], filters=[mirror()])], {"web": up, "copy": copy}) as p:
            for method in ("GET", "HEAD", "DELETE", "OPTIONS"):
                assert p.get("/", method=method).status == 200
            copy.wait(4)
            wait_for("the copies' ends", lambda: outcomes(p) == {"answered": 4})


@pytest.mark.parametrize("share, low, high", [
    ({"numerator": 0, "denominator": 100}, 0, 0), ({"numerator": 50, "denominator": 100}, 60, 140),
    ({"numerator": 1, "denominator": 20}, 1, 30), ({"numerator": 7, "denominator": 7}, 200, 200)])
def test_a_share_is_copied(share, low, high):
    with Upstream() as up, Upstream() as copy:
        with Plane([rule(backends=[to()], filters=[mirror(**share)])],
                   {"web": up, "copy": copy}) as p, p.connect() as s:
            from harness import Reader
            reader = Reader(s)
            for _ in range(200):
                s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert reader.response().status == 200
            wait_for("the copies' ends",
                     lambda: outcomes(p).get("answered", 0) == len(copy.requests))
            assert low <= len(copy.requests) <= high


def test_backends_that_cannot_be_reached_or_resolved_do_not_matter():
    filters = [mirror("gone"), mirror("none"), mirror("unknown"),
               {"type": "RequestMirror", "invalid": "BackendNotFound"}]
    with Upstream() as up:
        with Plane([rule(backends=[to()], filters=filters)],
                   {"web": up, "gone": free_ports(1)[0], "none": []}) as p:
            r = p.get("/", method="POST", body=b"x" * 100000)
            assert (r.status, r.body) == (200, b"hello")
            wait_for("the copies' ends", lambda: outcomes(p) == {"failed": 2})
            assert p.metric("tandem_refused_total") == 0


def test_a_slow_mirror_is_given_up_and_the_original_is_not_held_back():
    body = b"x" * (8 << 20)
    with Upstream() as up, Silent() as copy:
        with Plane([rule(backends=[to()], filters=[mirror()])], {"web": up, "copy": copy}) as p:
            begin = time.monotonic()
            assert p.get("/", method="POST", body=body).status == 200
            assert time.monotonic() - begin < 5 * SLOW
            assert up.wait(1)[0]["body"] == body
            wait_for("the copy's end", lambda: outcomes(p) == {"slow": 1})


def test_a_mirror_that_never_answers_delays_nobody():
    with Upstream() as up, Silent() as copy:
        with Plane([rule(backends=[to()], filters=[mirror()])], {"web": up, "copy": copy},
                   dp_args=["--timeout-first-byte", "500ms"]) as p:
            begin = time.monotonic()
            assert p.get("/").status == 200
            assert time.monotonic() - begin < 0.4 * SLOW
            wait_for("the copy's end", lambda: outcomes(p) == {"failed": 1})


def test_a_client_that_leaves_after_its_body_does_not_end_the_copy():
    with Upstream(delay=1.0) as up, Upstream(delay=0.5) as copy:
        with Plane([rule(backends=[to()], filters=[mirror()])], {"web": up, "copy": copy}) as p:
            with p.connect() as s:
                s.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
                copy.wait(1)
            wait_for("the copy's end", lambda: outcomes(p) == {"answered": 1})
            (line,) = p.access_lines(1)
            assert line["error"] == "the client left"


def test_a_client_that_leaves_in_its_body_ends_the_copy():
    with Upstream() as up, Upstream() as copy:
        with Plane([rule(backends=[to()], filters=[mirror()])], {"web": up, "copy": copy}) as p:
            with p.connect() as s:
                s.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\nabc")
                wait_for("both connections", lambda: p.metric("tandem_connections",
                                                              side="upstream") == 2)
            wait_for("the copy's end", lambda: outcomes(p) == {"incomplete": 1})
            assert all(len(r["body"]) < 300000 for r in copy.requests)


def test_answers_of_ours_are_not_copied():
    filters = [{"type": "RequestRedirect", "port": 1}, mirror()]
    with Upstream() as copy:
        with Plane([rule(filters=filters)], {"copy": copy}) as p:
            assert p.get("/").status == 302
            assert p.get("/").status == 302
            assert outcomes(p) == {} and copy.requests == []


def test_no_more_than_a_bounded_number_is_under_way():
    with Upstream() as up, Silent() as copy:
        with Plane([rule(backends=[to()], filters=[mirror()] * 4)], {"web": up, "copy": copy}) as p:
            for _ in range(70):
                assert p.get("/").status == 200
            assert outcomes(p) == {"limit": 70 * 4 - 256}
            p.dp.signal(15)  # a drain ends them with its time
            wait_for("the end", lambda: not p.dp.is_running(), 15)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_clients_do_every_copy_ends(seed):
    rng = random.Random(seed)
    filters = [mirror("a"), mirror("b")]
    with Upstream(delay=0.02) as up, Upstream(delay=0.05) as a, Silent() as b:
        with Plane([rule(backends=[to()], filters=filters)], {"web": up, "a": a, "b": b},
                   dp_args=["--timeout-first-byte", "1s"]) as p:
            for _ in range(40):
                n = rng.choice([0, 1, 5000, 70000, 900000])
                with p.connect() as s:
                    s.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % n)
                    sent = n if rng.random() < 0.6 else rng.randrange(n + 1)
                    s.sendall(b"x" * sent)
                    if rng.random() < 0.5:
                        s.settimeout(rng.choice([0.001, 0.02, 0.2]))
                        read_all(s)
            wait_for("every copy's end", lambda: sum(outcomes(p).values()) == 80, 20)
            assert "limit" not in outcomes(p)
            wait_for("no connection is lent", lambda: p.get("/").status == 200)
