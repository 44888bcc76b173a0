"""A service, its releases, and the route to them."""

from provider.traefik.process import Traefik
from tests.support.daemon import FAST_CHECKS, Daemon, StartDaemon
from tests.support.traefik import Backend, StartBackend, StartTraefik
from tests.support.waiting import eventually

HOST = "shop.example.com"


def fixed(
    blue: Backend | None,
    green: Backend | None,
    *,
    active: str = "auto",
    health: str = FAST_CHECKS,
    watch: str = "0s",
    deadlines: str = "confirming: 200ms",
    api: str | None = None,
    more: str = "",
) -> str:
    """A file with one service on fixed servers, read back from `api`; by default no longer watched than necessary."""
    traefik = f"traefik: {{api: ['{api}']}}\n" if api else ""
    colours = "".join(
        f"      {colour}: {{urls: ['{backend.url}'], version: '{backend.name}'}}\n"
        for colour, backend in (("blue", blue), ("green", green))
        if backend is not None
    )
    return f"""\
environment: production
{traefik}services:
  shop:
    active: {active}
    router: {{rule: "Host(`{HOST}`)", entryPoints: [web]}}
    settle: 100ms
    healthCheck: {health}
    deadlines: {{{deadlines}}}
    watch: {watch}
    servers:
{colours}{more}"""


IN_DOCKER = f"""\
environment: production
release: {{ignoreEnv: [LISTEN]}}
services:
  shop:
    router: {{rule: "Host(`{HOST}`)", entryPoints: [web]}}
    settle: 200ms
    healthCheck: {FAST_CHECKS}
    deadlines: {{confirming: 200ms}}
    watch: 0s
"""


async def until_routed(daemon: Daemon, url: str, body: str, *, host: str = HOST) -> None:
    """Wait until Traefik answers with this body: it has fetched its first document."""

    async def look() -> bool:
        status, answer, _ = await daemon.get("/", base=url, host=host)
        return status == 200 and answer.decode() == body

    await eventually(look)


async def routed_shop(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> tuple[Daemon, Traefik, Backend, Backend]:
    """Start shop with blue active and wait until Traefik routes it; return daemon, Traefik, blue and green."""
    blue, green = await start_backend("one"), await start_backend("two")
    daemon = await start_daemon(fixed(blue, green, active="blue"))
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "one")
    return daemon, traefik, blue, green


HTTP_CHECKS = "{mode: http, path: /healthz, interval: 100ms, timeout: 2s, healthyAfter: 2, unhealthyAfter: 2}"


async def is_healthy(daemon: Daemon, colour: str) -> bool:
    """Tell whether every server of a colour of the shop is healthy."""
    return bool((await daemon.status("shop"))["colours"][colour]["state"] == "healthy")
