"""What operators command, a verb a file: done at once, or refused with a reason one can act on.

A command is decided on the same snapshot as the rules, and what it decides is committed with what follows from it. Each
verb takes the snapshot, the command and the moment.
"""

from collections.abc import Callable, Mapping

from provider.model import Instant, Snapshot, Verb
from provider.rollout.commands.approve import approve
from provider.rollout.commands.forget import forget
from provider.rollout.commands.pause import pause, resume
from provider.rollout.commands.promote import promote
from provider.rollout.commands.retry import retry
from provider.rollout.commands.rollback import abort, roll_back
from provider.rollout.commands.switch import switch
from provider.rollout.commands.types import REASON_WANTED, Command, Done, Refused

_VERBS: Mapping[Verb, Callable[[Snapshot, Command, Instant], Done | Refused]] = {
    Verb.SWITCH: switch,
    Verb.APPROVE: approve,
    Verb.PROMOTE: promote,
    Verb.ABORT: abort,
    Verb.ROLLBACK: roll_back,
    Verb.RETRY: retry,
    Verb.PAUSE: pause,
    Verb.RESUME: resume,
    Verb.FORGET: forget,
}


def command(snapshot: Snapshot, given: Command, now: Instant) -> Done | Refused:
    """Do what is commanded; the service must be a member of the group."""
    if given.force and not given.reason:
        return REASON_WANTED
    return _VERBS[given.verb](snapshot, given, now)
