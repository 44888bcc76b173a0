"""Labels of containers as people write them, and as nobody should, to be read by Traefik and by us.

`drawn` makes others at random, which follow Traefik's tables but for their texts.

Each set has names of its own: `NAME` in a label or a value stands for the name of the set, and of its container.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random

from provider.model.traefik_schema import Anything, Kind, Many, Named, Scalar, Struct
from provider.model.traefik_schema.labels import LABELS

R, S, M = "traefik.http.routers.NAME", "traefik.http.services.NAME", "traefik.http.middlewares.NAME"
TR, TS, TM = "traefik.tcp.routers.NAME", "traefik.tcp.services.NAME", "traefik.tcp.middlewares.NAME"
UR, US = "traefik.udp.routers.NAME", "traefik.udp.services.NAME"
RULE = {f"{R}.rule": "Host(`NAME`)"}
TCP_RULE = {f"{TR}.rule": "HostSNI(`NAME`)", f"{TR}.tls": "true"}
PLUGIN = f"{M}.plugin.NAME"


@dataclass(frozen=True)
class Labelled:
    """The labels of one container, and what Traefik drops for them: nothing, some routers, or the container.

    Only one that `needs_server` has to run; Traefik has the others without a server.
    """

    labels: Mapping[str, str]
    is_dropped: bool = False
    loses_routers: bool = False
    needs_server: bool = False

    def named(self, name: str) -> dict[str, str]:
        """Return the labels with the name of the container in them."""
        return {key.replace("NAME", name): value.replace("NAME", name) for key, value in self.labels.items()}


def taken(*labels: Mapping[str, str], needs_server: bool = False) -> Labelled:
    every = {key: value for one in labels for key, value in one.items()}
    return Labelled(every, needs_server=needs_server or any(".server." in key for key in every))


def dropped(*labels: Mapping[str, str], needs_server: bool = False) -> Labelled:
    return Labelled(taken(*labels).labels, is_dropped=True, needs_server=needs_server)


def without_a_router(*labels: Mapping[str, str]) -> Labelled:
    return replace(taken(*labels), loses_routers=True)


SETS: dict[str, Labelled] = {
    # what is implicit
    "nothing": taken(needs_server=True),
    "docker-labels-only": taken({"traefik.docker.network": "none", "traefik.docker.lbswarm": "true"}),
    "rule-only": taken(RULE),
    "empty-rule": taken({f"{R}.rule": ""}),
    "router-as-value": taken({R: "anything"}),
    "service-only": taken({f"{S}.loadbalancer.server.port": "8080"}),
    "service-with-scheme": taken(RULE, {f"{S}.loadbalancer.server.scheme": "h2c"}),
    "port-and-scheme": taken(
        RULE, {f"{S}.loadbalancer.server.port": "8443", f"{S}.loadbalancer.server.scheme": "https"}
    ),
    "url": taken(RULE, {f"{S}.loadbalancer.server.url": "http://10.9.8.7:99/x"}),
    "server-weight": taken(
        RULE,
        {f"{S}.loadbalancer.server.weight": "3", f"{S}.loadbalancer.server.preservepath": "true"},
    ),
    "middleware-only": taken({f"{M}.compress": "true"}),
    "several-services": taken(
        RULE,
        {
            f"{R}.service": "NAME-b",
            "traefik.http.services.NAME-a.loadbalancer.server.port": "81",
            "traefik.http.services.NAME-b.loadbalancer.server.port": "82",
        },
    ),
    "several-services-without-router": taken(
        {
            "traefik.http.services.NAME-a.loadbalancer.server.port": "81",
            "traefik.http.services.NAME-b.loadbalancer.server.port": "82",
        }
    ),
    "several-routers": taken(
        RULE,
        {
            "traefik.http.routers.NAME-2.rule": "Host(`NAME`) && PathPrefix(`/api`)",
            "traefik.http.routers.NAME-2.priority": "42",
            "traefik.http.routers.NAME-2.entrypoints": "web",
            "traefik.http.routers.NAME-3.rule": "Host(`NAME`) && Path(`/x`)",
            "traefik.http.routers.NAME-3.priority": "-2",
        },
    ),
    "ambiguous-service": without_a_router(
        RULE,
        {
            "traefik.http.services.NAME-a.loadbalancer.server.port": "81",
            "traefik.http.services.NAME-b.loadbalancer.server.port": "82",
        },
    ),
    # syntax: case, lists, places, dots, escapes
    "upper-case": taken(
        {
            "traefik.HTTP.Routers.NAME.Rule": "Host(`NAME`)",
            "traefik.http.ROUTERS.NAME.EntryPoints": "web",
            "traefik.http.Middlewares.NAME.STRIPPREFIX.Prefixes": "/a",
        }
    ),
    "names-in-two-cases": taken(
        {
            "traefik.http.routers.NAME-X.rule": "Host(`NAME`)",
            "traefik.http.routers.NAME-x.entrypoints": "web",
            "traefik.http.routers.NAME-X.priority": "3",
            "traefik.http.routers.NAME-x.PRIORITY": "4",
        }
    ),
    "letters-that-fold": taken(
        {
            "traefik.http.routers.NAME-\u017fk.rule": "Host(`NAME`)",
            "traefik.http.routers.NAME-sK.priority": "3",
            "traefik.http.routers.NAME-\u03c2ß.rule": "Host(`NAME.b`)",
            "traefik.http.routers.NAME-\u03a3\u1e9e.priority": "4",
            "traefik.http.routers.NAME-İ.rule": "Host(`NAME.c`)",
        }
    ),
    "lists": taken(
        RULE,
        {
            f"{R}.entrypoints": " web , more ,, ",
            f"{M}.ipallowlist.sourcerange": "10.0.0.0/8,127.0.0.1/32\t,\u00a0192.168.0.0/16",
            "traefik.http.middlewares.NAME-2.stripprefix.prefixes": "",
        },
    ),
    "places": taken(
        RULE,
        {
            f"{R}.tls.domains[0].main": "NAME.a",
            f"{R}.tls.domains[0].sans": "b.NAME.a, c.NAME.a",
            f"{R}.tls.domains[1].main": "NAME.b",
            f"{R}.tls.domains[10].main": "NAME.c",
            f"{R}.tls.domains[2].main": "NAME.d",
        },
    ),
    "places-by-name": taken(RULE, {f"{R}.tls.domains.x.main": "NAME.x", f"{R}.tls.domains": "ignored"}),
    "places-of-texts": taken(RULE, {f"{R}.entrypoints[0]": "web", f"{R}.entrypoints[1]": "more"}),
    "dots-in-a-header": taken(
        RULE,
        {
            f"{M}.headers.customrequestheaders.X": "lost",
            f"{M}.headers.customrequestheaders.X.Y": "kept",
            f"{M}.headers.customrequestheaders.x.Z[0].A": "kept",
            f"{S}.loadbalancer.healthcheck.headers.A.B.C": "kept",
            f"{M}.headers.sslproxyheaders.A[1]": "kept",
        },
    ),
    "dots-in-a-number": taken(
        RULE,
        {
            "traefik.http.middlewares.NAME.errors.statusrewrites.418": "404",
            "traefik.http.middlewares.NAME.errors.statusrewrites.418.x": "ignored",
        },
    ),
    "escapes": taken(
        {
            f"{R}.rule": 'Host(`NAME`) && Header(`X`, `a\\b"c`)',
            f"{M}.headers.contentsecuritypolicy": "default-src 'self'; \"x\" \\ {{ $y }} ${z} $$ \u00e4 \u2028",
            f"{M}.headers.customresponseheaders.X-Two": "a,b\nc",
        }
    ),
    "odd-names": taken(
        {
            "traefik.http.routers.NAME é/:#.rule": "Host(`NAME`)",
            "traefik.http.routers.NAME-[x.rule": "Host(`NAME.b`)",
        }
    ),
    "other-roots": taken(RULE, {"traefikx.http.a": "b", "other.label": "c", "traefik.whatever.a": "b", "traefik": "x"}),
    # values
    "numbers": taken(
        RULE,
        {
            f"{R}.priority": "+007",
            f"{M}.ratelimit.average": "100",
            f"{M}.ratelimit.burst": "00000000000000000000050",
            f"{M}.ratelimit.period": "1m30s",
            "traefik.http.middlewares.NAME-2.ratelimit.average": "0",
            "traefik.http.middlewares.NAME-2.ratelimit.period": "15",
        },
    ),
    "durations": taken(
        RULE,
        {
            f"{S}.loadbalancer.responseforwarding.flushinterval": "-1ms",
            f"{M}.circuitbreaker.expression": "NetworkErrorRatio() > 0.5",
            f"{M}.circuitbreaker.checkperiod": "1.5s",
            f"{M}.circuitbreaker.fallbackduration": "+3",
            f"{M}.circuitbreaker.recoveryduration": "1h2m3s4ms5us6ns",
        },
    ),
    "booleans": taken(
        RULE,
        {
            f"{S}.loadbalancer.passhostheader": "F",
            f"{S}.loadbalancer.sticky.cookie.secure": "1",
            f"{S}.loadbalancer.sticky.cookie.httponly": "TRUE",
            f"{S}.loadbalancer.sticky.cookie.name": "NAME",
            f"{M}.headers.framedeny": "t",
        },
    ),
    "empty-structs": taken(
        RULE,
        {
            f"{R}.tls": "true",
            f"{S}.loadbalancer.sticky": "true",
            f"{M}.compress": "",
            "traefik.http.middlewares.NAME-2.contenttype": "TRUE",
        },
    ),
    "structs-that-are-off": taken(
        RULE,
        {
            f"{R}.tls": "false",
            f"{R}.tls.certresolver": "le",
            f"{S}.loadbalancer.sticky.cookie": "no",
            f"{M}.ipallowlist.ipstrategy": "false",
        },
    ),
    "off-with-a-bad-value": taken(RULE, {f"{M}.compress": "off", f"{M}.compress.minresponsebodybytes": "many"}),
    "value-beside-keys": taken(RULE, {f"{M}.headers": "x", f"{M}.headers.framedeny": "true"}),
    "ignored-by-labels": taken(
        RULE,
        {
            "traefik.http.serverstransports.NAME.insecureskipverify": "maybe",
            "traefik.tcp.serverstransports.NAME.dialtimeout": "1s",
        },
    ),
    # TLS
    "tls": taken(
        RULE,
        {f"{R}.tls.certresolver": "le", f"{R}.tls.options": "strict@file", f"{R}.tls.domains[0].main": "NAME"},
    ),
    # middlewares
    "a-missing-middleware": taken(RULE, {f"{R}.middlewares": "NAME-missing"}),
    "a-chain": taken(
        RULE,
        {
            f"{R}.middlewares": "NAME-chain",
            "traefik.http.middlewares.NAME-chain.chain.middlewares": "NAME,NAME-2",
            f"{M}.addprefix.prefix": "/x",
            "traefik.http.middlewares.NAME-2.replacepath.path": "/y",
        },
    ),
    "users": taken(
        RULE,
        {
            f"{R}.middlewares": "NAME",
            f"{M}.basicauth.users": "a:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/,b:$2y$05$x",
            f"{M}.basicauth.realm": "the realm",
            f"{M}.basicauth.removeheader": "true",
            "traefik.http.middlewares.NAME-2.digestauth.users": "test:traefik:a2688e031edb4be6a3797f3882655c05",
        },
    ),
    "headers": taken(
        RULE,
        {
            f"{R}.middlewares": "NAME@docker",
            f"{M}.headers.customrequestheaders.X-Foo": "a",
            f"{M}.headers.customrequestheaders.x-foo": "b",
            f"{M}.headers.CustomResponseHeaders.X-Bar": "",
            f"{M}.headers.accesscontrolallowmethods": "GET,OPTIONS",
            f"{M}.headers.stsseconds": "31536000",
            f"{M}.headers.sslproxyheaders.X-Forwarded-Proto": "https",
        },
    ),
    "redirects": taken(
        RULE,
        {
            f"{M}.redirectscheme.scheme": "https",
            f"{M}.redirectscheme.permanent": "true",
            "traefik.http.middlewares.NAME-2.redirectregex.regex": "^http://(.*)/(.*)$",
            "traefik.http.middlewares.NAME-2.redirectregex.replacement": "https://${1}/${2}",
            "traefik.http.middlewares.NAME-3.replacepathregex.regex": "^/a,b/(.*)",
            "traefik.http.middlewares.NAME-3.replacepathregex.replacement": "/$1",
            "traefik.http.middlewares.NAME-4.stripprefixregex.regex": "^/[a-z]{1,3},/x",
        },
    ),
    "forward-auth": taken(
        RULE,
        {
            f"{M}.forwardauth.address": "http://auth/",
            f"{M}.forwardauth.trustforwardheader": "true",
            f"{M}.forwardauth.authresponseheaders": "X-User, X-Group",
            f"{M}.forwardauth.tls.insecureskipverify": "true",
        },
    ),
    "errors": taken(
        RULE,
        {
            f"{R}.middlewares": "NAME",
            f"{M}.errors.status": "500-599,404",
            f"{M}.errors.service": "NAME",
            f"{M}.errors.query": "/{status}.html",
            f"{M}.errors.statusrewrites.418": "404",
            f"{S}.loadbalancer.server.port": "80",
        },
    ),
    "limits": taken(
        RULE,
        {
            f"{M}.inflightreq.amount": "10",
            f"{M}.inflightreq.sourcecriterion.ipstrategy.depth": "1",
            "traefik.http.middlewares.NAME-2.buffering.maxrequestbodybytes": "2000000",
            "traefik.http.middlewares.NAME-3.retry.attempts": "4",
            "traefik.http.middlewares.NAME-3.retry.initialinterval": "100ms",
            "traefik.http.middlewares.NAME-4.passtlsclientcert.info.subject.commonname": "true",
            "traefik.http.middlewares.NAME-5.grpcweb.alloworigins": "*",
            "traefik.http.middlewares.NAME-6.ratelimit.sourcecriterion.requestheadername": "X",
            "traefik.http.middlewares.NAME-7.inflightreq.sourcecriterion.requesthost": "true",
        },
    ),
    "a-plugin": taken(
        {
            f"{PLUGIN}.text": "a",
            f"{PLUGIN}.Map.One": "1",
            f"{PLUGIN}.Map.two.Three": "3",
            f"{PLUGIN}.list[0]": "x",
            f"{PLUGIN}.list[1]": "y",
            f"{PLUGIN}.objects[0].name": "n",
            f"{PLUGIN}.objects[1].name": "m",
            f"{PLUGIN}.deep.list[0].x": "y",
            f"{PLUGIN}.same.same": "z",
            f"{PLUGIN}.comma": ",a",
        }
    ),
    "an-empty-plugin": taken({f"{M}.plugin.NAME": "x"}),
    "a-middleware-without-a-kind": taken({M: "x"}),
    # health and sticky
    "health-check": taken(
        RULE,
        {
            f"{S}.loadbalancer.healthcheck.path": "/health",
            f"{S}.loadbalancer.healthcheck.interval": "10",
            f"{S}.loadbalancer.healthcheck.timeout": "3s",
            f"{S}.loadbalancer.healthcheck.headers.X-Check": "1",
            f"{S}.loadbalancer.healthcheck.port": "81",
            f"{S}.loadbalancer.serverstransport": "other@file",
        },
    ),
    "strategy": taken(RULE, {f"{S}.loadbalancer.strategy": "p2c", f"{R}.observability.metrics": "false"}),
    # TCP and UDP
    "tcp": taken(TCP_RULE, {f"{TR}.entrypoints": "more", f"{TS}.loadbalancer.server.port": "1883"}),
    "tcp-implicit": taken(TCP_RULE, needs_server=True),
    "tcp-passthrough": taken(
        {
            f"{TR}.rule": "HostSNI(`NAME`)",
            f"{TR}.tls.passthrough": "true",
            f"{TR}.priority": "5",
            f"{TS}.loadbalancer.proxyprotocol.version": "1",
            f"{TS}.loadbalancer.server.tls": "true",
        }
    ),
    "tcp-proxy-protocol": taken(TCP_RULE, {f"{TS}.loadbalancer.proxyprotocol": "true"}),
    "tcp-middlewares": taken(
        TCP_RULE,
        {
            f"{TR}.middlewares": "NAME,NAME-missing",
            f"{TM}.ipallowlist.sourcerange": "10.0.0.0/8",
            "traefik.tcp.middlewares.NAME-2.inflightconn.amount": "10",
        },
    ),
    "tcp-middleware-alone": taken({f"{TM}.inflightconn.amount": "10"}),
    "tcp-without-rule": without_a_router({f"{TR}.entrypoints": "more"}),
    "tcp-and-http": taken(RULE, TCP_RULE, {f"{TS}.loadbalancer.server.port": "9000"}),
    "udp": taken({f"{UR}.entrypoints": "datagrams", f"{US}.loadbalancer.server.port": "53"}),
    "udp-implicit": taken({UR: "x"}, needs_server=True),
    "udp-several": without_a_router(
        {
            f"{UR}.entrypoints": "datagrams",
            "traefik.udp.services.NAME-a.loadbalancer.server.port": "53",
            "traefik.udp.services.NAME-b.loadbalancer.server.port": "54",
        }
    ),
    # what Traefik drops
    "unknown-key": dropped(RULE, {f"{R}.rulle": "x"}),
    "unknown-section": dropped(RULE, {"traefik.httpx.a": "x"}),
    "unknown-key-where-ignored": dropped(RULE, {"traefik.http.serverstransports.NAME.unknown": "x"}),
    "unknown-key-where-off": dropped(RULE, {f"{R}.tls": "false", f"{R}.tls.unknown": "x"}),
    "unknown-root": dropped(RULE, {"Traefik.http.routers.NAME.priority": "1"}),
    "bad-number": dropped(RULE, {f"{R}.priority": "1.5"}),
    "big-number": dropped(RULE, {f"{R}.priority": "9223372036854775808"}),
    "empty-number": dropped(RULE, {f"{R}.priority": ""}),
    "bad-boolean": dropped(RULE, {f"{S}.loadbalancer.passhostheader": "yes"}),
    "bad-duration": dropped(RULE, {f"{M}.ratelimit.period": "5 s"}),
    "number-below-a-dot": dropped(RULE, {f"{M}.errors.statusrewrites.418.x": "404"}),
    "dots-in-a-name": dropped(RULE, {"traefik.http.middlewares.NAME.b.compress": "true"}),
    "two-dots": dropped(RULE, {"traefik.http.routers..rule": "x"}),
    "dot-at-the-end": dropped(RULE, {f"{R}.rule.": "x"}),
    "a-place-in-a-name": dropped(RULE, {"traefik.http.middlewares.NAME[1].compress": "true"}),
    "a-place-alone": dropped(RULE, {f"{R}.tls.domains.[0].main": "x"}),
    "a-struct-alone": dropped(RULE, {f"{M}.stripprefix": "true"}),
    "a-section-alone": dropped({"traefik.http": "true"}),
    "a-map-alone": dropped(RULE, {f"{M}.headers.customrequestheaders": "x"}),
    "parts-of-a-text": dropped(RULE, {f"{R}.rule.x": "x"}),
    "parts-of-a-place": dropped(RULE, {f"{R}.entrypoints[0].x": "x"}),
    "servers": dropped(RULE, {f"{S}.loadbalancer.servers[0].url": "http://a"}),
    "places-of-the-server": dropped(RULE, {f"{S}.loadbalancer.server[0].port": "80"}),
    "a-server-alone": dropped(RULE, {f"{S}.loadbalancer.server": "80"}),
    "no-load-balancer": dropped(RULE, {S: "x"}, needs_server=True),
    "weighted": dropped(RULE, {f"{S}.weighted.services[0].name": "x"}, needs_server=True),
    "url-and-port": dropped(
        RULE, {f"{S}.loadbalancer.server.url": "http://a", f"{S}.loadbalancer.server.port": "1"}, needs_server=True
    ),
    "tcp-scheme": dropped(TCP_RULE, {f"{TS}.loadbalancer.server.scheme": "http"}),
    "udp-rule": dropped({f"{UR}.rule": "x"}),
    "a-plugin-with-a-comma": dropped({f"{PLUGIN}.map.x": ",a"}),
}


TEXTS = (
    *("a", "", " ", "x y", "true", "null", "~", "1", "1.5", "<<", "*", "&a", "!!int", "#", "- a", "a: b", "{", "}"),
    *("[", "]", "%", "@", "`", "'", '"', "\\", "\t", "\n", "\r\n", "a\n b", "\x07", "\x7f", "\u0085", "\u2028"),
    *(
        "\ufeff",
        "\ufffe",
        "\uffff",
        "\u2551",
        "24\u2551a",
        "a,b",
        ",",
        "\u00e9",
        "\U0001f600",
        "yes",
        "0x10",
        "1e3",
        "=",
    ),
    *("=", "?", "| ", "> ", "---", "...", "x" * 300, '"' * 200, "${a}", "a@b", "a@docker", "a@file"),
    *("bluegreen-1", "blue"),
)
"""What YAML or Traefik's decoder may take for something else."""
NAMES = tuple(text for text in TEXTS if text and "." not in text)
GOOD = {
    Scalar.BOOL: ("true", "false", "1", "F"),
    Scalar.INT: ("1", "0", "-1", "200", "+007", "9223372036854775807"),
    Scalar.DURATION: ("5s", "10", "-1ms", "1h2m3s", "0"),
    Scalar.RULE: ("Host(`NAME`)", "PathPrefix(`/`)", 'Host("a") || !Path(`/x`)'),
}


def drawn(random: Random) -> dict[str, str]:
    """Return a few labels, with `NAME` in them as in SETS, whose values mostly are of the right kind."""
    labels = {f"{R}.rule": "Host(`NAME`)"}
    for _ in range(random.randint(1, 5)):
        section = random.choice([one for one in LABELS.fields if one != "tls"])
        part = random.choice(["routers", "services", "middlewares"])
        kind = LABELS.fields[section].kind
        assert isinstance(kind, Struct)
        if part in kind.fields:
            labels |= dict(_below(random, kind.fields[part].kind, f"traefik.{section}.{part}"))
    return labels


def _below(random: Random, kind: Kind, label: str) -> Iterator[tuple[str, str]]:
    match kind:
        case Scalar():
            good = GOOD.get(kind) or (("80", "443") if label.endswith(".port") else None)
            yield label, random.choice(good) if good and random.random() < 0.97 else _text(random)
        case Many(item=Struct() as item):
            yield from _below(random, item, f"{label}[{random.randint(0, 11)}]")
        case Many():
            yield label, ",".join(_text(random) for _ in range(random.randint(0, 3)))
        case Struct():
            if random.random() < 0.1:
                yield label, random.choice(["true", "false"])
            keys = ["loadBalancer"] if "loadBalancer" in kind.fields else list(kind.fields)
            most = 1 if "inFlightConn" in keys or "chain" in keys else 3
            for key in random.sample(keys, min(len(keys), random.randint(1, most))):
                yield from _below(random, kind.fields[key].kind, f"{label}.{key}")
        case Named():
            name = random.choice(["", *NAMES] if label.count(".") == 2 else NAMES)
            name = f"NAME{name}" if label.count(".") == 2 else name
            yield from _below(random, kind.value, f"{label}.{name}")
        case Anything():
            for _ in range(random.randint(1, 3)):
                names = random.choices([*NAMES, "a[0]", "a[1]", "b"], k=random.randint(1, 3))
                yield ".".join([label, *names]), _text(random)


def _text(random: Random) -> str:
    return random.choice(TEXTS) if random.random() < 0.5 else "a"
