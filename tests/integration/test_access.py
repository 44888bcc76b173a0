"""Who is let in, with the whole daemon: a real Traefik that polls with a token and with a certificate, and the CLI."""

import asyncio
import os
import ssl
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from provider.api.tokens import Scope, make_token
from provider.traefik.process import Traefik, free_ports
from tests.support.certificates import Authority
from tests.support.daemon import Daemon, StartDaemon
from tests.support.release import HOST, fixed
from tests.support.traefik import Load, StartBackend, StartTraefik
from tests.support.waiting import eventually


class SecureTraefik(Traefik):
    """A Traefik that polls over TLS, with a certificate of its own where it has one."""

    def trusts(self, authority: Authority, mine: tuple[Path, Path] | None = None) -> None:
        tls = {"ca": str(authority.ca)}
        if mine is not None:
            tls |= {"cert": str(mine[0]), "key": str(mine[1])}
        self._static["providers"]["http"]["tls"] = tls  # type: ignore[index]


@asynccontextmanager
async def polling(
    binary: Path, endpoint: str, authority: Authority, mine: tuple[Path, Path] | None = None
) -> AsyncIterator[Traefik]:
    api_port, web_port = free_ports(2)
    traefik = SecureTraefik(
        endpoint,
        binary=binary,
        api_port=api_port,
        entry_points={"web": web_port},
        poll_interval_s=0.1,
        throttle_s=0.001,
    )
    traefik.trusts(authority, mine)
    async with traefik:
        yield traefik


def write(path: Path, text: str) -> Path:
    """Write a file in one step, as a renewal does."""
    fresh = path.with_suffix(".fresh")
    fresh.write_text(text)
    fresh.chmod(0o600)
    fresh.replace(path)
    return path


async def routed(traefik: Traefik) -> bool:
    return "shop" in await traefik.routers()


async def complaint(traefik: Traefik, words: str) -> bool:
    return any(words in str(line) for line in traefik.log())


async def test_traefik_polls_with_the_provider_token_and_not_without(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend, tmp_path: Path
) -> None:
    """A token that is replaced is known beside the old one, until that is taken away: no poll is turned away before."""
    old, line = make_token("traefik", frozenset({Scope.READ}))
    blue = await start_backend("one")
    daemon = await start_daemon(fixed(blue, None), start=False)
    file = write(tmp_path / "provider-token", line.line)
    daemon.arguments += ["--provider-token-file", str(file)]
    await daemon.start()
    stranger = await start_traefik(daemon.endpoint)
    known = await start_traefik(daemon.endpoint, headers={"Authorization": f"Bearer {old}"})
    await eventually(lambda: routed(known))
    async with Load(known.url("web"), HOST, clients=1) as load:
        await load.until_answer("one")
    await eventually(lambda: complaint(stranger, "401"))
    assert not await routed(stranger)
    assert [(await daemon.get(path))[0] for path in ("/traefik", "/metrics", "/healthz", "/readyz")] == [
        *(401, 401, 200, 200)
    ]
    new, new_line = make_token("traefik", frozenset({Scope.READ}))
    write(file, f"{line.line}\n{new_line.line}\n")
    renewed = await start_traefik(daemon.endpoint, headers={"Authorization": f"Bearer {new}"})
    await eventually(lambda: routed(renewed))
    assert not await complaint(known, "401")
    write(file, new_line.line)
    await eventually(lambda: complaint(known, "401"))
    async with Load(known.url("web"), HOST, clients=1) as load:  # it keeps what it had
        await load.until_answer("one", count=10)
    assert load.failures == []


async def test_traefik_polls_with_mutual_tls_and_a_renewed_certificate_needs_no_restart(
    start_daemon: StartDaemon, start_backend: StartBackend, traefik_binary: Path, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    blue, green = await start_backend("one"), await start_backend("two")
    daemon = await start_daemon(fixed(blue, green, active="blue"), start=False)
    cert, key = authority.issue("first")
    cert, key = cert.replace(tmp_path / "live.crt"), key.replace(tmp_path / "live.key")
    daemon.arguments += ["--tls-cert", str(cert), "--tls-key", str(key), "--tls-client-ca", str(authority.ca)]
    endpoint = daemon.endpoint.replace("http:", "https:")
    await daemon.start(wait=False)
    async with polling(traefik_binary, endpoint, authority, authority.issue("traefik")) as traefik:
        await eventually(lambda: routed(traefik))
        async with polling(traefik_binary, endpoint, authority) as stranger:
            await eventually(lambda: complaint(stranger, endpoint))
            assert not await routed(stranger)
        assert await shown(daemon, authority) == "first"
        new_cert, new_key = authority.issue("second")
        new_key.replace(key)
        new_cert.replace(cert)
        await eventually(lambda: shows(daemon, authority, "second"))
        write(cert, "nonsense")
        await eventually(lambda: daemon.logged("a changed file was refused, what it said before goes on"))
        assert await shown(daemon, authority) == "second"
        before = traefik.log_size()
        async with Load(traefik.url("web"), HOST, clients=2) as load:
            await load.until_all("one")
            daemon.write(fixed(blue, green, active="green"))
            await load.until_all("two")
        assert load.failures == []
        assert traefik.errors(before) == ()
        async with polling(traefik_binary, endpoint, authority, authority.issue("another")) as another:
            await eventually(lambda: routed(another))
    assert await daemon.stop() == 0


async def shown(daemon: Daemon, authority: Authority) -> str | None:
    """Return the name in the certificate of the admin listener."""
    context = ssl.create_default_context(cafile=str(authority.ca))
    context.load_cert_chain(*authority.issue("visitor"))
    port = int(daemon.admin_url.rpartition(":")[2])
    async with asyncio.timeout(30):
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    subject = writer.get_extra_info("peercert")["subject"]
    writer.close()
    await writer.wait_closed()
    return str(subject[0][0][1])


async def shows(daemon: Daemon, authority: Authority, name: str) -> bool:
    return await shown(daemon, authority) == name


async def test_the_command_line_shows_its_token_and_its_certificate(
    start_daemon: StartDaemon, start_backend: StartBackend, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    blue = await start_backend("one")
    daemon = await start_daemon(fixed(blue, None), start=False)
    cert, key = authority.issue("daemon")
    code, line, told = await bluegreen("token", "ann", "--scope", "read")
    assert code == 0
    token = told.splitlines()[1].strip()
    (admin_port,) = free_ports(1)
    daemon.arguments += [
        *("--tls-cert", str(cert), "--tls-key", str(key), "--tls-client-ca", str(authority.ca)),
        *("--tokens-file", str(write(tmp_path / "tokens", line)), "--admin-listen", f"0.0.0.0:{admin_port}"),
    ]
    await daemon.start(wait=False)
    await eventually(lambda: len(daemon.logged("listening")) == 2)
    mine = authority.issue("ann")
    options = {
        "BLUEGREEN_ADMIN": f"https://localhost:{admin_port}",
        "BLUEGREEN_TOKEN": token,
        "BLUEGREEN_CA": str(authority.ca),
        "BLUEGREEN_CERT": str(mine[0]),
        "BLUEGREEN_KEY": str(mine[1]),
    }
    code, out, err = await bluegreen("status", **options)
    assert (code, err) == (0, "")
    assert "shop" in out
    code, _, err = await bluegreen("status", **{**options, "BLUEGREEN_TOKEN": "bg_wrong"})
    assert code == 3
    assert "set it with --token (BLUEGREEN_TOKEN)" in err
    code, _, err = await bluegreen("status", **{**options, "BLUEGREEN_CERT": "", "BLUEGREEN_KEY": ""})
    assert code == 6
    assert "set a certificate of that CA with --cert and --key" in err
    assert token not in daemon.words()


async def bluegreen(*arguments: str, **environment: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "provider", *arguments), stdout=PIPE, stderr=PIPE, env={**os.environ, **environment}
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()
