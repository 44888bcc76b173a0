"""What a real Traefik makes of the documents of a rollout in steps: the shares, and who stays where."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from provider.model import Affinity, Canary, Member, Observed, Router, Step
from provider.traefik.document.fallback import block_in_file, extra_in_file, file_content
from provider.traefik.document.render import NO_PASS_THROUGH, join, render_service
from tests.support.stepping import WEIGHTS, Client, Stage, all_ask, ask, runs_at, served, share, stepping, switched
from tests.support.traefik import Backend, DocumentServer, StartTraefik
from tests.support.waiting import eventually
from tests.support.worlds import GREEN, service

HOST = "shop.example.com"
RULE = f"Host(`{HOST}`)"
ROUTER = Router("shop", RULE, {"rule": RULE, "entryPoints": ["web"]})
CANARY = Canary(tuple(map(Step, WEIGHTS)))
CLIENTS = 400
POINTS = 3.0
"""How far a share may be from its weight, in points of a per cent."""
STEPS = tuple(enumerate(WEIGHTS, 1))


@pytest.fixture
async def stage(start_traefik: StartTraefik, documents: DocumentServer) -> Stage:
    return Stage(await start_traefik(documents.url), documents)


@pytest.fixture
def shop(blue: Backend, green: Backend) -> Member:
    return runs_at(service(routers=(ROUTER,), canary=CANARY), [blue], [green])


def everybody(count: int = CLIENTS) -> list[Client]:
    """Clients with an address each."""
    return [Client(f"127.{number % 200 + 1}.{number // 200 + 1}.{number * 7 % 250 + 1}") for number in range(count)]


def moved_back(before: Mapping[int, str], clients: list[Client]) -> list[int]:
    return [number for number, body in before.items() if body == "green" and clients[number].last == "blue"]


def where(clients: list[Client]) -> dict[int, str]:
    return {number: client.last for number, client in enumerate(clients)}


# --- by address -----------------------------------------------------------------------------------------------------


async def test_by_its_address_a_client_moves_once_and_never_back(stage: Stage, shop: Member) -> None:
    """Rule 21: shares are met within 3 points, and an unrelated reload moves nobody."""
    clients, url = everybody(), stage.traefik.url("web")
    await stage.show(served(shop))
    await all_ask(clients, url, HOST)
    assert share(clients) == 0
    for number, weight in STEPS:
        before = where(clients)
        await stage.show(served(shop, stepping(number, Affinity.CLIENT)))
        await all_ask(clients, url, HOST)
        assert abs(share(clients) - weight) <= POINTS
        assert moved_back(before, clients) == []
        before = where(clients)
        await stage.reload(served(shop, stepping(number, Affinity.CLIENT)))
        await all_ask(clients, url, HOST)
        assert where(clients) == before
    await stage.show(served(switched(shop, stepping(4, Affinity.CLIENT))))
    await all_ask(clients, url, HOST)
    assert share(clients) == 100


# --- by cookie ------------------------------------------------------------------------------------------------------


async def test_by_cookie_shares_are_met_for_who_is_new_and_who_returns_and_nobody_moves_back(
    stage: Stage, shop: Member
) -> None:
    """Rule 21."""
    clients, url = list[Client](), stage.traefik.url("web")
    for number, weight in STEPS:
        await stage.show(served(shop, stepping(number, Affinity.COOKIE)))
        before = where(clients)
        new = [Client() for _ in range(CLIENTS)]
        await all_ask(clients, url, HOST)
        await all_ask(new, url, HOST)
        assert moved_back(before, clients) == []
        assert abs(share(new) - weight) <= POINTS
        assert not clients or abs(share(clients) - weight) <= POINTS
        clients += new
        before = where(clients)
        await stage.reload(served(shop, stepping(number, Affinity.COOKIE)))
        await all_ask(clients, url, HOST)
        assert where(clients) == before
    assert {name for client in clients for name in client.jar} == {"bluegreen-shop-r1"}
    await stage.show(served(switched(shop, stepping(4, Affinity.COOKIE))))
    await all_ask(clients, url, HOST)
    assert share(clients) == 100


async def test_abort_takes_every_client_with_a_cookie_back(stage: Stage, shop: Member) -> None:
    """Rule 20: weight 0 in one document."""
    clients, url = [Client() for _ in range(100)], stage.traefik.url("web")
    await stage.show(served(shop, stepping(3, Affinity.COOKIE)))
    await all_ask(clients, url, HOST)
    assert share(clients) == 50
    await stage.show(served(shop))
    await all_ask(clients, url, HOST)
    assert share(clients) == 0


# --- sessions -------------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(blue: Backend, green: Backend) -> Member:
    """The shop with sessions of its own."""
    sticky = {"cookie": {"name": "shop", "httpOnly": True}}
    return runs_at(service(routers=(ROUTER,), canary=CANARY, sticky=sticky), [blue], [green])


async def test_a_step_moves_no_session_and_its_share_is_one_of_new_sessions(stage: Stage, kept: Member) -> None:
    """Rule 21."""
    clients, url = [Client() for _ in range(100)], stage.traefik.url("web")
    await stage.show(served(kept))
    await all_ask(clients, url, HOST)
    for number, weight in STEPS:
        await stage.show(served(kept, stepping(number)))
        before = where(clients)
        new = [Client() for _ in range(200)]
        await all_ask(clients, url, HOST)
        await all_ask(new, url, HOST)
        assert where(clients) == before
        assert abs(share(new) - weight) <= POINTS
        clients += new
    await stage.show(served(switched(kept, stepping(4))))
    cookies = {number: dict(client.jar) for number, client in enumerate(clients) if client.last == "green"}
    await all_ask(clients, url, HOST)
    assert share(clients) == 100
    assert {number: clients[number].jar for number in cookies} == cookies


async def test_abort_moves_the_candidates_sessions_back_and_no_other(stage: Stage, kept: Member) -> None:
    """Rules 20 and 21."""
    clients, url = [Client() for _ in range(100)], stage.traefik.url("web")
    await stage.show(served(kept, stepping(3)))
    await all_ask(clients, url, HOST)
    stayed = {number: dict(client.jar) for number, client in enumerate(clients) if client.last == "blue"}
    assert len(stayed) == 50
    await stage.show(served(kept))
    await all_ask(clients, url, HOST)
    assert share(clients) == 0
    assert {number: clients[number].jar for number in stayed} == stayed


async def test_a_cookie_of_an_earlier_release_does_not_lead_to_the_new_one(stage: Stage, kept: Member) -> None:
    """Rule 21: without a name of its own all of them would go to the candidate."""
    clients, url = [Client() for _ in range(200)], stage.traefik.url("web")
    earlier = replace(kept, state=replace(kept.state, active=GREEN))
    await stage.show(served(earlier))
    await all_ask(clients, url, HOST)
    assert share(clients) == 100
    await stage.show(served(kept, stepping(1)))
    await all_ask(clients, url, HOST)
    assert abs(share(clients) - 5) <= POINTS


# --- nowhere to go --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("affinity", Affinity)
async def test_a_candidate_that_has_lost_its_servers_costs_no_request(
    stage: Stage, shop: Member, affinity: Affinity
) -> None:
    """Rule 19b: an entry without servers answers 503 for its share. Who had a cookie goes back to it."""
    clients, url = everybody(100), stage.traefik.url("web")
    await stage.show(served(shop, stepping(2, affinity)))
    await all_ask(clients, url, HOST)
    before = where(clients)
    assert "green" in before.values()
    empty = replace(shop, observed=shop.observed.put(GREEN, Observed(known=True)))
    await stage.show(served(empty, stepping(2, affinity)))
    await all_ask(clients, url, HOST)
    assert share(clients) == 0
    await stage.show(served(shop, stepping(2, affinity)))
    await all_ask(clients, url, HOST)
    assert affinity is Affinity.NONE or where(clients) == before


# --- reloads --------------------------------------------------------------------------------------------------------


async def test_a_reload_starts_the_round_over_and_takes_the_turn_of_the_smaller_colour(
    stage: Stage, shop: Member
) -> None:
    """Rule 22: of 5 % nothing is left where Traefik is given a document with every tenth request."""
    url, step = stage.traefik.url("web"), served(shop, stepping(1))
    client = Client()

    async def answers(*, reloads: bool) -> Counter[str]:
        client.bodies.clear()
        await stage.show(step)
        for _ in range(10):
            for _ in range(10):
                await client.ask(url, HOST)
            if reloads:
                await stage.reload(step)
        return Counter(client.bodies)

    assert await answers(reloads=False) == {"blue": 95, "green": 5}
    assert await answers(reloads=True) == {"blue": 100}


# --- without the daemon ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keeps", ["client", "cookie", "sessions"])
async def test_a_traefik_that_starts_by_the_file_keeps_every_client_at_its_colour(
    stage: Stage, shop: Member, kept: Member, start_traefik: StartTraefik, tmp_path: Path, keeps: str
) -> None:
    """Rule 21: while the daemon is away the weights stay, and so does everybody (--write-file)."""
    clients = everybody(100)
    step = served(kept, stepping(3)) if keeps == "sessions" else served(shop, stepping(3, Affinity(keeps)))
    await stage.show(step)
    await all_ask(clients, stage.traefik.url("web"), HOST)
    before = where(clients)
    assert set(before.values()) == {"blue", "green"}
    block = block_in_file(join([render_service(step)]))
    (tmp_path / "shop.yaml").write_bytes(file_content([block], extra_in_file(NO_PASS_THROUGH)))
    alone = await start_traefik("http://127.0.0.1:1/traefik", files=tmp_path)

    async def routed() -> bool:
        return (await ask(alone.url("web"), HOST)).status == 200

    await eventually(routed)
    await all_ask(clients, alone.url("web"), HOST)
    assert where(clients) == before
