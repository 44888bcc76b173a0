"""The queries of deploy/: those of the rules, and those of the dashboard with its variables filled in."""

import json
import re
from typing import Any

import yaml

from tests.support.paths import ROOT

DEPLOY = ROOT / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"] for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboards" / "bluegreen.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
FILLED = {"$environment": ".*", "$service": ".+", "$__rate_interval": "1m", "$__range": "15m"}
METRIC = re.compile(r"(?<![\w:])(?:bluegreen|traefik)_\w+(?![\w:])")


def fill(query: str) -> str:
    """Put values in the place of the variables, as Grafana does where all is chosen."""
    for variable, value in FILLED.items():
        query = query.replace(variable, value)
    return query


def dashboard_queries() -> dict[str, str]:
    """Return every query of the dashboard by the panel, or annotation, that it is for."""
    found = {
        f"{panel['title']} ({target['refId']})": fill(target["expr"])
        for panel in PANELS
        for target in panel.get("targets", ())
    }
    return found | {one["name"]: fill(one["expr"]) for one in DASHBOARD["annotations"]["list"] if "expr" in one}


def rule_metrics() -> set[str]:
    """Return every metric that a rule asks for."""
    return {name for rule in RULES for name in METRIC.findall(rule["expr"])}
