"""Smoke tests: the requests a release must answer as written before it may take traffic (gate `smoke`).

An answer is evidence, for the release or against it. A timeout, a lost or refused connection, an unknown name and a
fault of this machine are none: such a test is made again until an answer comes or nobody wants the run any more (P2).
"""

import asyncio
import json
import resource
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from email.message import Message
from encodings import normalize_encoding
from encodings.aliases import aliases

import structlog

from provider.durations import written
from provider.health.checker import Spawn
from provider.health.exchange import Target, ask
from provider.health.http1 import BadAnswer, CutShort
from provider.health.visit import Finding, Result, explain_request
from provider.model import Smoke, SmokeResult, SmokeRun, SmokeTest
from provider.text import struck

AT_ONCE = 8
"""So many servers of one run are asked at once."""
MAX_RUNNING = 256
"""So many servers of all runs are, or an eighth as many as files may be open."""
RETRY_S = 1.0
"""The pause before a test is made again; it doubles from try to try while there is no evidence."""
MAX_PAUSE_S = 15.0
BODY_BYTES = 1024 * 1024
"""So much of an answer's body is read."""
EXCERPT_CHARACTERS = 200
QUOTED_CHARACTERS = 80
CHARSETS = frozenset(
    {"utf_8", "ascii", "latin_1", "utf_16", "utf_16_le", "utf_16_be", "utf_32", "utf_32_le", "utf_32_be", "koi8_r"}
    | {"koi8_u", "shift_jis", "euc_jp", "iso2022_jp", "euc_kr", "gb2312", "gbk", "gb18030", "big5", "mac_roman"}
    | {f"iso8859_{number}" for number in (*range(2, 12), *range(13, 17))}
    | {"cp874", "cp866", *(f"cp{number}" for number in range(1250, 1259))}
)
"""The charsets that answers are read in, by Python's names for them: each takes time in proportion to the answer."""
INTEGER_DIGITS = 400
"""A longer integer in an answer is read as a floating-point number, as JavaScript does with all of them."""

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _Run:
    """A run that is wanted, and what is known of it by server and position of the test."""

    run: SmokeRun
    results: dict[tuple[str, int], SmokeResult] = field(default_factory=dict)
    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    tasks: tuple[asyncio.Task[None], ...] = ()
    has_news: bool = False
    is_over: bool = False

    @property
    def servers(self) -> frozenset[str]:
        return frozenset(self.run.servers)

    @property
    def is_decided(self) -> bool:
        """Whether every test passed on every server, or one failed on one."""
        verdicts = [result.passed for result in self.results.values()]
        return False in verdicts or verdicts.count(True) == len(self.servers) * len(self.run.tests)

    def stop(self) -> None:
        self.is_over = True
        for task in self.tasks:
            task.cancel()


class SmokeTester:
    """Makes the smoke tests of the runs it is told of, and tells what it finds.

    `spawn` makes a named task of the tests of one server. `on_smoke` hears of every change of what is known of a run,
    with all of it, from within `run`. All methods belong to the event loop's thread.
    """

    def __init__(self, *, spawn: Spawn, on_smoke: Callable[[Smoke], None]) -> None:
        self._spawn, self._on_smoke = spawn, on_smoke
        self._runs: dict[str, dict[str, _Run]] = {}
        self._changed: set[_Run] = set()
        self._woken = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._room = asyncio.Semaphore(max(AT_ONCE, min(MAX_RUNNING, files // 8)))
        self._logged: set[type[Exception]] = set()

    def set_runs(self, group: str, runs: tuple[SmokeRun, ...]) -> None:
        """Replace the runs wanted of a rollout group.

        Those that stay the same go on, or stay done. Those no longer wanted are cancelled and never told of, and begin
        from nothing should they be wanted again.
        """
        before = self._runs.pop(group, {})
        wanted = {repr(run): run for run in runs}  # by ==, a test for the JSON `true` would be the same as one for 1
        for gone in before.keys() - wanted.keys():
            before[gone].stop()
        if wanted:
            self._runs[group] = {name: before.get(name) or _Run(run) for name, run in wanted.items()}
            for new in wanted.keys() - before.keys():
                self._wake(self._runs[group][new])

    def void(self) -> None:
        """Begin all runs again: an answer that was under way may be from long ago."""
        for runs in self._runs.values():
            for name, run in runs.items():
                run.stop()
                runs[name] = _Run(run.run)
                self._wake(runs[name])

    async def run(self) -> None:
        """Make tests until cancelled; leaves none running behind it. What is known outlives it."""
        self._changed.update(run for runs in self._runs.values() for run in runs.values())
        try:
            while True:
                self._woken.clear()
                while self._changed:
                    self._attend(self._changed.pop())
                await self._woken.wait()
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)
            for runs in self._runs.values():
                for run in runs.values():
                    run.tasks = ()

    def _wake(self, run: _Run) -> None:
        self._changed.add(run)
        self._woken.set()

    def _attend(self, run: _Run) -> None:
        """Begin a run that is new, tell what is new of it, and end one that is decided."""
        if run.is_over:
            return
        if not run.tasks:
            run.tasks = tuple(self._begin(run, server) for server in sorted(run.servers))
        if run.has_news:
            run.has_news = False
            if run.is_decided:
                run.stop()
            self._on_smoke(Smoke(run.run, tuple(run.results[place] for place in sorted(run.results))))

    def _begin(self, run: _Run, server: str) -> asyncio.Task[None]:
        task = self._spawn(self._test(run, server), f"smoke tests of {server}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _test(self, run: _Run, server: str) -> None:
        """Make the tests of one server in the order written, up to one that fails."""
        for position, test in enumerate(run.run.tests):
            known = run.results.get((server, position))
            if not (known and known.passed) and not await self._passes(run, server, position, test):
                return

    async def _passes(self, run: _Run, server: str, position: int, test: SmokeTest) -> bool:
        """Make one test of one server until there is evidence; an answer that does not match gets its retries."""
        fails, pauses = 0, growing_pauses_s()
        while True:
            async with run.room, self._room:
                result = await self._try(run.run, server, test)
            if result.passed is False:
                fails, pauses = fails + 1, growing_pauses_s()
                if test.retries:
                    cause = f"{result.cause} (try {fails} of {test.retries + 1})"
                    result = replace(result, passed=None if fails <= test.retries else False, cause=cause)
            self._note(run, position, result)
            if result.passed is not None:
                return result.passed
            await asyncio.sleep(next(pauses))

    def _note(self, run: _Run, position: int, result: SmokeResult) -> None:
        """Keep a result. One that differs in its duration only is no news."""
        before = run.results.get((result.url, position))
        run.results[result.url, position] = result
        if before is None or replace(before, duration_s=result.duration_s) != result:
            run.has_news = True
            self._wake(run)

    async def _try(self, run: SmokeRun, server: str, test: SmokeTest) -> SmokeResult:
        """Make one test once. Whatever goes wrong, be it a bug, is a finding about this one test (P4)."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        answer = Answer()
        try:
            async with asyncio.timeout_at(began_s + test.timeout_s):
                target = Target.at(server, test.path, host=run.host, headers=test.headers)
                await _hear(target, test, answer)
            cause = answer.mismatch(test)
            finding = Finding(Result.FAIL, cause) if cause else Finding(Result.PASS)
        except Exception as error:  # noqa: BLE001  the supervisor of every test
            late_s = loop.time() - began_s - test.timeout_s
            finding = explain(error, answer, server, test, late_s=late_s) or self._own_bug(run, server, test, error)
        return SmokeResult(
            test=test.name,
            url=server,
            passed={Result.PASS: True, Result.FAIL: False, Result.ERROR: None}[finding.result],
            cause=finding.cause,
            excerpt=None if answer.status is None else _cited(answer.text, test, EXCERPT_CHARACTERS),
            duration_s=loop.time() - began_s,
        )

    def _own_bug(self, run: SmokeRun, server: str, test: SmokeTest, error: Exception) -> Finding:
        """Name the kind of error only: its text may quote the headers of the request."""
        kind = type(error)
        if kind not in self._logged:
            self._logged.add(kind)
            log.error("bug in the smoke tests", service=run.service, server=server, test=test.name, exc_info=error)
        return Finding(Result.ERROR, f"not tested: a bug in the smoke tests, {kind.__name__}; the log has more")


def growing_pauses_s() -> Iterator[float]:
    """Yield the pauses between tries that bring no evidence."""
    pause_s = RETRY_S
    while True:
        yield pause_s
        pause_s = min(pause_s * 2, MAX_PAUSE_S)


# --- one answer -------------------------------------------------------------------------------------------------------


class _Untestable(Exception):  # noqa: N818  what this daemon cannot do says nothing about the server
    """A smoke test cannot be made there; the text is the cause."""


@dataclass(slots=True)
class Answer:
    """What has come of an answer. `status` is None while nothing has; `text` is the body as far as it can be read."""

    status: int | None = None
    kind: str = ""
    location: str | None = None
    text: str = ""
    is_longer: bool = False

    def mismatch(self, test: SmokeTest) -> str | None:
        """Return why this is not the answer wanted; None where it is."""
        if self.status != test.status:
            place = f" to {_cited(self.location, test)}" if self.location else ""
            return f"{self.status}{place}, wanted {test.status}"
        if test.contains is not None and test.contains not in self.text:
            return f"the answer does not contain {_short(test.contains)!r}{self._why_not(test)}"
        if not test.json:
            return None
        try:
            document = json.loads(self.text.removeprefix("\ufeff"), parse_int=_integer)
        except (ValueError, RecursionError):
            return f"the answer is no JSON ({_cited(self.kind, test) or 'without a Content-Type'}){self._why_not(test)}"
        return next((cause for path, wanted in test.json if (cause := _differs(document, path, wanted, test))), None)

    def _why_not(self, test: SmokeTest) -> str:
        if self.is_longer:
            return ": it is longer than 1 MiB, and no more is read"
        return ": it has no body, as with every HEAD" if test.method == "HEAD" else ""


async def _hear(target: Target, test: SmokeTest, answer: Answer) -> None:
    """Make the request and note what comes as it comes; raises what stood in the way."""
    async with ask(target, test.method, target.url, verify=not test.insecure_skip_verify) as heard:
        answer.status = heard.status
        answer.kind, charset = _media_type(heard.field("content-type"))
        answer.location = heard.field("location") if 300 <= heard.status < 400 else None
        encoding = (heard.field("content-encoding") or "identity").lower()
        body = bytearray()
        try:
            while len(body) <= BODY_BYTES and (data := await heard.read()):
                body += data
        finally:
            answer.is_longer = len(body) > BODY_BYTES
            if encoding == "identity":
                answer.text = _decoded(bytes(body[:BODY_BYTES]), charset)
    if encoding != "identity" and (test.contains is not None or test.json) and answer.status == test.status:
        raise _Untestable(
            f"not tested: the answer is compressed ({_cited(encoding, test)}), and the request asks for identity"
        )


def _media_type(written: str | None) -> tuple[str, str | None]:
    """Split a Content-Type into what it is, in lower case, and its charset."""
    header = Message()
    header["Content-Type"] = (written or "")[:EXCERPT_CHARACTERS]
    return header.get_content_type() if written else "", header.get_content_charset()


def _decoded(body: bytes, charset: str | None) -> str:
    """Return a body as text; of a charset that is not among those that the web uses, as UTF-8.

    Python's other codecs are no charsets: punycode takes minutes for a megabyte, in which nobody is answered.
    """
    written = normalize_encoding((charset or "utf-8")[:QUOTED_CHARACTERS]).lower()
    name = aliases.get(written, written)  # and no look-up of Python's: it keeps every name that it was asked for
    return body.decode(name if name in CHARSETS else "utf-8", errors="replace")


def explain(error: Exception, answer: Answer, server: str, test: SmokeTest, *, late_s: float) -> Finding | None:
    """Tell what stopped a test: an answer that is wrong as far as it came (a fail), else no evidence (an error).

    None: nothing known, so a bug. `late_s` is how long after its deadline the test came to see what happened.
    """
    if answer.status is not None and answer.status != test.status:
        return Finding(Result.FAIL, answer.mismatch(test))
    found = explain_request(error, server=server, timeout_s=test.timeout_s, late_s=late_s)
    match error:
        case _Untestable():
            return Finding(Result.ERROR, str(error))
        case CutShort():
            return Finding(Result.FAIL, f"{answer.status}, and then the answer is cut short")
        case BadAnswer():
            return Finding(Result.FAIL, f"not HTTP: {error}")
        case TimeoutError(errno=None) if answer.status is not None and found and found.result is Result.FAIL:
            after = written(test.timeout_s)
            return Finding(Result.ERROR, f"timed out after {after}: {answer.status} came, the end of its body did not")
    return found and Finding(Result.ERROR, found.cause)


# --- JSON -------------------------------------------------------------------------------------------------------------


def _differs(document: object, path: str, wanted: object, test: SmokeTest) -> str | None:
    """Return how the value at a dotted path differs from what is wanted; None where it does not."""
    try:
        found = _at(document, path)
    except LookupError:
        return f"the JSON has no {path}, wanted {_short(_written(wanted))}"
    return (
        None
        if _same(found, wanted)
        else f"{path} is {_cited(_written(found), test)}, wanted {_short(_written(wanted))}"
    )


def _at(value: object, path: str) -> object:
    """Follow a dotted path of keys and positions in lists. What is left of it may be a key that has dots itself.

    Raises LookupError where it leads nowhere.
    """
    if isinstance(value, dict) and path in value:
        return value[path]
    step, dot, rest = path.partition(".")
    match value:
        case dict():
            inner = value[step]
        case list() if step.isascii() and step.isdigit():
            inner = value[int(step)]
        case _:
            raise LookupError(step)
    return _at(inner, rest) if dot else inner


def _same(found: object, wanted: object) -> bool:
    """Compare as JSON does: 1 is 1.0, but true is not 1."""
    match wanted:
        case Mapping():
            if not isinstance(found, dict) or found.keys() != wanted.keys():
                return False
            return all(_same(found[key], value) for key, value in wanted.items())
        case list() | tuple():
            if not isinstance(found, list) or len(found) != len(wanted):
                return False
            return all(_same(*pair) for pair in zip(found, wanted, strict=True))
        case bool() | None:
            return found is wanted
    return not isinstance(found, bool) and found == wanted


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= INTEGER_DIGITS else float(digits)


def _written(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


# --- words ------------------------------------------------------------------------------------------------------------


def _short(text: str) -> str:
    return text if len(text) <= QUOTED_CHARACTERS else f"{text[: QUOTED_CHARACTERS - 3]}..."


def _cited(text: str, test: SmokeTest, length: int = QUOTED_CHARACTERS) -> str:
    """Return the beginning of what a server said, fit for a line, without the test's headers where it quotes them."""
    text = struck(text, test.headers)
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in " ".join(text.split())[:length])
