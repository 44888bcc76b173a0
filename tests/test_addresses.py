"""Addresses to listen on, as they are written."""

import pytest

from provider.addresses import split_address
from provider.errors import AddressError


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
