"""The command line: exit codes, and words on the right stream. A whole `serve` is tested in integration/."""

import asyncio
import json
import os
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from provider import __version__, app
from provider.api.admin import admin_app
from provider.api.tokens import Scope, Token, digest, make_token, read_tokens
from provider.app import Settings
from provider.cli.client.admin_api import CommandRefused
from provider.cli.commands.options import KEPT_IN, exit_code
from provider.cli.main import main
from provider.model.errors import TraefikError
from provider.observability import logs
from provider.store.etcd.address import EtcdAddress
from provider.traefik.process import find_binary
from tests.support.components import missing
from tests.support.running import listening, running, shop

GOOD = shop(green="8082", more="    initial: green\n")
BAD = shop(more="    activ: blue\n    watch: soon\n")


def bluegreen(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments], env=environment)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    written = tmp_path / "production.yaml"
    written.write_text(GOOD)
    return written


# --- help ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"], ["--version"]], ids=" ".join)
def test_help_is_fast_because_it_imports_nothing_slow(arguments: list[str]) -> None:
    script = (
        "import sys\nfrom provider.cli.main import main\n"
        f"try: main({arguments})\n"
        "finally: print(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    slow = {"aiohttp", "asyncio", "docker", "orjson", "prometheus_client", "pydantic", "rich", "structlog", "uvloop"}
    assert loaded & slow == set()
    assert loaded & {"yaml", "watchfiles"} == set()
    assert {name for name in loaded if name.startswith("provider.") and not name.startswith("provider.cli")} == set()


def test_every_verb_says_what_it_does_and_the_version_is_the_packages() -> None:
    output = bluegreen("--help").output
    assert all(f"  {verb} " in output for verb in ("serve", "status", "validate", "render", "schema", "token", "demo"))
    assert __version__ in bluegreen("--version").output


# --- validate ------------------------------------------------------------------------------------------------------


def test_a_good_file_is_reported_as_valid(file: Path) -> None:
    done = bluegreen("validate", file)
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"{file}: valid: production, 1 service\n", "")


def test_a_bad_file_is_reported_with_everything_that_is_wrong_at_its_place(file: Path) -> None:
    """P11."""
    file.write_text(BAD)
    done = bluegreen("validate", file)
    assert (done.exit_code, done.stdout) == (2, "")
    first, second = done.stderr.splitlines()
    assert first.startswith(f"{file}:8:5: services.shop.activ: unknown key")
    assert second.startswith(f"{file}:9:12: services.shop.watch: ")


def test_what_is_wrong_can_be_had_as_json(file: Path) -> None:
    good = json.loads(bluegreen("validate", file, "--json").stdout)
    assert good == {"valid": True, "problems": [], "warnings": [], "traefik": [], "notes": []}
    file.write_text(BAD)
    done = bluegreen("validate", file, "--json")
    assert (done.exit_code, done.stderr) == (2, "")
    found = json.loads(done.stdout)
    assert not found["valid"]
    assert [(one["line"], one["column"], one["path"]) for one in found["problems"]] == [
        (8, 5, "services.shop.activ"),
        (9, 12, "services.shop.watch"),
    ]
    assert all(one["text"].endswith(one["message"]) for one in found["problems"])


def test_a_warning_is_told_with_its_place_and_the_file_is_valid(file: Path) -> None:
    """Rule 19: above 75 % the comparison says little."""
    file.write_text(GOOD + "    canary: {steps: [{weight: 90}]}\n")
    done = bluegreen("validate", file)
    line = len(file.read_text().splitlines())
    assert done.exit_code == 0
    assert done.stderr.startswith(f"{file}:{line}:31: services.shop.canary.steps[0].weight: warning: 90 is above 75: ")
    found = json.loads(bluegreen("validate", file, "--json").stdout)
    assert (found["valid"], found["problems"]) == (True, [])
    assert [one["path"] for one in found["warnings"]] == ["services.shop.canary.steps[0].weight"]


@pytest.mark.parametrize("command", ["validate", "render"])
def test_a_file_that_is_missing_or_no_file_is_a_usage_error(command: str, tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        done = bluegreen(command, path)
        assert done.exit_code == 2
        assert str(path) in done.stderr
    assert bluegreen(command).exit_code == 2


def test_a_directory_is_validated_as_one_and_each_message_names_its_file(tmp_path: Path) -> None:
    """P11, rule 41."""
    (tmp_path / "a.yaml").write_text("environment: staging\n")
    (tmp_path / "b.yaml").write_text("services:\n  shop: {router: {rule: 'Path(`/`)'}}\n")
    assert bluegreen("validate", tmp_path).stdout == f"{tmp_path}: valid: staging, 1 service\n"
    assert json.loads(bluegreen("render", tmp_path).stdout)["http"]["routers"].keys() == {"shop"}
    (tmp_path / "b.yaml").write_text("services:\n  shop: {router: {rul: 'Path(`/`)'}}\n")
    done = bluegreen("validate", tmp_path)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{tmp_path}/b.yaml:2:19: services.shop.router.rul: unknown key")


def test_several_files_are_validated_and_each_message_names_its_file(file: Path, tmp_path: Path) -> None:
    """P11. A pipeline validates everything that it has in one go."""
    bad, other = tmp_path / "bad.yaml", tmp_path / "other.yaml"
    bad.write_text(BAD)
    other.write_text("environment: staging\nservices: {}\n")
    done = bluegreen("validate", file, bad, other)
    assert done.exit_code == 2
    assert done.stdout.splitlines() == [f"{file}: valid: production, 1 service", f"{other}: valid: staging, 0 services"]
    assert len(done.stderr.splitlines()) == 2
    assert all(line.startswith(f"{bad}:") for line in done.stderr.splitlines())
    found = json.loads(bluegreen("validate", file, bad, "--json").stdout)
    assert (found["valid"], len(found["problems"])) == (False, 2)
    assert [(one["file"], one["valid"]) for one in found["files"]] == [(str(file), True), (str(bad), False)]
    assert bluegreen("validate", file, other).exit_code == 0


@pytest.mark.parametrize("command", ["validate", "render"])
def test_standard_input_is_a_file_like_any_other(command: str) -> None:
    done = CliRunner().invoke(main, [command, "-"], input=GOOD)
    assert done.exit_code == 0
    assert (done.stdout == "<stdin>: valid: production, 1 service\n") == (command == "validate")
    done = CliRunner().invoke(main, [command, "-"], input=BAD)
    assert (done.exit_code, done.stdout) == (2, "")
    assert all(line.startswith("<stdin>:") for line in done.stderr.splitlines())
    done = CliRunner().invoke(main, [command, "-"], input=b"\xff")
    assert (done.exit_code, done.stderr) == (2, "<stdin>:1:1: is not UTF-8: byte 0xff\n")


def test_standard_input_is_read_once_and_beside_files(file: Path) -> None:
    done = CliRunner().invoke(main, ["validate", str(file), "-"], input=BAD)
    assert (done.exit_code, done.stdout) == (2, f"{file}: valid: production, 1 service\n")
    assert CliRunner().invoke(main, ["validate", "-", "-"], input=GOOD).exit_code == 2
    assert CliRunner().invoke(main, ["validate"]).exit_code == 2


def test_a_real_traefik_judges_the_document(file: Path) -> None:
    try:
        find_binary()
    except TraefikError as error:
        missing("traefik", str(error))
    done = bluegreen("validate", "--traefik", file)
    assert (done.exit_code, done.stdout) == (0, f"{file}: valid: production, 1 service, and Traefik accepts it\n")
    file.write_text(GOOD.replace("Host(", "Hosst("))
    done = bluegreen("validate", file, "--traefik", "--json")
    assert done.exit_code == 2
    found = json.loads(done.stdout)
    assert (found["valid"], found["problems"]) == (False, [])
    assert "router shop: " in found["traefik"][0]
    assert "Hosst" in found["traefik"][0]


def test_a_traefik_that_is_not_there_is_named(file: Path) -> None:
    done = bluegreen("validate", file, "--traefik", "no-such-traefik")
    assert done.exit_code == 1
    assert "no program 'no-such-traefik'" in done.stderr
    assert "pip install" in done.stderr


# --- render, schema --------------------------------------------------------------------------------------------------


def test_a_rendered_file_is_the_document_and_what_was_assumed_is_noted(file: Path) -> None:
    done = bluegreen("render", file)
    assert (done.exit_code, done.stderr) == (0, "")
    assert set(json.loads(done.stdout)["http"]["services"]) == {"shop", "shop-green"}
    file.write_text(shop(green="8082"))
    done = bluegreen("render", file)
    assert done.stderr == "note: shop: the file alone does not settle the active colour; blue is shown\n"
    assert set(json.loads(done.stdout)["http"]["services"]) == {"shop", "shop-blue"}
    file.write_text(BAD)
    done = bluegreen("render", file)
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 2)


def test_the_schema_is_printed_as_json() -> None:
    done = bluegreen("schema")
    assert done.exit_code == 0
    assert "services" in json.loads(done.stdout)["properties"]


# --- token -----------------------------------------------------------------------------------------------------------


def test_the_line_of_a_token_can_be_appended_to_the_file_and_the_secret_does_not_land_there(tmp_path: Path) -> None:
    done = bluegreen("token", "ci", "--scope", "deploy", "--scope", "read")
    assert done.exit_code == 0
    file = tmp_path / "tokens"
    file.write_text(done.stdout)
    secret = done.stderr.splitlines()[1].strip()
    assert read_tokens(file) == (Token("ci", frozenset({Scope.DEPLOY, Scope.READ}), digest(secret)),)
    assert secret not in done.stdout
    assert "not shown again" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ci"], "Missing option '--scope'"),
        (["ci", "--scope", "admin"], "'admin' is not one of 'read', 'deploy', 'approve', 'operate'"),
        (["the pipeline", "--scope", "deploy"], "'the pipeline' is no name: write letters, digits"),
    ],
)
def test_a_token_that_cannot_be_made_is_a_usage_error(arguments: list[str], words: str) -> None:
    done = bluegreen("token", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr


def test_every_scope_can_be_asked_for() -> None:
    for scope in Scope:
        assert bluegreen("token", "ci", "--scope", scope).stdout.startswith(f"ci {scope} sha256:")


# --- status ----------------------------------------------------------------------------------------------------------


def test_without_a_daemon_the_exit_code_is_6_and_the_address_is_named(tmp_path: Path) -> None:
    nowhere = f"unix:{tmp_path / 'admin.sock'}"
    for arguments in ([], ["shop"], ["--json"], ["--watch"]):
        done = bluegreen("status", *arguments, BLUEGREEN_ADMIN=nowhere)
        assert (done.exit_code, done.stdout) == (6, "")
        assert f"bluegreen: no daemon answers at {nowhere} ([Errno 2] No such file or directory)" in done.stderr


def test_an_admin_address_that_is_none_is_a_usage_error() -> None:
    done = bluegreen("status", "--admin", "http://127.0.0.1:port")
    assert done.exit_code == 2
    assert "'http://127.0.0.1:port' is not the address of a daemon" in done.stderr
    assert "BLUEGREEN_ADMIN" in done.stderr


async def test_the_status_is_drawn_for_people_and_json_for_machines(tmp_path: Path) -> None:
    async with running(tmp_path / "state") as daemon, listening(admin_app(daemon.replica)) as admin:
        daemon.load(GOOD)

        async def ask(*arguments: str) -> tuple[int | None, str, str]:
            command = (sys.executable, "-m", "provider", "status", "--admin", admin, *arguments)
            process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
            out, err = await process.communicate()
            return process.returncode, out.decode(), err.decode()

        drawn, in_detail, as_json, unknown = await asyncio.gather(ask(), ask("shop"), ask("shop", "--json"), ask("pay"))
    assert [line.split()[0] for line in drawn[1].splitlines()[:2]] == ["SERVICE", "shop"]
    assert "http://127.0.0.1:8082" in in_detail[1]
    assert json.loads(as_json[1])["service"] == "shop"
    assert [(code, err) for code, _, err in (drawn, in_detail, as_json)] == [(0, "")] * 3
    assert unknown == (2, "", "bluegreen: the desired state has no service 'pay'; it has: shop\n")


async def test_a_daemon_with_tokens_wants_one_and_the_command_line_says_how_to_give_it(tmp_path: Path) -> None:
    text, token = make_token("ann", frozenset({Scope.READ}))
    async with (
        running(tmp_path / "state") as daemon,
        listening(admin_app(daemon.replica, lambda: (token,))) as admin,
    ):

        async def ask(*arguments: str, **environment: str) -> Result:
            return await asyncio.to_thread(bluegreen, "status", "--json", "--admin", admin, *arguments, **environment)

        assert (await ask("--token", text)).exit_code == 0
        assert (await ask(BLUEGREEN_TOKEN=text)).exit_code == 0
        for done, why in (
            (await ask(), "a token (Authorization: Bearer TOKEN)"),
            (await ask("--token", "x"), "a token"),
        ):
            assert (done.exit_code, done.stdout) == (3, "")
            assert done.stderr.startswith(f"bluegreen: /api/v1/services requires {why}")
            assert done.stderr.endswith("; set it with --token (BLUEGREEN_TOKEN)\n")
        assert (await ask("--token", "two words")).exit_code == 2


@pytest.mark.parametrize(
    ("status", "code"), [(400, 2), (401, 3), (403, 3), (404, 2), (409, 3), (415, 1), (500, 1), (503, 1)]
)
def test_a_refusal_ends_with_the_exit_code_that_scripts_rely_on(status: int, code: int) -> None:
    """Section 6.4."""
    assert exit_code(CommandRefused(status, "code", "detail")) == code


# --- serve -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing option '--desired-state'"),
        (["--desired-state", "FILE"], "Missing option '--state-dir'"),
        (["--desired-state", "FILE", "--state-dir", "STATE", "--log-format", "xml"], "'xml' is not one of"),
        (["--desired-state", "FILE", "--state-dir", "STATE", "--listen", "8900"], "'8900' is no address to listen on"),
        (
            ["--desired-state", "FILE", "--state-dir", "STATE", "--admin-listen", "0.0.0.0:8901"],
            "--admin-listen 0.0.0.0:8901 lets everybody who reaches it switch services: name a --tokens-file",
        ),
        (["--desired-state", "FILE", "--state-dir", "STATE", "--tls-key", "FILE"], "--tls-key alone leaves"),
        (
            ["--desired-state", "FILE", "--state-dir", "STATE", "--docker", "none", "--tokens-file", "FILE"],
            ":1: a line is NAME SCOPE[,SCOPE] sha256:HEX",
        ),
        (
            ["--desired-state", "FILE", "--state-dir", "STATE", "--poll-hold", "25s"],
            "'25s' is too long, at most 9s: Traefik panics if it is stopped during a longer hold",
        ),
        (["--desired-state", "NONE", "--state-dir", "STATE", "--docker", "none"], "NONE:1:1: cannot be read"),
        (
            ["--desired-state", "FILE", "--state-dir", "STATE", "--store", "sqlite:STATE"],
            "--store and --state-dir (BLUEGREEN_STORE, BLUEGREEN_STATE_DIR) both name the store",
        ),
        (["--desired-state", "FILE", "--store", "redis://h1"], "begins with no kind of store: sqlite: or"),
    ],
    ids=[
        *("no file", "no state", "log format", "address", "open admin", "half of TLS", "tokens", "hold"),
        *("missing file", "two stores", "kind of store"),
    ],
)
def test_serve_refuses_bad_usage_with_exit_code_2(file: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    places = {"FILE": str(file), "STATE": str(tmp_path / "state"), "NONE": str(tmp_path / "NONE")}
    command = [sys.executable, "-m", "provider", "serve", *(places.get(one, one) for one in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_file_says_which_environment_of_a_prefix_a_replica_belongs_to(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Section 3 of the replicas' rules: the keys are below `/bluegreen/ENV/`."""
    prefixes = []

    async def serve(settings: Settings) -> None:
        assert isinstance(settings.store, EtcdAddress)
        prefixes.append(settings.store.prefix)

    monkeypatch.setattr(app, "serve", serve)
    monkeypatch.setattr(logs, "configure", lambda **_: None)
    more = ["--state-dir", tmp_path, "--replica", "a"]
    named = ["--desired-state", file]
    for path, flags, code in (
        ("", named, 0),
        ("/bluegreen", named, 0),
        ("/bluegreen/staging", named, 0),
        ("/bluegreen/staging", [], 0),
        ("/bluegreen", [], 2),
        ("/bluegreen", ["--desired-state", tmp_path / "NONE"], 2),
        ("/bluegreen", [*named, "--advertise", "node-1"], 2),
    ):
        done = bluegreen("serve", "--store", f"etcd://127.0.0.1{path}", *more, *flags)
        assert done.exit_code == code, done.output
    assert prefixes == [f"/bluegreen/{name}" for name in ("production", "production", "staging", "staging")]


def test_a_replica_that_is_not_told_where_keeps_its_document_apart_from_others(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 57: two on one machine, or of two environments, share no document."""
    found: list[Path] = []

    async def serve(settings: Settings) -> None:
        found.append(settings.state_dir)

    monkeypatch.setattr(app, "serve", serve)
    monkeypatch.setattr(logs, "configure", lambda **_: None)
    for path, name in (("", "a"), ("/bluegreen/staging", "b")):
        store = ("--store", f"etcd://127.0.0.1{path}", "--replica", name)
        assert bluegreen("serve", *store, "--desired-state", file).exit_code == 0
    assert found == [KEPT_IN / "bluegreen/production/a", KEPT_IN / "bluegreen/staging/b"]


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--store", "sqlite:STATE"], {}),
        (["--store", "sqlite:STATE"], {"BLUEGREEN_STATE_DIR": "/nowhere"}),
        (["--state-dir", "STATE"], {"BLUEGREEN_STORE": "redis://h1"}),
        ([], {"BLUEGREEN_STORE": "sqlite:STATE", "BLUEGREEN_STATE_DIR": ""}),
    ],
)
def test_the_store_that_was_typed_comes_before_one_of_the_environment(
    file: Path, tmp_path: Path, arguments: list[str], environment: dict[str, str]
) -> None:
    """The image sets BLUEGREEN_STATE_DIR."""
    state = tmp_path / "state"
    state.mkdir(mode=0o777)
    state.chmod(0o777)  # so that the start is refused, by name
    written = [one.replace("STATE", str(state)) for one in arguments]
    given = {name: value.replace("STATE", str(state)) for name, value in environment.items()}
    command = [sys.executable, "-m", "provider", "serve", "--desired-state", str(file), "--docker", "none", *written]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **given})
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{state}: others than its owner may change what is in it" in done.stderr
