"""Checks releases in steps: who stays with which colour, what an analysis may be misled by, and who can test."""

from collections.abc import Iterator

from provider.cli.doctor.checks.traefik import TraefikFacts
from provider.cli.doctor.findings import Code, Finding
from provider.model import Desired, Service
from provider.model.advice import Concern, advice


def check(desired: Desired, traefiks: tuple[TraefikFacts, ...]) -> Iterator[Finding]:
    """Yield what the desired state asks for and may be sorry for with these Traefiks (rules 21, 23 and 24)."""
    for one in advice(desired):
        service = desired.services[one.service]
        where = f"services.{one.service}.{'.'.join(map(str, one.path))}"
        match one.concern:
            case Concern.FALSE_ALARMS:
                yield Finding(Code.ANALYSIS_FALSE_ALARMS, where, one.what, one.fix)
            case Concern.VALUE_GUESSABLE:
                if _is_public(service, traefiks):
                    yield Finding(Code.TEST_VALUE_GUESSABLE, where, one.what, one.fix)
            case Concern.CLIENTS_BY_ADDRESS:
                yield from _by_address(service, where, one.what, one.fix, traefiks)
            case Concern.STEP_TOO_HIGH | Concern.AFFINITY_UNUSED | Concern.NOBODY_ASKED:
                pass  # nothing in the set-up makes it better or worse: validate says it


def _by_address(
    service: Service, where: str, what: str, fix: str, traefiks: tuple[TraefikFacts, ...]
) -> Iterator[Finding]:
    behind = {name for one in traefiks for name in _entry_points(service, one) & one.forwarded}
    if behind:
        seen = f"entry point {', '.join(sorted(behind))} believes X-Forwarded-For, so a proxy is in front of it"
        yield Finding(Code.AFFINITY_BEHIND_PROXY, where, f"{what}; {seen}", fix)
    else:
        yield Finding(Code.AFFINITY_BY_ADDRESS, where, what, fix)


def _is_public(service: Service, traefiks: tuple[TraefikFacts, ...]) -> bool:
    """Return whether others reach the service; so they do as far as nothing shows the contrary (P2).

    They reach a local entry point, too, where a proxy is in front of it.
    """
    known = [one for one in traefiks if one.entry_points]
    return not known or any(_entry_points(service, one) - (one.local - one.forwarded) for one in known)


def _entry_points(service: Service, traefik: TraefikFacts) -> frozenset[str]:
    """Return the entry points that a service listens on; all of them may be Traefik's default ones."""
    found = set[str]()
    for router in service.routers:
        named = router.body.get("entryPoints")
        found.update(map(str, named) if isinstance(named, list) and named else traefik.entry_points)
    return frozenset(found)
