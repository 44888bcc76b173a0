"""Text of others, where it enters and where it leaves."""

import orjson
import pytest

from provider.model.text import CUT, clean, escaped, one_line, struck, whole, without_userinfo

BROKEN = (b"\xff\xfe\x00", "\ud800", "a\0b", "\udcff", "x" * 100_000, 10**5000, -1, None, b"\xf0\x9f", ["\ud800"])


@pytest.mark.parametrize("sent", BROKEN, ids=[type(sent).__name__ for sent in BROKEN])
def test_whatever_was_sent_becomes_text_that_json_utf8_and_a_header_can_hold(sent: object) -> None:
    text = clean(sent, 200)
    assert orjson.loads(orjson.dumps(text)) == text
    assert "\0" not in text
    assert len(text) <= 200


def test_what_is_no_text_is_replaced_and_not_left_out() -> None:
    """Left out, it would make one name of another."""
    assert clean("sh\0op") == "sh\ufffdop"
    assert clean(b"sh\xffop") == "sh\ufffdop"


def test_what_is_cut_off_says_so_and_is_the_name_of_nothing_else() -> None:
    assert clean("x" * 300, 255) == "x" * 252 + CUT
    assert clean("x" * 255, 255) == "x" * 255


def test_words_of_several_lines_fit_one() -> None:
    assert one_line(" a\r\n\tb  c ") == "a b c"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("a\u202egnp.exe", r"a\u202egnp.exe"),
        ("\u2066\u2069\u200b\ufeff", r"\u2066\u2069\u200b\ufeff"),
        ("a\rb\nc\td\x00", r"a\x0db\x0ac\x09d\x00"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\udcff", r"\udcff"),
        ("\U000e0041", r"\U000e0041"),
        ("grün 蓝 🟩", "grün 蓝 🟩"),
        ("[red]\\", "[red]\\"),
    ],
)
def test_a_terminal_is_shown_what_it_would_obey(raw: str, shown: str) -> None:
    assert escaped(raw) == shown
    assert escaped(shown) == shown


def test_lines_stay_where_a_text_may_have_several() -> None:
    assert escaped("a\nb\x1b[2J", keep="\n") == "a\nb\\x1b[2J"


def test_an_answer_shows_no_header_of_the_request() -> None:
    headers = (("Authorization", "Bearer s3cret-of-shop"), ("Accept", "application/json"), ("X-Id", "short"))
    text = "got Bearer s3cret-of-shop and s3cret-of-shop, application/json, short"
    assert struck(text, headers) == "got *** and ***, application/json, short"


def test_a_url_shows_no_password() -> None:
    assert without_userinfo("tcp://me:pa:ss@host:2375 away") == "tcp://host:2375 away"
    assert without_userinfo("http://host/a@b") == "http://host/a@b"


def test_an_answer_with_one_bad_text_is_an_answer() -> None:
    assert orjson.dumps(whole({"a\ud800": ["\udcff", 2**70, True, None, 1.5]}))
