# SPDX-License-Identifier: Apache-2.0
"""x-tandem-explain: who asks, and may, is told how a request was routed."""
import re

from harness import free_ports
from plane import Plane, Upstream, rule, to

ASK = [("X-Tandem-Explain", "1")]


def explained(r):
    parts = r.header("x-tandem-explain").split("; ")
    return dict(part.split("=", 1) for part in parts)


RULES = [rule(0, "/x", [to()], match={"method": "GET", "headers": [{"name": "x-tier", "value": "g"}],
                                      "query": [{"name": "q", "value": "1"}]}),
         rule(1, "/r", filters=[{"type": "RequestRedirect", "port": 1}]),
         rule(2, "/bad", [{"invalid": "BackendNotFound", "weight": 1}]),
         rule(3, "/y", [to()], hostnames=["a.example", "*.example"])]


def test_says_how_it_was_routed():
    with Upstream() as up, Plane(RULES, {"web": up}, dp_args=["--explain", "on"]) as p:
        e = explained(p.get("/x/1?q=1", headers=[("x-tier", "g"), *ASK]))
        assert re.fullmatch(r"\d+", e.pop("us"))
        assert e == {"listener": "default/edge/http", "route": "default/web", "rule": "0",
                     "match": "0 PathPrefix /x GET header:x-tier query:q",
                     "backend": "default/web:80", "endpoint": f"127.0.0.1:{up.port}",
                     "attempts": "1"}
        assert "x-tandem-explain" not in up.wait(1)[0]["headers"]
        e = explained(p.get("/r", headers=ASK))
        assert (e["rule"], e["filter"]) == ("1", "RequestRedirect")


def test_says_why_it_was_refused():
    with Plane(RULES, {"web": []}, dp_args=["--explain", "on"]) as p:
        e = explained(p.get("/none", headers=ASK, host="a.example"))
        assert (e["listener"], e["route"], e["refused"]) == ("default/edge/http", "none", "no_route")
        assert (e["hostnames"], e["mismatch"]) == ("a.example,*.example,*", "path")
        assert "nearest" not in e
        assert explained(p.get("/none", headers=ASK, host="b.c.example"))["hostnames"] == "*.example,*"
        assert explained(p.get("/none", headers=ASK, host="other"))["hostnames"] == "*"
        e = explained(p.get("/bad", headers=ASK))
        assert (e["route"], e["rule"], e["refused"]) == ("default/web", "2", "invalid_backend")
        e = explained(p.get("/y", headers=ASK, host="a.example"))
        assert (e["backend"], e["refused"]) == ("default/web:80", "no_endpoints")


def test_says_what_the_nearest_match_lacks():
    with Plane(RULES, {"web": []}, dp_args=["--explain", "on"]) as p:
        e = explained(p.get("/x/1", headers=ASK, method="POST"))
        assert (e["route"], e["nearest"], e["rule"], e["mismatch"]) == ("none", "default/web", "0",
                                                                      "method")
        assert e["match"] == "0 PathPrefix /x GET header:x-tier query:q"
        assert explained(p.get("/x/1", headers=ASK))["mismatch"] == "header:x-tier"
        e = explained(p.get("/x/1?q=2", headers=[("x-tier", "g"), *ASK]))
        assert (e["mismatch"], e["refused"]) == ("query:q", "no_route")
    with Plane(RULES[3:], {"web": []}, dp_args=["--explain", "on"]) as p:
        e = explained(p.get("/y", headers=ASK, host="other"))
        assert (e["hostnames"], e["mismatch"]) == ("none", "hostname")


def test_an_upstream_that_is_not_there_has_a_code_of_its_own():
    [port] = free_ports(1)
    with Plane(RULES, {"web": [port]}, dp_args=["--explain", "on"]) as p:
        r = p.get("/y", headers=ASK, host="a.example")
        assert (r.status, r.json()["code"], explained(r)["refused"]) == (503, *["no_connection"] * 2)


def test_no_listener_for_the_host():
    with Plane([], {}, dp_args=["--explain", "on"], listener={"hostname": "a.example"}) as p:
        e = explained(p.get("/", headers=ASK, host="b.example"))
        assert (e["listener"], e["refused"]) == ("none", "no_listener")


def test_only_who_asks_is_told_and_an_upstreams_own_word_goes():
    with Upstream(headers=[("X-Tandem-Explain", "lies")]) as up:
        with Plane(RULES, {"web": up}, dp_args=["--explain", "on"]) as p:
            for headers in ([], [("x-tandem-explain", "0")], [("x-tandem-explain", "true")]):
                r = p.get("/y", host="a.example", headers=headers)
                assert r.status == 200 and r.header("x-tandem-explain") is None
            r = p.get("/y", host="a.example", headers=ASK)
            assert "lies" not in r.header("x-tandem-explain")


def test_off_is_the_default():
    with Upstream() as up, Plane(RULES, {"web": up}) as p:
        r = p.get("/y", host="a.example", headers=ASK)
        assert r.status == 200 and r.header("x-tandem-explain") is None
        assert "x-tandem-explain" not in up.wait(1)[0]["headers"]
        assert p.get("/none", headers=ASK).header("x-tandem-explain") is None
