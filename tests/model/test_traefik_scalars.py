"""Texts as Traefik's decoder reads them."""

import pytest

from provider.model.traefik_schema.scalars import read_bool, read_duration, read_int, split


@pytest.mark.parametrize(("text", "value"), [("1", True), ("T", True), ("False", False), ("yes", None), ("", None)])
def test_a_boolean_is_one_of_gos(text: str, value: bool | None) -> None:
    assert read_bool(text) is value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8),
        ("+8", 8),
        ("-0008", -8),
        ("0" * 5000 + "1", 1),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), None),
        (str(-(2**63)), -(2**63)),
        ("1.0", None),
        ("1_0", None),
        (" 1", None),
        ("٣", None),
        ("", None),
    ],
)
def test_a_number_is_whole_and_of_64_bits(text: str, value: int | None) -> None:
    assert read_int(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", "5s"),
        ("-1ms", "-1ms"),
        ("1h2m", "1h2m"),
        ("0", "0s"),
        ("5 s", None),
        ("", None),
        ("--1s", None),
        ("9" * 19, None),
    ],
)
def test_a_duration_without_a_unit_is_one_of_seconds(text: str, value: str | None) -> None:
    assert read_duration(text) == value


@pytest.mark.parametrize(
    ("text", "items"), [("", []), (",", ["", ""]), (" a ,\u00a0b\n", ["a", "b"]), ("\x1ca", ["\x1ca"])]
)
def test_a_list_is_split_at_commas_without_the_spaces_that_go_trims(text: str, items: list[str]) -> None:
    assert split(text) == items
