"""The name of a release: the id of what its containers run, or several with `+` between them.

Where a colour runs several services of a compose file, all of one image and version, each has an id of its own.
Together they are one release, and its name is the set of their ids (rule 40). One that stops makes no other release.
"""

from collections.abc import Iterable


def ids_of(release: str) -> frozenset[str]:
    """Return the ids in the name of a release."""
    return frozenset(release.split("+"))


def named(ids: Iterable[str]) -> str:
    """Return the name of the release that has these ids."""
    return "+".join(sorted(ids))


def is_part(release: str | None, of: str | None) -> bool:
    """Return whether a release is another one, or a part of it, as when some of its services stop."""
    if release is None or of is None:
        return False
    return release == of or ids_of(release) <= ids_of(of)


def are_known(releases: Iterable[str], among: Iterable[str]) -> bool:
    """Return whether every id of these releases is one of those."""
    known = {id_ for release in among for id_ in ids_of(release)}
    return all(ids_of(release) <= known for release in releases)
