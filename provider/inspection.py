"""Asks compose and the daemon what a deployment would start and replace, and refuses what it must not (rule 17)."""

import shlex
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from provider.client import Admin
from provider.compose import LOOK_EVERY_S, ComposeError, Project
from provider.doctor import composed
from provider.following import Tell
from provider.leasing import Withheld
from provider.planned import COLOURS, Config, Meant, Piece, pieces, refusals, replaced, strangers

LOOKS = 3


@dataclass(slots=True)
class Inspection:
    """What one compose file does to one service, started as the project of one colour or of the other.

    `services` are those that it changes, once `check_file` was called, and `leased` those of them that have a standby.
    """

    admin: Admin
    service: str
    prefix: str
    projects: Mapping[str, Project]
    force: bool
    tell: Tell
    services: tuple[str, ...] = ()
    leased: tuple[str, ...] = ()
    _pieces: tuple[Piece, ...] = ()
    _names: tuple[str, ...] = ()

    def check_file(self, colour: str) -> None:
        """Raise Withheld where the file would start what it must not, or has what doctor calls critical.

        Raises ComposeError where compose does not accept the file.
        """
        project, meant = self.projects[colour], self._meant(colour)
        config = project.rendered()
        self._pieces = pieces(config, project.profiles)
        if "name" in config:  # Compose 2 also lists what is left of an older file; that it replaces nothing of
            self._names = tuple(piece.name for piece in self._pieces)
        wrong = tuple(refusals(self._pieces, meant))
        if wrong:
            raise Withheld(_told(self.service, f"not started; {_named(project)} is not fit to deploy {colour}", wrong))
        self.services = (self.service, *sorted({piece.service or "" for piece in self._pieces} & {*meant.companions()}))
        self.leased = tuple(one for one in self.services if meant.services[one]["active"] is not None)
        if not self.force:
            self._check_critical(colour, config)

    def check_containers(self, colour: str) -> None:
        """Raise Withheld where compose would replace what it must not, or others' containers stand by."""
        project, meant = self.projects[colour], self._meant(colour)
        ours = self.containers(colour)
        wrong = tuple(replaced(ours, meant))
        if wrong:
            told = f"not started, as the project {project.name} has containers that must stay as they are"
            raise Withheld(_told(self.service, told, (*wrong, "another --project-prefix leaves them alone")))
        for _ in range(LOOKS):  # the daemon may not have heard yet of what went a moment ago
            found = [one for one in strangers(ours, meant) if one[0] in self.services]
            if not found:
                return
            time.sleep(LOOK_EVERY_S)
            meant = self._meant(colour)
        raise Withheld(_foreign(self.service, project, found))

    def containers(self, colour: str) -> frozenset[str]:
        """Return the containers of the project, by their short ids, but for those that `up` leaves alone."""
        return self.projects[colour].containers(*self._names)

    def others_move(self) -> bool:
        """Tell whether a rollout of a service that comes along is under way."""
        others: Any = (self.admin.service(name) for name in self.services[1:])
        return any(status["rollout"] is not None for status in others)

    def _meant(self, colour: str) -> Meant:
        overview: Any = self.admin.services()
        about = self.admin.get("/api/v1/daemon")
        return Meant(
            self.service,
            colour,
            str(overview["environment"]),
            bool(about.get("environment_label_required")),
            {str(status["service"]): status for status in overview["services"]},
        )

    def _check_critical(self, colour: str, config: Config) -> None:
        other = COLOURS[1 - COLOURS.index(colour)]
        try:
            rendered = {colour: config, other: self.projects[other].rendered()}
        except ComposeError as failure:
            self.tell(f"{self.service}: not compared with {other}, for which the file is not accepted: {failure}")
            return
        found = composed.critical(rendered, self.prefix, _named(self.projects[colour]))
        if found:
            check = shlex.join(["bluegreen", "doctor", *_flags(self.projects[colour])])
            told = (
                f"not started, for what doctor calls critical ({check}); --force with a --reason starts it all the same"
            )
            raise Withheld(_told(self.service, told, (f"{one.where}: {one.what}: {one.mend}" for one in found)))


def _foreign(service: str, project: Project, found: Iterable[tuple[str, str]]) -> str:
    pairs = sorted(found)
    names = ", ".join(f"{container} of {of}" for of, container in pairs)
    remove = shlex.join(["docker", "rm", "-f", *(container for _, container in pairs)])
    return (
        f"{service}: not started, as {project.colour} has containers that are not of {project.name} ({names}): beside "
        f"them it would be mixed, and no rollout would begin. They were started by hand, by another compose file or "
        f"with another --project-prefix. Remove them (the rollback target is lost with them): {remove}"
    )


def _named(project: Project) -> str:
    return ", ".join(map(str, project.files))


def _flags(project: Project) -> list[str]:
    files = [word for file in project.files for word in ("-f", str(file))]
    return [*files, *(word for name, value in project.tags.items() for word in ("-e", f"{name}={value}"))]


def _told(service: str, first: str, lines: Iterable[str]) -> str:
    return "\n  ".join((f"{service}: {first}:", *lines))
