# SPDX-License-Identifier: Apache-2.0
"""URLRewrite, and filters of a rule and of its backends together."""
from plane import Plane, Upstream, rule, to


def rewrite(**spec):
    return {"type": "URLRewrite", **spec}


def prefix(value, away):
    return {"type": "ReplacePrefixMatch", "value": value, "prefix": away}


def set_request(name, value):
    return {"type": "RequestHeaderModifier", "set": [{"name": name, "value": value}]}


def add_request(name, value):
    return {"type": "RequestHeaderModifier", "add": [{"name": name, "value": value}]}


def add_response(name, value):
    return {"type": "ResponseHeaderModifier", "add": [{"name": name, "value": value}]}


def test_the_upstream_is_asked_for_the_rewritten_url():
    rules = [rule(0, "/foo", [to()], filters=[rewrite(path=prefix("/bar", "/foo"),
                                                     hostname="in.example")]),
             rule(1, "/full", [to()], filters=[rewrite(path={"type": "ReplaceFullPath",
                                                             "value": "/one"})]),
             rule(2, "/cut", [to()], filters=[rewrite(path=prefix("/", "/cut"))])]
    with Upstream() as up, Plane(rules, {"web": up}) as p:
        assert p.get("/foo/x?q=%20", host="a.example:81",
                     headers=[("X-Forwarded-Host", "spoofed")]).status == 200
        assert p.get("/full/a/b?q", host="a.example").status == 200
        assert p.get("/cut//evil.example", host="a.example").status == 200
        assert p.get("/cut", host="a.example").status == 200
        got = [(r["path"], r["headers"]["host"], r["headers"].get("x-forwarded-host"))
               for r in up.wait(4)]
        assert got == [("/bar/x?q=%20", ["in.example"], ["a.example:81"]),
                       ("/one?q", ["a.example"], None),
                       ("/evil.example", ["a.example"], None),
                       ("/", ["a.example"], None)]
        # The log tells what the client asked for.
        assert [(l["path"], l["host"]) for l in p.access_lines(2)[:2]] == [
            ("/foo/x", "a.example:81"), ("/full/a/b", "a.example")]


def test_a_rewritten_path_stays_below_its_prefix():
    rules = [rule(0, "/public", [to()], filters=[rewrite(path=prefix("/files/public", "/public"))])]
    with Upstream() as up, Plane(rules, {"web": up}) as p:
        for path in ("/public/../secret", "/public/%2e%2E/secret", "/public/..;/secret",
                     "/public%2f..%2f..%2fsecret", "/public/a/../../../secret", "/public/.."):
            r = p.get(path)
            assert r.status == 400 and r.json()["code"] == "bad_request", path
        for path in ("/public/..a", "/public/./b?x=/../y", "/public/.../c"):
            assert p.get(path).status == 200
        assert [r["path"] for r in up.wait(3)] == ["/files/public/..a", "/files/public/./b?x=/../y",
                                                   "/files/public/.../c"]


def test_filters_of_the_backend_are_inside_those_of_the_rule():
    ours = [set_request("x-who", "backend"), add_request("x-list", "backend"),
            add_response("x-list", "backend"), rewrite(path=prefix("/b", "/"))]
    rules = [rule(0, "/", [to(filters=ours)],
                  filters=[set_request("x-who", "rule"), add_request("x-list", "rule"),
                           add_response("x-list", "rule")])]
    with Upstream() as up, Plane(rules, {"web": up}) as p:
        r = p.get("/x")
        assert r.status == 200 and r.headers["x-list"] == ["backend", "rule"]
        (got,) = up.wait(1)
        assert got["headers"]["x-who"] == ["backend"]
        assert got["headers"]["x-list"] == ["rule", "backend"]
        assert got["path"] == "/b/x"


def test_only_the_filters_of_the_picked_backend_apply():
    rules = [rule(0, "/", [to("a", filters=[set_request("x-who", "a"), add_response("x-from", "a")]),
                           to("b", filters=[set_request("x-who", "b"), add_response("x-from", "b")])])]
    with Upstream() as a, Upstream() as b, Plane(rules, {"a": a, "b": b}) as p:
        froms = [p.get("/").header("x-from") for _ in range(10)]
        assert froms.count("a") == 5 and froms.count("b") == 5
        assert [r["headers"]["x-who"] for r in a.wait(5)] == [["a"]] * 5
        assert [r["headers"]["x-who"] for r in b.wait(5)] == [["b"]] * 5


def test_another_attempt_is_filtered_once():
    from harness import free_ports
    rules = [rule(0, "/", [to(filters=[add_request("x-a", "1"), add_response("x-b", "1")])])]
    with Upstream() as up:
        dead = free_ports(1)[0]
        with Plane(rules, {"web": [dead, up]}) as p:
            asked = 0
            # Which endpoint is tried first is random.
            while asked < 6 or (p.metric("tandem_upstream_retries_total") == 0 and asked < 200):
                r = p.get("/")
                asked += 1
                assert r.status == 200 and r.headers["x-b"] == ["1"]
            assert p.metric("tandem_upstream_retries_total") > 0
            assert [r["headers"]["x-a"] for r in up.requests] == [["1"]] * asked
