"""Says in words what the admin API answers, for all that is drawn of it; ages are told from `now`, or this moment."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

from rich.text import Text

from provider.durations import spoken
from provider.text import escaped

Answer: TypeAlias = Mapping[str, Any]

STATE_STYLES = {"healthy": "green", "unhealthy": "red", "mixed": "yellow", "starting": "yellow"}
GATE_STYLES = {"passed": "green", "failed": "red", "running": "yellow", "pending": "yellow", "skipped": "dim"}
OUTCOME_STYLES = {"switched": "green", "superseded": "dim"}
SEVERITY_STYLES = {"info": "dim", "warning": "yellow", "critical": "bold red"}
_LINES = frozenset("\t\n\r\f\v")


def utc_now() -> datetime:
    """Return the time of this machine."""
    return datetime.now(UTC)


def printable(value: Any) -> Any:
    """Return an answer in which what a terminal obeys is written out, and every text is one line."""
    match value:
        case str():
            return value if value.isprintable() else escaped("".join(" " if one in _LINES else one for one in value))
        case dict():
            return {printable(key): printable(each) for key, each in value.items()}
        case list():
            return [printable(each) for each in value]
        case _:
            return value


def standing(service: Answer) -> str:
    """Say in one line where a service stands."""
    active = service["active"]
    if active is None:
        return f"{service['service']}: no colour is active yet"
    found = service["colours"][active]
    of_release = f" with release {release(found)}" if found["release"] else ""
    confirmed = "confirmed" if service["confirmed"] else "not confirmed"
    return f"{service['service']}: {active} is active{of_release}, {confirmed}, {service['phase']}"


def brings(service: Answer) -> str:
    """Say which release a rollout under way brings, and where to."""
    rollout = service["rollout"]
    found = service["colours"][rollout["candidate"]]
    brought = release(found) if found["release"] == rollout["release"] else rollout["release"] or "a release"
    return f"{rollout['id']} brings {brought} to {rollout['candidate']}"


def release(found: Answer) -> str:
    """Name the release of a colour, with its version where it has one."""
    return f"{found['release']} ({found['version']})" if found["version"] else str(found["release"])


def gates(service: Answer) -> Text:
    """Name each gate of a rollout with its state."""
    text = Text()
    for gate, found in service["rollout"]["gates"].items():
        text.append(", " if text.plain else "")
        text.append(f"{gate} {found['state']}", style=GATE_STYLES.get(found["state"], ""))
    return text


def lease(service: Answer) -> str:
    """Say who deploys a service, and until when at most."""
    held = service["lease"]
    warning = f"; {held['warning']}" if held["warning"] else ""
    return f"{held['holder']} deploys it, until {clock(held['until'])} at most{warning}"


def override(service: Answer) -> str:
    """Say what a command decided against the file, who gave it, when and why."""
    kept = service["override"]
    by = f" by {kept['actor']}" if kept["actor"] else ""
    rejected = f", away from release {kept['rejected']}" if kept["rejected"] else ""
    return f"{kept['colour']}{rejected}{by}, {clock(kept['since'])}: {kept['reason']}"


def quarantined(service: Answer) -> Iterator[str]:
    """Name each release that failed, and how."""
    for one in service["quarantined"]:
        told = f"release {one['release'] or '-'} in {one['colour']}: {one['outcome']} in {one['rollout'] or '-'}"
        yield f"{told}, {clock(one['since'])}"


def healthy_of(found: Answer) -> str:
    """Say how many servers of a colour are healthy, of how many; "" where there are none."""
    healthy = sum(server["health"] == "healthy" for server in found["servers"])
    return f"{healthy}/{len(found['servers'])}" if found["servers"] else ""


def left(service: Answer, now: datetime | None = None) -> str:
    """Say how long the phase may yet take; "" where nothing ends it."""
    rollout = service["rollout"]
    if rollout is None or rollout["deadline"] is None:
        return ""
    return spoken((datetime.fromisoformat(rollout["deadline"]) - (now or utc_now())).total_seconds())


def age(since: str | None, now: datetime | None = None) -> str:
    """Say how long ago something was, in the largest unit that fits."""
    if since is None:
        return ""
    seconds = int(((now or utc_now()) - datetime.fromisoformat(since)).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{max(0, seconds)}s"


def clock(at: str) -> str:
    """Write a time of the API's for people."""
    return f"{datetime.fromisoformat(at).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
