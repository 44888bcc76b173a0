"""`bluegreen store` (rule 65)."""

import asyncio
import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from provider.cli.main import main
from provider.store import offline
from provider.store.sqlite import SqliteStore
from tests.support.etcd import Cluster
from tests.support.stores import GREEN, switch


def bluegreen(*arguments: object, text: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["store", *map(str, arguments)], input=text)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory that a daemon has left."""

    async def decide() -> None:
        store = SqliteStore(tmp_path / "state")
        async with offline.held(store):
            await store.commit(switch("shop", GREEN))
            await store.save_desired("environment: production\n")

    asyncio.run(decide())
    return tmp_path / "state"


def test_what_is_exported_is_imported_and_exported_again(state: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup.json"
    done = bluegreen("export", "--state-dir", state, file)
    assert (done.exit_code, done.output) == (0, f"{file}: 1 services, 1 decisions, revision 0\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["services"]["shop"]["active"] == "green"
    assert bluegreen("import", "--store", f"sqlite:{tmp_path / 'new'}", file).exit_code == 0
    again = bluegreen("export", "--state-dir", tmp_path / "new", "-")
    assert again.stdout_bytes == file.read_bytes()
    other = bluegreen("import", "--state-dir", tmp_path / "other", "-", text=again.stdout_bytes)
    assert other.exit_code == 0
    assert bluegreen("export", "--state-dir", tmp_path / "other", "-").stdout_bytes == file.read_bytes()


def test_a_store_is_moved_to_etcd_and_back(state: Path, tmp_path: Path, etcd: Cluster) -> None:
    prefix = f"etcd://{etcd.addresses}/{tmp_path.name}"
    done = bluegreen("copy", f"sqlite:{state}", prefix)
    assert (done.exit_code, done.stdout) == (0, f"{prefix}: 1 services, 1 decisions, revision 0\n")
    assert f"sqlite:{state} is as it was: start no daemon on it again" in done.stderr
    assert bluegreen("copy", prefix, f"sqlite:{tmp_path / 'back'}").exit_code == 0
    here, there = (bluegreen("export", "--state-dir", one, "-").stdout for one in (state, tmp_path / "back"))
    assert bluegreen("export", "--store", prefix, "-").stdout == here == there


def test_the_environment_is_put_behind_a_prefix_of_several(state: Path, tmp_path: Path, etcd: Cluster) -> None:
    """Section 3 of the replicas' rules: `/bluegreen/ENV/`."""
    several = f"etcd://{etcd.addresses}/{tmp_path.name}"
    assert bluegreen("export", "--store", several, "-").exit_code == 2
    assert bluegreen("copy", f"sqlite:{state}", several).exit_code == 0
    text = bluegreen("export", "--store", f"{several}/production", "-").stdout
    assert bluegreen("export", "--store", several, "-").stdout == text != ""
    assert bluegreen("import", "--store", f"{several}/staging", "-", text=text.encode()).exit_code == 0
    done = bluegreen("export", "--store", several, "-")
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"/{tmp_path.name} in etcd has several environments (production, staging): name it" in done.stderr


def test_a_refusal_exits_with_3_and_names_the_way_out(state: Path, tmp_path: Path, etcd: Cluster) -> None:
    prefix = f"etcd://{etcd.addresses}/{tmp_path.name}"
    assert bluegreen("copy", f"sqlite:{state}", prefix).exit_code == 0
    for arguments, words in (
        (("copy", f"sqlite:{state}", prefix), "has a store already"),
        (("copy", prefix, f"sqlite:{state}"), "has a store already, so nothing was changed. Name a directory"),
        (("copy", f"sqlite:{tmp_path / 'none'}", prefix), "has no store (bluegreen.db)"),
        (("export", "--store", f"{prefix}/none", "-"), "/none has no store, or nothing in it. Look whether"),
        (("copy", f"{prefix}/none", f"sqlite:{tmp_path / 'none'}"), "there is no store to copy, or nothing in it"),
        (("export", "--state-dir", tmp_path / "none", "-"), "has no store (bluegreen.db)"),
    ):
        done = bluegreen(*arguments)
        assert (done.exit_code, done.stdout) == (3, "")
        assert words in done.stderr


def test_a_state_directory_in_use_is_not_exported(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "WAIT_S", 0.1)

    async def use() -> Result:
        async with offline.held(SqliteStore(state)):
            return await asyncio.to_thread(bluegreen, "export", "--state-dir", state, "-")

    done = asyncio.run(use())
    assert done.exit_code == 3
    assert "is held by another daemon" in done.stderr


def test_a_directory_that_was_typed_comes_before_etcd_of_the_environment(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a daemon it is its own one beside etcd; here only one of them can be meant."""
    monkeypatch.setenv("BLUEGREEN_STORE", "etcd://127.0.0.1:1/nowhere")
    assert bluegreen("export", "--state-dir", state, "-").exit_code == 0


def test_the_environment_of_a_replica_names_etcd(
    state: Path, tmp_path: Path, etcd: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has both: the directory is the replica's own."""
    prefix = f"etcd://{etcd.addresses}/{tmp_path.name}"
    assert bluegreen("copy", f"sqlite:{state}", prefix).exit_code == 0
    monkeypatch.setenv("BLUEGREEN_STORE", prefix)
    monkeypatch.setenv("BLUEGREEN_STATE_DIR", str(tmp_path / "own"))
    assert bluegreen("export", "-").stdout == bluegreen("export", "--state-dir", state, "-").stdout


@pytest.mark.parametrize(
    ("arguments", "text", "words"),
    [
        (("copy", "redis://h1", "sqlite:x"), b"", "begins with no kind of store"),
        (("copy", "etcd://10.0.0.1/a?cb=x", "sqlite:x"), b"", "cb=x is not understood"),
        (("export", "--store", "etcd://10.0.0.1/a", "-"), b"", "10.0.0.1:2379 is not on this machine"),
        (("import", "--state-dir", "x", "-"), b"nothing", "standard input: is no export of a store"),
        (("import", "--state-dir", "x", "-"), b'{"format": 99}', "is written by a newer version"),
        (("import", "--state-dir", "x", "NONE"), b"", "NONE: cannot be read: No such file or directory"),
        (("export", "-"), b"", "Missing option '--state-dir'"),
        (("export", "--store", "sqlite:x", "--state-dir", "x", "-"), b"", "both name the store"),
        (("export", "--store", "etcd://127.0.0.1/a", "--store-credentials", "NONE", "-"), b"", "NONE: cannot be read"),
    ],
)
def test_bad_usage_exits_with_2(
    arguments: tuple[str, ...], text: bytes, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    done = bluegreen(*arguments, text=text)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr
    assert not list(tmp_path.iterdir())
