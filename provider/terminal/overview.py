"""Draws all services as far as the terminal reaches: first those with something going on, last how many are left."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.text import Text

from provider.terminal import words
from provider.terminal.layout import Part, columns, cropped, stacked, wrapped
from provider.terminal.seen import View
from provider.terminal.words import Answer

_OF_A_SERVICE = ("", "SERVICE", "ACTIVE", "PHASE", "BLUE", "GREEN", "WAY BACK")
_RANKS = ("in trouble", "in a rollout", "to look at", "quiet")
_QUIET = 3
_WIDE = 60
_SPACIOUS = 100
_DETAILS_MOST = 8
_GAPS = 4
"""Empty lines between the parts."""
_LEAST = 3
_ROOMY = 8
"""With fewer lines than this for the services, nothing is kept for who polls and for the history."""
_INDENT = "      "


def draw(view: View) -> list[Text]:
    """Return the lines of the picture; there are as many as the terminal has at most."""
    answer = view.seen.answer
    found = _ranked(answer)
    above = [
        view.head("bluegreen"),
        Part([_summary(found)], enough=1, least=1, is_joined=True),
        Part(view.conditions(answer["conditions"], most=2), enough=4, least=2),
    ]
    pollers, timeline = view.pollers(), view.timeline(names=True)
    room = view.size.height - sum(min(len(part.lines), part.enough) for part in above) - _GAPS
    below = min(len(pollers.lines), pollers.enough) + timeline.enough
    room = room - below if room - below >= _ROOMY else max(room - 1, _LEAST)
    return stacked([*above, _services(view, found, room), pollers, timeline], view.size)


@dataclass(frozen=True, slots=True)
class _Ranked:
    """All services, those first that want to be looked at most; `ranks` has 0 for trouble and _QUIET for nothing."""

    services: list[Answer]
    ranks: Mapping[str, int]
    is_any_confirmed: bool
    """Where no service is, that is no matter of one service."""

    def of(self, service: Answer) -> int:
        return self.ranks[service["service"]]

    def is_busy(self, service: Answer) -> bool:
        return self.of(service) < _QUIET

    def stands_out(self, service: Answer) -> bool:
        """Whether a service is not confirmed, and others are."""
        return self.is_any_confirmed and not service["confirmed"]


def _ranked(answer: Answer) -> _Ranked:
    is_any_confirmed = any(one["confirmed"] for one in answer["services"])
    ranks = {one["service"]: _rank(one, answer, is_any_confirmed=is_any_confirmed) for one in answer["services"]}
    services = sorted(answer["services"], key=lambda one: (ranks[one["service"]], one["service"]))
    return _Ranked(services, ranks, is_any_confirmed)


def _rank(service: Answer, overview: Answer, *, is_any_confirmed: bool) -> int:
    active = service["active"]
    own = [one["severity"] for one in _own(service, overview)]
    if active is None or "critical" in own or service["colours"][active]["state"] == "unhealthy":
        return 0
    if service["rollout"] is not None:
        return 1
    is_odd = service["blocking"] or service["override"] or service["lease"] or service["paused"]
    is_odd = is_odd or service["quarantined"] or "warning" in own
    return 2 if is_odd or (is_any_confirmed and not service["confirmed"]) else _QUIET


def _own(service: Answer, overview: Answer) -> list[Answer]:
    return [one for one in service["conditions"] if one not in overview["conditions"]]


def _summary(found: _Ranked) -> Text:
    """Count the services by what is going on."""
    count = len(found.services)
    if not count:
        return Text("the desired state has no services")
    numbers = Counter(found.ranks.values())
    told = [f"{numbers[number]} {words}" for number, words in enumerate(_RANKS) if numbers[number]]
    none = "" if found.is_any_confirmed else "; none is confirmed by every Traefik"
    return Text(f"{count} {'service' if count == 1 else 'services'}: {', '.join(told)}{none}")


def _services(view: View, found: _Ranked, room: int) -> Part:
    """Draw in so many lines as many services as fit, and as much as fits of what is going on with them."""
    services = found.services
    details = [
        list(_details(view, found, one))[:_DETAILS_MOST] if found.is_busy(one) else [] for one in services[:room]
    ]
    busy = sum(map(bool, details))
    space = room - 1
    if len(services) + sum(map(len, details)) > space:
        space -= 1  # for the line that says how many there are besides
    all_rows = min(len(services), space)
    kept = all_rows if all_rows == len(services) <= space // 2 else min(busy, space)
    spare = space - kept
    for number, lines in enumerate(details):
        details[number] = lines[: max(0, spare)]
        spare -= len(details[number])
    shown = services[: min(len(services), kept + spare)]
    give_way = ("WAY BACK",) if view.width >= _WIDE else ("WAY BACK", "GREEN", "BLUE")
    header, *rows = columns(_OF_A_SERVICE, [_row(view, found, one) for one in shown], view.width, give_way) or [Text()]
    lines = [header]
    for row, more in zip(rows, details, strict=False):
        lines += [row, *more]
    if len(shown) < len(services):
        lines.append(Text(f"  {_rest(found, len(shown))}", style="dim"))
    return Part(lines, enough=len(lines), least=min(len(lines), _LEAST))


def _rest(found: _Ranked, shown: int) -> str:
    left = found.services[shown:]
    busy = sum(map(found.is_busy, left))
    told = f", {busy} of them with something going on" if busy else ", nothing is going on there"
    return f"and {len(left)} more services{told}"


def _row(view: View, found: _Ranked, service: Answer) -> tuple[Text, ...]:
    number = found.of(service)
    sign = (view.signs.failed, view.signs.here, view.signs.trouble, " ")[number]
    active, back = service["active"], service["rollback"]
    share = f" {service['weights'][active]}%" if active and service["weights"][active] < 100 else ""
    return (
        Text(sign, style=("bold red", "bold yellow", "yellow", "")[number]),
        Text(service["service"], style="bold" if number < _QUIET else ""),
        Text(f"{active or 'undecided'}{share}", style=active or "yellow"),
        view.phase(service),
        _colour(view, service, "blue"),
        _colour(view, service, "green"),
        Text("ready" if back["ready"] else "none", style="" if back["ready"] else "dim"),
    )


def _colour(view: View, service: Answer, colour: str) -> Text:
    found = service["colours"][colour]
    named = found["version"] or found["release"]
    state = view.state(found)
    if view.width < _SPACIOUS and found["state"] == "healthy":
        state = Text(f"{view.signs.passed} {words.healthy_of(found)}", style=str(state.style))
    return Text.assemble(f"{named} " if named else "", state)


def _details(view: View, found: _Ranked, service: Answer) -> Iterator[Text]:
    """Tell what is going on with a service, the most important first."""
    own = _own(service, view.seen.answer)
    lines: list[Text] = []
    if service["rollout"] is not None:
        gates = Text(" ").join(view.gate(name, one["state"]) for name, one in service["rollout"]["gates"].items())
        lines.append(Text.assemble(_INDENT, words.brings(service), ": ", gates))
    if service["blocking"] and service["blocking"] not in {one["message"] for one in own}:
        lines += wrapped(service["blocking"], view.width, lead=_INDENT, most=2)
    lines += view.conditions(own, _INDENT, most=2)
    for colour, run in service["colours"].items():
        for server in run["servers"]:
            if server["cause"]:
                told = f"{colour} {server['url']} {server['health']}: {server['cause']}"
                lines += wrapped(told, view.width, lead=_INDENT, style="red", most=1)
    if service["override"] is not None and not any(one["code"] == "override" for one in own):
        lines += wrapped(f"override: {words.override(service)}", view.width, lead=_INDENT, style="yellow", most=1)
    if service["paused"]:
        lines.append(Text(f"{_INDENT}forward rollouts are paused or held", style="yellow"))
    if service["lease"] is not None:
        lines += wrapped(words.lease(service), view.width, lead=_INDENT, most=1)
    if service["active"] and found.stands_out(service):
        lines.append(Text(f"{_INDENT}not confirmed by every Traefik", style="yellow"))
    lines += [Text(f"{_INDENT}quarantined: {told}", style="red") for told in words.quarantined(service)]
    for line in lines:
        yield cropped(line, view.width)
