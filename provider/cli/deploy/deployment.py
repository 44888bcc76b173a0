"""Deploys a release: checks what it would start, takes the lease, starts it in the standby, follows its rollout."""

import shlex
import time
from collections.abc import Callable

from provider.cli.client.admin_api import Admin, CommandRefused, NoDaemon
from provider.cli.client.follow import RETRIED, FollowedService, Log, OnStatus, TimedOut
from provider.cli.client.start import Start
from provider.cli.deploy.inspection import Inspection, Inspector
from provider.cli.deploy.lease import Leases
from provider.cli.deploy.options import DeployOptions, DeployRefused
from provider.cli.deploy.release import SEEN_WITHIN_S, ReleaseFollower, never_seen
from provider.cli.deploy.swarm import SwarmInspection
from provider.cli.deploy.traefiks import check_unseen
from provider.model import Colour
from provider.model import api_types as api

FIRST_COLOUR = Colour.BLUE
FIRST_WITHIN_S = 600.0
NOT_FOUND = 404


class Deployment:
    """One deployment; `run` does all of it, and `left` says what an interrupt leaves behind."""

    def __init__(self, admin: Admin, options: DeployOptions, log: Log, on_status: OnStatus) -> None:
        self._admin, self._options, self._log, self._on_status = admin, options, log, on_status
        self._leases = Leases(admin, options, log)
        self._service = FollowedService(admin, options.service, log)
        self._inspection = inspector(admin, options, log)
        self._left = "nothing was started"
        self._release: ReleaseFollower | None = None

    @property
    def left(self) -> str:
        """What an interrupt at this moment leaves behind."""
        return self._left if self._release is None else self._release.left

    def run(self) -> str:
        """Deploy, and return the result in a sentence.

        Raises:
            DeployRefused: it was refused, or overtaken by a rollback, and nothing was switched.
            StartError: compose or docker failed, or the daemon sees no server of what it started.
            RolloutFailed: the rollout was aborted, rolled back, expired or superseded.
            TimedOut: the time limit passed; the rollout continues.
            NoDaemon, CommandRefused: as of the requests to the daemon.
        """
        status = self._begin()
        if status is None or status["active"] is None:
            return self._deploy_first(status)
        standby = Colour(status["active"]).other
        self._check_options(status, standby)
        self._check_traefiks(status)
        self._inspection.check_file(standby)
        try:
            self._leases.take(self._inspection.leased[1:])
            return self._deploy(standby)
        finally:
            self._leases.end()

    def _begin(self) -> api.Service | None:
        """Return the status of the service; None for one that its first container brings (rule 35)."""
        try:
            return self._service.begin()
        except CommandRefused as refusal:
            if refusal.status != NOT_FOUND or not self._admin.daemon().get("discovers"):
                raise
            return None

    def _check_traefiks(self, status: api.Service) -> None:
        traefiks = self._options.traefiks
        if not self._options.force:
            read_back = self._admin.daemon()["traefik"] if traefiks is None else ()
            check_unseen(status, traefiks or read_back, self._log)

    def _deploy(self, standby: Colour) -> str:
        name = self._options.service
        status = self._admin.service(name)
        self._leases.check(status)
        if status["active"] != standby.other:
            raise DeployRefused(f"{name}: given up, as {status['active']} is active now and {standby} not the standby")
        self._inspection.check_containers(standby)
        before = status["colours"][standby]["release"]
        runs = f"runs release {before}" if before else f"is {status['colours'][standby]['state']}"
        self._log(f"{name}: {status['active']} is active; the standby {standby} {runs}")
        return self._start(self._inspection.start(standby), lambda: self._check_meanwhile(standby, before)).follow(
            before
        )

    def _start(self, start: Start, check: Callable[[], None]) -> ReleaseFollower:
        self._log(f"$ {start.start_line}")
        self._left = start.interrupted
        start.up(check)
        self._service.limit(self._options.timeout_s)
        self._release = ReleaseFollower(
            self._admin,
            self._options,
            start,
            self._service,
            self._inspection,
            self._leases,
            self._log,
            self._on_status,
        )
        return self._release

    def _check_meanwhile(self, standby: Colour, before: str | None) -> None:
        """Raise DeployRefused if what compose replaces became active; a release of ours may have become so already."""
        try:
            self._leases.keep()
            status = self._admin.service(self._options.service)
        except NoDaemon:
            return  # a daemon that restarts switches nothing meanwhile
        except CommandRefused as refusal:
            if refusal.status in RETRIED:
                return
            raise
        self._leases.check(status)
        if status["active"] == standby and status["colours"][standby]["release"] == before is not None:
            raise DeployRefused(f"{self._options.service}: given up, as {standby} became active meanwhile")

    def _deploy_first(self, status: api.Service | None) -> str:
        """Start a service that runs nothing yet. The API leases only a standby, and there is none."""
        name, colour = self._options.service, self._options.colour or FIRST_COLOUR
        if status is not None and any(found["state"] != "empty" for found in status["colours"].values()):
            raise DeployRefused(f"{name}: {status['blocking']}")
        self._inspection.check_file(colour)
        self._inspection.check_containers(colour)
        self._log(f"{name}: nothing runs yet, so {colour} becomes active once it is healthy")
        start = self._inspection.start(colour)
        self._start(start, lambda: None)
        begun_mono_s = time.monotonic()
        while True:
            status = self._service.status()
            self._on_status(status)
            found = status["colours"][colour]
            if status["active"] == colour and found["state"] == "healthy":
                return f"{name}: release {found['release']} is active in {colour}"
            if status["active"] == colour.other:
                raise DeployRefused(f"{name}: {status['active']} became active meanwhile, not {colour}")
            missing = f"{colour} is {found['state']}" + (f"; {status['blocking']}" if status["blocking"] else "")
            passed_s = time.monotonic() - begun_mono_s
            if status["active"] is None and found["state"] == "empty" and passed_s >= SEEN_WITHIN_S:
                raise never_seen(status, start, SEEN_WITHIN_S)
            if self._options.timeout_s is None and passed_s >= FIRST_WITHIN_S:
                raise TimedOut(f"{name}: timed out after {FIRST_WITHIN_S:g} s: {missing}")
            self._service.pause(status, missing)

    def _check_options(self, status: api.Service, standby: Colour) -> None:
        name, colour = self._options.service, self._options.colour
        if colour is not None and colour != standby:
            raise DeployRefused(f"{name}: {colour} is active, and deploy changes only the standby, {standby}")
        servers = [server for found in status["colours"].values() for server in found["servers"]]
        if any(server["container"] is None for server in servers):
            raise DeployRefused(
                f"{name}: its servers are in the desired-state file: edit that file to deploy another release"
            )
        if str(status["desired"]) == status["active"]:
            raise DeployRefused(
                f"{name}: the desired-state file says active: {status['desired']}, so {standby} would get no traffic. "
                f"Write active: auto, or active: {standby}"
            )
        if status["paused"]:
            raise DeployRefused(
                f"{name}: rollouts are stopped, by hold: true in the file or by bluegreen pause. Remove the former, "
                f"or run: {shlex.join(['bluegreen', 'resume', name])}"
            )


def inspector(admin: Admin, options: DeployOptions, log: Log) -> Inspector:
    """Return what checks a deployment: a compose file, or a service of a Swarm."""
    if options.swarm is not None:
        return SwarmInspection(admin, options.service, options.swarm, options.tags)
    projects = {colour: options.project(colour) for colour in Colour}
    return Inspection(admin, options.service, options.prefix, projects, options.force, log)
