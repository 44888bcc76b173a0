"""What a compose file would start, and what of it is not meant, for every shape that people write (rule 17)."""

from collections.abc import Mapping
from typing import Any

import pytest

from provider.cli.deploy.plan import Target, foreign_containers, refusals, replaced, started_services
from provider.model import Colour

OURS = {"bluegreen.service": "shop", "bluegreen.colour": "green"}
NO_PROFILES: frozenset[str] = frozenset()


def status(active: str | None, group: str | None = None, **containers: str) -> Any:
    """Tell how a service stands; `containers` are by colour."""
    servers = {colour: [{"container": containers[colour], "leaving": False}] for colour in containers}
    return {
        "active": active,
        "group": group,
        "colours": {colour: {"servers": servers.get(colour, [])} for colour in ("blue", "green")},
    }


def meant(*, needs_environment: bool = False, **services: Any) -> Target:
    return Target("shop", Colour.GREEN, "production", needs_environment, {"shop": status("blue"), **services})


def said(services: Mapping[str, Any], to: Target | None = None, profiles: frozenset[str] = NO_PROFILES) -> list[str]:
    return list(refusals(started_services({"services": services}, profiles), to or meant()))


def labelled(**labels: str | None) -> dict[str, Any]:
    """Return a compose service with our labels, others in their place; None leaves one out."""
    every = {**OURS, **{f"bluegreen.{name}": value for name, value in labels.items()}}
    return {"image": "shop:2", "labels": {name: value for name, value in every.items() if value is not None}}


FIT = {
    "one service": {"app": labelled()},
    "two services of one colour": {"app": labelled(), "web": labelled()},
    "the other spelling": {"app": labelled(colour=None, color="green")},
    "the colour of the project": {"app": labelled(colour=None)},
    "both spellings": {"app": labelled(color="green")},
    "its environment": {"app": labelled(environment="production")},
    "labels as a list": {"app": {"labels": ["bluegreen.service=shop", "bluegreen.colour=green", "other"]}},
    "labels of the image that is built": {"app": {"build": {"context": ".", "labels": OURS}}},
    "others without labels": {"app": labelled(), "db": {"image": "postgres:17"}, "worker": {"labels": {"a": None}}},
    "the other colour of another profile": {"app": labelled(), "old": {**labelled(colour="blue"), "profiles": ["old"]}},
    "the other colour without replicas": {"app": labelled(), "old": {**labelled(colour="blue"), "scale": 0}},
    "the other colour deployed nowhere": {
        "app": labelled(),
        "old": {**labelled(colour="blue"), "deploy": {"replicas": 0}},
    },
}


@pytest.mark.parametrize("shape", FIT)
def test_a_file_that_starts_the_colour_and_nothing_else_of_ours_is_fit(shape: str) -> None:
    assert said(FIT[shape]) == []


UNFIT = {
    "the active colour": (
        {"app": labelled(), "old": labelled(colour="blue")},
        "compose service old: it is labelled shop blue",
    ),
    "the active colour in the other spelling": (
        {"app": labelled(), "old": labelled(colour=None, color="blue")},
        "blue of shop is not deployed: it serves traffic, and would be replaced without gates",
    ),
    "two colours on one": (
        {"app": labelled(color="blue")},
        "bluegreen.colour=green and bluegreen.color=blue: the colour",
    ),
    "no such colour": ({"app": labelled(colour="Green")}, "bluegreen.colour=Green: the colour must be blue or green"),
    "an empty colour": ({"app": labelled(colour="")}, "bluegreen.colour=: the colour must be blue or green"),
    "another environment": (
        {"app": labelled(environment="staging")},
        "bluegreen.environment=staging, but the daemon's",
    ),
    "an empty environment": ({"app": labelled(environment="")}, "bluegreen.environment=, but the daemon's"),
    "an empty service": ({"app": labelled(), "b": labelled(service="")}, "bluegreen.service is empty"),
    "another service": (
        {"app": labelled(), "b": labelled(service="pay")},
        "the daemon has no service 'pay'; it has: shop",
    ),
    "no label at all": (
        {"app": {"image": "shop"}},
        "It starts app. Add bluegreen.service=shop and bluegreen.colour=${BLUEGREEN_COLOUR}",
    ),
    "profiles that are not on": (
        {"blue": {**labelled(colour="blue"), "profiles": ["b"]}, "green": {**labelled(), "profiles": ["g"]}},
        "It starts nothing without a --profile",
    ),
    "a slip of the pen": ({"app": {"labels": {"bluegreen.servce": "shop"}}}, "(it has bluegreen.servce)"),
    "labels for Swarm": (
        {"app": {"deploy": {"labels": OURS}}},
        "The labels of app are under deploy.labels, for Swarm: write them under labels",
    ),
    "nothing at all": ({}, "none of the services that it starts has the label bluegreen.service=shop"),
    "an image that is built for the active colour": (
        {"app": labelled(), "b": {"build": {"labels": {**OURS, "bluegreen.colour": "blue"}}}},
        "compose service b: it is labelled shop blue",
    ),
}


@pytest.mark.parametrize("shape", UNFIT)
def test_a_file_that_starts_something_else_is_refused_with_what_and_the_way_out(shape: str) -> None:
    """Rule 17."""
    services, words = UNFIT[shape]
    (message,) = said(services)
    assert words in message


def test_everything_that_is_wrong_is_reported_at_once() -> None:
    """P11."""
    assert (
        len(said({"a": labelled(colour="blue"), "b": labelled(environment="staging"), "c": labelled(service="x")})) == 3
    )


def test_a_container_must_name_its_environment_where_the_file_says_so() -> None:
    (message,) = said({"app": labelled()}, meant(needs_environment=True))
    assert message.endswith(
        "no label bluegreen.environment, which the desired state requires: add bluegreen.environment=production"
    )


@pytest.mark.parametrize(
    ("api", "words"),
    [
        (status("blue", "front"), None),
        (status(None, "front"), None),
        (status("green", "front"), "green of api serves traffic, and would be replaced without gates"),
        (status("blue"), "api does not switch together with shop: deploy it by itself, or put both into a group"),
        (status("blue", "back"), "api does not switch together with shop"),
    ],
)
def test_a_service_of_the_same_group_may_be_deployed_too_to_its_own_standby(
    api: dict[str, Any], words: str | None
) -> None:
    """Rules 11 and 17."""
    message = said({"app": labelled(), "api": labelled(service="api")}, meant(shop=status("blue", "front"), api=api))
    assert [words in each for each in message] == [True] if words else message == []


def test_of_a_profile_that_is_on_everything_is_started() -> None:
    services = {"app": labelled(), "old": {**labelled(colour="blue"), "profiles": ["old", "x"]}}
    assert len(said(services, profiles=frozenset({"x"}))) == 1
    rendered_by_compose_2 = {"name": "shop-green", "services": services}
    assert len(list(refusals(started_services(rendered_by_compose_2, NO_PROFILES), meant()))) == 1


def test_what_the_project_would_replace_beside_the_standby_is_named() -> None:
    """Rule 17: `up` recreates every container of the project."""
    to = meant(shop=status("blue", blue="aa", green="bb"), pay=status("blue", blue="cc", green="dd"))
    assert list(replaced(frozenset({"bb"}), to)) == []
    found = list(replaced(frozenset({"aa", "bb", "cc", "dd", "ee"}), to))
    assert [each.partition(":")[0] for each in found] == [
        "container aa is a server of shop in blue",
        "container cc is a server of pay in blue",
        "container dd is a server of pay in green",
    ]


def test_containers_in_the_standby_that_are_not_of_the_project_are_foreign_unless_they_leave() -> None:
    """Rule 17."""
    to = meant(shop=status("blue", "front", blue="aa", green="bb"), api=status("blue", "front", green="cc"))
    assert foreign_containers(frozenset({"bb"}), to) == [("api", "cc")]
    assert foreign_containers(frozenset({"cc"}), to) == [("shop", "bb")]
    to.services["shop"]["colours"][Colour.GREEN]["servers"][0]["leaving"] = True
    assert foreign_containers(frozenset({"cc"}), to) == []
