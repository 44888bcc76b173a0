"""What a real Traefik says of good and bad documents."""

import asyncio
from pathlib import Path

import orjson
import pytest

from provider.model.errors import TraefikError
from provider.traefik.validation import Validation, validate
from tests.support.programs import is_alive, program
from tests.support.waiting import eventually

MARKER = {"bluegreen-0123456789ab": {"headers": {"customResponseHeaders": {"X-Bluegreen-Document": "0123456789ab"}}}}
ROUTER = {"rule": "Host(`shop.test`)", "service": "shop"}
SERVICE = {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:1"}]}}
Json = dict[str, object]


def document(router: Json, *, services: Json | None = None, middlewares: Json | None = None, **top: object) -> bytes:
    """Render a document with a router `shop`: its rule and service and what is given."""
    http = {
        "routers": {"shop": {**ROUTER, **router}},
        "services": {"shop": SERVICE, **(services or {})},
        "middlewares": {**MARKER, **(middlewares or {})},
    }
    return orjson.dumps({"http": http, **top})


@pytest.mark.parametrize(
    "good",
    [
        orjson.dumps({"http": {"middlewares": MARKER}}),
        document({"entryPoints": ["webSecure"], "tls": {"certResolver": "le"}}),
        document({"tls": {"options": "strict"}}, tls={"options": {"strict": {"sniStrict": True}}}),
        document({"middlewares": ["slim", "slim@http"]}, middlewares={"slim": {"compress": {}}}),
        document(
            {"entryPoints": ["web"]},
            tcp={
                "routers": {"db": {"rule": "HostSNI(`*`)", "entryPoints": ["db"], "service": "db"}},
                "services": {"db": {"loadBalancer": {"servers": [{"address": "127.0.0.1:1"}]}}},
            },
            udp={
                "routers": {"dns": {"entryPoints": ["dns"], "service": "dns"}},
                "services": {"dns": {"loadBalancer": {"servers": [{"address": "127.0.0.1:1"}]}}},
            },
        ),
    ],
    ids=["only a marker", "unknown resolver", "TLS options", "middleware", "TCP and UDP"],
)
async def test_traefik_is_content_with_a_good_document(traefik_binary: Path, good: bytes) -> None:
    assert await validate(good, binary=traefik_binary) == Validation((), ())


@pytest.mark.parametrize(
    ("bad", "errors"),
    [
        (document({"middelwares": []}), ["the whole document is refused: field not found, node: middelwares"]),
        (document({}, tcp={"routers": {}}), ["the whole document is refused: routers cannot be a standalone element"]),
        (document({"middlewares": ["nope"]}), ['router shop: middleware "nope@http" does not exist']),
        (document({"rule": "Hots(`x`)"}), ["router shop: error while parsing rule Hots(`x`)"]),
        (document({"service": "nope"}), ['router shop: the service "nope@http" does not exist']),
        (
            document({"tls": {"options": "x"}}, tls={"options": {"x": {"cipherSuites": ["RC4"]}}}),
            ["router shop: building router handler: building TLS config: invalid CipherSuite: RC4"],
        ),
        (
            document({"service": "all"}, services={"all": {"weighted": {"services": [{"name": "nope", "weight": 1}]}}}),
            [
                'router shop: building HTTP service "nope": the service "nope@http" does not exist',
                'service all: building HTTP service "nope": the service "nope@http" does not exist',
            ],
        ),
        (
            document({}, tcp={"routers": {"db": {"rule": "HostSNI(`*`)", "service": "nope"}}}),
            ['tcp router db: the service "nope@http" does not exist'],
        ),
    ],
    ids=[
        "unknown field",
        "empty map",
        "missing middleware",
        "invalid rule",
        "missing service",
        "TLS options",
        "missing child",
        "TCP",
    ],
)
async def test_traefiks_errors_name_the_thing_and_the_reason(
    traefik_binary: Path, bad: bytes, errors: list[str]
) -> None:
    verdict = await validate(bad, binary=traefik_binary)
    assert len(verdict.errors) == len(errors)
    assert all(said.startswith(error) for said, error in zip(verdict.errors, errors, strict=True)), verdict.errors
    assert verdict.notes == ()


async def test_a_middleware_of_another_provider_is_noted_and_hides_no_error_of_our_own(traefik_binary: Path) -> None:
    verdict = await validate(document({"middlewares": ["nope", "auth@docker"]}), binary=traefik_binary)
    assert verdict.errors == ('router shop: middleware "nope@http" does not exist',)
    assert verdict.notes == (
        "http.routers.shop.middlewares: 'auth@docker' is another provider's (only your own Traefik can check this)",
    )


@pytest.mark.parametrize(
    ("elsewhere", "words"),
    [
        (document({"service": "api@docker"}), 'the service "api@docker" does not exist'),
        (document({"tls": {"options": "strict@file"}}), "unknown TLS options: strict@file"),
        (
            document({}, tls={"certificates": [{"certFile": "/x.pem", "keyFile": "/x.key"}]}),
            "Unable to parse certificate",
        ),
        (
            document({"middlewares": ["auth"]}, middlewares={"auth": {"basicAuth": {"usersFile": "/nowhere/users"}}}),
            "/nowhere/users: no such file",
        ),
        (
            document({"middlewares": ["p"]}, middlewares={"p": {"plugin": {"geo": {"a": "b"}}}}),
            "unknown plugin type: geo",
        ),
    ],
    ids=["service", "TLS options", "certificate file", "users file", "plugin"],
)
async def test_what_only_the_operators_traefik_has_is_noted_and_no_error(
    traefik_binary: Path, elsewhere: bytes, words: str
) -> None:
    verdict = await validate(elsewhere, binary=traefik_binary)
    assert verdict.errors == ()
    assert verdict.notes
    assert all(words in note and "only your own Traefik can check this" in note for note in verdict.notes), (
        verdict.notes
    )


async def test_a_document_without_a_marker_cannot_be_validated(traefik_binary: Path) -> None:
    with pytest.raises(ValueError, match="no middleware named bluegreen-"):
        await validate(orjson.dumps({"http": {"routers": {"shop": ROUTER}}}), binary=traefik_binary)


async def test_a_traefik_that_does_not_answer_within_its_time_is_an_error(traefik_binary: Path) -> None:
    with pytest.raises(TraefikError, match="neither applied nor refused the document within 0 s"):
        await validate(document({}), binary=traefik_binary, limit_s=0)


async def test_a_cancelled_validation_leaves_no_process_behind(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    slow = program(tmp_path / "traefik", f"echo $$ > {pid}; exec sleep 600")
    judgement = asyncio.create_task(validate(document({}), binary=slow))
    await eventually(lambda: pid.exists() and pid.read_text().endswith("\n"))
    judgement.cancel()
    with pytest.raises(asyncio.CancelledError):
        await judgement
    assert not is_alive(int(pid.read_text()))
