"""Readings made into intervals: none in which weights changed, none counted twice (rule 23)."""

from dataclasses import replace

from provider.controller.counted import PENDING_MOST, Counting
from provider.controller.tracked_service import TrackedService
from provider.model import ByColour, Colour, GroupState, Observed, Phase, ServiceState, Shown
from provider.model.analysed import AnalysisEvidence, Answer, ChildCounts, Followed, Interval, Scrape, TraefikCounts
from provider.traefik.readback import Reading
from tests.support.analysing import following
from tests.support.phases import in_phase
from tests.support.worlds import BLUE, EPOCH, GREEN, at, service

FOLLOWED = following()
SHARED = Shown(((BLUE, 50), (GREEN, 50)), ((BLUE, 50), (GREEN, 50)))
MARKER = "bluegreen-000000000001"
API = "http://t1"


class Shop:
    """One service that is followed, and Traefiks that count for it."""

    def __init__(self, *groups: GroupState) -> None:
        unknown = Observed(known=False)
        self.tracked = TrackedService(service(), ServiceState(active=BLUE), ByColour(unknown, unknown), EPOCH)
        self.tracked.shown = self.tracked.fragment_shown = SHARED
        self.services = {"shop": self.tracked}
        self.counting = Counting(groups)
        self.counting.follow((), (FOLLOWED,), self.services, MARKER)
        self.requests: dict[str, dict[Colour, int]] = {}

    def shows(self, now_s: float, traefik: str = API, *, marker: str | None = MARKER) -> None:
        self.counting.traefik_read(Reading(traefik, marker), at(now_s))

    def scrape(self, now_s: float, *traefiks: str, more: int = 10, is_fetched: bool = False) -> None:
        """Read these Traefiks, each of which has answered more of both colours."""
        readings = []
        for name in traefiks or (API,):
            counted = self.requests.setdefault(name, dict.fromkeys(Colour, 0))
            for colour in Colour:
                counted[colour] += more
            children = ByColour(*(ChildCounts({200: counted[colour]}, counted[colour], 0) for colour in Colour))
            readings.append(TraefikCounts(name, now_s - 0.1, now_s, {"shop": children}, started_s=float(len(name))))
        self.counting.scraped(
            Scrape("traefik", (FOLLOWED,), tuple(readings)), self.services, at(now_s), is_fetched=is_fetched
        )

    @property
    def intervals(self) -> tuple[Interval, ...]:
        return self.tracked.analysed.intervals

    @property
    def counted(self) -> list[tuple[str, int]]:
        return [(one.traefik, one.errors.green.requests) for each in self.intervals for one in each.samples]


def test_two_readings_make_an_interval_and_a_gap_makes_a_longer_one() -> None:
    shop = Shop()
    shop.shows(1000.0)
    shop.scrape(1010.0)
    assert shop.intervals == ()
    shop.scrape(1020.0)
    away = TraefikCounts(API, 1030.0, 1030.0, cause="connection refused")
    shop.counting.scraped(Scrape("traefik", (FOLLOWED,), (away,)), shop.services, at(1030.0), is_fetched=False)
    assert shop.tracked.analysed.causes == {API: f"the metrics of {API}: connection refused"}
    shop.scrape(1040.0, more=25)
    assert shop.counted == [(API, 10), (API, 25)]
    assert shop.tracked.analysed.causes == {}


def test_a_traefik_of_two_addresses_counts_once_however_they_take_turns() -> None:
    """Rule 23: as where `localhost` is 127.0.0.1 and ::1, and one of them does not answer now and then."""
    shop, total = Shop(), 0
    addresses = ("http://1", "http://2")  # of one process: Shop makes its start of the length
    for address in addresses:
        shop.shows(1000.0, address)
    for number, turn in enumerate((0, 1, 0, 1, 1, 0, 0, 1, 1, 1)):
        total += 10
        shop.requests = {address: dict.fromkeys(Colour, total) for address in addresses}
        shop.scrape(1010.0 + 10 * number, addresses[turn], more=0)
    assert shop.counted == [("http://2", 10), ("http://1", 10), ("http://2", 10), ("http://2", 10)]


def test_an_interval_in_which_the_weights_changed_is_dropped() -> None:
    """From when they were rendered until this Traefik was read to show the document that has them."""
    shop = Shop()
    shop.shows(1000.0)
    shop.scrape(1010.0)
    shop.tracked.fragment_shown = Shown(((BLUE, 100),), ((BLUE, 100),))  # rendered, and not published yet
    shop.scrape(1020.0)
    shop.tracked.shown = shop.tracked.fragment_shown
    shop.counting.published("bluegreen-000000000002")
    shop.counting.weights_changed("shop", "bluegreen-000000000002", at(1021.0))
    shop.scrape(1030.0)
    shop.shows(1035.0)  # it shows the document before still
    shop.scrape(1040.0)
    shop.shows(1045.0, marker="bluegreen-000000000002")
    shop.scrape(1050.0)
    assert shop.intervals == ()
    shop.scrape(1060.0)
    assert shop.counted == [(API, 10)]
    assert [each.samples[0].since_mono_s for each in shop.tracked.analysed.intervals] == [1049.9]


def test_a_traefik_that_shows_other_weights_counts_for_nothing_and_the_others_do() -> None:
    """A Traefik stepped late, or back."""
    shop = Shop()
    shop.shows(1000.0)
    shop.shows(1000.0, "http://t22", marker="bluegreen-of-before")
    for now_s in (1010.0, 1020.0):
        shop.scrape(now_s, API, "http://t22")
    assert shop.counted == [(API, 10)]
    shop.shows(1025.0, "http://t22")
    shop.shows(1025.0, marker="bluegreen-of-before")
    for now_s in (1030.0, 1040.0):
        shop.scrape(now_s, API, "http://t22")
    assert shop.counted == [(API, 10), ("http://t22", 10)]


def test_other_documents_with_the_same_weights_disturb_nothing() -> None:
    """Rule 22."""
    shop = Shop()
    shop.shows(1000.0)
    shop.scrape(1010.0)
    shop.counting.published("bluegreen-000000000002")
    shop.shows(1015.0, marker="bluegreen-000000000002")
    shop.scrape(1020.0)
    assert shop.counted == [(API, 10)]


def test_metrics_that_are_of_no_api_count_once_every_traefik_that_answers_shows_the_weights() -> None:
    """Behind another port, or at Prometheus."""
    shop = Shop()
    shop.shows(1000.0)
    shop.shows(1012.0, "http://t22")
    for now_s in (1010.0, 1020.0, 1030.0):
        shop.scrape(now_s, "traefik t1:8082")
    assert shop.counted == [("traefik t1:8082", 10)]


def test_without_a_read_back_they_count_from_the_fetch_or_the_deadline_on() -> None:
    fetched, silent = Shop(), Shop()
    for now_s in (1010.0, 1020.0, 1030.0, 1045.0, 1055.0):
        fetched.scrape(now_s, is_fetched=True)
        silent.scrape(now_s)
    assert len(fetched.counted) == 3  # followed since 1010, applied by 1015
    assert len(silent.counted) == 1  # 30 s for confirming, so from 1040 on


def test_what_waits_has_a_bound() -> None:
    """A store that fails for long: the oldest is no evidence any more."""
    shop = Shop()
    shop.shows(0.0)
    for number in range(PENDING_MOST + 10):
        shop.scrape(10.0 * (number + 1))
    assert len(shop.intervals) == PENDING_MOST
    assert shop.intervals[-1].number == PENDING_MOST + 9


def test_after_a_pause_what_was_read_before_is_void() -> None:
    """Rule 14."""
    shop = Shop()
    shop.shows(1000.0)
    shop.scrape(1010.0)
    shop.scrape(1020.0)
    shop.counting.void(shop.services)
    assert shop.intervals == ()
    shop.scrape(1030.0, more=1000)
    assert shop.intervals == ()
    shop.scrape(1040.0)
    assert shop.counted == [(API, 10)]


def test_numbers_go_on_above_those_of_the_store() -> None:
    """A process that begins must not take its first interval for one that is counted."""
    rollout = in_phase(Phase.SHIFTING).rollout
    assert rollout is not None
    kept = replace(rollout, analysis=(AnalysisEvidence("shop", "r2", "d", "r1", upto=41),))
    shop = Shop(GroupState(rollout=kept))
    shop.shows(1000.0)
    shop.scrape(1010.0)
    shop.scrape(1020.0)
    assert [one.number for one in shop.intervals] == [42]
    shop.counting.answered(Answer(FOLLOWED, "queue", 1025.0, 1.0), shop.services)
    assert [one.number for one in shop.tracked.analysed.answers] == [43]


def test_another_definition_begins_without_what_was_read_for_the_one_before() -> None:
    """P1."""
    shop = Shop()
    shop.shows(1000.0)
    shop.scrape(1010.0)
    shop.scrape(1020.0)
    other = Followed("shop", GREEN, replace(FOLLOWED.analysis, min_requests=7))
    shop.counting.follow((FOLLOWED,), (other,), shop.services, MARKER)
    assert shop.intervals == ()
    shop.scrape(1030.0)  # read for the definition before
    assert shop.intervals == ()
    shop.counting.follow((other,), (), shop.services, MARKER)
    assert not shop.tracked.analysed.is_read
