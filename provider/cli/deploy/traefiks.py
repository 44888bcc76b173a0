"""Asks each Traefik whether its own provider sees the service, which then gets no second colour (rule 36).

Traefik merges the equal routers of both colours and deletes those that differ, so a release would change what it shows
past the daemon.
"""

import asyncio
from collections.abc import Iterable

from provider.cli.client.follow import Log
from provider.cli.deploy.engine import addresses_of
from provider.cli.deploy.options import DeployRefused
from provider.cli.doctor.checks import adoption
from provider.cli.doctor.facts import traefik
from provider.cli.doctor.facts.applied import adopted_servers
from provider.model import api_types as api

NONE = "none"


def check_unseen(status: api.Service, traefiks: Iterable[str], log: Log) -> None:
    """Raise DeployRefused if a Traefik's own provider sees the containers of a service.

    Nothing is known, and nothing refused, where none answers here.
    """
    urls, name = [url for url in traefiks if url != NONE], status["service"]
    if not urls:
        return
    servers = [server for found in status["colours"].values() for server in found["servers"]]
    containers = frozenset(server["container"] for server in servers if server["container"] is not None)
    adopted = adoption.Adopted(adopted_servers([status]), {}, hosts={name: addresses_of(containers)})
    for found in asyncio.run(_ask(urls)):
        for finding in found.findings:
            log(f"{name}: not checked whether Traefik's own provider sees it: {finding.where}: {finding.what}")
        for one in found.traefiks:
            seen = adoption.seen(one.objects, adopted)
            if names := seen.get(name):
                raise DeployRefused(
                    f"{name}: not started; the own provider of Traefik {one.api} sees its containers, too "
                    f"({', '.join(sorted(names)[: adoption.NAMED_MOST])}), and would merge the routers of both "
                    f"colours: {adoption.WAY_OUT}; see docs/labels.md"
                )


async def _ask(urls: Iterable[str]) -> list[traefik.Gathered]:
    return list(await asyncio.gather(*(traefik.gather(url, is_whole=False) for url in urls)))
