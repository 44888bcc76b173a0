"""The steps of the pipeline under deploy/github/, run as a runner does it, with our own command line.

What cannot be had here is played: GitHub, ssh, and a daemon with a candidate that waits for approval.
"""

import asyncio
import json
import os
import shlex
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.components import program
from tests.support.pipeline import DIGEST, GITHUB, OFFLINE, RECORD, TOOLS, TREE, script


class Step:
    """A step of a workflow, run in a directory of its own as a runner does it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.bin = directory / "bin"
        self.bin.mkdir()
        self.output, self.summary = directory / "output", directory / "summary"

    def stand_in(self, name: str, text: str) -> None:
        """Put a program that cannot be had here at the front of PATH."""
        file = self.bin / name
        file.write_text(f"#!/usr/bin/env bash\n{text}\n")
        file.chmod(0o755)

    async def run(self, text: str, **environment: str) -> tuple[int, str]:
        """Return the exit code, and what was printed."""
        runner = {
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_PATH": str(self.directory / "path"),
            "GITHUB_REPOSITORY": "Example/Shop",
            "GITHUB_SHA": 40 * "3",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_RUN_ID": "2",
            "RUNNER_TEMP": str(self.directory),
            "SERVICE": "shop",
            "PATH": f"{self.bin}:{TOOLS}:{os.environ['PATH']}",
        }
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-eo",
            "pipefail",
            "-c",
            text,
            cwd=self.directory,
            env={**OFFLINE, **runner, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            printed, _ = await asyncio.wait_for(process.communicate(), timeout=60)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode or 0, printed.decode()

    def outputs(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.output.read_text().splitlines()) if self.output.exists() else {}


@pytest.fixture
def step(tmp_path: Path) -> Step:
    program("jq", "jq")
    return Step(tmp_path)


FIND = "deploy-production: find: Find the run of staging for this content"
CHECK = "deploy-production: find: Check the record"
READY = "deploy-production: ready: Follow the candidate through its gates"
APPROVE = "deploy-production: approve: Approve what the reviewers saw, and nothing else"
WITHDRAW = "deploy-production: withdraw: Abort the rollout, if it still waits"


def answer_of_github(*trees: str) -> str:
    runs = [{"id": number, "head_commit": {"tree_id": tree}} for number, tree in enumerate(trees, 1)]
    return (
        'echo "$*" >>asked\ncase $2 in\n'
        f"  */git/commits/*) echo '{json.dumps({'tree': {'sha': TREE}})}' ;;\n"
        f"  *) echo '{json.dumps({'workflow_runs': runs})}' ;;\nesac"
    )


async def test_the_newest_run_of_staging_with_the_same_tree_is_found(step: Step) -> None:
    step.stand_in("gh", answer_of_github(40 * "1", TREE, TREE))
    code, printed = await step.run(script(FIND))
    assert (code, printed) == (0, "")
    assert step.outputs() == {"tree": TREE, "run": "2"}
    asked = (step.directory / "asked").read_text()
    assert "/deploy-staging.yml/runs?branch=develop&event=push&status=success&" in asked


@pytest.mark.parametrize("trees", [(), (40 * "1",)], ids=["no run", "another tree"])
async def test_without_a_run_of_staging_for_the_tree_nothing_is_deployed(step: Step, trees: tuple[str, ...]) -> None:
    step.stand_in("gh", answer_of_github(*trees))
    code, printed = await step.run(script(FIND))
    assert code == 1
    assert f"::error::staging has no successful run for the tree {TREE}" in printed
    assert step.outputs() == {}


async def test_a_record_of_success_gives_its_digest_and_version(step: Step) -> None:
    (step.directory / "staging-record.json").write_text(json.dumps(RECORD))
    code, printed = await step.run(script(CHECK), TREE=TREE)
    assert code == 0, printed
    assert step.outputs() == {"image": RECORD["image"], "version": RECORD["version"]}
    assert RECORD["image"] in step.summary.read_text()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tree", 40 * "8"),
        ("outcome", "given-up"),
        ("outcome", "none"),
        ("tests", "failure"),
        ("tests", "skipped"),
        ("image", "ghcr.io/example/shop:latest"),
        ("image", f"ghcr.io/example/other@sha256:{DIGEST}"),
        ("image", f"ghcr.io/example/shop@sha256:{DIGEST}; id"),
        ("version", "3f2a91c0-000000000000"),
        ("version", "3f2a91c0-d1b2c3e4f5a6$(id)"),
    ],
    ids=str,
)
async def test_a_record_of_anything_else_is_refused(step: Step, key: str, value: str) -> None:
    (step.directory / "staging-record.json").write_text(json.dumps({**RECORD, key: value}))
    code, printed = await step.run(script(CHECK), TREE=TREE)
    assert code == 1
    assert "::error::" in printed
    assert step.outputs() == {}


async def test_staging_records_what_production_reads(step: Step) -> None:
    written = {key.upper(): value for key, value in RECORD.items() if key != "run"}
    code, printed = await step.run(script("deploy-staging: record: Write the record"), **written)
    assert code == 0, printed
    code, printed = await step.run(script(CHECK), TREE=TREE)
    assert code == 0, printed
    assert step.outputs()["image"] == RECORD["image"]


@pytest.mark.parametrize(
    ("code", "outcome"), [(0, "switched"), (1, "failed"), (3, "refused"), (4, "given-up"), (5, "timed-out")]
)
async def test_the_exit_code_of_deploy_becomes_the_outcome_and_stays_the_jobs(
    step: Step, code: int, outcome: str
) -> None:
    step.stand_in("bluegreen", f"exit {code}")
    ended, _ = await step.run(script("deploy-staging: deploy: Deploy"), IMAGE="image", VERSION="version")
    assert ended == code
    assert step.outputs() == {"outcome": outcome}


def status(**changed: object) -> dict[str, object]:
    """Return what the daemon answers of a service whose candidate waits for approval."""
    return {
        "service": "shop",
        "environment": "production",
        "active": "blue",
        "phase": "approval",
        "colours": {
            "blue": {"release": "3f2a91c0", "version": "1.4.1"},
            "green": {"release": "77b0e1d2", "version": RECORD["version"]},
        },
        "rollout": {
            "id": "r17",
            "candidate": "green",
            "release": "77b0e1d2",
            "deadline": "2026-01-01T08:00:00Z",
            "gates": {"health": {"state": "passed"}, "approval": {"state": "pending", "reason": "nobody yet"}},
        },
        "quarantined": [],
        **changed,
    }


@asynccontextmanager
async def daemon(answer: Mapping[str, object]) -> AsyncIterator[tuple[str, list[str]]]:
    """Serve a daemon that answers this of its service; yield its address, and what else it was asked to do."""
    told: list[str] = []

    async def read(_: web.Request) -> web.StreamResponse:
        return web.json_response(answer)

    async def command(request: web.Request) -> web.StreamResponse:
        told.append(f"{request.match_info['verb']} {(await request.json()).get('release')}")
        return web.json_response({"detail": "done", "already": False, "status": answer})

    app = web.Application()
    app.router.add_get("/api/v1/services/shop", read)
    app.router.add_post("/api/v1/services/shop/{verb}", command)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port, *_ = runner.addresses[0]
        yield f"http://{host}:{port}", told
    finally:
        await runner.cleanup()


async def test_reviewers_are_asked_about_the_candidate_with_the_version_that_staging_proved(step: Step) -> None:
    async with daemon(status()) as (address, _):
        version = RECORD["version"]
        code, printed = await step.run(script(READY), BLUEGREEN_ADMIN=address, VERSION=version, PREVIEW_URL="preview")
    assert code == 0, printed
    assert step.outputs() == {"release": "77b0e1d2", "rollout": "r17"}
    shown = step.summary.read_text()
    assert "| replaces | 1.4.1 in blue |" in shown
    assert "| gate approval | pending nobody yet |" in shown


async def test_reviewers_are_not_asked_about_a_release_that_failed_meanwhile(step: Step) -> None:
    failed = [{"colour": "green", "release": "77b0e1d2", "outcome": "expired", "since": "9999-01-01T00:00:00.000Z"}]
    async with daemon(status(phase="steady", rollout=None, quarantined=failed)) as (address, _):
        code, printed = await step.run(script(READY), BLUEGREEN_ADMIN=address, VERSION=RECORD["version"])
    assert code == 1
    assert "::error::the rollout of 3f2a91c0-d1b2c3e4f5a6 ended" in printed
    assert step.outputs() == {}


async def test_the_release_that_the_reviewers_saw_is_approved(step: Step) -> None:
    async with daemon(status()) as (address, told):
        code, printed = await step.run(script(APPROVE), BLUEGREEN_ADMIN=address, RELEASE="77b0e1d2", ROLLOUT="r17")
    assert code == 0, printed
    assert told == ["approve 77b0e1d2"]


@pytest.mark.parametrize("rollout", [{"id": "r18"}, None], ids=["another", "none"])
async def test_a_rollout_that_the_reviewers_did_not_see_is_not_approved(step: Step, rollout: object) -> None:
    """P1."""
    async with daemon(status(rollout=rollout)) as (address, told):
        code, printed = await step.run(script(APPROVE), BLUEGREEN_ADMIN=address, RELEASE="77b0e1d2", ROLLOUT="r17")
    assert code == 1
    assert "::error::the reviewers saw rollout r17" in printed
    assert told == []


async def test_a_rejected_rollout_is_aborted(step: Step) -> None:
    async with daemon(status()) as (address, told):
        code, printed = await step.run(script(WITHDRAW), BLUEGREEN_ADMIN=address, ROLLOUT="r17")
    assert code == 0, printed
    assert told == ["abort None"]


@pytest.mark.parametrize("changed", [{"phase": "watching"}, {"rollout": {"id": "r18"}}], ids=["switched", "another"])
async def test_a_rejection_takes_back_nothing_else(step: Step, changed: dict[str, object]) -> None:
    """After the switch an abort is a rollback, and another rollout is somebody else's."""
    async with daemon(status(**changed)) as (address, told):
        code, printed = await step.run(script(WITHDRAW), BLUEGREEN_ADMIN=address, ROLLOUT="r17")
    assert code == 0, printed
    assert told == []


async def test_over_ssh_a_command_arrives_word_for_word_and_its_token_on_standard_input(step: Step) -> None:
    # Like sshd it gives the words after the destination, joined, to the user's shell.
    step.stand_in("ssh", 'while [[ $1 != deploy@host ]]; do shift; done\necho "$*" >>asked\nexec bash -c "${*:2}"')
    step.stand_in("bluegreen", 'printf "%s\\n" "$BLUEGREEN_TOKEN" "$@"')
    (step.directory / "here").mkdir()
    (step.directory / "here" / "compose.yaml").write_text("services: {}\n")
    settled = {"SSH_HOST": "deploy@host", "SSH_KEY": "key", "SSH_KNOWN_HOSTS": "host ssh-ed25519 AAAA"}
    code, printed = await step.run(f"cd here; HOME=.. {GITHUB}/over-ssh", **settled)
    assert code == 0, printed
    wrapper = Path((step.directory / "path").read_text().strip()) / "bluegreen"
    assert (wrapper.parent / "key").stat().st_mode & 0o077 == 0
    words = ["rollback", "shop", "--reason", 'it\'s "gone" $HOME `id`; exit 9']
    code, printed = await step.run(f"{wrapper} {shlex.join(words)}", BLUEGREEN_TOKEN="bg_secret")
    assert (code, printed.splitlines()) == (0, ["bg_secret", *words])
    asked = (step.directory / "asked").read_text()
    assert "bg_secret" not in asked
    assert "cat >compose.yaml" in (step.directory / "here" / "asked").read_text()
