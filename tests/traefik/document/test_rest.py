"""Rule 15: from which text of the file the rest of the document comes."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from provider.model import Deadlines, Desired, Instant, Router, Service
from provider.model.document import AppliedText, text_key
from provider.traefik.document.rest import AFTER_S, APPLIES_IN_S, MARKERS_MOST, Rest, Text, changes, shortened
from tests.support.worlds import service

ONE, TWO = "http://10.0.0.1:8080", "http://10.0.0.2:8080"
DEADLINE_S = 30.0
DUE_S = DEADLINE_S + AFTER_S


def at(mono_s: float) -> Instant:
    return Instant(mono_s, datetime.fromtimestamp(mono_s, UTC))


def desired(*services: Service, **more: object) -> Desired:
    named = {one.name: one for one in services or (service(),)}
    return Desired("production", named, traefik_api=(ONE,), **more)  # type: ignore[arg-type]


class Site:
    """The rest of one daemon's documents, and what its Traefiks show and were given."""

    def __init__(self, *traefiks: str) -> None:
        self.rest, self.now_s, self.revision = Rest(), 0.0, 0
        self.shows: dict[str, str] = {}
        self.traefiks = traefiks or (ONE,)
        self.twice = True

    def load(self, text: str, expected: Desired | None = None) -> None:
        """Take a file, and publish the document that it gives; its marker is that of the text that goes out."""
        self.rest.load(text, expected or desired())
        self.publish()

    def publish(self) -> None:
        self.revision += 1
        shown = self.rest.shown
        assert shown is not None
        self.rest.published(shown, f"marker of {shown.text}", self.revision, at(self.now_s))

    def look(self, text: str | None = None, *traefiks: str, after_s: float = 0.0) -> bool:
        """Have Traefiks show the document of a text from now on, and look at it a while later."""
        if text is not None:
            self.shows |= dict.fromkeys(traefiks or self.traefiks, f"marker of {text}")
        self.now_s += after_s
        showing = {name: (marker, self.now_s) for name, marker in self.shows.items()}
        is_other = self.rest.look(showing, lambda _traefik, _revision: self.twice, at(self.now_s))
        if is_other:
            self.publish()
        return is_other

    @property
    def goes_out(self) -> str | None:
        return self.rest.shown.text if self.rest.shown is not None else None


def refused(*traefiks: str) -> Site:
    """Return a daemon whose Traefiks have applied one text and refuse the next."""
    site = Site(*traefiks)
    site.load("good")
    site.look("good")
    site.load("bad")
    assert site.look(after_s=DUE_S)
    return site


def test_a_text_that_every_traefik_fetched_twice_and_none_shows_is_dropped_after_the_deadline() -> None:
    site = Site(ONE, TWO)
    site.load("good")
    assert not site.look("good")
    assert site.rest.is_settled
    site.load("bad")
    assert not site.look(after_s=DUE_S - 0.1)
    assert site.goes_out == "bad"
    assert site.rest.due_mono_s == DUE_S
    assert site.look(after_s=0.1)
    assert (site.goes_out, site.rest.is_refused) == ("good", True)
    assert site.rest.kept == AppliedText("good", "marker of good", text_key("bad"))


def test_where_no_traefik_ever_shows_it_time_alone_changes_nothing_any_more() -> None:
    """Else the daemon would look again and again, for nothing (P4)."""
    site = Site()
    site.load("good")
    assert site.rest.wake_mono_s(at(DUE_S - 0.1)) == site.rest.due_mono_s
    assert site.rest.wake_mono_s(at(DUE_S)) is None


def test_a_deadline_shorter_than_traefik_may_need_hastens_nothing() -> None:
    site = Site()
    hasty = replace(service(), deadlines=Deadlines(confirming_s=0.1))
    site.load("good", desired(hasty))
    site.look("good")
    site.load("bad", desired(hasty))
    assert not site.look(after_s=APPLIES_IN_S)
    assert site.look(after_s=AFTER_S)


@pytest.mark.parametrize("missing", ["fetched twice", "an earlier document of ours", "the very same", "an answer"])
def test_without_all_of_the_evidence_the_newer_text_stays(missing: str) -> None:
    """P2."""
    site = Site(ONE, TWO)
    site.load("good")
    site.look("good")
    site.load("bad")
    match missing:
        case "fetched twice":
            site.twice = False
        case "an earlier document of ours":
            site.look("something else", TWO)
        case "the very same":
            site.load("other")
            site.look("bad", TWO)
            site.load("bad")
        case "an answer":
            site.shows = {}
    assert not site.look(after_s=2 * DUE_S)
    assert site.goes_out == "bad"


def test_what_one_traefik_applied_stays_for_all_and_comes_back_when_it_is_seen_late() -> None:
    site = Site(ONE, TWO)
    site.load("good")
    site.look("good")
    site.load("newer")
    site.look("newer", ONE)
    assert not site.look(after_s=2 * DUE_S)
    assert site.goes_out == "newer"
    late = refused(ONE, TWO)
    assert late.look("bad", TWO)
    assert (late.goes_out, late.rest.is_refused) == ("bad", False)
    assert not late.look(after_s=2 * DUE_S)
    site.rest.gone(ONE)
    del site.shows[ONE]
    assert site.look(after_s=1.0), "the only one that had applied it is gone for good"


def test_a_refused_text_is_tried_again_only_when_the_file_changes() -> None:
    site = refused()
    site.load("bad")
    assert (site.goes_out, site.rest.is_refused) == ("good", True)
    assert not site.look(after_s=10 * DUE_S)
    assert site.goes_out == "good"
    site.load("better")
    assert (site.goes_out, site.rest.is_refused) == ("better", False)
    assert site.look(after_s=DUE_S), "and let go of as well"
    site.load("right")
    assert not site.look("right", after_s=1.0)
    assert site.rest.is_settled
    assert site.rest.kept == AppliedText("right", "marker of right", None)


def test_an_edit_that_is_taken_back_is_no_other_text() -> None:
    site = refused()
    site.load("good")
    assert site.rest.is_settled
    assert site.rest.due_mono_s is None


def test_a_text_that_was_applied_between_two_edits_is_the_one_to_go_back_to() -> None:
    """The file was edited again before anybody had seen that Traefik applied it."""
    site = Site()
    site.load("first")
    site.look("first")
    site.load("second")
    site.load("bad")
    assert not site.look("second", after_s=1.0)
    assert site.look(after_s=DUE_S)
    assert site.goes_out == "second"


def test_texts_that_no_traefik_can_show_are_not_kept() -> None:
    """A daemon whose file names no API keeps the file that is expected, whatever was edited."""
    rest = Rest()
    for number in range(10):
        rest.load(f"text {number}", replace(desired(), traefik_api=()))
    assert rest._tried == ()


def test_the_time_of_a_text_runs_from_its_first_document_whatever_comes_after() -> None:
    site = Site()
    site.load("good")
    site.look("good")
    site.load("bad")
    for _ in range(4):
        site.look(after_s=DUE_S / 4 - 0.1)
        site.publish()
    assert site.look(after_s=0.4)


def test_what_was_refused_before_a_restart_is_not_tried_again_and_another_file_is() -> None:
    kept = refused().rest.kept
    assert kept is not None
    again = Site()
    again.rest.remember(kept, desired())
    again.load("bad")
    assert (again.goes_out, again.rest.is_refused) == ("good", True)
    assert again.rest.kept == kept
    other = Site()
    other.rest.remember(kept, desired())
    other.load("better")
    assert (other.goes_out, other.rest.is_refused) == ("better", False)
    assert other.look("good", after_s=DUE_S), "Traefik still shows what the process before had published"
    assert other.goes_out == "good"


def test_without_anything_that_traefik_applied_before_there_is_nothing_to_go_back_to() -> None:
    site = Site()
    site.load("bad")
    assert not site.look(after_s=2 * DUE_S)
    assert (site.goes_out, site.rest.kept) == ("bad", None)


def test_the_document_says_of_a_service_what_the_text_says_whose_rest_goes_out() -> None:
    old = service("shop")
    new = replace(old, routers=(Router("shop", "Host(`new.test`)", {"rule": "Host(`new.test`)"}),))
    added = service("new")
    site = Site()
    site.load("good", desired(old))
    site.look("good")
    site.load("bad", desired(new, added))
    assert [site.rest.service(one) for one in (new, added)] == [new, added]
    site.look(after_s=DUE_S)
    assert [site.rest.service(one) for one in (new, added)] == [old, None]


def test_the_markers_of_old_documents_are_forgotten_but_for_the_one_that_is_shown() -> None:
    site = Site()
    site.load("good")
    site.look("good")
    for number in range(2 * MARKERS_MOST):
        site.rest.published(site.rest.shown, f"another {number}", number, at(site.now_s))
    site.load("bad")
    assert len(site.rest._keys) <= MARKERS_MOST + 1
    assert site.look(after_s=DUE_S)


def test_what_was_changed_is_named_by_its_path_in_the_file() -> None:
    before = desired(service("shop"), service("gone"), pass_through={"http": {"middlewares": {"a": {"x": 1}, "b": {}}}})
    after = desired(
        replace(service("shop"), sticky={"cookie": {}}, watch_s=1.0),
        service("new"),
        generate_certificate=True,
        pass_through={"http": {"middlewares": {"a": {"x": 2}, "b": {}}}, "tcp": {"routers": {"db": {}}}},
    )
    assert list(changes(before, after)) == [
        "traefik.defaultCertificate",
        "services.gone",
        "services.new",
        "services.shop.sticky",
        "http.middlewares.a",
        "tcp.routers.db",
    ]
    assert shortened(changes(before, after)).endswith("http.middlewares.a, and 1 more")
    assert list(changes(before, before)) == []


def test_texts_are_distinguished_by_what_is_written_also_where_that_is_no_utf_8() -> None:
    assert Text.of("a", desired()).key != Text.of("b", desired()).key
    assert text_key("\udcff") == text_key("\udcff")
