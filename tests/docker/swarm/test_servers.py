from dataclasses import replace

import pytest

from provider.docker.labels import Scope
from provider.docker.swarm.servers import sight
from provider.docker.swarm.tasks import Task, node_address, task_from
from provider.model import Health, Observed, Route
from provider.model.desired import LabelRouting, Service
from tests.support.swarm_answers import ANSWERS, NODES, PRODUCTION, entries, servers, service, sightings, warning


def test_each_task_that_runs_is_a_server_in_the_colour_of_its_service() -> None:
    """Rule 66."""
    blue, green = service("rec_blue"), service("rec_green")
    assert [(found.service, str(found.colour)) for found in sightings(blue)] == [("shop", "blue")] * 2
    assert [(found.service, str(found.colour)) for found in sightings(green)] == [("shop", "green")]
    found = servers(blue)
    assert len({server.url for server in found}) == 2
    assert len({server.release for server in found}) == 1
    assert [server.slot for server in found] == ["rec_blue.1", "rec_blue.2"]
    assert {len(server.container or "") for server in found} == {12}


def test_a_service_needs_a_port_as_swarm_lists_none_of_an_image() -> None:
    """Rule 66."""
    assert warning(service("rec_portless")) == (
        "ignored: no label bluegreen.port, which a Swarm service needs: add bluegreen.port=PORT under deploy: labels:"
    )


def test_labels_on_the_containers_alone_are_a_warning() -> None:
    """Rule 66."""
    assert "are on the containers, and Swarm's have to be on the service: write it under deploy: labels:" in warning(
        service("rec_misplaced")
    )
    half = replace(service("rec_blue", colour=None), container_labels={"bluegreen.colour": "blue"})
    assert "bluegreen.colour is on its containers, not on the service" in warning(half)


def test_the_address_is_that_in_the_network_of_the_label() -> None:
    """Rule 66."""
    for named in ("web", "rec_back"):
        for server, entry in zip(servers(service("rec_blue", network=named)), entries("rec_blue"), strict=True):
            (there,) = [one for one in entry["NetworksAttachments"] if one["Network"]["Spec"]["Name"] == named]
            assert server.url == f"http://{there['Addresses'][0].partition('/')[0]}:80"
            assert server.is_labelled
            assert [route.network for route in server.routes] == ["rec_back", "web"]
            assert Route(named, server.url) in server.routes
    found = sightings(service("rec_blue", network="back"))
    fix = "write the whole name as Docker has it: bluegreen.network=rec_back"
    assert {one.warning for one in found} == {f"ignored: bluegreen.network=back: it has no address there: {fix}"}


def test_ingress_is_never_the_network() -> None:
    """Rule 66."""
    (server,) = servers(service("rec_ingress"))
    assert [route.network for route in server.routes] == ["web"]
    assert "ingress network alone" in warning(service("only-ingress"))
    assert "it has no address there" in warning(service("rec_ingress", network="ingress"))


def test_without_a_network_a_task_is_reached_where_its_node_publishes_it_in_host_mode() -> None:
    """Rule 66."""
    assert {server.url for server in servers(service("bare-host"))} <= {
        f"http://{address}:8091" for address in NODES.values()
    }
    assert {server.url for server in servers(service("rec_published"))} == {
        f"http://{address}:8088" for address in NODES.values()
    }
    assert all(server.routes == () for server in servers(service("rec_published")))
    unpublished = sightings(service("rec_published", port="81"))[0].warning or ""
    assert "TCP port 81 is not published in host mode" in unpublished
    assert "it is on no network" in warning(service("nowhere"))


def test_a_task_with_the_network_of_its_node_is_reached_there() -> None:
    (server,) = servers(service("rec_host"))
    assert server.url in {f"http://{address}:9080" for address in NODES.values()}
    (found,) = sight(service("rec_host"), map(task_from, entries("rec_host")), {}, PRODUCTION)
    assert "the manager does not say the address of node" in (found.warning or "")


def test_a_manager_that_advertises_no_address_is_reached_where_its_peers_reach_it() -> None:
    (manager,) = [node for node in ANSWERS["nodes"] if node["Spec"]["Role"] == "manager"]
    alone = manager | {"Status": manager["Status"] | {"Addr": "0.0.0.0"}}
    assert node_address(alone) == node_address(manager)
    assert node_address(alone | {"ManagerStatus": None}) == (manager["ID"], "0.0.0.0")


def test_the_version_is_that_of_the_containers_label_or_else_the_tag_of_the_image() -> None:
    """Rule 68: the labels of a service change before its tasks do."""
    assert {server.version for server in servers(service("rec_blue"))} == {"1.0"}
    (found,) = sightings(service("rec_green"))
    assert found.server is not None
    assert found.server.version == "2"
    assert "bluegreen.version is on the service" in (found.warning or "")
    (entry,) = entries("rec_green")
    for image, version in (
        ("registry.example:5000/shop", None),
        ("registry.example:5000/shop:1.4.2", "1.4.2"),
        ("shop:1.4.2@sha256:" + "0" * 64, "1.4.2"),
        ("shop@sha256:" + "0" * 64, None),
    ):
        entry["Spec"]["ContainerSpec"]["Image"] = image
        (found,) = sight(service("rec_green"), [task_from(entry)], NODES, PRODUCTION)
        assert found.server is not None
        assert found.server.version == version


def test_a_colour_with_tasks_of_two_specifications_is_mixed() -> None:
    """Rule 68."""
    found = sight(service("rec_blue"), map(task_from, entries("rec_blue", "updating")), NODES, PRODUCTION)
    updating = tuple(one.server for one in found if one.server is not None)
    assert {server.leaving_mono_s is not None for server in updating} == {True, False}
    back_soon = tuple(replace(server, leaving_mono_s=None) for server in updating)
    assert Observed(known=True, servers=back_soon).release is None
    assert Observed(known=True, servers=updating).release == next(
        server.release for server in updating if server.leaving_mono_s is None
    )


@pytest.mark.parametrize("desired", ["shutdown", "remove"])
def test_a_task_that_is_to_stop_is_leaving(desired: str) -> None:
    """Rule 67."""
    (entry,) = entries("rec_green")
    task = task_from(entry | {"DesiredState": desired})
    (found,) = sight(service("rec_green"), [task], NODES, PRODUCTION)
    assert found.server is not None
    assert found.server.leaving_mono_s is not None


@pytest.mark.parametrize("state", ["new", "pending", "preparing", "starting", "complete", "shutdown", "failed"])
def test_only_a_task_that_runs_serves(state: str) -> None:
    """Rule 67."""
    (entry,) = entries("rec_green")
    entry["Status"]["State"] = state
    assert list(sight(service("rec_green"), [task_from(entry)], NODES, PRODUCTION)) == []


def test_a_task_that_runs_has_passed_its_healthcheck() -> None:
    """Rule 67: until then it is starting, and it is stopped when it fails."""
    assert {server.docker_health for server in servers(service("rec_blue"))} == {Health.HEALTHY}
    assert {server.docker_health for server in servers(service("rec_green"))} == {None}


def test_services_of_another_environment_are_not_seen() -> None:
    required = Scope("production", required=True)
    assert sightings(service("rec_blue", environment="staging")) == []
    assert len(servers(service("rec_blue", environment="production"), required)) == 2
    assert "no label bluegreen.environment, which the desired state requires" in warning(service("rec_green"), required)


def test_several_services_in_one_colour_are_one_release_where_image_and_version_agree() -> None:
    """Rule 40."""
    (one,) = servers(service("rec_green"))
    other = replace(one, unit="rec_green-api", release="0" * 8, container="0" * 12)
    assert Observed(known=True, servers=(one, other)).release is not None
    assert Observed(known=True, servers=(one, replace(other, kin="1" * 8))).release is None


def test_a_task_without_a_container_is_named_by_its_own_id() -> None:
    (entry,) = entries("rec_green")
    del entry["Status"]["ContainerStatus"]
    task: Task = task_from(entry)
    (found,) = sight(service("rec_green"), [task], NODES, PRODUCTION)
    assert found.server is not None
    assert found.server.container == entry["ID"]


def test_the_traefik_labels_of_a_service_are_its_routing_where_the_file_says_so() -> None:
    """Rule 34: the routing of every task, with the port of Traefik's label where ours names none."""
    found = service("rec_blue")
    labels = {key: value for key, value in found.labels.items() if key != "bluegreen.port"}
    named = labels["bluegreen.service"]
    said = {
        f"traefik.http.routers.{named}.rule": "Host(`shop.example.com`)",
        f"traefik.http.services.{named}.loadbalancer.server.port": "80",
    }
    scope = replace(PRODUCTION, labelled={named: Service(named, (), labels=LabelRouting())})
    tasks = [*map(task_from, entries("rec_blue"))]
    for one in sight(replace(found, labels=labels | said), tasks, NODES, scope):
        assert one.server is not None
        assert one.server.labelled is not None
        assert one.server.labelled.routing is not None
        (router,) = one.server.labelled.routing.routers
        assert router.rule == "Host(`shop.example.com`)"
        assert one.server.url.endswith(":80")
