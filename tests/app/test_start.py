"""What a process does once at its start, and at the end of a term."""

import gc
import weakref

from provider.app.start import free_what_was_frozen


class Cyclic:
    """A value that refers to itself."""

    def __init__(self) -> None:
        self.itself = self


def test_what_was_frozen_with_a_term_is_freed_after_it() -> None:
    """Without it a replica that loses the lead again and again keeps the state of every term."""
    value = Cyclic()
    seen = weakref.ref(value)
    gc.freeze()
    del value
    gc.collect()
    assert seen() is not None
    free_what_was_frozen()
    assert seen() is None
