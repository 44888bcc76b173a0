"""The evidence of an analysis: kept with the rollout, once, and what a gate and a watch make of it (rule 23)."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.model import (
    Analysis,
    ByColour,
    Canary,
    Checks,
    Event,
    GateState,
    Member,
    Phase,
    Rollout,
    Snapshot,
    Step,
    StepState,
)
from provider.model.analysed import Analysed, Answer, Followed, Interval, Numbered, Sample, Tally
from provider.model.dates import time_status
from provider.model.progressive import Errors, Limits, Prometheus, Query, Slow
from provider.rollout import analysing
from provider.rollout.analysis_status import analysis_status
from provider.rollout.facts import ServiceFacts
from provider.rollout.gates import analysis as gate
from provider.rollout.gates.asked import Asked, Verdict
from provider.rollout.reconcile import reconcile
from provider.rollout.rules import analysis as rules
from provider.store.records import GROUPS
from tests.support.phases import NEW, OLD, group, moved, old
from tests.support.worlds import BLUE, GREEN, at, candidate, runs, server, service

BOTH = Limits(0.99, 0.05)
ANALYSIS = Analysis(
    prometheus=Prometheus("http://prometheus:9090"),
    warmup_s=30.0,
    min_requests=100,
    errors=Errors(limits=BOTH),
    slow=Slow(1.2, BOTH),
    queries=(Query("queue", "queue", most=100.0, failures=3),),
)
SHOWN_S = 1000.0
COUNTS_S = SHOWN_S + 30.0
CANARY = Canary((Step(5, 600.0), Step(50, 600.0)))


def sample(
    active: tuple[int, int], new: tuple[int, int], since_s: float = COUNTS_S, traefik: str = "t1", **slow: Any
) -> Sample:
    found = ByColour(Tally(*active), Tally(*new))
    return Sample(traefik, since_s, found, slow.get("slow", ByColour(Tally(active[0]), Tally(new[0]))))


def interval(number: int, *samples: Sample) -> Interval:
    return Interval(number, samples)


def answer(number: int, value: float, at_s: float = COUNTS_S, name: str = "queue") -> Numbered:
    return Numbered(number, Answer(Followed("shop", GREEN, ANALYSIS), name, at_s, value))


def stepping(of: Member, number: int = 1, *, shown_s: float | None = SHOWN_S, **fields: Any) -> Snapshot:
    """Be in a step."""
    found = group(Phase.SHIFTING, of)
    assert found.state.rollout is not None
    step = StepState(number, at().utc, SHOWN_S, shown_s)
    return with_rollout(found, canary=CANARY, step=step, **fields)


def with_rollout(of: Snapshot, **fields: Any) -> Snapshot:
    assert of.state.rollout is not None
    return replace(of, state=replace(of.state, rollout=replace(of.state.rollout, **fields)))


def seen(
    *intervals: Interval, answers: tuple[Numbered, ...] = (), analysis: Analysis = ANALYSIS, **fields: Any
) -> Member:
    analysed = Analysed(intervals, answers, is_read=True)
    return replace(old(service(analysis=analysis)), analysed=analysed, **fields)


def kept(of: Snapshot, now_s: float = 1100.0) -> Snapshot:
    """Take what the rule offers; the same where it has nothing to say."""
    taken = rules.keep(of, at(now_s))
    if taken is None:
        return of
    after, rows = taken
    assert rows == ()
    assert rules.keep(after, at(now_s)) is None
    return after


def under_way(of: Snapshot) -> Rollout:
    assert of.state.rollout is not None
    return of.state.rollout


def totals(of: Snapshot) -> tuple[Tally, Tally]:
    (found,) = under_way(of).analysis
    return found.errors.since_step.active, found.errors.since_step.candidate


def judged(of: Snapshot, now_s: float = 1100.0) -> Verdict:
    (member,) = of.members
    return gate.verdict(Asked(member, candidate(), under_way(of), at(now_s), True))


# --- kept -----------------------------------------------------------------------------------------------------------


def test_what_was_counted_is_kept_once() -> None:
    """Rule 23: also where the commit of it fails, and is tried again with more (P5)."""
    first = stepping(seen(interval(1, sample((100, 1), (5, 0)))))
    assert totals(kept(first)) == (Tally(100, 1), Tally(5, 0))
    again = replace(first, members=(seen(interval(1, sample((100, 1), (5, 0))), interval(2, sample((10, 0), (1, 1)))),))
    assert totals(kept(again)) == (Tally(110, 1), Tally(6, 1))
    after = replace(kept(first), members=again.members)
    assert totals(kept(after)) == (Tally(110, 1), Tally(6, 1))


def test_only_a_plan_with_new_evidence_is_kept_and_it_writes_no_history() -> None:
    """P5: durable without a row for each interval."""
    plan = reconcile(stepping(seen(interval(1, sample((100, 1), (5, 0))))), at(1100.0))
    assert (plan.decisions, plan.is_kept, plan.is_durable) == ((), True, True)
    assert [one.service for one in plan.followed] == ["shop"]
    assert plan.group.rollout is not None
    again = stepping(seen(interval(1, sample((100, 1), (5, 0)))), analysis=plan.group.rollout.analysis)
    assert not reconcile(again, at(1100.0)).is_durable


@given(st.lists(st.sampled_from(["interval", "commit", "fail", "restart"]), max_size=40))
def test_no_interval_is_counted_twice_and_none_that_waits_is_lost(story: list[str]) -> None:
    """Rule 23: over commits that fail and processes that end; what a process had not committed goes with it."""
    number, waiting, stored, expected = 0, list[Interval](), stepping(seen()), 0
    for event in story:
        if event == "interval":
            number += 1
            waiting.append(interval(number, sample((10, 0), (1, 0))))
            continue
        if event == "restart":
            waiting = []
            number = max((one.upto for one in under_way(stored).analysis), default=0)
            continue
        decided = kept(replace(stored, members=(seen(*waiting),)))
        if event == "commit":
            new = [one for one in waiting if one.number > max((e.upto for e in under_way(stored).analysis), default=0)]
            expected, stored = expected + len(new), decided
    counted = under_way(stored).analysis
    assert (counted[0].errors.since_rollout.candidate.requests if counted else 0) == expected


def test_sums_stop_where_json_has_no_larger_numbers() -> None:
    """P4: a peer that says it began anew may count anything again."""
    most = (2**53, 2**53)
    intervals = [interval(number, sample(most, most)) for number in range(1, 4)]
    assert totals(kept(stepping(seen(*intervals)))) == (Tally(*most), Tally(*most))


def test_a_step_counts_from_its_warm_up_on() -> None:
    """Rule 19: `warmup` of each step."""
    of = stepping(seen(interval(1, sample((9, 9), (9, 9), COUNTS_S - 0.1), sample((100, 1), (5, 0), traefik="t2"))))
    assert totals(kept(of)) == (Tally(100, 1), Tally(5, 0))
    assert kept(stepping(seen(interval(1, sample((9, 0), (9, 0)))), shown_s=None)).state.rollout == under_way(
        stepping(seen(), shown_s=None)
    )


def test_another_step_begins_its_own_process_and_keeps_the_other() -> None:
    """Rule 23a."""
    first = kept(stepping(seen(interval(1, sample((95, 0), (5, 2))))))
    (before,) = under_way(first).analysis
    second = with_rollout(first, step=StepState(2, at().utc, SHOWN_S, SHOWN_S))
    second = replace(second, members=(seen(interval(2, sample((50, 0), (50, 0)))),))
    (after,) = under_way(kept(second)).analysis
    assert after.errors.since_step.candidate == Tally(50, 0)
    assert after.errors.since_rollout.candidate == Tally(55, 2)
    assert after.comparisons[0].processes.since_step.log10 == 0.0
    assert after.comparisons[0].processes.since_rollout == before.comparisons[0].processes.since_rollout


@pytest.mark.parametrize(
    "fields",
    [
        {"analysis": replace(ANALYSIS, min_requests=7)},
        {"blue": runs(server(9, "r9"))},
    ],
    ids=["another definition", "the active colour replaced in place"],
)
def test_evidence_of_something_else_is_void(fields: dict[str, Any]) -> None:
    """P1, and rule 19c."""
    before = kept(stepping(seen(interval(1, sample((95, 0), (5, 5))))))
    new = seen(interval(2, sample((50, 0), (50, 0))), analysis=fields.get("analysis", ANALYSIS))
    if "blue" in fields:
        new = replace(new, observed=new.observed.put(new.state.active or GREEN, fields["blue"]))
    after = kept(replace(before, members=(new,)))
    assert totals(after)[1] == Tally(50, 0)
    assert under_way(after).analysis[0].errors.since_rollout.candidate == Tally(50, 0)


def test_evidence_is_stored_and_read_as_it_is_and_older_rows_have_none() -> None:
    """Rule 19d: with the likelihood that one good answer makes impossible."""
    of = kept(stepping(seen(interval(1, sample((95, 0), (5, 5))), answers=(answer(2, 7.0),)))).state
    text = GROUPS.text(of)
    assert GROUPS.load([("shop", text)]) == (of,)
    assert '"analysis"' in text
    older = GROUPS.text(replace(of, rollout=replace(under_way(stepping(seen())), analysis=())))
    without = older.replace(',"analysis":[]', "")
    assert without != older
    (loaded,) = GROUPS.load([("shop", without)])
    assert loaded.rollout is not None
    assert loaded.rollout.analysis == ()


# --- the gate -------------------------------------------------------------------------------------------------------


def test_without_its_requests_a_step_waits_and_says_so() -> None:
    """Rule 23d."""
    of = kept(stepping(seen(interval(1, sample((950, 1), (50, 0))), answers=(answer(2, 7.0),))))
    early, late = judged(of), judged(of, 1700.0)
    assert (early.state, early.wake_mono_s) == (GateState.RUNNING, 1600.0)
    assert late.state is GateState.RUNNING
    assert late.is_counting
    assert late.reason is not None
    assert late.reason.startswith("50 of 100 requests; slow 0 % against 0 %, evidence 1.0 of 800; ")
    assert late.reason.endswith("50 more requests of the candidate (minRequests)")


def test_a_limit_is_told_in_per_cent_like_the_rate_that_is_compared_with_it() -> None:
    """Rule 23d: `max: 5%` is how the file has it."""
    analysis = Analysis(errors=Errors(limits=Limits(most=0.05)))
    of = kept(stepping(seen(interval(1, sample((90, 0), (10, 1))), analysis=analysis)))
    assert "errors 10 % against at most 5 %, evidence " in str(judged(of).reason)


def test_with_its_requests_and_no_failure_it_passes_when_the_time_is_over() -> None:
    of = kept(stepping(seen(interval(1, sample((1900, 1), (100, 0))), answers=(answer(2, 7.0),))))
    assert judged(of, 1599.0).state is GateState.RUNNING
    assert judged(of, 1600.0).state is GateState.PASSED
    promoted = with_rollout(of, step=replace(under_way(of).step or StepState(1, at().utc, 0.0), promoted="ann"))
    assert judged(promoted).state is GateState.PASSED


def test_a_worse_candidate_fails_and_takes_its_traffic_away() -> None:
    """Rules 19c and 23a: also while it is held."""
    bad = [interval(number, sample((190, 0), (10, 5))) for number in range(1, 4)]
    of = stepping(seen(*bad))
    assert judged(kept(of)).state is GateState.FAILED
    for held in (of, replace(of, members=(replace(of.members[0], service=replace(of.members[0].service, hold=True)),))):
        plan = reconcile(held, at(1100.0))
        failed = [row for row in plan.decisions if row.event is Event.GATES_FAILED]
        assert len(failed) == 1
        assert any("errors over-active: evidence" in line for line in failed[0].evidence)
        assert plan.group.rollout is None
        assert plan.followed == ()


def test_both_colours_bad_fail_nobody() -> None:
    """Rule 23: `max` is void while the active colour exceeds it too."""
    bad = [interval(number, sample((100, 50), (100, 50))) for number in range(1, 20)]
    assert judged(kept(stepping(seen(*bad)))).state is GateState.RUNNING


def test_without_any_data_it_neither_passes_nor_fails_unless_the_file_says_so() -> None:
    """P2."""
    assert judged(stepping(seen()), 9000.0).state is GateState.RUNNING
    assert not judged(stepping(replace(seen(), analysed=Analysed(causes={"t1": "refused"}))), 9000.0).is_counting
    lenient = judged(stepping(seen(analysis=replace(ANALYSIS, no_data_passes=True))), 9000.0)
    assert lenient.state is GateState.PASSED
    assert "noData: pass" in (lenient.reason or "")


def test_a_step_that_passes_without_any_data_says_so_in_the_history() -> None:
    """Rule 23: `noData: pass` is written down as such."""
    said = "shop: nothing was counted in this step (noData: pass)"
    lenient = replace(ANALYSIS, no_data_passes=True)
    for of, told in ((seen(analysis=lenient), True), (seen(analysis=ANALYSIS), False)):
        assert (said in analysing.history_lines(stepping(of))) is told
    counted = kept(stepping(seen(interval(1, sample((95, 0), (5, 0))), analysis=lenient)))
    assert said not in analysing.history_lines(counted)


def test_a_query_fails_when_it_leaves_its_range_so_often_in_a_row() -> None:
    """Rule 23d."""
    outside = [answer(number, 101.0) for number in range(1, 4)]
    assert judged(kept(stepping(seen(answers=tuple(outside[:2]))))).state is GateState.RUNNING
    failed = judged(kept(stepping(seen(answers=tuple(outside)))))
    assert failed.state is GateState.FAILED
    assert failed.reason == "query queue: 101 (max 100), 3 of 3 times in a row outside of it"
    between = (*outside[:2], answer(3, 100.0), answer(4, 101.0))
    assert judged(kept(stepping(seen(answers=between)))).state is GateState.RUNNING


def test_a_step_that_was_forced_asks_nothing() -> None:
    bad = seen(*[interval(number, sample((190, 0), (10, 5))) for number in range(1, 4)])
    of = kept(stepping(bad))
    forced = with_rollout(
        of, step=replace(under_way(of).step or StepState(1, at().utc, 0.0), promoted="ann", forced="x")
    )
    assert judged(forced).state is GateState.SKIPPED


def test_all_tests_of_all_members_share_the_limit() -> None:
    """Rule 23a."""
    cart = replace(seen(interval(1, sample((95, 0), (5, 0)))), service=service("cart", analysis=ANALYSIS))
    found = kept(
        with_rollout(
            group(Phase.SHIFTING, cart, seen(interval(1, sample((95, 0), (5, 0))))),
            canary=CANARY,
            step=StepState(1, at().utc, SHOWN_S, SHOWN_S),
        )
    )
    assert {one.tests for one in under_way(found).analysis} == {8}


def test_it_is_asked_of_nobody_without_steps() -> None:
    assert judged(group(Phase.SHIFTING, seen())).state is GateState.SKIPPED


# --- the watch ------------------------------------------------------------------------------------------------------


def watched(*intervals: Interval, ready: bool = True, **fields: Any) -> Snapshot:
    passes = {each.key: (1050.0, 1060.0, 1070.0, 1080.0) for each in (OLD, NEW)}
    of = moved(service(analysis=ANALYSIS, watch_s=600.0))
    of = replace(
        of,
        analysed=Analysed(intervals, fields.pop("answers", ()), is_read=True),
        checks={key: Checks(passed_mono_s=times if ready else ()) for key, times in passes.items()},
    )
    return group(Phase.WATCHING, of)


def bad_watch() -> list[Interval]:
    return [interval(number, sample((0, 0), (100, 40))) for number in range(1, 4)]


def test_in_the_watch_a_rate_or_a_query_rolls_back_where_the_rollback_target_passes() -> None:
    """Rules 8 and 23b."""
    for of in (watched(*bad_watch()), watched(answers=tuple(answer(number, 101.0) for number in range(1, 4)))):
        plan = reconcile(of, at(1100.0))
        assert [row.event for row in plan.decisions] == [Event.ROLLED_BACK]
    assert reconcile(watched(*bad_watch(), ready=False), at(1100.0)).decisions == ()


def test_where_no_rollback_is_ready_it_says_so_and_stays() -> None:
    """Rule 8."""
    of = kept(watched(*bad_watch(), ready=False))
    (member,) = of.members
    blocking = ServiceFacts(of, member, at(1100.0), {}, at().utc).blocking
    assert blocking is not None
    assert blocking.startswith("errors max: evidence")
    assert "has yet to pass its checks" in blocking
    assert judged(of).state is GateState.SKIPPED


def test_missing_data_never_prolongs_a_watch() -> None:
    """Rule 23b."""
    of = watched()
    deadline_s = under_way(of).deadline_mono_s
    assert deadline_s is not None
    plan = reconcile(of, at(deadline_s + 1.0))
    assert [row.event for row in plan.decisions] == [Event.WATCHED]


def test_the_lines_for_the_history_name_every_test_and_query() -> None:
    of = kept(stepping(seen(interval(1, sample((95, 1), (5, 0))), answers=(answer(2, 7.0),))))
    lines = analysing.history_lines(of)
    assert [line.partition(":")[0] for line in lines] == [
        "shop errors over-active",
        "shop errors max",
        "shop slow over-active",
        "shop slow max",
        "shop query queue",
    ]


def test_a_step_does_not_pass_while_the_last_answer_of_a_query_is_out_of_its_range() -> None:
    """Rule 23d: what would fail it in the next, larger step is waited for in this one."""
    enough = interval(1, sample((1900, 1), (100, 0)))
    of = kept(stepping(seen(enough, answers=(answer(2, 7.0), answer(3, 101.0)))))
    verdict = judged(of, SHOWN_S + 600.0)
    assert verdict.state is GateState.RUNNING
    assert "query queue is out of its range, 1 of 3 times in a row" in str(verdict.reason)
    again = kept(stepping(seen(enough, answers=(answer(2, 7.0), answer(3, 101.0), answer(4, 8.0)))))
    assert judged(again, SHOWN_S + 600.0).state is GateState.PASSED


def test_the_status_has_what_was_counted_of_the_step_interval_by_interval() -> None:
    """Section 4: the sum over all Traefiks, without what was counted before Traefik showed the step."""
    before = interval(1, sample((50, 1), (5, 0), since_s=SHOWN_S - 10.0))
    first = interval(2, sample((90, 1), (9, 0), since_s=SHOWN_S + 10.0), sample((60, 0), (6, 2), SHOWN_S + 11.0, "t2"))
    of = stepping(seen(before, first))
    found = analysis_status(ServiceFacts(of, of.members[0], at(1100.0), {}, at().utc))
    assert found is not None
    assert found["intervals"] == [
        {
            "since": time_status(at(SHOWN_S + 10.0).utc),
            "counts": {BLUE: {"requests": 150, "bad": 1}, GREEN: {"requests": 15, "bad": 2}},
        }
    ]
