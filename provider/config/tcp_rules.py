"""Rules of TCP routers: what Traefik would drop the router for, and not the document (pkg/server/router/tcp)."""

from collections.abc import Iterator, Mapping
from typing import Any, assert_never

from provider.config.messages import Finding
from provider.config.tree import KeyPath
from provider.config.types import shown
from provider.model.errors import RuleError
from provider.model.traefik_rule import Every, Matcher, Not, Rule, Some, parse

MATCHERS = ("HostSNI", "HostSNIRegexp", "ClientIP", "ALPN")
_KNOWN = frozenset(map(str.lower, MATCHERS))


def findings(path: KeyPath, router: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with the rule of a router of TCP."""
    rule = router.get("rule")
    if not isinstance(rule, str) or not rule.strip() or "${" in rule or "{{" in rule:
        return  # of which others speak
    try:
        matchers = list(_matchers(parse(rule)))
    except RuleError as error:
        yield Finding((*path, "rule"), f"{shown(rule)} cannot be read: {error}; write one such as HostSNI(`*`)")
        return
    for name in dict.fromkeys(one.name for one in matchers if one.name.lower() not in _KNOWN):
        message = f"has {name}, which is no matcher of TCP: write {', '.join(MATCHERS[:-1])} or {MATCHERS[-1]}"
        yield Finding((*path, "rule"), f"{message}, or name an endpoint that speaks http")
    hosts = [host for one in matchers if one.name.lower() == "hostsni" for host in one.arguments if host != "*"]
    if hosts and router.get("tls", False) is False:
        message = f"names {shown(hosts[0])}, which only TLS tells Traefik, and the router has no 'tls'"
        yield Finding((*path, "rule"), f"{message}: write tls: {{}}, tls: {{passthrough: true}}, or HostSNI(`*`)")


def _matchers(rule: Rule) -> Iterator[Matcher]:
    match rule:
        case Matcher():
            yield rule
        case Not():
            yield from _matchers(rule.rule)
        case Every() | Some():
            for one in rule.rules:
                yield from _matchers(one)
        case _:
            assert_never(rule)
