"""What an edit changes, by service and path."""

import pytest

from provider import config
from provider.config.changes import Changed, changes
from provider.config.diff import edit
from provider.model.vocabulary import ChangeKind

ADDED, CHANGED, REMOVED = ChangeKind.ADDED, ChangeKind.CHANGED, ChangeKind.REMOVED
BASE = """\
environment: production
defaults: {settle: 60s}
services:
  shop:
    router: {rule: 'Host(`shop.example.com`)'}
    healthCheck: {path: /healthz}
"""


def changed(before: str, after: str) -> tuple[Changed, ...]:
    old, new = (config.load(text, "f") for text in (before, after))
    return changes(old, before, edit(old, new), after)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("settle: 60s", "settle: 1m", ()),
        ("/healthz", "/live", (Changed("shop", CHANGED, ("healthCheck.path",)),)),
        (
            "{path: /healthz}",
            "{interval: 1s}",
            (Changed("shop", CHANGED, ("healthCheck.path", "healthCheck.interval")),),
        ),
        ("settle: 60s", "settle: 1s", (Changed("shop", CHANGED, ("defaults.settle",)),)),
        ("production", "staging", (Changed(None, CHANGED, ("environment",)),)),
        ("defaults:", "http: {middlewares: {a: {compress: {}}}}\ndefaults:", (Changed(None, CHANGED, ("http",)),)),
        ("  shop:", "  cart:", (Changed("cart", ADDED), Changed("shop", REMOVED))),
    ],
)
def test_a_change_names_the_service_and_its_keys_and_no_value(old: str, new: str, found: tuple[Changed, ...]) -> None:
    assert changed(BASE, BASE.replace(old, new)) == found


def test_the_first_desired_state_adds_all() -> None:
    new = config.load(BASE, "f")
    assert changes(None, None, edit(None, new), BASE) == (
        Changed(None, ADDED, ("environment",)),
        Changed("shop", ADDED),
    )


STEPS = """\
    canary: {steps: [{weight: 5, for: 60s}]}
    analysis: {source: {prometheus: {url: http://p}}, errors: {max: 5%}}
    testRoute: {header: {name: X-Release, value: 0af1b2c3d4e5f607}}
"""


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        ("for: 60s", "for: 1m", ()),
        ("5%", "0.05", ()),
        ("weight: 5", "weight: 6", ("canary.steps",)),
        ("max: 5%", "max: 6%", ("analysis.errors.max",)),
        ("http://p", "http://q", ("analysis.source.prometheus.url",)),
        ("0af1b2c3d4e5f607", "1af1b2c3d4e5f607", ("testRoute.header.value",)),
        ("header:", "cookie:", ("testRoute.header", "testRoute.cookie")),
    ],
)
def test_a_change_of_steps_analysis_or_test_route_is_named_without_its_value(
    old: str, new: str, paths: tuple[str, ...]
) -> None:
    """Rules 19, 23 and 24."""
    found = (Changed("shop", CHANGED, paths),) if paths else ()
    assert changed(BASE + STEPS, (BASE + STEPS).replace(old, new)) == found
