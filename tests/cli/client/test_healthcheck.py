"""The question of a container's health check, asked of the listener as it is."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from provider.api.listen import listen
from provider.api.provider import provider_app
from provider.api.tls import TlsFiles, read_context
from provider.cli.main import main
from provider.model import Colour
from provider.observability.metrics import Metrics
from provider.traefik.process import free_ports
from tests.support.certificates import Authority
from tests.support.running import Running, running, shop


async def healthcheck(*arguments: object, **environment: str) -> Result:
    words = ["healthcheck", *map(str, arguments)]
    return await asyncio.to_thread(lambda: CliRunner().invoke(main, words, env=environment))


@asynccontextmanager
async def provider(daemon: Running, address: str, tls: TlsFiles | None = None) -> AsyncIterator[None]:
    runner = web.AppRunner(provider_app(daemon.replica, Metrics()), access_log=None)
    await runner.setup()
    try:
        await listen(runner, address, read_context(tls) if tls else None)
        yield
    finally:
        await runner.cleanup()


async def test_a_daemon_without_a_document_is_alive_and_not_ready(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    async with running(tmp_path) as daemon, provider(daemon, f"0.0.0.0:{port}"):
        alive = await healthcheck(BLUEGREEN_LISTEN=f"0.0.0.0:{port}")
        assert (alive.exit_code, alive.output) == (0, "alive\n")
        waits = await healthcheck("--ready", "--listen", f":{port}")
        assert waits.exit_code == 1
        assert "/readyz" in waits.output
        assert "answers 503" in waits.output
        daemon.load(shop())
        await daemon.judge(Colour.BLUE)
        await daemon.until_served(blue=["http://127.0.0.1:8081"])
        assert (await healthcheck("--ready", "--listen", f":{port}")).output == "ready\n"


async def test_a_daemon_that_does_not_answer_is_not_alive(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    nobody = await healthcheck("--listen", f"127.0.0.1:{port}")
    assert nobody.exit_code == 1
    assert f"no daemon answers at 127.0.0.1:{port} (--listen, BLUEGREEN_LISTEN)" in nobody.output
    with socket.create_server(("127.0.0.1", port)):  # the kernel takes connections, and nobody reads them
        hung = await healthcheck("--listen", f"127.0.0.1:{port}", "--timeout", "0.2")
    assert hung.exit_code == 1
    assert "timed out" in hung.output


@pytest.mark.parametrize("mutual", [False, True])
async def test_a_daemon_with_tls_is_alive_also_where_it_wants_certificates(tmp_path: Path, mutual: bool) -> None:
    (port,) = free_ports(1)
    authority = Authority(tmp_path)
    cert, key = authority.issue("bluegreen", for_hosts="DNS:bluegreen.example.com")
    files = TlsFiles(cert, key, authority.ca if mutual else None)
    flags = ["--listen", f"127.0.0.1:{port}", "--tls-cert", cert, *(["--tls-client-ca", authority.ca] * mutual)]
    async with running(tmp_path / "state") as daemon, provider(daemon, f"127.0.0.1:{port}", files):
        alive = await healthcheck(*flags)
        assert alive.exit_code == 0, alive.output
        assert alive.output.startswith("alive")
        assert (await healthcheck(*flags[:2])).exit_code == 1
        assert (await healthcheck(*flags, "--ready")).exit_code == (2 if mutual else 1)


def test_what_is_no_address_is_bad_usage() -> None:
    assert CliRunner().invoke(main, ["healthcheck", "--listen", "8900"]).exit_code == 2


def test_it_imports_nothing_slow_as_it_starts_every_few_seconds() -> None:
    script = (
        "import sys\nfrom provider.cli.main import main\n"
        "try: main(['healthcheck', '--listen', '127.0.0.1:1'])\n"
        "finally: print(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    loaded = set(done.stderr.split())
    assert "http.client" in loaded
    assert loaded & {"aiohttp", "asyncio", "docker", "orjson", "pydantic", "rich", "structlog", "yaml"} == set()
