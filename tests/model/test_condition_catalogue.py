"""The catalogue of conditions: one entry a code, and how its words are put together."""

from provider.model import Condition, ConditionCode, Severity, condition
from provider.model.condition_catalogue import CATALOGUE, OF_DAEMON, OF_SERVICE
from tests.support.worlds import EPOCH


def test_every_code_has_one_entry_and_holds_for_the_daemon_or_for_a_service() -> None:
    assert CATALOGUE.keys() == set(ConditionCode)
    assert OF_DAEMON.keys().isdisjoint(OF_SERVICE)


def test_a_condition_says_what_was_found_and_how_to_fix_it() -> None:
    assert condition(ConditionCode.TRAEFIK_AWAY, EPOCH, traefiks="http://t:8080 (refused)") == Condition(
        ConditionCode.TRAEFIK_AWAY,
        Severity.WARNING,
        "the API of Traefik does not answer, so nothing there is confirmed: http://t:8080 (refused); "
        "start it, or remove its address from traefik.api",
        EPOCH,
    )


def test_what_helps_now_comes_last_and_a_severity_may_be_another_one() -> None:
    found = condition(ConditionCode.NO_SERVERS, None, severity=Severity.INFO, fix="to go back: COMMAND", colour="blue")
    assert found.message.endswith("answered with 503; start one; to go back: COMMAND")
    assert found.severity is Severity.INFO


def test_what_was_found_is_never_read_as_a_template() -> None:
    """P4: a cause comes from outside, and may hold braces."""
    assert condition(ConditionCode.DOCKER_AWAY, EPOCH, cause="{0} {x!r}").message.endswith("({0} {x!r})")
