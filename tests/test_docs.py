"""The pages in Markdown say what the code does: those generated from it, and what can be checked of the others."""

import ast
import importlib
import re
from collections.abc import Iterator

import pytest
import yaml

from docs.generate import PAGES as GENERATED
from docs.generate import REFERENCE, traffic
from docs.generate.metrics import LABELS
from docs.generate.metrics import names as metrics
from provider import config
from provider.docker import labels
from provider.model import EVENTS, ConditionCode, Event, Outcome, Phase
from provider.model.advice import advice
from provider.model.condition_catalogue import CATALOGUE
from provider.model.problems import PROBLEMS, ProblemCode
from provider.rollout.commands.types import Refusal
from provider.rollout.phases import IN_STEPS, TABLE
from tests.support.pages import PAGES, anchors, blocks, links, rows
from tests.support.paths import ROOT

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


def test_every_example_of_the_guide_of_steps_is_a_whole_desired_state_that_needs_no_warning() -> None:
    examples = list(blocks(PAGES["docs/steps.md"].read_text(), "yaml"))
    assert len(examples) > 3
    for text in examples:
        desired = config.load(text, "docs/steps.md")
        assert any(service.canary for service in desired.services.values())
        assert list(advice(desired)) == [], text


def test_the_tables_of_the_traffic_an_analysis_needs_are_what_the_simulation_prints() -> None:
    """Each row that is drawn again is in the page. Equal releases fail in one of a hundred at most (rule 23)."""
    _, _, rest = PAGES["docs/steps.md"].read_text().partition(traffic.BEGIN)
    section, found, _ = rest.partition(traffic.END)
    assert found
    some = traffic.Runs(needed=3, found=3, alarms=3)
    for paragraph in traffic.tables(some):
        for line in paragraph.splitlines() if paragraph.startswith("|") else ():
            assert line.split("|")[1] in section, line
    for share, cell in zip(traffic.SHARES, _cells(section, "0.1 -> 5 %"), strict=True):
        assert traffic.needed_cell(traffic.Runs(), (0.1, 5.0), share) == cell
    assert f"| {' | '.join(traffic.found_row(traffic.Runs(), 100, (1.0, 5.0)))} |" in section
    for rate in traffic.EQUAL:
        assert all(float(cell.removesuffix(" %")) <= 1 for cell in _cells(section, f"{rate:g} %"))


def _cells(section: str, row: str) -> list[str]:
    (line,) = [line for line in section.splitlines() if line.startswith(f"| {row} |")]
    return [cell.strip() for cell in line.strip("|").split("|")[1:]]


def test_every_metric_that_a_page_names_is_there() -> None:
    known = metrics().keys()
    for name, page in PAGES.items():
        for found in METRIC.findall(page.read_text()):
            bare = next((found.removesuffix(suffix) for suffix in SUFFIXES if found.endswith(suffix)), found)
            assert {found, bare} & known, f"{name}: {found}"


def test_every_problem_has_a_status_and_is_answered_somewhere() -> None:
    raised = {
        ProblemCode[node.attr]
        for file in (PROVIDER / "api").glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "ProblemCode"
    }
    assert raised | {ProblemCode(code) for code in Refusal} == set(ProblemCode) == set(PROBLEMS)


def test_the_operations_page_has_every_condition_with_its_severity() -> None:
    page = PAGES["docs/operations.md"].read_text()
    written = {code.strip("`"): severity for code, severity, *_ in rows(page, "## Conditions")}
    assert CATALOGUE.keys() == written.keys() == set(ConditionCode)
    for code, severity in written.items():
        assert severity.split(", ")[0] == CATALOGUE[ConditionCode(code)].severity, code


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
        (Phase(phase), Event(event)): (Outcome(outcome), quarantined == "yes")
        for phases, event, outcome, quarantined in rows(page, "A rollout has one **outcome**, written when it ends.")
        for phase in re.findall(r"`(\w+)`", phases)
    }
    table = {**{(Phase.SHIFTING, event): found for event, found in IN_STEPS.items()}, **TABLE}
    assert ended == {way: (found.outcome, found.quarantines) for way, found in table.items() if found.outcome}
    ends = {(*way, found.to) for way, found in table.items() if found.outcome is Outcome.SWITCHED}
    assert drawn == ends | {(*way, found.to) for way, found in table.items() if found.outcome is None}


def test_the_metrics_page_says_what_every_label_may_be() -> None:
    assert {label for each in metrics().values() for label in each} == {label for label, _ in LABELS}


def test_every_event_of_the_history_has_a_meaning() -> None:
    assert list(EVENTS) == list(Event)


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


CONTRIBUTING = PAGES["CONTRIBUTING.md"].read_text()


def test_the_contributing_page_has_every_room_and_the_contract_of_imports() -> None:
    written = {room.strip("`/") for room, *_ in rows(CONTRIBUTING, "## Rooms")}
    assert written == {room.parent.name for room in PROVIDER.glob("*/__init__.py")}
    (contract,) = blocks(CONTRIBUTING, "toml")
    assert contract in (ROOT / "pyproject.toml").read_text()


def test_every_file_that_the_contributing_page_names_is_there() -> None:
    named = re.findall(r"`((?:provider|docs|tests|bench|deploy)/[\w./]*)`", CONTRIBUTING)
    assert len(named) > 30
    assert [one for one in named if not (ROOT / one).exists()] == []


def test_the_contributing_page_names_every_file_with_a_broad_except() -> None:
    (rule,) = re.findall(r"(?ms)^- `except Exception` is only in .*?(?=^-|^$)", CONTRIBUTING)
    broad = {
        str(file.relative_to(ROOT))
        for file in PROVIDER.rglob("*.py")
        if re.search(r"except Exception\b", file.read_text())
    }
    assert set(re.findall(r"`(provider/[\w/]+\.py)`", rule)) == broad
