"""The dashboard in deploy/grafana/, as far as its shape can be judged without a Grafana."""

import re
from itertools import combinations
from typing import Any

import yaml

from provider.observability.metrics import Metrics
from tests.support.promql import DASHBOARD, DEPLOY, METRIC, PANELS, dashboard_queries

SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def test_every_panel_has_its_own_id_and_place_on_a_grid_of_24_columns() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    places = [panel["gridPos"] for panel in PANELS]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)


def test_every_query_goes_to_the_source_that_was_chosen() -> None:
    for panel in PANELS:
        if panel["type"] != "row":
            assert panel["datasource"] == SOURCE, panel["title"]
            assert panel["targets"], panel["title"]
            assert all(target["datasource"] == SOURCE for target in panel["targets"]), panel["title"]


def test_every_variable_that_is_used_is_defined() -> None:
    defined = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", str(PANELS) + str(DASHBOARD["annotations"])))
    assert {name for name in used if not name.startswith("__") and not name.isdigit()} == defined


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    metrics = Metrics()
    metrics.follow_store(leads=True, store_age_s=0.0)
    exposed = metrics.exposition([]).decode()
    known = set(re.findall(r"^# TYPE (\w+)", exposed, re.MULTILINE))
    for name, query in dashboard_queries().items():
        for metric in METRIC.findall(query):
            family = re.sub(r"_bucket$", "", metric)
            assert metric.startswith("traefik_") or {family, family.removesuffix("_total")} & known, (name, metric)


def test_a_colour_is_reported_in_words_and_not_by_its_colour_alone() -> None:
    (panel,) = [panel for panel in PANELS if panel["title"] == "Active colour"]
    options: dict[str, Any] = {}
    for mapping in panel["fieldConfig"]["defaults"]["mappings"]:
        options |= mapping["options"]
    assert {"blue", "green"} <= {option["text"] for option in options.values()}


def test_the_provisioning_reads_what_the_compose_file_mounts() -> None:
    read = yaml.safe_load((DEPLOY / "grafana" / "provisioning" / "dashboards" / "bluegreen.yml").read_text())
    mounts = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["grafana"]["volumes"]
    assert f"./grafana/dashboards:{read['providers'][0]['options']['path']}:ro" in mounts
