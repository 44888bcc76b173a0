"""A Docker Engine that has only containers with labels, thousands of them, for a Traefik to list and inspect."""

import asyncio
import re
from collections.abc import Mapping

from aiohttp import web

from provider.traefik.process import LOOPBACK
from tests.support.traefik import Endpoint

HEADERS = {"Api-Version": "1.44", "Ostype": "linux"}
VERSION = {"ApiVersion": "1.44", "MinAPIVersion": "1.24", "Version": "25.0.0", "Os": "linux"}


class LabelledEngine(Endpoint):
    """Answers what Traefik asks about containers of these labels by name, which all are on the loopback address."""

    def __init__(self, containers: Mapping[str, Mapping[str, str]], ports: tuple[str, ...]) -> None:
        super().__init__()
        self._containers, self._ports = containers, dict.fromkeys(ports)
        self._stopping = asyncio.Event()

    async def stop(self) -> None:
        self._stopping.set()
        await super().stop()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = re.sub(r"^/v[0-9.]+", "", request.path)
        if path == "/_ping":
            return web.Response(text="OK", headers=HEADERS)
        if path == "/events":
            response = web.StreamResponse(headers=HEADERS)
            await response.prepare(request)
            await self._stopping.wait()
            return response
        found = re.fullmatch(r"/containers/(\w+)/json", path)
        if path == "/version":
            answer: object = VERSION
        elif path == "/containers/json":
            answer = [{"Id": name, "Names": [f"/{name}"], "State": "running"} for name in self._containers]
        elif found is not None:
            answer = self._inspected(found[1])
        else:
            return web.Response(status=404)
        return web.json_response(answer, headers=HEADERS)

    def _inspected(self, name: str) -> object:
        return {
            "Id": name,
            "Name": f"/{name}",
            "State": {"Status": "running", "Running": True},
            "Config": {"Labels": self._containers[name]},
            "HostConfig": {"NetworkMode": "bridge"},
            "NetworkSettings": {
                "Ports": self._ports,
                "Networks": {"bridge": {"IPAddress": LOOPBACK, "NetworkID": "bridge"}},
            },
        }
