"""One request to the API of one Traefik, and the cause where it fails."""

import asyncio
import json
from dataclasses import dataclass
from os import strerror

import aiohttp
from yarl import URL

from provider.model.text import one_line, without_userinfo
from provider.runtime.bounded import has_too_many_values
from provider.runtime.connector import Connector
from provider.runtime.http import answer_fault, root
from provider.traefik.readback.reading import PROVIDER, InvalidAnswer

MARKER_LIMIT_S = 2.0
RAW_DATA_LIMIT_S = 10.0
RAW_DATA_BYTES = 64 * 1024 * 1024
"""Some three times the answer of a Traefik with ten thousand services of ours."""
TRANSFER_BYTES = 2 * RAW_DATA_BYTES
"""Maximum size of an answer with its head and framing."""
ANSWER_BYTES = 1024 * 1024
"""Maximum size of any other answer, and of one that is no 200."""


def open_session() -> aiohttp.ClientSession:
    """Return the session for all requests: it keeps connections, and no cookies."""
    return aiohttp.ClientSession(
        connector=Connector(most=TRANSFER_BYTES),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(),
        headers={"User-Agent": "bluegreen", "Accept-Encoding": "identity"},
        auto_decompress=False,
    )


@dataclass(frozen=True, slots=True)
class Api:
    """The API of one Traefik. `base` is the URL by address, `host` the Host header, `name` the one for TLS."""

    session: aiohttp.ClientSession
    base: str
    host: str
    name: str | None

    @classmethod
    def at(cls, session: aiohttp.ClientSession, url: URL, address: str) -> "Api":
        """Return the API of a URL at one of the addresses of its host."""
        is_literal = url.host == address
        base = str(url if is_literal else url.with_host(address)).rstrip("/")
        return cls(session, base, url.host_port_subcomponent or "", None if is_literal else url.host)

    async def shows(self, marker: str) -> bool:
        """Return whether it shows a marker; also False where it has no API at all, which `raw_data` finds."""
        section = "/api/http/middlewares"
        return await self.get(section, f"/{marker}{PROVIDER}", limit_s=MARKER_LIMIT_S) is not None

    async def raw_data(self) -> bytearray:
        """Return all that it applied, as JSON."""
        body = await self.get("/api/rawdata", limit_s=RAW_DATA_LIMIT_S, most=RAW_DATA_BYTES)
        if body is None:
            raise InvalidAnswer(f"the API is not enabled there (404 for {URL(self.base).path.rstrip('/')}/api/rawdata)")
        return body

    async def instance(self) -> str | None:
        """Return the version and start of the process that answers a new connection; None where it is not known.

        A load balancer sends each new connection to another process.
        """
        try:
            body = await self.get("/api/version", limit_s=MARKER_LIMIT_S, closes=True)
            answer = json.loads(body or b"null")
        except (InvalidAnswer, ValueError, RecursionError):
            return None
        match answer:
            case {"Version": str(version), "startDate": str(started)}:
                return f"{version[:40]} of {started[:40]}"
            case _:
                return None

    async def get(
        self, path: str, rest: str = "", *, limit_s: float, closes: bool = False, most: int = ANSWER_BYTES
    ) -> bytearray | None:
        """Return the body of what is at `path` and `rest`; None for 404. Raises InvalidAnswer, or what stopped it.

        It is `most` bytes long at most, and comes within `limit_s` in all. Causes name the path without its rest, so
        that one and the same cause stays the same. With `closes` the connection is not kept.
        """
        body = bytearray()
        try:
            async with (
                asyncio.timeout(limit_s),
                self.session.get(
                    URL(f"{self.base}{path}{rest}", encoded=True),
                    headers={"Host": self.host, **({"Connection": "close"} if closes else {})},
                    server_hostname=self.name,
                    allow_redirects=False,
                ) as answer,
            ):
                most = most if answer.status == 200 else ANSWER_BYTES
                async for part in answer.content.iter_any():
                    body += part
                    if len(body) > most:
                        raise InvalidAnswer(f"the answer to {path} is larger than {most >> 20} MiB")
        except TimeoutError as error:
            if error.errno is not None:
                raise
            raise InvalidAnswer(f"no answer to {path} within {limit_s:g} s") from error
        if answer.status == 200:
            if has_too_many_values(body):
                raise InvalidAnswer(f"the answer to {path} has more values than any Traefik's")
            return body
        if answer.status == 404:
            return None
        raise InvalidAnswer(_refusal(answer, path, body))


def _refusal(answer: aiohttp.ClientResponse, path: str, body: bytearray) -> str:
    what = f"{answer.status} for {path}"
    if answer.status in {401, 403}:
        return f"the API is closed to this daemon ({what}): give it a way in without a password, on a private address"
    if "Location" in answer.headers:
        place = one_line(answer.headers["Location"], 200)
        return f"it redirects to {place} ({what}): write the address that answers itself"
    text = one_line(body, 200)
    return f"{what}: {text}" if text else what


def fault(error: Exception) -> str:
    """Return why there was no answer, for an operator."""
    error = root(error)
    if (cause := answer_fault(error)) is not None:
        return cause
    if isinstance(error, OSError) and error.errno is not None:
        return strerror(error.errno).lower()
    return without_userinfo(one_line(error, 300)) or type(error).__name__
