# SPDX-License-Identifier: Apache-2.0
"""Model traffic: routing by model, scan and splice, streams, usage, errors in the caller's dialect."""
import json
import time

import pytest

from harness import GATEWAY, Stack, docs, read_response, route, wait_for

BACKENDS = """
apiVersion: kgateway.dev/v1alpha1
kind: LLMBackend
metadata: {name: demo}
spec:
  provider: custom
  dialect: chat
  baseURL: http://127.0.0.1:$MODEL/v1
  models:
    default: demo-small
    allow: ["demo-*"]
    aliases: {fast: demo-small, "slow one": demo-large}
  auth: {secretRefs: [{name: key}]}
  timeouts: {connect: 1s, firstToken: 2s, idle: 5s, request: 20s}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {api-key: sk-test-1}
---
apiVersion: kgateway.dev/v1alpha1
kind: LLMBackend
metadata: {name: badkey}
spec:
  provider: custom
  dialect: chat
  baseURL: http://127.0.0.1:$MODEL/v1
  models: {allow: [never-asked], aliases: {wrong-key: demo-small}}
---
apiVersion: kgateway.dev/v1alpha1
kind: LLMBackend
metadata: {name: dead}
spec:
  provider: custom
  dialect: chat
  baseURL: http://127.0.0.1:1/v1
  models: {allow: [dead-model]}
"""
RULES = """
  - matches: [{path: {type: PathPrefix, value: /v1}}]
    backendRefs:
    - {group: kgateway.dev, kind: LLMBackend, name: demo}
    - {group: kgateway.dev, kind: LLMBackend, name: badkey}
    - {group: kgateway.dev, kind: LLMBackend, name: dead}
"""
YAML = docs(GATEWAY, BACKENDS, route("models", RULES))


@pytest.fixture(scope="module")
def t():
    with Stack(YAML, demo_args=["--api-key", "sk-test-1"], dp_args=["--llm-body-max", "1048576"]) as stack:
        yield stack


def ask(model="demo-small", **more):
    return {"model": model, "messages": [{"role": "user", "content": "one two three"}], **more}


def last_body(t):
    return json.loads(t.upstream_stats(model=True)["last_request"]["body"])


def last_headers(t):
    headers = t.upstream_stats(model=True)["last_request"]["headers"]
    return {k.lower(): v for k, v in headers.items()}


def tokens(t, **labels):
    return t.metric("tandem_tokens_total", **labels)


def test_plain_chat(t):
    before = tokens(t, kind="output", usage="reported")
    r = t.chat(ask())
    assert r.status == 200 and r.complete
    usage = r.json()["usage"]
    wait_for("tokens", lambda: tokens(t, kind="output", usage="reported") == before + usage["completion_tokens"], 3)


def test_alias_is_spliced_and_the_rest_stays(t):
    body = b'{ "temperature" : 0.10, "model":"fast" ,"messages":[{"role":"user","content":"\\u00e4 b"}], "x":1e2}'
    assert t.chat(body).status == 200
    sent = t.upstream_stats(model=True)["last_request"]["body"]
    assert sent.encode() == body.replace(b'"fast"', b'"demo-small"')


def test_alias_with_escapes(t):
    body = b'{"mod\\u0065l":"slow\\u0020one","messages":[]}'
    t.chat(body)
    assert t.upstream_stats(model=True)["last_request"]["body"] == '{"mod\\u0065l":"demo-large","messages":[]}'


def test_default_model(t):
    assert t.chat({"messages": []}).status == 200
    assert last_body(t)["model"] == "demo-small"


def test_credentials(t):
    t.chat(ask(), headers=[("Authorization", "Bearer mine"), ("x-api-key", "mine"), ("Cookie", "a=1"),
                           ("x-forwarded-for", "1.2.3.4")])
    seen = last_headers(t)
    assert not {"cookie", "x-forwarded-for", "x-forwarded-proto"} & set(seen)
    assert seen["authorization"] == "Bearer sk-test-1"
    assert "x-api-key" not in seen
    assert seen["accept-encoding"] == "identity"


def test_secret_is_nowhere(t):
    t.chat(ask())
    for text in (t.admin("/config"), t.admin("/metrics"), t.dp.log(), t.ctl.log(), t.access_log.read_text(),
                 t.ctl_get("/snapshot"), t.ctl_get("/objects?kind=Secret&namespace=default&name=key")):
        assert "sk-test-1" not in text


def test_unknown_model_is_404_in_dialect(t):
    r = t.chat(ask("nobody"))
    assert r.status == 404
    assert r.json()["error"]["code"] == "model_not_found"


def test_models(t):
    r = t.get("/v1/models")
    ids = [m["id"] for m in r.json()["data"]]
    assert {"demo-small", "fast", "slow one", "dead-model"} <= set(ids)
    assert len(ids) == len(set(ids))
    assert t.get("/v1/models/fast").json()["id"] == "fast"
    assert t.get("/v1/models/nope").status == 404


@pytest.mark.parametrize("path,method,status", [("/v1/embeddings", "POST", 404), ("/v1/chat/completions", "GET", 405)])
def test_other_paths(t, path, method, status):
    r = t.get(path, method=method)
    assert r.status == status and r.json()["error"]["message"]


@pytest.mark.parametrize("body,word", [
    (b"{", "early"),
    (b"[]", "object"),
    (b"", "early"),
    (b'{"model":1,"messages":[]}', "model"),
    (b'{"model":"fast","stream":"yes"}', "stream"),
    (b'{"model":"fast","model":"demo-large"}', "twice"),
    (b'{"model":"fast","mod\\u0065l":"demo-large"}', "twice"),
    (b'{"model":"fast","stream":true,"stream":false}', "twice"),
    (b'{"model":"fast"} x', "follows"),
    (b'{"model":"\xff"}', "UTF-8"),
    (b'{"a":' + b"[" * 100000 + b"]" * 100000 + b"}", "nested"),
])
def test_bad_bodies_are_400(t, body, word):
    r = t.chat(body)
    assert r.status == 400
    assert word in r.json()["error"]["message"]


def test_limits_02_each_cause_has_its_word(t):
    r = t.chat(b'{"model":"fast","messages":[{"role":"user","content":"' + b"a" * 2000000 + b'"}]}')
    assert r.status == 413 and "1048576" in r.json()["error"]["message"] and "llm-body-max" in r.json()["error"]["message"]
    r = t.chat(b"{" + b"x" * 100)
    assert r.status == 400 and "nested" not in r.json()["error"]["message"]
    r = t.chat(b"[" * 100000)
    assert r.status == 400 and "nested" in r.json()["error"]["message"]


def test_chunked_body_over_the_limit_is_413(t):
    piece = b"8000\r\n" + b"a" * 0x8000 + b"\r\n"
    with t.connect() as s:
        s.sendall(b'POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n"\r\n')
        try:
            for _ in range(40):
                s.sendall(piece)
        except OSError:
            pass
        r = read_response(s)
        assert r.status == 413 and r.complete


def test_http_09_expect_refused_without_100(t):
    with t.connect() as s:
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\nExpect: 100-continue\r\n\r\n")
        r = read_response(s)
        assert r.status == 413 and r.interim == [] and r.complete


def test_http_09_expect_accepted_once(t):
    body = json.dumps(ask()).encode()
    with t.connect() as s:
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(body))
        time.sleep(0.1)
        s.sendall(body)
        r = read_response(s)
        assert r.status == 200 and [i[0] for i in r.interim] == [100]


# --- streams ------------------------------------------------------------------------------------


def test_stream_without_usage(t):
    before = tokens(t, kind="output", usage="reported")
    r = t.chat(ask(stream=True))
    assert r.status == 200 and r.complete and r.framing == "chunked"
    events = r.events()
    assert events[-1] == "data: [DONE]"
    assert all(json.loads(e[6:])["choices"] for e in events[:-1])
    assert last_body(t)["stream_options"] == {"include_usage": True}
    wait_for("tokens", lambda: tokens(t, kind="output", usage="reported") > before, 3)


def test_stream_with_usage(t):
    r = t.chat(ask(stream=True, stream_options={"include_usage": True}))
    chunks = [json.loads(e[6:]) for e in r.events()[:-1]]
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] > 0


@pytest.mark.parametrize("options,want", [
    ('{"include_usage":false}', {"include_usage": True}),
    ("null", {"include_usage": True}),
    ("{}", {"include_usage": True}),
    ('{ "x" : 1 }', {"include_usage": True, "x": 1}),
])
def test_usage_option_is_spliced(t, options, want):
    body = '{"stream":true,"stream_options":%s,"model":"fast","messages":[]}' % options
    assert t.chat(body.encode()).status == 200
    assert last_body(t)["stream_options"] == want
    assert last_body(t)["model"] == "demo-small"


def test_llm_06_bytes_split_inside_a_character(t):
    for model in ("demo-utf8-split", "demo-utf8-halves"):
        r = t.chat(ask(model, stream=True))
        text = "".join(c["delta"].get("content") or "" for e in r.events()[:-1] for c in json.loads(e[6:])["choices"])
        assert "世界" in text and "\ufffd" not in text
        assert r.events()[-1] == "data: [DONE]"


def test_llm_10_error_event_in_a_stream(t):
    r = t.chat(ask("demo-midstream-error", stream=True))
    assert r.status == 200 and r.complete
    assert "[DONE]" not in r.body.decode()
    assert json.loads(r.events()[-1].removeprefix("data: "))["error"]
    line = wait_for("log", lambda: [l for l in t.access_lines() if l["request_id"] == r.header("x-request-id")])
    assert line[0]["error"]


def test_llm_10_cut_stream(t):
    r = t.chat(ask("demo-cut", stream=True))
    assert r.status == 200
    assert "[DONE]" not in r.body.decode()
    last = json.loads(r.events()[-1].removeprefix("data: "))
    assert last["error"]["code"] == "upstream_cut"
    wait_for("outcome", lambda: t.metric("tandem_llm_requests_total", outcome="cut") >= 1, 3)


def test_cut_plain_answer(t):
    r = t.chat(ask("demo-cut-plain"))
    assert not r.complete


def test_llm_04_silent_provider_is_504(t):
    begin = time.monotonic()
    r = t.chat(ask("demo-silent"))
    assert r.status == 504 and r.json()["error"]["message"]
    assert 1.5 < time.monotonic() - begin < 8


def test_provider_errors_pass(t):
    r = t.chat(ask("demo-error-429"))
    assert r.status == 429 and r.json()["error"]
    assert t.chat(ask("demo-error-500")).status == 500


def test_provider_refuses_our_key(t):
    r = t.chat(ask("wrong-key"))
    assert r.status == 502 and r.json()["error"]["code"] == "upstream_auth"


def test_dead_provider(t):
    r = t.chat(ask("dead-model"))
    assert r.status == 503 and "cannot connect" in r.json()["error"]["message"]
    assert b"127.0.0.1" not in r.body


@pytest.mark.parametrize("stream", [False, True])
def test_compressed_answers_are_read(t, stream):
    before = tokens(t, kind="output", usage="reported")
    r = t.chat(ask("demo-gzip", stream=stream))
    assert r.status == 200 and r.header("content-encoding") is None
    assert (r.events()[-1] == "data: [DONE]") if stream else r.json()["choices"]
    wait_for("tokens", lambda: tokens(t, kind="output", usage="reported") > before, 3)


def test_no_usage_is_estimated(t):
    before = tokens(t, kind="output", usage="estimated")
    assert t.chat(ask("demo-nousage", stream=True)).status == 200
    wait_for("tokens", lambda: tokens(t, kind="output", usage="estimated") > before, 3)


def test_limits_04_large_answer_streams(t):
    before = t.dp.rss_kib()
    r = t.chat(ask("demo-bigjson-12"), timeout=60)
    assert r.status == 200 and len(r.body) > 12 << 20 and r.json()["usage"]
    assert t.dp.rss_kib() - before < 8 << 10 or "san" in str(t.dp.process.args[0])


def test_limits_03_client_leaves_in_mid_stream(t):
    stats = t.upstream_stats(model=True)
    before = tokens(t, usage="estimated", kind="output")
    body = json.dumps(ask("demo-slow-stream-200", stream=True)).encode()
    s = t.connect()
    s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    seen = b""
    while seen.count(b"data:") < 3:
        seen += s.recv(4096)
    s.close()
    wait_for("upstream closes", lambda: t.upstream_stats(model=True)["client_closes_seen"] > stats["client_closes_seen"], 2)
    wait_for("estimated usage", lambda: tokens(t, usage="estimated", kind="output") > before, 3)


def test_limits_03_client_leaves_while_waiting(t):
    stats = t.upstream_stats(model=True)
    body = json.dumps(ask("demo-delay-1500")).encode()
    s = t.connect()
    s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    time.sleep(0.3)
    s.close()
    wait_for("upstream closes", lambda: t.upstream_stats(model=True)["client_closes_seen"] > stats["client_closes_seen"], 1.5)


def test_llm_13_each_piece_at_once(t):
    body = json.dumps(ask("demo-slow-stream-100", stream=True)).encode()
    with t.connect() as s:
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        times = []
        seen = b""
        while b"[DONE]" not in seen and len(times) < 100:
            seen += s.recv(65536)
            times.append(time.monotonic())
    gaps = [b - a for a, b in zip(times, times[1:])]
    assert len(gaps) >= 4 and max(gaps[:-1]) < 0.4


def test_http_05_one_framing(t):
    for model in ("demo-small", "demo-gzip", "demo-size-64"):
        r = t.chat(ask(model))
        assert r.status == 200 and r.framing in ("length", "chunked") and r.complete
        assert r.header("etag") is None or model != "demo-gzip"
