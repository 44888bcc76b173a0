"""What is alive within `async with`, and made of several parts that have to end again."""

from abc import ABC, abstractmethod
from contextlib import AsyncExitStack
from typing import Self


class Resource(ABC):
    """Starts its parts when entered, and ends them in reverse when left, or at once where one cannot be started."""

    _stack: AsyncExitStack

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._stack = stack
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @abstractmethod
    async def _start(self, stack: AsyncExitStack) -> None:
        """Start every part, and put on the stack what ends it."""
