"""Asks Swarm and the daemon which service of the Swarm a deployment would update, and refuses what it must not."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from provider.cli.client import swarm
from provider.cli.client.admin_api import Admin
from provider.cli.client.start import Start
from provider.cli.client.swarm import SwarmError, SwarmUpdate
from provider.cli.deploy.inspection import foreign, target_of
from provider.cli.deploy.options import DeployRefused, SwarmOptions
from provider.cli.deploy.plan import Target
from provider.docker.container import UNREADABLE
from provider.docker.labels import COLOR, COLOUR, ENVIRONMENT, SERVICE, VERSION, Ignored, Scope
from provider.docker.swarm.servers import settings_of
from provider.docker.swarm.tasks import SwarmService, service_from, tag_of
from provider.model import Colour


@dataclass(frozen=True, slots=True)
class _Found:
    """A Swarm service; `replicas` is None for one that runs once on each node."""

    service: SwarmService
    replicas: int | None


@dataclass(slots=True)
class SwarmInspection:
    """Checks the Swarm services of both colours; `variables` are those that an update sets in the containers."""

    admin: Admin
    service: str
    options: SwarmOptions
    variables: Mapping[str, str]
    services: tuple[str, ...] = ()
    leased: tuple[str, ...] = ()
    _update: SwarmUpdate | None = None

    def start(self, colour: Colour) -> Start:
        """Return the update of the Swarm service of the colour that was checked."""
        return self._checked(colour)

    def check_file(self, colour: Colour) -> None:
        """Raise DeployRefused if there is not one Swarm service to update, or its labels keep it from traffic.

        Raises SwarmError if docker does not answer, or its engine is no manager.
        """
        target = target_of(self.admin, self.service, colour)
        every = list(_readable(swarm.services(self.service)))
        found = self._one(target, [one for one in every if _is_of(one.service, colour, target)])
        try:
            settings_of(found.service, Scope(target.environment, target.needs_environment))
        except Ignored as reason:
            raise DeployRefused(f"{self.service}: not started; {found.service.name}: {reason}") from None
        other = next((one for one in every if _is_of(one.service, colour.other, target)), None)
        self.services = (self.service,)
        active = target.services[self.service]["active"] if self.service in target.services else None
        self.leased = self.services if active is not None else ()
        self._update = SwarmUpdate(found.service.name, colour, self.options.image, tuple(self._options(found, other)))

    def check_containers(self, colour: Colour) -> None:
        """Raise DeployRefused if the standby has containers of something else: it would be mixed."""
        update, target = self._checked(colour), target_of(self.admin, self.service, colour)
        found = foreign(self.admin, target, update.containers(), self.services)
        if found:
            names = ", ".join(sorted(container for _, container in found))
            raise DeployRefused(
                f"{self.service}: not started; {colour} has containers that are not of {update.name} ({names}): with "
                f"them it would be mixed, and no rollout would begin. Remove them, or take their labels away: "
                f"{shlex.join(['docker', 'service', 'ls', '--filter', f'label={SERVICE}={self.service}'])}"
            )

    def containers(self, colour: Colour) -> frozenset[str]:
        """Return the short ids of the containers of the tasks that are to run."""
        return self._checked(colour).containers()

    def others_move(self) -> bool:
        """Return whether a rollout of a companion is under way: a deployment of a Swarm service has none."""
        return False

    def _checked(self, colour: Colour) -> SwarmUpdate:
        assert self._update is not None, "check_file comes first"
        assert self._update.colour is colour
        return self._update

    def _one(self, target: Target, found: list[_Found]) -> _Found:
        """Return the one Swarm service of the colour, or that of the name that was given."""
        labels = f"{SERVICE}={target.service} and {COLOUR}={target.colour}"
        names = ", ".join(sorted(one.service.name for one in found)) or "none"
        if self.options.service is not None:
            named = [one for one in found if one.service.name == self.options.service]
            if not named:
                raise DeployRefused(
                    f"{target.service}: not started; no Swarm service {self.options.service} has the labels {labels}; "
                    f"those that have: {names}"
                )
            return named[0]
        if not found:
            raise DeployRefused(
                f"{target.service}: not started; no Swarm service has the labels {labels}. Create it first, with the "
                f"labels under deploy: labels: of a stack file (docker stack deploy); it may have 0 replicas"
            )
        if len(found) > 1:
            raise DeployRefused(
                f"{target.service}: not started; several Swarm services have the labels {labels}: {names}. Name one "
                f"with --swarm-service"
            )
        return found[0]

    def _options(self, found: _Found, other: _Found | None) -> Iterable[str]:
        """Yield further options of the update: variables, the version, and replicas for a service that has none."""
        yield from swarm.environment_options(self.variables)
        tag = tag_of(self.options.image)
        if tag is not None and VERSION in found.service.container_labels:
            yield from ("--container-label-add", f"{VERSION}={tag}")
        replicas = self.options.replicas
        if replicas is None and found.replicas == 0:
            replicas = max(1, other.replicas or 1) if other is not None else 1
        if replicas is not None:
            yield from ("--replicas", str(replicas))
        if self.options.with_registry_auth:
            yield "--with-registry-auth"


def _readable(listed: Iterable[Mapping[str, Any]]) -> Iterable[_Found]:
    for one in listed:
        try:
            replicated = one["Spec"]["Mode"].get("Replicated")
            yield _Found(service_from(one), None if replicated is None else int(replicated.get("Replicas") or 0))
        except UNREADABLE as mistake:
            raise SwarmError(
                f"docker service inspect describes a service in a way that cannot be read: {mistake!r}"
            ) from mistake


def _is_of(service: SwarmService, colour: Colour, target: Target) -> bool:
    written = {service.labels[label] for label in (COLOUR, COLOR) if label in service.labels}
    return written == {colour} and service.labels.get(ENVIRONMENT, target.environment) == target.environment
