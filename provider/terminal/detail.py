"""Draws one service as large as the terminal is: its colours, its rollout, what blocks it, and what was decided."""

from collections.abc import Iterator

from rich.text import Text

from provider.terminal import words
from provider.terminal.layout import Part, columns, stacked, wrapped
from provider.terminal.seen import BAR, PHASES, View
from provider.terminal.words import STATE_STYLES, Answer

_OF_A_COLOUR = ("COLOUR", "ROLE", "TRAFFIC", "VERSION", "RELEASE", "STATE")
_OF_A_SERVER = ("COLOUR", "SERVER", "HEALTH", "SINCE", "CONTAINER", "VERSION", "NOTE")
_LABEL = 12


def draw(view: View) -> list[Text]:
    """Return the lines of the picture; there are as many as the terminal has at most."""
    service = view.seen.answer
    return stacked(
        [
            view.head(service["service"]),
            Part(_colours(view, service), enough=3, least=3),
            _rollout(view, service),
            Part(_blocking(view, service), enough=4, least=2, is_joined=service["rollout"] is not None),
            Part(view.conditions(service["conditions"]), enough=4, least=2, is_joined=True),
            _servers(view, service),
            Part(list(_facts(view, service)), enough=3, least=1),
            view.pollers(),
            view.timeline(names=False),
        ],
        view.size,
    )


def _colours(view: View, service: Answer) -> list[Text]:
    rows = []
    for colour, found in service["colours"].items():
        is_active = service["active"] == colour
        sign = view.signs.active if is_active else view.signs.standby
        share = service["weights"][colour]
        full = round(share * BAR / 100)
        rows.append(
            (
                Text(f"{sign} {colour}", style=f"bold {colour}"),
                Text(_role(service, colour), style="bold" if is_active else ""),
                Text.assemble((view.signs.full * full, colour), view.signs.blank * (BAR - full), f" {share:>3}%"),
                Text(found["version"] or ""),
                Text(found["release"] or ("several" if found["state"] == "mixed" else "")),
                view.state(found),
            )
        )
    return columns(_OF_A_COLOUR, rows, view.width, ("ROLE", "RELEASE"))


def _role(service: Answer, colour: str) -> str:
    rollout, back = service["rollout"], service["rollback"]
    if service["active"] is None:
        return "undecided"
    if service["active"] == colour:
        return "active"
    if rollout is not None and rollout["candidate"] == colour:
        return "candidate"
    return "way back" if back["ready"] and back["to"] == colour else "standby"


def _rollout(view: View, service: Answer) -> Part:
    lines = list(_way_of(view, service))
    return Part(lines, enough=len(lines), least=3)


def _way_of(view: View, service: Answer) -> Iterator[Text]:
    rollout = service["rollout"]
    if rollout is None:
        yield Text.assemble((service["phase"], "bold"), ": no rollout is under way")
        return
    by = f" by {rollout['actor']}" if rollout["actor"] else ""
    told = f"{words.brings(service)}; begun {words.age(rollout['since'], view.now)} ago ({rollout['trigger']}{by})"
    yield from wrapped(told, view.width, style="bold", most=2)
    yield _phases(view, service["phase"])
    yield from _countdown(view, service)
    if rollout["forced"]:
        yield from wrapped(f"forced: {rollout['forced']}", view.width, style="yellow", most=2)
    for gate, found in rollout["gates"].items():
        lead = f"  {view.signs.of(found['state'])} {gate:<9} {found['state']:<8} "
        evidence = _evidence(view, service, gate, found)
        style = view.gate(gate, found["state"]).style
        yield from wrapped(evidence, view.width, lead=lead, style=str(style), most=3) or [Text(lead, style=style)]


def _phases(view: View, phase: str) -> Text:
    """Draw the phases: those that were, the present one, those to come."""
    here = PHASES.index(phase) if phase in PHASES else -1
    way = Text()
    for number, name in enumerate(PHASES):
        way.append(" > " if number else "  ", style="dim")
        if number < here:
            way.append(f"{view.signs.passed} {name}", style="green")
        else:
            way.append(f"[{name}]" if number == here else name, style="bold yellow" if number == here else "dim")
    if way.cell_len <= view.width:
        return way
    return Text.assemble("  phase ", (f"[{phase}]", "bold yellow"), f", {here + 1} of {len(PHASES)}")


def _countdown(view: View, service: Answer) -> Iterator[Text]:
    deadline = service["rollout"]["deadline"]
    if deadline is None:
        yield Text(f"  {service['phase']}: its time stands still while it is held", style="yellow")
        return
    told = f"  {service['phase']}: {words.left(service, view.now)} left, until {words.clock(deadline)}"
    yield Text(told, style="yellow")


def _evidence(view: View, service: Answer, gate: str, found: Answer) -> str:
    """Say what a gate rests on, or what it waits for, unless that is what blocks the service."""
    rollout = service["rollout"]
    candidate = service["colours"][rollout["candidate"]]
    reason = found.get("reason")
    told = [reason] if reason and reason not in (service["blocking"] or "") else []
    match gate:
        case "health" if not told and candidate["servers"]:
            told.append(f"{words.healthy_of(candidate)} servers of {rollout['candidate']} healthy")
        case "smoke" if rollout["smoke"]:
            made = rollout["smoke"]
            failed = [one for one in made if not one["passed"]]
            if not failed:
                took_ms = max(one["duration"] for one in made) * 1000
                names = ", ".join(dict.fromkeys(one["test"] for one in made))
                told = [f"{len(made)} tests passed: {names}; the slowest took {took_ms:.0f} ms"]
            elif not told:
                told += [f"{one['test']} on {one['server']}: {one['cause']}" for one in failed]
        case "approval" if rollout["approval"]:
            given = rollout["approval"]
            told.append(f"by {given['actor'] or 'somebody'}, {words.age(given['at'], view.now)} ago")
    return "; ".join(told)


def _blocking(view: View, service: Answer) -> list[Text]:
    blocking = service["blocking"]
    if blocking is None or blocking in {one["message"] for one in service["conditions"]}:
        return []
    return wrapped(blocking, view.width, lead=f"{view.signs.here} ", style="bold")


def _servers(view: View, service: Answer) -> Part:
    """Draw every server, unhealthy ones first; why one is not healthy stands below it, whole."""
    servers = [(colour, server) for colour, found in service["colours"].items() for server in found["servers"]]
    servers.sort(key=lambda each: each[1]["health"] == "healthy")
    if not servers:
        return Part([])
    header, *rows = columns(
        _OF_A_SERVER,
        [_server(view, colour, server, is_active=service["active"] == colour) for colour, server in servers],
        view.width,
        ("VERSION", "CONTAINER", "SINCE"),
    )
    lines = [header]
    for row, (_, server) in zip(rows, servers, strict=True):
        lines.append(row)
        if server["cause"]:
            lines += wrapped(server["cause"], view.width, lead="    because: ", style="red", most=2)

    def rest(count: int) -> str:
        kept = lines[: len(lines) - count]
        hidden = [server for row, (_, server) in zip(rows, servers, strict=True) if all(row is not one for one in kept)]
        healthy = sum(server["health"] == "healthy" for server in hidden)
        told = "all of them healthy" if healthy == len(hidden) else f"{len(hidden) - healthy} of them not healthy"
        return f"and {len(hidden)} more of {len(servers)} servers, {told}" if hidden else "why is cut off here"

    return Part(lines, enough=min(len(lines), 5), least=min(len(lines), 3), rest=rest)


def _server(view: View, colour: str, server: Answer, *, is_active: bool) -> tuple[Text, ...]:
    notes = ["leaving"] if server.get("leaving") else []
    notes += ["not in the document"] if is_active and not server.get("published", True) else []
    style = STATE_STYLES.get(server["health"], "yellow")
    return (
        Text(colour, style=colour),
        Text(server["url"]),
        Text(f"{view.signs.of(server['health'])} {server['health']}", style=style),
        Text(words.age(server["since"], view.now)),
        Text(server["container"] or ""),
        Text(server.get("version") or ""),
        Text(", ".join(notes), style="dim"),
    )


def _facts(view: View, service: Answer) -> Iterator[Text]:
    back = service["rollback"]
    if service["override"] is not None and not any(one["code"] == "override" for one in service["conditions"]):
        yield from _fact(view, "override", words.override(service), "yellow")
    if service["paused"]:
        yield from _fact(view, "paused", "forward rollouts are paused or held", "yellow")
    if service["active"] is not None and not service["confirmed"]:
        told = "no: not every Traefik was seen to have applied what was decided"
        yield from _fact(view, "confirmed", told, "yellow")
    if back["ready"]:
        told = f"ready, to release {back['release']} in {back['to']}: bluegreen rollback {service['service']}"
        yield from _fact(view, "way back", told, "green")
    else:
        yield from _fact(view, "way back", f"none: {back['reason']}", "dim")
    for told in words.quarantined(service):
        yield from _fact(view, "quarantine", told, "red")
    if service["lease"] is not None:
        yield from _fact(view, "lease", words.lease(service), "")
    if service["active"] is not None and service["confirmed"]:
        yield from _fact(view, "confirmed", "yes, as far as each Traefik can be asked", "dim")


def _fact(view: View, label: str, told: str, style: str) -> list[Text]:
    return wrapped(told, view.width, lead=f"{label:<{_LABEL}}", style=style, most=2)
