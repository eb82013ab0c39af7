# SPDX-License-Identifier: Apache-2.0
"""Filters, mirrors, timeouts and explanations for clients that speak HTTP/2."""
from certs import Ca
from h2raw import H2
from harness import wait_for
from plane import Plane, Upstream, backend, rule, to

APP = "https://app.example.com"
FILTERS = [{"type": "CORS", "origins": [APP]},
           {"type": "RequestMirror", "backend": backend("copy")}]
RULES = [rule(0, "/r", filters=[{"type": "RequestRedirect", "hostname": "new.example.com"}]),
         rule(1, "/x", [to()], filters=FILTERS),
         rule(2, "/slow", [to()], timeouts={"request_ms": 300})]


def ask(c, stream, method="GET", path="/", *fields, host="old.example.com", body=None):
    c.request(stream, method, path, *fields, host=host, end=body is None)
    if body is not None:
        c.data(stream, body, end=True)
    a = c.answer(stream)
    return dict(a.heads[-1]), a


def test_report_http_03_scheme_of_the_listener():
    with Plane(RULES[:1], {}, port=80) as p, H2(p.connect()) as c:
        head, a = ask(c, 1, "GET", "/r?q=1")
        assert (head[":status"], head["location"]) == ("302", "http://new.example.com/r?q=1")
        assert a.ended and a.body == b"" and head["content-length"] == "0"
    ca = Ca()
    with Plane(RULES[:1], {}, port=443, cert=ca.leaf("old.example.com")) as p:
        s = ca.connect(p.port, "old.example.com", context=ca.context(alpn=["h2"]))
        with H2(s) as c:
            # What the client says of the scheme does not count.
            head, _ = ask(c, 1, "GET", "/r")
            assert (head[":status"], head["location"]) == ("302", "https://new.example.com/r")


def test_preflight_mirror_explanation_and_timeout():
    with Upstream() as up, Upstream() as copy:
        with Plane(RULES, {"web": up, "copy": copy}, dp_args=["--explain", "on"]) as p:
            with H2(p.connect()) as c:
                head, a = ask(c, 1, "OPTIONS", "/x", ("origin", APP),
                              ("access-control-request-method", "PUT"))
                assert (head[":status"], head["access-control-allow-origin"]) == ("204", APP)
                assert "content-length" not in head and a.ended
                assert up.requests == [] and copy.requests == []
                body = b"0123456789" * 5000
                head, a = ask(c, 3, "POST", "/x", ("origin", APP), ("x-tandem-explain", "1"),
                              body=body)
                assert (head[":status"], a.body) == ("200", b"hello")
                assert head["access-control-allow-origin"] == APP
                assert "route=default/web; rule=1; " in head["x-tandem-explain"]
                assert up.wait(1)[0]["body"] == copy.wait(1)[0]["body"] == body
                wait_for("the copy's end",
                         lambda: p.metric("tandem_mirrors_total", outcome="answered") == 1)
                up.delay = 1.0
                head, _ = ask(c, 5, "GET", "/slow")
                assert head[":status"] == "504"
                up.delay = 0
                # A stream that is cancelled in its body takes its copy with it, and nothing else.
                c.request(7, "POST", "/x", host="a", end=False)
                c.data(7, b"abc")
                # Reset in the same read as its head, it would never begin.
                wait_for("the copy's begin", lambda: p.metric(
                    "tandem_upstream_requests_total", endpoint=f"127.0.0.1:{copy.port}") == 2)
                c.reset(7)
                wait_for("the copy's end",
                         lambda: p.metric("tandem_mirrors_total", outcome="incomplete") == 1)
                assert ask(c, 9, "GET", "/x")[0][":status"] == "200"
