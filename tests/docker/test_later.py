from provider.docker.later import Later
from tests.support.waiting import eventually


async def test_a_storm_is_given_back_together_and_what_came_last_again() -> None:
    """However many services and events there are, there is one call in each period."""
    taken: list[set[str]] = []
    later = Later(taken.append, after_s=0.05)
    names = {f"service-{number}" for number in range(2000)}
    later.add("first")
    for name in (*names, *names, "first"):
        later.add(name)
    await eventually(lambda: len(taken) > 1)
    assert taken == [{"first"}, names | {"first"}]


async def test_it_begins_anew_after_a_quiet_time() -> None:
    taken: list[set[str]] = []
    later = Later(taken.append, after_s=0.01)
    later.add("shop")
    await eventually(lambda: taken == [{"shop"}])
    later.add("api")
    await eventually(lambda: taken == [{"shop"}, {"api"}])
