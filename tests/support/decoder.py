"""Asks a real Traefik whether it decodes a document, many a second.

The HTTP provider waits longer and longer after each refusal, so the documents go through the file provider, which has
the same decoder (paerser's file.DecodeContent) and reads its directory whenever something there changes.
"""

from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from provider.model import JsonObject
from provider.runtime.resource import Resource
from provider.traefik.process import LOOPBACK, free_ports, launch, stop
from tests.support.waiting import eventually

DECODED = "decoded"


class Decoder(Resource):
    """A Traefik that reads a directory with one file, alive within `async with`."""

    def __init__(self, binary: Path) -> None:
        self._binary = binary
        self._count = 0

    async def _start(self, stack: AsyncExitStack) -> None:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bluegreen-decoder-")))
        self._directory, self._log, static = folder / "watched", folder / "log", folder / "static.yaml"
        self._directory.mkdir()
        self._file = self._directory / "document-0.yaml"
        self._file.write_bytes(b'{"http":{"middlewares":{"first":{"compress":{}}}}}')
        (port,) = free_ports(1)
        static.write_bytes(orjson.dumps(_static(self._directory, port)))
        stack.push_async_callback(stop, await launch(self._binary, static, self._log), 5.0)
        await eventually(lambda: b'"first":{' in self._log.read_bytes(), limit_s=30)

    async def refusal(self, document: JsonObject | bytes) -> str | None:
        """Return why Traefik does not decode a document, None where it does; in bytes `%m` is where the marker goes."""
        self._count += 1
        name, marker = f"document-{self._count}.yaml", f"marker-{self._count}-end"
        if isinstance(document, bytes):
            body = document.replace(b"%m", b'"%b":{"compress":{}}' % marker.encode())
        else:
            body = orjson.dumps(_marked(document, marker))
        since = self._log.stat().st_size
        fresh = self._directory.with_name(name)
        fresh.write_bytes(body)
        self._file.unlink()
        self._file = fresh.rename(self._directory / name)
        told = await eventually(lambda: _told(self._log, since, name, marker), limit_s=20)
        return told if told != DECODED else None


def _told(log: Path, since: int, name: str, marker: str) -> str | None:
    with log.open("rb") as lines:
        lines.seek(since)
        for line in lines:
            if b"watcher callback" in line and f"{name}: ".encode() in line:
                return str(_entry(line)["error"]).partition(f"{name}: ")[2]
            if b'"Configuration received"' in line and marker.encode() in line:
                return DECODED
    return None


def _marked(document: JsonObject, marker: str) -> JsonObject:
    http = document.get("http", {})
    assert isinstance(http, dict)
    middlewares = http.get("middlewares", {})
    return {**document, "http": {**http, "middlewares": {**middlewares, marker: {"compress": {}}}}}


def _static(directory: Path, port: int) -> JsonObject:
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "DEBUG", "format": "json"},
        "entryPoints": {"web": {"address": f"{LOOPBACK}:{port}"}},
        "providers": {"file": {"directory": str(directory), "watch": True}, "providersThrottleDuration": "1ms"},
    }


def _entry(line: bytes) -> JsonObject:
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {"level": "error", "message": line.decode(errors="replace")}
    return entry if isinstance(entry, dict) else {}
