"""The tables of Traefik's keys against a real Traefik: the installed one, and any that BLUEGREEN_TRAEFIKS names.

That variable is a list of paths with colons between them, of Traefiks from 3.0 on.
"""

import json
import os
import re
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, cast

import pytest

from provider import config
from provider.model import JsonObject
from provider.model.errors import DesiredStateError, TraefikError
from provider.model.traefik_schema import DOCUMENT, FIRST, Anything, Field, Kind, Many, Named, Scalar, Struct, Version
from provider.traefik.process import find_binary
from tests.support.components import missing
from tests.support.decoder import Decoder

GOOD = {
    Scalar.TEXT: "x@file",  # a name that nothing here has to define
    Scalar.HOST: "h",
    Scalar.RULE: "PathPrefix(`/`)",
    Scalar.USER: "a:b",
    Scalar.FREE: "f",
    Scalar.BOOL: True,
    Scalar.INT: 3,
    Scalar.DURATION: "5s",
}
CONVERTED: dict[Scalar, tuple[object, ...]] = {
    Scalar.TEXT: (1, True),
    Scalar.FREE: (1, False),
    Scalar.BOOL: ("true", "F", 1, "0"),
    Scalar.INT: ("3", "+3", "007", 3.0, 1e3),
    Scalar.DURATION: (5, "5", "1h2m", "-1ms", 5.0),
}
"""Values of another type that Traefik takes for one of this."""
LISTS: tuple[object, ...] = ("a", "a,b", 5, [1, True], "")
WRONG: dict[Scalar, tuple[object, ...]] = {
    Scalar.BOOL: ("yes", 2, 1.5, "", [True]),
    Scalar.INT: ("x", 1.5, True, "", "1_0", "0x1", " 5", [5], 2**63),
    Scalar.DURATION: ("5 s", True, 1.5, "", "3000000h", [5]),
}


Document: TypeAlias = dict[str, Any]
Around: TypeAlias = Callable[[object], Document]


class Place(NamedTuple):
    """One key of the tables: the version that brought it or an object around it, and a document with a value there."""

    path: str
    field: Field
    since: Version
    document: Around


def places(struct: Struct, around: Around, path: str, since: Version) -> Iterator[Place]:
    for key, field in struct.fields.items():
        place = Place(f"{path}.{key}", field, max(since, field.since), within(around, key))
        yield place
        match field.kind:
            case Struct() as inner:
                yield from places(inner, place.document, place.path, place.since)
            case Many(item=Struct() as inner):
                yield from places(inner, in_list(place.document), place.path, place.since)
            case Named(value=Struct() as inner):
                yield from places(inner, within(place.document, "n"), place.path, place.since)


def whole(value: object) -> Document:
    return cast("Document", value)


def within(around: Around, key: str) -> Around:
    return lambda value: around({key: value})


def in_list(around: Around) -> Around:
    return lambda value: around([value])


PLACES = [one for one in places(DOCUMENT, whole, "", FIRST) if one.path.count(".") > 2]
"""All keys within an object; what is above are the sections."""


def good(kind: Kind) -> object:
    match kind:
        case Scalar():
            return GOOD[kind]
        case Many():
            return [good(kind.item)]
        case Named():
            return {"n": good(kind.value)}
        case Anything():
            return {"p": {"a": [1, 2]}}
        case Struct():
            return {key: good(field.kind) for key, field in kind.fields.items() if field.since == FIRST}


def wrong(kind: Kind) -> tuple[object, ...]:
    match kind:
        case Scalar():
            return WRONG.get(kind, ({"a": 1},))[:2]
        case Many(item=Scalar()):
            return ([["a"]], [None])
        case Many():
            return ([{"nope": 1}],)
        case Named() | Anything():
            return ("x",)
        case Struct():
            return ({"nope": 1},)


def refused_here(document: JsonObject) -> str | None:
    return reason(json.dumps({"environment": "x", "services": {}, **document}).replace("\x7f", "\\x7f"))


def reason(text: str) -> str | None:
    try:
        config.load(text, "file")
    except DesiredStateError as error:
        return str(error)
    return None


def merged(one: object, other: object) -> object:
    if isinstance(one, dict) and isinstance(other, dict):
        return {
            key: merged(one[key], other[key]) if key in one and key in other else one.get(key, other.get(key))
            for key in {**one, **other}
        }
    if isinstance(one, list) and isinstance(other, list) and isinstance(one[0], dict):
        return [merged(one[0], other[0])]
    return one


def binaries() -> list[Path | None]:
    names = f"{os.environ.get('BLUEGREEN_OLDER_TRAEFIK', '')}:{os.environ.get('BLUEGREEN_TRAEFIKS', '')}"
    named = [Path(path) for path in names.split(":") if path]
    return [None, *named]


class Subject(NamedTuple):
    decoder: Decoder
    version: Version


@pytest.fixture(params=binaries(), ids=lambda path: path.name if path else "installed")
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    try:
        binary = request.param or find_binary()
    except TraefikError as error:
        missing("traefik", str(error))
    said = subprocess.run([binary, "version"], capture_output=True, text=True, check=True).stdout  # noqa: ASYNC221
    found = re.search(r"Version:\s+v?(\d+)\.(\d+)\.(\d+)", said)
    assert found, said
    async with Decoder(binary) as decoder:
        yield Subject(decoder, tuple(map(int, found.groups())))


@pytest.mark.takes(40)
class TestEveryKey:
    async def test_with_a_good_value_it_is_taken_from_its_version_on(self, subject: Subject) -> None:
        known = [place for place in PLACES if place.since <= subject.version]
        document: Document = {}
        for place in known:
            document = whole(merged(document, place.document(good(place.field.kind))))
        assert await subject.decoder.refusal(document) is None
        assert refused_here(document) is None
        accepted = [
            place.path
            for place in PLACES
            if place not in known and await subject.decoder.refusal(place.document(good(place.field.kind))) is None
        ]
        assert not accepted

    async def test_with_a_wrong_type_it_is_refused_there_and_here(self, subject: Subject) -> None:
        """Rule 15: only what Traefik accepts is published."""
        different = []
        for place in PLACES:
            for value in wrong(place.field.kind) if place.since <= subject.version else ():
                document = place.document(value)
                if await subject.decoder.refusal(document) is None or refused_here(document) is None:
                    different.append((place.path, value))
        assert not different

    async def test_empty_it_is_refused_there_and_here_or_nowhere(self, subject: Subject) -> None:
        different = []
        for place in PLACES:
            if isinstance(place.field.kind, Struct | Named | Anything) and place.since <= subject.version:
                document = place.document({})
                there, here = await subject.decoder.refusal(document), refused_here(document)
                if {there is None, here is None} != {place.field.may_be_empty}:
                    different.append((place.path, there, here))
        assert not different


def middleware(*path: str) -> Around:
    around: Around = whole
    for key in ("http", "middlewares", "m", *path):
        around = within(around, key)
    return around


AT = {
    Scalar.TEXT: middleware("addPrefix", "prefix"),
    Scalar.FREE: middleware("headers", "customRequestHeaders", "X"),
    Scalar.BOOL: middleware("headers", "frameDeny"),
    Scalar.INT: middleware("headers", "stsSeconds"),
    Scalar.DURATION: middleware("retry", "initialInterval"),
}
"""A key of each kind."""


class TestValues:
    async def test_what_traefik_converts_is_taken_here(self, subject: Subject) -> None:
        documents = [AT[kind](value) for kind, values in CONVERTED.items() for value in values]
        spellings: tuple[object, ...] = (True, "True", "FALSE", {})
        documents += [{"http": {"routers": {"r": {"rule": "x", "tls": tls}}}} for tls in spellings]
        documents += [middleware("headers", "accessControlAllowHeaders")(value) for value in LISTS]
        told = [(doc, await subject.decoder.refusal(doc), refused_here(doc)) for doc in documents]
        assert [one for one in told if one[1] or one[2]] == []

    async def test_what_it_does_not_decode_is_refused_here(self, subject: Subject) -> None:
        documents = [AT[kind](value) for kind, values in WRONG.items() for value in values if value != 2**63]
        told = [(doc, await subject.decoder.refusal(doc), refused_here(doc)) for doc in documents]
        assert [one for one in told if not one[1] or not one[2]] == []

    @pytest.mark.parametrize("key", ["FrameDeny", "framedeny", "FRAMEDENY", "\u017fslForceHo\u017ft"])
    async def test_a_key_may_be_written_in_any_case(self, subject: Subject, key: str) -> None:
        document = middleware("HEADERS", key)(True)
        assert refused_here(document) is None
        assert await subject.decoder.refusal(document) is None

    @pytest.mark.parametrize("code", [0x7F, 0x80, 0x84, 0x86, 0x9F, 0xFFFE, 0xFFFF])
    async def test_a_character_that_breaks_the_whole_document_is_refused_here(
        self, subject: Subject, code: int
    ) -> None:
        for document in (
            AT[Scalar.FREE](f"a{chr(code)}b"),
            {"http": {"routers": {f"a{chr(code)}": {"rule": "x"}}}},
            middleware("plugin", "p", "a")([chr(code)]),
        ):
            assert await subject.decoder.refusal(document) == "yaml: control characters are not allowed"
            assert "control character" in str(refused_here(document))

    @pytest.mark.parametrize(("name", "is_taken"), [("k" * 1022, True), ("k" * 1023, False), ('"' * 512, False)])
    async def test_a_key_that_is_too_long_for_yaml_is_refused_here(
        self, subject: Subject, name: str, is_taken: bool
    ) -> None:
        document: Document = {"http": {"middlewares": {name: {"compress": {}}}}}
        assert (await subject.decoder.refusal(document) is None) is is_taken
        text = f"environment: x\nservices: {{}}\nhttp:\n  middlewares:\n    ? '{name}'\n    : {{compress: {{}}}}"
        assert (reason(text) is None) is is_taken

    @pytest.mark.parametrize(
        ("read", "is_taken"),
        [
            ({"a": None}, True),
            ({"a": {}, "b": []}, True),
            ({"a": [1, 1.5]}, True),
            ({"a": ["x", 1, True]}, True),
            ({"a": [{"b": 1}, 2]}, True),
            ({"a": [None]}, False),
            ({"a": [[1]]}, False),
            ({"a": [True, 1]}, False),
            ({"a": {"b": [False, 1.5]}}, False),
            ({"a": "║x"}, False),
        ],
    )
    async def test_what_a_plugin_reads_is_free_but_for_what_does_not_decode(
        self, subject: Subject, read: object, is_taken: bool
    ) -> None:
        document = middleware("plugin", "p")(read)
        assert (await subject.decoder.refusal(document) is None) is is_taken
        assert (refused_here(document) is None) is is_taken
