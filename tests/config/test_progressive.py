"""The keys for a release in steps: what they come to, and the files beside the desired state."""

import os
from pathlib import Path
from textwrap import dedent

import jsonschema
import pytest
import yaml

from provider import config
from provider.config import load, load_accepted
from provider.model import Affinity, Desired, Service
from provider.model.errors import DesiredStateError
from provider.model.progressive import Analysis, Canary, CandidateRoute, Errors, Limits, Prometheus, Query, Slow, Step
from provider.model.traefik_schema import Later
from tests.support.desired_state import FILE, IN_STEPS

DEFAULTS = """\
    environment: production
    traefik: {api: ["http://traefik:8080"]}
    defaults:
      canary: {affinity: client, steps: [{weight: 10, for: 1m}]}
      analysis: {every: 20s, minRequests: 50, errors: {max: 5%}}
      testRoute: {header: {name: X-Release, value: 0af1b2c3d4e5f607}}
      deadlines: {step: 2h}
    services:
      common: {router: {rule: Host(`a.example.com`)}}
      own:
        router: {rule: Host(`b.example.com`), priority: 90}
        canary: {affinity: cookie}
        analysis: {every: 5s, errors: {status: 500, worseThanActive: 0.95}}
        testRoute: {cookie: {name: release, value: "1f2e3d4c5b6a7988"}}
      none: {router: {rule: Host(`c.example.com`)}, canary: false, analysis: false, testRoute: false}
    """
VALUE_FILE = """\
    environment: production
    services:
      shop:
        router: {rule: Host(`a.example.com`)}
        testRoute: {header: {name: X-Release, valueFile: value}}
    """


def loaded(text: str, file: str = FILE) -> Desired:
    return load(dedent(text), file)


def service(text: str, name: str = "shop") -> Service:
    return loaded(text).services[name]


class TestLoaded:
    def test_every_key_reaches_the_model(self) -> None:
        """Rules 19, 21, 23 and 24."""
        shop = service(IN_STEPS)
        assert shop.canary == Canary(
            (Step(5, 300.0), Step(25, 600.0, approval_is_manual=True), Step(50)), Affinity.CLIENT
        )
        assert shop.analysis == Analysis(
            prometheus=Prometheus(
                "https://prometheus.example.com/behind",
                (("Authorization", "Bearer 0123456789"),),
                insecure_skip_verify=True,
            ),
            every_s=5.0,
            warmup_s=0.0,
            min_requests=50,
            no_data_passes=True,
            errors=Errors(((500, 504), (429, 429)), Limits(0.99, 0.05)),
            slow=Slow(2.0, Limits(0.9, 0.1)),
            queries=(
                Query("queue", 'max(queue_length{colour="{{colour}}"})', most=100, failures=3, every_s=30.0),
                Query("up", 'min(up{job="{{service}}"})', least=1, every_s=5.0),
            ),
        )
        assert shop.test_route == CandidateRoute("release", "0af1b2c3d4e5f607", is_cookie=True)
        assert shop.deadlines.step_s == 7200.0

    def test_metrics_are_at_their_usual_path_where_none_is_written(self) -> None:
        assert loaded(IN_STEPS).traefik_metrics == ("http://traefik:8082/metrics", "https://[::1]/behind/metrics")

    def test_a_service_without_these_keys_has_one_switch_and_no_analysis(self) -> None:
        shop = service("environment: x\nservices: {shop: {router: {rule: a}}}")
        assert (shop.canary, shop.analysis, shop.test_route) == (None, None, None)

    @pytest.mark.parametrize(
        ("written", "statuses"),
        [
            ("500", ((500, 500),)),
            ("500-599", ((500, 599),)),
            ("'500-504, 429'", ((500, 504), (429, 429))),
            ("[429, 500-599]", ((429, 429), (500, 599))),
        ],
    )
    def test_statuses_are_ranges_of_codes(self, written: str, statuses: tuple[tuple[int, int], ...]) -> None:
        text = f"""\
            environment: x
            traefik: {{api: ["http://traefik:8080"]}}
            services: {{shop: {{router: {{rule: a}}, analysis: {{errors: {{status: {written}, max: 1%}}}}}}}}
            """
        analysis = service(text).analysis
        assert analysis is not None
        assert analysis.errors == Errors(statuses, Limits(most=0.01))

    def test_the_headers_of_a_prometheus_are_no_part_of_the_definition(self) -> None:
        """P1: a new token in the file voids no evidence, and no log shows it."""
        before = service(IN_STEPS).analysis
        after = service(IN_STEPS.replace("Bearer 0123456789", "Bearer 9876543210")).analysis
        assert before is not None
        assert after is not None
        assert before.definition == after.definition
        assert "0123456789" not in repr(before)

    @pytest.mark.parametrize("text", [IN_STEPS, DEFAULTS, VALUE_FILE])
    def test_editors_accept_what_the_daemon_accepts(self, text: str) -> None:
        jsonschema.validate(yaml.safe_load(dedent(text)), config.schema())


class TestDefaults:
    def test_a_service_without_the_keys_has_those_of_the_defaults(self) -> None:
        common = service(DEFAULTS, "common")
        assert common.canary == Canary((Step(10, 60.0),), Affinity.CLIENT)
        assert common.analysis == Analysis(every_s=20.0, min_requests=50, errors=Errors(limits=Limits(most=0.05)))
        assert common.test_route == CandidateRoute("X-Release", "0af1b2c3d4e5f607")
        assert common.deadlines.step_s == 7200.0

    def test_canary_and_analysis_are_merged_key_by_key_and_a_test_route_is_not(self) -> None:
        own = service(DEFAULTS, "own")
        assert own.canary == Canary((Step(10, 60.0),), Affinity.COOKIE)
        errors = Errors(((500, 500),), Limits(worse_than_active=0.95))
        assert own.analysis == Analysis(every_s=5.0, min_requests=50, errors=errors)
        assert own.test_route == CandidateRoute("release", "1f2e3d4c5b6a7988", is_cookie=True)

    def test_false_takes_away_what_the_defaults_have(self) -> None:
        none = service(DEFAULTS, "none")
        assert (none.canary, none.analysis, none.test_route) == (None, None, None)


class TestLaterKeys:
    """Rule 21: `client` needs highestRandomWeight, which came with Traefik 3.6."""

    def test_a_client_that_stays_by_its_address_needs_traefik_3_6(self) -> None:
        assert loaded(IN_STEPS).later_keys == (Later("services.shop.canary.affinity", (3, 6)),)
        assert loaded(DEFAULTS).later_keys == (Later("defaults.canary.affinity", (3, 6)),)

    def test_a_service_that_keeps_sessions_does_not_use_it(self) -> None:
        assert loaded(dedent(IN_STEPS) + "    sticky: {cookie: {name: shop}}\n").later_keys == ()


class TestValueFile:
    """Rule 24: the value of a test route may stand in a file of its own."""

    def test_it_is_read_beside_the_desired_state_without_its_line_end(self, tmp_path: Path) -> None:
        (tmp_path / "value").write_bytes(b"0af1b2c3d4e5f607\r\n")
        route = loaded(VALUE_FILE, str(tmp_path / FILE)).services["shop"].test_route
        assert route == CandidateRoute("X-Release", "0af1b2c3d4e5f607", is_from_file=True)

    def test_it_is_read_in_the_directory_of_several_files(self, tmp_path: Path) -> None:
        (tmp_path / "value").write_bytes(b"0af1b2c3d4e5f607")
        assert loaded(VALUE_FILE, str(tmp_path)).services["shop"].test_route is not None

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (None, "cannot be read: No such file or directory"),
            (b"", "is empty: write the value into it"),
            (b"\n", "is empty: write the value into it"),
            (b"top secret\n", "has no value of a test route: it must be 1 to 200 characters of ASCII"),
            (b"top-secret\nmore", "has no value of a test route: it must be 1 to 200 characters of ASCII"),
            (b"top-secret\xff", "has no value of a test route: it must be 1 to 200 characters of ASCII"),
            (b"top-secret" * 30, "has no value of a test route: it must be 1 to 200 characters of ASCII"),
        ],
    )
    def test_a_file_without_a_value_is_refused_and_never_quoted(
        self, tmp_path: Path, content: bytes | None, message: str
    ) -> None:
        """P11."""
        if content is not None:
            (tmp_path / "value").write_bytes(content)
        with pytest.raises(DesiredStateError) as refused:
            loaded(VALUE_FILE, str(tmp_path / FILE))
        (problem,) = refused.value.problems
        assert (problem.line, problem.column) == (5, 54)
        assert problem.message.startswith(f"{tmp_path / 'value'} {message}")
        assert "secret" not in problem.message

    def test_what_is_no_file_is_refused_and_does_not_block(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "value")
        with pytest.raises(DesiredStateError, match="is not a regular file"):
            loaded(VALUE_FILE, str(tmp_path / FILE))

    def test_a_text_that_was_accepted_is_loaded_without_it(self, tmp_path: Path) -> None:
        """Rule 13, P4: a lost file takes no daemon down."""
        desired, problems = load_accepted(dedent(VALUE_FILE), str(tmp_path / FILE))
        assert desired.services["shop"].test_route is None
        assert [problem.path for problem in problems] == ["services.shop.testRoute.header.valueFile"]
