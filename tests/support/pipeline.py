"""The pipeline under deploy/github/ and the pages about it, as tests read them."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.paths import ROOT

GITHUB = ROOT / "deploy" / "github"
WORKFLOWS = {name: GITHUB / f"{name}.yml" for name in ("deploy-staging", "deploy-production", "rollback")}
PAGES = {"README": GITHUB / "README.md", "environments": ROOT / "docs" / "environments.md"}
TOOLS = Path(sys.executable).parent
OFFLINE = {name: value for name, value in os.environ.items() if name not in {"GH_TOKEN", "GITHUB_TOKEN"}}

DIGEST = "d1b2c3e4f5a6" + 52 * "0"
TREE = 40 * "7"
RECORD = {
    "image": f"ghcr.io/example/shop@sha256:{DIGEST}",
    "version": "3f2a91c0-d1b2c3e4f5a6",
    "tree": TREE,
    "outcome": "switched",
    "tests": "success",
    "run": "https://github.com/Example/Shop/actions/runs/1",
}

Job = tuple[str, str, dict[str, Any]]


def workflow(name: str) -> dict[Any, Any]:
    return dict(yaml.safe_load(WORKFLOWS[name].read_text()))


def jobs() -> Iterator[Job]:
    for name in WORKFLOWS:
        for job, body in workflow(name)["jobs"].items():
            yield name, job, body


def scripts() -> Iterator[tuple[str, str]]:
    """Yield the place of a script, and the script."""
    for name, job, body in jobs():
        for step in body["steps"]:
            if "run" in step:
                yield f"{name}: {job}: {step['name']}", step["run"]


def script(place: str) -> str:
    return dict(scripts())[place]
