"""Everything that takes part in the demo, real and on loopback: applications, daemon, Traefik, and the file."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from provider.cli.demo.application import HEALTH, TEST, TEST_PASSED, Application
from provider.cli.demo.daemon import CHECK_EVERY_S, Content, DaemonProcess
from provider.cli.demo.wait import Waiter
from provider.model import Colour
from provider.model.errors import BluegreenError
from provider.runtime.resource import Resource
from provider.traefik.process import Traefik, free_ports

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
{defaults}services:
"""
FILE_SERVICE = """\
  {service}:
    active: {active}    # blue, green, or auto: a new release takes over once it is proven
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

    Several services are one group. `defaults` are further lines of the
    defaults, written once Traefik is there.
    """

    services: Mapping[str, str]
    watch: str
    approval: str = "automatic"
    preview: bool = False
    active: str = "auto"
    defaults: tuple[str, ...] = ()


class Stage(Resource):
    """Everything that takes part, alive within `async with`; `follow` keeps its status up to date."""

    starts = "Starting the daemon and Traefik on free ports."
    follows_file = True
    """Whether an edit of the file is enough; several replicas have to be told of it."""

    def __init__(self, binary: Path, setting: Setting) -> None:
        self.setting = setting
        self.waiter = Waiter()
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
        self.daemon: DaemonProcess
        self.traefik: Traefik
        self._binary = binary
        self._apis: list[str] = []

    async def _start(self, stack: AsyncExitStack) -> None:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bluegreen-demo-")))
        self.file = folder / "desired.yaml"
        self.edit(*[await self.start(service, Colour.BLUE, "1") for service in self.setting.services])
        await self._begin(stack, folder)
        await self.update()

    async def _begin(self, stack: AsyncExitStack, folder: Path) -> None:
        """Start the daemon and Traefik; the file names the applications already."""
        self.daemon = await started(stack, lambda: DaemonProcess(self.file, folder, *free_ports(2)))
        self.traefik = await started(stack, self._new_traefik)
        self._apis = [self.traefik.api]
        self.edit()

    @property
    def other_entries(self) -> tuple[str, ...]:
        """The URLs of further Traefiks that get requests."""
        return ()

    @property
    def status(self) -> Content:
        """The status of the first service; those of a group switch together."""
        return next(iter(self.statuses.values()))

    async def start(self, service: str, colour: Colour, version: str) -> Application:
        """Start a version of a service; the daemon knows it after an edit names it."""
        new = await self._stack.enter_async_context(Application(service, colour, version))
        self.applications.append(new)
        return new

    def edit(self, *new: Application) -> None:
        """Write these into the file, each in its colour; it is replaced in one step, as editors do."""
        self.named |= {(one.service, one.colour): one for one in new}
        beside = self.file.with_suffix(".new")
        beside.write_text(self._text())
        beside.replace(self.file)

    async def follow(self) -> None:
        """Update again and again; raise if the daemon or Traefik dies."""
        while True:
            await self.update()
            self.waiter.notify()
            await asyncio.sleep(CHECK_EVERY_S)

    async def read_documents(self) -> None:
        """Read the document again and again, as a Traefik that polls very often does, and note it in `seen`."""
        while True:
            services = (await self.daemon.document())["http"]["services"]
            children = {name: services[name]["weighted"]["services"] for name in self.setting.services}
            self._note({name: weights_of(name, found) for name, found in children.items()})
            await asyncio.sleep(READ_S)

    def _note(self, weights: Mapping[str, Mapping[str, int]]) -> None:
        self.seen[tuple("+".join(weights.get(name, ())) for name in self.setting.services)] += 1

    async def update(self) -> None:
        """Read the status of the daemon, and what Traefik has applied."""
        self.statuses = {name: await self.daemon.status(name) for name in self.setting.services}
        raw = await self.traefik.raw_data()
        self.routers = frozenset(name.removesuffix("@http") for name in raw.get("routers", {}))
        applied = raw.get("services", {})
        found = {name: applied.get(f"{name}@http", {}).get("weighted") for name in self.setting.services}
        self.applied = {name: weights_of(name, one["services"]) for name, one in found.items() if isinstance(one, dict)}
        if self.applied:
            self._note(self.applied)

    def _text(self) -> str:
        setting = self.setting
        text = FILE.format(
            api=", ".join(f'"{api}"' for api in self._apis),
            health=HEALTH,
            test=TEST,
            test_passed=TEST_PASSED,
            approval=setting.approval,
            watch=setting.watch,
            defaults="".join(f"  {line}\n" for line in setting.defaults if self._apis),
        )
        more = (FILE_PREVIEW if setting.preview else "") + (FILE_GROUP if len(setting.services) > 1 else "")
        for service, path in setting.services.items():
            text += FILE_SERVICE.format(service=service, active=setting.active, path=path, more=more)
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


def weights_of(service: str, children: list[Mapping[str, object]]) -> dict[str, int]:
    """Return the weights of a weighted service by colour, as the document and Traefik's API have them."""
    return {
        str(child["name"]).removesuffix("@http").removeprefix(f"{service}-"): int(str(child["weight"]))
        for child in children
    }


async def started(stack: AsyncExitStack, new: Callable[[], AbstractAsyncContextManager[T]]) -> T:
    """Enter what `new` makes; retry on other ports if somebody took one in between."""
    for _ in range(START_ATTEMPTS - 1):
        try:
            return await stack.enter_async_context(new())
        except BluegreenError as failure:
            if PORT_TAKEN not in str(failure).lower():
                raise
    return await stack.enter_async_context(new())
