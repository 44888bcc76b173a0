"""The conditions of the whole daemon that follow from the state: of the Traefiks, of who polls, and of the file."""

import asyncio

import structlog

from provider.controller.state import State
from provider.controller.touched import Touched
from provider.model import ConditionCode, condition, listed
from provider.model.durations import written
from provider.observability.active_conditions import Conditions
from provider.runtime.clock import clock
from provider.traefik.pollers import NOT_HELD_S

log = structlog.get_logger("bluegreen")

LOOK_EVERY_S = 2.0
QUIET_S = 30.0
TRAEFIK_CODES = (
    ConditionCode.TRAEFIK_AWAY,
    ConditionCode.TRAEFIK_UNPROVEN,
    ConditionCode.TRAEFIK_OLDER,
    ConditionCode.NOT_APPLIED,
    ConditionCode.TRAEFIK_ERRORS,
)


class DaemonConditions:
    """Follows the state; each method raises and clears conditions of its kind, and logs what changed."""

    def __init__(self, state: State, conditions: Conditions) -> None:
        self._state, self._conditions = state, conditions

    async def run(self) -> None:
        """Follow what only time changes: that nobody polls, and that a document is long not shown."""
        quiet_since_s = clock().mono_s
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = clock()
            if self._state.traefik.revision is None or self._is_polled():
                quiet_since_s = now.mono_s
                self._conditions.clear(ConditionCode.NOBODY_POLLS)
            elif now.mono_s >= quiet_since_s + QUIET_S:
                found = condition(ConditionCode.NOBODY_POLLS, now.utc, quiet_s=QUIET_S)
                if self._conditions.put(found):
                    log.warning("nobody polls")
            self.follow_traefiks()
            self.follow_not_held()
            self.follow_replicas()

    def follow_traefiks(self) -> None:
        """Follow what operators should know of the Traefiks."""
        now, traefik = clock(), self._state.traefik
        found = {one.code: one for one in traefik.readings.conditions(now, given=traefik.fetched().given is True)}
        for code in TRAEFIK_CODES:
            if code not in found:
                self._clear(code)
            elif self._conditions.put(found[code]):
                log.warning(code, message=found[code].message)
        self.follow_rest()

    def follow_rest(self, followed: Touched | None = None) -> None:
        """Follow which part of the file Traefik refuses; `followed` is what the state touched as it followed that."""
        rest = self._state.rest
        if followed is not None and followed.publish is not None:
            log.info("the rest of the document comes from another text", is_refused=rest.is_refused)
        if not rest.is_refused:
            self._clear(ConditionCode.TRAEFIK_REFUSES_FILE)
            return
        older = "".join(f" ({why})" for why in self._state.traefik.readings.older())
        found = condition(ConditionCode.TRAEFIK_REFUSES_FILE, clock().utc, older=older, changed=rest.changed)
        if self._conditions.put(found):
            log.error(found.code, message=found.message)

    def follow_not_held(self) -> None:
        """Follow who is not held because it went away during a hold."""
        now = clock()
        found = self._state.traefik.pollers.not_held(now)
        if found:
            self._conditions.put(
                condition(ConditionCode.HOLD_LEFT, now.utc, pollers=", ".join(found), not_held=written(NOT_HELD_S))
            )
        else:
            self._conditions.clear(ConditionCode.HOLD_LEFT)

    def follow_replicas(self) -> None:
        """Follow which replicas have vanished, and left Traefiks that may not have the document (rule 59)."""
        away = self._state.traefik.elsewhere.away(self._state.traefik.revision or 0)
        if not away:
            self._clear(ConditionCode.REPLICA_AWAY)
        elif self._conditions.put(condition(ConditionCode.REPLICA_AWAY, clock().utc, replicas=", ".join(away))):
            log.warning("replicas are away", replicas=away)

    def _is_polled(self) -> bool:
        traefik = self._state.traefik
        return any(True for _ in traefik.pollers) or bool(traefik.elsewhere.polling())

    def follow_unnamed(self) -> None:
        """Follow which services containers name and the file does not."""
        unnamed = listed(self._state.tracked.unnamed)
        if unnamed:
            self._conditions.put(condition(ConditionCode.NOT_IN_FILE, clock().utc, services=unnamed))
        else:
            self._conditions.clear(ConditionCode.NOT_IN_FILE)

    def _clear(self, code: ConditionCode) -> None:
        if self._conditions.clear(code):
            log.info("no longer", condition=code)
