# SPDX-License-Identifier: Apache-2.0
"""A controller that lacks rights says which, goes on with what it has, and needs no restart once it
is given them."""
import contextlib
import json

import pytest

from certs import Ca, secret
from cluster import settle
from harness import wait_for
from line import CLASS, RBAC, SYSTEM, Controller, Plane, docs, gateway, route, service
from statuses import RESOLVED, gateway_status, listener_status, route_status, whole_status

# What is taken out of examples/kube/rbac.yaml.
READ_SECRETS = ", secrets, namespaces]"
WRITE_ROUTES = ", httproutes/status"
REVIEW_TOKENS = """- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
"""
KEEP_KEYS = """- apiGroups: [""]
  resources: [secrets, configmaps]
  verbs: [get, list, watch, create, patch]
"""


class Site:
    """A controller with the documented role under a name of its own, and one data plane."""

    def __init__(self, api, cluster, backend, folder):
        self.api, self.cluster, self.ca = api, cluster, Ca()
        self.account = f"{cluster.ns}-controller"
        self.pair = self.ca.leaf("a.test")
        cluster.apply(docs(CLASS, gateway(listeners="""
- {name: http, protocol: HTTP, port: 8080}
- {name: a, protocol: HTTPS, port: 8443, hostname: a.test, tls: {certificateRefs: [{name: a}]}}
"""), service(backend), route(), secret("a", *self.pair)))
        self.folder, self.stack = folder, contextlib.ExitStack()
        self.ctl = self.plane = None

    def role(self, *without):
        text = RBAC.read_text().replace("tandem-controller", self.account)
        text = text.replace(SYSTEM, self.cluster.ns)
        for words in without:
            assert text.count(words) == 1, words
            text = text.replace(words, ", namespaces]" if words == READ_SECRETS else "")
        self.api.kubectl("apply", "-f", "-", stdin=text)

    def start_controller(self):
        token = self.cluster.kubectl("create", "token", self.account).strip()
        config = self.api.kubeconfig(self.folder / "controller.conf", token)
        self.ctl = Controller(self.api, config=config, namespace=self.cluster.ns)
        self.stack.callback(self.ctl.close)

    def start_plane(self, ready=True):
        self.plane = Plane(self.ctl, f"{self.cluster.ns}/edge", token=self.cluster.token(),
                           ports=(8080, 8443), ready=ready)
        self.stack.callback(self.plane.close)

    def says(self, level, words):
        """What the controller's log says with these words, once it does."""
        def read():
            return [l for l in map(json.loads, self.ctl.program.log().splitlines())
                    if words in l["msg"] + l.get("err", "") and l["lvl"] == level]
        return wait_for(words, read)

    def wait_status(self, kind, name, expected, seconds=10):
        def compare():
            found = whole_status(self.cluster, kind, name)
            assert found == expected, f"{found} is not {expected}"
            return True
        wait_for(f"the status of {kind} {name}", compare, seconds)

    def gateway_status(self, generation=1, **tls):
        refs = {"ResolvedRefs": ("False", "ListenersNotResolved",
                                 "the listeners say what is not resolved")} if tls else {}
        tls = tls or {"ResolvedRefs": (*RESOLVED[:2], f"{RESOLVED[2]}; certificate "
                      f"{self.cluster.ns}/a covers a.test until {self.ca.end_of(self.pair[0])}")}
        return gateway_status(listener_status("http", 1), listener_status("a", 1, **tls), **refs)

    def close(self):
        self.stack.close()
        self.api.kubectl("delete", "--ignore-not-found", "clusterrole,clusterrolebinding",
                         self.account)


@pytest.fixture
def site(api, cluster, backend, tmp_path, request):
    made = Site(api, cluster, backend, tmp_path)
    yield made
    if getattr(request.node, "failed", False):
        print(*(p.logs() for p in (made.ctl, made.plane) if p))
    made.close()


def test_rights_that_are_missing(site):
    """Neither Secrets may be read nor routes' statuses written: the rest goes on, and nothing is
    called absent that cannot be seen."""
    ns, user = site.cluster.ns, f"system:serviceaccount:{site.cluster.ns}:{site.account}"
    site.role(READ_SECRETS, WRITE_ROUTES)
    site.start_controller()
    site.start_plane()
    site.plane.wait_status("/")
    # Each is said once, with the kind, the verb, the account and the server's own words.
    (line,) = site.says("warn", "may not list secrets")
    assert f'User "{user}" cannot list resource "secrets"' in line["err"]
    assert "may not list secrets" in site.ctl.get("/ready")
    (line,) = site.says("error", "statuses of a kind may not be written")
    assert line["kind"] == "HTTPRoute" and f'User "{user}" cannot patch resource ' \
        '"httproutes/status"' in line["err"] and f'in the namespace "{ns}"' in line["err"]
    # Other statuses are written, and what needs no right that is missing serves and changes.
    site.wait_status("Gateway", "edge", site.gateway_status(
        ResolvedRefs=("False", "InvalidCertificateRef", f"Secret {ns}/a cannot be seen: the "
                      "controller may not list objects of this kind"),
        Programmed=("False", "Invalid", "not valid: see the other conditions")))
    site.cluster.patch("HTTPRoute", "web", {"spec": {"hostnames": ["b.test", "a.test"]}})
    site.plane.wait_status("/", 404)
    assert site.plane.get("/", host="b.test").status == 200
    settle(1)
    assert "status" not in site.cluster.get("HTTPRoute", "web")
    assert len(site.says("warn", "may not list secrets")) == 1
    assert len(site.says("error", "statuses of a kind may not be written")) == 1

    site.role()
    site.wait_status("HTTPRoute", "web", route_status(ns, 2), 15)
    site.wait_status("Gateway", "edge", site.gateway_status(), 15)
    site.ca.connect(site.plane.ports[8443], "a.test").close()
    assert site.ctl.get("/ready") == "ready\n"
    assert "secrets" in [l.get("kind") for l in site.says("info", "listed")]
    # Taken away while it runs: what was read stays and serves; the status waits.
    site.role(READ_SECRETS, WRITE_ROUTES)
    site.cluster.patch("HTTPRoute", "web", {"spec": {"hostnames": ["a.test"]}})
    site.plane.wait_status("/", 404, host="b.test")
    site.ca.connect(site.plane.ports[8443], "a.test").close()
    site.wait_status("Gateway", "edge", site.gateway_status())
    site.role()
    site.wait_status("HTTPRoute", "web", route_status(ns, 3), 15)


def test_keys_and_tokens(site):
    """No CA, no data planes: each missing right is named, and the way is free once it is there."""
    site.role(KEEP_KEYS, REVIEW_TOKENS)
    site.start_controller()
    line = site.says("error", "the push CA cannot be kept")[0]
    assert 'cannot create resource "secrets"' in line["err"] and line["ns"] == site.cluster.ns
    site.role(REVIEW_TOKENS)
    site.says("info", "push CA taken")
    site.start_plane(ready=False)
    assert "the ServiceAccount needs create on tokenreviews" in site.says(
        "warn", "cannot be reviewed")[0]["msg"]
    wait_for("the data plane's word", lambda: "the controller cannot have the token reviewed now"
             in site.plane.program.log())
    assert site.ctl.metric("push_data_planes_connected") == 0
    site.role()
    site.plane.wait_status("/", seconds=20)
