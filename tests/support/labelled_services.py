"""Services whose routing is that of the labels of their containers, in a state without an engine."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from provider.config.diff import edit
from provider.controller.state import State
from provider.docker.container import Container
from provider.docker.labels import COLOUR, SERVICE, Scope
from provider.docker.sighting import sight
from provider.model import ByColour, Colour, Desired, Health, Instant, Plan, Server, ServerHealth, Service
from provider.model.desired import LabelRouting, group_key
from provider.rollout.conditions import service_conditions
from provider.rollout.facts import ServiceFacts
from provider.rollout.serving import serve
from provider.store import Stored
from provider.store.records import GROUPS, SERVERS, SERVICES, Rows
from provider.traefik.document.render import assemble, render_pass_through, render_service
from tests.support.worlds import EPOCH, at

T = TypeVar("T")
WEB = {"traefik.http.routers.shop.rule": "Host(`shop.example.com`)"}


ANY = LabelRouting()


def by_labels(name: str = "shop", rule: LabelRouting = ANY, **fields: object) -> Service:
    """Describe a service as a file does that says `routing: labels`, and a short settle and no watch."""
    made = Service(name, (), labels=rule, settle_s=0.0, watch_s=0.0)
    return replace(made, **fields)  # type: ignore[arg-type]  # checked by the dataclass at run time


def container(
    number: int, colour: Colour, labels: Mapping[str, str] = WEB, *, service: str = "shop", image: str | None = None
) -> Container:
    """Run a container of Compose, with an address of its own."""
    said = {SERVICE: service, COLOUR: colour, "com.docker.compose.config-hash": f"{image}{sorted(labels.items())}"}
    return Container(
        id=f"c{number}",
        name=f"{service}-{number}",
        image_id=image or f"sha256:{colour}",
        labels=said | dict(labels),
        running=True,
        health=None,
        network_mode="bridge",
        addresses={"proxy": f"10.0.0.{number}"},
        exposed=(80,),
        bindings=(),
    )


def stored(world: "World") -> Stored:
    """Return what a store gives back of a world."""
    state = world.state
    servers = state.tracked.stored_servers(state.services)
    return Stored(_loaded(SERVICES, state.states), _loaded(GROUPS, state.groups), _loaded(SERVERS, servers), None, 0)


def _loaded(rows: Rows[T], values: Mapping[str, T]) -> dict[str, T]:
    return dict(zip(values, rows.load([(key, rows.text(value)) for key, value in values.items()]), strict=True))


class World:
    """A state that is told of containers, and decides; whatever is checked passes."""

    def __init__(self, *services: Service, stored: Stored | None = None, **fields: object) -> None:
        self.state = State(stored or Stored({}, {}, {}, None, 0), docker_enabled=True)
        self.desired = Desired("production", {each.name: each for each in services}, **fields)  # type: ignore[arg-type]
        self.containers: dict[str, Container] = {}
        self.now = at(1000.0)
        self.history: list[str] = []
        self.state.load(edit(None, self.desired), "text", self.now)
        self.state.docker_connected(connected=True)

    def pass_s(self, seconds: float = 1.0) -> Instant:
        self.now = at(self.now.mono_s + seconds)
        return self.now

    def run(self, *containers: Container) -> None:
        """Start these, list everything, and decide."""
        self.containers |= {each.id: each for each in containers}
        self.list_all()

    def stop(self, *ids: str) -> None:
        for id_ in ids:
            del self.containers[id_]
        self.list_all()

    def list_all(self) -> None:
        self.listed()
        self.decide()

    def plans(self) -> dict[str, Plan]:
        """Decide on every group, and adopt nothing yet."""
        plans = {}
        for key in self.state.ordered(self.state.everything.decide or set()):
            self._healthy(key)
            plans[key] = self.state.plan(key, self.pass_s())
        return plans

    def listed(self) -> dict[str, Plan]:
        """List all containers, and decide on every group at once."""
        scope = Scope.of(self.desired)
        found: dict[str, dict[Colour, list[Server]]] = {}
        for each in self.containers.values():
            sighting = sight(each, scope, "127.0.0.1")
            assert sighting is not None
            assert sighting.colour is not None, sighting.warning
            colours = found.setdefault(sighting.service, {colour: [] for colour in Colour})
            colours[sighting.colour] += [replace(one, deaths=0) for one in sighting.servers]
        listed = {name: ByColour(tuple(by[Colour.BLUE]), tuple(by[Colour.GREEN])) for name, by in found.items()}
        self.state.docker_listed(listed, self.pass_s().mono_s, self.now)
        return self.plans()

    def decide(self) -> None:
        """Decide on every group until nothing is new; a list that is asked for is made."""
        for _ in range(10):
            was = len(self.history)
            for key in self.state.ordered(self.state.everything.decide or set()):
                self._healthy(key)
                plan = self.state.plan(key, self.pass_s())
                self.history += [f"{row.service} {row.event}" for row in plan.decisions]
                self.state.adopt(key, plan)
                for name in plan.relist:
                    seen = (self.state.docker.services or {}).get(name, ByColour((), ()))
                    self.state.docker_service(name, seen, self.pass_s().mono_s, self.now)
            if len(self.history) == was:
                return

    def _healthy(self, key: str) -> None:
        self.state.tracked.refresh(key, self.now)
        for name in self.state.members.get(key, ()):
            for probe in self.state.services[name].probes:
                self.state.health_verdict(probe, ServerHealth(Health.HEALTHY, None, EPOCH))

    @property
    def document(self) -> str:
        """The document as it is now."""
        fragments = []
        for name in sorted(self.state.services):
            tracked = self.state.services[name]
            member = tracked.member()
            group = self.state.groups.get(group_key(tracked.service))
            described = tracked.described(tracked.written)
            served = serve(member, group.rollout if group else None, described) if described is not None else None
            if served is not None:
                fragments.append(render_service(served))
        return assemble(fragments, render_pass_through(self.desired.pass_through)).body.decode()

    def active(self, name: str = "shop") -> Colour | None:
        return self.state.services[name].state.active

    def conditions(self, name: str = "shop") -> list[str]:
        """The messages of the conditions of a service."""
        tracked = self.state.services[name]
        group = self.state.groups[group_key(tracked.service)]
        return [each.message for each in service_conditions(tracked.member(), group, {}, EPOCH)]

    def blocking(self, name: str = "shop") -> str | None:
        """What a service waits for."""
        snapshot = self.state.snapshot(group_key(self.state.services[name].service))
        one = next(each for each in snapshot.members if each.service.name == name)
        return ServiceFacts(snapshot, one, self.now, {}, EPOCH).blocking
