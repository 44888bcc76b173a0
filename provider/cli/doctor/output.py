"""Shows a report to people and to programs: most severe first, each finding with its fix."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from provider.cli.doctor.findings import MOST_SEVERE_FIRST, Finding, Report, Skipped
from provider.model import Severity
from provider.model.text import escaped, without_userinfo

PLACES_SHOWN = 5
STYLES = {Severity.CRITICAL: "bold red", Severity.WARNING: "yellow", Severity.INFO: "dim"}


def draw(report: Report) -> RenderableType:
    """Draw a report; the summary comes last, above the prompt."""
    return Group(*_parts(report))


def as_json(report: Report) -> dict[str, object]:
    """Return the report as JSON."""
    return {
        "summary": {
            **{severity.value: report.count(severity) for severity in MOST_SEVERE_FIRST},
            "ignored": report.ignored,
        },
        "findings": [{"severity": one.severity.value, **_fields(one)} for one in report.findings],
        "not_looked_at": [_fields(one) for one in report.skipped],
        "looked_at": [without_userinfo(one) for one in report.checked],
    }


def _fields(one: Finding | Skipped) -> dict[str, object]:
    return {key: without_userinfo(value) if isinstance(value, str) else value for key, value in asdict(one).items()}


def _printable(text: str) -> str:
    """Return a text for a terminal, without the passwords of URLs."""
    return escaped(without_userinfo(text), keep="\n")


def summary(report: Report) -> str:
    """Return the last line."""
    counts = [_count(report.count(severity), severity) for severity in MOST_SEVERE_FIRST if report.count(severity)]
    skipped = f"; {len(report.skipped)} skipped" if report.skipped else ""
    ignored = f"; {report.ignored} ignored" if report.ignored else ""
    return f"{', '.join(counts) or 'no findings'}{ignored}{skipped}"


def _count(number: int, severity: Severity) -> str:
    return f"{number} {severity.value}{'' if number == 1 or severity is Severity.CRITICAL else 's'}"


def _parts(report: Report) -> Iterator[RenderableType]:
    for same in _alike(report.findings):
        yield from _found(same)
    for one in report.checked:
        yield Text(_printable(f"checked: {one}"), style="dim")
    for skipped in report.skipped:
        yield Text(_printable(f"skipped: {skipped.what}: {skipped.because}"), style="yellow")
    worst = next((severity for severity in MOST_SEVERE_FIRST[:2] if report.count(severity)), None)
    yield Text(summary(report), style=STYLES[worst] if worst else "" if report.skipped else "green")


def _alike(findings: Iterable[Finding]) -> Iterable[list[Finding]]:
    """Return findings in their order; those that differ only in where they are come together."""
    alike: dict[tuple[str, str, str], list[Finding]] = {}
    for one in findings:
        alike.setdefault((one.code, one.what, one.fix), []).append(one)
    return alike.values()


def _found(same: list[Finding]) -> Iterator[RenderableType]:
    first, places = same[0], [one.where for one in same]
    more = f" and {len(places) - PLACES_SHOWN} more" if len(places) > PLACES_SHOWN else ""
    head = Text(f"{first.severity.value.upper():<8}  {first.code.value}  ", style=STYLES[first.severity])
    head.append(_printable(f"{', '.join(places[:PLACES_SHOWN])}{more}"), style="bold")
    yield head
    yield Padding(Text(_printable(first.what)), (0, 0, 0, 4))
    yield Padding(Text.assemble(("fix: ", "green"), _printable(first.fix)), (0, 0, 0, 4))
    yield Text()
