"""The pipeline under deploy/github/, as GitHub, zizmor and Docker read it."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from provider import config
from provider.docker.container import Container
from provider.docker.labels import Scope
from provider.docker.sighting import sight
from provider.model import Colour
from tests.support.paths import ROOT
from tests.support.pipeline import GITHUB, OFFLINE, PAGES, RECORD, TOOLS, WORKFLOWS, jobs, script, scripts, workflow


def environment_of(body: Mapping[str, Any]) -> str | None:
    named = body.get("environment")
    return named["name"] if isinstance(named, dict) else named


def zizmor(persona: str, *files: Path) -> subprocess.CompletedProcess[str]:
    arguments = ["--offline", "--no-config", "--no-progress", "--no-ignores", f"--persona={persona}", *map(str, files)]
    return subprocess.run([TOOLS / "zizmor", *arguments], capture_output=True, text=True, env=OFFLINE, check=False)


def schema_says(schema: str, *files: Path) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, files)]
    return subprocess.run(arguments, capture_output=True, text=True, env=OFFLINE, check=False)


# --- the workflows, as GitHub reads them ---------------------------------------------------------------------------


@pytest.mark.parametrize("schema", ["vendor.github-workflows", "custom.github-workflows-require-timeout"])
def test_the_workflows_fit_the_schema_and_every_job_has_a_timeout(schema: str) -> None:
    found = schema_says(schema, *WORKFLOWS.values())
    assert found.returncode == 0, found.stdout + found.stderr


def test_zizmor_finds_nothing_to_say_without_any_rule_ignored() -> None:
    found = zizmor("pedantic", *WORKFLOWS.values())
    assert found.returncode == 0, found.stdout + found.stderr


def test_zizmor_really_looks(tmp_path: Path) -> None:
    spoiled = tmp_path / "deploy-production.yml"
    spoiled.write_text(re.sub(r"@[0-9a-f]{40} # \S+", "@main", WORKFLOWS["deploy-production"].read_text()))
    found = zizmor("regular", spoiled)
    assert found.returncode != 0
    assert "unpinned-uses" in found.stdout


def test_only_actions_of_githubs_own_are_used_and_each_is_pinned_by_one_commit() -> None:
    uses = re.findall(r"uses: (\S+)( # \S+)?", "".join(file.read_text() for file in GITHUB.iterdir()))
    pinned: dict[str, set[str]] = {}
    for action, release in uses:
        found = re.fullmatch(r"(actions/[a-z-]+)@[0-9a-f]{40}", action)
        assert found, action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", release), action
        pinned.setdefault(found[1], set()).add(action + release)
    assert {action: len(commits) for action, commits in pinned.items()} == {
        "actions/checkout": 1,
        "actions/upload-artifact": 1,
        "actions/download-artifact": 1,
    }


@pytest.mark.parametrize("place", dict(scripts()))
def test_a_script_is_valid_and_gets_what_others_say_through_its_environment_only(place: str) -> None:
    assert "${{" not in script(place)
    subprocess.run(["bash", "-n"], input=script(place), text=True, check=True)


def test_nothing_is_granted_that_a_job_does_not_ask_for() -> None:
    assert {name: workflow(name)["permissions"] for name in WORKFLOWS} == {name: {} for name in WORKFLOWS}
    may = {(name, job): body.get("permissions", {}) for name, job, body in jobs()}
    writes = {key: kinds for key, kinds in may.items() if "write" in kinds.values()}
    assert writes == {("deploy-staging", "build"): {"contents": "read", "packages": "write"}}


def test_no_deployment_is_broken_off_and_a_rollback_waits_for_none() -> None:
    found = {name: workflow(name)["concurrency"] for name in WORKFLOWS}
    assert {name: one["cancel-in-progress"] for name, one in found.items()} == dict.fromkeys(WORKFLOWS, False)
    groups = {name: one["group"] for name, one in found.items()}
    assert groups["rollback"] == "rollback-${{ inputs.environment }}"
    assert (groups["deploy-staging"], groups["deploy-production"]) == ("staging", "production")
    busy = {tuple(body["runs-on"]) for name, job, body in jobs() if job == "deploy"}
    assert ("self-hosted", "${{ inputs.environment }}-control") not in busy


def test_only_the_job_that_reviewers_hold_back_approves_and_it_holds_no_other_right() -> None:
    approving = [
        (name, job, environment_of(body))
        for name, job, body in jobs()
        for step in body["steps"]
        if "bluegreen approve" in step.get("run", "")
    ]
    assert approving == [("deploy-production", "approve", "production")]
    sharing = [job for _, job, body in jobs() if environment_of(body) == "production"]
    assert sharing == ["approve"]


def test_the_deployment_runs_while_the_reviewers_look() -> None:
    """A job with reviewers does not begin before they agree, so what it needs must not need it."""
    needs = {job: body.get("needs") for name, job, body in jobs() if name == "deploy-production"}
    assert needs == {
        "find": None,
        "deploy": "find",
        "ready": "find",
        "approve": "ready",
        "withdraw": ["ready", "approve"],
    }


def test_a_job_that_follows_a_rollout_outlasts_what_the_desired_state_allows_it() -> None:
    for environment, name in (("staging", "deploy-staging"), ("production", "deploy-production")):
        desired = config.load((ROOT / "config" / f"{environment}.yaml").read_text(), f"{environment}.yaml")
        released = [one for one in desired.services.values() if one.group == "storefront"]
        before = max(one.deadlines.waiting_s + one.deadlines.testing_s for one in released)
        asked = max(one.deadlines.approval_s if one.approval_is_manual else 0 for one in released)
        after = max(one.deadlines.confirming_s + one.watch_s for one in released)
        minutes = {job: body["timeout-minutes"] for job, body in workflow(name)["jobs"].items()}
        assert minutes["deploy"] * 60 > before + asked + after
        if name == "deploy-production":
            assert minutes["ready"] * 60 > before
            assert minutes["approve"] * 60 > 20 * 60 > after


def test_the_page_lists_every_environment_with_its_secrets() -> None:
    listed = {
        row[1].strip("` "): set(re.findall(r"`(BLUEGREEN_\w*TOKEN)`", row[4]))
        for row in (line.split("|") for line in PAGES["README"].read_text().splitlines())
        if len(row) == 7 and row[1].startswith(" `")
    }
    used: dict[str, set[str]] = {}
    for _, _, body in jobs():
        environment = environment_of(body) or ""
        secrets = set(re.findall(r"secrets\.(\w+)", json.dumps(body)))
        if not environment:
            assert not secrets
            continue
        for where in ("production", "staging") if "inputs." in environment else ("",):
            used.setdefault(environment.replace("${{ inputs.environment }}", where), set()).update(secrets)
    assert listed == used


def test_the_ssh_variant_of_the_page_is_a_workflow_too(tmp_path: Path) -> None:
    block = re.search(r"^```yaml\n(- uses:.*?)^```$", PAGES["README"].read_text(), re.MULTILINE | re.DOTALL)
    assert block
    begin = yaml.safe_load(block[1])
    for name in WORKFLOWS:
        changed = workflow(name)
        changed["on"] = changed.pop(True)  # what YAML 1.1 makes of the key `on`
        for body in changed["jobs"].values():
            if "self-hosted" in body["runs-on"]:
                rest = [one for one in body["steps"] if "uses" not in one and not one["name"].startswith("Pull")]
                body |= {"runs-on": "ubuntu-latest", "permissions": {"contents": "read"}, "steps": [*begin, *rest]}
        (tmp_path / f"{name}.yml").write_text(yaml.safe_dump(changed, sort_keys=False))
    written = sorted(tmp_path.iterdir())
    assert "self-hosted" not in "".join(file.read_text() for file in written)
    for found in (schema_says("vendor.github-workflows", *written), zizmor("regular", *written)):
        assert found.returncode == 0, found.stdout + found.stderr


# --- the application -----------------------------------------------------------------------------------------------

COMPOSE = GITHUB / "compose.yaml"


def composed(colour: Colour, environment: str) -> dict[str, Any]:
    """Return the Compose file with its variables filled in; one that is not known fails."""
    known = {
        "BLUEGREEN_COLOUR": colour.value,
        "ENVIRONMENT": environment,
        "IMAGE": RECORD["image"],
        "VERSION": RECORD["version"],
    }
    text = re.sub(r"\$\{(\w+)[^}]*\}", lambda found: known[found[1]], COMPOSE.read_text())
    return dict(yaml.safe_load(text))


def test_the_compose_file_fits_the_schema_and_every_variable_must_be_given() -> None:
    found = schema_says("vendor.compose-spec", COMPOSE)
    assert found.returncode == 0, found.stdout + found.stderr
    assert (
        re.findall(r"\$\{\w+\}", "".join(line.partition(" # ")[0] for line in COMPOSE.read_text().splitlines())) == []
    )


@pytest.mark.parametrize("environment", ["staging", "production"])
@pytest.mark.parametrize("colour", Colour)
def test_the_labels_of_the_compose_file_make_servers_of_the_example_file(environment: str, colour: Colour) -> None:
    desired = config.load((ROOT / "config" / f"{environment}.yaml").read_text(), f"{environment}.yaml")
    file = composed(colour, environment)
    seen: dict[str, int] = {}
    for name, body in file["services"].items():
        if not any(label.startswith("bluegreen.") for label in body.get("labels", {})):
            continue
        networks = {file["networks"][key]["name"]: "172.20.0.9" for key in body["networks"]}
        container = Container("c1", name, "sha256:1", body["labels"], True, None, "", networks, (8080,), ())
        sighting = sight(container, Scope(environment, desired.require_environment_label), "127.0.0.1")
        assert sighting is not None
        assert sighting.server is not None
        assert (sighting.colour, sighting.warning, sighting.server.url) == (colour, None, "http://172.20.0.9:8080")
        assert sighting.server.version == RECORD["version"]
        seen[sighting.service] = body.get("deploy", {}).get("replicas", 1)
    assert {name: count >= (desired.services[name].min_servers or 1) for name, count in seen.items()} == {
        "shop": True,
        "shop-api": True,
    }


def test_two_colours_of_the_compose_file_fight_for_nothing() -> None:
    file = composed(Colour.BLUE, "production")
    for body in file["services"].values():
        assert not {"container_name", "ports", "network_mode"} & body.keys()
        assert body["image"] == RECORD["image"]
    shared = [*file["networks"].values(), *file["volumes"].values()]
    assert all(one["external"] and one["name"].startswith("shop-production-") for one in shared)
