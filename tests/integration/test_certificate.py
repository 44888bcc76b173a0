"""The generated default certificate, as clients of a real Traefik see it: across restarts, renewal and a bad disk."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from provider.traefik import certificate
from provider.traefik.certificate import FILE
from provider.traefik.process import Traefik
from tests.support.daemon import Daemon, StartDaemon
from tests.support.disk import full, read_only
from tests.support.release import HOST, fixed, until_routed
from tests.support.traefik import Backend, Load, StartBackend, StartTraefik
from tests.support.waiting import eventually

GENERATED = "traefik: {defaultCertificate: generated}\n"
ROUTER = f'router: {{rule: "Host(`{HOST}`)", entryPoints: [web]}}'
ROUTERS = f"""routers:
      shop: {{rule: "Host(`{HOST}`)", entryPoints: [web]}}
      shop-secure: {{rule: "Host(`{HOST}`)", entryPoints: [web], tls: {{}}}}"""


def file(backend: Backend) -> str:
    """A file with one service that is routed without TLS, and with TLS and no certificate."""
    text = fixed(backend, None)
    assert ROUTER in text
    return text.replace(ROUTER, ROUTERS)


async def ask(traefik: Traefik) -> tuple[x509.Certificate, str]:
    """Send one request over TLS; return the certificate that was shown, and the answer."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    where = urlsplit(traefik.url("web"))
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection(where.hostname, where.port, ssl=context, server_hostname=HOST)
        writer.write(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
    return x509.load_der_x509_certificate(shown), answer.decode()


def kept(daemon: Daemon) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate.read(daemon.state / FILE).cert_pem.encode())


async def shows_what_is_kept(traefik: Traefik, daemon: Daemon) -> bool:
    shown, answer = await ask(traefik)
    return shown == kept(daemon) and answer.startswith("HTTP/1.1 200") and answer.endswith("one")


async def test_traefik_shows_the_certificate_and_the_same_after_a_restart_of_the_daemon(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """P6: also after a crash; the document is the same to the byte."""
    daemon = await start_daemon(GENERATED + file(await start_backend("one")))
    traefik = await start_traefik(daemon.endpoint)
    await eventually(lambda: shows_what_is_kept(traefik, daemon))
    shown, _ = await ask(traefik)
    assert shown.subject.rfc4514_string() == "CN=bluegreen default certificate"
    assert isinstance(shown.public_key(), ec.EllipticCurvePublicKey)
    _, document, _ = await daemon.get("/traefik")
    for end in (daemon.stop, daemon.kill):
        await end()
        await daemon.start()
        await eventually(daemon.document)
        assert (await daemon.get("/traefik"))[1] == document
        another = await start_traefik(daemon.endpoint)
        await eventually(lambda another=another: shows_what_is_kept(another, daemon))  # type: ignore[misc]
        assert (await ask(traefik))[0] == (await ask(another))[0] == shown
    assert len(daemon.logged("default certificate made")) == 1
    assert not daemon.logged("default certificate renewed")


@pytest.mark.takes(12)
async def test_a_certificate_whose_time_comes_is_renewed_without_a_restart(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    backend = await start_backend("one")
    daemon = await start_daemon(file(backend))
    await eventually(daemon.document)  # a Traefik that polls before there is one says so
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "one")
    in_8_s = certificate.make(datetime.now(UTC) - timedelta(seconds=52), timedelta(seconds=90))
    certificate.write(daemon.state / FILE, in_8_s)
    daemon.write(GENERATED + file(backend))
    before = x509.load_pem_x509_certificate(in_8_s.cert_pem.encode())
    async with Load(traefik.url("web"), HOST, clients=2) as load:
        await eventually(lambda: daemon.logged("default certificate renewed"))
        assert kept(daemon) != before
        await eventually(lambda: shows_what_is_kept(traefik, daemon))
        await load.until_answer("one", count=10)
    assert load.failures == []
    assert traefik.errors() == ()
    assert await daemon.condition("default-certificate-failing") is None


@pytest.mark.parametrize(("spoilt", "why"), [(full, "No space left on device"), (read_only, "Read-only file system")])
async def test_a_certificate_that_the_disk_does_not_take_stops_no_traffic_and_comes_later(
    start_daemon: StartDaemon,
    start_traefik: StartTraefik,
    start_backend: StartBackend,
    disk: Path,
    spoilt: Callable[[Path], AbstractContextManager[None]],
    why: str,
) -> None:
    """P4."""
    backend = await start_backend("one")
    daemon = await start_daemon(file(backend), state=disk / "state")
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "one")
    async with Load(traefik.url("web"), HOST, clients=2) as load:
        with spoilt(disk):
            daemon.write(GENERATED + file(backend))
            failing = await daemon.until_condition("default-certificate-failing")
            assert f"{daemon.state / FILE}: cannot be written: {why}" in failing["message"]
            assert (await ask(traefik))[0].subject.rfc4514_string() == "CN=TRAEFIK DEFAULT CERT"
            await load.until_answer("one", count=10)
            assert "tls" not in await daemon.document()
        await daemon.until_condition("default-certificate-failing", holds=False)
        await eventually(lambda: shows_what_is_kept(traefik, daemon))
    assert load.failures == []
    assert len(daemon.logged("default certificate failing")) == 1
