"""Asks Compose and the daemon what a deployment would start and replace, and refuses what it must not (rule 17)."""

import shlex
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from provider import config
from provider.cli.client.admin_api import Admin
from provider.cli.client.compose import CHECK_EVERY_S, ComposeError, Project
from provider.cli.client.follow import Log
from provider.cli.client.start import Start
from provider.cli.deploy import engine
from provider.cli.deploy.options import DeployRefused
from provider.cli.deploy.plan import (
    Config,
    StartedService,
    Target,
    foreign_containers,
    refusals,
    replaced,
    started_services,
)
from provider.cli.doctor.checks import compose
from provider.cli.doctor.facts.daemon import text_of_labels
from provider.model import Colour

FOREIGN_CHECKS = 3
"""The daemon may not have noticed yet that a container was removed."""


class Inspector(Protocol):
    """Checks what a deployment would start; after `check_file`, `services` are those that it changes.

    `leased` are those of them that have a standby.
    """

    services: tuple[str, ...]
    leased: tuple[str, ...]

    def start(self, colour: Colour) -> Start:
        """Return what starts the release, once `check_file` has passed."""

    def check_file(self, colour: Colour) -> None:
        """Raise DeployRefused if what would be started must not be. Raises StartError."""

    def check_containers(self, colour: Colour) -> None:
        """Raise DeployRefused if what would be replaced must not be, or the standby has foreign containers."""

    def containers(self, colour: Colour) -> frozenset[str]:
        """Return the short ids of the containers that were started. Raises StartError."""

    def others_move(self) -> bool:
        """Return whether a rollout of a companion is under way."""


@dataclass(slots=True)
class Inspection:
    """Checks one compose file, started as the project of one colour or of the other.

    After `check_file`, `services` are those that it changes, and `leased` those of them that have a standby.
    """

    admin: Admin
    service: str
    prefix: str
    projects: Mapping[Colour, Project]
    force: bool
    log: Log
    services: tuple[str, ...] = ()
    leased: tuple[str, ...] = ()
    _started: tuple[StartedService, ...] = ()
    _names: tuple[str, ...] = ()

    def start(self, colour: Colour) -> Start:
        """Return the project of a colour."""
        return self.projects[colour]

    def check_file(self, colour: Colour) -> None:
        """Raise DeployRefused if the file would start what it must not, or has critical findings of doctor.

        Raises ComposeError if compose does not accept the file.
        """
        project, target = self.projects[colour], self._target(colour)
        own = project.rendered()
        self._started = started_services(own, project.profiles)
        if "name" in own:  # Compose 2 also lists containers of an older file, which it leaves alone
            self._names = tuple(one.name for one in self._started)
        wrong = tuple(refusals(self._started, target))
        if wrong:
            raise DeployRefused(_lines(self.service, f"not started; {_named(project)} cannot deploy {colour}", wrong))
        self.services = (self.service, *sorted({one.service or "" for one in self._started} & {*target.companions()}))
        known = (one for one in self.services if one in target.services)
        self.leased = tuple(one for one in known if target.services[one]["active"] is not None)
        if not self.force:
            self._check_critical(colour, own)

    def check_containers(self, colour: Colour) -> None:
        """Raise DeployRefused if compose would replace what it must not, or the standby has foreign containers."""
        project, target = self.projects[colour], self._target(colour)
        ours = self.containers(colour)
        wrong = tuple(replaced(ours, target))
        wrong += tuple(engine.of_others(ours, target.environment))
        if wrong:
            first = f"not started; the project {project.name} has containers that must not be replaced"
            raise DeployRefused(_lines(self.service, first, (*wrong, "choose another --project-prefix")))
        if found := foreign(self.admin, target, ours, self.services):
            raise DeployRefused(_foreign(self.service, project, found))

    def containers(self, colour: Colour) -> frozenset[str]:
        """Return the short ids of the containers of the project, but for those that `up` leaves alone."""
        return self.projects[colour].containers(*self._names)

    def others_move(self) -> bool:
        """Return whether a rollout of a companion is under way."""
        return any(self.admin.service(name)["rollout"] is not None for name in self.services[1:])

    def _target(self, colour: Colour) -> Target:
        return target_of(self.admin, self.service, colour)

    def _check_critical(self, colour: Colour, own: Config) -> None:
        other = colour.other
        try:
            rendered: dict[str, Config] = {colour: own, other: self.projects[other].rendered()}
        except ComposeError as failure:
            self.log(
                f"{self.service}: not compared with {other}, as compose does not accept the file for it: {failure}"
            )
            return
        text = text_of_labels(self.admin.daemon())
        desired = config.load(text, "labels") if text is not None else None
        found = compose.critical(rendered, self.prefix, _named(self.projects[colour]), desired)
        if found:
            check = shlex.join(["bluegreen", "doctor", *_flags(self.projects[colour])])
            first = (
                f"not started; doctor has critical findings ({check}); to start it all the same: --force and --reason"
            )
            raise DeployRefused(_lines(self.service, first, (f"{one.where}: {one.what}: {one.fix}" for one in found)))


def target_of(admin: Admin, service: str, colour: Colour) -> Target:
    """Return what a deployment of one colour may change, as the daemon has it now."""
    overview, about = admin.services(), admin.daemon()
    return Target(
        service,
        colour,
        str(overview["environment"]),
        bool(about.get("environment_label_required")),
        {status["service"]: status for status in overview["services"]},
    )


def foreign(admin: Admin, target: Target, ours: frozenset[str], services: Collection[str]) -> list[tuple[str, str]]:
    """Return service and container of what else runs in the standby, and stays there for some seconds."""
    for _ in range(FOREIGN_CHECKS):
        found = [one for one in foreign_containers(ours, target) if one[0] in services]
        if not found:
            return []
        time.sleep(CHECK_EVERY_S)
        target = target_of(admin, target.service, target.colour)
    return found


def _foreign(service: str, project: Project, found: Iterable[tuple[str, str]]) -> str:
    pairs = sorted(found)
    names = ", ".join(f"{container} of {of}" for of, container in pairs)
    remove = shlex.join(["docker", "rm", "-f", *(container for _, container in pairs)])
    return (
        f"{service}: not started; {project.colour} has containers that are not of {project.name} ({names}): with them "
        f"it would be mixed, and no rollout would begin. They were started by hand, by another compose file or with "
        f"another --project-prefix. Remove them (the rollback target is lost with them): {remove}"
    )


def _named(project: Project) -> str:
    return ", ".join(map(str, project.files))


def _flags(project: Project) -> list[str]:
    files = [word for file in project.files for word in ("-f", str(file))]
    return [*files, *(word for name, value in project.tags.items() for word in ("-e", f"{name}={value}"))]


def _lines(service: str, first: str, lines: Iterable[str]) -> str:
    return "\n  ".join((f"{service}: {first}:", *lines))
