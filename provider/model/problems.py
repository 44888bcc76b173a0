"""Every problem that the two listeners answer with: its code, its status and what it means."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class ProblemCode(StrEnum):
    """What is wrong with a request, for programs."""

    MALFORMED = "malformed"
    HEAD_TOO_SLOW = "head-too-slow"
    HEAD_TOO_LONG = "head-too-long"
    BAD_REQUEST = "bad-request"
    INVALID_DESIRED_STATE = "invalid-desired-state"
    REASON_WANTED = "reason-wanted"
    TOKEN_WANTED = "token-wanted"  # noqa: S105  a code, no token
    SCOPE = "scope"
    CROSS_SITE = "cross-site"
    UNKNOWN_PATH = "unknown-path"
    UNKNOWN_REPLICA = "unknown-replica"
    UNKNOWN_SERVICE = "unknown-service"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    BUSY = "busy"
    DESIRED_CHANGED = "desired-changed"
    FOLLOWS_FILE = "follows-file"
    HELD = "held"
    LEASED = "leased"
    NO_RELEASE = "no-release"
    NO_ROLLOUT = "no-rollout"
    NOT_READY = "not-ready"
    REPLICA_LIVES = "replica-lives"
    STALE = "stale"
    OTHER_HOST = "other-host"
    INTERNAL_ERROR = "internal-error"
    JSON_WANTED = "json-wanted"
    NO_ANSWER = "no-answer"
    TOO_MANY_STREAMS = "too-many-streams"
    NO_LEADER = "no-leader"
    OUTCOME_UNKNOWN = "outcome-unknown"
    NO_DOCUMENT = "no-document"
    STORE_FAILING = "store-failing"
    STORE_UNKNOWN = "store-unknown"


PROBLEMS: Mapping[ProblemCode, tuple[int, str]] = MappingProxyType(
    {
        ProblemCode.MALFORMED: (400, "This is not an HTTP/1.1 request"),
        ProblemCode.HEAD_TOO_SLOW: (408, "The head of the request did not arrive in time"),
        ProblemCode.HEAD_TOO_LONG: (431, "The head of the request is too long"),
        ProblemCode.BAD_REQUEST: (400, "The body or the query is invalid"),
        ProblemCode.INVALID_DESIRED_STATE: (400, "The desired state is invalid: `problems` has every error"),
        ProblemCode.REASON_WANTED: (400, "`force` requires a reason"),
        ProblemCode.TOKEN_WANTED: (401, "No token was sent, or an unknown one"),
        ProblemCode.SCOPE: (403, "The token does not have the scope"),
        ProblemCode.CROSS_SITE: (403, "A page of another site sent it, or `Host` is not this machine"),
        ProblemCode.UNKNOWN_PATH: (404, "There is nothing at this path"),
        ProblemCode.UNKNOWN_REPLICA: (404, "No replica of this name is known"),
        ProblemCode.UNKNOWN_SERVICE: (404, "The file has no such service"),
        ProblemCode.METHOD_NOT_ALLOWED: (405, "The path answers other methods"),
        ProblemCode.BUSY: (409, "A rollout is under way: wait for its end"),
        ProblemCode.DESIRED_CHANGED: (409, "The desired state in force is not the one of `expect`"),
        ProblemCode.FOLLOWS_FILE: (409, "The daemon follows a file, so nothing can be applied: edit that file"),
        ProblemCode.HELD: (409, "Forward rollouts are stopped, by `hold` or `pause`"),
        ProblemCode.LEASED: (409, "Another deployment holds the lease of the service"),
        ProblemCode.NO_RELEASE: (409, "The colour runs no release, or several"),
        ProblemCode.NO_ROLLOUT: (409, "No rollout is under way"),
        ProblemCode.NOT_READY: (409, "Not ready: the rollback target, or the service itself"),
        ProblemCode.REPLICA_LIVES: (409, "The replica is not away: stop it first"),
        ProblemCode.STALE: (409, "The release that was named is not the present one"),
        ProblemCode.OTHER_HOST: (421, "`Host` names another machine (provider listener): see `--provider-host`"),
        ProblemCode.INTERNAL_ERROR: (500, "A fault of this program; the log has more"),
        ProblemCode.JSON_WANTED: (415, "The header `Content-Type: application/json` is missing"),
        ProblemCode.NO_ANSWER: (503, "No answer in time; the command may still be carried out"),
        ProblemCode.TOO_MANY_STREAMS: (503, "Too many clients listen to the events already"),
        ProblemCode.NO_LEADER: (503, "No replica leads, so nothing was done"),
        ProblemCode.OUTCOME_UNKNOWN: (503, "The disk has not answered; `detail` says how to find out what was done"),
        ProblemCode.NO_DOCUMENT: (503, "There is no document yet (provider listener)"),
        ProblemCode.STORE_FAILING: (503, "The store fails, so nothing was changed"),
        ProblemCode.STORE_UNKNOWN: (503, "etcd has not answered, and it is not known yet whether it was done"),
    }
)
"""The status of HTTP and the meaning of every problem."""
