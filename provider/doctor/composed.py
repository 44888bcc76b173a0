"""Checks what compose makes of a file for each colour, before anything of it is started."""

from collections.abc import Iterator, Mapping

from provider.doctor import companions, copies
from provider.doctor.copies import COLOURS, Copy, Surroundings
from provider.doctor.findings import Code, Finding
from provider.doctor.rendered import Config, Part, in_both_colours, parts
from provider.doctor.rendered import copies as copies_of
from provider.labels import COLOUR, SERVICE
from provider.model import Severity


def findings(rendered: Mapping[str, Config], prefix: str, file: str, around: Surroundings) -> tuple[Finding, ...]:
    """Return what is wrong with a compose file.

    `rendered` has what `compose config` says (`provider.compose.Project.rendered`) for blue and for green, `prefix` is
    that of the projects (PREFIX-blue, PREFIX-green), `file` what messages call the file.
    """
    made = {colour: parts(rendered[colour], f"{prefix}-{colour}") for colour in COLOURS}
    return (
        *check(made, file),
        *companions.check(made),
        *copies.check(unique(rendered, prefix), around),
    )


def critical(
    rendered: Mapping[str, Config], prefix: str, file: str, around: Surroundings | None = None
) -> tuple[Finding, ...]:
    """Return why a compose file must not be started: the critical ones of `findings`, with `where`, `what` and `mend`.

    `bluegreen deploy` asks before it starts anything. It needs no `around`: what is critical of a file by itself is
    found without, and the environment only leaves copies of other ones out.
    """
    found = findings(rendered, prefix, file, around or Surroundings())
    return tuple(one for one in dict.fromkeys(found) if one.severity is Severity.CRITICAL)


def unique(rendered: Mapping[str, Config], prefix: str) -> tuple[Copy, ...]:
    """Return the copies of both renderings; a service whose colour is the same in both is there once."""
    kept: dict[tuple[str, str, str], Copy] = {}
    for colour in COLOURS:
        for copy in copies_of(rendered[colour], f"{prefix}-{colour}"):
            kept.setdefault((copy.container.name, copy.service, copy.colour), copy)
    return tuple(kept.values())


def check(rendered: Mapping[str, Mapping[str, Part]], file: str) -> Iterator[Finding]:
    """Yield what keeps a file from starting one colour and nothing else; `rendered` has its parts by colour."""
    every = [part for made in rendered.values() for part in made.values()]
    ignored = {part.name: part for part in every if part.deploy_labels.keys() - part.labels.keys()}
    for name, part in ignored.items():
        yield _labels_without_effect(part, f"{file}, compose service {name}")
    if not any(SERVICE in part.labels or SERVICE in part.deploy_labels for part in every):
        what = f"none of its services has the label {SERVICE}, so the daemon sees nothing of what it starts"
        fix = f"add labels: {{{SERVICE}: NAME, {COLOUR}: '${{BLUEGREEN_COLOUR}}'}}"
        yield Finding(Code.COMPOSE_WITHOUT_SERVICE, file, what, fix)
    both = in_both_colours(rendered)
    for service in sorted(both):
        yield _both_colours(service, [part for part in every if part.service == service], file)
    for part in {part.name: part for part in every if part.service and part.service not in both}.values():
        colours = {made[part.name].colour for made in rendered.values() if part.name in made}
        if len(colours) == 1 and (written := colours & set(COLOURS)):
            where = f"{file}, compose service {part.name}"
            what = f"it gets {COLOUR}={next(iter(written))} whichever colour of {part.service} is deployed"
            fix = f"write {COLOUR}=${{BLUEGREEN_COLOUR}}, which `bluegreen deploy` sets"
            yield Finding(Code.COMPOSE_COLOUR_FIXED, where, what, fix)


def _both_colours(service: str, found: list[Part], file: str) -> Finding:
    named = sorted({f"{part.name} ({part.colour})" for part in found})
    what = (
        f"it starts both colours of {service} at once ({', '.join(named)}): the colour with traffic is replaced, too, "
        "whatever the gates say, and `bluegreen deploy` refuses it"
    )
    fix = f"keep one of them, with {COLOUR}=${{BLUEGREEN_COLOUR}}, and start it with `bluegreen deploy`"
    return Finding(Code.COMPOSE_BOTH_COLOURS, file, what, fix)


def _labels_without_effect(part: Part, where: str) -> Finding:
    lost = sorted(part.deploy_labels.keys() - part.labels.keys())
    what = (
        f"{', '.join(lost)} {'stands' if len(lost) == 1 else 'stand'} under deploy.labels, which Docker Compose gives "
        "to no container: the daemon does not see them"
    )
    return Finding(Code.COMPOSE_DEPLOY_LABELS, where, what, "write them under labels: of the service itself")
