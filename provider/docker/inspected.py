"""Reads an inspection of a container: what it was created with, which never changes, and what a list says of it too."""

import hashlib
import json
import re
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from provider.model import Part
from provider.model.text import NAME_MOST, clean

STOP_MOST_S = 10**9
PORT = re.compile(r"[0-9]{1,5}")
ANONYMOUS_VOLUME = re.compile(r"[0-9a-f]{64}")
SIGNAL_NAME_MOST = 16
"""Longer than the name of any signal: Docker's API accepts any text."""


@dataclass(frozen=True, slots=True)
class Created:
    """What one container was created with: its ports of TCP and UDP, its stop settings, and the rest in `parts`."""

    parts: tuple[Part, ...]
    exposed: tuple[int, ...]
    stop_signal: int | None
    stop_timeout_s: float | None
    exposed_udp: tuple[int, ...] = ()


def created_from(inspected: Mapping[str, Any]) -> Created:
    """Read the engine's `GET /containers/ID/json`."""
    config = inspected.get("Config") or {}
    ports = [str(port).partition("/") for port in config.get("ExposedPorts") or {}]
    timeout_s = config.get("StopTimeout")
    return Created(
        parts=(
            *_words("command", config.get("Cmd")),
            *_words("entrypoint", config.get("Entrypoint")),
            *_environment(config),
            *sorted(Part("mount", *mount) for mount in _mounts(inspected.get("Mounts") or ())),
        ),
        exposed=_exposed(ports, "tcp"),
        exposed_udp=_exposed(ports, "udp"),
        stop_signal=signal_number(config.get("StopSignal")),
        stop_timeout_s=float(timeout_s) if isinstance(timeout_s, int) and 0 <= timeout_s < STOP_MOST_S else None,
    )


def _exposed(ports: Iterable[tuple[str, str, str]], wanted: str) -> tuple[int, ...]:
    return tuple(sorted(int(number) for number, _, kind in ports if kind == wanted and PORT.fullmatch(number)))


def as_listed(inspected: Mapping[str, Any]) -> dict[str, Any]:
    """Write the engine's `GET /containers/ID/json` as an entry of its list, which has the same in other places."""
    config, state = inspected.get("Config") or {}, inspected["State"]
    settings = inspected.get("NetworkSettings") or {}
    return {
        "Id": inspected["Id"],
        "Names": [inspected["Name"]],
        "ImageID": inspected["Image"],
        "Labels": config.get("Labels"),
        "State": state["Status"],
        "Health": state.get("Health"),
        "HostConfig": inspected.get("HostConfig"),
        "NetworkSettings": settings,
        "Ports": [*_ports(settings.get("Ports") or {})],
    }


def signal_number(name: object) -> int | None:
    """Return the number of a signal as an image or an engine may write it: SIGWINCH, winch, 28, RTMIN+3, RTMAX-1."""
    plain = str(name).upper().removeprefix("SIG") if isinstance(name, int | str) else ""
    if not plain.isascii() or len(plain) > SIGNAL_NAME_MOST:
        return None
    if plain.isdecimal():
        return int(plain)
    found = re.fullmatch(r"([A-Z0-9]+)(?:([+-]\d+))?", plain)
    if found is None or f"SIG{found[1]}" not in signal.Signals.__members__:
        return None
    return signal.Signals[f"SIG{found[1]}"] + int(found[2] or 0)


def digest(value: object) -> str:
    """Return a hash in place of a value that may be secret, or long."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _ports(ports: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Yield each port, and each place where it is published; raise ValueError for an invalid one."""
    for written, bindings in ports.items():
        private, _, kind = written.partition("/")
        published: Iterable[Mapping[str, Any]] = bindings or ({},)
        for binding in published:
            public = binding.get("HostPort") or "0"
            if not (PORT.fullmatch(private) and PORT.fullmatch(public)):
                raise ValueError("invalid port")
            yield {"PrivatePort": int(private), "Type": kind, "IP": binding.get("HostIp"), "PublicPort": int(public)}


def _words(kind: str, written: object) -> Iterable[Part]:
    """Yield the command or the entrypoint; an engine writes an empty one as null, or as a list that is empty."""
    if written:
        yield Part(kind, "", digest(written))


def _environment(config: Mapping[str, Any]) -> Iterable[Part]:
    """Yield the environment, the image's included, sorted; without the host name that Podman adds."""
    of_the_container = f"HOSTNAME={config.get('Hostname')}"
    for variable in sorted(map(str, config.get("Env") or ())):
        if variable != of_the_container:
            yield Part("environment", clean(variable.partition("=")[0], NAME_MOST), digest(variable))


def _mounts(mounts: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, str]]:
    """Yield each mount by its destination, and a digest of its type and source: an anonymous volume has no source."""
    for mount in mounts:
        kind, source = str(mount.get("Type") or ""), str(mount.get("Source") or "")
        if kind == "volume":
            name = str(mount.get("Name") or "")
            source = "" if ANONYMOUS_VOLUME.fullmatch(name) else name
        yield clean(str(mount.get("Destination") or ""), NAME_MOST), digest([kind, source])
