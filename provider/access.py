"""Who is let in on the two listeners: those with a token, and no page that a browser was tricked by.

What a request needs is found in `tokens.NEEDS` by the last part of its route; so a new route needs `operate` until it
stands there. Without tokens everything is allowed to whoever reaches the listener, and `serve` sees to it that it is on
loopback or a unix socket. A browser reaches loopback too, for any page: so Host must be this machine by its loopback
name, and Origin must be ours.
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

from provider.errors import BluegreenError
from provider.exposure import is_address, is_loopback
from provider.rarely import Rarely
from provider.tokens import EVERYTHING, LONGEST_NAME, NEEDS, Scope, Token, digest

log = structlog.get_logger("bluegreen")

ACTOR_HEADER = "X-Bluegreen-Actor"
NOBODY = "local"
API = "/api/"
_NUMBERS = re.compile(r"(0x[0-9a-f]+|[0-9]+)(\.(0x[0-9a-f]+|[0-9]+)){0,3}")
READING = frozenset({"GET", "HEAD", "OPTIONS"})


_overreached = Rarely()


class Unprotected(BluegreenError):  # noqa: N818
    """Flags of `serve` that would leave a listener open to everybody."""


class Denied(BluegreenError):  # noqa: N818
    """A request that is not let in; `status` and `code` are those of the problem to answer with."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code = status, code


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the token's name, or where there are no tokens whoever the client says it is."""

    actor: str
    scopes: frozenset[Scope]


@dataclass(frozen=True, slots=True)
class Standing:
    """What says which tokens are known now."""

    tokens: Callable[[], tuple[Token, ...]]


CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)
STANDING: web.RequestKey[Standing] = web.RequestKey("standing", Standing)


def caller(request: web.Request) -> Caller:
    """Return who asks, on the admin listener under /api/."""
    return request[CALLER]


def is_still_let_in(request: web.Request) -> bool:
    """Tell whether the token that a request was let in with is known still; ask it while an answer goes on and on."""
    standing = request.get(STANDING)
    if standing is None:
        return True
    try:
        bearer(request, standing.tokens())
    except Denied:
        return False
    return True


def require(request: web.Request, action: str) -> None:
    """Let a request go on only if its caller may do this; the guard asks for each route's own action.

    Raises:
        Denied: with 403, naming the token, its scopes and those of which one is needed.
    """
    who = caller(request)
    needed = NEEDS.get(action, EVERYTHING)
    if not who.scopes & needed:
        if (left_out := _overreached.left_out()) is not None:
            log.warning(
                "a token was used for what it is not for",
                actor=who.actor,
                scopes=sorted(who.scopes),
                action=action,
                before=left_out,
            )
        has, needs = ", ".join(sorted(who.scopes)), " or ".join(sorted(needed))
        raise Denied(403, "scope", f"token {who.actor} has the scope {has}; {action or 'this'} needs {needs}")


def may(request: web.Request, action: str) -> bool:
    """Tell whether the caller of a request may do this."""
    return bool(caller(request).scopes & NEEDS.get(action, EVERYTHING))


def actions(who: Caller) -> list[str]:
    """Return what a caller may do, beside reading."""
    return [str(action) for action, needed in NEEDS.items() if who.scopes & needed]


def guard(tokens: Callable[[], tuple[Token, ...]] | None) -> Middleware:
    """Make the middleware of the admin listener. It sets the caller, or raises Denied; `tokens` are asked each time.

    Reading wants a token under /api/ only: a browser that opens the console has none to show yet, and the console's own
    files are the same for everybody.
    """

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        _check_site(request, any_host=tokens is not None or _is_unix(request))
        if tokens is None:
            request[CALLER] = Caller(_said(request), frozenset(Scope))
        elif request.method not in READING or request.path.startswith(API):
            token = bearer(request, tokens())
            request[STANDING] = Standing(tokens)
            request[CALLER] = Caller(token.name, token.scopes)
        if request.method not in READING and request.match_info.http_exception is None:  # else it is 404 or 405
            require(request, _action(request))
            if request.content_type != "application/json":
                raise Denied(415, "json-wanted", f"{request.method} wants the header Content-Type: application/json")
        return await handler(request)

    return admit


def bearer(request: web.Request, tokens: tuple[Token, ...]) -> Token:
    """Return the token that a request shows. Raises Denied with 401 where it shows none of these."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise Denied(401, "token-wanted", f"{request.path} wants a token (Authorization: Bearer TOKEN)")
    shown, found = digest(text.strip()), None
    for token in tokens:  # all of them, each in constant time: how long it takes tells nothing
        if hmac.compare_digest(token.digest, shown):
            found = token
    if found is None:
        raise Denied(401, "token-wanted", f"{request.path} wants a token, and the one sent is not known here")
    return found


def _action(request: web.Request) -> str:
    """Return what a route does: `switch` for `.../{name}/switch`, and for `.../{verb}` where that is the verb."""
    resource = request.match_info.route.resource
    last = resource.canonical.rpartition("/")[2] if resource is not None else ""
    return request.match_info.get(last[1:-1], "") if last.startswith("{") else last


def _said(request: web.Request) -> str:
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
    place = _place(f"http://{host}")
    if not any_host and (place is None or not is_loopback(place[0])):
        way_out = "ask for 127.0.0.1 or localhost, or start the daemon with --tokens-file"
        raise Denied(403, "cross-site", f"Host {host!r} is not the loopback name or address of this machine: {way_out}")
    if origin is not None:
        page = _place(origin)  # its scheme may be https while ours is not: a proxy may stand in between
        if page is None or page != _place(f"{origin.partition(':')[0]}://{host}"):
            raise Denied(403, "cross-site", f"a page of {origin!r} may not send requests to {host!r}")
    site = request.headers.get("Sec-Fetch-Site", "none")
    follows_link = (
        request.method in READING
        and request.headers.get("Sec-Fetch-Mode") == "navigate"
        and request.headers.get("Sec-Fetch-Dest") == "document"
    )
    if site not in {"same-origin", "none"} and not follows_link:
        raise Denied(403, "cross-site", f"a page of another site may not send requests here (Sec-Fetch-Site: {site})")


def is_elsewhere(host: str, named: frozenset[str]) -> bool:
    """Tell whether a Host header names a machine of somebody's DNS, which can be made to point here (DNS rebinding).

    That is a name with a dot, but for those of `named` and those under `.localhost` and `.internal`, which are in no
    DNS. IP addresses are none; nor is a name of numbers, which every browser takes for an address.
    """
    inside, bracket, _ = host.removeprefix("[").partition("]")
    bare = (inside if bracket else host.partition(":")[0]).lower().removesuffix(".")
    if "." not in bare or bare in named or bare.endswith((".localhost", ".internal")):
        return False
    return not is_address(bare) and not _NUMBERS.fullmatch(bare)


def _place(url: str) -> tuple[str, int] | None:
    """Return host and port of a URL, None where it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return (parts.hostname, port or (443 if parts.scheme == "https" else 80)) if parts.hostname else None
