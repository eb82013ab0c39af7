# SPDX-License-Identifier: Apache-2.0
"""`make run` as a stranger meets it: the printed commands answer, edits are told, Ctrl-C ends all."""
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess

import pytest

from harness import BUILD, ROOT, SLOW, free_ports, wait_for

NAMES = ("PORT", "ADMIN_PORT", "PUSH_PORT", "CONTROLLER_ADMIN_PORT", "DEMO_PORT", "DEMO_MODEL_PORT")


class Run:
    """hack/run.sh in a process group of its own, with a copy of the quickstart folder."""

    def __init__(self, tmp, **env):
        self.ports = dict(zip(NAMES, free_ports(len(NAMES))))
        self.folder, self.state = tmp / "quickstart", tmp / "state"
        shutil.copytree(ROOT / "examples" / "quickstart", self.folder)
        models = self.folder / "models.yaml"
        models.write_text(models.read_text().replace(":9002", f":{self.ports['DEMO_MODEL_PORT']}"))
        self.out = tmp / "out"
        self.env = {**{k: v for k, v in os.environ.items() if k != "OPENAI_API_KEY"},
                    "FOLDER": str(self.folder), "STATE": str(self.state),
                    **{k: str(v) for k, v in self.ports.items()}, **env}
        with open(self.out, "wb") as out:
            self.process = subprocess.Popen(["bash", "hack/run.sh", str(BUILD)], cwd=ROOT, env=self.env,
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            start_new_session=True)

    def text(self):
        return self.out.read_text()

    def wait_text(self, pattern, seconds=15):
        def find():
            assert self.process.poll() is None or re.search(pattern, self.text()), self.text()
            return re.search(pattern, self.text())
        return wait_for(f"{pattern!r} in the output", find, seconds)

    def children(self):
        """Programs that hold this run's state folder or ports in their arguments."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if "tandem-" in line and f":{self.ports['DEMO_PORT']}" in line or str(self.state) in line:
                found.append(line)
        return found

    def stop(self, sig=signal.SIGINT):
        """As the terminal does it: the signal goes to the whole group."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, sig)
        return self.process.wait(20 * SLOW)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    r = Run(tmp_path_factory.mktemp("run"))
    try:
        r.wait_text("Ctrl-C stops")
        yield r
    finally:
        r.stop()


def printed_commands(text):
    joined = text.replace("\\\n", " ")
    return [l.strip() for l in joined.splitlines() if re.match(r"\s+(curl|TANDEM_ADMIN)", l)]


def shell(command, **kw):
    return subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=30,
                          executable="/bin/bash", check=False, **kw)


def test_printed_commands_answer(run):
    commands = printed_commands(run.text())
    assert len(commands) >= 6
    said = {}
    for command in commands:
        r = shell(command)
        assert r.returncode == 0, (command, r.stderr)
        said[command] = r.stdout

    def one(*words):
        (found,) = [out for c, out in said.items() if all(w in c for w in words)]
        return found
    assert json.loads(one("/hello"))["path"] == "/hello"
    assert json.loads(one("chat/completions", "curl http"))["choices"][0]["message"]["content"]
    stream = one("chat/completions", "curl -N")
    assert stream.startswith("data: {") and stream.endswith("data: [DONE]\n\n")
    assert "fast" in {m["id"] for m in json.loads(one("/v1/models"))["data"]}
    assert "tandem_requests_total" in one("/metrics")
    assert "HTTPRoute" in one("tandemctl") or "httproute" in one("tandemctl").lower()


def test_it_says_which_models_go_where(run):
    assert "OPENAI_API_KEY" in run.text()
    assert "gpt" in run.text()


def test_head_and_answer_headers_by_curl(run):
    r = shell(f"curl -si http://127.0.0.1:{run.ports['PORT']}/hello")
    head = r.stdout.split("\r\n\r\n")[0].lower()
    assert head.startswith("http/1.1 200") and "x-served-by: tandem" in head and "x-request-id: " in head
    assert shell(f"curl -sI http://127.0.0.1:{run.ports['PORT']}/hello").stdout.startswith("HTTP/1.1 200")
    assert "404" in shell(f"curl -si http://127.0.0.1:{run.ports['PORT']}/nowhere").stdout.splitlines()[0]


def test_a_big_upload_by_curl(run, tmp_path):
    path = tmp_path / "big"
    path.write_bytes(b"x" * (3 << 20))
    for more in ("", "-H 'Transfer-Encoding: chunked'", "-H 'Expect: 100-continue'"):
        r = shell(f"curl -s --data-binary @{shlex.quote(str(path))} {more} "
                  f"http://127.0.0.1:{run.ports['PORT']}/hello")
        assert json.loads(r.stdout)["body_bytes"] == 3 << 20


def edit(run, name, old, new):
    path = run.folder / name
    text = path.read_text()
    assert old in text
    temp = run.folder.parent / "edit.tmp"
    temp.write_text(text.replace(old, new))
    temp.rename(path)
    return text


def test_edits_are_told(run):
    before = edit(run, "web.yaml", "value: /hello", "value: /hallo")
    run.wait_text(r"(?m)^applied .*web\.yaml", 2)
    url = f"http://127.0.0.1:{run.ports['PORT']}"
    wait_for("/hallo", lambda: shell(f"curl -s -o /dev/null -w '%{{http_code}}' {url}/hallo").stdout == "200")
    # A broken one: told with file and line, and what served goes on.
    edit(run, "web.yaml", "type: PathPrefix", "type: [PathPrefix")
    run.wait_text(r"(?m)^refused .*web\.yaml:\d+", 2)
    assert shell(f"curl -s -o /dev/null -w '%{{http_code}}' {url}/hallo").stdout == "200"
    # A field that does not exist, by its name.
    (run.folder / "web.yaml").write_text(before.replace("backendRefs:", "backendRef:"))
    run.wait_text(r"(?m)^refused .*web\.yaml.*backendRef", 2)
    (run.folder / "web.yaml").write_text(before)
    wait_for("/hello", lambda: shell(f"curl -s -o /dev/null -w '%{{http_code}}' {url}/hello").stdout == "200")


@pytest.mark.parametrize("sig,group", [(signal.SIGINT, True), (signal.SIGTERM, True), (signal.SIGTERM, False)],
                         ids=["ctrl-c", "term-group", "term"])
def test_stop_leaves_no_process(tmp_path, sig, group):
    r = Run(tmp_path)
    try:
        r.wait_text("Ctrl-C stops")
        assert len(r.children()) >= 3
        if group:
            os.killpg(r.process.pid, sig)
        else:
            r.process.send_signal(sig)
        assert r.process.wait(20 * SLOW) == 0
        assert r.children() == []
        assert "stopping" in r.text()
        # Files are nowhere but in the state folder.
        assert sorted(p.name for p in r.folder.iterdir()) == sorted(
            p.name for p in (ROOT / "examples" / "quickstart").iterdir())
    finally:
        r.stop(signal.SIGTERM)


@pytest.mark.parametrize("name", ["PORT", "ADMIN_PORT", "DEMO_MODEL_PORT"])
def test_a_port_in_use_is_said_plainly(tmp_path, name):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        r = Run(tmp_path, **{name: str(port)})
        assert r.process.wait(20 * SLOW) == 1
        assert f"port {port} is in use" in r.text() and f"{name}=" in r.text()
        assert r.children() == []


def test_a_port_that_is_no_number(tmp_path):
    r = Run(tmp_path, PORT="http")
    assert r.process.wait(20 * SLOW) == 1
    assert "PORT must be a port number" in r.text()


def test_a_folder_that_is_missing(tmp_path):
    r = Run(tmp_path, FOLDER=str(tmp_path / "nowhere"))
    assert r.process.wait(30 * SLOW) == 1
    assert "nowhere" in r.text()
    assert r.children() == []
