"""Draws what the admin API answers once: tables on a terminal, whole lines in a pipe."""

import sys
from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from provider.model import listed
from provider.terminal import words
from provider.terminal.words import SEVERITY_STYLES, STATE_STYLES, Answer, printable

PIPED_WIDTH = 4000
_OF_A_SERVER = ("COLOUR", "SERVER", "HEALTH", "SINCE", "CONTAINER", "RELEASE", "CAUSE")


def show(answer: Answer) -> None:
    """Print an answer of the admin API once."""
    write(draw(printable(answer)))


def say(answer: Answer) -> None:
    """Print the sentences that explain where a service stands."""
    write(Group(*(Text(line) for line in printable(answer["explanation"]))))


def draw(answer: Answer) -> RenderableType:
    """Draw all services, or one in detail, with what an operator should know below."""
    if "services" in answer:
        parts = [overview(answer["services"]), *map(_condition, answer["conditions"])]
        for service in answer["services"]:
            prefix = f"{service['service']}: "
            parts += [Text(f"{prefix}{told}") for told in _in_short(service)]
            parts += notes(service, prefix, answer["conditions"])
        if unconfirmed := [one["service"] for one in answer["services"] if one["active"] and not one["confirmed"]]:
            parts.append(Text(f"not confirmed by Traefik yet: {listed(unconfirmed)}", style="yellow"))
        parts += map(_poller, answer["pollers"])
    else:
        parts = [overview([answer]), _servers(answer), facts(answer), *notes(answer, "", [])]
    return Group(*parts)


def _poller(poller: Answer) -> Text:
    """Say who polls, and whether what it has is the last document."""
    told = (
        f"polled by {poller['poller']}, {words.age(poller['last_poll'])} ago, which has revision {poller['revision']}"
    )
    return Text(told, style="dim") if poller["current"] else Text(f"{told} and not the last one", style="yellow")


def console() -> Console:
    """Make a console that takes no text for markup (`[fd00::1]` is an address); a pipe has no width to cut off at."""
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    return Console(width=width, markup=False, emoji=False, highlight=False)


def write(what: RenderableType) -> None:
    """Print on a terminal as wide as it is; in a pipe in whole lines, without the blanks that fill a table up."""
    screen = console()
    if screen.is_terminal:
        screen.print(what)
        return
    with screen.capture() as captured:
        screen.print(what, soft_wrap=True)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def notes(service: Answer, prefix: str, told: Sequence[Answer]) -> Iterator[RenderableType]:
    """Yield the conditions of a service that were not told already, and what blocks it unless one of them says so."""
    own = [condition for condition in service["conditions"] if condition not in told]
    yield from (_condition(condition, prefix) for condition in own)
    if service["blocking"] not in {None, *(condition["message"] for condition in own)}:
        yield Text(f"{prefix}{service['blocking']}")


def _in_short(service: Answer) -> Iterator[str]:
    """Yield what the table of all services has no room for, where there is any of it."""
    if service["rollout"] is not None:
        yield f"{words.brings(service)}: {words.gates(service).plain}"
    if service["lease"] is not None:
        yield f"lease: {words.lease(service)}"
    if service["paused"]:
        yield "forward rollouts are paused or held"


def overview(services: list[Answer]) -> Table:
    """Draw services, a line each."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("SERVICE", "ACTIVE", "PHASE"):
        table.add_column(column, no_wrap=True)
    for column in ("BLUE", "GREEN", "ROLLBACK"):
        table.add_column(column, overflow="fold")
    for service in services:
        back, left = service["rollback"], words.left(service)
        table.add_row(
            service["service"],
            Text(service["active"] or "undecided", style=service["active"] or "yellow"),
            f"{service['phase']} {left}".strip(),
            _colour(service, "blue"),
            _colour(service, "green"),
            f"ready: {back['to']}" if back["ready"] else "-",
        )
    return table


def _colour(service: Answer, colour: str) -> Text:
    found = service["colours"][colour]
    named = found["version"] or found["release"] or ""
    told = (f"{service['weights'][colour]}%", found["state"], named, words.healthy_of(found))
    return Text(" ".join(filter(None, told)), style=STATE_STYLES.get(found["state"], "dim"))


def _servers(service: Answer) -> Table:
    """Draw every server, in columns of which each has something to tell."""
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


def facts(service: Answer) -> Table:
    """Draw the rest of what is known of one service, a line each; what is not there has none."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, told in _told(service):
        table.add_row(label, told)
    return table


def _told(service: Answer) -> Iterator[tuple[str, RenderableType]]:
    rollout, back = service["rollout"], service["rollback"]
    if rollout is not None:
        by = f" by {rollout['actor']}" if rollout["actor"] else ""
        yield (
            "rollout",
            f"{words.brings(service)}, {service['phase']}; begun {words.age(rollout['since'])} ago{by}",
        )
        yield "gates", words.gates(service)
        if rollout["approval"]:
            yield "approved", f"by {rollout['approval']['actor']}, {words.clock(rollout['approval']['at'])}"
        if rollout["deadline"]:
            yield "deadline", f"{words.left(service)} left, until {words.clock(rollout['deadline'])}"
        else:
            yield "deadline", "stands still while the rollout is held"
    for label, url in (("service", service["url"]), ("preview", service["preview_url"])):
        if url is not None:
            yield label, url
    if service["active"] is not None:
        confirmed = service["confirmed"]
        told = "yes" if confirmed else "no: not every Traefik was seen to have applied what was decided"
        yield "confirmed", Text(told, style="" if confirmed else "yellow")
    ready = f"ready: release {back['release']} in {back['to']}"
    yield "way back", Text(ready, style="green") if back["ready"] else Text(f"none: {back['reason']}")
    if service["paused"]:
        yield "paused", Text("forward rollouts are paused or held", style="yellow")
    if service["override"] is not None:
        yield "override", Text(words.override(service), style="yellow")
    if service["lease"] is not None:
        yield "lease", words.lease(service)
    for told in words.quarantined(service):
        yield "quarantined", Text(told, style="red")


def _condition(condition: Answer, prefix: str = "") -> RenderableType:
    text = f"{condition['severity']}: {prefix}{condition['message']}"
    return Text(text, style=SEVERITY_STYLES[condition["severity"]])
