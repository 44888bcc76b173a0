"""The bodies that the admin API takes."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, StringConstraints, ValidationError

from provider.model import Colour, Verb

BODY_BYTES = 64 * 1024
DESIRED_BYTES = 16 * 1024 * 1024
"""The largest desired state (5 MiB) in JSON, also where that has a letter of three bytes as `\\uXXXX`, which is six."""
BODY_S = 20.0

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
StepNumber = Annotated[StrictInt, Field(ge=1, le=99)]
Force = Annotated[StrictBool, Field(description="Waive what may be waived; requires a reason")]


class Body(BaseModel):
    """The body of abort, retry, pause and resume; every other body has its field as well."""

    model_config = ConfigDict(extra="forbid", populate_by_name=False)

    reason: Annotated[Words | None, Field(description="Reason, recorded in the history")] = None


class SwitchBody(Body):
    """The body of switch; `force` waives the gates."""

    colour: Annotated[Colour, Field(description="The colour to make active")]
    release: Annotated[Words | None, Field(description="Only if the colour runs this release")] = None
    force: Force = False


class ApproveBody(Body):
    """The body of approve."""

    release: Annotated[Words, Field(description="The release that was reviewed")]
    step: Annotated[StepNumber | None, Field(description="The step that was reviewed")] = None


class PromoteBody(Body):
    """The body of promote; `force` waives the gates of the step, or with `full` of all steps."""

    release: Annotated[Words | None, Field(description="Only if the rollout brings this release")] = None
    step: Annotated[StepNumber | None, Field(description="The step to end: nothing is done if it is over")] = None
    full: Annotated[StrictBool, Field(description="End the time of all steps")] = False
    force: Force = False


class RollbackBody(Body):
    """The body of rollback; `force` waives the health of the rollback target."""

    leaving: Annotated[
        Words | None,
        Field(alias="from", description="The release to leave: nothing is done if it is not active any more"),
    ] = None
    force: Force = False


class LeaseBody(Body):
    """The body that takes a lease, or with the `id` of one renews it; `force` takes it during a watch."""

    id: Annotated[Words | None, Field(description="The lease to renew")] = None
    force: Force = False


class DesiredBody(BaseModel):
    """The body that puts another desired state in force."""

    model_config = ConfigDict(extra="forbid", populate_by_name=False)

    text: Annotated[StrictStr, Field(description="The whole text, as a desired-state file has it")]
    expect: Annotated[Sha256 | None, Field(description="Only in place of the text with this hash")] = None
    name: Annotated[Words | None, Field(description="Name of the file, for messages")] = None
    dry_run: Annotated[StrictBool, Field(alias="dryRun", description="Only say what would change")] = False


BODIES: Mapping[Verb, type[Body]] = {
    **dict.fromkeys(Verb, Body),
    Verb.SWITCH: SwitchBody,
    Verb.APPROVE: ApproveBody,
    Verb.PROMOTE: PromoteBody,
    Verb.ROLLBACK: RollbackBody,
}
"""The body of every command."""

B = TypeVar("B", bound=BaseModel)

WHOLE: web.RequestKey[bytes] = web.RequestKey("whole", bytes)


class BadRequest(Exception):  # noqa: N818  the client's mistake
    """A request that is invalid; the text says why."""


async def whole_body(request: web.Request, most: int = BODY_BYTES) -> bytes:
    """Return the whole body, in however many pieces it comes; it may be asked for again.

    Raises BadRequest, also for a body of more bytes than `most`.
    """
    if WHOLE in request:
        return request[WHOLE]
    coding = request.headers.get("Content-Encoding", "identity").lower()
    if coding != "identity":
        raise BadRequest(f"the body is compressed ({coding[:20]!r}): send it as it is")
    text = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while piece := await request.content.readany():
                text += piece
                if len(text) > most:
                    raise BadRequest(f"the body is longer than {most} bytes")
    except TimeoutError:
        raise BadRequest(f"the body did not arrive within {BODY_S:g} s, so nothing was done") from None
    except web.RequestPayloadError:
        raise BadRequest("the body is not what its headers say, so nothing was done") from None
    request[WHOLE] = bytes(text)
    return request[WHOLE]


async def read_body(request: web.Request, kind: type[B]) -> B:
    """Read a body as one of this kind. Raises BadRequest."""
    try:
        return kind.model_validate_json(await whole_body(request) or b"{}")
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, each['loc'])) or 'the body'}: {each['msg']}" for each in error.errors())
        raise BadRequest("; ".join(faults)) from None
