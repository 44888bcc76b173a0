"""The replicas over one store, as the one that answers knows them; every replica answers for itself (rule 59)."""

from collections.abc import Mapping
from math import isinf
from typing import TYPE_CHECKING

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from provider.api import access, answers, routes
from provider.api.bodies import Body, read_body
from provider.api.commands import json_answer
from provider.api.problems import problem
from provider.controller.replica import Replica
from provider.model import listed
from provider.model.errors import StoreError, StoreUncertain
from provider.model.problems import ProblemCode
from provider.rollout.status import condition_status

if TYPE_CHECKING:
    from provider.model import api_types as api

log = structlog.get_logger("bluegreen")


def handlers(replica: Replica) -> Mapping[routes.Route, Handler]:
    """Return the handlers of these routes of the admin API."""

    async def replicas(_: web.Request) -> web.StreamResponse:
        age_s = replica.peers.store_age_s if replica.peers is not None else None
        answer: api.Replicas = {
            "answers": replica.name,
            "store_age_s": round(age_s, 3) if age_s is not None and not isinf(age_s) else None,
            "conditions": [condition_status(one) for one in replica.conditions],
            "replicas": answers.replicas(replica.known),
        }
        return json_answer(answer)

    async def forget(request: web.Request) -> web.StreamResponse:
        body, name = await read_body(request, Body), request.match_info["name"]
        found = next((one for one in replica.known if one.name == name), None)
        if replica.peers is None or found is None:
            known = listed(one.name for one in replica.known) or "none"
            return problem(ProblemCode.UNKNOWN_REPLICA, f"no replica {name!r} is known; known are: {known}")
        try:
            is_forgotten = found.is_away and await replica.peers.forget(name)
        except StoreUncertain as failure:
            return problem(ProblemCode.OUTCOME_UNKNOWN, f"{failure}. To find out: bluegreen status")
        except StoreError as failure:
            return problem(ProblemCode.STORE_FAILING, str(failure))
        if not is_forgotten:
            detail = f"replica {name} is not away: stop it first, else it is there again at once"
            return problem(ProblemCode.REPLICA_LIVES, detail)
        log.warning("replica forgotten", replica=name, actor=access.caller(request).actor, reason=body.reason)
        answer: api.Forgotten = {
            "replica": name,
            "detail": f"replica {name} and its {found.pollers} pollers are forgotten",
        }
        return json_answer(answer)

    return {routes.REPLICAS: replicas, routes.FORGET_REPLICA: forget}
