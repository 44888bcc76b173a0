"""What the doctor says of a Traefik."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from provider.cli.doctor.checks.traefik import Certificate, Expected, Router, Static, TraefikFacts, check
from provider.cli.doctor.findings import Code, Finding
from provider.config import load
from provider.model import Desired

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULE = "Host(`shop.example.com`)"
OURS = Router("shop@http", RULE, 25, frozenset({"web"}))
GOOD = TraefikFacts(
    api="http://10.0.0.1:8080",
    version="3.7.15",
    static=Static(frozenset({"HTTP"}), 0.1, 1.0, 5.0),
    entry_points=frozenset({"web", "websecure"}),
    routers=(OURS,),
    marker="bluegreen-0123456789ab@http",
    default_name="bluegreen default certificate",
)


def desired(more: str = "", router: str = "entryPoints: [web]") -> Desired:
    return load(
        f"environment: production\nservices: {{shop: {{router: {{rule: '{RULE}', {router}}}}}}}\n{more}", "file"
    )


def found(expected: Expected | None = None, **fields: Any) -> list[Finding]:
    return list(check(replace(GOOD, **fields), expected or Expected(desired(), poll_hold_s=4.0), NOW))


def codes(expected: Expected | None = None, **fields: Any) -> list[Code]:
    return [one.code for one in found(expected, **fields)]


def test_a_traefik_in_good_order_is_no_finding() -> None:
    assert found() == []


def test_a_version_before_3_was_never_tried() -> None:
    assert codes(version="2.11.0") == [Code.TRAEFIK_OLD]
    assert codes(version="v3.0.0") == []
    assert codes(version="") == [], "an unknown version is none"


@pytest.mark.parametrize(
    ("interval_s", "throttle_s", "expected"),
    [
        (2.0, 0.5, []),
        (5.0, 0.1, [Code.POLL_SLOWER_THAN_NEEDED]),
        (11.0, 0.1, [Code.POLL_SLOW]),
        (1.0, 2.0, [Code.THROTTLE_LONGER_THAN_NEEDED]),
        (1.0, 6.0, [Code.THROTTLE_LONG]),
        (None, None, []),
    ],
)
def test_slow_polls_and_a_long_throttle_are_reported_by_how_slow_they_are(
    interval_s: float | None, throttle_s: float | None, expected: list[Code]
) -> None:
    assert codes(static=Static(frozenset({"HTTP"}), throttle_s, interval_s, 5.0)) == expected


def test_the_interval_that_the_daemon_sees_counts_where_traefik_does_not_show_its_own() -> None:
    silent = Static(frozenset({"HTTP"}))
    seen = Expected(desired(), poll_hold_s=4.0, observed_interval_s=30.02)
    (one,) = found(seen, static=silent)
    assert (one.code, one.what.partition(":")[0]) == (
        Code.POLL_SLOW,
        "it polls every 30 s (as observed), and a switch or a rollback waits for the next poll",
    )
    assert found(seen) == [], "its own word goes first"


def test_a_poll_timeout_that_a_hold_outlasts_is_critical() -> None:
    assert codes(static=replace(GOOD.static, poll_timeout_s=4.0)) == [Code.POLL_TIMEOUT_SHORT]
    assert codes(static=replace(GOOD.static, poll_timeout_s=4.5)) == []
    assert codes(Expected(desired()), static=replace(GOOD.static, poll_timeout_s=1.0)) == [], "no hold is known"


def test_without_our_document_it_is_said_why_as_far_as_that_is_known() -> None:
    assert codes(static=replace(GOOD.static, providers=frozenset({"Docker", "File"}))) == [Code.HTTP_PROVIDER_MISSING]
    for expected, words in (
        (Expected(has_document=False), "the daemon has none yet"),
        (Expected(is_polled=False), "no Traefik polls the daemon"),
        (Expected(), "its endpoint does not answer"),
    ):
        (one,) = found(expected, marker=None)
        assert one.code is Code.NO_DOCUMENT_APPLIED
        assert words in one.what


def test_an_entry_point_that_is_not_there_is_named_with_those_that_are() -> None:
    (one,) = found(Expected(desired(router="entryPoints: [websecured]")))
    assert one.code is Code.ENTRY_POINT_MISSING
    assert one.what == "router shop of services.shop names entry point websecured, not one of web, websecure"
    assert codes(Expected(desired(router="entryPoints: [websecured]")), entry_points=frozenset()) == [], "not told"
    assert codes(Expected(desired(router="priority: 3"))) == []


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ("", Code.NO_DEFAULT_CERTIFICATE),
        ("traefik: {defaultCertificate: generated}", Code.DEFAULT_CERTIFICATE_CONFLICT),
        (
            "tls: {stores: {default: {defaultCertificate: {certFile: c.pem, keyFile: k.pem}}}}",
            Code.DEFAULT_CERTIFICATE_CONFLICT,
        ),
    ],
)
def test_a_certificate_that_traefik_made_is_none_or_a_conflict(more: str, code: Code) -> None:
    assert codes(Expected(desired(more)), default_name="TRAEFIK DEFAULT CERT") == [code]
    assert codes(Expected(desired(more))) == []
    assert codes(Expected(desired(more)), default_name=None) == [], "it was not seen"


def test_what_traefik_holds_against_ours_is_reported_in_its_own_words_and_other_peoples_is_not_ours() -> None:
    words = ('middleware "auth@file" does not exist',)
    broken = (replace(OURS, is_enabled=False, errors=words), Router("old@docker", "Host(`x`)", 9, frozenset(), False))
    (router, service) = found(routers=broken, broken={"shop-blue@http": ("bad url",), "old@docker": ("gone",)})
    assert (router.code, router.where) == (Code.ROUTER_BROKEN, "Traefik http://10.0.0.1:8080, router shop@http")
    assert router.what == f"Traefik reports: {words[0]}"
    assert service.where.endswith("service shop-blue@http")


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (Router("shop@docker", RULE, 24, frozenset({"web"})), [Code.ROUTER_DOUBLED]),
        (Router("shop@docker", RULE, 25, frozenset({"web"})), [Code.ROUTER_TIE]),
        (Router("shop@docker", RULE, 26, frozenset({"web"})), [Code.ROUTER_SHADOWED]),
        (Router("shop@docker", 'Host( "shop.example.com" )', 26, frozenset({"web"})), [Code.ROUTER_SHADOWED]),
        (Router("shop@docker", RULE, 26, frozenset({"websecure"})), []),
        (Router("shop@docker", "Host(`api.example.com`)", 26, frozenset({"web"})), []),
        (Router("shop@docker", RULE, 26, frozenset({"web"}), is_enabled=False), []),
        (Router("other@http", RULE, 26, frozenset({"web"})), []),
    ],
)
def test_a_router_with_our_rule_is_reported_by_who_wins(other: Router, expected: list[Code]) -> None:
    """Rule 15."""
    assert codes(routers=(OURS, other)) == expected


def test_the_router_of_the_file_that_the_daemon_writes_is_meant_to_be_there() -> None:
    written = Router("shop@file", RULE, 24, frozenset({"web"}))
    assert codes(Expected(desired(), writes_file=True), routers=(OURS, written)) == []
    assert codes(routers=(OURS, written)) == [Code.ROUTER_DOUBLED]


@pytest.mark.parametrize(
    ("whole_days", "left_days", "expected"),
    [
        (90, -1, [Code.CERTIFICATE_EXPIRED]),
        (90, 13, [Code.CERTIFICATE_EXPIRES]),
        (90, 15, []),
        (6, 2, []),  # one of those that live for days, which are renewed with a third left
        (6, 1, [Code.CERTIFICATE_EXPIRES]),
    ],
)
def test_a_certificate_is_reported_when_it_is_over_or_soon_will_be(
    whole_days: int, left_days: int, expected: list[Code]
) -> None:
    until = NOW + timedelta(days=left_days)
    shown = Certificate("shop.example.com", until - timedelta(days=whole_days), until)
    assert codes(certificates=(shown,)) == expected
