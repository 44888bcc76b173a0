"""A notice for the tests of what becomes of one."""

from provider.model import Severity
from provider.observability.notices import Kind, Notice, NoticeKind


def notice(
    title: str = "shop: switched",
    kind: Kind = NoticeKind.SWITCHED,
    service: str | None = "shop",
    severity: Severity = Severity.INFO,
) -> Notice:
    return Notice(service, kind, severity, title, f"Why: {title}\nSee: bluegreen explain {service}")
