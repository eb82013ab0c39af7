# SPDX-License-Identifier: Apache-2.0
"""A change takes effect within a second, in traffic and in statuses, whatever kind is changed.

Each kind is changed a few times, and the middle of what that took is judged: the machine may be
busy with something else for a moment.
"""
import ssl
import time

from certs import Ca, secret
from cluster import settle
from harness import SLOW, wait_for
from line import docs, gateway, route, service
from statuses import (RESOLVED, gateway_status, listener_status, route_status, whole_status)

TRAFFIC_S, STATUS_S = 0.5, 1.0
HTTP = {"name": "http", "protocol": "HTTP", "port": 8080}


def middle(values):
    return sorted(values)[len(values) // 2]


class Watch:
    """Times steps, each of which is a change, its effect on traffic and what statuses say then."""

    def __init__(self):
        self.traffic, self.status = [], []

    def step(self, change, effect, says, quiet=1.2):
        settle(quiet / SLOW)  # an object's status is written at most once a second
        begin = time.monotonic()
        change()
        wait_for("traffic to change", effect)
        self.traffic.append(time.monotonic() - begin)
        wait_for("statuses to say so", says)
        self.status.append(time.monotonic() - begin)

    def judge(self):
        assert middle(self.traffic) < TRAFFIC_S * SLOW, self.traffic
        assert middle(self.status) < STATUS_S * SLOW, self.status


def says(cluster, kind, name, expected):
    def compare():
        found = whole_status(cluster, kind, name)
        assert found == expected, found
        return True
    return compare


def settled(cluster, line, *objects, **kw):
    """The objects with a data plane, once all is quiet."""
    cluster.apply(docs(*objects))
    plane = line(**kw)
    plane.wait_status("/")
    cluster.wait_condition("HTTPRoute", "web", "Programmed")
    cluster.wait_condition("Gateway", "edge", "Programmed")
    return plane


def test_a_route(cluster, line, backend):
    plane, watch = settled(cluster, line, gateway(), service(backend), route()), Watch()
    for i in range(3):
        rules = [{"matches": [{"path": {"value": f"/v{i}"}}],
                  "backendRefs": [{"name": "web", "port": 80}]}]
        watch.step(lambda: cluster.patch("HTTPRoute", "web", {"spec": {"rules": rules}}),
                   lambda: plane.get(f"/v{i}").status == 200,
                   says(cluster, "HTTPRoute", "web", route_status(cluster.ns, i + 2)))
    watch.judge()
    assert plane.get("/").status == 404


def is_closed(plane, port):
    try:
        plane.connect(port).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_listener(cluster, line, backend):
    plane = settled(cluster, line, gateway(), service(backend), route(), ports=(8080, 8081))
    watch, port = Watch(), plane.ports[8081]

    def put(*listeners):
        cluster.patch("Gateway", "edge", {"spec": {"listeners": [HTTP, *listeners]}})

    def says_gateway(generation, *names):
        return says(cluster, "Gateway", "edge", gateway_status(
            *(listener_status(n, 1, generation) for n in ("http", *names)),
            generation=generation))

    def more(host):
        return {"name": "more", "protocol": "HTTP", "port": 8081, "hostname": host}

    for i, host in enumerate(("a.test", "b.test")):
        watch.step(lambda: put(more(host)), lambda: plane.get(host=host, port=port).status == 200,
                   says_gateway(2 + i, "more"))
    assert plane.get(host="a.test", port=port).status == 404
    watch.step(put, lambda: is_closed(plane, port), says_gateway(4))
    watch.judge()


def test_a_certificate(cluster, line, backend):
    """Rotated, broken and repaired: the Gateway itself is not touched."""
    ca, watch, pair = Ca(), Watch(), None
    pair = ca.leaf("a.test")
    plane = settled(cluster, line, gateway(listeners="""
- {name: http, protocol: HTTP, port: 8080}
- {name: a, protocol: HTTPS, port: 8443, hostname: a.test, tls: {certificateRefs: [{name: a}]}}
"""), service(backend), route(), secret("a", *pair), ports=(8080, 8443))
    port = plane.ports[8443]

    def put(cert, key):
        cluster.patch("Secret", "a", {"stringData": {"tls.crt": cert, "tls.key": key}})

    def shows(cert):
        with ca.connect(port, "a.test") as s:
            return s.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(cert)

    def is_refused():
        try:
            ca.connect(port, "a.test").close()
        except ssl.SSLError as e:
            return e.reason == "TLSV1_UNRECOGNIZED_NAME"
        return False

    def says_listener(refs, programmed=None, **changed):
        a = {"ResolvedRefs": refs, **({"Programmed": programmed} if programmed else {})}
        return says(cluster, "Gateway", "edge", gateway_status(
            listener_status("http", 1), listener_status("a", 1, **a), **changed))

    def valid(cert):
        return (*RESOLVED[:2], f"{RESOLVED[2]}; certificate {cluster.ns}/a covers a.test until "
                f"{ca.end_of(cert)}")
    says_listener(valid(pair[0]))()
    pair = ca.leaf("a.test")
    watch.step(lambda: put(*pair), lambda: shows(pair[0]), says_listener(valid(pair[0])))
    broken = ca.leaf("a.test")[0]
    watch.step(lambda: put(broken, pair[1]), is_refused, says_listener(
        ("False", "InvalidCertificateRef", f"Secret {cluster.ns}/a: tls.key: does not belong to "
         "the certificate in tls.crt"), ("False", "Invalid", "not valid: see the other conditions"),
        ResolvedRefs=("False", "ListenersNotResolved", "the listeners say what is not resolved")))
    watch.step(lambda: put(*pair), lambda: shows(pair[0]), says_listener(valid(pair[0])))
    watch.judge()


def test_an_endpoint_slice(cluster, line, backend):
    """Endpoints are no one's status: nothing is written for them."""
    plane, watch = settled(cluster, line, gateway(), service(backend), route()), Watch()
    settle(1.5)

    def versions():
        return [cluster.get(*o)["metadata"]["resourceVersion"]
                for o in (("Gateway", "edge"), ("HTTPRoute", "web"))]

    def put(port=backend.port, **conditions):
        cluster.patch("EndpointSlice", "web-1", {
            "endpoints": [{"addresses": [backend.address], "conditions": conditions}],
            "ports": [{"name": "http", "port": port}]})
    before = versions()
    said = lambda: versions() == before
    watch.step(lambda: put(ready=False), lambda: plane.get().status == 503, said, 0)
    watch.step(lambda: put(ready=True), lambda: plane.get().status == 200, said, 0)
    watch.step(lambda: put(backend.model_port, ready=True),
               lambda: b'"object"' in plane.get("/v1/models").body, said, 0)
    watch.step(lambda: put(ready=False, serving=True, terminating=True),
               lambda: b'"object"' not in plane.get("/v1/models").body, said, 0)
    assert plane.get().status == 200
    watch.judge()
    settle(1.5)
    assert versions() == before
