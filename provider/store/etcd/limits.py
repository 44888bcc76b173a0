"""What etcd takes at once (rules 51, 52), with its own defaults; each is checked before anything is sent."""

from provider.model.errors import ChangeTooLarge
from provider.store.etcd.gateway import Operation, Put

OPERATIONS_MOST = 128
"""`--max-txn-ops` of etcd."""
REQUEST_BYTES = 3 << 19
"""`--max-request-bytes` of etcd: 1.5 MiB."""
OVERHEAD_BYTES = 64
"""At least what an operation takes beside its key and value."""
GROUPS_MOST = 60
"""A commit has two rows for each group, the head, a row of the history, and what that pushes out."""
MEMBERS_MOST = 1000
"""Of one group, which is one row."""
WHOLE = {
    "document": "the document of all services",
    "desired": "the desired state",
    "applied": "the desired state that was applied last",
}
"""What is put as a whole, by its key, for people."""


def check_value(key: bytes, value: bytes) -> None:
    """Raise ChangeTooLarge where etcd would refuse a value that is put as a whole for its size."""
    size = len(key) + OVERHEAD_BYTES + len(value)
    if size > REQUEST_BYTES:
        name = key.rpartition(b"/")[2].decode()
        raise ChangeTooLarge(
            f"{WHOLE.get(name, name)} is larger than etcd takes at once, {size} bytes of {REQUEST_BYTES}, so the one "
            f"before stays: move some services to an environment of their own, with another --store prefix "
            f"(docs/sizing.md)"
        )


def check_size(operations: list[Operation]) -> None:
    """Raise ChangeTooLarge where etcd would refuse a transaction for its size."""
    size = sum(
        len(each.key) + OVERHEAD_BYTES + (len(each.value) if isinstance(each, Put) else 0) for each in operations
    )
    if size > REQUEST_BYTES:
        raise ChangeTooLarge(
            f"a change of {size} bytes is larger than etcd takes at once ({REQUEST_BYTES}), so nothing was changed: "
            f"make groups, or what belongs to them, smaller"
        )
    if len(operations) > OPERATIONS_MOST:
        raise ChangeTooLarge(
            f"a change of {len(operations)} keys is more than etcd takes at once ({OPERATIONS_MOST}), so nothing was "
            f"changed: change fewer groups at a time"
        )
