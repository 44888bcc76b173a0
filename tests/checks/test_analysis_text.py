"""Scanning Traefik's metrics, which may be any bytes (rule 23)."""

from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.checks.analysis.text import LINE_BYTES, NoMetrics, Scanner
from provider.model import Analysis, ByColour
from provider.model.analysed import ChildCounts, Followed
from provider.model.progressive import Errors, Slow
from tests.support.worlds import GREEN

FOLLOWED = Followed("shop", GREEN, Analysis(errors=Errors(), slow=Slow(1.2)))
LABELS = 'code="{}",method="GET",protocol="http",service="{}@http"'
STARTED = "process_start_time_seconds 1.7e+09\n"


def requests(child: str, code: object, value: object) -> str:
    return f"traefik_service_requests_total{{{LABELS.format(code, child)}}} {value}\n"


def timed(child: str, code: int, within: Mapping[str, int], count: int) -> str:
    name, labels = "traefik_service_request_duration_seconds", LABELS.format(code, child)
    buckets = "".join(f'{name}_bucket{{{labels},le="{bound}"}} {many}\n' for bound, many in within.items())
    return f"{buckets}{name}_sum{{{labels}}} 1.5\n{name}_count{{{labels}}} {count}\n"


def scan(text: str | bytes, size: int = 7) -> Mapping[str, ByColour[ChildCounts]]:
    scanner, whole = Scanner([FOLLOWED]), text if isinstance(text, bytes) else text.encode()
    for start in range(0, len(whole), size):
        scanner.feed(whole[start : start + size])
    return scanner.counts()


def test_the_counters_of_a_service_are_found_whatever_the_pieces() -> None:
    """Rule 23: the answers of both colours by status, summed over methods; 101 and 499 are neither."""
    text = (
        "# TYPE traefik_service_requests_total counter\n"
        + requests("shop-blue", 200, 10)
        + requests("shop-blue", 200, 5).replace("GET", "POST")
        + requests("shop-blue", 101, 7)
        + requests("shop-blue", 499, 7)
        + requests("shop-green", 503, "1.2e+01")
        + requests("shop-green-test", 500, 99)
        + requests("shop", 500, 99)
        + timed("shop-blue", 200, {"0.3": 2, "1.2": 9, "+Inf": 15}, 15)
        + timed("shop-blue", 499, {"1.2": 0, "+Inf": 7}, 7)
        + STARTED
    )
    expected = ByColour(ChildCounts({200: 15}, 15, 9), ChildCounts({503: 12}, 0, 0))
    for size in (1, 7, 100, 10_000):
        assert scan(text, size) == {"shop": expected}


def test_a_histogram_without_the_bucket_says_so() -> None:
    found = scan(timed("shop-blue", 200, {"0.3": 2, "+Inf": 15}, 15))
    assert found["shop"].blue.within is None
    assert found["shop"].green.within == 0


def test_what_has_no_requests_yet_counts_nothing() -> None:
    assert scan(STARTED) == {"shop": ByColour(ChildCounts(), ChildCounts())}


@pytest.mark.parametrize("value", ["NaN", "-1", "+Inf", "1.5", "1e300", "", "x", "1_0e999"])
def test_a_counter_that_counts_no_requests_makes_the_answer_no_evidence(value: str) -> None:
    """P2."""
    with pytest.raises(NoMetrics):
        scan(requests("shop-blue", 200, value))


@pytest.mark.parametrize(
    "line",
    [
        requests("shop-blue", "2xx", 1),
        requests("shop-blue", "", 1),
        requests("shop-blue", 200, 1).replace("}", ""),
        requests("shop-blue", 200, 1).replace(",method", ";method"),
        'traefik_service_requests_total{code="200",other="service="shop-blue@http"} 1\n',
        "process_start_time_seconds never\n",
    ],
)
def test_a_line_of_another_form_makes_the_answer_no_evidence(line: str) -> None:
    """P2."""
    with pytest.raises(NoMetrics):
        scan(STARTED + line)


def test_another_service_of_any_form_disturbs_nothing() -> None:
    text = requests("other", "?", "NaN") + "\x00\xff garbage {\n" + requests("shop-blue", 200, 1) + STARTED
    assert scan(text.encode("latin-1"))["shop"].blue.codes == {200: 1}


def test_a_label_that_quotes_one_of_ours_is_not_ours() -> None:
    text = STARTED + r'traefik_service_requests_total{code="200",service="a\"service=\"shop-blue@http"} 5' + "\n"
    assert scan(text) == {"shop": ByColour(ChildCounts(), ChildCounts())}


def test_what_is_no_metrics_of_traefik_is_said_to_be() -> None:
    for text in ("", "<html>hello</html>", "{}", "up 1\n"):
        with pytest.raises(NoMetrics, match="something else than Traefik"):
            scan(text)


def test_an_answer_that_ends_in_a_line_of_ours_is_no_evidence() -> None:
    with pytest.raises(NoMetrics, match="middle of a line"):
        scan(STARTED + requests("shop-blue", 200, 1234)[:-3])


def test_a_line_without_an_end_takes_no_memory() -> None:
    """Of any length: one that is not ours is passed over, one of ours ends the scan."""
    scanner = Scanner([FOLLOWED])
    for _ in range(10_000):
        scanner.feed(b"x" * 4096)
        assert len(scanner._rest) <= LINE_BYTES
    scanner.feed(f"traefik_service_requests_total\n{STARTED}{requests('shop-blue', 200, 3)}".encode())
    assert scanner.counts()["shop"].blue.codes == {200: 3}
    with pytest.raises(NoMetrics, match="longer"):
        scanner.feed(b"traefik_service_requests_total{" + b"x" * (LINE_BYTES + 1))


def test_the_rest_of_a_long_line_is_not_taken_for_one_of_ours() -> None:
    ours = requests("shop-blue", 200, 9).encode()
    scanner = Scanner([FOLLOWED])
    scanner.feed(STARTED.encode() + b"x" * (LINE_BYTES + 1))
    scanner.feed(ours)
    scanner.feed(ours)
    assert scanner.counts()["shop"].blue.codes == {200: 9}


def lines() -> Iterator[st.SearchStrategy[bytes]]:
    yield st.binary(max_size=80)
    yield st.binary(max_size=30).map(lambda piece: b"traefik_service_requests_total{" + piece + b"} 1\n")
    yield st.binary(max_size=30).map(lambda piece: requests("shop-blue", 200, 1).encode().replace(b"GET", piece))
    yield st.just(STARTED.encode())


@given(st.lists(st.one_of(*lines()), max_size=20), st.integers(1, 50))
def test_any_bytes_are_counters_or_no_metrics(pieces: list[bytes], size: int) -> None:
    """P4."""
    try:
        found = scan(b"".join(pieces), size)
    except NoMetrics:
        return
    assert all(count >= 0 for counts in (found["shop"].blue, found["shop"].green) for count in counts.codes.values())
