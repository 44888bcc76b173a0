"""The reference of the metrics, from the registry."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics import MetricWrapperBase

from docs.generate.markdown import code, table
from docs.generate.markdown import page as whole
from provider import metrics
from provider.engine import Action
from provider.health.visit import Result as CheckResult
from provider.model import Colour, Health, Outcome, Phase, Trigger
from provider.notify import Result as NoticeResult

TITLE = "Metrics"
INTRODUCTION = """\
`GET /metrics` of the provider listener (`--listen`, default `127.0.0.1:8900`), in Prometheus' text format. Where the
daemon has a `--provider-token-file`, Prometheus sends the token as well (`authorization` in its scrape
configuration). A gauge that says whether something is so is 1 or 0. Times are Unix seconds."""
SERVICES = """\
One series for each service of the file. They are read from the daemon's state at the scrape."""
BOUNDED = """\
Labels come from the file and from closed sets, so that the number of series is bounded: a poller is named by its
`X-Bluegreen-Poller` header or else by its address, and after 64 of them every further one is `other`."""


def _words(values: Iterable[str]) -> str:
    return ", ".join(map(code, values))


LABELS = (
    ("service", "the services of the file"),
    ("colour", _words(Colour)),
    ("phase", _words(Phase)),
    ("health", _words(Health)),
    ("outcome", _words(Outcome)),
    ("trigger", f"what set the switch off: {_words(Trigger)}"),
    ("result", f"of health checks {_words(CheckResult)}, of notifications {_words(NoticeResult)}"),
    (
        "code",
        "of polls the HTTP status `200`, `401` or `503`; else that of a [condition](../operations.md#conditions)",
    ),
    ("action", f"what Docker says happened: {_words(Action)}"),
    ("poller", "its `X-Bluegreen-Poller` header, else its address; `other` from the 65th on"),
    ("version", "that of the daemon"),
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
    registry = metrics.Metrics().registry
    for counted in registry._collector_to_names:
        assert isinstance(counted, MetricWrapperBase)
        (family,) = counted.describe()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield name, family.type, tuple(counted._labelnames), family.documentation
    for family in metrics._families(()):
        assert isinstance(family, GaugeMetricFamily)
        yield family.name, family.type, tuple(family._labelnames), family.documentation
