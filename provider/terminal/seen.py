"""What is known of a daemon that is followed, and the lines that the pictures of one service and of all share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.text import Text

from provider.durations import spoken
from provider.following import UNTOLD
from provider.following import words as told_of
from provider.terminal import words
from provider.terminal.layout import Part, Size, wrapped
from provider.terminal.signs import Signs
from provider.terminal.words import GATE_STYLES, OUTCOME_STYLES, SEVERITY_STYLES, STATE_STYLES, Answer

LATE_S = 3.0
"""An answer that is so late is told of."""
HISTORY_ENOUGH = 4
PHASES = ("waiting", "testing", "approval", "shifting", "confirming", "watching")
BAR = 10
AGO = " ago"


@dataclass(frozen=True, slots=True)
class Seen:
    """The last answers of a daemon, printable: when they came, and what is wrong with it since (None while it answers).

    `history` is newest first. `is_live` says that the stream of its events stands.
    """

    answer: Answer
    history: Sequence[Answer]
    at_utc: datetime
    trouble: str | None = None
    is_live: bool = False
    every_s: float = 1.0
    """How long after an answer it is asked again, where it tells no news."""


@dataclass(frozen=True, slots=True)
class View:
    """What is seen of what, when, and with which signs."""

    seen: Seen
    size: Size
    now: datetime
    signs: Signs

    @property
    def width(self) -> int:
        """How many columns there are."""
        return self.size.width

    def head(self, name: str) -> Part:
        """Say what this is, the time, and whether it is up to date; what is wrong with the daemon stands below."""
        answer, age_s = self.seen.answer, max(0.0, (self.now - self.seen.at_utc).total_seconds())
        revision = f"revision {answer['revision']}" if answer["revision"] is not None else "no document yet"
        clock = f"{self.now.astimezone(UTC):%H:%M:%S} UTC"
        if self.seen.trouble is not None:
            state, style = f"{self.signs.failed} LOST, last answer {spoken(age_s)}{AGO}", "bold red"
        elif age_s > self.seen.every_s + LATE_S:
            state, style = f"{self.signs.trouble} STALE, last answer {spoken(age_s)}{AGO}", "bold yellow"
        elif self.seen.is_live:
            state, style = f"{self.signs.active} live", "green"
        else:
            state, style = f"{self.signs.standby} asked every {self.seen.every_s:.0f} s", "yellow"
        left = Text.assemble((name, "bold"), f"  {answer['environment'] or 'no environment'}")
        right = Text.assemble((f"{revision}, {clock}  ", "dim"), (state, style))
        room = self.width - left.cell_len - right.cell_len
        if room < 1:
            right = Text(state, style=style)
            room = self.width - left.cell_len - right.cell_len
        lines = [Text.assemble(left, " " * room, right)] if room >= 1 else [right, left]
        if self.seen.trouble is not None:
            lines += wrapped(self.seen.trouble, self.width, style="red", most=3)
        return Part(lines, enough=len(lines), least=len(lines))

    def conditions(self, conditions: Sequence[Answer], lead: str = "", most: int = 3) -> list[Text]:
        """Tell conditions, the gravest first."""
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
        """Say how long something has been so."""
        return f" (for {words.age(at, self.now)})" if at else ""

    def state(self, found: Answer) -> Text:
        """Name the state of a colour with its sign, and how many of its servers are healthy."""
        told = f"{self.signs.of(found['state'])} {found['state']} {words.healthy_of(found)}".rstrip()
        return Text(told, style=STATE_STYLES.get(found["state"], "dim"))

    def phase(self, service: Answer) -> Text:
        """Name the phase, with the time that it has yet."""
        if service["rollout"] is None:
            return Text(service["phase"], style="dim")
        left = words.left(service, self.now)
        return Text(f"{service['phase']} {left or 'held'}", style="yellow")

    def gate(self, name: str, state: str) -> Text:
        """Name a gate with its state; that of one which passed is its sign."""
        told = "" if state == "passed" else f" {state}"
        return Text(f"{self.signs.of(state)} {name}{told}", style=GATE_STYLES.get(state, ""))

    def pollers(self) -> Part:
        """Say who polls, and whether each has the current revision."""
        pollers = self.seen.answer.get("pollers")
        if pollers is None:  # a daemon of an earlier version tells them only beside all services
            return Part([])
        if not pollers:
            return Part([Text(f"{self.signs.trouble} nobody polls", style="yellow")], enough=1)
        behind = sum(not one["current"] for one in pollers)
        lines = [self._poller(one) for one in sorted(pollers, key=lambda one: bool(one["current"]))]
        told = f"{len(pollers)} pollers" if len(pollers) > 1 else "1 poller"
        if len(lines) > 1 or behind:
            state = f"{behind} behind" if behind else "all have the current revision"
            lines.insert(0, Text(f"{told}, {state}", style="bold"))
        return Part(lines, enough=min(len(lines), 3), least=1, rest=lambda count: f"and {count} more pollers")

    def _poller(self, one: Answer) -> Text:
        is_current = one["current"]
        told = f"revision {one['revision']}, {'current' if is_current else 'NOT the current one'}"
        sign = self.signs.passed if is_current else self.signs.trouble
        return Text.assemble(
            (f"{sign} {one['poller']}", "" if is_current else "yellow"),
            (f"  polled {words.age(one['last_poll'], self.now)}{AGO}, {told}", "dim" if is_current else "yellow"),
        )

    def timeline(self, *, names: bool) -> Part:
        """Draw the history, the newest first, each decision in words."""
        lines = [
            line for row in self.seen.history if row["event"] not in UNTOLD for line in self._decision(row, names=names)
        ]
        if not lines:
            return Part([])
        title = Text("HISTORY, newest first", style="bold")
        return Part([title, *lines], enough=min(1 + HISTORY_ENOUGH, 1 + len(lines)))

    def _decision(self, row: Answer, *, names: bool) -> Iterator[Text]:
        at = datetime.fromisoformat(row["at"]).astimezone(UTC)
        day = "" if at.date() == self.now.astimezone(UTC).date() else f"{at:%m-%d} "
        sign = self.signs.of(row["outcome"]) if row["outcome"] else self.signs.standby
        style = "" if row["outcome"] is None else OUTCOME_STYLES.get(row["outcome"], "red")
        told = told_of(row)
        if not names:
            told = told.removeprefix(f"{row['service']} ")
        told = told.replace(" None:", ":").removeprefix("None: ")
        outcome = f", {row['outcome']}" if row["outcome"] and row["outcome"] not in told.replace(" ", "-") else ""
        is_own = row["event"] == "begun" or row["outcome"] not in {None, "switched"} or row["rollout"] is None
        by = f" by {row['actor']}" if is_own and row["actor"] and row["actor"] not in told else ""
        yield Text.assemble((f"{day}{at:%H:%M:%S} ", "dim"), (f"{sign} {told}{outcome}{by}", style))
