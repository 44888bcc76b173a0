"""The leases of one deployment: one on each service that it changes (rule 17)."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import uuid4

from provider.cli.client.admin_api import Admin, CommandRefused, NoDaemon, service_path
from provider.cli.deploy.options import DeployOptions, DeployRefused
from provider.model import api_types as api

RENEW_EVERY_S = 300.0


@dataclass(slots=True)
class Lease:
    """The lease on one service. Its id is made here, so that it can be ended even if no answer came."""

    admin: Admin
    service: str
    force: bool = False
    reason: str | None = None
    is_ours: bool = False
    _id: str = ""
    _taken_mono_s: float = 0.0

    def take(self) -> None:
        """Take it. Raises DeployRefused if the daemon refuses."""
        self._id, self.is_ours = uuid4().hex, True
        try:
            self._send()
        except CommandRefused as refusal:
            self.is_ours = False
            if refusal.status == 409:
                raise DeployRefused(f"{self.service}: {refusal}") from None
            raise

    def keep(self) -> None:
        """Renew it when it is time. Raises DeployRefused if somebody else has taken or ended it."""
        if self.is_ours and time.monotonic() - self._taken_mono_s >= RENEW_EVERY_S:
            self.renew()

    def renew(self) -> None:
        """Renew it. Raises DeployRefused if somebody else has taken or ended it."""
        if not self.is_ours:
            return
        try:
            self._send()
        except NoDaemon:
            return
        except CommandRefused as refusal:
            if refusal.code == "leased":
                self.is_ours = False
                raise DeployRefused(f"{self.service}: given up, the lease is lost: {refusal}") from None
            if refusal.status not in {404, 409, 503}:
                raise

    def check(self, status: api.Service) -> None:
        """Raise DeployRefused if the status of the service shows that the lease is lost, or has a warning."""
        lease = status["lease"]
        if lease is None or lease.get("id") != self._id:
            self.renew()  # its error names who has taken or ended it
            raise DeployRefused(f"{self.service}: given up, the lease is lost")
        if lease["warning"] is not None:
            explain = f"bluegreen explain {self.service}"
            raise DeployRefused(f"{self.service}: given up, as {lease['warning']}. Check that first: {explain}")

    def end(self, log: Callable[[str], None]) -> None:
        """End it, if it is ours; if that fails, it expires by itself."""
        if not self.is_ours:
            return
        try:
            self.admin.delete(f"{service_path(self.service, 'lease')}?id={self._id}")
        except (NoDaemon, CommandRefused) as failure:
            log(f"{self.service}: the lease could not be ended, and expires in 15 min: {failure}")

    def _send(self) -> None:
        body = {"id": self._id, "force": self.force} | ({"reason": self.reason} if self.reason else {})
        self.admin.command(self.service, "lease", body)
        self._taken_mono_s = time.monotonic()


class Leases:
    """All leases of one deployment, that on its own service first."""

    def __init__(self, admin: Admin, options: DeployOptions, log: Callable[[str], None]) -> None:
        self._admin, self._options, self._log = admin, options, log
        self._all = [self._lease(options.service)]

    def take(self, companions: Iterable[str]) -> None:
        """Take a lease on the service, and on the companions that it changes. Raises DeployRefused."""
        self._all += map(self._lease, companions)
        for lease in self._all:
            lease.take()

    def keep(self) -> None:
        """Renew those whose time has come. Raises DeployRefused if one is lost."""
        for lease in self._all:
            lease.keep()

    def check(self, status: api.Service) -> None:
        """Raise DeployRefused if the lease on the service is lost, or has a warning."""
        self._all[0].check(status)

    def keep_if_possible(self, status: api.Service) -> None:
        """Renew, and go on without a lease that is lost: what was started runs, and is followed by its release."""
        for lease in self._all:
            try:
                if lease is self._all[0] and lease.is_ours and status["lease"] is None:
                    lease.renew()
                lease.keep()
            except DeployRefused as lost:
                self._log(f"{lost}; the rollout is followed all the same")

    def first_step(self) -> None:
        """Note that the daemon has ended the lease on the service: its candidate takes traffic."""
        self._all[0].is_ours = False

    def end(self) -> None:
        """End those that are ours, in reverse order."""
        for lease in reversed(self._all):
            lease.end(self._log)

    def _lease(self, service: str) -> Lease:
        return Lease(self._admin, service, self._options.force, self._options.reason)
