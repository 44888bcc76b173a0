"""The sequential tests of an analysis: is a candidate worse than the active colour, or than a limit (rule 23)?

**Worse than the active colour.** One Traefik counted, in one interval, requests of both colours, a share `p` of them
the candidate's. Were both equally good, each bad answer would be the candidate's with probability `p`, whatever the
rate of errors is, so neither the rate nor its changes have to be known. Were the candidate `r` times as bad, it would
be the candidate's with probability `rp / (1 + (r - 1)p)`. Of `b` bad answers, `c` of them the candidate's, the
likelihood ratio of the two is

    r^c / (1 + (r - 1)p)^b

Under equality its mean is at most 1: `c` is hypergeometric, and the mean of a convex function of a draw without
replacement is at most that of a draw with it (Hoeffding 1963, theorem 4), which is exactly 1 here. So the product over
intervals and Traefiks, whose shares and rates may all differ, is a supermartingale that starts at 1. By Ville's
inequality (1939) it ever reaches `L` with probability `1/L` at most: it may be looked at after every interval.

**Against a limit.** `n` requests of the candidate, `c` of them bad: `(q/m)^c ((1-q)/(1-m))^(n-c)` compares a rate of
`q` with one of `m`. Its mean is at most 1 for each rate up to `m`.

**Alternatives.** `r` is not known, so the ratios are kept for a grid of risks, and their mean is the evidence (a
mixture, as in Robbins 1970): a mean of supermartingales is one. It is taken last. A product of per-interval means would
mix the risks again in each interval, and so never learn which one holds.

**Bounds.** What one interval adds is cut at a factor of 10: one burst of errors decides nothing, and a smaller ratio
keeps the inequality. `k` tests at a confidence of `0.99` share the limit `k / (1 - 0.99)` (Bonferroni). A process that
starts over with each step shares it between these, or 48 steps would fail 3 % of good releases (simulated).

What is assumed: requests that fail independently of each other. One client in a loop breaks that.
"""

from collections.abc import Iterable
from math import inf, log, log1p, log10

from provider.model.analysed import FACTOR_MOST, Counted, Evidence, Processes, Tally

__all__ = [
    "FACTOR_MOST",
    "FIRST_RATE",
    "PROCESSES",
    "RATES",
    "RISKS",
    "Counted",
    "Evidence",
    "Processes",
    "Tally",
    "gains_over_active",
    "gains_over_limit",
    "limit_log10",
    "rates",
]

RISKS = (1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 35.0, 60.0, 100.0)
"""How many times as bad as the active colour a candidate may be."""
RATES = 10
"""How many rates above a limit are alternatives to it."""
FIRST_RATE = 1.5
"""The lowest of them, in units of the limit."""
PROCESSES = 2
"""How many of the tests that share a limit stand behind one of the file."""


def limit_log10(confidence: float, tests: int) -> float:
    """Return the evidence at which one of so many tests of the file fails, as a power of ten."""
    return log10(PROCESSES * tests / (1 - confidence))


def gains_over_active(interval: Iterable[Counted]) -> tuple[float, ...]:
    """Return what an interval, as each Traefik counted it, says for each of `RISKS`."""
    gains = [0.0] * len(RISKS)
    for counted in interval:
        requests = counted.active.requests + counted.candidate.requests
        bad = counted.active.bad + counted.candidate.bad
        if not bad:
            continue
        share = counted.candidate.requests / requests
        for number, risk in enumerate(RISKS):
            gains[number] += counted.candidate.bad * log(risk) - bad * log1p((risk - 1) * share)
    return tuple(gains)


def gains_over_limit(interval: Iterable[Counted], most: float, active: Tally) -> tuple[float, ...]:
    """Return what an interval says for each rate above `most`, a rate between 0 and 1 (both left out).

    What a Traefik counted says nothing where its active colour exceeds the limit too, and all of it says nothing where
    that does so since the step began: `active` is what was counted of it before. Were it left to each interval alone, a
    colour with few requests would be within the limit by chance in many, and the candidate be blamed in these.
    """
    all_ = list(interval)
    active = sum((one.active for one in all_), start=active)
    is_void = active.bad > most * active.requests
    seen = [one.candidate for one in all_ if not is_void and one.active.bad <= most * one.active.requests]
    requests, bad = sum(one.requests for one in seen), sum(one.bad for one in seen)
    return tuple(_gain(rate, most, requests, bad) for rate in rates(most))


def rates(most: float) -> tuple[float, ...]:
    """Return the alternatives to a limit, evenly spaced as logarithms: from 1.5 times the limit to 1."""
    lowest = min(FIRST_RATE * most, 1.0)
    return tuple(lowest ** (1 - number / (RATES - 1)) for number in range(RATES))


def _gain(rate: float, most: float, requests: int, bad: int) -> float:
    good = requests - bad
    if good and rate == 1.0:
        return -inf
    return bad * log(rate / most) + (good * log((1 - rate) / (1 - most)) if good else 0.0)
