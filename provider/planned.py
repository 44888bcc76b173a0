"""Says what Compose would start for a deployment, before it starts anything: labels are the only thing that counts.

Rule 17: nothing of the service is started or replaced in another colour than the one that was chosen, nothing of any
other service that is not meant, and nothing beside containers of others in the standby.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from provider.labels import COLOR, COLOUR, ENVIRONMENT, PREFIX, SERVICE

Config: TypeAlias = Mapping[str, Any]
Answer: TypeAlias = Mapping[str, Any]

COLOURS = ("blue", "green")
LABEL = f"{COLOUR}=${{BLUEGREEN_COLOUR}}"


@dataclass(frozen=True, slots=True)
class Meant:
    """What a deployment is to change: the `colour` of a service, in the environment of the daemon.

    `services` is how every service of the daemon stands, by name. Services of the same group may come along, each in
    its own standby.
    """

    service: str
    colour: str
    environment: str
    needs_environment: bool
    services: Mapping[str, Answer]

    def is_meant(self, service: str, colour: str) -> bool:
        """Tell whether containers of a service may be started or replaced in a colour."""
        if service == self.service:
            return colour == self.colour
        return self._is_companion(service) and colour == self.colour and self._active(service) != colour

    def companions(self) -> Iterator[str]:
        """Yield the services that switch together with this one."""
        return (name for name in self.services if name != self.service and self._is_companion(name))

    def _is_companion(self, service: str) -> bool:
        group = self.services.get(self.service, {}).get("group")
        return group is not None and self.services.get(service, {}).get("group") == group

    def _active(self, service: str) -> object:
        return self.services.get(service, {}).get("active")

    def why_not(self, service: str, colour: str) -> str:
        """Say why containers of a service must not be started in a colour."""
        if service == self.service:
            is_active = self._active(service) == colour
            role = "it has the traffic, and would be replaced without a gate" if is_active else "it was not chosen"
            return f"{colour} of {service} is not what is deployed: {role}"
        if service not in self.services:
            return f"the daemon has no service {service!r}; it has: {', '.join(sorted(self.services)) or 'none'}"
        if not self._is_companion(service):
            return (
                f"{service} does not switch together with {self.service}: deploy it by itself, or give both one group"
            )
        if self._active(service) == colour:
            return f"{colour} of {service} has the traffic, and would be replaced without a gate"
        return f"only {self.colour} is deployed"


@dataclass(frozen=True, slots=True)
class Piece:
    """A compose service that would be started; what is under `deploy.labels` reaches no container."""

    name: str
    labels: Mapping[str, str]
    deploy_labels: Mapping[str, str]

    @property
    def service(self) -> str | None:
        """The service that it names, None where it names none."""
        return self.labels.get(SERVICE)

    @property
    def colours(self) -> dict[str, str]:
        """The colour that it names, by the label: both spellings may stand there."""
        return {label: self.labels[label] for label in (COLOUR, COLOR) if label in self.labels}


def pieces(config: Config, profiles: frozenset[str]) -> tuple[Piece, ...]:
    """Return what `up` would start of a rendered file: not what has another profile, or no replicas.

    Compose 2 renders only the services of the profiles that are on, and says the name of the project.
    """
    services = config.get("services")
    found = services.items() if isinstance(services, dict) else ()
    return tuple(
        Piece(str(name), {**_labels(_within(body, "build")), **_labels(body)}, _labels(_within(body, "deploy")))
        for name, body in sorted(found)
        if isinstance(body, dict) and _is_started(body, None if "name" in config else profiles)
    )


def refusals(started: tuple[Piece, ...], meant: Meant) -> Iterator[str]:
    """Yield why the file must not be started for this deployment, a sentence each, with the way out."""
    is_there = False
    for piece in started:
        if piece.service is None:
            continue
        is_there |= piece.service == meant.service
        why = _why_not(piece, meant)
        if why is not None:
            yield f"compose service {piece.name}: {why}"
    if not is_there:
        yield _nothing_of(meant.service, started)


def replaced(containers: frozenset[str], meant: Meant) -> Iterator[str]:
    """Yield the containers of the project that `up` would replace, and must not: they serve something else."""
    for service, colour, server in _servers(meant.services):
        if server["container"] in containers and not meant.is_meant(service, colour):
            why = meant.why_not(service, colour)
            yield f"container {server['container']} is a server of {service} in {colour}: {why}"


def strangers(containers: frozenset[str], meant: Meant) -> list[tuple[str, str]]:
    """Return service and container of what runs in the standby and is not of the project: the colour would be mixed."""
    return [
        (service, str(server["container"]))
        for service, colour, server in _servers(meant.services)
        if colour == meant.colour
        and service in {meant.service, *meant.companions()}
        and meant.is_meant(service, colour)
        and server["container"] not in {None, *containers}
        and not server.get("leaving")
    ]


def _why_not(piece: Piece, meant: Meant) -> str | None:
    service, written = piece.service or "", piece.labels.get(ENVIRONMENT)
    values = sorted(set(piece.colours.values()))
    if written is not None and written != meant.environment:
        return (
            f"{ENVIRONMENT}={written}, and the daemon's environment is {meant.environment}: it would not see what is "
            f"started, and that may replace what runs in {written or 'another one'}. Write {ENVIRONMENT}="
            f"{meant.environment}, or ask that environment's daemon (--admin)"
        )
    if written is None and meant.needs_environment:
        wanted = f"{ENVIRONMENT}={meant.environment}"
        return f"it has no label {ENVIRONMENT}, which the desired state requires: add {wanted}"
    if not service:
        return f"{SERVICE} is empty: name a service of the desired state"
    if not values:
        return f"it has no label {COLOUR}: add {LABEL}, which deploy sets"
    if len(values) > 1 or values[0] not in COLOURS:
        told = " and ".join(f"{label}={value}" for label, value in piece.colours.items())
        return f"{told}: the colour must be blue or green. Write {LABEL}, which deploy sets"
    if meant.is_meant(service, values[0]):
        return None
    why = meant.why_not(service, values[0])
    way_out = "" if service != meant.service else f". One file is started for one colour at a time: write {LABEL}, once"
    return f"it is labelled {service} {values[0]}, and {why}{way_out}"


def _nothing_of(service: str, started: tuple[Piece, ...]) -> str:
    told = (
        f"none of the services that it starts has the label {SERVICE}={service}, so nothing of it would get traffic. "
        f"It starts {', '.join(piece.name for piece in started) or 'nothing without a --profile'}"
    )
    lost = [piece.name for piece in started if SERVICE in piece.deploy_labels]
    if lost:
        return f"{told}. The labels of {', '.join(lost)} stand under deploy.labels, for Swarm: write them under labels"
    others = sorted({label for piece in started for label in piece.labels if label.lower().startswith(PREFIX)})
    found = f" (it has {', '.join(others)})" if others else ""
    return f"{told}{found}. Add {SERVICE}={service} and {LABEL}"


def _servers(services: Mapping[str, Answer]) -> Iterator[tuple[str, str, Answer]]:
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
    wanted = body.get("profiles")
    if wanted and profiles is not None and profiles.isdisjoint(map(str, wanted)):
        return False
    return 0 not in {body.get("scale"), _within(body, "deploy").get("replicas")}
