# SPDX-License-Identifier: Apache-2.0
"""Drills: what goes wrong or changes in a cluster while clients send requests loses none of them.

DRILL_SCALE=full runs them at full size; else changes are fewer, so that the whole file stays short.
DRILL_ROUTES: how many routes the last one writes (1000).
"""
import http.client
import json
import os
import pathlib
import signal
import threading
import time

import pytest

from certs import Ca
from certs import listener as tls_listener
from certs import secret as tls_secret
from cluster import ApiServer, Cluster, settle
from drill import HTTP, Backends, Drill, Seen, Writers, endpoint_slice, is_programmed, route
from harness import SLOW, wait_for

FULL = os.environ.get("DRILL_SCALE") == "full"
MERGE = "application/merge-patch+json"


@pytest.fixture(scope="module")
def own_api():
    """Killed and restarted here, so it is not the one of other tests."""
    server = ApiServer()
    try:
        server.install_crds()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def backends(tmp_path_factory):
    made = Backends(tmp_path_factory.mktemp("backends"))
    yield made
    made.close()


@pytest.fixture
def cluster(own_api):
    made = Cluster(own_api, f"drill{Cluster.count}")
    yield made
    made.close()


def check(load, least=50):
    assert not load.lost, f"{len(load.lost)} lost of {load.answered}: {load.lost[:3]}"
    assert load.answered >= least / SLOW


def wait_controller(t, seconds=30):
    wait_for("controller", lambda: t.ctl.is_running() and t.get("/ready"), seconds)
    def connected():
        return t.metric("push_data_planes_connected") == len(t.planes)
    wait_for("data planes", connected, seconds)


def test_controller_killed(cluster, backends):
    with Drill(cluster, backends) as t, t.traffic() as load:
        for i in range(3 if FULL else 2):
            settle(0.3)
            t.ctl.kill()
            t.put("HTTPRoute", "steady", {"spec": route("steady", header=i)["spec"]})
            settle(0.5)
            t.start_controller()
            wait_controller(t)
            t.wait_answer("/steady", i)
        load.end()
        check(load)


def test_api_server_killed(cluster, backends):
    with Drill(cluster, backends) as t, t.traffic() as load:
        t.wait_programmed()
        settle(0.3)
        cluster.api.kill()
        settle(1)
        assert t.get("/healthz")
        cluster.api.start()
        t.put("HTTPRoute", "steady", {"spec": route("steady", header="back")["spec"]})
        t.wait_answer("/steady", "back", 20)
        cluster.wait_condition("HTTPRoute", "steady", "Programmed", seconds=20)
        cluster.api.kill("etcd")
        settle(0.5)
        cluster.api.start("etcd")
        def write():
            t.put("HTTPRoute", "steady", {"spec": route("steady", header="etcd")["spec"]})
            return True
        wait_for("a write", lambda: tried(write), 20)
        t.wait_answer("/steady", "etcd", 20)
        load.end()
        check(load)


def tried(fn):
    try:
        return fn()
    except Exception as e:
        raise OSError(str(e)) from e


def is_expired(api, kind, ns, version):
    """Whether the API server has forgotten what followed a resourceVersion."""
    path = api.path(kind, None, ns) + f"?watch=1&timeoutSeconds=1&resourceVersion={version}"
    c = http.client.HTTPSConnection("127.0.0.1", api.port, timeout=10, context=api.tls)
    try:
        c.request("GET", path, headers={"Accept": "application/json"})
        r = c.getresponse()
        line = json.loads(r.readline() or "{}")
        return r.status == 410 or line.get("object", {}).get("code") == 410
    finally:
        c.close()


def test_watch_expired(cluster, backends):
    """An API server knows nothing of the time before it started, and answers 410 to a
    resourceVersion of then. What was deleted meanwhile is seen by listing anew alone."""
    with Drill(cluster, backends, objects=[route("goes"), route("stays")]) as t, \
            t.traffic() as load, t.traffic("/stays") as other:
        wait_for("routes", lambda: t.ask(t.planes[0], "/goes").status == 200)
        t.wait_programmed()
        settle(0.5)
        kinds = json.loads(t.get("/source"))["kinds"]
        version = next(k for k in kinds if k["kind"] == "HTTPRoute")["resourceVersion"]
        t.ctl.signal(signal.SIGSTOP)
        try:
            cluster.api.kill()
            cluster.api.start()
            cluster.delete("HTTPRoute", "goes")
            t.put("HTTPRoute", "steady", {"spec": route("steady", header="after")["spec"]})
            cluster.api.kill()
            cluster.api.start()
            wait_for("410", lambda: is_expired(cluster.api, "HTTPRoute", cluster.ns, version))
        finally:
            t.ctl.signal(signal.SIGCONT)
        t.wait_answer("/steady", "after", 30)
        wait_for("the route to be gone", lambda: t.ask(t.planes[0], "/goes").status == 404, 20)
        lists = [l for l in t.ctl.log().splitlines() if '"kind":"httproutes"' in l]
        assert len(lists) == 2 and "1 changed, 1 removed" in lists[1], lists
        load.end()
        other.end()
        check(load)
        check(other)


def test_routes_change(cluster, backends):
    routes, rounds = 100, 10 if FULL else 4
    made = [route(f"r{i}", header=0) for i in range(routes)]
    with Drill(cluster, backends, objects=made) as t, t.traffic() as load, \
            t.traffic("/r7") as on_changed, Writers(cluster.api) as writers:
        for n in range(1, rounds + 1):
            for i in range(routes):
                writers.put("PATCH", cluster.api.path("HTTPRoute", f"r{i}", cluster.ns),
                            {"spec": route(f"r{i}", header=n)["spec"]}, MERGE)
            writers.work.join()
        assert not writers.errors, writers.errors[:3]
        for i in range(routes):
            t.wait_answer(f"/r{i}", rounds, 5)
        load.end()
        on_changed.end()
        check(load)
        check(on_changed)


def test_endpoints_flap(cluster, backends):
    a, b = backends.texts
    states = [[(a, True)], [(a, True), (b, False)], [(a, True), (b, True)], [(a, False), (b, True)],
              [(b, True)], [(a, True), (b, True)]]
    with Drill(cluster, backends) as t, t.traffic(clients=4) as load:
        for n in range(120 if FULL else 48):
            slice_ = endpoint_slice(backends, endpoints=states[n % len(states)])
            t.put("EndpointSlice", "web-1", {"endpoints": slice_["endpoints"]})
            time.sleep(0.03)
        settle(0.3)
        load.end()
        check(load)


class Handshakes:
    """New connections with verified certificates, one after the other; which serials they saw."""

    def __init__(self, ca, port, threads=2):
        self.ca, self.port, self.lost, self.seen, self.done = ca, port, [], {}, 0
        self.context, self.ended = ca.context(), threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]

    def run(self):
        while not self.ended.is_set():
            try:
                with self.ca.connect(self.port, "a.test", context=self.context) as s:
                    serial = int(s.getpeercert()["serialNumber"], 16)
                    self.seen.setdefault(serial, time.monotonic())
                    s.sendall(b"GET /steady HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
                    text = b"".join(iter(lambda: s.recv(65536), b""))
                    if b" 200 " not in text[:20]:
                        self.lost.append(repr(text[:80]))
                    self.done += 1
            except OSError as e:
                self.lost.append(repr(e))
            time.sleep(0.005)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for t in self.threads:
            t.join(20)


def test_certificate_rotated(cluster, backends):
    ca = Ca()
    leaves = [ca.leaf("a.test") for _ in range(21 if FULL else 11)]
    cluster.apply(tls_secret("cert", *leaves[0]))
    listeners = HTTP + "\n" + tls_listener("tls", "a.test", "cert", port=8443).rstrip("\n")
    with Drill(cluster, backends, listeners=listeners) as t:
        dp, context = t.planes[0], ca.context()
        wait_for("TLS", lambda: ca.connect(dp.tls, "a.test", context=context).close() or True)
        slowest = 0
        with t.traffic(host="a.test", connect=lambda: ca.connect(dp.tls, "a.test", context=context)
                       ) as kept, Handshakes(ca, dp.tls) as new:
            for serial, (cert, key) in enumerate(leaves[1:], 2):
                begin = time.monotonic()
                cluster.patch("Secret", "cert", {"stringData": {"tls.crt": cert, "tls.key": key}})
                wait_for(f"certificate {serial}", lambda n=serial: n in new.seen)
                slowest = max(slowest, new.seen[serial] - begin)
        assert not new.lost, new.lost[:3]
        check(kept)
        assert kept.connections == 3  # the old certificate's connections live on
        assert slowest < 1 * SLOW, slowest


def test_data_planes_replaced(cluster, backends):
    with Drill(cluster, backends, planes=2) as t, \
            t.traffic(clients=6, per_connection=200) as load, \
            t.traffic(clients=4, pause=0, per_connection=1) as once:
        for _ in range(6 if FULL else 3):
            old = t.planes[0]
            t.add_plane()
            settle(0.3)
            old.signal(signal.SIGTERM)
            status = old.process.wait(20 * SLOW)
            t.planes.remove(old)
            assert status == 0, old.log()[-2000:]
        load.end()
        once.end()
        check(load)
        check(once, 500)


def cpu_s(program):
    fields = pathlib.Path(f"/proc/{program.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def written(t):
    return t.metric("controller_status_writes_total", result="written")


def sent(t):
    return t.metric("push_resources_sent_total")


def write_routes(t, cluster, n, routes):
    """n routes at 100 a second, and what was seen until all serve and say so."""
    with Writers(cluster.api, 8) as writers:
        sent_before, written_before = sent(t), written(t)
        begin, cpu = time.monotonic(), [cpu_s(t.ctl), cpu_s(t.planes[0])]
        path = cluster.api.path("HTTPRoute", None, cluster.ns)
        last = writers.at_rate(100, [("POST", path, route(f"s{i}")) for i in range(n)])
    wait_for("the last route", lambda: t.ask(t.planes[0], f"/s{n - 1}").status == 200)
    serves = time.monotonic() - last
    wait_for("every route to be Programmed", lambda: routes.all(is_programmed, n + 1), 30)
    residual = time.monotonic() - last
    settle(1.5)  # the Gateway's count follows
    return {
        "routes": n, "seconds of writing": round(last - begin, 2),
        "until the last serves": round(serves, 3), "until all are Programmed": round(residual, 3),
        "status writes": written(t) - written_before, "resources sent": sent(t) - sent_before,
        "controller CPU s": round(cpu_s(t.ctl) - cpu[0], 2),
        "data plane CPU s": round(cpu_s(t.planes[0]) - cpu[1], 2),
        "controller RSS MiB": round(t.ctl.rss_kib() / 1024, 1),
        "data plane RSS MiB": round(t.planes[0].rss_kib() / 1024, 1),
    }


def check_nothing_is_repeated(t, n):
    """With n routes in place: a change of one sends that one; a controller that is started anew
    sends nothing, and writes no status that is there."""
    before = sent(t)
    t.put("HTTPRoute", "s3", {"spec": route("s3", header="x")["spec"]})
    t.wait_answer("/s3", "x")
    assert sent(t) - before in (1, 2)
    wait_for("its status", lambda: is_programmed(t.cluster.get("HTTPRoute", "s3")))
    settle(1.2)
    t.ctl.kill()
    t.start_controller()
    wait_controller(t)
    wait_for("rules", lambda: t.metric("controller_rules_translated_total") == n + 1)
    wait_for("the Lease", lambda: t.metric("controller_lease_held") == 1)
    settle(1)
    assert (sent(t), written(t)) == (0, 0)


def test_scale(cluster, backends):
    """Routes written at 100 a second: soon after the last they all serve and say so."""
    n = int(os.environ.get("DRILL_ROUTES", 1000))
    with Drill(cluster, backends) as t, t.traffic(clients=2, pause=0.02) as load, \
            Seen(cluster.api, "HTTPRoute", cluster.ns) as routes, \
            Seen(cluster.api, "Gateway", cluster.ns) as gateways:
        t.wait_programmed()
        seen = write_routes(t, cluster, n, routes)
        seen["Gateway status writes"] = gateways.changes.get("edge", 0)
        print(json.dumps(seen))
        assert seen["until all are Programmed"] < 2 * SLOW, seen
        assert seen["Gateway status writes"] <= max(20, n // 100 + 2) * SLOW, seen
        assert seen["resources sent"] <= n + 10, seen
        assert SLOW > 1 or seen["data plane RSS MiB"] <= 40, seen
        attached = cluster.get("Gateway", "edge")["status"]["listeners"][0]["attachedRoutes"]
        assert attached == n + 1
        check_nothing_is_repeated(t, n)
        load.end()
        check(load)
