"""Checks a compose file, rendered for each colour, before anything of it is started."""

from collections.abc import Iterator, Mapping

from provider.cli.doctor.checks import companions, containers
from provider.cli.doctor.checks.containers import Context, ServiceContainer
from provider.cli.doctor.checks.rendered import (
    ComposeService,
    Config,
    compose_services,
    in_both_colours,
    service_containers,
)
from provider.cli.doctor.findings import Code, Finding
from provider.docker.labels import COLOUR, SERVICE
from provider.model import Colour, Desired, Severity


def findings(rendered: Mapping[str, Config], prefix: str, file: str, context: Context) -> tuple[Finding, ...]:
    """Return what is wrong with a compose file.

    `rendered` has the output of `compose config` (`Project.rendered`) for blue and for green, `prefix` is
    that of the projects (PREFIX-blue, PREFIX-green), `file` its name in messages.
    """
    made = {colour: compose_services(rendered[colour], f"{prefix}-{colour}") for colour in map(str, Colour)}
    return (
        *check(made, file),
        *companions.check(made),
        *containers.check(unique(rendered, prefix), context),
    )


def critical(
    rendered: Mapping[str, Config], prefix: str, file: str, desired: Desired | None = None
) -> tuple[Finding, ...]:
    """Return why a compose file must not be started: the critical ones of `findings`, with `where`, `what` and `fix`.

    `bluegreen deploy` asks before it starts anything. It needs no more context: what is critical in a file is found
    without, and the environment only leaves out containers of other environments. `desired` is that of a daemon
    without a file, which takes every routing from labels.
    """
    found = findings(rendered, prefix, file, Context(desired))
    return tuple(one for one in dict.fromkeys(found) if one.severity is Severity.CRITICAL)


def unique(rendered: Mapping[str, Config], prefix: str) -> tuple[ServiceContainer, ...]:
    """Return the containers of both renderings; a service with the same colour in both is included once."""
    kept: dict[tuple[str, str, str], ServiceContainer] = {}
    for colour in Colour:
        for container in service_containers(rendered[colour], f"{prefix}-{colour}"):
            kept.setdefault((container.docker.name, container.service, container.colour), container)
    return tuple(kept.values())


def check(rendered: Mapping[str, Mapping[str, ComposeService]], file: str) -> Iterator[Finding]:
    """Yield what keeps a file from starting one colour and nothing else; `rendered` has its services by colour."""
    every = [part for made in rendered.values() for part in made.values()]
    ignored = {part.name: part for part in every if part.deploy_labels.keys() - part.labels.keys()}
    for name, part in ignored.items():
        yield _labels_without_effect(part, f"{file}, compose service {name}")
    if not any(SERVICE in part.labels or SERVICE in part.deploy_labels for part in every):
        what = f"none of its services has the label {SERVICE}, so the daemon ignores all that it starts"
        fix = f"add labels: {{{SERVICE}: NAME, {COLOUR}: '${{BLUEGREEN_COLOUR}}'}}"
        yield Finding(Code.COMPOSE_WITHOUT_SERVICE, file, what, fix)
    both = in_both_colours(rendered)
    for service in sorted(both):
        yield _both_colours(service, [part for part in every if part.service == service], file)
    for part in {part.name: part for part in every if part.service and part.service not in both}.values():
        colours = {made[part.name].colour for made in rendered.values() if part.name in made}
        if len(colours) == 1 and (written := colours & set(Colour)):
            where = f"{file}, compose service {part.name}"
            what = f"it has {COLOUR}={next(iter(written))} whichever colour of {part.service} is deployed"
            fix = f"write {COLOUR}=${{BLUEGREEN_COLOUR}}, which `bluegreen deploy` sets"
            yield Finding(Code.COMPOSE_COLOUR_FIXED, where, what, fix)


def _both_colours(service: str, found: list[ComposeService], file: str) -> Finding:
    named = sorted({f"{part.name} ({part.colour})" for part in found})
    what = (
        f"it starts both colours of {service} at once ({', '.join(named)}): that also replaces the colour that serves "
        "traffic, without gates, so `bluegreen deploy` refuses it"
    )
    fix = f"keep one of them, with {COLOUR}=${{BLUEGREEN_COLOUR}}, and start it with `bluegreen deploy`"
    return Finding(Code.COMPOSE_BOTH_COLOURS, file, what, fix)


def _labels_without_effect(part: ComposeService, where: str) -> Finding:
    lost = sorted(part.deploy_labels.keys() - part.labels.keys())
    what = (
        f"{', '.join(lost)} {'is' if len(lost) == 1 else 'are'} under deploy.labels, which Docker Compose sets on "
        "no container: the daemon does not see them"
    )
    return Finding(
        Code.COMPOSE_DEPLOY_LABELS,
        where,
        what,
        "write them under labels: of the service; of a stack file, check it with --swarm",
    )
