"""Authentication and authorisation on both listeners: tokens, scopes, and the rules against pages of other sites.

`tokens.NEEDS` has the scopes by the last part of a route; a new route requires `operate` until it is there. Without
tokens everything is allowed to whoever reaches the listener, and `serve` sees to it that it is on loopback or a unix
socket. A browser reaches loopback too, for any page: so Host must be this machine by its loopback name, and Origin must
be ours.
"""

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from socket import AF_UNIX
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from provider.api.tokens import EVERYTHING, LONGEST_NAME, NEEDS, Scope, Token, digest
from provider.config.secrets import is_address
from provider.model.addresses import is_loopback
from provider.model.api_types import ACTOR_HEADER
from provider.model.errors import BluegreenError
from provider.model.problems import PROBLEMS, ProblemCode
from provider.runtime.log_limit import LogLimit

log = structlog.get_logger("bluegreen")

NOBODY = "local"
API = "/api/"
_NUMBERS = re.compile(r"(0x[0-9a-f]+|[0-9]+)(\.(0x[0-9a-f]+|[0-9]+)){0,3}")
READING = frozenset({"GET", "HEAD", "OPTIONS"})


_scope_warnings = LogLimit()


class Unprotected(BluegreenError):  # noqa: N818
    """Flags of `serve` that would leave a listener open to everybody."""


class Denied(BluegreenError):  # noqa: N818
    """A request that is denied; `code` is that of the problem to answer with."""

    def __init__(self, code: ProblemCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code

    @property
    def status(self) -> int:
        """The status of HTTP that goes with it."""
        return PROBLEMS[self.code][0]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the token's name, or where there are no tokens whoever the client says it is."""

    actor: str
    scopes: frozenset[Scope]


@dataclass(frozen=True, slots=True)
class TokenSource:
    """Where the tokens that are known now come from."""

    tokens: Callable[[], tuple[Token, ...]]


CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)
TOKENS: web.RequestKey[TokenSource] = web.RequestKey("tokens", TokenSource)


def caller(request: web.Request) -> Caller:
    """Return who asks, on the admin listener under /api/."""
    return request[CALLER]


def is_still_authenticated(request: web.Request) -> bool:
    """Return whether the token of a request is still known; to be asked again while an answer goes on."""
    source = request.get(TOKENS)
    if source is None:
        return True
    try:
        bearer(request, source.tokens())
    except Denied:
        return False
    return True


def require(request: web.Request, action: str) -> None:
    """Check that the caller may do this; the guard checks each route's own action.

    Raises:
        Denied: with 403, naming the token, its scopes and those of which one is needed.
    """
    who = caller(request)
    needed = NEEDS.get(action, EVERYTHING)
    if not who.scopes & needed:
        if (left_out := _scope_warnings.skipped()) is not None:
            log.warning(
                "a token was used for what it is not for",
                actor=who.actor,
                scopes=sorted(who.scopes),
                action=action,
                before=left_out,
            )
        has, needs = ", ".join(sorted(who.scopes)), " or ".join(sorted(needed))
        raise Denied(ProblemCode.SCOPE, f"token {who.actor} has the scope {has}; {action or 'this'} needs {needs}")


def may(request: web.Request, action: str) -> bool:
    """Return whether the caller of a request may do this."""
    return bool(caller(request).scopes & NEEDS.get(action, EVERYTHING))


def actions(who: Caller) -> list[str]:
    """Return what a caller may do, beside reading."""
    return [str(action) for action, needed in NEEDS.items() if who.scopes & needed]


def guard(tokens: Callable[[], tuple[Token, ...]] | None) -> Middleware:
    """Make the middleware of the admin listener. It sets the caller, or raises Denied; `tokens` is called each time.

    Reading requires a token under /api/ only: a browser that opens the console has none to show yet, and the console's
    own files are the same for everybody.
    """

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        _check_site(request, any_host=tokens is not None or _is_unix(request))
        if tokens is None:
            request[CALLER] = Caller(_claimed_actor(request), frozenset(Scope))
        elif request.method not in READING or request.path.startswith(API):
            token = bearer(request, tokens())
            request[TOKENS] = TokenSource(tokens)
            request[CALLER] = Caller(token.name, token.scopes)
        if request.method not in READING and request.match_info.http_exception is None:  # else it is 404 or 405
            require(request, _action(request))
            if request.content_type != "application/json":
                raise Denied(
                    ProblemCode.JSON_WANTED, f"{request.method} requires the header Content-Type: application/json"
                )
        return await handler(request)

    return admit


def bearer(request: web.Request, tokens: tuple[Token, ...]) -> Token:
    """Return the token that a request shows. Raises Denied with 401 where it shows none of these."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise Denied(ProblemCode.TOKEN_WANTED, f"{request.path} requires a token (Authorization: Bearer TOKEN)")
    shown, found = digest(text.strip()), None
    for token in tokens:  # all of them, each in constant time: how long it takes reveals nothing
        if hmac.compare_digest(token.digest, shown):
            found = token
    if found is None:
        raise Denied(ProblemCode.TOKEN_WANTED, f"{request.path} requires a token, and the one sent is not known here")
    return found


def _action(request: web.Request) -> str:
    """Return what a route does: `switch` for `.../{name}/switch`, and for `.../{verb}` where that is the verb."""
    resource = request.match_info.route.resource
    last = resource.canonical.rpartition("/")[2] if resource is not None else ""
    return request.match_info.get(last[1:-1], "") if last.startswith("{") else last


def _claimed_actor(request: web.Request) -> str:
    printable = "".join(letter for letter in request.headers.get(ACTOR_HEADER, "") if letter.isprintable())
    return printable.strip()[:LONGEST_NAME] or NOBODY


def _is_unix(request: web.Request) -> bool:
    peer = request.transport.get_extra_info("socket") if request.transport is not None else None
    return peer is not None and peer.family == AF_UNIX


def _check_site(request: web.Request, *, any_host: bool) -> None:
    """Turn away what a browser sends for a page that is not ours. Raises Denied.

    A name that its owner lets point to 127.0.0.1 (DNS rebinding) shows in Host; the port there is not looked at: a
    browser sends the one it connects to, which is another one behind `ssh -L`. A page elsewhere, also on another port
    of this machine, shows in Origin and in Sec-Fetch-Site. Only a link to the console may be followed from anywhere.
    """
    host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
    place = _host_and_port(f"http://{host}")
    if not any_host and (place is None or not is_loopback(place[0])):
        way_out = "ask for 127.0.0.1 or localhost, or start the daemon with --tokens-file"
        raise Denied(
            ProblemCode.CROSS_SITE, f"Host {host!r} is not the loopback name or address of this machine: {way_out}"
        )
    if origin is not None:
        page = _host_and_port(origin)  # its scheme may be https while ours is not: a proxy may stand in between
        if page is None or page != _host_and_port(f"{origin.partition(':')[0]}://{host}"):
            raise Denied(ProblemCode.CROSS_SITE, f"a page of {origin!r} may not send requests to {host!r}")
    site = request.headers.get("Sec-Fetch-Site", "none")
    follows_link = (
        request.method in READING
        and request.headers.get("Sec-Fetch-Mode") == "navigate"
        and request.headers.get("Sec-Fetch-Dest") == "document"
    )
    if site not in {"same-origin", "none"} and not follows_link:
        raise Denied(
            ProblemCode.CROSS_SITE, f"a page of another site may not send requests here (Sec-Fetch-Site: {site})"
        )


def is_elsewhere(host: str, named: frozenset[str]) -> bool:
    """Return whether a Host header names a machine of somebody's DNS, which can be made to point here (DNS rebinding).

    That is a name with a dot, but for those of `named` and those under `.localhost` and `.internal`, which are in no
    DNS. IP addresses are none; nor is a name of numbers, which every browser takes for an address.
    """
    inside, bracket, _ = host.removeprefix("[").partition("]")
    bare = (inside if bracket else host.partition(":")[0]).lower().removesuffix(".")
    if "." not in bare or bare in named or bare.endswith((".localhost", ".internal")):
        return False
    return not is_address(bare) and not _NUMBERS.fullmatch(bare)


def _host_and_port(url: str) -> tuple[str, int] | None:
    """Return host and port of a URL, None where it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return (parts.hostname, port or (443 if parts.scheme == "https" else 80)) if parts.hostname else None
