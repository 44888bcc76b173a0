"""The facts about Traefik that the design relies on, so that a Traefik that behaves differently is noticed.

Rules are those of "How Traefik treats an HTTP provider"; 1 to 4 and 8 decide what a document may look like.
"""

from collections import Counter
from collections.abc import Mapping

import aiohttp
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from provider.config.progressive_checks import BUCKETS_S
from provider.model.errors import RuleError
from provider.model.traefik_rule import parse
from provider.traefik.process import Traefik, free_ports
from tests.support.documents import HOST, RULE, Json, document, load_balancer, marked, weighted
from tests.support.traefik import Backend, DocumentServer, Load, StartBackend, StartTraefik
from tests.support.traefik_rules import REFUSED, RULES
from tests.support.waiting import eventually


def shop(*backends: Backend) -> Json:
    """Build a document that spreads the shop evenly over these colours; the others do not appear in it."""
    colours = {f"shop-{backend.name}": load_balancer(backend.url) for backend in backends}
    return document({"shop": weighted(dict.fromkeys(colours, 1)), **colours})


async def apply(content: Json, documents: DocumentServer, traefik: Traefik) -> None:
    """Publish a document and wait until its marker proves that Traefik applied it."""
    body, marker = marked(content)
    documents.publish(body)
    await eventually(lambda: traefik.middleware(marker))


async def ask(traefik: Traefik, path: str = "/", *, host: str = HOST, cookie: str = "") -> tuple[int, str]:
    """Send one request on a connection of its own; return the status and the body."""
    headers = {"Host": host, **({"Cookie": cookie} if cookie else {})}
    async with aiohttp.request("GET", traefik.url("web") + path, headers=headers) as response:
        return response.status, await response.text()


async def reloads(traefik: Traefik) -> float:
    async with aiohttp.request("GET", f"{traefik.api}/metrics") as response:
        families = text_string_to_metric_families(await response.text())
    (value,) = (s.value for family in families for s in family.samples if s.name == "traefik_config_reloads_total")
    return value


@pytest.fixture
async def traefik(start_traefik: StartTraefik, documents: DocumentServer, blue: Backend) -> Traefik:
    """A Traefik that has applied a document in which blue has all the traffic."""
    body, marker = marked(shop(blue))
    documents.publish(body)
    traefik = await start_traefik(documents.url)
    await eventually(lambda: traefik.middleware(marker))
    return traefik


# --- rule 1: weights ---------------------------------------------------------------------------------------------


async def test_rule_1_a_colour_that_is_left_out_gets_nothing(
    traefik: Traefik, documents: DocumentServer, blue: Backend, green: Backend
) -> None:
    await apply(shop(green), documents, traefik)
    assert Counter([await ask(traefik) for _ in range(20)]) == {(200, "green"): 20}
    assert blue.requests.total() == 0


async def test_rule_1_a_child_of_weight_0_is_dropped(
    traefik: Traefik, documents: DocumentServer, blue: Backend, green: Backend
) -> None:
    colours = {"shop-blue": load_balancer(blue.url), "shop-green": load_balancer(green.url)}
    await apply(document({"shop": weighted({"shop-blue": 0, "shop-green": 1}), **colours}), documents, traefik)
    assert Counter([await ask(traefik) for _ in range(20)]) == {(200, "green"): 20}
    await apply(document({"shop": weighted({"shop-blue": 0, "shop-green": 0}), **colours}), documents, traefik)
    assert (await ask(traefik))[0] == 503


async def test_rule_1_weights_are_kept_over_one_round(
    traefik: Traefik, documents: DocumentServer, blue: Backend, green: Backend
) -> None:
    colours = {"shop-blue": load_balancer(blue.url), "shop-green": load_balancer(green.url)}
    await apply(document({"shop": weighted({"shop-blue": 9, "shop-green": 1}), **colours}), documents, traefik)
    assert Counter([await ask(traefik) for _ in range(20)]) == {(200, "blue"): 18, (200, "green"): 2}


# --- rule 2: what deletes, what keeps -----------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"{}", b"", b"null", b'{"http": null}'])
async def test_rule_2_a_document_without_content_deletes_every_route(
    traefik: Traefik, documents: DocumentServer, body: bytes
) -> None:
    documents.publish(body)

    async def gone() -> bool:
        return not await traefik.routers() and (await ask(traefik))[0] == 404

    await eventually(gone)


@pytest.mark.parametrize("status", [204, 304, 404, 500, 503])
async def test_rule_2_an_answer_that_is_not_200_keeps_the_last_document(
    traefik: Traefik, documents: DocumentServer, status: int
) -> None:
    documents.publish(b"{}", status=status)
    await eventually(lambda: any(f"non-ok response code: {status}" in line for line in traefik.errors()))
    assert await ask(traefik) == (200, "blue")


async def test_rule_2_a_body_that_is_cut_short_keeps_the_last_document(
    traefik: Traefik, documents: DocumentServer, green: Backend
) -> None:
    documents.publish(shop(green), cut=True)
    await eventually(lambda: any("unexpected EOF" in line for line in traefik.errors()))
    assert await ask(traefik) == (200, "blue")


async def test_rule_2_an_endpoint_that_is_gone_keeps_the_last_document(
    traefik: Traefik, documents: DocumentServer, green: Backend
) -> None:
    await documents.stop()
    await eventually(lambda: any("connection refused" in line for line in traefik.errors()))
    assert await ask(traefik) == (200, "blue")
    await documents.start()
    await apply(shop(green), documents, traefik)
    assert await ask(traefik) == (200, "green")


# --- rule 3: empty maps and lists ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "section"),
    [
        ({"http": {}}, "http"),
        ({"http": {"routers": {}, "services": {"shop": load_balancer()}}}, "routers"),
        ({"http": {"routers": {"shop": {"rule": RULE, "service": "shop"}}, "services": {}}}, "services"),
        ({"http": {"services": {"shop": load_balancer()}}, "tcp": {"routers": {}}}, "routers"),
    ],
)
async def test_rule_3_an_empty_map_refuses_the_whole_document(
    traefik: Traefik, documents: DocumentServer, content: Json, section: str
) -> None:
    documents.publish(content)
    await eventually(lambda: any(f"{section} cannot be a standalone element" in line for line in traefik.errors()))
    assert await ask(traefik) == (200, "blue")


async def test_rule_3_a_load_balancer_with_an_empty_list_of_servers_answers_503(
    traefik: Traefik, documents: DocumentServer
) -> None:
    await apply(document({"shop": load_balancer()}), documents, traefik)
    assert (await ask(traefik))[0] == 503
    assert (await traefik.routers())["shop"]["status"] == "enabled"


# --- rule 4: errors of form, errors of meaning --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ({"loadBalancer": {"severs": []}}, "field not found, node: severs"),
        ({"weighted": {"services": [{"name": "shop-green", "weight": 0.5}]}}, "invalid syntax"),
        ({"loadBalancer": {"passHostHeader": "perhaps"}}, "invalid syntax"),
    ],
    ids=["unknown field", "float weight", "no boolean"],
)
async def test_rule_4_a_decode_error_refuses_the_whole_document_with_one_log_line_and_no_metric(
    traefik: Traefik, documents: DocumentServer, green: Backend, service: Json, words: str
) -> None:
    before = await reloads(traefik)
    documents.publish(document({"shop": service, "shop-green": load_balancer(green.url)}))
    await eventually(traefik.errors)
    await documents.polled()
    (line,) = traefik.errors()
    assert words in line
    assert await reloads(traefik) == before
    assert await ask(traefik) == (200, "blue")


@pytest.mark.parametrize(
    ("router", "words"),
    [
        ({"middlewares": ["nope"]}, 'middleware "nope@http" does not exist'),
        ({"rule": "Hots(`other.test`)"}, "unsupported function: Hots"),
        ({"service": "nope"}, 'the service "nope@http" does not exist'),
    ],
    ids=["missing middleware", "invalid rule", "missing service"],
)
async def test_rule_4_an_error_of_meaning_stays_with_its_router(
    traefik: Traefik, documents: DocumentServer, green: Backend, router: Json, words: str
) -> None:
    other = {"rule": "Host(`other.test`)", "service": "shop", **router}
    await apply(document({"shop": load_balancer(green.url)}, routers={"other": other}), documents, traefik)
    routers = await traefik.routers()
    assert routers["other"]["status"] == "disabled"
    assert words in str(routers["other"]["error"])
    assert (await ask(traefik, host="other.test"))[0] == 404
    assert await ask(traefik) == (200, "green")


# --- rules 5 and 6: other providers, priorities -------------------------------------------------------------------


async def test_rule_5_a_child_of_another_provider_that_is_gone_takes_the_whole_service_down(
    traefik: Traefik, documents: DocumentServer, green: Backend
) -> None:
    services = {"shop": weighted({"shop-green": 1, "x@docker": 1}), "shop-green": load_balancer(green.url)}
    await apply(document(services), documents, traefik)
    assert (await ask(traefik))[0] == 404


@pytest.mark.parametrize("winner", ["blue", "green"])
async def test_rule_6_explicit_priorities_decide_between_equal_rules(
    traefik: Traefik, documents: DocumentServer, blue: Backend, green: Backend, winner: str
) -> None:
    services = {backend.name: load_balancer(backend.url) for backend in (blue, green)}
    routers = {name: {"rule": RULE, "service": name, "priority": 100 + (name == winner)} for name in services}
    await apply({"http": {"routers": routers, "services": services}}, documents, traefik)
    assert await ask(traefik) == (200, winner)


async def test_rule_6_the_default_priority_is_the_length_of_the_rule_in_bytes_and_one_more_wins(
    traefik: Traefik, documents: DocumentServer, blue: Backend, green: Backend
) -> None:
    services = {"shop": load_balancer(blue.url), "green": load_balancer(green.url)}
    rule = f"{RULE} && !Header(`X-Shop`, `Käse`)"
    routers = {
        "shop": {"rule": rule, "service": "shop"},
        "green": {"rule": rule, "service": "green", "priority": len(rule.encode()) + 1},
    }
    await apply(document(services, routers=routers), documents, traefik)
    assert (await traefik.routers())["shop"]["priority"] == len(rule.encode())
    assert await ask(traefik) == (200, "green")


# --- rule 7: a reload rebuilds everything -------------------------------------------------------------------------


async def test_rule_7_an_unrelated_change_makes_a_bad_server_count_as_up_again(
    traefik: Traefik, documents: DocumentServer, start_backend: StartBackend, green: Backend
) -> None:
    """Once the health is asked from a server that holds its answers, no probe can give another verdict meanwhile."""
    probed = await start_backend("probed")
    probed.status = 500
    check = {"path": "/healthz", "port": probed.port, "interval": "100ms", "timeout": "60s"}
    services = {"shop": load_balancer(green.url, healthCheck=check)}

    async def status() -> object:
        service = await traefik.service("shop")
        return service and service["serverStatus"]

    async def is_down() -> bool:
        return await status() == {green.url: "DOWN"}

    await apply(document(services), documents, traefik)
    await eventually(is_down)
    assert (await ask(traefik))[0] == 503
    probed.hold()
    await eventually(lambda: probed.waiting)
    assert await is_down()

    unrelated = {"rule": "Host(`other.test`)", "service": "shop"}
    await apply(document(services, routers={"other": unrelated}), documents, traefik)
    assert await status() == {green.url: "UP"}
    assert await ask(traefik) == (200, "green")


async def test_rule_7_a_service_that_no_router_reaches_is_not_probed(
    traefik: Traefik, documents: DocumentServer, blue: Backend, green: Backend
) -> None:
    check = {"path": "/healthz", "interval": "50ms", "timeout": "10s"}
    services = {
        "shop": load_balancer(blue.url, healthCheck=check),
        "idle": load_balancer(green.url, healthCheck=check),
    }
    await apply(document(services), documents, traefik)
    await eventually(lambda: blue.requests["/healthz"] >= 5)
    assert green.requests["/healthz"] == 0


# --- rule 8: what causes no reload --------------------------------------------------------------------------------


async def test_rule_8_a_semantically_equal_document_causes_no_reload(
    traefik: Traefik, documents: DocumentServer, blue: Backend, green: Backend
) -> None:
    """White space, an unknown top-level key, another order, an explicit default; then one real change: one reload."""
    before = await reloads(traefik)
    body, marker = marked(shop(blue))
    same = orjson.dumps({"bluegreen": {"revision": 42}, **body}, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
    explicit = same.replace(b'"loadBalancer": {', b'"loadBalancer": {"passHostHeader": true,')
    assert explicit != same
    for content in (same, explicit):
        documents.publish(content)
        await documents.polled()
    assert not traefik.errors()
    assert await traefik.middleware(marker)
    await apply(shop(green), documents, traefik)
    assert await reloads(traefik) == before + 1


# --- the proof that a document was applied, and what can be read back ----------------------------------------------


async def test_the_marker_is_accepted_unused_and_without_a_word_and_goes_with_its_document(
    traefik: Traefik, documents: DocumentServer, blue: Backend, green: Backend
) -> None:
    _, marker = marked(shop(blue))
    middleware = await traefik.middleware(marker)
    assert middleware is not None
    assert middleware["status"] == "enabled"
    assert "error" not in middleware
    mark = traefik.log_size()
    await apply(shop(green), documents, traefik)
    assert await traefik.middleware(marker) is None
    assert traefik.log(mark) == ()


async def test_when_the_marker_shows_the_routing_has_changed(
    traefik: Traefik, documents: DocumentServer, blue: Backend, green: Backend
) -> None:
    for backend in (green, blue) * 5:
        await apply(shop(backend), documents, traefik)
        assert await ask(traefik) == (200, backend.name)


async def test_a_document_with_nothing_but_its_marker_is_applied(traefik: Traefik, documents: DocumentServer) -> None:
    await apply({"http": {}}, documents, traefik)
    assert await traefik.routers() == {}


async def test_the_api_shows_weights_servers_and_the_state_of_a_router(
    traefik: Traefik, documents: DocumentServer, blue: Backend, green: Backend
) -> None:
    await apply(shop(blue, green), documents, traefik)
    service, colour = await traefik.service("shop"), await traefik.service("shop-blue")
    assert service is not None
    assert service["status"] == "enabled"
    assert service["usedBy"] == ["shop@http"]
    assert service["weighted"] == {
        "services": [{"name": "shop-blue", "weight": 1}, {"name": "shop-green", "weight": 1}]
    }
    assert colour is not None
    assert colour["serverStatus"] == {blue.url: "UP"}
    router = (await traefik.routers())["shop"]
    assert (router["status"], router["service"], router["rule"]) == ("enabled", "shop", RULE)
    assert "error" not in router


async def test_the_histogram_of_a_service_has_the_bounds_that_an_analysis_takes_without_others(
    traefik: Traefik,
) -> None:
    """Rule 23: `slow.over` is one of them, or of `traefik.buckets`."""
    await ask(traefik)

    async def bounds() -> set[float]:
        async with aiohttp.request("GET", f"{traefik.api}/metrics") as response:
            families = text_string_to_metric_families(await response.text())
        samples = [sample for family in families for sample in family.samples]
        name = "traefik_service_request_duration_seconds_bucket"
        return {float(sample.labels["le"]) for sample in samples if sample.name == name}

    await eventually(bounds)
    assert await bounds() == {*BUCKETS_S, float("inf")}


async def test_names_with_signs_of_every_kind_can_be_read_back(
    traefik: Traefik, documents: DocumentServer, blue: Backend
) -> None:
    name = "Shop/v2 é%?"
    await apply(document({"shop": load_balancer(blue.url), name: load_balancer(blue.url)}), documents, traefik)
    service = await traefik.service(name)
    assert service is not None
    assert service["name"] == f"{name}@http"


async def test_routers_of_one_host_with_different_tls_options_are_listed_under_another_name(
    traefik: Traefik, documents: DocumentServer, blue: Backend
) -> None:
    """Reading back `shop@http` finds nothing then; Traefik warns, and goes on with its default TLS options."""
    content = document(
        {"shop": load_balancer(blue.url)},
        routers={
            "shop": {"rule": RULE, "service": "shop", "tls": {"options": "strict"}},
            "other": {"rule": f"{RULE} && Path(`/other`)", "service": "shop", "tls": {}},
        },
    )
    await apply({**content, "tls": {"options": {"strict": {"sniStrict": True}}}}, documents, traefik)
    routers = await traefik.routers()
    assert routers.keys() == {"web-conflicted-shop", "web-conflicted-other"}
    assert routers["web-conflicted-shop"]["status"] == "warning"


# --- polling ------------------------------------------------------------------------------------------------------


async def test_polls_come_on_one_kept_connection_with_our_headers_and_no_condition(
    start_traefik: StartTraefik, documents: DocumentServer
) -> None:
    headers = {"Authorization": "Bearer secret", "X-Bluegreen-Poller": "edge-1"}
    await start_traefik(documents.url, headers=headers)
    await documents.polled(3)
    assert len({poll.peer for poll in documents.polls}) == 1
    for poll in documents.polls:
        assert headers.items() <= poll.headers.items()
        assert poll.headers["User-Agent"] == "Go-http-client/1.1"
        assert not {"If-None-Match", "If-Modified-Since"} & poll.headers.keys()


# --- switching under load -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("blue_stays", [True, False], ids=["another weight", "removed"])
async def test_a_request_in_flight_completes_on_a_server_that_lost_its_traffic(
    traefik: Traefik, documents: DocumentServer, blue: Backend, green: Backend, blue_stays: bool
) -> None:
    blue.hold()
    async with Load(traefik.url("web"), HOST, clients=1) as load:
        await eventually(lambda: blue.waiting)
        content = shop(green)
        if blue_stays:
            colours = {"shop-blue": load_balancer(blue.url), "shop-green": load_balancer(green.url)}
            content = document({"shop": weighted({"shop-blue": 1, "shop-green": 99}), **colours})
        await apply(content, documents, traefik)
        assert await ask(traefik) == (200, "green")
        assert load.requests == 0
        blue.release()
        await load.until_answer("green", count=5)
    assert load.failures == []
    assert load.answers["blue"] >= 1
    assert load.connections == 1


async def test_kept_alive_clients_move_with_their_next_request(
    traefik: Traefik, documents: DocumentServer, blue: Backend, green: Backend
) -> None:
    async with Load(traefik.url("web"), HOST) as load:
        await load.until_all("blue")
        await apply(shop(green), documents, traefik)
        await load.until_all("green")
        last = blue.requests.total()
        await load.until_answer("green", count=50)
    assert load.failures == []
    assert load.connections == load.clients
    assert blue.requests.total() == last


@pytest.mark.takes(11)
async def test_60_switches_under_load_lose_no_request(
    traefik: Traefik, documents: DocumentServer, blue: Backend, green: Backend
) -> None:
    async with Load(traefik.url("web"), HOST) as load:
        for backend in (green, blue) * 30:
            await apply(shop(backend), documents, traefik)
            await load.until_all(backend.name)
    assert load.failures == []
    assert load.statuses == {200: load.requests}
    assert load.connections == load.clients


async def test_a_switch_with_traefiks_own_poll_interval_and_throttle_loses_no_request(
    start_traefik: StartTraefik, documents: DocumentServer, blue: Backend, green: Backend
) -> None:
    documents.publish(marked(shop(blue))[0])
    traefik = await start_traefik(documents.url, poll_interval_s=5.0, throttle_s=2.0)
    await eventually(traefik.routers)
    async with Load(traefik.url("web"), HOST) as load:
        await load.until_all("blue")
        await apply(shop(green), documents, traefik)
        await load.until_all("green")
    assert load.failures == []
    assert load.connections == load.clients


async def test_a_refused_connection_costs_that_colour_its_share_only(
    traefik: Traefik, documents: DocumentServer, blue: Backend, green: Backend
) -> None:
    await green.stop()
    await apply(shop(blue, green), documents, traefik)
    assert Counter([(await ask(traefik))[0] for _ in range(20)]) == {200: 10, 502: 10}


async def test_a_sticky_cookie_wins_over_weights_until_its_colour_leaves_the_document(
    traefik: Traefik, documents: DocumentServer, blue: Backend, green: Backend
) -> None:
    colours = {"shop-blue": load_balancer(blue.url), "shop-green": load_balancer(green.url)}
    sticky = {"cookie": {"name": "colour"}}

    def content(weights: Mapping[str, int]) -> Json:
        return document({"shop": weighted(weights, sticky=sticky), **colours})

    await apply(content({"shop-blue": 1}), documents, traefik)
    async with aiohttp.request("GET", traefik.url("web"), headers={"Host": HOST}) as response:
        cookie = f"colour={response.cookies['colour'].value}"
    await apply(content({"shop-blue": 1, "shop-green": 99}), documents, traefik)
    assert Counter([await ask(traefik, cookie=cookie) for _ in range(10)]) == {(200, "blue"): 10}
    await apply(content({"shop-green": 100}), documents, traefik)
    assert await ask(traefik, cookie=cookie) == (200, "green")


async def test_traefik_starts_again_on_the_ports_it_had(
    start_traefik: StartTraefik, documents: DocumentServer, blue: Backend
) -> None:
    """A stopped Traefik leaves nothing behind that would keep its port."""
    documents.publish(marked(shop(blue))[0])
    api_port, web_port = free_ports(2)
    for _ in range(2):
        traefik = await start_traefik(documents.url, api_port=api_port, entry_points={"web": web_port})
        await eventually(traefik.routers)
        assert await ask(traefik) == (200, "blue")
        await traefik.__aexit__(None, None, None)


async def test_our_reader_of_rules_accepts_what_traefik_accepts(
    start_backend: StartBackend, documents: DocumentServer, traefik: Traefik
) -> None:
    blue = await start_backend("blue")
    rules = {f"good-{number}": rule for number, rule in enumerate(RULES)}
    rules |= {f"bad-{number}": rule for number, rule in enumerate(REFUSED) if rule}
    rules |= {"fold": "Host(`shop.test`) &&\n  Path(`/`)", "comma": "Host(`shop.test`,)", "number": "Path(1)"}
    routers: dict[str, object] = {name: {"rule": rule, "service": "shop"} for name, rule in rules.items()}
    await apply(document({"shop": load_balancer(blue.url)}, routers=routers), documents, traefik)
    shown = (await traefik.raw_data())["routers"]
    accepts = {name: shown[f"{name}@http"]["status"] == "enabled" for name in rules}
    assert accepts == {name: _is_rule(rule) for name, rule in rules.items()}


def _is_rule(text: str) -> bool:
    try:
        parse(text)
    except RuleError:
        return False
    return True
