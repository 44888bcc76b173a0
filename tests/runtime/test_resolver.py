"""Look-ups of host names, also where no name server answers."""

import os
import socket
import subprocess
import sys

import pytest

from provider.runtime.resolver import Resolver, look_up
from tests.support.paths import ROOT

UNANSWERED = """\
import asyncio, socket, threading, time, uvloop
from yarl import URL
from provider.checks.exchange import Target, send_request
from provider.runtime.resolver import look_up
from provider.traefik.readback import api

asked = threading.Semaphore(0)

def getaddrinfo(*arguments, **options):
    asked.release()
    time.sleep(600)

socket.getaddrinfo = getaddrinfo

async def main():
    async def check():
        url = "http://b.example.com/"
        async with send_request(Target.at(url, "/", host=None, headers=()), "GET", URL(url)):
            pass

    async with api.open_session() as reads:
        look_ups = [
            asyncio.ensure_future(look_up("a.example.com", 80)),
            asyncio.ensure_future(check()),
            asyncio.ensure_future(reads.get("http://c.example.com/")),
        ]
        for _ in look_ups:
            await asyncio.to_thread(asked.acquire)
        for one in look_ups:
            one.cancel()
        await asyncio.gather(*look_ups, return_exceptions=True)
        print("stopped")

uvloop.run(main())
"""


def test_a_name_server_that_does_not_answer_does_not_hold_up_the_end_of_the_process() -> None:
    """Neither of a look-up by name, a health check, nor a question to Traefik."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", UNANSWERED], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == "stopped\n"


async def test_a_name_has_each_of_its_addresses_once_and_an_address_is_its_own() -> None:
    assert "127.0.0.1" in await look_up("localhost", 80)
    assert await look_up("127.0.0.1", None) == ("127.0.0.1",)
    assert await look_up("::1", 80) == ("::1",)
    with pytest.raises(UnicodeError):
        await look_up("a..b", 80)


async def test_aiohttp_gets_addresses_with_the_port_that_it_asked_for() -> None:
    (found,) = await Resolver().resolve("localhost", 8080, socket.AF_INET)
    assert (found["hostname"], found["host"], found["port"]) == ("localhost", "127.0.0.1", 8080)
    assert found["flags"] & socket.AI_NUMERICHOST
