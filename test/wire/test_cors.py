# SPDX-License-Identifier: Apache-2.0
"""CORS on the wire: preflights are ours, and every answer of a rule with CORS carries its fields."""
import pytest
from plane import Plane, Upstream, rule, to

APP = "https://app.example.com"


def cors(**spec):
    return {"type": "CORS", "origins": [APP, "https://*.foo.com"], **spec}


def preflight(p, path="/", origin=APP, method="POST", headers=None, **more):
    fields = [("Origin", origin), ("Access-Control-Request-Method", method)]
    if headers:
        fields.append(("Access-Control-Request-Headers", headers))
    return p.get(path, method="OPTIONS", headers=fields, **more)


def given(r):
    return {k: v for k, v in r.headers.items() if k.startswith("access-control-")}


def test_report_http_08_preflight():
    filters = [cors(origins=[APP], methods=["GET", "POST"], headers=["authorization"], max_age=60)]
    with Upstream() as up, Plane([rule(backends=[to()], filters=filters)], {"web": up}) as p:
        r = preflight(p, "/v1/x", headers="authorization")
        assert r.status == 204
        assert given(r) == {"access-control-allow-origin": [APP],
                            "access-control-allow-methods": ["GET, POST"],
                            "access-control-allow-headers": ["authorization"],
                            "access-control-max-age": ["60"]}
        assert "origin" in r.header("vary")
        assert r.header("content-length") is None and r.header("transfer-encoding") is None
        assert up.requests == []


def test_an_origin_that_does_not_fit_gets_no_fields():
    upstream = [("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Credentials", "true")]
    with Upstream(headers=upstream) as up:
        with Plane([rule(backends=[to()], filters=[cors()])], {"web": up}) as p:
            for origin in ("https://evil.example", "null", "https://app.example.com.evil.example"):
                r = preflight(p, origin=origin)
                assert (r.status, given(r)) == (204, {})
                r = p.get("/", headers=[("Origin", origin)])
                assert (r.status, given(r), r.header("vary")) == (200, {}, "origin")
            assert given(p.get("/")) == {}
            assert given(p.get("/", headers=[("Origin", APP), ("Origin", APP)])) == {}


def test_other_answers_replace_the_upstreams():
    upstream = [("Access-Control-Allow-Origin", "*"), ("Access-Control-Max-Age", "9"),
                ("X-A", "1"), ("Vary", "Accept")]
    filters = [cors(expose=["x-a", "x-b"], credentials=True)]
    with Upstream(headers=upstream) as up:
        with Plane([rule(backends=[to()], filters=filters)], {"web": up}) as p:
            r = p.get("/", headers=[("Origin", "https://x.y.foo.com")])
            assert given(r) == {"access-control-allow-origin": ["https://x.y.foo.com"],
                                "access-control-allow-credentials": ["true"],
                                "access-control-expose-headers": ["x-a, x-b"]}
            assert r.headers["vary"] == ["Accept", "origin"] and r.header("x-a") == "1"


def test_options_that_is_no_preflight_goes_on():
    with Upstream() as up, Plane([rule(backends=[to()], filters=[cors()])], {"web": up}) as p:
        assert p.get("/", method="OPTIONS").status == 200
        assert p.get("/", method="OPTIONS", headers=[("Origin", APP)]).status == 200
        assert len(up.requests) == 2


@pytest.mark.parametrize("backends, status", [
    ([], 500), ([{"invalid": "BackendNotFound", "weight": 1}], 500), ([to("none")], 503)])
def test_refusals_carry_the_fields(backends, status):
    with Plane([rule(backends=backends, filters=[cors()])], {"none": []}) as p:
        r = p.get("/", headers=[("Origin", APP)])
        assert (r.status, given(r)) == (status, {"access-control-allow-origin": [APP]})
        assert r.json()["code"]
        assert preflight(p).status == 204
        assert given(p.get("/", headers=[("Origin", "https://evil.example")])) == {}


def test_no_rule_no_fields():
    with Plane([rule(0, "/x", filters=[cors()])], {}) as p:
        r = p.get("/y", headers=[("Origin", APP)])
        assert (r.status, given(r)) == (404, {})


def test_redirects_carry_the_fields_and_preflights_are_not_redirected():
    filters = [{"type": "RequestRedirect", "port": 81}, cors()]
    with Plane([rule(filters=filters)], {}) as p:
        r = p.get("/", headers=[("Origin", APP)])
        assert (r.status, given(r)) == (302, {"access-control-allow-origin": [APP]})
        assert preflight(p).status == 204


def test_filters_of_the_request_do_not_hide_the_origin():
    filters = [{"type": "RequestHeaderModifier", "remove": ["origin"]}, cors()]
    with Upstream() as up, Plane([rule(backends=[to()], filters=filters)], {"web": up}) as p:
        r = p.get("/", headers=[("Origin", APP)])
        assert given(r) == {"access-control-allow-origin": [APP]}
        assert "origin" not in up.wait(1)[0]["headers"]


def test_a_preflight_belongs_to_the_rule_of_the_request_it_announces():
    rules = [rule(0, "/x", [to()], match={"method": "POST"}, filters=[cors(methods=["POST"])]),
             rule(1, "/x", [to()], match={"method": "DELETE"}),
             rule(2, "/y", [to()])]
    with Upstream() as up, Plane(rules, {"web": up}) as p:
        assert given(preflight(p, "/x"))["access-control-allow-methods"] == ["POST"]
        assert preflight(p, "/x", method="DELETE").status == 404
        assert preflight(p, "/x", method="PUT").status == 404
        assert up.requests == []
        assert preflight(p, "/y").status == 200  # nobody here speaks CORS: the upstream may
        assert len(up.requests) == 1


def test_cors_of_a_backend():
    with Upstream() as up:
        rules = [rule(backends=[to(filters=[cors()])])]
        with Plane(rules, {"web": up}) as p:
            assert preflight(p).status == 204 and up.requests == []
            r = p.get("/", headers=[("Origin", APP)])
            assert given(r) == {"access-control-allow-origin": [APP]}
