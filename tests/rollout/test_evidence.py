"""The sequential tests of an analysis, held against arithmetic and against simulated rollouts (rule 23)."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count, product
from math import comb, exp, inf, log, log10
from random import Random
from statistics import median

import pytest

from provider.rollout.evidence import (
    FACTOR_MOST,
    RISKS,
    Counted,
    Evidence,
    Processes,
    Tally,
    gains_over_active,
    gains_over_limit,
    limit_log10,
    rates,
)

CONFIDENCE = 0.99
ROLLOUTS = 2_000
LIMIT = limit_log10(CONFIDENCE, 1)


def bad(random: Random, requests: int, rate: float) -> int:
    """Draw how many of these requests are bad, from gap to gap."""
    found, at = 0, 0
    while rate > 0:
        at += int(log(1.0 - random.random()) / log(1.0 - rate)) + 1
        if at > requests:
            break
        found += 1
    return found


def counted(random: Random, requests: int, share: float, rates: tuple[float, float]) -> Counted:
    """Draw what a Traefik counts of so many requests, each the candidate's by the share."""
    candidate = bad(random, requests, share)
    active = requests - candidate
    return Counted(
        Tally(active, bad(random, active, rates[0])),
        Tally(candidate, bad(random, candidate, rates[1])),
    )


def alarms(
    seed: int,
    intervals: Callable[[Random], Iterator[Sequence[Counted] | None]],
    *,
    begins: int = 1,
    rollouts: int = ROLLOUTS,
) -> int:
    """Return in how many simulated rollouts the evidence reaches the limit; None begins a step."""
    found = 0
    for number in range(rollouts):
        processes = Processes()
        for interval in intervals(Random(f"{seed} {number}")):
            if interval is None:
                processes = processes.step_begun()
                continue
            processes = processes.grown(gains_over_active(interval))
            if highest(processes) >= LIMIT and processes.log10(begins) >= LIMIT:
                found += 1
                break
    return found


def highest(processes: Processes) -> float:
    """Return what the evidence is at most, as it is a mean; it costs less."""
    return max(*processes.since_rollout.logarithms, *processes.since_step.logarithms) / log(10)


def until_found(random: Random, share: float, rates: tuple[float, float], each: int = 20) -> int:
    """Return after how many requests of the candidate a worse one is found."""
    processes, requests = Processes(), 0
    for _ in count():
        seen = counted(random, each, share, rates)
        requests += seen.candidate.requests
        processes = processes.grown(gains_over_active([seen]))
        if processes.log10(1) >= LIMIT or requests > 100_000:
            return requests
    raise AssertionError


# --- a good release fails in one of a hundred rollouts at most --------------------------------------------------------


@pytest.mark.parametrize(("active", "candidate", "total"), [(9, 1, 3), (5, 5, 4), (1, 9, 2), (30, 10, 12), (2, 3, 5)])
def test_the_mean_ratio_of_equal_colours_is_one_at_most(active: int, candidate: int, total: int) -> None:
    """Rule 23a, to the last draw: of so many bad answers the candidate's are hypergeometric."""
    draws = range(max(0, total - active), min(total, candidate) + 1)
    for number in range(len(RISKS)):
        mean = 0.0
        for of_candidate in draws:
            seen = Counted(Tally(active, total - of_candidate), Tally(candidate, of_candidate))
            chance = (
                comb(candidate, of_candidate) * comb(active, total - of_candidate) / comb(active + candidate, total)
            )
            mean += chance * exp(gains_over_active([seen])[number])
        assert 0 < mean <= 1 + 1e-9


@pytest.mark.parametrize(("most", "share"), list(product((0.01, 0.05, 0.5), (0.2, 0.9, 1.0))))
def test_the_mean_ratio_of_a_rate_within_the_limit_is_one_at_most(most: float, share: float) -> None:
    """Rule 23b."""
    requests, rate = 40, most * share
    for number in range(len(rates(most))):
        mean = 0.0
        for of_candidate in range(requests + 1):
            seen = Counted(Tally(), Tally(requests, of_candidate))
            chance = comb(requests, of_candidate) * rate**of_candidate * (1 - rate) ** (requests - of_candidate)
            mean += chance * exp(gains_over_limit([seen], most, Tally())[number])
        assert 0 <= mean <= 1 + 1e-9


@pytest.mark.parametrize("rate", [0.001, 0.02])
def test_an_equally_good_release_fails_in_one_of_a_hundred_rollouts_at_most(rate: float) -> None:
    """Rule 23a: 5,000 requests, looked at after every 100 of them, in three steps."""

    def intervals(random: Random) -> Iterator[Sequence[Counted] | None]:
        for number in range(50):
            share = (0.05, 0.25, 0.5)[min(number // 17, 2)]
            if number in {17, 34}:
                yield None
            yield [counted(random, 100, share, (rate, rate))]

    assert alarms(1, intervals, begins=3) <= ROLLOUTS * (1 - CONFIDENCE)


def test_many_steps_raise_no_more_alarms() -> None:
    """Rule 23a: each of 48 steps has a process of its own, and each is a chance to err."""

    def intervals(random: Random) -> Iterator[Sequence[Counted] | None]:
        for number in range(480):
            if number and number % 10 == 0:
                yield None
            yield [counted(random, 160, 2 * (number // 10 + 1) / 100, (0.05, 0.05))]

    assert alarms(4, intervals, begins=48, rollouts=300) <= 300 * (1 - CONFIDENCE)


def test_shares_that_change_every_interval_raise_no_more_alarms() -> None:
    """Rule 23a."""

    def intervals(random: Random) -> Iterator[Sequence[Counted] | None]:
        for _ in range(50):
            yield [counted(random, 100, random.uniform(0.01, 0.99), (0.02, 0.02))]

    assert alarms(2, intervals) <= ROLLOUTS * (1 - CONFIDENCE)


def test_traefiks_with_rates_of_their_own_and_one_that_steps_late_raise_no_more_alarms() -> None:
    """Rule 23a: pooled they would show a difference between the colours that is one between the Traefiks."""

    def intervals(random: Random) -> Iterator[Sequence[Counted] | None]:
        for number in range(50):
            shares = (0.05 if number < 20 else 0.5, 0.05 if number < 35 else 0.5)
            yield [
                counted(random, 50, shares[0], (0.001, 0.001)),
                counted(random, 50, shares[1], (0.1, 0.1)),
            ]

    assert alarms(3, intervals) <= ROLLOUTS * (1 - CONFIDENCE)


# --- a bad release is found -------------------------------------------------------------------------------------------


def test_many_errors_are_found_within_a_hundred_requests_of_the_candidate() -> None:
    """Rule 23: 5 % against 0.1 %, at a tenth of the requests, in the median."""
    found = [until_found(Random(f"many {number}"), 0.1, (0.001, 0.05)) for number in range(500)]
    assert median(found) <= 100


def test_three_times_as_many_errors_are_found_within_five_thousand_requests() -> None:
    """Rule 23: 3 % against 1 %, at half of the requests, in 95 of a hundred."""
    found = [until_found(Random(f"few {number}"), 0.5, (0.01, 0.03), each=100) for number in range(500)]
    assert sum(requests <= 5_000 for requests in found) >= 0.95 * len(found)


def test_what_appears_late_is_found_by_the_process_of_its_step() -> None:
    """Rule 23a: what went well before hides it from the process of the whole rollout."""
    processes = Processes()
    for _ in range(200):
        processes = processes.grown(gains_over_active([Counted(Tally(900, 9), Tally(100, 1))]))
    processes = processes.step_begun()
    intervals = 0
    while processes.log10(3) < LIMIT:
        processes = processes.grown(gains_over_active([Counted(Tally(900, 9), Tally(100, 5))]))
        intervals += 1
    assert processes.since_step.log10 >= LIMIT > processes.since_rollout.log10
    assert intervals < 10


@pytest.mark.parametrize("rate", [0.1, 0.2])
def test_colours_that_both_exceed_a_limit_fail_in_one_of_a_hundred_rollouts_at_most(rate: float) -> None:
    """Rule 23b: with few requests the active colour is within the limit in many an interval, by chance."""
    found = 0
    for number in range(500):
        random, active, evidence = Random(f"both {rate} {number}"), Tally(), Evidence()
        for _ in range(60):
            seen = counted(random, 20, 0.5, (rate, rate))
            evidence = evidence.grown(gains_over_limit([seen], 0.05, active))
            active += seen.active
            if evidence.log10 >= LIMIT:
                found += 1
                break
    assert found <= 500 * (1 - CONFIDENCE)


def test_a_candidate_over_a_limit_is_found_beside_an_active_colour_within_it() -> None:
    """Rule 23b: 10 % against 5 %, where the active colour has 2 %, in 95 of a hundred within 6,000 requests."""
    found = 0
    for number in range(300):
        random, active, evidence = Random(f"over {number}"), Tally(), Evidence()
        for _ in range(120):
            seen = counted(random, 50, 0.5, (0.02, 0.1))
            evidence = evidence.grown(gains_over_limit([seen], 0.05, active))
            active += seen.active
            if evidence.log10 >= LIMIT:
                found += 1
                break
    assert found >= 0.95 * 300


# --- single steps of the arithmetic -----------------------------------------------------------------------------------


def test_one_interval_multiplies_the_evidence_by_ten_at_most() -> None:
    """Rule 23a: one burst decides nothing."""
    burst = gains_over_active([Counted(Tally(1000, 0), Tally(1000, 1000))])
    assert Evidence().grown(burst).log10 <= log10(FACTOR_MOST) + 1e-9
    assert Evidence().grown(burst).grown(burst).log10 <= 2 * log10(FACTOR_MOST) + 1e-9


def test_no_bad_answer_and_no_request_say_nothing() -> None:
    """Rule 23d: no data is neither pass nor fail."""
    for interval in ([], [Counted(Tally(), Tally())], [Counted(Tally(100, 0), Tally(10, 0))]):
        assert Evidence().grown(gains_over_active(interval)).log10 == 0
    assert Evidence().log10 == Evidence().grown(gains_over_limit([], 0.05, Tally())).log10 == 0


def test_an_interval_in_which_the_active_colour_exceeds_the_limit_says_nothing() -> None:
    """Rule 23b: an outage that both share is not the release's."""
    both = [Counted(Tally(100, 30), Tally(100, 40))]
    assert Evidence().grown(gains_over_limit(both, 0.05, Tally())).log10 == 0
    assert Evidence().grown(gains_over_limit([Counted(Tally(100, 0), Tally(100, 40))], 0.05, Tally())).log10 > 0


def test_a_limit_is_exceeded_by_every_answer_that_is_bad_and_by_none_that_is_good() -> None:
    """Rule 23b: from 1.5 times the limit to 1, and a rate of 1 is over with the first good answer."""
    for most in (0.001, 0.05, 0.7, 0.99):
        found = rates(most)
        assert found[0] == pytest.approx(min(1.5 * most, 1.0))
        assert found[-1] == 1.0
        assert list(found) == sorted(found)
    gains = gains_over_limit([Counted(Tally(), Tally(10, 9))], 0.05, Tally())
    assert gains[-1] == -inf
    assert all(gain > -inf for gain in gains[:-1])


def test_tests_share_their_limit() -> None:
    """Rule 23a: each of the file's runs two processes."""
    assert limit_log10(0.99, 1) == pytest.approx(log10(200))
    assert limit_log10(0.99, 3) == pytest.approx(log10(600))
