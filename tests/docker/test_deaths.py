"""Deaths of containers, reported by events and by the engine's own count."""

from provider.docker.deaths import TIMES_KEPT, Deaths, Life


def known(restarts: int = 0) -> Deaths:
    deaths = Deaths()
    deaths.read({"c1": Life(restarts, 1_000)}, 10.0)
    return deaths


def test_what_nobody_was_asked_about_is_not_known() -> None:
    """P2."""
    deaths = Deaths()
    deaths.died("c1", 1, 10.0)
    assert deaths.count("c1") is None
    assert deaths.known == frozenset()


def test_each_event_is_a_death() -> None:
    deaths = known(restarts=3)
    deaths.died("c1", 2_000, 11.0)
    deaths.died("c1", 3_000, 12.0)
    assert deaths.count("c1") == 5
    assert deaths.times_mono_s("c1") == (11.0, 12.0)


def test_a_death_that_the_engine_has_counted_already_is_counted_once() -> None:
    """Its event may come after the answer in which the container lives again."""
    deaths = known()
    deaths.read({"c1": Life(1, 2_500)}, 11.0)
    deaths.died("c1", 2_000, 12.0)
    assert deaths.count("c1") == 1


def test_an_event_before_the_first_answer_is_in_it() -> None:
    deaths = Deaths()
    deaths.died("c1", 2_000, 10.0)
    deaths.read({"c1": Life(1, 2_500)}, 11.0)
    assert deaths.count("c1") == 1


def test_deaths_that_no_event_reported_show_in_the_engines_count() -> None:
    """Rule 5: those while the daemon, or the engine, was away count as well."""
    deaths = known(restarts=1)
    deaths.died("c1", 2_000, 11.0)
    deaths.read({"c1": Life(4, 9_000)}, 20.0)
    assert deaths.count("c1") == 4
    assert deaths.times_mono_s("c1") == (11.0, 20.0, 20.0)


def test_a_restart_by_hand_that_sets_the_engines_count_back_is_no_death() -> None:
    deaths = known(restarts=2)
    deaths.read({"c1": Life(0, 5_000)}, 11.0)
    assert deaths.count("c1") == 2
    deaths.read({"c1": Life(1, 9_000)}, 12.0)
    assert deaths.count("c1") == 3


def test_a_crash_loop_of_days_is_kept_in_little_room() -> None:
    deaths = known()
    for second in range(1_000):
        deaths.died("c1", 2_000 + second, float(second))
    assert deaths.count("c1") == 1_000
    assert len(deaths.times_mono_s("c1")) == TIMES_KEPT
    deaths.forget_all_but((), 1_000.0)
    assert deaths.count("c1") == 1_000  # it may come back
    deaths.forget_all_but((), 10_000.0)
    assert deaths.count("c1") is None
