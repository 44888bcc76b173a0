"""Decides from the labels what a deployment may start and replace, before Compose starts anything.

Rule 17: a deployment starts and replaces containers of its target only, a colour of a service and of its group, and
none beside foreign containers in the standby.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from provider.docker.labels import COLOR, COLOUR, ENVIRONMENT, PREFIX, SERVICE
from provider.model import Colour
from provider.model import api_types as api

Config: TypeAlias = Mapping[str, Any]

LABEL = f"{COLOUR}=${{BLUEGREEN_COLOUR}}"


@dataclass(frozen=True, slots=True)
class Target:
    """What a deployment may change: the `colour` of a service, in the environment of the daemon.

    `services` has the status of every service of the daemon, by name. Services of the same group may be deployed
    together, each in its own standby.
    """

    service: str
    colour: Colour
    environment: str
    needs_environment: bool
    services: Mapping[str, api.Service]

    def includes(self, service: str, colour: Colour) -> bool:
        """Return whether containers of a service may be started or replaced in a colour."""
        if service == self.service:
            return colour == self.colour
        return self._is_companion(service) and colour == self.colour and self._active(service) != colour

    def companions(self) -> Iterator[str]:
        """Yield the services that switch together with this one."""
        return (name for name in self.services if name != self.service and self._is_companion(name))

    def _is_companion(self, service: str) -> bool:
        here, there = self.services.get(self.service), self.services.get(service)
        return here is not None and there is not None and here["group"] is not None and there["group"] == here["group"]

    def _active(self, service: str) -> Colour | None:
        found = self.services.get(service)
        return found["active"] if found is not None else None

    def why_not(self, service: str, colour: Colour) -> str:
        """Return why containers of a service must not be started in a colour."""
        if service == self.service:
            is_active = self._active(service) == colour
            why = "it serves traffic, and would be replaced without gates" if is_active else f"{self.colour} is"
            return f"{colour} of {service} is not deployed: {why}"
        if service not in self.services:
            return f"the daemon has no service {service!r}; it has: {', '.join(sorted(self.services)) or 'none'}"
        if not self._is_companion(service):
            return (
                f"{service} does not switch together with {self.service}: deploy it by itself, or put both into a group"
            )
        if self._active(service) == colour:
            return f"{colour} of {service} serves traffic, and would be replaced without gates"
        return f"only {self.colour} is deployed"


@dataclass(frozen=True, slots=True)
class StartedService:
    """A compose service that would be started; `deploy.labels` reach no container."""

    name: str
    labels: Mapping[str, str]
    deploy_labels: Mapping[str, str]

    @property
    def service(self) -> str | None:
        """The service that it names, None where it names none."""
        return self.labels.get(SERVICE)

    @property
    def colours(self) -> dict[str, str]:
        """The colour that it names, by label: both spellings may be there."""
        return {label: self.labels[label] for label in (COLOUR, COLOR) if label in self.labels}


def started_services(config: Config, profiles: frozenset[str]) -> tuple[StartedService, ...]:
    """Return what `up` would start of a rendered file: nothing with another profile, or without replicas.

    Compose 2 renders only the services of the active profiles, and the name of the project.
    """
    services = config.get("services")
    found = services.items() if isinstance(services, dict) else ()
    return tuple(
        StartedService(
            str(name), {**_labels(_within(body, "build")), **_labels(body)}, _labels(_within(body, "deploy"))
        )
        for name, body in sorted(found)
        if isinstance(body, dict) and _is_started(body, None if "name" in config else profiles)
    )


def refusals(started: tuple[StartedService, ...], target: Target) -> Iterator[str]:
    """Yield why the file must not be started for this deployment, a sentence each, with the fix."""
    is_there = False
    for one in started:
        if one.service is None:
            continue
        is_there |= one.service == target.service
        why = _why_not(one, target)
        if why is not None:
            yield f"compose service {one.name}: {why}"
    if not is_there:
        yield _nothing_of(target.service, started)


def replaced(containers: frozenset[str], target: Target) -> Iterator[str]:
    """Yield the containers of the project that `up` would replace, and must not."""
    for service, colour, server in _servers(target.services):
        if server["container"] in containers and not target.includes(service, colour):
            why = target.why_not(service, colour)
            yield f"container {server['container']} is a server of {service} in {colour}: {why}"


def foreign_containers(containers: frozenset[str], target: Target) -> list[tuple[str, str]]:
    """Return service and container of what runs in the standby outside the project: the colour would be mixed."""
    return [
        (service, str(server["container"]))
        for service, colour, server in _servers(target.services)
        if colour == target.colour
        and service in {target.service, *target.companions()}
        and target.includes(service, colour)
        and server["container"] not in {None, *containers}
        and not server.get("leaving")
    ]


def _why_not(compose_service: StartedService, target: Target) -> str | None:
    service, written = compose_service.service or "", compose_service.labels.get(ENVIRONMENT)
    values = sorted(set(compose_service.colours.values()))
    if written is not None and written != target.environment:
        return (
            f"{ENVIRONMENT}={written}, but the daemon's environment is {target.environment}: the daemon would not see "
            f"what is started, and that may replace what runs in {written or 'another environment'}. Write "
            f"{ENVIRONMENT}={target.environment}, or use the daemon of that environment (--admin)"
        )
    if written is None and target.needs_environment:
        label = f"{ENVIRONMENT}={target.environment}"
        return f"it has no label {ENVIRONMENT}, which the desired state requires: add {label}"
    if not service:
        return f"{SERVICE} is empty: name a service of the desired state"
    if not values:  # rule 36: the colour is that of the project
        values = [str(target.colour)]
    if len(values) > 1 or values[0] not in set(Colour):
        written_as = " and ".join(f"{label}={value}" for label, value in compose_service.colours.items())
        return f"{written_as}: the colour must be blue or green. Write {LABEL}, which deploy sets"
    if target.includes(service, Colour(values[0])):
        return None
    why = target.why_not(service, Colour(values[0]))
    fix = "" if service != target.service else f". One file is started for one colour at a time: write {LABEL}, once"
    return f"it is labelled {service} {values[0]}, and {why}{fix}"


def _nothing_of(service: str, started: tuple[StartedService, ...]) -> str:
    text = (
        f"none of the services that it starts has the label {SERVICE}={service}, so nothing would get traffic. "
        f"It starts {', '.join(one.name for one in started) or 'nothing without a --profile'}"
    )
    lost = [one.name for one in started if SERVICE in one.deploy_labels]
    if lost:
        where = f"The labels of {', '.join(lost)} are under deploy.labels, for Swarm"
        return f"{text}. {where}: write them under labels, or use --swarm"
    others = sorted({label for one in started for label in one.labels if label.lower().startswith(PREFIX)})
    found = f" (it has {', '.join(others)})" if others else ""
    return f"{text}{found}. Add {SERVICE}={service} and {LABEL}"


def _servers(services: Mapping[str, api.Service]) -> Iterator[tuple[str, Colour, api.Server]]:
    for name, status in services.items():
        for colour, found in status["colours"].items():
            for server in found["servers"]:
                yield name, colour, server


def _within(body: Config, key: str) -> Config:
    found = body.get(key)
    return found if isinstance(found, dict) else {}


def _labels(body: Config) -> dict[str, str]:
    written = body.get("labels")
    if isinstance(written, dict):
        return {str(name): "" if value is None else str(value) for name, value in written.items()}
    pairs = (str(one).partition("=") for one in written) if isinstance(written, list) else ()
    return {name: value for name, _, value in pairs}


def _is_started(body: Config, profiles: frozenset[str] | None) -> bool:
    own = body.get("profiles")
    if own and profiles is not None and profiles.isdisjoint(map(str, own)):
        return False
    return 0 not in {body.get("scale"), _within(body, "deploy").get("replicas")}
