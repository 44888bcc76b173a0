"""Texts for the answers of the admin API, shared by all that is drawn of them; ages count until `now`."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeVar, cast

from rich.text import Text

from provider.model import api_types as api
from provider.model.durations import spoken
from provider.model.text import escaped

T = TypeVar("T")

STATE_STYLES = {"healthy": "green", "unhealthy": "red", "mixed": "yellow", "starting": "yellow"}
GATE_STYLES = {"passed": "green", "failed": "red", "running": "yellow", "pending": "yellow", "skipped": "dim"}
OUTCOME_STYLES = {"switched": "green", "superseded": "dim"}
SEVERITY_STYLES = {"info": "dim", "warning": "yellow", "critical": "bold red"}
_LINES = frozenset("\t\n\r\f\v")


def utc_now() -> datetime:
    """Return the time of this machine."""
    return datetime.now(UTC)


def printable(value: T) -> T:
    """Return an answer with control characters escaped, and every text in one line."""
    return cast("T", _printable(value))


def _printable(value: object) -> object:
    match value:
        case str():
            return value if value.isprintable() else escaped("".join(" " if one in _LINES else one for one in value))
        case dict():
            return {_printable(key): _printable(each) for key, each in value.items()}
        case list():
            return [_printable(each) for each in value]
        case _:
            return value


def summary(service: api.Service) -> str:
    """Return the status of a service in one line."""
    active = service["active"]
    if active is None:
        return f"{service['service']}: no colour is active yet"
    found = service["colours"][active]
    of_release = f" with release {release(found)}" if found["release"] else ""
    confirmed = "confirmed" if service["confirmed"] else "not confirmed"
    return f"{service['service']}: {active} is active{of_release}, {confirmed}, {service['phase']}"


def rollout(service: api.Service) -> str:
    """Return the rollout under way with its release and colour; "" if there is none."""
    now = service["rollout"]
    if now is None:
        return ""
    found = service["colours"][now["candidate"]]
    named = release(found) if found["release"] == now["release"] else now["release"] or "a release"
    return f"{now['id']} brings {named} to {now['candidate']}"


def release(found: api.ColourStatus) -> str:
    """Return the release of a colour, with its version if it has one."""
    return f"{found['release']} ({found['version']})" if found["version"] else str(found["release"])


def gates(service: api.Service) -> Text:
    """Return each gate of a rollout with its state."""
    text, rollout = Text(), service["rollout"]
    for gate, found in rollout["gates"].items() if rollout is not None else ():
        text.append(", " if text.plain else "")
        text.append(f"{gate} {found['state']}", style=GATE_STYLES.get(found["state"], ""))
    return text


def lease(held: api.Lease) -> str:
    """Return who deploys a service, and until when at most."""
    warning = f"; {held['warning']}" if held["warning"] else ""
    return f"{held['holder']} is deploying, until {clock(held['until'])} at most{warning}"


def override(kept: api.Override) -> str:
    """Return what a command decided against the file, who gave it, when and why."""
    by = f" by {kept['actor']}" if kept["actor"] else ""
    rejected = f", away from release {kept['rejected']}" if kept["rejected"] else ""
    return f"{kept['colour']}{rejected}{by}, {clock(kept['since'])}: {kept['reason']}"


def quarantined(service: api.Service) -> Iterator[str]:
    """Yield each release that failed, and how."""
    for one in service["quarantined"]:
        failed = f"release {one['release'] or '-'} in {one['colour']}: {one['outcome']} in {one['rollout'] or '-'}"
        yield f"{failed}, {clock(one['since'])}"


def leader(replicas: Sequence[api.Replica]) -> str:
    """Return which of several replicas leads."""
    name = next((one["replica"] for one in replicas if one["leads"]), None)
    return f"{len(replicas)} {'replica' if len(replicas) == 1 else 'replicas'}, {name or 'none'} leads"


def not_current(replicas: Sequence[api.Replica]) -> str:
    """Return which replicas are away, or have an older document; "" where all is well."""
    away = [f"{one['replica']} is away" for one in replicas if one["away"]]
    behind = [
        f"{one['replica']} is behind, at revision {one['revision']}"
        for one in replicas
        if not one["away"] and not one["current"]
    ]
    return "; ".join(away + behind)


def poller(one: api.Poller) -> str:
    """Return the name of a poller, with the replica that it polls where that is another one than answers."""
    replica = one.get("replica")  # a daemon of an earlier version knows none
    return f"{one['poller']} at replica {replica}" if replica else one["poller"]


def healthy_of(found: api.ColourStatus) -> str:
    """Return how many servers of a colour are healthy, of how many; "" if there are none."""
    healthy = sum(server["health"] == "healthy" for server in found["servers"])
    return f"{healthy}/{len(found['servers'])}" if found["servers"] else ""


def left(service: api.Service, now: datetime | None = None) -> str:
    """Return how long the phase may still take; "" if it has no deadline."""
    rollout = service["rollout"]
    if rollout is None or rollout["deadline"] is None:
        return ""
    return spoken((datetime.fromisoformat(rollout["deadline"]) - (now or utc_now())).total_seconds())


def no_deadline(service: api.Service) -> str:
    """Return why a phase other than a step has no deadline: what stops its clock."""
    return "does not run while the rollout is held" if service["paused"] else "does not run until Docker answers"


def age(since: str | None, now: datetime | None = None) -> str:
    """Return how long ago something was, in the largest unit that fits."""
    if since is None:
        return ""
    seconds = int(((now or utc_now()) - datetime.fromisoformat(since)).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{max(0, seconds)}s"


def clock(at: str) -> str:
    """Return a time of the API for people."""
    return f"{datetime.fromisoformat(at).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
