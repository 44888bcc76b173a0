"""The document that a file gives without a daemon, and what had to be assumed for it."""

import orjson
import pytest

from provider import config
from provider.cli import offline
from provider.model import ByColour, Desired, FixedServers
from tests.support.endpoints import broker

BOTH = "servers: {blue: {urls: ['http://127.0.0.1:1']}, green: {urls: ['http://127.0.0.1:2']}}"
ONLY_GREEN = "servers: {green: {urls: ['http://127.0.0.1:2']}}"


def rendered(fields: str) -> tuple[list[str], tuple[str, ...]]:
    """Return the services of the document, and the assumptions."""
    text = f"environment: test\nservices:\n  shop: {{router: {{rule: 'Host(`shop`)'}}, {fields}}}\n"
    document, assumed = offline.document(config.load(text, "test.yaml"))
    return sorted(orjson.loads(document.body)["http"]["services"]), assumed


@pytest.mark.parametrize(
    ("fields", "colour", "assumed"),
    [
        (f"active: green, {BOTH}", "green", ()),
        (f"initial: green, {BOTH}", "green", ()),
        (ONLY_GREEN, "green", ()),
        (BOTH, "blue", ("shop: the file alone does not settle the active colour; blue is shown",)),
        ("active: green", "green", ("shop: the servers of green come from Docker; none are shown",)),
        (
            f"active: blue, {ONLY_GREEN}",
            "blue",
            ("shop: the file has no servers for blue; requests would be answered with 503",),
        ),
        (
            "hold: false",
            "blue",
            (
                "shop: the file alone does not settle the active colour; blue is shown",
                "shop: the servers of blue come from Docker; none are shown",
            ),
        ),
    ],
)
def test_a_file_is_rendered_as_at_first_sight_and_says_what_it_assumes(
    fields: str, colour: str, assumed: tuple[str, ...]
) -> None:
    """Rule 1."""
    assert rendered(fields) == (["shop", f"shop-{colour}"], assumed)


def test_an_endpoint_for_which_the_file_has_no_servers_is_named() -> None:
    """Rule 31."""
    urls, others = ("http://127.0.0.1:1",), (("mqtt", ("tcp://127.0.0.1:2",)),)
    of = broker(servers=ByColour(FixedServers(urls, None, "r1", others), None))
    document, assumed = offline.document(Desired("test", {"broker": of}))
    assert orjson.loads(document.body).keys() == {"http", "tcp", "udp"}
    assert assumed == (
        "broker: the file has no servers for blue at endpoint tls; nobody would answer",
        "broker: the file has no servers for blue at endpoint dns; nobody would answer",
    )


def test_a_generated_certificate_is_left_out_and_said_so() -> None:
    """P6: what is rendered is the same each time, and holds no key."""
    text = f"""\
environment: test
traefik: {{defaultCertificate: generated}}
services: {{shop: {{router: {{rule: 'Host(`shop`)'}}, {ONLY_GREEN}}}}}
"""
    document, assumed = offline.document(config.load(text, "test.yaml"))
    assert orjson.loads(document.body).keys() == {"http"}
    assert assumed == ("traefik: the default certificate is kept by the daemon that generates it; none is shown",)
