# SPDX-License-Identifier: Apache-2.0
"""The documentation against the programs: examples are loaded by a real controller, messages and
conditions are compared with what it says, and code blocks are compiled."""
import functools
import json
import pathlib
import re
import subprocess

import pytest

from examples import BAD, EXAMPLES, GOOD, STATUS, conditions_of, is_ordinary, said_by
from harness import ROOT, Stack, wait_for

KINDS = ROOT / "docs" / "kinds"
PAGES = sorted(KINDS.glob("*.md"))
FENCE = re.compile(r"<!-- examples/(\S+\.yaml) -->\n```yaml\n(.*?)```\n", re.S)
C_BLOCK = re.compile(r"```c\n(// file: (\S+\.c)\n.*?)```\n", re.S)
# Conditions whose object needs nothing said about it; Programmed waits for a data plane.
ORDINARY = {"Accepted": "True", "ResolvedRefs": "True", "Conflicted": "False",
            "Programmed": "False"}


def embedded():
    return [(page, name, text) for page in PAGES
            for name, text in FENCE.findall(page.read_text())]


def ids(paths):
    return [p.name for p in paths]


def page_of(example):
    return KINDS / (re.split(r"[-.]", example.name)[0] + ".md")


def refused_message(example):
    first = example.read_text().splitlines()[0]
    assert first.startswith("# refused: "), first
    return first.removeprefix("# refused: ")


@functools.cache
def loaded():
    """What a controller says of all examples at once: events by file, objects by file."""
    files = GOOD + STATUS + BAD
    with Stack("# the examples are beside this file\n", dataplane=False) as t:
        for path in files:
            t.write(path.name, path.read_text())
        def all_read():
            found = {e["file"]: e for e in json.loads(t.ctl_get("/events"))["events"]}
            return found if all(p.name in found for p in files) else None
        events = wait_for("every example is read", all_read)
        items = None
        def settled():
            nonlocal items
            last, items = items, json.loads(t.ctl_get("/objects"))["items"]
            return last == items
        wait_for("statuses stand still", settled)
    objects = {}
    for item in items:
        source = item["metadata"]["annotations"]["kgateway.dev/source"].split(":")[0]
        objects.setdefault(source, []).append(item)
    return events, objects


@pytest.mark.parametrize("page,name,text", embedded(), ids=[n for _, n, _ in embedded()])
def test_embedded_example_is_its_file(page, name, text):
    assert text == (EXAMPLES / name).read_text(), f"{page.name} shows another {name}"


def test_every_kind_page_has_an_example():
    shown = {page for page, _, _ in embedded()}
    assert shown == set(PAGES) and len(PAGES) >= 7
    assert {n for _, n, _ in embedded()} == set(ids(GOOD))


@pytest.mark.parametrize("example", GOOD, ids=ids(GOOD))
def test_good_example_is_accepted(example):
    events, objects = loaded()
    assert events[example.name]["ok"], events[example.name]["text"]
    wanted = len(re.findall(r"^kind: ", example.read_text(), re.M))
    assert len(objects[example.name]) == wanted
    for item in objects[example.name]:
        for type_, status, line in conditions_of(item):
            assert status == ORDINARY[type_], line


def test_good_examples_have_the_statuses_that_pages_speak_of():
    _, objects = loaded()
    with_status = {i["kind"] for items in objects.values() for i in items if "status" in i}
    assert with_status == {"GatewayClass", "Gateway", "HTTPRoute", "LLMBackend"}


@pytest.mark.parametrize("example", STATUS, ids=ids(STATUS))
def test_status_example_has_exactly_its_conditions(example):
    events, objects = loaded()
    assert events[example.name]["ok"], events[example.name]["text"]
    said = said_by(example)
    found = [line for item in objects[example.name] for _, _, line in conditions_of(item)]
    assert sorted(said) == sorted(l for l in found if not is_ordinary(l) or l in said)
    page = page_of(example).read_text()
    for line in said:
        _, condition, message = line.split(": ", 2)
        if line.startswith(page_kind(page) + " "):
            assert message in page and f"`{condition.split()[2]}`" in page, line


def page_kind(page):
    return page.split("\n", 1)[0].removeprefix("# ").split()[0]


@pytest.mark.parametrize("example", BAD, ids=ids(BAD))
def test_bad_example_is_refused_with_its_message(example):
    events, objects = loaded()
    event = events[example.name]
    assert not event["ok"] and example.name not in objects
    assert event["text"] == refused_message(example)
    assert re.match(re.escape(example.name) + r":\d+: ", event["text"])


@pytest.mark.parametrize("example", BAD, ids=ids(BAD))
def test_page_shows_the_message_of_a_wrong_value(example):
    assert f"`{refused_message(example)}`" in page_of(example).read_text()


def condition_rows():
    rows = []
    for page in PAGES:
        for line in page.read_text().splitlines():
            m = re.match(r"\| (?:listener: )?(\w+)=(?:True|False) \| `(\w+)` \|", line)
            if m:
                rows.append((page.stem, m[1], m[2]))
    return sorted(set(rows))


@pytest.mark.parametrize("page,condition,reason", condition_rows(),
                         ids=["-".join(r) for r in condition_rows()])
def test_condition_of_a_table_exists(page, condition, reason):
    source = "".join(p.read_text() for d in ("translate", "status")
                     for p in sorted((ROOT / "controller" / d).glob("*.c")))
    assert f'"{condition}"' in source and f'"{reason}"' in source


def test_condition_tables_were_found():
    assert len(condition_rows()) > 20


def c_blocks():
    return C_BLOCK.findall((ROOT / "docs" / "extending.md").read_text())


def test_extending_shows_a_policy_a_provider_and_a_dialect():
    folders = {pathlib.PurePath(path).name.split("_")[0] for _, path in c_blocks()}
    assert len(c_blocks()) == 3 and {"provider", "dialect"} < folders


@pytest.mark.parametrize("text,path", c_blocks(), ids=[p for _, p in c_blocks()])
def test_code_of_extending_compiles(text, path, tmp_path):
    assert not (ROOT / path).exists(), "the example took the name of a real file"
    file = tmp_path / pathlib.PurePath(path).name
    file.write_text(text)
    done = subprocess.run(["gcc", "-fsyntax-only", "-I.", "-std=gnu17", "-D_GNU_SOURCE", "-Wall",
                           "-Wextra", "-Wmissing-prototypes", "-Werror", str(file)],
                          cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def documents():
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("document", documents(),
                         ids=[str(p.relative_to(ROOT)) for p in documents()])
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def names_in(pattern, *folders):
    return {n for folder in folders for p in (ROOT / folder).rglob("*.c")
            for n in re.findall(pattern, p.read_text())}


def test_metrics_are_listed():
    page = (ROOT / "docs" / "architecture.md").read_text()
    names = names_in(r'\.name = "((?:tandem|push|controller)_\w+)"', "dataplane", "controller")
    assert len(names) > 20
    assert [n for n in sorted(names) if f"`{n}`" not in page] == []
    for name in set(re.findall(r"^\| `((?:tandem|push|controller)_\w+)`", page, re.M)):
        assert name in names, f"{name} is listed and does not exist"


def test_access_log_keys_are_listed():
    page = (ROOT / "docs" / "architecture.md").read_text()
    keys = set(re.findall(r'PUT_(?:STR|INT)\(p, "(\w+)"',
                          (ROOT / "dataplane" / "obs" / "access.c").read_text()))
    assert len(keys) > 20
    assert [k for k in sorted(keys) if f"`{k}`" not in page] == []


def test_flags_of_the_data_plane_are_listed():
    page = (ROOT / "docs" / "architecture.md").read_text()
    source = (ROOT / "dataplane" / "main.c").read_text()
    flags = set(re.findall(r'\{"((?:timeout|llm|grace)[\w-]*)", "', source))
    assert len(flags) == 9
    assert [f for f in flags if f"`--{f}`" not in page] == []


def test_admin_paths_are_listed():
    page = (ROOT / "docs" / "architecture.md").read_text()
    for source in ("dataplane/admin/admin.c", "controller/admin.c"):
        paths = re.findall(r'^\s+\{"(/\w+)", serve_', (ROOT / source).read_text(), re.M)
        assert len(paths) >= 4
        assert [p for p in paths if f"`{p}`" not in page] == []
