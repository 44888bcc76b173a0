"""A report: its order, what is left out, how it is drawn, and the page that has every finding."""

import io

from rich.console import Console

from provider.cli.doctor.findings import SEVERITIES, Code, Finding, Report, Skipped, report
from provider.cli.doctor.output import as_json, draw
from tests.support.pages import rows
from tests.support.paths import ROOT

HEADINGS = ("## The daemon", "## Replicas and etcd", "## Its files", "## Traefik", "## Containers, and compose files")
TIE = Finding(Code.ROUTER_TIE, "Traefik a", "chance decides", "remove it")
POLICIES = [Finding(Code.RESTART_POLICY, f"container {name}", "nothing starts it", "--restart") for name in "abcdefg"]
MOVES = Finding(Code.IMAGE_MOVES, "container a", "it moves", "name a version")
SKIPPED = Skipped("Docker", "--docker none")


def drawn(result: Report) -> str:
    file = io.StringIO()
    Console(file=file, width=200, markup=False).print(draw(result), soft_wrap=True)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def test_the_page_has_every_finding_with_its_severity() -> None:
    page = (ROOT / "docs" / "doctor.md").read_text()
    result = {code.strip("`"): severity for heading in HEADINGS for code, severity, *_ in rows(page, heading)}
    assert result == {code.value: SEVERITIES[code].value for code in Code}


def test_the_most_severe_come_first_and_what_was_found_twice_once() -> None:
    result = report([], [MOVES, *POLICIES, TIE, TIE], [SKIPPED, SKIPPED], frozenset())
    assert result.findings == (TIE, *POLICIES, MOVES)
    assert result.skipped == (SKIPPED,)
    assert result.has_trouble


def test_an_info_is_no_trouble_and_what_is_ignored_is_counted() -> None:
    result = report([], [MOVES, *POLICIES], [], frozenset({Code.RESTART_POLICY}))
    assert (result.findings, result.ignored, result.has_trouble) == ((MOVES,), 7, False)


def test_a_report_says_what_to_do_and_what_was_skipped() -> None:
    """P2."""
    result = report(["Traefik a"], [MOVES, *POLICIES, TIE], [SKIPPED], frozenset())
    assert drawn(result).splitlines() == [
        "CRITICAL  router-tie  Traefik a",
        "    chance decides",
        "    fix: remove it",
        "",
        "WARNING   restart-policy  container a, container b, container c, container d, container e and 2 more",
        "    nothing starts it",
        "    fix: --restart",
        "",
        "INFO      image-moves  container a",
        "    it moves",
        "    fix: name a version",
        "",
        "checked: Traefik a",
        "skipped: Docker: --docker none",
        "1 critical, 7 warnings, 1 info; 1 skipped",
    ]
    assert drawn(report([], [], [], frozenset())) == "no findings"


def test_programs_get_each_finding_by_itself() -> None:
    result = as_json(report(["Traefik a"], [TIE, *POLICIES], [SKIPPED], frozenset({Code.ROUTER_TIE})))
    assert result["summary"] == {"critical": 0, "warning": 7, "info": 0, "ignored": 1}
    assert result["not_looked_at"] == [{"what": "Docker", "because": "--docker none"}]
    assert result["looked_at"] == ["Traefik a"]
    assert isinstance(result["findings"], list)
    assert result["findings"][0] == {
        "severity": "warning",
        "code": "restart-policy",
        "where": "container a",
        "what": "nothing starts it",
        "fix": "--restart",
    }
