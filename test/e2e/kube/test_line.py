# SPDX-License-Identifier: Apache-2.0
"""Objects applied by kubectl, traffic by curl, statuses as whole objects."""
import json

from cluster import ApiError, settle
from harness import wait_for
from line import docs, gateway, metric_of, route, service
from statuses import (CONTROLLER, conditions, gateway_status, listener_status, route_status,
                      whole_status)

SUPPORTED = "CRDs of the Gateway API v1.7.0 are installed"


def test_class_says_what_is_served(cluster, controller):
    cluster.wait_condition("GatewayClass", "tandem", "Accepted")
    status = whole_status(cluster, "GatewayClass", "tandem")
    assert status["conditions"] == conditions(
        {"Accepted": ("True", "Accepted", "Gateways of this class are served"),
         "SupportedVersion": ("True", "SupportedVersion", SUPPORTED)})
    features = [f["name"] for f in status["supportedFeatures"]]
    assert features == sorted(features)
    assert {"Gateway", "HTTPRoute", "ReferenceGrant", "HTTPRouteSchemeRedirect"} <= set(features)
    assert set(status) == {"conditions", "supportedFeatures"}


def test_crds_of_a_version_that_is_not_known(cluster, controller):
    name = "referencegrants.gateway.networking.k8s.io"
    def write(version):
        notes = {"gateway.networking.k8s.io/bundle-version": version}
        cluster.patch("CustomResourceDefinition", name, {"metadata": {"annotations": notes}})
    def said(status, reason):
        return cluster.wait_condition("GatewayClass", "tandem", "SupportedVersion", status, reason)
    try:
        write("v1.9.0")
        c = said("False", "UnsupportedVersion")
        assert c["message"].startswith(f"CRD {name} is of the Gateway API v1.9.0; v1.6 and v1.7")
        cluster.wait_condition("GatewayClass", "tandem", "Accepted")
    finally:
        write("v1.7.0")
    assert said("True", "SupportedVersion")["message"] == SUPPORTED


def test_statuses_as_whole_objects(cluster, line, backend):
    cluster.apply(docs(gateway(), service(backend), route()))
    plane = line()
    plane.wait_status("/hello")
    assert plane.curl("/hello")[0] == 200
    cluster.wait_condition("HTTPRoute", "web", "Programmed")
    cluster.wait_condition("Gateway", "edge", "Programmed")
    assert whole_status(cluster, "HTTPRoute", "web") == route_status(cluster.ns)
    assert whole_status(cluster, "Gateway", "edge") == gateway_status(
        listener_status("http", attached=1))


def test_without_a_data_plane_nothing_is_programmed(cluster, line, backend):
    cluster.apply(docs(gateway(), service(backend), route()))
    for kind, name in (("Gateway", "edge"), ("HTTPRoute", "web")):
        c = cluster.wait_condition(kind, name, "Programmed", "False")
        assert c["reason"] == "Pending" and "data plane" in c["message"], c
    plane = line()
    plane.wait_status("/")
    for kind, name in (("Gateway", "edge"), ("HTTPRoute", "web")):
        cluster.wait_condition(kind, name, "Programmed")


def test_address_of_a_data_plane_is_the_gateways(cluster, line, backend):
    cluster.apply(docs(gateway(), service(backend), route()))
    line(args=["--address", "198.51.100.7"])
    def addresses():
        return cluster.get("Gateway", "edge")["status"]["addresses"]
    wait_for("the address", lambda: addresses() == [{"type": "IPAddress", "value": "198.51.100.7"}])
    out = cluster.kubectl("get", "gateway", "edge")
    assert "198.51.100.7" in out and "True" in out


def test_models_by_kubectl(cluster, line, backend):
    cluster.apply(docs(gateway(), f"""
apiVersion: kgateway.dev/v1alpha1
kind: LLMBackend
metadata: {{name: local}}
spec:
  provider: custom
  dialect: chat
  baseURL: http://{backend.address}:{backend.model_port}/v1
  models: {{aliases: {{fast: demo-small}}}}
""", route("models", """
- matches: [{path: {value: /v1}}]
  backendRefs: [{group: kgateway.dev, kind: LLMBackend, name: local}]
""")))
    plane = line()
    plane.wait_status("/v1/models")
    status, body = plane.curl("/v1/chat/completions", "-H", "content-type: application/json", "-d",
                              '{"model": "fast", "messages": [{"role": "user", "content": "hi"}]}')
    assert status == 200 and json.loads(body)["choices"], body
    cluster.wait_condition("LLMBackend", "local", "Programmed")
    cells = cluster.kubectl("get", "llm", "local").splitlines()[1].split()
    assert cells[:4] == ["local", "custom", "True", "True"]
    assert "local" in cluster.kubectl("get", "tandem")
    status = whole_status(cluster, "LLMBackend", "local")
    assert [(a["ancestorRef"]["name"], a["controllerName"]) for a in status["ancestors"]] == [
        ("edge", CONTROLLER)]


def test_burst_of_changes_is_few_writes(cluster, line, backend, controller):
    cluster.apply(docs(gateway(), service(backend), route()))
    plane = line()
    plane.wait_status("/")
    cluster.wait_condition("HTTPRoute", "web", "Programmed")
    before = metric_of(controller.get("/metrics"), "controller_kube_requests_total", verb="PATCH")
    for i in range(30):
        cluster.patch("HTTPRoute", "web", {"spec": {"rules": [
            {"matches": [{"path": {"value": f"/v{i}"}}],
             "backendRefs": [{"name": "web", "port": 80}]}]}})
    plane.wait_status("/v29")
    cluster.wait_condition("HTTPRoute", "web", "Programmed")
    settle(1.5)
    after = metric_of(controller.get("/metrics"), "controller_kube_requests_total", verb="PATCH")
    assert after - before <= 10, f"{after - before} writes for 30 changes"


def test_deletion(cluster, line, backend):
    cluster.apply(docs(gateway(), service(backend), route(), route("more", """
- matches: [{path: {value: /more}}]
  backendRefs: [{name: web, port: 80}]
""")))
    plane = line()
    plane.wait_status("/more/x")
    def attached_routes():
        return cluster.get("Gateway", "edge")["status"]["listeners"][0]["attachedRoutes"]
    wait_for("two routes", lambda: attached_routes() == 2)
    cluster.delete("HTTPRoute", "web")
    plane.wait_status("/hello", 404)
    wait_for("one route", lambda: attached_routes() == 1)
    assert plane.get("/more/x").status == 200
    cluster.delete("EndpointSlice", "web-1")
    plane.wait_status("/more/x", 503)
    cluster.delete("Service", "web")
    plane.wait_status("/more/x", 500)
    c = cluster.wait_condition("HTTPRoute", "more", "ResolvedRefs", "False", "BackendNotFound")
    assert f"{cluster.ns}/web" in c["message"]
    cluster.delete("Gateway", "edge")
    def closed():
        try:
            plane.connect().close()
        except ConnectionRefusedError:
            return True
        return False
    wait_for("the port is closed", closed)
    # Whose Gateway is missing now nobody can tell: what we said of it is taken back.
    wait_for("no parent of ours", lambda: not cluster.get("HTTPRoute", "more")["status"]["parents"])


def test_endpoints_come_and_go(cluster, line, backend):
    """A slice's conditions: not ready gets nothing, ready again gets all."""
    cluster.apply(docs(gateway(), service(backend), route()))
    plane = line()
    plane.wait_status("/")
    def ready(value):
        cluster.patch("EndpointSlice", "web-1", {"endpoints": [
            {"addresses": [backend.address], "conditions": {"ready": value}}]})
    ready(False)
    plane.wait_status("/", 503)
    ready(True)
    plane.wait_status("/")


def test_foreign_objects_are_left_alone(cluster, line, backend):
    """A Gateway of another class, and a route to it, get nothing from us."""
    cluster.apply(docs(gateway(), service(backend), gateway("theirs").replace(
        "gatewayClassName: tandem", "gatewayClassName: somebody-else"), """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: somebody-else}
spec: {controllerName: example.com/other}
""", route("theirs", parents="[{name: theirs}]"), route()))
    plane = line()
    plane.wait_status("/")
    cluster.wait_condition("HTTPRoute", "web", "Programmed")
    assert cluster.get("HTTPRoute", "theirs").get("status", {}).get("parents", []) == []
    for kind, name in (("Gateway", "theirs"), ("GatewayClass", "somebody-else")):
        said = cluster.get(kind, name)["status"]["conditions"]
        assert {c["reason"] for c in said} == {"Pending"} and \
            {c["message"] for c in said} == {"Waiting for controller"}


def test_route_of_another_namespace(cluster, line, backend, api):
    other = f"{cluster.ns}-shop"
    cluster.make_namespace(other, {"team": "shop"})
    cluster.apply(gateway(listeners="""
- name: http
  protocol: HTTP
  port: 8080
  allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: shop}}}}
"""))
    text = docs(service(backend), route(parents=f"[{{name: edge, namespace: {cluster.ns}}}]"))
    cluster.apply_in(other, text)
    plane = line()
    plane.wait_status("/")
    cluster.wait_condition("HTTPRoute", "web", "Programmed", ns=other)
    api.call("PATCH", f"/api/v1/namespaces/{other}", {"metadata": {"labels": {"team": "x"}}},
             "application/merge-patch+json")
    plane.wait_status("/", 404)
    c = cluster.wait_condition("HTTPRoute", "web", "Accepted", "False", "NotAllowedByListeners",
                               ns=other)
    assert f"namespace '{other}' (allowedRoutes)" in c["message"]


def test_conflicting_write_does_no_harm(cluster, line, backend):
    """Somebody writes the same status all the time: 409 is tried again, both are seen in the end."""
    cluster.apply(docs(gateway(), service(backend), route()))
    plane = line()
    plane.wait_status("/")
    for i in range(20):
        foreign = [{"parentRef": {"name": "other"}, "controllerName": "example.com/other",
                    "conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted",
                                    "message": "theirs", "observedGeneration": 1,
                                    "lastTransitionTime": "2026-01-01T00:00:00Z"}]}]
        def mine():
            return [p for p in cluster.get("HTTPRoute", "web")["status"]["parents"]
                    if p["controllerName"] == CONTROLLER]
        try:
            cluster.patch("HTTPRoute", "web", {"status": {"parents": foreign + mine()}},
                          subresource="status")
        except ApiError as e:
            assert e.status == 409, e
        cluster.patch("HTTPRoute", "web", {"spec": {"hostnames": [f"h{i}.example.com"]}})
    cluster.wait_condition("HTTPRoute", "web", "Programmed", parent=1)
    parents = cluster.get("HTTPRoute", "web")["status"]["parents"]
    assert [p["controllerName"] for p in parents] == ["example.com/other", CONTROLLER]
