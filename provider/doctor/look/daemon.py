"""Asks a daemon how it was started, and how its services stand."""

from datetime import UTC, datetime

from provider.client import Admin, NoDaemon, Refused
from provider.doctor.findings import Code, Finding, Unseen
from provider.doctor.standing import Daemon

PATH = "/api/v1/daemon"


def look(admin: Admin) -> tuple[Daemon | None, tuple[Finding, ...], tuple[Unseen, ...]]:
    """Return the daemon, None where there is none to ask, and what came of asking."""
    where = f"daemon {admin.address}"
    try:
        services = admin.services()
    except NoDaemon as failure:
        mend = "start it (bluegreen serve), or name where it is with --admin; with --admin none nobody is asked"
        return None, (Finding(Code.NO_DAEMON, where, str(failure), mend),), ()
    except Refused as refusal:
        mend = (
            "name a token of the scope read or more with --token (BLUEGREEN_TOKEN): bluegreen token NAME --scope read"
        )
        return None, (Finding(Code.DAEMON_REFUSES, where, str(refusal), mend),), ()
    before = datetime.now(UTC)
    try:
        about = admin.get(PATH)
    except (NoDaemon, Refused) as refusal:
        why = f"the daemon does not tell: {refusal}"
        return Daemon(admin.address, None, services), (), (Unseen("how the daemon was started", why),)
    after = datetime.now(UTC)
    late_s = None
    if isinstance(told := about.get("time"), str):
        late_s = (before + (after - before) / 2 - datetime.fromisoformat(told)).total_seconds()
    return Daemon(admin.address, about, services, late_s), (), ()
