"""What the demo plays on, all of it real and on loopback: the applications, the daemon, Traefik, and the file."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self, TypeVar

from provider.demo.application import HEALTH, TEST, TEST_PASSED, Application
from provider.demo.daemon import LOOK_S, Content, Daemon
from provider.demo.news import News
from provider.errors import BluegreenError
from provider.model import Colour
from provider.traefik import Traefik, free_ports

SHOP = "shop"
POLL_S = 1.0
THROTTLE_S = 0.1
"""As config/traefik.yaml has it."""
READ_S = 0.02
START_ATTEMPTS = 3
PORT_TAKEN = "address already in use"
PREVIEW_HOST = "preview.localhost"
FILE = """\
# The desired-state file of the demo. The daemon follows every edit of it.
environment: demo
traefik:
  api: [{api}]    # what Traefik applied is read back here
  defaultCertificate: generated    # spares Traefik an RSA key, some 45 ms, at every change
defaults:
  router: {{entryPoints: [web]}}
  settle: 1s
  healthCheck: {{path: {health}, interval: 250ms, timeout: 2s, healthyAfter: 3, unhealthyAfter: 2}}
  smokeTests: [{{name: checkout, path: {test}, contains: {test_passed}}}]
  approval: {approval}
  watch: {watch}
services:
"""
FILE_SERVICE = """\
  {service}:
    active: auto    # blue, green, or auto: a new release takes over once it is proven
    router: {{rule: "PathPrefix(`{path}`)"}}
{more}    servers:
"""
FILE_PREVIEW = f'    preview: {{rule: "Host(`{PREVIEW_HOST}`)"}}\n'
FILE_GROUP = "    group: storefront\n"
FILE_COLOUR = '      {colour}: {{urls: ["{url}"], version: "{version}"}}\n'

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setting:
    """What a story needs of the file: its services by the path that leads to them, and its gates. Durations are Go's.

    Several services are one group.
    """

    services: Mapping[str, str]
    watch: str
    approval: str = "automatic"
    preview: bool = False


class Stage:
    """Everything that plays, alive within `async with`; `follow` keeps what is seen of it up to date."""

    def __init__(self, binary: Path, setting: Setting) -> None:
        self.setting = setting
        self.news = News()
        self.applications: list[Application] = []
        """In the order in which they started."""
        self.named: dict[tuple[str, Colour], Application] = {}
        """Those that the file names."""
        self.statuses: dict[str, Content] = {}
        self.applied: dict[str, dict[str, int]] = {}
        """The weights by service and colour that Traefik says it has."""
        self.routers: frozenset[str] = frozenset()
        """The routers that Traefik says it has."""
        self.seen: Counter[tuple[str, ...]] = Counter()
        """How often the services were seen at these colours, in documents and in what Traefik applied."""
        self.file: Path
        self.daemon: Daemon
        self.traefik: Traefik
        self._binary = binary
        self._api = ""
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="bluegreen-demo-")))
            self.file = folder / "desired.yaml"
            self._stack = stack  # what starts from here on ends with the rest, whatever fails
            self.edit(*[await self.start(service, Colour.BLUE, "1") for service in self.setting.services])
            self.daemon = await _started(stack, lambda: Daemon(self.file, folder, *free_ports(2)))
            self.traefik = await _started(stack, self._new_traefik)
            self._api = self.traefik.api
            self.edit()
            await self.look()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def status(self) -> Content:
        """How the first service stands; those of a group move together."""
        return next(iter(self.statuses.values()))

    async def start(self, service: str, colour: Colour, version: str) -> Application:
        """Start a version of a service; nobody knows of it until an edit names it."""
        new = await self._stack.enter_async_context(Application(service, colour, version))
        self.applications.append(new)
        return new

    def edit(self, *new: Application) -> None:
        """Let the file name these, each in its colour; it is replaced in one step, as editors do."""
        self.named |= {(one.service, one.colour): one for one in new}
        beside = self.file.with_suffix(".new")
        beside.write_text(self._text())
        beside.replace(self.file)

    async def follow(self) -> None:
        """Look at the daemon and at Traefik again and again; raise what either died of."""
        while True:
            await self.look()
            self.news.tell()
            await asyncio.sleep(LOOK_S)

    async def read_documents(self) -> None:
        """Read the document again and again, as a Traefik that polls very often does, and note it in `seen`."""
        while True:
            services = (await self.daemon.document())["http"]["services"]
            children = {name: services[name]["weighted"]["services"] for name in self.setting.services}
            self._note({name: _weights(name, found) for name, found in children.items()})
            await asyncio.sleep(READ_S)

    def _note(self, weights: Mapping[str, Mapping[str, int]]) -> None:
        self.seen[tuple("+".join(weights.get(name, ())) for name in self.setting.services)] += 1

    async def look(self) -> None:
        """See how everything stands at this moment."""
        self.statuses = {name: await self.daemon.status(name) for name in self.setting.services}
        raw = await self.traefik.raw_data()
        self.routers = frozenset(name.removesuffix("@http") for name in raw.get("routers", {}))
        applied = raw.get("services", {})
        found = {name: applied.get(f"{name}@http", {}).get("weighted") for name in self.setting.services}
        self.applied = {name: _weights(name, one["services"]) for name, one in found.items() if isinstance(one, dict)}
        if self.applied:
            self._note(self.applied)

    def _text(self) -> str:
        setting = self.setting
        text = FILE.format(
            api=f'"{self._api}"' if self._api else "",
            health=HEALTH,
            test=TEST,
            test_passed=TEST_PASSED,
            approval=setting.approval,
            watch=setting.watch,
        )
        more = (FILE_PREVIEW if setting.preview else "") + (FILE_GROUP if len(setting.services) > 1 else "")
        for service, path in setting.services.items():
            text += FILE_SERVICE.format(service=service, path=path, more=more)
            named = [self.named[service, colour] for colour in Colour if (service, colour) in self.named]
            for one in named:
                text += FILE_COLOUR.format(colour=one.colour, url=one.url, version=one.version)
        return text

    def _new_traefik(self) -> Traefik:
        api_port, web_port = free_ports(2)
        return Traefik(
            f"{self.daemon.url}/traefik",
            binary=self._binary,
            api_port=api_port,
            entry_points={"web": web_port},
            poll_interval_s=POLL_S,
            throttle_s=THROTTLE_S,
        )


def _weights(service: str, children: list[Mapping[str, object]]) -> dict[str, int]:
    """Return the weights of a weighted service by colour, as the document and Traefik's API have them."""
    return {
        str(child["name"]).removesuffix("@http").removeprefix(f"{service}-"): int(str(child["weight"]))
        for child in children
    }


async def _started(stack: AsyncExitStack, new: Callable[[], AbstractAsyncContextManager[T]]) -> T:
    """Enter what `new` makes; once more, on other ports, when somebody took one between looking and listening."""
    for _ in range(START_ATTEMPTS - 1):
        try:
            return await stack.enter_async_context(new())
        except BluegreenError as failure:
            if PORT_TAKEN not in str(failure).lower():
                raise
    return await stack.enter_async_context(new())
