"""What the doctor says of releases in steps."""

from textwrap import dedent

import pytest

from provider.cli.doctor.checks.steps import check
from provider.cli.doctor.checks.traefik import TraefikFacts
from provider.cli.doctor.findings import Code
from provider.config import load

WEB, LOCAL = frozenset({"web"}), frozenset({"local"})
TRAEFIK = TraefikFacts(api="http://10.0.0.1:8080", entry_points=WEB | LOCAL, local=LOCAL)
BEHIND = TraefikFacts(api="http://10.0.0.1:8080", entry_points=WEB | LOCAL, local=LOCAL, forwarded=WEB | LOCAL)
STEPS = "canary: {affinity: client, steps: [{weight: 90}]}"


def codes(keys: str, *traefiks: TraefikFacts, entry_point: str = "web") -> list[tuple[Code, str]]:
    text = f"""\
        environment: production
        traefik: {{api: ["http://traefik:8080"]}}
        services:
          shop:
            router: {{rule: Host(`shop.example.com`), entryPoints: [{entry_point}]}}
            {keys}
        """
    return [(one.code, one.where.removeprefix("services.shop.")) for one in check(load(dedent(text), "f"), traefiks)]


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ("canary: {steps: [{weight: 90}]}", []),
        ("canary: {affinity: cookie, steps: [{weight: 5}]}", []),
        (STEPS, [(Code.AFFINITY_BY_ADDRESS, "canary.affinity")]),
    ],
)
def test_clients_that_stay_by_their_address_are_told_of(keys: str, found: list[tuple[Code, str]]) -> None:
    """Rule 21: X-Forwarded-For is not looked at."""
    assert codes(keys, TRAEFIK) == found


def test_behind_a_proxy_all_clients_have_one_address() -> None:
    """Rule 21."""
    assert codes(STEPS, BEHIND) == [(Code.AFFINITY_BEHIND_PROXY, "canary.affinity")]
    assert codes(STEPS + "\n            sticky: {cookie: {name: shop}}", BEHIND) == []


@pytest.mark.parametrize(
    ("keys", "is_found"),
    [
        ("canary: {steps: [{weight: 5}]}", False),
        ("canary: {affinity: cookie, steps: [{weight: 5}]}", True),
        ("{canary: {steps: [{weight: 5}]}, sticky: {cookie: {name: shop}}}", True),
        ("sticky: {cookie: {name: shop}}", False),
    ],
)
def test_an_analysis_of_clients_that_stay_may_give_false_alarms(keys: str, is_found: bool) -> None:
    """Rule 23c: the limit holds for many independent clients."""
    more = keys.removeprefix("{").removesuffix("}") if keys.startswith("{") else keys
    lines = more.replace("}, sticky", "}\n            sticky")
    found = codes(f"analysis: {{errors: {{max: 5%}}}}\n            {lines}", TRAEFIK)
    assert ((Code.ANALYSIS_FALSE_ALARMS, "analysis") in found) is is_found


@pytest.mark.parametrize(
    "value", ["candidate", "true", "1", "release-candidate", "aaaaaaaaaaaaaaaaaaaa1", "123456789012345"]
)
def test_a_value_that_can_be_guessed_is_told_of(value: str) -> None:
    """Rule 24."""
    route = f'testRoute: {{header: {{name: X-Release, value: "{value}"}}}}'
    assert codes(route, TRAEFIK) == [(Code.TEST_VALUE_GUESSABLE, "testRoute.header")]


@pytest.mark.parametrize("value", ["d41f0c9be7a25613", "0f8fad5b-d9cb-469f-a165-70867728950e", "q8Zr3vLw0TnKp5yX"])
def test_a_random_value_is_not(value: str) -> None:
    assert codes(f'testRoute: {{cookie: {{name: release, value: "{value}"}}}}', TRAEFIK) == []


def test_a_value_may_be_guessed_where_only_this_machine_reaches_the_entry_point() -> None:
    """Rule 24, P2: without a Traefik that shows it, it is open; behind a proxy it is, too."""
    route = "testRoute: {header: {name: X-Release, value: candidate}}"
    assert codes(route, TRAEFIK, entry_point="local") == []
    assert len(codes(route, BEHIND, entry_point="local")) == 1
    assert len(codes(route)) == 1
