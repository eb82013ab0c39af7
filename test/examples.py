# SPDX-License-Identifier: Apache-2.0
"""The examples of docs/kinds/ and what they say of themselves.

    GOOD    all is well with them          *.yaml
    STATUS  accepted, and not all is well: lines "# status: ..." at their top   *.status.yaml
    BAD     refused: a line "# refused: ..." at their top                       *.bad.yaml
"""
import re

from harness import ROOT

EXAMPLES = ROOT / "docs" / "kinds" / "examples"
BAD = sorted(EXAMPLES.glob("*.bad.yaml"))
STATUS = sorted(EXAMPLES.glob("*.status.yaml"))
GOOD = sorted(set(EXAMPLES.glob("*.yaml")) - set(BAD) - set(STATUS))
ORDINARY = re.compile(r": (Accepted True Accepted|ResolvedRefs True ResolvedRefs|"
                      r"Conflicted False NoConflicts|Programmed False Pending): ")


def conditions_of(item):
    """Lines "Kind ns/name[ listener x]: Type Status Reason: message" of an object's status."""
    meta, status = item["metadata"], item.get("status", {})
    who = f"{item['kind']} {meta.get('namespace', '-')}/{meta['name']}"
    lists = [("", status.get("conditions", []))]
    lists += [("", e["conditions"]) for key in ("parents", "ancestors") for e in status.get(key, [])]
    lists += [(f" listener {l['name']}", l["conditions"]) for l in status.get("listeners", [])]
    return [(c["type"], c["status"],
             f"{who}{where}: {c['type']} {c['status']} {c['reason']}: {c['message']}")
            for where, conditions in lists for c in conditions]


def said_by(example):
    """The conditions that a STATUS example says it has, beside ordinary ones."""
    return [l.removeprefix("# status: ") for l in example.read_text().splitlines()
            if l.startswith("# status: ")]


def is_ordinary(line):
    """Whether nothing needs to be said of a condition; Programmed waits for a data plane."""
    return ORDINARY.search(line) is not None
