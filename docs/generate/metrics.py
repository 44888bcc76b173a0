"""The reference of the metrics, from the registry."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics import MetricWrapperBase

from docs.generate.markdown import code, table
from docs.generate.markdown import page as whole
from provider.docker.engine import Action
from provider.model import Colour, Gate, GateState, Health, Outcome, Phase, Trigger
from provider.model.observed import Result as CheckResult
from provider.observability import metrics
from provider.observability.notifier import Result as NoticeResult

TITLE = "Metrics"
INTRODUCTION = """\
`GET /metrics` of the provider listener (`--listen`, default `127.0.0.1:8900`), in Prometheus' text format. If the
daemon has a `--provider-token-file`, Prometheus must send the token (`authorization` in its scrape configuration).
Boolean gauges are 1 or 0. Times are Unix seconds."""
REPLICAS = """\
`bluegreen_leader` and `bluegreen_store_age_seconds` are there with [several replicas](../replicas.md) alone. Series of
services come from the one that leads."""
SERVICES = """\
One series per service of the file, read from the daemon's state at the scrape."""
BOUNDED = """\
Labels come from the file and from closed sets, so the number of series is bounded. A poller is named by its
`X-Bluegreen-Poller` header, else by its address; after 64 pollers, all others are `other`."""


def _words(values: Iterable[str]) -> str:
    return ", ".join(map(code, values))


LABELS = (
    ("service", "the services of the file"),
    ("colour", _words(Colour)),
    ("phase", _words(Phase)),
    ("health", _words(Health)),
    ("gate", _words(Gate)),
    ("state", _words(GateState)),
    ("test", "`errors over-active`, `errors max`, `slow over-active`, `slow max`"),
    ("outcome", _words(Outcome)),
    ("trigger", f"cause of the switch: {_words(Trigger)}"),
    ("result", f"health checks: {_words(CheckResult)}; notifications: {_words(NoticeResult)}"),
    (
        "code",
        "polls: the HTTP status `200`, `401` or `503`; else the code of a [condition](../operations.md#conditions)",
    ),
    ("action", f"action of Docker's event: {_words(Action)}"),
    ("poller", "the `X-Bluegreen-Poller` header, else the address; `other` from the 65th on"),
    ("engine", "the name of an engine of the desired-state file"),
    ("version", "of the daemon"),
)


def page() -> str:
    """Return the page."""
    rows = sorted(_rows())
    of_services = [row for row in rows if "`service`" in row[2]]
    of_daemon = [row for row in rows if "`service`" not in row[2]]
    headings = ("Name", "Type", "Labels", "Meaning")
    return whole(
        TITLE,
        INTRODUCTION,
        "## Of each service",
        SERVICES,
        table(headings, of_services),
        "## Of the daemon",
        REPLICAS,
        table(headings, of_daemon),
        f"The buckets of the histogram end at {', '.join(f'{bound:g}' for bound in metrics.PHASE_BUCKETS_S)} seconds.",
        "## Labels",
        BOUNDED,
        table(("Label", "Values"), ((code(label), values) for label, values in LABELS)),
    )


def names() -> dict[str, tuple[str, ...]]:
    """Return every metric by the name it has in a query, with its labels."""
    return {name: labels for name, _, labels, _ in _described()}


def _rows() -> Iterator[tuple[str, str, str, str]]:
    for name, kind, labels, text in _described():
        yield code(name), kind, ", ".join(map(code, labels)), text


def _described() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Yield name, type, labels and meaning of all that is counted, then of all that is read at a scrape."""
    everything = metrics.Metrics()
    everything.follow_store(leads=True, store_age_s=0.0)
    for counted in everything.registry._collector_to_names:
        assert isinstance(counted, MetricWrapperBase)
        (family,) = counted.describe()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield name, family.type, tuple(counted._labelnames), family.documentation
    for family in metrics._families(()):
        assert isinstance(family, (CounterMetricFamily, GaugeMetricFamily))
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield name, family.type, tuple(family._labelnames), family.documentation
