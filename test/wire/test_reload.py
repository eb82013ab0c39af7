# SPDX-License-Identifier: Apache-2.0
"""Changes while serving: listeners, routes, refusals by the data plane, folders as editors and
Kubernetes write them. Status and traffic must agree."""
import contextlib
import json
import os
import shutil
import socket
import time

import pytest

from harness import GATEWAY, Reader, Stack, docs, route, service, wait_for
from traffic import Traffic

STEADY = route("steady", """
  - matches: [{path: {type: PathPrefix, value: /steady}}]
    backendRefs: [{name: web, port: 80}]
""")
BASE = docs(GATEWAY, service("web"), STEADY)


def path_route(name, path, extra="", backend="web"):
    return route(name, f"""
  - matches: [{{path: {{type: PathPrefix, value: {path}}}}}]
    backendRefs: [{{name: {backend}, port: 80}}]
""", extra)


def status_of(t, path, **kw):
    return t.get(path, **kw).status


def serves(t, path, status=200, seconds=5, **kw):
    wait_for(f"{path} to answer {status}", lambda: status_of(t, path, **kw) == status, seconds)


@contextlib.contextmanager
def held_port(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", port))
        s.listen(1)
        yield s


def is_refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return True
    return False


def gateway(*listeners):
    head = GATEWAY.rsplit("  listeners:", 1)[0]
    return head + "  listeners:\n" + "".join(f"  - {{{l}}}\n" for l in listeners)


def slice_of(name, address, ready=True):
    return f"""
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{name: http, port: {address}}}]
endpoints: [{{addresses: [127.0.0.1], conditions: {{ready: {str(ready).lower()}}}}}]
"""


TWO_PORTS = gateway("name: http, protocol: HTTP, port: 8080", "name: more, protocol: HTTP, port: $PORT2")


@pytest.fixture(scope="module")
def t():
    with Stack(BASE) as stack:
        yield stack


@pytest.fixture(autouse=True)
def clean(request):
    """Each test of the shared stack leaves it as it was."""
    yield
    if "t" in request.fixturenames:
        t = request.getfixturevalue("t")
        for path in t.source.iterdir():
            if path.name != "main.yaml":
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        t.write("main.yaml", BASE)
        wait_for("only /steady to serve", lambda: [
            n for n in json.loads(t.admin("/config"))["resources"] if n.startswith("rule/")
        ] == ["rule/default/steady/0"])
        serves(t, "/steady")


# --- refusals by the data plane -----------------------------------------------------------------


def test_reload_01_refusal_is_per_resource():
    with Stack(docs(BASE, service("moving"), path_route("moving", "/moving", backend="moving"))) as t:
        t.write("slice.yaml", slice_of("moving", 1))
        serves(t, "/moving", 503)
        with held_port(t.port2):
            t.write("main.yaml", docs(TWO_PORTS, service("web"), STEADY, service("moving"),
                                      path_route("moving", "/moving", backend="moving")))
            c = t.wait_condition("Gateway", "edge", "Programmed", "False", "Invalid", listener="more")
            assert f"port {t.port2} is in use" in c["message"]
            # The neighbour is not blamed.
            assert t.conditions("Gateway", "edge", listener="http")["Programmed"]["status"] == "True"
            assert t.conditions("HTTPRoute", "moving")["Accepted"]["status"] == "True"
            begin = time.monotonic()
            t.write("slice.yaml", slice_of("moving", "$WEB"))
            serves(t, "/moving")
            assert time.monotonic() - begin < 2
            t.write("more.yaml", path_route("late", "/late"))
            serves(t, "/late")
        # Repaired: the port is free, and any later version tries it again.
        t.write("more.yaml", path_route("late", "/later"))
        t.wait_condition("Gateway", "edge", "Programmed", listener="more")
        assert status_of(t, "/later", port=t.port2) == 200
        assert status_of(t, "/moving") == 200


def test_a_port_that_becomes_free_is_used_without_an_edit():
    with Stack(BASE) as t:
        with held_port(t.port2):
            t.write("main.yaml", docs(TWO_PORTS, service("web"), STEADY))
            t.wait_condition("Gateway", "edge", "Programmed", "False", "Invalid", listener="more")
            assert status_of(t, "/steady") == 200
            time.sleep(1.5)  # it is tried in vain
            config = json.loads(t.admin("/config"))
            assert list(config["refused"]) == ["listener/default/edge/more"]
            nacks = t.metric("push_answers_total", port=t.ctl_port, result="nack")
            assert nacks == 1, "a try that changes nothing is nobody's news"
        t.wait_condition("Gateway", "edge", "Programmed", listener="more")
        assert t.conditions("Gateway", "edge")["Programmed"]["status"] == "True"
        assert status_of(t, "/steady", port=t.port2) == 200
        assert not json.loads(t.admin("/config"))["refused"]


def test_a_kept_listener_is_tried_again_without_a_controller():
    with Stack(docs(TWO_PORTS, service("web"), STEADY)) as t:
        t.wait_condition("Gateway", "edge", "Programmed", listener="more")
        serves(t, "/steady", port=t.port2)
        wait_for("the snapshot on disk", lambda: "edge/more" in
                 (t.folder / "dp" / "snapshot.json").read_text())
        t.ctl.kill()
        t.dp.stop()
        with held_port(t.port2):
            t.start_dataplane(controller=False)
            assert status_of(t, "/steady") == 200
            assert list(json.loads(t.admin("/config"))["refused"]) == ["listener/default/edge/more"]
        wait_for("the port to be open", lambda: not is_refused(t.port2))
        assert status_of(t, "/steady", port=t.port2) == 200


def test_reload_01_a_refused_port_change_keeps_the_old_one_serving(t):
    with held_port(t.port2), Traffic(t, "/steady") as load:
        t.write("main.yaml", docs(gateway("name: http, protocol: HTTP, port: $PORT2"),
                                  service("web"), STEADY))
        t.wait_condition("Gateway", "edge", "Programmed", "False", "Invalid", listener="http")
        time.sleep(0.3)
        t.write("late.yaml", path_route("late", "/late"))
        serves(t, "/late")
    assert not load.lost and load.answered > 50
    t.write("main.yaml", BASE)
    t.wait_condition("Gateway", "edge", "Programmed", listener="http")


def test_reload_05_accepted_of_neighbours_never_changes():
    names = [f"good{i}" for i in range(20)]
    good = docs(*(path_route(n, f"/{n}") for n in names))
    with Stack(docs(BASE, good), dataplane=False) as t:
        def accepted():
            return {n: t.conditions("HTTPRoute", n)["Accepted"] for n in names}
        # Nobody is connected: that shows in Programmed of the Gateway alone.
        before = accepted()
        assert all(c["status"] == "True" for c in before.values())
        for listener in (None, "http"):
            c = t.conditions("Gateway", "edge", listener=listener)["Programmed"]
            assert (c["status"], c["reason"]) == ("False", "Pending")
            assert "no data plane is connected" in c["message"]
        t.start_dataplane()
        t.wait_condition("Gateway", "edge", "Programmed")
        with held_port(t.port2):
            t.write("main.yaml", docs(TWO_PORTS, service("web"), STEADY, good,
                                      path_route("refused", "/refused").replace(
                                          "{name: edge}", "{name: edge, sectionName: more}")))
            t.wait_condition("Gateway", "edge", "Programmed", "False", "Invalid", listener="more")
            assert accepted() == before
            assert all(status_of(t, f"/{n}") == 200 for n in names)
        t.dp.stop()
        wait_for("the data plane to be missed", lambda: "no data plane is connected" in
                 t.conditions("Gateway", "edge")["Programmed"]["message"])
        assert accepted() == before


# --- listeners and routes that change -----------------------------------------------------------


def test_reload_02_listener_moves_and_comes_back(t):
    def config(port, path):
        return docs(gateway(f"name: http, protocol: HTTP, port: {port}"), service("web"), STEADY,
                    path_route("moving", path))

    t.write("main.yaml", config(8080, "/one"))
    serves(t, "/one")
    old_port, old_path, new_port, new_path = t.port, "/one", t.port2, "/two"
    for port in ("$PORT2", 8080):
        with t.connect(old_port) as s:
            reader = Reader(s)
            s.sendall(f"GET {old_path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
            r = reader.response()
            assert r.status == 200 and r.header("connection") != "close"
            begin = time.monotonic()
            t.write("main.yaml", config(port, new_path))
            serves(t, new_path, port=new_port)
            wait_for("the old port to close", lambda: is_refused(old_port))
            assert time.monotonic() - begin < 3
            assert status_of(t, old_path, port=new_port) == 404
            # The open connection: an answer that says so, or it was closed while it was idle.
            with contextlib.suppress(OSError):
                s.sendall(f"GET {new_path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
                r = reader.response()
                assert r.header("connection") == "close"
                assert s.recv(1) == b""
        t.wait_condition("Gateway", "edge", "Programmed", listener="http")
        old_port, old_path, new_port, new_path = new_port, new_path, old_port, old_path


NARROW = gateway("name: http, protocol: HTTP, port: 8080, hostname: '*.example.com', allowedRoutes: "
                 "{namespaces: {from: Selector, selector: {matchLabels: {team: a}}}}")
NAMESPACE = """
apiVersion: v1
kind: Namespace
metadata: {name: default, labels: {team: LABEL}}
"""


@pytest.mark.parametrize("old,new,reason", [
    ("parentRefs: [{name: edge}]", "parentRefs: [{name: nobody}]", None),
    ("hostnames: [a.example.com]", "hostnames: [a.other.com]", "NoMatchingListenerHostname"),
    ("team: a}}\n", "team: b}}\n", "NotAllowedByListeners"),
], ids=["parent", "hostname", "namespace"])
def test_reload_03_status_and_traffic_agree(t, old, new, reason):
    yaml = docs(NARROW, service("web"), NAMESPACE.replace("LABEL", "a"),
                path_route("narrow", "/narrow", "hostnames: [a.example.com]"))
    t.write("main.yaml", yaml)
    serves(t, "/narrow", host="a.example.com")
    t.wait_condition("HTTPRoute", "narrow", "Accepted")
    assert old in yaml
    t.write("main.yaml", yaml.replace(old, new))

    def is_gone():
        parents = t.object("HTTPRoute", "narrow")["status"]["parents"]
        if any(c["type"] == "Accepted" and c["status"] == "True"
               for p in parents for c in p["conditions"]):
            return False
        return parents or reason is None
    wait_for("Accepted to leave", is_gone)
    assert status_of(t, "/narrow", host="a.example.com") == 404
    if reason:
        t.wait_condition("HTTPRoute", "narrow", "Accepted", "False", reason)
    t.write("main.yaml", yaml)
    serves(t, "/narrow", host="a.example.com")
    t.wait_condition("HTTPRoute", "narrow", "Accepted")


# --- how files are written ----------------------------------------------------------------------


def test_reload_04_configmap_links_are_turned(t):
    top = t.source / "mounted"

    def version(n):
        folder = top / f"..2026_{n}"
        folder.mkdir(parents=True)
        (folder / "routes.yaml").write_text(path_route("mapped", f"/map{n}"))
        return folder

    first = version(1)
    os.symlink(first.name, top / "..data")
    os.symlink("..data/routes.yaml", top / "routes.yaml")
    serves(t, "/map1")
    for n in (2, 3, 4):
        folder = version(n)
        os.symlink(folder.name, top / "..data_tmp")
        os.rename(top / "..data_tmp", top / "..data")
        shutil.rmtree(top / f"..2026_{n - 1}")
        serves(t, f"/map{n}", seconds=2)
        serves(t, f"/map{n - 1}", 404, seconds=1)
    # Read once: twice would be a conflict of two files that define one object.
    assert "mapped" not in "".join(l for l in t.ctl.log().splitlines() if '"refused"' in l)


def test_reload_04_rename_over(t):
    for n in range(3):
        t.write("edited.yaml", path_route("edited", f"/edit{n}"))
        serves(t, f"/edit{n}", seconds=2)


def test_reload_04_half_written_file_removes_nothing(t):
    path = t.source / "slow.yaml"
    text = docs(path_route("slow1", "/slow1"), path_route("slow2", "/slow2"))
    path.write_text(text)
    serves(t, "/slow2")
    new = text.replace("/slow", "/quick") + "\n# " + "x" * 100 + "\n"
    # In the middle of a flow mapping of the second object, as a full disk or a slow copy leaves it.
    cut = new.index("/quick2") - 3
    with open(path, "w") as f, Traffic(t, "/slow2") as load:
        f.write(new[:cut])
        f.flush()
        end = time.monotonic() + 2
        while time.monotonic() < end:
            assert status_of(t, "/slow2") == 200
            time.sleep(0.05)
        load.end()
        assert not load.lost
        f.write(new[cut:])
        f.flush()
    serves(t, "/quick1")
    serves(t, "/quick2")
    serves(t, "/slow2", 404)


def test_a_broken_file_is_told_with_its_line_and_keeps_what_served(t):
    t.write("extra.yaml", path_route("extra", "/extra"))
    serves(t, "/extra")
    t.write("extra.yaml", path_route("extra", "/new").replace("rules:", "rules: [}"))
    wait_for("the refusal", lambda: "extra.yaml:8" in t.ctl.log())
    assert status_of(t, "/extra") == 200


# --- references ---------------------------------------------------------------------------------


def test_gateway_objects_01_no_ready_endpoint_is_503(t):
    t.write("sliced.yaml", docs(service("sliced"), path_route("sliced", "/sliced", backend="sliced")))
    t.write("slice.yaml", slice_of("sliced", "$WEB", ready=False))
    t.wait_condition("HTTPRoute", "sliced", "ResolvedRefs")
    serves(t, "/sliced", 503)
    before = t.conditions("HTTPRoute", "sliced")["ResolvedRefs"]
    t.write("slice.yaml", slice_of("sliced", "$WEB"))
    serves(t, "/sliced", 200, seconds=2)
    assert t.conditions("HTTPRoute", "sliced")["ResolvedRefs"] == before


GRANT = """
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: g, namespace: other}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}]
  to: [{group: "", kind: Service}]
"""


def test_gateway_objects_02_grant_comes_and_goes():
    there = service("there").replace("name: there", "name: there, namespace: other")
    far = path_route("far", "/far", backend="there, namespace: other")
    missing = path_route("missing", "/missing", backend="gone, namespace: other")
    with Stack(docs(BASE, there, far, missing)) as t:
        def refused():
            c = t.wait_condition("HTTPRoute", "far", "ResolvedRefs", "False", "RefNotPermitted")
            serves(t, "/far", 500, seconds=2)
            return c
        c = refused()
        other = t.wait_condition("HTTPRoute", "missing", "ResolvedRefs", "False", "RefNotPermitted")
        assert c["message"].replace("there", "gone") == other["message"]
        t.write("slice.yaml", slice_of("there", "$WEB").replace("name: there-1", "name: there-1, namespace: other"))
        t.write("grant.yaml", GRANT)
        serves(t, "/far", 200, seconds=2)
        t.wait_condition("HTTPRoute", "far", "ResolvedRefs")
        t.wait_condition("HTTPRoute", "missing", "ResolvedRefs", "False", "BackendNotFound")
        (t.source / "grant.yaml").unlink()
        refused()


@pytest.mark.parametrize("weight,bad", [(10, 100), (0, 0)])
def test_gateway_objects_05_a_bad_reference_keeps_its_share(t, weight, bad):
    t.write("shared.yaml", route("shared", f"""
  - matches: [{{path: {{type: PathPrefix, value: /shared}}}}]
    backendRefs: [{{name: web, port: 80, weight: 90}}, {{name: does-not-exist, port: 80, weight: {weight}}}]
"""))
    t.wait_condition("HTTPRoute", "shared", "ResolvedRefs", "False", "BackendNotFound")
    assert t.conditions("HTTPRoute", "shared")["Accepted"]["status"] == "True"
    wait_for("the route", lambda: status_of(t, "/shared") != 404)
    seen = {200: 0, 500: 0}
    with t.connect() as s:
        reader = Reader(s)
        for _ in range(1000):
            s.sendall(b"GET /shared HTTP/1.1\r\nHost: test\r\n\r\n")
            r = reader.response()
            seen[r.status] += 1
            assert r.header("connection") != "close"
    assert abs(seen[500] - bad) <= bad // 5


def test_gateway_objects_06_status_follows_the_listener(t):
    def config(hostname):
        return docs(gateway(f"name: http, protocol: HTTP, port: 8080, hostname: '{hostname}'"),
                    service("web"))
    t.write("route.yaml", path_route("named", "/named", "hostnames: [a.example.com]"))
    for _ in range(2):
        t.write("main.yaml", config("b.example.com"))
        t.wait_condition("HTTPRoute", "named", "Accepted", "False", "NoMatchingListenerHostname")
        serves(t, "/named", 404, host="a.example.com", seconds=1)
        t.write("main.yaml", config("*.example.com"))
        c = t.wait_condition("HTTPRoute", "named", "Accepted")
        assert c["observedGeneration"] == t.object("HTTPRoute", "named")["metadata"]["generation"]
        serves(t, "/named", host="a.example.com", seconds=1)
