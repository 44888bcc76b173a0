"""The desired state of the admin API: shown, compared with another text, and replaced by it (rule 62)."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.typedefs import Handler

from provider.api import access, routes
from provider.api.bodies import DesiredBody, read_body
from provider.api.commands import json_answer, led, no_leader
from provider.api.problems import invalid, problem
from provider.api.tokens import DESIRED
from provider.controller.controller import Controller
from provider.controller.desired_source import Submitted
from provider.controller.replica import Replica
from provider.controller.stored_desired import PLACE
from provider.model.document import text_key
from provider.model.errors import DesiredStateError, FollowsFile, LeadershipLost, StoreConflict
from provider.model.problems import ProblemCode

if TYPE_CHECKING:
    from provider.model import api_types as api

UNNAMED = "<body>"


def handlers(replica: Replica) -> Mapping[routes.Route, Handler]:
    """Return the handlers of these routes of the admin API."""
    return {routes.SHOW_DESIRED: partial(_show, replica), routes.APPLY: led(replica, _apply)}


async def _show(replica: Replica, request: web.Request) -> web.StreamResponse:
    access.require(request, DESIRED)  # the text may have keys and passwords
    if (state := await replica.state()) is None:
        return no_leader(replica)
    source = replica.controller.desired_source if replica.controller is not None else None
    text = state.texts.desired
    answer: api.DesiredState = {
        "text": text,
        "sha256": text_key(text) if text is not None else None,
        "source": source.place if source is not None else PLACE,
    }
    return json_answer(answer)


async def _apply(controller: Controller, request: web.Request) -> web.StreamResponse:
    body, source = await read_body(request, DesiredBody), controller.desired_source
    if source is None:
        raise LeadershipLost("this term has not begun")
    submitted = Submitted(body.text, body.name or UNNAMED, access.caller(request).actor, body.expect)
    try:
        done = await (source.preview if body.dry_run else source.apply)(submitted)
    except FollowsFile as refusal:
        return problem(ProblemCode.FOLLOWS_FILE, str(refusal))
    except StoreConflict as refusal:
        return problem(ProblemCode.DESIRED_CHANGED, str(refusal))
    except DesiredStateError as error:
        return invalid(error)
    answer: api.DesiredApplied = {
        "already": done.already,
        "sha256": done.sha256,
        "source": source.place,
        "changes": [{"service": one.service, "change": one.kind, "paths": list(one.paths)} for one in done.changes],
    }
    return json_answer(answer)
