"""What the daemon's log lines look like, of its own and of the libraries beneath; each in a process of its own."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import logging, sys
import structlog
from provider.observability import logs
from provider.model import Colour

logs.configure(as_json=sys.argv[1] == "json")
log = structlog.get_logger("bluegreen")
log.debug("never shown")
log.info("server healthy", service="shop", colour=Colour.BLUE)

def fail():
    password = "hunter2"
    raise ValueError("made up")

try:
    fail()
except ValueError as error:
    log.exception("a loop failed", loop="publish")
    log.error("bug", exc_info=error)
    logging.getLogger("aiohttp.server").exception("Error handling %s", "request")
logging.getLogger("aiohttp.access").info("never shown")
if sys.argv[2:]:
    hostile = "\\x1b[2J\\u202e\\ud800\\n12:00:00 [info] forged\\x9b" + "x" * 100_000
    log.warning("containers", **{"name\\x1b[1m": hostile}, several=[hostile, {"key\\x1b[1m": hostile}])
    log.warning("at tcp://me:hunter2@host:2375")
    try:
        raise ValueError(hostile)
    except ValueError:
        log.exception("failed")
    logging.getLogger("docker").warning("its words: %s", hostile)
"""


def written(*arguments: str) -> list[str]:
    """Return what a process logs that is no terminal."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_for_machines_every_line_is_json_with_level_and_utc_time() -> None:
    lines = [json.loads(line) for line in written("json")]
    assert [(line["level"], line["event"]) for line in lines] == [
        ("info", "server healthy"),
        ("error", "a loop failed"),
        ("error", "bug"),
        ("error", "Error handling request"),
    ]
    assert (lines[0]["service"], lines[0]["colour"]) == ("shop", "blue")
    assert all(line["timestamp"].endswith("Z") for line in lines)
    assert lines[3]["logger"] == "aiohttp.server"
    for line in lines[1:]:
        assert line["exception"][0]["exc_value"] == "made up"


def test_for_people_a_line_a_change_and_tracebacks_as_python_prints_them() -> None:
    lines = written("text")
    assert "server healthy" in lines[0]
    assert lines[0].endswith("colour=blue service=shop")
    assert lines.count("  ValueError: made up") == 3
    assert lines.count("  Traceback (most recent call last):") == 3


def test_a_traceback_does_not_report_the_values_of_variables() -> None:
    """They may be passwords out of the file."""
    for form in ("json", "text"):
        assert not [line for line in written(form) if "hunter2" in line and "password =" not in line]


@pytest.mark.parametrize("form", ["text", "json"])
def test_nothing_of_others_commands_the_terminal_forges_a_line_or_fills_the_disk(form: str) -> None:
    """Rule of the outputs: escaped once, where it leaves. A service can be named, and answer, as anybody likes."""
    lines = written(form, "hostile")
    text = "\n".join(lines)
    assert not [letter for letter in text if not letter.isprintable() and letter != "\n"]
    assert "\\x1b[2J" in text or "\\u001b[2J" in text
    assert not [line for line in lines if line.startswith("12:00:00 [info] forged")]
    assert len(text) < 200_000
    assert "hunter2@" not in text
    if form == "json":
        assert [json.loads(line) for line in lines]
