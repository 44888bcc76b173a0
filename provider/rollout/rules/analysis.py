"""Rules on an analysis: its evidence is kept with the rollout, and what fails in the watch is rolled back (rule 23).

A step that fails is ended with the other rules on steps: gate `analysis` says so.
"""

from dataclasses import replace

from provider.model import Instant, Phase, Snapshot
from provider.model.analysed import AnalysisEvidence
from provider.rollout import analysing, watching
from provider.rollout.rules import after_switch
from provider.rollout.transitions import Taken, with_rollout


def keep(snapshot: Snapshot, now: Instant) -> Taken | None:
    """P5: what was counted is kept with the rollout before anything is decided on it; no row of the history tells.

    Each interval counts once: the evidence knows up to which it has them.
    """
    under_way = snapshot.state.rollout
    if under_way is None or not analysing.is_on(under_way):
        return None
    members = {member.service.name: member for member in snapshot.members}
    moving = [(members[one.service], one) for one in under_way.candidates if one.service in members]
    tests_of_all = sum(len(analysing.tests(each.service.analysis)) for each, _ in moving if each.service.analysis)
    kept = {found.service: found for found in under_way.analysis}
    changed = dict[str, AnalysisEvidence]()
    for member, one in moving:
        if member.service.analysis is None:
            continue
        found = analysing.grown(member, one, under_way, max(1, tests_of_all), now)
        known = kept.get(one.service)
        if (found.upto > known.upto) if known is not None else found.upto > 0:
            changed[one.service] = found
    if not changed:
        return None
    return with_rollout(snapshot, replace(under_way, analysis=tuple((kept | changed).values()))), ()


def roll_back_failing(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rules 8 and 23b: in the watch a test against a rate, or a query, fails a release whose rollback target passes.

    The old colour has no requests that could be compared: its checks have to pass, since the watch began.
    """
    under_way = snapshot.state.rollout
    if under_way is None or under_way.phase is not Phase.WATCHING or under_way.forced is not None:
        return None
    for member, reason in analysing.failing_in_watch(snapshot):
        found = watching.Failing(under_way.entered_mono_s, reason)
        if not watching.target_passes(member, found, now)[0]:
            continue
        if not snapshot.docker_connected and watching.rests_on_docker(member):
            continue
        if (taken := after_switch.roll_back(snapshot, under_way, reason, now)) is not None:
            return taken
    return None


def wakes_mono_s(snapshot: Snapshot, now: Instant) -> list[float]:
    """Return when time alone may change what these rules say."""
    under_way = snapshot.state.rollout
    if under_way is None:
        return []
    wakes = [
        watching.target_passes(member, watching.Failing(under_way.entered_mono_s, why), now)[1]
        for member, why in analysing.failing_in_watch(snapshot)
    ]
    return [wake_mono_s for wake_mono_s in wakes if wake_mono_s is not None]
