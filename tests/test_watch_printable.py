"""What is printable, and what becomes of what is not."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.watch import printable

ANY_TEXT = st.text(st.characters(exclude_categories=()))
UNFIT = {"Cc", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("T.AAPL", "T.AAPL"),
        ("größer, 株式, C:\\new", "größer, 株式, C:\\new"),
        ("T.\ud800", "T.\\ud800"),
        ("\x1b]0;x\x07", "\\x1b]0;x\\x07"),
        ("/\x9b31mX", "/\\x9b31mX"),
        ("T.a\nclient 9 left\r", "T.a\\nclient 9 left\\r"),
        ("a\u2028b\x85c\x7f\t", "a\\u2028b\\x85c\\x7f\\t"),
        ("\u202etac\u2066", "\\u202etac\\u2066"),
    ],
)
def test_what_acts_on_a_terminal_becomes_visible(text, shown):
    assert printable.one_line(text) == shown


@given(ANY_TEXT)
def test_a_line_stays_one_line_and_can_be_written(text):
    shown = printable.one_line(text)
    shown.encode()
    assert len(shown.splitlines()) <= 1
    assert not {unicodedata.category(letter) for letter in shown} & UNFIT


@given(ANY_TEXT)
def test_text_of_several_lines_keeps_them(text):
    shown = printable.lines(text)
    assert shown.count("\n") == text.count("\n")
    assert "\x1b" not in shown


@given(st.recursive(ANY_TEXT, lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner)))
def test_json_is_one_printable_line_that_loses_nothing(value):
    line = printable.json_line(value)
    line.encode()
    assert printable.one_line(line) == line
    assert json.loads(line) == json.loads(json.dumps(value))


@given(ANY_TEXT)
def test_json_for_an_encoding_with_few_letters_loses_nothing(text):
    line = printable.json_encodable(printable.json_line([text]), "ascii")
    assert line.isascii()
    assert json.loads(line) == json.loads(json.dumps([text]))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "no such encoding", None])
def test_letters_that_an_encoding_lacks_become_escapes(encoding):
    assert printable.encodable("5 µs → 株", encoding).endswith("s \\u2192 \\u682a")


def test_a_value_keeps_its_shape():
    assert printable.values({"a\n": ["b\n", ("c\n", 1)], "d": None}) == {
        "a\\n": ["b\\n", ("c\\n", 1)],
        "d": None,
    }
