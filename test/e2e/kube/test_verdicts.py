# SPDX-License-Identifier: Apache-2.0
"""Every example, good and bad, is fed to both sources: `kubectl apply` and a folder agree.

The files of test/e2e/bad say in their first lines what is expected:
    # kubectl: part of the refusal, or (accepted)
    # folder: the whole message
    # condition: Accepted=False REASON the message (where the API server accepts)
"""
import functools
import json
import re

import pytest

from harness import ROOT, Stack, wait_for
from line import docs, gateway

BAD = sorted((ROOT / "test" / "e2e" / "bad").glob("*.yaml"))
PAGES = ROOT / "docs" / "kinds" / "examples"
PAGES_BAD = sorted(PAGES.glob("*.bad.yaml"))
PAGES_GOOD = sorted(set(PAGES.glob("*.yaml")) - set(PAGES_BAD))
QUICKSTART = sorted((ROOT / "examples").glob("quickstart/*.yaml"))
GOOD = PAGES_GOOD + QUICKSTART
# A controller keeps the last 200 events.
FOLDER_FILES = 150
# What an API server cannot know, or takes for an absent member: a folder alone refuses it.
FOLDER_ALONE = {
    "gatewayclass-namespace.bad.yaml",  # kubectl drops the namespace
    "secret-from-env.bad.yaml",         # an annotation of ours
    "service-target-port.bad.yaml",     # 0 counts as absent there
}


def ids(paths):
    return [p.name for p in paths]


def header(path, name):
    found = re.findall(rf"^# {name}: (.*)$", path.read_text(), re.M)
    assert len(found) < 2, f"{path.name} has several lines '# {name}:'"
    return found[0] if found else None


@functools.cache
def folder_says(quickstart=False):
    """file name -> event."""
    if quickstart:
        return read_folder(QUICKSTART)
    files = PAGES_BAD + BAD
    assert len(set(ids(files))) == len(files)
    said = read_folder(PAGES_GOOD)
    for at in range(0, len(files), FOLDER_FILES):
        said |= read_folder(files[at:at + FOLDER_FILES])
    return said


def read_folder(files):
    """Of a controller that reads all these at once."""
    with Stack("# the examples are beside this file\n", dataplane=False) as t:
        for path in files:
            t.write(path.name, path.read_text())
        def all_read():
            found = {e["file"]: e for e in json.loads(t.ctl_get("/events"))["events"]}
            return found if all(p.name in found for p in files) else None
        return wait_for("every example is read", all_read, 20)


@pytest.fixture(scope="module")
def kubectl_says(api, tmp_path_factory):
    """file name -> the refusal, or None, of one kubectl with its default, strict validation. Of
    several files kubectl names the one at fault; the dry run stores nothing."""
    folder = tmp_path_factory.mktemp("examples")
    texts = {f"{p.parent.name}/{p.name}": p.read_text() for p in GOOD + BAD + PAGES_BAD}
    for name in set(re.findall(r"^ +namespace: (\S+)$", "\n".join(texts.values()), re.M)):
        api.kubectl("create", "namespace", name, check=False)  # those that examples speak of
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    _, out = api.kubectl("apply", "--dry-run=server", "-R", "-f", folder, check=False, seconds=300)
    refused = {}
    for m in re.finditer(rf'^.*"{re.escape(str(folder))}/([^"]+)": (.*)$', out, re.M):
        refused.setdefault(m.group(1), m.group(2))
    objects = sum(len(re.findall(r"^kind: ", t, re.M)) for n, t in texts.items() if n not in refused)
    assert out.count("(server dry run)") >= objects, "kubectl did not speak of every file"
    return lambda path: refused.get(f"{path.parent.name}/{path.name}")


def test_there_are_bad_examples_of_every_kind():
    kinds = {re.search(r"^kind: (\w+)", p.read_text(), re.M).group(1) for p in BAD}
    assert kinds == {"Gateway", "GatewayClass", "HTTPRoute", "ReferenceGrant", "LLMBackend",
                     "Service", "EndpointSlice", "Secret", "Namespace"}
    assert len(BAD) >= 180


@pytest.mark.parametrize("path", BAD, ids=ids(BAD))
def test_bad_object(kubectl_says, path):
    event = folder_says()[path.name]
    assert (event["ok"], event["text"]) == (False, header(path, "folder"))
    refusal = kubectl_says(path)
    if header(path, "kubectl") == "(accepted)":
        assert refusal is None
        assert header(path, "condition"), "what the API server accepts must say why it is not served"
    else:
        assert refusal and header(path, "kubectl") in refusal
        assert header(path, "condition") is None


def test_what_the_api_server_accepts_says_why_it_is_not_served(controller, cluster):
    """The condition of each file, as the controller writes it, and the Event beside it."""
    wanted = {p.stem: header(p, "condition") for p in BAD if header(p, "condition")}
    kinds = {}
    for name in wanted:
        text = (ROOT / "test" / "e2e" / "bad" / f"{name}.yaml").read_text()
        kinds[name] = re.search(r"^kind: (\w+)$", text, re.M).group(1)
        wanted[name] = (text.replace("\n  name: x\n", f"\n  name: {name}\n", 1), wanted[name])
    cluster.apply(docs(gateway(), *(text for text, _ in wanted.values())))
    for name, (_, condition) in wanted.items():
        status, reason, message = re.match(r"Accepted=(\w+) (\w+) (.*)$", condition).groups()
        said = cluster.wait_condition(kinds[name], name, "Accepted", status, reason)
        assert said["message"] == message
        wait_for(f"an Event on {name}", lambda n=name, m=message: [
            e for e in cluster.events(kinds[n], n) if (e["reason"], e["message"]) == ("Refused", m)])


@pytest.mark.parametrize("path", PAGES_BAD, ids=ids(PAGES_BAD))
def test_bad_example_of_a_page(kubectl_says, path):
    event, refusal = folder_says()[path.name], kubectl_says(path)
    assert not event["ok"]
    unbuilt = event["text"].endswith("is not supported yet")
    assert refusal or unbuilt or path.name in FOLDER_ALONE, event["text"]
    assert refusal is None or path.name not in FOLDER_ALONE, refusal


@pytest.mark.parametrize("path", GOOD, ids=[f"{p.parent.name}-{p.name}" for p in GOOD])
def test_good_example(kubectl_says, path):
    assert folder_says(path in QUICKSTART)[path.name]["ok"]
    refusal = kubectl_says(path)
    # Loopback is for folders alone: an API server refuses it in EndpointSlices.
    if re.search(r"^ +- 127\.", path.read_text(), re.M):
        assert refusal and "may not be in the loopback range" in refusal
    else:
        assert refusal is None
