"""Documents of many services, in forms that mean the same to Traefik."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench import fleet
from provider import config
from provider.model import Colour, JsonObject, Served, Server, Service
from provider.model.document import Document
from provider.traefik.document.render import Fragment, assemble, compose, join, render_pass_through, render_service

CHANGED = "http://10.255.255.1:8080"
NEVER = 1 << 62
"""A number of keys above which a section is split that none has."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two documents that differ in one server."""

    first: Document
    second: Document


class Fleet:
    """A number of services, all served from blue."""

    def __init__(self, services: int, pass_through: JsonObject) -> None:
        self.services = tuple(config.load(fleet.text(services), "bench").services.values())
        self._extra = render_pass_through(pass_through)
        fragments = [render_service(_served(service)) for service in self.services]
        changed = render_service(_served(self.services[0], CHANGED))
        self._fragments = (fragments, [changed, *fragments[1:]])

    def render_s(self) -> float:
        """Return how long it takes to render every service and to join them."""
        served = [_served(service) for service in self.services]
        begin_s = time.perf_counter()
        assemble([render_service(one) for one in served], self._extra)
        return time.perf_counter() - begin_s

    def as_served(self) -> Pair:
        """Return the document as the daemon serves it."""
        return Pair(*[assemble(fragments, self._extra) for fragments in self._fragments])

    def plain(self) -> Pair:
        """Return JSON, however much it is."""
        return Pair(*[assemble(fragments, self._extra, split_above=NEVER) for fragments in self._fragments])

    def whole(self) -> Pair:
        """Return JSON that has the load balancers of the idle colour, too, which nothing routes to."""
        first, *others = [render_service(_served(service, with_idle=True)) for service in self.services]
        changed = render_service(_served(self.services[0], CHANGED, with_idle=True))
        versions = ([first, *others], [changed, *others])
        return Pair(*[assemble(fragments, self._extra, split_above=NEVER) for fragments in versions])

    def split(self, block: int) -> Pair:
        """Return YAML that merges a map for each so many services, however few there are."""
        return Pair(*[self._split(fragments, block) for fragments in self._fragments])

    def _split(self, fragments: Sequence[Fragment], block: int) -> Document:
        starts = range(0, len(fragments), block)
        return compose([join(fragments[start : start + block]) for start in starts], self._extra, split_above=0)


def _served(service: Service, url: str | None = None, *, with_idle: bool = False) -> Served:
    fixed = service.servers.blue
    assert fixed is not None
    urls = (url,) if url else fixed.urls
    servers = tuple(Server(one, fixed.release) for one in urls)
    shown = {Colour.BLUE: servers, Colour.GREEN: servers} if with_idle else {Colour.BLUE: servers}
    return Served(service, ((Colour.BLUE, 100),), shown)
