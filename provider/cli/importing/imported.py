"""From what was found to the text of a desired state that is valid, and a list of what was left."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from provider import config
from provider.cli.importing.desired import Composed, compose
from provider.cli.importing.found import Found, Left, one_each
from provider.cli.importing.taking import Taken, take
from provider.cli.importing.text import written
from provider.model.errors import DesiredStateError, Problem
from provider.model.text import clean

FILE = "the desired state"


@dataclass(frozen=True, slots=True)
class Options:
    """What a person chose; None where the default holds."""

    environment: str | None = None
    default_rule: str | None = None
    by_labels: bool = False


@dataclass(frozen=True, slots=True)
class Imported:
    """The text of a desired state, None where nothing could be taken, and all that was left."""

    text: str | None
    lefts: tuple[Left, ...]


def imported(founds: Sequence[Found], source: str, options: Options) -> Imported:
    """Return the desired state of what was found. What does not validate is left, service by service."""
    lefts: list[Left] = []
    taken = []
    for found in one_each(founds, lefts):
        one = take(found, options.default_rule, lefts)
        if one is not None:
            lefts += found.obstacles if one.routing is not None else ()
            taken.append(one)
    while taken:
        more: list[Left] = []
        composed = compose(taken, options.environment, more, by_labels=options.by_labels)
        text = written(composed.file, source)
        problems = _problems(text)
        if not problems:
            return Imported(text, (*lefts, *more))
        refused = _refused(problems, composed, taken)
        lefts += refused.lefts
        taken = [one for one in taken if one not in refused.taken]
    return Imported(None, tuple(lefts))


@dataclass(frozen=True, slots=True)
class _Refused:
    taken: tuple[Taken, ...]
    lefts: tuple[Left, ...]


def _problems(text: str) -> tuple[Problem, ...]:
    try:
        config.load(text, FILE)
    except DesiredStateError as error:
        return error.problems
    return ()


def _refused(problems: Iterable[Problem], composed: Composed, taken: Sequence[Taken]) -> _Refused:
    """Return what the problems are of; all of it where they do not tell."""
    refused: dict[str, Taken] = {}
    lefts = []
    for problem in problems:
        owners = tuple(_owners(problem.path, composed, taken)) or tuple(taken)
        refused |= {one.found.where: one for one in owners}
        where = ", ".join(dict.fromkeys(one.found.where for one in owners))
        lefts.append(Left(clean(where), problem.path, problem.message))
    return _Refused(tuple(refused.values()), tuple(lefts))


def _owners(path: str, composed: Composed, taken: Sequence[Taken]) -> Iterable[Taken]:
    """Return what brought the longest name that a path begins with."""
    places: dict[str, tuple[Taken, ...]] = {f"services.{one.found.name}": (one,) for one in taken if one.routing}
    places |= {".".join(place): owners for place, owners in composed.owners.items()}
    matching = [place for place in places if path == place or path.startswith((f"{place}.", f"{place}["))]
    return places[max(matching, key=len)] if matching else ()
