"""Checks what a Traefik shows: its settings, entry points, certificates and routers."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from provider.cli.doctor.checks.applied import OURS, Applied
from provider.cli.doctor.findings import Code, Finding
from provider.model import Desired, Protocol, Service

PLUGGED = "HTTP"
"""The name of our provider among the settings in Traefik's API."""
GENERATED = "TRAEFIK DEFAULT CERT"
"""The common name of the certificate that Traefik makes where it has no default one."""
OLDEST = (3, 0)
POLL_SLOW_S, POLL_QUICK_S = 10.0, 2.0
THROTTLE_LONG_S, THROTTLE_SHORT_S = 5.0, 0.5
RENEWED_BEFORE, RENEWED_LEFT = timedelta(days=14), 5
"""A certificate should be renewed this long before its end, or with a fifth of its time left if that is less."""


@dataclass(frozen=True, slots=True)
class Static:
    """What is known of the static configuration; None if not set. `providers` have the names of the API."""

    providers: frozenset[str] = frozenset()
    throttle_s: float | None = None
    poll_interval_s: float | None = None
    poll_timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Router:
    """One router as applied, of any protocol; `name` ends with its provider, as in `shop@http`."""

    name: str
    rule: str
    priority: int
    entry_points: frozenset[str]
    is_enabled: bool = True
    errors: tuple[str, ...] = ()

    @property
    def provider(self) -> str:
        """The provider that defined it."""
        return self.name.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate: its name, and its validity."""

    name: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class TraefikFacts:
    """What one Traefik showed.

    Of the entry points, `local` are those that only this machine reaches, `forwarded` those that believe a proxy's
    X-Forwarded-For, and `udp` those of UDP. `broken` has Traefik's messages by service; `default_name` is the common
    name of the certificate for a client that names no host, None if not known. `objects` are of all providers.
    """

    api: str
    version: str = ""
    static: Static = field(default_factory=Static)
    entry_points: frozenset[str] = frozenset()
    local: frozenset[str] = frozenset()
    forwarded: frozenset[str] = frozenset()
    udp: frozenset[str] = frozenset()
    routers: tuple[Router, ...] = ()
    broken: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    marker: str | None = None
    default_name: str | None = None
    certificates: tuple[Certificate, ...] = ()
    objects: tuple[Applied, ...] = ()


@dataclass(frozen=True, slots=True)
class Expected:
    """What a Traefik must fit.

    `labelled` are services as the labels of their containers describe them. `observed_interval_s` is the interval of
    the polls that the daemon sees. `has_document` and `is_polled` come from the daemon; they are True if not known.
    """

    desired: Desired | None = None
    labelled: tuple[Service, ...] = ()
    endpoint: str = "http://DAEMON:8900/traefik"
    poll_hold_s: float | None = None
    observed_interval_s: float | None = None
    has_document: bool = True
    is_polled: bool = True
    writes_file: bool = False


def check(traefik: TraefikFacts, expected: Expected, now: datetime) -> Iterator[Finding]:
    """Yield what is wrong with one Traefik."""
    where = f"Traefik {traefik.api}"
    yield from _version(traefik, where)
    yield from _polling(traefik, where, expected)
    yield from _document(traefik, where, expected)
    yield from _entry_points(traefik, where, expected)
    yield from _default_certificate(traefik, where, expected.desired)
    yield from _broken(traefik)
    yield from _doubled(traefik, expected)
    for certificate in traefik.certificates:
        yield from expiring(f"{where}, certificate {certificate.name}", certificate, now)


def expiring(where: str, certificate: Certificate, now: datetime) -> Iterator[Finding]:
    """Yield a finding for a certificate that has expired, or soon will."""
    left, whole = certificate.until - now, certificate.until - certificate.since
    day = f"{certificate.until:%Y-%m-%d %H:%M} UTC"
    if left <= timedelta():
        fix = "renew it; clients that verify certificates cannot connect"
        yield Finding(Code.CERTIFICATE_EXPIRED, where, f"it expired on {day}", fix)
    elif left < min(RENEWED_BEFORE, whole / RENEWED_LEFT):
        what = f"it expires on {day}"
        yield Finding(
            Code.CERTIFICATE_EXPIRES, where, what, "renew it, and find out why it was not renewed automatically"
        )


def _version(traefik: TraefikFacts, where: str) -> Iterator[Finding]:
    found = re.match(r"v?(\d+)\.(\d+)", traefik.version)
    if found is not None and (int(found[1]), int(found[2])) < OLDEST:
        what = f"it is version {traefik.version}; the document is for Traefik 3"
        yield Finding(Code.TRAEFIK_OLD, where, what, "update it to the latest Traefik 3")


def _polling(traefik: TraefikFacts, where: str, expected: Expected) -> Iterator[Finding]:
    static, hold_s = traefik.static, expected.poll_hold_s
    interval_s = static.poll_interval_s or expected.observed_interval_s
    if static.poll_timeout_s is not None and hold_s is not None and static.poll_timeout_s <= hold_s:
        what = f"providers.http.pollTimeout is {static.poll_timeout_s:g} s, but polls are held {hold_s:g} s: they fail"
        fix = f"write pollTimeout: {hold_s + 1:g}s or more, or start the daemon with a shorter --poll-hold"
        yield Finding(Code.POLL_TIMEOUT_SHORT, where, what, fix)
    if interval_s is not None and interval_s > POLL_QUICK_S:
        code = Code.POLL_SLOW if interval_s > POLL_SLOW_S else Code.POLL_SLOWER_THAN_NEEDED
        source = "" if static.poll_interval_s else " (as observed)"
        what = f"it polls every {interval_s:.3g} s{source}, and a switch or a rollback waits for the next poll"
        fix = "write pollInterval: 1s under providers.http; an unchanged document costs nothing"
        yield Finding(code, where, what, fix)
    if static.throttle_s is not None and static.throttle_s > THROTTLE_SHORT_S:
        code = Code.THROTTLE_LONG if static.throttle_s > THROTTLE_LONG_S else Code.THROTTLE_LONGER_THAN_NEEDED
        what = f"providersThrottleDuration is {static.throttle_s:g} s: a rollback soon after a switch waits that long"
        yield Finding(code, where, what, "write providersThrottleDuration: 100ms under providers")


def _document(traefik: TraefikFacts, where: str, expected: Expected) -> Iterator[Finding]:
    fix = f"write providers: {{http: {{endpoint: {expected.endpoint}, pollInterval: 1s}}}} and restart Traefik once"
    if traefik.static.providers and PLUGGED not in traefik.static.providers:
        names = ", ".join(sorted(traefik.static.providers))
        what = f"it has no HTTP provider (it has {names}), so it never fetches the document"
        yield Finding(Code.HTTP_PROVIDER_MISSING, where, what, fix)
    elif traefik.marker is None:
        if not expected.has_document:
            why, fix = "the daemon has none yet", "bluegreen status shows what it waits for"
        elif not expected.is_polled:
            why, fix = (
                "no Traefik polls the daemon",
                f"let Traefik reach {expected.endpoint}; its log shows why it does not",
            )
        else:
            why = "its endpoint does not answer, or it refused the document"
            fix = f"check Traefik's log, and that its endpoint is {expected.endpoint}"
        what = f"it has applied no document of ours: {why}"
        yield Finding(Code.NO_DOCUMENT_APPLIED, where, what, fix)


def _entry_points(traefik: TraefikFacts, where: str, expected: Expected) -> Iterator[Finding]:
    if not traefik.entry_points:
        return
    for service in expected.desired.services.values() if expected.desired is not None else ():
        yield from _named_entry_points(traefik, where, service, f"services.{service.name}", "the desired state")
    for service in expected.labelled:
        yield from _named_entry_points(traefik, where, service, service.name, "the label")


def _named_entry_points(traefik: TraefikFacts, where: str, service: Service, of: str, source: str) -> Iterator[Finding]:
    protocols = {endpoint.name: endpoint.protocol for endpoint in service.endpoints}
    previews = (service.preview,) if service.preview else ()
    for router in (*service.routers, *previews):
        named = router.body.get("entryPoints")
        is_udp = protocols.get(router.endpoint) is Protocol.UDP
        for name in sorted(map(str, named)) if isinstance(named, list) else ():
            what = f"router {router.name} of {of} names entry point {name}"
            fix = f"correct the name in {source}, or define it in Traefik's static configuration"
            if name not in traefik.entry_points:
                there = ", ".join(sorted(traefik.entry_points))
                yield Finding(Code.ENTRY_POINT_MISSING, where, f"{what}, not one of {there}", fix)
            elif is_udp is not (name in traefik.udp):
                speaks, wanted = ("TCP", "UDP") if is_udp else ("UDP", "TCP")
                what = f"{what}, which speaks {speaks}, and the router is of {wanted}"
                yield Finding(Code.ENTRY_POINT_PROTOCOL, where, what, fix)


def _default_certificate(traefik: TraefikFacts, where: str, desired: Desired | None) -> Iterator[Finding]:
    if traefik.default_name != GENERATED or desired is None:
        return
    tls = desired.pass_through.get("tls")
    has_own = desired.generate_certificate or (isinstance(tls, Mapping) and "stores" in tls)
    if has_own and traefik.marker is not None:
        what = "it shows its own default certificate, not that of the desired state: another provider defines one, too"
        fix = "define tls.stores.default in one provider only: remove the other, or write defaultCertificate: none"
        yield Finding(Code.DEFAULT_CERTIFICATE_CONFLICT, where, what, fix)
    elif not has_own:
        what = "it has no default certificate and generates an RSA key at every change: a switch takes 45 ms longer"
        fix = "write traefik: {defaultCertificate: generated} in the desired state, or define one of your own"
        yield Finding(Code.NO_DEFAULT_CERTIFICATE, where, what, fix)


def _broken(traefik: TraefikFacts) -> Iterator[Finding]:
    routers = {f"router {one.name}": one.errors or ("it is disabled",) for one in traefik.routers if not one.is_enabled}
    services = {f"service {name}": errors for name, errors in traefik.broken.items()}
    for name, errors in {**routers, **services}.items():
        if name.endswith(f"@{OURS}"):
            where, what = f"Traefik {traefik.api}, {name}", f"Traefik reports: {'; '.join(errors)}"
            fix = "correct it in the desired state; check it beforehand with bluegreen validate FILE --traefik"
            yield Finding(Code.ROUTER_BROKEN, where, what, fix)


def _doubled(traefik: TraefikFacts, expected: Expected) -> Iterator[Finding]:
    """Find routers of other providers with the same rule as one of ours; the priority decides which wins."""
    ours = [router for router in traefik.routers if router.provider == OURS]
    others: dict[str, list[Router]] = {}
    for router in traefik.routers:
        if router.provider != OURS and router.is_enabled and router.rule:  # those of UDP have none
            others.setdefault(_plain(router.rule), []).append(router)
    for router in ours:
        for other in others.get(_plain(router.rule), ()):
            if router.entry_points & other.entry_points and not (expected.writes_file and other.provider == "file"):
                yield _between(traefik, router, other)


def _between(traefik: TraefikFacts, ours: Router, other: Router) -> Finding:
    where = f"Traefik {traefik.api}, router {other.name}"
    both = f"it has the rule of {ours.name}, {other.rule}"
    fix = f"remove {other.name} (the labels or the file that define it), once {ours.name} answers correctly"
    if other.priority > ours.priority:
        what = f"{both}, and its priority {other.priority} is above {ours.priority}: it gets all traffic"
        return Finding(Code.ROUTER_SHADOWED, where, what, fix)
    if other.priority == ours.priority:
        what = f"{both}, with the same priority {other.priority}: which of them gets the traffic is random"
        return Finding(Code.ROUTER_TIE, where, what, fix)
    what = f"{both}; {ours.name} wins, with priority {ours.priority} above {other.priority}"
    return Finding(Code.ROUTER_DOUBLED, where, what, fix)


def _plain(rule: str) -> str:
    return re.sub(r"\s+", "", rule).replace('"', "`")
