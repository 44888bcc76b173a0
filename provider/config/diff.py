"""The difference between two desired states, and the rollout groups."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from provider.model import Desired, Service
from provider.model.desired import group_key


@dataclass(frozen=True, slots=True)
class Edit:
    """The new desired state with the difference to the old one; `members` are the services of each rollout group.

    `changed` are the services that are `new` or have other keys. `groups` are the groups that these, or the `gone`
    ones, belong to, before or now.
    """

    desired: Desired
    members: Mapping[str, tuple[str, ...]]
    changed: frozenset[str]
    new: frozenset[str]
    gone: frozenset[str]
    groups: frozenset[str]


def edit(before: Desired | None, after: Desired) -> Edit:
    """Compare two desired states; ten thousand services take a tenth of a second, so call it in a thread."""
    known = before.services if before is not None else {}
    services, members = dict[str, Service](), dict[str, list[str]]()
    for name in sorted(after.services):
        was, service = known.get(name), after.services[name]
        services[name] = was if was is not None and was == service else service
        members.setdefault(group_key(service), []).append(name)
    changed = frozenset(name for name, service in services.items() if service is not known.get(name))
    moved = [*(services[name] for name in changed), *(known[name] for name in changed & known.keys())]
    gone = known.keys() - services.keys()
    return Edit(
        desired=replace(after, services=services),
        members={key: tuple(names) for key, names in members.items()},
        changed=changed,
        new=changed - known.keys(),
        gone=frozenset(gone),
        groups=frozenset(group_key(service) for service in (*moved, *(known[name] for name in gone))),
    )
