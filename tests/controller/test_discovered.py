"""Services that only containers name (rule 35)."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from provider.config.diff import edit
from provider.model import ByColour, Instant, Snapshot, Verb
from provider.model.desired import LabelRouting, Router
from provider.rollout.commands import command
from provider.rollout.commands.types import Command, Done, Refused
from tests.support.labelled_services import World, by_labels, container, stored
from tests.support.worlds import BLUE, GREEN, service

AUTO = by_labels("")
R = "traefik.http.routers"


def asked(name: str) -> Callable[[Snapshot, Instant], Done | Refused]:
    return lambda of, now: command(of, Command(Verb.FORGET, name, "ann"), now)


def forget(world: World, name: str) -> Done | Refused:
    done, key, plan = world.state.obey(name, asked(name), world.pass_s())
    if plan is not None:
        world.state.adopt(key, plan)
    return done


def routers(world: World) -> set[str]:
    return set(json.loads(world.document)["http"].get("routers", {}))


def named(name: str, host: str) -> dict[str, str]:
    return {f"{R}.{name}.rule": f"Host(`{host}`)"}


def test_every_service_that_containers_name_is_one_with_the_defaults() -> None:
    """Rule 35."""
    world = World(auto=by_labels("", settle_s=7.0))
    world.run(container(1, BLUE), container(2, BLUE, named("pay", "pay.example.com"), service="pay"))
    assert routers(world) == {"shop", "pay"}
    assert world.state.services["pay"].service.settle_s == 7.0
    world.run(container(3, BLUE, named("new", "new.example.com"), service="new"))
    assert routers(world) == {"shop", "pay", "new"}


def test_a_service_written_in_the_file_wins() -> None:
    """Rule 35."""
    written = service("shop", routers=(Router("shop", "", {"rule": "Host(`file.example.com`)"}),))
    world = World(written, auto=AUTO)
    world.run(container(1, BLUE))
    assert not world.state.services["shop"].service.is_discovered
    assert "file.example.com" in world.document


def test_a_service_without_containers_stays_until_it_is_forgotten() -> None:
    """Rule 35 and P4, over a restart, too."""
    world = World(auto=AUTO)
    world.run(container(1, BLUE))
    refused = forget(world, "shop")
    assert isinstance(refused, Refused)
    assert "c1" in refused.detail
    world.stop("c1")
    assert routers(world) == {"shop"}
    again = World(auto=AUTO, stored=stored(world))
    again.decide()
    assert routers(again) == {"shop"}
    again.list_all()
    assert isinstance(forget(again, "shop"), Done)
    assert "shop" not in again.state.services
    assert routers(again) == set()
    assert not World(auto=AUTO, stored=stored(again)).state.services


def test_what_is_forgotten_is_another_services_at_once() -> None:
    """Rule 35: who waits for its host is looked at again without any other input."""
    world = World(auto=AUTO)
    world.run(container(1, BLUE), container(2, BLUE, named("store", "shop.example.com"), service="store"))
    assert routers(world) == {"shop"}
    world.stop("c1")
    _, key, plan = world.state.obey("shop", asked("shop"), world.pass_s())
    assert plan is not None
    touched = world.state.adopt(key, plan).touched
    assert "store" in (touched.decide or ())
    assert "store" in (touched.publish or ())
    world.decide()
    assert routers(world) == {"store"}


def test_one_that_was_forgotten_is_new_when_its_containers_come_back() -> None:
    world = World(auto=AUTO)
    world.run(container(1, BLUE))
    world.stop("c1")
    forget(world, "shop")
    world.run(container(2, GREEN))
    assert world.active() is GREEN


def test_a_service_of_the_file_cannot_be_forgotten() -> None:
    """Rule 35: it is removed there."""
    world = World(by_labels())
    world.list_all()
    refused = forget(world, "shop")
    assert isinstance(refused, Refused)
    assert "remove it there" in refused.detail


@pytest.mark.parametrize("name", ["a b", "../x", "x@docker", "ä", "", "-x", "x" * 100, "a/b"])
def test_what_cannot_be_a_name_becomes_no_service(name: str) -> None:
    """Labels are untrusted text."""
    world = World(auto=AUTO)
    world.state.docker_listed({name: ByColour((), ())}, 1001.0, world.now)
    assert not world.state.services


def test_a_discovered_service_cannot_take_the_name_of_anothers_colour() -> None:
    """Rules 31 and 35: `shop-blue` is the servers of shop in Traefik."""
    world = World(by_labels(), auto=AUTO)
    world.run(container(1, BLUE))
    world.run(container(2, BLUE, named("x", "x.example.com"), service="shop-blue"))
    assert routers(world) == {"shop"}
    assert any("service shop-blue: service shop has it" in text for text in world.conditions("shop-blue"))


def test_what_a_label_may_claim_follows_the_defaults() -> None:
    world = World(auto=by_labels("", LabelRouting(hosts=("*.example.com",))))
    world.run(container(1, BLUE), container(2, BLUE, named("bad", "evil.test"), service="bad"))
    assert routers(world) == {"shop"}


def test_services_of_labels_leave_with_the_key_and_those_of_the_file_stay() -> None:
    written = service("web", routers=(Router("web", "Host(`web.example.com`)", {}),))
    world = World(written, auto=AUTO)
    world.run(container(1, BLUE))
    assert world.state.services.keys() == {"web", "shop"}
    without = replace(world.desired, auto=None)
    world.state.load(edit(world.state.desired, without), "other", world.pass_s())
    assert world.state.services.keys() == {"web"}
    world.state.load(edit(world.state.desired, world.desired), "text", world.pass_s())
    assert world.state.services.keys() == {"web", "shop"}


def test_one_that_was_never_routed_leaves_with_its_last_container() -> None:
    """Rule 35: nothing of it is in the document, so nobody has to forget it."""
    world = World(auto=AUTO)
    world.run(container(1, BLUE, {}), container(2, BLUE, named("pay", "pay.example.com"), service="pay"))
    assert world.state.services.keys() == {"shop", "pay"}
    world.stop("c1")
    assert world.state.services.keys() == {"pay"}
    assert routers(world) == {"pay"}


def test_one_that_was_never_routed_leaves_in_the_midst_of_its_rollout() -> None:
    """Rule 35."""
    world = World(auto=AUTO)
    world.run(container(1, BLUE, {}))
    world.run(container(2, GREEN, {}, image="new"))
    assert "shop begun" in world.history
    world.stop("c1", "c2")
    assert not world.state.services
    assert not world.state.rollouts.under_way


def test_a_container_that_is_ignored_brings_no_service() -> None:
    """Rule 35: without the label of the environment, or a colour, it serves nothing."""
    world = World(auto=AUTO)
    world.state.docker_listed({"shop": ByColour((), ())}, 1001.0, world.now)
    assert not world.state.services
