"""`forget`: let go of a service that containers brought, once none of them is left (rule 35)."""

from provider.model import Event, Instant, ServiceState, Snapshot
from provider.rollout.candidates import member_of
from provider.rollout.commands.types import Command, Done, Refusal, Refused, record
from provider.rollout.transitions import with_state


def forget(snapshot: Snapshot, given: Command, now: Instant) -> Done | Refused:
    """Forget all that was decided of a service: it leaves the document."""
    name = given.service
    member = member_of(snapshot, name)
    if not member.service.is_discovered:
        return Refused(Refusal.NOT_READY, f"the file has the service {name}: to let go of it, remove it there")
    running = [one.container or one.url for _, seen in member.observed.items() for one in seen.servers]
    if running:
        shown = ", ".join(sorted(set(running))[:5])
        return Refused(Refusal.NOT_READY, f"containers of {name} still run ({shown}): stop them first")
    if not snapshot.docker_connected or not all(seen.known for _, seen in member.observed.items()):
        return Refused(Refusal.NOT_READY, f"Docker does not answer, so it is not known whether {name} has containers")
    row = record(Event.FORGOTTEN, given, now)
    return Done(with_state(snapshot, member, ServiceState()), (row,), f"{name} is forgotten, and leaves the document")
