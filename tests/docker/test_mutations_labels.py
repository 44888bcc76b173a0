"""Containers that nobody would start on purpose: each is a server, or says why it is none, and harms no other."""

import os
import random
from collections.abc import Mapping
from typing import Any

from provider.docker.container import UNREADABLE as WRONG
from provider.docker.container import container_from
from provider.docker.labels import Scope
from provider.docker.sighting import sight, unreadable
from tests.support.hostile import container

EXAMPLES = int(os.environ.get("BLUEGREEN_EXAMPLES", "150"))
SCOPE = Scope("production", required=False)
KEYS = ("service", "colour", "color", "port", "scheme", "network", "version", "environment", "use-bind-port", "x", "")
VALUES: tuple[Any, ...] = (
    *(
        "",
        " ",
        "shop",
        "blue",
        "GREEN",
        "red",
        "80",
        "0",
        "-1",
        "65536",
        "9" * 5000,
        "8080/tcp",
        "٣",
        "1e3",
        "true",
        "yes",
    ),
    *(
        "http",
        "h2c",
        "HTTPS",
        "ftp",
        "javascript",
        "bridge",
        "x" * 100_000,
        "a\nb",
        "a\0b",
        "\x1b[31m",
        "\u202e",
        "\ud800",
    ),
    *("../..", "{{ .Env }}", "${X}", "Host(`a`)", None, 7, 1.5, True, [], {}, ["a"], {"a": "b"}),
)
PORTS: tuple[Any, ...] = (
    *(None, [], {}, "80", [None], [{}], [{"Type": "tcp"}], [{"PrivatePort": -1, "Type": "tcp"}]),
    *([{"PrivatePort": 10**400, "Type": "tcp"}], [{"PrivatePort": "80", "Type": "tcp", "PublicPort": 99999, "IP": 5}]),
)
NETWORKS: tuple[Any, ...] = (
    *(None, {}, {"Networks": None}, {"Networks": []}, {"Networks": {"a": None}}, {"Networks": {"a": {"IPAddress": 7}}}),
    *({"Networks": {"a": {"IPAddress": "not an address"}}}, {"Networks": {"a\ud800": {"IPAddress": "::1%eth0"}}}),
    {"Networks": {str(number): {"IPAddress": f"10.0.{number // 250}.{number % 250}"} for number in range(500)}},
)


def mutated(at: random.Random) -> dict[str, Any]:
    labels = {f"bluegreen.{at.choice(KEYS)}": at.choice(VALUES) for _ in range(at.randrange(6))}
    whole = container("shop", labels=labels)
    for _ in range(at.randrange(3)):
        name = at.choice(list(whole))
        match name:
            case "Ports":
                whole[name] = at.choice(PORTS)
            case "NetworkSettings":
                whole[name] = at.choice(NETWORKS)
            case _:
                whole[name] = at.choice(VALUES)
    return whole


def sighted(listed: Mapping[str, Any]) -> Any:
    """What the listing makes of an entry."""
    try:
        return sight(container_from(listed), SCOPE, "127.0.0.1")
    except WRONG:
        return unreadable(listed)


def test_any_container_is_a_server_or_says_in_a_few_words_why_it_is_none() -> None:
    """Nothing from outside is without a bound. A seed that fails is played again by `random.Random(seed)`."""
    servers = 0
    for seed in range(10 * EXAMPLES):
        found = sighted(mutated(random.Random(seed)))
        if found is None:  # of another environment
            continue
        texts = f"{found.service}{found.name}{found.warning}{found.fix}"
        assert found.server is not None or found.warning, seed
        assert len(texts) < 5000, seed
        texts.encode()
        servers += found.server is not None
    assert 0 < servers < 10 * EXAMPLES
