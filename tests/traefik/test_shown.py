"""What the readings of all Traefiks add up to, for the core and for people."""

import pytest

from provider.model import Applied, CandidateRoute, Severity
from provider.model.traefik_schema import Later
from provider.traefik.readback import Reading
from provider.traefik.shown import APPLYING_S, LATE_AFTER_S, Traefiks
from tests.support.reading_back import in_http
from tests.support.worlds import at, service

ONE, TWO = "http://10.0.0.1:8080", "http://10.0.0.2:8080"
OLD, NEW = "bluegreen-000000000001", "bluegreen-000000000002"
SHOP = service()
BLUE_100 = (("shop-blue", 100),)


def reading(traefik: str = ONE, marker: str | None = NEW, **fields: object) -> Reading:
    values = {"cause": None, "errors": {}, "weights": in_http({"shop": BLUE_100})} | fields
    return Reading(traefik, marker, **values)  # type: ignore[arg-type]


def published(*readings: Reading, at: float = 101.0) -> Traefiks:
    """Publish NEW at 100 s, and read at another moment."""
    traefiks = Traefiks()
    traefiks.expect(("http://traefik:8080",), "production")
    traefiks.published(OLD, 90.0, 1)
    traefiks.published(NEW, 100.0, 2)
    traefiks.is_given = True
    for each in readings:
        traefiks.read(each, at)
    return traefiks


def codes(traefiks: Traefiks, now_mono_s: float, *, given: bool = True) -> dict[str, str]:
    return {each.code: each.message for each in traefiks.conditions(at(now_mono_s), given=given)}


def test_a_traefik_that_was_never_read_answers_nothing() -> None:
    """P2: an address in the file is no confirmation."""
    assert published().applied(SHOP) == (Applied("http://traefik:8080", answers=False),)
    nobody = Traefiks()
    nobody.published(NEW, 100.0)
    assert nobody.applied(SHOP) == ()


def test_what_a_traefik_shows_is_current_only_if_it_was_read_after_the_document_came_out() -> None:
    """Rule 15: the same document may come again, and what was read then says nothing of now."""
    traefiks = published(reading())
    assert [one.is_current for one in traefiks.applied(SHOP)] == [True]
    traefiks.published(OLD, 110.0, 3)
    assert [one.is_current for one in traefiks.applied(SHOP)] == [False]
    traefiks.published(NEW, 120.0, 4)
    traefiks.is_given = True
    assert [one.is_current for one in traefiks.applied(SHOP)] == [False]
    traefiks.read(reading(), 121.0)
    assert [one.is_current for one in traefiks.applied(SHOP)] == [True]


def test_a_document_published_again_is_the_same_document() -> None:
    """P12."""
    traefiks = published(reading())
    traefiks.published(NEW, 130.0, 2)
    assert [one.is_current for one in traefiks.applied(SHOP)] == [True]


def test_who_was_read_right_after_the_fetch_may_be_applying_still() -> None:
    """Rule 7: old weights count once the document was fetched, and time to apply it has passed."""
    stale = reading(marker=OLD)
    for fetched_mono_s, read_mono_s, expected in (
        (None, 300.0, False),
        (102.0, 102.0 + APPLYING_S - 0.1, False),
        (102.0, 102.0 + APPLYING_S, True),
    ):
        since = {} if fetched_mono_s is None else {ONE: fetched_mono_s}
        (one,) = published(stale, at=read_mono_s).applied(SHOP, since)
        assert (one.has_fetched, one.is_current) == (expected, False)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ({"shop": (("shop-blue", 75), ("shop-green", 25))}, {"shop-blue": 75, "shop-green": 25}),
        (
            {
                "shop": (("shop-r1-1", 5), ("shop-r1-2", 20), ("shop-r1-3", 75)),
                "shop-r1-1": (("shop-green", 1),),
                "shop-r1-2": (("shop-green", 7),),
                "shop-r1-3": (("shop-blue", 1),),
            },
            {"shop-green": 25, "shop-blue": 75},
        ),
        ({"shop": (("shop-green-r1", 100),), "shop-green-r1": (("shop-green", 1),)}, {"shop-green": 100}),
        ({"shop": (("shop-r1-1", 100),)}, {"shop-r1-1": 100}),
        ({"shop": (("shop", 100),)}, {"shop": 100}),
        ({"shop": (("a", 1),), "a": (("b", 1),), "b": (("a", 1),)}, {"b": 1}),
        ({"shop": (("a", 9),), "a": (("b", 1), ("c", 1))}, {"a": 9}),
        ({"shop": (("a", 9),), "a": ()}, {"a": 9}),
        ({"shop": ()}, {}),
        ({}, None),
    ],
    ids=["colours", "steps", "sessions", "missing", "itself", "cycle", "several", "none", "empty", "nothing"],
)
def test_weights_are_those_of_the_servers_that_the_entries_lead_to(
    shown: dict[str, tuple[tuple[str, int], ...]], expected: dict[str, int] | None
) -> None:
    """Rules 7 and 21: an alias counts as what it leads to; what is none of ours has no end to be looked for."""
    (one,) = published(reading(weights=in_http(shown))).applied(SHOP)
    assert one.weights == (None if expected is None else tuple(expected.items()))


def test_an_error_of_an_entry_that_a_rollout_brought_is_one_of_the_service() -> None:
    """Rule 7."""
    errors = {"shop-r1-1": ("service shop-r1-1: no such service",), "pay-r1-1": ("theirs",), "shop-test": ("bad rule",)}
    shown = {"shop": (("shop-r1-1", 5), ("shop-r1-2", 95))}
    tested = service(test_route=CandidateRoute("X-Release", "candidate"))
    (one,) = published(reading(weights=in_http(shown), errors=in_http(errors))).applied(tested)
    assert one.errors == ("bad rule", "service shop-r1-1: no such service")


def test_a_traefik_that_does_not_answer_shows_nothing() -> None:
    away = Reading(ONE, None, "connection refused", {}, {})
    assert published(away).applied(SHOP) == (Applied(ONE, answers=False, has_fetched=False),)


def test_errors_are_those_of_the_services_own_routers_and_services() -> None:
    """Rule 7."""
    complaints = {
        "shop": ("router shop: middleware nope does not exist",),
        "shop-blue": ("service shop-blue: bad",),
        "pay": ("router pay: no",),
    }
    (one,) = published(reading(errors=in_http(complaints))).applied(SHOP)
    assert one.errors == ("router shop: middleware nope does not exist", "service shop-blue: bad")


def test_an_address_that_was_not_read_yet_keeps_a_switch_unconfirmed() -> None:
    """P2: two are named, one was read."""
    traefiks = published(reading())
    traefiks.expect(("http://a:8080", "http://b:8080"))
    assert [one.answers for one in traefiks.applied(SHOP)] == [False, True]


def test_a_reading_returns_whether_it_changed_anything() -> None:
    traefiks = published()
    assert traefiks.read(reading(), 101.0).is_changed
    assert not traefiks.read(reading(), 102.0).is_changed
    assert traefiks.read(reading(weights={}), 103.0).is_changed
    traefiks.gone(ONE)
    assert traefiks.applied(SHOP) == (Applied("http://traefik:8080", answers=False),)


def test_a_document_that_is_fetched_and_not_shown_is_reported_once_it_is_late() -> None:
    traefiks = published(reading(marker=OLD))
    assert codes(traefiks, 100.0 + LATE_AFTER_S - 0.1) == {}
    reported = codes(traefiks, 100.0 + LATE_AFTER_S)["not-applied"]
    assert f"{ONE} (shows {OLD})" in reported
    assert "its log says why" in reported
    assert "may not have fetched it" in codes(traefiks, 200.0, given=False)["not-applied"]


def test_before_its_first_document_a_daemon_misses_nothing_at_a_traefik() -> None:
    """Rule 14: what an earlier process, or the leader before, has published is shown until there is another one."""
    traefiks = Traefiks()
    traefiks.expect((ONE,), "production")
    traefiks.remember(OLD)
    traefiks.read(reading(marker=OLD), 100.0)
    assert codes(traefiks, 101.0) == {}


def test_silence_and_complaints_of_a_traefik_are_reported_with_its_message() -> None:
    words = tuple(f"router r{number}: bad" for number in range(7))
    traefiks = published(Reading(TWO, None, "connection refused", {}, {}), reading(errors=in_http({"r": words})))
    reported = codes(traefiks, 200.0)
    assert f": {TWO} (connection refused); start it" in reported["traefik-away"]
    assert reported["traefik-errors"].endswith("router r4: bad and 2 more")
    assert {each.severity for each in traefiks.conditions(at(200.0), given=True)} == {
        Severity.WARNING,
        Severity.CRITICAL,
    }
    traefiks.expect(())
    assert codes(traefiks, 200.0) == {}


# --- whose evidence it is ------------------------------------------------------------------------------------------


def news(traefiks: Traefiks, shown: Reading) -> tuple[bool, bool]:
    found = traefiks.read(shown, 101.0)
    return found.began, found.is_another


def test_what_another_daemons_traefik_shows_is_no_evidence_and_is_reported() -> None:
    """Rule 7: staging's API, named by mistake, shows old weights and complaints that are none of ours."""
    staging = reading(
        marker="bluegreen-0000000000ff", environment="staging", errors=in_http({"shop": ("router shop: bad",)})
    )
    traefiks = published(staging)
    (one,) = traefiks.applied(SHOP, {ONE: 101.0 - APPLYING_S})
    assert (one.is_current, one.has_fetched, one.is_ours) == (False, False, False)
    assert one.doubt == "shows documents of another daemon, of environment staging"
    assert codes(traefiks, 100.0 + LATE_AFTER_S).keys() == {"traefik-unproven"}
    assert f"{ONE} {one.doubt}" in codes(traefiks, 100.0 + LATE_AFTER_S)["traefik-unproven"]


def test_a_document_that_this_daemon_never_published_is_no_evidence_either() -> None:
    traefiks = published(reading(marker="bluegreen-0000000000ff", environment="production"))
    (one,) = traefiks.applied(SHOP, {ONE: 0.0})
    assert (one.is_current, one.has_fetched, one.is_ours) == (False, False, False)
    assert "shows a document that this daemon does not know (bluegreen-0000000000ff)" in str(one.doubt)
    traefiks.remember("bluegreen-0000000000ff")
    (one,) = traefiks.applied(SHOP, {})
    assert one.doubt is None, "an earlier process has published it"


def test_an_address_at_which_several_traefiks_answer_by_turns_proves_nothing() -> None:
    """Rule 7: one of them has applied the document, and nothing is known of the others."""
    traefiks = published(reading(is_shared=True))
    (one,) = traefiks.applied(SHOP, {ONE: 0.0})
    assert (one.is_current, one.has_fetched) == (False, False)
    assert "answers for several Traefiks by turns" in codes(traefiks, 100.0 + LATE_AFTER_S)["traefik-unproven"]


def test_a_document_that_nobody_was_given_is_shown_by_nobody_who_has_it_from_here() -> None:
    """P2: another daemon may publish the very same."""
    traefiks = published(reading())
    traefiks.is_given = False
    assert [one.is_current for one in traefiks.applied(SHOP)] == [False]


def test_one_traefik_with_several_addresses_is_one() -> None:
    traefiks = published(reading(ONE, instance="3.7 of noon"), reading(TWO, instance="3.7 of noon"))
    assert [one.traefik for one in traefiks.applied(SHOP)] == [ONE]
    traefiks.read(reading(TWO, instance="3.7 of midnight"), 102.0)
    assert [one.traefik for one in traefiks.applied(SHOP)] == [ONE, TWO]


def test_a_traefik_begins_to_show_a_document_that_it_can_only_have_from_this_process() -> None:
    """Rule 7: what it shows since before, an earlier process may have given it; this one may be out of its reach."""
    fresh = published()
    assert news(fresh, reading(instance="a")) == (True, False)
    assert news(fresh, reading(instance="a")) == (False, False)
    known = Traefiks()
    known.remember(NEW)
    known.published(NEW, 100.0, 1)
    assert news(known, reading(instance="a")) == (False, False)
    known.published(OLD, 110.0, 2)
    assert news(known, reading(marker=OLD, instance="a")) == (True, False)
    assert news(known, reading(marker=OLD, instance="b")) == (True, True), "another process, and it had to fetch it"
    known.published(NEW, 120.0, 3)
    assert news(known, reading(instance="c")) == (False, True), "an earlier process of ours has published it, too"


def test_a_traefik_that_shows_what_was_published_before_began_nothing() -> None:
    traefiks = published()
    assert news(traefiks, reading(marker=OLD)) == (False, False)
    assert news(traefiks, reading(marker=NEW)) == (True, False)


LATER = (Later("http.middlewares.r.retry.status", (3, 7)), Later("services.shop.router.observability", (3, 3)))


def test_a_traefik_that_is_older_than_a_key_of_the_file_is_reported_by_its_version() -> None:
    """Rule 15: the union of 3.0 to 3.7 is accepted, and it refuses the whole document for that key."""
    stale = published(
        reading(marker=OLD, instance="3.6.4 of 2026-01-01T00:00:00Z"),
        reading(TWO, marker=OLD, instance="3.2.0 of 2026-01-01T00:00:01Z"),
    )
    assert "traefik-older" not in codes(stale, 101.0)
    stale.expect(("http://traefik:8080",), "production", LATER)
    assert codes(stale, 101.0)["traefik-older"] == (
        "Traefik refuses the whole document for keys that it does not know yet: http://10.0.0.1:8080 is 3.6.4 and has"
        " no http.middlewares.r.retry.status (from 3.7 on); http://10.0.0.2:8080 is 3.2.0 and has no"
        " http.middlewares.r.retry.status (from 3.7 on), services.shop.router.observability (from 3.3 on);"
        " upgrade it, or remove the keys"
    )


def test_a_traefik_that_knows_every_key_or_has_no_version_or_applied_it_is_not_reported() -> None:
    for one in (
        reading(marker=OLD, instance="3.7.0 of 2026-01-01T00:00:00Z"),
        reading(marker=OLD, instance=None),
        reading(marker=OLD, instance="dev of 2026-01-01T00:00:00Z"),
        reading(instance="3.2.0 of 2026-01-01T00:00:00Z"),
    ):
        traefiks = published(one)
        traefiks.expect(("http://traefik:8080",), "production", LATER)
        assert "traefik-older" not in codes(traefiks, 101.0)
