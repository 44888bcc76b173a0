from pathlib import Path

import pytest

from provider.model.errors import AddressError
from provider.store.etcd.address import EtcdAddress
from provider.store.kinds import StoreAddress, kind_of
from provider.store.sqlite.address import SqliteAddress


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("sqlite:/var/lib/bluegreen", SqliteAddress(Path("/var/lib/bluegreen"))),
        ("sqlite:state", SqliteAddress(Path("state"))),
        ("sqlite:///var/lib/my state?", SqliteAddress(Path("/var/lib/my state?"))),
        ("etcd://10.0.0.1:2379,10.0.0.2/shop", EtcdAddress(("http://10.0.0.1:2379", "http://10.0.0.2:2379"), "/shop")),
    ],
)
def test_the_url_of_a_store_names_its_kind_and_its_place(url: str, address: StoreAddress) -> None:
    assert kind_of(url).parse(url) == address


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("/var/lib/bluegreen", "begins with no kind of store: sqlite: or etcd://"),
        ("redis://h1", "begins with no kind of store: sqlite: or etcd://"),
        ("", "begins with no kind of store"),
        ("sqlite:", "names no directory: write sqlite:DIR"),
        ("sqlite://h1/state", "there is no host"),
        ("sqlite:~/state", "no shell has replaced the ~"),
        ("etcd://h 1/shop", "is no HOST:PORT of a member of etcd"),
        ("etcd://h1:x/shop", "is no HOST:PORT of a member of etcd"),
        ("etcd://::1/shop", "is no HOST:PORT of a member of etcd"),
    ],
)
def test_what_is_wrong_with_the_url_of_a_store_is_said_with_how_to_write_it(url: str, words: str) -> None:
    with pytest.raises(AddressError, match=words) as refused:
        kind_of(url).parse(url)
    assert str(refused.value).startswith("--store")
