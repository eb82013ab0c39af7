# SPDX-License-Identifier: Apache-2.0
"""Two replicas of the controller: one writes, both serve, and either may die."""
import json
import signal
import time

import pytest

from cluster import ApiServer, Cluster, settle
from harness import SLOW, wait_for
from line import CLASS, RBAC, SHORT_LEASE, Plane, docs, gateway, route
from pair import held_port
from replicas import Replicas, Service, Watch

WEB = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{name: http, port: 80}]}
"""
LEASE_S = 4  # of line.SHORT_LEASE
DEFAULTS = ["--lease-duration", "15s", "--lease-renew-deadline", "10s", "--lease-retry", "2s"]


@pytest.fixture(scope="module")
def audited():
    server = ApiServer(audit=True)
    try:
        server.install_crds()
        server.kubectl("apply", "-f", RBAC)
        server.kubectl("apply", "-f", "-", stdin=CLASS)
        yield server
    finally:
        server.close()


class Site:
    """Replicas, a Gateway and a route in a namespace of their own, and a data plane on each: the
    one that dials a first, and the one that dials b first."""

    def __init__(self, api, folder, lease=SHORT_LEASE, ports=(8080,)):
        self.cluster = Cluster(api)
        self.replicas = Replicas(api, folder, lease)
        self.cluster.apply(docs(gateway(), WEB, *[route(f"r{i}") for i in range(5)]))
        a, b = self.replicas.a, self.replicas.b
        self.services = [Service(a, b), Service(b, a)]
        self.planes = [self.plane(i, s, ports) for i, s in enumerate(self.services)]
        self.gateways = Watch(api, "Gateway", self.cluster.ns)
        self.routes = Watch(api, "HTTPRoute", self.cluster.ns)

    def plane(self, i, service, ports):
        return Plane(service, f"{self.cluster.ns}/edge", token=self.cluster.token(), ports=ports,
                     args=["--node", f"node-{i}", "--address", f"10.0.0.{i + 1}"])

    def message(self):
        return self.cluster.conditions("Gateway", "edge")["Programmed"]["message"]

    def wait_counted(self, n=2, seconds=10):
        def counted():
            text = self.message()
            assert text == f"{n} of {n} data planes", text
            return True
        self.cluster.wait_condition("Gateway", "edge", "Programmed", seconds=seconds)
        wait_for(f"{n} data planes", counted, seconds)

    def wait_routes(self, names=("r0", "r1", "r2", "r3", "r4"), seconds=10):
        for name in names:
            self.cluster.wait_condition("HTTPRoute", name, "Programmed", seconds=seconds)

    def close(self):
        for c in (self.gateways, self.routes, *self.services):
            c.close()
        for p in self.planes:
            p.close()
        self.replicas.close()
        self.cluster.close()


@pytest.fixture
def site(audited, tmp_path, request):
    made = []

    def make(**kw):
        made.append(Site(audited, tmp_path, **kw))
        return made[0]
    yield make
    if getattr(request.node, "failed", False) and made:
        print(made[0].replicas.logs(), *[p.logs() for p in made[0].planes], sep="\n")
    for s in made:
        s.close()


def settled(t):
    t.wait_counted()
    t.wait_routes()
    holder = wait_for("a holder", t.replicas.holder)
    return holder, t.replicas.other(holder)


def test_one_writes_for_the_data_planes_of_both(site):
    t = site(ports=(8080, 8081))
    holder, other = settled(t)
    r = t.replicas
    assert {p.metric("push_data_planes_connected") for p in (r.a, r.b)} == {1}
    addresses = {a["value"] for a in t.cluster.get("Gateway", "edge")["status"]["addresses"]}
    assert addresses == {"10.0.0.1", "10.0.0.2"}
    t.cluster.apply(route("late"))
    t.wait_routes(["late"])
    assert r.writers() == {holder}
    assert r.by_name[other].metric("controller_status_writes_total") == 0
    assert r.by_name[other].metric("controller_lease_held") == 0
    # Both know who it is, and the follower shows what was written.
    states = {n: r.state(n) for n in ("a", "b")}
    assert states[other]["holder"] == states[holder]["identity"]
    assert states[other]["held"] is False and states[holder]["held"] is True
    path = f"/objects?kind=gateway&namespace={t.cluster.ns}&name=edge"
    shown = json.loads(r.by_name[other].get(path))["items"][0]["status"]
    assert shown["conditions"] == t.cluster.get("Gateway", "edge")["status"]["conditions"]
    # A data plane of the follower refuses: the reason is on the Gateway.
    plane = t.planes[0 if other == "a" else 1]
    held = held_port(plane.ports[8081])
    t.cluster.apply(gateway(listeners="- {name: http, protocol: HTTP, port: 8080}\n"
                                      "- {name: more, protocol: HTTP, port: 8081}"))
    c = t.cluster.wait_condition("Gateway", "edge", "Programmed", "False", "Invalid")
    assert "refused by a data plane" in c["message"], c
    held.close()
    t.wait_counted(seconds=20)
    assert r.writers() == {holder}


def test_a_holder_that_is_killed(site):
    t = site()
    holder, other = settled(t)
    before = len(t.replicas.writes())
    begin = time.monotonic()
    t.replicas.by_name[holder].kill()
    wait_for("the other one", lambda: t.replicas.holder() == other, LEASE_S + 4)
    took = time.monotonic() - begin
    # Not before the Lease is over, but for what had passed since its last renewal.
    assert LEASE_S - 1.5 < took < (LEASE_S + 1.5) * SLOW, took
    t.wait_counted(seconds=20)
    settle(1)
    # All was compared, and what is equal is not written.
    assert [w for w in t.replicas.writes()[before:] if w[2].startswith("httproutes/")] == []
    t.cluster.apply(docs(route("late"), route("r0", extra="hostnames: [a.example]")))
    t.wait_routes(["late", "r0"])
    settle(1)
    assert t.routes.flaps() == [] and t.gateways.flaps() == []
    assert t.replicas.writers(before) <= {other} | {holder}
    lease = t.replicas.lease()["spec"]
    late = [w for w in t.replicas.writes()[before:] if w[1] > lease["acquireTime"]]
    assert {who for who, *_ in late} == {other}
    assert lease["leaseTransitions"] == 1


def test_a_holder_that_ends(site):
    """With the times that operators have: the next one does not wait for its turn to look."""
    t = site(lease=DEFAULTS)
    holder, other = settled(t)
    begin = time.monotonic()
    t.replicas.by_name[holder].program.signal(signal.SIGTERM)
    wait_for("the other one", lambda: t.replicas.holder() == other, 5)
    took = time.monotonic() - begin
    assert took < 2 * SLOW, took
    assert t.replicas.by_name[holder].program.process.wait(10) == 0
    t.wait_counted(seconds=20)
    t.cluster.apply(route("late"))
    t.wait_routes(["late"])
    settle(1)
    assert t.routes.flaps() == [] and t.gateways.flaps() == []


def test_a_holder_that_was_stopped_for_longer_than_its_lease(site):
    t = site()
    holder, other = settled(t)
    frozen = t.replicas.by_name[holder].program
    frozen.signal(signal.SIGSTOP)
    try:
        def taken():
            state = t.replicas.state(other)
            return state["held"] and state
        wait_for("the other one", taken, LEASE_S + 4)
        begun = t.replicas.lease()["spec"]["acquireTime"]
        # Work that waits for it, and that it must not do.
        for i in range(5):
            t.cluster.apply(route(f"r{i}", extra=f"hostnames: [h{i}.example]"))
        t.cluster.apply(route("late"))
        settle(0.5)
    finally:
        frozen.signal(signal.SIGCONT)
    t.wait_routes(["late", "r0", "r4"], seconds=40)
    wait_for("it follows", lambda: t.replicas.state(holder)["held"] is False)
    settle(2)
    late = [w for w in t.replicas.writes() if w[1] > begun]
    assert late and {who for who, *_ in late} == {other}, late
    t.wait_counted(seconds=40)
    assert t.routes.flaps() == [] and t.gateways.flaps() == []
    assert t.replicas.state(holder)["holder"] == t.replicas.state(other)["identity"]


def test_a_follower_that_is_killed(site):
    t = site()
    holder, other = settled(t)
    t.replicas.by_name[other].kill()
    settle(1)
    t.cluster.apply(route("late"))
    t.wait_routes(["late"])
    t.wait_counted(seconds=20)
    r = t.replicas.by_name[holder]
    wait_for("both", lambda: r.metric("push_data_planes_connected") == 2, 20)
    assert t.routes.flaps() == [] and t.gateways.flaps() == []
    t.replicas.by_name[other].run()
    settle(1)
    assert t.replicas.holder() == holder and t.replicas.writers() == {holder}
    assert t.message() == "2 of 2 data planes"
