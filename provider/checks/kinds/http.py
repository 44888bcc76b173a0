"""Mode http: a request, over HTTP/1.1 or HTTP/2."""

from functools import partial

from yarl import URL

from provider.checks.exchange import Answer, Target, send_request
from provider.checks.result import ANSWER_BYTES, Check, CheckFailed, Seen
from provider.model import HealthCheck, Probe

MAX_REDIRECTS = 10


def prepare(probe: Probe) -> Check:
    """Return the check of one server. Raises ValueError for an invalid URL."""
    return partial(_check, Target.of(probe), probe.check)


async def _check(target: Target, check: HealthCheck, _seen: Seen) -> None:
    url, method = target.url, check.method
    for _ in range(MAX_REDIRECTS + 1):
        async with send_request(target, method, url, verify=not check.insecure_skip_verify) as answer:
            location = answer.field("location") if answer.status in {301, 302, 303, 307, 308} else None
            if not (check.follow_redirects and location):
                await _check_answer(answer, check)
                return
        url = _redirected(target, url, location)
        if answer.status <= 303 and method != "HEAD":
            method = "GET"
    raise CheckFailed(f"more than {MAX_REDIRECTS} redirects, the last to {url.raw_path_qs}")


async def _check_answer(answer: Answer, check: HealthCheck) -> None:
    """Compare the status with the expected one, then read the body."""
    if not (answer.status == check.status if check.status else 200 <= answer.status < 400):
        raise CheckFailed(f"{answer.status}, expected {check.status or '200-399'}")
    left = ANSWER_BYTES
    while left > 0 and (data := await answer.read()):
        left -= len(data)


def _redirected(target: Target, here: URL, location: str) -> URL:
    """Return the next URL, on the same server: the answer of another one proves nothing about this one (P1)."""
    try:
        place = here.join(URL(location))
    except ValueError:
        raise CheckFailed(f"redirected to {location[:80]!r}, which is no URL") from None
    if place.host not in {target.name, here.host}:
        raise CheckFailed(f"redirected to {place.host or place}, another server")
    return here.origin().join(place.relative())
