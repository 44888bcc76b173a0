"""Connections that poll."""

import asyncio


class Connection(asyncio.BaseTransport):
    """A connection as far as it is looked at: open until it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True
