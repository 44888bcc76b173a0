"""What a valid file may be sorry for, at its place."""

from textwrap import dedent

from provider.config import load
from provider.config.advice import warnings
from provider.model.progressive import Prometheus
from tests.support.desired_state import FILE

TEXT = """\
    environment: production
    traefik: {api: [http://traefik:8080]}
    defaults: {testRoute: {header: {name: X-Release, value: candidate}}}
    services:
      shop:
        router: {rule: Host(`a.example.com`)}
        sticky: {cookie: {name: shop}}
        canary: {affinity: cookie, steps: [{weight: 75}, {weight: 76}]}
        analysis: {errors: {max: 5%}}
      api:
        router: {rule: Host(`b.example.com`)}
        canary: {affinity: client, steps: [{weight: 50}]}
        analysis: {source: {prometheus: {url: "http://p"}}, queries: [{name: up, query: up, min: 1}]}
    """


def test_each_is_told_once_where_it_is_written_and_quotes_no_value_of_a_test_route() -> None:
    """Rules 19, 21, 23c and 24."""
    text = dedent(TEXT)
    found = warnings(load(text, FILE), text, FILE)
    assert [(one.line, one.column, one.path) for one in found] == [
        (3, 32, "defaults.testRoute.header"),
        (8, 24, "services.shop.canary.affinity"),
        (8, 63, "services.shop.canary.steps[1].weight"),
        (9, 15, "services.shop.analysis"),
    ]
    assert "candidate" not in found[0].message


def test_queries_that_ask_nobody_are_told_and_a_prometheus_beside_them_answers() -> None:
    """Rule 23: requests are counted at Traefik meanwhile; without an answer no step passes (P2)."""
    asking = "queries: [{name: queue, query: up, max: 100}]"
    analysis = "analysis: {errors: {max: 5%%}, " + asking + "%s}"
    text = "environment: a\ntraefik: {api: [http://t]}\nservices: {shop: {router: {rule: a}, " + analysis + "}}"
    (told,) = warnings(load(text % "", FILE), text % "", FILE)
    assert (told.path, "no Prometheus is named" in told.message) == ("services.shop.analysis.queries", True)
    named = text % ", prometheus: {url: http://p:9090}"
    desired = load(named, FILE)
    analysed = desired.services["shop"].analysis
    assert analysed is not None
    assert (analysed.prometheus, analysed.asks) == (None, Prometheus("http://p:9090"))
    assert warnings(desired, named, FILE) == ()


def test_a_file_in_good_order_has_none() -> None:
    text = "environment: production\nservices: {shop: {router: {rule: a}, canary: {steps: [{weight: 75}]}}}"
    assert warnings(load(text, FILE), text, FILE) == ()
