"""How a process starts: its signals, and how threads and the event loop share the interpreter."""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable


def share_the_interpreter() -> None:
    """Keep what works beside the event loop from holding it up.

    Ten thousand services are a million lasting objects: looking through them for cycles took a third of the start. So
    new values are looked at once, ten thousand at a time (some 3 ms), and what has lasted hardly ever again. And the
    loop waits for the interpreter for as long as a thread may keep it, 5 ms where nothing else is said.
    """
    gc.set_threshold(10_000, 500, 100)
    sys.setswitchinterval(0.001)


def free_what_was_frozen() -> None:
    """Free the state of a term that is over, which is full of cycles and was frozen as it was loaded.

    It takes some tenths of a second with ten thousand services; each term would leave as much memory otherwise.
    """
    gc.unfreeze()
    gc.collect()


def on_signals(do: Callable[[], object]) -> None:
    """Have this done on SIGTERM and SIGINT, in place of what was before."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, do)
