# SPDX-License-Identifier: Apache-2.0
"""The unmodified openai package against the gateway."""
import asyncio

import openai
import pytest

from harness import GATEWAY, Stack, docs, route

LLM = """
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
    aliases: {fast: demo-small}
  auth: {secretRefs: [{name: key}]}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {api-key: sk-upstream}
"""
YAML = docs(GATEWAY, LLM, route("models", """
  - matches: [{path: {type: PathPrefix, value: /v1}}]
    backendRefs: [{group: kgateway.dev, kind: LLMBackend, name: demo}]
"""))
HELLO = [{"role": "user", "content": "Say hello."}]


@pytest.fixture(scope="module")
def t():
    with Stack(YAML, demo_args=["--api-key", "sk-upstream"]) as stack:
        yield stack


@pytest.fixture(scope="module")
def client(t):
    with openai.OpenAI(base_url=f"http://127.0.0.1:{t.port}/v1", api_key="sk-client", max_retries=0,
                       timeout=20) as c:
        yield c


def text_of(chunks):
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def test_chat(client):
    answer = client.chat.completions.create(model="demo-small", messages=HELLO)
    assert answer.choices[0].message.content and answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens == 2 and answer.usage.completion_tokens > 0
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_chat_by_alias(client):
    answer = client.chat.completions.create(model="fast", messages=HELLO, temperature=0.5,
                                            tools=[{"type": "function", "function": {"name": "f"}}])
    assert answer.choices[0].message.content


@pytest.mark.parametrize("model", ["demo-small", "demo-large", "demo-utf8-split", "demo-utf8-halves",
                                   "demo-gzip", "demo-size-100"])
def test_stream_says_the_same_as_the_whole_answer(client, model):
    whole = client.chat.completions.create(model=model, messages=HELLO).choices[0].message.content
    stream = list(client.chat.completions.create(model=model, messages=HELLO, stream=True))
    assert whole and text_of(stream) == whole
    assert stream[-1].choices[0].finish_reason == "stop"
    # Nobody asked for it, so it is not there.
    assert all(c.usage is None for c in stream)


def test_stream_with_usage(client):
    stream = list(client.chat.completions.create(model="demo-small", messages=HELLO, stream=True,
                                                 stream_options={"include_usage": True}))
    usages = [c.usage for c in stream if c.usage]
    assert len(usages) == 1 and stream[-1].usage and not stream[-1].choices
    assert usages[0].prompt_tokens == 2


def test_stream_that_is_left_early(t, client):
    with client.chat.completions.create(model="demo-slow-stream-50", messages=HELLO, stream=True) as s:
        next(iter(s))
    assert client.chat.completions.create(model="demo-small", messages=HELLO).choices


def test_models(client):
    ids = {m.id for m in client.models.list()}
    assert "fast" in ids
    assert client.models.retrieve("fast").id == "fast"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")


@pytest.mark.parametrize("stream", [False, True])
def test_unknown_model(client, stream):
    with pytest.raises(openai.NotFoundError) as e:
        client.chat.completions.create(model="nobody", messages=HELLO, stream=stream)
    assert e.value.code == "model_not_found" and "nobody" in e.value.message
    assert e.value.request_id


def test_bad_request(client):
    for body in ({"model": 7}, {"model": ["demo-small"]}):
        with pytest.raises(openai.BadRequestError) as e:
            client.chat.completions.create(model="demo-small", messages=HELLO, extra_body=body)
        assert "model" in e.value.message


@pytest.mark.parametrize("status,error", [
    (400, openai.BadRequestError), (409, openai.ConflictError),
    (422, openai.UnprocessableEntityError), (429, openai.RateLimitError),
    (500, openai.InternalServerError), (503, openai.InternalServerError)])
@pytest.mark.parametrize("stream", [False, True])
def test_errors_of_the_provider(client, status, error, stream):
    with pytest.raises(error) as e:
        client.chat.completions.create(model=f"demo-error-{status}", messages=HELLO, stream=stream)
    assert e.value.status_code == status and "asked to fail" in e.value.message
    if status in (429, 503):
        assert e.value.response.headers["retry-after"] == "7"


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_of_the_gateway_are_not_the_callers_fault(client, status):
    with pytest.raises(openai.InternalServerError) as e:
        client.chat.completions.create(model=f"demo-error-{status}", messages=HELLO)
    assert e.value.status_code == 502 and str(status) in e.value.message


def test_error_in_the_middle_of_a_stream(client):
    got = []
    with pytest.raises(openai.APIError):
        for chunk in client.chat.completions.create(model="demo-midstream-error", messages=HELLO,
                                                    stream=True):
            got.append(chunk)
    assert got


@pytest.mark.parametrize("model", ["demo-cut", "demo-reset"])
def test_cut_stream_is_not_taken_for_a_whole_one(client, model):
    with pytest.raises(Exception) as e:
        list(client.chat.completions.create(model=model, messages=HELLO, stream=True))
    assert not isinstance(e.value, AssertionError)


def test_raw_response_has_the_request_id(client):
    raw = client.chat.completions.with_raw_response.create(model="demo-small", messages=HELLO)
    assert raw.headers["x-request-id"] and raw.parse().choices
    raw = client.chat.completions.with_raw_response.create(
        model="demo-small", messages=HELLO, extra_headers={"x-request-id": "mine-7"})
    assert raw.headers["x-request-id"] == "mine-7"


def test_20_streams_at_once(t):
    async def one(client):
        stream = await client.chat.completions.create(model="demo-slow-stream-10", messages=HELLO,
                                                      stream=True)
        return text_of([chunk async for chunk in stream])

    async def run():
        async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{t.port}/v1", api_key="sk-client",
                                      max_retries=0, timeout=20) as client:
            return await asyncio.gather(*(one(client) for _ in range(20)))

    texts = asyncio.run(run())
    assert len(texts) == 20 and len(set(texts)) == 1 and texts[0]
