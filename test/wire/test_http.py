# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 through the whole line: framing, hop-by-hop fields, errors, pipelining, retries."""
import json
import socket
import threading
import time

import pytest

from harness import GATEWAY, Reader, Stack, docs, read_all, read_response, route, service, wait_for

RULES = """
  - matches: [{path: {type: Exact, value: /exact}}]
    backendRefs: [{name: web, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /tier}, headers: [{name: X-Tier, value: gold}, {name: x-tier, value: silver}]}]
    backendRefs: [{name: web, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /set}}]
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier:
        set: [{name: x-set, value: new}]
        add: [{name: x-add, value: more}]
        remove: [x-gone]
    - type: ResponseHeaderModifier
      responseHeaderModifier:
        set: [{name: x-answer, value: changed}]
        remove: [server]
    backendRefs: [{name: web, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /dead}}]
    backendRefs: [{name: dead, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /none}}]
  - matches: [{path: {type: PathPrefix, value: /w}}, {path: {type: PathPrefix, value: /bytes}}]
    backendRefs: [{name: web, port: 80}]
"""


@pytest.fixture(scope="module")
def t():
    yaml = docs(GATEWAY, service("web"), service("dead"), route("web", RULES))
    with Stack(yaml, endpoints={"default/dead": "127.0.0.1:1"}) as stack:
        yield stack


def test_plain_answer(t):
    r = t.get("/bytes/1024")
    assert (r.status, len(r.body), r.framing, r.complete) == (200, 1024, "length", True)


@pytest.mark.parametrize("n", [0, 1, 1024, 16384, 20000, 1000000, 12 << 20])
def test_sizes(t, n):
    r = t.get(f"/bytes/{n}", timeout=30)
    assert (r.status, len(r.body), r.complete) == (200, n, True)


def test_no_route_is_404_problem(t):
    r = t.get("/nowhere")
    assert r.status == 404
    assert r.header("content-type") == "application/problem+json"
    assert r.json()["code"] == "no_route"
    assert r.header("x-request-id")


def test_rule_without_backends_is_500(t):
    assert t.get("/none").status == 500


def test_refused_connection_is_503(t):
    r = t.get("/dead")
    assert r.status == 503
    assert "cannot connect" in r.json()["detail"]
    # Who asks is told why, and not what the cluster looks like inside; the log tells.
    assert b"127.0.0.1" not in r.body and b"dead" not in r.body
    line = wait_for("the line", lambda: [l for l in t.access_lines() if l["path"] == "/dead"])[-1]
    assert line["upstream"].startswith("127.0.0.1:") and "cannot connect" in line["error"]


def test_http_02_first_of_equivalent_header_names_counts(t):
    assert t.get("/tier", headers=[("x-TIER", "gold")]).status == 200
    assert t.get("/tier", headers=[("x-TIER", "silver")]).status == 404


def test_filters(t):
    r = t.get("/set/x", headers=[("x-set", "old"), ("x-gone", "1"), ("X-Add", "first")])
    seen = {k.lower(): v for k, v in r.json()["headers"].items()}
    assert seen["x-set"] == "new"
    assert "x-gone" not in seen
    assert "more" in seen["x-add"]
    assert r.header("x-answer") == "changed"
    assert r.header("server") is None


def test_request_id_is_kept_or_made(t):
    r = t.get("/w/a", headers=[("x-request-id", "mine-1")])
    assert r.header("x-request-id") == "mine-1"
    seen = {k.lower(): v for k, v in r.json()["headers"].items()}
    assert seen["x-request-id"] == "mine-1"
    a, b = t.get("/w/a").header("x-request-id"), t.get("/w/a").header("x-request-id")
    assert a != b and len(a) == 32


def test_forwarded_fields(t):
    r = t.get("/w/a", headers=[("x-forwarded-for", "1.2.3.4")], host="h.example:81")
    seen = {k.lower(): v for k, v in r.json()["headers"].items()}
    assert seen["x-forwarded-for"] == "1.2.3.4, 127.0.0.1"
    assert seen["x-forwarded-proto"] == "http"
    assert seen["host"] == "h.example:81"


def test_hop_by_hop_fields_stay(t):
    r = t.get("/w/a", headers=[("Connection", "x-private, close"), ("x-private", "1"), ("Keep-Alive", "5"),
                               ("TE", "trailers"), ("Proxy-Connection", "close"), ("x-other", "2")])
    seen = {k.lower() for k in r.json()["headers"]}
    assert not seen & {"x-private", "keep-alive", "proxy-connection", "te"}
    assert "x-other" in seen


BAD = [
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 40000 + b"\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 200 + b"\r\n", 431),
    (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501),
]


@pytest.mark.parametrize("data,status", BAD, ids=[str(i) for i in range(len(BAD))])
def test_refused_heads(t, data, status):
    with t.connect() as s:
        s.sendall(data)
        r = read_response(s)
        assert r.status == status, r.body
        assert r.header("x-request-id")
        if status != 501 or b"CONNECT" not in data:
            assert read_all(s) == b""  # and closed


def test_bad_chunk_never_reaches_the_end_of_a_request(t):
    before = t.upstream_stats()["requests"]
    out = t.raw(b"POST /w/x?echo=1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"5\r\nhello\r\n0x3\r\nabc\r\n0\r\n\r\nGET /w/smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b" 200 " not in out
    assert t.upstream_stats()["requests"] <= before + 1


def test_pipelining_keeps_order(t):
    with t.connect() as s:
        s.sendall(b"".join(b"GET /bytes/%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in (3, 0, 5000, 1, 70000)))
        reader = Reader(s)
        assert [len(reader.response().body) for _ in range(5)] == [3, 0, 5000, 1, 70000]


def test_pipelined_head_in_pieces(t):
    with t.connect() as s:
        for piece in (b"GET /bytes/3 HTTP/1.1\r\nHo", b"st: a\r\n\r\nGET /by", b"tes/4 HTTP/1.1\r\nHost: a\r\n\r", b"\n"):
            s.sendall(piece)
            time.sleep(0.05)
        reader = Reader(s)
        assert [len(reader.response().body) for _ in range(2)] == [3, 4]


def test_keep_alive_and_close(t):
    with t.connect() as s:
        reader = Reader(s)
        for _ in range(3):
            s.sendall(b"GET /bytes/1 HTTP/1.1\r\nHost: a\r\n\r\n")
            assert reader.response().header("connection") is None
        s.sendall(b"GET /bytes/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert reader.response().header("connection") == "close"
        assert read_all(s) == b""


def test_http10_client(t):
    with t.connect() as s:
        s.sendall(b"GET /w/a?chunked=1 HTTP/1.0\r\n\r\n")
        r = read_response(s)
        assert (r.status, r.framing) == (200, "close")


def test_http10_keep_alive(t):
    with t.connect() as s:
        reader = Reader(s)
        for _ in range(2):
            s.sendall(b"GET /bytes/5 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            r = reader.response()
            assert (r.framing, len(r.body), r.header("connection")) == ("length", 5, "keep-alive")


def test_head_request(t):
    with t.connect() as s:
        reader = Reader(s)
        s.sendall(b"HEAD /bytes/1024 HTTP/1.1\r\nHost: a\r\n\r\nGET /bytes/2 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert reader.response(head_only=True).header("content-length") == "1024"
        assert len(reader.response().body) == 2


def test_chunked_answer(t):
    r = t.get("/w/a?chunked=1")
    assert (r.status, r.framing, r.complete) == (200, "chunked", True)


def test_trailers_pass(t):
    r = t.get("/w/a?chunked=1&trailers=1")
    assert r.complete and r.trailers


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("n", [1, 5000, 300000])
def test_request_bodies(t, n, chunked):
    body = bytes(i % 251 for i in range(n))
    head = b"POST /w/x?echo=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    if chunked:
        head += b"Transfer-Encoding: chunked\r\n\r\n"
        sent = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 777]), body[i:i + 777]) for i in range(0, n, 777)) + b"0\r\n\r\n"
    else:
        head += b"Content-Length: %d\r\n\r\n" % n
        sent = body
    with t.connect() as s:
        writer = threading.Thread(target=s.sendall, args=(head + sent,))
        writer.start()
        r = read_response(s)
        writer.join(10)
    assert r.status == 200 and r.body == body


def test_expect_continue(t):
    with t.connect() as s:
        s.sendall(b"POST /w/x?echo=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        reader = Reader(s)
        assert reader.line() == b"HTTP/1.1 100 Continue"
        assert reader.line() == b""
        s.sendall(b"hello")
        r = reader.response()
        assert (r.status, r.body, r.interim) == (200, b"hello", [])


def test_interim_answer_passes(t):
    r = t.get("/w/a?early=1")
    assert r.status == 200 and [i[0] for i in r.interim] == [103]


@pytest.mark.parametrize("how", ["cut=10", "cutchunk=1&chunked=1"])
def test_cut_answer_is_not_a_clean_one(t, how):
    r = t.get(f"/w/a?{how}")
    assert not r.complete


def test_no_answer_is_502(t):
    r = t.get("/w/a?noreply_close=1")
    assert r.status == 502, r.body
    assert t.access_lines()


def test_dead_pooled_connection_is_retried(t):
    before = t.metric("tandem_upstream_retries_total")
    for _ in range(10):
        assert t.get("/w/a?reset_next=1").status == 200
        assert t.get("/bytes/1").status == 200
    assert t.metric("tandem_upstream_retries_total") >= before


def test_upstream_connections_are_reused(t):
    t.get("/bytes/1")
    before = t.metric("tandem_upstream_connects_total")
    with t.connect() as s:
        reader = Reader(s)
        for _ in range(20):
            s.sendall(b"GET /bytes/1 HTTP/1.1\r\nHost: a\r\n\r\n")
            reader.response()
    assert t.metric("tandem_upstream_connects_total") - before <= 1


def test_client_that_leaves_frees_the_upstream(t):
    closes = t.upstream_stats()["client_closes_seen"]
    s = t.connect()
    s.sendall(b"GET /w/a?silence=1 HTTP/1.1\r\nHost: a\r\n\r\n")
    time.sleep(0.2)
    s.close()
    wait_for("the upstream's connection closes", lambda: t.upstream_stats()["client_closes_seen"] > closes, 3)


def test_exactly_one_log_line_each(t):
    ids = [f"once-{i}-{time.monotonic_ns()}" for i in range(4)]
    t.get("/bytes/9", headers=[("x-request-id", ids[0])])
    t.get("/nowhere", headers=[("x-request-id", ids[1])])
    t.get("/w/a?cut=5", headers=[("x-request-id", ids[2])])
    s = t.connect()
    s.sendall(f"GET /w/a?silence=1 HTTP/1.1\r\nHost: a\r\nx-request-id: {ids[3]}\r\n\r\n".encode())
    time.sleep(0.1)
    s.close()
    # The log is buffered for a second, so lines of earlier requests may come before these.
    wait_for("four lines", lambda: set(ids) <= {l["request_id"] for l in t.access_lines()}, 5)
    lines = t.access_lines()
    for id_ in ids:
        found = [l for l in lines if l.get("request_id") == id_]
        assert len(found) == 1, (id_, found)
    by_id = {l["request_id"]: l for l in lines}
    assert by_id[ids[0]]["status"] == 200 and by_id[ids[0]]["bytes_out"] == 9
    assert by_id[ids[1]]["status"] == 404
    assert by_id[ids[2]]["error"]
    assert by_id[ids[3]]["error"] == "the client left"


def test_metrics_count(t):
    before = t.metric("tandem_requests_total", route="default/web", code="2xx")
    t.get("/bytes/1")
    wait_for("count", lambda: t.metric("tandem_requests_total", route="default/web", code="2xx") == before + 1, 3)


def test_http_06_ipv6_host(t):
    r = t.get("/w/a", host="[2001:db8::5]:9080")
    seen = {k.lower(): v for k, v in r.json()["headers"].items()}
    assert seen["host"] == "[2001:db8::5]:9080"


def test_http_09_early_refusal_is_not_lost(t):
    # The client goes on sending after the gateway has answered: the answer must arrive.
    with t.connect() as s:
        s.sendall(b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n")
        try:
            for _ in range(30):
                s.sendall(b"x" * 100000)
        except OSError:
            pass
        r = read_response(s)
        assert r.status == 404 and r.complete


def test_http_10_an_expression_is_refused_and_never_misses_silently(t):
    t.write("regex.yaml", route("regex", """
  - matches: [{path: {type: RegularExpression, value: "^/v[0-9]+/.*$"}}]
    backendRefs: [{name: web, port: 80}]
"""))
    said = wait_for("the refusal", lambda: [l for l in t.ctl.log().splitlines() if "regex.yaml" in l and "refused" in l])
    assert "'RegularExpression' is not supported yet" in said[0]
    (t.source / "regex.yaml").unlink()
