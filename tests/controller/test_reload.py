"""A directory of files as the desired state of a daemon: taken whole, or not at all (rule 41)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from provider.controller.reload import Reload
from tests.support.applying import Applying, applying
from tests.support.waiting import eventually

SERVICE = "router: {rule: 'Host(`x`)'}, servers: {blue: {urls: ['http://127.0.0.1:9000']}}"


def write(path: Path, text: str) -> None:
    path.write_text(text)


@asynccontextmanager
async def following(files: Path, state: Path) -> AsyncIterator[Applying]:
    async with applying(state) as term:
        reload = Reload(files, term.desired._loader, term.daemon.controller.inputs)
        await reload.first(None)
        loops = [asyncio.ensure_future(loop()) for loop in reload.loops().values()]
        try:
            yield term
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)


def services(term: Applying) -> list[str]:
    desired = term.daemon.controller.state.desired
    assert desired is not None
    return sorted(desired.services)


async def test_a_directory_is_loaded_as_one_and_an_error_names_its_file(tmp_path: Path) -> None:
    """P11, rule 41: one broken file, and nothing of the directory is taken."""
    files = tmp_path / "conf.d"
    await asyncio.to_thread(files.mkdir)
    write(files / "a.yaml", f"environment: production\nservices:\n  a: {{{SERVICE}}}\n")
    async with following(files, tmp_path / "state") as term:
        assert services(term) == ["a"]
        write(files / "b.yaml", f"services:\n  b: {{{SERVICE.replace('9000', '9001')}, hold: maybe}}\n")
        inputs = term.daemon.controller.inputs
        await eventually(lambda: inputs.desired_is_refused)
        write(files / "a.yaml", "environment: production\nservices: {}\n")
        assert services(term) == ["a"]
        assert f"{files}/b.yaml:2:" in " ".join(one.message for one in inputs._conditions)
        write(files / "b.yaml", f"services:\n  b: {{{SERVICE.replace('9000', '9001')}}}\n")
        await eventually(lambda: services(term) == ["b"])
        assert not inputs.desired_is_refused
