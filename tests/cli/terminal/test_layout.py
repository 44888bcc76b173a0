"""What fits on a screen, and what gives way where it does not."""

import pytest
from rich.text import Text

from provider.cli.terminal.layout import Part, Size, columns, stacked, wrapped

TALL = Size(40, 40)


def lines(name: str, count: int) -> list[Text]:
    return [Text(f"{name}{number}") for number in range(count)]


def plain(drawn: list[Text]) -> list[str]:
    return [line.plain for line in drawn]


def test_parts_stand_apart_where_there_is_room() -> None:
    parts = [Part(lines("a", 2)), Part([]), Part(lines("b", 1)), Part(lines("c", 1), is_joined=True)]
    assert plain(stacked(parts, TALL)) == ["a0", "a1", "", "b0", "c0"]


def test_the_last_parts_give_up_lines_first_and_say_how_many() -> None:
    parts = [Part(lines("a", 4), enough=4), Part(lines("b", 9), enough=2, rest=lambda count: f"and {count} more")]
    assert plain(stacked(parts, Size(40, 9))) == ["a0", "a1", "a2", "a3", "", "b0", "b1", "b2", "  and 6 more"]
    assert plain(stacked(parts, Size(40, 6))) == ["a0", "a1", "a2", "a3", "b0", "  and 8 more"]


@pytest.mark.parametrize("height", range(12))
@pytest.mark.parametrize("width", [1, 7, 20])
def test_nothing_is_drawn_past_an_edge(height: int, width: int) -> None:
    parts = [Part(lines("longer than it ", 5), enough=5, least=4), Part(lines("字字字字", 5), enough=3, least=2)]
    drawn = stacked(parts, Size(width, height))
    assert len(drawn) <= height
    assert all(line.cell_len <= width for line in drawn)


def test_columns_without_entries_are_left_out_and_the_unimportant_ones_give_way() -> None:
    rows = [
        (Text("shop"), Text(""), Text("healthy"), Text("3f2a91c0")),
        (Text("pay"), Text(""), Text("mixed"), Text("")),
    ]
    header = ("SERVICE", "NOTE", "STATE", "RELEASE")
    assert plain(columns(header, rows, 40))[:2] == ["SERVICE  STATE    RELEASE", "shop     healthy  3f2a91c0"]
    assert plain(columns(header, rows, 20, ("RELEASE",)))[:2] == ["SERVICE  STATE", "shop     healthy"]
    assert plain(columns(header, rows, 12, ("RELEASE",)))[1] == "shop   heal…"


def test_a_long_text_goes_on_below_its_beginning_and_is_cut_off_at_last() -> None:
    text = wrapped("one two three four five six seven", 16, lead="note: ", most=2)
    assert plain(text) == ["note: one two", "     three …"] or plain(text) == ["note: one two", "     three four …"]
