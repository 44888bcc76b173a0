"""Reads what compose makes of a file for each colour: the copies it would start, and what is wrong before it does."""

from collections.abc import Iterator, Mapping
from typing import cast

from provider.doctor.copies import COLOURS, Copy, Port
from provider.doctor.findings import Code, Finding
from provider.labels import COLOR, COLOUR, HOST_MODE, SERVICE, Container

Config = Mapping[str, object]

EXPOSED = 80
"""What an image exposes is not known before it runs, so one port is taken for granted."""
ADDRESS = "192.0.2.1"
"""A network gives an address when the container starts; this one is for documentation (RFC 5737)."""
SPECIAL = ("/dev", "/proc", "/run", "/sys", "/var/run", "/tmp/.X11-unix")  # noqa: S108  no files are made there


def copies(config: Config, project: str) -> tuple[Copy, ...]:
    """Return the copies that a project would start: its services with a label for a service of ours."""
    found = []
    for name, body in sorted(_mapping(config, "services").items()):
        service = cast("Config", body)
        labels = _labels(service.get("labels"))
        if any(label.startswith("bluegreen") for label in labels):
            found.append(_copy(config, project, name, service, labels))
    return tuple(found)


def check(by_colour: Mapping[str, tuple[Copy, ...]], file: str) -> Iterator[Finding]:
    """Yield what keeps a file from starting either colour; what the copies have in common is checked with them."""
    every = [copy for made in by_colour.values() for copy in made]
    if not any(copy.service for copy in every):
        what = f"none of its services has the label {SERVICE}, so the daemon sees nothing of what it starts"
        mend = f"add labels: {{{SERVICE}: NAME, {COLOUR}: '${{BLUEGREEN_COLOUR}}'}}"
        yield Finding(Code.COMPOSE_WITHOUT_SERVICE, file, what, mend)
    for service in sorted({copy.service for copy in every if copy.service}):
        colours = {copy.colour for copy in every if copy.service == service}
        written = sorted(colours & set(COLOURS))
        if len(written) == 1:
            what = f"{service} gets {COLOUR}={written[0]} whichever colour is deployed"
            mend = f"write {COLOUR}=${{BLUEGREEN_COLOUR}}, which `bluegreen deploy` sets"
            yield Finding(Code.COMPOSE_COLOUR_FIXED, file, what, mend)


def unique(by_colour: Mapping[str, tuple[Copy, ...]]) -> tuple[Copy, ...]:
    """Return the copies of both renderings; a service whose colour is the same in both is there once."""
    kept: dict[tuple[str, str, str], Copy] = {}
    for made in by_colour.values():
        for copy in made:
            kept.setdefault((copy.container.name, copy.service, copy.colour), copy)
    return tuple(kept.values())


def _copy(config: Config, project: str, name: str, service: Config, labels: Mapping[str, str]) -> Copy:
    container_name = service.get("container_name")
    mode = str(service.get("network_mode") or "")
    colour = labels.get(COLOUR) or labels.get(COLOR, "")
    return Copy(
        where=f"compose service {name}{f' ({colour})' if colour else ''}",
        container=Container(
            id=name,
            name=name,
            image_id=str(service.get("image") or ""),
            labels=labels,
            running=True,
            health=None,
            network_mode=HOST_MODE if mode == HOST_MODE else "",
            addresses=_networks(config, project, service, mode),
            exposed=(EXPOSED,),
            bindings=(),
        ),
        fixed_name=str(container_name) if container_name else None,
        published=tuple(_ports(service.get("ports"))),
        writable=frozenset(_writable(config, project, service.get("volumes"))),
        has_healthcheck=_has_healthcheck(service.get("healthcheck")),
        restarts=_restarts(service),
        image=str(service["image"]) if "image" in service else None,
    )


def _mapping(config: Config, key: str) -> Config:
    found = config.get(key)
    return found if isinstance(found, dict) else {}


def _labels(written: object) -> dict[str, str]:
    if isinstance(written, dict):
        return {str(name): "" if value is None else str(value) for name, value in written.items()}
    pairs = (str(one).partition("=") for one in written) if isinstance(written, list) else ()
    return {name: value for name, _, value in pairs}


def _name(config: Config, section: str, project: str, key: str) -> str:
    """Return what the engine will call a volume or a network: its own name, else one with the project's."""
    declared = _mapping(config, section).get(key)
    body = declared if isinstance(declared, dict) else {}
    external = body.get("external")
    if body.get("name"):
        return str(body["name"])
    if isinstance(external, dict):
        return str(external.get("name") or key)
    return key if external else f"{project}_{key}"


def _networks(config: Config, project: str, service: Config, mode: str) -> dict[str, str]:
    """Return the networks by name, each with some address; `bridge`, or whoever's network it shares, is one as well."""
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
        if first.isdecimal() and int(first):  # without one, the engine picks a free port
            for number in range(int(first), int(last or first) + 1):
                yield Port(host_address(str(ip or "")), number, str(protocol or "tcp"))


def host_address(ip: str) -> str:
    """Return the address of the host that a port is published on, "" for all of them."""
    plain = ip.strip("[]")
    return "" if plain in {"0.0.0.0", "::"} else plain  # noqa: S104  it is read, nobody listens there


def _writable(config: Config, project: str, written: object) -> Iterator[str]:
    """Yield the volumes and host directories that may be written to, by the names they have on the engine."""
    for one in written if isinstance(written, list) else ():
        if isinstance(one, dict):
            kind, source, is_read_only = one.get("type"), str(one.get("source") or ""), one.get("read_only")
        else:
            source, _, rest = str(one).partition(":")
            is_read_only = "ro" in rest.rpartition(":")[2].split(",") or not rest
            kind = "bind" if source.startswith(("/", ".", "~")) else "volume"
        if is_read_only or not source or kind not in {"bind", "volume"} or is_special(source):
            continue
        yield source if kind == "bind" else f"the volume {_name(config, 'volumes', project, source)}"


def is_special(path: str) -> bool:
    """Tell whether a path of the host is a device or a socket, and holds no data of an application."""
    return path.endswith(".sock") or any(path == one or path.startswith(f"{one}/") for one in SPECIAL)


def _has_healthcheck(written: object) -> bool | None:
    """Tell whether there is a HEALTHCHECK; None where only the image knows."""
    if not isinstance(written, dict):
        return None
    test = written.get("test")
    return not (written.get("disable") or test in (["NONE"], "NONE"))


def _restarts(service: Config) -> bool | None:
    deploy = service.get("deploy")
    if isinstance(deploy, dict) and "restart_policy" in deploy:
        return None
    return str(service.get("restart") or "no") not in {"no", "False"}
