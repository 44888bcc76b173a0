"""Texts that no document may have: variables that nothing replaces, and what Traefik's YAML refuses (rule 41).

Values are often copied from labels of Compose (`${DOMAIN}`, `$$`) and from files of Traefik's (`{{ env "DOMAIN" }}`),
where variables are replaced. A `$` of a regular expression and the `${1}` of a replacement are Traefik's own.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from provider.config import pass_through
from provider.config.endpoints import ENDPOINTS
from provider.config.messages import Finding
from provider.config.types import variable
from provider.model.traefik_schema import Anything, Kind, Many, Named, Scalar, Struct
from provider.model.traefik_schema.texts import SEPARATOR, UNREADABLE

LONGEST_KEY = 1024
"""Maximum length of a key in JSON, with its quotes: yaml.v3 does not accept a longer one."""
LONGEST_NAME = 1000
"""The maximum of a name to which the daemon appends a colour or `-preview`."""

_BARE = re.compile(r"\$[A-Za-z_(]\w*\)?|%[A-Za-z_]\w*%|<[^<>]*>|[{}$]")
"""What no host has, and what looks like a variable: `$DOMAIN`, `%DOMAIN%`, `<domain>`."""
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9+.-]+://)?([^/?#]*)")
_HOSTS = re.compile(r"\bHost(?:SNI|Header)?\s*\(((?:[^()`\"]|`[^`]*`|\"(?:[^\"\\]|\\.)*\")*)\)", re.IGNORECASE)
_QUOTED = re.compile(r"`([^`]*)`|\"((?:[^\"\\]|\\.)*)\"")


def findings(value: object) -> list[Finding]:
    """Return the findings in the texts of a file's value, as `pass_through.as_traefik_reads` returns it."""
    reader = _Reader()
    for path, kind, found in pass_through.kinds_of(value):
        reader.at = list(path)
        reader.check(kind, found)
    if isinstance(value, dict):
        reader.own(value)
    return reader.findings


class _Reader:
    """Collects findings. `at` is the current path: a tuple for each value would take longer than the check."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.at: list[str | int] = []

    def own(self, value: dict[str, object]) -> None:
        """Check those of the daemon's own keys in which a variable would be taken literally."""
        self.at = ["environment"]
        self.check(Scalar.TEXT, value.get("environment"))
        services = value.get("services")
        for name, keys in services.items() if isinstance(services, dict) else ():
            self.at = ["services", name]
            self._key(name, LONGEST_NAME)
            if isinstance(keys, dict):
                self._of_service(name, keys)

    def _of_service(self, name: str, keys: dict[str, Any]) -> None:
        self._path(keys.get("healthCheck"), "services", name, "healthCheck")
        for router in keys["routers"] if isinstance(keys.get("routers"), dict) else ():
            self.at = ["services", name, "routers", router]
            self._key(router, LONGEST_KEY)
        own = keys.get(ENDPOINTS)
        for endpoint, body in own.items() if isinstance(own, dict) else ():
            if isinstance(body, dict):
                self._path(body.get("healthCheck"), "services", name, ENDPOINTS, endpoint, "healthCheck")
        tests = keys.get("smokeTests")
        for index, test in enumerate(tests if isinstance(tests, list) else ()):
            self._path(test, "services", name, "smokeTests", index)

    def _path(self, request: object, *at: str | int) -> None:
        if isinstance(request, dict):
            self.at = [*at, "path"]
            self.check(Scalar.TEXT, request.get("path"))

    def check(self, kind: Kind, value: object) -> None:
        """Check a value of a kind and everything within it."""
        if isinstance(value, str):
            if isinstance(kind, Scalar):
                self._text(kind, value)
        elif isinstance(value, dict):
            if isinstance(kind, Struct):
                fields = kind.fields
                for key, inner in value.items():
                    if key in fields:
                        self.at.append(key)
                        self.check(fields[key].kind, inner)
                        self.at.pop()
            elif isinstance(kind, Named):
                for key, inner in value.items():
                    self.at.append(key)
                    self._key(key, LONGEST_KEY)
                    self.check(kind.value, inner)
                    self.at.pop()
            elif isinstance(kind, Anything):
                self._free(value, depth=0)
        elif isinstance(value, list) and isinstance(kind, Many):
            for index, inner in enumerate(value):
                self.at.append(index)
                self.check(kind.item, inner)
                self.at.pop()

    def _text(self, kind: Scalar, value: str) -> None:
        self._readable(value)
        found = None
        if kind is not Scalar.FREE and ("$" in value or "{{" in value):
            found = variable(value)
        if found is None and kind is Scalar.USER and "$$" in value:
            why = "nothing replaces it here, so no password would fit; write one '$'"
            self._found(f"has '$$', which is Compose's '$': {why}")
        elif found is None and kind is Scalar.HOST:
            authority = _AUTHORITY.match(value)
            found = _in_host(authority[1]) if authority else None
        elif found is None and kind is Scalar.RULE:
            found = next(filter(None, map(_in_host, _hosts(value))), None)
        if found is not None:
            self._found(f"has {found!r}, and nothing replaces variables in this file: write the value itself")

    def _readable(self, text: str, *, of_key: bool = False) -> None:
        found = None if text.isprintable() else UNREADABLE.search(text)
        if found is not None:
            name = f"U+{ord(found[0]):04X}"
            self._found(f"has the control character {name}, for which Traefik refuses the document: remove it", of_key)

    def _key(self, name: str, most: int) -> None:
        self._readable(name, of_key=True)
        if len(name) > most // 6 and len(json.dumps(name, ensure_ascii=False)) > most:
            why = "Traefik refuses a document with such a key: shorten it"
            self._found(f"is longer than {most} characters, and {why}", of_key=True)

    def _free(self, value: object, depth: int) -> None:
        """Check the configuration of a plugin: Traefik's decoder fails on some lists, and on an empty key."""
        if isinstance(value, str):
            self._readable(value)
            if value.startswith(SEPARATOR):
                self._found(f"begins with {SEPARATOR!r}, which Traefik takes for a list that it made itself")
        elif isinstance(value, dict):
            for key, inner in value.items():
                self.at.append(key)
                self._key(key, LONGEST_KEY)
                if not key and depth:
                    self._found("is a key with no character, which Traefik refuses here", of_key=True)
                self._free(inner, depth + 1)
                self.at.pop()
        elif isinstance(value, list):
            self._items(value)
            for index, item in enumerate(value):
                self.at.append(index)
                self._free(item, depth + 1)
                self.at.pop()

    def _items(self, items: list[object]) -> None:
        kinds = {type(item) for item in items}
        if kinds & {list, type(None)}:
            self._found(
                "has a list or nothing as an item, which Traefik refuses here: write texts, numbers or mappings"
            )
        elif bool in kinds and kinds & {int, float} and not kinds & {str, dict}:
            self._found("has both numbers and booleans, which Traefik refuses in one list: put them in quotes")

    def _found(self, message: str, of_key: bool = False) -> None:
        self.findings.append(Finding(tuple(self.at), message, of_key))


def _hosts(rule: str) -> Iterator[str]:
    for matcher in _HOSTS.finditer(rule):
        for quoted in _QUOTED.finditer(matcher[1]):
            yield quoted[1] or quoted[2] or ""


def _in_host(host: str) -> str | None:
    found = None if host.isalnum() else _BARE.search(host)
    return found[0] if found else None
