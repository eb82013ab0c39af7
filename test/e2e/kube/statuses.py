# SPDX-License-Identifier: Apache-2.0
"""Statuses as whole objects: what is there, and what is expected where all is well or something is
not. A condition is written as (status, reason, message); times are left out.

    whole_status(cluster, "HTTPRoute", "web") == route_status(ns, ResolvedRefs=("False", ...))
"""
from cluster import without_times

CONTROLLER = "kgateway.dev/tandem"
GROUP = "gateway.networking.k8s.io"
RESOLVED = ("True", "ResolvedRefs", "all references are resolved")
ACKNOWLEDGED = ("True", "Programmed", "acknowledged by the data planes")
ROUTE_KINDS = [{"group": GROUP, "kind": "HTTPRoute"}]


def by_type(status):
    """A status with its lists of conditions sorted, for comparison as a whole."""
    if isinstance(status, dict):
        return {k: sorted((by_type(c) for c in v), key=lambda c: c["type"]) if k == "conditions"
                else by_type(v) for k, v in status.items()}
    return [by_type(v) for v in status] if isinstance(status, list) else status


def whole_status(cluster, kind, name, ns=None):
    return by_type(without_times(cluster.get(kind, name, ns)["status"]))


def conditions(expected, generation=1):
    """expected: type -> condition; None: it must not be there."""
    return [{"type": type_, "status": c[0], "reason": c[1], "message": c[2],
             "observedGeneration": generation} for type_, c in sorted(expected.items()) if c]


def parent(ref, generation=1, **changed):
    return {"parentRef": {"group": GROUP, "kind": "Gateway", **ref},
            "controllerName": CONTROLLER, "conditions": conditions(changed, generation)}


def route_status(ns, generation=1, **changed):
    """Of a route whose one parent is Gateway edge of its namespace."""
    return {"parents": [parent({"name": "edge"}, generation, **{
        "Accepted": ("True", "Accepted", f"Gateway {ns}/edge takes the route"),
        "ResolvedRefs": RESOLVED, "Programmed": ACKNOWLEDGED, **changed})]}


def listener_status(name, attached=0, generation=1, kinds=None, **changed):
    return {"name": name, "attachedRoutes": attached,
            "supportedKinds": ROUTE_KINDS if kinds is None else kinds,
            "conditions": conditions({
                "Accepted": ("True", "Accepted", "the listener is valid"),
                "Conflicted": ("False", "NoConflicts", "no other listener is in its way"),
                "ResolvedRefs": RESOLVED, "Programmed": ACKNOWLEDGED, **changed}, generation)}


def gateway_status(*listeners, generation=1, addresses=(), **changed):
    """With one data plane that is content."""
    return {"addresses": list(addresses), "listeners": list(listeners), "conditions": conditions({
        "Accepted": ("True", "Accepted", "all listeners are valid"), "ResolvedRefs": RESOLVED,
        "Programmed": ("True", "Programmed", "1 of 1 data planes"), **changed}, generation)}
