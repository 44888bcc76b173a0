"""How the daemon logs: a line a change, readable on a terminal and JSON otherwise."""

import io
import logging
import sys
from collections.abc import Mapping
from typing import TextIO

import structlog
from structlog.processors import ExceptionRenderer
from structlog.stdlib import ProcessorFormatter
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, ExcInfo, WrappedLogger

from provider.model.text import clean, escaped, without_userinfo

VALUE_MOST = 8000
"""So many characters of one value: what somebody else sent must not fill a disk."""
TRACEBACK_MOST = 32_000
_OWN = frozenset({"exc_info", "stack_info", "_record", "_from_structlog"})
"""What the processors themselves hand on."""


def configure(*, as_json: bool) -> None:
    """Send every log line to standard error, in one of the two forms. Tracebacks show no values: some are secrets."""
    began: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if as_json else "%H:%M:%S", utc=as_json),
    ]
    written: list[structlog.typing.Processor] = (
        [
            ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            _whole,
            structlog.processors.JSONRenderer(),
        ]
        if as_json
        else [
            _in_one_line,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_traceback),
        ]
    )
    structlog.configure(
        processors=[*began, *written],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # The libraries beneath use Python's logging, for little but their own failures.
    libraries = logging.StreamHandler(sys.stderr)
    libraries.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[*began, structlog.stdlib.add_logger_name],
            processors=[ProcessorFormatter.remove_processors_meta, *written],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[libraries])


def _whole(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Make every text whole and bounded; JSON itself escapes what a terminal obeys."""
    return {key: value if key in _OWN else _value(value, escape=False) for key, value in event.items()}


def _in_one_line(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Write out what a terminal obeys, line ends among it: a value must not look like another line of the log."""
    return {escaped(key): value if key in _OWN else _value(value, escape=True) for key, value in event.items()}


def _value(value: object, *, escape: bool) -> object:
    match value:
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {_text(key, escape=escape): _value(each, escape=escape) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_value(each, escape=escape) for each in value]
        case _:
            return _text(value, escape=escape)


def _text(value: object, *, escape: bool) -> str:
    text = without_userinfo(clean(value, VALUE_MOST))
    return escaped(text) if escape else text


def _traceback(file: TextIO, exc_info: ExcInfo) -> None:
    """Write a traceback, indented: its message may quote what somebody sent, and must not look like another line."""
    text = io.StringIO()
    structlog.dev.plain_traceback(text, exc_info)
    shown = escaped(without_userinfo(clean(text.getvalue(), TRACEBACK_MOST)), keep="\n")
    file.write("".join(f"  {line}\n" for line in shown.rstrip().split("\n")))
