"""A run of the tests that was started with signals ignored, as a script's background job is."""

import subprocess
import sys

SCRIPT = """
import signal, subprocess, sys
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
import tests.conftest
signal.raise_signal(signal.SIGINT)
sys.exit(subprocess.run(sys.argv[1:]).returncode)
"""
CHILD = """
import signal
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
assert {signal.getsignal(number) for number in (signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM)} == {signal.SIG_DFL}
"""


def test_children_of_a_run_that_ignores_signals_do_not_ignore_them() -> None:
    """`make test` in the background of a script hung: an interrupt that a test sent never arrived."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, sys.executable, "-c", CHILD], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
