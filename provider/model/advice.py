"""What a desired state is not refused for, and may be sorry for: `validate` and the doctor say so."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from provider.model.desired import Desired, Service
from provider.model.vocabulary import Affinity

STEP_MOST = 75
"""Above this share the active colour has too few requests to be compared with (rule 19)."""
GUESSED_MOST = 16
DISTINCT_LEAST = 8
WORDS_MOST = 32
_SEPARATORS = re.compile(r"[-_.:/ ]")


class Concern(StrEnum):
    """The kinds of advice."""

    STEP_TOO_HIGH = "step-too-high"
    AFFINITY_UNUSED = "affinity-unused"
    CLIENTS_BY_ADDRESS = "clients-by-address"
    FALSE_ALARMS = "false-alarms"
    NOBODY_ASKED = "nobody-asked"
    VALUE_GUESSABLE = "value-guessable"


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to think over: the service, the path of the key within it, what may happen, and what to do."""

    concern: Concern
    service: str
    path: tuple[str | int, ...]
    what: str
    fix: str


def advice(desired: Desired) -> Iterator[Advice]:
    """Yield what to think over in a desired state, in the order of its services."""
    for service in desired.services.values():
        yield from _steps(service)
        yield from _affinity(service)
        yield from _queries(service)
        yield from _route(service)


def _steps(service: Service) -> Iterator[Advice]:
    for index, step in enumerate(service.canary.steps if service.canary else ()):
        if step.weight > STEP_MOST:
            what = f"{step.weight} is above {STEP_MOST}: with so few requests left for the active colour a comparison"
            path = ("canary", "steps", index, "weight")
            fix = f"end with {STEP_MOST} or less; 100 follows the last step"
            yield Advice(Concern.STEP_TOO_HIGH, service.name, path, f"{what} says little", fix)


def _affinity(service: Service) -> Iterator[Advice]:
    if service.canary is None:
        return
    affinity, analysis = service.canary.affinity, service.analysis
    if service.sticky is not None and affinity is not Affinity.NONE:
        what = f"{str(affinity)!r} has no effect beside sticky, whose sessions stay with their colour"
        yield Advice(Concern.AFFINITY_UNUSED, service.name, ("canary", "affinity"), what, "remove one of them")
    elif affinity is Affinity.CLIENT:
        what = "clients stay by the address that Traefik sees (X-Forwarded-For is not looked at): behind one proxy all"
        path, fix = ("canary", "affinity"), "write affinity: cookie where a proxy is in front of Traefik"
        yield Advice(Concern.CLIENTS_BY_ADDRESS, service.name, path, f"{what} are one client", fix)
    keeps = "sticky" if service.sticky is not None else f"affinity {affinity}"
    if keeps != f"affinity {Affinity.NONE}" and analysis is not None and (analysis.errors or analysis.slow):
        what = (
            f"with {keeps} a client's requests all go to one colour, so one client whose requests fail may abort a "
            "good release: the limit on false alarms holds for independent requests only"
        )
        fix = "accept that, or use queries in place of errors and slow"
        yield Advice(Concern.FALSE_ALARMS, service.name, ("analysis",), what, fix)


def _queries(service: Service) -> Iterator[Advice]:
    if service.analysis is not None and service.analysis.queries and service.analysis.asks is None:
        what = "no Prometheus is named that could answer, and a step does not pass without an answer"
        fix = "write prometheus: {url: http://prometheus:9090} beside queries"
        yield Advice(Concern.NOBODY_ASKED, service.name, ("analysis", "queries"), what, fix)


def _route(service: Service) -> Iterator[Advice]:
    if service.test_route is not None and is_guessable(service.test_route.value):
        kind = "cookie" if service.test_route.is_cookie else "header"
        what = "its value can be guessed, and whoever sends it reaches a release before it has passed"
        fix = "write a random one, as `openssl rand -hex 16` prints"
        yield Advice(Concern.VALUE_GUESSABLE, service.name, ("testRoute", kind), what, fix)


def is_guessable(value: str) -> bool:
    """Return whether a value looks like a word, a name or a number rather than like chance."""
    plain = _SEPARATORS.sub("", value)
    is_words = plain.isalpha() and len(plain) < WORDS_MOST
    return len(plain) < GUESSED_MOST or len(set(plain)) < DISTINCT_LEAST or is_words
