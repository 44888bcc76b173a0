"""Draws as many services as the terminal has room for, those that need attention first."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.text import Text

from provider.cli.client.read_back import step_of
from provider.cli.terminal import steps, words
from provider.cli.terminal.layout import Part, columns, cropped, stacked, wrapped
from provider.cli.terminal.view import View
from provider.model import Colour, ConditionCode
from provider.model import api_types as api

_OF_A_SERVICE = ("", "SERVICE", "ACTIVE", "PHASE", "BLUE", "GREEN", "ROLLBACK")
_RANKS = ("critical", "in a rollout", "need attention", "steady")
_QUIET = 3
_WIDE = 60
_SPACIOUS = 100
_DETAILS_MOST = 8
_GAPS = 4
"""Empty lines between the parts."""
_LEAST = 3
_ROOMY = 8
"""With fewer lines than this for the services, none is kept for pollers and history."""
_INDENT = "      "


def draw(view: View) -> list[Text]:
    """Return the lines to draw, at most as many as the terminal has."""
    answer = view.latest.answer
    if "services" not in answer:
        raise AssertionError("one service is drawn by `detail`")
    found = _ranked(answer)
    above = [
        view.head("bluegreen"),
        Part([_summary(found)], enough=1, least=1, is_joined=True),
        Part(view.conditions(answer["conditions"], most=2), enough=4, least=2),
    ]
    replicas, pollers, timeline = view.replicas(), view.pollers(), view.timeline(names=True)
    room = view.size.height - sum(min(len(part.lines), part.enough) for part in above) - _GAPS
    below = replicas.enough + bool(replicas.lines) + min(len(pollers.lines), pollers.enough) + timeline.enough
    room = room - below if room - below >= _ROOMY else max(room - 1, _LEAST)
    return stacked([*above, _services(view, found, room), replicas, pollers, timeline], view.size)


@dataclass(frozen=True, slots=True)
class _Ranked:
    """All services, by need for attention; `ranks` has 0 for critical ones and _QUIET for steady ones."""

    services: list[api.Service]
    ranks: Mapping[str, int]
    is_any_confirmed: bool
    """If none is, it is no matter of one service."""

    def of(self, service: api.Service) -> int:
        return self.ranks[service["service"]]

    def is_busy(self, service: api.Service) -> bool:
        return self.of(service) < _QUIET

    def stands_out(self, service: api.Service) -> bool:
        """Whether a service is not confirmed while others are."""
        return self.is_any_confirmed and not service["confirmed"]


def _ranked(answer: api.Overview) -> _Ranked:
    is_any_confirmed = any(one["confirmed"] for one in answer["services"])
    ranks = {one["service"]: _rank(one, answer, is_any_confirmed=is_any_confirmed) for one in answer["services"]}
    services = sorted(answer["services"], key=lambda one: (ranks[one["service"]], one["service"]))
    return _Ranked(services, ranks, is_any_confirmed)


def _rank(service: api.Service, overview: api.Overview, *, is_any_confirmed: bool) -> int:
    active = service["active"]
    own = [one["severity"] for one in _own(service, overview)]
    if active is None or "critical" in own or service["colours"][active]["state"] == "unhealthy":
        return 0
    if service["rollout"] is not None:
        return 1
    stopped = service["blocking"], service["override"], service["lease"], service["paused"], service["quarantined"]
    is_odd = any(stopped) or "warning" in own
    return 2 if is_odd or (is_any_confirmed and not service["confirmed"]) else _QUIET


def _own(service: api.Service, overview: api.Overview | api.Service) -> list[api.Condition]:
    return [one for one in service["conditions"] if one not in overview["conditions"]]


def _summary(found: _Ranked) -> Text:
    """Count the services by rank."""
    count = len(found.services)
    if not count:
        return Text("the desired state has no services")
    numbers = Counter(found.ranks.values())
    text = [f"{numbers[number]} {rank}" for number, rank in enumerate(_RANKS) if numbers[number]]
    none = "" if found.is_any_confirmed else "; none is confirmed"
    return Text(f"{count} {'service' if count == 1 else 'services'}: {', '.join(text)}{none}")


def _services(view: View, found: _Ranked, room: int) -> Part:
    """Draw as many services as fit, with as many details as fit."""
    services = found.services
    details = [
        list(_details(view, found, one))[:_DETAILS_MOST] if found.is_busy(one) else [] for one in services[:room]
    ]
    busy = sum(map(bool, details))
    space = room - 1
    if len(services) + sum(map(len, details)) > space:
        space -= 1  # for the line with the number of services left out
    all_rows = min(len(services), space)
    kept = all_rows if all_rows == len(services) <= space // 2 else min(busy, space)
    spare = space - kept
    for number, lines in enumerate(details):
        details[number] = lines[: max(0, spare)]
        spare -= len(details[number])
    shown = services[: min(len(services), kept + spare)]
    give_way = ("ROLLBACK",) if view.width >= _WIDE else ("ROLLBACK", "GREEN", "BLUE")
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
    text = f", {busy} of them need attention" if busy else ", all steady"
    return f"and {len(left)} more services{text}"


def _row(view: View, found: _Ranked, service: api.Service) -> tuple[Text, ...]:
    number = found.of(service)
    sign = (view.signs.failed, view.signs.here, view.signs.trouble, " ")[number]
    active, back = service["active"], service["rollback"]
    share = f" {service['weights'][active]}%" if active and service["weights"][active] < 100 else ""
    return (
        Text(sign, style=("bold red", "bold yellow", "yellow", "")[number]),
        Text(service["service"], style="bold" if number < _QUIET else ""),
        Text(f"{active or 'undecided'}{share}", style=active or "yellow"),
        view.phase(service),
        _colour(view, service, Colour.BLUE),
        _colour(view, service, Colour.GREEN),
        Text("ready" if back["ready"] else "none", style="" if back["ready"] else "dim"),
    )


def _colour(view: View, service: api.Service, colour: Colour) -> Text:
    found = service["colours"][colour]
    named = found["version"] or found["release"]
    state = view.state(found)
    if view.width < _SPACIOUS and found["state"] == "healthy":
        state = Text(f"{view.signs.passed} {words.healthy_of(found)}", style=str(state.style))
    return Text.assemble(f"{named} " if named else "", state)


def _details(view: View, found: _Ranked, service: api.Service) -> Iterator[Text]:
    """Yield the details of a service, the most important first."""
    own = _own(service, view.latest.answer)
    lines: list[Text] = []
    if service["rollout"] is not None:
        gates = Text(" ").join(view.gate(name, one["state"]) for name, one in service["rollout"]["gates"].items())
        lines.append(Text.assemble(_INDENT, words.rollout(service), ": ", gates))
    if (step := step_of(service)) is not None:
        lead = f"{_INDENT}step {step['number']} of {step['of']}: "
        lines.append(Text.assemble(lead, steps.way(step, view.signs, view.width - len(lead))))
    if service["blocking"] and service["blocking"] not in {one["message"] for one in own}:
        lines += wrapped(service["blocking"], view.width, lead=_INDENT, most=2)
    lines += view.conditions(own, _INDENT, most=2)
    for colour, run in service["colours"].items():
        for server in run["servers"]:
            if server["cause"]:
                text = f"{colour} {server['url']} {server['health']}: {server['cause']}"
                lines += wrapped(text, view.width, lead=_INDENT, style="red", most=1)
    if service["override"] is not None and not any(one["code"] == ConditionCode.OVERRIDE for one in own):
        lines += wrapped(
            f"override: {words.override(service['override'])}", view.width, lead=_INDENT, style="yellow", most=1
        )
    if service["paused"]:
        lines.append(Text(f"{_INDENT}rollouts are paused or held", style="yellow"))
    if service["lease"] is not None:
        lines += wrapped(words.lease(service["lease"]), view.width, lead=_INDENT, most=1)
    if service["active"] and found.stands_out(service):
        lines.append(Text(f"{_INDENT}not confirmed by every Traefik", style="yellow"))
    lines += [Text(f"{_INDENT}quarantined: {text}", style="red") for text in words.quarantined(service)]
    for line in lines:
        yield cropped(line, view.width)
