"""Asks a daemon for its settings, and for the status of its services."""

from datetime import UTC, datetime

from provider.cli.client.admin_api import Admin, CommandRefused, NoDaemon
from provider.cli.doctor.checks.daemon import DaemonFacts
from provider.cli.doctor.findings import Code, Finding, Skipped
from provider.controller.labels_desired import labels_text
from provider.model import api_types as api

DESIRED_STATE = "desired-state"
"""The role of the file among those of a daemon."""


def text_of_labels(about: api.Daemon) -> str | None:
    """Return the desired state of a daemon without a file, where every service is what its containers say."""
    if not about.get("discovers") or any(row["role"] == DESIRED_STATE for row in about["files"]):
        return None
    return labels_text(str(about["environment"]))


def gather(admin: Admin) -> tuple[DaemonFacts | None, tuple[Finding, ...], tuple[Skipped, ...]]:
    """Return the facts of a daemon, None if it gives none, with findings and what was skipped."""
    where = f"daemon {admin.address}"
    try:
        services = admin.services()
    except NoDaemon as failure:
        fix = "start it (bluegreen serve), or set its address with --admin; --admin none skips it"
        return None, (Finding(Code.NO_DAEMON, where, str(failure), fix),), ()
    except CommandRefused as refusal:
        fix = (
            "set a token with the scope read or more with --token (BLUEGREEN_TOKEN): bluegreen token NAME --scope read"
        )
        return None, (Finding(Code.DAEMON_REFUSES, where, str(refusal), fix),), ()
    before = datetime.now(UTC)
    try:
        about = admin.daemon()
    except (NoDaemon, CommandRefused) as refusal:
        why = f"the daemon does not show it: {refusal}"
        return DaemonFacts(admin.address, None, services), (), (Skipped("settings of the daemon", why),)
    after = datetime.now(UTC)
    late_s = (before + (after - before) / 2 - datetime.fromisoformat(about["time"])).total_seconds()
    return DaemonFacts(admin.address, about, services, late_s), (), ()
