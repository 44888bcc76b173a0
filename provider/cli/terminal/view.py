"""The latest answers of a daemon that is followed, and the lines that the views of one service and of all share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.text import Text

from provider.cli.client.decisions import NOT_LOGGED, describe
from provider.cli.client.read_back import step_of
from provider.cli.terminal import steps, words
from provider.cli.terminal.layout import Part, Size, wrapped
from provider.cli.terminal.symbols import Signs
from provider.cli.terminal.words import GATE_STYLES, OUTCOME_STYLES, SEVERITY_STYLES, STATE_STYLES
from provider.model import Phase
from provider.model import api_types as api
from provider.model.durations import spoken

LATE_S = 3.0
"""An answer this late is shown as stale."""
HISTORY_ENOUGH = 4
PHASES = tuple(phase for phase in Phase if phase is not Phase.STEADY)
BAR = 10
AGO = " ago"


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """The latest answers of a daemon, printable: when they came, and why it does not answer since, None while it does.

    `history` is newest first. `is_live` means that the stream of its events is open.
    """

    answer: api.Overview | api.Service
    history: Sequence[api.Decision]
    at_utc: datetime
    trouble: str | None = None
    is_live: bool = False
    every_s: float = 1.0
    """How long after an answer it is asked again, without an event."""


@dataclass(frozen=True, slots=True)
class View:
    """What is drawn: the answers, the size, the time, the signs."""

    latest: LiveStatus
    size: Size
    now: datetime
    signs: Signs

    @property
    def width(self) -> int:
        """How many columns there are."""
        return self.size.width

    def head(self, name: str) -> Part:
        """Return the head line: name, time, and whether it is up to date; below it, why the daemon does not answer."""
        answer, age_s = self.latest.answer, max(0.0, (self.now - self.latest.at_utc).total_seconds())
        revision = f"revision {answer['revision']}" if answer["revision"] is not None else "no document yet"
        clock = f"{self.now.astimezone(UTC):%H:%M:%S} UTC"
        if self.latest.trouble is not None:
            state, style = f"{self.signs.failed} LOST, last answer {spoken(age_s)}{AGO}", "bold red"
        elif age_s > self.latest.every_s + LATE_S:
            state, style = f"{self.signs.trouble} STALE, last answer {spoken(age_s)}{AGO}", "bold yellow"
        elif self.latest.is_live:
            state, style = f"{self.signs.active} live", "green"
        else:
            state, style = f"{self.signs.standby} asked every {self.latest.every_s:.0f} s", "yellow"
        left = Text.assemble((name, "bold"), f"  {answer['environment'] or 'no environment'}")
        right = Text.assemble((f"{revision}, {clock}  ", "dim"), (state, style))
        room = self.width - left.cell_len - right.cell_len
        if room < 1:
            right = Text(state, style=style)
            room = self.width - left.cell_len - right.cell_len
        lines = [Text.assemble(left, " " * room, right)] if room >= 1 else [right, left]
        if self.latest.trouble is not None:
            lines += wrapped(self.latest.trouble, self.width, style="red", most=3)
        return Part(lines, enough=len(lines), least=len(lines))

    def conditions(self, conditions: Sequence[api.Condition], lead: str = "", most: int = 3) -> list[Text]:
        """Return conditions, most severe first."""
        order = list(reversed(SEVERITY_STYLES))
        lines: list[Text] = []
        for one in sorted(conditions, key=lambda each: order.index(each["severity"])):
            sign = self.signs.trouble if one["severity"] != "info" else self.signs.blank
            start = f"{lead}{sign} {one['severity']}: "
            lines += wrapped(
                f"{one['message']}{self.lasting(one['since'])}",
                self.width,
                lead=start,
                style=SEVERITY_STYLES[one["severity"]],
                most=most,
            )
        return lines

    def lasting(self, at: str | None) -> str:
        """Return how long something has lasted."""
        return f" (for {words.age(at, self.now)})" if at else ""

    def state(self, found: api.ColourStatus) -> Text:
        """Return the state of a colour with its sign, and how many of its servers are healthy."""
        text = f"{self.signs.of(found['state'])} {found['state']} {words.healthy_of(found)}".rstrip()
        return Text(text, style=STATE_STYLES.get(found["state"], "dim"))

    def phase(self, service: api.Service) -> Text:
        """Return the phase, with the time left."""
        if service["rollout"] is None:
            return Text(service["phase"], style="dim")
        if step_of(service) is not None:
            return Text(f"{steps.place(service)} {steps.left(service, self.now)}".rstrip(), style="yellow")
        left = words.left(service, self.now)
        return Text(f"{service['phase']} {left or 'held'}", style="yellow")

    def gate(self, name: str, state: str) -> Text:
        """Return a gate with its state; a passed one has only its sign."""
        text = "" if state == "passed" else f" {state}"
        return Text(f"{self.signs.of(state)} {name}{text}", style=GATE_STYLES.get(state, ""))

    def replicas(self) -> Part:
        """Return who leads, and who is away or behind; nothing for a daemon alone."""
        answer = self.latest.answer
        replicas = answer.get("replicas", ()) if "services" in answer else ()
        if not replicas:
            return Part([])
        lines = [Text(words.leader(replicas), style="bold" if any(one["leads"] for one in replicas) else "bold yellow")]
        if trouble := words.not_current(replicas):
            lines += wrapped(trouble, self.width, lead=f"{self.signs.trouble} ", style="yellow", most=1)
        return Part(lines, enough=len(lines), least=1)

    def pollers(self) -> Part:
        """Return who polls, and whether each has the current revision."""
        pollers = self.latest.answer.get("pollers")
        if pollers is None:  # a daemon of an earlier version shows them only with all services
            return Part([])
        if not pollers:
            return Part([Text(f"{self.signs.trouble} nobody polls", style="yellow")], enough=1)
        behind = sum(not one["current"] for one in pollers)
        lines = [self._poller(one) for one in sorted(pollers, key=lambda one: bool(one["current"]))]
        text = f"{len(pollers)} pollers" if len(pollers) > 1 else "1 poller"
        if len(lines) > 1 or behind:
            state = f"{behind} behind" if behind else "all have the current revision"
            lines.insert(0, Text(f"{text}, {state}", style="bold"))
        return Part(lines, enough=min(len(lines), 3), least=1, rest=lambda count: f"and {count} more pollers")

    def _poller(self, one: api.Poller) -> Text:
        is_current = one["current"]
        text = f"revision {one['revision']}, {'current' if is_current else 'NOT the current one'}"
        sign = self.signs.passed if is_current else self.signs.trouble
        return Text.assemble(
            (f"{sign} {words.poller(one)}", "" if is_current else "yellow"),
            (f"  polled {words.age(one['last_poll'], self.now)}{AGO}, {text}", "dim" if is_current else "yellow"),
        )

    def timeline(self, *, names: bool) -> Part:
        """Draw the history, the newest first, each decision in words."""
        lines = [
            line
            for row in self.latest.history
            if row["event"] not in NOT_LOGGED
            for line in self._decision(row, names=names)
        ]
        if not lines:
            return Part([])
        title = Text("HISTORY, newest first", style="bold")
        return Part([title, *lines], enough=min(1 + HISTORY_ENOUGH, 1 + len(lines)))

    def _decision(self, row: api.Decision, *, names: bool) -> Iterator[Text]:
        at = datetime.fromisoformat(row["at"]).astimezone(UTC)
        day = "" if at.date() == self.now.astimezone(UTC).date() else f"{at:%m-%d} "
        sign = self.signs.of(row["outcome"]) if row["outcome"] else self.signs.standby
        style = "" if row["outcome"] is None else OUTCOME_STYLES.get(row["outcome"], "red")
        text = describe(row)
        if not names:
            text = text.removeprefix(f"{row['service']} ")
        text = text.replace(" None:", ":").removeprefix("None: ")
        outcome = f", {row['outcome']}" if row["outcome"] and row["outcome"] not in text.replace(" ", "-") else ""
        is_own = row["event"] == "begun" or row["outcome"] not in {None, "switched"} or row["rollout"] is None
        by = f" by {row['actor']}" if is_own and row["actor"] and row["actor"] not in text else ""
        yield Text.assemble((f"{day}{at:%H:%M:%S} ", "dim"), (f"{sign} {text}{outcome}{by}", style))
