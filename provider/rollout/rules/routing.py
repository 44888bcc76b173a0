"""The rule on labels: what they say of the routing of the active colour is decided, and kept (rule 34)."""

from dataclasses import replace

from provider.model import Decision, Event, Instant, Snapshot, Trigger
from provider.model.routing import Routing
from provider.rollout.labelled import routing_of
from provider.rollout.rules.services import source
from provider.rollout.transitions import Taken, with_state

NAMES_SHOWN = 5


def follow_labels(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Take the routing of the active colour, where it has one that can be taken; else the last good one stays.

    That is the one of the file where labels come in its place.
    """
    for member in snapshot.members:
        active = member.state.active
        if member.service.labels is None or active is None:
            continue
        by_labels, before = routing_of(member.observed[active]), member.state.routing
        found = by_labels or member.unlabelled
        if found is None or found is before or found == before:
            continue
        row = Decision(
            now.utc,
            member.service.name,
            Event.ROUTED,
            active,
            member.observed[active].release,
            trigger=source(member, active) if by_labels else Trigger.FILE,
            detail=_changed(before, found) if by_labels else "the routing of the file stays until that of labels comes",
        )
        return with_state(snapshot, member, replace(member.state, routing=found)), (row,)
    return None


def _changed(before: Routing | None, after: Routing) -> str:
    """Say what the labels changed, by the names of routers, middlewares and endpoints."""
    was, now = _parts(before) if before is not None else {}, _parts(after)
    differ = [name for name in sorted(was.keys() | now.keys()) if was.get(name) != now.get(name)]
    more = f" and {len(differ) - NAMES_SHOWN} more" if len(differ) > NAMES_SHOWN else ""
    return f"labels: {', '.join(differ[:NAMES_SHOWN])}{more}" if differ else "labels"


def _parts(routing: Routing) -> dict[str, object]:
    parts: dict[str, object] = {f"router {one.name}": one for one in routing.routers}
    parts |= {f"endpoint {one.name}": one for one in routing.endpoints}
    for bodies in routing.middlewares.values():
        parts |= {f"middleware {name}": body for name, body in bodies.items()}
    return parts
