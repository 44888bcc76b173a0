"""What becomes of one desired state by another, and which rollout groups there are."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from provider.model import Desired, Service


@dataclass(frozen=True, slots=True)
class Edit:
    """What becomes of one desired state by another: its services by name, the `members` of each group by theirs.

    `changed` are the services that are `new` or described otherwise, `groups` those that they or the ones that are
    `gone` belong to, before or now.
    """

    desired: Desired
    members: Mapping[str, tuple[str, ...]]
    changed: frozenset[str]
    new: frozenset[str]
    gone: frozenset[str]
    groups: frozenset[str]


def edit(before: Desired | None, after: Desired) -> Edit:
    """Work out an edit; of ten thousand services it takes a tenth of a second, which a thread has."""
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


def group_key(service: Service) -> str:
    """Name the rollout group of a service. A service's own name holds no @, so a group of many cannot be mistaken."""
    return key_of(service.name, service.group)


def key_of(name: str, group: str | None) -> str:
    """Name the rollout group of a service in this group, or in none."""
    return f"@{group}" if group else name
