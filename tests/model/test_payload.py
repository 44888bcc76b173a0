"""Bytes as a file writes them. Rule 33."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.model.payload import payload, written


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("PING", b"PING"),
        (r"PING\r\n", b"PING\r\n"),
        ("PING\r\n", b"PING\r\n"),
        (r"\x10\x0c\0\tMQTT\\", b"\x10\x0c\x00\tMQTT\\"),
        (r"\xffF", b"\xffF"),
        ("", b""),
    ],
)
def test_escapes_are_bytes_and_everything_else_is_itself(text: str, data: bytes) -> None:
    """Rule 33."""
    assert payload(text) == data


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (r"\q", r"has \q, which is no escape"),
        (r"\xg0", r"has \x, which is no escape"),
        (r"\x1", r"has \x, which is no escape"),
        ("end\\", "has \\, which is no escape"),
        ("\xff", "has a letter beyond ASCII: write its bytes"),
    ],
)
def test_what_could_mean_other_bytes_is_refused(text: str, message: str) -> None:
    """Rule 33."""
    with pytest.raises(ValueError, match=re.escape(message)):
        payload(text)


@given(st.binary(max_size=100))
def test_any_bytes_are_shown_in_printable_ascii_that_reads_back_as_them(data: bytes) -> None:
    """Rule 33."""
    assert written(data).isascii()
    assert written(data).isprintable() or not data
    assert payload(written(data)) == data


@given(st.text(alphabet=st.sampled_from("ab\\\\xrn0\xff\n"), max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Rule 33."""
    try:
        data = payload(text)
    except ValueError:
        return
    assert payload(written(data)) == data
