"""Random containers, edits and restarts under routing by labels: what holds of every document (rules 34 and 35)."""

import os
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck as Check
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from provider.config.diff import edit
from provider.controller.draft import Draft
from provider.model import Colour, Protocol, Service, Verb
from provider.model.desired import Router
from provider.model.routing import Reference, Refers
from provider.model.traefik_rule import named_hosts
from provider.rollout.commands import command
from provider.rollout.commands.types import Command
from tests.support.labelled_services import World, by_labels, container, stored
from tests.support.whole import whole
from tests.support.worlds import service

EXAMPLES = int(os.environ.get("BLUEGREEN_EXAMPLES", "25"))
DERANDOMIZED = "BLUEGREEN_EXAMPLES" not in os.environ
R, M, T = "traefik.http.routers", "traefik.http.middlewares", "traefik.tcp.routers"
HOSTS = ("a.test", "b.test", "c.test")
NAMES = ("auth", "pay", "shop", "zed")
ROUTERS = ("web", "api", "shop", "shop-blue")
IN_DOCKER = frozenset({Reference(Refers.MIDDLEWARE, Protocol.HTTP, "login")})

names, colours = st.sampled_from(NAMES), st.sampled_from(list(Colour))


def rules(name: str) -> st.SearchStrategy[dict[str, str]]:
    hosts = st.sampled_from(HOSTS)
    used = st.sampled_from(["", "login", "zip", "login,zip", "both", "err", "login@docker"])
    made = st.tuples(hosts, st.sampled_from(["", " && PathPrefix(`/p`)"]), used)
    return made.map(
        lambda one: (
            {f"{R}.{name}.rule": f"Host(`{one[0]}`){one[1]}"} | ({f"{R}.{name}.middlewares": one[2]} if one[2] else {})
        )
    )


LABELS = st.tuples(
    st.lists(st.sampled_from(ROUTERS).flatmap(rules), max_size=2),
    st.sets(st.sampled_from(["login1", "login2", "zip", "both", "err", "tcp"]), max_size=3),
    names,
)


def labels(drawn: tuple[list[dict[str, str]], set[str], str]) -> dict[str, str]:
    """Write labels for routers and middlewares that were drawn; `err` refers to a service."""
    routers, extra, other = drawn
    parts: dict[str, dict[str, str]] = {
        "login1": {f"{M}.login.headers.customrequestheaders.X-A": "1"},
        "login2": {f"{M}.login.headers.customrequestheaders.X-A": "2"},
        "zip": {f"{M}.zip.compress": "true"},
        "both": {f"{M}.both.chain.middlewares": "login,zip"},
        "err": {f"{M}.err.errors.{key}": text for key, text in (("service", other), ("status", "500"), ("query", "/"))},
        "tcp": {f"{T}.tcp.rule": f"HostSNI(`{other}.test`)", "traefik.tcp.services.tcp.loadbalancer.server.port": "1"},
    }
    return {label: text for each in (*routers, *(parts[one] for one in sorted(extra))) for label, text in each.items()}


def written(name: str, host: str, router: str) -> Service:
    body = {"rule": f"Host(`{host}`)"}
    return service(name, routers=(Router(router, body["rule"], body),), settle_s=0.0, watch_s=0.0)


class Labelled(RuleBasedStateMachine):
    """One state, the documents that are made of it, and those of the state after a restart."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(auto=by_labels(""))
        self.world.list_all()
        self.draft = Draft(self.world.state, self.world.now, is_first=False)
        self.number, self.was_edited = 0, False
        self.given: dict[str, str] = {}  # the routers that the file has given to a service, whoever had them
        self.routers: dict[tuple[str, str], Any] = {}
        self.decided = 0
        self.document = self.publish()

    def publish(self, *, all_decided: bool = True) -> str:
        state, now = self.world.state, self.world.pass_s(0.001)
        if all_decided:
            state.all_decided(state.tracked.retired)
        for key in state.members:
            list(self.draft.project(key, now))
        list(self.draft.join(self.draft.edition()))
        composed = self.draft.compose(self.draft.edition())
        self.draft.note(composed, 1, now)
        return composed.document.body.decode()

    @rule(name=names, colour=colours, said=LABELS.map(labels), image=st.sampled_from(["one", "two"]))
    def start(self, name: str, colour: Colour, said: dict[str, str], image: str) -> None:
        self.number += 1
        made = container(self.number % 250, colour, said, service=name, image=image)
        self.world.run(replace(made, id=f"c{self.number}"))

    @precondition(lambda self: self.world.containers)
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        self.world.stop(data.draw(st.sampled_from(sorted(self.world.containers))))

    @precondition(lambda self: self.world.containers)
    @rule(data=st.data(), said=LABELS.map(labels))
    def replace_in_place(self, data: st.DataObject, said: dict[str, str]) -> None:
        old = self.world.containers.pop(data.draw(st.sampled_from(sorted(self.world.containers))))
        self.start(old.labels["bluegreen.service"], Colour(old.labels["bluegreen.colour"]), said, "three")

    @rule(kinds=st.tuples(*[st.sampled_from(["auto", "labels", "group", "approval", "file"])] * 4), data=st.data())
    def edit(self, kinds: tuple[str, ...], data: st.DataObject) -> None:
        """Have the file name some of the services; the document right after it is looked at, too."""
        services, free = dict[str, Service](), list(ROUTERS)
        for name, kind in zip(NAMES, kinds, strict=True):
            match kind:
                case "labels":
                    services[name] = by_labels(name)
                case "group":
                    services[name] = by_labels(name, group="g")
                case "approval":
                    services[name] = by_labels(name, approval_is_manual=True)
                case "file":
                    router = free.pop(data.draw(st.integers(0, len(free) - 1)))
                    services[name] = written(name, data.draw(st.sampled_from(HOSTS)), router)
                    self.given[router] = name
        self.world.desired = replace(self.world.desired, services=services)
        self.world.state.load(edit(self.world.state.desired, self.world.desired), "other", self.world.pass_s())
        self.was_edited = True
        whole(self.publish(all_decided=False))
        self.world.decide()
        whole(self.publish(all_decided=False))
        self.world.list_all()
        whole(self.publish(all_decided=False))

    @rule(in_docker=st.sampled_from([None, frozenset(), IN_DOCKER]))
    def traefik_has(self, in_docker: frozenset[Reference] | None) -> None:
        self.world.state.tracked.traefik_has(in_docker)
        self.world.decide()

    @rule(name=names, verb=st.sampled_from([Verb.FORGET, Verb.ROLLBACK, Verb.SWITCH]), colour=colours)
    def ask(self, name: str, verb: Verb, colour: Colour) -> None:
        state = self.world.state
        if name not in state.services:
            return
        said = Command(verb, name, "ann", colour=colour, force=True, reason="why")
        _, key, plan = state.obey(name, lambda of, now: command(of, said, now), self.world.pass_s())
        if plan is not None:
            self.world.history += [row.event for row in plan.decisions]
            state.adopt(key, plan)
            whole(self.publish())
        self.world.decide()

    @rule(is_listed=st.booleans())
    def restart(self, *, is_listed: bool) -> None:
        """P6: the same state gives the same bytes, before the engine has answered, too."""
        was, before = self.world, self.publish()
        self.world = World(*was.desired.services.values(), auto=was.desired.auto, stored=stored(was))
        self.world.containers, self.world.now = was.containers, was.now
        self.draft = Draft(self.world.state, self.world.now, is_first=False)
        self.decided = 0
        if not is_listed:
            self.world.decide()
            assert self.publish() == before
        self.world.state.tracked.traefik_has(was.state.tracked._admission.in_docker)
        self.world.list_all()
        assert self.publish() == before or self.world.history

    @invariant()
    def nothing_goes_without_a_decision(self) -> None:
        self.document = self.publish()
        sections = whole(self.document)
        routers = {
            (protocol, name): body
            for protocol, section in sections.items()
            for name, body in section.get("routers", {}).items()
        }
        was_decided = len(self.world.history) > self.decided
        assert was_decided or self.was_edited or self.routers.keys() <= routers.keys()
        self.routers, self.decided, self.was_edited = routers, len(self.world.history), False

    @invariant()
    def what_is_decided_is_served(self) -> None:
        for name, tracked in self.world.state.services.items():
            decided, active = tracked.state.routing, tracked.state.active
            if tracked.written.labels is None or decided is None or active is None:
                continue
            protocols = {one.name: one.protocol for one in decided.endpoints}
            lost = {one.name for one in decided.routers} - {one.name for one in tracked.service.routers}
            assert lost <= self.given.keys(), name
            for router in tracked.service.routers:
                assert self.routers[protocols[router.endpoint], router.name]["rule"] == router.rule

    @invariant()
    def a_host_belongs_to_one_service(self) -> None:
        owners: dict[str, set[str]] = {}
        for name, tracked in self.world.state.services.items():
            if tracked.written.labels is not None and name not in self.given.values():
                for host in (host for router in tracked.service.routers for host in named_hosts(router.rule)):
                    owners.setdefault(host, set()).add(name)
        assert not {host: names for host, names in owners.items() if len(names) > 1}


TestLabelled = Labelled.TestCase
TestLabelled.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=20,
    deadline=None,
    derandomize=DERANDOMIZED,
    phases=[Phase.generate],  # 20 steps can be read, and to shrink them takes minutes
    suppress_health_check=list(Check),
)
