# SPDX-License-Identifier: Apache-2.0
"""The controller with an API server as its source, against one that does everything wrong."""
import json
import pathlib
import re
import shutil
import tempfile
import time
import urllib.error
import urllib.request

import pytest

from harness import ROOT, Program, free_ports, wait_for
from fake_kube import PATHS, TOKEN, FakeApi


class Site:
    def __init__(self, api_options=None, start=True):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tandem-kube-"))
        self.api_port, self.push_port, self.admin_port = free_ports(3)
        self.api = FakeApi(self.folder, self.api_port, **(api_options or {}))
        self.program = None

    def start(self, **config):
        self.program = Program(self.folder, "controller", "tandem-controller",
                               "--source", f"kube:{self.api.kubeconfig(**config)}",
                               "--state", self.folder / "state",
                               "--listen", f"127.0.0.1:{self.push_port}", "--admin", f"127.0.0.1:{self.admin_port}")
        wait_for("the admin port", lambda: self.get("/healthz")[0] == 200)
        return self

    def ready(self):
        wait_for("ready", lambda: self.get("/ready")[0] == 200, 15)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        alive = self.program is None or self.program.is_running()
        status = self.program.stop() if self.program else 0
        log = self.program.log() if self.program else ""
        self.api.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        assert alive, log[-3000:]
        assert status == 0, log[-3000:]
        assert TOKEN not in log

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{path}", timeout=5) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def json(self, path):
        return json.loads(self.get(path)[1])

    def names(self, kind):
        return sorted(o["metadata"]["name"] for o in self.json(f"/objects?kind={kind}")["items"])

    def kind(self, name):
        return next(k for k in self.json("/source")["kinds"] if k["kind"] == name)

    def refused(self):
        return self.json("/source")["refused"]

    def resources(self):
        return self.json("/snapshot")["resources"]

    def version(self):
        return self.json("/snapshot")["version"]


@pytest.fixture
def site():
    with Site() as s:
        s.api.base()
        yield s


def answers(code, body=b"{}", content_type="application/json", headers=()):
    return lambda h, q: h.send(code, body, content_type, headers)


# --- what is wrong from the start -----------------------------------------------------------------

GARBAGE = {
    "html": b"<html>",
    "nothing": b"",
    "a list": b"[]",
    "no list": {"kind": "Secret", "metadata": {"resourceVersion": "1"}, "items": []},
    "no version": {"kind": "SecretList", "metadata": {}, "items": []},
    "items are an object": {"kind": "SecretList", "metadata": {"resourceVersion": "1"}, "items": {}},
    "version is a number": {"kind": "SecretList", "metadata": {"resourceVersion": 1}, "items": []},
    "deep": b'{"kind":"SecretList","metadata":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "never ends": {"kind": "SecretList", "metadata": {"resourceVersion": "1", "continue": "x" * 100000}, "items": []},
}


@pytest.mark.parametrize("case", GARBAGE)
def test_a_list_that_is_none_is_waited_for(site, case):
    site.api.faults[PATHS["Secret"]] = answers(200, GARBAGE[case])
    site.start()
    wait_for("the problem", lambda: "secrets: " in site.get("/ready")[1]
             and "not listed yet" not in site.get("/ready")[1])
    before = len(site.api.asked("Secret"))
    time.sleep(1.5)
    assert len(site.api.asked("Secret")) - before < 12  # backs off
    assert site.get("/ready")[0] == 503
    assert site.json("/snapshot")["resources"] == {}
    del site.api.faults[PATHS["Secret"]]
    site.ready()
    assert "rule/default/web/0" in site.resources()


def test_objects_of_a_list_that_are_none(site):
    bad = [3, [], {}, {"metadata": 3}, {"metadata": {"name": "../x", "namespace": "default"}},
           {"metadata": {"name": "a" * 300, "namespace": "default"}}, {"metadata": {"name": "x"}},
           {"metadata": {"name": "x\u0000y", "namespace": "default"}, "spec": {}},
           {"metadata": {"name": "ok", "namespace": "default", "labels": 3, "annotations": []}, "spec": {"clusterIP": "None"}}]
    site.api.faults[PATHS["Service"]] = lambda h, q: False if q.get("watch") else h.send(
        200, {"kind": "ServiceList", "metadata": {"resourceVersion": "100"}, "items": bad})
    site.start().ready()
    assert "ok" in site.names("service")
    assert not [n for n in site.names("service") if n not in ("ok", "web")]


def test_the_first_snapshot_waits_for_every_kind(site):
    released = []
    site.api.faults[PATHS["Secret"]] = lambda h, q: False if released else h.status(503, "Unavailable", "slow")
    site.start()
    wait_for("the rest", lambda: site.kind("HTTPRoute")["state"] == "followed")
    status, text = site.get("/ready")
    assert status == 503 and text.startswith("not ready") and "secrets" in text
    assert site.resources() == {}
    released.append(1)
    site.ready()
    assert "rule/default/web/0" in site.resources()


def test_a_wrong_ca_is_refused_with_the_reason(site):
    site.start(ca="other.crt")
    wait_for("the reason", lambda: "certificate" in site.get("/ready")[1])
    assert site.get("/ready")[0] == 503
    assert site.api.requests == []


def test_nobody_answers_and_then_somebody_does(site):
    site.api.stop()
    site.start()
    wait_for("the reason", lambda: "connect" in site.get("/ready")[1])
    site.api.start()
    site.ready()


def test_a_token_is_read_again(site):
    site.start().ready()
    site.api.tokens = ["another-token"]
    site.api.cut()
    wait_for("refused", lambda: "401" in site.get("/ready")[1])
    assert "rule/default/web/0" in site.resources()  # nothing is taken away
    (site.folder / "token").write_text("another-token\n")
    wait_for("followed", lambda: site.get("/ready")[1] == "ready\n", 20)


def test_what_may_not_be_read_is_said_by_name(site):
    site.api.faults[PATHS["Secret"]] = lambda h, q: h.status(
        403, "Forbidden", 'secrets is forbidden: User "x" cannot list resource "secrets"')
    site.start().ready()
    assert "secrets: may not list secrets: " in site.get("/ready")[1]
    assert site.kind("Secret")["state"] == "forbidden"
    assert "may not list secrets" in site.program.log()
    assert "rule/default/web/0" in site.resources()
    assert len(site.api.asked("Secret")) == 1  # tried again slowly
    metrics = site.get("/metrics")[1]
    assert 'controller_kube_requests_total{verb="GET",code="403"} 1' in metrics


# --- lists ----------------------------------------------------------------------------------------

def test_lists_come_in_pages(site):
    for i in range(1250):
        site.api.put("Secret", f"s{i:04}", type="Opaque", data={})
    site.start().ready()
    pages = site.api.asked("Secret")
    assert [p.get("continue") for p in pages] == [None, "500", "1000"]
    assert all(p["limit"] == "500" for p in pages)
    assert all("helm.sh" in p["fieldSelector"] for p in pages)
    assert site.kind("Secret")["objects"] == 1250


def test_a_page_that_expired_begins_again(site):
    for i in range(600):
        site.api.put("Secret", f"s{i:04}", type="Opaque", data={})
    gone = []

    def fault(h, q):
        if q.get("continue") and not gone:
            gone.append(1)
            return h.status(410, "Expired", "the continue token is too old")
        return False
    site.api.faults[PATHS["Secret"]] = fault
    site.start().ready()
    assert site.kind("Secret")["objects"] == 600
    assert [p.get("continue") for p in site.api.asked("Secret")] == [None, "500", None, "500"]


def test_a_server_that_is_busy_is_left_alone(site):
    times = []

    def fault(h, q):
        if len(times) < 2:
            times.append(time.monotonic())
            return h.status(429, "TooManyRequests", "later", headers=[("Retry-After", "1")])
        times.append(time.monotonic())
        return False
    site.api.faults[PATHS["Secret"]] = fault
    site.start().ready()
    assert times[1] - times[0] >= 0.9 and times[2] - times[1] >= 0.9


# --- watches --------------------------------------------------------------------------------------

def test_changes_come_through(site):
    site.start().ready()
    site.api.route("more", "a.example.com")
    wait_for("added", lambda: "rule/default/more/0" in site.resources())
    site.api.route("more", "b.example.com")
    wait_for("changed", lambda: "b.example.com" in json.dumps(site.resources()["rule/default/more/0"]))
    site.api.delete("HTTPRoute", "more")
    wait_for("removed", lambda: "rule/default/more/0" not in site.resources())
    metrics = site.get("/metrics")[1]
    assert "controller_kube_watches_connected 10" in metrics
    assert 'controller_source_events_total{result="applied"}' in metrics


def test_a_cut_is_resumed_from_the_bookmark(site):
    site.start().ready()
    wait_for("watches", lambda: len(site.api.asked("Secret", watch=True)) == 1)
    rv = site.api.bookmark("Secret")
    wait_for("the bookmark", lambda: site.kind("Secret")["resourceVersion"] == str(rv))
    lists = len(site.api.asked("Secret")), len(site.api.asked("HTTPRoute"))
    site.api.cut(clean=False)
    site.api.route("meanwhile", "a.example.com")
    wait_for("the change", lambda: "rule/default/meanwhile/0" in site.resources())
    wait_for("resumed", lambda: len(site.api.asked("Secret", watch=True)) == 2)
    assert site.api.asked("Secret", watch=True)[1]["resourceVersion"] == str(rv)
    assert site.api.asked("Secret", watch=True)[1]["allowWatchBookmarks"] == "true"
    assert (len(site.api.asked("Secret")), len(site.api.asked("HTTPRoute"))) == lists


@pytest.mark.parametrize("how", ["http", "event"])
def test_an_expired_watch_lists_again_and_nothing_flickers(site, how):
    site.api.route("goes", "goes.example.com")
    site.start().ready()
    wait_for("watches", lambda: len(site.api.asked("HTTPRoute", watch=True)) == 1)
    changes = site.program.log().count("snapshot changed")
    site.api.delete("HTTPRoute", "goes", quietly=True)
    site.api.expire()
    if how == "event":
        site.api.say("HTTPRoute", {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired",
                                                              "message": "too old"}})
    else:
        site.api.cut()
    wait_for("removed", lambda: "rule/default/goes/0" not in site.resources())
    assert "rule/default/web/0" in site.resources()
    assert len(site.api.asked("HTTPRoute")) == 2
    # One change in all: the store was never seen in between.
    assert site.program.log().count("snapshot changed") == changes + 1


BAD_EVENTS = {
    "no JSON": b"hello\n",
    "no event": {"what": 1},
    "no object": {"type": "ADDED"},
    "unknown type": {"type": "EXPLODED", "object": {"metadata": {"resourceVersion": "9"}}},
    "no version": {"type": "ADDED", "object": {"metadata": {"name": "x"}}},
    "an error without words": {"type": "ERROR", "object": {}},
    "an error of the server": {"type": "ERROR", "object": {"kind": "Status", "code": 500, "message": "etcd"}},
}


@pytest.mark.parametrize("case", BAD_EVENTS)
def test_a_bad_event_takes_nothing_away(site, case):
    said = []

    def fault(h, q):
        if not q.get("watch") or said:
            return False
        said.append(1)
        h.stream()
        h.chunk(BAD_EVENTS[case])
        time.sleep(0.2)
        h.close_connection = True
        return True
    site.api.faults[PATHS["HTTPRoute"]] = fault
    site.start().ready()
    wait_for("another watch", lambda: len(site.api.asked("HTTPRoute", watch=True)) >= 2)
    site.api.route("after", "a.example.com")
    wait_for("the change", lambda: {"rule/default/after/0", "rule/default/web/0"} <= set(site.resources()))


def test_watches_that_end_at_once_are_not_a_busy_loop(site):
    def fault(h, q):
        if not q.get("watch"):
            return False
        h.stream()
        h.end_stream()
        return True
    site.api.faults[PATHS["Secret"]] = fault
    site.start().ready()
    time.sleep(3)
    assert 2 <= len(site.api.asked("Secret", watch=True)) < 12


def test_a_restart_of_the_server_loses_nothing(site):
    site.start().ready()
    version = site.version()
    site.api.stop()
    wait_for("noticed", lambda: "connect" in site.get("/ready")[1])
    assert site.get("/ready")[0] == 200 and site.version() == version
    site.api.route("meanwhile", "a.example.com")
    site.api.delete("EndpointSlice", "web-1")
    site.api.start()
    wait_for("the changes", lambda: "rule/default/meanwhile/0" in site.resources(), 15)
    wait_for("no problems", lambda: site.get("/ready")[1] == "ready\n", 15)
    wait_for("no endpoint", lambda: "10.0.0.1" not in json.dumps(site.resources()))


# --- kinds that come and go -----------------------------------------------------------------------

def test_a_kind_is_followed_when_its_crd_comes():
    with Site({"crds": ("GatewayClass", "Gateway", "ReferenceGrant")}) as site:
        for kind in ("GatewayClass", "Gateway"):
            assert PATHS[kind] in site.api.store
        site.api.put("Namespace", "default", ns="")
        site.start().ready()
        assert site.kind("HTTPRoute")["state"] == "absent"
        assert site.api.asked("HTTPRoute") == []
        # Served a moment after the CRD is there.
        site.api.put("CustomResourceDefinition", "httproutes.gateway.networking.k8s.io", ns="")
        wait_for("asked", lambda: site.api.asked("HTTPRoute"))
        site.api.put_crd("HTTPRoute")
        site.api.base()
        wait_for("the route", lambda: "rule/default/web/0" in site.resources())
        site.api.drop_crd("HTTPRoute")
        wait_for("no route", lambda: "rule/default/web/0" not in site.resources())
        assert site.kind("HTTPRoute")["state"] == "absent"
        asked = len(site.api.asked("HTTPRoute"))
        time.sleep(1)
        assert len(site.api.asked("HTTPRoute")) <= asked + 1


def test_an_older_version_serves(site):
    older = PATHS["ReferenceGrant"].replace("/v1/", "/v1beta1/")
    site.api.store[older] = site.api.store.pop(PATHS["ReferenceGrant"])
    site.api.put("ReferenceGrant", "g", path=older, spec={
        "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "x"}],
        "to": [{"group": "", "kind": "Service"}]})
    site.start().ready()
    assert site.names("referencegrant") == ["g"]
    assert site.kind("ReferenceGrant")["version"] == "v1beta1"


def test_crds_that_may_not_be_listed(site):
    site.api.faults[PATHS["CustomResourceDefinition"]] = lambda h, q: h.status(403, "Forbidden", "no")
    site.api.store.pop(PATHS["LLMBackend"])
    site.start().ready()
    assert site.kind("LLMBackend")["state"] == "absent"
    assert site.kind("HTTPRoute")["state"] == "followed"
    assert "customresourcedefinitions" in site.get("/ready")[1]


def test_a_404_for_a_moment_takes_nothing_away(site):
    site.start().ready()
    wait_for("watches", lambda: len(site.api.asked("HTTPRoute", watch=True)) == 1)
    site.api.faults[PATHS["HTTPRoute"]] = lambda h, q: h.status(404, "NotFound", "no")
    site.api.cut()
    wait_for("the problem", lambda: "404" in site.get("/ready")[1])
    assert "rule/default/web/0" in site.resources()
    del site.api.faults[PATHS["HTTPRoute"]]
    wait_for("followed", lambda: site.kind("HTTPRoute")["state"] == "followed")


# --- objects --------------------------------------------------------------------------------------

def test_reload_03_a_refused_object_leaves_traffic_too(site):
    site.start().ready()
    assert "rule/default/web/0" in site.resources()
    site.api.route("web", newer={"field": 1})
    wait_for("refused", lambda: site.refused())
    [refused] = site.refused()
    assert refused == {"kind": "HTTPRoute", "namespace": "default", "name": "web", "generation": 2,
                       "reason": "unknown field spec.newer"}
    wait_for("no rule", lambda: "rule/default/web/0" not in site.resources())
    [shown] = site.json("/objects?kind=httproute")["items"]
    assert shown["metadata"]["annotations"]["kgateway.dev/refused"] == "unknown field spec.newer"
    # Told once for a generation, whatever else of the object changes.
    site.api.route("web", newer={"field": 1})
    site.api.route("web")
    wait_for("good again", lambda: "rule/default/web/0" in site.resources())
    assert site.refused() == []
    assert site.program.log().count("unknown field spec.newer") == 1
    site.api.route("web", newer=1)
    wait_for("refused", lambda: site.refused())
    site.api.delete("HTTPRoute", "web")
    wait_for("forgotten", lambda: not site.refused())
    assert 'controller_source_events_total{result="refused"} 2' in site.get("/metrics")[1]


def test_a_refused_object_that_a_list_no_longer_has(site):
    site.api.route("bad", newer=1)
    site.start().ready()
    assert [r["name"] for r in site.refused()] == ["bad"]
    site.api.delete("HTTPRoute", "bad", quietly=True)
    site.api.expire()
    site.api.cut()
    wait_for("forgotten", lambda: not site.refused())


def test_a_status_is_no_change_and_is_kept(site):
    site.start().ready()
    changes = site.program.log().count("snapshot changed")
    route = site.api.store[PATHS["HTTPRoute"]][("default", "web")]
    site.api.put("HTTPRoute", "web", spec=route["spec"], status={"parents": [{"controllerName": "x.io/y"}]})
    rv = str(site.api.rv)
    wait_for("the version", lambda: site.kind("HTTPRoute")["resourceVersion"] == rv)
    [shown] = site.json("/objects?kind=httproute")["items"]
    assert shown["metadata"]["resourceVersion"] == rv
    assert shown["metadata"]["generation"] == 1
    assert "managedFields" not in shown["metadata"]
    assert site.program.log().count("snapshot changed") == changes


def test_a_newer_service_is_not_lost(site):
    site.api.put("Service", "web", spec={"ports": [{"name": "http", "port": 80, "newer": 1}], "newer": {}}, newer=[])
    site.api.put("Service", "nul", spec={"clusterIP": "None"}, metadata={"annotations": {"a": "\u0000"}})
    site.start().ready()
    assert site.names("service") == ["nul", "web"]
    assert "rule/default/web/0" in site.resources()


def test_an_object_that_is_being_deleted_is_there(site):
    site.start().ready()
    route = site.api.store[PATHS["HTTPRoute"]][("default", "web")]
    site.api.put("HTTPRoute", "web", spec=route["spec"], metadata={"deletionTimestamp": "2026-01-02T00:00:00Z"})
    rv = str(site.api.rv)
    wait_for("the version", lambda: site.kind("HTTPRoute")["resourceVersion"] == rv)
    assert "rule/default/web/0" in site.resources()


def test_a_secret_does_not_read_the_environment_of_the_controller(site):
    site.api.put("Secret", "key", type="Opaque", data={},
                 metadata={"annotations": {"kgateway.dev/from-env": "api-key=PATH"}})
    site.api.put("LLMBackend", "llm", spec={"provider": "openai", "auth": {"secretRef": {"name": "key"}}})
    site.start().ready()
    assert "/usr/bin" not in json.dumps(site.resources())
    assert not [n for n in site.resources() if n.startswith("secret/")]


def test_a_thousand_changes(site):
    site.start().ready()
    for i in range(1000):
        site.api.route(f"r{i}", f"h{i}.example.com")
    end = time.monotonic()
    wait_for("all of them", lambda: "rule/default/r999/0" in site.resources(), 20)
    assert len([n for n in site.resources() if n.startswith("rule/")]) == 1001
    assert time.monotonic() - end < 20


def test_the_role_names_every_kind(site):
    text = (ROOT / "examples/kube/rbac.yaml").read_text()
    site.start()
    for kind in site.json("/source")["kinds"]:
        path = PATHS[kind["kind"]]
        group = f'"{kind["group"]}"' if not kind["group"] else kind["group"]
        rule = re.search(rf"apiGroups: \[{re.escape(group)}\]\n  resources: \[([^\]]*)\]\n  verbs: \[get, list, watch\]", text)
        assert rule and path.split("/")[-1] in rule[1].split(", "), kind["kind"]


# --- the Lease --------------------------------------------------------------------------------------

LEASE = "/apis/coordination.k8s.io/v1/namespaces/default/leases"


def lease_of(site):
    return site.api.leases[f"{LEASE}/tandem-controller"]["spec"]


def test_a_lease_that_may_not_be_held_is_named_and_snapshots_are_served_all_the_same(site):
    forbidden = lambda h, q: h.status(403, "Forbidden", 'User "tandem" cannot get resource "leases"')
    site.api.faults[f"{LEASE}/tandem-controller"] = forbidden
    site.start().ready()
    wait_for("the reason in /ready", lambda: "cannot get resource \"leases\"" in site.get("/ready")[1])
    assert site.get("/ready")[0] == 200 and "rule/default/web/0" in site.resources()
    lease = site.json("/source")["lease"]
    assert lease["held"] is False and lease["holder"] == "" and "403" in lease["problem"]
    # What another one, or nobody, has written is what is shown.
    assert "status" not in site.json("/objects?kind=gateway")["items"][0]
    log = site.program.log()
    assert "the ServiceAccount needs get, create and update on leases" in log
    assert log.count("on leases") == 1
    site.api.faults.clear()
    wait_for("the Lease", lambda: site.json("/source")["lease"]["held"])
    assert "conditions" in site.json("/objects?kind=gateway")["items"][0]["status"]
    assert lease_of(site)["holderIdentity"] == site.json("/source")["lease"]["identity"]
    assert "controller_lease_held 1" in site.get("/metrics")[1]


def test_a_lease_is_given_free_at_the_end(site):
    site.start().ready()
    wait_for("the Lease", lambda: site.json("/source")["lease"]["held"])
    begin = time.monotonic()
    assert site.program.stop() == 0
    site.program = None
    assert time.monotonic() - begin < 1.5
    assert lease_of(site)["holderIdentity"] == ""


def test_an_api_server_that_is_away_at_the_end_is_not_waited_for(site):
    site.start().ready()
    wait_for("the Lease", lambda: site.json("/source")["lease"]["held"])
    site.api.faults[f"{LEASE}/tandem-controller"] = lambda h, q: time.sleep(5)
    begin = time.monotonic()
    assert site.program.stop() == 0
    site.program = None
    assert time.monotonic() - begin < 3.5


@pytest.mark.parametrize("flags, text", [
    (["--lease-duration", "10s"], "--lease-renew-deadline (10000 ms) must be shorter"),
    (["--lease-duration", "1500ms"], "--lease-duration 1500ms is not in whole seconds"),
    (["--lease-duration", "0s"], "--lease-duration 0s is not in 100ms to 1h"),
    (["--lease-retry", "99ms"], "--lease-retry 99ms is not in 100ms to 1h"),
    (["--lease-duration", "2h"], "is not in 100ms to 1h"),
    (["--lease-duration", "15"], "--lease-duration: '15' is not a duration"),
    (["--lease-retry", "6s"], "--lease-retry (6000 ms) must be at most half of"),
    (["--lease-name", "Tandem"], "--lease-name 'Tandem' is not a name"),
    (["--lease-name", "a/b"], "--lease-name 'a/b' is not a name"),
    (["--lease-name", "a..b"], "is not a name"),
])
def test_wrong_flags_of_the_lease_are_refused(site, flags, text):
    p = Program(site.folder, "wrong", "tandem-controller", "--source", f"kube:{site.api.kubeconfig()}", *flags)
    assert p.process.wait(5) == 2
    assert text in p.log()
    site.program = Program(site.folder, "sleeper", "tandem-controller", "--source", f"kube:{site.api.kubeconfig()}",
                           "--listen", "127.0.0.1:0", "--admin", f"127.0.0.1:{site.admin_port}")
    wait_for("another", lambda: site.get("/healthz")[0] == 200)


def test_a_folder_has_no_lease(tmp_path, site):
    p = Program(tmp_path, "wrong", "tandem-controller", "--source", f"dir:{tmp_path}", "--state",
                tmp_path / "state", "--lease-retry", "1s")
    assert p.process.wait(5) == 2
    assert "--lease-retry has no use with a folder" in p.log()


# --- versions of the Gateway API's CRDs -------------------------------------------------------------


def supported(site):
    said = [c for c in site.json("/objects?kind=gatewayclass")["items"][0]["status"]["conditions"]
            if c["type"] == "SupportedVersion"]
    return (said[0]["status"], said[0]["reason"], said[0]["message"]) if said else None


def test_a_crd_of_a_version_that_is_not_known_is_named(site):
    site.start().ready()
    wait_for("the version", lambda: supported(site)[:2] == ("True", "SupportedVersion"))
    site.api.put_crd("HTTPRoute", version="v1.4.1")
    wait_for("another", lambda: supported(site)[:2] == ("False", "UnsupportedVersion"))
    assert "CRD httproutes.gateway.networking.k8s.io is of the Gateway API v1.4.1" in supported(site)[2]
    assert "rule/default/web/0" in site.resources()
    site.api.put_crd("HTTPRoute", version=None)
    wait_for("none", lambda: "is of no version" in supported(site)[2])
    site.api.put_crd("HTTPRoute", version="v1.6.0")
    wait_for("two", lambda: supported(site)[2].endswith("v1.7.0, v1.6.0 are installed"))


def test_crds_that_may_not_be_listed_are_not_spoken_of(site):
    site.api.faults[PATHS["CustomResourceDefinition"]] = lambda h, q: h.status(403, "Forbidden", "no")
    site.start().ready()
    wait_for("the Lease", lambda: site.json("/source")["lease"]["held"])
    assert supported(site) is None
