"""Reads a compose file as rendered for one colour: the containers that it would start, and what is beside them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from provider.cli.doctor.checks.containers import Port, ServiceContainer
from provider.docker.container import HOST_MODE, Container
from provider.docker.labels import COLOR, COLOUR, COMPOSE_COLOUR, COMPOSE_PROJECT, PREFIX, SERVICE
from provider.model import Colour

Config = Mapping[str, object]

EXPOSED = 80
"""The ports of an image are not known before it runs, so one is assumed."""
ADDRESS = "192.0.2.1"
"""Stands for the address that a container gets at its start; reserved for documentation (RFC 5737)."""
PORT_DIGITS = 5
SPECIAL = ("/dev", "/proc", "/run", "/sys", "/var/run", "/tmp/.X11-unix")  # noqa: S108  no files are made there


@dataclass(frozen=True, slots=True)
class Store:
    """A place that a service may write to: `key` names it in the file, `place` on the engine.

    `is_of_project` is True if the place has a generated name, so that each project has its own.
    """

    key: str
    place: str
    target: str
    is_of_project: bool = False


@dataclass(frozen=True, slots=True)
class ComposeService:
    """One service of a rendered compose file, labelled or not; `networks` have their names on the engine."""

    name: str
    image: str
    labels: Mapping[str, str]
    deploy_labels: Mapping[str, str]
    is_started: bool
    fixed_name: str | None
    published: tuple[Port, ...]
    stores: tuple[Store, ...]
    networks: frozenset[str]
    depends_on: frozenset[str]
    environment: Mapping[str, str]
    project: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether any of its labels is ours."""
        return any(label.lower().startswith(PREFIX) for label in (*self.labels, *self.deploy_labels))

    @property
    def service(self) -> str:
        """The service that it names, "" where it names none."""
        return self.labels.get(SERVICE, "")

    @property
    def colour(self) -> str:
        """The colour that it names, "" where it names none."""
        return _colour(self.labels, self.project)


def service_containers(config: Config, project: str) -> tuple[ServiceContainer, ...]:
    """Return the containers that a project would start of services with our labels."""
    found = []
    for name, service in sorted(_services(config).items()):
        labels = _labels(service.get("labels"))
        if any(label.lower().startswith(PREFIX) for label in labels):
            found.append(_service_container(config, project, name, service, labels))
    return tuple(found)


def compose_services(config: Config, project: str) -> dict[str, ComposeService]:
    """Return every service of a rendered file by name, sorted."""
    return {
        name: _compose_service(config, project, name, service) for name, service in sorted(_services(config).items())
    }


def in_both_colours(rendered: Mapping[str, Mapping[str, ComposeService]]) -> frozenset[str]:
    """Return the services that have both colours in every rendering: the file names both."""
    found = []
    for made in rendered.values():
        colours: dict[str, set[str]] = {}
        for part in made.values():
            colours.setdefault(part.service, set()).add(part.colour)
        found.append({service for service, there in colours.items() if service and there >= set(Colour)})
    return frozenset(set.intersection(*found))


def _compose_service(config: Config, project: str, name: str, service: Config) -> ComposeService:
    deploy = service.get("deploy")
    deployed: Config = deploy if isinstance(deploy, dict) else {}
    depends_on, links = service.get("depends_on"), service.get("links")
    linked = [str(link).partition(":")[0] for link in links] if isinstance(links, list) else []
    deploy_labels = _labels(deployed.get("labels"))
    return ComposeService(
        name=name,
        image=str(service.get("image") or ""),
        labels=_labels(service.get("labels")),
        deploy_labels={label: value for label, value in deploy_labels.items() if label.lower().startswith(PREFIX)},
        is_started=not service.get("profiles") and 0 not in (service.get("scale", 1), deployed.get("replicas", 1)),
        fixed_name=str(service["container_name"]) if service.get("container_name") else None,
        published=tuple(_ports(service.get("ports"))),
        stores=tuple(_stores(config, project, service.get("volumes"))),
        networks=frozenset(_networks(config, project, service, str(service.get("network_mode") or ""))),
        depends_on=frozenset([*(depends_on if isinstance(depends_on, dict | list) else ()), *linked]),
        environment=_labels(service.get("environment")),
        project=project,
    )


def _services(config: Config) -> dict[str, Config]:
    return {str(name): body for name, body in _mapping(config, "services").items() if isinstance(body, dict)}


def _service_container(
    config: Config, project: str, name: str, service: Config, labels: Mapping[str, str]
) -> ServiceContainer:
    container_name = service.get("container_name")
    mode = str(service.get("network_mode") or "")
    colour = _colour(labels, project)
    return ServiceContainer(
        where=f"compose service {name}{f' ({colour})' if colour else ''}",
        docker=Container(
            id=name,
            name=name,
            image_id=str(service.get("image") or ""),
            labels={COMPOSE_PROJECT: project, **labels},
            running=True,
            health=None,
            network_mode=HOST_MODE if mode == HOST_MODE else "",
            addresses=_networks(config, project, service, mode),
            exposed=(EXPOSED,),
            bindings=(),
        ),
        fixed_name=str(container_name) if container_name else None,
        published=tuple(_ports(service.get("ports"))),
        writable=frozenset(store.place for store in _stores(config, project, service.get("volumes"))),
        has_healthcheck=_has_healthcheck(service.get("healthcheck")),
        restarts=_restarts(service),
        image=str(service["image"]) if "image" in service else None,
    )


def _colour(labels: Mapping[str, str], project: str) -> str:
    """Return the colour of labels, else the one of the project, of what names a service (rule 36)."""
    written = labels.get(COLOUR) or labels.get(COLOR)
    found = COMPOSE_COLOUR.search(project) if SERVICE in labels else None
    return written or (found[1] if found else "")


def _mapping(config: Config, key: str) -> Config:
    found = config.get(key)
    return found if isinstance(found, dict) else {}


def _labels(written: object) -> dict[str, str]:
    if isinstance(written, dict):
        return {str(name): "" if value is None else str(value) for name, value in written.items()}
    pairs = (str(one).partition("=") for one in written) if isinstance(written, list) else ()
    return {name: value for name, _, value in pairs}


def _name(config: Config, section: str, project: str, key: str) -> str:
    """Return the name of a volume or a network on the engine: its own name, else one with the project's."""
    declared = _mapping(config, section).get(key)
    body = declared if isinstance(declared, dict) else {}
    external = body.get("external")
    if body.get("name"):
        return str(body["name"])
    if isinstance(external, dict):
        return str(external.get("name") or key)
    return key if external else f"{project}_{key}"


def _networks(config: Config, project: str, service: Config, mode: str) -> dict[str, str]:
    """Return the networks by name, each with an address; a network mode such as `bridge` counts as one."""
    if mode:
        return {} if mode in {HOST_MODE, "none"} else {mode: ADDRESS}
    written = service.get("networks")
    names = list(written) if isinstance(written, dict | list) and written else ["default"]
    return {_name(config, "networks", project, name): ADDRESS for name in names}


def _ports(written: object) -> Iterator[Port]:
    for one in written if isinstance(written, list) else ():
        if isinstance(one, dict):
            ip, published, protocol = one.get("host_ip"), one.get("published"), one.get("protocol")
        else:
            plain, _, protocol = str(one).partition("/")
            host, _, _ = plain.rpartition(":")
            ip, _, published = host.rpartition(":")
        first, _, last = str(published or "").partition("-")
        if _is_port(first) and int(first) and (not last or _is_port(last)):  # without one, the engine picks a free port
            for number in range(int(first), int(last or first) + 1):
                yield Port(host_address(str(ip or "")), number, str(protocol or "tcp"))


def _is_port(text: str) -> bool:
    return text.isdecimal() and len(text) <= PORT_DIGITS


def host_address(ip: str) -> str:
    """Return the address of the host that a port is published on, "" for all of them."""
    plain = ip.strip("[]")
    return "" if plain in {"0.0.0.0", "::"} else plain  # noqa: S104  only read, nothing listens


def _stores(config: Config, project: str, written: object) -> Iterator[Store]:
    """Yield the volumes and host directories that may be written to."""
    for one in written if isinstance(written, list) else ():
        if isinstance(one, dict):
            kind, source, target = one.get("type"), str(one.get("source") or ""), str(one.get("target") or "")
            is_read_only = one.get("read_only")
        else:
            source, _, rest = str(one).partition(":")
            target, _, options = rest.partition(":")
            is_read_only = "ro" in options.split(",") or not rest
            kind = "bind" if source.startswith(("/", ".", "~")) else "volume"
        if is_read_only or not source or kind not in {"bind", "volume"} or is_special(source):
            continue
        if kind == "bind":
            yield Store(source, source, target)
        else:
            yield _volume(config, project, source, target)


def _volume(config: Config, project: str, key: str, target: str) -> Store:
    """Return a named volume; if a driver mounts it from a device, the device is its place."""
    declared = _mapping(config, "volumes").get(key)
    options = declared.get("driver_opts") if isinstance(declared, dict) else None
    if isinstance(options, dict) and options.get("device") and options.get("type") != "tmpfs":
        host = f"{options['o']} " if options.get("o") not in {None, "bind"} else ""
        return Store(key, f"{host}{options['device']}", target)
    name = _name(config, "volumes", project, key)
    return Store(key, f"the volume {name}", target, is_of_project=name == f"{project}_{key}")


def is_special(path: str) -> bool:
    """Return whether a path of the host is a device or a socket, and holds no data of an application."""
    return path.endswith(".sock") or any(path == one or path.startswith(f"{one}/") for one in SPECIAL)


def _has_healthcheck(written: object) -> bool | None:
    """Return whether there is a HEALTHCHECK; None if only the image knows."""
    if not isinstance(written, dict):
        return None
    test = written.get("test")
    return not (written.get("disable") or test in (["NONE"], "NONE"))


def _restarts(service: Config) -> bool | None:
    deploy = service.get("deploy")
    if isinstance(deploy, dict) and "restart_policy" in deploy:
        return None
    return str(service.get("restart") or "no") not in {"no", "False"}
