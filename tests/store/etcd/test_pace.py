"""How often documents are put into etcd."""

from provider.store.etcd.pace import BURST_BYTES, BYTES_A_SECOND, Pace

MIB = 1024 * 1024


def test_small_documents_never_wait() -> None:
    """A thousand services, a thousand events a minute."""
    pace = Pace()
    for number in range(1000):
        assert pace.rest_s(number * 0.06) == 0.0
        pace.spend(24_000, number * 0.06)


def test_after_a_quiet_time_some_large_documents_come_at_once_and_the_next_ones_wait() -> None:
    pace = Pace()
    for _ in range(BURST_BYTES // MIB):
        assert pace.rest_s(100.0) == 0.0
        pace.spend(MIB, 100.0)
    assert pace.rest_s(100.0) == 0.0
    pace.spend(MIB, 100.0)
    assert pace.rest_s(100.0) == MIB / BYTES_A_SECOND
    assert pace.rest_s(100.0 + MIB / BYTES_A_SECOND) == 0.0
    pace.spend(MIB, 200.0)
    assert pace.rest_s(200.0) == 0.0, "a quiet time restores no more than the burst"
