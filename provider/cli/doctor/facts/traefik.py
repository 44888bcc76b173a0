"""Asks the API of a Traefik for all that it shows; as in Traefik 3.7.15.

`/api/support-dump` has the static configuration with addresses and secrets blanked out, durations not.
"""

import asyncio
import io
import math
import ssl
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TypeVar

import aiohttp
from cryptography import x509
from cryptography.x509.oid import NameOID
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from yarl import URL

from provider import config
from provider.cli.doctor.checks.traefik import Certificate, Router, Static, TraefikFacts
from provider.cli.doctor.facts.applied import applied
from provider.cli.doctor.findings import Code, Finding, Skipped
from provider.model.document import MARKER
from provider.runtime.resolver import look_up
from provider.traefik.readback.api import MARKER_LIMIT_S, RAW_DATA_LIMIT_S, Api, fault, open_session
from provider.traefik.readback.reading import PROVIDER, InvalidAnswer

T = TypeVar("T")

LIMIT_S = 5.0
PORT_DIGITS = 5
STATIC = "static-config.json"
UDP = "/udp"
"""The address of an entry point of UDP ends so."""
GZIP = 16
"""What makes zlib read gzip's own head (https://www.zlib.net/manual.html)."""
ASKED_BYTES, DUMP_BYTES = 16 * 1024 * 1024, 64 * 1024 * 1024
"""Limits of an answer, and of the unpacked dump: a few kilobytes may unpack to gigabytes."""
FAILURES = (aiohttp.ClientError, OSError, ValueError, InvalidAnswer)


@dataclass(frozen=True, slots=True)
class Gathered:
    """The result for one URL: each Traefik that answered, the addresses tried, findings, and what was skipped."""

    traefiks: tuple[TraefikFacts, ...] = ()
    addresses: frozenset[str] = frozenset()
    findings: tuple[Finding, ...] = ()
    skipped: tuple[Skipped, ...] = ()


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Object(_Answer):
    rule: str = ""
    priority: float | int = 0
    using: list[str] = []
    entry_points: list[str] = Field([], alias="entryPoints")
    status: str = "enabled"
    error: list[str] = []
    tls: dict[str, object] | None = None


class _RawData(_Answer):
    routers: dict[str, _Object] = {}
    services: dict[str, _Object] = {}
    middlewares: dict[str, object] = {}
    tcp_routers: dict[str, _Object] = Field({}, alias="tcpRouters")
    tcp_services: dict[str, _Object] = Field({}, alias="tcpServices")
    udp_routers: dict[str, _Object] = Field({}, alias="udpRouters")
    udp_services: dict[str, _Object] = Field({}, alias="udpServices")

    @property
    def all_routers(self) -> list[tuple[str, _Object]]:
        """Those of every protocol by name, which is of a protocol."""
        return [*self.routers.items(), *self.tcp_routers.items(), *self.udp_routers.items()]

    @property
    def all_services(self) -> list[tuple[str, _Object]]:
        """Likewise."""
        return [*self.services.items(), *self.tcp_services.items(), *self.udp_services.items()]


class _EntryPointHttp(_Answer):
    tls: dict[str, object] | None = None


class _ForwardedHeaders(_Answer):
    insecure: bool = False
    trusted: list[str] = Field([], alias="trustedIPs")


class _EntryPoint(_Answer):
    name: str
    address: str = ""
    http: _EntryPointHttp = _EntryPointHttp()
    forwarded: _ForwardedHeaders = Field(_ForwardedHeaders(), alias="forwardedHeaders")
    proxy_protocol: dict[str, object] | None = Field(None, alias="proxyProtocol")

    @property
    def is_forwarded(self) -> bool:
        """Whether it takes the word of a proxy for the client's address, and sees the proxy's own itself."""
        return (self.forwarded.insecure or bool(self.forwarded.trusted)) and self.proxy_protocol is None


class _Certificate(_Answer):
    common_name: str = Field("", alias="commonName")
    sans: list[str] = []
    since: datetime = Field(alias="notBefore")
    until: datetime = Field(alias="notAfter")


class _Version(_Answer):
    version: str = Field("", alias="Version")


class _HttpProvider(_Answer):
    poll_interval: str | None = Field(None, alias="pollInterval")
    poll_timeout: str | None = Field(None, alias="pollTimeout")


class _Providers(_Answer):
    throttle: str | None = Field(None, alias="providersThrottleDuration")
    http: _HttpProvider = _HttpProvider()


class _StaticFile(_Answer):
    providers: _Providers = _Providers()


class _Overview(_Answer):
    providers: list[str] = []


ENTRY_POINTS = TypeAdapter(list[_EntryPoint])
_CERTIFICATES = TypeAdapter(list[_Certificate])


async def gather(url: str, *, is_whole: bool = True) -> Gathered:
    """Gather the facts of the Traefik behind each address of a URL; with not `is_whole` only what it has applied."""
    parsed = URL(url)
    try:
        async with asyncio.timeout(LIMIT_S):
            addresses = await look_up(parsed.host or "", parsed.port or 80)
    except (OSError, UnicodeError) as failure:  # TimeoutError is one of them
        strerror = failure.strerror if isinstance(failure, OSError) else "not a host name"
        cause = strerror.lower() if strerror else f"no answer within {LIMIT_S:g} s"
        return Gathered(findings=(_unreachable(url, f"its name does not resolve here: {cause}"),))
    async with open_session() as session:
        seen = [await _at(Api.at(session, parsed, address), address, is_whole) for address in addresses]
    return Gathered(
        tuple(one for found in seen for one in found.traefiks),
        frozenset(addresses),
        tuple(one for found in seen for one in found.findings),
        tuple(one for found in seen for one in found.skipped),
    )


def _unreachable(url: str, why: str) -> Finding:
    fix = (
        "run doctor where the daemon runs (docker exec DAEMON bluegreen doctor), or set an address that answers here "
        "with --traefik, or none; api: {insecure: true} enables the API, on an internal entry point"
    )
    what = f"its API does not answer, so nothing there was checked: {why}"
    return Finding(Code.TRAEFIK_UNREACHABLE, f"Traefik {url}", what, fix)


async def _at(api: Api, address: str, is_whole: bool) -> Gathered:
    try:
        body = await api.raw_data()
        raw, objects = _RawData.model_validate_json(body), applied(body)
    except ValidationError:
        return Gathered(findings=(_unreachable(api.base, "its answer to /api/rawdata is not Traefik's"),))
    except FAILURES as failure:
        return Gathered(findings=(_unreachable(api.base, fault(failure)),))
    if not is_whole:
        return Gathered((TraefikFacts(api.base, objects=objects),), frozenset({address}))
    asked = _Asked(api)
    version = await asked.ask("/api/version", "version", lambda body: _Version.model_validate_json(body).version)
    overview = await asked.ask("/api/overview", "providers", _Overview.model_validate_json)
    static = await asked.ask("/api/support-dump", "poll interval, poll timeout and throttle", static_settings)
    entry_points = await asked.ask("/api/entrypoints", "entry points", ENTRY_POINTS.validate_json)
    certificates = await asked.ask("/api/certificates", "certificates", _CERTIFICATES.validate_json)
    default_name = await asked.default_name(address, entry_points or [], raw)
    settings = static or Static()
    providers = frozenset(overview.providers if overview else ())
    traefik = TraefikFacts(
        api=api.base,
        version=version or "",
        static=Static(providers, settings.throttle_s, settings.poll_interval_s, settings.poll_timeout_s),
        entry_points=frozenset(one.name for one in entry_points or ()),
        local=frozenset(one.name for one in entry_points or () if is_local(one.address)),
        forwarded=frozenset(one.name for one in entry_points or () if one.is_forwarded),
        udp=frozenset(one.name for one in entry_points or () if one.address.endswith(UDP)),
        routers=tuple(_router(name, body) for name, body in raw.all_routers),
        broken={name: tuple(body.error) for name, body in raw.all_services if body.error},
        marker=next((name for name in raw.middlewares if MARKER.fullmatch(name.removesuffix(PROVIDER))), None),
        default_name=default_name,
        certificates=tuple(dict.fromkeys(_certificate(one) for one in certificates or ())),
        objects=objects,
    )
    return Gathered((traefik,), frozenset({address}), (), tuple(asked.skipped))


def _router(name: str, body: _Object) -> Router:
    is_enabled = body.status != "disabled" and not body.error
    priority = int(body.priority) if math.isfinite(body.priority) else 0
    entry_points = body.using or body.entry_points
    return Router(name, body.rule, priority, frozenset(entry_points), is_enabled, tuple(body.error))


def _certificate(found: _Certificate) -> Certificate:
    name = found.common_name or next(iter(found.sans), "without a name")
    return Certificate(name, found.since.astimezone(UTC), found.until.astimezone(UTC))


def static_settings(body: bytes) -> Static:
    """Read the dump, a compressed archive. Raises ValueError if it is not one."""
    try:
        unpacked = zlib.decompressobj(wbits=zlib.MAX_WBITS | GZIP).decompress(body, DUMP_BYTES)
        with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as archive:
            file = archive.extractfile(STATIC)
            text = file.read() if file is not None else b"{}"
    except (tarfile.TarError, KeyError, OSError, EOFError, zlib.error) as failure:
        raise ValueError(f"not an archive with {STATIC}: {failure}") from failure
    providers = _StaticFile.model_validate_json(text).providers
    return Static(
        throttle_s=_seconds(providers.throttle),
        poll_interval_s=_seconds(providers.http.poll_interval),
        poll_timeout_s=_seconds(providers.http.poll_timeout),
    )


def _seconds(written: str | None) -> float | None:
    return config.parse_duration(written) if written is not None else None


class _Asked:
    """Asks for what an older Traefik, or a restricted API, may not have; what is missing is noted as skipped."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.skipped: list[Skipped] = []

    async def ask(self, path: str, what: str, read: Callable[[bytes], T]) -> T | None:
        try:
            body = await self._api.get(path, limit_s=RAW_DATA_LIMIT_S, most=ASKED_BYTES)
            if body is not None:
                return read(bytes(body))
            why = f"this version has no {path}"
        except ValidationError:
            why = f"its answer to {path} is not understood"
        except FAILURES as failure:
            why = fault(failure)
        self._note(what, why)
        return None

    async def default_name(self, address: str, entry_points: list[_EntryPoint], raw: _RawData) -> str | None:
        """Return the common name of the certificate for a client that names no host."""
        by_router = {name for router in raw.routers.values() if router.tls is not None for name in router.using}
        ports = [port_of(one.address) for one in entry_points if one.http.tls is not None or one.name in by_router]
        found = [port for port in ports if port is not None]
        if not found:
            self._note("default certificate", "it has no entry point with TLS")
            return None
        try:
            async with asyncio.timeout(MARKER_LIMIT_S):
                return await _shown(address, found[0])
        except (OSError, ValueError) as failure:  # TimeoutError and ssl.SSLError are OSErrors
            why = str(failure) or "no answer in time"
            self._note("default certificate", f"no TLS on port {found[0]} of {address}: {why}")
            return None

    def _note(self, what: str, why: str) -> None:
        self.skipped.append(Skipped(f"Traefik {self._api.base}: {what}", why))


def port_of(address: str) -> int | None:
    """Return the TCP port of an entry point's address, as in `:443`, `10.0.0.1:443/tcp`."""
    plain, _, protocol = address.partition("/")
    number = plain.rpartition(":")[2]
    return int(number) if number.isdecimal() and len(number) <= PORT_DIGITS and protocol != "udp" else None


def is_local(address: str) -> bool:
    """Return whether only this machine reaches an entry point at this address."""
    host = address.partition("/")[0].rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


async def _shown(address: str, port: int) -> str:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # only the certificate is read, nothing is sent
    _, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname="")
    try:
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
    names = x509.load_der_x509_certificate(shown).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""
