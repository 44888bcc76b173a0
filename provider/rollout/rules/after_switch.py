"""Rules on a rollout after its switch: confirmed by Traefik, watched, rolled back on evidence."""

from provider.model import Event, Instant, Member, Phase, Rollout, Snapshot, Trigger
from provider.rollout import confirming, rollback_target, watching
from provider.rollout.candidates import member_of, other_colour
from provider.rollout.transitions import Taken, advance, end_regrouped, names


def end_changed(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rules 9, 11 and 12: other members, no service any more, or another colour in the file end what was switched."""
    under_way = snapshot.state.rollout
    if under_way is None or not under_way.is_switched:
        return None
    if under_way.members != names(snapshot):
        return end_regrouped(snapshot, now)
    chosen = other_colour(snapshot)
    return advance(snapshot, Event.SUPERSEDED, now, f"the file names the other colour of {chosen}") if chosen else None


def roll_back_not_applied(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rule 7: roll back for new errors that Traefik reports, or for old weights still shown at the deadline."""
    under_way = _confirming(snapshot)
    if under_way is None:
        return None
    for member in _moved(snapshot, under_way):
        reason = confirming.new_errors(member, under_way, under_way.errors_before)
        if reason is None and _is_due(under_way, now):
            reason = confirming.not_applied(member, under_way)
        if reason is not None and (taken := roll_back(snapshot, under_way, reason, now)) is not None:
            return taken
    return None


def roll_back_failing(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rule 8: from the commit on, a release that fails while the rollback target passes is left.

    One whose last check has passed is given the time to recover: when an outage that both shared is over, the
    rollback target may well be healthy first.
    """
    under_way = snapshot.state.rollout
    if under_way is None or not under_way.is_switched or under_way.forced is not None:
        return None
    for member, found in _failing(snapshot, under_way):
        if found.is_recovering or not watching.target_passes(member, found, now)[0]:
            continue
        if not snapshot.docker_connected and watching.rests_on_docker(member):
            continue  # what it said before it was away may be long past
        if (taken := roll_back(snapshot, under_way, found.reason, now)) is not None:
            return taken
    return None


def confirm(snapshot: Snapshot, now: Instant) -> Taken | None:
    """The watch begins when every Traefik shows the switch; or at the deadline, unconfirmed (rules 7 and 8)."""
    under_way = _confirming(snapshot)
    if under_way is None:
        return None
    # Errors for which nothing can be rolled back yet are no proof either.
    before = under_way.errors_before
    whys = (
        confirming.new_errors(each, under_way, before) or confirming.unconfirmed(each, under_way)
        for each in _moved(snapshot, under_way)
    )
    missing = next((why for why in whys if why), None)
    if missing is None:
        evidence = [one.traefik for each in _moved(snapshot, under_way) for one in each.applied]
        proof = tuple(f"Traefik at {traefik} shows it" for traefik in sorted(set(evidence)))
        return advance(snapshot, Event.CONFIRMED, now, evidence=proof or ("every poller fetched the document",))
    return advance(snapshot, Event.UNCONFIRMED, now, missing) if _is_due(under_way, now) else None


def end_watch(snapshot: Snapshot, now: Instant) -> Taken | None:
    """The release is settled when it was watched for long enough; one that is failing gets as long again."""
    under_way = snapshot.state.rollout
    if under_way is None or under_way.phase is not Phase.WATCHING or not _is_due(under_way, now):
        return None
    failing = _failing(snapshot, under_way)
    # A short watch must not end before time alone shows whether the rollback target passes.
    is_open = any(watching.target_passes(member, found, now)[1] is not None for member, found in failing)
    if failing and (now.mono_s < grace_mono_s(under_way) or is_open):
        return None
    detail = f"watched to the end, and failing: {failing[0][1].reason}" if failing else None
    return advance(snapshot, Event.WATCHED, now, detail)


def grace_mono_s(under_way: Rollout) -> float:
    """Return when the watch over a failing release ends as well."""
    due_mono_s = under_way.deadline_mono_s or under_way.entered_mono_s
    return due_mono_s + (due_mono_s - under_way.entered_mono_s)


def to_count(snapshot: Snapshot) -> frozenset[str]:
    """Name the services with new traffic while it is not known how often a container of theirs died (rule 5)."""
    under_way = snapshot.state.rollout
    if under_way is None or not under_way.weight or not snapshot.docker_connected:
        return frozenset()
    there = {member.service.name: member for member in snapshot.members}
    return frozenset(
        one.service
        for one in under_way.candidates
        if one.service in there and watching.is_uncounted(there[one.service].observed[one.colour])
    )


def wakes_mono_s(snapshot: Snapshot, now: Instant) -> list[float]:
    """Return when time alone may change what these rules say, besides the deadline."""
    under_way = snapshot.state.rollout
    if under_way is None or not under_way.is_switched:
        return []
    failing = _failing(snapshot, under_way)
    wakes = (watching.target_passes(member, found, now)[1] for member, found in failing)
    times = [grace_mono_s(under_way)] if failing else []
    return times + [wake_mono_s for wake_mono_s in wakes if wake_mono_s is not None]


def roll_back(snapshot: Snapshot, under_way: Rollout, reason: str, now: Instant) -> Taken | None:
    """Roll back all that moved, or none: where one target is not ready, staying is the lesser evil (rule 11)."""
    moved = _moved(snapshot, under_way)
    if any(rollback_target.not_ready(member, snapshot.state) for member in moved):
        return None
    return rollback_target.roll_back(snapshot, moved, now, reason, trigger=Trigger.WATCH, actor=None)


def _failing(snapshot: Snapshot, under_way: Rollout) -> list[tuple[Member, watching.Failing]]:
    """Return the members that moved and fail since."""
    before = under_way.deaths_before
    return [
        (member, found)
        for member in _moved(snapshot, under_way)
        if (found := watching.failing(member, member.state.active, before))
    ]


def _moved(snapshot: Snapshot, under_way: Rollout) -> list[Member]:
    return [member_of(snapshot, one.service) for one in under_way.candidates]


def _confirming(snapshot: Snapshot) -> Rollout | None:
    under_way = snapshot.state.rollout
    return under_way if under_way is not None and under_way.phase is Phase.CONFIRMING else None


def _is_due(under_way: Rollout, now: Instant) -> bool:
    return under_way.deadline_mono_s is not None and under_way.clock_mono_s(now) >= under_way.deadline_mono_s
