from dataclasses import replace
from datetime import UTC, datetime

import pytest

from provider.model import Colour, Condition, ConditionCode, Decision, Event, Outcome, Severity, Trigger, condition
from provider.observability.notices import Context, Notice, NoticeKind, of_condition, of_decision, of_service_condition

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
CONTEXT = Context("production", {Colour.BLUE: "1.4.1", Colour.GREEN: "1.4.2"}, Colour.BLUE, ("shop",))
SWITCHED = replace(CONTEXT, active=Colour.GREEN)


def decided(event: str, *, outcome: Outcome | None = None, detail: str | None = None) -> Decision:
    return Decision(
        NOW,
        "shop",
        Event(event),
        Colour.GREEN,
        "77b0e1d2",
        rollout="r17",
        outcome=outcome,
        trigger=Trigger.DOCKER,
        detail=detail,
    )


CONDITIONS = [
    (ConditionCode.NOBODY_POLLS, "no Traefik polls: what is decided is not applied (production)"),
    (ConditionCode.STORE_FAILING, "the store fails: decisions are frozen, what is served goes on (production)"),
    (
        ConditionCode.DOCKER_AWAY,
        "Docker does not answer: the last known servers are served, no release is switched to (production)",
    ),
]


@pytest.mark.parametrize(("code", "title"), CONDITIONS)
def test_an_outage_of_the_daemons_surroundings_is_reported_once(code: ConditionCode, title: str) -> None:
    notice = of_condition(Condition(code, Severity.CRITICAL, "because", NOW), "production")
    assert notice is not None
    assert (notice.service, notice.kind, notice.severity, notice.title) == (None, code, Severity.CRITICAL, title)
    assert notice.body.startswith("because\n")
    assert of_condition(Condition(code, Severity.CRITICAL, "still", NOW), "production", is_reworded=True) is None


def test_each_edit_that_is_refused_is_reported() -> None:
    refused = Condition(ConditionCode.DESIRED_STATE_REFUSED, Severity.WARNING, "shop.yaml:3", NOW)
    assert of_condition(refused, "production", is_reworded=True) is not None


@pytest.mark.parametrize(
    ("code", "title"),
    [
        (ConditionCode.NO_SERVERS, "shop: no servers, requests are answered with 503 (production)"),
        (ConditionCode.NONE_HEALTHY, "shop: none of its servers is healthy (production)"),
    ],
)
def test_an_outage_of_a_service_is_reported_with_the_command_that_works(code: ConditionCode, title: str) -> None:
    """Rule 8."""
    down = Condition(code, Severity.CRITICAL, "blue is down; to go back: bluegreen switch shop green", NOW)
    notice = of_service_condition(down, "shop", "production")
    assert notice is not None
    assert (notice.service, notice.kind, notice.severity, notice.title) == ("shop", code, Severity.CRITICAL, title)
    assert notice.body.endswith("bluegreen switch shop green\n\nSee: bluegreen explain shop")
    assert of_service_condition(replace(down, code=ConditionCode.OVERRIDE), "shop", "production") is None


def test_an_ordinary_release_does_not_begin_with_a_warning() -> None:
    """Its first container takes the place of the release before, which is the rollback target."""
    lost = decided("way-back-lost", detail="green runs r3, not r1")
    assert of_decision(lost, replace(CONTEXT, made_room=True)) is None
    assert told(lost).severity is Severity.WARNING


def told(decision: Decision, context: Context = CONTEXT) -> Notice:
    notice = of_decision(decision, context)
    assert notice is not None
    return notice


@pytest.mark.parametrize(
    ("event", "outcome", "kind", "severity", "title"),
    [
        ("begun", None, "rollout-started", "info", "shop: blue 1.4.1 -> green 1.4.2 rollout started (production)"),
        (
            "approval-wanted",
            None,
            "approval-wanted",
            "warning",
            "shop: blue 1.4.1 -> green 1.4.2 waits for approval (production)",
        ),
        (
            "approval-reminder",
            None,
            "approval-reminder",
            "warning",
            "shop: blue 1.4.1 -> green 1.4.2 still waits for approval, half of the time is over (production)",
        ),
        ("shifted", None, "switched", "info", "shop: blue 1.4.1 -> green 1.4.2 switched (production)"),
        ("aborted", Outcome.ABORTED, "aborted", "warning", "shop: blue 1.4.1 -> green 1.4.2 aborted (production)"),
        ("gates-failed", Outcome.ABORTED, "aborted", "warning", "shop: blue 1.4.1 -> green 1.4.2 aborted (production)"),
        ("withdrawn", Outcome.ABORTED, "aborted", "warning", "shop: blue 1.4.1 -> green 1.4.2 aborted (production)"),
        ("expired", Outcome.EXPIRED, "expired", "warning", "shop: blue 1.4.1 -> green 1.4.2 expired (production)"),
        (
            "rolled-back",
            Outcome.ROLLED_BACK,
            "rolled-back",
            "critical",
            "shop: green 1.4.2 -> blue 1.4.1 rolled back (production)",
        ),
        (
            "way-back-lost",
            None,
            "way-back-lost",
            "warning",
            "shop: the rollback target, green 1.4.2, is lost (production)",
        ),
    ],
)
def test_a_notice_says_in_one_line_which_service_and_versions_and_what_happened(
    event: str, outcome: Outcome | None, kind: str, severity: str, title: str
) -> None:
    notice = told(decided(event, outcome=outcome))
    assert (notice.service, notice.kind, notice.severity, notice.title) == ("shop", kind, severity, title)


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        ("superseded", Outcome.SUPERSEDED),
        ("watched", Outcome.SWITCHED),
        ("tested", None),
        ("approved", None),
        ("confirmed", None),
        ("unconfirmed", None),
        ("replaced", None),
        ("lease-taken", None),
        ("first-sight", None),
    ],
)
def test_what_nobody_waits_for_is_no_news(event: str, outcome: Outcome | None) -> None:
    assert of_decision(decided(event, outcome=outcome), CONTEXT) is None


@pytest.mark.parametrize(
    ("event", "outcome", "commands"),
    [
        ("begun", None, ["bluegreen explain shop", "bluegreen abort shop"]),
        ("approval-wanted", None, ["bluegreen approve shop --release 77b0e1d2", "bluegreen abort shop"]),
        ("approval-reminder", None, ["bluegreen approve shop --release 77b0e1d2", "bluegreen abort shop"]),
        ("shifted", None, ["bluegreen rollback shop", "bluegreen explain shop"]),
        ("gates-failed", Outcome.ABORTED, ["bluegreen explain shop", "bluegreen retry shop"]),
        ("expired", Outcome.EXPIRED, ["bluegreen explain shop", "bluegreen retry shop"]),
        ("rolled-back", Outcome.ROLLED_BACK, ["bluegreen explain shop", "bluegreen retry shop"]),
        ("way-back-lost", None, ["bluegreen explain shop"]),
    ],
)
def test_the_command_to_type_ends_the_text(event: str, outcome: Outcome | None, commands: list[str]) -> None:
    last = told(decided(event, outcome=outcome)).body.split("\n\n")[-1].splitlines()
    typed = [line.split(": ", 1)[1] for line in last]
    assert typed[: len(commands)] == commands


def test_a_name_that_a_shell_would_take_apart_is_quoted_in_commands() -> None:
    notice = told(replace(decided("shifted"), service="shop;reboot"), SWITCHED)
    assert "bluegreen rollback 'shop;reboot'" in notice.body.splitlines()[-2]


def test_the_text_carries_reason_evidence_release_rollout_and_where_the_traffic_is() -> None:
    reason = "2 of 2 smoke tests failed"
    decision = replace(
        decided("gates-failed", outcome=Outcome.ABORTED, detail=reason), evidence=("home http://127.0.0.1:8082/: 500",)
    )
    assert told(decision).body == (
        "Why: 2 of 2 smoke tests failed\n"
        "Traffic: blue 1.4.1\n"
        "Release: 77b0e1d2 in green\n"
        "Rollout: r17\n"
        "Set off by: what runs in Docker\n"
        "\n"
        "Evidence:\n"
        "- home http://127.0.0.1:8082/: 500\n"
        "\n"
        "See: bluegreen explain shop\n"
        "Try it again: bluegreen retry shop"
    )


def test_long_evidence_is_counted_where_it_is_not_shown() -> None:
    evidence = tuple(f"home http://127.0.0.1:{port}/: 500" for port in range(8000, 8025))
    body = told(replace(decided("gates-failed", outcome=Outcome.ABORTED), evidence=evidence)).body
    assert "- and 15 more" in body.splitlines()
    assert "127.0.0.1:8024" not in body


def test_a_rollback_by_the_daemon_is_graver_than_one_that_somebody_commanded() -> None:
    """A rollout that a command began has an operator too: what the daemon takes back is not that operator's doing."""
    by_itself = replace(decided("rolled-back", outcome=Outcome.ROLLED_BACK), trigger=Trigger.TIMER, actor="alice")
    commanded = replace(by_itself, trigger=Trigger.COMMAND)
    assert told(by_itself).severity is Severity.CRITICAL
    assert "By: the daemon itself" in told(by_itself).body.splitlines()
    assert told(commanded).severity is Severity.WARNING
    assert "By: alice" in told(commanded).body.splitlines()


def test_a_rollback_outside_a_rollout_is_reported_as_well() -> None:
    decision = replace(
        decided("rolled-back", detail="checkout is slow"), rollout=None, trigger=Trigger.COMMAND, actor="bob"
    )
    notice = told(decision)
    assert notice.kind is NoticeKind.ROLLED_BACK
    assert "By: bob" in notice.body.splitlines()
    assert "Why: checkout is slow" in notice.body.splitlines()


def test_a_colour_without_a_version_is_named_by_its_release_or_alone() -> None:
    context = replace(CONTEXT, versions={Colour.BLUE: None})
    assert told(decided("shifted"), context).title == "shop: blue -> green 77b0e1d2 switched (production)"
    assert told(replace(decided("shifted"), release=None), context).title == "shop: blue -> green switched (production)"


def test_a_version_cannot_break_the_line() -> None:
    context = replace(CONTEXT, versions={Colour.GREEN: "1.4.2\r\nX-Evil: yes" + "!" * 500})
    title = told(decided("shifted"), context).title
    assert len(title.splitlines()) == 1
    assert len(title) <= 200


def test_the_others_of_a_group_are_named() -> None:
    """Rule 11: one rollout moves the whole group, so a command on one member acts on all."""
    notice = told(decided("begun"), replace(CONTEXT, group=("cart", "search", "shop")))
    assert "In one group with: cart, search" in notice.body.splitlines()


def test_where_no_release_is_known_the_command_names_none() -> None:
    body = told(replace(decided("approval-wanted"), release=None)).body
    assert "bluegreen approve shop\n" in body


@pytest.mark.parametrize(
    ("code", "title"),
    [
        (ConditionCode.NOBODY_POLLS, "no Traefik polls: what is decided is not applied (staging)"),
        (ConditionCode.DESIRED_STATE_REFUSED, "the desired state was refused, what ran before keeps running (staging)"),
    ],
)
def test_a_condition_of_the_whole_daemon_is_reported_with_its_own_words(code: ConditionCode, title: str) -> None:
    notice = of_condition(Condition(code, Severity.CRITICAL, "staging.yaml:3:5: no such key", NOW), "staging")
    assert notice is not None
    assert (notice.service, notice.kind, notice.severity, notice.title) == (None, code, Severity.CRITICAL, title)
    assert notice.body.startswith("staging.yaml:3:5: no such key\n\n")
    assert "bluegreen " in notice.body.splitlines()[-1]


def test_other_conditions_are_left_to_status_and_alerts() -> None:
    condition = Condition(ConditionCode.NONE_HEALTHY, Severity.CRITICAL, "blue is active and none is healthy", NOW)
    assert of_condition(condition, "production") is None


def test_who_approves_is_shown_where_to_look() -> None:
    where = replace(
        CONTEXT,
        url="https://shop.test/",
        preview_url="https://preview.shop.test/",
        console_url="https://bluegreen.test/#/shop",
    )
    body = told(decided("approval-wanted"), where).body
    assert (
        "Preview: https://preview.shop.test/\nService: https://shop.test/\nConsole: https://bluegreen.test/#/shop"
        in body
    )
    assert "Preview: " not in told(decided("shifted"), where).body


def test_a_step_is_told_when_it_begins_and_not_when_it_is_passed() -> None:
    """Rule 19: another one or the switch follows what is passed."""
    notice = of_decision(decided("step-begun", detail="step 1 of 3: 5 % for the candidate"), CONTEXT)
    assert notice is not None
    assert (notice.kind, notice.severity) == (NoticeKind.STEP_BEGUN, Severity.INFO)
    assert notice.title == "shop: blue 1.4.1 -> green 1.4.2 step 1 of 3: 5 % for the candidate (production)"
    assert "End its time: bluegreen promote shop\nAbort: bluegreen abort shop" in notice.body
    for event in ("step-passed", "promoted"):
        assert of_decision(decided(event, detail="step 1, 5 %"), CONTEXT) is None


def test_the_approval_of_a_step_is_asked_for_with_its_number() -> None:
    """Rule 20: an approval is for the step that was looked at."""
    notice = of_decision(decided("approval-wanted", detail="step 2, until 2026-01-03 12:00 UTC"), CONTEXT)
    assert notice is not None
    assert "waits for approval of step 2 (production)" in notice.title
    assert "Approve: bluegreen approve shop --release 77b0e1d2 --step 2" in notice.body


def test_too_few_requests_are_told_with_the_way_on() -> None:
    """Rule 19d."""
    found = condition(ConditionCode.TOO_FEW_REQUESTS, NOW, number=1, colour="green", most=200, service="shop")
    notice = of_service_condition(found, "shop", "production")
    assert notice is not None
    assert notice.title == "shop: a step goes on, as its candidate has too few requests (production)"
    assert "bluegreen promote shop --force --reason WHY" in notice.body


@pytest.mark.parametrize("trigger", Trigger)
def test_whatever_set_a_decision_off_is_told(trigger: Trigger) -> None:
    """Rule 19c: a step that fails its watch ends the rollout by itself."""
    failed = replace(decided("gates-failed", outcome=Outcome.ABORTED), trigger=trigger)
    notice = of_decision(failed, CONTEXT)
    assert notice is not None
    assert "Set off by: " in notice.body
