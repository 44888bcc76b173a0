"""A real Prometheus scrapes a real daemon and a real Traefik, and is asked what dashboard and rules ask."""

from pathlib import Path

from tests.support.components import program
from tests.support.daemon import FAST_CHECKS, StartDaemon
from tests.support.prometheus import Prometheus
from tests.support.promql import PROMETHEUS, RULES, dashboard_queries, rule_metrics
from tests.support.traefik import Load, StartBackend, StartTraefik
from tests.support.waiting import eventually

HOST, IN_STEPS = "shop.example.com", "pay.example.com"
ANALYSIS = "{every: 1s, warmup: 0s, minRequests: 1000000, errors: {worseThanActive: 0.99}}"
REPLICAS = {"bluegreen_leader", "bluegreen_store_age_seconds"}
"""Only there with several replicas; their rules have their cases in rules_test.yml."""
NOT_THERE = {"bluegreen_write_file_failing"} | REPLICAS
"""Only there with --write-file; its rule has its cases in rules_test.yml."""


def services(blue: str, green: str | None, api: str = "") -> str:
    colours = f"blue: {{urls: ['{blue}'], version: '1'}}"
    colours += f", green: {{urls: ['{green}'], version: '2'}}" if green else ""
    shared = f"settle: 100ms\n    healthCheck: {FAST_CHECKS}\n    servers: {{{colours}}}\n"
    return (
        f"environment: production\n{f'traefik: {{api: [{api!r}]}}' if api else ''}\nservices:\n"
        f"  shop:\n    router: {{rule: 'Host(`{HOST}`)', entryPoints: [web]}}\n    watch: 10m\n"
        f"    deadlines: {{confirming: 200ms}}\n    {shared}"
        f"  search:\n    router: {{rule: 'Host(`search.example.com`)', entryPoints: [web]}}\n"
        f"    smokeTests: [{{name: home, path: /, status: 418}}]\n    {shared}"
        f"  pay:\n    router: {{rule: 'Host(`{IN_STEPS}`)', entryPoints: [web]}}\n    {shared}"
        + ("    canary: {steps: [{weight: 50, for: 1s}]}\n" + f"    analysis: {ANALYSIS}\n" if api else "")
    )


async def test_every_query_of_dashboard_and_rules_returns_series(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend, tmp_path: Path
) -> None:
    """A rollout in its watch, one in a step whose time is over, one that failed, an engine that is away; with load."""
    binary = program("promtool", "prometheus")
    blue, green = await start_backend("one"), await start_backend("two")
    flags = ("--notify-url", "json://127.0.0.1:9/")
    away = f"unix://{tmp_path}/no-docker.sock"
    daemon = await start_daemon(services(blue.url, None), *flags, docker=away)
    traefik = await start_traefik(daemon.endpoint)
    token = tmp_path / "token"
    token.write_text("bg_not_asked_for")
    targets = {"bluegreen:8900": daemon.url.partition("//")[2], "traefik:8080": traefik.api.partition("//")[2]}
    async with (
        Prometheus(binary, PROMETHEUS / "prometheus.yml", tmp_path / "prometheus", targets, token) as prometheus,
        Load(traefik.url("web"), HOST, clients=2) as load,
        Load(traefik.url("web"), IN_STEPS, clients=2) as of_step,
    ):
        await load.until_answer("one", count=10)
        await prometheus.until('bluegreen_active_colour{colour="blue", environment="production"} == 1')
        await of_step.until_answer("one", count=10)
        daemon.write(services(blue.url, None, traefik.api))
        await daemon.until("pay", confirmed=True)
        daemon.write(services(blue.url, green.url, traefik.api))
        await load.until_answer("two", count=10)
        await of_step.until_answer("two", count=10)
        await daemon.until_event("search", "gates-failed")
        unanswered = {
            name: query for name, query in dashboard_queries().items() if not any(one in query for one in REPLICAS)
        }

        async def look() -> bool:
            for name, query in [*unanswered.items()]:
                if await prometheus.ask(query):
                    del unanswered[name]
            assert not unanswered
            return True

        await eventually(look)
        assert (await daemon.command("shop", "rollback"))[0] == 200  # which leaves an override
        for name in sorted(rule_metrics() - NOT_THERE):
            await prometheus.until(f"last_over_time({name}[10m])")
        judged = await prometheus.rules()
        assert len(judged) == len(RULES)
        assert [rule for rule in judged if rule.get("lastError")] == []
        alerts = {labels["alertname"] for labels, _ in await prometheus.until("ALERTS")}
        assert "BluegreenDockerAway" in alerts
        assert await prometheus.values("service", "bluegreen_confirmed") == ["pay", "search", "shop"]
