"""`bluegreen import`: what it prints for compose files as people publish them, and what it lists (rule 37)."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from provider import config
from provider.cli import offline
from provider.cli.commands.exit_codes import Exit
from provider.cli.main import main
from provider.model.desired import LabelRouting
from tests.support.components import program
from tests.support.compose_files import FILES, NAMES, NOTHING_TAKEN, expected, files

VARIABLES = ("NAME", "DOMAIN", "SUBDOMAIN", "ENTRYPOINT", "RESOLVER", "DEFAULT_RESOLVER", "TAG", "ADMIN_DOMAIN")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FILES)
    for name in (*VARIABLES, "ADMIN_USERS", "DB_PASSWORD", "COMPOSE_PROJECT_NAME"):
        monkeypatch.delenv(name, raising=False)


def imported(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["import", *arguments])


@pytest.mark.parametrize("name", NAMES)
def test_a_published_compose_file_becomes_a_desired_state_and_what_is_left_is_listed(name: str) -> None:
    """Rule 37."""
    result = imported("--compose", "none", *files(name))
    wanted = expected(name)
    assert result.stderr.splitlines() == wanted.lefts
    assert result.stdout == (wanted.text or "")
    assert result.exit_code == (Exit.REFUSED if name in NOTHING_TAKEN else Exit.DONE)


@pytest.mark.parametrize("name", sorted({*NAMES} - NOTHING_TAKEN))
@pytest.mark.parametrize("labels", [(), ("--labels",)], ids=["routing in the file", "routing in labels"])
def test_what_is_printed_is_valid(name: str, labels: tuple[str, ...]) -> None:
    """Rule 37; tests/integration/test_import.py has a real Traefik load it."""
    desired = config.load(imported("--compose", "none", *labels, *files(name)).stdout, "printed.yaml")
    assert offline.document(desired)[0].body
    assert all((service.labels is not None) is bool(labels) for service in desired.services.values())


@pytest.mark.parametrize("name", NAMES)
def test_compose_and_we_read_the_same_from_files(name: str) -> None:
    compose = program("docker-compose", "docker-compose")
    assert imported("--compose", compose, *files(name)).stdout == (expected(name).text or "")


def test_variables_come_from_the_environment_before_the_file_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "compose.yaml").write_text((FILES / "variables.yaml").read_text())
    (tmp_path / ".env").write_text(
        "# ours\nDOMAIN=file.example.com\nSUBDOMAIN='www'  # quoted\nexport ADMIN_DOMAIN=admin.example.com\n"
        "ADMIN_USERS='a:$x'\n"
    )
    monkeypatch.setenv("DOMAIN", "environment.example.com")
    desired = config.load(imported("--compose", "none", str(tmp_path / "compose.yaml")).stdout, "printed.yaml")
    rules = {name: service.routers[0].rule for name, service in desired.services.items()}
    assert rules == {"app": "Host(`www.environment.example.com`)", "admin": "Host(`admin.example.com`)"}
    assert desired.pass_through == {"http": {"middlewares": {"admin-auth": {"basicAuth": {"users": ["a:$x"]}}}}}


def test_variables_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text((FILES / "whoami.yaml").read_text())
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    result = imported("--compose", "none", str(tmp_path / "compose.yaml"))
    assert result.exit_code == Exit.DONE
    assert f"{tmp_path}/compose.yaml: its variables were not read: {tmp_path}/.env:" in result.stderr


def test_the_environment_and_the_default_rule_may_be_named() -> None:
    rule = "Host(`{{ normalize .Name }}.example.com`)"
    result = imported("--compose", "none", "--environment", "staging", "--default-rule", rule, "version-2.yaml")
    desired = config.load(result.stdout, "printed.yaml")
    assert desired.environment == "staging"
    assert desired.services["ghost"].routers[0].rule == "Host(`ghost-files.example.com`)"


def test_a_service_with_labels_of_ours_has_the_name_and_the_environment_in_them(tmp_path: Path) -> None:
    """A container that is blue-green already may say `traefik.enable=false` (rule 36)."""
    file = tmp_path / "compose.yaml"
    file.write_text("""\
services:
  web:
    labels:
      bluegreen.service: shop
      bluegreen.environment: staging
      traefik.enable: "false"
      traefik.http.routers.web.rule: Host(`shop.example.com`)
  plain:
    labels: [bluegreen.service=plain]
""")
    result = imported("--compose", "none", str(file))
    desired = config.load(result.stdout, "printed.yaml")
    assert (desired.environment, list(desired.services)) == ("staging", ["shop"])
    assert result.stderr == (
        f"{file}, service plain: bluegreen.service=plain: no label of it has a router: write a router for plain\n"
    )


def test_both_colours_of_a_service_in_one_file_are_one_service(tmp_path: Path) -> None:
    """What is taken has the labels of one of them, and where the other differs is told."""
    file = tmp_path / "compose.yaml"
    file.write_text("""\
x-labels: &labels
  bluegreen.service: shop
  traefik.http.routers.shop.rule: Host(`shop`)
services:
  worker: {labels: {bluegreen.service: shop}}
  blue: {labels: {<<: *labels, bluegreen.colour: blue}}
  green: {labels: {<<: *labels, bluegreen.colour: green, traefik.http.routers.shop.priority: "7"}}
""")
    result = imported("--compose", "none", str(file))
    (service,) = config.load(result.stdout, "printed.yaml").services.values()
    assert [router.body for router in service.routers] == [{"rule": "Host(`shop`)"}]
    assert result.stderr == (
        f"{file}, service green: traefik.http.routers.shop.priority: differs from that of {file}, service blue, "
        "which was taken: check which of them is right\n"
    )


def test_routing_in_labels_is_trusted_with_what_they_say_today() -> None:
    """Rule 35: a priority, and a rule without a host, count only where the file says so."""
    labelled = config.load(imported("--compose", "none", "--labels", "several-routers.yaml").stdout, "a.yaml")
    assert labelled.services["shop"].labels == LabelRouting(hosts=("shop.example.com",))
    labelled = config.load(imported("--compose", "none", "--labels", "adguard.yaml").stdout, "a.yaml")
    routing = LabelRouting(hosts=("dns.example.com",), entry_points=("dns-tcp", "dns-udp"))
    assert labelled.services["adguard"].labels == routing
    labelled = config.load(imported("--compose", "none", "--labels", "traefik.yaml").stdout, "a.yaml")
    assert labelled.services["app"].labels == LabelRouting()
    assert "dashboard" in str(labelled.pass_through)


def test_middlewares_of_one_name_that_differ_are_told_apart(tmp_path: Path) -> None:
    """Traefik keeps neither, and which of them a third service means is not known."""
    file = tmp_path / "compose.yaml"
    services = "".join(
        f"""\
  {name}:
    labels:
      traefik.http.routers.{name}.rule: Host(`{name}`)
      traefik.http.routers.{name}.middlewares: limit{suffix}
"""
        for name, suffix in (("a", ""), ("b", "@docker"), ("c", ""))
    )
    more = "      traefik.http.middlewares.limit.ratelimit.average: {}\n"
    a, b, c = services.split("  b:\n")[0], services.split("  b:\n")[1].split("  c:\n")[0], services.split("  c:\n")[1]
    file.write_text(f"services:\n{a}{more.format(1)}  b:\n{b}{more.format(2)}  c:\n{c}")
    result = imported("--compose", "none", str(file))
    desired = config.load(result.stdout, "printed.yaml")
    used = {name: service.routers[0].body["middlewares"] for name, service in desired.services.items()}
    assert used == {"a": ["a-limit"], "b": ["b-limit"], "c": ["limit@docker"]}
    assert "service c: middleware limit@docker: several define it, each otherwise: " in result.stderr


def test_a_service_whose_routing_is_valid_in_labels_and_not_in_a_file_is_left_alone(tmp_path: Path) -> None:
    """Two services of UDP on one entry point: the last by name would take everything (rule 32)."""
    file = tmp_path / "compose.yaml"
    file.write_text("""\
services:
  first: {labels: {traefik.udp.routers.first.entrypoints: dns}}
  second: {labels: {traefik.udp.routers.second.entrypoints: dns}}
  third: {labels: {traefik.http.routers.third.rule: Host(`third`)}}
""")
    result = imported("--compose", "none", str(file))
    assert list(config.load(result.stdout, "printed.yaml").services) == ["first", "third"]
    assert f"{file}, service second: services.second.router: listens on entry point 'dns'" in result.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is empty"),
        ("- a\n", "it is no mapping"),
        ("web: {image: nginx}\n", "its services stand at the top"),
        ("services: {web: {labels: [a\n", "not valid YAML"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_usage_error(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(text)
    result = imported(str(file))
    assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
    assert words in result.stderr


@pytest.mark.parametrize("arguments", [(), ("--docker", "unix:///nowhere", "whoami.yaml"), ("nowhere.yaml",)])
def test_wrong_usage_is_told(arguments: tuple[str, ...]) -> None:
    assert imported(*arguments).exit_code == Exit.USAGE


def test_an_engine_that_does_not_answer_is_named(tmp_path: Path) -> None:
    result = imported("--docker", f"unix://{tmp_path}/nobody.sock")
    assert result.exit_code == Exit.USAGE
    assert f"Docker unix://{tmp_path}/nobody.sock" in result.stderr
