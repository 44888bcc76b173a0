"""The application of the demo: one version of one service, a server of its own on loopback."""

from types import TracebackType
from typing import Self

from aiohttp import web

from provider.model import Colour
from provider.traefik.process import LOOPBACK

STOP_S = 5.0
HEALTH = "/healthz"
TEST = "/checkout"
TEST_PASSED = "checkout works"


class Application:
    """One version of one service, whose behaviour the story changes.

    It answers everything with 503 until it is warm, and with 500 once it is bad; of the load, each `fails_every`th
    request where that is not 0. The load sends POSTs; health checks and smoke tests have paths of their own.
    """

    def __init__(self, service: str, colour: Colour, version: str) -> None:
        self.service, self.colour, self.version = service, colour, version
        self.text = f"{service} version {version} on {colour}"
        self.url = ""
        self.is_warm = self.passes_test = True
        self.is_bad = False
        self.fails_every = 0
        self.visits = self.checks_passed = self.tests = 0
        self.checks_before_visit = self.tests_before_visit = 0
        """How many health checks it had passed, and smoke tests it had seen, when its first request came."""
        self._runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=STOP_S)

    @property
    def complaint(self) -> str:
        """Its answer while it is bad."""
        return f"{self.text}: the database is gone"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, 0).start()
        self.url = f"http://{LOOPBACK}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self._count(request)
        if not self.is_warm:
            return web.Response(text="warming up\n", status=503)
        is_hit = request.method == "POST" and self.fails_every and self.visits % self.fails_every == 0
        if self.is_bad or is_hit:
            return web.Response(text=f"{self.complaint}\n", status=500)
        if request.path == TEST:
            text, status = (TEST_PASSED, 200) if self.passes_test else ("no such table: orders", 500)
            return web.Response(text=f"{text}\n", status=status)
        return web.Response(text=f"{self.text}\n")

    def _count(self, request: web.BaseRequest) -> None:
        if request.method == "POST":
            if not self.visits:
                self.checks_before_visit, self.tests_before_visit = self.checks_passed, self.tests
            self.visits += 1
        elif request.path == HEALTH:
            self.checks_passed += self.is_warm and not self.is_bad
        elif request.path == TEST:
            self.tests += 1
