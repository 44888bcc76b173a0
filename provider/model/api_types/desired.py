"""The desired state in force, and what another text changes."""

from collections.abc import Sequence

from typing_extensions import TypedDict

from provider.model.vocabulary import ChangeKind


class DesiredState(TypedDict):
    """The desired state in force."""

    text: str | None
    """`null` where none was applied yet"""
    sha256: str | None
    """The hash of the text, for `expect`"""
    source: str
    """The path of the file that the daemon follows, or `store`"""


class DesiredChange(TypedDict):
    """What an edit changes of one service, or of all that belongs to none."""

    service: str | None
    """`null` for the rest of the desired state"""
    change: ChangeKind
    paths: Sequence[str]
    """The keys that differ, below the service; those under `defaults` where these are the cause"""


class DesiredApplied(TypedDict):
    """What a text changes, or would."""

    already: bool
    """It is the text in force"""
    sha256: str
    """The hash of the text"""
    source: str
    """The path of the file that the daemon follows, or `store`"""
    changes: Sequence[DesiredChange]
    """What has an effect; empty where only comments or the form differ"""
