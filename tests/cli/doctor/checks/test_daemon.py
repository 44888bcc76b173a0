"""What the doctor says of a daemon by its own words."""

from typing import Any

import pytest

from provider import __version__
from provider.cli.doctor.checks.daemon import DaemonFacts, check
from provider.cli.doctor.findings import Code, Finding

ABOUT = {
    "version": __version__,
    "in_container": False,
    "listen": "127.0.0.1:8900",
    "admin_listen": "127.0.0.1:8901",
    "guarded": False,
    "tls": False,
    "traefik": ["http://traefik:8080"],
    "polls": [],
}


def shop(health: str = "healthy", url: str = "http://127.0.0.1:8081", conditions: Any = (), **server: object) -> Any:
    servers = [{"url": url, "health": health, "container": None, **server}]
    colours = {"blue": {"servers": servers}, "green": {"servers": []}}
    return {"service": "shop", "colours": colours, "conditions": list(conditions)}


def daemon(*services: Any, conditions: Any = (), late_s: float | None = 0.1, **about: object) -> DaemonFacts:
    status: Any = {"services": list(services), "conditions": list(conditions)}
    shown: Any = {**ABOUT, **about}
    return DaemonFacts("http://127.0.0.1:8901", shown, status, late_s)


def codes(asked: DaemonFacts, traefik: str | None = None) -> list[Code]:
    return [one.code for one in check(asked, docker_runs_traefik=traefik)]


def test_a_daemon_in_good_order_is_no_finding() -> None:
    assert codes(daemon(shop())) == []


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({"listen": "10.0.0.5:8900"}, [Code.PROVIDER_OPEN]),
        ({"listen": ":8900"}, [Code.PROVIDER_OPEN]),
        ({"listen": "[::1]:8900"}, []),
        ({"listen": "10.0.0.5:8900", "guarded": True}, []),
        ({"admin_listen": "0.0.0.0:8901"}, [Code.ADMIN_UNENCRYPTED]),
        ({"admin_listen": "0.0.0.0:8901", "tls": True}, []),
        ({"admin_listen": "unix:/run/admin.sock"}, []),
        ({"listen": "0.0.0.0:8900", "admin_listen": "0.0.0.0:8901", "in_container": True}, [Code.OPEN_IN_CONTAINER]),
        ({"version": "0.0.1"}, [Code.VERSIONS_DIFFER]),
        ({"traefik": []}, [Code.NO_READ_BACK]),
        ({"late_s": 5.0}, [Code.CLOCK_SKEW]),
        ({"late_s": -5.0}, [Code.CLOCK_SKEW]),
        ({"late_s": None}, []),
    ],
    ids=str,
)
def test_what_a_daemon_was_started_with_is_checked_by_who_reaches_it(about: Any, expected: list[Code]) -> None:
    assert codes(daemon(shop(), **about)) == expected


@pytest.mark.parametrize(("files", "needs_one"), [([], True), ([{"role": "desired-state"}], False)], ids=str)
def test_a_daemon_without_a_file_needs_one_for_the_read_back(files: Any, needs_one: bool) -> None:
    (found,) = check(daemon(shop(), traefik=[], discovers=True, files=files), docker_runs_traefik=None)
    assert ("--desired-state" in found.fix) is needs_one


def test_a_daemon_that_does_not_show_its_settings_is_still_checked_by_its_services() -> None:
    condition = {"code": "docker-away", "severity": "warning", "message": "Docker does not answer", "since": None}
    status: Any = {"services": [shop()], "conditions": [condition]}
    assert codes(DaemonFacts("unix:/a", None, status)) == [Code.CONDITION_WARNING]


def test_servers_on_the_loopback_of_a_container_are_found_unless_they_answer_there() -> None:
    assert codes(daemon(shop("unhealthy"), in_container=True)) == [Code.LOOPBACK_SERVERS]
    assert codes(daemon(shop("healthy"), in_container=True)) == [], "it shares the host's network"
    assert codes(daemon(shop("unhealthy"))) == [], "that is its health's matter"
    assert codes(daemon(shop("unhealthy", "http://10.0.0.1:80"), in_container=True)) == []
    assert codes(daemon(shop("unhealthy", container="0123"), in_container=True)) == [], "host networking, by Docker"
    assert codes(daemon(shop()), traefik="edge") == [Code.LOOPBACK_SERVERS]


def test_what_the_daemon_complains_of_is_a_line_each_however_many_services_have_it() -> None:
    away = {"code": "docker-away", "severity": "critical", "message": "Docker does not answer\nat all", "since": None}
    lost = {"code": "way-back-lost", "severity": "warning", "message": "x" * 300, "since": None}
    mixed = {"code": "no-version", "severity": "info", "message": "no version", "since": None}
    services = [{**shop(conditions=[away, lost, mixed]), "service": f"shop-{number}"} for number in range(5)]
    found: list[Finding] = list(check(daemon(*services, conditions=[away])))
    assert [(one.code, one.where) for one in found] == [
        (Code.CONDITION_CRITICAL, "daemon, docker-away"),
        (Code.CONDITION_WARNING, "daemon, way-back-lost shop-0, shop-1, shop-2 and 2 more"),
    ]
    assert found[0].what == "Docker does not answer; at all"
    assert found[1].what == "x" * 300, "what to do about it stands at the end"


def test_a_service_that_waits_for_a_switch_is_critical_and_one_that_waits_for_containers_is_not() -> None:
    """Rule 35."""
    for way_out, code in (
        ("name one: bluegreen switch shop blue|green", Code.SERVICE_UNDECIDED),
        ("start one", Code.CONDITION_WARNING),
    ):
        message = f"undecided: both colours have servers\n{way_out}"
        condition = {"code": "undecided", "severity": "warning", "message": message, "since": None}
        (one,) = check(daemon(shop(conditions=[condition])))
        assert (one.code, one.where) == (code, "daemon, undecided shop")
        assert way_out in one.what


def test_the_slowest_poller_gives_the_interval() -> None:
    polls = [{"poller": "a", "interval_s": 1.0}, {"poller": "b", "interval_s": 5}, {"poller": "c", "interval_s": None}]
    assert daemon(polls=polls).interval_s == 5.0
    assert daemon().interval_s is None
