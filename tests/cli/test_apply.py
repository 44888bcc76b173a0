"""`apply`, `diff` and `desired` against a real admin listener (rule 62)."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from provider.api.admin import admin_app
from provider.controller.reload import Reload
from provider.model.document import text_key
from tests.support.applying import Applying, applying
from tests.support.running import listening, shop

ONE, TWO = shop(active="blue"), shop(active="blue", more="    watch: 1h\n")


class Bluegreen:
    """The command line beside a term of the test's own."""

    def __init__(self, term: Applying, admin: str, folder: Path) -> None:
        self.term, self._admin, self._folder = term, admin, folder

    async def __call__(self, *arguments: str) -> tuple[int, str, str]:
        environment = {**os.environ, "BLUEGREEN_ADMIN": self._admin, "LOGNAME": "ann"}
        command = (sys.executable, "-m", "provider", *arguments)
        process = await asyncio.create_subprocess_exec(
            *command, stdout=PIPE, stderr=PIPE, env=environment, cwd=self._folder
        )
        async with asyncio.timeout(60):
            out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    def write(self, name: str, text: str) -> None:
        path = self._folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


@pytest.fixture
async def bluegreen(tmp_path: Path) -> AsyncIterator[Bluegreen]:
    async with applying(tmp_path / "state") as term, listening(admin_app(term.daemon.replica)) as admin:
        folder = tmp_path / "work"
        folder.mkdir()
        made = Bluegreen(term, admin, folder)
        made.write("one.yaml", ONE)
        made.write("two.yaml", TWO)
        yield made


async def test_the_first_text_is_applied_compared_and_shown_to_the_letter(bluegreen: Bluegreen) -> None:
    assert await bluegreen("desired") == (
        3,
        "",
        "bluegreen: the store has no desired state yet: bluegreen apply FILE\n",
    )
    code, out, err = await bluegreen("apply", "one.yaml")
    assert (code, err) == (0, "")
    assert out == f"added: the rest: environment\nadded: shop\napplied, sha256 {text_key(ONE)}\n"
    assert await bluegreen("desired") == (0, ONE, "")
    assert json.loads((await bluegreen("desired", "--json"))[1])["sha256"] == text_key(ONE)
    assert await bluegreen("diff", "one.yaml") == (0, "nothing would change\n", "")
    assert await bluegreen("diff", "two.yaml") == (7, "changed: shop: watch\n", "")


async def test_what_is_refused_ends_with_3_and_changes_nothing(bluegreen: Bluegreen) -> None:
    await bluegreen.term.apply(ONE)
    code, out, err = await bluegreen("apply", "two.yaml", "--expect", text_key(TWO))
    assert (code, out) == (3, "")
    assert f"the desired state that is stored is {text_key(ONE)}" in err
    assert (await bluegreen("apply", "two.yaml", "--dry-run"))[:2] == (
        0,
        f"changed: shop: watch\nvalid, sha256 {text_key(TWO)}\n",
    )
    assert bluegreen.term.text == ONE
    controller = bluegreen.term.daemon.controller
    controller.desired_source = Reload(Path("/etc/file.yaml"), bluegreen.term.desired._loader, controller.inputs)
    for more in ((), ("--dry-run",)):
        code, _, err = await bluegreen("apply", "two.yaml", *more)
        assert (code, "follows /etc/file.yaml: edit that file" in err) == (3, True)


async def test_every_error_of_a_directory_is_at_its_file_and_line(bluegreen: Bluegreen) -> None:
    """P11: as `validate` prints it."""
    bluegreen.write("all/a.yaml", "environment: production\n")
    bluegreen.write("all/b.yaml", "services:\n    shop:\n        router: {rule: 'Path(`/`)'}\n        settle: soon\n")
    bluegreen.write("all/c.yaml", "services:\n  cart:\n    routr: {rule: 'Path(`/x`)'}\n")
    code, out, err = await bluegreen("apply", "all")
    assert (code, out) == (2, "")
    assert [line.partition(": ")[0] for line in err.splitlines()] == ["all/b.yaml:4:17", "all/c.yaml:3:5"]
    bluegreen.write("all/c.yaml", "services:\n  shop:\n    router: {rule: 'Path(`/x`)'}\n")
    assert await bluegreen("diff", "all") == (
        2,
        "",
        "all/c.yaml:2:3: services.shop: this service is also at all/b.yaml:2:5: name it once\n",
    )
    assert bluegreen.term.text is None
