"""How values are compressed, and the error for one that cannot be read."""

import zlib

from provider.model.errors import StoreError

PLAIN_BYTES = 8 * 1024
"""Longer rows are compressed, to a tenth."""
RESTORE = "Restore etcd from a backup, or put back what bluegreen store export wrote"
LARGEST_BYTES = 64 * 1024 * 1024
"""A value that unpacks to more is none of ours."""


def packed(text: bytes) -> bytes:
    """Return JSON as it is stored: compressed where it is long."""
    return text if len(text) <= PLAIN_BYTES else zlib.compress(text, 1)


def unpacked(value: bytes, key: bytes) -> bytes:
    """Return the JSON of a row. Raises StoreError."""
    return value if value.startswith(b"{") else inflated(value, key)


def inflated(value: bytes, key: bytes) -> bytes:
    """Unpack a compressed value. Raises StoreError where it is none, or too long."""
    unpack = zlib.decompressobj()
    try:
        text = unpack.decompress(value, LARGEST_BYTES)
    except zlib.error as error:
        raise damaged(key, str(error)) from error
    if unpack.unconsumed_tail or not unpack.eof:
        raise damaged(key, "it is cut, or too long")
    return text


def damaged(key: bytes, why: str) -> StoreError:
    """Return the error for a value that cannot be read."""
    return StoreError(f"etcd: the value of key {key.decode(errors='replace')} cannot be read: {why}. {RESTORE}")
