"""Answers with problems: the errors of both listeners, as `application/problem+json` (RFC 9457)."""

from typing import TYPE_CHECKING

from aiohttp import web

from provider.api.access import Denied
from provider.api.answers import json
from provider.model.errors import DesiredStateError
from provider.model.problems import PROBLEMS, ProblemCode

if TYPE_CHECKING:
    from provider.model import api_types as api

PROBLEM_TYPE = "application/problem+json"
MISTAKES_MOST = 10_000
"""So many errors are named of one desired state."""


def problem(code: ProblemCode, detail: str) -> web.Response:
    """Answer with an error; `detail` is for people."""
    return web.Response(status=PROBLEMS[code][0], body=problem_body(code, detail), content_type=PROBLEM_TYPE)


def problem_body(code: ProblemCode, detail: str) -> bytes:
    """Return the body of an error."""
    body: api.Problem = {"type": "about:blank", "status": PROBLEMS[code][0], "code": code, "detail": detail}
    return json(body)


def invalid(error: DesiredStateError) -> web.Response:
    """Answer that a desired state is invalid, with everything that is wrong with it (P11)."""
    code, problems = ProblemCode.INVALID_DESIRED_STATE, error.problems[:MISTAKES_MOST]
    lines = [str(one) for one in problems]
    if len(error.problems) > len(problems):
        lines.append(f"and {len(error.problems) - len(problems)} more")
    body: api.Problem = {
        "type": "about:blank",
        "status": PROBLEMS[code][0],
        "code": code,
        "detail": "\n".join(lines),
        "problems": [
            {"file": one.file, "line": one.line, "column": one.column, "path": one.path, "message": one.message}
            for one in problems
        ],
    }
    return web.Response(status=PROBLEMS[code][0], body=json(body), content_type=PROBLEM_TYPE)


def denied(denial: Denied) -> web.Response:
    """Answer a request that is denied."""
    answer = problem(denial.code, str(denial))
    if answer.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer
