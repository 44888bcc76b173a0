"""What was counted between two readings of a Traefik (rule 23).

A counter of Traefik's begins at 0 when its process does, and again when a configuration brings the service back that
an earlier one left out. So what a series shows after it fell, or after the process started over, has all been counted
since the last reading: never more is counted than there was. A reading that is missing makes the interval longer.
"""

from collections.abc import Iterable

from provider.model import Analysis, ByColour, Colour
from provider.model.analysed import ChildCounts, Counted, Followed, Sample, Tally, TraefikCounts

CLOCK_S = 1.5
"""By so much the date of an answer may be early: it has whole seconds."""
NOTHING_COUNTED = ChildCounts()


def between(before: TraefikCounts, after: TraefikCounts, followed: Followed) -> Sample | None:
    """Return what one Traefik counted of a service between two readings; None where that is not known.

    It is not where another process answers that was there before, as behind a load balancer: its counters say nothing
    of this interval.
    """
    is_anew = is_another(before, after)
    if is_anew and _was_there(before, after):
        return None
    was = before.children.get(followed.service)
    now = after.children.get(followed.service)
    if was is None or now is None:
        return None
    pairs = {
        colour: (NOTHING_COUNTED if is_anew or _fell(was[colour], now[colour]) else was[colour], now[colour])
        for colour in Colour
    }
    errors = ByColour(*(_errors(*pairs[colour], followed.analysis) for colour in Colour))
    slow = [_slow(*pairs[colour]) for colour in Colour]
    blue, green = slow
    return Sample(
        after.traefik,
        before.began_mono_s,
        errors,
        ByColour(blue, green) if blue is not None and green is not None else None,
    )


def is_another(before: TraefikCounts, after: TraefikCounts) -> bool:
    """Return whether another process of Traefik answered than before."""
    return before.started_s is not None and after.started_s is not None and before.started_s != after.started_s


def _was_there(before: TraefikCounts, after: TraefikCounts) -> bool:
    """Return whether the process that answered now ran when another one answered before."""
    if before.started_s is None or after.started_s is None:
        return False
    if after.started_s < before.started_s:
        return True
    return before.dated_s is not None and after.started_s < before.dated_s - CLOCK_S


def counted(tallies: ByColour[Tally], candidate: Colour) -> Counted:
    """Return the tallies of both colours by their roles."""
    return Counted(tallies[candidate.other], tallies[candidate])


def is_nothing(samples: Iterable[Sample]) -> bool:
    """Return whether nothing at all was answered."""
    return not any(
        tally.requests
        for one in samples
        for tallies in (one.errors, one.slow)
        if tallies
        for _, tally in tallies.items()
    )


def _fell(before: ChildCounts, after: ChildCounts) -> bool:
    if any(after.codes.get(code, 0) < count for code, count in before.codes.items()):
        return True
    return after.timed < before.timed or (
        before.within is not None and after.within is not None and after.within < before.within
    )


def _errors(before: ChildCounts, after: ChildCounts, analysis: Analysis) -> Tally:
    ranges = analysis.errors.statuses if analysis.errors else ()
    requests = bad = 0
    for code, count in after.codes.items():
        new = count - before.codes.get(code, 0)
        requests += new
        if any(first <= code <= last for first, last in ranges):
            bad += new
    return Tally(requests, bad)


def _slow(before: ChildCounts, after: ChildCounts) -> Tally | None:
    """Return how many took too long. The histogram is read beside the other counters, so it has requests of its own."""
    if before.within is None or after.within is None:
        return None
    timed, within = after.timed - before.timed, after.within - before.within
    return Tally(timed, max(0, timed - within))
