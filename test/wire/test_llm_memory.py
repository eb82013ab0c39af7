# SPDX-License-Identifier: Apache-2.0
"""Bodies of model requests are held until their answer comes: all of a worker together are bounded."""
import json

from harness import read_response, wait_for
from plane import Plane, Upstream, rule

MIB = 1 << 20


def model_plane(up, **kw):
    llm = {"type": "llm", "provider": "custom", "dialect": "chat",
           "url": {"scheme": "http", "host": "127.0.0.1", "port": up.port, "path": "/v1"}}
    rules = [rule(0, "/", [{"backend": "backend/llm/default/m", "weight": 1}], llm=True),
             ("backend/llm/default/m", llm)]
    return Plane(rules, {}, dp_args=["--llm-body-max", MIB, "--llm-bodies-max", 4 * MIB], **kw)


def head(length):
    return (f"POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
            f"Content-Length: {length}\r\n\r\n").encode()


def body(n):
    begin = b'{"model":"m","messages":[],"pad":"'
    return begin + b"x" * (n - len(begin) - 2) + b'"}'


def test_limits_05_bodies_of_all_requests_are_capped():
    with Upstream(body=b'{"choices":[]}') as up, model_plane(up) as p:
        up.headers.append(("Content-Type", "application/json"))
        held = [p.connect() for _ in range(12)]
        for s in held:
            s.sendall(head(MIB) + body(MIB)[:-1])  # all but the last byte
        wait_for("refusals", lambda: p.metric("tandem_refused_total", reason="overloaded") >= 8)
        answers = []
        for s in held:
            s.settimeout(0.2)
            try:
                answers.append(read_response(s))
            except TimeoutError:
                s.settimeout(10)
        assert 8 <= len(answers) <= 9 and {r.status for r in answers} == {503}
        assert "too many model requests" in answers[0].json()["error"]["message"]
        # Those that were there before are served, and their room is given back.
        waiting = [s for s in held if s.gettimeout() == 10]
        for s in waiting:
            s.sendall(b"}")
            assert read_response(s).status == 200
        for s in held:
            s.close()
        for _ in range(20):
            with p.connect() as s:
                s.sendall(head(MIB) + body(MIB))
                assert read_response(s).status == 200
        assert len(up.requests) == len(waiting) + 20
        assert json.loads(up.requests[-1]["body"])["model"] == "m"
