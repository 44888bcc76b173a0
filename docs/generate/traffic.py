"""How much traffic an analysis needs: the tables of docs/steps.md, from simulated rollouts.

`python -m docs.generate.traffic` writes them, in some minutes. Each cell has a seed of its own, so a test can draw a
few of them again. Errors are drawn and judged by the code of the daemon; what is left out are the file, Traefik and
the clock.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import exp, log
from pathlib import Path
from random import Random
from statistics import median, quantiles

from docs.generate.markdown import table
from provider.rollout.evidence import Counted, Processes, Tally, gains_over_active, limit_log10

PAGE = Path(__file__).parent.parent / "steps.md"
BEGIN, END = "<!-- traffic: python -m docs.generate.traffic -->", "<!-- end of traffic -->"

CONFIDENCE = 0.99
LIMIT_LOG10 = limit_log10(CONFIDENCE, 1)
EVERY_S = 10.0
WARMUP_S = 30.0
MIN_REQUESTS = 200
STEPS = ((5, 300.0), (25, 600.0), (50, 600.0))
"""Weight and seconds of each."""
AN_INTERVAL = 10
"""Requests of the candidate in an interval, where it is asked how many are needed."""
ENOUGH = 200_000
"""So many requests of the candidate are looked at, at most."""

REGRESSIONS = ((0.1, 0.5), (0.1, 1.0), (0.1, 5.0), (1.0, 2.0), (1.0, 3.0), (1.0, 5.0), (5.0, 10.0))
"""Errors of the active colour and of the candidate, in per cent."""
SHARES = (5, 25, 50)
A_SECOND = (1, 10, 100)
EQUAL = (0.1, 1.0, 5.0)
CLIENTS = (20, 100, 1000)


@dataclass(frozen=True, slots=True)
class Runs:
    """How many rollouts are simulated for a cell of each table."""

    needed: int = 1000
    found: int = 1000
    alarms: int = 4000


@dataclass(frozen=True, slots=True)
class Found:
    """Where a rollout ended: in which step (0: it was switched) and after how many minutes."""

    step: int
    minutes: float


class Judge:
    """The evidence of one rollout; an interval without a bad answer says nothing."""

    def __init__(self) -> None:
        self._processes = Processes()

    def step_begun(self) -> None:
        self._processes = self._processes.step_begun()

    def fails(self, counted: Counted) -> bool:
        """Count an interval; return whether the evidence reaches the limit."""
        if not counted.active.bad and not counted.candidate.bad:
            return False
        self._processes = self._processes.grown(gains_over_active([counted]))
        return self._processes.log10(len(STEPS)) >= LIMIT_LOG10


def some(random: Random, mean: float) -> int:
    """Draw how many requests come (Poisson); near enough where they are many."""
    if mean > 50:
        return max(0, round(random.gauss(mean, mean**0.5)))
    found, product, least = 0, random.random(), exp(-mean)
    while product > least:
        found += 1
        product *= random.random()
    return found


def bad(random: Random, requests: int, rate: float) -> int:
    """Draw how many of these requests are bad, from one to the next."""
    found, at = 0, 0
    while 0 < rate < 1:
        at += int(log(1.0 - random.random()) / log(1.0 - rate)) + 1
        if at > requests:
            return found
        found += 1
    return requests if rate else 0


def tally(random: Random, requests: int, rate: float) -> Tally:
    return Tally(requests, bad(random, requests, rate))


# --- how many requests ----------------------------------------------------------------------------------------------


def needed(random: Random, share: int, rates: tuple[float, float]) -> int:
    """Return after how many requests of the candidate it fails."""
    judge, requests, others = Judge(), 0, AN_INTERVAL * (100 - share) / share
    while requests < ENOUGH:
        requests += AN_INTERVAL
        active = tally(random, some(random, others), rates[0] / 100)
        if judge.fails(Counted(active, tally(random, AN_INTERVAL, rates[1] / 100))):
            break
    return requests


def needed_cell(runs: Runs, rates: tuple[float, float], share: int) -> str:
    seed = f"needed {rates} {share}"
    found = sorted(needed(Random(f"{seed} {number}"), share, rates) for number in range(runs.needed))
    half, most = quantiles(found, n=20, method="inclusive")[9::9]
    return f"{_number(half)} / {_number(most)}"


# --- in which step --------------------------------------------------------------------------------------------------


def rollout(random: Random, a_second: int, rates: Mapping[int, tuple[float, float]]) -> Found:
    """Play the steps; `rates` are the errors of both colours by the weight of the step."""
    judge, now_s = Judge(), 0.0
    for number, (weight, for_s) in enumerate(STEPS, 1):
        judge.step_begun()
        begun_s, requests = now_s, 0
        now_s += WARMUP_S
        while now_s - begun_s < for_s or requests < MIN_REQUESTS:
            now_s += EVERY_S
            each = a_second * EVERY_S / 100
            active, candidate = some(random, each * (100 - weight)), some(random, each * weight)
            requests += candidate
            of_active, of_candidate = (rate / 100 for rate in rates[weight])
            if judge.fails(Counted(tally(random, active, of_active), tally(random, candidate, of_candidate))):
                return Found(number, now_s / 60)
    return Found(0, now_s / 60)


def rollouts(runs: int, a_second: int, rates: tuple[float, float]) -> list[Found]:
    rates_of = dict.fromkeys((weight for weight, _ in STEPS), rates)
    seed = f"rollout {a_second} {rates}"
    return [rollout(Random(f"{seed} {number}"), a_second, rates_of) for number in range(runs)]


def found_row(runs: Runs, a_second: int, rates: tuple[float, float]) -> list[str]:
    """Return how often it is found in each step and not at all, and when."""
    played = rollouts(runs.found, a_second, rates)
    ended = [one.minutes for one in played if one.step]
    parts = [sum(one.step == step for one in played) for step in (1, 2, 3, 0)]
    return [
        f"{a_second}/s",
        _rates(rates),
        *(_percent(part, len(played)) for part in parts),
        f"{median(ended):.0f} min" if 2 * len(ended) >= len(played) else "-",
    ]


def takes(runs: Runs, a_second: int) -> str:
    """Return how long a release without errors takes."""
    return f"{median(one.minutes for one in rollouts(max(3, runs.found // 50), a_second, (0.0, 0.0))):.0f} min"


# --- false alarms ---------------------------------------------------------------------------------------------------


def alarm_cell(runs: Runs, a_second: int, rate: float) -> str:
    """Return how often a release fails that is as good as the active one."""
    return _percent(sum(bool(one.step) for one in rollouts(runs.alarms, a_second, (rate, rate))), runs.alarms, 1)


def stays_cell(runs: Runs, a_second: int, clients: int) -> str:
    """Return how often a good release fails where one of so many clients always fails, and clients stay."""
    seed, found = f"stays {a_second} {clients}", 0
    for number in range(runs.alarms):
        random = Random(f"{seed} {number}")
        place, part = 100 * random.random(), 100 / clients
        rates = {
            weight: (0.0, min(100.0, 100 * part / weight)) if place < weight else (100 * part / (100 - weight), 0.0)
            for weight, _ in STEPS
        }
        found += bool(rollout(random, a_second, rates).step)
    return _percent(found, runs.alarms)


# --- the tables -----------------------------------------------------------------------------------------------------


def tables(runs: Runs) -> Iterator[str]:
    """Yield the paragraphs and tables of the section, one after the other."""
    yield (
        f"Requests of the candidate until the regression is found, in 50 % / 95 % of {_number(runs.needed)} rollouts, "
        f"with {AN_INTERVAL} of them in each interval:"
    )
    yield table(
        ("Errors, active -> candidate", *(f"share {share} %" for share in SHARES)),
        [[_rates(rates), *(needed_cell(runs, rates, share) for share in SHARES)] for rates in REGRESSIONS],
    )
    yield (
        f"In which step it is found, of {_number(runs.found)} rollouts with the steps {_steps()}, `warmup: 30s` and "
        f"`minRequests: {MIN_REQUESTS}`. A step lasts longer where these requests have not come: without errors the "
        f"rollout takes {', '.join(f'{takes(runs, each)} at {each}/s' for each in A_SECOND)}."
    )
    yield table(
        (
            "Requests",
            "Errors, active -> candidate",
            "in step 1",
            "in step 2",
            "in step 3",
            "not found",
            "half of all after",
        ),
        [found_row(runs, a_second, rates) for a_second in A_SECOND for rates in REGRESSIONS],
    )
    yield f"False alarms, of {_number(runs.alarms)} rollouts of a release that is as good as the active one:"
    yield table(
        ("Errors of both", *(f"{each}/s" for each in A_SECOND)),
        [[f"{rate:g} %", *(alarm_cell(runs, each, rate) for each in A_SECOND)] for rate in EQUAL],
    )
    yield "The same, where clients stay (`affinity`, `sticky`) and one of them always fails, whatever serves it:"
    yield table(
        ("One of", *(f"{each}/s" for each in A_SECOND)),
        [
            [f"{_number(clients)} clients", *(stays_cell(runs, each, clients) for each in A_SECOND)]
            for clients in CLIENTS
        ],
    )


def replaced(page: str, section: str) -> str:
    """Return the page with another section."""
    before, begun, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    assert begun, f"{PAGE}: has no {BEGIN}"
    assert ended, f"{PAGE}: has no {END}"
    return f"{before}{BEGIN}\n\n{section}\n\n{END}{after}"


def _steps() -> str:
    return ", ".join(f"{weight} % for {for_s / 60:g} min" for weight, for_s in STEPS)


def _rates(rates: tuple[float, float]) -> str:
    return f"{rates[0]:g} -> {rates[1]:g} %"


def _percent(part: int, of: int, digits: int = 0) -> str:
    return f"{100 * part / of:.{digits}f} %"


def _number(value: float) -> str:
    """Return a count with two digits that count; ENOUGH is where nobody looked on."""
    if value >= ENOUGH:
        return f"over {ENOUGH:,}"
    return f"{value:,.0f}"


def main() -> None:
    """Write the section into its page."""
    PAGE.write_text(replaced(PAGE.read_text(), "\n\n".join(tables(Runs()))))


if __name__ == "__main__":
    main()
