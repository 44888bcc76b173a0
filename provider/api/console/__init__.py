"""The web console: one page and its files, the same for everybody, which read the admin API from a browser.

The page holds no data, so it is served without a token; the admin API under /api/ may require one.
"""

import hashlib
from dataclasses import dataclass
from importlib.resources import files

from aiohttp import web
from aiohttp.typedefs import Handler

PAGE = "index.html"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    # Nothing from elsewhere, nothing inline, no frame around it: a name in a status is never more than text.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class File:
    """One file of the page."""

    name: str
    media_type: str
    body: bytes

    @property
    def path(self) -> str:
        """Where it is served; the page itself at the root."""
        return "/" if self.name == PAGE else f"/console/{self.name}"


def page_files() -> tuple[File, ...]:
    """Read the files of the page from the package, by name."""
    found = sorted(files("provider.api.console").joinpath("page").iterdir(), key=lambda each: each.name)
    return tuple(
        File(each.name, _TYPES[suffix], each.read_bytes())
        for each in found
        if (suffix := f".{each.name.rpartition('.')[2]}") in _TYPES
    )


def add_routes(app: web.Application) -> None:
    """Add the page to the application of the admin listener."""
    for file in page_files():
        app.router.add_get(file.path, _serving(file))


def _serving(file: File) -> Handler:
    etag = hashlib.sha256(file.body).hexdigest()[:16]

    async def serve(request: web.Request) -> web.StreamResponse:
        known = request.if_none_match
        if known is not None and any(each.value in {etag, "*"} for each in known):
            return web.Response(status=304, headers={**_HEADERS, "ETag": f'"{etag}"'})
        headers = {**_HEADERS, "ETag": f'"{etag}"'}
        return web.Response(body=file.body, content_type=file.media_type, charset="utf-8", headers=headers)

    return serve
