# SPDX-License-Identifier: Apache-2.0
"""The head of a model's stream waits for content, so that an error before it is a status."""
import json

import pytest

from harness import GATEWAY, Stack, docs, route

YAML = docs(GATEWAY, """
apiVersion: kgateway.dev/v1alpha1
kind: LLMBackend
metadata: {name: demo}
spec: {provider: custom, dialect: chat, baseURL: "http://127.0.0.1:$MODEL/v1"}
""", route("models", """
  - matches: [{path: {value: /v1}}]
    backendRefs: [{group: kgateway.dev, kind: LLMBackend, name: demo}]
"""))
OPENING = ': wait\n\ndata: {"id":"1","choices":[]}\n\n@sleep 50\n'
ERROR = 'data: {"error":{"message":"quota","type":"rate_limit_error","code":"rate_limit"}}\n\n'
HI = 'data: {"id":"1","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
BUSY = ('HTTP/1.1 529 Overloaded\r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n'
        '{"error":{"message":"later!"}}')
SCRIPTS = {
    "error": OPENING + ERROR, "error-at-once": ERROR, "cut": OPENING + "@close\n",
    "reset": OPENING + "@reset\n", "ended": OPENING, "status": BUSY,
    "good": OPENING + HI + "data: [DONE]\n\n", "late": OPENING + HI + ERROR,
}


@pytest.fixture(scope="module")
def t(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scripts")
    for name, text in SCRIPTS.items():
        (folder / f"{name}.txt").write_text(text)
    with Stack(YAML, demo_args=["--scripts", folder]) as stack:
        yield stack


def ask(t, model):
    return t.chat({"model": model, "stream": True, "messages": [{"role": "user", "content": "x"}]})


@pytest.mark.parametrize("model,status", [
    ("error", 502), ("error-at-once", 502), ("cut", 502), ("reset", 502), ("ended", 502),
    ("status", 529)])
def test_llm_12_an_error_before_any_content_is_a_status(t, model, status):
    """Also llm-07: events that bring nothing commit to nothing. The body is in the dialect."""
    r = ask(t, model)
    assert (r.status, r.complete) == (status, True)
    assert r.header("content-type").startswith("application/json")
    assert "error" in r.json()


def test_llm_07_what_was_held_comes_with_the_first_content(t):
    r = ask(t, "good")
    assert r.status == 200
    assert r.events() == [": wait", 'data: {"id":"1","choices":[]}', HI.strip(), "data: [DONE]"]


def test_llm_07_an_error_behind_content_is_an_event(t):
    r = ask(t, "late")
    assert (r.status, r.complete) == (200, True)
    assert json.loads(r.events()[-1].removeprefix("data: "))["error"]["message"] == "quota"
