"""Shows a report: the gravest first, each with how to mend it, for people and for programs."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from provider.doctor.findings import GRAVEST_FIRST, Finding, Report
from provider.model import Severity
from provider.text import escaped

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
        "findings": [{"severity": one.severity.value, **asdict(one)} for one in report.findings],
        "not_looked_at": [asdict(one) for one in report.unseen],
        "looked_at": list(report.looked),
    }


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
        yield Text(escaped(f"looked at: {one}"), style="dim")
    for unseen in report.unseen:
        yield Text(escaped(f"not looked at: {unseen.what}: {unseen.because}", keep="\n"), style="yellow")
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
    head.append(escaped(f"{', '.join(places[:PLACES_SHOWN])}{more}"), style="bold")
    yield head
    yield Padding(Text(escaped(first.what, keep="\n")), (0, 0, 0, 4))
    yield Padding(Text.assemble(("mend: ", "green"), escaped(first.mend, keep="\n")), (0, 0, 0, 4))
    yield Text()
