"""Checks over HTTP/2 of a server that is none of ours: Go's, in Traefik."""

from dataclasses import replace

import pytest

from provider.checks.exchange import Target, send_request
from provider.checks.http2 import Http2Answer
from provider.model import Health
from tests.support.health_checks import HTTP, judged, probe
from tests.support.traefik import DocumentServer, StartTraefik
from tests.support.waiting import eventually

CHECK = replace(HTTP, path="/api/version", insecure_skip_verify=True)


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("scheme", ["h2c", "https"])
async def test_a_server_of_h2c_and_one_that_chooses_h2_in_tls_are_asked_over_http2(
    documents: DocumentServer, start_traefik: StartTraefik, scheme: str, *, closes: bool
) -> None:
    """Rule 33. The scheme of the check wins over that of the URL, and another status than expected fails.

    A server that wants to close the connection says so before it answers.
    """
    router = {"rule": "Host(`shop.test`)", "service": "api@internal", "middlewares": ["closing"] if closes else []}
    closing = {"headers": {"customResponseHeaders": {"Connection": "close"}}}
    documents.publish(
        {
            "http": {
                "routers": {"plain": router, "encrypted": {**router, "tls": {}}},
                "middlewares": {"closing": closing},
            }
        }
    )
    traefik = await start_traefik(documents.url)
    await eventually(traefik.routers)
    asked = probe(traefik.url("web"), replace(CHECK, scheme=scheme), host="shop.test")
    target = Target.of(asked)
    async with send_request(target, "GET", target.url, verify=False) as answer:
        assert isinstance(answer, Http2Answer)
        assert answer.status == 200
    assert await judged(asked) == (Health.HEALTHY, None)
    assert await judged(replace(asked, host="other.test")) == (Health.UNHEALTHY, "404, expected 200-399")
