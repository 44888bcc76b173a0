"""What one service is in Traefik while two colours have traffic, or a candidate has a test route."""

import json
import re
from dataclasses import replace
from functools import partial
from typing import Any

import orjson
import pytest

from provider.model import (
    Affinity,
    Analysis,
    Canary,
    CandidateRoute,
    Colour,
    Health,
    Member,
    Phase,
    Protocol,
    Rollout,
    Router,
    Step,
)
from provider.model.traefik_rule import Every, Matcher, parse
from provider.rollout.serving import serve
from provider.traefik.document.render import assemble, render_pass_through, render_service
from provider.traefik.process import find_binary
from provider.traefik.validation import validate
from tests.support.paths import ROOT
from tests.support.phases import in_phase
from tests.support.stepping import served
from tests.support.stepping import stepping as in_steps
from tests.support.worlds import member, runs, server, service

STEPS = (Step(5), Step(25), Step(50))
ROUTE = CandidateRoute("X-Release", "candidate")
COOKIE = CandidateRoute("release", "next", is_cookie=True)
MOST = 2**63 - 1001
RULE = "Host(`shop.example.com`)"
ROUTER = Router("shop", RULE, {"rule": RULE, "entryPoints": ["web"]})
SECURE = Router(
    "shop-api",
    f"{RULE} && PathPrefix(`/api`) || Path(`/a`)",
    {
        "rule": f"{RULE} && PathPrefix(`/api`) || Path(`/a`)",
        "entryPoints": ["websecure"],
        "middlewares": ["auth"],
        "tls": {},
    },
)
PREVIEW = Router("shop-preview", "Host(`p.example.com`)", {"rule": "Host(`p.example.com`)"})


def shop(routers: tuple[Router, ...] = (ROUTER,), **fields: Any) -> Member:
    """A shop whose blue r1 is active, and whose green runs r2; all are healthy."""
    return member(
        service(routers=routers, **fields), blue=runs(server(1)), green=runs(server(2, "r2"), server(3, "r2"))
    )


stepping = partial(in_steps, weights=(5, 25, 50))


def http(of: Member, under_way: Rollout | None = None) -> dict[str, Any]:
    """What the document has of it."""
    body = assemble([render_service(served(of, under_way))], render_pass_through({})).body
    content: dict[str, Any] = orjson.loads(body)["http"]
    return content


CANARY = Canary(STEPS)
STICKY = {"cookie": {"name": "shop"}}
KEPT = shop(sticky=STICKY, canary=CANARY)
NEXT = replace(KEPT, state=replace(KEPT.state, alias="shop-blue-r0"))
SHAPES = {
    "step": (shop(canary=CANARY), stepping(1)),
    "client": (shop(canary=CANARY), stepping(2, Affinity.CLIENT)),
    "cookie": (shop(canary=CANARY), stepping(2, Affinity.COOKIE)),
    "cookie-tls": (shop(canary=CANARY, routers=(SECURE,)), stepping(1, Affinity.COOKIE)),
    "sessions": (KEPT, stepping(3)),
    "sessions-next": (NEXT, stepping(3)),
    "sessions-after": (NEXT, None),
    "preview": (shop(preview=PREVIEW, analysis=Analysis()), None),
    "preview-step": (shop(preview=PREVIEW, canary=CANARY), stepping(1)),
    "test-header": (shop(test_route=ROUTE, routers=(ROUTER, SECURE)), in_phase(Phase.TESTING).rollout),
    "test-cookie": (shop(test_route=COOKIE, canary=CANARY, load_balancer={"passHostHeader": False}), stepping(1)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_gives_its_golden_document(name: str) -> None:
    """Rules 19, 21, 23 and 24."""
    expected = (ROOT / "tests" / "golden" / "served" / f"{name}.json").read_text()
    assert json.dumps(http(*SHAPES[name]), indent=2) + "\n" == expected


async def test_traefik_accepts_every_shape() -> None:
    """Rule 15."""
    binary = find_binary()
    auth = {"http": {"middlewares": {"auth": {"headers": {"customRequestHeaders": {"X-A": "a"}}}}}}
    for name, shape in SHAPES.items():
        body = assemble([render_service(served(*shape))], render_pass_through(auth)).body
        assert (await validate(body, binary=binary)).errors == (), name


@pytest.mark.parametrize("name", SHAPES)
def test_every_name_in_the_document_is_one_of_the_service_or_of_the_rollout(name: str) -> None:
    """Rule 7: an error that Traefik reports is known to be of this service."""
    of, under_way = SHAPES[name]
    content = http(of, under_way)
    assert set(content["routers"]) <= set(of.service.routers_in_traefik(Protocol.HTTP))
    aliases = {child.name for child in served(of, under_way).children}
    assert set(content["services"]) <= {*of.service.services_in_traefik(Protocol.HTTP), *aliases}


# --- who gets traffic -----------------------------------------------------------------------------------------------


def entries(content: dict[str, Any]) -> dict[str, int]:
    return {each["name"]: each["weight"] for each in content["services"]["shop"]["weighted"]["services"]}


def test_a_candidate_without_a_server_that_can_serve_is_left_out() -> None:
    """Rule 19b: a child without servers answers 503 for its share."""
    of = shop(canary=CANARY)
    of = replace(of, observed=of.observed.put(Colour.GREEN, runs(server(4, "r3"))))
    content = http(of, stepping(2))
    assert entries(content) == {"shop-blue": 100}
    assert set(content["services"]) == {"shop", "shop-blue"}


def test_with_cookies_the_entries_of_a_candidate_without_servers_lead_to_the_active_colour() -> None:
    """Rules 19b and 21: whoever has a cookie is served, and goes back to the candidate when that is."""
    of = shop(canary=CANARY)
    content = http(replace(of, observed=of.observed.put(Colour.GREEN, runs())), stepping(2, Affinity.COOKIE))
    assert set(entries(content)) == {f"shop-r1-{number}" for number in range(1, 5)}
    for name in entries(content):
        assert content["services"][name] == {"weighted": {"services": [{"name": "shop-blue", "weight": 1}]}}
    assert "shop-green" not in content["services"]


def test_where_a_text_is_refused_the_step_goes_out_with_the_rest_of_the_one_before() -> None:
    """Rule 15: weights are decisions, and the test route, routers and sessions are of the text."""
    of, before = shop(canary=CANARY, test_route=ROUTE, routers=(SECURE,)), service(routers=(ROUTER,))
    found = serve(of, stepping(1, Affinity.CLIENT), before)
    assert found is not None
    content = orjson.loads(assemble([render_service(found)], render_pass_through({})).body)["http"]
    assert set(content["routers"]) == {"shop"}
    assert content["services"]["shop"] == {
        "highestRandomWeight": {
            "services": [{"name": "shop-blue", "weight": 95}, {"name": "shop-green", "weight": 5}],
        }
    }


# --- the test route -------------------------------------------------------------------------------------------------

BEFORE = (Phase.TESTING, Phase.APPROVAL, Phase.SHIFTING)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.STEADY])
def test_there_is_a_test_route_from_testing_to_the_switch(phase: Phase) -> None:
    """Rule 24."""
    content = http(shop(test_route=ROUTE), in_phase(phase).rollout)
    assert ("shop-test" in content["routers"]) is (phase in BEFORE)
    assert ("shop-green-test" in content["services"]) is (phase in BEFORE)
    assert content["routers"]["shop"]["service"] == "shop"


def test_the_test_route_leads_to_the_very_candidate_and_to_nothing_else() -> None:
    """Rules 19b and 24."""
    of = shop(test_route=ROUTE)
    assert "shop-test" not in http(of)["routers"]
    other = replace(of, observed=of.observed.put(Colour.GREEN, runs(server(2, "r3"))))
    assert "shop-test" not in http(other, in_phase(Phase.TESTING).rollout)["routers"]
    key = server(2, "r2").key
    sick = replace(of, health={**of.health, key: replace(of.health[key], health=Health.UNHEALTHY)})
    content = http(sick, in_phase(Phase.TESTING).rollout)
    assert content["services"]["shop-green-test"] == {"loadBalancer": {"servers": [{"url": "http://10.0.0.3:80"}]}}


@pytest.mark.parametrize(
    ("written", "main", "test"), [(None, len(RULE) + 1, len(RULE) + 3), (7, 7, 9), (-2, -2, -1), (MOST, MOST, MOST)]
)
def test_the_test_route_is_two_above_its_router(written: int | None, main: int, test: int) -> None:
    """Rule 24; a priority of 0 is none to Traefik, and one above the highest an error, which would end a step."""
    body = {"rule": RULE} | ({} if written is None else {"priority": written})
    content = http(shop(test_route=ROUTE, routers=(Router("shop", RULE, body),)), in_phase(Phase.TESTING).rollout)
    assert {name: router["priority"] for name, router in content["routers"].items()} == {
        "shop": main,
        "shop-test": test,
    }


@pytest.mark.parametrize("value", ["candidate", "`", '"', "\\", "`\"\\'", "a`b\u00e9\t", "(^|;)", "\\n`", "\r"])
@pytest.mark.parametrize("is_cookie", [False, True])
def test_any_value_stands_in_the_rule_as_it_is(value: str, *, is_cookie: bool) -> None:
    """Rule 24."""
    route = CandidateRoute("x.y", value, is_cookie)
    content = http(shop(test_route=route, routers=(SECURE,)), in_phase(Phase.TESTING).rollout)
    rule = parse(content["routers"]["shop-api-test"]["rule"])
    assert isinstance(rule, Every)
    main, condition = rule.rules
    assert main == parse(f"({SECURE.rule})")
    assert isinstance(condition, Matcher)
    if is_cookie:
        name, expression = condition.arguments
        assert (condition.name, name) == ("HeaderRegexp", "Cookie")
        assert matches(expression, f"a=1; x.y={value}; b=2")
        assert matches(expression, f"x.y={value}")
        assert not matches(expression, f"x.y={value}1")
        assert not matches(expression, f"xzy={value}")
        assert not matches(expression, f"ax.y={value}")
    else:
        assert (condition.name, condition.arguments) == ("Header", ("x.y", value))


def matches(expression: str, cookie: str) -> bool:

    return re.search(expression, cookie) is not None


def test_a_rule_that_ends_with_its_line_is_one_in_brackets_too() -> None:
    """Go ends an expression at the end of a line, and a bracket that is open there is an error."""
    router = Router("shop", f" {RULE}\n", {"rule": f" {RULE}\n"})
    content = http(shop(test_route=ROUTE, routers=(router,)), in_phase(Phase.TESTING).rollout)
    assert content["routers"]["shop-test"]["rule"] == f"({RULE}) && Header(`X-Release`, `candidate`)"


def test_a_router_of_the_service_is_never_lost_to_a_test_route_of_its_name() -> None:
    """P4."""
    named = Router("shop-test", RULE, {"rule": RULE})
    content = http(shop(test_route=ROUTE, routers=(ROUTER, named)), in_phase(Phase.TESTING).rollout)
    assert content["routers"]["shop-test"]["service"] == "shop"
    assert content["routers"]["shop-test-test"]["service"] == "shop-green-test"
