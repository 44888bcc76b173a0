"""Routing from the labels of containers: decided with the switch, kept, and never another's traffic (rules 34, 35)."""

import json
from dataclasses import replace

import pytest

from provider.config.diff import edit
from provider.controller.draft import Draft
from provider.model import CandidateRoute, Protocol, Verb
from provider.model.desired import LabelRouting, Router, Service
from provider.model.routing import Reference, Refers
from provider.rollout.commands import command
from provider.rollout.commands.rollback import roll_back
from provider.rollout.commands.types import Command
from tests.support.labelled_services import WEB, World, by_labels, container, stored
from tests.support.whole import whole
from tests.support.worlds import BLUE, GREEN, service

R = "traefik.http.routers"
M = "traefik.http.middlewares"
OLD_HOST = {
    f"{R}.shop.rule": "Host(`shop.example.com`)",
    f"{R}.shop.middlewares": "auth",
    f"{M}.auth.headers.customrequestheaders.X-From": "old",
}
NEW_HOST = OLD_HOST | {
    f"{R}.shop.rule": "Host(`shop.example.com`) || Host(`www.example.com`)",
    f"{M}.auth.headers.customrequestheaders.X-From": "new",
}


def http(world: World) -> dict[str, dict[str, dict[str, object]]]:
    found: dict[str, dict[str, dict[str, object]]] = json.loads(world.document)["http"]
    return found


def rule(world: World, name: str = "shop") -> object:
    return http(world).get("routers", {}).get(name, {}).get("rule")


def test_a_label_that_changed_with_the_release_changes_with_the_switch_in_one_document() -> None:
    """Rule 34: routers, middlewares and servers are those of one colour."""
    world = World(by_labels(settle_s=60.0))
    world.run(container(1, BLUE, OLD_HOST))
    before = world.document
    assert rule(world) == OLD_HOST[f"{R}.shop.rule"]
    world.run(container(2, GREEN, NEW_HOST))
    assert world.document == before, "the candidate's labels say nothing before its switch"
    world.pass_s(60.0)
    world.list_all()
    assert world.active() is GREEN
    found = http(world)
    assert rule(world) == NEW_HOST[f"{R}.shop.rule"]
    assert found["routers"]["shop"]["middlewares"] == ["shop-auth"]
    assert found["middlewares"]["shop-auth"] == {"headers": {"customRequestHeaders": {"X-From": "new"}}}
    assert found["services"].keys() == {"shop", "shop-green"}


def test_a_rollback_brings_the_labels_back() -> None:
    """Rule 34."""
    world = World(by_labels())
    world.run(container(1, BLUE, OLD_HOST))
    before = world.document
    world.run(container(2, GREEN, NEW_HOST))
    assert world.active() is GREEN
    given = Command(Verb.ROLLBACK, "shop", "ann")
    _, key, plan = world.state.obey("shop", lambda of, now: roll_back(of, given, now), world.pass_s())
    assert plan is not None
    world.state.adopt(key, plan)
    assert world.document == before


def test_the_routing_stays_without_containers_and_over_a_restart() -> None:
    """Rule 34 and P4."""
    world = World(by_labels())
    world.run(container(1, BLUE, OLD_HOST))
    routers = http(world)["routers"]
    world.stop("c1")
    assert http(world)["routers"] == routers
    again = World(by_labels(), stored=stored(world))
    again.decide()
    assert http(again)["routers"] == routers


@pytest.mark.parametrize(
    ("label", "value", "words"),
    [
        (f"{R}.shop.priorty", "3", "priorty"),
        (f"{R}.shop.rule", "Host(", "no rule"),
        (f"{R}.shop.service", "other", "container"),
        (f"{R}.shop.tls.options", "mtls", "provider"),
        (f"{R}.shop.priority", "7", "priority 7"),
        (f"{R}.all.rule", "PathPrefix(`/`)", "whatever its host"),
    ],
)
def test_a_label_that_cannot_be_taken_shuts_the_gate_with_container_label_and_rule(
    label: str, value: str, words: str
) -> None:
    """Rules 34 and 35: nothing of the active colour changes."""
    world = World(by_labels())
    world.run(container(1, BLUE))
    before = world.document
    world.run(container(2, GREEN, WEB | {label: value}, image="new"))
    assert world.active() is BLUE
    assert world.document == before
    blocking = world.blocking() or ""
    assert "c2" in blocking
    assert words in blocking


USERS = {f"{R}.shop.middlewares": "auth", f"{M}.auth.basicauth.users": "ann:$2y$05$abcdefghijklmnopqrstuv"}


@pytest.mark.parametrize("is_private", [True, False])
def test_secrets_of_labels_are_taken_only_where_nobody_else_reads_the_document(is_private: bool) -> None:
    """Rule 34, and 6.3 of the design."""
    world = World(by_labels())
    world.state.tracked.guard(is_private)
    world.run(container(1, BLUE))
    world.run(container(2, GREEN, WEB | USERS, image="new"))
    assert (world.active() is GREEN) is is_private
    assert ("ann:" in world.document) is is_private
    blocking = world.blocking() or ""
    assert ("middleware shop-auth.basicAuth.users (passwords)" in blocking) is not is_private
    assert "ann:" not in blocking


def test_replaced_in_place_the_last_good_routing_stays_with_a_condition() -> None:
    """Rule 34."""
    world = World(by_labels())
    world.run(container(1, BLUE))
    before = rule(world)
    world.stop("c1")
    world.run(container(3, BLUE, WEB | {f"{R}.shop.nonsense": "1"}))
    assert rule(world) == before
    assert any("last good routing is served on" in message and "nonsense" in message for message in world.conditions())
    world.stop("c3")
    world.run(container(4, BLUE, {f"{R}.shop.rule": "Host(`other.example.com`)"}))
    assert rule(world) == "Host(`other.example.com`)"
    assert not any("routing" in message for message in world.conditions())
    assert "shop routed" in world.history


def test_without_labels_a_service_is_not_published_and_says_so() -> None:
    """Rule 35."""
    world = World(by_labels())
    world.run(container(1, BLUE, {}))
    assert "routers" not in http(world)
    assert any("not in the document" in message for message in world.conditions())


def test_two_containers_of_a_colour_with_other_labels_are_mixed_and_the_label_is_named() -> None:
    """Rules 34 and 40."""
    world = World(by_labels())
    world.run(container(1, BLUE))
    compose = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
    one = container(2, GREEN, WEB | compose, image="new")
    two = container(3, GREEN, WEB | compose | {f"{R}.shop.tls": "true"}, image="new")
    world.run(one, two)
    assert world.active() is BLUE
    assert (
        "mixed" in (world.blocking() or world.document) or world.state.services["shop"].observed.green.release is None
    )


def edited(world: World, *services: Service, **fields: object) -> None:
    """Take an edit of the file; nothing is decided on it yet."""
    changed = replace(world.desired, services={each.name: each for each in services}, **fields)  # type: ignore[arg-type]
    world.state.load(edit(world.state.desired, changed), "other", world.pass_s())
    world.desired = changed


WRITTEN = service("shop", routers=(Router("shop", "Host(`file.example.com`)", {"rule": "Host(`file.example.com`)"}),))


@pytest.mark.parametrize("labels", [{}, WEB | {f"{R}.shop.nonsense": "1"}])
def test_the_routing_of_the_file_stays_until_labels_that_come_for_it_can_be_taken(labels: dict[str, str]) -> None:
    """Rule 34 and P4: in every document, over a restart, and where the servers change meanwhile."""
    world = World(WRITTEN)
    world.run(container(1, BLUE, labels))
    assert rule(world) == "Host(`file.example.com`)"
    before = world.document
    edited(world, by_labels())
    assert world.document == before
    world.decide()
    assert world.document == before
    again = World(by_labels(), stored=stored(world))
    again.decide()
    assert again.document == before
    world.stop("c1")
    world.run(container(2, BLUE, labels))
    assert "10.0.0.2" in world.document
    assert rule(world) == "Host(`file.example.com`)"
    world.stop("c2")
    world.run(container(3, BLUE))
    assert rule(world) == "Host(`shop.example.com`)"


def test_after_a_restart_no_document_lacks_a_service_whose_labels_are_not_known_yet() -> None:
    """P4: the file came to say `routing: labels` while the daemon was down; Traefik keeps what it has for a minute."""
    world = World(WRITTEN)
    world.run(container(1, BLUE))
    again = World(by_labels(), stored=stored(world))
    again.decide()
    draft = Draft(again.state, again.now, is_first=False)
    assert "labels of service shop" in (draft.held_back(again.pass_s(5.0)) or "")
    again.containers = world.containers
    again.listed()
    list(draft.project("shop", again.now))
    assert "labels of service shop" in (draft.held_back(again.now) or "")
    again.decide()
    list(draft.project("shop", again.now))
    assert draft.held_back(again.now) is None
    away = World(by_labels(), stored=stored(world))
    draft = Draft(away.state, away.now, is_first=False)
    assert "labels" not in (draft.held_back(away.pass_s(60.0)) or "")


def test_a_service_that_is_renamed_is_in_every_document_once() -> None:
    """P4 and rule 15: its routers stay until those of the new name are decided, and go with the same document."""
    world = World(by_labels())
    draft = Draft(world.state, world.now, is_first=False)
    world.run(container(1, BLUE, named("x.example.com", "web")))
    assert published(world, draft)["web"]["service"] == "shop"
    edited(world, by_labels("store"))
    assert published(world, draft)["web"]["service"] == "shop"
    world.decide()
    assert published(world, draft)["web"]["service"] == "shop"
    world.stop("c1")
    world.run(container(2, BLUE, named("x.example.com", "web"), service="store"))
    assert published(world, draft)["web"]["service"] == "store"


def published(world: World, draft: Draft) -> dict[str, dict[str, object]]:
    """Publish a document before all is decided that came with a reload; return its routers."""
    for key in world.state.members:
        list(draft.project(key, world.now))
    edition = draft.edition()
    list(draft.join(edition))
    composed = draft.compose(edition)
    draft.note(composed, 1, world.now)
    routers: dict[str, dict[str, object]] = whole(composed.document.body.decode())["http"]["routers"]
    return routers


def test_routing_goes_from_labels_to_the_file_and_back_in_one_document_each() -> None:
    """Rule 34 and P4: what labels said earlier does not come back."""
    world = World(by_labels())
    world.run(container(1, BLUE))
    edited(world, WRITTEN)
    assert rule(world) == "Host(`file.example.com`)"
    world.decide()
    world.stop("c1")
    world.run(container(2, BLUE, {}))
    edited(world, by_labels())
    assert rule(world) == "Host(`file.example.com`)"
    world.decide()
    assert rule(world) == "Host(`file.example.com`)"


def test_a_rollback_takes_no_host_that_another_service_has_by_now() -> None:
    """Rules 34 and 35: the routing stays, and the old servers serve it (P7)."""
    world = World(by_labels(), by_labels("pay"))
    world.run(container(1, BLUE, named("x.example.com", "shop")))
    world.run(container(2, GREEN, WEB, image="new"))
    world.run(container(3, BLUE, named("x.example.com", "pay"), service="pay"))
    assert rule(world, "pay") == "Host(`x.example.com`)"
    given = Command(Verb.ROLLBACK, "shop", "ann")
    _, key, plan = world.state.obey("shop", lambda of, now: roll_back(of, given, now), world.pass_s())
    assert plan is not None
    world.state.adopt(key, plan)
    assert world.active() is BLUE
    assert "10.0.0.1" in world.document
    assert (rule(world), rule(world, "pay")) == (WEB[f"{R}.shop.rule"], "Host(`x.example.com`)")


# --- whose traffic it is (rule 35) ------------------------------------------------------------------------------------


def named(host: str, name: str) -> dict[str, str]:
    return {f"{R}.{name}.rule": f"Host(`{host}`)"}


def test_a_label_may_not_name_a_host_of_a_service_of_the_file() -> None:
    """Rule 35."""
    written: Service = service("web", routers=(Router("web", "Host(`shop.example.com`) && PathPrefix(`/`)", {}),))
    world = World(by_labels(), written)
    world.run(container(1, BLUE))
    assert rule(world) is None
    assert any("host shop.example.com: service web has it in the file" in text for text in world.conditions())


def test_a_label_may_not_name_a_host_that_the_file_passes_through() -> None:
    """Rule 35."""
    passed = {"http": {"routers": {"api": {"rule": "Host(`shop.example.com`)", "service": "api@file"}}}}
    world = World(by_labels(), pass_through=passed)
    world.run(container(1, BLUE))
    assert any("the file passes it through" in text for text in world.conditions())


def test_a_label_may_not_take_an_entry_point_of_udp_that_the_file_passes_through() -> None:
    """Rules 32 and 35: the last router by name would win."""
    passed = {"udp": {"routers": {"dns": {"entryPoints": ["dns"], "service": "dns@file"}}}}
    world = World(by_labels(rule=LabelRouting(entry_points=("dns",))), pass_through=passed)
    udp = {"traefik.udp.routers.z.entrypoints": "dns", "traefik.udp.services.z.loadbalancer.server.port": "53"}
    world.run(container(1, BLUE, udp))
    assert json.loads(world.document)["udp"]["routers"].keys() == {"dns"}
    assert any("entry point dns: the file passes it through" in text for text in world.conditions())


def test_who_had_a_host_first_keeps_it_and_it_is_free_once_they_leave_it() -> None:
    """Rule 35."""
    world = World(by_labels("a"), by_labels("z"))
    world.run(container(1, BLUE, named("x.example.com", "z"), service="z"))
    world.run(container(2, BLUE, named("x.example.com", "a"), service="a"))
    assert rule(world, "z") == "Host(`x.example.com`)"
    assert rule(world, "a") is None
    assert any("service z has it already" in text for text in world.conditions("a"))
    world.stop("c1")
    world.run(container(3, BLUE, named("z.example.com", "z"), service="z"))
    assert rule(world, "z") == "Host(`z.example.com`)"
    world.decide()
    assert rule(world, "a") == "Host(`x.example.com`)"


@pytest.mark.parametrize("host", ["x.example.com.", "X.example.com", "*.example.com"])
@pytest.mark.parametrize("limits", [LabelRouting(), LabelRouting(hosts=("*.example.com",))])
def test_a_host_that_is_written_otherwise_is_the_same_host(host: str, limits: LabelRouting) -> None:
    """Rule 35: Traefik ignores a dot at the end and matches `*`, and the longer rule wins (measured)."""
    world = World(by_labels(rule=limits), by_labels("thief", rule=limits))
    world.run(container(1, BLUE, named("x.example.com", "shop")))
    long = {f"{R}.t.rule": f"Host(`{host}`) && PathPrefix(`/`)"}
    world.run(container(2, BLUE, long, service="thief"))
    assert http(world)["routers"].keys() == {"shop"}
    assert any("example.com" in text for text in world.conditions("thief"))


def test_a_service_has_all_hosts_below_a_domain_where_the_file_allows_it_and_nobody_has_one() -> None:
    """Rule 35."""
    world = World(by_labels(rule=LabelRouting(hosts=("*.example.com",))), by_labels("pay"))
    world.run(container(1, BLUE, named("*.example.com", "all")))
    world.run(container(2, BLUE, named("pay.example.com", "pay"), service="pay"))
    assert http(world)["routers"].keys() == {"all", "pay"}


def test_of_two_new_services_with_one_host_the_first_by_name_has_it() -> None:
    """Rule 35."""
    world = World(by_labels("b"), by_labels("a"))
    world.run(
        container(1, BLUE, named("x.example.com", "b"), service="b"),
        container(2, BLUE, named("x.example.com", "a"), service="a"),
    )
    assert (rule(world, "a"), rule(world, "b")) == ("Host(`x.example.com`)", None)


def test_of_two_new_services_decided_at_once_only_one_has_the_host() -> None:
    """Rule 35: whatever the order in which their groups are looked at."""
    world = World(by_labels("b", group="g"), by_labels("a"))
    for number, name in enumerate(("a", "b")):
        each = container(number, BLUE, named("x.example.com", "web"), service=name)
        world.containers[each.id] = each
    for plans in (world.listed(), world.plans(), world.plans()):
        for key, plan in plans.items():
            world.state.adopt(key, plan)
    assert [name for name in "ab" if rule(world, "web") and world.state.services[name].service.routers] == ["b"]
    assert world.document.count("x.example.com") == 1


def test_an_edit_of_the_file_that_gives_a_name_to_another_takes_it_from_labels() -> None:
    """Rules 15 and 35: no name is twice in a document, which Traefik would refuse as a whole."""
    world = World(auto=by_labels(""))
    two = WEB | {f"{R}.api.rule": "Host(`api.example.com`)", f"{R}.api.middlewares": "auth"}
    world.run(container(1, BLUE, two | {f"{M}.auth.headers.customrequestheaders.X-A": "1"}))
    pay = service("pay", routers=(Router("shop", "Host(`pay.example.com`)", {"rule": "Host(`pay.example.com`)"}),))
    edited(world, pay)
    world.decide()
    world.run(container(2, BLUE, {}, service="pay"))
    assert {name: found["service"] for name, found in http(world)["routers"].items()} == {"api": "shop", "shop": "pay"}
    world.stop("c2")
    assert any("without what the file has given to others" in text for text in world.conditions())
    edited(world, pass_through={"http": {"middlewares": {"shop-auth": {"compress": {}}}}})
    world.decide()
    assert http(world)["routers"].keys() == {"shop"}
    edited(world, service("shop-blue", routers=(Router("x", "Host(`x`)", {"rule": "Host(`x`)"}),)))
    world.decide()
    assert "routers" not in http(world)
    edited(world, pass_through={})
    world.decide()
    assert http(world)["routers"].keys() == {"shop", "api"}


@pytest.mark.parametrize(("router", "host"), [("shop-preview", "x"), ("shop-test", "x"), ("x", "preview.example.com")])
def test_a_label_takes_neither_preview_nor_test_route_of_another_service(router: str, host: str) -> None:
    """Rules 15 and 35: Traefik refuses a document with one name twice."""
    preview = Router("shop-preview", "Host(`preview.example.com`)", {"rule": "Host(`preview.example.com`)"})
    route = CandidateRoute("X-Test", "1")
    world = World(by_labels(preview=preview, test_route=route, approval_is_manual=True), auto=by_labels(""))
    world.run(container(1, BLUE))
    world.run(container(2, GREEN, image="new"))
    before = http(world)["routers"]
    assert before.keys() == {"shop", "shop-preview", "shop-test"}
    world.run(container(3, BLUE, named(host, router), service="other"))
    assert whole(world.document)["http"]["routers"] == before
    assert any(f"router {router}:" in text or f"host {host}:" in text for text in world.conditions("other"))


@pytest.mark.parametrize("router", ["shop-preview", "shop-test"])
def test_a_label_does_not_stand_in_the_place_of_a_preview_or_a_test_route(router: str) -> None:
    """Rules 15 and 34: that of the file would hide it."""
    preview = Router("shop-preview", "Host(`preview.example.com`)", {"rule": "Host(`preview.example.com`)"})
    world = World(by_labels(preview=preview, test_route=CandidateRoute("X-Test", "1")))
    world.run(container(1, BLUE))
    world.run(container(2, GREEN, WEB | named("x.example.com", router), image="new"))
    assert world.active() is BLUE
    assert f"router {router}: the preview or the test route" in (world.blocking() or "")


def test_a_label_takes_no_name_that_a_rollout_may_give() -> None:
    """Rules 21 and 35: a candidate with sessions has one of its own."""
    world = World(auto=by_labels(""))
    world.run(container(1, BLUE))
    world.run(container(2, BLUE, named("x.example.com", "x"), service="shop-green-r12"))
    assert "x" not in http(world)["routers"]
    assert any("service shop-green-r12" in text for text in world.conditions("shop-green-r12"))


def test_a_page_for_errors_of_a_service_that_is_gone_is_our_own() -> None:
    """P4: Traefik disables every router with a middleware whose service is missing."""
    world = World(by_labels(), by_labels("pages"))
    world.run(container(1, BLUE, named("pages.example.com", "pages"), service="pages"))
    page = {f"{M}.err.errors.service": "pages", f"{M}.err.errors.status": "500", f"{M}.err.errors.query": "/"}
    world.run(container(2, BLUE, WEB | page | {f"{R}.shop.middlewares": "err"}))
    assert http(world)["middlewares"]["shop-err"]["errors"]["service"] == "pages"  # type: ignore[index]
    edited(world, by_labels())
    assert http(world)["middlewares"]["shop-err"]["errors"]["service"] == "shop"  # type: ignore[index]
    world.decide()
    assert any("service pages" in text for text in world.conditions())


def test_two_services_may_not_have_routers_of_one_name() -> None:
    world = World(by_labels("a"), by_labels("b"))
    world.run(
        container(1, BLUE, named("a.example.com", "web"), service="a"),
        container(2, BLUE, named("b.example.com", "web"), service="b"),
    )
    assert rule(world, "web") == "Host(`a.example.com`)"
    assert any("router web: service a has it" in text for text in world.conditions("b"))


@pytest.mark.parametrize(
    ("allowed", "labels", "is_taken"),
    [
        (LabelRouting(hosts=("shop.example.com",)), WEB, True),
        (LabelRouting(hosts=("*.example.com",)), WEB, True),
        (LabelRouting(hosts=("other.example.com",)), WEB, False),
        (LabelRouting(hosts=("shop.example.com",)), WEB | {f"{R}.shop.priority": "9"}, True),
        (
            LabelRouting(entry_points=("internal",)),
            {f"{R}.shop.rule": "PathPrefix(`/`)", f"{R}.shop.entrypoints": "internal"},
            True,
        ),
        (LabelRouting(entry_points=("internal",)), {f"{R}.shop.rule": "PathPrefix(`/`)"}, False),
        (
            LabelRouting(entry_points=("internal",)),
            {f"{R}.shop.rule": "PathPrefix(`/`)", f"{R}.shop.entrypoints": "internal,web"},
            False,
        ),
    ],
)
def test_a_priority_and_a_rule_without_a_host_count_where_the_file_says_so(
    allowed: LabelRouting, labels: dict[str, str], is_taken: bool
) -> None:
    """Rule 35."""
    world = World(by_labels(rule=allowed))
    world.run(container(1, BLUE, labels))
    assert (rule(world) is not None) is is_taken


def test_a_middleware_of_another_service_is_that_of_its_active_colour() -> None:
    """Rule 34."""
    world = World(by_labels("auth"), by_labels())
    auth = named("auth.example.com", "auth") | {f"{M}.login.headers.customrequestheaders.X-By": "auth"}
    world.run(container(1, BLUE, auth, service="auth"))
    world.run(container(2, BLUE, WEB | {f"{R}.shop.middlewares": "login@docker,other@docker,x@file"}))
    assert http(world)["routers"]["shop"]["middlewares"] == ["shop-auth-login", "other@docker", "x@file"]


LOGIN = {
    f"{M}.login.chain.middlewares": "from,other@file",
    f"{M}.from.headers.customrequestheaders.X-By": "auth",
}
COPIED = {
    "shop-auth-login": {"chain": {"middlewares": ["shop-auth-from", "other@file"]}},
    "shop-auth-from": {"headers": {"customRequestHeaders": {"X-By": "auth"}}},
}


def middlewares(world: World) -> dict[str, object]:
    return {name: body for name, body in http(world)["middlewares"].items() if name.startswith("shop-")}


def with_login() -> World:
    """Have a service `shop` that refers to a middleware of the service `auth`."""
    world = World(by_labels(), auto=by_labels(""))
    world.run(container(1, BLUE, named("auth.example.com", "auth") | LOGIN, service="auth"))
    world.run(container(2, BLUE, WEB | {f"{R}.shop.middlewares": "login"}))
    return world


def test_a_middleware_of_another_service_stays_where_that_takes_it_out_or_goes() -> None:
    """Rule 34 and P4: no router without one of its middlewares, and none that Traefik disables for it."""
    world = with_login()
    assert middlewares(world) == COPIED
    world.run(container(3, GREEN, named("auth.example.com", "auth"), service="auth", image="new"))
    assert world.active("auth") is GREEN
    assert middlewares(world) == COPIED
    assert http(world)["routers"]["shop"]["middlewares"] == ["shop-auth-login"]
    world.stop("c1", "c3")
    given = Command(Verb.FORGET, "auth", "ann")
    _, key, plan = world.state.obey("auth", lambda of, now: command(of, given, now), world.pass_s())
    assert plan is not None
    world.state.adopt(key, plan)
    world.decide()
    assert "auth" not in world.state.services
    assert middlewares(world) == COPIED


def test_a_middleware_of_another_service_changes_with_that() -> None:
    """Rule 34."""
    world = with_login()
    changed = LOGIN | {f"{M}.from.headers.customrequestheaders.X-By": "other"}
    world.run(container(3, GREEN, named("auth.example.com", "auth") | changed, service="auth", image="new"))
    assert middlewares(world)["shop-auth-from"] == {"headers": {"customRequestHeaders": {"X-By": "other"}}}
    before = len(world.history)
    world.list_all()
    assert len(world.history) == before


def test_only_who_refers_to_a_middleware_is_looked_at_again() -> None:
    """A start with a thousand services costs a thousand looks, not a million."""
    world = with_login()
    used = {f"{R}.x.middlewares": "own,login", f"{M}.own.compress": "true"}
    world.run(container(3, BLUE, named("x.example.com", "x") | used, service="x"))
    admission = world.state.tracked._admission
    decided = {name: world.state.states[name].routing for name in ("auth", "x")}
    assert admission.decide("x", None) == set()
    assert admission.decide("x", decided["x"]) == set()
    assert admission.decide("auth", None) == {"shop", "x"}
    assert admission.decide("auth", decided["auth"]) == {"shop", "x"}
    assert admission.decide("auth", decided["auth"]) == set()


def test_middlewares_that_refer_to_each_other_are_refused() -> None:
    """Rule 34: copies of copies would never end."""
    world = with_login()
    back = {f"{M}.login.chain.middlewares": "mine", f"{M}.x.headers.customrequestheaders.X-A": "1"}
    mine = WEB | {f"{M}.mine.headers.customrequestheaders.X-A": "1", f"{R}.shop.middlewares": "login"}
    world.run(container(3, GREEN, mine, image="new"))
    world.run(container(4, GREEN, named("auth.example.com", "auth") | back, service="auth", image="new"))
    assert world.active("auth") is GREEN, "auth's refers to shop's, and that to nothing"
    world.run(container(5, BLUE, mine | {f"{M}.mine.chain.middlewares": "login"}, image="newest"))
    del world.containers["c2"]
    world.list_all()
    rounds = len(world.history)
    world.list_all()
    assert len(world.history) == rounds
    assert len(middlewares(world)) < 6


def test_two_services_may_use_middlewares_of_each_other() -> None:
    """Rule 34."""
    world = World(by_labels("a"), by_labels())
    of_a = named("a.example.com", "a") | {f"{M}.zip.compress": "true", f"{R}.a.middlewares": "login"}
    ours = WEB | {f"{M}.login.headers.customrequestheaders.X-A": "1", f"{R}.shop.middlewares": "zip"}
    world.run(container(1, BLUE, of_a, service="a"), container(2, BLUE, ours))
    world.decide()
    found = http(world)["routers"]
    assert (found["a"]["middlewares"], found["shop"]["middlewares"]) == (["a-shop-login"], ["shop-a-zip"])


def test_a_copy_of_a_middleware_takes_no_name_that_is_taken() -> None:
    """Rule 34: one name twice, and Traefik refuses the whole document."""
    world = with_login()
    own = {f"{M}.auth-login.headers.customrequestheaders.X-A": "1", f"{R}.shop.middlewares": "login,auth-login"}
    world.run(container(3, GREEN, WEB | own, image="new"))
    assert world.active() is BLUE
    assert "choose another" in (world.blocking() or "")
    clash = named("x.example.com", "x") | {f"{M}.login.headers.customrequestheaders.X-A": "1"}
    world.run(container(4, BLUE, clash, service="shop-auth"))
    assert "x" not in http(world)["routers"]


@pytest.mark.parametrize("name", ["gone", "gone@docker"])
def test_a_release_with_a_new_reference_waits_where_nobody_says_what_traefiks_docker_provider_has(name: str) -> None:
    """Rule 34: its router would answer 404, though the release is healthy and no Traefik refuses the document."""
    world = World(by_labels())
    world.run(container(1, BLUE, WEB | {f"{R}.shop.middlewares": "login"}))
    assert http(world)["routers"]["shop"]["middlewares"] == ["login@docker"]
    world.run(container(2, GREEN, WEB | {f"{R}.shop.middlewares": f"login,{name}"}, image="new"))
    assert world.active() is BLUE
    assert "middleware gone" in (world.blocking() or "")
    assert "traefik: {api:" in (world.blocking() or "")
    assert http(world)["routers"]["shop"]["middlewares"] == ["login@docker"]


def test_a_reference_stays_with_traefiks_docker_provider_only_where_that_has_it() -> None:
    """Rule 34: no router goes out without one of its middlewares."""
    world = World(by_labels())
    known = frozenset({Reference(Refers.MIDDLEWARE, Protocol.HTTP, "login")})
    world.state.tracked.traefik_has(known)
    world.run(container(1, BLUE, WEB | {f"{R}.shop.middlewares": "login,gone"}))
    assert rule(world) is None
    assert any("middleware gone" in text and "gone@file" in text for text in world.conditions())
    touched = world.state.tracked.traefik_has(known | {Reference(Refers.MIDDLEWARE, Protocol.HTTP, "gone")})
    assert touched == {"shop"}
    world.decide()
    assert http(world)["routers"]["shop"]["middlewares"] == ["login@docker", "gone@docker"]
