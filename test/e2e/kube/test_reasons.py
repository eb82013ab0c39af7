# SPDX-License-Identifier: Apache-2.0
"""What is valid and cannot work says why: whole statuses of Gateways, routes and backends whose
references are wrong, the answers that clients get meanwhile, and that both end with the cause."""
import contextlib
import re
import ssl

import pytest

from certs import Ca, secret
from examples import GOOD, STATUS, conditions_of, said_by
from harness import wait_for
from line import docs, gateway, route, service
from statuses import (CONTROLLER, GROUP, RESOLVED, conditions, gateway_status, listener_status,
                      parent, route_status, whole_status)

INVALID = ("False", "Invalid", "not valid: see the other conditions")
UNRESOLVED = ("False", "ListenersNotResolved", "the listeners say what is not resolved")


def wait_status(cluster, kind, name, expected, ns=None):
    def compare():
        found = whole_status(cluster, kind, name, ns)
        assert found == expected, f"{found} is not {expected}"
        return True
    wait_for(f"the status of {kind} {name}", compare)


def is_refused(ca, port, name):
    """No certificate is shown for the name, not even a neighbour's."""
    try:
        ca.connect(port, name).close()
    except ssl.SSLError as e:
        assert e.reason == "TLSV1_UNRECOGNIZED_NAME", e
        return True
    return False


def grant(name, kind, ns, to):
    """A ReferenceGrant that lets objects of a kind in ns refer to core objects."""
    return f"""
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {{name: {name}}}
spec:
  from: [{{group: gateway.networking.k8s.io, kind: {kind}, namespace: {ns}}}]
  to: [{{group: "", {to}}}]
"""


# --- certificates ---------------------------------------------------------------------------------

def test_listeners_whose_certificates_are_wrong(cluster, line, backend):
    """Each hurts its own listener alone; a certificate for another host is shown, and said so."""
    ca, ns = Ca(), cluster.ns
    far = f"{ns}-certs"
    cluster.make_namespace(far)
    pairs = {n: ca.leaf(f"{n}.test") for n in ("good", "absent", "far", "broken")}
    cluster.apply_in(far, secret("far", *pairs["far"]))

    def https(name, ref):
        return (f"- {{name: {name}, protocol: HTTPS, port: 8443, hostname: {name}.test, "
                f"tls: {{certificateRefs: [{ref}]}}}}\n")
    cluster.apply(docs(
        gateway(listeners="".join([
            https("good", "{name: good}"), https("absent", "{name: absent}"),
            https("other", "{name: good}"), https("far", f"{{name: far, namespace: {far}}}"),
            https("broken", "{name: broken}")])),
        service(backend), route(), secret("good", *pairs["good"]),
        secret("broken", pairs["broken"][0], pairs["good"][1])))
    plane = line(ports=(8443,))

    def valid(where, name, more=""):
        return (*RESOLVED[:2], f"{RESOLVED[2]}; certificate {where} covers {name}.test until "
                f"{ca.end_of(pairs[name][0])}{more}")

    def shown(**mended):
        """The Gateway's status; mended: name -> ResolvedRefs of a listener that serves."""
        wrong = {
            "absent": ("False", "InvalidCertificateRef", f"Secret {ns}/absent does not exist"),
            "far": ("False", "RefNotPermitted",
                    f"Secret {far}/far: no ReferenceGrant of namespace '{far}' lets Gateways of "
                    f"namespace '{ns}' refer to it"),
            "broken": ("False", "InvalidCertificateRef", f"Secret {ns}/broken: tls.key: does not "
                       "belong to the certificate in tls.crt"),
        }
        overlaps = {n: (
            "True", "OverlappingCertificates", f"certificates of listener '{other}' on port 8443 "
            "overlap with those of this one: a client may reuse a connection of one for the other")
            for n, other in (("good", "other"), ("other", "good"))}
        good = {"good": valid(f"{ns}/good", "good"), **mended, "other": valid(
            f"{ns}/good", "good", "; no certificate covers other.test")}
        return gateway_status(*(
            listener_status(n, 1, ResolvedRefs=good[n], OverlappingTLSConfig=overlaps.get(n))
            if n in good else
            listener_status(n, 1, ResolvedRefs=wrong[n], Programmed=INVALID)
            for n in ("good", "absent", "other", "far", "broken")), ResolvedRefs=UNRESOLVED)

    wait_status(cluster, "Gateway", "edge", shown())
    wait_status(cluster, "HTTPRoute", "web", route_status(ns))
    ca.connect(plane.port, "good.test").close()
    for name in ("absent", "far", "broken"):
        assert is_refused(ca, plane.port, f"{name}.test")
    with pytest.raises(ssl.SSLCertVerificationError):
        ca.connect(plane.port, "other.test")

    cluster.apply(secret("absent", *pairs["absent"]))
    cluster.apply_in(far, grant("certs", "Gateway", ns, "kind: Secret, name: far"))
    mended = {"absent": valid(f"{ns}/absent", "absent"), "far": valid(f"{far}/far", "far")}
    wait_status(cluster, "Gateway", "edge", shown(**mended))
    for name in ("absent", "far"):
        ca.connect(plane.port, f"{name}.test").close()
    cluster.delete("ReferenceGrant", "certs", far)
    del mended["far"]
    wait_status(cluster, "Gateway", "edge", shown(**mended))
    wait_for("its handshakes to be refused", lambda: is_refused(ca, plane.port, "far.test"))


# --- routes ---------------------------------------------------------------------------------------

def rule(path, backends, more=""):
    return f"- matches: [{{path: {{value: {path}}}}}]\n  {more}\n  backendRefs: [{backends}]"


def mirror(name):
    return (f"filters: [{{type: RequestMirror, requestMirror: {{backendRef: "
            f"{{name: {name}, port: 80}}}}}}]")


def test_routes_whose_backends_are_wrong(cluster, line, backend):
    """One is wrong in each of its ways; another namespace's Service needs a grant."""
    ns, far = cluster.ns, f"{cluster.ns}-far"
    cluster.make_namespace(far)
    cluster.apply_in(far, service(backend))
    wrong = {  # name -> (backendRefs, another member of the rule, ResolvedRefs, HTTP status)
        "odd": ("{name: odd, port: 80}", "", RESOLVED, 200),
        "sealed": ("{name: sealed, port: 80}", "", (
            "False", "UnsupportedProtocol", f"rule 0: port 80 of Service {ns}/sealed speaks "
            "'kubernetes.io/wss', which is not supported yet"), 500),
        "gone": ("{name: gone, port: 80}", "", (
            "False", "BackendNotFound", f"rule 0: Service {ns}/gone does not exist"), 500),
        "port": ("{name: web, port: 81}", "", (
            "False", "BackendNotFound", f"rule 0: Service {ns}/web has no port 81"), 500),
        "kind": ("{kind: ConfigMap, name: web, port: 80}", "", (
            "False", "InvalidKind", "rule 0: kind ConfigMap cannot be a backend (Service and "
            "LLMBackend.kgateway.dev can)"), 500),
        "far": (f"{{name: web, namespace: {far}, port: 80}}", "", (
            "False", "RefNotPermitted", f"rule 0: Service {far}/web: no ReferenceGrant of "
            f"namespace '{far}' lets HTTPRoutes of namespace '{ns}' refer to it"), 500),
        "mirror": ("{name: web, port: 80}", mirror("gone"), (
            "False", "BackendNotFound", f"rule 0: Service {ns}/gone does not exist"), 200),
    }
    cluster.apply(docs(gateway(), service(backend), *(
        route(name, rule(f"/{name}", backends, more))
        for name, (backends, more, _, _) in wrong.items()),
        service(backend, "odd", protocol="example.com/odd"),  # not known: HTTP/1.1
        service(backend, "sealed", protocol="kubernetes.io/wss")))
    plane = line()
    for name, (_, _, refs, status) in wrong.items():
        wait_status(cluster, "HTTPRoute", name, route_status(ns, ResolvedRefs=refs))
        plane.wait_status(f"/{name}", status)
    wait_status(cluster, "Gateway", "edge", gateway_status(listener_status("http", len(wrong))))
    # Causes go, and what was said of them: no route was touched.
    cluster.apply(docs(service(backend, "gone"), service(backend, "sealed")))
    cluster.apply_in(far, grant("web", "HTTPRoute", ns, "kind: Service"))
    for name in ("gone", "sealed", "far", "mirror"):
        wait_status(cluster, "HTTPRoute", name, route_status(ns))
        plane.wait_status(f"/{name}")


# Filter or other member that this controller does not build -> what is said.
REFUSED = {
    "filter": ("filters: [{type: ExtensionRef, extensionRef: {group: example.com, kind: Thing, "
               "name: x}}]", "spec.rules[0].filters[0].extensionRef is not supported yet"),
    "retry": ("retry: {attempts: 2}", "spec.rules[0].retry is not supported yet"),
}


def test_routes_that_are_refused(cluster, line, backend):
    """They serve nothing, other controllers' parents get no word, and events tell of it."""
    cluster.apply(docs(gateway(), service(backend), route(), *(
        route(name, rule(f"/{name}", "{name: gone, port: 80}", more),
              "[{name: edge}, {name: theirs}]") for name, (more, _) in REFUSED.items())))
    plane = line()
    plane.wait_status("/")
    for name, (_, message) in REFUSED.items():
        wait_status(cluster, "HTTPRoute", name, {"parents": [parent({"name": "edge"}, Accepted=(
            "False", "UnsupportedValue", message))]})
        (event,) = wait_for("an event", lambda n=name: cluster.events("HTTPRoute", n))
        assert (event["type"], event["reason"], event["message"]) == ("Warning", "Refused", message)
        assert plane.get(f"/{name}").status == 200  # route web's
    wait_status(cluster, "HTTPRoute", "web", route_status(cluster.ns))
    wait_status(cluster, "Gateway", "edge", gateway_status(listener_status("http", 1)))
    assert not cluster.events("HTTPRoute", "web")


# --- LLMBackends ----------------------------------------------------------------------------------

def model(name, spec):
    return f"""
apiVersion: kgateway.dev/v1alpha1
kind: LLMBackend
metadata: {{name: {name}}}
spec: {{{spec}}}
"""


def ancestor(ref, expected):
    return {"ancestors": [{"ancestorRef": ref, "controllerName": CONTROLLER,
                           "conditions": conditions(expected)}]}


@contextlib.contextmanager
def crd_without_rules(api):
    """LLMBackend's CRD as a version that knew no rules for baseURL would have it."""
    path = api.path("CustomResourceDefinition", "llmbackends.kgateway.dev")
    crd = api.call("GET", path)
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    url = schema["properties"]["spec"]["properties"]["baseURL"]
    rules = url.pop("x-kubernetes-validations")

    def put(value):
        url.update(value)
        api.call("PATCH", path, {"spec": crd["spec"]}, "application/merge-patch+json")
    put({})
    try:
        yield
    finally:
        put({"x-kubernetes-validations": rules})


def test_backends_that_cannot_be_called(cluster, line, api, backend):
    """A Secret that is missing, a backend that nobody uses, and one that the controller refuses
    though the API server had it: an older CRD let it in."""
    ns = cluster.ns
    edge = {"group": GROUP, "kind": "Gateway", "name": "edge", "namespace": ns}
    alone = {"group": "", "kind": "Namespace", "name": ns}
    accepted = ("True", "Accepted", "the backend is valid")
    uses = "{{group: kgateway.dev, kind: LLMBackend, name: {}}}"
    cluster.apply(docs(
        gateway(), service(backend), route(),
        model("keyless", "provider: openai, auth: {secretRefs: [{name: nowhere}]}"),
        model("unused", "provider: openai, auth: {passthrough: true}"),
        route("keyless", rule("/keyless", uses.format("keyless"))),
        route("refused", rule("/refused", uses.format("refused")))))
    with crd_without_rules(api):
        text = model("refused", "provider: openai, baseURL: 'http://h:99999/v1'")
        wait_for("the CRD to be used", lambda: api.kubectl(
            "-n", ns, "apply", "-f", "-", stdin=text, check=False)[0] == 0)
    plane = line()
    plane.wait_status("/")
    missing = ("False", "InvalidSecretRef", f"Secret {ns}/nowhere does not exist")
    wait_status(cluster, "LLMBackend", "keyless", ancestor(edge, {
        "Accepted": accepted, "ResolvedRefs": missing, "Programmed": INVALID}))
    wait_status(cluster, "LLMBackend", "unused", ancestor(alone, {
        "Accepted": accepted, "ResolvedRefs": RESOLVED}))
    message = "spec.baseURL: has a port that is not in 1..65535"
    wait_status(cluster, "LLMBackend", "refused", ancestor(alone, {
        "Accepted": ("False", "Invalid", message)}))
    (event,) = wait_for("an event", lambda: cluster.events("LLMBackend", "refused"))
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "Refused", message)
    # Routes say what is wrong with their backends.
    wait_status(cluster, "HTTPRoute", "keyless", route_status(ns, ResolvedRefs=(
        "False", "InvalidSecretRef", f"rule 0: LLMBackend {ns}/keyless: {missing[2]}")))
    wait_status(cluster, "HTTPRoute", "refused", route_status(ns, ResolvedRefs=(
        "False", "BackendNotFound", f"rule 0: LLMBackend {ns}/refused does not exist, or its own "
        "status says why it is refused")))
    cells = cluster.kubectl("get", "llm", "refused").splitlines()[1].split()
    assert cells[:3] == ["refused", "openai", "False"]
    cluster.apply(docs(model("refused", "provider: openai, auth: {passthrough: true}"), f"""
apiVersion: v1
kind: Secret
metadata: {{name: nowhere}}
stringData: {{api-key: sk-test}}
"""))
    for name in ("keyless", "refused"):
        wait_status(cluster, "HTTPRoute", name, route_status(ns))
        cluster.wait_condition("LLMBackend", name, "Programmed")


# --- the documentation's examples -----------------------------------------------------------------

# What a folder alone says, because on a cluster somebody else may speak of it, and what a cluster
# alone does not do (docs/decisions/0009).
FOLDER_ALONE = ("Gateway default/classless: Accepted False Pending: ",
                "HTTPRoute default/no-gateway: Accepted False NoMatchingParent: ",
                "LLMBackend default/from-env: ResolvedRefs False InvalidSecretRef: ")


def test_examples_have_the_statuses_that_they_say(cluster, api, controller):
    """Those that a folder has, word for word (test/wire/test_docs.py)."""
    texts = [p.read_text() for p in GOOD + STATUS]
    for name in set(re.findall(r"^ +namespace: (\S+)$", "\n".join(texts), re.M)):
        api.kubectl("create", "namespace", name, check=False)
    text = docs(*texts)
    cluster.applied.append(text)
    _, out = cluster.kubectl("apply", "-f", "-", stdin=text, check=False)
    refused = [l for l in out.splitlines() if "is invalid" in l]
    assert all("EndpointSlice" in l for l in refused), out  # loopback is for folders alone
    said = [l for p in STATUS for l in said_by(p) if not l.startswith(FOLDER_ALONE)]

    def compare():
        kinds = ("GatewayClass", "Gateway", "HTTPRoute", "LLMBackend")
        found = {line.replace(cluster.ns, "default") for k in kinds
                 for item in cluster.list(k) for _, _, line in conditions_of(item)}
        missing = [l for l in said if l not in found]
        assert not missing, f"{missing} of {sorted(found)}"
        return True
    wait_for("every condition", compare)
