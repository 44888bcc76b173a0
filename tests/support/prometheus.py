"""A real Prometheus on the configuration of deploy/prometheus/, asked by its HTTP API."""

import asyncio
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from provider.traefik.process import LOOPBACK, free_ports, stop
from tests.support.waiting import eventually

STOP_S = 10.0


class Prometheus:
    """A Prometheus process, alive within `async with`, that scrapes and judges every second.

    `targets` are the addresses that replace those of prometheus.yml, `token` for the file of the provider token.
    """

    def __init__(self, binary: str, written: Path, folder: Path, targets: Mapping[str, str], token: Path) -> None:
        folder.mkdir()
        self._binary, self._folder = binary, folder
        text = written.read_text()
        for name, stands in {
            **{f'"{target}"': f'"{address}"' for target, address in targets.items()},
            "15s": "1s",
            "rule_files: [rules.yml]": f"rule_files: [{written.parent / 'rules.yml'}]",
            "/run/secrets/provider-token": str(token),
        }.items():
            assert name in text, name
            text = text.replace(name, stands)
        self._config = folder / "prometheus.yml"
        self._config.write_text(text)
        (self._port,) = free_ports(1)
        self.url = f"http://{LOOPBACK}:{self._port}"
        self._process: asyncio.subprocess.Process
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        log = self._folder / "log"
        with log.open("wb") as opened:
            self._process = await asyncio.create_subprocess_exec(
                self._binary,
                f"--config.file={self._config}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address={LOOPBACK}:{self._port}",
                stdin=subprocess.DEVNULL,
                stdout=opened,
                stderr=opened,
            )
        self._session = aiohttp.ClientSession(f"http://{LOOPBACK}:{self._port}")

        async def ready() -> bool:
            assert self._process.returncode is None, log.read_text()
            try:
                async with self._session.get("/-/ready") as answer:
                    return answer.status == 200
            except aiohttp.ClientConnectionError:
                return False

        await eventually(ready)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
        await stop(self._process, STOP_S)

    async def ask(self, query: str) -> list[tuple[dict[str, str], float]]:
        """Return what a query comes to now: each series by its labels, with its value."""
        data = await self._api("/api/v1/query", query=query)
        return [(one["metric"], float(one["value"][1])) for one in data["result"]]

    async def until(self, query: str, *, limit_s: float = 60.0) -> list[tuple[dict[str, str], float]]:
        """Wait until a query returns series."""

        async def look() -> list[tuple[dict[str, str], float]]:
            found = await self.ask(query)
            assert found, query
            return found

        return await eventually(look, limit_s=limit_s)

    async def rules(self) -> list[dict[str, Any]]:
        """Return every rule with its health and its last error."""
        data = await self._api("/api/v1/rules")
        return [rule for group in data["groups"] for rule in group["rules"]]

    async def values(self, label: str, match: str) -> list[str]:
        """Return the values of a label, as Grafana asks for those of a variable."""
        return list(await self._api(f"/api/v1/label/{label}/values", **{"match[]": match}))

    async def _api(self, path: str, **params: str) -> Any:
        async with self._session.get(path, params=params) as answer:
            found = orjson.loads(await answer.read())
        assert found["status"] == "success", (params, found)
        return found["data"]
