"""The leases that one deployment holds, as it sees them: one on each service that it changes (rule 17)."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from provider.client import Admin, NoDaemon, Refused, service_path
from provider.errors import BluegreenError

RENEW_EVERY_S = 300.0


class Withheld(BluegreenError):  # noqa: N818
    """The deployment was not begun, or was given up, before anything was switched; the text says why."""


@dataclass(slots=True)
class Lease:
    """The lease on one service; its id is made here, so that it can be given back even if no answer came."""

    admin: Admin
    service: str
    force: bool = False
    reason: str | None = None
    is_ours: bool = False
    _id: str = ""
    _taken_mono_s: float = 0.0

    def take(self) -> None:
        """Take it. Raises Withheld where the daemon refuses it."""
        self._id, self.is_ours = uuid4().hex, True
        try:
            self._ask()
        except Refused as refusal:
            self.is_ours = False
            if refusal.status == 409:
                raise Withheld(f"{self.service}: {refusal}") from None
            raise

    def keep(self) -> None:
        """Go on with it when it is time. Raises Withheld when somebody else has it, or has ended it."""
        if self.is_ours and time.monotonic() - self._taken_mono_s >= RENEW_EVERY_S:
            self.renew()

    def renew(self) -> None:
        """Go on with it. Raises Withheld when somebody else has it, or has ended it."""
        if not self.is_ours:
            return
        try:
            self._ask()
        except NoDaemon:
            return
        except Refused as refusal:
            if refusal.code == "leased":
                self.is_ours = False
                raise Withheld(f"{self.service}: given up, as the lease is lost: {refusal}") from None
            if refusal.status not in {404, 409, 503}:
                raise

    def check(self, status: Any) -> None:
        """Raise Withheld where the status of the service shows that it is lost, or warns of what came in between."""
        lease = status["lease"]
        if lease is None or lease.get("id") != self._id:
            self.renew()  # which says who has ended it, or has it now
            raise Withheld(f"{self.service}: given up, as the lease on it is lost")
        if lease["warning"] is not None:
            told = (
                f"{self.service}: given up, as {lease['warning']}. Look at that first: bluegreen explain {self.service}"
            )
            raise Withheld(told)

    def give_back(self, tell: Callable[[str], None]) -> None:
        """Give it back, if it is ours; one that cannot be given back ends by itself."""
        if not self.is_ours:
            return
        try:
            self.admin.delete(f"{service_path(self.service, 'lease')}?id={self._id}")
        except (NoDaemon, Refused) as failure:
            tell(f"{self.service}: the lease could not be given back, and ends by itself in 15 min: {failure}")

    def _ask(self) -> None:
        body = {"id": self._id, "force": self.force} | ({"reason": self.reason} if self.reason else {})
        self.admin.post(service_path(self.service, "lease"), body)
        self._taken_mono_s = time.monotonic()
