"""Reading JSON piece by piece gives what reading it at once does."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.traefik.readback.json_stream import sections

VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
OBJECT = st.dictionaries(st.text(), VALUE | st.dictionaries(st.text(), VALUE, max_size=4), max_size=4)


def read(text: str) -> dict[str, dict[str, object]]:
    return {name: dict(members) for name, members in sections(bytearray(text.encode()))}


@given(OBJECT, st.sampled_from([None, 0, 2, "\t"]), st.booleans())
def test_the_members_of_members_are_those_that_a_parser_of_all_of_it_finds(
    content: dict[str, object], indent: int | str | None, is_ascii: bool
) -> None:
    text = json.dumps(content, indent=indent, ensure_ascii=is_ascii)
    assert read(text) == {name: value for name, value in content.items() if isinstance(value, dict)}


@given(OBJECT, st.data())
def test_what_breaks_off_is_refused(content: dict[str, object], data: st.DataObject) -> None:
    """P2: half an answer is no answer."""
    text = json.dumps(content)
    with pytest.raises(json.JSONDecodeError):
        read(text[: data.draw(st.integers(0, len(text) - 1))])


@pytest.mark.parametrize(
    "text", ["", "[]", "1", "{} {}", '{"a" 1}', '{"a": 1,}', "{1: 2}", '{"a": {"b"}}', '{"a": {}', '{"a": nul}', "{,}"]
)
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        read(text)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(UnicodeDecodeError):
        dict(sections(bytearray(b'{"a\xff": {}}')))
