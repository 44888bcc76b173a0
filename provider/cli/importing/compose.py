"""Finds the services of a compose file that may become services of a desired state."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from provider.cli.doctor.checks.containers import Port
from provider.cli.doctor.checks.rendered import ComposeService, compose_services
from provider.cli.importing.found import Found, Left
from provider.cli.importing.merging import Config, mapping
from provider.cli.importing.variables import VariableError, Variables
from provider.docker.container import HOST_MODE
from provider.docker.labels import PREFIX, SERVICE
from provider.model.text import clean

EXPOSED = (80,)
"""The ports of an image are not known here; Traefik takes the lowest."""
TRAEFIK = "traefik."
SHOWN_MOST = 120
NAMES = ("depends_on", "networks", "links", "profiles")
"""The keys of a service that may be lists of names."""
SECOND_COLOUR = "a second colour would not start beside the first"


def find(
    config: Config, project: str, file: str, variables: Variables, *, is_rendered: bool = False
) -> tuple[list[Found], list[Left]]:
    """Return the services of a compose file that have labels for a router, and what was left of the others.

    In labels that are a mapping Compose replaces no variables of names; those that it has rendered may have been a
    list.
    """
    founds: list[Found] = []
    lefts: list[Left] = []
    bodies = {}
    for name, body in mapping(config.get("services")).items():
        labels = _Labels(f"{file}, service {name}", variables, are_rendered=is_rendered)
        bodies[name] = (labels, labels.of_service(mapping(body)))
    replaced = {**config, "services": {name: body for name, (_, body) in bodies.items()}}
    parts = compose_services(_values(replaced, Variables(variables.values)), project)
    for name, (labels, body) in bodies.items():
        part = parts[str(name)]
        if not any(label.lower().startswith((TRAEFIK, PREFIX)) for label in part.labels):
            lefts.append(_without_labels(str(name), labels.where, part))
            continue
        obstacles = (*labels.obstacles, *_obstacles(labels.where, body, part))
        traefik_name = f"{project}_{name}" if labels.are_of_swarm else f"{name}_{project}"
        of_service = part.labels.get(SERVICE) or str(name)
        container = part.fixed_name or f"{project}-{name}-1"
        founds.append(
            Found(
                *(labels.where, of_service, traefik_name, container, part.labels),
                ports=EXPOSED,
                missing=labels.missing,
                obstacles=obstacles,
            )
        )
    return founds, lefts


class _Labels:
    """Reads the labels of one service, and notes what is wrong with them."""

    def __init__(self, where: str, variables: Variables, *, are_rendered: bool) -> None:
        self.where = where
        self.missing: dict[str, tuple[str, ...]] = {}
        self.obstacles: list[Left] = []
        self.are_of_swarm = False
        self._variables, self._are_rendered = variables, are_rendered

    def of_service(self, body: Config) -> dict[str, Any]:
        """Return the body with the labels that Traefik reads: those of the container, else those of a Swarm service."""
        own, deployed = body.get("labels"), mapping(body.get("deploy")).get("labels")
        labels, of_swarm = dict(self._pairs(own)), dict(self._pairs(deployed))
        routed = sorted(label for label in of_swarm if label.lower().startswith(TRAEFIK))
        if routed and any(label.lower().startswith(TRAEFIK) for label in labels):
            what = ", ".join(routed)[:SHOWN_MOST]
            message = "is under deploy.labels, and the service has labels for Traefik under labels as well"
            self.obstacles.append(Left(self.where, what, message, "keep one of them"))
        elif routed:
            self.are_of_swarm = True
            labels |= of_swarm
        names = {key: _names(body[key]) for key in NAMES if isinstance(body.get(key), list)}
        return {**body, **names, "labels": labels}

    def _pairs(self, written: object) -> Iterator[tuple[str, str]]:
        if isinstance(written, Mapping):
            for name, value in written.items():
                yield from self._pair(str(name), text_of(value), may_replace_name=self._are_rendered)
        for one in written if isinstance(written, list) else ():
            if isinstance(one, Mapping):  # of a mapping that was merged with a list
                yield from self._pairs(one)
            else:
                name, _, value = text_of(one).partition("=")
                yield from self._pair(name, value, may_replace_name=True)

    def _pair(self, name: str, value: str, *, may_replace_name: bool) -> Iterator[tuple[str, str]]:
        try:
            found, missing = self._variables.replaced(name) if may_replace_name else (name, ())
            text, others = self._variables.replaced(value)
        except VariableError as error:
            label = f"{name}={clean(value, SHOWN_MOST)}"
            self.obstacles.append(Left(self.where, label, str(error)))
            found, text, missing, others = name, "", (), ("?",)
        if missing or others:
            self.missing[found] = tuple(dict.fromkeys((*missing, *others)))
            text = value
        yield found, text


def _names(written: list[object]) -> list[str]:
    """Return the items of a list that are names; Compose refuses any other."""
    return [one for one in written if isinstance(one, str)]


def text_of(value: object) -> str:
    """Return a value of a label as Compose writes it."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
    return str(value)


def _values(value: Any, variables: Variables) -> Any:
    """Return everything but labels with variables replaced; what cannot be stays."""
    if isinstance(value, str):
        try:
            return variables.replaced(value)[0] if "$" in value else value
        except VariableError:
            return value
    if isinstance(value, Mapping):
        return {key: one if key == "labels" else _values(one, variables) for key, one in value.items()}
    return [_values(one, variables) for one in value] if isinstance(value, list) else value


def _ranges(ports: Iterable[Port]) -> Iterator[str]:
    """Yield ports as Compose has them; those in a row, of which there may be thousands, as one."""
    first = last = None
    for port in ports:
        if first is not None and last is not None and port == replace(last, number=last.number + 1):
            last = port
            continue
        if first is not None and last is not None:
            yield _range(first, last)
        first = last = port
    if first is not None and last is not None:
        yield _range(first, last)


def _range(first: Port, last: Port) -> str:
    numbers = str(first.number) if first == last else f"{first.number}-{last.number}"
    return f"{first.ip}:{numbers}/{first.protocol}" if first.ip else f"{numbers}/{first.protocol}"


def _without_labels(name: str, where: str, part: ComposeService) -> Left:
    message = "it has no label of Traefik, so nothing routes to it from outside"
    fix = f"leave {name} as it is"
    if part.stores:
        fix = f"move {name} into a compose file of its own, or each colour's project starts one with data of its own"
    return Left(where, "", message, fix)


def _obstacles(where: str, body: Config, part: ComposeService) -> Iterator[Left]:
    if part.fixed_name is not None:
        message = f"two containers cannot have one name, so {SECOND_COLOUR}"
        yield Left(where, f"container_name: {part.fixed_name}", message, "remove it")
    for ports in _ranges(part.published):
        message = f"a port of the host belongs to one container, so {SECOND_COLOUR}"
        yield Left(where, f"ports: {ports}", message, "remove it: Traefik reaches the container itself")
    if body.get("network_mode") == HOST_MODE:
        message = f"both colours would listen on the same ports of the host, so {SECOND_COLOUR}"
        yield Left(where, "network_mode: host", message, "give it a network that Traefik is in")
    for store in part.stores:
        if store.is_of_project:
            message = "each colour's project makes a volume of its own, so data does not go along with a switch"
            fix = "give it a name of its own, with external: true, if two releases may write to it at once"
        else:
            message, fix = "both colours write to it at once", "check that two releases may, or move it elsewhere"
        yield Left(where, f"volumes: {store.key}:{store.target}", message, fix)
    replicas = mapping(body.get("deploy")).get("replicas", body.get("scale", 1))
    if replicas not in (1, "1"):
        message = "how many containers run is Compose's to say, and a release needs as many as the active colour has"
        yield Left(where, f"replicas: {text_of(replicas)}", message, "write minServers where fewer are enough")
    if file := body.get("label_file"):
        yield Left(where, f"label_file: {file}", "the labels in it were not read", "write them under labels")
    if isinstance(profiles := body.get("profiles"), list) and profiles:
        message = "Compose starts it with this profile only"
        yield Left(where, f"profiles: {', '.join(profiles)}", message, "remove it, or take the service out")
    for other in sorted(part.depends_on):
        message = f"each colour's project would start a {other} of its own"
        yield Left(where, f"depends_on: {other}", message, f"move {other} into a compose file of its own, if it is one")
