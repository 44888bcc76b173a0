"""Traefik's labels for health checks as our `healthCheck`: a load balancer of ours has none (rule 34)."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from provider.docker.traefik_labels.tree import fault
from provider.model.desired import HealthCheck
from provider.model.durations import parse_duration
from provider.model.payload import written
from provider.model.routing import Fault
from provider.model.vocabulary import ProbeMode, Protocol

MODES = {"": ProbeMode.HTTP, "http": ProbeMode.HTTP, "grpc": ProbeMode.GRPC}
SCHEMES = ("http", "https", "h2c")
PORT_MOST = 65535
STATUSES = range(100, 600)
_PATH = re.compile(r"/[!-~]*")
_METHOD = re.compile(r"[A-Z]+")
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NO_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def health_check_of(
    protocol: Protocol,
    label: str,
    keys: Mapping[str, Any],
    base: HealthCheck,
    faults: list[Fault],
    ignored: list[str],
) -> HealthCheck:
    """Return a health check with these keys of Traefik's in place of those of `base`.

    Traefik follows redirects where that is not said. Its intervals where none is said are not taken: 30 s would keep
    a release waiting.
    """
    check = _Check(label, keys, faults)
    if "unhealthyInterval" in keys:
        ignored.append(f"{label}.unhealthyinterval")
    fields = check.times() | (check.http() if protocol is Protocol.HTTP else check.tcp())
    return replace(base, **fields)


class _Check:
    def __init__(self, label: str, keys: Mapping[str, Any], faults: list[Fault]) -> None:
        self._label, self._keys, self._faults = label, keys, faults

    def times(self) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for key in ("interval", "timeout"):
            text = self._keys.get(key)
            if text is None:
                continue
            try:
                fields[f"{key}_s"] = parse_duration(text)
            except ValueError as error:
                self._found(key, f"it {error}", "write one such as 5s")
                continue
            if not fields[f"{key}_s"] > 0:
                self._found(key, "it is no time to wait", "write one above 0, such as 5s")
        port = self._keys.get("port")
        if port and not 0 < port <= PORT_MOST:
            self._found("port", "it is no port", f"write a number from 1 to {PORT_MOST}")
        return fields | ({"port": port} if port else {})

    def http(self) -> dict[str, Any]:
        keys = self._keys
        mode, scheme, status = keys.get("mode", ""), keys.get("scheme", ""), keys.get("status", 0)
        if mode not in MODES:
            self._found("mode", "it is no way to check", "write http or grpc")
        if scheme and scheme not in SCHEMES:
            self._found("scheme", "it is no scheme", f"write one of {', '.join(SCHEMES)}")
        if status and status not in STATUSES:
            self._found("status", "it is no status of an answer", "write one such as 204")
        self._matching("path", _PATH, "begin it with '/', without white space, and write what is beyond ASCII as %xx")
        self._matching("method", _METHOD, "write one such as GET")
        self._matching("hostname", _HOST, "write a name, with a port where one is needed")
        headers = tuple(sorted(keys.get("headers", {}).items()))
        for name, value in headers:
            if not _HEADER.fullmatch(name) or _NO_VALUE.search(value):
                self._found(f"headers.{name}", "it is no header", "correct its name, or remove control characters")
        fields = {"path": keys.get("path"), "method": keys.get("method"), "hostname": keys.get("hostname")}
        return {
            "mode": MODES.get(mode, ProbeMode.HTTP),
            "follow_redirects": keys.get("followRedirects", True),
            **{key: value for key, value in fields.items() if value},
            **({"scheme": scheme} if scheme else {}),
            **({"status": status} if status else {}),
            **({"headers": headers} if headers else {}),
        }

    def tcp(self) -> dict[str, Any]:
        texts = {key: written(self._keys[key].encode()) for key in ("send", "expect") if self._keys.get(key)}
        return {"mode": ProbeMode.TCP, **texts}

    def _matching(self, key: str, pattern: re.Pattern[str], fix: str) -> None:
        value = self._keys.get(key)
        if value and not pattern.fullmatch(value):
            self._found(key, f"it is no {key} of a request", fix)

    def _found(self, key: str, message: str, fix: str) -> None:
        value = self._keys.get(key)
        self._faults.append(fault(f"{self._label}.{key}", None if value is None else str(value), message, fix))
