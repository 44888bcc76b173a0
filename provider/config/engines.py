"""The engines of a file (rule 38): what is wrong between them, and their values."""

from collections.abc import Iterable, Iterator
from posixpath import normpath
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from provider.config.messages import Finding
from provider.config.schema import EngineKeys
from provider.config.tree import KeyPath, Tree
from provider.config.types import shown
from provider.model.addresses import Place, place_of
from provider.model.engines import Engine, EngineTls

ENGINES = ("docker", "engines")
UNIX = "unix://"

Same: TypeAlias = Place | str


def engines(written: Iterable[EngineKeys]) -> tuple[Engine, ...]:
    """Return the engines of a file without findings."""
    return tuple(
        Engine(
            one["name"],
            one["url"].removesuffix("/"),
            EngineTls(**one["tls"]) if "tls" in one else None,
            one.get("address"),
        )
        for one in written
    )


def findings(value: object, tree: Tree) -> Iterator[Finding]:
    """Yield what is wrong between the engines of a file; unexpected shapes are left to the schema."""
    docker = value.get("docker") if isinstance(value, dict) else None
    written = docker.get("engines") if isinstance(docker, dict) else None
    taken: dict[str, dict[Same, KeyPath]] = {"name": {}, "url": {}, "address": {}}
    for index, one in enumerate(written if isinstance(written, list) else ()):
        if not isinstance(one, dict):
            continue
        here = (*ENGINES, index)
        for key, seen in taken.items():
            same = _same(key, one.get(key))
            first = seen.setdefault(same, (*here, key)) if same is not None else None
            if first is not None and first[:-1] != here:
                also = f"{first[0]}.{first[1]}[{first[2]}] ({tree.place(first)})"
                yield Finding((*here, key), f"{shown(one[key])} {_twice(key, also)}")
        yield from _tls(here, one)


def _same(key: str, written: object) -> Same | None:
    """Return what two spellings of one name, URL or address have in common (rule 39)."""
    if not isinstance(written, str):
        return None
    if key == "name":
        return written
    if key == "address":
        return place_of(f"http://{f'[{written}]' if ':' in written else written}")
    if written.startswith(UNIX):
        path = normpath(written.removeprefix(UNIX)).replace("//", "/")
        return f"/run/{path.removeprefix('/var/run/')}" if path.startswith("/var/run/") else path
    return place_of(written)


def _twice(key: str, also: str) -> str:
    match key:
        case "name":
            return f"is the name of {also} already: give each engine its own"
        case "url":
            return f"is the engine of {also} already: each engine is followed once, so remove one of them"
        case _:
            return f"is the address of {also} already: published ports of both would be one, so give each its own"


def _tls(here: KeyPath, one: dict[str, Any]) -> Iterator[Finding]:
    url = one.get("url")
    if "tls" in one and isinstance(url, str) and urlsplit(url).scheme in {"unix", "http"}:
        message = f"goes with tcp:// or https://, and the url is {shown(url)}: remove tls, or change the url"
        yield Finding((*here, "tls"), message, on_key=True)
