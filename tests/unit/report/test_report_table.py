"""Tables and lines of text: they fit, nothing is lost, and nobody's node name rules the terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuready.report.colour import SGR, colour_wanted, paint
from gpuready.report.escape import MAX_CHARS, cells, cut, one_line, wrap
from gpuready.report.table import Cell, Column, Heading, table

COLUMNS = (Column("NODE", "wrap", 6), Column("N"), Column("NOTE", "wrap", 6))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("gpu-1", "gpu-1"),
        ("\x1b[2J\x1b]0;owned\x07gpu-1", r"\x1b[2J\x1b]0;owned\x07gpu-1"),
        ("a\r\nb\tc", "a b c"),
        ("done\rFAILED", "done FAILED"),
        ("\x9b31mred", r"\x9b31mred"),
        ("gpu\u202etxt.exe", r"gpu\u202etxt.exe"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("line\u2028break", r"line\u2028break"),
        ("\ud800", r"\ud800"),
        ("\U000e0041tag", r"\U000e0041tag"),
        ("Grüße 東京", "Grüße 東京"),
        ("Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln", "Bearer [hidden]"),
        ("x" * (MAX_CHARS + 7), "x" * MAX_CHARS + "... (7 more characters)"),
    ],
)
def test_a_hostile_string_becomes_one_harmless_line(text: str, shown: str) -> None:
    assert one_line(text) == shown


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=())))
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = one_line(text)
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("text", "width"), [("gpu-1", 5), ("東京", 4), ("e\u0301", 1), ("🙂", 2), ("", 0)], ids=lambda v: repr(v)
)
def test_columns_of_a_text(text: str, width: int) -> None:
    assert cells(text) == width


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abc..."),
        ("東京都庁", 6, "東..."),
        ("abcd", 3, "abc"),
        ("ab", None, "ab"),
    ],
)
def test_cutting_tells_that_it_cut(text: str, width: int | None, shown: str) -> None:
    assert cut(text, width) == shown


@pytest.mark.parametrize(
    ("why", "text", "width", "hang", "lines"),
    [
        ("at blanks", "one two three", 7, 0, ["one two", "three"]),
        ("at the last joint of a long word", "registry.example/gpuready", 12, 0, ["registry.", "example/", "gpuready"]),
        ("anywhere where there is no joint", "abcdefghij", 4, 0, ["abcd", "efgh", "ij"]),
        ("later lines hang", "aa bb cc", 5, 2, ["aa bb", "  cc"]),
        ("a short name stays whole", "create sa/agent", 11, 2, ["create", "  sa/agent"]),
        ("a long name begins beside its verb", "mk ds/gpu-agent-cdi", 12, 2, ["mk ds/", "  gpu-agent-", "  cdi"]),
        ("wide characters", "東京東京", 5, 0, ["東京", "東京"]),
        ("no limit", "one two", None, 0, ["one two"]),
    ],
)  # fmt: skip
def test_wrapping(why: str, text: str, width: int | None, hang: int, lines: list[str]) -> None:
    assert wrap(text, width, hang) == lines, why


WORDS = st.text(st.sampled_from("ab東-/. "), max_size=60)


@settings(deadline=None)
@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=6), st.integers(24, 100))
def test_a_table_fits_and_loses_no_letter(rows: list[tuple[str, str]], width: int) -> None:
    shown = table(COLUMNS, [[a, "1", b] for a, b in rows], width)
    assert [line for line in shown.splitlines() if cells(line) > width or line != line.rstrip()] == []
    letters = "".join(f"{a}1{b}" for a, b in rows)
    got = "".join(shown.splitlines()[1:])
    assert sorted(got.replace(" ", "")) == sorted(letters.replace(" ", ""))


def test_columns_and_their_ends() -> None:
    rows = [
        ["gpu-1", "1", "a note that is long"],
        Heading("next:"),
        ["-", "this runs on to the right edge"],
        ["東", "2", ""],
    ]
    assert table(COLUMNS, rows, 24) == (
        "NODE   N  NOTE\n"
        "gpu-1  1  a note that is\n"
        "          long\n"
        "next:\n"
        "-      this runs on to\n"
        "       the right edge\n"
        "東     2"
    )


def test_without_a_width_nothing_is_wrapped() -> None:
    assert table(COLUMNS, [["n" * 90, "1", "x " * 60 + "y"]], None).count("\n") == 1


def test_columns_that_are_empty_at_the_right_are_left_out() -> None:
    assert table(COLUMNS, [["gpu-1", "1", ""]], 80) == "NODE   N\ngpu-1  1"


def test_colour_changes_no_width() -> None:
    rows = [[Cell("gpu-1", "fail"), "1", Cell("a note that is long", "ok")]]
    painted = table(COLUMNS, rows, 24, colour=True)
    for code in SGR.values():
        painted = painted.replace(f"\x1b[{code}m", "")
    assert painted.replace("\x1b[0m", "") == table(COLUMNS, rows, 24)


def test_paint() -> None:
    assert paint("x", "ok", True) == "\x1b[32mx\x1b[0m"
    assert paint("x", "ok", False) == paint("x", "", True) == "x"


@pytest.mark.parametrize(
    ("why", "wanted", "given_"),
    [
        ("a terminal that can", True, {"tty": True, "env": {"TERM": "xterm"}}),
        ("a pipe", False, {"tty": False, "env": {"TERM": "xterm"}}),
        ("NO_COLOR", False, {"tty": True, "env": {"TERM": "xterm", "NO_COLOR": "1"}}),
        ("an empty NO_COLOR says nothing", True, {"tty": True, "env": {"TERM": "xterm", "NO_COLOR": ""}}),
        ("--no-color", False, {"tty": True, "env": {"TERM": "xterm"}, "no_color": True}),
        ("a terminal that cannot", False, {"tty": True, "env": {"TERM": "dumb"}}),
        ("no TERM at all", False, {"tty": True, "env": {}}),
    ],
)
def test_when_there_is_colour(why: str, wanted: bool, given_: dict) -> None:  # type: ignore[type-arg]
    assert colour_wanted(**given_) is wanted, why
