"""What deploy/prometheus/ has for Prometheus, as promtool and an operator in the night read it."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from provider.model.condition_catalogue import OF_DAEMON
from provider.observability.metrics import Metrics
from tests.support.components import program
from tests.support.paths import ROOT

PROMETHEUS = ROOT / "deploy" / "prometheus"
TRAEFIKS = {"traefik_service_requests_total", "up"}
SEVERITIES = {"critical", "warning", "info"}


def promtool(*arguments: str | Path) -> str:
    """Run promtool; return what it says, and fail where it is not content."""
    found = subprocess.run(
        [program("promtool", "promtool"), *arguments], capture_output=True, text=True, check=False, cwd=PROMETHEUS
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


def read(name: str) -> Any:
    return yaml.safe_load((PROMETHEUS / name).read_text())


RULES: list[dict[str, Any]] = [rule for group in read("rules.yml")["groups"] for rule in group["rules"]]
ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for rule in RULES if "alert" in rule}


def expected() -> list[tuple[str, str, dict[str, str]]]:
    """Return each alert that a case expects to fire: the case, the alert and its labels."""
    found = []
    for case in read("rules_test.yml")["tests"]:
        for asked in case["promql_expr_test"]:
            for sample in asked.get("exp_samples", ()):
                labels = dict(re.findall(r'(\w+)="([^"]*)"', sample["labels"]))
                if "alertname" in labels:
                    found.append((case["name"], labels["alertname"], labels))
    return found


def test_promtool_accepts_the_configuration_with_its_rules_and_finds_the_token(tmp_path: Path) -> None:
    token = tmp_path / "provider-token"
    token.write_text("bg_0123456789")
    written = (PROMETHEUS / "prometheus.yml").read_text()
    config = tmp_path / "prometheus.yml"
    config.write_text(written.replace("/run/secrets/provider-token", str(token)))
    (tmp_path / "rules.yml").symlink_to(PROMETHEUS / "rules.yml")
    assert f"{len(RULES)} rules found" in promtool("check", "config", config)


def test_every_target_says_its_environment_for_alerts_bring_both_jobs_together_by_it() -> None:
    targets = {job["job_name"]: job["static_configs"] for job in read("prometheus.yml")["scrape_configs"]}
    assert targets == {
        "bluegreen": [{"targets": ["bluegreen:8900"], "labels": {"environment": "production"}}],
        "traefik": [{"targets": ["traefik:8080"], "labels": {"environment": "production"}}],
    }


def test_every_alert_fires_and_does_not_fire_as_its_cases_say() -> None:
    assert "SUCCESS" in promtool("test", "rules", "rules_test.yml")


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    fires = {alert: case for case, alert, _ in expected() if case.startswith(alert)}
    assert fires.keys() == ALERTS.keys()
    cases = {case["name"]: case["promql_expr_test"] for case in read("rules_test.yml")["tests"]}
    silent = {case for case, asked in cases.items() if any("exp_samples" not in one for one in asked)}
    assert set(fires.values()) - silent == set()


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_bad_it_is_what_it_means_and_what_to_do(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"].keys() == {"severity"}
    assert alert["labels"]["severity"] in SEVERITIES
    told = alert["annotations"]
    assert told.keys() == {"summary", "description", "runbook"}
    assert told["runbook"] == f"docs/alerts.md#{name.lower()}"
    assert len(told["summary"]) < 120
    assert "\n" not in told["summary"] + told["description"]
    assert alert.get("keep_firing_for") == ("5m" if "up{" not in alert["expr"] else None), "a restart must not end it"


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_names_only_labels_that_it_has(name: str) -> None:
    used = set(re.findall(r"\$labels\.(\w+)", str(ALERTS[name]["annotations"])))
    has = [labels.keys() for _, alert, labels in expected() if alert == name]
    assert all(used <= labels for labels in has) or name == "BluegreenDown", (used, has)
    if "service" in (labels := has[0]):
        commands = set(
            re.findall(r"bluegreen (\w+) {{ \$labels.service }}", ALERTS[name]["annotations"]["description"])
        )
        assert commands <= {"status", "explain", "history", "switch", "abort", "rollback", "retry", "promote"}
        assert commands, labels


def test_the_runbook_has_a_section_for_each_alert_with_its_severity_and_its_patience() -> None:
    text = (ROOT / "docs" / "alerts.md").read_text()
    sections = dict(re.findall(r"^### (\w+)\n\n\*\*(\w+)", text, re.MULTILINE))
    assert list(sections) == list(ALERTS), "in the same order"
    assert sections == {name: alert["labels"]["severity"].title() for name, alert in ALERTS.items()}


def test_the_rules_ask_for_metrics_that_exist() -> None:
    metrics = Metrics()
    metrics.follow_store(leads=True, store_age_s=0.0)
    exposed = metrics.exposition([]).decode()
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    for rule in RULES:
        named = set(re.findall(r"\b(?:bluegreen|traefik)_\w+|\bup\b|\w+:\w+:\w+", rule["expr"]))
        assert named
        for name in named - TRAEFIKS - recorded:
            family = name.removesuffix("_total")
            assert re.search(rf"^# TYPE {family}(_total)? ", exposed, re.MULTILINE), name


def test_the_rules_ask_for_conditions_that_exist() -> None:
    asked = re.findall(r'bluegreen_condition\{code=~?"([^"]+)"', "\n".join(rule["expr"] for rule in RULES))
    assert {code for codes in asked for code in codes.split("|")} <= {str(code) for code in OF_DAEMON}
    assert len(asked) > 5
