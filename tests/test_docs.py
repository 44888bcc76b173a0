"""The pages in Markdown say what the code does: those generated from it, and what can be checked of the others."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import yaml

from docs.generate import PAGES as GENERATED
from docs.generate import REFERENCE
from docs.generate.metrics import LABELS
from docs.generate.metrics import names as metrics
from provider import config, labels, openapi
from provider.commands import Refusal
from provider.model import ConditionCode, Outcome, Phase
from provider.rollout import TABLE, Event
from tests.pages import PAGES, ROOT, anchors, blocks, links, rows

PROVIDER, TESTS = ROOT / "provider", ROOT / "tests"
SUFFIXES = ("_bucket", "_sum", "_count")
METRIC = re.compile(r"\bbluegreen_[a-z_]*[a-z](?![a-z_]*\*)")


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_page_is_what_the_code_says_now(name: str) -> None:
    assert (REFERENCE / name).read_text() == GENERATED[name](), f"docs/reference/{name} is not up to date: make docs"


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(name: str) -> None:
    page = PAGES[name]
    for link in links(page.read_text()):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text()), link


def desired_states() -> Iterator[tuple[str, str]]:
    for name, page in PAGES.items():
        for block in blocks(page.read_text(), "yaml"):
            found = yaml.safe_load(block)
            if isinstance(found, dict) and {"environment", "services"} <= found.keys():
                yield name, block


@pytest.mark.parametrize(("name", "text"), list(desired_states()), ids=lambda value: value.splitlines()[0])
def test_a_desired_state_in_a_page_is_valid(name: str, text: str) -> None:
    assert config.load(text, name).environment


def test_every_metric_that_a_page_names_is_there() -> None:
    known = metrics().keys()
    for name, page in PAGES.items():
        for found in METRIC.findall(page.read_text()):
            bare = next((found.removesuffix(suffix) for suffix in SUFFIXES if found.endswith(suffix)), found)
            assert {found, bare} & known, f"{name}: {found}"


def calls(*functions: str) -> Iterator[tuple[Path, str, ast.Call]]:
    """Yield each call of these functions within the provider, by the last part of their names."""
    for file in sorted(PROVIDER.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in functions:
                    yield file, name, node


def texts(node: ast.AST) -> set[str]:
    return {one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def test_the_description_of_the_api_names_every_code_of_a_problem_with_its_status() -> None:
    raised = {
        (node.args[1].value, node.args[0].value)
        for _, _, node in calls("problem", "_problem", "Denied")
        if isinstance(node.args[0], ast.Constant) and isinstance(node.args[1], ast.Constant)
    }
    refused = {(str(code), {"reason-wanted": 400, "scope": 403}.get(code, 409)) for code in Refusal}
    assert raised | refused == {(code, status) for code, (status, _) in openapi.CODES.items()}


def test_the_operations_page_has_every_condition_with_its_severity() -> None:
    page = PAGES["docs/operations.md"].read_text()
    written = {code.strip("`"): severity for code, severity, *_ in rows(page, "## Conditions")}
    raised = {}
    for _, _, node in calls("put", "Condition"):
        match node.args:
            case [ast.Constant(value=str(code)), ast.Attribute(attr=severity), *_]:
                raised[code] = severity.lower()
            case [ast.Constant(value=str(code)), ast.Name(), *_]:  # it depends
                raised[code] = written.get(code, "")
    assert written.keys() == {*get_args(ConditionCode), *raised}
    assert written | raised == written


def test_the_labels_page_has_every_label_of_a_container() -> None:
    page = PAGES["docs/reference/labels.md"].read_text()
    written = {label.strip("`") for label, *_ in rows(page, "# Container labels")}
    known = {value for value in vars(labels).values() if isinstance(value, str) and value.startswith("bluegreen.")}
    assert written == known - {labels.COLOR}
    assert labels.COLOR in page


def test_the_drawing_of_the_phases_and_the_table_of_their_ends_are_the_transition_table() -> None:
    page = PAGES["docs/concepts.md"].read_text()
    (drawing,) = blocks(page, "mermaid")
    drawn = {
        (Phase(start), Event(event), Phase({"over": "steady"}.get(end, end)))
        for start, event, end in re.findall(r"(\w+)\S* (?:--|==) (\S+) (?:-->|==>) (\w+)", drawing)
    }
    ended = {
        (Phase(phase.strip("` ")), Event(event)): (Outcome(outcome), quarantined == "yes")
        for phases, event, outcome, quarantined in rows(page, "A rollout has one **outcome**, written when it ends.")
        for phase in phases.split(",")
    }
    assert ended == {way: (step.outcome, step.quarantines) for way, step in TABLE.items() if step.outcome}
    ends = {(*way, step.to) for way, step in TABLE.items() if step.outcome is Outcome.SWITCHED}
    assert drawn == ends | {(*way, step.to) for way, step in TABLE.items() if step.outcome is None}


def test_the_metrics_page_says_what_every_label_may_be() -> None:
    assert {label for each in metrics().values() for label in each} == {label for label, _ in LABELS}


def events(file: Path, value: ast.expr) -> set[str]:
    """Return what an event may be: what is written in its place, or what the module assigns to that name."""
    if not isinstance(value, ast.Name):
        return texts(value)
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Assign) and any(value.id in names(target) for target in node.targets):
            found |= texts(node.value)
    return found


def names(target: ast.expr) -> set[str]:
    return {one.id for one in ast.walk(target) if isinstance(one, ast.Name)}


def test_the_description_of_the_api_names_every_event_of_a_decision() -> None:
    place = {"Decision": 2, "rows": 1, "_say": 2}
    told: set[str] = set(Event)
    for file, name, node in calls(*place):
        if len(node.args) > place[name]:
            told |= events(file, node.args[place[name]])
    for file, _, node in calls("_told"):
        if file.name == "commands.py":
            told |= texts(node.args[0])
    assert told == set(openapi.EVENTS)


CONSTANT = re.compile(r"([\d,]+) ?(KiB|MiB|GiB|min|ms|[a-z ]*?) \(`([a-z_.]+\.[A-Z_]+)`\)")
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "min": 60, "ms": 0.001}


def test_every_bound_is_the_one_in_the_code_and_names_a_test_that_there_is() -> None:
    """Nothing from outside is without a bound; one table says which, and by what that is shown."""
    bounds = list(rows(PAGES["docs/security.md"].read_text(), "## Bounds"))
    assert len(bounds) > 10
    for what, bound, then, test in bounds:
        for number, unit, name in CONSTANT.findall(bound):
            module, _, constant = name.rpartition(".")
            value = getattr(importlib.import_module(f"provider.{module}"), constant)
            assert float(number.replace(",", "")) * UNITS.get(unit, 1) == value, f"{what}: {name} is {value}"
        assert bound.count("(`") == len(CONSTANT.findall(bound)), f"{what}: {bound}"
        assert then, what
        for named in test.split(", "):
            file, _, function = named.strip("`").partition("::")
            defined = re.search(rf"^(async )?def {function}\(", (TESTS / file).read_text(), re.MULTILINE)
            assert function.startswith("test_"), f"{what}: {named} is no test"
            assert defined, f"{what}: there is no {named}"
