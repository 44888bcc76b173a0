"""Values of one line of JSON and compressed bytes after it: documents (rule 53) and texts.

The line of a document never changes incompatibly, so that replicas of any version can serve it (rule 64).
"""

import asyncio
import zlib
from dataclasses import dataclass
from typing import Annotated, TypeVar

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from provider.model.document import AppliedText, Document, text_key
from provider.model.errors import StoreError
from provider.store.etcd.packing import damaged, inflated

log = structlog.get_logger("bluegreen")

M = TypeVar("M", bound=BaseModel)

LEVEL = 1
"""A third more bytes than with 6, in a third of the time."""
PIECE_BYTES = 256 * 1024
"""Compressed at a time: some two milliseconds."""

Short = Annotated[str, Field(max_length=255)]


class DocumentHead(BaseModel):
    """The line of a document."""

    model_config = ConfigDict(frozen=True)

    revision: Annotated[int, Field(ge=1, lt=2**63)]
    etag: Short
    marker: Short
    is_json: bool = True
    epoch: int = 0


class DesiredHead(BaseModel):
    """The line of a desired state; `key` is the hash of the text."""

    key: Short


class AppliedHead(BaseModel):
    """The line of the text that every Traefik applied last."""

    marker: Short
    refused: Short | None = None


@dataclass(frozen=True, slots=True)
class Numbered:
    """A document with its revision: all that a replica needs to serve it."""

    revision: int
    document: Document


async def compressed(body: bytes) -> bytes:
    """Compress bytes, and let others run meanwhile."""
    pack = zlib.compressobj(LEVEL)
    pieces = []
    for begin in range(0, len(body), PIECE_BYTES):
        pieces.append(pack.compress(body[begin : begin + PIECE_BYTES]))
        await asyncio.sleep(0)
    return b"".join([*pieces, pack.flush()])


def document_value(document: Document, body: bytes, revision: int, epoch: int) -> bytes:
    """Return the value for a document, whose body comes compressed."""
    head = DocumentHead(
        revision=revision, etag=document.etag, marker=document.marker, is_json=document.is_json, epoch=epoch
    )
    return joined(head, body)


def split_document(value: bytes, key: bytes) -> tuple[DocumentHead, bytes]:
    """Read the line of a document; return it with the compressed body. Raises StoreError."""
    return _split(DocumentHead, value, key)


def document_head(value: bytes, key: bytes) -> DocumentHead:
    """Read the line of a document. Raises StoreError."""
    return _split(DocumentHead, value, key)[0]


def known_head(value: bytes, key: bytes) -> DocumentHead | None:
    """Read the line of a document; None where it cannot be read, which is reported."""
    try:
        return document_head(value, key)
    except StoreError as failure:
        log.warning("the document in etcd is made anew", cause=str(failure))
        return None


def read_document(value: bytes, key: bytes) -> Numbered:
    """Read a document. Raises StoreError."""
    head, body = _split(DocumentHead, value, key)
    return Numbered(head.revision, Document(inflated(body, key), head.etag, head.marker, head.is_json))


def desired_value(text: str, body: bytes) -> bytes:
    """Return the value for a desired state, which comes compressed."""
    return joined(DesiredHead(key=text_key(text)), body)


def read_desired(value: bytes, key: bytes) -> str:
    """Read a desired state. Raises StoreError."""
    return _text(_split(DesiredHead, value, key)[1], key)


def applied_value(applied: AppliedText, body: bytes) -> bytes:
    """Return the value for the text that was applied, which comes compressed."""
    return joined(AppliedHead(marker=applied.marker, refused=applied.refused), body)


def read_applied(value: bytes, key: bytes) -> AppliedText:
    """Read the text that was applied. Raises StoreError."""
    head, body = _split(AppliedHead, value, key)
    return AppliedText(_text(body, key), head.marker, head.refused)


def joined(head: BaseModel, body: bytes) -> bytes:
    """Return the value of a line and compressed bytes."""
    return head.model_dump_json(exclude_none=True).encode() + b"\n" + body


def _split(model: type[M], value: bytes, key: bytes) -> tuple[M, bytes]:
    line, _, body = value.partition(b"\n")
    try:
        return model.model_validate_json(line), body
    except ValidationError as error:
        raise damaged(key, error.errors()[0]["msg"]) from error


def _text(body: bytes, key: bytes) -> str:
    try:
        return inflated(body, key).decode()
    except UnicodeDecodeError as error:
        raise damaged(key, "it is no text in UTF-8") from error
