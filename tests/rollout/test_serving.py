"""Which servers take the traffic."""

from dataclasses import replace

import pytest

from provider.model import ByColour, Canary, Health, HealthCheck, Member, Observed, ProbeMode, Router, Server, Step
from provider.rollout import serving
from tests.support.stepping import WEIGHTS, stepping
from tests.support.worlds import BLUE, GREEN, NOTHING, at, member, runs, server, service

A, B, C = server(1), server(2), server(3, "r2")
CANARY = Canary(tuple(map(Step, WEIGHTS)))
UNHEALTHY, UNKNOWN = Health.UNHEALTHY, Health.UNKNOWN


def leaving(one: Server, since_mono_s: float = 990.0) -> Server:
    return replace(one, leaving_mono_s=since_mono_s)


def chosen(of: Member) -> tuple[Server, ...]:
    served = serving.serve(of)
    assert served is not None
    assert served.weights == ((BLUE, 100),)
    assert served.servers.keys() == {BLUE}
    again = replace(of, published=frozenset(one.key for one in served.servers[BLUE]))
    assert serving.serving(again, BLUE) == served.servers[BLUE], "published, the choice must stand (P12)"
    return served.servers[BLUE]


def test_the_active_colour_is_served_mixed_or_not() -> None:
    """Rule 3."""
    assert chosen(member(blue=runs(A, C))) == (A, C)


def test_only_healthy_servers_are_served_while_there_are_any() -> None:
    """Rule 3."""
    assert chosen(member(blue=runs(A, B, C), health={B: UNHEALTHY, C: UNKNOWN})) == (A,)


@pytest.mark.parametrize("health", [UNHEALTHY, UNKNOWN])
def test_all_servers_are_served_when_none_is_healthy(health: Health) -> None:
    """Rule 3."""
    assert chosen(member(blue=runs(A, B), health={A: health, B: health})) == (A, B)


def test_a_published_server_stays_after_a_restart_until_it_is_proven_unhealthy() -> None:
    """Rule 3: nobody has been judged yet, and only those in the last document are served."""
    of = member(blue=runs(A, B, C), health={A: UNKNOWN, B: UNKNOWN, C: UNKNOWN}, published=(A, B))
    assert chosen(of) == (A, B)
    assert chosen(replace(of, health=member(blue=runs(A), health={A: UNHEALTHY}).health)) == (B,)


def test_a_server_not_judged_yet_does_not_join_the_unhealthy() -> None:
    """P12: once published it would count as able and push the others out in a second document."""
    assert chosen(member(blue=runs(A, B), health={A: UNHEALTHY, B: UNKNOWN}, published=(A,))) == (A,)


def test_a_server_asked_to_stop_leaves_at_once_while_another_can_serve() -> None:
    """Rule 4."""
    assert chosen(member(blue=runs(leaving(A), B), published=(A, B))) == (B,)


@pytest.mark.parametrize("others", [(), (B,)], ids=["alone", "beside one that is not judged yet"])
def test_the_last_server_that_can_serve_stays_while_it_is_being_stopped(others: tuple[Server, ...]) -> None:
    """Rule 4."""
    last = leaving(A)
    assert chosen(member(blue=runs(last, *others), health=dict.fromkeys(others, UNKNOWN), published=(A,))) == (last,)


def test_a_server_that_left_does_not_come_back_when_the_last_one_is_asked_to_stop_too() -> None:
    """Rule 4: it left at once, and may be gone at any moment; those that are asked together stay together."""
    assert chosen(member(blue=runs(leaving(A), leaving(B)), published=(B,))) == (leaving(B),)
    assert chosen(member(blue=runs(leaving(A), leaving(B)), published=(A, B))) == (leaving(A), leaving(B))
    assert chosen(member(blue=runs(leaving(A)), published=(B,))) == (leaving(A),), "better than nothing (P4)"


def test_the_last_server_being_stopped_stays_while_its_container_runs() -> None:
    """Rule 4: a signal that the process survives must not end in 503; when its time is over, it may return."""
    last = leaving(A, since_mono_s=1000.0)
    of = member(blue=runs(last))
    assert serving.wake_mono_s(of, at(1000.0)) == 1060.0
    assert serving.wake_mono_s(of, at(1060.0)) is None
    assert chosen(of) == (last,)


def test_a_server_with_a_longer_stop_timeout_has_longer_to_stop() -> None:
    """Rule 4: its StopTimeout plus 10 s where that is longer; a standby is looked at as well."""
    slow = replace(leaving(C, since_mono_s=1000.0), leaving_limit_s=310.0)
    assert serving.wake_mono_s(member(green=runs(slow)), at(1000.0)) == 1310.0


def test_an_unhealthy_server_is_better_than_an_unhealthy_one_being_stopped() -> None:
    assert chosen(member(blue=runs(leaving(A), B), health={A: UNHEALTHY, B: UNHEALTHY})) == (B,)


def test_all_being_stopped_and_none_healthy_still_serves_them() -> None:
    """P4."""
    of = member(blue=runs(leaving(A), leaving(B)), health={A: UNHEALTHY, leaving(A): UNHEALTHY, leaving(B): UNKNOWN})
    assert chosen(of) == (leaving(A),)


def test_a_colour_without_servers_keeps_its_place() -> None:
    """Rule 4: removed by Docker's own word, the colour keeps its place with no servers."""
    assert chosen(member(blue=NOTHING, green=runs(C))) == ()


def test_two_containers_at_one_address_are_one_server_of_the_document() -> None:
    assert len(chosen(member(blue=runs(A, replace(A, container="c9"))))) == 1


def test_servers_are_ordered_by_their_address() -> None:
    """P6: same state, same bytes."""
    assert chosen(member(blue=runs(B, A))) == (A, B) == chosen(member(blue=runs(A, B)))


@pytest.mark.parametrize("of", [member(active=None, blue=runs(A)), member(blue=Observed())])
def test_an_undecided_service_or_one_with_unknown_servers_is_not_served(of: Member) -> None:
    """Rule 1: before the first complete list Docker's servers are unknown, not none."""
    assert serving.serve(of) is None


def test_a_container_that_docker_finds_unhealthy_is_left_out() -> None:
    sick = replace(B, docker_health=UNHEALTHY)
    assert chosen(member(service(health_check=HealthCheck(mode=ProbeMode.HTTP)), blue=runs(A, sick))) == (A,)


# --- the preview ----------------------------------------------------------------------------------------------------

SEEN = service(preview=Router("shop-preview", "Host(`preview.shop.example.com`)", {}))


def previewed(of: Member) -> tuple[Server, ...] | None:
    served = serving.serve(of)
    assert served is not None
    assert served.weights == ((BLUE, 100),), "a preview takes no traffic"
    assert served.servers.keys() == ({BLUE, GREEN} if served.preview else {BLUE})
    return served.servers[served.preview] if served.preview else None


def test_the_preview_leads_to_the_standby_once_it_is_healthy() -> None:
    """Rule 15: a colour appears only with weight or a preview."""
    of = member(SEEN, blue=runs(A), green=runs(C, server(4, "r2")))
    assert previewed(of) == (C, server(4, "r2"))
    assert previewed(replace(of, service=service())) is None


def test_the_preview_follows_the_standby() -> None:
    of = member(SEEN, active=GREEN, blue=runs(A), green=runs(C))
    served = serving.serve(of)
    assert served is not None
    assert (served.weights, served.preview, served.servers[BLUE]) == (((GREEN, 100),), BLUE, (A,))


@pytest.mark.parametrize(
    "of",
    [
        member(SEEN, blue=runs(A), green=NOTHING),
        member(SEEN, blue=runs(A), green=Observed()),
        member(SEEN, blue=runs(A), green=runs(C, server(4, "r4"))),
        member(SEEN, blue=runs(A), green=runs(C), health={C: UNKNOWN}),
        member(SEEN, blue=runs(A), green=runs(C, server(4, "r2")), health={C: UNHEALTHY}),
    ],
    ids=["no servers", "unknown", "mixed", "not judged", "one unhealthy"],
)
def test_there_is_no_preview_of_a_standby_that_is_not_healthy(of: Member) -> None:
    """P2: its router goes with it, so that nobody takes a 503 for the new release."""
    assert previewed(of) is None


def test_the_preview_changes_nothing_of_what_has_traffic() -> None:
    """P12."""
    with_preview = serving.serve(member(SEEN, blue=runs(A, B), green=runs(C)))
    without = serving.serve(member(blue=runs(A, B), green=runs(C)))
    assert with_preview is not None
    assert without is not None
    assert with_preview.servers[BLUE] == without.servers[BLUE] == (A, B)


# --- the first document of an empty store --------------------------------------------------------------------------


def test_the_first_document_waits_for_dockers_first_list() -> None:
    """Rule 1."""
    of = replace(member(blue=runs(A)), observed=ByColour(runs(A), Observed()))
    assert serving.first_document_waits_for([of], 3600.0) == "service shop waits for Docker's first complete list"


def test_the_first_document_waits_for_a_service_that_is_undecided() -> None:
    """Rule 1."""
    reason = serving.first_document_waits_for([member(active=None, blue=runs(A), green=runs(C))], 3600.0)
    assert reason == "service shop is undecided: both colours have servers; name one: bluegreen switch shop blue|green"


def test_a_service_not_healthy_yet_holds_up_the_first_document_for_its_limit() -> None:
    """Rule 1: 60 s at most."""
    of = member(blue=runs(A), health={A: UNKNOWN})
    assert serving.first_document_waits_for([of], 59.9) == "service shop has no healthy server in blue yet"
    assert serving.first_document_waits_for([of], 60.0) is None


@pytest.mark.parametrize(
    "of",
    [
        member(active=None),
        member(active=GREEN, blue=runs(A)),
        member(blue=runs(A, B), health={B: UNKNOWN}),
    ],
    ids=["no servers at all", "none in its active colour", "one is healthy"],
)
def test_nothing_else_holds_up_the_first_document(of: Member) -> None:
    assert serving.first_document_waits_for([of], 0.0) is None


# --- in a step ------------------------------------------------------------------------------------------------------


def test_an_empty_candidate_is_left_out_also_while_nothing_is_known_of_the_active_servers() -> None:
    """Rule 19b: as after a restart; they would answer all of the requests anyway, and the empty entry 503."""
    of = member(service(canary=CANARY), blue=runs(A), green=runs(C), health={A: UNKNOWN, C: UNHEALTHY})
    served = serving.serve(of, stepping(1))
    assert served is not None
    assert (served.weights, served.servers) == (((BLUE, 100),), {BLUE: (A,)})


def test_an_empty_active_colour_is_not_left_out_for_a_candidate_that_is_not_healthy() -> None:
    """Rule 19b: nothing sends all of the traffic there."""
    of = member(service(canary=CANARY), green=runs(C), health={C: UNKNOWN}, published=(C,))
    served = serving.serve(of, stepping(1))
    assert served is not None
    assert (served.weights, served.servers) == (((BLUE, 95), (GREEN, 5)), {BLUE: (), GREEN: (C,)})


# --- what may wait while a step is on ---------------------------------------------------------------------------------


def said(of: Member) -> serving.Rendered:
    served = serving.serve(of)
    assert served is not None
    return serving.Rendered(served, serving.shown(of, None, served))


GONE_SOON = leaving(C)
PREVIEWED = service(preview=Router("shop-preview", "Host(`p`)", {}))


@pytest.mark.parametrize(
    ("before", "after", "waits"),
    [
        (member(blue=runs(A)), member(blue=runs(A, B)), True),
        (member(blue=runs(A, B)), member(blue=runs(A)), False),
        (member(blue=runs(A, B)), member(blue=runs(A, B), health={B: UNHEALTHY}), False),
        (member(blue=runs(A, B)), member(blue=runs(leaving(A), B)), False),
        (member(blue=runs()), member(blue=runs(A)), False),
        (member(blue=runs(A)), member(service(sticky={}), blue=runs(A)), False),
        (member(blue=runs(A)), member(active=GREEN, green=runs(A)), False),
        (member(PREVIEWED, blue=runs(A), green=NOTHING), member(PREVIEWED, blue=runs(A), green=runs(C)), True),
        (
            member(PREVIEWED, blue=runs(A), green=runs(C)),
            member(PREVIEWED, blue=runs(A), green=runs(C), health={C: UNHEALTHY}),
            True,
        ),
        (member(PREVIEWED, blue=runs(A), green=runs(C)), member(PREVIEWED, blue=runs(A), green=NOTHING), False),
        (
            member(PREVIEWED, blue=runs(A), green=runs(C)),
            member(PREVIEWED, blue=runs(A), green=runs(leaving(C))),
            False,
        ),
    ],
    ids=[
        "joins",
        "is gone",
        "is unhealthy",
        "leaves",
        "is the first",
        "edited",
        "switched",
        "preview comes",
        "preview is unhealthy",
        "preview is gone",
        "preview leaves",
    ],
)
def test_only_what_nobody_misses_may_wait(before: Member, after: Member, *, waits: bool) -> None:
    """Rule 22: health that takes traffic away, leaving servers, edits and decisions do not."""
    assert serving.may_wait(after, said(before), said(after)) is waits
    assert serving.may_wait(after, said(after), said(after))
