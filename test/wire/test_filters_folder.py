# SPDX-License-Identifier: Apache-2.0
"""Filters and timeouts from a user's YAML to the wire: one route with all of them."""
import pytest
from harness import GATEWAY, Stack, docs, route, service, wait_for
from plane import Upstream

APP = "https://app.example.com"

RULES = """
  - matches: [{path: {value: /redirect}}]
    filters:
    - type: RequestRedirect
      requestRedirect: {scheme: https, hostname: new.example.net, statusCode: 301,
                        path: {type: ReplacePrefixMatch, replacePrefixMatch: /moved}}
  - matches: [{path: {value: /rewrite}}]
    filters:
    - type: URLRewrite
      urlRewrite: {hostname: in.example.net, path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}
    backendRefs: [{name: web, port: 80}]
  - matches: [{path: {value: /full}}]
    filters:
    - {type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /one}}}
    backendRefs: [{name: web, port: 80}]
  - matches: [{path: {value: /v1}}]
    filters:
    - type: CORS
      cors: {allowOrigins: ["https://app.example.com"], allowMethods: [GET, POST],
             allowHeaders: [authorization], maxAge: 60}
    backendRefs: [{name: web, port: 80}]
  - matches: [{path: {value: /mirror}}]
    filters:
    - {type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 80}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 80}, percent: 0}}
    backendRefs: [{name: web, port: 80}]
  - matches: [{path: {value: /backend}}]
    backendRefs:
    - name: web
      port: 80
      filters:
      - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-a, value: "1"}]}}
      - {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-b, value: "2"}]}}
      - {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}
  - matches: [{path: {value: /slow}}]
    timeouts: {request: 300ms, backendRequest: 200ms}
    backendRefs: [{name: web, port: 80}]
"""


@pytest.fixture(scope="module")
def t():
    yaml = docs(GATEWAY, service("web"), service("copy"), route("all", RULES))
    with Upstream() as web, Upstream() as copy:
        with Stack(yaml, endpoints={"default/web": f"127.0.0.1:{web.port}",
                                    "default/copy": f"127.0.0.1:{copy.port}"},
                   dp_args=["--explain", "on"]) as stack:
            stack.web, stack.copy = web, copy
            stack.wait_condition("HTTPRoute", "all", "Programmed")
            assert stack.conditions("HTTPRoute", "all")["ResolvedRefs"]["status"] == "True"
            yield stack


@pytest.fixture(autouse=True)
def forget(t):
    t.web.requests.clear()
    t.copy.requests.clear()
    t.web.delay = 0


def test_redirect(t):
    r = t.get("/redirect/x?q=1", host="old.example.net")
    assert (r.status, r.header("location")) == (301, "https://new.example.net/moved/x?q=1")
    assert t.web.requests == []


def test_rewrite(t):
    assert t.get("/rewrite/a?q", host="out.example").status == 200
    assert t.get("/full/a?q", host="out.example").status == 200
    got = [(r["path"], r["headers"]["host"]) for r in t.web.wait(2)]
    assert got == [("/a?q", ["in.example.net"]), ("/one?q", ["out.example"])]


def test_report_http_08_preflight(t):
    r = t.get("/v1/x", method="OPTIONS", headers=[
        ("Origin", APP), ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization")])
    assert r.status == 204 and t.web.requests == []
    assert r.header("access-control-allow-origin") == APP
    assert r.header("access-control-allow-methods") == "GET, POST"
    assert r.header("access-control-allow-headers") == "authorization"
    assert r.header("access-control-max-age") == "60"
    r = t.get("/v1/x", headers=[("Origin", APP)])
    assert (r.status, r.header("access-control-allow-origin")) == (200, APP)


def test_mirror(t):
    assert t.get("/mirror/x", method="POST", body=b"abc").status == 200
    assert t.web.wait(1)[0]["body"] == t.copy.wait(1)[0]["body"] == b"abc"
    wait_for("the copy's end", lambda: t.metric("tandem_mirrors_total", outcome="answered") == 1)
    assert len(t.copy.requests) == 1


def test_filters_of_a_backend(t):
    r = t.get("/backend/x")
    assert (r.status, r.header("x-b")) == (200, "2")
    (got,) = t.web.wait(1)
    assert (got["path"], got["headers"]["x-a"]) == ("/b/x", ["1"])


def test_timeouts(t):
    t.web.delay = 1.0
    r = t.get("/slow")
    assert (r.status, r.json()["code"]) == (504, "timeout")


def test_explanation(t):
    r = t.get("/backend/x", headers=[("x-tandem-explain", "1")])
    assert "route=default/all; rule=5; match=0 PathPrefix /backend; backend=default/web:80; " in (
        r.header("x-tandem-explain"))
