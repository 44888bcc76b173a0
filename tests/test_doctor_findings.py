"""A report: its order, what is left out, how it is drawn, and the page that has every finding."""

import io

from rich.console import Console

from provider.doctor.findings import SEVERITIES, Code, Finding, Report, Unseen, report
from provider.doctor.sheet import as_json, draw
from tests.pages import ROOT, rows

HEADINGS = ("## The daemon", "## Its files", "## Traefik", "## Containers, and compose files")
TIE = Finding(Code.ROUTER_TIE, "Traefik a", "chance decides", "remove it")
POLICIES = [Finding(Code.RESTART_POLICY, f"container {name}", "nothing starts it", "--restart") for name in "abcdefg"]
MOVES = Finding(Code.IMAGE_MOVES, "container a", "it moves", "name a version")
UNSEEN = Unseen("Docker", "--docker none")


def drawn(told: Report) -> str:
    file = io.StringIO()
    Console(file=file, width=200, markup=False).print(draw(told), soft_wrap=True)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def test_the_page_has_every_finding_with_its_severity() -> None:
    page = (ROOT / "docs" / "doctor.md").read_text()
    told = {code.strip("`"): severity for heading in HEADINGS for code, severity, *_ in rows(page, heading)}
    assert told == {code.value: SEVERITIES[code].value for code in Code}


def test_the_gravest_stand_first_and_what_was_found_twice_once() -> None:
    told = report([], [MOVES, *POLICIES, TIE, TIE], [UNSEEN, UNSEEN], frozenset())
    assert told.findings == (TIE, *POLICIES, MOVES)
    assert told.unseen == (UNSEEN,)
    assert told.has_trouble


def test_an_info_is_no_trouble_and_what_is_ignored_is_counted() -> None:
    told = report([], [MOVES, *POLICIES], [], frozenset({Code.RESTART_POLICY}))
    assert (told.findings, told.ignored, told.has_trouble) == ((MOVES,), 7, False)


def test_a_report_says_what_to_do_and_what_was_not_looked_at() -> None:
    """P2."""
    told = report(["Traefik a"], [MOVES, *POLICIES, TIE], [UNSEEN], frozenset())
    assert drawn(told).splitlines() == [
        "CRITICAL  router-tie  Traefik a",
        "    chance decides",
        "    mend: remove it",
        "",
        "WARNING   restart-policy  container a, container b, container c, container d, container e and 2 more",
        "    nothing starts it",
        "    mend: --restart",
        "",
        "INFO      image-moves  container a",
        "    it moves",
        "    mend: name a version",
        "",
        "looked at: Traefik a",
        "not looked at: Docker: --docker none",
        "1 critical, 7 warnings, 1 info; 1 not looked at",
    ]
    assert drawn(report([], [], [], frozenset())) == "nothing found"


def test_programs_get_each_finding_by_itself() -> None:
    told = as_json(report(["Traefik a"], [TIE, *POLICIES], [UNSEEN], frozenset({Code.ROUTER_TIE})))
    assert told["summary"] == {"critical": 0, "warning": 7, "info": 0, "ignored": 1}
    assert told["not_looked_at"] == [{"what": "Docker", "because": "--docker none"}]
    assert told["looked_at"] == ["Traefik a"]
    assert isinstance(told["findings"], list)
    assert told["findings"][0] == {
        "severity": "warning",
        "code": "restart-policy",
        "where": "container a",
        "what": "nothing starts it",
        "mend": "--restart",
    }
