"""Visitors of the demo: browsers that keep their cookies."""

import asyncio
from contextlib import AsyncExitStack

import aiohttp

from provider.cli.demo.load import REQUEST_S, cause
from provider.cli.demo.wait import StoryFailed


class Visitors:
    """Browsers with a cookie jar each; `versions` is what each of them was answered last."""

    def __init__(self, stack: AsyncExitStack, url: str) -> None:
        self.versions: list[str] = []
        self._stack, self._url = stack, url
        self._sessions: list[aiohttp.ClientSession] = []

    async def come(self, count: int) -> None:
        """Let so many new ones come; each asks once."""
        for _ in range(count):
            jar = aiohttp.CookieJar(unsafe=True)  # of a host that is an address, too
            session = aiohttp.ClientSession(cookie_jar=jar, timeout=aiohttp.ClientTimeout(total=REQUEST_S))
            self._sessions.append(await self._stack.enter_async_context(session))
        self.versions += [await self._ask(session) for session in self._sessions[-count:]]

    async def return_(self) -> int:
        """Let all of them ask again; return how many were answered by another version than before."""
        found = await asyncio.gather(*(self._ask(session) for session in self._sessions))
        moved = sum(now != before for now, before in zip(found, self.versions, strict=True))
        self.versions = list(found)
        return moved

    async def _ask(self, session: aiohttp.ClientSession) -> str:
        try:
            async with session.get(self._url) as response:
                return (await response.text()).strip()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise StoryFailed(f"a visitor got no answer: {cause(error)}") from None
