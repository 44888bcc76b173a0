"""What stands in a compose file beside an application, and is there once for each colour."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from provider.cli.doctor.checks.compose import critical, findings
from provider.cli.doctor.checks.containers import Context
from provider.cli.doctor.findings import Code, Finding

CRITICAL = {Code.DATABASE_PER_COLOUR, Code.VOLUME_PER_COLOUR, Code.DATABASE_SHARES_FILES}


def judged(make: Callable[[str], Mapping[str, object]]) -> list[Finding]:
    rendered = {colour: make(colour) for colour in ("blue", "green")}
    return list(findings(rendered, "shop", "compose.yaml", Context()))


def beside(
    name: str = "db",
    body: Mapping[str, object] | None = None,
    app: Mapping[str, object] | None = None,
    **top: object,
) -> list[Finding]:
    """Judge a file with one application, and a service beside it where one is given."""

    def make(colour: str) -> dict[str, object]:
        labels = {"bluegreen.service": "shop", "bluegreen.colour": colour}
        web = {"image": "shop:1.4.1", "restart": "always", "labels": labels, **(app or {})}
        services = {"web": web} if body is None else {"web": web, name: body}
        text: Any = _coloured({"services": services, **top}, colour)
        return dict(text)

    return judged(make)


def _coloured(value: object, colour: str) -> object:
    """Put the colour in, as compose does."""
    match value:
        case dict():
            return {key: _coloured(one, colour) for key, one in value.items()}
        case list():
            return [_coloured(one, colour) for one in value]
        case str():
            return value.replace("${BLUEGREEN_COLOUR}", colour)
    return value


@pytest.mark.parametrize(
    ("body", "volumes"),
    [
        ({"image": "postgres:16", "volumes": ["data:/var/lib/postgresql/data"]}, {"data": {}}),
        ({"image": "postgres:16", "volumes": ["data:/var/lib/postgresql/data:rw"]}, {"data": None}),
        ({"build": "./db", "volumes": ["data:/var/lib/db"]}, {"data": {}}),
        ({"image": "registry.example.com:5000/base/mariadb@sha256:00"}, {}),
        ({"image": "mongo"}, {}),
        ({"image": "rabbitmq:3-management"}, {}),
        ({"image": "redis:7", "volumes": [{"type": "volume", "source": "data", "target": "/data"}]}, {"data": {}}),
        ({"image": "acme/queue", "volumes": ["data:/q"]}, {"data": {"driver": "local"}}),
    ],
    ids=lambda value: str(value.get("image", "")),
)
def test_a_store_beside_the_application_is_there_once_for_each_colour(body: Any, volumes: Any) -> None:
    (one,) = beside(body=body, volumes=volumes, app={"depends_on": ["db"], "environment": {"DSN": "tcp://x:y@db:1/z"}})
    assert (one.code, one.severity.value) == (Code.DATABASE_PER_COLOUR, "critical")
    assert "each colour's project starts its own db (used by web: depends_on, DSN)" in one.what
    assert "x:y" not in one.what
    if volumes:
        assert "volume data: shop-blue_data and shop-green_data" in one.what
    assert one.fix.startswith("move db into a compose file of its own")


def test_what_compose_2_writes_into_its_rendering_is_nobodys_choice() -> None:
    """It puts the name of the project before the name of every volume."""

    def make(colour: str) -> dict[str, object]:
        labels = {"bluegreen.service": "shop", "bluegreen.colour": colour}
        web = {"image": "shop:1", "restart": "always", "labels": labels}
        db = {"image": "postgres:16", "volumes": [{"type": "volume", "source": "data", "target": "/d", "volume": {}}]}
        project = f"shop-{colour}"
        return {
            "name": project,
            "services": {"web": web, "db": db},
            "volumes": {"data": {"name": f"{project}_data"}},
            "networks": {"default": {"name": f"{project}_default"}},
        }

    assert [one.code for one in judged(make)] == [Code.DATABASE_PER_COLOUR]


def test_a_volume_that_a_companion_shares_with_the_application_is_reported_for_the_application() -> None:
    worker = {"image": "shop:1.4.1", "volumes": ["static:/app/static"]}
    found = beside("worker", worker, {"volumes": ["static:/app/static"]}, volumes={"static": {}})
    assert [(one.code, one.where) for one in found] == [
        (Code.VOLUME_PER_COLOUR, "compose service web (shop:1.4.1)"),
        (Code.COMPANION_PER_COLOUR, "compose service worker (shop:1.4.1)"),
    ]


@pytest.mark.parametrize(
    "volume",
    [
        {"external": True},
        {"external": True, "name": "uploads"},
        {"external": {"name": "uploads"}},
        {"name": "uploads"},
        {"driver_opts": {"type": "none", "o": "bind", "device": "/srv/uploads"}},
        {"driver_opts": {"type": "nfs", "o": "addr=10.0.0.1", "device": ":/uploads"}},
    ],
    ids=str,
)
def test_a_volume_of_the_application_that_both_colours_have_is_only_shared(volume: object) -> None:
    found = beside(app={"volumes": ["uploads:/srv"]}, volumes={"uploads": volume})
    assert [one.code for one in found] == [Code.VOLUME_SHARED]


def test_a_volume_of_the_application_that_is_each_colours_own_is_critical_unless_it_was_chosen() -> None:
    (one,) = beside(app={"volumes": ["uploads:/srv/uploads"]}, volumes={"uploads": {}})
    assert (one.code, one.severity.value) == (Code.VOLUME_PER_COLOUR, "critical")
    assert one.where == "compose service web (shop:1.4.1)"
    assert "uploads of its own (shop-blue_uploads, shop-green_uploads) at /srv/uploads" in one.what
    assert beside(app={"volumes": ["uploads:/srv:ro"]}, volumes={"uploads": {}}) == []
    chosen = {"name": "uploads-${BLUEGREEN_COLOUR}"}
    assert beside(app={"volumes": ["uploads:/srv"]}, volumes={"uploads": chosen}) == [], "it was said in the file"


@pytest.mark.parametrize(
    ("body", "volumes"),
    [
        ({"image": "postgres:16", "volumes": ["data:/var/lib/postgresql/data"]}, {"data": {"external": True}}),
        ({"image": "mysql:8", "volumes": ["./data:/var/lib/mysql"]}, {}),
        ({"image": "redis:7", "volumes": ["/srv/redis:/data"]}, {}),
    ],
    ids=lambda value: str(value.get("image", "")),
)
def test_two_database_servers_on_the_same_files_are_critical(body: Any, volumes: Any) -> None:
    (one,) = beside(body=body, volumes=volumes)
    assert (one.code, one.severity.value) == (Code.DATABASE_SHARES_FILES, "critical")


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        ({"image": "redis:7"}, [Code.CACHE_PER_COLOUR]),
        ({"image": "memcached"}, [Code.CACHE_PER_COLOUR]),
        ({"image": "prom/mysqld-exporter"}, [Code.COMPANION_PER_COLOUR]),
        ({"image": "mongo-express"}, [Code.COMPANION_PER_COLOUR]),
        ({"image": "postgrest/postgrest"}, [Code.COMPANION_PER_COLOUR]),
        ({"image": "acme/worker"}, [Code.COMPANION_PER_COLOUR]),
        ({"image": "nginx", "volumes": ["/srv/logs:/var/log/nginx"]}, [Code.VOLUME_SHARED]),
        ({"image": "postgres", "volumes": ["/srv/${BLUEGREEN_COLOUR}:/var/lib"]}, [Code.COMPANION_PER_COLOUR]),
        ({"image": "postgres", "profiles": ["tools"]}, []),
        ({"image": "postgres", "deploy": {"replicas": 0}}, []),
    ],
    ids=str,
)
def test_what_keeps_nothing_or_was_chosen_is_not_critical(body: Any, codes: list[Code]) -> None:
    found = beside(body=body)
    assert [one.code for one in found] == codes
    assert not CRITICAL & {one.code for one in found}


def test_a_companion_that_cannot_be_there_twice_keeps_the_second_colour_from_starting() -> None:
    found = beside(body={"image": "acme/worker", "container_name": "worker", "ports": ["5432:5432"]})
    assert [one.code for one in found] == [
        Code.COMPANION_PER_COLOUR,
        Code.CONTAINER_NAME_FIXED,
        Code.PORT_COLLIDES,
    ]
    assert {one.where for one in found} == {"compose service db (acme/worker)"}
    coloured = {"image": "acme/worker", "container_name": "worker-${BLUEGREEN_COLOUR}", "ports": ["5432"]}
    assert [one.code for one in beside(body=coloured)] == [Code.COMPANION_PER_COLOUR]


def test_a_name_that_both_colours_have_on_a_shared_network_is_reported_where_it_is_used() -> None:
    edge: dict[str, object] = {"edge": {"external": True, "name": "production-edge"}}
    asks = {"networks": ["edge", "default"], "environment": ["API=http://api:8080/v1"]}
    found = beside("api", {"image": "acme/api", "networks": ["edge"]}, asks, networks=edge)
    assert [one.code for one in found] == [Code.COMPANION_PER_COLOUR, Code.NAME_ON_SHARED_NETWORK]
    assert "api is used by its name (web: API), and on the network production-edge" in found[1].what
    alone = beside("api", {"image": "acme/api"}, asks, networks=edge)
    assert Code.NAME_ON_SHARED_NETWORK not in {one.code for one in alone}


def test_what_must_not_be_started_is_reported_without_anything_else_being_known() -> None:
    """Rule 17: a deployment asks this before it starts anything."""
    labels = {"bluegreen.service": "shop", "bluegreen.colour": "${BLUEGREEN_COLOUR}"}
    web = {"image": "shop:latest", "labels": labels, "ports": ["8080:80"]}
    file = {"services": {"web": web, "db": {"image": "postgres"}, "mail": {"image": "mailpit"}}}
    rendered: Any = {colour: _coloured(file, colour) for colour in ("blue", "green")}
    assert {one.code for one in critical(rendered, "shop", "compose.yaml")} == {
        Code.DATABASE_PER_COLOUR,
        Code.PORT_COLLIDES,
    }
    assert critical({"blue": {}, "green": {}}, "shop", "compose.yaml") == ()
