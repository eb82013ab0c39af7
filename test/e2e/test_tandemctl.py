# SPDX-License-Identifier: Apache-2.0
"""tandemctl against a running controller: tables, descriptions, other formats, unknown words."""
import json
import subprocess

import pytest

from harness import BUILD, PLAIN, Stack, docs, route

BAD = route("bad", "  - backendRefs: [{name: nobody, port: 80}]")
SECRET = """
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {api-key: sk-never-shown}
"""
FAR = """
apiVersion: v1
kind: Service
metadata: {name: far, namespace: other}
spec: {ports: [{name: http, port: 80}]}
"""


@pytest.fixture(scope="module")
def t():
    with Stack(docs(PLAIN, BAD, SECRET, FAR)) as stack:
        stack.wait_condition("Gateway", "edge", "Programmed")
        yield stack


def ctl(t, *args, env=None):
    return subprocess.run([str(BUILD / "tandemctl"), *args], capture_output=True, text=True, timeout=20,
                          env={"TANDEM_ADMIN": f"127.0.0.1:{t.ctl_port}", **(env or {})}, check=False)


def ok(t, *args):
    r = ctl(t, *args)
    assert r.returncode == 0, r.stderr
    return r.stdout


def rows(text):
    lines = [l.split() for l in text.splitlines() if l.strip()]
    return lines[0], lines[1:]


def test_get_everything(t):
    text = ok(t, "get")
    for word in ("edge", "web", "bad", "tandem", "key"):
        assert word in text
    assert "sk-never-shown" not in text


@pytest.mark.parametrize("kind", ["HTTPRoute", "httproute", "httproutes"])
def test_get_a_kind(t, kind):
    head, lines = rows(ok(t, "get", kind))
    assert "NAME" in head
    assert {l[head.index("NAME")] for l in lines} == {"web", "bad"}


def test_get_one(t):
    head, lines = rows(ok(t, "get", "httproute", "bad"))
    assert len(lines) == 1 and "bad" in lines[0] and head


def test_namespaces(t):
    assert "far" in ok(t, "get", "service", "-A")
    assert "far" not in ok(t, "get", "service", "-n", "default")
    assert "far" in ok(t, "get", "service", "far", "-n", "other")


def test_get_json_yaml_and_name(t):
    found = json.loads(ok(t, "get", "httproute", "web", "-o", "json"))
    found = found["items"][0] if "items" in found else found
    assert found["metadata"]["name"] == "web" and found["status"]["parents"]
    assert "name: web" in ok(t, "get", "httproute", "web", "-o", "yaml")
    assert "web" in ok(t, "get", "httproute", "web", "-o", "name").split()[0]
    assert "sk-never-shown" not in ok(t, "get", "secret", "key", "-o", "json")


def test_describe_says_why(t):
    text = ok(t, "describe", "httproute", "bad")
    for word in ("bad", "ResolvedRefs", "False", "BackendNotFound", "nobody"):
        assert word in text
    text = ok(t, "describe", "gateway", "edge")
    assert "1 of 1 data planes" in text
    assert "sk-never-shown" not in ok(t, "describe", "secret", "key")


def test_snapshot(t):
    text = ok(t, "snapshot")
    assert "rule/default/web/0" in text and "listener/default/edge/http" in text


@pytest.mark.parametrize("args,words", [
    (["gte"], ["gte"]),
    (["get", "httprout"], ["httprout"]),
    (["get", "httproute", "nobody"], ["nobody", "not found"]),
    (["describe"], ["describe"]),
    (["describe", "httproute"], []),
    (["describe", "httproute", "nobody"], ["nobody"]),
    (["get", "httproute", "-o", "table9"], ["-o is json, yaml or name"]),
    (["get", "--colour"], ["--colour"]),
    (["get", "httproute", "web", "more"], ["more"]),
    (["get", "service", "-n", "default", "-A"], ["-A"]),
    ([], []),
], ids=lambda v: " ".join(v) if isinstance(v, list) else None)
def test_what_is_wrong_is_refused_in_words(t, args, words):
    r = ctl(t, *args)
    assert r.returncode != 0 and r.stderr
    for word in words:
        assert word.lower() in r.stderr.lower()


def test_no_controller(t):
    r = ctl(t, "get", env={"TANDEM_ADMIN": "127.0.0.1:1"})
    assert r.returncode != 0 and "127.0.0.1:1" in r.stderr


def test_help_and_version(t):
    assert "get" in ok(t, "--help") and ok(t, "--version").strip()
