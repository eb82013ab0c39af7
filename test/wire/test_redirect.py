# SPDX-License-Identifier: Apache-2.0
"""RequestRedirect on the wire: the answer is ours, and no upstream is asked."""
import pytest
from certs import Ca
from harness import Reader
from plane import Plane, Upstream, rule, to


def redirect(**spec):
    return {"type": "RequestRedirect", **spec}


PREFIX = {"type": "ReplacePrefixMatch", "value": "/bar", "prefix": "/foo"}


def test_answers_are_redirects_without_a_body():
    rules = [rule(0, "/foo", filters=[redirect(path=PREFIX, status=301)]),
             rule(1, "/s", filters=[redirect(scheme="https", status=308)]),
             rule(2, "/", filters=[redirect(hostname="new.example.com")])]
    with Plane(rules, {}) as p:
        r = p.get("/foo/x?q=1", host="a.example:1234")
        assert (r.status, r.header("location")) == (301, "http://a.example:8080/bar/x?q=1")
        assert r.header("content-length") == "0" and r.body == b"" and r.complete
        assert r.header("content-type") is None
        assert r.header("x-request-id")
        r = p.get("/s?a", host="a.example", method="POST", body=b"ignored")
        assert (r.status, r.header("location")) == (308, "https://a.example/s?a")
        r = p.get("/x", host="a.example", method="HEAD")
        assert (r.status, r.header("location")) == (302, "http://new.example.com:8080/x")
        lines = p.access_lines(3)
        assert [(l["path"], l["status"], l["route"]) for l in lines] == [
            ("/foo/x", 301, "default/web"), ("/s", 308, "default/web"), ("/x", 302, "default/web")]
        assert p.metric("tandem_refused_total") == 0


def test_the_connection_goes_on():
    with Plane([rule(filters=[redirect(port=81)])], {}) as p, p.connect() as s:
        s.sendall(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
                  b"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                  b"GET /3 HTTP/1.1\r\nHost: a\r\n\r\n")
        reader = Reader(s)
        for i in (1, 2, 3):
            r = reader.response()
            assert (r.status, r.header("location")) == (302, f"http://a:81/{i}")


def test_report_http_01_no_default_port():
    filters = [redirect(scheme="https", hostname="new.example.net", status=301)]
    with Plane([rule(filters=filters)], {}, port=80) as p:
        r = p.get("/p?q=1", host="old.example.net")
        assert (r.status, r.header("location")) == (301, "https://new.example.net/p?q=1")


def test_report_http_03_scheme_of_the_listener():
    with Plane([rule(filters=[redirect(hostname="new.example.com")])], {}, port=80) as p:
        assert p.get("/x", host="old.example.com").header("location") == "http://new.example.com/x"


@pytest.mark.parametrize("port, spec, want", [
    (443, {"hostname": "new.example.com"}, "https://new.example.com/x"),
    (8443, {"hostname": "new.example.com"}, "https://new.example.com:8443/x"),
    (8443, {"scheme": "http"}, "http://old.example.com/x"),
    (443, {"port": 444}, "https://old.example.com:444/x")])
def test_report_http_03_scheme_of_the_https_listener(port, spec, want):
    ca = Ca()
    with Plane([rule(filters=[redirect(**spec)])], {}, port=port,
               cert=ca.leaf("old.example.com")) as p:
        with ca.connect(p.port, "old.example.com") as s:
            s.sendall(b"GET /x HTTP/1.1\r\nHost: old.example.com\r\n\r\n")
            assert Reader(s).response().header("location") == want


def test_report_http_06_ipv6_literal_with_port():
    with Plane([rule(filters=[redirect(scheme="https", port=9443)])], {}) as p:
        r = p.get("/a?b=1", host="[2001:db8::5]:9080")
        assert r.header("location") == "https://[2001:db8::5]:9443/a?b=1"


def test_without_a_host_there_is_nowhere_to_go():
    with Plane([rule(filters=[redirect(scheme="https")])], {}) as p:
        assert p.raw(b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_a_backends_redirect_comes_after_the_pick():
    with Upstream() as up:
        backends = [to(filters=[redirect(hostname="moved.example")]), to("other")]
        with Plane([rule(backends=backends)], {"web": up, "other": up}, port=80) as p:
            got = [p.get("/x") for _ in range(4)]
            assert sorted(r.status for r in got) == [200, 200, 302, 302]
            assert {r.header("location") for r in got} == {None, "http://moved.example/x"}
            assert len(up.requests) == 2
