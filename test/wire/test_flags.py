# SPDX-License-Identifier: Apache-2.0
"""Flags that are wrong, missing or contradict each other: refused at the start, by name."""
import subprocess

import pytest

from harness import BUILD, SLOW

CTL, DP = "tandem-controller", "tandem-dataplane"
FOLDER = ["--source", "dir:/nonexistent", "--state", "/nonexistent"]
KUBE = ["--source", "kube:/nonexistent"]
TO = ["--controller", "127.0.0.1:1"]
POD = [*TO, "--ca-file", "ca.crt", "--token-file", "token", "--gateway", "shop/edge"]

WRONG = [
    (CTL, [], "--source kube, --source kube:KUBECONFIG or --source dir:PATH is needed"),
    (CTL, ["--source", "folder"], "--source 'folder' is not kube, kube:KUBECONFIG or dir:PATH"),
    (CTL, ["--source", "kube:"], "--source 'kube:' is not kube, kube:KUBECONFIG or dir:PATH"),
    (CTL, FOLDER[:2], "--state DIR is needed"),
    (CTL, [*FOLDER, "--listen", "127.0.0.1"], "--listen: '127.0.0.1' is not HOST:PORT"),
    (CTL, [*FOLDER, "--listen", "::1:80"],
     "--listen: '::1:80' is not HOST:PORT (an IPv6 address needs brackets)"),
    (CTL, [*FOLDER, "--listen", "a:99999"], "--listen: port '99999' is not in 0..65535"),
    (CTL, [*FOLDER, "--listen", "a:5", "--admin", "a:5"], "--listen and --admin are both a:5"),
    (CTL, [*FOLDER, "--endpoint", "web"], "--endpoint: 'web' is not NS/SERVICE=HOST:PORT"),
    (CTL, [*FOLDER, "--endpoint", "web=a:1"], "--endpoint 'web' is not NS/SERVICE"),
    (CTL, [*FOLDER, "--endpoint", "a/web=a"], "--endpoint a/web: 'a' is not HOST:PORT"),
    (CTL, [*FOLDER, "--namespace", "a"], "--namespace has no use with a folder"),
    (CTL, [*FOLDER, "--log-level", "loud"],
     "--log-level 'loud' is not debug, info, warn or error"),
    (CTL, [*KUBE, "--namespace", "Tandem_System"],
     "--namespace 'Tandem_System' is not the name of a namespace"),
    (CTL, [*KUBE, "--push-name", "a b"],
     "--push-name: 'a b' is neither a DNS name nor an IP address"),
    (CTL, [*KUBE, "--endpoint", "a/web=a:1"],
     "--endpoint is for a folder: of an API server the addresses of Services are its EndpointSlices"),
    (CTL, [*KUBE, *KUBE], "--source is given twice"),
    (CTL, ["--sauce", "x"], "unknown flag --sauce (see --help)"),
    (CTL, ["run"], "unexpected argument 'run' (see --help)"),
    (DP, [], "nothing to serve: give --controller, or --state with a kept snapshot"),
    (DP, TO, "--controller needs --bootstrap, the folder with its ca.crt and token, or --ca-file "
     "(and --token-file outside of a pod)"),
    (DP, [*TO, "--bootstrap", "a", "--ca-file", "b"],
     "--bootstrap brings a CA and a token: it excludes --ca-file"),
    (DP, ["--token-file", "a", "--state", "b"], "--token-file needs --controller"),
    (DP, ["--controller", "a:0", *POD[2:]], "--controller: port 0 is none"),
    (DP, [*POD[:-1], "edge"], "--gateway: 'edge' is not NS/NAME"),
    (DP, [*POD, "--bind", "edge"], "--bind: 'edge' is not an IP address"),
    (DP, [*POD, "--address", "a!"], "--address: 'a!' is neither an IP address nor a DNS name"),
    (DP, [*POD, "--port-map", "80"], "--port-map: '80' is not PORT=PORT"),
    (DP, [*POD, "--port-map", "80=0"], "--port-map: '80=0' is not PORT=PORT"),
    (DP, [*POD, "--workers", "0"], "--workers: '0' is not a whole number in 1..64"),
    (DP, [*POD, "--explain", "yes"], "--explain: 'yes' is not on or off"),
    (DP, [*POD, "--grace", "5"],
     "--grace: '5' is not a duration such as 1h30m, 10s or 500ms (one to four whole numbers of at "
     "most five digits, each with the unit h, m, s or ms)"),
    (DP, [*POD, "--gateway"], "--gateway needs a value: --gateway NS/NAME"),
]


def run(program, args):
    return subprocess.run([BUILD / program, *args], capture_output=True, text=True,
                          timeout=10 * SLOW, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("program,args,text", WRONG,
                         ids=[f"{w[0][7:]}-{i}" for i, w in enumerate(WRONG)])
def test_wrong_flags(program, args, text):
    done = run(program, args)
    assert (done.returncode, done.stderr) == (2, f"{program}: {text}\n")


@pytest.mark.parametrize("program,args,text", [
    (CTL, KUBE, "source: /nonexistent: No such file or directory"),
    (CTL, ["--source", "kube"],
     "source: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: outside of a cluster "
     "a kubeconfig is needed (--source kube:KUBECONFIG)"),
    (DP, [*POD, "--upstream-ca", "/nonexistent"],
     "--upstream-ca: /nonexistent: cannot be opened: No such file or directory"),
    (DP, [*POD, "--access-log", "/nonexistent/x"],
     "cannot open access log '/nonexistent/x': No such file or directory"),
])
def test_what_is_not_there(program, args, text):
    done = run(program, args)
    assert (done.returncode, done.stderr) == (1, f"{program}: {text}\n")


@pytest.mark.parametrize("program", [CTL, DP, "tandemctl", "tandem-demo"])
def test_help_begins_with_the_usage(program):
    done = run(program, ["--help"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: {program} ")
    assert all(len(line) <= 160 for line in done.stdout.splitlines())
