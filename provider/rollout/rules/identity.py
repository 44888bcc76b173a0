"""The rule on releases that are called otherwise than before: what was decided about them goes on (rule 40)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from provider.model import Candidate, Colour, Decision, Event, GroupState, Instant, Member, ServiceState, Snapshot
from provider.model.releases import ids_of, named
from provider.rollout.rules.services import source
from provider.rollout.transitions import Taken, with_state


@dataclass(frozen=True, slots=True)
class _Names:
    """The present ids of what runs in one colour of a service, by each id that it had before."""

    service: str
    colour: Colour
    present: Mapping[str, frozenset[str]]

    def of(self, release: str) -> str:
        """Return what a release is called now; what does not run keeps the name that it has."""
        if self.present.keys().isdisjoint(ids_of(release)):
            return release
        return named({new for id_ in ids_of(release) for new in self.present.get(id_, {id_})})

    def of_all(self, releases: Iterable[str]) -> frozenset[str]:
        return frozenset(map(self.of, releases))

    def listed(self, releases: str) -> str:
        """Return what several releases are called now that are written with commas between them."""
        return ", ".join(sorted(self.of_all(releases.split(", "))))

    def candidate(self, one: Candidate) -> Candidate:
        if one.release is None or (one.service, one.colour) != (self.service, self.colour):
            return one
        return replace(one, release=self.of(one.release))


def rename(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rule 40: what runs under a stored id by a former definition is the release that was meant; before all else."""
    for member in snapshot.members:
        for colour, observed in member.observed.items():
            present: dict[str, set[str]] = {}
            for server in observed.servers:
                for former in server.former:
                    present.setdefault(former, set()).add(server.release)
            running = {server.release for server in observed.servers}
            frozen = {former: frozenset(ids) for former, ids in present.items() if former not in running}
            if not frozen:
                continue
            taken = _renamed(snapshot, member, _Names(member.service.name, colour, frozen), now)
            if taken is not None:
                return taken
    return None


def _renamed(snapshot: Snapshot, member: Member, names: _Names, now: Instant) -> Taken | None:
    state, group = _state(member.state, names), _group(snapshot.state, names)
    if state == member.state and group == snapshot.state:
        return None
    names_now = "; ".join(f"{former} is now {named(ids)}" for former, ids in sorted(names.present.items()))
    row = Decision(
        now.utc,
        names.service,
        Event.RELEASE_RENAMED,
        names.colour,
        member.observed[names.colour].release,
        trigger=source(member, names.colour),
        detail=f"the same containers, whose release id covers other settings than before: {names_now}",
    )
    return replace(with_state(snapshot, member, state), state=group), (row,)


def _state(state: ServiceState, names: _Names) -> ServiceState:
    colour, back, override, replaced = names.colour, state.rollback_target, state.override, state.replaced
    state = replace(state, settled=state.settled.put(colour, names.of_all(state.settled[colour])))
    if back is not None and back.colour is colour and back.release is not None:
        state = replace(state, rollback_target=replace(back, release=names.of(back.release)))
    if override is not None and override.colour is colour.other and override.rejected:
        state = replace(state, override=replace(override, rejected=names.listed(override.rejected)))
    if replaced is not None and state.active is colour:
        before = replaced.before and names.of(replaced.before)
        state = replace(state, replaced=replace(replaced, release=names.listed(replaced.release), before=before))
    return state


def _group(group: GroupState, names: _Names) -> GroupState:
    under_way = group.rollout
    failed = tuple(replace(each, candidates=tuple(map(names.candidate, each.candidates))) for each in group.quarantined)
    if under_way is not None:
        own = [one for one in under_way.candidates if (one.service, one.colour) == (names.service, names.colour)]
        smoke = tuple(
            replace(each, release=names.of(each.release)) if own and each.service == names.service else each
            for each in under_way.smoke
        )
        under_way = replace(under_way, candidates=tuple(map(names.candidate, under_way.candidates)), smoke=smoke)
    return replace(group, rollout=under_way, quarantined=failed)
