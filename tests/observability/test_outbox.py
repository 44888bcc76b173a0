"""What goes out to one target, and when."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from provider.model import ConditionCode, Instant, Severity
from provider.observability.notices import Kind, NoticeKind
from provider.observability.outbox import IMPORTANT, PENDING_MOST, Message, Outbox, Rate
from tests.support.notices import notice

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
RATE = Rate(burst=2, every_s=30.0)


def at(seconds: float) -> Instant:
    return Instant(1000.0 + seconds, NOON + timedelta(seconds=seconds))


def drain(outbox: Outbox, now: Instant) -> list[Message]:
    messages = []
    while (message := outbox.take(now)) is not None:
        messages.append(message)
    return messages


def test_what_the_rate_allows_is_sent_one_by_one_in_its_order() -> None:
    outbox = Outbox(RATE)
    outbox.put(notice("first"), at(0))
    outbox.put(notice("second"), at(1))
    assert [message.title for message in drain(outbox, at(1))] == ["first", "second"]
    assert outbox.wake_mono_s() is None


def test_what_exceeds_the_rate_waits_and_is_summed_up_in_the_next_message() -> None:
    outbox = Outbox(RATE)
    for number in range(2):
        outbox.put(notice(f"early {number}"), at(0))
    assert len(drain(outbox, at(0))) == 2
    for number in range(3):
        outbox.put(notice(f"late {number}", NoticeKind.ABORTED), at(60 * number / 10))
    assert outbox.take(at(29)) is None
    assert outbox.wake_mono_s() == at(30).mono_s
    assert drain(outbox, at(30)) == [
        Message(
            Severity.INFO,
            "late 2, and 2 more",
            "Why: late 2\nSee: bluegreen explain shop\n\n2 more since 12:00 UTC:\n"
            "12:00 late 0\n    Why: late 0\n12:00 late 1\n    Why: late 1",
        )
    ]


def test_a_service_that_is_noisy_takes_nothing_from_another() -> None:
    outbox = Outbox(RATE)
    for number in range(5):
        outbox.put(notice(f"shop {number}"), at(0))
        drain(outbox, at(0))
    outbox.put(notice("cart", service="cart"), at(0))
    outbox.put(notice("daemon", ConditionCode.NOBODY_POLLS, service=None), at(0))
    assert [message.title for message in drain(outbox, at(0))] == ["cart", "daemon"]


def test_the_most_severe_notice_heads_the_summary_and_important_ones_keep_their_commands() -> None:
    outbox = Outbox(Rate(burst=1))
    outbox.put(notice("before"), at(0))
    drain(outbox, at(0))
    outbox.put(notice("approval", NoticeKind.APPROVAL_WANTED, severity=Severity.WARNING), at(1))
    outbox.put(notice("rolled back", NoticeKind.ROLLED_BACK, severity=Severity.CRITICAL), at(2))
    outbox.put(notice("begun", NoticeKind.ROLLOUT_STARTED), at(3))
    (message,) = drain(outbox, at(30))
    assert (message.severity, message.title) == (Severity.CRITICAL, "rolled back, and 2 more")
    approval = "12:00 approval\n    Why: approval\n    See: bluegreen explain shop\n"
    assert message.body.endswith(f"{approval}12:00 begun\n    Why: begun")


def test_what_is_dropped_is_counted_in_the_next_message() -> None:
    outbox = Outbox(RATE, most=3)
    dropped = [outbox.put(notice(f"aborted {number}", NoticeKind.ABORTED), at(0)) for number in range(5)]
    assert dropped == [False, False, False, True, True]
    (message,) = drain(outbox, at(0))
    assert message.title == "aborted 4, and 4 more"
    assert "and 2 that are left out here: bluegreen history" in message.body
    assert "aborted 1" not in message.body


@given(
    kinds=st.lists(st.sampled_from([*NoticeKind, *ConditionCode]), max_size=40),
    taken_after=st.sets(st.integers(min_value=0, max_value=40), max_size=4),
)
def test_of_important_notices_the_newest_of_a_kind_is_always_reported(kinds: list[Kind], taken_after: set[int]) -> None:
    outbox, messages = Outbox(Rate(burst=1, every_s=10.0)), list[Message]()
    for number, kind in enumerate(kinds):
        outbox.put(notice(f"[{number}]", kind), at(0))
        if number in taken_after:
            messages += drain(outbox, at(number))
    messages += drain(outbox, at(1000))
    told = "\n".join(message.title + message.body for message in messages)
    for kind in IMPORTANT & set(kinds):
        newest = max(number for number, each in enumerate(kinds) if each is kind)
        assert f"[{newest}]" in told
    assert outbox.wake_mono_s() is None


def test_the_outbox_of_a_target_that_is_away_for_long_stays_small() -> None:
    outbox = Outbox(RATE)
    for number in range(1000):
        outbox.put(notice(f"switched {number}"), at(number))
    (message,) = drain(outbox, at(1000))
    assert message.title == "switched 999, and 999 more"
    assert message.body.count("bluegreen explain") == PENDING_MOST
