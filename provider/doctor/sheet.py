"""Shows a report: the gravest first, each with how to mend it, for people and for programs."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from provider.doctor.findings import GRAVEST_FIRST, Finding, Report, Unseen
from provider.model import Severity
from provider.text import escaped, without_userinfo

PLACES_SHOWN = 5
STYLES = {Severity.CRITICAL: "bold red", Severity.WARNING: "yellow", Severity.INFO: "dim"}


def draw(report: Report) -> RenderableType:
    """Draw a report; the summary stands last, where a terminal ends."""
    return Group(*_parts(report))


def as_json(report: Report) -> dict[str, object]:
    """Return a report for programs."""
    return {
        "summary": {
            **{severity.value: report.count(severity) for severity in GRAVEST_FIRST},
            "ignored": report.ignored,
        },
        "findings": [{"severity": one.severity.value, **_told(one)} for one in report.findings],
        "not_looked_at": [_told(one) for one in report.unseen],
        "looked_at": [without_userinfo(one) for one in report.looked],
    }


def _told(one: Finding | Unseen) -> dict[str, object]:
    return {key: without_userinfo(value) if isinstance(value, str) else value for key, value in asdict(one).items()}


def _shown(text: str) -> str:
    """Return a text for a terminal, without the passwords of URLs."""
    return escaped(without_userinfo(text), keep="\n")


def summary(report: Report) -> str:
    """Return the last line."""
    counts = [_count(report.count(severity), severity) for severity in GRAVEST_FIRST if report.count(severity)]
    unseen = f"; {len(report.unseen)} not looked at" if report.unseen else ""
    ignored = f"; {report.ignored} ignored" if report.ignored else ""
    return f"{', '.join(counts) or 'nothing found'}{ignored}{unseen}"


def _count(number: int, severity: Severity) -> str:
    return f"{number} {severity.value}{'' if number == 1 or severity is Severity.CRITICAL else 's'}"


def _parts(report: Report) -> Iterator[RenderableType]:
    for same in _alike(report.findings):
        yield from _found(same)
    for one in report.looked:
        yield Text(_shown(f"looked at: {one}"), style="dim")
    for unseen in report.unseen:
        yield Text(_shown(f"not looked at: {unseen.what}: {unseen.because}"), style="yellow")
    grave = next((severity for severity in GRAVEST_FIRST[:2] if report.count(severity)), None)
    yield Text(summary(report), style=STYLES[grave] if grave else "" if report.unseen else "green")


def _alike(findings: Iterable[Finding]) -> Iterable[list[Finding]]:
    """Return findings in their order, those that say the same of several places together."""
    alike: dict[tuple[str, str, str], list[Finding]] = {}
    for one in findings:
        alike.setdefault((one.code, one.what, one.mend), []).append(one)
    return alike.values()


def _found(same: list[Finding]) -> Iterator[RenderableType]:
    first, places = same[0], [one.where for one in same]
    more = f" and {len(places) - PLACES_SHOWN} more" if len(places) > PLACES_SHOWN else ""
    head = Text(f"{first.severity.value.upper():<8}  {first.code.value}  ", style=STYLES[first.severity])
    head.append(_shown(f"{', '.join(places[:PLACES_SHOWN])}{more}"), style="bold")
    yield head
    yield Padding(Text(_shown(first.what)), (0, 0, 0, 4))
    yield Padding(Text.assemble(("mend: ", "green"), _shown(first.mend)), (0, 0, 0, 4))
    yield Text()
