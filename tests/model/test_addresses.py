"""Addresses to listen on and those of servers, as they are written."""

import pytest

from provider.model.addresses import Place, place_of, split_address
from provider.model.errors import AddressError


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("127.0.0.1:8900", "127.0.0.1", 8900),
        ("localhost:8900", "localhost", 8900),
        ("[::1]:8900", "::1", 8900),
        (":8900", "", 8900),
        ("0.0.0.0:0", "0.0.0.0", 0),
    ],
)
def test_an_address_to_listen_on_is_split(address: str, host: str, port: int) -> None:
    assert split_address(address) == (host, port)


@pytest.mark.parametrize(
    "address", ["", "8900", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", ":\u0668"]
)
def test_what_is_no_address_is_refused_with_the_ways_to_write_one(address: str) -> None:
    with pytest.raises(AddressError, match=r"no address to listen on: write HOST:PORT or \[IPV6\]:PORT"):
        split_address(address)


@pytest.mark.parametrize(
    "spellings",
    [
        ("http://app:80", "http://app", "http://APP/", "h2c://app", "http://app.:80/path", "http://user@app:80"),
        ("https://app", "https://app:443/", "http://app:443", "h2c://app:443"),
        ("http://127.0.0.1:8081", "http://localhost:8081", "http://[::ffff:127.0.0.1]:8081", "http://0.0.0.0:8081"),
        ("http://[::1]:80", "http://[0:0:0:0:0:0:0:1]", "http://[0000::0001]/"),
        ("http://[fe80::1%25eth0]:80", "http://[FE80:0::1%25eth0]"),
        ("http://b\u00fccher.test", "http://xn--bcher-kva.test"),
    ],
)
def test_one_place_of_a_server_has_one_spelling(spellings: tuple[str, ...]) -> None:
    """Rule 39: default port, letter case, IPv6 forms and the scheme do not distinguish servers."""
    assert len({place_of(url) for url in spellings}) == 1
    assert None not in map(place_of, spellings)


def test_other_hosts_and_ports_are_other_places() -> None:
    urls = ("http://app:80", "http://app:81", "http://app2:80", "https://app", "http://10.0.0.1", "http://[::1]")
    assert len({place_of(url) for url in urls}) == len(urls)


@pytest.mark.parametrize("url", ["", "app", "http://", "http://[::1", "http://app:port", "http://app:99999"])
def test_what_leads_nowhere_has_no_place(url: str) -> None:
    assert place_of(url) is None


def test_a_place_is_a_host_and_a_port() -> None:
    assert place_of("https://Shop.test") == Place("shop.test", 443)
