"""Checks what a Traefik shows of itself: its settings, entry points, certificates and routers."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from provider.doctor.findings import Code, Finding
from provider.model import Desired

OURS = "http"
PLUGGED = "HTTP"
"""What Traefik's API calls the provider of our document, and that provider among its settings."""
GENERATED = "TRAEFIK DEFAULT CERT"
"""The common name of the certificate that Traefik makes where it has no default one."""
OLDEST = (3, 0)
POLL_SLOW_S, POLL_QUICK_S = 10.0, 2.0
THROTTLE_LONG_S, THROTTLE_SHORT_S = 5.0, 0.5
RENEWED_BEFORE, RENEWED_LEFT = timedelta(days=14), 5
"""By then, or with a fifth of its time left where that is later, whatever renews a certificate should have done so."""


@dataclass(frozen=True, slots=True)
class Static:
    """What is told of the static configuration; None where it is not set. `providers` are named as in the API."""

    providers: frozenset[str] = frozenset()
    throttle_s: float | None = None
    poll_interval_s: float | None = None
    poll_timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Router:
    """One HTTP router as it was applied; `name` ends with its provider, as in `shop@http`."""

    name: str
    rule: str
    priority: int
    entry_points: frozenset[str]
    is_enabled: bool = True
    errors: tuple[str, ...] = ()

    @property
    def provider(self) -> str:
        """Who defined it."""
        return self.name.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate by what people know it by, and from when until when it is valid."""

    name: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Traefik:
    """All that one Traefik showed.

    `broken` are Traefik's words by service; `default_name` is the common name of the certificate for a client that
    names no host, None where that was not seen.
    """

    api: str
    version: str = ""
    static: Static = field(default_factory=Static)
    entry_points: frozenset[str] = frozenset()
    routers: tuple[Router, ...] = ()
    broken: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    marker: str | None = None
    default_name: str | None = None
    certificates: tuple[Certificate, ...] = ()


@dataclass(frozen=True, slots=True)
class Expected:
    """What a Traefik should go with.

    `observed_interval_s` is how far apart somebody polls, where nobody says it. `has_document` and `is_polled` are what
    the daemon says; they are True where nobody knows better.
    """

    desired: Desired | None = None
    endpoint: str = "http://DAEMON:8900/traefik"
    poll_hold_s: float | None = None
    observed_interval_s: float | None = None
    has_document: bool = True
    is_polled: bool = True
    writes_file: bool = False


def check(traefik: Traefik, expected: Expected, now: datetime) -> Iterator[Finding]:
    """Yield what is wrong with one Traefik."""
    where = f"Traefik {traefik.api}"
    yield from _version(traefik, where)
    yield from _polling(traefik, where, expected)
    yield from _document(traefik, where, expected)
    yield from _entry_points(traefik, where, expected.desired)
    yield from _default_certificate(traefik, where, expected.desired)
    yield from _broken(traefik)
    yield from _doubled(traefik, expected)
    for certificate in traefik.certificates:
        yield from expiring(f"{where}, certificate {certificate.name}", certificate, now)


def expiring(where: str, certificate: Certificate, now: datetime) -> Iterator[Finding]:
    """Yield whether a certificate is over, or soon will be."""
    left, whole = certificate.until - now, certificate.until - certificate.since
    day = f"{certificate.until:%Y-%m-%d %H:%M} UTC"
    if left <= timedelta():
        mend = "renew it; clients that check certificates are turned away meanwhile"
        yield Finding(Code.CERTIFICATE_EXPIRED, where, f"it was valid until {day}", mend)
    elif left < min(RENEWED_BEFORE, whole / RENEWED_LEFT):
        what = f"it is valid until {day}, and that is soon"
        yield Finding(Code.CERTIFICATE_EXPIRES, where, what, "renew it, and see why that did not happen by itself")


def _version(traefik: Traefik, where: str) -> Iterator[Finding]:
    found = re.match(r"v?(\d+)\.(\d+)", traefik.version)
    if found is not None and (int(found[1]), int(found[2])) < OLDEST:
        what = f"it is version {traefik.version}; the document is made for Traefik 3, and was never tried with this one"
        yield Finding(Code.TRAEFIK_OLD, where, what, "update it to the latest Traefik 3, which was")


def _polling(traefik: Traefik, where: str, expected: Expected) -> Iterator[Finding]:
    static, hold_s = traefik.static, expected.poll_hold_s
    interval_s = static.poll_interval_s or expected.observed_interval_s
    if static.poll_timeout_s is not None and hold_s is not None and static.poll_timeout_s <= hold_s:
        what = (
            f"providers.http.pollTimeout is {static.poll_timeout_s:g} s, and polls are held for {hold_s:g} s: they fail"
        )
        mend = f"write pollTimeout: {hold_s + 1:g}s or more, or start the daemon with a shorter --poll-hold"
        yield Finding(Code.POLL_TIMEOUT_SHORT, where, what, mend)
    if interval_s is not None and interval_s > POLL_QUICK_S:
        code = Code.POLL_SLOW if interval_s > POLL_SLOW_S else Code.POLL_SLOWER_THAN_NEEDED
        source = "" if static.poll_interval_s else ", as seen from its polls"
        what = f"it polls every {interval_s:.3g} s{source}: between two polls a switch or a rollback waits for the next"
        mend = "write pollInterval: 1s under providers.http; a document that has not changed costs nothing"
        yield Finding(code, where, what, mend)
    if static.throttle_s is not None and static.throttle_s > THROTTLE_SHORT_S:
        code = Code.THROTTLE_LONG if static.throttle_s > THROTTLE_LONG_S else Code.THROTTLE_LONGER_THAN_NEEDED
        what = f"providersThrottleDuration is {static.throttle_s:g} s: so long a rollback waits that follows a switch"
        yield Finding(code, where, what, "write providersThrottleDuration: 100ms under providers")


def _document(traefik: Traefik, where: str, expected: Expected) -> Iterator[Finding]:
    mend = f"write providers: {{http: {{endpoint: {expected.endpoint}, pollInterval: 1s}}}} and restart Traefik once"
    if traefik.static.providers and PLUGGED not in traefik.static.providers:
        told = ", ".join(sorted(traefik.static.providers))
        what = f"it has no HTTP provider (it has: {told}), so it never asks a daemon for a document"
        yield Finding(Code.HTTP_PROVIDER_MISSING, where, what, mend)
    elif traefik.marker is None:
        if not expected.has_document:
            why, mend = "the daemon has none yet", "bluegreen status says what it waits for"
        elif not expected.is_polled:
            why, mend = "nobody polls the daemon", f"see that Traefik reaches {expected.endpoint}; its log says why not"
        else:
            why = "nobody answers at its endpoint, or it refused what came from there"
            mend = f"see Traefik's log, and that its endpoint is {expected.endpoint}"
        what = f"it shows no document of a daemon: {why}"
        yield Finding(Code.NO_DOCUMENT_APPLIED, where, what, mend)


def _entry_points(traefik: Traefik, where: str, desired: Desired | None) -> Iterator[Finding]:
    if desired is None or not traefik.entry_points:
        return
    for service in desired.services.values():
        previews = (service.preview,) if service.preview else ()
        for router in (*service.routers, *previews):
            named = router.body.get("entryPoints")
            for missing in sorted(set(named) - traefik.entry_points) if isinstance(named, list) else ():
                there = ", ".join(sorted(traefik.entry_points))
                what = (
                    f"router {router.name} of services.{service.name} names the entry point {missing}; it has {there}"
                )
                mend = "correct the name in the desired state, or define it in Traefik's static configuration"
                yield Finding(Code.ENTRY_POINT_MISSING, where, what, mend)


def _default_certificate(traefik: Traefik, where: str, desired: Desired | None) -> Iterator[Finding]:
    if traefik.default_name != GENERATED or desired is None:
        return
    tls = desired.pass_through.get("tls")
    has_own = desired.generate_certificate or (isinstance(tls, Mapping) and "stores" in tls)
    if has_own and traefik.marker is not None:
        what = "it has one from the desired state, and shows one that it made: another provider defines one, too"
        mend = "leave tls.stores.default to one provider: remove the other, or write defaultCertificate: none"
        yield Finding(Code.DEFAULT_CERTIFICATE_CONFLICT, where, what, mend)
    elif not has_own:
        what = "it has no default certificate, and makes an RSA key at every change: a switch takes 45 ms longer"
        mend = "write traefik: {defaultCertificate: generated} in the desired state, or give Traefik one of your own"
        yield Finding(Code.NO_DEFAULT_CERTIFICATE, where, what, mend)


def _broken(traefik: Traefik) -> Iterator[Finding]:
    routers = {f"router {one.name}": one.errors or ("it is disabled",) for one in traefik.routers if not one.is_enabled}
    services = {f"service {name}": errors for name, errors in traefik.broken.items()}
    for name, errors in {**routers, **services}.items():
        if name.endswith(f"@{OURS}"):
            where, said = f"Traefik {traefik.api}, {name}", f"Traefik says: {'; '.join(errors)}"
            mend = "correct it in the desired state; bluegreen validate FILE --traefik judges it beforehand"
            yield Finding(Code.ROUTER_BROKEN, where, said, mend)


def _doubled(traefik: Traefik, expected: Expected) -> Iterator[Finding]:
    """Find routers of other providers with the very rule of one of ours; what wins is told by the priority."""
    ours = [router for router in traefik.routers if router.provider == OURS]
    others: dict[str, list[Router]] = {}
    for router in traefik.routers:
        if router.provider != OURS and router.is_enabled:
            others.setdefault(_plain(router.rule), []).append(router)
    for router in ours:
        for other in others.get(_plain(router.rule), ()):
            if router.entry_points & other.entry_points and not (expected.writes_file and other.provider == "file"):
                yield _between(traefik, router, other)


def _between(traefik: Traefik, ours: Router, other: Router) -> Finding:
    where = f"Traefik {traefik.api}, router {other.name}"
    both = f"its rule {other.rule} is that of {ours.name}"
    mend = f"remove {other.name} (the labels or the file that define it), once {ours.name} answers as it should"
    if other.priority > ours.priority:
        what = f"{both}, and its priority {other.priority} is above {ours.priority}: it gets all of the traffic"
        return Finding(Code.ROUTER_SHADOWED, where, what, mend)
    if other.priority == ours.priority:
        what = f"{both}, and so is its priority {other.priority}: at each change chance decides who gets the traffic"
        return Finding(Code.ROUTER_TIE, where, what, mend)
    what = f"{both}; {ours.name} wins with priority {ours.priority} above {other.priority}"
    return Finding(Code.ROUTER_DOUBLED, where, what, mend)


def _plain(rule: str) -> str:
    return re.sub(r"\s+", "", rule).replace('"', "`")
