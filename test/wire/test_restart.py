# SPDX-License-Identifier: Apache-2.0
"""Programs that die, restart and drain while requests are under way, and many changes under load."""
import signal
import socket
import subprocess
import threading
import time
import urllib.error

import pytest

from harness import (BUILD, GATEWAY, SLOW, Reader, Stack, docs, free_ports, read_response, route, service,
                     wait_for)
from traffic import Traffic

STEADY = route("steady", """
  - matches: [{path: {type: PathPrefix, value: /steady}}, {path: {type: PathPrefix, value: /bytes}}]
    backendRefs: [{name: web, port: 80}]
""")
BASE = docs(GATEWAY, service("web"), STEADY)


def path_route(name, path):
    return route(name, f"""
  - matches: [{{path: {{type: PathPrefix, value: {path}}}}}]
    backendRefs: [{{name: web, port: 80}}]
""")


def serves(t, path, status=200, seconds=10):
    wait_for(f"{path} to answer {status}", lambda: t.get(path).status == status, seconds)


def sent(t):
    return t.metric("push_resources_sent_total", port=t.ctl_port)


def connected(t, n=1):
    wait_for(f"{n} data planes", lambda: t.metric("push_data_planes_connected", port=t.ctl_port) == n)


# --- the controller goes and comes ----------------------------------------------------------------


def test_killing_and_restarting_the_controller_changes_nothing():
    with Stack(docs(BASE, path_route("edited", "/old"), path_route("other", "/other"))) as t:
        with Traffic(t, "/steady") as load:
            assert sent(t) > 0
            t.ctl.kill()
            time.sleep(0.7)
            assert t.get("/old").status == 200
            assert t.admin("/ready")
            t.start_controller()
            connected(t)
            t.wait_condition("Gateway", "edge", "Programmed")
            assert sent(t) == 0
            # And with an edit that nobody saw: that alone is sent.
            t.ctl.kill()
            t.write("more.yaml", path_route("more", "/more"))
            t.start_controller()
            serves(t, "/more")
            assert sent(t) == 1
        assert not load.lost and load.answered > 100


def test_a_data_plane_shows_its_token_again():
    with Stack(BASE, ctl_args=["--token-recheck", "300ms"]) as t:
        time.sleep(1.5)
        connected(t)
        assert "no controller" not in t.dp.log()
        # One that shows another is sent away, and both are told.
        (t.folder / "ctl" / "token").write_text("stolen")
        text = "the token is not the bootstrap token"
        wait_for("the data plane's log", lambda: text in t.dp.log())
        assert text in t.ctl.log() and "stolen" not in t.ctl.log() + t.dp.log()
        assert t.get("/steady").status == 200


def test_dataplane_without_a_controller_serves_the_last_snapshot():
    with Stack(docs(BASE, path_route("kept", "/kept"))) as t:
        serves(t, "/kept")
        wait_for("the snapshot on disk", lambda: "rule/default/kept/0" in
                 (t.folder / "dp" / "snapshot.json").read_text())
        t.ctl.kill()
        t.dp.stop()
        t.start_dataplane(controller=False)
        assert t.get("/kept").status == 200
        # The same with one that is configured but away.
        t.dp.kill()
        t.start_dataplane()
        assert t.get("/kept").status == 200
        t.start_controller()
        connected(t)
        assert sent(t) == 0


def test_broken_snapshot_file_is_refused_in_words():
    with Stack(BASE) as t:
        path = t.folder / "dp" / "snapshot.json"
        wait_for("the snapshot on disk", path.exists)
        t.dp.stop()
        path.write_text(path.read_text()[:-20])
        t.start_dataplane(controller=False, ready=False)
        assert t.dp.process.wait(10) != 0
        assert "snapshot" in t.dp.log()
        # With a controller to ask it is told, and serves.
        t.start_dataplane()
        serves(t, "/steady")


def test_two_dataplanes_of_one_controller():
    with Stack(BASE) as t:
        [admin2] = free_ports(1)
        second = t.start("second", "tandem-dataplane", "--controller", f"127.0.0.1:{t.push_port}",
                         "--bootstrap", t.folder / "ctl", "--state", t.folder / "dp2", "--bind",
                         "127.0.0.1", "--port-map", f"8080={t.port2}", "--admin",
                         f"127.0.0.1:{admin2}", "--access-log", "off", "--workers", "1",
                         "--node", "second", "--grace", "1s")
        wait_for("two to be counted", lambda: t.conditions("Gateway", "edge")["Programmed"]["message"]
                 == "2 of 2 data planes")
        assert t.get("/steady", port=t.port2).status == 200
        t.write("more.yaml", path_route("more", "/more"))
        serves(t, "/more")
        wait_for("the second", lambda: t.get("/more", port=t.port2).status == 200)
        second.stop()
        wait_for("one to be counted", lambda: t.conditions("Gateway", "edge")["Programmed"]["message"]
                 == "1 of 1 data planes")


# --- many changes under load ----------------------------------------------------------------------


def test_1000_route_changes_under_load_lose_nothing():
    files, rounds = 50, 20

    def write(n):
        for i in range(files):
            t.write(f"r{i}.yaml", path_route(f"r{i}", f"/round{n}/{i}/"))

    with Stack(BASE) as t:
        write(0)
        for i in range(files):
            serves(t, f"/round0/{i}/")
        before = sent(t)
        with Traffic(t, "/steady") as load:
            for n in range(1, rounds + 1):
                write(n)
                # All of a round are served before the next one: each change reached the workers.
                wait_for(f"round {n}", lambda n=n: all(
                    f"/round{n}/{i}" in text for text in [t.admin("/config")] for i in range(files)))
        assert sent(t) - before >= files * rounds
        assert not load.lost and load.answered > 300
        assert all(t.get(f"/round{rounds}/{i}/").status == 200 for i in range(files))
        assert t.get(f"/round{rounds - 1}/0/").status == 404


def test_changes_of_the_loaded_route_itself_lose_nothing():
    with Stack(docs(BASE, path_route("own", "/own"))) as t:
        serves(t, "/own")
        with Traffic(t, "/own") as load:
            for n in range(40):
                t.write("main.yaml", docs(BASE, path_route("own", "/own"),
                                          *([path_route("twin", "/own")] if n % 2 else [])))
                time.sleep(0.05)
        assert not load.lost and load.answered > 100


# --- drain ----------------------------------------------------------------------------------------


def test_sigterm_lets_requests_under_way_end():
    with Stack(BASE, dp_args=["--grace", "10s"]) as t:
        with t.connect() as waiting, t.connect() as streaming, t.connect() as idle:
            reader = Reader(idle)
            idle.sendall(b"GET /steady HTTP/1.1\r\nHost: test\r\n\r\n")
            assert reader.response().status == 200
            waiting.sendall(b"GET /steady?delay_ms=1500 HTTP/1.1\r\nHost: test\r\n\r\n")
            streaming.sendall(b"GET /steady?drip=15&interval_ms=100 HTTP/1.1\r\nHost: test\r\n\r\n")
            wait_for("both upstream", lambda: t.upstream_stats()["requests_seen"] >= 3)
            t.dp.signal(signal.SIGTERM)

            def is_unready():
                try:
                    t.admin("/ready")
                except urllib.error.HTTPError as e:
                    return e.code == 503
                return False
            wait_for("readiness 503", is_unready, 1)
            r = read_response(waiting)
            assert (r.status, r.complete, r.header("connection")) == (200, True, "close")
            r = read_response(streaming)
            assert (r.status, r.complete, len(r.body)) == (200, True, 15)
        assert t.dp.process.wait(5) == 0
        lines = t.access_lines(3)
        assert len([l for l in lines if l["status"] == 200]) == 3


def test_sigterm_grace_is_bounded():
    with Stack(BASE, dp_args=["--grace", "1s"]) as t:
        with t.connect() as s:
            s.sendall(b"GET /steady?delay_ms=20000 HTTP/1.1\r\nHost: test\r\n\r\n")
            wait_for("it upstream", lambda: t.upstream_stats()["requests_seen"] >= 1)
            begin = time.monotonic()
            t.dp.signal(signal.SIGTERM)
            assert t.dp.process.wait(10) == 0
            assert 0.5 < time.monotonic() - begin < 4


def test_sigterm_takes_connections_for_the_drain_delay():
    with Stack(BASE, dp_args=["--grace", "10s", "--drain-delay", f"{2 * SLOW}s"]) as t:
        begin = time.monotonic()
        t.dp.signal(signal.SIGTERM)
        while time.monotonic() - begin < 1.2 * SLOW:
            assert t.get("/steady").status == 200
            time.sleep(0.1)
        assert t.dp.process.wait(10) == 0
        assert 1.9 * SLOW < time.monotonic() - begin < 5 * SLOW


@pytest.mark.parametrize("args,complaint", [
    (["--grace", "1s", "--drain-delay", "2s"],
     "--drain-delay 2s is longer than --grace 1s, of which it is a part"),
    (["--drain-delay", "2"], "--drain-delay: "),
    (["--grace", "1d"], "--grace: "),
])
def test_times_of_a_drain_that_are_refused(args, complaint, tmp_path):
    (tmp_path / "snapshot.json").write_text("{}")
    done = subprocess.run([BUILD / "tandem-dataplane", "--state", tmp_path, *args],
                          capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and complaint in done.stderr


def test_sigterm_under_load_loses_nothing():
    """Clients go on where the connection says close; a port that is closed is another instance's
    turn, as behind a Service."""
    with Stack(BASE, dp_args=["--grace", "5s"]) as t:
        answered, lost, refused = [0], [], [0]
        stop = threading.Event()

        def client():
            while not stop.is_set():
                try:
                    s = socket.create_connection(("127.0.0.1", t.port), 5)
                except (ConnectionRefusedError, ConnectionResetError):
                    refused[0] += 1
                    return
                with s:
                    s.settimeout(5)
                    reader, n = Reader(s), 0
                    while True:
                        try:
                            s.sendall(b"GET /steady HTTP/1.1\r\nHost: test\r\n\r\n")
                            r = reader.response()
                        except OSError as e:
                            # The kernel resets who reaches the queue of a listener between the last
                            # accept and its close: not taken yet, so the same as refused.
                            if n == 0 and isinstance(e, ConnectionResetError):
                                refused[0] += 1
                            else:
                                lost.append(f"{e!r} as request {n}")
                            return
                        n += 1
                        assert r.status == 200
                        answered[0] += 1
                        if r.header("connection") == "close":
                            break

        threads = [threading.Thread(target=client, daemon=True) for _ in range(6)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        t.dp.signal(signal.SIGTERM)
        assert t.dp.process.wait(10) == 0
        stop.set()
        for thread in threads:
            thread.join(5)
        assert not lost
        assert answered[0] > 100 and refused[0] == len(threads)


# --- secrets from the environment -----------------------------------------------------------------

FROM_ENV = """
apiVersion: kgateway.dev/v1alpha1
kind: LLMBackend
metadata: {name: demo}
spec:
  provider: custom
  dialect: chat
  baseURL: http://127.0.0.1:$MODEL/v1
  models: {allow: ["demo-*"]}
  auth: {secretRefs: [{name: key}]}
---
apiVersion: v1
kind: Secret
metadata:
  name: key
  annotations: {kgateway.dev/from-env: api-key=TANDEM_TEST_KEY}
"""
OTHER = """
apiVersion: kgateway.dev/v1alpha1
kind: LLMBackend
metadata: {name: other}
spec:
  provider: custom
  dialect: chat
  baseURL: http://127.0.0.1:$MODEL/v1
  models: {allow: [demo-large]}
"""


def models(*backends):
    refs = ", ".join(f"{{group: kgateway.dev, kind: LLMBackend, name: {b}}}" for b in backends)
    return docs(GATEWAY, FROM_ENV, OTHER, route("models", f"""
  - matches: [{{path: {{type: PathPrefix, value: /v1}}}}]
    backendRefs: [{refs}]
"""))


def ask(model):
    return {"model": model, "messages": [{"role": "user", "content": "hi"}]}


def test_secret_from_the_environment():
    with Stack(models("demo"), env={"TANDEM_TEST_KEY": "sk-from-env"},
               demo_args=["--api-key", "sk-from-env"]) as t:
        assert t.chat(ask("demo-small")).status == 200
        t.wait_condition("LLMBackend", "demo", "ResolvedRefs")
        for text in (t.admin("/config"), t.ctl_get("/snapshot"), t.dp.log(), t.ctl.log()):
            assert "sk-from-env" not in text


@pytest.mark.parametrize("env", [{}, {"TANDEM_TEST_KEY": ""}], ids=["unset", "empty"])
def test_secret_whose_variable_is_not_set(env):
    with Stack(models("demo", "other"), env=env) as t:
        c = t.wait_condition("LLMBackend", "demo", "ResolvedRefs", "False")
        assert "TANDEM_TEST_KEY" in c["message"] and "not set" in c["message"]
        # Its models are not offered; those of its neighbour are.
        assert [m["id"] for m in t.get("/v1/models").json()["data"]] == ["demo-large"]
        assert t.chat(ask("demo-large")).status == 200
        r = t.chat(ask("demo-small"))
        assert (r.status, r.json()["error"]["code"]) == (404, "model_not_found")
        # Alone in its rule it answers as every reference that does not resolve.
        t.write("main.yaml", models("demo"))
        wait_for("500", lambda: t.chat(ask("demo-small")).status == 500)
        assert t.chat(ask("demo-small")).json()["error"]["code"] == "invalid_backend"
