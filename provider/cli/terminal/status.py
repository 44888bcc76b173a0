"""Draws answers of the admin API once: tables on a terminal, whole lines in a pipe."""

import sys
from collections.abc import Iterator, Sequence
from itertools import chain, repeat

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from provider.cli.client.read_back import step_of
from provider.cli.terminal import steps, words
from provider.cli.terminal.symbols import Signs, signs_of
from provider.cli.terminal.words import SEVERITY_STYLES, STATE_STYLES, printable
from provider.model import Colour, listed
from provider.model import api_types as api

PIPED_WIDTH = 4000
STEP_WIDTH = 60
_OF_A_SERVER = ("COLOUR", "SERVER", "HEALTH", "SINCE", "CONTAINER", "RELEASE", "CAUSE")


def show(answer: api.Overview | api.Service) -> None:
    """Print an answer of the admin API once."""
    write(draw(printable(answer)))


def say(answer: api.Service) -> None:
    """Print the explanation of a service, a sentence a line."""
    write(Group(*(Text(line) for line in printable(answer.get("explanation", ())))))


def draw(answer: api.Overview | api.Service) -> RenderableType:
    """Draw all services, or one in detail, with conditions and notes below."""
    if "services" in answer:
        parts: list[RenderableType] = [overview(answer["services"]), *map(_condition, answer["conditions"])]
        for service in answer["services"]:
            prefix = f"{service['service']}: "
            parts += [Text(f"{prefix}{text}") for text in _in_short(service)]
            parts += notes(service, prefix, answer["conditions"])
        if unconfirmed := [one["service"] for one in answer["services"] if one["active"] and not one["confirmed"]]:
            parts.append(Text(f"not confirmed by Traefik yet: {listed(unconfirmed)}", style="yellow"))
        parts += map(_replica, answer.get("replicas", ()))  # a daemon of an earlier version knows none
        parts += map(_poller, answer["pollers"])
    else:
        parts = [overview([answer]), _servers(answer), facts(answer), *notes(answer, "", [])]
    return Group(*parts)


def _replica(replica: api.Replica) -> Text:
    """Return who leads, and who is behind."""
    name, polled = replica["replica"], f"polled by {replica['pollers']}, {replica['behind']} of them behind"
    if replica["away"]:
        return Text(f"replica {name} is away; {polled} when it was last seen", style="yellow")
    role = "leads" if replica["leads"] else "follows"
    text = f"replica {name} {role}, revision {replica['revision']}, {polled}"
    if not replica["current"]:
        return Text(f"{text}; it has not the current document", style="yellow")
    return Text(text, style="dim" if not replica["behind"] else "yellow")


def _poller(poller: api.Poller) -> Text:
    """Return who polls, and whether its document is current."""
    text = f"polled by {words.poller(poller)} {words.age(poller['last_poll'])} ago, revision {poller['revision']}"
    return Text(text, style="dim") if poller["current"] else Text(f"{text}, not the current one", style="yellow")


def console() -> Console:
    """Make a console that takes no text for markup (`[fd00::1]` is an address); a pipe has no width to cut off at."""
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    return Console(width=width, markup=False, emoji=False, highlight=False)


def write(what: RenderableType) -> None:
    """Print as wide as the terminal; in a pipe in whole lines, without trailing blanks."""
    screen = console()
    if screen.is_terminal:
        screen.print(what)
        return
    with screen.capture() as captured:
        screen.print(what, soft_wrap=True)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def notes(service: api.Service, prefix: str, shown: Sequence[api.Condition]) -> Iterator[RenderableType]:
    """Yield the conditions of a service that were not text already, and what blocks it unless one of them says so."""
    own = [condition for condition in service["conditions"] if condition not in shown]
    yield from (_condition(condition, prefix) for condition in own)
    if service["blocking"] not in {None, *(condition["message"] for condition in own)}:
        yield Text(f"{prefix}{service['blocking']}")


def _in_short(service: api.Service) -> Iterator[str]:
    """Yield what the table of all services has no room for."""
    if service["rollout"] is not None:
        yield f"{words.rollout(service)}: {words.gates(service).plain}"
        if (step := step_of(service)) is not None:
            shown = steps.way(step, _signs(), STEP_WIDTH)
            yield f"step {step['number']} of {step['of']}: {shown.plain}"
    if service["lease"] is not None:
        yield f"lease: {words.lease(service['lease'])}"
    if service["paused"]:
        yield "rollouts are paused or held"


def overview(services: Sequence[api.Service]) -> Table:
    """Draw services, a line each."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("SERVICE", "ACTIVE", "PHASE"):
        table.add_column(column, no_wrap=True)
    for column in ("BLUE", "GREEN", "ROLLBACK"):
        table.add_column(column, overflow="fold")
    for service in services:
        back, left = service["rollback"], steps.left(service)
        table.add_row(
            service["service"],
            Text(service["active"] or "undecided", style=service["active"] or "yellow"),
            f"{steps.place(service)} {left}".strip(),
            _colour(service, Colour.BLUE),
            _colour(service, Colour.GREEN),
            f"ready: {back['to']}" if back["ready"] else "-",
        )
    return table


def _colour(service: api.Service, colour: Colour) -> Text:
    found = service["colours"][colour]
    named = found["version"] or found["release"] or ""
    text = (f"{service['weights'][colour]}%", found["state"], named, words.healthy_of(found))
    return Text(" ".join(filter(None, text)), style=STATE_STYLES.get(found["state"], "dim"))


def _servers(service: api.Service) -> Table:
    """Draw every server; a column without entries is left out."""
    rows = [
        (
            Text(colour),
            Text(server["url"]),
            Text(server["health"], style=STATE_STYLES.get(server["health"], "yellow")),
            Text(words.age(server["since"])),
            Text(server["container"] or ""),
            Text(server["release"]),
            Text(server["cause"] or ""),
        )
        for colour, found in service["colours"].items()
        for server in found["servers"]
    ]
    shown = [number for number in range(len(_OF_A_SERVER)) if any(row[number].plain for row in rows)]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for number in shown:
        table.add_column(_OF_A_SERVER[number], overflow="fold", no_wrap=_OF_A_SERVER[number] != "CAUSE")
    for row in rows:
        table.add_row(*(row[number] for number in shown))
    return table


def facts(service: api.Service) -> Table:
    """Draw the other facts of a service, a line each."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in _facts(service):
        table.add_row(label, text)
    return table


def _facts(service: api.Service) -> Iterator[tuple[str, RenderableType]]:
    rollout, back = service["rollout"], service["rollback"]
    if rollout is not None:
        by = f" by {rollout['actor']}" if rollout["actor"] else ""
        yield (
            "rollout",
            f"{words.rollout(service)}, {service['phase']}; begun {words.age(rollout['since'])} ago{by}",
        )
        yield from _step(service)
        yield "gates", words.gates(service)
        if rollout["approval"]:
            yield "approved", f"by {rollout['approval']['actor']}, {words.clock(rollout['approval']['at'])}"
        if rollout["deadline"]:
            yield "deadline", f"{words.left(service)} left, until {words.clock(rollout['deadline'])}"
        elif service["paused"] or step_of(service) is None:
            yield "deadline", words.no_deadline(service)
    for label, url in (("service", service["url"]), ("preview", service["preview_url"])):
        if url is not None:
            yield label, url
    if service["active"] is not None:
        confirmed = service["confirmed"]
        text = "yes" if confirmed else "no: not every Traefik has applied the decision"
        yield "confirmed", Text(text, style="" if confirmed else "yellow")
    ready = f"ready: release {back['release']} in {back['to']}"
    yield "rollback", Text(ready, style="green") if back["ready"] else Text(f"none: {back['reason']}")
    if service["paused"]:
        yield "paused", Text("rollouts are paused or held", style="yellow")
    if service["override"] is not None:
        yield "override", Text(words.override(service["override"]), style="yellow")
    if service["lease"] is not None:
        yield "lease", words.lease(service["lease"])
    for text in words.quarantined(service):
        yield "quarantined", Text(text, style="red")


def _signs() -> Signs:
    """Return the signs of standard output; below a live display that is a file of rich's, without an encoding."""
    found = getattr(sys.stdout, "encoding", None) or getattr(sys.__stdout__, "encoding", None)
    return signs_of(found or "ascii")


def _step(service: api.Service) -> Iterator[tuple[str, RenderableType]]:
    """Yield the step that is on, how long it lasts, and what is counted."""
    step = step_of(service)
    if step is None:
        return
    signs = _signs()
    yield "step", Text.assemble(f"{step['number']} of {step['of']}: ", steps.way(step, signs, STEP_WIDTH))
    yield "", steps.clock(step, signs, words.utc_now())
    for label, (text, counts) in zip(chain(("evidence",), repeat("")), steps.evidence(step, signs), strict=False):
        yield label, Text.assemble(text, (f"; {counts}" if counts else "", "dim"))


def _condition(condition: api.Condition, prefix: str = "") -> RenderableType:
    text = f"{condition['severity']}: {prefix}{condition['message']}"
    return Text(text, style=SEVERITY_STYLES[condition["severity"]])
