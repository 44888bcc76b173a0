"""What the admin API answers where it refuses: an error, and what is wrong with a desired state."""

from collections.abc import Sequence
from typing import NotRequired

from typing_extensions import TypedDict

from provider.model.problems import ProblemCode


class Problem(TypedDict):
    """An error (RFC 9457)."""

    type: str
    status: int
    code: ProblemCode
    """What is wrong, for programs"""
    detail: str
    """What is wrong and what to do, for people"""
    problems: NotRequired[Sequence["Mistake"]]
    """Everything that is wrong with a desired state"""


class Mistake(TypedDict):
    """One thing wrong with a desired state, at a place of its text."""

    file: str
    """The name that was sent with the text"""
    line: int
    """From 1"""
    column: int
    """From 1"""
    path: str
    """The path of the key; empty for the text as a whole"""
    message: str
