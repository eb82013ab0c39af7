# SPDX-License-Identifier: Apache-2.0
"""docs/kubernetes.md, as a stranger follows it: every command of "Install", in order.

Only addresses, ports, the namespace's name and the place of the Gateway API's CRDs are other ones
here. The pod's command is left out (no pod runs), the ServiceAccount `default` is made (no controller
makes it).
"""
import os
import re
import subprocess

import pytest

from cluster import GATEWAY_CRDS, KUBE_HOME
from harness import BUILD, ROOT, free_ports, wait_for
from line import Processes, service

NS = "page-shop"  # other tests have a namespace of the page's name
PAGE = (ROOT / "docs" / "kubernetes.md").read_text()


def blocks():
    """The fenced blocks of the section, without their indentation."""
    section = PAGE.split("## Install\n", 1)[1].split("\n## ", 1)[0]
    found = re.findall(r"^ *```\n(.*?)^ *```$", section, re.M | re.S)
    return ["\n".join(line[3:] for line in b.splitlines()) + "\n" for b in found]


class Follower(Processes):
    def __init__(self, api, backend):
        super().__init__("page")
        self.api, self.backend = api, backend
        self.push, self.port, *self.admins = free_ports(4)
        (self.folder / "state").mkdir()
        (self.folder / "crds").symlink_to(ROOT / "crds")
        (self.folder / "examples").symlink_to(ROOT / "examples")
        self.outputs = []

    def here(self, text):
        for old, new in (("10.0.0.5:18443", f"127.0.0.1:{self.push}"),
                         ("10.0.0.6:8080", f"{self.backend.address}:{self.port}"),
                         ("10.0.0.6", self.backend.address), ("port: 8080", f"port: {self.port}"),
                         ("/var/lib", str(self.folder / "state"))):
            text = text.replace(old, new)
        text = re.sub(r"https://github.com/\S+", str(GATEWAY_CRDS), text)
        return re.sub(r"\bshop\b", NS, text)

    def shell(self, text):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.here(text)], cwd=self.folder, text=True,
            capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
            env={**os.environ, "KUBECONFIG": str(self.api.config), "HOME": str(self.folder),
                 "PATH": f"{KUBE_HOME / 'bin'}:{BUILD}:{os.environ['PATH']}"})
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        return done.stdout

    def program(self, command):
        """One that stays: the page's own words, and an admin port of ours."""
        words = self.here(command.replace("\\\n", " ")).split()
        words = [w if not re.match(r"(kube:)?[\w.]+\.(conf|crt)$|token$", w) else
                 re.sub(r"^(kube:)?(.*)$", rf"\1{self.folder}/\2", w) for w in words]
        self.start(words[0], *words, "--admin", f"127.0.0.1:{self.admins.pop()}")

    def follow(self, block):
        if "--source kube " in block:
            return
        if block.startswith("$ "):
            command, _, want = block[2:].partition("\n")
            self.expect(command, want)
            return
        before, program = block, None
        for name in ("tandem-controller --source", "tandem-dataplane --controller"):
            if name in block:
                at = block.index(name)
                before, program = block[:at], block[at:]
        if "curl " in block:
            self.api.kubectl("-n", NS, "apply", "-f", "-", stdin=service(self.backend))
            wait_for("the page's commands", lambda: self.try_shell(block))
            return
        if "create token default" in before:
            self.api.kubectl("-n", NS, "create", "serviceaccount", "default", check=False)
            wait_for("the CA", lambda: self.try_shell(before.splitlines()[0]))
        self.outputs.append(self.shell(before) if before.strip() else "")
        if program:
            self.program(program)

    def try_shell(self, text):
        self.outputs.append(self.shell(text.replace("curl ", "curl -sSf ")))
        return self.outputs[-1] or True

    def expect(self, command, want):
        def rows():
            got = [line.split()[:-1] for line in self.shell(command).splitlines()]
            assert got == [line.split()[:-1] for line in self.here(want).splitlines()], got
            return True
        wait_for(command, rows)


@pytest.fixture
def follower(api, backend):
    made = Follower(api, backend)
    yield made
    for kind in ("httproute", "gateway", "service", "endpointslice"):
        api.kubectl("-n", NS, "delete", kind, "--all", check=False)
    made.close()


def test_the_commands_of_the_page_work(follower):
    found = blocks()
    assert len(found) == 8, "a block came or went: does this test follow it?"
    for block in found:
        follower.follow(block)
    described = follower.outputs[-1]
    assert described.count("Status:                True") == 3, described
    assert '"backend":"web"' in described
