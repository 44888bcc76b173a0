"""The table of docs/labels.md: each label that it says cannot be taken is refused, by its name."""

from collections.abc import Mapping

import pytest

from provider.docker.traefik_labels import ContainerFacts
from provider.docker.traefik_labels.routing import routing_of
from provider.model.routing import Routing
from tests.support.pages import PAGES, rows

R, S = "traefik.http.routers.shop", "traefik.http.services.shop.loadbalancer"
RULE = {f"{R}.rule": "Host(`shop.example.com`)", f"{S}.passhostheader": "true"}
ELSEWHERE = {"passwords (`basicauth.users`)", "different labels in one colour"}
"""What depends on more than one container's labels; the tests of the controller have them."""
EXAMPLES: Mapping[str, tuple[str, str]] = {
    "an unknown key, an unknown option": (f"{R}.priorty", "1"),
    "`loadbalancer.server.url`, `servers[N]`": (f"{S}.server.url", "http://10.0.0.9"),
    "`router.service` of another container": (f"{R}.service", "other"),
    "`tls.options` without a provider": (f"{R}.tls.options", "mtls"),
    "`serverstransport` without a provider, `server.tls`": (f"{S}.serverstransport", "own"),
    "`traefik.tls.stores`": ("traefik.tls.stores.default.defaultgeneratedcert.resolver", "le"),
    "`middlewares` of a service": ("traefik.http.services.shop.middlewares", "frame"),
}
FURTHER = {
    f"{S}.servers[0].url": "http://10.0.0.9",
    f"{S}.server.tls": "true",
    f"{R}.tls.options": "mtls@docker",
}


def test_every_row_of_the_table_has_an_example() -> None:
    page = PAGES["docs/labels.md"].read_text()
    assert {row[0] for row in rows(page, "## What cannot be taken")} == EXAMPLES.keys() | ELSEWHERE


@pytest.mark.parametrize(("label", "value"), [*EXAMPLES.values(), *FURTHER.items()])
def test_a_label_of_the_table_is_refused(label: str, value: str) -> None:
    """Rule 34."""
    facts = ContainerFacts("shop", "shop-1", (80,))
    assert isinstance(routing_of(RULE, facts), Routing)
    found = routing_of({**RULE, label: value}, facts)
    assert not isinstance(found, Routing)
    assert any(label.lower().startswith(fault.label.lower()) for fault in found), found
