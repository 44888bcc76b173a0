"""Three replicas over a model of etcd, on a virtual clock: whatever is lost, late, frozen or dead, the rules hold."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from hashlib import sha256

import pytest

from provider.store.etcd.gateway import Gateway
from tests.support.etcd_broken import BROKEN
from tests.support.etcd_witness import Witness, witness
from tests.support.paths import ROOT
from tests.support.replica_story import PREFIX, Ending, Told, play
from tests.support.replicas import Asked, Outcome, Served, Took
from tests.support.seeds import SEEDS

TOGETHER = 50


@pytest.mark.takes(8)
@pytest.mark.parametrize("first", SEEDS[::TOGETHER])
def test_nothing_acknowledged_is_lost_and_nothing_void_stands(first: int) -> None:
    """Rules 50 to 55: also one after the other, epochs in force, no going back, fresh where it is said."""
    fences, told = 0, list[Told]()
    for seed in SEEDS[first - SEEDS[0] :][:TOGETHER]:
        told.append(play(seed))
        found = checked(told[-1])
        assert not found.faults, f"BLUEGREEN_SEED={seed}: {found.faults}"
        assert told[-1].is_settled, f"BLUEGREEN_SEED={seed}: does not work again"
        fences += found.fences
    outcomes = {record.outcome for one in told for record in one.records if isinstance(record, Asked)}
    takeovers = sum(isinstance(record, Took) for one in told for record in one.records)
    assert len(told) < TOGETHER or (outcomes == set(Outcome) and fences and takeovers > len(told)), "a calm story"


@pytest.mark.takes(4)
@pytest.mark.parametrize("build", BROKEN)
def test_a_build_that_breaks_a_rule_is_found(build: Callable[[Gateway], Gateway]) -> None:
    """Rule 51: without the compare of the head, or without the fence, and rule 54 without linearizable reads."""
    assert any(checked(play(seed, build)).faults for seed in SEEDS)


@pytest.mark.takes(3)
def test_after_the_restore_of_a_backup_no_replica_goes_back_and_all_serve_the_same() -> None:
    """Rule 57: the leader publishes above what was served, also by one that was down or slept meanwhile."""
    for seed in SEEDS[::10]:
        told, found = play(seed, ending=Ending.RESTORED), Witness(PREFIX)
        found.hear_served(told.records)
        assert not found.faults, f"BLUEGREEN_SEED={seed}: {found.faults}"
        assert told.is_settled, f"BLUEGREEN_SEED={seed}: does not work again"


@pytest.mark.takes(5)
def test_no_replica_that_has_served_begins_anew_on_an_empty_etcd() -> None:
    """Rule 57: neither before it has seen that etcd is empty, nor after one of them has written there."""
    for seed in SEEDS[::10]:
        told = play(seed, ending=Ending.EMPTY)
        served = {record.replica for record in told.records if isinstance(record, Served)}
        after = [record for record in told.records if isinstance(record, Took) and record.at_s > told.restored_s]
        assert not [took for took in after if took.replica in served and not took.counts], f"BLUEGREEN_SEED={seed}"


def test_a_seed_is_one_story_to_the_letter() -> None:
    digests = {digest_elsewhere(hash_seed) for hash_seed in ("1", "2")} | {digest(range(3))}
    assert len(digests) == 1
    assert digest(range(3, 6)) not in digests


def checked(told: Told) -> Witness:
    return witness(PREFIX, told.history, told.records)


def digest(seeds: Iterable[int]) -> str:
    """Hash all that happened."""
    stories = [play(seed) for seed in seeds]
    return sha256(repr([(told.history, told.records, told.trace) for told in stories]).encode()).hexdigest()


def digest_elsewhere(hash_seed: str) -> str:
    """Hash the same in a process of its own, whose sets of texts have another order."""
    program = f"from {__name__} import digest; print(digest(range(3)))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )
    return done.stdout.strip()
