"""The JSON of etcd's gateway: protobuf's, so bytes are base64, and integers of 64 bits are strings.

Whatever etcd leaves out is the zero of its type. What it sends is checked where it enters: a proxy, or another program
at etcd's port, may say anything.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Any, TypeVar, assert_never

import orjson
from pydantic import Base64Bytes, BaseModel, Field, TypeAdapter, ValidationError

from provider.model.text import one_line
from provider.store.etcd.gateway import (
    Answer,
    Changes,
    Compare,
    Delete,
    Get,
    KeyRange,
    KeyValue,
    Operation,
    Put,
    Target,
)

M = TypeVar("M", bound=BaseModel)

REVISION_FIELDS = {Target.CREATE: "create_revision", Target.MOD: "mod_revision"}

INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED = 3, 5, 7, 8
FAILED_PRECONDITION, OUT_OF_RANGE, UNAVAILABLE, UNAUTHENTICATED = 9, 11, 14, 16
"""Codes of gRPC (https://grpc.io/docs/guides/status-codes/)."""
INT64_DIGITS = 20
ETCD = "etcdserver: "
BEFORE_ANYTHING = {INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, FAILED_PRECONDITION, OUT_OF_RANGE, UNAUTHENTICATED}
"""With a message of etcd's own these refuse a request before, or instead of, doing it (rpctypes/error.go)."""
NO_LEADER = {f"{ETCD}no leader", f"{ETCD}not capable"}
"""Said by etcd's interceptor, before it hands a request on."""
TOO_MANY_REQUESTS = f"{ETCD}too many requests"
OLD_LOGIN = f"{ETCD}revision of auth store is old"
"""Users or roles were changed since the token was given; nothing was done."""
WAYS_OUT = {
    f"{ETCD}user name is empty": "it asks for a user and a password: name --store-credentials FILE",
    f"{ETCD}permission denied": "grant this user's role read and write below the prefix (etcdctl role "
    "grant-permission --prefix)",
    f"{ETCD}mvcc: database space exceeded": "compact and defragment it, then etcdctl alarm disarm",
}
# Not "mvcc: database space exceeded": the transaction that fills the space is done and answered with this error
# (quotaApplierV3.Txn), so that alone it does not tell.


_QUOTA = re.compile(rb"^etcd_server_quota_backend_bytes (\d{1,20}(?:\.\d{1,20})?(?:e\+\d{1,2})?)\s*$", re.MULTILINE)


class WireError(Exception):
    """An answer that is not etcd's; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An error that etcd, or its gateway, answered with."""

    code: int
    message: str

    def __str__(self) -> str:
        way_out = WAYS_OUT.get(self.message)
        return f"{self.message}: {way_out}" if way_out is not None else self.message

    @property
    def is_surely_not_done(self) -> bool:
        """Whether nothing can have come of the request."""
        if self.code in BEFORE_ANYTHING:
            return self.message.startswith(ETCD)
        return self.is_of_this_member or self.message == TOO_MANY_REQUESTS

    @property
    def is_of_this_member(self) -> bool:
        """Whether another member may do what this one surely did not do."""
        return self.code == UNAVAILABLE and self.message in NO_LEADER

    @property
    def is_login(self) -> bool:
        """Whether the token is not known (any more): it dies with its member, and after five minutes' rest."""
        return self.code == UNAUTHENTICATED or self.message == OLD_LOGIN


Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Unsigned = Annotated[int, Field(ge=0, lt=2**64)]


class Header(BaseModel):
    """What stands above every answer."""

    member_id: Unsigned = 0
    revision: Int64 = 0


class Kv(BaseModel):
    """A key as etcd tells of it; one that was deleted has but its name and `mod_revision`."""

    key: Base64Bytes = b""
    value: Base64Bytes = b""
    create_revision: Int64 = 0
    mod_revision: Int64 = 0
    version: Int64 = 0
    lease: Int64 = 0

    def read(self) -> KeyValue:
        """Return the key with its value."""
        return KeyValue(self.key, self.value, self.create_revision, self.mod_revision, self.version, self.lease)


class Lease(BaseModel):
    """The answer about a lease; `TTL` is 0 where there is none."""

    header: Header
    ID: Int64 = 0
    TTL: Int64 = 0


class Status(BaseModel):
    """What one member says of itself; `errors` has the alarms of the cluster. Etcd tells its quota from 3.6 on."""

    header: Header
    version: Annotated[str, Field(max_length=64)] = ""
    size_bytes: Annotated[Int64, Field(alias="dbSize")] = 0
    quota_bytes: Annotated[Int64, Field(alias="dbSizeQuota")] = 0
    leader: Unsigned = 0
    errors: Annotated[list[Annotated[str, Field(max_length=1024)]], Field(max_length=256)] = []


class Members(BaseModel):
    """The members of a cluster, as one of them knows them."""

    header: Header
    members: Annotated[list[dict[str, Any]], Field(max_length=256)] = []


class Token(BaseModel):
    """The answer to a login."""

    token: Annotated[str, Field(min_length=1, max_length=16384, pattern=r"^[\x21-\x7e]+$")]


class Event(BaseModel):
    """One change that a watch saw."""

    type: str = "PUT"
    kv: Kv


class Watched(BaseModel):
    """One message of a watch."""

    header: Header
    watch_id: Int64 = 0
    created: bool = False
    canceled: bool = False
    compact_revision: Int64 = 0
    cancel_reason: str = ""
    fragment: bool = False
    events: list[Event] = []


def transaction(compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation]) -> bytes:
    """Write a transaction."""
    return orjson.dumps(
        {
            "compare": [
                {
                    "key": _b64(each.key),
                    "target": each.target.value,
                    REVISION_FIELDS[each.target]: str(each.revision),
                    "result": "EQUAL",
                }
                for each in compares
            ],
            "success": [_operation(each) for each in then],
            "failure": [_operation(each) for each in otherwise],
        }
    )


def watches(ranges: Iterable[KeyRange], from_revision: int) -> bytes:
    """Write requests for watches, which share one connection; the first has the id 1."""
    return b"\n".join(
        orjson.dumps(
            {
                "create_request": {
                    "key": _b64(key),
                    "range_end": _b64(end),
                    "start_revision": str(from_revision),
                    "fragment": True,
                    "watch_id": str(number),
                }
            }
        )
        for number, (key, end) in enumerate(ranges, 1)
    )


def answer(text: bytes, then: Sequence[Operation], otherwise: Sequence[Operation]) -> Answer:
    """Read the answer to a transaction. Raises WireError, also where it does not answer these operations."""
    try:
        read = orjson.loads(text)  # by hand: a term begins with tens of thousands of keys
        succeeded, responses, header = read.get("succeeded", False), read.get("responses", []), read["header"]
        branch = then if succeeded is True else otherwise
        if len(responses) != len(branch):
            raise WireError(f"{len(responses)} answers to {len(branch)} operations")
        found = tuple(_found(operation, each) for operation, each in zip(branch, responses, strict=True))
        return Answer(succeeded is True, _int64(header.get("revision")), found, f"{_int64(header['member_id']):x}")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise WireError(one_line(f"{type(error).__name__}: {error}", 300)) from error


def streamed(model: type[M], text: bytes) -> M | Fault:
    """Read a message of a stream. Raises WireError."""
    message = _object(text)
    if "error" in message:
        return _fault(message["error"])
    return _validated(model, message.get("result"))


def changes(message: Watched) -> Iterator[Changes]:
    """Split a message of a watch, which may cover many revisions, into one for each."""
    for revision, events in groupby(message.events, lambda event: event.kv.mod_revision):
        put: list[KeyValue] = []
        deleted: list[bytes] = []
        for event in events:
            if event.type == "DELETE":
                deleted.append(event.kv.key)
            else:
                put.append(event.kv.read())
        yield Changes(revision, tuple(put), tuple(deleted))


def parse(model: type[M], text: bytes) -> M:
    """Read an answer. Raises WireError."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise WireError(_first(error)) from error


def quota_bytes(metrics: bytes) -> int:
    """Return the quota of the database in the metrics of a member, 0 where it is not there."""
    found = _QUOTA.search(metrics)
    return int(float(found[1])) if found else 0


def fault(text: bytes) -> Fault | None:
    """Read the body of an answer that is no 200; None where it is nothing that etcd says."""
    try:
        message = _object(text)
        return _fault(message["error"] if isinstance(message.get("error"), dict) else message)
    except WireError:
        return None


def _found(operation: Operation, response: dict[str, Any]) -> tuple[KeyValue, ...]:
    match operation:
        case Get():
            return tuple(map(_key_value, response["response_range"].get("kvs", ())))
        case Put():
            response["response_put"].items()
        case Delete():
            response["response_delete_range"].items()
        case _:
            assert_never(operation)
    return ()


def _key_value(kv: dict[str, Any]) -> KeyValue:
    return KeyValue(
        _bytes(kv.get("key", "")),
        _bytes(kv.get("value", "")),
        _int64(kv.get("create_revision")),
        _int64(kv.get("mod_revision")),
        _int64(kv.get("version")),
        _int64(kv.get("lease")),
    )


def _int64(written: object) -> int:
    """Read a number; what is left out is 0."""
    if written is None:
        return 0
    if not isinstance(written, str) or len(written) > INT64_DIGITS:
        raise TypeError("a number that is none")
    return int(written)


def _bytes(written: object) -> bytes:
    if not isinstance(written, str):
        raise TypeError("base64 that is none")
    return binascii.a2b_base64(written, strict_mode=True)


def _operation(operation: Operation) -> dict[str, object]:
    match operation:
        case Get(key, end, limit, is_descending, revision, is_serializable):
            order = {"sort_order": "DESCEND", "sort_target": "KEY"} if is_descending else {}
            return {
                "request_range": {
                    **_keys(key, end),
                    "limit": str(limit),
                    "revision": str(revision),
                    "serializable": is_serializable,
                    **order,
                },
            }
        case Put(key, value, lease):
            return {"request_put": {"key": _b64(key), "value": _b64(value), "lease": str(lease)}}
        case Delete(key, end):
            return {"request_delete_range": _keys(key, end)}
        case _:
            assert_never(operation)


def _keys(key: bytes, end: bytes | None) -> dict[str, object]:
    return {"key": _b64(key)} if end is None else {"key": _b64(key), "range_end": _b64(end)}


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


_OBJECT = TypeAdapter(dict[str, Any])


def _object(text: bytes) -> dict[str, Any]:
    try:
        return _OBJECT.validate_json(text)
    except ValidationError as error:
        raise WireError(_first(error)) from error


def _validated(model: type[M], value: object) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise WireError(_first(error)) from error


def _fault(error: object) -> Fault:
    if not isinstance(error, dict):
        raise WireError("an error that says nothing")
    code = error.get("code", error.get("grpc_code"))  # an answer has the one, a message of a stream the other
    message = error.get("message")
    if not isinstance(code, int) or not isinstance(message, str):
        raise WireError("an error without code and message")
    return Fault(code, one_line(message, 300))


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return one_line(f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}", 300)
