"""Draws one service on the whole terminal: its colours, its rollout, what blocks it, and its history."""

from collections.abc import Iterator

from rich.text import Text

from provider.cli.client.read_back import step_of
from provider.cli.terminal import steps, words
from provider.cli.terminal.layout import Part, columns, stacked, wrapped
from provider.cli.terminal.view import BAR, PHASES, View
from provider.cli.terminal.words import STATE_STYLES
from provider.model import Colour, ConditionCode, Gate
from provider.model import api_types as api

_OF_A_COLOUR = ("COLOUR", "ROLE", "TRAFFIC", "VERSION", "RELEASE", "STATE")
_OF_A_SERVER = ("COLOUR", "SERVER", "HEALTH", "SINCE", "CONTAINER", "VERSION", "NOTE")
_LABEL = 12
_METER_INDENT = "      "


def draw(view: View) -> list[Text]:
    """Return the lines to draw, at most as many as the terminal has."""
    service = view.latest.answer
    if "services" in service:
        raise AssertionError("all services are drawn by `overview`")
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


def _colours(view: View, service: api.Service) -> list[Text]:
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


def _role(service: api.Service, colour: Colour) -> str:
    rollout, back = service["rollout"], service["rollback"]
    if service["active"] is None:
        return "undecided"
    if service["active"] == colour:
        return "active"
    if rollout is not None and rollout["candidate"] == colour:
        return "candidate"
    return "rollback target" if back["ready"] and back["to"] == colour else "standby"


def _rollout(view: View, service: api.Service) -> Part:
    lines = list(_way_of(view, service))
    return Part(lines, enough=len(lines), least=3)


def _way_of(view: View, service: api.Service) -> Iterator[Text]:
    rollout = service["rollout"]
    if rollout is None:
        yield Text.assemble((service["phase"], "bold"), ": no rollout is under way")
        return
    by = f" by {rollout['actor']}" if rollout["actor"] else ""
    text = f"{words.rollout(service)}; begun {words.age(rollout['since'], view.now)} ago ({rollout['trigger']}{by})"
    yield from wrapped(text, view.width, style="bold", most=2)
    yield _phases(view, service["phase"])
    step = step_of(service)
    if step is not None:
        lead = f"  step {step['number']} of {step['of']}: "
        yield Text.assemble(lead, steps.way(step, view.signs, view.width - len(lead)))
        yield Text.assemble("  ", steps.clock(step, view.signs, view.now))
    else:
        yield from _countdown(view, service, rollout["deadline"])
    if rollout["forced"]:
        yield from wrapped(f"forced: {rollout['forced']}", view.width, style="yellow", most=2)
    for gate, found in rollout["gates"].items():
        lead = f"  {view.signs.of(found['state'])} {gate:<9} {found['state']:<8} "
        evidence = _evidence(view, service, rollout, gate)
        style = view.gate(gate, found["state"]).style
        yield from wrapped(evidence, view.width, lead=lead, style=str(style), most=3) or [Text(lead, style=style)]
        if gate == "analysis" and step is not None:
            yield from _counted(view, step)


def _counted(view: View, step: api.StepStatus) -> Iterator[Text]:
    """Draw each test of an analysis as a meter; what was counted gives way where it has no room."""
    for text, counts in steps.evidence(step, view.signs):
        line = Text.assemble(_METER_INDENT, text, (f"; {counts}" if counts else "", "dim"))
        yield line if line.cell_len <= view.width else Text.assemble(_METER_INDENT, text)


def _phases(view: View, phase: str) -> Text:
    """Draw the phases: past, present, to come."""
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


def _countdown(view: View, service: api.Service, deadline: str | None) -> Iterator[Text]:
    if deadline is None:
        yield Text(f"  {service['phase']}: its deadline {words.no_deadline(service)}", style="yellow")
        return
    text = f"  {service['phase']}: {words.left(service, view.now)} left, until {words.clock(deadline)}"
    yield Text(text, style="yellow")


def _evidence(view: View, service: api.Service, rollout: api.Rollout, gate: Gate) -> str:
    """Return the evidence for a gate, or what it waits for, unless that is what blocks the service."""
    candidate = service["colours"][rollout["candidate"]]
    reason = rollout["gates"][gate].get("reason")
    text = [reason] if reason and reason not in (service["blocking"] or "") else []
    match gate:
        case "analysis" if step_of(service) is not None and rollout["gates"][gate]["state"] in {"running", "passed"}:
            text = []  # the meters below say it
        case "health" if not text and candidate["servers"]:
            text.append(f"{words.healthy_of(candidate)} servers of {rollout['candidate']} healthy")
        case "smoke" if rollout["smoke"]:
            made = rollout["smoke"]
            failed = [one for one in made if not one["passed"]]
            if not failed:
                took_ms = max(one["duration"] for one in made) * 1000
                names = ", ".join(dict.fromkeys(one["test"] for one in made))
                text = [f"{len(made)} tests passed: {names}; the slowest took {took_ms:.0f} ms"]
            elif not text:
                text += [f"{one['test']} on {one['server']}: {one['cause']}" for one in failed]
        case "approval" if rollout["approval"]:
            given = rollout["approval"]
            text.append(f"by {given['actor'] or 'somebody'}, {words.age(given['at'], view.now)} ago")
    return "; ".join(text)


def _blocking(view: View, service: api.Service) -> list[Text]:
    blocking = service["blocking"]
    if blocking is None or blocking in {one["message"] for one in service["conditions"]}:
        return []
    return wrapped(blocking, view.width, lead=f"{view.signs.here} ", style="bold")


def _servers(view: View, service: api.Service) -> Part:
    """Draw every server, unhealthy ones first, each with its cause below it."""
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
            lines += wrapped(server["cause"], view.width, lead="    cause: ", style="red", most=2)

    def rest(count: int) -> str:
        kept = lines[: len(lines) - count]
        hidden = [server for row, (_, server) in zip(rows, servers, strict=True) if all(row is not one for one in kept)]
        healthy = sum(server["health"] == "healthy" for server in hidden)
        text = "all of them healthy" if healthy == len(hidden) else f"{len(hidden) - healthy} of them not healthy"
        return f"and {len(hidden)} more of {len(servers)} servers, {text}" if hidden else "the cause is cut off"

    return Part(lines, enough=min(len(lines), 5), least=min(len(lines), 3), rest=rest)


def _server(view: View, colour: Colour, server: api.Server, *, is_active: bool) -> tuple[Text, ...]:
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


def _facts(view: View, service: api.Service) -> Iterator[Text]:
    back = service["rollback"]
    if service["override"] is not None and not any(
        one["code"] == ConditionCode.OVERRIDE for one in service["conditions"]
    ):
        yield from _fact(view, "override", words.override(service["override"]), "yellow")
    if service["paused"]:
        yield from _fact(view, "paused", "rollouts are paused or held", "yellow")
    if service["active"] is not None and not service["confirmed"]:
        text = "no: not every Traefik has applied the decision"
        yield from _fact(view, "confirmed", text, "yellow")
    if back["ready"]:
        text = f"ready: release {back['release']} in {back['to']}: bluegreen rollback {service['service']}"
        yield from _fact(view, "rollback", text, "green")
    else:
        yield from _fact(view, "rollback", f"none: {back['reason']}", "dim")
    for text in words.quarantined(service):
        yield from _fact(view, "quarantine", text, "red")
    if service["lease"] is not None:
        yield from _fact(view, "lease", words.lease(service["lease"]), "")
    if service["active"] is not None and service["confirmed"]:
        yield from _fact(view, "confirmed", "yes, by every Traefik that can be asked", "dim")


def _fact(view: View, label: str, text: str, style: str) -> list[Text]:
    return wrapped(text, view.width, lead=f"{label:<{_LABEL}}", style=style, most=2)
