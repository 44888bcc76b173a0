"""Whole daemons as the hosts of a story of faults: `bluegreen serve` over etcd, asked and polled over HTTP.

A numbered decision pauses a service or lets it go on, with its number as the reason; every second one switches, so that
there are documents. A poller says what each daemon serves.
"""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp
import orjson

from tests.support.daemon import FAST_CHECKS, Daemon
from tests.support.etcd_proxy import Proxy
from tests.support.replica_faults import ENDS_S
from tests.support.replica_story import GROUPS, PREFIX, Told
from tests.support.replicas import Outcome, Served

POLL_S = 0.1
ANSWER_S = 10.0
NOT_DONE = {"no-leader", "store-failing"}


def desired_state(blue: str, green: str) -> str:
    """Write a file whose services all have these two servers."""
    service = (
        f"initial: blue, settle: 1ms, watch: 0s, healthCheck: {FAST_CHECKS}, "
        f"servers: {{blue: {{urls: ['{blue}']}}, green: {{urls: ['{green}']}}}}"
    )
    services = "".join(f"  {name}: {{router: {{rule: 'Host(`{name}`)'}}, {service}}}\n" for name in GROUPS)
    return f"environment: production\nservices:\n{services}"


class DaemonHost:
    """See the module, and `replica_faults.Host`; `dark` is what it answered to polls in place of a document."""

    def __init__(self, name: str, proxies: Sequence[Proxy], told: Told, *, folder: Path, text: str) -> None:
        self.name, self.proxies = name, proxies
        self.revision = 0
        self.dark: list[int] = []
        self._told = told
        self._daemon = Daemon(folder / name, text, None, None)
        members = ",".join(proxy.url.removeprefix("http://") for proxy in proxies)
        self._daemon.arguments += ["--store", f"etcd://{members}{PREFIX}", "--replica", name]
        self._polling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._daemon.start(wait=False)
        self._polling = asyncio.create_task(self._poll())

    async def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait([self._polling])
        self.send(signal.SIGCONT)
        self.send(number)
        if self._daemon.process is not None:
            async with asyncio.timeout(ENDS_S):
                await self._daemon.process.wait()

    def words(self) -> str:
        """Return what it has written to its log."""
        return self._daemon.words()

    def send(self, number: signal.Signals) -> None:
        if self._daemon.process is not None:
            with suppress(ProcessLookupError):
                self._daemon.process.send_signal(number)

    async def decide(self, number: int, group: str) -> Outcome:
        verb = "pause" if number % 2 else "resume"
        outcome = await self._command(f"{group}/{verb}", {"reason": str(number)})
        if number % 4 == 0:
            colour = "blue" if number % 8 else "green"
            await self._command(f"{group}/switch", {"colour": colour, "force": True, "reason": "another document"})
        return outcome

    async def _command(self, path: str, body: dict[str, object]) -> Outcome:
        url = f"{self._daemon.admin_url}/api/v1/services/{path}"
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S)) as session,
                session.post(url, json=body) as answer,
            ):
                said = orjson.loads(await answer.read())
        except aiohttp.ClientConnectorError:
            return Outcome.VOID
        except (aiohttp.ClientError, TimeoutError):
            return Outcome.UNKNOWN
        if answer.status in {200, 202}:
            return Outcome.VOID if said.get("already") else Outcome.DONE
        return Outcome.VOID if answer.status < 500 or said["code"] in NOT_DONE else Outcome.UNKNOWN

    async def _poll(self) -> None:
        is_served = False
        while True:
            status, body, headers = await self._daemon.get("/traefik")
            if status == 200:
                is_served, revision = True, int(headers["X-Bluegreen-Revision"])
                if revision != self.revision:
                    self._told.records.append(Served(self.name, asyncio.get_running_loop().time(), revision, body))
                self.revision = revision
            elif is_served and status:
                self.dark.append(status)
            await asyncio.sleep(POLL_S)
