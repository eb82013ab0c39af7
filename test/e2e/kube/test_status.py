# SPDX-License-Identifier: Apache-2.0
"""Statuses and events on a real API server: as whole objects, beside other writers, and no more
often than needed."""
import time

from cluster import settle, without_times
from harness import SLOW, wait_for
from pair import CLASS, SERVICE, Pair, docs, gateway, held_port, route

TWO = """  - {name: http, protocol: HTTP, port: 8080}
  - {name: more, protocol: HTTP, port: 8081}"""
THEIRS = {"parentRef": {"name": "other"}, "controllerName": "example.com/other", "conditions": [
    {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
     "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}]}


def condition(type_, status, reason, message, generation=1):
    return {"type": type_, "status": status, "reason": reason, "message": message,
            "observedGeneration": generation}


def by_type(conditions):
    return sorted(conditions, key=lambda c: c["type"])


def programmed(t, name, **kw):
    return t.cluster.wait_condition("HTTPRoute", name, "Programmed", **kw)


def test_whole_statuses_of_a_gateway_and_a_route(cluster):
    with Pair(cluster) as t:
        cluster.apply(route("web"))
        t.start_dataplane()
        t.wait_programmed()
        programmed(t, "web")
        settle(1.2)  # the Gateway's second write
        status = without_times(cluster.get("Gateway", "edge")["status"])
        assert status.pop("addresses") == [{"type": "IPAddress", "value": "127.0.0.1"}]
        status.pop("attachedListenerSets", None)
        assert by_type(status.pop("conditions")) == [
            condition("Accepted", "True", "Accepted", "all listeners are valid"),
            condition("Programmed", "True", "Programmed", "1 of 1 data planes"),
            condition("ResolvedRefs", "True", "ResolvedRefs", "all references are resolved")]
        (listener,) = status.pop("listeners")
        assert status == {}
        assert by_type(listener.pop("conditions")) == [
            condition("Accepted", "True", "Accepted", "the listener is valid"),
            condition("Conflicted", "False", "NoConflicts", "no other listener is in its way"),
            condition("Programmed", "True", "Programmed", "acknowledged by the data planes"),
            condition("ResolvedRefs", "True", "ResolvedRefs", "all references are resolved")]
        assert listener["name"] == "http" and listener["attachedRoutes"] == 1
        assert {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"} in \
            listener["supportedKinds"]
        (parent,) = without_times(cluster.get("HTTPRoute", "web")["status"])["parents"]
        assert by_type(parent.pop("conditions")) == [
            condition("Accepted", "True", "Accepted", f"Gateway {cluster.ns}/edge takes the route"),
            condition("Programmed", "True", "Programmed", "acknowledged by the data planes"),
            condition("ResolvedRefs", "True", "ResolvedRefs", "all references are resolved")]
        assert parent == {"controllerName": "kgateway.dev/tandem", "parentRef": {
            "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}}


def test_without_a_data_plane_nothing_is_programmed(cluster):
    with Pair(cluster) as t:
        cluster.apply(route("web"))
        for kw in ({}, {"listener": "http"}):
            c = t.wait_programmed("False", "Pending", **kw)
            assert c["message"] == "no data plane is connected"
        assert programmed(t, "web", status="False")["reason"] == "Pending"


def test_accepted_and_programmed_are_one_write_and_quick(cluster):
    with Pair(cluster) as t:
        t.start_dataplane()
        t.wait_programmed()
        settle(1.5)
        before = t.writes()
        began = time.monotonic()
        cluster.apply(route("web"))
        programmed(t, "web")
        assert time.monotonic() - began < 2 * SLOW  # with kubectl's own time
        settle(1.5)
        assert t.writes() - before == 2  # the route once, and the Gateway's attachedRoutes
        settle(2)
        assert t.writes() - before == 2


def test_a_burst_of_changes_is_few_writes(cluster):
    with Pair(cluster) as t:
        t.start_dataplane()
        cluster.apply(route("web"))
        programmed(t, "web")
        settle(1.5)
        before = t.writes()
        began = time.monotonic()
        for i in range(40):
            cluster.patch("HTTPRoute", "web", {"spec": {"hostnames": [f"h{i}.example.com"]}})
        took = time.monotonic() - began
        programmed(t, "web")  # at the latest generation
        settle(1.5)
        assert t.writes() - before <= took + 3


def test_other_writers_are_left_alone(cluster):
    with Pair(cluster) as t:
        cluster.apply(route("web", parent="{name: edge}, {name: other}"))
        cluster.wait_condition("HTTPRoute", "web", "Accepted")
        ours = cluster.get("HTTPRoute", "web")["status"]["parents"]
        assert [p["parentRef"]["name"] for p in ours] == ["edge"]  # none for what is not ours
        odd = {"type": "example.com/Checked", "status": "True", "reason": "Fine", "message": "",
               "lastTransitionTime": "2026-01-01T00:00:00Z"}
        ours[0]["conditions"].append(odd)
        cluster.patch("HTTPRoute", "web", {"status": {"parents": [THEIRS, *ours]}},
                      subresource="status")
        cluster.patch("HTTPRoute", "web", {"spec": {"hostnames": ["a.example.com"]}})
        cluster.wait_condition("HTTPRoute", "web", "Accepted", parent=1)
        parents = cluster.get("HTTPRoute", "web")["status"]["parents"]
        assert parents[0] == {**THEIRS, "parentRef": {
            "name": "other", "group": "gateway.networking.k8s.io", "kind": "Gateway"}}
        assert odd in parents[1]["conditions"]
        # Our parent is taken out of the spec: its entry goes, and theirs stays.
        cluster.patch("HTTPRoute", "web", {"spec": {"parentRefs": [{"name": "other"}]}})
        wait_for("our entry to go", lambda: cluster.get("HTTPRoute", "web")["status"]["parents"] ==
                 [parents[0]])


def test_a_status_that_somebody_destroys_comes_back(cluster):
    with Pair(cluster) as t:
        cluster.apply(route("web"))
        cluster.wait_condition("HTTPRoute", "web", "Accepted")
        settle(1)
        before = without_times(cluster.get("HTTPRoute", "web")["status"])
        cluster.patch("HTTPRoute", "web", {"status": {"parents": []}}, subresource="status")
        wait_for("the status to come back",
                 lambda: without_times(cluster.get("HTTPRoute", "web")["status"]) == before)
        # A condition of a generation that we have not seen is not ours to overwrite.
        newer = cluster.get("HTTPRoute", "web")["status"]
        newer["parents"][0]["conditions"][0].update(observedGeneration=99, reason="FromTheFuture")
        cluster.patch("HTTPRoute", "web", {"status": newer}, subresource="status")
        settle(1.5)
        assert cluster.get("HTTPRoute", "web")["status"] == newer


def test_conflicts_are_merged_again(cluster):
    with Pair(cluster) as t:
        cluster.apply(route("web"))
        cluster.wait_condition("HTTPRoute", "web", "Accepted")
        for i in range(25):
            parents = cluster.get("HTTPRoute", "web")["status"]["parents"]
            others = [{**THEIRS, "parentRef": {"name": f"other{i}"}}]
            cluster.patch("HTTPRoute", "web", {"spec": {"hostnames": [f"h{i}.example.com"]}})
            cluster.patch("HTTPRoute", "web", {"status": {"parents": others + [
                p for p in parents if p["controllerName"] != THEIRS["controllerName"]]}},
                subresource="status")
        cluster.wait_condition("HTTPRoute", "web", "Accepted", parent=1)
        parents = cluster.get("HTTPRoute", "web")["status"]["parents"]
        assert [p["controllerName"] for p in parents] == [THEIRS["controllerName"],
                                                          "kgateway.dev/tandem"]
        assert parents[0]["parentRef"]["name"] == "other24"


def test_a_restart_writes_nothing(cluster):
    with Pair(cluster) as t:
        cluster.apply(docs(*(route(f"r{i}") for i in range(10))))
        t.start_dataplane()
        for i in range(10):
            programmed(t, f"r{i}")
        settle(1.5)

        def versions():
            return {f"{k}/{o['metadata']['name']}": o["metadata"]["resourceVersion"]
                    for k in ("Gateway", "HTTPRoute") for o in cluster.list(k)}
        before = versions()
        t.ctl.kill()
        t.start_controller()
        wait_for("the data plane to come back",
                 lambda: t.metric("push_data_planes_connected") == 1, 20)
        settle(2)
        assert versions() == before


def test_stale_entries_of_an_earlier_life_go(cluster):
    with Pair(cluster) as t:
        cluster.apply(route("web"))
        cluster.wait_condition("HTTPRoute", "web", "Accepted")
        t.ctl.stop()
        cluster.patch("HTTPRoute", "web", {"spec": {"parentRefs": [{"name": "other"}]}})
        t.start_controller()
        wait_for("the old entry to go",
                 lambda: cluster.get("HTTPRoute", "web")["status"]["parents"] == [])


def test_deleted_objects_are_forgotten(cluster):
    with Pair(cluster) as t:
        for i in range(30):
            cluster.apply(route(f"gone{i}")) if i == 0 else cluster.api.call(
                "POST", cluster.api.path("HTTPRoute", None, cluster.ns),
                {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
                 "metadata": {"name": f"gone{i}"}, "spec": {"parentRefs": [{"name": "edge"}]}})
            cluster.delete("HTTPRoute", f"gone{i}")
        settle(1)
        assert '"lvl":"error"' not in t.ctl.log()
        # Deleted and made again within a moment, under the same name and generation.
        for _ in range(3):
            cluster.apply(route("again"))
            cluster.wait_condition("HTTPRoute", "again", "Accepted")
            cluster.delete("HTTPRoute", "again")


def test_reload_05_accepted_of_neighbours_never_changes(cluster):
    names = [f"good{i}" for i in range(20)]
    with Pair(cluster, objects=docs(CLASS, gateway(TWO), SERVICE)) as t:
        cluster.apply(docs(*(route(n, parent="{name: edge, sectionName: http}") for n in names)))

        def accepted():
            return {n: cluster.conditions("HTTPRoute", n)["Accepted"] for n in names}
        for n in names:
            cluster.wait_condition("HTTPRoute", n, "Accepted")
        before = accepted()
        with held_port(t.port2):
            dp = t.start_dataplane()
            t.wait_programmed("False", "Invalid", listener="more")
            cluster.apply(route("refused", parent="{name: edge, sectionName: more}"))
            # A listener that is refused carries nothing, and the route says so.
            c = programmed(t, "refused", status="False", reason="Invalid")
            assert "refused by a data plane" in c["message"]
            for n in names:
                programmed(t, n)
            assert accepted() == before
            wait_for("an event on the Gateway", lambda: [
                e for e in cluster.events("Gateway", "edge") if e["reason"] == "RefusedByDataPlane"])
            assert not [e for e in cluster.events("HTTPRoute") if e["type"] == "Warning"]
            dp.stop()
        wait_for("an event of the loss", lambda: [
            e for e in cluster.events("Gateway", "edge") if e["reason"] == "DataPlaneLost"])
        t.wait_programmed("False", seconds=20)
        assert accepted() == before
        # What was acknowledged stays so: a pod that goes rewrites no route.
        assert all(cluster.conditions("HTTPRoute", n)["Programmed"]["status"] == "True"
                   for n in names)


def test_gateway_objects_06_conditions_flip_with_the_gateway(cluster):
    def listener(hostname):
        return gateway(f"  - {{name: http, protocol: HTTP, port: 8080, hostname: {hostname}}}")
    with Pair(cluster, objects=docs(CLASS, listener("b.example.com"), SERVICE)) as t:
        t.start_dataplane()
        cluster.apply(route("web", "hostnames: [a.example.com]"))
        for hostname, status, reason in (
                ("b.example.com", "False", "NoMatchingListenerHostname"),
                ("'*.example.com'", "True", "Accepted"),
                ("b.example.com", "False", "NoMatchingListenerHostname")):
            cluster.apply(listener(hostname))
            c = cluster.wait_condition("HTTPRoute", "web", "Accepted", status, reason)
            assert c["observedGeneration"] == 1
            if status == "True":
                programmed(t, "web")
        wait_for("Programmed to go", lambda: "Programmed" not in
                 cluster.conditions("HTTPRoute", "web"))


def test_events_of_a_gateway(cluster):
    with Pair(cluster) as t:
        dp = t.start_dataplane()
        t.wait_programmed()
        wait_for("an event", lambda: [e for e in cluster.events("Gateway", "edge")
                                      if e["reason"] == "Programmed" and e["type"] == "Normal"])
        dp.stop()
        wait_for("an event", lambda: [e for e in cluster.events("Gateway", "edge")
                                      if e["reason"] == "DataPlaneLost" and e["type"] == "Warning"])
        assert "DataPlaneLost" in cluster.kubectl("describe", "gateway", "edge")


def test_an_object_that_is_refused_says_so(cluster):
    # The API server takes it; this controller does not build it.
    refused = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: edge}, {name: other}]
  rules: [{retry: {attempts: 2}, backendRefs: [{name: web, port: 80}]}]
"""
    with Pair(cluster) as t:
        t.start_dataplane()
        t.wait_programmed()
        cluster.apply(refused)
        c = cluster.wait_condition("HTTPRoute", "web", "Accepted", "False", "UnsupportedValue")
        assert "retry" in c["message"]
        (parent,) = cluster.get("HTTPRoute", "web")["status"]["parents"]
        assert [c["type"] for c in parent["conditions"]] == ["Accepted"]
        (event,) = wait_for("an event", lambda: cluster.events("HTTPRoute", "web"))
        assert event["type"] == "Warning" and event["reason"] == "Refused"
        assert "retry" in event["message"]
        cluster.apply(route("web"))
        programmed(t, "web")
