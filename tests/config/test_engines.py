"""Rule 38: the engines of a file, and every mistake among them."""

from collections.abc import Sequence

import pytest

from provider import config
from provider.model import Engine, EngineTls
from provider.model.errors import DesiredStateError

TLS = "tls: {ca: /c/ca.pem, cert: /c/cert.pem, key: /c/key.pem}"


def load(*engines: str) -> Sequence[Engine]:
    written = "".join(f"    - {{{one}}}\n" for one in engines)
    desired = config.load(f"environment: production\ndocker:\n  engines:\n{written}services: {{}}\n", "x.yaml")
    return desired.engines


def test_engines_are_read_as_they_are_written() -> None:
    found = load(f'name: a, url: "tcp://10.0.0.5:2376/", {TLS}, address: 10.0.0.5', "name: b, url: unix:///run/b.sock")
    tls = EngineTls("/c/ca.pem", "/c/cert.pem", "/c/key.pem")
    assert found == (Engine("a", "tcp://10.0.0.5:2376", tls, "10.0.0.5"), Engine("b", "unix:///run/b.sock"))


def test_a_file_without_engines_has_none() -> None:
    desired = config.load("environment: production\ndocker: {network: proxy}\nservices: {}\n", "x.yaml")
    assert desired.engines == ()


@pytest.mark.parametrize(
    ("engines", "place", "message"),
    [
        (("name: a, url: unix:///a", "name: a, url: unix:///b"), "5:14", "'a' is the name of docker.engines[0]"),
        (
            ('name: a, url: "tcp://DOCKER:2376"', 'name: b, url: "https://docker.:2376/"'),
            "5:22",
            "'https://docker.:2376/' is the engine of docker.engines[0] (x.yaml:4:17) already",
        ),
        (
            ("name: a, url: unix:///var/run/docker.sock", "name: b, url: unix:///run//docker.sock"),
            "5:22",
            "each engine is followed once, so remove one of them",
        ),
        (
            (
                'name: a, url: "tcp://a:2376", address: "::ffff:10.0.0.5"',
                'name: b, url: "tcp://b:2376", address: 10.0.0.5',
            ),
            "5:47",
            "published ports of both would be one, so give each its own",
        ),
        ((f"name: a, url: unix:///a, {TLS}",), "4:33", "goes with tcp:// or https://"),
        ((f'name: a, url: "http://a:2375", {TLS}',), "4:39", "goes with tcp:// or https://"),
        (('name: a, url: "tcp://a"',), "4:22", "is no URL of a Docker Engine: write tcp://HOST:PORT"),
        (('name: a, url: "ssh://a:22"',), "4:22", "is no URL of a Docker Engine"),
        (('name: a, url: "tcp://a:2376", address: "10.0.0.5:80"',), "4:47", "a name or an IP address, without a port"),
        (("name: a/b, url: unix:///a",), "4:14", "is no name of an engine"),
        (("name: a",), "4:7", "required key is missing"),
        (
            ('name: a, url: "tcp://a:1", tls: {ca: ca.pem, cert: /c, key: /k}',),
            "4:45",
            "is no absolute path: write that of a file on the daemon's machine",
        ),
    ],
)
def test_each_mistake_has_its_place_the_rule_and_a_way_out(engines: Sequence[str], place: str, message: str) -> None:
    with pytest.raises(DesiredStateError) as refused:
        load(*engines)
    found = [(f"{one.line}:{one.column}", str(one)) for one in refused.value.problems]
    assert [at for at, _ in found] == [place], found
    assert message in found[0][1]


def test_an_empty_list_of_engines_is_refused() -> None:
    with pytest.raises(DesiredStateError, match="needs at least one entry"):
        config.load("environment: production\ndocker: {engines: []}\nservices: {}\n", "x.yaml")
