"""A document as it is published, and the text that it was made from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from provider.model.vocabulary import JsonObject

MARKER = re.compile(r"bluegreen-[0-9a-f]{12}")
"""The name of the middleware by which Traefik's API proves which document it applied."""


@dataclass(frozen=True, slots=True)
class Document:
    """One dynamic configuration; `etag` hashes its content, `marker` is the middleware that proves it was applied.

    `is_json` is False where a section is split.
    """

    body: bytes
    etag: str
    marker: str
    is_json: bool = True


@dataclass(frozen=True, slots=True)
class AppliedText:
    """What the next process needs: the text that every Traefik applied last, and a marker of it that they showed.

    `refused` is the key of the text that they refuse, None while none is refused.
    """

    text: str
    marker: str
    refused: str | None = None


def text_key(text: str) -> str:
    """Return the hash by which a text of the desired state is named."""
    return sha256(text.encode(errors="surrogatepass")).hexdigest()


def section(content: JsonObject, name: str) -> JsonObject:
    """Return a section of dynamic configuration; empty where it is not there, or is no mapping."""
    found = content.get(name)
    return found if isinstance(found, Mapping) else {}
