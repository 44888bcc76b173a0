"""Validates a document with a real Traefik that is started for it."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import orjson
from aiohttp import web

from provider.model import JsonObject
from provider.model.document import MARKER, section
from provider.model.errors import TraefikError
from provider.traefik.process import ERROR_LEVELS, LOOK_S, LOOPBACK, RAW_DATA_SECTIONS, Traefik, free_ports, message_of

REFUSAL = "cannot decode configuration data: "
OWN_PROVIDERS = frozenset({"http", "internal"})
ELSEWHERE = re.compile(
    r'@(?!(?:http|internal)\b)[\w-]+(?:" does not exist)?$'
    r"|no such file or directory|failed to find any PEM data|invalid certificate\(s\) content|failed to parse CA"
    r"|unknown plugin type"
)
"""Errors about other providers, files and plugins, which only the operator's own Traefik has."""


@dataclass(frozen=True, slots=True)
class Validation:
    """Traefik's errors for a document, one line each; the `notes` only the operator's own Traefik can check."""

    errors: tuple[str, ...]
    notes: tuple[str, ...]


async def validate(document: bytes, *, binary: Path, limit_s: float = 60.0) -> Validation:
    """Serve a document to a Traefik that is started for it, and return its errors.

    That Traefik has every entry point that the document names and no provider but ours. Middlewares of other providers
    are noted and removed first: Traefik reports one error per router, and theirs would hide the others.
    Raises TraefikError where Traefik does not start or answer within `limit_s`, ValueError for a document
    without a marker.
    """
    content: JsonObject = orjson.loads(document)
    marker = _marker(content)
    notes = _remove_foreign_middlewares(content)
    tcp, udp = _entry_points(content)
    api_port, *ports = free_ports(1 + len(tcp) + len(udp))
    async with (
        _served(orjson.dumps(content) if notes else document) as endpoint,
        Traefik(
            endpoint,
            binary=binary,
            api_port=api_port,
            entry_points=dict(zip(tcp, ports, strict=False)),
            udp_entry_points=dict(zip(udp, ports[len(tcp) :], strict=True)),
            throttle_s=0.001,
        ) as traefik,
    ):
        refusals = await _applied_or_refused(traefik, marker, limit_s)
        found = refusals or (*_logged(traefik), *_object_errors(await traefik.raw_data()))
    notes += [f"{line} (only your own Traefik can check this)" for line in found if ELSEWHERE.search(line)]
    return Validation(tuple(line for line in found if not ELSEWHERE.search(line)), tuple(notes))


async def _applied_or_refused(traefik: Traefik, marker: str, limit_s: float) -> tuple[str, ...]:
    """Wait until Traefik applied the marker's document; return its messages where it refused it instead."""
    try:
        async with asyncio.timeout(limit_s):
            while await traefik.middleware(marker) is None:
                refusals = [line for line in traefik.errors() if REFUSAL in line]
                if refusals:
                    return tuple(f"the whole document is refused: {line.partition(REFUSAL)[2]}" for line in refusals)
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        logged = "; ".join(traefik.errors()) or "it logged no error"
        raise TraefikError(f"Traefik neither applied nor refused the document within {limit_s:g} s: {logged}") from None
    return ()


def _logged(traefik: Traefik) -> Iterator[str]:
    """Yield the errors that belong neither to a router (the API has those) nor to polling: those of certificates."""
    for entry in traefik.log():
        if entry.get("level") in ERROR_LEVELS and not {"routerName", "providerName"} & entry.keys():
            yield message_of(entry)


def _object_errors(raw_data: Mapping[str, Mapping[str, JsonObject]]) -> Iterator[str]:
    for part, kind in RAW_DATA_SECTIONS.items():
        for name, body in sorted(raw_data.get(part, {}).items()):
            errors = cast("list[str]", body.get("error", []))
            if not errors and body.get("status") != "enabled":
                errors = [f"status {body.get('status')}"]
            yield from (f"{kind} {name.removesuffix('@http')}: {error}" for error in errors)


def _marker(content: JsonObject) -> str:
    http = content.get("http")
    middlewares = http.get("middlewares") if isinstance(http, dict) else None
    for name in middlewares or ():
        if MARKER.fullmatch(name):
            return cast("str", name)
    raise ValueError(f"the document has no middleware named {MARKER.pattern}, by which Traefik proves what it applied")


def _remove_foreign_middlewares(content: object) -> list[str]:
    """Remove, in place, the middlewares of other providers from every list that uses them; return a note on each."""
    notes = []
    for path, names in _lists(content, "middlewares"):
        for name in [name for name in names if isinstance(name, str) and _is_foreign(name)]:
            names.remove(name)
            notes.append(f"{path}: {name!r} is another provider's (only your own Traefik can check this)")
    return notes


def _is_foreign(name: str) -> bool:
    _, at, provider = name.partition("@")
    return bool(at) and provider not in OWN_PROVIDERS


def _entry_points(content: JsonObject) -> tuple[list[str], list[str]]:
    """Return the TCP and the UDP entry points to define, at least one of each kind for routers that name none.

    A name that both protocols use is TCP's; Traefik reports that on the UDP router.
    """

    def named(*sections: str) -> set[str]:
        lists = [names for one in sections for _, names in _lists(content.get(one), "entryPoints")]
        return {name for names in lists for name in names if isinstance(name, str)} - {"traefik"}

    tcp = named("http", "tcp") or {"web"}
    udp = named("udp") - tcp or ({"web-udp"} if section(section(content, "udp"), "routers") else set())
    return sorted(tcp), sorted(udp)


def _lists(value: object, key: str, path: str = "") -> Iterator[tuple[str, list[object]]]:
    """Yield every list under this key at any depth, with its path."""
    if not isinstance(value, dict):
        return
    for name, inner in value.items():
        where = f"{path}.{name}" if path else name
        if name == key and isinstance(inner, list):
            yield where, inner
        else:
            yield from _lists(inner, key, where)


@asynccontextmanager
async def _served(document: bytes) -> AsyncIterator[str]:
    """Serve the document on a loopback port of its own; yields its URL."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=document, content_type="application/json")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, 0).start()
        yield f"http://{LOOPBACK}:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()
