"""Whether Traefik has applied a switch."""

from dataclasses import replace

import pytest

from provider.model import Applied, Endpoint, Laggard, Member, Protocol, Shown
from provider.rollout import confirming
from tests.support.phases import moved
from tests.support.worlds import BLUE, GREEN, all_on, member, service

T1, T2 = "http://10.9.0.1:8080", "http://10.9.0.2:8080"
OURS = (("shop-green", 100),)
BEFORE = (("shop-blue", 100),)
SHOWS = Applied(T1, answers=True, is_current=True, has_fetched=True, weights=OURS)
STALE = Applied(T1, answers=True, is_current=False, has_fetched=True, weights=BEFORE)
AWAY = Applied(T1, answers=False)
ERROR = 'the service "shop-green@http" does not exist'


def of(*applied: Applied, fetched: bool | None = None) -> Member:
    return replace(moved(), applied=applied, fetched=fetched)


@pytest.mark.parametrize(
    ("seen", "missing"),
    [
        (of(SHOWS), None),
        (of(SHOWS, replace(SHOWS, traefik=T2)), None),
        (of(fetched=True), None),
        (of(fetched=False), "a poller has not fetched the document yet"),
        (
            replace(of(fetched=False), laggard=Laggard("edge-2", "node-2", is_away=False)),
            "poller edge-2 of replica node-2 has not fetched the document yet",
        ),
        (
            replace(of(fetched=False), laggard=Laggard("edge-3", "node-3", is_away=True)),
            "replica node-3 is away, so its poller edge-3 may not have the document",
        ),
        (of(fetched=None), "nobody polls the document"),
        (of(AWAY, fetched=True), f"the API of Traefik at {T1} does not answer"),
        (of(SHOWS, replace(AWAY, traefik=T2)), f"the API of Traefik at {T2} does not answer"),
        (of(STALE), f"Traefik at {T1} has not applied the document yet"),
        (of(SHOWS, replace(STALE, traefik=T2)), f"Traefik at {T2} has not applied the document yet"),
        (of(replace(SHOWS, weights=BEFORE)), f"Traefik at {T1} shows other weights: shop-blue 100"),
        (of(replace(SHOWS, weights=None)), f"Traefik at {T1} shows other weights: no such service"),
        (replace(of(SHOWS), shown=all_on(BLUE)), "the document is not published yet"),
        (replace(of(SHOWS), shown=None), "the document is not published yet"),
        (member(active=None), "the document is not published yet"),
    ],
)
def test_a_switch_is_confirmed_when_every_traefik_shows_it(seen: Member, missing: str | None) -> None:
    """Rule 7: no poller is no confirmation, and neither is a Traefik that does not answer."""
    assert confirming.unconfirmed(seen, None) == missing


def test_what_is_served_is_compared_and_not_what_was_decided() -> None:
    """Rule 19b: a colour without servers is left out, and that is what every Traefik shows."""
    decided = ((GREEN, 100),)
    left_out = replace(of(replace(SHOWS, weights=BEFORE)), shown=Shown(decided, ((BLUE, 100),)))
    assert confirming.unconfirmed(left_out, None) is None
    shared = replace(of(replace(SHOWS, weights=(*OURS, *BEFORE))), shown=Shown(decided, ((BLUE, 100), (GREEN, 100))))
    assert confirming.unconfirmed(shared, None) is None


def test_every_endpoint_that_the_document_has_must_show_its_weights() -> None:
    """Rules 15 and 31: not those of a text that Traefik refuses."""
    web, mqtt = Endpoint(), Endpoint("mqtt", Protocol.TCP)
    both = (*OURS, ("shop-mqtt-green", 100))
    for as_shown, shows, is_confirmed in (
        (service(endpoints=(web, mqtt)), both, True),
        (service(endpoints=(web, mqtt)), OURS, False),
        (service(endpoints=(web,)), OURS, True),
        (service(endpoints=(web,)), both, False),
    ):
        seen = replace(of(replace(SHOWS, weights=shows)), as_shown=as_shown, service=service(endpoints=(web, mqtt)))
        assert (confirming.unconfirmed(seen, None) is None) is is_confirmed


@pytest.mark.parametrize(
    ("seen", "before"),
    [
        (of(SHOWS), {T1: ()}),
        (of(replace(SHOWS, errors=(ERROR,))), {T1: (ERROR,)}),
        (of(replace(SHOWS, errors=(ERROR,))), {}),
        (of(replace(SHOWS, errors=(ERROR,))), {T2: ()}),
        (of(replace(STALE, errors=(ERROR,))), {T1: ()}),
        (of(replace(AWAY, is_current=True, errors=(ERROR,))), {T1: ()}),
        (replace(of(replace(SHOWS, errors=(ERROR,))), shown=all_on(BLUE)), {T1: ()}),
        (of(), {}),
    ],
    ids=[
        "no error",
        "there before",
        "did not answer before",
        "another one answered before",
        "about an older document",
        "does not answer",
        "not published yet",
        "no API",
    ],
)
def test_an_error_that_the_switch_did_not_bring_is_no_evidence(
    seen: Member, before: dict[str, tuple[str, ...]]
) -> None:
    """Rule 7: only what an answering Traefik says of our document, and did not say before."""
    assert confirming.new_errors(seen, None, before) is None


def test_an_error_that_the_switch_brought_is_reported_in_traefiks_words() -> None:
    """Rule 7."""
    seen = of(SHOWS, replace(SHOWS, traefik=T2, errors=("old", ERROR)))
    assert confirming.new_errors(seen, None, {T1: (), T2: ("old",)}) == f"Traefik at {T2} reports: {ERROR}"


@pytest.mark.parametrize(
    "seen",
    [
        of(SHOWS),
        of(replace(STALE, has_fetched=False)),
        of(replace(AWAY, has_fetched=True, weights=BEFORE)),
        of(replace(STALE, weights=None)),
        of(replace(STALE, weights=OURS)),
        replace(of(STALE), shown=all_on(BLUE)),
        of(fetched=None),
        of(fetched=False),
    ],
    ids=[
        "applied",
        "slow polls: not fetched",
        "API unreachable",
        "knows nothing of ours",
        "an older document with these weights",
        "not published yet",
        "nobody polls",
        "slow polls, no API",
    ],
)
def test_what_shows_no_old_weights_is_no_evidence(seen: Member) -> None:
    """Rule 7: nobody polls, slow polls and an API that cannot be reached take nothing back."""
    assert confirming.not_applied(seen, None) is None


def test_old_weights_after_the_document_was_fetched_are_evidence() -> None:
    """Rule 7."""
    assert confirming.not_applied(of(SHOWS, replace(STALE, traefik=T2)), None) == (
        f"Traefik at {T2} fetched the document and did not apply it: it still shows shop-blue 100. Its log says why"
    )


def test_the_errors_of_before_are_kept_by_traefik_and_only_of_those_that_answer() -> None:
    """Rule 7: one that is not kept here said nothing, so nothing that it says later is new."""
    pay = replace(moved(service("pay")), applied=(replace(SHOWS, errors=("a",)), replace(AWAY, traefik=T2)))
    shop = of(replace(SHOWS, errors=("b",)), replace(AWAY, traefik=T2))
    assert confirming.errors([pay, shop]) == {T1: ("a", "b")}
    assert confirming.errors([of(SHOWS)]) == {T1: ()}
