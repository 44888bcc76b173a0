"""What is counted between two readings of a Traefik, whatever happens to its counters (rule 23)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from provider.model import Analysis, ByColour, Colour
from provider.model.analysed import ChildCounts, Followed, Sample, Tally, TraefikCounts
from provider.model.progressive import Errors, Limits, Slow
from provider.rollout.counting import between
from tests.support.worlds import BLUE, GREEN

ANALYSIS = Analysis(errors=Errors(limits=Limits(0.99)), slow=Slow(1.2, Limits(0.99)))
FOLLOWED = Followed("shop", GREEN, ANALYSIS)


def counts(codes: Mapping[int, int], *, timed: int | None = None, within: int | None = None) -> ChildCounts:
    all_ = sum(codes.values()) if timed is None else timed
    return ChildCounts(dict(codes), all_, all_ if within is None else within)


def reading(blue: ChildCounts, green: ChildCounts, at_s: float = 0.0, **fields: object) -> TraefikCounts:
    made = TraefikCounts("t1", at_s, at_s, {"shop": ByColour(blue, green)}, started_s=100.0, dated_s=1000.0 + at_s)
    return replace(made, **fields)  # type: ignore[arg-type]


def sample(before: TraefikCounts, after: TraefikCounts) -> Sample:
    found = between(before, after, FOLLOWED)
    assert found is not None
    return found


def test_what_was_added_is_counted_for_each_colour() -> None:
    """Rule 23."""
    before = reading(counts({200: 10, 500: 1}), counts({200: 5}))
    after = reading(counts({200: 30, 500: 1, 503: 2}, timed=33, within=30), counts({200: 6, 404: 1}), 10.0)
    found = sample(before, after)
    assert found.errors == ByColour(Tally(22, 2), Tally(2, 0))
    assert found.slow == ByColour(Tally(22, 3), Tally(2, 0))
    assert found.since_mono_s == 0.0


def test_a_colour_that_appears_begins_at_nothing() -> None:
    """Rule 23: a series that was not there."""
    found = sample(reading(counts({200: 10}), ChildCounts()), reading(counts({200: 12}), counts({200: 4}), 10.0))
    assert found.errors == ByColour(Tally(2, 0), Tally(4, 0))


def test_a_traefik_that_began_anew_counts_from_nothing() -> None:
    """Rule 23: also where it has passed what it had counted before."""
    before = reading(counts({200: 10}), counts({200: 5}))
    after = reading(counts({200: 11}), counts({200: 2}), 10.0, started_s=1005.0, dated_s=1010.0)
    assert sample(before, after).errors == ByColour(Tally(11, 0), Tally(2, 0))


def test_a_colour_that_fell_began_anew_and_the_other_one_did_not() -> None:
    """Rule 23: Traefik forgets the counters of a service that a document leaves out."""
    before = reading(counts({200: 1000}), counts({200: 50}))
    after = reading(counts({200: 1010}), counts({200: 3}), 10.0)
    assert sample(before, after).errors == ByColour(Tally(10, 0), Tally(3, 0))


def test_a_process_that_ran_before_says_nothing_of_the_interval() -> None:
    """Rule 23: several Traefiks behind one address, by turns."""
    one = reading(counts({200: 1000}), counts({200: 50}), started_s=100.0)
    other = reading(counts({200: 900}), counts({200: 40}), 10.0, started_s=200.0)
    assert between(one, other, FOLLOWED) is None
    assert between(other, one, FOLLOWED) is None


def test_without_the_bucket_nothing_is_said_of_slow_answers() -> None:
    before = reading(counts({200: 1}), counts({200: 1}))
    after = reading(counts({200: 2}), ChildCounts({200: 3}, 3, None), 10.0)
    found = sample(before, after)
    assert found.slow is None
    assert found.errors.green == Tally(2, 0)


@dataclass
class Process:
    """A Traefik that counts; what it was ever sent is in `sent`."""

    started_s: float = 100.0
    now_s: float = 1000.0
    codes: dict[Colour, dict[int, int]] = field(default_factory=lambda: {BLUE: {}, GREEN: {}})
    sent: dict[Colour, Tally] = field(default_factory=lambda: {BLUE: Tally(), GREEN: Tally()})

    def send(self, colour: Colour, code: int, many: int) -> None:
        self.codes[colour][code] = self.codes[colour].get(code, 0) + many
        self.sent[colour] += Tally(many, many if code >= 500 else 0)

    def restart(self) -> None:
        self.now_s += 2.0
        self.started_s = self.now_s
        self.codes = {BLUE: {}, GREEN: {}}

    def reading(self, *, is_dated: bool) -> TraefikCounts:
        self.now_s += 2.0
        children = ByColour(counts(self.codes[BLUE]), counts(self.codes[GREEN]))
        return TraefikCounts(
            "t1",
            self.now_s,
            self.now_s,
            {"shop": children},
            started_s=self.started_s if is_dated else None,
            dated_s=self.now_s if is_dated else None,
        )


EVENTS = st.one_of(
    st.tuples(st.just("send"), st.sampled_from(Colour), st.sampled_from([200, 404, 500, 503]), st.integers(1, 20)),
    st.just("restart"),
    st.sampled_from(Colour),  # a document leaves it out, and its counters go
    st.just("read"),
)


@given(st.lists(EVENTS, max_size=60), st.booleans())
def test_never_more_is_counted_than_there_was(story: list[object], is_dated: bool) -> None:
    """Rule 23: whatever is restarted, left out or read late."""
    traefik, last = Process(), None
    total = {BLUE: Tally(), GREEN: Tally()}
    for event in story:
        match event:
            case ("send", Colour() as colour, int(code), int(many)):
                traefik.send(colour, code, many)
            case "restart":
                traefik.restart()
            case Colour():
                traefik.codes[event] = {}
            case _:
                now = traefik.reading(is_dated=is_dated)
                found = between(last, now, FOLLOWED) if last is not None else None
                last = now
                for colour in Colour:
                    total[colour] += found.errors[colour] if found else Tally()
    for colour in Colour:
        assert total[colour].requests <= traefik.sent[colour].requests
        assert total[colour].bad <= traefik.sent[colour].bad
        assert total[colour].bad <= total[colour].requests


@given(st.lists(st.tuples(st.sampled_from(Colour), st.sampled_from([200, 500]), st.integers(1, 20)), max_size=30))
def test_all_is_counted_between_readings_of_a_traefik_that_goes_on(story: list[tuple[Colour, int, int]]) -> None:
    """Rule 23: also over a long interval."""
    traefik = Process()
    last = traefik.reading(is_dated=True)
    total = {BLUE: Tally(), GREEN: Tally()}
    for number, (colour, code, many) in enumerate(story):
        traefik.send(colour, code, many)
        if number % 3 == 0 or number == len(story) - 1:
            now = traefik.reading(is_dated=True)
            found, last = sample(last, now), now
            for each in Colour:
                total[each] += found.errors[each]
    assert total == traefik.sent
