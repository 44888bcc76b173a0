"""The default certificate in etcd."""

from provider.store.etcd.store import EtcdStore
from tests.support.etcd import Cluster
from tests.support.stores import etcd_places


async def test_the_certificate_of_a_term_is_that_of_the_next(etcd: Cluster) -> None:
    """Rule 63."""
    place = etcd_places(etcd)()
    for found, put in ((None, "one"), ("one", "two"), ("two", "two")):
        store = place.store()
        assert isinstance(store, EtcdStore)
        await store.open(wait_s=60)
        try:
            assert store.certificate == found
            await store.save_certificate(put)
            assert store.certificate == put
        finally:
            await store.close()
